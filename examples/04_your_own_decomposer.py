"""Your own decomposer in ten lines: halve the text at a sentence end until the pieces are short."""

from dataclasses import dataclass

from rrm.core.graph import Node, Proposal, TaskGraph
from rrm.core.task import Source, Span, Task
from rrm.core.text import sentences


@dataclass(frozen=True)
class Halves:
    """Splits at the sentence end nearest to the middle, down to `most` characters."""

    most: int = 400
    name: str = "halves"

    def decompose(self, source: Source, seed: int) -> TaskGraph:
        def halve(graph: TaskGraph, node: Node) -> Proposal:
            start, end = node.task.span
            ends = [start + stop for _, stop in sentences(source.text[start:end])][:-1]
            if end - start <= self.most or not ends:
                return Proposal()
            cut = min(ends, key=lambda at: abs(at - (start + end) / 2))
            return Proposal(tuple(Task("Summarize.", source.id, Span(*part)) for part in ((start, cut), (cut, end))))

        whole = Task("Summarize.", source.id, Span(0, len(source.text)))
        return TaskGraph.start(whole, self.name, seed).grow_all(halve)


def main() -> None:
    text = " ".join(
        f"In year {year} the river rose, and the village moved a little further up the hill." for year in range(20)
    )
    source = Source("The river", text)
    graph = Halves().decompose(source, seed=0)
    print(f"{len(graph)} nodes, {len(graph.leaves)} leaves, {len(graph.levels)} levels")
    print("first leaf:", source.read(graph.task(graph.leaves[0]).span))


if __name__ == "__main__":
    main()
