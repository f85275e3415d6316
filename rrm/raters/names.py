"""Names and numbers in a text, told by their letters alone."""

import re
from collections.abc import Collection, Iterable

from rrm.core.text import sentence_texts

NAME = re.compile(r"[A-Z][\w'’-]*(?: [A-Z][\w'’-]*)*|\d[\d.,:]*\d|\d")


def names_in(sentence: str, known: Collection[str]) -> tuple[str, ...]:
    """Return a sentence's names and numbers, each once; its first word is a name only where it is `known` for one."""
    found: dict[str, None] = {}
    for match in NAME.finditer(sentence):
        name = match[0]
        if not _within(sentence, match.start()) and name not in known and not name[0].isdigit():
            name = name.partition(" ")[2]
        if name:
            found[name] = None
    return tuple(found)


def names_within(texts: Iterable[str]) -> frozenset[str]:
    """Return what is written with a capital within sentences: names, also where a sentence begins with one."""
    sentences = [each for text in texts for each in sentence_texts(text)]
    return frozenset(m[0] for each in sentences for m in NAME.finditer(each) if _within(each, m.start()))


def _within(sentence: str, start: int) -> bool:
    """Whether a place is not the beginning of a sentence, nor of what is said in one."""
    return any(letter.isalnum() for letter in sentence[:start]) and sentence[start - 1] not in '“"‘«„'
