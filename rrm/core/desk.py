"""The desk: what raters, admins, readers and the run each ask of who hands out items and takes answers.

Everything that a desk acknowledges is on the disk. Any thread may call it, and several processes may at once.
Mutations by people write one audit entry each in their own transaction. All raise MissingError for an unknown id,
AccessError for what is not the person's own, ConflictError for what came too late (an expired lease, a frozen place,
an answer that was given already), InputError for values that do not fit, StoreError when the record cannot be read
or written.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from rrm.core.annotation import (
    OPEN,
    Annotation,
    AtWork,
    AuditEntry,
    DeskSettings,
    Ending,
    Flag,
    Guideline,
    Item,
    ItemRow,
    ItemState,
    ItemText,
    Lease,
    Message,
    NextItem,
    OpenItem,
    OwnProgress,
    Panel,
    PanelRules,
    Person,
    PersonState,
    PlaceProgress,
    Role,
    Skipped,
    Submission,
    Unread,
    Valuation,
)
from rrm.core.asking import Asked
from rrm.core.place import Place
from rrm.core.values import Request

# ---- rating ----


class Sessions(Protocol):
    """Lets people in and knows whose session is whose."""

    def join(
        self,
        token: str,
        participant: str | None = None,
        *,
        keep: bool = False,
        proof: str | None = None,
        device: str | None = None,
        agreed: str | None = None,
        key: str | None = None,
    ) -> str:
        """Use a token up and return a new session token; AccessError for one that is unknown, used or expired.

        A panel's link needs the `participant` id, a signed one the `proof` beside it. `device` names the browser;
        `agreed` the consent text (`consent_id`) that was agreed to. With the same `key`, made up by who asks, a
        token can be used again for a while: the reply may have been lost.
        """
        ...

    def log_in(self, name: str, password: str, *, keep: bool = False) -> str:
        """Return a new session token; AccessError, after as long a check, also for unknown persons."""
        ...

    def choose_password(self, person: str, password: str) -> None:
        """Keep the password that somebody without one chose for coming back; ConflictError where there is one."""
        ...

    def who(self, session: str) -> Person | None:
        """Return whose live session this is, or None: 12 hours idle and 7 days at most, with `keep` 30 and 90 days."""
        ...

    def log_out(self, session: str) -> None: ...


class RaterDesk(Protocol):
    """Hands out sheets, of one question or several, one at a time; `claim` is the one way to get one."""

    def claim(self, person: str) -> Lease | None:
        """Return the person's live lease, or lease the next sheet; None when there is none for this person.

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

    def submit(self, person: str, lease: str, submissions: Sequence[Submission], key: str) -> list[Annotation]:
        """Record an answer to each question of a lease, all or none; the same `key` again returns the same answers.

        The draft of late ones is kept.
        """
        ...

    def skip(self, person: str, lease: str, reason: str, key: str) -> None: ...

    def flag(self, person: str, lease: str, text: str) -> None: ...

    def undo(self, person: str, answer: str | None = None) -> Lease:
        """Take the person's last answers back (of the last `undo_limit` sheets, place not frozen) and lease them again.

        With the id of an `answer`, the first of its sheet, those and no others; a second time it returns the same
        lease. What was taken back is the new lease's draft, as {"answer": ..., "confidence": ...}, of several questions
        as {"answers": [such objects]}, places as shown.
        """
        ...

    def own_progress(self, person: str) -> OwnProgress: ...

    def ending(self, person: str) -> Ending | None:
        """Return how somebody's work ends for whom there are no items; None where it does not end for good."""
        ...

    def inbox(self, person: str) -> list[Message]:
        """Return what somebody has not put away: replies, and what was announced since they came."""
        ...

    def put_away(self, person: str, message: int) -> None: ...

    def unread(self, person: str) -> Unread:
        """Return what somebody has to agree to or to read before the next item."""
        ...

    def agree(self, person: str, text: str) -> None:
        """Record that somebody agreed to the consent text of this id; ConflictError if it is another one by now."""
        ...

    def acknowledge(self, person: str, version: int) -> None:
        """Record that somebody has read a version of the guidelines; a second time changes nothing."""
        ...


# ---- reading ----


class Rules(Protocol):
    """Guidelines and settings; they are those of all rounds."""

    def guideline(self, version: int | None = None) -> Guideline:
        """Return a version of the guidelines, the latest by default; version 0 is empty and always there."""
        ...

    def settings(self) -> DeskSettings: ...


class Roster(Protocol):
    """Who rates and looks on."""

    def person(self, id: str) -> Person: ...

    def persons(self) -> list[Person]: ...


