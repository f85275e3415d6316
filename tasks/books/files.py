"""Books in files: one reader a form, and what all books have in common once they are text."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from rrm.core.errors import InputError, LimitError
from rrm.core.ids import content_id
from rrm.core.task import Source
from rrm.core.text import misread, spaced_words
from rrm.files.folders import Folders
from tasks.books.boilerplate import NOTHING, skipped
from tasks.books.broken_words import with_whole_words
from tasks.books.epub import read_epub
from tasks.books.headings import chapter_lines, lines_like
from tasks.books.html import read_html
from tasks.books.json_lines import read_json_lines
from tasks.books.kinds import is_archive, is_html, is_json, refuse_other_kinds
from tasks.books.markdown import read_markdown
from tasks.books.pages import without_page_marks
from tasks.books.plain import read_plain
from tasks.books.text import Text, several

MAX_BYTES = 50_000_000
MAX_WORDS = 2_000_000
_ENTITY = re.compile(r"&(?:[a-z]{2,8}|#\d{2,5}|#x[\da-f]{2,5});", re.IGNORECASE)
_TAG = re.compile(
    r"</?(?:p|i|b|u|s|em|strong|br|hr|div|span|h[1-6]|a|img|font|center|blockquote|sup|sub|small|big|tt|[uo]l|li|table|tr|td"
    r"|pb|lb|hi|note|page)(?:\s[^<>\n]{0,200})?/?>",
    re.IGNORECASE,
)
_LINE_END = re.compile(r"\\n(?![a-z])")  # not \nabla
_LEAST = 3  # signs of damage that one or two may be by intention
_SHORT = 3000  # characters; a shorter text needs no chapters

Reader = Callable[[bytes, str, int], Text]
"""Given a file's bytes, its name and the most bytes that it may unpack to, returns its text."""

READERS: dict[tuple[str, ...], Reader] = {
    (".txt", ".text"): read_plain,
    (".md", ".markdown"): read_markdown,
    (".html", ".htm", ".xhtml"): read_html,
    (".epub",): read_epub,
    (".jsonl", ".jsonl.gz"): read_json_lines,
}
"""The readers by the ends of the names of their files."""


@dataclass(frozen=True)
class BookFiles:
    """The books in some files, in the order given; `*` and `?` in a file name stand for any characters.

    `chapters` is a regular expression for the beginnings of lines that head a chapter, for books whose
    headings are not found. `folders` are where relative paths are looked up: a run's, or the current one.
    Nobody knows the truth about them, so there is no gold.
    """

    paths: Sequence[str]
    max_bytes: int = MAX_BYTES
    max_words: int = MAX_WORDS
    chapters: str | None = None
    folders: Folders = field(default=Folders(), compare=False, repr=False)

    @cached_property
    def name(self) -> str:
        more = [] if self.chapters is None else [self.chapters]
        return content_id("books", [path.name for path in self._files], self.max_bytes, self.max_words, *more)

    def sources(self) -> list[Source]:
        """Return one source a file; raise InputError if a file cannot be read, or two hold the same text."""
        return list(self._sources)

    @cached_property
    def _files(self) -> tuple[Path, ...]:
        files: list[Path] = []
        for path in [self.paths] if isinstance(self.paths, str) else self.paths:
            found = self.folders.matching(path)
            if not found and any(sign in Path(path).name for sign in "*?"):
                raise InputError(f"{path}: no file has a name like this{self.folders.looked(path)}")
            files.extend(found or [self.folders.find(path)])
        if not files:
            raise InputError("no book was named: give at least one path")
        return tuple(files)

    @cached_property
    def _sources(self) -> tuple[Source, ...]:
        found: dict[str, Path] = {}
        sources = []
        for path in self._files:
            source = read_book(path, self.max_bytes, self.max_words, self.chapters)
            if source.id in found:
                raise InputError(f"{path}: the same text as {found[source.id]}; name each book once")
            found[source.id] = path
            sources.append(source)
        return tuple(sources)


