"""The forms of sentences, worked out for telling and for reading."""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from tasks.synthetic_book.actions import ACTIONS
from tasks.synthetic_book.events import Event
from tasks.synthetic_book.filler import FILLER
from tasks.synthetic_book.frames import AT, BECAUSE_BEFORE, CLOSERS, DENIALS, OPENERS, REVEALS, THEREFORE
from tasks.synthetic_book.names import THING_MARKS, THINGS

_ALTERNATIVES = re.compile(r"\[([^\[\]]*)\]")
SLOT = re.compile(r"\{(\w)\}")
_ENTITY = re.compile(rf"\bthe (?:{'|'.join(THING_MARKS)}) (?:{'|'.join(THINGS)})\b|[A-Z][\w-]+(?: [A-Z][\w-]+)*")
_NO_MARKS = str.maketrans("@%", "  ")  # the skeletons' own marks mean nothing in a text


def _variants(form: str) -> Iterator[str]:
    """Yield every way of choosing the alternatives of a form."""
    parts = _ALTERNATIVES.split(form)
    choices = [part.split("|") if at % 2 else [part] for at, part in enumerate(parts)]
    for chosen in product(*choices):
        yield " ".join("".join(chosen).split()).replace(" .", ".") + (" " if form.endswith(" ") else "")


class Clause(NamedTuple):
    """A way of telling an action: `slots` are the roles in the order in which the words name them."""

    action: str
    words: str
    slots: tuple[str, ...]

    def tell(self, event: Event) -> str:
        role = {"A": event.agent, "B": event.other, "T": event.thing, "H": event.thing}
        return SLOT.sub(lambda match: role[match.group(1)], self.words)


class _Grammar:
    """The forms above, worked out for telling and for reading.

    Reading goes through skeletons, which are sentences with "@" for everything that has a name and
    "%" for things: a dictionary then knows the action and which name has which role.
    """

    def __init__(self) -> None:
        self.clauses: dict[str, list[list[Clause]]] = {}
        self.reading: dict[str, Clause] = {}
        for action, kind in ACTIONS.items():
            self.clauses[action] = [[self._clause(action, words) for words in _variants(form)] for form in kind.forms]
        self.active = {
            name: [form for form in forms if form[0].words.startswith("{A} ")] for name, forms in self.clauses.items()
        }
        self.reveals = [words for form in REVEALS for words in _variants(form + " ")]
        self.reveal_heads = {SLOT.sub("@", words): SLOT.findall(words) for words in self.reveals}
        self.denials = [words for form in DENIALS for words in _variants(form)]
        heads, tails = (
            sorted(set(each), key=len, reverse=True)
            for each in zip(*(words.split("{C}") for words in self.denials), strict=True)
        )
        openers = "|".join(sorted(OPENERS, key=len, reverse=True))
        closers = "|".join(sorted(CLOSERS, key=len, reverse=True))
        at = "|".join(sorted(set(AT)))
        self.frame = re.compile(
            rf"(?:(?:{openers}),? )?(?:(?:{at}) (?P<front>@),? )?(?:(?:{openers}),? )?(?P<clause>.*?)"
            rf"(?: (?:{at}) (?P<back>@))?(?: (?:{closers}))?(?: (?:{at}) (?P<last>@))?"
        )
        self.denial = re.compile(rf"(?:(?:{openers}), )?(?:{'|'.join(heads)})(?P<clause>.+)(?:{'|'.join(tails)})")
        self.before = re.compile(r"(?:because|since|seeing that) (?P<cause>[^,]+), (?P<main>.+)")
        self.after = re.compile(
            r"(?P<main>.+?)(?:,? all because|, for|,? for the simple reason that|,? because|,? since) (?P<cause>.+)"
        )
        self.therefore = re.compile(rf"(?P<cause>.+?)(?:{'|'.join(THEREFORE)})(?P<main>.+)")
        starts = (*OPENERS, *AT, *BECAUSE_BEFORE, *(words for words in self.reveals if words[0] != "{"), "the")
        self.starters = {start.split()[0] for start in starts}
        names = {"A": "Xa", "B": "Xb", "P": "Xp Xq", "T": f"the {THING_MARKS[0]} {THINGS[0]}"}
        self.filler = [list(_variants(form)) for form in FILLER]
        self.filler_reading: dict[str, tuple[int, str]] = {}
        for number, form in enumerate(self.filler):
            for words in form:
                said = SLOT.sub(lambda match: names[match.group(1)], words)
                for way in (said, finish(said)):
                    self.filler_reading.setdefault(self.skeleton(way)[0], (number, words))
        self.opening = re.compile(rf"(?:{openers}), ")

    def _clause(self, action: str, words: str) -> Clause:
        clause = Clause(action, words, tuple(SLOT.findall(words)))
        skeleton = SLOT.sub(lambda match: "%" if match.group(1) == "T" else "@", words)
        known = self.reading.setdefault(skeleton, clause)
        assert (known.action, known.slots) == (action, clause.slots), f"two readings of {words!r}"
        return clause

    def skeleton(self, sentence: str) -> tuple[str, list[tuple[int, str]]]:
        """Return a sentence without its names, and the names with their offsets in what is left."""
        text = " ".join(sentence.split()).rstrip(".!").translate(_NO_MARKS)
        first, _, _ = text.partition(" ")
        if first.lower().rstrip(",") in self.starters:
            text = text[:1].lower() + text[1:]
        pieces: list[str] = []
        named: list[tuple[int, str]] = []
        length = end = 0
        for match in _ENTITY.finditer(text):
            before = text[end : match.start()]
            length += len(before)
            named.append((length, match.group()))
            pieces += (before, "%" if match.group()[0] == "t" else "@")
            length += 1
            end = match.end()
        pieces.append(text[end:])
        return "".join(pieces), named


@lru_cache(maxsize=1)
def grammar() -> _Grammar:
    return _Grammar()


def finish(sentence: str) -> str:
    """Return a sentence with its capital and its stop."""
    at = 1 if sentence[0] == "“" else 0
    stop = "" if sentence.endswith((".", "”")) else "."
    return sentence[:at] + sentence[at].upper() + sentence[at + 1 :] + stop
