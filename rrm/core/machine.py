"""What reward models will read in a run, and learners that can say beforehand how long that takes them here."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable


@dataclass(frozen=True)
class ReadingLoad:
    """What the reward models of a run are to read, in tokens of the run's tokenizer.

    `texts` counts sources and outputs once each; `fitted`, for each fit, the views and outputs that were rated, and
    `others` those that had been rated at other levels; `scored` and `targets` the views with the outputs that are
    scored, of training sources and of targets. `sample` are sentences of the sources, of `sample_tokens` together,
    to measure by.
    """

    texts: int
    fitted: int
    others: int
    scored: int
    targets: int
    sample: tuple[str, ...]
    sample_tokens: int


class MachineTime(NamedTuple):
    """The tokens that models read, and the seconds that this takes on this machine, those of fits among them apart.

    What is read once for fits and scores counts as read for fits.
    """

    tokens: int
    seconds: float
    fitting: float


@runtime_checkable
class TellsTime(Protocol):
    """A reward learner that can measure beforehand what a run takes it."""

    def machine_time(self, load: ReadingLoad) -> MachineTime | None:
        """Return what a run's fits and scores take, at the speed at which the sample is read now.

        None where it hangs on a learner that cannot tell.
        """
        ...
