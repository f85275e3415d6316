"""Small made-up inputs on which contracts are checked: sources, prompt contexts, questions, ratings, scored parts."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from rrm.core.graph import Node, Proposal, TaskGraph
from rrm.core.place import Place
from rrm.core.protocols import ClaimBeside, JoinedRating, PromptContext, ScoredPart
from rrm.core.roles import R, Ratings
from rrm.core.task import Source, Span, Task
from rrm.core.values import (
    ClaimMarks,
    Comparison,
    Feedback,
    Group,
    Label,
    Output,
    Passage,
    Prediction,
    Rated,
    Request,
    Shown,
    View,
)

_NAMES = ("Anna", "Boris", "Clara", "David", "Edith", "Felix", "Greta", "Hugo")
_QUESTION = "What is the birthplace of the author of The Lamp?"
_FACTS = "The author of The Lamp is Ada Moss.\nThe birthplace of Ada Moss is Larn."


def source(number: int = 0) -> Source:
    """Return a short text in paragraphs; its first lines are a question of two relations, and the facts for it."""
    name, friend = _NAMES[number % len(_NAMES)], _NAMES[(number + 3) % len(_NAMES)]
    paragraphs = [
        f"On day {day} {name} rowed across the lake, because the bridge was gone. {friend} waited at the mill with"
        f" {day} loaves. They ate in silence, and the rain went on until the evening."
        for day in range(1, 13)
    ]
    return Source(f"Made up {number}", "\n\n".join([f"{_QUESTION}\n{_FACTS}", *paragraphs]))


SOURCES = tuple(source(number) for number in range(8))


def tree(of: Source, name: str = "made-up") -> TaskGraph:
    """Return a closed tree of three leaves, one inner node above two of them, and a root, with context."""
    third, end = len(of.text) // 3, len(of.text)
    cuts: dict[Span | None, tuple[int, ...]] = {
        Span(0, end): (0, 2 * third, end),
        Span(0, 2 * third): (0, third, 2 * third),
    }

    def split(_: TaskGraph, node: Node) -> Proposal:
        ends = pairwise(cuts.get(node.task.span, ()))
        return Proposal(tuple(Task("Tell it briefly.", of.id, Span(*each), 24, 48) for each in ends))

    whole = Task("Tell it briefly.", of.id, Span(0, end), 32)
    return TaskGraph.start(whole, name, 0).grow_all(split).with_context()


def prompt_context(number: int = 0, limit: int = 24) -> PromptContext:
    """Return a leaf's prompt context: a piece of a source, without earlier outputs."""
    text = SOURCES[number].text[-300:]
    task = Task(
        "Tell it briefly.", SOURCES[number].id, Span(len(SOURCES[number].text) - 300, len(SOURCES[number].text)), limit
    )
    return PromptContext(f"leaf-{number}", task, View(task.instruction, (Passage(text),), limit))


def joining(number: int = 0, limit: int = 24) -> PromptContext:
    """Return an inner node's prompt context: two parts' outputs, and what was told before."""
    texts = ("The bridge was gone.", "They ate in silence at the mill.")
    passages = tuple(Passage(text, f"part-{at}", f"output-{at}", 0.5) for at, text in enumerate(texts))
    task = Task("Join them.", SOURCES[number].id, Span(0, len(SOURCES[number].text)), limit, 48)
    view = View(task.instruction, passages, limit, "Anna rowed.")
    place = Place(0, "answer", 1)
    return PromptContext(f"inner-{number}", task, view, ("output-0", "output-1"), ("before-0",), place)


def small() -> PromptContext:
    """Return a leaf's prompt context of three short sentences, of which few outputs can be made."""
    text = "Anna rowed. Boris sang. It rained."
    task = Task("Tell it briefly.", SOURCES[0].id, Span(0, len(text)), 24)
    return PromptContext("small", task, View(task.instruction, (Passage(text),), 24))


def outputs(node: str, texts: tuple[str, ...]) -> tuple[Output, ...]:
    return tuple(Output(node, text, "made-up", at) for at, text in enumerate(texts))


def candidates(number: int) -> tuple[str, ...]:
    """Return four different outputs at a leaf of a source."""
    sentences = SOURCES[number].text[-300:].split(". ")
    return (*(". ".join(sentences[:count]) + "." for count in (1, 2, 3)), "It rained.")


