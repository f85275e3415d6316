"""A run whose raters are shown critiques where they mark claims, from its file to its report."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import rrm
from rrm.api.forecast import forecast
from rrm.api.look import export
from rrm.core.claims import claim_spans
from rrm.core.errors import AssistantError
from rrm.core.kinds import Answer
from rrm.core.report import Report
from rrm.core.values import ClaimMarks, Criticised, Critique, Feedback, Label, Rated, Reject, Request
from rrm.feedback.minutes import minutes, minutes_of_raters
from rrm.interchange.export import from_records
from rrm.report.record import report_from_json, report_to_json
from rrm.store.record import open_store
from tests.toys import Longer, toys


class Marking(Longer):
    """Marks the first claim where a critic quotes it, and accepts what has two words or more."""

    def rate(self, request: Request, seed: int) -> Feedback:
        [shown] = request.shown
        if request.kind == "label":
            assert not shown.critique and not shown.support  # who accepts is not led to it
            return Feedback(request.id, self.name, Label(len(shown.text.split()) > 1))
        start, end = claim_spans(shown.text)[0]
        return Feedback(request.id, self.name, ClaimMarks(((start, end),) if shown.critique else ()))


class Critic:
    """Quotes the first claim of an output; at the levels `silent` it has nothing to say, and at those it `fails`."""

    def __init__(self, silent: tuple[int, ...] = (), fails: tuple[int, ...] = ()) -> None:
        self.silent, self.fails, self.asked = silent, fails, 0
        self.name = f"critic({silent}, {fails})"

    def rate(self, request: Request, seed: int) -> Feedback:
        self.asked += 1
        text = request.shown[0].text
        assert request.kind == "critique" and request.view.passages
        if request.place.level in self.fails:
            raise AssistantError("the critic is gone")
        quoted = text[slice(*claim_spans(text)[0])]
        answer: Answer = Critique(f"“{quoted}” is not so.")
        return Feedback(request.id, self.name, Reject("pass") if request.place.level in self.silent else answer)


class Praising:
    name = "praising"

    def rate(self, request: Request, seed: int) -> Feedback:
        return Feedback(request.id, self.name, Label(True))


def ran(out: Path, critic: Any = None, per_node: Mapping[str, int] | None = None, **changes: Any) -> Report:
    wanted = per_node or {"claims": 2, "label": 2}
    rater = {"plugin": Marking(), "per_node": wanted, "random_share": 0.0, "critic": critic or Critic()}
    return rrm.run(out=out, quiet=True, **{**toys(rater=rater), **changes})


def asked(out: Path) -> list[Request]:
    with open_store(out, "read") as record:
        return [each for each in record.load(Request) if each.kind == "claims"]


def test_raters_who_mark_claims_are_shown_a_critique_and_others_are_not(tmp_path: Path) -> None:
    critic = Critic()
    report = ran(tmp_path / "run", critic)
    requests = asked(tmp_path / "run")
    with open_store(tmp_path / "run", "read") as record:
        written = {each.output: each.text for each in record.load(Criticised)}
        kinds = {row.feedback.answer.kind for row in record.load(Rated)}
        labels = [each for each in record.load(Request) if each.kind == "label"]
    assert requests and {each.shown[0].critique for each in requests} == set(written.values())
    assert all(each.shown[0].critique == written[each.shown[0].output] for each in requests)
    assert not any(each.shown[0].critique for each in labels)
    assert kinds == {"claims", "label"}  # a critic is no rater: what it writes is no rating
    assert critic.asked == len({(each.view.id, each.shown[0].text) for each in requests})  # each text once

    again = Critic()
    assert replace(ran(tmp_path / "run", again), seconds=report.seconds) == report and again.asked == 0


def test_the_report_says_which_claims_were_marked_by_what_stood_beside_them(tmp_path: Path) -> None:
    report = ran(tmp_path / "run")
    told = report.marks
    assert told is not None
    assert told.shown == (("quoted", told.answers, told.answers),)  # the toys' outputs have one claim each
    assert report_from_json(report_to_json(report)) == report
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Which claims raters marked" in page and "a critique that quotes it" in page


def test_reading_critiques_costs_minutes(tmp_path: Path) -> None:
    told = ran(tmp_path / "run").marks
    [first, *_] = asked(tmp_path / "run")
    assert told is not None and 0 < told.critiques_minutes < told.minutes
    words = len(first.shown[0].text.split()) + len(first.shown[0].critique.split())
    assert minutes([first]) == pytest.approx((len(first.view.text.split()) + words) / 250 + 0.2)


def test_nothing_is_written_about_questions_that_are_never_put(tmp_path: Path) -> None:
    """Critiques were written of all that could be asked before the budget was known."""
    critic = Critic()
    wanted = {"claims": 2, "label": 2}
    rater = {"plugin": Marking(), "per_node": wanted, "critic": critic, "budget": {"questions": 12}}
    rrm.run(out=tmp_path / "run", quiet=True, **toys(rater=rater))
    put = asked(tmp_path / "run")
    with open_store(tmp_path / "run", "read") as record:
        assert len({row.request.id for row in record.load(Rated)}) <= 12
    assert 0 < critic.asked == len({(each.view.id, each.shown[0].text) for each in put})


def test_in_minutes_the_budget_pays_for_reading_critiques(tmp_path: Path) -> None:
    critic = Critic()
    rater = {"plugin": Marking(), "per_node": {"claims": 2, "label": 2}, "critic": critic, "budget": {"minutes": 4}}
    rrm.run(out=tmp_path / "run", quiet=True, **toys(rater=rater))
    with open_store(tmp_path / "run", "read") as record:
        rows = record.load(Rated)
    assert rows and minutes_of_raters(rows) <= 4
    assert any(row.request.shown[0].critique for row in rows)


def test_a_run_without_a_critic_says_of_marks_that_nothing_stood_beside_the_claims(tmp_path: Path) -> None:
    rater = {"plugin": Marking(), "per_node": {"claims": 1, "label": 2}, "random_share": 0.0}
    told = rrm.run(out=tmp_path / "run", quiet=True, **toys(rater=rater)).marks
    assert told is not None and [each for each, _, _ in told.shown] == ["nothing"] and told.critiques_minutes == 0
    assert rrm.run(out=tmp_path / "other", quiet=True, **toys()).marks is None


def test_where_the_critic_writes_nothing_the_question_is_asked_without_and_that_is_said(tmp_path: Path) -> None:
    report = ran(tmp_path / "run", Critic(silent=(0,)))
    assert {each.place.level for each in asked(tmp_path / "run") if each.shown[0].critique} == {1, 2}
    assert {each.place.level for each in asked(tmp_path / "run")} == {0, 1, 2}
    [note] = [each for each in report.warnings if "critic" in each]
    assert note.startswith("level 0: of ") and note.endswith("the critic wrote nothing")


def test_a_critique_that_fails_is_on_record_and_its_question_is_asked_without(tmp_path: Path) -> None:
    report = ran(tmp_path / "run", Critic(fails=(1,)))
    assert {each.place.level for each in asked(tmp_path / "run") if each.shown[0].critique} == {0, 2}
    assert any("the critic is gone" in each for each in report.failures)
    assert report.targets[0].chosen is not None


def test_a_critic_who_answers_otherwise_ends_the_run_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(rrm.RrmError, match="every criticise fails: the item asks for a critique, got a label"):
        ran(tmp_path / "run", Praising())


def test_what_was_shown_comes_back_from_an_export(tmp_path: Path) -> None:
    ran(tmp_path / "run")
    export(tmp_path / "run", "jsonl", tmp_path / "rows.jsonl")
    back = [row.request for row in from_records(tmp_path / "rows.jsonl") if row.request.kind == "claims"]
    assert {each.id: each.shown for each in back} == {each.id: each.shown for each in asked(tmp_path / "run")}
    assert back and all(each.shown[0].critique for each in back)


def test_a_forecast_counts_what_raters_read_of_critiques(tmp_path: Path) -> None:
    with_critic, without = (
        rrm.run_file(
            {
                "name": "assisted",
                "train": {"plugin": "tests.toys:Texts", "arguments": {"titles": ["first"]}},
                "target": {"plugin": "tests.toys:Texts", "arguments": {"titles": ["target"]}},
                "decomposer": {"plugin": "tests.toys:Thirds"},
                "policy": {"plugin": "tests.toys:Words"},
                "rater": {
                    "plugin": "tests.toys:Longer",
                    "per_node": {"claims": 2, "label": 2},
                    **({"critic": {"plugin": "rrm.raters.critics:ByNames"}} if critic else {}),
                },
            }
        )
        for critic in (True, False)
    )
    minutes_of = [forecast(each)["levels"][0]["minutes"]["expected"] for each in (with_critic, without)]
    assert minutes_of[0] > minutes_of[1]


@pytest.mark.parametrize(
    ("rater", "why"),
    [
        ({"critic": {"plugin": "rrm.raters.critics:ByNames"}}, "nobody is shown it"),
        ({"critic": {"plugin": "people"}, "per_node": {"claims": 1}}, "people cannot write"),
        ({"critic": {"plugin": "rrm.raters.critics:ByTags"}, "per_node": {"claims": 1}}, "has no 'ByTags'"),
        ({"critic": {"plugin": "rrm.raters.rollouts:Cloze"}, "per_node": {"claims": 1}}, "rater.critic"),
    ],
)
def test_a_critic_that_would_do_nothing_is_refused_before_anything_is_done(
    rater: dict[str, Any], why: str, tmp_path: Path
) -> None:
    with pytest.raises(rrm.RrmError, match=why):
        rrm.run(out=tmp_path / "run", quiet=True, **toys(rater={"plugin": Longer(), **rater}))
