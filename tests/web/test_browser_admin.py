"""The admin's pages in a real browser, over a desk after a morning's work: they fit, can be used, and harm nobody."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from rrm.core.annotation import Item, Submission
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.values import Comparison, Critique, Passage, Reject, Request, Shown, View
from rrm.queue import SqlDesk, open_desk
from rrm.store.record import open_store
from rrm.web.station import Station, WebSettings
from tests.web.admin_scenes import make_busy
from tests.web.browser import (
    NARROW,
    WIDE,
    assert_accessible,
    assert_fits,
    come_in,
    picture,
    serving,
    visiting,
)

pytest_plugins = ("tests.web.chromium",)

PAGES = {
    "admin": ("/admin", "#places progress"),
    "raters": ("/admin/raters", "#raters tbody tr"),
    "agreement": ("/admin/agreement", "svg.plot"),
    "adjudicate": ("/admin/adjudicate", "#queue button"),
    "items": ("/admin/items", "#items tbody tr"),
    "guidelines": ("/admin/guidelines", "#versions details"),
    "settings": ("/admin/settings", "#overlap"),
    "audit": ("/admin/audit", "#entries tbody tr"),
}
AGAIN_WHILE_FRESH = """() => document.querySelector('#one.fresh')
    && document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '2', code: 'Digit2', bubbles: true}))"""
"""The second tap of two, in the dead time of the item that was drawn since; a slow machine may have let it pass."""

_FEW_ROWS = "() => document.querySelectorAll('tbody tr:nth-child(n + 12)').forEach((row) => row.remove())"
"""axe takes half a minute over a hundred rows that are all alike."""

NASTY = '<img src=x onerror="window.seen.dialogs.push(1)"><script>window.seen.dialogs.push(2)</script>{{7*7}}'


class Run:
    started = 0

    def status(self) -> dict[str, Any]:
        lines = ["level 0: 64 requests, 38 with all their answers", "waiting for people"]
        return {"state": "running" if self.started else "waiting", "lines": lines, "command": "rrm resume run"}

    def train(self) -> None:
        self.started += 1


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run after a morning's work."""
    folder = tmp_path_factory.mktemp("morning") / "run"
    make_busy(folder)
    return folder


@pytest.fixture(scope="module")
def scene(morning: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SqlDesk, str]]:
    """A desk that tests only look at, and its address."""
    copy = shutil.copytree(morning, tmp_path_factory.mktemp("scene") / "run")
    with open_desk(copy, random=Random(1)) as desk, serving(_station(desk)) as url:
        yield desk, url


@pytest.fixture
def fresh(morning: Path, tmp_path: Path) -> Iterator[tuple[SqlDesk, str, Run]]:
    """The same, for a test that changes it."""
    run = Run()
    folder = shutil.copytree(morning, tmp_path / "run")
    with open_desk(folder, random=Random(1)) as desk, serving(_station(desk, run)) as url:
        yield desk, url, run


def _station(desk: SqlDesk, run: Run | None = None) -> Station:
    settings = WebSettings(requests_a_minute=10**6, attempts_a_minute=10**6, answers_a_minute=10**6)
    return Station(desk, settings, run=run or Run())


def _open(page: Any, name: str) -> None:
    path, sign = PAGES[name]
    page.goto(path)
    page.wait_for_selector(sign)
    if name == "raters":
        page.wait_for_selector("#raters .badge.warn")  # the figures are there
    if name == "admin":
        page.wait_for_selector("#alert-list li")
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize(
    ("width", "scheme"),
    [(NARROW, "light"), *(pytest.param(WIDE, scheme, marks=pytest.mark.slow) for scheme in ("light", "dark"))],
)
def test_every_page_fits_is_accessible_and_is_pictured(
    chromium: Any, scene: tuple[SqlDesk, str], pictures: Path, width: int, scheme: str
) -> None:
    desk, url = scene
    with visiting(chromium, url, width, scheme) as page:
        come_in(page, desk, url, "admin", f"Ada {width} {scheme}")
        for name in PAGES:
            _open(page, name)
            assert_fits(page)
            picture(page, pictures, f"admin-{name}-{width}-{scheme}")
            page.evaluate(_FEW_ROWS)
            assert_accessible(page)
            page.seen.assert_clean(page)


def test_a_reader_is_offered_nothing_that_changes_anything(chromium: Any, scene: tuple[SqlDesk, str]) -> None:
    desk, url = scene
    words = re.compile("Freeze|Reopen|Train|Add and|Manage|Save|Make the link|Set the password|better|Reject", re.I)
    with visiting(chromium, url) as page:
        come_in(page, desk, url, "reader", "Rita")
        refused: list[str] = []
        page.on("response", lambda response: refused.append(response.url) if response.status == 403 else None)
        for name in PAGES:
            _open(page, name)
            offered = page.get_by_role("button", name=words, disabled=False)
            assert offered.count() == 0, (name, offered.all_inner_texts())
            assert "Amara" not in page.inner_text("body"), name
            assert refused == []
            page.seen.assert_clean(page)


