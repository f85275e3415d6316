"""Chosen questions in a real browser: the queue is reordered after an answer, bundles stay together, and it ends."""

import re
from pathlib import Path
from typing import Any

from rrm.api.reordering import Reordering, reordering
from rrm.web.station import Station
from tests.asked_desk import chosen
from tests.web.browser import assert_accessible, assert_fits, come_in, picture, serving, visiting, wait_until
from tests.web.stations import PLENTY
from tests.web.test_browser_annotator import press, ready

pytest_plugins = ("tests.web.chromium",)


def view(page: Any) -> int:
    """Return the view that the page shows."""
    found = re.search(r"Summarise the passage \((\d)\)", page.inner_text("#item"))
    assert found is not None
    return int(found[1])


def answer_all(page: Any) -> None:
    """Answer a sheet of a comparison and a label by its keys."""
    press(page, "1")
    press(page, "y")
    page.wait_for_selector("button:has-text('Hand in all answers'):not([disabled])")
    press(page, "Enter")


def test_the_queue_is_reordered_after_an_answer_and_a_bundle_stays_together(tmp_path: Path, chromium: Any) -> None:
    with (
        chosen(tmp_path / "run") as (desk, folder),
        reordering(desk, folder),
        serving(Station(desk, PLENTY)) as url,
        visiting(chromium, url) as page,
        visiting(chromium, url) as other,
    ):
        wait_until(lambda: bool(desk.valuations()))
        come_in(page, desk, url)
        page.goto("/work")
        ready(page)
        assert view(page) == 0 and page.inner_text("#heading") == "2 questions about this text"
        wait_until(lambda: [each.node[-1] for each in desk.next_items(2)] == ["2", "2"])  # what is held is as asked
        ben = come_in(other, desk, url)
        other.goto("/work")
        ready(other)
        assert view(other) == 2 and other.inner_text("#heading") == "2 questions about this text"
        held = desk.claim(ben)
        before = desk.valuations()[-1]
        answer_all(page)
        wait_until(lambda: desk.valuations()[-1].answers > before.answers)
        assert desk.claim(ben) == held and view(other) == 2  # never under a rater's hands
        assert {each.node for each in desk.next_items(100) if each.stream == "value"} == {"node-1", "node-3"}
        sheets = {each.sheet for each in desk.answers()}
        assert len(sheets) == 1 and len(list(desk.answers())) == 2


def test_an_admin_sees_why_an_item_comes_first_and_how_fresh_that_is(tmp_path: Path, chromium: Any) -> None:
    with chosen(tmp_path / "run") as (desk, folder):
        order = Reordering(desk, folder)
        with serving(Station(desk, PLENTY)) as url, visiting(chromium, url) as page:
            come_in(page, desk, url)
            page.goto("/work")
            ready(page)
            order.look()
            answer_all(page)
            wait_until(lambda: len(list(desk.answers())) == 2)
            with visiting(chromium, url) as admin:
                come_in(admin, desk, url, role="admin")
                admin.goto("/admin")
                admin.wait_for_selector("#asking:not([hidden]) li")
                assert "2 changes are newer than this order" in admin.inner_text("#asking-says")
                order.look()
                admin.wait_for_selector("#asking-says:has-text('Nothing has changed since')")
                assert "just now" in admin.inner_text("#asking-says")
                assert "drawn at random beside the chosen" in admin.inner_text("#asking-next")
                assert "points when it was chosen" not in admin.inner_text("#asking-next li:first-child")
                admin.wait_for_selector("#asking-gains svg")
                assert_accessible(admin)
                assert_fits(admin)
                picture(admin, tmp_path, "asked-next")


def test_a_rater_is_told_that_what_is_left_is_not_worth_the_time(tmp_path: Path, chromium: Any) -> None:
    with chosen(tmp_path / "run", worth=0.5) as (desk, folder):
        assert Reordering(desk, folder).look()
        with serving(Station(desk, PLENTY)) as url, visiting(chromium, url) as page:
            come_in(page, desk, url)
            page.goto("/work")
            page.wait_for_selector("#item:has-text('are not worth your time any more')")
