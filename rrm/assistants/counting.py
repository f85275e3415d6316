"""An assistant that is asked in place of a model and only counts, so that a run's cost is known before it arises."""

import json
from collections.abc import Callable
from math import ceil
from typing import NamedTuple

from rrm.assistants.answers import asked_for_json, least, longest
from rrm.core.protocols import Prompt, Reply

_CHARS_PER_TOKEN = 4  # as in `rrm.assistants.budget`, where a model does not say what a call took
_REASON_CHARS = 240  # an ordinary text in a structured answer: one or two sentences
_ITEMS = 2  # and an ordinary list
_DENSE = 3  # characters per token of a text that takes many


class Load(NamedTuple):
    """Calls, and the tokens that they read and write."""

    calls: int = 0
    tokens: int = 0

    def plus(self, other: "Load", times: int = 1) -> "Load":
        return Load(self.calls + other.calls * times, self.tokens + other.tokens * times)


class CountingAssistant:
    """Counts the tokens of every prompt and of the reply that a model might give; asks nobody.

    A prompt without a schema is answered with `reply`, one with a schema by the least answer that meets it.
    At `most`, prompts count by tokens or by characters, whichever is more, as a budget may count them, and
    structured answers are as long as their schema allows; else, as long as answers are ordinarily.
    A prompt's own `max_tokens` is what a model may write, so at most it does.
    """

    def __init__(self, name: str, count: Callable[[str], int], most: bool) -> None:
        self.name = name
        self.reply = ""
        self._count, self._most = count, most
        self._load = Load()

    async def ask(self, prompt: Prompt) -> Reply:
        """Return the stand-in reply; the call is counted."""
        read = self._size(asked_for_json(prompt)) + self._size(prompt.user)
        self._load = self._load.plus(Load(1, read + self._written(prompt)))
        return Reply(self.reply if prompt.schema is None else json.dumps(least(prompt.schema)))

    def take(self) -> Load:
        """Return what was counted since this was last called."""
        load, self._load = self._load, Load()
        return load

    def _written(self, prompt: Prompt) -> int:
        if prompt.max_tokens is not None and self._most:
            return prompt.max_tokens
        if prompt.schema is None:
            return self._size(self.reply)
        if self._most:
            return ceil(longest(prompt.schema) / _DENSE)
        return ceil(longest(prompt.schema, _REASON_CHARS, _ITEMS) / _CHARS_PER_TOKEN)

    def _size(self, text: str) -> int:
        tokens = self._count(text)
        return max(tokens, ceil(len(text) / _CHARS_PER_TOKEN)) if self._most else tokens
