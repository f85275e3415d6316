"""Licences, credits and contents of libraries' files, in words of our own: the marks alone are as they stand there."""

import zipfile
from pathlib import Path

import pytest

from rrm.core.errors import InputError
from tasks.books import read_book
from tests.tasks.book_files import left, pages, write

STORY = "\n\n".join(f"The ferry left at {hour}. Nobody was on board but the dog and its master." for hour in range(12))
LEGAL = "\n\n".join(f"Clause {n} of the licence speaks of copies, fees, warranties and refunds." for n in range(9))


def kept(folder: Path, text: str, name: str = "a.txt") -> str:
    return left(read_book(write(folder, name, text))).strip()


@pytest.mark.parametrize(
    "mark",
    [
        "*** START OF THE PROJECT GUTENBERG EBOOK THE FERRY ***",
        "*** START OF THIS PROJECT GUTENBERG EBOOK THE FERRY ***",
        "***START OF THE PROJECT GUTENBERG EBOOK THE FERRY***",
        "** START OF THE PROJECT GUTENBERG EBOOK THE FERRY **",
        "*** START OF THE PROJECT GUTENBERG EBOOK THE FERRY, BEING AN\nACCOUNT OF IT ***",
        "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*",
        "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.10.04.01*END*",
        "*END* THE SMALL PRINT! FOR PUBLIC DOMAIN EBOOKS\nVer.02/11/02*END*",
        "*** END OF THE SMALL PRINT ***",
        "* * * START OF THE PROJECT GUTENBERG EBOOK THE FERRY * * *",
    ],
)
def test_a_licence_at_the_start_is_skipped_whatever_its_end_mark(tmp_path: Path, mark: str) -> None:
    text = f"The Library's Etext of The Ferry\n\n{LEGAL}\n\n{mark}\n\n{STORY}\n"
    source = read_book(write(tmp_path, "ferry.txt", text))
    assert left(source).strip() == STORY
    words = len(text[: text.index(STORY)].split())
    assert source.notes == (f"ferry.txt: licence of {words} words skipped at the start",)


def test_small_print_before_the_start_mark_is_no_story(tmp_path: Path) -> None:
    small = "***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***"
    end = "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*"
    assert kept(tmp_path, f"Etext\n\n{small}\n\n{LEGAL}\n\n{end}\n\n{STORY}") == STORY
    start = "*** START OF THIS PROJECT GUTENBERG EBOOK THE FERRY ***"
    assert kept(tmp_path, f"{small}\n\n{LEGAL * 9}\n\n{end}\n\n{LEGAL}\n\n{start}\n\n{STORY}") == STORY


@pytest.mark.parametrize(
    "mark",
    [
        "*** END OF THE PROJECT GUTENBERG EBOOK THE FERRY ***",
        "***END OF THIS PROJECT GUTENBERG EBOOK THE FERRY***",
        "End of the Project Gutenberg EBook of The Ferry, by A. Nobody",
        "End of The Project Gutenberg Etext of The Ferry",
        "End of Project Gutenberg's The Ferry",
        "Ende dieses Projekt Gutenberg Etextes Die Fähre",
        "Fin du Projet Gutenberg EBook of Le bac",
        "Fin de la Project Gutenberg EBook de La barca",
        "Fine dell'etext Project Gutenberg di Il traghetto",
        "Einde van het Project Gutenberg EBook van De veerpont",
        "*** START: FULL LICENSE ***",
        "This site is full of FREE ebooks - Project Gutenberg Australia",
        "[End of The Ferry, by A. Nobody]",
        "[The end of _The Ferry_ by A. Nobody]",
        "The end of the Project Gutenberg etext The Ferry",
        "* * * END OF THE PROJECT GUTENBERG EBOOK THE FERRY * * *",
        "Project Gutenberg'in e-kirja Lautta loppui",
        "Конец проекта Гутенберга",
    ],
)
def test_what_follows_an_end_mark_is_skipped(tmp_path: Path, mark: str) -> None:
    assert kept(tmp_path, f"{STORY}\n\n{mark}\n\n{LEGAL}\n") == STORY