def test_a_level_is_frozen_after_a_question_that_says_what_it_means(
    chromium: Any, fresh: tuple[SqlDesk, str, Run]
) -> None:
    desk, url, run = fresh
    with visiting(chromium, url) as page:
        come_in(page, desk, url, "admin")
        _open(page, "admin")
        page.get_by_role("button", name="Freeze").first.press("Enter")
        asked = page.get_by_role("dialog")
        assert "still missing" in asked.inner_text()
        page.keyboard.press("Escape")
        assert desk.frozen() == set()
        page.get_by_role("button", name="Freeze").first.press("Enter")
        page.get_by_role("button", name="Freeze level 0").press("Enter")
        page.get_by_role("button", name="Reopen").wait_for()
        assert desk.frozen() == {Place()}
        page.click("#train")
        page.get_by_role("button", name="Start the run").click()
        page.wait_for_selector("#run-state:has-text('running')")
        assert run.started == 1
        page.get_by_role("button", name="Reopen").click()
        page.get_by_role("button", name="Reopen level 0").click()
        page.wait_for_function("() => !document.querySelector('[data-act^=reopen]')")
        assert_accessible(page)
        page.seen.assert_clean(page)
    assert desk.frozen() == set()


def test_a_rater_is_added_with_a_link_and_another_is_paused_by_keyboard(
    chromium: Any, fresh: tuple[SqlDesk, str, Run], pictures: Path
) -> None:
    desk, url, _ = fresh
    with visiting(chromium, url) as page:
        come_in(page, desk, url, "admin")
        _open(page, "raters")
        page.fill("#name", "Kim Novak")
        page.keyboard.press("Enter")
        link = page.get_by_label("Invitation of Kim Novak").input_value()
        assert link.startswith(f"{url}/join#")
        page.get_by_role("button", name="Manage Farid Nasser").press("Enter")
        page.wait_for_timeout(50)
        picture(page, pictures, "admin-manage-1280")
        page.get_by_role("button", name="Pause").press("Enter")
        page.wait_for_selector("tr:has-text('Farid Nasser') >> text=paused")
        assert next(each.state for each in desk.persons() if each.name == "Farid Nasser") == "paused"
        with visiting(chromium, url) as other:
            other.goto(link)
            other.get_by_role("button", name="Start").click()
            other.click("#later")
            other.wait_for_url("**/work")
        page.seen.assert_clean(page)


def test_a_table_sorts_by_its_headers_and_keeps_the_focus_while_it_refreshes(
    chromium: Any, fresh: tuple[SqlDesk, str, Run]
) -> None:
    desk, url, _ = fresh
    with visiting(chromium, url) as page:
        come_in(page, desk, url, "admin")
        _open(page, "raters")
        header = page.get_by_role("button", name="Chose the first shown")
        header.press("Enter")
        header.press("Enter")
        cell = page.locator("th[aria-sort]")
        assert (cell.count(), cell.get_attribute("aria-sort")) == (1, "ascending")
        assert "Farid Nasser" in page.locator("#raters tbody tr").first.inner_text()
        button = page.get_by_role("button", name="Manage Ben Castellan")
        button.focus()
        ben = next(each for each in desk.persons() if each.name == "Ben Castellan")
        desk.set_state(ben.id, "paused", "test")
        page.wait_for_selector("tr:has-text('Ben Castellan') >> text=paused")
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Manage Ben Castellan"


