"""Raters who cannot see, and a learner who is wrong about what they believe: what policy is picked.

    python -m benchmarks.sight --worlds 200

Eight worlds are shown as one of five things, by a random table; raters believe by Bayes' rule from all worlds being as
probable, and compare what is shown, as often as one likes, by what they expect. Of 20 random policies the best is
wanted. A learner who takes what is shown for what is the case is beside one who knows what raters believe, but for a
share of the probability, which goes to worlds at random. Peeks: so many worlds that raters were let see.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from rrm.ask.unseen import Sight, first_better, left_open, rewards_from

WORLDS, SHOWN, POLICIES = 8, 5, 20
WRONG = (0.0, 0.1, 0.2, 0.4)
PEEKED = (0, 2, 4, 8)


@dataclass(frozen=True)
class Row:
    """Mean regret of the policy picked, in units of reward (worlds are worth -1 to 1), and how often it is the best.

    `wrong` is None for who takes what is shown for what is the case; `left_open` counts directions of rewards that no
    comparison tells.
    """

    peeked: int
    wrong: float | None
    regret: float
    error: float
    best: float
    left_open: float


def measure(worlds: int, seed: int) -> list[Row]:
    """Return a row for each number of peeks and share that is wrong, and for the naive."""
    found: dict[tuple[int, float | None], list[tuple[float, float, int]]] = {}
    for number in range(worlds):
        random = np.random.default_rng([seed, number])
        shown = random.dirichlet(np.full(SHOWN, 0.3), size=WORLDS)  # of each world, how probably it is shown as what
        believed = shown.T / shown.sum(axis=0)[:, None]
        elsewhere = random.dirichlet(np.full(WORLDS, 0.3), size=SHOWN)
        rewards = random.uniform(-1, 1, WORLDS)
        policies = random.dirichlet(np.full(WORLDS, 0.3), size=POLICIES)
        true = policies @ rewards
        order = random.permutation(WORLDS)
        for peeked in PEEKED:
            seen = np.eye(WORLDS)[order[:peeked]]
            sight = Sight(np.vstack([believed, seen]))
            pairs = np.array(list(combinations(range(len(sight.belief)), 2)))
            said = first_better(sight, rewards, pairs)
            for wrong in (None, *WRONG):
                if wrong is None:
                    own = rewards_from(Sight(np.eye(SHOWN)), *_of_shown(pairs, said))
                    values, opened = policies @ shown @ own, WORLDS
                else:
                    thought = Sight(np.vstack([Sight(believed).wrong_by(wrong, elsewhere).belief, seen]))
                    values, opened = policies @ rewards_from(thought, pairs, said), len(left_open(thought))
                pick = int(values.argmax())
                told = float(true.max() - true[pick]), float(true[pick] == true.max()), opened
                found.setdefault((peeked, wrong), []).append(told)
    rows = []
    for (peeked, wrong), told_of in found.items():
        regret, best, opened_by = (np.array(each, dtype=np.float64) for each in zip(*told_of, strict=True))
        error = float(regret.std(ddof=1) / np.sqrt(len(regret))) if len(regret) > 1 else np.nan
        rows.append(Row(peeked, wrong, float(regret.mean()), error, float(best.mean()), float(opened_by.mean())))
    return rows


def _of_shown(pairs: np.ndarray, said: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the comparisons of what is shown alone: who takes that for the case makes nothing of the others."""
    kept = (pairs < SHOWN).all(axis=1)
    return pairs[kept], said[kept]


def main(arguments: Sequence[str] | None = None) -> None:
    asked = argparse.ArgumentParser(prog="benchmarks.sight", description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("--worlds", type=int, default=200)
    asked.add_argument("--seed", type=int, default=9100, help="of no test")
    asked.add_argument("--quick", action="store_true", help="ten worlds")
    asked.add_argument("--json", type=Path, help="a file for the rows")
    options = asked.parse_args(arguments)
    rows = measure(10 if options.quick else options.worlds, options.seed)
    heads = ("worlds seen", "belief wrong by", "regret (standard error)", "best policy picked", "directions left open")
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for row in rows:
        wrong = "shown taken for the case" if row.wrong is None else f"{row.wrong:g}"
        opened = "" if row.wrong is None else f"{row.left_open:.1f}"
        print(f"| {row.peeked} | {wrong} | {row.regret:.3f} ({row.error:.3f}) | {row.best:.2f} | {opened} |")
    if options.json:
        options.json.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows), "utf-8")


if __name__ == "__main__":
    main()
