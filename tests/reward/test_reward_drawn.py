"""Draws of a learner of one's own: what they leave open, what is said since they were fitted, files, bad input."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from rrm.core.asking import BelievingLearner
from rrm.core.errors import ConfigError, InputError
from rrm.core.ids import generator
from rrm.core.place import Place
from rrm.core.protocols import Start, Workspace
from rrm.core.roles import Ratings, Train
from rrm.core.values import Comparison, Group, Rated
from rrm.reward.disperse import FALL, Dispersion, steepness
from rrm.reward.dispersed import DispersedModel
from rrm.reward.drawn import Drawn, DrawnModel
from rrm.reward.frozen import Frozen
from tests.reward.reward_problems import output, rate, rated, view
from tests.reward.wrapper_problems import SharedWords, fitted


def asked(source: str, seed: int, count: int = 3) -> Group:
    rng = np.random.default_rng(seed)
    return Group(source, Place(), view(source), tuple(output(source, at, rng) for at in range(count)))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Drawn, DrawnModel, list[Rated]]:
    learner, rows = Drawn(SharedWords(), draws=40), rate(sources=6, comparisons=4, labels=4, seed=1)
    model = fitted(learner, rows, Workspace(tmp_path_factory.mktemp("drawn")))
    assert isinstance(model, DrawnModel)
    return learner, model, rows


def test_draws_are_refits_to_ratings_drawn_anew_and_report_nothing(
    known: tuple[Drawn, DrawnModel, list[Rated]], tmp_path: Path
) -> None:
    learner, model, rows = known
    assert model.weights.shape == (40, 2) and len({tuple(each) for each in model.weights}) == 40
    whole = SharedWords().learned(rows, 0)
    assert np.abs(model.weights.mean(axis=0) - whole).max() < 2 * model.weights.std(axis=0).max()
    alone = fitted(learner._reported, rows, Workspace(tmp_path))
    group = asked("s1", 3)
    assert (
        model.predict([group])[0].acceptance["overall"].tolist()
        == alone.predict([group])[0].acceptance["overall"].tolist()
    )
    assert isinstance(learner, BelievingLearner) and learner.no_belief is None


def test_what_was_said_since_the_fit_weighs_the_draws_and_what_they_learned_from_does_not(
    known: tuple[Drawn, DrawnModel, list[Rated]],
) -> None:
    learner, model, rows = known
    group = asked("new", 5)
    before = learner.believe([model], [Ratings(Train, tuple(rows))])
    assert before.weights == pytest.approx(np.full(40, 1 / 40))
    new = [rated("new", Comparison(0), list(group.outputs[:2]), copy) for copy in range(3)]
    after = learner.believe([model], [Ratings(Train, (*rows, *new))])
    drawn = before.drawn([Group("new", Place(), new[0].request.view, group.outputs)])
    likely = expit(drawn[:, 0] - drawn[:, 1]) ** 3
    assert after.weights == pytest.approx(likely / likely.sum(), abs=1e-12)
    assert after.effective < before.effective == pytest.approx(40)


def test_no_draw_is_learned_from_what_was_drawn_at_random_which_the_model_that_reports_learns_from(
    known: tuple[Drawn, DrawnModel, list[Rated]], tmp_path: Path
) -> None:
    learner, whole, rows = known
    beside = frozenset(row.request.question for row in rows[::3])
    others = [row for row in rows if row.request.question not in beside]

    def fit(some: list[Rated], at_random: frozenset[str], name: str, level: int = 0) -> DrawnModel:
        start = Start(at_random=at_random)
        model = learner.fit(Ratings(Train, tuple(some)), start, Place(level=level), 0, Workspace(tmp_path / name))
        assert isinstance(model, DrawnModel)
        return model

    model = fit(rows, beside, "some")
    assert model.reported.digest == whole.reported.digest
    assert model.weights.tolist() == fit(others, frozenset(), "others").weights.tolist() != whole.weights.tolist()
    assert model.told == {row.feedback.id for row in others}

    upper = [replace(row, request=replace(row.request, place=Place(level=1))) for row in rows]
    drawn_alone = fit(upper, frozenset(row.request.question for row in upper), "upper", 1)
    assert not len(drawn_alone.weights) and not drawn_alone.told
    drawn_alone.save(tmp_path / "saved")
    assert learner.load(tmp_path / "saved").digest == drawn_alone.digest
    asked_for = rated("new", Comparison(0), list(asked("new", 5).outputs[:2]))
    new = replace(asked_for, request=replace(asked_for.request, place=Place(level=1)))
    belief = learner.believe([model, drawn_alone], [Ratings(Train, tuple(others)), Ratings(Train, (new,))])
    below = learner.believe([model], [Ratings(Train, (*others, new))])
    assert belief.weights == pytest.approx(below.weights, abs=1e-12) and belief.effective < 39.9


def test_a_level_without_ratings_is_believed_as_the_one_below_whose_outputs_differ_less(
    known: tuple[Drawn, DrawnModel, list[Rated]],
) -> None:
    """What a draw adds for an output and its view is the same number of standard deviations at either level."""
    learner, model, rows = known
    belief = learner.believe([model], [Ratings(Train, tuple(rows))])
    below, top = asked("new", 5), model.reported
    assert isinstance(top, DispersedModel)
    found = top.dispersions[None]
    fallen = Dispersion(FALL**2 * found.output, found.view)
    here = belief.drawn([replace(below, place=Place(level=2))])
    there = belief.drawn([below])
    own = np.array([generator("draws", below.view.id, text).normal(size=40) for text in below.outputs]).T
    view = generator("draws", below.view.id).normal(size=40)[:, None]
    told, less = (
        (each - np.sqrt(of.output) * own - np.sqrt(of.view) * view) / steepness(of.total)
        for each, of in ((there, found), (here, fallen))
    )
    np.testing.assert_allclose(told, less, atol=1e-9)


def test_equal_outputs_share_what_is_not_known_of_them_and_views_of_theirs(
    known: tuple[Drawn, DrawnModel, list[Rated]],
) -> None:
    learner, model, rows = known
    belief = learner.believe([model], [Ratings(Train, tuple(rows))])
    one, other = asked("s1", 3), asked("s1", 3)
    assert belief.covariance([one], [other]) == pytest.approx(belief.covariance([one], [one]), abs=1e-12)
    spread = np.diag(belief.covariance([one], [one]))
    top = model.reported
    dispersion = top.dispersions[None]  # type: ignore[attr-defined]
    assert (spread > 0.3 * dispersion.output).all() and dispersion.output > 0


def test_draws_are_saved_and_read_again_and_damage_is_refused(
    known: tuple[Drawn, DrawnModel, list[Rated]], tmp_path: Path
) -> None:
    learner, model, rows = known
    assert model.save(tmp_path) == model.digest
    again = learner.load(tmp_path)
    group, ratings = asked("new", 5), [Ratings(Train, tuple(rows))]
    assert again.digest == model.digest and again.told == model.told
    assert (
        learner.believe([again], ratings).means([group]).tolist()
        == learner.believe([model], ratings).means([group]).tolist()
    )
    (tmp_path / "draws.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match=r"draws.safetensors cannot be read"):
        learner.load(tmp_path)
    replace(model, weights=model.weights + 1).save(tmp_path / "other")
    (tmp_path / "other" / "draws.safetensors").replace(tmp_path / "draws.safetensors")
    with pytest.raises(InputError, match="was changed after it was written"):
        learner.load(tmp_path)


def test_what_has_no_weights_to_draw_too_few_draws_and_nothing_said_are_refused(
    known: tuple[Drawn, DrawnModel, list[Rated]],
) -> None:
    learner, model, _ = known
    with pytest.raises(ConfigError, match=r"Drawn takes a learner of rrm.reward.plain:PlainLearner, got a Frozen"):
        Drawn(Frozen())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="draws must be 2 or more, got 1"):
        Drawn(SharedWords(), draws=1)
    with pytest.raises(InputError, match="nothing is believed yet: no rating says anything about rewards"):
        learner.believe([model], [Ratings(Train, ())])
    with pytest.raises(InputError, match="has no ratings to fit on"):
        learner.fit(Ratings(Train, ()), Start(None, None, ()), Place(), 0, Workspace(Path()))
