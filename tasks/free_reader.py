"""A reader of free text for generated books: what a summary in anybody's words tells of their events.

The exact reader of `tasks.synthetic_book` knows its own sentences only: whatever a language model writes has quality
0 there. This one finds acts by their stems and the people, places and things that stand with them, and judges by the
same formulas. It is approximate: it reads no causes, takes who did it and whom it was done to from the order of the
words and the voice of the verb, and knows no acts but those of `STEMS`. How far it agrees with the exact reader where
both can read is measured in docs/results.md.

    >>> told = mentions("Anna was robbed of the brass key by Tobias, and nobody saw it.")
    >>> [(each.action, each.agent, each.other, each.thing) for each in told]
    [('steal', 'Tobias', 'Anna', 'the brass key')]
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rrm.core.task import Span
from rrm.core.text import sentences
from rrm.core.text import words as words_of
from rrm.core.values import View
from tasks.synthetic_book import (
    ACTIONS,
    NAMES,
    PLACE_KINDS,
    THINGS,
    Book,
    Credit,
    Event,
    Known,
    Quality,
    SyntheticBooks,
    judged,
    read_event,
    take_in,
)

STEMS = {
    "murder": "murder* | kill* | slew | slain | stabb* | strangl* | shot | drowned | assassinat* | in cold blood"
    " | at the hands of | took the life of",
    "poison": "poison* | arsenic",
    "steal": "stole | steals | stealing | was stolen | were stolen | had stolen | has stolen | rob | robs | robbed"
    " | robber* | robbing | theft | thief | snatch*"
    " | made off with | took {T} from",
    "burn": "burned | burnt | burns | arson* | set fire | set on fire | set {H} on fire | set {H} ablaze | ablaze"
    " | in flames | torched",
    "abduct": "abduct* | kidnap* | carried off | captive | bound and gagged | into a closed carriage",
    "forge": "forg* the | forged | forger* | forging | forges | falsif* | altered the | was forged",
    "betray": "betray* | sold to the enemy | the hiding place | gave away",
    "rescue": "rescu* | saved | saves | saving | miraculous escape | owed life",
    "confess": "confess* | admitted",
    "discover": "discover* | uncover* | found out | learned at last | finds out | exposed",
    "marry": "marri* | marry* | wed | weds | wedding vows",
    "imprison": "imprison* | arrest* | prison | jail* | locked up | in chains | in irons",
    "duel": "duel*",
    "inherit": "inherit* | heir | heiress | fortune of {B} passed | estate of {B} passed",
    "ruin": "ruined | ruins | bankrupt* | cheated | lost everything | lost the family fortune | lost house and land",
    "blackmail": "blackmail* | hush money | the price of silence",
    "abandon": "abandon* | desert* | left at the altar | broke the engagement",
    "disinherit": "disinherit* | cut off without a penny | out of the will",
    "flee": "fled | flee* | escap* | into hiding | ran away",
    "accuse": "accus* | denounc* | cried shame",
    "threaten": "threat* | revenge",
    "bribe": "brib* | bought the silence",
    "propose": "proposed to | proposes to | proposal of marriage | asked {B} to marry | begged {B} to marry"
    " | implored {B} to marry | asked {B} for an engagement | begged {B} for an engagement"
    " | implored {B} for an engagement",
    "quarrel": "quarrel* | argu* | fell out | harsh words",
    "warn": "warned | warns | warn {B} | a warning | urgent warning",
    "hide": "hid | was hidden | had hidden | has hidden | hides | hiding the | buried | buries | bury | conceal*",
    "find": "found {T} | finds {T} | came upon | unearth* | was found",
    "follow": "follow* | shadowed | the heels of",
    "spy": "spied | spies on | spying | spy on | listened at the door | read the letters | watched | overheard",
    "dismiss": "dismiss* | sent away | turned out of the house | a week to leave | fired",
    "forgive": "forgiv* | forgave | made peace",
    "sell": "sold {T} | sells {T} | was sold by | was sold to {A} | bought {T} | buys {T}",
    "hire": "hire* | hiring | employ* | entered the service | took a post | began to work for",
    "lend": "lent {B} a hundred crowns | lent {B} a month | lent {B} the money | lent {B} money | loan*"
    " | borrowed a hundred crowns | borrowed a large sum"
    " | borrowed money",
    "give": "gave {T} | gives {T} | received {T} | accepted {T} | a present of | as a present",
    "promise": "promis*",
    "refuse": "refus* | rebuff* | turned away",
    "question": "question* | interrogat*",
    "search": "search* | upside down",
    "write": "wrote | writes to | written to | letter to {B} | received a letter | received a long letter"
    " | received a cold letter | received a puzzling letter",
    "apologise": "apolog* | the pardon of",
    "travel": "travel* | set out | rode | left for | journey*",
    "thank": "thank*",
    "bread": "bread | loaves | loaf | rolls",
    "mend": "mend* | darn* | patch* | sewed",
    "greet": "greet* | nodded | waved | wished {B} a good",
    "tea": "poured tea | poured coffee | poured a cup | served tea | served coffee | cup of tea | pot of coffee"
    " | plate of biscuits",
    "cards": "cards | chess | draughts | dominoes",
    "stroll": "stroll* | went for a walk | walked up and down",
    "sweep": "swept | sweep* | scrubb*",
    "fish": "fishing | trout | perch | nothing but weeds",
    "polish": "polish* | blacked",
    "feed": "fed the | feeds the | oats to the | scraps to the | milk to the",
    "umbrella": "umbrella | gloves | pencil",
    "cook": "cook* | peel*",
    "read": "read {X} aloud | read aloud | reads aloud | newspaper | sermon aloud | few pages",
    "plant": "plant* | water* the",
}
"""Words that tell an act, by the action: `*` ends a stem, {A}, {B}, {T}, {H} are names, {X} is any few words."""

_NAME = r"(?:[A-Z][\w-]+)"
_PLACE = rf"(?:the )?{_NAME} (?:{'|'.join(PLACE_KINDS)})"
_THING = rf"[Tt]he (?:[a-z]+ )?(?:{'|'.join(THINGS)})"
_GAPS = {"{A}": _NAME, "{B}": _NAME, "{T}": _THING, "{H}": _PLACE, "{X}": r"(?:[\w']+ ){0,3}[\w']+"}
_CLAUSES = re.compile(r";|,|\b(?:because|since|when|while|after|before|but|so|which|who|whom|although|though)\b")
_PASSIVE = re.compile(r"\b(?:was|were|is|are|been|being|be|got)\b(?:\W+\w+){0,3}\W*$")
_PRONOUN = re.compile(r"\b(?:he|she|they)\b", re.IGNORECASE)
_BY = re.compile(r"\b(?:by|hands? of|orders of|courage of) $")
_TAKES = re.compile(
    r"\b(?:recei\w+|accept\w+|took|takes|pocketed|heard|hears|bought|buys|borrow\w+|owe[ds]?|drank|drinks|lost|loses|lent|heir|fear|entered|began)\b"
)
_NEAR = 60
"""Letters between an act and a name that belongs to it, in one clause."""


def _pattern(stems: str) -> str:
    def one(phrase: str) -> str:
        escaped = re.escape(" ".join(phrase.split())).replace(r"\ ", " ").replace(r"\*", r"\w*")
        for gap, pattern in _GAPS.items():
            escaped = escaped.replace(re.escape(gap), pattern)
        return escaped

    phrases = sorted((one(each) for each in stems.split("|")), key=len, reverse=True)
    return "|".join(phrases)


class _Words(NamedTuple):
    """The vocabulary, compiled."""

    acts: re.Pattern[str]
    people: re.Pattern[str]
    places: re.Pattern[str]
    things: re.Pattern[str]


@lru_cache(maxsize=1)
def _vocabulary() -> _Words:
    acts = "|".join(rf"(?P<{name}>\b(?:{_pattern(stems)})\b)" for name, stems in STEMS.items())
    return _Words(re.compile(acts), re.compile(rf"\b{_NAME}\b"), re.compile(_PLACE), re.compile(_THING))


class Mention(NamedTuple):
    """An act that a text tells of, with the names that stand with it; an empty string is what it does not say.

    `sure` says whether the words told who did it to whom: else agent and other may be the other way round.
    """

    action: str
    agent: str = ""
    other: str = ""
    thing: str = ""
    place: str = ""
    sure: bool = False

    @property
    def importance(self) -> int:
        return ACTIONS[self.action].importance

    @property
    def people(self) -> frozenset[str]:
        return frozenset({self.agent, self.other} - {""})


# ---- Reading ----


def mentions(text: str, people: frozenset[str] = frozenset()) -> list[Mention]:
    """Return the acts that a text tells of anybody, in order.

    `people` are names of the passage: a word with a capital at a sentence's beginning is a name if it is one of them
    or the generator's. "He" or "she" is whoever did something last.
    """
    found: list[Mention] = []
    last = ""
    for start, end in sentences(text):
        sentence = _Sentence(" ".join(text[start:end].split()), people | _NAMES, last)
        found += sentence.mentions()
        last = sentence.subject
    return found


_NOT_NAMES = """
    A An And As At But By For From He Her His How I If In It Its Later No Not Of On Or She So That The Their Then There
    They This To Was When While Who
