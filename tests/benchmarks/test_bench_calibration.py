"""The benchmark of what leaks into a fold's calibration."""

import numpy as np
import pytest

from benchmarks.calibration import calibration, fitted, main, optimism, world


@pytest.mark.parametrize("nested", [True, False])
def test_a_fold_s_labels_reach_its_calibration_unless_folds_are_nested(nested: bool) -> None:
    drawn = world(0, rows=60, folds=3)
    lies = drawn._replace(labels=np.where(drawn.fold == 0, 1 - drawn.labels, drawn.labels))
    found = []
    for each in (drawn, lies):
        kept = {fold: each.fold != fold for fold in (1, 2)}
        models = {fold: fitted(each, rows & (each.fold != 0) if nested else rows, 1.0) for fold, rows in kept.items()}
        found.append(calibration(each, 0, models))
    assert (found[0] == found[1]) is nested


def test_optimism_is_that_of_a_draw(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    one, again, other = (optimism(seed, 40, 2, 1.0, nested=False) for seed in (0, 0, 1))
    assert one == again != other and abs(one) < 1
    monkeypatch.setattr("sys.argv", ["calibration", "--draws", "2"])
    main()
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 6 and all(row.count("|") == 6 for row in rows)
