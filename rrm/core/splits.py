"""Decompositions as outputs: a tree as an outline that people and models judge, and what an outline says.

An outline has a line for each part, in order: its number, its size, where it begins, its first and last sentence,
and the words that it has more of than the rest. A part without a text of its own (it has none, or all that the node
above it has) is told by its instruction. Whoever judges a decomposition sees that, and nothing else.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log
from typing import Literal, get_args

from rrm.core.errors import InputError
from rrm.core.graph import TaskGraph
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.task import Source, Span
from rrm.core.text import sentences, words
from rrm.core.values import Group, Output, Passage, View

INSTRUCTION = (
    "Which decomposition of this text would you rather work with? Every part is summarised by itself, and then the"
    " summaries are joined: a good part is about one thing, does not break off in the middle of it, and needs little"
    " of what stands before. Parts should be of like size where nothing speaks against it."
)
HEAD = "part | size | begins at | first sentence | last sentence | about"
MOST_PARTS = 150
"""Lines of an outline; the lowest levels that go beyond are left out, and how many parts they have is said."""

Begin = Literal["a chapter", "a paragraph", "a sentence", "no sentence", "a question"]
"""Where a part begins; with a question of its own, where it has no text of its own."""

_SHOWN, _ABOUT = 160, 4  # characters of a sentence, words
_ENDS_SENTENCE = re.compile(r"[.!?…。！？][\"'”’»)\]]*\Z")
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*\Z")
_LINE = re.compile(
    r"(?P<number>\d+(?:\.\d+)*) \| (?P<words>\d+) words(?:, (?P<parts>\d+) parts)? \| (?P<begins>[^|]+) \| "
    r"(?P<first>[^|]*) \| (?P<last>[^|]*) \| (?P<about>[^|]*)"
)

_ANEW = re.compile(
    r"[\"'“‘(]*(?:(?:but|and|so)\s+)?"
    r"(?:(?:the|that|this|one|on|in|at|by|early|late|next|every|some|two|three|several|many|about|towards|it was|when"
    r"|after|before|meanwhile|once)\b.{0,40}?\b(?:day|days|morning|evening|night|afternoon|noon|dawn|midnight|week"
    r"|weeks|month|months|year|years|hour|hours|spring|summer|autumn|winter|sunday|monday|tuesday|wednesday|thursday"
    r"|friday|saturday|later|january|february|march|april|june|july|august|september|october|november|december)\b"
    r"|(?:meanwhile|at last|at length|in the meantime|elsewhere|afterwards|once upon|long ago|some time)\b)",
    re.IGNORECASE,
)
_BACK = re.compile(
    r"[\"'“‘(]*(?:he|she|it|they|him|her|his|its|their|this|that|these|those|such|but|and|or|then|so|yet|therefore"
    r"|however|thus|still|besides|moreover|nor)\b",
    re.IGNORECASE,
)


def begins_anew(text: str) -> bool:
    """Whether a sentence begins with words of another time or place, such as "The next morning"."""
    return bool(_ANEW.match(text))


def points_back(text: str) -> bool:
    """Whether a sentence begins with a word that points at what stands before it, such as "But" or "He"."""
    return bool(_BACK.match(text))


@dataclass(frozen=True)
class OutlinePart:
    """A line of an outline: `depth` counts from 1 for the root's parts, `parts` is how many a part has itself."""

    number: str
    words: int
    begins: Begin
    first: str
    last: str
    about: tuple[str, ...]
    parts: int = 0

    @property
    def depth(self) -> int:
        return self.number.count(".") + 1


def split_node(source: Source) -> str:
    """Return the id under which decompositions of a source are asked about."""
    return content_id("split", source.id)


def split_view(source: Source) -> View:
    """Return what is shown with a source's decompositions."""
    size = f"{source.title}: {len(words(source.text))} words"
    return View(INSTRUCTION, (Passage(size),), max_tokens=8192)


def split_output(source: Source, graph: TaskGraph, decomposer: str, seed: int, log_prob: float | None = None) -> Output:
    """Return a decomposition as an output."""
    return Output(split_node(source), outline(graph, source), decomposer, seed, log_prob=log_prob)


def split_group(source: Source, outlines: Sequence[str], place: Place) -> Group:
    """Return decompositions as a reward model reads them."""
    return Group(source.id, place, split_view(source), tuple(outlines))


