"""A level's model on disk, and the calibration of its logits."""

import json
from pathlib import Path

import numpy as np
import pytest

from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.protocols import RewardModel
from rrm.core.values import Group
from rrm.reward.calibrate import Calibration, HeldLogits, calibrate, cross_calibrate
from rrm.reward.fit import FitConfig, fit, leaves_out
from rrm.reward.model import LevelModel
from tests.reward.reward_problems import WordEncoder, rate, view

SMALL = FitConfig(members=8, folds=4, l2=5.0, components=4)
GROUPS = [
    Group("s0", Place(), view("s0"), ("Anna river stone.", "", "word")),
    Group("new", Place(), view("new"), ("Zelda foo.", "Zelda foo.")),
]


@pytest.fixture(scope="module")
def model() -> LevelModel:
    return fit(rate(labels=5), WordEncoder(), SMALL, seed=0)


def test_a_saved_model_scores_exactly_as_before(model: LevelModel, tmp_path: Path) -> None:
    digest = model.save(tmp_path / "model")
    loaded = LevelModel.load(tmp_path / "model", WordEncoder())
    assert isinstance(loaded, RewardModel)
    assert loaded.digest == model.digest == digest
    assert dict(loaded.seen) == dict(model.seen) and loaded.anchored
    for mine, theirs in (
        (model.rewards(GROUPS), loaded.rewards(GROUPS)),
        (model.acceptance(GROUPS), loaded.acceptance(GROUPS)),
    ):
        for one, other in zip(mine, theirs, strict=True):
            assert np.array_equal(one, other)


def test_saving_twice_writes_equal_bytes_and_leaves_no_other_files(model: LevelModel, tmp_path: Path) -> None:
    model.save(tmp_path / "a")
    model.save(tmp_path / "a")
    model.save(tmp_path / "b")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["model.json", "model.safetensors"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_equal_texts_get_equal_scores(model: LevelModel) -> None:
    for found in (model.rewards(GROUPS)[1], model.acceptance(GROUPS)[1]):
        assert np.array_equal(found[:, 0], found[:, 1])


def test_the_mean_of_an_anchored_acceptance_is_that_of_the_logistic_of_the_rewards(model: LevelModel) -> None:
    for rewards, acceptance in zip(model.rewards(GROUPS), model.acceptance(GROUPS), strict=True):
        np.testing.assert_allclose(acceptance.mean(axis=0), (1 / (1 + np.exp(-rewards))).mean(axis=0), atol=1e-9)


@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
def test_a_changed_file_is_refused(model: LevelModel, tmp_path: Path, name: str) -> None:
    model.save(tmp_path)
    path = tmp_path / name
    if name.endswith("json"):
        facts = json.loads(path.read_text())
        path.write_text(json.dumps({**facts, "seen": {}}))
    else:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    with pytest.raises(InputError, match="digest"):
        LevelModel.load(tmp_path, WordEncoder())


def test_missing_foreign_and_older_files_are_refused(model: LevelModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no reward model"):
        LevelModel.load(tmp_path / "nothing", WordEncoder())
    model.save(tmp_path)
    (tmp_path / "model.json").write_text("[]")
    with pytest.raises(InputError, match="another version"):
        LevelModel.load(tmp_path, WordEncoder())


def test_another_encoder_is_refused(model: LevelModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    other = WordEncoder()
    other.name = "other"
    with pytest.raises(InputError, match="needs the encoder words"):
        LevelModel.load(tmp_path, other)
    with pytest.raises(InputError, match="fitted with words"):
        fit(rate(), other, SMALL, seed=0, init=model, place=Place(level=1))


def _held(logits: np.ndarray, outcome: np.ndarray, anchor: float = 1.0, fold: np.ndarray | None = None) -> HeldLogits:
    rows = len(outcome)
    folds = np.zeros(rows, dtype=int) if fold is None else fold
    return HeldLogits(logits[:, None], outcome, np.full(rows, anchor), folds, *_apart(rows))


def _apart(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels that share nothing."""
    return np.arange(rows), np.full(rows, -1), np.arange(rows)


def test_calibration_finds_the_true_slope_and_intercept() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3, size=20_000)
    outcome = (rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * logits + 0.8)))).astype(float)
    found = calibrate(_held(logits, outcome), np.ones((20_000, 1), dtype=bool))
    assert found.slope == pytest.approx(0.5, abs=0.03) and found.intercept == pytest.approx(0.8, abs=0.05)


def test_differences_of_rewards_never_get_an_intercept() -> None:
    rng = np.random.default_rng(0)
    outcome = (rng.random(2000) < 0.8).astype(float)
    used = np.ones((2000, 1), dtype=bool)
    assert calibrate(_held(rng.normal(size=2000), outcome, anchor=0.0), used).intercept == 0


def test_without_rows_the_prior_stands() -> None:
    empty = _held(np.zeros(0), np.zeros(0))
    assert calibrate(empty, np.zeros((0, 1), dtype=bool), Calibration(0.4, -1.0)) == Calibration(0.4, -1.0)


def test_a_fold_s_calibration_ignores_its_own_rows() -> None:
    rng = np.random.default_rng(1)
    left_out = leaves_out(3, 3)
    assert left_out.sum(axis=1).tolist() == [1, 1, 1, 2, 2, 2]
    fold, true = np.arange(600) % 3, rng.normal(size=600)
    outcome = (rng.random(600) < 1 / (1 + np.exp(-true))).astype(float)
    logits = np.repeat(true[:, None], 6, axis=1)
    honest = HeldLogits(logits, outcome, np.ones(600), fold, *_apart(600))
    lied = HeldLogits(
        np.where(left_out[None, :, 0], logits, 9.0),  # heads fitted on fold 0 went astray
        np.where(fold == 0, 1 - outcome, outcome),
        np.ones(600),
        fold,
        *_apart(600),
    )
    priors = np.tile([1.0, 0.0], (4, 1))
    before, after = cross_calibrate(honest, left_out, priors), cross_calibrate(lied, left_out, priors)
    assert before.shape == (4, 2)
    assert np.array_equal(before[0], after[0])
    assert (np.abs(before[1:] - after[1:]).max(axis=1) > 0.1).all()
