"""One cell of `benchmarks.carry`: a world, a length and a seed, at every budget, in a process that can be resumed.

Prints the rows of a budget, one a target and column, as a line of JSON as soon as they are measured. All that runs do
(outputs, ratings, fits, scores) is on record in the cell's folder, under ids that cover what it depends on, so budgets
share what they have in common.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import anyio
import numpy as np
from scipy.stats import spearmanr

from rrm.api.front import demo_file
from rrm.api.runfile import Part, RunFile
from rrm.api.runs import recursion_of
from rrm.api.wiring import Parts
from rrm.api.worker import RunWorker
from rrm.compose.blame import node_blame, with_blame
from rrm.compose.provenance import read_back
from rrm.core.claims import Claims, Origin, chains, overlap
from rrm.core.ids import generator
from rrm.core.roles import Train
from rrm.core.text import sentence_texts
from rrm.core.values import OVERALL, Fitted, Group, Output, Passage, Rated, Request, Shown, View
from rrm.engines.local import Local
from rrm.feedback.budget import Allowance
from rrm.pipeline import driver, stages
from rrm.pipeline.flat import Flat, flat_baseline
from rrm.pipeline.forest import Tree, by_source
from rrm.pipeline.plan import carried_out
from rrm.pipeline.recursion import recursion
from rrm.pipeline.stages import FitJob, ReadBack
from rrm.pipeline.steps import Outcome, Step, model_of_claims
from rrm.policy.careless import Careless
from rrm.raters.simulated import SimulatedRaters
from rrm.store.record import SqlStore, open_store
from tasks.synthetic_book import SyntheticBooks, recognise
from tasks.synthetic_book.truth import ClaimTruth, Truths

WORLDS = {
    "copied": None,
    "reframed": "tasks.synthetic_book.rewording:reframe",
    "retold": "tasks.synthetic_book.rewording:retell",
}
RATE, DISORDER = [0.25, 0.15], 0.1
"""The probability of a mistake in a sentence, at leaves and above, and of putting it before an earlier one."""
TREES = {"leaf_tokens": 120, "fan_in": [5, 5], "max_tokens": [64, 96, 128]}


@dataclass(frozen=True)
class Size:
    """How many books are learned from and judged, how many trees each, and how many outputs their roots get."""

    train: int = 8
    train_trees: int = 2
    targets: int = 7
    trees: int = 4
    root_outputs: int = 12


def settings(world: str, words: int, seed: int, size: Size, minutes: float | None) -> RunFile:
    """Return the run of a cell at a budget of rater minutes; None asks all questions."""
    run = demo_file(seed)
    arguments = {"rate": RATE, "mistake": "tasks.synthetic_book.mistakes:mistake", "disorder": DISORDER}
    if WORLDS[world] is not None:
        arguments["reword"] = WORLDS[world]
    assert run.train is not None
    assert run.rater is not None
    train = {"words": words, "count": size.train, "seed": 1000 * seed}
    target = {"words": words, "count": size.targets, "seed": 1000 * seed + 1}
    return replace(
        run,
        name=f"carry-{world}-{words}-{seed}",
        rounds=1, select=None, improve=None, flat=True, previous_context="all",
        train=replace(run.train, arguments=train, trees=size.train_trees),
        target=replace(run.target, arguments=target, trees=size.trees),
        compose=Part("rrm.compose.composers:Informed"),
        decomposer=replace(run.decomposer, arguments=TREES),
        policy=replace(run.policy, arguments=arguments, root_outputs=size.root_outputs),
        rater=replace(run.rater, budget=None if minutes is None else {"minutes": minutes}),
    )  # fmt: skip


class Misled(NamedTuple):
    """Models that were fitted where the answers about leaves were permuted."""

    root: Fitted
    claims: Fitted | None


@dataclass(frozen=True, eq=False)
class Ended:
    """Where a run at one budget ended, and what it is held against.

    `equal` and `unlimited` are the flat baselines at the levels' minutes and at all their questions; `misled` are the
    models of the root and of claims where the answers about leaves were permuted.
    """

    parts: Parts
    worker: RunWorker
    outcome: Outcome
    equal: Flat | None
    unlimited: Flat | None
    misled: Misled

    @property
    def root_model(self) -> Fitted:
        return next(level.model for level in self.outcome.levels if level.model.root)


def finished(run: RunFile, folder: Path, store: SqlStore) -> Ended:
    """Carry a run out, doing only what is not on record."""
    parts = Parts(run, store)
    worker = RunWorker(parts, folder)

    def process() -> Step[tuple[Outcome, Flat | None, Flat | None, Misled]]:
        outcome = yield from recursion(recursion_of(parts))
        equal = yield from flat_baseline(outcome)
        everything = run.rater is not None and run.rater.budget is None
        unlimited = (yield from flat_baseline(outcome, Allowance())) if everything else None
        return outcome, equal, unlimited, (yield from _misled(outcome))

    store.append([*parts.train, *parts.target])
    return Ended(parts, worker, *anyio.run(driver.drive, process(), Local(worker, {}), store))


def _misled(outcome: Outcome) -> Step[Misled]:
    """Fit all levels and the model of claims again, from below, with the answers about leaves permuted."""
    run = outcome.run
    rated = {
        (role, level): _permuted(rows, run.plan.seed) if level == 0 else rows
        for (role, level), rows in run.rated.items()
    }
    models = dict(run.models)
    below: Fitted | None = None
    for level in outcome.levels:
        key = Train.name, level.place.level
        if rows := rated.get(key, ()):
            job = FitJob(level.place, level.model.root, Train, rows, run.plan.seed, below)
            done = yield from carried_out(stages.fit(job, run.plan.learner))
            [below] = next(iter(done.values())).values
        models[key] = below or models[key]
    claims = yield from model_of_claims(replace(run, rated=rated, models=models))
    return Misled(models[Train.name, run.forest.height], claims)


def _permuted(rated: Sequence[Rated], seed: int) -> tuple[Rated, ...]:
    """Return ratings with the answers to questions of a kind dealt anew among them."""
    by_kind: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rated):
        by_kind[row.request.kind].append(at)
    found = list(rated)
    for kind, places in by_kind.items():
        for at, other in zip(places, generator("permuted answers", seed, kind).permutation(places), strict=True):
            found[at] = replace(rated[at], feedback=replace(rated[at].feedback, answer=rated[other].feedback.answer))
    return tuple(found)


# ---- what is measured of a target ----


@dataclass(frozen=True)
class Column:
    """Scores of a target's root outputs, one array a tree: [outputs], or [members, outputs] where there are members."""

    scores: tuple[np.ndarray, ...]

    @property
    def means(self) -> list[np.ndarray]:
        return [each.mean(axis=0) if each.ndim == 2 else each for each in self.scores]


