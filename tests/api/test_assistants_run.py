"""A whole run with a language model: faults of its set-up stop it, and all calls stand on record."""

import os
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult

import rrm
from rrm.api.forecast import forecast
from rrm.assistants.scripted_model import ScriptedChatModel
from rrm.core.calls import Call
from rrm.core.errors import ConfigError, PluginError, SetupError
from rrm.core.graph import TaskGraph
from rrm.core.values import Failure, Feedback, Output, Request
from rrm.store.record import open_store
from tests.scenarios import SMALL, assisted


class Denied(Exception):
    """What a provider's package raises."""

    status_code = 401


class Keyed(ScriptedChatModel):
    """Answers those who have the key."""

    api_key: str = ""

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        if self.api_key != "right-key-0123":
            raise Denied(f"wrong API key {self.api_key}")
        return super()._generate(messages, stop, run_manager, **kwargs)


def settings(key: str) -> Any:
    return rrm.run_file(assisted(Keyed, api_key=key))


@pytest.mark.parametrize("literal", [False, True], ids=["environment", "run file"])
def test_a_wrong_key_stops_the_run_and_is_no_result_and_the_mended_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, literal: bool
) -> None:
    def key(is_now: str) -> Any:
        monkeypatch.setenv("TESTS_MODEL_KEY", is_now)
        return settings(is_now if literal else "${TESTS_MODEL_KEY}")

    with pytest.raises(SetupError, match=r"denied 401.* go on with the same command") as stopped:
        rrm.run(key("wrong-key-0123"), tmp_path, quiet=True)
    assert stopped.value.exit_code == 5
    with open_store(tmp_path, "read") as store:
        assert store.load(Failure) == store.load(Output) == []
        attempts = store.load(Call)
        assert 0 < len(attempts) <= 2 * 8  # no more than were under way together
        assert all("401" not in (call.reply or "") and call.error for call in attempts)
    rrm.run(key("right-key-0123"), tmp_path, quiet=True)
    with open_store(tmp_path, "read") as store:
        assert store.load(Failure) == []
        assert store.load(Feedback)
        assert store.spent()["calls"] == len([call for call in store.load(Call) if not call.cached])
        assert "key-0123" not in repr(store.setting("run"))
        every_node = {node for graph in store.load(TaskGraph) for node in graph}
        about: dict[str, set[str]] = {}
        for call in store.load(Call):
            about.setdefault(call.asker, set()).add(call.about)
        assert set(about) == {"policy", "rater"}
        assert about["policy"] == every_node
        assert about["rater"] == {request.id for request in store.load(Request)}
    with rrm.load(tmp_path) as run:
        calls = run.calls
        assert set(calls.asker) == {"policy", "rater"} and calls[calls.error.isna()].reply.notna().all()
        assert set(calls[calls.asker == "policy"].about) == set(run.outputs.node)
        assert (calls[~calls.cached].input_tokens > 0).any()
    secret = b"right-key-0123"
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or secret not in path.read_bytes(), path
    assert os.environ["TESTS_MODEL_KEY"] == "right-key-0123"


def test_the_questions_about_one_view_are_one_call_where_the_run_says_so(tmp_path: Path) -> None:
    table = assisted(ScriptedChatModel)
    table["rater"] |= {"sheet": 2}
    said = forecast(rrm.run_file(table))
    rrm.run(rrm.run_file(table), tmp_path, quiet=True)
    with open_store(tmp_path, "read") as store:
        requests = {request.id: request for request in store.load(Request)}
        views = {(request.node, request.view.id) for request in requests.values()}
        assert len(views) < len(requests) <= 2 * len(views)  # equal outputs are not compared
        assert {each.request for each in store.load(Feedback)} == set(requests)
        calls = [call for call in store.load(Call) if call.asker == "rater"]
        asked_about = [(requests[call.about].node, requests[call.about].view.id) for call in calls]
        assert sorted(asked_about) == sorted(views)  # each view is read once
        spent = store.spent()
    alone = forecast(rrm.run_file(assisted(ScriptedChatModel)))
    assert 0 < spent["calls"] <= said["model_calls"] < alone["model_calls"]


def test_a_rater_that_takes_one_question_at_a_time_is_given_no_sheets() -> None:
    table = assisted(ScriptedChatModel)
    with pytest.raises(PluginError, match=r"\[rater\] sheet = 3, but .* answers one question at a time"):
        forecast(rrm.run_file({**table, "rater": {**SMALL["rater"], "sheet": 3}}))
    people = {"plugin": "people", "sheet": 3}
    with pytest.raises(ConfigError, match=r"people's sheets are a setting, rater\.arguments\.sheet"):
        rrm.run_file({**table, "rater": people})
