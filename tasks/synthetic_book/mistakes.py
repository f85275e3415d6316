"""Mistakes that a hasty reader of a book makes: confusable names, exchanged roles, other places, things and causes.

Each is a single one, and all are equally likely (a rewriting, as `rrm.policy.careless.Careless` takes it).

    >>> told = "Anna robbed Maron of the brass key."
    >>> wrong = mistake(told, told + " Marin thanked Wanda in a few words.")
    >>> len(wrong), wrong[0], wrong[4]
    (6, 'Anna robbed Marin of the brass key.', 'Maron robbed Anna of the brass key.')
"""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import NamedTuple

from rrm.core.text import sentence_texts
from tasks.synthetic_book.frames import BECAUSE_AFTER
from tasks.synthetic_book.grammar import finish, grammar
from tasks.synthetic_book.names import PLACE_KINDS
from tasks.synthetic_book.reading import Anatomy, anatomy, filled

NEAREST = 3
"""A name is taken for one of so many that are spelled most like it; a cause for one of so many."""


def mistake(sentence: str, read: str) -> Sequence[str]:
    """Return the sentence with each mistake that can be made in it, by what else is named in the text read.

    A name is taken for another of its sort (people, places, things) that is spelled much like it; two people change
    roles; a cause is taken for another event, or one is made up. No mistake leaves an event as it was told; in
    sentences that tell none only names are mistaken, which is neither true nor false.
    """
    found = anatomy(sentence)
    if found is None:
        return ()
    known = _named_in(read)
    made = [*_other_names(sentence, found, known)]
    if found.event is None:
        return sorted(set(made) - {sentence})
    if found.event.denied:  # what was taken back is told as if it were so
        made.append(finish(found.clause))
    made += [*_other_roles(sentence), *_other_causes(sentence, found.because, found.clause, known)]
    told = [each for each in dict.fromkeys(made) if (other := anatomy(each)) and other.event not in (None, found.event)]
    return sorted(told)


class _Known(NamedTuple):
    """What a text names, by sort, and the clauses that tell its events."""

    names: dict[str, tuple[str, ...]]
    clauses: tuple[str, ...]


@lru_cache(maxsize=1024)
def _named_in(read: str) -> _Known:
    names: dict[str, dict[str, None]] = {"person": {}, "place": {}, "thing": {}}
    clauses: dict[str, None] = {}
    for sentence in sentence_texts(read):
        found = anatomy(sentence)
        if found is None:
            continue
        for name in _names(sentence, found):
            names[_sort(name)][name] = None
        if found.event is not None and not found.head:
            clauses[found.clause] = None
    return _Known({sort: tuple(each) for sort, each in names.items()}, tuple(clauses))


def _names(sentence: str, found: Anatomy) -> list[str]:
    """Return who and what a sentence names; its first word may have a capital for another reason."""
    if found.event is None:
        return [name for half in found.filler for name in half.names]
    return [name for _, name in grammar().skeleton(sentence)[1]]


def _sort(name: str) -> str:
    if name.startswith("the "):
        return "thing"
    return "place" if name.split()[-1] in PLACE_KINDS else "person"


def _other_names(sentence: str, found: Anatomy, known: _Known) -> Iterator[str]:
    skeleton, named = grammar().skeleton(sentence)
    names, mentioned = [name for _, name in named], _names(sentence, found)
    for at, name in enumerate(names):
        if name in mentioned and name in known.names[_sort(name)]:
            others = tuple(each for each in known.names[_sort(name)] if each not in names)
            for other in _nearest(name, others):
                yield finish(filled(skeleton, [*names[:at], other, *names[at + 1 :]]))


def _other_roles(sentence: str) -> Iterator[str]:
    skeleton, named = grammar().skeleton(sentence)
    people = list(dict.fromkeys(name for _, name in named if _sort(name) == "person"))
    if len(people) >= 2:
        turned = {people[0]: people[1], people[1]: people[0]}
        yield finish(filled(skeleton, [turned.get(name, name) for _, name in named]))


def _other_causes(sentence: str, because: str, clause: str, known: _Known) -> Iterator[str]:
    others = [each for each in known.clauses if each not in (because, clause)][-NEAREST:]
    for other in others:
        if not because:
            yield f"{sentence.rstrip('.')}{BECAUSE_AFTER[0]}{other}."
        elif because in sentence:
            yield sentence.replace(because, other)


@lru_cache(maxsize=50_000)
def _nearest(name: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(names, key=lambda each: (-SequenceMatcher(None, name, each).ratio(), each))[:NEAREST])