def read_book(
    path: str | Path, max_bytes: int = MAX_BYTES, max_words: int = MAX_WORDS, chapters: str | None = None
) -> Source:
    """Read a book from .txt, .md, .html, .epub, or chapters as .jsonl or .jsonl.gz.

    Chapters give the source's breaks, by the file's structure, else by its lines, or by `chapters`, a regular
    expression for the beginnings of lines that head one. A licence, what is said of the edition and a table of contents
    are its skipped spans, and its `notes` say so. `max_bytes` limits the file and what it unpacks to. Raises
    InputError, in one sentence, for whatever cannot be read as a book, LimitError above a limit.
    """
    path = Path(path).expanduser()
    data = _bytes(path, max_bytes)
    read, notes = _reader(path, data)
    book = read(data, path.name, max_bytes)
    book = book._replace(notes=(*notes, *book.notes))
    if not book.text.strip():
        raise InputError(f"{path.name}: the file holds no text")
    words = sum(1 for _ in re.finditer(r"\S+", book.text))
    if words > max_words:
        raise LimitError(f"{path.name}: {words:,} words; raise max_words, which is {max_words:,}, to read it")
    source = _source(book, path.name, read is not read_json_lines, chapters)
    if not _outside(source).strip():
        raise InputError(f"{path.name}: there is no text between the marks of its preamble and postamble")
    return replace(source, notes=tuple(f"{path.name}: {note}" for note in source.notes))


def _source(book: Text, name: str, whole_file: bool, chapters: str | None) -> Source:
    """Make the source of a book; what is no chapter of a `whole_file` is skipped."""
    book = without_page_marks(book) if whole_file else book
    book = with_whole_words(book)
    text = book.text
    spans, said = skipped(text) if whole_file else NOTHING
    book = book.noted(*said, *_damage(text))
    if chapters is not None:
        found: Sequence[int] = lines_like(text, chapters, name)
    elif book.breaks:
        found = book.breaks
    else:
        found, doubtful = chapter_lines(text)
        if doubtful:
            numbers = several(len(found), "number")
            book = book.noted(f"{numbers} at even distances read as headings of short chapters, not as those of pages")
    breaks = tuple(at for at in found if not any(start < at < end for start, end in spans))
    if not breaks and len(text) > _SHORT:
        book = book.noted("no chapter headings were found, so it is cut by length alone")
    title = book.title or re.sub(r"(\.jsonl)?\.\w+$", "", name)
    return Source(title, text, breaks, spans, book.notes)


def _damage(text: str) -> Iterator[str]:
    """Say what shows that a text was damaged on its way: it is read as it stands."""
    for what, least, found in (
        ("letters that were lost or read in a wrong encoding", 1, misread(text)),
        ("words whose letters stand apart", _LEAST, spaced_words(text)),
        ("characters written as HTML writes them", _LEAST, _ENTITY.findall(text)),
        ("tags as pages have them", _LEAST, _TAG.findall(text)),
        ("line ends written as \\n", _LEAST, _LINE_END.findall(text)),
    ):
        if len(found) >= least:
            yield f"{what}: {len(found):,} (such as {found[0]}), read as they stand"


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


def _reader(path: Path, data: bytes) -> tuple[Reader, tuple[str, ...]]:
    """Return the reader for a file's name, or for what it holds where that is plainly another form, and a note then."""
    refuse_other_kinds(data, path.name)
    read = next((read for endings, read in READERS.items() if path.name.lower().endswith(endings)), None)
    if read is None:
        known = ", ".join(ending for endings in READERS for ending in endings)
        raise InputError(f"{path.name}: no known kind of book; the name must end in one of {known}")
    if read in (read_plain, read_markdown, read_html) and is_archive(data):
        return read_epub, ("it is an EPUB by what it holds, and read as one",)
    if read in (read_plain, read_markdown) and is_json(data):
        raise InputError(
            f"{path.name}: this is JSON; save its words as plain text, or chapters as .jsonl with lists of `paragraphs`"
        )
    if read is read_plain and is_html(data):
        return read_html, ("it is HTML by what it holds, and read as that",)
    return read, ()


def _outside(source: Source) -> str:
    at, pieces = 0, []
    for start, end in source.skipped:
        pieces.append(source.text[at:start])
        at = end
    return "".join([*pieces, source.text[at:]])
