"""What a joint training minimises: the negative log-likelihood of all judgements, and the prior of raters' scales."""

from typing import Any, NamedTuple

from torch import Tensor, nn

from rrm.feedback.likelihood import log_likelihood
from rrm.feedback.scales import Scales
from rrm.reward.batches import Batch
from rrm.reward.joint_model import JointNet
from rrm.reward.level_heads import by_head
from rrm.reward.train_config import TrainConfig
from rrm.reward.windows import pooled


class ForwardPass(NamedTuple):
    """What one pass gives: the weighted sum of negative log-likelihoods, and that of the prior, in nats; rewards
    [members, items], log-likelihoods [members, rows], and the anchor [members].
    """

    loss: Tensor
    prior: Tensor
    rewards: Tensor
    likelihood: Tensor
    anchor: Tensor


class Objective(nn.Module):
    """Net and scales as one module, so that DDP and FSDP wrap all parameters that learn."""

    def __init__(self, net: JointNet, scales: Scales) -> None:
        super().__init__()
        self.net, self.scales = net, scales
        self._no_split_modules = net.model._no_split_modules  # by which accelerate shards layers

    def forward(self, batch: Batch) -> ForwardPass:
        rewards = by_head(pooled(self.net(batch.inputs), batch.place), batch.head, self.scales.members)
        likelihood = log_likelihood(rewards, batch.feedback, self.scales)
        loss = -(batch.weights * likelihood).sum()
        return ForwardPass(loss, -self.scales.log_prior().mean(), rewards, likelihood, self.scales.anchor())


def learning(objective: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Return the parameters that learn, by name."""
    return [(name, parameter) for name, parameter in objective.named_parameters() if parameter.requires_grad]


def parameter_groups(objective: Objective, config: TrainConfig) -> list[dict[str, Any]]:
    """Return groups for an optimiser: the trunk, the head, and the scales, which start far from where they belong.

    `base` is a group's highest learning rate.
    """
    head = {id(parameter) for parameter in objective.net.head.parameters()}
    trunk = [each for each in objective.net.parameters() if each.requires_grad and id(each) not in head]
    groups: list[dict[str, Any]] = [
        {"params": trunk, "base": config.rate},
        {"params": list(objective.net.head.parameters()), "base": config.head_rate * config.rate},
        {"params": list(objective.scales.parameters()), "base": max(100 * config.rate, 1e-2), "weight_decay": 0.0},
    ]
    return [{**group, "lr": group["base"]} for group in groups if group["params"]]
