"""What a model's reply comes to: an answer, an answer that was cut off, or none, which is a failed call.

Whoever asks an assistant gets replies that `read` has read. `STOPS` says what the words mean in which providers and
local servers say why a reply ended: OpenAI (chat and responses), Azure, Anthropic, Google, Mistral, Cohere, Bedrock,
DeepSeek, xAI, Groq, OpenRouter, Zhipu, watsonx, Ollama, vLLM, SGLang, llama.cpp, text-generation-inference,
`transformers serve`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, get_args

from rrm.core.errors import NoAnswerError
from rrm.core.protocols import Reply
from rrm.core.reply_signs import signs_in
from rrm.core.thoughts import (
    Heard,
    ends_whole,
    goes_on,
    is_blank,
    speaks_of_marks,
    structured_without_thoughts,
    unwrapped,
    without_thoughts,
)

Stop = Literal["ended", "cut off", "refused", "filtered", "tool call", "broken"]
"""Why a reply ended: by itself, at a limit, in the model's refusal, by a filter, with a call of a tool, by a fault."""

Lack = Literal["cut off", "refused", "filtered", "tool call", "broken", "empty"]
"""Why a reply holds no answer; "empty": it ended by itself, without a text."""

LACKS: frozenset[str] = frozenset(get_args(Lack))

THOUGHTS = "thoughts"
"""Among what was noticed of a reply: its text held thoughts, which were left out."""
MORE_TURNS = "words behind the end of a turn"
"""Among what was noticed of a reply: a mark ended its turn, such as `<|im_end|>`, and what followed was left out."""
MARKS_AS_WORDS = "marks of thoughts as words"
"""Among what was noticed of a reply: a mark such as `</think>` stands within a sentence of its answer, as a word."""
WRAPPED = "marks around the answer"
"""Among what was noticed of a reply: its answer stood whole between marks, in a fence or below a role, left out."""
UNKNOWN_STOP = "stop reason "
"""Begins what was noticed of a reply that ended for a reason which `STOPS` does not know: taken for an answer."""

_WORDS: Mapping[Stop, str] = {
    "ended": (
        "stop, end_turn, stop_sequence, stop_token, eos, eos_token, eot, endoftext, end_of_text, complete, completed,"
        " finish, finished, final, normal, end, done, word, success, eos_found, stop_string, stop_string_found,"
        " eos_reached, stopped, stopped_eos, stopped_word, eod, eot_id"
    ),
    "cut off": (
        "length, max_tokens, max_output_tokens, max_completion_tokens, max_new_tokens, max_length, max_output,"
        " max_tokens_reached, model_length, model_context_window_exceeded, context_length_exceeded, context_length,"
        " context_window_exceeded, token_limit, length_limit, limit, error_limit, time_limit, timeout, pause_turn,"
        " incomplete, not_finished, partial, truncated, truncated_final, repetition, repetition_detected,"
        " maximum_tokens, max_predicted_tokens_reached, context_length_reached, max_context_length,"
        " token_limit_reached, max_tokens_exceeded, max_model_len, max_turns, stop_limit, stop_type_limit,"
        " stopped_limit, cut_off, length_capped, context_overflow, context_full"
    ),
    "refused": "refusal, refused",
    "filtered": (
        "content_filter, content_filtered, content_policy, content_policy_violation, safety, image_safety, moderation,"
        " prohibited_content, image_prohibited_content, blocklist, blocked, recitation, image_recitation, spii,"
        " language, model_armor, jailbreak, sensitive, flagged, error_toxic, guardrail, guardrails,"
        " guardrail_intervened, blacklist, content_safety, safety_check, policy_violation, inappropriate,"
        " unsafe, toxic, prohibited, censored, safety_stop, responsible_ai_policy_violation"
    ),
    "tool call": (
        "tool_calls, tool_call, tool_use, tool_code, function_call, function_calls, unexpected_tool_call,"
        " too_many_tool_calls"
    ),
    "broken": (
        "error, exception, failed, failure, abort, aborted, cancel, cancelled, canceled, user_cancel, interrupted,"
        " other, image_other, no_image, malformed_function_call, malformed_response, malformed_model_output,"
        " malformed_tool_use, missing_thought_signature, insufficient_system_resource, network_error, server_error,"
        " internal_error, overloaded, load, unload, user_stopped, model_unloaded, in_progress, queued,"
        " rate_limit, quota_exceeded, out_of_memory, oom, connection_error, connection_lost, disconnected,"
        " client_disconnected, server_shutdown, shutdown"
    ),
}
_LONGEST = 60
_UNTOLD = frozenset(("", "none", "null", "unknown", "unspecified", "finishreasonunspecified"))


