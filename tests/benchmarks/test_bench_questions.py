"""What a model chooses among when it is asked questions from files, and what chance would find."""

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.decompose_questions import at_once, chance_of, chooses_first, offered
from rrm.core.protocols import PromptContext
from rrm.core.task import Source
from tasks.recorded_rows import Question

NUMBERS = [Question(f"How many {at}?", "number", str(at)) for at in range(9)]
VERDICTS = [Question(f"Is it {at}?", "yes or no", "no" if at else "yes") for at in range(4)]


def test_the_right_answer_is_offered_first_among_those_of_other_questions() -> None:
    found = offered(NUMBERS, 0)
    assert [each[0] for each in found] == [question.answer for question in NUMBERS]
    assert all(len(set(each)) == 4 for each in found)
    assert offered(NUMBERS, 0) == found != offered(NUMBERS, 1)
    assert offered(VERDICTS, 0)[:2] == [("Yes", "No"), ("No", "Yes")]


def test_chance_is_one_in_four_or_the_larger_share_of_the_verdicts() -> None:
    assert chance_of(NUMBERS) == 0.25
    assert chance_of(VERDICTS) == 0.75


class Prefers:
    """Finds an answer as probable as its entry says; notes what it was shown."""

    def __init__(self, log_probs: dict[str, float]) -> None:
        self.log_probs, self.shown = log_probs, list[PromptContext]()

    def log_prob(self, context: PromptContext, texts: Sequence[str]) -> np.ndarray:
        self.shown.append(context)
        return np.array([self.log_probs[text] for text in texts])


@pytest.mark.parametrize(("long", "first"), [(-5.0, True), (-9.0, False)])
def test_answers_are_compared_by_their_log_probability_a_word(long: float, first: bool) -> None:
    policy = Prefers({"three short words": long, "one": -2.5})
    assert chooses_first(policy, "words", "What?", (), ("three short words", "one")) is first  # type: ignore[arg-type]


def test_facts_stand_beside_the_question() -> None:
    policy = Prefers({"Yes": -1.0, "No": -2.0})
    assert at_once(policy, "yes or no", Source("q", "Is it?\n\nIt is.\nSo."), ("Yes", "No"))  # type: ignore[arg-type]
    assert policy.shown[0].view.text == "It is.\nSo."
    assert policy.shown[0].view.instruction == "Is it? Answer yes or no."
