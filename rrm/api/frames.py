"""What a run's record holds, as data frames: one row a node, an output, a rating, a score or a call."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from rrm.api.recorded import Trees, grounded
from rrm.core.calls import Call
from rrm.core.errors import ConfigError
from rrm.core.place import Place
from rrm.core.values import Composed, Failure, Fitted, Output, Rated, Score, Scored
from rrm.store.record import Made, SqlStore

Row = dict[str, Any]

WHERE = ("round", "subject", "level", "source", "title", "role", "tree", "node")
"""Columns that all frames but that of the nodes begin with: rounds from 0, subject and level as a `Place` has them,
a source's id, title and role (train, select, target), the number of its tree, and the node's id."""

OUTPUTS = (*WHERE, "output", "text", "policy", "log_prob", "truncated", "inputs", "context")
RATINGS = (
    *(*WHERE, "judge", "kind", "criterion", "rater", "answer", "shown", "texts", "instruction"),
    *("confidence", "seconds", "guideline", "request", "feedback"),
)
SCORES = (*WHERE, "output", "scale", "criterion", "mean", "low", "high", "judge", "basis")
CALLS = tuple(each.name for each in fields(Call))
NODES = (
    *("source", "title", "role", "tree", "node", "level", "depth", "parents", "parts", "reads"),
    *("instruction", "start", "end", "max_tokens", "outputs", "failure"),
)


_KINDS = {
    **dict.fromkeys(("tree", "start", "end", "input_tokens", "output_tokens"), "Int64"),
    **dict.fromkeys(("log_prob", "confidence", "seconds", "cost"), "float64"),
}
"""The types of columns in which values may be missing, which pandas would otherwise guess from what is there."""


def frame(rows: Iterable[Row], columns: Sequence[str]) -> Any:
    """Return rows as a pandas data frame with these columns; raise ConfigError where pandas is not installed."""
    try:
        from pandas import DataFrame
    except ImportError as error:
        raise ConfigError("data frames need pandas, which is not installed: pip install 'rrm[frames]'") from error
    made = DataFrame(list(rows), columns=list(columns))
    return made.astype({name: kind for name, kind in _KINDS.items() if name in columns})


def node_rows(record: SqlStore, trees: Trees) -> list[Row]:
    """Return a row a node, tree by tree, a tree's root first."""
    counts: dict[str, int] = {}
    for output in record.load(Output):
        counts[output.node] = counts.get(output.node, 0) + 1
    failures = {failure.subject: failure.cause for failure in record.load(Failure)}
    return [
        {
            **_tree(trees, node),
            "node": node,
            "level": trees.level(node),
            "depth": tree.graph.depth(node),
            "parents": tree.graph.parents(node),
            "parts": tree.graph.children(node),
            "reads": tree.graph.reads(node),
            "instruction": task.instruction,
            "start": task.span.start if task.span else None,
            "end": task.span.end if task.span else None,
            "max_tokens": task.max_tokens,
            "outputs": counts.get(node, 0),
            "failure": failures.get(node) if node not in counts else None,
        }
        for tree in trees.every
        for node in tree.graph.in_order()
        if trees.of_node[node] is tree
        for task in [tree.graph.task(node)]
    ]


def call_rows(record: SqlStore) -> list[Row]:
    """Return a row a call of an assistant, in the order in which they ended."""
    return [asdict(call) for call in record.load(Call)]


def output_rows(record: SqlStore, trees: Trees) -> list[Row]:
    """Return a row an output, in the round that proposed it first."""
    places = _first(record.made(Output))
    return [
        {
            **_where(trees, places[output.id], output.node),
            "output": output.id,
            **{
                name: getattr(output, name) for name in ("text", "policy", "log_prob", "truncated", "inputs", "context")
            },
        }
        for output in record.load(Output)
        if output.id in places
    ]


def rating_rows(record: SqlStore, trees: Trees) -> list[Row]:
    """Return a row a rating: what was asked, beside what, and what the rater said.

    `judge` is the role of the rater (train or select). `answer` holds the fields of the answer, by name; `shown`
    are the outputs' ids and `texts` their texts, in the order in which they were shown.
    """
    made = {each.value: each for each in reversed(record.made(Rated))}
    spoken_for = grounded(record)
    rows = []
    for rated in record.load(Rated):
        if rated.id not in made:
            continue
        request, feedback = rated.request, spoken_for.get(rated.feedback.id, rated.feedback)
        rows.append(
            {
                **_where(trees, request.place, request.node, request.source),
                "judge": made[rated.id].step.partition("-")[2] or "train",
                "kind": request.kind,
                "criterion": feedback.criterion,
                "rater": feedback.rater,
                "answer": asdict(feedback.answer),
                "shown": tuple(each.output for each in request.shown),
                "texts": tuple(each.text for each in request.shown),
                "instruction": request.view.instruction,
                "confidence": feedback.confidence,
                "seconds": feedback.seconds,
                "guideline": request.guideline,
                "request": request.id,
                "feedback": feedback.id,
            }
        )
    return rows


def score_rows(record: SqlStore, trees: Trees) -> list[Row]:
    """Return a row an output, scale and criterion: own scores by each model that gave one, and composed ones.

    `scale` is "own" or "composed"; `mean`, `low` and `high` are the probability of acceptance and its central
    90 % over the ensemble. `judge` is the role of the model's ratings, `basis` the model's id, or for composed
    scores the id of the scores that they were made from.
    """
    node_of = {output.id: output.node for output in record.load(Output)}
    models = {fitted.id: fitted for fitted in record.load(Fitted)}
    rows = []
    for kind, scale in ((Scored, "own"), (Composed, "composed")):
        places = _first(record.made(kind))
        for score in record.load(kind):
            if score.id not in places or score.output not in node_of:
                continue
            basis = score.model if isinstance(score, Scored) else score.basis
            found = Score(np.array(score.acceptance))
            low, high = found.interval()
            node = node_of[score.output]
            place = places[score.id]
            rows.append(
                {
                    **_where(trees, _at_level(trees, place, node), node),
                    "output": score.output,
                    "scale": scale,
                    "criterion": score.criterion,
                    "mean": found.mean,
                    "low": low,
                    "high": high,
                    "judge": models[basis].role if basis in models else "train",
                    "basis": basis,
                }
            )
    return rows


def _first(made: Iterable[Made]) -> Mapping[str, Place]:
    """Return where each value was made first."""
    found: dict[str, Place] = {}
    for each in made:
        found.setdefault(each.value, each.place)
    return found


def _at_level(trees: Trees, place: Place, node: str) -> Place:
    """Return a node's own place: composed scores are made for a whole tree, at its root's."""
    if place.subject != "answer" or node not in trees.of_node:
        return place
    return Place(place.round, place.subject, trees.level(node))


def _where(trees: Trees, place: Place, node: str, source: str | None = None) -> Row:
    known = _tree(trees, node) if node in trees.of_node else _source(trees, source)
    return {"round": place.round, "subject": place.subject, "level": place.level, **known, "node": node}


def _tree(trees: Trees, node: str) -> Row:
    tree = trees.of_node[node]
    return {"source": tree.source.id, "title": tree.source.title, "role": tree.role, "tree": tree.number}


def _source(trees: Trees, source: str | None) -> Row:
    """Return what is known of a node that is no tree's, such as a whole source for the flat baseline."""
    found = next((tree for tree in trees.trees if tree.source.id == source), None)
    title, role = (found.source.title, found.role) if found else (None, None)
    return {"source": source, "title": title, "role": role, "tree": None}
