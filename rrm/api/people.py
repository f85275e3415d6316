"""Where a run meets its raters: requests become items of the desk; a closed level's answers come back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from rrm.agreement.attention import attentive
from rrm.api.runfile import Part, RunFile, by_people
from rrm.core.annotation import DeskSettings, Item
from rrm.core.asking import AT_RANDOM, Asked
from rrm.core.errors import ConfigError, InputError
from rrm.core.place import Place
from rrm.core.values import Rated, Request
from rrm.feedback.minutes import RATES, Rates
from rrm.files.folders import Folders
from rrm.files.texts import decoded
from rrm.queue import SqlDesk, open_desk
from rrm.queue.groups import in_groups
from rrm.queue.guidelines import checked_setting
from rrm.queue.sheets import in_sheets
from rrm.store.record import SqlStore

T = TypeVar("T")

GUIDELINES = "guidelines"
"""The rater's argument in a run file that names a Markdown file; all others are `DeskSettings`."""


class People:
    """The people (and assistants) who rate for a run, in the folder of its record; close it at the end.

    A level is closed by an admin, or by itself once every item has all its answers: at once when a
    run looks that would not wait, else when they have been quiet for a while, so that the last rater
    can undo. Feedback that somebody put on record without the desk is taken, too, when it is as much
    as the run wants. Where a sampler chooses the questions, those of one bundle are put to one rater together,
    those worth most a minute first, unless another `strategy` is asked for.
    """

    def __init__(
        self,
        store: SqlStore,
        directory: Path,
        settings: RunFile,
        folders: Folders,
        waits: bool,
    ) -> None:
        self._store, self._directory, self._waits = store, directory, waits
        self._folders = folders
        chosen = settings.rater is not None and settings.rater.sampler is not None
        usual = {"strategy": "valuable"} if chosen else {}
        self._arguments = {**usual, **(settings.people.arguments if settings.people else {})}
        self._asked: dict[str, Request] = {}
        self._taken: set[Place] = set()

    @cached_property
    def desk(self) -> SqlDesk:
        desk = open_desk(self._directory, driver=self._store)
        if self._store.setting("desk") is None:  # later an admin's changes stand
            settle(desk, self._arguments, self._folders)
            self._store.settle("desk", self._arguments)
        return desk

    def append(self, values: Sequence[Request]) -> None:
        """Lay requests before the raters."""
        self._ride(lambda: self._append(values))

    def _append(self, values: Sequence[Request]) -> None:
        self._asked.update((request.id, request) for request in values)
        settings = self.desk.settings()
        why = chosen_order(self._store.load(Asked))
        items = [_item(request, settings.overlap, why.get(request.id)) for request in values]
        self.desk.add_items(in_sheets(in_groups(items, settings), settings.sheet))

    def answers(self, requests: Sequence[str]) -> Mapping[str, Sequence[Rated]]:
        """Return the answers to requests that need no more: those of closed places, and those answered otherwise.

        A question that an earlier round asked already lies at that round's place, with the answers that it got there.
        """
        return self._ride(lambda: self._answers(requests))

    def _answers(self, requests: Sequence[str]) -> Mapping[str, Sequence[Rated]]:
        placed = self.desk.placed(requests)
        closed = {place for place in set(placed.values()) if self.desk.freeze_complete(place, quiet=self._waits)}
        for place in closed - self._taken:
            self.desk.take_up(place, attentive(self.desk.answers()))
            self._taken.add(place)
        done = [id_ for id_ in requests if placed.get(id_) in closed]
        taken = self.desk.taken(done)
        found: dict[str, Sequence[Rated]] = {id_: taken.get(id_, ()) for id_ in done}
        wanted = self.desk.settings().overlap
        direct = self._store.answers([id_ for id_ in requests if not found.get(id_)])
        given = {id_: each for id_, each in direct.items() if len(each) >= wanted or id_ in found}
        return found | {id_: [Rated(self._asked[id_], each) for each in given[id_]] for id_ in given}

    def standing(self) -> str:
        """Say how many answers are in, in words."""
        open_ = [each for each in self._ride(lambda: self.desk.progress()) if not each.frozen]
        answers, wanted = sum(each.answers for each in open_), sum(each.wanted for each in open_)
        return f"{answers} of {wanted} answers are in"

    def _ride(self, work: Callable[[], T]) -> T:
        """Do what may be done twice, again where a read of the desk loses its connection in the middle."""
        return self._store.opened.outage.ride(work)

    def close(self) -> None:
        if "desk" in vars(self):
            self.desk.close()


class Put(NamedTuple):
    """What a question is put with: by how much its `value` a minute goes before others, and the name of its bundle."""

    value: float
    bundle: str


def chosen_order(asked: Sequence[Asked]) -> dict[str, Put]:
    """Return how chosen questions are put, by their requests: in the order in which a sampler returned them.

    What was drawn at random beside the chosen is worth what stands behind it, so that it comes when its turn is,
    whenever raters stop.
    """
    found: dict[str, Put] = {}
    behind: dict[str, float] = {}
    for each in reversed(asked):
        drawn = each.stream == AT_RANDOM
        behind[each.pool] = behind.get(each.pool, 0.0) if drawn else each.value
        bundle = "" if drawn else f"{each.pool} {each.bundle}"
        found.setdefault(each.request, Put(behind[each.pool], bundle))
    return found


def _item(request: Request, wanted: int, chosen: Put | None) -> Item:
    if chosen is None:
        return Item(request, wanted=wanted)
    return Item(request, wanted=wanted, value=chosen.value, sheet=chosen.bundle)


def settle(desk: SqlDesk, arguments: Mapping[str, Any], folders: Folders, by: str = "run file") -> None:
    """Change the desk's settings as told; under `guidelines` stands the Markdown file of a new version."""
    changes = {name: value for name, value in arguments.items() if name != GUIDELINES}
    if changes:
        desk.change_settings(changes, by)
    if GUIDELINES in arguments:
        write_guidelines(desk, folders.find(str(arguments[GUIDELINES])), by)


def write_guidelines(desk: SqlDesk, path: Path, by: str) -> int:
    """Make a file's text the guidelines' latest version, unless it is already; return the version."""
    try:
        text = decoded(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"the guidelines {path} cannot be read as UTF-8 text: {error}") from error
    latest = desk.guideline()
    return latest.version if latest.text == text else desk.set_guideline(text, by).version


def raters_each(rater: Part | None) -> int:
    """Return how many answer each question; raise ConfigError for arguments that no desk knows or takes."""
    return int(_arguments(rater).get("overlap", DeskSettings().overlap)) if by_people(rater) else 1


def rates_of(rater: Part | None) -> Rates:
    """Return what raters' time comes to: who answers on sheets reads a view once for all that stands on one."""
    sheet = int(_arguments(rater).get("sheet", 1))
    return replace(RATES, decisions_a_reading=sheet) if sheet > 1 else RATES


def _arguments(rater: Part | None) -> Mapping[str, Any]:
    """Return the desk's settings in a part of the run file, none for one that is no people."""
    if rater is None or not by_people(rater):
        return {}
    check_arguments(rater.arguments)
    return rater.arguments


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuse, before anything is spent, arguments of the rater "people" that no desk knows or takes."""
    known = (*DeskSettings.__dataclass_fields__, GUIDELINES)
    unknown = [name for name in arguments if name not in known]
    if unknown:
        raise ConfigError(f"[rater] arguments: unknown key {unknown[0]!r}; people take {', '.join(known)}")
    for name, value in arguments.items():
        if name != GUIDELINES:
            checked_setting(name, value)
