"""The steps of a round: each takes a run as it stands, yields stages, and returns the run as it then stands."""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from math import fsum
from typing import Literal, NamedTuple, TypeVar

from rrm.compose.provenance import read_back
from rrm.core.asking import AT_RANDOM, LEFT, Asked, Outlook, Quality, QuestionSampler
from rrm.core.errors import InputError
from rrm.core.graph import GrowthBudget, TaskGraph
from rrm.core.growth import advance
from rrm.core.ids import content_id, generator, seed_for
from rrm.core.place import Place
from rrm.core.protocols import ProposeJob, Seen
from rrm.core.roles import Final, JudgeUse, Role, Select, Train
from rrm.core.task import Source, Span
from rrm.core.values import (
    OVERALL,
    Choice,
    ClaimMarks,
    Composed,
    Consequence,
    Fitted,
    FittedComposer,
    Hindsight,
    Improvement,
    Output,
    Rated,
    Request,
)
from rrm.evaluate.holdout import Thresholdout
from rrm.feedback.budget import Allowance, Askable, Budget, Spent, ask, drawn
from rrm.feedback.minutes import RATES, Currency, minutes_of_raters
from rrm.feedback.select import parsed
from rrm.pipeline import stages
from rrm.pipeline.asking import Raters, put, without_aids
from rrm.pipeline.forest import Forest, State, Tree, by_source, composed_predictions, predictions
from rrm.pipeline.plan import AnyResults, AnyStage, J, Results, V, carried_out
from rrm.pipeline.schedule import Round
from rrm.pipeline.stages import FitJob, ReadBack

_log = logging.getLogger("rrm.pipeline")

T = TypeVar("T")
Step = Generator[AnyStage, AnyResults, T]
Wanted = Mapping[str, int]
"""How many questions of each kind are put about a node's outputs at each visit."""

Informed = dict[str, ReadBack]
"""For nodes that are scored anew before they are composed: the view read back to the source, and the model."""

RoleLevel = tuple[str, int]
"""The name of a judge role, and a level."""


@dataclass(frozen=True)
class Selecting:
    """The judge of role select: its `rater`, and the training sources held apart, which it alone rates.

    With `reuse`, looks at it are answered by `Thresholdout`.
    """

    rater: str
    sources: frozenset[str]
    ratings: Wanted
    reuse: Thresholdout | None = None


@dataclass(frozen=True, eq=False)
class RoundOutcome:
    """What stood at a round's end: the trees, the state of their nodes, and the policies that had proposed."""

    number: int
    forest: Forest
    state: State
    policies: Mapping[int | None, Improvement]


@dataclass(frozen=True)
class Improving:
    """How policies are improved after a round, within `kl_budget` nats a node of the anchor.

    With `per_level` each level has a policy of its own, else one serves all. `start` and `anchor` say whether a
    round starts from, and is anchored to, the run's first policy or that of the round before. `data` says whose
    outputs it learns from: those that stand at the round's end, those of all rounds so far, or of the last so many.
    `score` says what an output is worth: what its level's model says of it, or what is composed of that and of what was
    read below. With `budget_of` "tree" `kl_budget` is in nats a tree, and shared among levels by what they are expected
    to gain.
    """

    optimiser: str
    kl_budget: float = 1.0
    per_level: bool = False
    start: Literal["last", "first"] = "last"
    anchor: Literal["first", "last"] = "first"
    data: Literal["round", "all"] | int = "round"
    score: Literal["level", "composed"] = "level"
    budget_of: Literal["node", "tree"] = "node"

    def learned_rounds(self, rounds: Sequence[RoundOutcome]) -> Sequence[RoundOutcome]:
        """Return those of the rounds so far, oldest first, whose outputs are learned from after the last of them."""
        if self.data == "all":
            return rounds
        return rounds[-1:] if self.data == "round" else rounds[-self.data :]


@dataclass(frozen=True)
class Splitting:
    """How the decomposer is improved after a round: `rater` compares `candidates` trees of each training source.

    Without a `rater` it is improved by what came of the round's own trees, and nothing else counts but the budget: the
    trees of training sources are then drawn, those of targets are not.
    `ratings` are the questions of each kind about a source's trees in a round; `learner` fits the reward model of
    trees, and `optimiser` improves the decomposer within `kl_budget` nats a cut of the run's first. `repeats` says
    whether the rater may be asked again what it has answered, `rates` what its time comes to.
    """

    optimiser: str
    learner: str
    rater: str | None
    candidates: int = 4
    ratings: Wanted = field(default_factory=lambda: {"comparison": 4})
    kl_budget: float = 5.0
    repeats: bool = True
    rates: Currency = RATES


@dataclass(frozen=True)
class Sampling:
    """Who chooses what is asked, from the second round on: its name, and in how many waves a round's are chosen.

    With `targets` questions about targets' outputs are open, too, and where it `leaves` choices to persons, these.
    """

    sampler: str
    waves: int = 1
    targets: bool = False
    leaves: bool = False

    @classmethod
    def of(cls, sampler: QuestionSampler) -> "Sampling":
        return cls(sampler.name, sampler.waves, sampler.targets, sampler.leaves)


