"""Idempotency keys: what one may be, and that it is used for one lease alone."""

from rrm.core.errors import ConflictError, InputError


def checked_key(key: str) -> str:
    """Return an idempotency key; raise InputError for what is none."""
    if not (isinstance(key, str) and 1 <= len(key) <= 200 and key.isprintable()):
        raise InputError(f"a key has 1 to 200 printable characters, got {key!r:.60}")
    return key


def check_same(there: str | None, lease: str) -> None:
    """Raise ConflictError where a key was used for another lease."""
    if there != lease:
        raise ConflictError("this key was used for another item: send each answer with a key of its own")
