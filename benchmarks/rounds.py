"""Does the second round propose better outputs? Gold of proposed outputs before and after, on twenty demo seeds."""

import shutil
import sys
import tempfile
from dataclasses import replace

import numpy as np

import rrm
from rrm.api.front import demo_file
from rrm.core.report import RoundLevel, RoundReport
from rrm.evaluate.metrics import cluster_interval

SEED = 7000


def rise(before: np.ndarray, after: np.ndarray) -> str:
    """Return the mean rise over seeds with its 95 % bootstrap interval."""
    gains = after - before
    interval = cluster_interval(gains, np.arange(len(gains)), lambda rows: float(rows.mean()), 0.95, 5000, 0)
    assert interval is not None
    ends = f"({interval.low:+.3f} to {interval.high:+.3f})"
    return f"{before.mean():.3f} -> {after.mean():.3f}, rise {gains.mean():+.3f} {ends}"


def levels(rounds: tuple[RoundReport, ...], number: int) -> list[RoundLevel]:
    return list(rounds[number].levels)


def main() -> None:
    seeds = range(SEED, SEED + (2 if "--quick" in sys.argv else 20))
    first, last, kept = [], [], 0
    for seed in seeds:
        folder = tempfile.mkdtemp()
        report = rrm.run(replace(demo_file(seed), flat=False), folder, quiet=True)
        shutil.rmtree(folder)
        first.append(levels(report.rounds, 0))
        last.append(levels(report.rounds, 1))
        kept += any(level.kl for level in last[-1])
        told = "  ".join(
            f"level {b.level}: {b.gold_mean:.3f} -> {a.gold_mean:.3f} ({a.kl:.2f} nats)"
            for b, a in zip(first[-1], last[-1], strict=True)
        )
        print(f"seed {seed}: {told}", flush=True)
    print(f"the new policy was kept in {kept} of {len(first)} runs")
    for at in range(len(first[0])):
        gold = [np.array([each[at].gold_mean or 0.0 for each in side]) for side in (first, last)]
        proxy = [np.array([each[at].proxy_mean or 0.0 for each in side]) for side in (first, last)]
        spent = np.array([each[at].kl or 0.0 for each in last])
        print(f"level {at}: mean gold of proposed outputs {rise(*gold)}")
        print(f"         mean acceptance {rise(*proxy)}")
        print(f"         nats spent a node: mean {spent.mean():.2f}, most {spent.max():.2f} of {last[0][at].kl_budget}")


if __name__ == "__main__":
    main()
