from itertools import combinations

import pytest

from rrm.core.errors import InputError
from rrm.core.protocols import SourceSet
from rrm.core.task import Span
from tasks.planted_cuts import PlantedCuts


def test_the_best_cut_is_the_best_of_all_cuts() -> None:
    planted = PlantedCuts(3, events=3, target=30, seed=2)
    assert isinstance(planted, SourceSet)
    for text in planted.texts:
        units = len(text.starts)
        every = [(*inner, units) for count in range(units) for inner in combinations(range(1, units), count)]
        assert text.optimum == pytest.approx(max(text.value(cut) for cut in every), abs=1e-12)
        assert text.value(text.best()) == pytest.approx(text.optimum, abs=1e-12)


def test_what_a_part_is_worth_can_be_counted_by_hand() -> None:
    [text] = PlantedCuts(1, events=4, off=0.0, seed=1).texts
    whole, units = (len(text.starts),), len(text.starts)
    assert text.value(whole) == 4 + 0.5 * sum(text.needs[1:])
    apart = (*text.events[1:], units)
    assert text.value(apart) == 4
    assert text.value(tuple(range(1, units + 1))) == 0  # every event has two sentences or more
    edges = [*text.starts, len(text.source.text)]
    assert text.value_of([Span(0, edges[text.events[2]]), Span(edges[text.events[2]], edges[-1])]) == (
        4 + 0.5 * text.needs[1] + 0.5 * text.needs[3]
    )


def test_signs_stand_where_they_should() -> None:
    for sign, shown in (("time", ("The ", "Two ", "That ", "In ", "One ", "A ")), ("speech", ("“",))):
        [text] = PlantedCuts(1, sign=sign, seed=4).texts  # type: ignore[arg-type]
        for event in text.events[1:]:
            said = text.source.text[text.starts[event] :][:30]
            assert said.replace("But ", "", 1).lower().startswith(tuple(map(str.lower, shown)))
    assert PlantedCuts(2, seed=1).texts[0].source.text == PlantedCuts(2, seed=1).texts[0].source.text
    with pytest.raises(InputError, match="no sign 'weather'"):
        PlantedCuts(1, sign="weather")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="1 or more"):
        PlantedCuts(0)
