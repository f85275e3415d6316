"""A run whose raters see what came of outputs, from its file to its report, and settings that make no sense."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rrm
from rrm.api.look import export
from rrm.ask import Value
from rrm.core.asking import BY_VALUE, Asked
from rrm.core.report import Report
from rrm.core.values import Comparison, Consequence, Feedback, Hindsight, Label, Rated, Request, RolledOut
from rrm.feedback.minutes import minutes
from rrm.interchange.export import from_records
from rrm.interchange.rows import read_rows
from rrm.report.record import report_from_json, report_to_json
from rrm.store.record import open_store
from tests.api.test_asking_run import Believing
from tests.toys import TOYS, toys


class Regrets:
    """Prefers the longer of two outputs, and in hindsight what more came of."""

    name = "regrets"

    def rate(self, request: Request, seed: int) -> Feedback:
        words = [len(shown.text.split()) for shown in request.shown]
        if request.kind == "label":
            return Feedback(request.id, self.name, Label(words[0] > 1))
        if request.kind == "comparison":
            assert not any(shown.consequence for shown in request.shown)
            return Feedback(request.id, self.name, Comparison(int(np.argmax(words))))
        worth = [shown.consequence.worth for shown in request.shown if shown.consequence]
        return Feedback(request.id, self.name, Hindsight(int(np.argmax(worth))))


class Shorter:
    """More comes of the shorter output; of what is said of a text that begins with a letter of `silent`, nothing."""

    def __init__(self, silent: str = "") -> None:
        self.silent = silent
        self.name = f"shorter({silent})"

    def roll_out(self, text: str, outputs: Sequence[str], seed: int) -> list[Consequence | None]:
        if text.strip()[0] in self.silent:
            return [None] * len(outputs)
        return [Consequence(f"Of {each} came little.", 1 / (1 + len(each.split())), 3, 1) for each in outputs]


def ran(out: Path, rollout: Any = None, **rater: Any) -> Report:
    per_node = {"comparison": 2, "hindsight": 2, "label": 1}
    part = {"plugin": Regrets(), "per_node": per_node, "random_share": 0.0, "hindsight": rollout or Shorter(), **rater}
    return rrm.run(out=out, quiet=True, **toys(rater=part))


def test_a_report_says_which_preferences_turned_round(tmp_path: Path) -> None:
    report = ran(tmp_path / "run")
    told = report.hindsight
    assert told is not None and told.answers > 0 and told.minutes > 0
    assert told.pairs == told.turned == told.answers  # every one, and each pair was judged without, too
    assert told.interval is not None and 0.9 < told.interval.low < told.interval.high < 1
    assert (told.foresaw, told.foresights) == (0, told.answers) and told.saw == told.hindsights == told.answers
    assert told.checked == 3 * told.wrong > 0
    assert report_from_json(report_to_json(report)) == report
    page = (tmp_path / "run" / "report.html").read_text()
    assert "What hindsight changed" in page and "turned round" in page and "33" in page


def test_how_often_rollouts_were_wrong_is_told_by_every_outcome_that_was_shown(tmp_path: Path) -> None:
    class Uneven(Shorter):
        def roll_out(self, text: str, outputs: Sequence[str], seed: int) -> list[Consequence | None]:
            return [Consequence("Little.", 1 / (1 + at), 2 + at, at) for at, _ in enumerate(outputs)]

    told = ran(tmp_path / "run", Uneven()).hindsight
    with open_store(tmp_path / "run", "read") as record:
        rows = [row.request for row in record.load(Rated) if row.request.kind == "hindsight"]
    said = {shown.output: shown.consequence for row in rows for shown in row.shown if shown.consequence}
    assert told is not None and len({each.checked for each in said.values()}) > 1
    assert told.checked == sum(each.checked for each in said.values())
    assert told.wrong == sum(each.wrong for each in said.values())


def test_what_raters_were_shown_is_on_record_and_comes_back_from_an_export(tmp_path: Path) -> None:
    report = ran(tmp_path / "run")
    with open_store(tmp_path / "run", "read") as record:
        said = record.load(RolledOut)
    assert said and {each.rollout for each in said} == {Shorter().name}
    export(tmp_path / "run", "jsonl", tmp_path / "rows.jsonl")
    rows = [row for row in from_records(tmp_path / "rows.jsonl") if row.request.kind == "hindsight"]
    assert report.hindsight is not None and len(rows) == report.hindsight.answers
    of = {each.output: each.consequence for each in said}
    assert all(shown.consequence == of[shown.output] for row in rows for shown in row.request.shown)
    assert all(isinstance(row.feedback.answer, Hindsight) and row.request.in_hindsight for row in rows)
    ids = [row["request"]["shown"][0]["consequence"] for _, row in read_rows(tmp_path / "rows.jsonl")]
    assert any(ids) and not all(ids)


def test_more_is_shown_so_more_is_paid(tmp_path: Path) -> None:
    ran(tmp_path / "run")
    export(tmp_path / "run", "jsonl", tmp_path / "rows.jsonl")
    asked = next(row.request for row in from_records(tmp_path / "rows.jsonl") if row.request.kind == "hindsight")
    plain = replace(asked, kind="comparison", shown=tuple(replace(each, consequence=None) for each in asked.shown))
    said = sum(len(each.consequence.text.strip(".").split()) for each in asked.shown if each.consequence)
    assert minutes([asked]) == pytest.approx(minutes([plain]) + said / 250, rel=1e-12)
    assert asked.id != plain.id and asked.group == plain.group  # models read the same


def test_where_nothing_is_known_to_come_of_outputs_the_run_goes_on_and_says_so(tmp_path: Path) -> None:
    report = ran(tmp_path / "some", Shorter("oa"))
    assert any("questions in hindsight are not asked" in each for each in report.warnings)
    none = ran(tmp_path / "none", Shorter("oabcdefghijklmnpqrstuvwxyz"))
    assert none.hindsight is None and none.cost.minutes > 0


def test_a_rollout_that_fails_is_told_and_its_node_stands(tmp_path: Path) -> None:
    class Failing(Shorter):
        def roll_out(self, text: str, outputs: Sequence[str], seed: int) -> list[Consequence | None]:
            if text.strip().startswith("one"):
                raise ValueError("no reader came")
            return super().roll_out(text, outputs, seed)

    report = ran(tmp_path / "run", Failing())
    assert any("roll-out" in each and "no reader came" in each for each in report.failures)
    assert report.hindsight is not None and report.targets[0].chosen is not None


@pytest.mark.parametrize(
    ("said", "why"),
    [(lambda outputs: ["so"] * len(outputs), "list of Consequences"), (lambda outputs: [], "0 outputs of")],
)
def test_a_rollout_that_says_something_else_is_named(tmp_path: Path, said: Any, why: str) -> None:
    class Odd(Shorter):
        def roll_out(self, text: str, outputs: Sequence[str], seed: int) -> list[Consequence | None]:
            return list(said(outputs))

    with pytest.raises(rrm.PluginError, match=rf"\[rater\] hindsight: shorter.*{why}"):
        ran(tmp_path / "run", Odd())


def test_a_sampler_puts_questions_in_hindsight_too_and_a_level_s_outcomes_are_had_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = {
        "plugin": Regrets(),
        "per_node": {"hindsight": 3, "label": 1},
        "random_share": 0.0,
        "hindsight": Shorter(),
        "sampler": Value(waves=2),
        "budget": {"questions": 60},
    }
    report = rrm.run(out=tmp_path, **toys(rater=part, reward={"plugin": Believing()}, rounds=2))
    assert report.asking is not None and report.hindsight is not None
    with open_store(tmp_path, "read") as store:
        why = {each.request: each.stream for each in store.load(Asked)}
        put = [row.request for row in store.load(Rated) if row.request.kind == "hindsight"]
    chosen = [each for each in put if why.get(each.id) == BY_VALUE]
    assert chosen and all(each.in_hindsight for each in put)
    lines = [line for line in capsys.readouterr().err.splitlines() if "roll-out · round 2, level 0" in line]
    assert 1 <= len(lines) <= 2  # once for what can be asked, however many nodes; and never level by level again


def test_by_default_nobody_is_shown_what_came_of_outputs(tmp_path: Path) -> None:
    report = rrm.run(out=tmp_path, quiet=True, **toys())
    assert report.hindsight is None and "What hindsight changed" not in (tmp_path / "report.html").read_text()


def test_simulated_raters_see_in_hindsight_what_a_seller_s_claims_hid(tmp_path: Path) -> None:
    books = {"plugin": "tasks.synthetic_book:SyntheticBooks", "arguments": {"count": 2, "words": 500, "seed": 3}}
    report = rrm.run(
        rrm.run_file(
            {
                "train": books,
                "target": {**books, "arguments": {"count": 1, "words": 500, "seed": 4}},
                "decomposer": {"plugin": "decomposers.chunks:Chunks", "arguments": {"leaf_tokens": 150, "fan_in": [4]}},
                "policy": {"plugin": "rrm.policy.careless:Careless"},
                "rater": {
                    "plugin": "rrm.raters.simulated:SimulatedRaters",
                    "arguments": {"quality": "tasks.synthetic_book:perceived_quality"},
                    "per_node": {"comparison": 3, "hindsight": 3, "label": 1},
                    "hindsight": {"plugin": "rrm.raters.rollouts:Cloze"},
                },
                "compose": {"plugin": "rrm.compose.composers:Mean"},
                "flat": True,
            }
        ),
        tmp_path,
        quiet=True,
    )
    told = report.hindsight
    assert told is not None and told.pairs > 10
    assert told.saw / told.hindsights > told.foresaw / told.foresights
    assert (told.wrong, report.flat is not None) == (0, True)  # raters of whole sources are asked plain comparisons


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"per_node": {"comparison": 1, "hindsight": 1}}, "nobody says what comes of outputs"),
        ({"per_root": {"hindsight": 1}}, "per_root asks for hindsight"),
        ({"hindsight": "rrm.raters.rollouts:Cloze"}, "nobody is shown it"),
        ({"per_node": {"hindsight": 1, "label": 1}, "hindsight": "tests.toys:Longer"}, "is no Rollout"),
        (
            {
                "per_node": {"hindsight": 1, "label": 1},
                "hindsight": {"plugin": "rrm.raters.rollouts:Cloze", "arguments": {"errs": 2.0}},
            },
            "errs a share from 0 to 1",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_one_sentence(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    table = {**TOYS, "rater": {**TOYS["rater"], **changes}}
    with pytest.raises(rrm.RrmError, match=why):
        rrm.run(rrm.run_file(table), tmp_path / "run", quiet=True)


def test_decompositions_are_not_judged_in_hindsight() -> None:
    splits = {"plugin": "decomposers.learned_cuts:LearnedCuts", "per_source": {"hindsight": 1}}
    with pytest.raises(rrm.RrmError, match=r"\[splits\] per_source"):
        rrm.run_file({**TOYS, "rounds": 2, "splits": splits})
