"""How various a policy's outputs are, and whether its probabilities say which of them is best."""

from collections import Counter
from collections.abc import Sequence
from math import exp, log

import numpy as np

from rrm.core.errors import ShapeError
from rrm.core.text import words

_LONGEST = 4  # words in a row


def self_bleu(texts: Sequence[str]) -> float | None:
    """Return the mean BLEU of each text with the others as references, in [0, 1]: 1 where all are equal.

    None for fewer than two texts. Source: Zhu et al. (2018), Texygen, arXiv:1802.01886, section 3.
    """
    if len(texts) < 2:
        return None
    spoken = [[word.lower() for word in words(text)] for text in texts]
    return float(np.mean([bleu(each, spoken[:at] + spoken[at + 1 :]) for at, each in enumerate(spoken)]))


def bleu(text: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return BLEU-4 of a text's words beside references' words, in [0, 1].

    Precisions of more than one word in a row are smoothed by one count, so that short texts have one. Sources: Papineni
    et al. (2002), doi:10.3115/1073083.1073135; smoothing: Lin and Och (2004), doi:10.3115/1218955.1219032, section 4.
    """
    if not text:
        return float(any(not reference for reference in references))
    logs = []
    for length in range(1, _LONGEST + 1):
        own = _grams(text, length)
        others = [_grams(reference, length) for reference in references]
        most = Counter({gram: max(other[gram] for other in others) for gram in own})
        right, total = (own & most).total(), own.total()
        if length > 1:
            right, total = right + 1, total + 1
        if not right:
            return 0.0
        logs.append(log(right / total))
    nearest = min((abs(len(reference) - len(text)), len(reference)) for reference in references)[1]
    return exp(min(0.0, 1 - nearest / len(text)) + float(np.mean(logs)))


def _grams(text: Sequence[str], length: int) -> "Counter[tuple[str, ...]]":
    return Counter(tuple(text[at : at + length]) for at in range(len(text) - length + 1))


def as_predictor(weights: np.ndarray, quality: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each of a node's different outputs how probable the policy says it is, and whether it is the best.

    `weights` [k] are probabilities, or how often each was drawn; the shares [k] among these outputs are returned. The
    best by `quality` [k] is 1, and several that are equally good share it. Raises ShapeError unless both are [k].
    """
    weights, quality = np.asarray(weights, dtype=np.float64), np.asarray(quality, dtype=np.float64)
    if weights.shape != quality.shape or weights.ndim != 1 or not weights.size:
        raise ShapeError(f"each output needs a weight and a quality, got {weights.shape} and {quality.shape}")
    best = (quality == quality.max()).astype(np.float64)
    return weights / weights.sum(), best / best.sum()


def calibration_error(predicted: np.ndarray, observed: np.ndarray, bins: int = 10) -> float | None:
    """Return the expected calibration error of probabilities [n] beside outcomes [n] in [0, 1], in `bins` equal ones.

    None without rows. Source: Guo et al. (2017), arXiv:1706.04599, equation 3.
    """
    if not len(predicted):
        return None
    place = np.minimum((np.asarray(predicted) * bins).astype(int), bins - 1)
    gaps = [abs(float((predicted[place == at] - observed[place == at]).sum())) for at in np.unique(place)]
    return float(np.sum(gaps) / len(predicted))
