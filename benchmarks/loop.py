"""What fine-tuned reward models cost within a run, beside the same work alone: scoring, fitting, cross-fitting.

The backbone is a decoder of random weights, so figures are of speed and of tokens only. Ways take turns; a ratio is the
median of the rounds' own ratios, of tokens a processor second: those are a way's own, and what else the machine does is
not in them. Tokens are counted in the model: what its embedding was given, so a source that all outputs of a view share
counts once.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypeVar

import anyio
import numpy as np
import torch
from torch import nn

from rrm.api.front import demo_file
from rrm.api.wiring import Parts
from rrm.api.worker import RunWorker
from rrm.backbone.layout import pack, packed_tokens
from rrm.backbone.load import precision_name, quiet, resolve
from rrm.backbone.offline import tiny_path
from rrm.core.place import Place
from rrm.core.protocols import Start, Workspace
from rrm.core.roles import Ratings, Train
from rrm.core.values import Comparison, Feedback, Fitted, Group, Passage, Rated, Request, Shown, View
from rrm.engines.here import InThread
from rrm.pipeline.driver import Executors, drive
from rrm.pipeline.plan import Action, AnyResults, AnyStage, Stage
from rrm.pipeline.stages import FitJob, ScoreJob
from rrm.reward.adapted import AdaptedModel
from rrm.reward.joint_model import ROW_TOKENS
from rrm.reward.train import train
from rrm.reward.tuned import Tuned
from rrm.store import open_store

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """How much is measured: hidden size and layers, nodes scored and fitted on, tokens, epochs, rounds."""

    hidden: int
    layers: int
    nodes: int
    fitted: int
    source: int
    output: int
    times: int
    outputs: int = 4
    epochs: int = 2


FULL = Plan(hidden=256, layers=4, nodes=100, fitted=16, source=512, output=64, times=5)
QUICK = Plan(hidden=128, layers=2, nodes=24, fitted=12, source=256, output=32, times=3)


# ---- what is read: a backbone, texts of so many tokens, judgements ----


def backbone(plan: Plan, folder: Path) -> str:
    """Write a decoder of random weights with the tokenizer of `tiny`; return its folder."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(str(tiny_path()))
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=plan.hidden, intermediate_size=3 * plan.hidden,
            num_hidden_layers=plan.layers, num_attention_heads=plan.hidden // 64, max_position_embeddings=4096,
            pad_token_id=0, bos_token_id=1, eos_token_id=2, tie_word_embeddings=True,
        )  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(str(folder))
        tokenizer.save_pretrained(str(folder))
    return str(folder)


class Texts:
    """Random prose of a number of tokens, by a seed."""

    def __init__(self, folder: str, seed: int) -> None:
        from pydoc_data.topics import topics

        from transformers import AutoTokenizer

        self._words = sorted({word for text in topics.values() for word in text.split() if word.isalpha()})
        self._random = np.random.default_rng(seed)
        self._backend = AutoTokenizer.from_pretrained(folder).backend_tokenizer

    def of(self, tokens: int) -> str:
        text = " " + " ".join(self._random.choice(self._words, tokens))
        return text[: self._backend.encode(text, add_special_tokens=False).offsets[tokens - 1][1]]

    def groups(self, plan: Plan, count: int, name: str) -> list[Group]:
        """Return views with their outputs, each of a source of its own."""
        return [
            Group(
                f"{name}-{number}",
                Place(),
                View("", (Passage(self.of(plan.source)),), plan.output),
                tuple(self.of(plan.output) for _ in range(plan.outputs)),
            )
            for number in range(count)
        ]


def judged(groups: Sequence[Group]) -> list[Rated]:
    """Return three comparisons of each group: its first output with every other one."""
    rows = []
    for number, group in enumerate(groups):
        for other in range(1, len(group.outputs)):
            shown = (Shown("0", group.outputs[0]), Shown(str(other), group.outputs[other]))
            request = Request(f"n-{group.source}", group.source, group.place, "comparison", group.view, shown)
            rows.append(Rated(request, Feedback(request.id, "r", Comparison((number + other) % 2))))
    return rows


# ---- what is counted ----


class Counts:
    """Tokens that models were given, with gradients and without."""

    trained = 0
    scored = 0


