"""Books in plain text, with the marks of the library Aozora Bunko read where they stand.

An example: `CHAPTER I`, a blank line, and paragraphs between blank lines.
"""

import re

from tasks.books.encodings import decode
from tasks.books.text import Text, lined, replaced, several

_AOZORA = re.compile(r"【テキスト中に現れる記号について】|^底本[：:]", re.MULTILINE)
_AOZORA_KEY = re.compile(
    r"^-{20,}\n(?:.*\n){0,40}?【テキスト中に現れる記号について】\n(?:.*\n){0,60}?-{20,}\n", re.MULTILINE
)
_READING = re.compile(r"《[^》\n]{1,40}》|｜")
_EDITORS = re.compile(r"※?［＃[^］\n]{1,200}］")
_FOOTNOTE = re.compile(r"\s*\[(?:Footnote|Fußnote|Note)\s+(?P<label>\w{1,4}|[*†‡§]+)\s*:(?:[^\[\]]|\[[^\[\]]*\])*\]")

_ILLUSTRATION = re.compile(r"\[(?:Illustration|Abbildung|Illustrazione|Ilustración)(?::[^\[\]]*)?\]", re.IGNORECASE)
_NOTE_MARK = re.compile(r"(?<=[^\s\[])\[(?P<label>\d{1,3})\]")
_LISTED_NOTE = re.compile(r"^[ \t]*\[(?P<label>\d{1,3})\][ \t]+(?:[^\n]+(?:\n|\Z))+", re.MULTILINE)


def read_plain(data: bytes, where: str, _: int) -> Text:
    decoded = decode(data, where)
    book = Text(lined(decoded.text)).noted(*decoded.notes)
    if _AOZORA.search(book.text):
        book = _without_aozora_marks(book)
    return _without_illustrations(_without_listed_notes(_without_footnotes(book)))


def _without_illustrations(book: Text) -> Text:
    """Return a book without the marks that say where its pictures were, with what stood below them."""
    pictures = len(_ILLUSTRATION.findall(book.text))
    if not pictures:
        return book
    return replaced(book, _ILLUSTRATION, lambda match: "").noted(f"left out: {several(pictures, 'picture')}")


def _without_listed_notes(book: Text) -> Text:
    """Return a book without paragraphs that begin with a number in brackets, and the marks that lead to them."""
    first = {match["label"]: match.start() for match in reversed(list(_NOTE_MARK.finditer(book.text)))}
    notes = [
        match for match in _LISTED_NOTE.finditer(book.text) if first.get(match["label"], len(book.text)) < match.start()
    ]
    if not notes:
        return book
    known = {match["label"] for match in notes}
    words = sum(len(match.group().split()) for match in notes)
    starts = {match.start() for match in notes}
    book = replaced(book, _LISTED_NOTE, lambda match: "" if match.start() in starts else None)
    book = replaced(book, _NOTE_MARK, lambda match: "" if match["label"] in known else None)
    return book.noted(f"left out: {several(len(notes), 'note')} ({several(words, 'word')}) and their marks")


def _without_aozora_marks(book: Text) -> Text:
    book = replaced(book, _AOZORA_KEY, lambda match: "")
    readings = sum(match[0].startswith("《") for match in _READING.finditer(book.text))
    editors = len(_EDITORS.findall(book.text))
    for pattern in (_READING, _EDITORS):
        book = replaced(book, pattern, lambda match: "")
    if not readings + editors:
        return book
    return book.noted(f"left out: {several(readings, 'ruby reading')} and {several(editors, 'mark')} of the library's")


def _without_footnotes(book: Text) -> Text:
    """Return a book without footnotes in brackets and the marks that refer to them."""
    labels = [match["label"] for match in _FOOTNOTE.finditer(book.text)]
    if not labels:
        return book
    marks = re.compile(rf"\[(?:{'|'.join(map(re.escape, dict.fromkeys(labels)))})\]")
    words = sum(len(match.group().split()) for match in _FOOTNOTE.finditer(book.text))
    book = replaced(replaced(book, _FOOTNOTE, lambda match: ""), marks, lambda match: "")
    return book.noted(f"left out: {several(len(labels), 'footnote')} ({several(words, 'word')}) and their marks")
