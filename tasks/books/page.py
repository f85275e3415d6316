"""A page as its reader sees it: blocks of text, without what is hidden, notes, or a page's furniture."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from tasks.books.styles import OFF_SCREEN, Styles, floats_aside, makes_block, raises
from tasks.books.text import Block, names, several
from tasks.books.tree import BLOCKS, HEADINGS, Element

DROPPED = names("script style template head title rp")
_STAND_INS = names("audio video canvas iframe noscript")  # what they hold is for where media or scripts do not run
_CONTROLS = names("select textarea button")

# ---- what is no running text ----

_STYLE_HIDES = re.compile(
    r"(?:^|[;\s])(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|font-size\s*:\s*0(?![.\d]*[1-9])"
    rf"|opacity\s*:\s*0(?:\.0*)?\s*(?:;|!|$)|{OFF_SCREEN})",
    re.IGNORECASE,
)
_HIDDEN_CLASSES = names("sr-only visually-hidden visuallyhidden screen-reader-text screenreader")
_MARK_TYPES = names("noteref annoref")
_NOTE_TYPES = names("footnote footnotes endnote endnotes rearnote rearnotes")
_NOTE_CLASSES = _NOTE_TYPES | names("footnote-text footnotetext footnotebody fnote")
_CONTENTS_TYPES = names("toc toc-brief landmarks page-list pagelist loi lot lov loa")
_INDEX_TYPES = names("index index-entry-list")
_EDITION_TYPES = names("copyright-page imprint colophon other-credits")
_EDITION_CLASSES = names("pg-boilerplate pgheader pgfooter")
_EDITION_IDS = names("pg-header pg-footer pg-machine-header")
_PARAGRAPHS = names("p li dd div aside")
_PAGE_TYPES = names("pagebreak")
_PAGE_CLASS = re.compile(r"page(?:[-_]?(?:break|num(?:ber)?|no)s?)?|pgnum|pgno|pagination|pn|line-?num(?:ber)?|lnum")
_PAGE = re.compile(
    r"[\[({|\s]*(?:(?:p(?:g|p|age|ágina|agina)?|s(?:eite)?|стр)\b\.?\s*)?[\divxlcdm]{1,7}[a-z]?[\])}|\s]*",
    re.IGNORECASE,
)
_MARK_CLASS = re.compile(
    r"(?:foot|end)?note?[-_]?(?:ref|anchor|mark|call|num|no|link)[\w-]*|fn[-_]?(?:ref|anchor|mark|call|num|link)?\d*"
    r"|reference|superscript-note"
)
_MARK_PLACE = re.compile(r"#.*?(?:fn|note|ftn|endnote|anmerk|_ftn|_edn|cite)", re.IGNORECASE)
_MARK = re.compile(r"[\[({]?\s*(?:\d{1,3}|[*†‡§¶‖#]{1,4}|[a-zA-Z]|[ivx]{1,5}|注\s*\d{0,3}|[①-⑳])\s*[\])}]?")
_BRACKETED_MARK = re.compile(r"[\[({]\s*(?:\d{1,3}|[*†‡§¶‖]{1,4}|[a-zA-Z]|注\s*\d{0,3})\s*[\])}]|[*†‡§¶‖]{1,4}|[①-⑳]")
_NUMBER = re.compile(r"\d{1,3}")
_BACK = re.compile(r"[\s↩︎↑⤴^←\ufe0e]+|\[?\s*(?:back|return|zurück|retour)\s*\]?", re.IGNORECASE)
_AFTER_WORD = re.compile(r"(?:[^\W\d_]{2,}|(?<!\d)(?:1\d|20)\d\d|[.,;:!?…\"'”’»)\]。、」』—–])$")  # "in 1815" is a year
_LAST_WORD = re.compile(r"[^\W\d_]+$")
_LETTER_MARK = re.compile(r"[b-np-z]|[ivx]{2,4}")  # "1.<sup>o</sup>", "D.<sup>a</sup>" are ordinals and titles
_AFTER_SENTENCE = re.compile(r"[^\W\d_]{3,}[.,;:!?…\"'”’»)]+$")
_SIGN = re.compile(r"[*†‡§¶‖]{1,4}")
_POWERS = names(
    "km hm dm cm mm nm um µm μm mi yd ft in hr min sec ms kg mg lb ha sq sin cos tan log ln exp dx dy"
    " metre metres meter meters kilometre kilometres kilometer kilometers centimetre centimetres centimeter"
    " centimeters millimetre millimetres millimeter millimeters foot feet inch inches yard yards mile miles"
)
"""Before a raised number: what it is a power of."""
_FORMULA = re.compile(r"[b-df-hj-np-tv-xz]{2,3}", re.IGNORECASE)  # as in mc²: no word has so few letters and no vowel
_RAISED_CLASSES = names("sup super superscript")
_RAISED_DIGITS = str.maketrans("0123456789+-−()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁽⁾")
_RAISED_NUMBER = re.compile(r"[+\-−]?\d[\d+\-−()]*|[+\-−]")

_CAP_CLASS = re.compile(
    r"drop(?:ped|[-_]?letter)?|drop[-_]?cap[\w-]*|.*dropcap.*|l?ett?rines?|initials?|first-?letter|capital|versal|lettrine.*"
)
_CAP_ALT = re.compile(
    r"(?:(?:drop ?cap(?:ital)?|(?:decorat|ornament)\w*|letter|initial|capital|lettrine|initiale?)\W+)+(\w)", re.I
)
_CAP = re.compile(r"[“”\"‘’'«„¡¿—]?\s?[^\W\d_][’']?")
_WORDS_OF_ONE_LETTER = frozenset("AIOaioYÀÁÉEÈUyàáéeuЯВИОУСКАявиоуска")

_PICTURE = re.compile(r"[^?#]*\.(?:svgz?|png|jpe?g|gif|webp|bmp|tiff?)(?:[?#].*)?", re.IGNORECASE | re.DOTALL)
_PARTING = "\ue000"  # in the place of a note's mark, which parts the words around it
_WIDE = "\u2e80-\ud7ff\uf900-\ufaff\uff00-\uffef"  # scripts that put no space between words
_PARTED = re.compile(rf"(?<=[^\W_{_WIDE}]){_PARTING}+(?=[^\W_{_WIDE}])")
_PLAIN = Styles()
_BROKEN = re.compile(r"(?<=\w)-[ \t]*\n\s*(?=\w)")
_SPACE = re.compile(r"\s+")
_LEFT_OUT = {
    "mark": "note mark",
    "page": "page number",
    "hidden": "hidden passage",
    "note": "note",
    "contents": "list of contents",
    "index": "index",
    "frame": "frame of a page",
    "stand-in": "text for where media or scripts do not run",
    "control": "form control",
    "edition": "page about the edition",
    "reading": "ruby reading",
}


@dataclass
class LeftOut:
    """What was left out of a book's pages: how often by kind, and how many words of notes and about the edition."""

    times: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    folded: int = 0
    perhaps: int = 0

    def notes(self) -> list[str]:
        """Return what was left out, and what is read though a page shows it only when it is asked for: sentences."""
        said = self.sentence()
        folded = f"read, though pages show it only when it is opened or searched for: {several(self.folded, 'passage')}"
        perhaps = f"read, though a style sheet may hide it: {several(self.perhaps, 'passage')}"
        notes = ((said, bool(said)), (folded, self.folded), (perhaps, self.perhaps))
        return [note for note, count in notes if count]

    def add(self, kind: str, text: str) -> None:
        self.times[kind] += 1
        self.words[kind] += len(text.split())

    def sentence(self) -> str:
        """Return what was left out in words, nothing if nothing was."""
        counted = [
            several(self.times[kind], name, _PLURALS.get(kind, ""))
            + (f" ({several(self.words[kind], 'word')})" if kind in _WORDY else "")
            for kind, name in _LEFT_OUT.items()
            if self.times[kind]
        ]
        return f"left out of the pages: {', '.join(counted)}" if counted else ""


