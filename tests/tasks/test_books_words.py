"""Words that printers, scanners and converters broke, and what pages have beside the text."""

import json
from pathlib import Path

import pytest

from rrm.core.text import visible, words
from tasks.books import read_book
from tests.tasks.book_files import pages, write


def text_of(folder: Path, text: str) -> str:
    return read_book(write(folder, "a.txt", text)).text


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("the old fer-\nryman left", "the old ferryman left"),
        ("the old fer- \n   ryman left", "the old ferryman left"),
        ("THE OLD FER-\nRYMAN LEFT", "THE OLD FERRYMAN LEFT"),
        ("the Wil\u00ad\nhelmina left", "the Wilhelmina left"),
        ("on Mon¬\nday it rained", "on Monday it rained"),
        ("the fer\u00adry\u200bman\u2060 left", "the ferryman left"),
        ("the \ufb01rst \ufb02oor o\ufb03ce", "the first floor office"),
        # hyphens that belong to the word
        ("his well-\nknown sister", "his well-known sister"),
        ("a self-\nmade man", "a self-made man"),
        ("an X-\nray of it", "an X-ray of it"),
        ("a good-\nnatured man", "a good-natured man"),
        ("the Anglo-\nSaxon kings", "the Anglo-Saxon kings"),
        ("from 1914-\n18 on", "from 1914-18 on"),
        ("his mother-in-\nlaw", "his mother-in-law"),
        ("his mother-\nin-law", "his mother-in-law"),
        ("his good-for-\nnothing son", "his good-for-nothing son"),
        ("a mother, a moth-\ner-in-law", "a mother, a mother-in-law"),
        ("the establishment, the anti-establish-\nment", "the establishment, the anti-establishment"),
        ("twenty-\nthree ferries", "twenty-three ferries"),
        ("peut-être, dit-\nil alors", "peut-être, dit-il alors"),
        ("a selfish, self-\nish man", "a selfish, selfish man"),
        # hyphens that are none of a broken word
        ("two- or three-\nand fourfold", "two- or three-\nand fourfold"),
        ("Vor-\nund Nachteile", "Vor-\nund Nachteile"),
        ("he said--\nnothing", "he said--\nnothing"),
        ("he came -\nand went", "he came -\nand went"),
        ("- one\n- two", "- one\n- two"),
        ("the ferry-\n\nIt left", "the ferry-\n\nIt left"),
        # signs of no width that part words where no spaces do
        ("ภาษา\u200bไทย", "ภาษา\u200bไทย"),
    ],
)
def test_broken_words_are_joined_and_hyphens_that_belong_to_words_stay(tmp_path: Path, written: str, read: str) -> None:
    assert text_of(tmp_path, written) == read


def test_the_rest_of_the_book_says_how_a_word_is_written(tmp_path: Path) -> None:
    assert text_of(tmp_path, "The to-day of to-\nday.") == "The to-day of to-day."
    assert text_of(tmp_path, "The today of to-\nday.") == "The today of today."
    drawing = "The drawing was in the room. A drawing, a room. "
    assert text_of(tmp_path, f"{drawing}The drawing-\nroom.") == f"{drawing}The drawing-room."


def test_in_a_book_whose_lines_end_in_real_hyphens_the_others_are_real_too(tmp_path: Path) -> None:
    known = "A sea-wall, a tow-path, a day-boat. "
    ends = "The sea-\nwall, the tow-\npath, the day-\nboat and the rope-\nwalk."
    assert text_of(tmp_path, known + ends).endswith("the day-boat and the rope-walk.")
    assert text_of(tmp_path, "The rope-\nwalk.") == "The ropewalk."


def test_a_line_end_that_became_a_space_is_joined_where_the_book_knows_the_word(tmp_path: Path) -> None:
    assert text_of(tmp_path, "A ferry, the fer- ry, a bar- ge.") == "A ferry, the ferry, a bar- ge."


def test_what_was_joined_is_counted(tmp_path: Path) -> None:
    source = read_book(write(tmp_path, "a.txt", "The fer-\nryman and his well-\nknown don-\nkey."))
    assert source.notes == (
        "a.txt: words broken at line ends joined: 2 (such as ferryman, donkey); hyphens at line ends kept: 1 (such as"
        " well-known)",
    )


