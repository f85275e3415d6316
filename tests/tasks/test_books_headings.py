"""Chapter headings in the languages of novels, numbers alone, a user's own pattern, and a note where there are none."""

from pathlib import Path

import pytest

from rrm.core.errors import InputError
from tasks.books import BookFiles, read_book
from tasks.books.headings import number_of
from tests.tasks.book_files import chapters, write

PROSE = "The ferry left at nine, and nobody was on board. " * 8


def book(heads: list[str], prose: str = PROSE, apart: str = "\n\n") -> str:
    return f"A TALE{apart}" + apart.join(f"{head}{apart}{prose}" for head in heads)


HEADS = {
    "English": ["CHAPTER I", "Chapter the Second", "Chapter 3. Of ferries", "THE FOURTH BOOK", "Part Five", "Epilogue",
                "CHAP. VI.", "Ch. 7", "_Chapter 8_", "[Chapter 9]", "C H A P T E R  X"],
    "German": ["Erstes Kapitel", "Zweites Kapitel", "Kapitel 3", "4. Kapitel", "KAPITEL V: Die Fähre", "Dritter Teil",
               "Einundzwanzigstes Kapitel", "Siebzehntes Kapitel", "Kapitel Zwölf", "Nachwort"],
    "French": ["Chapitre premier", "CHAPITRE II", "Première partie", "Chapitre 3. Le bac", "Deuxième partie",
               "Chapitre vingt et unième", "Chapitre Ier", "Livre troisième", "CHAP. IV.", "Épilogue"],
    "Spanish": ["Capítulo primero", "CAPÍTULO II", "Capitulo 3", "Primera parte", "Capítulo décimo tercero",
                "Capítulo XXI. La barca", "Prólogo"],
    "Italian": ["Capitolo primo", "CAPITOLO II", "Parte prima", "Capitolo ventesimo", "Capitolo decimo terzo",
                "Epilogo"],
    "Portuguese": ["Capítulo primeiro", "CAPÍTULO II", "Segunda parte", "Capítulo décimo", "Capítulo 12", "Introdução"],
    "Russian": ["Глава первая", "ГЛАВА II", "Глава 3. Паром", "Часть вторая", "Глава двадцать первая", "Часть третья",
                "Глава тринадцатая", "Пролог", "Эпилог"],
    "Dutch": ["Eerste hoofdstuk", "HOOFDSTUK II", "Hoofdstuk 3"],
    "Swedish": ["Första kapitlet", "KAPITEL 2", "Tredje kapitlet"],
    "Polish": ["Rozdział pierwszy", "ROZDZIAŁ II", "Rozdział 3"],
    "Hungarian": ["Első fejezet", "II. fejezet", "3. fejezet"],
    "Greek": ["Κεφάλαιο πρώτο", "ΚΕΦΑΛΑΙΟ 2", "Κεφάλαιο τρίτο"],
    "Chinese": ["第一章", "第二章　渡船", "第三回 老人與狗", "第１２章", "卷二", "第一百零三章 渡船", "尾声", "楔子",
                "第壹章", "正文 第二章 渡船"],
    "Japanese": ["第一章", "第二話　渡し舟", "第三節", "その四", "プロローグ", "あとがき", "一の巻", "下"],
    "Korean": ["제1장", "제 2 장 나룻배"],
}  # fmt: skip


@pytest.mark.parametrize("language", HEADS)
def test_headings_are_found(tmp_path: Path, language: str) -> None:
    source = read_book(write(tmp_path, "a.txt", book(HEADS[language])))
    assert chapters(source) == HEADS[language]
    assert source.notes == ()


def test_chinese_headings_need_no_blank_lines_around_them(tmp_path: Path) -> None:
    heads = ["第一章 渡船", "第二章", "第三章：老人", "第四章渡口"]
    prose = "　　渡船九点离岸。船上没有人。\n　　第一章里说过的老人也不在。"
    found = chapters(read_book(write(tmp_path, "a.txt", book(heads[:3], prose, "\n"))))
    assert found == heads[:3]
    assert chapters(read_book(write(tmp_path, "b.txt", book(heads, prose)))) == heads


@pytest.mark.parametrize(
    "prose",
    [
        "Das zweite Kapitel des Buches war lang.",
        "Der erste Teil war lang.",
        "Première partie de son voyage, il dormit.",
        "La segunda parte era larga.",
        "La prima parte era lunga.",
        "Вторая часть была длинной.",
        "Die Fähre fuhr ab.\nErstes Kapitel\nstand da.",
        "第一章里说过的老人也不在。",
        "第二次，他来了。",
        "Chapter and verse.",
        "Vol au vent.",
        "1. Buy bread.",
        "Mild",
        "Chapter One was the best of the book, he thought.",
        "Chapter Two, which he had not read, lay on the table.",
        "Part I had no end.",
        "Letter three arrived on Monday.",
        "Act two began badly.",
        "Kapitel eins war lang.",
        "Chapitre deux fut le meilleur.",
        "Capítulo dos fue el mejor.",
        "Глава первая была длинной.",
    ],
)
def test_prose_is_no_heading(tmp_path: Path, prose: str) -> None:
    assert chapters(read_book(write(tmp_path, "a.txt", f"A tale.\n\n{PROSE}\n\n{prose}\n\n{PROSE}"))) == []


