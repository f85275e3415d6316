"""Where a run's work is done: the parts of a run, opened in a folder, as the worker of an engine."""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Generic, NamedTuple, cast

import anyio
import numpy as np

from rrm.api.allotting import allotted
from rrm.api.composed import ComposedScorer
from rrm.api.deciding import alternatives
from rrm.api.look import WORK
from rrm.api.plugins import path_of, stays_alive, waits
from rrm.api.reordering import keep_standing
from rrm.api.runfile import Part, by_people
from rrm.api.wiring import Parts
from rrm.ask.peeking import choose_looks
from rrm.compose.provenance import traced
from rrm.compose.tree import check_composer, compose, require_anchored, scored_parts
from rrm.core.asking import AT_RANDOM, LEFT, Asked, Asking, Chosen, KeepingSampler, Outlook
from rrm.core.claims import Citation, Claims
from rrm.core.errors import AssistantError, InputError, PluginError, RoleError, RrmError, StoreError, in_one_line
from rrm.core.graph import Proposal, TaskGraph
from rrm.core.growth import Answers, checked_graph, checked_proposals
from rrm.core.ids import content_id, seed_for
from rrm.core.kinds import check_answer
from rrm.core.place import Place
from rrm.core.protocols import (
    AsyncDecomposer,
    AsyncGrounder,
    AsyncGrowingDecomposer,
    AsyncPolicy,
    AsyncRater,
    AsyncRollout,
    AsyncSheetRater,
    ClaimReader,
    ClaimScores,
    Composer,
    Decomposer,
    Grounder,
    GrowingDecomposer,
    Improved,
    JoinedRating,
    OutcomeOptimiser,
    Policy,
    ProposeJob,
    Ranks,
    Rater,
    RewardLearner,
    RewardModel,
    Rollout,
    SplitSampler,
    Start,
    Workspace,
)
from rrm.core.roles import ROLES, R, Ratings, Scorer, Select, Train, for_choosing, for_fitting, for_improving, reporting
from rrm.core.splits import split_output
from rrm.core.task import Span
from rrm.core.values import (
    OVERALL,
    Choice,
    Composed,
    Consequence,
    Criticised,
    Critique,
    Feedback,
    Fitted,
    FittedComposer,
    Gold,
    Group,
    Improvement,
    Label,
    Output,
    Prediction,
    Rated,
    Reject,
    Request,
    RolledOut,
    Scored,
    Supported,
    View,
)
from rrm.files import read_json, write_json
from rrm.pipeline.driver import FATAL
from rrm.pipeline.forest import State, Tree, compose_unanchored
from rrm.pipeline.plan import AnyAction, Values
from rrm.pipeline.progress import Within
from rrm.pipeline.splits import DrawJob, ImproveSplitsJob
from rrm.pipeline.stages import (
    AskJob,
    ChooseJob,
    ComposeJob,
    CriticiseJob,
    DecomposeJob,
    FitJob,
    GoldJob,
    GroundJob,
    ImproveJob,
    LearnComposerJob,
    OutputsJob,
    RateJob,
    ReadBack,
    RollOutJob,
    ScoreJob,
    SplitJob,
    SupportJob,
    TraceJob,
    written_output,
)
from rrm.policy.distance import Measured, measured, understated
from rrm.reward.criteria import overall

_log = logging.getLogger("rrm.api")

MODELS, POLICIES, COMPOSERS = "models", "policies", "composers"
_SCORER = "scorer.json"
_VITAL = frozenset(
    {
        "ask",
        "choose-looks",
        "fit",
        "score",
        "support",
        "trace",
        "write",
        "learn-composer",
        "compose",
        "improve",
        "choose",
        "gold",
        "fit-splits",
        "improve-splits",
    }
)

MODEL_BYTES = 8 * 2**30
"""Of so many bytes models are held in memory, by the size of their files, and of a third of the machine's at most."""


class _Held(NamedTuple):
    """A model in memory, and the bytes of its files."""

    model: RewardModel
    size: int