@dataclass(frozen=True)
class Recursion:
    """What a run is about and how it is done; the names of its parts cover all that they depend on.

    `rounds` is the schedule, `budget` what raters may be asked in all (None: `ratings` at every visit).
    `given` are ratings recorded elsewhere, with their level or "root", the highest one; `models` are models
    fitted earlier, with which nothing is rated or fitted; `policies` were improved earlier, and propose from the
    first round on. Ratings of earlier rounds are used again (`data` "all"),
    those whose view has changed since with `stale_weight`.
    """

    train: tuple[tuple[Source, int], ...]  # sources and how many trees each gets
    target: tuple[tuple[Source, int], ...]
    decomposer: str
    policy: str
    rater: str
    learner: str
    composer: str
    aligner: str
    count: Callable[[str], int] = field(repr=False)
    shows_earlier: bool = False  # whether raters and models read previous context, as policies do
    seed: int = 0
    rounds: tuple[Round, ...] = (Round(),)
    outputs: int = 4
    root_outputs: int = 8
    ratings: Wanted = field(default_factory=lambda: {"comparison": 3, "label": 2})
    root_ratings: Wanted | None = None  # None: like any other node
    budget: Budget | None = None
    grounder: str | None = None  # who says which outputs raters' critiques speak for
    rollout: str | None = None  # who says what comes of outputs, for raters in hindsight
    critic: str | None = None  # who writes what raters of claims are shown about outputs
    overlap: int = 1  # raters that answer each question
    sheet: int = 1  # questions about one view that are put to an assistant by one call, at most
    peeks: float = 0.0  # of their minutes, beside the budget, for looks at the source: see `rrm.pipeline.peeks`
    peeks_random: float = 1.0  # the share of these that is drawn; the others are chosen by what they are worth
    rates: Currency = RATES  # what their time comes to
    repeats: bool = True  # whether raters may be asked again what they have answered about the same view and outputs
    random_share: float = 0.1
    sampling: Sampling | None = None  # None: questions are drawn evenly
    weights: Mapping[str, float] = field(default_factory=dict)  # of targets, by source: how much each counts, 1 else
    data: Literal["all", "round"] = "all"
    stale_weight: float = 0.5
    composer_learns: bool = False
    reads_back: bool = False  # whether the composer is handed scores beside views read back to the source
    checker: str | None = None  # who fits a model of claims that scores beside such views, too
    growth: GrowthBudget | None = None  # None: the decomposer splits a source at once
    select: Selecting | None = None
    improve: Improving | None = None
    splits: Splitting | None = None
    gold: str | None = None
    given: Sequence[tuple[int | str, Sequence[Rated]]] = field(default=(), repr=False)
    models: Sequence[Fitted] = ()
    policies: Sequence[Improvement] = ()
    splitter: Improvement | None = None  # a decomposer improved earlier
    claims: Fitted | None = None  # a model of claims fitted earlier

    def n(self, tree: Tree, node: str) -> int:
        """How many outputs are proposed at a node."""
        return self.root_outputs if node == tree.graph.root else self.outputs

    def wanted(self, tree: Tree, node: str) -> Wanted:
        """How many questions of each kind are put about a node's outputs at a visit."""
        return self.ratings if self.root_ratings is None or node != tree.graph.root else self.root_ratings

    def given_at(self, place: Place, forest: Forest) -> tuple[list[Rated], int]:
        """The ratings recorded elsewhere that are about a level of a forest's trees, and how many more are of targets.

        Those are left out: what is said of targets may teach no model, whoever said it (`rrm.pipeline.moves`).
        """
        here = [rated for at, rated in self.given if (forest.height if at == "root" else at) == place.level]
        rows = [each for rated in here for each in rated]
        kept = [each for each in rows if each.request.source not in forest.targets]
        return [replace(each, request=replace(each.request, place=place)) for each in kept], len(rows) - len(kept)


@dataclass(frozen=True, eq=False)
class Level:
    """What was rated at one level by the raters of role train, and the model that judges it."""

    place: Place
    rated: tuple[Rated, ...]
    model: Fitted


_NEVER_IMPROVED = (
    "no policy was improved: [improve] works after a round that another one follows, and none of this run's does so"
    " and improves (rounds = 2 is the least)"
)


@dataclass(frozen=True, eq=False)
class Splits:
    """What came of judging decompositions: the decomposer that was improved, questions, ratings and their model."""

    decomposer: Improvement | None = None
    asked: tuple[Request, ...] = ()
    rated: tuple[Rated, ...] = ()
    model: Fitted | None = None


class Peek(NamedTuple):
    """A look at a claim in the source: how sure the way there is, above 0 up to 1, and what the rater said.

    Those that were `chosen` by what they are worth tell nothing of how often claims are wrong.
    """

    surety: float
    rated: Rated
    chosen: bool = False


class Decided(NamedTuple):
    """How the choice of targets' root outputs stands at the end as answers to questions `told`, all or `without` some.

    Without those about targets. What persons took who were left to choose is in neither.
    """

    told: Outlook
    without: Outlook

    def chosen(self, outputs: Mapping[str, str]) -> str | None:
        """Return the text that is chosen by all answers to questions among a target's root outputs, texts by id.

        None where none is: where another sampler says nothing, or for policies that would be improved.
        """
        best = [outputs[id_] for id_ in self.told.best if id_ in outputs]
        return best[0] if len(best) == 1 else None


