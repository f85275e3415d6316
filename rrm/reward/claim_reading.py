"""How an output's claims differ from what stands in its view: what a model that judges claim by claim is told.

Each claim is held against the one unit of the view that it comes closest to. What tells of an error is a *deficit*:
words and names that are not there, names beside other words than there, word pairs that are not there. All are
shares or marks from 0 to 1; a claim that repeats its unit has none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log, log1p
from typing import NamedTuple

import numpy as np

from rrm.backbone.units import units
from rrm.core.claims import claim_spans
from rrm.core.protocols import Tokenizer
from rrm.core.values import View
from rrm.reward.features import Unit, incidence, parse

DEFICITS = (
    "words_missing",
    "names_missing",
    "a_name_missing",
    "names_displaced",
    "a_name_displaced",
    "pairs_missing",
    "negation",
    "meaning",
    "left_out",
    "changed",
    "no_run",
    "ungrounded",
)
"""What may tell against a claim: rarity-weighted words that its unit lacks; names it lacks, as a share and as a mark;
names that stand beside other words there, likewise; word pairs that it lacks; a negation on one side alone; the
distance of their vectors; words of the unit that the claim lacks; any difference; words outside of common runs of
three; and no unit that comes near at all, with which all others are 0."""

NEGATIONS = frozenset(
    [
        "no",
        "not",
        "never",
        "nor",
        "neither",
        "none",
        "nothing",
        "nobody",
        "cannot",
        "false",
        "untrue",
        "denied",
        "without",
    ]
)
COPIED, MEANING, LEAST = 0.8, 0.7, 0.4
"""As `rrm.compose.align.Aligner` has them: from which share of words on words alone decide, what vectors weigh where
they do not, and the score below which a claim comes near nothing."""
_LENGTH = 1e-3
_DIGITS = 6  # scores are rounded: equal texts rest on equal units in whatever company they are read

Encode = Callable[[Sequence[str]], np.ndarray]
"""Unit vectors, [texts, dimensions], of texts."""


class Told(NamedTuple):
    """An output's claims: `deficits` [claims, DEFICITS], and `places` [claims], the number of each one's unit or -1.

    `words` is how many words they have together.
    """

    deficits: np.ndarray
    places: np.ndarray
    words: int


@dataclass(frozen=True)
class Beside:
    """What a view's outputs are held against, and the outputs.

    `units` [units] are the view's, and after them those of the rest of the source where that counts; `vectors`
    [units, dimensions] are theirs, `trust` [units] the scores of the passages they stand in, 1 where there is none.
    """

    units: tuple[Unit, ...]
    vectors: np.ndarray
    trust: np.ndarray
    outputs: tuple[Told, ...]


def read_claims(
    view: View, texts: Sequence[str], encode: Encode, tokenizer: Tokenizer | None = None, whole: str = ""
) -> Beside:
    """Return what the claims of texts come to beside a view.

    `whole` is a text of which the view shows a part: what else stands there is to be told as well, but no claim is
    held against it.
    """
    passages = [(unit, passage.score) for passage in view.passages for unit in units(passage.text, tokenizer)]
    shown = [unit for unit, _ in passages]
    rest = [unit for unit in units(whole, tokenizer) if unit not in set(shown)]
    trust = np.array([1.0 if score is None else score for _, score in passages] + [1.0] * len(rest))
    claims = [[" ".join(text[start:end].split()) for start, end in claim_spans(text)] for text in texts]
    different = list(dict.fromkeys(claim for each in claims for claim in each))
    vectors = encode([*shown, *rest, *different]).astype(np.float64)
    parsed = tuple(map(parse, [*shown, *rest]))
    known = dict(zip(different, _deficits(different, parsed[: len(shown)], vectors, len(parsed)), strict=True))
    told = [
        Told(
            np.array([known[claim][0] for claim in each]).reshape(-1, len(DEFICITS)),
            np.array([known[claim][1] for claim in each], dtype=np.int64),
            sum(len(parse(claim).words) for claim in each),
        )
        for each in claims
    ]
    return Beside(parsed, vectors[: len(parsed)], trust, tuple(told))


def _deficits(
    claims: Sequence[str], shown: Sequence[Unit], vectors: np.ndarray, before: int
) -> list[tuple[list[float], int]]:
    """Return each claim's deficits and the place of its unit; vectors of claims stand after `before` others."""
    said = tuple(map(parse, claims))
    if not shown or not said:
        return [(_ungrounded(), -1)] * len(claims)
    column: dict[str, int] = {}
    for unit in (*shown, *said):
        for word in unit.words:
            column.setdefault(word, len(column))
    within = incidence(shown, column)
    found_in = np.asarray(within.sum(axis=0)).ravel()
    rarity = np.log((len(shown) + 1) / (np.maximum(found_in, 0.5) + 0.5)) + 0.1
    weights = incidence(said, column).multiply(rarity[None, :]).tocsr()
    total = np.maximum(np.asarray(weights.sum(axis=1)).ravel(), 1e-9)
    held = np.asarray((weights @ within.T).todense()) / total[:, None]
    near = np.clip(vectors[before:] @ vectors[: len(shown)].T, 0.0, 1.0)
    sizes = np.log1p(np.asarray(within.sum(axis=1)).ravel())
    by_words = held - _LENGTH * sizes[None, :]
    reworded = held.max(axis=1) < COPIED
    scores = np.where(reworded[:, None], (1 - MEANING) * held + MEANING * near, by_words)
    best = np.round(scores, _DIGITS).argmax(axis=1)
    names = frozenset().union(*(unit.inner_capitals for unit in shown)) - frozenset().union(*(u.smalls for u in shown))
    weight = {word: float(rarity[at]) for word, at in column.items()}
    return [
        (_differences(unit, shown[at], weight, names, 1 - float(near[row, at])), int(at))
        if scores[row, at] >= LEAST
        else (_ungrounded(), -1)
        for row, (unit, at) in enumerate(zip(said, best, strict=True))
    ]


