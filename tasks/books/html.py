"""Books in one page of HTML: headings of the first three ranks begin chapters.

An example: `<html><head><title>The Mill</title></head><body><h2>The donkey</h2><p>Once ...</p></body></html>`
"""

from rrm.core.errors import InputError
from tasks.books.encodings import guess_note
from tasks.books.page import DROPPED, LeftOut, Page
from tasks.books.styles import styles_of
from tasks.books.text import Text, joined
from tasks.books.tree import Element, parsed, style_sheets


def read_html(data: bytes, where: str, _: int) -> Text:
    root, left_out = parsed(data, where), LeftOut()
    title = next((each.text for each in root.elements() if each.tag == "title"), "")
    page = Page(_main(root, left_out), left_out, styles_of("\n".join(style_sheets(root))))
    if not page.blocks and page.pictures:
        raise InputError(f"{where}: holds pictures and no text: a scanned book needs OCR first")
    book = Text(*joined(page.blocks), title)
    guessed = root.attributes.get("encoding")
    return book.noted(*([guess_note(guessed)] if guessed else []), *left_out.notes())


def _main(root: Element, left_out: LeftOut) -> Element:
    """Return the main part of a page, if one is named and holds most of it; what a site sets around it is its frame."""
    for name in ("main", "article"):
        parts = [each for each in root.elements() if each.tag == name or name in each.types]
        if len(parts) == 1:
            body = next((each for each in root.elements() if each.tag == "body"), root)
            within, whole = _words(parts[0]), _words(body)
            if within < whole <= 2 * within:
                left_out.times["frame"] += 1
                left_out.words["frame"] += whole - within
                return Element("", {}, [parts[0]])
    return root


def _words(element: Element) -> int:
    """Return how many words a page's element shows, hidden ones among them."""
    return sum(
        len(child.split()) if isinstance(child, str) else _words(child) if child.tag not in DROPPED else 0
        for child in element.children
    )
