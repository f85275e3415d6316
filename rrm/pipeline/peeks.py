"""Peeks: what outputs of roots claim, beside the words of the source that it comes to rest on.

Who rates above the leaves reads what parts say, and not the source. A share of raters' minutes goes to looks at single
claims there, drawn at random whatever is believed, so that they tell how often what raters could not see is wrong; some
may be chosen by what they are worth to the choice among a root's outputs, and tell nothing of that.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from rrm.compose.provenance import read_back
from rrm.core.asking import BY_VALUE, Asked, Claimed, Peeking
from rrm.core.claims import Chain, chains
from rrm.core.ids import content_id, generator
from rrm.core.place import Place
from rrm.core.roles import Train
from rrm.core.values import Label, Passage, Rated, Request, Shown, View
from rrm.feedback.budget import Allowance
from rrm.feedback.minutes import minutes, minutes_of_raters
from rrm.pipeline import stages
from rrm.pipeline.asking import Raters, put
from rrm.pipeline.forest import Tree
from rrm.pipeline.plan import carried_out
from rrm.pipeline.steps import Peek, Run, Step

QUESTION = "Is this right, by these passages of the source?"

SURE = (0.5, 0.8, 1.0)
"""Ways to the source are told apart by how sure they are: up to each of these."""

_MOST_TOKENS = 200
_PRIOR = 0.5  # looks that found a claim right, and as many that found one wrong, before any


def peek(run: Run) -> Step[Run]:
    """Have raters look at claims of training roots' outputs, for a share of all minutes so far; others stay unseen."""
    plan = run.plan
    if not plan.peeks or plan.models or run.visit.levels is not None:
        return run
    leading = {request.question: (chain_, request) for chain_, request in _leading(run)}
    found = {question: each for question, each in leading.items() if question not in run.peeked}
    if not found:
        why = (
            "every claim of a training root that leads to words of the source was looked at"
            if leading
            else "no claim of a training root leads to words of the source"
        )
        return run.noted(f"round {run.number + 1}: {why}, so there is nothing to peek at")
    before = [each.rated for each in run.peeks]
    minutes_left = _left(run, before)
    valued: set[str] = set()  # by `question`: a rater may have been shown it under another guideline
    if plan.peeks_random < 1:
        asked_for = yield from _chosen(run, list(found.values()), minutes_left)
        by_id = {request.id: request for _, request in found.values()}
        questions = [by_id[each.request] for each in asked_for]
        valued = {by_id[each.request].question for each in asked_for if each.stream == BY_VALUE}
    else:
        order = generator("peeks", plan.seed, run.number).permutation(len(found))
        questions = [list(found.values())[at][1] for at in order]
    place = Place(run.number, "claims", run.forest.height)
    raters = Raters(plan.rater, Train, plan.seed, plan.overlap, not plan.repeats, plan.rates, plan.sheet)
    answered = yield from put(place, questions, Allowance(minutes_left), raters, before)
    peeks = [Peek(found[row.request.question][0].score, row, row.request.question in valued) for row in answered.rows]
    return replace(
        run,
        peeks=(*run.peeks, *peeks),
        peeked=run.peeked | {each.question for each in answered.asked},
        state=run.state.failed(answered.results),
    )


def surety_class(surety: float) -> int:
    """Return which of the classes of `SURE` a way of this surety is of."""
    return bisect_left(SURE, min(surety, 1.0))


def _chosen(run: Run, leading: Sequence[tuple[Chain, Request]], minutes_left: float) -> Step[list[Asked]]:
    """Choose the looks that a round has, those drawn among them.

    A root's outputs are chosen among by what its model says now, which is taken to be in proportion to how much of what
    they claim is supported.
    """
    plan = run.plan
    support = yield from _support(run, {chain_.node for chain_, _ in leading})
    often = _often_right(run)

    def supported(chain_: Chain) -> float:
        known = support.get(chain_.output)
        return known[chain_.claim] if known else often[surety_class(chain_.score)]

    whole: dict[str, float] = defaultdict(float)
    for tree in peeked_trees(run):
        for chain_ in claims_of(run, tree):
            whole[chain_.output] += supported(chain_) if chain_.grounded else 0.0
    roots = list(dict.fromkeys(chain_.node for chain_, _ in leading))
    scores = [run.state.acceptance(node) for node in roots]
    places = {output.id: at for node in roots for at, output in enumerate(run.state.outputs[node])}
    claims = []
    for chain_, request in leading:
        root, output = roots.index(chain_.node), places[chain_.output]
        slope = float(scores[root][output]) / whole[chain_.output] if whole[chain_.output] else 0.0
        price = plan.overlap * minutes([request], plan.rates)
        claims.append(Claimed(request, price, root, output, supported(chain_), slope))
    place = Place(run.number, "claims", run.forest.height)
    peeking = Peeking(tuple(claims), tuple(scores), minutes_left, plan.peeks_random, place, plan.seed)
    done = yield from carried_out(stages.choose_looks(peeking))
    return list(next(iter(done.values())).values)


