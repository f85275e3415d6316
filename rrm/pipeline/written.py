"""What people wrote or edited: how it fared beside what stands there, and at targets' roots as another candidate."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
from scipy.special import logit

from rrm.core.place import Place
from rrm.core.roles import Train
from rrm.core.values import OVERALL, Correction, Demonstration, Output, Rated, Scored
from rrm.feedback.quality import qualities
from rrm.pipeline import stages
from rrm.pipeline.plan import carried_out
from rrm.pipeline.steps import Run, Step

_EDGE = 1e-3


def is_written(kind: str) -> bool:
    """Whether an answer of a kind is an output, written or edited, of which one is asked for at a node at a time."""
    return kind in (Demonstration.kind, Correction.kind)


def wants_candidates(run: Run) -> bool:
    """Whether what people write at a target's root becomes a candidate there."""
    sampling, plan = run.plan.sampling, run.plan
    kinds = {*plan.ratings, *(plan.root_ratings or {})}
    return sampling is not None and sampling.targets and not plan.models and any(map(is_written, kinds))


def judged(run: Run) -> Step[Run]:
    """Have the levels' models score what people wrote, by members that never saw the source, and learn from it.

    Of what stands as it was written beside: whose node has its view and model still.
    """
    if not wants_candidates(run):
        return run
    rows = [row for row in _answers(run) if _stands(run, row)]
    run, found = yield from _outputs(run, rows)
    by_level: dict[int, dict[str, list[Output]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.feedback.id in found:
            by_level[row.request.place.level][row.request.node].append(found[row.feedback.id])
    accepted: dict[str, float] = {}
    for level, written in sorted(by_level.items()):
        place, model = Place(run.number, "answer", level), run.models[Train.name, level]
        groups = {
            f"written/{node}": (run.state.prompt_contexts[node], tuple(outputs)) for node, outputs in written.items()
        }
        sources = {f"written/{node}": run.forest.tree_of[node].source for node in written}
        scored = yield from carried_out(stages.score(place, sources, groups, model))
        accepted |= {each.output: _mean(each) for done in scored.values() for each in done.values if _overall(each)}
    fared: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        output = found.get(row.feedback.id)
        if output is not None and output.id in accepted:
            better = float(_logit(accepted[output.id])) - _beside(run, row)
            fared[row.request.kind][row.feedback.rater].append(better)
    raters = {row.feedback.rater for row in chain.from_iterable(_own_answers(run))}
    return replace(run, qualities=qualities(fared, raters))


def take_in(run: Run, place: Place) -> Step[Run]:
    """Put what people wrote at targets' roots beside the outputs there: further candidates, judged as any other."""
    if place.level != run.forest.height or not wants_candidates(run):
        return run
    roots = {tree.graph.root for tree in run.forest.trees if run.forest.is_target(tree)}
    texts = {node: {output.text for output in run.state.outputs[node]} for node in roots & run.state.outputs.keys()}
    rows = []
    for row in _answers(run):
        node, text = row.request.node, _text(row)
        if node in texts and text not in texts[node]:
            texts[node].add(text)
            rows.append(row)
    run, found = yield from _outputs(run, rows)
    more: dict[str, list[Output]] = defaultdict(list)
    for row in rows:
        if row.feedback.id in found:
            more[row.request.node].append(found[row.feedback.id])
    if not more:
        return run
    contexts = {node: run.state.prompt_contexts[node] for node in more}
    outputs = {node: (*run.state.outputs[node], *some) for node, some in more.items()}
    return replace(run, state=run.state.proposed(contexts, outputs))


def candidates(run: Run) -> dict[str, str]:
    """Return the root outputs of targets that people wrote, by id, with the kind of answer that each was."""
    kinds = {(row.request.node, _text(row)): row.request.kind for row in _answers(run)}
    roots = [tree.graph.root for tree in run.forest.trees if run.forest.is_target(tree)]
    return {
        output.id: kinds[root, output.text]
        for root in roots
        for output in run.state.outputs.get(root, ())
        if output.policy.startswith(stages.WRITTEN_BY) and (root, output.text) in kinds
    }


def _answers(run: Run) -> Iterator[Rated]:
    """Yield what raters of role train wrote, by the overall criterion; blanks are no texts."""
    for row in chain.from_iterable(_own_answers(run)):
        if row.request.criterion == OVERALL and is_written(row.feedback.answer.kind) and _text(row).strip():
            yield row


def _own_answers(run: Run) -> Iterator[Sequence[Rated]]:
    """Yield the answers of raters of role train to the run's own questions, level by level."""
    return (rows for (role, _), rows in sorted(run.answered.items()) if role == Train.name)


def _text(row: Rated) -> str:
    answer = row.feedback.answer
    assert isinstance(answer, Demonstration | Correction)
    return answer.text


def _stands(run: Run, row: Rated) -> bool:
    node, state = row.request.node, run.state
    known = node in state.predictions and (Train.name, row.request.place.level) in run.models
    return known and row.request.view.id == state.view(node).id


def _outputs(run: Run, rows: list[Rated]) -> Step[tuple[Run, Mapping[str, Output]]]:
    """Return what was written as outputs, by its feedback."""
    found: dict[str, Output] = {}
    by_level: dict[int, list[Rated]] = defaultdict(list)
    for row in rows:
        by_level[row.request.place.level].append(row)
    for level, some in sorted(by_level.items()):
        done = yield from carried_out(stages.write(Place(run.number, "answer", level), some))
        found |= {slot: each.values[0] for slot, each in done.items() if each.values}
        run = run.failed(done)
    return run, found


def _beside(run: Run, row: Rated) -> float:
    """Return what a text stands beside, in logits: the output that was edited, or else the mean of all there."""
    outputs, accepted = run.state.outputs[row.request.node], run.state.acceptance(row.request.node)
    logits = _logit(accepted)
    edited = [at for at, output in enumerate(outputs) if row.request.shown and output.text == row.request.shown[0].text]
    at = edited if row.request.kind == Correction.kind and edited else range(len(outputs))
    return float(np.mean([logits[one] for one in at]))


def _overall(scored: Scored) -> bool:
    return scored.criterion == OVERALL


def _mean(scored: Scored) -> float:
    return float(np.mean(scored.acceptance))


def _logit(accepted: np.ndarray | float) -> np.ndarray:
    return np.asarray(logit(np.clip(accepted, _EDGE, 1 - _EDGE)))
