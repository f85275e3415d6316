"""Hostile texts in every field that comes from data: a real browser shows them as text and does nothing else."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from rrm.core.annotation import Item, Lease, Submission
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.values import KINDS, Passage, Reject, Request, Shown, View
from rrm.web.pages import PAGES
from rrm.web.station import Station
from tests.web.browser import come_in, serving, visiting
from tests.web.stations import PLENTY, desk_in

pytest_plugins = ("tests.web.chromium",)

FAR = "https://far.invalid/x"
ALERT = "alert(document.domain)"
PAYLOADS = (
    # elements that run or load something as soon as they are parsed
    f"<script>{ALERT}</script>",
    f"<script src={FAR}.js></script>",
    f"<ScRiPt>{ALERT}</sCrIpT>",
    f"<script/x>{ALERT}</script >",
    f"<scr<script>ipt>{ALERT}</scr</script>ipt>",
    f"<script type=module>import '{FAR}.js'</script>",
    f"<img src=x onerror={ALERT}>",
    f'<img src="{FAR}.png">',
    f"<img srcset='{FAR}.png 2x'>",
    f"<svg onload={ALERT}>",
    f"<svg/onload={ALERT}//",
    f"<svg><script>{ALERT}</script></svg>",
    f"<svg><animate onbegin={ALERT} attributeName=x dur=1s>",
    f"<svg><use href='{FAR}.svg#x'></svg>",
    f"<svg><foreignObject><iframe src={FAR}></iframe></foreignObject></svg>",
    f"<math><mtext><img src=x onerror={ALERT}></mtext></math>",
    f"<iframe src='javascript:{ALERT}'></iframe>",
    f"<iframe srcdoc='<script>parent.{ALERT}</script>'></iframe>",
    f"<object data='{FAR}'></object>",
    f"<embed src='{FAR}'>",
    f"<video><source onerror={ALERT}></video>",
    f"<video poster='{FAR}.png'></video>",
    f"<audio src=x onerror={ALERT}></audio>",
    f"<body onload={ALERT}>",
    f"<details open ontoggle={ALERT}>x</details>",
    f"<input autofocus onfocus={ALERT}>",
    f"<select autofocus onfocus={ALERT}></select>",
    f"<marquee onstart={ALERT}>x</marquee>",
    f"<link rel=stylesheet href='{FAR}.css'>",
    f"<style>@import '{FAR}.css';</style>",
    f"<style>* {{ background: url({FAR}.png) }}</style>",
    f"<meta http-equiv=refresh content='0;url={FAR}'>",
    f"<base href='{FAR}/'>",
    f"<form action='{FAR}'><button autofocus>x</button></form>",
    f"<custom-element onfocus={ALERT} tabindex=1 autofocus>x</custom-element>",
    # breaking out of where a text stands
    f"\"><img src=x onerror={ALERT}>",
    f"'><svg onload={ALERT}>",
    f"\" onmouseover=\"{ALERT}\" x=\"",
    f"' autofocus onfocus='{ALERT}' x='",
    f"</textarea><script>{ALERT}</script>",
    f"</title><script>{ALERT}</script>",
    f"</style><script>{ALERT}</script>",
    f"</script><script>{ALERT}</script>",
    f"--><script>{ALERT}</script><!--",
    f"]]><script>{ALERT}</script>",
    f"</div></section></main><script>{ALERT}</script>",
    # markup that changes meaning when it is parsed twice
    f"<noscript><p title=\"</noscript><img src=x onerror={ALERT}>\">",
    f"<math><mi><table><mglyph><style><img src=x onerror={ALERT}></style></mglyph></table></mi></math>",
    f"<form><math><mtext></form><form><mglyph><style></math><img src=x onerror={ALERT}>",
    f"<svg></p><style><a id=\"</style><img src=x onerror={ALERT}>\">",
    f"&lt;img src=x onerror={ALERT}&gt;",
    f"&#60;script&#62;{ALERT}&#60;/script&#62;",
    f"\\u003cscript\\u003e{ALERT}\\u003c/script\\u003e",
    f"%3Cscript%3E{ALERT}%3C/script%3E",
    f"\uff1cscript\uff1e{ALERT}\uff1c/script\uff1e",
    f"+ADw-script+AD4-{ALERT}+ADw-/script+AD4-",
    # links, and attributes that libraries act upon
    f"<a href='javascript:{ALERT}'>x</a>",
    f"<a href='java\tscript:{ALERT}'>x</a>",
    f"<a href='data:text/html,<script>{ALERT}</script>'>x</a>",
    f"[x](javascript:{ALERT})",
    f"![x]({FAR}.png)",
    f"<div hx-get='{FAR}' hx-trigger='load'>x</div>",
    f"<div hx-on:load='{ALERT}'>x</div>",
    f"<div data-hx-post='{FAR}' data-hx-trigger='load'>x</div>",
    f"<div data-hx-on--after-request='{ALERT}'>x</div>",
    f"<div x-data x-init='{ALERT}' v-on:click='{ALERT}' ng-init='{ALERT}'>x</div>",
    f"<div style='background:url({FAR}.png);position:fixed;inset:0'>x</div>",
    # templates and script texts
    "{{7*7}} {% include '/etc/passwd' %} {# x #}",
    "{{constructor.constructor('" + ALERT + "')()}}",
    "${" + ALERT + "} `${7*7}` #{7*7} <%= 7*7 %>",
    f"';{ALERT};//",
    f"\\';{ALERT};//",
    f"javascript:{ALERT}",
    '{"__proto__": {"polluted": true}}',
    "__proto__ constructor toString hasOwnProperty",
    # characters that are not what they seem
    "\u202etxet desrever\u202c \u2066isolated\u2069",
    "zero\u200bwidth\u200c\u200d\ufeff<\u200bscript>",
    "one\r\ntwo\nthree\rfour\u2028five\u2029six",
    "Set-Cookie: a=b\r\n\r\n<script>" + ALERT + "</script>",
    "a\u0301" * 50 + " \U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f3f4",
    "\x1b[31mred\x1b[0m \x07bell",
    "=cmd|' /C calc'!A0 @SUM(1) +1 -1",
    "' OR 1=1 --",
)  # fmt: skip


GROUPS = tuple("\n".join(PAYLOADS[i : i + 6]) for i in range(0, len(PAYLOADS), 6))
"""Some at a time: what one of them swallowed or changed would be missed when the whole is compared."""


def test_there_are_sixty_payloads_and_more() -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 60


def request(number: int, payload: str, kind: str = "comparison") -> Request:
    passages = (Passage(f"passage {payload}"), Passage(f"part {payload}", "n", "o", 0.5))
    view = View(f"task {payload}", passages, 400, f"context {payload}")
    shown = () if kind == "demonstration" else tuple(Shown(f"o{number}-{i}", f"output {i} {payload}") for i in (0, 1))
    return Request(f"node-{number}", "source", Place(), kind, view, shown if kind == "comparison" else shown[:1])


class Scene:
    def __init__(self, desk: Any, url: str) -> None:
        self.desk, self.url = desk, url


@contextmanager
def scene(folder: Path, items: Sequence[Item], **changes: Any) -> Iterator[Scene]:
    with desk_in(folder / "run", items, gold_every=0, attention_every=0, **changes) as desk:

        def wider(id: str) -> tuple[str, str, str]:
            task = desk.item(id).request.view.instruction
            return f"before {task} ", f"here {task}", f" after {task}"

        with serving(Station(desk, PLENTY, wider=wider)) as url:
            yield Scene(desk, url)


def content(page: Any, selector: str) -> list[str]:
    """What each element holds, to the letter, if it can be seen."""
    found = page.locator(selector)
    assert all(each.is_visible() for each in found.all()), selector
    return list(found.evaluate_all("nodes => nodes.map((node) => node.textContent)"))


def press(page: Any, key: str) -> None:
    page.wait_for_selector("#item.fresh", state="detached")  # keys are dead just after an item was drawn
    page.keyboard.press(key)


def ready(page: Any) -> None:
    shown = page.wait_for_selector("#item:not(.busy):not(.fresh) :is(.bar-answer, .notice)")
    if "notice" in shown.get_attribute("class"):
        page.keyboard.press("Enter")
        page.wait_for_selector("#item:not(.busy):not(.fresh) .bar-answer")


def test_in_items_and_their_wider_context(tmp_path: Path, chromium: Any) -> None:
    items = [Item(request(i, payload)) for i, payload in enumerate(GROUPS)]
    with scene(tmp_path, items, markdown=False) as at, visiting(chromium, at.url) as page:
        come_in(page, at.desk, at.url)
        page.goto("/work")
        seen = set()
        for turn in range(1, len(GROUPS) + 1):
            page.wait_for_selector(f"#item:not(.busy):not(.fresh) .item-head span:text-is('Item {turn}')")
            [task] = content(page, ".instruction")
            payload = task.removeprefix("task ")
            seen.add(payload)
            assert content(page, ".source > .scroll .text") == [f"context {payload}"]
            assert content(page, ".passage .text") == [f"passage {payload}", f"part {payload}"]
            assert sorted(content(page, ".output .text")) == [f"output {i} {payload}" for i in (0, 1)]
            press(page, "w")
            page.wait_for_selector("dialog[open]")
            assert content(page, "dialog .text") == [f"before task {payload} here task {payload} after task {payload}"]
            press(page, "Escape")
            page.wait_for_selector("dialog", state="detached")
            page.seen.assert_clean(page)
            press(page, "1")
        page.wait_for_selector("h1:has-text('All done')")
        assert seen == set(GROUPS)
        page.seen.assert_clean(page)


def test_in_practice_s_expected_answers_and_explanations(tmp_path: Path, chromium: Any) -> None:
    items = [
        Item(request(i, payload), "practice", expected=Reject(payload), explanation=f"because {payload}")
        for i, payload in enumerate(GROUPS)
    ]
    with scene(tmp_path, items, practice_items=len(items)) as at, visiting(chromium, at.url) as page:
        come_in(page, at.desk, at.url)
        page.goto("/work")
        for _ in GROUPS:
            ready(page)
            payload = content(page, ".instruction")[0].removeprefix("task ")
            press(page, "0")
            page.wait_for_selector(".verdict")
            assert content(page, ".verdict bdi") == ["Both are bad", f"Reject: {payload}"]
            assert content(page, ".verdict .text") == [f"because {payload}"]
            page.seen.assert_clean(page)
            press(page, "Enter")
            page.wait_for_selector(".verdict", state="detached")


def _drafted(lease: Lease, answer: dict[str, Any]) -> dict[str, Any]:
    of = {"item": lease.first.request.id, "shown": lease.first.shown}
    return {"text": answer["text"], "answers": [{**of, "answer": answer, "confidence": None}]}


@pytest.mark.parametrize("kind", ["correction", "critique", "demonstration"])
def test_in_drafts_diffs_and_marks(kind: str, tmp_path: Path, chromium: Any) -> None:
    everything = "\n".join(payload.replace("\r\n", "\n").replace("\r", "\n") for payload in PAYLOADS)
    with scene(tmp_path, [Item(request(0, everything, kind))]) as at, visiting(chromium, at.url) as page:
        person = come_in(page, at.desk, at.url)
        lease = at.desk.claim(person)
        written = {"kind": kind, "text": f"mine {everything}", "spans": [[0, len(everything)]], "source_spans": []}
        at.desk.save_draft(person, lease.id, _drafted(lease, written))
        page.goto("/work")
        ready(page)
        assert page.input_value("#area") == f"mine {everything}"
        if kind == "correction":
            assert "".join(content(page, ".diff ins")) == "mine"
            assert "".join(content(page, ".diff span, .diff ins")) == f"mine {everything}"
        if kind == "critique":
            assert content(page, ".marks mark") == [f"output 0 {everything}"[: len(everything)]]
        at.desk.submit(person, lease.id, [Submission(KINDS[kind](everything), lease.first.shown)], "key")
        press(page, "Escape")
        press(page, "l")
        page.wait_for_selector("dialog li")
        assert content(page, "dialog .text") == [everything]
        page.seen.assert_clean(page)


def test_in_reasons_and_flags_that_are_typed(tmp_path: Path, chromium: Any) -> None:
    single = [payload for payload in PAYLOADS if payload.isprintable()]
    typed = [" | ".join(single[i : i + 6]) for i in range(0, len(single), 6)]
    items = [Item(request(i, payload)) for i, payload in enumerate(typed)]
    with scene(tmp_path, items) as at, visiting(chromium, at.url) as page:
        come_in(page, at.desk, at.url)
        page.goto("/work")
        for turn, payload in enumerate(typed, 1):
            page.wait_for_selector(f"#item:not(.busy):not(.fresh) .item-head span:text-is('Item {turn}')")
            for key in "fr":
                press(page, key)
                page.fill("dialog #note", payload)
                press(page, "Enter")
                page.wait_for_selector("dialog", state="detached")
            page.wait_for_selector(f"#progress:has-text('{turn} done')")
            press(page, "u")
            page.wait_for_selector(f"#item:not(.busy):not(.fresh) .item-head span:text-is('Item {turn}')")
            assert content(page, "#state") == [f"Your answer was: Reject: {payload}"]
            press(page, "r")
            page.fill("dialog #note", payload)
            press(page, "Enter")
            page.wait_for_selector(f"#progress:has-text('{turn} done')")
        page.seen.assert_clean(page)
        assert [each.text for each in at.desk.flags()] == typed
        assert [each.answer for each in at.desk.answers() if each.state == "live"] == [Reject(each) for each in typed]


def test_in_guidelines(tmp_path: Path, chromium: Any) -> None:
    lines = [payload for payload in PAYLOADS if "\n" not in payload and "\r" not in payload]
    with scene(tmp_path, [Item(request(0, "x"))]) as at, visiting(chromium, at.url) as page:
        at.desk.set_guideline("\n".join(["~~~~", *lines, "~~~~"]), by="test")
        come_in(page, at.desk, at.url)
        page.goto("/work")
        ready(page)
        assert content(page, "#guidelines pre")[0].rstrip("\n").split("\n") == lines
        page.seen.assert_clean(page)
        at.desk.set_guideline("\n\n".join(PAYLOADS), by="test")
        page.reload()
        ready(page)
        assert "alert(document.domain)" in content(page, "#guidelines")[0]
        tags = page.eval_on_selector_all("#guidelines .prose *", "nodes => nodes.map((node) => node.tagName)")
        assert not set(tags) & {"SCRIPT", "IMG", "SVG", "IFRAME", "STYLE", "FORM", "INPUT", "OBJECT", "LINK", "META"}
        links = page.eval_on_selector_all("#guidelines a", "nodes => nodes.map((node) => node.getAttribute('href'))")
        assert all(link is None or link.startswith("http") for link in links)
        page.seen.assert_clean(page)


def test_in_the_consent_text_and_in_an_invitation_s_address(tmp_path: Path, chromium: Any) -> None:
    consent = "\n".join(payload for payload in PAYLOADS if "\r" not in payload)
    with scene(tmp_path, [], consent=consent) as at, visiting(chromium, at.url) as page:
        page.goto("/join#token")
        assert content(page, ".consent") == [consent]
        page.check("#agreed")
        for payload in PAYLOADS[::8]:
            page.goto("/login")  # else only the fragment would change
            page.goto(f"/join?participant={quote(payload[:200])}#{quote(payload[:190], safe='<>/ =')}")
            page.check("#agreed")
            page.click("#form button")
            page.wait_for_selector("#problem:visible")
            page.seen.assert_clean(page)


def test_in_names_on_every_page_of_the_admin_and_the_tree(tmp_path: Path, chromium: Any) -> None:
    items = [Item(request(i, payload), wanted=2) for i, payload in enumerate(PAYLOADS)]
    with scene(tmp_path, items) as at, visiting(chromium, at.url) as page:
        come_in(page, at.desk, at.url, "admin", name="<script>alert(1)</script>")
        names = []
        for payload in PAYLOADS:
            with suppress(InputError):  # a name takes no control characters
                names.append(at.desk.add_person(payload[:80].strip(), by="test").name)
        assert len(names) >= 60
        at.desk.set_guideline("\n\n".join(PAYLOADS), by="test")
        rater = at.desk.persons()[1].id
        for payload in PAYLOADS[:20]:
            lease = at.desk.claim(rater)
            at.desk.flag(rater, lease.id, payload)
            at.desk.skip(rater, lease.id, payload, f"key-{PAYLOADS.index(payload):08d}")
        for each in PAGES:
            page.goto(each.path)
            page.wait_for_load_state("networkidle")
            page.seen.assert_clean(page)
            if each.path == "/admin/raters":
                shown = page.evaluate("document.querySelector('main').textContent")
                assert all(name in shown for name in names)
