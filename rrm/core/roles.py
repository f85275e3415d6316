"""Judge roles as types: what may be optimised against, what may choose, and what only reports.

    Train    raters and scorers that may be optimised against
    Select   those that choose checkpoints and stopping points; nothing is optimised against them
    Final    those that only report: nothing is fitted on their ratings, gold among them

The types keep roles apart where mypy looks; `for_fitting`, `for_improving` and `for_choosing` do so at run
time, at the three places where ratings and scores are put to use. Whatever knows the truth is asked through
`for_reporting`, which is closed but within `reporting`, in which no plug-in is ever called.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Generic, Protocol, TypeVar

from rrm.core.errors import RoleError
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.values import Group, Prediction, Rated


class Role:
    """A judge role; `name` stands in records and run files."""

    name: ClassVar[str]


class Train(Role):
    """May be optimised against."""

    name = "train"


class Select(Role):
    """Chooses checkpoints and stopping points."""

    name = "select"


class Final(Role):
    """Only reports."""

    name = "final"


ROLES: dict[str, type[Role]] = {role.name: role for role in (Train, Select, Final)}

R = TypeVar("R", bound=Role)
R_co = TypeVar("R_co", bound=Role, covariant=True)


@dataclass(frozen=True)
class Ratings(Generic[R]):
    """Ratings of one role's raters."""

    role: type[R]
    rows: tuple[Rated, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.rows)


class Scorer(Protocol[R_co]):
    """Scores groups with models that were fitted on ratings of one role; `name` covers whatever can change a score."""

    @property
    def name(self) -> str: ...

    @property
    def role(self) -> type[R_co]: ...

    def score(self, groups: Sequence[Group]) -> list[Prediction]:
        """Return what the models say of each group, by members that were not fitted on its source."""
        ...


@dataclass(frozen=True)
class JudgeUse:
    """That a judge of a role was used: where, to what purpose (fit, improve, choose, report), on how many outputs."""

    place: Place
    role: str
    purpose: str
    outputs: int

    @cached_property
    def id(self) -> str:
        return content_id("use", str(self.place), self.role, self.purpose, self.outputs)


def for_fitting(ratings: Ratings[R]) -> Ratings[R]:
    """Return ratings that a model may be fitted on; raise RoleError for those of role final."""
    if ratings.role is Final:
        raise RoleError("nothing is fitted on ratings of role final: they only report; give their rater another role")
    return ratings


def for_improving(scorer: Scorer[Train]) -> Scorer[Train]:
    """Return a scorer that may be optimised against; raise RoleError unless its role is train."""
    if scorer.role is not Train:
        raise RoleError(f"an optimiser may use scores of role train, not of role {scorer.role.name}")
    return scorer


def for_choosing(scorer: Scorer[Select]) -> Scorer[Select]:
    """Return a scorer that may choose a checkpoint; raise RoleError unless its role is select."""
    if scorer.role is not Select:
        raise RoleError(f"checkpoints are chosen by scores of role select, not of role {scorer.role.name}")
    return scorer


_REPORTING: ContextVar[bool] = ContextVar("reporting", default=False)
"""Whether judges of role final may be asked here; closed in every thread that was not begun by a report."""


@contextmanager
def reporting() -> Iterator[None]:
    """Open the judges of role final for what is done within; only what makes a report does so."""
    before = _REPORTING.set(True)
    try:
        yield
    finally:
        _REPORTING.reset(before)


def for_reporting(judge: str) -> None:
    """Raise RoleError unless a report is being made: nobody else may ask a judge of role final."""
    if not _REPORTING.get():
        raise RoleError(
            f"the final judge, {judge}, was asked outside of a report: it only reports, so that nothing can be "
            "optimised against it, fitted to it or chosen by it"
        )
