"""What stands in books beside their text, by form, and what shows that a text was damaged on its way."""

from pathlib import Path

import pytest

from rrm.core.errors import InputError
from rrm.core.text import misread
from tasks.books import read_book
from tests.tasks.book_files import Item, packed, pages, write, xhtml


def read(folder: Path, name: str, text: str) -> tuple[str, tuple[str, ...]]:
    """The words of a book, paragraph by paragraph, and its notes without its name."""
    source = read_book(write(folder, name, text))
    return "\n".join(filter(None, source.text.split("\n"))), tuple(
        note.removeprefix(f"{name}: ") for note in source.notes
    )


NOTE = "left out: 1 note (3 words) and their marks"


@pytest.mark.parametrize(
    ("name", "written", "text", "note"),
    [
        ("a.md", "---\ntitle: The Mill\nby: X\n---\n\nIt rained.", "It rained.", "left out: the fields in front"),
        ("a.md", "It rained.[^1] So.\n\n[^1]: Hard,\n    so.\n", "It rained. So.", "left out: 1 note, 1 note mark"),
        ("a.md", "It <!-- or so --> rained.", "It  rained.", "left out: 1 comment"),
        ("a.md", "It rained.\n\n![A mill](mill.png)", "It rained.", "left out: 1 picture"),
        ("a.txt", "It rained.[2]\n\n[2] So,\nso.\n\nSo.", "It rained.\nSo.", NOTE),
        ("a.txt", "It rained.\n\n[Illustration: A mill]\n\nSo.", "It rained.\nSo.", "left out: 1 picture"),
    ],
)  # fmt: skip
def test_what_stands_beside_the_text_is_left_out_and_said(
    tmp_path: Path, name: str, written: str, text: str, note: str
) -> None:
    assert read(tmp_path, name, written) == (text, (note,))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.md", "---\n\nIt rained.\n\n---"),  # rules, and no fields
        ("a.md", "See [sic] (so) there [^."),
        ("a.txt", "[1] is a number, and a[1] an element."),
        ("a.txt", "- 1 -\n\nIt rained.\n\n- 2 -"),  # two are no pages
    ],
)
def test_what_only_looks_so_stays(tmp_path: Path, name: str, text: str) -> None:
    assert read_book(write(tmp_path, name, text)).text == text


def test_a_link_is_read_as_its_words_and_the_title_in_front_is_the_books(tmp_path: Path) -> None:
    source = read_book(write(tmp_path, "a.md", '---\ntitle: "The Mill"\n---\n\n# One\n\nSee [there](https://a.b "c").'))
    assert (source.title, source.text.strip()) == ("The Mill", "# One\n\nSee there.")


@pytest.mark.parametrize(
    "mark",
    [
        "- {} -", "Page {} of 20", "p. {}", "THE FERRY   {}", "{}   THE FERRY", "The Ferry\t{}", "— {} —",
        "THE FERRY {}", "{} A. Nobody",
    ],
)  # fmt: skip
def test_page_numbers_beside_titles_or_words_are_left_out(tmp_path: Path, mark: str) -> None:
    sheets = [f"It rained on pier {n}, and the\n\n{mark.format(n)}\n\nferry left." for n in range(12, 16)]
    source = read_book(write(tmp_path, "a.txt", "\n\n".join(sheets)))
    assert source.text.split("\n\n") == [f"It rained on pier {n}, and the\nferry left." for n in range(12, 16)]
    assert source.notes == ("a.txt: 4 page numbers with dashes, words or running titles left out",)


def test_headings_and_lists_are_no_pages(tmp_path: Path) -> None:
    for kind in ("Chapter  {}", "Ferry {}", "Ferry   {}."):
        text = "\n\n".join(f"{kind.format(n)}\n\nIt rained on pier {n}." for n in range(1, 6))
        assert read_book(write(tmp_path, "a.txt", text)).text == text
    falling = "\n\n".join(f"THE FERRY   {n}\n\nIt rained." for n in (5, 3, 9))
    assert read_book(write(tmp_path, "a.txt", falling)).text == falling


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("ZoÃ« left.", "letters that were lost or read in a wrong encoding: 1 (such as Ã«)"),
        (
            "Zo\ufffd left.",
            "letters that were lost or read in a wrong encoding: 1 (such as \ufffd)",
        ),
        (
            "A &amp; B &mdash; C &#8212; D",
            "characters written as HTML writes them: 3 (such as &amp;)",
        ),
        (
            "It l o o k e d o l d. S e h r alt, v e r y.",
            "words whose letters stand apart: 3 (such as l o o k e d o l d)",
        ),
        ("It <i>rained</i> <b>hard.", "tags as pages have them: 3 (such as <i>)"),
        ("A.\\nB.\\n\\nC.", "line ends written as \\n: 3 (such as \\n)"),
    ],
)
def test_what_was_damaged_on_its_way_is_said(tmp_path: Path, text: str, note: str) -> None:
    assert read(tmp_path, "a.txt", text) == (text, (f"{note}, read as they stand",))


def test_letters_of_other_languages_are_not_taken_for_misread_ones() -> None:
    assert misread("Âge, Ân, SÃO, “so” — Zoë’s café, naïve, ÃO, Àé, â la carte, 10 €") == []
    assert misread("IRMÃ\u00a0! «IRMÃ», NGÃ» e IRMÃ… «Ã» IRMÃ—disse") == []
    for letters in ("û plaît", "à la", "sûr", "ÉTÉ", "Österreich", "« oui »", "30 °C", "Åland"):
        assert misread(letters.encode().decode("cp1252")), letters
    assert misread("It’s".encode().decode("cp1252")) and misread("Zoë".encode().decode("cp1252"))


