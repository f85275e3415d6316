"""Alignment: claims find the sentences that they were copied or reworded from, and what has no origin says so."""

import re
from itertools import pairwise

import numpy as np
import pytest

from rrm.compose.align import Aligner
from rrm.compose.provenance import traced
from rrm.core.claims import Citation, Claims, Origin, SeenText, chains
from rrm.core.protocols import PromptContext
from rrm.core.task import Source, Span, Task
from rrm.core.text import sentences
from rrm.core.values import Output, Passage, View
from rrm.policy.careless import Careless
from tasks.synthetic_book import SyntheticBooks

TOLD = "Anna found the silver key. Ben burned the letters at Harrow Mill. Rain fell on the roofs all night."
WORDS = Aligner()


def of(text: str, seen: str = TOLD, aligner: Aligner = WORDS, start: int = 0) -> Claims:
    return aligner.align([Output("n", text, "p", 0)], [SeenText(seen, None, start)])[0]


def origins(claims: Claims, seen: str = TOLD) -> list[list[str]]:
    return [[seen[slice(*origin.span)] for origin in claim.origins] for claim in claims.claims]


def test_copies_and_changed_copies_find_their_sentence() -> None:
    claims = of("Ben burned the letters at Harrow Mill. Clara found the silver key.")
    assert origins(claims) == [["Ben burned the letters at Harrow Mill."], ["Anna found the silver key."]]
    exact, changed = (claim.origins[0].score for claim in claims.claims)
    assert exact > 0.99 > changed > 0.5


def test_what_nothing_seen_says_rests_on_nothing() -> None:
    assert origins(of("Quite unheard of stallions gallop.")) == [[]]
    assert of("").claims == ()
    assert origins(of("Anna slept.", seen="")) == [[]]


def test_a_claim_of_two_sentences_rests_on_both() -> None:
    both = "Anna found the silver key, and Ben burned the letters at Harrow Mill."
    assert [set(each) for each in origins(of(both))] == [
        {"Anna found the silver key.", "Ben burned the letters at Harrow Mill."}
    ]


def test_places_count_from_where_the_text_begins_in_the_source() -> None:
    assert of("Anna found the silver key.", start=500).claims[0].origins[0].span == Span(500, 526)


def test_a_text_in_other_words_is_found_by_its_vector() -> None:
    class Topics:
        """One direction a topic, told by a word."""

        name, dimensions = "topics", 3

        def encode(self, texts: list[str]) -> np.ndarray:
            topic = ({"key", "opener"}, {"letters", "mail"}, {"rain", "wet"})
            said = [set(text.lower().strip(".").split()) for text in texts]
            found = np.array([[bool(each & words) for words in topic] for each in said], dtype=np.float32)
            return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)

    reworded = "Somebody put all mail into flames."
    assert origins(of(reworded)) == [[]]
    assert origins(of(reworded, aligner=Aligner(Topics()))) == [["Ben burned the letters at Harrow Mill."]]


def test_citations_stand_as_they_are_and_bad_ones_are_aligned_instead() -> None:
    output, seen = Output("n", "Rain fell on the roofs all night.", "p", 0), [SeenText(TOLD, None, 10)]
    whole = Span(0, len(output.text))

    def cited(*citations: Citation) -> Claims:
        return WORDS.align([output], seen, [citations])[0]

    start = TOLD.index(output.text)
    good = cited(Citation(whole, 0, Span(start, len(TOLD)))).claims[0]
    assert (good.cited, good.origins) == (True, (Origin(None, Span(start + 10, len(TOLD) + 10), 1.0),))
    last = Span(start, len(TOLD))
    unseen = (Citation(whole, 1, last), Citation(whole, 0, Span(0, 5000)), Citation(whole, -1, last))
    for bad in (*unseen, Citation(Span(whole.end, 0), 0, last), Citation(Span(-5, -1), 0, last)):
        assert cited(bad) == cited()
    everything = cited(*(Citation(whole, 0, Span(at, at + 5)) for at in range(90)))
    assert everything == cited()


def test_a_citation_of_all_that_was_seen_at_once_is_one_of_everything() -> None:
    output, text = (
        Output("n", "It rained 3 times.", "p", 0),
        " ".join(f"It rained {n} times." for n in range(9)),
    )
    for many, cites in ((8, True), (9, False)):
        end = [match.end() for match in re.finditer(r"\.", text)][many - 1]
        named = [Citation(Span(0, len(output.text)), 0, Span(0, end))]
        [claim] = WORDS.align([output], [SeenText(text)], [named])[0].claims
        assert claim.cited is cites


def test_what_is_cited_is_held_against_the_claim_as_any_sentence_is() -> None:
    """A copy scores 1, what shares some words their share, and what says nothing of it is no origin."""
    both = "Anna met Bob. Carl left the old mill."

    def cited(text: str, *read: Span) -> Claims:
        output = Output("n", text, "p", 0)
        named = [Citation(Span(0, len(text)), 0, span) for span in read]
        return WORDS.align([output], [SeenText(both)], [named])[0]

    met, left = sentences(both)
    assert cited("Anna met Bob", met).claims[0].origins == (Origin(None, met, 1.0),)
    assert cited("Anna met Bob.", left) == cited("Anna met Bob.")  # it says nothing of them
    assert cited("Anna met Bob.", left, met).claims[0].origins == (Origin(None, met, 1.0),)
    [claim] = cited("Old Carl left Bob.", left).claims  # three of four words, all equally rare
    assert claim.cited and claim.origins == (Origin(None, left, 0.75),)
    wrong = cited("Dora sang to goats.", left, met).claims[0]
    assert (wrong.cited, wrong.origins) == (False, ())


