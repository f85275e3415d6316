"""Whatever raters, adjudicators, admins, the clock and the run do in whatever order, the desk's promises hold.

The test keeps a model of its own, from the answers that the desk acknowledged: who holds what until when,
who has touched which question, and what is frozen. The desk must say the same at every step.
"""

import shutil
import tempfile
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from rrm.core.annotation import Annotation, Item, Lease, Submission
from rrm.core.errors import ConflictError
from rrm.core.place import Place
from rrm.core.values import Comparison, Feedback, Reject
from rrm.queue import SqlDesk, as_requested, as_shown, open_desk
from rrm.queue.disagreement import disagreement
from rrm.queue.items import LEASE
from rrm.store import open_store
from tests.queue.desk_house import Clock
from tests.queue.desk_problems import known, request
from tests.queue.desk_problems import work as items_of

ITEMS = [
    *items_of(1, 2, wanted=2),
    *items_of(3, wanted=3, value=1.0),
    *items_of(4, level=1, wanted=2),
    Item(request(1, copy=1)),
    *known("gold", 8, 9),
]
RATERS = 3
PLACES = (Place(), Place(level=1))
OFTEN = st.sampled_from((True, True, False))
LATER = [*items_of(5, wanted=2), *items_of(6, level=1), Item(request(2, copy=1), wanted=2)]


@dataclass
class Held:
    """A lease as the model knows it, live until `ended` or the clock passes `expires`."""

    lease: Lease
    expires: float
    ended: str = ""


@dataclass
class Kept:
    """An acknowledged answer as the model knows it."""

    given: Annotation
    key: str
    held: Held | None
    state: str = "live"


@dataclass
class Model:
    """What the desk has promised so far."""

    items: dict[str, Item] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)  # by lease
    kept: list[Kept] = field(default_factory=list)
    frozen: set[int] = field(default_factory=set)
    taken_up: set[int] = field(default_factory=set)
    settled: set[str] = field(default_factory=set)
    drafts: dict[tuple[str, str], Any] = field(default_factory=dict)

    def live(self, person: str, now: float) -> Held | None:
        mine = (each for each in self.held.values() if each.lease.person == person)
        return next((each for each in mine if not each.ended and each.expires > now), None)

    def touched(self, person: str, now: float) -> set[str]:
        """The questions that a person holds, has answered or has passed on."""
        mine = (each for each in self.held.values() if each.lease.person == person)
        standing = (
            each
            for each in mine
            if each.ended in ("answered", "skipped", "requeued") or (not each.ended and each.expires > now)
        )
        return {question_of(each.lease.first.request) for each in standing}

    def used(self, item: str, now: float) -> tuple[int, int]:
        """How many places of an item are answered, and how many are held."""
        answers = sum(
            each.given.item == item and each.state in ("live", "adjudicated") and not each.given.adjudication
            for each in self.kept
        )
        leases = sum(
            each.lease.first.request.id == item and not each.ended and each.expires > now for each in self.held.values()
        )
        return answers, leases

    def has_room(self, item: Item, now: float) -> bool:
        open_ = item.purpose == "work" and item.request.place not in self.frozen
        return open_ and sum(self.used(item.request.id, now)) < item.wanted

    def free(self, person: str, now: float) -> set[str]:
        """The work items that the person may be given."""
        touched = self.touched(person, now)
        return {
            id_
            for id_, item in self.items.items()
            if self.has_room(item, now) and question_of(item.request) not in touched
        }


def _draft(held: Held, answer: dict[str, Any]) -> dict[str, Any]:
    [posed] = held.lease.questions
    of = {"item": posed.request.id, "shown": posed.shown}
    return {"answers": [{**of, "answer": answer, "confidence": None, "detail": {}}]}


def question_of(asked: Any) -> str:
    return request(int(asked.node.removeprefix("node-")), level=asked.place.level).id


