"""What a run file says of its assistants is what they do."""

from typing import Any

import anyio
import pytest
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from rrm.api.runfile import run_file
from rrm.api.wiring import Parts
from rrm.assistants.scripted_model import ScriptedChatModel
from rrm.core.protocols import Prompt
from tests.scenarios import OTHER_RATER, SMALL

at_once: list[int] = []
under_way = 0


class Slow(ScriptedChatModel):
    """Answers after others had a chance to ask, and notes how many are being answered."""

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        global under_way
        under_way += 1
        at_once.append(under_way)
        await anyio.sleep(0.01)
        under_way -= 1
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content="It is said."))])


@pytest.mark.asyncio
async def test_no_more_calls_run_at_once_than_the_run_file_allows() -> None:
    at_once.clear()
    run = run_file({**SMALL, "assistants": {"slow": {"model": f"{__name__}:Slow", "concurrency": 3}}})
    assistant = Parts(run).assistant("slow", "policy")
    async with anyio.create_task_group() as tasks:
        for sample in range(20):
            tasks.start_soon(assistant.ask, Prompt("Say it.", "Anything.", sample=sample))
    assert len(at_once) == 20
    assert max(at_once) == 3


@pytest.mark.parametrize(
    ("rater", "flat"),
    [
        (SMALL["rater"], True),
        ({"plugin": "people"}, False),
        ({"plugin": "rrm.raters.assistant:AssistantRater"}, False),
    ],
)
def test_the_flat_baseline_is_asked_for_openly_where_raters_cost_money_or_time(
    rater: dict[str, Any], flat: bool
) -> None:
    table = {**SMALL, "rater": rater, "assistants": {"slow": {"model": f"{__name__}:Slow"}}}
    assert Parts(run_file(table)).flat is flat
    for said in (True, False):
        assert Parts(run_file({**table, "flat": said})).flat is said


@pytest.mark.parametrize(
    ("sources", "share", "apart"),
    [(8, 0.25, 2), (12, 0.25, 3), (4, 0.25, 2), (4, 0.01, 2), (3, 0.1, 1), (2, 0.9, 1)],
)
def test_the_judge_of_role_select_has_two_sources_or_more_where_there_are_four(
    sources: int, share: float, apart: int
) -> None:
    train = {**SMALL["train"], "arguments": {"count": sources, "words": 600, "seed": 31}}
    select = {**OTHER_RATER, "share": share, "per_node": {"label": 1}}
    parts = Parts(run_file({**SMALL, "train": train, "select": select}))
    assert len(parts.apart) == apart
    assert parts.apart < {source.id for source in parts.train}
