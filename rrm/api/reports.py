"""From a finished run to its report: the levels evaluated, the targets' scores, the rounds, gold where it is known."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from rrm.api.asked import asking_report, not_chosen, too_few_at_random
from rrm.api.calls import call_notes, calls_reports
from rrm.api.diversity import with_diversity
from rrm.api.fared import elsewhere, misleading
from rrm.api.hindsight import hindsight_report
from rrm.api.ledger import Proposers, by_node, understatements, with_ledger
from rrm.api.look import PAGE, REPORT
from rrm.api.marked import marks_report
from rrm.api.peeked import peeks_report
from rrm.api.people import rates_of
from rrm.api.reach import reaches_gold
from rrm.api.wiring import Parts
from rrm.api.worker import RunWorker
from rrm.compose.blame import node_blame, subtree_blame, with_blame
from rrm.core.asking import LEFT
from rrm.core.claims import Chain
from rrm.core.errors import PluginError
from rrm.core.ids import generator
from rrm.core.protocols import ClaimScores, Composer, GoldSet, KnownRater, PromptContext, RewardModel
from rrm.core.report import (
    Candidate,
    Cost,
    CriterionScore,
    Interval,
    LevelReport,
    Nats,
    Report,
    RoundReport,
    SplitsReport,
    StageCost,
    TargetReport,
    Use,
)
from rrm.core.roles import Select, reporting
from rrm.core.values import OVERALL, Fitted, Label, Output, Rated, Request, Score, Shown
from rrm.evaluate.choosing import choosing
from rrm.evaluate.criteria import by_criterion
from rrm.evaluate.doubts import beaten, one_sided
from rrm.evaluate.held_out import Predicted, held_out
from rrm.evaluate.levels import Estimated, HeldOut, level_report
from rrm.evaluate.roots import with_gold
from rrm.evaluate.splits import splits_report
from rrm.feedback.minutes import PUBLISHED, RATES, Currency, minutes_of_raters, tally
from rrm.pipeline.flat import Flat, root_outputs, whole_context
from rrm.pipeline.moves import about_targets
from rrm.pipeline.reporting import made_of_parts, round_reports, target_reports
from rrm.pipeline.steps import Outcome
from rrm.report.html import write_report, write_whole
from rrm.report.record import report_to_json
from rrm.reward.criteria import ByCriterion, CriteriaModel
from rrm.reward.model import LevelModel

MOST_INTERVALS = 200
"""Outputs per level, evenly spaced over all, on which coverage is measured where the truth is known."""


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """A run that has ended, with the parts that can say more about it."""

    parts: Parts
    worker: RunWorker
    outcome: Outcome
    flat: Flat | None
    seconds: float

    @property
    def composer(self) -> Composer:
        """The run's composer, or the one that was learned in the last round."""
        return self.worker.composer(self.outcome.run.learned)


def build_report(finished: FinishedRun) -> Report:
    """Evaluate a finished run."""
    parts, outcome = finished.parts, finished.outcome
    forest, state = outcome.forest, outcome.state
    levels = tuple(_level(finished, level.place.level, level.rated, level.model) for level in outcome.levels)
    flat = (
        _level(finished, finished.flat.model.place.level, finished.flat.rated, finished.flat.model)
        if finished.flat
        else None
    )
    rated = [row for level in outcome.levels for row in level.rated]
    cost, proposers = _cost(finished), _proposers(finished)
    pressure = by_node(outcome, proposers)
    targets = tuple(
        _with_pressure(_with_gold(finished, _with_support(finished, _with_blame(finished, target))), pressure)
        for target in target_reports(outcome, finished.composer)
    )
    asked = _answers_predicted(finished) if outcome.run.outlooks else []
    asking = asking_report(outcome, sum(level.n_test for level in levels), parts.rater, finished.composer, asked)
    return Report(
        name=parts.run.name,
        train_sources=len(parts.train) or len({row.request.source for row in rated}),
        target_sources=len(parts.target),
        nodes_per_level=tuple(len(forest.level(level)) for level in range(forest.height + 1)),
        outputs=_outputs(outcome),
        ratings=len(rated),
        composer=finished.composer.name,
        levels=levels,
        flat=flat,
        targets=targets,
        cost=cost,
        seconds=finished.seconds,
        anchored=outcome.run.anchored,
        failures=tuple(f"{each.step} {each.subject}: {each.cause}" for each in state.failures),
        warnings=(
            *_warnings(outcome, levels),
            *_nothing_held_out(finished),
            *understatements(outcome, finished.worker),
            *_within_reach(parts),
            *too_few_at_random(outcome),
            *misleading(asking),
            *call_notes(cost.by_asker),
        ),
        notes=parts.notes,
        settings=parts.run.to_json(),
        rounds=_rounds(finished, proposers),
        uses=_uses(outcome),
        choosing=choosing(made_of_parts(outcome), parts.run.seed),
        asking=asking,
        peeks=peeks_report(outcome.run, targets, cost.peeks.minutes if cost.peeks else 0.0),
        hindsight=hindsight_report(outcome.run),
        marks=marks_report(outcome.run),
        splits=_splits(finished),
    )