@dataclass(frozen=True, eq=False)
class Run:
    """A run as it stands, between two steps.

    `order` are the training nodes that the round asks about. By role and level, `rated` are the ratings so far,
    `asked` the questions put (one sequence a round), `answered` all answers to them, and `models` the models fitted
    last; `unanswered` are the questions, by their ids, that got no answer. `policies` are those that were improved,
    by level (None: all levels); `informed` the views read back to the source that were composed with last, with
    their models; `rounds` what stood at the end of each. Where a sampler chooses questions, `chosen_in` is the last
    round whose questions it chose, `why` says of each, by its `question`, why it was put, and `outlooks` how it stood
    before every wave, with the minutes of raters until then; `decided` is how the choice stood at the end, with the
    answers about targets and without them, where there are any. `peeks` are looks at claims in the source, `peeked` the
    questions that asked for them. `qualities`, by kind, are how good what people write was found to be, where that
    becomes a candidate.
    """

    plan: Recursion
    number: int = 0
    visit: Round = field(default_factory=Round)
    forest: Forest = field(default_factory=lambda: Forest({}, (), frozenset()))
    order: tuple[str, ...] = ()
    state: State = field(default_factory=State)
    rated: Mapping[RoleLevel, tuple[Rated, ...]] = field(default_factory=dict)
    asked: Mapping[RoleLevel, tuple[tuple[Request, ...], ...]] = field(default_factory=dict)
    answered: Mapping[RoleLevel, tuple[Rated, ...]] = field(default_factory=dict)
    unanswered: frozenset[str] = frozenset()
    models: Mapping[RoleLevel, Fitted] = field(default_factory=dict)
    learned: FittedComposer | None = None
    informed: Mapping[str, ReadBack] = field(default_factory=dict, repr=False)
    policies: Mapping[int | None, Improvement] = field(default_factory=dict)
    improvements: tuple[Improvement, ...] = ()
    splits: Splits = field(default_factory=Splits)
    choices: tuple[Choice, ...] = ()
    rounds: tuple[RoundOutcome, ...] = ()
    uses: tuple[JudgeUse, ...] = ()
    chosen_in: int | None = None
    why: Mapping[str, Asked] = field(default_factory=dict, repr=False)
    outlooks: tuple[tuple[float, Outlook], ...] = ()
    decided: Decided | None = None
    peeks: tuple[Peek, ...] = ()
    peeked: frozenset[str] = frozenset()
    qualities: Mapping[str, Quality] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def begin(cls, plan: Recursion) -> "Run":
        policies = {each.level: each for each in plan.policies}
        run = cls(plan, policies=policies, splits=Splits(decomposer=plan.splitter))
        learns = plan.improve is not None and not plan.models
        if learns and not any(visit.improve for visit in plan.rounds[:-1]):
            return run.noted(_NEVER_IMPROVED)
        return run

    def in_round(self, number: int, visit: Round) -> "Run":
        return replace(self, number=number, visit=visit)

    def remembered(self) -> "Run":
        """Return the run with what stands now as the round's outcome."""
        outcome = RoundOutcome(self.number, self.forest, self.state, self.policies)
        return replace(self, rounds=(*self.rounds, outcome))

    def policy(self, level: int) -> tuple[str, Improvement | None]:
        """The policy that proposes at a level: its name, and what it was improved to."""
        improved = self.policies.get(level, self.policies.get(None))
        return (self.plan.policy, None) if improved is None else (improved.policy, improved)

    def used(self, place: Place, role: type[Role], purpose: str, outputs: int) -> "Run":
        return replace(self, uses=(*self.uses, JudgeUse(place, role.name, purpose, outputs)))

    def noted(self, note: str) -> "Run":
        return self if note in self.notes else replace(self, notes=(*self.notes, note))

    def failed(self, results: Results[J, V]) -> "Run":
        return replace(self, state=self.state.failed(results))

    @property
    def anchored(self) -> bool:
        """Whether ratings anchor the rewards of every level that has a model."""
        models = [model for (role, _), model in self.models.items() if role == Train.name]
        return bool(models) and all(model.anchored for model in models)

    @cached_property
    def held(self) -> frozenset[str]:
        """The nodes of target trees that raters were asked about, which stay as they were asked about.

        What was said of a root would be about another view once its parts were chosen anew; where a person was left to
        choose, the outputs of all of a target's trees stay. Where policies are new, or a tree is, nothing is held.
        """
        if not self.rounds or self.policies != self.rounds[-1].policies:
            return frozenset()
        about = [
            row.request
            for (role, _), rows in self.answered.items()
            for row in rows
            if role == Train.name and row.request.source in self.forest.targets
        ]
        nodes = {each.node for each in about}
        whole = {each.source for each in about if each.question in self.why and self.why[each.question].stream == LEFT}
        met = self.state.outputs.keys() | {failure.subject for failure in self.state.failures}
        targets = [tree for tree in self.forest.trees if self.forest.is_target(tree)]
        trees = [tree for tree in targets if tree.source in whole or nodes.intersection(tree.graph)]
        return frozenset(node for tree in trees if met.issuperset(tree.graph) for node in tree.graph)

    @property
    def at_random(self) -> frozenset[str]:
        """The questions that were drawn beside the chosen ones: what is said to them is never believed."""
        return frozenset(question for question, each in self.why.items() if each.stream == AT_RANDOM)


@dataclass(frozen=True, eq=False, repr=False)  # asyncio writes out a task's result where it handles signals
class Outcome:
    """Where a run ends: the run, its levels, and the truth about target outputs, by id, where somebody knows it."""

    run: Run
    levels: tuple[Level, ...]
    gold: Mapping[str, float] = field(default_factory=dict)

    @property
    def forest(self) -> Forest:
        return self.run.forest

    @property
    def state(self) -> State:
        return self.run.state

    @property
    def questions(self) -> list[tuple[Request, ...]]:
        """The questions put to raters of role train, one sequence a level and round."""
        return [requests for (role, _), each in self.run.asked.items() if role == Train.name for requests in each]

    @property
    def minutes(self) -> float:
        """The minutes of all raters of role train, decompositions and peeks among them; each reads for themselves."""
        plan = self.run.plan
        rated = [rows for (role, _), rows in self.run.answered.items() if role == Train.name]
        rated.append(tuple(each.rated for each in self.run.peeks))
        of_splits = minutes_of_raters(self.run.splits.rated, plan.splits.rates) if plan.splits else 0.0
        return fsum([*(minutes_of_raters(rows, plan.rates) for rows in rated), of_splits])


# ---- grow ----


def grow(run: Run) -> Step[Run]:
    """Split every source's task until nothing is open, answering what splits wait for on the way."""
    plan = run.plan
    improved = run.splits.decomposer
    name = improved.policy if improved else plan.decomposer
    by_outcome = plan.splits is not None and plan.splits.rater is None  # which is learned from trees that differ
    drawn = {source.id for source, _ in plan.train} if by_outcome else set()
    every = (*plan.train, *plan.target)
    split = yield from carried_out(stages.decompose(run.number, every, name, plan.seed, improved, drawn))
    trees = {slot: done.values[0] for slot, done in split.items() if done.values}
    growing = State().failed(split)
    sources = {source.id: source for source, _ in (*plan.train, *plan.target)}
    while open_ := {slot: graph for slot, graph in trees.items() if graph.open}:
        if plan.growth is None:
            left = min(next(iter(open_.values())).open)
            raise InputError(
                f"the decomposer {plan.decomposer} left the node {left} open: close it, or give it a budget"
            )
        grown, growing = yield from _wave(run, open_, growing, sources, plan.growth)
        trees |= grown
    planted = [_tree(slot, graph) for slot, graph in trees.items()]
    apart = plan.select.sources if plan.select else ()
    forest = Forest.of([source for source, _ in plan.train], [source for source, _ in plan.target], planted, apart)
    state = replace(
        run.state, answers=growing.answers, failures=tuple(dict.fromkeys((*run.state.failures, *growing.failures)))
    )
    if note := _levels_of_no_tree(plan, forest):
        run = run.noted(note)
    return replace(run, forest=forest, order=tuple(run.visit.order(forest, run.number, plan.seed)), state=state)


