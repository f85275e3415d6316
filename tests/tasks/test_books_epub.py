"""EPUBs as they come: what is no running text, files under other names, odd entries of the spine, locks."""

import io
import zipfile
from pathlib import Path

import pytest

from rrm.core.errors import InputError
from tasks.books import read_book
from tests.tasks.book_files import XHTML, Item, chapters, packed, pages, write, xhtml

ONE, TWO = xhtml("<h1>One</h1><p>It rained.</p>"), xhtml("<h1>Two</h1><p>It stopped.</p>")
BOTH = "One\n\nIt rained.\n\nTwo\n\nIt stopped."
PICTURE = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(40)
DRAWING = '<svg xmlns="http://www.w3.org/2000/svg"><title>No words</title><image href="1.png"/></svg>'


def read(folder: Path, items: list[Item], members: dict[str, str | bytes], guide: str = "") -> str:
    return read_book(write(folder, "tale.epub", packed(items, members, guide))).text


# ---- what is no running text ----


@pytest.mark.parametrize(
    ("body", "text"),
    [
        # note marks
        ('<p>She left.<a epub:type="noteref" href="#n">3</a> He stayed.</p>', "She left. He stayed."),
        ('<p>She left.<a role="doc-noteref" href="#n">*</a></p>', "She left."),
        ('<p>She left.<sup><a href="#n">12</a></sup> He stayed.</p>', "She left. He stayed."),
        ('<p>She left.<a href="x.xhtml#n"><sup>[a]</sup></a></p>', "She left."),
        ('<p>She left<a href="#n">[12]</a>.</p>', "She left."),
        ('<p>She left<a href="x.xhtml#n">12</a>, and he stayed.<a href="#n2">13</a></p>', "She left, and he stayed."),
        ('<p>She left.<a class="footnote-ref" href="#n">12</a></p>', "She left."),
        ('<p>She left.<span class="fnref">†</span></p>', "She left."),
        ("<p>She left them.<sup>4</sup> He stayed.</p>", "She left them. He stayed."),
        ('<p>See <a href="#c5">5</a> and <a href="#c6">the sixth</a>.</p>', "See 5 and the sixth."),
        ("<p>A field of 3 km<sup>2</sup> on the 1<sup>st</sup>.</p>", "A field of 3 km² on the 1st."),
        ("<p>The cat<sup>1</sup> left in 1815<sup>2</sup> with it<sup>*</sup>.</p>", "The cat left in 1815 with it."),
        ("<p>She left,<sup>b</sup> and M<sup>r</sup> D.<sup>a</sup> stayed.</p>", "She left, and Mr D.a stayed."),
        ("<p>The 10<sup>6</sup> m<sup>2</sup> of mc<sup>2</sup> are x<sup>-1</sup>.</p>", "The 10⁶ m² of mc² are x⁻¹."),
        ('<p>The cat<span style="vertical-align: super">1</span> left.</p>', "The cat left."),
        ('<p>The cat<span class="up">1</span> left <span class="sup">3</span>.</p>', "The cat left ³."),
        # page marks
        ('<p>It <span epub:type="pagebreak" id="p">12</span>rained.</p>', "It rained."),
        ('<p>It <span role="doc-pagebreak" aria-label="12"/>rained.</p>', "It rained."),
        ('<p>It <span class="pagenum">[Pg 12]</span>rained.</p>', "It rained."),
        ('<div class="pagenumber">xii</div><p>It rained.</p>', "It rained."),
        ('<div class="pagebreak"><p>It rained all day.</p></div>', "It rained all day."),
        ('<p>It <span class="page" id="p14">14</span>rained.</p>', "It rained."),
        ('<div class="page"><p>It rained all day.</p></div>', "It rained all day."),
        # hidden
        ('<p hidden="hidden">No.</p><p style="color:red; display: none">No.</p><p>It rained.</p>', "It rained."),
        ('<p>It <span style="visibility:hidden">never </span>rained.</p>', "It rained."),
        ('<p class="gone">No.</p><p class="there">It rained.</p>', "It rained."),
        ('<p>It <span class="sr-only">surely </span>rained.</p>', "It rained."),
        ('<div hidden="until-found">It rained.</div>', "It rained."),
        ("<p>It <del>snowed</del><ins>rained</ins>.</p>", "It rained."),
        # drop caps
        ('<p><img src="o.png" alt="O"/>nce it rained.</p>', "Once it rained."),
        ('<p><span class="dropcap">O</span>nce it rained.</p>', "Once it rained."),
        ('<p><span class="drop-cap">T</span> he rain fell.</p>', "The rain fell."),
        ('<div class="dropcap">T</div><p>HE rain fell.</p>', "THE rain fell."),
        ('<p style="float: left; font-size: 300%">T</p><p>he rain fell.</p>', "The rain fell."),
        ('<p class="aside">T</p><p>HE rain fell.</p>', "THE rain fell."),
        ('<p style="float: left">2</p><p>nights it rained.</p>', "2\n\nnights it rained."),
        ('<div class="drop">T</div><p>he rain fell.</p>', "The rain fell."),
        # notes known by their links alone
        (
            '<p>It rained.<a id="r" href="#n">*</a> It stopped.</p><p id="n"><a href="#r">*</a> In the north.</p>',
            "It rained. It stopped.",
        ),
        (
            '<p>It rained.<sup><a id="r" href="#n">1</a></sup></p>'
            '<ol><li><sup><a id="n" href="#r">1</a></sup> North.</li></ol>',
            "It rained.",
        ),
        ('<p id="c"><a href="#t">1</a> It rained.</p><p><a id="t" href="#d">1</a> Go.</p>', "1 It rained.\n\n1 Go."),
        ('<div><img src="t.png" alt="Drop cap T"/></div><p>he rain fell.</p>', "The rain fell."),
        ('<p><span class="dropcap">A</span> long rain fell.</p>', "A long rain fell."),
        ('<p><span class="dropcap">“I</span>t rained.”</p>', "“It rained.”"),
        ('<p><img src="r.png" alt="Rain over a mill"/>It rained.</p>', "It rained."),
        # ruby, soft hyphens, drawings and formulas
        ("<p><ruby>雨<rp>(</rp><rt>あめ</rt><rp>)</rp></ruby>が降った。</p>", "雨が降った。"),
        ("<p>It was rain&shy;ing&#x200b; and Wil&shy;hel&shy;mina left.</p>", "It was raining and Wilhelmina left."),
        ('<svg xmlns="http://www.w3.org/2000/svg"><text x="1">It rained.</text></svg>', "It rained."),
        ("<p>If <math><mi>x</mi><annotation>x_0</annotation></math> is <b>so</b>.</p>", "If x is so."),
        ('<p>If <math alttext="x = 2"><mi>x</mi><mo>=</mo><mn>2</mn></math>.</p>', "If x = 2."),
        # notes, contents and what is said of the edition
        ('<p>It rained.</p><aside epub:type="footnote"><p>1. Hard.</p></aside>', "It rained."),
        ('<p>It rained.</p><div class="footnotes"><p>1. Hard.</p></div>', "It rained."),
        ('<p>It rained.</p><section epub:type="index"><p>Rain, 12</p></section>', "It rained."),
        ('<p>It rained.</p><section role="doc-endnotes"><p>1. Hard.</p></section>', "It rained."),
        ('<section epub:type="copyright-page"><p>Mine.</p></section><p>It rained.</p>', "It rained."),
        ('<section class="pg-boilerplate"><p>Licence.</p></section><p>It rained.</p>', "It rained."),
        # what stands where media or scripts do not run, and what does not
        ('<object data="m.bin" type="x/y"><p>It rained.</p></object>', "It rained."),
        ('<object data="m.svg"><p>A mill.</p></object><p>It rained.</p>', "It rained."),
        ('<object type="image/png" data="m"><p>A mill.</p></object><p>It rained.</p>', "It rained."),
        ("<audio><p>Listen.</p></audio><noscript><p>Turn it on.</p></noscript><p>It rained.</p>", "It rained."),
        ("<nav><ol><li>One</li></ol></nav><p>It rained.<button>Next</button></p>", "It rained."),
        ("<dialog><p>Sign in.</p></dialog><p>It rained.</p>", "It rained."),
        (
            "<epub:switch><epub:case><p>It poured.</p></epub:case><epub:default><p>It rained.</p></epub:default>"
            "</epub:switch>",
            "It rained.",
        ),
        # words are parted where blocks begin and end
        ("<div>It<details><summary>rained</summary>all</details>night.</div>", "It\n\nrained\n\nall\n\nnight."),
        ('<p><span class="line">It rained</span><span class="line">all night.</span></p>', "It rained\n\nall night."),
        ('<p><i style="color: red; display:block">It rained</i>all night.</p>', "It rained\n\nall night."),
        ('<p><span style="display:block; float: left">It rai</span>ned.</p>', "It rained."),
        ("<html:p>It rained</html:p><html:p>all night.</html:p>", "It rained\n\nall night."),
        ('<p>It rained<a epub:type="noteref" href="#n">1</a>all night.</p>', "It rained all night."),
        ('<p>雨が<a epub:type="noteref" href="#n">1</a>降った。</p>', "雨が降った。"),
        ("<p>She said <q>it rained</q>.</p>", "She said “it rained”."),
        (
            '<svg><text><tspan x="0" y="1">It rained</tspan><tspan x="0" y="2">all ni</tspan><tspan>ght.</tspan></text>'
            "</svg>",
            "It rained all night.",
        ),
        (
            "<svg><switch><foreignObject><p>It rained.</p></foreignObject><text>No SVG.</text></switch></svg>",
            "It rained.",
        ),
        # DTBook
        (
            "<level1><pagenum>12</pagenum><p>It rained.<noteref>1</noteref></p><note><p>Hard.</p></note></level1>",
            "It rained.",
        ),
        # marked up
        ("<p>It <![CDATA[<rained>]]> &amp; rained.</p>", "It <rained> & rained."),
        ("<p>It <b>rai</b><i>ned</i>.</p>", "It rained."),
    ],
)
def test_the_text_is_what_a_reader_reads(tmp_path: Path, body: str, text: str) -> None:
    head = (
        "<title>A page</title><style>@media print {.there {display: none}} p.gone, #x {display:none}"
        " .line {display: block} .aside {float:left} .up {vertical-align: super}</style>"
    )
    assert read_book(pages(tmp_path, body + "<p>The end.</p>", head=head)).text == f"{text}\n\nThe end."


