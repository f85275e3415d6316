"""Rows of a benchmark: a figure, its interval, and the line that it must keep."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np


@dataclass(frozen=True)
class Row:
    """A figure, with its interval where it has one, and the line that it must keep, as in ">= 0.95"."""

    part: str
    name: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int = 1
    pass_line: str | None = None
    passed: bool | None = None

    @classmethod
    def of(
        cls, part: str, name: str, values: Sequence[float], pass_line: str | None = None, at_low: bool = False
    ) -> "Row":
        """Return a mean with its interval; `at_low` holds the interval's lower end to the line, and not the mean."""
        mean, low, high = fmean(values), *_interval(values)
        kept = None if pass_line is None else _keeps(low if at_low else mean, pass_line)
        return cls(part, name, mean, low, high, len(values), pass_line, kept)

    def __str__(self) -> str:
        spread = "" if self.low is None else f" ({self.low:.4g} to {self.high:.4g})"
        verdict = "" if self.pass_line is None else f"   {self.pass_line}: {'passed' if self.passed else 'FAILED'}"
        return f"{self.part:9} {self.name:58} {self.value:.4g}{spread}, n {self.n}{verdict}"


def single(part: str, name: str, value: float, pass_line: str | None = None, n: int = 1) -> Row:
    return Row(part, name, value, n=n, pass_line=pass_line, passed=pass_line and _keeps(value, pass_line))  # type: ignore[arg-type]


def _keeps(value: float, line: str) -> bool:
    kind, bound = line.split()
    return value >= float(bound) if kind == ">=" else value > float(bound) if kind == ">" else value <= float(bound)


def _interval(values: Sequence[float]) -> tuple[float, float]:
    random = np.random.default_rng(0)
    means = random.choice(np.asarray(values), (2000, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
