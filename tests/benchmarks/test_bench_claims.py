"""What the benchmarks of claims compute, by hand; the rule for comments beside what was read by hand."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.claim_comments import said
from benchmarks.claims import DATA, agreement, area, fitted_weights, logistic, overlap, proofs, reviews
from benchmarks.planted import Case, Told, cases
from rrm.core.protocols import ClaimBeside
from rrm.interchange.rows import read_rows
from rrm.raters.marking import Marker, mark

real = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real data in {DATA}: set RRM_DATA")
CHECKED = Path(__file__).parents[2] / "benchmarks" / "claim_comments.jsonl"


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("Incorrect", "fault"),
        ("Not in the story", "fault"),
        ("None of this is in any way accurate although it is well-written overall.", "fault"),
        ("He isn't a doctor.", "fault"),
        ("No comma here", "form"),
        ("Repetitive", "form"),
        ("This is a good opportunity to say why", "form"),
        ("Great detail!", "praise"),
        ("What position?", "unknown"),
        ("...", "unknown"),
    ],
)
def test_a_comment_is_told_by_its_words(comment: str, expected: str) -> None:
    assert said(comment) == expected


@real
def test_the_rule_agrees_with_what_was_read_by_hand_as_the_page_says() -> None:
    checked = [json.loads(line) for line in CHECKED.read_text("utf-8").splitlines()]
    rows = {
        split: [row for _, row in read_rows(DATA / f"squality/human_ratings_{split}.jsonl.gz")]
        for split in ("train", "validation")
    }
    told = [
        (each["by_hand"], said(rows[each["split"]][each["row"]]["critiques"][each["critique"]]["comment"]))
        for each in checked
    ]
    fault = Counter((hand == "fault", rule == "fault") for hand, rule in told)
    assert len(told) == 50
    assert (fault[True, True], fault[False, True], fault[True, False]) == (23, 6, 5)


@real
def test_marks_of_reviews_lie_in_their_summaries() -> None:
    found = reviews("validation")
    assert len(found) == 135 and any(each.marks.marks for each in found)
    for each in found:
        each.marks.check([each.summary])


@real
def test_a_conclusion_stands_beside_its_own_premises_and_beside_others() -> None:
    found = proofs("validation")
    own, other = found[::2], found[1::2]
    assert all(each.supported == 1 for each in own) and all(each.supported == 0 for each in other)
    assert all(
        a.claim.text == b.claim.text and a.claim.origins != b.claim.origins for a, b in zip(own, other, strict=True)
    )


def test_the_area_under_the_curve_counts_pairs_in_order_and_ties_half() -> None:
    rows = np.array([[0.9, 1], [0.4, 1], [0.4, 0], [0.1, 0]])
    assert area(rows) == pytest.approx((2 + 1.5) / 4)
    assert np.isnan(area(rows[:2]))


def test_a_logistic_without_information_gives_the_share() -> None:
    assert logistic(np.zeros(4), np.array([1.0, 1, 1, 0]))(np.zeros(1))[0] == pytest.approx(0.75, abs=1e-4)


def test_weights_without_data_are_those_of_the_own_score() -> None:
    assert fitted_weights(np.zeros((3, 3)), np.array([1.0, 0, 1])).tolist() == pytest.approx([1, 0, 0], abs=1e-5)


def test_the_overlap_is_the_share_of_different_words_that_the_origins_hold() -> None:
    claims = [ClaimBeside("s", "The fox and the dog ran.", ("A fox ran.", "The end.")), ClaimBeside("s", "Fox.", ())]
    assert overlap(claims).tolist() == pytest.approx([3 / 5, 0])


def test_agreement_is_krippendorffs_alpha() -> None:
    votes = [
        ("s", unit, rater, value)
        for unit, values in enumerate(("110", "000", "111"))
        for rater, value in enumerate(values)
    ]
    # observed disagreement 2/3 of one unit of three; 5 of 9 values are 0, expected 2 * 5 * 4 / (9 * 8)
    assert agreement("x", votes).auc == pytest.approx(1 - (2 / 3 / 3) / (40 / 72))


CASE = Case(
    "book",
    ("Anna sold a lamp.", "Ben bought a boat.", "It rained."),
    (Told("Anna sold a lamp.", "Anna sold a lamp.", False), Told("Ben bought a lamp.", "Ben bought a boat.", True)),
)


def test_a_rater_finds_a_flaw_only_where_the_passage_was_read() -> None:
    def marks(read: float) -> tuple[bool, ...]:
        return mark(CASE.request, CASE.grounds, Marker(read, overlook=0.0, slip=0.0), "test").marks

    assert marks(0.0) == (False, False) and marks(1.0) == (False, True)


def test_planted_flaws_are_known() -> None:
    found = [claim for case in cases("reframed", 2, 7) for claim in case.claims]
    assert 0.1 < np.mean([claim.false for claim in found]) < 0.4
    assert all(claim.made_from in case.passage for case in cases("retold", 1, 7) for claim in case.claims)
