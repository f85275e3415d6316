"""Your own reward model in a few lines: ridge regression on the words that an output shares with its source."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import rrm
from rrm.core.values import Comparison, Group, Label, Rated
from rrm.raters.simulated import SimulatedRaters
from rrm.reward.calibrated import Calibrated
from rrm.reward.cross_fit import CrossFitted
from rrm.reward.dispersed import Dispersed
from rrm.reward.plain import PlainLearner
from tasks.synthetic_book import SyntheticBooks, perceived_quality


class SharedWords(PlainLearner):
    """Rewards are linear in how many words an output has, and how many of them its source has."""

    name = "shared-words"

    def counts(self, group: Group) -> np.ndarray:
        source = set(group.view.text.lower().split())
        words = [text.lower().split() for text in group.outputs]
        return np.array([[len(each), sum(word in source for word in each), len(set(each))] for each in words]) / 20

    def learned(self, rated: Sequence[Rated], seed: int) -> np.ndarray:
        rows = [(self.counts(each.request.group), each.feedback.answer) for each in rated]
        pairs = [
            (counts[0] - counts[1]) * (1 if answer.better == 0 else -1)
            for counts, answer in rows
            if isinstance(answer, Comparison) and answer.better is not None
        ]
        labels = [counts[0] * (1 if answer.good else -1) for counts, answer in rows if isinstance(answer, Label)]
        signed = np.array(pairs + labels)  # each row times its outcome, 1 or -1
        return np.linalg.solve(signed.T @ signed + np.eye(3), signed.sum(axis=0))

    def rewards(self, weights: np.ndarray, group: Group) -> np.ndarray:
        return self.counts(group) @ weights


def main() -> None:
    whole = Dispersed(Calibrated(CrossFitted(SharedWords())))  # held out, in probabilities, with intervals
    with TemporaryDirectory() as folder:
        report = rrm.run(
            out=Path(folder) / "run",
            train=SyntheticBooks(count=4, words=600, seed=1),
            target=SyntheticBooks(count=1, words=600, seed=2),
            decomposer={"plugin": "decomposers.chunks:Chunks", "arguments": {"leaf_tokens": 120, "fan_in": (4,)}},
            policy="rrm.policy.careless:Careless",
            rater=SimulatedRaters(quality=perceived_quality),
            reward=whole,
            quiet=True,
        )
    for level in report.levels:
        print(f"level {level.level}: accuracy {level.accuracy:.2f} on {level.n_test} comparisons held out")
    chosen = report.targets[0].chosen
    low, high = chosen.composed_interval
    print(f"{report.targets[0].title}: {chosen.composed:.2f} (90 % interval {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
