"""Optimisers that reweigh a policy's outputs: exact where these can be listed, bounded where they are drawn."""

from collections import Counter
from math import exp, inf, log
from pathlib import Path

import numpy as np
import pytest

from rrm.core.errors import InputError, RoleError
from rrm.core.protocols import Listable, Optimiser, Policy, PromptContext, Seen, Workspace
from rrm.core.roles import Select
from rrm.core.values import Group
from rrm.policy.careless import Careless
from rrm.policy.conditioning import Conditioning
from rrm.policy.extractive import Extractive
from rrm.policy.finite import Finite
from rrm.policy.imitation import Imitation
from rrm.policy.interpolation import Interpolation, Mixed
from rrm.policy.kl_anchored import KLAnchored, Tilted
from rrm.policy.log_linear import LogLinear
from rrm.policy.matching import Matching
from rrm.policy.quantilizer import Quantilized, Quantilizer
from rrm.policy.reweighted import STATE, Reweighted, Reweighting
from tests.policy.policy_scenes import Known, early, prompt_context, proposed

SHORT = "Anna left. Peter wept. Nobody spoke."
OPTIMISERS = (Quantilizer(), KLAnchored(), KLAnchored(0.2, reward="log_acceptance"), Conditioning(), Matching())


def length(group: Group, text: str) -> float:
    return (1 + len(text)) / 200


def small() -> PromptContext:
    return prompt_context(SHORT, limit=6)


def seen(given: PromptContext) -> Seen:
    return Seen("one", given, tuple(proposed(Extractive(), given, 8, 0)))


def base_of(given: PromptContext) -> tuple[list[str], Finite]:
    known = Extractive().listed(given, 99)
    assert known is not None
    return list(known), Finite(np.array(list(known.values())))


def test_what_a_policy_lists_is_all_that_it_proposes() -> None:
    given, policy = small(), Extractive()
    assert isinstance(policy, Listable) and not isinstance(Careless(), Listable)
    texts, base = base_of(given)
    assert base.log_probs == pytest.approx(policy.log_prob(given, texts), abs=1e-12)
    assert {output.text for output in proposed(policy, given, 200, 0)} <= set(texts)
    assert policy.listed(given, len(texts) - 1) is None and policy.listed(prompt_context(), 8) is None


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=lambda each: type(each).__name__)
def test_a_listed_policy_is_what_its_rule_makes_of_the_anchor(optimiser: Reweighting, tmp_path: Path) -> None:
    given, scorer = small(), Known(length)
    found = optimiser.improve(Extractive(), Extractive(), [seen(given)], scorer, 0.5, 0, Workspace(tmp_path))
    texts, base = base_of(given)
    target = optimiser.rule(0.5)(base, np.array([length(None, text) for text in texts]), texts)  # type: ignore[arg-type]
    assert isinstance(optimiser, Optimiser) and isinstance(found.sampler, Reweighted)
    assert found.how == "exact" and found.kl == pytest.approx(target.kl(base), abs=1e-12) and found.kl <= 0.5 + 1e-12
    assert np.exp(found.sampler.log_prob(given, texts)) == pytest.approx(target.probs, abs=1e-12)
    assert found.sampler.kl(given, Extractive()) == pytest.approx(found.kl, abs=1e-12)
    assert found.sampler.entropy(given) == pytest.approx(target.entropy(), abs=1e-12)
    drawn = Counter(output.text for output in proposed(found.sampler, given, 2000, 3))
    for text, chance in zip(texts, target.probs, strict=True):
        assert drawn[text] / 2000 == pytest.approx(chance, abs=5 * np.sqrt(chance / 2000) + 1e-12)
    [one] = proposed(found.sampler, given, 1, 3)
    assert one.policy == found.sampler.name and one.log_prob == pytest.approx(target.log_probs[texts.index(one.text)])


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=lambda each: type(each).__name__)
def test_a_drawn_policy_stays_within_the_budget_too(optimiser: Reweighting, tmp_path: Path) -> None:
    """The KL of what is drawn from candidates, found from very many, is below the bound that is told."""
    given, budget = small(), 0.5
    drawing = type(optimiser)(**{**vars(optimiser), "most": 0, "samples": 6})
    found = drawing.improve(Extractive(), Extractive(), [seen(given)], Known(length), budget, 0, Workspace(tmp_path))
    assert found.how == "bound" and found.kl == pytest.approx(budget)
    texts, base = base_of(given)
    drawn = Counter(output.text for output in proposed(found.sampler, given, 1000, 3))
    often = np.array([drawn[text] for text in texts]) / 1000
    spent = sum(p * log(p / q) for p, q in zip(often, base.probs, strict=True) if p > 0)
    assert 0.02 < spent < budget  # it is better, and inside; the estimate is biased upwards, by some 3/1000 only
    assert often @ [len(text) for text in texts] > base.mean(np.array([len(text) for text in texts]))
    with pytest.raises(InputError, match="cannot list them"):
        found.sampler.log_prob(given, texts)
    assert all(output.log_prob is None for output in proposed(found.sampler, given, 3, 0))


