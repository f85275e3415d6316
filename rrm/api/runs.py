"""A run in its folder: begun, driven to its end or as far as it goes, resumed, and applied to new sources."""

import logging
import os
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from shutil import copy2, copytree, rmtree
from typing import Any, NamedTuple

from rrm.api.look import WORK, forget_workers, refuse_notes, remember_folder, remember_settings, settings_of
from rrm.api.options import Options
from rrm.api.people import People, raters_each, rates_of
from rrm.api.recorded import IMPROVED, SOURCES, SourceRole, claims_model, improved_policies, improved_splits
from rrm.api.runfile import PEOPLE, EnginePart, RunFile, Targets, by_people, run_file, with_engine
from rrm.api.supplies import RunSupplies
from rrm.api.unchanged import remember_end, standing_report
from rrm.api.wiring import PRECISION, Parts
from rrm.api.worker import COMPOSERS, MODELS, POLICIES, RunWorker
from rrm.core.errors import ConfigError, InputError, PluginError, Waiting
from rrm.core.graph import GrowthBudget
from rrm.core.protocols import OutcomeOptimiser
from rrm.core.report import Report
from rrm.core.task import Source
from rrm.core.values import Fitted, FittedComposer, Improvement
from rrm.engines.here import FromPeople, InThread
from rrm.evaluate.holdout import Thresholdout
from rrm.feedback.budget import read_budget
from rrm.feedback.select import flattened
from rrm.pipeline import driver
from rrm.pipeline.driver import Engine
from rrm.pipeline.flat import Flat, flat_baseline
from rrm.pipeline.plan import AnyResults, AnyStage
from rrm.pipeline.prefetching import prefetching
from rrm.pipeline.progress import RichProgress, Watcher
from rrm.pipeline.recursion import recursion
from rrm.pipeline.steps import Improving, Outcome, Recursion, Sampling, Selecting, Splitting
from rrm.store.record import SqlStore, open_store

_log = logging.getLogger("rrm.api")


def terminal_watcher() -> Watcher:
    """Return what shows progress on the terminal."""
    return RichProgress()


async def run_in_loop(settings: RunFile, out: Path, options: Options, watcher: Watcher | None = None) -> Report:
    """Run a run file in a folder, or go on with it where it stopped, and return its report."""
    with open_store(out, url=options.store) as record:
        refuse_other_run(record, settings)
        return await OpenRun(Parts(settings, record), record, out, options=options, watcher=watcher).carry_out()


def refuse_other_run(record: SqlStore, settings: RunFile) -> None:
    """Raise InputError, naming the keys that differ, for a record that holds another run."""
    known = record.setting("run")
    if known is not None and (differ := _differing(_as_read_now(known), _identity(settings))):
        names = ", ".join(differ)
        raise InputError(f"{record.path.parent} holds a run that was begun with another {names}: use a new directory")


def settings_on_record(directory: Path) -> RunFile:
    """Return the settings of the run in a folder; raise InputError where it was made by `apply` or of objects."""
    with open_store(directory, "read") as record:
        settings, applied = settings_of(record, directory), record.setting("models") is not None
    if applied:
        raise InputError(f"{directory} was made by rrm apply: go on with that command")
    return settings


