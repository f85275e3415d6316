"""What the synthetic books tell, what is recognised in a text about them, and how it is judged."""

import doctest
import random
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tasks.synthetic_book
from rrm.core.claims import Grounds
from rrm.core.errors import InputError
from rrm.core.protocols import SourceSet
from rrm.core.task import Span
from rrm.core.text import paragraphs, sentence_texts, sentences
from rrm.core.values import Passage, View
from tasks.synthetic_book import Event, SyntheticBooks, claim_grounds, perceived_quality, recognise, unrecognised_share
from tasks.synthetic_book.judging import importances

MURDER = "That evening, Anna stabbed Maron through the heart at Harrow Mill."
THEFT = "Marin stole the brass key that belonged to Clara."
FORGERY = "Clara forged the signature of Elias."
BREAD = "Clara bought two loaves at the baker's near Crane Quay before dawn."
WEATHER = "Fog hung over Crane Quay like wool."


def shown(*passages: str, scores: tuple[float, ...] = (), context: str = "") -> View:
    score = dict(enumerate(scores))
    return View("", tuple(Passage(text, score=score.get(at)) for at, text in enumerate(passages)), 100, context)


def judged(view: View, *texts: str, read: float = 1.0, seed: int = 0) -> list[float]:
    return [float(value) for value in perceived_quality(view, texts, read, seed)]


@pytest.fixture(scope="module")
def books() -> SyntheticBooks:
    return SyntheticBooks(count=3, words=2000, seed=11)


def told_sentences(books: SyntheticBooks, index: int = 0) -> list[str]:
    text = books.sources()[index].text
    return [text[start:end] for start, end in sentences(text) if recognise(text[start:end])]


def leaves(text: str, words: int) -> list[Span]:
    spans, start, count = [], 0, 0
    for part in paragraphs(text):
        count += len(text[part.start : part.end].split())
        if count >= words:
            spans.append(Span(start, part.end))
            start, count = part.end, 0
    return spans


# ---- the books ----


@pytest.mark.parametrize("words", [500, 2000, 20_000, 200_000])
def test_a_book_has_about_as_many_words_as_asked_and_all_of_it_is_recognised(words: int) -> None:
    books = SyntheticBooks(count=1, words=words, seed=3)
    source = books.sources()[0]
    assert abs(len(source.text.split()) - words) <= 0.1 * words
    assert unrecognised_share(source.text) == 0
    assert recognise(source.text) == [told.event for told in books.books[0].told]


def test_the_docstring_example_holds() -> None:
    assert doctest.testmod(tasks.synthetic_book).failed == 0


def test_synthetic_books_are_a_source_set() -> None:
    assert isinstance(SyntheticBooks(1), SourceSet)


def test_a_book_depends_on_its_seed_and_place_and_not_on_how_many_there_are() -> None:
    three = SyntheticBooks(3, seed=5).sources()
    assert three[:2] == SyntheticBooks(2, seed=5).sources()
    others = SyntheticBooks(3, seed=6).sources()
    assert len({source.id for source in three + others}) == 6


def test_books_of_different_seeds_share_almost_no_sentence() -> None:
    first, second = (set(sentence_texts(SyntheticBooks(1, seed=seed).sources()[0].text)) for seed in (1, 2))
    assert len(first & second) < 0.1 * len(first)


def test_a_bit_under_half_of_the_sentences_tell_an_event(books: SyntheticBooks) -> None:
    for source, book in zip(books.sources(), books.books, strict=True):
        assert 0.35 <= len(book.told) / len(sentences(source.text)) <= 0.5


def test_every_break_is_the_start_of_a_chapter_and_every_chapter_but_the_first_has_one(books: SyntheticBooks) -> None:
    for source in books.sources():
        assert source.text.startswith("Chapter 1: ")
        headings = [source.text[at:].split(":")[0] for at in source.breaks]
        assert headings == [f"Chapter {number}" for number in range(2, len(headings) + 2)]
        assert source.text.count("Chapter ") == len(headings) + 1
        assert "\n\n\n" not in source.text


