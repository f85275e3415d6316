"""Mistakes of a hasty reader: a name, a place or a cause in a sentence, taken for another that was read."""

import re
from collections.abc import Sequence
from functools import lru_cache

from rrm.core.text import words

_NAME = re.compile(r"(?<=[\w,;’'] )[A-Z][a-z]+(?:[-’'][A-Z]?[a-z]+)?")
_PLACE = re.compile(r"\b(?:in|at|near|behind|beside|by|outside|inside|under) the [a-z]+(?: [a-z]+)?(?=[,.;]|$)")
_CAUSE = re.compile(r"\b(?:because|since|so that|after) [^.;]+")


def exchanged(sentence: str, read: str) -> Sequence[str]:
    """Return the sentence with each single name, place or cause replaced by another of its sort in the text read."""
    made: list[str] = []
    for pattern, phrases in _sorts(read).items():
        known = set(phrases)
        for match in pattern.finditer(sentence):
            if match.group() in known:
                others = [phrase for phrase in phrases if phrase != match.group()]
                made.extend(sentence[: match.start()] + other + sentence[match.end() :] for other in others[:50])
    return sorted(set(made))


@lru_cache(maxsize=512)
def _sorts(read: str) -> dict[re.Pattern[str], list[str]]:
    return {pattern: _phrases(pattern, read) for pattern in (_NAME, _PLACE, _CAUSE)}


def _phrases(pattern: re.Pattern[str], text: str) -> list[str]:
    """Return the different phrases of a sort, in the order of reading; a name never occurs in small letters."""
    small = {word for word in words(text) if word.islower()} if pattern is _NAME else set()
    return [phrase for phrase in dict.fromkeys(pattern.findall(text)) if phrase.lower() not in small]
