"""Books from files: every format, chapters and front matter found, and one clear sentence for whatever is no book."""

import gzip
import html
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from rrm.core.errors import InputError, LimitError
from rrm.core.protocols import SourceSet
from rrm.core.task import Source
from tasks.books import BookFiles, read_book

NOVELS = Path(os.environ.get("RRM_DATA", "../shared/data")) / "novels"
FRENCH = (
    "Le château était plongé dans l'obscurité. Élise s'arrêta, hésita, puis pénétra dans la forêt où régnait l'été. "
)
POLISH = (
    "Litwo! Ojczyzno moja! ty jesteś jak zdrowie; ile cię trzeba cenić, ten tylko się dowie, kto cię stracił. Są łzy. "
)
RUSSIAN = "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему. "
JAPANESE = (
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗い所で泣いていた事だけは記憶している。"
)
OPF = "http://www.idpf.org/2007/opf"


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def chapters(source: Source) -> list[str]:
    """The first line of each chapter but the first."""
    return [source.text[at:].split("\n")[0] for at in source.breaks]


def left(source: Source) -> str:
    """The text without its skipped spans."""
    return "".join(s for at, s in enumerate(source.text) if not any(a <= at < b for a, b in source.skipped))


def epub(folder: Path, pages: dict[str, str], opf: str | None = None, more: dict[str, bytes] | None = None) -> Path:
    items = "".join(f'<item id="i{n}" href="{name}" media-type="x"/>' for n, name in enumerate(pages))
    spine = "".join(f'<itemref idref="i{n}"/>' for n in range(len(pages)))
    opf = opf or (
        f'<package xmlns="{OPF}" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>A  Tale</dc:title>'
        f"</metadata><manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    container = '<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("OEBPS/book.opf", opf)
        for name, text in pages.items():
            archive.writestr(f"OEBPS/{name}".replace("%20", " "), text)
        for name, content in (more or {}).items():
            archive.writestr(name, content)
    return write(folder, "tale.epub", data.getvalue())


def rows(*chapters: dict[str, Any]) -> bytes:
    return "\n".join(json.dumps(chapter) for chapter in chapters).encode()


# ---- plain text ----


def test_plain_text_is_read_as_it_is_and_named_after_its_file(tmp_path: Path) -> None:
    source = read_book(write(tmp_path, "Mr. Smith.txt", "It rained.\n\nIt stopped.\n"))
    assert (source.title, source.text) == ("Mr. Smith", "It rained.\n\nIt stopped.\n")
    assert (source.breaks, source.skipped) == ((), ())


def test_one_word_is_a_book(tmp_path: Path) -> None:
    assert read_book(write(tmp_path, "a.txt", "Alas")).text == "Alas"


def test_all_kinds_of_line_ends_become_one(tmp_path: Path) -> None:
    assert read_book(write(tmp_path, "a.txt", "a\r\nb\rc\fd\u2028e")).text == "a\nb\nc\nd\ne"


def test_chapter_lines_of_many_kinds_are_breaks(tmp_path: Path) -> None:
    heads = [
        "CHAPTER I",
        "Chapter 2. The Storm",
        "BOOK THE SECOND",
        "Chapter Twenty-One",
        "Epilogue",
        "IV.",
        "PART ONE",
    ]
    text = "\n\n".join(f"{head}\n\nSome prose follows here." for head in heads)
    assert chapters(read_book(write(tmp_path, "a.txt", "A Tale\n\n" + text))) == heads


def test_prose_that_only_looks_like_a_chapter_line_is_no_break(tmp_path: Path) -> None:
    prose = [
        "Chapter two of his life had begun, he said, and he was\nnot sorry for it.",
        "He read on.\nCHAPTER V\nsaid the page.",
        "Part of the wall fell.",
        "I",
    ]
    assert chapters(read_book(write(tmp_path, "a.txt", "Start.\n\n" + "\n\n".join(prose[:3])))) == []


def test_a_librarys_preamble_and_postamble_are_skipped(tmp_path: Path) -> None:
    text = (
        "The Project Gutenberg eBook of A Tale\n\nLicence text.\n\n"
        "*** START OF THE PROJECT GUTENBERG EBOOK A TALE\nOF WOE ***\n\n"
        "CHAPTER I\n\nIt rained.\n\nCHAPTER II\n\nIt stopped.\n\n"
        "*** END OF THE PROJECT GUTENBERG EBOOK A TALE ***\n\nMore licence.\n\nSECTION 1\n\nTerms.\n"
    )
    source = read_book(write(tmp_path, "a.txt", text))
    assert " ".join(left(source).split()) == "CHAPTER I It rained. CHAPTER II It stopped."
    assert chapters(source) == ["CHAPTER I", "CHAPTER II"]


def test_a_table_of_contents_is_skipped_and_the_first_chapter_is_not(tmp_path: Path) -> None:
    entries = "\n".join(f"CHAPTER {n}. Of rain {'.' * 9} {9 * len(n)}" for n in ("I", "II", "III"))
    body = "".join(f"\n\nCHAPTER {n}.\n\nIt rained for {n} days." for n in ("I", "II", "III"))
    source = read_book(write(tmp_path, "a.txt", f"A Tale\nby A. Writer\n\nCONTENTS\n\n{entries}\n\n{body}"))
    assert left(source).split()[:7] == ["A", "Tale", "by", "A.", "Writer", "CHAPTER", "I."]
    assert chapters(source) == ["CHAPTER I.", "CHAPTER II.", "CHAPTER III."]


def test_the_word_contents_before_prose_is_not_a_table(tmp_path: Path) -> None:
    text = "Contents\n\nThe contents of the box were a pen and a knife, and she took the knife at once.\n\nII\n\nMore."
    assert read_book(write(tmp_path, "a.txt", text)).skipped == ()


# ---- encodings ----


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (FRENCH, "utf-8"),
        (FRENCH, "utf-8-sig"),
        (FRENCH, "utf-16"),
        (FRENCH, "utf-32"),
        (FRENCH, "cp1252"),
        (FRENCH, "mac_roman"),
        (POLISH, "iso8859-2"),
        (POLISH, "cp1250"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
    ],
)
def test_the_encoding_is_found(tmp_path: Path, text: str, encoding: str) -> None:
    assert read_book(write(tmp_path, "a.txt", (text * 20).encode(encoding))).text == text * 20


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b" \n\t\n", "holds no text"),
        (b"some\0text", "NUL bytes"),
        (FRENCH.encode("utf-16-le"), "NUL bytes"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "this is a picture; .* run OCR"),
        (bytes(range(1, 256)) * 40, "neither UTF-8 nor clearly another encoding"),
        (b"\x01\x02\x03\x04 text" * 50, "control characters"),
        (b"\xef\xbb\xbfcaf\xe9", "begins as utf-8-sig but is not"),
        (b"\xff\xfea\x00b", "begins as utf-16 but is not"),
        ((FRENCH * 9).encode() + (FRENCH * 9).encode("cp1252"), "neither UTF-8"),
        (b"caf\xe9", "neither UTF-8"),
        (b"\xff\xfea\x00\x00\x00", "control characters"),
    ],
)
def test_what_is_no_text_is_refused_in_one_sentence_that_names_the_file(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    with pytest.raises(InputError, match=rf"^bad\.txt: .*{reason}") as caught:
        read_book(write(tmp_path, "bad.txt", data))
    assert "\n" not in str(caught.value)


# ---- limits and paths ----


def test_too_many_words_say_which_limit_to_raise(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "word " * 1001)
    with pytest.raises(LimitError, match=r"1,001 words; raise max_words, which is 1,000"):
        read_book(path, max_words=1000)
    assert len(read_book(path, max_words=1001).text) == 5005


def test_five_million_words_name_the_limit_that_stops_them(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match=r"5,000,000 words; raise max_words"):
        read_book(write(tmp_path, "long.txt", "rain " * 5_000_000))


def test_too_many_bytes_say_which_limit_to_raise(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="larger than max_bytes = 9"):
        read_book(write(tmp_path, "a.txt", "ten bytes!"), max_bytes=9)


def test_a_missing_file_a_folder_and_an_unknown_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_book(tmp_path / "none.txt")
    with pytest.raises(InputError, match="a folder; name the files in it"):
        read_book(tmp_path)
    with pytest.raises(InputError, match=r"must end in one of \.txt, .*\.epub"):
        read_book(write(tmp_path, "a.docx", "text"))


# ---- Markdown and HTML ----


def test_markdown_headings_are_breaks_and_code_is_not(tmp_path: Path) -> None:
    text = "# A Tale\n\n## One\n\nIt rained.\n\n```\n# not this\n```\n\nTwo\n---\n\nIt stopped.\n\n#nor this\n"
    source = read_book(write(tmp_path, "a.md", text))
    assert source.title == "A Tale"
    assert chapters(source) == ["## One", "Two"]
    assert source.text == text


def test_html_gives_text_in_blocks_with_headings_as_breaks_and_nothing_that_is_not_shown(tmp_path: Path) -> None:
    page = """<!doctype html><html><head><title>A &amp; B</title><style>p {color: red}</style></head><body>
    <nav><ul><li>Menu</li></ul></nav><script>alert("no < text")</script><h1>One</h1><p>It <b>rained</b>
    &lt;hard&gt; &eacute;t&#233;.<br>Still.</p><h2>Two</h2><div>It<p>stopped.<p>Truly.</div><pre>a
  b</pre><!-- hidden --></body></html>"""
    source = read_book(write(tmp_path, "a.html", page))
    assert source.title == "A & B"
    assert source.text == "One\n\nIt rained <hard> été.\nStill.\n\nTwo\n\nIt\n\nstopped.\n\nTruly.\n\na\n  b"
    assert chapters(source) == ["Two"]


def test_html_says_its_own_encoding(tmp_path: Path) -> None:
    page = '<html><head><meta charset="iso-8859-2"></head><body>łza</body></html>'
    assert read_book(write(tmp_path, "a.htm", page.encode("iso-8859-2"))).text == "łza"


@pytest.mark.parametrize("page", ["<p>a<b>c", "<<<>>><p>x</div></p", "<p>" * 20_000 + "deep", "text only", "<!--><p>y"])
def test_broken_html_does_not_break_the_reader(tmp_path: Path, page: str) -> None:
    assert read_book(write(tmp_path, "a.html", page)).text.strip()


def test_html_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no text"):
        read_book(write(tmp_path, "a.html", "<html><script>only()</script></html>"))


# ---- EPUB ----


def test_an_epub_is_read_in_the_order_of_its_spine(tmp_path: Path) -> None:
    pages = {"b.xhtml": "<h1>One</h1><p>It rained.</p>", "a%20c.xhtml": "<p>It stopped.</p><h2>Coda</h2><p>End.</p>"}
    source = read_book(epub(tmp_path, pages))
    assert source.title == "A Tale"
    assert source.text == "One\n\nIt rained.\n\nIt stopped.\n\nCoda\n\nEnd."
    assert chapters(source) == ["It stopped.", "Coda"]


def test_an_epubs_navigation_and_asides_are_left_out(tmp_path: Path) -> None:
    items = '<item id="n" href="n.html" properties="nav"/><item id="x" href="x.html"/><item id="y" href="y.html"/>'
    spine = '<itemref idref="n"/><itemref idref="x"/><itemref idref="y" linear="no"/><itemref idref="gone"/>'
    opf = f'<package xmlns="{OPF}"><manifest>{items}</manifest><spine>{spine}</spine></package>'
    pages = {name: f"<p>page {name}</p>" for name in ("n.html", "x.html", "y.html")}
    assert read_book(epub(tmp_path, pages, opf)).text == "page x.html"


def test_an_epub_that_unpacks_to_too_much_says_which_limit_to_raise(tmp_path: Path) -> None:
    path = epub(tmp_path, {"a.html": "rain " * 10_000})
    with pytest.raises(LimitError, match=r"unpacks to 5\d,\d{3} bytes; raise max_bytes, which is 40,000"):
        read_book(path, max_bytes=40_000)


def test_an_epub_that_is_packed_as_no_book_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"bomb\.html is packed 200 times or more"):
        read_book(epub(tmp_path, {"a.html": "<p>x</p>"}, more={"OEBPS/bomb.html": b" " * 5_000_000}))


