"""Policy gradient: reward rises towards the best possible, the budget is kept exactly, kills change nothing."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import exp, inf, nan
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
import pytest

from rrm.core.errors import InputError, RoleError
from rrm.core.place import Place
from rrm.core.protocols import Optimiser, PromptContext, Seen, Workspace
from rrm.core.roles import Final, Role, Select, Train
from rrm.core.values import OVERALL, Group, Prediction
from rrm.policy.careless import Careless
from rrm.policy.extractive import Extractive
from rrm.policy.gradient import STATE, PolicyGradient, Selecting
from rrm.policy.language_model import LanguageModelPolicy
from rrm.policy.log_linear import LogLinear, names
from rrm.policy.selection import SentencePolicy
from tests.policy.policy_scenes import TEXT, Known, early, joined, prompt_context, proposed, said

OTHER = (
    "The mill burned. Anna wept for days. It was cold. Peter laughed. Nobody knew why. Martha wrote to Anna at dawn."
)
SEEN = [
    Seen("one", prompt_context(node="a"), ()),
    Seen("two", prompt_context(OTHER, 20, node="b"), ()),
    Seen("two", joined([0.9, 0.2, 0.5], 40), ()),
]


def quick(steps: int = 4, samples: int = 8) -> PolicyGradient:
    return PolicyGradient(steps=steps, samples=samples)


def expected(policy: SentencePolicy, seen: Seen, reward: Callable[[Group, str], float]) -> float:
    """The exact expected reward, selection by selection."""
    walk, group = policy.walk(seen.prompt_context), Group(seen.source, Place(), seen.prompt_context.view, ())
    return sum(exp(each.log_prob) * reward(group, walk.write(each.chosen)) for each in walk.selections())


class LevelKl(NamedTuple):
    mean: float
    most: float
    """The KL at the prompt_context where it is largest."""


def kl_of_levels(policy: SentencePolicy, anchor: SentencePolicy, seen: Sequence[Seen]) -> LevelKl:
    """The KL, selection by selection: its mean over the materials of the level where that is largest, and the most."""
    found = defaultdict(list)
    for each in seen:
        theirs = {one.chosen: one.log_prob for one in anchor.walk(each.prompt_context).selections()}
        mine = policy.walk(each.prompt_context).selections()
        kl = sum(exp(one.log_prob) * (one.log_prob - theirs[one.chosen]) for one in mine)
        found[each.prompt_context.place.level].append(kl)
    return LevelKl(max(map(fmean, found.values())), max(map(max, found.values())))


def best_within(given: PromptContext, reward: Callable[[Group, str], float], budget: float) -> float:
    """The most that any distribution within the budget expects: the anchor tilted by exp(reward / beta)."""
    walk, group = Extractive().walk(given), Group("", Place(), given.view, ())
    drawn = list(walk.selections())
    base = np.array([exp(each.log_prob) for each in drawn])
    rewards = np.array([reward(group, walk.write(each.chosen)) for each in drawn])
    low, high = 0.0, 1e3
    for _ in range(100):
        middle = (low + high) / 2
        tilted = base * np.exp(middle * (rewards - rewards.max()))
        tilted /= tilted.sum()
        low, high = (middle, high) if (tilted * np.log(tilted / base)).sum() < budget else (low, middle)
    return float(tilted @ rewards)


def test_it_is_an_optimiser_named_by_its_settings() -> None:
    assert isinstance(PolicyGradient(), Optimiser)
    assert PolicyGradient().name == PolicyGradient().name != PolicyGradient(damping=0.2).name


@pytest.mark.parametrize("budget", [0.05, 0.5, 2.0])
def test_reward_rises_at_every_prompt_context_and_the_budget_is_kept_and_used(tmp_path: Path, budget: float) -> None:
    anchor = LogLinear()
    found = quick().improve(Extractive(), anchor, SEEN, Known(early), budget, 0, Workspace(tmp_path))
    assert isinstance(found.sampler, LogLinear)
    assert found.how == "exact"
    spent = kl_of_levels(found.sampler, anchor, SEEN)
    assert found.kl == pytest.approx(spent.mean, abs=1e-10)
    assert 0.9 * budget < spent.most <= budget + 1e-10
    for seen in SEEN:
        assert expected(found.sampler, seen, early) > expected(anchor, seen, early)


def test_the_budget_holds_at_materials_that_were_not_seen(tmp_path: Path) -> None:
    found = quick().improve(LogLinear(), LogLinear(), SEEN[:1], Known(early), 0.2, 0, Workspace(tmp_path))
    assert isinstance(found.sampler, LogLinear)
    free = replace(found.sampler, leash=None)
    unseen = [
        Seen("new", prompt_context(text, limit, node=f"{limit}"), ())
        for text in (TEXT, OTHER)
        for limit in (12, 25, 45)
    ]
    assert kl_of_levels(free, LogLinear(), unseen).most > 0.22
    held = [found.sampler.kl(each.prompt_context, LogLinear()) for each in unseen]
    assert 0.19 < max(held) <= 0.2 + 1e-10
    for each, kl in zip(unseen, held, strict=True):
        if free.kl(each.prompt_context, LogLinear()) <= 0.2:
            assert kl == free.kl(each.prompt_context, LogLinear())


@pytest.mark.parametrize("budget", [0.1, 0.5])
def test_the_best_value_that_the_budget_allows_is_approached(tmp_path: Path, budget: float) -> None:
    seen, method = [Seen("one", prompt_context(), ())], PolicyGradient(steps=15, samples=200, damping=0.01)
    found = method.improve(LogLinear(), LogLinear(), seen, Known(early), budget, 0, Workspace(tmp_path))
    start, best = expected(LogLinear(), seen[0], early), best_within(seen[0].prompt_context, early, budget)
    reached = expected(found.sampler, seen[0], early)
    assert reached <= best + 1e-9
    assert reached - start > 0.9 * (best - start)


def test_a_careless_sampler_keeps_its_mistakes_and_learns_what_to_select(tmp_path: Path) -> None:
    anchor = Careless(0.3)
    found = quick().improve(
        anchor, anchor, SEEN, Known(lambda group, text: float("Anna" in text)), 0.5, 0, Workspace(tmp_path)
    )
    assert isinstance(found.sampler, Careless)
    assert found.sampler.rate == 0.3
    assert found.kl == pytest.approx(kl_of_levels(found.sampler.writer, anchor.writer, SEEN).mean, abs=1e-10)


def test_another_round_starts_from_the_last_and_stays_near_the_same_anchor(tmp_path: Path) -> None:
    first = quick().improve(LogLinear(), LogLinear(), SEEN, Known(early), 0.3, 0, Workspace(tmp_path / "1"))
    far = first.sampler.with_weights(10 * np.array(first.sampler.weights))
    second = quick(steps=1).improve(far, LogLinear(), SEEN, Known(early), 0.3, 1, Workspace(tmp_path / "2"))
    assert second.kl <= 0.3
    assert expected(second.sampler, SEEN[0], early) > expected(LogLinear(), SEEN[0], early)


def test_a_scorer_that_likes_all_the_same_moves_nothing(tmp_path: Path) -> None:
    found = quick().improve(LogLinear(), LogLinear(), SEEN, Known(lambda group, text: 0.4), 1.0, 0, Workspace(tmp_path))
    assert (found.sampler, found.kl) == (LogLinear(), 0.0)


def test_the_members_mean_is_the_reward(tmp_path: Path) -> None:
    class Members(Known):
        def score(self, groups: Sequence[Group]) -> list[Prediction]:
            means = [prediction.acceptance[OVERALL][0] for prediction in super().score(groups)]
            return [said(mean / 2, mean * 3 / 2) for mean in means]

    found = [
        quick()
        .improve(LogLinear(), LogLinear(), SEEN, kind(early), 0.5, 0, Workspace(tmp_path / kind.__name__))
        .sampler
        for kind in (Known, Members)
    ]
    assert found[0].weights == pytest.approx(found[1].weights, abs=1e-9)


def test_equal_seeds_give_equal_policies_and_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    runs = [
        quick().improve(
            LogLinear(),
            LogLinear(),
            SEEN,
            Known(early),
            0.5,
            seed,
            Workspace(tmp_path / str(n), lambda *at: told.append(at)),
        )
        for n, seed in enumerate((0, 0, 1))
    ]
    assert runs[0] == runs[1] != runs[2]
    assert told[:4] == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_kill_at_any_step_ends_where_it_would_have_ended(tmp_path: Path, after: int) -> None:
    def run(folder: Path, scorer: Known) -> LogLinear:
        found = quick().improve(LogLinear(), LogLinear(), SEEN, scorer, 0.5, 7, Workspace(folder))
        assert isinstance(found.sampler, LogLinear)
        return found.sampler

    whole = run(tmp_path / "whole", Known(early))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", Known(early, fails_after=after))
    scorer = Known(early)
    assert run(tmp_path / "killed", scorer) == whole
    assert scorer.calls == 4 - after
    again = Known(early)
    assert (run(tmp_path / "killed", again), again.calls) == (whole, 0)


def test_a_batch_of_nodes_is_enough(tmp_path: Path) -> None:
    sizes: list[int] = []

    class Counting(Known):
        def score(self, groups: Sequence[Group]) -> list[Prediction]:
            sizes.append(len(groups))
            return super().score(groups)

    method = PolicyGradient(steps=3, samples=4, nodes=2)
    found = method.improve(LogLinear(), LogLinear(), SEEN, Counting(early), 0.2, 0, Workspace(tmp_path))
    assert sizes == [2, 2, 2]
    assert found.kl <= 0.2  # over all, not only over the batch


def test_groups_are_at_their_prompt_contexts_level_and_source(tmp_path: Path) -> None:
    asked: set[tuple[str, int]] = set()

    def note(group: Group, text: str) -> float:
        asked.add((group.source, group.place.level))
        return 0.5

    quick(steps=1).improve(LogLinear(), LogLinear(), SEEN, Known(note), 0.2, 0, Workspace(tmp_path))
    assert asked == {("one", 0), ("two", 0), ("two", 1)}


@pytest.mark.parametrize("budget", [0.0, -1.0, nan, inf])
def test_a_budget_that_is_none_is_refused(tmp_path: Path, budget: float) -> None:
    with pytest.raises(InputError, match="positive number of nats"):
        quick().improve(LogLinear(), LogLinear(), SEEN, Known(early), budget, 0, Workspace(tmp_path))


def test_nothing_to_improve_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="given none"):
        quick().improve(LogLinear(), LogLinear(), [], Known(early), 1.0, 0, Workspace(tmp_path))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda groups: [said([nan] * 8) for _ in groups], "must be finite"),
        (lambda groups: [said([2.0] * 8) for _ in groups], r"must lie in \[0, 1\]"),
        (lambda groups: [said([0.0] * 7) for _ in groups], "scored 7 outputs of 8"),
        (lambda groups: [said([0.0] * 8)], "1 groups of 3"),
    ],
)
def test_scores_that_mean_nothing_are_refused(tmp_path: Path, answer, message: str) -> None:
    class Broken:
        name, role = "broken", Train

        def score(self, groups: Sequence[Group]) -> list[Prediction]:
            return answer(groups)

    with pytest.raises(InputError, match=message):
        quick().improve(LogLinear(), LogLinear(), SEEN, Broken(), 1.0, 0, Workspace(tmp_path))


def test_policies_whose_kl_would_not_be_exact_are_refused(tmp_path: Path) -> None:
    model = LanguageModelPolicy.__new__(LanguageModelPolicy)
    for sampler, anchor, message in (
        (model, LogLinear(), "best-of-n improves any"),
        (LogLinear(), LogLinear(Extractive(temperature=1.0)), "same settings"),
        (Careless(0.1), Careless(0.2), "same settings"),
        (Careless(0.1), LogLinear(), "same settings"),
    ):
        with pytest.raises(InputError, match=message):
            quick().improve(sampler, anchor, SEEN, Known(early), 1.0, 0, Workspace(tmp_path))


def test_a_workspace_of_another_improvement_and_a_broken_one_are_refused(tmp_path: Path) -> None:
    quick().improve(LogLinear(), LogLinear(), SEEN, Known(early), 0.5, 0, Workspace(tmp_path))
    for seed, scorer in ((1, Known(early)), (0, Known(early, name="other"))):
        with pytest.raises(InputError, match="another improvement"):
            quick().improve(LogLinear(), LogLinear(), SEEN, scorer, 0.5, seed, Workspace(tmp_path))
    state = json.loads((tmp_path / STATE).read_text())
    for change in ({"step": "2"}, {"step": 99}, {"weights": dict.fromkeys(names(), nan)}):
        (tmp_path / STATE).write_text(json.dumps({**state, **change}))
        with pytest.raises(InputError, match=STATE):
            quick().improve(LogLinear(), LogLinear(), SEEN, Known(early), 0.5, 0, Workspace(tmp_path))


@pytest.mark.parametrize(
    "settings", [{"steps": 0}, {"samples": 1}, {"nodes": 0}, {"damping": 0.0}, {"damping": nan}, {"damping": inf}]
)
def test_settings_without_sense_are_refused(settings: dict) -> None:
    with pytest.raises(InputError, match="policy gradient needs"):
        PolicyGradient(**settings)


@pytest.mark.parametrize("text", ["", "One.", "word " * 200])
def test_prompt_contexts_with_nothing_to_decide_do_no_harm(tmp_path: Path, text: str) -> None:
    only = [Seen("one", prompt_context(text, 10), ())]
    found = quick().improve(
        LogLinear(), LogLinear(), only, Known(lambda group, text: len(text) / 100), 0.5, 0, Workspace(tmp_path)
    )
    assert 0 <= found.kl <= 0.5
    assert len(proposed(found.sampler, only[0].prompt_context, 1, 0)) == 1


def test_a_level_of_few_prompt_contexts_keeps_the_budget_as_the_others_do(tmp_path: Path) -> None:
    many = [Seen("one", prompt_context(" ".join([OTHER] * (1 + n % 2)), 20, node=f"leaf-{n}"), ()) for n in range(6)]
    seen = [*many, Seen("two", joined([0.9, 0.2, 0.5], 40), ())]
    found = quick().improve(LogLinear(), LogLinear(), seen, Known(early), 0.3, 0, Workspace(tmp_path))
    assert isinstance(found.sampler, LogLinear)
    levels = [[each for each in seen if each.prompt_context.place.level == level] for level in (0, 1)]
    spent = [kl_of_levels(found.sampler, LogLinear(), each) for each in levels]
    assert all(each.most <= 0.3 + 1e-10 for each in spent)
    assert found.kl == pytest.approx(max(each.mean for each in spent), abs=1e-10)


@pytest.mark.parametrize("role", [Select, Final])
def test_a_scorer_that_may_not_be_optimised_against_is_refused(tmp_path: Path, role: type[Role]) -> None:
    judge = Known(early, role=role)
    with pytest.raises(RoleError, match=f"not of role {role.name}"):
        quick().improve(LogLinear(), LogLinear(), SEEN, judge, 0.5, 0, Workspace(tmp_path))
    assert judge.calls == 0
    assert not (tmp_path / STATE).exists()


@pytest.mark.parametrize("anchor", [Extractive(), LogLinear(), Careless(0.3)])
def test_what_was_saved_is_loaded_as_the_same_policy(tmp_path: Path, anchor: Selecting) -> None:
    shorter = Known(lambda group, text: 1 / (1 + len(text)))
    made = quick().improve(anchor, anchor, SEEN, shorter, 0.5, 0, Workspace(tmp_path)).sampler
    loaded = quick().load(tmp_path, anchor, shorter)
    assert loaded.name == made.name != anchor.name
    for each in SEEN:
        assert proposed(loaded, each.prompt_context, 5, 3) == proposed(made, each.prompt_context, 5, 3)


def test_a_folder_without_an_improvement_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=STATE):
        quick().load(tmp_path, LogLinear(), Known(early))


def test_without_its_guard_it_would_learn_what_the_judge_of_role_select_likes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Known(early, role=Select)
    monkeypatch.setattr("rrm.policy.gradient.for_improving", lambda scorer: scorer)
    leaked = quick().improve(LogLinear(), LogLinear(), SEEN, judge, 0.5, 0, Workspace(tmp_path)).sampler
    assert judge.calls == 4
    assert isinstance(leaked, LogLinear)
    assert expected(leaked, SEEN[0], early) > expected(LogLinear(), SEEN[0], early)
