"""Books from files: plain text, Markdown, HTML, EPUB or chapters as JSON lines; chapters and front matter found."""

import codecs
import gzip
import json
import posixpath
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote
from xml.etree.ElementTree import Element, ParseError

from charset_normalizer import from_bytes
from defusedxml.ElementTree import fromstring

from rrm.core.errors import InputError, LimitError
from rrm.core.ids import content_id
from rrm.core.task import Source, Span

MAX_BYTES = 50_000_000
MAX_WORDS = 2_000_000


class Text(NamedTuple):
    """What a format's reader returns: the text, the offsets where chapters begin, and the book's own title if any."""

    text: str
    breaks: tuple[int, ...] = ()
    title: str = ""


@dataclass(frozen=True)
class BookFiles:
    """The books in some files, in the order given; `*` and `?` in a file name stand for any characters.

    Nobody knows the truth about them, so there is no gold.
    """

    paths: Sequence[str]
    max_bytes: int = MAX_BYTES
    max_words: int = MAX_WORDS

    @cached_property
    def name(self) -> str:
        return content_id("books", [Path(path).name for path in self._files], self.max_bytes, self.max_words)

    def sources(self) -> list[Source]:
        """Return one source a file; raise InputError if a file cannot be read, or two hold the same text."""
        return list(self._sources)

    @cached_property
    def _files(self) -> tuple[str, ...]:
        files: list[str] = []
        for path in [self.paths] if isinstance(self.paths, str) else self.paths:
            pattern = any(sign in Path(path).name for sign in "*?") and not Path(path).exists()
            found = sorted(map(str, Path(path).expanduser().parent.glob(Path(path).name))) if pattern else [path]
            if not found:
                raise InputError(f"{path}: no file has a name like this")
            files.extend(found)
        if not files:
            raise InputError("no book was named: give at least one path")
        return tuple(files)

    @cached_property
    def _sources(self) -> tuple[Source, ...]:
        found: dict[str, str] = {}
        sources = []
        for path in self._files:
            source = read_book(path, self.max_bytes, self.max_words)
            if source.id in found:
                raise InputError(f"{path}: the same text as {found[source.id]}; name each book once")
            found[source.id] = path
            sources.append(source)
        return tuple(sources)


def read_book(path: str | Path, max_bytes: int = MAX_BYTES, max_words: int = MAX_WORDS) -> Source:
    """Read a book from .txt, .md, .html, .epub, or chapters as .jsonl or .jsonl.gz.

    Chapters give the source's breaks; a library's preamble and postamble and a table of contents
    are its skipped spans. `max_bytes` limits the file and what it unpacks to. Raises InputError,
    in one sentence, for whatever cannot be read as a book, LimitError above a limit.
    """
    path = Path(path).expanduser()
    data = _bytes(path, max_bytes)
    read = _reader(path)
    text = read(data, path.name, max_bytes)
    if not text.text.strip():
        raise InputError(f"{path.name}: the file holds no text")
    words = sum(1 for _ in re.finditer(r"\S+", text.text))
    if words > max_words:
        raise LimitError(f"{path.name}: {words:,} words; raise max_words, which is {max_words:,}, to read it")
    skipped = () if read is _read_json_lines else tuple(_skipped(text.text))
    breaks = tuple(at for at in text.breaks if not any(start < at < end for start, end in skipped))
    source = Source(text.title or re.sub(r"(\.jsonl)?\.\w+$", "", path.name), text.text, breaks, skipped)
    if not _outside(source).strip():
        raise InputError(f"{path.name}: there is no text between the marks of its preamble and postamble")
    return source


def _bytes(path: Path, max_bytes: int) -> bytes:
    if path.is_dir():
        raise InputError(f"{path}: a folder; name the files in it")
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) > max_bytes:
        raise LimitError(f"{path.name}: larger than max_bytes = {max_bytes:,}; raise it to read the file")
    if not data:
        raise InputError(f"{path.name}: the file is empty")
    return data


_Reader = Callable[[bytes, str, int], Text]


