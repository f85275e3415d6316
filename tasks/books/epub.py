"""Books in EPUB: the documents of the spine, each of which begins a chapter.

An example: a zip file whose `META-INF/container.xml` names a package, which lists documents of XHTML and their order.
"""

import posixpath
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from unicodedata import normalize
from urllib.parse import unquote
from xml.etree.ElementTree import Element as XmlElement
from xml.etree.ElementTree import ParseError

from defusedxml.ElementTree import fromstring

from rrm.core.errors import InputError, LimitError
from tasks.books.encodings import decode, guess_note
from tasks.books.kinds import is_html, is_picture
from tasks.books.page import LeftOut, Page
from tasks.books.styles import Styles, styles_of
from tasks.books.text import Block, Text, joined, lined, several
from tasks.books.tree import HEADINGS, Element, linked_sheets, parsed, style_sheets

_MAX_MEMBERS = 10_000
_MAX_RATIO = 200  # bytes out of one byte in; text packs to a third or so
_MOST_FALLBACKS = 10

_PAGES = re.compile(r"application/(?:xhtml\+xml|x-dtbook\+xml|xml)|text/(?:html|x-oeb1-document|xml)", re.IGNORECASE)
_PICTURES = re.compile(
    r"(?:image|audio|video|font)/|application/(?:pdf|javascript|font|vnd\.ms-opentype)", re.IGNORECASE
)
_GUIDED = {"toc": "contents", "notes": "note", "copyright-page": "edition", "colophon": "edition"}
_FONT_CIPHERS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_LOCKS = {
    "META-INF/license.lcpl": "Readium LCP",
    "META-INF/sinf.xml": "Apple FairPlay",
    "META-INF/rights.xml": "Adobe's DRM",
}


def read_epub(data: bytes, where: str, max_bytes: int) -> Text:
    """Read an EPUB's documents in the order of its spine; each begins a chapter."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            if any(member.flag_bits & 1 for member in archive.infolist()):
                raise InputError(f"{where}: the archive is locked with a password; only an open copy can be read")
            return _Spine(_Archive(archive, where, max_bytes)).read()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: not a sound EPUB: {error}") from error


class _Archive:
    """An EPUB's files, found under the names that its package gives them, however those are spelt."""

    def __init__(self, archive: zipfile.ZipFile, where: str, max_bytes: int) -> None:
        self._zip, self.where = archive, where
        self._check_sizes(max_bytes)
        self._spelt: dict[str, str] = {}
        self._asked: dict[tuple[str, str], str | None] = {}
        for member in archive.infolist():
            for name in _spellings(member):
                self._spelt.setdefault(name, member.filename)

    def _check_sizes(self, max_bytes: int) -> None:
        members = self._zip.infolist()
        if len(members) > _MAX_MEMBERS:
            raise LimitError(f"{self.where}: the EPUB holds {len(members):,} files, more than {_MAX_MEMBERS:,}")
        if (size := sum(member.file_size for member in members)) > max_bytes:
            raise LimitError(
                f"{self.where}: unpacks to {size:,} bytes; raise max_bytes, which is {max_bytes:,}, to read it"
            )
        for member in members:
            if member.file_size > 1_000_000 and member.file_size > _MAX_RATIO * max(1, member.compress_size):
                raise InputError(f"{self.where}: {member.filename} is packed {_MAX_RATIO} times or more, as no book is")

    def find(self, reference: str, base: str = "") -> str | None:
        """Return the file that a reference names from within the folder `base`, None if there is none.

        Exact names come first, then the reference without query, then other spellings of both:
        percent-encoding, case, back-slashes, ways to write an accent.
        """
        plain = reference.partition("#")[0]
        return self._named(plain, base) or (self._named(reference, base) if plain != reference else None)

    def _named(self, name: str, base: str) -> str | None:
        if (name, base) not in self._asked:
            asked = dict.fromkeys((name, name.partition("?")[0]))
            exact = (_path(base, spelt) for each in asked for spelt in (unquote(each), each))
            other = (_canonical(_path(folder, each)) for each in asked for folder in (base, ""))
            found = next((path for path in exact if path in self._names), None)
            found = found or next((self._spelt[path] for path in other if path in self._spelt), None)
            self._asked[name, base] = found if name else None
        return self._asked[name, base]

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self._zip.namelist())

    def file(self, reference: str, base: str = "") -> str:
        if (name := self.find(reference, base)) is None:
            raise InputError(f"{self.where}: the EPUB lacks the file {reference!r}, which it names")
        return name

    def read(self, name: str) -> bytes:
        return self._zip.read(name)

    def xml(self, name: str) -> XmlElement:
        try:
            found: XmlElement = fromstring(self.read(name))
        except (ParseError, ValueError, LookupError) as error:  # defusedxml's refusals are ValueErrors
            raise InputError(f"{self.where}: {name} is not plain, well-formed XML: {error}") from error
        return found

    def package(self) -> str:
        """Return the name of the package: the container's first, or the only one there is."""
        container = self.find("META-INF/container.xml")
        if container is not None:
            named = (each.get("full-path", "") for each in self.xml(container).iter() if _tag(each) == "rootfile")
            if (root := next(named, None)) is not None:
                return self.file(root)
        packages = [name for name in self._names if name.lower().endswith(".opf")]
        if len(packages) == 1:
            return packages[0]
        return self.file("META-INF/container.xml")

    @cached_property
    def locked(self) -> frozenset[str]:
        """The files that are encrypted, fonts that are only obfuscated left out."""
        name = self.find("META-INF/encryption.xml")
        if name is None:
            return frozenset()
        found = set()
        for data in (each for each in self.xml(name).iter() if _tag(each) == "EncryptedData"):
            ciphers = [each.get("Algorithm", "") for each in data.iter() if _tag(each) == "EncryptionMethod"]
            if ciphers and all(cipher in _FONT_CIPHERS for cipher in ciphers[:1]):
                continue
            uris = [each.get("URI", "") for each in data.iter() if _tag(each) == "CipherReference"]
            found |= {member for uri in uris if (member := self.find(uri)) is not None}
        return frozenset(found)

    def lock(self) -> str:
        """Return who locked the book, in brackets, where it says so."""
        return next((f" ({name})" for file, name in _LOCKS.items() if self.find(file)), "")


