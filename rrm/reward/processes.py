"""Training in one process or in several: what is asked of accelerate, and what each process reads and keeps."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from rrm.backbone.classifier import load_classifier
from rrm.feedback.scales import Scales
from rrm.feedback.table import FeedbackTable
from rrm.reward.adapters import LowRank, make_trainable
from rrm.reward.batches import Block
from rrm.reward.joint_model import JointNet
from rrm.reward.objective import Objective
from rrm.reward.train_config import TrainConfig


class Accelerator(Protocol):
    """What a training uses of `accelerate.Accelerator`."""

    @property
    def device(self) -> torch.device: ...

    @property
    def process_index(self) -> int: ...

    @property
    def num_processes(self) -> int: ...

    @property
    def is_main_process(self) -> bool: ...

    @property
    def is_local_main_process(self) -> bool:
        """Whether it is the first of its machine."""
        ...

    def prepare(
        self, objective: nn.Module, optimiser: torch.optim.Optimizer, /
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Return both as the processes share them: replicated (DDP) or sharded (FSDP)."""
        ...

    def unwrap_model(self, objective: nn.Module, /) -> Objective: ...

    def no_sync(self, objective: nn.Module, /) -> AbstractContextManager[None]:
        """Return a context in which gradients add up without being exchanged."""
        ...

    def backward(self, loss: Tensor, /) -> None: ...

    def clip_grad_norm_(self, parameters: Iterable[Tensor], most: float, /) -> Tensor:
        """Return the norm of all gradients together, which are made shorter where it is more than so much."""
        ...

    def reduce(self, tensor: Tensor, /) -> Tensor:
        """Return the sum over all processes."""
        ...

    def wait_for_everyone(self) -> None: ...


def make_accelerator(device: str) -> Accelerator:
    """Return accelerate's, configured by `accelerate launch` or `torchrun` if they started this process."""
    from accelerate import Accelerator as Accelerate

    made: Accelerator = Accelerate(cpu=device.startswith("cpu") or not torch.cuda.is_available())
    return made


def share_of(micro_batches: Sequence[Block], accelerator: Accelerator) -> list[tuple[Block, bool]]:
    """Return this process's share of an update; False marks a repeat that counts nothing.

    All processes read equally often, as sharded weights are gathered for every reading.
    """
    each = -(-len(micro_batches) // accelerator.num_processes)
    missing = each * accelerator.num_processes - len(micro_batches)
    padded = [(block, True) for block in micro_batches] + [(micro_batches[0], False)] * missing
    return padded[accelerator.process_index :: accelerator.num_processes]


def local(tensor: Tensor) -> Tensor:
    """Return this process's part of a sharded tensor, or the tensor."""
    if isinstance(tensor, DTensor):
        part: Tensor = tensor.to_local()
        return part
    return tensor


def number(tensor: Tensor) -> float:
    """Return the one number that a tensor holds, of all processes together where it is sharded."""
    return float(tensor.full_tensor() if isinstance(tensor, DTensor) else tensor)


def gathered(
    objective: Objective,
    adapters: LowRank | None,
    feedback: FeedbackTable,
    name: str,
    config: TrainConfig,
    heads: int = 1,
) -> tuple[Objective, LowRank | None]:
    """Return an objective whose weights are whole in the main process, where training had sharded them (FSDP).

    `name` is the backbone's, which has so many heads of all members. Its adapters are returned with it.
    """
    if not any(isinstance(parameter, DTensor) for parameter in objective.parameters()):
        return objective, adapters
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    weights = get_model_state_dict(objective, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    net = JointNet(load_classifier(name, heads * config.members, "cpu", "float32"))
    adapters = make_trainable(net, config)
    whole = Objective(net, Scales(feedback, config.members, config.reliability, dtype=torch.float32))
    if weights:  # the main process alone is given them, and it alone saves
        whole.load_state_dict(weights)
    return whole, adapters