"""
_NO_NAMES = frozenset(_NOT_NAMES.split())
_NAMES = frozenset(name for pair in NAMES for name in pair.split("/"))


class _Sentence:
    """A sentence with its names found; `subject` is who last did something, at first whoever did before it."""

    def __init__(self, text: str, people: frozenset[str], subject: str) -> None:
        words = _vocabulary()
        self.text, self.subject = text, subject
        self.places = list(words.places.finditer(text))
        self.things = list(words.things.finditer(text))
        taken = [each.span() for each in self.places]
        self.people = [
            each
            for each in words.people.finditer(text)
            if each.group() not in _NO_NAMES
            and (each.start() > 0 or each.group() in people)
            and not any(a <= each.start() < b for a, b in taken)
        ]
        self.cuts = [0, *(each.start() for each in _CLAUSES.finditer(text)), len(text)]

    def mentions(self) -> Iterator[Mention]:
        """Yield the acts that somebody did or suffered, each once a clause."""
        known: set[tuple[int, str | None]] = set()
        for act in _vocabulary().acts.finditer(self.text):
            told, clause = self._told(act), max(cut for cut in self.cuts if cut <= act.start())
            if told.people and (clause, act.lastgroup) not in known:
                known.add((clause, act.lastgroup))
                yield told

    def _told(self, act: re.Match[str]) -> Mention:
        first = max(cut for cut in self.cuts if cut <= act.start())
        end = min(cut for cut in self.cuts if cut >= act.end())
        near = [each for each in self.people if first <= each.start() < end]
        by = [each.group() for each in near if _BY.search(self.text[: each.start()])][:1]
        before = [each.group() for each in near if each.end() <= act.start() and each.group() not in by][-2:]
        behind = [each for each in near if each.end() > act.start() and each.start() < act.end() + _NEAR]
        after = [each.group() for each in behind if each.group() not in by]
        passive = bool(_PASSIVE.search(self.text[first : act.start()])) or bool(by)
        if not before and not passive:
            before = self._carried(first, act.start())
        agent, other, sure = _roles(before, after, by, passive)
        self.subject = agent or other
        clause = self.text[first:end]
        return Mention(
            str(act.lastgroup), agent, other,
            _first_of(self.things, first, end).lower(), _first_of(self.places, first, end).removeprefix("the "),
            sure and not _TAKES.search(clause),
        )  # fmt: skip

    def _carried(self, first: int, act: int) -> list[str]:
        """Return the subject of a clause without one: of the sentence's clauses before, or of an earlier sentence."""
        earlier = [each.group() for each in self.people if each.end() <= first][:1]
        if earlier:
            return earlier
        return [self.subject] if self.subject and _PRONOUN.search(self.text[:act]) else []


