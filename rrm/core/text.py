"""Text: cut into sentences, paragraphs and words by rules that need no data; delimited for a model to read."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from rrm.core.ids import content_id
from rrm.core.task import Span

WORDS_PER_TOKEN = 0.75
"""Words of English in a token, roughly."""

STOPS = ".!?…।॥؟۔።։။។"
"""What ends a sentence where space follows, Hindi's, Arabic's, Urdu's and some other scripts' own among them."""
_STOPS = STOPS + "。！？"
_WHOLE = re.compile(rf"[{_STOPS}][\"'”’»)\]」』]*\Z")
_MOST_QUOTES = 8  # characters that may close a sentence, and its stop
_ABBREVIATIONS = frozenset(
    re.findall(
        r"\w+",
        "mr mrs ms dr st prof rev hon capt col gen lt sgt jr sr messrs mme mlle"
        " vs etc viz vol ch fig cf eg ie al inc ltd co",
    )
)
_SHORTENED = frozenset(  # these end no sentence where a small letter follows; before a capital they may
    re.findall(
        r"\w+",
        "abbr adj adv approx avg cent cit cont def dept ed eds esp est excl ext figs hrs ibid illus incl lbs"
        " loc max min mins misc orig oz phys pls publ resp sec secs tel temp trans transl verb yrs jan feb apr"
        " jun jul aug sep sept oct nov dec",
    )
)
_ORDINARY = re.compile(r"(?:^|[\s(\"'“‘’—–-])([a-z]{3,})\Z")
_FIRST = re.compile(r"\w")
_VOWEL = re.compile("[aeiouy]")
_ITEM = re.compile(r"^[^\S\n]*(?:[-*+•‣◦▪]|\(?(?:\d{1,3}|[a-z])\)|\d{1,3}(\.))[^\S\n]+(?=\S)", re.MULTILINE)
_BEFORE_LIST = re.compile(rf"(?:^|[:{_STOPS}][\"'”’»)\]」』*_]*)\s*\Z")
# The look-behind lets a run of stops be tried once, not from each of its stops.
_BOUNDARY = re.compile(rf"(?<![{_STOPS}])([{_STOPS}]++)([\"'”’»)\]]*+)(\s++|$)|([。！？]++[”’」』]*+)|\n\s*\n\s*+")
_BLANK_LINE = re.compile(r"\n\s*\n")
_LONG = 20_000  # characters; the cache is for passages, which are cut again and again, not for whole books
_BLOCK = 1_000  # characters; a longer text is cut block by block, for its blocks were mostly cut before
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
INVISIBLE = re.compile(  # soft hyphens and marks of no width, but not where they part words: Thai, Lao, Burmese, Khmer
    "[\u00ad\u2060\ufeff]|(?<![\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\u200b"
)
_MISREAD = re.compile(  # UTF-8 read as cp1252; punctuation behind capitals may as well follow a word such as IRMÃ
    "\ufffd|[ÃÂ][\u0080-\u009f\u00a1-\u00aa\u00ac-\u00ba\u00bc-\u00bf]|Ã[€ƒ†‡ˆ‰ŠŒŽ˜™šœžŸ•]"
    "|(?<![A-ZÀ-Þ«])(?:[ÃÂ][\u00a0«»]|Ã[„…‘’“”–—‹›])|â€[\u0080-\u00bf™œ\u201c\u201d˜¦]"
)
_SPACED = re.compile(" [^\\W\\d_] [^\\W\\d_] [^\\W\\d_]")  # first, for it is quickly looked for
_SPACED_WORD = re.compile("(?<![^\\s\"'“‘«(])[A-Za-zÀ-ɏͰ-ӿ](?: [A-Za-zÀ-ɏͰ-ӿ]){3,}(?![^\\s.,;:!?…\"'”’»)])")
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")


def sentences(text: str, max_chars: int = 2000) -> tuple[Span, ...]:
    """Return the spans of the sentences, in order, without the white space between them.

    A sentence ends at a blank line, before an item of a list, at an East Asian full stop, or at a stop followed by
    space, but there not after common abbreviations, single initials, or the number of an item. Before a small letter
    one ends at a full stop alone, after a word of three small letters or more that is no abbreviation, in paragraphs
    that have more such beginnings than capital ones. A list is two
    lines or more of a paragraph that begin with a bullet or a number, the first of them at the paragraph's beginning,
    after a colon or after a stop. What is still longer than `max_chars` is cut at spaces, or anywhere if it has none.
    """
    return _cached(text, max_chars) if len(text) < _LONG else _sentences(text, max_chars)


@lru_cache(maxsize=20_000)
def _cached(text: str, max_chars: int) -> tuple[Span, ...]:
    return _sentences(text, max_chars)


def _sentences(text: str, max_chars: int) -> tuple[Span, ...]:
    spans: list[Span] = []
    start = 0
    items, numbers = _items(text)
    matches = list(_BOUNDARY.finditer(text))
    small = _small_ends(text, matches)
    for match in matches:
        while items and items[0] <= match.start():
            spans.extend(_pieces(text, start, items[0], max_chars))
            start = max(start, items.pop(0))
        if match.group(1) and (match.start() in numbers or not (match.start() in small or _ends_sentence(text, match))):
            continue
        end = match.end(2) if match.group(1) else match.end(4) if match.group(4) else match.start()
        spans.extend(_pieces(text, start, end, max_chars))
        start = match.end()
    for item in items:
        spans.extend(_pieces(text, start, item, max_chars))
        start = max(start, item)
    spans.extend(_pieces(text, start, len(text), max_chars))
    return tuple(spans)


def _items(text: str) -> tuple[list[int], set[int]]:
    """Return where the items of lists begin, in order, and the stops behind the numbers of items."""
    if not _ITEM.search(text):
        return [], set()
    starts: list[int] = []
    numbers: set[int] = set()
    cuts = [0, *(match.end() for match in _BLANK_LINE.finditer(text)), len(text)]
    for start, end in pairwise(cuts):
        found = list(_ITEM.finditer(text, start, end))
        first = next((at for at, match in enumerate(found) if _may_begin_list(text, start, match.start())), len(found))
        found = found[first:]
        if len(found) > 1:
            starts += [match.start() for match in found]
        if len(found) > 1 or (found and not text[start : found[0].start()].strip()):
            numbers |= {match.start(1) for match in found if match.group(1)}
    return starts, numbers


def _may_begin_list(text: str, paragraph: int, line: int) -> bool:
    return _BEFORE_LIST.search(text[max(paragraph, line - _MOST_QUOTES) : line]) is not None


def sentence_texts(text: str) -> list[str]:
    """Return the sentences themselves, white space inside them squeezed to single spaces."""
    found: list[str] = []
    for block in _blocks(text):
        found += _cached_texts(block) if len(block) < _BLOCK else _texts(block)
    return found


def _blocks(text: str) -> list[str]:
    """Return what a text is cut into that is not short: the previous contexts of neighbours differ by one of fifty.

    No sentence and no word spans a blank line.
    """
    return [text] if len(text) < _BLOCK else text.split("\n\n")


def _texts(text: str) -> tuple[str, ...]:
    return tuple(" ".join(text[start:end].split()) for start, end in sentences(text))


_cached_texts = lru_cache(maxsize=20_000)(_texts)


def whole_sentences(text: str) -> str:
    """Return the whole sentences of a text that was broken off, or its whole words where it has no whole sentence.

    The last word is taken for broken. A text of one word is returned as it is.
    """
    text = text.rstrip()
    if _WHOLE.search(text, max(0, len(text) - _MOST_QUOTES)):
        return text
    ends = [end for _, end in sentences(text)]
    if len(ends) > 1:
        return text[: ends[-2]].rstrip()
    return " ".join(text.rsplit(maxsplit=1)[:1])


def paragraphs(text: str) -> tuple[Span, ...]:
    """Return the spans between blank lines; each takes the white space that follows it along."""
    cuts = [0, *(match.end() for match in _PARAGRAPH.finditer(text) if 0 < match.end() < len(text)), len(text)]
    return tuple(Span(a, b) for a, b in pairwise(cuts) if a < b)


def words(text: str) -> list[str]:
    """Return the words, as written: runs of letters and digits, inner apostrophes and hyphens kept."""
    return _WORD.findall(visible(text))


def word_count(text: str) -> int:
    """Return how many `words` there are."""
    return sum(_cached_count(block) if len(block) < _LONG else len(words(block)) for block in _blocks(text))


@lru_cache(maxsize=20_000)
def _cached_count(text: str) -> int:
    return len(words(text))


def visible(text: str) -> str:
    """Return a text without the characters that nobody sees and that part words for a program: soft hyphens and kin."""
    return text if text.isascii() else INVISIBLE.sub("", text)


def misread(text: str) -> list[str]:
    """Return the letters of a text that were lost, or read in a wrong encoding: `Ã«` for `ë`."""
    return [] if text.isascii() else _MISREAD.findall(text)


def spaced_words(text: str) -> list[str]:
    """Return the words of a text whose letters stand apart: `l i k e`.

    Not in capitals, as titles are set (`T H E  E N D`), nor letters of the alphabet in turn (`a b c d`).
    """
    if not _SPACED.search(text):
        return []
    return [each for each in _SPACED_WORD.findall(text) if _is_spaced_word(each.split())]


def _is_spaced_word(letters: Sequence[str]) -> bool:
    in_turn = sum(ord(other) - ord(one) == 1 for one, other in pairwise(letters))
    return 2 * in_turn < len(letters) and all(map(str.islower, letters[1:])) and len(set(letters)) > 2


def delimited(blocks: Sequence[tuple[str, str]]) -> tuple[str, list[str]]:
    """Return a mark that no text holds, and each (name, text) between lines with it.

    The mark is 16 hexadecimal digits derived from all the texts, so no text can foresee it, and a
    model can be told that whatever stands between such lines is no instruction.
    """
    salt = 0
    while any((mark := content_id("mark", blocks, salt)[-16:]) in text for _, text in blocks):
        salt += 1
    return mark, [f"<<<{name} {mark}>>>\n{text}\n<<<end {mark}>>>" for name, text in blocks]


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    if _BLANK_LINE.search(match.group(3)):
        return True
    following = text[match.end() : match.end() + 1]
    if following.islower():
        return False
    if match.group(1) != ".":
        return True
    before = _BLANK_LINE.split(text[max(0, match.start() - 12) : match.start()])[-1].split()
    last = before[-1].strip("\"'“‘(") if before else ""
    initial = len(last) == 1 and last.isupper() and last != "I"
    number = last.lower() == "no" and following.isdigit()
    return not (initial or number or last.lower() in _ABBREVIATIONS)


def _small_ends(text: str, matches: Sequence[re.Match[str]]) -> set[int]:
    """Return the full stops before small letters that end sentences, where a paragraph mostly begins them so."""
    found: set[int] = set()
    here: list[int] = []
    start = capitals = 0
    for match in matches:
        blank = not (match.group(1) or match.group(4)) or _BLANK_LINE.search(match.group(3) or "") is not None
        following = "" if blank else text[match.end() : match.end() + 1]
        capitals += following.isupper()
        if (
            following.islower()
            and match.group(1) == "."
            and not match.group(2)
            and _ordinary_before(text, match.start())
        ):
            here.append(match.start())
        if here and (blank or match is matches[-1]):
            first = _FIRST.search(text, start)
            begins_small = first is not None and first.group().islower()
            if len(here) + begins_small > capitals + (not begins_small):
                found.update(here)
        if blank:
            here, start, capitals = [], match.end(), 0
    return found


def _ordinary_before(text: str, stop: int) -> bool:
    """Whether the word before a stop is one of three small letters or more that abbreviates nothing."""
    found = _ORDINARY.search(text[max(0, stop - 40) : stop])
    if found is None or not _VOWEL.search(found.group(1)):
        return False
    return found.group(1) not in _ABBREVIATIONS | _SHORTENED


def _pieces(text: str, start: int, end: int, max_chars: int) -> list[Span]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    pieces: list[Span] = []
    while end - start > max_chars:
        cut = text.rfind(" ", start + max_chars // 2, start + max_chars)
        cut = start + max_chars if cut < 0 else cut
        pieces.append(Span(start, cut))
        start = cut
        while start < end and text[start].isspace():
            start += 1
    if start < end:
        pieces.append(Span(start, end))
    return pieces