def test_what_a_linked_style_sheet_hides_is_left_out(tmp_path: Path) -> None:
    head = '<link rel="stylesheet" href="book.css"/>'
    path = pages(tmp_path, '<p class="x">No.</p><p>It rained.</p>', head=head, book_css=".x { display : none }")
    assert read_book(path).text == "It rained."


def test_what_is_left_out_of_the_pages_is_said(tmp_path: Path) -> None:
    body = (
        '<p>It rained<a epub:type="noteref" href="#n">1</a> and<span epub:type="pagebreak">2</span> rained.</p>'
        '<p hidden="">Not this.</p><aside epub:type="footnote"><p>Hard, they say.</p></aside>'
    )
    assert read_book(pages(tmp_path, body)).notes == (
        "tale.epub: left out of the pages: 1 note mark, 1 page number, 1 hidden passage (2 words), 1 note (3 words)",
    )
    body = (
        "<p>It rained.</p><nav>One</nav><object data='m.svg'>A mill.</object><noscript>No.</noscript>"
        "<p><button>Go on</button> It stopped.</p>"
    )
    assert read_book(pages(tmp_path, body)).notes == (
        "tale.epub: left out of the pages: 1 list of contents, 2 texts for where media or scripts do not run (3 words),"
        " 1 form control (2 words)",
    )
    assert read_book(pages(tmp_path, "<p>It rained.</p><nav/><audio src='a.mp3'/>")).notes == ()