def _roles(before: list[str], after: list[str], by: list[str], passive: bool) -> tuple[str, str, bool]:
    """Return who did an act, to whom, and whether the words tell which is which, from the names around it."""
    if by:
        return by[0], (before or after or [""])[-1], True
    if len(before) == 2 and (passive or not after):
        return before[0], before[1], not passive
    if passive:
        return "", (before or after or [""])[-1], True
    if before:
        return before[-1], (after or [""])[0], True
    first, second = [*after, "", ""][:2]
    return (first, second, False) if second else ("", first, False)


def _first_of(names: Sequence[re.Match[str]], first: int, end: int) -> str:
    return next((each.group() for each in names if first <= each.start() < end), "")


def share_told(said: Mention, true: Event) -> float:
    """Return how much of an event of the same action a mention tells, 0 if any name that it says is another.

    The act and each person, thing and place of the event make one part; an event with people is told by a mention
    that names one of them.
    """
    people = {true.agent, true.other} - {""}
    hits = said.people & people
    if said.people - people or (people and not hits) or _reversed(said, true):
        return 0.0
    thing, place = _where(true)
    if (said.thing and thing and not _same_thing(said.thing, thing)) or (said.place and place and said.place != place):
        return 0.0
    parts = 1 + len(people) + bool(thing) + bool(place)
    return (1 + len(hits) + bool(thing and said.thing) + bool(place and said.place)) / parts


