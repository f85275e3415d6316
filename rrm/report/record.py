"""Reports as JSON, there and back, so that they can be shown and compared long after the run.

What claims rest on is written step by step, each step once, and steps name those below them by number: claims share
what they rest on, so that nested ways would double at every level, and JSON cannot be nested as deep as trees can.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from rrm.core.claims import Chain
from rrm.core.errors import InputError, NewerStoreError
from rrm.core.report import Report, TargetReport
from rrm.files.faults import fault_in, sentence

FORMAT = "rrm report"
VERSION = 2

_CHANGED = "the file was changed or made by another version of rrm"


def _known(version: int) -> int:
    """Raise NewerStoreError, which ends the reading at once, for a newer version; ValueError for an older one."""
    if version > VERSION:
        raise NewerStoreError(f"the report has version {version}, this rrm reads up to {VERSION}: use a newer rrm")
    if version < VERSION:
        raise ValueError(
            f"{version} is an earlier rrm's, this one reads {VERSION}: the same run given again writes the report anew"
        )
    return version


class _Strict(BaseModel):
    """What is read strictly: every key is known, and nothing is taken for another type."""

    model_config = ConfigDict(strict=True, extra="forbid")


class _Step(_Strict):
    """A claim without what it rests on, and the numbers of the steps that it rests on, all smaller than its own."""

    claim: Chain
    below: tuple[int, ...]


class _Told(_Strict):
    """The numbers of the claims of a target's chosen output, and of the one with the least score."""

    chosen: tuple[int, ...]
    least: tuple[int, ...]


class _Chains(_Strict):
    """All steps of the report's claims, and which of them are told of each target, in the report's order."""

    steps: tuple[_Step, ...]
    targets: tuple[_Told, ...]


class _File(_Strict):
    """What stands in the file; the targets of its report have no claims, these are among the chains."""

    format: Literal["rrm report"]
    version: Annotated[int, AfterValidator(_known)]  # before the report, so that it is read first
    report: Report
    chains: _Chains


def report_to_json(report: Report) -> str:
    """Return JSON from which `report_from_json` makes an equal report; half of a surrogate pair becomes "?"."""
    steps = _Steps({}, [])
    told = [{name: steps.of(claims) for name, claims in _claims(each)._asdict().items()} for each in report.targets]
    bare = asdict(replace(report, targets=tuple(_with(each, _Claims((), ())) for each in report.targets)))
    for target in bare["targets"]:
        for holder in filter(None, (target, target["least"])):
            del holder["claims"]
    chains = {"steps": steps.rows, "targets": told}
    file = {"format": FORMAT, "version": VERSION, "report": bare, "chains": chains}
    return json.dumps(file, ensure_ascii=False).encode("utf-8", "replace").decode()


def report_from_json(text: str | bytes) -> Report:
    """Return the report; raise InputError where the text is none, NewerStoreError for a newer rrm's."""
    try:
        file = _File.model_validate_json(text)
    except ValidationError as error:
        fault = fault_in(error)
        if fault["loc"] in ((), ("format",)):
            raise InputError(f'not a report: a report is a JSON object whose "format" is "{FORMAT}"') from error
        why = "" if fault["type"] == "value_error" else f"; {_CHANGED}"  # which says itself what to do
        raise InputError(sentence(fault) + why) from error
    made: list[Chain] = []
    for at, step in enumerate(file.chains.steps):
        below = _named(step.below, made, f"chains.steps[{at}].below")
        made.append(replace(step.claim, below=below))
    if len(file.chains.targets) != len(file.report.targets):
        counted = (
            f"chains.targets are {len(file.chains.targets)}, and the report has {len(file.report.targets)} targets"
        )
        raise InputError(f"{counted}; {_CHANGED}")
    told = []
    for at, each in enumerate(file.chains.targets):
        where = f"chains.targets[{at}]"
        told.append(_Claims(_named(each.chosen, made, f"{where}.chosen"), _named(each.least, made, f"{where}.least")))
    return replace(file.report, targets=tuple(map(_with, file.report.targets, told)))


class _Claims(NamedTuple):
    """The claims of a target's chosen output, and of the one with the least score."""

    chosen: tuple[Chain, ...]
    least: tuple[Chain, ...]


class _Steps(NamedTuple):
    """The steps of claims that were written so far, and the number of each by what it says and rests on."""

    numbers: dict[tuple[Any, ...], int]
    rows: list[dict[str, Any]]

    def of(self, claims: Sequence[Chain]) -> list[int]:
        """Return the numbers of claims, written behind all that they rest on."""
        return [self._number(chain) for chain in claims]

    def _number(self, claim: Chain) -> int:
        here: dict[tuple[str, int], int] = {}
        for step in claim.upwards():
            below = [here[each.output, each.claim] for each in step.below]
            alone = replace(step, below=())
            key = (alone, *below)
            if key not in self.numbers:
                self.numbers[key] = len(self.rows)
                said = {name: value for name, value in asdict(alone).items() if name != "below"}
                self.rows.append({"claim": said, "below": below})
            here[step.output, step.claim] = self.numbers[key]
        return here[claim.output, claim.claim]


def _claims(target: TargetReport) -> _Claims:
    return _Claims(target.claims, target.least.claims if target.least else ())


def _with(target: TargetReport, claims: _Claims) -> TargetReport:
    least = replace(target.least, claims=claims.least) if target.least else None
    return replace(target, claims=claims.chosen, least=least)


def _named(numbers: Sequence[int], made: Sequence[Chain], where: str) -> tuple[Chain, ...]:
    """Return the steps of these numbers; raise InputError for one that is not made yet."""
    for at, number in enumerate(numbers):
        if not 0 <= number < len(made):
            raise InputError(f"{where}[{at}] must be the number of a step before it, got {number}; {_CHANGED}")
    return tuple(made[number] for number in numbers)
