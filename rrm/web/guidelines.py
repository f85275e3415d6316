"""Guidelines as HTML: the only place where text that somebody wrote becomes markup."""

from functools import lru_cache

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

_TAGS = frozenset(
    "a blockquote br code em h1 h2 h3 h4 h5 h6 hr li ol p pre s strong table tbody td th thead tr ul".split()  # noqa: SIM905
)


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
