"""Who splits a question about a power of a permutation: H, exactly, and H', who learned it from H's moves.

A question about 2^m steps asks where the point goes in 2^(m-1) steps, and then where that point goes. Which is the
decomposition that iterated amplification is built on (Christiano, Shlegeris and Amodei 2018, arXiv:1810.08575).
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from rrm.core.errors import InputError
from rrm.core.graph import Node, Proposal, TaskGraph
from rrm.core.ids import content_id, seed_for
from rrm.core.task import Source, Span, Task
from rrm.core.values import Output

_QUESTION = re.compile(r"Where does (\d+) go in 2\^(\d+) steps of (\w+)\?")

Move = Literal["answer", "ask about the point", "ask about the answer", "ask the same"]
MOVES: tuple[Move, ...] = ("answer", "ask about the point", "ask about the answer", "ask the same")
"""What can be done at a question: answer it, ask half of it about its point or the last answer, ask it once more."""


class State(NamedTuple):
    """What a move hangs on: whether one step is asked about, and how many parts are answered."""

    single: bool
    answered: int


def exact(state: State) -> Move:
    """H's move: the first half of the way, then the second, then the answer."""
    if state.single or state.answered >= 2:
        return "answer"
    return "ask about the answer" if state.answered else "ask about the point"


class LearnedMoves(NamedTuple):
    """H': the move seen most often in each state, from H's transcripts; in a state never seen, answer."""

    moves: tuple[tuple[State, Move], ...]

    @classmethod
    def of(cls, seen: Iterable[tuple[State, Move]]) -> "LearnedMoves":
        counts: dict[State, Counter[Move]] = {}
        for state, move in seen:
            counts.setdefault(state, Counter())[move] += 1
        return cls(tuple(sorted((state, max(sorted(each), key=each.__getitem__)) for state, each in counts.items())))

    def __call__(self, state: State) -> Move:
        return dict(self.moves).get(state, "answer")


@dataclass(frozen=True)
class Powering:
    """Split questions about powers by `moves`: H's own (`exact`) or learned ones. The parts are answered, never split.

    The whole question reads the permutation only where it is about one step; its parts never do, so that whoever
    answers them must have learned to. Implements `rrm.core.protocols.GrowingDecomposer`.
    """

    moves: LearnedMoves | None = None

    @cached_property
    def name(self) -> str:
        return content_id("powering", self.moves)

    def start(self, source: Source, seed: int) -> TaskGraph:
        """Return the question as one open node; raise InputError for another text."""
        _, level, _ = _read(source.text)
        question, blank, steps = source.text.partition("\n\n")
        if level or not steps.strip():
            return TaskGraph.start(Task(question, max_tokens=8, rank=level + 1), self.name, seed_for(seed, source.id))
        span = Span(len(question) + len(blank), len(source.text))
        task = Task(question, source.id, span, max_tokens=8, rank=1)
        return TaskGraph.start(task, self.name, seed_for(seed, source.id))

    def split(
        self, source: Source, graph: TaskGraph, node: Node, answers: Mapping[str, Output], n: int, seed: int
    ) -> Sequence[Proposal]:
        """Return the one move there is."""
        if node.id != graph.root:
            return [Proposal()]
        point, level, permutation = _read(node.task.instruction)
        asked = graph.children(node.id)
        if asked and asked[-1] not in answers:
            return [Proposal(note="a part has no answer to go on from")]
        move = (self.moves or exact)(State(level == 0, len(asked)))
        if move == "answer":
            return [Proposal()]
        about = answers[asked[-1]].text.strip() if move == "ask about the answer" and asked else point
        less = level if move == "ask the same" else level - 1
        if less < 0:
            return [Proposal(unusable="there is no half of a single step")]
        part = Task(f"Where does {about} go in 2^{less} steps of {permutation}?", max_tokens=8, rank=less + 1)
        return [Proposal((part,), more=True)]


def moves_in(graph: TaskGraph) -> list[tuple[State, Move]]:
    """Return the moves that were made at the root of a closed graph, each with its state: a transcript of H.

    Where the last answer is the point itself, what was asked about it is taken for a question about the point.
    """
    point, level, _ = _read(graph.task(graph.root).instruction)
    asked = graph.children(graph.root)
    moves: list[tuple[State, Move]] = []
    for number, part in enumerate(asked):
        about, less, _ = _read(graph.task(part).instruction)
        half: Move = "ask about the point" if about == point else "ask about the answer"
        moves.append((State(level == 0, number), "ask the same" if less == level else half))
    return [*moves, (State(level == 0, len(asked)), "answer")]


def _read(text: str) -> tuple[str, int, str]:
    found = _QUESTION.match(text)
    if found is None:
        raise InputError(f"{text[:60]!r} does not ask where a point goes in 2^m steps")
    return found[1], int(found[2]), found[3]
