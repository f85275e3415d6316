"""What passes between raters' pages, the desk that hands out items, and the run that waits for answers: the values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.values import OVERALL, Answer, Request, Shown

Role = Literal["annotator", "adjudicator", "admin", "reader"]
"""Rates / rates and adjudicates disagreements / does everything / looks only."""

ROLES: tuple[Role, ...] = ("annotator", "adjudicator", "admin", "reader")

PersonState = Literal["practising", "active", "paused", "refused"]
"""Has practice items before the real ones / rates / gets no items for now / did not pass practice."""

Purpose = Literal["work", "gold", "attention", "practice"]
"""ItemText to be learned from / has a known answer, mixed in unseen / shows who reads / comes first, answer told."""

ItemState = Literal["open", "complete", "frozen"]
"""Wants more answers / has all it wants / its place was frozen, nothing changes any more."""

AnswerState = Literal["live", "undone", "requeued", "adjudicated"]
"""Counts / taken back by its rater / taken back by an admin / an adjudicator's decision stands in its place."""

BOTH_BAD = "both are bad"
"""The reason of the rejection that says of a comparison that neither will do."""

MOST_WANTED = 1_000
"""Answers that one item may want."""

MOST_QUESTIONS = 30
"""Questions that one sheet may have."""

PASSWORD_LENGTH = (12, 1_024)
"""Characters of a password, from and to."""

SHORTEST_PIN = 6
"""Characters that an annotator's password has at least; those who see or settle more have longer ones."""

Strategy = Literal["valuable", "least-done", "disagreement"]
"""Which open item a rater gets first: highest value / fewest answers / most disagreement; then at random."""


@dataclass(frozen=True)
class Person:
    """Somebody who rates or looks on; `id` is the pseudonym that stands in records and exports.

    `kind` is "person" or "assistant". `name` is None once the person was forgotten. `participant` is
    the id that a recruitment panel gave, `panel` the id of that panel. Who is of a `group` gets its items beside
    those that are for all.
    """

    id: str
    name: str | None
    role: Role = "annotator"
    kind: str = "person"
    state: PersonState = "active"
    participant: str | None = None
    created: float = 0.0
    has_password: bool = False
    panel: str | None = None
    group: str = ""


@dataclass(frozen=True)
class Exit:
    """Where a participant goes at the end: a `code` to hand in, and the panel's own page `url`; either may be empty."""

    code: str = ""
    url: str = ""


@dataclass(frozen=True)
class PanelRules:
    """Whom a recruitment panel's link admits, and what each is asked.

    A participant gives up to `quota` answers, practice aside (0: as many as there are), and then goes by
    `completion`; who does not pass practice goes by `screen_out`. `allowed` lists the participant ids that may
    join, None for any; of a panel that is `signed` each id needs the proof that stands in its own link. `id_pattern`
    is a regular expression that the whole of an id fits ("": any), so that an id made up at the keyboard does not.
    Participants are of the `group`, if any.
    """

    quota: int = 0
    completion: Exit = Exit()
    screen_out: Exit = Exit()
    allowed: tuple[str, ...] | None = None
    signed: bool = False
    id_pattern: str = ""
    group: str = ""


OPEN = PanelRules()
"""A panel that admits anybody and asks for all there is."""

Admits = Literal["anybody", "listed", "signed"]
"""Whom a panel's link lets in: any participant id / those on its list / those with a signed link."""

PROOF = "proof"
"""The name of a signed link's proof."""

ANYBODY: Admits = "anybody"


@dataclass(frozen=True)
class Panel:
    """A recruitment panel as it is looked at: `joined` of `places` have come; `expires` in seconds since 1970."""

    id: str
    name: str
    places: int
    joined: int
    quota: int
    completion: Exit
    screen_out: Exit
    admits: Admits
    expires: float
    group: str = ""


@dataclass(frozen=True)
class Ending:
    """How the work of somebody ends for whom nothing is left: done, or not let in after practice; and the way out.

    `settled` says that questions were left, and that none of them was worth a minute any more.
    """

    outcome: Literal["complete", "screened_out"]
    exit: Exit = Exit()
    settled: bool = False


