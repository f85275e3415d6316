"""A run that ended and is given again: where nothing that it was made of has changed, its report stands."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from hashlib import blake2b
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

from rrm.api.look import PAGE, REPORT
from rrm.api.runfile import Part, RunFile
from rrm.api.supplies import OURS, made_of
from rrm.api.worker import COMPOSERS, MODELS, POLICIES
from rrm.core.errors import InputError
from rrm.core.ids import content_id
from rrm.core.report import Report
from rrm.core.values import Fitted, FittedComposer, Improvement
from rrm.pipeline.steps import Recursion
from rrm.report.record import report_from_json
from rrm.store.record import SqlStore

ENDED = "ended"
"""The kind of event with which a record says what a run was made of when its report was written."""
_IMPORT_STRING = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_LEARNED = {Fitted: MODELS, Improvement: POLICIES, FittedComposer: COMPOSERS}


def remember_end(store: SqlStore, out: Path, run: RunFile, plan: Recursion) -> None:
    """Record what a run was made of when it ended; nothing of a run of which that cannot be told again."""
    if (now := _made_of(store, out, run, plan)) is not None:
        store.add_event(ENDED, now)


def standing_report(store: SqlStore, out: Path, run: RunFile, plan: Recursion) -> Report | None:
    """Return the report of a run that ended, None where anything that it was made of may have changed since.

    That is all settings, the sources' texts, the parts by name, the files that settings name, versions, all code of
    this installation, how much is on record, and the report. Runs whose parts are objects or come from elsewhere, or
    whose raters are people or assistants, always go on as if they had not ended.
    """
    ends = store.events(ENDED)
    if not ends or ends[-1].data != _made_of(store, out, run, plan) or not (out / PAGE).is_file():
        return None
    learned = ((folder, each.path) for kind, folder in _LEARNED.items() for each in store.load(kind))
    if not all((out / folder / path).is_dir() for folder, path in learned):
        return None
    try:
        return report_from_json((out / REPORT).read_bytes())
    except InputError:
        return None


def _made_of(store: SqlStore, out: Path, run: RunFile, plan: Recursion) -> dict[str, Any] | None:
    settings = run.to_json()
    strings = sorted({*_strings({**settings, "name": ""})})  # a run's name names no file
    if run.people is not None or run.assistants or not _all_told(run, strings) or not (out / REPORT).is_file():
        return None
    named = {each.name: getattr(plan, each.name) for each in fields(plan)}
    del named["count"]  # a function; what it counts by is covered by the names of the parts that read
    return {
        "settings": content_id("settings", settings),
        "plan": content_id("plan", {name: _plain(named[name]) for name in sorted(named)}),
        "files": content_id("files", [_stamp(run, each) for each in strings if each]),
        "made": made_of(run),
        "rows": store.sizes(),
        "report": blake2b((out / REPORT).read_bytes(), digest_size=16).hexdigest(),
    }


def _plain(value: Any) -> Any:
    """Return settings as JSON values: sets in an order, and tables, whose names need not be texts, as pairs."""
    if is_dataclass(value):
        return [[each.name, _plain(getattr(value, each.name))] for each in fields(value)]
    if isinstance(value, Mapping):
        return sorted([repr(name), _plain(each)] for name, each in value.items())
    if isinstance(value, frozenset):
        return sorted(map(repr, value))
    return list(map(_plain, value)) if isinstance(value, list | tuple) else value


def _all_told(run: RunFile, strings: list[str]) -> bool:
    """Whether all parts are named, what is named for import is this installation's, and no folder is named by dots."""
    imported = (each.partition(":")[0] for each in strings if _IMPORT_STRING.fullmatch(each))
    dots = any(each and not each.strip(" ./") for each in strings)
    return not dots and all(part.made is None for part in _parts(run)) and all(map(_ours, imported))


def _ours(module: str) -> bool:
    """Whether a module's file is this installation's: another's may join the package `tasks` or `decomposers`."""
    try:
        found = find_spec(module)
    except (ImportError, ValueError):
        return False
    return found is not None and found.origin is not None and not OURS.isdisjoint(Path(found.origin).parents)


def _parts(value: Any) -> Iterator[Part]:
    """Yield all parts in a run file."""
    if isinstance(value, Part):
        yield value
    if is_dataclass(value):
        yield from chain.from_iterable(_parts(getattr(value, each.name)) for each in fields(value))
    elif isinstance(value, dict):
        yield from chain.from_iterable(map(_parts, value.values()))
    elif isinstance(value, list | tuple):
        yield from chain.from_iterable(map(_parts, value))


def _strings(value: Any) -> Iterator[str]:
    """Yield all strings among JSON values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from chain.from_iterable(map(_strings, value.values()))
    elif isinstance(value, list):
        yield from chain.from_iterable(map(_strings, value))


def _stamp(run: RunFile, name: str) -> list[list[Any]]:
    """Return size and time of what a string of the settings names, if that is a file or a folder with files."""
    found: list[list[Any]] = []
    for base in dict.fromkeys((run.folder or Path(), Path())):
        path = base / Path(name).expanduser()
        try:
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            states = [(str(file), file.stat()) for file in files if file.is_file()]
        except (OSError, ValueError, RuntimeError):
            continue
        found += [[file, state.st_size, state.st_mtime_ns] for file, state in states]
    return found
