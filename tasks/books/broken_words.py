"""Words as they were before a printer, a scanner or a converter broke them: hyphens at line ends, ligatures.

A hyphen at a line's end either was put there for the line's sake or belongs to the word. What the rest of the
book writes decides; where it writes neither, a few words that are always compounds do; where those are silent, what
most of the book's other line ends turned out to be.
"""

import re
from collections import Counter
from collections.abc import Mapping

from rrm.core.text import INVISIBLE
from tasks.books.text import Text, names, replaced

_LIGATURES = dict(zip("ﬀﬁﬂﬃﬄﬅﬆ", ("ff", "fi", "fl", "ffi", "ffl", "st", "st"), strict=True))
_LIGATURE = re.compile("[ﬀ-ﬆ]")
_SOFT = re.compile(r"(?:-?\u00ad|(?<=[^\W\d_])¬)[ \t]*\n[ \t]*(?=[^\W\d_])")
_WORD = re.compile(r"[^\W_]+(?:['’‐-][^\W_]+)*")
_LINE_END = re.compile(r"(?<=[^\W_])[-‐](?:[ \t]*\n[ \t]*(?:\n[ \t]*)?|[ \t])(?=[^\W_])")
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
    broken = [halves for match in _LINE_END.finditer(book.text) if "\n" in match.group() and (halves := _halves(match))]
    decided = Counter(_by_the_book(*halves, known) for halves in broken)
    hyphens_stay = decided[False] >= 3 and decided[False] > decided[True]
    joined, kept, left = (dict[str, int]() for _ in range(3))

    def whole(match: re.Match[str]) -> str | None:
        halves = _halves(match)
        if halves is None:
            return None
        before, after = halves
        if match.group().count("\n") == 1:
            join = _is_one_word(before, after, known, not hyphens_stay)
        else:  # a line end that a converter made a space or a paragraph's end, or a hyphen in the place of a dash
            if not after[0].islower():
                return None
            one, hyphened = known[(before + after).casefold()], known[f"{before}-{after}".casefold()]
            if one == hyphened or (one < hyphened and "\n" not in match.group()):
                left[f"{before}- {after}"] = left.get(f"{before}- {after}", 0) + 1
                return None
            join = one > hyphened
        word = before + after if join else f"{before}-{after}"
        counted = joined if join else kept
        counted[word] = counted.get(word, 0) + 1
        return "" if join else match.group()[0]

    return _noted(replaced(book, _LINE_END, whole), joined, kept, left)


def _noted(book: Text, joined: Mapping[str, int], kept: Mapping[str, int], left: Mapping[str, int]) -> Text:
    """Return a book with a note of the words that were joined, those that kept their hyphens, and those left alone."""
    said = [
        f"{what}: {sum(words.values()):,} (such as {', '.join(list(words)[:3])})"
        for what, words in (
            ("words broken at line ends joined", joined),
            ("hyphens at line ends kept", kept),
            ("hyphens before spaces left as they stand", left),
        )
        if words
    ]
    return book.noted("; ".join(said)) if said else book


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
