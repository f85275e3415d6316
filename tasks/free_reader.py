"""An approximate reader of free text about generated books: rates what a language model writes in its own words.

The reader of `tasks.synthetic_book` is exact, and recognises its own sentences alone: a summary in other words
tells it nothing. This one looks for acts by the stems of the words that tell them, for people, places and things
by their names, and pairs an act with the names around it in the same clause. So it is wrong at times: it misses acts in
words that `CUES` lacks, and everything said by a pronoun; causes it takes for events. What it says is an estimate of
quality, never the truth.

    >>> from rrm.core.values import Passage
    >>> view = View("", (Passage("Anna stabbed Maron through the heart at Harrow Mill."),), 50)
    >>> texts = ["Maron was killed by Anna.", "Anna was killed by Maron.", "Anna, Maron, Harrow Mill."]
    >>> perceived_quality(view, texts).round(4).tolist()
    [0.7325, 0.02, 0.0]
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np

from rrm.core.task import Span
from rrm.core.text import sentences
from rrm.core.text import words as words_of
from rrm.core.values import View
from tasks.synthetic_book.actions import ACTIONS
from tasks.synthetic_book.book import Book
from tasks.synthetic_book.events import Event
from tasks.synthetic_book.judging import (
    DISORDER,
    LEAST_EVENTS,
    SENTENCE_WORDS,
    Credit,
    Quality,
    importances,
    longest_rise,
)
from tasks.synthetic_book.names import ENDINGS, MIDDLES, NAMES, ONSETS, PLACE_KINDS, THING_MARKS, THINGS
from tasks.synthetic_book.perceiving import take_in
from tasks.synthetic_book.reading import recognise, unrecognised_share
from tasks.synthetic_book.sources import SyntheticBooks

# ---- The words that tell an act ----

# A line an act. Words are compared by their stems; ".." stands for up to five words, names among them. The
# person before the words did it and the person after them is the other one, unless they are passive; "<" says that
# it is the other way round, "=" that the words do not say. Longer cues come first. What stands at "none" is no act.
CUES = """
none: without any warning | deep water | all the land | house and land | on the eve of the wedding
    | from the baker's boy | those who employed | fond of good cooking | had peeled | what a draught | hid the chimneys
    | and .. nodded | burning house | the following day | without warning | off the water | candle burned
    | lantern burned | lamp burned | turned out to be | as it turned out
murder: murder | kill | stab | stabbed to death | strangle | shot | shoot | drown | slay | assassinate
    | <die .. at the hands of | <died by
    | =murderer | =killer | =death
poison: poison | slipped .. poison | slipped .. arsenic | stirred .. poison | stirred .. arsenic | dropped .. poison
    | dropped .. arsenic | <drank .. poison | given poison | =arsenic
steal: steal | snatch | made off with | took .. from | rob | broke the lock and steal | =theft | =thief | =robber
burn: burn | set fire to | on fire | set .. ablaze | =flames by the hand | =arson | struck a match and set .. ablaze
abduct: abduct | kidnap | bound and gag | gag | held .. captive | dragged .. carriage | carried off | =captor
forge: forge | altered .. will | altered .. accounts | falsify | =forgery
betray: betray | =hiding place of | sold .. to the enemy | sold to the enemy | =betrayal | gave away .. hiding place
    | sold .. hiding place
rescue: rescue | save | <owed .. courage | ran into the burning house and save | ran into the burning house and rescue
    | saved .. from the flames | rescued .. from the flames | saved .. from drowning | rescued .. from drowning
    | saved from death | dived into the flood and save | dived into the flood and rescue | saved .. certain death
    | rescued .. certain death
confess: confess | admit | <heard .. confession | =confession
discover: discover | found out | uncover | learned .. that .. was | was an impostor | exposed | true identity of
    | discovered the true identity of
    | <was a spy | found out that .. was a spy | learned .. that .. was a spy | found out that .. was an impostor
    | learned .. that .. was an impostor | discovered .. crime | learned .. was not who everyone believed
marry: =marry | =wed | =wedding vow | =marriage | =husband | =wife
imprison: imprison | arrest | jail | had .. arrested | thrown into prison | had .. thrown into prison | in irons
    | had .. locked up | had .. put in chains | saw .. led to prison | called the constable and saw .. prison
    | taken away in irons | =prison | =warrant and saw .. prison
