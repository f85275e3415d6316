"""Other ways to write a sentence of a book: the clause kept and what frames it moved, or the event in other words.

Both are rewritings as `rrm.policy.careless.Careless` takes them: all ways that a sentence is given are equally
likely, and each is read as the event that the sentence tells. A sentence that the grammar does not know has none. What
tells no event (weather, meals) is retold in any way of its form, whether it comes to the same or not.

    >>> told = "That evening, Anna stabbed Maron through the heart at Harrow Mill."
    >>> len(reframe(told)), reframe(told)[20]
    (780, 'Before dawn, at Harrow Mill, Anna stabbed Maron through the heart.')
    >>> len(retell(told)), retell(told)[40]
    (11700, 'Near Harrow Mill, Maron was strangled by Anna.')
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple, overload

from tasks.synthetic_book.actions import ACTIONS
from tasks.synthetic_book.events import Event
from tasks.synthetic_book.frames import AT, BECAUSE_AFTER, BECAUSE_BEFORE, CLOSERS, OPENERS, THEREFORE
from tasks.synthetic_book.grammar import SLOT, Clause, finish, grammar
from tasks.synthetic_book.reading import Anatomy, Half, anatomy


class Ways(Sequence[str]):
    """All combinations of some choices, written when they are looked at: there may be many thousands."""

    def __init__(self, choices: Sequence[Sequence[str]], write: Callable[..., str]) -> None:
        self._choices, self._write = choices, write
        self._count = prod(len(choice) for choice in choices)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> str: ...

    @overload
    def __getitem__(self, at: slice) -> list[str]: ...

    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self[index] for index in range(*at.indices(len(self)))]
        if not 0 <= at < self._count:
            raise IndexError(f"there are {self._count} ways, got {at}")
        chosen = []
        for choice in reversed(self._choices):
            at, digit = divmod(at, len(choice))
            chosen.append(choice[digit])
        return self._write(*reversed(chosen))


def reframe(sentence: str, read: str = "") -> Sequence[str]:
    """Return ways to write a sentence with its clauses kept and time, place and cause moved; `read` is not needed.

    The time is another one or none, for no judge of the books asks for it.
    """
    found = anatomy(sentence)
    if found is None:
        return ()
    if found.event is None:
        return _framed(found, Clauses(_filler([(half.text,) for half in found.filler])))
    return _framed(
        found, Clauses((found.clause,), tuple(filter(None, (found.because,))), tuple(filter(None, (found.head,))))
    )


def retell(sentence: str, read: str = "") -> Sequence[str]:
    """Return ways to write a sentence in other words, framed anew as by `reframe`; `read` is not needed."""
    found = anatomy(sentence)
    return () if found is None else _framed(found, _in_other_words(found))


class Clauses(NamedTuple):
    """Ways to write the main clause of a sentence, its cause, and the beginning of a reveal."""

    mains: Sequence[str]
    causes: Sequence[str] = ()
    heads: Sequence[str] = ()


_TIMES = (
    "",
    *(f"<{opener}" for opener in dict.fromkeys(OPENERS)),
    *(f">{closer}" for closer in dict.fromkeys(CLOSERS)),
)
_PLACES = tuple(f"{side}{at}" for at in dict.fromkeys(AT) for side in "<>")
_CAUSES = (
    *(f">{words}" for words in dict.fromkeys(BECAUSE_AFTER)),
    *(f"<{words}" for words in dict.fromkeys(BECAUSE_BEFORE)),
    *(f"|{words}" for words in THEREFORE),
)


def _framed(found: Anatomy, clauses: Clauses) -> Sequence[str]:
    """Return all ways to put clauses together with the sentence's place, and any time."""
    if found.event is None:
        return Ways((_OPENINGS, clauses.mains), lambda opening, main: finish(opening + main))
    if found.event.denied:
        denials = grammar().denials

        def deny(opening: str, denial: str, main: str) -> str:
            return finish(opening + denial.replace("{C}", main))

        return Ways((_OPENINGS, denials, clauses.mains), deny)
    if clauses.heads:
        return Ways(
            (_OPENINGS, clauses.heads, clauses.mains), lambda opening, head, main: finish(opening + head + main)
        )
    places = _PLACES if found.place else ("",)
    causes = _CAUSES if clauses.causes else ("",)

    def write(time: str, place: str, how: str, main: str, because: str) -> str:
        text = _placed(main, place, found.place)
        text = f"{time[1:]}, {text}" if time[:1] == "<" else f"{text} {time[1:]}" if time else text
        return finish(_caused(text, how, because))

    return Ways((_TIMES, places, causes, clauses.mains, clauses.causes or ("",)), write)


_OPENINGS = ("", *(f"{opener}, " for opener in dict.fromkeys(OPENERS)))


def _placed(main: str, how: str, place: str) -> str:
    if not how:
        return main
    return f"{how[1:]} {place}, {main}" if how[0] == "<" else f"{main} {how[1:]} {place}"


def _caused(main: str, how: str, because: str) -> str:
    match how[:1]:
        case ">":
            return f"{main}{how[1:]}{because}"
        case "<":
            return f"{how[1:]}{because}, {main}"
        case "|":
            return f"{because}{how[1:]}{main}"
        case _:
            return main


def _in_other_words(found: Anatomy) -> Clauses:
    event = found.event
    if event is None:
        return Clauses(_filler([_same_filler(half) for half in found.filler]))
    if event.instead_of:
        active = [way.tell(event).removeprefix(event.agent).lstrip() for way in _active(event.action)]
        role = {"A": event.agent, "Z": event.instead_of}
        heads = [SLOT.sub(lambda match: role[match.group(1)], words) for words in grammar().reveals]
        return Clauses(active, (), heads)
    cause = Event(*event.cause) if event.cause else None
    return Clauses(_otherwise(event, found.clause), _otherwise(cause, found.because) if cause else ())


def _otherwise(event: Event, clause: str) -> Sequence[str]:
    """Return ways to tell a clause's event by the forms that it does not have, or by its only one."""
    if event.action not in ACTIONS:  # a reason that cannot be read
        return (clause,)
    forms = [[way.tell(event) for way in form] for form in grammar().clauses[event.action]]
    return [way for form in forms if clause not in form for way in form] or forms[0]


def _active(action: str) -> list[Clause]:
    return [clause for form in grammar().active[action] for clause in form]


def _filler(halves: Sequence[Sequence[str]]) -> Sequence[str]:
    """Return the ways to write a sentence that tells nothing, of one half or two, in both orders."""
    if len(halves) == 1:
        return halves[0]
    first, second = halves
    return Ways((("", "turned"), first, second), lambda how, one, two: f"{two}; {one}" if how else f"{one}; {two}")


def _same_filler(half: Half) -> list[str]:
    """Return all ways to write the form of a filler that name the same in the same order."""
    slots = SLOT.findall(half.words)
    ways = [words for words in grammar().filler[half.form] if SLOT.findall(words) == slots]
    return [half._replace(words=words).text for words in ways]
