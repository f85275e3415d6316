"""What crosses between a run and its workers elsewhere: actions, what they made, and errors, as bytes.

A message is a line of JSON, its head, and a body. Nothing is pickled, so nothing that arrives can run anybody's code.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from rrm.core import errors
from rrm.core.errors import InputError, RrmError, in_one_line
from rrm.core.graph import Proposal, TaskGraph
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.values import Fitted, Output, Scored, Supported
from rrm.engines.fits import FIT
from rrm.pipeline.plan import Action, AnyAction, Values
from rrm.pipeline.splits import DrawJob
from rrm.pipeline.stages import DecomposeJob, OutputsJob, ScoreJob, SplitJob, SupportJob


class Crossing(NamedTuple):
    """What a step's actions need, and what they make."""

    job: Any
    value: Any


STEPS: Mapping[str, Crossing] = {
    "decompose": Crossing(DecomposeJob, TaskGraph),
    "split": Crossing(SplitJob, Proposal),
    "draw": Crossing(DrawJob, Output),
    "propose": Crossing(OutputsJob, Output),
    "score": Crossing(ScoreJob, Scored),
    "support": Crossing(SupportJob, Supported),
    "fit": Crossing(FIT, Fitted),
    "fit-splits": Crossing(FIT, Fitted),
}
"""The steps whose actions can cross."""

FITS = frozenset({"fit", "fit-splits"})
"""Those that are done one at a time, so they pay on a better machine alone."""

CALL = "call"
"""What workers do who make calls of language models, whatever step of the run's process asks for them."""

ON_REQUEST = FITS | {CALL}
"""What workers do only where they are named for it."""

ELSEWHERE = "elsewhere"
"""The attribute of a log's record that says that a worker logged it."""

_Text = Annotated[str, AfterValidator(lambda text: text.encode(errors="replace").decode())]
_Count = Annotated[int, Field(ge=0, lt=2**63)]

Line = tuple[int, str, int, _Text]
"""A line that a worker logged: its number, the logger, the level, and what it says."""

Answered = tuple[dict[str, Any], bytes]
"""The head and the body of an answer."""

_AS_IT_IS = ConfigDict(ser_json_inf_nan="constants")


@dataclass(frozen=True)
class Piece:
    """Actions of one step that one worker does together; named by what they are, so done twice it is the same."""

    actions: tuple[AnyAction, ...]

    @property
    def step(self) -> str:
        return self.actions[0].step

    @cached_property
    def id(self) -> str:
        return content_id("piece", [action.id for action in self.actions])


@dataclass(frozen=True)
class Sign:
    """How a worker's action goes: how far it is, that in few words, and the last lines that it logged."""

    within: tuple[_Count, _Count] | None = None
    said: _Text = ""
    log: tuple[Line, ...] = ()

    @classmethod
    def of(cls, head: Mapping[str, Any]) -> "Sign":
        """Return what a head says; one that cannot be read says nothing but that there was a sign."""
        try:
            return _signs().validate_python(head)
        except ValidationError:
            return cls()

    @classmethod
    def read(cls, data: bytes) -> "Sign":
        """Return what a sign of life says, likewise."""
        try:
            return cls.of(read_message(data)[0])
        except InputError:
            return cls()

    @property
    def how(self) -> str:
        """How it goes, as a percentage and in words; nothing where the sign says nothing."""
        done, total = self.within or (0, 0)
        return ", ".join(filter(None, [f"{done / total:.0%}" if total else "", self.said]))


@dataclass(frozen=True)
class Raised:
    """An error on its way: its kind, whether that is one of rrm's, and what it says."""

    kind: str
    ours: bool
    said: str

    @classmethod
    def of(cls, error: BaseException) -> "Raised":
        kind = type(error)
        said = in_one_line(error).encode(errors="replace").decode()
        return cls(kind.__name__, getattr(errors, kind.__name__, None) is kind, said)

    @property
    def error(self) -> Exception:
        """The error again: one of rrm's as itself, any other of a kind of the same name."""
        kind: type[RrmError] = getattr(errors, self.kind) if self.ours else type(self.kind, (Exception,), {})
        return kind(self.said)


def message(head: Mapping[str, Any], body: bytes = b"") -> bytes:
    """Return a head, plain JSON values, and a body as one."""
    return json.dumps(head).encode() + b"\n" + body


def read_message(data: bytes) -> Answered:
    """Return head and body; raise InputError for what is no message."""
    line, _, body = data.partition(b"\n")
    try:
        head = json.loads(line)
    except ValueError as error:
        raise InputError(f"this is no message of rrm's: {line[:60]!r}") from error
    if not isinstance(head, dict):
        raise InputError(f"this is no message of rrm's: {line[:60]!r}")
    return head, body


def write_actions(actions: Sequence[AnyAction]) -> bytes:
    """Return actions of one step as bytes; raise InputError for what UTF-8 cannot write."""
    rows = [(action.id, action.slot, action.place, action.job) for action in actions]
    try:
        return _jobs(actions[0].step).dump_json(rows, warnings="error")
    except PydanticSerializationError as error:
        raise InputError(f"{actions[0].step}: it cannot be sent to a worker: {in_one_line(error)}") from error


def read_actions(step: str, body: bytes) -> list[AnyAction]:
    """Return the actions of a step that `write_actions` wrote; raise InputError for anything else."""
    try:
        return [Action(id_, step, slot, place, job) for id_, slot, place, job in _jobs(step).validate_json(body)]
    except ValidationError as error:
        raise InputError(f"{step}: these are no actions of this rrm: {in_one_line(error)}") from error


def write_results(step: str, results: Sequence[Values | Exception]) -> bytes:
    """Return what actions of a step made or raised; a value that cannot be sent counts as an error of its action."""
    try:
        return _results(step).dump_json([_row(each) for each in results], warnings="error")
    except PydanticSerializationError as error:
        if len(results) == 1:
            return write_results(step, [InputError(f"what {step} made cannot be recorded: {in_one_line(error)}")])
        each = [write_results(step, [result])[1:-1] for result in results]
        return b"[" + b",".join(each) + b"]"


def read_results(step: str, body: bytes) -> list[Values | Exception]:
    """Return what `write_results` wrote; raise InputError for anything else."""
    try:
        rows = _results(step).validate_json(body)
    except ValidationError as error:
        raise InputError(f"{step}: a worker answered what is no result of this rrm: {in_one_line(error)}") from error
    return [tuple(values) if raised is None else raised.error for values, raised in rows]


def _row(result: Values | Exception) -> tuple[list[Any], Raised | None]:
    return ([], Raised.of(result)) if isinstance(result, Exception) else (list(result), None)


@cache
def _signs() -> TypeAdapter[Sign]:
    return TypeAdapter(Sign)


@cache
def _jobs(step: str) -> TypeAdapter[Any]:
    return TypeAdapter(list[tuple[str, str, Place, STEPS[step].job]], config=_AS_IT_IS)  # type: ignore[misc,arg-type]


@cache
def _results(step: str) -> TypeAdapter[Any]:
    return TypeAdapter(list[tuple[list[STEPS[step].value], Raised | None]], config=_AS_IT_IS)  # type: ignore[misc,arg-type]
