"""Model calls that are never paid for twice."""

import json
from dataclasses import dataclass, field, replace

import anyio

from rrm.assistants.answers import checked
from rrm.assistants.books import Books
from rrm.assistants.transcript import transcript
from rrm.core.errors import AssistantError
from rrm.core.ids import content_id
from rrm.core.protocols import Assistant, Entry, Prompt, Reply


@dataclass
class _Flight:
    """A call under way, that equal asks wait for."""

    landed: anyio.Event = field(default_factory=anyio.Event)
    reply: Reply | None = None
    error: Exception | None = None


class Cached:
    """Finds replies again by the assistant's name and all of the prompt that can change a reply.

    Replies are kept as models gave them and read each time that they are found, so that what is learned about
    reading holds for them, too. `rrm.assistants.booked.Booked`, which stands below, keeps them in one transaction with
    what they cost. Errors are never kept. Equal asks at the same time share one call and its fate; if the one
    that makes the call is cancelled, another takes it over. A reply from the cache, or shared, has `cached=True`, and
    stands on record as a call of its own. What is kept and holds no answer is asked again. `asker` is the part of
    the run that asks.
    """

    def __init__(self, assistant: Assistant, books: Books, asker: str = "") -> None:
        self._assistant = assistant
        self._books = books
        self._asker = asker
        self._flights: dict[str, _Flight] = {}
        self.name = assistant.name

    async def ask(self, prompt: Prompt) -> Reply:
        """Return the reply that is kept, or the assistant's."""
        key = call_id(self.name, prompt)
        while True:
            if (known := self._known(key)) is not None and (answer := _answer(known, prompt)) is not None:
                return await self._found(known, answer, prompt)
            flight = self._flights.get(key)
            if flight is None:
                return await self._call(key, prompt)
            await flight.landed.wait()
            if flight.reply is not None:
                shared = replace(flight.reply, cached=True)
                return await self._found(shared, shared, prompt)
            if flight.error is not None:
                raise flight.error

    async def _call(self, key: str, prompt: Prompt) -> Reply:
        flight = self._flights[key] = _Flight()
        try:
            reply = flight.reply = await self._assistant.ask(prompt)
        except Exception as error:
            flight.error = error
            raise
        finally:
            del self._flights[key]
            flight.landed.set()
        return reply

    async def _found(self, reply: Reply, answer: Reply, prompt: Prompt) -> Reply:
        """Return the answer in a reply that was there already, once that is on record."""
        call = transcript(self._asker, self.name, prompt, self._books.now(), reply=reply, answer=answer)
        await self._books.enter(Entry(calls=(call,)))
        return answer

    def _known(self, key: str) -> Reply | None:
        kept = self._books.reply(key)
        return None if kept is None else from_bytes(kept)


def call_id(assistant: str, prompt: Prompt) -> str:
    """Name a call by all that can change its reply; who asks, what for and how often takes no part."""
    schema = None if prompt.schema is None else dict(prompt.schema)
    return content_id("call", assistant, prompt.system, prompt.user, schema, prompt.sample, prompt.max_tokens)


def to_bytes(reply: Reply) -> bytes:
    """Return what the cache keeps of a reply: the model's own words, and the tokens that it took."""
    kept = {"text": reply.text, "input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens}
    said = {"stop": reply.stop, "refusal": reply.refusal}
    return json.dumps(kept | {name: word for name, word in said.items() if word}).encode()


def from_bytes(kept: bytes) -> Reply | None:
    """Return a reply as it was kept, `cached`; None for what cannot be read."""
    try:
        return Reply(**json.loads(kept), cached=True)
    except (TypeError, ValueError):
        return None


def _answer(reply: Reply, prompt: Prompt) -> Reply | None:
    """Return the answer in a reply, None where it holds none that the prompt asked for."""
    try:
        return checked(reply, prompt)
    except AssistantError:
        return None
