"""Books from files: plain text, Markdown, HTML, EPUB or chapters as JSON lines; chapters and front matter found.

Each form has its reader in a file of its own (`plain`, `markdown`, `html`, `epub`, `json_lines`). What all have in
common follows: page numbers (`pages`) are left out and broken words (`broken_words`) joined, licences and tables of
contents skipped (`boilerplate`), chapters found (`headings`). What was left out or changed is in the source's notes.
"""

from tasks.books.files import MAX_BYTES, MAX_WORDS, READERS, BookFiles, read_book
from tasks.books.text import Text

__all__ = ["MAX_BYTES", "MAX_WORDS", "READERS", "BookFiles", "Text", "read_book"]
