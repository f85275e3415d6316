"""Looking at runs and trees without carrying anything out: quick commands that load no model."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rrm.api.calls import call_notes, calls_reports
from rrm.api.recorded import grounded
from rrm.api.runfile import RunFile, run_file
from rrm.api.streams import written
from rrm.api.terminal import bar
from rrm.core.asking import Asked
from rrm.core.errors import ConfigError, InputError, StoreError
from rrm.core.place import Place
from rrm.core.report import Report
from rrm.core.roles import Select, Train
from rrm.core.values import Failure, Feedback, Fitted, Rated, Request
from rrm.files import read_json
from rrm.report.record import report_from_json
from rrm.reward.train_log import DONE, LOG
from rrm.store.lock import RunLock
from rrm.store.record import SqlStore, open_store

LONGEST_CELL = 32_767
"""Characters that a cell of a spreadsheet holds; of more the rest is cut where the file is opened there."""

REPORT, PAGE, WORK = "report.json", "report.html", "work"
DOING = "workers.json"
"""The file among a run's work that says what its workers elsewhere do."""
FOLDER = "folder"
"""Under this name a record says where the run file lay when the run was begun."""
SETTINGS = "settings"
"""Under this name a record keeps, as the run was last begun, its settings."""
BEGAN = "began"
"""Under this name a record says in which folder the run was begun."""
_ROLES = {"rate": Train.name, "rate-select": Select.name}


def settings_of(record: SqlStore, directory: Path) -> RunFile:
    """Return the settings with which a folder's run was begun or last went on, and with them where its run file lay."""
    begun = record.setting("run")
    if begun is None:
        raise StoreError(f"{directory} holds a record without a run")
    last = record.get_many(SETTINGS, ["run"]).get("run")
    return replace(run_file(begun if last is None else json.loads(last), learns=False), folder=folder_of(record))


def remember_settings(record: SqlStore, settings: RunFile) -> None:
    """Keep all settings: those that may change when a run goes on, such as its limits, hold until others are given."""
    record.put_many(SETTINGS, {"run": json.dumps(settings.to_json()).encode()})


def remember_folder(record: SqlStore, settings: RunFile) -> None:
    """Record where the run file lies and where the run is begun, so that what it names is found again from anywhere."""
    if record.setting(BEGAN) is None:
        record.settle(BEGAN, str(Path().resolve()))
    if settings.folder is not None and record.setting(FOLDER) is None:
        record.settle(FOLDER, str(settings.folder))


def folder_of(record: SqlStore) -> Path | None:
    """Return where the run file lay when the run was begun; None where there was none."""
    folder = record.setting(FOLDER)
    return None if folder is None else Path(folder)


def forget_workers(directory: Path) -> None:
    """Forget what workers of a run that was killed did, before it goes on without them."""
    (directory / WORK / DOING).unlink(missing_ok=True)


def finished(directory: str | Path) -> Report:
    """Return the report of a finished run; raise InputError if there is none yet."""
    path = Path(directory) / REPORT
    try:
        return report_from_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{directory} holds no finished run: there is no {REPORT} in it") from None
    except InputError as error:
        raise InputError(f"{path} is not a report that this version of rrm wrote: {error}") from error


def status(directory: str | Path) -> dict[str, Any]:
    """Return what is on record, as `rrm status --json` prints it: steps, ratings, what is waited for, what was spent.

    `under_way` is how far a training is that has begun and not ended, in a sentence; None without one. `workers` are
    those elsewhere that are at work, as the run says every few seconds.
    `ratings` counts those that the levels learn from, as the report does, with those recorded elsewhere once a level
    has learned from them; those for the flat baseline and of the judge of role select stand apart.
    """
    with open_store(Path(directory), "read") as store:
        settings = settings_of(store, Path(directory))
        counts, ratings = store.counts(), _ratings(store)
        several = any(count.place.round for count in counts)
        waiting = _owed(Path(directory)) if store.setting("desk") is not None else _unanswered(store)
        calls = calls_reports(store.call_counts())
        failures = [f"{each.step} {each.subject}: {each.cause}" for each in store.load(Failure)]
        return {
            "name": settings.name,
            "finished": (Path(directory) / REPORT).exists(),
            "steps": [
                {
                    "round": count.place.round,
                    "subject": count.place.subject,
                    "level": count.place.level,
                    "step": count.step,
                    "done": count.done - count.failed,
                    "failed": count.failed,
                }
                for count in counts
            ],
            "ratings": ratings[Train.name, "answer"],
            "flat_ratings": ratings[Train.name, "whole"],
            "select_ratings": ratings[Select.name, "answer"],
            "under_way": _training(Path(directory)),
            "workers": _workers(Path(directory)),
            "waiting_for": {place.words(several): count for place, count in sorted(waiting.items()) if count},
            "failures": failures[:20],
            "spent": {kind: round(amount, 2) for kind, amount in store.spent().items()},
            "calls": {each.asker: {"endings": each.endings, "noticed": each.noticed} for each in calls},
            "notes": list(call_notes(calls)),
        }


