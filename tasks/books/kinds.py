"""What a file is by its first bytes, and what to do with those that are no book in a form that is read here."""

import re
import zipfile
from io import BytesIO

from rrm.core.errors import InputError

_EXTRACT = (
    "extract its text first (`pdftotext book.pdf book.txt`; a scanned one needs OCR, such as `ocrmypdf`), look it"
    " through, and name the .txt file"
)
_CONVERT = "convert it to EPUB first, such as with Calibre's `ebook-convert`"
_SAVE = "save it as plain text (UTF-8), HTML or EPUB"
_SCAN = "pages as pictures hold no text: run OCR on them first"

_BEGINNINGS = (
    (rb"%PDF-", "a PDF", _EXTRACT),
    (rb"\{\\rtf", "rich text (RTF)", _SAVE),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Word document", _SAVE),
    (rb".{60}(?:BOOKMOBI|TEXtREAd)", "a Kindle or Mobipocket book", _CONVERT),
    (rb"TPZ|\xeaDRMION", "a Kindle book", _CONVERT),
    (rb"ITOLITLS", "a Microsoft Reader book", _CONVERT),
    (rb"ITSF", "a compiled help file (CHM)", _CONVERT),
    (rb"L\0R\0F\0", "a Sony book (LRF)", _CONVERT),
    (rb"AT&TFORM", "a DjVu file", "extract its text first (`djvutxt book.djvu book.txt`; one without text needs OCR)"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|II\*\0|MM\0\*|BM.{4}\0{4}|RIFF.{4}WEBP", "a picture", _SCAN),
    (
        rb"\s*(?:%[^\n]*\n\s*)*\\documentclass\b",
        "a LaTeX document",
        "make plain text of it first (`pandoc -t plain`)",
    ),
    (
        rb"(?:\xef\xbb\xbf)?\s*(?:WEBVTT\b|\d+\s*\n\d\d:\d\d:\d\d[,.]\d{3} -->)",
        "a file of subtitles",
        "save its words alone as plain text",
    ),
    (rb"Rar!|7z\xbc\xaf", "a packed archive", "unpack it, and name the book in it"),
    (rb"\s*<\?xml[^>]*\?>\s*(?:<!--.*?-->\s*)*<FictionBook", "a FictionBook (FB2)", _CONVERT),
    (rb"\s*<\?xml[^>]*\?>\s*(?:<[?!][^>]*>\s*)*<(?:TEI|TEI\.2|teiCorpus)\b", "a TEI document", _SAVE),
)
_KINDS = tuple((re.compile(start, re.DOTALL), what, remedy) for start, what, remedy in _BEGINNINGS)
_IN_ARCHIVE = (
    ("word/document.xml", "a Word document", _SAVE),
    ("content.xml", "an OpenDocument text", _SAVE),
    ("ppt/presentation.xml", "a slide show", _SAVE),
)
_PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".jp2")
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*(?:<!doctype\s+html|<html[\s>])", re.I | re.S
)
_PIECE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)*<(p|div|h[1-6]|body|head|title|center|article|section|main|blockquote|table|ul"
    rb"|ol)(?:\s[^<>]{0,300})?>",
    re.I | re.S,
)
_JSON = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\[\s*)?\{\s*"[^"\n]{1,60}"\s*:')
_PICTURE = re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8|II\*\0|MM\0\*|RIFF....WEBP|BM....\0\0\0\0", re.DOTALL)


def refuse_other_kinds(data: bytes, where: str) -> None:
    """Raise InputError, with what to do, for bytes that begin as a file of another kind does, whatever its name."""
    for start, what, remedy in _KINDS:
        if start.match(data[:4000]):
            raise InputError(f"{where}: this is {what}; {remedy}")
    if data.startswith(b"PK\3\4"):
        _refuse_archives(data, where)


def is_json(data: bytes) -> bool:
    return _JSON.match(data[:4000]) is not None


def is_html(data: bytes) -> bool:
    """Say whether bytes begin as a page does, or as a piece of one whose first element is closed."""
    if _HTML.match(data[:4000]) is not None:
        return True
    piece = _PIECE.match(data[:4000])
    return piece is not None and re.search(rb"</" + piece[1] + rb"\s*>", data, re.IGNORECASE) is not None


def is_picture(data: bytes) -> bool:
    return _PICTURE.match(data) is not None


def is_archive(data: bytes) -> bool:
    return data.startswith(b"PK\3\4")


def _refuse_archives(data: bytes, where: str) -> None:
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return  # its reader says what is wrong with it
    if any(name.lower().endswith(".opf") or name.lower() == "meta-inf/container.xml" for name in names):
        return
    for name, what, remedy in _IN_ARCHIVE:
        if name in names:
            raise InputError(f"{where}: this is {what}; {remedy}")
    files = [name for name in names if not name.endswith("/")]
    if files and sum(name.lower().endswith(_PICTURES) for name in files) >= 0.8 * len(files):
        raise InputError(f"{where}: this is a comic book or a scan, an archive of pictures; {_SCAN}")
    if not where.lower().endswith(".epub"):
        raise InputError(f"{where}: this is a packed archive; unpack it, and name the book in it")
