"""How good joint models are: SmolLM2 with adapters beside frozen MiniLM and both baselines, on the same rows.

    python -m benchmarks.quality --only ukpconvarg --rows 300 --out runs/quality

Sets of people's judgements are in the folder of real data (RRM_DATA, by default ../shared/data): models learn from a
set's train file and are evaluated on its validation file, whose sources are others. GSM8K's pairs have one file:
it is cut into five folds of problems. `--folds N` evaluates every set so, inside its train file alone. `synthetic`
are books with known gold, level by level (`benchmarks.quality_books`).

A joint model is one training of `rrm.reward.train`, as `rrm train-reward --tune lora` does it: a tenth of the training
sources is held back to fit its temperature. Every model reads the same rows: `--rows` and `--sources` draw some by
a fixed order (a smaller draw is part of a larger one), and rows of more than `--max-length` tokens are left out.

What is finished is kept in the folder `--out`, line by line, and not done again; a training that was killed goes on.
Sources, rows, epochs and lengths are arguments: without them all rows are read, which wants a GPU or hours.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import expit, logit

from benchmarks import quality_books
from benchmarks.people import DATA, Rows, Set, number, recorded
from rrm.backbone.encoder import CachedEncoder, FrozenEncoder
from rrm.backbone.load import find_checkpoint
from rrm.core.ids import content_id, seed_for
from rrm.core.report import Interval
from rrm.core.values import OVERALL, Group
from rrm.evaluate.baselines import BagOfWords, longer_wins
from rrm.evaluate.figures import ROWS_PER_BIN
from rrm.evaluate.metrics import accuracy, calibration, cluster_interval, folded, hits, nll, share_interval
from rrm.evaluate.outcomes import outcome_of, pairwise
from rrm.reward.features import FeatureReader
from rrm.reward.fit import FitConfig, balanced_folds, fit
from rrm.reward.train import train
from rrm.reward.train_log import Events
from rrm.reward.tuned import Tuned

SEED = 0
SETS = {
    "ukpconvarg": Set("UKPConvArg, consensus", lambda split: recorded(f"ukpconvarg/preferences_{split}.jsonl.gz")),
    "squality": Set(
        "SQuALITY, without stories",
        lambda split: recorded(f"squality/preferences_{split}.jsonl.gz", source_column="story_id", max_tokens=512),
    ),
    "summeval": Set(
        "SummEval, with articles", lambda split: recorded(f"summeval/preferences_{split}.jsonl.gz", source_column="doc")
    ),
    "tulu": Set("Tulu, human", lambda split: recorded(f"tulu_human/preferences_{split}.jsonl.gz")),
    "gsm8k": Set(
        "GSM8K solutions, 5 folds", lambda split: recorded("gsm8k/solution_pairs_validation.jsonl.gz"), folds=5
    ),
}
SYNTHETIC = "synthetic"
TITLES = {
    "joint": "joint, SmolLM2 with LoRA",
    "frozen": "frozen, MiniLM",
    "words": "bag of words",
    "longer": "the longer wins",
    "both": "both: the mean of their log-odds",
}


@dataclass(frozen=True)
class Amount:
    """How much is read: `rows` and `sources` of a file (0: all), tokens a row at most, and how a joint model learns.

    `batch_tokens` are learned from at once (None: as a training does by itself).
    """

    rows: int = 0
    sources: int = 0
    folds: int = 0
    max_length: int = 1024
    epochs: int = 1
    held_back: float = 0.1
    backbone: str = "smollm"
    batch_tokens: int | None = None


class Part(NamedTuple):
    """What models are fitted on, and what they are evaluated on."""

    train: Rows
    test: Rows


class Predicted(NamedTuple):
    """Of every evaluated row its source, outcome and a model's probability that the first output is better."""

    sources: list[str]
    outcome: list[float]
    probability: list[float]

    def decided(self) -> tuple[np.ndarray, np.ndarray]:
        """Return which rows are no ties, and whether the model is right about each of those."""
        outcome, probability = np.array(self.outcome), np.array(self.probability)
        rows = outcome != 0.5
        return rows, hits(probability[rows], outcome[rows])


# ---- rows ----


