"""Bytes to text: UTF-8, what a mark or the file itself declares, or the old encoding that clearly fits."""

import re
from typing import NamedTuple

from charset_normalizer import from_bytes

from rrm.core.errors import InputError
from rrm.files.texts import marked

_LEGACY = re.findall(r"\w+", "cp1252 cp1250 cp1251 koi8_r iso8859_2 shift_jis euc_jp gb18030 big5 euc_kr mac_roman")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_SIGN_IN_WORD = re.compile("[^\\W\\d_][\x80-\xa0¢-©¬-¯±-¶¸¹¼-¾×÷]")


class Decoded(NamedTuple):
    """The text of bytes, and the encoding that was guessed because nothing told it, "" where something did."""

    text: str
    guessed: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        return (guess_note(self.guessed),) if self.guessed else ()


def guess_note(encoding: str, what: str = "the file") -> str:
    return f"{what}, neither UTF-8 nor of a named encoding: read as {encoding}, which fits best"


def decode(data: bytes, where: str, declared: str | None = None) -> Decoded:
    """Return the text of bytes; raise InputError if they are no text or the encoding is unclear."""
    encoding = marked(data)
    if encoding is None and b"\0" in data:
        raise InputError(f"{where}: NUL bytes, so this is no text (or UTF-16 without its mark: save it as UTF-8)")
    tried = [encoding] if encoding else ["utf-8", *([declared] if declared else [])]
    known = next((text for name in tried if (text := _decoded(data, name)) is not None), None)
    if known is None and encoding:
        raise InputError(f"{where}: begins as {encoding} but is not; save it as UTF-8")
    text, guessed = _guessed(data, where) if known is None else Decoded(known)
    if len(_CONTROL.findall(text)) > len(text) / 1000 or "\0" in text:
        raise InputError(f"{where}: control characters, so this is no text but a binary file")
    return Decoded(text, guessed)


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeError, LookupError):
        return None


def _guessed(data: bytes, where: str) -> Decoded:
    """Return the text in the old encoding that fits best, if one fits well; raise InputError otherwise."""
    found = [match for match in from_bytes(data, cp_isolation=_LEGACY) if match.chaos < 0.1 and match.coherence > 0]
    best = max((match.coherence for match in found), default=0)
    likely = [match for match in found if match.coherence > best - 0.15]
    if not likely:
        raise InputError(f"{where}: neither UTF-8 nor clearly another encoding; save it as UTF-8")
    # A wrong sister encoding shows as signs within words; between equals the commonest wins.
    signs = {match.encoding: len(_SIGN_IN_WORD.findall(str(match)[:200_000])) for match in likely}
    best_fit = min(likely, key=lambda match: (signs[match.encoding], _LEGACY.index(match.encoding)))
    return Decoded(str(best_fit), best_fit.encoding)