def _spellings(member: zipfile.ZipInfo) -> Iterator[str]:
    yield _canonical(member.filename)
    if not member.flag_bits & 0x800:  # a name in UTF-8 without the flag that says so was read as cp437
        try:
            yield _canonical(member.filename.encode("cp437").decode("utf-8"))
        except UnicodeError:
            return


def _canonical(name: str) -> str:
    """Return what all spellings of a name have in common."""
    path = posixpath.normpath(unquote(name).replace("\\", "/")).lstrip("/")
    return normalize("NFC", normalize("NFC", path).casefold())


def _path(base: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(base, name)).lstrip("/")


@dataclass
class _Found:
    """What became of the spine's entries."""

    documents: int = 0
    without_text: int = 0
    pictures: int = 0
    aside: int = 0
    lost: int = 0
    again: int = 0
    guessed: Counter[str] = field(default_factory=Counter)
    blocks: list[Block] = field(default_factory=list)


class _Spine:
    """The reading order of a package."""

    def __init__(self, archive: _Archive) -> None:
        self._archive, self._where = archive, archive.where
        self._root = archive.package()
        self._base = posixpath.dirname(self._root)
        self._package = archive.xml(self._root)
        self._items = {each.get("id", ""): each for each in self._package.iter() if _tag(each) == "item"}
        self._left_out = LeftOut()
        self._sheets: dict[str, Styles] = {}
        self._found = _Found()

    def read(self) -> Text:
        entries = [each for each in self._package.iter() if _tag(each) == "itemref"]
        linear = [each for each in entries if each.get("linear") != "no"] or entries
        self._found.aside = len(entries) - len(linear)
        read: set[str] = set()
        for entry in linear:
            item = self._items.get(entry.get("idref", ""))
            href = "" if item is None else item.get("href", "").partition("#")[0]
            if item is None:
                self._found.lost += 1
            elif href and href in read:
                self._found.again += 1
            elif "nav" not in item.get("properties", "").split():
                read.add(href)
                self._add(item)
        self._check()
        title = next((each.text for each in self._package.iter() if _tag(each) == "title" and each.text), "")
        book = Text(*joined(self._found.blocks), " ".join((title or "").split()))
        return book.noted(*self._notes())

    def _add(self, item: XmlElement) -> None:
        found = self._found
        found.documents += 1
        pictures = False
        for choice in self._choices(item):
            blocks, shows = self._document(choice)
            pictures |= shows
            if blocks is None:  # left out on purpose, and counted as that
                return
            if blocks:
                found.blocks += [Block(True, blocks[0].text), *blocks[1:]]
                return
        found.without_text += 1
        found.pictures += pictures

    def _choices(self, item: XmlElement) -> Sequence[XmlElement]:
        """Return an item and its fallbacks, pages of text before drawings and pictures."""
        chain: list[XmlElement] = []
        at: XmlElement | None = item
        while at is not None and at not in chain and len(chain) < _MOST_FALLBACKS:
            chain.append(at)
            at = self._items.get(at.get("fallback", ""))
        return sorted(chain, key=lambda each: not _PAGES.match(each.get("media-type", "")))

    def _document(self, item: XmlElement) -> tuple[Sequence[Block] | None, bool]:
        """Return an item's blocks and whether it shows pictures; None for one that is left out on purpose."""
        href, media = item.get("href", ""), item.get("media-type", "")
        if re.match(r"[a-z][a-z0-9+.-]+://", href, re.IGNORECASE):
            return (), False
        if _PICTURES.match(media) and not media.lower().startswith("image/svg"):
            return (), media.lower().startswith(("image", "application/pdf"))
        name = self._archive.file(href, self._base)
        if name in self._archive.locked:
            raise InputError(
                f"{self._where}: the book is copy-protected{self._archive.lock()}; only a free copy can be read"
            )
        data = self._archive.read(name)
        if is_picture(data) or data.startswith(b"%PDF-"):
            return (), True
        if not data.strip():
            return (), False
        if media.lower() == "text/plain" and not is_html(data):
            text, guessed = decode(data, f"{self._where}/{name}")
            self._found.guessed[guessed] += 1
            text = lined(text)
            return [Block(False, each.strip()) for each in re.split(r"\n\s*\n", text) if each.strip()], False
        root = parsed(data, f"{self._where}/{name}")
        self._found.guessed[root.attributes.get("encoding", "")] += 1
        base = posixpath.dirname(name)
        if (guided := self._guide.get(name)) is not None:
            self._left_out.add(guided, root.text)
            return None, False
        if self._is_contents(root, name, base):
            self._left_out.add("contents", root.text)
            return None, False
        before, notes = self._left_out.times.total(), self._left_out.times["note"]
        page = Page(root, self._left_out, self._styles(root, base))
        if not page.blocks and self._left_out.times.total() > before:
            return None, False
        if self._left_out.times["note"] > notes and all(block.begins for block in page.blocks):
            return None, False  # "Notes", and no more than notes below it
        return page.blocks, page.pictures > 0

    @cached_property
    def _guide(self) -> dict[str, str]:
        """What the package's guide says of documents that are no part of the text."""
        references = (each for each in self._package.iter() if _tag(each) == "reference")
        named = ((self._archive.find(each.get("href", ""), self._base), each.get("type", "")) for each in references)
        starts = self._text_starts
        return {name: _GUIDED[type_] for name, type_ in named if name and type_ in _GUIDED and name not in starts}

    @cached_property
    def _text_starts(self) -> frozenset[str | None]:
        references = (each for each in self._package.iter() if _tag(each) == "reference")
        return frozenset(
            self._archive.find(each.get("href", ""), self._base)
            for each in references
            if each.get("type", "") in ("text", "start", "bodymatter")
        )

    def _is_contents(self, root: Element, name: str, base: str) -> bool:
        """Say whether a document is a list of links to the others."""
        links = [each for each in root.elements() if each.tag == "a" and each.attributes.get("href")]
        if len(links) < 3:
            return False
        body = next((each for each in root.elements() if each.tag == "body"), root)
        targets = {self._archive.find(each.attributes["href"], base) for each in links}
        others = targets & self._documents - {name}
        linked = sum(len(each.text) for each in links)
        headed = sum(len(each.text) for each in body.elements() if each.tag in HEADINGS)
        return len(others) >= 3 and linked >= 0.6 * (len(body.text) - headed)

    @cached_property
    def _documents(self) -> frozenset[str | None]:
        return frozenset(self._archive.find(item.get("href", ""), self._base) for item in self._items.values())

    def _styles(self, root: Element, base: str) -> Styles:
        styles = styles_of("\n".join(style_sheets(root)))
        for href in linked_sheets(root):
            name = self._archive.find(href, base)
            if name is None or name in self._archive.locked:
                continue
            if name not in self._sheets:
                self._sheets[name] = styles_of(self._archive.read(name).decode("utf-8", "replace"))
            styles = styles.and_also(self._sheets[name])
        return styles

    # ---- what is said of it ----

    def _check(self) -> None:
        found = self._found
        if found.pictures and self._is_scan():
            raise InputError(
                f"{self._where}: a scanned or picture book: {found.pictures} of"
                f" {several(found.documents, 'document')} hold pictures and no text; run OCR on it first"
            )
        if not found.blocks:
            raise InputError(f"{self._where}: the EPUB names no documents with text")

    def _is_scan(self) -> bool:
        """Say whether pictures are the book: all of it, or nearly all with hardly a word beside them."""
        found = self._found
        words = sum(len(block.text.split()) for block in found.blocks)
        many = found.pictures >= 3 and found.pictures >= 0.8 * found.documents
        return not found.blocks or (many and words < 100)

    def _notes(self) -> Iterator[str]:
        found = self._found
        if found.without_text:
            said = "holds no text and was" if found.without_text == 1 else "hold no text and were"
            yield f"{found.without_text:,} of {several(found.documents, 'document')} {said} skipped"
        if found.aside:
            yield f"{several(found.aside, 'document')} beside the reading order skipped"
        if found.again:
            yield f"{several(found.again, 'entry', 'entries')} of the reading order that name a document again skipped"
        if found.lost:
            yield f"{several(found.lost, 'entry', 'entries')} of the reading order that name no document skipped"
        yield from (guess_note(name, several(n, "document")) for name, n in found.guessed.items() if name)
        yield from self._left_out.notes()


def _tag(element: XmlElement) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
