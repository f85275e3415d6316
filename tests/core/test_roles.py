"""Judge roles: what each guard refuses, and what it lets through as it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from rrm.core.errors import RoleError
from rrm.core.place import Place
from rrm.core.roles import (
    ROLES,
    Final,
    JudgeUse,
    Ratings,
    Role,
    Select,
    Train,
    for_choosing,
    for_fitting,
    for_improving,
)
from rrm.core.values import Group, Prediction


@dataclass(frozen=True)
class Judge:
    """A scorer that is never asked."""

    role: type[Role]
    name: str = "judge"

    def score(self, groups: Sequence[Group]) -> list[Prediction]:
        raise AssertionError("a guard asks nobody")


def test_roles_stand_in_records_under_their_names() -> None:
    assert {"train": Train, "select": Select, "final": Final} == ROLES


def test_models_are_fitted_on_ratings_of_train_and_of_select_and_never_of_final() -> None:
    for role in (Train, Select):
        ratings = Ratings(role, ())
        assert for_fitting(ratings) is ratings
    with pytest.raises(RoleError, match="role final: they only report"):
        for_fitting(Ratings(Final, ()))


def test_policies_are_improved_against_train_alone() -> None:
    judge = Judge(Train)
    assert for_improving(judge) is judge
    for role in (Select, Final):
        with pytest.raises(RoleError, match=f"role train, not of role {role.name}"):
            for_improving(Judge(role))


def test_checkpoints_are_chosen_by_select_alone() -> None:
    judge = Judge(Select)
    assert for_choosing(judge) is judge
    for role in (Train, Final):
        with pytest.raises(RoleError, match=f"role select, not of role {role.name}"):
            for_choosing(Judge(role))


def test_every_use_of_a_judge_is_told_apart() -> None:
    use = JudgeUse(Place(), "train", "fit", 9)
    others = [
        replace(use, place=Place(1)),
        replace(use, role="select"),
        replace(use, purpose="improve"),
        replace(use, outputs=8),
    ]
    assert len({each.id for each in (use, *others)}) == 5
