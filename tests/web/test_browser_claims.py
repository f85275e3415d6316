"""Claims marked in a real browser, by keyboard alone: by themselves and as one question of a sheet."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rrm.core.annotation import Item
from rrm.core.claims import claim_spans
from rrm.core.kinds import ClaimMarks, Label
from rrm.core.place import Place
from rrm.core.values import Passage, Request, Shown, View
from tests.web.browser import NARROW, assert_accessible, assert_fits, picture
from tests.web.test_browser_annotator import SOURCE, press, rating, ready, scene

pytest_plugins = ("tests.web.chromium",)

TEXT = "A keeper waits 🦊 for the boat. He reads the letter at once. The salt dries on the glass."
SPANS = [tuple(span) for span in claim_spans(TEXT)]
VIEW = View("Summarise the passage.", (Passage(SOURCE),), 60)


def items(*kinds: str, support: tuple[float, ...] = (0.93, 0.21, 0.8), sheet: str = "") -> list[Item]:
    shown = (Shown("output", TEXT, support),)
    return [Item(Request("node", "tale", Place(), kind, VIEW, shown), sheet=sheet) for kind in kinds]


def rows(page: Any) -> list[str]:
    return [str(text) for text in page.locator(".claims li").all_inner_texts()]


def test_claims_are_marked_with_one_key_each_and_doubtful_ones_stand_out(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, items("claims")) as at, rating(at, chromium) as page:
        assert page.inner_text("#heading") == "Which claims are not as the source says?"
        assert len(rows(page)) == 3 and "supported with probability .93" in rows(page)[0]
        assert page.locator(".claims .doubtful").all_inner_texts() == [rows(page)[1]]
        assert "doubtful: supported with probability .21" in rows(page)[1]
        press(page, "j", "2", "j", "1", "1")  # the last mark is taken back
        assert page.locator(".claims .marked").count() == 1
        press(page, "k", "k", "1")
        press(page, "3")
        page.wait_for_selector("text=Select what is missing in the source first.")
        page.locator("[role=textbox]").first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+ArrowRight")
        press(page, "3", "3")  # the same piece is missed once
        assert page.locator(".marks mark").count() == 1
        press(page, "Enter")
        page.wait_for_selector("text=All done")
        [given] = at.live()
        quote = " ".join(SOURCE.split()[:2])
        assert given.answer == ClaimMarks((SPANS[0],), (SPANS[1],), (quote,))
        assert given.detail["source_spans"] == [[0, 0, len(quote)]]
        press(page, "u")
        ready(page)
        page.wait_for_selector(".claims .marked")
        assert page.locator(".claims .marked").count() == 2 and page.locator(".marks mark").count() == 1
        press(page, "j", "2", "Enter")
        page.wait_for_selector("text=All done")
        assert [each.answer for each in at.live()] == [ClaimMarks((SPANS[0],), (), (quote,))]


def test_what_a_critic_wrote_stands_below_the_claims_as_text(tmp_path: Path, chromium: Any) -> None:
    [item] = items("claims")
    said = "He reads no letter. <script>alert(1)</script>\nThe text says: “He looks out.”"
    shown = replace(item.request.shown[0], critique=said)
    item = replace(item, request=replace(item.request, shown=(shown,)))
    other = replace(item, request=replace(item.request, criterion="accuracy"))
    for name, asked in (("alone", [item]), ("sheet", [replace(each, sheet="one") for each in (item, other)])):
        (tmp_path / name).mkdir()
        with scene(tmp_path / name, asked) as at, rating(at, chromium) as page:
            page.wait_for_selector(".claims li")
            assert page.locator(".came h3").all_inner_texts() == ["What a critic wrote"]  # once, and not as HTML
            assert said.split("\n")[0] in page.locator(".came").inner_text()
            assert_accessible(page)


def test_claims_are_one_question_of_a_sheet(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, items("label", "claims", sheet="one")) as at, rating(at, chromium) as page:
        assert page.inner_text("#heading") == "2 questions about this text"
        press(page, "y")
        page.wait_for_selector("#question:has-text('Which claims are not as the source says?')")
        press(page, "j", "j", "1", "d")
        page.wait_for_selector(".steps .done:has-text('claims: 1 unsupported')")
        press(page, "Enter")
        page.wait_for_selector("text=All done")
        assert [each.answer for each in at.live()] == [Label(True), ClaimMarks((SPANS[2],))]


def test_marks_in_a_draft_come_again_on_another_device(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, items("claims")) as at, rating(at, chromium) as page:
        press(page, "j", "1")
        page.wait_for_selector("#state:has-text('Draft saved')")
        page.evaluate("localStorage.clear()")
        page.reload()
        ready(page)
        page.wait_for_selector(".claims .marked")
        assert "Unsupported" in rows(page)[1] and at.answers() == []


def test_an_output_of_no_claim_can_be_answered(tmp_path: Path, chromium: Any) -> None:
    request = Request("node", "tale", Place(), "claims", VIEW, (Shown("output", "..."),))
    with scene(tmp_path, [Item(request)]) as at, rating(at, chromium) as page:
        press(page, "1", "2", "j", "Enter")
        page.wait_for_selector("text=All done")
        assert [each.answer for each in at.live()] == [ClaimMarks()]


@pytest.mark.parametrize("width", [1280, NARROW])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_claims_fit_and_can_be_read_by_everybody(width: int, scheme: str, tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, items("claims")) as at, rating(at, chromium, width=width, scheme=scheme) as page:
        press(page, "j", "1")
        assert_accessible(page)
        assert_fits(page)
        picture(page, tmp_path, f"claims-{width}-{scheme}")
