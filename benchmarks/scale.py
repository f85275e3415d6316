"""One machine near its limit: a whole run beside the plain encoding of its sentences, and what the driver itself takes.

    python -m benchmarks.scale --words 20000 200000 --json rows.json

The run: four generated training books of 2,000 words (seed 40), one target of so many words (seed 41), leaves of 150
tokens in sixes, three careless outputs a node and four at the root, simulated raters. It and its resuming are processes
of their own with so many `--threads`. The bound is the fastest of several plain ways to encode the run's distinct
sentences, found on some of them and then done for all in the same sitting; no run reaches it, for it also cuts,
proposes, rates, fits, scores and reports. Ratios are of processor seconds, which other work on the machine changes
less than seconds. The driver is measured with the real recursion and stand-ins that answer at once, whose own time,
with that of splitting, is taken off. `--quick` takes 2,000 words and 1,000 nodes. Rows are name, value, limit, passed.

`--workers 1 2` has the same run done by so many worker processes of this machine instead, each right after one
without, which is always first; all of them must leave the same record. A `--dir` that holds runs is refused, for they
would be resumed.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from subprocess import PIPE, Popen
from typing import NamedTuple

import anyio

from benchmarks.driver import AtOnce
from decomposers.chunks import Chunks
from rrm.api.runfile import RunFile, read_run_file
from rrm.api.runs import recursion_of
from rrm.api.wiring import Parts
from rrm.backbone.encoder import FrozenEncoder
from rrm.backbone.units import units
from rrm.core.task import Source
from rrm.core.values import Output, View
from rrm.engines.local import Local
from rrm.pipeline.driver import drive
from rrm.pipeline.plan import AnyAction, Values
from rrm.pipeline.recursion import recursion
from rrm.pipeline.rehearse import USUAL, StandIns
from rrm.store import open_store
from tests.toys import on_record

RUN = """
name = "scale"
seed = 40
train = {{ plugin = "tasks.synthetic_book:SyntheticBooks", arguments = {{ count = 4, words = 2000, seed = 40 }} }}
target = {{ plugin = "tasks.synthetic_book:SyntheticBooks", arguments = {{ count = 1, words = {words}, seed = 41 }} }}
policy = {{ plugin = "rrm.policy.careless:Careless", outputs = 3, root_outputs = 4 }}
reward = {{ dtype = "{dtype}" }}

[decomposer]
plugin = "decomposers.chunks:Chunks"
arguments = {{ leaf_tokens = {leaf_tokens}, fan_in = [6], max_tokens = [40, 60] }}

