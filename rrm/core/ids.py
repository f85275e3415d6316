"""Ids and seeds that are derived from content, so equal inputs have equal names everywhere."""

import json
from dataclasses import fields, is_dataclass
from functools import cache
from hashlib import blake2b
from json.encoder import (  # type: ignore[attr-defined]  # the first is there, but in no stub
    c_make_encoder,
    encode_basestring_ascii,
)
from typing import Any

import numpy as np


def content_id(kind: str, *parts: Any) -> str:
    """Name a value by what it is: `kind-` and 20 hexadecimal digits (80 bits) of BLAKE2b.

    Parts are JSON values or dataclasses of them. Raises TypeError for anything else, because
    a value without a stable text has no stable name.
    """
    text = _encode(parts)
    digest = blake2b(text.encode(), digest_size=10, person=kind.encode()[:16]).hexdigest()
    return f"{kind}-{digest}"


def seed_for(*parts: Any) -> int:
    """Derive an independent 63-bit seed from any JSON values, such as (run seed, node id)."""
    return int(content_id("seed", *parts)[5:], 16) & (2**63 - 1)


def generator(*parts: Any) -> np.random.Generator:
    """Make the random generator that belongs to these values (see `seed_for`)."""
    return np.random.default_rng(seed_for(*parts))


@cache
def _names(kind: type) -> tuple[str, ...] | None:
    """Return the names of a dataclass's fields, None for any other type."""
    return tuple(each.name for each in fields(kind)) if is_dataclass(kind) else None


def _plain(value: Any) -> Any:
    kind: type = type(value)
    if (names := _names(kind)) is not None:
        return {"__kind__": kind.__name__, **{name: getattr(value, name) for name in names}}
    raise TypeError(f"no stable text for a {kind.__name__}")


_ENCODER = json.JSONEncoder(
    ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=_plain, check_circular=False
)


def _encode(parts: Any) -> str:
    """Return the JSON of parts as `_ENCODER` writes it, by the encoder in C that it would make anew for every id."""
    return "".join(_PIECES(parts, 0)) if _PIECES is not None else _ENCODER.encode(parts)


_PIECES = c_make_encoder and c_make_encoder(
    None,
    _ENCODER.default,
    encode_basestring_ascii,
    None,
    _ENCODER.key_separator,
    _ENCODER.item_separator,
    _ENCODER.sort_keys,
    _ENCODER.skipkeys,
    _ENCODER.allow_nan,
)