duel: =duel | wounded .. in a duel | challenged .. duel | wounded by .. in a duel | struck down by .. in a duel
inherit: inherit | =fortune of .. passed to | =estate of .. passed to | =heir | =inheritance
ruin: ruin | bankrupt | <lost everything to | <lost .. fortune to | <lost house and land to | cheat
    | cheated .. out of house and land
blackmail: blackmail | bled for hush money | =hush money | demanded .. from .. price of silence | demanded a fortune
    | blackmailed .. with a stolen paper | began to blackmail .. with a stolen paper
    | began to blackmail | blackmailed .. over an old crime
abandon: abandon | desert | left at the altar | broke the engagement and left | left .. for ever | abandoned .. wedding
    | deserted .. wedding
disinherit: disinherit | cut off without a penny | struck the name of .. out of the will | struck .. out of the will
flee: flee | escape | went into hiding | ran away
accuse: accuse | denounce | cried shame | pointed at .. and cried shame | accused of lying | =accusation
threaten: threaten | swore to take revenge | take revenge | threatened .. with ruin | =threat
bribe: bribe | <took a bribe | <accepted a bribe | <pocketed a bribe | bought the silence of | =bribery
propose: proposed | propose | asked .. to marry | begged .. to marry | implored .. to marry | asked .. for an engagement
    | begged .. for an engagement | implored .. for an engagement | <received a proposal of marriage
    | <received a proposal
quarrel: =quarrel | =argue | =fell out | =harsh words | =argument | =bitter argument | =dispute
warn: warn | =warning | sent .. warning
hide: hide | bury | conceal
find: find | came upon | unearth
follow: follow | shadow | on the heels of
spy: spy | spied on | listened at the door | read the letters of | watched | overheard | eavesdrop
dismiss: dismiss | sent away | turned out | gave .. a week to leave | fire from
forgive: forgive | made peace with .. and forgave | embraced .. and forgave | =forgiveness | pardon
sell: sell | <bought .. from | <buy .. from
hire: hire | employ | <entered the service of | <took a post with | <began to work for
lend: lend | lent .. money | <borrow | =loan
give: give | <received .. from | <accepted .. from | made .. a present of | present of
promise: promise | solemn promise | gave .. a solemn promise | <received a promise | swore to help
refuse: refuse | turned away | rebuff
question: question | sharp questions to | put .. questions to | interrogate
search: search | turned .. upside down
write: write | <received .. letter from | sent a letter | posted a letter | wrote .. letter | <letter from | letter to
apologise: apologise | apologize | <received an apology | begged the pardon | =apology
travel: travel | set out | rode | left for | went to | journey
thank: thank
bread: bought bread | bought .. loaves | bought .. loaf | bought .. rolls | bought .. at the baker's
    | bought .. from the baker's | went out for bread | went out for .. loaf
mend: mend | darn | patch | sew
greet: greet | nod | wave | wished .. a good day | wished .. a good morning | wished .. a good afternoon
tea: poured .. tea | poured .. coffee | poured .. chocolate | brought .. tea | brought .. coffee | brought .. biscuits
    | served tea | served coffee
cards: =cards | =chess | =dominoes | =played draughts
stroll: =stroll | =went for a walk | =walked up and down
sweep: swept | sweep | scrub
fish: caught .. trout | caught .. perch | caught .. weeds | landed .. trout | landed .. perch | landed .. weeds | fish
polish: polish | black a pair of boots
feed: feed | carried oats | carried scraps | carried milk
umbrella: borrowed an umbrella | borrowed .. gloves | borrowed a pencil | <lent .. umbrella | <lent .. gloves
    | <lent .. pencil
cook: cook | peel
read: read | <listened while .. read | read .. aloud to
plant: plant | water
"""


def _listed(text: str) -> list[str]:
    return text.split()


_IRREGULAR = dict(
    pair.split("/")
    for pair in _listed("""
        stole/steal stolen/steal fled/flee hid/hide hidden/hide found/find gave/give given/give wrote/write
        written/write sold/sell bought/buy lent/lend forgave/forgive forgiven/forgive shot/shoot slew/slay slain/slay
        took/take taken/take caught/catch swept/sweep fed/feed rode/ride died/die dies/die dying/die said/say
        broke/break went/go held/hold bled/bleed spied/spy drank/drink sewn/sew burnt/burn was/be were/be is/be are/be
        been/be being/be got/be had/have has/have thrown/throw threw/throw struck/strike left/leave lost/lose
        overheard/overhear drew/draw
    """)
)
_DETERMINERS = frozenset(_listed("a an the"))
_SMALL = frozenset(_listed("""
    a an the and or but of to by from in on at with for as that than then not be have it he she they who which whom his
    her their this into over under near behind outside because since so while when
