"""Questions and word problems from end to end with a scripted assistant: split as people did or as a model plans."""

import os
from pathlib import Path
from typing import Any

import pytest

import rrm
from decomposers.plans import LanguageModelPlanner
from decomposers.questions import RecordedSteps
from rrm.api.plugins import load
from rrm.core.protocols import Prompt, Reply
from rrm.policy.language_model import LanguageModelPolicy
from tasks.questions import AnswerKey, Questions, RecordedPlans
from tasks.recorded_rows import read_questions
from tests.toys import Lengths

EXAMPLES = Path(__file__).parents[2] / "examples"
DATA = Path(os.environ.get("RRM_DATA", "../shared/data"))


def files(name: str) -> tuple[str, str]:
    """The training file and the target file of a kind."""
    return str(EXAMPLES / "recorded" / f"{name}.jsonl"), str(EXAMPLES / "recorded" / f"{name}_new.jsonl")


@pytest.mark.parametrize("kind", ["questions", "planned questions", "problems"])
def test_whole_answers_are_judged_where_gold_is_and_a_careful_model_is_right(kind: str, tmp_path: Path) -> None:
    assistant = load("quiz_model:QuizModel", EXAMPLES)(errs=0.0)
    known, new = files("problems" if kind == "problems" else "questions")
    decomposer: Any = RecordedSteps(RecordedPlans((known, new)))
    if kind == "planned questions":
        decomposer = LanguageModelPlanner(assistant, max_depth=1, inner_sees_source=False)
    report = rrm.run(
        out=tmp_path / "run",
        quiet=True,
        train=Questions((known,)),
        target=Questions((new,)),
        decomposer=decomposer,
        policy={"plugin": LanguageModelPolicy(assistant), "outputs": 1, "root_outputs": 2},
        rater={"plugin": AnswerKey((known,)), "per_node": {}, "per_root": {"label": 2}},
        reward={"plugin": Lengths()},
        flat=False,
    )
    assert report.failures == ()
    assert [target.gold_of_chosen for target in report.targets] == [1.0, 1.0, 1.0]
    assert any("level 0 is not judged: nobody is asked about it" in warning for warning in report.warnings)
    leaves = [node for target in report.targets for node in target.trees[0].nodes if node.level == 0]
    assert leaves and all(candidate.gold is None for node in leaves for candidate in node.candidates)
    assert report.ratings == 2 * len(Questions((known,)).questions)


class Reciter:
    """Knows the answers to whole questions, but one that it gets wrong, and says of every step that it is done."""

    name = "reciter"

    def __init__(self, paths: tuple[str, ...], wrong: str) -> None:
        self.answers = {each.text: each.answer for each in read_questions(paths)} | {wrong: "I have no idea"}
        self.steps = 0

    async def ask(self, prompt: Prompt) -> Reply:
        whole = [text for text in self.answers if prompt.system.startswith(text)]
        self.steps += not whole
        return Reply(self.answers[max(whole, key=len)] if whole else "done")


@pytest.mark.parametrize(
    ("train", "target"),
    [
        ("strategyqa/train.jsonl.gz", "strategyqa/validation.jsonl.gz"),
        ("entailment_bank/train.jsonl.gz", "entailment_bank/validation.jsonl.gz"),
        ("gsm8k/problems_train.jsonl.gz", "gsm8k/problems_validation.jsonl.gz"),
    ],
)
def test_the_real_sets_run_from_end_to_end_by_peoples_steps(train: str, target: str, tmp_path: Path) -> None:
    paths = (str(DATA / train), str(DATA / target))
    if not all(Path(path).exists() for path in paths):
        pytest.skip("RRM_DATA names no folder that holds the set")
    questions = [Questions((path,), count=3, seed=5) for path in paths]
    wrong = questions[1].questions[-1].text
    assistant = Reciter(paths, wrong)
    report = rrm.run(
        out=tmp_path / "run",
        quiet=True,
        train=questions[0],
        target=questions[1],
        decomposer=RecordedSteps(RecordedPlans(paths)),
        policy={"plugin": LanguageModelPolicy(assistant), "outputs": 1, "root_outputs": 1},
        rater={"plugin": AnswerKey(paths[:1]), "per_node": {}, "per_root": {"label": 1}},
        reward={"plugin": Lengths()},
        flat=False,
    )
    assert report.failures == ()
    assert [found.gold_of_chosen for found in report.targets] == [1.0, 1.0, 0.0]
    assert assistant.steps == sum(len(each.steps) for found in questions for each in found.questions)
