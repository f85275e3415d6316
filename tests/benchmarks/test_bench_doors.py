"""The benchmark of doors reads what it says: so many rows of messages, a book of so many words."""

from pathlib import Path

from benchmarks.doors import epub, message_rows
from rrm.interchange.preferences import read_feedback
from tasks.books import read_book


def test_the_rows_are_talks_with_two_replies(tmp_path: Path) -> None:
    message_rows(tmp_path / "rows.jsonl", 5)
    found = read_feedback(tmp_path / "rows.jsonl")
    assert found.read == "read 5 rows as preference pairs"
    assert found.rated[4].request.view.text.startswith("user: 4: ")


def test_the_book_has_its_words_and_chapters(tmp_path: Path) -> None:
    epub(tmp_path / "book.epub", 6000, chapters=10)
    book = read_book(tmp_path / "book.epub")
    assert len(book.breaks) == 9
    assert 6000 <= len(book.text.split()) <= 6100  # and the headings
    assert any("60 note marks" in note for note in book.notes)