class Models:
    """The run's reward models: saved under `fitted`, and loaded from `folder` when they are asked.

    In memory are those that were used last, whose files have `most_bytes` together, and always the very last one.
    """

    def __init__(self, parts: Parts, folder: Path, fitted: Path | None = None, most_bytes: int | None = None) -> None:
        self._parts, self.folder, self._fitted = parts, folder, folder if fitted is None else fitted
        self._most_bytes = _room_for_models() if most_bytes is None else most_bytes
        self._held: dict[str, _Held] = {}
        self._turn = threading.Lock()

    def load(self, fitted: Fitted) -> RewardModel:
        """Return a model on record; raise StoreError if its files are gone or changed."""
        with self._turn:
            if (held := self._held.pop(fitted.digest, None)) is not None:
                self._held[fitted.digest] = held
                return held.model
            folder = self.folder / MODELS / fitted.path
            self._make_room(size := _size_of(folder))
            model = self._learner(fitted.place).load(folder)
            if model.digest != fitted.digest:
                raise StoreError(f"{folder} does not hold the model that the record names")
            self._held[fitted.digest] = _Held(model, size)
            return model

    def _hold(self, digest: str, model: RewardModel, folder: Path) -> None:
        with self._turn:
            self._held.pop(digest, None)
            self._make_room(size := _size_of(folder))
            self._held[digest] = _Held(model, size)

    def _make_room(self, size: int) -> None:
        """Let go of the models that were used longest ago, until another of so many bytes fits, or none is left."""
        while self._held and size + sum(each.size for each in self._held.values()) > self._most_bytes:
            del self._held[next(iter(self._held))]

    def _learner(self, place: Place) -> RewardLearner:
        if place.subject == "claims":
            return self._parts.claim_learner
        return self._parts.split_learner if place.subject == "split" else self._parts.learner

    def _named(self, place: Place) -> tuple[str, str]:
        """Return where the run file names the learner of a place's models, and what it is called there.

        An object is called by its class: a learner's `name` covers all settings, and is no name for people.
        """
        if place.subject == "claims":
            return "[reward]", path_of(self._learner(place))
        splits = self._parts.run.splits if place.subject == "split" else None
        part: Part = self._parts.run.reward if splits is None else splits.reward
        table = "[reward]" if splits is None else "[splits.reward]"
        return table, part.plugin if part.made is None else type(part.made).__name__

    def fit(self, job: FitJob, workspace: Workspace) -> RewardModel:
        """Fit a job's model; where that fails, raise an error that names the learner, the place and the role.

        An error of rrm's own keeps its kind; any other is a PluginError.
        """
        below, before = (None if each is None else self.load(each) for each in (job.below, job.before))
        start = Start(below, before, job.others, job.at_random)
        table, name = self._named(job.place)
        ratings = for_fitting(Ratings(job.role, job.rated))
        try:
            model = self._learner(job.place).fit(ratings, start, job.place, job.seed, workspace)
        except FATAL:
            raise
        except Exception as error:
            known = isinstance(error, RrmError)
            kind, cause = (type(error), str(error)) if known else (PluginError, _cause(error))
            where = "" if cause.startswith(job.title) else f" at {job.title}"
            raise kind(f"{table} {name} failed{where}: {cause}") from error
        if not isinstance(model, RewardModel):
            raise PluginError(f"{table} {name} must return a reward model, got {type(model).__name__}")
        return model

    def predict(self, model: RewardModel, groups: Sequence[Group]) -> list[Prediction]:
        """Return a prediction for each group; raise PluginError, naming the learner, for anything else."""
        table, name = self._named(groups[0].place if groups else Place())
        which = f"{table} the model that {name} fitted"
        try:
            found = model.predict(groups)
        except FATAL:
            raise
        except Exception as error:
            cause = str(error) if isinstance(error, RrmError) else _cause(error)
            raise PluginError(f"{which} cannot be used: {cause}") from error
        if not isinstance(found, Sequence) or not all(isinstance(each, Prediction) for each in found):
            raise PluginError(f"{which} must return a list of Predictions")
        if len(found) != len(groups):
            few = f"{len(found)} predictions for {len(groups)} groups"
            raise PluginError(f"{which} returned {few}")
        for each, group in zip(found, groups, strict=True):
            if each.k != len(group.outputs):
                scored = f"{each.k} outputs of {len(group.outputs)}"
                raise PluginError(f"{which} scores {scored}")
        return list(found)

    def read_back(self, source: str, nodes: Sequence[tuple[ReadBack, tuple[str, ...]]]) -> list[Prediction]:
        """Return what is said of texts at nodes of a source that are scored anew, all of a model at once."""
        groups = [
            Group(source, back.model.place, self._shown(back), tuple(dict.fromkeys(texts))) for back, texts in nodes
        ]
        level: dict[int, Prediction] = {}
        for digest in dict.fromkeys(back.model.digest for back, _ in nodes):
            here = [at for at, (back, _) in enumerate(nodes) if back.model.digest == digest]
            said = self.predict(self.load(nodes[here[0]][0].model), [groups[at] for at in here])
            level |= dict(zip(here, said, strict=True))
        found = [
            self._with_claims(group, back, level[at])
            for at, ((back, _), group) in enumerate(zip(nodes, groups, strict=True))
        ]
        return [
            each.at([group.outputs.index(text) for text in texts])
            for each, group, (_, texts) in zip(found, groups, nodes, strict=True)
        ]

    def claim_scores(self, source: str, back: ReadBack, text: str) -> ClaimScores | None:
        """Return what the model of claims says of a text at a node that is scored anew, None without such a model."""
        reader = self._reader(back)
        group = Group(source, back.model.place, back.view, (text,))
        return None if reader is None else reader.claim_scores(group, back.whole)[0]

    def _shown(self, back: ReadBack) -> View:
        reader = self._reader(back)
        return back.view if reader is None else reader.as_usual(back.view, back.model.place.level)

    def _with_claims(self, group: Group, back: ReadBack, level: Prediction) -> Prediction:
        reader = self._reader(back)
        return level if reader is None else reader.joined([group], [back.whole], [level])[0]

    def _reader(self, back: ReadBack) -> ClaimReader | None:
        if back.claims is None:
            return None
        model = self.load(back.claims)
        assert isinstance(model, ClaimReader)
        return model

    def keep(self, model: RewardModel, job: FitJob) -> Fitted:
        """Save a model that was fitted, and return what stands on record about it."""
        digest = model.digest
        path = f"{job.role.name}-{job.place.subject}-{job.place.level}-{digest[-12:]}"
        model.save(self._fitted / MODELS / path)
        self._hold(digest, model, self._fitted / MODELS / path)
        return Fitted(job.place, path, digest, len(job.rated), job.root, job.role.name, model.anchored)


def _size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _room_for_models() -> int:
    return min(MODEL_BYTES, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 3)


