"""Sums of models: weights by the one likelihood, nothing that saw a source, intervals that hold the truth, kills."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from rrm.api.plugins import make
from rrm.core.errors import ConfigError, InputError
from rrm.core.machine import MachineTime, ReadingLoad
from rrm.core.place import Place
from rrm.core.protocols import RewardLearner, RewardModel, Start, Workspace
from rrm.core.values import OVERALL, Comparison, Group, Label, Ranking, Rated, Rating, Score
from rrm.evaluate.held_out import held_out
from rrm.reward import tuned as tuned_room
from rrm.reward.blend import Blend
from rrm.reward.calibrated import Calibrated, CalibratedModel
from rrm.reward.cross_fit import CrossFitted
from rrm.reward.disperse import LEAVES
from rrm.reward.dispersed import Dispersed, DispersedModel
from rrm.reward.frozen import Frozen
from rrm.reward.joint import Joint
from rrm.reward.plain import PlainLearner
from rrm.reward.summed import Summed, SummedModel
from rrm.reward.train import train
from tests.reward.joint_problems import EXACT, judged, save_decoder
from tests.reward.reward_problems import rate, rated
from tests.reward.wrapper_problems import Remembering, SharedWords, fitted


class Reads(PlainLearner):
    """The number that stands at a place of an output's text is its reward; nothing is learned, all of `factor`."""

    def __init__(self, at: int, factor: float = 1.0) -> None:
        self.at, self.factor = at, factor
        self.name = f"reads({at}, {factor:g})"

    def learned(self, rated: Sequence[Rated], seed: int) -> np.ndarray:
        return np.array([self.factor])

    def rewards(self, weights: np.ndarray, group: Group) -> np.ndarray:
        return np.asarray([weights[0] * float(text.split()[self.at]) for text in group.outputs])


class People:
    """Raters whose reward is 1.2 times an output's first number and .5 times its second, with an effect of its own."""

    def __init__(self, own: float = 0.0, seed: int = 0) -> None:
        self.rng, self.own = np.random.default_rng(seed), own
        self.truth: dict[str, float] = {}

    def outputs(self, count: int) -> list[str]:
        numbers = self.rng.normal(size=(count, 2))
        texts = [f"{first:.6f} {second:.6f}" for first, second in numbers]
        rewards = numbers @ [1.2, 0.5] + self.rng.normal(scale=self.own**0.5, size=count)
        self.truth |= dict(zip(texts, rewards.tolist(), strict=True))
        return texts

    def noisy(self, text: str) -> float:
        return self.truth[text] + float(self.rng.logistic())

    def compare(self, source: str, copy: int) -> Rated:
        one, other = self.outputs(2)
        return rated(source, Comparison(int(self.truth[other] > self.noisy(one))), [one, other], copy)

    def label(self, source: str, copy: int) -> Rated:
        [text] = self.outputs(1)
        return rated(source, Label(self.noisy(text) > -0.4), [text], copy)

    def rank(self, source: str, copy: int) -> Rated:
        texts = self.outputs(4)
        said = [self.truth[text] + float(self.rng.gumbel()) for text in texts]
        return rated(source, Ranking(tuple(np.argsort(said)[::-1].tolist())), texts, copy)

    def score(self, source: str, copy: int) -> Rated:
        [text] = self.outputs(1)
        return rated(source, Rating(int(np.digitize(self.noisy(text), [-2, -0.5, 1, 2.5])) + 1, 5), [text], copy)


KINDS: Mapping[str, Callable[[People], Callable[[str, int], Rated]]] = {
    "comparison": lambda people: people.compare,
    "label": lambda people: people.label,
    "ranking": lambda people: people.rank,
    "rating": lambda people: people.score,
}


def asked(one: Callable[[str, int], Rated], sources: int = 8, each: int = 60) -> list[Rated]:
    return [one(f"s{source}", copy) for source in range(sources) for copy in range(each)]


def parts(factor: float = 1.0) -> tuple[RewardLearner, RewardLearner]:
    """Two learners of which each sees one of the numbers that raters see, with other folds."""
    return CrossFitted(Reads(0, factor), 4), CrossFitted(Reads(1), 2)


def sum_of(model: RewardModel) -> SummedModel:
    assert isinstance(model, DispersedModel) and isinstance(model.inner, CalibratedModel)
    assert isinstance(model.inner.inner, SummedModel)
    return model.inner.inner


def means(model: RewardModel, rows: Sequence[Rated]) -> np.ndarray:
    said = model.predict([row.request.group for row in rows])
    return np.array([each.acceptance[OVERALL][:, 0].mean() for each in said])


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


