"""Texts whose best decomposition is known: events that must not be separated, some of which need the one before.

A text tells events of a few sentences each. One kind of sign (a paragraph, words of time, speech, a new cast) stands
wherever an event begins; the other kinds stand elsewhere, as often. A part is worth its whole events, and half of one
for each event that has what it needs in the same part, less what its size lies off the target; so the best cut
follows by dynamic programming.

    >>> planted = PlantedCuts(count=1)
    >>> text = planted.texts[0]
    >>> text.value(text.best()) >= text.value((len(text.starts),))
    True
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

from rrm.core.errors import InputError
from rrm.core.ids import content_id, generator
from rrm.core.splits import OutlinePart, begins_anew, leaves_of, points_back, read_outline
from rrm.core.task import Source, Span
from rrm.core.values import View

Sign = Literal["paragraph", "time", "speech", "cast"]
"""What may stand where an event begins."""

_LONGEST = 3.0  # times the target: larger parts are worth so little that no best cut has them
_NEEDS = 0.5
_TIMES = ("The next morning", "Two days later", "That evening", "In the spring", "One night", "A week later")
_PEOPLE = ("Anna", "Bertram", "Clara", "Daniel", "Edith", "Frederick", "Grace", "Henry", "Ida", "Julian", "Kate")
_DOINGS = ("carried", "hid", "mended", "painted", "lost", "polished", "sold", "buried", "weighed", "praised")
_THINGS = ("lamp", "saddle", "violin", "ledger", "kettle", "anchor", "mirror", "ladder", "compass", "basket", "clock")
_PLACES = ("harbour", "mill", "orchard", "chapel", "stable", "bridge", "market", "library", "quarry", "garden")


@dataclass(frozen=True, eq=False)
class PlantedText:
    """A source with its events: `starts` are the sentences' offsets, `events` the first sentence of each event.

    `needs` says which events need the one before, and `target` how many words an ideal part has.
    """

    source: Source
    starts: tuple[int, ...]
    events: tuple[int, ...]
    needs: tuple[bool, ...]
    words: tuple[int, ...]  # of each sentence
    target: float
    off: float  # what a part loses at twice the target

    def value(self, ends: Sequence[int]) -> float:
        """Return what a cut is worth; `ends` count for each part the sentences before its end."""
        return sum(self._part(a, b) for a, b in pairwise([0, *ends]))

    def value_of(self, spans: Sequence[Span]) -> float:
        """Return what leaves are worth; a leaf has the sentences that lie in it wholly."""
        edges = [*self.starts, len(self.source.text)]
        inside = [(int(np.searchsorted(edges, a)), int(np.searchsorted(edges, b, "right")) - 1) for a, b in spans]
        return sum(self._part(a, b) for a, b in inside)

    def best(self) -> tuple[int, ...]:
        """Return the cut of most value."""
        return self._best[1]

    @property
    def optimum(self) -> float:
        """What the best cut is worth."""
        return self._best[0]

    @cached_property
    def _best(self) -> tuple[float, tuple[int, ...]]:
        worth: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
        sizes = np.concatenate([[0], np.cumsum(self.words)])
        for end in range(1, len(self.starts) + 1):
            first = int(np.searchsorted(sizes, sizes[end] - _LONGEST * self.target))
            ways = ((worth[at][0] + self._part(at, end), at) for at in range(min(first, end - 1), end))
            value, at = max(ways)
            worth.append((value, (*worth[at][1], end)))
        return worth[-1]

    def _part(self, first: int, until: int) -> float:
        bounds = [*self.events, len(self.starts)]
        low, high = np.searchsorted(bounds, first), np.searchsorted(bounds, until, "right") - 1
        whole = max(0, int(high - low))
        needed = sum(self.needs[low + 1 : high]) if whole > 1 else 0
        off = sum(self.words[first:until]) / self.target - 1
        return float(whole + _NEEDS * needed - self.off * off**2)


@dataclass(frozen=True)
class PlantedCuts:
    """So many texts of so many events each, from a seed; `sign` is what stands where events begin.

    Raises InputError for numbers below 1, and for a sign that there is not.
    """

    count: int = 20
    events: int = 14
    sign: Sign = "cast"
    target: int = 110
    off: float = 0.5
    seed: int = 0
    name: str = field(init=False)

    def __post_init__(self) -> None:
        if min(self.count, self.events, self.target) < 1:
            raise InputError("planted cuts: count, events and target must be 1 or more")
        if self.sign not in get_args(Sign):
            raise InputError(f"planted cuts: there is no sign {self.sign!r}; there are {', '.join(get_args(Sign))}")
        settings = (self.count, self.events, self.sign, self.target, self.off, self.seed)
        object.__setattr__(self, "name", content_id("planted-cuts", *settings))

    @cached_property
    def texts(self) -> tuple[PlantedText, ...]:
        """The texts, with what only the planter knows."""
        return tuple(self._text(number) for number in range(self.count))

    def sources(self) -> list[Source]:
        """Return the texts as sources."""
        return [text.source for text in self.texts]

    def _text(self, number: int) -> PlantedText:
        random = generator("planted cuts", self.seed, self.sign, self.events, number)
        lengths = random.integers(2, 7, self.events)
        events = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        sentences, inner = int(lengths.sum()), [at for at in range(1, int(lengths.sum())) if at not in set(events)]
        signs = {
            sign: set(events[1:].tolist())
            if sign == self.sign
            else set(random.permutation(inner)[: self.events - 1].tolist())
            for sign in get_args(Sign)
        }
        needs = random.random(self.events) < 0.4
        needy = {int(at) for at, need in zip(events, needs, strict=True) if need and at}
        pieces: list[str] = []
        cast = random.permutation(len(_PEOPLE))[:2]
        for at in range(sentences):
            if at in signs["cast"]:
                cast = random.permutation([each for each in range(len(_PEOPLE)) if each not in cast])[:2]
            pieces.append(("\n\n" if at in signs["paragraph"] else " ") if at else "")
            pieces.append(_sentence(random, cast, at in signs["time"], at in signs["speech"], at in needy))
        starts = np.cumsum([0, *map(len, pieces)])[1::2].tolist()
        source = Source(f"planted {self.sign} {self.seed}/{number}", "".join(pieces))
        words = tuple(len(piece.split()) for piece in pieces[1::2])
        return PlantedText(
            source, tuple(starts), tuple(events.tolist()), tuple(needs.tolist()), words, self.target, self.off
        )


def outline_quality(view: View, texts: Sequence[str], read: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return how good decompositions look by their outlines alone, about 0 to 1, [k]; a simulated rater's quality.

    Parts had best begin at chapters and paragraphs or with words of a new time, not with words that point back, and
    be of like size. Of a long outline the share `read` of the parts is looked at, drawn by the seed.
    """
    return np.array([_looks(read_outline(text), read, generator("reading an outline", seed, text)) for text in texts])


def _looks(parts: Sequence[OutlinePart], read: float, random: np.random.Generator) -> float:
    leaves = leaves_of(parts)
    seen = [part for part in leaves[1:] if random.random() < read] or list(leaves)
    begins = {"a chapter": 1.0, "a paragraph": 0.7, "a sentence": 0.3, "no sentence": 0.0}
    good = [begins[part.begins] + 0.2 * begins_anew(part.first) - 0.2 * points_back(part.first) for part in seen]
    uneven = float(np.std(np.log([max(1, part.words) for part in leaves])))
    return float(np.clip(np.mean(good) - 0.3 * uneven, 0, 1.2))


def _sentence(random: np.random.Generator, cast: np.ndarray, time: bool, speech: bool, back: bool) -> str:
    who, other = (_PEOPLE[each] for each in random.permutation(cast))
    doing, thing, place = (str(random.choice(each)) for each in (_DOINGS, _THINGS, _PLACES))
    said = f"{who} {doing} the {thing} that {other} had left at the {place}"
    if time:
        said = f"{random.choice(_TIMES)} {said}"
    if back:
        said = f"But {said[0].lower() + said[1:] if time else said}"
    return f"“{said},” they told {other}." if speech else f"{said}."