def _letters(word: str) -> str:
    """Return what the spellings of a stop reason share: `FinishReason.MAX_TOKENS`, `max_tokens`, `maxTokens`."""
    word = re.sub(r"[^a-z0-9]", "", word.rpartition(".")[2].lower())
    return word if word in _UNTOLD else word.removeprefix("finishreason").removeprefix("alternativestatus")


STOPS: Mapping[str, Stop] = {_letters(word): stop for stop, words in _WORDS.items() for word in words.split(", ")}
"""Stop reasons in small letters and digits alone, and what each means."""

_CALL_IN_WORDS = re.compile(
    r"\s*(?:<tool_call>|<\|tool_call(?:s_begin|s_section_begin)?\|>|<｜tool▁calls▁begin｜>|\[TOOL_CALLS\]|<\|python_tag\|>"
    r"|<function=[\w.-]+>|<function_calls?>|<\w+:function_calls>|functools\[)"
)
"""How the templates of open models begin a call of a tool, which a server that reads none leaves in the text."""

_CALL_BEHIND_WORDS = re.compile(
    r"^[ \t]*(?:<tool_call>|<\|tool_call(?:s_begin|s_section_begin)?\|>|<｜tool▁calls▁begin｜>|\[TOOL_CALLS\]"
    r"|<\|python_tag\|>)\s*[\[{][^`]*[\]}]\s*(?:</tool_call>|<\|tool_call\w*\|>|<｜tool▁calls▁end｜>)?\s*\Z"
    r"|^[ \t]*<function=[\w.-]+>[^`]*</function>\s*\Z",
    re.MULTILINE,
)
"""A whole call of a tool at the end of what a model said of it."""

_CALL_KEYS = (frozenset(("name", "parameters")), frozenset(("name", "arguments")))
_ERROR_PAGE = re.compile(
    r"\s*(?:(?:<!doctype html|<html\b)[^<>]*>\s*<|<html>.*</html>\s*\Z|data:\s*\{\s*\"|<\?xml[^>]*>\s*<error>"
    r"|error(?: code)?:?\s*[45]\d\d[\s:-]+\{\s*['\"].*\}\s*\Z)",
    re.IGNORECASE | re.DOTALL,
)
"""A page, a raw stream, a document or a number with an object, which a server or a proxy sent in place of an answer."""
_ERROR_LINE = re.compile(
    r"(?:error(?: code)?:?\s*)?(?:http\S*\s*)?(?:[45]\d\d[\s:-]+)?(?:bad gateway|service (?:temporarily )?unavailable"
    r"|gateway time-?out|internal server error|too many requests|stream timeout)\W*"
    r"|upstream connect error or disconnect/reset before headers.*|upstream request timeout\W*|no healthy upstream\W*"
    r"|error(?: code)?:?\s*(?:http\S*\s*)?(?:[45]\d\d(?:[\s:-]+(?:bad request|unauthorized|payment required|forbidden"
    r"|not found|request timeout|(?:payload|content|request entity) too large|overloaded))?\W*"
    r"|(?:[45]\d\d[\s:-]+)?(?:(?:the |that )?model\b(?: \S+)? is (?:currently |temporarily )?overloaded"
    r"|rate limit (?:exceeded|reached|hit)|cuda (?:error|out of memory)|out of memory\W*\Z).*)",
    re.IGNORECASE,
)
"""The one line that a server or a proxy in front of it sent in the place of an answer, as a whole."""
_LONGEST_ERROR = 500  # characters
_NO_WORDS = frozenset(("null", "undefined", "NaN", '""', "''", "[]", "{}"))
_ROLE = re.compile(r"\A\s*assistant[ \t]*\n+\s*")
_REMEDIES: Mapping[Lack, str] = {
    "cut off": "let it write more (max_tokens, reply_tokens), or think less",
    "refused": "change the text or the model",
    "filtered": "change the text or the model",
    "tool call": "give it no tools",
    "broken": "try again later",
    "empty": "try again, or use another model",
}


