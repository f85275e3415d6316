"""From a run file to working parts: loads plug-ins, stacks assistants, hands the driver its executors."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rrm.api.look import BEGAN
from rrm.api.plugins import expand, load, make, named, stays_alive, takes
from rrm.api.runfile import PEOPLE, GrowthPart, Part, RewardPart, RoundPart, RunFile, by_people
from rrm.assistants.books import Books
from rrm.assistants.budget import Budget, Spent
from rrm.assistants.lent import Lending, Lent
from rrm.backbone.tokens import HuggingFaceTokenizer, load_tokenizer
from rrm.compose.align import Aligner
from rrm.compose.tree import check_composer
from rrm.core.asking import BelievingLearner, QuestionSampler
from rrm.core.errors import ConfigError, InputError, PluginError, RoleError, RrmError, in_one_line
from rrm.core.ids import seed_for
from rrm.core.protocols import (
    REPLIES,
    Assistant,
    AsyncDecomposer,
    AsyncGrounder,
    AsyncGrowingDecomposer,
    AsyncPolicy,
    AsyncRater,
    AsyncRollout,
    AsyncSheetRater,
    Cache,
    Composer,
    ComposerLearner,
    Decomposer,
    GoldSet,
    Grounder,
    GrowingDecomposer,
    NodeSampler,
    Optimiser,
    OutcomeOptimiser,
    Policy,
    Prefetching,
    Rater,
    RecordedRatings,
    RewardLearner,
    Rollout,
    SourceSet,
    SplitOptimiser,
    SplitSampler,
)
from rrm.core.roles import for_reporting
from rrm.core.task import Source, Span
from rrm.core.values import Rated
from rrm.feedback.sample import UniformNodes
from rrm.feedback.select import flattened
from rrm.files.folders import HERE, Folders
from rrm.interchange.preferences import Reading, RecordedPreferences
from rrm.interchange.rows import name_of
from rrm.pipeline.schedule import Level, Round, check_rounds
from rrm.reward.criteria import ByCriterion
from rrm.store.record import SqlStore

if TYPE_CHECKING:
    from rrm.assistants.limit import Pace

PRECISION = "precision"
"""Under this name a record says in which precision, float32 or bfloat16, the run's vectors are computed."""

_BLEND = "rrm.reward.blend:Blend"

AnyDecomposer = Decomposer | AsyncDecomposer | GrowingDecomposer | AsyncGrowingDecomposer


@dataclass(frozen=True)
class ReadCache:
    """A cache that is looked up and not added to."""

    cache: Cache

    def get_many(self, table: str, keys: Sequence[str]) -> dict[str, bytes]:
        return self.cache.get_many(table, keys)

    def put_many(self, table: str, items: Mapping[str, bytes]) -> None:
        """Keep nothing."""


