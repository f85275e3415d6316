"""Text files as editors save them: UTF-8 with or without a byte-order mark, or UTF-16 or UTF-32 with one."""

import codecs

MARKS = (  # longest first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""The byte-order marks, and the encodings that take them off."""


_OTHERS = (
    (b"%PDF-", "a PDF"),
    (b"{\\rtf", "rich text (RTF)"),
    (b"PK\x03\x04", "a Word document or another archive"),
    (b"\xd0\xcf\x11\xe0", "an old Word document"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
)
"""How files of other kinds begin that are given in the place of a text."""


def marked(data: bytes) -> str | None:
    """Return the encoding that a byte-order mark at the beginning names, None without one."""
    return next((name for mark, name in MARKS if data.startswith(mark)), None)


def decoded(data: bytes) -> str:
    """Return the text of a file of settings or guidelines, without its byte-order mark, line ends as they are.

    Raises ValueError, whose words say what to do, for bytes that are neither UTF-8 nor marked as UTF-16 or UTF-32, and
    for those of a PDF, a document or a page.
    """
    begins = data[:100].lstrip().lower()
    if (other := next((what for start, what in _OTHERS if begins.startswith(start.lower())), None)) is not None:
        raise ValueError(f"it is {other}: save its words as plain text in UTF-8")
    encoding = marked(data) or "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(
            f"it is not {encoding.removesuffix('-sig').upper()} (line {line}): save it as UTF-8"
        ) from error
    if "\0" in text:
        raise ValueError("it holds NUL characters, as UTF-16 without its mark does: save it as UTF-8")
    return text
