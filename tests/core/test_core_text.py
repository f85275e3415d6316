"""Cutting text: sentences, paragraphs and words."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrm.core.text import paragraphs, sentence_texts, sentences, whole_sentences, word_count, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Mr. Smith met Dr. Jones. They spoke.", ["Mr. Smith met Dr. Jones.", "They spoke."]),
        ("J. R. Smith left. I did too.", ["J. R. Smith left.", "I did too."]),
        ("It was I. He knew.", ["It was I.", "He knew."]),
        ("He said no. Then he left.", ["He said no.", "Then he left."]),
        ("See No. 5 below. Then go.", ["See No. 5 below.", "Then go."]),
        ("“Stop!” she cried. “Why?” He ran.", ["“Stop!” she cried.", "“Why?”", "He ran."]),
        ("Wait... what? Nothing.", ["Wait... what?", "Nothing."]),
        ("CHAPTER V.\n\nThe rain fell.", ["CHAPTER V.", "The rain fell."]),
        ("A title\n\nsmall letters follow.", ["A title", "small letters follow."]),
        ("It ends.\n\nbut goes on.", ["It ends.", "but goes on."]),
        ("He met Mr\n\n. Then left.", ["He met Mr", ".", "Then left."]),
        ("你好。再见！“走吧。”好", ["你好。", "再见！", "“走吧。”", "好"]),
        ("no stops at all", ["no stops at all"]),
        ("वह घर गया। वह सो गया॥ फिर", ["वह घर गया।", "वह सो गया॥", "फिर"]),
        ("ذهب الولد؟ نام هناك. ثم استيقظ۔ نام", ["ذهب الولد؟", "نام هناك.", "ثم استيقظ۔", "نام"]),
        ("She left… He came. … And so on…", ["She left…", "He came.", "…", "And so on…"]),
        ("she left. then he came. and so on", ["she left.", "then he came.", "and so on"]),
        ("She left. then he came. and so on", ["She left.", "then he came.", "and so on"]),
        ("She left. He had come. to stay. It rained.", ["She left.", "He had come. to stay.", "It rained."]),
        (
            "She left. He had come. to stay.\n\nit rained. a lot.",
            ["She left.", "He had come. to stay.", "it rained.", "a lot."],
        ),
        ("We met Dr. smith, e.g. this, and J. r. smith.", ["We met Dr. smith, e.g. this, and J. r. smith."]),
        (
            "Ten per cent. of it, approx. one, etc. and Calif. gold",
            ["Ten per cent. of it, approx. one, etc. and Calif. gold"],
        ),
        ("“I left.” he said. Where? she asked.", ["“I left.” he said.", "Where? she asked."]),
        ("- one item\n- two item\n- three", ["- one item", "- two item", "- three"]),
        ("Both:\n * one\n   goes on\n * two", ["Both:", "* one goes on", "* two"]),
        ("1. One key\n2. Two keys. Both shone.", ["1. One key", "2. Two keys.", "Both shone."]),
        ("1. One key\n\n2. Two keys", ["1. One key", "2. Two keys"]),
        ("He was\n21. Then he left\n- and came.", ["He was 21.", "Then he left - and came."]),
        ("He was tired\n- as she said -\n- and left.", ["He was tired - as she said - - and left."]),
        ("one\nline", ["one line"]),
        ("", []),
        (" \n\n ", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: list[str]) -> None:
    assert sentence_texts(text) == expected


def test_what_is_too_long_is_cut_at_spaces_and_without_spaces_anywhere() -> None:
    assert len(sentences("word " * 30)) == 1
    pieces = [("word " * 30)[start:end] for start, end in sentences("word " * 30, max_chars=40)]
    assert all(len(piece) <= 40 and set(piece.split()) == {"word"} for piece in pieces)
    assert [end - start for start, end in sentences("a" * 100, max_chars=40)] == [40, 40, 20]


@pytest.mark.parametrize(
    "text", ["." * 300_000, ". " * 100_000, "\n" * 300_000, "\n " * 200_000, '."' * 100_000, "\n- a" * 100_000]
)
def test_hostile_runs_of_signs_take_no_more_than_linear_time(text: str) -> None:
    # a quadratic search would run into the suite's time limit
    assert len(sentences(text)) <= len(text)
    assert len(paragraphs(text)) == 1


@given(st.text(alphabet="abe1 .!?\n。\"'I-", max_size=200))
def test_sentences_hold_everything_but_white_space_once_and_in_order(text: str) -> None:
    spans = sentences(text)
    assert "".join("".join(text[start:end].split()) for start, end in spans) == "".join(text.split())
    assert all(start < end for start, end in spans)
    assert all(a.end <= b.start for a, b in pairwise(spans))


@given(st.lists(st.text(alphabet="abe1 .!?\n。\"'IMr-", max_size=60), min_size=30, max_size=40))
def test_a_long_text_is_cut_block_by_block_as_it_is_cut_whole(blocks: list[str]) -> None:
    text = "\n\n".join([*blocks, "He said no. " * 90])
    assert sentence_texts(text) == [" ".join(text[start:end].split()) for start, end in sentences(text)]


@given(st.text(alphabet="ab \n\t", max_size=200))
def test_paragraphs_cover_the_text_exactly(text: str) -> None:
    assert "".join(text[start:end] for start, end in paragraphs(text)) == text


def test_paragraphs_take_the_white_space_after_them_along() -> None:
    text = "One\nstill one.\n \nTwo.\n\n\nThree."
    assert [text[start:end] for start, end in paragraphs(text)] == ["One\nstill one.\n \n", "Two.\n\n\n", "Three."]


@given(st.lists(st.text(alphabet="ab'-\u00ad\u200bก \n\t.", max_size=60), max_size=40))
def test_words_are_counted_block_by_block_as_they_are_counted_whole(blocks: list[str]) -> None:
    text = "\n\n".join([*blocks, "a" * 1_000])
    assert word_count(text) == len(words(text))
    assert word_count("a" * 30_000) == 1


def test_words_keep_inner_apostrophes_and_hyphens() -> None:
    assert words("Don't well-known, ‘Alice’s’ 42 _x_ naïve 你好") == [
        "Don't", "well-known", "Alice’s", "42", "x", "naïve", "你好",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("One. Two. Thr", "One. Two."),
        ("One. Two.", "One. Two."),
        ("One? “Two!” ", "One? “Two!”"),
        ("One. “Two,”", "One."),
        ("One and tw", "One and"),
        ("一。二。三", "一。二。"),
        ("Onl", "Onl"),
        ("", ""),
    ],
)
def test_a_text_that_broke_off_loses_its_last_sentence(text: str, whole: str) -> None:
    assert whole_sentences(text) == whole