@dataclass(frozen=True, eq=False)
class OnlyCache:
    """A run's cache for plug-ins: what is put is found again, and nothing else that the record holds can be asked."""

    _get: Callable[[str, Sequence[str]], dict[str, bytes]] = field(repr=False)
    _put: Callable[[str, Mapping[str, bytes]], None] = field(repr=False)

    @classmethod
    def of(cls, cache: Cache) -> "OnlyCache":
        return cls(cache.get_many, cache.put_many)

    def get_many(self, table: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return those of the keys that are there; raise RoleError for replies of models, a judge's among them."""
        self._refuse_replies(table)
        return self._get(table, keys)

    def put_many(self, table: str, items: Mapping[str, bytes]) -> None:
        """Keep values by key; raise RoleError for replies of models."""
        self._refuse_replies(table)
        self._put(table, items)

    def _refuse_replies(self, table: str) -> None:
        if table == REPLIES:
            raise RoleError("replies of models are kept for who asked: a plug-in cannot read or write them itself")


@dataclass(frozen=True, eq=False)
class Parts:
    """The working parts of a run, each made when it is first asked for."""

    run: RunFile
    store: SqlStore | None = None
    looking: bool = False  # nothing is written to the store
    brought: Mapping[str, Source] | None = None  # sources that are not read here, but come by and by
    lending: Lending = field(default_factory=Lending, init=False, repr=False)
    _made: "dict[str, tuple[Assistant, Pace]]" = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def folders(self) -> Folders:
        """Where the files that the run file names are looked for."""
        began = self.store.setting(BEGAN) if self.store else None
        places = [
            ("beside the run file", self.run.folder),
            ("where the run was begun", Path(began) if began else None),
            (HERE, Path()),
        ]
        return Folders(tuple((name, folder) for name, folder in places if folder is not None))

    @cached_property
    def budget(self) -> Budget:
        """What the run may still spend, with what it spent before it was last stopped."""
        before = self.store.spent() if self.store else {}
        spent = Spent(int(before.get("calls", 0)), int(before.get("tokens", 0)))
        return Budget(self.run.limits.max_calls, self.run.limits.max_tokens, spent)

    @cached_property
    def books(self) -> Books:
        """Where model calls, what they took and their replies stand on record."""
        return Books(self.store)

    def assistant(self, name: str, asker: str) -> Assistant:
        """Return an assistant of the run file for the part that asks; all share its model and its pace."""
        from rrm.assistants.stack import stacked

        model, pace = self._model(name, asker)
        return stacked(
            model,
            asker=asker,
            books=self.books,
            budget=self.budget,
            pace=pace,
            attempts=self.run.assistants[name].attempts,
        )

    @cached_property
    def tokenizer(self) -> HuggingFaceTokenizer:
        name = self.run.policy.arguments.get("tokenizer", "minilm")
        return load_tokenizer(name if isinstance(name, str) else "minilm")

    @property
    def concurrency(self) -> int:
        """How many calls may wait side by side."""
        return max((part.concurrency for part in self.run.assistants.values()), default=8)

    @cached_property
    def decomposer(self) -> AnyDecomposer:
        made = self.make(self.run.decomposer, "decomposer", **self._computing(self.run.decomposer))
        if not isinstance(made, Decomposer | AsyncDecomposer | GrowingDecomposer | AsyncGrowingDecomposer):
            raise _unfit(made, (Decomposer, AsyncDecomposer, GrowingDecomposer, AsyncGrowingDecomposer), "decomposer")
        if isinstance(made, Decomposer | AsyncDecomposer) and self.run.growth != GrowthPart():
            at_once = f"{type(made).__module__}:{type(made).__qualname__} splits a source at once"
            raise ConfigError(f"[growth] limits decomposers that grow their trees, and {at_once}: leave it out")
        return made

    @property
    def grows(self) -> bool:
        """Whether the decomposer splits a node, waits for answers, and splits again."""
        return not isinstance(self.decomposer, Decomposer | AsyncDecomposer)

    @cached_property
    def policy(self) -> Policy | AsyncPolicy:
        made = self.make(self.run.policy, "policy", **self._computing(self.run.policy))
        if isinstance(made, Policy | AsyncPolicy):
            return made
        raise _unfit(made, (Policy, AsyncPolicy), "policy")

    @cached_property
    def rater(self) -> Rater | AsyncRater | None:
        """Who rates; None for people and where nobody is asked."""
        if self.run.rater is None or by_people(self.run.rater):
            return None
        made = self._rater(self.run.rater, "rater")
        if self.run.rater.sheet > 1 and not isinstance(made, AsyncSheetRater):
            raise PluginError(
                f"[rater] sheet = {self.run.rater.sheet}, but {made.name} answers one question at a time: it has no"
                " rate_sheet_async; leave `sheet` out"
            )
        return made

    @property
    def rater_name(self) -> str:
        return PEOPLE if self.rater is None else self.rater.name

    @property
    def flat(self) -> bool:
        """Whether the flat baseline is rated and fitted.

        As the run file says; where it says nothing, not if people rate or a rater that has to be waited
        for, such as a language model: they would be shown a whole source for every rating.
        """
        if self.run.flat is not None:
            return self.run.flat
        return not by_people(self.run.rater) and not isinstance(self.rater, AsyncRater)

    @cached_property
    def select_rater(self) -> Rater | AsyncRater | None:
        """The rater of role select, None without one; raise ConfigError where it is the rater of role train."""
        if self.run.select is None:
            return None
        made = self._rater(self.run.select, "select")
        if self.run.rater is not None and _judge(self.run.select) == _judge(self.run.rater):
            raise ConfigError(
                f"[select] is the same judge as [rater], {made.name}: who is optimised against cannot choose, so give"
                " [select] another rater, or another seed, model or instruction"
            )
        return made

    def _rater(self, part: Part, where: str) -> Rater | AsyncRater:
        made = self.make(part, where)
        if isinstance(made, Rater | AsyncRater):
            return made
        raise _unfit(made, (Rater, AsyncRater), where)

    @cached_property
    def grounder(self) -> Grounder | AsyncGrounder | None:
        """Who says which outputs critiques speak for; None where nobody does."""
        if self.run.rater is None or self.run.rater.critiques is None:
            return None
        made = self.make(self.run.rater.critiques, "rater.critiques")
        if isinstance(made, Grounder | AsyncGrounder):
            return made
        raise _unfit(made, (Grounder, AsyncGrounder), "rater.critiques")

    @cached_property
    def rollout(self) -> Rollout | AsyncRollout | None:
        """Who says what comes of outputs, for raters in hindsight; None where nobody does."""
        if self.run.rater is None or self.run.rater.hindsight is None:
            return None
        made = self.make(self.run.rater.hindsight, "rater.hindsight")
        if isinstance(made, Rollout | AsyncRollout):
            return made
        raise _unfit(made, (Rollout, AsyncRollout), "rater.hindsight")

    @cached_property
    def critic(self) -> Rater | AsyncRater | None:
        """Who writes what raters of claims are shown about outputs; None where nobody does."""
        if self.run.rater is None or self.run.rater.critic is None:
            return None
        return self._rater(self.run.rater.critic, "rater.critic")

    @cached_property
    def sampler(self) -> QuestionSampler | None:
        """Who chooses the questions of later rounds; None where they are drawn evenly.

        Raises ConfigError for settings with which it could not choose.
        """
        rater = self.run.rater
        if rater is None or rater.sampler is None:
            return None
        made = self.make(rater.sampler, "rater.sampler")
        if not isinstance(made, QuestionSampler):
            raise _unfit(made, (QuestionSampler,), "rater.sampler")
        _check_sampler(made, self.run, len(self.rounds))
        return made if self.believer else None  # who learns must say what is believed, or nothing can be chosen

    @property
    def believer(self) -> BelievingLearner:
        """The learner, as one that says what is believed; raise PluginError where it does not."""
        learner = self._own_learner
        name = f"{type(learner).__module__}:{type(learner).__qualname__}"
        if not isinstance(learner, BelievingLearner):
            raise PluginError(
                f"[rater.sampler] a sampler chooses by what is believed of rewards, which {name} does not say (it has"
                " no believe and no_belief): take rrm.reward.frozen:Frozen, rrm.reward.joint:Joint or"
                " rrm.reward.blend:Blend as [reward] plugin, put rrm.reward.drawn:Drawn around a PlainLearner, or leave"
                " the sampler out, and questions are drawn evenly"
            )
        if learner.no_belief is not None:
            raise ConfigError(
                f"[rater.sampler] nothing can be believed of what {name} fits: {learner.no_belief}, or leave the"
                " sampler out, and questions are drawn evenly"
            )
        return learner

    @cached_property
    def learner(self) -> RewardLearner:
        """Who fits the reward models; each criterion that raters used has a model of its own."""
        return ByCriterion(self._own_learner)

    @cached_property
    def _own_learner(self) -> RewardLearner:
        offered: dict[str, Any] = {"device": self.run.reward.device, "dtype": self._dtype(), "cache": self.cache}
        made = self.make(self._reliable(self.run.reward), "reward", **offered)
        if isinstance(made, RewardLearner):
            return made
        raise _unfit(made, (RewardLearner,), "reward")

    @property
    def prefetching(self) -> Prefetching | None:
        """The learner, where it can read pieces of sources before it is asked about them."""
        return self._own_learner if isinstance(self._own_learner, Prefetching) else None

    @property
    def cache(self) -> Cache | None:
        """Where vectors are kept: the run's record, which is only looked up where nothing is written to it."""
        if self.store is None:
            return None
        return OnlyCache.of(ReadCache(self.store) if self.looking else self.store)

    def _computing(self, part: Part) -> dict[str, Any]:
        """Return what a part that computes with a model is offered: the run's precision and its cache."""
        if part.made is not None or not takes(part.plugin, "dtype", self.run.folder):
            return {}
        return {"dtype": self._dtype(), "cache": self.cache}

    def _reliable(self, reward: RewardPart) -> Part:
        """Return the learner's part; where people rate they differ, and each sees an order of its own."""
        frozen = reward.plugin == RewardPart.plugin or (reward.plugin == _BLEND and "learners" not in reward.arguments)
        if by_people(self.run.rater) and reward.made is None and frozen:
            return replace(reward, arguments={"reliability": True, **reward.arguments})
        return reward

    def _dtype(self) -> str:
        """Return the precision of vectors: a run keeps what it began with, for others would be other vectors.

        Raises InputError if the settings ask for another.
        """
        from rrm.backbone.load import precision_name, resolve

        asked = self.run.reward.dtype
        recorded = self.store.setting(PRECISION) if self.store else None
        if recorded is not None:
            if asked not in ("auto", recorded):
                raise InputError(
                    f"the run was begun in {recorded} and cannot go on in {asked}: leave reward.dtype auto, or use"
                    " a new directory"
                )
            return str(recorded)
        _, autocast = resolve(self.run.reward.device, asked)
        if self.store is not None and not self.looking:
            self.store.settle(PRECISION, precision_name(autocast))
        return precision_name(autocast)

    def require_device(self) -> None:
        """Raise InputError where there is no device as the settings name it, which a run that goes on may change."""
        from rrm.backbone.load import resolve

        resolve(self.run.reward.device, self._dtype())

    @cached_property
    def aligner(self) -> Aligner:
        """Who finds what claims rest on, by MiniLM's vectors: in the cache, if the reward models read with it."""
        from rrm.backbone.encoder import CachedEncoder, FrozenEncoder

        encoder = FrozenEncoder(device=self.run.reward.device, dtype=self._dtype())
        return Aligner(CachedEncoder(encoder, self.cache))

    @cached_property
    def claim_learner(self) -> RewardLearner:
        """Who fits the model of claims, on MiniLM's vectors: in the cache, if the reward models read with it."""
        from rrm.reward.claimwise import Claimwise

        return Claimwise(device=self.run.reward.device, dtype=self._dtype(), cache=self.cache)

    @property
    def claim_learner_name(self) -> str:
        """The name of `claim_learner`, told without torch, whose import takes seconds."""
        from rrm.backbone.encoder import FrozenEncoder
        from rrm.reward.claim_config import ClaimwiseConfig, claimwise_name

        encoder = FrozenEncoder(device=self.run.reward.device, dtype=self._dtype())
        return claimwise_name(encoder.name, ClaimwiseConfig())

    @cached_property
    def _compose(self) -> Composer | ComposerLearner:
        made = self.make(self.run.compose, "compose")
        if isinstance(made, Composer):
            check_composer(made)
            return made
        if isinstance(made, ComposerLearner):
            return made
        raise _unfit(made, (Composer, ComposerLearner), "compose")

    @property
    def composer(self) -> Composer:
        """The run's composer; raise InputError where one is learned."""
        if isinstance(self._compose, Composer):
            return self._compose
        raise InputError(f"[compose] {self._compose.name} learns a composer, and nothing was learned yet")

    @property
    def composer_name(self) -> str:
        return self._compose.name

    @property
    def composer_learner(self) -> ComposerLearner:
        """Who learns the composer; raise InputError where none is learned."""
        if isinstance(self._compose, Composer):
            raise InputError(f"[compose] {self._compose.name} is a composer, and learns none")
        return self._compose

    @property
    def learns_composer(self) -> bool:
        return not isinstance(self._compose, Composer)

    @cached_property
    def optimiser(self) -> Optimiser:
        """Who improves policies; raise InputError where none is named."""
        if self.run.improve is None:
            raise InputError("the run file names no optimiser: add [improve] plugin = ...")
        made = self.make(self.run.improve, "improve")
        if isinstance(made, Optimiser):
            return made
        raise _unfit(made, (Optimiser,), "improve")

    @cached_property
    def split_optimiser(self) -> SplitOptimiser | OutcomeOptimiser:
        """Who improves the decomposer; raise InputError where nobody is named."""
        if self.run.splits is None:
            raise InputError("the run file names no optimiser of its decomposer: add [splits] plugin = ...")
        if not isinstance(self.decomposer, SplitSampler):
            raise _unfit(self.decomposer, (SplitSampler,), "decomposer")
        made = self.make(self.run.splits, "splits")
        if not isinstance(made, SplitOptimiser | OutcomeOptimiser):
            raise _unfit(made, (SplitOptimiser, OutcomeOptimiser), "splits")
        if isinstance(made, OutcomeOptimiser):
            _check_outcomes(made, self.run)
        return made

    @cached_property
    def split_rater(self) -> Rater | AsyncRater | None:
        """Who compares decompositions: a rater of their own, or the run's; None for people."""
        if self.run.splits is None or self.run.splits.rater is None:
            return self.rater
        return None if by_people(self.run.splits.rater) else self._rater(self.run.splits.rater, "splits.rater")

    @cached_property
    def split_learner(self) -> RewardLearner:
        """Who fits the reward models of decompositions."""
        if self.run.splits is None:
            raise InputError("the run file has no [splits], so there are no models of decompositions")
        made = self.make(self.run.splits.reward, "splits.reward")
        if isinstance(made, RewardLearner):
            return made
        raise _unfit(made, (RewardLearner,), "splits.reward")

    @cached_property
    def rounds(self) -> tuple[Round, ...]:
        """The schedule: so many whole rounds, or as the run file writes it."""
        if not self.run.schedule:
            return (Round(),) * self.run.rounds
        found = tuple(self._round(part, at) for at, part in enumerate(self.run.schedule) for _ in range(part.times))
        check_rounds(found)
        return found

    def _round(self, part: RoundPart, at: int) -> Round:
        nodes = UniformNodes() if part.nodes is None else self.make(part.nodes, f"schedule.{at}.nodes")
        targets = part.targets if part.targets is not None else part.levels is None and part.nodes is None
        if not isinstance(nodes, NodeSampler):
            raise _unfit(nodes, (NodeSampler,), f"schedule.{at}.nodes")
        return Round(part.levels, nodes, targets, part.improve)

    @cached_property
    def train_set(self) -> SourceSet | None:
        return self._set(self.run.train, "train") if self.run.train else None

    @cached_property
    def target_set(self) -> SourceSet:
        return self._set(self.run.target, "target")

    def _set(self, part: Part, where: str) -> SourceSet:
        made = self.make(part, where)
        if isinstance(made, GoldSet):
            return SealedGold(made)
        if isinstance(made, SourceSet):
            return made
        raise _unfit(made, (SourceSet,), where)

    @property
    def gold(self) -> "SealedGold | None":
        """The truth about targets, where their set knows it; reports alone are told."""
        return self.target_set if isinstance(self.target_set, SealedGold) else None

    @cached_property
    def train(self) -> list[Source]:
        return self._sources(self.train_set, "train") if self.train_set else []

    @cached_property
    def target(self) -> list[Source]:
        return self._sources(self.target_set, "target")

    @property
    def weights(self) -> dict[str, float]:
        """How much targets count where questions are chosen, by their ids: those that are not named count 1.

        Raises ConfigError for titles that no target has or several have, and where no target counts.
        """
        given = self.run.target.weights
        if given and (self.run.rater is None or self.run.rater.sampler is None):
            raise ConfigError("target.weights say what [rater] sampler asks for, and there is none: leave them out")
        ids: dict[str, set[str]] = defaultdict(set)
        for source in self.target:
            ids[source.title].add(source.id)
        for title in given:
            if len(ids.get(title, ())) != 1:
                known = "several targets are" if title in ids else "no target is"
                raise ConfigError(f"target.weights: {known} called {title!r}; there are {', '.join(ids)}")
        found = {id_: weight for title, weight in given.items() for id_ in ids[title]}
        if given and not any(found.get(source.id, 1.0) for source in self.target):
            raise ConfigError("target.weights: no target counts; give one of them a weight above 0")
        return found

    def _sources(self, found: SourceSet, where: str) -> list[Source]:
        try:
            with stays_alive(f"[{where}] {found.name}"):
                given: object = found.sources()
        except (RrmError, OSError):
            raise
        except Exception as error:
            cause = f"{type(error).__name__}: {in_one_line(error)}"
            raise PluginError(f"[{where}] {found.name} gives no sources: {cause}") from error
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise PluginError(f"[{where}] {found.name} must return a list of Sources, got {type(given).__name__}")
        sources = list(given)
        for each in sources:
            if not isinstance(each, Source):
                raise PluginError(f"[{where}] {found.name} must return Sources, got {type(each).__name__} among them")
            if not (isinstance(each.title, str) and isinstance(each.text, str)):
                raise PluginError(f"[{where}] {found.name} must return Sources whose title and text are a str")
        if not sources:
            raise InputError(f"[{where}] {found.name} has no sources: give it one at least")
        blank = next((source for source in sources if not source.text.strip()), None)
        if blank is not None:
            raise InputError(f"[{where}] the source {blank.title!r} has no text: leave it out")
        return sources

    @cached_property
    def sources(self) -> Mapping[str, Source]:
        if self.brought is not None:
            return self.brought
        return {source.id: source for source in (*self.train, *self.target)}

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out of the sources and the recorded ratings, or taken for something else, in sentences."""
        of_sources = (note for source in (*self.train, *self.target) for note in source.notes)
        return tuple(dict.fromkeys([*of_sources, *(note for each in self._recorded for note in each.guesses)]))

    @property
    def apart(self) -> frozenset[str]:
        """The training sources held apart for the judge of role select: a share of them, by the seed.

        At least two where there are four or more, so that the judge need not choose on what it was fitted to.
        """
        if self.run.select is None:
            return frozenset()
        ids = sorted({source.id for source in self.train}, key=lambda id_: seed_for(self.run.seed, "apart", id_))
        if len(ids) < 2:
            raise ConfigError("[select] holds training sources apart, which takes two or more of them")
        least = 2 if len(ids) >= 4 else 1
        return frozenset(ids[: min(len(ids) - 1, max(least, round(self.run.select.share * len(ids))))])

    @cached_property
    def given(self) -> list[tuple[Level, list[Rated]]]:
        """The ratings made elsewhere, each table with the level that it is about."""
        return [(table.level, found.rated) for table, found in zip(self.run.recorded, self._recorded, strict=True)]

    @cached_property
    def _recorded(self) -> list[Reading]:
        """The tables of ratings made elsewhere as they were read; only our own readers say what they guessed."""
        found = []
        for number, table in enumerate(self.run.recorded):
            level = 0 if isinstance(table.level, str) else table.level  # "root" is a number once there are trees
            made = self.make(table, f"recorded.{number}", level=level)
            if isinstance(made, RecordedPreferences):
                reading = made.reading()
                guesses = tuple(f"{name_of(made.file)}: {guess}" for guess in reading.guesses)
                found.append(reading._replace(guesses=guesses))
            elif isinstance(made, RecordedRatings):
                found.append(Reading(list(made.rated()), []))
            else:
                raise _unfit(made, (RecordedRatings,), f"recorded.{number}")
        return found

    def make(self, part: Part, where: str, **offered: Any) -> Any:
        """Make a plug-in with its arguments and those offered parts that it takes; an object is taken as it is."""
        if part.made is not None:
            return named(part.made, part.plugin, {})
        if part.object is not None:
            raise ConfigError(
                f"[{where}] was given as an object, {part.object}, which no record holds: give it again, as in"
                f" rrm.run(out=..., {where.partition('.')[0]}=...)"
            )
        arguments = {key: self._with_assistants(value, where) for key, value in part.arguments.items()}
        offered["folders"] = self.folders
        if isinstance(arguments.get("assistant"), str):
            offered["assistant"] = self.assistant(arguments.pop("assistant"), where)
        elif len(self.run.assistants) == 1:
            offered["assistant"] = self.assistant(next(iter(self.run.assistants)), where)
        made = make(part.plugin, arguments, offered, where, self.run.folder)
        return named(made, part.plugin, part.arguments)

    def _with_assistants(self, value: Any, where: str) -> Any:
        """Return an argument in which parts inside have the assistants that they name."""
        if not isinstance(value, Mapping) or not isinstance(value.get("plugin"), str):
            return value
        arguments = value.get("arguments", {})
        if not isinstance(arguments, Mapping):
            return value
        inner = {key: self._with_assistants(each, where) for key, each in arguments.items()}
        if isinstance(name := inner.get("assistant"), str):
            inner["assistant"] = self.assistant(name, where)
        return {**value, "arguments": inner}

    def model(self, name: str) -> Assistant:
        """Return the model of an assistant of the run file, which nothing counts, keeps or asks again."""
        return self._model(name, "assistants")[0]

    def _model(self, name: str, asker: str) -> "tuple[Assistant, Pace]":
        """Return the model of this name and its pace, the same each time."""
        from rrm.assistants.limit import Pace

        if name not in self.run.assistants:
            raise no_assistant(name, asker, self.run)
        if name not in self._made:
            part = self.run.assistants[name]
            kind = load(part.model, self.run.folder)
            model = Lent(self._assistant(name, kind), name, self.lending)
            self._made[name] = (model, Pace(highest=part.concurrency))
        return self._made[name]

    def _assistant(self, name: str, kind: object) -> Assistant:
        """Return a LangChain chat model as an assistant, or what is an assistant by itself."""
        from rrm.assistants.langchain import LangChainAssistant, make_chat_model

        part = self.run.assistants[name]
        if not (isinstance(kind, type) and hasattr(kind, "ask")):
            return LangChainAssistant(make_chat_model(kind, part.model, expand(part.arguments)))
        offered = {"dtype": self._dtype()} if takes(part.model, "dtype", self.run.folder) else {}
        made = make(part.model, expand(part.arguments), offered, f"assistants.{name}", self.run.folder)
        if isinstance(made, Assistant):
            return made
        raise _unfit(made, (Assistant,), f"assistants.{name}")


def _check_sampler(sampler: QuestionSampler, run: RunFile, rounds: int) -> None:
    """Raise ConfigError for settings with which a sampler of questions would never choose, or could not."""
    assert run.rater is not None
    where = "[rater] sampler"
    for table in (run.rater.per_node, run.rater.per_root or {}):
        for asked in flattened(table):
            if asked not in sampler.kinds:
                known = ", ".join(sorted(sampler.kinds))
                raise ConfigError(f"{where}: {sampler.name} cannot tell what {asked} is worth; per_node has of {known}")
    if run.rater.critic is not None:
        raise ConfigError(
            f"{where} knows nothing of critiques, and those it asks are shown none: leave out [rater] critic"
        )
    if rounds < 2:
        raise ConfigError(f"{where} chooses from the second round on, and the run has one: set rounds = 2 or more")
    if run.rater.budget is not None and "by_level" in run.rater.budget:
        raise ConfigError(f"{where} asks where it pays, at any level: give the budget in minutes or questions alone")
    if run.reward.data != "all":
        raise ConfigError(f'{where} goes by all ratings so far: leave reward.data at "all"')


def _judge(part: Part) -> tuple[str, object, object]:
    """Return what tells raters apart: the plug-in and its arguments, or the object that was given."""
    return part.plugin, part.arguments, part.made


@dataclass(frozen=True)
class SealedGold:
    """A set of sources that tells its truth to reports alone; see `rrm.core.roles.for_reporting`."""

    within: GoldSet

    @property
    def name(self) -> str:
        return self.within.name

    def sources(self) -> list[Source]:
        return self.within.sources()

    def gold(self, source: str, span: Span | None, text: str) -> float | None:
        """Return the truth about a text; raise RoleError outside of a report."""
        for_reporting(self.name)
        return self.within.gold(source, span, text)


def no_assistant(name: str, asker: str, run: RunFile) -> ConfigError:
    """Return the error for a part that names an assistant which its run file has not."""
    known = ", ".join(run.assistants) or "none"
    return ConfigError(f"[{asker}] there is no [assistants.{name}] in the run file; there are: {known}")


def _check_outcomes(optimiser: OutcomeOptimiser, run: RunFile) -> None:
    """Raise ConfigError for settings with which nothing could be learned from outcomes, or that nothing would read."""
    assert run.splits is not None
    if run.splits.rater is not None:
        raise ConfigError(f"[splits.rater] nobody rates decompositions for {optimiser.name}: leave it out")
    if run.train is None or run.train.trees < 2:
        raise ConfigError(f"[splits] {optimiser.name} compares trees of one source: set train.trees = 2 or more")


def _unfit(part: object, kinds: Sequence[type], where: str) -> PluginError:
    """Say what a part would have to be."""
    needed = " or ".join(f"{kind.__name__} ({', '.join(_members(kind))})" for kind in kinds)
    return PluginError(f"[{where}] {type(part).__module__}:{type(part).__qualname__} is no {needed}")


def _members(kind: type) -> list[str]:
    return sorted(name for name in vars(kind) if not name.startswith("_"))
