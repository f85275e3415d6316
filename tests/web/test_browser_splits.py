"""Two decompositions side by side in a real browser, and a segmenter that learns from what a person says of them."""

from pathlib import Path
from typing import Any

import pytest

from decomposers.learn_cuts import learn_from_comparisons, preferred
from decomposers.segmenter import Segmenter
from rrm.core.annotation import Item
from rrm.core.place import Place
from rrm.core.splits import MOST_PARTS, leaves_of, outline, read_outline, split_node, split_view
from rrm.core.task import Source
from rrm.core.values import Request, Shown
from tasks.planted_cuts import PlantedCuts
from tests.web.browser import NARROW, assert_accessible, assert_fits, come_in, serving, visiting
from tests.web.stations import house_in
from tests.web.test_browser_annotator import press, ready

pytest_plugins = ("tests.web.chromium",)

PLACE = Place(0, "split", 2)
START = Segmenter(leaf_tokens=80, fan_in=(4, 3))
AN_ITEM = "#item:not(.busy):not(.fresh) .bar-answer"
NOTHING_LEFT = "#item:not(.busy) h1:text-is('All done. Thank you!')"
SAID = """() => [...document.querySelectorAll(".output .outline")].map((each) =>
  [...each.querySelectorAll("li")].map((part) => part.querySelector("p").textContent))"""


def question(source: Source, outlines: list[str]) -> Request:
    shown = tuple(Shown(f"{source.id}-{at}", text) for at, text in enumerate(outlines))
    return Request(split_node(source), source.id, PLACE, "comparison", split_view(source), shown)


def speaking(firsts: list[str]) -> float:
    """The share of an outline's parts that begin with speech."""
    return sum(first.startswith("“") for first in firsts) / len(firsts)


def at_speech(segmenter: Segmenter, sources: list[Source]) -> float:
    outlines = [read_outline(outline(tree, source)) for source in sources for tree in segmenter.draw(source, 8, seed=3)]
    return sum(speaking([part.first for part in leaves_of(each)]) for each in outlines) / len(outlines)


@pytest.mark.slow
def test_a_person_compares_trees_side_by_side_and_the_segmenter_learns_from_it(tmp_path: Path, chromium: Any) -> None:
    sources = PlantedCuts(5, events=8, sign="speech", seed=21).sources()
    drawn = [(source, tree) for source in sources for tree in START.draw(source, 6, seed=0)]
    pairs = [
        (source, outline(a, source), outline(b, source))
        for (source, a), (_, b) in zip(drawn[::2], drawn[1::2], strict=True)
    ]
    requests = [question(source, [a, b]) for source, a, b in pairs if a != b]
    assert len(requests) > 10
    with (
        house_in(tmp_path / "run", [Item(request) for request in requests]) as house,
        serving(house.station) as url,
        visiting(chromium, url) as page,
    ):
        come_in(page, house.desk, url, name="Anna")
        page.goto("/work")
        ready(page)
        assert page.locator(".output .outline").count() == 2
        assert "begins at" in page.inner_text(".output .outline >> nth=0")
        assert "part | size" not in page.inner_text("#item")
        assert_accessible(page)
        assert_fits(page)
        while page.locator(AN_ITEM).count():
            number = page.inner_text(".item-head .muted")
            first, second = (speaking(each) for each in page.evaluate(SAID))
            press(page, "a" if first >= second else "b")
            page.wait_for_function(
                "before => document.querySelector('.item-head .muted')?.textContent !== before", arg=number
            )
            page.wait_for_selector(f"{AN_ITEM}, {NOTHING_LEFT}")
        page.seen.assert_clean(page)
        house.desk.freeze(PLACE, "test")
        house.desk.take_up(PLACE)
        taken = house.desk.taken([request.id for request in requests])
    rows = [row for each in taken.values() for row in each]
    assert len(rows) == len(requests)
    learned = learn_from_comparisons(START, preferred(rows, drawn), kl_budget=5.0)
    others = PlantedCuts(6, events=8, sign="speech", seed=22).sources()
    assert 0 < learned.kl <= 5.0
    assert at_speech(learned.segmenter, others) > at_speech(START, others) + 0.05


def test_long_outlines_fit_a_telephone_and_texts_that_are_none_stay_texts(tmp_path: Path, chromium: Any) -> None:
    source = Source(
        "long", "\n\n".join(f"Word number {at} <b>stands</b> here. It is a long way home." for at in range(300))
    )
    tree = Segmenter(leaf_tokens=20, fan_in=(4, 4)).decompose(source, 0)
    text = outline(tree, source)
    assert 50 < len(text.splitlines()) <= MOST_PARTS + 2
    broken = text.replace("words", "many words")
    with (
        house_in(tmp_path / "run", [Item(question(source, [text, broken]))]) as house,
        serving(house.station) as url,
        visiting(chromium, url, NARROW) as page,
    ):
        come_in(page, house.desk, url, name="Anna")
        page.goto("/work")
        ready(page)
        assert page.locator(".output .outline").count() == 1
        assert "part | size | begins at" in page.inner_text(".output .text:not(.outline)")
        assert "below these are not listed" in page.inner_text(".output .outline")
        assert "<b>stands</b>" in page.inner_text(".output .outline")
        assert_fits(page)
        page.seen.assert_clean(page)
