"""A call of an assistant as it stands on record: who asked what, what came back, and what it took."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from rrm.core.ids import content_id

ANSWER, TRUNCATED, CANCELLED = "answer", "truncated", "cancelled"
"""Endings of calls."""


class CallCount(NamedTuple):
    """How many calls of a part ended in a way, with the same things noticed; those that the cache answered are none."""

    asker: str
    ending: str
    noticed: str
    calls: int


@dataclass(frozen=True)
class Call:
    """One asking of an assistant: an attempt at a model call, or a reply that the cache had.

    `asker` is the part of the run that asked, by its table in the run file (decomposer, policy, rater), and
    `about` the id of the node or request that it asked for, "" where it named none. `system` holds the schema
    of the answer, where the prompt has one, as it is put to models. `reply` is what the model said, as it
    said it, None where nothing came; `reason` is what the reply gives as its reason, where it was asked for
    one. `error` says why the reply counts for nothing. `ending` is what the call came to: `ANSWER`, `TRUNCATED`
    (an answer that was cut off), one of `rrm.core.replies.LACKS` (a reply without an answer), "malformed" (an answer
    that is not what was asked for), `CANCELLED`, or a kind of fault, such as "rate limit". `noticed` is what was left
    out or not known of a reply, parted by commas.

    `at` is when it was sent, in seconds since 1970, `seconds` how long it took, without the wait for its turn.
    Tokens are the model's own count, None where it has none; `cost` is in the provider's currency, None
    where it is not told. A `cached` reply took no time, tokens or money.
    """

    asker: str
    about: str
    assistant: str
    system: str
    user: str
    sample: int
    attempt: int
    at: float
    seconds: float
    reply: str | None = None
    reason: str | None = None
    error: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    cached: bool = False
    ending: str = ""
    noticed: str = ""

    @cached_property
    def id(self) -> str:
        asked = (self.system, self.user, self.sample, self.attempt)
        return content_id("call", self.asker, self.about, self.assistant, *asked, self.at, self.cached)
