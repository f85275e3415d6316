"""What a training reports while it runs: a line an update, on disk and to the caller."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rrm.files import durable

if TYPE_CHECKING:  # what follows a training without taking part needs no torch
    from rrm.reward.schedule import Update
    from rrm.reward.validation import Validation

LOG, DONE = "log.jsonl", "done.json"
"""The log of a training, and what stands beside it once its model is saved."""


@dataclass(frozen=True)
class Events:
    """Whom to tell: of each update done, of how many; and of each line of the log, as plain values."""

    progress: Callable[[int, int], None] = lambda done, total: None
    log: Callable[[Mapping[str, Any]], None] = lambda line: None


class TrainLog:
    """The lines of a training's log, written to `log.jsonl` by the main process as they come."""

    def __init__(self, folder: Path, lines: list[dict[str, Any]], main: bool) -> None:
        self._file, self._main = folder / LOG, main
        self.lines = lines

    def write(self, line: dict[str, Any]) -> None:
        """Add a line to the log, and to its file, for those who watch."""
        self.lines.append(line)
        if self._main:
            with self._file.open("w" if len(self.lines) == 1 else "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def finish(self) -> None:
        """Write the whole log once more, without what a killed training wrote twice."""
        durable(self._file, "".join(json.dumps(line) + "\n" for line in self.lines).encode())


def update_line(update: "Update", loss: float, rate: float) -> dict[str, Any]:
    """Return what is logged of an update: the mean loss of its judgements in nats, and the trunk's learning rate."""
    return {"step": update.step, "loss": loss / update.rows, "rows": update.rows, "learning_rate": rate}


def epoch_line(epoch: int, validation: "Validation | None") -> dict[str, Any]:
    """Return what is logged beside it at the end of an epoch."""
    held = {"held_loss": validation.loss, "held_accuracy": validation.accuracy} if validation else {}
    return {"epoch": epoch, **held}