def test_any_policy_can_be_drawn_from(tmp_path: Path) -> None:
    given = prompt_context()
    found = Quantilizer().improve(Careless(), Careless(), [seen(given)], Known(length), 1.0, 0, Workspace(tmp_path))
    assert (found.kl, found.how) == (1.0, "bound")
    few = Quantilizer(samples=2).improve(
        Careless(), Careless(), [seen(given)], Known(length), 1.0, 0, Workspace(tmp_path)
    )
    assert few.kl == log(2)  # two candidates cannot tell more
    assert isinstance(found.sampler, Policy)
    longer = [len(each.text) for each in proposed(found.sampler, given, 40, 0)]
    assert np.mean(longer) > np.mean([len(each.text) for each in proposed(Careless(), given, 40, 0)])


@pytest.mark.parametrize(
    "optimiser", [*OPTIMISERS, Imitation(), Interpolation(Quantilizer())], ids=lambda o: type(o).__name__
)
def test_what_was_saved_is_loaded_and_what_is_of_others_refused(optimiser: Optimiser, tmp_path: Path) -> None:
    given, scorer = small(), Known(length)
    made = optimiser.improve(LogLinear(), LogLinear(), [seen(given)], scorer, 0.5, 0, Workspace(tmp_path)).sampler
    loaded = optimiser.load(tmp_path, LogLinear(), scorer)
    assert loaded.name == made.name != LogLinear().name
    assert proposed(loaded, given, 5, 3) == proposed(made, given, 5, 3)
    judge = Known(early, role=Select)
    with pytest.raises(RoleError, match="not of role select"):
        optimiser.improve(LogLinear(), LogLinear(), [seen(given)], judge, 0.5, 0, Workspace(tmp_path))
    for budget in (0.0, -1.0, inf):
        with pytest.raises(InputError, match="positive number of nats"):
            optimiser.improve(LogLinear(), LogLinear(), [seen(given)], scorer, budget, 0, Workspace(tmp_path))
    assert judge.calls == 0


def test_another_optimisers_folder_is_refused(tmp_path: Path) -> None:
    Quantilizer().improve(Extractive(), Extractive(), [seen(small())], Known(length), 0.5, 0, Workspace(tmp_path))
    with pytest.raises(InputError, match=f"{STATE} was not written by this optimiser"):
        KLAnchored().load(tmp_path, Extractive(), Known(length))


def test_weights_that_another_imitation_left_are_refused(tmp_path: Path) -> None:
    Imitation().improve(LogLinear(), LogLinear(), [seen(small())], Known(length), 0.5, 0, Workspace(tmp_path))
    with pytest.raises(InputError, match="was not written by this optimiser"):
        Imitation(samples=4).load(tmp_path, LogLinear(), Known(length))


def test_settings_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"set q to at least 0\.6065"):
        Quantilizer(q=0.1).rule(0.5)
    for make, said in (
        (lambda: Quantilizer(q=0.0), r"lies in \(0, 1\]"),
        (lambda: Quantilizer(samples=0), "samples >= 1"),
        (lambda: KLAnchored(beta=0.0), "positive number"),
        (lambda: KLAnchored(reward="gold"), "acceptance, log_acceptance"),  # type: ignore[arg-type]
        (lambda: Conditioning(rating=1.5), r"in \[0, 1\]"),
        (lambda: Matching({"colour": 1.0}), "acceptance, words"),
        (lambda: Matching({}), "acceptance, words"),
        (lambda: Interpolation(Quantilizer(), 0.0), r"lies in \(0, 1\]"),
        (lambda: Imitation(samples=1), "samples >= 2"),
    ):
        with pytest.raises(InputError, match=said):
            make()
    asking = Conditioning(rating=0.9)
    with pytest.raises(InputError, match=r"a rating of 0.9 was never seen, the highest was 0\.1"):
        asking.improve(Extractive(), Extractive(), [seen(small())], Known(length), 0.5, 0, Workspace(tmp_path))
    bold = Conditioning(rating=0.9, beyond=True)
    found = bold.improve(Extractive(), Extractive(), [seen(small())], Known(length), 0.5, 0, Workspace(tmp_path))
    assert found.kl <= 0.5


