"""A sheet in a real browser: several questions about one view, by keyboard alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rrm.core.annotation import Item, Purpose
from rrm.core.kinds import Comparison, Critique, Ranking, Rating
from rrm.core.place import Place
from rrm.core.values import Answer, Passage, Request, Shown, View
from tests.web.browser import NARROW, assert_accessible, assert_fits, picture
from tests.web.test_browser_annotator import OUTPUTS, SOURCE, item_number, press, rating, ready, scene

pytest_plugins = ("tests.web.chromium",)

SHOWN = tuple(Shown(f"output-{place}", text) for place, text in enumerate(OUTPUTS[:3]))
QUESTIONS = (
    ("comparison", "overall", SHOWN[:2]),
    ("ranking", "overall", SHOWN),
    *(("rating", criterion, SHOWN[:1]) for criterion in ("overall", "accuracy", "coverage", "coherence")),
    ("critique", "overall", SHOWN[:1]),
)


def sheet(number: int, purpose: Purpose = "work", known: Answer | None = None, long: bool = False) -> list[Item]:
    passages = (Passage("\n\n".join([SOURCE] * (20 if long else 1))),)
    view = View(f"Summarise the passage in at most three sentences ({number}).", passages, 60)
    return [
        Item(
            Request(f"node-{number}", "tale", PLACE, kind, view, shown, criterion=criterion),
            purpose,
            expected=known if kind == "comparison" else None,
            explanation="One of them invents that the letter is read at once." if purpose == "practice" else "",
            sheet=f"sheet {number}",
        )
        for kind, criterion, shown in QUESTIONS
    ]


PLACE = Place()


def question(page: Any) -> str:
    return str(page.inner_text("#question"))


def done(page: Any) -> int:
    return int(page.locator(".steps .done").count())


def decide(page: Any, *keys: str) -> None:
    """One key a decision; each is heard once the question before has gone."""
    for key in keys:
        press(page, key)


def fill(page: Any) -> None:
    """Answer everything on the sheet."""
    decide(page, "2", "1", "2", "3", "5", "6", "2", "4", "e")
    page.keyboard.type("It stops too early.")
    press(page, "Control+Enter")
    page.wait_for_selector("button:has-text('Hand in all answers'):not([disabled])")


def test_a_sheet_is_answered_with_one_key_a_decision(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, [*sheet(1), *sheet(2)]) as at, rating(at, chromium) as page:
        assert page.inner_text("#heading") == "7 questions about this text"
        assert question(page).endswith("which is better? – overall")
        assert page.evaluate("document.activeElement.id") == "heading"
        letters = page.locator(".output h2").all_inner_texts()
        assert letters == ["Output A", "Output B", "Output C"]
        press(page, "2")
        assert question(page) == "A, B, C: best first – overall" and done(page) == 1
        assert page.evaluate("document.activeElement.id") == "question"  # where a screen reader goes on
        decide(page, "1", "2", "3")
        assert "how good? – overall" in question(page)
        decide(page, "5")
        assert "accuracy" in question(page)
        decide(page, "6", "2", "4")
        assert done(page) == 6 and "What is wrong or right" in question(page)
        press(page, "e")
        page.keyboard.type("It stops too early.")
        press(page, "Control+Enter")
        press(page, "Enter")
        item_number(page, 2)
        given = at.live()
        assert [each.answer for each in given[2:]] == [
            Rating(5, 7), Rating(6, 7), Rating(2, 7), Rating(4, 7), Critique("It stops too early."),
        ]  # fmt: skip
        assert isinstance(given[0].answer, Comparison) and given[0].answer.strength == 0.5
        assert isinstance(given[1].answer, Ranking)
        texts = [shown.text for shown in SHOWN]
        better, best = given[0].answer.better, given[1].answer.best_first
        assert better is not None and best.index(better) < best.index(1 - better)  # the first in the page's order
        assert len(texts) == len(best)
        seconds = [each.seconds for each in given]
        assert None not in seconds and sum(map(float, seconds)) <= given[0].wall_seconds + 0.1  # type: ignore[arg-type]
        press(page, "u")
        ready(page)
        page.wait_for_selector(".steps li:nth-child(7) .done")
        assert done(page) == 7  # all as it was
        press(page, "Enter")
        item_number(page, 2)
        assert len(at.live()) == 7


def test_decisions_are_taken_back_within_the_sheet_and_a_draft_brings_them_again(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, sheet(1)) as at, rating(at, chromium) as page:
        decide(page, "2", "1", "2", "3", "5")
        assert "accuracy" in question(page)
        press(page, "Backspace")
        assert "how good? – overall" in question(page)
        press(page, "3")
        assert "accuracy" in question(page) and done(page) == 3
        press(page, "r")
        page.wait_for_selector("dialog[open]")
        page.keyboard.type("1")
        page.locator("dialog[open] button").first.click()
        page.wait_for_selector("#state:has-text('Draft saved')")
        before = page.locator(".steps").inner_text()
        page.reload()
        ready(page)
        page.wait_for_selector(".steps .done")
        assert page.locator(".steps").inner_text() == before
        page.evaluate("localStorage.clear()")  # as on another device: what the server has
        page.reload()
        ready(page)
        page.wait_for_selector(".steps .done")
        assert page.locator(".steps").inner_text() == before
        assert at.answers() == []


def test_decisions_that_were_taken_back_stay_with_their_questions_when_one_of_them_is_retired(
    tmp_path: Path, chromium: Any
) -> None:
    with scene(tmp_path, items := sheet(1)) as at, rating(at, chromium) as page:
        fill(page)
        press(page, "Enter")
        page.wait_for_selector(".steps", state="detached")
        given = {each.item: each.answer for each in at.live()}
        [person] = {each.person for each in at.live()}
        at.desk.undo(person)
        retired = items[3].request.id  # a rating for accuracy
        at.desk.retire([retired], "test")
        page.evaluate("localStorage.clear()")
        page.reload()
        ready(page)
        page.wait_for_selector(".steps li:nth-child(6) .done")
        assert page.locator(".steps li").count() == done(page) == 6
        press(page, "Enter")
        page.wait_for_selector(".steps", state="detached")
        assert {each.item: each.answer for each in at.live()} == {
            item: answer for item, answer in given.items() if item != retired
        }


def test_a_double_tap_decides_one_question(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, sheet(1)) as at, rating(at, chromium) as page:
        decide(page, "2", "1", "2", "3")
        press(page, "5", "5")  # at once, one after the other
        assert done(page) == 3
        page.wait_for_selector("#item.fresh", state="detached")
        assert "accuracy" in question(page)
        assert at.answers() == []


def test_an_open_question_keeps_a_sheet_from_being_handed_in(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, sheet(1)) as at, rating(at, chromium) as page:
        decide(page, "2", "Enter")
        assert page.locator("button:has-text('6 questions are open')").is_disabled()
        decide(page, "ArrowDown", "ArrowDown", "4")
        assert done(page) == 2 and at.answers() == []


def test_a_sheet_for_practice_tells_what_was_known(tmp_path: Path, chromium: Any) -> None:
    items = [*sheet(1, "practice", Comparison(0)), *sheet(2)]
    with scene(tmp_path, items, practice_items=1) as at, rating(at, chromium) as page:
        fill(page)
        press(page, "Enter")
        page.wait_for_selector(".verdict")
        assert "read at once" in page.inner_text(".verdict")
        assert page.locator(".verdict h3").count() == 7 or page.locator(".verdict h3").count() >= 1


@pytest.mark.parametrize("width", [1280, 1366, NARROW])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_sheet_fits_and_can_be_read_by_everybody(
    width: int, scheme: str, tmp_path: Path, chromium: Any, pictures: Path
) -> None:
    items = sheet(1, long=True)
    with scene(tmp_path, items) as at, rating(at, chromium, width=width, scheme=scheme) as page:
        assert_accessible(page)
        assert_fits(page)
        picture(page, pictures, f"sheet-compare-{width}-{scheme}")
        decide(page, "2", "1", "2", "3", "5")
        assert_accessible(page)
        assert_fits(page)
        picture(page, pictures, f"sheet-rate-{width}-{scheme}")
        decide(page, "6", "2", "4")
        assert_accessible(page)
        assert_fits(page)
        picture(page, pictures, f"sheet-critique-{width}-{scheme}")


def test_a_changed_view_is_another_sheet(tmp_path: Path, chromium: Any) -> None:
    """The level is frozen under the rater's hands: nothing is recorded, and the next sheet comes."""
    later = [replace(each, request=replace(each.request, place=Place(round=1))) for each in sheet(2)]
    with scene(tmp_path, [*sheet(1), *later], strategy="valuable") as at, rating(at, chromium) as page:
        held = at.desk.claim(page.person)
        fill(page)
        at.desk.freeze(held.first.request.place, "boss")
        press(page, "Enter")
        page.wait_for_selector("#banner-conflict")
        page.wait_for_selector(".steps .done", state="detached")  # the next sheet
        assert at.answers() == []
