"""How fast a reward model trains and scores beside TRL's RewardTrainer: one run, the ways by turns, medians.

This process holds no model. Each part runs in processes of its own, so that peak memory is each way's own, and
prints Markdown. `--quick` takes sizes that run in two minutes; its figures are for trying out, not for quoting.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from rrm.backbone.load import DTYPES

if TYPE_CHECKING:
    from benchmarks.peers import Settings

Result = dict[str, Any]
PROMPTS = 4  # an update


@dataclass(frozen=True)
class Case:
    """Tokens of a prompt and of an output, outputs of a prompt, updates of an epoch, and the ways to compare."""

    prompt: int
    output: int
    outputs: int
    updates: int
    ways: tuple[str, ...]
    memory: bool = False

    @property
    def title(self) -> str:
        return f"P={self.prompt}, C={self.output}, k={self.outputs}"


@dataclass(frozen=True)
class Quality:
    """A run until it has learned: prompts to train on and to hold out, and how."""

    prompt: int
    output: int
    outputs: int
    train: int
    held_out: int
    epochs: int
    prompts: int
    learning_rate: float


@dataclass(frozen=True)
class Plan:
    """What is measured, repetitions (and of each micro-batch tried), tokens of what is scored, type of products."""

    cases: tuple[Case, ...]
    quality: Quality
    times: int
    tries: int
    source: int
    candidates: int
    candidate: int
    dtype: str = "auto"


TWO, ENDS = ("trl", "once", "rrm", "whole"), ("trl", "rrm")
ALL = ("trl", "adjacent", "once", "rrm", "whole")
FULL = Plan(
    cases=(
        Case(1024, 96, 2, 3, TWO, memory=True),  # the one pair of two outputs is an adjacent one
        Case(1024, 96, 4, 1, ALL, memory=True),
        Case(1024, 96, 8, 1, ALL, memory=True),
        Case(256, 64, 4, 2, ENDS),
        Case(2048, 128, 4, 1, ENDS),
    ),
    quality=Quality(128, 32, 4, 256, 64, 2, 8, 3e-4),
    times=5,
    tries=2,
    source=1024,
    candidates=64,
    candidate=96,
)
QUICK = Plan(
    cases=(Case(128, 32, 4, 1, ALL, memory=True), Case(128, 32, 2, 1, TWO)),
    quality=Quality(64, 16, 4, 32, 16, 1, 8, 3e-4),
    times=3,
    tries=1,
    source=256,
    candidates=16,
    candidate=32,
)
PARTS = ("training", "memory", "scoring", "quality")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, three repetitions")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part (may be given several times)")
    parser.add_argument(
        "--dtype", choices=DTYPES, default="auto", help="the type of matrix products (auto: the fastest)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every result as a line of JSON too")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        work(json.loads(options.job))
        return
    plan, parts = replace(QUICK if options.quick else FULL, dtype=options.dtype), options.only or PARTS
    results = measure(plan, parts)
    if options.json:
        options.json.write_text("".join(json.dumps(each) + "\n" for each in results), encoding="utf-8")
    print("\n".join(report(plan, results)))


# The side that only starts processes and writes tables.


def measure(plan: Plan, parts: Sequence[str]) -> list[Result]:
    """Run the parts one after another; the sizes that training found best are those that memory is taken at."""
    results = run(["machine", "training"] if {"training", "memory"} & set(parts) else ["machine"], plan)
    sizes = {(each["case"], each["way"]): each["size"] for each in results if each["part"] == "training"}
    weighed = [at for at, case in enumerate(plan.cases) if case.memory and "memory" in parts]
    for number, way in ((at, way) for at in weighed for way in plan.cases[at].ways):
        if way != "adjacent":  # a micro-batch of adjacent pairs holds what one of all pairs does
            results += run(["memory"], plan, case=number, way=way, size=sizes[number, way])
    rest = [part for part in ("scoring", "quality") if part in parts]
    return results + (run(rest, plan) if rest else [])


def run(parts: Sequence[str], plan: Plan, **about: object) -> list[Result]:
    """Do some parts in a process of their own and return what they found."""
    job = json.dumps({"parts": parts, "plan": asdict(plan), **about})
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.rewards", "--job", job]
    name = " ".join(map(str, (*parts, *about.values())))
    print(f"{name} ...", file=sys.stderr, flush=True)
    began = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"the part {name} failed: its message stands above")
    print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"part"')]


def report(plan: Plan, results: Sequence[Result]) -> Iterator[str]:
    """Write everything as Markdown, a section for each part that was run."""
    by_part = {part: [each for each in results if each["part"] == part] for part in (*PARTS, "machine")}
    yield from _machine(by_part["machine"][0])
    if by_part["training"]:
        yield from _training(plan, by_part["training"], by_part["memory"])
    if by_part["scoring"]:
        yield from _scoring(plan, by_part["scoring"])
    if by_part["quality"]:
        yield from _quality(plan.quality, by_part["quality"])


def _machine(found: Result) -> Iterator[str]:
    precision = "bfloat16 autocast" if found["autocast"] else "float32"
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    yield f"{found['processor']}, {found['threads']} threads, {precision}; {versions}."
    yield (
        f"Random weights, hidden 256, 4 layers, {found['parameters'] / 1e6:.1f} M parameters. "
        f"A process with the libraries and the model alone holds {found['held_mb']:.0f} MiB. No GPU was used."
    )


def _training(plan: Plan, found: Sequence[Result], memory: Sequence[Result]) -> Iterator[str]:
    peaks = {(each["case"], each["way"]): each["peak_mb"] for each in memory}
    yield f"\n### Training: seconds of an epoch, median of {plan.times} (least to most), {PROMPTS} prompts an update\n"
    yield (
        "| case | way | micro-batch | seconds | tokens forwarded | times TRL | limit by tokens | share of the limit "
        "| times each-output-once | peak MiB | loss held out |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for number, case in enumerate(plan.cases):
        rows = {each["way"]: each for each in found if each["case"] == number}
        for way, row in rows.items():
            ratio, limit = _seconds(rows["trl"]) / _seconds(row), rows["trl"]["tokens"] / row["tokens"]
            once = f"{_seconds(rows['once']) / _seconds(row):.2f}" if way in ("rrm", "whole") and "once" in rows else ""
            cells = [case.title, row["title"], row["size"], _spread(row["seconds"]), f"{row['tokens']:,}"]
            cells += [f"{ratio:.2f}", f"{limit:.2f}", f"{ratio / limit:.0%}", once]
            cells += [f"{peaks[number, way]:.0f}" if (number, way) in peaks else "", f"{row['held_out']:.4f}"]
            yield _line(cells)
    yield ""
    yield (
        "All pairs hold each output k - 1 times: that factor of the ratio over TRL is de-duplication, which adjacent "
        "pairs, at another loss, and each-output-once save as well; the rest is the shared source. Micro-batches are "
        "pairs (TRL), rows (each output once) or groups (rrm), the fastest of those tried."
    )


def _scoring(plan: Plan, found: Sequence[Result]) -> Iterator[str]:
    yield (
        f"\n### Scoring {plan.candidates} outputs of {plan.candidate} tokens of one {plan.source:,}-token source, "
        f"median of {plan.times} (least to most)\n"
    )
    yield "| way | batch | seconds | outputs a second | times naive | limit by tokens | greatest difference |"
    yield "|---|---|---|---|---|---|---|"
    naive = next(each for each in found if each["way"] == "naive")
    for each in found:
        seconds, ratio = _seconds(each), _seconds(naive) / _seconds(each)
        rate, limit = f"{plan.candidates / seconds:.1f}", naive["tokens"] / each["tokens"]
        cells = [each["title"], each["size"], _spread(each["seconds"]), rate, f"{ratio:.2f}", f"{limit:.2f}"]
        yield _line([*cells, f"{each['difference']:.1e}"])


def _quality(quality: Quality, found: Sequence[Result]) -> Iterator[str]:
    yield (
        f"\n### Equal quality: P={quality.prompt}, C={quality.output}, k={quality.outputs}, {quality.train} prompts, "
        f"{quality.prompts} an update, {quality.epochs} epochs; {quality.held_out} prompts held out\n"
    )
    yield "| way | seconds | updates | loss held out (standard error by prompt) | pairs in order |"
    yield "|---|---|---|---|---|"
    for each in found:
        loss = f"{each['held_out']:.4f} ({each['error']:.4f})"
        yield _line([each["title"], f"{each['seconds']:.1f}", each["updates"], loss, f"{each['accuracy']:.3f}"])


def _seconds(row: Result) -> float:
    return float(median(row["seconds"]))


def _spread(seconds: Sequence[float]) -> str:
    return f"{median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


# The side that holds a model: one job a process.


def work(job: Result) -> None:
    """Do the parts of a job and print each result as a line of JSON."""
    from transformers.utils import logging

    from benchmarks import peers

    peers.require_trl()  # in every process, so that all of them hold the same libraries in memory
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    for part in job["parts"]:
        for result in JOBS[part](job):
            print(json.dumps({"part": part, **result}), flush=True)


def machine(job: Result) -> Iterator[Result]:
    """Say what everything below was measured on."""
    import torch
    import transformers
    import trl

    from benchmarks import peers

    parameters = sum(each.numel() for each in peers.build(peers.SMALL).parameters())
    held = _peak_mb()
    yield {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "autocast": _settings(_plan(job)).autocast,
        "parameters": parameters,
        "held_mb": held,
        "versions": {each.__name__: each.__version__ for each in (torch, transformers, trl)},
    }


def train(job: Result) -> Iterator[Result]:
    """Train every case by every way, one after another, as often as the plan says."""
    from benchmarks import peers

    plan = _plan(job)
    settings = _settings(plan)
    known: peers.Known = {}
    for number, case in enumerate(plan.cases):
        shape = peers.Shape(case.prompt, case.output, case.outputs)
        groups = peers.make_groups(shape, case.updates * PROMPTS, 0, peers.SMALL.vocabulary)
        unseen = peers.make_groups(shape, 2, 2, peers.SMALL.vocabulary)
        size = {way: peers.choose_size(way, shape, peers.SMALL, settings, known, plan.tries) for way in case.ways}
        taken: dict[str, list[peers.Trained]] = {way: [] for way in case.ways}
        losses: dict[str, float] = {}
        for turn in range(plan.times):
            for way in case.ways if turn % 2 == 0 else reversed(case.ways):
                model = peers.build(peers.SMALL)
                taken[way].append(peers.WAYS[way].train(model, groups, settings, size[way] or 1))
                losses.setdefault(way, peers.held_out(model, peers.SMALL, unseen, settings)[0])
                del model
                peers.tidy("cpu")
        for way, rows in taken.items():
            yield {
                "case": number,
                **asdict(case),
                "way": way,
                "title": peers.WAYS[way].title,
                "size": size[way],
                "seconds": [each.seconds for each in rows],
                "tokens": rows[0].tokens,
                "held_out": losses[way],
            }


def memory(job: Result) -> Iterator[Result]:
    """Train for two updates, as few prompts each as make one micro-batch or more, and say the most memory held."""
    from math import gcd

    from benchmarks import peers

    plan, way, size = _plan(job), peers.WAYS[job["way"]], job["size"]
    case = plan.cases[job["case"]]
    prompts = size // gcd(size, way.units(case.outputs))
    shape = peers.Shape(case.prompt, case.output, case.outputs)
    groups = peers.make_groups(shape, 2 * prompts, 0, peers.SMALL.vocabulary)
    way.train(peers.build(peers.SMALL), groups, _settings(plan, prompts=prompts), size)
    yield {"case": job["case"], "way": job["way"], "size": size, "peak_mb": _peak_mb()}


def score(job: Result) -> Iterator[Result]:
    """Score the outputs of one source by every way, each at its best batch."""
    from benchmarks import peers

    plan = _plan(job)
    settings = _settings(plan)
    shape = peers.Shape(plan.source, plan.candidate, plan.candidates)
    (group,) = peers.make_groups(shape, 1, 0, peers.SMALL.vocabulary)
    models = {way: peers.build(peers.SMALL).eval() for way in peers.SCORERS}
    size, tokens, rewards = {}, {}, {}
    for way, scorer in peers.SCORERS.items():
        scorer.prepare(models[way])
        with peers.counted(models[way]) as counts:
            rewards[way] = scorer.score(models[way], *group, scorer.sizes[0], settings)
        tokens[way] = sum(counts)
        took = {each: _timed(scorer.score, models[way], *group, each, settings) for each in scorer.sizes}
        size[way] = min(took, key=took.__getitem__)
    taken: dict[str, list[float]] = {way: [] for way in peers.SCORERS}
    for turn in range(plan.times):
        for way in taken if turn % 2 == 0 else reversed(taken):
            taken[way].append(_timed(peers.SCORERS[way].score, models[way], *group, size[way], settings))
    for way, seconds in taken.items():
        difference = float((rewards[way].float() - rewards["naive"].float()).abs().max())
        title = peers.SCORERS[way].title
        found = {"way": way, "title": title, "size": size[way], "seconds": seconds, "tokens": tokens[way]}
        yield {**found, "difference": difference}


def learn(job: Result) -> Iterator[Result]:
    """Train until something is learned, by TRL over all pairs and by ours, from the same weights."""
    from benchmarks import peers

    plan = _plan(job)
    quality = plan.quality
    settings = _settings(plan, prompts=quality.prompts, epochs=quality.epochs, learning_rate=quality.learning_rate)
    shape = peers.Shape(quality.prompt, quality.output, quality.outputs)
    groups = peers.make_groups(shape, quality.train, 0, peers.SMALL.vocabulary)
    unseen = peers.make_groups(shape, quality.held_out, 2, peers.SMALL.vocabulary)
    for way, size in (("trl", 6), ("rrm", 4), ("whole", 4)):
        model = peers.build(peers.SMALL)
        trained = peers.WAYS[way].train(model, groups, settings, size)
        loss, error, accuracy = peers.held_out(model, peers.SMALL, unseen, settings)
        updates = quality.epochs * quality.train // quality.prompts
        found = {"way": way, "title": peers.WAYS[way].title, "seconds": trained.seconds, "tokens": trained.tokens}
        yield {**found, "updates": updates, "held_out": loss, "error": error, "accuracy": accuracy}


JOBS: dict[str, Callable[[Result], Iterator[Result]]] = {
    "machine": machine,
    "training": train,
    "memory": memory,
    "scoring": score,
    "quality": learn,
}


def _settings(plan: Plan, **changes: Any) -> "Settings":
    from benchmarks import peers
    from rrm.backbone.load import resolve

    return peers.Settings(**{"prompts": PROMPTS, "autocast": resolve("cpu", plan.dtype)[1], **changes})


def _plan(job: Result) -> Plan:
    given = job["plan"]
    cases = tuple(Case(**case) for case in given["cases"])
    return Plan(**{**given, "cases": cases, "quality": Quality(**given["quality"])})


def _timed(function: Callable[..., object], *arguments: object) -> float:
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def _peak_mb() -> float:
    """The most memory that this process ever held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name} ({os.cpu_count()} cores)"


if __name__ == "__main__":
    main()
