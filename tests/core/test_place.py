"""Places: their text, their order, and what they are called."""

import pytest

from rrm.core.errors import InputError
from rrm.core.place import SUBJECTS, Place, Subject, level_name


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize(("round_", "level"), [(0, 0), (3, 12)])
def test_a_place_is_the_one_that_its_text_names(round_: int, subject: Subject, level: int) -> None:
    place = Place(round_, subject, level)
    assert str(place) == f"{round_}/{subject}/{level}"
    assert Place.parse(str(place)) == place


@pytest.mark.parametrize(
    "text", ["", "0", "0/answer", "0/answer/", "/answer/0", "0/reply/0", "-1/answer/0", "0/answer/-1", "0/answer/1/2"]
)
def test_a_text_that_names_no_place_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match="such as 0/answer/2") as error:
        Place.parse(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("place", [(-1, "answer", 0), (0, "answer", -1), (0, "reply", 0)])
def test_there_is_no_place_before_the_first(place: tuple[int, Subject, int]) -> None:
    with pytest.raises(InputError, match="no place"):
        Place(*place)


def test_places_come_in_the_order_of_rounds_and_then_of_levels() -> None:
    places = [Place(1), Place(0, "answer", 10), Place(0, "answer", 9)]
    assert sorted(places) == [Place(0, "answer", 9), Place(0, "answer", 10), Place(1)]


def test_people_count_rounds_from_one_and_read_of_them_only_where_there_are_several() -> None:
    assert Place(1, "answer", 2).title == "round 2, level 2"
    assert Place(0, "whole", 2).title == "round 1, whole outputs"
    assert Place(1, "split", 0).words(several=True) == "round 2, splits at level 0"
    assert Place(1, "answer", 2).words(several=False) == "level 2"


def test_levels_are_called_leaves_root_or_by_their_number() -> None:
    assert [level_name(level, 2) for level in range(3)] == ["leaves", "level 1", "root"]
    assert level_name(0, 0) == "leaves"
