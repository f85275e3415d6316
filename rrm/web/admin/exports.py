"""Downloads of what came in."""

import time
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Annotated, Literal, TypeAlias

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse

from rrm.core.annotation import Person
from rrm.core.desk import AuditLog, DeskReader
from rrm.core.errors import AccessError
from rrm.web.access import allow
from rrm.web.admin.viewing import names_for
from rrm.web.station import Gate

Form = Literal["jsonl", "csv", "parquet", "trl"]

_FILES: dict[Form, tuple[str, str]] = {
    "jsonl": ("application/x-ndjson", "jsonl"),
    "csv": ("text/csv; charset=utf-8", "csv"),
    "parquet": ("application/vnd.apache.parquet", "parquet"),
    "trl": ("application/x-ndjson", "jsonl"),
}


def router(gate: Gate, desk: DeskReader, audit: AuditLog) -> APIRouter:
    """Return the route that streams what came in, under names that the server makes."""
    routes = APIRouter()
    Viewer: TypeAlias = Annotated[Person, Depends(allow(gate, "admin", "reader"))]

    @routes.get("/export/{form}")
    def export(
        form: Form, viewer: Viewer, answers: Literal["live", "all"] = "live", names: bool = False
    ) -> StreamingResponse:
        if names and viewer.role != "admin":
            raise AccessError("only an admin may take names along: leave them out")
        chunks = _chunks(desk, form, answers == "all", names_for(desk, viewer) if names else None)
        first = next(chunks, b"")  # so that what fails at once fails with a sentence, not half way through a file
        if names:
            audit.note(viewer.id, "export names", f"answers.{form}")
        kind, ending = _FILES[form]
        name = f"{'preferences' if form == 'trl' else 'answers'}-{time.strftime('%Y-%m-%d', time.gmtime())}.{ending}"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(chain([first], chunks), media_type=kind, headers=headers)

    return routes


def _chunks(desk: DeskReader, form: Form, every: bool, names: Mapping[str, str] | None) -> Iterator[bytes]:
    """Yield the file; "trl" holds what counts as feedback, whatever is asked for."""
    from rrm.interchange import annotations  # knows Parquet and rows of other trainers: only who exports needs it

    groups = annotations.groups_of(desk.persons())
    if form == "trl":
        rated = annotations.rated(desk.answers(), desk.requests)
        return annotations.jsonl(annotations.trl(rated, desk.why() or None, groups))
    answers = annotations.exported(desk.answers(), every)
    write = {"jsonl": annotations.jsonl, "csv": annotations.csv, "parquet": annotations.parquet}[form]
    return write(annotations.rows(answers, desk.asked, names, desk.why(), groups))