@pytest.mark.parametrize(
    "heads",
    [
        ["1", "2", "3"],
        ["1.", "2.", "3."],
        ["I.", "II.", "III."],
        ["一", "二", "三"],
        ["（一）", "（二）", "（三）"],
        ["１", "２", "３"],
        ["1. The ferry", "2. The dog", "3. The master"],
        ["I. The ferry", "II. The dog", "III. The master"],
        ["I — The ferry", "II — The dog", "III — The master"],
    ],
)
def test_numbers_that_count_up_are_headings(tmp_path: Path, heads: list[str]) -> None:
    assert chapters(read_book(write(tmp_path, "a.txt", book(heads)))) == heads


@pytest.mark.parametrize(
    "head",
    [
        "Chapter 1 in which a ferry is missed",
        "Chapter One How the ferry was missed",
        "Part 1 of 3",
        "Chapter Sixty-Three",
        "CHAPTER ONE HUNDRED AND TWELVE",
        "Chapter the Last",
        "Siebenundneunzigstes Kapitel",
        "Kapitel hundertzwölf",
        "Chapitre quatre-vingt-dix-neuvième",
        "Chapitre soixante et onze",
        "Capítulo nonagésimo noveno",
        "Capítulo ochenta y ocho",
        "Capitolo novantanovesimo",
        "Capitolo ventesimo primo",
        "Parte cento e um",
        "Capítulo octogésimo terceiro",
        "Глава девяносто девятая",
        "Глава сто двадцать вторая",
        "Hoofdstuk eenentwintig",
        "Rozdział dwudziesty drugi",
    ],
)
def test_numbers_of_any_size_head_chapters_in_words(tmp_path: Path, head: str) -> None:
    assert chapters(read_book(write(tmp_path, "a.txt", book([head])))) == [head]


def test_short_numbered_chapters_are_no_pages(tmp_path: Path) -> None:
    """Chapters of 60 words between whole sentences; pages of as many words break sentences off."""
    heads = [str(number) for number in range(1, 31)]
    chapter = "The ferry came late and nobody saw it land. " * 7
    source = read_book(write(tmp_path, "a.txt", "\n\n".join(f"{head}\n\n{chapter}" for head in heads)))
    assert chapters(source) == heads[1:]
    assert source.notes == (
        "a.txt: 29 numbers at even distances read as headings of short chapters, not as those of pages",
    )
    pages = "\n\n".join(f"{head}\n\nland. {chapter}The ferry came late and nobody saw it" for head in heads)
    source = read_book(write(tmp_path, "b.txt", pages))
    assert chapters(source) == [] and "30 page numbers" in source.notes[0]


def test_a_list_within_a_story_takes_no_chapter_from_it(tmp_path: Path) -> None:
    things = "1\n\nBread\n\n2\n\nMilk\n\n3\n\nEggs"
    first, second, third, fourth = (f"{number}\n\n{PROSE * 2}" for number in range(1, 5))
    for parts in ([things, first, second, third, fourth], [first, second, third, things, PROSE, fourth]):
        text = "\n\n".join(["A tale.", *parts])
        starts = [text.index(each) for each in (first, second, third, fourth)]
        assert list(read_book(write(tmp_path, "a.txt", text)).breaks) == starts


def test_numbers_that_do_not_count_up_from_one_are_none(tmp_path: Path) -> None:
    assert chapters(read_book(write(tmp_path, "a.txt", book(["7", "19", "1914"])))) == []
    assert chapters(read_book(write(tmp_path, "b.txt", book(["3", "4", "9"])))) == []


def test_numerals_are_read() -> None:
    written = {"12": 12, "１２": 12, "XIV": 14, "XL": 40, "十": 10, "十二": 12, "二十": 20, "百三": 103, "二一": 21}
    assert {digits: number_of(digits) for digits in written} == written
    assert number_of("IVIV") is None and number_of("") is None


def test_a_long_book_without_headings_says_so_and_a_short_one_does_not(tmp_path: Path) -> None:
    assert read_book(write(tmp_path, "a.txt", PROSE)).notes == ()
    assert read_book(write(tmp_path, "a.txt", f"{PROSE}\n\n" * 9)).notes == (
        "a.txt: no chapter headings were found, so it is cut by length alone",
    )


def test_a_page_of_html_without_headings_has_its_lines_read(tmp_path: Path) -> None:
    page = "".join(f"<p>Kapitel {n}</p><p>{PROSE}</p>" for n in range(1, 4))
    assert chapters(read_book(write(tmp_path, "a.html", page))) == ["Kapitel 2", "Kapitel 3"]


def test_a_users_own_pattern_finds_the_headings(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", book(["~ One ~", "~ Two ~"], prose=PROSE + "\n\nChapter 1\n\n" + PROSE))
    [source] = BookFiles([str(path)], chapters=r"~ .* ~$").sources()
    assert chapters(source) == ["~ One ~", "~ Two ~"]
    assert BookFiles([str(path)], chapters="~").name != BookFiles([str(path)]).name
    with pytest.raises(InputError, match=r"a\.txt: no line begins as chapters = 'Akt' says"):
        read_book(path, chapters="Akt")
    with pytest.raises(InputError, match=r"chapters = '\(' is no regular expression"):
        read_book(path, chapters="(")
