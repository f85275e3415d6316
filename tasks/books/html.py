"""Books in one page of HTML: headings of the first three ranks begin chapters.

An example: `<html><head><title>The Mill</title></head><body><h2>The donkey</h2><p>Once ...</p></body></html>`
"""

from rrm.core.errors import InputError
from tasks.books.page import LeftOut, Page
from tasks.books.styles import styles_of
from tasks.books.text import Text, joined
from tasks.books.tree import parsed, style_sheets


def read_html(data: bytes, where: str, _: int) -> Text:
    root, left_out = parsed(data, where), LeftOut()
    page = Page(root, left_out, styles_of("\n".join(style_sheets(root))))
    if not page.blocks and page.pictures:
        raise InputError(f"{where}: holds pictures and no text: a scanned book needs OCR first")
    book = Text(*joined(page.blocks), page.title)
    return book.noted(*left_out.notes())
