"""How good what people write is beside what stands there: logits of acceptance, learned from how it fared."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rrm.core.asking import Quality, Writer
from rrm.core.values import Correction, Demonstration

PRIOR = {Demonstration.kind: Quality(0.0, 1.0), Correction.kind: Quality(0.0, 0.5)}
"""Beforehand people write no better than what is proposed, and their edits are no better than what they edit: texts are
as good in the mean, with a standard deviation of a logit, and of half a logit."""

_TEXT, _WRITER, _PEOPLE = 0.6, 0.2, 0.2
"""What the variance beforehand is made of: how a person's texts differ, how people do, and what they have in common."""

_COUNTS = 4
"""As so many texts, and as so many people, the variances beforehand count."""

_STEPS = 200


def learned(kind: str, fared: Mapping[str, Sequence[float]], raters: Iterable[str] = ()) -> Quality:
    """Return how good the next text of a kind is, from how many logits better each writer's texts were (`fared`).

    Writers have means of their own, normal around a common one, and their texts are normal around these. Each writer's
    mean is drawn to the common one, the more the fewer texts there are, and the variances are the most probable ones
    (EM; Dempster, Rubin and Tsutakawa 1981, doi:10.1080/01621459.1981.10477653), which the prior's count for. The
    next one is written by any of the writers and the other `raters`, of whom only the common mean is known, as probably
    as by how many texts each wrote, and one more.
    """
    before, names = PRIOR[kind], sorted(name for name, texts in fared.items() if len(texts))
    if not names:
        return before
    pooled = _pooled(before, [np.asarray(fared[name]) for name in names])
    counts, means, variances = pooled.counts, pooled.means, pooled.variances
    others = len({*raters} - {*names})
    expected = np.r_[means, np.full(others, pooled.mean)]
    spread = np.r_[variances, np.full(others, pooled.between + pooled.unsure)] + pooled.text
    likely = np.r_[counts + 1.0, np.ones(others)] / (counts.sum() + len(expected))
    mean = float(likely @ expected)
    sd = float(np.sqrt(likely @ (spread + np.square(expected - mean))))
    found = zip(names, means.tolist(), np.sqrt(variances).tolist(), counts.tolist(), strict=True)
    writers = sorted((Writer(*each) for each in found), key=lambda each: (-each.texts, each.rater))
    return Quality(mean, sd, int(counts.sum()), tuple(writers))


class _Pooled(NamedTuple):
    """What is found of writers, [writers] each, of the common mean (`mean`, with variance `unsure`), and of variances.

    `counts` are texts; `means` and `variances` those of each writer's mean. Texts of a writer have the variance `text`,
    writers' means around the common one `between`.
    """

    counts: np.ndarray
    means: np.ndarray
    variances: np.ndarray
    mean: float
    unsure: float
    text: float
    between: float


def _pooled(before: Quality, texts: Sequence[np.ndarray]) -> _Pooled:
    """Draw writers' means to a common one, by the most probable variances: expectation, then maximisation, in turn."""
    total, counts = before.sd**2, np.array([len(each) for each in texts])
    own = np.array([each.mean() for each in texts])
    within = float(sum(np.square(each - mean).sum() for each, mean in zip(texts, own, strict=True)))
    text, between = _TEXT * total, _WRITER * total
    for _ in range(_STEPS):
        precise = 1 / (between + text / counts)
        unsure = 1 / (1 / (_PEOPLE * total) + precise.sum())
        mean = unsure * (before.mean / (_PEOPLE * total) + precise @ own)
        drawn = between * precise  # how much of what is their own is believed
        means = mean + drawn * (own - mean)
        variances = between * (1 - drawn) + (1 - drawn) ** 2 * unsure
        apart = between * (1 - drawn) + drawn**2 * unsure  # of a writer's mean from the common one
        squares = within + counts @ (np.square(own - means) + variances)
        text = (_COUNTS * _TEXT * total + squares) / (_COUNTS + counts.sum())
        between = (_COUNTS * _WRITER * total + (np.square(means - mean) + apart).sum()) / (_COUNTS + len(texts))
    return _Pooled(counts, means, variances, mean, unsure, text, between)


def qualities(fared: Mapping[str, Mapping[str, Sequence[float]]], raters: Iterable[str] = ()) -> dict[str, Quality]:
    """Return the quality of every kind of text, by the kind; `fared` by kind and writer."""
    known = frozenset(raters)
    return {kind: learned(kind, fared.get(kind, {}), known) for kind in PRIOR}
