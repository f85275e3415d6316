"""Model calls that are never paid for twice."""

import json
from dataclasses import dataclass, field, replace

import anyio

from rrm.core.ids import content_id
from rrm.core.protocols import Assistant, Cache, Prompt, Reply

TABLE = "calls"


@dataclass
class _Flight:
    """A call under way, that equal asks wait for."""

    landed: anyio.Event = field(default_factory=anyio.Event)
    reply: Reply | None = None
    error: Exception | None = None


class Cached:
    """Remembers replies by the assistant's name and every field of the prompt.

    Errors are never kept. Equal asks at the same time share one call and its fate; if the one
    that makes the call is cancelled, another takes it over. A reply from the cache, or shared,
    has `cached=True`. What the cache returned and cannot be read is asked again.
    """

    def __init__(self, assistant: Assistant, cache: Cache) -> None:
        self._assistant = assistant
        self._cache = cache
        self._flights: dict[str, _Flight] = {}
        self.name = assistant.name

    async def ask(self, prompt: Prompt) -> Reply:
        """Return the remembered reply, or the assistant's, durably remembered before it is returned."""
        key = call_id(self.name, prompt)
        while True:
            if (known := self._known(key)) is not None:
                return known
            flight = self._flights.get(key)
            if flight is None:
                return await self._call(key, prompt)
            await flight.landed.wait()
            if flight.reply is not None:
                return replace(flight.reply, cached=True)
            if flight.error is not None:
                raise flight.error

    async def _call(self, key: str, prompt: Prompt) -> Reply:
        flight = self._flights[key] = _Flight()
        try:
            reply = await self._assistant.ask(prompt)
            kept = {"text": reply.text, "input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens}
            self._cache.put_many(TABLE, {key: json.dumps(kept).encode()})
            flight.reply = reply
        except Exception as error:
            flight.error = error
            raise
        finally:
            del self._flights[key]
            flight.landed.set()
        return reply

    def _known(self, key: str) -> Reply | None:
        kept = self._cache.get_many(TABLE, [key]).get(key)
        if kept is None:
            return None
        try:
            reply = Reply(**json.loads(kept), cached=True)
        except (TypeError, ValueError):
            return None
        return reply


def call_id(assistant: str, prompt: Prompt) -> str:
    """Name a call by all that can change its reply."""
    schema = None if prompt.schema is None else dict(prompt.schema)
    return content_id("call", assistant, prompt.system, prompt.user, schema, prompt.sample, prompt.max_tokens)
