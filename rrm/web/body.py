"""Request bodies, read strictly: what is not plain JSON of a bearable size is refused with a sentence."""

import json
import math
import re
from typing import Any, NoReturn

from rrm.web.station import WebSettings

DEEPEST = 32
"""How many lists and objects may stand within one another."""

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKETS = re.compile(rb"[^\[\]{}]+")
_LARGEST_INTEGER = 2**53  # beyond it JavaScript and Python would read different numbers


class Refused(Exception):
    """A request that goes no further: the answer's status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


def check_body(body: bytes, settings: WebSettings) -> None:
    """Raise Refused unless this is one JSON object in UTF-8 whose parts are within the limits.

    Status 400 is for what is not strict JSON (a key twice, NaN, a number that no float holds, half of a
    surrogate pair, NUL, too many levels), 422 for texts and lists that are too long.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(400, "the request is not UTF-8") from None
    if _too_deep(body):
        raise Refused(400, f"the request has more than {DEEPEST} levels of lists and objects")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_integer,
        )
    except (ValueError, RecursionError):
        raise Refused(400, "the request is not JSON") from None
    if not isinstance(value, dict):
        raise Refused(422, "the request is not a JSON object")
    _check(value, settings)


def _too_deep(body: bytes) -> bool:
    """Return whether too many brackets stand within one another; parsers fail at 10,000 levels, each in its own way."""
    level = 0
    for bracket in _NOT_BRACKETS.sub(b"", _STRINGS.sub(b"", body)):
        level += 1 if bracket in b"[{" else -1
        if level > DEEPEST:
            return True
    return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Refused(400, "the request gives a key twice")
    return found


def _constant(name: str) -> NoReturn:
    raise Refused(400, f"the request holds {name}, which is no number")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise Refused(400, "the request holds a number that is too large")
    return value


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(value := int(digits)) > _LARGEST_INTEGER:
        raise Refused(400, "the request holds a number that is too large")
    return value


def _check(value: Any, settings: WebSettings) -> None:
    if isinstance(value, str):
        check_text(value, settings.text_letters)
    elif isinstance(value, list | dict):
        if len(value) > settings.list_items:
            raise Refused(422, f"a list has at most {settings.list_items} entries, this one has {len(value)}")
        for each in value:
            _check(each, settings)
        if isinstance(value, dict):
            for each in value.values():
                _check(each, settings)


def check_text(text: str, most: int) -> None:
    """Raise Refused for a text with NUL or half of a surrogate pair, or of more than `most` characters."""
    if "\0" in text:
        raise Refused(400, "the request holds a NUL character")
    if not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text):
        raise Refused(400, "the request holds half of a surrogate pair")
    if len(text) > most:
        raise Refused(422, f"a text has at most {most} characters, this one has {len(text)}")
