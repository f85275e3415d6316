"""Warnings where a count of words does as well as the model, and where a rater does not judge."""

from dataclasses import replace

import pytest

from rrm.core.place import Place
from rrm.core.report import LevelReport
from rrm.core.values import Answer, Comparison, Feedback, Label, Rated, Request, Shown, View
from rrm.evaluate.doubts import beaten, one_sided

LEVEL = LevelReport(0, 100, 50, 5, accuracy=0.6, longer_wins=0.62)


def rows(answers: list[Answer], rater: str = "p") -> list[Rated]:
    """One answer each about outputs of its own."""
    made = []
    for number, answer in enumerate(answers):
        shown = tuple(Shown(f"{side}{number}", f"{side}{number}") for side in "ab"[: answer.shows[1]])
        request = Request(f"n{number}", "s", Place(), answer.kind, View("Tell.", (), 9), shown)
        made.append(Rated(request, Feedback(request.id, rater, answer)))
    return made


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, True),
        ({"longer_wins": 0.6}, True),
        ({"longer_wins": 0.59}, False),
        ({"longer_wins": None}, False),
        ({"accuracy": None}, False),
        ({"n_test": 25, "ties": 5}, True),
        ({"n_test": 25, "ties": 6}, False),
    ],
)
def test_a_model_that_the_longer_output_equals_is_named(changes: dict[str, object], told: bool) -> None:
    found = list(beaten([replace(LEVEL, **changes)], 2))  # type: ignore[arg-type]
    assert len(found) == told
    assert all(each.startswith('leaves: "the longer wins" is right in 6') for each in found)


def test_a_rater_who_always_takes_a_side_or_gives_one_answer_is_named() -> None:
    [first] = one_sided(rows([Comparison(0, 0.5), Comparison(0)] * 10))
    assert first.startswith("the rater p held the first output shown to be better in all 20 answers of the kind comp")
    [same] = one_sided(rows([Label(True)] * 30, "q"))
    assert same.startswith("the rater q gave the answer ") and "in all 30 answers of the kind label" in same


def test_a_rater_who_judges_and_one_of_few_answers_are_not() -> None:
    assert list(one_sided(rows([Comparison(0)] * 19 + [Comparison(1)]))) == []
    assert list(one_sided(rows([Comparison(0)] * 19))) == []
    assert list(one_sided(rows([Label(True)] * 19) * 2)) == []  # answers that are counted twice are no more
    assert list(one_sided(rows([Comparison(0)] * 15) + rows([Comparison(0)] * 15, "other"))) == []
