"""The questions of a round chosen by what they are worth: one step, in the place of those drawn level by level.

Questions about the outputs of all levels, as they stand from the round before, are open together; answers of one wave
decide what the next one asks. Then the round goes up level by level as any other, and fits what was said.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from math import fsum, inf
from typing import NamedTuple

from rrm.core.asking import Asked, Asking, Outlook, Question
from rrm.core.draws import LEAST
from rrm.core.place import Place
from rrm.core.roles import Train
from rrm.core.values import Correction, Fitted, Rated, Request, View
from rrm.feedback.budget import Allowance, Askable, by_view, drawn, fitting
from rrm.feedback.minutes import Counted, Currency, Tally, minutes, minutes_of_raters
from rrm.feedback.pace import Pace
from rrm.feedback.select import select_new
from rrm.pipeline import stages
from rrm.pipeline.forest import Tree
from rrm.pipeline.leaving import may_be_left, taken_by_persons
from rrm.pipeline.moves import Moved, about_targets, that_may_move
from rrm.pipeline.pacing import closeness, pace_of
from rrm.pipeline.plan import carried_out
from rrm.pipeline.steps import Decided, Run, Sampling, Step, fit, in_hindsight
from rrm.pipeline.written import is_written, judged

_log = logging.getLogger(__name__)

Believed = tuple[tuple[Fitted, tuple[Rated, ...]], ...]
"""The models of levels, lowest first, with the ratings to believe."""

_LEAST = 0.05
"""So small a share of a round's allowance is left for the next round, rather than chosen over once more."""


def ask(run: Run) -> Step[Run]:
    """Choose and put a round's questions, wave by wave; unchanged where they are drawn level by level."""
    sampling, reason = run.plan.sampling, _not_chosen(run)
    if sampling is None or run.plan.models or run.number == 0:  # nothing is believed before anything was said
        return run
    if reason is not None:
        return run.noted(reason)
    run = replace(run, chosen_in=run.number)
    pace = pace_of(run)
    run = yield from judged(run)
    run, questions = yield from _open(run)
    whole = left = _allowance(run, questions)
    wave = 0
    while True:
        enough = _share_left(left, whole) > _LEAST
        waves = max(1, sampling.waves - wave)
        asking = _asking(run, questions, left if enough else Allowance(0.0, 0), waves, wave, pace)
        asked, outlook = yield from _choose(run, asking, sampling, _believed(run), taken_by_persons(run))
        if outlook.refit and enough:
            run = yield from _fitted_anew(run, outlook)
            asked, outlook = yield from _choose(run, asking, sampling, _believed(run), taken_by_persons(run))
        if not outlook.told and asked:
            run = run.noted(
                f"round {run.number + 1}: {outlook.effective:.0f} of {outlook.draws} draws count, and {LEAST} must to"
                " tell what an answer gains: questions were chosen by how much of the differences between root outputs"
                " they leave open, and none was too little worth"
            )
        spent = _spent(run)
        run = replace(run, outlooks=(*run.outlooks, (spent, outlook)))
        found = {each.request.id: each.request for each in questions}
        order = [found[each.request] for each in asked]
        dear = {each.request.id for each in questions if each.leaves}
        put = fitting(order, _part(left, waves), run.plan.overlap, run.plan.rates, dear) if enough else []
        if not put:
            break
        why = {each.request: each for each in asked}
        run = yield from _put(replace(run, why={**run.why, **{each.question: why[each.id] for each in put}}), put)
        gone, done = {each.id for each in put}, taken_by_persons(run)
        questions = [each for each in questions if each.request.id not in gone and each.request.source not in done]
        left = _less(left, _spent(run) - spent, len(put))
        wave += 1
    if outlook.stopped:
        worth = f"no question is worth its minutes any more: the best bundle gains {outlook.gain:.2g} a minute"
        run = run.noted(f"round {run.number + 1}: {worth}")
    return run


def _fitted_anew(run: Run, outlook: Outlook) -> Step[Run]:
    """Fit the levels' models to all that was said, in the middle of a round: few draws have it as it was said."""
    _log.info("%.0f of %d draws count after what was said: models are fitted anew", outlook.effective, outlook.draws)
    for level in run.visit.levels_of(run.forest):
        run = yield from fit(run, Place(run.number, "answer", level), Train)
    return run