def _outputs(outcome: Outcome) -> int:
    """Return how many outputs were proposed in all rounds; what stood unchanged in the next round counts once."""
    states = (*(each.state for each in outcome.run.rounds), outcome.state)
    proposed = {(node, tuple(each.id for each in found)) for state in states for node, found in state.outputs.items()}
    return sum(len(ids) for _, ids in proposed)


def save_report(report: Report, directory: Path) -> None:
    """Write report.json and report.html, each whole or not at all."""
    write_whole(directory / REPORT, report_to_json(report))
    write_report(report, directory / PAGE)


def _level(finished: FinishedRun, level: int, rated: Sequence[Rated], fitted: Fitted) -> LevelReport:
    model = finished.worker.models.load(fitted)
    honest = not_chosen(finished.outcome, rated)
    predicted = held_out(honest, model)
    rows = [HeldOut(row.probability, row.rated) for row in predicted if row.kind == "comparison"]
    rater: object = finished.parts.rater
    truth = rater if isinstance(rater, KnownRater) else None
    shared = level > 0 and not fitted.ratings
    folds = {row.request.source: fold for row in rated if (fold := model.fold(row.request.source)) is not None}
    found = level_report(
        level,
        rows,
        len(rated) or fitted.ratings,
        rated,
        folds,
        _ceiling(rater),
        finished.parts.run.seed,
        estimated=_estimated(finished, level, fitted, model, rated, truth) if truth and model.anchored else (),
        shared_head=shared,
        own=_own(model, shared),
    )
    criteria = by_criterion(predicted, finished.parts.run.seed)
    return replace(found, subject=fitted.place.subject, criteria=criteria)


def _answers_predicted(finished: FinishedRun) -> list[Predicted]:
    """Return every answer of the levels, chosen or drawn, as models predict it that never saw its source."""
    models = finished.worker.models
    return [row for each in finished.outcome.levels for row in held_out(each.rated, models.load(each.model))]


def _splits(finished: FinishedRun) -> SplitsReport | None:
    """Evaluate the last reward model of decompositions, None where there is none."""
    splits = finished.outcome.run.splits
    if splits.model is None:
        return None
    predicted = held_out(splits.rated, finished.worker.models.load(splits.model))
    rows = [HeldOut(row.probability, row.rated) for row in predicted if row.kind == "comparison"]
    return splits_report(rows, len(splits.rated), _ceiling(finished.parts.split_rater), finished.parts.run.seed)


def _ceiling(rater: object) -> Callable[[Request], float] | None:
    """Return how likely a rater was to choose the first output shown, where it is a simulation that knows it."""
    return (lambda request: float(rater.probability(request)[0])) if isinstance(rater, KnownRater) else None


def _own(model: RewardModel, shared: bool) -> float | None:
    """Return the share of own ratings in what a model says, where it says so."""
    if isinstance(model, CriteriaModel):
        return _own(model.models[OVERALL], shared)
    if shared:
        return 0.0
    return model.shrinkage.own if isinstance(model, LevelModel) and model.shrinkage else None


def _estimated(
    finished: FinishedRun, level: int, fitted: Fitted, model: RewardModel, rated: Sequence[Rated], truth: KnownRater
) -> list[Estimated]:
    """Return the intervals of a level's target outputs beside the truth, where raters gave labels at the level.

    No target was fitted on, so all members score it: the intervals are those that the report shows. Without a target
    they are those of training sources, by the members that never saw each.
    """
    if not any(isinstance(row.feedback.answer, Label) for row in rated):
        return []
    asked = target_labels(finished.outcome, level, fitted) or labels(rated)
    return estimated(model, asked, truth, finished.parts.run.seed)