@dataclass(frozen=True, eq=False)
class ModelScorer(Generic[R]):
    """Scores groups by the fitted models of one role; implements `rrm.core.roles.Scorer`.

    The role is the one on record with the models, so that a guard sees it whatever the caller expects. Raises
    RoleError for models of several roles, or none.
    """

    fitted: tuple[Fitted, ...]
    models: Models

    def __post_init__(self) -> None:
        if len(roles := {each.role for each in self.fitted}) != 1:
            raise RoleError(f"a scorer has models of one judge role, got {' and '.join(sorted(roles)) or 'none'}")

    @property
    def role(self) -> type[R]:
        return cast("type[R]", ROLES[self.fitted[0].role])

    @property
    def name(self) -> str:
        return content_id("scorer", self.role.name, [each.digest for each in self.fitted])

    def score(self, groups: Sequence[Group]) -> list[Prediction]:
        """Return each group's prediction by the model of its level, or by the one nearest to it."""
        found: dict[int, Prediction] = {}
        by_model: dict[str, list[int]] = {}
        fitted = {each.digest: each for each in self.fitted}
        for at, group in enumerate(groups):
            by_model.setdefault(self._for(group).digest, []).append(at)
        for digest, places in by_model.items():
            said = self.models.predict(self.models.load(fitted[digest]), [groups[at] for at in places])
            found |= dict(zip(places, said, strict=True))
        return [found[at] for at in range(len(groups))]

    def _for(self, group: Group) -> Fitted:
        return min(self.fitted, key=lambda each: (abs(each.place.level - group.place.level), -each.place.level))


@dataclass(frozen=True)
class ScoredBy:
    """What a policy was improved against: models of role train, by their ids on record.

    With `composed`, what is composed of their scores: by the learned `composer` and with the model of `claims`, by
    their ids, where the run has them.
    """

    models: Sequence[str]
    composed: bool = False
    composer: str | None = None
    claims: str | None = None

    @classmethod
    def of(cls, job: ImproveJob) -> "ScoredBy":
        models = tuple(each.id for each in job.models)
        if (by := job.composed) is None:
            return cls(models)
        composer, claims = (None if each is None else each.id for each in (by.learned, by.claims))
        return cls(models, True, composer, claims)


@dataclass(eq=False)
class _SheetCall:
    """A sheet's answers, or why there are none, for as many of its questions as are still `waiting`."""

    waiting: int
    asking: anyio.Lock = field(default_factory=anyio.Lock)
    given: Sequence[Feedback] | Exception | None = None


