"""Whole runs with models that think aloud, are cut off and refuse: outputs, report and record say what came of it."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

import rrm
from rrm.api.look import finished, status
from rrm.assistants.scripted_model import ScriptedChatModel
from rrm.core.calls import Call
from rrm.core.errors import AssistantError, NoAnswerError
from rrm.core.report import Report
from rrm.core.values import Failure, Feedback, Output
from rrm.store.record import open_store
from tests.scenarios import assisted

ENDS = (".", "!", "?", '"', "”")


class Changing(ScriptedChatModel):
    """Says what the scripted model says, changed: `change` is given its text and whether JSON was asked for."""

    def change(self, text: str, structured: bool) -> AIMessage:
        raise NotImplementedError

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        found = super()._generate(messages, stop, run_manager, **kwargs).generations[0].message
        structured = any("JSON schema" in str(each.content) for each in messages if each.type == "system")
        return ChatResult(generations=[ChatGeneration(message=self.change(str(found.content), structured))])


class ThinksAndBreaksOff(Changing):
    """Thinks aloud before every reply, and is cut off in every text of more than one sentence."""

    def change(self, text: str, structured: bool) -> AIMessage:
        draft = '{"better": "B"}, no, {"better": "A"}' if structured else "A draft."
        cut_off = not structured and len(text) > 120
        said = f"{draft}\n</think>\n\n{text[:-9] if cut_off else text}"
        return AIMessage(said, response_metadata={"finish_reason": "length" if cut_off else "stop"})


class Silent(Changing):
    def change(self, text: str, structured: bool) -> AIMessage:
        return AIMessage(text if structured else "", response_metadata={"finish_reason": "length"})


class Refusing(Changing):
    def change(self, text: str, structured: bool) -> AIMessage:
        return (
            AIMessage("", additional_kwargs={"refusal": "I can't help with that."}) if structured else AIMessage(text)
        )


class BadRequest(Exception):
    status_code = 400


class WithoutSystem(ScriptedChatModel):
    """Takes no system messages, as some models behind chat templates."""

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        raise BadRequest("400 the template knows no system role")


def settings(model: type) -> Any:
    return rrm.run_file(assisted(model))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("thinks")
    rrm.run(settings(ThinksAndBreaksOff), out, quiet=True)
    return out


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    return finished(folder)


def test_no_output_holds_thoughts_and_what_was_cut_off_ends_whole_and_is_marked(folder: Path) -> None:
    with open_store(folder, "read") as store:
        outputs, calls, failures = store.load(Output), store.load(Call), store.load(Failure)
    assert outputs and failures == []
    assert not any("think>" in output.text or "draft" in output.text for output in outputs)
    truncated = [output for output in outputs if output.truncated]
    assert 0 < len(truncated) < len(outputs)
    assert all(output.text.endswith(ENDS) for output in truncated)
    assert all("</think>" in (call.reply or "") for call in calls)


def test_the_report_counts_what_replies_came_to_and_says_so(folder: Path, report: Report) -> None:
    with open_store(folder, "read") as store:
        calls = [call for call in store.load(Call) if not call.cached]
    by = {each.asker: each for each in report.cost.by_asker}
    assert set(by) == {"policy", "rater"}
    for asker, found in by.items():
        of = [call for call in calls if call.asker == asker]
        assert sum(found.endings.values()) == len(of) == found.noticed["thoughts"]
    cut_off = by["policy"].endings["truncated"]
    assert cut_off == sum(call.ending == "truncated" for call in calls) > 0
    n = sum(by["policy"].endings.values())
    assert f"{n} of {n} replies to the policy held thoughts before </think> or a mark like it, which were left out" in (
        report.warnings
    )
    assert any(note.startswith(f"{cut_off} of {n} replies to the policy were cut off") for note in report.warnings)


def test_the_summary_and_the_status_carry_counts_and_notes(folder: Path, report: Report) -> None:
    summary, standing = report.to_json(), status(folder)
    assert summary["calls"]["policy"]["endings"] == dict(report.cost.by_asker[0].endings)
    assert summary["calls"] == standing["calls"]
    assert set(standing["notes"]) <= set(summary["notes"])
    page = (folder / "report.html").read_text()
    assert "What model calls came to" in page and "truncated" in page


@pytest.mark.parametrize(
    ("model", "lack", "step"),
    [(Silent, "cut off", "propose"), (Refusing, "refused", "rate"), (WithoutSystem, "request", "propose")],
    ids=["silent", "refusing", "without system"],
)
def test_where_all_replies_hold_no_answer_the_run_ends_with_the_exit_code_of_assistants(
    tmp_path: Path, model: type, lack: str, step: str
) -> None:
    with pytest.raises(AssistantError, match=f"every {step} fails") as none:
        rrm.run(settings(model), tmp_path, quiet=True)
    assert none.value.exit_code == 5
    with open_store(tmp_path, "read") as store:
        assert store.load(Failure) == []
        assert store.load(Output if step == "propose" else Feedback) == []
    asker = "policy" if step == "propose" else "rater"
    standing = status(tmp_path)
    assert standing["calls"][asker]["endings"].keys() == {lack}
    assert isinstance(none.value, NoAnswerError) == any("held no answer" in note for note in standing["notes"])
    assert isinstance(none.value, NoAnswerError) == (lack != "request")
