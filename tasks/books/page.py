"""A page of HTML or XHTML as its reader sees it: blocks of text, without what is hidden, notes, or a page's furniture.

The page is parsed to a small tree by the standard library's tolerant parser, which takes XHTML's self-closed elements
for what they are (an HTML5 parser does not: after `<title/>` all is title), and the tree is then read.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser

from tasks.books.encodings import decode
from tasks.books.text import Block, lined, names, several

HEADINGS = names("h1 h2 h3")
_BLOCKS = HEADINGS | names(
    "address article aside blockquote body caption center dd div dl dt fieldset figcaption figure footer form h4 h5"
    " h6 header hr li main ol p pre section table tbody td tfoot th thead tr ul"
)
_DROPPED = names("script style template noscript head nav iframe object select textarea button audio video canvas rp")
_VOID = names("area base br col embed hr img input link meta param source track wbr")
_CLOSES = {  # an element's start ends one of these that is open, up to one of the others
    **dict.fromkeys(
        _BLOCKS - {"caption", "tbody", "td", "tfoot", "th", "thead", "tr", "body"},
        (names("p"), names("td th caption body html button")),
    ),
    "li": (names("li p"), names("ul ol body td th")),
    "dt": (names("dt dd p"), names("dl body td th")),
    "dd": (names("dt dd p"), names("dl body td th")),
    "td": (names("td th p"), names("tr table body")),
    "th": (names("td th p"), names("tr table body")),
    "tr": (names("tr td th p"), names("table body")),
    "body": (names("head"), names("html")),
    "rt": (names("rt rp"), names("ruby")),
    "rp": (names("rt rp"), names("ruby")),
    "option": (names("option"), names("select")),
}
_DEEPEST = 200  # elements within one another; what lies deeper is read as its parent's

# ---- the tree ----


@dataclass(eq=False)
class Element:
    """An element with its attributes and its children, elements and texts."""

    tag: str
    attributes: Mapping[str, str]
    children: "list[Element | str]" = field(default_factory=list)

    @cached_property
    def types(self) -> frozenset[str]:
        """What the element is by `epub:type` and `role`, without the prefix `doc-`."""
        named = f"{self.attributes.get('epub:type', '')} {self.attributes.get('role', '')}"
        return frozenset(name.rpartition(":")[2].removeprefix("doc-") for name in named.lower().split())

    @cached_property
    def classes(self) -> frozenset[str]:
        return frozenset(self.attributes.get("class", "").lower().split())

    def texts(self) -> Iterator[str]:
        """Yield all text within, in order."""
        for child in self.children:
            if isinstance(child, str):
                yield child
            else:
                yield from child.texts()

    def elements(self) -> "Iterator[Element]":
        """Yield the elements within, in order."""
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child.elements()

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts()).split())


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._started(tag, attrs) and tag in _VOID:
            self._open.pop()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._started(tag, attrs):
            self._open.pop()

    def _started(self, tag: str, attrs: list[tuple[str, str | None]]) -> bool:
        """Add an element, and say whether it is the open one now: not where it lies too deep."""
        if tag in _CLOSES:
            self._end_implied(*_CLOSES[tag])
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if len(self._open) < _DEEPEST:
            self._open.append(element)
        return self._open[-1] is element

    def _end_implied(self, ended: frozenset[str], limits: frozenset[str]) -> None:
        for depth in range(len(self._open) - 1, 0, -1):
            if self._open[depth].tag in limits:
                break
            if self._open[depth].tag in ended:
                del self._open[depth:]

    def handle_endtag(self, tag: str) -> None:
        for depth in range(len(self._open) - 1, 0, -1):
            if self._open[depth].tag == tag:
                del self._open[depth:]
                return

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_CHARSET = re.compile(
    rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*(NAME)|<\?xml[^>]{0,200}encoding=["'](NAME)""".replace(
        b"NAME", rb"(?:iso|windows|cp|koi8|mac|shift|euc|gb|big5)[\w.:-]{0,20}"
    ),
    re.IGNORECASE,
)


def parsed(data: bytes, where: str) -> Element:
    """Return a page's tree; raise InputError where the bytes are no text."""
    declared = _CHARSET.search(data[:2048])
    name = (declared.group(1) or declared.group(2)).decode() if declared else None
    text = lined(decode(data, where, name))
    if "<![CDATA[" in text:
        text = _CDATA.sub(lambda match: match[1].replace("&", "&amp;").replace("<", "&lt;"), text)
    builder = _Builder()
    builder.feed(text)
    builder.close()
    return builder.root


