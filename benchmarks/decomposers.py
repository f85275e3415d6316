"""Figures of decomposers, first of the learned segmenter: `python -m benchmarks.decomposers`, minutes with --quick.

    --parts planted,chapters    only these of: exact, speed, planted, chapters, books, solutions
    --seeds 11,12,13            others than the default's; none is one that a test uses
    --novels FOLDER             novels as in $RRM_DATA/novels, for chapters and speed
    --language-model 3          SmolLM2 finds chapters, too, in so many of the shortest novels, minutes each
    --json FILE                 a row for every figure: part, name, value, low, high, n, pass_line, passed

Intervals are 95 % bootstrap intervals over texts or novels. Times are CPU seconds of one thread, the least of three.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import chapters, decompose_solutions
from benchmarks.rows import Row, single
from decomposers.chunks import Chunks
from decomposers.chunks import token_ends as read_again
from decomposers.learn_cuts import Preferred, learn_from_comparisons
from decomposers.segmenter import Segmenter
from decomposers.semi_markov import Cuts, Ends
from rrm.backbone.encoder import CachedEncoder, FrozenEncoder
from rrm.backbone.generate import Writer, load_writer
from rrm.core.errors import InputError
from rrm.core.graph import TaskGraph
from rrm.core.ids import generator
from rrm.core.protocols import Decomposer
from rrm.core.report import Report
from rrm.core.task import Source, Span
from tasks.planted_cuts import PlantedCuts, PlantedText, Sign

DATA = Path(os.environ.get("RRM_DATA", "../shared/data"))
SIGNS: tuple[Sign, ...] = ("time", "speech", "paragraph", "cast")
WORDS = 200_000  # of the novel that the times are for
_NOISE = 0.3  # a rater's temperature in units of a planted text's value, where an event is worth 1


# ---- exactness ----


def exact(seeds: Sequence[int], quick: bool) -> list[Row]:
    """Compare with every cut listed, on up to twelve units, free and with four parts."""
    worst: dict[str, float] = {}
    sizes = range(4, 10 if quick else 13)
    for seed in seeds:
        for units in sizes:
            for parts in (None, 4):
                for name, error in _errors(seed, units, parts).items():
                    worst[name] = max(worst.get(name, 0.0), error)
    count = len(seeds) * len(sizes) * 2
    return [single("exact", f"largest error of {name}", error, "<= 1e-9", count) for name, error in worst.items()]


def _errors(seed: int, units: int, parts: int | None) -> dict[str, float]:
    random = torch.Generator().manual_seed(1000 * seed + units)
    scores, others = (2 * torch.randn(units, units, dtype=torch.float64, generator=random) for _ in range(2))
    ours = [each.clone().requires_grad_() for each in (scores, others)]
    listed = [each.clone().requires_grad_() for each in (scores, others)]
    p, q = (Cuts(each[None], parts=parts) for each in ours)
    cuts = [
        (*inner, units)
        for count in ([parts - 1] if parts else range(units))
        for inner in combinations(range(1, units), count)
    ]
    logs = [torch.stack([_total(each, cut) for cut in cuts]) for each in listed]
    log_p, log_q = (each - each.logsumexp(0) for each in logs)
    pairs = {
        "log Z": (p.log_partition()[0], logs[0].logsumexp(0)),
        "entropy": (p.entropy()[0], -(log_p.exp() * log_p).sum()),
        "KL": (p.kl(q)[0], (log_p.exp() * (log_p - log_q)).sum()),
    }
    found = {name: float((mine - known).detach().abs()) for name, (mine, known) in pairs.items()}
    for name, (mine, known) in pairs.items():
        got, wanted = (
            torch.autograd.grad(each, at, allow_unused=True, retain_graph=True)
            for each, at in ((mine, ours), (known, listed))
        )
        gaps = [float((a - b).abs().max()) for a, b in zip(got, wanted, strict=True) if a is not None and b is not None]
        found[f"the gradient of {name}"] = max(gaps)
    return found


def _total(scores: Tensor, cut: Ends) -> Tensor:
    return torch.stack([scores[a, b - a - 1] for a, b in zip((0, *cut[:-1]), cut, strict=True)]).sum()


# ---- speed ----


def speed(novels: Path, quick: bool) -> list[Row]:
    """Time 10,000 sentences with parts of up to 400; and the longest novel, or the shortest, per 200,000 words."""
    scores = torch.randn(1, 10_000, 400, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    scores -= 6.0  # parts cost, so that there are as few as in a text
    learned = scores.clone().requires_grad_()
    rows = [
        single("speed", "partition, s", _least(lambda: Cuts(scores).log_partition()), "<= 0.6"),
        single(
            "speed",
            "partition with gradient, s",
            _least(lambda: Cuts(learned).log_partition().sum().backward()),
            "<= 1.5",
        ),  # type: ignore[no-untyped-call]
        single(
            "speed", "one exact sample, s", _least(lambda: Cuts(scores).sample(1, np.random.default_rng(0))), "<= 0.4"
        ),
    ]
    paths = _by_size(novels)
    if not paths:
        print(f"skipped: there is no novel in {novels}")
        return rows
    return rows + _novel(paths[0 if quick else -1])


def _novel(path: Path) -> list[Row]:
    source = chapters.read_novel(path).text.source
    scale = WORDS / len(source.text.split())
    memory = Memory()
    texts = [" ".join(source.text[a:b].split()) for a, b in _sentences(source)]
    encoding = _seconds(lambda: CachedEncoder(FrozenEncoder("minilm", device="cpu"), memory).encode(texts))
    cold = Segmenter(vectors=True, device="cpu", cache=memory)
    read_again.cache_clear()
    cutting = _seconds(lambda: cold.decompose(source, 0))  # sentences are cached, nothing else is known
    told = f"a novel of {len(source.text.split()):,} words, per {WORDS:,}"
    return [
        single("speed", f"{told}: encoding its sentences, s", scale * encoding),
        single("speed", f"{told}: all levels, sentences cached, s", scale * cutting, "<= 3"),
        single("speed", f"{told}: all levels over encoding", (encoding + cutting) / encoding, "<= 1.3"),
    ]


class Memory(dict[str, bytes]):
    """A cache in memory."""

    def get_many(self, table: str, keys: Sequence[str]) -> dict[str, bytes]:
        return {key: self[key] for key in keys if key in self}

    def put_many(self, table: str, items: Mapping[str, bytes]) -> None:
        self.update(items)


def _sentences(source: Source) -> list[tuple[int, int]]:
    units = Segmenter().read(source)
    return list(zip(units.starts.tolist(), units.ends.tolist(), strict=True))


def _least(work: Callable[[], object]) -> float:
    return min(_seconds(work) for _ in range(3))


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


# ---- planted cuts ----


def planted(seeds: Sequence[int], quick: bool) -> Iterator[Row]:
    """Learn from at most 2,000 comparisons which cuts are best, sign by sign; then the sign is another."""
    texts = 40 if quick else 100
    for sign in ("speech",) if quick else SIGNS:
        shares: dict[str, list[float]] = {"learned": [], "chunks": []}
        for seed in seeds:
            start = Segmenter(leaf_tokens=126)
            learned = _taught(start, start, sign, texts, seed)
            for name, decomposer in (("learned", learned), ("chunks", Chunks(leaf_tokens=126))):
                shares[name] += _shares(decomposer, PlantedCuts(40, sign=sign, seed=seed + 1000).texts)
        gains = np.subtract(shares["learned"], shares["chunks"]).tolist()
        yield Row.of("planted", f"{sign}: share of the optimum", shares["learned"], ">= 0.95")
        yield Row.of("planted", f"{sign}: over the fixed chunker", gains, ">= 0.15")
    yield from _permuted(seeds[0], texts)
    yield from _already_best(seeds[0], texts)


def _taught(proposer: Segmenter, anchor: Segmenter, sign: Sign, texts: int, seed: int, off: float = 0.5) -> Segmenter:
    """Learn in four rounds from comparisons of trees that the segmenter of the round before draws."""
    train = PlantedCuts(texts, sign=sign, seed=seed, off=off).texts
    said: list[Preferred] = []
    pairs = 2000 // 4 // texts
    for turn in range(4):
        said += [each for text in train for each in _compared(proposer, text, pairs, seed + turn)]
        proposer = learn_from_comparisons(anchor, said, kl_budget=16.0 if turn < 3 else 50.0, prior=2.0).segmenter
    return proposer


def _compared(segmenter: Segmenter, text: PlantedText, pairs: int, seed: int) -> list[Preferred]:
    random = generator("planted rater", seed, text.source.id)
    trees = segmenter.draw(text.source, 2 * pairs, seed)
    found = []
    for first, second in zip(trees[::2], trees[1::2], strict=True):
        gap = _value(text, first) - _value(text, second)
        if _leaves(first) != _leaves(second):
            prefers_first = random.random() < 1 / (1 + np.exp(-gap / _NOISE))
            found.append(Preferred(text.source, *((first, second) if prefers_first else (second, first))))
    return found


def _permuted(seed: int, texts: int) -> list[Row]:
    """The sign was speech and is time from now on: what was learned must be unlearned."""
    start = Segmenter(leaf_tokens=126)
    learned = _taught(start, start, "speech", texts, seed)
    others = PlantedCuts(40, sign="time", seed=seed + 1000).texts
    before = fmean(_shares(learned, others))
    again = _shares(_taught(learned, start, "time", texts, seed), others)
    return [
        single("planted", "rule permuted: share before it is learned again", before, n=len(others)),
        Row.of("planted", "rule permuted: share once it is learned again", again, ">= 0.95"),
    ]


def _already_best(seed: int, texts: int) -> list[Row]:
    """Sizes are all that counts, so that even chunks are all but best: nothing may be lost."""
    start = Segmenter(leaf_tokens=126)
    learned = _taught(start, start, "paragraph", texts, seed, off=40.0)
    others = PlantedCuts(40, sign="paragraph", seed=seed + 1000, off=40.0).texts
    losses = [_cost(text, learned) - _cost(text, Chunks(leaf_tokens=126)) for text in others]
    return [Row.of("planted", "sizes alone count: learned less chunks, share of the optimum", losses, ">= -0.01")]


def _cost(text: PlantedText, decomposer: Decomposer) -> float:
    return _value(text, decomposer.decompose(text.source, 0)) / abs(text.optimum)


def _shares(decomposer: Decomposer, texts: Sequence[PlantedText]) -> list[float]:
    return [_value(text, decomposer.decompose(text.source, 0)) / text.optimum for text in texts]


def _value(text: PlantedText, tree: TaskGraph) -> float:
    return text.value_of(_leaves(tree))


def _leaves(tree: TaskGraph) -> list[Span]:
    return [span for leaf in tree.leaves if (span := tree.task(leaf).span)]


# ---- chapters ----


def found_chapters(folder: Path, quick: bool, asked: int) -> Iterator[Row]:
    """Find the chapters of novels, each by a segmenter that was taught on other novels.

    A language model finds those of the `asked` shortest novels, and is compared with the segmenter on these alone.
    """
    by_size = _by_size(folder)
    paths = sorted(by_size[:10] if quick else by_size)
    if len(paths) < 4:
        print(f"skipped: {folder} has {len(paths)} novels, and chapters need four")
        return
    novels = [chapters.read_novel(path) for path in paths]
    scores = chapters.compare(novels, folds=2, most_steps=30)
    ours = scores.pop("segmenter")
    yield from _chapter_rows("segmenter", ours)
    for name, theirs in scores.items():
        yield from _chapter_rows(name, theirs)
        yield from _chapter_gains(name, ours, theirs)
    if writer := _language_model(asked):
        cut, few = chapters.by_language_model(writer), [paths.index(path) for path in by_size[:asked] if path in paths]
        theirs = [novels[at].scores(cut(novels[at])) for at in few]
        yield from _chapter_rows(_SMOLLM, theirs)
        yield from _chapter_gains(_SMOLLM, [ours[at] for at in few], theirs)


def _by_size(folder: Path) -> list[Path]:
    """Return the novels of a folder, the shortest first."""
    paths = (path for path in folder.glob("*.jsonl.gz") if not path.name.startswith("index"))
    return sorted(paths, key=lambda path: path.stat().st_size)


_SMOLLM = "language model (SmolLM2)"


def _chapter_rows(name: str, scores: Sequence[chapters.Scores]) -> list[Row]:
    named = ("F1 (within 2 sentences)", "Pk", "WindowDiff")
    return [
        Row.of("chapters", f"{measure} of {name}", values)
        for measure, values in zip(named, zip(*scores, strict=True), strict=True)
    ]


def _chapter_gains(name: str, ours: Sequence[chapters.Scores], theirs: Sequence[chapters.Scores]) -> list[Row]:
    pairs = list(zip(ours, theirs, strict=True))
    found = [our.f1 - their.f1 for our, their in pairs], [their.windowdiff - our.windowdiff for our, their in pairs]
    return [
        Row.of("chapters", f"F1 over {name}", found[0], "> 0", at_low=True),
        Row.of("chapters", f"WindowDiff under {name}", found[1], "> 0", at_low=True),
    ]


def _language_model(asked: int) -> Writer | None:
    if asked < 1:
        return None
    try:
        return load_writer("smollm", "cpu")
    except InputError as missing:
        print(f"skipped: {missing}")
        return None


# ---- synthetic books ----


MINUTES = 700.0  # of raters of outputs, where decompositions are compared on top


def books(seed: int, quick: bool) -> Iterator[Row]:
    """Whole runs on generated books at equal minutes of raters: gold of the whole, and accuracy at leaves.

    Comparing outlines takes minutes, too, so that the others have more of them for outputs.
    """
    count = 6 if quick else 20
    reports = {"from outlines": _book_report("from outlines", seed, count, MINUTES)}
    minutes = reports["from outlines"].cost.minutes
    for name in ("from outcomes", "fixed chunks"):
        reports[name] = _book_report(name, seed, count, minutes)
    gold = {name: [target.gold_of_chosen or 0.0 for target in each.targets] for name, each in reports.items()}
    for name, report in reports.items():
        yield single("books", f"minutes of raters, {name}", report.cost.minutes)
        yield Row.of("books", f"gold of the chosen whole, {name}", gold[name])
        yield _leaves_of(report, name)
    for name in ("from outlines", "from outcomes"):
        gains = np.subtract(gold[name], gold["fixed chunks"]).tolist()
        yield Row.of("books", f"gold, segmenter {name} less fixed chunks", gains)


def _leaves_of(report: Report, name: str) -> Row:
    [leaves] = [level for level in report.levels if level.level == 0]
    low, high = leaves.interval or (None, None)
    told = f"held-out accuracy at leaves, {name}"
    return Row("books", told, leaves.accuracy or float("nan"), low, high, leaves.n_test)


def _book_report(name: str, seed: int, count: int, minutes: float) -> Report:
    import rrm

    with TemporaryDirectory() as folder:
        return rrm.run(out=Path(folder) / "run", quiet=True, **_book_run(name, seed, count, minutes))


def _book_run(name: str, seed: int, count: int, minutes: float) -> dict[str, Any]:
    rater = "rrm.raters.simulated:SimulatedRaters"
    made = "tasks.synthetic_book:SyntheticBooks"
    shape = {"leaf_tokens": 120, "fan_in": [5, 5], "max_tokens": [48, 72, 96]}
    run: dict[str, Any] = {
        "seed": seed,
        "rounds": 2,
        "train": {"plugin": made, "arguments": {"count": 8, "words": 900, "seed": seed}},
        "target": {"plugin": made, "arguments": {"count": count, "words": 900, "seed": seed + 1}},
        "decomposer": {"plugin": "decomposers.segmenter:Segmenter", "arguments": shape},
        "policy": {"plugin": "rrm.policy.careless:Careless", "outputs": 3, "root_outputs": 6},
        "rater": {
            "plugin": rater,
            "arguments": {"quality": "tasks.synthetic_book:perceived_quality", "seed": seed},
            "budget": {"minutes": minutes},
        },
        "flat": False,
    }
    if name == "from outlines":
        judge = {"plugin": rater, "arguments": {"quality": "tasks.planted_cuts:outline_quality", "seed": seed}}
        run["splits"] = {"plugin": "decomposers.learn_cuts:FromScores", "rater": judge, "kl_budget": 8.0}
    elif name == "from outcomes":
        run["train"]["trees"] = 3
        run["splits"] = {"plugin": "decomposers.learn_cuts:FromOutcomes", "kl_budget": 8.0}
    else:
        run["decomposer"]["plugin"] = "decomposers.chunks:Chunks"
    return run


# ---- solutions ----


def solutions(folder: Path, seed: int) -> list[Row]:
    """Return how composed step rewards do beside outcome-only on GSM8K's solution pairs, none without the data."""
    if not folder.is_dir():
        print(f"no folder {folder}: set RRM_DATA for the part solutions", flush=True)
        return []
    return [Row("solutions", *figure) for figure in decompose_solutions.figures(folder, 5, seed)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", default="11,12,13")
    parser.add_argument("--novels", type=Path, default=DATA / "novels")
    parser.add_argument("--language-model", type=int, default=3, metavar="NOVELS")
    parser.add_argument("--parts", default="exact,speed,planted,chapters,books,solutions")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    seeds = [int(seed) for seed in given.seeds.split(",")][: 1 if given.quick else None]
    torch.set_num_threads(1)
    parts: dict[str, Callable[[], Iterable[Row]]] = {
        "exact": lambda: exact(seeds, given.quick),
        "speed": lambda: speed(given.novels, given.quick),
        "planted": lambda: planted(seeds, given.quick),
        "chapters": lambda: found_chapters(given.novels, given.quick, given.language_model),
        "books": lambda: books(seeds[0], given.quick),
        "solutions": lambda: solutions(DATA / "gsm8k", seeds[0]),
    }
    rows: list[Row] = []
    for part in given.parts.split(","):
        for row in parts[part]():
            print(row, flush=True)
            rows.append(row)
    if given.json is not None:
        given.json.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
