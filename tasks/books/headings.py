"""Chapter headings in plain text: in the languages that novels come in, by words, numerals, or numbers alone.

A heading is a short line such as "CHAPTER IV", "Zweites Kapitel", "Chapitre premier. Où l'on part", "Глава первая",
"第三回　…", or a number in a line of its own where such numbers count up from 1.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import mean, median, pstdev
from typing import NamedTuple

from rrm.core.errors import InputError
from tasks.books.text import Line, lines, names

MAX_HEADING = 80  # characters
_MAX_TITLE = 60  # of a heading that is a number with a title
_MAX_CJK = 40

# ---- numbers ----

_ROMAN = r"(?=[ivxlcdm])m{0,3}(?:cm|cd|d?c{0,4})(?:xc|xl|l?x{0,4})(?:ix|iv|v?i{0,4})"
_DIGITS = r"\d{1,3}"
_NUMERAL = (
    rf"(?:n[.ro°º]{{0,3}}\s*)?(?:{_DIGITS}|{_ROMAN})(?:ers?|ères?|i?ème|me|st|nd|rd|th|[eºª°aoй]|-?(?:[аоы]?[йяе]))?"
)
_CJK_DIGITS = "〇零一二三四五六七八九十百千两兩廿卅壱弐参壹贰貳叁叄參肆伍陆陸柒捌玖拾０-９0-9"


def _joined(units: str, joint: str) -> str:
    """Return a pattern of numbers in words: units, or units joined."""
    return rf"(?:{units})(?:(?:{joint})(?:{units}))*"


ENGLISH = r"(?:the |a )?" + _joined(
    r"one|two|three|four(?:teen)?|five|six(?:teen)?|seven(?:teen)?|eight(?:een)?|nine(?:teen)?|ten|eleven|twelve"
    r"|thirteen|fifteen|(?:twen|thir|four|for|fif|six|seven|eigh|nine)t(?:y|ieth)|hundred(?:th)?|first|second|third"
    r"|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth"
    r"|(?:thir|four|fif|six|seven|eigh|nine)teenth|last",
    r"[- ]|[- ]and[- ]",
)
_GERMAN_UNITS = (
    r"ein|zwei|zwo|drei|vier|f(?:ü|ue)nf|sechs?|sieb(?:en)?|acht|neun|zehn|elf|zw(?:ö|oe)lf|zwanzig|drei(?:ß|ss)ig|und"
    r"|vierzig|f(?:ü|ue)nfzig|sechzig|siebzig|achtzig|neunzig|hundert"
)
GERMAN = (
    r"(?:d(?:as|er|ie) )?"
    rf"(?:(?:{_GERMAN_UNITS})*(?:ers|zwei|drit|sieb|ach|letz)te[rsnm]?|(?:{_GERMAN_UNITS})+(?:s?te[rsnm]?|s)?)"
)
FRENCH = _joined(
    r"une?|deux|trois|quatre|cinq|six|sept|huit|neuf|dix|onze|douze|treize|quatorze|quinze|seize|vingts?|trente"
    r"|quarante|cinquante|soixante|septante|[oh]u?[ic]tante|nonante|cents?|premier|premi[èe]re|seconde?"
    r"|derni(?:er|ère)|[a-zéèûç]{2,9}i[èe]me",
    r"[- ]|[- ]et[- ]",
)
_LATIN_TENS = (
    r"(?:und[ée]|duod[ée]|d[ée])?c|(?:vi|tri|cuadra|quadra|[cq]uincua|quinqua|sexa|septua|octo|nona)g[ée]s|cent[ée]s"
)
SPANISH = _joined(
    r"un[oa]?|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|trece|catorce|quince|diec[a-zéí]{4,8}"
    r"|veint[a-zéó]{1,8}|(?:trei|cuare|cincue|sese|sete|oche|nove)nta|cien(?:to)?|primer[oa]?|segund[oa]|tercer[oa]?"
    rf"|cuart[oa]|quint[oa]|sext[oa]|s[ée]p?tim[oa]|octav[oa]|noven[oa]|(?:{_LATIN_TENS}|[úu]lt)im[oa]",
    r"[- ]?|[- ]y[- ]",
)
ITALIAN = _joined(
    r"un[oa]?|due|tr[eé]|quattro|cinque|sei|sette|otto|nove|dieci|[a-z]{2,8}dici|dici[ao][a-z]{4,7}|diciotto"
    r"|(?:vent|trent|quarant|cinquant|sessant|settant|ottant|novant|cent)[a-zé]{0,8}|prim[oa]|second[oa]|terz[oa]"
    r"|quart[oa]|quint[oa]|sest[oa]|settim[oa]|ottav[oa]|non[oa]|decim[oa]|ultim[oa]|[a-zé]{2,20}esim[oa]",
    r"[- ]?|[- ]e[- ]",
)
PORTUGUESE = _joined(
    r"uma?|dois|duas|tr[êe]s|quatro|cinco|seis|sete|oito|nove|dez|onze|doze|treze|c?quatorze|catorze|quinze"
    r"|dez[ae]?[a-z]{4,6}|(?:vi|tri|quare|cinque|sesse|sete|oite|nove)nt[ae]|cem|cento|primeir[oa]|segund[oa]"
    rf"|terceir[oa]|quart[oa]|quint[oa]|sext[oa]|s[ée]tim[oa]|oitav[oa]|non[oa]|(?:{_LATIN_TENS}|[úu]lt)im[oa]",
    r"[- ]?|[- ]e[- ]",
)
RUSSIAN = _joined(
    r"(?:перв|втор|четв[её]рт|пят|шест|седьм|восьм|девят|десят|[а-я]{3,9}надцат|двадцат|тридцат|сороков|пятидесят"
    r"|(?:шести|семи|восьми)десят|девяност|сот|последн)(?:ая|ый|ой|ое|яя|ий|ее)|трет(?:ья|ий|ье)|один|одна|два|две"
    r"|три|четыре|пять|шесть|семь|восемь|девять|десять|[а-я]{3,9}надцать|двадцать|тридцать|сорок"
    r"|(?:пять|шесть|семь|восемь)десят|девяносто|сто",
    r" ",
)
_DUTCH_UNITS = (
    r"een|één|twee|drie|vier|vijf|zes|zeven|acht|negen|tien|elf|twaalf|dertien|veertien|(?:der|veer|tach)tig|twintig"
    r"|tig|honderd|[eë]n"
)
DUTCH = rf"(?:{_DUTCH_UNITS})*(?:eerste|derde|laatste)|(?:{_DUTCH_UNITS})+(?:ste|de)?"


class _Language(NamedTuple):
    """Words that begin or end a heading, and a pattern of numbers in words."""

    words: str
    numbers: str


_TENS = (
    r"sto|[^\W\d_]+(?:dziesiąt|dzieścia?|dzieści|dziesiąty|dziesty)|сто|сорок|двадцять|тридцять|п['’]ятдесят"
    r"|[^\W\d_]+десят|дев['’]яносто|(?:en |et)?hundrede?(?: og)?"
)
_ANY = rf"(?:(?:{_TENS}) )*[^\W\d_]+(?:['’][^\W\d_]+)?"  # a word, where the word for chapter means nothing else
_LANGUAGES = (
    _Language(r"chap(?:ter|\.)|ch\.|book|part|volume|vol\.|stave|canto|letter|act|section", ENGLISH),
    _Language(r"kapitel|capitel|buch|teil|theil|band|abschnitt|aufzug|brief|gesang", GERMAN),
    _Language(r"chap(?:itre|\.)|livre|partie|tome|lettre|acte|chant", FRENCH),
    _Language(r"cap(?:[íi]tulo|\.)|parte|libro|tomo|carta|acto|jornada", SPANISH),
    _Language(r"cap(?:itolo|\.)|capo|parte|libro|tomo|lettera|atto|canto", ITALIAN),
    _Language(r"cap[íi]tulo|parte|livro|tomo|carta|ato", PORTUGUESE),
    _Language(r"глава|часть|книга|том|действие|письмо|раздел|песнь", RUSSIAN),
    _Language(r"hoofdstuk|deel|boek", DUTCH),
    _Language(
        r"kapit(?:el|let|tel|tlet|lu)|luku|rozdział|kapitola|fejezet|bölüm|capitolul|capítol|capitulum|caput", _ANY
    ),
    _Language(r"κεφ[άα]λαιο|μ[έε]ρος|βιβλ[ίι]ο|розділ|частина|ĉapitro|поглавље|глава", _ANY),
)
_END = r"(?![^\W_])"  # the label ends with a whole word
_FORWARD = tuple(
    re.compile(rf"(?:{each.words})\s+(?:{_NUMERAL}|{each.numbers}){_END}", re.IGNORECASE) for each in _LANGUAGES
)
_BACKWARD = tuple(
    re.compile(rf"(?:{_NUMERAL}|{each.numbers})[.)]?\s+(?:{each.words}){_END}", re.IGNORECASE) for each in _LANGUAGES
)
_LABEL, _LABEL_AFTER = (
    re.compile("|".join(each.pattern for each in patterns), re.IGNORECASE) for patterns in (_FORWARD, _BACKWARD)
)
_CJK_LABEL = re.compile(
    rf"(?:(?:正文\s*)?第\s*[{_CJK_DIGITS}]{{1,7}}\s*[章回卷巻节節話话部篇編编集幕折夜]|[卷巻]之?[{_CJK_DIGITS}]{{1,4}}"
    rf"|[{_CJK_DIGITS}]{{1,4}}の[巻章]|その[{_CJK_DIGITS}]{{1,3}}|其の?[{_CJK_DIGITS}]{{1,3}}|제\s*\d{{1,3}}\s*[장부화권편회막])"
)
_CJK_LONE = re.compile(
    "序|序[章言文曲幕]|前言|楔子|引子|[尾終终]声|尾聲|[終终]章|后记|後記|结语|跋|番外.{0,8}|[上中下][卷巻部篇編]?|プロローグ|エピローグ|はじめに|おわりに|あとがき|まえがき"
)
_WORDS = names(
    "prologue epilogue preface foreword afterword introduction conclusion postscript prolog epilog vorwort nachwort"
    " vorrede einleitung nachspiel vorspiel épilogue préface avant-propos postface prólogo epílogo prefacio prefácio"
    " introducción introduccion introdução conclusión conclusão prologo epilogo prefazione introduzione conclusione"
    " premessa пролог"
    " эпилог предисловие послесловие введение вступление заключение voorwoord nawoord proloog epiloog förord efterord"
    " forord efterskrift wstęp zakończenie πρόλογος επίλογος"
)
_LONE = re.compile(rf"(?:[IVXL]{{1,8}}|(?i:{'|'.join(map(re.escape, sorted(_WORDS)))}))\.?")
_LOWER_TITLE = re.compile(  # "Chapter 1 in which a ferry is missed", "Part 2 of 3"
    r"(?:in which|wherein|where|how|containing|being|concerning|showing|treat(?:s|ing)|introduc(?:es|ing)"
    r"|(?:of|von|de|di|из)\s+\d|wie|wo(?:rin)?|in (?:dem|welchem)|où|dans lequel|comment|donde|en (?:que|(?:el|la) que)"
    r"|que tra[td]a|nel quale|in cui|dove|come|em que|onde|no qual|do que|в котор|о том|где|как)\b",
    re.IGNORECASE,
)
_NUMBERED = re.compile(
    rf"(?:[§*]\s*)?(?P<digits>\d{{1,3}}|[０-９]{{1,3}}|[IVXLC]{{1,8}}|[〇一二三四五六七八九十百]{{1,5}}|[(（][一二三四五六七八九十]{{1,3}}[)）])"
    rf"(?P<rest>(?:[.)、:—–-]+|\s(?=\S)|　).{{0,{_MAX_TITLE}}})?"
)


def _label(line: str) -> int:
    """Return where a line's label ends whose first word is one for chapter, the longest of all languages'; or 0."""
    return max((each.end() for each in _matches(_FORWARD, line)), default=0) if _LABEL.match(line) else 0


def _label_after(line: str) -> int:
    """Return the same of a label that ends with the word."""
    return max((each.end() for each in _matches(_BACKWARD, line)), default=0) if _LABEL_AFTER.match(line) else 0


def _matches(patterns: Sequence[re.Pattern[str]], line: str) -> Iterator[re.Match[str]]:
    return (found for each in patterns if (found := each.match(line)) is not None)


def is_heading(line: str) -> bool:
    """Say whether a line begins as a heading does, with a word for chapter and a number, or is one by its word."""
    return bool(
        _LABEL.match(line)
        or _LABEL_AFTER.match(line)
        or _CJK_LABEL.match(line)
        or _LONE.fullmatch(line)
        or _CJK_LONE.fullmatch(line)
    )


def heading_key(line: str) -> str | None:
    """Return what tells a heading from others, its label without its title; None for a line without one."""
    cjk = _CJK_LABEL.match(line)
    if end := _label(line) or _label_after(line) or (cjk.end() if cjk else 0):
        return " ".join(line[:end].casefold().split())
    return line.casefold() if is_heading(line) else None


class Chapters(NamedTuple):
    """The offsets of the lines that head a chapter; `doubtful` as in `Counted`."""

    starts: Sequence[int]
    doubtful: bool = False


def chapter_lines(text: str) -> Chapters:
    """Return the lines that head a chapter: by their words, else by numbers that count up from 1."""
    if labelled := list(_labelled(text)):
        return Chapters(labelled)
    headings, _, doubtful = counted(text)
    return Chapters([line.start for line in headings if line.start], doubtful)


def lines_like(text: str, pattern: str, where: str) -> list[int]:
    """Return the offsets of the lines that a user's pattern matches from their beginning; InputError for none."""
    try:
        like = re.compile(pattern)
    except re.error as error:
        raise InputError(f"{where}: chapters = {pattern!r} is no regular expression: {error}") from error
    found = [line.start for line in lines(text) if line.text and like.match(line.text)]
    if not found:
        raise InputError(f"{where}: no line begins as chapters = {pattern!r} says")
    return [start for start in found if start]