# ---- what style sheets hide ----

_HIDING = re.compile(r"(?:^|[;{\s])(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse))\b", re.IGNORECASE)
_SHOWING = re.compile(r"(?:^|[;{\s])display\s*:\s*(?!none)\w", re.IGNORECASE)
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_AT_RULE = re.compile(r"@[^{};]*(?:;|\{(?:[^{}]*\{[^{}]*\})*[^{}]*\})")
_RULE = re.compile(r"([^{}]*)\{([^{}]*)\}")
_SIMPLE = re.compile(r"(?:\w+)?(?:[.#][\w-]+)|\w+")


def hidden_by(sheet: str) -> frozenset[str]:
    """Return the simple selectors (`p`, `.class`, `p.class`, `#id`) that a style sheet hides on every screen."""
    hidden: set[str] = set()
    for selectors, body in _RULE.findall(_AT_RULE.sub("", _COMMENT.sub("", sheet))):
        simple = {name.strip().lower() for name in selectors.split(",") if _SIMPLE.fullmatch(name.strip())}
        if _HIDING.search(body):
            hidden |= simple
        elif _SHOWING.search(body):
            hidden -= simple
    return frozenset(hidden - {"html", "body"})


# ---- what is no running text ----

_STYLE_HIDES = re.compile(
    r"(?:^|[;\s])(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|font-size\s*:\s*0(?![.\d]*[1-9])"
    r"|opacity\s*:\s*0(?:\.0*)?\s*(?:;|!|$))",
    re.IGNORECASE,
)
_HIDDEN_CLASSES = names("sr-only visually-hidden visuallyhidden screen-reader-text screenreader")
_MARK_TYPES = names("noteref annoref")
_NOTE_TYPES = names("footnote footnotes endnote endnotes rearnote rearnotes")
_NOTE_CLASSES = _NOTE_TYPES | names("footnote-text footnotetext footnotebody fnote")
_CONTENTS_TYPES = names("toc toc-brief landmarks page-list pagelist loi lot lov loa")
_EDITION_TYPES = names("copyright-page imprint colophon other-credits")
_EDITION_CLASSES = names("pg-boilerplate pgheader pgfooter")
_EDITION_IDS = names("pg-header pg-footer pg-machine-header")
_PAGE_TYPES = names("pagebreak")
_PAGE_CLASS = re.compile(r"page[-_]?(?:break|num(?:ber)?|no)s?|pgnum|pgno|pagination|pn")
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
_AFTER_WORD = re.compile(r"(?:[^\W\d_]{4,}|[.,;:!?…\"'”’»)\]。、」』])$")

_CAP_CLASS = re.compile(
    r"drop[-_]?cap[\w-]*|.*dropcap.*|l?ett?rines?|initials?|first-?letter|capital|versal|lettrine.*"
)
_CAP_ALT = re.compile(
    r"(?:(?:drop ?cap(?:ital)?|(?:decorat|ornament)\w*|letter|initial|capital|lettrine|initiale?)\W+)+(\w)", re.I
)
_CAP = re.compile(r"[“”\"‘’'«„¡¿—]?\s?[^\W\d_][’']?")
_WORDS_OF_ONE_LETTER = frozenset("AIOaioYÀÁÉEÈUyàáéeuЯВИОУСКАявиоуска")

_BROKEN = re.compile(r"(?<=\w)-[ \t]*\n\s*(?=\w)")
_SPACE = re.compile(r"\s+")
_LEFT_OUT = {
    "mark": "note mark",
    "page": "page number",
    "hidden": "hidden passage",
    "note": "note",
    "contents": "list of contents",
    "edition": "page about the edition",
    "reading": "ruby reading",
}


@dataclass
class LeftOut:
    """What was left out of a book's pages: how often by kind, and how many words of notes and about the edition."""

    times: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, text: str) -> None:
        self.times[kind] += 1
        self.words[kind] += len(text.split())

    def sentence(self) -> str:
        """Return what was left out in words, nothing if nothing was."""
        counted = [
            several(self.times[kind], name) + (f" ({several(self.words[kind], 'word')})" if kind in _WORDY else "")
            for kind, name in _LEFT_OUT.items()
            if self.times[kind]
        ]
        return f"left out of the pages: {', '.join(counted)}" if counted else ""


_WORDY = names("note edition hidden")


