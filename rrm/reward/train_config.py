"""How a joint reward model is trained."""

from dataclasses import dataclass
from math import nan
from typing import Literal

from rrm.core.errors import InputError
from rrm.core.kinds.parts import is_count, number

PACE = ("learning_rate", "head_rate", "warmup", "weight_decay", "clip")
"""How large the steps of a training are: what may be changed where it diverged and goes on from its last good state."""
MOST = {"members": 1_000, "lora_rank": 1_024, "learning_rate": 1, "head_rate": 10_000, "weight_decay": 10}
"""Beyond these memory does not suffice, or nothing is learned."""
_LEAST_CLIP = 1e-4
"""Clipped further, gradients are lost beside what Adam adds to their size, 1e-8."""


@dataclass(frozen=True)
class TrainConfig:
    """How a joint reward model is trained.

    `tune` says what learns beside the head: all weights, or low-rank adapters of `lora_rank` on the linear
    modules of these names (`lora_modules`; none: on all), merged in the end unless `merge` says otherwise.
    `members` heads weigh sources by a Bayesian bootstrap (one head: none).
    `learning_rate` (None: 5e-5 for all weights, 2e-4 for adapters) rises over the first `warmup`
    share of the updates and falls as a cosine to zero; the head's is `head_rate` times as large. An
    update reads at least `rows_per_update` rows of feedback, at most `batch_tokens` tokens of them at once (None:
    8,192, on a CPU 2,048), or more where a single judgement has more: that decides how much memory is held.
    `validation` is the share of sources that are held back to stop early after `patience` epochs without gain, and to
    fit the temperature.
    `save_every` counts updates between checkpoints from which a killed training goes on; 0 keeps none. A training of
    fewer than four times as many has one at each quarter. One is written as soon as loss and gradient of the update
    behind it are known to be finite.
    Raises InputError for values out of range.
    """

    tune: Literal["lora", "full"] = "full"
    members: int = 24
    epochs: int = 3
    learning_rate: float | None = None
    head_rate: float = 10.0
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0
    rows_per_update: int = 32
    batch_tokens: int | None = None
    validation: float = 0.1
    patience: int = 2
    lora_rank: int = 16
    lora_modules: tuple[str, ...] = ()
    merge: bool = True
    reliability: bool = True
    checkpointing: bool = False
    save_every: int = 50

    def __post_init__(self) -> None:
        if self.tune not in ("lora", "full"):
            raise InputError(f"a joint model tunes lora or full, got {self.tune!r}")
        names = ("members", "epochs", "rows_per_update", "patience", "lora_rank")
        if wrong := [f"{name} is {getattr(self, name)!r}" for name in names if not is_count(getattr(self, name))]:
            raise InputError(f"members, epochs, rows_per_update, patience and lora_rank are at least 1, but {wrong[0]}")
        if self.batch_tokens is not None and not is_count(self.batch_tokens):
            raise InputError(f"batch_tokens is a whole number from 1 up, or left out, got {self.batch_tokens!r}")
        if wrong := [f"{name} is {value!r}" for name, value in self._shares.items() if not 0 <= _known(value) < 1]:
            raise InputError(f"validation and warmup lie from 0 up to, not including, 1, but {wrong[0]}")
        if wrong := [f"{name} is {value!r}" for name, value in self._rates.items() if not _known(value) > 0]:
            raise InputError(f"learning_rate, head_rate and clip are numbers above 0, but {wrong[0]}")
        if not _known(self.weight_decay) >= 0:
            raise InputError(f"weight_decay is a number from 0 up, got {self.weight_decay!r}")
        for name, most in MOST.items():
            if (getattr(self, name) or 0) > most:
                raise InputError(f"{name} is at most {most:,}, got {getattr(self, name)!r}")
        if self.clip < _LEAST_CLIP:
            raise InputError(f"clip is at least {_LEAST_CLIP}, or nothing is learned, got {self.clip!r}")
        if self.save_every != 0 and not is_count(self.save_every):
            raise InputError(f"save_every is a whole number from 0 up, got {self.save_every!r}")
        flags = {"merge": self.merge, "reliability": self.reliability, "checkpointing": self.checkpointing}
        if wrong := [f"{name} is {value!r}" for name, value in flags.items() if not isinstance(value, bool)]:
            raise InputError(f"merge, reliability and checkpointing are true or false, but {wrong[0]}")
        modules = self.lora_modules
        if not isinstance(modules, tuple | list) or not all(isinstance(name, str) for name in modules):
            raise InputError(f"lora_modules is a list of names, got {self.lora_modules!r}")
        if modules and self.tune == "full":
            raise InputError("lora_modules would do nothing where all weights learn: leave it out, or tune lora")

    @property
    def _shares(self) -> dict[str, float]:
        return {"validation": self.validation, "warmup": self.warmup}

    @property
    def _rates(self) -> dict[str, float]:
        given = {} if self.learning_rate is None else {"learning_rate": self.learning_rate}
        return given | {"head_rate": self.head_rate, "clip": self.clip}

    @property
    def rate(self) -> float:
        """The trunk's highest learning rate."""
        return self.learning_rate or (5e-5 if self.tune == "full" else 2e-4)


def _known(value: float) -> float:
    """Return a number, and for anything else what no number compares with."""
    found = number(value)
    return nan if found is None else found
