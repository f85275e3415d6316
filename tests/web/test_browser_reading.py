"""Texts get the room: nothing overflows or is covered at common widths, every paragraph reads its own way."""

from pathlib import Path
from typing import Any

import pytest

from rrm.core.annotation import Item
from rrm.core.place import Place
from rrm.core.values import Passage, Request, Shown, View
from tests.web.browser import assert_fits, come_in, visiting
from tests.web.test_browser_annotator import ready, scene

pytest_plugins = ["tests.web.chromium"]

LONG = "The keeper went down to the shore and found the boat gone. " * 850  # some 10,000 words
BOTH = "שלום עולם, זה מכתב.\n\nThis paragraph is English, and ends with a stop.\n\nעוד פסקה: 3 דברים."
MEASURE = """() => {
  const box = (selector) => document.querySelector(selector).getBoundingClientRect();
  const inside = (child, parent) => child.left >= parent.left - 1 && child.right <= parent.right + 1;
  const buttons = [...document.querySelectorAll("#item .button")];
  const rect = (node) => node.getBoundingClientRect();
  return {
    overflowing: buttons.filter((each) => [...each.children].some((child) => !inside(rect(child), rect(each)))).length,
    source: box(".source .scroll").height, outputs: box(".outputs").bottom, bar: box(".bar-answer").top,
    end: box(".bar-answer").bottom, sides: box(".source").right <= box(".outputs").left,
  };
}"""


def item(kind: str, source: str, outputs: int) -> Item:
    shown = tuple(Shown(f"o-{number}", LONG[: 900 + number]) for number in range(outputs))
    request = Request("n", "tale", Place(), kind, View("Summarise it.", (Passage(source),), 60), shown)
    return Item(request, wanted=3)


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1366, 768), (360, 740)])
def test_a_long_source_gets_the_room_and_nothing_overflows_or_is_covered(
    tmp_path: Path, chromium: Any, width: int, height: int
) -> None:
    with scene(tmp_path, [item("comparison", LONG, 2)]) as at, visiting(chromium, at.url, width=width) as page:
        page.set_viewport_size({"width": width, "height": height})
        come_in(page, at.desk, at.url)
        page.goto("/work")
        ready(page)
        assert_fits(page)
        found = page.evaluate(MEASURE)
        assert found["overflowing"] == 0
        assert found["outputs"] <= found["bar"]  # the bar takes room of its own
        assert found["source"] >= 0.55 * height
        if width > 1_000:
            assert found["sides"]
            assert found["end"] <= height  # all that an answer needs is in sight


def test_every_paragraph_has_the_direction_of_its_own_first_letter(tmp_path: Path, chromium: Any) -> None:
    with scene(tmp_path, [item("label", BOTH, 1)]) as at, visiting(chromium, at.url) as page:
        come_in(page, at.desk, at.url)
        page.goto("/work")
        ready(page)
        sides = page.evaluate("""() => {
          const node = document.querySelector(".source .scroll .text");
          const { left, right } = node.getBoundingClientRect();
          const text = node.firstChild;
          const lines = node.textContent.split("\\n\\n");
          return lines.map((line) => {
            const range = document.createRange();
            const start = node.textContent.indexOf(line);
            range.setStart(text, start);
            range.setEnd(text, start + line.length);
            const box = range.getBoundingClientRect();
            return box.left - left < 2 ? "left" : right - box.right < 2 ? "right" : "between";
          });
        }""")
        assert sides == ["right", "left", "right"]