def _ungrounded() -> list[float]:
    return [0.0] * (len(DEFICITS) - 1) + [1.0]


def _differences(said: Unit, there: Unit, weight: dict[str, float], names: frozenset[str], far: float) -> list[float]:
    """Return the deficits of a claim beside a unit, in the order of `DEFICITS`."""
    words, known = said.words, frozenset(there.words)
    named = [at for at, word in enumerate(words) if word in said.inner_capitals or word in names]
    missing = [at for at in named if words[at] not in known]
    pairs = frozenset(pairwise(there.words))
    own_pairs = list(pairwise(words))
    displaced = [
        at
        for at in named
        if words[at] in known
        and not (at > 0 and own_pairs[at - 1] in pairs)
        and not (at < len(own_pairs) and own_pairs[at] in pairs)
    ]
    few = max(1, len(named))
    return [
        _share([word not in known for word in words], words, weight),
        len(missing) / few,
        float(bool(missing)),
        len(displaced) / few,
        float(bool(displaced)),
        sum(pair not in pairs for pair in own_pairs) / max(1, len(own_pairs)),
        float(NEGATIONS.isdisjoint(words) != NEGATIONS.isdisjoint(known)),
        far,
        _share([word not in frozenset(words) for word in there.words], there.words, weight),
        float(words != there.words),
        _share([not kept for kept in _in_runs(words, there.words)], words, weight),
        0.0,
    ]


def _share(marks: Sequence[bool], words: Sequence[str], weight: dict[str, float]) -> float:
    """Return the share of marked words, weighted by rarity."""
    weights = np.array([weight[word] for word in words])
    return float(weights[np.array(marks, dtype=bool)].sum() / weights.sum()) if len(weights) else 0.0


def _in_runs(words: Sequence[str], there: Sequence[str], least: int = 3) -> list[bool]:
    """Return which words stand in a run of `least` or more that the other text has, too."""
    runs = {tuple(there[at : at + least]) for at in range(len(there) - least + 1)}
    kept = [False] * len(words)
    for at in range(len(words) - least + 1):
        if tuple(words[at : at + least]) in runs:
            kept[at : at + least] = [True] * least
    return kept


def form(unit: Unit) -> tuple[float, float]:
    """Return what a unit's form tells of how much it matters: its length and how many names it has, about 0 to 1."""
    return log1p(len(unit.words)) - log(12), len(unit.inner_capitals) / 5
