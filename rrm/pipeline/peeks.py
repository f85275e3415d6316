"""Peeks: what outputs of roots claim, beside the words of the source that it comes to rest on.

Who rates above the leaves reads what parts say, and not the source. A share of raters' minutes goes to looks at single
claims there, drawn at random whatever is believed, so that they tell how often what raters could not see is wrong.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from rrm.core.claims import Chain, chains
from rrm.core.ids import content_id, generator
from rrm.core.place import Place
from rrm.core.roles import Train
from rrm.core.values import Label, Passage, Rated, Request, Shown, View
from rrm.feedback.budget import Allowance
from rrm.feedback.minutes import minutes_of_raters
from rrm.pipeline.asking import Raters, put
from rrm.pipeline.forest import Tree
from rrm.pipeline.steps import Peek, Run, Step

QUESTION = "Is this right, by these passages of the source?"

_MOST_TOKENS = 200


def peek(run: Run) -> Step[Run]:
    """Have raters look at claims of training roots' outputs, for a share of all minutes so far; others stay unseen."""
    plan = run.plan
    if not plan.peeks or plan.models or run.visit.levels is not None:
        return run
    leading = {request.question: (chain_.score, request) for chain_, request in _leading(run)}
    found = {question: each for question, each in leading.items() if question not in run.peeked}
    if not found:
        why = (
            "every claim of a training root that leads to words of the source was looked at"
            if leading
            else "no claim of a training root leads to words of the source"
        )
        return run.noted(f"round {run.number + 1}: {why}, so there is nothing to peek at")
    order = generator("peeks", plan.seed, run.number).permutation(len(found))
    questions = [list(found.values())[at][1] for at in order]
    before = [each.rated for each in run.peeks]
    place = Place(run.number, "claims", run.forest.height)
    raters = Raters(plan.rater, Train, plan.seed, plan.overlap, not plan.repeats, plan.rates, plan.sheet)
    asked, results = answered = yield from put(place, questions, Allowance(_left(run, before)), raters, before)
    peeks = [Peek(found[row.request.question][0], row) for row in answered.rows]
    return replace(
        run,
        peeks=(*run.peeks, *peeks),
        peeked=run.peeked | {each.question for each in asked},
        state=run.state.failed(results),
    )


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
