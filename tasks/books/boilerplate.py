"""What stands in a book's file and is not the book: a library's licence, who made the edition, a table of contents.

Licences are found by the marks that Project Gutenberg set in its decades and languages ("*END*THE SMALL PRINT!" and
"*** START OF THIS PROJECT GUTENBERG EBOOK"), and by those of its kin; what they fence off is the book.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from rrm.core.task import Span
from tasks.books.headings import MAX_HEADING, heading_key, is_heading
from tasks.books.text import lines, several


class Skipped(NamedTuple):
    """The spans that belong to no task, ascending and apart, and what was said of them."""

    spans: tuple[Span, ...]
    notes: tuple[str, ...]


NOTHING = Skipped((), ())


def skipped(text: str) -> Skipped:
    """Find what is not the book in the text of its file."""
    start, end = _fenced(text)
    notes: list[str] = []
    spans: list[Span] = []
    if start:
        spans.append(Span(0, start))
        notes.append(f"licence of {_words(text[:start])} skipped at the start")
    for span in _edition(text, start, end):
        spans.append(span)
    if len(spans) > bool(start):
        words = " ".join(text[a:b] for a, b in spans[bool(start) :])
        notes.append(f"{_words(words)} about the edition skipped")
    for contents in _tables(text, start, end):
        if not any(a < contents.end and contents.start < b for a, b in spans):
            spans.append(contents)
            entries = sum(1 for line in lines(text[contents.start : contents.end]) if line.text)
            entries -= _CONTENTS.match(text, contents.start) is not None
            notes.append(f"table of contents of {several(entries, 'line')} skipped")
    if end < len(text):
        spans.append(Span(end, len(text)))
        if text[end:].strip():
            notes.append(f"licence of {_words(text[end:])} skipped at the end")
    return Skipped(_merged(spans), tuple(notes))


def _words(text: str) -> str:
    return several(len(text.split()), "word")


def _merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(span.end, found[-1].end))
        elif span.start < span.end:
            found.append(span)
    return tuple(found)


# ---- a library's licence ----

_ANY = r"[^\n]"
_PG = r"(?:(?:Proje[ck]?to?|Proyecto|Progetto)[ -]?Gutenberg|проект\w*[ -](?:Gutenberg|Гутенберг\w*))"
_LIBRARIES = rf"{_PG}|Distributed Proofreaders Canada|Faded ?Page"
_STARS = r"(?:\\?\*[ \t]*){2,3}"  # as they are, apart, or as Markdown escapes them
_START = re.compile(
    rf"^[ \t]*{_STARS}START OF\b(?:{_ANY}*(?:\n[^\n*]+)?{_STARS}{_ANY}*|{_ANY}*{_PG}{_ANY}*)$"
    # 1991 to 2003: the licence stands first and ends with the end of its small print
    rf"|^[ \t]*\*+[ \t]*END\b{_ANY}{{0,20}}SMALL[ \t]+PRINT{_ANY}*(?:\n{_ANY}*\*END\*+{_ANY}*)?$"
    rf"|^[ \t]*START OF (?:THE|THIS) {_PG}{_ANY}*$",
    re.MULTILINE | re.IGNORECASE,
)
_ENDS = (
    r"End|Ende|Fin|Fine|Final|Fim|Einde|Eind|Slut|Slutet|Slutten|Koniec|Konec|Kraj|Vége|Loppu|Finis|Sfârșit|Τέλος|Конец"
)
_END = re.compile(
    rf"^[ \t]*{_STARS}END OF\b(?!{_ANY}*SMALL PRINT){_ANY}*$"
    rf"|^[ \t]*\**[ \t]*(?:The )?(?:{_ENDS})\b{_ANY}{{0,60}}\b{_PG}{_ANY}*$"
    rf"|^[ \t]*\**[ \t]*{_PG}{_ANY}{{0,60}}\b(?:ends here|loppu\w*|slutar|endet hier)\b{_ANY}*$"
    r"|^[ \t]*\*{3}[ \t]*START: FULL LICENSE"
    r"|^[ \t]*\*{2,3}[ \t]*START[ \t]*\*+[ \t]*(?:OF )?THE SMALL PRINT"
    rf"|^[ \t]*This site is full of FREE ebooks{_ANY}*"
    rf"|^[ \t]*\[(?:The )?End of {_ANY}{{1,120}}\][ \t]*$"
    r"|^[ \t]*底本[：:]"
    r"|^[ \t]*(?:Uncopyright|About this digital edition|This web edition published by:?)[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_OWN_MARK = re.compile(rf"[ \t]*{_STARS}(?:END OF|START)", re.IGNORECASE)
_LICENCE = re.compile(
    rf"{_PG}|gutenberg-tm|public domain|\be-?texts?\b|small print|copyright|licen[cs]|donation|\bebook #|release date"
    r"|creative commons|digital library|volunteers"
    r"|character set|produced by|posting date|faded ?page|distributed proofread|very few restrictions",
    re.IGNORECASE,
)
_HEAD = 1500  # characters in which a library names itself
_LATEST = 0.25  # share of a text before which a line without stars ends nothing
_NEAR = 3000  # characters around a mark in which a licence speaks of itself, and more than which none leaves out unread


def _fenced(text: str) -> tuple[int, int]:
    """Return where the book begins and ends by a library's marks: the longest stretch that they may fence off."""
    marks = [(match.start(), match.end(), True) for match in _START.finditer(text) if _begins(text, match.start())]
    for match in _END.finditer(text):
        starred = _OWN_MARK.match(match.group()) is not None
        if (starred or match.start() > _LATEST * len(text)) and _ends(text, match.end()):
            marks.append((match.start(), match.end(), False))
    marks.sort()
    best = (0, len(text)) if not marks else (0, 0)
    fences = [(0, 0, True), *marks, (len(text), len(text), False)]
    for (_, after, opens), (before, _, starts) in pairwise(fences):
        if opens and not starts and before - after > best[1] - best[0]:
            best = (after, before)
    start, end = best
    if start == 0 and re.search(_LIBRARIES, text[:_HEAD], re.IGNORECASE):
        start = _unmarked(text, end)
    return start, end