@contextmanager
def counted() -> Iterator[Counts]:
    """Count the tokens that every model's embedding is given."""
    counts = Counts()

    def count(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if isinstance(module, nn.Embedding):
            if torch.is_grad_enabled():
                counts.trained += arguments[0].numel()
            else:
                counts.scored += arguments[0].numel()

    handle = nn.modules.module.register_module_forward_pre_hook(count)
    try:
        yield counts
    finally:
        handle.remove()


class Seconds(NamedTuple):
    """What passed, and what processors worked, in all threads of this process."""

    passed: float
    worked: float

    @classmethod
    def now(cls) -> "Seconds":
        return cls(time.perf_counter(), time.process_time())

    def since(self) -> "Seconds":
        now = Seconds.now()
        return Seconds(now.passed - self.passed, now.worked - self.worked)


class Took(NamedTuple):
    """Seconds, and the tokens forwarded in them."""

    seconds: Seconds
    trained: int
    scored: int

    @property
    def speed(self) -> float:
        """Tokens a processor second; one that is trained counts three times, for its way back."""
        return (3 * self.trained + self.scored) / self.seconds.worked


def measured(work: Callable[[], T]) -> tuple[Took, T]:
    """Return what some work took, and what it made."""
    with counted() as counts:
        began = Seconds.now()
        made = work()
        return Took(began.since(), counts.trained, counts.scored), made


# ---- the loop ----


def worker_of(plugin: str, settings: dict[str, Any], folder: Path) -> RunWorker:
    """Return the worker of a run with a learner, as the engine opens it."""
    run = demo_file(0, "joint", "tiny")
    reward = replace(run.reward, plugin=plugin, arguments=settings, device="cpu")
    folder.mkdir(parents=True, exist_ok=True)
    return RunWorker(Parts(replace(run, reward=reward)), folder)


def through_the_loop(worker: RunWorker, step: str, jobs: Sequence[Any]) -> tuple[Took, list[Any]]:
    """Carry out jobs as a run does: batches by the engine, results in a record; return what it took, and values.

    A run opens its record once, so that is not counted.
    """
    actions = {f"{step}-{number}": job for number, job in enumerate(jobs)}

    def process() -> Iterator[AnyStage]:
        def make(slot: str, _: object) -> Action[Any]:
            return Action(slot, step, slot, Place(), actions[slot])

        results: AnyResults = yield Stage(step, Place(), tuple(actions), make)  # type: ignore[assignment]
        return [value for done in results.values() for value in done.values]  # type: ignore[return-value]

    folder = Path(tempfile.mkdtemp(dir=worker.folder))
    with open_store(folder) as store:
        engine = Executors({step: InThread(worker)})
        return measured(lambda: anyio.run(drive, process(), engine, store))


def fit_job(rows: Sequence[Rated]) -> FitJob:
    return FitJob(Place(), False, Train, tuple(rows), seed=0)


def score_jobs(groups: Sequence[Group], fitted: Fitted) -> list[ScoreJob]:
    return [
        ScoreJob(group, tuple((f"{group.source}/{at}",) for at in range(len(group.outputs))), fitted)
        for group in groups
    ]


def plain_forward(model: AdaptedModel, groups: Sequence[Group]) -> None:
    """Score groups as few lines would: tokenise, pack groups in order into rows, and call the net."""
    tokens = [
        [each for (each,) in model.joint.windows([(group.view, text) for text in group.outputs])] for group in groups
    ]
    with model.trunk.wearing(model), torch.inference_mode():
        row: list[Any] = []
        for group in [*tokens, None]:
            if row and (group is None or sum(map(packed_tokens, [*row, group])) > ROW_TOKENS):
                model.trunk.net(pack(row)).double().numpy()
                row = []
            if group is not None:
                row.append(group)


# ---- what is compared ----


def interleaved(ways: dict[str, Callable[[], Took]], times: int) -> dict[str, list[Took]]:
    """Time every way so many times, in turns."""
    taken: dict[str, list[Took]] = {way: [] for way in ways}
    for turn in range(times):
        for way in ways if turn % 2 == 0 else reversed(ways):
            taken[way].append(ways[way]())
    return taken


def table(taken: dict[str, list[Took]], base: str) -> None:
    """Print each way's seconds and speed, and its speed in those of the base."""
    columns = "processor seconds, median (least to most) | seconds | tokens trained | scored"
    print(f"| way | {columns} | thousand tokens a processor second | ratio |")
    print("|---|---|---|---|---|---|---|")
    for way, rows in taken.items():
        worked = [each.seconds.worked for each in rows]
        spread = f"{median(worked):.2f} ({min(worked):.2f} to {max(worked):.2f})"
        passed = f"{median(each.seconds.passed for each in rows):.2f}"
        ratio = median(mine.speed / theirs.speed for mine, theirs in zip(rows, taken[base], strict=True))
        speed = median(each.speed for each in rows) / 1000
        cells = [way, spread, passed, f"{rows[0].trained:,}", f"{rows[0].scored:,}", f"{speed:.2f}", f"{ratio:.2f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


def scoring(plan: Plan, folder: Path, settings: dict[str, Any]) -> dict[str, list[Took]]:
    texts = Texts(settings["backbone"], 1)
    worker = worker_of("rrm.reward.tuned:Tuned", settings, folder / "scoring")
    _, (fitted,) = through_the_loop(worker, "fit", [fit_job(judged(texts.groups(plan, 4, "few")))])
    model = worker.models.load(fitted)
    assert isinstance(model, AdaptedModel)
    groups = texts.groups(plan, plan.nodes, "scored")
    level = f"{plan.nodes} nodes x {plan.outputs} outputs of {plan.output} tokens, sources of {plan.source}"
    print(f"\n### Scoring a level: {level}\n")
    jobs = score_jobs(groups, fitted)

    def within() -> Took:
        opened = worker_of("rrm.reward.tuned:Tuned", settings, folder / "scoring")
        opened.models.load(fitted)  # another copy, which remembers nothing
        return through_the_loop(opened, "score", jobs)[0]

    ways: dict[str, Callable[[], Took]] = {
        "plain batched forward": lambda: measured(lambda: plain_forward(model, groups))[0],
        "through the loop": within,
    }
    taken = interleaved(ways, plan.times)
    table(taken, "plain batched forward")
    return taken


def fitting(plan: Plan, folder: Path, settings: dict[str, Any]) -> dict[str, list[Took]]:
    rows = judged(Texts(settings["backbone"], 2).groups(plan, plan.fitted, "fitted"))
    work = folder / "fitting"
    learner = Tuned(**settings)

    def alone() -> Took:
        shutil.rmtree(work / "alone", ignore_errors=True)
        name = settings["backbone"]
        return measured(lambda: train(rows, name, work / "alone", learner.config, 0, learner.reading, device="cpu"))[0]

    def within(plugin: str, name: str) -> Callable[[], Took]:
        def fit() -> Took:
            shutil.rmtree(work / name, ignore_errors=True)
            return through_the_loop(worker_of(plugin, settings, work / name), "fit", [fit_job(rows)])[0]

        return fit

    print(f"\n### Fitting a level: {len(rows)} comparisons on {plan.fitted} sources, {plan.epochs} epochs\n")
    ways: dict[str, Callable[[], Took]] = {
        "rrm.reward.train alone": alone,
        "through the loop, one model": within("rrm.reward.tuned:Tuned", "tuned"),
        "through the loop, cross-fitted": within("rrm.reward.joint:Joint", "joint"),
    }
    taken = interleaved(ways, plan.times)
    table(taken, "rrm.reward.train alone")
    return taken


def cross_fitting(plan: Plan, folder: Path, settings: dict[str, Any]) -> dict[str, float]:
    """Print and return how many tokens cross-fitting takes, in those of one model."""
    from rrm.reward.joint import Joint

    texts = Texts(settings["backbone"], 3)
    seen, new = texts.groups(plan, plan.fitted, "seen"), texts.groups(plan, plan.fitted, "new")
    ratings = Ratings(Train, tuple(judged(seen)))
    one, several = Tuned(**settings), Joint(**settings)
    with counted() as alone:
        single = one.fit(ratings, Start(), Place(), 0, Workspace(folder / "one"))
    with counted() as crossed:
        model = several.fit(ratings, Start(), Place(), 0, Workspace(folder / "several"))
    for name, made in (("one", single), ("several", model)):
        made.save(folder / f"saved-{name}")
    single, model = one.load(folder / "saved-one"), several.load(folder / "saved-several")  # which remember nothing
    print("\n### Cross-fitting with two folds: tokens, in those of one model\n")
    ratios = {"training": crossed.trained / alone.trained}
    print(f"training: {crossed.trained:,} of {alone.trained:,}, {ratios['training']:.2f} (aim: 1.1 at most)")
    print(f"held-out predictions while fitting: {crossed.scored:,}")
    for name, groups, aim in (("training sources", seen, 1.1), ("targets", new, 2.2)):
        with counted() as base:
            single.predict(groups)
        with counted() as found:
            model.predict(groups)
        ratios[name] = found.scored / base.scored
        print(f"scoring {name}: {found.scored:,} of {base.scored:,}, {ratios[name]:.2f} (aim: {aim} at most)")
    return ratios


PARTS: dict[str, Callable[[Plan, Path, dict[str, Any]], object]] = {
    "scoring": scoring, "fitting": fitting, "cross-fitting": cross_fitting,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, three rounds")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part (may be given several times)")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings: dict[str, Any] = {"backbone": backbone(plan, folder / "backbone"), "epochs": plan.epochs}
        precision = precision_name(resolve("cpu", "auto")[1])
        print(
            f"python {sys.version.split()[0]}, torch {torch.__version__}, {os.cpu_count()} cores, {precision};"
            f" hidden {plan.hidden}, {plan.layers} layers, LoRA; {plan.times} rounds in turns"
        )
        for part in options.only or PARTS:
            PARTS[part](plan, folder, settings)


if __name__ == "__main__":
    main()
