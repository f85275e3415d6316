"""Training reward models on rows of feedback, from options to plain results."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rrm.api.chat import ChatTemplate, chat_template
from rrm.api.scoring import (
    WORDS,
    Opening,
    comparisons,
    read,
    refuse_seen,
    report_on,
    tokenizer_folder,
)
from rrm.api.terminal import Notes, bar, is_main
from rrm.backbone.encoder import CachedEncoder, FrozenEncoder
from rrm.backbone.load import find_checkpoint, is_decoder
from rrm.core.errors import ConfigError
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.report import RewardReport
from rrm.core.values import Rated
from rrm.evaluate.baselines import BagOfWords
from rrm.files import durable, read_json
from rrm.interchange.joins import Columns
from rrm.interchange.notes import refuse_guesses
from rrm.interchange.preferences import Reading
from rrm.interchange.rows import Given, name_of
from rrm.reward.committee import MEMBERS, Committee
from rrm.reward.open import Kind, encoder_of, kind_of
from rrm.reward.windows import Long

Tune = Literal["frozen", "lora", "full"]
Found = dict[str, Any]
_ONLY_JOINT = ("epochs", "learning_rate", "max_length", "long_sources", "batch_tokens", "independent")
_HEADS, _APART = 24, 5
_ASKED = "asked.json"
_CALLED: dict[Kind, str] = {
    "frozen": "a model on a frozen backbone",
    "joint": "a joint model",
    "independent": "members that were trained apart",
    "adapted": "adapters of a run's model",
    "foreign": "a checkpoint that rrm did not write",
}


@dataclass(frozen=True)
class TrainOptions:
    """What `rrm train-reward` was asked to do; None where the default holds."""

    data: Given
    model: str
    output: Path
    eval_data: Given | None = None
    tune: Tune | None = None
    level: int | None = None
    init: Path | None = None
    ensemble: int | None = None
    independent: bool | None = None
    max_length: int | None = None
    long_sources: Long | None = None
    batch_tokens: int | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    seed: int = 0
    device: str = "auto"
    dtype: str = "auto"
    columns: Columns = field(default_factory=Columns)
    strict: bool = False


class Done(NamedTuple):
    """What there is to say of a training, as plain values, and the report on rows about other sources."""

    found: Found
    report: RewardReport | None


def train_reward(options: TrainOptions, tell: Notes) -> Done:
    """Train a reward model on a file of feedback and save it with its bag of words.

    Called again after it was killed it goes on. Raises InputError for rows that nothing can be learned
    from, for options that contradict each other or would do nothing, and where `output` holds something else.
    """
    began = time.perf_counter()
    tune = _tune(options)
    _check(options, tune)
    render = chat_template(_start_folder(options))
    reading = read(options.data, render, tell, options.level, options.columns, options.strict)
    held_out = _held_out(options, reading, render, tell)
    level, on_level = _level(options, reading)
    for note in on_level:
        tell(f"{name_of(options.data)}: {note}")
    (options.output / WORDS).unlink(missing_ok=True)  # of another training, if there was one
    found = _frozen(options, reading, level, tell) if tune == "frozen" else _joint(options, reading, level)
    report = None
    if is_main():
        words = BagOfWords.fit(reading.rated, seed=options.seed)
        durable(options.output / WORDS, json.dumps(words.to_json() if words else None).encode())
        if held_out is not None:
            model = Opening(options.output, options.device, options.dtype).model()
            report = report_on(model, options.output, held_out, tell)
    first = {"output": str(options.output), "tune": tune, "level": level}
    last = {"notes": [*reading.notes, *on_level], "eval": report.to_json() if report else None}
    return Done(first | found | last | {"seconds": round(time.perf_counter() - began, 1)}, report)


# ---- what is asked, and whether it can be done ----


def _tune(options: TrainOptions) -> Tune:
    """Return what is to learn: by default the heads of an encoder, all weights of a decoder."""
    return options.tune or ("full" if is_decoder(find_checkpoint(options.model)) else "frozen")


def _check(options: TrainOptions, tune: Tune) -> None:
    """Refuse, before anything is read, what would do nothing or would harm other models."""
    idle = [name for name in _ONLY_JOINT if tune == "frozen" and getattr(options, name) is not None]
    if idle:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in idle)
        raise ConfigError(f"{flags} would do nothing with a frozen backbone: leave it out, or --tune lora or full")
    if tune == "frozen" and is_decoder(find_checkpoint(options.model)):
        raise ConfigError(
            f"--model {options.model} is a causal language model, which makes poor sentence vectors: name an encoder"
            " such as minilm, or --tune lora or full"
        )
    if tune == "frozen" and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("a frozen backbone is fitted by one process: run it without accelerate launch")
    if options.output.exists() and not options.output.is_dir():
        raise ConfigError(f"--output {options.output} is a file: name a folder")
    begun = [Path(options.model), *([options.init] if options.init else [])]
    if options.output.resolve() in [each.resolve() for each in begun]:
        raise ConfigError(f"--output {options.output} holds what the training starts from: name another folder")
    kind: Kind = "frozen" if tune == "frozen" else "independent" if options.independent else "joint"
    if (there := kind_of(options.output)) not in (None, kind):
        raise ConfigError(f"--output {options.output} holds {_CALLED[there]}: name another folder")
    _check_init(options, kind)


def _check_init(options: TrainOptions, kind: Kind) -> None:
    if options.init is None:
        return
    there = kind_of(options.init)
    if there is None:
        raise ConfigError(f"--init {options.init}: there is no reward model in it")
    if (there == "frozen") != (kind == "frozen") or (there == "independent" and kind != "independent"):
        raise ConfigError(f"--init {options.init} holds {_CALLED[there]}: {_CALLED[kind]} cannot start from it")


def _start_folder(options: TrainOptions) -> Path:
    """Return the folder of the tokenizer that will read the texts."""
    return tokenizer_folder(options.init) if options.init else find_checkpoint(options.model).folder


def _held_out(options: TrainOptions, reading: Reading, render: ChatTemplate | None, tell: Notes) -> list[Rated] | None:
    """Return the comparisons to evaluate on; raise InputError, before anything is trained, for sources seen."""
    if options.eval_data is None:
        return None
    rated = read(options.eval_data, render, tell, None, options.columns, options.strict).rated
    seen = {row.request.source for row in reading.rated} | (_seen(options.init) if options.init else set())
    refuse_seen(options.eval_data, rated, seen)
    return comparisons(options.eval_data, rated)


def _seen(folder: Path) -> set[str]:
    """Return the sources that a saved model was trained on."""
    files = [*folder.glob("model.json"), *folder.glob("rrm.json"), *folder.glob("member-*/rrm.json")]
    return {source for file in files for source in read_json(file).get("seen", ())}


def _level(options: TrainOptions, reading: Reading) -> tuple[int, list[str]]:
    """Return the level of the model, as asked or the highest that rows are about, and a note where there are several.

    With `strict` raises InputError for several.
    """
    if options.level is not None:
        return options.level, []
    levels = sorted({row.request.place.level for row in reading.rated})
    if len(levels) > 1:
        named = ", ".join(map(str, levels))
        note = f"rows are about levels {named}, and one model is trained on all; --level takes one"
        refuse_guesses(name_of(options.data), [note], options.strict)
        return levels[-1], [note]
    return levels[-1], []


def _sources(reading: Reading) -> int:
    return len({row.request.source for row in reading.rated})


# ---- heads on a frozen backbone ----


def _frozen(options: TrainOptions, reading: Reading, level: int, tell: Notes) -> Found:
    from rrm.reward.fit import FitConfig, fit
    from rrm.reward.model import LevelModel

    place = Path(options.model).expanduser()
    name = str(place.resolve()) if place.is_dir() else options.model
    with bar("encoding", "tokens") as progress:
        dtype = encoder_of(options.init)[1] if options.init and options.dtype == "auto" else options.dtype
        encoder = CachedEncoder(FrozenEncoder(name, options.device, dtype, progress=progress))
        below = LevelModel.load(options.init, encoder) if options.init else None
        members = options.ensemble or (below.members if below else _HEADS)
        config = FitConfig(members=members, folds=min(FitConfig.folds, members))
        model = fit(reading.rated, encoder, config, options.seed, below, Place(level=level))
    if model.shrinkage:
        tell(f"{model.shrinkage.own:.0%} learned from {model.ratings:,} judgements, the rest drawn to {options.init}")
    digest = model.save(options.output)
    counts = {"members": model.members, "n_train": model.ratings, "unused": model.unused, "sources": _sources(reading)}
    return counts | {"updates": None, "held": None, "digest": digest, "exports": None}


# ---- a backbone that learns ----


def _joint(options: TrainOptions, reading: Reading, level: int) -> Found:
    if not options.independent:
        start = str(options.init or options.model)
        count = options.ensemble or _init_members(options.init) or _HEADS
        return _train_one(options, reading, level, options.output, start, count, options.seed, "training")
    return _apart(options, reading, level)


def _init_members(init: Path | None) -> int | None:
    found = read_json(init / "rrm.json").get("members") if init and kind_of(init) == "joint" else None
    return found if isinstance(found, int) else None


def _apart(options: TrainOptions, reading: Reading, level: int) -> Found:
    """Train members one after the other, each in a folder of its own; those that are there already stay."""
    count = options.ensemble or _APART
    if is_main():
        (options.output / MEMBERS).unlink(missing_ok=True)
    found = []
    for member in range(count):
        folder = Committee.folder(options.output, member)
        start, seed = _start_of(options, member), options.seed + member
        asked = _asked(options, reading, level, start, seed)
        done = _done(folder, asked)
        if done is None:
            what = f"training member {member + 1} of {count}"
            done = _train_one(options, reading, level, folder, start, 1, seed, what)
            if is_main():
                durable(folder / _ASKED, json.dumps({"asked": asked, "found": done}).encode())
        found.append(done)
    if is_main():
        Committee.found(options.output, count)
    digest = content_id("committee", [each["digest"] for each in found])
    joined = {"members": count, "updates": sum(each["updates"] for each in found), "digest": digest}
    return found[0] | joined | {"held": [each["held"] for each in found], "exports": str(options.output / "member-*")}


def _start_of(options: TrainOptions, member: int) -> str:
    if options.init is None:
        return options.model
    if kind_of(options.init) != "independent":
        return str(options.init)
    folder = Committee.folder(options.init, member)
    if not folder.is_dir():
        raise ConfigError(f"--init {options.init} has no member {member + 1}: ask for no more with --ensemble")
    return str(folder)


def _asked(options: TrainOptions, reading: Reading, level: int, start: str, seed: int) -> str:
    """Return what tells one training of a member from another."""
    rows = [[row.request.id, row.request.source, row.feedback.id, row.feedback.confidence] for row in reading.rated]
    names = ("tune", "max_length", "long_sources", "epochs", "learning_rate", "dtype")
    return content_id("asked", rows, level, find_checkpoint(start).digest, seed, [getattr(options, n) for n in names])


def _done(folder: Path, asked: str) -> Found | None:
    """Return what a member's finished training found, if it was asked the same; None where it must be trained."""
    if not (folder / _ASKED).is_file() or kind_of(folder) != "joint":
        return None
    known = read_json(folder / _ASKED)
    return dict(known["found"]) if known.get("asked") == asked else None