class Page:
    """A page's blocks, its title, and whether it shows pictures."""

    def __init__(self, root: Element, left_out: LeftOut, hidden: frozenset[str] = frozenset()) -> None:
        self.blocks: list[Block] = []
        self.pictures = 0
        self.title = next((each.text for each in root.elements() if each.tag == "title" and each.text), "")
        self._root, self._left_out, self._hidden = root, left_out, hidden
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
        if tag in _DROPPED or tag == "title":
            return
        if (kind := self._kind(element)) is not None:
            self._left_out.add(kind, element.text)
            if tag in _BLOCKS:
                self._end_block()
            return
        if tag in ("svg", "math", "img", "image"):
            self._draw(element)
        elif tag == "br":
            self._words.append("\n")
        elif self._is_cap(element):
            self._write_cap(element.text)
        elif tag in _BLOCKS:
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
            for inner in element.elements():
                if inner.tag == "text" and self._kind(inner) is None:
                    self._end_block()
                    self._write(inner.text)
                    self._end_block()
                elif inner.tag == "foreignobject":
                    self._read(inner)
        else:
            letter = " ".join(element.attributes.get("alt", "").split())
            if (named := _CAP_ALT.fullmatch(letter)) is not None:
                letter = named[1].upper()
            if letter and _CAP.fullmatch(letter):
                self._write_cap(letter)

    # ---- drop caps ----

    def _is_cap(self, element: Element) -> bool:
        if element.tag in HEADINGS or not any(_CAP_CLASS.fullmatch(name) for name in element.classes):
            return False
        return bool(_CAP.fullmatch(element.text))

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
        if self._is_hidden(element):
            return "hidden" if element.text else None
        if types & _MARK_TYPES or self._is_mark(element):
            return "mark"
        if (types & _PAGE_TYPES or any(_PAGE_CLASS.fullmatch(name) for name in classes)) and element.text:
            return "page" if _PAGE.fullmatch(element.text) else None
        if tag == "body" or tag == "html":
            types = types - _NOTE_TYPES
        if types & _NOTE_TYPES or (tag in _BLOCKS and classes & _NOTE_CLASSES):
            return "note"
        if types & _CONTENTS_TYPES:
            return "contents"
        if types & _EDITION_TYPES or classes & _EDITION_CLASSES or attributes.get("id", "").lower() in _EDITION_IDS:
            return "edition"
        return None

    def _is_hidden(self, element: Element) -> bool:
        attributes = element.attributes
        if "hidden" in attributes and attributes["hidden"].lower() != "until-found":
            return True
        if "style" in attributes and _STYLE_HIDES.search(attributes["style"]):
            return True
        if element.classes & _HIDDEN_CLASSES:
            return True
        if not self._hidden:
            return False
        selectors = {element.tag, *(f".{name}" for name in element.classes)}
        selectors |= {f"{element.tag}.{name}" for name in element.classes}
        if "id" in attributes:
            selectors |= {f"#{attributes['id'].lower()}", f"{element.tag}#{attributes['id'].lower()}"}
        return not selectors.isdisjoint(self._hidden)

    def _is_mark(self, element: Element) -> bool:
        """Say whether an element is a reference to a note: a raised or bracketed number that leads somewhere."""
        tag = element.tag
        if tag not in ("a", "sup", "span"):
            return False
        text = element.text
        if not text or len(text) > 8:
            return False
        named = any(_MARK_CLASS.fullmatch(name) for name in element.classes)
        if tag == "span":
            return named and bool(_MARK.fullmatch(text))
        inner = [each.tag for each in element.elements()]
        if tag == "sup":
            if "a" in inner or named:
                return bool(_MARK.fullmatch(text))
            before = "".join(self._words[-3:])
            return bool(_NUMBER.fullmatch(text) or _BRACKETED_MARK.fullmatch(text)) and bool(_AFTER_WORD.search(before))
        target = element.attributes.get("href", "")
        if "#" not in target:
            return False
        if _BACK.fullmatch(text) and not text.isalpha():
            return True
        if "sup" in inner or named or _MARK_PLACE.search(target):
            return bool(_MARK.fullmatch(text))
        return bool(_BRACKETED_MARK.fullmatch(text))


def style_sheets(root: Element) -> Sequence[str]:
    """Return the style sheets that a page brings with it."""
    return ["".join(each.texts()) for each in root.elements() if each.tag == "style"]


def linked_sheets(root: Element) -> Sequence[str]:
    """Return where the style sheets lie that a page names."""
    links = (each.attributes for each in root.elements() if each.tag == "link")
    return [link["href"] for link in links if "stylesheet" in link.get("rel", "").lower() and link.get("href")]