def _labelled(text: str) -> Iterator[int]:
    """Yield the offsets of lines like "CHAPTER IV" or "Epilogue" that stand apart from what is before them."""
    before = ""
    all_lines = list(lines(text))
    for number, (start, line) in enumerate(all_lines):
        if line and start and len(line) <= MAX_HEADING:
            line = _undecorated(line)
            after = all_lines[number + 1].text if number + 1 < len(all_lines) else ""
            if _heads(line, bool(before), bool(after)):
                yield start
        before = line


_DECORATION = "_*[]=~ \t"
_SPACED = re.compile(r"(?<!\S)(?:[^\W\d_] ){4,}[^\W\d_](?!\S)")


def _undecorated(line: str) -> str:
    """Return a line without the marks around it, such as italics', and without spaces between all letters of a word."""
    return _SPACED.sub(lambda match: match.group().replace(" ", ""), line.strip(_DECORATION))


def _heads(line: str, before: bool, after: bool) -> bool:
    """Say whether a line is a heading, given whether there are lines right before and right after it."""
    if (label := _CJK_LABEL.match(line)) is not None:
        rest = line[label.end() :]
        apart = not rest or rest[0] in "　 \t:：.．、—－-「『【（(《" or not (before and after)
        return apart and len(line) <= _MAX_CJK and line[-1] not in "。，；、,;"
    if before:
        return False
    if end := _label(line):
        rest = line[end:]
        return not rest.strip(" .:;,—–-") or (not after and _is_title(rest))
    if end := _label_after(line):
        rest = line[end:].strip()
        return not rest.strip(".:—–-") or (rest[0] in ".:—–-" and not after)
    return not after and bool(_LONE.fullmatch(line) or _CJK_LONE.fullmatch(line))


