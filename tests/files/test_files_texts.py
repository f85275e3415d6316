"""Text files with and without byte-order marks; what is in no such encoding is refused with a remedy."""

import pytest

from rrm.files.texts import decoded


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_text_is_the_same_with_and_without_a_mark(encoding: str) -> None:
    assert decoded("Mühle = 1\r\n".encode(encoding)) == "Mühle = 1\r\n"


def test_big_endian_utf_16_is_read_by_its_mark() -> None:
    assert decoded("\ufeffмельница".encode("utf-16-be")) == "мельница"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a = 1\nb = '\xfc'\n", r"not UTF-8 \(line 2\): save it as UTF-8"),
        ("a = 1".encode("utf-16-le"), "NUL characters, as UTF-16 without its mark does: save it as UTF-8"),
        (b"\xff\xfea\x00b", "not UTF-16 .*: save it as UTF-8"),
        (b"%PDF-1.4\n1 0 obj", "it is a PDF: save its words as plain text in UTF-8"),
        (b"{\\rtf1\\ansi Hello}", "it is rich text"),
        (b"PK\x03\x04\x14\x00", "it is a Word document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "it is an old Word document"),
        (b"\n<!DOCTYPE html><p>So.</p>", "it is a web page"),
    ],
)
def test_what_is_in_another_encoding_is_refused_with_a_remedy(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        decoded(data)