def target_labels(outcome: Outcome, level: int, fitted: Fitted) -> list[Request]:
    """Return a label's question about each target output that a level's model judged, with the view it judged by."""
    forest, state, place = outcome.forest, outcome.state, replace(fitted.place, level=level)
    found: list[tuple[str, PromptContext, Sequence[Output]]] = []
    if place.subject == "whole":
        found += [(source, whole_context(outcome, source), each) for source, each in root_outputs(outcome).items()]
    else:
        here = [(tree.source, node) for tree, node in forest.level(level) if node in state.predictions]
        found += [(source, state.prompt_contexts[node], state.outputs[node]) for source, node in here]
    return [
        Request(context.node, source, place, "label", context.view, (Shown(output.id, output.text),))
        for source, context, outputs in found
        if source in forest.targets
        for output in outputs
    ]


def labels(rated: Sequence[Rated]) -> list[Request]:
    """Return the questions that were answered by labels, each once."""
    return list({row.request.id: row.request for row in rated if isinstance(row.feedback.answer, Label)}.values())


def estimated(model: RewardModel, asked: Sequence[Request], truth: KnownRater, seed: int) -> list[Estimated]:
    """Return the intervals of held-out outputs beside the probability with which the simulation accepts them.

    Of all that are asked about, `MOST_INTERVALS` at most, evenly spaced.
    """
    known = [each for each in asked if model.holds_out(each.source)]
    requests = [known[at] for at in evenly(len(known), MOST_INTERVALS, seed)]
    found = model.predict([request.group for request in requests])
    intervals = [Interval(*Score(said.acceptance[OVERALL][:, 0]).interval()) for said in found]
    return [
        Estimated(each, float(truth.probability(request)[0]), request.source)
        for each, request in zip(intervals, requests, strict=True)
    ]


def evenly(n: int, most: int, seed: int) -> list[int]:
    """Return at most so many places of n, in order, evenly spaced from a drawn start, each as likely as any other."""
    if n <= most:
        return list(range(n))
    start = float(generator("evenly", seed).random())
    return [int((start + each) * n / most) for each in range(most)]


_READS_SOURCE = "the root reads the source itself, so there is nothing to read back: the score is the output's own"
_LEADS_NOWHERE = "nothing that the root was shown leads to the source: the score is the output's own"
_COMPARED = "raters only compared outputs, and without labels or ratings the score is no probability"
_NO_CLAIM = "no sentence of the chosen output leads to the source"
"""Why blame by claim is not told, where the composer reads back."""


def _with_blame(finished: FinishedRun, target: TargetReport) -> TargetReport:
    """Return a target with blame by claim, where the composer reads back to the source, or with why there is none."""
    if not finished.composer.reads_back or target.chosen is None or target.chosen_tree is None:
        return target
    tree = target.trees[target.chosen_tree]
    back = finished.outcome.run.informed.get(tree.root)
    told = replace(target, beside_source=back is not None)
    if back is None:
        reads = not finished.outcome.forest.tree_of[tree.root].graph.children(tree.root)
        return replace(told, no_blame=_READS_SOURCE if reads else _LEADS_NOWHERE)
    if not finished.outcome.run.anchored:
        return replace(told, no_blame=_COMPARED)
    if target.least is not None:
        least = _blamed(finished, target, target.least.tree, target.least.candidate.text, target.least.claims)
        told = replace(told, least=replace(target.least, claims=least))
    if not any(claim.grounded for claim in target.claims):
        return replace(told, no_blame=_NO_CLAIM)
    claims = _blamed(finished, target, target.chosen_tree, target.chosen.text, target.claims)
    graph = finished.outcome.forest.tree_of[tree.root].graph
    own = node_blame(claims, graph)
    whole = subtree_blame(own, graph)
    nodes = tuple(replace(each, blame=own[each.id], subtree_blame=whole[each.id]) for each in tree.nodes)
    trees = (*target.trees[: target.chosen_tree], replace(tree, nodes=nodes), *target.trees[target.chosen_tree + 1 :])
    return replace(told, trees=trees, claims=claims)


def _blamed(
    finished: FinishedRun, target: TargetReport, tree: int, text: str, claims: tuple[Chain, ...]
) -> tuple[Chain, ...]:
    """Return the claims of an output of a tree's root with their blame, unchanged where the root is not read back."""
    back = finished.outcome.run.informed.get(target.trees[tree].root)
    if back is None:
        return claims

    def scores(texts: Sequence[str]) -> np.ndarray:
        [said] = finished.worker.models.read_back(target.source, [(back, tuple(texts))])
        return np.asarray(said.acceptance[OVERALL].mean(axis=0))

    return with_blame(text, claims, scores)