class RunWorker:
    """Does the actions of a run with its parts; implements `rrm.engines.here.Worker`.

    What the run has is in `folder`, and what is fitted is saved there too, or in the folder `fitted`. What is
    interrupted leaves in `work` what it goes on from. While there are other `ranks`, they share trainings.
    """

    def __init__(self, parts: Parts, folder: Path, watcher: Within | None = None, fitted: Path | None = None) -> None:
        self.parts, self.folder = parts, folder
        self.models = Models(parts, folder, fitted)
        self.work = folder / WORK
        self.ranks: Ranks | None = None
        self._watcher = watcher
        self._policies: dict[str, Policy] = {}
        self._splitters: dict[str, SplitSampler] = {}
        self._sheets: dict[tuple[str, ...], _SheetCall] = {}

    def limit(self, step: str) -> int:
        part = {
            "decompose": self.parts.decomposer,
            "split": self.parts.decomposer,
            "propose": self.parts.policy,
            "rate": self.parts.rater,
            "rate-select": self.parts.select_rater,
            "rate-splits": self.parts.split_rater,
            "ground": self.parts.grounder,
            "roll-out": self.parts.rollout,
            "criticise": self.parts.critic,
        }.get(step)
        if part is None or not waits(part):
            return 0
        rater = self.parts.run.rater
        together = rater.sheet if step == "rate" and rater else 1  # those who wait for one call
        return together * self.parts.concurrency

    def vital(self, step: str) -> bool:
        return step in _VITAL

    def gains(self, step: str) -> bool:
        return step == "score"  # a source is read once for all outputs of a view, and views are read side by side

    # ---- what computes ----

    def compute(self, actions: Sequence[AnyAction]) -> list[Values | Exception]:
        """Do actions of one step; what can be done together is, and one by one where that fails."""
        step = actions[0].step
        if step in ("propose", "score"):
            try:
                with stays_alive():
                    together = self._propose(actions) if step == "propose" else self._score(actions)
                return list(together)
            except FATAL as error:
                return [error] * len(actions)
            except Exception as error:
                if len(actions) == 1:
                    return [error]
                return [made for action in actions for made in self.compute([action])]
        do = getattr(self, f"_{step.replace('-', '_')}")
        return [self._tried(do, action) for action in actions]

    def _tried(self, do: Callable[[AnyAction], Values], action: AnyAction) -> Values | Exception:
        try:
            with stays_alive():
                return tuple(do(action))
        except Exception as error:
            return error

    async def call(self, action: AnyAction) -> Values:
        """Ask a part that waits for somebody."""
        with stays_alive():
            return await self._call(action)

    async def _call(self, action: AnyAction) -> Values:
        job = action.job
        if isinstance(job, OutputsJob):
            policy = self.parts.policy
            assert isinstance(policy, AsyncPolicy)
            _refuse_nothing(job.ask)
            return tuple(self._checked_outputs(policy.name, job.ask, await policy.propose_async(job.ask)))
        if isinstance(job, RateJob):
            rater = self._rater(job)
            assert isinstance(rater, AsyncRater)
            asked = self._rated_on_sheet(rater, job) if job.sheet else rater.rate_async(job.request, job.seed)
            return (_checked_feedback(rater.name, job.request, await asked),)
        if isinstance(job, GroundJob):
            grounder = self.parts.grounder
            assert isinstance(grounder, AsyncGrounder)
            return (_checked_grounding(grounder.name, job.rated, await grounder.ground_async(job.rated, job.seed)),)
        if isinstance(job, RollOutJob):
            rollout = self.parts.rollout
            assert isinstance(rollout, AsyncRollout)
            return _rolled_out(rollout.name, job, await rollout.roll_out_async(job.text, job.outputs, job.seed))
        if isinstance(job, CriticiseJob):
            critic = self.parts.critic
            assert isinstance(critic, AsyncRater)
            return _critique(critic.name, job.request, await critic.rate_async(job.request, job.seed))
        part = self.parts.decomposer
        if isinstance(job, DecomposeJob):
            if isinstance(part, AsyncDecomposer):
                return (checked_graph(part.name, await part.decompose_async(job.source, job.seed)),)
            return self._decompose(action)
        assert isinstance(job, SplitJob) and isinstance(part, AsyncGrowingDecomposer)
        node, answers = job.graph.node(job.node), Answers(job.graph, job.node, job.answers, part.name)
        found = await part.split_async(self.parts.sources[job.source], job.graph, node, answers, 1, job.seed)
        return tuple(checked_proposals(part.name, found))

    # ---- splitting ----

    def _decompose(self, action: AnyAction) -> tuple[TaskGraph]:
        job: DecomposeJob = action.job
        if job.drawn:
            sampler = self.splitter(job.decomposer)
            [tree] = sampler.draw(job.source, 1, job.seed)
            return (checked_graph(sampler.name, tree),)
        part = self.parts.decomposer if job.decomposer is None else self.splitter(job.decomposer)
        if isinstance(part, Decomposer):
            return (checked_graph(part.name, part.decompose(job.source, job.seed)),)
        assert isinstance(part, GrowingDecomposer | AsyncGrowingDecomposer)
        return (checked_graph(part.name, part.start(job.source, job.seed), closed=False),)

    def _split(self, action: AnyAction) -> tuple[Proposal, ...]:
        job: SplitJob = action.job
        part = self.parts.decomposer
        assert isinstance(part, GrowingDecomposer)
        node, answers = job.graph.node(job.node), Answers(job.graph, job.node, job.answers, part.name)
        source = self.parts.sources[job.source]
        return tuple(checked_proposals(part.name, part.split(source, job.graph, node, answers, 1, job.seed)))

    def splitter(self, improved: Improvement | None) -> SplitSampler:
        """Return the run's decomposer, or what was made of it."""
        own = self.parts.decomposer
        if not isinstance(own, SplitSampler):
            raise InputError(f"the decomposer {own.name} draws no trees of which a better one could be learned")
        if improved is None:
            return own
        if improved.policy not in self._splitters:
            folder = self.folder / POLICIES / improved.path
            self._splitters[improved.policy] = self.parts.split_optimiser.load_splits(folder, own)
        return self._splitters[improved.policy]

    def _draw(self, action: AnyAction) -> tuple[Output, ...]:
        """Draw trees of a source, as outputs."""
        job: DrawJob = action.job
        sampler = self.splitter(job.decomposer)
        trees = [checked_graph(sampler.name, each) for each in sampler.draw(job.source, job.n, job.seed)]
        return tuple(
            split_output(job.source, tree, sampler.name, seed_for(job.seed, at), sampler.log_prob(job.source, tree))
            for at, tree in enumerate(trees)
        )

    def _improve_splits(self, action: AnyAction) -> tuple[Improvement]:
        job: ImproveSplitsJob = action.job
        path = content_id("splits", action.id)[-12:]
        start, anchor = self.splitter(job.start), self.splitter(None)
        work = replace(self._workspace(action), folder=self.folder / POLICIES / path)
        optimiser, budget = self.parts.split_optimiser, job.kl_budget
        if isinstance(optimiser, OutcomeOptimiser):
            assert not isinstance(job.evidence, Fitted)
            found = optimiser.improve_by_outcomes(start, anchor, job.evidence, budget, job.seed, work)
        else:
            assert isinstance(job.evidence, Fitted)
            scorer = for_improving(ModelScorer[Train]((job.evidence,), self.models))
            found = optimiser.improve_splits(start, anchor, job.sources, scorer, job.place, budget, job.seed, work)
        if not np.isfinite(found.kl) or found.kl > job.kl_budget + 1e-9:
            gone = f"{found.kl:.3f} nats from its anchor, where {job.kl_budget:g} are allowed"
            raise PluginError(f"[splits] {optimiser.name} went {gone}")
        self._splitters[found.sampler.name] = found.sampler
        names = found.sampler.name, start.name, anchor.name
        return (Improvement(job.place, path, *names, float(found.kl), job.kl_budget, found.how),)

    # ---- proposing ----

    def policy(self, improved: Improvement | None) -> Policy:
        """Return the run's policy, or what an optimiser made of it."""
        if improved is None:
            if isinstance(self.parts.policy, Policy):
                return self.parts.policy
            raise InputError(f"the policy {self.parts.policy.name} waits for somebody, and cannot be improved here")
        if improved.policy not in self._policies:
            folder, scorer = self.folder / POLICIES / improved.path, self.scorer(improved)
            anchor = self.policy(self.improvement(improved.anchor))
            self._policies[improved.policy] = self.parts.optimiser.load(folder, anchor, scorer)
        return self._policies[improved.policy]

    def scorer(self, improved: Improvement) -> Scorer[Train]:
        """Return the scores that a policy was improved against."""
        facts = self._scored_by(improved)
        return self._scorer(tuple(map(self._fitted, facts.models)), facts)

    def models_behind(self, improved: Improvement) -> tuple[Fitted, ...]:
        """Return the models that a policy was improved against; none for a decomposer, which asks none."""
        asked = (self.folder / POLICIES / improved.path / _SCORER).is_file()
        return tuple(map(self._fitted, self._scored_by(improved).models)) if asked else ()

    def asks_composed(self, improved: Improvement) -> bool:
        """Whether a policy was improved against composed scores, for which it reads the record."""
        return self._scored_by(improved).composed

    def _scored_by(self, improved: Improvement) -> ScoredBy:
        return ScoredBy(**read_json(self.folder / POLICIES / improved.path / _SCORER))

    def _scorer(self, fitted: tuple[Fitted, ...], facts: "ScoredBy") -> Scorer[Train]:
        own = for_improving(ModelScorer[Train](fitted, self.models))
        if not facts.composed:
            return own
        store = self.parts.store
        assert store is not None
        learned: list[FittedComposer] = [each for each in store.load(FittedComposer) if each.id == facts.composer]
        composer = self.composer(learned[0] if learned else None)
        claims = self.models.load(self._fitted(facts.claims)) if facts.claims is not None else None
        assert claims is None or isinstance(claims, ClaimReader)
        models = {each.place.level: (each, self.models.load(each)) for each in fitted}
        return for_improving(ComposedScorer(store, models, composer, self.parts.aligner, claims))

    def improvement(self, policy: str) -> Improvement | None:
        """Return what stands on record about a policy that was improved; None for the run's first."""
        if self.parts.store is None or policy == self.parts.policy.name:
            return None
        return next((each for each in self.parts.store.load(Improvement) if each.policy == policy), None)

    def _fitted(self, id_: str) -> Fitted:
        known: list[Fitted] = self.parts.store.load(Fitted) if self.parts.store else []
        found = next((each for each in known if each.id == id_), None)
        if found is None:
            raise StoreError(f"the record no longer names the model {id_}, which a policy was improved against")
        return found

    def _propose(self, actions: Sequence[AnyAction]) -> list[Values | Exception]:
        made: list[Values | Exception] = [()] * len(actions)
        by_policy: dict[str, list[int]] = {}
        for at, action in enumerate(actions):
            try:
                _refuse_nothing(action.job.ask)
                by_policy.setdefault(action.job.policy.id if action.job.policy else "", []).append(at)
            except AssistantError as error:
                made[at] = error
        for places in by_policy.values():
            policy = self.policy(actions[places[0]].job.policy)
            asks = [actions[at].job.ask for at in places]
            found = policy.propose(asks)
            if not isinstance(found, Sequence) or len(found) != len(asks):
                raise PluginError(
                    f"the policy {policy.name} must return a list of outputs for each of {len(asks)} jobs"
                )
            for at, ask, outputs in zip(places, asks, found, strict=True):
                made[at] = tuple(self._checked_outputs(policy.name, ask, outputs))
        return made

    def _checked_outputs(self, name: str, ask: ProposeJob, outputs: object) -> Sequence[Output]:
        """Return what a policy proposed; raise PluginError unless it is n outputs of the node within its limit."""
        if isinstance(outputs, str) or not isinstance(outputs, Sequence):
            raise PluginError(
                f"the policy {name} must return a list of Outputs for each job, got {type(outputs).__name__}"
            )
        other = next((each for each in outputs if not isinstance(each, Output)), None)
        if other is not None:
            raise PluginError(f"the policy {name} must return Outputs, got {type(other).__name__} among them")
        if len(outputs) != ask.n:
            raise PluginError(f"the policy {name} was asked for {ask.n} outputs and returned {len(outputs)}")
        limit = ask.prompt_context.task.max_tokens
        for output in outputs:
            if not isinstance(output.text, str):
                kind = type(output.text).__name__
                raise PluginError(f"the policy {name} must return Outputs whose text is a str, got {kind}")
            if output.node != ask.prompt_context.node:
                raise PluginError(f"the policy {name} returned an output of another node, {output.node}")
            _refuse_citations(name, output)
            if len(output.text) > limit and (tokens := self.parts.tokenizer.count(output.text)) > limit:
                raise PluginError(f"the policy {name} returned {tokens} tokens where the task allows {limit}")
        return outputs

    # ---- rating ----

    def _rater(self, job: RateJob) -> Rater | AsyncRater:
        if job.request.place.subject == "split":
            rater = self.parts.split_rater
        else:
            rater = self.parts.rater if job.role is Train else self.parts.select_rater
        assert rater is not None
        return rater

    def _rate(self, action: AnyAction) -> tuple[Rated]:
        job: RateJob = action.job
        rater = self._rater(job)
        assert isinstance(rater, Rater)
        return (_checked_feedback(rater.name, job.request, rater.rate(job.request, job.seed)),)

    _rate_select = _rate_splits = _rate

    async def _rated_on_sheet(self, rater: AsyncRater, job: RateJob) -> Feedback:
        """Return the answer to one question of a sheet; the first that is asked for asks for all, by one call."""
        assert isinstance(rater, AsyncSheetRater)
        key = tuple(request.id for request in job.sheet)
        call = self._sheets.setdefault(key, _SheetCall(len(job.sheet)))
        async with call.asking:
            if call.given is None:
                try:
                    call.given = await rater.rate_sheet_async(job.sheet, job.seed)
                except Exception as error:
                    call.given = error
        call.waiting -= 1
        if not call.waiting:
            del self._sheets[key]
        if isinstance(call.given, Exception):
            raise call.given
        if len(call.given) != len(job.sheet):
            raise PluginError(
                f"{rater.name} gave {len(call.given)} answers to the {len(job.sheet)} questions of a sheet"
            )
        return call.given[key.index(job.request.id)]

    def _ground(self, action: AnyAction) -> tuple[Feedback]:
        job: GroundJob = action.job
        grounder = self.parts.grounder
        assert isinstance(grounder, Grounder)
        return (_checked_grounding(grounder.name, job.rated, grounder.ground(job.rated)),)

    def _roll_out(self, action: AnyAction) -> tuple[RolledOut, ...]:
        job: RollOutJob = action.job
        rollout = self.parts.rollout
        assert isinstance(rollout, Rollout)
        return _rolled_out(rollout.name, job, rollout.roll_out(job.text, job.outputs, job.seed))

    def _criticise(self, action: AnyAction) -> tuple[Criticised, ...]:
        job: CriticiseJob = action.job
        critic = self.parts.critic
        assert isinstance(critic, Rater)
        return _critique(critic.name, job.request, critic.rate(job.request, job.seed))

    def _write(self, action: AnyAction) -> tuple[Output]:
        return (written_output(action.job.rated),)

    # ---- asking ----

    def _ask(self, action: AnyAction) -> tuple[Asked | Outlook, ...]:
        """Choose the questions of a wave by what is believed."""
        job: AskJob = action.job
        sampler = self.parts.sampler
        assert sampler is not None
        models = [overall(self.models.load(fitted)) for fitted, _ in job.believed]
        rows = [Ratings(Train, tuple(r for r in rated if r.feedback.criterion == OVERALL)) for _, rated in job.believed]
        belief = self.parts.believer.believe(models, rows)
        targets = alternatives(belief, job, self.composer(job.learned))
        chosen = sampler.choose(belief, replace(job.asking, targets=targets))
        _check_chosen(sampler.name, job.asking, chosen)
        if by_people(self.parts.run.rater) and isinstance(sampler, KeepingSampler) and chosen.asked:
            kept = sampler.keep(belief, replace(job.asking, targets=targets), chosen.asked)
            keep_standing(self.folder, job.asking.pool, kept)
        return (*chosen.asked, chosen.outlook)

    def _choose_looks(self, action: AnyAction) -> tuple[Asked, ...]:
        """Choose the claims that raters look at by what looks are worth."""
        return choose_looks(action.job)

    # ---- reward models ----

    def _fit(self, action: AnyAction) -> tuple[Fitted]:
        job: FitJob = action.job
        model = self.models.fit(job, self._workspace(action))
        row = next((each for each in job.rated if each.request.shown), None)
        if row is not None:
            self.models.predict(model, [row.request.group])  # so that what it says wrong is said before it is kept
        return (self.models.keep(model, job),)

    _fit_splits = _fit

    def _score(self, actions: Sequence[AnyAction]) -> list[Values]:
        found: dict[int, Values] = {}
        by_model: dict[str, list[int]] = {}
        for at, action in enumerate(actions):
            by_model.setdefault(action.job.model.digest, []).append(at)
        for places in by_model.values():
            jobs: list[ScoreJob] = [actions[at].job for at in places]
            said = self.models.predict(self.models.load(jobs[0].model), [job.group for job in jobs])
            found |= {at: _scored(job, each) for at, job, each in zip(places, jobs, said, strict=True)}
        return [found[at] for at in range(len(actions))]

    # ---- claims ----

    def _support(self, action: AnyAction) -> tuple[Supported, ...]:
        """Say what raters are shown of claims: rounded to two digits, as evidence scores are."""
        job: SupportJob = action.job
        model = self.models.load(job.model)
        assert isinstance(model, ClaimReader)
        said = model.claim_scores(job.group, "")
        return tuple(
            Supported(output, job.model.id, tuple(round(each, 2) for each in scores.support))
            for scores, outputs in zip(said, job.outputs, strict=True)
            for output in outputs
        )

    def _trace(self, action: AnyAction) -> tuple[Claims, ...]:
        job: TraceJob = action.job
        known = {output.id: output for outputs in job.state.outputs.values() for output in outputs}
        known |= {output.id: output for output in job.state.answers.values()}
        roots = [output for tree in job.trees for output in job.state.outputs[tree.graph.root]]
        return tuple(traced(roots, known, job.state.prompt_contexts, self.parts.aligner).values())

    # ---- composing ----

    def composer(self, learned: FittedComposer | None) -> Composer:
        """Return the run's composer, or the one that was learned."""
        if learned is None:
            return self.parts.composer
        return self.parts.composer_learner.load(self.folder / COMPOSERS / learned.path)

    def _learn_composer(self, action: AnyAction) -> tuple[FittedComposer]:
        """Learn twice: from nodes right above the leaves, then from all, with parts composed by the first."""
        job: LearnComposerJob = action.job
        learner = self.parts.composer_learner
        tree_of = {node: tree for tree in job.trees for node in tree.graph}
        above = [row for row in job.rated if row.request.node in tree_of]
        lowest = [row for row in above if tree_of[row.request.node].graph.height(row.request.node) == 1]
        path = content_id("composer", action.id)[-12:]
        work = replace(self._workspace(action), folder=self.folder / COMPOSERS / path)
        first = learner.fit(_joined(job.state, tree_of, lowest, None), job.place, job.seed, work)
        learned = learner.fit(_joined(job.state, tree_of, above, first), job.place, job.seed, work)
        check_composer(learned)
        return (FittedComposer(job.place, path, learned.name),)

    def _compose(self, action: AnyAction) -> tuple[Composed, ...]:
        job: ComposeJob = action.job
        composer = self.composer(job.learned)
        require_anchored(composer, job.anchored)
        informed = self._informed(job)
        state = replace(job.state, predictions={**job.state.predictions, **informed})
        state = state if job.anchored else compose_unanchored(state, job.trees)
        made = []
        for tree in job.trees:
            judged = state.judged(tree.graph)
            for node, found in compose(tree.graph, judged, composer).items():
                for criterion, samples in found.acceptance.items():
                    for at, output in enumerate(judged[node].outputs):
                        made.append(Composed(output.id, job.basis, tuple(map(float, samples[:, at])), criterion))
        return tuple(made)

    def _informed(self, job: ComposeJob) -> dict[str, Prediction]:
        """Return the scores of the nodes that are scored anew."""
        nodes = list(job.informed)
        texts = [tuple(output.text for output in job.state.outputs[node]) for node in nodes]
        said = self.models.read_back(job.trees[0].source, list(zip(job.informed.values(), texts, strict=True)))
        return dict(zip(nodes, said, strict=True))

    # ---- improving ----

    def _improve(self, action: AnyAction) -> tuple[Improvement, ...]:
        job: ImproveJob = action.job
        path = content_id("policy", action.id)[-12:]
        folder = self.folder / POLICIES / path
        start, anchor = self.policy(job.start), self.policy(job.anchor)
        budget = job.kl_budget
        if job.tree is not None:
            assert job.level is not None
            budget = allotted(job.tree, self.composer(job.tree.by.learned), budget).get(job.level, 0.0)
            if budget == 0:
                return ()
        facts = ScoredBy.of(job)
        scorer = self._scorer(job.models, facts)
        write_json(folder / _SCORER, asdict(facts))
        work = replace(self._workspace(action), folder=folder)
        optimiser = self.parts.optimiser
        found = optimiser.improve(start, anchor, job.seen, scorer, budget, job.seed, work)
        _within_budget(optimiser.name, found, measured(found.sampler, anchor, job.seen, job.seed), budget)
        self._policies[found.sampler.name] = found.sampler
        names = found.sampler.name, start.name, anchor.name
        return (Improvement(job.place, path, *names, float(found.kl), budget, found.how, job.level),)

    def _choose(self, action: AnyAction) -> tuple[Choice]:
        """Compare the mean acceptance of two policies' outputs at nodes held apart, by the judge of role select."""
        job: ChooseJob = action.job
        scorer = for_choosing(ModelScorer[Select](job.models, self.models))
        policies = (self.policy(job.policy), self.policy(job.before))
        made = [policy.propose([ask for _, ask in job.asks]) for policy in policies]
        by_node = tuple(zip((source for source, _ in job.asks), self._gains(job, scorer, made), strict=True))
        gain = float(np.mean([each for _, each in by_node])) if by_node else 0.0
        if job.look is not None and by_node:
            proxy = float(np.mean(self._gains(job, ModelScorer[Train](job.look.proxies, self.models), made)))
            answer = job.look.reuse.look(job.look.number, job.look.used, proxy, gain)
            gain, by_node = answer.value, by_node if answer.by_holdout else ()
        return (Choice(job.place, job.policy.policy, policies[1].name, gain, len(job.asks), gain > 0, by_node),)

    def _gains(self, job: ChooseJob, scorer: Scorer[R], made: Sequence[Sequence[Sequence[Output]]]) -> list[float]:
        """Return by how much more of the first policy's outputs is accepted than of the second's, node by node."""
        means = []
        for outputs in made:
            groups = [
                Group(source, ask.prompt_context.place, ask.prompt_context.view, tuple(each.text for each in proposed))
                for (source, ask), proposed in zip(job.asks, outputs, strict=True)
            ]
            means.append([float(found.acceptance[OVERALL].mean()) for found in scorer.score(groups)])
        return [new - old for new, old in zip(*means, strict=True)]

    def _gold(self, action: AnyAction) -> tuple[Gold, ...]:
        job: GoldJob = action.job
        known = self.parts.gold
        assert known is not None
        with reporting():
            found = [(output, known.gold(job.source, span, output.text)) for output, span in job.outputs]
        for _, value in found:
            if not (value is None or (isinstance(value, int | float | np.floating) and np.isfinite(value))):
                told = f"must be a finite number or None, got {value!r:.60}"
                raise PluginError(f"[target] the gold of {known.name} {told}")
        return tuple(Gold(output.id, float(value)) for output, value in found if value is not None)

    def _workspace(self, action: AnyAction) -> Workspace:
        folder = self.work / action.id
        if self._watcher is None:
            return Workspace(folder, cache=self.parts.cache, ranks=self.ranks)
        return Workspace(folder, self._watcher.within, self.parts.cache, self._watcher.say, self.ranks)