def parts(each: Set, sizes: Amount) -> list[Part]:
    """Return what a set's models are fitted and evaluated on, part by part; no source is on both sides."""
    folds = sizes.folds or each.folds
    rows = pairwise(_kept(each.read("train"), sizes))
    if not folds:
        return [Part(_some(rows, sizes.rows), pairwise(_kept(each.read("validation"), sizes)))]
    fold = balanced_folds([row.request.source for row in rows], SEED, folds)
    apart = [[row for row in rows if fold[row.request.source] == number] for number in range(folds)]
    return [
        Part(_some([row for row in rows if fold[row.request.source] != number], sizes.rows), apart[number])
        for number in range(folds)
    ]


def _kept(rows: Rows, sizes: Amount) -> Rows:
    """Leave out rows that are too long, then all but the sources drawn."""
    count = find_checkpoint(sizes.backbone).tokenizer.count
    short = [
        row
        for row in rows
        if count(row.request.view.prompt) + max(count(shown.text) for shown in row.request.shown) < sizes.max_length
    ]
    if len(short) < len(rows):
        print(f"{len(rows) - len(short)} of {len(rows)} rows have {sizes.max_length} tokens or more: left out")
    sources = sorted({row.request.source for row in short}, key=lambda source: seed_for(SEED, "source", source))
    chosen = set(sources[: sizes.sources or None])
    return [row for row in short if row.request.source in chosen]


def _some(rows: Rows, count: int) -> Rows:
    """Draw so many rows, in an order of their own: fewer are part of more."""
    if not 0 < count < len(rows):
        return rows
    order = sorted(range(len(rows)), key=lambda at: seed_for(SEED, "row", rows[at].request.id, rows[at].feedback.id))
    return [rows[at] for at in sorted(order[:count])]


# ---- models ----