def _training(directory: Path) -> str | None:
    """Say how far the training is whose log was written last, unless it has ended."""
    try:
        log = max((directory / WORK).rglob(LOG), key=lambda each: each.stat().st_mtime, default=None)
        if log is None or (log.parent / DONE).is_file():
            return None
        last = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
        at = datetime.fromtimestamp(log.stat().st_mtime).astimezone()
    except (IndexError, ValueError, FileNotFoundError):  # the line is just being written, or the run has just ended
        return None
    return f"a training is under way: update {last['step']}, loss {last['loss']:.3f}, at {at:%H:%M:%S}"


def _workers(directory: Path) -> list[dict[str, Any]]:
    """Return what workers elsewhere do, and since when; none for a run that is not going on now."""
    if not RunLock(directory).is_held():
        return []
    try:
        found: list[dict[str, Any]] = read_json(directory / WORK / DOING)["workers"]
    except InputError:  # none is at work
        return []
    return [{**each, "since": datetime.fromtimestamp(each["since"]).astimezone().isoformat()} for each in found]


def _ratings(store: SqlStore) -> Counter[tuple[str, str]]:
    """Return how many ratings there are by judge role and subject: those fitted on last, and those given since."""
    models: dict[str, Fitted] = store.by_id(Fitted)
    fitted = [models[made.value] for made in store.made(Fitted)]
    last = {(each.role, each.place.subject, each.place.level): each for each in fitted}
    found: Counter[tuple[str, str]] = Counter()
    for (role, subject, _), each in last.items():
        found[role, subject] += each.ratings
    rated = store.by_id(Rated)  # questions of all levels may be put together, at one place
    given = {
        made.value: (_ROLES[made.step], replace(made.place, level=rated[made.value].request.place.level))
        for made in store.made(Rated)
    }
    for role, place in given.values():
        model = last.get((role, place.subject, place.level))
        found[role, place.subject] += model is None or place.round > model.place.round
    return found


def _unanswered(store: SqlStore) -> Counter[Place]:
    """Return how many requests of each place have no answer yet."""
    answered = {feedback.request for feedback in store.load(Feedback)}
    return Counter(request.place for request in store.load(Request) if request.id not in answered)


def _owed(directory: Path) -> Counter[Place]:
    """Return how many answers people still owe at each open place."""
    from rrm.queue import open_desk

    with open_desk(directory) as desk:
        progress = desk.progress()
    owed: Counter[Place] = Counter()
    for each in progress:
        owed[each.place] += 0 if each.frozen else each.wanted - each.answers
    return owed


