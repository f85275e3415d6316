"""Chapter headings in plain text: in the languages that novels come in, by words, numerals, or numbers alone.

A heading is a short line such as "CHAPTER IV", "Zweites Kapitel", "Chapitre premier. Où l'on part", "Глава первая",
"第三回　…", or a number in a line of its own where such numbers count up from 1.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import mean, pstdev
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
_CJK_DIGITS = "〇零一二三四五六七八九十百千两兩廿卅壱弐参０-９0-9"

ENGLISH = (
    r"(?:the )?(?:(?:twenty|thirty|forty|fifty)(?:[- ]))?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth"
    r"|tenth|eleventh|twelfth|(?:thir|four|fif|six|seven|eigh|nine)teenth|(?:twent|thirt|fort|fift)ieth|last)"
    r"|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|(?:twenty|thirty|forty|fifty)(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?"
)
GERMAN = (
    r"(?:d(?:as|er|ie) )?(?:erst|zweit|dritt|viert|fünft|sechst|sieb(?:en)?t|acht|neunt|zehnt|elft|zwölft|letzt"
    r"|[a-zäöüß]{2,12}zehnt|[a-zäöüß]{0,14}(?:zwanzig|[dv][a-zäöü]{2,4}[ßz]ig|[fns][a-zäöü]{3,5}zig|achtzig)st)e[rsn]?"
    r"|eins?|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|elf|zwölf|[a-zäöüß]{3,8}zehn"
    r"|[a-zäöüß]{0,12}(?:zwanzig|dreißig|dreissig|vierzig|fünfzig)"
)
FRENCH = (
    r"premier|premi[èe]re|seconde?|derni(?:er|ère)"
    r"|(?:(?:vingt|trente|quarante|cinquante)(?:[- ]et)?[- ])?[a-zéèûç]{3,9}i[èe]me"
    r"|(?:(?:vingt|trente|quarante|cinquante)(?:(?:[- ]et)?[- ]))?(?:une?|deux|trois|quatre|cinq|six|sept|huit|neuf|dix"
    r"|onze|douze|treize|quatorze|quinze|seize|dix[- ](?:sept|huit|neuf))|vingt|trente|quarante|cinquante"
)
SPANISH = (
    r"(?:(?:décim|decim|vigésim|vigesim|trigésim|trigesim)[oa][- ]?)?(?:primer[oa]?|segund[oa]|tercer[oa]?|cuart[oa]"
    r"|quint[oa]|sext[oa]|s[ée]ptim[oa]|octav[oa]|noven[oa])|(?:d[ée]cim|und[ée]cim|duod[ée]cim|vig[ée]sim"
    r"|trig[ée]sim|[úu]ltim)[oa]|un[oa]?|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|trece|catorce"
    r"|quince|diec[a-zéí]{4,8}|veint[a-zéó]{1,8}|(?:treinta|cuarenta|cincuenta)(?: y [a-z]{3,6})?"
)
ITALIAN = (
    r"prim[oa]|second[oa]|terz[oa]|quart[oa]|quint[oa]|sest[oa]|settim[oa]|ottav[oa]|non[oa]|(?:decim[oa] ?"
    r"(?:prim[oa]|second[oa]|terz[oa]|quart[oa]|quint[oa]|sest[oa]|settim[oa]|ottav[oa]|non[oa])?)|[a-zé]{3,14}esim[oa]"
    r"|ultim[oa]|un[oa]?|due|tre|quattro|cinque|sei|sette|otto|nove|dieci|[a-z]{2,8}dici|dicia[a-z]{4,6}"
    r"|(?:vent|trent|quarant|cinquant)[a-zé]{1,8}"
)
PORTUGUESE = (
    r"(?:(?:d[ée]cim|vig[ée]sim|trig[ée]sim)[oa][- ]?)?"
    r"(?:primeir[oa]|segund[oa]|terceir[oa]|quart[oa]|quint[oa]|sext[oa]"
    r"|s[ée]tim[oa]|oitav[oa]|non[oa])|(?:d[ée]cim|vig[ée]sim|trig[ée]sim|[úu]ltim)[oa]|uma?|dois|duas|três|tres|quatro"
    r"|cinco|seis|sete|oito|nove|dez|onze|doze|treze|c?quatorze|catorze|quinze|dez[a-z]{5,8}|(?:vinte|trinta|quarenta"
    r"|cinquenta)(?: e [a-zê]{2,6})?"
)
RUSSIAN = (
    r"(?:(?:двадцать|тридцать|сорок|пятьдесят) )?(?:перв|втор|четв[её]рт|пят|шест|седьм|восьм|девят|десят"
    r"|[а-я]{4,9}надцат|двадцат|тридцат|сороков|пятидесят|последн)(?:ая|ый|ой|ое|яя|ий|ее)|трет(?:ья|ий|ье)"
    r"|(?:двадцать|тридцать|сорок|пятьдесят) треть(?:я|е)|один|одна|два|две|три|четыре|пять|шесть|семь|восемь|девять"
    r"|десять|[а-я]{4,9}надцать|(?:двадцать|тридцать|сорок|пятьдесят)(?: [а-я]{3,6})?"
)


class _Language(NamedTuple):
    """Words that begin or end a heading, a pattern of numbers in words, and whether a heading may end in its word."""

    words: str
    numbers: str
    after: bool = True


_ANY = r"[^\W\d_]{2,16}"  # one word, where the word for chapter means nothing else
_LANGUAGES = (
    _Language(r"chapter|book|part|volume|vol\.|stave|canto|letter|act|section", ENGLISH),
    _Language(r"kapitel|capitel|buch|teil|theil|band|abschnitt|aufzug|brief|gesang", GERMAN),
    _Language(r"chapitre|livre|partie|tome|lettre|acte|chant", FRENCH),
    _Language(r"cap[íi]tulo|parte|libro|tomo|carta|acto|jornada", SPANISH),
    _Language(r"capitolo|capo|parte|libro|tomo|lettera|atto|canto", ITALIAN),
    _Language(r"cap[íi]tulo|parte|livro|tomo|carta|ato", PORTUGUESE),
    _Language(r"глава|часть|книга|том|действие|письмо|раздел|песнь", RUSSIAN),
    _Language(r"hoofdstuk|deel|boek", _ANY + "(?:de|ste)|een|twee|drie|vier|vijf|zes|zeven|acht|negen|tien"),
    _Language(
        r"kapit(?:el|let|tel|tlet|lu)|luku|rozdział|kapitola|fejezet|bölüm|capitolul|capítol|capitulum|caput", _ANY
    ),
    _Language(r"κεφ[άα]λαιο|μ[έε]ρος|βιβλ[ίι]ο|розділ|частина|ĉapitro|поглавље|глава", _ANY),
)
_END = r"(?![^\W_])"  # the label ends with a whole word
_FORWARD = "|".join(rf"(?:{each.words})\s+(?:{_NUMERAL}|{each.numbers}){_END}" for each in _LANGUAGES)
_BACKWARD = "|".join(rf"(?:{_NUMERAL}|{each.numbers})[.)]?\s+(?:{each.words}){_END}" for each in _LANGUAGES)
_LABEL = re.compile(_FORWARD, re.IGNORECASE)
_LABEL_AFTER = re.compile(_BACKWARD, re.IGNORECASE)
_CJK_LABEL = re.compile(
    rf"(?:第\s*[{_CJK_DIGITS}]{{1,7}}\s*[章回卷巻节節話话部篇編编集幕折夜]|[卷巻]之?[{_CJK_DIGITS}]{{1,4}}"
    rf"|その[{_CJK_DIGITS}]{{1,3}}|其の?[{_CJK_DIGITS}]{{1,3}}|제\s*\d{{1,3}}\s*[장부화권편회막])"
)
_CJK_LONE = re.compile(
    "序|序[章言文曲幕]|前言|楔子|引子|[尾終终]声|尾聲|[終终]章|后记|後記|结语|跋|番外.{0,8}|[上中下][卷巻部篇編]|プロローグ|エピローグ|はじめに|おわりに|あとがき|まえがき"
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
_NUMBERED = re.compile(
    rf"(?:[§*]\s*)?(?P<digits>\d{{1,3}}|[０-９]{{1,3}}|[IVXLC]{{1,8}}|[〇一二三四五六七八九十百]{{1,5}}|[(（][一二三四五六七八九十]{{1,3}}[)）])"
    rf"(?P<rest>(?:[.)、:—–-]+|\s(?=\S)|　).{{0,{_MAX_TITLE}}})?"
)


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
    label = _LABEL.match(line) or _LABEL_AFTER.match(line) or _CJK_LABEL.match(line)
    if label:
        return " ".join(label.group().casefold().split())
    return line.casefold() if is_heading(line) else None


def chapter_lines(text: str) -> list[int]:
    """Return the offsets of lines that head a chapter: by their words, else by numbers that count up from 1."""
    found = list(_labelled(text))
    return found or [line.start for line in counted(text).headings if line.start]


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
            after = all_lines[number + 1].text if number + 1 < len(all_lines) else ""
            if _heads(line, bool(before), bool(after)):
                yield start
        before = line


def _heads(line: str, before: bool, after: bool) -> bool:
    """Say whether a line is a heading, given whether there are lines right before and right after it."""
    if (label := _CJK_LABEL.match(line)) is not None:
        rest = line[label.end() :]
        apart = not rest or rest[0] in "　 \t:：.．、—－-「『【（(《" or not (before and after)
        return apart and len(line) <= _MAX_CJK and line[-1] not in "。，；、,;"
    if before:
        return False
    if (label := _LABEL.match(line)) is not None:
        return not line[label.end() :].strip(" .:;,—–-") or not after
    if (label := _LABEL_AFTER.match(line)) is not None:
        rest = line[label.end() :].strip()
        return not rest.strip(".:—–-") or (rest[0] in ".:—–-" and not after)
    return not after and bool(_LONE.fullmatch(line) or _CJK_LONE.fullmatch(line))


# ---- numbers alone: chapters, or a scan's pages ----


class _Numbered(NamedTuple):
    start: int
    text: str
    number: int
    alone: bool


class Counted(NamedTuple):
    """Lines that count up by one: those that head chapters, and those that number pages."""

    headings: Sequence[Line] = ()
    pages: Sequence[Line] = ()


def counted(text: str) -> Counted:
    """Return the lines that hold a number, with or without a title, and count up."""
    found = list(_numbered_lines(text))
    for kind in (lambda each: each.alone, lambda each: True):
        rows = [each for each in found if kind(each)]
        for run in _runs(rows):
            as_lines = [Line(each.start, each.text) for each in run]
            if all(each.alone for each in run):
                if _numbers_pages(text, run):
                    return Counted(pages=as_lines)
                if run[0].number == 1:
                    return Counted(headings=as_lines)
            elif run[0].number == 1 and min(b.start - a.start for a, b in pairwise(run)) > 300:
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


def _runs(rows: Sequence[_Numbered]) -> Iterable[Sequence[_Numbered]]:
    """Yield the runs of two or more lines that count up by one, the longest first; what stands between is left out."""
    runs: list[list[_Numbered]] = []
    for row in rows:
        known = next((run for run in runs if run[-1].number + 1 == row.number), None)
        if known is not None:
            known.append(row)
        else:
            runs.append([row])
    return sorted((run for run in runs if len(run) > 1), key=len, reverse=True)


def _numbers_pages(text: str, run: Sequence[_Numbered]) -> bool:
    """Say whether lone numbers are those of pages: they interrupt sentences, or are many at equal distances."""
    ends = (text[max(0, each.start - 200) : each.start].rstrip()[-1:] for each in run)
    broken = sum(bool(end) and (end.isalnum() or end in ",;-—") for end in ends)
    if len(run) > 2 and broken >= max(2, len(run) / 5):
        return True
    gaps = [b.start - a.start for a, b in pairwise(run)]
    return len(run) >= 20 and mean(gaps) < 3500 and pstdev(gaps) < 0.35 * mean(gaps)


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
