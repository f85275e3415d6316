"""A library: many sources, one after another, with one finished run's models and policies, and a row of each."""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rrm.api.front import apply
from rrm.api.look import refuse_notes, settings_of
from rrm.api.plugins import load
from rrm.api.runs import Earlier
from rrm.core.errors import BudgetError, InputError, Interrupted, SetupError, StoreError, in_one_line
from rrm.core.report import Report
from rrm.core.values import FittedComposer
from rrm.files.whole import digest_of, sync_folder
from rrm.store.record import open_store

_log = logging.getLogger("rrm.api")

ROWS = "results.jsonl"
"""The file in a library's folder that gets a row of each source as soon as it ends."""

_FOR_ALL = (Interrupted, StoreError, BudgetError, SetupError)
"""What would meet every other source, too: a full disk, a wrong key, a budget that is used up."""


@dataclass(frozen=True)
class Applied:
    """What came of a source: its chosen output with composed score and 90 % interval, or why there is none.

    `folder` holds its record and report; `failed_parts` counts what failed on the way without ending it. `digest` is of
    what the row follows from: the file, the models and how they are composed. `notes` say what was left out of the
    source or read otherwise.
    """

    source: str
    folder: str
    digest: str
    score: float | None = None
    low: float | None = None
    high: float | None = None
    text: str | None = None
    failed_parts: int = 0
    seconds: float | None = None
    failure: str | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the row as it stands in the file of rows."""
        return {**asdict(self), "notes": list(self.notes)}


def apply_each(
    directory: str | Path,
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    again: str = "the same call",
    quiet: bool = False,
    strict: bool = False,
    engine: str | None = None,
) -> Iterator[Applied]:
    """Apply a finished run to many sources one after another, and yield a row of each as it ends.

    A folder stands for the books in it. Each source has a folder of its own in `out`, and its row goes into
    `out/results.jsonl` before it is yielded. A source that fails is a row that says why. The same call goes on where it
    stopped: sources that have a row are not done again unless they failed, or unless their file, the models or what
    composes are others; then they get a folder and a row anew, which counts. With `strict` a source that there is a
    note on fails; `engine` is as for `apply`.
    Raises what would meet every source: InputError without any, StoreError, BudgetError, SetupError, Interrupted.
    """
    run, library = Path(directory), Path(out)
    books = books_of(sources)
    models = _models(run)
    library.mkdir(parents=True, exist_ok=True)
    _cut_short_line_off(library / ROWS)
    known = {row.source: row for row in read_rows(library)}
    for book in books:
        digest = _digest(book, models)
        folder = library / _folder_name(book, digest)
        before = known.get(str(book))
        done = before is not None and before.failure is None and before.digest == digest and folder.is_dir()
        if before is not None and done and not (strict and before.notes):
            yield before
            continue
        nothing = Applied(str(book), str(folder), digest)
        row = _applied(run, book, nothing, strict, again=again, quiet=quiet, engine=engine)
        _append(library / ROWS, row)
        yield row


def books_of(sources: Sequence[str | Path]) -> list[Path]:
    """Return the files that are named, each once, and those in folders that end like books, by alphabet.

    Raises InputError where that is none; a file that is not there is left to fail for itself.
    """
    endings = tuple(ending for each in load("tasks.books:READERS") for ending in each)
    found: dict[Path, None] = {}
    for source in sources:
        path = _absolute(source)
        inside = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
        books = [each for each in inside if not path.is_dir() or each.name.lower().endswith(endings)]
        if not books:
            raise InputError(f"{source}: no file in this folder ends in one of {', '.join(endings)}")
        found.update(dict.fromkeys(books))
    if not found:
        raise InputError("no source was named: give at least one book or folder of books")
    return list(found)


def _absolute(source: str | Path) -> Path:
    try:
        return Path(source).expanduser().absolute()
    except RuntimeError as error:  # ~ of somebody who is not there
        raise InputError(f"{source}: {in_one_line(error)}") from error


def read_rows(library: Path) -> list[Applied]:
    """Return the last row of each source on file; raise InputError for a line that is none."""
    path = library / ROWS
    rows: dict[str, Applied] = {}
    for at, line in enumerate(path.read_bytes().splitlines() if path.exists() else (), 1):
        try:
            told = json.loads(line)
            row = Applied(**{**told, "notes": tuple(told["notes"])})
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"{path}, line {at}, is no row of a library: take it out, or use a new folder") from error
        rows[row.source] = row
    return list(rows.values())


def _applied(run: Path, book: Path, nothing: Applied, strict: bool, **how: Any) -> Applied:
    """Apply a run to one book; return its row, made of one of `nothing`, which says why where there is no score."""
    try:
        source = load("tasks.books:read_book")(book)  # first, so that what is no book leaves no folder
        if strict:
            refuse_notes(source.notes)
        report = apply(run, [book], nothing.folder, **how)
    except _FOR_ALL:
        raise
    except Exception as error:  # a plug-in may raise anything, and the next source may be spared it
        _log.debug("%s failed", book, exc_info=True)
        return replace(nothing, failure=in_one_line(error))
    return _row(replace(nothing, notes=tuple(source.notes)), report)


def _row(nothing: Applied, report: Report) -> Applied:
    failed, [target] = len(report.failures), report.targets
    chosen = target.chosen
    if chosen is None or chosen.composed is None:
        why = report.failures[0] if report.failures else "no output of its root was scored"
        return replace(nothing, failed_parts=failed, seconds=report.seconds, failure=why)
    low, high = chosen.composed_interval or (None, None)
    return replace(
        nothing,
        score=chosen.composed,
        low=low,
        high=high,
        text=chosen.text,
        failed_parts=failed,
        seconds=report.seconds,
    )


def _models(run: Path) -> list[str]:
    """Return what identifies all that a run judges, proposes and composes with.

    Raises InputError where it has no models yet.
    """
    with open_store(run, "read") as record:
        earlier, compose = Earlier.of(record), settings_of(record, run).to_json()["compose"]
        composers = [each.id for each in record.load(FittedComposer)]
    if not earlier.models:
        raise InputError(f"{run} holds no fitted models yet: let its run finish first")
    splitter = [earlier.splitter] if earlier.splitter else []
    learned = [*(model.digest for model in earlier.needed), *(each.id for each in [*earlier.policies, *splitter])]
    return [*learned, *composers, digest_of(compose)]


def _digest(book: Path, models: Sequence[str]) -> str:
    """Return what a row follows from: a file's content, nothing where it cannot be read, and the models."""
    try:
        content = blake2b(book.read_bytes(), digest_size=16).hexdigest()
    except OSError:
        content = ""
    return digest_of({"content": content, "models": list(models)})


def _folder_name(book: Path, digest: str) -> str:
    """Return a folder's name that books of one name in two places do not share, nor a book and what it was before."""
    named = book.name.partition(".")[0][:60].encode(errors="replace").decode().replace("?", "_")
    return f"{named}-{blake2b(os.fsencode(book) + digest.encode(), digest_size=4).hexdigest()}"


def _cut_short_line_off(path: Path) -> None:
    """Take off what a kill left of a row: the source that it was of is done again, from its own record."""
    content = path.read_bytes() if path.exists() else b""
    if content and not content.endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)


def _append(path: Path, row: Applied) -> None:
    """Add a row, on the disk when this returns."""
    fresh = not path.exists()
    with path.open("ab") as file:
        file.write(json.dumps(row.to_json(), allow_nan=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if fresh:
        sync_folder(path.parent)