def test_what_a_page_shows_when_it_is_asked_for_is_read_and_said(tmp_path: Path) -> None:
    body = "<p>It rained.</p><details><p>All night.</p></details><p hidden='until-found'>It stopped.</p>"
    source = read_book(pages(tmp_path, body))
    assert source.text == "It rained.\n\nAll night.\n\nIt stopped."
    assert source.notes == ("tale.epub: read, though pages show it only when it is opened or searched for: 2 passages",)
    assert read_book(pages(tmp_path, "<details open=''>It rained.</details>")).notes == ()


def test_self_closed_elements_end_where_they_begin(tmp_path: Path) -> None:
    body = '<p>It<a id="x"/> rained.<span epub:type="pagebreak"/></p><div/><p>It stopped.</p>'
    assert read_book(pages(tmp_path, body, head="<title/><script/>")).text == "It rained.\n\nIt stopped."


# ---- files under other names ----


@pytest.mark.parametrize(
    ("href", "member"),
    [
        ("a%20b.xhtml", "a b.xhtml"),
        ("a%20b.xhtml", "a%20b.xhtml"),
        ("a b.xhtml", "a%20b.xhtml"),
        ("a%23b.xhtml", "a#b.xhtml"),
        ("Text/A.xhtml", "text/a.XHTML"),
        ("text\\a.xhtml", "text/a.xhtml"),
        ("text/a.xhtml", "text\\a.xhtml"),
        ("a.xhtml?v=3", "a.xhtml"),
        ("./x/../a.xhtml#top", "a.xhtml"),
        ("/OEBPS/a.xhtml", "a.xhtml"),
        ("me\u0300re.xhtml", "m\u00e8re.xhtml"),
        ("m%C3%A8re.xhtml", "mère.xhtml"),
    ],
)
def test_a_file_is_found_however_its_name_is_spelt(tmp_path: Path, href: str, member: str) -> None:
    assert read(tmp_path, [Item(href), Item("b.xhtml")], {f"OEBPS/{member}": ONE, "OEBPS/b.xhtml": TWO}) == BOTH