def _with_support(finished: FinishedRun, target: TargetReport) -> TargetReport:
    """Return a target with what the model of claims says of its outputs, where the run has such a model."""
    if target.chosen is None or target.chosen_tree is None:
        return target
    said, least = _said(finished, target, target.chosen_tree, target.chosen), target.least
    if least is not None and (of_least := _said(finished, target, least.tree, least.candidate)):
        target = replace(target, least=replace(least, claims=_supported(least.claims, of_least)))
    if said is None:
        return target
    known = [
        CriterionScore(name, score.mean, Interval(*score.interval()))
        for name, score in (("accuracy", said.accuracy), ("coverage", said.coverage))
    ]
    order = CriterionScore("coherence", said.coherence, Interval(said.coherence, said.coherence))
    return replace(target, claims=_supported(target.claims, said), parts=(*known, order))


def _said(finished: FinishedRun, target: TargetReport, tree: int, output: Candidate) -> ClaimScores | None:
    """Return what the model of claims says of an output of a tree's root, None without such a model."""
    back = finished.outcome.run.informed.get(target.trees[tree].root)
    return finished.worker.models.claim_scores(target.source, back, output.text) if back is not None else None


def _supported(claims: Sequence[Chain], said: ClaimScores) -> tuple[Chain, ...]:
    return tuple(replace(claim, support=said.support[claim.claim]) for claim in claims)


def _with_gold(finished: FinishedRun, target: TargetReport) -> TargetReport:
    gold = finished.parts.gold
    if gold is None:
        return target
    with reporting():
        return _judged(finished, target, gold)


def _judged(finished: FinishedRun, target: TargetReport, gold: GoldSet) -> TargetReport:
    if gold.gold(target.source, None, "") is None:
        return target

    def truth(text: str) -> float:
        value = gold.gold(target.source, None, text)
        if value is None:
            raise PluginError(f"{gold.name} knows the truth about some answers to a whole task and not about others")
        return value

    flat = finished.flat.scores if finished.flat else {}
    judged = with_gold(target, truth, flat, finished.parts.run.seed)
    return replace(judged, gold_by=gold.name)


def _cost(finished: FinishedRun) -> Cost:
    spent, count = finished.parts.budget.spent, finished.parts.tokenizer.count
    rates = rates_of(finished.parts.run.rater)
    levels = tuple(_stage_cost(level.place.level, level.rated, count, rates) for level in finished.outcome.levels)
    flat = _stage_cost(finished.flat.model.place.level, finished.flat.rated, count, rates) if finished.flat else None
    rated = [row for (role, _), rows in finished.outcome.run.rated.items() if role == Select.name for row in rows]
    select = _stage_cost(finished.outcome.forest.height, rated, count, RATES) if rated else None
    run = finished.outcome.run
    splits = None
    if run.plan.splits is not None and run.splits.rated:
        splits = _stage_cost(finished.outcome.forest.height, run.splits.rated, count, run.plan.splits.rates)
    looked = [each.rated for each in run.peeks]
    peeks = _stage_cost(finished.outcome.forest.height, looked, count, rates) if looked else None
    said = [row for rows in about_targets(run, LEFT).values() for row in rows]
    targets = _stage_cost(finished.outcome.forest.height, said, count, rates) if said else None
    calls = calls_reports(finished.parts.store.call_counts() if finished.parts.store else ())
    return Cost(spent.calls, spent.tokens, levels, flat, select, splits, peeks, targets, calls)


def _stage_cost(level: int, rated: Sequence[Rated], count: Callable[[str], int], rates: Currency) -> StageCost:
    """Say what raters were shown, each time that it was shown, and the minutes that it takes."""
    shown = tally((row.request for row in rated), decisions_a_reading=1, size=cache(count))
    minutes, published = minutes_of_raters(rated, rates), minutes_of_raters(rated, PUBLISHED)
    return StageCost(level, len(rated), shown.views + shown.outputs, minutes, published)


def _rounds(finished: FinishedRun, proposers: Proposers) -> tuple[RoundReport, ...]:
    """Return the rounds' reports with what optimising cost, and what became of calibration and diversity."""
    outcome = finished.outcome
    policies = {name: policy for name, (_, policy) in proposers.improved.items()}
    told = with_ledger(outcome, round_reports(outcome, policies, proposers.first), proposers)
    return with_diversity(outcome, told, proposers, finished.worker)