def test_an_epub_of_too_many_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="10,0"):
        read_book(epub(tmp_path, {"a.html": "<p>x</p>"}, more={f"f{n}": b"" for n in range(10_001)}))


def test_an_epub_with_entities_to_expand_is_refused(tmp_path: Path) -> None:
    laughs = '<!DOCTYPE p [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><package>&b;</package>'
    with pytest.raises(InputError, match=r"book\.opf is not plain, well-formed XML"):
        read_book(epub(tmp_path, {"a.html": "<p>x</p>"}, laughs))


def test_an_epub_cannot_read_files_outside_itself(tmp_path: Path) -> None:
    write(tmp_path, "secret.html", "<p>secret</p>")
    opf = f'<package xmlns="{OPF}"><manifest><item id="x" href="../../secret.html"/></manifest>'
    with pytest.raises(InputError, match="lacks the file"):
        read_book(epub(tmp_path, {}, opf + '<spine><itemref idref="x"/></spine></package>'))


def test_a_copy_protected_epub_is_refused(tmp_path: Path) -> None:
    lock = b'<encryption><EncryptedData><CipherReference URI="OEBPS/a.html"/></EncryptedData></encryption>'
    with pytest.raises(InputError, match="copy-protected"):
        read_book(epub(tmp_path, {"a.html": "x"}, more={"META-INF/encryption.xml": lock}))


