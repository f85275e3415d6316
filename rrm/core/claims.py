"""Claims: the sentences and clauses of an output, each with the places in what its author saw that it rests on."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from rrm.core.errors import InputError
from rrm.core.ids import content_id
from rrm.core.task import Span
from rrm.core.text import STOPS, sentences, words

if TYPE_CHECKING:  # values are made of kinds of feedback, and marks on claims are one
    from rrm.core.values import Output

_MARKS = "“”„«»‹›\"‘’'()"
"""Around what is quoted."""
_PAUSES = ",;:—–"

LONG = 40
"""No claim has more words than this, as far as there are spaces: a longer sentence is cut into its clauses."""
SHORT = 6
"""No clause that punctuation ends has fewer words than this."""
_TIED = 1e-9  # losses that differ by less are alike
_CLAUSE = re.compile(r"[;:—–]\s+|,\s+(?=(?:and|but|while|because|so|then|when|which|who|until|although|after)\b)")
_PAUSE = re.compile(r"(?:[,;:،؛]|\s[-–]|--)\s+|[—，、；：]\s*")


DOUBTFUL = 0.8
"""A claim whose probability of support is below this is shown as doubtful."""


class Grounds(NamedTuple):
    """What a view says of a claim: which `sentence` of it tells of the claim, and whether the claim is `false` by it.

    Sentences count from 0, through all passages; None where none tells of it.
    """

    sentence: int | None
    false: bool


class Origin(NamedTuple):
    """A place that a claim rests on: characters `span` of an output's text, or, without one, of the source's.

    `score`, in [0, 1], says how sure the place is: 1 where the author cites it.
    """

    output: str | None
    span: Span
    score: float


class Claim(NamedTuple):
    """A sentence or clause, characters `span` of an output's text, and its origins, the surest first.

    Without origins it rests on nothing that its author saw. `cited` says that the author named them.
    """

    span: Span
    origins: tuple[Origin, ...] = ()
    cited: bool = False


@dataclass(frozen=True)
class Claims:
    """All claims of an output, given by its id, in the order of its text; an empty text makes none."""

    output: str
    claims: tuple[Claim, ...]

    @cached_property
    def id(self) -> str:
        return content_id("claims", self.output, self.claims)

    def at(self, span: Span) -> tuple[int, ...]:
        """Return the numbers of the claims that share characters with a span of the text."""
        return tuple(at for at, claim in enumerate(self.claims) if overlap(claim.span, span))


class Citation(NamedTuple):
    """What an author says of its own text: characters `said` rest on characters `read` of something that it saw.

    `seen` is the number of that text among all that the author saw (see `SeenText`).
    """

    said: Span
    seen: int
    read: Span


class SeenText(NamedTuple):
    """A text that an author saw: an output, by its id, or without one a piece of the source that begins at `start`."""

    text: str
    output: str | None = None
    start: int = 0

    def place(self, span: Span, score: float) -> Origin:
        """Return characters of this text as an origin."""
        return Origin(self.output, Span(span.start + self.start, span.end + self.start), score)


class Quote(NamedTuple):
    """Characters `span` of the source, and what stands there."""

    span: Span
    text: str


@dataclass(frozen=True)
class Chain:
    """A claim with all that it rests on, down to the source.

    It is claim number `claim` of an output, by its id, at a `node`. `below` are the claims that it rests on directly,
    and `quotes` pieces of the source; `score` is the surest way from here to the source, the product of the scores
    along it, and 0 where none leads there. `lost` counts origins that cannot be followed: outputs whose claims are
    not known. `blame` is how much the root's score would rise, above all that stands higher up, if the step from what
    is below to this claim were undone, and `support` how probable it is that the source's words that it comes to rest
    on support the claim, by a model of claims; None where nobody found out.
    """

    text: str
    node: str
    output: str
    claim: int
    score: float
    cited: bool = False
    below: tuple["Chain", ...] = ()
    quotes: tuple[Quote, ...] = ()
    lost: int = 0
    blame: float | None = None
    support: float | None = None

    @property
    def grounded(self) -> bool:
        """Whether some way leads to the source."""
        return self.score > 0

    def walk(self) -> Iterator["Chain"]:
        """Yield this claim and all that it rests on, each once, those above first."""
        waiting, seen = [self], set()
        while waiting:
            chain = waiting.pop(0)
            if (chain.output, chain.claim) not in seen:
                seen.add((chain.output, chain.claim))
                waiting.extend(chain.below)
                yield chain

    def upwards(self) -> Iterator["Chain"]:
        """Yield this claim and all that it rests on, each once and behind all that it rests on itself."""
        waiting, seen = [(self, False)], set[tuple[str, int]]()
        while waiting:
            chain, ready = waiting.pop()
            if ready:
                yield chain
            elif (chain.output, chain.claim) not in seen:
                seen.add((chain.output, chain.claim))
                waiting += [(chain, True), *((below, False) for below in reversed(chain.below))]

    def weakest(self) -> tuple["Chain", ...]:
        """Return the step that loses most of the root's score; several that lose as much, none where none loses."""
        blamed = [(each.blame or 0.0, each) for each in self.walk()]
        most = max(blame for blame, _ in blamed)
        return tuple(each for blame, each in blamed if blame >= most - _TIED) if most > 0 else ()

    def steps(self) -> Iterator[tuple[int, "Chain | Quote"]]:
        """Yield what it rests on with its depth, from 1, each claim before what that rests on, and each once."""
        told: set[tuple[str, int]] = set()
        waiting = [(0, self)]
        while waiting:
            depth, chain = waiting.pop()
            if (chain.output, chain.claim) in told:
                continue
            told.add((chain.output, chain.claim))
            if depth:
                yield depth, chain
            yield from ((depth + 1, quote) for quote in chain.quotes)
            waiting.extend((depth + 1, below) for below in reversed(chain.below))

    def reaches(self) -> tuple[Quote, ...]:
        """Return all pieces of the source that it comes to rest on, in their order, none twice."""
        return tuple(sorted({quote for chain in self.walk() for quote in chain.quotes}))


