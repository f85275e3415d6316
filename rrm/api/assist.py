"""Assistants among the raters: they lease items of the desk as people do, practise, and meet the same checks."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import anyio

from rrm.api.annotate import COMMAND_LINE
from rrm.api.look import folder_of, settings_of
from rrm.api.runfile import AssistantPart, Part, PolicyPart, RunFile, Targets, with_changes
from rrm.api.terminal import bar
from rrm.api.wiring import Parts
from rrm.core.annotation import Lease, Person, Posed, Submission
from rrm.core.desk import PeopleControl, RaterDesk
from rrm.core.errors import AssistantError, ConfigError, ConflictError, InputError, MissingError
from rrm.core.ids import seed_for
from rrm.core.protocols import AsyncRater, AsyncSheetRater, Rater
from rrm.core.values import Feedback
from rrm.queue import as_shown
from rrm.store.record import SqlStore, open_store

MOST_LATE = 3
"""After so many answers one after another that were not taken, for want of their leases, an assistant ends."""

_log = logging.getLogger("rrm.api")


class AssistantDesk(RaterDesk, PeopleControl, Protocol):
    """What an assistant needs of a desk: to be among its raters, and items."""


@contextmanager
def rater_of(
    directory: Path, plugin: str, arguments: Sequence[str], model: str | None, model_arguments: Sequence[str]
) -> Iterator[Rater | AsyncRater]:
    """Make a rater plug-in, with an assistant of the folder's run file or the chat model that is named.

    The record of the folder keeps its model calls, which count against the run's budget.
    """
    with open_store(directory, "append") as record:
        parts = Parts(_settings(record, directory, model, with_changes({}, model_arguments)), record)
        made = parts.make(Part(plugin, with_changes({}, arguments)), "assist")
        if not isinstance(made, Rater | AsyncRater):
            raise ConfigError(f"{type(made).__module__}:{type(made).__name__} has neither rate nor rate_async")
        yield made


def _settings(record: SqlStore, directory: Path, model: str | None, arguments: dict[str, Any]) -> RunFile:
    if model is None and record.setting("run") is not None:
        return settings_of(record, directory)
    assistants = {} if model is None else {"model": AssistantPart(model, arguments)}
    none = (Targets("none:none"), Part("none:none"), PolicyPart("none:none"))
    return RunFile(*none, assistants=assistants, folder=folder_of(record))


def rate_items(desk: AssistantDesk, name: str, rater: Rater | AsyncRater, limit: int | None = None) -> dict[str, Any]:
    """Rate items until there are none for this rater, and say how it went.

    An item on which the rater fails is skipped with the reason. An answer that is not taken, because its lease ran out
    or went with a database that was lost, is said, and the third in a row raised. Raises AccessError once the rater is
    paused or has not passed practice.
    """
    person = assistant(desk, name)
    return anyio.run(_rate_items, desk, person, rater, limit)


def assistant(desk: PeopleControl, name: str) -> Person:
    """Return the assistant of this name among the raters, added if it is new."""
    for person in desk.persons():
        if person.name == name:
            if person.kind != "assistant":
                raise InputError(f"{name} is a person among the raters: give the assistant another name")
            return person
    return desk.add_person(name, kind="assistant", by=COMMAND_LINE)


async def _rate_items(desk: RaterDesk, person: Person, rater: Rater | AsyncRater, limit: int | None) -> dict[str, Any]:
    answered, skipped, late = 0, 0, 0
    with bar(f"{person.name} rates", "items") as progress:
        while limit is None or answered < limit:
            lease = desk.claim(person.id)
            if lease is None:
                break
            try:
                given = await _answer(rater, lease)
            except (AssistantError, InputError) as error:
                desk.skip(person.id, lease.id, f"{type(error).__name__}: {error}"[:500], key=f"skip-{lease.id}")
                skipped += 1
                continue
            try:
                desk.submit(person.id, lease.id, given, key=f"answer-{lease.id}")
            except (ConflictError, MissingError) as error:
                late += 1
                if late == MOST_LATE:
                    raise
                _log.warning("an answer of %s was not taken: %s", person.name, error)
                continue
            answered, late = answered + len(given), 0
            progress(answered, limit or 0)
    return {"rater": person.name, "id": person.id, "answers": answered, "skipped": skipped}


async def _answer(rater: Rater | AsyncRater, lease: Lease) -> list[Submission]:
    """Return the answers to a lease's questions: by one call where the rater knows sheets."""
    if isinstance(rater, AsyncSheetRater) and len(lease.questions) > 1:
        began = time.monotonic()
        requests = [each.request for each in lease.questions]
        given = await rater.rate_sheet_async(requests, seed_for([each.id for each in requests], lease.person))
        share = (time.monotonic() - began) / len(given)
        return [_submission(posed, each, share) for posed, each in zip(lease.questions, given, strict=True)]
    return [await _answer_one(rater, each, lease.person) for each in lease.questions]


async def _answer_one(rater: Rater | AsyncRater, posed: Posed, person: str) -> Submission:
    began = time.monotonic()
    seed = seed_for(posed.request.id, person)
    if isinstance(rater, AsyncRater):
        feedback = await rater.rate_async(posed.request, seed)
    else:
        feedback = rater.rate(posed.request, seed)
    return _submission(posed, feedback, time.monotonic() - began)


def _submission(posed: Posed, feedback: Feedback, took: float) -> Submission:
    seconds = feedback.seconds if feedback.seconds is not None else took
    return Submission(as_shown(feedback.answer, posed.order), posed.shown, seconds, feedback.confidence)
