"""The engine of this machine: what computes is done in this process or, by `workers`, in processes of this machine.

Workers need no library: each is spawned, and is told what to do through pipes that nobody else can open.
"""

import logging
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

from rrm.core.errors import InputError, SetupError, in_one_line
from rrm.engines.apart import ApartSeat, ProcessWire, Wanted, ranks_of, require_room, visible_gpus
from rrm.engines.apart_process import processors
from rrm.engines.chair import LEASE_SECONDS, STARTS
from rrm.engines.here import Here, Worker
from rrm.engines.remote import Remote
from rrm.engines.seats import Seat, Supplies
from rrm.pipeline.driver import Executor

_log = logging.getLogger("rrm.engines")

END_SECONDS = 5.0
"""So long all processes together may take to end before they are killed."""
REMEDY = "lower {} or count, or do without workers by --engine local"
TRIES = 4
"""So many times a process is begun where the machine refuses, with 1, 2 and 4 seconds in between."""


class Local:
    """Does the work of a run on this machine: in this process, and by processes of `workers` where some are named.

    `workers` are tables of `cpus` (which are a process's threads), `gpus`, `count` and the `steps` that they do; with
    `ranks` so many of them share a fit. Raises InputError for more than this machine has.
    """

    name = "rrm.engines.local:Local"

    def __init__(
        self,
        worker: Worker,
        others: Mapping[str, Executor] | None = None,
        supplies: Supplies | None = None,
        workers: Sequence[Mapping[str, Any]] = (),
        ranks: int = 1,
    ) -> None:
        self._away: Remote | None = None
        self._does: Here | Remote = Here(worker, others or {})
        if workers:
            if supplies is None:
                raise InputError("[engine] workers must be told of a run: give its supplies, too")
            wanted = Wanted.all_of(workers, supplies.steps)
            group = ranks_of(wanted, ranks)
            cluster = LocalCluster(supplies.worker, place(wanted))
            self._away = self._does = Remote(worker, others or {}, supplies, cluster, LEASE_SECONDS, ranks=group)
        else:
            ranks_of((), ranks)

    def executor(self, step: str) -> Executor:
        return self._does.executor(step)

    def close(self) -> None:
        if self._away is not None:
            self._away.close()


class Placed(NamedTuple):
    """A worker of this machine: what it was wanted for, and the GPUs that it sees, by CUDA's names."""

    wanted: Wanted
    gpus: tuple[str, ...]


def place(wanted: Sequence[Wanted]) -> list[Placed]:
    """Return each worker with its GPUs, whole ones or a share of one; raise InputError for want of processors or GPUs.

    Workers without a GPU see none, as under Ray.
    """
    free = dict.fromkeys(visible_gpus() if any(each.gpus for each in wanted) else (), 1.0)
    require_room(wanted, processors(), len(free), "this machine", REMEDY)
    placed: list[Placed] = []
    for each in sorted(wanted, key=lambda one: -one.gpus):  # what takes whole ones first: shares fill what is left
        share = min(1.0, each.gpus)
        for _ in range(each.count):
            gpus = [name for name, left in free.items() if left + 1e-6 >= share][: ceil(each.gpus)]
            if len(gpus) < each.gpus:
                told = f"of this machine's {len(free)} GPUs none has {each.gpus:g} of itself left for one more of them"
                raise InputError(f"[engine] workers: {told}: {REMEDY.format('gpus')}")
            for name in gpus:
                free[name] -= share
            placed.append(Placed(each, tuple(gpus)))
    return placed


class LocalCluster:
    """Workers that are processes of this machine; implements `rrm.engines.seats.Cluster`.

    They end with this process, however it ends, and have temporary folders of mode 0700, in one which goes with it.
    """

    def __init__(self, worker: str, placed: Sequence[Placed]) -> None:
        self.steps = frozenset[str]().union(*(each.wanted.steps for each in placed))
        self._worker, self._placed = worker, placed
        self._folder: Path | None = None
        self._begun: dict[ApartSeat, ProcessWire] = {}
        self._beginning: set[ProcessWire] = set()
        self._closed = False

    def start(self) -> Sequence[Seat]:
        self._folder = Path(tempfile.mkdtemp(prefix="rrm-local-"))  # of mode 0700
        return [self._seat(number) for number in range(1, len(self._placed) + 1)]

    def replace(self, seat: Seat) -> Seat:
        assert isinstance(seat, ApartSeat)
        if (wire := self._begun.pop(seat, None)) is not None:  # None where no other could be begun in its place
            wire.kill()
        return self._seat(seat.number)

    def close(self) -> None:
        """End all processes at once; those that begin meanwhile, as where a run is ended then, are killed."""
        self._closed = True
        for wire in list(self._beginning):
            wire.kill()
        for wire in self._begun.values():
            wire.end()
        until = time.monotonic() + END_SECONDS
        for wire in self._begun.values():
            wire.close(max(0.0, until - time.monotonic()))
        if self._folder is not None:
            rmtree(self._folder, ignore_errors=True)

    def _seat(self, number: int) -> ApartSeat:
        """Return a worker's place with a process that has spoken; raise SetupError where none can be had for long."""
        for tried in range(TRIES):
            try:
                return self._spawned(number)
            except (OSError, SetupError) as error:
                self._refuse_closed()
                why = in_one_line(error)
                _log.warning("worker %d's process cannot be begun: %s", number, why)
                time.sleep(2**tried if tried < TRIES - 1 else 0)
        raise SetupError(f"[engine] worker {number}'s process cannot be begun: {why}; give the same command again")

    def _refuse_closed(self) -> None:
        if self._closed:
            raise SetupError("[engine] the run has ended")

    def _spawned(self, number: int) -> ApartSeat:
        self._refuse_closed()
        wanted, gpus = self._placed[number - 1]
        assert self._folder is not None
        folder = tempfile.mkdtemp(prefix=f"worker-{number}-", dir=self._folder)
        environment = {**os.environ, "TMPDIR": folder, "CUDA_VISIBLE_DEVICES": ",".join(gpus)}
        wire = ProcessWire(f"the process of worker {number}", "rrm.engines.local_process", environment)
        seat = ApartSeat(wire, number, wanted.steps, wanted.cpus)
        self._beginning.add(wire)
        try:
            wire.begin({"address": None, "folder": folder}, STARTS * LEASE_SECONDS)
            seat.begin(self._worker, wanted)
            self._begun[seat] = wire
            self._refuse_closed()
        except BaseException:
            wire.kill()
            raise
        finally:
            self._beginning.discard(wire)
        return seat
