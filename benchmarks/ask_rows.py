"""What to ask next of people's own judgements: accuracy on sources held out, by value, by information, and at random.

    python -m benchmarks.ask_rows --orders 20 --json rows.jsonl

Sets of people's preferences are in the folder of real data (RRM_DATA). The labels of a train file are hidden, and asked
for one pair after another, each once, at the minutes of reading both texts and deciding. What is believed is Gaussian
over the weights of features of a frozen encoder, choices taken in by their moments. The decision is which text of each
pair of the validation file is the better one. Orders differ in which train pairs there are, which of these are
looked at before each question, and whose turn it is at random. What is finished is kept in the file and not done again.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.people import Rows, recorded
from rrm.ask.gaussian import Gaussian
from rrm.ask.value import Pool, Roots, information, next_question, value
from rrm.backbone.encoder import FrozenEncoder
from rrm.core.ids import generator, seed_for
from rrm.core.text import word_count
from rrm.core.values import Comparison, Group, Rated
from rrm.evaluate.outcomes import pairwise
from rrm.feedback.minutes import RATES, Tally
from rrm.reward.features import FeatureReader

SETS: Mapping[str, Callable[[str], Rows]] = {
    "ukpconvarg": lambda split: recorded(f"ukpconvarg/preferences_{split}.jsonl.gz"),
    "summeval": lambda split: recorded(f"summeval/preferences_{split}.jsonl.gz", source_column="doc"),
}
TRAIN, VALIDATION = 1500, 300
"""Pairs that can be asked about in an order, and pairs that are decided."""
LOOKED_AT = 200
"""Questions that are looked at before each is chosen."""
COMPONENTS = 24
"""Directions of the encoder's vectors that are features, beside the reader's numbers."""
MARGIN_SD = 1.5
"""Of the logit of a preference between two train texts, before anything was said."""
FURTHEST = 2.0
"""Features that are so many standard deviations off count as if they were this far, or few pairs would tell most."""

MINUTES = (25.0, 50.0, 100.0)

Way = Callable[[Gaussian, Pool, Roots], np.ndarray]
WAYS: Mapping[str, Way | None] = {
    "random": None,
    "information": lambda belief, pool, roots: information(belief, pool),
    "value": value,
}


class Pairs(NamedTuple):
    """Decided preferences: features of the first less those of the second [n, d], whether it won, minutes [n] each."""

    along: np.ndarray
    won: np.ndarray
    minutes: np.ndarray


@dataclass(frozen=True)
class Row:
    """The accuracy of an order's way on the validation pairs after so many minutes, and the questions that took."""

    set: str
    order: int
    way: str
    minutes: float
    accuracy: float
    questions: int


def read(name: str) -> tuple[Pairs, Pairs]:
    """Return the train and the validation pairs of a set, by features whose scales are those of train texts."""
    reader = FeatureReader(FrozenEncoder("minilm", device="cpu"))
    rows = {}
    for split, most in (("train", 4 * TRAIN), ("validation", VALIDATION)):
        decided = [row for row in pairwise(SETS[name](split)) if _better(row) is not None]
        drawn = generator("ask rows", name, split).permutation(len(decided))[:most]
        rows[split] = [decided[at] for at in sorted(drawn)]
    features = {
        split: reader.read(
            [Group(r.request.source, r.request.place, r.request.view, r.request.group.outputs) for r in some]
        )
        for split, some in rows.items()
    }
    numbers, contents = (
        {split: np.stack([getattr(each, part) for each in some]) for split, some in features.items()}
        for part in ("numbers", "contents")
    )
    known = contents["train"].reshape(-1, contents["train"].shape[-1])
    _, _, directions = np.linalg.svd(known - known.mean(axis=0), full_matrices=False)
    found = {}
    for split in rows:
        both = np.concatenate([numbers[split], contents[split] @ directions[:COMPONENTS].T], axis=-1)
        along = both[:, 0] - both[:, 1]
        won = np.array([_better(row) == 0 for row in rows[split]])
        sizes = [[word_count(text) for text in row.request.group.outputs] for row in rows[split]]
        minutes = np.array([RATES.cost(Tally(0, sum(each), 2, 1)) for each in sizes])
        found[split] = Pairs(along, won, minutes)
    scale = np.sqrt(np.square(found["train"].along).mean(axis=0))
    kept = scale > 1e-9
    train, validation = (
        each._replace(along=np.clip(each.along[:, kept] / scale[kept], -FURTHEST, FURTHEST)) for each in found.values()
    )
    return train, validation