def test_the_prose_does_not_read_as_one_template(books: SyntheticBooks) -> None:
    text = "\n\n".join(source.text for source in books.sources())
    told = sentence_texts(text)
    assert len(set(told)) > 0.95 * len(told)
    openings = Counter(" ".join(sentence.split()[1:3]) for sentence in told)
    assert openings.most_common(1)[0][1] < 0.04 * len(told)


def test_every_book_has_confusable_names_causes_places_and_late_reveals(books: SyntheticBooks) -> None:
    for book in books.books:
        events = [told.event for told in book.told]
        assert sum(event.cause is not None for event in events) >= 5
        assert sum(event.place != "" for event in events) >= 10
        corrections = {told.at: told.event for told in book.told if told.event.takes_back}
        taken_back = [told for told in book.told if told.taken_back is not None]
        length, reveals, denials = len(book.source.text), 0, 0
        for told in taken_back:
            correction = corrections[told.taken_back or 0]
            assert correction.takes_back == told.event.core
            if correction.denied:
                denials += 1
                assert told.at < told.taken_back
            else:
                reveals += 1
                assert told.at < length / 2 and told.taken_back > 0.7 * length
        assert reveals >= 2 and denials >= 1
        names = {event.agent for event in events}
        close = [(a, b) for a in names for b in names if a < b and a[:2] == b[:2] and abs(len(a) - len(b)) < 3]
        assert close


def test_a_cause_is_an_event_that_was_told_before(books: SyntheticBooks) -> None:
    for book in books.books:
        before = set()
        for told in book.told:
            assert told.event.cause is None or told.event.cause in before
            before.add(told.event.core)


def test_the_words_for_causes_introduce_nothing_else(books: SyntheticBooks) -> None:
    for source in books.sources():
        for sentence in sentence_texts(source.text):
            if re.search(r"\b(because|since|after) ", sentence, re.IGNORECASE):
                assert recognise(sentence)[0].cause is not None, sentence


def test_the_murdered_do_nothing_afterwards_unless_the_book_says_who_did_it_really(books: SyntheticBooks) -> None:
    for book in books.books:
        dead: set[str] = set()
        for event in (told.event for told in book.told):
            assert event.takes_back or event.agent not in dead
            if event.action == "murder":
                dead.add(event.other)


@pytest.mark.parametrize(("count", "words"), [(0, 2000), (1, 10)])
def test_impossible_books_are_refused(count: int, words: int) -> None:
    with pytest.raises(InputError, match="count must be 1 or more"):
        SyntheticBooks(count, words)


# ---- the recogniser ----


@pytest.mark.parametrize(
    ("sentence", "event"),
    [
        (MURDER, Event("murder", "Anna", "Maron", place="Harrow Mill")),
        (THEFT, Event("steal", "Marin", "Clara", "the brass key")),
        ("The brass key was stolen from Clara by Marin.", Event("steal", "Marin", "Clara", "the brass key")),
        ("Near Ash Inn, Maron died in agony at the hands of Anna", Event("murder", "Anna", "Maron", place="Ash Inn")),
        (
            "Clara dismissed Marin from the firm because Marin robbed Clara of the brass key.",
            Event("dismiss", "Clara", "Marin", cause=("steal", "Marin", "Clara", "the brass key")),
        ),
        (
            "Because Marin robbed Clara of the brass key, Clara dismissed Marin from the firm.",
            Event("dismiss", "Clara", "Marin", cause=("steal", "Marin", "Clara", "the brass key")),
        ),
        (
            "Crane Hall was set on fire by Anna, and that is why Clara had Anna arrested!",
            Event("imprison", "Clara", "Anna", cause=("burn", "Anna", "", "Crane Hall")),
        ),
        (
            "In truth it was Anne and not Anna who robbed Clara of the brass key.",
            Event("steal", "Anne", "Clara", "the brass key", instead_of="Anna"),
        ),
        (
            "The rumour that Clara was robbed of the brass key by Marin turned out to be mere gossip.",
            Event("steal", "Marin", "Clara", "the brass key", denied=True),
        ),
        ("Tobias and Anna were married in secret.", Event("marry", "Anna", "Tobias")),
        ("Zorka murdered Bolgar in cold blood.", Event("murder", "Zorka", "Bolgar")),
    ],
)
def test_a_sentence_is_read_as_the_event_that_it_tells(sentence: str, event: Event) -> None:
    assert recognise(sentence) == [event]