def _begins(text: str, at: int) -> bool:
    """Say whether what stands before a mark may be a licence: a story, too, can have such a line."""
    return at <= _NEAR or _LICENCE.search(text, at - _NEAR, at) is not None


def _ends(text: str, at: int) -> bool:
    """Say the same of what stands behind a mark."""
    return len(text) - at <= _NEAR or _LICENCE.search(text, at, at + _NEAR) is not None


def _unmarked(text: str, end: int) -> int:
    """Return where a licence without an end mark ends: after the last paragraph that speaks of it, few between.

    No story stands before it.
    """
    last, others = 0, 0
    for span in _paragraphs(text, 0, min(end, int(0.4 * len(text)) + 500)):
        if _LICENCE.search(text, span.start, span.end):
            last, others = span.end, 0
        elif len(text[span.start : span.end]) > 60:
            others += 1
            if others > 2 or not last:
                break
    return last


def _paragraphs(text: str, start: int, end: int) -> Iterator[Span]:
    for match in re.finditer(r"\S(?:[^\n]|\n(?![ \t]*(?:\n|\Z)))*", text[start:end]):
        yield Span(start + match.start(), start + match.end())


# ---- who made the edition ----

_MADE = (
    "produced|prepared|created|scanned|typed|transcribed|proof-?ed|proofread|converted|digiti[sz]ed|formatted|corrected"
)
_CREDIT = re.compile(
    r"^[\W_]*(?:(?:this )?(?:e-?text|e-?book|electronic (?:text|edition|book)|html version)s?\b"
    rf".{{0,40}}\b(?:{_MADE})\b|(?:(?:digitally|originally) )?(?:{_MADE}|etext) by\b|transcribed from\b"
    r"|transcriber['’]?s? notes?\b|scanned by\b"
    rf"|(?:credits|ocr|spell-?check|scan)\s*[:&]|html version by\b|updated editions will replace"
    r"|note: .{0,40}(?:project gutenberg|images of the original))"
    rf"|{_PG}|distributed proofread|gutenberg\.(?:org|net)|feedbooks\.com|standardebooks\.org|liberliber\.it"
    r"|ebooksgratuits|www\.gutenberg|archive\.org/details|digital copy of a book that was preserved|fadedpage\.com"
    r"|creativecommons\.org|creative commons|exported from wikisource|ebooks@adelaide"
    r"|wikisource\.org|gallica\.bnf|lib\.ru|royallib|litres\.ru|литрес|strictly for personal use",
    re.IGNORECASE,
)
_RIGHTS = re.compile(
    r"\ball rights reserved\b|\balle rechte vorbehalten\b|\btous droits (?:de .{0,60})?réservés\b|derechos reservados"
    r"|diritti (?:sono )?riservati|direitos reservados|все права защищены|版权所有|版權所有|無断(?:転載|複製)"
    r"|\bISBN(?:-1[03])?\b|^\W*(?:copyright|©|\(c\))\W+.{0,40}\d{4}|no part of this (?:book|publication) may"
    r"|library of congress catalog",
    re.IGNORECASE,
)
_ANNOUNCES = re.compile(r"\W*(?:transcriber|note)['’]?s? ?(?:notes?)?\W*:\W*", re.IGNORECASE)
_MOST_CHARACTERS = 1500  # of a paragraph about the edition
_FRONT = 8000  # characters in which such paragraphs are looked for, and as many at the end


