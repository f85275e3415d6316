"""Books in Markdown: headings of the first three ranks begin chapters.

An example: `# The Mill`, a blank line, `## The donkey`, a blank line, and paragraphs.
"""

import re

from tasks.books.encodings import decode
from tasks.books.text import Line, Text, lined, lines, replaced, several

_FENCE = re.compile(r"\s{0,3}(```|~~~)")


_FRONT = re.compile(r"\s*---[ \t]*\n(?P<fields>(?:[^\n]*\n){1,60}?)(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
_TITLE = re.compile(r"^title:[ \t]*[\"']?(?P<title>[^\n]*?)[\"']?[ \t]*$", re.MULTILINE | re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_PICTURE = re.compile(r"!\[[^\]\n]*\]\([^)\n]*\)")
_LINK = re.compile(r"(?<!!)\[([^\]\n]+)\]\([^)\s]*(?:[ ]+\"[^\"\n]*\")?\)")
_NOTE = re.compile(r"^\[\^[^\]\n]+\]:[^\n]*(?:\n(?!\n|\[\^)[^\n]*|\n+(?:[ ]{4}|\t)[^\n]*)*\n?", re.MULTILINE)
_NOTE_MARK = re.compile(r"\[\^[^\]\n]+\]")
_LEFT_OUT = ((_COMMENT, "comment"), (_PICTURE, "picture"), (_NOTE, "note"), (_NOTE_MARK, "note mark"))


def read_markdown(data: bytes, where: str, _: int) -> Text:
    decoded = decode(data, where)
    text = lined(decoded.text)
    front = _FRONT.match(text)
    fields = front["fields"] if front and ":" in front["fields"] else ""
    book = _chapters(text[front.end() :] if front and fields else text)
    named = _TITLE.search(fields)
    book = book._replace(title=named["title"] if named else book.title).noted(*decoded.notes)
    return _without_marks(book, bool(fields))


def _without_marks(book: Text, fields: bool) -> Text:
    """Return a book without what a page made of it does not show, or shows beside the text, and a note on it."""
    said = ["the fields in front"] if fields else []
    for pattern, what in _LEFT_OUT:
        if count := len(pattern.findall(book.text)):
            said.append(several(count, what))
            book = replaced(book, pattern, lambda match: "")
    book = replaced(book, _LINK, lambda match: match[1])
    return book.noted(f"left out: {', '.join(said)}") if said else book


def _chapters(text: str) -> Text:
    """Return a text with its title and the places of its headings."""
    breaks, title, fenced, before = [], "", False, Line(0, "")
    for line in lines(text):
        fenced ^= _FENCE.match(line.text) is not None
        underlined = before.text and len(set(line.text)) == 1 and line.text[:1] in "=-" and len(line.text) > 2
        heading = line if re.match(r"#{1,3}\s+\S", line.text) else before if underlined else None
        if heading and not fenced:
            title = title or (heading.text[2:].strip(" #") if heading.text.startswith("# ") else "")
            if heading.start:
                breaks.append(heading.start)
        before = line
    return Text(text, tuple(breaks), title)
