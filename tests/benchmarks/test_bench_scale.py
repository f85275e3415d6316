"""The benchmark of scale measures what it says: every node driven once, the run's own sentences, a bound for all."""

from pathlib import Path

import pytest

from benchmarks import scale
from benchmarks.scale import Row, bound, measure_driver, sentences_of
from rrm.backbone.encoder import FrozenEncoder
from rrm.core.task import Source
from rrm.core.values import Output, Passage, View
from rrm.store import open_store


def test_a_row_is_held_to_its_limit_and_passes_at_it() -> None:
    assert Row.of("a", 2.0) == Row("a", 2.0, None, None)
    assert [Row.of("a", value, 2.0).passed for value in (1.9, 2.0, 2.1)] == [True, True, False]


def test_the_driver_is_measured_on_all_nodes_without_what_its_stand_ins_take(tmp_path: Path) -> None:
    driven, resumed = measure_driver(tmp_path, 60)
    made = int(driven.name.split()[0])
    with open_store(tmp_path / "driven-60", "read") as record:
        assert len({output.node for output in record.load(Output)}) == made > 60
    assert driven.value > 0 and resumed.value > 0 and driven.limit == scale.DRIVER


def test_the_bound_is_of_every_distinct_sentence_of_sources_outputs_and_views(tmp_path: Path) -> None:
    encoder = FrozenEncoder(device="cpu", dtype="float32")
    with open_store(tmp_path / "run") as record:
        record.append(
            [
                Source("A book", "Five. Two."),
                Output("node", "One. Two.", "policy", 1),
                View("Say it.", (Passage("Two. Three."),), 40, context="One.\n\nFour."),
            ]
        )
    assert sentences_of(tmp_path / "run", encoder) == ["Five.", "One.", "Say it.", "Three.", "Two."]


def test_a_folder_that_holds_runs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["scale", "--quick", "--workers", "1", "--dir", str(tmp_path)])
    monkeypatch.setattr(scale, "measure_workers", lambda *_: pytest.fail("it was measured"))
    (tmp_path / "run-2000-1-0").mkdir()
    with pytest.raises(SystemExit, match=r"holds runs of before, such as run-2000-1-0: name an empty folder"):
        scale.main()


def test_the_fastest_way_encodes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: dict[str, list[int]] = {"quick": [], "slow": []}
    clock = iter([0, 1, 0, 3, 0, 5])
    monkeypatch.setattr(
        scale,
        "ways_to_encode",
        lambda dtype: {name: lambda texts, to=to: to.append(len(texts)) for name, to in encoded.items()},
    )
    monkeypatch.setattr(scale.time, "process_time", lambda: float(next(clock)))
    assert bound([str(at) for at in range(1000)], "float32", 1) == ("quick", 5.0)
    assert encoded == {"quick": [8, 500, 1000], "slow": [8, 500]}
