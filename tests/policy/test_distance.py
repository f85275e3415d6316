"""How far a policy lies from another: exact by hand, estimated from samples, and who reports less."""

from collections.abc import Sequence
from dataclasses import replace
from math import log

import numpy as np
import pytest

from rrm.core.errors import InputError
from rrm.core.protocols import PromptContext, ProposeJob, Seen
from rrm.core.values import Output
from rrm.policy.best_of_n import best_of, kl_estimate
from rrm.policy.careless import Careless
from rrm.policy.distance import log_ratio, measured, understated
from rrm.policy.extractive import Extractive
from rrm.policy.finite import Finite
from rrm.policy.log_linear import LogLinear
from tests.policy.policy_scenes import TEXT, prompt_context, proposed

HERE = prompt_context(TEXT, 30)
SEEN = [Seen("one", HERE, ()), Seen("two", prompt_context(TEXT[40:], 20, node="b"), ())]


class Coin:
    """Says heads with a probability, else tails; `dense` says whether it knows how probable they are."""

    def __init__(self, heads: float, name: str) -> None:
        self.heads, self.name = heads, name

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        return [
            [
                Output(
                    job.prompt_context.node,
                    "heads" if np.random.default_rng([job.seed % 2**32, at]).random() < self.heads else "tails",
                    self.name,
                    at,
                )
                for at in range(job.n)
            ]
            for job in jobs
        ]


class KnownCoin(Coin):
    """A coin that knows its probabilities."""

    def log_prob(self, prompt_context: PromptContext, texts: Sequence[str]) -> np.ndarray:
        return np.array([log(self.heads if text == "heads" else 1 - self.heads) for text in texts])


def moved() -> LogLinear:
    base = LogLinear(Extractive())
    return base.with_weights(np.linspace(-0.8, 0.9, len(base.weights)))


def test_a_policy_that_knows_its_distance_is_measured_exactly() -> None:
    policy, anchor = moved(), Extractive()
    found = measured(policy, anchor, SEEN)
    assert found is not None and found.how == "exact" and found.least == found.nats
    assert found.nats == pytest.approx(np.mean([policy.kl(each.prompt_context, anchor) for each in SEEN]))
    careless = measured(Careless(writer=policy), Careless(writer=anchor), SEEN)
    assert careless is not None and careless.nats == pytest.approx(found.nats)


def test_one_that_knows_how_probable_texts_are_is_measured_from_samples() -> None:
    seen = [Seen("one", prompt_context(node=f"n{at}"), ()) for at in range(30)]
    found = measured(KnownCoin(0.9, "a"), KnownCoin(0.2, "b"), seen)
    truth = 0.9 * log(0.9 / 0.2) + 0.1 * log(0.1 / 0.8)
    assert found is not None and found.how == "estimated" and found.least <= truth
    assert found.nats == pytest.approx(truth, abs=0.5)  # 32 outputs with a standard deviation of 1.1 nats


def test_of_one_that_knows_nothing_nothing_is_measured() -> None:
    assert measured(Coin(0.9, "a"), Coin(0.2, "b"), SEEN) is None
    assert log_ratio(Coin(0.9, "a"), Coin(0.2, "b"), HERE, Output("node", "heads", "a", 0)) is None
    assert measured(Coin(0.9, "a"), Coin(0.9, "a"), SEEN) == (0.0, "exact", 0.0)


def test_who_reports_less_than_was_spent_is_found_out_and_rounding_is_forgiven() -> None:
    found = measured(moved(), Extractive(), SEEN)
    assert found is not None
    assert understated(found.nats - 0.01, found) and understated(0.0, found)
    assert not understated(found.nats - 1e-9, found) and not understated(found.nats + 1, found)


def test_a_log_ratio_has_the_mean_of_the_kl() -> None:
    policy, anchor = moved(), Extractive()
    for own, other in ((policy, anchor), (Careless(writer=policy), Careless(writer=anchor))):
        ratios = [log_ratio(own, other, HERE, output) for output in proposed(own, HERE, 2000, 3)]
        known = np.array(ratios, dtype=np.float64)
        assert known.mean() == pytest.approx(policy.kl(HERE, anchor), abs=3.5 * known.std() / 2000**0.5)


def test_what_is_booked_at_a_node_comes_to_the_kl_of_what_was_chosen() -> None:
    """An improved policy writes four candidates and the longest is chosen: against the exact distribution of that."""
    policy, anchor, n = moved(), Extractive(), 4
    own, other = policy.listed(HERE, 256), anchor.listed(HERE, 256)
    assert own is not None and other is not None
    texts = sorted(own)
    base = Finite(np.array([own[text] for text in texts]))
    lengths = np.array([len(text) + 0.001 * at for at, text in enumerate(texts)])  # no two alike
    chosen = best_of(base, lengths, n)
    exact = chosen.kl(Finite(np.array([other[text] for text in texts])))
    booked = 0.0
    for text, probability in zip(texts, chosen.probs, strict=True):
        output = Output("node", text, policy.name, 0)
        ratio = log_ratio(policy, anchor, HERE, output)
        assert ratio is not None
        booked += probability * (ratio + kl_estimate(np.array([own[text]]), n))
    assert booked == pytest.approx(exact, rel=0.1)
    apart = policy.kl(HERE, anchor) + chosen.kl(base)  # as if what was chosen were drawn
    assert abs(booked - exact) < abs(apart - exact)


class Estimating(Coin):
    """A coin that does not know its probabilities, and estimates its KL from another as its seeds say."""

    def sampled_kl(self, prompt_context: PromptContext, other: Coin, seeds: Sequence[int]) -> np.ndarray:
        if not isinstance(other, Coin):
            raise InputError("that is no coin")
        p, q = self.heads, other.heads
        return np.full(len(seeds), p * log(p / q) + (1 - p) * log((1 - p) / (1 - q)))


def test_a_policy_that_estimates_its_distance_from_samples_is_asked() -> None:
    found = measured(Estimating(0.7, "seven"), Coin(0.5, "five"), SEEN)
    assert found is not None and found.how == "estimated"
    assert found.nats == found.least == pytest.approx(0.7 * log(1.4) + 0.3 * log(0.6))
    assert measured(Estimating(0.7, "seven"), Extractive(), SEEN) is None


def test_of_what_was_cut_off_no_log_ratio_is_known() -> None:
    policy, anchor = KnownCoin(0.7, "seven"), KnownCoin(0.5, "five")
    [output] = proposed(policy, HERE, 1, 0)
    assert log_ratio(policy, anchor, HERE, output) is not None
    assert log_ratio(policy, anchor, HERE, replace(output, truncated=True)) is None
