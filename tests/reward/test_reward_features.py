"""Features: what they notice, and that nothing breaks them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rrm.core.place import Place
from rrm.core.values import Group, Passage, View
from rrm.reward.features import INDEX, NAMES, FeatureReader
from tests.reward.reward_problems import WordEncoder

SOURCE = (
    "In the morning Anna stole the violin from Bruno. It rained on the harbour."
    " Later Clara accused Anna in the market. The soup was cold."
)
ODD = [
    "",
    " \n ",
    "word",
    "...!?",
    "x" * 5000,
    "一二三。四五六。",
    "12 34",
    "\ud83d broken",
    "A. B. C. D.",
    "word " * 2000,
]


def read(outputs: list[str], view: View | None = None) -> dict[str, np.ndarray]:
    shown = view or View("Summarise.", (Passage(SOURCE),), 48)
    numbers = FeatureReader(WordEncoder()).read([Group("s", Place(), shown, tuple(outputs))])[0].numbers
    return {name: numbers[:, at] for name, at in INDEX.items()}


@pytest.mark.parametrize("source", ["", "word", "x" * 4000, SOURCE])
@pytest.mark.parametrize("context", ["", "Before this, Anna slept."])
def test_no_text_gives_anything_but_finite_numbers(source: str, context: str) -> None:
    passages = (Passage(source, score=0.3), Passage("", score=None)) if source else ()
    shown = View("", passages, 0, context)
    found = FeatureReader(WordEncoder()).read([Group("s", Place(), shown, tuple(ODD))])[0]
    assert found.numbers.shape == (len(ODD), len(NAMES)) and found.contents.shape == (len(ODD), 24)
    assert np.isfinite(found.numbers).all() and np.isfinite(found.contents).all()
    assert np.abs(found.numbers).max() < 100


def test_a_group_without_outputs_has_no_rows() -> None:
    found = FeatureReader(WordEncoder()).read([Group("s", Place(), View("", (), 1), ())])[0]
    assert found.numbers.shape == (0, len(NAMES))


def test_equal_texts_have_equal_rows_whatever_stands_beside_them() -> None:
    shown = View("Summarise.", (Passage(SOURCE),), 48)
    reader = FeatureReader(WordEncoder())
    a, b = reader.read([Group("s", Place(), shown, ("The soup was cold.", "Anna.", "The soup was cold."))])[0].numbers[
        [0, 2]
    ]
    alone = (
        FeatureReader(WordEncoder()).read([Group("t", Place(level=1), shown, ("The soup was cold.",))])[0].numbers[0]
    )
    assert np.array_equal(a, b)
    np.testing.assert_allclose(a, alone, atol=1e-6)


def test_a_swapped_name_is_noticed_though_all_words_are_in_the_view() -> None:
    found = read(["Later Clara accused Anna in the market.", "Later Clara accused Bruno in the market."])
    assert found["names_not_in_match"].tolist() == pytest.approx([0, 1 / 2])
    assert found["names_not_in_view"].tolist() == [0, 0]
    assert found["exact_units"].tolist() == [1, 0]
    assert found["near_copies_changed"].tolist() == [0, 1]


def test_an_invented_name_is_noticed() -> None:
    found = read(["Later Clara accused Xaver in the market."])
    assert found["names_not_in_view"][0] == pytest.approx(1 / 2)


def test_numbers_are_checked_against_the_sentence_that_they_came_from() -> None:
    shown = View("", (Passage("He paid 20 crowns. She paid 30 crowns for the horse."),), 48)
    found = read(["She paid 20 crowns for the horse.", "She paid 30 crowns for the horse."], shown)
    assert found["numbers_not_in_match"].tolist() == [1, 0]


def test_order_is_that_of_the_view() -> None:
    first, second = "In the morning Anna stole the violin from Bruno.", "Later Clara accused Anna in the market."
    found = read([f"{first} {second}", f"{second} {first}"])
    assert found["in_order"].tolist() == [1, 0]


def test_saying_more_of_the_view_covers_more_of_it() -> None:
    found = read(["It rained on the harbour.", SOURCE])
    for name in ("coverage_mean", "view_words_covered", "coverage_central"):
        assert found[name][1] > found[name][0]
    assert found["view_words_covered"][1] == pytest.approx(1)


def test_repetition_is_noticed() -> None:
    found = read(["The soup was cold. It rained on the harbour.", "The soup was cold. The soup was cold."])
    assert found["redundancy"][1] > found["redundancy"][0]
    assert found["repeated_trigrams"][1] > found["repeated_trigrams"][0] == 0


def test_evidence_from_below_follows_what_the_output_uses() -> None:
    passages = (Passage("Anna stole the violin.", score=0.9), Passage("It rained on the harbour.", score=0.1))
    shown = View("", passages, 48)
    found = read(["Anna stole the violin.", "It rained on the harbour."], shown)
    assert found["scores_of_used_mean"].tolist() == pytest.approx([1.6, -1.6])  # 4 * (score - 0.5)
    assert found["scores_of_view_min"].tolist() == pytest.approx([-1.6, -1.6])
    assert found["coverage_min_passage"][0] < 0.9


def test_without_scores_the_evidence_says_nothing() -> None:
    found = read(["It rained on the harbour."])
    assert found["scores_of_used_mean"][0] == found["scores_of_view_mean"][0] == 0


def test_what_the_context_told_already_counts_as_repeated() -> None:
    shown = View("", (Passage(SOURCE),), 48, "It rained on the harbour.")
    found = read(["It rained on the harbour.", "Clara accused Anna."], shown)
    assert found["repeats_context"][0] == pytest.approx(1, abs=1e-2) and found["repeats_context"][1] < 0.7


def test_a_word_said_again_adds_to_the_length_but_not_to_that_in_distinct_words() -> None:
    found = read(["cold soup", "Cold soup cold soup", ""])
    assert found["log_words"].tolist() == pytest.approx([np.log(3) - 4, np.log(5) - 4, -4])
    assert found["log_distinct_words"].tolist() == pytest.approx([np.log(3) - 4, np.log(3) - 4, -4])


def test_length_is_measured_against_the_limit() -> None:
    shown = View("", (Passage(SOURCE),), 14)
    assert read(["one two three four five"], shown)["share_of_limit"][0] == pytest.approx(0.5)


def test_features_are_equal_bit_for_bit_in_any_company_and_any_process() -> None:
    outputs = [*SOURCE.split(". "), "Bruno stole the violin from Anna.", "Clara lied. Anna wept. It rained."]
    shown = View("Summarise.", (Passage(SOURCE, score=0.7), Passage("Nobody spoke.", score=0.2)), 48)
    together = FeatureReader(WordEncoder()).read([Group("s", Place(), shown, tuple(outputs))])[0]
    reader = FeatureReader(WordEncoder())
    alone = [reader.read([Group("s", Place(), shown, (text,))])[0] for text in reversed(outputs)][::-1]
    assert np.array_equal(together.numbers, np.concatenate([each.numbers for each in alone]))
    assert np.array_equal(together.contents, np.concatenate([each.contents for each in alone]))
    code = (
        "import sys; sys.path.insert(0, 'tests/reward')\n"
        "import test_reward_features as t\n"
        "print(t.read(t.SOURCE.split('. ')).__repr__())"
    )
    root = Path(__file__).parents[2]
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