def _first_better(rewards: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([float(expit(each[:, 0] - each[:, 1]).mean()) for each in rewards])


def _groups(rows: Rows) -> list[Group]:
    return [row.request.group for row in rows]


def joint(part: Part, sizes: Amount, folder: Path) -> np.ndarray:
    """Train a joint model and return its probabilities, [test]."""
    learner = Tuned(sizes.backbone, epochs=sizes.epochs, batch_tokens=sizes.batch_tokens)
    config = replace(learner.config, validation=sizes.held_back, save_every=5)
    began = time.perf_counter()

    def tell(line: object) -> None:
        print(f"{time.perf_counter() - began:6.0f} s {line}", flush=True)

    reading = replace(learner.reading, max_length=sizes.max_length + 8)  # with what begins, parts and ends texts
    trained = train(part.train, sizes.backbone, folder, config, SEED, reading, events=Events(log=tell))
    return _first_better([said.rewards[OVERALL] for said in trained.model.predict(_groups(part.test))])


def frozen(part: Part, sizes: Amount, folder: Path) -> np.ndarray:
    """Fit heads on the frozen encoder and return their probabilities, [test]."""
    model = fit(part.train, _reader(), FitConfig(), SEED)
    return _first_better(model.rewards(_groups(part.test)))


def bag_of_words(part: Part, sizes: Amount, folder: Path) -> np.ndarray:
    """Fit the bag of words and return its probabilities, [test]."""
    model = BagOfWords.fit(part.train)
    assert model is not None
    return model.probability([row.request for row in part.test])


def longer(part: Part, sizes: Amount, folder: Path) -> np.ndarray:
    """Return 1 where the first output is longer, 0 where it is shorter, [test]."""
    return longer_wins([row.request for row in part.test])


@cache
def _reader() -> FeatureReader:
    return FeatureReader(CachedEncoder(FrozenEncoder(device="cpu")))


MODELS: dict[str, Callable[[Part, Amount, Path], np.ndarray]] = {
    "longer": longer,
    "words": bag_of_words,
    "frozen": frozen,
    "joint": joint,
}


# ---- what is done, kept line by line ----


class Done(NamedTuple):
    """A model's predictions about one part of a set; seconds are of the wall and of the processor."""

    predicted: Predicted
    train_rows: int
    seconds: float
    cpu_seconds: float


class Kept:
    """Results in a folder, one line each, by a key that covers settings and rows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "results.jsonl"
        lines = self._file.read_text("utf-8").splitlines() if self._file.exists() else []
        self._known = {each["key"]: each["value"] for each in map(json.loads, lines)}

    def get(self, key: str, about: object, make: Callable[[], object]) -> Any:
        """Return what is kept under a key, or make and keep it; `about` is written beside it for who reads the file."""
        if key not in self._known:
            value = json.loads(json.dumps(make()))
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "about": about, "value": value}) + "\n")
            self._known[key] = value
        return self._known[key]


def evaluate(name: str, number: int, part: Part, model: str, sizes: Amount, kept: Kept) -> Done:
    """Return a model's predictions about a part of a set, from the folder where they are kept there."""
    assert not {row.request.source for row in part.train} & {row.request.source for row in part.test}
    told = {**asdict(sizes), "rows": [[row.request.id, row.feedback.id] for side in part for row in side]}
    if model != "joint":
        told |= {
            "epochs": 0,
            "held_back": 0.0,
            "batch_tokens": None,
            "fit": asdict(FitConfig()) if model == "frozen" else None,
        }
    key = content_id("quality", model, told)

    def make() -> object:
        began, cpu = time.perf_counter(), time.process_time()
        found = MODELS[model](part, sizes, kept.folder / f"{name}-{key[-12:]}")
        predicted = Predicted(
            [row.request.source for row in part.test],
            [outcome if (outcome := outcome_of(row)) is not None else 0.5 for row in part.test],
            [float(each) for each in found],
        )
        return Done(predicted, len(part.train), time.perf_counter() - began, time.process_time() - cpu)

    predicted, *rest = kept.get(key, [name, number, model, asdict(sizes)], make)
    return Done(Predicted(*predicted), *rest)


# ---- tables ----

HEAD = (
    "| set | model | rows to learn from | evaluated | accuracy | 95 % interval | NLL | ECE | seconds | CPU seconds |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def line(title: str, model: str, done: Sequence[Done]) -> str:
    """Return a row of the table: all parts of a set together."""
    together = joined([each.predicted for each in done])
    outcome, probability = np.array(together.outcome), np.array(together.probability)
    rows, right = together.decided()
    sources = np.array(together.sources)
    interval = share_interval(right, sources[rows])
    cells = [title, TITLES[model], _mean([each.train_rows for each in done]), str(int(rows.sum()))]
    cells += [number(accuracy(probability, outcome).value), between(interval)]
    if model == "longer":
        cells += ["–", "–"]
    else:
        bins = max(1, min(10, len(outcome) // ROWS_PER_BIN))
        found = calibration(*folded(probability, outcome), bins, sources)
        cells += [number(nll(probability, outcome)), number(found.ece if found else None)]
    cells += [f"{sum(each.seconds for each in done):.0f}", f"{sum(each.cpu_seconds for each in done):.0f}"]
    return "| " + " | ".join(cells) + " |"


def differences(title: str, by_model: dict[str, Predicted]) -> Iterator[str]:
    """Say by how much models differ in accuracy on the same rows, with the paired interval, clustered by source."""
    right = {model: each.decided()[1] for model, each in by_model.items()}
    if "longer" not in right or "words" not in right:
        return
    better = "longer" if right["longer"].mean() >= right["words"].mean() else "words"
    pairs = [("joint", "frozen"), ("joint", better), ("frozen", better), ("both", "frozen"), ("both", "joint")]
    for first, second in pairs:
        if first in right and second in right:
            rows, _ = by_model[first].decided()
            off = right[first] - right[second]
            found = cluster_interval(off, np.array(by_model[first].sources)[rows], lambda rows: float(rows.mean()))
            yield f"{title}: {TITLES[first]} less {TITLES[second]} {off.mean():+.3f} ({between(found, '+.3f')})"


def both(one: Predicted, other: Predicted) -> Predicted:
    """Return the probabilities of the mean of two models' log-odds, for the same rows."""
    assert (one.sources, one.outcome) == (other.sources, other.outcome)
    certain = 1e-9
    odds = [logit(np.clip(each.probability, certain, 1 - certain)) for each in (one, other)]
    return Predicted(one.sources, one.outcome, expit(np.mean(odds, axis=0)).tolist())


def joined(found: Sequence[Predicted]) -> Predicted:
    """Return the rows of all parts of a set as one."""
    return Predicted(
        [source for each in found for source in each.sources],
        [outcome for each in found for outcome in each.outcome],
        [probability for each in found for probability in each.probability],
    )


def between(interval: Interval | None, form: str = ".3f") -> str:
    """Return an interval in words, a dash where there is none."""
    if interval is None:
        return "–"
    low, high = (format(each, form).replace("0.", ".", 1) for each in (interval.low, interval.high))
    return f"{low} to {high}"


def _mean(counts: Sequence[int]) -> str:
    return f"{sum(counts) / len(counts):.0f}"


def table(name: str, models: Sequence[str], sizes: Amount, kept: Kept) -> Iterator[str]:
    """Yield the rows of a set's table, the cheapest model first, and how far the models are apart."""
    each = SETS[name]
    made = parts(each, sizes)
    found: dict[str, Predicted] = {}
    for model in MODELS:
        if model in models:
            done = [evaluate(name, number, part, model, sizes, kept) for number, part in enumerate(made)]
            found[model] = joined([every.predicted for every in done])
            yield line(each.name, model, done)
    if "joint" in found and "frozen" in found:
        found["both"] = both(found["frozen"], found["joint"])
        learned = round(sum(len(part.train) for part in made) / len(made))
        yield line(each.name, "both", [Done(found["both"], learned, 0.0, 0.0)])
    yield from differences(each.name, found)


def main(arguments: Sequence[str] | None = None) -> None:
    asked = argparse.ArgumentParser(prog="benchmarks.quality")
    asked.add_argument("--only", choices=[*SETS, SYNTHETIC], help="one set (default: all)")
    asked.add_argument(
        "--models", default="longer,words,frozen,joint", help="which, with commas; sum: of generated books alone"
    )
    asked.add_argument("--out", type=Path, default=Path("runs/quality"), help="what is finished is kept here")
    asked.add_argument("--rows", type=int, default=0, help="rows to learn from, drawn (default: all)")
    asked.add_argument("--sources", type=int, default=0, help="sources of a file, drawn (default: all)")
    asked.add_argument("--folds", type=int, default=0, help="evaluate by folds of sources inside the train file")
    asked.add_argument("--max-length", type=int, default=1024, help="rows of more tokens are left out")
    asked.add_argument("--epochs", type=int, default=1)
    asked.add_argument("--held-back", type=float, default=0.1, help="share of sources for the joint temperature")
    asked.add_argument("--backbone", default="smollm", help="of the joint model")
    asked.add_argument("--batch-tokens", type=int, default=None, help="learned from at once: less takes less memory")
    asked.add_argument("--books", type=int, default=10, help="synthetic: books to train on")
    asked.add_argument("--threads", type=int, default=0, help="of torch (default: its own)")
    asked.add_argument("--quick", action="store_true", help="frozen models and baselines alone")
    options = asked.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    models = options.models.split(",")
    if options.quick:
        models = [model for model in models if model != "joint"]
    sizes = Amount(
        options.rows, options.sources, options.folds, options.max_length, options.epochs, options.held_back,
        options.backbone, options.batch_tokens,
    )  # fmt: skip
    kept = Kept(options.out)
    chosen = [options.only] if options.only else [*SETS, SYNTHETIC]
    people = [name for name in chosen if name in SETS]
    if people and not DATA.is_dir():
        print(f"no real data in {DATA}: set RRM_DATA to the folder that has it")
    elif people:
        show(HEAD, (row for name in people for row in table(name, models, sizes, kept)))
    if SYNTHETIC in chosen:
        books = quality_books.BookSizes(
            options.books, options.epochs, backbone=options.backbone, batch_tokens=options.batch_tokens
        )
        show(quality_books.HEAD, quality_books.table(models, books, kept))


def show(head: str, rows: Iterable[str]) -> None:
    """Print the rows of a table as they come."""
    print(head)
    for row in rows:
        print(row, flush=True)


if __name__ == "__main__":
    main()