# ---- weights ----


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_found_again_from_each_kind_of_feedback(kind: str, workspace: Workspace) -> None:
    rows = asked(KINDS[kind](People()), each=150)
    model = fitted(Summed(parts()), rows, workspace)
    assert isinstance(model, SummedModel)
    for weights, _ in model.terms.values():
        assert weights == pytest.approx((1.2, 0.5), abs=0.25)


def test_what_labels_accept_is_the_sum_s_intercept(workspace: Workspace) -> None:
    model = fitted(Summed(parts()), asked(People().label, each=150), workspace)
    assert isinstance(model, SummedModel) and model.anchored
    assert model.terms[None].intercept == pytest.approx(0.4, abs=0.2)
    labels = fitted(Summed(parts()), asked(People().compare), workspace)
    assert isinstance(labels, SummedModel) and not labels.anchored
    assert {each.intercept for each in labels.terms.values()} == {0.0}


def test_with_few_ratings_parts_count_alike_and_a_level_above_weighs_as_the_one_below(workspace: Workspace) -> None:
    few = fitted(Summed(parts()), asked(People().compare, sources=2, each=1), workspace)
    below = fitted(Summed(parts()), asked(People().compare, each=150), workspace)
    above = fitted(Summed(parts()), asked(People(seed=1).compare, sources=2, each=1), workspace, below)
    assert isinstance(few, SummedModel) and isinstance(below, SummedModel) and isinstance(above, SummedModel)
    assert few.terms[None].weights == pytest.approx((0.5, 0.5), abs=0.4)
    assert above.terms[None].weights == pytest.approx(below.terms[None].weights, abs=0.4)
    one = fitted(Summed(parts()), asked(People().compare, sources=1), workspace)  # nothing is held out
    assert isinstance(one, SummedModel) and one.terms[None].weights == (0.5, 0.5) and not one.holds_out("s0")


def test_a_rater_who_answers_at_random_does_not_flatten_the_weights(workspace: Workspace) -> None:
    rows, rng = asked(People().compare, each=150), np.random.default_rng(5)
    blind = [
        replace(row, feedback=replace(row.feedback, rater="blind", answer=Comparison(int(rng.integers(2)))))
        for row in asked(People(seed=9).compare, each=150)
    ]
    model = fitted(Summed(parts()), [*rows, *blind], workspace)
    assert isinstance(model, SummedModel)
    assert model.terms[None].weights[0] > 0.95  # .6 if all raters were alike


def test_a_sum_tells_more_than_either_part(workspace: Workspace) -> None:
    people = People()
    rows, new = asked(people.label), [people.label("new", copy) for copy in range(300)]
    truth = expit([people.truth[row.request.shown[0].text] + 0.4 for row in new])

    def loss(learner: RewardLearner) -> float:
        said = means(fitted(learner, rows, workspace), new)
        return float(-(truth * np.log(said) + (1 - truth) * np.log1p(-said)).mean())

    possible = float(-(truth * np.log(truth) + (1 - truth) * np.log1p(-truth)).mean())
    alone = [loss(Dispersed(Calibrated(part))) for part in parts()]
    assert loss(Blend(parts())) < min(alone) - 0.02
    assert loss(Blend(parts())) < possible + 0.01
    assert loss(Blend(parts(factor=5.0))) < possible + 0.01  # the weights undo a part's scale


# ---- folds ----


def test_what_is_said_of_a_source_hangs_on_none_of_its_ratings(workspace: Workspace) -> None:
    """Neither of the parts' learners learns anything, so ratings reach predictions through the weights alone."""
    a, b = (fitted(Summed(parts()), _with_lies(about), workspace) for about in ("", "s3"))
    assert isinstance(a, SummedModel) and isinstance(b, SummedModel)
    own = a.fold("s3")
    assert a.terms[own] == b.terms[own]
    others = [fold for fold in a.terms if fold != own]
    assert others and all(a.terms[fold] != b.terms[fold] for fold in others)


def _with_lies(about: str) -> list[Rated]:
    rows = asked(People().label)
    return [
        replace(row, feedback=replace(row.feedback, answer=Label(not row.feedback.answer.good)))  # type: ignore[attr-defined]
        if row.request.source == about
        else row
        for row in rows
    ]


