"""Calls of language models that workers make: one record, one purse, one cache, and what is paid twice is counted."""

import asyncio
import os
import signal
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rrm
from rrm.api import lent, look
from rrm.api.forecast import forecast
from rrm.api.supplies import steps_elsewhere
from rrm.assistants.faults import FaultedError
from rrm.assistants.lent import Lending, Lent
from rrm.core.calls import Call
from rrm.core.errors import BudgetError, ConfigError, SetupError
from rrm.core.protocols import Prompt, Reply
from rrm.store.record import open_store
from tests.engines.asking import Busy, Denied, Model
from tests.engines.fake import Fake, FakeCluster
from tests.toys import TOYS, on_record

FAKE = {"plugin": "tests.engines.fake:Fake"}


ASKING: dict[str, Any] = {
    **TOYS,
    "policy": {"plugin": "rrm.policy.language_model:LanguageModelPolicy", "outputs": 2, "root_outputs": 2},
    "rater": {"plugin": "rrm.raters.assistant:AssistantRater", "per_node": {"label": 1}, "random_share": 0.0},
    "assistants": {"model": {"model": "tests.engines.asking:Model", "arguments": {"vary": 0.0}}},
}


def by(count: int = 2, **arguments: Any) -> dict[str, Any]:
    return {**ASKING, "engine": {**FAKE, "arguments": {"count": count, "steps": ["call"], **arguments}}}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls that workers made."""
    made: list[str] = []
    answer = lent.answer

    async def counting(asked: str, model_of: Any) -> str:
        made.append(asked)
        return await answer(asked, model_of)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Fake, "clusters", [])
    monkeypatch.setattr(lent, "answer", counting)
    monkeypatch.setattr(Model, "made", Counter())
    monkeypatch.setattr(Model, "failures", [])
    return made


def run(table: dict[str, Any], out: Path) -> dict[str, Any]:
    rrm.run(rrm.run_file(table), out, quiet=True)
    return on_record(out)


def calls_of(folder: Path) -> tuple[list[Call], dict[str, float]]:
    with open_store(folder, "read") as store:
        return [call for call in store.load(Call) if not call.cached], store.spent()


def test_calls_made_by_workers_leave_the_record_of_a_run_without(tmp_path: Path, elsewhere: list[str]) -> None:
    here = run(ASKING, tmp_path / "here")
    assert not elsewhere
    assert run(by(), tmp_path / "away") == here
    (alone, spent_alone), (calls, spent) = calls_of(tmp_path / "here"), calls_of(tmp_path / "away")
    assert len(elsewhere) == len(calls) == len(alone) > 20, "each call was made by a worker, once"
    assert (spent["calls"], spent["tokens"]) == (spent_alone["calls"], spent_alone["tokens"])
    assert {call.asker for call in calls} == {"policy", "rater"}
    assert all(call.reply and call.input_tokens for call in calls)


def test_calls_on_a_cluster_that_loses_doubles_and_delays_are_paid_for_as_the_record_says(tmp_path: Path) -> None:
    here = run(ASKING, tmp_path / "here")
    Model.made.clear()
    assert run(by(fates={"answer": 40, "double": 10, "delay": 4, "fail": 1}), tmp_path / "away") == here
    calls, spent = calls_of(tmp_path / "away")
    assert sum(Model.made.values()) <= len(calls) == spent["calls"], "nothing was made that nobody paid for"


def test_what_a_lost_worker_had_under_way_counts_as_spent_is_made_again_and_is_told(tmp_path: Path) -> None:
    here = run(ASKING, tmp_path / "here")
    assert run(by(1, lost=[0]), tmp_path / "away") == here
    calls, spent = calls_of(tmp_path / "away")
    lost = [call for call in calls if call.ending == "lost"]
    assert 0 < len(lost) <= 8, "no more than were under way at once"
    assert spent["calls"] == len(calls)
    told = look.status(tmp_path / "away")
    assert sum(each["endings"].get("lost", 0) for each in told["calls"].values()) == len(lost)
    assert any("were under way at workers that were lost" in note for note in told["notes"])
    taken = sum((call.input_tokens or 0) + (call.output_tokens or 0) for call in calls)
    assert spent["tokens"] > taken, "a lost call keeps what it was estimated to take"


def test_a_call_that_ends_worker_after_worker_is_refused_and_costs_no_other_a_try(tmp_path: Path) -> None:
    run(ASKING, tmp_path / "here")
    deadly = min(calls_of(tmp_path / "here")[0], key=lambda call: call.at)
    table = by(1, deadly=str(deadly.sample))
    table["assistants"] = {"model": {**table["assistants"]["model"], "attempts": 1}}
    away = run(table, tmp_path / "away")
    calls, spent = calls_of(tmp_path / "away")
    lost = Counter((call.user, call.sample) for call in calls if call.ending == "lost")
    assert lost.pop((deadly.user, deadly.sample)) == 4, "once with the others and three times alone"
    assert [*lost.values()] == [1] * 7, "all that were under way with it, once"
    assert spent["calls"] == len(calls) and {call.attempt for call in calls} == {1}
    [failure] = away["Failure"].values()
    assert "LostCallError" in failure and "worker after worker was lost over a call" in failure


@pytest.mark.parametrize("steps", [["call"], ["propose"]])
def test_a_cluster_that_cannot_be_had_ends_the_run_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[str]
) -> None:
    def start(cluster: FakeCluster) -> None:
        raise SetupError("no cluster is to be had")

    monkeypatch.setattr(FakeCluster, "start", start)
    engine = {**FAKE, "arguments": {"steps": steps}}
    with pytest.raises(SetupError, match=r"^no cluster is to be had$"):
        run({**(ASKING if steps == ["call"] else TOYS), "engine": engine}, tmp_path / "away")


@pytest.mark.parametrize("method", ["start", "replace"])
@pytest.mark.parametrize("steps", [["call"], ["propose"]])
def test_who_interrupts_a_run_does_not_wait_for_a_worker_that_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, steps: list[str]
) -> None:
    begins, interrupted, waited = threading.Event(), threading.Event(), threading.Event()
    begin = getattr(FakeCluster, method)

    def slow(*arguments: Any) -> Any:
        begins.set()
        if not interrupted.wait(100):
            waited.set()
        return begin(*arguments)

    def interrupt() -> None:
        if begins.wait(100):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(FakeCluster, method, slow)
    asking = steps == ["call"]
    engine = {**FAKE, "arguments": {"count": 1, "steps": steps, "lost": [0]}}
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(rrm.Interrupted):
        run({**(ASKING if asking else TOYS), "engine": engine}, tmp_path / "away")
    assert begins.is_set() and not waited.is_set()
    interrupted.set()
    monkeypatch.undo()
    assert run(by(1) if asking else TOYS, tmp_path / "away") == run(ASKING if asking else TOYS, tmp_path / "here")


def test_a_budget_holds_for_all_workers_together_and_the_run_goes_on_with_a_larger_one(
    tmp_path: Path, elsewhere: list[str]
) -> None:
    with pytest.raises(BudgetError, match="all 9 calls are used up"):
        run(by(3) | {"limits": {"max_calls": 9}}, tmp_path / "away")
    assert len(elsewhere) == 9
    assert run(by(3), tmp_path / "away") == run(ASKING, tmp_path / "here")
    calls, spent = calls_of(tmp_path / "away")
    assert len(calls) == spent["calls"] == len(calls_of(tmp_path / "here")[0]), "what was paid for was not made again"


@pytest.mark.parametrize("failure", [Denied("no such key"), Busy("slow down")], ids=["lasting", "passing"])
def test_why_a_call_failed_is_found_out_where_it_was_made(tmp_path: Path, failure: Exception) -> None:
    Model.failures.append(failure)
    if isinstance(failure, Denied):
        with pytest.raises(SetupError, match=r"did not answer \(denied 401, Denied: no such key\)"):
            run(by(), tmp_path / "away")
    else:
        run(by(), tmp_path / "away")
    assert [call.ending for call in calls_of(tmp_path / "away")[0] if call.error] == (
        ["denied"] if isinstance(failure, Denied) else ["rate limit"]
    )


def test_a_worker_whose_model_has_another_name_makes_no_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: list[str]
) -> None:
    def other(self: Any, name: str) -> Any:
        class Other:
            name = "another model"

        return Other()

    monkeypatch.setattr("rrm.api.wiring.Parts.model", other)
    with pytest.raises(SetupError, match=r"\[assistants\.model\] is another model on a worker and .* in the run's"):
        run(by(), tmp_path / "away")
    assert not Model.made


class Saying:
    """A model that says one thing, or raises it."""

    name = "saying"

    def __init__(self, said: Reply | BaseException) -> None:
        self._said = said

    async def ask(self, prompt: Prompt) -> Reply:
        if isinstance(self._said, BaseException):
            raise self._said
        return self._said


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize(
    ("said", "error"),
    [
        (asyncio.CancelledError(), "CancelledError"),
        (SystemExit(1), "SystemExit"),
        (Reply("yes", input_tokens=np.int64(3)), "TypeError"),  # type: ignore[arg-type]  # which JSON cannot write
    ],
)
def test_who_lent_a_call_is_told_of_whatever_ended_it(said: Reply | BaseException, error: str) -> None:
    model = Saying(said)
    lending = Lending(lambda asked: lent.answer(asked, lambda _: model))
    with pytest.raises(FaultedError) as raised:
        asyncio.run(Lent(model, "model", lending).ask(Prompt("", "?")))
    assert raised.value.fault.error == error


def test_a_key_in_the_run_file_is_sent_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[object] = []
    monkeypatch.setattr(FakeCluster, "start", begun.append)
    table = by()
    table["assistants"] = {"model": {**table["assistants"]["model"], "arguments": {"api_key": "0123456789"}}}
    with pytest.raises(ConfigError, match=r"cannot make calls of \[assistants\.model\]: its key stands in the run"):
        run(table, tmp_path / "away")
    with pytest.raises(ConfigError, match="and keys are not sent"):
        forecast(rrm.run_file(table | {"engine": {"plugin": "local", "arguments": {"workers": [{"steps": ["call"]}]}}}))
    assert not Model.made and not begun


def test_a_dry_run_names_those_who_make_calls() -> None:
    workers = {"plugin": "local", "arguments": {"workers": [{"steps": ["call"]}]}}
    told = forecast(rrm.run_file({**ASKING, "engine": workers}))["engine"]
    assert (told["steps"], told["bytes"], told["may_pay"]) == (["call"], 0, None)


def test_calls_are_a_step_only_of_runs_that_ask_models() -> None:
    assert "call" in steps_elsewhere(rrm.run_file(ASKING))
    assert "call" not in steps_elsewhere(rrm.run_file(TOYS))