_WORDY = names("note edition hidden stand-in control index frame")
_PLURALS = {"stand-in": "texts for where media or scripts do not run", "contents": "lists of contents",
            "index": "indexes", "frame": "frames of pages",
            "edition": "pages about the edition"}  # fmt: skip


class Page:
    """A page's blocks, its title, and whether it shows pictures."""

    def __init__(self, root: Element, left_out: LeftOut, styles: Styles = _PLAIN) -> None:
        self.blocks: list[Block] = []
        self.pictures = 0
        self.title = next((each.text for each in root.elements() if each.tag == "title" and each.text), "")
        self._root, self._left_out, self._styles = root, left_out, styles
        self._words: list[str] = []
        self._cap = ""  # a drop cap that waits for the rest of its word
        self._cap_apart = True  # whether space in front of the rest is space between them
        self._pre = False
        self._read(root)
        self._end_block()
        if self._cap:
            self.blocks.append(Block(False, self._cap))

    def _read(self, element: Element) -> None:
        for child in element.children:
            if isinstance(child, str):
                self._write(child)
            else:
                self._enter(child)

    def _enter(self, element: Element) -> None:
        tag = element.tag
        if tag in DROPPED:
            return
        if (kind := self._kind(element)) is not None:
            self._left_out.add(kind, element.text)
            if tag in BLOCKS:
                self._end_block()
            elif kind == "mark":
                self._words.append(_PARTING)
            return
        self._left_out.folded += _is_folded(element)
        if self._styles.perhaps and element.text and not element.selectors.isdisjoint(self._styles.perhaps):
            self._left_out.perhaps += 1
        if tag in ("svg", "math", "img", "image"):
            self._draw(element)
        elif tag == "br":
            self._words.append("\n")
        elif tag == "switch":
            self._read(_chosen(element))
        elif tag == "q":
            self._read(Element("span", {}, ["“", *element.children, "”"]))
        elif self._is_cap(element):
            self._write_cap(element.text)
        elif self._is_raised(element) and _RAISED_NUMBER.fullmatch(element.text):
            self._write(element.text.translate(_RAISED_DIGITS))  # a power: "10⁶" is not 106
        elif tag in BLOCKS or self._is_block(element):
            self._end_block()
            before, self._pre = self._pre, self._pre or tag == "pre"
            self._read(element)
            self._end_block(tag in HEADINGS)
            self._pre = before
        else:
            self._read(element)

    def _draw(self, element: Element) -> None:
        """Read the words of a drawing or a formula; of a picture, the letter that it paints."""
        if element.tag == "math":
            parts = (each.text for each in element.elements() if each.tag in ("mi", "mn", "mo", "mtext", "ms"))
            self._write(element.attributes.get("alttext") or " ".join(parts))
            return
        self.pictures += 1
        if element.tag == "svg":
            self._read_drawing(element)
        else:
            letter = " ".join(element.attributes.get("alt", "").split())
            if (named := _CAP_ALT.fullmatch(letter)) is not None:
                letter = named[1].upper()
            if letter and _CAP.fullmatch(letter):
                self._write_cap(letter)

    def _read_drawing(self, element: Element) -> None:
        for inner in element.elements_below():
            if self._kind(inner) is not None:
                self._left_out.add("hidden", inner.text)
            elif inner.tag == "text":
                self._end_block()
                self._write(_lines_of_drawing(inner))
                self._end_block()
            elif inner.tag == "foreignobject":
                self._read(inner)
            else:
                self._read_drawing(_chosen(inner) if inner.tag == "switch" else inner)

    # ---- drop caps ----

    def _is_cap(self, element: Element) -> bool:
        if element.tag in HEADINGS or not _CAP.fullmatch(element.text):
            return False
        if any(_CAP_CLASS.fullmatch(name) for name in element.classes):
            return True
        return element.text[-1:].isupper() and self._is(element, floats_aside, self._styles.floats)

    def _write_cap(self, letter: str) -> None:
        if "".join(self._words).strip():  # within a line it is no drop cap, or one that needs no care
            self._words.append(letter)
        else:
            self._cap += letter
            self._cap_apart = True

    def _with_cap(self, rest: str, apart: bool) -> str:
        """Return a block with the drop cap before it; `apart` says that there is space between them in the file."""
        cap, self._cap = self._cap, ""
        first = re.match(r"[^\W\d_]+", rest)
        if first is None:
            return cap + rest
        letter, word = cap[-1] if cap[-1].isalpha() else cap[-2:-1], first.group()
        if word[0] == letter and letter.isupper() and word[1:].islower():
            return rest  # the letter that the picture paints is written out, too
        if word[0].isupper() and not word.isupper():
            return f"{cap} {rest}"
        whole = (letter + word).casefold()
        by_itself = letter in _WORDS_OF_ONE_LETTER and whole not in self._known
        return f"{cap} {rest}" if by_itself and (apart or word.casefold() in self._known) else cap + rest

    @cached_property
    def _known(self) -> Counter[str]:
        """The words of the page, those counted once left out: the one that is in question is among them."""
        words = Counter(word.casefold() for word in re.findall(r"[^\W\d_]+", " ".join(self._root.texts())))
        return Counter({word: count for word, count in words.items() if count > 1})

    # ---- text ----

    def _write(self, text: str) -> None:
        if self._pre:
            self._words.append(text)
        else:  # a hyphen at the end of a line of the file may be that of a broken word
            broken = _BROKEN.sub("-\0", text) if "-" in text and "\n" in text else text
            self._words.append(_SPACE.sub(" ", broken).replace("\0", "\n"))

    def _end_block(self, heading: bool = False) -> None:
        whole = "".join(self._words)
        self._words.clear()
        if not whole.strip():
            self._cap_apart = False  # a cap in a block of its own
            return
        whole = _PARTED.sub(" ", whole).replace(_PARTING, "")
        if not self._pre:
            whole = re.sub(" {2,}", " ", whole)
        text = "\n".join(line.rstrip() if self._pre else line.strip(" ") for line in whole.split("\n")).strip("\n")
        if self._cap:
            text = self._with_cap(text, whole[0].isspace() and self._cap_apart)
        self.blocks.append(Block(heading, text))

    # ---- what is left out ----

    def _kind(self, element: Element) -> str | None:
        """Return as what an element is left out, None where it is read."""
        tag, types, classes, attributes = element.tag, element.types, element.classes, element.attributes
        if tag in ("rt", "rtc"):
            return "reading"
        if tag in _STAND_INS or (tag == "object" and _shows_picture(element)):
            self.pictures += tag == "object"
            return "stand-in" if element.text else None
        if tag in _CONTROLS:
            return "control" if element.text else None
        if self._is_hidden(element):
            return "hidden" if element.text else None
        if types & _MARK_TYPES or tag in ("noteref", "annoref") or self._is_mark(element):
            return "mark"
        if self._is_page(element):
            return "page"
        if tag == "body" or tag == "html":
            types = types - _NOTE_TYPES
        if types & _NOTE_TYPES or tag == "note" or (tag in BLOCKS and classes & _NOTE_CLASSES):
            return "note"
        if tag in _PARAGRAPHS and self._is_note(element):
            return "note"
        if types & _CONTENTS_TYPES or tag == "nav":
            return "contents" if element.text else None
        if types & _INDEX_TYPES:
            return "index" if element.text else None
        if types & _EDITION_TYPES or classes & _EDITION_CLASSES or attributes.get("id", "").lower() in _EDITION_IDS:
            return "edition"
        return None

    def _is_page(self, element: Element) -> bool:
        """Say whether an element is a page's number, by its name and its text: whole pages are so named, too."""
        named = element.tag == "pagenum" or bool(element.types & _PAGE_TYPES)
        named = named or any(_PAGE_CLASS.fullmatch(name) for name in element.classes)
        return named and bool(element.text) and _PAGE.fullmatch(element.text) is not None

    def _is_note(self, element: Element) -> bool:
        """Say whether a paragraph is a note by its links: its mark leads to the mark that leads to it.

        So does one that can be led to, and whose mark leads into another document.
        """
        first = next((each for each in element.children if not isinstance(each, str) or each.strip()), None)
        while isinstance(first, Element) and first.tag in ("sup", "span", "p"):
            first = next((each for each in first.children if not isinstance(each, str) or each.strip()), None)
        if not isinstance(first, Element) or first.tag != "a" or not _MARK.fullmatch(first.text):
            return False
        here = {element.attributes.get("id"), first.attributes.get("id")} - {None}
        document, _, place = first.attributes.get("href", "").partition("#")
        leads_back = bool(here and place) if document else self._marks.get(place) in here
        return leads_back and len(element.text) > len(first.text)

    @cached_property
    def _marks(self) -> Mapping[str, str]:
        """The marks of the page that lead to a place in it: that place's id, by the mark's own."""
        marks = (each for each in self._root.elements() if each.tag == "a" and _MARK.fullmatch(each.text))
        known = ((each.attributes.get("id", ""), each.attributes.get("href", "")) for each in marks)
        return {own: place[1:] for own, place in known if own and place.startswith("#")}

    def _is_hidden(self, element: Element) -> bool:
        attributes = element.attributes
        if "hidden" in attributes and attributes["hidden"].lower() != "until-found":
            return True
        if "style" in attributes and _STYLE_HIDES.search(attributes["style"]):
            return True
        if (
            element.classes & _HIDDEN_CLASSES
            or element.tag == "del"
            or (element.tag == "dialog" and "open" not in attributes)
        ):
            return True
        return bool(self._styles.hidden) and not element.selectors.isdisjoint(self._styles.hidden)

    def _is_block(self, element: Element) -> bool:
        """Say whether an element that stands within lines by itself is set in lines of its own."""
        return self._is(element, makes_block, self._styles.blocks)

    def _is_raised(self, element: Element) -> bool:
        """Say whether an element stands above its line."""
        if element.tag == "sup" or element.classes & _RAISED_CLASSES:
            return True
        return element.tag == "span" and self._is(element, raises, self._styles.raised)

    def _is(self, element: Element, says: Callable[[str], bool], selectors: frozenset[str]) -> bool:
        """Say whether an element's own rules, or those of a style sheet for its selectors, say something of it."""
        if (own := element.attributes.get("style")) and says(own):
            return True
        return bool(selectors) and not element.selectors.isdisjoint(selectors)

    def _is_mark(self, element: Element) -> bool:
        """Say whether an element is a reference to a note: a raised or bracketed number that leads somewhere."""
        tag = element.tag
        if tag not in ("a", "sup", "span"):
            return False
        text = element.text
        if not text or len(text) > 8:
            return False
        named = any(_MARK_CLASS.fullmatch(name) for name in element.classes)
        inner = [each.tag for each in element.elements()]
        if tag != "a" and self._is_raised(element):
            return bool(_MARK.fullmatch(text)) if "a" in inner or named else self._is_bare_mark(text)
        if tag != "a":
            return named and bool(_MARK.fullmatch(text))
        target = element.attributes.get("href", "")
        if "#" not in target:
            return False
        if _BACK.fullmatch(text) and not text.isalpha():
            return True
        if "sup" in inner or named or _MARK_PLACE.search(target):
            return bool(_MARK.fullmatch(text))
        return bool(_BRACKETED_MARK.fullmatch(text) or (_NUMBER.fullmatch(text) and self._is_bare_mark(text)))

    def _is_bare_mark(self, text: str) -> bool:
        """Say whether what is raised and leads nowhere is a note's mark: after a word, and no power of it."""
        before = "".join(self._words[-3:]).rstrip(_PARTING)
        if _SIGN.fullmatch(text):
            return bool(before.strip()) and not before[-1:].isspace()
        if _LETTER_MARK.fullmatch(text):
            return bool(_AFTER_SENTENCE.search(before))
        if not (_NUMBER.fullmatch(text) or _BRACKETED_MARK.fullmatch(text)) or not _AFTER_WORD.search(before):
            return False
        word = _LAST_WORD.search(before)
        return word is None or not (_FORMULA.fullmatch(word.group()) or word.group().lower() in _POWERS)