@pytest.mark.parametrize(
    "learner",
    [Summed(parts()), Calibrated(CrossFitted(Reads(0))), Dispersed(CrossFitted(Reads(0)))],
    ids=["summed", "calibrated", "dispersed"],
)
def test_what_is_said_of_a_source_hangs_on_none_of_its_ratings_at_levels_below(
    learner: RewardLearner, workspace: Workspace
) -> None:
    """At the level above nobody rates sources of its fold, so it has no numbers of its own but those below."""
    belows = [fitted(learner, _with_lies(about), workspace) for about in ("", "s3")]
    own = belows[0].fold("s3")
    rows = [row for row in asked(People(seed=1).label, each=4) if belows[0].fold(row.request.source) != own]
    one, other = (fitted(learner, rows, workspace, below) for below in belows)
    group = rows[0].request.group
    for source, alike in (("s3", True), (group.source, False)):
        said = [each.predict([replace(group, source=source)])[0].acceptance[OVERALL] for each in (one, other)]
        assert np.array_equal(*said) == alike


def test_weights_of_folds_that_the_level_below_had_not_start_from_its_own(workspace: Workspace) -> None:
    learner = Summed((CrossFitted(Reads(0), 3), CrossFitted(Reads(1), 2)))
    below = fitted(learner, asked(People().compare, sources=3, each=150), workspace)
    others = [
        replace(row, request=replace(row.request, source=f"other {row.request.source}"))
        for row in asked(People(seed=1).compare, sources=6, each=1)
    ]
    above = fitted(learner, others, workspace, below)
    assert isinstance(below, SummedModel) and isinstance(above, SummedModel)
    assert set(above.terms) - set(below.terms)
    assert min(weights[0] for weights, _ in above.terms.values()) > 0.8  # .5 are equal shares


def test_sources_are_in_one_fold_that_are_in_one_fold_of_every_part(workspace: Workspace) -> None:
    model = fitted(Summed((CrossFitted(Reads(0), 3), CrossFitted(Reads(1), 2))), asked(People().label, 9), workspace)
    assert isinstance(model, SummedModel)
    sources = [f"s{number}" for number in range(9)]
    pairs = {source: tuple(part.fold(source) for part in model.parts) for source in sources}
    assert len(set(pairs.values())) == 6
    for one in sources:
        assert [model.fold(one) == model.fold(other) for other in sources] == [
            pairs[one] == pairs[other] for other in sources
        ]
    assert model.fold("new") is None and model.holds_out("new")
    assert set(model.terms) == {None, *(model.fold(source) for source in sources)}


def test_each_part_starts_from_its_own_below_and_before(workspace: Workspace) -> None:
    one, other = Remembering(), Remembering()
    other.name = "other"
    learner = Blend([CrossFitted(one, 2), CrossFitted(other, 2)])
    below = fitted(learner, rate(), workspace)
    before = fitted(learner, rate(seed=1), workspace)
    fitted(learner, rate(seed=2), workspace, below, before, rate(sources=9, seed=3))
    for at, inner in enumerate((one, other)):
        starts = inner.starts[-2:]
        assert [start.below for start in starts] == list(sum_of(below).parts[at].models)  # type: ignore[attr-defined]
        assert [start.before for start in starts] == list(sum_of(before).parts[at].models)  # type: ignore[attr-defined]
        assert all(start.others for start in starts)


def test_the_progress_of_all_parts_is_one(workspace: Workspace) -> None:
    told: list[tuple[int, int]] = []

    class Telling(SharedWords):
        def fit(self, ratings: Any, start: Start, place: Place, seed: int, workspace: Workspace) -> RewardModel:
            workspace.progress(1, 2)
            return super().fit(ratings, start, place, seed, workspace)

    heard = replace(workspace, progress=lambda done, total: told.append((done, total)))
    fitted(Summed((Telling(), Telling(2.0))), rate(), heard)
    assert told == [(1, 4), (3, 4)]


# ---- members and intervals ----


