"""From a sentence to the event that it tells."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from rrm.core.text import sentences
from tasks.synthetic_book.actions import ACTIONS
from tasks.synthetic_book.events import Core, Event
from tasks.synthetic_book.grammar import SLOT, Clause, grammar

_HEADING = re.compile(r"Chapter \d+(?:: [\w ]+)?")


class Half(NamedTuple):
    """A filler, or one half of a double one: the number of its form, its words with slots, and the names in them."""

    form: int
    words: str
    names: tuple[str, ...]

    @property
    def text(self) -> str:
        names = iter(self.names)
        return SLOT.sub(lambda _: next(names), self.words)


class Anatomy(NamedTuple):
    """A sentence taken apart: its event, the words of its clauses, and where it happened; or a filler's halves.

    `clause` has neither time nor place. Of a reveal it begins behind "who", and `head` is what stands up to there.
    """

    event: Event | None
    clause: str = ""
    place: str = ""
    because: str = ""
    head: str = ""
    filler: tuple[Half, ...] = ()


class _Reader:
    """One sentence on its way to an event."""

    def __init__(self, sentence: str) -> None:
        self.grammar = grammar()
        self.skeleton, self.named = self.grammar.skeleton(sentence)

    def anatomy(self) -> Anatomy | None:
        """Return what is told; a reason that cannot be read counts as one, which is true of no book."""
        return (
            self._reveal() or self._denial() or self._caused() or self._plain(0, len(self.skeleton)) or self._filler()
        )

    def _names(self, start: int, end: int) -> list[str]:
        return [name for at, name in self.named if start <= at < end]

    def _text(self, start: int, end: int) -> str:
        """Return a stretch of the skeleton with its names."""
        return filled(self.skeleton[start:end], self._names(start, end))

    def _filler(self) -> Anatomy | None:
        opening = self.grammar.opening.match(self.skeleton)
        start = opening.end() if opening else 0
        halves = []
        for part in self.skeleton[start:].split("; "):
            found = self.grammar.filler_reading.get(part)
            if found is None:
                return None
            form, words = found
            names = self._names(start, start + len(part))
            halves.append(Half(form, words, tuple(names[len(names) - len(SLOT.findall(words)) :])))
            start += len(part) + len("; ")
        return Anatomy(None, filler=tuple(halves))

    def _caused(self) -> Anatomy | None:
        grammar = self.grammar
        for pattern in (grammar.before, grammar.therefore, grammar.after):
            if match := pattern.fullmatch(self.skeleton):
                main, cause = self._plain(*match.span("main")), self._plain(*match.span("cause"))
                if main is not None and main.event is not None:
                    unread: Core = ("", self.skeleton[slice(*match.span("cause"))], "", "")
                    told = main.event._replace(cause=cause.event.core if cause and cause.event else unread)
                    because = cause.clause if cause else self._text(*match.span("cause"))
                    return main._replace(event=told, because=because)
        return None

    def _plain(self, start: int, end: int) -> Anatomy | None:
        frame = self.grammar.frame.fullmatch(self.skeleton, start, end)
        if frame is None or (clause := self.grammar.reading.get(frame["clause"])) is None:
            return None
        place = next((self._names(*frame.span(at))[0] for at in ("front", "back", "last") if frame[at]), "")
        event = _event(clause, self._names(*frame.span("clause")), place)
        return Anatomy(event, self._text(*frame.span("clause")), place)

    def _denial(self) -> Anatomy | None:
        match = self.grammar.denial.fullmatch(self.skeleton)
        told = self._plain(*match.span("clause")) if match else None
        return told._replace(event=told.event._replace(place="", denied=True)) if told and told.event else None

    def _reveal(self) -> Anatomy | None:
        head, who, deed = self.skeleton.rpartition(" who ")
        opening = self.grammar.frame.fullmatch(head) if who else None
        slots = self.grammar.reveal_heads.get(f"{opening['clause']} who ") if opening else None
        if slots is None or opening is None:
            return None
        at = len(head) + len(who)
        people = dict(zip(slots, self._names(*opening.span("clause")), strict=False))
        frame = self.grammar.frame.fullmatch("@ " + deed)
        if len(people) < 2 or frame is None or (clause := self.grammar.reading.get(frame["clause"])) is None:
            return None
        names = [people["A"], *self._names(at, len(self.skeleton))]
        event = _event(clause, names, "")._replace(instead_of=people["Z"])
        start, end = opening.span("clause")[0], at + frame.end("clause") - len("@ ")
        return Anatomy(event, self._text(at, end), head=self._text(start, at))


def filled(skeleton: str, names: Iterable[str]) -> str:
    """Return a skeleton with names in the places of its marks."""
    left = iter(names)
    return re.sub("[@%]", lambda _: next(left), skeleton)


def _event(clause: Clause, names: Sequence[str], place: str) -> Event:
    role = dict(zip(clause.slots, names, strict=False))
    agent, other = role.get("A", ""), role.get("B", "")
    if ACTIONS[clause.action].mutual:
        agent, other = sorted((agent, other))
    return Event(clause.action, agent, other, role.get("T") or role.get("H", ""), place)


@lru_cache(maxsize=100_000)
def anatomy(sentence: str) -> Anatomy | None:
    """Take a sentence apart; None if it is not of this grammar, or a heading."""
    return _Reader(sentence).anatomy()


def read_sentence(sentence: str) -> tuple[Event | None, bool]:
    """Return the event that a sentence tells, if any, and whether the sentence is of this grammar at all."""
    found = anatomy(sentence)
    return (found.event if found else None), found is not None or bool(_HEADING.fullmatch(sentence))


def recognise(text: str) -> list[Event]:
    """Return the events that a text's sentences tell, in order; what is not of this grammar tells none."""
    return [event for start, end in sentences(text) if (event := read_sentence(text[start:end])[0]) is not None]


def unrecognised_share(text: str) -> float:
    """Return the share of a text's sentences that are neither an event, filler nor a heading; 0 for no text."""
    known = [read_sentence(text[start:end])[1] for start, end in sentences(text)]
    return known.count(False) / len(known) if known else 0.0
