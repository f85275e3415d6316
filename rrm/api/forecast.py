"""What a run would take, before anything is spent: nodes, calls, tokens, ratings, minutes, round by round.

The recursion itself is rehearsed with stand-ins for outputs (`rrm.pipeline.rehearse`), twice. What is expected is
what happens with outputs of a usual length, within the run's budget. At most, nothing limits the questions while
they are rehearsed, and the dearest are counted of those that the budget pays for: shorter outputs leave time for
more questions.
"""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import islice
from math import fsum
from pathlib import Path
from typing import Any, NamedTuple

import anyio

from rrm.api.forecast_engine import engine_json
from rrm.api.look import refuse_notes
from rrm.api.people import raters_each, rates_of
from rrm.api.plugins import takes
from rrm.api.prices import UNLIMITED, Question, Stage, Who, dearest, sum_of
from rrm.api.runfile import Part, RunFile, by_people
from rrm.api.runs import recursion_of
from rrm.api.wiring import Parts, no_assistant
from rrm.assistants.counting import CountingAssistant, Load
from rrm.core.machine import MachineTime, ReadingLoad, TellsTime
from rrm.core.place import Place
from rrm.core.protocols import (
    Assistant,
    AsyncGrounder,
    AsyncPolicy,
    AsyncRater,
    AsyncSheetRater,
    Decomposer,
    ProposeJob,
    Rater,
    RewardLearner,
)
from rrm.core.task import Source
from rrm.core.text import sentence_texts, word_count
from rrm.core.values import Critique, Feedback, Rated, Request, View
from rrm.feedback.budget import Allowance, Budget
from rrm.feedback.minutes import PUBLISHED, RATES, Currency, Tally, minutes, view_size, written_words
from rrm.pipeline.flat import flat_baseline
from rrm.pipeline.forest import Forest
from rrm.pipeline.plan import AnyAction
from rrm.pipeline.recursion import recursion
from rrm.pipeline.rehearse import FULL, USUAL, StandIn, StandIns, rehearsed, with_wordless_roots
from rrm.pipeline.stages import ChooseJob, CriticiseJob, FitJob, OutputsJob, RateJob, ScoreJob, sheets_of
from rrm.pipeline.steps import Recursion
from rrm.raters.simulated import SimulatedRaters
from rrm.reward.criteria import ByCriterion

_SAMPLE = 64  # sentences encoded to see how fast this machine is
_NO_NODES = (
    "the decomposer asks a language model, or grows its trees while their nodes are answered, so the nodes and all"
    " that depends on them are not known before the run; its calls are within limits.max_calls like all others, and"
    " the run goes on where a limit stops it"
)
_REPEATS = (
    "a call that fails or is answered in the wrong form is asked again, which counts as another call and is not"
    " foreseen here, nor are replies beyond an output's limit, such as a model's thinking"
)
_ELSEWHERE = "the {who} waits for somebody who is no assistant of the run file; what it asks is not counted"
_SPLITS = "questions about decompositions are priced by the first trees drawn; those of later rounds may differ"
_CHOSEN = (
    "questions are chosen by what they are worth, which is not known before: from the second round on the levels that"
    " they fall to are a guess, and where asking stops before the budget ends is not foreseen"
)
_PEEKS = (
    "looks at claims in the source are not foreseen: with their share of {share:.0%} they take up to {minutes:,.0f}"
    " minutes of raters beside these"
)
_OPTIMISER = "what the optimiser samples and scores while it improves a policy is not in the machine's minutes"
_UNTOLD = "the reward learner {learner} does not say how long it computes, so the machine's minutes are not known"