def test_a_story_that_speaks_of_an_end_is_no_licence(tmp_path: Path) -> None:
    text = f"End of the line, said the man.\n\n{STORY}\n\n*** \n\nEND OF PART ONE\n\n{STORY}"
    assert kept(tmp_path, text) == text


def test_who_made_the_edition_is_skipped_and_said(tmp_path: Path) -> None:
    credits = ["Produced by three people and a scanner", "[Transcriber's note: the maps were lost.]"]
    credits += ["Transcriber's Notes:", "Spelling was kept."]
    rights = ["Copyright © 1931 by A. Nobody", "All rights reserved.", "ISBN 0-000-00000-0"]
    text = "THE FERRY\n\n" + "\n\n".join(credits + rights) + f"\n\n{STORY}"
    source = read_book(write(tmp_path, "ferry.txt", text))
    assert left(source).split("\n\n")[0] == "THE FERRY"
    assert " ".join(left(source).split()) == " ".join(f"THE FERRY {STORY}".split())
    assert source.notes == ("ferry.txt: 29 words about the edition skipped",)


def test_a_licence_that_no_mark_ends_goes_as_far_as_it_is_one(tmp_path: Path) -> None:
    head = "The Project Gutenberg Etext of The Ferry\n\nThis etext is in the public domain; donations are welcome."
    assert kept(tmp_path, f"{head}\n\nRelease Date: May, 1997\n\n{STORY}") == STORY


def test_marks_that_markdown_escapes_are_found(tmp_path: Path) -> None:
    start, end = (rf"\*\*\* {word} OF THE PROJECT GUTENBERG EBOOK \*\*\*" for word in ("START", "END"))
    assert kept(tmp_path, f"{LEGAL}\n\n{start}\n\n{STORY}\n\n{end}\n\n{LEGAL}", "a.md") == STORY


def test_a_licence_in_an_epub_is_skipped_by_its_marks_too(tmp_path: Path) -> None:
    start, end = (f"<p>*** {word} OF THE PROJECT GUTENBERG EBOOK ***</p>" for word in ("START", "END"))
    story = "".join(f"<p>{each}</p>" for each in STORY.split("\n\n"))
    source = read_book(pages(tmp_path, f"<p>Licence.</p>{start}{story}", f"<p>It sank.</p>{end}<p>Licence.</p>"))
    assert left(source).strip() == STORY + "\n\nIt sank."


# ---- contents ----


@pytest.mark.parametrize(
    ("heading", "entry"),
    [
        ("Contents", "Chapter {}. Of ferries"),
        ("INHALT", "Kapitel {}. Von Fähren"),
        ("Inhaltsverzeichnis", "{}. Kapitel . . . . . . 12"),
        ("Table des matières", "Chapitre {}. Des bacs"),
        ("Índice", "Capítulo {}"),
        ("INDICE", "Capitolo {}"),
        ("Sumário", "Capítulo {}"),
        ("Оглавление", "Глава {}. О паромах"),
        ("目录", "第{}章　渡船"),
        ("目　次", "第{}章 渡し舟"),
    ],
)
def test_a_table_of_contents_is_skipped_in_every_language(tmp_path: Path, heading: str, entry: str) -> None:
    entries = "\n".join(entry.format(n) for n in range(1, 5))
    head = entry.partition("{}")[0] + "{}" + ("章" if "章" in entry else ". Kapitel" if entry[0] == "{" else "")
    story = "\n\n".join(f"{head.format(n)}\n\n{STORY}" for n in range(1, 5))
    source = read_book(write(tmp_path, "a.txt", f"THE FERRY\n\n{heading}\n\n{entries}\n\n{story}"))
    assert left(source).replace("\n", "").startswith(f"THE FERRY{head.format(1)}The ferry left")
    assert len(source.breaks) == 4
    assert source.notes == ("a.txt: table of contents of 4 lines skipped",)