"""))  # fmt: skip
"""Words too small to tell what a sentence is about; no article stands before one."""
_DENIALS = frozenset(_listed("not never neither nor cannot didn't wasn't"))
_TALES = frozenset(_listed("tale rumour rumor report gossip"))
"""Who calls an act one of these says that it never happened."""
_STARTS = frozenset(_listed("""
    i he she they it we you who this that these those there here everyone everybody nobody someone somebody one people
    both all some none what when while after before as if in on at with because since mr mrs chapter
"""))  # fmt: skip
"""Words that open a sentence with a capital and are no name."""


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """Return a word without its inflection: "stole", "steals" and "stealing" are all "steal"."""
    word = word.lower().replace("’", "'").removesuffix("'s")
    word = _IRREGULAR.get(word, word)
    for suffix in ("ing", "ed", "es", "s"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3 and not word.endswith("ss"):
            word = word[: -len(suffix)]
            break
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return word.rstrip("eiy") if len(word) > 3 else word


class _Cue(NamedTuple):
    """How an act is told: `turned` if the other person comes first, `either` if the words do not say who is who."""

    action: str
    turned: bool
    either: bool


@lru_cache(maxsize=1)
def _cues() -> tuple[re.Pattern[str], list[_Cue]]:
    """Return a pattern over stems, and the cue of each of its groups; the longest cues come first."""
    found: dict[str, _Cue] = {}
    for line in CUES.strip().replace("\n    |", " |").splitlines():
        action, _, told = line.partition(": ")
        for cue in (each.strip() for each in told.split(" | ")):
            stems = " ".join(stem(word) if word != ".." else word for word in cue.lstrip("<=").split())
            either = cue.startswith("=") or (action in ACTIONS and ACTIONS[action].mutual)
            found.setdefault(stems, _Cue(action, cue.startswith("<"), either))
    ordered = sorted(found, key=lambda cue: len(cue.replace("..", "").split()), reverse=True)
    joined = "|".join(f"({_GAP.join(map(re.escape, cue.split(' .. ')))})" for cue in ordered)
    return re.compile(rf"(?<!\S)(?:{joined})(?!\S)".replace(r"\ ", " ")), [found[cue] for cue in ordered]


# ---- What a sentence says ----


class Mention(NamedTuple):
    """A person, place or thing named in a sentence."""

    kind: str  # person, place or thing
    name: str


Token = str | Mention
"""A stem, a comma, or somebody or something with a name."""


class Claim(NamedTuple):
    """An act and whom and what a sentence names beside it; `action` is empty where there is no act.

    With `either` the roles are not known. `loose` are those of them that may belong to the act before or after.
    `denied` says that it did not happen.
    """

    action: str
    doers: frozenset[str]
    others: frozenset[str]
    objects: frozenset[str]
    either: bool = True
    loose: frozenset[str] = frozenset()
    denied: bool = False

    @property
    def named(self) -> frozenset[str]:
        return self.doers | self.others | self.objects

    def events(self) -> Iterator[Event]:
        """Yield what a text without the grammar of the books is taken to tell, one event for each pair of people."""
        places = sorted(name for name in self.objects if _PLACE.fullmatch(name))
        things = sorted(self.objects.difference(places))
        for doer in sorted(self.doers) or [""]:
            for other in sorted(self.others - {doer}) or [""]:
                thing, place = next(iter(things), ""), next(iter(places), "")
                yield Event(self.action, doer, other, thing, place, denied=self.denied)


_GAP = r"(?: \S+){0,5}? "
_PLACE = re.compile(rf"(?!(?:At|In|Near|Behind|Outside) )[A-Z][a-z]+ (?:{'|'.join(PLACE_KINDS)})\b")
_THING = re.compile(rf"\b(?:{'|'.join(THING_MARKS)}) (?:{'|'.join(THINGS)})\b", re.IGNORECASE)
_TOKEN = re.compile(
    rf"(?P<place>{_PLACE.pattern})|(?P<thing>(?i:{_THING.pattern}))|(?P<word>[^\W_]+(?:['’-][^\W_]+)*)|,"
)
_REAL_NAMES = frozenset(name for pair in NAMES for name in pair.split("/"))
_MADE_UP = re.compile(rf"(?:{'|'.join(ONSETS)})(?:{'|'.join(MIDDLES)})(?:{'|'.join(ENDINGS)})")
_POSSESSIVE = re.compile("['’]s$")
_BE = stem("was")
_UNTRUE = frozenset(map(stem, _TALES))
_BETWEEN = frozenset((",", *map(stem, ("because", "since", "reason", "while", "when", "after", "before"))))


def _tokens(sentence: str) -> list[Token]:
    tokens: list[Token] = []
    matches = list(_TOKEN.finditer(sentence))
    acts = len(matches) > 1 and _is_past(matches[1]["word"] or "")
    for match in matches:
        word = match["word"]
        if match["place"]:
            tokens.append(Mention("place", match["place"]))
        elif match["thing"]:
            tokens.append(Mention("thing", f"the {match['thing'].lower()}"))
        elif word and _is_name(word, opens=not tokens and not acts):
            tokens.append(Mention("person", _POSSESSIVE.sub("", word)))
        else:
            tokens.append(stem(word) if word else ",")
    return tokens


def _is_name(word: str, opens: bool) -> bool:
    """Return whether a word is somebody's name; one that no book has is none where it opens a sentence."""
    bare = _POSSESSIVE.sub("", word)
    if bare in _REAL_NAMES or _MADE_UP.fullmatch(bare):
        return True
    named = word[0].isupper() and word.lower() not in _STARTS and not word.isupper()
    return named and not opens


