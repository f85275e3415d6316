"""Values: what they refuse, and what they compute."""

from dataclasses import replace

import numpy as np
import pytest

from rrm.core import errors
from rrm.core.errors import InputError, RrmError, ShapeError
from rrm.core.place import Place
from rrm.core.task import Source, Span, Task
from rrm.core.values import (
    KINDS,
    OVERALL,
    Choice,
    Comparison,
    Composed,
    Critique,
    Feedback,
    Fitted,
    Improvement,
    Passage,
    Prediction,
    Ranking,
    Rated,
    Rating,
    Request,
    Score,
    Scored,
    Shown,
    View,
)


@pytest.mark.parametrize("better", [2, -1, "a"])
def test_a_comparison_names_the_first_the_second_or_neither(better: object) -> None:
    with pytest.raises(InputError, match="0, 1 or None"):
        Comparison(better)  # type: ignore[arg-type]
    assert Comparison(None).better is None


@pytest.mark.parametrize("order", [(0, 0), (-1, 0), (1, 2, 1)])
def test_a_ranking_names_different_positions(order: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="different positions"):
        Ranking(order)


@pytest.mark.parametrize("tied", [(2,), (0, 0), (3,)])
def test_what_is_tied_in_a_ranking_is_level_with_one_before_it(tied: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="level with the one before"):
        Ranking((2, 0, 1), tied)


def test_a_ranking_with_ties_orders_those_alone_that_are_not_level() -> None:
    tied = Ranking((2, 0, 1), (0,))  # 2 = 0 > 1
    assert tied.groups == ((2, 0), (1,)) and tied.ranks == {2: 0, 0: 0, 1: 1}
    assert tied.pairs(3) == tied.all_pairs(3) == [(2, 1), (0, 1)]
    assert tied.pairs(4) == [(2, 1), (0, 1), (1, 3)]
    assert sorted(tied.orders()) == [(0, 2, 1), (2, 0, 1)]
    assert tied.first is None and tied.coding({}) == (0, 2)
    assert tied.agrees(Ranking((0, 2, 1), (2,))) and not tied.agrees(Ranking((2, 0, 1)))
    assert tied.difference(Ranking((1, 2, 0))) == 1.0 and tied.difference(Ranking((0, 2, 1))) == 0.0
    assert tied.brief("ABC".__getitem__) == "C = A > B"
    assert not Ranking((0, 1), (1,)).decides(2) and Ranking((0, 1), (1,)).decides(3)
    with pytest.raises(InputError, match="720 orders"):
        Ranking(tuple(range(8)), tuple(range(1, 8)))


@pytest.mark.parametrize("value", [0, 8, True])
def test_a_rating_lies_on_its_scale(value: int) -> None:
    with pytest.raises(InputError, match="between 1 and 7"):
        Rating(value)
    assert Rating(9, points=10).value == 9


@pytest.mark.parametrize("value", [0.99, 7.01, float("nan"), float("inf")])
def test_a_mean_rating_lies_on_the_scale_too(value: float) -> None:
    with pytest.raises(InputError, match="between 1 and 7"):
        Rating(value)
    assert Rating(4.5).value == 4.5


def test_a_whole_rating_has_one_id_however_it_is_written() -> None:
    assert type(Rating(4.0).value) is int
    assert Feedback("request", "Ann", Rating(4.0)).id == Feedback("request", "Ann", Rating(4)).id


def test_a_scale_of_one_point_is_none() -> None:
    with pytest.raises(InputError, match="2 points or more, got 1"):
        Rating(1, points=1)


@pytest.mark.parametrize("confidence", [0.0, -0.5, 1.01, float("nan")])
def test_a_confidence_is_above_zero_and_at_most_one(confidence: float) -> None:
    with pytest.raises(InputError, match="above 0 and up to 1"):
        Feedback("request", "Ann", Comparison(0), confidence=confidence)


def test_an_answer_is_the_same_whatever_its_confidence() -> None:
    sure, unsure = (Feedback("request", "Ann", Comparison(0), confidence=each) for each in (1.0, 0.3))
    assert sure.id == unsure.id


@pytest.mark.parametrize("consistent", [(1, 1), (-1,)])
def test_a_critique_speaks_for_different_positions(consistent: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="different positions"):
        Critique("too long", consistent=consistent)


