"""What a linear head can read off a causal model's own states: that of the last token, or the mean over the output.

    python -m benchmarks.pooling --set synthetic --books 4 --out runs/pooling
    python -m benchmarks.pooling --set ukpconvarg --rows 300

The trunk is left as it is; heads are fitted by AdamW on the trainer's schedule, 16 rows an update. Training ratings
alone are read: with few sources each half of them is held out in turn, with many each of four folds. So it says, in
minutes, what a joint model has to begin with, and tells poor pooling from poor labels.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from benchmarks.people import recorded
from benchmarks.quality_books import BookSizes, rate
from rrm.backbone.classifier import load_classifier
from rrm.backbone.decoder import read_group
from rrm.core.values import Comparison, Label, Rated
from rrm.reward.joint_model import JointModel, JointNet, Pooling, Reading
from rrm.reward.schedule import rate_share

POOLINGS: tuple[Pooling, ...] = ("last", "mean")
RATES = (2e-3, 1e-2)
ROWS_PER_UPDATE = 16
FEW_SOURCES = 6


class Pairs(NamedTuple):
    """Differences of states, better less worse [comparisons, size], and states of labelled outputs [labels, size].

    `good` says which of these are; the sources are those of each comparison and of each label.
    """

    better: Tensor
    labelled: Tensor
    good: Tensor
    pair_source: np.ndarray
    label_source: np.ndarray


class Told(NamedTuple):
    """Accuracy on what a head was fitted to, and accuracy and negative log-likelihood on what was held out."""

    fitted: float
    held: float
    nll: float


def states(model: JointModel, rated: Sequence[Rated]) -> Mapping[tuple[str, str], Tensor]:
    """Return the state of each output that was rated, by view and text; a view's prompt is read once for all."""
    views = {row.request.view.id: row.request.view for row in rated}
    texts: dict[str, set[str]] = {view: set() for view in views}
    for row in rated:
        texts[row.request.view.id].update(row.request.group.outputs)
    found: dict[tuple[str, str], Tensor] = {}
    for name, view in views.items():
        outputs = sorted(texts[name])
        tokens = [window for (window,) in model.windows([(view, text) for text in outputs])]
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=model.net.autocast):
            read = read_group(model.net.trunk, tokens).float()
        found.update(zip(((name, text) for text in outputs), read, strict=True))
    return found


def pairs(rated: Sequence[Rated], known: Mapping[tuple[str, str], Tensor]) -> Pairs:
    """Return what heads are fitted to; ties are left out."""
    better, labelled, good = [], [], []
    pair_source, label_source = [], []
    for row in rated:
        answer = row.feedback.answer
        own = [known[row.request.view.id, text] for text in row.request.group.outputs]
        if isinstance(answer, Comparison) and answer.better is not None:
            better.append(own[answer.better] - own[1 - answer.better])
            pair_source.append(row.request.source)
        elif isinstance(answer, Label):
            labelled.append(own[0])
            good.append(float(answer.good))
            label_source.append(row.request.source)
    size = next(iter(known.values())).shape[0]
    states_of_labels = torch.stack(labelled) if labelled else torch.zeros(0, size)
    sources = np.array(pair_source), np.array(label_source)
    return Pairs(torch.stack(better), states_of_labels, torch.tensor(good), *sources)


def head(known: Pairs, held: frozenset[str], rate: float, epochs: int) -> Told:
    """Fit a head to all sources but those held out."""
    own, labels = ~np.isin(known.pair_source, [*held]), ~np.isin(known.label_source, [*held])
    better, labelled, good = known.better[own], known.labelled[labels], known.good[labels]
    torch.manual_seed(0)
    weight, anchor = nn.Parameter(torch.randn(better.shape[1]) * 0.02), nn.Parameter(torch.zeros(()))
    optimiser = torch.optim.AdamW([{"params": [weight], "base": rate}, {"params": [anchor], "base": 2e-2}])
    rows, step = len(better) + len(labelled), 0
    total = epochs * ceil(rows / ROWS_PER_UPDATE)
    for _ in range(epochs):
        for part in torch.randperm(rows).split(ROWS_PER_UPDATE):
            first, others = part[part < len(better)], part[part >= len(better)] - len(better)
            loss = softplus(-better[first] @ weight).sum()
            said = labelled[others] @ weight + anchor
            loss = loss + binary_cross_entropy_with_logits(said, good[others], reduction="sum")
            for group in optimiser.param_groups:
                group["lr"] = group["base"] * rate_share(step, total, 0.1)
            optimiser.zero_grad()
            (loss / len(part)).backward()
            nn.utils.clip_grad_norm_([weight, anchor], 1.0)
            optimiser.step()
            step += 1
    with torch.no_grad():
        margin = (known.better @ weight).numpy()
    return Told(
        float((margin[own] > 0).mean()), float((margin[~own] > 0).mean()), float(np.logaddexp(0, -margin[~own]).mean())
    )


def splits(sources: Sequence[str]) -> list[frozenset[str]]:
    """Return what is held out in turn: each half of few sources, each of four folds of many."""
    if len(sources) <= FEW_SOURCES:
        return [frozenset(half) for half in combinations(sources, len(sources) // 2)]
    return [frozenset(sources[fold::4]) for fold in range(4)]


def table(name: str, rated: Sequence[Rated], backbone: str) -> Iterator[str]:
    """Yield the rows of the table for some ratings."""
    classifier = load_classifier(backbone)
    net = JointNet(classifier)
    for pooling in POOLINGS:
        model = JointModel(net, classifier, Reading(pooling=pooling))
        known = pairs(rated, states(model, rated))
        held = splits(sorted({*known.pair_source.tolist(), *known.label_source.tolist()}))
        for learning in RATES:
            for epochs in (1, 2, 4):
                told = np.mean([head(known, each, learning, epochs) for each in held], axis=0)
                figures = " | ".join(f"{figure:.3f}" for figure in told)
                yield f"| {name} | {pooling} | {learning:g} | {epochs} | {figures} |"


def main() -> None:
    """Print the table of one set."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--set", choices=("synthetic", "ukpconvarg"), default="synthetic")
    asked.add_argument("--books", type=int, default=4, help="generated books to learn from")
    asked.add_argument("--rows", type=int, default=300, help="rows of people's judgements, a seeded draw")
    asked.add_argument("--levels", type=int, nargs="*", help="of generated books; all unless told")
    asked.add_argument("--backbone", default="smollm")
    asked.add_argument("--out", type=Path, default=Path("runs/pooling"))
    options = asked.parse_args()
    print("| set | pooling | head's rate | epochs | accuracy, fitted | accuracy, held out | NLL, held out |")
    print("|---|---|---|---|---|---|---|", flush=True)
    if options.set == "synthetic":
        ratings = rate(BookSizes(books=options.books), options.out / f"books-{options.books}")
        levels = ratings.levels if options.levels is None else options.levels
        sets = {f"level {level}": ratings.levels[level] for level in levels}
    else:
        rows = recorded(f"{options.set}/preferences_train.jsonl.gz")
        order = np.random.default_rng(0).permutation(len(rows))[: options.rows]
        sets = {options.set: tuple(rows[place] for place in order)}
    for name, rated in sets.items():
        for line in table(name, rated, options.backbone):
            print(line, flush=True)


if __name__ == "__main__":
    main()
