"""The flat baseline: one reward model on whole outputs, for the rater minutes that the levels had."""

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass

from rrm.core.place import Place
from rrm.core.protocols import PromptContext
from rrm.core.roles import Train
from rrm.core.task import Span
from rrm.core.values import OVERALL, Comparison, Fitted, Hindsight, Output, Passage, Prediction, Rated, Request, View
from rrm.feedback.budget import Allowance, Askable, drawn
from rrm.pipeline import stages
from rrm.pipeline.asking import Raters, put
from rrm.pipeline.forest import by_source, predictions
from rrm.pipeline.plan import AnyResults, AnyStage, carried_out
from rrm.pipeline.stages import FitJob
from rrm.pipeline.steps import Outcome, Wanted


@dataclass(frozen=True, eq=False, repr=False)  # asyncio writes out a task's result where it handles signals
class Flat:
    """The questions and ratings, the model, and each target root output's mean acceptance under it, by output id."""

    asked: tuple[Request, ...]
    rated: tuple[Rated, ...]
    model: Fitted
    scores: dict[str, float]


def flat_baseline(outcome: Outcome, allowance: Allowance | None = None) -> Generator[AnyStage, AnyResults, Flat | None]:
    """Rate root outputs against whole sources for as many minutes as the levels took together; fit; score.

    The raters are shown the whole source, which is what the recursion saves them. Returns None where there is
    nothing to learn from: no ratings of whole outputs, or models fitted earlier. An `allowance` takes the place
    of the levels' minutes.
    """
    run = outcome.run
    plan, forest = run.plan, run.forest
    place = Place(run.number, "whole", max(0, forest.height))
    roots = root_outputs(outcome)
    whole = {source: whole_context(outcome, source) for source in roots}
    if plan.models:
        return None
    once, who = not plan.repeats, (plan.rater, Train, plan.seed, plan.overlap)
    raters = Raters(*who, once=once, rates=plan.rates, sheet=plan.sheet, grounder=plan.grounder)
    questions = _questions(outcome, place, roots, whole)
    found = yield from put(place, questions, allowance or Allowance(outcome.minutes), raters)
    rated = (*plan.given_at(place, forest)[0], *found.rows)
    if not rated:
        return None
    fitted = yield from carried_out(stages.fit(FitJob(place, True, Train, rated, plan.seed), plan.learner))
    [model] = next(iter(fitted.values())).values
    nodes = {f"flat/{source}": source for source in roots if source in forest.targets}
    groups = {node: (whole[source], tuple(roots[source])) for node, source in nodes.items()}
    scored = yield from carried_out(stages.score(place, nodes, groups, model))
    scores: dict[str, float] = {}
    judged = predictions((groups[node][1], scored[node].values) for node in nodes)
    for node, prediction in zip(nodes, judged, strict=True):
        scores |= _means(groups[node][1], prediction)
    return Flat(tuple(found.asked), rated, model, scores)


def _means(outputs: tuple[Output, ...], prediction: Prediction) -> dict[str, float]:
    mean = prediction.acceptance[OVERALL].mean(axis=0)
    return {output.id: float(value) for output, value in zip(outputs, mean, strict=True)}


def _questions(
    outcome: Outcome, place: Place, roots: dict[str, list[Output]], whole: dict[str, PromptContext]
) -> list[Request]:
    """Return questions about the training sources' root outputs, each source by turns, as many as the levels had."""
    plan, forest = outcome.run.plan, outcome.forest
    sources = [source for source in roots if source not in forest.targets and source not in forest.apart]
    questions = outcome.questions
    if not sources or not any(questions):
        return []
    wanted = _beside_the_whole(plan.ratings)
    at = {
        f"flat/{source}": Askable(source, place, whole[source].view, tuple(roots[source]), wanted) for source in sources
    }
    visits = 1 + sum(map(len, questions)) // (len(sources) * max(1, sum(wanted.values())))
    return list(drawn(list(at) * visits, at, plan.seed, repeats=plan.repeats))


def _beside_the_whole(wanted: Wanted) -> Wanted:
    """Return what is asked where raters see the whole source: what came of outputs would tell them nothing more."""
    found: Counter[str] = Counter()
    for asked, many in wanted.items():
        kind, slash, criterion = asked.partition("/")
        found[f"{Comparison.kind if kind == Hindsight.kind else kind}{slash}{criterion}"] += many
    return dict(found)


def root_outputs(outcome: Outcome) -> dict[str, list[Output]]:
    """Return every source's root outputs, over all of its trees."""
    trees = by_source(outcome.forest.trees)
    outputs = outcome.state.outputs
    found = {source: [o for tree in grown for o in outputs.get(tree.graph.root, ())] for source, grown in trees.items()}
    return {source: roots for source, roots in found.items() if roots}


def whole_context(outcome: Outcome, source: str) -> PromptContext:
    """Return what is shown of a whole source, with its root task's instruction."""
    tree = by_source(outcome.forest.trees)[source][0]
    task = tree.graph.task(tree.graph.root)
    text = outcome.forest.sources[source].read(task.span or Span(0, 0))
    view = View(task.instruction, (Passage(text),) if text.strip() else (), task.max_tokens)
    return PromptContext(f"flat/{source}", task, view)
