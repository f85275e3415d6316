"""A policy over all sequences of a small vocabulary, one softmax a prefix: where every loss has a closed form to meet.

The losses are those by which language models are trained; here all sequences are counted, so that what is left between
a trained policy and its closed form is the optimiser's, and nobody's samples'.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from rrm.core.errors import InputError, ShapeError

Loss = Callable[[Tensor], Tensor]
"""Of the log-probabilities of all sequences, [vocabulary ** length], a scalar to be made small."""


class PrefixTree:
    """A softmax over the next symbol for every prefix; sequences are numbered as digits, the first the highest."""

    def __init__(self, vocabulary: int, length: int) -> None:
        if vocabulary < 2 or length < 1 or vocabulary**length > 2**20:
            raise InputError(f"all sequences of {vocabulary} symbols and length {length} cannot be counted here")
        self.shape = vocabulary, length
        self._weights = [torch.zeros(vocabulary**depth, vocabulary, dtype=torch.float64) for depth in range(length)]

    def log_probs(self) -> Tensor:
        """Return the log-probability of every sequence, float64 [vocabulary ** length]; it carries the gradient."""
        total = torch.zeros(1, dtype=torch.float64)
        for depth, weights in enumerate(self._weights):
            # a prefix is met the less often the longer it is: so scaled, the loss is about as curved everywhere
            logits = weights * self.shape[0] ** (depth / 2)
            total = (total.unsqueeze(1) + logits.log_softmax(dim=1)).flatten()
        return total

    def train(self, loss: Loss, steps: int = 200) -> float:
        """Make a loss small, by L-BFGS; return its value at the end."""
        for weights in self._weights:
            weights.requires_grad_(True)
        optimiser = torch.optim.LBFGS(
            self._weights,
            max_iter=steps,
            history_size=30,
            tolerance_grad=1e-7,
            tolerance_change=1e-12,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            optimiser.zero_grad()
            value = loss(self.log_probs())
            value.backward()  # type: ignore[no-untyped-call]
            return value

        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # on tensors as small as these, threads wait for each other
        try:
            optimiser.step(closure)  # type: ignore[no-untyped-call]
        finally:
            torch.set_num_threads(threads)
        with torch.no_grad():
            return float(loss(self.log_probs()))


def anchored_loss(anchor: Tensor, rewards: Tensor, beta: float) -> Loss:
    """Return minus the expected reward less beta KL(policy || anchor): the loss of KL-anchored RL, all [sequences]."""
    _alike(anchor, rewards)
    return lambda log_probs: -(log_probs.exp() * (rewards - beta * (log_probs - anchor))).sum()


def likelihood_loss(target: Tensor) -> Loss:
    """Return the cross-entropy with a target's probabilities [sequences]: the forward KL, up to a constant.

    Imitation, filtered imitation, conditional training and distribution matching differ in the target alone.
    """
    return lambda log_probs: -(target * log_probs).sum()


def dpo_loss(anchor: Tensor, rewards: Tensor, beta: float) -> Loss:
    """Return the loss of direct preference optimisation, all pairs compared as Bradley-Terry raters would [sequences].

    Pairs are weighed by the anchor's probabilities. Its optimum is that of KL-anchored RL (Rafailov et al. 2023,
    arXiv:2305.18290, section 4).
    """
    _alike(anchor, rewards)
    weights = (anchor.unsqueeze(0) + anchor.unsqueeze(1)).exp()
    wins = torch.sigmoid(rewards.unsqueeze(1) - rewards.unsqueeze(0))

    def loss(log_probs: Tensor) -> Tensor:
        implicit = beta * (log_probs - anchor)
        return -(weights * wins * logsigmoid(implicit.unsqueeze(1) - implicit.unsqueeze(0))).sum()

    return loss


def leave_one_out_loss(log_probs: Tensor, rewards: Tensor) -> Tensor:
    """Return the REINFORCE loss of n samples of one prompt, each less the mean reward of the others; both [n].

    Its gradient is an unbiased estimate of minus that of the expected reward (Kool et al. 2019). Raises InputError for
    fewer than two samples, or rewards that are not finite: they would reach every weight.
    """
    _alike(log_probs, rewards)
    if rewards.numel() < 2 or not bool(torch.isfinite(rewards).all()):
        raise InputError("a leave-one-out baseline needs two samples or more, with finite rewards")
    others = (rewards.sum() - rewards) / (rewards.numel() - 1)
    return -((rewards - others).detach() * log_probs).mean()


def _alike(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape:
        raise ShapeError(f"one number a sequence belongs here, got {tuple(first.shape)} and {tuple(second.shape)}")
