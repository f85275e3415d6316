"""Any decomposer splits a source outside a run: those that split at once, those that wait, those that grow."""

import inspect
import json
import pkgutil
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

import decomposers
from rrm.api.splitting import decompose
from rrm.core.errors import ConfigError, InputError, PluginError
from rrm.core.protocols import Prompt, Reply

QUESTION = "What is the birthplace of the author of The Mill?\n\n"
FACTS = (
    "the author of The Mill is Ada Moss.\nthe birthplace of Ada Moss is Ostel.\nthe birthplace of Ada Poll is Limora."
)
TEXT = "\n\n".join(f"Scene {number}. The rain fell all day, and nobody came." for number in range(9))


@pytest.fixture
def question(tmp_path: Path) -> Path:
    path = tmp_path / "question.txt"
    path.write_text(QUESTION + FACTS)
    return path


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    path = tmp_path / "scenes.txt"
    path.write_text(TEXT)
    return path


def test_a_decomposer_that_asks_a_model_splits_a_text(scenes: Path) -> None:
    changes = ("least_tokens=60", "leaf_tokens=90")
    drawn = decompose(scenes, "decomposers.language_model:LanguageModelDecomposer", changes, 0, "json")
    leaves = [node for node in json.loads(drawn.text)["nodes"] if not node["children"]]
    assert len(leaves) == 3  # the scripted model cuts in three
    assert sorted(tuple(leaf["task"]["span"]) for leaf in leaves)[0][0] == 0


def test_a_planner_splits_a_task_that_is_the_files_first_paragraph(scenes: Path) -> None:
    drawn = decompose(scenes, "decomposers.plans:LanguageModelPlanner", ("max_depth=1", 'task="Tell it all."'))
    assert drawn.text.splitlines()[0].startswith("level 1")
    assert drawn.text.count("level 0") == 3


def test_a_growing_decomposer_is_answered_by_a_policy_and_its_questions_are_drawn(question: Path) -> None:
    drawn = decompose(question, "decomposers.questions:NestedQuestions", shape="text")
    assert "What is the birthplace of the author of The Mill?" in drawn.text
    assert "What is the author of The Mill?" in drawn.text
    svg = decompose(question, "decomposers.questions:NestedQuestions", shape="svg").text
    assert svg.startswith("<svg")


STEPS = """{"qid": "a", "question": "Is the oak door heavier than the bell?", "answer": false,
 "facts": ["The oak door weighs 48 kilograms.", "The bell weighs 61 kilograms."],
 "steps": [{"text": "What does the door weigh?", "deps": []}, {"text": "What does the bell weigh?", "deps": []},
  {"text": "Is #1 more than #2?", "deps": [0, 1]}]}"""
DRAWN: dict[str, tuple[str, tuple[str, ...], int]] = {
    "decomposers.chunks:Chunks": (TEXT, ("leaf_tokens=60",), 2),
    "decomposers.segmenter:Segmenter": (TEXT, ("leaf_tokens=60",), 2),
    "decomposers.language_model:LanguageModelDecomposer": (TEXT, ("least_tokens=60", "leaf_tokens=90"), 3),
    "decomposers.plans:LanguageModelPlanner": (TEXT, ("max_depth=1", 'task="Tell it all."'), 3),
    "decomposers.questions:NestedQuestions": (QUESTION + FACTS, (), 2),
    "decomposers.questions:RecordedSteps": (
        "Is the oak door heavier than the bell?\n\nThe oak door weighs 48 kilograms.",
        ('plans={ plugin = "tasks.questions:RecordedPlans", arguments = { paths = ["steps.jsonl"] } }',),
        3,
    ),
    "decomposers.powering:Powering": ("Where does 2 go in 2^1 steps of P1?\n\n1 to 3\n2 to 1\n3 to 2", (), 2),
}
"""A source of each decomposer, its settings, and how many parts its root has when a script or an extract answers."""


def test_every_decomposer_there_is_stands_in_the_table() -> None:
    made = set()
    for module in pkgutil.iter_modules(decomposers.__path__, "decomposers."):
        for name, kind in inspect.getmembers(import_module(module.name), inspect.isclass):
            if kind.__module__ == module.name and any(
                hasattr(kind, method) for method in ("decompose", "decompose_async", "split", "split_async")
            ):
                made.add(f"{module.name}:{name}")
    assert made == set(DRAWN)


