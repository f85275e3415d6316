"""Words as they were before a printer, a scanner or a converter broke them: hyphens at line ends, ligatures.

A hyphen at a line's end either was put there for the line's sake or belongs to the word. What the rest of the
book writes decides; where it writes neither, a few words that are always compounds do; where those are silent, what
most of the book's other line ends turned out to be.
"""

import re
from collections import Counter
from dataclasses import dataclass

from rrm.core.text import INVISIBLE
from tasks.books.text import Text, names, replaced, several

_LIGATURES = dict(zip("ﬀﬁﬂﬃﬄﬅﬆ", ("ff", "fi", "fl", "ffi", "ffl", "st", "st"), strict=True))
_LIGATURE = re.compile("[ﬀ-ﬆ]")
_SOFT = re.compile(r"(?:-?\u00ad|(?<=[^\W\d_])¬)[ \t]*\n[ \t]*(?=[^\W\d_])")
_WORD = re.compile(r"[^\W_]+(?:['’‐-][^\W_]+)*")
_LINE_END = re.compile(r"(?<=[^\W_])[-‐](?:[ \t]*\n[ \t]*|[ \t])(?=[^\W_])")
_BEFORE = re.compile(r"[^\W_]+(?:['’‐-][^\W_]+)*$")
_AFTER = re.compile(r"[^\W_]+(?:['’‐-][^\W_]+)*")
_LONGEST = 60  # characters of half a word

_AND = names("and or to nor und oder bzw sowie bis et ou y e o u i en of och eller og til a ed od и или да lub oraz")
_FIRST = names(
    "well self half ex non vice anti twenty thirty forty fifty sixty seventy eighty ninety vingt trente quarante"
    " cinquante soixante quatre grand arrière demi avant après кое"
)
_LAST = names(
    "tempered natured hearted minded looking fashioned eyed haired legged faced coloured colored law known il elle on"
    " ils elles moi toi lui nous vous là même mêmes нибудь либо таки lhe lhes vos"
)
_SUFFIXES = names("ness less ship able ible ward wards some hood like ment ments ing ings ish")
_PREFIXES = names("re un ad ab de dis mis over under out fore in be con com per pre pro sub trans ac")


@dataclass
class _Counts:
    joined: int = 0
    kept: int = 0


def with_whole_words(book: Text) -> Text:
    """Return a book with its broken words joined, and a note where hyphens at line ends had to be judged."""
    if not book.text.isascii():
        book = replaced(book, _SOFT, lambda match: "")
        book = replaced(book, INVISIBLE, lambda match: "")
        book = replaced(book, _LIGATURE, lambda match: _LIGATURES[match.group()])
    return _unbroken(book)


def _unbroken(book: Text) -> Text:
    if _LINE_END.search(book.text) is None:
        return book
    known = Counter(word.casefold().replace("‐", "-") for word in _WORD.findall(book.text))
    evidence = _Counts()
    for match in _LINE_END.finditer(book.text):
        halves = _halves(match)
        decided = _by_the_book(*halves, known) if halves and "\n" in match.group() else None
        evidence.joined += decided is True
        evidence.kept += decided is False
    hyphens_stay = evidence.kept >= 3 and evidence.kept > evidence.joined
    counts, examples = _Counts(), dict[str, None]()

    def whole(match: re.Match[str]) -> str | None:
        halves = _halves(match)
        if halves is None:
            return None
        before, after = halves
        if "\n" not in match.group():  # hyphen and space: a line end that a converter made a space
            if not (after[0].islower() and known[(before + after).casefold()] > known[f"{before}-{after}".casefold()]):
                return None
            join = True
        else:
            join = _is_one_word(before, after, known, not hyphens_stay)
        counts.joined += join
        counts.kept += not join
        if join:
            examples[before + after] = None
        return "" if join else match.group()[0]

    book = replaced(book, _LINE_END, whole)
    if not counts.joined:
        return book
    shown = ", ".join(list(examples)[:3])
    kept = f"; the hyphens of {several(counts.kept, 'word')} kept" if counts.kept else ""
    return book.noted(f"{several(counts.joined, 'word')} broken at line ends joined (such as {shown}){kept}")


def _halves(match: re.Match[str]) -> tuple[str, str] | None:
    """Return what stands before and after a hyphen at a line's end; None where it breaks no word."""
    before = _BEFORE.search(match.string, max(0, match.start() - _LONGEST), match.start())
    after = _AFTER.match(match.string, match.end(), match.end() + _LONGEST)
    if before is None or after is None or after.group().casefold() in _AND:
        return None  # "pre- and postwar"
    return before.group(), after.group()


def _is_one_word(before: str, after: str, known: Counter[str], otherwise: bool) -> bool:
    """Say whether a word was broken, and did not have a hyphen by itself; `otherwise` where nothing tells."""
    shouted = before.isupper() and after.isupper() and len(before + after) > 3
    if not (after[0].islower() or shouted) or before[-1].isdigit():
        return False  # "Anglo-Saxon", "1914-18"
    if "-" in before or "-" in after:  # "mother-in-law", unless its own part was broken: "anti-estab-lishment"
        part, rest = before.rpartition("-")[2], after.partition("-")[0]
        return _by_the_book(before, after, known) or _by_the_book(part, rest, known) or False
    if (decided := _by_the_book(before, after, known)) is not None:
        return decided
    if len(before) == 1:
        return False  # "X-ray": nobody breaks a word behind its first letter
    first, last = before.casefold(), after.casefold()
    compound = first in _FIRST and len(last) > 3 and last not in _SUFFIXES
    compound |= last in _LAST and first not in _PREFIXES and len(first) > 1
    return otherwise and not compound


def _by_the_book(before: str, after: str, known: Counter[str]) -> bool | None:
    """Return whether the rest of the book writes one word, None where it writes it neither way or both as often."""
    one, hyphened = known[(before + after).casefold()], known[f"{before}-{after}".casefold()]
    if one != hyphened:
        return one > hyphened
    # both halves are words of the book, and long enough for that to be no chance: "drawing-room"
    if not one and len(before) > 3 and len(after) > 3 and min(known[before.casefold()], known[after.casefold()]) > 1:
        return False
    return None
