"""The reader of free text: acts by their stems, with who did them, and its agreement with the exact reader."""

import re
from itertools import combinations

import numpy as np
import pytest

from rrm.core.errors import InputError
from rrm.core.text import sentences
from rrm.core.values import Passage, View
from tasks.free_reader import FreelyReadBooks, Mention, mentions, perceived_quality, share_told
from tasks.synthetic_book import SyntheticBooks, read_event

ROLES = {"A": "Anna", "B": "Tobias", "T": "the brass key", "H": "Otter Mill"}
PASSAGE = (
    "Anna murdered Tobias in cold blood near Otter Mill. The rain fell softly on the roofs. Clara stole the brass key"
    " from Martin. Helen forgave Lena with a full heart."
)
VIEW = View("", (Passage(PASSAGE),), 48)


def quality(*texts: str) -> list[float]:
    return [float(each) for each in perceived_quality(VIEW, texts)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("It was Anna who killed Tobias.", ("murder", "Anna", "Tobias", "", "")),
        ("Tobias is slain by Anna at Otter Mill.", ("murder", "Anna", "Tobias", "", "Otter Mill")),
        ("Anna had Tobias arrested.", ("imprison", "Anna", "Tobias", "", "")),
        ("The key was stolen from Martin by Clara.", ("steal", "Clara", "Martin", "the key", "")),
        ("Martin was kidnapped.", ("abduct", "", "Martin", "", "")),
        ("Clara fled, and Anna warned Tobias.", ("flee", "Clara", "", "", "")),
    ],
)
def test_an_act_is_told_by_its_stem_with_who_did_it_and_to_whom(text: str, told: tuple[str, ...]) -> None:
    assert mentions(text)[0][:5] == told


def test_he_or_she_is_whoever_did_something_last_and_a_clause_may_leave_its_subject_out() -> None:
    told = mentions("Anna poisoned Tobias. Then she fled, and escaped into hiding.")
    assert [(each.action, each.agent) for each in told] == [("poison", "Anna"), ("flee", "Anna"), ("flee", "Anna")]


def test_nobody_did_what_no_name_stands_with_and_a_sentence_does_not_begin_with_a_name() -> None:
    assert mentions("The theft of a ring was never solved. Everyone argued about murder.") == []
    assert mentions("Wexford killed Tobias.")[0].agent == ""
    assert mentions("Wexford killed Tobias.", frozenset({"Wexford"}))[0].agent == "Wexford"


def test_nearly_all_forms_of_the_generator_are_read_as_the_event_they_tell() -> None:
    from tasks.synthetic_book import _grammar

    found = []
    for forms in _grammar().clauses.values():
        for clause in (each for form in forms for each in form):
            text = re.sub(r"\{(\w)\}", lambda slot: ROLES[slot.group(1)], clause.words)
            text = f"{text[0].upper()}{text[1:]}."
            event, told = read_event(text), mentions(text)
            assert event is not None
            found.append(len(told) == 1 and told[0].action == event.action and share_told(told[0], event) == 1)
    assert len(found) > 500 and np.mean(found) > 0.95


def test_a_name_of_another_or_the_roles_reversed_tell_nothing() -> None:
    event = read_event("Clara secretly stole the brass key from Martin.")
    assert event is not None
    assert share_told(Mention("steal", "Clara", "Martin", "the key", "", True), event) == 1
    assert share_told(Mention("steal", "Clara", "", "", "", True), event) == 0.5
    assert share_told(Mention("steal", "Clara", "Anna", "the key", "", True), event) == 0
    assert share_told(Mention("steal", "Martin", "Clara", "", "", True), event) == 0
    assert share_told(Mention("steal", "Martin", "Clara", "", "", False), event) == 0.75
    assert share_told(Mention("steal", "Clara", "Martin", "the silver key", "", True), event) == 0


def test_a_faithful_paraphrase_is_better_than_part_of_it_that_than_wrong_pairings_and_those_than_nothing() -> None:
    whole, part, wrong, nothing = quality(
        "Tobias was killed by Anna at Otter Mill. Martin was robbed of his key by Clara.",
        "Somebody killed Tobias. It rained all day.",
        "Tobias was killed by Clara. Martin was robbed by Anna. Helen forgave Lena.",
        "A story of rain and of the nature of men.",
    )
    assert whole > part > wrong > nothing == 0


def test_tricks_earn_nothing() -> None:
    whole = quality("Anna killed Tobias. Clara robbed Martin.")[0]
    words = PASSAGE.replace(".", "").split()
    np.random.default_rng(0).shuffle(words)
    names, scrambled, twice, invented, other = quality(
        "Anna, Tobias, Clara, Martin, Helen and Lena at Otter Mill with the brass key.",
        " ".join(words),
        "Anna killed Tobias. Clara robbed Martin. Anna killed Tobias. Clara robbed Martin.",
        "Then Wilfred killed Tobias. Later Wilfred robbed Martin.",
        "In it Bram betrayed Corin. In it Ivor married Greta.",
    )
    assert names == invented == other == 0
    assert scrambled < 0.5 * whole and twice < whole
    assert quality("")[0] == 0


def test_a_passage_in_anybody_s_words_is_read_by_its_words_and_counts_by_its_score() -> None:
    texts = ["Anna murdered Tobias.", "Anna murdered Martin."]
    for score, least in ((1.0, 0.9), (0.2, 0.3)):
        view = View("", (Passage("In the end it was Anna who had killed Tobias.", score=score),), 48)
        right, wrong = perceived_quality(view, texts)
        assert right > least > wrong == 0


def test_gold_is_that_of_the_span_and_says_in_its_name_how_it_was_read() -> None:
    books = FreelyReadBooks(1, 500, seed=8)
    assert books.name.startswith("freely-read-synthetic-books(")
    [book] = books.books
    text = book.source.text[book.told[0].at :].split(". ")[0] + "."
    assert books.gold(book.source.id, None, text) > 0 == books.gold(book.source.id, None, "")
    with pytest.raises(InputError, match="has no source"):
        books.gold("none", None, text)


def test_it_agrees_with_the_exact_reader_about_passages_that_both_can_read() -> None:
    """Of texts of three sentences each, with a name exchanged in every second one."""
    exact, free = SyntheticBooks(6, 800, seed=300), FreelyReadBooks(6, 800, seed=300)
    agreed = []
    for book in exact.books:
        text = book.source.text
        told = [text[start:end] for start, end in sentences(text) if read_event(text[start:end])]
        people = sorted({name for each in book.told for name in (each.event.agent, each.event.other) if name})
        random = np.random.default_rng(len(told))
        texts = []
        for number in range(24):
            chosen = " ".join(told[at] for at in sorted(random.choice(len(told), 3, replace=False)))
            one, other = random.choice(people, 2, replace=False)
            texts.append(chosen.replace(one, other) if number % 2 else chosen)
        golds = [[books.gold(book.source.id, None, each) for each in texts] for books in (exact, free)]
        for one, other in combinations(range(len(texts)), 2):
            if abs(golds[0][one] - golds[0][other]) > 0.05:
                same = (golds[0][one] - golds[0][other]) * (golds[1][one] - golds[1][other])
                agreed.append(1.0 if same > 0 else 0.5 if same == 0 else 0.0)
    assert len(agreed) > 500 and np.mean(agreed) > 0.8