def _reversed(said: Mention, true: Event) -> bool:
    if not said.sure or ACTIONS[true.action].mutual:
        return False
    return (bool(said.agent) and said.agent == true.other) or (bool(said.other) and said.other == true.agent)


def _where(event: Event) -> tuple[str, str]:
    """Return the thing and the place of an event, whose role the thing may have."""
    thing = event.thing if event.thing.startswith("the ") else ""
    return thing, event.place or ("" if thing else event.thing)


def _same_thing(said: str, true: str) -> bool:
    """Compare "the key" or "the brass key" with "the brass key"."""
    return said.split()[-1] == true.split()[-1] and said.split()[1:-1] in ([], true.split()[1:-1])


def _action(report: Mention | Event) -> str:
    return report.action


# ---- Judging ----


class FreelyReadBooks(SyntheticBooks):
    """`SyntheticBooks` whose gold is the quality that the reader of free text finds: approximate (see the module)."""

    def __init__(self, count: int, words: int = 2000, seed: int = 0) -> None:
        super().__init__(count, words, seed)
        self.name = f"freely-read-{self.name}"
        self._free: dict[tuple[str, Span | None], tuple[Known[Mention], frozenset[str]]] = {}

    def quality(self, source: str, span: Span | None, text: str) -> Quality:
        """Return how good a text is by the formulas of `SyntheticBooks.quality`, for mentions in place of events."""
        if (source, span) not in self._free:
            self._free[source, span] = _truth(self.book(source), span)
        known, people = self._free[source, span]
        return _judge(text, known, people)


def _judge(text: str, known: Known[Mention], people: frozenset[str]) -> Quality:
    return judged(mentions(text, people), len(words_of(text)), known)


def _truth(book: Book, span: Span | None) -> tuple[Known[Mention], frozenset[str]]:
    end = len(book.source.text) if span is None else span.end
    by_action: dict[str, list[Event]] = {}
    for told in book.told:
        if told.holds(end):
            by_action.setdefault(told.event.action, []).append(told.event)

    def other(said: Mention) -> Credit:
        return Credit(float(any(share_told(said, each) > 0 for each in by_action.get(said.action, ()))))

    events = [told.event for told in book.within(span) if told.holds(end)]
    return Known(events, [1.0] * len(events), other, _action, share_told), _people(told.event for told in book.told)


def _people(events: Iterable[Event]) -> frozenset[str]:
    return frozenset(name for event in events for name in (event.agent, event.other) if name)


def perceived_quality(view: View, texts: Sequence[str], read: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return the quality, float64 [k], that a reader sees in each text, in anybody's words, who knows only the view.

    As `tasks.synthetic_book.perceived_quality`, which see; passages that are not of the generator's own sentences
    are read freely, too. Approximate: see the module.
    """
    known, people = _seen(view, float(read), int(seed) if read < 1 else 0)
    return np.asarray([_judge(text, known, people).overall for text in texts], dtype=np.float64)


@lru_cache(maxsize=2048)
def _seen(view: View, read: float, seed: int) -> tuple[Known[Mention], frozenset[str]]:
    shown = " ".join([*(passage.text for passage in view.passages), view.context])
    people = frozenset(each.group() for each in _vocabulary().people.finditer(shown) if _inside(shown, each.start()))

    def told_by(sentence: str) -> Sequence[Event]:
        exact = read_event(sentence)
        return [exact] if exact else [Event(*each[:5]) for each in mentions(sentence, people)]

    seen = take_in(view, read, seed, told_by)
    before = [event for start, end in sentences(view.context) for event in told_by(view.context[start:end])]
    refuted = {core[0] for core in seen.refuted}

    def other(said: Mention) -> Credit:
        if any(event.action == said.action and share_told(said, event) > 0 for event in before):
            return Credit(1.0)
        return Credit(0.0) if read == 1 or said.action in refuted else Credit(0.5, 0.5)

    events, certainty = list(seen.certainty), list(seen.certainty.values())
    return Known(events, certainty, other, _action, share_told), people


def _inside(text: str, at: int) -> bool:
    """Say whether a capital stands within a sentence, as that of a name does."""
    return bool(re.search(r"[\w,;:] $", text[max(0, at - 2) : at]))