def _levels_of_no_tree(plan: Recursion, forest: Forest) -> str | None:
    """Say which levels the schedule or the budget names that no tree has, None where there are none."""
    named: dict[str, set[int | str]] = {
        "[[schedule]]": {level for visit in plan.rounds for level in visit.levels or ()},
        "rater.budget.by_level": set(plan.budget.by_level) if plan.budget else set(),
    }
    over = [
        f"{', '.join(map(str, found))} of {where}"
        for where, levels in named.items()
        if (found := sorted(level for level in levels if isinstance(level, int) and level > forest.height))
    ]
    if not over or not forest.trees:
        return None
    return f"no tree has the levels {' and '.join(over)}: the highest, that of the roots, is {forest.height}"


def _tree(slot: str, graph: TaskGraph) -> Tree:
    """Return the tree of a slot of `stages.decompose`."""
    source, _, number = slot.partition("/")
    return Tree(source, int(number), graph)


def _wave(
    run: Run, graphs: Mapping[str, TaskGraph], state: State, sources: Mapping[str, Source], budget: GrowthBudget
) -> Step[tuple[dict[str, TaskGraph], State]]:
    """Split each open node that has what it waits for, then answer what the others wait for."""
    plan, grown = run.plan, dict(graphs)
    met = state.answers.keys() | {failure.subject for failure in state.failures}
    trees = {slot: _tree(slot, graph) for slot, graph in graphs.items()}
    split = yield from carried_out(
        stages.split(run.number, list(trees.values()), state.answers, met, plan.decomposer, budget, plan.seed)
    )
    for slot, graph in graphs.items():
        source = sources[trees[slot].source]
        for node in graph.ready(met):
            done = split[node]
            if done.values:
                grown[slot] = advance(grown[slot], node, done.values, budget, plan.decomposer, source)
            else:
                grown[slot] = grown[slot].close(node, f"closed as it stands: {done.failures[0].cause}")
    state = state.failed(split)
    wanted = [(_tree(slot, graph), node) for slot, graph in grown.items() for node in graph.wanted(met)]
    forest = Forest(sources, tuple(tree for tree, _ in wanted), frozenset())
    place = Place(run.number, "answer", 0)
    stage = stages.propose(
        place, wanted, forest, state, run.policy(0), lambda *_: plan.outputs, plan.seed, plan.count, plan.shows_earlier
    )
    proposed = yield from carried_out(stage)
    answers = {node: done.values[0] for node, done in proposed.items() if done.values}
    return grown, replace(state, answers={**state.answers, **answers}).failed(proposed)


# ---- judge ----


def propose(run: Run, place: Place) -> Step[Run]:
    """Propose outputs at the nodes of a level that the round visits, those passed over whose parts never were."""
    plan = run.plan
    visited = [
        (tree, node)
        for tree, node in run.visit.visited(run.forest, place.level, run.order)
        if node not in run.held or node not in run.state.outputs
    ]
    met = run.state.met()
    nodes = [(tree, node) for tree, node in visited if met.issuperset(tree.graph.children(node))]
    if over := len(visited) - len(nodes):
        some = f"{over} of {len(visited)} nodes are passed over: no round has visited all of their parts yet"
        run = run.noted(f"{place.words(len(plan.rounds) > 1)}: {some}")
    policy = run.policy(place.level)
    stage = stages.propose(
        place, nodes, run.forest, run.state, policy, plan.n, plan.seed, plan.count, plan.shows_earlier
    )
    proposed = yield from carried_out(stage)
    return replace(run, state=_with_outputs(run.state, proposed))


def _with_outputs(state: State, proposed: Results[stages.OutputsJob, Output]) -> State:
    prompt_contexts = {node: done.job.ask.prompt_context for node, done in proposed.items()}
    return state.proposed(prompt_contexts, {node: done.values for node, done in proposed.items()}).failed(proposed)


def rate(run: Run, place: Place, role: type[Role]) -> Step[Run]:
    """Put questions about a level's outputs on training sources to the raters of a role."""
    plan, key = run.plan, (role.name, place.level)
    rater = plan.rater if role is Train else plan.select.rater if plan.select else None
    if rater is None or plan.models or (role is Train and run.chosen_in == run.number):
        return run
    support = yield from claims_support(run, place, role)
    questions, wanted = _questions(run, place, role, support)
    run, questions = yield from in_hindsight(run, place, questions)
    overlap, sheet = (plan.overlap, plan.sheet) if role is Train else (1, 1)
    who = rater, role, plan.seed, overlap, not plan.repeats
    critic = plan.critic if role is Train else None
    raters = Raters(*who, rates=plan.rates, sheet=sheet, grounder=plan.grounder, critic=critic)
    before = run.answered.get(key, ())
    found = yield from put(place, questions, _allowance(run, place, role), raters, before)
    if silent := sum(not done.values for done in found.critiques.values()):
        told = f"of {silent} of {len(found.critiques)} outputs whose claims were to be marked the critic wrote nothing"
        run = run.noted(f"{place.words(len(plan.rounds) > 1)}: {told}")
    if wanted > len(found.asked):
        run = run.noted(_fewer_questions(run, place, len(found.asked), wanted - len(found.asked)))
    rows, earlier = found.rows, _earlier(run, key)
    first, of_targets = plan.given_at(place, run.forest) if role is Train and not earlier else ([], 0)
    if of_targets:
        run = run.noted(f"level {place.level}: recorded ratings about targets teach no model, {of_targets} left out")
    return replace(
        run,
        rated={**run.rated, key: (*first, *earlier, *rows)},
        asked={**run.asked, key: (*run.asked.get(key, ()), tuple(found.asked))},
        answered={**run.answered, key: (*before, *rows)},
        unanswered=run.unanswered | {request for request, done in found.results.items() if not done.values},
        state=run.state.failed(found.results | found.critiques),
    )


def _earlier(run: Run, key: RoleLevel) -> tuple[Rated, ...]:
    """Return the ratings of earlier rounds that a round learns from.

    Where it learns from its own alone and raters are not asked again, those of what stands unchanged count as its own.
    """
    plan, rated = run.plan, run.rated.get(key, ())
    if plan.data == "all":
        return rated
    return () if plan.repeats else tuple(row for row in rated if _stands(run.state, row.request))


