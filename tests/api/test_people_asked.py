"""People who are asked by value: the best bundle first and together, and why on every answer."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import rrm
from rrm.api.look import export, export_answers
from rrm.core.annotation import Lease, Submission
from rrm.core.asking import AT_RANDOM, BY_VALUE, Asked
from rrm.core.errors import Waiting
from rrm.core.report import Report
from rrm.core.values import Answer, Comparison, Label, Rated
from rrm.interchange.rows import read_rows
from rrm.queue import SqlDesk, open_desk
from rrm.store.record import open_store
from tests.scenarios import MEAN, SMALL

KEYS = (f"key-{number}" for number in count())


def table() -> dict[str, Any]:
    rater = {
        "plugin": "people",
        "per_node": {"comparison": 2, "label": 2},
        "budget": {"questions": 120},
        "sampler": {"plugin": "rrm.ask:Value", "arguments": {"waves": 1}},
    }
    return {
        **SMALL,
        "train": {**SMALL["train"], "arguments": {"count": 3}},
        "rater": rater,
        "rounds": 2,
        "compose": MEAN,
    }


def go_on(out: Path) -> Report:
    parts = {name: value for name, value in table().items() if name != "flat"}
    return rrm.run(rrm.run_file(parts), out, again="rrm run people.toml", quiet=True)


def says(lease: Lease) -> list[Submission]:
    made = []
    for each in lease.questions:
        lengths = [len(shown.text) for shown in each.outputs]
        answer: Answer = Label(lengths[0] > 60) if len(lengths) == 1 else Comparison(int(lengths[1] > lengths[0]))
        made.append(Submission(answer, each.shown, seconds=30.0))
    return made


def rate(desk: SqlDesk, person: str, most: int = 10_000) -> list[Lease]:
    done: list[Lease] = []
    while len(done) < most and (lease := desk.claim(person)) is not None:
        desk.submit(person, lease.id, says(lease), next(KEYS))
        done.append(lease)
    return done


class Second(NamedTuple):
    """A run that waits for the questions that it chose for its second round."""

    out: Path
    desk: SqlDesk
    anna: str


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Second]:
    out = tmp_path / "run"
    with pytest.raises(Waiting):
        go_on(out)
    with open_desk(out) as desk:
        anna = desk.add_person("anna", by="test").id
        while {each.place.round for each in desk.progress() if not each.frozen} == {0}:
            rate(desk, anna)
            with pytest.raises(Waiting):
                go_on(out)
        yield Second(out, desk, anna)


def test_what_is_worth_most_comes_first_one_bundle_a_sheet_and_every_answer_says_why(second: Second) -> None:
    out, desk, anna = second
    open_ = [each.place for each in desk.progress() if not each.frozen]
    assert {each.round for each in open_} == {1} and len({each.level for each in open_}) > 1  # levels open together
    assert desk.settings().strategy == "valuable"
    why = desk.why()
    leases = rate(desk, anna)
    worth = [why[lease.first.request.id] for lease in leases]
    values = [each.value for each in worth if each.stream == BY_VALUE]
    assert len(values) > 3 and values == sorted(values, reverse=True)
    assert AT_RANDOM in {each.stream for each in worth[:-1]}  # among the others, not behind them all
    bundles = {each.request: (each.pool, each.bundle) for each in why.values() if each.stream == BY_VALUE}
    for lease in leases:
        asked = {why[each.request.id].stream for each in lease.questions}
        assert len(asked) == 1
        if asked == {BY_VALUE}:
            (bundle,) = {bundles[each.request.id] for each in lease.questions}
            assert {each for each in bundles if bundles[each] == bundle and each in put(desk)} == {
                each.request.id for each in lease.questions
            }
    assert max(len(lease.questions) for lease in leases) > 1
    report = go_on(out)
    assert report.asking is not None and report.asking.by_value > 0 < report.asking.at_random
    timed, chosen = report.asking.minutes, report.asking.by_value + report.asking.at_random
    assert sum(each.questions for each in timed) == chosen
    assert sum(each.paid for each in timed) == pytest.approx(0.5 * chosen)  # half a minute an answer
    off = [abs(sum(each[at] for each in timed) - 0.5 * chosen) for at in (3, 4)]  # as predicted, and as counted
    assert off[0] < off[1]
    rows = exported(out, lambda path: export_answers(out, "jsonl", path, names=False))
    streams = [row["asked_stream"] for row in rows]
    assert streams.count(BY_VALUE) == report.asking.by_value and streams.count(None) == report.asking.evenly
    assert all(row["asked_pool"] for row in rows if row["asked_stream"] == AT_RANDOM)
    feedback = exported(out, lambda path: export(out, "jsonl", path))
    assert sum("asked" in row for row in feedback) == report.asking.by_value + report.asking.at_random
    preferences = exported(out, lambda path: export_answers(out, "trl", path, names=False))
    assert {row["stream"] for row in preferences} == {BY_VALUE, AT_RANDOM, None}


def put(desk: SqlDesk) -> set[str]:
    return {each.item for each in desk.answers()}


def exported(out: Path, write: Callable[[Path], object]) -> list[dict[str, Any]]:
    path = out / "rows.jsonl"
    write(path)
    return [row for _, row in read_rows(path)]


def test_what_is_reported_of_accuracy_counts_no_chosen_question_of_people_either(second: Second) -> None:
    out, desk, anna = second
    rate(desk, anna)
    report = go_on(out)
    assert report.asking is not None
    assert 0 < report.asking.honest <= report.asking.evenly + report.asking.at_random < report.ratings
    with open_store(out, "read") as store:
        asked, rated = store.load(Asked), store.load(Rated)
    assert not {each.request for each in asked} & {each.request.id for each in rated}  # each as its rater saw it
