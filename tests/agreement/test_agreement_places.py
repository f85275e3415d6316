"""Agreement by place and kind, from answers on record."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from rrm.agreement.alpha import alpha
from rrm.agreement.answer_table import meaning, pick, tabulate_answers
from rrm.agreement.codings import matrix_codings
from rrm.agreement.places import PlaceAgreement, place_agreement
from rrm.core.annotation import Annotation
from rrm.core.place import Place
from rrm.core.values import (
    Answer,
    Comparison,
    Correction,
    Critique,
    Demonstration,
    Label,
    Ranking,
    Rating,
    Reject,
)
from tests.agreement.agreement_answers import told


def only(answers: list[Annotation]) -> PlaceAgreement:
    (found,) = place_agreement(answers)
    return found


def labels(table: list[list[bool | None]]) -> list[Annotation]:
    return [
        told(f"rater {rater}", f"item {item}", Label(good))
        for item, row in enumerate(table)
        for rater, good in enumerate(row)
        if good is not None
    ]


TABLE: list[list[bool | None]] = [[True, True], [True, False], [False, False], [True, True], [False, None]]


def test_two_raters_of_labels_have_nominal_alpha_and_cohens_kappa() -> None:
    found = only(labels(TABLE))
    assert (found.place, found.kind, found.items, found.answers, found.raters) == (Place(), "label", 5, 9, 2)
    # n = 8, five good and three bad, one unit of two that differ: 1 - 7 * 2 / (64 - 34)
    assert found.alpha["nominal"].value == pytest.approx(1 - 7 * 2 / 30, abs=1e-12)
    assert found.kappa_name == "Cohen's kappa"
    first, second = zip(*TABLE[:4], strict=True)
    assert found.kappa.value == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)
    assert (found.unanimous.count, found.unanimous.total) == (3, 4)


def test_three_raters_have_fleiss_kappa() -> None:
    found = only(labels([[True, True, False], [False, False, False], [True, False, True]]))
    assert found.kappa_name == "Fleiss' kappa"
    assert found.kappa.value is not None


def test_ratings_have_ordinal_and_interval_alpha_whatever_the_points_of_the_scale() -> None:
    said = [[1, 2], [4, 5], [7, 7], [3, 6], [2, 2]]
    for times in (1, 2):  # the same ratings on a scale with every other point left out
        answers = [
            told(f"r{rater}", f"i{item}", Rating(times * (value - 1) + 1, times * 6 + 1))
            for item, row in enumerate(said)
            for rater, value in enumerate(row)
        ]
        found = only(answers)
        assert list(found.alpha) == ["ordinal", "interval"]
        for metric, estimate in found.alpha.items():
            assert estimate.value == pytest.approx(alpha(matrix_codings(said), metric).value, abs=1e-12)


def test_rejections_of_items_to_rate_are_left_out_and_the_note_says_so() -> None:
    answers = [told(f"r{rater}", f"i{item}", Rating(3 + item)) for item in range(3) for rater in range(2)]
    rejected = told("r9", "i0", Reject("no source"), kind="rating")
    with_one = only([*answers, rejected])
    assert with_one.alpha == only(answers).alpha
    assert with_one.note == "1 rejections are no points on the scale and were left out"
    assert with_one.answers == 7


def test_ties_both_bad_and_rejections_are_answers_of_their_own_to_comparisons() -> None:
    both_bad = Reject("both are bad")
    said: list[Answer] = [Comparison(0), Comparison(1), Comparison(None), both_bad, Reject("no source")]
    answers = [
        told(f"r{rater}", f"i{item}", answer, kind="comparison", detail={"both_bad": answer is both_bad})
        for item, answer in enumerate(said)
        for rater in range(2)
    ]
    assert tabulate_answers(answers).meanings == (0, 1, "tie", "both bad", "rejected")
    assert only(answers).unanimous.count == 5


def test_rankings_are_compared_by_what_stands_first() -> None:
    rankings = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 0, 1)]
    answers = [told(f"r{at % 2}", f"i{at // 2}", Ranking(order), order=(2, 0, 1)) for at, order in enumerate(rankings)]
    assert only(answers).unanimous.count == 1


def test_reasons_of_rejections_are_not_compared_and_nothing_wrong_is_an_answer() -> None:
    answers = [
        told("r0", "i0", Reject("too short")),
        told("r1", "i0", Reject("it breaks off")),
        told("r0", "i1", Label(True), kind="reject"),
        told("r1", "i1", Reject("wrong source")),
    ]
    found = only(answers)
    assert found.kind == "reject"
    assert (found.unanimous.count, found.unanimous.total) == (1, 2)


@pytest.mark.parametrize("answer", [Correction("a"), Demonstration("b"), Critique("c")])
def test_texts_are_not_compared_and_it_says_so(answer: Answer) -> None:
    found = only([told(rater, "item", answer) for rater in ("Ann", "Bob")])
    assert found.alpha["nominal"].why == found.kappa.why == "undefined: texts are not compared"
    assert (found.answers, found.items, found.note) == (2, 1, "texts are not compared")


def test_only_work_that_counts_is_compared() -> None:
    answers = labels(TABLE)
    noise = [
        told("rater 0", "item 1", Label(False))._replace(state="undone"),
        told("rater 5", "item 1", Label(False))._replace(state="requeued"),
        told("rater 1", "gold", Label(True), purpose="gold", right=True),
        told("rater 0", "gold", Label(False), purpose="gold", right=False),
        told("rater 0", "trial", Label(True), purpose="practice"),
        told("judge", "item 1", Label(True), adjudication=True),
    ]
    assert only([*answers, *noise]) == only(answers)


def test_settling_disputes_does_not_raise_agreement() -> None:
    answers = labels(TABLE)
    settled = [each._replace(state="adjudicated") if each.item == "item 1" else each for each in answers]
    assert only(settled) == only(answers)


def test_places_and_kinds_stand_apart_and_in_order() -> None:
    places = [Place(10, "answer", 0), Place(2, "answer", 1), Place(2, "answer", 0)]  # in the order of no text
    answers = [
        told(rater, f"{place}{kind}", answer, place=place)
        for place in places
        for kind, answer in (("b", Rating(3)), ("a", Label(True)))
        for rater in ("Ann", "Bob")
    ]
    assert [(each.place, each.kind) for each in place_agreement(answers)] == [
        (place, kind) for place in reversed(places) for kind in ("label", "rating")
    ]


def test_the_interval_draws_whole_nodes() -> None:
    answers = labels(TABLE * 10)
    together = [each._replace(node="the only one") for each in answers]
    assert only(answers).alpha["nominal"].low is not None
    assert only(together).alpha["nominal"].why == "no interval: all items come from one source"


def test_no_answers_are_no_places_and_single_answers_are_undefined_in_words() -> None:
    assert place_agreement([]) == []
    found = only(labels([[True], [False]]))
    assert found.alpha["nominal"].why == found.kappa.why == "undefined: fewer than two raters on every item"
    assert found.unanimous.value is None


def test_a_page_shows_places_and_the_record_keeps_the_requests_order() -> None:
    shown = told("Ann", "i", Comparison(1), order=(1, 0))
    assert (meaning(shown), pick(shown)) == (1, 0)
    ranked = told("Ann", "i", Ranking((2, 0, 1)), order=(1, 2, 0))
    assert (meaning(ranked), pick(ranked)) == (2, 1)
    made_elsewhere = told("Ann", "i", Comparison(0), shown="")
    assert (meaning(made_elsewhere), pick(made_elsewhere)) == (0, None)


def test_a_stream_is_read_once_and_an_undefined_figure_is_never_nan() -> None:
    found = place_agreement(iter(labels([[True, True], [True, True]])))
    assert found[0].alpha["nominal"].why == "undefined: no variation, everybody gave the same answer"
    assert found[0].alpha["nominal"].value is None


@pytest.mark.parametrize("share", [0.6, 0.95])
def test_raters_who_are_right_so_often_agree_as_much_as_they_should(share: float) -> None:
    generator = np.random.default_rng(0)
    truth = generator.random(3000) < 0.5
    said = truth[:, None] ^ (generator.random((3000, 3)) >= share)
    # two agree with probability share^2 + (1 - share)^2, by chance with 1 / 2
    expected = (share**2 + (1 - share) ** 2 - 0.5) / 0.5
    assert only(labels(said.tolist())).alpha["nominal"].value == pytest.approx(expected, abs=0.03)


def test_agreement_is_told_by_criterion() -> None:
    """Raters who agree on the whole and not on accuracy: to throw both together would hide it."""
    said = [
        told(person, f"{criterion}-{number}", Rating(value, 7), kind="rating")._replace(criterion=criterion)
        for number in range(6)
        for criterion, values in (("overall", (1 + number, 1 + number)), ("accuracy", (1 + number, 7 - number)))
        for person, value in zip(("ann", "bob"), values, strict=True)
    ]
    accuracy, overall = place_agreement(said)
    assert (accuracy.criterion, overall.criterion) == ("accuracy", "overall")
    assert overall.alpha["ordinal"].value == 1.0
    assert accuracy.alpha["ordinal"].value is not None and accuracy.alpha["ordinal"].value < 0