class AnswerLog(Protocol):
    """What raters gave."""

    def answers(self, *, after: int = 0, place: Place | None = None, person: str | None = None) -> Iterator[Annotation]:
        """Yield answers in order of recording, of every state, from a bounded window of memory.

        `after` skips as many of the earliest ones, for readers that go on where they stopped.
        """
        ...

    def item_answers(self, item: str) -> list[Annotation]: ...

    def answer_count(self) -> int:
        """Return how many answers of every state and changes of state there are: it grows with every change."""
        ...

    def skips(self) -> list[Skipped]: ...

    def flags(self) -> list[Flag]: ...


class Catalogue(Protocol):
    """The items and the requests behind them."""

    def item(self, id: str) -> Item: ...

    def places(self) -> list[Place]:
        """Return the places that there are items at, in order."""
        ...

    def checks(self) -> list[str]:
        """Return the ids of the gold items and attention checks, which are mixed in unseen."""
        ...

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

    def why(self) -> dict[str, Asked]:
        """Return why items were put to raters, by their ids: those that a sampler chose, or drew beside these."""
        ...

    def asked(self, ids: Sequence[str]) -> dict[str, ItemText]:
        """Return what exported answers tell of those of these requests that are on record, by id."""
        ...


class ProgressBoard(Protocol):
    """How far the work is, and who is at it."""

    def progress(self) -> list[PlaceProgress]:
        """Return the work items' progress, by place and kind."""
        ...

    def frozen(self) -> set[Place]: ...

    def idle_checks(self) -> int:
        """Count the gold items and attention checks that nobody gets, since they fit no shape of the open work.

        Known answers are asked only as the open work is: of its kind and criterion, about as many outputs, beside as
        many passages of the same labels, with scores and a context or without, to the same group.
        """
        ...

    def at_work(self, since: float) -> list[AtWork]:
        """Return who holds an item or has answered one since a time, the latest first."""
        ...


class ValueBoard(Protocol):
    """Tells what comes first by value, and how that stands."""

    def valuations(self) -> list[Valuation]:
        """Return how it stood each time that open items were valued, the earliest first."""
        ...

    def next_items(self, most: int = 12) -> list[NextItem]:
        """Return the open items that come first by value, and why each was put."""
        ...

    def is_left(self, item: str) -> bool:
        """Whether an item leaves a choice to a person, so that only what stands first in the answer counts."""
        ...


class DeskReader(Rules, Roster, AnswerLog, Catalogue, ProgressBoard, ValueBoard, Protocol):
    """All that may be read of a desk but the audit; nothing here changes anything."""


# ---- administering ----


class AuditLog(Protocol):
    """Who did what when."""

    def audit(self, limit: int = 200, before: int | None = None, without: Sequence[str] = ()) -> list[AuditEntry]:
        """Return the latest entries first: those numbered below `before`, of no `what` in `without`."""
        ...

    def note(self, by: str, what: str, subject: str) -> None:
        """Append an audit entry about what was done beside the desk, such as starting the run."""
        ...


class Announcer(Protocol):
    """Tells raters things."""

    def announce(self, text: str, by: str) -> int:
        """Tell all raters something; return the message's number."""
        ...

    def reply(self, flag: int, text: str, by: str) -> int:
        """Answer a flag, to the rater who raised it; return the message's number."""
        ...

    def messages(self) -> list[Message]: ...


class RuleControl(Rules, Protocol):
    """Changes guidelines and settings."""

    def set_guideline(self, text: str, by: str) -> Guideline: ...

    def change_settings(self, changes: Mapping[str, Any], by: str) -> DeskSettings: ...


class PeopleControl(Roster, Protocol):
    """Lets people join, pauses them, takes their answers back and forgets them."""

    def add_person(
        self,
        name: str,
        role: Role = "annotator",
        *,
        kind: str = "person",
        participant: str | None = None,
        group: str = "",
        by: str,
    ) -> Person: ...

    def add_persons(self, several: Sequence[tuple[str, Role, str]], *, by: str) -> list[Person]:
        """Add people by name, role and group: all, or none."""
        ...

    def set_group(self, person: str, group: str, by: str) -> None:
        """Put a person into a group, or into none ("")."""
        ...

    def invite(self, person: str, by: str, hours: float = 168.0) -> str:
        """Return a new one-use token; only its hash is kept."""
        ...

    def open_panel(self, name: str, limit: int, by: str, hours: float = 720.0, rules: PanelRules = OPEN) -> str:
        """Return a token with which up to `limit` participants of a panel join, each under the own participant id."""
        ...

    def panels(self) -> list[Panel]: ...

    def proofs(self, token: str, participants: Sequence[str]) -> dict[str, str]:
        """Return, by participant id, the proof that a signed link of this panel carries beside the id."""
        ...

    def consents(self) -> list[tuple[str, str, float]]:
        """Return who agreed to what: person, text, and seconds since 1970."""
        ...

    def set_password(self, person: str, password: str, by: str) -> None:
        """Keep a password as an Argon2id hash; an annotator's may be a PIN of six."""
        ...

    def reset_password(self, person: str, by: str) -> None:
        """Drop a password that was forgotten or seen by others, and end the person's sessions."""
        ...

    def set_state(self, person: str, state: PersonState, by: str) -> None: ...

    def requeue(self, person: str, by: str) -> int:
        """Take back all of a rater's answers at unfrozen places, so that others rate the items; return how many."""
        ...

    def forget(self, person: str, by: str) -> None:
        """Erase a person's name, participant id and password and end their sessions; their answers stay."""
        ...