def forecast(settings: RunFile, *, strict: bool = False) -> dict[str, Any]:
    """Split the sources as the run would, and do all that it would do with stand-ins; no model is asked.

    Everywhere `expected` has outputs at three quarters of their limits, and one rater for all questions about
    a view, or the people of a simulated panel; `at_most` has them at their limits, and another rater for each
    question. Tokens are in the run's tokenizer; those of model calls count the whole prompt with every call, by
    characters where that is more. What stands under `flat` is the flat baseline's price, in the totals only where
    it is `included`. `strict` refuses sources of which anything was left out.
    """
    parts = CountingParts(settings)
    if strict:
        refuse_notes(parts.notes)
    sources = list({source.id: source for source in (*parts.train, *parts.target)}.values())
    forecast_json: dict[str, Any] = {"sources": {"train": len(parts.train), "target": len(parts.target)}}
    if not isinstance(parts.decomposer, Decomposer):
        tokens = sum(parts.tokenizer.count(source.text) for source in sources)
        unknown = {"source_tokens": tokens, "nodes_per_level": None, "engine": engine_json(settings, None, None)}
        return forecast_json | unknown | {"notes": [*parts.notes, _NO_NODES]}
    usual = Rehearsal(parts, parts.decomposer, USUAL)
    full = Rehearsal(CountingParts(settings, at_most=True), parts.decomposer, FULL)
    prices = PriceRange(anyio.run(usual.prices), anyio.run(full.prices))
    machine = _machine_time(parts, full, sources)
    notes = {"notes": _notes(parts, full, prices, machine is not None)}
    engine = {"engine": engine_json(settings, full.done, machine)}
    return forecast_json | _prices_json(parts, full, prices) | _machine_json(machine) | engine | notes


@dataclass(frozen=True, eq=False)
class CountingParts(Parts):
    """The parts of a run with assistants that only count: no model is loaded, no key is needed."""

    at_most: bool = False

    @cached_property
    def counters(self) -> dict[str, CountingAssistant]:
        count = cache(self.tokenizer.count)  # the same texts are sent again and again
        return {name: CountingAssistant(name, count, self.at_most) for name in self.run.assistants}

    def assistant(self, name: str, asker: str) -> Assistant:
        if name not in self.counters:
            raise no_assistant(name, asker, self.run)
        return self.counters[name]


@dataclass(frozen=True)
class Prices:
    """What a run takes: by round and level, by level over all rounds, in all levels, and beside the levels."""

    places: Mapping[Place, Stage]
    levels: Mapping[int, Stage]
    all_levels: Stage
    splits: Stage
    select: Stage
    flat: Stage | None

    def total(self, with_flat: bool) -> Stage:
        """Return what all of it takes, the flat baseline included or not."""
        flat = [self.flat] if with_flat and self.flat else []
        return sum_of([self.all_levels, self.splits, self.select, *flat])


class PriceRange(NamedTuple):
    """The prices that are expected, and the highest possible ones."""

    expected: Prices
    at_most: Prices


@dataclass(frozen=True, eq=False)
class Limits:
    """What a budget allows the questions of a plan: at a place, at a level in all rounds, and altogether."""

    plan: Recursion
    forest: Forest
    budget: Budget | None

    def at(self, place: Place) -> Allowance:
        """Return what may be asked at a place if nothing was asked before."""
        if self.budget is None:
            return UNLIMITED
        order = self.plan.rounds[place.round].order(self.forest, place.round, self.plan.seed)
        draws = Counter(self.forest.level_of(self.forest.tree_of[node], node) for node in order)
        due = self.budget.share((place.round + 1) / len(self.plan.rounds))
        return due.allowance(place.level, self.forest.height, draws)

    def of_level(self, level: int) -> Allowance:
        return self.budget.allowance(level, self.forest.height, {level: 1}) if self.budget else UNLIMITED

    @property
    def in_all(self) -> Allowance:
        return Allowance(self.budget.minutes, self.budget.questions) if self.budget else UNLIMITED


