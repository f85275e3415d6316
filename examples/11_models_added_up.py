"""Two kinds of models added up: heads on a frozen encoder, and a rule of one's own about names."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import rrm
from rrm.core.values import Comparison, Group, Label, Rated
from rrm.raters.simulated import SimulatedRaters
from rrm.reward.blend import Blend
from rrm.reward.cross_fit import CrossFitted
from rrm.reward.frozen import Frozen
from rrm.reward.plain import PlainLearner
from tasks.synthetic_book import SyntheticBooks, perceived_quality


class Names(PlainLearner):
    """Rewards are linear in how many names an output has, and in how many of them stand in its view."""

    name = "names"

    def counts(self, group: Group) -> np.ndarray:
        seen = set(group.view.text.split())
        names = [{word for word in text.split() if word[0].isupper()} for text in group.outputs]
        return np.array([[len(each), len(each & seen)] for each in names], dtype=float)

    def learned(self, rated: Sequence[Rated], seed: int) -> np.ndarray:
        rows = [(self.counts(each.request.group), each.feedback.answer) for each in rated]
        pairs = [
            (counts[0] - counts[1]) * (1 if answer.better == 0 else -1)
            for counts, answer in rows
            if isinstance(answer, Comparison) and answer.better is not None
        ]
        labels = [counts[0] * (1 if answer.good else -1) for counts, answer in rows if isinstance(answer, Label)]
        signed = np.array(pairs + labels)  # each row times its outcome, 1 or -1
        return np.linalg.solve(signed.T @ signed + np.eye(2), signed.sum(axis=0))

    def rewards(self, weights: np.ndarray, group: Group) -> np.ndarray:
        return self.counts(group) @ weights


def main() -> None:
    sums = Blend([Frozen(), CrossFitted(Names())])  # weights come of what either says of sources that it holds out
    with TemporaryDirectory() as folder:
        report = rrm.run(
            out=Path(folder) / "run",
            train=SyntheticBooks(count=4, words=500, seed=1),
            target=SyntheticBooks(count=1, words=500, seed=2),
            decomposer={"plugin": "decomposers.chunks:Chunks", "arguments": {"leaf_tokens": 120, "fan_in": (4,)}},
            policy="rrm.policy.careless:Careless",
            rater=SimulatedRaters(quality=perceived_quality),
            reward=sums,
            flat=False,
            quiet=True,
        )
        run = rrm.load(Path(folder) / "run", reward=sums)
        for level in report.levels:
            added = run.model(rrm.Place(level=level.level)).reward_model.inner.inner
            frozen, names = added.terms[None].weights
            told = f"frozen counts {frozen:.2f}, names {names:.2f}"
            print(f"level {level.level}: {told}; accuracy {level.accuracy:.2f} on {level.n_test} comparisons held out")


if __name__ == "__main__":
    main()
