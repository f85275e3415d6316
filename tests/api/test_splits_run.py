"""A run whose decomposer learns between its rounds from comparisons of decompositions."""

from pathlib import Path
from typing import Any

import pytest

import rrm
from decomposers.segmenter import Segmenter
from rrm.core.errors import ConfigError, PluginError
from rrm.core.graph import TaskGraph
from rrm.core.splits import read_outline
from rrm.core.values import Fitted, Improvement, Output, Rated
from rrm.store.record import SqlStore, open_store
from tests.toys import TOYS

PLANTED = "tasks.planted_cuts:PlantedCuts"
RUN: dict[str, Any] = {
    **TOYS,
    "rounds": 2,
    "train": {"plugin": PLANTED, "arguments": {"count": 5, "events": 8, "sign": "paragraph"}},
    "target": {"plugin": PLANTED, "arguments": {"count": 1, "events": 8, "sign": "paragraph", "seed": 1}},
    "decomposer": {
        "plugin": "decomposers.segmenter:Segmenter",
        "arguments": {"leaf_tokens": 60, "fan_in": [6], "max_tokens": [9]},
    },
    "splits": {
        "plugin": "decomposers.learn_cuts:FromScores",
        "arguments": {"draws": 6, "steps": 2},
        "candidates": 4,
        "per_source": {"comparison": 5},
        "kl_budget": 6.0,
        "rater": {
            "plugin": "rrm.raters.simulated:SimulatedRaters",
            "arguments": {"quality": "tasks.planted_cuts:outline_quality", "temperature": 0.02},
        },
    },
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("splits") / "run"
    rrm.run(out=folder, quiet=True, **RUN)
    return folder


def improvement(record: SqlStore) -> Improvement:
    [made] = [each for each in record.load(Improvement) if each.place.subject == "split"]
    return made


def test_decompositions_are_rated_modelled_and_learned_from_within_the_budget(out: Path) -> None:
    with open_store(out, "read") as record:
        made = improvement(record)
        rated = [each for each in record.load(Rated) if each.request.place.subject == "split"]
        [model] = [each for each in record.load(Fitted) if each.place.subject == "split"]
        drawn = [each for each in record.load(Output) if each.node.startswith("split-")]
        trees = record.load(TaskGraph)
    assert (made.place.round, made.how) == (0, "exact")
    assert 0 < made.kl <= 6.0
    assert (model.role, model.ratings) == ("train", len(rated))
    assert 10 <= len(rated) <= 25
    assert len(drawn) == 20
    assert all(read_outline(each.text) for each in drawn)
    assert all(each.log_prob is not None and each.log_prob < 0 for each in drawn)
    assert len({tree.root for tree in trees}) == 12  # six sources, split otherwise in the second round


def test_what_was_learned_cuts_at_paragraphs_more_often(out: Path) -> None:
    from tasks.planted_cuts import PlantedCuts

    with open_store(out, "read") as record:
        folder = out / "policies" / improvement(record).path
    first = Segmenter(leaf_tokens=60, fan_in=(6,), max_tokens=(9,))
    learned = Segmenter(str(folder / "segmenter.json"), leaf_tokens=60, fan_in=(6,), max_tokens=(9,))

    def at_paragraphs(segmenter: Segmenter) -> float:
        found = []
        for source in PlantedCuts(8, events=8, sign="paragraph", seed=5).sources():
            graph = segmenter.decompose(source, 0)
            starts = [span.start for leaf in graph.leaves if (span := graph.task(leaf).span) and span.start]
            found += [source.text[at - 2 : at] == "\n\n" for at in starts]
        return sum(found) / len(found)

    assert at_paragraphs(learned) > at_paragraphs(first)


def test_a_second_run_over_the_record_computes_nothing_anew(out: Path) -> None:
    with open_store(out, "read") as record:
        before = len(record.load(Output)), improvement(record).id
    rrm.run(out=out, quiet=True, **RUN)
    with open_store(out, "read") as record:
        assert (len(record.load(Output)), improvement(record).id) == before


def test_new_sources_are_split_by_what_was_learned(out: Path, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("\n\n".join("Anna sold the lamp. Peter hid the key. Anna wept." for _ in range(30)))
    rrm.apply(out, [book], tmp_path / "applied", quiet=True)
    with open_store(tmp_path / "applied", "read") as record:
        [graph] = record.load(TaskGraph)
        path = tmp_path / "applied" / "policies" / improvement(record).path / "segmenter.json"
    learned = Segmenter(str(path), leaf_tokens=60, fan_in=(6,), max_tokens=(9,))
    spans = [graph.task(leaf).span for leaf in graph.leaves]
    from tasks.books import read_book

    expected = learned.decompose(read_book(book), 0)
    assert spans == [expected.task(leaf).span for leaf in expected.leaves]


def test_a_forecast_counts_the_questions_about_decompositions() -> None:
    from rrm.api.forecast import forecast
    from rrm.api.runfile import run_of

    notes = forecast(run_of(RUN))["notes"]
    assert any("questions about decompositions come beside these" in note for note in notes)


def test_a_decomposer_that_is_no_distribution_cannot_learn(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"\[decomposer\].*is no SplitSampler"):
        rrm.run(out=tmp_path / "run", quiet=True, **{**RUN, "decomposer": {"plugin": "tests.toys:Thirds"}})
    with pytest.raises(ConfigError, match=r"splits.candidates"):
        rrm.run(out=tmp_path / "run", quiet=True, **{**RUN, "splits": {**RUN["splits"], "candidates": 1}})
