"""A model whose calls are made elsewhere while somebody is there who can make them."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from rrm.assistants.faults import Fault, FaultedError, diagnose
from rrm.core.errors import SetupError
from rrm.core.protocols import Assistant, Prompt, Reply

_PROMPT: TypeAdapter[Prompt] = TypeAdapter(Prompt)
_REPLY: TypeAdapter[Reply] = TypeAdapter(Reply)
_FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)


@dataclass
class Lending:
    """Who makes the calls of a run's models: whatever `by` is told, and returns what came of it; None has them here."""

    by: Callable[[str], Awaitable[str]] | None = None


class Lent:
    """A model, by its table in the run file, whose calls are made here or by those to whom they are lent.

    It stands below all that counts and keeps, so that others hold no record, no budget and no cache.
    """

    def __init__(self, model: Assistant, table: str, lending: Lending) -> None:
        self._model, self._table, self._lending = model, table, lending
        self.name = model.name

    async def ask(self, prompt: Prompt) -> Reply:
        """Return the reply; raise what the model raises here, and FaultedError for what it raised elsewhere."""
        by = self._lending.by
        if by is None:
            return await self._model.ask(prompt)
        asked = {"table": self._table, "model": self.name, "prompt": _PROMPT.dump_python(prompt)}
        said = json.loads(await by(json.dumps(asked)))
        if "fault" in said:
            raise FaultedError(_FAULT.validate_python(said["fault"]))
        return _REPLY.validate_python(said["reply"])


async def answer(asked: str, model_of: Callable[[str], Assistant]) -> str:
    """Make a call that was lent, and return what came of it, a fault too; `model_of` gives a table's model."""
    try:
        told = json.loads(asked)
        model = model_of(told["table"])
        if model.name != told["model"]:
            raise SetupError(
                f"[assistants.{told['table']}] is {model.name} on a worker and {told['model']} in the run's process, so"
                " its replies would stand under a wrong name: set its dtype, and have the same model on both"
            )
        reply = await model.ask(_PROMPT.validate_python(told["prompt"]))
        return json.dumps({"reply": _REPLY.dump_python(reply)})
    except BaseException as error:  # also a model's own CancelledError: who lent the call waits until it is told
        return json.dumps({"fault": asdict(diagnose(error))})
