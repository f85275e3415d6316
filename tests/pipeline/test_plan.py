"""The plan hands out each action once, after all that it reads, and never what is on record."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrm.core.errors import InputError
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.pipeline.plan import Action, AnyAction, AnyStage, Done, Plan, Stage, Values


def make(slot: str, results: Mapping[str, Done[Any, Any]]) -> AnyAction:
    return Action(content_id("action", slot, list(results.values())), "propose", slot, Place(), None)


def stage(slots: int | tuple[str, ...], after: Mapping[str, tuple[str, ...]] | None = None) -> AnyStage:
    names = tuple(f"s{number}" for number in range(slots)) if isinstance(slots, int) else slots
    return Stage("propose", Place(level=0), names, make, after or {})


def work_off(plan: Plan, recorded: dict[str, Values] | None = None, most: float = float("inf")) -> list[str]:
    """Do up to `most` actions, each of which makes its own slot's name, and return the slots in the order done."""
    order: list[str] = []
    while ready := plan.ready():
        for action in ready:
            if len(order) >= most:
                return order
            plan.done(action, (action.slot,))
            order.append(action.slot)
            if recorded is not None:
                recorded[action.id] = (action.slot,)
    return order


def test_a_stage_is_titled_by_its_step_and_level() -> None:
    assert Stage("rate", Place(level=2), (), make).title == "rate · round 1, level 2"


def test_actions_without_order_are_all_ready_at_once_and_handed_out_once() -> None:
    plan = Plan(stage(3), {})
    first = plan.ready()
    assert [action.slot for action in first] == ["s0", "s1", "s2"]
    assert plan.ready() == []
    assert (plan.left, plan.finished) == (3, False)
    for action in reversed(first):
        plan.done(action, [action.slot * 2])
    assert (plan.left, plan.finished) == (0, True)
    assert [(slot, done.values) for slot, done in plan.results.items()] == [
        ("s0", ("s0s0",)),
        ("s1", ("s1s1",)),
        ("s2", ("s2s2",)),
    ]


def test_an_empty_stage_is_finished() -> None:
    plan = Plan(stage(0), {})
    assert plan.ready() == []
    assert plan.finished
    assert plan.results == {}


def test_an_action_becomes_ready_only_when_all_that_it_reads_is_done_and_is_given_it() -> None:
    seen: dict[str, Any] = {}

    def look(slot: str, results: Mapping[str, Done[Any, Any]]) -> AnyAction:
        seen[slot] = dict(results)
        return make(slot, results)

    plan = Plan(Stage("propose", Place(level=0), ("a", "b", "c"), look, {"c": ("b", "a")}), {})
    a, b = plan.ready()
    plan.done(a, (1,))
    assert plan.ready() == []
    plan.done(b, ())
    assert [action.slot for action in plan.ready()] == ["c"]
    assert [(slot, done.values) for slot, done in seen["c"].items()] == [("b", ()), ("a", (1,))]
    assert seen["a"] == {}


def test_what_is_on_record_is_not_handed_out_and_unlocks_what_reads_it() -> None:
    chain = stage(4, {"s1": ("s0",), "s2": ("s1",), "s3": ("s2",)})
    recorded: dict[str, Values] = {}
    work_off(Plan(chain, {}), recorded, most=2)
    plan = Plan(chain, recorded)
    assert [action.slot for action in plan.ready()] == ["s2"]
    assert plan.left == 2
    with pytest.raises(ValueError, match="2 of 4 slots are not done yet"):
        _ = plan.results


def test_slots_with_the_same_action_share_it() -> None:
    def same(slot: str, results: Mapping[str, Done[Any, Any]]) -> AnyAction:
        return Action("one", "propose", slot, Place(), None)

    plan = Plan(Stage("propose", Place(level=0), ("a", "b", "c"), same, {"c": ("a",)}), {})
    (action,) = plan.ready()
    plan.done(action, (7,))
    assert plan.ready() == []
    assert {slot: done.values for slot, done in plan.results.items()} == {"a": (7,), "b": (7,), "c": (7,)}


def test_only_what_was_handed_out_can_be_done_and_only_once() -> None:
    plan = Plan(stage(1), {})
    (action,) = plan.ready()
    plan.done(action, ())
    with pytest.raises(ValueError, match=f"{action.id} is not being worked on"):
        plan.done(action, ())


@pytest.mark.parametrize(
    ("slots", "after", "fault"),
    [
        (("a", "b", "a"), {}, "propose · round 1, level 0: named twice among the slots: a"),
        (("a",), {"a": ("x", "w")}, "`after` names w, x, which are no slots of it"),
        (("a",), {"x": ("a",)}, "`after` names x, which are no slots of it"),
        (("a",), {"a": ("a",)}, "each of these slots waits for the next: a -> a"),
        (
            ("d", "a", "b", "c"),
            {"d": ("a",), "a": ("b",), "b": ("c",), "c": ("a",)},
            "each of these slots waits for the next: a -> b -> c -> a",
        ),
    ],
)
def test_an_order_that_cannot_be_kept_is_refused_by_name(
    slots: tuple[str, ...], after: dict[str, tuple[str, ...]], fault: str
) -> None:
    with pytest.raises(InputError, match=fault):
        Plan(stage(slots, after), {})


def test_a_chain_of_ten_thousand_is_worked_off_and_resumed_without_recursion() -> None:
    chain = stage(10_000, {f"s{number}": (f"s{number - 1}",) for number in range(1, 10_000)})
    recorded: dict[str, Values] = {}
    assert work_off(Plan(chain, {}), recorded) == list(chain.slots)
    resumed = Plan(chain, recorded)
    assert resumed.ready() == []
    assert resumed.finished


def test_a_cycle_of_ten_thousand_is_found_without_recursion() -> None:
    after = {f"s{number}": (f"s{(number + 1) % 10_000}",) for number in range(10_000)}
    with pytest.raises(InputError, match="waits for the next: s0 -> s1 -> s2"):
        Plan(stage(10_000, after), {})


def test_a_hundred_thousand_slots_are_worked_off() -> None:
    plan = Plan(stage(100_000), {})
    assert len(work_off(plan)) == 100_000
    assert plan.finished


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_any_order_is_kept_and_a_run_broken_off_anywhere_does_just_the_rest(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 12))
    earlier = {number: data.draw(st.lists(st.integers(0, number - 1), max_size=3)) for number in range(1, size)}
    after = {f"s{number}": tuple(f"s{each}" for each in read) for number, read in earlier.items()}
    names = data.draw(st.permutations([f"s{number}" for number in range(size)]))
    some = stage(tuple(names), after)

    whole = Plan(some, {})
    order = work_off(whole)
    assert sorted(order) == sorted(names)
    assert all(order.index(read) < order.index(slot) for slot in names for read in after.get(slot, ()))

    recorded: dict[str, Values] = {}
    before = work_off(Plan(some, {}), recorded, most=data.draw(st.integers(0, size)))
    resumed = Plan(some, recorded)
    rest = work_off(resumed)
    assert sorted(before + rest) == sorted(names)
    assert resumed.results == whole.results
    assert list(resumed.results) == names
