"""What workers elsewhere are told of a run, and what they must be made of; the other end is `rrm.api.elsewhere`."""

import importlib.metadata
import logging
import platform
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from functools import cache
from hashlib import blake2b
from inspect import getmodule
from itertools import chain
from json import dumps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import TypeAdapter

from rrm.api import folder_parts
from rrm.api.folder_parts import RANKS, STATES
from rrm.api.kept_states import KeptStates
from rrm.api.look import BEGAN, DOING
from rrm.api.plugins import load, takes
from rrm.api.runfile import Part, RunFile
from rrm.api.wiring import PRECISION, Parts
from rrm.api.worker import MODELS, POLICIES, RunWorker
from rrm.assistants.secrets import without_secret_arguments
from rrm.core.errors import ConfigError, InputError, MissingError
from rrm.core.task import Source
from rrm.core.values import Fitted, Improvement
from rrm.engines.crossing import CALL, STEPS, Answered, message
from rrm.engines.seats import Doing
from rrm.files import write_json
from rrm.pipeline.plan import AnyAction, Values
from rrm.pipeline.splits import DrawJob
from rrm.pipeline.stages import DecomposeJob, FitJob, OutputsJob, ScoreJob, SplitJob, SupportJob
from rrm.store.record import SqlStore

_log = logging.getLogger("rrm.api")

_HOME = Path(__file__).resolve().parents[2]
OURS = frozenset(_HOME / name for name in ("rrm", "decomposers", "tasks"))
"""The folders of this installation's code."""
DEVICE = "device"
"""What a worker says beside what it is made of: on what it computes."""
GPU = "a GPU"
_LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")


def needed(action: AnyAction) -> list[str]:
    """Return the names of what an action needs beside its job; `RunSupplies.parts` has what they name."""
    job = action.job
    if isinstance(job, ScoreJob | SupportJob):
        return [f"model/{job.model.path}"]
    if isinstance(job, FitJob):
        return [f"model/{each.path}" for each in (job.below, job.before) if each is not None]
    if isinstance(job, SplitJob):
        return [f"source/{job.source}"]
    assert isinstance(job, OutputsJob | DecomposeJob | DrawJob)
    improved = job.policy if isinstance(job, OutputsJob) else job.decomposer
    return [] if improved is None else [f"policy/{improved.id}"]


