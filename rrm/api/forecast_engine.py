"""What a run's workers elsewhere would take, before any of them begins."""

from collections.abc import Iterable, Mapping
from typing import Any

from rrm.api.plugins import load
from rrm.api.runfile import RunFile
from rrm.api.supplies import steps_elsewhere
from rrm.core.machine import MachineTime
from rrm.engines.apart import Apart, Wanted, require_installed
from rrm.engines.apart_process import processors
from rrm.engines.crossing import ON_REQUEST, STEPS, write_actions
from rrm.engines.local import Local, place
from rrm.pipeline.plan import AnyAction

WORKER_BYTES = 800_000_000
"""What a worker that has loaded MiniLM takes of memory, as measured (docs/scale.md); larger models take more."""
BEGIN_SECONDS: Mapping[str, float] = {"Local": 1.9, "Ray": 7.2, "Dask": 3.0}
"""How long a cluster of a run's own takes to begin with two workers, as measured (docs/scale.md)."""


def engine_json(run: RunFile, done: Iterable[AnyAction] | None, machine: MachineTime | None) -> dict[str, Any] | None:
    """Return who the workers are, what they do, what crosses to them, and whether that pays.

    None for this process alone, and for engines that are not rrm's.

    `done` are all actions of the run where they are known, and `machine` what its reward models take on this machine.
    Nothing is begun and nobody is asked. Raises ConfigError for workers that cannot be, InputError for more of them
    than this machine has room for where they are its own, SetupError for a library that is not installed.
    """
    asked = _asked(run)
    if asked is None:
        return None
    library, can, wanted = asked
    steps = frozenset[str]().union(*(each.steps for each in wanted)) if wanted else can - ON_REQUEST
    count = sum(each.count for each in wanted)
    threads = sum(each.cpus * each.count for each in wanted)
    gpus = sum(each.gpus * each.count for each in wanted)
    actions = None if done is None else list(done)
    crosses = None if actions is None else [each for each in actions if each.step in steps]
    stays = () if actions is None else {each.step for each in actions if each.step in STEPS} - steps
    least, begin = None, BEGIN_SECONDS.get(library)
    if machine is not None and begin is not None and wanted and not gpus and "score" in steps:
        least = (machine.seconds * processors() / threads + begin) / 60
    pays, why = _pays(crosses, least, machine)
    return {
        "name": library,
        "workers": count or None,
        "threads": threads or None,
        "gpus": gpus if wanted else None,
        "steps": sorted(steps),
        "steps_here": sorted(stays),
        "bytes": None if crosses is None else sum(len(write_actions([each])) for each in crosses),
        "memory_bytes": count * WORKER_BYTES or None,
        "machine_minutes_at_least": None if least is None else round(least, 1),
        "pays": pays,
        "why": why,
    }


def _asked(run: RunFile) -> tuple[str, frozenset[str], list[Wanted]] | None:
    """Return the engine's name, the steps that workers can do, and the workers, none where the cluster decides."""
    kind = None if run.engine.made is not None else load(run.engine.plugin, run.folder)
    workers = run.engine.arguments.get("workers", ())
    if isinstance(kind, type) and issubclass(kind, Apart):
        library, can = kind.cluster.library, steps_elsewhere(run)
        require_installed(library, kind.package, kind.oldest)
        wanted = [Wanted.of(each, can) for each in workers]
        if not wanted and run.engine.arguments.get("address", "local") == "local":
            wanted = [Wanted(can - ON_REQUEST, count=processors())]
        return library, can, wanted
    if kind is Local and workers:
        can = steps_elsewhere(run)
        wanted = [Wanted.of(each, can) for each in workers]
        place(wanted)
        return "Local", can, wanted
    return None


def _pays(crosses: list[AnyAction] | None, least: float | None, machine: MachineTime | None) -> tuple[bool | None, str]:
    """Say that workers do not pay, or None where that is not known, and why.

    Fits are among what models read, and are not shared out. How much of it scores are is not known, but no more than
    all of it, which is what `least` minutes are for.
    """
    if crosses == []:
        return (
            False,
            "no work of this run can be done by them: its parts are objects or ask a model, or no worker has its steps",
        )
    if least is None or machine is None:
        return None, "whether they pay is not known: how long they compute is not"
    here = machine.seconds / 60
    told = f"what reward models read takes about {here:.1f} minutes here and at least {least:.1f} with them, to begin"
    if least < here:
        return None, f"{told} included: whether they pay is not known, for fits are among it and are not shared out"
    return False, f"{told} included: they pay only where policies compute for long"