def test_a_mixture_writes_what_either_writes_as_often_as_it_should() -> None:
    given = small()
    texts, base = base_of(given)
    better = Reweighted(Extractive(), Known(length), Quantilized(0.3), 1, 99)
    policy = Mixed(Extractive(), better, 0.25)
    expected = 0.75 * base.probs + 0.25 * np.exp(better.log_prob(given, texts))
    assert np.exp(policy.log_prob(given, texts)) == pytest.approx(expected, abs=1e-12)
    assert policy.listed(given, 99) == pytest.approx(dict(zip(texts, np.log(expected), strict=True)))
    drawn = Counter(output.text for output in proposed(policy, given, 2000, 0))
    for text, chance in zip(texts, expected, strict=True):
        assert drawn[text] / 2000 == pytest.approx(chance, abs=5 * np.sqrt(chance / 2000) + 1e-12)
    with pytest.raises(InputError, match="nor does its mixture"):
        Mixed(Careless(), better, 0.5).log_prob(given, texts)
    assert Mixed(Careless(), better, 0.5).listed(given, 99) is None


def test_an_interpolations_kl_is_below_its_bound(tmp_path: Path) -> None:
    given = small()
    optimiser = Interpolation(KLAnchored(), share=0.5)
    found = optimiser.improve(Extractive(), Extractive(), [seen(given)], Known(length), 0.3, 0, Workspace(tmp_path))
    texts, base = base_of(given)
    assert isinstance(found.sampler, Mixed) and found.how == "bound" and found.kl <= 0.3 + 1e-12
    mine = Finite(found.sampler.log_prob(given, texts))
    assert 0 < mine.kl(base) < found.kl


def test_filtered_imitation_moves_towards_the_quantilizer(tmp_path: Path) -> None:
    """With many samples and hardly a prior it ends at the member of its family nearest to the quantilizer."""
    given = small()
    optimiser = Imitation(Quantilizer(q=0.3), samples=400, ridge=1e-4)
    found = optimiser.improve(LogLinear(), LogLinear(), [seen(given)], Known(length), 5.0, 0, Workspace(tmp_path))
    texts, base = base_of(given)
    scores = np.array([len(text) for text in texts], dtype=float)
    target = Quantilized(0.3)(base, scores, texts)
    assert isinstance(found.sampler, LogLinear) and found.how == "exact"
    after = Finite(found.sampler.log_prob(given, texts))
    assert target.kl(after) < 0.25 * target.kl(base)
    assert after.mean(scores) == pytest.approx(target.mean(scores), rel=0.1)


def test_imitation_keeps_its_budget_and_careless_mistakes(tmp_path: Path) -> None:
    given = prompt_context()
    found = Imitation().improve(Careless(), Careless(), [seen(given)], Known(length), 0.1, 0, Workspace(tmp_path))
    assert isinstance(found.sampler, Careless) and found.sampler.rate == Careless().rate
    assert found.kl <= 0.1 + 1e-9 and found.kl == pytest.approx(found.sampler.kl(given, Careless()))
    with pytest.raises(InputError, match="best-of-n improves any policy"):
        mixed = Mixed(Careless(), Careless(), 0.5)
        Imitation().improve(mixed, mixed, [seen(given)], Known(early), 0.1, 0, Workspace(tmp_path))


def test_scores_that_do_not_differ_teach_imitation_nothing(tmp_path: Path) -> None:
    alike = Known(lambda *_: 0.5)
    with pytest.raises(InputError, match=r"all 16 candidates score as the others of their node do .* nothing to learn"):
        Imitation().improve(LogLinear(), LogLinear(), [seen(small())], alike, 1.0, 0, Workspace(tmp_path))


def test_a_tilt_by_a_set_beta_is_drawn_back_where_it_would_go_too_far(tmp_path: Path) -> None:
    given = small()
    far = KLAnchored(beta=1e-3).improve(
        Extractive(), Extractive(), [seen(given)], Known(length), 0.2, 0, Workspace(tmp_path)
    )
    assert far.kl == pytest.approx(0.2, rel=1e-6) and far.kl <= 0.2
    near = KLAnchored(beta=10.0).improve(
        Extractive(), Extractive(), [seen(given)], Known(length), 0.2, 0, Workspace(tmp_path)
    )
    texts, base = base_of(given)
    scores = np.array([length(None, text) for text in texts])  # type: ignore[arg-type]
    assert near.kl < 0.2 and near.kl == pytest.approx(Tilted(10.0)(base, scores, texts).kl(base))
    assert exp(near.sampler.log_prob(given, texts[:1])[0]) > 0
