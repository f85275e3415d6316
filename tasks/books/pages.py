"""What a printed page has beside its text: numbers of pages in lines of their own or in brackets, running titles."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from tasks.books.headings import MAX_HEADING, chapter_lines, counted, interrupts
from tasks.books.text import Edit, Line, Text, edited, lines, replaced, several

_BRACKETED = re.compile(
    r"(?P<before>\s?)(?:\[(?:Pg|Page|p\.|S\.|стр\.)\s?[\divxlc]{1,6}\]|\{(?:Pg |p\. ?)?\d{1,4}\})(?P<after>\s?)", re.I
)
_MARKED = re.compile(
    r"[-–—][ ]?(\d{1,4})[ ]?[-–—]|(?:page|pg\.?|p\.|seite|página|стр\.)[ ]?(\d{1,4})(?:[ ](?:of|von|de)[ ]\d{1,4})?"
    r"|(\S.{1,60}?)(?:[ ]+|\t)(\d{1,4})|(\d{1,4})(?:[ ]+|\t)(\S.{1,60})",
    re.IGNORECASE,
)
_WIDE = re.compile(r"\S(?:[ ]{2,}|\t)\S")
_PLACES = ((1, 0), (2, 0), (4, 3), (5, 6))  # where a match has its number and its title
_LEAST = 3  # a mark that stands only once or twice may be part of the text
_BROKEN_OFF = frozenset(",;-‐—")


def without_page_marks(book: Text) -> Text:
    """Return a book without page numbers and running titles; what they interrupt is one paragraph again."""
    found = _BRACKETED.findall(book.text)
    if len(found) >= _LEAST:
        book = replaced(book, _BRACKETED, lambda match: _wider(match["before"], match["after"]))
        book = book.noted(f"{several(len(found), 'page number')} in brackets left out")
    book = _without_marked_pages(book)
    pages = counted(book.text).pages
    if not pages:
        return book
    titles = _running_titles(book.text, pages)
    book = _without_lines(book, frozenset(line.start for line in (*pages, *titles)))
    beside = f" and {several(len(titles), 'running title')}" if titles else ""
    return book.noted(f"{several(len(pages), 'page number')}{beside} in lines of their own left out")


def _without_marked_pages(book: Text) -> Text:
    """Return a book without lines that are a page's number in dashes or words, or beside a running title.

    A title has to be the same at three pages or more, and what heads a chapter is none. Where one space alone parts it
    from the number, the lines have to stand within sentences: "Night 1" may be a heading.
    """
    heads = frozenset(chapter_lines(book.text).starts)
    found: dict[str, list[tuple[int, Line]]] = {}
    for line in lines(book.text):
        short = 0 < len(line.text) <= MAX_HEADING and line.start not in heads
        if short and (marked := _MARKED.fullmatch(line.text)):
            number, title = next((marked[n], marked[t] if t else "") for n, t in _PLACES if marked[n])
            found.setdefault(title.casefold(), []).append((int(number), line))
    gone = [
        line
        for title, pages in found.items()
        if len(pages) >= _LEAST
        and all(one[0] < other[0] for one, other in pairwise(pages))
        and (
            not title
            or all(_WIDE.search(line.text) for _, line in pages)
            or interrupts(book.text, [x for _, x in pages])
        )
        for _, line in pages
    ]
    if not gone:
        return book
    book = _without_lines(book, frozenset(line.start for line in gone))
    return book.noted(f"{several(len(gone), 'page number')} with dashes, words or running titles left out")


def _wider(before: str, after: str) -> str:
    """Return the space that stays in the place of a mark: none between a word's halves, else the wider side's."""
    return "\n" if "\n" in before + after else before or after


def _running_titles(text: str, pages: Sequence[Line]) -> list[Line]:
    """Return the short lines that stand next to a page number and are the same at three pages or more."""
    filled = [line for line in lines(text) if line.text]
    at = {line.start: number for number, line in enumerate(filled)}
    beside = [
        filled[number + step]
        for page in pages
        for number in [at[page.start]]
        for step in (-1, 1)
        if 0 <= number + step < len(filled) and len(filled[number + step].text) <= MAX_HEADING
    ]
    apart = list({line.start: line for line in beside}.values())
    times = Counter(line.text.casefold() for line in apart)
    return [line for line in apart if times[line.text.casefold()] >= _LEAST]


def _without_lines(book: Text, starts: frozenset[int]) -> Text:
    """Return a book without the lines that begin at these offsets, nor the white space around them."""
    edits: list[Edit] = []
    for start in sorted(starts):
        end = book.text.find("\n", start)
        first, last = _around(book.text, start, len(book.text) if end < 0 else end)
        if edits and first <= edits[-1].end:
            first = edits.pop().start
        edits.append(Edit(first, last, _gap(book.text[first - 1 : first], book.text[last : last + 1])))
    return edited(book, edits)


def _around(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a span widened by the white space before and after it."""
    while start and text[start - 1].isspace():
        start -= 1
    while end < len(text) and text[end].isspace():
        end += 1
    return start, end


def _gap(before: str, after: str) -> str:
    """Return what joins the text around a page's end: a line end where a sentence goes on, else a blank line."""
    if not before or not after:
        return ""
    goes_on = (before.isalnum() or before in _BROKEN_OFF) and not after.isupper()
    return "\n" if goes_on else "\n\n"