def _cause(error: Exception) -> str:
    """Return an error's kind and what it says, in one line."""
    return f"{type(error).__name__}: {in_one_line(error)}"


def _within_budget(optimiser: str, found: Improved, truth: Measured | None, kl_budget: float) -> None:
    """Raise PluginError for a policy that went beyond its budget of KL, by what it says or by what was measured."""
    if not np.isfinite(found.kl) or found.kl > kl_budget + 1e-9:
        gone = f"{found.kl:.3f} nats from its anchor, where {kl_budget:g} are allowed"
        raise PluginError(f"[improve] {optimiser} went {gone}")
    if truth is None or not understated(found.kl, truth):
        return
    if truth.least > kl_budget + 1e-9:
        gone = f"{truth.nats:.3f} nats ({truth.how}) from its anchor, where {kl_budget:g} are allowed"
        raise PluginError(f"[improve] {optimiser} says that it spent {found.kl:.3f} nats, and went {gone}")
    _log.warning("[improve] %s says that it spent %.3f nats a node, and spent %.3f", optimiser, found.kl, truth.nats)


def _refuse_citations(policy: str, output: Output) -> None:
    """Raise PluginError for what is no citation in form, or of no characters of the output's own text.

    Whether there is such a text to read, and such characters in it, is found out by aligning.
    """
    cited: object = output.citations
    if not isinstance(cited, tuple | list):
        kind = type(cited).__name__
        raise PluginError(
            f"the policy {policy} gave an Output whose citations are {kind}: no citation is an empty tuple"
        )
    for each in cited:
        if not _is_citation(each):
            raise PluginError(
                f"the policy {policy} must cite by Citation(said, seen, read), with spans of whole numbers, of its"
                f" text and of text number `seen`: got {each!r:.80}"
            )
        if not 0 <= each.said.start < each.said.end <= len(output.text):
            raise PluginError(
                f"the policy {policy} cites for characters {each.said.start} to {each.said.end} of its text, which has"
                f" {len(output.text)}: `said` begins before it ends, and lies within the text"
            )


