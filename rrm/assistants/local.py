"""A language model in this process as an assistant: `rrm.backbone.generate` behind the same interface as remote ones.

    [assistants.judge]
    model = "rrm.assistants.local:Local"
    arguments = { model = "smollm" }

For a model that is served (vLLM, `transformers serve`, ...) name LangChain's chat model of its protocol instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from rrm.assistants.answers import asked_for_json
from rrm.core.arguments import plain_arguments
from rrm.core.errors import AssistantError, ConfigError, LimitError
from rrm.core.ids import content_id, seed_for
from rrm.core.protocols import Prompt, Reply

if TYPE_CHECKING:
    from rrm.backbone.generate import Ask, Sample, Writer


@dataclass(eq=False)
class _Asked:
    """An ask on its way, and what came of it."""

    ask: "Ask"
    sample: "Sample | None" = None


@plain_arguments
class Local:
    """Asks a causal language model that is loaded once; implements `rrm.core.protocols.Assistant`.

    What is asked side by side is answered in batches of at most `batch`. Each reply is sampled by a seed of its
    own, derived from `seed`, the texts and the prompt's `sample`. `max_tokens` caps replies to prompts that name
    no cap. Raises ConfigError for numbers below 1, InputError for what cannot be loaded.
    """

    def __init__(
        self,
        model: str = "smollm",
        temperature: float = 1.0,
        max_tokens: int = 512,
        batch: int = 8,
        seed: int = 0,
        device: str = "auto",
        dtype: str = "auto",
        four_bit: bool = False,
    ) -> None:
        if min(max_tokens, batch) < 1:
            raise ConfigError(f"max_tokens and batch must be 1 or more, got {max_tokens} and {batch}")
        self._model, self._temperature, self._most, self._batch, self._seed = (
            model,
            temperature,
            max_tokens,
            batch,
            seed,
        )
        self._where = (device, dtype, four_bit)
        self._waiting: list[_Asked] = []
        self._turn = anyio.Lock()

    @cached_property
    def writer(self) -> "Writer":
        """The model, loaded when it is first needed."""
        from rrm.backbone.generate import load_writer

        device, dtype, four_bit = self._where
        return load_writer(self._model, device, dtype, self._temperature, four_bit)

    @property
    def name(self) -> str:
        """Covers the weights, the precision, the temperature, the seed and the cap."""
        return f"local/{self.writer.name}#{content_id('local', self._seed, self._most)[-8:]}"

    async def ask(self, prompt: Prompt) -> Reply:
        """Return the model's reply; raise AssistantError where it cannot be had, such as for a prompt too long."""
        if "writer" not in vars(self):
            async with self._turn:
                await to_thread.run_sync(lambda: self.writer)
        asked = _Asked(self._ask(prompt))
        self._waiting.append(asked)
        try:
            await anyio.sleep(0)  # so that what is asked at the same moment goes into one batch
            async with self._turn:
                while asked.sample is None:  # else somebody whose turn came before answered it, too
                    left = [each for each in self._waiting if each.sample is None]
                    await self._answered(asked, left[: self._batch])
        finally:
            self._waiting.remove(asked)
        sample = asked.sample
        stop = "stop" if sample.ended else "length"
        return Reply(sample.text, sample.prompt_tokens, len(sample.ids), stop=stop)

    async def _answered(self, asked: _Asked, batch: Sequence[_Asked]) -> None:
        """Answer a batch; where that needs too much memory, the one ask alone, so that nobody fails for another."""
        try:
            await to_thread.run_sync(self._answer, batch)
        except LimitError as error:
            if list(batch) == [asked]:
                raise AssistantError(str(error)) from error
            await self._answered(asked, [asked])

    def _ask(self, prompt: Prompt) -> "Ask":
        from rrm.backbone.generate import Ask, Chat

        chat = Chat(asked_for_json(prompt), prompt.user)
        seed = seed_for("local", self._seed, prompt.sample, chat.system, chat.user)
        ask = Ask(chat, [seed], prompt.max_tokens or self._most)
        try:
            self.writer.check(ask)
        except LimitError as error:
            raise AssistantError(str(error)) from error
        return ask

    def _answer(self, batch: Sequence[_Asked]) -> None:
        for asked, (sample,) in zip(batch, self.writer.sample([each.ask for each in batch]), strict=True):
            asked.sample = sample