def _train_one(
    options: TrainOptions, reading: Reading, level: int, folder: Path, start: str, members: int, seed: int, what: str
) -> Found:
    from rrm.reward.joint_model import Reading as TextReading
    from rrm.reward.train import refuse_ties, train
    from rrm.reward.train_config import TrainConfig
    from rrm.reward.train_log import Events

    given: dict[str, Any] = {"epochs": options.epochs, "learning_rate": options.learning_rate, "members": members}
    given |= {"tune": "lora" if options.tune == "lora" else "full"}
    given["batch_tokens"] = options.batch_tokens
    refuse_ties(reading.rated, "the training data")
    config = TrainConfig(**{name: value for name, value in given.items() if value is not None})
    texts = TextReading(max_length=options.max_length, long_sources=options.long_sources or "refuse")
    folder.mkdir(parents=True, exist_ok=True)
    with bar(what) as progress, _boards(folder) as log:
        events = Events(progress, log)
        trained = train(
            reading.rated, start, folder, config, seed, texts, Place(level=level), options.device, options.dtype, events
        )  # fmt: skip
    counts = {"members": members, "n_train": trained.model.ratings, "unused": len(reading.rated) - trained.judged}
    held = trained.held._asdict() if trained.held else None
    counts |= {"sources": _sources(reading), "updates": len(trained.log)}
    return counts | {"held": held, "digest": trained.digest, "exports": str(folder)}


@contextmanager
def _boards(folder: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Write a training's log to TensorBoard, where that is installed; what is trained anew replaces what was."""
    if not is_main() or find_spec("tensorboard") is None:
        yield lambda line: None
        return
    from torch.utils.tensorboard import SummaryWriter

    writer: Any = None

    def write(line: Mapping[str, Any]) -> None:
        nonlocal writer
        writer = writer or SummaryWriter(str(folder / "tensorboard"), purge_step=line["step"])
        for name in line.keys() - {"step"}:
            if line[name] is not None:
                writer.add_scalar(name, line[name], line["step"])

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()
