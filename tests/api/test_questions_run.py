"""Questions and word problems from end to end with a scripted assistant: split as people did or as a model plans."""

from pathlib import Path
from typing import Any

import pytest

import rrm
from decomposers.plans import LanguageModelPlanner
from decomposers.questions import RecordedSteps
from rrm.api.plugins import load
from rrm.policy.language_model import LanguageModelPolicy
from tasks.questions import AnswerKey, Questions, RecordedPlans
from tests.toys import Lengths

EXAMPLES = Path(__file__).parents[2] / "examples"


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