[rater]
plugin = "rrm.raters.simulated:SimulatedRaters"
arguments = {{ quality = "tasks.synthetic_book:perceived_quality" }}
"""
LIMITS = {"float32": 1.3, "bfloat16": 1.7}
"""Most processor seconds of a run, in those of its encoding, at 200,000 words or more."""
FROM_WORDS = 200_000
DRIVER, RESUME = 300.0, 5.0
"""Most microseconds a node of the driver, and seconds in which the finished run of 200,000 words is resumed."""
TRIED = 400
"""Sentences on which the ways to encode are compared."""


@dataclass(frozen=True)
class Row:
    """A figure and the most that it may be, None where it is only told."""

    name: str
    value: float
    limit: float | None = None
    passed: bool | None = None

    @classmethod
    def of(cls, name: str, value: float, limit: float | None = None) -> "Row":
        return cls(name, value, limit, None if limit is None else value <= limit)


def tell(rows: Sequence[Row], file: Path | None) -> None:
    """Print rows with their verdicts, and write them as JSON where a file is named."""
    for row in rows:
        verdict = "" if row.limit is None else f"   line {row.limit:g}: {'passed' if row.passed else 'FAILED'}"
        print(f"{row.name:64} {row.value:12.3f}{verdict}")
    if file:
        file.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


class Used(NamedTuple):
    """What a process took: seconds, processor seconds, and the most memory that it held, in gigabytes."""

    seconds: float
    processor: float
    memory: float


def run_file(folder: Path, words: int, dtype: str, leaf_tokens: int = 150) -> Path:
    """Write a run file with a target of so many words."""
    file = folder / f"run-{words}.toml"
    file.write_text(RUN.format(words=words, dtype=dtype, leaf_tokens=leaf_tokens))
    return file


def rrm(threads: int, *arguments: str) -> Used:
    """Run a command of rrm in a process of its own; raise RuntimeError if it fails."""
    began = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    process = Popen([sys.executable, "-m", "rrm", *arguments], stdout=PIPE, env=environment, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"rrm {' '.join(arguments)} ended with exit {process.returncode}: {said[-500:]}")
    return Used(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20)


def sentences_of(folder: Path, encoder: FrozenEncoder) -> list[str]:
    """Return the distinct sentences of all that a run read and proposed, as they are encoded.

    Views that nobody rated are not on record; what they show is of the sources and of outputs.
    """
    with open_store(folder, "read") as record:
        texts = {each.text for kind in (Source, Output) for each in record.load(kind)}
        for view in record.load(View):
            texts |= {view.instruction, *(passage.text for passage in view.passages)}
    return sorted({unit for text in texts for unit in units(text, encoder.tokenizer)})


def sorted_batches(encoder: FrozenEncoder, texts: Sequence[str], size: int) -> None:
    """Encode as is usual: the texts by their length, so many at once, padded to the longest of them."""
    import torch

    backbone = encoder.backbone
    ids = sorted(encoder.tokenizer.encode_batch(list(texts)), key=len)
    for start in range(0, len(ids), size):
        batch = [each[: backbone.positions] for each in ids[start : start + size]]
        tokens = torch.zeros(len(batch), max(map(len, batch)), dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for row, piece in enumerate(batch):
            tokens[row, : len(piece)] = torch.tensor(piece)
            mask[row, : len(piece)] = 1
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=backbone.autocast):
            states = backbone.model(input_ids=tokens, attention_mask=mask).last_hidden_state
        ((states.float() * mask.unsqueeze(-1)).sum(dim=1)).numpy()


def ways_to_encode(dtype: str) -> dict[str, Callable[[Sequence[str]], object]]:
    """Return plain ways to encode texts on this processor, by name."""
    encoder = FrozenEncoder(device="cpu", dtype=dtype)
    ways: dict[str, Callable[[Sequence[str]], object]] = {}
    for size in (16, 64):
        ways[f"sorted, {size} at once"] = lambda texts, size=size: sorted_batches(encoder, texts, size)  # type: ignore[misc]
    for tokens in (512, 1024, 4096):
        by_length = FrozenEncoder(device="cpu", dtype=dtype, batch_tokens=tokens)
        ways[f"by length, {tokens} tokens at once"] = by_length.encode
    return ways


def processor_seconds(do: Callable[[], object]) -> float:
    began = time.process_time()
    do()
    return time.process_time() - began


def bound(texts: Sequence[str], dtype: str, threads: int) -> tuple[str, float]:
    """Return the fastest way to encode these texts, and the processor seconds that it takes for all of them."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    some = texts[:: max(1, len(texts) // TRIED)]
    ways = ways_to_encode(dtype)
    for encode in ways.values():  # so that none is measured with the loading of weights
        encode(some[:8])
    took = {name: processor_seconds(lambda encode=encode: encode(some)) for name, encode in ways.items()}  # type: ignore[misc]
    name = min(took, key=took.__getitem__)
    least = processor_seconds(lambda: ways[name](texts))
    torch.set_num_threads(before)
    return name, least


def measure_run(place: Path, words: int, dtype: str, threads: int) -> list[Row]:
    """Run, resume, and encode the run's sentences plainly."""
    out = place / f"run-{words}"
    command = ("run", str(run_file(place, words, dtype)), "--out", str(out))
    whole, again = rrm(threads, *command), rrm(threads, *command)
    encoder = FrozenEncoder(device="cpu", dtype=dtype)
    texts = sentences_of(out, encoder)
    way, least = bound(texts, dtype, threads)
    print(f"{words:,} words: {len(texts):,} distinct sentences, encoded fastest {way}", file=sys.stderr)
    large = words >= FROM_WORDS
    return [
        Row.of(f"{words}: whole run, seconds", whole.seconds),
        Row.of(f"{words}: whole run, processor seconds", whole.processor),
        Row.of(f"{words}: plain encoding, processor seconds", least),
        Row.of(f"{words}: run over encoding", whole.processor / least, LIMITS[encoder.precision] if large else None),
        Row.of(f"{words}: milliseconds a word", 1000 * whole.processor / words),
        Row.of(f"{words}: peak memory, GB", whole.memory, 1.2 if words == 1_000_000 else None),
        Row.of(f"{words}: record, MB", (out / "record.db").stat().st_size / 2**20),
        Row.of(f"{words}: resumed, processor seconds", again.processor, RESUME if words == FROM_WORDS else None),
        Row.of(f"{words}: resumed, peak memory, GB", again.memory),
    ]


