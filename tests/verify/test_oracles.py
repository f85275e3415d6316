"""Oracles hold for what is shipped, and see every bug that was seeded."""

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import cast

import pytest
from typer.testing import CliRunner

from rrm.cli.main import app
from rrm.verify.oracles.methods import Methods
from rrm.verify.oracles.run import ORACLES, Answered, Watched, ask, ask_about
from tests.verify.seeded_bugs import BUGS

ROWS = {0, *range(2, 9), 14, 17, 18, 19, 21, 26, 27, 28, 29, 32}


@pytest.fixture(scope="module")
def uses() -> dict[str, set[str]]:
    """Which methods each oracle looks at; all hold for ours, or this fails."""
    found = {}
    for oracle in ORACLES:
        watched = Watched(Methods())
        oracle.check(cast("Methods", watched))
        found[oracle.name] = watched.used
    return found


def test_there_are_oracles_for_every_row_each_with_a_name_of_its_own(uses: dict[str, set[str]]) -> None:
    assert {oracle.row for oracle in ORACLES} == ROWS
    assert len({oracle.name for oracle in ORACLES}) == len(ORACLES) >= 30
    assert set.union(*uses.values()) == {field.name for field in fields(Methods)}  # no method that nobody looks at


def caught(methods: Methods, uses: dict[str, set[str]]) -> Iterator[str]:
    """The oracles that see something wrong, of those that look at what was changed."""
    ours = Methods()
    [changed] = [each.name for each in fields(Methods) if getattr(methods, each.name) is not getattr(ours, each.name)]
    for oracle in ORACLES:
        if changed in uses[oracle.name]:
            try:
                oracle.check(methods)
            except Exception:
                yield oracle.name


@pytest.mark.parametrize("name", BUGS)
def test_a_seeded_bug_is_seen(name: str, uses: dict[str, set[str]]) -> None:
    assert next(caught(BUGS[name](), uses), None), f"no oracle sees the bug {name!r}"


@pytest.mark.slow
def test_every_oracle_sees_a_bug_at_all(uses: dict[str, set[str]]) -> None:
    """An oracle that no bug makes fail says nothing."""
    seeing = {name for bug in BUGS.values() for name in caught(bug(), uses)}
    assert {oracle.name for oracle in ORACLES} - seeing == set()


def test_a_method_that_raises_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> float:
        raise ZeroDivisionError("division by zero")

    broken = {answer.name: answer.broken for answer in ask(Methods(best_of_kl_bound=fails)) if answer.broken}
    assert broken == {"log n - (n - 1) / n is a bound and no equality": "it raised ZeroDivisionError: division by zero"}


def test_the_oracles_of_one_method_are_asked_about_somebody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rrm.verify.oracles.run.ORACLES", [each for each in ORACLES if each.row == 7])
    shown = CliRunner().invoke(app, ["verify", "rrm.policy.quantilizer:quantilized", "--as", "quantilized", "--json"])
    told = json.loads(shown.output)["oracles"]
    assert shown.exit_code == 0 and told and {each["row"] for each in told} == {7}
    of_bug = list(ask_about("quantilized", BUGS["quantile of q squared"]().quantilized))
    assert len(of_bug) == len(told) and any(each.broken for each in of_bug)
    for arguments, said in (
        (["rrm.policy.quantilizer:quantilized", "--as", "quantile"], "no method 'quantile'"),
        (["--as", "best_of"], "--as goes with"),
    ):
        refused = CliRunner().invoke(app, ["verify", *arguments])
        assert refused.exit_code and said in f"{refused.output} {refused.exception}"


def test_the_command_prints_a_row_an_oracle_and_one_line_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    few = [Answered(2, "holds", None, 0.25), Answered(0, "does not", "0.5 must be 0.25", 0.5)]
    monkeypatch.setattr("rrm.api.verify.oracles", lambda *_: iter(few))
    shown = CliRunner().invoke(app, ["verify"])
    assert shown.exit_code == 2
    assert "yes   0.25 s  row 2   holds" in shown.output and "NO    0.50 s  ledger  does not" in shown.output
    assert "0.5 must be 0.25" in shown.output and "1 of 2 oracles hold, in 0.8 s" in shown.output
    told = CliRunner().invoke(app, ["verify", "--json"])
    assert told.exit_code == 2
    assert json.loads(told.output) == {
        "oracles": [
            {"row": 2, "name": "holds", "passed": True, "seconds": 0.25},
            {"row": 0, "name": "does not", "passed": False, "seconds": 0.5, "broken": "0.5 must be 0.25"},
        ],
        "seconds": 0.75,
    }
    monkeypatch.setattr("rrm.api.verify.oracles", lambda *_: iter(few[:1]))
    assert CliRunner().invoke(app, ["verify"]).exit_code == 0
