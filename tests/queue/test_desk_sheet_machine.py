"""Whatever raters, admins and the clock do with sheets in whatever order, each is handed out and answered as one.

The test keeps a model of its own: who holds which sheet until when, what was acknowledged, and what is frozen.
"""

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from rrm.core.annotation import Annotation, Item, Lease, Submission
from rrm.core.errors import ConflictError
from rrm.core.place import Place
from rrm.core.values import Comparison
from tests.queue.desk_house import Clock
from tests.queue.desk_problems import new_desk, work

RATERS, LEASE_SECONDS, UNDOABLE = 3, 900.0, 3
PLACES = (Place(), Place(level=1))


def sheet(name: str, items: list[Item]) -> list[Item]:
    return [replace(item, sheet=name) for item in items]


ITEMS = [
    *sheet("three", [*work(1, wanted=2), *work(2, 3, wanted=1)]),  # whose questions do not want as many answers
    *sheet("two", work(4, 5, wanted=2, level=1)),
    *work(6, wanted=2),
]
LATER = sheet("later", work(7, 8, wanted=2))


@dataclass
class Held:
    """A lease of a sheet, live until it `ended` or the clock passes `expires`."""

    lease: Lease
    expires: float
    ended: str = ""

    @property
    def items(self) -> set[str]:
        return {posed.request.id for posed in self.lease.questions}


@dataclass
class Given:
    """The answers to a sheet that were acknowledged together, each with its state."""

    held: Held
    key: str
    answers: list[Annotation]
    states: dict[str, str]


@dataclass
class Model:
    items: dict[str, Item] = field(default_factory=dict)
    held: list[Held] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    frozen: set[Place] = field(default_factory=set)


