"""The flat baseline: one reward model on whole outputs, at the rater budget that the levels had."""

from collections.abc import Generator
from dataclasses import dataclass

from rrm.core.task import Span
from rrm.core.values import Fitted, Output, Passage, Rated, Scored, View
from rrm.feedback.select import select
from rrm.pipeline import stages
from rrm.pipeline.forest import by_source
from rrm.pipeline.plan import Stage
from rrm.pipeline.recursion import Outcome, Recursion, Results, joined

FLAT = -1
"""The flat model's place among the levels: it belongs to none."""


@dataclass(frozen=True, eq=False)
class Flat:
    """The ratings, the model, and each target root output's score under it, by output id."""

    rated: tuple[Rated, ...]
    model: Fitted
    scores: dict[str, Scored]


def flat_baseline(run: Recursion, outcome: Outcome) -> Generator[Stage, Results, Flat | None]:
    """Rate root outputs against whole sources, as often as the levels were rated together; fit; score.

    The raters are shown the whole source, which is what the recursion saves them. Returns None
    where there is nothing to learn from: no ratings of whole outputs, or models fitted earlier.
    """
    roots = _roots(outcome)
    whole = {source: _whole(outcome, source) for source in roots}
    rated = (
        []
        if run.models
        else [
            *run.given_at(outcome.forest.height, outcome.forest.height),
            *(yield from _rated(run, outcome, roots, whole)),
        ]
    )
    if not rated:
        return None
    results = yield stages.fit(FLAT, rated, None, run.reward, run.seed)
    model: Fitted = next(iter(results.values()))[0]
    nodes = {f"flat/{source}": source for source in roots if source in outcome.forest.targets}
    scored = yield stages.score_nodes(
        "score",
        FLAT,
        nodes,
        {node: whole[source] for node, source in nodes.items()},
        {node: roots[source] for node, source in nodes.items()},
        model,
    )
    scores = {each.output: each for values in scored.values() for each in values if isinstance(each, Scored)}
    return Flat(tuple(rated), model, scores)


def _rated(
    run: Recursion, outcome: Outcome, roots: dict[str, list[Output]], whole: dict[str, View]
) -> Generator[Stage, Results, list[Rated]]:
    """Have the training sources' root outputs rated, in all as often as the levels' outputs were."""
    sources = [source for source in roots if source not in outcome.forest.targets]
    if not sources:
        return []
    budget = sum(len(level.rated) for level in outcome.levels)
    share = -(-budget // len(sources))
    wanted = {kind: -(-share * times // sum(run.ratings.values())) for kind, times in run.ratings.items()}
    asked = [
        request
        for source in sources
        for request in select(f"flat/{source}", source, FLAT, whole[source], roots[source], wanted, run.seed)
    ][:budget]
    return joined(asked, (yield stages.rate(FLAT, asked, run.rater, run.seed)))


def _roots(outcome: Outcome) -> dict[str, list[Output]]:
    """Return every source's root outputs, over all of its trees."""
    trees = by_source(outcome.forest.trees)
    outputs = outcome.standing.outputs
    found = {source: [o for tree in grown for o in outputs.get(tree.graph.root, ())] for source, grown in trees.items()}
    return {source: roots for source, roots in found.items() if roots}


def _whole(outcome: Outcome, source: str) -> View:
    """Return the view of a whole source, with its root task's instruction."""
    tree = by_source(outcome.forest.trees)[source][0]
    task = tree.graph.task(tree.graph.root)
    text = outcome.forest.sources[source].read(task.span or Span(0, 0))
    return View(task.instruction, (Passage(text),), task.max_tokens)
