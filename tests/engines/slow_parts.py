"""Parts that take their time, so that a run is still under way when something happens to it."""

import time
from collections.abc import Sequence

from rrm.core.protocols import ProposeJob
from rrm.core.values import Output
from tests.toys import Words


class Slow(Words):
    """Takes so many seconds for each answer."""

    def __init__(self, seconds: float = 0.1) -> None:
        super().__init__()
        self._seconds = seconds

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        time.sleep(self._seconds * len(jobs))
        return super().propose(jobs)
