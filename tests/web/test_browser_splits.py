"""Two decompositions side by side in a real browser, and a segmenter that learns from what a person says of them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import rrm
from decomposers.segmenter import Segmenter, read_weights
from rrm.api.annotate import RunBeside
from rrm.core.annotation import Item
from rrm.core.errors import Waiting
from rrm.core.place import Place
from rrm.core.report import Report
from rrm.core.splits import MOST_PARTS, leaves_of, outline, read_outline, split_node, split_view
from rrm.core.task import Source
from rrm.core.values import Improvement, Rated, Request, Shown
from rrm.queue import open_desk
from rrm.store.record import open_store
from rrm.web.station import Station
from tasks.planted_cuts import PlantedCuts
from tests.toys import TOYS
from tests.web.browser import NARROW, assert_accessible, assert_fits, come_in, serving, visiting
from tests.web.stations import PLENTY, house_in
from tests.web.test_browser_annotator import press, ready

pytest_plugins = ("tests.web.chromium",)

PLACE = Place(0, "split", 2)
SHAPE = {"leaf_tokens": 80, "fan_in": [4, 3], "max_tokens": [9]}
RUN: dict[str, Any] = {
    **TOYS,
    "rounds": 2,
    "train": {"plugin": "tasks.planted_cuts:PlantedCuts", "arguments": {"count": 5, "events": 8, "sign": "speech"}},
    "decomposer": {"plugin": "decomposers.segmenter:Segmenter", "arguments": SHAPE},
    "splits": {
        "plugin": "decomposers.learn_cuts:FromScores",
        "candidates": 6,
        "per_source": {"comparison": 5},
        "rater": {"plugin": "people", "arguments": {"grace_seconds": 0}},
    },
}
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


def at_speech(segmenter: Segmenter) -> float:
    """The share of parts that begin with speech in trees of other texts."""
    sources = PlantedCuts(6, events=8, sign="speech", seed=22).sources()
    outlines = [read_outline(outline(tree, source)) for source in sources for tree in segmenter.draw(source, 8, seed=3)]
    return sum(speaking([part.first for part in leaves_of(each)]) for each in outlines) / len(outlines)


def carried_on(out: Path) -> Report:
    """Run as far as it goes; in a thread of its own, as the browser's loop runs in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(rrm.run, out=out, quiet=True, **RUN).result()


@pytest.mark.slow
def test_a_person_compares_trees_side_by_side_and_the_run_goes_on_with_a_segmenter_that_learned_from_it(
    tmp_path: Path, chromium: Any
) -> None:
    out = tmp_path / "run"
    with pytest.raises(Waiting):
        carried_on(out)
    with (
        open_desk(out) as desk,
        serving(Station(desk, PLENTY, run=RunBeside(out))) as url,
        visiting(chromium, url) as page,
    ):
        anna = come_in(page, desk, url, name="Anna")
        page.goto("/work")
        ready(page)
        assert page.locator(".output .outline").count() == 2
        assert "begins at" in page.inner_text(".output .outline >> nth=0")
        assert "part | size" not in page.inner_text("#item")
        assert_accessible(page)
        assert_fits(page)
        answered = 0
        while page.locator(AN_ITEM).count():
            number = page.inner_text(".item-head .muted")
            first, second = (speaking(each) for each in page.evaluate(SAID))
            press(page, "a" if first >= second else "b")
            page.wait_for_function(
                "before => document.querySelector('.item-head .muted')?.textContent !== before", arg=number
            )
            page.wait_for_selector(f"{AN_ITEM}, {NOTHING_LEFT}")
            answered += 1
        page.seen.assert_clean(page)
    report = carried_on(out)
    assert report.cost.splits is not None and report.cost.splits.ratings == answered > 10
    with open_store(out, "read") as record:
        [made] = [each for each in record.load(Improvement) if each.place.subject == "split"]
        rated = [each for each in record.load(Rated) if each.request.place.subject == "split"]
    assert {row.feedback.rater for row in rated} == {anna}
    assert 0 < made.kl <= made.kl_budget
    start = Segmenter(leaf_tokens=80, fan_in=(4, 3))
    learned = start.with_weights(read_weights(out / "policies" / made.path / "segmenter.json"))
    assert at_speech(learned) > at_speech(start) + 0.05


def test_two_trees_stand_side_by_side_on_a_laptop_with_the_answers_below_them_on_one_screen(
    tmp_path: Path, chromium: Any
) -> None:
    [source] = PlantedCuts(1, events=30, sign="speech", seed=23).sources()
    trees = Segmenter(leaf_tokens=80, fan_in=(4, 3)).draw(source, 2, seed=1)
    item = Item(question(source, [outline(tree, source) for tree in trees]))
    with (
        house_in(tmp_path / "run", [item]) as house,
        serving(house.station) as url,
        visiting(chromium, url) as page,
    ):
        come_in(page, house.desk, url, name="Anna")
        page.goto("/work")
        ready(page)
        page.set_viewport_size({"width": 1280, "height": 800})
        page.locator(".answering").scroll_into_view_if_needed()
        first, second = (page.locator(".output .outline").nth(at).bounding_box() for at in (0, 1))
        assert first["y"] == second["y"] and first["x"] + first["width"] < second["x"]
        outputs, bar = (page.locator(each).bounding_box() for each in (".outputs", ".bar-answer"))
        assert outputs["height"] > 320 and outputs["y"] >= 0 and bar["y"] + bar["height"] <= 800
        assert_fits(page)
        page.seen.assert_clean(page)


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
