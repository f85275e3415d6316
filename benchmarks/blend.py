"""Whether a sum of both kinds of model is better: frozen and joint models of a run, alone and added up by `Blend`.

    python -m benchmarks.blend --only squality --out runs/blend

One fit gives all three: the parts of a `Blend` are what `Frozen` and `Joint` fit by themselves, with the same seed. All
are those of a run, so weights and temperatures were fitted to what was said of sources that were held out. Sets, draws
of rows, and what is kept in `--out`, are those of `benchmarks.quality`.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit

from benchmarks.people import DATA, Rows, number
from benchmarks.quality import SEED, SETS, Amount, Kept, Part, Predicted, between, joined, parts, show
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.protocols import RewardModel, Start, Workspace
from rrm.core.roles import Ratings, Train
from rrm.core.values import OVERALL
from rrm.evaluate.metrics import accuracy, cluster_interval, nll, share_interval
from rrm.evaluate.outcomes import outcome_of
from rrm.reward.blend import Blend
from rrm.reward.calibrated import CalibratedModel
from rrm.reward.dispersed import DispersedModel
from rrm.reward.summed import SummedModel

HEAD = (
    "| set | model | rows to learn from | evaluated | accuracy | 95 % interval | NLL | weights |\n"
    "|---|---|---|---|---|---|---|---|"
)
MODELS = ("frozen", "joint", "sum")


def first_better(model: RewardModel, rows: Rows) -> list[float]:
    """Return how probably the first output of each row is better, [rows]."""
    said = model.predict([row.request.group for row in rows])
    rewards = [each.rewards[OVERALL] for each in said]
    return [float(expit(each[:, 0] - each[:, 1]).mean()) for each in rewards]


def fitted(learner: Blend, part: Part, folder: Path) -> dict[str, list[float]]:
    """Return each part's and the sum's probabilities on new rows, and the weights of the sum."""

    def tell(done: int, total: int) -> None:
        print(f"{folder.name}: {done} of {total}", flush=True)

    model = learner.fit(Ratings(Train, tuple(part.train)), Start(), Place(), SEED, Workspace(folder, tell))
    assert isinstance(model, DispersedModel) and isinstance(model.inner, CalibratedModel)
    added = model.inner.inner
    assert isinstance(added, SummedModel)
    models = zip(MODELS, (*added.parts, model), strict=True)
    slope = model.inner.calibrations[None].slope
    weights = [slope * weight for weight in added.terms[None].weights]
    return {name: first_better(each, part.test) for name, each in models} | {"weights": weights}


def predictions(name: str, at: int, part: Part, amount: Amount, kept: Kept) -> dict[str, list[float]]:
    """Return what `fitted` does, from the folder where it is kept there."""
    learner = Blend(
        backbone=amount.backbone,
        epochs=amount.epochs,
        max_length=amount.max_length + 2,
        batch_tokens=amount.batch_tokens,
    )
    told = [[row.request.id, row.feedback.id] for side in part for row in side]
    key = content_id("blend", learner.name, told)
    folder = kept.folder / f"{name}-{at}-{key[-12:]}"
    found: dict[str, list[float]] = kept.get(key, [name, at, asdict(amount)], lambda: fitted(learner, part, folder))
    return found


def outcomes(rows: Rows) -> list[float]:
    """Return 1 where the first output was preferred, 0 where the second, .5 for a tie, [rows]."""
    return [outcome if (outcome := outcome_of(row)) is not None else 0.5 for row in rows]


def table(name: str, amount: Amount, kept: Kept) -> Iterator[str]:
    """Yield the rows of a set's table, and how far the sum is from each model alone, paired by source."""
    made = parts(SETS[name], amount)
    found = [predictions(name, at, part, amount, kept) for at, part in enumerate(made)]
    together = {
        model: joined(
            [
                Predicted([row.request.source for row in part.test], outcomes(part.test), each[model])
                for part, each in zip(made, found, strict=True)
            ]
        )
        for model in MODELS
    }
    weights = np.mean([each["weights"] for each in found], axis=0)
    learned = sum(len(part.train) for part in made) // len(made)
    for model, each in together.items():
        told = " and ".join(number(float(weight)) for weight in weights) if model == "sum" else "–"
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