class Sheets(RuleBasedStateMachine):
    """One desk, three raters, sheets of several sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="sheet-machine-"))
        self.clock, self.model, self.keys = Clock(), Model(), 0

    @initialize(seed=st.integers(0, 1_000))
    def open(self, seed: int) -> None:
        self.desk = new_desk(self.folder / "run", self.clock, seed=seed)
        self.desk.change_settings({"undo_limit": UNDOABLE}, "test")
        self.desk.add_items(ITEMS)
        self.model.items = {item.request.id: item for item in ITEMS}
        self.raters = [self.desk.add_person(f"Rater {number}", by="test").id for number in range(RATERS)]
        self.random = Random(seed)

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            self.desk.close()
        shutil.rmtree(self.folder)

    # ---- what the model says ----

    def _is_live(self, held: Held) -> bool:
        return not held.ended and held.expires > self.clock()

    def _live(self, person: str) -> Held | None:
        return next((each for each in self.model.held if each.lease.person == person and self._is_live(each)), None)

    def _touched(self, person: str) -> set[str]:
        """The questions that somebody holds, passed on, or answered without taking the answer back."""
        touched = set()
        for held in self.model.held:
            if held.lease.person == person and (self._is_live(held) or held.ended == "skipped"):
                touched |= held.items
        for given in self.model.given:
            if given.held.lease.person == person:
                touched |= {each.item for each in given.answers if given.states[each.id] != "undone"}
        return touched

    def _answered(self, item: str) -> int:
        return sum(
            each.item == item and given.states[each.id] == "live"
            for given in self.model.given
            for each in given.answers
        )

    def _taken(self, item: str) -> int:
        return self._answered(item) + sum(item in held.items for held in self.model.held if self._is_live(held))

    def _free(self, person: str) -> set[str]:
        touched = self._touched(person)
        return {
            id_
            for id_, item in self.model.items.items()
            if id_ not in touched and item.request.place not in self.model.frozen and self._taken(id_) < item.wanted
        }

    # ---- what raters do ----

    @rule(who=st.integers(0, RATERS - 1))
    def claim(self, who: int) -> None:
        person = self.raters[who]
        before, free = self._live(person), self._free(person)
        lease = self.desk.claim(person)
        if before is not None:
            assert lease is not None and (lease.id, lease.expires) == (before.lease.id, before.expires)
            return
        if lease is None:
            assert not free
            return
        asked = [posed.request.id for posed in lease.questions]
        [name] = {self.model.items[id_].sheet or id_ for id_ in asked}
        assert set(asked) == {
            id_ for id_ in free if (self.model.items[id_].sheet or id_) == name
        }  # all that is left of it
        assert asked == [id_ for id_ in self.model.items if id_ in asked]  # in its order
        self.model.held.append(Held(lease, lease.expires))

    def _last(self, who: int, fresh: bool) -> Held | None:
        if fresh:
            self.claim(who)
        return next((each for each in reversed(self.model.held) if each.lease.person == self.raters[who]), None)

    @rule(who=st.integers(0, RATERS - 1), fresh=st.sampled_from((True, True, True, False)))
    def submit(self, who: int, fresh: bool) -> None:
        held = self._last(who, fresh)
        if held is None:
            return
        self.keys += 1
        key = f"key {self.keys}"
        sent = [Submission(Comparison(self.random.choice([0, 1])), posed.shown, 1.0) for posed in held.lease.questions]
        if not self._is_live(held):
            with pytest.raises(ConflictError):
                self.desk.submit(held.lease.person, held.lease.id, sent, key)
            return
        answers = self.desk.submit(held.lease.person, held.lease.id, sent, key)
        assert [each.item for each in answers] == [posed.request.id for posed in held.lease.questions]
        held.ended = "answered"
        self.model.given.append(Given(held, key, list(answers), {each.id: "live" for each in answers}))

    @rule(which=st.integers(0, 1_000))
    def send_again(self, which: int) -> None:
        if not self.model.given:
            return
        given = self.model.given[which % len(self.model.given)]
        lease = given.held.lease
        again = self.desk.submit(
            lease.person, lease.id, [Submission(Comparison(None), posed.shown) for posed in lease.questions], given.key
        )
        assert [(each.id, each.state) for each in again] == list(given.states.items())

    @rule(who=st.integers(0, RATERS - 1))
    def skip(self, who: int) -> None:
        held = self._last(who, fresh=True)
        if held is None:
            return
        self.keys += 1
        if not self._is_live(held):
            with pytest.raises(ConflictError):
                self.desk.skip(held.lease.person, held.lease.id, "hard", f"key {self.keys}")
            return
        self.desk.skip(held.lease.person, held.lease.id, "hard", f"key {self.keys}")
        held.ended = "skipped"

    @rule(who=st.integers(0, RATERS - 1))
    def undo(self, who: int) -> None:
        person = self.raters[who]
        mine = [each for each in self.model.given if each.held.lease.person == person][-UNDOABLE:]
        last = next((each for each in reversed(mine) if "live" in each.states.values()), None)
        if last is None or last.answers[0].place in self.model.frozen:
            with pytest.raises(ConflictError):
                self.desk.undo(person)
            return
        holding = self._live(person)
        lease = self.desk.undo(person)
        if holding is not None:
            holding.ended = "expired"
        back = {each.item for each in last.answers if last.states[each.id] == "live"}
        assert {posed.request.id for posed in lease.questions} == back
        last.states.update({each.id: "undone" for each in last.answers if each.item in back})
        self.model.held.append(Held(lease, lease.expires))

    # ---- what others do ----

    @rule(seconds=st.sampled_from((1.0, 450.0, 899.0, 900.0, 5_000.0)))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(who=st.integers(0, RATERS - 1))
    def requeue(self, who: int) -> None:
        person = self.raters[who]
        gone = 0
        for given in self.model.given:
            for each in given.answers:
                mine = given.held.lease.person == person and given.states[each.id] == "live"
                if mine and each.place not in self.model.frozen:
                    given.states[each.id] = "requeued"
                    gone += 1
        assert self.desk.requeue(person, "boss") == gone

    @rule(place=st.sampled_from(PLACES), chance=st.integers(0, 4))
    def freeze(self, place: Place, chance: int) -> None:
        if chance:  # or there would be little but frozen places
            return
        self.desk.freeze(place, "boss")
        self.model.frozen.add(place)
        for held in self.model.held:
            if self._is_live(held) and held.lease.first.request.place == place:
                held.ended = "expired"

    @rule(place=st.sampled_from(PLACES))
    def reopen(self, place: Place) -> None:
        if place in self.model.frozen:
            self.desk.reopen(place, "boss")
            self.model.frozen.discard(place)

    @rule()
    def more_items(self) -> None:
        if Place() not in self.model.frozen:
            self.desk.add_items(LATER)
            self.model.items |= {item.request.id: item for item in LATER}

    # ---- what always holds ----

    @invariant()
    def answers_stand_as_they_were_acknowledged(self) -> None:
        if not hasattr(self, "raters"):
            return
        there = {each.id: (each.item, each.person, each.state) for each in self.desk.answers()}
        expected = {
            each.id: (each.item, each.person, given.states[each.id])
            for given in self.model.given
            for each in given.answers
        }
        assert there == expected

    @invariant()
    def no_item_is_in_more_hands_than_it_wants(self) -> None:
        if not hasattr(self, "raters"):
            return
        assert all(self._taken(id_) <= item.wanted for id_, item in self.model.items.items())
        told = Counter({each.place: each.answers for each in self.desk.progress()})
        counted: Counter[Place] = Counter()
        for id_, item in self.model.items.items():
            counted[item.request.place] += self._answered(id_)
        assert told == counted


def test_a_sheet_is_one_whatever_happens() -> None:
    run_state_machine_as_test(
        Sheets,
        settings=settings(
            max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