@pytest.mark.parametrize(
    "text", ["", WEATHER, "Nothing that this book would say.", "At @ % and @, who @.", "“", "Who?"]
)
def test_what_tells_no_event_is_read_as_none(text: str) -> None:
    assert recognise(text) == []


def test_the_unrecognised_share_counts_sentences_that_are_neither_event_nor_filler() -> None:
    assert unrecognised_share(f"{MURDER} {WEATHER} He was a man of few words. It was late.") == 0.5
    assert unrecognised_share("") == 0


def test_a_reason_that_cannot_be_read_is_a_reason_nobody_gave() -> None:
    (event,) = recognise("Clara dismissed Marin from the firm because the moon is made of cheese.")
    assert event[:4] == ("dismiss", "Clara", "Marin", "")
    assert event.cause is not None


def test_any_exchanged_name_place_or_cause_makes_another_event(books: SyntheticBooks) -> None:
    told = told_sentences(books)
    causes = [sentence.split(" because ")[1] for sentence in told if " because " in sentence]
    assert causes
    for sentence in told:
        (true,) = recognise(sentence)
        for name in filter(None, (true.agent, true.other, true.place, true.instead_of, true.thing)):
            stranger = "the copper crown" if name.startswith("the ") else "Wanda Lodge" if " " in name else "Wanda"
            altered = sentence.replace(name, stranger).replace(name.capitalize(), stranger.capitalize())
            assert recognise(altered)[0] != true, altered
        if " because " in sentence:
            main, own = sentence.split(" because ")
            other = next((cause for cause in causes if recognise(cause)[0].core != recognise(own)[0].core), None)
            if other is not None:
                assert recognise(f"{main} because {other}")[0] not in (true, true._replace(cause=None))


# ---- gold ----