def _not_chosen(run: Run) -> str | None:
    """Say why a round's questions cannot be chosen, None where they can."""
    evenly = f"round {run.number + 1}: questions are drawn evenly, as"
    counting = [tree for tree in run.forest.trees if run.forest.is_target(tree) and _counts(run, tree)]
    if not any(tree.graph.root in run.state.predictions for tree in counting):
        return f"{evenly} no target that counts was judged to its root yet"
    if run.rounds and run.policies != run.rounds[-1].policies:
        return f"{evenly} policies are new and their outputs unknown"
    return None


def _open(run: Run) -> Step[tuple[Run, list[Question]]]:
    """Return every question about outputs as they stand that has no answer yet: of training nodes, and of targets'
    where these may be asked about, beside what is composed with; and targets' choices that may be left to a person.

    Of a node one text at a time is asked for of each kind that has one written.
    """
    plan, state = run.plan, run.state
    done = taken_by_persons(run)
    before: dict[str, list[Request]] = defaultdict(list)
    for (role, _), rounds in run.asked.items():
        for request in chain.from_iterable(rounds) if role == Train.name else ():
            before[request.node].append(request)
    found: list[Request] = []
    texts: dict[str, tuple[str, ...]] = {}
    for level in run.visit.levels_of(run.forest):
        place = Place(run.number, "answer", level)
        here: list[Request] = []
        for tree, node in run.visit.visited(run.forest, level, run.order):
            if node not in state.predictions or tree.source in run.forest.apart or tree.source in done:
                continue
            if not _may_ask_about(run, tree):
                continue
            about = (tree.source, place, _view(run, tree, node), state.outputs[node], plan.wanted(tree, node))
            by_kind = select_new(node, *about, plan.seed, before[node], run.unanswered)
            texts[node] = tuple(dict.fromkeys(output.text for output in state.outputs[node]))
            accepted = dict(zip((one.text for one in state.outputs[node]), state.acceptance(node), strict=True))
            here += chain.from_iterable(_offered(kind, some, accepted) for kind, some in by_kind.items())
        run, shown = yield from in_hindsight(run, place, here)
        found += shown
    counted = Counted(plan.rates.decisions_a_reading)
    priced = [_priced(request, counted.next(request), plan.rates, plan.overlap) for request in found]
    questions = [
        each._replace(
            of_target=each.request.source in run.forest.targets,
            others=texts[each.request.node] if is_written(each.request.kind) else (),
        )
        for each in priced
    ]
    if plan.sampling is not None and plan.sampling.leaves:
        choices = [_priced(each, counted.next(each), plan.rates, plan.overlap) for each in may_be_left(run)]
        questions += [each._replace(of_target=True, leaves=True) for each in choices]
    return run, questions


def _offered(kind: str, open_: Sequence[Request], accepted: Mapping[str, float]) -> Sequence[Request]:
    """Return the open questions of a kind that can be put now: one where a text is written.

    Of corrections that of the output which its model accepts most.
    """
    if not is_written(kind) or not open_:
        return open_
    if kind == Correction.kind:
        return [max(open_, key=lambda each: accepted[each.shown[0].text])]
    return open_[:1]


def _may_ask_about(run: Run, tree: Tree) -> bool:
    """Whether a tree's nodes may be asked about: a target's where that is allowed and it counts."""
    if not run.forest.is_target(tree):
        return True
    allowed = run.plan.sampling is not None and run.plan.sampling.targets
    return allowed and _counts(run, tree) and tree.graph.root in run.state.predictions


def _counts(run: Run, tree: Tree) -> bool:
    return run.plan.weights.get(tree.source, 1.0) > 0


def _view(run: Run, tree: Tree, node: str) -> View:
    """Return what a node's outputs are judged beside: of targets what is composed with, which reads back to the source.

    An answer beside another view would tell of the score by way of the models alone.
    """
    back = run.informed.get(node) if run.forest.is_target(tree) else None
    return run.state.view(node) if back is None else back.view


