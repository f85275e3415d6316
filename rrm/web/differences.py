"""What was changed in a text, word by word."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

_LONGEST_COMPARED = 4_000
"""Words of a correction that are compared one by one; a longer change is kept as one piece."""

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")


def differences(old: str, new: str) -> list[dict[str, Any]]:
    """Return what was changed, word by word: difflib's opcodes but "equal", on characters, with the texts."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    head = _shared(before, after)
    tail = _shared(before[head:][::-1], after[head:][::-1])
    middle = before[head : len(before) - tail], after[head : len(after) - tail]
    start = len("".join(before[:head]))
    if max(map(len, middle)) > _LONGEST_COMPARED:
        return [_change("replace", "".join(middle[0]), "".join(middle[1]), start, start)]
    from_starts, to_starts = _starts(middle[0], start), _starts(middle[1], start)
    return [
        _change(tag, "".join(middle[0][i:j]), "".join(middle[1][k:m]), from_starts[i], to_starts[k])
        for tag, i, j, k, m in SequenceMatcher(None, *middle).get_opcodes()
        if tag != "equal"
    ]


def _shared(left: Sequence[str], right: Sequence[str]) -> int:
    """Return how many words two texts share at their beginning."""
    return next(
        (place for place, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right))
    )


def _starts(words: Sequence[str], start: int) -> list[int]:
    found = [start]
    for word in words:
        found.append(found[-1] + len(word))
    return found


def _change(tag: str, old: str, new: str, at_old: int, at_new: int) -> dict[str, Any]:
    return {"tag": tag, "from": [at_old, at_old + len(old)], "to": [at_new, at_new + len(new)], "old": old, "new": new}