def _is_past(word: str) -> bool:
    return word.endswith("ed") or (word in _IRREGULAR and stem(word) not in (_BE, stem("had"), stem("said")))


def _is_said(tokens: Sequence[Token]) -> bool:
    """Return whether words stand as in a sentence: not a list of names, no article before a name or a small word."""
    people = _people(tokens)
    mentions = sum(isinstance(token, Mention) for token in tokens)
    if mentions > 2 and 3 * mentions > 2 * (len(tokens) - tokens.count(",")):
        return False
    articles = [at + 1 for at, token in enumerate(tokens) if token in _DETERMINERS]
    return not any(at in people or tokens[at] in _SMALL for at in articles if at < len(tokens))


@lru_cache(maxsize=50_000)
def _claims(sentence: str) -> tuple[Claim, ...]:
    """Return what a sentence claims, in order; a sentence without an act that names two or more makes one claim."""
    tokens = _tokens(sentence)
    if not _is_said(tokens):
        return ()
    pattern, cues = _cues()
    line = " ".join("@" if isinstance(token, Mention) else token for token in tokens)
    found = [
        (*_place_in(line, match), cues[match.lastindex - 1]) for match in pattern.finditer(line) if match.lastindex
    ]
    found = [each for each in found if each[2].action in ACTIONS]
    if not found:
        people, objects = frozenset(_people(tokens).values()), _objects(tokens)
        said = _content(tokens)
        return (Claim("", people, frozenset(), objects),) if len(people | objects) > 1 and len(said) > 1 else ()
    claims: list[Claim] = []
    cuts = _cuts(tokens, [(first, last) for first, last, _ in found])
    for at, (first, _, cue) in enumerate(found):
        claims.append(_claim_between(tokens, cuts[at], cuts[at + 1], first, cue, claims[-1] if claims else None))
    return tuple(claim for claim in claims if claim.named)


