"""Distributions over ways to cut sequences into parts, exact by dynamic programming in torch.

A cut's log-probability is the sum of its parts' scores less the log-partition (Sarawagi and Cohen 2004,
Semi-Markov conditional random fields). Seen from left to right it is a Markov chain over the places where a part
begins, and from its transition probabilities follow marginals, exact samples, and derivatives of first and second
order: the gradient of the log-partition is the marginals, and that of an expectation is a covariance (Li and
Eisner 2009, First- and second-order expectation semirings, section 3.3).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from rrm.core.errors import InputError, ShapeError

Ends = tuple[int, ...]
"""A way to cut a sequence: for each part, in order, how many units lie before its end; the last is the length."""

Reduce = Literal["sum", "max"]

_NEVER = float("-inf")


@dataclass(frozen=True, eq=False)
class Cuts:
    """A distribution for each sequence of a batch: the probability of a cut is proportional to exp(sum of scores).

    `scores` [batch, units, longest] holds at [b, i, t] the score, in nats, of the part that begins at unit i and has
    t + 1 units; minus infinity for a part that cannot be. What does not fit into a sequence is ignored. `lengths`
    says how many units each sequence has (by default all of them), `parts` how many parts every cut has (by default
    as many as it likes). Results are exact in the precision of the scores. Raises ShapeError or InputError for scores
    that are not so, or of which some are NaN or plus infinity, and where no cut is possible at all.
    """

    scores: Tensor = field(repr=False)
    lengths: tuple[int, ...] = ()
    parts: int | None = None

    def __post_init__(self) -> None:
        if self.scores.ndim != 3 or 0 in self.scores.shape or not self.scores.is_floating_point():
            shape = tuple(self.scores.shape)
            raise ShapeError(f"scores of parts are floating [batch, units, longest], all from 1 up, got {shape}")
        batch, units, _ = self.scores.shape
        object.__setattr__(self, "lengths", tuple(self.lengths) or (units,) * batch)
        if len(self.lengths) != batch or not all(1 <= length <= units for length in self.lengths):
            raise ShapeError(f"{batch} sequences need as many lengths, each from 1 to {units}, got {self.lengths}")
        detached = self.scores.detach()
        if detached.isnan().any() or detached.isposinf().any():
            raise InputError("a part's score is a number or minus infinity: some are NaN or plus infinity")
        if self.parts is not None and not 1 <= self.parts <= min(self.lengths):
            raise InputError(f"a text of {min(self.lengths)} units cannot be cut into {self.parts} parts")
        for number in range(batch):
            if not bool(self._chain.log_z[number] > _NEVER):
                raise InputError(
                    f"no way to cut sequence {number} of {self.lengths[number]} units keeps the limits: parts of at"
                    f" most {self.scores.shape[2]} units, the scores' own, and {self._how_many}"
                )

    @property
    def _how_many(self) -> str:
        return "any number of parts" if self.parts is None else f"{self.parts} parts"

    @cached_property
    def _chain(self) -> "_Chain":
        inside = _inside(self.scores.detach(), self.lengths)
        kind = _Free if self.parts is None else partial(_Counted, parts=self.parts)
        return kind(inside, self.lengths)

    def log_partition(self) -> Tensor:
        """Return log Z of each sequence, [batch]; its gradient is the marginals."""
        made: Tensor = _LogPartition.apply(self.scores, self._chain)  # type: ignore[no-untyped-call]
        return made

    def expected(self, values: Tensor) -> Tensor:
        """Return the expected sum of values over the parts of a cut, [batch]; differentiable in scores and values.

        `values` is like `scores`, and finite wherever a part is possible.
        """
        if values.shape != self.scores.shape:
            raise ShapeError(f"values of parts are like their scores {tuple(self.scores.shape)}, got {values.shape}")
        made: Tensor = _Expected.apply(self.scores, values, self._chain)  # type: ignore[no-untyped-call]
        return made

    def entropy(self) -> Tensor:
        """Return the entropy of each sequence's cut, in nats, [batch]; differentiable."""
        return self.log_partition() - self.expected(_finite(self.scores, self.scores))

    def kl(self, other: "Cuts") -> Tensor:
        """Return KL(self || other) of each sequence, in nats, [batch]; differentiable in both.

        Raises InputError where the other has another shape, or rules out a cut that this one allows.
        """
        if (self.scores.shape, self.lengths, self.parts) != (other.scores.shape, other.lengths, other.parts):
            raise InputError("a KL is between two distributions over the same cuts: shapes, lengths or parts differ")
        if bool((other.scores.detach().isneginf() & (self.marginals() > 0)).any()):
            raise InputError("the KL is infinite: the other distribution rules out a part that this one allows")
        apart = _finite(self.scores, self.scores) - _finite(self.scores, other.scores)
        return self.expected(apart) - self.log_partition() + other.log_partition()

    def marginals(self) -> Tensor:
        """Return how probable each part is, [batch, units, longest]."""
        return self._chain.marginals

    def boundaries(self) -> Tensor:
        """Return how probable it is that a part begins at each unit, [batch, units]; 1 at the first."""
        return self.marginals().sum(-1)

    def log_prob(self, cuts: Sequence[Ends]) -> Tensor:
        """Return the log-probability of one cut of each sequence, [batch]; differentiable. -inf for what cannot be."""
        return self.score(cuts) - self.log_partition()

    def score(self, cuts: Sequence[Ends]) -> Tensor:
        """Return the sum of the parts' scores of one cut of each sequence, [batch]; differentiable.

        Raises InputError for what is no cut of its sequence, -inf for one that has too long or too many parts.
        """
        if len(cuts) != len(self.lengths):
            raise ShapeError(f"{len(self.lengths)} sequences need as many cuts, got {len(cuts)}")
        found = []
        for number, (ends, length) in enumerate(zip(cuts, self.lengths, strict=True)):
            starts = (0, *ends[:-1])
            sizes = [end - start for start, end in zip(starts, ends, strict=False)]
            if not ends or ends[-1] != length or min(sizes) < 1:
                raise InputError(f"no cut of {length} units: ends must ascend from 1 to {length}, got {ends}")
            if max(sizes) > self.scores.shape[2] or (self.parts or len(ends)) != len(ends):
                found.append(self.scores.new_tensor(_NEVER))
            else:
                found.append(self.scores[number, list(starts), [size - 1 for size in sizes]].sum())
        return torch.stack(found)

    def sample(self, n: int, random: np.random.Generator) -> list[list[Ends]]:
        """Return n independent exact samples of each sequence's cut, [batch][n]; equal generators, equal samples."""
        return _walk(self._chain, self.lengths, n, lambda logits: _drawn(logits, random))

    def best(self) -> list[Ends]:
        """Return the most probable cut of each sequence; among equals the one whose first parts are shortest."""
        chain = self._chain.largest()
        return [cuts[0] for cuts in _walk(chain, self.lengths, 1, lambda logits: logits.argmax(-1))]


