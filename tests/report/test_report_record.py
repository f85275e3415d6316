"""A report survives being written as JSON and read again, and nothing else is taken for one."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies

from rrm.core.errors import InputError, NewerStoreError
from rrm.core.report import Cost, Report
from rrm.report.record import report_from_json, report_to_json

EMPTY = Report("nothing", 0, 0, (), 0, 0, "mean", (), None, (), Cost(), 0.0)


def changed(report: Report, change: Callable[[Any], object]) -> str:
    """Return the report as JSON, with a change made to what it holds."""
    data = json.loads(report_to_json(report))
    change(data)
    return json.dumps(data)


def test_a_report_comes_back_equal(report: Report) -> None:
    again = report_from_json(report_to_json(report))
    assert again == report
    assert again.to_json() == report.to_json()
    assert type(again.levels[0].interval) is type(report.levels[0].interval)
    assert type(again.targets[0].composed_correlation) is type(report.targets[0].composed_correlation)


def test_an_empty_report_comes_back_equal() -> None:
    assert report_from_json(report_to_json(EMPTY)) == EMPTY


def test_texts_of_any_kind_come_back_but_for_half_a_surrogate_pair_which_utf_8_cannot_hold(report: Report) -> None:
    odd = replace(report, name="\x00\x1b[1m 👩‍👩‍👧 </script> \u202e", targets=())
    assert report_from_json(report_to_json(odd)) == odd
    assert report_from_json(report_to_json(replace(odd, name="a\ud800b"))) == replace(odd, name="a?b")


@given(strategies.floats())
def test_every_float_comes_back_to_the_last_bit(value: float) -> None:
    again = report_from_json(report_to_json(replace(EMPTY, seconds=value, settings={"at": [value]})))
    assert (repr(again.seconds), repr(again.settings)) == (repr(value), repr({"at": [value]}))


def test_whole_numbers_may_stand_for_reals_but_not_the_other_way_round(report: Report) -> None:
    whole = report_from_json(changed(report, lambda data: data["report"].update(seconds=12)))
    assert isinstance(whole.seconds, float) and whole.seconds == 12.0
    with pytest.raises(InputError, match=r"report\.outputs must be a valid integer, got 1\.5"):
        report_from_json(changed(report, lambda data: data["report"].update(outputs=1.5)))


def test_a_missing_field_with_a_default_takes_it(report: Report) -> None:
    text = changed(report, lambda data: data["report"]["levels"][0].pop("coverage"))
    assert report_from_json(text).levels[0].coverage is None


def _without_name(data: Any) -> None:
    del data["report"]["name"]


def _with_another(data: Any) -> None:
    data["report"]["levels"][1]["colour"] = "red"


def _short_interval(data: Any) -> None:
    data["report"]["levels"][0]["interval"] = [0.1]


def _text_for_number(data: Any) -> None:
    data["report"]["levels"][0]["n_test"] = "9"


def _truth_for_number(data: Any) -> None:
    data["report"]["cost"]["calls"] = True


def _no_list(data: Any) -> None:
    data["report"]["targets"] = {}


def _no_report(data: Any) -> None:
    data["report"] = None


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_without_name, r"report\.name is missing"),
        (_with_another, r"report\.levels\[1\]\.colour is unknown"),
        (_short_interval, r"report\.levels\[0\]\.interval\[1\] is missing"),
        (_text_for_number, r"report\.levels\[0\]\.n_test must be a valid integer, got '9'"),
        (_truth_for_number, r"report\.cost\.calls must be a valid integer, got True"),
        (_no_list, r"report\.targets must be a valid array, got {}"),
        (_no_report, r"report must be an object, got None"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(report: Report, spoil: Any, told: str) -> None:
    with pytest.raises(InputError, match=told + "; the file was changed or made by another version of rrm$"):
        report_from_json(changed(report, spoil))


@pytest.mark.parametrize("text", ["", "{}", '{"format": "other"}', "[]", '"text"', "null", "[" * 100_000, b"\xff"])
def test_what_is_not_a_report_is_refused(text: str | bytes) -> None:
    with pytest.raises(InputError, match="not a report"):
        report_from_json(text)


def test_a_newer_report_asks_for_a_newer_rrm_whatever_else_it_holds(report: Report) -> None:
    with pytest.raises(NewerStoreError, match="newer rrm"):
        report_from_json(changed(report, lambda data: data.update(version=99, report={"layout": "another"}, more=1)))
