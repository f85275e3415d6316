"""Who carries out each step of a run: plug-ins in a thread or side by side, people through the store."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

from rrm.api.runfile import PEOPLE
from rrm.api.wiring import Parts
from rrm.core.errors import AssistantError, ConfigError, StoreError
from rrm.core.graph import TaskGraph
from rrm.core.ids import content_id, seed_for
from rrm.core.values import Feedback, Fitted, Output, Request, Scored
from rrm.engines.local import Answers, Concurrently, FromPeople, InThread
from rrm.pipeline.driver import Executor
from rrm.pipeline.plan import Action
from rrm.pipeline.stages import FitJob, ProposeJob, ScoreJob
from rrm.reward.features import FeatureReader
from rrm.reward.fit import FitConfig, fit
from rrm.reward.model import LevelModel

Do = Callable[[Action], Sequence[Any]]
DoAsync = Callable[[Action], Awaitable[Sequence[Any]]]


def executors(parts: Parts, models: "Models", people: Answers | None = None, wait: bool = False) -> dict[str, Executor]:
    """Return who carries out each step that `rrm.pipeline` yields; with `people`, they rate."""
    limit = max((part.concurrency for part in parts.run.assistants.values()), default=8)
    seed = parts.run.seed

    def decompose(action: Action) -> Sequence[TaskGraph]:
        return [parts.decomposer.decompose(action.payload.source, action.payload.seed)]

    async def decompose_async(action: Action) -> Sequence[TaskGraph]:
        return [await parts.decomposer.decompose_async(action.payload.source, action.payload.seed)]

    def propose(action: Action) -> Sequence[Output]:
        job = _with_material(action)
        return _n_outputs(parts.policy.propose(job.material, job.n, job.seed), job.n)

    async def propose_async(action: Action) -> Sequence[Output]:
        job = _with_material(action)
        return _n_outputs(await parts.policy.propose_async(job.material, job.n, job.seed), job.n)

    def rate(action: Action) -> Sequence[Request | Feedback]:
        request: Request = action.payload
        return [request, parts.rater.rate(request, seed_for(seed, request.id))]

    async def rate_async(action: Action) -> Sequence[Request | Feedback]:
        request: Request = action.payload
        return [request, await parts.rater.rate_async(request, seed_for(seed, request.id))]

    rating: Executor
    if people is not None:
        rating = FromPeople(people, wait)
    else:
        rating = _either(parts.rater, "rate", rate, rate_async, limit) if parts.run.rater else InThread(rate)
    return {
        "decompose": _either(parts.decomposer, "decompose", decompose, decompose_async, limit, batch=1),
        "propose": _either(parts.policy, "propose", propose, propose_async, limit),
        "rate": rating,
        "fit": InThread(models.fit, batch=1, vital=True),
        "score": InThread(models.score, prepare=models.read, vital=True),
    }


class Models:
    """The run's reward models: fits and saves them under `folder`, loads and asks them."""

    def __init__(self, parts: Parts, folder: Path) -> None:
        self._parts, self.folder = parts, folder
        self._loaded: dict[str, LevelModel] = {}

    @cached_property
    def reader(self) -> FeatureReader:
        """The features of groups, over one encoder whose vectors are kept in the run's cache."""
        from rrm.backbone.encoder import CachedEncoder, FrozenEncoder

        reward = self._parts.run.reward
        encoder = FrozenEncoder(reward.backbone, device=reward.device, dtype=reward.dtype)
        return FeatureReader(CachedEncoder(encoder, self._parts.store))

    @cached_property
    def config(self) -> FitConfig:
        run = self._parts.run
        # several people differ, and the desk shows each its own order: without reliability that is noise
        by_people = run.rater is not None and run.rater.plugin == PEOPLE
        try:
            return FitConfig(**{"reliability": by_people, **run.reward.fit})
        except TypeError as error:
            known = ", ".join(each.name for each in fields(FitConfig))
            raise ConfigError(f"[reward.fit] {error}; there are {known}") from error

    @property
    def name(self) -> str:
        """Covers all that a fit depends on beside its ratings."""
        return content_id("reward", self.reader.encoder.name, self.config)

    def load(self, fitted: Fitted) -> LevelModel:
        """Return a model on record; raise StoreError if its files are gone or changed."""
        if fitted.digest not in self._loaded:
            model = LevelModel.load(self.folder / fitted.path, self.reader)
            if model.digest != fitted.digest:
                raise StoreError(f"{self.folder / fitted.path} does not hold the model that the record names")
            self._loaded[fitted.digest] = model
        return self._loaded[fitted.digest]

    def fit(self, action: Action) -> Sequence[Fitted]:
        job: FitJob = action.payload
        below = None if job.below is None else self.load(job.below)
        if below is not None and not job.rated:
            model = LevelModel.shared(below, job.level)
        else:
            model = fit(job.rated, self.reader, self.config, job.seed, init=below, level=job.level)
        digest = model.digest
        path = f"level-{job.level}-{digest[:12]}" if job.level >= 0 else f"flat-{digest[:12]}"
        model.save(self.folder / path)
        self._loaded[digest] = model
        return [Fitted(job.level, path, digest, len(job.rated))]

    def read(self, actions: Sequence[Action]) -> None:
        """Encode what a batch of scoring needs, in one go."""
        self.reader.read([action.payload.group for action in actions])

    def score(self, action: Action) -> Sequence[Scored]:
        job: ScoreJob = action.payload
        model = self.load(job.model)
        rewards = model.rewards([job.group])[0]
        acceptance = model.acceptance([job.group])[0]
        return [
            Scored(output, job.model.id, tuple(map(float, rewards[:, at])), tuple(map(float, acceptance[:, at])))
            for at, outputs in enumerate(job.outputs)
            for output in outputs
        ]


def _with_material(action: Action) -> ProposeJob:
    job: ProposeJob = action.payload
    if not job.material.view.passages:
        raise AssistantError("there is nothing to work on: the text is blank, or all of its parts failed")
    return job


def _either(part: Any, verb: str, do: Do, do_async: DoAsync, limit: int, batch: int = 256) -> Executor:
    """Return a thread for a part that answers at once, or many calls side by side for one that waits."""
    if callable(getattr(part, f"{verb}_async", None)):
        return Concurrently(do_async, limit)
    if callable(getattr(part, verb, None)):
        return InThread(do, batch)
    raise ConfigError(f"{type(part).__module__}:{type(part).__name__} has neither {verb} nor {verb}_async")


def _n_outputs(outputs: Sequence[Output], n: int) -> Sequence[Output]:
    if len(outputs) != n or not all(isinstance(output, Output) for output in outputs):
        raise AssistantError(f"the policy was asked for {n} outputs and returned {len(outputs)}")
    return outputs
