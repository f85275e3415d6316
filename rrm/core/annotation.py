"""What passes between raters' pages, the desk that hands out items, and the run that waits for answers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.values import Answer, Request

Role = Literal["annotator", "adjudicator", "admin", "reader"]
"""Rates / rates and settles disagreements / does everything / looks only."""

ROLES: tuple[Role, ...] = ("annotator", "adjudicator", "admin", "reader")

PersonState = Literal["practising", "active", "paused", "refused"]
"""Has practice items before the real ones / rates / gets no items for now / did not pass practice."""

Purpose = Literal["work", "gold", "attention", "practice"]
"""Asked to be learned from / has a known answer, mixed in unseen / shows who reads / comes first, answer told."""

ItemState = Literal["open", "complete", "frozen"]
"""Wants more answers / has all it wants / its place was frozen, nothing changes any more."""

AnswerState = Literal["live", "undone", "requeued", "settled"]
"""Counts / taken back by its rater / taken back by an admin / an adjudicator's decision stands in its place."""

BOTH_BAD = "both are bad"
"""The reason of the rejection that says of a comparison that neither will do."""

MOST_WANTED = 1_000
"""Answers that one item may want."""

Strategy = Literal["valuable", "least-done", "disagreement"]
"""Which open item a rater gets first: highest value / fewest answers / most disagreement; then at random."""


@dataclass(frozen=True)
class Person:
    """Somebody who rates or looks on; `id` is the pseudonym that stands in records and exports.

    `kind` is "person" or "assistant". `name` is None once the person was forgotten. `participant` is
    the id that a recruitment panel gave.
    """

    id: str
    name: str | None
    role: Role = "annotator"
    kind: str = "person"
    state: PersonState = "active"
    participant: str | None = None
    created: float = 0.0
    has_password: bool = False


@dataclass(frozen=True)
class Item:
    """A request that wants `wanted` answers from as many raters.

    `value` is how much an answer is worth to the run (any unit, higher first). `expected` is the known
    answer of gold, attention and practice items, in the request's own order, never shown to a rater
    beforehand; `explanation` is told after practice.
    """

    request: Request
    purpose: Purpose = "work"
    wanted: int = 1
    value: float = 0.0
    expected: Answer | None = None
    explanation: str = ""


@dataclass(frozen=True)
class Lease:
    """An item in somebody's hands until `expires` (seconds since 1970), and exactly how it is shown.

    `order[i]` is the place in `request.shown` of what stands at place i of the page. `shown` is the
    hash of all that is shown (see `shown_hash`). `draft` is what the rater had typed before, `points` the
    length of the rating scale.
    """

    id: str
    person: str
    request: Request
    purpose: Purpose
    order: tuple[int, ...]
    guideline: int
    shown: str
    expires: float
    draft: Mapping[str, Any] | None = None
    points: int = 7


@dataclass(frozen=True)
class Submission:
    """What a rater's page sends: the answer with places as shown, and how it came about.

    `shown` repeats the hash of what the page showed. `seconds` is active time, as the page measured it.
    `detail` is whatever else is kept with the answer: spans on the source, the diff of a correction,
    that both outputs were called bad, the time away from the page.
    """

    answer: Answer
    shown: str
    seconds: float | None = None
    confidence: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


class Given(NamedTuple):  # no dataclass: a frozen one takes six times as long to make, and exports make many
    """An answer on record. `answer` has places in the request's own order, `order` is how it was shown.

    `seconds` is active time, `wall_seconds` from lease to answer. `place`, `node`, `kind` and `purpose`
    are the item's. `right` says whether the answer agrees with the known one; None where none is known.
    """

    id: str
    item: str
    person: str
    answer: Answer
    order: tuple[int, ...]
    guideline: int
    shown: str
    at: float
    seconds: float | None
    wall_seconds: float
    confidence: float | None
    detail: Mapping[str, Any]
    state: AnswerState
    purpose: Purpose
    place: Place
    node: str
    kind: str
    right: bool | None = None
    adjudication: bool = False