def test_a_name_in_utf_8_without_its_flag_is_found(tmp_path: Path) -> None:
    data = packed([Item("mère.xhtml")], {"OEBPS/m12re.xhtml": ONE})
    path = write(tmp_path, "tale.epub", data.replace(b"m12re.xhtml", "mère.xhtml".encode()))
    assert read_book(path).text == "One\n\nIt rained."


def test_the_exact_name_comes_before_other_spellings(tmp_path: Path) -> None:
    members: dict[str, str | bytes] = {"OEBPS/A.xhtml": TWO, "OEBPS/a.xhtml": ONE}
    assert read(tmp_path, [Item("a.xhtml"), Item("A.xhtml")], members) == BOTH


def test_a_file_that_is_nowhere_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tale\.epub: the EPUB lacks the file 'gone\.xhtml'"):
        read(tmp_path, [Item("gone.xhtml"), Item("b.xhtml")], {"OEBPS/b.xhtml": TWO})


# ---- odd entries of the spine ----


def test_a_fallback_is_read_in_the_place_of_what_is_no_text(tmp_path: Path) -> None:
    items = [
        Item("a.svg", "image/svg+xml", 'fallback="i1"'),
        Item("a.pdf", "application/pdf", 'fallback="i2"', None),
        Item("a.xhtml", spine=None),
        Item("b.xhtml"),
    ]
    members: dict[str, str | bytes] = {"OEBPS/a.svg": DRAWING, "OEBPS/a.xhtml": ONE, "OEBPS/b.xhtml": TWO}
    assert read(tmp_path, items, members) == BOTH


