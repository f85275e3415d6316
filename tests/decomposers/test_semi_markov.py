from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from decomposers.semi_markov import Cuts, Ends
from rrm.core.errors import InputError, ShapeError

UNITS, LONGEST = 9, 4
NEVER = float("-inf")


def every_cut(units: int, longest: int, parts: int | None = None) -> Iterator[Ends]:
    for count in range(units) if parts is None else [parts - 1]:
        for inner in combinations(range(1, units), count):
            ends = (*inner, units)
            if max(b - a for a, b in zip((0, *inner), ends, strict=True)) <= longest:
                yield ends


def scores_of(*units: int, longest: int = LONGEST, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    scores = 2 * torch.randn(len(units), max(units), longest, dtype=torch.float64, generator=random)
    scores[0, 2, 1] = NEVER
    return scores


class Brute:
    """The same quantities by listing every cut of one sequence, with torch's own derivatives."""

    def __init__(self, scores: Tensor, units: int, parts: int | None = None) -> None:
        self.cuts = [cut for cut in every_cut(units, scores.shape[1], parts) if self.total(scores, cut) > NEVER]
        self.totals = torch.stack([self.total(scores, cut) for cut in self.cuts])
        self.log_probs = self.totals - self.totals.logsumexp(0)

    @staticmethod
    def total(scores: Tensor, cut: Ends) -> Tensor:
        return torch.stack([scores[a, b - a - 1] for a, b in zip((0, *cut[:-1]), cut, strict=True)]).sum()

    def mean(self, values: Tensor) -> Tensor:
        return (self.log_probs.exp() * torch.stack([self.total(values, cut) for cut in self.cuts])).sum()

    @property
    def entropy(self) -> Tensor:
        return -(self.log_probs.exp() * self.log_probs).sum()

    def kl(self, other: "Brute") -> Tensor:
        return (self.log_probs.exp() * (self.log_probs - other.log_probs)).sum()


@pytest.mark.parametrize("parts", [None, 3, 5])
@pytest.mark.parametrize("units", [(UNITS,), (7, UNITS, 6), (12, 5)])
def test_all_quantities_and_their_gradients_are_those_of_all_cuts_listed(
    units: tuple[int, ...], parts: int | None
) -> None:
    scores, others = scores_of(*units), scores_of(*units, seed=1)
    values = torch.randn(scores.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    weights = torch.linspace(0.5, 2, len(units), dtype=torch.float64)
    inputs = [each.clone().requires_grad_() for each in (scores, others, values)]
    p, q = Cuts(inputs[0], units, parts), Cuts(inputs[1], units, parts)
    found = [p.log_partition(), p.entropy(), p.kl(q), p.expected(inputs[2])]
    listed = [each.clone().requires_grad_() for each in (scores, others, values)]
    brute = [(Brute(listed[0][at], n, parts), Brute(listed[1][at], n, parts)) for at, n in enumerate(units)]
    expected = [
        torch.stack([each.totals.logsumexp(0) for each, _ in brute]),
        torch.stack([each.entropy for each, _ in brute]),
        torch.stack([each.kl(other) for each, other in brute]),
        torch.stack([each.mean(listed[2][at]) for at, (each, _) in enumerate(brute)]),
    ]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)
        got = torch.autograd.grad((weights * ours).sum(), inputs, retain_graph=True, allow_unused=True)
        wanted = torch.autograd.grad((weights * theirs).sum(), listed, retain_graph=True, allow_unused=True)
        for mine, known in zip(got, wanted, strict=True):
            zeros = torch.zeros_like(scores)
            torch.testing.assert_close(
                zeros if mine is None else mine, zeros if known is None else known, rtol=0, atol=1e-9
            )
    for at, (each, _) in enumerate(brute):
        best = each.cuts[int(each.totals.argmax())]
        assert p.best()[at] == best
        chosen = [next(every_cut(n, LONGEST, parts)) if i != at else best for i, n in enumerate(units)]
        torch.testing.assert_close(p.log_prob(chosen)[at], each.log_probs.max(), rtol=0, atol=1e-9)
        marginals = torch.zeros_like(scores[0])
        for cut, probability in zip(each.cuts, each.log_probs.exp(), strict=True):
            for a, b in zip((0, *cut[:-1]), cut, strict=True):
                marginals[a, b - a - 1] += probability
        torch.testing.assert_close(p.marginals()[at], marginals, rtol=0, atol=1e-9)
        torch.testing.assert_close(p.boundaries()[at], marginals.sum(-1), rtol=0, atol=1e-9)


@pytest.mark.parametrize("parts", [None, 3])
def test_samples_come_as_often_as_they_are_probable(parts: int | None) -> None:
    scores = scores_of(7, 5) / 2
    distribution = Cuts(scores, (7, 5), parts)
    drawn = distribution.sample(4000, np.random.default_rng(3))
    for at, units in enumerate((7, 5)):
        brute = Brute(scores[at], units, parts)
        counts = np.array([drawn[at].count(cut) for cut in brute.cuts])
        assert counts.sum() == 4000
        expected = 4000 * brute.log_probs.exp().numpy()
        rare = expected < 5
        pooled = [np.append(each[~rare], each[rare].sum()) for each in (counts, expected)]
        keep = pooled[1] > 0
        assert chisquare(pooled[0][keep], pooled[1][keep]).pvalue > 1e-3
    assert drawn == distribution.sample(4000, np.random.default_rng(3))
    assert drawn != distribution.sample(4000, np.random.default_rng(4))


def test_long_sequences_with_huge_scores_stay_finite() -> None:
    scores = 900 * torch.randn(1, 300, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scores.requires_grad_()
    distribution = Cuts(scores)
    (distribution.entropy() + distribution.log_partition()).sum().backward()
    assert scores.grad is not None and scores.grad.isfinite().all()
    assert abs(distribution.boundaries()[0, 0].item() - 1) < 1e-12
    [best] = distribution.best()
    assert distribution.log_prob([best]).item() <= 0


def test_equal_scores_make_all_cuts_equally_probable() -> None:
    distribution = Cuts(torch.zeros(1, 10, 10, dtype=torch.float64))
    assert distribution.log_partition().item() == pytest.approx(9 * np.log(2), abs=1e-12)  # nine places to cut or not
    assert distribution.entropy().item() == pytest.approx(9 * np.log(2), abs=1e-12)
    assert distribution.boundaries()[0, 1:].tolist() == pytest.approx([0.5] * 9)
    assert Cuts(torch.zeros(1, 10, 10, dtype=torch.float64), parts=4).entropy().item() == pytest.approx(np.log(84))


def test_a_cut_that_cannot_be_has_no_probability() -> None:
    distribution = Cuts(torch.zeros(1, 5, 2, dtype=torch.float64))
    assert distribution.log_prob([(3, 5)]).item() == NEVER
    with pytest.raises(InputError, match="ends must ascend from 1 to 5"):
        distribution.log_prob([(2, 4)])
    with pytest.raises(InputError, match="ends must ascend"):
        distribution.log_prob([(2, 2, 5)])


def test_what_cannot_be_cut_is_refused() -> None:
    zeros = torch.zeros(1, 6, 2, dtype=torch.float64)
    with pytest.raises(InputError, match=r"no way to cut sequence 0 of 6 units keeps the limits.*2 parts"):
        Cuts(zeros, parts=2)
    with pytest.raises(InputError, match="cannot be cut into 7 parts"):
        Cuts(zeros, parts=7)
    with pytest.raises(InputError, match="some are NaN"):
        Cuts(zeros + float("nan"))
    with pytest.raises(InputError, match="some are NaN or plus infinity"):
        Cuts(zeros + float("inf"))
    with pytest.raises(InputError, match="no way to cut"):
        Cuts(zeros + NEVER)
    with pytest.raises(ShapeError, match=r"\[batch, units, longest\]"):
        Cuts(zeros[0])
    with pytest.raises(ShapeError, match="as many lengths"):
        Cuts(zeros, (7,))


def test_a_kl_needs_the_same_cuts_and_the_others_support() -> None:
    zeros = torch.zeros(1, 6, 3, dtype=torch.float64)
    fewer = zeros.clone()
    fewer[0, 0, 0] = NEVER
    with pytest.raises(InputError, match="rules out a part"):
        Cuts(zeros).kl(Cuts(fewer))
    assert Cuts(fewer).kl(Cuts(zeros)).item() > 0
    assert Cuts(zeros).kl(Cuts(zeros)).item() == 0
    with pytest.raises(InputError, match="same cuts"):
        Cuts(zeros).kl(Cuts(zeros, parts=3))


def test_torch_struct_finds_the_same_where_it_is_installed() -> None:
    """Rush (2020), arXiv:2002.00876: its state is one class, its potentials are [batch, units, longest + 1, 1, 1]."""
    torch_struct = pytest.importorskip("torch_struct", reason="torch-struct is not installed")
    scores = torch.randn(2, 40, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    potentials = torch.full((2, 40, 13, 1, 1), -1e5, dtype=torch.float64)
    potentials[:, :, 1:, 0, 0] = scores
    potentials.requires_grad_()
    ours, theirs = Cuts(scores), torch_struct.SemiMarkovCRF(potentials, lengths=torch.tensor([41, 41]))
    torch.testing.assert_close(ours.log_partition(), theirs.partition, rtol=0, atol=1e-9)
    torch.testing.assert_close(ours.entropy(), theirs.entropy, rtol=0, atol=1e-9)
    [shares] = torch.autograd.grad(theirs.partition.sum(), potentials)
    torch.testing.assert_close(ours.marginals(), shares[:, :, 1:, 0, 0], rtol=0, atol=1e-9)
