"""How simulated raters mark claims: by what they read, what they look up, and what they believe of a critic."""

from dataclasses import replace

import pytest

from rrm.core.claims import Grounds
from rrm.core.errors import InputError, PluginError
from rrm.core.place import Place
from rrm.core.values import ClaimMarks, Passage, Request, Shown, View
from rrm.raters.marking import Marked, Marker, mark
from rrm.raters.simulated import SimulatedRaters

VIEW = View("Summarise.", (Passage("Anna sold a lamp. Ben bought a boat."), Passage("It rained. Cara left.")), 60)
TEXT = "Anna sold a lamp. Ben bought a lamp. Dora slept."
GROUNDS = (Grounds(0, False), Grounds(1, True), Grounds(None, True))
REQUEST = Request("node", "source", Place(), "claims", VIEW, (Shown("output", TEXT),))
SURE = {"overlook": 0.0, "slip": 0.0, "trust": 0.0}


def marked(
    read: float, support: tuple[float, ...] = (), critique: str = "", told: tuple[Grounds, ...] = GROUNDS, **law: float
) -> Marked:
    shown = replace(REQUEST.shown[0], support=support, critique=critique)
    return mark(replace(REQUEST, shown=(shown,)), told, Marker(read, **{**SURE, **law}), "seed")


def test_who_reads_all_finds_all_and_who_reads_nothing_finds_nothing() -> None:
    assert marked(1.0) == ((False, True, True), 10 + 12)  # words of the output, and of the view
    assert marked(0.0) == ((False, False, False), 10)
    assert marked(1.0).answer(TEXT) == ClaimMarks(unsupported=((18, 36), (37, 48)))


def test_a_doubtful_claim_is_looked_up_from_the_first_sentence_on() -> None:
    assert marked(0.0, (0.9, 0.79, 0.9)) == ((False, True, False), 10 + 8)
    assert marked(0.0, (0.79, 0.9, 0.9)) == ((False, False, False), 10 + 4)  # it is found to be right
    assert marked(0.0, (0.9, 0.9, 0.1)) == ((False, True, True), 10 + 12)  # what nobody tells of takes all to be read
    assert marked(0.0, (0.9, 0.79, 0.9), doubtful=0.5) == ((False, False, False), 10)


def test_a_critique_is_read_its_quotes_settle_a_claim_and_else_it_is_believed_or_not() -> None:
    right = "“Ben bought a lamp.” The text says “Ben bought a boat.”"
    wrong = "“Ben bought a lamp.” The text says “It rained.”"
    fine = (GROUNDS[0], Grounds(1, False), GROUNDS[2])
    assert marked(0.0, critique=right) == ((False, True, False), 10 + 11)
    assert marked(0.0, critique=wrong, trust=1.0) == ((False, True, False), 10 + 9)
    assert marked(0.0, critique=wrong, told=fine, trust=1.0).marks == (False, True, False)  # a false alarm
    assert marked(0.0, critique=wrong).marks == (False, False, False)
    assert marked(1.0, critique=wrong, told=fine, trust=1.0).marks == (False, False, True)  # who knows better


def test_flaws_are_overlooked_and_true_claims_marked_as_often_as_is_said() -> None:
    told = [mark(REQUEST, GROUNDS, Marker(1.0, overlook=0.25, slip=0.1), seed).marks for seed in range(2000)]
    right, wrong, _ = zip(*told, strict=True)
    assert abs(sum(right) - 200) < 4 * (2000 * 0.1 * 0.9) ** 0.5
    assert abs(sum(wrong) - 1500) < 4 * (2000 * 0.25 * 0.75) ** 0.5


def test_an_empty_output_has_no_claims_to_mark() -> None:
    empty = replace(REQUEST, shown=(Shown("output", "", critique="It says nothing."),))
    assert mark(empty, (), Marker(1.0), 0).marks == ()


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(InputError, match=r"trust is a probability from 0 to 1, got 1\.5"):
        Marker(trust=1.5)


def test_simulated_raters_mark_claims_by_what_a_view_says_of_them() -> None:
    def quality(*_: object) -> list[float]:
        return [0.5]

    raters = SimulatedRaters(quality, grounds=lambda view, text: GROUNDS, read=1.0, overlook=0.0, slip=0.0)
    given = raters.rate(REQUEST, 0)
    assert given.answer == ClaimMarks(unsupported=((18, 36), (37, 48)))
    assert given.seconds == pytest.approx(60 * (22 / 250 + 0.2))
    with pytest.raises(InputError, match="give them grounds"):
        SimulatedRaters(quality).rate(REQUEST, 0)
    with pytest.raises(InputError, match="no distribution over what is said by claims"):
        raters.probability(REQUEST)
    with pytest.raises(PluginError, match="the grounds 'nowhere:at_all' cannot be imported"):
        SimulatedRaters(quality, grounds="nowhere:at_all")


def test_a_claim_that_is_quoted_does_not_tell_what_the_view_says() -> None:
    """A claim copied from the view was known once the critic quoted it, and so was a short sentence in another."""
    mistaken = "“Anna sold a lamp.” names Anna; the nearest sentence does not: “Ben bought a boat.”"
    assert marked(0.0, critique=mistaken, trust=1.0).marks == (True, True, False)
    within = (Grounds(2, True), *GROUNDS[1:])
    assert marked(0.0, critique="The text says “As It rained.”", told=within).marks == (False, False, False)
    assert marked(0.0, critique="The text says “It rained.”", told=within).marks == (True, False, False)