@dataclass(frozen=True)
class Unread:
    """What somebody has to take note of before the next item.

    `consent` is the text to agree to, None for none; `guideline` is the version read last (0: none) where there is
    a newer one, else None.
    """

    consent: str | None = None
    guideline: int | None = None


@dataclass(frozen=True)
class Item:
    """A request that wants `wanted` answers from as many raters.

    `value` is how much an answer is worth to the run (any unit, higher first). `expected` is the known
    answer of gold, attention and practice items, in the request's own order, never shown to a rater
    beforehand; `explanation` is told after practice. Items that are added together under one name of a `sheet`
    are put to raters on one screen; without a name an item is alone. An item of a `group` is for its raters alone.
    """

    request: Request
    purpose: Purpose = "work"
    wanted: int = 1
    value: float = 0.0
    expected: Answer | None = None
    explanation: str = ""
    sheet: str = ""
    group: str = ""


@dataclass(frozen=True)
class Posed:
    """One question of a lease, and exactly how it is shown.

    `order[i]` is the place in `request.shown` of what stands at place i of the question. `shown` is the
    hash of all that is shown with it (see `shown_hash`).
    """

    request: Request
    purpose: Purpose
    order: tuple[int, ...]
    shown: str

    @property
    def outputs(self) -> tuple[Shown, ...]:
        """What the question is about, in the order shown."""
        return tuple(self.request.shown[place] for place in self.order)


@dataclass(frozen=True)
class Lease:
    """A sheet in somebody's hands until `expires` (seconds since 1970): one question, or several about one view.

    They are answered in one go. `draft` is what the rater had typed before, `points` the length of the rating
    scale. `since` is when the rater first had the sheet. `outputs` are all that the questions are about, each
    once, as the page shows them: each question has its own in the same order.
    """

    id: str
    person: str
    questions: tuple[Posed, ...]
    outputs: tuple[Shown, ...]
    guideline: int
    expires: float
    draft: Mapping[str, Any] | None = None
    points: int = 7
    since: float = 0.0

    @property
    def first(self) -> Posed:
        """The first question, whose view and node are those of all."""
        return self.questions[0]


@dataclass(frozen=True)
class Submission:
    """What a rater's page sends to one question: the answer with places as shown, and how it came about.

    `shown` repeats the hash of what the page showed. `seconds` is active time, as the page measured it; on a sheet
    the first answer's has the reading in it, and each further one's is what that answer took beyond the one before.
    `detail` is whatever else is kept with the answer: spans on the source, the diff of a correction,
    that both outputs were called bad, the time away from the page.
    """

    answer: Answer
    shown: str
    seconds: float | None = None
    confidence: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


