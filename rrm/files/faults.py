"""What is wrong with values that were read, in one sentence."""

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

SHOULD = "Input should be "
"""With this the sentences begin that say what a value must be."""

UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")
"""The types of fault of a key that no field has: a dataclass's and a model's."""


def dotted(place: Sequence[str | int]) -> str:
    """Return where a value stands, such as `levels[0].n_test`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")


def fault_in(error: ValidationError) -> ErrorDetails:
    """Return the first fault; a key that is unknown, and so misspelt, comes before the one that is then missing."""
    return min(error.errors(include_url=False), key=lambda fault: fault["type"] not in UNKNOWN)


def sentence(fault: ErrorDetails) -> str:
    """Say where a fault is and what it is, such as `levels[0].n_test must be a valid integer, got '9'`.

    A value that was checked alone is called "it".
    """
    where, message = dotted(fault["loc"]) or "it", fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "missing":
        return f"{where} is missing"
    if fault["type"] in UNKNOWN:
        return f"{where} is unknown"
    if message.startswith(SHOULD):
        return f"{where} must be {message.removeprefix(SHOULD)}, got {fault['input']!r:.80}"
    return f"{where}: {message}"