async def apply_in_loop(
    directory: Path,
    sources: Sequence[Path],
    out: Path,
    options: Options,
    watcher: Watcher | None = None,
    engine: str | None = None,
) -> Report:
    """Propose, score, choose and compose on new sources (book files) with a finished run's models and policies.

    What computes is done here, wherever the run itself was done, or by an `engine` of this name.
    The new folder stands by itself: it has the files of models and policies, too, as links to what the disk holds once
    where that is possible. A file of theirs is replaced and never written to.
    """
    if out.resolve() == directory.resolve():
        raise InputError(f"{out} holds the models that are applied: name another folder for what comes of it")
    with open_store(directory, "read") as record:
        settings = settings_of(record, directory)
        precision, earlier = record.setting(PRECISION), Earlier.of(record)
        # a policy may ask the models that it was improved against, and stand on another policy
        taken = earlier.policies or earlier.splitter is not None
        needed, improvements = (record.load(Fitted), record.load(Improvement)) if taken else (earlier.needed, [])
        composers: list[FittedComposer] = record.load(FittedComposer) if taken else []
    if not earlier.models:
        raise InputError(f"{directory} holds no fitted models yet: let its run finish first")
    files = Targets(
        "tasks.books:BookFiles",
        {"paths": [str(path.expanduser().absolute()) for path in sources]},
        trees=settings.target.trees,
    )
    kept = {"train": None, "rater": None, "recorded": (), "rounds": 1, "schedule": (), "select": None}
    improve = settings.improve if earlier.policies else None
    settings = replace(settings, name=out.name, target=files, flat=False, improve=improve, **kept)  # type: ignore[arg-type]
    settings = with_engine(replace(settings, engine=EnginePart()), engine)
    with open_store(out) as store:
        refuse_other_run(store, settings)
        store.settle("models", [model.digest for model in earlier.models])
        store.settle(IMPROVED, [policy.id for policy in earlier.policies])
        store.settle(PRECISION, precision)
        store.append([*needed, *improvements, *composers])
        paths = [*(Path(MODELS, each.path) for each in needed), *(Path(POLICIES, each.path) for each in improvements)]
        paths += [Path(COMPOSERS, each.path) for each in composers]
        for path in paths:
            copytree(directory / path, out / path, dirs_exist_ok=True, copy_function=_linked)
        opened = OpenRun(Parts(settings, store), store, out, earlier, options, watcher)
        return await opened.carry_out()


def _linked(source: str, target: str) -> None:
    """Give a file a second name, or copy it to another disk; one of the target's name is replaced."""
    if Path(target).exists() and Path(target).samefile(source):
        return
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        copy2(source, target)


class Earlier(NamedTuple):
    """What an earlier run learned, with which nothing is learned anew: empty for a run that learns.

    `models` judge outputs level by level and `claims` judges claim by claim, where the run had one; `splitter` is a
    decomposer.
    """

    models: tuple[Fitted, ...] = ()
    policies: tuple[Improvement, ...] = ()
    splitter: Improvement | None = None
    claims: Fitted | None = None

    @classmethod
    def of(cls, record: SqlStore) -> "Earlier":
        policies = tuple(improved_policies(record).values())
        return cls(fitted_models(record), policies, improved_splits(record), claims_model(record))

    @property
    def needed(self) -> list[Fitted]:
        """The models that judge."""
        return [*self.models, *([self.claims] if self.claims else [])]


NOTHING = Earlier()
"""What a run that learns has from an earlier one."""


