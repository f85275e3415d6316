"""Beliefs of models whose trunks learn: against every weight and effect written out, and what each trunk may tell."""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import NamedTuple

import numpy as np
import pytest
import torch

import rrm.reward
from rrm.ask import Value
from rrm.ask.standing import Standing
from rrm.core.asking import Alternatives, Asking, Belief, BelievingLearner, Question
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.protocols import RewardLearner, RewardModel, Start, Workspace
from rrm.core.roles import Ratings, Train
from rrm.core.values import Feedback, Group, Label, Passage, Rated, View
from rrm.reward.adapted import AdaptedModel
from rrm.reward.blend import Blend
from rrm.reward.cross_fit import CrossFittedModel
from rrm.reward.dispersed import DispersedModel, undispersed
from rrm.reward.features import FeatureReader
from rrm.reward.frozen import Frozen
from rrm.reward.held import acceptance_logits
from rrm.reward.joint import Joint
from rrm.reward.joint_model import JointModel, Reading
from rrm.reward.states import states_of
from rrm.reward.train import train
from rrm.reward.train_config import TrainConfig
from rrm.reward.windows import Long
from tests.reward.belief_problems import written_out
from tests.reward.joint_problems import EXACT, WORDS, judged, save_decoder, save_encoder
from tests.reward.reward_problems import WordEncoder
from tests.reward.wrapper_problems import SharedWords


class Fit(NamedTuple):
    """Two levels' models with what they were fitted to."""

    learner: Joint | Blend
    models: list[RewardModel]
    rows: list[list[Rated]]


def at_level(rows: Sequence[Rated], level: int) -> list[Rated]:
    return [replace(row, request=replace(row.request, place=Place(level=level))) for row in rows]


def fit(learner: Joint | Blend, folder: Path, *seeds: int) -> Fit:
    models: list[RewardModel] = []
    rows = [
        at_level([*judged(6, seed, outputs=3), *judged(6, seed, outputs=3, kind="label")], level)
        for level, seed in enumerate(seeds)
    ]
    for level, rated in enumerate(rows):
        start = Start(models[-1] if models else None, None, ())
        workspace = Workspace(folder / f"level-{level}")
        models.append(learner.fit(Ratings(Train, tuple(rated)), start, Place(level=level), 0, workspace))
    return Fit(learner, models, rows)


