"""A report survives being written as JSON and read again, and nothing else is taken for one."""

import json
from dataclasses import replace
from typing import Any

import pytest

from rrm.core.errors import InputError, NewerStoreError
from rrm.core.report import Cost, Report
from rrm.report.record import report_from_json, report_to_json


def there(report: Report) -> Any:
    return json.loads(json.dumps(report_to_json(report)))


def test_a_report_comes_back_equal(report: Report) -> None:
    again = report_from_json(there(report))
    assert again == report
    assert again.to_json() == report.to_json()
    assert type(again.levels[0].interval) is type(report.levels[0].interval)
    assert type(again.targets[0].composed_correlation) is type(report.targets[0].composed_correlation)


def test_an_empty_report_comes_back_equal() -> None:
    empty = Report("nothing", 0, 0, (), 0, 0, "mean", (), None, (), Cost(), 0.0)
    assert report_from_json(there(empty)) == empty


def test_texts_of_any_kind_come_back(report: Report) -> None:
    odd = replace(report, name="\x00\x1b[1m\ud800 👩‍👩‍👧 </script> \u202e", targets=())
    assert report_from_json(there(odd)) == odd


def test_whole_numbers_may_stand_for_reals_but_not_the_other_way_round(report: Report) -> None:
    data = there(report)
    data["report"]["seconds"] = 12
    assert report_from_json(data).seconds == 12.0
    data["report"]["outputs"] = 1.5
    with pytest.raises(InputError, match=r"report\.outputs: expected int, got float"):
        report_from_json(data)


def test_a_missing_field_with_a_default_takes_it(report: Report) -> None:
    data = there(report)
    del data["report"]["levels"][0]["coverage"]
    assert report_from_json(data).levels[0].coverage is None


def _without_name(data: Any) -> None:
    del data["report"]["name"]


def _with_another(data: Any) -> None:
    data["report"]["levels"][1]["colour"] = "red"


def _short_interval(data: Any) -> None:
    data["report"]["levels"][0]["interval"] = [0.1]


def _text_for_number(data: Any) -> None:
    data["report"]["levels"][0]["n_test"] = "many"


def _truth_for_number(data: Any) -> None:
    data["report"]["cost"]["calls"] = True


def _no_list(data: Any) -> None:
    data["report"]["targets"] = {}


def _no_report(data: Any) -> None:
    data["report"] = None


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_without_name, "'name' is missing"),
        (_with_another, r"levels\[1\]: 'colour' is unknown"),
        (_short_interval, r"levels\[0\]\.interval: expected 2 values, got 1"),
        (_text_for_number, r"levels\[0\]\.n_test: expected int, got str"),
        (_truth_for_number, r"cost\.calls: expected int, got bool"),
        (_no_list, r"targets: expected list, got dict"),
        (_no_report, r"report: expected dict, got NoneType"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(report: Report, spoil: Any, told: str) -> None:
    data = there(report)
    spoil(data)
    with pytest.raises(InputError, match=told):
        report_from_json(data)


@pytest.mark.parametrize("data", [{}, {"format": "other"}, [], "text", None])
def test_what_is_not_a_report_is_refused(data: Any) -> None:
    with pytest.raises(InputError, match="not a report"):
        report_from_json(data)


def test_a_newer_report_asks_for_a_newer_rrm(report: Report) -> None:
    with pytest.raises(NewerStoreError, match="newer rrm"):
        report_from_json({**there(report), "version": 99})