class Desks(RuleBasedStateMachine):
    """One desk on one database, which may be closed and opened at any time."""

    url: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="desk-machine-"))
        self.clock, self.random = Clock(), Random(0)
        self.model = Model()
        self.keys = 0
        self.frozen_view: dict[int, list[tuple[str, str]]] = {}

    @initialize(seed=st.integers(0, 1_000))
    def open(self, seed: int) -> None:
        self.random = Random(seed)
        if self.url is not None:
            open_store(self.folder, "run", url=self.url).close()
        else:
            shutil.copy(template(), self.folder / "record.db")
        self.desk = self._open()
        self.desk.add_items(ITEMS)
        self.model.items = {item.request.id: item for item in ITEMS}
        self.desk.change_settings({"gold_every": 4, "attention_every": 0, "undo_limit": 3}, "test")
        self.raters = [self.desk.add_person(f"Rater {number}", by="test").id for number in range(RATERS)]
        self.judge = self.desk.add_person("Judge", "adjudicator", by="test").id

    def _open(self) -> SqlDesk:
        return open_desk(self.folder, clock=self.clock, random=self.random)

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            self.desk.close()
        shutil.rmtree(self.folder)

    # ---- what raters do ----

    @rule(who=st.integers(0, RATERS - 1))
    def claim(self, who: int) -> None:
        person, now = self.raters[who], self.clock()
        before, free = self.model.live(person, now), self.model.free(person, now)
        touched = self.model.touched(person, now)
        drafted = {item for owner, item in self.model.drafts if owner == person}
        lease = self.desk.claim(person)
        if before is not None:
            assert lease is not None
            assert (lease.id, lease.expires) == (before.lease.id, before.expires)
            return
        if lease is None:
            assert not free
            return
        item = self.model.items[lease.first.request.id]
        assert question_of(item.request) not in touched
        if item.purpose == "work":
            assert lease.first.request.id in free
            assert lease.first.request.id in drafted or not free & drafted
        assert lease.draft == self.model.drafts.get((person, lease.first.request.id))
        earlier = [each.lease for each in self.model.held.values() if each.lease.person == person]
        assert all(
            each.first.order == lease.first.order for each in earlier if each.first.request == lease.first.request
        )
        self.model.held[lease.id] = Held(lease, lease.expires)

    def _last(self, who: int, fresh: bool = False) -> Held | None:
        """What the person had last; if `fresh`, what the person holds, claimed if need be."""
        if fresh:
            self.claim(who)
        mine = [each for each in self.model.held.values() if each.lease.person == self.raters[who]]
        return mine[-1] if mine else None

    def _is_live(self, held: Held) -> bool:
        return not held.ended and held.expires > self.clock()

    @rule(who=st.integers(0, RATERS - 1))
    def renew(self, who: int) -> None:
        held = self._last(who)
        if held is None:
            return
        if not self._is_live(held):
            with pytest.raises(ConflictError):
                self.desk.renew(held.lease.person, held.lease.id)
            return
        held.expires = self.desk.renew(held.lease.person, held.lease.id)
        assert held.expires == self.clock() + 900

    @rule(who=st.integers(0, RATERS - 1), better=st.lists(st.sampled_from((0, 1, None, "bad")), max_size=4))
    def work(self, who: int, better: list[Any]) -> None:
        for each in better:
            self.submit(who, each, True)

    @rule(who=st.integers(0, RATERS - 1), better=st.sampled_from((0, 1, None, "bad")), fresh=OFTEN)
    def submit(self, who: int, better: Any, fresh: bool) -> None:
        held = self._last(who, fresh)
        if held is None:
            return
        answer = Reject("both are bad") if better == "bad" else Comparison(better)
        self.keys += 1
        sent = Submission(answer, held.lease.first.shown, 1.0)
        where = (held.lease.person, held.lease.first.request.id)
        if not self._is_live(held):
            with pytest.raises(ConflictError):
                self.desk.submit(held.lease.person, held.lease.id, [sent], f"key {self.keys}")
            if held.ended in ("", "expired"):
                fields = (
                    {"reason": answer.reason} if isinstance(answer, Reject) else {"better": better, "strength": None}
                )
                told = {"kind": answer.kind, **fields}
                self.model.drafts[where] = _draft(held, told)
            return
        [given] = self.desk.submit(held.lease.person, held.lease.id, [sent], f"key {self.keys}")
        assert given.answer == as_requested(answer, held.lease.first.order)
        held.ended = "answered"
        self.model.drafts.pop(where, None)
        self.model.kept.append(Kept(given, f"key {self.keys}", held))

    @precondition(lambda self: self.model.kept)
    @rule(which=st.integers(0, 1_000))
    def send_again(self, which: int) -> None:
        kept = self.model.kept[which % len(self.model.kept)]
        if kept.held is None:
            return
        again = Submission(Comparison(None), kept.held.lease.first.shown)
        [given] = self.desk.submit(kept.given.person, kept.held.lease.id, [again], kept.key)
        assert (given.id, given.answer, given.state) == (kept.given.id, kept.given.answer, kept.state)

    @rule(who=st.integers(0, RATERS - 1), fresh=OFTEN)
    def skip(self, who: int, fresh: bool) -> None:
        held = self._last(who, fresh)
        if held is None:
            return
        self.keys += 1
        if not self._is_live(held):
            with pytest.raises(ConflictError):
                self.desk.skip(held.lease.person, held.lease.id, "hard", f"key {self.keys}")
            return
        for _ in range(2):
            self.desk.skip(held.lease.person, held.lease.id, "hard", f"key {self.keys}")
        held.ended = "skipped"
        self.model.drafts.pop((held.lease.person, held.lease.first.request.id), None)

    @rule(who=st.integers(0, RATERS - 1), note=st.integers(), fresh=OFTEN)
    def draft(self, who: int, note: int, fresh: bool) -> None:
        held = self._last(who, fresh)
        if held is None:
            return
        if held.ended not in ("", "expired"):
            with pytest.raises(ConflictError):
                self.desk.save_draft(held.lease.person, held.lease.id, {"note": note})
            return
        self.desk.save_draft(held.lease.person, held.lease.id, {"note": note})
        self.model.drafts[held.lease.person, held.lease.first.request.id] = {"note": note}

    @rule(who=st.integers(0, RATERS - 1))
    def undo(self, who: int) -> None:
        person, now = self.raters[who], self.clock()
        mine = [each for each in self.model.kept if each.given.person == person][-3:]
        last = next((each for each in reversed(mine) if each.state == "live"), None)
        if last is None or self._place(last.held) in self.model.frozen:
            with pytest.raises(ConflictError):
                self.desk.undo(person)
            return
        holding = self.model.live(person, now)
        lease = self.desk.undo(person)
        assert last.held is not None
        assert (lease.first.request, lease.first.order) == (last.held.lease.first.request, last.held.lease.first.order)
        assert lease.draft is not None
        if holding is not None:
            holding.ended = "expired"
        last.state = last.held.ended = "undone"
        shown = as_shown(last.given.answer, last.given.order)
        [drafted] = lease.draft["answers"]
        assert (drafted["item"], drafted["shown"]) == (lease.first.request.id, last.held.lease.first.shown)
        assert drafted["answer"]["kind"] == shown.kind
        assert drafted["answer"].get("better") == getattr(shown, "better", None)
        self.model.drafts[person, lease.first.request.id] = lease.draft
        self.model.held[lease.id] = Held(lease, lease.expires)

    @rule(seconds=st.sampled_from((1.0, 29.0, 31.0, 450.0, 899.0, 900.0, 5_000.0)))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    # ---- what others do ----

    @rule(better=st.sampled_from((0, 1)))
    def adjudicate(self, better: int) -> None:
        disputed = self.desk.disputed()
        expected = {
            id_
            for id_, item in self.model.items.items()
            if item.purpose == "work"
            and item.request.place not in self.model.frozen
            and id_ not in self.model.settled
            and self.model.used(id_, self.clock())[0] == item.wanted
            and disagreement([each.given.answer for each in self._live_on(id_)]) > 0
        }
        assert {item for item, _ in disputed} == expected
        if not disputed:
            return
        item = disputed[0][0]
        self.keys += 1
        given = self.desk.adjudicate(self.judge, item, Submission(Comparison(better), ""), f"key {self.keys}")
        for each in self._live_on(item):
            each.state = "adjudicated"
        self.model.settled.add(item)
        self.model.kept.append(Kept(given, f"key {self.keys}", None))

    def _live_on(self, item: str) -> list[Kept]:
        return [each for each in self.model.kept if each.given.item == item and each.state == "live"]

    @rule(place=st.sampled_from(PLACES), chance=st.integers(0, 3))
    def freeze(self, place: Place, chance: int) -> None:
        if chance:
            return  # or there would be little but frozen places
        count = self.desk.freeze(place, "boss")
        assert count == len(self._standing(place))
        if place not in self.model.frozen:
            for held in self.model.held.values():
                if self._is_live(held) and self._place(held) == place:
                    held.ended = "expired"
        self._froze(place)

    @rule(place=st.sampled_from(PLACES))
    def freeze_if_complete(self, place: Place) -> None:
        here = [item for item in self.model.items.values() if item.request.place == place and item.purpose == "work"]
        complete = all(self.model.used(item.request.id, self.clock())[0] == item.wanted for item in here)
        frozen = self.desk.freeze_complete(place)
        assert frozen <= (complete or place in self.model.frozen)
        if frozen:
            self._froze(place)

    def _froze(self, place: Place) -> None:
        if place in self.model.frozen:
            return
        self.model.frozen.add(place)
        self.frozen_view[place] = self._view(place)

    def _place(self, held: Held | None) -> Place:
        """Where the item of a lease is, or, of a check, the work for which it stands."""
        assert held is not None
        asked = select(LEASE.c.stands_for).where(LEASE.c.id == held.lease.id)
        with self.desk._read() as connection:
            stands_for = connection.execute(asked).scalar_one()
        return self.model.items[stands_for or held.lease.first.request.id].request.place

    def _view(self, place: Place) -> list[tuple[str, str]]:
        return [(each.id, each.state) for each in self.desk.answers(place=place) if each.purpose == "work"]

    @rule(place=st.sampled_from(PLACES))
    def reopen_place(self, place: Place) -> None:
        if place not in self.model.frozen or place in self.model.taken_up:
            with pytest.raises(ConflictError):
                self.desk.reopen(place, "boss")
            return
        self.desk.reopen(place, "boss")
        self.model.frozen.discard(place)
        del self.frozen_view[place]

    def _standing(self, place: Place) -> list[Kept]:
        return [
            each
            for each in self.model.kept
            if each.given.place == place and each.given.purpose == "work" and each.state == "live"
        ]

    @rule(place=st.sampled_from(PLACES))
    def take_up(self, place: Place) -> None:
        if place not in self.model.frozen:
            with pytest.raises(ConflictError):
                self.desk.take_up(place)
            return
        assert self.desk.take_up(place) == len(self._standing(place))
        self.model.taken_up.add(place)

    @rule(who=st.integers(0, RATERS - 1))
    def requeue(self, who: int) -> None:
        person = self.raters[who]
        mine = [
            each
            for each in self.model.kept
            if each.given.person == person
            and each.state == "live"
            and each.held is not None
            and self._place(each.held) not in self.model.frozen
        ]
        assert self.desk.requeue(person, "boss") == sum(each.given.purpose == "work" for each in mine)
        for each in mine:
            assert each.held is not None
            each.state = each.held.ended = "requeued"

    @rule(which=st.integers(0, len(LATER) - 1))
    def add_item(self, which: int) -> None:
        item = LATER[which]
        there, frozen = item.request.id in self.model.items, item.request.place in self.model.frozen
        if frozen and not there:
            with pytest.raises(ConflictError):
                self.desk.add_items([item])
            return
        assert self.desk.add_items([item]) == (0 if there else 1)
        self.model.items[item.request.id] = item

    @rule()
    def close_and_open(self) -> None:
        self.desk.close()
        self.desk = self._open()

    # ---- what must hold at every step ----

    @invariant()
    def places_are_counted_right_and_never_too_many(self) -> None:
        if not hasattr(self, "desk"):
            return
        with self.desk._read() as connection:
            rows = connection.exec_driver_sql("SELECT id, wanted, taken, given, disagreement, purpose FROM item").all()
            live = connection.exec_driver_sql("SELECT item FROM lease WHERE state = 'live'").scalars().all()
        leases = Counter(live)  # those that ran out are swept by the next claim, and count until then
        for id_, wanted, taken, given, differ, purpose in rows:
            if purpose != "work":
                continue
            answers, held = self.model.used(id_, self.clock())
            assert given == answers
            assert taken == answers + leases[id_]
            assert answers + held <= taken <= wanted
            if id_ not in self.model.settled:
                assert differ == pytest.approx(disagreement([each.given.answer for each in self._live_on(id_)]))

    @invariant()
    def every_acknowledged_answer_is_there_once_and_no_other(self) -> None:
        if hasattr(self, "desk"):
            there = [(each.id, each.answer, each.state) for each in self.desk.answers()]
            assert there == [(each.given.id, each.given.answer, each.state) for each in self.model.kept]
            changed = sum(each.state != "live" for each in self.model.kept)
            assert self.desk.answer_count() == len(there) + changed

    @invariant()
    def nobody_has_a_question_twice(self) -> None:
        asked: dict[str, list[str]] = defaultdict(list)
        for kept in self.model.kept:
            if kept.held is not None and kept.state in ("live", "adjudicated"):
                asked[kept.given.person].append(question_of(kept.held.lease.first.request))
        for person in asked:
            if (held := self.model.live(person, self.clock())) is not None:
                asked[person].append(question_of(held.lease.first.request))
            assert len(set(asked[person])) == len(asked[person])

    @invariant()
    def what_is_frozen_does_not_change(self) -> None:
        for place, view in self.frozen_view.items():
            assert self._view(place) == view

    @invariant()
    def all_feedback_comes_from_answers_that_were_given(self) -> None:
        if not self.model.taken_up:
            return
        with open_store(self.folder, "read") as record:
            feedback = record.load(Feedback)
        stand = [each.given for place in self.model.taken_up for each in self._standing(place)]
        expected = {(each.person, as_shown(each.answer, each.order)) for each in stand}
        assert {(each.rater, each.answer) for each in feedback} == expected
        assert len(feedback) == len(stand)


_TEMPLATE: list[Path] = []


def template() -> Path:
    """The file of an empty record, made once: making one costs more than a run of the machine."""
    if not _TEMPLATE:
        folder = Path(tempfile.mkdtemp(prefix="desk-template-"))
        open_store(folder).close()
        _TEMPLATE.append(folder / "record.db")
    return _TEMPLATE[0]


@pytest.fixture(scope="module", autouse=True)
def _no_template_stays() -> Any:
    yield
    with suppress(IndexError):
        shutil.rmtree(_TEMPLATE.pop().parent)


def runs(examples: int) -> settings:
    return settings(
        max_examples=examples, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
    )


def test_the_promises_hold_whatever_happens() -> None:
    run_state_machine_as_test(Desks, settings=runs(30))


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_promises_hold_in_a_thousand_runs() -> None:
    run_state_machine_as_test(Desks, settings=runs(1_000))


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_promises_hold_on_postgresql(postgres: str) -> None:
    class OnPostgreSQL(Desks):
        url = postgres

    run_state_machine_as_test(OnPostgreSQL, settings=runs(40))