def _priced(request: Request, shown: Tally, rates: Currency, overlap: int) -> Question:
    reading, deciding = rates.cost(Tally(shown.views)), rates.cost(shown._replace(views=0))
    return Question(request, overlap * reading, overlap * deciding)


def _allowance(run: Run, questions: Sequence[Question]) -> Allowance:
    """Return what the round may ask: what is due of the run's budget, or what the evenly drawn questions would take."""
    plan = run.plan
    if plan.budget is None:
        state = run.state
        nodes = {each.request.node: each.request for each in questions if not each.leaves}
        at = {
            node: Askable(
                request.source,
                request.place,
                request.view,
                state.outputs[node],
                plan.wanted(run.forest.tree_of[node], node),
            )
            for node, request in nodes.items()
        }
        evenly = list(drawn([node for node in run.order if node in at], at, plan.seed))
        return Allowance(minutes=plan.overlap * minutes(evenly, plan.rates))
    due = plan.budget.share((run.number + 1) / len(plan.rounds), plan.overlap)
    if due.minutes is not None:
        return Allowance(minutes=max(0.0, due.minutes - _spent(run)))
    assert due.questions is not None
    return Allowance(questions=max(0, due.questions - _put_so_far(run)))


def _at_pace(run: Run, question: Question, pace: Pace) -> Question:
    """Return a question at the minutes that raters are expected to take, in the place of those that are counted."""
    request = question.request
    factor = pace.factor(request.kind, request.place.level, closeness(run, request))
    return question._replace(reading=factor * question.reading, deciding=factor * question.deciding)


def _asking(run: Run, counted: Sequence[Question], left: Allowance, waves: int, wave: int, pace: Pace) -> Asking:
    """Return what may be asked, at the raters' pace; what it may take in counted minutes is turned into theirs."""
    plan, now = run.plan, _part(left, waves)
    questions = [_at_pace(run, each, pace) for each in counted]
    some = [each for each in counted if not each.apart]
    slower = _sum_of(_at_pace(run, each, pace) for each in some) / _sum_of(some) if some else 1.0
    targets = [tree for tree in run.forest.trees if run.forest.is_target(tree)]
    levels = Counter(run.forest.level_of(tree, node) for tree in targets for node in tree.graph)
    rounds_left = len(plan.rounds) - run.number
    price = fsum(each.deciding + each.reading / plan.rates.decisions_a_reading for each in some)
    mean = price / len(some) if some else inf
    a_round = left.questions if left.minutes is None else int(left.minutes / mean)
    return Asking(
        questions=tuple(questions),
        targets=(),
        levels=dict(levels),
        place=Place(run.number, "answer", run.forest.height),
        wave=wave,
        minutes=inf if now.minutes is None else slower * now.minutes,
        many=now.questions,
        decisions_a_reading=plan.rates.decisions_a_reading,
        overlap=plan.overlap,
        drawn=len(run.at_random),
        expected=(a_round or 0) * rounds_left,
        seed=plan.seed,
        qualities=run.qualities,
    )


def _sum_of(questions: Iterable[Question]) -> float:
    return fsum(each.reading + each.deciding for each in questions)


class _Chosen(NamedTuple):
    asked: list[Asked]
    outlook: Outlook


def _choose(
    run: Run, asking: Asking, sampling: Sampling, believed: Believed, taken: Mapping[str, tuple[str, ...]]
) -> Step[_Chosen]:
    job = decision(run, asking, believed, taken)
    composer = run.learned.composer if run.learned else run.plan.composer
    done = yield from carried_out(stages.ask(job, sampling.sampler, composer))
    values = next(iter(done.values())).values
    [outlook] = [each for each in values if isinstance(each, Outlook)]
    return _Chosen([each for each in values if isinstance(each, Asked)], outlook)


def decision(
    run: Run, asking: Asking, believed: Believed = (), taken: Mapping[str, tuple[str, ...]] | None = None
) -> stages.AskJob:
    """Return what is asked for: the choice among root outputs of the targets that were judged to their roots.

    With `taken` persons made the choices of some.
    """
    trees = tuple(
        tree for tree in run.forest.trees if run.forest.is_target(tree) and tree.graph.root in run.state.predictions
    )
    views = {node: back.view for node, back in run.informed.items()}
    known = asking, believed, trees, run.state, run.anchored, run.learned, views, run.plan.weights
    return stages.AskJob(*known, taken or {})