@dataclass(frozen=True, eq=False)
class OpenRun:
    """A run under way in its folder; `earlier` is what it judges and proposes with where it learns nothing."""

    parts: Parts
    store: SqlStore
    out: Path
    earlier: Earlier = NOTHING
    options: Options = field(default_factory=Options)
    watcher: Watcher | None = None

    @cached_property
    def worker(self) -> RunWorker:
        return RunWorker(self.parts, self.out, self.watcher)

    @cached_property
    def people(self) -> People | None:
        """Who rates, where that is people; they answer at the desk in the run's folder."""
        if self.parts.run.people is None:
            return None
        return People(self.store, self.out, self.parts.run, self.parts.folders, self.options.wait)

    async def carry_out(self) -> Report:
        """Drive the run to its end and write its report; what was spent is recorded however it ends.

        All parts are made first: where one cannot be, the folder holds no run yet, and takes the mended one.
        """
        began = time.monotonic()
        plan = recursion_of(self.parts, self.earlier)
        if self.options.strict:
            refuse_notes(self.parts.notes)
        if self.store.setting("run") is None:
            self.store.settle("run", _identity(self.parts.run))
        remember_folder(self.store, self.parts.run)
        forget_workers(self.out)
        _log.info("%s: begins or goes on in %s", self.parts.run.name, self.out)
        try:
            self._refuse_other_texts()
            self.store.append([*self.parts.train, *self.parts.target])
            self.store.settle(SOURCES, self._roles())
            if (ended := self._ended(plan)) is not None:
                return ended
            self.parts.require_device()
            with closing(self.engine()) as engine:
                remember_settings(self.store, self.parts.run)
                outcome, flat = await self.outcome(plan, engine)
            from rrm.api.reports import FinishedRun, build_report, save_report  # seconds, which a run that ended saves

            finished = FinishedRun(self.parts, self.worker, outcome, flat, self._seconds(began))
            report = build_report(finished)
        except Waiting as error:
            standing = f" ({self.people.standing()})" if self.people else ""
            raise Waiting(
                f"{error}{standing}; people rate with: rrm annotate {self.out}; resume with: {self.options.again}"
            ) from error
        finally:
            if self.people is not None:
                self.people.close()
            self.store.spend({"seconds": time.monotonic() - began})
        save_report(report, self.out)
        remember_end(self.store, self.out, self.parts.run, plan)
        rmtree(self.out / WORK, ignore_errors=True)  # what fits would have resumed from
        _log.info("%s: finished in %.0f s, all restarts counted", report.name, report.seconds)
        return report

    def _ended(self, plan: Recursion) -> Report | None:
        """Return the report of the run where it ended and nothing has changed since, None where there may be work."""
        if self.options.retry_failed:
            return None
        report = standing_report(self.store, self.out, self.parts.run, plan)
        if report is not None:
            _log.info("%s: ended before, and nothing has changed since: its report stands", report.name)
        return report

    def _refuse_other_texts(self) -> None:
        """Raise InputError, naming the sources, where a text has changed since the run was begun."""
        known = self.store.setting(SOURCES) or {}
        recorded: dict[str, Source] = self.store.by_id(Source) if known else {}
        before = {recorded[id_].title for ids in known.values() for id_ in ids} if known else set()
        changed = [source.title for source in self.parts.sources.values() if source.id not in recorded]
        again = [title for title in changed if title in before]
        if again:
            texts = "is another text" if len(again) == 1 else "are other texts"
            raise InputError(
                f"{', '.join(again)} {texts} than when the run in {self.out} was begun: bring the old text back, or"
                " use a new directory"
            )

    def _roles(self) -> dict[SourceRole, list[str]]:
        train, apart = [source.id for source in self.parts.train], self.parts.apart
        return {
            "train": [id_ for id_ in train if id_ not in apart],
            "select": [id_ for id_ in train if id_ in apart],
            "target": [source.id for source in self.parts.target],
        }

    def engine(self) -> Engine:
        """Return who does the run's work; raise InputError where the run file names nobody who can."""
        raters = {"rate": self.parts.run.rater, "rate-splits": self.parts.run.split_rater}
        others = {
            step: FromPeople(self.people, self.options.wait)
            for step, rater in raters.items()
            if by_people(rater) and self.people is not None
        }
        supplies = RunSupplies(self.parts, self.worker, self.store)
        offered = {"worker": self.worker, "others": others, "supplies": supplies}
        made = self.parts.make(self.parts.run.engine, "engine", **offered)
        if isinstance(made, Engine):
            return made
        raise PluginError(f"[engine] {self.parts.run.engine.plugin} is no engine: it needs executor(step) and close()")

    async def outcome(self, plan: Recursion, engine: Engine) -> tuple[Outcome, Flat | None]:
        """Return where the run ends, doing only what is not on record."""
        process, learner = _process(plan, self.parts.flat), self.parts.prefetching
        if learner is None or not isinstance(engine.executor("score"), InThread):  # others read for themselves
            return await driver.drive(process, engine, self.store, self.watcher, self.options.retry_failed)
        process = prefetching(process, self.parts.sources, learner.prefetch)
        try:
            return await driver.drive(process, engine, self.store, self.watcher, self.options.retry_failed)
        finally:
            learner.stop_prefetch()

    def _seconds(self, began: float) -> float:
        return self.store.spent().get("seconds", 0.0) + time.monotonic() - began


