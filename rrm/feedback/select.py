"""Which questions to put to raters: outputs in, requests out.

What is wanted of a node is counted by what is asked: a kind of feedback, such as `rating`, or a kind by a criterion,
such as `rating/accuracy`. One kind asks about the same outputs in the same order whatever the criterion.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from rrm.core.errors import ConfigError
from rrm.core.ids import generator
from rrm.core.place import Place
from rrm.core.values import KINDS, OVERALL, Comparison, Output, Request, Shown, View


def flattened(per_node: Mapping[str, int | Mapping[str, int]]) -> dict[str, int]:
    """Return how many questions are wanted by what is asked, from a table by kind whose entries may be by criterion.

    Raises ConfigError for a criterion without a name, and where nothing is asked as a whole, which is what trees are
    composed of.
    """
    wanted: dict[str, int] = {}
    for kind, count in per_node.items():
        for criterion, several in ({OVERALL: count} if isinstance(count, int) else count).items():
            if not criterion.strip():
                raise ConfigError(f"questions of the kind {kind!r} are asked by a criterion without a name")
            wanted[_asked(kind, criterion)] = several
    if wanted and all("/" in asked for asked in wanted):
        raise ConfigError(f"nothing is asked as a whole: add {OVERALL} = 1 beside {', '.join(wanted)}")
    return wanted


def asked_of(request: Request) -> str:
    """Return what a request asks, as it is counted."""
    return _asked(request.kind, request.criterion)


def _asked(kind: str, criterion: str) -> str:
    return kind if criterion == OVERALL else f"{kind}/{criterion}"


def parsed(asked: str) -> tuple[str, str]:
    """Return the kind and the criterion of what is asked."""
    kind, _, criterion = asked.partition("/")
    return kind, criterion or OVERALL


def select(
    node: str, source: str, place: Place, view: View, outputs: Sequence[Output], wanted: Mapping[str, int], seed: int
) -> list[Request]:
    """Return the requests about one node's outputs: `wanted` says how many of what is asked.

    Equal texts are asked about once and never compared. Comparisons show two outputs, rankings up
    to six, every other kind one; which ones, and in what order, is drawn at random, each question
    once before any is asked again of another rater (`Request.copy`). Raises ConfigError for an
    unknown kind.
    """
    requests: list[Request] = []
    for asked, count in wanted.items():
        kind, criterion = parsed(asked)
        questions = _shown(node, kind, outputs, seed)
        for number in range(count if questions else 0):
            copy, which = divmod(number, len(questions))
            shown = questions[which]
            requests.append(Request(node, source, place, kind, view, shown, copy=copy, criterion=criterion))
    return requests


def select_new(
    node: str,
    source: str,
    place: Place,
    view: View,
    outputs: Sequence[Output],
    wanted: Iterable[str],
    seed: int,
    asked: Iterable[Request] = (),
    unanswered: Collection[str] = (),
) -> dict[str, list[Request]]:
    """Return, by what is `wanted`, every question about one node's outputs that is still open, each once.

    `asked` are the questions put before, of which those `unanswered` (ids) got no answer. A question is closed
    once it has an answer: beside the same view, about the same texts in whatever order. Those that were never
    asked come first, among them those that show the fewest texts that were shown before, at random among equals;
    then those that got no answer, as new copies. Equal texts count as one, as in `select`. Raises ConfigError for
    an unknown kind.
    """
    before = [each for each in asked if each.node == node and each.view.id == view.id]
    times = Counter(_question(each) for each in before)
    closed = {_question(each) for each in before if each.id not in unanswered}
    seen = {shown.text for each in before for shown in each.shown}
    found: dict[str, list[Request]] = {}
    for each_asked in wanted:
        kind, criterion = parsed(each_asked)
        requests = [
            Request(node, source, place, kind, view, shown, criterion=criterion)
            for shown in _shown(node, kind, outputs, seed)
        ]
        open_ = [replace(each, copy=times[_question(each)]) for each in requests if _question(each) not in closed]
        found[each_asked] = sorted(open_, key=lambda each: (each.copy, sum(shown.text in seen for shown in each.shown)))
    return found


def _question(request: Request) -> tuple[str, frozenset[str]]:
    """Return what askings of one question about a node, beside one view, have in common."""
    return asked_of(request), frozenset(shown.text for shown in request.shown)


def _shown(node: str, kind: str, outputs: Sequence[Output], seed: int) -> list[tuple[Shown, ...]]:
    """Return what each different question of a kind shows, in random order; raise ConfigError for no kind.

    Comparisons in hindsight come in the order of the others, so that the same pairs are judged either way.
    """
    if kind not in KINDS:
        raise ConfigError(f"no kind of feedback called {kind!r}; there are {', '.join(KINDS)}")
    first = {output.text: output.id for output in reversed(outputs)}
    distinct = [Shown(output, text) for text, output in reversed(first.items())]
    drawn_as = Comparison.kind if issubclass(KINDS[kind], Comparison) else kind
    questions = _questions(kind, len(distinct), generator("select", seed, node, drawn_as))
    return [tuple(distinct[position] for position in positions) for positions in questions]


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
