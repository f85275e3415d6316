"""What a report says of questions that a sampler chose, and the rows that it may take figures from."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from math import fsum

import numpy as np

from rrm.api.deciding import Known, alternatives
from rrm.api.fared import fared, fits, raters
from rrm.core.asking import AT_RANDOM, BY_VALUE, LEFT, Alternatives, Asking, Outlook
from rrm.core.place import Place
from rrm.core.protocols import Composer, KnownRater
from rrm.core.report import (
    AskedChoice,
    AskedLeft,
    AskedMinutes,
    AskedTargets,
    AskedWave,
    AskedWritten,
    AskingReport,
)
from rrm.core.roles import Train
from rrm.core.values import Rated
from rrm.evaluate.held_out import Predicted
from rrm.feedback.pace import Timed
from rrm.pipeline.chosen import decision
from rrm.pipeline.forest import Tree, by_source, compose_unanchored
from rrm.pipeline.leaving import accepted_at_roots, taken_by_persons
from rrm.pipeline.moves import ABOUT_TARGETS, about_targets, stream_of, that_may_move
from rrm.pipeline.pacing import timed
from rrm.pipeline.reporting import told_of
from rrm.pipeline.stages import AskJob
from rrm.pipeline.steps import Decided, Outcome, Run
from rrm.pipeline.written import candidates

LEAST_AT_RANDOM = 200
"""So many questions drawn at random are wanted, or a tenth of all where that is more."""


def not_chosen(outcome: Outcome, rated: Sequence[Rated]) -> list[Rated]:
    """Return the ratings of questions that were drawn, not chosen: accuracy, calibration and agreement are of these.

    What is asked because much is open there is harder than what occurs.
    """
    return list(that_may_move(outcome.run, rated, "figures"))


def asking_report(
    outcome: Outcome, honest: int, rater: object, composer: Composer, predicted: Sequence[Predicted] = ()
) -> AskingReport | None:
    """Return what asking by value did, None where questions were drawn; accuracies are told of `honest` rows.

    `rater` answered, and `composer` composes the run's scores: where the former is a simulation what unlimited answers
    about targets would choose is told, too. `predicted` are all answers that models held out, chosen ones among them.
    """
    run = outcome.run
    if not run.outlooks:
        return None
    waves = [
        AskedWave(each.place.round, minutes, each.expected, each.gain, each.hour, _had(each, outcome.gold))
        for minutes, each in run.outlooks
    ]
    streams, put = _streams(outcome)
    sampling = run.plan.sampling
    job, known = _known(run, rater, composer) if sampling and (sampling.targets or sampling.leaves) else (None, ())
    return AskingReport(
        waves=tuple(waves),
        by_value=streams[BY_VALUE],
        at_random=streams[AT_RANDOM],
        evenly=put - streams.total(),
        honest=honest,
        stopped=run.outlooks[-1][1].stopped,
        minutes=_minutes(run),
        streams=tuple(fared(run)),
        targets=_of_targets(outcome, job, known) if job and sampling and sampling.targets else None,
        left=_left(outcome, job, known) if job and sampling and sampling.leaves else None,
        written=tuple(_written(outcome)),
        fits=fits(run, predicted),
        raters=tuple(raters(run, predicted)),
    )


def _had(outlook: Outlook, of: Mapping[str, float]) -> float | None:
    """Return the mean of what is known `of` root outputs (ids) over those that would be had, None unless of all."""
    if not outlook.best or not of.keys() >= set(outlook.best):
        return None
    counts = outlook.weights or None  # a sampler that says nothing of weights has targets count the same
    return float(np.average([of[id_] for id_ in outlook.best], weights=counts))


def _of_targets(outcome: Outcome, job: AskJob, known: Sequence[Alternatives]) -> AskedTargets:
    """Return what came of questions about targets, where these were allowed: without what persons took.

    Where policies would be improved nothing is chosen of any target, and there is nothing to compare.
    """
    run = outcome.run
    put = [each for requests in outcome.questions for each in requests if stream_of(run, each) == ABOUT_TARGETS]
    answers = sum(map(len, about_targets(run).values()))
    if run.decided is None:
        return AskedTargets(len(put), answers, len(by_source(job.trees)), 0, ())
    told, without = run.decided
    accepted = _accepted(known)
    choices = [
        AskedChoice("without", without.expected, _had(without, accepted), _had(without, outcome.gold)),
        AskedChoice("with", told.expected, _had(told, accepted), _had(told, outcome.gold)),
    ]
    texts = [
        {output.id: output.text for tree in trees for output in run.state.outputs[tree.graph.root]}
        for trees in by_source(job.trees).values()
    ]
    two = [(run.decided.chosen(each), Decided(without, without).chosen(each)) for each in texts]
    chosen = [pair for pair in two if None not in pair]
    if known and chosen:
        whole = fsum(each.weight for each in known)
        best = tuple(each.outputs[int(each.scores.argmax())] for each in known)
        unlimited = replace(told, best=best, weights=tuple(each.weight / whole for each in known))
        choices.append(AskedChoice("unlimited", None, _had(unlimited, accepted), _had(unlimited, outcome.gold)))
    changed = sum(one != other for one, other in chosen)
    return AskedTargets(len(put), answers, len(chosen), changed, tuple(choices))


def _left(outcome: Outcome, job: AskJob, known: Sequence[Alternatives]) -> tuple[AskedLeft, ...]:
    """Return what came of choices that were left to a person, where some could be, beside what would stand else."""
    run = outcome.run
    accepted, taken = _accepted(known), taken_by_persons(run)
    whole = fsum(run.plan.weights.get(source, 1.0) for source in by_source(job.trees))
    found = {}
    for request in (each for requests in outcome.questions for each in requests if stream_of(run, each) == LEFT):
        source, why = request.source, run.why[request.question]
        trees = [tree for tree in job.trees if tree.source == source]
        roots = [output for tree in trees for output in run.state.outputs[tree.graph.root]]
        own = next((each for each in roots if each.text in taken.get(source, ())[:1]), None)
        instead = told_of(outcome, trees, {}) or _best(outcome, trees)
        other = next((each for each in roots if each.text == instead), None)
        pair = None if own is None or other is None else (own.id, other.id)
        gain = why.value * why.minutes * whole / run.plan.weights.get(source, 1.0)
        found[source] = AskedLeft(
            run.forest.sources[source].title,
            gain,
            why.minutes,
            taken=own is not None,
            changed=own is not None and other is not None and own.text != other.text,
            accepted=_both(pair, accepted),
            gold=_both(pair, outcome.gold),
        )
    return tuple(found.values())


def _written(outcome: Outcome) -> Iterator[AskedWritten]:
    """Yield what came of texts that people wrote, where those at targets' roots become candidates."""
    run, taken = outcome.run, candidates(outcome.run)
    had = _delivered(outcome)
    roots = [tree.graph.root for tree in run.forest.trees if run.forest.is_target(tree)]
    for kind, quality in sorted(run.qualities.items()):
        own = {id_ for id_, of in taken.items() if of == kind}
        there = [{output.id for output in run.state.outputs.get(root, ())} for root in roots]
        others = {id_ for ids in there if own & ids for id_ in ids - taken.keys()}
        known = bool(own and others) and outcome.gold.keys() >= own | others
        gold = (_mean(outcome.gold, own), _mean(outcome.gold, others)) if known else None
        known_of = quality.texts, quality.mean, quality.sd
        yield AskedWritten(kind, *known_of, len(own), len(own & had), gold, quality.writers)


