"""How far the reader of free text agrees with the exact one, on outputs of the careless policy that both can read."""

import argparse
import tempfile
from collections import defaultdict
from dataclasses import replace
from itertools import combinations

import numpy as np
from scipy.stats import spearmanr

import rrm
from rrm.api.front import demo_file
from rrm.core.task import Span
from rrm.evaluate.metrics import cluster_interval
from tasks.free_reader import FreelyReadBooks
from tasks.synthetic_book import SyntheticBooks

SEED, WORDS = 7000, 2000


def golds(books: int) -> dict[int, list[tuple[str, np.ndarray, np.ndarray]]]:
    """Return by level each node's source, and the quality of its outputs by both readers."""
    run = demo_file(0)
    arguments = {"count": books, "words": WORDS, "seed": SEED}
    run = replace(
        run,
        rounds=1, select=None, improve=None, flat=False,
        train=replace(run.train, arguments=arguments, trees=1),
        target=replace(run.target, arguments={**arguments, "count": 1, "seed": SEED + 1}, trees=1),
    )  # fmt: skip
    exact, free = SyntheticBooks(books, WORDS, SEED), FreelyReadBooks(books, WORDS, SEED)
    found = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        rrm.run(run, folder, quiet=True)
        loaded = rrm.load(folder)
        texts = loaded.outputs.groupby("node")["text"].apply(list)
        for node in loaded.nodes[loaded.nodes.role == "train"].itertuples():
            span = Span(node.start, node.end) if node.depth else None
            both = [
                np.array([each.gold(node.source, span, text) for text in texts[node.node]]) for each in (exact, free)
            ]
            found[node.level].append((node.source, *both))
    return dict(sorted(found.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="four books in place of twenty")
    books = 4 if parser.parse_args().quick else 20
    print(f"{books} books of {WORDS:,} words; pairs of one node's outputs that the exact reader tells apart\n")
    print("level  outputs  Spearman  pairs  same order (95 % by book)")
    for level, nodes in golds(books).items():
        same, sources = [], []
        for source, exact, free in nodes:
            for a, b in combinations(range(len(exact)), 2):
                if exact[a] != exact[b]:
                    product = (exact[a] - exact[b]) * (free[a] - free[b])
                    same.append(1.0 if product > 0 else 0.5 if product == 0 else 0.0)
                    sources.append(source)
        _, rows = np.unique(sources, return_inverse=True)
        interval = cluster_interval(np.array(same), rows, lambda each: float(each.mean()), 0.95, 2000, 0)
        every = [np.concatenate(each) for each in zip(*(node[1:] for node in nodes), strict=True)]
        assert interval is not None
        print(
            f"{level:5}  {len(every[0]):7,}  {spearmanr(*every).statistic:8.3f}  {len(same):5,}"
            f"  {np.mean(same):.3f} ({interval.low:.3f} to {interval.high:.3f})"
        )


if __name__ == "__main__":
    main()