class PlaceControl(Protocol):
    """Closes places and opens them again, and says how many answers items want."""

    def want(self, answers: int, by: str, *, place: Place | None = None, disputed: bool = False) -> int:
        """Have open work items want so many answers, where they want fewer; return how many items changed.

        Of one `place` or all; with `disputed` only those that are complete and on which raters differ.
        """
        ...

    def retire(self, items: Sequence[str], by: str) -> int:
        """Have items want no more answers than they have; return how many changed. Answers given stand."""
        ...

    def freeze(self, place: Place, by: str) -> int:
        """Close a place: nothing about its items changes any more; return how many live answers it has."""
        ...

    def reopen(self, place: Place, by: str) -> None:
        """Open a frozen place again; ConflictError once it was taken up."""
        ...


class Adjudication(Protocol):
    """Settles what raters disagree on."""

    def disputed(self, limit: int = 100) -> list[tuple[str, float]]:
        """Return complete, unfrozen, not adjudicated work items whose answers differ: id and disagreement."""
        ...

    def disputed_count(self) -> int:
        """Return how many items are disputed."""
        ...

    def rated_by(self, person: str, items: Sequence[str]) -> set[str]:
        """Return those of these items that the person has answered."""
        ...

    def undo_decision(self, person: str, decision: str) -> None:
        """Take a decision back, so that the answers it replaced count again; a second time changes nothing."""
        ...

    def adjudicate(self, person: str, item: str, submission: Submission, key: str) -> Annotation:
        """Record a decision that stands in the place of the item's answers, which are kept as "adjudicated".

        Places in the answer are in the request's own order.
        """
        ...


# ---- the run ----


class RunDesk(Rules, Protocol):
    """Takes a run's items and gives back their answers.

    Items are closed place by place, so people can rate in rounds: what was frozen and taken up stays so, and
    the next round opens places of its own. A request that is laid again is the item that it was: one that was
    first laid in an earlier round stays at that round's place, and what it was answered there is its answer.
    """

    def add_items(self, items: Sequence[Item]) -> int:
        """Record items that are new, with their requests; return how many were. An item that is there stays."""
        ...

    def placed(self, items: Sequence[str]) -> dict[str, Place]:
        """Return the places of those of these items that are there: where each was laid first."""
        ...

    def freeze_complete(self, place: Place, quiet: bool = True) -> bool:
        """Freeze a place if all its items are complete; return whether it is frozen.

        If it must be `quiet`, only once nothing has changed there for `grace_seconds`.
        """
        ...

    def take_up(self, place: Place, attentive: Mapping[str, float] | None = None) -> int:
        """Make a frozen place's live answers, decisions in the place of adjudicated ones, the record's feedback.

        Each answer's confidence is the one its rater gave, times how `attentive` the rater is (1 for those
        not named). Returns how many there are; doing it again changes nothing. ConflictError if the place is
        not frozen.
        """
        ...


class ValuedDesk(Protocol):
    """Keeps open work in the order of what it is worth, while raters answer it."""

    def open_items(self) -> list[OpenItem]:
        """Return the work that wants more answers, in no order."""
        ...

    def held_items(self) -> list[str]:
        """Return the items of work that raters have in their hands, one for each rater who has it."""
        ...

    def revalue(self, values: Mapping[str, float], standing: Valuation) -> None:
        """Have these items go before others by their values; nothing that a rater holds changes."""
        ...


# ---- all of them ----


@runtime_checkable
class Desk(
    Sessions,
    RaterDesk,
    DeskReader,
    AuditLog,
    Announcer,
    RuleControl,
    PeopleControl,
    PlaceControl,
    Adjudication,
    RunDesk,
    ValuedDesk,
    Protocol,
):
    """A whole desk, as a station or a run is given one; what they call takes only the part that it uses."""
