"""The trunk that the levels share: from features to the standardised columns that a head weighs."""

from dataclasses import dataclass

import numpy as np

from rrm.reward.features import INDEX, LENGTH, Features

CLIP = 5.0


@dataclass(frozen=True, eq=False)
class Trunk:
    """Means and scales of the features, and the principal directions of the outputs' contents.

    All were taken from texts alone, never from ratings. `mean`, `scale` are [NAMES], as are `weights`: how much
    each feature counts; `centre` [dimensions]; `directions` [dimensions, components]; `spread` is the directions'
    one scale.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    centre: np.ndarray
    directions: np.ndarray
    spread: np.ndarray

    @property
    def columns(self) -> int:
        return len(self.mean) + int(self.directions.shape[1])

    def __call__(self, features: Features) -> np.ndarray:
        """Return standardised columns, float64 [rows, columns], clipped to five standard deviations, and weighted."""
        numbers = (features.numbers - self.mean) / self.scale
        contents = (features.contents.astype(np.float64) - self.centre) @ self.directions / self.spread
        columns = np.clip(np.concatenate([numbers, contents], axis=1), -CLIP, CLIP)
        columns[:, : len(self.weights)] *= self.weights
        return np.asarray(columns)


def fit_trunk(features: Features, components: int, weight: float, length_weight: float) -> Trunk:
    """Take a trunk from the features of all training outputs, one row each.

    Columns that never vary keep their natural unit. Directions come largest first, fewer than
    `components` if the texts span fewer. They share one scale, so a lesser direction stays
    lesser; `weight` is the standard deviation that they have on average, so it says how much
    they count beside a standardised feature. The length counts `length_weight` times as much as another feature.
    """
    numbers, contents = features.numbers, features.contents.astype(np.float64)
    scale = numbers.std(axis=0)
    centre = contents.mean(axis=0)
    _, lengths, rows = np.linalg.svd(contents - centre, full_matrices=False)
    kept = min(components, int((lengths > 1e-6 * max(float(lengths.max(initial=0.0)), 1e-9)).sum()))
    directions = rows[:kept].T
    # The sign of a singular vector is arbitrary: make its largest entry positive.
    signs = np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(kept)])
    spread = float(np.mean(lengths[:kept])) / np.sqrt(len(contents)) if kept else 1.0
    weights = np.ones(numbers.shape[1])
    weights[INDEX[LENGTH]] = length_weight
    return Trunk(
        mean=numbers.mean(axis=0),
        scale=np.where(scale > 1e-6, scale, 1.0),
        weights=weights,
        centre=centre,
        directions=np.ascontiguousarray(directions * signs),  # as when it is loaded: layout decides the last bits
        spread=np.array([spread / weight]),
    )
