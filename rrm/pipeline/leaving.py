"""Leaving a target's choice to a person, who reads the whole source and takes one of its root outputs."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from math import inf

from rrm.core.asking import LEFT
from rrm.core.ids import generator
from rrm.core.place import Place
from rrm.core.roles import Train
from rrm.core.values import OVERALL, Passage, Ranking, Request, Shown, View
from rrm.pipeline.forest import State, Tree, by_source
from rrm.pipeline.moves import stream_of
from rrm.pipeline.steps import Run

MOST = Ranking.shows[1]
"""As many root outputs as a person is left to choose among: those that are accepted most, as composed."""

LEFT_TO_YOU = """\
This choice is left to you. Read the whole source, and put first the output that you would hand over: it is delivered, \
whatever anybody else said of it. How you order the others, if at all, changes nothing. They were written for this task:

{task}"""
"""What a person is told who chooses: a root's own task may speak of parts' summaries, and here stands the source."""


def taken_by_persons(run: Run) -> dict[str, tuple[str, ...]]:
    """Return by target the texts that a person was left to choose among, first the one that they took.

    As far as they still stand at a root; nothing where what was taken does not. Of several who chose, what most of them
    put first was taken; among equals what is accepted most, as composed.
    """
    chosen: dict[str, Counter[str]] = defaultdict(Counter)
    for (role, _), rows in run.answered.items():
        for row in rows if role == Train.name else ():
            answer, request = row.feedback.answer, row.request
            if isinstance(answer, Ranking) and stream_of(run, request) == LEFT:
                first = {request.shown[at].text for at in answer.groups[0]}
                chosen[request.source].update({each.text: each.text in first for each in request.shown})
    found = {}
    for source, trees in _targets(run).items():
        accepted = accepted_at_roots(run.state, trees)
        standing = {text: times for text, times in chosen[source].items() if text in accepted}
        order = sorted(standing, key=lambda text: (-standing[text], -accepted[text], text))
        if order and standing[order[0]] and standing[order[0]] == max(chosen[source].values()):
            found[source] = tuple(order)
    return found


def may_be_left(run: Run) -> Iterator[Request]:
    """Yield the choices that can be left to a person, one a target with different root outputs, those left apart.

    A person chooses once among the same outputs: only who skipped that is asked again, in another round.
    """
    before: dict[str, list[Request]] = defaultdict(list)
    for (role, _), rounds in run.asked.items():
        for request in chain.from_iterable(rounds) if role == Train.name else ():
            if stream_of(run, request) == LEFT:
                before[request.source].append(request)
    done = taken_by_persons(run)
    for source, trees in _targets(run).items():
        accepted = accepted_at_roots(run.state, trees)
        if source in done or len(accepted) < 2 or run.plan.weights.get(source, 1.0) <= 0:
            continue
        best = sorted(accepted, key=lambda text: (-accepted[text], text))[:MOST]
        order = generator("left", run.plan.seed, source).permutation(len(best))
        texts = [best[at] for at in order]
        earlier = [each for each in before[source] if {shown.text for shown in each.shown} == set(texts)]
        if all(each.id in run.unanswered for each in earlier):
            yield _request(run, trees[0], _shown(run, trees, texts), len(earlier))


def _targets(run: Run) -> dict[str, list[Tree]]:
    """Return the trees of every target, as far as they were judged to the root."""
    return by_source(
        tree for tree in run.forest.trees if run.forest.is_target(tree) and tree.graph.root in run.state.predictions
    )


def accepted_at_roots(state: State, trees: Sequence[Tree]) -> dict[str, float]:
    """Return how probably each different root output of a target is accepted, as composed or else by its model."""
    found: dict[str, float] = {}
    for tree in trees:
        root = tree.graph.root
        said = state.composed.get(root, state.predictions[root])
        for output, score in zip(state.outputs[root], said.acceptance[OVERALL].mean(axis=0).tolist(), strict=True):
            found[output.text] = max(score, found.get(output.text, -inf))
    return found


def _shown(run: Run, trees: Sequence[Tree], texts: Sequence[str]) -> tuple[Shown, ...]:
    ids = {each.text: each.id for tree in reversed(trees) for each in reversed(run.state.outputs[tree.graph.root])}
    return tuple(Shown(ids[text], text) for text in texts)


def _request(run: Run, tree: Tree, shown: tuple[Shown, ...], copy: int) -> Request:
    task = tree.graph.task(tree.graph.root)
    told = LEFT_TO_YOU.format(task=task.instruction)
    view = View(told, (Passage(run.forest.sources[tree.source].text),), task.max_tokens)
    place = Place(run.number, "answer", run.forest.height)
    return Request(tree.graph.root, tree.source, place, Ranking.kind, view, shown, copy=copy)