def _edition(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield the paragraphs near the beginning that say who made the edition, and whose it is."""
    announced = False  # by a line such as "Transcriber's note:"
    for span in _paragraphs(text, start, min(end, start + _FRONT)):
        if span.end - span.start <= _MOST_CHARACTERS and span.end < min(end, start + _FRONT):
            said = text[span.start : span.end]
            known = _CREDIT.search(said) is not None
            if known or announced or _RIGHTS.search(said):
                yield span
            announced = known and _ANNOUNCES.fullmatch(said) is not None


# ---- a table of contents ----

_CONTENTS = re.compile(
    r"^[#*_ \t　【\[]*(?:(?:table of )?contents|list of chapters|inhalt(?:sverzeichnis|sübersicht)?"
    r"|table(?: des (?:matières|chapitres))?|[íi]ndice(?: general| dos cap[íi]tulos)?|tabla de contenidos?|sommario"
    r"|sum[áa]rio|оглавление|содержание|目[　 ]*[录錄次]|inhoud(?:sopgave)?|indhold(?:sfortegnelse)?"
    r"|innehåll(?:sförteckning)?|spis treści|obsah|tartalom|cuprins|περιεχόμενα|зміст|차례|목차)[.:：*_ \t　】\]]*$",
    re.MULTILINE | re.IGNORECASE,
)
_ENTRY = re.compile(
    r"(?:[-*+•]\s+)?(?:\d{1,3}|[ivxlc]{1,8}|[〇一二三四五六七八九十百]{1,4})[.:)、\s—-]|.*(?:\.\s?\.|…|\s|\t)\s*\d+$",
    re.I,
)
_KEY = re.compile(r"(?:\d{1,3}|[ivxlc]{1,8}|[〇一二三四五六七八九十百]{1,4})(?=[.:)、\s—-]|$)", re.IGNORECASE)
_EARLIEST_SHARE, _LAST_SHARE = 0.1, 0.9


def _tables(text: str, start: int, end: int) -> Iterator[Span]:
    early = _contents(text, start, min(end, start + max(20_000, int(_EARLIEST_SHARE * (end - start)))), end)
    if early:
        yield early
        return
    late = start + int(_LAST_SHARE * (end - start))
    found = _contents(text, late, end, end) or _unheaded(text, start, min(end, start + _FRONT), end)
    if found:
        yield found


def _unheaded(text: str, first: int, latest: int, end: int) -> Span | None:
    """Return a table of contents without a heading: three headings or more in turn, which all stand again behind it."""
    keys: list[str] = []
    begin = last = first
    for at, line in lines(text[first:latest]):
        if not line:
            continue
        key = heading_key(line) if len(line) <= MAX_HEADING + 20 else None
        if key and key not in keys:
            begin = begin if keys else first + at
            keys, last = [*keys, key], first + at + len(line)
        elif len(keys) >= 3:
            break
        else:
            keys = []
    if len(keys) < 3:
        return None
    again = {heading_key(line) for _, line in lines(text[last:end]) if 0 < len(line) <= MAX_HEADING}
    return Span(max(first, begin - 1), last) if again.issuperset(keys) else None  # no chapter begins with it


def _contents(text: str, first: int, latest: int, end: int) -> Span | None:
    """Return the table of contents whose heading stands between two places: a heading, then at least three entries.

    It ends at the first line that is no entry, or that repeats an entry's number: the first chapter.
    """
    heading = _CONTENTS.search(text, first, latest)
    if heading is None:
        return None
    seen: set[str] = set()
    entries, last = 0, heading.end()
    for at, line in lines(text[heading.end() : end]):
        if not line:
            continue
        bare = line.lstrip("-*+• ")
        key = _KEY.match(bare)
        name = heading_key(bare) or (key.group() if key else bare).casefold()
        entry = is_heading(bare) or _ENTRY.match(line) or line.isupper()
        if len(line) > MAX_HEADING + 20 or name in seen or not entry:
            break
        seen.add(name)
        entries, last = entries + 1, heading.end() + at + len(line)
    return Span(heading.start(), last) if entries >= 3 else None