class Rehearsal:
    """A run that was rehearsed with stand-ins, and what it takes.

    `done` are its actions, and `notes` says what could not be foreseen.
    """

    def __init__(self, parts: CountingParts, decomposer: Decomposer, stand_in: StandIn) -> None:
        self._parts, self._stand_in, self._at_most = parts, stand_in, parts.at_most
        self._rates = rates_of(parts.run.rater)
        self._size, self._widest = cache(parts.tokenizer.count), cache(self._widened)
        rater = parts.run.rater
        self._raters = raters_each(rater)
        self.notes: dict[str, None] = {}
        plan = _of_one_rater(recursion_of(parts))
        freely = replace(plan, budget=None) if self._at_most else plan
        self._answers = StandIns(freely, decomposer, stand_in, 1 if self._at_most else _panel(parts))
        self._outcome, self.done = rehearsed(recursion(freely), self._answers)
        self.limits = Limits(plan, self._outcome.forest, plan.budget if self._at_most else None)

    @property
    def forest(self) -> Forest:
        return self._outcome.forest

    def visited(self, place: Place) -> int:
        """Return how many nodes a round visits at a level."""
        visit, plan = self.limits.plan.rounds[place.round], self.limits.plan
        return len(visit.visited(self.forest, place.level, visit.order(self.forest, place.round, plan.seed)))

    @property
    def tokens_written(self) -> int:
        """Tokens of all outputs at their limits; those by which two policies are compared are written twice."""
        proposed = [action.job.ask for action in self.done if isinstance(action.job, OutputsJob)]
        compared = [ask for action in self.done if isinstance(action.job, ChooseJob) for _, ask in action.job.asks]
        return sum(ask.n * ask.prompt_context.task.max_tokens for ask in (*proposed, *compared, *compared))

    def tokens_fitted(self, of: Callable[[FitJob], Sequence[Rated]]) -> int:
        """Tokens of the views and outputs of those ratings of a fit that `of` returns: each once a fit."""
        fits = [of(action.job) for action in self.done if isinstance(action.job, FitJob)]
        requests = [list({row.request.id: row.request for row in rated}.values()) for rated in fits]
        return sum(self._read({(each.view, shown.text) for each in fit for shown in each.shown}) for fit in requests)

    def tokens_scored(self, of: Callable[[str], bool]) -> int:
        """Tokens of the views with the outputs that are scored, of the sources that `of` says."""
        groups = [action.job.group for action in self.done if isinstance(action.job, ScoreJob)]
        return sum(self._read((group.view, text) for text in group.outputs) for group in groups if of(group.source))

    def _read(self, items: Iterable[tuple[View, str]]) -> int:
        """Return the tokens of outputs and of their views, each view once."""
        views: dict[str, int] = {}
        tokens = 0
        for view, text in items:
            views[view.id] = view_size(view, self._size)
            tokens += self._size(text)
        return tokens + sum(views.values())

    async def prices(self) -> Prices:
        """Return what the run takes."""
        asked = self._asked(self.done, "rate")
        questions = {place: await self._questions(requests, "rater") for place, requests in asked.items()}
        rated = {
            place: self._stage(requests, questions[place], self.limits.at(place)) for place, requests in asked.items()
        }
        levels = {
            level: sum_of(stage for place, stage in rated.items() if place.level == level).or_less(
                dearest(_of_level(questions, level), self.limits.of_level(level))
            )
            for level in range(self.forest.height + 1)
        }
        every = [question for each in questions.values() for question in each]
        in_all = sum_of(levels.values()).or_less(dearest(every, self.limits.in_all))
        made = await self._proposals()
        by_level = {level: sum_of(stage for place, stage in made.items() if place.level == level) for level in levels}
        none = Stage()
        return Prices(
            {
                place: sum_of([rated.get(place, none).by(self._raters), made.get(place, none)])
                for place in sorted({*rated, *made})
            },
            {level: sum_of([stage.by(self._raters), by_level[level]]) for level, stage in levels.items()},
            sum_of([in_all.by(self._raters), *by_level.values()]),
            splits := await self._splits(),
            await self._select(),
            (await self._flat(questions, splits)).by(self._raters) if every else None,
        )

    # ---- proposing ----

    async def _proposals(self) -> dict[Place, Stage]:
        made: dict[Place, list[Stage]] = defaultdict(list)
        for action in self.done:
            if isinstance(action.job, OutputsJob):
                made[action.place].append(Stage(action.job.ask.n, loads=await self._proposed(action.job.ask)))
            elif isinstance(action.job, CriticiseJob):
                made[action.place].append(Stage(loads=await self._criticised(action.job)))
        return {place: sum_of(stages) for place, stages in made.items()}

    async def _proposed(self, ask: ProposeJob) -> Mapping[Who, Load]:
        policy = self._parts.policy
        if not (isinstance(policy, AsyncPolicy) and takes_assistant(self._parts.run.policy, self._parts.run.folder)):
            return {}
        read = self._widest(ask.prompt_context.node, ask.prompt_context.read)
        prompt_context = replace(ask.prompt_context, view=read, earlier="")
        reply = self._stand_in.text(prompt_context.task.max_tokens)
        return await self._counted(
            "policy", lambda: policy.propose_async(replace(ask, prompt_context=prompt_context)), reply
        )

    async def _criticised(self, job: CriticiseJob) -> Mapping[Who, Load]:
        critic, run = self._parts.critic, self._parts.run
        named = run.rater.critic if run.rater else None
        if named is None or not (isinstance(critic, AsyncRater) and takes_assistant(named, run.folder)):
            return {}
        request = self._sized(job.request)
        return await self._counted("rater.critic", lambda: critic.rate_async(request, job.seed), "")

    def _widened(self, node: str, view: View) -> View:
        """Return a view with as much context as it can have at most: outputs below their limits may fill it up."""
        if not (self._at_most and view.context):
            return view
        graph = self.forest.tree_of[node].graph
        return replace(view, context=FULL.text(min(graph.task(node).context_tokens, self._context_before[node])))

    @cached_property
    def _context_before(self) -> dict[str, int]:
        """By node, the most tokens that one output of each node before it has together."""
        tokens: dict[str, int] = {}
        for tree in self.forest.trees:
            for node in tree.graph.in_order():
                before = tree.graph.before(node)
                tokens[node] = 0 if before is None else tokens[before] + tree.graph.task(before).max_tokens
        return tokens

    # ---- rating ----

    def _asked(self, done: Iterable[AnyAction], step: str) -> dict[Place, list[Request]]:
        """Return the questions of a step by place, at most with views and outputs as long as they can be."""
        asked: dict[Place, list[Request]] = defaultdict(list)
        for action in done:
            if action.step == step and isinstance(action.job, RateJob):
                asked[action.place].append(self._sized(action.job.request))
        return dict(asked)

    def _sized(self, request: Request) -> Request:
        if not self._at_most:
            return request
        text = FULL.text(request.view.max_tokens)
        shown = tuple(replace(each, text=text) for each in request.shown)
        return replace(request, view=self._widest(request.node, request.view), shown=shown)

    async def _questions(self, requests: Sequence[Request], part: str) -> list[Question]:
        """Return what questions take; those of a kind about one view are of one size, and stand together."""
        rater = self._parts.run.rater
        if (
            part == "rater"
            and rater is not None
            and rater.sheet > 1
            and requests
            and requests[0].place.subject != "split"
        ):
            return [each for sheet in sheets_of(requests, rater.sheet) for each in await self._on_sheet(sheet, part)]
        same: dict[tuple[str, str, int], list[Request]] = defaultdict(list)
        for request in requests:
            same[request.view.id, request.kind, len(request.shown)].append(request)
        return [await self._question(each[0], len(each), part) for each in same.values()]

    async def _on_sheet(self, sheet: Sequence[Request], part: str) -> list[Question]:
        """Return what the questions of a sheet take: the one call stands with the first of them."""
        rater, _ = self._who_rates(part)
        if len(sheet) == 1 or not isinstance(rater, AsyncSheetRater):
            return [await self._question(each, 1, part) for each in sheet]
        loads = await self._counted(part, lambda: rater.rate_sheet_async(sheet, 0), "")
        grounding = [await self._grounded(each) for each in sheet]
        return [
            self._sized_question(each, 1, {**({} if place else loads), **grounding[place]})
            for place, each in enumerate(sheet)
        ]

    async def _question(self, request: Request, times: int, part: str) -> Question:
        loads = {**await self._rated(request, part), **await self._grounded(request)}
        return self._sized_question(request, times, loads)

    def _sized_question(self, request: Request, times: int, loads: Mapping[Who, Load]) -> Question:
        tokens = view_size(request.view, self._size) + sum(self._size(shown.read) for shown in request.shown)
        return Question(tokens, self._alone(request, RATES), self._alone(request, PUBLISHED), loads, times)

    def _alone(self, request: Request, rates: Currency) -> float:
        """Return a question's minutes with its view read anew."""
        words = sum(word_count(shown.read) for shown in request.shown)
        view, written = view_size(request.view, word_count), written_words(request)
        return rates.cost(Tally(view, words, len(request.shown), 1, written))

    async def _rated(self, request: Request, part: str) -> Mapping[Who, Load]:
        rater, named = self._who_rates(part)
        if named is None or not (isinstance(rater, AsyncRater) and takes_assistant(named, self._parts.run.folder)):
            return {}
        return await self._counted(part, lambda: rater.rate_async(request, 0), "")

    async def _grounded(self, request: Request) -> Mapping[Who, Load]:
        """Return what an assistant is asked to say what the critiques of all raters speak for."""
        grounder, run = self._parts.grounder, self._parts.run
        named = run.rater.critiques if run.rater else None
        if request.kind != Critique.kind or named is None or not isinstance(grounder, AsyncGrounder):
            return {}
        if not takes_assistant(named, run.folder):
            return {}
        said = Critique(self._stand_in.text(request.view.max_tokens))
        rated = Rated(request, Feedback(request.id, self._answers.rater(request), said))
        loads = await self._counted("rater.critiques", lambda: grounder.ground_async(rated, 0), "")
        return {who: Load(each.calls * self._raters, each.tokens * self._raters) for who, each in loads.items()}

    def _who_rates(self, part: str) -> tuple[Rater | AsyncRater | None, Part | None]:
        """Return a rater, where it is no people, and its part of the run file."""
        parts, run = self._parts, self._parts.run
        if part == "rater":
            return parts.rater, run.rater
        return (parts.select_rater, run.select) if part == "select" else (parts.split_rater, run.split_rater)

    def _stage(
        self,
        requests: Sequence[Request],
        questions: Sequence[Question],
        allowance: Allowance,
        rates: Currency | None = None,
    ) -> Stage:
        """Return what questions take: at most the dearest, else all of them, each by the rater who answers it."""
        most = dearest(questions, allowance)
        if self._at_most:
            return most
        answered: dict[str, list[Request]] = defaultdict(list)
        for request in requests:
            answered[self._answers.rater(request)].append(request)
        currencies = rates or self._rates, PUBLISHED
        took, published = (fsum(minutes(each, rates) for each in answered.values()) for rates in currencies)
        return replace(most, minutes=took, published_minutes=published)

    async def _select(self) -> Stage:
        """Return what the judge of role select takes, whom no budget limits."""
        asked = self._asked(self.done, "rate-select")
        stages = [self._stage(each, await self._questions(each, "select"), UNLIMITED) for each in asked.values()]
        return sum_of(stages)

    async def _splits(self) -> Stage:
        """Return what is asked about decompositions, whom no budget limits; outlines are as they are drawn."""
        run = self._parts.run
        asked = [action.job.request for action in self.done if action.step == "rate-splits"]
        part = "splits.rater" if run.splits and run.splits.rater else "rater"
        stage = self._stage(asked, await self._questions(asked, part), UNLIMITED, rates_of(run.split_rater))
        return stage.by(raters_each(run.split_rater))

    async def _flat(self, questions: Mapping[Place, Sequence[Question]], splits: Stage) -> Stage:
        """Return what the flat baseline takes; at most, it is asked as if its outputs took no time to read."""
        if self._at_most:
            allowance = Allowance(self._most_minutes(questions) + splits.minutes)
            _, done = rehearsed(flat_baseline(with_wordless_roots(self._outcome), allowance), self._answers)
        else:
            allowance = UNLIMITED
            _, done = rehearsed(flat_baseline(self._outcome), self._answers)
        asked = [request for requests in self._asked(done, "rate").values() for request in requests]
        return self._stage(asked, await self._questions(asked, "rater"), allowance)

    def _most_minutes(self, questions: Mapping[Place, Sequence[Question]]) -> float:
        """Return the most minutes that raters take for the questions of all levels, views read anew."""
        levels = {place.level for place in questions}
        each = [dearest(_of_level(questions, level), self.limits.of_level(level)).minutes for level in levels]
        every = [question for each in questions.values() for question in each]
        return min(fsum(each), dearest(every, self.limits.in_all).minutes)

    # ---- asking assistants that only count ----

    async def _counted(self, part: str, ask: Callable[[], Awaitable[object]], reply: str) -> Mapping[Who, Load]:
        """Return what the assistants were asked meanwhile."""
        for assistant in self._parts.counters.values():
            assistant.reply = reply
        try:
            await ask()
        except Exception as error:  # a plug-in's own code, which may not know what to do with stand-ins
            self.notes[f"the {part} could not be rehearsed to its end: {type(error).__name__}: {error}"] = None
        loads = {(name, part): assistant.take() for name, assistant in self._parts.counters.items()}
        return {who: load for who, load in loads.items() if load.calls}