def _reader(path: Path) -> _Reader:
    readers: dict[tuple[str, ...], _Reader] = {
        (".txt", ".text"): _read_plain,
        (".md", ".markdown"): _read_markdown,
        (".html", ".htm", ".xhtml"): _read_html,
        (".epub",): _read_epub,
        (".jsonl", ".jsonl.gz"): _read_json_lines,
    }
    for endings, read in readers.items():
        if path.name.lower().endswith(endings):
            return read
    known = ", ".join(ending for endings in readers for ending in endings)
    raise InputError(f"{path.name}: no known kind of book; the name must end in one of {known}")


def _outside(source: Source) -> str:
    at, pieces = 0, []
    for start, end in source.skipped:
        pieces.append(source.text[at:start])
        at = end
    return "".join([*pieces, source.text[at:]])


# ---- bytes to text ----

_MARKS = (  # longest first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LEGACY = re.findall(r"\w+", "cp1252 cp1250 cp1251 koi8_r iso8859_2 shift_jis euc_jp gb18030 big5 euc_kr mac_roman")
_NEWLINE = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_SIGN_IN_WORD = re.compile("[^\\W\\d_][\x80-\xa0¢-©¬-¯±-¶¸¹¼-¾×÷]")


def _decode(data: bytes, where: str, declared: str | None = None) -> str:
    """Return the text of bytes; raise InputError if they are no text or the encoding is unclear."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if encoding is None and b"\0" in data:
        raise InputError(f"{where}: NUL bytes, so this is no text (or UTF-16 without its mark: save it as UTF-8)")
    tried = [encoding] if encoding else ["utf-8", *([declared] if declared else [])]
    text = next((text for name in tried if (text := _decoded(data, name)) is not None), None)
    if text is None and encoding:
        raise InputError(f"{where}: begins as {encoding} but is not; save it as UTF-8")
    text = _guessed(data, where) if text is None else text
    if len(_CONTROL.findall(text)) > len(text) / 1000 or "\0" in text:
        raise InputError(f"{where}: control characters, so this is no text but a binary file")
    return text


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeError, LookupError):
        return None


def _lined(text: str) -> str:
    """Return a text with every kind of line end as \\n."""
    return _NEWLINE.sub("\n", text)


def _guessed(data: bytes, where: str) -> str:
    """Return the text in the old encoding that fits best, if one fits well; raise InputError otherwise."""
    found = [match for match in from_bytes(data, cp_isolation=_LEGACY) if match.chaos < 0.1 and match.coherence > 0]
    best = max((match.coherence for match in found), default=0)
    likely = [match for match in found if match.coherence > best - 0.15]
    if not likely:
        raise InputError(f"{where}: neither UTF-8 nor clearly another encoding; save it as UTF-8")
    # A wrong sister encoding shows as signs within words; between equals the commonest wins.
    signs = {match.encoding: len(_SIGN_IN_WORD.findall(str(match)[:200_000])) for match in likely}
    return str(min(likely, key=lambda match: (signs[match.encoding], _LEGACY.index(match.encoding))))


# ---- plain text and Markdown ----

_NUMBER = (
    r"(?:[ivxlcdm]+|\d{1,3}|(?:the )?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last)"
    r"|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|(?:twenty|thirty|forty|fifty)(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?)"
)
_LABEL = re.compile(rf"(?:chapter|book|part|volume|vol\.|stave|canto|letter|act|section)\s+{_NUMBER}\b", re.IGNORECASE)
_LONE = re.compile(
    r"(?:[IVXL]{1,8}|(?i:prologue|epilogue|preface|foreword|afterword|introduction|conclusion|postscript))\.?"
)
_FENCE = re.compile(r"\s{0,3}(```|~~~)")
_MAX_HEADING = 80  # characters


class Line(NamedTuple):
    """A line of a text: its offset, and itself without surrounding space."""

    start: int
    text: str


def _lines(text: str) -> Iterator[Line]:
    at = 0
    for line in text.split("\n"):
        yield Line(at, line.strip())
        at += len(line) + 1


def _read_plain(data: bytes, where: str, _: int) -> Text:
    text = _lined(_decode(data, where))
    return Text(text, tuple(_chapter_lines(text)))


def _chapter_lines(text: str) -> Iterator[int]:
    """Yield the offsets of lines like "CHAPTER IV" or "Epilogue" that stand apart from what is before them."""
    before = ""
    lines = list(_lines(text))
    for number, (start, line) in enumerate(lines):
        if line and not before and len(line) <= _MAX_HEADING and start:
            label = _LABEL.match(line)
            after = lines[number + 1].text if number + 1 < len(lines) else ""
            bare = label is not None and not line[label.end() :].strip(" .:—-")
            if bare or ((label or _LONE.fullmatch(line)) and not after):
                yield start
        before = line


def _read_markdown(data: bytes, where: str, _: int) -> Text:
    text = _lined(_decode(data, where))
    breaks, title, fenced, before = [], "", False, Line(0, "")
    for line in _lines(text):
        fenced ^= _FENCE.match(line.text) is not None
        underlined = before.text and len(set(line.text)) == 1 and line.text[:1] in "=-" and len(line.text) > 2
        heading = line if re.match(r"#{1,3}\s+\S", line.text) else before if underlined else None
        if heading and not fenced:
            title = title or (heading.text[2:].strip(" #") if heading.text.startswith("# ") else "")
            if heading.start:
                breaks.append(heading.start)
        before = line
    return Text(text, tuple(breaks), title)


# ---- HTML and EPUB ----

_HEADINGS = frozenset(("h1", "h2", "h3"))
_BLOCKS = _HEADINGS | frozenset(
    re.findall(
        r"\w+",
        "address article aside blockquote body caption center dd div dl dt fieldset figcaption figure footer form h4 h5"
        " h6 header hr li main ol p pre section table tbody td tfoot th thead tr ul",
    )
)
_DROPPED = frozenset(
    re.findall(r"\w+", "script style template noscript head nav svg math iframe object select textarea")
)
_CHARSET = re.compile(
    rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*(NAME)|<\?xml[^>]{0,200}encoding=["'](NAME)""".replace(
        b"NAME", rb"(?:iso|windows|cp|koi8|mac|shift|euc|gb|big5)[\w.:-]{0,20}"
    ),
    re.IGNORECASE,
)


