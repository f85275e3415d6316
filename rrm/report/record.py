"""Reports as JSON, there and back, so that they can be shown and compared long after the run."""

import json
from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from rrm.core.errors import InputError, NewerStoreError
from rrm.core.report import Report
from rrm.files.faults import fault_in, sentence

FORMAT = "rrm report"
VERSION = 1


def _known(version: int) -> int:
    """Raise NewerStoreError, which ends the reading at once, for a newer rrm's version."""
    if version > VERSION:
        raise NewerStoreError(f"the report has version {version}, this rrm reads up to {VERSION}: use a newer rrm")
    return version


class _File(BaseModel):
    """What stands in the file, read strictly: every key is known, and nothing is taken for another type."""

    model_config = ConfigDict(strict=True, extra="forbid")
    format: Literal["rrm report"]
    version: Annotated[int, AfterValidator(_known)]  # before the report, so that it is read first
    report: Report


def report_to_json(report: Report) -> str:
    """Return JSON from which `report_from_json` makes an equal report; half of a surrogate pair becomes "?"."""
    text = json.dumps({"format": FORMAT, "version": VERSION, "report": asdict(report)}, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()


def report_from_json(text: str | bytes) -> Report:
    """Return the report; raise InputError where the text is none, NewerStoreError for a newer rrm's."""
    try:
        return _File.model_validate_json(text).report
    except ValidationError as error:
        fault = fault_in(error)
        if fault["loc"] in ((), ("format",)):
            raise InputError(f'not a report: a report is a JSON object whose "format" is "{FORMAT}"') from error
        raise InputError(f"{sentence(fault)}; the file was changed or made by another version of rrm") from error
