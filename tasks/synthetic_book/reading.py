"""From a sentence to the event that it tells."""

import re
from collections.abc import Sequence
from functools import lru_cache

from rrm.core.text import sentences
from tasks.synthetic_book.actions import ACTIONS
from tasks.synthetic_book.events import Core, Event
from tasks.synthetic_book.grammar import Clause, grammar

_HEADING = re.compile(r"Chapter \d+(?:: [\w ]+)?")


class _Reader:
    """One sentence on its way to an event."""

    def __init__(self, sentence: str) -> None:
        self.grammar = grammar()
        self.skeleton, self.named = self.grammar.skeleton(sentence)

    def event(self) -> Event | None:
        """Return the event told; a reason that cannot be read counts as one, which is true of no book."""
        return self._reveal() or self._caused() or self._plain(0, len(self.skeleton))

    @property
    def is_filler(self) -> bool:
        return all(part in self.grammar.filler_reading for part in self.skeleton.split("; "))

    def _names(self, start: int, end: int) -> list[str]:
        return [name for at, name in self.named if start <= at < end]

    def _caused(self) -> Event | None:
        grammar = self.grammar
        for pattern in (grammar.before, grammar.therefore, grammar.after):
            if match := pattern.fullmatch(self.skeleton):
                main, cause = self._plain(*match.span("main")), self._plain(*match.span("cause"))
                if main is not None:
                    unread: Core = ("", self.skeleton[slice(*match.span("cause"))], "", "")
                    return main._replace(cause=cause.core if cause else unread)
        return None

    def _plain(self, start: int, end: int) -> Event | None:
        frame = self.grammar.frame.fullmatch(self.skeleton, start, end)
        if frame is None or (clause := self.grammar.reading.get(frame["clause"])) is None:
            return None
        place = next((self._names(*frame.span(at))[0] for at in ("front", "back", "last") if frame[at]), "")
        return _event(clause, self._names(*frame.span("clause")), place)

    def _reveal(self) -> Event | None:
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
        return _event(clause, names, "")._replace(instead_of=people["Z"])


def _event(clause: Clause, names: Sequence[str], place: str) -> Event:
    role = dict(zip(clause.slots, names, strict=False))
    agent, other = role.get("A", ""), role.get("B", "")
    if ACTIONS[clause.action].mutual:
        agent, other = sorted((agent, other))
    return Event(clause.action, agent, other, role.get("T") or role.get("H", ""), place)


@lru_cache(maxsize=100_000)
def read_sentence(sentence: str) -> tuple[Event | None, bool]:
    """Return the event that a sentence tells, if any, and whether the sentence is of this grammar at all."""
    reader = _Reader(sentence)
    event = reader.event()
    return event, event is not None or reader.is_filler or bool(_HEADING.fullmatch(sentence))


def recognise(text: str) -> list[Event]:
    """Return the events that a text's sentences tell, in order; what is not of this grammar tells none."""
    return [event for start, end in sentences(text) if (event := read_sentence(text[start:end])[0]) is not None]


def unrecognised_share(text: str) -> float:
    """Return the share of a text's sentences that are neither an event, filler nor a heading; 0 for no text."""
    known = [read_sentence(text[start:end])[1] for start, end in sentences(text)]
    return known.count(False) / len(known) if known else 0.0
