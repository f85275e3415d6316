"""One cell of `benchmarks.ask_books`: a world and a seed, in which all ways of asking stand before the same candidates.

Trees are grown and all outputs proposed before anything is asked; parents read their parts' first outputs, so that
what is asked changes no view. The first minutes are drawn evenly, the same for all ways. Then each way asks in the
waves of a run (`rrm.pipeline.chosen`), models are fitted again, and `Informed` composes the targets' roots.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import fsum
from pathlib import Path
from typing import Any

import anyio
import numpy as np

from benchmarks import carry_cell
from rrm.api.runfile import Part, RunFile
from rrm.api.runs import recursion_of
from rrm.api.wiring import Parts
from rrm.api.worker import RunWorker
from rrm.ask.bundles import MOST, Answers, Bundle
from rrm.ask.gaussian import choices
from rrm.ask.sampler import Value
from rrm.core.asking import AT_RANDOM, Asked, Asking, Belief, Chosen, Outlook, Question
from rrm.core.ids import generator
from rrm.core.place import Place
from rrm.core.roles import Train
from rrm.core.values import OVERALL
from rrm.engines.local import Local
from rrm.feedback.budget import Budget
from rrm.feedback.minutes import minutes_of_raters
from rrm.pipeline import chosen, driver, steps
from rrm.pipeline.forest import Tree
from rrm.pipeline.schedule import Round
from rrm.pipeline.steps import Run, Sampling, Step
from rrm.reward.frozen import Frozen
from rrm.store.record import SqlStore
from tasks.synthetic_book import SyntheticBooks

WORLDS = ("copied", "reframed")
START = 30.0
"""Minutes that are drawn evenly before any way chooses: nothing is believed before anything was said."""

LOOKED_AT = 200


@dataclass(frozen=True)
class Size:
    """Books to learn from, with two trees each, and targets with one tree."""

    words: int = 2000
    train: int = 3
    targets: int = 7
    minutes: tuple[float, ...] = (125.0, 250.0, 500.0, 1000.0)
    root_outputs: int = 8


# ---- ways of asking ----


@dataclass(frozen=True)
class Evenly(Value):
    """Draws questions at random, each as likely as any other, or each level as likely as any other (`depths`).

    The outlook has what an average question, of some, is expected to gain a minute.
    """

    waves: int = 1
    depths: bool = False

    @property
    def name(self) -> str:
        return f"evenly(depths={self.depths})"

    def choose(self, belief: Belief, asking: Asking) -> Chosen:
        random = generator("evenly", asking.seed, asking.place.round, asking.wave)
        by_level: dict[int, list[Question]] = defaultdict(list)
        for at in random.permutation(len(asking.questions)):
            question = asking.questions[at]
            by_level[question.request.place.level if self.depths else 0].append(question)
        found: list[Asked] = []
        left = asking.minutes
        while levels := sorted(level for level, questions in by_level.items() if questions):
            questions = by_level[levels[int(random.integers(len(levels)))]]
            propensity = 1 / len(levels) / len(questions)
            question = questions.pop()
            if (left := left - question.deciding - question.reading) < 0:
                break
            price = question.deciding + question.reading
            found.append(Asked(question.request.id, AT_RANDOM, asking.pool, propensity, minutes=price))
        some = [asking.questions[at] for at in random.permutation(len(asking.questions))[:LOOKED_AT]]
        answers = self._answers(belief, some, asking)
        gain = sum(float(gains.sum()) for _, gains, _ in answers.singles())
        price = sum(each.deciding + each.reading for each in some)
        told = (answers.decision.expected, gain / price if price else 0.0, 0.0)
        outlook = Outlook(asking.place, asking.wave, asking.pool, len(asking.questions), asking.drawn, *told)
        return Chosen(tuple(found), outlook)


class Informing(Answers):
    """Questions by what their answers tell of rewards, in nats (BALD), in the place of what they are worth."""

    def singles(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        first, second = self.questions.first, self.questions.second
        two = second >= 0
        diagonal = np.diagonal(self._covariance)
        variance = diagonal[first] + two * (diagonal[second] - 2 * self._covariance[first, second])
        told = choices(self._mean[first] - two * self._mean[second], variance, np.ones(len(first))).told
        yield told, np.zeros(len(told)), variance

    def bundle(self, view: Sequence[int], whole: bool = False) -> Bundle:
        q, at = self.questions, np.array(view)
        outputs = np.unique(np.concatenate([q.first[at], q.second[at]]))
        outputs = outputs[outputs >= 0]
        covariance, _ = self._standing(outputs)
        design = (outputs == q.first[at][:, None]).astype(np.float64) - (outputs == q.second[at][:, None])
        mean = design @ self._mean[outputs]
        best, chosen_ = Bundle((), 0.0, 0.0, 1.0), list[int]()
        told, minutes = 0.0, 0.0
        while len(chosen_) < min(MOST, len(at)):
            variance = np.maximum(((design @ covariance) * design).sum(axis=1), 0.0)
            each = choices(mean, variance, np.ones(len(at))).told
            price = q.deciding[at] + (q.reading[at] if len(chosen_) % self._readings == 0 else 0.0)
            rate = each / price
            rate[chosen_] = -np.inf
            place = int(rate.argmax())
            chosen_.append(place)
            told, minutes = told + float(each[place]), minutes + float(price[place])
            step = covariance @ design[place] * self._scale(mean, variance, at)[place]
            covariance = covariance - np.outer(step, step)
            if not best.questions or told / minutes > best.value / best.minutes:
                best = Bundle(tuple(int(at[each]) for each in chosen_), told, 0.0, minutes)
        return best


@dataclass(frozen=True)
class Information(Value):
    """Asks as `Value` does, in bundles and with questions at random among them, by what answers tell a minute."""

    @property
    def name(self) -> str:
        return f"information({super().name})"

    def _answers(
        self, belief: Belief, questions: Sequence[Question], asking: Asking, texts: Sequence[Question] = ()
    ) -> Answers:
        found = super()._answers(belief, questions, asking, texts)
        believed = found.believed
        parts = (believed["mean"], believed["covariance"], believed["across"], int(believed["readings"]))
        return Informing(found.decision, found.questions, *parts)


WAYS: Mapping[str, Part] = {
    "random": Part("benchmarks.ask_books_cell:Evenly"),
    "depths": Part("benchmarks.ask_books_cell:Evenly", {"depths": True}),
    "information": Part("benchmarks.ask_books_cell:Information", {"waves": 1}),
    "value": Part("rrm.ask:Value", {"waves": 1}),
}


# ---- a cell ----


@dataclass(frozen=True, eq=False)
class Cell:
    """What all ways of a cell share: where it is kept, the parts of a run by each way, and where all of them begin."""

    folder: Path
    store: SqlStore
    parts: Mapping[str, Parts]
    start: Run

    @classmethod
    def opened(cls, world: str, seed: int, size: Size, folder: Path, store: SqlStore) -> "Cell":
        run = settings(world, seed, size)
        assert run.rater is not None
        parts = {way: Parts(replace(run, rater=replace(run.rater, sampler=part)), store) for way, part in WAYS.items()}
        shared = parts["random"]
        store.append([*shared.train, *shared.target])
        return cls(folder, store, parts, _driven(_begun(shared), shared, folder, store))

    def until(self, run: Run, way: str, minutes: float) -> Run:
        """Return a run once it has asked for so many minutes in all, fitted and composed."""
        return _driven(_asked(run, self.parts[way], minutes), self.parts[way], self.folder, self.store)

    def worker(self, way: str) -> RunWorker:
        return RunWorker(self.parts[way], self.folder)

    @cached_property
    def targets(self) -> list[Tree]:
        return [tree for tree in self.start.forest.trees if self.start.forest.is_target(tree)]

    @cached_property
    def gold(self) -> dict[str, np.ndarray]:
        """The gold of each target root's outputs, by node."""
        sealed = self.parts["random"].gold
        assert sealed is not None
        books = sealed.within
        assert isinstance(books, SyntheticBooks)
        roots = {tree.graph.root: tree.source for tree in self.targets}
        outputs = self.start.state.outputs
        return {node: np.array([books.gold(s, None, o.text) for o in outputs[node]]) for node, s in roots.items()}

    @property
    def tokens(self) -> int:
        """Tokens that were encoded for features, of all ways together; each text is encoded once."""
        found = [each.believer for each in self.parts.values()]
        return sum(each.reader.encoder.tokens_encoded for each in found if isinstance(each, Frozen))


