"""Parts made in Python refuse arguments of other kinds as run files do, in one sentence."""

from collections.abc import Callable
from typing import Any, Literal

import pytest

from rrm.assistants.local import Local
from rrm.assistants.scripted import ScriptedAssistant
from rrm.backbone.tune import Tuning
from rrm.core.arguments import misfits
from rrm.core.errors import ConfigError
from rrm.core.protocols import RewardLearner
from rrm.policy.language_model import LanguageModelPolicy
from rrm.policy.local import LocalPolicy
from rrm.reward.cross_fit import CrossFitted
from rrm.reward.dispersed import Dispersed
from rrm.reward.frozen import Frozen
from rrm.reward.joint import Joint
from rrm.reward.tuned import Tuned
from tests.reward.wrapper_problems import SharedWords

SAID = ScriptedAssistant(lambda prompt: "")
WRONG: dict[str, Callable[[], object]] = {
    "Joint: folds is a whole number, got '3'": lambda: Joint(folds="3"),  # type: ignore[arg-type]
    "Joint: folds is a whole number, got None": lambda: Joint("tiny", folds=None),  # type: ignore[arg-type]
    "Joint: device is a text, got None": lambda: Joint("tiny", device=None),  # type: ignore[arg-type]
    "Joint: backbone is a text, got None": lambda: Joint(None),  # type: ignore[arg-type]
    "LocalPolicy: model is a text, got None": lambda: LocalPolicy(None),  # type: ignore[arg-type]
    "LocalPolicy: tokenizer cannot be None": lambda: LocalPolicy("tiny", tokenizer=None),  # type: ignore[arg-type]
    "Local: max_tokens is a whole number, got None": lambda: Local("tiny", max_tokens=None),  # type: ignore[arg-type]
    "Joint: backbone is a text, got 3": lambda: Joint(3),  # type: ignore[arg-type]
    "Tuned: processes is a whole number, got 1.5": lambda: Tuned("tiny", processes=1.5),  # type: ignore[arg-type]
    "CrossFitted: folds is a whole number, got True": lambda: CrossFitted(SharedWords(), True),
    "Dispersed: members is a whole number, got '24'": lambda: Dispersed(SharedWords(), "24"),  # type: ignore[arg-type]
    "Frozen: backbone is a text, got 1": lambda: Frozen(1),  # type: ignore[arg-type]
    "Local: batch is a whole number, got '8'": lambda: Local(batch="8"),  # type: ignore[arg-type]
    "LocalPolicy: nodes is a whole number, got '1'": lambda: LocalPolicy("tiny", nodes="1"),  # type: ignore[arg-type]
    "LanguageModelPolicy: reply_tokens is a whole number, got '2'": lambda: LanguageModelPolicy(SAID, reply_tokens="2"),  # type: ignore[arg-type]
    "Tuning: rank is a whole number, got 1.5": lambda: Tuning(rank=1.5),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("sentence", WRONG)
def test_an_argument_of_another_kind_is_refused_where_a_part_is_made(sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        WRONG[sentence]()
    assert str(refused.value) == sentence


def test_settings_under_any_name_are_the_part_s_own_to_refuse() -> None:
    assert Frozen(members=8, l2=2.0).config.members == 8
    assert Joint("tiny", members=4).tuned.config.members == 4


def test_what_is_missing_or_too_much_is_told_by_python() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'learner'"):
        CrossFitted()  # type: ignore[call-arg]


def test_none_is_refused_where_neither_annotation_nor_default_allows_it() -> None:
    def part(
        rate: float,
        most: int | None,
        learner: RewardLearner,
        how: Literal["a", None] = "a",
        least: int = None,  # type: ignore[assignment]  # noqa: RUF013 as some plug-ins have it
        anything: Any = 0,
    ) -> None: ...

    named = ("most", "least", "how", "anything", "unknown")
    assert list(misfits(part, dict.fromkeys(named))) == []
    assert list(misfits(part, dict.fromkeys(("rate", "learner")))) == [
        "rate is a number, got None",
        "learner cannot be None",
    ]


def test_whole_numbers_are_numbers_and_nothing_is_looked_at_that_is_no_plain_kind() -> None:
    def part(rate: float, names: tuple[str, ...], seed: int | None = None) -> None: ...

    assert list(misfits(part, {"rate": 1, "names": 3, "seed": None})) == []
    assert list(misfits(part, {"rate": True, "seed": "1"})) == [
        "rate is a number, got True",
        "seed is a whole number, got '1'",
    ]
