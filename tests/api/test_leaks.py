"""Leaks from judges that choose or only report: each one that is tried is blocked, or told in the report."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import rrm
from rrm.api.reach import reaches_gold
from rrm.api.wiring import OnlyCache, Parts, SealedGold
from rrm.api.worker import ModelScorer, RunWorker
from rrm.core.errors import ConfigError, RoleError
from rrm.core.place import Place
from rrm.core.protocols import REPLIES, Improved, Policy, Seen, Start, Workspace
from rrm.core.roles import Final, R, Ratings, Scorer, Select, Train, for_choosing, for_reporting, reporting
from rrm.core.task import Span
from rrm.core.values import Comparison, Feedback, Fitted, Gold, Improvement, Label, Rated, Request
from rrm.policy.best_of_n import BestOfN
from rrm.store.record import open_store
from tests.api import leaky_parts
from tests.toys import Last, LastWords, LengthModel, Lengths, Longer, Texts, Words, toys

ASKED: list[float | None] = []


class Reaching(LastWords):
    """An optimiser that goes through its scorer to whoever knows the truth, and asks."""

    name = "reaching"

    def improve(
        self,
        sampler: Policy,
        anchor: Policy,
        seen: Sequence[Seen],
        score: Scorer[Train],
        kl_budget: float,
        seed: int,
        workspace: Workspace,
    ) -> Improved:
        assert isinstance(score, ModelScorer)
        ASKED.append(self.ask(score.models._parts))
        return Improved(Last(), 0.5, "exact")

    def ask(self, parts: Parts) -> float | None:
        assert parts.gold is not None
        return parts.gold.gold("target", None, "red. green.")


class ReachingThroughSources(Reaching):
    """One that finds the truth of the training sources, which no report needs."""

    name = "reaching-sources"

    def ask(self, parts: Parts) -> float | None:
        assert isinstance(parts.train_set, SealedGold)
        return parts.train_set.gold("first", None, "one. two.")


class ReachingInAThread(Reaching):
    """One that asks in a thread of its own, where what the caller has opened is not open."""

    name = "reaching-in-a-thread"

    def ask(self, parts: Parts) -> float | None:
        found: list[float | Exception | None] = []

        def asking() -> None:
            try:
                found.append(super(ReachingInAThread, self).ask(parts))
            except RoleError as error:
                found.append(error)

        thread = threading.Thread(target=asking)
        thread.start()
        thread.join()
        if isinstance(found[0], Exception):
            raise found[0]
        return found[0]


def improving(optimiser: object, **changes: Any) -> dict[str, Any]:
    return toys(rounds=2, improve={"plugin": optimiser, "kl_budget": 2.0}, **changes)


@pytest.mark.parametrize("optimiser", [Reaching(), ReachingThroughSources(), ReachingInAThread()])
def test_an_optimiser_that_reaches_for_the_final_judge_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimiser: Reaching
) -> None:
    ASKED.clear()
    with pytest.raises(RoleError, match=r"the final judge, texts.*was asked outside of a report"):
        rrm.run(out=tmp_path / "run", quiet=True, **improving(optimiser))
    assert ASKED == []
    monkeypatch.setattr("rrm.api.wiring.for_reporting", lambda judge: None)  # without the guard the leak goes through
    rrm.run(out=tmp_path / "leak", quiet=True, **improving(optimiser))
    assert [pytest.approx(0.1)] == ASKED


def test_the_final_judge_is_open_to_a_report_and_closed_again_whatever_happens() -> None:
    with pytest.raises(RoleError, match="outside of a report"):
        for_reporting("truth")
    with reporting():
        for_reporting("truth")
        with reporting():
            pass
        for_reporting("truth")
    with pytest.raises(ZeroDivisionError), reporting():
        _ = 1 / 0
    with pytest.raises(RoleError, match="outside of a report"):
        for_reporting("truth")


def test_the_record_with_its_ratings_and_gold_is_not_to_be_had_through_the_cache(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        parts = cast("Parts", SimpleNamespace(learner=Lengths(), store=store, cache=OnlyCache.of(store)))
        work = RunWorker(parts, tmp_path)._workspace(cast("Any", SimpleNamespace(id="action")))
        cache = work.cache
        assert isinstance(cache, OnlyCache)
        for kind in (Rated, Gold):
            with pytest.raises(AttributeError):
                cast("Any", cache).load(kind)
        for read in (lambda: cache.get_many(REPLIES, ["key"]), lambda: cache.put_many(REPLIES, {"key": b"yes"})):
            with pytest.raises(RoleError, match="replies of models are kept for who asked"):
                read()
        cache.put_many("vectors", {"key": b"1"})
        assert cache.get_many("vectors", ["key", "other"]) == {"key": b"1"}


def test_scores_of_two_roles_are_never_one_in_a_cache(tmp_path: Path) -> None:
    fitted = Fitted(Place(), "model", "digest", 1)
    worker = RunWorker(cast("Parts", SimpleNamespace(learner=Lengths(), store=None)), tmp_path)
    names = {ModelScorer[Train]((replace(fitted, role=role.name),), worker.models).name for role in (Train, Select)}
    assert len(names) == 2


@pytest.mark.parametrize("judge", [Longer(), "tests.toys:Longer"])
def test_a_judge_in_two_roles_is_refused(tmp_path: Path, judge: object) -> None:
    both = {"plugin": judge, "per_node": {"comparison": 2}}
    with pytest.raises(ConfigError, match=r"\[select\] is the same judge as \[rater\], "):
        rrm.run(out=tmp_path / "run", quiet=True, **improving(LastWords(), select=both, rater=both))


def test_a_checkpoint_is_chosen_by_no_other_role() -> None:
    for role in (Train, Final):
        with pytest.raises(RoleError, match=f"role select, not of role {role.name}"):
            for_choosing(cast("Any", SimpleNamespace(role=role)))


@pytest.mark.parametrize("part", [leaky_parts.Importing(), leaky_parts.ImportingWithin()])
def test_a_part_that_imports_who_knows_the_truth_is_named(part: object) -> None:
    assert reaches_gold(part) == ["tests.toys.Texts"]


def test_parts_that_import_no_such_thing_are_not() -> None:
    for part in (BestOfN(), Words(), object()):
        assert reaches_gold(part) == []


def test_the_report_names_it(tmp_path: Path) -> None:
    report = rrm.run(out=tmp_path / "run", quiet=True, **improving(leaky_parts.Importing()))
    [told] = [each for each in report.warnings if "knows the truth" in each]
    assert told.startswith("[improve] the module tests.api.leaky_parts has tests.toys.Texts")


# ---- goals and labels that people change ----


class Generous(Texts):
    """The same texts, by whose truth everything is perfect."""

    def gold(self, source: str, span: Span | None, text: str) -> float:
        return 1.0


def improved(folder: Path, **changes: Any) -> list[str]:
    table = toys(
        rounds=3,
        train={"plugin": Texts(["first", "second", "third", "fourth"])},
        improve={"plugin": BestOfN(n=2), "kl_budget": 2.0},
        select={"plugin": Longer("select"), "per_node": {"comparison": 2, "label": 1}},
    )
    rrm.run(out=folder, quiet=True, **{**table, **changes})
    with open_store(folder, "read") as record:
        return [each.policy for each in record.load(Improvement)]


class Contrary(Longer):
    """A rater who prefers the shorter output and accepts what the other one refuses."""

    def rate(self, request: Request, seed: int) -> Feedback:
        said = super().rate(request, seed)
        match said.answer:
            case Label(good):
                return replace(said, answer=Label(not good))
            case Comparison(better):
                return replace(said, answer=Comparison(1 - better))
        return said


class Listening(Lengths):
    """Learns from ratings: its models are others wherever answers are."""

    name = "listening"

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> LengthModel:
        return LengthModel(place, sorted({f"{row.request.id} {row.feedback.answer}" for row in ratings.rows}))


@pytest.mark.parametrize(
    "edited",
    [
        lambda: {"target": {"plugin": Generous(["target"])}},
        lambda: {"rater": {"plugin": Contrary(), "per_node": {"comparison": 2, "label": 1}, "random_share": 0.0}},
    ],
    ids=["what the final judge says", "what people say, where the goal is a formal one"],
)
def test_what_is_learned_within_a_run_does_not_hang_on_it(tmp_path: Path, edited: Callable[[], dict[str, Any]]) -> None:
    """The reward is a formal goal, the length, which no rating moves: people may edit it between runs alone."""
    assert improved(tmp_path / "one") == improved(tmp_path / "other", **edited())


def test_what_is_learned_from_ratings_does(tmp_path: Path) -> None:
    """The comparison above can fail: with a reward that is learned, the same edit of the ratings changes policies."""
    reward, rater = {"plugin": Listening()}, {"plugin": Contrary(), "per_node": {"comparison": 2, "label": 1}}
    one, other = improved(tmp_path / "one", reward=reward), improved(tmp_path / "other", reward=reward, rater=rater)
    assert len(one) == len(other) == 2 and not set(one) & set(other)