def _stands(state: State, request: Request) -> bool:
    """Whether a node's view and outputs are still those that a request shows."""
    if request.node not in state.outputs or state.view(request.node).id != request.view.id:
        return False
    return {shown.text for shown in request.shown} <= {output.text for output in state.outputs[request.node]}


def _fewer_questions(run: Run, place: Place, put: int, fewer: int) -> str:
    return (
        f"{place.words(len(run.plan.rounds) > 1)}: {put} of {put + fewer} questions were put, as there are no others"
        " and people are not asked twice about the same view and outputs"
    )


def claims_support(run: Run, place: Place, role: type[Role]) -> Step[Mapping[str, tuple[float, ...]]]:
    """Return how probably the claims of outputs are supported, by output id, where raters are asked to mark claims.

    By a model of claims fitted to all ratings of the role so far, of levels below and earlier rounds; nothing
    before there are any that say what is accepted. It is as the outputs' raters are shown it.
    """
    plan, top = run.plan, run.forest.height
    nodes = {
        node: tree.source
        for tree, node in run.visit.visited(run.forest, place.level, run.order)
        if role is Train and node in run.state.outputs and not run.forest.is_target(tree)
        if any(parsed(asked)[0] == ClaimMarks.kind and many for asked, many in plan.wanted(tree, node).items())
    }
    rated = tuple(row for (name, _), rows in sorted(run.rated.items()) if name == role.name for row in rows)
    rated += tuple(each.rated for each in run.peeks)
    if plan.checker is None or not nodes or not tells_acceptance(rated):
        return {}
    job = FitJob(Place(run.number, "claims", place.level), place.level == top, role, (), plan.seed, others=rated)
    done = yield from carried_out(stages.fit(job, plan.checker))
    [model] = next(iter(done.values())).values
    groups = {node: (run.state.prompt_contexts[node], run.state.outputs[node]) for node in nodes}
    found = yield from carried_out(stages.support(place, nodes, groups, model))
    return {each.output: each.support for done_ in found.values() for each in done_.values}


def tells_acceptance(rated: Iterable[Rated]) -> bool:
    """Whether some overall rating says what is accepted, which anchors a model of claims."""
    told = (row.feedback for row in rated)
    return any(each.criterion == OVERALL and each.answer.accepted is not None for each in told)


def _questions(
    run: Run, place: Place, role: type[Role], support: Mapping[str, tuple[float, ...]]
) -> tuple[list[Request], int]:
    """Return what raters of a role can be asked about a level's outputs, in the order in which it is asked.

    Where claims are to be marked, they are shown with their `support`, by output id, as far as that is known.
    With the requests, how many questions the round would put if raters could be asked again, 0 where they are.
    """
    plan, state = run.plan, run.state
    wanted = plan.wanted if role is Train else lambda tree, node: plan.select.ratings if plan.select else {}
    nodes = {
        node: tree
        for tree, node in run.visit.visited(run.forest, place.level, run.order)
        if node in state.outputs and not run.forest.is_target(tree)
        if (tree.source in run.forest.apart) == (role is Select)
    }
    at = {
        node: Askable(tree.source, place, state.view(node), state.outputs[node], wanted(tree, node))
        for node, tree in nodes.items()
    }
    earlier = list(chain.from_iterable(run.asked.get((role.name, place.level), ())))
    before = [without_aids(request) for request in earlier]
    unanswered = {without_aids(request).id for request in earlier if request.id in run.unanswered}
    about_now = {each.node for each in before if each.node in at and each.view.id == at[each.node].view.id}
    stale = {each.node for each in before if each.node in at} - about_now
    order = [node for node in run.order if node in at]
    if plan.repeats or role is Select:
        return _with_support(drawn(order, at, plan.seed, asked=before, stale=stale), support), 0
    new = drawn(order, at, plan.seed, asked=before, unanswered=unanswered, stale=stale, repeats=False)
    return _with_support(new, support), len(ask(order, at, _allowance(run, place, role), plan.seed, stale=stale))


def _with_support(requests: Iterable[Request], support: Mapping[str, tuple[float, ...]]) -> list[Request]:
    """Return requests, those to mark claims with the claims' support."""
    return [
        replace(each, shown=tuple(replace(shown, support=support.get(shown.output, ())) for shown in each.shown))
        if each.kind == ClaimMarks.kind and support
        else each
        for each in requests
    ]


def in_hindsight(run: Run, place: Place, questions: Sequence[Request]) -> Step[tuple[Run, list[Request]]]:
    """Return the questions, those in hindsight with what came of their outputs, as the run's rollout has it.

    Those about outputs of which nothing is known to come are left out, and that is noted.
    """
    nodes = dict.fromkeys(each.node for each in questions if each.kind == Hindsight.kind)
    if run.plan.rollout is None or not nodes:
        return run, list(questions)
    texts = {node: _about(run, node) for node in nodes}
    stage = stages.roll_out(place, texts, run.state.outputs, run.plan.rollout, run.plan.seed)
    done = yield from carried_out(stage)
    known = {each.output: each.consequence for found in done.values() for each in found.values}
    shown = [_with_consequences(each, known) if each.kind == Hindsight.kind else each for each in questions]
    kept = [each for each in shown if each.kind != Hindsight.kind or all(one.consequence for one in each.shown)]
    if len(kept) < len(shown):
        left_out = (
            f"{len(shown) - len(kept)} questions in hindsight are not asked: nothing is known to come of an output"
        )
        run = run.noted(f"{place.words(len(run.plan.rounds) > 1)}: {left_out}")
    return run.failed(done), kept


def _about(run: Run, node: str) -> str:
    """Return what a node's outputs are about: the text of its span, or all that its raters are shown."""
    tree = run.forest.tree_of[node]
    span = tree.graph.task(node).span
    return run.state.view(node).text if span is None else run.forest.sources[tree.source].read(span)


def _with_consequences(request: Request, known: Mapping[str, Consequence]) -> Request:
    return replace(request, shown=tuple(replace(each, consequence=known.get(each.output)) for each in request.shown))


