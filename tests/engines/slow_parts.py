"""Parts that take their time, so that a run is still under way when something happens to it."""

import time
from collections.abc import Sequence

from rrm.core.protocols import ProposeJob
from rrm.core.values import Output
from tests.toys import Words


class Slow(Words):
    """Takes a tenth of a second for each answer."""

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        time.sleep(0.1 * len(jobs))
        return super().propose(jobs)
