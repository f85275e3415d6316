"""A chat model whose calls are counted, wherever in this process they are made."""

import os
import signal
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


DEADLY, DRIVER = "RRM_TESTS_DEADLY", "RRM_TESTS_DRIVER"
"""Variables of the environment: the seed whose call ends the process that makes it, and one that it does not end."""


class Model(ScriptedChatModel):
    """Counts its calls by what it is asked; the first ones fail where `failures` are left."""

    made: ClassVar[Counter[str]] = Counter()
    api_key: str = ""
    failures: ClassVar[list[Exception]] = []
    turn: ClassVar[threading.Lock] = threading.Lock()

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        if str(kwargs.get("seed")) == os.environ.get(DEADLY) and str(os.getpid()) != os.environ[DRIVER]:
            os.kill(os.getpid(), signal.SIGKILL)
        with Model.turn:
            Model.made["\n".join(str(each.content) for each in messages)] += 1
            if Model.failures:
                raise Model.failures.pop()
        return super()._generate(messages, stop, run_manager, **kwargs)