def _is_citation(told: object) -> bool:
    if not isinstance(told, Citation) or not all(isinstance(each, Span) for each in (told.said, told.read)):
        return False
    numbers = (*told.said, told.seen, *told.read)
    return all(isinstance(each, int) and not isinstance(each, bool) for each in numbers)


def _refuse_nothing(ask: ProposeJob) -> None:
    """Raise AssistantError for a node that has a text or parts, and nothing of them to show."""
    prompt_context = ask.prompt_context
    if not prompt_context.view.passages and prompt_context.task.span is not None:
        raise AssistantError("there is nothing to work on: the text is blank, or all of its parts failed")


def _checked_grounding(name: str, rated: Rated, found: object) -> Feedback:
    """Return what a grounder made of a critique; raise PluginError for anything but what its protocol says."""
    if not isinstance(found, Rated):
        raise PluginError(f"[rater.critiques] {name} must return Rated, got {type(found).__name__}")
    answer, alone = found.feedback.answer, len(rated.request.shown) == 1
    before = replace(answer, consistent=None) if isinstance(answer, Critique) else None
    if replace(found.feedback, answer=rated.feedback.answer) != rated.feedback or not (
        before == rated.feedback.answer or (alone and isinstance(answer, Label))
    ):
        raise PluginError(f"[rater.critiques] {name} changed a critique: it only says which outputs it speaks for")
    answer.check([each.text for each in rated.request.shown])
    return found.feedback