def _is_title(rest: str) -> bool:
    """Say whether what follows a heading's label may be its title, and does not go on with a sentence."""
    title = rest.lstrip(" .:;,—–-\t")
    parted = any(sign in ".:—–-" for sign in rest[: len(rest) - len(title)])
    return parted or not title[:1].islower() or _LOWER_TITLE.match(title) is not None


# ---- numbers alone: chapters, or a scan's pages ----


class _Numbered(NamedTuple):
    start: int
    text: str
    number: int
    alone: bool


class Counted(NamedTuple):
    """Lines that count up by one: those that head chapters, and those that number pages.

    They are `doubtful` where chapters are so short and even that the numbers may be those of pages.
    """

    headings: Sequence[Line] = ()
    pages: Sequence[Line] = ()
    doubtful: bool = False


_LIST = 60  # characters from number to number, up to which three or more are a list
_SHORTEST = 300  # characters that most chapters have at least


def counted(text: str) -> Counted:
    """Return the lines that hold a number, with or without a title, and count up."""
    found = _without_lists(list(_numbered_lines(text)), text)
    for kind in (lambda each: each.alone, lambda each: True):
        rows = [each for each in found if kind(each)]
        for run in _runs(rows):
            as_lines = [Line(each.start, each.text) for each in run]
            gaps = [b.start - a.start for a, b in pairwise(run)]
            if all(each.alone for each in run):
                if _interrupts(text, run):
                    return Counted(pages=as_lines)
                even = len(run) >= 20 and mean(gaps) < 3500 and pstdev(gaps) < 0.35 * mean(gaps)
                if even and run[0].number != 1:
                    return Counted(pages=as_lines)
                if run[0].number == 1 and median(gaps) > _SHORTEST:
                    return Counted(as_lines, doubtful=even)
            elif run[0].number == 1 and min(gaps) > _SHORTEST:
                return Counted(headings=as_lines)
    return Counted()


