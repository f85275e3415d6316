"""What a LangChain message says, in the words of its provider: text, refusal, and why it stopped.

Content is a text or a list of blocks: those of langchain-core's standard and those that providers' packages pass on.
Only texts are the answer; `SILENT` names those that are left out without a word.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage

TEXT = frozenset(("text", "output_text", "text_delta"))
SILENT = frozenset(
    (
        *("thinking", "redacted_thinking", "reasoning", "reasoning_content", "thought", "summary_text"),
        *("tool_use", "tool_call", "tool_call_chunk", "invalid_tool_call", "function_call", "citation"),
        *("server_tool_call", "server_tool_call_chunk", "server_tool_result", "server_tool_use", "tool_result"),
        *("executable_code", "code_execution_result", "guard_content", "cache_point", "cachepoint"),
    )
)
"""Blocks of thoughts and tools, which are left out without a word: their providers tell them apart from answers."""

_UNTYPED = ("text", "refusal", "value")  # blocks without a type, as Bedrock's, are known by their key
_REASONS = ("finish_reason", "finishReason", "stop_reason", "stopReason", "done_reason", "termination_reason")
_PARTS = ("choices", "candidates", "generations", "outputs", "results", "details", "generation_info")
_FILTERS = ("block_reason", "blockReason")
_DEPTH = 4


class Said(NamedTuple):
    """A message's text, its refusal, its stop reason ("" where there is none), and what it held beside texts."""

    text: str
    refusal: str
    stop: str
    noticed: tuple[str, ...]


def said(message: BaseMessage) -> Said:
    """Return what a message says; never raises, whatever its blocks and metadata hold."""
    texts: list[str] = []
    refusals = [_word(holder.get("refusal")) for holder in (message.additional_kwargs, message.response_metadata)]
    others: dict[str, None] = {}
    for kind, text in _blocks(message.content):
        if kind == "text":
            texts.append(text)
        elif kind == "refusal":
            refusals.append(text or "it gives no reason")
        elif kind not in SILENT:
            others[kind] = None
    refusal = next((each for each in refusals if each), "")
    return Said(
        _valid("".join(texts)), _valid(refusal), _valid(_stop(message)), tuple(f"block {kind}" for kind in others)
    )


def _blocks(content: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield each block's kind, with its text where it is a text or a refusal."""
    if isinstance(content, str):
        yield "text", content
    elif isinstance(content, Sequence) and depth < _DEPTH:
        for block in content:
            yield from _blocks(block, depth + 1)
    elif isinstance(content, Mapping):
        yield from _block(content, depth)


def _block(block: Mapping[str, Any], depth: int) -> Iterator[tuple[str, str]]:
    kind = block.get("type") or next((key for key in _UNTYPED if key in block), "unknown")
    kind = kind if isinstance(kind, str) else "unknown"
    if block.get("thought") is True:  # Google's thoughts are texts with a flag
        yield "thought", ""
    elif kind in TEXT:
        yield from _blocks(block.get("text") or "", _DEPTH)
    elif kind == "refusal":
        yield "refusal", _word(block.get("refusal")) or _word(block.get("text"))
    elif kind in ("non_standard", "value", "message") and depth < _DEPTH:
        yield from _blocks(block.get("value") or block.get("content") or "", depth + 1)
    else:
        yield re.sub(r"[^\w-]", "", kind)[:40] or "unknown", ""


def _stop(message: BaseMessage) -> str:
    """Return why a reply stopped, as its provider says it; who calls a tool that nobody gave has not answered."""
    known = message.response_metadata
    details = known.get("incomplete_details")
    feedback = known.get("prompt_feedback") or known.get("promptFeedback")
    if isinstance(feedback, Mapping) and any(_blocks_prompt(feedback.get(key)) for key in _FILTERS):
        return "content_filter"
    if isinstance(message, AIMessage) and (message.tool_calls or message.invalid_tool_calls):
        return "tool_calls"
    found = [
        *([details.get("reason")] if isinstance(details, Mapping) else []),
        *(known.get(key) for key in _REASONS),
        *(message.additional_kwargs.get(key) for key in _REASONS),
        *(within.get(key) for within in _within(known) for key in _REASONS),
        *(["length"] if known.get("stopped_limit") is True else []),
        *(known.get(key) for key in ("stop_type", "completion_reason", "status")),
    ]
    return next((word for each in found if (word := _word(each))), "")


def _within(known: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the parts of a raw reply that tell of its one answer."""
    for key in _PARTS:
        part = known.get(key)
        first = part[0] if isinstance(part, list) and part else part
        if isinstance(first, Mapping):
            yield first


def _blocks_prompt(reason: Any) -> bool:
    return (word := _word(reason)) not in ("", "0") and "unspecified" not in word.lower()


def _word(value: Any) -> str:
    """Return a word of metadata: a text, an enum's name, or what an object says under `type` (as SGLang's does).

    A number is an enum's, of which nobody here knows the meaning: it is noticed. A list's word is its first's.
    """
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return _word(value.get("type"))
    if isinstance(value, list):
        return _word(value[0]) if value else ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) else ""


def _valid(text: str) -> str:
    return re.sub("[\ud800-\udfff]", "\ufffd", text).replace("\0", "")
