"""The page is whole, says what the report says, and shows foreign text as text, whatever it says."""

import os
import re
from collections import Counter
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rrm.core.claims import Chain, Quote
from rrm.core.report import (
    Candidate,
    Cost,
    CriterionAccuracy,
    CriterionScore,
    HeldOutShare,
    Interval,
    NodeReport,
    PassedOver,
    Report,
    TargetReport,
    TreeReport,
)
from rrm.core.task import Span
from rrm.report.html import report_html, write_report, write_whole
from rrm.report.inert import inert
from rrm.report.outline import Limits
from tests.report.report_scenarios import make_target, make_tree

PAYLOADS = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "<script/src=data:,alert(1)>",
    "<img src=x onerror=alert(1)>",
    "<img/src/onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><a xlink:href='javascript:alert(1)'><text y=9>x</text></a></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<svg><style>@import'//evil.example/x.css'</style></svg>",
    "<svg><foreignObject><iframe src=javascript:alert(1)>",
    "</svg><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</pre><script>alert(1)</script>",
    "</details></section></main><script>alert(1)</script>",
    "--><script>alert(1)</script><!--",
    "<!--<img src='--><img src=x onerror=alert(1)//'>",
    "]]><script>alert(1)</script><![CDATA[",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=javascript:alert(1)>",
    "<embed src=javascript:alert(1)>",
    "<base href=//evil.example/>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<form action=javascript:alert(1)><input type=submit>",
    "<button formaction=javascript:alert(1)>x</button>",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='java\tscript:alert(1)'>x</a>",
    "<a href=data:text/html,<script>alert(1)</script>>x</a>",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
    "vbscript:msgbox(1)",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    '" autofocus onfocus=alert(1) x="',
    '"><script>alert(1)</script>',
    "'><script>alert(1)</script>",
    '" style="background:url(javascript:alert(1))',
    "` onmouseover=alert(1) `",
    "<details open ontoggle=alert(1)>",
    "<body onload=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<video><source onerror=alert(1)>",
    "<audio src=x onerror=alert(1)>",
    "<marquee onstart=alert(1)>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><script>alert(1)</script></template>",
    "<div hx-get=//evil.example hx-trigger=load>",
    "<div data-hx-on:load=alert(1)>",
    "<x contenteditable onblur=alert(1)>",
    "<p style='x:expression(alert(1))'>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "&#x3c;img src=x onerror=alert(1)&#x3e;",
    "\\u003cscript\\u003ealert(1)",
    "\ufe64script\ufe65alert(1)",
    "<\x00script>alert(1)</script>",
    "{{ 1231 * 1237 }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "{{ config }}{{ self.__init__.__globals__ }}",
    "${1231*1237} #{1231*1237} <%= 1231*1237 %> [[${1231*1237}]]",
    "$\\frac{1}{0}$ $\\undefined",
    "\x1b[31mred\x1b[0m \x1b]8;;http://evil.example\x07link\x1b]8;;\x07",
    "\x1b]0;title\x07\x07\x08\x7f\x9b31m",
    "\u202egnp.exe\u202c \u2066hidden\u2069",
    "zero\u200bwidth\ufeff",
    "lone \ud800 surrogate \udfff",
    "Z" + "\u0301" * 1000,
    "*/}</style><script>alert(1)</script>/*",
    ":root{--blue:url(//evil.example)}",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
]

TAGS = re.findall(
    r"\w+",
    "html head meta title style body header nav main section footer h1 h2 h3 p a bdi em strong b i br div span dl dt dd"
    " ul ol li table thead tbody tr th td details summary figure pre svg g path rect line text tspan defs clippath use",
)