def _claim_between(
    tokens: Sequence[Token], left: Span, right: Span, first: int, cue: _Cue, last: Claim | None
) -> Claim:
    """Return the claim of the cue that begins at `first`, between two cuts; without a subject it has the last one's."""
    ahead, behind = tokens[left.start : first], tokens[right.start : right.end]
    before = _last_group(ahead)
    is_noun = bool(ahead) and ahead[-1] in _DETERMINERS and not cue.either  # as in "the murder of Anna by Clara"
    if is_noun:
        before, cue = frozenset(), cue._replace(either="by" not in tokens[first : right.end])
    elif not before and not _objects(ahead) and last is not None:
        before = last.doers or last.others
    close = _after_last_name(ahead)[-3:]
    claim = _claim(cue, before, tokens[first : right.end], passive=(is_noun or _BE in close) and not cue.either)
    shared = _objects(tokens[left.start : left.end]) | _objects(behind) | (_last_group(behind) - before)
    denied = any(token in _DENIALS for token in close) or not _UNTRUE.isdisjoint(ahead)
    return claim._replace(objects=claim.objects | _objects(ahead), loose=shared, denied=denied)


def _cuts(tokens: Sequence[Token], cues: Sequence[tuple[int, int]]) -> list[Span]:
    """Return what stands between the acts and belongs to both, empty where a comma or a cause tells them apart."""
    cuts = [Span(0, 0)]
    for (_, last), (first, _) in pairwise(cues):
        apart = [at for at in range(last, first) if tokens[at] in _BETWEEN]
        cuts.append(Span(apart[-1], apart[-1]) if apart else Span(last, first))
    return [*cuts, Span(len(tokens), len(tokens))]


def _place_in(line: str, match: re.Match[str]) -> tuple[int, int]:
    """Return the first token of a match, and the one after its last."""
    first = line.count(" ", 0, match.start())
    return first, first + match.group().count(" ") + 1


def _claim(cue: _Cue, before: frozenset[str], after: Sequence[Token], passive: bool) -> Claim:
    """Return the claim of a cue with the people before it, and what stands from the cue up to the next."""
    people = _people(after)
    named = frozenset(people.values())
    doers, others = before, named
    if passive:
        doers = _after_word(people, after, "by") or _after_word(people, after, "of")
        others = before | named - doers
    if cue.turned:
        doers, others = others, doers
    return Claim(cue.action, doers, others, _objects(after), cue.either)


def _after_word(people: Mapping[int, str], tokens: Sequence[Token], word: str) -> frozenset[str]:
    return frozenset(name for at, name in people.items() if at and tokens[at - 1] == word)


def _people(tokens: Sequence[Token]) -> dict[int, str]:
    """Return who is named where, without those who did not do it: "Anna and not Clara"."""
    named = {at: token.name for at, token in enumerate(tokens) if isinstance(token, Mention) and token.kind == "person"}
    return {at: name for at, name in named.items() if not (at and tokens[at - 1] in ("not", "than"))}


def _objects(tokens: Sequence[Token]) -> frozenset[str]:
    return frozenset(token.name for token in tokens if isinstance(token, Mention) and token.kind != "person")


def _content(tokens: Sequence[Token]) -> frozenset[str]:
    """Return the stems that tell what a sentence is about, names left out."""
    return frozenset(token for token in tokens if isinstance(token, str)) - _SMALL - {",", _BE}


def _after_last_name(tokens: Sequence[Token]) -> Sequence[Token]:
    start = max((at + 1 for at, token in enumerate(tokens) if isinstance(token, Mention)), default=0)
    return tokens[start:]


def _last_group(tokens: Sequence[Token]) -> frozenset[str]:
    """Return the last person named, with those that "and" joins to them."""
    people = _people(tokens)
    group = list(people)[-1:]
    for at in reversed(list(people)[:-1]):
        if list(tokens[at + 1 : group[0]]) not in ([], ["and"]):
            break
        group = [at, *group]
    return frozenset(people[at] for at in group)


# ---- Judging ----

TOPIC = 0.05
"""The share of a quality that a text earns by naming whom and what the passage names, whatever it says of them."""
HINT = 0.25
"""What a sentence earns, as a share, that names people and things of one event together and tells no act."""


MISPLACED = 0.5
"""What a claim is worth, as a share, whose people are right and whose place or thing is another's."""


class _Told(NamedTuple):
    """The share of an event that a claim tells, and how true it is of it, each from 0 to 1."""

    share: float
    truth: float


_NOT_TOLD = _Told(0.0, 0.0)