def outline(graph: TaskGraph, source: Source) -> str:
    """Return a tree's outline; of one that is still open, as far as it has grown."""
    listed = [level for level in _by_depth(graph)[1:] if level]
    shown, total = 0, 0
    while shown < len(listed) and (shown == 0 or total + len(listed[shown]) <= MOST_PARTS):
        total += len(listed[shown])
        shown += 1
    kept = {node for level in listed[:shown] for node in level} or {graph.root}
    lines = [HEAD]
    for node, number in _numbered(graph):
        if node in kept:
            lines.append(_line(graph, node, number or "1", source))
    if shown < len(listed):
        lines.append(f"not listed: {sum(map(len, listed[shown:]))} parts below these")
    return "\n".join(lines)


def read_outline(text: str) -> tuple[OutlinePart, ...]:
    """Return the lines of an outline; raise InputError for a text that is none."""
    head, *lines = text.splitlines() or [""]
    rows = [_LINE.fullmatch(line) for line in lines if not line.startswith("not listed: ")]
    if head != HEAD or not rows or not all(row and row["begins"] in get_args(Begin) for row in rows):
        raise InputError(f"no outline of a decomposition: {text[:80]!r}; it begins with the line {HEAD!r}")
    return tuple(
        OutlinePart(
            row["number"],
            int(row["words"]),
            row["begins"],  # type: ignore[arg-type]  # checked above
            row["first"],
            row["last"],
            tuple(word for word in row["about"].split(", ") if word),
            int(row["parts"] or 0),
        )
        for row in rows
        if row
    )


def leaves_of(parts: Sequence[OutlinePart]) -> tuple[OutlinePart, ...]:
    """Return the lowest parts that an outline lists."""
    above = {part.number.rpartition(".")[0] for part in parts}
    return tuple(part for part in parts if part.number not in above)


def _line(graph: TaskGraph, node: str, number: str, source: Source) -> str:
    text, begins = _told(graph, node, source)
    cut = sentences(text)
    first, last = (_clipped(text[each.start : each.end]) for each in (cut[0], cut[-1])) if cut else ("", "")
    size = f"{len(words(text))} words"
    if children := graph.children(node):
        size += f", {len(children)} parts"
    return " | ".join((number, size, begins, first, last, ", ".join(_about(source, text))))


def _told(graph: TaskGraph, node: str, source: Source) -> tuple[str, Begin]:
    """Return a part's own text, or else its instruction, and where it begins."""
    task = graph.task(node)
    shared = any(graph.task(above).span == task.span for above in graph.parents(node))
    if task.span is None or shared:
        return task.instruction, "a question"
    return source.read(task.span), _begins(source, task.span)


def _clipped(text: str) -> str:
    line = " ".join(text.split()).replace("|", "¦")
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1].rstrip()}…"


def _begins(source: Source, span: Span) -> Begin:
    if span.start == 0 or span.start in source.breaks or not source.text[: span.start].strip():
        return "a chapter"
    before = source.text[max(0, span.start - 200) : span.start]
    if _BLANK_LINE.search(before):
        return "a paragraph"
    return "a sentence" if _ENDS_SENTENCE.search(before.rstrip()) else "no sentence"


def _about(source: Source, text: str) -> list[str]:
    """Return the words that say most of how a part differs from the whole: largest terms of their KL."""
    whole, here = _counts(source), Counter(word.lower() for word in words(text))
    inside, total = sum(here.values()), sum(whole.values())
    told = {
        word: count * log(count / inside * total / max(1, whole[word]))
        for word, count in here.items()
        if len(word) > 2 and count > 1
    }
    best = sorted((word for word in told if told[word] > 0), key=lambda word: (-told[word], word))
    return best[:_ABOUT]


@lru_cache(maxsize=8)
def _counts(source: Source) -> Counter[str]:
    return Counter(word.lower() for word in words(source.text))


def _by_depth(graph: TaskGraph) -> list[list[str]]:
    levels: list[list[str]] = []
    for node in graph:
        depth = graph.depth(node)
        levels += [[] for _ in range(depth + 1 - len(levels))]
        levels[depth].append(node)
    return levels


def _numbered(graph: TaskGraph) -> Iterator[tuple[str, str]]:
    """Yield every node with its number, each before its parts; the root's is empty."""
    waiting = [(graph.root, "")]
    while waiting:
        node, number = waiting.pop()
        yield node, number
        children = graph.children(node)
        numbered = [(child, f"{number}.{at}".lstrip(".")) for at, child in enumerate(children, start=1)]
        waiting.extend(reversed(numbered))
