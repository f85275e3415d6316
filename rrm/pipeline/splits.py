"""Decompositions in the loop: trees of a source are drawn, compared, a reward model of trees fitted, and learned from.

They are outputs at a place of their own (round, `split`, level): an outline is what is shown, scored and recorded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rrm.core.ids import content_id, seed_for
from rrm.core.place import Place
from rrm.core.roles import Train
from rrm.core.splits import split_node, split_view
from rrm.core.task import Source
from rrm.core.values import Fitted, Improvement, Output, Rated
from rrm.feedback.budget import Askable, drawn
from rrm.feedback.minutes import minutes_of_raters
from rrm.pipeline.plan import Action, Done, Stage, carried_out
from rrm.pipeline.stages import FitJob, RateJob
from rrm.pipeline.steps import Run, Splits, Splitting, Step


@dataclass(frozen=True, eq=False)
class DrawJob:
    """Draw so many trees of a source, with the run's decomposer or what was made of it."""

    source: Source
    n: int
    seed: int
    decomposer: Improvement | None = None


@dataclass(frozen=True, eq=False)
class ImproveSplitsJob:
    """Improve the decomposer against the model of trees; it starts from `start`, and is anchored to the run's own."""

    place: Place
    sources: tuple[Source, ...] = field(repr=False)
    model: Fitted
    start: Improvement | None
    kl_budget: float
    seed: int


def learn(run: Run, plan: Splitting) -> Step[Run]:
    """Have trees of the training sources judged, and improve the decomposer against the model of what was said."""
    place = Place(run.number, "split", max(0, run.forest.height))
    run, outputs = yield from _drawn(run, plan, place)
    run = yield from _rated(run, plan, place, outputs)
    if not run.splits.rated:
        return run.noted("no decomposition was rated, so the decomposer learned nothing")
    run = yield from _fitted(run, plan, place)
    return (yield from _improved(run, plan, place))


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
    asked = {each.id: each for each in drawn(list(at), at, run.plan.seed, asked=run.splits.asked)}

    def make(slot: str, _: Mapping[str, Done[RateJob, Rated]]) -> Action[RateJob]:
        job = RateJob(asked[slot], Train, seed_for(run.plan.seed, slot))
        return Action(content_id("action", "rate-splits", slot, plan.rater, job.seed), "rate-splits", slot, place, job)

    answers = yield from carried_out(Stage("rate-splits", place, tuple(asked), make))
    rows = [row for done in answers.values() for row in done.values]
    took = f"{len(asked)} questions about decompositions took raters {minutes_of_raters(rows):.1f} minutes"
    splits = replace(run.splits, asked=(*run.splits.asked, *asked.values()), rated=(*run.splits.rated, *rows))
    return replace(run, splits=splits).failed(answers).noted(f"{place.words(True)}: {took}, counted in no total")


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


def _improved(run: Run, plan: Splitting, place: Place) -> Step[Run]:
    model, start = run.splits.model, run.splits.decomposer
    assert model is not None
    sources = tuple(_sources(run).values())
    seed = seed_for(run.plan.seed, "improve-splits", run.number)
    job = ImproveSplitsJob(place, sources, model, start, plan.kl_budget, seed)
    names = start.policy if start else run.plan.decomposer, run.plan.decomposer
    about = [source.id for source in sources], model.digest, names, plan.optimiser, plan.kl_budget, seed

    def make(slot: str, _: Mapping[str, Done[ImproveSplitsJob, Improvement]]) -> Action[ImproveSplitsJob]:
        return Action(content_id("action", "improve-splits", *about), "improve-splits", slot, place, job)

    done = yield from carried_out(Stage("improve-splits", place, ("decomposer",), make))
    [improvement] = done["decomposer"].values
    told = (
        f"the decomposer went {improvement.kl:.2f} nats a cut ({improvement.how}) from the run's, of {plan.kl_budget:g}"
    )
    run = replace(run, splits=Splits(improvement, run.splits.asked, run.splits.rated, model))
    return run.used(place, Train, "improve", len(sources)).noted(f"{place.words(True)}: {told}")
