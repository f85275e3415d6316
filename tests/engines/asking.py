"""A chat model whose calls are counted, wherever in this process they are made."""

import threading
from collections import Counter
from typing import Any, ClassVar

from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult

from rrm.assistants.scripted_model import ScriptedChatModel


class Denied(Exception):
    status_code = 401


class Busy(Exception):
    status_code = 429


class Model(ScriptedChatModel):
    """Counts its calls by what it is asked; the first ones fail where `failures` are left."""

    made: ClassVar[Counter[str]] = Counter()
    api_key: str = ""
    failures: ClassVar[list[Exception]] = []
    turn: ClassVar[threading.Lock] = threading.Lock()

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        with Model.turn:
            Model.made["\n".join(str(each.content) for each in messages)] += 1
            if Model.failures:
                raise Model.failures.pop()
        return super()._generate(messages, stop, run_manager, **kwargs)