@pytest.mark.parametrize(
    ("opf", "reason"),
    [("<package>", "not plain, well-formed XML"), ("<package/>", "no documents with text")],
)
def test_an_epub_without_documents_is_refused(tmp_path: Path, opf: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_book(epub(tmp_path, {}, opf))


def test_a_damaged_epub_is_refused(tmp_path: Path) -> None:
    whole = epub(tmp_path, {"a.html": "<p>" + "rain and more rain " * 500}).read_bytes()
    for number, data in enumerate([b"PK no zip", whole[: len(whole) // 2], whole.replace(b"rain", b"snow")]):
        path = write(tmp_path, f"{number}.epub", data[:200] + bytes(60) + data[260:] if number == 2 else data)
        with pytest.raises(InputError, match=r"\.epub"):
            read_book(path)


# ---- chapters as JSON lines ----


def test_chapters_are_put_in_order_with_their_headings_and_each_is_a_break(tmp_path: Path) -> None:
    data = rows(
        {"book": "Tale", "order": 1, "part": "I", "chapter": "Two", "paragraphs": ["c", " d\r\ne "]},
        {"book": "Tale", "order": 0, "part": "I", "chapter": "One", "paragraphs": ["a", "", "b"]},
        {"book": "Tale", "order": 2, "part": "II", "chapter": None, "paragraphs": ["f\u2028g"]},
    )
    for path in (write(tmp_path, "a.jsonl", data), write(tmp_path, "b.jsonl.gz", gzip.compress(data))):
        source = read_book(path)
        assert source.title == "Tale"
        assert source.text == "I\n\nOne\n\na\n\nb\n\nTwo\n\nc\n\nd\ne\n\nII\n\nf\ng"
        assert chapters(source) == ["Two", "II"]


def test_raw_line_separators_inside_json_do_not_split_rows(tmp_path: Path) -> None:
    line = json.dumps({"paragraphs": ["a\u2028b\x85c"]}, ensure_ascii=False)
    assert read_book(write(tmp_path, "a.jsonl", line)).text == "a\nb\nc"


def test_what_json_lets_through_and_a_record_cannot_hold_is_cleaned(tmp_path: Path) -> None:
    source = read_book(write(tmp_path, "a.jsonl", '{"paragraphs": ["a\\ud800b\\u0000c \\ud83d\\ude00"]}'))
    assert source.text == "a\ufffdbc \U0001f600"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"paragraphs": ["a"]}\nnot json', "line 2: not JSON"),
        (b'{"paragraphs": ["a"]}\n\n["a"]', "line 3: a chapter is an object with a list of texts"),
        (b'{"chapter": "x"}', "line 1: a chapter is an object"),
        (b'{"paragraphs": [1]}', "line 1: a chapter is an object"),
        (b"[" * 100_000, "line 1: not JSON"),
        (b'{"book": "x", "paragraphs": []}\n{"book": "y", "paragraphs": []}', "chapters of 2 books"),
        (b'{"paragraphs": [" "]}', "holds no text"),
        (b"\x1f\x8bnot gzip", "not a sound gzip file"),
        (gzip.compress(b'{"paragraphs": ["a"]}', mtime=0)[:-9], "not a sound gzip file"),
    ],
)
def test_bad_rows_are_refused_by_their_line(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_book(write(tmp_path, "bad.jsonl.gz", data))


def test_a_gzip_file_that_unpacks_to_too_much_says_which_limit_to_raise(tmp_path: Path) -> None:
    data = gzip.compress(b" " * 3_000_000)
    with pytest.raises(LimitError, match="unpacks to more than max_bytes = 1,000,000"):
        read_book(write(tmp_path, "a.jsonl.gz", data), max_bytes=1_000_000)


@pytest.mark.skipif(not NOVELS.is_dir(), reason=f"the real novels are not in {NOVELS}: set RRM_DATA")
def test_a_real_novel_has_its_chapters_and_its_words() -> None:
    source = read_book(NOVELS / "ENG18652_Carroll.jsonl.gz")
    assert len(source.breaks) == 11  # twelve chapters, by the index
    assert chapters(source)[0] == "CHAPTER II. The Pool of Tears"
    assert abs(len(source.text.split()) - 26_198) < 300  # by the index, headings apart


@pytest.mark.skipif(not NOVELS.is_dir(), reason=f"the real novels are not in {NOVELS}: set RRM_DATA")
def test_every_real_novel_has_the_chapters_and_words_of_the_index() -> None:
    for row in map(json.loads, gzip.decompress((NOVELS / "index.jsonl.gz").read_bytes()).splitlines()):
        source = read_book(NOVELS / f"{row['book']}.jsonl.gz")
        assert len(source.breaks) + 1 == row["chapters"], row["title"]
        assert abs(len(source.text.split()) - row["words"]) < 0.01 * row["words"] + 200, row["title"]  # headings apart
        said = ("broken at line ends", "hyphens before spaces", "wrong encoding")
        assert all(any(each in note for each in said) for note in source.notes), row["title"]


@pytest.mark.skipif(not NOVELS.is_dir(), reason=f"the real novels are not in {NOVELS}: set RRM_DATA")
def test_a_real_novel_is_the_same_from_every_form(tmp_path: Path) -> None:
    packed = (NOVELS / "ENG18952_Wells.jsonl.gz").read_bytes()
    chapters_ = [json.loads(line) for line in gzip.decompress(packed).splitlines()]
    bodies = {
        f"c{n}.xhtml": f"<h2>Chapter {n + 1}</h2>"
        + "".join(f"<p>{html.escape(each)}</p>" for each in row["paragraphs"])
        for n, row in enumerate(sorted(chapters_, key=lambda row: row["order"]))
    }
    whole = read_book(write(tmp_path, "a.html", f"<html><body>{''.join(bodies.values())}</body></html>"))
    for path in (epub(tmp_path, bodies), write(tmp_path, "b.txt", whole.text), write(tmp_path, "c.md", whole.text)):
        source = read_book(path)
        assert (source.text, source.breaks, source.skipped) == (whole.text, whole.breaks, whole.skipped)
    assert len(whole.breaks) == len(chapters_) - 1


# ---- a set of books ----


def test_a_set_reads_its_files_in_order_and_has_no_gold(tmp_path: Path) -> None:
    paths = [str(write(tmp_path, f"{name}.txt", name)) for name in ("b", "a")]
    books = BookFiles(paths)
    assert isinstance(books, SourceSet)
    assert [source.title for source in books.sources()] == ["b", "a"]
    assert not hasattr(books, "gold")


def test_a_pattern_names_files_by_alphabet_and_one_path_needs_no_list(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write(tmp_path, f"{name}.txt", name)
    assert [source.title for source in BookFiles(str(tmp_path / "*.txt")).sources()] == ["a", "b"]
    assert [source.title for source in BookFiles(str(tmp_path / "a.txt")).sources()] == ["a"]


def test_a_sets_name_does_not_depend_on_where_its_files_lie(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    here, there = write(tmp_path, "a.txt", "same"), write(tmp_path / "x", "a.txt", "same")
    assert BookFiles([str(here)]).name == BookFiles([str(there)]).name
    assert BookFiles([str(here)]).name != BookFiles([str(here)], max_words=5).name


def test_a_set_without_books_or_with_one_book_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one path"):
        BookFiles([]).sources()
    with pytest.raises(InputError, match="no file has a name like this"):
        BookFiles([str(tmp_path / "*.txt")]).sources()
    paths = [str(write(tmp_path, f"{name}.txt", "the same")) for name in ("a", "b")]
    with pytest.raises(InputError, match=r"b\.txt: the same text as .*a\.txt"):
        BookFiles(paths).sources()


def test_a_sets_limits_reach_its_files(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "one two three")
    with pytest.raises(LimitError, match="max_words"):
        BookFiles([str(path)], max_words=2).sources()