def _rolled_out(name: str, job: RollOutJob, found: object) -> tuple[RolledOut, ...]:
    """Return what a rollout says of outputs; raise PluginError for anything but what its protocol says."""
    where = f"[rater] hindsight: {name}"
    if not isinstance(found, Sequence) or not all(each is None or isinstance(each, Consequence) for each in found):
        raise PluginError(f"{where} must return a list of Consequences")
    if len(found) != len(job.outputs):
        raise PluginError(f"{where} said what comes of {len(found)} outputs of {len(job.outputs)}")
    return tuple(
        RolledOut(output, name, each)
        for each, outputs in zip(found, job.ids, strict=True)
        if each is not None
        for output in outputs
    )


def _critique(name: str, request: Request, feedback: object) -> tuple[Criticised, ...]:
    """Return what a critic wrote, nothing where it rejects the question; raise PluginError for any other answer."""
    answer = _checked_feedback(name, request, feedback).feedback.answer
    if isinstance(answer, Reject):
        return ()
    assert isinstance(answer, Critique)
    return (Criticised(request.shown[0].output, name, answer.text),)


def _checked_feedback(name: str, request: Request, feedback: object) -> Rated:
    if not isinstance(feedback, Feedback):
        raise PluginError(f"the rater {name} must return Feedback, got {type(feedback).__name__}")
    if feedback.request != request.id:
        raise PluginError(f"the rater {name} answered another request than the one asked")
    check_answer(feedback.answer, request.kind, [each.text for each in request.shown])
    if feedback.criterion != request.criterion:
        asked = f"was asked by the criterion {request.criterion!r} and answered by {feedback.criterion!r}"
        raise PluginError(f"the rater {name} {asked}: give its feedback the request's")
    return Rated(request, feedback)