def takes_assistant(part: Part, folder: Path | None) -> bool:
    """Whether a part is given an assistant of the run file, so that asking it asks nobody else."""
    return takes(part.plugin, "assistant", folder)


def _of_level(questions: Mapping[Place, Sequence[Question]], level: int) -> list[Question]:
    return [question for place, each in questions.items() if place.level == level for question in each]


def _panel(parts: Parts) -> int:
    """Return how many raters are expected to read: a simulated panel's people, else one for all questions."""
    return len(parts.rater.people) if isinstance(parts.rater, SimulatedRaters) else 1


def _of_one_rater(plan: Recursion) -> Recursion:
    """Return a plan with one rater for each question, and that rater's share of the budget's minutes."""
    if plan.budget is None or plan.overlap == 1:
        return replace(plan, overlap=1)
    return replace(plan, overlap=1, budget=plan.budget.among(plan.overlap))


# ---- as plain values ----


def _prices_json(parts: Parts, full: Rehearsal, prices: PriceRange) -> dict[str, Any]:
    expected, most = prices
    total = expected.total(parts.flat), most.total(parts.flat)
    took = _between(total, lambda stage: round(stage.minutes, 1))
    nodes = [len(full.forest.level(level)) for level in most.levels]
    flat = None if expected.flat is None or most.flat is None else _stage_json(expected.flat, most.flat)
    return {
        "nodes_per_level": nodes,
        "outputs": total[1].outputs,
        "ratings": most.all_levels.ratings,
        "select_ratings": most.select.ratings,
        "flat_ratings": most.flat.ratings if parts.flat and most.flat else 0,
        "levels": [
            {"level": level, "nodes": nodes[level], **_stage_json(expected.levels[level], stage)}
            for level, stage in most.levels.items()
        ],
        "rounds": [
            {"round": number, "levels": _round_json(full, prices, number)}
            for number in range(len(full.limits.plan.rounds))
        ],
        "splits": _stage_json(expected.splits, most.splits) if parts.run.splits else None,
        "select": _stage_json(expected.select, most.select) if parts.run.select else None,
        "flat": None if flat is None else {"included": parts.flat, **flat},
        "assistants": _assistants_json(*total),
        "model_calls": total[1].load.calls,
        "model_tokens": _between(total, lambda stage: stage.load.tokens),
        "rater_minutes": took,
        "people_minutes": _people_minutes(parts.run, took, prices),
    }


