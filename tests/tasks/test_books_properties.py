"""Made-up EPUBs, pages and texts: no reader ever fails but in its own words, and no markup ends up in a text."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rrm.core.errors import RrmError
from rrm.core.task import Source
from tasks.books import read_book
from tests.tasks.book_files import XHTML, Item, left, packed, write, xhtml

WORDS = st.lists(
    st.sampled_from(
        [
            "rain",
            "ferry",
            "O",
            "well-\nknown",
            "Wil\u00adhelmina",
            "12",
            "IV",
            "雨",
            "渡し舟",
            "паром",
            "d’été",
            "fer-\nry",
        ]
    ),
    max_size=6,
)
TAGS = ["p", "div", "span", "b", "i", "h1", "h2", "sup", "ruby", "rt", "aside", "section", "li", "ul", "td", "tr",
        "table", "pre", "svg", "text", "blockquote", "em"]  # fmt: skip
ATTRIBUTES = st.sampled_from(
    ["", 'class="dropcap"', 'hidden=""', 'epub:type="noteref"', 'epub:type="pagebreak"', 'epub:type="footnote"',
     'style="display:none"', 'class="pagenum"', 'role="doc-endnotes"', 'id="pg-header"', "broken=", "<", 'class="x"'],
)  # fmt: skip


def element(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    whole = st.builds(
        lambda tag, attribute, parts: f"<{tag} {attribute}>{' '.join(parts)}</{tag}>",
        st.sampled_from(TAGS),
        ATTRIBUTES,
        st.lists(inner, max_size=4),
    )
    odd = st.sampled_from(
        ["<br/>", '<img alt="O"/>', '<img alt="a mill">', "<p>", "</div>", "<a href='#n1'>1</a>", "<!-- no -->",
         "<div/>", "<![CDATA[rain]]>", "&eacute;&nbsp;&#8212;", "<title/>", "</", "<math alttext='x'/>", "<rt>",
         "</body>"],
    )  # fmt: skip
    return whole | odd


BODIES = st.lists(st.recursive(WORDS.map(" ".join), element, max_leaves=12), max_size=6).map("".join)
MEDIA = st.sampled_from([XHTML, "image/svg+xml", "image/png", "text/plain", "x", "", "application/pdf"])
ITEMS = st.lists(
    st.builds(
        Item,
        st.sampled_from(
            ["a.xhtml", "B.xhtml", "c%20d.xhtml", "c d.xhtml", "x\\y.xhtml", "e.svg?v=1", "../f.html", "", "#"]
        ),
        MEDIA,
        st.sampled_from(["", 'fallback="i0"', 'fallback="i1"', 'fallback="i9"', 'properties="nav"']),
        st.sampled_from(["", None, 'linear="no"']),
    ),
    max_size=5,
)
MEMBERS = ["OEBPS/a.xhtml", "OEBPS/b.XHTML", "OEBPS/c d.xhtml", "OEBPS/x/y.xhtml", "OEBPS/e.svg", "f.html"]
TAG = re.compile(rf"</?(?:{'|'.join([*TAGS, 'br', 'img', 'html', 'body', 'title'])})\b[^<>]*>")


def whole(source: Source) -> None:
    """What holds of every source that is read."""
    assert source.text.strip() and left(source).strip()
    assert TAG.search(source.text) is None, source.text
    assert not {"\u00ad", "\ufeff", "\0", "\r"} & set(source.text)
    assert list(source.breaks) == sorted(set(source.breaks))
    assert all(a < b for a, b in source.skipped)
    assert all(note.startswith("tale.") and "\n" not in note for note in source.notes)


def read_or_refused(path: Path) -> None:
    try:
        source = read_book(path)
    except RrmError as error:
        assert str(error).startswith(path.name) and "\n" not in str(error), error
    else:
        whole(source)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


FEW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FEW
@given(ITEMS, st.lists(BODIES, min_size=6, max_size=6), st.data())
def test_an_epub_of_any_make_is_read_or_refused_in_a_sentence(
    folder: Path, items: list[Item], bodies: list[str], data: Any
) -> None:
    members: dict[str, str | bytes] = {name: xhtml(body) for name, body in zip(MEMBERS, bodies, strict=True)}
    for name in data.draw(st.lists(st.sampled_from(MEMBERS), max_size=2)):
        members[name] = data.draw(st.binary(max_size=40) | st.sampled_from([b"", b"%PDF-1.4", b"\xff\xd8\xff\xe0"]))
    book = packed(items, members)
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(book) - 1))
        book = book[:at] + bytes([data.draw(st.integers(0, 255))]) + book[at + 1 :]
    read_or_refused(write(folder, "tale.epub", book))


@FEW
@given(BODIES)
def test_a_page_of_any_make_is_read_without_its_markup(folder: Path, body: str) -> None:
    read_or_refused(write(folder, "tale.html", f"<html><body>{body}</body></html>"))


@FEW
@given(
    st.text(
        alphabet="Capitel I V.1 \n\t*-[]《》第一章。-\u00ad\u200b¬ﬁ底本：END OF PROJECT GUTENBERG",
        min_size=1,
        max_size=300,
    )
)
def test_a_text_of_any_make_is_read(folder: Path, text: str) -> None:
    read_or_refused(write(folder, "tale.txt", text))


@FEW
@given(st.lists(st.text(alphabet="abcdefghij", min_size=1, max_size=9), min_size=1, max_size=60), st.integers(20, 60))
def test_words_without_hyphens_survive_any_wrapping_with_hyphens(folder: Path, words: list[str], width: int) -> None:
    """Every word stands once unbroken, so that the book itself says how each is written."""
    lines, line = [], ""
    for word in words * 2:
        room = width - len(line) - 2
        if len(line) + len(word) < width:
            line += f"{word} "
        elif 1 < room < len(word) - 1:
            lines.append(f"{line}{word[:room]}-")
            line = f"{word[room:]} "
        else:
            lines.append(line.rstrip())
            line = f"{word} "
    text = " ".join(words) + ".\n\n" + "\n".join([*lines, line.rstrip()])
    kept = read_book(write(folder, "tale.txt", text)).text.partition(".\n\n")[2].replace("-", "")
    assert "".join(kept.split()) == "".join(words * 2)