@dataclass(eq=False)
class StoodIn(AtOnce):
    """A worker whose stand-ins answer at once; `seconds` is what they took of the processor."""

    answer: StandIns
    seconds: float = field(default=0.0, init=False)

    def compute(self, actions: Sequence[AnyAction]) -> list[Values | Exception]:
        began = time.thread_time()
        made: list[Values | Exception] = [self.answer(action) for action in actions]
        self.seconds += time.thread_time() - began
        return made


def measure_driver(place: Path, nodes: int) -> list[Row]:
    """Drive the recursion over a source of about so many nodes, and once more over its record."""
    leaf_tokens, words_a_leaf = 24, 18
    settings: RunFile = read_run_file(run_file(place, words_a_leaf * nodes * 5 // 6, "auto", leaf_tokens))
    parts = Parts(replace(settings, flat=False))
    decomposer = parts.decomposer
    assert isinstance(decomposer, Chunks)
    plan = recursion_of(parts)
    took = []
    for _ in ("driven", "resumed"):
        with open_store(place / f"driven-{nodes}") as record:
            worker = StoodIn(StandIns(plan, decomposer, USUAL))
            began = time.process_time()
            outcome = anyio.run(drive, recursion(plan), Local(worker), record)
            took.append(time.process_time() - began - worker.seconds)
    made = sum(len(tree.graph) for tree in outcome.forest.trees)
    driven, resumed = (1e6 * seconds / made for seconds in took)
    return [
        Row.of(f"{made} nodes: driver, microseconds a node", driven, DRIVER),
        Row.of(f"{made} nodes: resumed, microseconds a node", resumed),
    ]


def measure_workers(place: Path, words: int, dtype: str, threads: int, counts: Sequence[int]) -> list[Row]:
    """Run without workers and then with so many, for each count anew, and compare seconds and records."""
    file, rows = str(run_file(place, words, dtype)), []
    for count in counts:
        outs = {many: place / f"run-{words}-{count}-{many}" for many in (0, count)}
        used = {
            many: rrm(threads, "run", file, "--out", str(out), *_workers(many, threads)) for many, out in outs.items()
        }
        alone, shared = used[0], used[count]
        same = on_record(outs[0]) == on_record(outs[count])
        name = f"{words}: by {count} worker{'s' * (count > 1)}"
        rows += [
            Row.of(f"{name}, seconds", shared.seconds),
            Row.of(f"{name}, seconds over those without", shared.seconds / alone.seconds),
            Row.of(f"{name}, processor seconds over those without", shared.processor / alone.processor),
            replace(Row.of(f"{name}, the same record", float(same), 1), passed=same),
        ]
    return rows


def _workers(count: int, threads: int) -> list[str]:
    asked = f"engine.arguments={{ workers = [{{ cpus = {threads}, count = {count} }}] }}"
    return ["--set", asked] if count else []


def refuse_runs(place: Path) -> None:
    """End with a sentence where a folder holds runs, which would be resumed and not measured."""
    if found := sorted([*place.glob("run-*/"), *place.glob("driven-*/")]):
        raise SystemExit(f"{place} holds runs of before, such as {found[0].name}: name an empty folder, or remove them")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, nargs="*", default=[20_000, 200_000], help="words of the target")
    parser.add_argument("--nodes", type=int, nargs="*", default=[10_000], help="nodes that the driver is measured on")
    parser.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, nargs="+", help="measure runs by so many processes, and nothing else")
    parser.add_argument("--json", type=Path, help="where to write the rows")
    parser.add_argument("--dir", type=Path, help="where to leave the runs (default: a folder that is removed)")
    parser.add_argument("--quick", action="store_true", help="2,000 words and 1,000 nodes")
    options = parser.parse_args()
    words, nodes = ([2_000], [1_000]) if options.quick else (options.words, options.nodes)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        place = options.dir or Path(name)
        refuse_runs(place)
        load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        print(f"python {sys.version.split()[0]}, {load}, {options.threads} threads", file=sys.stderr)
        if options.workers:
            for many in words:
                rows += measure_workers(place, many, options.dtype, options.threads, options.workers)
        else:
            for many in nodes:
                rows += measure_driver(place, many)
            for many in words:
                rows += measure_run(place, many, options.dtype, options.threads)
    tell(rows, options.json)


if __name__ == "__main__":
    main()