def _proposers(finished: FinishedRun) -> Proposers:
    run = finished.outcome.run
    improved = {each.policy: (each, finished.worker.policy(each)) for each in (*run.plan.policies, *run.improvements)}
    return Proposers(finished.parts.policy, improved)


def _with_pressure(target: TargetReport, pressure: Mapping[str, Nats]) -> TargetReport:
    """Return a target whose nodes say what optimising came to there."""
    trees = tuple(
        replace(tree, nodes=tuple(replace(node, pressure=pressure.get(node.id)) for node in tree.nodes))
        for tree in target.trees
    )
    return replace(target, trees=trees)


def _uses(outcome: Outcome) -> tuple[Use, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    for use in outcome.run.uses:
        counts[use.role, use.purpose] += use.outputs
    return tuple(Use(role, purpose, outputs) for (role, purpose), outputs in counts.items())


def _warnings(outcome: Outcome, levels: Sequence[LevelReport]) -> Iterable[str]:
    yield from outcome.run.notes
    if levels and not outcome.run.anchored:
        yield "no labels or ratings anchor the rewards: scores compare an output with others for the same task"
    sources = {row.request.source for level in outcome.levels for row in level.rated}
    if len(sources) == 1:
        yield "there is one training source: what is told of held-out sources needs two or more training sources"
    if outcome.run.choices and len(outcome.forest.apart) == 1:
        yield (
            "the judge of role select chose policies on the one source that it was fitted to: it needs two sources held"
            " apart, of four or more training sources"
        )
    yield from beaten(levels, outcome.forest.height)
    others = elsewhere(outcome.run)  # often the chosen one first
    rows = [row for rated in outcome.run.rated.values() for row in rated if row.feedback.id not in others]
    yield from one_sided(rows)
    yield from _closed_early(outcome)
    for level in outcome.levels:
        nodes = [node for _, node in outcome.forest.level(level.place.level) if node in outcome.state.outputs]
        texts = [[output.text for output in outcome.state.outputs[node]] for node in nodes]
        if any(len(each) > 1 for each in texts) and all(len(set(each)) == 1 for each in texts):
            yield f"level {level.place.level}: all outputs of each node are equal, so nothing can be compared"


def _nothing_held_out(finished: FinishedRun) -> Iterator[str]:
    """Name the levels whose models have seen all that could tell how good they are."""
    levels = [level for level in finished.outcome.levels if level.rated]
    sources = {level.place.level: {row.request.source for row in level.rated} for level in levels}
    if len(set().union(*sources.values())) < 2:
        return  # which is told of the run as a whole
    models = {level.place.level: finished.worker.models.load(level.model) for level in levels}
    seen = [level for level, model in models.items() if not any(map(model.holds_out, sources[level]))]
    if not seen:
        return
    what = f"level{'s' * (len(seen) > 1)} {', '.join(map(str, seen))}"
    why = (
        "ratings of two sources or more at the lowest level are needed"
        if len(sources[min(sources)]) == 1
        else "a learner that holds none out can be wrapped in rrm.reward.cross_fit:CrossFitted"
    )
    yield f"{what}: models were fitted on every source that was rated, so no accuracy on held-out ones is known: {why}"


def _within_reach(parts: Parts) -> Iterator[str]:
    """Name every part that learns from scores or ratings, and whose module could ask the final judge itself."""
    learner = parts.learner.learner if isinstance(parts.learner, ByCriterion) else parts.learner
    learning: dict[str, object] = {"reward": learner}
    if parts.run.improve is not None:
        learning["improve"] = parts.optimiser
    for where, part in learning.items():
        if found := reaches_gold(part):
            yield (
                f"[{where}] the module {type(part).__module__} has {', '.join(found)}, which knows the truth: what is "
                "learned could be learned from the final judge. Put them into modules of their own"
            )


def _closed_early(outcome: Outcome) -> Iterable[str]:
    """Say how many nodes a limit or refused proposals closed, with the reason of the last refusal."""
    refusals = [
        tree.graph.refused(node)[-1]
        for tree in outcome.forest.trees
        for node in tree.graph
        if tree.graph.refused(node) and "closed as it stands" in tree.graph.note(node)
    ]
    if refusals:
        nodes = "1 node was" if len(refusals) == 1 else f"{len(refusals)} nodes were"
        yield f"{nodes} closed as they stood, after refused proposals, such as: {refusals[0]}"