def test_fallbacks_in_a_circle_end(tmp_path: Path) -> None:
    items = [Item("a.svg", "image/svg+xml", 'fallback="i0"'), Item("b.xhtml")]
    source = read_book(write(tmp_path, "t.epub", packed(items, {"OEBPS/a.svg": DRAWING, "OEBPS/b.xhtml": TWO})))
    assert source.text == "Two\n\nIt stopped."
    assert source.notes == ("t.epub: 1 of 2 documents holds no text and was skipped",)


@pytest.mark.parametrize("media", ["image/jpeg", XHTML, "application/octet-stream"])
def test_a_picture_in_the_spine_is_skipped_and_counted(tmp_path: Path, media: str) -> None:
    items = [Item("cover.jpg", media), Item("a.xhtml"), Item("b.xhtml")]
    members: dict[str, str | bytes] = {"OEBPS/cover.jpg": PICTURE, "OEBPS/a.xhtml": ONE, "OEBPS/b.xhtml": TWO}
    source = read_book(write(tmp_path, "tale.epub", packed(items, members)))
    assert source.text == BOTH
    assert chapters(source) == ["Two"]
    assert source.notes == ("tale.epub: 1 of 3 documents holds no text and was skipped",)


def test_notes_in_a_document_of_their_own_are_left_out(tmp_path: Path) -> None:
    notes = "".join(f'<p id="n{n}"><a href="0.xhtml#r{n}">{n}</a>. A heavy rain.</p>' for n in (1, 2))
    story = '<p>It rained<a id="r1" href="1.xhtml#n1">1</a> and rained.<a id="r2" href="1.xhtml#n2">2</a></p>'
    book = read_book(pages(tmp_path, story, f"<h1>Notes</h1>{notes}", "<p>It stopped.</p>"))
    assert book.text == "It rained and rained.\n\nIt stopped."
    assert book.notes == ("tale.epub: left out of the pages: 2 note marks, 2 notes (8 words)",)


def test_what_the_reading_order_leaves_out_is_counted(tmp_path: Path) -> None:
    empty = xhtml('<img src="1.png"/>')
    items = [Item("a.xhtml"), Item("x.xhtml"), Item("y.xhtml"), Item("z.xhtml", spine='linear="no"')]
    members = {"OEBPS/a.xhtml": ONE, "OEBPS/x.xhtml": empty, "OEBPS/y.xhtml": empty, "OEBPS/z.xhtml": TWO}
    assert read_book(write(tmp_path, "tale.epub", packed(items, members))).notes == (
        "tale.epub: 2 of 3 documents hold no text and were skipped",
        "tale.epub: 1 document beside the reading order skipped",
    )


def test_a_document_that_the_reading_order_names_again_is_read_once(tmp_path: Path) -> None:
    items = [Item("a.xhtml#one"), Item("a.xhtml#two"), Item("b.xhtml"), Item("a.xhtml")]
    source = read_book(write(tmp_path, "t.epub", packed(items, {"OEBPS/a.xhtml": ONE, "OEBPS/b.xhtml": TWO})))
    assert source.text == BOTH
    assert source.notes == ("t.epub: 2 entries of the reading order that name a document again skipped",)


def test_a_page_of_links_to_the_others_is_no_chapter(tmp_path: Path) -> None:
    contents = '<h1>Kapitel</h1><p><a href="p1.xhtml">A</a></p><p><a href="p2.xhtml">B</a></p><a href="p3.xhtml">C</a>'
    source = read_book(pages(tmp_path, contents, "<p>It rained.</p>", "<p>It stopped.</p>", "<p>It dried.</p>"))
    assert source.text == "It rained.\n\nIt stopped.\n\nIt dried."
    assert "1 list of contents" in source.notes[0]


