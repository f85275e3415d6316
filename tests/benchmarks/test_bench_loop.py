"""The benchmark of fine-tuned models in a run: it runs, and no way forwards more tokens than it should."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.loop import Plan, backbone, cross_fitting, fitting, scoring

TINY = Plan(hidden=64, layers=1, nodes=6, fitted=4, source=48, output=8, times=1, outputs=3, epochs=1)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = str(tmp_path_factory.mktemp("backbone"))
    return {"backbone": backbone(TINY, Path(folder)), "epochs": TINY.epochs, "members": 2, "dtype": "float32"}


def test_a_level_is_scored_through_the_loop_by_the_tokens_of_a_plain_forward(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = scoring(TINY, tmp_path, settings)
    [plain], [loop] = taken["plain batched forward"], taken["through the loop"]
    assert plain.trained == loop.trained == 0
    assert TINY.nodes * (TINY.source + 3 * TINY.output) <= plain.scored <= 1.1 * TINY.nodes * (TINY.source + 36)
    assert loop.scored <= 1.02 * plain.scored
    assert min(plain.seconds.worked, loop.seconds.worked, plain.speed, loop.speed) > 0
    assert "| through the loop |" in capsys.readouterr().out


def test_a_level_is_fitted_through_the_loop_by_the_tokens_of_a_training_alone(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    taken = fitting(TINY, tmp_path, settings)
    trained = {way: row.trained for way, [row] in taken.items()}
    alone = trained.pop("rrm.reward.train alone")
    assert alone > 0 and len(trained) == 2
    assert all(0.9 * alone <= tokens <= 1.1 * alone for tokens in trained.values())


def test_two_folds_train_once_and_score_what_they_held_out_once(settings: dict[str, Any], tmp_path: Path) -> None:
    ratios = cross_fitting(TINY, tmp_path, settings)
    assert ratios["training"] <= 1.1
    assert ratios["training sources"] <= 1.1
    assert 1.9 <= ratios["targets"] <= 2.2
