"""Whether a sum of both kinds of model is better: frozen and joint models of a run, alone and calibrated together.

    python -m benchmarks.blend --only squality --out runs/blend

Both learners are those of a run: every training row is predicted by models that never saw its source. On these
predictions two weights are fitted, one for each model's difference in reward between two outputs, by maximum
likelihood under a wide prior around their mean; new rows are predicted by the weighted sum. Sets, draws of rows, and
what is kept in `--out`, are those of `benchmarks.quality`.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit

from benchmarks.people import DATA, Rows, number
from benchmarks.quality import SEED, SETS, Amount, Kept, Part, Predicted, between, joined, parts, show
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.protocols import RewardLearner, RewardModel, Start, Workspace
from rrm.core.roles import Ratings, Train
from rrm.core.values import OVERALL
from rrm.evaluate.metrics import accuracy, cluster_interval, nll, share_interval
from rrm.evaluate.outcomes import outcome_of
from rrm.reward.frozen import Frozen
from rrm.reward.joint import Joint

HEAD = (
    "| set | model | rows to learn from | evaluated | accuracy | 95 % interval | NLL | weights |\n"
    "|---|---|---|---|---|---|---|---|"
)
PRIOR_SD = 1.0
"""Of each weight, around one half: with no rows to tell otherwise the sum is the mean."""


def margins(model: RewardModel, rows: Rows) -> np.ndarray:
    """Return by how much the first output's mean reward is above the second's, [rows], in logits."""
    said = model.predict([row.request.group for row in rows])
    rewards = [each.rewards[OVERALL].mean(axis=0) for each in said]
    return np.array([float(each[0] - each[1]) for each in rewards])


def outcomes(rows: Rows) -> np.ndarray:
    """Return 1 where the first output was preferred, 0 where the second, .5 for a tie, [rows]."""
    return np.array([outcome if (outcome := outcome_of(row)) is not None else 0.5 for row in rows])


def weights(held: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    """Return how much each model's margins count, [models], fitted to held-out margins [models, rows]."""

    def loss(weight: np.ndarray) -> tuple[float, np.ndarray]:
        logit = weight @ held
        value = float(np.sum(np.logaddexp(0, logit) - outcome * logit))
        off = (weight - 0.5) / PRIOR_SD**2
        return value + 0.5 * float(off @ (weight - 0.5)), held @ (expit(logit) - outcome) + off

    return np.asarray(minimize(loss, np.full(len(held), 0.5), jac=True, method="L-BFGS-B").x)


def fitted(learner: RewardLearner, part: Part, folder: Path) -> list[list[float]]:
    """Return a learner's margins on the rows that it is fitted to, each held out, and on new ones."""

    def tell(done: int, total: int) -> None:
        print(f"{folder.name}: {done} of {total}", flush=True)

    model = learner.fit(Ratings(Train, tuple(part.train)), Start(), Place(), SEED, Workspace(folder, tell))
    return [margins(model, rows).tolist() for rows in part]


def predictions(name: str, at: int, part: Part, amount: Amount, kept: Kept) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return each model's and the sum's probabilities on new rows, and the weights of the sum."""
    learners: dict[str, RewardLearner] = {
        "frozen": Frozen(),
        "joint": Joint(
            amount.backbone,
            epochs=amount.epochs,
            max_length=amount.max_length + 2,
            batch_tokens=amount.batch_tokens,
        ),
    }
    told = [[row.request.id, row.feedback.id] for side in part for row in side]
    found: dict[str, list[list[float]]] = {}
    for model, learner in learners.items():
        key = content_id("blend", learner.name, told)
        folder = kept.folder / f"{name}-{at}-{model}-{key[-12:]}"

        def make(learner: RewardLearner = learner, folder: Path = folder) -> object:
            return fitted(learner, part, folder)

        found[model] = kept.get(key, [name, at, model, asdict(amount)], make)
    held, new = (np.array([each[side] for each in found.values()]) for side in (0, 1))
    weight = weights(held, outcomes(part.train))
    return {"frozen": expit(new[0]), "joint": expit(new[1]), "sum": expit(weight @ new)}, weight


def table(name: str, amount: Amount, kept: Kept) -> Iterator[str]:
    """Yield the rows of a set's table, and how far the sum is from each model alone, paired by source."""
    made = parts(SETS[name], amount)
    by_model: dict[str, list[Predicted]] = {"frozen": [], "joint": [], "sum": []}
    every: list[np.ndarray] = []
    for at, part in enumerate(made):
        found, weight = predictions(name, at, part, amount, kept)
        every.append(weight)
        sources = [row.request.source for row in part.test]
        for model, probability in found.items():
            by_model[model].append(Predicted(sources, outcomes(part.test).tolist(), probability.tolist()))
    together = {model: joined(each) for model, each in by_model.items()}
    learned = sum(len(part.train) for part in made) // len(made)
    for model, each in together.items():
        told = " and ".join(number(float(each)) for each in np.mean(every, axis=0)) if model == "sum" else "–"
        yield line(SETS[name].name, model, learned, each, told)
    for model in ("frozen", "joint"):
        yield difference(SETS[name].name, model, together["sum"], together[model])