def test_disputed_items_are_settled_by_keyboard_alone(
    chromium: Any, fresh: tuple[SqlDesk, str, Run], pictures: Path
) -> None:
    desk, url, _ = fresh
    disputed = desk.disputed()
    comparisons = [id for id, _ in disputed if desk.item(id).request.kind == "comparison"]
    with visiting(chromium, url) as page:
        judge = come_in(page, desk, url, "adjudicator", "Jude")
        _open(page, "adjudicate")
        for _ in range(len(disputed)):  # "later" walks through the queue
            if page.locator("#item-title:has-text('Comparison')").count():
                break
            before = page.locator("#queue [aria-current]").get_attribute("data-item")
            page.wait_for_selector("#one:not(.fresh)")
            page.keyboard.press("s")
            page.wait_for_function(
                "id => document.querySelector('#queue [aria-current]')?.dataset.item !== id", arg=before
            )
        item = page.locator("#queue [aria-current]").get_attribute("data-item")
        assert item in comparisons
        picture(page, pictures, "admin-settling-1280")
        page.wait_for_selector("#one:not(.fresh)")
        page.keyboard.press("2")  # A better
        page.wait_for_function("id => !document.querySelector(`[data-item='${id}']`)", arg=item)
        page.evaluate(AGAIN_WHILE_FRESH)  # a double tap decides on one item
        page.wait_for_selector("#one:not(.fresh)")
        page.keyboard.press("u")
        page.wait_for_selector(f"#queue [aria-current][data-item='{item}']")
        assert len(desk.disputed()) == len(disputed)
        page.wait_for_selector("#one:not(.fresh)")
        page.keyboard.press("2")
        page.wait_for_function("id => !document.querySelector(`[data-item='${id}']`)", arg=item)
        undone, decision = (each for each in desk.item_answers(item) if each.adjudication)
        assert (decision.answer, decision.person, undone.state) == (Comparison(0, 0.5), judge, "undone")
        assert {each.state for each in desk.item_answers(item) if not each.adjudication} == {"adjudicated"}
        assert page.evaluate("document.activeElement.id") == "item-title"
        assert_accessible(page)
        page.seen.assert_clean(page)
    assert len(desk.disputed()) == len(disputed) - 1


def test_a_critique_that_another_rater_rejected_is_settled_with_its_passages_to_mark(
    chromium: Any, tmp_path: Path
) -> None:
    view = View("Sum it up.", (Passage("The miller lost the letter."),), 60)
    request = Request("node-1", "book-1", Place(), "critique", view, (Shown("a", "Somebody lost something."),))
    open_store(tmp_path / "run").close()
    with open_desk(tmp_path / "run", random=Random(1)) as desk, serving(_station(desk)) as url:
        desk.add_items([Item(request, wanted=2)])
        desk.change_settings({"gold_every": 0, "attention_every": 0}, "test")
        for name, answer in (("One", Critique("It names nobody.")), ("Two", Reject("The source is damaged."))):
            person = desk.add_person(name, by="test").id
            desk.set_state(person, "active", "test")
            lease = desk.claim(person)
            assert lease is not None
            desk.submit(person, lease.id, [Submission(answer, lease.first.shown, 3.0)], f"answer-{name}")
        with visiting(chromium, url) as page:
            come_in(page, desk, url, "adjudicator", "Jude")
            page.goto("/admin/adjudicate")
            page.wait_for_selector("#item-title")
            page.wait_for_selector("#one:not(.fresh)")
            page.locator(".reading [role=textbox]").focus()
            page.keyboard.press("ArrowRight")
            page.keyboard.press("m")  # marks the first word
            page.fill("#area", "It does not say who.")
            page.keyboard.press("Control+Enter")
            page.wait_for_selector("text=Nothing to settle")
            page.seen.assert_clean(page)
        [decision] = [each for each in desk.item_answers(request.id) if each.adjudication]
        assert decision.answer == Critique("It does not say who.")
        assert decision.detail["source_spans"] == [[0, 0, 3]]


def test_items_are_searched_opened_and_left_again(chromium: Any, scene: tuple[SqlDesk, str], pictures: Path) -> None:
    desk, url = scene
    with visiting(chromium, url) as page:
        come_in(page, desk, url, "admin", "Ada who looks")
        _open(page, "items")
        page.fill("#text", "the old quarry")
        page.select_option("#kind", "critique")
        page.keyboard.press("Enter")
        found = desk.search_items(text="the old quarry", kind="critique")
        page.wait_for_function("n => document.querySelectorAll('#items tbody tr').length === n", arg=len(found))
        page.locator("#items tbody a").first.click()
        page.wait_for_selector("#one mark")  # what the critique marks is quoted
        picture(page, pictures, "admin-item-1280")
        assert_accessible(page)
        page.get_by_role("link", name="All items").click()
        page.wait_for_selector("#filters")
        assert page.input_value("#text") == "the old quarry"
        page.get_by_role("button", name="Clear").click()
        page.select_option("#place", label="level 1")
        page.get_by_role("button", name="Search").click()
        there = desk.search_items(place=Place(level=1))
        page.wait_for_function("n => document.querySelectorAll('#items tbody tr').length === n", arg=len(there))
        assert page.input_value("#place") == "0/answer/1"
        page.seen.assert_clean(page)


