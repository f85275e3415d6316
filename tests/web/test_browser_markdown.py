"""Markdown in outputs is shown as such: what is drawn was written down by hand, and no text becomes HTML."""

from pathlib import Path
from typing import Any

import pytest

from rrm.core.annotation import Item
from rrm.core.place import Place
from rrm.core.values import Passage, Request, Shown, View
from tests.web.browser import assert_fits, come_in, visiting
from tests.web.test_browser_annotator import ready, scene
from tests.web.test_browser_payloads import PAYLOADS

pytest_plugins = ["tests.web.chromium"]

DRAW = """async (texts) => {
  const base = document.querySelector("script[src*='/frame.js']").src.replace("frame.js", "");
  const { markdown } = await import(base + "markdown.js");
  return texts.map((text) => markdown(text)?.innerHTML ?? null);
}"""
DRAWN = {
    # as it is written: nothing of it is Markdown
    "It burned.\n\nNobody came.": None,
    "a_name_in_a_word, 2 * 3 * 4, ________ and C:\\new": None,
    "one `backtick, a star * alone, **never ended": None,
    "It was in\n1914. So they said.": None,
    "<b>no HTML</b> [x](javascript:1)": None,
    # inside lines
    "It *burned* and **fell**.": "<p>It <em>burned</em> and <strong>fell</strong>.</p>",
    "***all*** of _it_, __twice__": "<p><em><strong>all</strong></em> of <em>it</em>, <strong>twice</strong></p>",
    "**bold with *both* inside**": "<p><strong>bold with <em>both</em> inside</strong></p>",
    "call `f(*x)` or ``a ` b``": "<p>call <code>f(*x)</code> or <code>a ` b</code></p>",
    "*not **closed here*": "<p><em>not **closed here</em></p>",
    r"\*kept\* and *drawn*": "<p>*kept* and <em>drawn</em></p>",
    "`<img src=x>` **<b>**": "<p><code>&lt;img src=x&gt;</code> <strong>&lt;b&gt;</strong></p>",
    # blocks
    "# A\n## B ##\ntext\n### C#": "<h3>A</h3><h4>B</h4><p>text</p><h5>C#</h5>",
    "one\ntwo\n\n---\nthree": "<p>one\ntwo</p><hr><p>three</p>",
    "> said\n> he\n\nso": "<blockquote><p>said\nhe</p></blockquote><p>so</p>",
    "- a\n- b\n  more": "<ul><li>a</li><li>b\nmore</li></ul>",
    "3. c\n4. d": '<ol start="3"><li>c</li><li>d</li></ol>',
    "- a\n  - x\n  - y\n- b": "<ul><li>a<ul><li>x</li><li>y</li></ul></li><li>b</li></ul>",
    "1. a\n\n   still a\n\nout": '<ol start="1"><li><p>a</p><p>still a</p></li></ol><p>out</p>',
    "so:\n* a\n* b": "<p>so:</p><ul><li>a</li><li>b</li></ul>",
    "```python\nif a < b:\n    *x*\n```\nend": (
        '<pre tabindex="0" dir="ltr" data-language="python"><code>if a &lt; b:\n    *x*</code></pre><p>end</p>'
    ),
    "```a`b\n``` js x": '<p>```a`b</p><pre tabindex="0" dir="ltr" data-language="js"><code></code></pre>',
    "~~~\nnever\n\nclosed": '<pre tabindex="0" dir="ltr"><code>never\n\nclosed</code></pre>',
}
LONG_ONES = [mark * 4_000 for mark in ("*a ", "**a", "`a``b", "> ", "- ", "_a_", "# \n", "\\*", "  - a\n", "***")]
LONG_ONES += [
    "```" + "a" * 400_000 + "`",
    "`" * 400_000 + "a`",
    "```" + " " * 400_000 + "`",
    "` " + "a" * 400_000 + "`",
]
LISTED = "## Plot\n\n- a *mill* burns\n- **nobody** comes\n\n```\nx = " + "1 + " * 80 + "1\n```"


def item(kind: str, text: str) -> Item:
    shown = (Shown("o", text),)
    return Item(Request("n", "tale", Place(), kind, View("Summarise it.", (Passage("It burned."),), 600), shown))


def test_what_is_drawn(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, []) as at, visiting(chromium, at.url) as page:
        page.goto("/login")
        assert dict(zip(DRAWN, page.evaluate(DRAW, list(DRAWN)), strict=True)) == DRAWN
        page.evaluate(DRAW, LONG_ONES)  # which comes to an end


def test_no_text_becomes_html_whatever_markdown_stands_around_it(tmp_path: Path, chromium: Any) -> None:
    around = ("# {}", "- {}\n  {}", "> {}", "**{}**", "`{}`", "```{}\n{}\n```", "~~~\n{}\n~~~", "1. *{}*")
    texts = [each.replace("{}", payload) for payload in PAYLOADS for each in around]
    with scene(tmp_path, []) as at, visiting(chromium, at.url) as page:
        page.goto("/login")
        tags = page.evaluate(
            f"""async (texts) => {{
              const drawn = await ({DRAW})(texts);
              const box = document.createElement("div");
              document.body.append(box);
              return texts.flatMap((_, at) => {{
                box.innerHTML = drawn[at] ?? "";  // as the page's own parser reads what was drawn
                return [...box.querySelectorAll("*")].map((node) => node.tagName);
              }});
            }}""",
            texts,
        )
        assert set(tags) <= {"P", "H3", "EM", "STRONG", "CODE", "PRE", "UL", "OL", "LI", "BLOCKQUOTE", "HR"}
        page.seen.assert_clean(page)


@pytest.mark.parametrize("width", [1280, 360])
def test_an_output_is_drawn_unless_that_is_switched_off_or_passages_of_it_are_marked(
    tmp_path: Path, chromium: Any, width: int
) -> None:
    with scene(tmp_path, [item("label", LISTED)]) as at, visiting(chromium, at.url, width=width) as page:
        come_in(page, at.desk, at.url)
        page.goto("/work")
        ready(page)
        assert page.locator(".output li").all_inner_texts() == ["a mill burns", "nobody comes"]
        assert_fits(page)  # code is as wide as it is, in a box that scrolls
        at.desk.change_settings({"markdown": False}, "test")
        page.reload()
        ready(page)
        assert page.evaluate("document.querySelector('.output .text').textContent") == LISTED
        page.seen.assert_clean(page)


def test_where_passages_are_marked_a_text_stands_as_written(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, [item("critique", LISTED)]) as at, visiting(chromium, at.url) as page:
        come_in(page, at.desk, at.url)
        page.goto("/work")
        ready(page)
        assert page.evaluate("document.querySelector('.output .text').textContent") == LISTED
