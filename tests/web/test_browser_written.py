"""What a person decides or writes, in a real browser: a choice left to them, and outputs of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rrm.core.annotation import Item
from rrm.core.asking import LEFT, Asked
from rrm.core.values import Request
from rrm.pipeline.recursion import recursion
from rrm.store.record import open_store
from tests.pipeline.hand_world import TARGET, World, go
from tests.pipeline.test_moves import LEAVING
from tests.web.browser import NARROW, WIDE, assert_accessible, assert_fits, picture, wait_until
from tests.web.test_browser_annotator import Scene, item_number, press, rating, ready, scene, work

pytest_plugins = ("tests.web.chromium",)

MARKUP = "<img src=x onerror='window.hit = 1'> <b>bold</b> & <script>window.hit = 1</script>"
NOT_AS_MARKUP = "() => [window.hit, document.querySelectorAll('#item img, #item b, dialog img, dialog b').length]"


# ---- a choice that is left to a person ----


def left() -> Request:
    """The choice that a run leaves to a person, an output of which holds markup."""
    world = World()
    go(recursion(LEAVING), world)
    found = next(each for each in world.asked() if each.kind == "ranking" and each.source == TARGET.id)
    return replace(found, shown=(replace(found.shown[0], text=MARKUP), *found.shown[1:]))


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_choice_that_is_left_says_so_beside_the_whole_source_and_keeps_what_was_put_first(
    width: int, tmp_path: Path, chromium: Any, pictures: Path
) -> None:
    asked = left()
    with scene_left(tmp_path, asked) as at, rating(at, chromium, width=width) as page:
        told = page.inner_text(".instruction")
        assert "This choice is left to you" in told and "it is delivered" in told and "Tell." in told
        assert TARGET.text in page.inner_text(".source")
        texts = page.locator(".output .text").all_inner_texts()
        assert sorted(texts) == sorted(each.text for each in asked.shown) and len(texts) > 2
        assert_fits(page)
        assert_accessible(page)
        picture(page, pictures, f"left-{width}")
        order = [2, 0, *(place for place in range(len(texts)) if place not in (0, 2))]
        press(page, *(str(place + 1) for place in order), "Enter", "Enter")  # and once more: it answers nothing else
        page.wait_for_selector("h1:has-text('All done')")
        assert first(at, asked) == texts[2]
        press(page, "u")
        page.wait_for_selector(".state:has-text('Best first: C, A')")
        press(page, *["Backspace"] * len(texts), "Enter")
        assert at.live() == []
        press(page, "2", "Enter")  # what stands first counts, and nothing else has to be placed
        page.wait_for_selector("h1:has-text('All done')")
        assert first(at, asked) == texts[1] and len(at.live()[0].answer.best_first) == 1
        press(page, "u")
        page.wait_for_selector(".state:text-is('Best first: B')")
        assert page.evaluate(NOT_AS_MARKUP) == [None, 0]


@contextmanager
def scene_left(folder: Path, asked: Request) -> Iterator[Scene]:
    """A desk with this choice alone, which a sampler left to a person."""
    with scene(folder, [Item(asked)]) as at:
        with open_store(folder / "run", "append") as store:
            store.append([Asked(asked.id, LEFT, "pool", 1.0)])
        yield at


def first(at: Scene, asked: Request) -> str:
    """Return the text that was put first in the one answer that stands."""
    [given] = at.live()
    return asked.shown[given.answer.best_first[0]].text


# ---- outputs that people write ----


@contextmanager
def writing(kind: str, folder: Path, chromium: Any, **options: Any) -> Iterator[tuple[Scene, Any]]:
    with scene(folder, work(kind, 2)) as at, rating(at, chromium, **options) as page:
        yield at, page


def save(page: Any) -> None:
    page.focus("#area")
    press(page, "Control+Enter")


def written(at: Scene) -> list[str]:
    return [each.answer.text for each in at.live()]


@pytest.mark.parametrize(
    ("kind", "unchanged"),
    [("demonstration", "Write something first."), ("correction", "Nothing is changed.")],
)
def test_nothing_blank_unchanged_or_too_long_is_kept_and_the_field_stays_as_it_was(
    kind: str, unchanged: str, tmp_path: Path, chromium: Any
) -> None:
    with writing(kind, tmp_path, chromium) as (at, page):
        save(page)
        page.wait_for_selector(f".toast:has-text('{unchanged}')")
        blank = "Write something first." if kind == "demonstration" else "the text is empty"
        for text, refused in ((" \n\t ", blank), ("", blank), ("word " * 61, "61 tokens")):
            page.fill("#area", text)
            save(page)
            page.wait_for_selector(f".toast:has-text('{refused}')")
            assert page.input_value("#area") == text and at.live() == []
        page.fill("#area", "A text that will do.")
        save(page)
        item_number(page, 2)
        assert written(at) == ["A text that will do."]


@pytest.mark.parametrize("kind", ["demonstration", "correction"])
def test_what_is_written_is_kept_once_as_it_was_typed_and_comes_back_when_it_is_undone(
    kind: str, tmp_path: Path, chromium: Any
) -> None:
    with writing(kind, tmp_path, chromium) as (at, page):
        page.fill("#area", "")
        page.focus("#area")
        page.keyboard.type(MARKUP)
        if kind == "correction":
            assert "bold" in page.inner_text(".diff")
        press(page, "Control+Enter", "Control+Enter")
        item_number(page, 2)
        assert written(at) == [MARKUP]
        page.evaluate("document.activeElement.blur()")
        press(page, "l")
        page.wait_for_selector("dialog[open] li:has-text('<b>bold</b>')")
        press(page, "Escape")
        assert page.evaluate(NOT_AS_MARKUP) == [None, 0]
        press(page, "u")
        item_number(page, 1)
        assert page.input_value("#area") == MARKUP and at.live() == []
        page.fill("#area", "Better.")
        save(page)
        item_number(page, 2)
        wait_until(lambda: written(at) == ["Better."])
        page.reload()
        ready(page)
        item_number(page, 2)
        assert written(at) == ["Better."]


@pytest.mark.parametrize("kind", ["demonstration", "correction"])
def test_a_long_word_widens_no_narrow_page(kind: str, tmp_path: Path, chromium: Any, pictures: Path) -> None:
    with writing(kind, tmp_path, chromium, width=NARROW) as (at, page):
        page.fill("#area", "Donaudampfschifffahrtsgesellschaft" * 12)
        assert_fits(page)
        assert_accessible(page)
        picture(page, pictures, f"written-{kind}-{NARROW}")
        save(page)
        item_number(page, 2)
        assert len(written(at)) == 1
