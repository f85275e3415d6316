"""A head a criterion: how well each orders summaries that experts rated by it, beside heads that know of no criteria.

SummEval's four criteria (means of three experts) in `$RRM_DATA/summeval`: heads are fitted to some articles of the
training file and judge pairs of one article's summaries in the validation file. `others` is fitted to the other
criteria's ratings alone, `own` to the criterion's, and `drawn` to the criterion's with the prior centred on `others`,
as criteria are drawn to the overall head.
"""

import argparse
import gzip
import json
import os
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from rrm.core.ids import generator
from rrm.core.place import Place
from rrm.core.protocols import RewardModel, Start, Workspace
from rrm.core.roles import Ratings, Train
from rrm.core.values import OVERALL, Feedback, Group, Passage, Rated, Rating, Request, Shown, View
from rrm.reward.frozen import Frozen

CRITERIA = ("coherence", "consistency", "fluency", "relevance")
POINTS = 13
"""Thirds of a point from 1 to 5: what three experts' means can be."""

APART = 0.3
"""Pairs of summaries whose means differ by less are left out."""


class Row(NamedTuple):
    """A summary of an article, and what experts gave it by each criterion."""

    article: str
    view: View
    text: str
    scores: dict[str, float]


def read(file: Path) -> list[Row]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Row(row["doc"], View("Summarize the article.", (Passage(row["source"]),), 128), row["candidate"], row["scores"])
        for row in rows
    ]


def rated(row: Row, criterion: str) -> Rated:
    """Return an expert's rating as if its criterion were the only one."""
    shown = (Shown(row.text, row.text),)
    request = Request(row.article, row.article, Place(), "rating", row.view, shown, criterion=criterion)
    value = round((row.scores[criterion] - 1) * 3) + 1
    return Rated(request, Feedback(request.id, "experts", Rating(value, POINTS)))


def accuracy(model: RewardModel, rows: list[Row], criterion: str) -> float:
    """Return the share of an article's pairs, far enough apart, that a model orders as the experts did."""
    by: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by[row.article].append(row)
    right = []
    for article, some in by.items():
        group = Group(article, Place(), some[0].view, tuple(row.text for row in some))
        rewards = model.predict([group])[0].rewards[OVERALL].mean(axis=0)
        for one, other in combinations(range(len(some)), 2):
            gap = some[one].scores[criterion] - some[other].scores[criterion]
            if abs(gap) >= APART:
                right.append((rewards[one] > rewards[other]) == (gap > 0))
    return float(np.mean(right))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--articles", type=int, default=4, help="training articles, 12 summaries each")
    parser.add_argument("--judged", type=int, default=14, help="validation articles")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--members", type=int, default=8)
    options = parser.parse_args()
    folder = Path(os.environ["RRM_DATA"]) / "summeval"
    train, validation = read(folder / "ratings_train.jsonl.gz"), read(folder / "ratings_validation.jsonl.gz")
    judged = set(sorted({row.article for row in validation})[: options.judged])
    fresh = [row for row in validation if row.article in judged]
    learner = Frozen(members=options.members)
    print(f"{'seed':>4}  {'criterion':<12}  {'others':>6}  {'own':>6}  {'drawn':>6}")
    found = []
    with TemporaryDirectory() as name:
        work = Workspace(Path(name))
        for seed in range(options.seeds):
            articles = sorted({row.article for row in train})
            drawn_articles = set(generator("criteria", seed).permutation(articles)[: options.articles].tolist())
            some = [row for row in train if row.article in drawn_articles]
            for criterion in CRITERIA:
                rest = tuple(rated(row, each) for each in CRITERIA if each != criterion for row in some)
                mine = tuple(rated(row, criterion) for row in some)
                others = learner.fit(Ratings(Train, rest), Start(), Place(), seed, work)
                own = learner.fit(Ratings(Train, mine), Start(), Place(), seed, work)
                drawn = learner.fit(Ratings(Train, mine), Start(others), Place(), seed, work)
                found.append([accuracy(model, fresh, criterion) for model in (others, own, drawn)])
                print(f"{seed:>4}  {criterion:<12}  " + "  ".join(f"{each:>6.3f}" for each in found[-1]), flush=True)
    print(f"{'':>4}  {'mean':<12}  " + "  ".join(f"{each:>6.3f}" for each in np.mean(found, axis=0)))


if __name__ == "__main__":
    main()
