"""What the commands do, as plain functions; `run` and `apply` are the Python API too."""

import time
import tomllib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from shutil import copytree
from typing import Any

from rrm.api.executors import Models, executors
from rrm.api.look import finished, settings_of
from rrm.api.people import People, check_arguments
from rrm.api.reports import Run, build_report, save_report, score_text
from rrm.api.runfile import PEOPLE, RunFile, Sources, read_run_file, run_file
from rrm.api.wiring import Parts
from rrm.core.errors import InputError, Interrupted, Waiting
from rrm.core.report import Report
from rrm.core.values import Fitted
from rrm.pipeline import driver
from rrm.pipeline.flat import Flat, flat_baseline
from rrm.pipeline.plan import Stage
from rrm.pipeline.progress import RichProgress
from rrm.pipeline.recursion import Outcome, Recursion, Results, recursion
from rrm.store.record import SqlStore, open_store

MODELS = "models"


# ---- running ----


def demo_file(seed: int) -> RunFile:
    """Return the settings of `rrm demo`: the seed makes the books, too."""
    table = tomllib.loads(resources.files("rrm.api").joinpath("demo.toml").read_text("utf-8"))
    changes = (f"seed={seed}", f"train.arguments.seed={2 * seed}", f"target.arguments.seed={2 * seed + 1}")
    return run_file(table, changes)


def run(
    settings: RunFile | str | Path,
    out: str | Path,
    *,
    again: str = "the same call",
    wait: bool = False,
    retry_failed: bool = False,
    quiet: bool = False,
    store: str | None = None,
) -> Report:
    """Run a run file in a folder, or go on with it where it stopped, and return its report.

    The folder then holds the record (unless `store` is the PostgreSQL URL that a new one has), the models,
    `report.json` and `report.html`. `again` is what to type to go on, for messages. Raises Waiting where
    people have yet to answer (unless `wait`), Interrupted after Ctrl-C, InputError if the folder holds another run.
    """
    settings = settings if isinstance(settings, RunFile) else read_run_file(Path(settings))
    with open_store(Path(out), url=store) as record:
        record.settle("run", _identity(settings))
        going = Going(Parts(settings, record), record, Path(out), again=again, wait=wait, retry_failed=retry_failed)
        return going.carry_out(quiet)


def resume(
    directory: str | Path,
    *,
    again: str = "the same call",
    wait: bool = False,
    retry_failed: bool = False,
    quiet: bool = False,
) -> Report:
    """Go on with the run in a folder, as its record says it was begun; raises what `run` raises."""
    with open_store(Path(directory), "read") as record:
        settings, applied = settings_of(record, Path(directory)), record.setting("models") is not None
    if applied:
        raise InputError(f"{directory} was made by rrm apply: go on with that command")
    return run(settings, directory, again=again, wait=wait, retry_failed=retry_failed, quiet=quiet)


def apply(
    directory: str | Path,
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    again: str = "the same call",
    quiet: bool = False,
) -> Report:
    """Propose, score, choose and compose on new sources (book files) with a finished run's models.

    The models are copied, so the new folder stands by itself.
    """
    with open_store(Path(directory), "read") as record:
        settings = settings_of(record, Path(directory))
        models = _level_models(record)
    if not models:
        raise InputError(f"{directory} holds no fitted models yet: let its run finish first")
    files = Sources("tasks.books:BookFiles", {"paths": [str(path) for path in sources]}, settings.target.trees)
    settings = replace(settings, name=Path(out).name, train=None, rater=None, recorded=(), target=files)
    with open_store(Path(out)) as store:
        store.settle("run", _identity(settings))
        store.settle("models", [model.digest for model in models])
        store.append(models)
        for model in models:
            copytree(Path(directory) / MODELS / model.path, Path(out) / MODELS / model.path, dirs_exist_ok=True)
        return Going(Parts(settings, store), store, Path(out), models, again).carry_out(quiet)