@pytest.mark.parametrize("plugin", DRAWN)
def test_every_decomposer_is_drawn(plugin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, changes, parts = DRAWN[plugin]
    monkeypatch.chdir(tmp_path)
    Path("steps.jsonl").write_text(" ".join(STEPS.split()))
    Path("source.txt").write_text(text)
    tree = json.loads(decompose(Path("source.txt"), plugin, changes, 0, "json").text)
    assert len(next(node["children"] for node in tree["nodes"] if node["id"] == tree["root"])) == parts


def test_refused_proposals_are_told(scenes: Path) -> None:
    plugin, changes = "decomposers.plans:LanguageModelPlanner", ("max_depth=1", "max_parts=1", 'task="Tell it all."')
    drawn = decompose(scenes, plugin, changes)  # the scripted model cuts in three
    root = json.loads(decompose(scenes, plugin, changes, shape="json").text)["root"]
    assert drawn.refusals == (f"refused at {root}: the plan has 3 subtasks, more than 1",) * 3
    assert drawn.text.startswith("level 0")


class Says:
    """An assistant that says one thing whatever it is asked."""

    said, name = "", "says"

    async def ask(self, prompt: Prompt) -> Reply:
        return Reply(self.said)


def plan(*parts: dict[str, object]) -> str:
    return json.dumps({"too_big": True, "why": "", "parts": parts})


def step(instruction: str, *reads: int, units: tuple[int, int] = (0, 0)) -> dict[str, object]:
    return {"instruction": instruction, "reads": reads, "first": units[0], "last": units[1]}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("I would read it first, and then think.", "says: the answer is not JSON"),
        (plan(step("One?", 1), step("Two?", 0)), "part 0 reads part 1, but references point backward"),
        (plan(step("One?"), step("Two?", 2), step("Three?")), "part 1 reads part 2, but references point backward"),
        (plan(step("One?", 0)), "part 0 reads part 0, but references point backward"),
        (plan(*(step("Again?") for _ in range(1_000))), "the plan has 1000 subtasks, more than 8"),
        (plan(*(step("Again?") for _ in range(10_000))), "characters, more than 100000"),
        (plan(step("tell it  ALL.")), "part 0 asks for the same as its parent: 'tell it ALL.'"),
        (plan(step("Tell it all.", units=(1, 9))), "part 0 asks for the same as its parent: 'Tell it all.'"),
        (plan(step(" ")), "subtask 0 is empty: it has no instruction"),
        (plan(), "a task that is too big has `parts`, a list of one subtask or more"),
        (plan(step("Half.", units=(3, 99))), "subtask 0 must be about units from 1 to 9"),
    ],
)
def test_a_bad_plan_is_refused_with_its_reason_and_the_task_stands_as_it_is(
    said: str, reason: str, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Says, "said", said)
    changes = ("max_depth=1", 'task="Tell it all."')
    drawn = decompose(scenes, "decomposers.plans:LanguageModelPlanner", changes, assistant=f"{__name__}:Says")
    assert len(drawn.refusals) == 3 and all(reason in each for each in drawn.refusals)
    assert drawn.text.startswith("level 0") and drawn.text.count("\n") == 1


class Given(Says):
    """The same with words that it is given as an argument."""

    def __init__(self, said: str) -> None:
        self.said = said


def test_an_assistant_is_given_its_arguments(scenes: Path) -> None:
    changes = ("max_depth=1", 'task="Tell it all."')
    planner, given = "decomposers.plans:LanguageModelPlanner", f"{__name__}:Given"
    drawn = decompose(scenes, planner, changes, assistant=given, assistant_changes=("said=no plan",))
    assert len(drawn.refusals) == 3 and "'no plan'" in drawn.refusals[0]
    with pytest.raises(ConfigError, match="it takes said"):
        decompose(scenes, planner, changes, assistant=given, assistant_changes=("words=no plan",))
    with pytest.raises(PluginError, match="takes no argument 'words'"):
        decompose(scenes, planner, changes, assistant_changes=("words=no plan",))


SPLIT_AT_ONCE = (
    "decomposers.chunks:Chunks",
    "decomposers.segmenter:Segmenter",
    "decomposers.language_model:LanguageModelDecomposer",
)


@pytest.mark.parametrize("plugin", [*SPLIT_AT_ONCE, "decomposers.plans:LanguageModelPlanner"])
def test_a_text_of_one_sentence_is_a_leaf_and_one_of_none_is_refused(plugin: str, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("It rained all day, and nobody came")
    changes = ('task="Tell it."',) if "plans" in plugin else ()
    assert len(json.loads(decompose(path, plugin, changes, shape="json").text)["nodes"]) == 1
    path.write_text(" \n\n ")
    with pytest.raises(InputError, match="no text"):
        decompose(path, plugin, changes)


@pytest.mark.slow
@pytest.mark.parametrize("plugin", SPLIT_AT_ONCE)
def test_a_text_of_a_hundred_thousand_sentences_is_split_and_covered(plugin: str, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(" ".join(f"They went on until evening {number} came." for number in range(100_000)))
    tree = json.loads(decompose(path, plugin, shape="json").text)
    spans = sorted(node["task"]["span"] for node in tree["nodes"] if not node["children"])
    assert len(spans) > 1_000
    assert all(left[1] == right[0] for left, right in pairwise(spans))


def test_what_is_no_decomposer_or_no_policy_is_refused_by_name(scenes: Path) -> None:
    with pytest.raises(PluginError, match=r"rrm\.raters\.simulated:SimulatedRaters is no decomposer"):
        decompose(scenes, "rrm.raters.simulated:SimulatedRaters", ('quality="tasks.free_reader:perceived_quality"',))
    with pytest.raises(PluginError, match="Chunks cannot answer what the decomposer waits for"):
        decompose(scenes, "decomposers.questions:NestedQuestions", answers="decomposers.chunks:Chunks")
    with pytest.raises(ConfigError, match="do not fit"):
        decompose(scenes, "decomposers.chunks:Chunks", ("leaves=3",))