@dataclass(frozen=True)
class _Facts:
    """What a reader knows: events in their order, how certain each is, what else is true, and all that is named.

    `words` are the stems of a text that tells no event, by which alone a summary of it can be judged. With
    `skipped` the reader may have missed an event.
    """

    events: tuple[Event, ...]
    certainty: tuple[float, ...]
    true: tuple[Event, ...]
    named: frozenset[str]
    words: frozenset[str]
    skipped: bool = False

    @cached_property
    def weights(self) -> list[float]:
        return [worth * sure for worth, sure in zip(importances(self.events), self.certainty, strict=True)]

    @cached_property
    def best(self) -> list[float]:
        """The most that so many events can weigh."""
        return [0.0, *accumulate(sorted(self.weights, reverse=True))]

    def match(self, claim: Claim) -> tuple[int, _Told]:
        """Return which event a claim tells best, and how."""
        told = [(_told(claim, event), -at) for at, event in enumerate(self.events)]
        best, at = max(told, default=(_NOT_TOLD, 0))
        return -at, best

    def other(self, claim: Claim) -> Credit:
        """Return what a claim earns that tells none of the events."""
        truth = max((_told(claim, event).truth for event in self.true), default=0.0)
        if truth > 0:
            return Credit(truth)
        refuted = any(event.action == claim.action and claim.named & _named(event) for event in self.events)
        return Credit(0.5, 0.5) if self.skipped and not refuted and claim.named <= self.named else Credit(0.0)


def _named(event: Event) -> frozenset[str]:
    return frozenset((event.agent, event.other, event.thing, event.place)) - {""}


def _told(claim: Claim, event: Event) -> _Told:
    """Return how a claim tells an event; act, people, thing and place are one part each, a wrong person spoils it."""
    if claim.denied != event.denied or claim.action not in ("", event.action):
        return _NOT_TOLD
    people, objects = frozenset((event.agent, event.other)) - {""}, frozenset((event.thing, event.place)) - {""}
    if claim.either or ACTIONS[event.action].mutual:
        right, wrong = (claim.doers | claim.others) & people, (claim.doers | claim.others) - people
    else:
        right = claim.doers & {event.agent} | claim.others & {event.other}
        wrong = claim.doers - {event.agent} | claim.others - {event.other}
    right |= claim.objects & objects
    if wrong - claim.loose or not right:
        return _NOT_TOLD
    truth = MISPLACED if claim.objects - objects - claim.loose else 1.0
    parts = 1 + len(people) + len(objects)
    if not claim.action:
        return _Told(HINT * len(right) / parts, 1.0) if len(right) > 1 and truth == 1 else _NOT_TOLD
    return _Told(truth * (1 + len(right)) / parts, truth)


@dataclass(frozen=True)
class _Text:
    """A text as it was read."""

    claims: tuple[Claim, ...]
    named: frozenset[str]
    words: frozenset[str]
    length: int


@lru_cache(maxsize=20_000)
def _text(text: str) -> _Text:
    read = [text[start:end] for start, end in sentences(text)]
    said = [tokens for each in read if _is_said(tokens := _tokens(each))]
    named = frozenset(token.name for tokens in said for token in tokens if isinstance(token, Mention))
    stems = frozenset(token for tokens in said for token in _content(tokens))
    return _Text(tuple(claim for each in read for claim in _claims(each)), named, stems | named, len(words_of(text)))