class _Chain(Protocol):
    """The Markov chain over places, left to right, that a distribution over cuts is; all without gradient."""

    @property
    def log_z(self) -> Tensor:
        """[batch]."""
        ...

    @property
    def marginals(self) -> Tensor:
        """How probable each part is, [batch, units, longest]."""
        ...

    def onward(self, sequences: Tensor, starts: Tensor, done: int) -> Tensor:
        """Log-weights [rows, longest] of the next part of sequences at these starts, after `done` parts."""
        ...

    def expected(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """The expected sum of values, [batch], and its derivative by the scores, [batch, units, longest]."""
        ...

    def largest(self) -> "_Chain":
        """The same with maxima in the place of sums."""
        ...


class _Free:
    """Cuts of any number of parts. `ahead` [batch, units + 1] is the log-partition of what follows each place."""

    def __init__(self, scores: Tensor, lengths: Sequence[int], reduce: Reduce = "sum") -> None:
        self.scores, self._lengths = scores, lengths
        self._batch, self._units, self._longest = scores.shape
        ahead = scores.new_full((self._batch, self._units + self._longest + 1), _NEVER)
        ahead[:, self._units] = 0
        windows, targets, rows = ahead.unfold(1, self._longest, 1).unbind(1), ahead.unbind(1), scores.unbind(1)
        total = torch.empty_like(rows[0])
        for at in range(self._units - 1, -1, -1):  # the one loop that cannot be spared: each place needs those ahead
            torch.add(rows[at], windows[at + 1], out=total)
            targets[at].copy_(torch.logsumexp(total, -1) if reduce == "sum" else total.amax(-1))
        self._ahead = ahead

    @property
    def log_z(self) -> Tensor:
        return self._ahead[:, 0]

    def onward(self, sequences: Tensor, starts: Tensor, done: int) -> Tensor:
        steps = starts[:, None] + torch.arange(1, self._longest + 1)
        return self.scores[sequences, starts] + self._ahead[sequences[:, None], steps]

    def largest(self) -> "_Free":
        return _Free(self.scores, self._lengths, "max")

    @cached_property
    def _steps(self) -> Tensor:
        """How probable each part is once its place is reached, [batch, units, longest]; 0 behind a sequence's end."""
        found = _transitions(self.scores, self._ahead[:, 1:], self._ahead[:, : self._units])
        behind = torch.arange(self._units)[None] >= torch.as_tensor(self._lengths)[:, None]
        return found.masked_fill_(behind[:, :, None], 0) if bool(behind.any()) else found

    @cached_property
    def _reached(self) -> Tensor:
        """How probable each place is, [batch, units]."""
        first = self.scores.new_zeros((self._batch, self._units + self._longest + 1))
        first[:, 0] = 1
        return self._pushed(first)

    def _pushed(self, sums: Tensor) -> Tensor:
        """Add to each place what the places before it pass on along the chain, in place; return [batch, units]."""
        windows, sources, rows = (
            sums.unfold(1, self._longest, 1).unbind(1),
            sums[:, :, None].unbind(1),
            self._steps.unbind(1),
        )
        for at in range(self._units):
            windows[at + 1].addcmul_(sources[at], rows[at])
        return sums[:, : self._units]

    @cached_property
    def marginals(self) -> Tensor:
        return self._reached[:, :, None] * self._steps

    def expected(self, values: Tensor) -> tuple[Tensor, Tensor]:
        weighted = self.marginals * values
        before = self._pushed(_by_end(weighted, self._units))
        after = self.scores.new_zeros((self._batch, self._units + self._longest + 1))
        after[:, : self._units] = (self._steps * values).sum(-1)
        windows, targets, rows = after.unfold(1, self._longest, 1).unbind(1), after.unbind(1), self._steps.unbind(1)
        for at in range(self._units - 1, -1, -1):
            targets[at].add_((rows[at] * windows[at + 1]).sum(-1))
        total = after[:, 0].clone()
        later = after[:, 1:].unfold(1, self._longest, 1)[:, : self._units]
        derivative = before[:, :, None] * self._steps + weighted + self.marginals * (later - total[:, None, None])
        return total, derivative


class _Counted:
    """Cuts of a fixed number of parts. `ahead` [parts + 1][batch, units + 1]: what follows a place, by parts left."""

    def __init__(self, scores: Tensor, lengths: Sequence[int], parts: int, reduce: Reduce = "sum") -> None:
        self.scores, self.parts, self._lengths = scores, parts, lengths
        self._batch, self._units, self._longest = scores.shape
        last = scores.new_full((self._batch, self._units + self._longest + 1), _NEVER)
        last[torch.arange(self._batch), torch.as_tensor(lengths)] = 0
        self._ahead = [last]
        for _ in range(parts):
            total = scores + self._window(self._ahead[-1])
            own = torch.full_like(last, _NEVER)
            own[:, : self._units] = torch.logsumexp(total, -1) if reduce == "sum" else total.amax(-1)
            self._ahead.append(own)

    def _window(self, sums: Tensor) -> Tensor:
        """What stands at each part's end, [batch, units, longest]."""
        return sums[:, 1:].unfold(1, self._longest, 1)[:, : self._units]

    @property
    def log_z(self) -> Tensor:
        return self._ahead[-1][:, 0]

    def onward(self, sequences: Tensor, starts: Tensor, done: int) -> Tensor:
        steps = starts[:, None] + torch.arange(1, self._longest + 1)
        return self.scores[sequences, starts] + self._ahead[self.parts - done - 1][sequences[:, None], steps]

    def largest(self) -> "_Counted":
        return _Counted(self.scores, self._lengths, self.parts, "max")

    def _steps(self, left: int) -> Tensor:
        """How probable each part is at its place with so many parts left, [batch, units, longest]."""
        return _transitions(self.scores, self._ahead[left - 1][:, 1:], self._ahead[left][:, : self._units])

    @cached_property
    def _reached(self) -> list[Tensor]:
        """How probable each place is, by parts left; the first is of one part left."""
        found = [self.scores.new_zeros((self._batch, self._units))]
        found[0][:, 0] = 1
        for left in range(self.parts, 1, -1):
            sums = _by_end(found[-1][:, :, None] * self._steps(left), self._units)
            found.append(sums[:, : self._units])
        return found[::-1]

    @cached_property
    def marginals(self) -> Tensor:
        total = torch.zeros_like(self.scores)
        for left, reached in enumerate(self._reached, start=1):
            total += reached[:, :, None] * self._steps(left)
        return total

    def expected(self, values: Tensor) -> tuple[Tensor, Tensor]:
        after = [torch.zeros_like(self._ahead[0])]
        for left in range(1, self.parts + 1):
            own = torch.zeros_like(after[0])
            own[:, : self._units] = (self._steps(left) * (values + self._window(after[-1]))).sum(-1)
            after.append(own)
        total = after[-1][:, 0].clone()
        before = torch.zeros_like(self._reached[0])
        derivative = torch.zeros_like(self.scores)
        for left in range(self.parts, 0, -1):
            steps, reached = self._steps(left), self._reached[left - 1][:, :, None]
            passed = steps * (before[:, :, None] + reached * values)
            derivative += passed + steps * reached * (self._window(after[left - 1]) - total[:, None, None])
            before = _by_end(passed, self._units)[:, : self._units]
        return total, derivative


class _LogPartition(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, chain: _Chain) -> Tensor:
        ctx.chain = chain
        return chain.log_z.clone()

    @staticmethod
    def backward(ctx: Any, *outer: Any) -> Any:
        return ctx.chain.marginals * outer[0][:, None, None], None


class _Expected(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, values: Tensor, chain: _Chain) -> Tensor:
        total, derivative = chain.expected(values.detach())
        ctx.chain, ctx.derivative = chain, derivative
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Any) -> Any:
        by = outer[0][:, None, None]
        return ctx.derivative * by, ctx.chain.marginals * by, None