def test_hyphens_that_are_kept_are_counted_where_no_word_was_joined(tmp_path: Path) -> None:
    kept = read_book(write(tmp_path, "a.txt", "His well-\nknown sister, a self-\nmade woman."))
    assert kept.notes == ("a.txt: hyphens at line ends kept: 2 (such as well-known, self-made)",)
    left = read_book(write(tmp_path, "b.txt", "A bar- ge came, pre- and postwar."))
    assert left.notes == ("b.txt: hyphens before spaces left as they stand: 1 (such as bar- ge)",)


def test_a_word_that_a_page_broke_is_joined_where_the_book_knows_it(tmp_path: Path) -> None:
    assert text_of(tmp_path, "A ferryman. The fer-\n\nryman left.") == "A ferryman. The ferryman left."
    assert text_of(tmp_path, "A tow-path. The tow-\n\npath ended.") == "A tow-path. The tow-path ended."
    said = read_book(write(tmp_path, "a.txt", "And then he said-\n\nnothing at all. He said nothing."))
    assert said.text == "And then he said-\n\nnothing at all. He said nothing."
    assert said.notes == ("a.txt: hyphens before spaces left as they stand: 1 (such as said- nothing)",)


def test_chapters_are_where_they_were_after_words_before_them_were_joined(tmp_path: Path) -> None:
    text = "# A Tale\n\nThe fer-\nryman le\u00adft.\n\n# Two\n\nThe fer-\nryman came.\n\n# Three\n\nHe sat."
    source = read_book(write(tmp_path, "a.md", text))
    assert [source.text[at : at + 5] for at in source.breaks] == ["# Two", "# Thr"]


def test_every_form_of_book_has_its_words_joined(tmp_path: Path) -> None:
    broken = "the fer-\nryman of Har\u00adrow"
    for path in (
        pages(tmp_path, f"<p>{broken}</p>"),
        pages(tmp_path, f"<p>{broken.replace(chr(10), '<br/>')}</p>"),
        write(tmp_path, "a.html", f"<p>{broken}</p>"),
        write(tmp_path, "a.md", broken),
        write(tmp_path, "a.jsonl", json.dumps({"paragraphs": [broken]})),
    ):
        assert read_book(path).text == "the ferryman of Harrow"


# ---- pages ----


def test_page_numbers_in_brackets_are_left_out_where_they_are_many(tmp_path: Path) -> None:
    source = read_book(write(tmp_path, "a.txt", "It [Pg 1] rained, and[Pg 2] it\n[Pg 3]\nrained."))
    assert source.text.split() == ["It", "rained,", "and", "it", "rained."]
    assert source.notes == ("a.txt: 3 page numbers in brackets left out",)
    assert text_of(tmp_path, "See [Pg 1].") == "See [Pg 1]."


def test_a_scans_page_numbers_and_running_titles_are_left_out_and_its_sentences_whole(tmp_path: Path) -> None:
    sheets = [f"The ferry left pier {n} and its old fer-\n\n{n}\n\nTHE FERRY\n\nryman slept on." for n in range(12, 18)]
    source = read_book(write(tmp_path, "a.txt", "\n\n".join(sheets)))
    assert source.text.split("\n\n") == [
        f"The ferry left pier {n} and its old ferryman slept on." for n in range(12, 18)
    ]
    assert source.breaks == ()
    assert source.notes[0] == "a.txt: 6 page numbers and 6 running titles in lines of their own left out"


def test_lists_of_numbers_are_no_pages(tmp_path: Path) -> None:
    for items in (
        "1\n\n2\n\n3\n\n4",
        "1.\n\nBread\n\n2.\n\nMilk\n\n3.\n\nEggs",
        "1\n\nbread\n\n2\n\nmilk\n\n3\n\neggs",
    ):
        text = f"He had a list,\n\n{items}\n\nand he lost it."
        assert text_of(tmp_path, text) == text


def test_a_lone_number_is_no_page(tmp_path: Path) -> None:
    text = "The ferry left pier\n\n12\n\nand came back."
    assert text_of(tmp_path, text) == text


# ---- words of any text ----


def test_words_do_not_depend_on_what_nobody_sees() -> None:
    assert words("the fer\u00adry\u200bman's Wil\ufeffhelmina") == ["the", "ferryman's", "Wilhelmina"]
    assert visible("plain") == "plain"
