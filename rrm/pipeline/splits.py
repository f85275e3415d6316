"""Decompositions in the loop: trees of a source are drawn, compared, a reward model of trees fitted, and learned from.

They are outputs at a place of their own (round, `split`, level): an outline is what is shown, scored and recorded.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from rrm.core.graph import TaskGraph
from rrm.core.ids import content_id, seed_for
from rrm.core.place import Place
from rrm.core.protocols import TreeOutcome
from rrm.core.roles import Train
from rrm.core.splits import split_node, split_view
from rrm.core.task import Source, Span
from rrm.core.values import OVERALL, Fitted, Improvement, Output, Rated
from rrm.evaluate.ceilings import agreement_among_raters
from rrm.feedback.budget import Allowance, Askable, drawn
from rrm.feedback.minutes import minutes_of_raters
from rrm.pipeline.asking import Raters, put
from rrm.pipeline.forest import by_source
from rrm.pipeline.plan import Action, Done, Stage, carried_out
from rrm.pipeline.stages import FitJob
from rrm.pipeline.steps import Run, Splitting, Step


@dataclass(frozen=True, eq=False)
class DrawJob:
    """Draw so many trees of a source, with the run's decomposer or what was made of it."""

    source: Source
    n: int
    seed: int
    decomposer: Improvement | None = None


@dataclass(frozen=True, eq=False)
class ImproveSplitsJob:
    """Improve the decomposer against a model of trees, or by outcomes; `start` is where it starts from."""

    place: Place
    sources: tuple[Source, ...] = field(repr=False)
    evidence: Fitted | tuple[TreeOutcome, ...] = field(repr=False)
    start: Improvement | None
    kl_budget: float
    seed: int


def learn(run: Run, plan: Splitting) -> Step[Run]:
    """Improve the decomposer by what came of the round's trees, or against a model of what was said of trees."""
    place = Place(run.number, "split", max(0, run.forest.height))
    if plan.rater is None:
        if outcomes := outcomes_of(run):
            return (yield from _improved(run, plan, place, outcomes))
        return run.noted("no training source had two trees that differ, so the decomposer learned nothing")
    run, outputs = yield from _drawn(run, plan, place)
    run = yield from _rated(run, plan, place, outputs)
    if not run.splits.rated:
        return run.noted("no decomposition was rated, so the decomposer learned nothing")
    run = yield from _fitted(run, plan, place)
    assert run.splits.model is not None
    return (yield from _improved(run, plan, place, run.splits.model))


def _sources(run: Run) -> dict[str, Source]:
    return {split_node(source): source for source, _ in run.plan.train if source.id not in run.forest.apart}


def _drawn(run: Run, plan: Splitting, place: Place) -> Step[tuple[Run, Mapping[str, tuple[Output, ...]]]]:
    improved = run.splits.decomposer
    name = improved.policy if improved else run.plan.decomposer
    jobs = {
        node: DrawJob(source, plan.candidates, seed_for(run.plan.seed, "draw", source.id, run.number), improved)
        for node, source in _sources(run).items()
    }

    def make(node: str, _: Mapping[str, Done[DrawJob, Output]]) -> Action[DrawJob]:
        job = jobs[node]
        return Action(content_id("action", "draw", node, name, job.n, job.seed), "draw", node, place, job)

    done = yield from carried_out(Stage("draw", place, tuple(jobs), make))
    return run.failed(done), {node: each.values for node, each in done.items() if each.values}


def _rated(run: Run, plan: Splitting, place: Place, outputs: Mapping[str, tuple[Output, ...]]) -> Step[Run]:
    """Put questions about each source's trees that differ; those of equal outlines are one."""
    sources, at = _sources(run), {}
    for node, each in outputs.items():
        different = tuple({output.text: output for output in each}.values())
        if len(different) > 1 or "comparison" not in plan.ratings:
            at[node] = Askable(sources[node].id, place, split_view(sources[node]), different, plan.ratings)
    same = len(outputs) - len(at)
    if same:
        run = run.noted(
            f"{place.words(True)}: {same} of {len(outputs)} sources had equal trees alone, nothing to compare"
        )
    questions = list(drawn(list(at), at, run.plan.seed, asked=run.splits.asked, repeats=plan.repeats))
    assert plan.rater is not None
    raters = Raters(plan.rater, Train, run.plan.seed, once=not plan.repeats, rates=plan.rates)
    found = yield from put(place, questions, Allowance(), raters)
    splits = replace(run.splits, asked=(*run.splits.asked, *found.asked), rated=(*run.splits.rated, *found.rows))
    return replace(run, splits=splits).failed(found.results)