def _people_minutes(run: RunFile, took: dict[str, float], prices: PriceRange) -> dict[str, float] | None:
    """Return what people's time comes to: all that is rated, or decompositions alone; None where no people rate."""
    if by_people(run.rater):
        return took
    of_splits = prices.expected.splits, prices.at_most.splits
    return _between(of_splits, lambda stage: round(stage.minutes, 1)) if by_people(run.split_rater) else None


def _round_json(full: Rehearsal, prices: PriceRange, number: int) -> list[dict[str, Any]]:
    """Return what each level of a round takes."""
    none = Stage()
    return [
        {
            "level": place.level,
            "nodes": full.visited(place),
            **_stage_json(prices.expected.places.get(place, none), stage),
        }
        for place, stage in prices.at_most.places.items()
        if place.round == number
    ]


def _stage_json(expected: Stage, most: Stage) -> dict[str, Any]:
    stages = expected, most
    return {
        "outputs": most.outputs,
        "ratings": most.ratings,
        "expected_ratings": expected.ratings,
        "tokens_shown": _between(stages, lambda stage: stage.tokens_shown),
        "minutes": _between(stages, lambda stage: round(stage.minutes, 1)),
        "published_minutes": _between(stages, lambda stage: round(stage.published_minutes, 1)),
        "model_calls": most.load.calls,
        "model_tokens": _between(stages, lambda stage: stage.load.tokens),
    }


