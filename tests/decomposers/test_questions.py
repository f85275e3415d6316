"""Nested questions: each is made from the answer before, and the answers lead to the right one."""

from collections.abc import Callable, Mapping

import pytest

from decomposers.questions import NestedQuestions
from rrm.core.errors import ConfigError, InputError
from rrm.core.graph import GrowthBudget, Node, TaskGraph
from rrm.core.growth import Grown, grow
from rrm.core.protocols import GrowingDecomposer
from rrm.core.task import Source
from rrm.core.values import Output
from tasks.fact_chains import FactChain, FactChains

FACTS = """What is the birthplace of the author of The Tower of Glass?

The author of The Tower of Glass is Ada Wren.
The author of The Paper Meadow is Bruno Holt.
The birthplace of Bruno Holt is Limora.
The birthplace of Ada Wren is Ostel."""
TOWER = Source("tower", FACTS)


def grown(source: Source, say: Callable[[str, str], str] = lambda name, fact: name) -> Grown:
    """Grow the graph with answers looked up; `say` words a name and its fact."""

    def answer(graph: TaskGraph, node: Node, answers: Mapping[str, Output]) -> Output:
        assert node.task.span is not None
        start = node.task.instruction.removeprefix("What is the ").removesuffix("?")
        facts = source.read(node.task.span).splitlines()
        fact = next((line for line in facts if line.startswith(f"The {start} is ")), "")
        return Output(node.id, say(fact.partition(" is ")[2].rstrip("."), fact), "look up", 0)

    return grow(NestedQuestions(), source, 0, answer)


def asked(graph: TaskGraph) -> list[str]:
    return [graph.task(part).instruction for part in graph.children(graph.root)]


def test_the_second_question_is_made_from_the_answer_to_the_first_and_reads_it() -> None:
    graph, answers = grown(TOWER)
    assert isinstance(NestedQuestions(), GrowingDecomposer)
    assert asked(graph) == ["What is the author of The Tower of Glass?", "What is the birthplace of Ada Wren?"]
    first, second = graph.children(graph.root)
    assert (graph.reads(first), graph.reads(second)) == ((), (first,))
    assert graph.task(graph.root).instruction == FACTS.partition("\n")[0]
    assert graph.task(graph.root).span is None  # the whole composes answers
    span = graph.task(first).span
    assert span is not None and TOWER.read(span) == FACTS.partition("\n")[2]
    assert set(answers) == {first}
    assert [len(level) for level in graph.levels] == [2, 1]
    assert not graph.refusals


@pytest.mark.parametrize(
    "say",
    [
        lambda name, fact: name,
        lambda name, fact: fact,
        lambda name, fact: f" {name}.\n",
        lambda name, fact: f"{name}\nThat is what the text says.",
        lambda name, fact: f"{fact} The birthplace of Bruno Holt is Limora.",
    ],
)
def test_an_answer_may_be_a_name_or_a_fact(say: Callable[[str, str], str]) -> None:
    assert asked(grown(TOWER, say).graph)[1] == "What is the birthplace of Ada Wren?"


def test_another_answer_makes_another_question() -> None:
    graph = grown(TOWER, lambda name, fact: "Bruno Holt").graph
    assert asked(graph)[1] == "What is the birthplace of Bruno Holt?"
    assert graph.children(graph.root)[0] == grown(TOWER).graph.children(graph.root)[0]
    assert graph.children(graph.root)[1] != grown(TOWER).graph.children(graph.root)[1]


def test_without_an_answer_the_task_closes_with_the_parts_that_it_has() -> None:
    graph = grown(TOWER, lambda name, fact: " ").graph
    assert len(asked(graph)) == 1
    assert graph.note(graph.root) == "part 0 has no answer to go on from"


def final(chain: FactChain) -> str:
    graph, _ = grown(chain.source)
    last = graph.task(graph.children(graph.root)[-1]).instruction.removeprefix("What is the ").removesuffix("?")
    return chain.source.text.partition(f"The {last} is ")[2].partition(".")[0]


@pytest.mark.parametrize("hops", [1, 2, 3, 6])
def test_looked_up_step_by_step_every_question_is_answered_right(hops: int) -> None:
    questions = FactChains(count=20, hops=hops)
    for chain in questions.chains:
        graph, answers = grown(chain.source)
        assert asked(graph) == [step.question for step in chain.steps]
        assert [answer.text for answer in answers.values()] == [step.answer for step in chain.steps[:-1]]
        assert questions.gold(chain.source.id, None, final(chain)) == 1


def test_at_the_end_of_its_budget_the_chain_is_closed_where_it_is() -> None:
    chain = FactChains(count=1, hops=6).chains[0]
    graph = grow(
        NestedQuestions(),
        chain.source,
        0,
        lambda _, node, __: Output(node.id, "Nobody", "x", 0),
        GrowthBudget(max_splits=2),
    ).graph
    assert len(asked(graph)) == 2
    assert "max_splits = 2" in graph.refusals[0].reason


def test_the_name_covers_the_settings_and_a_root_belongs_to_its_source_and_seed() -> None:
    assert NestedQuestions(5).name != NestedQuestions(6).name
    other = Source("tower", FACTS.replace("Ostel", "Varburg"))
    roots = {NestedQuestions().start(source, seed).root for source in (TOWER, other) for seed in (0, 1)}
    assert len(roots) == 4


@pytest.mark.parametrize(
    "text", ["", "Who wrote it?\nThe author of X is Y.", "What is the author of X?", "What is the author of X?\n \n"]
)
def test_a_source_without_a_question_or_facts_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="odd: nested questions need a first line like"):
        NestedQuestions().start(Source("odd", text), 0)


def test_a_length_limit_that_lets_nothing_be_said_is_refused() -> None:
    with pytest.raises(ConfigError, match="max_tokens must be at least 1"):
        NestedQuestions(0)