def test_a_request_asks_for_a_kind_that_exists() -> None:
    with pytest.raises(InputError, match=r"'applause'.*comparison"):
        Request("n", "s", Place(), "applause", View("x", (), 1), ())


def test_every_kind_of_feedback_is_listed_under_its_own_name() -> None:
    assert all(answer.kind == name for name, answer in KINDS.items())
    assert set(KINDS) == {
        "comparison", "hindsight", "ranking", "rating", "label", "correction", "demonstration", "critique", "claims",
        "reject",
    }  # fmt: skip


@pytest.mark.parametrize("samples", [[], [[0.1, 0.2]], 0.5])
def test_a_score_holds_one_sample_per_member(samples: object) -> None:
    with pytest.raises(ShapeError):
        Score(np.asarray(samples, dtype=float))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_score_is_finite(value: float) -> None:
    with pytest.raises(InputError, match="finite"):
        Score(np.array([0.5, value]))


def test_a_scores_mean_spread_and_interval_are_those_of_its_members() -> None:
    score = Score(np.arange(101) / 100)
    assert score.mean == pytest.approx(0.5)
    assert score.std == pytest.approx(np.sqrt((101**2 - 1) / 12) / 100)  # of a discrete uniform distribution
    assert score.interval(0.9) == pytest.approx((0.05, 0.95))


def test_a_view_reads_as_its_passages_and_a_request_as_its_group() -> None:
    view = View("sum up", (Passage("one"), Passage(""), Passage("two")), 128)
    assert view.text == "one\n\ntwo"
    request = Request("n", "book", Place(2, "answer", 1), "comparison", view, (Shown("a", "x"), Shown("b", "y")))
    assert (request.group.source, request.group.place, request.group.outputs) == ("book", request.place, ("x", "y"))


@pytest.mark.parametrize("breaks", [(0,), (4,), (2, 2), (3, 1), (-1,)])
def test_a_sources_breaks_ascend_inside_its_text(breaks: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="breaks"):
        Source("t", "text", breaks=breaks)


@pytest.mark.parametrize("span", [Span(2, 2), Span(3, 1), Span(-1, 2), Span(0, 5)])
def test_a_sources_skipped_spans_lie_inside_its_text(span: Span) -> None:
    with pytest.raises(InputError, match="skipped"):
        Source("t", "text", skipped=(span,))


def test_a_source_reads_a_span() -> None:
    assert Source("t", "some text").read(Span(5, 9)) == "text"


@pytest.mark.parametrize(
    "fields", [{"source": "s"}, {"span": Span(0, 1)}, {}, {"source": "s", "span": Span(3, 1), "rank": 1}]
)
def test_a_task_has_source_and_span_together_or_states_its_rank(fields: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Task("do", **fields)  # type: ignore[arg-type]


def test_every_error_is_ours_and_the_builtin_that_it_refines() -> None:
    ours = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, RrmError)]
    assert len(ours) > 10
    refined = {errors.InputError: ValueError, errors.ProposalError: ValueError, errors.StoreError: OSError}
    assert all(issubclass(each, builtin) for each, builtin in refined.items())
    assert issubclass(errors.AssistantError, RuntimeError)
    assert {each.exit_code for each in ours} == {1, 2, 3, 4, 5, 130, 143}


def test_a_conservative_score_is_the_worst_member_or_the_mean_less_its_variance() -> None:
    score = Score(np.array([1.0, 2.0, 6.0]))  # mean 3, variance (4 + 1 + 9) / 3
    assert score.worst_case() == 1.0
    assert score.less_variance(0.0) == score.mean == 3.0
    assert score.less_variance(0.5) == pytest.approx(3 - 0.5 * 14 / 3)
    with pytest.raises(InputError, match="from 0 up"):
        score.less_variance(-1.0)


def test_an_over_scored_output_is_not_chosen_by_a_conservative_score() -> None:
    # one member of four was misled about the second output: on average it looks best, at worst it does not
    honest, planted = Score(np.array([1.0, 1.1, 0.9, 1.0])), Score(np.array([0.2, 0.1, 0.2, 5.0]))
    assert planted.mean > honest.mean
    assert planted.worst_case() < honest.worst_case()
    assert planted.less_variance(0.5) < honest.less_variance(0.5)


# ---- rounds, roles and criteria ----

ASKED = Request("n", "s", Place(0, "answer", 1), "label", View("x", (), 1), (Shown("a", "x"),))


