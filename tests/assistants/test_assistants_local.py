"""A language model in the process as an assistant: batches, seeds, what is refused, and a run file that names it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from rrm.api.runfile import run_file
from rrm.api.wiring import Parts
from rrm.assistants.local import Local
from rrm.backbone.generate import Ask, Sample, Writer
from rrm.core.errors import AssistantError, ConfigError, InputError, LimitError, PluginError
from rrm.core.protocols import Assistant, Prompt, Reply


def local(**changes: int) -> Local:
    return Local("tiny", max_tokens=8, dtype="float32", **changes)


async def ask_all(assistant: Local, prompts: Sequence[Prompt]) -> list[Reply]:
    replies: dict[int, Reply] = {}

    async def ask(at: int) -> None:
        replies[at] = await assistant.ask(prompts[at])

    async with anyio.create_task_group() as tasks:
        for at in range(len(prompts)):
            tasks.start_soon(ask, at)
    return [replies[at] for at in range(len(prompts))]


@pytest.mark.asyncio
async def test_what_is_asked_side_by_side_is_answered_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    sample = Writer.sample

    def counted(self: Writer, asks: Sequence[Ask]) -> list[list[Sample]]:
        sizes.append(len(asks))
        return sample(self, asks)

    monkeypatch.setattr(Writer, "sample", counted)
    assistant = local(batch=4)
    assert isinstance(assistant, Assistant)
    prompts = [Prompt("Sum up.", f"text {number}", sample=number) for number in range(10)]
    together = await ask_all(assistant, prompts)
    assert sizes == [4, 4, 2]
    alone = [await assistant.ask(prompt) for prompt in prompts]
    assert [reply.text for reply in alone] == [reply.text for reply in together]
    assert len({reply.text for reply in together}) == 10
    lengths = [len(assistant.writer.check(assistant._ask(prompt))) for prompt in prompts]
    assert [reply.input_tokens for reply in alone] == lengths
    assert {reply.output_tokens for reply in alone} <= set(range(1, 9))


@pytest.mark.asyncio
@pytest.mark.parametrize(("ended", "stop"), [(True, "stop"), (False, "length")])
async def test_it_says_whether_a_reply_ended_by_itself(monkeypatch: pytest.MonkeyPatch, ended: bool, stop: str) -> None:
    monkeypatch.setattr(Writer, "sample", lambda self, asks: [[Sample("One.", (1, 2), -1.0, ended, 9)] for _ in asks])
    assert await local().ask(Prompt("a", "b")) == Reply("One.", 9, 2, stop=stop)


@pytest.mark.asyncio
async def test_equal_questions_get_equal_answers_and_another_sample_another() -> None:
    asked = [Prompt("a", "b", sample=1), Prompt("a", "b", sample=1), Prompt("a", "b", sample=2)]
    first, again, other = [(await assistant.ask(prompt)).text for prompt in asked for assistant in [local()]]
    assert first == again != other
    assert (await local(seed=1).ask(asked[0])).text != first
    assert len({assistant.name for assistant in (local(), local(seed=1), Local("tiny", dtype="float32"))}) == 3


@pytest.mark.asyncio
async def test_who_gives_up_does_not_hold_up_the_others() -> None:
    assistant = local(batch=1)
    replies = []

    async def ask(number: int) -> None:
        replies.append(await assistant.ask(Prompt("", f"text {number}")))

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as given_up:
                for number in range(3):
                    given_up.start_soon(ask, number)
                tasks.start_soon(ask, 3)
                await anyio.sleep(0.01)
                scope.cancel()
    assert replies and assistant._waiting == []


@pytest.mark.asyncio
async def test_a_prompt_that_is_too_long_is_one_failed_call() -> None:
    with pytest.raises(AssistantError, match=r"tiny reads 32768 tokens at once, and a prompt of .* leaves no room"):
        await local().ask(Prompt("", "zq " * 33_000))
    assert (await local().ask(Prompt("", "x"))).output_tokens


@pytest.mark.asyncio
async def test_a_prompt_that_memory_does_not_suffice_for_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = Writer.sample

    def small(self: Writer, asks: Sequence[Ask]) -> list[list[Sample]]:
        if any("large" in ask.chat.user for ask in asks):
            raise LimitError("there is not enough memory")
        return sample(self, asks)

    monkeypatch.setattr(Writer, "sample", small)
    assistant, replies = local(batch=4), {}

    async def ask(text: str) -> None:
        try:
            replies[text] = (await assistant.ask(Prompt("", text))).text
        except AssistantError as error:
            replies[text] = str(error)

    async with anyio.create_task_group() as tasks:
        for text in ("one", "large", "two", "three"):
            tasks.start_soon(ask, text)
    assert replies.pop("large") == "there is not enough memory"
    assert replies == {text: (await assistant.ask(Prompt("", text))).text for text in ("one", "two", "three")}


@pytest.mark.parametrize("name", ["max_tokens", "batch"])
def test_numbers_below_one_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="max_tokens and batch must be 1 or more"):
        Local("tiny", **{name: 0})


RUN = {
    "name": "run",
    "seed": 0,
    "target": {"plugin": "tasks.synthetic_book:SyntheticBooks"},
    "decomposer": {"plugin": "decomposers.chunks:Chunks"},
    "policy": {"plugin": "rrm.policy.language_model:LanguageModelPolicy"},
}


def test_a_run_file_names_it_like_any_model() -> None:
    arguments = {"model": "tiny", "max_tokens": 8, "dtype": "float32"}
    run = run_file(
        {**RUN, "assistants": {"writer": {"model": "rrm.assistants.local:Local", "arguments": arguments}}}, learns=False
    )
    parts = Parts(run)
    assert "local/tiny#" in parts.policy.name


def test_a_model_that_is_no_assistant_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("class Mine:\n    ask = None\n")
    run = run_file({**RUN, "assistants": {"writer": {"model": "mine:Mine"}}}, learns=False)
    run = replace(run, folder=tmp_path)
    with pytest.raises((PluginError, InputError), match=r"assistants.writer\] mine:Mine is no Assistant"):
        _ = Parts(run).policy