class _HtmlText(HTMLParser):
    """Collects a page's text, blocks apart by blank lines, and where its headings begin."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.blocks: list[tuple[bool, str]] = []  # whether a heading, and the text
        self._words: list[str] = []
        self._dropped: list[str] = []
        self._in_title = self._in_pre = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "title":
            self._in_title = not self.title
        elif tag in _DROPPED:
            self._dropped.append(tag)
        elif tag == "body":
            self._dropped.clear()  # whatever the head left open
        elif tag == "br":
            self._words.append("\n")
        if tag in _BLOCKS:
            self.end_block()
            self._in_pre = tag == "pre"

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        if tag not in _DROPPED and tag != "title":
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag in self._dropped:
            del self._dropped[self._dropped.index(tag) :]
        elif tag in _BLOCKS:
            self.end_block(heading=tag in _HEADINGS)
            self._in_pre = False

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title = " ".join(data.split())
        elif not self._dropped:
            self._words.append(data if self._in_pre else re.sub(r"\s+", " ", data))

    def end_block(self, heading: bool = False) -> None:
        lines = "".join(self._words).split("\n")
        text = "\n".join(line.rstrip() if self._in_pre else line.strip() for line in lines).strip("\n")
        self._words.clear()
        if text.strip():
            self.blocks.append((heading, text))


def _page(data: bytes, where: str) -> _HtmlText:
    declared = _CHARSET.search(data[:2048])
    name = (declared.group(1) or declared.group(2)).decode() if declared else None
    parser = _HtmlText()
    parser.feed(_lined(_decode(data, where, name)))
    parser.close()
    parser.end_block()
    return parser


def _join(blocks: Sequence[tuple[bool, str]]) -> tuple[str, tuple[int, ...]]:
    """Return the blocks joined by blank lines, and the offsets of those marked, the very first left out."""
    at, breaks = 0, []
    for marked, text in blocks:
        if marked and at:
            breaks.append(at)
        at += len(text) + 2
    return "\n\n".join(text for _, text in blocks), tuple(breaks)


def _read_html(data: bytes, where: str, _: int) -> Text:
    page = _page(data, where)
    return Text(*_join(page.blocks), page.title)


_MAX_MEMBERS = 10_000
_MAX_RATIO = 200  # bytes out of one byte in; text packs to a third or so


def _read_epub(data: bytes, where: str, max_bytes: int) -> Text:
    """Read an EPUB's documents in the order of its spine; each begins a chapter."""
    from io import BytesIO

    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            return _read_spine(archive, where, max_bytes)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{where}: not a sound EPUB: {error}") from error


