"""Comparisons in hindsight in a real browser: what came of each output stands below it, and one key decides."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rrm.core.annotation import Item
from rrm.core.kinds import Hindsight, Reject
from tests.web.browser import NARROW, WIDE, assert_accessible, assert_fits, picture
from tests.web.test_browser_annotator import CAME, press, rating, ready, request, scene, work

pytest_plugins = ("tests.web.chromium",)

CAME_LINES = CAME.text.split("\n")


def test_what_came_of_each_output_is_shown_with_how_often_that_is_wrong(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, work("hindsight", 2)) as at, rating(at, chromium) as page:
        assert page.inner_text("#heading") == "Seeing what came of each: which output is better?"
        came = page.locator(".output .came").all_inner_texts()
        assert len(came) == 2 and all(line in each for each in came for line in ["What came of it", *CAME_LINES])
        assert all("1 of 8 that could be checked here were" in each for each in came)
        first = at.desk.claim(page.person).first
        press(page, "b")
        ready(page)
        [given] = at.live()
        assert given.answer == Hindsight(first.order[1])
        press(page, "0")
        page.wait_for_selector("text=All done")
        assert at.live()[-1].answer == Reject("both are bad")
        press(page, "u")
        ready(page)
        page.wait_for_selector("button[aria-pressed=true]:has-text('Both are bad')")


def test_an_outcome_that_is_markup_stays_a_text(tmp_path: Path, chromium: Any) -> None:
    asked = request("hindsight", 0)
    nasty = replace(CAME, text="<img src=x onerror=alert(1)> **bold**")
    shown = tuple(replace(each, consequence=nasty) for each in asked.shown)
    with scene(tmp_path, [Item(replace(asked, shown=shown))]) as at, rating(at, chromium) as page:
        assert page.locator(".came").first.inner_text().count("<img src=x onerror=alert(1)> **bold**") == 1
        assert page.locator(".came img, .came strong").count() == 0


def test_several_questions_in_hindsight_stand_on_one_sheet_with_each_outcome_once(
    tmp_path: Path, chromium: Any
) -> None:
    asked = request("hindsight", 0)
    items = [Item(each, sheet="one") for each in (asked, replace(asked, criterion="accuracy"))]
    with scene(tmp_path, items) as at, rating(at, chromium) as page:
        assert page.inner_text("#heading") == "2 questions about this text"
        assert page.locator(".output .came").count() == 2
        page.wait_for_selector("#question:has-text('which is better, by what came of it?')")
        press(page, "a")
        page.wait_for_selector(".steps .done")
        press(page, "0")
        press(page, "Enter")
        page.wait_for_selector("text=All done")
        assert {type(each.answer) for each in at.live()} == {Hindsight, Reject}


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_hindsight_fits_can_be_read_by_everybody_and_is_pictured(
    width: int, scheme: str, tmp_path: Path, chromium: Any, pictures: Path
) -> None:
    with scene(tmp_path, work("hindsight", 1)) as at, rating(at, chromium, width=width, scheme=scheme) as page:
        assert_accessible(page)
        assert_fits(page)
        picture(page, pictures, f"hindsight-{width}-{scheme}")