def settings(world: str, seed: int, size: Size) -> RunFile:
    """Return the run of a cell, as `benchmarks.carry` has it."""
    shape = carry_cell.Size(size.train, 2, size.targets, 1, size.root_outputs)
    run = carry_cell.settings(world, size.words, seed, shape, START)
    return replace(run, rounds=2, compose=Part("rrm.compose.composers:Informed", {"claims": False}))


def _driven(process: Step[Run], parts: Parts, folder: Path, store: SqlStore) -> Run:
    return anyio.run(driver.drive, process, Local(RunWorker(parts, folder), {}), store)


def _begun(parts: Parts) -> Step[Run]:
    """Grow, propose and trace everything, and ask for the first minutes."""
    run = Run.begin(replace(recursion_of(parts), rounds=(Round(),), sampling=None)).in_round(0, Round())
    run = yield from steps.grow(run)
    levels = range(run.forest.height + 1)
    for level in levels:
        run = yield from steps.propose(run, Place(0, "answer", level))
        run = steps.chosen(run, Place(0, "answer", level))  # without a model: the first outputs are read
    for level in levels:
        place = Place(0, "answer", level)
        run = yield from steps.rate(run, place, Train)
        run = yield from steps.fit(run, place, Train)
        scored = run if level == run.forest.height else run.in_round(0, Round(targets=False))
        run = replace(run, state=(yield from steps.score(scored, place)).state)
    roots = [tree.graph.root for tree in run.forest.trees if run.forest.is_target(tree)]
    run = replace(run, state=replace(run.state, read=dict.fromkeys(roots, 0)))
    run = yield from steps.trace(run)
    return (yield from steps.compose(run))


