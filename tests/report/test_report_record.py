"""A report survives being written as JSON and read again, and nothing else is taken for one."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies

from rrm.core.claims import Chain, Quote
from rrm.core.errors import InputError, NewerStoreError
from rrm.core.report import Cost, PassedOver, Report
from rrm.core.task import Span
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


# ---- what claims rest on ----


def ladder(levels: int, wide: int) -> tuple[Chain, ...]:
    """As many claims a level, each of which rests on all of the level below; the lowest rest on the source."""
    steps = [Chain("Said.", "n", "o0", at, 1.0, quotes=(Quote(Span(0, 5), "Said."),)) for at in range(wide)]
    for level in range(1, levels):
        steps = [Chain("Said.", f"n{level}", f"o{level}", at, 0.5, below=tuple(steps)) for at in range(wide)]
    return tuple(steps)


def with_claims(report: Report, claims: Sequence[Chain], least: Sequence[Chain] = ()) -> Report:
    first, *others = report.targets
    assert first.chosen is not None
    passed = PassedOver(first.chosen, 0, tuple(least))
    return replace(report, targets=(replace(first, claims=tuple(claims), least=passed), *others))


def test_claims_come_back_and_what_they_share_is_one_step_unless_more_is_known_of_it(report: Report) -> None:
    chosen = ladder(3, 2)
    guilty = tuple(replace(claim, blame=0.25) for claim in chosen)
    told = with_claims(report, (*chosen, Chain("Made up.", "n", "o2", 2, 0.0, lost=1, support=0.5)), guilty)
    data = json.loads(report_to_json(told))
    assert [step["below"] for step in data["chains"]["steps"]] == [
        [],
        [],
        *[[0, 1]] * 2,
        *[[2, 3]] * 2,
        [],
        *[[2, 3]] * 2,
    ]
    assert data["chains"]["targets"][0] == {"chosen": [4, 5, 6], "least": [7, 8]}
    assert report_from_json(json.dumps(data)) == told


def test_a_report_of_an_earlier_rrm_is_refused_with_the_remedy(report: Report) -> None:
    with pytest.raises(InputError, match=r"^version: 1 is an earlier .*: the same run given again writes .* anew$"):
        report_from_json(changed(report, lambda data: (data.update(version=1), data.pop("chains"))))


@pytest.mark.parametrize(("levels", "wide"), [(40, 2), (3000, 1)], ids=["2**40 ways", "three thousand levels"])
def test_ways_are_written_step_by_step_however_many_and_long_they_are(report: Report, levels: int, wide: int) -> None:
    text = report_to_json(with_claims(report, ladder(levels, wide)))
    assert len(json.loads(text)["chains"]["steps"]) == levels * wide
    [claim, *_] = report_from_json(text).targets[0].claims
    walked = list(claim.walk())
    assert [len(walked), len(walked[-1].quotes)] == [1 + (levels - 1) * wide, 1]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda chains: chains["steps"][2]["below"].append(2),
            r"chains\.steps\[2\]\.below\[2\] must be the number of a",
        ),
        (lambda chains: chains["steps"][0]["below"].append(-1), r"chains\.steps\[0\]\.below\[0\] .* before it, got -1"),
        (lambda chains: chains["targets"][0]["least"].append(99), r"chains\.targets\[0\]\.least\[0\] .* got 99"),
        (lambda chains: chains["targets"].pop(), "chains.targets are .*, and the report has"),
        (lambda chains: chains["steps"][0].pop("claim"), r"chains\.steps\[0\]\.claim is missing"),
    ],
)
def test_steps_that_cannot_be_are_refused(report: Report, spoil: Callable[[Any], object], told: str) -> None:
    with pytest.raises(InputError, match=f"{told}.*; the file was changed or made by another version of rrm$"):
        report_from_json(changed(with_claims(report, ladder(2, 2)), lambda data: spoil(data["chains"])))