@dataclass(frozen=True)
class Measured:
    """What one column came to at one target; None where the column has no such figure.

    `rho` pools a target's outputs, `rho_within` is the mean over its trees. `covered` and `bias` are of the 90 %
    intervals against the acceptance by raters who have read the whole book, None where raters only compared outputs of
    some level: scores are no probabilities then, and nothing is blamed. `blamed` are false sentences of the
    outputs read that became false at a leaf, `blame_first` and `blame_three` in how many that leaf was blamed most, or
    among the three most.
    """

    column: str
    rho: float | None
    rho_within: float | None
    gold_of_chosen: float
    gold_mean: float
    gold_best: float
    covered: float | None = None
    bias: float | None = None
    blamed: int = 0
    blame_first: int = 0
    blame_three: int = 0


class Target:
    """A target source with its trees, and all that is known about their root outputs."""

    def __init__(self, ended: Ended, source: str, trees: Sequence[Tree], books: SyntheticBooks) -> None:
        self.ended, self.source, self.trees, self.books = ended, source, trees, books
        self.state = ended.outcome.state
        self.outputs = [self.state.outputs[tree.graph.root] for tree in trees]
        self.book = books.book(source).source
        written = [*self.state.answers.values()]
        written += [output for tree in trees for node in tree.graph for output in self.state.outputs.get(node, ())]
        self.written = {output.id: output for output in written}
        self.gold = [np.array([books.gold(source, None, o.text) for o in outputs]) for outputs in self.outputs]
        policy, rater = ended.parts.policy, ended.parts.rater
        assert isinstance(policy, Careless)
        assert isinstance(rater, SimulatedRaters)
        self.rater = rater
        contexts = self.state.prompt_contexts
        self.truths = [Truths(books, source, tree.graph, contexts, self.state.outputs, policy) for tree in trees]
        self.accepted = [
            np.array([self._probability(tree.graph.root, self.whole(tree), o) for o in outputs])
            for tree, outputs in zip(trees, self.outputs, strict=True)
        ]

    def whole(self, tree: Tree) -> View:
        """Return the whole book as it is shown to who has read it all."""
        task = tree.graph.task(tree.graph.root)
        return View(task.instruction, (Passage(self.book.text),), task.max_tokens)

    def _probability(self, node: str, view: View, output: Output) -> float:
        place = self.state.prompt_contexts[node].place
        request = Request(node, self.source, place, "label", view, (Shown(output.id, output.text),))
        return float(self.rater.probability(request)[0])

    # ---- columns ----

    def columns(self) -> dict[str, Column]:
        roots = [tree.graph.root for tree in self.trees]
        state, ended = self.state, self.ended
        found = {
            "own": Column(tuple(state.predictions[root].acceptance[OVERALL] for root in roots)),
            "composed": Column(tuple(state.composed[root].acceptance[OVERALL] for root in roots)),
            "verbatim": Column(tuple(np.array([self._verbatim(o.text) for o in each]) for each in self.outputs)),
            "source_free_importance": Column(
                tuple(np.array([_importance(o.text) for o in each]) for each in self.outputs)
            ),
            "oracle_raters": Column(tuple(self._by_oracles(tree) for tree in self.trees)),
            "truth_per_claim": Column(tuple(map(self._by_truth, self.trees, self.truths))),
            "control_provenance": Column(tuple(map(self._astray, self.trees))),
            "control_leaf_labels": Column(tuple(self._rescored(tree, self._misled(tree)) for tree in self.trees)),
            "control_children": Column(tuple(map(self._others_children, range(len(self.trees))))),
        }
        for name, flat in (("flat_equal", ended.equal), ("flat_unlimited", ended.unlimited)):
            if flat is not None:
                found[name] = Column(tuple(self._flat(tree, flat.model) for tree in self.trees))
        return found

    def _verbatim(self, text: str) -> float:
        known, told = set(sentence_texts(self.book.text)), sentence_texts(text)
        return sum(each in known for each in told) / len(told) if told else 0.0

    def _flat(self, tree: Tree, fitted: Fitted) -> np.ndarray:
        return self._predicted(fitted, self.whole(tree), [o.text for o in self.state.outputs[tree.graph.root]])

    def _predicted(self, fitted: Fitted, view: View, texts: Sequence[str]) -> np.ndarray:
        """Return the acceptance of texts beside a view, [members, texts]."""
        model = self.ended.worker.models.load(fitted)
        different = tuple(dict.fromkeys(texts))
        [said] = model.predict([Group(self.source, fitted.place, view, different)])
        return np.asarray(said.acceptance[OVERALL][:, [different.index(text) for text in texts]])

    def _informed(self, tree: Tree, claims: Mapping[str, Claims] | None = None) -> ReadBack:
        """Return how a root is scored anew, its view read back by other claims than those traced if there are any.

        As composers do, it falls back to the level's model beside what is shown where nothing leads to the source.
        """
        root = tree.graph.root
        back = self.ended.outcome.run.informed.get(root)
        shown = ReadBack(self.state.view(root), self.ended.root_model, None, self.book.text)
        if claims is None or back is None:
            return back or shown
        view = read_back(self.state.view(root), claims, self.written, self.book.text)
        return shown if view is None else back._replace(view=view)

    def _misled(self, tree: Tree) -> ReadBack:
        return self._informed(tree)._replace(model=self.ended.misled.root, claims=self.ended.misled.claims)

    def _rescored(self, tree: Tree, back: ReadBack) -> np.ndarray:
        return self._said(back, [output.text for output in self.state.outputs[tree.graph.root]])

    def _said(self, back: ReadBack, texts: Sequence[str]) -> np.ndarray:
        """Return the acceptance of texts in a root's place, [members, texts]."""
        [said] = self.ended.worker.models.read_back(self.source, [(back, tuple(texts))])
        return np.asarray(said.acceptance[OVERALL])

    def _by_oracles(self, tree: Tree) -> np.ndarray:
        """Return what raters think of a root's outputs beside its view read back, in the place of its model."""
        root, view = tree.graph.root, self._informed(tree).view
        return np.array([self._probability(root, view, output) for output in self.state.outputs[root]])

    def _astray(self, tree: Tree) -> np.ndarray:
        """Compose with what claims rest on in the source dealt anew among the claims of a tree: a control."""
        nodes = {output.id: node for node in tree.graph for output in self.state.outputs.get(node, ())}
        claims = {id_: each for id_, each in self.state.claims.items() if id_ in nodes}
        places = [origin for each in claims.values() for claim in each.claims for origin in claim.origins]
        ends = [origin for origin in places if origin.output is None]
        dealt = iter(generator("astray", tree.graph.root).permutation(len(ends)))
        permuted = {id_: _with_ends(each, lambda: ends[next(dealt)]) for id_, each in claims.items()}
        return self._rescored(tree, self._informed(tree, permuted))

    def _by_truth(self, tree: Tree, truths: Truths) -> np.ndarray:
        """Score what is true of each output beside what is true of its view, times the share of it that is true."""
        state, root = self.state, tree.graph.root
        view = state.view(root)
        true = [replace(passage, text=self._true_part(passage, truths)) for passage in view.passages]
        claims = [truths.of(root, output) for output in state.outputs[root]]
        own = self._predicted(
            self.ended.root_model, replace(view, passages=tuple(true)), list(map(_struck, claims))
        ).mean(axis=0)
        told = [[claim.true for claim in each if claim.true is not None] for each in claims]
        return np.asarray(own * np.array([np.mean(each) if each else 1.0 for each in told]))

    def _true_part(self, passage: Passage, truths: Truths) -> str:
        if passage.node is None:
            return passage.text
        output = next(each for each in self.state.outputs[passage.node] if each.id == passage.output)
        return _struck(truths.of(passage.node, output))

    def _others_children(self, at: int) -> np.ndarray:
        """Compose a root's outputs over the children, read back, of the source's next tree: a control."""
        other = self.trees[(at + 1) % len(self.trees)]
        return self._rescored(self.trees[at], self._informed(other))

    # ---- figures ----

    def measured(self, name: str, column: Column) -> Measured:
        means, gold = np.concatenate(column.means), np.concatenate(self.gold)
        within = [
            rho for mean, true in zip(column.means, self.gold, strict=True) if (rho := _rho(mean, true)) is not None
        ]
        covered = bias = None
        anchored = self._anchored(name)
        if anchored and all(each.ndim == 2 for each in column.scores):
            low, high = np.concatenate([np.quantile(each, [0.05, 0.95], axis=0) for each in column.scores], axis=1)
            accepted = np.concatenate(self.accepted)
            covered = float(((low <= accepted) & (accepted <= high)).mean())
            bias = float((means - accepted).mean())
        chosen = float(gold[int(means.argmax())])
        of_gold = (chosen, float(gold.mean()), float(gold.max()))
        blame_ = self._blame() if name == "composed" and anchored else (0, 0, 0)
        return Measured(
            name, _rho(means, gold), float(np.mean(within)) if within else None, *of_gold, covered, bias, *blame_
        )

    def _anchored(self, name: str) -> bool:
        """Return whether a column's scores are probabilities."""
        flat = {"flat_equal": self.ended.equal, "flat_unlimited": self.ended.unlimited}.get(name)
        return flat.model.anchored if flat is not None else self.ended.outcome.run.anchored

    def _blame(self) -> tuple[int, int, int]:
        """Return how many claims of the outputs read are false since a leaf, and where blame by claim puts that leaf.

        The nodes of a tree are ranked by what the claim lost in their steps, equals as the worse; a leaf that no step
        of the claim blames is not found. Sentences that a leaf's end cuts in two are nobody's to blame.
        """
        places: list[int] = []
        for tree, truths in zip(self.trees, self.truths, strict=True):
            graph, root = tree.graph, tree.graph.root
            output = self.state.handed_up(root)
            found = chains(output.id, self.state.claims, self.written, self.book.text)
            back = self._informed(tree)

            def scores(texts: Sequence[str], back: ReadBack = back) -> np.ndarray:
                return np.asarray(self._said(back, texts).mean(axis=0))

            blamed = with_blame(output.text, found, scores)
            spans = [claim.span for claim in self.state.claims[output.id].claims]
            for truth in truths.of(root, output):
                if truth.false_since is None or graph.children(truth.false_since) or truth.cut:
                    continue
                here = [each for each, span in zip(blamed, spans, strict=True) if overlap(span, truth.span)]
                lost = node_blame(here, graph)
                worse = sum(value >= lost[truth.false_since] for value in lost.values()) - 1
                places.append(worse if lost[truth.false_since] > 0 else len(graph))
        return len(places), sum(at == 0 for at in places), sum(at < 3 for at in places)

    def births(self) -> tuple[int, int, int]:
        """Return how many root sentences tell an event, how many of them are false, and since a step below the root."""
        claims = [
            (tree.graph.root, claim)
            for tree, truths, outputs in zip(self.trees, self.truths, self.outputs, strict=True)
            for output in outputs
            for claim in truths.of(tree.graph.root, output)
            if claim.true is not None
        ]
        false = [claim.false_since != root for root, claim in claims if not claim.true]
        return len(claims), len(false), sum(false)