def _allowance(run: Run, place: Place, role: type[Role]) -> Allowance:
    """Return what may be asked at a level now: of the run's budget as much as falls to the rounds up to this one."""
    plan = run.plan
    if plan.budget is None or role is Select:
        return Allowance()
    draws = Counter(run.forest.level_of(run.forest.tree_of[node], node) for node in run.order)
    due = plan.budget.share((run.number + 1) / len(plan.rounds), plan.overlap)
    spent = {
        level: Spent(minutes_of_raters(run.answered.get((name, level), ()), plan.rates), sum(map(len, each)))
        for (name, level), each in run.asked.items()
        if name == role.name
    }
    return due.allowance(place.level, run.forest.height, draws, spent)


def fit(run: Run, place: Place, role: type[Role]) -> Step[Run]:
    """Fit the level's model on all its ratings, or take the one fitted earlier that is nearest to it."""
    plan, key = run.plan, (role.name, place.level)
    root = place.level == run.forest.height
    if plan.models:
        if role is not Train:
            return run
        model, note = nearest(plan.models, place.level, root)
        found = replace(run, models={**run.models, key: model})
        return found.noted(note) if note else found
    rated = run.rated.get(key, ())
    lower = sorted(level for name, level in run.models if name == role.name and level < place.level)
    below = run.models[role.name, lower[-1]] if lower else None
    if role is Select and (plan.select is None or not (rated or below)):
        return run
    if not (rated or below or root or any(plan.ratings.values())):
        return run.noted(f"level {place.level} is not judged: nobody is asked about it, and its first outputs are read")
    others = sorted(level for name, level in run.rated if name == role.name and level != place.level)
    current = {node: run.state.view(node).id for node in run.state.prompt_contexts}
    rows, *elsewhere = (
        tuple(stages.with_weights(run.rated.get((role.name, level), ()), current, plan.stale_weight))
        for level in (place.level, *others)
    )
    if stale := sum(row.weight < 1 for row in rows):
        told = "%s: %d of %d ratings are of views that have changed since, and count %g each"
        _log.info(told, place.title, stale, len(rows), plan.stale_weight)
    before = run.models.get(key)
    own = before if before and before.ratings else None  # not one that only served here
    beside = frozenset(row.request.question for row in rows) & run.at_random
    job = FitJob(place, root, role, rows, plan.seed, below, own, tuple(chain.from_iterable(elsewhere)), beside)
    done = yield from carried_out(stages.fit(job, plan.learner))
    [fitted] = next(iter(done.values())).values
    if not rated and below is not None:
        run = run.noted(f"level {place.level} has no ratings: it is judged by the model of level {below.place.level}")
    return replace(run, models={**run.models, key: fitted}).used(place, role, "fit", len(rows))


def nearest(models: Sequence[Fitted], level: int, root: bool) -> tuple[Fitted, str | None]:
    """Return the model for what a node is (a leaf, an inner level, a root), or the nearest with a note that says so."""

    def apart(model: Fitted) -> tuple[bool, bool, int, int]:
        other_kind = model.root != root or (not root and (model.place.level == 0) != (level == 0))
        return model.root != root, other_kind, 0 if root else abs(model.place.level - level), -model.place.level

    found = min(models, key=apart)
    if found.root == root and (root or found.place.level == level):
        return found, None
    what = "roots are" if root else f"level {level} is"
    kind = "roots" if found.root else f"level {found.place.level}"
    return found, f"{what} judged by the model of {kind}, the nearest that was fitted"


def score(run: Run, place: Place) -> Step[Run]:
    """Score the outputs of every visited node of a level, each different text once."""
    model = run.models.get((Train.name, place.level))
    if model is None:
        return run
    state = run.state
    nodes = {
        node: tree.source
        for tree, node in run.visit.visited(run.forest, place.level, run.order)
        if node in state.outputs
    }
    groups = {node: (state.prompt_contexts[node], state.outputs[node]) for node in nodes}
    scored = yield from carried_out(stages.score(place, nodes, groups, model))
    found = predictions((state.outputs[node], scored[node].values) for node in nodes)
    return replace(run, state=replace(state, predictions={**state.predictions, **dict(zip(nodes, found, strict=True))}))


def chosen(run: Run, place: Place) -> Run:
    """Choose each node's best output; parents read it, or now and then on training sources a random one.

    At a level without a model they read the first, unscored; where a tree grew from an answer, that one.
    """
    plan, state = run.plan, run.state
    best: dict[str, int] = {}
    read: dict[str, int] = {}
    unjudged: dict[str, Output] = {}
    for tree, node in run.visit.visited(run.forest, place.level, run.order):
        if node in state.predictions:
            mean, outputs = state.acceptance(node), state.outputs[node]
            best[node] = max(range(len(outputs)), key=lambda at: (mean[at], outputs[at].id))
            read[node] = best[node]
            if node in run.held:
                read[node] = state.read.get(node, best[node])
            elif not run.forest.is_target(tree):
                random = generator("read", plan.seed, node)
                if random.random() < plan.random_share:
                    read[node] = int(random.integers(len(outputs)))
        elif node in state.outputs and node not in state.answers and (Train.name, place.level) not in run.models:
            unjudged[node] = state.outputs[node][0]
    answers = {**state.answers, **unjudged}
    judged = replace(state, chosen={**state.chosen, **best}, read={**state.read, **read}, answers=answers)
    return replace(run, state=judged)


# ---- compose ----


def trace(run: Run) -> Step[Run]:
    """Find out, for every tree that was judged to its root, what its outputs rest on, down to the source."""
    trees = _judged_trees(run)
    if not trees:
        return run
    place = Place(run.number, "answer", max(0, run.forest.height))
    found = yield from carried_out(stages.trace(place, trees, run.state, run.plan.aligner))
    claims = {each.output: each for done in found.values() for each in done.values}
    return replace(run, state=replace(run.state, claims={**run.state.claims, **claims}))


def _judged_trees(run: Run) -> dict[str, list[Tree]]:
    """Return the trees that were judged to their roots, by source; none in a round of some levels alone."""
    if run.visit.levels is not None:
        return {}
    return by_source(tree for tree in run.forest.trees if tree.graph.root in run.state.read)


