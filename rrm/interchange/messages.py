"""Chat messages as people publish them: recognised, cleaned for a template, and told in words where there is none.

    {"role": "assistant", "content": "It rains."}                                        words
    {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "weather", "arguments": "{}"}}]}
    {"role": "user", "content": [{"type": "text", "text": "Is it wet?"}]}                 a list of parts
    {"from": "human", "value": "Is it wet?"}                                              ShareGPT's names

What is null is absent, no content is no words, parts of text are joined by line breaks; all else of a
message is kept for the template.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rrm.core.errors import InputError
from rrm.core.kinds.parts import brief

Message = dict[str, Any]
"""One turn: `role`, `content` (a text) and whatever else a template may show, such as `tool_calls`."""

Render = Callable[[list[Message]], str]
"""Chat messages to one text by a chat template, which asks for a reply unless the last message is one."""

CALLS = ("tool_calls", "function_call")
"""Where a message has its calls of tools."""

_SHARE_GPT = ("from", "value")
_ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "chatgpt": "assistant", "model": "assistant"}
_ROLES |= {role: role for role in ("user", "assistant", "system", "tool")}  # in capitals, too
_PLAIN_ROLES = ("user", "assistant", "system")
_WORDS_OF_PART = ("text", "refusal")


def present_in(told: Sequence[Any]) -> list[Any]:
    """Return what a list holds without its nulls, with which tables pad lists to one length."""
    return [each for each in told if each is not None]


def messages_of(value: Any, column: str) -> list[Message] | None:
    """Return the messages that a value is (one object is one message), None if it is no chat.

    Raises InputError naming column and message for a role or a part that cannot be read.
    """
    if type(value) is list and all(map(_is_plain, value)) and value:
        return value  # as most are: nothing to clean
    if not isinstance(value, list):
        if not isinstance(value, Mapping):
            return None
        value = [value]
    named = False
    for each in present_in(value):
        if type(each) is not dict and not isinstance(each, Mapping):  # the second takes five times as long
            return None
        named = named or "role" in each or "from" in each
    if not named:
        return None
    return [_message(each, column, place) for place, each in enumerate(value) if each is not None]


def words(message: Message) -> str:
    """Return what a message says, its calls of tools below its words: `weather({"town": "Oslo"})`."""
    said = str(message["content"])
    called = calls(message)
    return "\n".join([said, *called] if said else called) if called else said


def calls(message: Message) -> list[str]:
    """Return a message's calls of tools, each in words."""
    if len(message) == 2:  # a role and content
        return []
    told = message.get("tool_calls") or message.get("function_call")
    return [_call(each) for each in (told if isinstance(told, list) else [told])] if told else []


def plain(messages: Sequence[Message]) -> str:
    """Return messages as one text without a template: a single one is its words, several say who spoke."""
    if len(messages) == 1:
        return words(messages[0])
    return "\n\n".join(f"{each['role']}: {words(each)}" for each in messages)


def same(one: Message, other: Message) -> bool:
    """Whether two messages say the same, white space aside."""
    return one == other or (one["role"] == other["role"] and words(one).split() == words(other).split())


def shared(chats: Sequence[Sequence[Message]]) -> int:
    """Return with how many equal messages all chats begin."""
    count = 0
    for turns in zip(*chats, strict=False):
        if not all(same(turns[0], each) for each in turns[1:]):
            break
        count += 1
    return count


def _is_plain(told: Any) -> bool:
    """Whether a message has a usual role, words, and nothing else."""
    return (
        type(told) is dict and len(told) == 2 and type(told.get("content")) is str and told.get("role") in _PLAIN_ROLES
    )


def _message(told: Mapping[str, Any], column: str, place: int) -> Message:
    role = told.get("role", told.get("from"))
    if not isinstance(role, str) or not role.strip():
        raise InputError(f"column '{column}[{place}]': a message's role must be a name, got {brief(role)}")
    content = told.get("content", told.get("value"))
    if not isinstance(content, str):
        content = _content(content, f"{column}[{place}]")
    message = {key: value for key, value in told.items() if value is not None and key not in _SHARE_GPT}
    if isinstance(told_calls := message.get("tool_calls"), str):
        message["tool_calls"] = _calls_in(told_calls)
    message["role"], message["content"] = _ROLES.get(role.strip().lower(), role), content
    return message


def _calls_in(told: str) -> Any:
    """Return the calls of tools that a table keeps as a text in JSON; the text where it is none."""
    try:
        found = json.loads(told)
    except (ValueError, RecursionError):
        return told
    return found if isinstance(found, list | dict) else told


def _content(told: Any, column: str) -> str:
    if told is None:
        return ""
    if not isinstance(told, list):
        raise InputError(f"column {column!r}: a message's content must be a text, got {brief(told)}")
    return "\n".join(_part(each, column) for each in present_in(told))


def _part(told: Any, column: str) -> str:
    if isinstance(told, str):
        return told
    if isinstance(told, Mapping):
        for name in _WORDS_OF_PART:
            if isinstance(told.get(name), str):
                return str(told[name])
    kind = told.get("type") if isinstance(told, Mapping) else told
    raise InputError(f"column {column!r}: only parts of text can be read, got {brief(kind)}")


def _call(told: Any) -> str:
    function = told.get("function", told) if isinstance(told, Mapping) else told
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        return json.dumps(told, ensure_ascii=False, default=str)
    arguments = function.get("arguments", "")
    said = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, default=str)
    return f"{function['name']}({said})"
