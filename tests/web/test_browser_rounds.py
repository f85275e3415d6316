"""A run of two rounds whose rater is a person at the page: from its first question to its report."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rrm.api import look
from rrm.api.annotate import RunBeside
from rrm.queue import SqlDesk, open_desk
from rrm.web.station import Station
from tests.web.browser import PATIENCE, come_in, serving, visiting
from tests.web.stations import PLENTY

pytest_plugins = ("tests.web.chromium",)

RUN = """
name = "two rounds"
seed = 5
rounds = 2

[train]
plugin = "tasks.synthetic_book:SyntheticBooks"
arguments = { count = 2, words = 500, seed = 31 }

[target]
plugin = "tasks.synthetic_book:SyntheticBooks"
arguments = { count = 1, words = 500, seed = 32 }

[decomposer]
plugin = "decomposers.chunks:Chunks"
arguments = { leaf_tokens = 200, fan_in = [4], max_tokens = [48, 72] }

[policy]
plugin = "rrm.policy.careless:Careless"
outputs = 2
root_outputs = 2

[rater]
plugin = "people"
per_node = { comparison = 1, label = 1 }
arguments = { grace_seconds = 0 }

[improve]
plugin = "rrm.policy.best_of_n:BestOfN"
arguments = { n = 2 }
"""
AN_ITEM = "#item:not(.busy) .bar-answer"
NOTHING_LEFT = "#item:not(.busy) h1:text-is('All done. Thank you!')"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "rrm", *arguments]


ALONE = {**os.environ, "OMP_NUM_THREADS": "1"}


@contextmanager
def resumed(out: Path, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The run, which goes on by itself whenever a level is complete, in a process of its own."""
    with log.open("wb") as said:
        process = subprocess.Popen(command("resume", str(out), "--wait"), stdout=said, stderr=said, env=ALONE)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def answer(page: Any) -> None:
    """Answer the item on the page as somebody does who likes long outputs, and wait for what comes next."""
    number = page.inner_text(".item-head .muted")
    lengths = [len(text) for text in page.locator(".output .text").all_inner_texts()]
    if len(lengths) == 2:
        page.keyboard.press("1" if lengths[0] >= lengths[1] else "7")
    else:
        page.keyboard.press("y" if lengths[0] % 2 else "n")
    page.wait_for_function("before => document.querySelector('.item-head .muted')?.textContent !== before", arg=number)
    page.wait_for_selector(f"{AN_ITEM}, {NOTHING_LEFT}")


def rounds_of(desk: SqlDesk) -> set[int]:
    return {place.round for place in desk.places()}


@pytest.mark.slow
def test_one_person_rates_both_rounds_of_a_run_at_the_page_and_the_report_shows_them(
    tmp_path: Path, chromium: Any
) -> None:
    file, out, log = tmp_path / "people.toml", tmp_path / "run", tmp_path / "log"
    file.write_text(RUN)
    begun = subprocess.run(command("run", str(file), "--out", str(out)), env=ALONE, capture_output=True, text=True)
    assert begun.returncode == 3, begun.stderr  # it waits for people
    with (
        open_desk(out) as desk,
        serving(Station(desk, PLENTY, run=RunBeside(out))) as url,
        resumed(out, log) as process,
        visiting(chromium, url) as admin,
        visiting(chromium, url) as page,
    ):
        come_in(admin, desk, url, "admin", "Ada")
        admin.goto("/admin")
        admin.wait_for_selector("#places :text('level 0')")
        anna = come_in(page, desk, url, name="Anna")
        page.goto("/work")
        page.wait_for_selector(AN_ITEM)
        looked, patient_until = False, time.monotonic() + 10 * PATIENCE
        while process.poll() is None:
            if page.locator(AN_ITEM).count():
                answer(page)
                patient_until = time.monotonic() + 10 * PATIENCE
            else:  # a level is done: the run fits, and lays the next one
                page.keyboard.press("Enter")
                page.wait_for_timeout(200)
            if not looked and 1 in rounds_of(desk):
                admin.wait_for_selector("#places :text('round 2, level 0')")
                looked = True
            assert time.monotonic() < patient_until, log.read_text()
        assert process.returncode == 0, log.read_text()
        assert page.locator(NOTHING_LEFT).count() == 1
        admin.wait_for_selector("#run-state:has-text('finished')")
        for each in (page, admin):
            each.seen.assert_clean(each)
        given, progress = list(desk.answers()), desk.progress()
    by_round = {number: [each for each in given if each.place.round == number] for number in (0, 1)}
    assert all(by_round.values()) and {each.person for each in given} == {anna}
    assert all(each.frozen and each.answers == each.wanted == each.items for each in progress)
    report = look.finished(out)
    assert report.ratings == len(given)
    assert [each.round for each in report.rounds] == [0, 1]
    with visiting(chromium, out.as_uri()) as reader:
        reader.goto((out / "report.html").as_uri())
        assert reader.locator("#rounds svg[aria-label='Mean gold and mean acceptance by round']").count() == 1
