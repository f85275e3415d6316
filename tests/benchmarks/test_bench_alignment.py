"""The benchmark of alignment: claims know what they were made from, and what was found is counted."""

from itertools import islice

from benchmarks.alignment import WAYS, Found, Written, measured, written
from rrm.compose.align import Aligner
from rrm.core.task import Span


def test_claims_name_the_sentence_that_they_were_made_from() -> None:
    claims = list(islice(written(5, 600), 40))
    assert {claim.way for claim in claims} == WAYS.keys()
    for claim in claims:
        sentence = claim.read[claim.span.start : claim.span.end]
        assert (claim.text == sentence) == (claim.way == "copied")
        assert claim.way == "copied" or claim.text in WAYS[claim.way](sentence, claim.read)


def test_the_first_origin_is_right_or_wrong_or_not_there_and_strangers_should_have_none() -> None:
    first, second = "Anna slept. Anna slept badly.", "Ben dug. Clara rode away."
    claims = [
        Written("copied", "Anna slept badly.", first, Span(12, 29)),
        Written("copied", "Anna slept badly.", first, Span(0, 11)),
        Written("retold", "Nobody knows.", first, Span(0, 11)),
        Written("retold", "Anna slept.", second, Span(0, 8)),
    ]
    found = measured(claims, Aligner())
    assert found["copied"] == [Found(True, True), Found(False, True)]
    assert found["retold"] == [Found(False, False)] * 2
    assert found["retold, of another book"] == [Found(False, True), Found(False, False)]