def compose(run: Run) -> Step[Run]:
    """Join the scores of every tree that was judged to its root, and put them on record."""
    plan, place = run.plan, Place(run.number, "answer", max(0, run.forest.height))
    trees = _judged_trees(run)
    if not trees:
        return run
    scores = content_id("scores", [[role, level, model.digest] for (role, level), model in run.models.items()])
    learned = None
    if plan.composer_learns:
        train = [tree for grown in trees.values() for tree in grown if not run.forest.is_target(tree)]
        rated = [row for (role, level), rows in run.rated.items() if role == Train.name and level > 0 for row in rows]
        stage = stages.learn_composer(place, train, run.state, rated, plan.composer, scores, plan.seed)
        [learned] = (yield from carried_out(stage))["composer"].values
    composer = learned.composer if learned else plan.composer
    informed: Informed = {}
    if plan.reads_back:
        claims = yield from model_of_claims(run)
        informed, run = _read_back(run, trees, claims)
    composed = yield from carried_out(
        stages.compose(place, trees, run.state, composer, learned, run.anchored, scores, informed)
    )
    outputs = run.state.outputs
    found: dict[str, list[Composed]] = defaultdict(list)
    node_of = {output.id: node for node in run.state.read for output in outputs[node]}
    for done in composed.values():
        for each in done.values:
            found[node_of[each.output]].append(each)
    joined = {node: composed_predictions(outputs[node], scores_) for node, scores_ in found.items()}
    return replace(
        run, state=replace(run.state, composed={**run.state.composed, **joined}), learned=learned, informed=informed
    )


def model_of_claims(run: Run) -> Step[Fitted | None]:
    """Fit the model that judges claim by claim on the ratings of all levels, beside the root's model.

    The one that was fitted earlier, where all models were. None where no overall rating says what is accepted, for
    then nothing anchors its scores.
    """
    plan, top = run.plan, run.forest.height
    if plan.models or plan.checker is None:
        return plan.claims
    root = run.models.get((Train.name, top))
    levels = {level: rows for (role, level), rows in sorted(run.rated.items()) if role == Train.name and rows}
    anchored = run.anchored and tells_acceptance(chain.from_iterable(levels.values()))
    if root is None or not anchored:
        return None
    others = tuple(row for level, rows in levels.items() if level != top for row in rows)
    others += tuple(each.rated for each in run.peeks)
    job = FitJob(Place(run.number, "claims", top), True, Train, levels.get(top, ()), plan.seed, root, None, others)
    done = yield from carried_out(stages.fit(job, plan.checker))
    [fitted] = next(iter(done.values())).values
    return fitted if isinstance(fitted, Fitted) else None


def _read_back(run: Run, trees: Mapping[str, Sequence[Tree]], claims: Fitted | None) -> tuple[Informed, Run]:
    """Return every judged node with parts as it is scored anew, beside its view read back to the source.

    A node whose view leads nowhere is left out, and for roots of targets with parts that is noted.
    """
    informed: Informed = {}
    state, alone = run.state, 0
    for source, grown in trees.items():
        text = run.forest.sources[source].text
        for tree in grown:
            known = {output.id: output for node in tree.graph for output in state.outputs.get(node, ())}
            known |= {output.id: output for output in state.answers.values()}
            for node in tree.graph:
                if node in state.read and tree.graph.children(node):
                    view = read_back(state.view(node), state.claims, known, text)
                    model = run.models.get((Train.name, run.forest.level_of(tree, node)))
                    if view is not None and model is not None:
                        span = tree.graph.task(node).span if node != tree.graph.root else None
                        whole = text if span is None else text[span.start : span.end]
                        informed[node] = ReadBack(view, model, claims, whole)
            followed = tree.graph.root in informed or not tree.graph.children(tree.graph.root)
            alone += run.forest.is_target(tree) and not followed
    if alone:
        told = f"{alone} of the targets' roots rest on nothing that leads to the source: their scores are their own"
        return informed, run.noted(told)
    return informed, run


# ---- improve ----


def learned_from(improving: Improving, visit: Round, rounds: Sequence[RoundOutcome]) -> dict[int | None, list[Seen]]:
    """Return the training nodes that policies are improved on after a round, by their level (None: one for all).

    `rounds` are those so far, the last one `visit`'s. Those of sources held apart are left out; of policies for one
    level, only the visited levels are improved. What was shown the same view in several rounds is one node, with the
    latest round's outputs first.
    """
    last = rounds[-1].forest
    visited = visit.levels_of(last) if improving.per_level else range(last.height + 1)
    seen: dict[int | None, dict[tuple[str, str], Seen]] = defaultdict(dict)
    for outcome in improving.learned_rounds(rounds):
        for level, shown in _judged(outcome, last.apart):
            if level in visited:
                here = seen[level if improving.per_level else None]
                key = (shown.prompt_context.node, shown.prompt_context.view.id)
                before = here.pop(key).outputs if key in here else ()
                here[key] = replace(shown, outputs=tuple(dict.fromkeys((*shown.outputs, *before))))
    return {level: list(here.values()) for level, here in seen.items()}


def _judged(outcome: RoundOutcome, apart: Collection[str]) -> Iterator[tuple[int, Seen]]:
    """Yield the training nodes that stood judged at a round's end with their levels, but of sources held apart."""
    forest, state = outcome.forest, outcome.state
    for tree in forest.trees:
        if not forest.is_target(tree) and tree.source not in apart:
            for node in tree.graph:
                if node in state.predictions:
                    shown = Seen(tree.source, state.prompt_contexts[node], state.outputs[node])
                    yield forest.level_of(tree, node), shown