def _inside(scores: Tensor, lengths: Sequence[int]) -> Tensor:
    """Rule out parts that reach beyond a sequence's end; behind it stand parts of one unit that score nothing."""
    _, units, longest = scores.shape
    if all(length == units for length in lengths):
        return scores
    ends = torch.arange(units)[:, None] + torch.arange(1, longest + 1)
    until = torch.as_tensor(lengths)[:, None, None]
    found = scores.masked_fill(ends > until, _NEVER)
    behind = torch.arange(units)[None] >= until[:, :, 0]
    found[:, :, 0] = found[:, :, 0].masked_fill(behind, 0)
    return found


def _transitions(scores: Tensor, following: Tensor, here: Tensor) -> Tensor:
    """exp(score + log-partition of what follows - that of this place), 0 at places that lead nowhere."""
    windows = following.unfold(1, scores.shape[2], 1)[:, : scores.shape[1]]
    level = here.masked_fill(here.isneginf(), 0)
    return (scores + windows).sub_(level[:, :, None]).exp_()


def _by_end(weights: Tensor, units: int) -> Tensor:
    """Sum what parts carry at the place where they end, [batch, units + longest + 1]."""
    batch, _, longest = weights.shape
    ends = torch.arange(units)[:, None] + torch.arange(1, longest + 1)
    sums = weights.new_zeros((batch, units + longest + 1))
    return sums.index_add_(1, ends.flatten(), weights.reshape(batch, -1))


