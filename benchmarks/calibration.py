"""How much too good held-out losses look where models that calibrate a fold have seen it, as the wrappers' have.

Labels by a logistic law of 20 features, logistic regression for each fold without it. A fold's calibration is fitted to
what the other folds' models say of their own folds: they were fitted on the fold in question ("wrapper"), or, where
there are three folds or more, fitted anew without it, too ("nested"). Optimism is the loss on new rows by the model and
the calibration of a fold, less that on the fold's own rows: 0 where nothing of them has leaked.
"""

import argparse
from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_expit

from rrm.reward.calibrate import IDENTITY, Calibration, HeldLogits, calibrate

FEATURES, NEW, STEEPNESS = 20, 2000, 1.5


class World(NamedTuple):
    """Rows with their labels and folds, and new ones."""

    features: np.ndarray
    labels: np.ndarray
    fold: np.ndarray
    new: np.ndarray
    new_labels: np.ndarray


def world(seed: int, rows: int, folds: int) -> World:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=FEATURES) * STEEPNESS / np.sqrt(FEATURES)
    features, new = rng.normal(size=(rows, FEATURES)), rng.normal(size=(NEW, FEATURES))
    labels, new_labels = ((rng.random(len(each)) < expit(each @ truth)).astype(float) for each in (features, new))
    return World(features, labels, np.arange(rows) % folds, new, new_labels)


def fitted(drawn: World, kept: np.ndarray, l2: float) -> np.ndarray:
    """Return logistic regression on some rows, under a Gaussian prior of this precision."""
    features, labels, weights = drawn.features[kept], drawn.labels[kept], np.zeros(FEATURES)
    for _ in range(20):  # Newton's steps
        p = expit(features @ weights)
        hessian = (features.T * (p * (1 - p))) @ features + l2 * np.eye(FEATURES)
        weights = weights - np.linalg.solve(hessian, features.T @ (p - labels) + l2 * weights)
    return weights


def calibration(drawn: World, out: int, models: dict[int, np.ndarray]) -> Calibration:
    """Return that of a fold: fitted to what each other fold's model says of its fold."""
    kept = np.flatnonzero(drawn.fold != out)
    logits = np.array([drawn.features[at] @ models[drawn.fold[at]] for at in kept])[:, None]
    ones, none = np.ones(len(kept)), np.full(len(kept), -1)
    held = HeldLogits(logits, drawn.labels[kept], ones, drawn.fold[kept], kept, none, kept)
    return calibrate(held, np.ones(logits.shape, dtype=bool), IDENTITY)


def loss(logits: np.ndarray, labels: np.ndarray, by: Calibration) -> float:
    z = by.slope * logits + by.intercept
    return float(-np.mean(labels * log_expit(z) + (1 - labels) * log_expit(-z)))


def optimism(seed: int, rows: int, folds: int, l2: float, nested: bool) -> float:
    """Return the mean over the folds of one draw, in nats."""
    drawn = world(seed, rows, folds)
    models = {fold: fitted(drawn, drawn.fold != fold, l2) for fold in range(folds)}
    found = []
    for out in range(folds):
        others = (fold for fold in range(folds) if fold != out)
        apart = {fold: fitted(drawn, ~np.isin(drawn.fold, (fold, out)), l2) for fold in others} if nested else models
        by, own = calibration(drawn, out, apart), drawn.fold == out
        new = loss(drawn.new @ models[out], drawn.new_labels, by)
        found.append(new - loss(drawn.features[own] @ models[out], drawn.labels[own], by))
    return float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=300, help="how many worlds a row is the mean of")
    draws = parser.parse_args().draws
    print("| folds | ratings a fold | prior's precision | wrapper | nested |\n|---|---|---|---|---|")
    for folds, each, l2 in ((2, 30, 1.0), (2, 100, 1.0), (4, 30, 1.0), (4, 100, 1.0)):
        cells = []
        for nested in (False, True)[: 1 + (folds > 2)]:
            values = [optimism(seed, folds * each, folds, l2, nested) for seed in range(draws)]
            cells.append(f"{np.mean(values):+.4f} ± {np.std(values) / np.sqrt(draws):.4f}")
        print(f"| {folds} | {each} | {l2:g} | {' | '.join([*cells, '–'][:2])} |", flush=True)


if __name__ == "__main__":
    main()
