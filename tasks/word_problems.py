"""Solutions of word problems as task graphs of arithmetic steps, labelled step by step."""

from collections.abc import Sequence
from typing import NamedTuple

from rrm.core.graph import Part, Proposal, TaskGraph
from rrm.core.task import Task
from rrm.core.values import Output
from tasks.arithmetic_steps import Calculation, calculations, known_operands, label, reads


class SolvedProblem(NamedTuple):
    """A solution as a closed graph, one part for each marked calculation, with their outputs and formal checks."""

    graph: TaskGraph
    outputs: dict[str, Output]
    holds: dict[str, bool | None]


class StepRow(NamedTuple):
    """A step of a solution: its calculation, whether its value is one of the human solution's, its known operands."""

    step: Calculation
    right: bool
    known: float


def solved(question: str, solution: str, by: str) -> SolvedProblem:
    """Return a written solution as a graph: a part a calculation, which reads the earlier ones that it builds on."""
    steps = calculations(solution)
    parts = tuple(
        Part(Task(f"Work out step {at + 1}: {step.expression}", rank=1), earlier)
        for at, (step, earlier) in enumerate(zip(steps, reads(steps), strict=True))
    )
    graph = TaskGraph.start(Task(question, rank=2), by, 0)
    graph = graph.grow(graph.root, Proposal(parts))
    graph = graph.grow_each({node: Proposal() for node in graph.children(graph.root)})
    nodes = dict(zip(graph.children(graph.root), steps, strict=True))
    made = {node: Output(node, f"{step.expression} = {step.result}", by, 0) for node, step in nodes.items()}
    whole = Output(graph.root, solution, by, 0, tuple(output.id for output in made.values()))
    return SolvedProblem(graph, {**made, graph.root: whole}, {node: step.holds for node, step in nodes.items()})


def labelled(question: str, solution: str, human: str) -> list[StepRow]:
    """Return a solution's steps with their labels; the human solution is read for the labels alone."""
    steps: Sequence[Calculation] = calculations(solution)
    right, known = label(steps, calculations(human)), known_operands(question, steps)
    return [StepRow(*row) for row in zip(steps, right, known, strict=True)]
