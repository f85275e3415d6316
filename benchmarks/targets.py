"""Is the chosen summary better? Twenty generated target books with exact gold, seeds that no test uses.

Twice: as the demo runs, with a policy that is improved between its rounds, and in one round, where all
candidates are the start policy's, so that rank correlations can be compared with those of other states of the code.
"""

import shutil
import sys
import tempfile
from dataclasses import replace

import numpy as np

import rrm
from rrm.api.front import demo_file
from rrm.api.runfile import RunFile
from rrm.core.report import TargetReport
from rrm.evaluate.metrics import cluster_interval
from rrm.evaluate.roots import gain

SEED = 9000


def mean_correlation(targets: tuple[TargetReport, ...], which: str) -> str:
    """Return the mean rank correlation with gold over targets, with a bootstrap interval over them."""
    found = [getattr(target, which).value for target in targets]
    values = np.array([value for value in found if value is not None])
    interval = cluster_interval(values, np.arange(len(values)), lambda rows: float(rows.mean()), 0.95, 2000, 0)
    assert interval is not None
    return f"{values.mean():.3f} ({interval.low:.3f} to {interval.high:.3f})"


def measure(settings: RunFile) -> None:
    """Run, and print what came of the targets."""
    folder = tempfile.mkdtemp()
    report = rrm.run(settings, folder, quiet=True)
    shutil.rmtree(folder)
    targets = report.targets
    chosen = [target.gold_of_chosen or 0.0 for target in targets]
    mean = [target.gold_mean or 0.0 for target in targets]
    best = np.mean([target.gold_best or 0.0 for target in targets])
    result = gain(chosen, mean, resamples=5000)
    assert result.interval is not None
    for target, c, m in zip(targets, chosen, mean, strict=True):
        print(f"{target.title[:44]:44} chosen {c:.3f}  mean {m:.3f}  {'+' if c > m else '-'}")
    print(f"chosen better than the mean candidate in {result.wins} of {result.n}")
    low, high = result.interval
    print(f"mean gold: chosen {np.mean(chosen):.3f}, all {np.mean(mean):.3f}, best {best:.3f}")
    print(f"mean gain {result.mean:.3f} (95 % {low:.3f} to {high:.3f})")
    print(f"rank correlation with gold: composed   {mean_correlation(targets, 'composed_correlation')}")
    print(f"                            root alone {mean_correlation(targets, 'own_correlation')}")
    print(f"                            flat       {mean_correlation(targets, 'flat_correlation')}")
    for level in (*report.levels, report.flat):
        if level is not None and level.accuracy is not None and level.noise_ceiling is not None:
            print(f"level {level.level}: accuracy {level.accuracy:.3f}, ceiling {level.noise_ceiling:.3f}")
    cost = report.cost
    for name, stage in (("the levels", cost), ("the flat baseline", cost.flat)):
        if stage is not None:
            shown = f"{stage.ratings} ratings, {stage.tokens_shown} tokens shown"
            print(f"{name}: {shown}, {stage.minutes:.0f} rater minutes ({stage.published_minutes:.0f} as published)")


def main() -> None:
    count = 4 if "--quick" in sys.argv else 20
    settings = demo_file(SEED)
    arguments = {**settings.target.arguments, "count": count}
    settings = replace(settings, name="targets", target=replace(settings.target, arguments=arguments))
    for rounds in (settings.rounds, 1):
        print(f"---- {rounds} round{'s'[: rounds > 1]} ----", flush=True)
        measure(replace(settings, rounds=rounds))


if __name__ == "__main__":
    main()