def _finite(where: Tensor, scores: Tensor) -> Tensor:
    """Return scores, 0 where a part cannot be: what has probability 0 adds nothing to an expectation."""
    return scores.masked_fill(where.detach().isneginf() | scores.detach().isneginf(), 0)


def _drawn(logits: Tensor, random: np.random.Generator) -> Tensor:
    """Draw an index for each row of log-weights [rows, n] by the inverse of its distribution function."""
    weights = torch.exp(logits - logits.amax(-1, keepdim=True)).cumsum(-1)
    total = weights[:, -1:]
    drawn = torch.as_tensor(random.random(len(logits)), dtype=weights.dtype)[:, None] * total
    below = torch.minimum(drawn, torch.nextafter(total, torch.zeros_like(total)))  # rounding may reach the total
    return torch.searchsorted(weights, below, right=True)[:, 0]


def _walk(chain: _Chain, lengths: Sequence[int], n: int, choose: Callable[[Tensor], Tensor]) -> list[list[Ends]]:
    """Go through n copies of every sequence from left to right, all together; return their cuts."""
    until = torch.as_tensor(lengths).repeat_interleave(n)
    sequences = torch.arange(len(lengths)).repeat_interleave(n)
    at, going = torch.zeros_like(until), torch.arange(len(until))
    found: list[list[int]] = [[] for _ in range(len(until))]
    done = 0
    while len(going):
        sizes = choose(chain.onward(sequences[going], at[going], done)) + 1
        at[going] += sizes
        for row, end in zip(going.tolist(), at[going].tolist(), strict=True):
            found[row].append(end)
        going = going[at[going] < until[going]]
        done += 1
    cuts = [tuple(each) for each in found]
    return [cuts[number * n : (number + 1) * n] for number in range(len(lengths))]