def _is_folded(element: Element) -> bool:
    """Say whether a page shows what is in an element only to whoever opens it or searches for its words."""
    attributes = element.attributes
    closed = element.tag == "details" and "open" not in attributes
    return closed or attributes.get("hidden", "").lower() == "until-found"


def _shows_picture(element: Element) -> bool:
    """Say whether an object shows a picture, for which the text that it holds stands in."""
    attributes = element.attributes
    return attributes.get("type", "").lower().startswith("image/") or bool(
        _PICTURE.fullmatch(attributes.get("data", "").strip())
    )


def _chosen(switch: Element) -> Element:
    """Return which of a switch's alternatives is read: the one for any reader, else the first."""
    cases = [each for each in switch.children if isinstance(each, Element)]
    chosen = next((each for each in cases if each.tag == "default"), cases[0] if cases else None)
    return Element("span", {}, [] if chosen is None else [chosen])


def _lines_of_drawing(text: Element) -> str:
    """Return the words of a drawing's text; a piece that is set in another line is a piece apart."""
    pieces: list[str] = []
    for child in text.children:
        if isinstance(child, str):
            pieces.append(child)
        else:
            apart = child.attributes.keys() & {"y", "dy"}
            pieces += [" " if apart else "", _lines_of_drawing(child)]
    return "".join(pieces)