def _check_chosen(name: str, asking: Asking, chosen: object) -> None:
    """Raise PluginError unless a sampler chose questions of the pool, none twice, each of its stream.

    None about targets may be drawn at random.
    """
    if not isinstance(chosen, Chosen) or not isinstance(chosen.outlook, Outlook):
        raise PluginError(f"[rater] sampler {name} must return a Chosen, got {type(chosen).__name__}")
    pool = {each.request.id for each in asking.questions}
    ids = [each.request for each in chosen.asked]
    if len(set(ids)) < len(ids) or not pool.issuperset(ids):
        raise PluginError(f"[rater] sampler {name} chose a question twice, or one that is not in its pool")
    leaving = {each.request.id for each in asking.questions if each.leaves}
    if any((each.stream == LEFT) != (each.request in leaving) for each in chosen.asked):
        raise PluginError(
            f"[rater] sampler {name} must say {LEFT!r} as the stream of choices that it leaves to a person, and of"
            " nothing else: what a person takes there is what is had"
        )
    of_targets = {each.request.id for each in asking.questions if each.of_target}
    if any(each.stream == AT_RANDOM and each.request in of_targets for each in chosen.asked):
        raise PluginError(
            f"[rater] sampler {name} drew a question about a target at random, and what is drawn judges models"
        )


def _scored(job: ScoreJob, said: Prediction) -> Values:
    """Return a score of each output by each criterion."""
    return tuple(
        Scored(
            output,
            job.model.id,
            tuple(map(float, rewards[:, at])),
            tuple(map(float, said.acceptance[criterion][:, at])),
            criterion,
        )
        for criterion, rewards in said.rewards.items()
        for at, outputs in enumerate(job.outputs)
        for output in outputs
    )


def _joined(
    state: State, tree_of: dict[str, Tree], rated: Iterable[Rated], composer: Composer | None
) -> list[JoinedRating]:
    """Return ratings with own scores and parts' scores, as composed by `composer`, or the parts' own without one."""
    composed: dict[str, dict[str, Prediction]] = {}
    found = []
    for row in rated:
        node = row.request.node
        graph = tree_of[node].graph
        if node not in state.read:
            continue
        judged = state.judged(graph)
        if graph.root not in composed:
            own = {each: here.scores for each, here in judged.items()}
            composed[graph.root] = own if composer is None else compose(graph, judged, composer)
        parts = scored_parts(graph, node, judged, composed[graph.root])
        outputs = {output.id: at for at, output in enumerate(state.outputs[node])}
        places = [outputs[shown.output] for shown in row.request.shown if shown.output in outputs]
        if len(places) < len(row.request.shown) or not parts:
            continue  # about outputs of an earlier round
        scores = state.predictions[node]
        shown_scores = scores.at(places)
        candidates = tuple(state.outputs[node][at] for at in places)
        found.append(JoinedRating(graph.node(node), row, candidates, shown_scores, parts))
    return found