def test_guidelines_are_previewed_saved_and_compared(chromium: Any, fresh: tuple[SqlDesk, str, Run]) -> None:
    desk, url, _ = fresh
    with visiting(chromium, url) as page:
        come_in(page, desk, url, "admin")
        _open(page, "guidelines")
        page.fill("#text", f"# Be fair\n\n{NASTY}")
        page.wait_for_selector("#preview h1:has-text('Be fair')")
        assert page.locator("#preview img, #preview script").count() == 0
        assert "<img src=x" in page.inner_text("#preview")
        page.click("#save")
        page.get_by_role("button", name="Save the version").click()
        page.wait_for_selector("#versions >> text=Version 3")
        assert desk.guideline().version == 3
        page.locator("#versions summary").first.click()
        page.wait_for_selector("#versions ins:has-text('fair')")
        page.seen.assert_clean(page)


def test_settings_are_saved_and_refusals_are_said_beside_the_button(
    chromium: Any, fresh: tuple[SqlDesk, str, Run]
) -> None:
    desk, url, _ = fresh
    with visiting(chromium, url) as page:
        come_in(page, desk, url, "admin")
        _open(page, "settings")
        page.wait_for_function("() => document.getElementById('overlap').value === '3'")
        page.fill("#overlap", "4")
        page.fill("#participant_parameter", "not a name")
        page.click("#save")
        page.wait_for_selector("#said:has-text('participant_parameter')")
        assert desk.settings().overlap == 3
        page.fill("#participant_parameter", "PROLIFIC_PID")
        page.click("#save")
        page.wait_for_selector("#said:has-text('Saved.')")
        assert (desk.settings().overlap, desk.settings().participant_parameter) == (4, "PROLIFIC_PID")
        page.fill("#panel-name", "Study 1")
        page.fill("#panel-pattern", "[0-9a-f]{24}")
        page.get_by_role("button", name="Make the link").click()
        assert "?PROLIFIC_PID={{%PROLIFIC_PID%}}#" in page.get_by_label("Link for Study 1").input_value()
        token = page.get_by_label("Link for Study 1").input_value().partition("#")[2]
        with pytest.raises(InputError, match="no participant id of this panel"):
            desk.join(token, "made-up")
        assert desk.who(desk.join(token, "0123456789abcdef01234567"))
        assert_accessible(page)
        page.seen.assert_clean(page)


def test_a_file_is_downloaded_under_the_servers_name(chromium: Any, scene: tuple[SqlDesk, str], tmp_path: Path) -> None:
    desk, url = scene
    with visiting(chromium, url, accept_downloads=True) as page:
        come_in(page, desk, url, "admin", "Ada who downloads")
        _open(page, "admin")
        with page.expect_download() as started:
            page.get_by_role("link", name="JSON lines").click()
        assert re.fullmatch(r"answers-\d{4}-\d\d-\d\d\.jsonl", started.value.suggested_filename)
        started.value.save_as(tmp_path / "answers.jsonl")
        assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == sum(
            each.state == "live" for each in desk.answers()
        )


def test_nothing_that_somebody_wrote_is_ever_run(chromium: Any, fresh: tuple[SqlDesk, str, Run]) -> None:
    """The same text as instruction, source, output, reason, flag, name and guidelines, on every page."""
    desk, url, _ = fresh
    name = "<b onmouseover=window.seen.dialogs.push(3)>Eve</b>"
    evil = [desk.add_person(f"{name} {number}", by="test").id for number in range(2)]
    view = View(NASTY, (Passage(NASTY, "n", "o", 0.5),), 60, context=NASTY)
    request = Request(
        "node-evil", "s", Place(level=7), "comparison", view, (Shown("a", NASTY), Shown("b", f"{NASTY} too"))
    )
    desk.add_items([Item(request, wanted=2, value=1e9)])
    desk.change_settings({"strategy": "valuable", "gold_every": 0, "consent": NASTY}, "test")
    desk.set_guideline(NASTY, "test")
    for place, person in enumerate(evil):
        desk.set_state(person, "active", "test")
        lease = desk.claim(person)
        assert lease is not None and lease.first.request == request
        desk.flag(person, lease.id, NASTY)
        answer = Comparison(lease.first.order.index(place))
        desk.submit(
            person, lease.id, [Submission(answer, lease.first.shown, 3.0, detail={"note": NASTY})], f"evil-key-{place}"
        )
    with visiting(chromium, url) as page:
        come_in(page, desk, url, "admin", f"{name} the admin")
        for each in PAGES:
            _open(page, each)
            page.seen.assert_clean(page)
        page.goto(f"/admin/items#{request.id}")
        page.wait_for_selector("#item-title")
        assert "onerror" in page.inner_text("#one")
        page.goto("/admin/adjudicate")
        page.locator(f"#queue [data-item='{request.id}']").click()
        page.wait_for_selector("#item-title:has-text('level 7')")
        assert page.locator("main img, main script, main b[onmouseover]").count() == 0
        page.seen.assert_clean(page)
