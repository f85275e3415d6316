"""How soon the tree viewer shows a large tree: the server's answers, and the page in Chromium until it takes keys.

Each repetition is a station over the record anew, so that nothing is kept from the one before.
"""

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from rrm.queue import open_desk
from rrm.queue.nodes import open_nodes
from rrm.viewer.trees import Trees, Wanted
from rrm.web.station import Station
from tests.web.browser import come_in, launched, serving, visiting
from tests.web.stations import PLENTY
from tests.web.tree_scenarios import recorded


def answers(folder: Path) -> dict[str, float]:
    """Seconds for what the server tells of the first tree, as it starts and when asked again."""
    with open_nodes(folder) as nodes:
        trees = Trees(nodes)
        tree = trees.list(brief=True)["trees"][0]["id"]
        asked: dict[str, Callable[[], object]] = {
            "outline, at first": lambda: trees.outline(tree),
            "outline, again": lambda: trees.outline(tree),
            "a node in full": lambda: trees.node(tree, "0"),
            "search for a text": lambda: trees.search(tree, Wanted("copper bell")),
            "search for scores": lambda: trees.search(tree, Wanted(low=0.9)),
        }
        return {name: _seconds(ask) for name, ask in asked.items()}


def page(folder: Path) -> dict[str, float]:
    """Seconds from asking for the page until the tree takes keys, with a cold and with a warm server."""
    found = {}
    with ExitStack() as held:
        nodes, desk = held.enter_context(open_nodes(folder)), held.enter_context(open_desk(folder))
        chromium = held.enter_context(launched())
        url = held.enter_context(serving(Station(desk, settings=PLENTY, trees=nodes)))
        for name in ("page, at first", "page, again"):
            with visiting(chromium, url) as seen:
                come_in(seen, desk, url, "reader")
                began = time.perf_counter()
                seen.goto("/tree")
                seen.wait_for_selector("body[data-ready]")
                seen.keyboard.press("ArrowDown")
                assert seen.evaluate("document.activeElement.dataset.node") == "1"
                found[name] = time.perf_counter() - began
    return found


def _seconds(ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


def main() -> None:
    """Print medians as Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--leaves", type=int, default=6900)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="once, with a tenth of the leaves")
    options = parser.parse_args()
    if options.quick:
        options.leaves, options.repetitions = options.leaves // 10, 1
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        _, graph = recorded(folder, options.leaves, words=12 * options.leaves)
        with open_nodes(folder) as nodes:
            size = len(Trees(nodes).outline(nodes.trees()[0].id))
        gc.collect()
        gc.freeze()  # as the server does before it says that it is ready
        runs = [{**answers(folder), **page(folder)} for _ in range(options.repetitions)]
    load = os.getloadavg()[0]
    print(f"{len(graph):,} nodes on {len(graph.levels)} levels, 3 outputs each; the outline has {size:,} bytes;")
    print(f"medians of {options.repetitions}, {os.cpu_count()} processors, load {load:.1f} at the end\n")
    print("| what | seconds |\n|---|---:|")
    for name in runs[0]:
        print(f"| {name} | {median(run[name] for run in runs):.3f} |")


if __name__ == "__main__":
    main()
