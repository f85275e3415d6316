"""Which action made what, and values by what stands in a column."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.values import Failure, Output
from rrm.store.record import Made, open_store


@dataclass(frozen=True)
class Action:
    """What a record is told of an action."""

    id: str
    step: str
    place: Place
    slot: str


@pytest.fixture
def outputs() -> list[Output]:
    return [Output("node", text, "policy", 0) for text in ("one", "two", "three")]


def test_values_are_told_with_the_actions_that_made_them(
    tmp_path: Path, url: str | None, outputs: list[Output]
) -> None:
    first, second = Action("a", "propose", Place(0), "node"), Action("b", "propose", Place(1), "node")
    with open_store(tmp_path, url=url) as store:
        store.complete(
            [(first, outputs[:2]), (Action("c", "rate", Place(0), "other"), [Failure("o", "rate", "E", "no")])]
        )
        store.complete([(second, [outputs[2], outputs[0]])])
        made = [
            ("a", first, outputs[0]),
            ("a", first, outputs[1]),
            ("b", second, outputs[2]),
            ("b", second, outputs[0]),
        ]
        assert store.made(Output) == [
            Made(id_, "propose", action.place, "node", output.id) for id_, action, output in made
        ]
        assert [each.slot for each in store.made(Failure)] == ["other"]


def test_values_are_found_by_a_column(tmp_path: Path, url: str | None, outputs: list[Output]) -> None:
    elsewhere = Output("elsewhere", "one", "policy", 0)
    with open_store(tmp_path, url=url) as store:
        store.append([*outputs, elsewhere])
        assert store.load_where(Output, "node", ["elsewhere", "nowhere"]) == [elsewhere]
        assert store.load_where(Output, "id", [outputs[2].id, outputs[0].id]) == [outputs[0], outputs[2]]
        assert store.load_where(Output, "node", []) == []
        assert store.by_id(Output) == {output.id: output for output in (*outputs, elsewhere)}
        with pytest.raises(InputError, match="a record holds no int"):
            store.made(int)