def made_of(run: RunFile) -> dict[str, str]:
    """Return what a process that does a run's work is made of: versions, and digests of code, by name."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2])}
    found |= {name: importlib.metadata.version(name) for name in _LIBRARIES}
    found["rrm"] = _digest_of_rrm()
    for part in _computing(run):
        if part.made is None:
            file = getattr(getmodule(load(part.plugin, run.folder)), "__file__", None)
            if file is not None and not OURS.intersection(Path(file).parents):
                found[part.plugin] = blake2b(Path(file).read_bytes(), digest_size=8).hexdigest()
    return found


def device() -> str:
    """Return on what parts of this process compute that are not told."""
    import torch

    return GPU if torch.cuda.is_available() else "a processor"


@cache
def _digest_of_rrm() -> str:
    """Return a digest of all code of this installation's rooms and plug-ins."""
    digest = blake2b(digest_size=8)
    for file in sorted(chain.from_iterable(folder.rglob("*.py") for folder in OURS)):
        digest.update(str(file.relative_to(_HOME)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


class RunSupplies:
    """What workers elsewhere need of a run in its folder; implements `rrm.engines.seats.Supplies`.

    What computes can be done elsewhere by parts that are named and ask no model: an object, or a part that asks one of
    the run's assistants, is in this process alone. Of assistants the bare calls can be made elsewhere.
    """

    worker = "rrm.api.elsewhere:Elsewhere"

    def __init__(self, parts: Parts, worker: RunWorker, store: SqlStore) -> None:
        self._parts, self._worker, self._store = parts, worker, store
        self._composed: dict[str, bool] = {}
        self.steps = steps_elsewhere(parts.run)

    def opening(self, threads: int, calls: bool) -> bytes:
        run = self._parts.run
        settings = run.to_json()
        spec = {
            "run": settings if calls else {**settings, "assistants": {}},
            "folder": None if run.folder is None else str(run.folder),
            "began": self._store.setting(BEGAN),
            "precision": self._store.setting(PRECISION),
        }
        return message({"open": threads, "log": logging.getLogger("rrm").getEffectiveLevel()}, dumps(spec).encode())

    def check(self, seat: str, facts: Mapping[str, str]) -> None:
        own = made_of(self._parts.run)
        name = next((name for name in own if own[name] != facts.get(name)), None)
        if name is not None:
            which = f"{name} {facts.get(name, 'none')}, and this process {name} {own[name]}"
            raise InputError(f"[engine] {seat} has {which}: results would differ, so install the same on both")
        if (there := facts.get(DEVICE, device())) != device():
            told = "%s computes on %s, and this process on %s: what they make may differ in the last digits"
            _log.warning(told, seat, there, device())

    def stays(self, action: AnyAction) -> bool:
        """Say whether an action asks a policy that was improved against composed scores, which reads the record."""
        job = action.job
        if not isinstance(job, OutputsJob) or job.policy is None:
            return False
        if job.policy.id not in self._composed:  # a file tells, which is read once and not for each proposal
            self._composed[job.policy.id] = self._worker.asks_composed(job.policy)
        return self._composed[job.policy.id]

    def parts(self, name: str) -> Iterator[bytes]:
        kind, _, which = name.partition("/")
        if kind == "source":
            yield message({"source": which}, _SOURCE.dump_json(self._parts.sources[which]))
        elif kind == "model":
            yield from self._files(f"{MODELS}/{which}")
        elif kind == "state":
            yield from self._states(which).sent(f"{RANKS}/{which}")
        else:
            yield from self._policy(self._improvement(which))
        yield message({"has": name})

    def _policy(self, improved: Improvement) -> Iterator[bytes]:
        """Yield a policy's files and those of the models that it was improved against, and its anchor's likewise."""
        yield from self._files(f"{POLICIES}/{improved.path}")
        fitted = list(self._worker.models_behind(improved))
        yield message({"rows": "improvement"}, _IMPROVED.dump_json([improved]))
        yield message({"rows": "fitted"}, _FITTED.dump_json(fitted))
        for each in fitted:
            yield from self._files(f"{MODELS}/{each.path}")
        anchor = self._worker.improvement(improved.anchor)
        if anchor is not None:
            yield from self._policy(anchor)

    def _files(self, name: str) -> Iterator[bytes]:
        return folder_parts.sent(self._worker.folder / name, name)

    def fetch(self, values: Values) -> Generator[bytes, Answered, None]:
        """Yield what a worker is asked for the files of the models that it fitted, and keep what it answers.

        Raises InputError for an answer to something else, for a model that did not arrive whole, and for one whose
        name would lead out of the run's models.
        """
        for fitted in values:
            if isinstance(fitted, Fitted):
                yield from self._arriving(f"{MODELS}/{folder_parts.alone(fitted.path)}")

    def _arriving(self, name: str) -> Generator[bytes, Answered, None]:
        whole, work = folder_parts.inside(self._worker.folder, name), self._worker.work
        head, _ = yield message({"content": name})
        content = folder_parts.read_content(_of(head, "content", {"of": name}))
        work.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="arriving-", dir=work) as arriving:
            partial = Path(arriving, name)
            for file, (size, _) in content.items():
                for at in folder_parts.parts_of(size):
                    head, part = yield message({"send": name, "file": file, "at": at})
                    _of(head, "keep", {"keep": name, "file": file, "at": at})
                    folder_parts.keep(partial, file, at, part)
            folder_parts.finish(partial, whole, content)
        yield message({"fetched": name})

    def parts_of(self, folder: str, content: object) -> Iterator[bytes]:
        for file, (size, _) in folder_parts.read_content(content).items():
            for at in folder_parts.parts_of(size):
                yield message({"send": folder, "file": file, "at": at})

    def state(self, fit: str, ranks: int) -> Mapping[str, tuple[int, str]] | None:
        return self._states(fit).last(ranks)

    def keep_state(self, fit: str, ranks: int, content: object) -> Generator[bytes, Answered, None]:
        states, name = self._states(fit), f"{STATES}/{fit}"
        told = folder_parts.read_content(content)
        for file, (size, digest) in states.lacking(told).items():
            for at in folder_parts.parts_of(size):
                head, part = yield message({"send": name, "file": file, "at": at})
                _of(head, "keep", {"keep": name, "file": file, "at": at})
                states.keep(digest, at, part)
        states.name(told, ranks)

    def forget_state(self, fit: str) -> None:
        self._states(fit).remove()

    def _states(self, fit: str) -> KeptStates:
        return KeptStates(self._worker.work / folder_parts.alone(fit))

    def check_calls(self) -> None:
        require_no_secrets(self._parts.run)

    def lend(self, call: Callable[[str], Awaitable[str]] | None) -> None:
        self._parts.lending.by = call

    def note(self, doing: Sequence[Doing]) -> None:
        file = self._worker.work / DOING
        if doing:
            write_json(file, {"workers": [each._asdict() for each in doing]})
        else:
            file.unlink(missing_ok=True)

    def _improvement(self, id_: str) -> Improvement:
        found = next((each for each in self._store.load(Improvement) if each.id == id_), None)
        if found is None:
            raise MissingError(f"the record names no policy {id_}")
        improved: Improvement = found
        return improved


def steps_elsewhere(run: RunFile) -> frozenset[str]:
    """Return the steps that workers elsewhere can do: those of named parts that ask no model, and calls of models."""
    done = frozenset(step for step in STEPS if all(_crosses(run, part) for part in _parts_of(run, step)))
    return done | {CALL} if run.assistants else done


def require_no_secrets(run: RunFile) -> None:
    """Raise ConfigError for an assistant whose key stands in the run file: it is sent to nobody."""
    for name, part in run.assistants.items():
        if without_secret_arguments(part.arguments) != part.arguments:
            raise ConfigError(
                f"[engine] workers cannot make calls of [assistants.{name}]: its key stands in the run file, and keys"
                " are not sent; write ${NAME} there, and set NAME in the environment of the workers"
            )


def _parts_of(run: RunFile, step: str) -> list[Part]:
    """Return the parts that do a step."""
    splits = [run.decomposer, *([run.splits, run.splits.reward] if run.splits else [])]
    if step in ("decompose", "split", "draw"):
        return splits
    if step == "fit-splits":
        return splits[1:]
    if step == "propose":
        return [run.policy, run.reward, *([run.improve] if run.improve else [])]
    return [run.reward, *([] if step == "fit" else splits[2:])]


def _crosses(run: RunFile, part: Part) -> bool:
    if part.made is not None or part.object is not None:
        return False
    plugins = _plugins("", {"plugin": part.plugin, "arguments": part.arguments})
    alone = len(run.assistants) == 1 and any(takes(each, "assistant", run.folder) for each in plugins)
    return not alone and not _names_assistant(part.arguments)


def _of(head: Mapping[str, Any], name: str, asked: Mapping[str, Any]) -> Any:
    """Return what a head has of a name; raise InputError unless it answers what was asked."""
    if name not in head or any(head.get(key) != value for key, value in asked.items()):
        raise InputError(f"a worker was asked for {asked}, and answered {dict(head)}")
    return head[name]


def _plugins(key: str, value: Any) -> Iterator[str]:
    """Yield the import strings of a part and of those among its arguments, as `rrm.api.plugins.make` finds them."""
    if isinstance(value, list | tuple):
        for each in value:
            yield from _plugins(key, each)
    elif isinstance(value, str) and key in ("learner", "learners"):
        yield value
    elif isinstance(value, Mapping) and isinstance(value.get("plugin"), str):
        yield value["plugin"]
        for name, each in value.get("arguments", {}).items():
            yield from _plugins(name, each)


def _names_assistant(arguments: Any) -> bool:
    if isinstance(arguments, Mapping):
        return "assistant" in arguments or any(map(_names_assistant, arguments.values()))
    return isinstance(arguments, list | tuple) and any(map(_names_assistant, arguments))


def _computing(run: RunFile) -> list[Part]:
    """Return the parts of a run that compute what workers elsewhere do."""
    parts = [run.decomposer, run.policy, run.reward, run.improve, run.splits, run.splits and run.splits.reward]
    return [part for part in parts if part is not None]


_SOURCE = TypeAdapter(Source)
_FITTED = TypeAdapter(list[Fitted])
_IMPROVED = TypeAdapter(list[Improvement])
