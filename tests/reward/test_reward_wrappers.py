"""Wrappers make any learner's models whole: held out, calibrated, with intervals that hold the truth."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rrm.api.plugins import make
from rrm.core.errors import ConfigError, InputError, PluginError
from rrm.core.place import Place
from rrm.core.protocols import RewardLearner, RewardModel, Start, Workspace
from rrm.core.roles import R, Ratings, Train
from rrm.core.values import OVERALL, Group, Label, Rated, Score
from rrm.evaluate.held_out import held_out
from rrm.reward.calibrated import Calibrated, CalibratedModel
from rrm.reward.cross_fit import CrossFitted, CrossFittedModel
from rrm.reward.disperse import FALL
from rrm.reward.dispersed import Dispersed, DispersedModel
from rrm.reward.drawn import Drawn, DrawnModel
from rrm.reward.summed import Summed
from tests.reward.reward_problems import output, rate, rated, view
from tests.reward.wrapper_problems import Remembering, SharedWords, fitted

MADE = {
    "plain": SharedWords(),
    "cross-fitted": CrossFitted(SharedWords()),
    "calibrated": Calibrated(CrossFitted(SharedWords(3.0))),
    "dispersed": Dispersed(Calibrated(CrossFitted(SharedWords()))),
    "summed": Summed((CrossFitted(SharedWords()), CrossFitted(SharedWords(3.0), 2))),
}
RNG = np.random.default_rng(7)
NEW = [Group("new", Place(), view("new"), tuple(output("new", good, RNG) for good in range(5)))]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


def acceptance(model: RewardModel, groups: Sequence[Group]) -> list[np.ndarray]:
    return [said.acceptance[OVERALL] for said in model.predict(groups)]


# ---- what holds of all ----


@pytest.mark.parametrize("name", MADE)
def test_a_model_is_saved_and_loaded_to_the_same_predictions(name: str, workspace: Workspace, tmp_path: Path) -> None:
    learner = MADE[name]
    assert isinstance(learner, RewardLearner)
    rows = rate(labels=5)
    model = fitted(learner, rows, workspace)
    assert isinstance(model, RewardModel)
    assert model.save(tmp_path / "saved") == model.digest
    again = learner.load(tmp_path / "saved")
    assert again.digest == model.digest and again.anchored
    groups = [*NEW, rows[0].request.group]
    for one, other in zip(model.predict(groups), again.predict(groups), strict=True):
        assert np.array_equal(one.rewards[OVERALL], other.rewards[OVERALL])
        assert np.array_equal(one.acceptance[OVERALL], other.acceptance[OVERALL])
    assert [again.fold(source) for source in ("s0", "new")] == [model.fold("s0"), None]
    assert fitted(learner, rows, workspace).digest == model.digest
    assert fitted(learner, rate(labels=5, seed=1), workspace).digest != model.digest


@pytest.mark.parametrize("name", MADE)
def test_a_changed_or_missing_file_is_refused(name: str, workspace: Workspace, tmp_path: Path) -> None:
    fitted(MADE[name], rate(labels=5), workspace).save(tmp_path / "saved")
    [facts_file] = sorted((tmp_path / "saved").glob("*.json"))
    facts = json.loads(facts_file.read_text())
    weights = next((tmp_path / "saved").rglob("fold-0/*.json"), facts_file)
    changed = json.loads(weights.read_text())
    weights.write_text(json.dumps({**changed, "weights": [9.0, 9.0]}))
    with pytest.raises(InputError, match="changed after it was written"):
        MADE[name].load(tmp_path / "saved")
    facts.pop("digest")
    facts_file.write_text(json.dumps(facts))
    with pytest.raises(InputError, match="does not say digest"):
        MADE[name].load(tmp_path / "saved")
    with pytest.raises(InputError):
        MADE[name].load(tmp_path / "nothing")


@pytest.mark.parametrize("name", MADE)
def test_a_level_without_ratings_is_judged_by_the_model_below(name: str, workspace: Workspace) -> None:
    below = fitted(MADE[name], rate(labels=5), workspace)
    above = fitted(MADE[name], [], workspace, below)
    for here, there in zip(above.predict(NEW), below.predict(NEW), strict=True):
        np.testing.assert_array_equal(here.rewards[OVERALL], there.rewards[OVERALL])
        np.testing.assert_allclose(here.acceptance[OVERALL].mean(0), there.acceptance[OVERALL].mean(0), atol=1e-9)
    with pytest.raises(InputError, match="level 0 has no ratings to fit on, and no model below it"):
        fitted(MADE[name], [], workspace)


def test_names_cover_the_learner_and_every_setting() -> None:
    others = [CrossFitted(SharedWords(), 5), CrossFitted(SharedWords(2.0)), Dispersed(SharedWords(), 12)]
    assert len({learner.name for learner in [*MADE.values(), *others]}) == len(MADE) + len(others)


def test_what_is_no_learner_is_refused_before_anything_is_fitted() -> None:
    for wrapper in (CrossFitted, Calibrated, Dispersed):
        with pytest.raises(ConfigError, match=rf"{wrapper.__name__} wraps a reward learner .* got int"):
            wrapper(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="2 folds or more"):
        CrossFitted(SharedWords(), 1)
    with pytest.raises(ConfigError, match="2 members or more"):
        Dispersed(SharedWords(), 1)


def test_a_model_below_of_another_kind_is_refused(workspace: Workspace) -> None:
    below = fitted(SharedWords(), rate(), workspace)
    with pytest.raises(InputError, match="CrossFittedModel starts from its own kind, not from a PlainModel"):
        fitted(CrossFitted(SharedWords()), rate(), workspace, below)


# ---- cross-fitting ----


def test_a_source_is_scored_by_the_model_that_was_fitted_without_its_fold(workspace: Workspace) -> None:
    rows = rate(sources=8)
    model = fitted(CrossFitted(SharedWords(), folds=4), rows, workspace)
    folds = {f"s{number}": model.fold(f"s{number}") for number in range(8)}
    assert sorted(folds.values()) == [0, 0, 1, 1, 2, 2, 3, 3]  # type: ignore[type-var]
    for source in ("s0", "s5"):
        group = replace(NEW[0], source=source)
        kept = [row for row in rows if folds[row.request.source] != folds[source]]
        alone = fitted(SharedWords(), kept, workspace).predict([group])[0].rewards[OVERALL]
        assert np.array_equal(model.predict([group])[0].rewards[OVERALL], alone)
        assert model.holds_out(source)
    assert model.predict(NEW)[0].rewards[OVERALL].shape == (4, 5)


def test_lies_about_a_source_do_not_reach_predictions_about_it(workspace: Workspace) -> None:
    a, b = (fitted(CrossFitted(SharedWords()), rate(flip=flip), workspace) for flip in ("", "s3"))
    mine = replace(NEW[0], source="s3")
    other = replace(NEW[0], source=next(f"s{n}" for n in range(8) if a.fold(f"s{n}") != a.fold("s3")))
    assert np.array_equal(acceptance(a, [mine])[0], acceptance(b, [mine])[0])
    assert not np.allclose(acceptance(a, [other])[0], acceptance(b, [other])[0])


def test_folds_stand_at_the_next_level_and_new_sources_join_them(workspace: Workspace) -> None:
    learner = CrossFitted(SharedWords())
    below = fitted(learner, rate(sources=4), workspace)
    above = fitted(learner, rate(sources=8, seed=5), workspace, below)
    assert isinstance(below, CrossFittedModel) and isinstance(above, CrossFittedModel)
    assert {source: above.seen[source] for source in below.seen} == dict(below.seen)
    assert len(above.seen) == 8 and set(above.seen.values()) == {0, 1, 2, 3}


def test_folds_stand_in_the_next_round_and_each_model_starts_from_its_fold_s(workspace: Workspace) -> None:
    inner = Remembering()
    learner = Dispersed(Calibrated(CrossFitted(inner, folds=2)))
    before = fitted(learner, rate(sources=5), workspace)
    again = fitted(learner, rate(sources=9), workspace, before=before)
    unlike = fitted(learner, rate(sources=9), workspace)
    old, new = [f"s{number}" for number in range(5)], [f"s{number}" for number in range(9)]
    assert [again.fold(source) for source in old] == [before.fold(source) for source in old]
    assert [unlike.fold(source) for source in old] != [before.fold(source) for source in old]
    assert {again.fold(source) for source in new} == {0, 1}
    assert isinstance(before, DispersedModel) and isinstance(before.inner, CalibratedModel)
    assert isinstance(before.inner.inner, CrossFittedModel)
    assert [start.before for start in inner.starts[2:4]] == list(before.inner.inner.models)


def test_a_model_of_the_round_before_that_was_fitted_to_what_is_held_out_now_is_no_start(workspace: Workspace) -> None:
    """Here one source changes its fold, since it is first seen at another level."""
    inner = Remembering()
    learner = CrossFitted(inner, folds=2)
    below = fitted(learner, rate(sources=8), workspace)
    assert isinstance(below, CrossFittedModel)
    moved = CrossFittedModel(below.models, {**below.seen, "s3": 1 - below.seen["s3"]})
    fitted(learner, rate(sources=8), workspace, below, before=moved)
    assert [start.before for start in inner.starts[-2:]] == [None, None]
    fitted(learner, rate(sources=8), workspace, below, before=below)
    assert [start.before for start in inner.starts[-2:]] == list(below.models)
    alone = fitted(learner, rate(sources=1), workspace)  # holds nothing out
    assert fitted(learner, rate(sources=8), workspace, before=alone).holds_out("s0")


def test_a_fold_without_ratings_of_its_own_keeps_the_model_of_the_round_before(workspace: Workspace) -> None:
    learner = CrossFitted(SharedWords(), folds=2)
    before = fitted(learner, rate(sources=8), workspace)
    one_fold = [row for row in rate(seed=3) if before.fold(row.request.source) == 0]
    assert len({row.request.source for row in one_fold}) > 1
    later = fitted(learner, one_fold, workspace, before=before)
    assert isinstance(before, CrossFittedModel) and isinstance(later, CrossFittedModel)
    assert later.models[0] is before.models[0] and later.models[1] is not before.models[1]


def test_sources_that_other_levels_alone_have_make_no_folds(workspace: Workspace) -> None:
    """Else a fold would have no ratings, and nothing to start from."""
    model = fitted(CrossFitted(SharedWords()), rate(sources=1), workspace, others=rate(sources=4, seed=2))
    assert not model.holds_out("s0") and not model.holds_out("s3")
    model = fitted(CrossFitted(SharedWords(), folds=2), rate(sources=2), workspace, others=rate(sources=6, seed=2))
    assert {model.fold("s0"), model.fold("s1")} == {0, 1} == {model.fold(f"s{number}") for number in range(2, 6)}


def test_ratings_of_other_levels_reach_a_fold_without_its_sources(workspace: Workspace) -> None:
    inner = Remembering()
    rows, others = rate(sources=8), rate(sources=9, seed=2)
    model = fitted(CrossFitted(inner, folds=2), rows, workspace, others=others)
    for fold, start in enumerate(inner.starts):
        assert {row.request.source for row in start.others} == {
            source for source in (f"s{number}" for number in range(9)) if model.fold(source) != fold
        }


def test_a_level_whose_sources_all_lie_in_one_fold_keeps_the_model_below_for_it(workspace: Workspace) -> None:
    learner = CrossFitted(SharedWords())
    below = fitted(learner, rate(sources=8), workspace)
    above = fitted(learner, [row for row in rate(seed=3) if row.request.source == "s2"], workspace, below)
    own = replace(NEW[0], source="s2")
    assert np.array_equal(acceptance(above, [own])[0], acceptance(below, [own])[0])


def test_a_single_source_holds_nothing_out_and_says_so(workspace: Workspace) -> None:
    model = fitted(CrossFitted(SharedWords()), rate(sources=1), workspace)
    assert not model.holds_out("s0") and model.holds_out("new")
    assert model.predict(NEW)[0].rewards[OVERALL].shape == (1, 5)


def test_the_progress_of_all_folds_is_one(workspace: Workspace) -> None:
    class Telling(SharedWords):
        def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> RewardModel:
            workspace.progress(1, 4)
            workspace.progress(4, 4)
            return super().fit(ratings, start, place, seed, workspace)

    told: list[tuple[int, int]] = []
    heard = replace(workspace, progress=lambda done, total: told.append((done, total)))
    fitted(CrossFitted(Telling(), folds=3), rate(sources=6), heard)
    assert told == [(1, 12), (4, 12), (5, 12), (8, 12), (9, 12), (12, 12)]


# ---- calibration ----


def test_a_wrong_temperature_and_a_wrong_zero_are_found(workspace: Workspace) -> None:
    rows = rate(sources=12, comparisons=30, labels=40)
    right = fitted(Calibrated(CrossFitted(SharedWords())), rows, workspace)
    wrong = fitted(Calibrated(CrossFitted(SharedWords(4.0, 2.0))), rows, workspace)
    assert isinstance(right, CalibratedModel) and isinstance(wrong, CalibratedModel)
    for fold in (0, 1, 2, 3, None):
        assert right.calibrations[fold].slope == pytest.approx(1.0, abs=0.2)
        assert right.calibrations[fold].intercept == pytest.approx(0.0, abs=0.2)
        assert 4 * wrong.calibrations[fold].slope == pytest.approx(right.calibrations[fold].slope, rel=0.05)
    np.testing.assert_allclose(acceptance(wrong, NEW)[0], acceptance(right, NEW)[0], atol=0.03)
    labels = [row for row in held_out(rows, wrong) if row.kind == "label"]
    predicted, outcome = (np.array([getattr(row, name) for row in labels]) for name in ("probability", "outcome"))
    for chosen in (predicted < 0.5, predicted >= 0.5):
        assert predicted[chosen].mean() == pytest.approx(outcome[chosen].mean(), abs=0.07)


def test_a_fold_s_calibration_is_not_fitted_to_its_own_ratings(workspace: Workspace) -> None:
    class Fixed(SharedWords):
        """Learns nothing, so that ratings reach predictions through their calibration alone."""

        def learned(self, rated: Sequence[Rated], seed: int) -> np.ndarray:
            return np.array([8.0, -4.0])

    a, b = (fitted(Calibrated(CrossFitted(Fixed())), rate(labels=20, flip=flip), workspace) for flip in ("", "s3"))
    assert isinstance(a, CalibratedModel) and isinstance(b, CalibratedModel)
    own = a.fold("s3")
    assert a.calibrations[own] == b.calibrations[own]
    others = [fold for fold in a.calibrations if fold != own]
    assert all(abs(a.calibrations[fold].slope - b.calibrations[fold].slope) > 0.02 for fold in others)


def test_a_model_that_holds_nothing_out_is_left_as_it_is(workspace: Workspace) -> None:
    rows = rate(labels=10)
    model = fitted(Calibrated(SharedWords(3.0)), rows, workspace)
    np.testing.assert_allclose(
        acceptance(model, NEW)[0], acceptance(fitted(SharedWords(3.0), rows, workspace), NEW)[0], atol=1e-5
    )


def test_comparisons_alone_calibrate_the_probability_of_being_preferred(workspace: Workspace) -> None:
    rows = rate(comparisons=40)
    model = fitted(Calibrated(CrossFitted(SharedWords(5.0))), rows, workspace)
    assert not model.anchored
    found = held_out(rows, model)
    chance = np.array([max(row.probability, 1 - row.probability) for row in found])
    right = np.array([(row.probability > 0.5) == row.outcome for row in found])
    assert chance.mean() == pytest.approx(right.mean(), abs=0.04)
    np.testing.assert_allclose(acceptance(model, NEW)[0].mean(axis=1), 0.5)


# ---- dispersion ----


def people(variance: float, outputs: int = 30, sources: int = 12) -> tuple[list[Rated], dict[str, float]]:
    """Two labels of each output, whose logit is that of its copied sentences and a part of its own; and the truth."""
    rng = np.random.default_rng(0)
    rows, truth = [], {}
    for number in range(sources):
        source = f"s{number}"
        for copy in range(outputs):
            good = int(rng.integers(5))
            text = output(source, good, rng)
            logit = good - 2.0 + rng.normal(scale=np.sqrt(variance))
            truth[f"{source}: {text}"] = float(1 / (1 + np.exp(-logit)))
            for again in range(2):
                accepts = bool(rng.random() < truth[f"{source}: {text}"])
                rows.append(rated(source, Label(accepts), [text], 2 * copy + again))
    return rows, truth


def test_intervals_hold_the_true_probability_as_often_as_they_say_and_means_stay(workspace: Workspace) -> None:
    rows, truth = people(1.5)
    calibrated = fitted(Calibrated(CrossFitted(SharedWords())), rows, workspace)
    model = fitted(Dispersed(Calibrated(CrossFitted(SharedWords()))), rows, workspace)
    assert isinstance(model, DispersedModel)
    assert model.dispersions[None].total == pytest.approx(1.5, abs=0.7)
    groups = list({row.request.shown[0].text: row.request.group for row in rows}.values())
    found, before = acceptance(model, groups), acceptance(calibrated, groups)
    assert found[0].shape == (24, 1) and before[0].shape == (1, 1)
    np.testing.assert_allclose([each.mean() for each in found], [each.mean() for each in before], atol=1e-6)
    inside = []
    for group, samples in zip(groups, found, strict=True):
        low, high = Score(samples[:, 0]).interval(0.9)
        inside.append(low <= truth[f"{group.source}: {group.outputs[0]}"] <= high)
    assert 0.84 <= np.mean(inside) <= 0.96
    assert acceptance(model, NEW)[0].shape == (24, 5)


def test_members_are_repeated_until_there_are_enough(workspace: Workspace) -> None:
    rows = rate(sources=5, labels=5)
    model = fitted(Dispersed(CrossFitted(SharedWords(), folds=5), members=12), rows, workspace)
    assert acceptance(model, NEW)[0].shape == (15, 5)
    assert acceptance(model, [replace(NEW[0], source="s0")])[0].shape == (12, 5)


def test_a_level_with_few_ratings_expects_its_outputs_to_differ_less_than_those_below(workspace: Workspace) -> None:
    learner = Dispersed(Calibrated(CrossFitted(SharedWords())))
    below = fitted(learner, rate(sources=12, labels=10), workspace)
    few = [row for row in rate(comparisons=1) if row.request.source in ("s0", "s1")]
    above = fitted(learner, few, workspace, below)
    assert isinstance(below, DispersedModel) and isinstance(above, DispersedModel)
    output, view = below.dispersions[None]
    np.testing.assert_allclose(above.dispersions[None], (FALL * output, view), rtol=0.05)


@pytest.mark.parametrize("learner", [MADE["dispersed"], Drawn(SharedWords(), draws=2)], ids=["dispersed", "drawn"])
def test_a_level_without_ratings_expects_its_outputs_to_differ_less(
    learner: RewardLearner, workspace: Workspace
) -> None:
    below = fitted(learner, rate(labels=5), workspace)
    nothing = Ratings[Train](Train, ())
    above = learner.fit(nothing, Start(below), Place(level=1), 0, workspace)
    top = learner.fit(nothing, Start(above), Place(level=3), 0, workspace)
    lowest, *others = (each.reported if isinstance(each, DrawnModel) else each for each in (below, above, top))
    assert isinstance(lowest, DispersedModel)
    for model, levels in zip(others, (1, 3), strict=True):
        assert isinstance(model, DispersedModel) and model.dispersions.keys() == lowest.dispersions.keys()
        for fold, found in lowest.dispersions.items():
            np.testing.assert_allclose(model.dispersions[fold], (FALL**levels * found.output, found.view), rtol=1e-12)
    [here], [there] = acceptance(above, NEW), acceptance(below, NEW)
    assert (here.std(axis=0) < there.std(axis=0)).all()


def test_a_fold_without_ratings_takes_over_the_one_below_as_a_level_does(workspace: Workspace) -> None:
    learner = CrossFitted(Dispersed(SharedWords()))
    below = fitted(learner, rate(sources=8, labels=5), workspace)
    above = fitted(learner, [row for row in rate(labels=5, seed=3) if row.request.source == "s2"], workspace, below)
    assert isinstance(below, CrossFittedModel) and isinstance(above, CrossFittedModel)
    fold = below.fold("s2")
    assert fold is not None
    one, other = below.models[fold], above.models[fold]
    assert isinstance(one, DispersedModel) and isinstance(other, DispersedModel)
    assert other.dispersions[None].output == pytest.approx(FALL * one.dispersions[None].output)


# ---- from a run file ----


def test_a_learner_is_named_by_import_string_or_by_a_table_with_arguments() -> None:
    path = "tests.reward.wrapper_problems:SharedWords"
    plain = make("rrm.reward.cross_fit:CrossFitted", {"learner": path, "folds": 3}, {}, "reward")
    assert plain.name == CrossFitted(SharedWords(), 3).name
    inner = {"plugin": path, "arguments": {"factor": 2.0}}
    nested = {"plugin": "rrm.reward.cross_fit:CrossFitted", "arguments": {"learner": inner}}
    made = make("rrm.reward.dispersed:Dispersed", {"learner": nested}, {"device": "cpu"}, "reward")
    assert made.name == Dispersed(CrossFitted(SharedWords(2.0))).name


def test_a_wrapped_learner_that_leads_nowhere_is_one_sentence() -> None:
    with pytest.raises(PluginError, match="'mine' is no import string"):
        make("rrm.reward.cross_fit:CrossFitted", {"learner": "mine"}, {}, "reward")
    with pytest.raises(ConfigError, match=r"\[reward\] arguments.learner has a plugin and arguments, and no folds"):
        make("rrm.reward.cross_fit:CrossFitted", {"learner": {"plugin": "a:B", "folds": 3}}, {}, "reward")
    with pytest.raises(ConfigError, match="wraps a reward learner"):
        make("rrm.reward.cross_fit:CrossFitted", {"learner": "rrm.compose.composers:Mean"}, {}, "reward")