def recursion_of(parts: Parts, earlier: Earlier = NOTHING) -> Recursion:
    """Return the recursion that a run file describes."""
    run, rater = parts.run, parts.run.rater
    budget = read_budget(rater.budget, "rater.budget") if rater and rater.budget is not None else None
    selecting = None
    if run.select is not None and parts.select_rater is not None:
        limited = run.select.reuse
        reuse = Thresholdout(limited.threshold, limited.noise, limited.answers, run.seed) if limited else None
        selecting = Selecting(parts.select_rater.name, parts.apart, flattened(run.select.per_node), reuse)
    improving = None
    if run.improve is not None:
        part = run.improve
        if part.budget_of == "tree" and not part.per_level:
            raise ConfigError(
                'improve.budget_of = "tree" gives each level a budget of its own, and so a policy: set '
                "improve.per_level = true"
            )
        how = (part.per_level, part.start, part.anchor, part.data, part.score, part.budget_of)
        improving = Improving(parts.optimiser.name, part.kl_budget, *how)
    splitting = None
    if run.splits is not None and not earlier.models:
        judge = PEOPLE if parts.split_rater is None else parts.split_rater.name
        splitting = Splitting(
            parts.split_optimiser.name,
            parts.split_learner.name,
            None if isinstance(parts.split_optimiser, OutcomeOptimiser) else judge,
            run.splits.candidates,
            run.splits.per_source,
            run.splits.kl_budget,
            not by_people(run.split_rater),
            rates_of(run.split_rater),
        )
    return Recursion(
        train=tuple((source, run.train.trees if run.train else 1) for source in parts.train),
        target=tuple((source, run.target.trees) for source in parts.target),
        weights=parts.weights,
        decomposer=parts.decomposer.name,
        policy=parts.policy.name,
        rater=parts.rater_name,
        learner=parts.learner.name,
        composer=parts.composer_name,
        aligner=parts.aligner.name,
        count=parts.tokenizer.count,
        shows_earlier=run.previous_context == "all",
        seed=run.seed,
        rounds=parts.rounds,
        outputs=run.policy.outputs,
        root_outputs=run.policy.root_outputs,
        ratings=flattened(rater.per_node) if rater else {},
        root_ratings=flattened(rater.per_root) if rater and rater.per_root is not None else None,
        budget=budget,
        grounder=parts.grounder.name if parts.grounder else None,
        rollout=parts.rollout.name if parts.rollout and not earlier.models else None,
        critic=parts.critic.name if parts.critic and not earlier.models else None,
        overlap=raters_each(rater),
        sheet=rater.sheet if rater else 1,
        peeks=rater.peeks if rater else 0.0,
        peeks_random=rater.peeks_random if rater else 1.0,
        rates=rates_of(rater),
        repeats=not by_people(rater),
        random_share=rater.random_share if rater else 0.0,
        sampling=Sampling.of(parts.sampler) if parts.sampler and not earlier.models else None,
        data="round" if run.reward.data == "round" else "all",
        stale_weight=run.reward.stale_weight,
        composer_learns=parts.learns_composer,
        reads_back=not parts.learns_composer and parts.composer.reads_back,
        checker=None if parts.learns_composer or not parts.composer.checks_claims else parts.claim_learner_name,
        growth=GrowthBudget(**asdict(run.growth)) if parts.grows else None,
        select=selecting,
        improve=improving,
        splits=splitting,
        gold=parts.gold.name if parts.gold else None,
        given=parts.given,
        models=earlier.models,
        policies=earlier.policies,
        splitter=earlier.splitter,
        claims=earlier.claims,
    )


def _process(plan: Recursion, flat: bool) -> Generator[AnyStage, AnyResults, tuple[Outcome, Flat | None]]:
    outcome = yield from recursion(plan)
    return outcome, (yield from flat_baseline(outcome)) if flat else None


def _identity(settings: RunFile) -> dict[str, Any]:
    """Return what makes a run this run; all else may change when it goes on, and is remembered as it was last given.

    `dtype` is left out, as `auto` and a precision may mean the same: the precision has a record of its own.
    """
    kept = settings.to_json()
    for free in ("limits", "compose", "engine"):
        del kept[free]
    del kept["reward"]["device"], kept["reward"]["dtype"]
    for assistant in kept["assistants"].values():
        del assistant["concurrency"], assistant["attempts"]
    return kept


def _as_read_now(known: dict[str, Any]) -> dict[str, Any]:
    """Return what makes a run on record, with the defaults of settings that are newer; of objects as it stands."""
    try:
        return _identity(run_file(known, learns=False))
    except InputError:
        return known


def _differing(known: Any, asked: Any, where: str = "") -> list[str]:
    """Return the dotted keys under which two tables of plain values differ."""
    if isinstance(known, dict) and isinstance(asked, dict):
        keys = sorted(known.keys() | asked.keys())
        dotted = {key: f"{where}.{key}" if where else key for key in keys}
        return [each for key in keys for each in _differing(known.get(key), asked.get(key), dotted[key])]
    return [] if known == asked else [where]


def fitted_models(record: SqlStore) -> tuple[Fitted, ...]:
    """Return the models of role train on record, the last of each level, leaves' first; not the flat baseline's."""
    found: dict[tuple[bool, int], Fitted] = {}
    for fitted in record.load(Fitted):
        if fitted.place.subject == "answer" and fitted.role == "train":
            found[fitted.root, fitted.place.level] = fitted
    return tuple(found[key] for key in sorted(found))