def own_text(path: Path) -> tuple[str, list[str]]:
    """Return the text of somebody's own output in a file, and what shows that some of it may be no part of it."""
    from rrm.core.thoughts import holds_thoughts
    from rrm.files.texts import decoded
    from rrm.interchange.damage import READ_AS, damage

    try:
        text = decoded(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as UTF-8 text: {error}") from error
    said = [READ_AS[kind].format(repr(example), "it") for kind, example in damage([text])]
    if holds_thoughts(text):
        said.append("thoughts before </think> or a mark like it: read as they stand")
    return text, [f"{path.name}: {each}" for each in said]


def refuse_notes(notes: Sequence[str]) -> None:
    """Raise InputError where anything was left out of what came in, or taken for something else."""
    if notes:
        raise InputError(f"with --strict every note is an error: {'; '.join(notes)}")


def export_answers(directory: Path, form: str, out: Path | None, names: bool, every: bool = False) -> dict[str, Any]:
    """Write the answers at a folder's desk under pseudonyms, unless `names`, and say where and how many.

    They are those that count, or of `every` state, as on the admin's page; as TRL's preference rows, those that
    count and prefer one output to another.
    """
    from rrm.interchange.annotations import csv, exported, groups_of, jsonl, parquet, rated, rows, trl
    from rrm.interchange.rows import replacing
    from rrm.queue import open_desk

    if form == "trl" and names:
        raise ConfigError("TRL rows have raters' pseudonyms alone: leave --names out")
    writers = {"csv": csv, "jsonl": jsonl, "parquet": parquet, "trl": jsonl}
    path = out or directory / ("answers-trl.jsonl" if form == "trl" else f"answers.{form}")
    with open_desk(directory) as desk:
        people = desk.persons()
        known = {each.id: each.name for each in people if each.name} if names else None
        groups = groups_of(people)
        with bar("exporting", "answers") as progress, replacing(path) as file:
            if names:
                os.fchmod(file.fileno(), 0o600)  # for its owner alone
            made = (
                trl(rated(desk.answers(), desk.requests), desk.why() or None, groups)
                if form == "trl"
                else rows(exported(desk.answers(), every), desk.asked, known, desk.why(), groups)
            )
            counted = Counted(made, progress)
            for chunk in writers[form](counted):
                file.write(chunk)
    if not counted.rows:
        path.unlink()
        which = "no answers that count and prefer one output to another" if form == "trl" else "no answers to export"
        raise InputError(f"{directory} holds {which}")
    cut = f"{counted.long:,} cells hold more than the {LONGEST_CELL:,} characters that spreadsheets show"
    notes = {"notes": [cut]} if form == "csv" and counted.long else {}
    return {"file": str(path), "rows": counted.rows, **notes}


def export_dictionary(out: Path) -> None:
    """Write what each column of exported answers means, as CSV."""
    from rrm.interchange.annotations import csv, data_dictionary

    with written(out) as path:
        assert path is not None
        path.write_bytes(b"".join(csv(data_dictionary())))


def _has_answers(directory: Path) -> bool:
    from rrm.queue import open_desk

    with open_desk(directory) as desk:
        return next(iter(desk.answers()), None) is not None


class Counted:
    """Rows, counted as they pass, and their `long` texts; `progress` is called with the count at every thousandth."""

    def __init__(self, rows: Iterator[dict[str, Any]], progress: Callable[[int, int], None]) -> None:
        self._rows, self._progress = rows, progress
        self.rows = self.long = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self._rows:
            self.rows += 1
            self.long += sum(_letters(value) > LONGEST_CELL for value in row.values())
            if self.rows % 1000 == 0:
                self._progress(self.rows, 0)
            yield row


def _letters(value: object) -> int:
    """Return how many letters a cell has at least; lists stand in one cell."""
    return len(value) if isinstance(value, str) else sum(map(_letters, value)) if isinstance(value, list) else 0


def export(directory: Path, form: str, out: Path | None) -> dict[str, Any]:
    """Write the recorded ratings as TRL rows, JSON lines or Parquet, and say where and how many."""
    from rrm.interchange.export import to_jsonl, to_parquet, to_records, to_trl

    with open_store(directory, "read") as store:
        requests = {request.id: request for request in store.load(Request)}
        before = grounded(store)
        given = [each for each in store.load(Feedback) if each.id not in before]
        rated = [Rated(requests[each.request], each) for each in given if each.request in requests]
        why = _why(store.load(Asked), requests) or None
    if not rated:
        at_desk = ", but people's answers: give --answers as well" if _has_answers(directory) else ""
        raise InputError(f"{directory} holds no ratings to export{at_desk}")
    path = out or directory / ("ratings.parquet" if form == "parquet" else f"ratings-{form}.jsonl")
    rows = to_records(rated, why) if form == "jsonl" else to_trl(rated, margins=False, why=why)
    count = to_parquet(rows, path) if form == "parquet" else to_jsonl(rows, path)
    return {"file": str(path), "rows": count, "ratings": len(rated)}


def _why(asked: Iterable[Asked], requests: Mapping[str, Request]) -> dict[str, Asked]:
    """Return why each of these requests was put; people answer one as they saw it, which is a request of its own."""
    chosen = {requests[each.request].question: each for each in asked if each.request in requests}
    return {id_: chosen[each.question] for id_, each in requests.items() if each.question in chosen} if chosen else {}