def _numbered_lines(text: str) -> Iterator[_Numbered]:
    before = ""
    all_lines = list(lines(text))
    for at, (start, line) in enumerate(all_lines):
        after = all_lines[at + 1].text if at + 1 < len(all_lines) else ""
        if line and not before and not after and len(line) <= MAX_HEADING and (match := _NUMBERED.fullmatch(line)):
            rest = (match["rest"] or "").strip(" .)、:—–-\t　")
            number = number_of(match["digits"].strip("()（）"))
            if number and (not rest or line[-1] not in ".,;!?。，；…"):
                yield _Numbered(start, line, number, not rest)
        before = line


def _without_lists(rows: Sequence[_Numbered], text: str) -> list[_Numbered]:
    """Leave out numbers that stand close to each other, three or more in turn: those of a list, not of chapters."""
    streaks: list[list[_Numbered]] = []
    for row in rows:
        before = streaks[-1][-1] if streaks else None
        if before and row.number == before.number + 1 and row.start - before.start < _LIST:
            streaks[-1].append(row)
        else:
            streaks.append([row])
    return [row for streak in streaks for row in streak if len(streak) < 3]


def _runs(rows: Sequence[_Numbered]) -> Iterable[Sequence[_Numbered]]:
    """Yield the runs of two or more lines that count up by one, the longest first; what stands between is left out.

    A number that could go on with several runs goes on with the one whose numbers stand furthest apart.
    """
    runs: list[list[_Numbered]] = []
    for row in rows:
        known = [run for run in runs if run[-1].number + 1 == row.number]
        if known:
            max(known, key=_spacing).append(row)
        else:
            runs.append([row])
    return sorted((run for run in runs if len(run) > 1), key=len, reverse=True)


