"""Questions split as people split them: steps asked once what they refer to is answered, bad references refused."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from decomposers.questions import RecordedSteps
from rrm.core.graph import Node, TaskGraph
from rrm.core.growth import grow
from rrm.core.protocols import GrowingDecomposer, RecordedStep
from rrm.core.task import Source
from rrm.core.values import Output

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("RRM_DATA", ROOT.parent / "shared" / "data"))
SOURCE = Source("q", "Is a fox older than an oak?\n\nThe fox is 3.\nThe oak is 90.")


class Plans:
    name = "plans"

    def __init__(self, *steps: tuple[str, tuple[int, ...]]) -> None:
        self.kept = [RecordedStep(*step) for step in steps]

    def steps(self, question: str) -> Sequence[RecordedStep]:
        assert question == "Is a fox older than an oak?"
        return self.kept


def echo(graph: TaskGraph, node: Node, answers: Mapping[str, Output]) -> Output:
    return Output(node.id, f"<{node.task.instruction}>.\nmore", "echo", 0)


def test_steps_wait_for_what_they_refer_to_and_the_reference_becomes_the_answer() -> None:
    plans = Plans(("How old is the fox?", ()), ("Is #1 less than #3?", (0, 2)), ("How old is the oak?", ()))
    late = Plans(("How old is the fox?", ()), ("How old is the oak?", ()), ("Is #1 less than # 90, #2?", (0, 1)))
    decomposer = RecordedSteps(late)
    assert isinstance(decomposer, GrowingDecomposer)
    graph = grow(decomposer, SOURCE, 0, echo).graph
    texts = [graph.task(part).instruction for part in graph.children(graph.root)]
    assert texts[2] == "Is <How old is the fox?> less than # 90, <How old is the oak?>?"
    assert graph.reads(graph.children(graph.root)[2]) == graph.children(graph.root)[:2]
    assert graph.splits(graph.root) == 2 and graph.task(graph.root).span is None
    span = graph.task(graph.children(graph.root)[0]).span
    assert span and SOURCE.read(span) == "The fox is 3.\nThe oak is 90."
    refused = grow(RecordedSteps(plans), SOURCE, 0, echo).graph
    assert (len(refused), len(refused.refusals)) == (1, 3)
    assert "part 1 reads part 2, but references point backward" in refused.refusals[0].reason


def test_of_a_calculation_its_result_is_handed_on() -> None:
    plans = Plans(("How many?", ()), ("How many of #1 are left?", (0,)))

    def works_out(graph: TaskGraph, node: Node, answers: Mapping[str, Output]) -> Output:
        return Output(node.id, "There are 3*4 = <<3*4=12>>12.", "by hand", 0)

    graph = grow(RecordedSteps(plans), SOURCE, 0, works_out).graph
    assert graph.task(graph.children(graph.root)[1]).instruction == "How many of 12 are left?"


def test_whole_plans_stand_as_they_are_written() -> None:
    plans = Plans(("How old is the fox?", ()), ("Is #1 much?", (0,)))
    graph = grow(RecordedSteps(plans, substitute=False), SOURCE, 0, echo).graph
    assert [graph.task(part).instruction for part in graph.children(graph.root)] == [
        "How old is the fox?",
        "Is #1 much?",
    ]
    assert graph.splits(graph.root) == 1


def test_steps_made_in_waves_read_the_right_parts() -> None:
    plans = Plans(("A?", ()), ("B of #1?", (0,)), ("C?", ()), ("D of #2 and #3?", (1, 2)))
    graph = grow(RecordedSteps(plans), SOURCE, 0, echo).graph
    a, c, b, d = graph.children(graph.root)
    assert [graph.task(each).instruction for each in (a, c, b)] == ["A?", "C?", "B of <A?>?"]
    assert graph.task(d).instruction == "D of <B of <A?>?> and <C?>?"
    assert (graph.reads(b), graph.reads(d)) == ((a,), (b, c))


@pytest.mark.skipif(not DATA.is_dir(), reason=f"REAL DATA ABSENT: no folder {DATA}; set RRM_DATA")
def test_of_break_the_gate_refuses_the_one_row_that_refers_to_itself_and_forward_and_no_other() -> None:
    from tasks.questions import Questions, RecordedPlans

    paths = tuple(str(DATA / "break_qdmr" / f"{name}.jsonl.gz") for name in ("train", "validation"))
    decomposer, refused = RecordedSteps(RecordedPlans(paths), substitute=False), []
    for source in Questions(paths).sources():
        graph = grow(decomposer, source, 0, echo).graph
        backward = [each for each in graph.refusals if "references point backward" in each.reason]
        refused += [source.title] if backward else []
    assert len(refused) == 1
