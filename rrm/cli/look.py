"""Looking at runs and trees without carrying anything out: quick commands that load no model."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rrm.cli.plugins import make
from rrm.cli.runfile import RunFile, run_file, with_changes
from rrm.core.errors import InputError, StoreError
from rrm.core.report import Report
from rrm.core.values import Failure, Feedback, Rated, Request
from rrm.report.record import report_from_json
from rrm.store.record import SqlStore, open_store

REPORT = "report.json"


def settings_of(record: SqlStore, directory: Path) -> RunFile:
    """Return the settings with which a folder's run was begun."""
    table = record.setting("run")
    if table is None:
        raise StoreError(f"{directory} holds a record without a run")
    return run_file(table, learns=False)


def finished(directory: str | Path) -> Report:
    """Return the report of a finished run; raise InputError if there is none yet."""
    path = Path(directory) / REPORT
    try:
        return report_from_json(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise InputError(f"{directory} holds no finished run: there is no {REPORT} in it") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a report that this version of rrm wrote: {error}") from error


def status(directory: str | Path) -> dict[str, Any]:
    """Return what is on record: steps done and failed, ratings asked and given, what was spent."""
    with open_store(Path(directory), "read") as store:
        settings = settings_of(store, Path(directory))
        asked = {request.id: request for request in store.load(Request)}
        answered = {feedback.request for feedback in store.load(Feedback)}
        counts = store.counts()
        failures = [f"{each.step} {each.subject}: {each.cause}" for each in store.load(Failure)]
        open_levels = Counter(request.level for id_, request in asked.items() if id_ not in answered)
        return {
            "name": settings.name,
            "finished": (Path(directory) / REPORT).exists(),
            "steps": {f"{each.step} level {each.level}": f"{each.done} done, {each.failed} failed" for each in counts},
            "ratings": len(answered),
            "waiting_for": {f"level {level}": count for level, count in sorted(open_levels.items())},
            "failures": failures[:20],
            "spent": {kind: round(amount, 2) for kind, amount in store.spent().items()},
        }


def decompose(source: Path, plugin: str, changes: Sequence[str], seed: int, shape: str) -> str:
    """Return a book's tree as text, JSON or SVG."""
    from rrm.report.tree import tree_svg, tree_text

    table = with_changes({"arguments": {}}, [f"arguments.{change}" for change in changes])
    book = make("tasks.books:read_book", {"path": source}, {}, "source")
    decomposer = make(plugin, table["arguments"], {}, "decomposer")
    if not hasattr(decomposer, "decompose"):
        raise InputError(f"{plugin} waits for a model: name it in a run file and use rrm run")
    graph = decomposer.decompose(book, seed)
    if shape == "json":
        return json.dumps(graph.to_json())
    return tree_svg(graph) if shape == "svg" else tree_text(graph, book)


def export(directory: Path, form: str, out: Path | None) -> dict[str, Any]:
    """Write the recorded ratings as TRL rows, JSON lines or Parquet, and say where and how many."""
    from rrm.interchange.export import to_jsonl, to_parquet, to_records, to_trl

    with open_store(directory, "read") as store:
        requests = {request.id: request for request in store.load(Request)}
        rated = [Rated(requests[each.request], each) for each in store.load(Feedback) if each.request in requests]
    if not rated:
        raise InputError(f"{directory} holds no ratings to export")
    path = out or directory / ("ratings.parquet" if form == "parquet" else f"ratings-{form}.jsonl")
    rows = to_records(rated) if form == "jsonl" else to_trl(rated, margins=False)
    count = to_parquet(rows, path) if form == "parquet" else to_jsonl(rows, path)
    return {"file": str(path), "rows": count, "ratings": len(rated)}