def _asked(run: Run, parts: Parts, minutes: float) -> Step[Run]:
    sampler = parts.sampler
    assert sampler is not None
    number = run.number + 1
    sampling = Sampling.of(sampler)
    plan = replace(run.plan, budget=Budget(minutes=minutes), rounds=(Round(),) * (number + 1), sampling=sampling)
    run = yield from chosen.ask(replace(run, number=number, plan=plan))
    for level in range(run.forest.height + 1):
        run = yield from steps.fit(run, Place(number, "answer", level), Train)
    run = yield from steps.score(run, Place(number, "answer", run.forest.height))
    return (yield from steps.compose(run))


def spent(run: Run) -> float:
    """Return the minutes of all raters so far."""
    return fsum(minutes_of_raters(rows, run.plan.rates) for rows in run.answered.values())


def chosen_at(run: Run, node: str) -> int:
    """Return which of a root's outputs has the highest composed score."""
    return int(run.state.composed[node].acceptance[OVERALL].mean(axis=0).argmax())


def rows_of(cell: Cell, way: str, minutes: float, run: Run) -> list[dict[str, Any]]:
    """Return a row for every target: the gold of the output that a way chooses after so many minutes."""
    by_level = Counter(each.place.level for asked in run.asked.values() for wave in asked for each in wave)
    taken = {"spent": spent(run), "questions": [by_level[level] for level in range(run.forest.height + 1)]}
    return [
        {"part": "asking", "way": way, "minutes": minutes, "source": tree.source, **taken,
         "gold": float(cell.gold[tree.graph.root][chosen_at(run, tree.graph.root)])}
        for tree in cell.targets
    ]  # fmt: skip