def test_the_guide_of_an_old_package_names_what_is_no_text(tmp_path: Path) -> None:
    guide = '<guide><reference type="toc" href="c.xhtml"/><reference type="copyright-page" href="r.xhtml"/></guide>'
    items = [Item("r.xhtml"), Item("c.xhtml"), Item("a.xhtml"), Item("b.xhtml")]
    members = {f"OEBPS/{name}.xhtml": xhtml(f"<p>{name}</p>") for name in "rc"}
    assert read(tmp_path, items, {**members, "OEBPS/a.xhtml": ONE, "OEBPS/b.xhtml": TWO}, guide) == BOTH


def test_a_book_of_pictures_is_refused_by_name(tmp_path: Path) -> None:
    scanned = [f'<img src="{n}.png" alt="Page {n} of the book"/>' for n in range(9)]
    with pytest.raises(InputError, match=r"tale\.epub: a scanned or picture book: 9 of 9 documents .*; run OCR"):
        read_book(pages(tmp_path, *scanned))
    with pytest.raises(InputError, match="9 of 10 documents"):
        read_book(pages(tmp_path, "<h1>A Tale</h1>", *scanned))
    tale = "<p>" + "It rained. " * 100 + "</p>"
    assert "9 of 10 documents hold no text" in read_book(pages(tmp_path, tale, *scanned)).notes[0]


# ---- locks ----


def encryption(uri: str, cipher: str) -> bytes:
    return (
        '<encryption xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:EncryptedData><e:EncryptionMethod'
        f' Algorithm="{cipher}"/><e:CipherData><e:CipherReference URI="{uri}"/></e:CipherData></e:EncryptedData>'
        "</encryption>"
    ).encode()


@pytest.mark.parametrize("cipher", ["http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"])
def test_a_book_whose_fonts_alone_are_obfuscated_is_read(tmp_path: Path, cipher: str) -> None:
    members: dict[str, str | bytes] = {
        "OEBPS/a.xhtml": ONE,
        "META-INF/encryption.xml": encryption("OEBPS/f.otf", cipher),
    }
    assert read(tmp_path, [Item("a.xhtml")], {**members, "OEBPS/f.otf": b"x"}) == "One\n\nIt rained."


@pytest.mark.parametrize(
    ("file", "owner"),
    [("META-INF/rights.xml", "Adobe's DRM"), ("META-INF/license.lcpl", "Readium LCP"), ("META-INF/sinf.xml", "Apple")],
)
def test_a_locked_book_is_refused_with_the_name_of_the_lock(tmp_path: Path, file: str, owner: str) -> None:
    lock = encryption("OEBPS/a%20b.xhtml", "http://www.w3.org/2001/04/xmlenc#aes128-cbc")
    members: dict[str, str | bytes] = {
        "OEBPS/a b.xhtml": bytes(range(256)),
        "META-INF/encryption.xml": lock,
        file: b"<x/>",
    }
    with pytest.raises(InputError, match=rf"copy-protected \({owner}.*only a free copy can be read"):
        read(tmp_path, [Item("a%20b.xhtml")], members)


def test_an_archive_with_a_password_is_refused(tmp_path: Path) -> None:
    data = bytearray(packed([Item("a.xhtml")], {"OEBPS/a.xhtml": ONE}))
    for at in (data.find(b"PK\x01\x02") + 8, 6):  # the flag of the first member, in its two headers
        data[at] |= 1
    with pytest.raises(InputError, match="locked with a password"):
        read_book(write(tmp_path, "tale.epub", bytes(data)))


def test_a_package_is_found_without_its_container(tmp_path: Path) -> None:
    path = write(tmp_path, "tale.epub", packed([Item("a.xhtml")], {"OEBPS/a.xhtml": ONE}))
    kept = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(kept, "w") as new:
        for name in old.namelist():
            if not name.startswith("META-INF"):
                new.writestr(name, old.read(name))
    assert read_book(write(tmp_path, "bare.epub", kept.getvalue())).text == "One\n\nIt rained."