def _read_spine(archive: zipfile.ZipFile, where: str, max_bytes: int) -> Text:
    _check_sizes(archive, where, max_bytes)
    container = _xml(archive, "META-INF/container.xml", where)
    root = next((each.get("full-path", "") for each in container.iter() if _tag(each) == "rootfile"), "")
    package = _xml(archive, root, where)
    title = next((each.text for each in package.iter() if _tag(each) == "title" and each.text), "")
    items = {each.get("id"): each for each in package.iter() if _tag(each) == "item"}
    locked = _locked(archive, where)
    blocks: list[tuple[bool, str]] = []
    for reference in (each for each in package.iter() if _tag(each) == "itemref"):
        item = items.get(reference.get("idref"))
        if item is None or reference.get("linear") == "no" or "nav" in item.get("properties", "").split():
            continue
        name = posixpath.normpath(posixpath.join(posixpath.dirname(root), unquote(item.get("href", "").split("#")[0])))
        if name in locked:
            raise InputError(f"{where}: the book is copy-protected; only a free copy can be read")
        first, *rest = _page(_member(archive, name, where), f"{where}/{name}").blocks or [(False, "")]
        blocks += [(True, first[1]), *rest] if first[1] else []
    if not blocks:
        raise InputError(f"{where}: the EPUB names no documents with text")
    return Text(*_join(blocks), " ".join((title or "").split()))


def _check_sizes(archive: zipfile.ZipFile, where: str, max_bytes: int) -> None:
    members = archive.infolist()
    if len(members) > _MAX_MEMBERS:
        raise LimitError(f"{where}: the EPUB holds {len(members):,} files, more than {_MAX_MEMBERS:,}")
    if (size := sum(member.file_size for member in members)) > max_bytes:
        raise LimitError(f"{where}: unpacks to {size:,} bytes; raise max_bytes, which is {max_bytes:,}, to read it")
    for member in members:
        if member.file_size > 1_000_000 and member.file_size > _MAX_RATIO * max(1, member.compress_size):
            raise InputError(f"{where}: {member.filename} is packed {_MAX_RATIO} times or more, as no book is")


def _member(archive: zipfile.ZipFile, name: str, where: str) -> bytes:
    try:
        return archive.read(name)
    except KeyError:
        raise InputError(f"{where}: the EPUB lacks the file {name!r}, which it names") from None


def _xml(archive: zipfile.ZipFile, name: str, where: str) -> Element:
    data = _member(archive, name, where)
    try:
        found: Element = fromstring(data)
    except (ParseError, ValueError, LookupError) as error:  # defusedxml's refusals are ValueErrors
        raise InputError(f"{where}: {name} is not plain, well-formed XML: {error}") from error
    return found


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _locked(archive: zipfile.ZipFile, where: str) -> frozenset[str]:
    name = "META-INF/encryption.xml"
    if name not in archive.namelist():
        return frozenset()
    references = (each for each in _xml(archive, name, where).iter() if _tag(each) == "CipherReference")
    return frozenset(unquote(each.get("URI", "")) for each in references)


# ---- chapters as JSON lines ----


def _read_json_lines(data: bytes, where: str, max_bytes: int) -> Text:
    """Read one chapter a line: `paragraphs`, and if known `book`, `order`, `part` and `chapter`."""
    rows = [_row(line, f"{where}, line {number}") for number, line in _json_lines(data, where, max_bytes)]
    if len(books := {row.get("book") for row in rows}) > 1:
        raise InputError(f"{where}: chapters of {len(books)} books in one file; give each book a file")
    if all(type(row.get("order")) is int for row in rows):
        rows.sort(key=lambda row: row["order"])
    blocks: list[tuple[bool, str]] = []
    part = None
    for row in rows:
        headings = [row.get("part") if row.get("part") != part else None, row.get("chapter")]
        part = row.get("part")
        texts = [_clean(each) for each in [*headings, *row["paragraphs"]] if isinstance(each, str)]
        blocks += [(number == 0, text) for number, text in enumerate(filter(None, texts))]
    return Text(*_join(blocks), str(next(iter(books), None) or ""))