def test_a_piece_of_a_page_is_read_as_one_and_tags_within_a_text_are_not(tmp_path: Path) -> None:
    words, notes = read(tmp_path, "a.txt", "<p>It <i>rained</i>.</p>\n<p>So.</p>")
    assert (words, notes) == ("It rained.\nSo.", ("it is HTML by what it holds, and read as that",))
    for text in ("<p>It rained.", "<poem>It rained.</poem>", "It rained.<p>So.</p>"):
        assert read(tmp_path, "a.txt", text) == (text, ())


def test_what_a_site_sets_around_the_main_part_of_a_page_is_its_frame(tmp_path: Path) -> None:
    for part in ("main", "article"):
        page = f"<body><header>News</header><{part}><h2>One</h2><p>It rained.</p></{part}><p>Accept all</p>"
        page += "<script>var a, b, c, d, e, f, g, h, i;</script></body>"
        said = ("left out of the pages: 1 frame of a page (3 words)",)
        assert read(tmp_path, "a.html", f"<title>Rain</title>{page}") == ("One\nIt rained.", said)
        assert read_book(tmp_path / "a.html").title == "Rain"
    several = "<article><p>It rained.</p></article><article><p>It stopped.</p></article><p>So.</p>"
    assert read(tmp_path, "a.html", several) == ("It rained.\nIt stopped.\nSo.", ())
    short = "<main><p>Rain.</p></main><p>It rained all night.</p>"
    assert read(tmp_path, "a.html", short) == ("Rain.\nIt rained all night.", ())


def test_an_encoding_that_was_guessed_is_said(tmp_path: Path) -> None:
    words = "Паром ушёл в полночь, и на борту никого не было, кроме собаки. " * 9
    said = "neither UTF-8 nor of a named encoding: read as koi8_r, which fits best"
    for name, text in (("a.txt", words), ("a.md", words), ("a.html", f"<p>{words}</p>")):
        source = read_book(write(tmp_path, name, text.encode("koi8-r")))
        assert source.notes == (f"{name}: the file, {said}",)
        assert not read_book(write(tmp_path, name, text)).notes
    page = xhtml(f"<p>{words}</p>").encode("koi8-r")
    book = packed([Item("a.xhtml"), Item("b.xhtml")], {"OEBPS/a.xhtml": page, "OEBPS/b.xhtml": page})
    assert read_book(write(tmp_path, "b.epub", book)).notes == (f"b.epub: 2 documents, {said}",)
    with pytest.raises(InputError, match=r"a\.jsonl: not UTF-8, as JSON is; save it as UTF-8"):
        read_book(write(tmp_path, "a.jsonl", f'{{"paragraphs": ["{words}"]}}'.encode("koi8-r")))


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("a.txt", "\\documentclass{book}\nIt rained.", "a LaTeX document"),
        ("a.txt", "1\n00:00:01,000 --> 00:00:02,000\nIt rained.", "a file of subtitles"),
        ("a.txt", "WEBVTT\n\nIt rained.", "a file of subtitles"),
        ("a.txt", '{"text": "It rained."}', "this is JSON"),
        ("a.md", '[{"text": "It rained."}]', "this is JSON"),
    ],
)
def test_other_kinds_of_text_are_refused_by_name(tmp_path: Path, name: str, text: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        read_book(write(tmp_path, name, text))


HIDDEN = "left out of the pages: 1 hidden passage (1 word)"


@pytest.mark.parametrize(
    ("body", "style", "text", "note"),
    [
        ("<p style='position: absolute; left: -9999px'>No.</p>", "", "", HIDDEN),
        ("<p class='off'>No.</p>", ".off {text-indent: -999em}", "", HIDDEN),
        ("<p class='off'>No.</p>", ".off {clip: rect(0 0 0 0)}", "", HIDDEN),
        ("<p>It<span class='linenum'>5</span></p>", "", "It", "left out of the pages: 1 page number"),
        ("<div class='a'><i class='b'>Perhaps.</i></div>", ".a .b {display: none}", "Perhaps.",
         "read, though a style sheet may hide it: 1 passage"),
        ("<div class='a'><i>Perhaps.</i></div>", "div.a > i {display: none}", "Perhaps.",
         "read, though a style sheet may hide it: 1 passage"),
        ("<p class='a' title='x'>Perhaps.</p>", ".a[title] {display: none}", "Perhaps.",
         "read, though a style sheet may hide it: 1 passage"),
    ],
)  # fmt: skip
def test_what_pages_hide_in_other_ways_is_left_out_or_said(
    tmp_path: Path, body: str, style: str, text: str, note: str
) -> None:
    source = read_book(pages(tmp_path, f"{body}<p style='left: -2px'>It rained.</p>", head=f"<style>{style}</style>"))
    assert source.text == f"{text}\n\nIt rained.".strip()
    assert source.notes == (f"tale.epub: {note}",)


def test_a_raised_number_that_begins_a_verse_is_read_as_raised(tmp_path: Path) -> None:
    assert read_book(pages(tmp_path, "<p><sup>1</sup>It rained. <sup>2</sup>So.</p>")).text == "¹It rained. ²So."
