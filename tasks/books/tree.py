"""A page of HTML or XHTML as a small tree of elements, parsed by the standard library's tolerant parser.

That parser takes XHTML's self-closed elements for what they are, which an HTML5 parser does not: after `<title/>` all
is title.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser

from tasks.books.encodings import decode
from tasks.books.text import lined, names

HEADINGS = names("h1 h2 h3")
BLOCKS = HEADINGS | names(
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure"
    " footer form h4 h5 h6 header hgroup hr legend li listing main menu nav noscript ol optgroup option p pre search"
    " section summary table tbody td tfoot th thead tr ul"
    # DTBook, in which old EPUBs for the blind are written
    " annotation bodymatter bridgehead byline covertitle dateline docauthor doctitle epigraph frontmatter imggroup"
    " level level1 level2 level3 level4 level5 level6 line linegroup note pagenum poem prodnote rearmatter sidebar"
)
_VOID = names("area base br col embed hr img input link meta param source track wbr")
_CLOSES = {  # an element's start ends one of these that is open, up to one of the others
    **dict.fromkeys(
        BLOCKS - names("caption tbody td tfoot th thead tr body"),
        (names("p"), names("td th caption body html button object math")),
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


@dataclass(eq=False)
class Element:
    """An element with its attributes and its children, elements and texts."""

    tag: str
    attributes: Mapping[str, str]
    children: "list[Element | str]" = field(default_factory=list)

    @cached_property
    def types(self) -> frozenset[str]:
        """What the element is by `epub:type` and `role`, without the prefix `doc-`."""
        named = " ".join(self.attributes.get(name, "") for name in _TYPES)
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

    def elements_below(self) -> "Iterator[Element]":
        """Yield the elements right below."""
        return (child for child in self.children if isinstance(child, Element))

    @cached_property
    def selectors(self) -> frozenset[str]:
        """The simple selectors of style sheets that are for the element."""
        named = [*(f".{name}" for name in self.classes)]
        if "id" in self.attributes:
            named.append(f"#{self.attributes['id'].lower()}")
        return frozenset([self.tag, *named, *(f"{self.tag}{name}" for name in named)])

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts()).split())


class _Builder(HTMLParser):
    def __init__(self, encoding: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {"encoding": encoding} if encoding else {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._started(tag, attrs) and _local(tag) in _VOID:
            self._open.pop()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._started(tag, attrs):
            self._open.pop()

    def _started(self, tag: str, attrs: list[tuple[str, str | None]]) -> bool:
        """Add an element, and say whether it is the open one now: not where it lies too deep."""
        tag = _local(tag)
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
        tag = _local(tag)
        for depth in range(len(self._open) - 1, 0, -1):
            if self._open[depth].tag == tag:
                del self._open[depth:]
                return

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def _local(tag: str) -> str:
    """Return an element's name without the prefix of its namespace: `xhtml:p` is a `p`."""
    return tag.rpartition(":")[2]


_TYPES = ("epub:type", "ops:type", "role")
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_CHARSET = re.compile(
    rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*(NAME)|<\?xml[^>]{0,200}encoding=["'](NAME)""".replace(
        b"NAME", rb"(?:iso|windows|cp|koi8|mac|shift|euc|gb|big5)[\w.:-]{0,20}"
    ),
    re.IGNORECASE,
)


def parsed(data: bytes, where: str) -> Element:
    """Return a page's tree; raise InputError where the bytes are no text.

    The root's attribute `encoding` names an encoding that was guessed.
    """
    declared = _CHARSET.search(data[:2048])
    name = (declared.group(1) or declared.group(2)).decode() if declared else None
    decoded = decode(data, where, name)
    text = lined(decoded.text)
    if "<![CDATA[" in text:
        text = _CDATA.sub(lambda match: match[1].replace("&", "&amp;").replace("<", "&lt;"), text)
    builder = _Builder(decoded.guessed)
    builder.feed(text)
    builder.close()
    return builder.root


def style_sheets(root: Element) -> Sequence[str]:
    """Return the style sheets that a page brings with it."""
    return ["".join(each.texts()) for each in root.elements() if each.tag == "style"]


def linked_sheets(root: Element) -> Sequence[str]:
    """Return where the style sheets lie that a page names."""
    links = (each.attributes for each in root.elements() if each.tag == "link")
    return [link["href"] for link in links if "stylesheet" in link.get("rel", "").lower() and link.get("href")]