def overlap(one: Span, other: Span) -> int:
    """Return how many characters two spans share."""
    return max(0, min(one.end, other.end) - max(one.start, other.start))


@lru_cache(maxsize=20_000)
def claim_spans(text: str) -> tuple[Span, ...]:
    """Return the spans of a text's claims: its sentences, those of more than `LONG` words cut into clauses.

    Clauses end at a semicolon, a colon, a dash, or a comma before a conjunction, and have `SHORT` words at least. One
    that has still more than `LONG` is cut at the comma or other pause nearest to its middle, or without any at the
    space nearest to it, until none has more. What has no word is no claim.
    """
    return tuple(
        clause
        for start, end in sentences(text)
        if words(text[start:end])
        for clause in _clauses(text, Span(start, end))
    )


def quotes(text: str, said: str) -> bool:
    """Whether a text quotes a sentence or a clause as a whole, whatever white space is in it and however it ends.

    Within a longer sentence only a clause is quoted: what ends with a comma, or begins with a small letter after one.
    """
    said = " ".join(said.split())
    text = " ".join(text.split())
    return _bare(said) in text and _quotation(said).search(text) is not None


def without_quotes(text: str, said: Iterable[str]) -> str:
    """Return a text without what it quotes (`quotes`) of these sentences and clauses, the longest taken out first."""
    text = " ".join(text.split())
    for each in sorted((" ".join(each.split()) for each in said), key=len, reverse=True):
        if _bare(each) in text:
            text = _quotation(each).sub(r"\1", text)
    return text


def _bare(said: str) -> str:
    return said.rstrip(STOPS + _PAUSES + " ")


def _quotation(said: str) -> re.Pattern[str]:
    before = STOPS + ":" + (_PAUSES if said[:1].islower() else "")
    after = STOPS + (_PAUSES if said[-1:] in _PAUSES else "")
    ended = rf"[{_PAUSES}]?(?:$|[{_MARKS}])|[{after}]"
    return re.compile(rf"(^|[{_MARKS}]|[{before}] ){re.escape(_bare(said))}(?={ended})")


def about(text: str, mark: Span) -> tuple[int, ...]:
    """Return the numbers of a text's claims that a mark is about.

    Of the claim or of the mark more than half lies in the other; a mark that only grazes claims is about the one
    of which it holds most, and one on what is no claim about none.
    """
    spans = claim_spans(text)
    length = mark.end - mark.start
    shared = [overlap(span, mark) for span in spans]
    meant = tuple(at for at, span in enumerate(spans) if 2 * shared[at] > min(span.end - span.start, length))
    best = max(shared, default=0)
    return meant or ((shared.index(best),) if best else ())