def request(kind: str, number: int = 0, shown: tuple[int, ...] = (0, 1)) -> Request:
    """Return a question about outputs at a leaf of a source."""
    made = prompt_context(number)
    texts = candidates(number)
    listed = tuple(Shown(f"output-{number}-{at}", texts[at]) for at in shown)
    return Request(made.node, SOURCES[number].id, Place(), kind, made.view, listed)


def requests() -> Iterator[Request]:
    """Yield a question of every kind that says how good outputs are, as many outputs shown as the kind takes."""
    for number in range(2):
        yield request("comparison", number, (0, 2))
        yield request("ranking", number, (3, 1, 0, 2))
        for kind in ("rating", "label", "critique"):
            yield request(kind, number, (1,))


def ratings(role: type[R]) -> Ratings[R]:
    """Return comparisons and labels about six sources by one rater, who prefers the longer output."""
    rows = []
    for number in range(6):
        for first, second in ((0, 1), (2, 0), (1, 3), (2, 3)):
            asked = request("comparison", number, (first, second))
            long = len(asked.shown[0].text) >= len(asked.shown[1].text)
            rows.append(Rated(asked, Feedback(asked.id, "made-up", Comparison(0 if long else 1))))
        for at in range(4):
            asked = request("label", number, (at,))
            rows.append(Rated(asked, Feedback(asked.id, "made-up", Label(len(asked.shown[0].text) > 60))))
    return Ratings(role, tuple(rows))


def marked(role: type[R]) -> Ratings[R]:
    """Return marks on claims of outputs about six sources by one rater, who marks what its source does not say."""
    rows = []
    for number in range(6):
        for at, text in enumerate(candidates(number)):
            asked = request(ClaimMarks.kind, number, (at,))
            marks = ((0, len(text)),) if text not in SOURCES[number].text else ()
            rows.append(Rated(asked, Feedback(asked.id, "made-up", ClaimMarks(marks))))
    return Ratings(role, tuple(rows))


def claims() -> tuple[ClaimBeside, ...]:
    """Return a claim of each source beside the sentence that it copies, and another beside one that says otherwise."""
    first = [each.text[-300:].split(". ")[1] + "." for each in SOURCES]
    copied = [ClaimBeside(each.id, text, (text,)) for each, text in zip(SOURCES, first, strict=True)]
    return (*copied, *(ClaimBeside(each.source, "It rained.", each.origins) for each in copied))


def groups() -> tuple[Group, ...]:
    """Return a group of each source: those that were rated, and two more."""
    return tuple(Group(SOURCES[n].id, Place(), prompt_context(n).view, candidates(n)) for n in range(8))


def prediction(members: int = 6, k: int = 3, seed: int = 0) -> Prediction:
    """Return scores of k outputs by some members."""
    rewards = np.random.default_rng(seed).normal(size=(members, k))
    return Prediction.overall(rewards, 1 / (1 + np.exp(-rewards)))


def parts(members: int = 6, seed: int = 1) -> tuple[ScoredPart, ...]:
    """Return two scored parts that cover one third and two thirds of the source."""
    scores = prediction(members, 2, seed).acceptance
    return tuple(
        ScoredPart(
            f"part-{at}", Output(f"part-{at}", "Said.", "made-up", 0), share, {c: p[:, at] for c, p in scores.items()}
        )
        for at, share in enumerate((1 / 3, 2 / 3))
    )


def joined_ratings() -> tuple[JoinedRating, ...]:
    """Return labels of outputs above the leaves, good where the own score and the parts' are high."""
    found = []
    for seed in range(24):
        asked = request("label", seed % 6, (seed % 4,))
        scores, below = prediction(k=1, seed=seed), parts(seed=100 + seed)
        accepted = (next(iter(scores.acceptance.values())).mean() + next(iter(below[0].acceptance.values())).mean()) / 2
        answer = Feedback(asked.id, "made-up", Label(bool(accepted > 0.5)))
        node = Node(asked.node, Task("Join them.", rank=1))
        made = outputs(asked.node, (asked.shown[0].text,))
        found.append(JoinedRating(node, Rated(asked, answer), made, scores, below))
    return tuple(found)
