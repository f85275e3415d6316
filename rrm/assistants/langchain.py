"""Any LangChain chat model as an assistant.

Structured answers are asked for in words and read by `rrm.assistants.answers`, the same way for
every model: tool calling and `with_structured_output` differ between providers and are missing
from fake and many local models. LangChain's own serialisation (`load`, `dumps`) is never used.
"""

import inspect
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

import anyio
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from pydantic import ValidationError

from rrm.assistants.answers import asked_for_json
from rrm.assistants.faults import diagnose
from rrm.assistants.messages import said
from rrm.assistants.secrets import blotted, is_secret
from rrm.core.errors import PluginError
from rrm.core.ids import content_id, seed_for
from rrm.core.protocols import Prompt, Reply

_WHICH = ("model", "model_name", "model_id")
_NEUTRAL = frozenset(
    (
        "cache",
        "callbacks",
        "custom_get_token_ids",
        "disable_streaming",
        "max_retries",
        "metadata",
        "name",
        "profile",
        "rate_limiter",
        "request_timeout",
        "streaming",
        "tags",
        "timeout",
        "verbose",
    )
)


class LangChainAssistant:
    """Asks a LangChain chat model.

    A prompt's `max_tokens` is passed on to models that have a field of this name; the others take
    a limit from their own arguments. A model that was given a `seed` gets, with each prompt, one
    derived from it and the prompt's `sample`. A failed call raises AssistantError from the
    provider's exception, and SetupError where every call would fail in the same way; a call that takes
    longer than `timeout_seconds` raises AssistantError, too.
    """

    def __init__(self, model: BaseChatModel, name: str | None = None, timeout_seconds: float = 600.0) -> None:
        self._model = model
        self._timeout = timeout_seconds
        self._takes_limit = "max_tokens" in type(model).model_fields
        self.name = model_name(model) if name is None else name

    async def ask(self, prompt: Prompt) -> Reply:
        """Return the model's reply in its own words, as plain text; raise AssistantError if the call failed."""
        try:
            with anyio.fail_after(self._timeout):
                message = await self._model.ainvoke(_messages(prompt), **self._settings(prompt))
        except Exception as error:
            raise diagnose(error).as_error(self.name) from error
        usage = getattr(message, "usage_metadata", None) or {}
        found = said(message)
        return Reply(
            found.text,
            usage.get("input_tokens"),
            usage.get("output_tokens"),
            cost=_cost(message),
            stop=found.stop,
            refusal=found.refusal,
            noticed=found.noticed,
        )

    def _settings(self, prompt: Prompt) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        if self._takes_limit and prompt.max_tokens is not None:
            settings["max_tokens"] = prompt.max_tokens
        if isinstance(seed := getattr(self._model, "seed", None), int):  # 31 bits: some providers take no more
            settings["seed"] = seed_for("sample", seed, prompt.sample) % 2**31
        return settings


def make_chat_model(found: object, path: str, arguments: Mapping[str, Any]) -> BaseChatModel:
    """Make a chat model of the class that the import string `path` led to, with its arguments.

    Raises PluginError, in one sentence that shows no secret, for anything wrong with either.
    """
    kind = _chat_model_class(found, path)
    try:
        model = kind(**arguments)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(each) for each in first["loc"])
        reason = f"{where}: {first['msg']}" if where else first["msg"]
        raise PluginError(f"{path} refused its arguments: {blotted(reason, arguments)}") from None
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        raise PluginError(f"{path} could not be made: {blotted(reason, arguments)}") from None
    if unknown := [name for name in arguments if not _takes(model, name)]:
        raise PluginError(f"{path} takes no argument {unknown[0]!r}; it takes {', '.join(sorted(kind.model_fields))}")
    return model


def model_name(model: BaseChatModel) -> str:
    """Name a chat model by its class and the arguments that can change an answer; secrets take no part."""
    kind = type(model)
    which = next((each for name in _WHICH if isinstance(each := getattr(model, name, None), str)), "")
    given = {name: getattr(model, name) for name in model.model_fields_set - _NEUTRAL if hasattr(model, name)}
    settings = [which, _plain(given)]
    digest = content_id("model", f"{kind.__module__}:{kind.__qualname__}", settings)[-8:]
    return f"{kind.__name__}{'/' if which else ''}{which}#{digest}"


def _chat_model_class(found: object, path: str) -> type[BaseChatModel]:
    if not (inspect.isclass(found) and issubclass(found, BaseChatModel)):
        raise PluginError(f"{path} is not a LangChain chat model: it must be a class derived from BaseChatModel")
    if inspect.isabstract(found):
        raise PluginError(f"{path} is an abstract class: name one of its subclasses")
    return found


def _takes(model: BaseChatModel, name: str) -> bool:
    """Whether an argument had an effect; LangChain's models drop unknown ones without a word."""
    fields = type(model).model_fields
    known = {*fields, *(each.alias for each in fields.values()), *inspect.signature(type(model).__init__).parameters}
    kept = {**(getattr(model, "model_kwargs", None) or {}), **(model.model_extra or {})}
    return name in known or name in kept


def _plain(value: Any) -> Any:
    """Return settings as JSON values without secrets; numbers under a secret's name (`max_tokens`) are none."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return re.sub(r"//[^/@\s]+@", "//", re.sub(r"\?.*", "", value)) if "://" in value else value
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items() if not is_secret(str(key), each)}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, BaseMessage):
        return [type(value).__name__, said(value).text]
    return type(value).__qualname__


def _messages(prompt: Prompt) -> list[BaseMessage]:
    system = asked_for_json(prompt)
    return [*([SystemMessage(system)] if system else []), HumanMessage(prompt.user)]


def _cost(message: BaseMessage) -> float | None:
    """Return what the call cost, in the provider's currency, where it says so."""
    usage = message.response_metadata.get("token_usage")
    cost = usage.get("cost") if isinstance(usage, Mapping) else None
    return float(cost) if isinstance(cost, int | float) and not isinstance(cost, bool) and isfinite(cost) else None