@pytest.mark.parametrize(("own", "halves", "most"), [(LEAVES.output, 0.66, 0.91), (1.0, 0.8, 0.97)])
def test_intervals_hold_the_true_probability_as_often_as_they_say(
    own: float, halves: float, most: float, workspace: Workspace
) -> None:
    """Where raters differ as leaves are expected to, half of the truth lies in half an interval, and .8 in one of .8.

    Raters who differ less are believed to differ more until ratings say otherwise, so more of it does. The parts are
    dispersed by themselves, too, which is left out: else .9 and more would lie in half an interval, and all in .8.
    """
    people = People(own)
    rows = asked(people.label, sources=12, each=40)
    twice = [
        rated(
            row.request.source, Label(people.noisy(row.request.shown[0].text) > -0.4), [row.request.shown[0].text], 99
        )
        for row in rows
    ]
    model = fitted(Blend([Dispersed(Calibrated(part)) for part in parts()]), [*rows, *twice], workspace)
    new = [people.label("new", copy) for copy in range(300)]
    for some in (rows, new):
        said = model.predict([row.request.group for row in some])
        truth = [float(expit(people.truth[row.request.shown[0].text] + 0.4)) for row in some]
        for share, low, high in ((0.5, 0.45, halves), (0.8, 0.74, most)):
            ends = [Score(each.acceptance[OVERALL][:, 0]).interval(share) for each in said]
            inside = [least <= true <= greatest for (least, greatest), true in zip(ends, truth, strict=True)]
            assert low <= np.mean(inside) <= high


def test_members_of_parts_are_taken_in_turn_until_all_were_taken_equally_often(workspace: Workspace) -> None:
    rows = rate(sources=6, labels=5)
    learners = CrossFitted(SharedWords(), 3), CrossFitted(SharedWords(2.0), 2)
    model = fitted(Summed(learners), rows, workspace)
    assert isinstance(model, SummedModel)
    group = replace(rows[0].request.group, source="new")
    said, one, other = (each.predict([group])[0].rewards[OVERALL] for each in (model, *model.parts))
    assert said.shape == (6, 2)
    weights = model.terms[None].weights
    np.testing.assert_allclose(said[4], weights[0] * one[1] + weights[1] * other[0])
    np.testing.assert_allclose(said.mean(0), weights[0] * one.mean(0) + weights[1] * other.mean(0))


def test_parts_of_many_members_make_no_thousands_of_sums(workspace: Workspace) -> None:
    rows = rate(sources=11, labels=4)
    learners = tuple(CrossFitted(SharedWords(factor), folds) for factor, folds in ((1.0, 5), (2.0, 7), (3.0, 11)))
    model = fitted(Summed(learners), rows, workspace)
    assert isinstance(model, SummedModel)
    group = replace(rows[0].request.group, source="new")
    said, *parts = (each.predict([group])[0].rewards[OVERALL] for each in (model, *model.parts))
    assert [len(each) for each in parts] == [5, 7, 11]
    assert said.shape == (240, 2)  # of 385 that differ
    weights = model.terms[None].weights
    taken = [weight * each[239 % len(each)] for weight, each in zip(weights, parts, strict=True)]
    np.testing.assert_allclose(said[239], sum(taken))
    mean = sum(weight * each.mean(0) for weight, each in zip(weights, parts, strict=True))
    np.testing.assert_allclose(said.mean(0), mean, atol=0.05 * float(said.std()))


def test_frozen_heads_are_a_part_whose_own_spread_is_left_out(workspace: Workspace) -> None:
    rows = rate(sources=4, comparisons=4, labels=4)
    model = fitted(Summed((Frozen(members=4), CrossFitted(SharedWords()))), rows, workspace)
    assert isinstance(model, SummedModel)
    [said] = model.predict([replace(rows[-1].request.group, source="new")])
    [frozen] = model.parts[0].predict([replace(rows[-1].request.group, source="new")])
    [words] = model.parts[1].predict([replace(rows[-1].request.group, source="new")])
    (one, other), intercept = model.terms[None]
    logits = one * frozen.rewards[OVERALL] + other * words.rewards[OVERALL] + intercept
    np.testing.assert_allclose(said.acceptance[OVERALL], expit(logits), atol=1e-6)
    assert not np.allclose(frozen.acceptance[OVERALL], expit(frozen.rewards[OVERALL]), atol=1e-2)


# ---- files and kills ----


def test_what_was_changed_or_is_of_other_learners_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    learner, folder = Summed(parts()), tmp_path / "saved"
    fitted(learner, asked(People().label), workspace).save(folder)
    three = Summed((*parts(), CrossFitted(Reads(0, 2.0))))
    with pytest.raises(InputError, match="holds a sum of 2 models, not of 3"):
        three.load(folder)
    with pytest.raises(InputError, match=r"part-1.*json"):
        Summed((parts()[0], Frozen())).load(folder)
    facts = json.loads((folder / "wrapped.json").read_text())
    for change, error in (([0.5, 0.25], "changed after it was written"), ([0.5, float("nan")], "are not finite")):
        terms = {**facts["terms"], "new": {"weights": change, "intercept": 0.0}}
        (folder / "wrapped.json").write_text(json.dumps({**facts, "terms": terms}))
        with pytest.raises(InputError, match=error):
            learner.load(folder)