@pytest.fixture(scope="module")
def joint(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    folder = tmp_path_factory.mktemp("joint")
    learner = Joint(str(save_decoder(folder / "base")), epochs=1, members=2, learning_rate=1e-2, **EXACT)
    return fit(learner, folder, 1, 2)


def believed(of: Fit, rows: Sequence[Sequence[Rated]] | None = None) -> Belief:
    return of.learner.believe(of.models, [Ratings(Train, tuple(each)) for each in rows or of.rows])


def asked(source: str, seed: int, level: int = 0, count: int = 3) -> Group:
    random = np.random.default_rng(seed)
    view = View("", (Passage(" ".join(random.choice(WORDS, 15))),), 64)
    return Group(source, Place(level=level), view, tuple(" ".join(random.choice(WORDS, 6)) for _ in range(count)))


def of_rated(row: Rated) -> Group:
    return Group(row.request.source, row.request.place, row.request.view, row.request.group.outputs)


def test_a_fine_tuned_belief_is_the_posterior_with_every_weight_and_effect_written_out(joint: Fit) -> None:
    belief = believed(joint)
    groups = [of_rated(joint.rows[0][0]), of_rated(joint.rows[1][0]), asked("new", 6), asked("new", 7, level=1)]
    means, covariance = written_out(belief, groups)  # type: ignore[arg-type]
    assert belief.means(groups) == pytest.approx(means, abs=2e-2)
    assert belief.covariance(groups, groups) == pytest.approx(covariance, abs=1e-2, rel=1e-2)
    assert np.linalg.eigvalsh(belief.covariance(groups, groups))[0] > -1e-9
    assert isinstance(belief, Belief)


def test_answers_about_leaves_tell_of_roots_and_of_an_output_most_about_itself(joint: Fit) -> None:
    before = believed(joint)
    leaf, root = asked("new", 1), asked("new", 1, level=1)
    assert np.diag(before.covariance([leaf], [root])).min() > 0
    row = next(each for each in joint.rows[0] if isinstance(each.feedback.answer, Label))
    own = of_rated(row)

    def said(*goods: bool) -> tuple[float, float]:
        more = [replace(row, feedback=Feedback(row.request.id, f"r{at}", Label(good))) for at, good in enumerate(goods)]
        belief = believed(joint, [[*joint.rows[0], *more], joint.rows[1]])
        return float(belief.means([own])[0]), float(belief.covariance([own], [own])[0, 0])

    assert said(*[True, False] * 15)[1] < 0.25 * before.covariance([own], [own])[0, 0]  # its own effect is known by now
    assert said(*[True] * 30)[0] > before.means([own])[0] + 1


def test_a_rater_who_answers_blindly_is_believed_less(joint: Fit) -> None:
    """Another rater says of everything the first one judged the opposite or the same, as a coin falls."""
    random = np.random.default_rng(0)
    blind = [
        replace(row, feedback=Feedback(row.request.id, "blind", Label(bool(random.random() < 0.5))))
        for row in joint.rows[0]
        if isinstance(row.feedback.answer, Label)
        for _ in range(6)
    ]
    rows = [[*joint.rows[0], *blind], joint.rows[1]]
    assert joint.learner.reliability  # type: ignore[union-attr]
    heads = believed(joint, rows).heads  # type: ignore[attr-defined]
    first, other = sorted(heads[0].mode.raters, key=lambda each: each.name == "r")[::-1]
    assert (first.name, other.name) == ("r", "blind") and other.temperature > 1.3 * first.temperature


def test_the_order_of_ratings_does_not_matter(joint: Fit) -> None:
    groups = [of_rated(joint.rows[0][0]), asked("new", 6, level=1)]
    one, other = believed(joint), believed(joint, [each[::-1] for each in joint.rows])
    assert other.means(groups) == pytest.approx(one.means(groups), abs=1e-4)
    assert other.covariance(groups, groups) == pytest.approx(one.covariance(groups, groups), abs=1e-4)


def test_answers_to_what_was_chosen_by_it_come_to_the_same_together_in_whatever_order(joint: Fit) -> None:
    belief = believed(joint)
    requests = {row.request.id: row.request for rated in joint.rows for row in rated}
    root = asked("new", 7, level=1)
    target = Alternatives(("a", "b", "c"), np.zeros(3), (root,), np.eye(3))
    asking = Asking(tuple(Question(each, 1.0, 0.2) for each in requests.values()), (target,), {0: 3, 1: 1}, minutes=30)
    sampler = Value()
    chosen = sampler.choose(belief, asking)
    assert chosen.outlook.gain > 0 and chosen.outlook.told
    told = [(each.request, at % 2 == 0) for at, each in enumerate(chosen.asked)]
    one, other = (Standing.of(sampler.keep(belief, asking, chosen.asked)) for _ in range(2))
    one.learn_together(told)
    other.learn(*told[3])  # what was learned before is learned anew
    other.learn_together(told[::-1])
    for name in ("mean", "covariance", "scores", "spread"):
        assert one.arrays()[name] == pytest.approx(other.arrays()[name], abs=1e-9), name


def test_a_source_is_read_by_the_trunk_that_never_saw_it_and_a_new_one_by_all(joint: Fit) -> None:
    inner = undispersed(joint.models[0])
    folds = inner.inner  # type: ignore[attr-defined]
    assert isinstance(folds, CrossFittedModel)
    known, new = of_rated(joint.rows[0][0]), asked("new", 6)
    each = [states_of(model, [known, new]) for model in folds.models]
    found = states_of(joint.models[0], [known, new])
    [of_known], [of_new] = found[0], found[1]
    assert of_known == pytest.approx(each[folds.seen[known.source]][0][0], abs=1e-6)
    assert np.abs(of_known - each[1 - folds.seen[known.source]][0][0]).max() > 1e-3  # the trunks differ
    assert of_new == pytest.approx((each[0][1][0] + each[1][1][0]) / 2, abs=1e-6)


def test_before_anything_that_was_held_out_says_otherwise_a_model_is_believed_as_it_scores(joint: Fit) -> None:
    belief = believed(joint)
    head = belief.heads[0]  # type: ignore[attr-defined]
    group = asked("new", 6)
    [columns] = head.layer.read([group])
    said = acceptance_logits(undispersed(joint.models[0]).predict([group])[0]).mean(axis=0)
    assert columns[:, 0] == pytest.approx(said, abs=1e-6) and head.layer.centre.tolist() == [
        1,
        *[0] * (len(columns[0]) - 1),
    ]


@pytest.mark.parametrize("how", ["decoder, last", "decoder, mean", "encoder"])
def test_heads_weigh_the_states(tmp_path: Path, how: str) -> None:
    base = save_encoder(tmp_path / "base") if how == "encoder" else save_decoder(tmp_path / "base")
    reading = Reading(pooling="mean") if how.endswith("mean") else Reading()
    config = TrainConfig(members=3, epochs=1, learning_rate=1e-3, save_every=0)
    model = train(judged(6, 1), str(base), tmp_path / "m", config, seed=0, reading=reading, **EXACT).model
    assert isinstance(model, JointModel)
    groups = [asked("new", 1, count=11), asked("other", 2, count=2)]  # one alone, and several in a row
    head = model.net.head
    for states, rewards in zip(model.states(groups), model.rewards(groups), strict=True):
        with torch.no_grad():
            expected = head(torch.from_numpy(states).float()).T.double().numpy()
        assert rewards == pytest.approx(expected, abs=1e-5)


def test_the_state_of_an_output_read_with_windows_is_its_reward_s_gradient(tmp_path: Path) -> None:
    base, long = save_decoder(tmp_path / "base"), "windows"
    config = TrainConfig(members=1, epochs=1, learning_rate=1e-3, save_every=0)
    reading: dict[str, Long] = {"long_sources": long}  # type: ignore[dict-item]
    model = train(
        judged(6, 1), str(base), tmp_path / "m", config, seed=0, reading=Reading(max_length=16, **reading), **EXACT
    ).model
    assert isinstance(model, JointModel)
    group = asked("new", 3)
    assert max(map(len, model.windows([(group.view, text) for text in group.outputs]))) > 1
    [states] = model.states([group])
    step = torch.zeros_like(model.net.head.weight)
    step[0, 5] = 0.05
    moved = []
    for sign in (1, -1):
        with torch.no_grad():
            model.net.head.weight += sign * step
            moved.append(model.rewards([group])[0][0])
            model.net.head.weight -= sign * step
    assert states[:, 5] == pytest.approx((moved[0] - moved[1]) / 0.1, abs=1e-3)


def test_a_sum_is_believed_by_the_states_of_all_its_kinds_of_trunks(tmp_path: Path) -> None:
    tiny = str(save_decoder(tmp_path / "base"))
    frozen = Frozen(members=8, components=4)
    frozen.reader = FeatureReader(WordEncoder())
    learners = (frozen, Joint(tiny, epochs=1, members=2, **EXACT), SharedWords())
    of = fit(Blend(learners), tmp_path, 1)
    assert of.learner.no_belief is None
    belief = believed(of)
    group = asked("new", 6)
    [kinds] = states_of(of.models[0], [group])
    assert [each.shape[0] for each in kinds] == [3, 3] and kinds[1].shape[1] == 32
    covariance = belief.covariance([group], [group])
    assert np.isfinite(belief.means([group])).all() and np.linalg.eigvalsh(covariance)[0] > 0


def test_rewards_that_a_model_remembers_hold_no_states(joint: Fit) -> None:
    fine = joint.models[0].inner.inner.models[0]  # type: ignore[attr-defined]
    assert isinstance(fine, AdaptedModel)
    fine._known.clear()
    [states] = fine.states([asked("new", 7)])
    assert len(fine._known) >= len(states) and all(each.base is None for each in fine._known.values())


def test_nothing_said_damaged_weights_and_other_models_are_refused_in_a_sentence(joint: Fit, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing is believed yet: no rating says anything about rewards"):
        joint.learner.believe(joint.models, [Ratings(Train, ()), Ratings(Train, ())])
    with pytest.raises(InputError, match="a PlainModel leaves open is not known: its learner has no Dispersed"):
        rows = Ratings(Train, tuple(joint.rows[0]))
        model = SharedWords().fit(rows, Start(None, None, ()), Place(), 0, Workspace(tmp_path))
        joint.learner.believe([model], [rows])
    top = joint.models[0]
    assert isinstance(top, DispersedModel)
    folds = top.inner.inner  # type: ignore[attr-defined]
    fine = folds.models[0]
    assert isinstance(fine, AdaptedModel)
    broken = AdaptedModel(
        fine.joint, fine.trunk,
        {name: each * np.nan if name.endswith(".B") else each for name, each in fine.tensors.items()},
    )  # fmt: skip
    damaged = replace(top, inner=replace(top.inner, inner=replace(folds, models=(broken, folds.models[1]))))  # type: ignore[type-var]
    with pytest.raises(InputError, match="states that are not finite: its weights diverged or are damaged"):
        believed(Fit(joint.learner, [damaged], joint.rows[:1]), joint.rows[:1])


def test_every_learner_of_the_house_says_what_is_believed_or_is_known_not_to() -> None:
    """A sampler refuses the others before the run starts (`tests/api/test_asking_run.py`)."""
    found = {
        name: each
        for module in iter_modules(rrm.reward.__path__)
        for name, each in vars(import_module(f"rrm.reward.{module.name}")).items()
        if inspect.isclass(each) and each.__module__ == f"rrm.reward.{module.name}" and not name.startswith("_")
        and {"fit", "load"} <= vars(each).keys()
    }  # fmt: skip
    believing = {name for name, each in found.items() if hasattr(each, "believe")}
    assert believing == {"Frozen", "Joint", "Blend", "Drawn"}
    assert found.keys() - believing == {
        "Apart", "ByCriterion", "Calibrated", "Claimwise", "CrossFitted", "Dispersed", "PlainLearner", "Summed",
        "SplitRewards", "Tuned",
    }  # fmt: skip
    assert isinstance(Frozen(), BelievingLearner) and isinstance(Frozen(), RewardLearner)
    assert "make rrm.reward.frozen:Frozen one of them" in str(Blend((SharedWords(), SharedWords(2.0))).no_belief)
    assert "leave out `separate`" in str(Blend((Frozen(separate=True), SharedWords())).no_belief)