def improve(run: Run) -> Step[Run]:
    """Improve policies against the models of role train, each within the budget of KL from its anchor.

    A policy for all levels is improved on all that was scored; of those for one level, the visited levels' are. A
    level that gets nothing of a tree's budget goes back to its anchor.
    """
    plan = run.plan
    assert plan.improve is not None
    place = Place(run.number, "answer", max(0, run.forest.height))
    seen = learned_from(plan.improve, run.visit, run.rounds)
    models = tuple(model for (role, _), model in sorted(run.models.items()) if role == Train.name)
    composed = composed_by(run, "improving by composed scores") if plan.improve.score == "composed" and seen else None
    tree = tree_budget(run) if plan.improve.budget_of == "tree" and seen else None
    jobs, names = {}, {}
    for level, groups in seen.items():
        last = run.policies.get(level)
        start = last if plan.improve.start == "last" else None
        anchor = last if plan.improve.anchor == "last" else None
        slot = "policy" if level is None else f"policy-{level}"
        seed = seed_for(plan.seed, "improve", run.number, slot)
        budget = plan.improve.kl_budget
        jobs[slot] = stages.ImproveJob(place, level, tuple(groups), models, start, anchor, budget, seed, composed, tree)
        names[slot] = (start.policy if start else plan.policy, anchor.policy if anchor else plan.policy)
    done = yield from carried_out(stages.improve(jobs, place, plan.improve.optimiser, names))
    found = [improvement for each in done.values() for improvement in each.values]
    uses = run.used(place, Train, "improve", sum(len(each.outputs) for groups in seen.values() for each in groups))
    nothing = set(seen) - {each.level for each in found}
    for level in sorted(each for each in nothing if each is not None):
        uses = uses.noted(f"round {run.number + 1}: nothing of the tree's budget of KL is spent at level {level}")
    kept = {at: each for at, each in run.policies.items() if at not in nothing or plan.improve.anchor == "last"}
    return replace(
        uses.failed(done),
        policies={**kept, **{each.level: each for each in found}},
        improvements=(*run.improvements, *found),
    )


def tree_budget(run: Run) -> stages.TreeBudget:
    """Return the training trees by which a budget for whole trees is shared among levels.

    Raises InputError where a round does not judge them to their roots, or where `composed_by` does.
    """
    what = "sharing a tree's budget"
    if run.visit.levels is not None:
        raise InputError(f"{what} takes all of its levels: let every round that improves visit all of them")
    trees = [
        tree
        for tree in run.forest.trees
        if not run.forest.is_target(tree)
        and tree.source not in run.forest.apart
        and tree.graph.root in run.state.predictions
    ]
    return stages.TreeBudget(tuple(trees), run.state, run.forest.height, composed_by(run, what))


def composed_by(run: Run, what: str) -> stages.ComposedBy:
    """Return who makes the run's composed scores.

    Raises InputError, saying `what` needs it, where nothing anchors the scores of some level, or where a composer is
    yet to be learned.
    """
    remedy = 'or leave improve.score and improve.budget_of at "level" and "node"'
    if not run.anchored:
        raise InputError(
            f"{what} needs probabilities of acceptance, and some level has comparisons alone: add labels or ratings at "
            f"every level, {remedy}"
        )
    if run.plan.composer_learns and run.learned is None:
        raise InputError(
            f"{what} needs a composer, and none was learned yet: let a round of all levels come before, {remedy}"
        )
    claims = next((each.claims for each in run.informed.values()), None)
    return stages.ComposedBy(run.learned.composer if run.learned else run.plan.composer, run.learned, claims)


def choose(before: Run, run: Run) -> Step[Run]:
    """Go back to the policy before wherever the judge of role select does not prefer the new one.

    Where the judge's answers are limited and used up, the policy before stays: nobody could say whether the new one
    is better.
    """
    plan = run.plan
    models, proxies = (
        tuple(model for (name, _), model in sorted(run.models.items()) if name == role.name) for role in (Select, Train)
    )
    fresh = {level: each for level, each in run.policies.items() if each is not before.policies.get(level)}
    if plan.select is None or not models or not fresh:
        return run
    place = Place(run.number, "answer", max(0, run.forest.height))
    jobs: dict[str, stages.ChooseJob] = {}
    for level, policy in fresh.items():
        asks = [
            (
                tree.source,
                ProposeJob(run.state.prompt_contexts[node], plan.n(tree, node), seed_for(plan.seed, "choose", node)),
            )
            for tree in run.forest.trees
            if tree.source in run.forest.apart
            for node in tree.graph
            if node in run.state.prompt_contexts and level in (None, run.forest.level_of(tree, node))
        ]
        look = None
        if plan.select.reuse is not None:
            used = sum(choice.by_select for choice in run.choices) + len(jobs)
            if used >= plan.select.reuse.answers:
                run = run.noted(
                    f"the judge of role select has given all {plan.select.reuse.answers} answers that [select.reuse] "
                    "allows: policies that were improved after that were not kept"
                )
                continue
            look = stages.Look(plan.select.reuse, len(run.choices) + len(jobs), used, proxies)
        jobs[f"policy-{level}"] = stages.ChooseJob(place, tuple(asks), models, policy, before.policies.get(level), look)
    done = yield from carried_out(stages.choose(jobs, place))
    choices = [choice for each in done.values() for choice in each.values]
    kept = {choice.policy for choice in choices if choice.chosen}
    policies = {level: each for level, each in run.policies.items() if level not in fresh or each.policy in kept}
    back = {level: before.policies[level] for level in fresh if level not in policies and level in before.policies}
    outputs = sum(2 * ask_.n for job in jobs.values() for _, ask_ in job.asks)
    chosen_ = replace(run, policies={**policies, **back}, choices=(*run.choices, *choices))
    return chosen_.failed(done).used(place, Select, "choose", outputs)


# ---- the end ----


def final(run: Run) -> Step[Outcome]:
    """Ask the final judge, where there is one, about every output that any round proposed for a target."""
    gold: dict[str, float] = {}
    place = Place(run.number, "answer", max(0, run.forest.height))
    if run.plan.gold is not None:
        asked = yield from carried_out(stages.gold(place, _gold_jobs(run), run.plan.gold))
        gold = {each.output: each.value for done in asked.values() for each in done.values}
        run = run.used(place, Final, "report", len(gold)).failed(asked)
    levels = tuple(
        Level(replace(model.place, level=level), run.rated.get((role, level), ()), model)
        for (role, level), model in sorted(run.models.items(), key=lambda each: each[0][1])
        if role == Train.name
    )
    return Outcome(run, levels, gold)


def _gold_jobs(run: Run) -> dict[str, stages.GoldJob]:
    outputs: dict[str, dict[str, tuple[Output, Span | None]]] = defaultdict(dict)
    for each in run.rounds:
        for tree in each.forest.trees:
            for node in tree.graph if each.forest.is_target(tree) else ():
                span = None if node == tree.graph.root else tree.graph.task(node).span
                if span is None and node != tree.graph.root:
                    continue  # None stands for the whole source, which this part is not about
                for output in each.state.outputs.get(node, ()):
                    outputs[tree.source][output.id] = (output, span)
    return {source: stages.GoldJob(source, tuple(found.values())) for source, found in outputs.items()}