def line(title: str, model: str, learned: int, each: Predicted, told: str) -> str:
    """Return a row of the table."""
    outcome, probability = np.array(each.outcome), np.array(each.probability)
    rows, right = each.decided()
    cells = [title, model, str(learned), str(int(rows.sum())), number(accuracy(probability, outcome).value)]
    cells += [between(share_interval(right, np.array(each.sources)[rows])), number(nll(probability, outcome)), told]
    return "| " + " | ".join(cells) + " |"


def difference(title: str, model: str, blend: Predicted, alone: Predicted) -> str:
    """Say by how much the sum differs in accuracy and in NLL from a model alone, with intervals paired by source."""
    rows, right = blend.decided()
    sources, outcome = np.array(blend.sources), np.array(blend.outcome)
    off = right - alone.decided()[1]
    lost = _losses(np.array(blend.probability), outcome) - _losses(np.array(alone.probability), outcome)
    accurate = cluster_interval(off, sources[rows], lambda each: float(each.mean()))
    likely = cluster_interval(lost, sources, lambda each: float(each.mean()))
    return (
        f"{title}: the sum less {model}: accuracy {off.mean():+.3f} ({between(accurate, '+.3f')}),"
        f" NLL {lost.mean():+.3f} ({between(likely, '+.3f')})"
    )


def _losses(probability: np.ndarray, outcome: np.ndarray) -> np.ndarray:
    said = np.clip(probability, 1e-12, 1 - 1e-12)
    return np.asarray(-(outcome * np.log(said) + (1 - outcome) * np.log1p(-said)))


def main(arguments: Sequence[str] | None = None) -> None:
    asked = argparse.ArgumentParser(prog="benchmarks.blend")
    asked.add_argument("--only", choices=list(SETS), help="one set (default: all)")
    asked.add_argument("--out", type=Path, default=Path("runs/blend"), help="what is finished is kept here")
    asked.add_argument("--rows", type=int, default=0, help="rows to learn from, drawn (default: all)")
    asked.add_argument("--sources", type=int, default=0, help="sources of a file, drawn (default: all)")
    asked.add_argument("--max-length", type=int, default=1024, help="rows of more tokens are left out")
    asked.add_argument("--epochs", type=int, default=2, help="of the joint models")
    asked.add_argument("--backbone", default="smollm", help="of the joint models")
    asked.add_argument("--batch-tokens", type=int, default=None, help="learned from at once: less takes less memory")
    asked.add_argument("--threads", type=int, default=0, help="of torch (default: its own)")
    options = asked.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    if not DATA.is_dir():
        print(f"no real data in {DATA}: set RRM_DATA to the folder that has it")
        return
    amount = Amount(
        options.rows, options.sources, max_length=options.max_length, epochs=options.epochs, backbone=options.backbone,
        batch_tokens=options.batch_tokens,
    )  # fmt: skip
    kept = Kept(options.out)
    chosen = [options.only] if options.only else list(SETS)
    show(HEAD, (row for name in chosen for row in table(name, amount, kept)))


if __name__ == "__main__":
    main()