class Asked(NamedTuple):
    """What a row of exported answers tells of a request: its source, its outputs' texts in order, the criterion."""

    source: str
    texts: tuple[str, ...]
    criterion: str


@dataclass(frozen=True)
class Skipped:
    """That somebody passed an item on, and why."""

    item: str
    person: str
    reason: str
    at: float
    place: Place


@dataclass(frozen=True)
class Flag:
    """What somebody found unclear in the guidelines or odd in an item."""

    item: str
    person: str
    text: str
    at: float


@dataclass(frozen=True)
class Guideline:
    """One version of the guidelines, Markdown; versions count from 1."""

    version: int
    text: str
    at: float
    by: str


@dataclass(frozen=True)
class PlaceProgress:
    """How far a place's work items of one kind are; `answers` counts live ones, `wanted` all that are asked for."""

    place: Place
    kind: str
    items: int
    complete: int
    held: int
    answers: int
    wanted: int
    frozen: bool


@dataclass(frozen=True)
class ItemRow:
    """One item as a list shows it: `seq` is its number in the order of recording, `answers` counts live ones.

    `held` counts raters who have it in their hands, `instruction` and `output` are the beginnings of the view's
    and of the first output's text, which is empty where there is none.
    """

    seq: int
    id: str
    place: Place
    kind: str
    node: str
    purpose: Purpose
    state: ItemState
    wanted: int
    answers: int
    held: int
    instruction: str
    output: str


@dataclass(frozen=True)
class AtWork:
    """Somebody at work: the item in hand and since when, and the last answer, as far as there are any."""

    person: str
    item: str | None
    since: float | None
    last: float | None


@dataclass(frozen=True)
class OwnProgress:
    """A rater's own progress: real items done, how many may come, active seconds in all and the median of one of late.

    In practice, `practice_done` of `practice_items` are done in this try, and `tries_left` tries are left.
    """

    done: int
    left: int
    seconds: float
    median_seconds: float | None
    undoable: int
    practising: bool = False
    practice_done: int = 0
    practice_right: int = 0
    practice_items: int = 0
    tries_left: int = 0


@dataclass(frozen=True)
class AuditEntry:
    """Who did what when: `by` a person's id, or "system" or "command line"; `what` a verb such as "pause person".

    `number` counts the entries from 1.
    """

    at: float
    by: str
    what: str
    subject: str
    old: Any = None
    new: Any = None
    guideline: int = 0
    number: int = 0


@dataclass(frozen=True)
class DeskSettings:
    """How items are handed out; kept with the record, changed by an admin or `rrm annotate --set`.

    A silent gold item comes once in `gold_every` items on average, an attention check once in
    `attention_every` (0: never). A new rater does `practice_items` practice items first, as far as there
    are any, and passes with `practice_pass` of them right, in at most `practice_tries` tries.
    """

    overlap: int = 1
    strategy: Strategy = "least-done"
    lease_seconds: float = 900.0
    gold_every: int = 20
    attention_every: int = 10
    practice_items: int = 5
    practice_pass: float = 0.7
    practice_tries: int = 2
    undo_limit: int = 10
    grace_seconds: float = 30.0  # after its last answer, before a complete place freezes by itself
    auto_freeze: bool = True  # a complete place freezes when the run looks; else only an admin freezes it
    rating_points: int = 7
    consent: str = ""  # shown before the first item; a rater must agree
    completion_code: str = ""  # shown when nothing is left, for recruitment panels
    participant_parameter: str = "participant"  # of a panel's link, such as PROLIFIC_PID


