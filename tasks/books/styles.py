"""What style sheets say that changes the words of a page: what they hide, and what they set in lines of its own."""

import re
from typing import NamedTuple

OFF_SCREEN = (
    r"(?:left|right|top|text-indent)\s*:\s*-\d{3,}(?:\.\d+)?\s*(?:px|pt|em|rem|%)"
    r"|clip\s*:\s*rect\((?:\s*[01](?:px)?[\s,]*){4}\)"
)
"""How pages put words for screen readers where nobody sees them."""
_HIDING = re.compile(
    rf"(?:^|[;{{\s])(?:(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse))\b|{OFF_SCREEN})", re.IGNORECASE
)
_SHOWING = re.compile(r"(?:^|[;{\s])display\s*:\s*(?!none)\w", re.IGNORECASE)
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_AT_RULE = re.compile(r"@[^{};]*(?:;|\{(?:[^{}]*\{[^{}]*\})*[^{}]*\})")
_RULE = re.compile(r"([^{}]*)\{([^{}]*)\}")
_END = re.compile(r"(?<=[\s>+~])(?:\w+)?(?:[.#][\w-]+)$|(?<=[\s>+~])\w+$|^(?:\w*[.#][\w-]+|\w+)(?=[\[:.])")
_SIMPLE = re.compile(r"(?:\w+)?(?:[.#][\w-]+)|\w+")
_BLOCK = re.compile(
    r"(?:^|[;{\s])display\s*:\s*(?:block|list-item|table(?:-\w+)*|flex|grid|flow-root)\b", re.IGNORECASE
)
_FLOATS = re.compile(r"(?:^|[;{\s])(?:float\s*:\s*(?:left|right)|position\s*:\s*(?:absolute|fixed))\b", re.IGNORECASE)

_RAISED = re.compile(r"(?:^|[;{\s])vertical-align\s*:\s*(?:super|text-top)\b", re.IGNORECASE)


class Styles(NamedTuple):
    """The simple selectors (`p`, `.class`, `p.class`, `#id`) of what is hidden on every screen, and the like.

    `perhaps` are the ends of those that are not simple, such as `.class` of `div > .class`, and hide something.
    """

    hidden: frozenset[str] = frozenset()
    blocks: frozenset[str] = frozenset()
    floats: frozenset[str] = frozenset()
    raised: frozenset[str] = frozenset()
    perhaps: frozenset[str] = frozenset()

    def and_also(self, other: "Styles") -> "Styles":
        return Styles(*(mine | others for mine, others in zip(self, other, strict=True)))


def styles_of(sheet: str) -> Styles:
    """Return what a style sheet hides, and what it makes blocks of; what floats, as drop caps do, is none."""
    hidden: set[str] = set()
    blocks: set[str] = set()
    floats: set[str] = set()
    raised: set[str] = set()
    perhaps: set[str] = set()
    for selectors, body in _RULE.findall(_AT_RULE.sub("", _COMMENT.sub("", sheet))):
        simple = {name.strip().lower() for name in selectors.split(",") if _SIMPLE.fullmatch(name.strip())}
        if _HIDING.search(body):
            hidden |= simple
            perhaps |= {end[0].lower() for name in selectors.split(",") if (end := _END.search(name.strip()))} - simple
        elif _SHOWING.search(body):
            hidden -= simple
        if makes_block(body):
            blocks |= simple
        elif _SHOWING.search(body) or _FLOATS.search(body):
            blocks -= simple
        floats |= simple if floats_aside(body) else set()
        raised |= simple if raises(body) else set()
    return Styles(*map(frozenset, (hidden - {"html", "body"}, blocks, floats, raised, perhaps - {"html", "body"})))


def makes_block(rules: str) -> bool:
    """Say whether rules set what they are for in lines of its own."""
    return _BLOCK.search(rules) is not None and not _FLOATS.search(rules)


def floats_aside(rules: str) -> bool:
    """Say whether rules set what they are for beside the lines that follow, as drop caps are."""
    return _FLOATS.search(rules) is not None


def raises(rules: str) -> bool:
    """Say whether rules raise what they are for above its line, as marks of notes are."""
    return _RAISED.search(rules) is not None