@pytest.mark.parametrize("gap", ["\n", "\n\n"])
def test_a_table_without_a_heading_is_skipped_where_all_that_it_lists_follows(tmp_path: Path, gap: str) -> None:
    heads = [f"CHAPTER {n}. Of ferries" for n in ("I", "II", "III")]
    story = "\n\n".join(f"{head}\n\n{STORY}" for head in heads)
    source = read_book(write(tmp_path, "a.txt", f"THE FERRY\n\n{gap.join(heads)}\n\n\n{story}"))
    assert left(source).replace("\n", "") == f"THE FERRY{story}".replace("\n", "")
    assert [source.text[at:][: len(head)] for at, head in zip(source.breaks, heads, strict=True)] == heads
    assert source.notes == ("a.txt: table of contents of 3 lines skipped",)
    for text in (f"{gap.join(heads)}\n\n{STORY}", f"PART I{gap}BOOK I{gap}{heads[0]}\n\n{story[30:]}\n\nBOOK II"):
        assert kept(tmp_path, text) == text


def test_a_table_at_the_end_is_skipped_too(tmp_path: Path) -> None:
    story = "\n\n".join(f"Chapitre {n}\n\n{STORY}\n\n{STORY}" for n in range(1, 6))
    table = "TABLE DES MATIÈRES\n\n" + "\n".join(f"Chapitre {n}. Le bac . . . {n}2" for n in range(1, 6))
    assert kept(tmp_path, f"{story}\n\n{table}\n") == story


# ---- a Japanese library's marks ----


def test_aozoras_readings_and_marks_are_left_out(tmp_path: Path) -> None:
    rule = "-" * 55
    key = f"{rule}\n【テキスト中に現れる記号について】\n\n《》：ルビ\n（例）渡《わた》し\n{rule}\n"
    story = "［＃３字下げ］一［＃「一」は中見出し］\n\n　｜渡し守《わたしもり》は舟《ふね》を出した。\n\n　誰もいない。"
    text = f"渡し舟\n\n{key}\n{story}\n\n底本：「渡し舟」\n"
    source = read_book(write(tmp_path, "a.txt", text))
    assert left(source).split() == ["渡し舟", "一", "渡し守は舟を出した。", "誰もいない。"]
    assert source.notes[0] == "a.txt: left out: 2 ruby readings and 2 marks of the library's"


def test_footnotes_in_brackets_and_their_marks_are_left_out(tmp_path: Path) -> None:
    notes = "[Footnote 1: It was a barge,\nreally.]\n\n[Footnote A: Or ten.]"
    text = f"The ferry[1] left at nine[A].\n\n{notes}\n\nIt sank [2]."
    source = read_book(write(tmp_path, "a.txt", text))
    assert source.text == "The ferry left at nine.\n\nIt sank [2]."
    assert source.notes == ("a.txt: left out: 2 footnotes (11 words) and their marks",)


# ---- other kinds of files ----


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.pdf", b"%PDF-1.7\n%\xe2\xe3", "a PDF; extract its text first .*pdftotext.*OCR"),
        ("a.txt", b"%PDF-1.7\n%\xe2\xe3", "a PDF; "),
        ("a.txt", rb"{\rtf1\ansi The ferry left.}", r"rich text \(RTF\); save it as plain text"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "an old Word document"),
        ("a.mobi", bytes(60) + b"BOOKMOBI" + bytes(99), "a Kindle or Mobipocket book; convert it to EPUB"),
        ("a.djvu", b"AT&TFORM\0\0\0\0DJVM", "a DjVu file"),
        ("a.fb2", b'<?xml version="1.0"?>\n<FictionBook xmlns="x">', r"a FictionBook \(FB2\); convert it"),
        ("a.tif", b"II*\0" + bytes(99), "a picture; .*run OCR"),
    ],
)
def test_files_of_other_kinds_are_refused_with_what_to_do(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=rf"^{name}: this is {said}"):
        read_book(write(tmp_path, name, data))


