"""Values as JSON by an encoder that is made once."""

import json
from collections.abc import Callable
from json.encoder import (  # type: ignore[attr-defined]  # the first is there, but in no stub
    c_make_encoder,
    encode_basestring,
    encode_basestring_ascii,
)
from typing import Any


def writer(encoder: json.JSONEncoder) -> Callable[[Any], str]:
    """Return what writes values as an encoder does, by the part in C that it would make anew for every value.

    That part does not look for values that hold themselves.
    """
    if c_make_encoder is None:
        return encoder.encode
    pieces = c_make_encoder(
        None,
        encoder.default,
        encode_basestring_ascii if encoder.ensure_ascii else encode_basestring,
        None,
        encoder.key_separator,
        encoder.item_separator,
        encoder.sort_keys,
        encoder.skipkeys,
        encoder.allow_nan,
    )
    return lambda value: "".join(pieces(value, 0))
