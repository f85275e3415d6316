"""Which questions to put to raters: outputs in, requests out."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from rrm.core.errors import ConfigError
from rrm.core.ids import generator
from rrm.core.place import Place
from rrm.core.values import KINDS, Output, Request, Shown, View


def select(
    node: str, source: str, place: Place, view: View, outputs: Sequence[Output], wanted: Mapping[str, int], seed: int
) -> list[Request]:
    """Return the requests about one node's outputs: `wanted` says how many of each kind.

    Equal texts are asked about once and never compared. Comparisons show two outputs, rankings up
    to six, every other kind one; which ones, and in what order, is drawn at random, each question
    once before any is asked again of another rater (`Request.copy`). Raises ConfigError for an
    unknown kind.
    """
    first = {output.text: output.id for output in reversed(outputs)}
    distinct = [Shown(output, text) for text, output in reversed(first.items())]
    requests: list[Request] = []
    for kind, count in wanted.items():
        if kind not in KINDS:
            raise ConfigError(f"no kind of feedback called {kind!r}; there are {', '.join(KINDS)}")
        questions = _questions(kind, len(distinct), generator("select", seed, node, kind))
        for number in range(count if questions else 0):
            copy, which = divmod(number, len(questions))
            shown = tuple(distinct[position] for position in questions[which])
            requests.append(Request(node, source, place, kind, view, shown, copy=copy))
    return requests


def _questions(kind: str, k: int, random: np.random.Generator) -> list[list[int]]:
    """Return the different questions of a kind about k outputs, as positions shown, in random order."""
    fewest, most = KINDS[kind].shows
    if fewest == most == 2:
        pairs = list(combinations(range(k), 2))
        ordered = [pairs[each] for each in random.permutation(len(pairs))]
        return [list(pair[::-1]) if random.random() < 0.5 else list(pair) for pair in ordered]
    if fewest > 1:
        return [random.permutation(k)[:most].tolist()] if k >= fewest else []
    return [[int(each)] for each in random.permutation(k)]
