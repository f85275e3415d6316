"""Guidelines as HTML: the only place where text that somebody wrote becomes markup."""

import re
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

_TAGS = frozenset(
    "a blockquote br code em h1 h2 h3 h4 h5 h6 hr li ol p pre s strong table tbody td th thead tr ul".split()  # noqa: SIM905
)


_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+\S.*$")
_FOR_GROUP = re.compile(r"[ \t]*\{group=([\w.-]+)\}[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(?:`{3,}|~{3,})")


def for_group(text: str, group: str) -> str:
    """Return guidelines as a group of raters reads them.

    A heading that ends in `{group=NAME}` begins a section, up to the next heading of its level or above, for that
    group alone.
    """
    kept: list[str] = []
    hidden = 0  # the level of the heading whose section is left out, 0 for none
    fenced = False
    for line in text.split("\n"):
        fenced ^= bool(_FENCE.match(line))
        heading = None if fenced else _HEADING.match(line)
        if heading and (not hidden or len(heading[1]) <= hidden):
            whose = _FOR_GROUP.search(line)
            hidden = len(heading[1]) if whose and whose[1] != group else 0
            line = line[: whose.start()] if whose else line
        if not hidden:
            kept.append(line)
    return "\n".join(kept)


@lru_cache(maxsize=16)
def guideline_html(text: str) -> Markup:
    """Return Markdown as HTML without pictures, scripts, styles or foreign attributes; HTML in it is shown as text.

    Links lead to http and https only, open without a Referer, and tell the other page nothing.
    """
    html = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).render(text)
    clean = nh3.clean(
        html,
        tags=set(_TAGS),
        attributes={"*": set(), "a": {"href"}, "ol": {"start"}},
        attribute_filter=_absolute,
        url_schemes={"http", "https"},
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
        strip_comments=True,
    )
    return Markup(clean)  # noqa: S704 - cleaned one line above


def _absolute(_: str, attribute: str, value: str) -> str | None:
    """Drop links into the station itself, and those that borrow its scheme."""
    return value if attribute != "href" or value.startswith(("http://", "https://")) else None