def test_sentences_that_only_together_say_a_claim_have_the_score_of_all() -> None:
    told = "Anna found it. Ben burned it. Carl drowned it. Dora sold it."
    output = Output("n", "Anna, Ben, Carl, Dora and others.", "p", 0)
    named = [Citation(Span(0, len(output.text)), 0, span) for span in sentences(told)]
    [claim] = WORDS.align([output], [SeenText(told)], [named])[0].claims
    assert claim.cited and [origin.span for origin in claim.origins] == list(sentences(told))
    assert len({origin.score for origin in claim.origins}) == 1 and 0.5 < claim.origins[0].score < 1
    assert WORDS.align([output], [SeenText(told)])[0].claims[0].origins == ()


def test_what_is_cited_in_other_words_is_told_by_vectors() -> None:
    class Same:
        """Every text means the same."""

        name, dimensions = "same", 2

        def encode(self, texts: list[str]) -> np.ndarray:
            return np.tile(np.float32([1, 0]), (len(texts), 1))

    output = Output("n", "Somebody put all mail into flames.", "p", 0)
    named = [[Citation(Span(0, len(output.text)), 0, sentences(TOLD)[1])]]
    assert not WORDS.align([output], [SeenText(TOLD)], named)[0].claims[0].origins
    [claim] = Aligner(Same()).align([output], [SeenText(TOLD)], named)[0].claims
    assert claim.cited and claim.origins == (Origin(None, sentences(TOLD)[1], 0.7),)


def test_an_endless_sentence_and_a_thousand_claims_are_aligned() -> None:
    endless = "the silver key " * 4000
    assert all(claim.origins[0].span == Span(0, 26) for claim in of(endless).claims)
    many = of("Anna found the silver key. " * 1000)
    assert len(many.claims) == 1000
    assert len({claim.origins for claim in many.claims}) == 1


def test_all_copied_claims_of_a_careless_writer_find_their_sentence() -> None:
    """At least 97 % of them; which sentence a changed copy was made from is known, for order is kept."""
    [book] = SyntheticBooks(count=1, words=1500, seed=41).sources()
    spans, found = sentences(book.text), []
    for first, last in pairwise(range(0, len(spans), 40)):
        start, end = spans[first].start, spans[last - 1].end
        shown = PromptContext(
            "n", Task("Tell.", book.id, Span(start, end)), View("Tell.", (Passage(book.read(Span(start, end))),), 128)
        )
        plain = Careless(0.0).sample(shown, 3, 5)
        wrong = Careless(0.6).sample(shown, 3, 5)
        for (copied, _), (spoilt, _) in zip(plain, wrong, strict=True):
            true = [span for span in spans[first:last] if book.read(span) in copied.text]
            if len(sentences(spoilt.text)) == len(true):
                claims = WORDS.align([spoilt], [SeenText(book.read(Span(start, end)), None, start)])[0].claims
                found += [
                    claim.origins[0].span == span for claim, span in zip(claims, true, strict=True) if claim.origins
                ]
    assert len(found) > 30
    assert np.mean(found) >= 0.97


def test_tracing_follows_outputs_down_and_stops_where_nothing_is_known() -> None:
    source = Source("Three", TOLD)
    spans = sentences(TOLD)
    leaves = [Output(f"leaf{at}", source.read(span), "p", 0) for at, span in enumerate(spans)]
    contexts = {
        leaf.node: PromptContext(leaf.node, Task("Tell.", source.id, span), View("Tell.", (Passage(leaf.text),), 64))
        for leaf, span in zip(leaves, spans, strict=True)
    }
    passages = tuple(Passage(leaf.text, leaf.node, leaf.id, 0.5) for leaf in leaves)
    root = Output(
        "root", f"{leaves[2].text} {leaves[0].text} Nobody asked questions.", "p", 0, tuple(each.id for each in leaves)
    )
    contexts["root"] = PromptContext(
        "root", Task("Tell.", source.id, Span(0, len(TOLD))), View("Tell.", passages, 64), root.inputs
    )
    known = {leaf.id: leaf for leaf in leaves}
    claims = traced([root], known, contexts, WORDS)
    assert set(claims) == {root.id, *(leaf.id for leaf in leaves)}
    found = chains(root.id, claims, known | {root.id: root}, TOLD)
    assert [[quote.text for quote in chain.reaches()] for chain in found] == [[leaves[2].text], [leaves[0].text], []]
    assert set(traced([root], {leaves[0].id: leaves[0]}, contexts, WORDS)) == {root.id, leaves[0].id}
    assert traced([Output("elsewhere", "A text.", "p", 0)], known, contexts, WORDS) == {}


@pytest.mark.parametrize("other", [Aligner(least=0.5), Aligner(origins=1), Aligner(meaning=0.5)])
def test_the_name_tells_settings_apart(other: Aligner) -> None:
    assert other.name != Aligner().name
