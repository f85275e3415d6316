"""Budgets of raters: never exceeded, nearly used up, and deterministic by seed."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrm.core.errors import ConfigError
from rrm.core.place import Place
from rrm.core.values import Output, Passage, View
from rrm.feedback.budget import NOTHING, Allowance, Askable, Budget, Spent, ask, by_view, drawn, fitting, read_budget
from rrm.feedback.minutes import PUBLISHED, Rates, minutes
from rrm.feedback.select import select


def askable(node: str, words: int = 250, outputs: int = 4, wanted: Mapping[str, int] | None = None) -> Askable:
    """A node with a view of so many words and outputs of 25 words each."""
    texts = [" ".join([f"{node}{number}"] * 25) for number in range(outputs)]
    view = View("Tell.", (Passage(" ".join([node] * words)),), 40)
    made = tuple(Output(node, text, "policy", seed) for seed, text in enumerate(texts))
    return Askable("source", Place(), view, made, {"comparison": 3, "label": 2} if wanted is None else wanted)


NODES = {name: askable(name) for name in "abcdef"}
ORDER = list("abcdef")


def test_without_a_limit_every_node_is_asked_what_select_asks() -> None:
    expected = [
        request
        for name in ORDER
        for request in select(name, "source", Place(), NODES[name].view, NODES[name].outputs, NODES[name].wanted, 7)
    ]
    found = ask(ORDER, NODES, Allowance(), 7)
    assert [each.node for each in found] == [each.node for each in expected]
    assert {each.id for each in found} == {each.id for each in expected} and len(found) == len(expected)


def test_what_fits_in_minutes_whoever_answers_by_hand() -> None:
    # the view's 250 words are 1 minute, read anew by whoever answers: comparisons take 1.4 each, labels 1.3 each
    everything = list(drawn(ORDER, NODES, 0))
    assert [each.kind for each in everything[:5]] == ["label", "comparison", "comparison", "label", "comparison"]
    assert fitting(everything, Allowance(minutes=4.2)) == everything[:3]  # 4.1 minutes
    assert fitting(everything, Allowance(minutes=4.0)) == everything[:2]
    assert fitting(everything, Allowance(minutes=8.1), overlap=2) == everything[:2]  # two raters read everything
    assert len(fitting(everything, Allowance(minutes=8.3), overlap=2)) == 3
    assert ask(ORDER, NODES, Allowance(minutes=1.2), 0) == [] == ask(ORDER, NODES, NOTHING, 0)
    # published: 250 / 180 minutes of reading and 1.5 a comparison
    compared = [each for each in everything if each.kind == "comparison"]
    assert len(fitting(compared, Allowance(minutes=250 / 180 + 1.5 + 1e-9), rates=PUBLISHED)) == 1


def test_wherever_a_budget_ends_a_node_each_kind_has_about_its_share_and_first_comes_what_anchors() -> None:
    node = {"a": replace(NODES["a"], outputs=askable("a", outputs=9).outputs, wanted={"comparison": 16, "label": 8})}
    kinds = [each.kind for each in drawn(["a"], node, 0)]
    assert Counter(kinds) == {"comparison": 16, "label": 8}
    for asked in range(1, 25):
        labels = kinds[:asked].count("label")
        assert labels > 0 and abs(labels - asked / 3) <= 1, asked
    texts = {"demonstration": 1, "comparison": 3, "correction": 1, "rating/accuracy": 1, "label": 2}
    first, second, *rest = drawn(["a"], {"a": askable("a", wanted=texts)}, 0)
    assert (first.kind, second.kind) == ("label", "comparison")  # what is written takes long, and anchors nothing
    assert len(rest) == 6


def test_what_may_be_skipped_ends_nothing_where_it_does_not_fit() -> None:
    small = list(drawn(ORDER, NODES, 0))
    big = replace(small[0], node="big", view=View("choose", (Passage("word " * 20_000),), 9))
    assert fitting([small[0], big, *small[1:]], Allowance(minutes=8.0)) == small[:1]
    found = fitting([small[0], big, *small[1:]], Allowance(minutes=8.0), skipped={big.id})
    assert found == fitting(small, Allowance(minutes=8.0)) and len(found) > 1


def test_what_is_written_and_does_not_fit_lets_those_behind_it_go_on() -> None:
    """A demonstration of 9 of 16 words a token takes minutes at 19 a minute; what reads as long ends the questions."""
    small = list(drawn(ORDER, NODES, 0))
    longer = replace(small[0].view, max_tokens=400)
    text = replace(small[0], node="text", kind="demonstration", view=longer, shown=())
    assert minutes([text]) > 8.0 > minutes([text, small[0]]) - minutes([text])
    assert fitting([small[0], text, *small[1:]], Allowance(minutes=8.0)) == fitting(small, Allowance(minutes=8.0))
    assert text in fitting([small[0], text, *small[1:]], Allowance(minutes=30.0))


def test_what_fits_in_questions() -> None:
    assert len(ask(ORDER, NODES, Allowance(questions=13), 0)) == 13
    some = {each.id for each in ask(ORDER, NODES, Allowance(questions=13), 0)}
    assert some == {each.id for each in list(drawn(ORDER, NODES, 0))[:13]}


def test_each_visit_puts_the_next_round_of_questions_beside_those_about_the_same_view() -> None:
    found = ask(["a", "b", "a"], NODES, Allowance(), 0)
    assert [request.node for request in found] == ["a"] * 10 + ["b"] * 5
    assert len({request.id for request in found}) == 15
    once = ask(["a", "b"], NODES, Allowance(), 0)
    assert found[:5] == once[:5]
    assert {request.kind for request in found[5:10]} == {"comparison", "label"}


def test_what_was_asked_before_is_passed_over_and_a_visit_puts_the_next_round() -> None:
    everything, twice = ask(ORDER, NODES, Allowance(), 0), ask(["a", "a"], NODES, Allowance(), 0)
    some = ask(ORDER, NODES, Allowance(questions=7), 0)  # all five about a, two about b
    rest = ask(ORDER, NODES, Allowance(), 0, asked=some)
    before = {each.id for each in some}
    again = [each for each in twice if each.id not in before]
    assert len(again) == 5 and rest == [*again, *(each for each in everything[5:] if each.id not in before)]


def test_raters_who_are_not_asked_again_get_what_is_new_and_the_budget_goes_to_other_nodes() -> None:
    nodes = {"a": askable("a", outputs=2), "b": askable("b", outputs=4)}  # 1 pair and 2 labels, 6 pairs and 4 labels
    order = ["a", "b"] * 4  # each visit wants 3 comparisons and 2 labels
    everything = ask(order, nodes, Allowance(), 0, repeats=False)
    assert Counter((each.node, each.kind) for each in everything) == {
        ("a", "comparison"): 1, ("a", "label"): 2, ("b", "comparison"): 6, ("b", "label"): 4,
    }  # fmt: skip
    assert {each.copy for each in everything} == {0}
    first = ask(order, nodes, Allowance(questions=8), 0, repeats=False)
    assert Counter(each.node for each in first) == {"a": 3, "b": 5}
    second = ask(order, nodes, Allowance(questions=8), 0, asked=first, repeats=False)
    assert {each.id for each in (*first, *second)} == {each.id for each in everything}
    assert ask(order, nodes, Allowance(questions=8), 0, asked=everything, repeats=False) == []
    left = ask(order, nodes, Allowance(), 0, asked=everything, unanswered={first[0].id}, repeats=False)
    assert left == [replace(first[0], copy=1)]


def test_questions_of_stale_nodes_come_first_even_where_the_sampler_drew_them_last_or_not() -> None:
    found = ask(["a", "b", "c"], NODES, Allowance(questions=12), 0, stale={"c", "e", "gone"})
    assert [node for node, _ in groupby(request.node for request in found)] == ["c", "e", "a"]


def test_nodes_of_other_levels_and_without_outputs_are_passed_over() -> None:
    nodes = {"a": NODES["a"], "b": replace(NODES["b"], outputs=())}
    assert {request.node for request in ask(["x", "b", "a", "y"], nodes, Allowance(), 0)} == {"a"}
    assert ask([], NODES, Allowance(), 0) == [] == ask(ORDER, {}, Allowance(), 0)


nodes = st.lists(
    st.tuples(st.integers(0, 400), st.integers(1, 5), st.sampled_from(["comparison", "label", "ranking", "rating"])),
    min_size=1,
    max_size=6,
)


@given(nodes, st.floats(0.01, 40), st.integers(0, 4), st.integers(1, 5), st.data())
def test_a_budget_of_minutes_is_never_exceeded_and_nearly_used_up(
    sizes: list[tuple[int, int, str]], budget: float, seed: int, reading: int, data: st.DataObject
) -> None:
    at = {
        f"n{place}": askable(f"n{place}", words, outputs, {kind: 2, "label": 1})
        for place, (words, outputs, kind) in enumerate(sizes)
    }
    order = data.draw(st.lists(st.sampled_from(sorted(at)), max_size=20))
    stale = data.draw(st.sets(st.sampled_from(sorted(at)), max_size=2))
    rates = Rates(decisions_a_reading=reading)
    everything = list(drawn(order, at, seed, stale=stale))
    found = fitting(everything, Allowance(minutes=budget), rates=rates)
    assert everything == list(drawn(order, at, seed, stale=stale))
    assert found == everything[: len(found)]
    assert len({request.id for request in everything}) == len(everything)
    anew = [minutes([request], rates) for request in everything]
    assert minutes(found, rates) <= sum(anew[: len(found)]) + 1e-9 <= budget + 2e-9
    assert len(found) == len(everything) or sum(anew[: len(found) + 1]) > budget - 1e-9
    views = [view for view, _ in groupby(request.view.id for request in by_view(found))]
    assert len(set(views)) == len(views)


def test_a_whole_runs_budget_is_shared_by_draws_and_what_is_left_over_goes_up() -> None:
    budget, draws = Budget(questions=100), {0: 6, 1: 3, 2: 1}
    assert budget.allowance(0, 2, draws) == Allowance(questions=60)
    first = Spent(15.2, 20)  # of the 60 that it might have had
    assert budget.allowance(1, 2, draws, {0: first}) == Allowance(questions=60)  # 80 * 3 / 4
    assert budget.allowance(2, 2, draws, {0: first, 1: Spent(20.0, 30)}) == Allowance(questions=50)
    assert budget.allowance(1, 2, {0: 6, 2: 1}) == NOTHING
    in_minutes = Budget(minutes=20.0).allowance(1, 2, draws, {0: first})
    assert in_minutes.minutes == pytest.approx((20 - 15.2) * 3 / 4, abs=1e-12)
    assert Budget(minutes=1.0).allowance(1, 2, draws, {0: first}).minutes == 0


def test_a_budget_by_level_has_its_own_sum_and_root_is_the_highest_level() -> None:
    budget = Budget(by_level={0: Budget(minutes=30), "1": Budget(questions=10), "root": Budget(questions=4)})
    assert budget.allowance(0, 3, {}) == Allowance(minutes=30.0)
    assert budget.allowance(1, 3, {}, {0: Spent(7.0, 9), 1: Spent(3.0, 4)}) == Allowance(questions=6)
    assert budget.allowance(2, 3, {}) == NOTHING
    assert budget.allowance(3, 3, {}) == Allowance(questions=4)
    assert budget.allowance(1, 1, {}) == Allowance(questions=4)


def test_raters_who_all_answer_share_minutes_and_questions() -> None:
    budget = Budget(by_level={0: Budget(minutes=30), 1: Budget(questions=10)})
    assert budget.share(0.5, 2) == Budget(by_level={0: Budget(minutes=15), 1: Budget(questions=2)})
    assert budget.among(2) == Budget(by_level={0: Budget(minutes=15), 1: Budget(questions=5)})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"minutes": 0}, "budget: a budget's minutes must be more than 0, got 0"),
        ({"minutes": -3.5}, "minutes must be more than 0, got -3.5"),
        ({"minutes": float("inf")}, "minutes must be more than 0, got inf"),
        ({"questions": 0}, "questions must be more than 0, got 0"),
        ({"questions": 2.5}, "budget.questions must be a whole number, got 2.5"),
        ({"questions": True}, "budget.questions must be a whole number, got True"),
        ({"minutes": "many"}, "budget.minutes must be a number, got 'many'"),
        ({"minutes": 3, "questions": 3}, "this one says minutes and questions"),
        ({"minutes": 3, "by_level": {"0": {"minutes": 3}}}, "this one says minutes and by_level"),
        ({}, "this one says nothing"),
        ({"hours": 3}, "unknown key 'hours' in budget; there are minutes, questions, by_level"),
        ({"by_level": {"0": {"hours": 3}}}, "unknown key 'hours' in budget.by_level.0"),
        ({"by_level": {"leaves": {"minutes": 3}}}, "got 'leaves'"),
        ({"by_level": {"-1": {"minutes": 3}}}, "got '-1'"),
        ({"by_level": {"0": 3}}, "budget.by_level must be a table of budgets by level"),
        ({"by_level": {"0": {"by_level": {"1": {"minutes": 3}}}}}, "has no levels of its own"),
        ({"by_level": {"root": {"minutes": -1}}}, "budget.by_level.root: a budget's minutes must be more than 0"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused_in_one_sentence(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_budget(table)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_budgets_are_read_from_plain_values() -> None:
    assert read_budget({"minutes": 600}) == Budget(minutes=600)
    levels = read_budget({"by_level": {"0": {"questions": 2000}, "root": {"minutes": 1.5}}})
    assert levels == Budget(by_level={0: Budget(questions=2000), "root": Budget(minutes=1.5)})