def chains(
    output: str, claims: Mapping[str, Claims], outputs: Mapping[str, "Output"], source: str
) -> tuple[Chain, ...]:
    """Return what each claim of an output rests on, down to the text of the source.

    `claims` and `outputs` hold, by id, what is known of it and of those below. There are no circles: an output's id
    covers those of the outputs that it was made from. A claim come to in several ways is one and the same value.
    Raises InputError for an output that is not known.
    """
    if output not in claims or output not in outputs:
        raise InputError(f"no claims are known of the output {output}")
    made: dict[tuple[str, int], Chain] = {}
    wanted = [(output, at) for at in range(len(claims[output].claims))]
    waiting = list(reversed(wanted))
    while waiting:
        key = waiting[-1]
        ahead = [] if key in made else [each for each in _below(*key, claims, outputs) if each not in made]
        waiting += reversed(ahead)
        if not ahead:
            waiting.pop()
            made.setdefault(key, _chain(*key, claims, outputs, source, made))
    return tuple(made[key] for key in wanted)


def _below(
    output: str, number: int, claims: Mapping[str, Claims], outputs: Mapping[str, "Output"]
) -> list[tuple[str, int]]:
    """Return the claims that a claim rests on directly, as far as they are known."""
    return [
        (origin.output, at)
        for origin in claims[output].claims[number].origins
        if origin.output is not None and origin.output in claims and origin.output in outputs
        for at in claims[origin.output].at(origin.span)
    ]


def _chain(
    output: str,
    number: int,
    claims: Mapping[str, Claims],
    outputs: Mapping[str, "Output"],
    source: str,
    made: Mapping[tuple[str, int], Chain],
) -> Chain:
    """Return a claim with what it rests on, where the chains of all that are below it are `made`."""
    claim, said = claims[output].claims[number], outputs[output]
    below: dict[int, Chain] = {}
    found: list[Quote] = []
    best, lost = 0.0, 0
    for origin in claim.origins:
        if origin.output is None:
            found.append(Quote(origin.span, source[origin.span.start : origin.span.end]))
            best = max(best, origin.score)
        elif origin.output not in claims or origin.output not in outputs:
            lost += 1
        else:
            for at in claims[origin.output].at(origin.span):
                chain = made[origin.output, at]
                below[id(chain)] = chain
                best = max(best, origin.score * chain.score)
    text = said.text[claim.span.start : claim.span.end]
    return Chain(text, said.node, output, number, best, claim.cited, tuple(below.values()), tuple(found), lost)


def _clauses(text: str, sentence: Span) -> list[Span]:
    said = text[sentence.start : sentence.end]
    if len(words(said)) <= LONG:
        return [sentence]
    pieces, start = [], sentence.start
    for match in _CLAUSE.finditer(said):
        end = sentence.start + match.end()
        if _long_enough(text[start:end]) and _long_enough(text[end : sentence.end]):
            pieces.append(_trimmed(text, start, end))
            start = end
    return [part for piece in [*pieces, _trimmed(text, start, sentence.end)] for part in _halves(text, piece)]


def _halves(text: str, clause: Span) -> list[Span]:
    """Return a clause cut near its middle, and its pieces again, until none has more than `LONG` words."""
    said = text[clause.start : clause.end]
    if len(words(said)) <= LONG:
        return [clause]
    pauses = [match.end() for match in _PAUSE.finditer(said)]
    cuts = [at for at in pauses if _long_enough(said[:at]) and _long_enough(said[at:])]
    cuts = cuts or [match.end() for match in re.finditer(r"\s+", said)]
    if not cuts:
        return [clause]
    cut = clause.start + min(cuts, key=lambda at: abs(2 * at - len(said)))
    return [*_halves(text, _trimmed(text, clause.start, cut)), *_halves(text, Span(cut, clause.end))]


def _long_enough(said: str) -> bool:
    return len(words(said)) >= SHORT


def _trimmed(text: str, start: int, end: int) -> Span:
    return Span(start, start + len(text[start:end].rstrip()))
