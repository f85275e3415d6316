"""What a run's workers elsewhere would take, before any of them begins."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from rrm.api.plugins import load
from rrm.api.runfile import RunFile
from rrm.api.supplies import require_no_secrets, steps_elsewhere
from rrm.core.machine import MachineTime
from rrm.engines.apart import Apart, Wanted, ranks_of, require_installed
from rrm.engines.apart_process import processors
from rrm.engines.crossing import CALL, ON_REQUEST, STEPS, write_actions
from rrm.engines.group import LOOPBACK
from rrm.engines.local import Local, place
from rrm.pipeline.plan import AnyAction

WORKER_BYTES = 800_000_000
"""What a worker that has loaded MiniLM takes of memory, as measured (docs/scale.md); larger models take more."""
BEGIN_SECONDS: Mapping[str, float] = {"Local": 1.9, "Ray": 7.2, "Dask": 3.0}
"""How long a cluster of a run's own takes to begin with two workers, as measured (docs/scale.md).

More are taken to begin one after another, as processes of this machine do.
"""


def engine_json(run: RunFile, done: Iterable[AnyAction] | None, machine: MachineTime | None) -> dict[str, Any] | None:
    """Return who the workers are, what they do, what crosses to them, and whether that may pay.

    None for this process alone, and for engines that are not rrm's.

    `done` are all actions of the run where they are known, and `machine` what its reward models take on this machine.
    Nothing is begun and nobody is asked. Raises ConfigError for workers that cannot be, InputError for more of them
    than this machine has room for where they are its own, SetupError for a library that is not installed.
    """
    asked = _asked(run)
    if asked is None:
        return None
    library, can, wanted = asked
    if any(CALL in each.steps for each in wanted):
        require_no_secrets(run)
    steps = frozenset[str]().union(*(each.steps for each in wanted)) if wanted else can - ON_REQUEST
    count = sum(each.count for each in wanted)
    threads = sum(each.cpus * each.count for each in wanted)
    gpus = sum(each.gpus * each.count for each in wanted)
    actions = None if done is None else list(done)
    crosses = None if actions is None else [each for each in actions if each.step in steps]
    stays = () if actions is None else {each.step for each in actions if each.step in STEPS} - steps
    minutes = None if machine is None or gpus else _minutes(wanted, machine, BEGIN_SECONDS.get(library))
    least, apart = minutes or (None, None)
    may_pay, why = _may_pay(crosses if crosses or CALL not in steps else None, minutes, machine)
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
        "machine_minutes_fits_apart": None if apart is None else round(apart, 1),
        "may_pay": may_pay,
        "why": why,
    }


def _asked(run: RunFile) -> tuple[str, frozenset[str], list[Wanted]] | None:
    """Return the engine's name, the steps that workers can do, and the workers, none where the cluster decides."""
    kind = None if run.engine.made is not None else load(run.engine.plugin, run.folder)
    workers, ranks = run.engine.arguments.get("workers", ()), run.engine.arguments.get("ranks", 1)
    if isinstance(kind, type) and issubclass(kind, Apart):
        library, can = kind.cluster.library, steps_elsewhere(run)
        require_installed(library, kind.package, kind.oldest)
        wanted, address = Wanted.all_of(workers, can), run.engine.arguments.get("address", "local")
        ranks_of(wanted, ranks, run.engine.arguments.get("network", LOOPBACK), address)
        if address == "local":
            kind.cluster.require_own(wanted)
            wanted = wanted or [Wanted(can - ON_REQUEST, count=processors())]
        return library, can, wanted
    if kind is Local and workers:
        can = steps_elsewhere(run)
        wanted = Wanted.all_of(workers, can)
        ranks_of(wanted, ranks)
        place(wanted)
        return "Local", can, wanted
    return None


def _minutes(wanted: Sequence[Wanted], machine: MachineTime, begin_seconds: float | None) -> tuple[float, float] | None:
    """Return the minutes that what models read takes with workers, begun, at least and with fits apart.

    None where no worker scores. At least: all of it is scores, which are shared out by threads. With fits apart: they
    are done first, where they are done with the fewest threads, and whatever they read is read again for scores.
    Neither counts what each worker does for itself: loading models, tokenising, and what it is sent.
    """
    scoring = sum(each.cpus * each.count for each in wanted if "score" in each.steps)
    if begin_seconds is None or not scoring:
        return None
    here = torch.get_num_threads()
    fitting = min((each.cpus for each in wanted if "fit" in each.steps), default=here)
    shared = machine.seconds * here / scoring + begin_seconds * max(1, sum(each.count for each in wanted) / 2)
    return shared / 60, (machine.fitting * here / fitting + shared) / 60


def _may_pay(
    crosses: list[AnyAction] | None, minutes: tuple[float, float] | None, machine: MachineTime | None
) -> tuple[bool | None, str]:
    """Say whether workers may pay, None where that is not known, and why."""
    if crosses == []:
        return (
            False,
            "no work of this run can be done by them: its parts are objects or ask a model, or no worker has its steps",
        )
    if minutes is None or machine is None:
        return None, "whether they pay is not known: how long they compute is not"
    here, (least, apart) = machine.seconds / 60, minutes
    told = (
        f"what reward models read takes about {here:.1f} minutes here, and {least:.1f} with them if all of it is shared"
        f" out, {apart:.1f} if fits are not, to begin included"
    )
    if least >= here:
        return False, f"{told}: they pay only where policies compute for long"
    told += "; what each loads, tokenises and is sent is not counted"
    return (True, f"{told}: they may pay") if apart < here else (None, f"{told}: whether they pay is not known")
