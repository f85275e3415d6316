"""Trees of known shape on record, made through the same gates as a run's, for the tests of the tree viewer."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from rrm.core.claims import Claim, Claims, Origin
from rrm.core.graph import Node, Proposal, TaskGraph
from rrm.core.place import Place
from rrm.core.task import Source, Span, Task
from rrm.core.values import (
    Answer,
    Comparison,
    Feedback,
    Fitted,
    Label,
    Output,
    Passage,
    Request,
    Scored,
    Shown,
    View,
)
from rrm.store.record import open_store

WORDS = ("river", "lamp", "orchard", "quarrel", "letter", "harbour", "sparrow", "winter", "gate", "copper", "bell")


def source_of(words: int, seed: int = 0, title: str = "The Copper Bell") -> Source:
    """A text of random words in short sentences."""
    random = Random(seed)
    sentences = [" ".join(random.choices(WORDS, k=8)).capitalize() + "." for _ in range(words // 8)]
    return Source(title, " ".join(sentences))


def grown(source: Source, leaves: int, fan: int = 5) -> TaskGraph:
    """A tree over a source with about so many leaves of equal length, at most `fan` to a parent."""
    size = max(1, -(-len(source.text) // leaves))

    def decompose(_: TaskGraph, node: Node) -> Proposal:
        start, end = node.task.span or Span(0, 0)
        pieces = -(-(end - start) // size)
        if pieces <= 1:
            return Proposal()
        step = -(-pieces // fan) * size
        return Proposal(
            tuple(Task("Summarise.", source.id, Span(at, min(at + step, end))) for at in range(start, end, step))
        )

    whole = Task("Summarise.", source.id, Span(0, len(source.text)))
    return TaskGraph.start(whole, "halves", 0).grow_all(decompose).with_context()


def chain(length: int) -> TaskGraph:
    """A tree in which every node but the last has one part."""

    def decompose(_: TaskGraph, node: Node) -> Proposal:
        return Proposal((Task(f"Go on from {node.task.rank}.", rank=node.task.rank - 1),) if node.task.rank > 1 else ())

    return TaskGraph.start(Task("Go on.", rank=length), "one by one", 0).grow_all(decompose)


def outputs_at(graph: TaskGraph, each: int, seed: int = 0) -> dict[str, list[Output]]:
    """So many outputs at every node, parents' made from the first of each part."""
    random = Random(seed)
    found: dict[str, list[Output]] = {}
    for node in reversed(graph.in_order()):
        inputs = tuple(found[part][0].id for part in graph.children(node))
        found[node] = [
            Output(node, " ".join(random.choices(WORDS, k=14)), "words", number, inputs) for number in range(each)
        ]
    return found


def scores_of(graph: TaskGraph, outputs: dict[str, list[Output]], members: int = 6, seed: int = 1) -> list[Any]:
    """A model for every level and its scores of all outputs."""
    random = Random(seed)
    models = [Fitted(Place(level=level), f"level-{level}", f"{level:032x}", 100) for level in range(len(graph.levels))]
    scored = []
    for node, said in outputs.items():
        for output in said:
            centre = random.random()
            acceptance = tuple(min(1.0, max(0.0, centre + random.gauss(0, 0.08))) for _ in range(members))
            rewards = tuple(6 * each - 3 for each in acceptance)
            scored.append(Scored(output.id, models[graph.height(node)].id, rewards, acceptance))
    return [*models, *scored]


def way_down(graph: TaskGraph, outputs: dict[str, list[Output]], source: Source) -> list[Claims]:
    """Claims of the root's first output, which rests on the first part's, and so on to the first words of the text.

    The root's second output rests on nothing.
    """
    way = [graph.root]
    while parts := graph.children(way[-1]):
        way.append(parts[0])
    said = [outputs[node][0] for node in way]
    origins = [Origin(below.id, Span(0, len(below.text)), 0.9) for below in said[1:]]
    origins.append(Origin(None, Span(0, source.text.index(".") + 1), 0.8))
    claims = [
        Claims(each.id, (Claim(Span(0, len(each.text)), (origin,)),))
        for each, origin in zip(said, origins, strict=True)
    ]
    other = outputs[graph.root][1]
    return [*claims, Claims(other.id, (Claim(Span(0, len(other.text))),))]


class Proposed(NamedTuple):
    """A finished proposal of outputs at a node in some round, as a record takes it."""

    id: str
    step: str
    place: Place
    slot: str


def proposed_in_rounds(folder: Path, graph: TaskGraph, rounds: Sequence[Sequence[Output]]) -> None:
    """Put outputs of one node on record as proposed in the first round, the second, and so on."""
    with open_store(folder) as store:
        for round_, outputs in enumerate(rounds):
            node = outputs[0].node
            place = Place(round_, level=graph.height(node))
            store.complete([(Proposed(f"round-{round_}", "propose", place, node), list(outputs))])


def view_of(graph: TaskGraph, source: Source, node: str) -> View:
    task = graph.task(node)
    return View(task.instruction, (Passage(source.read(task.span or Span(0, 0))),), task.max_tokens)


def asked(graph: TaskGraph, source: Source, output: Output, kind: str, *others: Output, copy: int = 0) -> Request:
    """A request of a kind about one or more outputs of a node."""
    shown = tuple(Shown(each.id, each.text) for each in (output, *others))
    place = Place(level=graph.height(output.node))
    return Request(output.node, source.id, place, kind, view_of(graph, source, output.node), shown, copy=copy)


def ratings(
    graph: TaskGraph, source: Source, outputs: dict[str, list[Output]], nodes: Sequence[str]
) -> Iterator[Request | Feedback]:
    """A comparison and a label about each of these nodes, answered."""
    for node in nodes:
        first, second = outputs[node][:2]
        answers: tuple[tuple[Request, Answer], ...] = (
            (asked(graph, source, first, "comparison", second), Comparison(0)),
            (asked(graph, source, first, "label"), Label(True)),
        )
        for request, answer in answers:
            yield request
            yield Feedback(request.id, "p-anna", answer, 12.5)


def recorded(directory: Path, leaves: int, words: int = 0, outputs: int = 3) -> tuple[Source, TaskGraph]:
    """A record with one tree of so many leaves: outputs, scores, and ratings of every third node."""
    source = source_of(words or 8 * leaves)
    graph = grown(source, leaves)
    said = outputs_at(graph, outputs)
    with open_store(directory) as store:
        store.append([source, graph, *(each for some in said.values() for each in some)])
        store.append(scores_of(graph, said))
        store.append(list(ratings(graph, source, said, [*graph][::3])))
    return source, graph