def read(reply: Reply, structured: bool = False) -> Reply:
    """Return the reply with its answer alone as text, `truncated` if that was cut off, and what was noticed of it.

    `structured` says that a JSON object was asked for: one that is whole is an answer even where the reply was cut
    off behind it, and one that is not is none. Reading a reply again changes nothing. Raises NoAnswerError.
    """
    stop = _meaning(reply.stop)
    if reply.refusal or stop == "refused":
        raise _none(reply, "refused", f"refused to answer{_quoted(reply.refusal or reply.text)}")
    if stop == "filtered":
        raise _none(reply, "filtered", "was stopped by a filter")
    if stop == "tool call":
        raise _none(reply, "tool call", "called a tool instead of answering")
    if stop == "broken":
        raise _none(reply, "broken", "broke off by a fault of its own")
    cut_off = stop == "cut off"
    heard = (structured_without_thoughts if structured else without_thoughts)(reply.text, cut_off)
    text, thoughts = heard if structured else _bare(heard, cut_off)
    if not structured and _is_error(text):
        raise _none(reply, "broken", f"answered with an error of its server's{_quoted(text)}")
    if is_blank(text) or (not structured and text.strip() in _NO_WORDS):
        if cut_off:
            raise _none(reply, "cut off", "was cut off before it answered")
        alone = "thoughts alone, never closed or nothing behind them" if thoughts else "an empty text"
        raise _none(reply, "empty", f"answered with {alone}")
    if not structured and (_CALL_IN_WORDS.match(text) or _CALL_BEHIND_WORDS.search(text) or _is_call(text)):
        raise _none(reply, "tool call", "called a tool in its text instead of answering")
    if structured and cut_off and not ends_whole(heard.text):
        raise _none(reply, "cut off", "was cut off before its JSON was whole")
    noticed = [
        *([THOUGHTS] if thoughts else []),
        *([MORE_TURNS] if goes_on(reply.text, cut_off) else []),
        *([MARKS_AS_WORDS] if not structured and speaks_of_marks(text) else []),
        *([] if structured else signs_in(text)),
        *([WRAPPED] if text != heard.text else []),
        *([f"{UNKNOWN_STOP}{_shown(reply.stop)}"] if stop is None else []),
    ]
    return replace(
        reply,
        text=text,
        truncated=reply.truncated or (cut_off and not structured),
        noticed=tuple(dict.fromkeys((*reply.noticed, *noticed))),
    )


def _bare(heard: Heard, cut_off: bool) -> Heard:
    """Return an answer without marks around the whole of it, nor the role in front, whose marks a tokenizer dropped."""
    while (bare := _ROLE.sub("", unwrapped(heard.text), count=1)) != heard.text:
        within = without_thoughts(bare, cut_off)
        heard = Heard(within.text, heard.thoughts or within.thoughts)
    return heard


def _is_call(text: str) -> bool:
    """Whether a text is one object of the form of a call: a tool's name, and arguments or parameters."""
    return _object(text).keys() - {"type", "id"} in _CALL_KEYS


def _is_error(text: str) -> bool:
    """Whether the whole of a text is the error of a server or of a proxy in front of it, and no prose about one."""
    text = text.strip()
    told = _object(text)
    if next(iter(told), None) in ("error", "detail") or "error" in (told.get("type"), told.get("object")):
        return True
    line = len(text) < _LONGEST_ERROR and _ERROR_LINE.fullmatch(text) is not None
    return line or _ERROR_PAGE.match(text) is not None


def _object(text: str) -> dict[str, Any]:
    """Return the JSON object that a text is as a whole, an empty one where it is none."""
    if not text.startswith("{"):
        return {}
    try:
        return dict(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _meaning(word: str) -> Stop | None:
    """Return what a stop reason means, None for one that is not known; where none is told, a reply ended by itself."""
    bare = _letters(word)
    if bare in _UNTOLD:
        return "ended"
    doubled = re.fullmatch(r"(.+?)\1+", bare[:_LONGEST])  # streamed pieces of a reply that were joined
    return STOPS.get(bare) or (STOPS.get(doubled[1]) if doubled else None)


def _none(reply: Reply, lack: Lack, what: str) -> NoAnswerError:
    told = f" (stop reason {_shown(reply.stop)})" if reply.stop else ""
    return NoAnswerError(f"the model {what}{told}; {_REMEDIES[lack]}", lack)


def _shown(stop: str) -> str:
    return repr(stop[:_LONGEST].replace(",", " "))


def _quoted(text: str) -> str:
    said = " ".join(text.split())
    return f": {said[:200]!r}" if said else ""