def _mean(of: Mapping[str, float], some: Collection[str]) -> float:
    return fsum(of[each] for each in some) / len(some)


def _delivered(outcome: Outcome) -> set[str]:
    """Return the root outputs (ids) whose text stands as chosen of their target."""
    run, found = outcome.run, set()
    taken = taken_by_persons(run)
    judged = [t for t in run.forest.trees if run.forest.is_target(t) and t.graph.root in run.state.predictions]
    for trees in by_source(judged).values():
        text = told_of(outcome, trees, taken) or _best(outcome, trees)
        found |= {each.id for tree in trees for each in run.state.outputs[tree.graph.root] if each.text == text}
    return found


def _best(outcome: Outcome, trees: Sequence[Tree]) -> str | None:
    """Return the text of a target's root output of the highest composed score."""
    scores = accepted_at_roots(
        outcome.state if outcome.run.anchored else compose_unanchored(outcome.state, trees), trees
    )
    return max(scores, key=lambda text: scores[text], default=None)


def _both(pair: tuple[str, str] | None, of: Mapping[str, float]) -> tuple[float, float] | None:
    """Return what is known of both outputs, None unless of both."""
    return None if pair is None or not of.keys() >= set(pair) else (of[pair[0]], of[pair[1]])


def _known(run: Run, rater: object, composer: Composer) -> tuple[AskJob, tuple[Alternatives, ...]]:
    """Return what is decided at the end, and as a simulation's raters would accept it: nothing of other raters."""
    job = decision(run, Asking((), (), {}, Place(run.number, "answer", run.forest.height)))
    return job, alternatives(Known(rater), job, composer) if isinstance(rater, KnownRater) else ()