def _struck(claims: Sequence[ClaimTruth]) -> str:
    return " ".join(claim.text for claim in claims if claim.true is not False)


def _importance(text: str) -> float:
    """Return what a text tells by the table of importances alone, each event once."""
    return float(sum(event.importance for event in set(recognise(text))))


def _with_ends(claims: Claims, end: Callable[[], Origin]) -> Claims:
    """Return claims that rest on other places of the source, those on other outputs as they were."""
    return Claims(
        claims.output,
        tuple(
            claim._replace(origins=tuple(end() if each.output is None else each for each in claim.origins))
            for claim in claims.claims
        ),
    )


def _rho(scores: np.ndarray, gold: np.ndarray) -> float | None:
    """Return Spearman's rank correlation; 0 where all scores are equal, None where all gold is."""
    if np.ptp(gold) == 0:
        return None
    return 0.0 if np.ptp(scores) == 0 else float(spearmanr(scores, gold).statistic)


def cell(
    world: str, words: int, seed: int, size: Size, budgets: Sequence[float | None], folder: Path
) -> Iterator[list[Mapping[str, object]]]:
    """Yield the rows of a cell, budget by budget: one for each target and column."""
    folder.mkdir(parents=True, exist_ok=True)
    with open_store(folder) as store:
        for minutes in budgets:
            rows: list[Mapping[str, object]] = []
            ended = finished(settings(world, words, seed, size, minutes), folder, store)
            grown = by_source(ended.outcome.forest.trees)
            assert ended.parts.gold is not None
            books = ended.parts.gold.within
            assert isinstance(books, SyntheticBooks)
            for source in ended.outcome.forest.targets:
                target = Target(ended, source, grown[source], books)
                told, false, below = target.births()
                shared = {
                    "world": world, "words": words, "seed": seed, "minutes": minutes, "source": source,
                    "spent": ended.outcome.minutes, "told": told, "false": false, "false_below": below,
                }  # fmt: skip
                rows += [{**shared, **asdict(target.measured(*each))} for each in target.columns().items()]
            print(f"{world} {words} seed {seed}: {minutes or 'all'} minutes done", file=sys.stderr, flush=True)
            yield rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", help="JSON: world, words, seed, size, budgets, folder")
    job = json.loads(parser.parse_args().job)
    for rows in cell(**{**job, "size": Size(**job["size"]), "folder": Path(job["folder"])}):
        print(json.dumps(rows), flush=True)


if __name__ == "__main__":
    main()