def _support(run: Run, nodes: Collection[str]) -> Step[Mapping[str, tuple[float, ...]]]:
    """Return how probably claims of roots' outputs are supported by the source's words, by output id.

    By the model of claims of the round before; nothing where there was none.
    """
    model = next((back.claims for back in run.informed.values() if back.claims is not None), None)
    if model is None:
        return {}
    known = {output.id: output for outputs in run.state.outputs.values() for output in outputs}
    known |= {output.id: output for output in run.state.answers.values()}
    sources, groups = {}, {}
    for node in sorted(nodes):
        source = run.forest.tree_of[node].source
        context = run.state.prompt_contexts[node]
        view = read_back(context.view, run.state.claims, known, run.forest.sources[source].text)
        if view is not None:
            sources[node] = source
            groups[node] = (replace(context, view=view), run.state.outputs[node])
    place = Place(run.number, "claims", run.forest.height)
    done = yield from carried_out(stages.support(place, sources, groups, model))
    return {each.output: each.support for found in done.values() for each in found.values}


def _often_right(run: Run) -> list[float]:
    """Return how often claims were found right by looks that were drawn, by how sure the way to the source is."""
    right, looked = [_PRIOR] * len(SURE), [2 * _PRIOR] * len(SURE)
    for each in run.peeks:
        if isinstance(each.rated.feedback.answer, Label) and not each.chosen:
            at = surety_class(each.surety)
            right[at] += each.rated.feedback.answer.good
            looked[at] += 1
    return [one / all_ for one, all_ in zip(right, looked, strict=True)]


def claims_of(run: Run, tree: Tree) -> Iterator[Chain]:
    """Yield all claims of the outputs of a tree's root, as far as they were traced."""
    known = {output.id: output for node in tree.graph for output in run.state.outputs.get(node, ())}
    known |= {output.id: output for output in run.state.answers.values()}
    text = run.forest.sources[tree.source].text
    for output in run.state.outputs.get(tree.graph.root, ()):
        if output.id in run.state.claims:
            yield from chains(output.id, run.state.claims, known, text)


def peeked_trees(run: Run) -> list[Tree]:
    """Return the training trees whose roots' raters do not see the source: those with parts, judged to the root."""
    return [
        tree
        for tree in run.forest.trees
        if not run.forest.is_target(tree) and tree.source not in run.forest.apart
        if tree.graph.root in run.state.read and tree.graph.children(tree.graph.root)
    ]


def _leading(run: Run) -> Iterator[tuple[Chain, Request]]:
    """Yield the claims that lead to the source, each once, with the question about it."""
    place, seen = Place(run.number, "claims", run.forest.height), set[str]()
    for tree in peeked_trees(run):
        for each in claims_of(run, tree):
            quotes = each.reaches()
            if not quotes:
                continue
            view = View(QUESTION, tuple(Passage(quote.text) for quote in quotes), _MOST_TOKENS)
            shown = (Shown(content_id("claim", tree.source, each.text), each.text),)
            request = Request(tree.graph.root, tree.source, place, Label.kind, view, shown)
            if request.question not in seen:
                seen.add(request.question)
                yield each, request


def _left(run: Run, before: Sequence[Rated]) -> float:
    """Return the minutes that may go to peeks now, so that with them they are their share of all."""
    plan = run.plan
    others = [rows for (role, _), rows in run.answered.items() if role == Train.name]
    spent = minutes_of_raters(chain.from_iterable(others), plan.rates)
    return max(0.0, plan.peeks / (1 - plan.peeks) * spent - minutes_of_raters(before, plan.rates))