def _believed(run: Run, moved: Moved = "belief", targets: bool = True) -> Believed:
    """Return the models of role train with those of their levels' answers that may move a belief, or the choice.

    Those about `targets` are among them or not; they are of what stands as it was asked about.
    """
    current = {node: run.state.view(node).id for node in run.state.prompt_contexts}
    of_targets = about_targets(run) if targets else {}
    asked = {row.request.node for rows in of_targets.values() for row in rows} & current.keys()
    beside = {node: _view(run, run.forest.tree_of[node], node).id for node in asked}
    found = []
    for (role, level), fitted in sorted(run.models.items(), key=lambda each: each[0][1]):
        if role == Train.name:
            rows = that_may_move(run, (*run.rated.get((role, level), ()), *of_targets.get(level, ())), moved)
            weighed = stages.with_weights(rows, current | beside, run.plan.stale_weight)
            found.append((replace(fitted, place=replace(fitted.place, level=level)), tuple(weighed)))
    return tuple(found)


def decide(run: Run) -> Step[Run]:
    """Choose among targets' root outputs by what is believed at the end, answers about targets among it.

    Beside that, what would be chosen without these answers. Unchanged where there are none: composed scores choose
    then. What persons took is in neither, and moves what is chosen of no other target.
    """
    sampling = run.plan.sampling
    if sampling is None or not about_targets(run):
        return run
    wave = len(run.outlooks)
    found = []
    for number, targets in enumerate((True, False)):
        asking = _asking(run, (), Allowance(0.0, 0), 1, wave + number, Pace())
        _, outlook = yield from _choose(run, asking, sampling, _believed(run, "choice", targets), {})
        found.append(outlook)
    told, without = found
    return replace(run, decided=Decided(told, without)).used(told.place, Train, "choose", len(told.best))


def _put(run: Run, requests: Sequence[Request]) -> Step[Run]:
    """Put questions of all levels to raters, who have them open together."""
    plan = run.plan
    place = Place(run.number, "answer", run.forest.height)
    wave = f"round {run.number + 1}, wave {len(run.outlooks)}"
    questions = by_view(requests)
    results = yield from carried_out(stages.rate(place, questions, Train, plan.rater, plan.seed, wave, plan.sheet))
    by_level: dict[int, list[Request]] = defaultdict(list)
    for request in questions:
        by_level[request.place.level].append(request)
    for level, some in by_level.items():
        key = (Train.name, level)
        rows = [row for request in some for row in results[request.id].values]
        run = replace(
            run,
            rated={**run.rated, key: (*run.rated.get(key, ()), *that_may_move(run, rows, "models"))},
            asked={**run.asked, key: (*run.asked.get(key, ()), tuple(some))},
            answered={**run.answered, key: (*run.answered.get(key, ()), *rows)},
        )
    unanswered = {request for request, done in results.items() if not done.values}
    return replace(run, unanswered=run.unanswered | unanswered, state=run.state.failed(results))


def _spent(run: Run) -> float:
    """Return the minutes of raters of role train so far, in all rounds."""
    rows = [rows for (role, _), rows in run.answered.items() if role == Train.name]
    return fsum(minutes_of_raters(each, run.plan.rates) for each in rows)


def _put_so_far(run: Run) -> int:
    return sum(len(each) for (role, _), rounds in run.asked.items() if role == Train.name for each in rounds)


def _part(left: Allowance, waves: int) -> Allowance:
    """Return what one of so many waves may take of what is left."""
    return Allowance(
        None if left.minutes is None else left.minutes / waves,
        None if left.questions is None else -(-left.questions // waves),
    )


def _less(left: Allowance, spent: float, questions: int) -> Allowance:
    return Allowance(
        None if left.minutes is None else max(0.0, left.minutes - spent),
        None if left.questions is None else max(0, left.questions - questions),
    )


def _share_left(left: Allowance, whole: Allowance) -> float:
    if left.minutes is not None:
        return left.minutes / whole.minutes if whole.minutes else 0.0
    return (left.questions or 0) / whole.questions if whole.questions else 0.0
