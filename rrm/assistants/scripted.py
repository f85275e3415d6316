"""An assistant that answers from a script, for tests and examples."""

from collections.abc import Callable, Iterator, Sequence

from rrm.core.errors import AssistantError
from rrm.core.ids import content_id
from rrm.core.protocols import Prompt, Reply

Script = Callable[[Prompt], str] | Sequence[str | Exception]


class ScriptedAssistant:
    """Answers with a function of the prompt, or with the next line of a list.

    An exception in the list is raised in its turn; a list that is used up raises AssistantError.
    `prompts` keeps what was asked, in order.
    """

    def __init__(self, answer: Script, name: str | None = None) -> None:
        self._answer = answer
        self._lines: Iterator[str | Exception] = iter(()) if callable(answer) else iter(answer)
        self.prompts: list[Prompt] = []
        self.name = _name(answer) if name is None else name

    async def ask(self, prompt: Prompt) -> Reply:
        """Return the scripted reply; its tokens are unknown."""
        self.prompts.append(prompt)
        if callable(self._answer):
            return Reply(self._answer(prompt))
        line = next(self._lines, None)
        if line is None:
            raise AssistantError(f"{self.name} has no more lines after {len(self.prompts) - 1}; give it more")
        if isinstance(line, Exception):
            raise line
        return Reply(line)


def _name(answer: Script) -> str:
    if callable(answer):
        return f"scripted:{getattr(answer, '__qualname__', type(answer).__qualname__)}"
    return f"scripted:{content_id('script', [str(line) for line in answer])[-8:]}"
