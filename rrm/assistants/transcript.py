"""What is written down of a model call: the prompt as it was put, the reply as it came, and why it failed."""

import json
import re

from rrm.assistants.answers import MAX_CHARS, asked_for_json
from rrm.assistants.faults import diagnose
from rrm.assistants.secrets import without_secrets
from rrm.core.calls import ANSWER, CANCELLED, TRUNCATED, Call
from rrm.core.protocols import Prompt, Reply

_ERROR_CHARS = 1000
_HALVES = re.compile("[\ud800-\udfff\0]")


def transcript(
    asker: str,
    assistant: str,
    prompt: Prompt,
    at: float,
    seconds: float = 0.0,
    reply: Reply | None = None,
    answer: Reply | None = None,
    error: BaseException | None = None,
) -> Call:
    """Return the call as it is recorded; `answer` is the reply once it was checked.

    Replies are cut at `MAX_CHARS` characters; characters that no database holds are replaced by U+FFFD.
    """
    took = reply if reply is not None and not reply.cached else None
    return Call(
        asker=asker,
        about=prompt.about,
        assistant=_whole(assistant),
        system=_whole(asked_for_json(prompt)),
        user=_whole(prompt.user),
        sample=prompt.sample,
        attempt=prompt.attempt,
        at=at,
        seconds=seconds,
        reply=None if reply is None else _whole(reply.text[:MAX_CHARS]),
        reason=None if answer is None else _reason(answer.text, prompt),
        error=None if error is None else _words(error),
        ending=_ending(answer, error),
        noticed="" if answer is None else _whole(", ".join(answer.noticed)),
        input_tokens=took.input_tokens if took else None,
        output_tokens=took.output_tokens if took else None,
        cost=took.cost if took else None,
        cached=reply is not None and reply.cached,
    )


def _ending(answer: Reply | None, error: BaseException | None) -> str:
    """Return in a word or two what a call came to; see `rrm.core.calls.Call`."""
    if answer is not None:
        return TRUNCATED if answer.truncated else ANSWER
    return diagnose(error).kind if isinstance(error, Exception) else CANCELLED


def _reason(answer: str, prompt: Prompt) -> str | None:
    """Return the reason in an answer whose schema has room for one."""
    if prompt.schema is None or "reason" not in prompt.schema.get("properties", {}):
        return None
    reason = json.loads(answer).get("reason")
    return _whole(reason) if isinstance(reason, str) else None


def _words(error: BaseException) -> str:
    said = " ".join(str(error).split())
    words = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return _whole(without_secrets(words)[:_ERROR_CHARS])


def _whole(text: str) -> str:
    return _HALVES.sub("\ufffd", text)
