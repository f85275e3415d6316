"""One attempt at a model call: within the budget, on record before it is sent, checked, on record with what it took."""

import time
from math import ceil

from rrm.assistants.answers import asked_for_json, checked
from rrm.assistants.books import Books
from rrm.assistants.budget import Budget
from rrm.assistants.cache import call_id, to_bytes
from rrm.assistants.transcript import transcript
from rrm.core.calls import Call
from rrm.core.errors import LostCallError, MalformedAnswerError, NoAnswerError
from rrm.core.protocols import Assistant, Entry, Prompt, Reply

_CHARS_PER_TOKEN = 4  # an estimate, used before a call and where a model does not say what it took


class Booked:
    """Asks once: the call counts as soon as it may have been made, and its tokens as soon as they may have been used.

    Before it is sent a call is recorded with the tokens that it is estimated to take, so a process that
    is killed meanwhile, and the provider's bill, never find more calls than the record has. Afterwards one
    transaction records how it went, what it really took, and the reply to keep. A call that failed costs
    no tokens; one that is cancelled, or killed with the process or the worker that made it, costs its estimate.
    `asker` is the part of the run that asks.
    """

    def __init__(self, assistant: Assistant, budget: Budget, books: Books, asker: str = "") -> None:
        self._assistant = assistant
        self._budget = budget
        self._books = books
        self._asker = asker
        self.name = assistant.name

    async def ask(self, prompt: Prompt) -> Reply:
        """Return the reply, checked (see `rrm.assistants.answers.checked`) and durable; what is kept of it is raw.

        Raises BudgetError before a call that could exceed the budget, NoAnswerError and MalformedAnswerError for a
        reply that was paid for and cannot be used, StoreError, and what the assistant raises.
        """
        read = ceil(len(asked_for_json(prompt) + prompt.user) / _CHARS_PER_TOKEN)
        reserved = read + (prompt.max_tokens or 0)
        self._budget.reserve(reserved)
        await self._books.enter(Entry({"calls": 1, "tokens": reserved}))
        at, began = self._books.now(), time.monotonic()

        def call(reply: Reply | None = None, answer: Reply | None = None, error: BaseException | None = None) -> Call:
            seconds = time.monotonic() - began
            return transcript(self._asker, self.name, prompt, at, seconds, reply, answer, error)

        try:
            reply = await self._assistant.ask(prompt)
        except BaseException as error:
            failed = isinstance(error, Exception) and not isinstance(error, LostCallError)
            self._budget.settle(reserved, 0 if failed else reserved)
            await self._books.enter(Entry({"tokens": -reserved} if failed else {}, (call(error=error),)))
            raise
        taken = _tokens(reply, read)
        self._budget.settle(reserved, taken)
        amounts = {"tokens": taken - reserved, **({} if reply.cost is None else {"cost": reply.cost})}
        try:
            answer = checked(reply, prompt)
        except NoAnswerError as error:
            await self._books.enter(Entry(amounts, (call(reply, error=error),)))
            raise NoAnswerError(f"{self.name}: {error}", error.lack) from error
        except MalformedAnswerError as error:
            await self._books.enter(Entry(amounts, (call(reply, error=error),)))
            raise MalformedAnswerError(f"{self.name}: {error}") from error
        kept = {call_id(self.name, prompt): to_bytes(reply)}
        await self._books.enter(Entry(amounts, (call(reply, answer),), kept))
        return answer


def _tokens(reply: Reply, read: int) -> int:
    """Return what a call took, estimated where the model does not say."""
    written = ceil(len(reply.text) / _CHARS_PER_TOKEN)
    return (read if reply.input_tokens is None else reply.input_tokens) + (
        written if reply.output_tokens is None else reply.output_tokens
    )