def _judge(text: str, facts: _Facts) -> Quality:
    """Judge a text by what is known; the formulas stand at `FreelyReadBooks.quality`."""
    read = _text(text)
    gains: dict[int | Claim, float] = {}
    order: list[int] = []
    support, reports = 0.0, 0
    for claim in read.claims:
        at, told = facts.match(claim)
        if told.share > 0:
            gains[at] = max(gains.get(at, 0.0), facts.weights[at] * told.share)
        if not claim.action:
            continue
        reports += 1
        if told.share > 0:
            order.append(at)
            support += told.truth * (1 + facts.certainty[at]) / 2
        else:
            credit = facts.other(claim)
            gains[claim] = ACTIONS[claim.action].importance * credit.coverage
            support += credit.accuracy
    room = max(reports, read.length // SENTENCE_WORDS, LEAST_EVENTS)
    most = facts.best[min(room, len(facts.events))]
    coverage = min(1.0, sum(gains.values()) / most) if most > 0 else _kept(read, facts)
    accuracy = support / reports if reports else 1.0
    coherence = longest_rise(order) / len(order) if order else 1.0
    as_told = coverage * accuracy * (1 - DISORDER * (1 - coherence))
    return Quality(coverage, accuracy, coherence, (1 - TOPIC) * as_told + TOPIC * _topic(read, facts))


def _topic(read: _Text, facts: _Facts) -> float:
    """Return how far what a text names is what the passage names: a share of the text's, times how many."""
    right = len(read.named & facts.named)
    return right / len(read.named) * min(1.0, right / LEAST_EVENTS) if right else 0.0


def _kept(read: _Text, facts: _Facts) -> float:
    """Return, for a passage that tells no event, the share of its words that a text has; 1 if it has none."""
    room = min(len(facts.words), max(LEAST_EVENTS, read.length))
    return len(read.words & facts.words) / room if room else 1.0


class FreelyReadBooks(SyntheticBooks):
    """Generated books whose gold is this module's, an approximate one, for outputs in anybody's words.

    The books of equal arguments are those of `SyntheticBooks`, to the letter.
    """

    def __init__(self, count: int, words: int = 2000, seed: int = 0) -> None:
        super().__init__(count, words, seed)
        self.name = f"synthetic-books(count={count}, words={words}, seed={seed}, gold=approximate free reader)"
        self._facts: dict[tuple[str, Span | None], _Facts] = {}

    def quality(self, source: str, span: Span | None, text: str) -> Quality:
        """Return about how good a text is as a summary of a span, or of the whole source (None), and why.

        Coverage, accuracy, coherence and overall are those of `SyntheticBooks.quality`, with claims (an act with
        those named beside it in its clause) for the events that a text tells, and these differences:

        - The share told counts act, agent, other person, thing and place as one part each, and an act with nobody
          beside it as nothing. A wrong person makes a claim wrong; a wrong place or thing makes it worth MISPLACED.
          Causes are claims of their own, true if the book told them before.
        - A sentence without an act that names two or more of one event earns `HINT` of its share, and risks nothing.
        - Lists of names, and words that do not stand as in a sentence, claim nothing.
        - overall: (1 - TOPIC) * that of `SyntheticBooks` + TOPIC * the share of those and what a text names that
          the span names, too, times how many of LEAST_EVENTS they are; so texts that tell nothing are not all equal.

        Raises InputError for an unknown source.
        """
        facts = self._facts.get((source, span))
        if facts is None:
            facts = self._facts[source, span] = _truth(self.book(source), span)
        return _judge(text, facts)


def _truth(book: Book, span: Span | None) -> _Facts:
    text = book.source.text if span is None else book.source.read(span)
    end = len(book.source.text) if span is None else span.end
    true = tuple(told.event for told in book.told if told.holds(end))
    inside = tuple(told.event for told in book.within(span) if told.holds(end))
    read = _text(text)
    return _Facts(inside, (1.0,) * len(inside), true, read.named, read.words)


# ---- A reader who sees only what a rater is shown ----


def perceived_quality(view: View, texts: Sequence[str], read: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return about the quality, float64 [k], that a reader sees in each text who knows only the view.

    It goes with `tasks.synthetic_book.perceived_quality` as `FreelyReadBooks.quality` with `SyntheticBooks.quality`:
    sentences are taken in with probability `read`, a child's score p multiplies what is told by it, and what may
    have been missed counts half, if it names nobody whom the view does not name. Passages in the books' own words are
    read exactly, others as freely as the texts.
    """
    facts = _seen(view, float(read), int(seed) if read < 1 else 0)
    return np.asarray([_judge(text, facts).overall for text in texts], dtype=np.float64)


@lru_cache(maxsize=2048)
def _seen(view: View, read: float, seed: int) -> _Facts:
    certainty, _ = take_in(view, read, seed, _events)
    events = tuple(certainty)
    causes = tuple(Event(*event.cause) for event in events if event.cause and event.cause[0] in ACTIONS)
    before = tuple(event for start, end in sentences(view.context) for event in _events(view.context[start:end]))
    whole = _text(view.text)
    return _Facts(events, tuple(certainty.values()), (*causes, *before), whole.named, whole.words, read < 1)


def _events(sentence: str) -> list[Event]:
    """Return the events that a sentence tells: what the books' grammar says, or if it cannot read it, its claims."""
    if unrecognised_share(sentence) == 0:
        return recognise(sentence)
    return [event for claim in _claims(sentence) if claim.action for event in claim.events()]