def test_a_fit_that_was_killed_goes_on_inside_the_part_in_which_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick: dict[str, Any] = {"members": 2, "epochs": 1, "rows_per_update": 24, "save_every": 1, **EXACT}
    backbone = str(save_decoder(tmp_path / "decoder"))
    rows = judged(16, 1)

    def made() -> Blend:
        return Blend([CrossFitted(SharedWords()), Joint(backbone, **quick)])

    expected = fitted(made(), rows, Workspace(tmp_path / "whole"))
    updates = 0

    def killing(done: int, total: int) -> None:
        nonlocal updates
        updates += 1
        if updates == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(made(), rows, Workspace(tmp_path / "killed", killing))
    trained: list[str] = []
    monkeypatch.setattr(tuned_room, "train", lambda **what: trained.append(what["folder"].name) or train(**what))
    again = fitted(made(), rows, Workspace(tmp_path / "killed"))
    assert again.digest == expected.digest and trained == ["fold-1"]
    assert again.save(tmp_path / "saved") == made().load(tmp_path / "saved").digest


# ---- how it is made ----


def test_it_is_named_in_a_run_file_by_settings_of_the_fine_tuned_part_or_by_learners() -> None:
    settings = {"backbone": "tiny", "epochs": 3, "members": 2}
    path, offered = "rrm.reward.blend:Blend", {"device": "cpu", "dtype": "float32"}
    natural = make(path, settings, offered, "reward")
    assert natural.name == Blend([Frozen(**offered), Joint(**settings, **offered)]).name
    mine = "tests.reward.wrapper_problems:SharedWords"
    named = make(path, {"learners": [mine, {"plugin": mine, "arguments": {"factor": 2.0}}]}, offered, "reward")
    assert named.name == Blend([SharedWords(), SharedWords(2.0)]).name
    reliable = make(path, {**settings, "reliability": True}, offered, "reward")
    assert reliable.learners[0].config.reliability and not natural.learners[0].config.reliability


@pytest.mark.parametrize(
    ("learners", "settings", "error"),
    [
        ([], {}, "two learners or more, got 0"),
        ([SharedWords()], {}, "two learners or more, got 1"),
        ([SharedWords(), SharedWords()], {}, r"learners that differ, but shared-words\(1, 0\) stands there twice"),
        ([SharedWords(), 3], {}, "^Blend wraps a reward learner .* got int"),
        ([SharedWords(), SharedWords(2.0)], {"epochs": 2}, "epochs is a setting of the learners that Blend makes"),
        (SharedWords(), {}, "learners is a list of two learners or more, got one SharedWords"),
        (None, {"backbone": "tiny", "epoch": 2}, "there is no 'epoch'"),
    ],
)
def test_sums_of_nothing_or_of_one_are_refused(learners: Any, settings: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        Blend(learners, **settings)


def test_a_start_of_another_kind_or_size_is_refused(workspace: Workspace) -> None:
    rows, below = rate(), fitted(CrossFitted(SharedWords()), rate(), workspace)
    with pytest.raises(InputError, match="SummedModel starts from its own kind, not from a CrossFittedModel"):
        fitted(Summed(parts()), rows, workspace, below)
    three = fitted(Summed((SharedWords(), SharedWords(2.0), SharedWords(3.0))), rows, workspace)
    with pytest.raises(InputError, match="a sum of 2 models cannot start from one of 3"):
        fitted(Summed((SharedWords(), SharedWords(2.0))), rows, workspace, three)


@pytest.mark.parametrize("tells", [True, False])
def test_it_tells_the_time_of_all_parts_or_none(tells: bool) -> None:
    class Timed(SharedWords):
        def machine_time(self, load: ReadingLoad) -> MachineTime:
            return MachineTime(load.texts, 2.0, 0.5)

    load = ReadingLoad(5, 0, 0, 0, 0, (), 0)
    blend = Blend([Timed(), Timed(2.0) if tells else SharedWords(2.0)])
    assert blend.machine_time(load) == (MachineTime(10, 4.0, 1.0) if tells else None)


def test_a_level_s_answers_that_were_held_out_are_predicted(workspace: Workspace) -> None:
    rows = asked(People().compare)
    found = held_out(rows, fitted(Blend(parts()), rows, workspace))
    right = np.mean([(row.probability > 0.5) == row.outcome for row in found])
    assert len(found) == len(rows) and right > 0.68