def _between(stages: tuple[Stage, Stage], measure: Callable[[Stage], float]) -> dict[str, float]:
    expected, most = (measure(stage) for stage in stages)
    return {"expected": min(expected, most), "at_most": most}  # a budget may end a run before all that is expected


def _assistants_json(expected: Stage, most: Stage) -> dict[str, dict[str, Any]]:
    """Return by assistant, and by the part that asks it, calls and tokens."""
    found: dict[str, dict[str, Any]] = {}
    for (name, who), load in most.loads.items():
        tokens = {"expected": expected.loads.get((name, who), Load()).tokens, "at_most": load.tokens}
        found.setdefault(name, {})[who] = {"calls": load.calls, "tokens": tokens}
    return found


def _notes(parts: Parts, full: Rehearsal, prices: PriceRange, told: bool) -> list[str]:
    """Return what a forecast leaves out; `told` says whether it has the machine's time."""
    run, notes = parts.run, [*parts.notes, *full.notes]
    if isinstance(parts.policy, AsyncPolicy) and not takes_assistant(run.policy, run.folder):
        notes.append(_ELSEWHERE.format(who="policy"))
    judges: list[tuple[str, Part | None, object]] = [
        ("rater", run.rater, parts.rater),
        ("judge of role select", run.select, parts.select_rater),
    ]
    if run.splits and run.splits.rater:
        judges.append(("judge of decompositions", run.splits.rater, parts.split_rater))
    if run.rater and run.rater.critic:
        judges.append(("critic", run.rater.critic, parts.critic))
    for who, part, rater in judges:
        if part is not None and isinstance(rater, AsyncRater) and not takes_assistant(part, run.folder):
            notes.append(_ELSEWHERE.format(who=who))
    if run.improve is not None:
        notes.append(_OPTIMISER)
    if prices.at_most.splits.ratings:
        notes.append(_SPLITS)
    if run.rater is not None and run.rater.sampler is not None:
        notes.append(_CHOSEN)
    if run.rater is not None and run.rater.peeks:
        most = prices.at_most.all_levels.minutes * run.rater.peeks / (1 - run.rater.peeks)
        notes.append(_PEEKS.format(share=run.rater.peeks, minutes=most))
    if not told:
        notes.append(_UNTOLD.format(learner=_learner(parts).name))
    return [*notes, _REPEATS] if prices.at_most.total(parts.flat).load.calls else notes