def _better(row: Rated) -> int | None:
    answer = row.feedback.answer
    return answer.better if isinstance(answer, Comparison) else None


def play(name: str, train: Pairs, validation: Pairs, order: int, way: str) -> list[Row]:
    """Ask until the last of the minutes are spent."""
    drawn = np.random.default_rng([order, 1])
    open_ = drawn.permutation(len(train.along))[:TRAIN]
    d = train.along.shape[1]
    belief = Gaussian(np.zeros(d), MARGIN_SD**2 / d * np.eye(d))
    roots = Roots(np.stack([validation.along, np.zeros_like(validation.along)], axis=1))
    rows, spent, asked = [], 0.0, 0
    for until in MINUTES:
        while len(open_):
            some = drawn.permutation(len(open_))[:LOOKED_AT]
            at = open_[some]
            pool = Pool(train.along[at], np.ones(len(at)), np.ones(len(at), dtype=bool), train.minutes[at])
            ask = WAYS[way]
            worth = np.zeros(len(pool)) if ask is None else ask(belief, pool, roots)
            chosen = next_question(worth, pool.minutes, seed=seed_for("ask rows", order, asked))
            question = int(at[chosen])
            if spent + train.minutes[question] > until:
                break
            belief = belief.after_choice(train.along[question], bool(train.won[question]), 1.0)
            spent, asked = spent + float(train.minutes[question]), asked + 1
            open_ = np.delete(open_, some[chosen])
        right = (belief.means(validation.along) > 0) == validation.won
        rows.append(Row(name, order, way, until, float(right.mean()), asked))
    return rows


HEADS = (
    "set",
    "way",
    "minutes",
    "questions",
    "accuracy (standard error over orders)",
    "less than at random by",
    "at most .01",
)


def lines(rows: Sequence[Row]) -> list[str]:
    """Return the table's rows: means over orders, and the difference to random's with its paired 95 % interval."""
    found = []
    for name in dict.fromkeys(row.set for row in rows):
        for minutes in MINUTES:
            by = {
                way: {row.order: row for row in rows if (row.set, row.way, row.minutes) == (name, way, minutes)}
                for way in WAYS
            }
            orders = sorted(set.intersection(*(set(each) for each in by.values())))
            for way, played in by.items():
                right = np.array([played[order].accuracy for order in orders])
                behind = np.array([by["random"][order].accuracy for order in orders]) - right
                error = right.std(ddof=1) / np.sqrt(len(right)) if len(right) > 1 else np.nan
                asked = np.mean([played[order].questions for order in orders])
                cells = [name, way, f"{minutes:g}", f"{asked:.0f}", f"{right.mean():.3f} ({error:.3f})"]
                if way == "random":
                    cells += ["", ""]
                else:
                    draws = np.random.default_rng(0).integers(len(behind), size=(2000, len(behind)))
                    low, high = np.quantile(behind[draws].mean(axis=1), [0.025, 0.975])
                    passed = "yes" if behind.mean() <= 0.01 else "**no**"
                    cells += [f"{behind.mean():+.3f} ({low:+.3f} to {high:+.3f})", passed]
                found.append("| " + " | ".join(cells) + " |")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    asked = argparse.ArgumentParser(prog="benchmarks.ask_rows", description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("--orders", type=int, default=20)
    asked.add_argument("--set", choices=list(SETS), help="one of them (default: both)")
    asked.add_argument("--quick", action="store_true", help="two orders")
    asked.add_argument("--json", type=Path, help="a file for the rows; what it has already is not done again")
    options = asked.parse_args(arguments)
    rows: list[Row] = []
    if options.json and options.json.exists():
        rows = [Row(**json.loads(text)) for text in options.json.read_text("utf-8").splitlines()]
    done = {(row.set, row.order, row.way) for row in rows}
    for name in [options.set] if options.set else list(SETS):
        left = [
            (order, way)
            for order in range(2 if options.quick else options.orders)
            for way in WAYS
            if (name, order, way) not in done
        ]
        train, validation = read(name) if left else (None, None)
        for order, way in left:
            assert train is not None and validation is not None
            new = play(name, train, validation, order, way)
            rows += new
            if options.json:
                with options.json.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(asdict(row)) + "\n" for row in new)
    print("| " + " | ".join(HEADS) + " |\n" + "|---" * len(HEADS) + "|")
    print("\n".join(lines(rows)))


if __name__ == "__main__":
    main()
