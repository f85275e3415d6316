"""What comes of an output: a reader of it alone is asked about the text, and finds what it says, changed or not."""

from itertools import product

import pytest

from rrm.core.errors import ConfigError
from rrm.core.protocols import Rollout
from rrm.raters.rollouts import Cloze

TEXT = (
    "Agnes was strangled by Jonah at Orchard Lodge. A sharp wind blew. Edmund lent Jonas 12 umbrellas outside Rowan "
    "Hall. Some time later, Barnaby went fishing alone. Agnes hid the pearl necklace behind Tanner Ferry."
)
TRUE = "Agnes was strangled by Jonah at Orchard Lodge."
FALSE = "Agnes was strangled by Barnaby at Orchard Lodge."
OTHER = "Edmund lent Jonas 12 umbrellas outside Rowan Hall."


def test_what_an_output_changed_is_found_wrong_and_what_it_leaves_out_is_not_told() -> None:
    assert isinstance(Cloze(), Rollout)
    true, false, other = Cloze().roll_out(TEXT, [TRUE, FALSE, OTHER], 0)
    assert true is not None and false is not None and other is not None
    assert "Right: Agnes was strangled by ____ at Orchard Lodge. – Jonah." in true.text
    assert "Wrong: Agnes was strangled by ____ at Orchard Lodge. – Barnaby; the text says Jonah." in false.text
    assert "Not told: Agnes was strangled by ____ at Orchard Lodge. – the text says Jonah." in other.text
    assert (true.worth, false.worth, other.worth) == (0.5, 0.0, 0.5)  # two sentences are spoken of
    assert true.text.startswith("Who reads this alone answers 1 of 2 questions about the text rightly.")


def test_first_is_asked_of_what_outputs_say_different_things() -> None:
    [true, *_] = Cloze(questions=1).roll_out(TEXT, [OTHER + " " + TRUE, OTHER + " " + FALSE], 0)
    assert true is not None and "strangled by ____" in true.text and "Edmund" not in true.text


def test_a_word_is_no_name_because_a_sentence_begins_with_it() -> None:
    [found] = Cloze().roll_out(TEXT, ["Some time later, Barnaby went fishing alone."], 0)
    assert found is not None and "Some time later, ____ went fishing alone. – Barnaby" in found.text


@pytest.mark.parametrize(
    ("text", "said", "blank"),
    [
        ("In 1914 Edmund lent 4 umbrellas.", "In 1914 Edmund lent 5 umbrellas.", "In 1914 Edmund lent ____ umbrellas."),
        ("For 4.5 hours Edmund lent 4 umbrellas.", "For 4.5 hours Edmund lent 5.", "For 4.5 hours Edmund lent ____"),
        ("Annaberg was where Edmund met Anna.", "Annaberg was where Edmund met Rose.", "Annaberg was where Edmund met"),
    ],
)
def test_a_name_within_a_longer_one_is_neither_taken_out_nor_taken_for_said(text: str, said: str, blank: str) -> None:
    [found] = Cloze(questions=1).roll_out(text, [said], 0)
    assert found is not None and f"Wrong: {blank}" in found.text


def test_a_reader_of_the_text_itself_tells_how_often_a_rollout_is_wrong() -> None:
    [exact] = Cloze().roll_out(TEXT, [TRUE + " " + OTHER], 0)
    assert exact is not None and (exact.checked, exact.wrong) == (2, 0)
    often = [Cloze(errs=0.25).roll_out(TEXT, [TRUE + " " + OTHER], seed)[0] for seed in range(400)]
    checked, wrong = sum(each.checked for each in often if each), sum(each.wrong for each in often if each)
    assert checked == 800 and abs(wrong - 200) <= 4 * (800 * 0.25 * 0.75) ** 0.5
    [always] = Cloze(errs=1.0).roll_out(TEXT, [TRUE], 0)
    assert always is not None and (always.worth, always.wrong) == (0.0, always.checked)


def test_equal_arguments_give_equal_consequences() -> None:
    outputs = [TRUE, FALSE]
    for seed, errs in product((0, 1), (0.0, 0.5)):
        assert Cloze(errs=errs).roll_out(TEXT, outputs, seed) == Cloze(errs=errs).roll_out(TEXT, outputs, seed)
    assert len({Cloze(questions, errs).name for questions, errs in product((1, 2), (0.0, 0.5))}) == 4


@pytest.mark.parametrize("outputs", [[""], ["Nothing of the kind.", "..."], []])
def test_of_outputs_that_speak_of_nothing_in_the_text_nothing_is_known_to_come(outputs: list[str]) -> None:
    assert Cloze().roll_out(TEXT, outputs, 0) == [None] * len(outputs)
    assert Cloze().roll_out("", [TRUE], 0) == [None]


@pytest.mark.parametrize(("questions", "errs"), [(0, 0.0), (4, -0.1), (4, 1.5), (4, float("nan"))])
def test_settings_that_make_no_sense_are_refused(questions: int, errs: float) -> None:
    with pytest.raises(ConfigError, match=r"\[rater\] hindsight"):
        Cloze(questions, errs)