def _accepted(known: Sequence[Alternatives]) -> dict[str, float]:
    return {id_: score for each in known for id_, score in zip(each.outputs, each.scores.tolist(), strict=True)}


def _minutes(run: Run) -> tuple[AskedMinutes, ...]:
    """Return minutes predicted beside those paid, of chosen questions whose answers were all timed and predicted."""
    answers: dict[str, list[Timed]] = defaultdict(list)
    for of, row in timed(run):
        answers[row.request.question].append(of)
    given = Counter(
        row.request.question for (role, _), rows in run.answered.items() if role == Train.name for row in rows
    )
    chosen = [
        each
        for (role, _), rounds in run.asked.items()
        if role == Train.name
        for each in chain.from_iterable(rounds)
        if each.question in run.why and run.why[each.question].minutes > 0
    ]
    found = []
    for kind, level in sorted({(each.kind, each.place.level) for each in chosen}):
        put = [each for each in chosen if (each.kind, each.place.level) == (kind, level)]
        whole = [each.question for each in put if 0 < given[each.question] == len(answers[each.question])]
        took = [of for question in whole for of in answers[question]]
        skipped = sum(each.id in run.unanswered for each in put)
        if took or skipped:
            predicted = fsum(run.why[question].minutes for question in whole)
            paid = fsum(of.took for of in took)
            counted = fsum(of.counted for of in took)
            found.append(AskedMinutes(kind, level, len(whole), predicted, counted, paid, skipped))
    return tuple(found)


def too_few_at_random(outcome: Outcome) -> Iterator[str]:
    """Say that fewer questions were drawn at random beside the chosen than are wanted, and why."""
    if not outcome.run.outlooks:
        return
    streams, put = _streams(outcome)
    wanted = max(LEAST_AT_RANDOM, -(-put // 10))
    if streams[AT_RANDOM] < wanted:
        yield (
            f"{streams[AT_RANDOM]} questions were drawn at random beside the chosen ones, where {wanted} are wanted:"
            " the budget is small, and no more than a share of it goes there; accuracies count the evenly drawn, too"
        )


def _streams(outcome: Outcome) -> tuple[Counter[str], int]:
    """Return how many questions were put of each stream, and in all."""
    run = outcome.run
    put = sum(len(each) for (role, _), asked in run.asked.items() if role == Train.name for each in asked)
    return Counter(each.stream for each in run.why.values()), put
