"""Cutting texts into the units that are encoded."""

import pytest

from rrm.backbone.tokens import load_tokenizer
from rrm.backbone.units import units
from rrm.core.errors import InputError


def test_units_are_the_sentences() -> None:
    text = "Anna met Bruno.  They\ntalked! Did it rain?"
    assert units(text, load_tokenizer()) == ["Anna met Bruno.", "They talked!", "Did it rain?"]


def test_nothing_makes_no_units() -> None:
    assert units("", load_tokenizer()) == []
    assert units(" \n\n ", load_tokenizer()) == []


def test_a_long_sentence_becomes_overlapping_windows_that_cover_it() -> None:
    tokenizer = load_tokenizer()
    words = [f"word{number}" for number in range(150)]
    found = units(" ".join(words), tokenizer, window=40, overlap=10)
    assert len(found) > 3
    assert all(tokenizer.count(unit) <= 41 for unit in found)  # a word cut in two may need one token more
    for word in words:
        assert any(word in unit for unit in found)
    assert set(found[0].split()) & set(found[1].split())


def test_a_text_without_spaces_is_covered() -> None:
    text = "x" * 3000
    assert sum(map(len, units(text, load_tokenizer(), window=64, overlap=0))) == 3000


def test_lone_surrogates_are_no_obstacle() -> None:
    text = "broken \ud83d text " * 60
    assert " ".join(units(text, load_tokenizer(), window=20, overlap=0)).count("broken") == 60


def test_windows_that_would_not_advance_are_refused() -> None:
    with pytest.raises(InputError, match="overlap"):
        units("a word", load_tokenizer(), window=20, overlap=20)