@dataclass(frozen=True, eq=False)
class Going:
    """A run under way in its folder; `fitted` are models of an earlier run, with which nothing is learned."""

    parts: Parts
    store: SqlStore
    out: Path
    fitted: tuple[Fitted, ...] = ()
    again: str = ""
    wait: bool = False
    retry_failed: bool = False

    @cached_property
    def models(self) -> Models:
        return Models(self.parts, self.out / MODELS)

    @cached_property
    def people(self) -> People | None:
        """Who rates, where that is people; they answer at the desk in the run's folder."""
        rater = self.parts.run.rater
        if rater is None or rater.plugin != PEOPLE:
            return None
        check_arguments(rater.arguments)
        return People(self.store, self.out, self.parts.run, self.wait)

    def carry_out(self, quiet: bool = False) -> Report:
        """Drive the run to its end and write its report; what was spent is recorded however it ends."""
        began = time.monotonic()
        try:
            with self.parts.spending():
                self.store.append([*self.parts.train, *self.parts.target])
                outcome, flat = self.outcome(None if quiet else RichProgress())
                report = build_report(Run(self.parts, self.models, outcome, flat, self._seconds(began)))
        except KeyboardInterrupt:
            raise Interrupted(f"stopped; nothing recorded is lost, go on with: {self.again}") from None
        except Waiting as error:
            standing = f" ({self.people.standing()})" if self.people else ""
            raise Waiting(
                f"{error}{standing}; people rate with: rrm annotate {self.out}; go on with: {self.again}"
            ) from error
        finally:
            if self.people is not None:
                self.people.close()
            self.store.spend({"seconds": time.monotonic() - began})
        save_report(report, self.out)
        return report

    def outcome(self, progress: RichProgress | None = None) -> tuple[Outcome, Flat | None]:
        """Return where the run ends, doing only what is not on record."""
        plan = recursion_of(self.parts, self.models, self.fitted)

        async def drive() -> tuple[Outcome, Flat | None]:
            done = executors(self.parts, self.models, self.people, self.wait)
            return await driver.drive(
                _process(plan, self.parts.run.flat), done, self.store, progress, self.retry_failed
            )

        return driver.run(drive)

    def _seconds(self, began: float) -> float:
        return self.store.spent().get("seconds", 0.0) + time.monotonic() - began


def recursion_of(parts: Parts, models: Models, fitted: Sequence[Fitted] = ()) -> Recursion:
    """Return the recursion that a run file describes."""
    run, rater = parts.run, parts.run.rater
    train = tuple((source, run.train.trees if run.train else 1) for source in parts.train)
    target = tuple((source, run.target.trees) for source in parts.target)
    return Recursion(
        train=train,
        target=target,
        decomposer=parts.decomposer.name,
        policy=parts.policy.name,
        rater=parts.rater_name,
        reward=models.name,
        count=parts.tokenizer.count,
        seed=run.seed,
        outputs=run.policy.outputs,
        root_outputs=run.policy.root_outputs,
        ratings=rater.per_node if rater else {},
        root_ratings=rater.per_root if rater else None,
        random_share=rater.random_share if rater else 0.0,
        given=parts.given,
        models=tuple(fitted),
    )


def _process(plan: Recursion, flat: bool) -> Generator[Stage, Results, tuple[Outcome, Flat | None]]:
    outcome = yield from recursion(plan)
    return outcome, (yield from flat_baseline(plan, outcome)) if flat else None


def _identity(settings: RunFile) -> dict[str, Any]:
    """Return what makes a run this run; all else may change when it goes on."""
    kept = settings.to_json()
    for free in ("limits", "compose"):
        del kept[free]
    kept["reward"].pop("device")
    for assistant in kept["assistants"].values():
        del assistant["concurrency"], assistant["attempts"]
    return kept


def _level_models(record: SqlStore) -> tuple[Fitted, ...]:
    """Return the models on record, leaves' first; the flat baseline's is not one of them."""
    found = {fitted.level: fitted for fitted in record.load(Fitted) if fitted.level >= 0}
    return tuple(found[level] for level in sorted(found))


def score(directory: Path, text: Path, target: int) -> dict[str, Any]:
    """Score somebody's own root output over the chosen outputs of the tree that the run chose.

    The own score is the root model's; where nothing anchors it, it says how the text compares with
    the run's own root outputs.
    """
    report = finished(directory)
    if not 0 <= target < len(report.targets):
        raise InputError(f"{directory} has {len(report.targets)} targets: --target counts them from 0")
    try:
        said = text.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{text} cannot be read as UTF-8 text: {error}") from error
    with open_store(directory, "append") as store:
        parts = Parts(settings_of(store, directory), store)
        fitted = _level_models(store) if store.setting("models") else ()
        going = Going(parts, store, directory, fitted)
        outcome, flat = going.outcome()
        scored = score_text(Run(parts, going.models, outcome, flat, 0.0), report.targets[target], said)
    return {"target": report.targets[target].title, **scored}
