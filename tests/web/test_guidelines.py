"""Guidelines: Markdown becomes a short list of tags, and everything else is shown as text or left out."""

import re

import pytest

from rrm.web.guidelines import for_group, guideline_html

HARMFUL = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://evil.example/x.png)",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\nscript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "[x](//evil.example)",
    "[x](/api/logout)",
    "<javascript:alert(1)>",
    '<a href="javascript:x" onclick="x">y</a>',
    "<svg onload=alert(1)>",
    "<iframe src=https://evil.example></iframe>",
    "<style>*{display:none}</style>",
    '<b hx-get="/x" data-hx-get="/x">b</b>',
    '[x](https://e.example "onmouseover=alert(1)")',
    "[x]: javascript:alert(1)\n\n[x]",
    "```<script>\nx\n```",
    '```"onload="x\nx\n```',
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "{{7*7}}",
    "<!-- --!><img src=x onerror=alert(1)> -->",
    "<form action=//evil.example><input name=password></form>",
]


@pytest.mark.parametrize("text", HARMFUL)
def test_nothing_that_acts_comes_through(text: str) -> None:
    html = str(guideline_html(text))
    for tag in re.findall(r"<[^>]*>", html):
        assert re.fullmatch(
            r"</?(a|blockquote|br|code|em|h[1-6]|hr|li|ol|p|pre|s|strong|table|tbody|t[dhr]|thead|ul)"
            r'( (href="https?://[^"]*"|rel="noopener noreferrer nofollow"|target="_blank"|start="\d+"))*>',
            tag,
        ), tag


def test_html_in_guidelines_is_shown_as_text() -> None:
    assert guideline_html("<b>bold</b>") == "<p>&lt;b&gt;bold&lt;/b&gt;</p>\n"


def test_markdown_becomes_html() -> None:
    html = guideline_html("# Rules\n\n1. *Read* **all**\n\n[more](https://a.example/b)\n\n|a|b|\n|-|-|\n|c|d|")
    assert "<h1>Rules</h1>" in html
    assert "<ol>\n<li><em>Read</em> <strong>all</strong></li>\n</ol>" in html
    link = re.search(r"<a [^>]*>more</a>", html)
    assert link is not None
    assert 'href="https://a.example/b"' in link[0]
    assert "noopener noreferrer" in link[0]
    assert "<td>c</td>" in html


def test_sections_of_a_group_are_read_by_that_group_alone() -> None:
    text = (
        "# All\none\n## For Germans {group=de}\ntwo\n### Below\nthree\n```\n# {group=fr} is code\n```\n## For all\nfour"
    )
    assert for_group(text, "de") == text.replace(" {group=de}", "")
    assert for_group(text, "fr") == for_group(text, "") == "# All\none\n## For all\nfour"
    last = "## First {group=de}\none\n## Second {group=fr}\ntwo\n# Third\nthree"
    assert for_group(last, "fr") == "## Second\ntwo\n# Third\nthree"