def test_true_sentences_are_accurate_and_in_order_wherever_they_stand(books: SyntheticBooks) -> None:
    source, told = books.sources()[0], told_sentences(books)
    last = [sentence for sentence in told[len(told) // 2 :] if books.fact(source.id, sentence).true][:8]
    quality = books.quality(source.id, None, " ".join(last))
    assert (quality.accuracy, quality.coherence) == (1, 1)
    assert 0 < quality.overall == pytest.approx(quality.coverage)


def test_a_wrong_name_lowers_accuracy_by_one_in_so_many_and_lowers_coverage(books: SyntheticBooks) -> None:
    source, told = books.sources()[0], told_sentences(books)[-6:-1]
    event = recognise(told[2])[0]
    wrong = [*told[:2], told[2].replace(event.agent, "Wanda"), *told[3:]]
    true, false = (books.quality(source.id, None, " ".join(texts)) for texts in (told, wrong))
    assert true.accuracy == 1 and false.accuracy == pytest.approx(0.8)
    assert false.coverage < true.coverage and false.overall < true.overall


def test_telling_every_event_of_a_span_covers_it_and_telling_none_scores_nothing(books: SyntheticBooks) -> None:
    source = books.sources()[1]
    for span in leaves(source.text, 150):
        text = source.read(span)
        events = " ".join(sentence for sentence in sentence_texts(text) if recognise(sentence))
        filler = " ".join(sentence for sentence in sentence_texts(text) if not recognise(sentence))
        assert books.quality(source.id, span, events) == (1, 1, 1, 1)
        assert books.gold(source.id, span, filler) == books.gold(source.id, span, "") == 0


def test_important_events_are_worth_more_than_trifles_in_as_few_words(books: SyntheticBooks) -> None:
    source = books.sources()[0]
    causes = {told.event.cause for told in books.books[0].told}
    told = [sentence for sentence in told_sentences(books) if recognise(sentence)[0].core not in causes]
    told.sort(key=lambda sentence: recognise(sentence)[0].importance)
    late = [sentence for sentence in told if source.text.index(sentence) > len(source.text) / 2]
    assert books.gold(source.id, None, " ".join(late[-5:])) > 3 * books.gold(source.id, None, " ".join(late[:5]))


def test_a_span_without_events_is_well_summarised_by_nothing(books: SyntheticBooks) -> None:
    source = books.sources()[0]
    assert books.gold(source.id, Span(0, len("Chapter 1")), "") == 1
    assert books.gold(source.id, None, "") == 0


def test_a_wrong_culprit_is_true_of_the_leaf_that_tells_it_and_false_of_the_whole_book(books: SyntheticBooks) -> None:
    for source, book in zip(books.sources(), books.books, strict=True):
        for told in book.told:
            if told.taken_back is None:
                continue
            sentence = source.text[told.at :].split("\n")[0]
            first = sentence_texts(sentence)[0]
            reveal = sentence_texts(source.text[told.taken_back :].split("\n")[0])[0]
            leaf, whole = Span(told.at, told.at + len(first)), None
            assert books.quality(source.id, leaf, first) == (1, 1, 1, 1)
            assert books.quality(source.id, whole, first).accuracy == 0
            assert books.quality(source.id, whole, reveal).accuracy == 1
            assert books.gold(source.id, whole, reveal) > 0


def test_repeats_and_disorder_cost_coherence(books: SyntheticBooks) -> None:
    source = books.sources()[0]
    a, b, c, d = told_sentences(books)[-8:-4]
    whole = None
    assert books.quality(source.id, whole, f"{a} {b} {c} {d}").coherence == 1
    assert books.quality(source.id, whole, f"{d} {c} {b} {a}").coherence == 0.25
    assert books.quality(source.id, whole, f"{a} {b} {a} {b}").coherence == 0.5


def test_an_unknown_source_is_an_error_with_its_id(books: SyntheticBooks) -> None:
    with pytest.raises(InputError, match="source-nowhere"):
        books.gold("source-nowhere", None, "")


@given(st.text(alphabet=st.sampled_from("Anna stole@%. ,who“”;\n because"), max_size=80))
def test_any_text_has_a_quality_between_0_and_1(text: str) -> None:
    books = SyntheticBooks(1, 500)
    assert 0 <= books.gold(books.sources()[0].id, None, text) <= 1


# ---- what a reader sees ----


def test_coverage_is_weighted_by_importance_and_by_the_details_told() -> None:
    view = shown(f"{MURDER} {WEATHER} {BREAD}")  # importances 10 and 1
    without_place = "Anna killed Maron without a word."  # the core is 3 parts of 4
    assert judged(view, MURDER, BREAD, without_place, "", WEATHER) == pytest.approx([10 / 11, 1 / 11, 7.5 / 11, 0, 0])


def test_what_is_not_shown_is_wrong_when_all_was_read() -> None:
    view = shown(f"{MURDER} {THEFT}")  # 10 and 8
    swapped = THEFT.replace("Marin", "Maron")
    assert judged(view, f"{MURDER} {THEFT}", f"{MURDER} {swapped}") == pytest.approx([1, 10 / 18 / 2])
    assert judged(view, MURDER.replace("Harrow Mill", "Ash Inn")) == [0]


def test_an_event_told_by_a_distrusted_child_earns_less() -> None:
    view = shown(THEFT, FORGERY, scores=(1.0, 0.5))  # 8 at full trust, 8 at half: weights 8 and 4
    assert judged(view, THEFT, FORGERY) == pytest.approx([8 / 12, 4 / 12 * 0.75])
    other_way = shown(THEFT, FORGERY, scores=(0.5, 1.0))
    assert judged(other_way, THEFT, FORGERY) == pytest.approx([4 / 12 * 0.75, 8 / 12])


def test_a_reader_who_skips_gives_what_was_missed_half_the_benefit_of_the_doubt() -> None:
    view = shown(f"{MURDER} {THEFT}")
    seen = {seed: judged(view, THEFT, read=0.5, seed=seed)[0] for seed in range(40)}
    # Both read; only the murder, as also when neither would be; only the theft.
    expected = [8 / 18, 4 / 10 * 0.5, 1.0]
    assert {round(value, 6) for value in seen.values()} == {round(value, 6) for value in expected}
    assert seen == {seed: judged(view, THEFT, read=0.5, seed=seed)[0] for seed in range(40)}


def test_a_reader_learns_from_a_reveal_in_what_is_shown() -> None:
    reveal = "In truth it was Maron and not Marin who robbed Clara of the brass key."
    assert judged(shown(f"{THEFT} {reveal}"), THEFT, reveal) == [0, 1]


def test_a_reader_learns_from_a_denial_in_what_is_shown() -> None:
    denial = "The old papers proved that the tale that Marin robbed Clara of the brass key was an invention."
    assert judged(shown(f"{THEFT} {denial}"), THEFT, denial) == [0, 1]
    assert judged(shown(THEFT), THEFT, denial) == [1, 0]


def test_a_trifle_weighs_as_much_as_half_of_what_came_of_it() -> None:
    caused = "Clara murdered Elias in cold blood because Clara bought two loaves at the baker's."
    bread = "Clara bought two loaves at the baker's."
    assert judged(shown(f"{bread} {THEFT}"), bread) == pytest.approx([1 / 9])
    assert judged(shown(f"{bread} {THEFT} {caused}"), bread) == pytest.approx([6 / 24])  # 1 + 10 / 2, 8, 10


def test_only_the_whole_book_tells_which_trifles_matter(books: SyntheticBooks) -> None:
    for book in books.books:
        events = [told.event for told in book.told]
        worth = dict(zip((event.core for event in events), importances(events), strict=True))
        trifles = [event for event in events if event.importance == 1]
        assert sum(worth[event.core] > 5 for event in trifles) >= 1
        assert sum(worth[event.core] == 1 for event in trifles) > len(trifles) / 2


def test_what_the_previous_context_told_is_true_but_covers_nothing() -> None:
    view = shown(MURDER, context=THEFT)
    assert judged(view, MURDER, f"{MURDER} {THEFT}", THEFT) == pytest.approx([1, 1, 0])


def test_a_claim_about_what_the_previous_context_told_is_not_false() -> None:
    """It was marked as false, while the quality by the same view counted it as true."""
    before = shown(MURDER, context=THEFT)
    assert claim_grounds(before, f"{MURDER} {THEFT}") == [Grounds(0, False), Grounds(None, False)]
    assert claim_grounds(shown(MURDER), THEFT) == [Grounds(None, True)]


def test_a_view_without_events_is_well_summarised_by_nothing() -> None:
    assert judged(shown(WEATHER), "") == [1]
    assert judged(shown(MURDER), "") == [0]


@pytest.mark.parametrize(("read", "least"), [(1.0, 0.98), (0.85, 0.8)])
def test_what_readers_see_in_leaves_agrees_with_gold(books: SyntheticBooks, read: float, least: float) -> None:
    rng = random.Random(0)
    gold, seen = [], []
    for source in books.sources():
        names = sorted({told.event.agent for told in books.books[0].told})
        for span in leaves(source.text, 200):
            said = sentence_texts(source.read(span))
            kept = [sorted(rng.sample(range(len(said)), 4)) for _ in range(6)]
            texts = [" ".join(said[at] for at in some) for some in kept]
            texts = [text.replace(rng.choice(names), rng.choice(names)) for text in texts]
            gold += [books.gold(source.id, span, text) for text in texts]
            seen += judged(shown(source.read(span)), *texts, read=read)
    assert np.corrcoef(gold, seen)[0, 1] > least


def test_a_book_in_which_hardly_anybody_is_left_alive_is_written_to_its_end() -> None:
    [*_, book] = SyntheticBooks(count=4, words=2000, seed=9_101_000).books
    assert 2000 <= len(book.source.text.split()) < 2100
