"""Ids and seeds that are derived from content, so equal inputs have equal names everywhere."""

import json
from dataclasses import fields, is_dataclass
from functools import cache
from hashlib import blake2b
from typing import Any

import numpy as np
import orjson

from rrm.core.json_text import writer

_AS_PYTHON = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def content_id(kind: str, *parts: Any) -> str:
    """Name a value by what it is: `kind-` and 20 hexadecimal digits (80 bits) of BLAKE2b.

    Parts are JSON values or dataclasses of them. Raises TypeError for anything else, because
    a value without a stable text has no stable name.
    """
    return _named(kind, _encode(parts).encode())


def exact_id(kind: str, *parts: Any) -> str:
    """Return `content_id` of parts in which no number is a float, several times as fast.

    orjson writes floats otherwise than Python does, and without a word; all else it writes alike, but for characters
    that are no printable ASCII, and for what it refuses.
    """
    try:
        text = orjson.dumps(parts, _plain, _AS_PYTHON)
    except orjson.JSONEncodeError:
        return content_id(kind, *parts)
    return _named(kind, text) if text.isascii() and b"\x7f" not in text else content_id(kind, *parts)


def seed_for(*parts: Any) -> int:
    """Derive an independent 63-bit seed from any JSON values, such as (run seed, node id)."""
    return int(content_id("seed", *parts)[5:], 16) & (2**63 - 1)


def generator(*parts: Any) -> np.random.Generator:
    """Make the random generator that belongs to these values (see `seed_for`)."""
    return np.random.default_rng(seed_for(*parts))


def _named(kind: str, text: bytes) -> str:
    return f"{kind}-{blake2b(text, digest_size=10, person=kind.encode()[:16]).hexdigest()}"


@cache
def _names(kind: type) -> tuple[str, ...] | None:
    """Return the names of a dataclass's fields, None for any other type."""
    return tuple(each.name for each in fields(kind)) if is_dataclass(kind) else None


def _plain(value: Any) -> Any:
    kind: type = type(value)
    if (names := _names(kind)) is not None:
        return {"__kind__": kind.__name__, **{name: getattr(value, name) for name in names}}
    raise TypeError(f"no stable text for a {kind.__name__}")


_encode = writer(
    json.JSONEncoder(ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=_plain, check_circular=False)
)