class Annotation(NamedTuple):  # no dataclass: a frozen one takes six times as long to make, and exports make many
    """A rater's answer on record. `answer` has places in the request's own order, `order` is how it was shown.

    `seconds` is active time, `wall_seconds` from lease to answer. `place`, `node`, `kind`, `criterion`
    and `purpose` are the item's. `right` says whether the answer agrees with the known one; None where none is known.
    `sheet` names what the item is handed out with, the item itself where that is alone; `position` counts the
    answers that somebody handed in together.
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
    sheet: str = ""
    position: int = 0
    criterion: str = OVERALL


class ItemText(NamedTuple):
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
    wall_seconds: float = 0.0  # from the lease on


@dataclass(frozen=True)
class Flag:
    """What somebody found unclear in the guidelines or odd in an item; `number` counts them from 1."""

    item: str
    person: str
    text: str
    at: float
    number: int = 0


@dataclass(frozen=True)
class Message:
    """What raters are told: an announcement to all (`person` is None), or a reply to one, to a `flag` of theirs.

    `number` counts them from 1; `at` is in seconds since 1970.
    """

    number: int
    at: float
    by: str
    person: str | None
    flag: int | None
    text: str


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


class OpenItem(NamedTuple):
    """Work that still wants `missing` answers, and by which `value` its `sheet` goes before others."""

    id: str
    sheet: str
    value: float
    missing: int


@dataclass(frozen=True)
class Valuation:
    """How it stood when open items were last ordered by value.

    `at` is in seconds since 1970, `answers` the changes that it knew of (as `answer_count` counts them), `open` how
    many items. The wave's answers so far took `minutes` of active time, where it was measured, and were `predicted`
    to take so many; `expected` is the mean acceptance of what would be chosen, `gain` what the best sheet adds to it a
    minute. It `stopped` where that was less than a minute is worth: then nothing is open any more. With `refit` few of
    the draws that the belief is made of have what was answered, and models are to be fitted anew.
    """

    at: float
    answers: int
    open: int
    minutes: float
    predicted: float
    expected: float
    gain: float
    stopped: bool = False
    refit: bool = False


@dataclass(frozen=True)
class NextItem:
    """An open item that comes soon by its `value`, of one `sheet`: `stream` and `chosen` say why it was put.

    `held` counts raters who have it in their hands; `stream` is None and so is `chosen`, its value when it was chosen,
    where no sampler chose it.
    """

    seq: int
    id: str
    place: Place
    kind: str
    node: str
    sheet: str
    value: float
    held: int
    stream: str | None
    chosen: float | None


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

    `left` is an estimate that tells no check from work. Of the last answers `undoable` can be taken back,
    `last` first. In practice, `practice_done` of `practice_items` are done in this try, and `tries_left` tries
    are left.
    """

    done: int
    left: int
    seconds: float
    median_seconds: float | None
    undoable: int
    last: str | None = None
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
    markdown: bool = True  # in outputs is shown as such, not as it is written
    rater_share: float = 1.0  # of all answers that work wants, at most so many come from one rater
    sheet: int = 1  # questions about one view that are laid together on one screen, at most
    consent: str = ""  # shown before the first item; a rater must agree
    completion_code: str = ""  # shown when nothing is left to those who came by no panel
    participant_parameter: str = "participant"  # of a panel's link, such as PROLIFIC_PID
    groups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # of raters: see `rrm.queue.groups`


class PanelLinks(NamedTuple):
    """Links to a panel: `invitation` is the address with the token in its fragment, `parameter` the id's name."""

    invitation: str
    parameter: str

    def blank(self) -> str:
        """Return the link for all participants, with the blank in which the panel writes each one's id.

        Panels such as Prolific fill in what stands in double braces with percent signs; for others, their own
        sign is put in its place by hand. An id that still holds the blank is refused.
        """
        return self._with(f"{self.parameter}={{{{%{self.parameter}%}}}}")

    def signed(self, proofs: Mapping[str, str]) -> dict[str, str]:
        """Return a link for each participant id, with the proof that it is the own one."""
        return {id: self._with(urlencode({self.parameter: id, PROOF: proof})) for id, proof in proofs.items()}

    def _with(self, query: str) -> str:
        address, sign, token = self.invitation.partition("#")
        return f"{address}?{query}{sign}{token}"


def consent_id(text: str) -> str:
    """Name a consent text, so that it is on record which one somebody agreed to."""
    return content_id("consent", text)


def shortest_password(role: Role) -> int:
    """Return how many characters a password has at least."""
    return SHORTEST_PIN if role == "annotator" else PASSWORD_LENGTH[0]


def shown_hash(request: Request, order: Sequence[int], guideline: int, points: int, page: Sequence[Shown] = ()) -> str:
    """Name all that a rater sees of a request: outputs in this order, criterion, guidelines' version, scale.

    `page` are the outputs of the whole sheet, where there are more.
    """
    texts = [_seen(request.shown[position]) for position in order]
    around = [each.text for each in page if each not in request.shown]
    beside = [[_seen(each) for each in page]] if around else []
    return content_id("shown", request.view.id, texts, guideline, request.kind, points, request.criterion, *beside)


def _seen(shown: Shown) -> object:
    critique = [shown.critique] if shown.critique else []
    if shown.consequence is not None or critique:
        return [shown.text, shown.support, shown.consequence and shown.consequence.known, *critique]
    return (shown.text, shown.support) if shown.support else shown.text
