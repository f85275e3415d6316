"""The engine whose computing is done elsewhere: pieces of work leased to a cluster's workers, by what they are.

All that can be seen of a cluster is behind two small protocols, `Cluster` and `Seat`; `rrm.engines.apart` has those of
Ray and Dask, `rrm.engines.local` those of this machine's processes. The record is the only state: a piece whose worker
is gone or silent is given to another, and what comes late is dropped.
"""

import time
from collections.abc import Callable, Mapping

import anyio

from rrm.engines.calls import Calling
from rrm.engines.chair import Crew
from rrm.engines.crossing import CALL, FITS
from rrm.engines.group import ALONE, InGroup, Ranks
from rrm.engines.here import Concurrently, Here, InThread, Worker
from rrm.engines.seats import Cluster, Supplies
from rrm.engines.under_way import AHEAD, UnderWay
from rrm.pipeline.driver import Executor, Work


class Remote:
    """Has what computes done by the workers of a cluster, and everything else in this process, as `Here` does.

    The cluster starts when there is something for it to do: a finished run needs none. A worker that owes an answer and
    gave no sign of working for the seconds of a `lease` is taken for lost. By the `clock` is seen what takes long.
    With several `ranks` as many workers do a fit together.
    Raises ConfigError where workers are to make calls that they cannot make.
    """

    def __init__(
        self,
        worker: Worker,
        others: Mapping[str, Executor],
        supplies: Supplies,
        cluster: Cluster,
        lease: float,
        clock: Callable[[], float] = time.monotonic,
        ranks: Ranks = ALONE,
    ) -> None:
        if CALL in cluster.steps:
            supplies.check_calls()
        self._here, self._worker = Here(worker, others), worker
        self._supplies, self._cluster = supplies, cluster
        self._crew, self._ranks = Crew(cluster, supplies, lease, clock), ranks

    @property
    def name(self) -> str:
        return f"{type(self).__module__}:{type(self).__qualname__}"

    def executor(self, step: str) -> Executor:
        here = self._here.executor(step)
        if step in self._supplies.steps & self._cluster.steps and isinstance(here, InThread):
            group = step in FITS and self._ranks.count > 1
            return InGroup(self._crew, self._worker, self._ranks) if group else Away(self._crew, self._worker)
        if CALL in self._cluster.steps and isinstance(here, Concurrently):
            return Calling(self._crew, here)
        return here

    def close(self) -> None:
        self._cluster.close()


class Away:
    """Does the actions of a step by the workers of a cluster; those that must stay, in a thread of this process."""

    def __init__(self, crew: Crew, worker: Worker) -> None:
        self._crew, self._worker = crew, worker

    async def execute(self, work: Work) -> None:
        if work.plan.finished or not await self._crew.begun(work):
            return
        chairs = self._crew.chairs(work.plan.stage.step)
        stage = UnderWay(work, self._crew, chairs, self._worker)
        async with anyio.create_task_group() as listening:
            for chair in chairs:
                listening.start_soon(chair.listen, stage.hear)
            async with anyio.create_task_group() as serving:
                serving.start_soon(stage.deal)
                serving.start_soon(stage.serve_here)
                serving.start_soon(stage.attend, serving)
                for chair in chairs:
                    for _ in range(AHEAD):
                        serving.start_soon(stage.serve, chair)
            listening.cancel_scope.cancel()