def _json_lines(data: bytes, where: str, max_bytes: int) -> Iterator[tuple[int, str]]:
    if data.startswith(b"\x1f\x8b"):
        data = _unpacked(data, where, max_bytes)
    for number, line in enumerate(_decode(data, where).split("\n"), start=1):
        if line.strip():
            yield number, line


def _unpacked(data: bytes, where: str, max_bytes: int) -> bytes:
    from io import BytesIO

    try:
        with gzip.open(BytesIO(data)) as file:
            unpacked = file.read(max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{where}: not a sound gzip file: {error}") from error
    if len(unpacked) > max_bytes:
        raise LimitError(f"{where}: unpacks to more than max_bytes = {max_bytes:,}; raise it to read the file")
    return unpacked


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON") from error
    paragraphs = row.get("paragraphs") if isinstance(row, dict) else None
    if not isinstance(paragraphs, list) or not all(isinstance(each, str) for each in paragraphs):
        raise InputError(f"{where}: a chapter is an object with a list of texts under `paragraphs`")
    return dict(row)


def _clean(text: str) -> str:
    """Return a text without what JSON lets through and files do not: lone surrogates, odd newlines, NUL."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _lined(whole).replace("\0", "").strip()


# ---- what is not the book ----

_START = re.compile(r"^[ \t]*\*{3}\s*START OF\b[^\n]*(?:\n[^\n*]+)?\*{3}[^\n]*$", re.MULTILINE | re.IGNORECASE)
_END = re.compile(
    r"^[ \t]*(?:\*{3}\s*END OF\b[^\n]*|End of (?:the )?Project Gutenberg[^\n]*)$", re.MULTILINE | re.IGNORECASE
)
_CONTENTS = re.compile(r"^[#*_ \t]*(?:table of )?contents[.:*_ \t]*$", re.MULTILINE | re.IGNORECASE)
_ENTRY = re.compile(rf"(?:[-*+]\s+)?(?:{_NUMBER}[.:)\s—-]|{_LABEL.pattern})|.*(?:\.\s?\.|\s|\t)\s*\d+$", re.IGNORECASE)
_KEY = re.compile(rf"{_LABEL.pattern}|{_NUMBER}(?=[.:)\s—-]|$)", re.IGNORECASE)


def _skipped(text: str) -> Iterator[Span]:
    """Yield what stands before a library's start mark and after its end mark, and a table of contents."""
    start = next((match.end() for match in _START.finditer(text, 0, len(text) // 2 + 2000)), 0)
    end = next((match.start() for match in _END.finditer(text, max(start, len(text) // 2 - 2000))), len(text))
    if start:
        yield Span(0, start)
    if contents := _contents(text, start, start + max(20_000, (end - start) // 10), end):
        yield contents
    if end < len(text):
        yield Span(end, len(text))


def _contents(text: str, start: int, latest: int, end: int) -> Span | None:
    """Return the table of contents that begins before `latest`: a heading, then at least three entries.

    It ends at the first line that is no entry, or that repeats an entry's number: the first chapter.
    """
    heading = _CONTENTS.search(text, start, min(latest, end))
    if heading is None:
        return None
    seen: set[str] = set()
    entries, last = 0, heading.end()
    for at, line in _lines(text[heading.end() : end]):
        if not line:
            continue
        key = _KEY.match(line)
        name = (key.group() if key else line).casefold()
        if (
            len(line) > _MAX_HEADING + 20
            or name in seen
            or not (_ENTRY.match(line) or _LONE.fullmatch(line) or line.isupper())
        ):
            break
        seen.add(name)
        entries, last = entries + 1, heading.end() + at + len(line)
    return Span(heading.start(), last) if entries >= 3 else None