@pytest.mark.parametrize(
    ("member", "said"),
    [("word/document.xml", "a Word document"), ("p1.jpg", "a comic book or a scan"), ("b.txt", "a packed archive")],
)
def test_archives_that_are_no_epub_are_refused_by_what_they_hold(tmp_path: Path, member: str, said: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.cbz", "w") as archive:
        archive.writestr(member, b"x")
    with pytest.raises(InputError, match=rf"^a\.cbz: this is {said}"):
        read_book(tmp_path / "a.cbz")


def test_a_form_under_another_name_is_read_as_what_it_is_and_said(tmp_path: Path) -> None:
    page = "<!DOCTYPE html>\n<html><body><p>It rained.</p></body></html>"
    source = read_book(write(tmp_path, "a.txt", page))
    assert (source.text, source.notes) == ("It rained.", ("a.txt: it is HTML by what it holds, and read as that",))
    packed_ = pages(tmp_path, "<p>It rained.</p>").read_bytes()
    source = read_book(write(tmp_path, "b.txt", packed_))
    assert (source.text, source.notes) == ("It rained.", ("b.txt: it is an EPUB by what it holds, and read as one",))


LONG = "\n\n".join(f"At {hour} the dog barked at the gulls until its master gave it bread." for hour in range(900))


@pytest.mark.parametrize(
    "line",
    [
        "End of the Project Gutenberg visit, they went home.",
        "*** END OF THE PROJECT GUTENBERG EBOOK HAMLET ***",
        "*** START OF THE PROJECT GUTENBERG EBOOK HAMLET ***",
    ],
)
def test_a_story_that_has_such_a_line_loses_no_more_than_the_line(tmp_path: Path, line: str) -> None:
    story = kept(tmp_path, f"CHAPTER I\n\n{LONG}\n\n{line}\n\nCHAPTER II\n\n{LONG}")
    assert story.count("the dog barked") == 1800 and "CHAPTER II" in story
    begin = "The Project Gutenberg eBook of The Ferry\n\n*** START OF THE PROJECT GUTENBERG EBOOK THE FERRY ***"
    end = f"*** END OF THE PROJECT GUTENBERG EBOOK THE FERRY ***\n\n{LEGAL}"
    story = kept(tmp_path, f"{begin}\n\n{LONG}\n\n{line}\n\n{LONG}\n\n{end}")
    assert story.count("the dog barked") == 1800 and "licence" not in story and "THE FERRY" not in story


def test_a_story_that_speaks_of_the_library_keeps_what_stands_before(tmp_path: Path) -> None:
    text = f"CHAPTER I\n\n{STORY[:600]}\n\nShe had found it on Project Gutenberg.\n\n{LONG}"
    assert kept(tmp_path, text).startswith("CHAPTER I\n\nThe ferry left at 0.")


@pytest.mark.parametrize(
    "begins",
    [
        "This edition is under a Creative Commons licence; see creativecommons.org.",
        "Exported from Wikisource on the 29th of November",
        "* A Distributed Proofreaders Canada eBook *\n\nThis eBook comes with very few restrictions, which are these.",
    ],
)
def test_what_other_libraries_set_before_a_story_is_no_part_of_it(tmp_path: Path, begins: str) -> None:
    assert kept(tmp_path, f"{begins}\n\n{STORY}") == STORY


@pytest.mark.parametrize(
    "ends",
    [
        "Uncopyright\n\nThe makers believe that all of this is in the public domain.",
        "About this digital edition\n\nIt was made by volunteers for a digital library.",
        "This web edition published by:\n\nA Library",
    ],
)
def test_what_other_libraries_set_behind_a_story_is_no_part_of_it(tmp_path: Path, ends: str) -> None:
    assert kept(tmp_path, f"{STORY}\n\n{ends}") == STORY