class Page(HTMLParser):
    """What a browser would find in a page: elements with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    @property
    def words(self) -> str:
        """The text without white space, which elements and line breaks may split."""
        return "".join("".join(self.texts).split())


def assert_inert(html: str) -> Page:
    """Nothing in the page runs, loads or leaves it."""
    page = Page(html)
    assert not page.unbalanced and not page.open
    for tag, attributes in page.elements:
        assert tag in TAGS, tag
        for name, value in attributes.items():
            assert not name.startswith("on"), name
            assert name not in ("src", "srcdoc", "action", "formaction", "data", "poster", "background"), name
            if name.endswith("href"):
                assert re.fullmatch(r"#[a-z0-9-]+", value or "", re.IGNORECASE), value
            if name == "style":
                assert re.fullmatch(r"[-#\w.,:;%() '\"]*", value or ""), value
                urls = re.findall(r"url\(([^)]*)\)", value or "")
                assert all(url.startswith("#") for url in urls), value
            if name == "http-equiv":
                assert value == "Content-Security-Policy"
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert not [name for name, times in ids.items() if times > 1]
    return page


def poisoned(value: Any, payload: str) -> Any:
    """Return a value with the payload as every text in it, ids kept apart by a number."""
    names = ("id", "root", "children")
    if is_dataclass(value) and not isinstance(value, type):
        changed = {
            each.name: prefixed(getattr(value, each.name), payload)
            if each.name in names
            else poisoned(getattr(value, each.name), payload)
            for each in fields(value)
        }
        return type(value)(**changed)
    if isinstance(value, str):
        return payload
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(poisoned(each, payload) for each in value)
    if isinstance(value, dict):
        return {f"{payload}{key}": poisoned(each, payload) for key, each in value.items()}
    return value


def prefixed(value: Any, payload: str) -> Any:
    return tuple(payload + each for each in value) if isinstance(value, tuple) else payload + value


@pytest.fixture(scope="module")
def small() -> Report:
    """Every part of a page with little text: gold, a failure, a shared child, blame, a secret."""
    leaf = make_tree(3, (2,), gold=True, roots=1, others=2)
    nodes = list(leaf.nodes)
    nodes[1] = replace(nodes[1], failure="MalformedAnswerError: garbage", candidates=(), blame=None)
    nodes[2] = replace(nodes[2], blame=0.2)
    tree = TreeReport(0, leaf.root, tuple(nodes))
    below = Chain("Said below.", nodes[2].id, "o", 0, 0.9, quotes=(Quote(Span(0, 4), "Told."),))
    claims = (
        Chain("Said.", leaf.root, "r", 0, 0.9, below=(below,)),
        Chain("Invented.", leaf.root, "r", 1, 0.0),
        Chain("Forgotten.", leaf.root, "r", 2, 0.0, lost=1),
    )
    target = replace(make_target("Book", (tree,), gold=True), claims=claims)
    other = replace(make_target("Other", (make_tree(4, (2,), gold=False, roots=2),), gold=False), source="other")
    return Report("run", 3, 2, (4, 2), 9, 5, "mean", (), None, (target, other), Cost(), 3.0, ("f",), ("w",), {"k": "v"})


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    return report_html(report)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return assert_inert(html)


def test_there_are_more_than_sixty_payloads() -> None:
    assert len(set(PAYLOADS)) > 60


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_hostile_text_anywhere_in_a_report_is_shown_as_text(small: Report, payload: str) -> None:
    page = assert_inert(report_html(poisoned(small, payload)))
    shown = "".join(inert(payload).split())
    assert page.words.count(shown) > 14
    assert str(1231 * 1237) not in page.words


def test_no_control_character_override_or_surrogate_reaches_the_page(small: Report) -> None:
    html = report_html(poisoned(small, "".join(map(chr, range(1, 160))) + "\u202e\u2066\ud800\uffff\x00"))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\uffff]", html)
    html.encode("utf-8")


def test_terminal_escapes_go_as_a_whole_and_text_stays() -> None:
    assert inert("\x1b[1;31mred\x1b[0m\x1b]0;title\x07 and\r\nplain\u2028text\t\x07") == "red and\nplain\ntext\t"
    assert inert("näïve 漢字 עברית 👩‍👩‍👧") == "näïve 漢字 עברית 👩‍👩‍👧"


def test_the_page_needs_nothing_and_allows_nothing(page: Page) -> None:
    policy = next(attributes["content"] for _, attributes in page.elements if "http-equiv" in attributes)
    assert policy is not None
    assert "default-src 'none'" in policy and "script-src" not in policy
    assert "script" not in {tag for tag, _ in page.elements}


def test_the_page_says_what_the_report_says(report: Report, page: Page) -> None:
    chosen = report.targets[0].chosen
    assert chosen is not None and chosen.composed is not None
    for said in (
        report.name,
        chosen.text,
        f"{chosen.composed:.2f}",
        "416 · 69 · 17",
        "2,118",
        "22 min",
        "0.790",
        "0.75 to 0.83",
        "24 tied",
        "not estimable",
        "not known",
        "shared head",
        "61 % / 39 %",
        "0 % / 100 %",
        "+0.87",
        "0.74 to 0.94",
        "19,870,000",
        "held-out outputs 86 % of the time",
        "AssistantError: the model answered nothing",
        "flat baseline",
        'policy.plugin = "rrm.policy.extractive:Extractive"',
        "levels = [0, 1, 2]",
    ):
        assert said in page.text, said
    assert "in 1 of 1 target whose truth is known" in page.text


def test_the_chosen_outputs_claims_lead_to_the_source(small: Report) -> None:
    text = assert_inert(report_html(small)).text
    for said in (
        "Said. ",
        "leaf Said below. source “ Told. ”",
        "Invented. rests on nothing",
        "Forgotten. its origin is lost",
    ):
        assert said in " ".join(text.split()), said


def test_secrets_in_the_settings_are_not_told(small: Report) -> None:
    settings = {
        "a": {"api_key": "sk-123", "hf_token": "hf-123", "max_tokens": 128, "password": ""},
        "tokenizer": "bert",
    }
    html = report_html(replace(small, settings=settings))
    assert "sk-123" not in html and "hf-123" not in html
    assert "max_tokens = 128" in html and "tokenizer = &#34;bert&#34;" in html


def test_nodes_whose_blame_stands_out_are_listed_and_marked_worst_first(report: Report) -> None:
    tree = report.targets[0].trees[report.targets[0].chosen_tree or 0]
    leaves = [node.id for node in tree.nodes if not node.children]
    blames = dict(zip(leaves, [0.01] * (len(leaves) - 2) + [0.05, 0.2], strict=True))
    nodes = [replace(node, blame=blames.get(node.id, 0.003)) for node in tree.nodes]
    nodes[1] = replace(nodes[1], subtree_blame=0.3)
    for place in range(2, 5):
        nodes[place] = replace(nodes[place], subtree_blame=0.02)
    changed = replace(report.targets[0], trees=(replace(tree, nodes=tuple(nodes)),), chosen_tree=0)
    page = assert_inert(report_html(replace(report, targets=(changed,))))
    assert re.findall(r"blame (\d): \+([\d.]+)", page.text)[::-1] == [("1", "0.200"), ("2", "0.05")]
    box = page.text[page.text.index("Where score is lost") : page.text.index("A node stands out")]
    assert re.findall(r"\+[\d.]+", box) == ["+0.003", "+0.200", "+0.05", "+0.300"]
    assert "level 1 and all below +0.300" in box


def test_where_no_blame_stands_out_the_page_says_so(report: Report) -> None:
    tree = report.targets[0].trees[0]
    nodes = tuple(replace(node, blame=0.0002 if not node.children else None) for node in tree.nodes)
    changed = replace(report.targets[0], trees=(replace(tree, nodes=nodes),), chosen_tree=0)
    page = assert_inert(report_html(replace(report, targets=(changed,))))
    assert "Below the root no output loses as much as 0.001." in page.text
    nodes = tuple(replace(node, blame=0.002 if not node.children else None) for node in tree.nodes)
    changed = replace(report.targets[0], trees=(replace(tree, nodes=nodes),), chosen_tree=0)
    page = assert_inert(report_html(replace(report, targets=(changed,))))
    assert "Below the root nothing stands out: the most blamed output has +0.002 , the median one +0.002." in page.text


def test_rounds_are_told_level_by_level_with_what_judges_were_used_for(report: Report, page: Page) -> None:
    told = page.text[page.text.index("gold, mean acceptance, mean (95 %)") :]
    assert "3 leaves – 0.680 0.620 0.600 bound, from the first 60 % of 1.000 1.70 0 %" in told
    assert "level 1 0.470 0.710 0.400 to 0.900 0.620 0.600" in told
    assert "joins judgements by different models" in page.text and "of all nodes, training ones too" in told
    assert "that round’s model, so rounds are not on one scale" in told
    assert "train improve policies 9,210" in told and "final report 417" in told
    unknown = tuple(
        replace(level, gold_mean=None, kl=0.0, kl_budget=None, entropy=None, spent=None)
        for level in report.rounds[0].levels
    )
    bare = assert_inert(report_html(replace(report, rounds=(replace(report.rounds[0], levels=unknown),))))
    assert "leaves 0.500 level 1 0.530 0.400 to 0.900 root 0.560" in bare.text and "KL from" not in bare.text
    afar = tuple(replace(level, kl=None) for level in report.rounds[2].levels)
    unsure = assert_inert(report_html(replace(report, rounds=(replace(report.rounds[2], levels=afar),))))
    assert "leaves – 0.680 unknown 0.600 bound, from the first 60 %" in unsure.text
    single = assert_inert(report_html(replace(report, rounds=report.rounds[:1], uses=())))
    assert "different models" not in single.text and "not on one scale" not in single.text
    assert "inputs that moved" not in single.text and "What the judges" not in single.text


def test_the_page_tells_whether_new_policies_were_kept(report: Report, page: Page) -> None:
    assert "1 all levels +0.031 −0.012 to 0.070 96 3 kept" in page.text
    none = tuple(replace(each, choices=()) for each in report.rounds)
    assert "Whether new policies" not in assert_inert(report_html(replace(report, rounds=none))).text


def test_how_many_sources_and_outputs_stand_beside_the_figures_over_them(page: Page) -> None:
    assert "480 12 sources 24 tied" in page.text and "86 % 79 % to 92 %, n 200" in page.text
    said = (
        "The root model’s 90 % intervals of its own scores, beside what parts say, held how probably raters who are"
        " shown that accept 200 held-out outputs 86 % of the time (95 %: 79 % to 92 %). How often intervals of"
        " composed scores hold what they are of is not known in a run."
    )
    assert said in page.text


def test_the_score_means_the_same_in_the_report_and_on_the_pages_about_it(small: Report) -> None:
    meaning = (
        "how probably a rater accepts the output who knows the source: its claims are held against the source's own"
        " words that the view's claims come to rest on, and what it covers against all of the source"
    )
    parts = (CriterionScore("coverage", 0.5, Interval(0.4, 0.6)),)
    target = replace(small.targets[0], beside_source=True, parts=parts)
    page = assert_inert(report_html(replace(small, composer="informed", targets=(target,)))).text
    assert meaning in page.replace("’", "'") and "composed over the tree" not in page
    assert "hold how probably a rater accepts who knows the source is not known" in page
    for path in ("README.md", "docs/carry.md"):
        assert meaning in " ".join((Path(__file__).parents[2] / path).read_text("utf-8").split()), path
    assert "composed over the tree by mean" in assert_inert(report_html(small)).text


def test_a_claims_tag_and_its_chain_call_a_level_by_one_word(small: Report) -> None:
    target = small.targets[0]
    first, *others = target.claims
    guilty = replace(first, below=(replace(first.below[0], blame=0.25),))
    page = assert_inert(report_html(replace(small, targets=(replace(target, claims=(guilty, *others)),)))).text
    assert re.search(r"loses \+0\.250 at leaf, .* leaf Said below\.", page)
    alike = replace(guilty, below=(guilty.below[0], replace(guilty.below[0], output="p")))
    page = assert_inert(report_html(replace(small, targets=(replace(target, claims=(alike, *others)),)))).text
    assert "in each of 2 steps: it rests on too much to tell which" in page and "at leaf," not in page


def test_what_was_passed_over_is_told_with_where_it_lost_most(small: Report) -> None:
    target = small.targets[0]
    first, *others = target.claims
    root = target.trees[0].nodes[0].candidates[-1]
    guilty = replace(first, below=(replace(first.below[0], blame=0.25),))
    unlucky = replace(target, least=PassedOver(replace(root, composed=0.125), 0, (guilty, *others)))
    page = assert_inert(report_html(replace(small, targets=(unlucky,)))).text
    assert "What was passed over" in page and "has the least score, 0.12" in page
    assert re.search(r"It loses \+0\.250 in “.*”: at leaf, ", page) and "sentences that lose some" not in page
    least = unlucky.least
    assert least is not None

    def told(*claims: Chain) -> str:
        nobody = replace(unlucky, least=replace(least, claims=claims))
        page = assert_inert(report_html(replace(small, targets=(nobody,)))).text
        assert "What was passed over" in page and "It loses" not in page
        return page[page.index("What was passed over") :]

    untold = told(Chain("Seen.", first.node, first.output, 0, 0.9))
    assert "None of its sentences" not in untold and "leads to the source" not in untold
    assert "None of its sentences loses as much as 0.01" in told(replace(first, blame=0.0))
    invented = told(Chain("Made up.", first.node, first.output, 0, 0.0))
    assert "No sentence of it leads to the source" in invented and "None of its sentences" not in invented
    assert "claims, with what they rest on" not in told()
    assert "What was passed over" not in assert_inert(report_html(small)).text


def test_what_the_intervals_of_chosen_and_correlations_leave_out_is_said(report: Report, page: Page) -> None:
    assert "Chosen of 32, and the interval leaves the choosing out: the largest of many" in page.text
    assert page.text.count("The intervals treat candidates as independent.") == 1  # one of the targets has gold
    first = report.targets[0]
    root = replace(first.trees[0].nodes[0], candidates=first.trees[0].nodes[0].candidates[:1])
    alone = replace(first, trees=(replace(first.trees[0], nodes=(root,)),), chosen=root.candidates[0], chosen_tree=0)
    assert "the largest of many" not in assert_inert(report_html(replace(report, targets=(alone,)))).text


def test_what_is_counted_is_over_all_rounds_and_the_select_judges_ratings_stand_apart(page: Page) -> None:
    assert "outputs 2,118 ratings 1,640 ratings, role select 120" in page.text
    assert "Outputs and ratings are over all rounds." in page.text


def test_one_training_source_is_the_reason_why_no_accuracy_is_told(report: Report) -> None:
    levels = tuple(replace(level, accuracy=None, interval=None) for level in report.levels)
    lonely = assert_inert(report_html(replace(report, levels=levels, flat=None, train_sources=1))).text
    assert "What predicts held-out sources needs two or more training sources, and there is one" in lonely
    assert "no rows" not in lonely
    several = assert_inert(report_html(replace(report, levels=levels, flat=None))).text
    assert "needs two or more" not in several and several.count("no rows") == len(levels)


def test_accuracy_is_told_by_criterion_where_raters_judged_by_several(report: Report, page: Page) -> None:
    assert "on the side" not in page.text
    shares = HeldOutShare(40, 0.725, Interval(0.6, 0.83)), HeldOutShare(0)
    levels = (replace(report.levels[0], criteria=(CriterionAccuracy("a <b>racy", *shares),)), *report.levels[1:])
    told = " ".join(assert_inert(report_html(replace(report, levels=levels))).text.split())
    assert "a <b>racy 40 0.725 0.60 to 0.83 0 –" in told


def test_equal_candidates_say_how_often_they_were_proposed(report: Report) -> None:
    target = report.targets[0]
    tree = target.trees[target.chosen_tree or 0]
    root = tree.nodes[0]
    often = replace(root, candidates=(replace(root.candidates[0], times=7), *root.candidates[1:]))
    changed = replace(target, trees=(replace(tree, nodes=(often, *tree.nodes[1:])),), chosen_tree=0)
    page = assert_inert(report_html(replace(report, targets=(changed,))))
    assert "× 7" in page.text and "proposed 7 times" in page.text
    assert f"mean of all {len(root.candidates) + 6} root candidates" in page.text


def test_every_link_leads_somewhere(page: Page) -> None:
    ids = {attributes.get("id") for _, attributes in page.elements}
    links = {
        value[1:] for _, attrs in page.elements for name, value in attrs.items() if name.endswith("href") and value
    }
    assert links and links <= ids


def test_a_part_of_several_parents_is_described_once() -> None:
    def node(name: str, level: int, children: tuple[str, ...]) -> NodeReport:
        return NodeReport(
            name, level, 2 - level, f"title of {name}", children, "", (Candidate(name, f"text of {name}"),)
        )

    nodes = (node("r", 2, ("a", "b")), node("a", 1, ("s",)), node("b", 1, ("s",)), node("s", 0, ()))
    target = TargetReport("s", "Shared", (TreeReport(0, "r", nodes),), None)
    page = assert_inert(report_html(Report("run", 0, 1, (1, 2, 1), 4, 0, "mean", (), None, (target,), Cost(), 1.0)))
    assert page.text.count("text of s") == 1
    assert "title of s , described above" in page.text or "title of s, described above" in page.text


def test_a_report_without_anything_in_it_is_a_page() -> None:
    empty = Report("nothing yet", 0, 0, (), 0, 0, "mean", (), None, (), Cost(), 0.0)
    page = assert_inert(report_html(empty))
    assert "no target sources" in page.text and "No level was evaluated" in page.text


def test_a_target_whose_root_failed_says_so() -> None:
    root = NodeReport("r", 0, 0, "Book", (), "text", (), failure="AssistantError: no answer")
    target = TargetReport("b", "Book", (TreeReport(0, "r", (root,)),), None)
    page = assert_inert(report_html(Report("x", 0, 1, (1,), 0, 0, "mean", (), None, (target,), Cost(), 0.0)))
    assert "No root output came out" in page.text and "AssistantError: no answer" in page.text


def test_empty_outputs_and_unscored_candidates_are_named(small: Report) -> None:
    root = NodeReport("r", 0, 0, "Book", (), "text", (Candidate("c", "", chosen=True),))
    target = TargetReport("b", "Book", (TreeReport(0, "r", (root,)),), root.candidates[0], 0)
    page = assert_inert(report_html(replace(small, targets=(target,))))
    assert "(empty)" in page.text and "not scored" in page.text


def test_a_tree_of_four_hundred_leaves_takes_less_than_two_megabytes() -> None:
    tree = make_tree(5, (6, 8, 9), gold=False)
    nodes = tuple(replace(node, source_text=node.source_text * 8) for node in tree.nodes)
    target = make_target("Long", (replace(tree, nodes=nodes),), gold=False)
    html = report_html(Report("long", 0, 1, (432, 48, 6, 1), 4, 0, "mean", (), None, (target,), Cost(), 1.0))
    assert len(html) < 2_000_000
    page = assert_inert(html)
    assert len(re.findall(r"cut here; [\d,]+ characters in all", page.text)) == 432
    assert page.text.count("source text, ") == 432


def test_what_a_large_tree_leaves_out_is_counted_and_those_to_blame_are_not() -> None:
    tree = make_tree(5, (10, 10), gold=False)
    nodes = (*tree.nodes[:-1], replace(tree.nodes[-1], blame=0.9))
    target = make_target("Large", (replace(tree, nodes=nodes),), gold=False)
    report = Report("large", 0, 1, (100, 10, 1), 4, 0, "mean", (), None, (target,), Cost(), 1.0)
    page = assert_inert(report_html(report, Limits(nodes=31, worst=1)))
    described = sum(1 for tag, attributes in page.elements if tag == "details" and "id" in attributes)
    assert described == 31 + 1
    assert "79 of 111 nodes are not described here" in page.text
    assert "blame 1: +0.900" in page.text
    assert "10 parts are not described here." in page.text and "9 parts are not described here." in page.text


def test_a_chain_of_ten_thousand_nodes_is_a_page_too() -> None:
    nodes = tuple(
        NodeReport(
            str(n), 10_000 - n, n, "link", (str(n + 1),) if n < 10_000 else (), "", (Candidate(f"c{n}", "x", 0.5),)
        )
        for n in range(10_001)
    )
    target = TargetReport("c", "Chain", (TreeReport(0, "0", nodes),), None)
    page = assert_inert(report_html(Report("chain", 0, 1, (1,), 1, 0, "mean", (), None, (target,), Cost(), 1.0)))
    assert "9,960 of 10,001 nodes are not described here" in page.text


def test_a_report_is_written_whole_under_its_name(report: Report, html: str, tmp_path: Path) -> None:
    path = tmp_path / "made" / "report.html"
    write_report(report, path)
    assert path.read_text("utf-8") == html
    assert [each.name for each in path.parent.iterdir()] == ["report.html"]


def test_what_cannot_be_written_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_the_same_report_gives_the_same_page(report: Report, html: str) -> None:
    assert report_html(report) == html


def test_the_cost_is_told_level_by_level_with_its_sum_and_the_flat_baseline(report: Report) -> None:
    page = report_html(report)
    table = page[page.index('<section id="cost">') :].split("</table>")[0]
    rows = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in table.split("<tr")[2:]]
    assert rows == [
        ["leaves", "1,300", "905,000", "696", "800", "2,010"],
        ["level 1", "260", "214,000", "823", "190", "460"],
        ["root", "80", "85,000", "1,062", "70", "152"],
        ["all levels", "1,640", "1,204,000", "734", "1,061", "2,622"],
        ["judge of role select", "120", "60,000", "500", "50", "99"],
        ["flat baseline", "1,640", "19,870,000", "12,116", "20,400", "29,300"],
    ]