def _spacing(run: Sequence[_Numbered]) -> float:
    return (run[-1].start - run[0].start) / max(1, len(run) - 1)


def _interrupts(text: str, run: Sequence[_Numbered]) -> bool:
    """Say whether lone numbers are those of pages: every fifth or more interrupts a sentence."""
    return len(run) > 2 and interrupts(text, [Line(each.start, each.text) for each in run])


def interrupts(text: str, run: Sequence[Line]) -> bool:
    """Say whether lines stand within sentences: two or more of them, and every fifth."""
    return sum(_is_within_sentence(text, each) for each in run) >= max(2, len(run) / 5)


def _is_within_sentence(text: str, number: Line) -> bool:
    """Say whether a sentence goes on behind a line, in the next line or behind a running title."""
    end = text[max(0, number.start - 200) : number.start].rstrip()[-1:]
    if not end or not (end.isalnum() or end in ",;-—‐"):
        return False
    behind = text[number.start + len(number.text) :][:200].split("\n")
    begins = [line.strip()[:1] for line in behind if line.strip()][:2]
    return any(sign.isalpha() and not sign.isupper() for sign in begins)


_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_CJK_VALUES = {sign: value for value, sign in enumerate("〇一二三四五六七八九")}
_ROMAN_LINE = re.compile(_ROMAN, re.IGNORECASE)


def number_of(digits: str) -> int | None:
    """Return the number that digits, a Roman numeral or a Chinese one write; None for what is none."""
    if digits.isdecimal():
        return int(digits)
    if digits and all(sign in _ROMAN_VALUES for sign in digits):
        if not _ROMAN_LINE.fullmatch(digits):
            return None
        values = [_ROMAN_VALUES[sign] for sign in digits]
        return sum(-a if b > a else a for a, b in pairwise([*values, 0]))
    total = ones = 0
    for sign in digits:
        if sign in "十百":
            total += (ones or 1) * (10 if sign == "十" else 100)
            ones = 0
        elif sign in _CJK_VALUES:
            ones = ones * 10 + _CJK_VALUES[sign]
        else:
            return None
    return total + ones or None
