"""The baselines of every accuracy: the longer output wins, the one that copies more, and a model on bags of words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit

from rrm.core.errors import InputError
from rrm.core.ids import generator
from rrm.core.text import sentence_texts, words
from rrm.core.values import Rated, Request
from rrm.evaluate.outcomes import outcome_of, pairwise

RIDGES = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0)
"""The penalties that inner cross-validation chooses from, strongest first."""


def longer_wins(requests: Sequence[Request]) -> np.ndarray:
    """Return 1 where the first output shown has more words than the second, 0 if fewer, 0.5 if as many, [n]."""
    lengths = np.array([[len(words(shown.text)) for shown in request.shown[:2]] for request in requests])
    return (np.sign(lengths[:, 0] - lengths[:, 1]) + 1) / 2 if len(requests) else np.zeros(0)


def verbatim_wins(requests: Sequence[Request]) -> np.ndarray | None:
    """Return 1 where more of the first output's sentences stand verbatim in the passages than of the second's, [n].

    0 if fewer, 0.5 if as large a share; an output without a sentence has a share of 0. None where no view shows any.
    """
    if not any(request.view.text for request in requests):
        return None
    shares = np.array([[_verbatim(request, shown.text) for shown in request.shown[:2]] for request in requests])
    return np.asarray((np.sign(shares[:, 0] - shares[:, 1]) + 1) / 2)


def _verbatim(request: Request, text: str) -> float:
    told, known = sentence_texts(text), _sentences(request.view.text)
    return sum(each in known for each in told) / len(told) if told else 0.0


@lru_cache(maxsize=1024)
def _sentences(text: str) -> frozenset[str]:
    return frozenset(sentence_texts(text))


@dataclass(frozen=True, eq=False)
class BagOfWords:
    """Bradley-Terry with one reward per word: an output's reward is sum of weight x log(1 + count)."""

    places: Mapping[str, int] = field(repr=False)
    weights: np.ndarray = field(repr=False)
    ridge: float

    @classmethod
    def fit(cls, rated: Sequence[Rated], folds: int = 3, seed: int = 0) -> "BagOfWords | None":
        """Fit by ridge logistic regression all pairs that judgements of any kind decide; None if there are none.

        The ridge is the one of `RIDGES` with the least cross-validated loss over `folds` folds of
        the rows' own sources; with a single source it is the middle one.
        """
        rows = pairwise(rated)
        if not rows:
            return None
        pairs = _texts([row.request for row in rows])
        places = _places(pairs)
        features = _differences(pairs, places)
        outcome = np.array([outcome_of(row) for row in rows], dtype=float)
        ridge = _best_ridge(features, outcome, _folds([row.request.source for row in rows], folds, seed))
        return cls(places, _path(features, outcome, (ridge,))[0], ridge)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "BagOfWords":
        """Return what `to_json` gave; raise InputError for anything else."""
        try:
            weights = {str(word): float(weight) for word, weight in values["weights"].items()}
            ridge = float(values["ridge"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"not a bag of words ({type(error).__name__}: {error})") from error
        if not all(map(isfinite, (ridge, *weights.values()))):
            raise InputError("a bag of words has finite weights and a finite ridge")
        return cls({word: place for place, word in enumerate(weights)}, np.array(list(weights.values())), ridge)

    def to_json(self) -> dict[str, Any]:
        """Return plain values from which `from_json` makes a model with equal predictions."""
        return {"ridge": self.ridge, "weights": {word: float(self.weights[at]) for word, at in self.places.items()}}

    def probability(self, requests: Sequence[Request]) -> np.ndarray:
        """Return the probabilities, [n], that the first output shown is better than the second."""
        return np.asarray(expit(_differences(_texts(requests), self.places) @ self.weights))


def cross_fitted(
    evaluated: Sequence[Request], rated: Sequence[Rated], fold_of: Mapping[str, int], seed: int = 0
) -> np.ndarray | None:
    """Return bag-of-words probabilities, [n], each from a fit that saw no row of the request's fold.

    `fold_of` maps training sources to folds. Requests about any other source are predicted by a
    fit on all rows about sources that are not evaluated so. None if some fit has nothing to learn.
    """
    found = np.full(len(evaluated), 0.5)
    places = [fold_of.get(request.source) for request in evaluated]
    strangers = {request.source for request in evaluated if request.source not in fold_of}
    for fold in dict.fromkeys(places):
        here = [index for index, place in enumerate(places) if place == fold]
        apart = [row for row in rated if _apart(row, fold, fold_of, strangers)]
        model = BagOfWords.fit(apart, seed=seed)
        if model is None:
            return None
        found[here] = model.probability([evaluated[index] for index in here])
    return found if len(evaluated) else None


def _apart(row: Rated, fold: int | None, fold_of: Mapping[str, int], strangers: set[str]) -> bool:
    source = row.request.source
    return source not in strangers if fold is None else fold_of.get(source) != fold


@lru_cache(maxsize=4096)
def _counts(text: str) -> tuple[tuple[str, float], ...]:
    return tuple((word, float(np.log1p(n))) for word, n in Counter(word.lower() for word in words(text)).items())


def _texts(requests: Sequence[Request]) -> list[tuple[str, str]]:
    return [(request.shown[0].text, request.shown[1].text) for request in requests]


def _places(pairs: Sequence[tuple[str, str]]) -> dict[str, int]:
    seen = {word: None for pair in pairs for text in pair for word, _ in _counts(text)}
    return {word: place for place, word in enumerate(seen)}


def _differences(pairs: Sequence[tuple[str, str]], places: Mapping[str, int]) -> csr_array:
    """Return log(1 + count) of the first text less that of the second, [pairs, words]; unknown words count nothing."""
    values: list[float] = []
    columns: list[int] = []
    starts = [0]
    for first, second in pairs:
        for sign, text in ((1.0, first), (-1.0, second)):
            for word, count in _counts(text):
                if word in places:
                    columns.append(places[word])
                    values.append(sign * count)
        starts.append(len(values))
    matrix = csr_array((values, columns, starts), shape=(len(pairs), len(places)), dtype=float)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def _folds(sources: Sequence[str], folds: int, seed: int) -> np.ndarray:
    """Return each row's fold, [n]; all rows of a source share one, and folds differ by one source at most."""
    names, where = np.unique(sources, return_inverse=True)
    order = generator("bag of words", seed).permutation(len(names))
    return np.asarray((np.argsort(order) % max(1, min(folds, len(names))))[where])


def _best_ridge(features: csr_array, outcome: np.ndarray, fold: np.ndarray) -> float:
    losses = np.zeros(len(RIDGES))
    if fold.max() == 0:
        return RIDGES[len(RIDGES) // 2]
    for number in range(int(fold.max()) + 1):
        inside, outside = fold != number, fold == number
        for place, weights in enumerate(_path(features[inside], outcome[inside], RIDGES)):
            losses[place] += _loss(features[outside] @ weights, outcome[outside])
    return RIDGES[int(losses.argmin())]


def _path(features: csr_array, outcome: np.ndarray, ridges: Sequence[float]) -> list[np.ndarray]:
    """Return the fitted weights, [words], for each ridge, each fit starting from the one before."""
    weights = np.zeros(features.shape[1])
    turned = features.T.tocsr()
    path = []
    for ridge in ridges:
        weights = _weights(features, turned, outcome, ridge, weights)
        path.append(weights)
    return path


def _weights(
    features: csr_array, turned: csr_array, outcome: np.ndarray, ridge: float, start: np.ndarray
) -> np.ndarray:
    """Minimise the logistic loss plus ridge/2 |w|^2; there is no intercept, as the order shown means nothing."""

    def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = features @ weights
        slope = turned @ (expit(margin) - outcome) + ridge * weights
        return _loss(margin, outcome) + ridge / 2 * float(weights @ weights), slope

    return np.asarray(minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x)


def _loss(margin: np.ndarray, outcome: np.ndarray) -> float:
    return float((np.logaddexp(0, margin) - outcome * margin).sum())