@runtime_checkable
class Desk(Protocol):
    """Hands out items and takes answers; everything it acknowledges is on the disk.

    Items are closed place by place, so people can rate in rounds: what was frozen and taken up stays so, and
    the next round opens places of its own. A request that is laid again is the item that it was: one that was
    first laid in an earlier round stays at that round's place, and what it was answered there is its answer.
    Guidelines, known answers, settings and people are those of all rounds.

    Any thread may call it, and several processes may at once. Mutations by people write one audit entry
    each in their own transaction. Raises MissingError for an unknown id, AccessError for what is not the
    person's own, ConflictError for what came too late (an expired lease, a frozen place, an answer that
    was given already), InputError for values that do not fit, StoreError when the record cannot be written.
    """

    # ---- items ----

    def add_items(self, items: Sequence[Item]) -> int:
        """Record items that are new, with their requests; return how many were. An item that is there stays."""
        ...

    def item(self, id: str) -> Item: ...

    def places(self) -> list[Place]:
        """Return the places that there are items at, in order."""
        ...

    def placed(self, items: Sequence[str]) -> dict[str, Place]:
        """Return the places of those of these items that are there: where each was laid first."""
        ...

    def progress(self) -> list[PlaceProgress]:
        """Return the work items' progress, by place and kind."""
        ...

    def claim(self, person: str) -> Lease | None:
        """Return the person's live lease, or lease the next item; None when there is none for this person.

        Never more leases and live answers than the item wants; never an item whose question the person has
        answered, skipped or holds. Practice comes first; gold and attention checks are mixed in.
        """
        ...

    def lease(self, person: str, lease: str) -> Lease:
        """Return a live lease of this person; ConflictError if it expired or was answered."""
        ...

    def renew(self, person: str, lease: str) -> float:
        """Put off a live lease's expiry; return the new one."""
        ...

    def save_draft(self, person: str, lease: str, draft: Mapping[str, Any]) -> None:
        """Keep what the rater has so far, even if the lease has expired."""
        ...

    def submit(self, person: str, lease: str, submission: Submission, key: str) -> Given:
        """Record an answer; the same `key` again returns the same answer. The draft of a late one is kept."""
        ...

    def skip(self, person: str, lease: str, reason: str, key: str) -> None: ...

    def flag(self, person: str, lease: str, text: str) -> None: ...

    def undo(self, person: str) -> Lease:
        """Take the person's last answer back (one of the last `undo_limit`, place not frozen) and lease its item again.

        The answer taken back is the new lease's draft, as {"answer": ..., "confidence": ...}, places as shown.
        """
        ...

    def own_progress(self, person: str) -> OwnProgress: ...

    # ---- what came in ----

    def answers(self, *, after: int = 0, place: Place | None = None, person: str | None = None) -> Iterator[Given]:
        """Yield answers in order of recording, of every state, from a bounded window of memory.

        `after` skips as many of the earliest ones, for readers that go on where they stopped.
        """
        ...

    def item_answers(self, item: str) -> list[Given]: ...

    def skips(self) -> list[Skipped]: ...

    def flags(self) -> list[Flag]: ...

    def answer_count(self) -> int:
        """Return how many answers of every state and changes of state there are: it grows with every change."""
        ...

    # ---- settling ----

    def disputed(self, limit: int = 100) -> list[tuple[str, float]]:
        """Return complete, unfrozen work items whose answers differ and that nobody settled: id and disagreement."""
        ...

    def adjudicate(self, person: str, item: str, submission: Submission, key: str) -> Given:
        """Record a decision that stands in the place of the item's answers, which are kept as "settled".

        Places in the answer are in the request's own order.
        """
        ...

    def freeze(self, place: Place, by: str) -> int:
        """Close a place: nothing about its items changes any more; return how many live answers it has."""
        ...

    def freeze_complete(self, place: Place, quiet: bool = True) -> bool:
        """Freeze a place if all its items are complete; return whether it is frozen.

        If it must be `quiet`, only once nothing has changed there for `grace_seconds`.
        """
        ...

    def frozen(self) -> set[Place]: ...

    def take_up(self, place: Place, attentive: Mapping[str, float] | None = None) -> int:
        """Make a frozen place's live answers, decisions in the place of settled ones, the record's feedback.

        Each answer's confidence is the one its rater gave, times how `attentive` the rater is (1 for those
        not named). Returns how many there are; doing it again changes nothing. ConflictError if the place is
        not frozen.
        """
        ...

    def reopen(self, place: Place, by: str) -> None:
        """Open a frozen place again; ConflictError once it was taken up."""
        ...

    def requeue(self, person: str, by: str) -> int:
        """Take back all of a rater's answers at unfrozen places, so that others rate the items; return how many."""
        ...

    # ---- people ----

    def add_person(
        self, name: str, role: Role = "annotator", *, kind: str = "person", participant: str | None = None, by: str
    ) -> Person: ...

    def person(self, id: str) -> Person: ...

    def persons(self) -> list[Person]: ...

    def set_state(self, person: str, state: PersonState, by: str) -> None: ...

    def forget(self, person: str, by: str) -> None:
        """Erase a person's name, participant id and password and end their sessions; their answers stay."""
        ...

    def invite(self, person: str, by: str, hours: float = 168.0) -> str:
        """Return a new one-use token; only its hash is kept."""
        ...

    def open_panel(self, name: str, limit: int, by: str, hours: float = 720.0) -> str:
        """Return a token with which up to `limit` participants of a panel join, each under the own participant id."""
        ...

    def join(self, token: str, participant: str | None = None) -> str:
        """Use a token up and return a new session token; AccessError for one that is unknown, used or expired."""
        ...

    def set_password(self, person: str, password: str, by: str) -> None:
        """Keep an admin's password as an Argon2id hash."""
        ...

    def log_in(self, name: str, password: str) -> str:
        """Return a new session token; AccessError, after as long a check, whoever is unknown."""
        ...

    def who(self, session: str) -> Person | None:
        """Return whose live session this is (12 hours idle, 7 days at most), or None."""
        ...

    def log_out(self, session: str) -> None: ...

    # ---- guidelines, settings, audit ----

    def guideline(self, version: int | None = None) -> Guideline:
        """Return a version of the guidelines, the latest by default; version 0 is empty and always there."""
        ...

    def set_guideline(self, text: str, by: str) -> Guideline: ...

    def settings(self) -> DeskSettings: ...

    def change_settings(self, changes: Mapping[str, Any], by: str) -> DeskSettings: ...

    def audit(self, limit: int = 200, before: int | None = None, without: Sequence[str] = ()) -> list[AuditEntry]:
        """Return the latest entries first: those numbered below `before`, of no `what` in `without`."""
        ...

    def note(self, by: str, what: str, subject: str) -> None:
        """Append an audit entry about what was done beside the desk, such as starting the run."""
        ...

    # ---- looking through ----

    def search_items(
        self,
        *,
        place: Place | None = None,
        state: ItemState | None = None,
        kind: str | None = None,
        node: str | None = None,
        text: str | None = None,
        after: int = 0,
        up_to: int | None = None,
        limit: int = 50,
    ) -> list[ItemRow]:
        """Return the next items behind number `after`, and up to another, that meet every condition given.

        No sign in the conditions is special.
        """
        ...

    def requests(self, ids: Sequence[str]) -> dict[str, Request]:
        """Return those of these requests that are on record, by id."""
        ...

    def at_work(self, since: float) -> list[AtWork]:
        """Return who holds an item or has answered one since a time, the latest first."""
        ...

    def asked(self, ids: Sequence[str]) -> dict[str, Asked]:
        """Return what exported answers tell of those of these requests that are on record, by id."""
        ...


def shown_hash(request: Request, order: Sequence[int], guideline: int, points: int) -> str:
    """Name all that a rater sees of a request: outputs in this order, criterion, guidelines' version, scale."""
    texts = [request.shown[position].text for position in order]
    return content_id("shown", request.view.id, texts, guideline, request.kind, points, request.criterion)