def _fitted(run: Run, plan: Splitting, place: Place) -> Step[Run]:
    rated = run.splits.rated
    job = FitJob(place, False, Train, rated, run.plan.seed, before=run.splits.model)
    before = run.splits.model.digest if run.splits.model else None
    about = [each.feedback.id for each in rated], before, plan.learner, job.seed

    def make(slot: str, _: Mapping[str, Done[FitJob, Fitted]]) -> Action[FitJob]:
        return Action(content_id("action", "fit-splits", *about), "fit-splits", slot, place, job)

    done = yield from carried_out(Stage("fit-splits", place, ("splits",), make))
    [model] = done["splits"].values
    run = replace(run, splits=replace(run.splits, model=model))
    return run.used(place, Train, "fit", len(rated))


def outcomes_of(run: Run) -> tuple[TreeOutcome, ...]:
    """Return what came of the training sources' trees in a round, of sources that were cut in two ways or more."""
    rows: dict[str, list[Rated]] = defaultdict(list)
    for row in run.answered.get((Train.name, 0), ()):
        rows[row.request.node].append(row)
    sources = _sources(run).values()
    grown = by_source(tree for tree in run.forest.trees if tree.graph.root in run.state.composed)
    found = []
    for source in sources:
        trees = grown.get(source.id, [])
        if len({_cuts(tree.graph) for tree in trees}) > 1:
            found += [_outcome(run, source, tree.graph, rows) for tree in trees]
    return tuple(found)


def _cuts(graph: TaskGraph) -> frozenset[tuple[int, Span | None]]:
    return frozenset((graph.depth(node), graph.task(node).span) for node in graph)


def _outcome(run: Run, source: Source, graph: TaskGraph, rows: Mapping[str, Sequence[Rated]]) -> TreeOutcome:
    root = float(run.state.composed[graph.root].acceptance[OVERALL].mean(axis=0).max())
    rated = [rows[leaf] for leaf in graph.leaves if leaf in rows]
    here = [row for each in rated for row in each]
    minutes = minutes_of_raters(here, run.plan.rates) / len(rated) if rated else None
    return TreeOutcome(source, graph, root, agreement_among_raters(here, least=2), minutes)


def _improved(run: Run, plan: Splitting, place: Place, evidence: Fitted | tuple[TreeOutcome, ...]) -> Step[Run]:
    start = run.splits.decomposer
    sources = tuple(_sources(run).values())
    seed = seed_for(run.plan.seed, "improve-splits", run.number)
    job = ImproveSplitsJob(place, sources, evidence, start, plan.kl_budget, seed)
    names = start.policy if start else run.plan.decomposer, run.plan.decomposer
    from_ = (
        evidence.digest
        if isinstance(evidence, Fitted)
        else [[each.graph.root, each.root, each.agreement, each.minutes] for each in evidence]
    )
    about = [source.id for source in sources], from_, names, plan.optimiser, plan.kl_budget, seed

    def make(slot: str, _: Mapping[str, Done[ImproveSplitsJob, Improvement]]) -> Action[ImproveSplitsJob]:
        return Action(content_id("action", "improve-splits", *about), "improve-splits", slot, place, job)

    done = yield from carried_out(Stage("improve-splits", place, ("decomposer",), make))
    [improvement] = done["decomposer"].values
    told = (
        f"the decomposer went {improvement.kl:.2f} nats a cut ({improvement.how}) from the run's, of {plan.kl_budget:g}"
    )
    run = replace(run, splits=replace(run.splits, decomposer=improvement))
    return run.used(place, Train, "improve", len(sources)).noted(f"{place.words(True)}: {told}")
