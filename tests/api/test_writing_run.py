"""Runs in which people write: texts compete with questions, become candidates at targets, and the report says so."""

from pathlib import Path
from typing import Any

import numpy as np

import rrm
from rrm.api.look import export
from rrm.ask import Value
from rrm.core.asking import BY_VALUE, Asked, Asking, Belief, Chosen
from rrm.core.report import Report
from rrm.core.values import Correction, Demonstration, Feedback, Output, Request
from rrm.interchange.rows import read_rows
from rrm.raters.simulated import SimulatedRaters
from rrm.report.record import report_from_json, report_to_json
from rrm.store.record import open_store
from tests.api.test_asking_about_targets import TARGET
from tests.api.test_asking_run import Believing
from tests.toys import Longer, Texts, toys

WRITTEN = "red red red red red red red"


class Writer(Longer):
    """Writes seven words, and adds a word to what is to be corrected."""

    def rate(self, request: Request, seed: int) -> Feedback:
        if request.kind == "demonstration":
            return Feedback(request.id, "tester", Demonstration(WRITTEN), seconds=120.0)
        if request.kind == "correction":
            return Feedback(request.id, "tester", Correction(f"{request.shown[0].text} more"), seconds=60.0)
        return super().rate(request, seed)


class AtRoot(Value):
    """Has texts written at targets' roots before all else."""

    def choose(self, belief: Belief, asking: Asking) -> Chosen:
        found = super().choose(belief, asking)
        roots = {output for target in asking.targets for output in target.outputs}
        texts = [each for each in asking.questions if each.others and each.request.shown[0].output in roots]
        texts = texts if asking.minutes and asking.many != 0 else []
        first = [Asked(each.request.id, BY_VALUE, asking.pool, 1.0, 0.01, 90 + at) for at, each in enumerate(texts)]
        put = {each.request for each in first}
        return found._replace(asked=(*first, *(each for each in found.asked if each.request not in put)))


def ran(out: Path, sampler: Any = None, **rater: Any) -> Report:
    parts: dict[str, Any] = toys(reward={"plugin": Believing()}, rounds=2, target={"plugin": Texts([TARGET])})
    per_node = {"label": 1, "demonstration": 1, "correction": 1}
    chosen = {"plugin": Writer(), "sampler": sampler or AtRoot(waves=1, targets=True), "budget": {"questions": 80}}
    parts["rater"] = {**parts["rater"], **chosen, "per_node": per_node, **rater}
    return rrm.run(out=out, quiet=True, **parts)


def test_what_a_person_writes_at_a_target_is_judged_chosen_and_told_from_the_record_too(tmp_path: Path) -> None:
    report = ran(tmp_path)
    assert report.asking is not None
    told = {row.kind: row for row in report.asking.written}
    assert set(told) == {"correction", "demonstration"} and all(row.texts > 4 for row in told.values())
    assert told["demonstration"].candidates == 1 == told["demonstration"].chosen
    [target] = report.targets
    assert target.chosen is not None and target.chosen.text == WRITTEN  # who is longest is believed best
    assert told["demonstration"].gold is not None and told["demonstration"].gold[0] == target.gold_of_chosen
    assert [each.rater for each in told["demonstration"].writers] == ["tester"]
    assert told["demonstration"].writers[0].mean > told["demonstration"].mean  # others rate, who wrote nothing
    assert told["demonstration"].mean > told["correction"].mean > 0  # seven words beside one to four; one word more
    texts = {each.text for each in target.trees[0].nodes[0].candidates}
    assert WRITTEN in texts and any(text.endswith(" more") for text in texts)
    page = (tmp_path / "report.html").read_text()
    assert (
        "Texts that people wrote" in page
        and "The mean of each who wrote" in page
        and report_from_json(report_to_json(report)) == report
    )
    again = ran(tmp_path)
    assert (again.asking, again.targets) == (report.asking, report.targets)
    with open_store(tmp_path, "read") as store:
        assert any(each.policy == "written by tester" and each.text == WRITTEN for each in store.load(Output))
    export(tmp_path, "jsonl", tmp_path / "rows.jsonl")
    rows = [row for _, row in read_rows(tmp_path / "rows.jsonl") if row["request"]["kind"] == "demonstration"]
    assert any(row.get("asked", {}).get("stream") == BY_VALUE for row in rows)


def test_texts_compete_by_value_and_their_minutes_are_predicted_from_what_writing_took(tmp_path: Path) -> None:
    report = ran(tmp_path, Value(waves=1, targets=True), budget={"minutes": 60})
    assert report.asking is not None and report.asking.by_value > 0
    with open_store(tmp_path, "read") as store:
        asked, requests = store.load(Asked), {each.id: each for each in store.load(Request)}
    minutes = {"demonstration": [], "correction": []}  # type: ignore[var-annotated]
    for each in asked:
        request = requests.get(each.request)
        if request is not None and request.kind in minutes:
            assert each.stream == BY_VALUE
            minutes[request.kind].append(each.minutes)
    some = [np.mean(each) for each in minutes.values() if each]
    assert some and all(0.2 < each < 5 for each in some)


def test_where_targets_may_not_be_asked_about_nothing_is_told_of_candidates(tmp_path: Path) -> None:
    report = ran(tmp_path, Value(waves=1))
    assert report.asking is not None and report.asking.written == ()
    assert "Texts that people wrote" not in (tmp_path / "report.html").read_text()


def test_simulated_raters_write_in_a_run(tmp_path: Path) -> None:
    def lengths(view: Any, texts: Any, read: float, seed: int) -> np.ndarray:
        return np.array([len(text.split()) / 20 for text in texts])

    report = ran(tmp_path, plugin=SimulatedRaters(lengths))
    assert report.asking is not None and sum(row.candidates for row in report.asking.written) > 0