# ---- this machine ----


def _learner(parts: Parts) -> RewardLearner:
    """Return the learner that the run file names."""
    return parts.learner.learner if isinstance(parts.learner, ByCriterion) else parts.learner


def _machine_time(parts: Parts, full: Rehearsal, sources: Sequence[Source]) -> MachineTime | None:
    """Return what reward models take on this machine; None where their learner does not tell."""
    learner = _learner(parts)
    if not isinstance(learner, TellsTime):
        return None
    some = tuple(islice((text for source in sources for text in sentence_texts(source.text)), _SAMPLE))
    texts = sum(parts.tokenizer.count(source.text) for source in sources) + full.tokens_written
    targets = {source.id for source in parts.target}
    load = ReadingLoad(
        texts, full.tokens_fitted(lambda job: job.rated), full.tokens_fitted(lambda job: job.others),
        full.tokens_scored(lambda source: source not in targets), full.tokens_scored(targets.__contains__),
        some, sum(map(parts.tokenizer.count, some)),
    )  # fmt: skip
    return learner.machine_time(load)


def _machine_json(found: MachineTime | None) -> dict[str, Any]:
    if found is None:
        return {"machine_tokens": None, "machine_minutes": None}
    return {"machine_tokens": found.tokens, "machine_minutes": round(found.seconds / 60, 1)}