def test_a_question_is_the_same_in_every_round_and_another_by_criterion_and_copy() -> None:
    assert replace(ASKED, place=Place(5, "answer", 1)).id == ASKED.id
    others = [replace(ASKED, criterion="accuracy"), replace(ASKED, copy=1), replace(ASKED, guideline="v2")]
    assert len({each.id for each in (ASKED, *others)}) == 4


def test_an_answer_by_another_criterion_is_another_answer() -> None:
    assert Feedback(ASKED.id, "Ann", Rating(4)).id != Feedback(ASKED.id, "Ann", Rating(4), criterion="accuracy").id


@pytest.mark.parametrize("weight", [0.0, -0.1, 1.01, float("nan")])
def test_a_rating_weighs_something_and_at_most_itself(weight: float) -> None:
    with pytest.raises(InputError, match="above 0 and up to 1"):
        Rated(ASKED, Feedback(ASKED.id, "Ann", Rating(4)), weight)


def test_a_prompt_has_the_instruction_last_and_leaves_out_what_is_empty() -> None:
    assert View("do", (Passage("text"),), 9, "before").prompt == "before\n\ntext\n\ndo"
    assert View("do", (), 9).prompt == "do"


def test_a_prediction_is_a_matrix_of_members_and_outputs_by_criterion() -> None:
    rewards, accepted = np.zeros((4, 3)), np.full((4, 3), 0.5)
    found = Prediction.overall(rewards, accepted)
    assert (found.k, list(found.acceptance)) == (3, [OVERALL])
    assert Prediction({"tone": rewards[:, :2]}, {"tone": accepted[:, :2]}).k == 2


@pytest.mark.parametrize(
    ("rewards", "acceptance"),
    [
        ({}, {}),
        ({"a": np.zeros((2, 3))}, {"b": np.zeros((2, 3))}),
        ({"a": np.zeros((2, 3))}, {"a": np.zeros((2, 2))}),
        ({"a": np.zeros(3)}, {"a": np.zeros(3)}),
        ({"a": np.zeros((0, 3))}, {"a": np.zeros((0, 3))}),
    ],
)
def test_a_prediction_whose_parts_do_not_fit_is_refused(
    rewards: dict[str, np.ndarray], acceptance: dict[str, np.ndarray]
) -> None:
    with pytest.raises(ShapeError):
        Prediction(rewards, acceptance)


@pytest.mark.parametrize("accepted", [-1e-9, 1 + 1e-9, np.nan, np.inf])
def test_acceptance_is_a_probability(accepted: float) -> None:
    with pytest.raises(InputError, match="overall must"):
        Prediction.overall(np.zeros((1, 1)), np.full((1, 1), accepted))
    assert Prediction.overall(np.zeros((1, 2)), np.array([[0.0, 1.0]])).k == 2


def test_a_reward_is_finite() -> None:
    with pytest.raises(InputError, match="finite"):
        Prediction.overall(np.full((1, 1), np.inf), np.ones((1, 1)))


def test_what_stands_on_record_is_told_apart_by_round_role_level_and_basis() -> None:
    place = Place(1, "answer", 2)
    fitted = Fitted(place, "path", "digest", 3)
    others = [replace(fitted, place=Place(0, "answer", 2)), replace(fitted, role="select"), replace(fitted, root=True)]
    assert len({each.id for each in (fitted, *others)}) == 4
    composed = Composed("o", "first", (0.5,))
    assert composed.id != replace(composed, basis="second").id != replace(composed, criterion="tone").id
    assert Scored("o", "m", (0.0,), (0.5,)).id != Scored("o", "m", (0.0,), (0.5,), "tone").id
    made = Improvement(place, "path", "new", "old", "old", 0.1, 1.0, "exact")
    assert made.id != replace(made, level=2).id != replace(made, place=Place(0, "answer", 2)).id
    choice = Choice(place, "new", "old", 0.1, 9, chosen=True)
    assert choice.id != replace(choice, gain=-0.1).id


@pytest.mark.parametrize("best_first", [(), (0, 1.0), (0, True), (False, 1)])
def test_a_ranking_names_whole_places(best_first):
    with pytest.raises(InputError, match="names one place or more, whole numbers from 0"):
        Ranking(best_first)
    with pytest.raises(InputError, match="whole numbers from 0"):
        Ranking((0, 1), (True,))
