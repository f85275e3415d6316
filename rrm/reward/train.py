"""Training a joint reward model: one flat loop over updates planned beforehand, resumable at any of them.

Likelihoods of all kinds of feedback multiply, as everywhere (`rrm.feedback.likelihood`). Every update reads
some blocks: the outputs of a view, each once, behind their source, which decoders read once for all.
Left out of the usual recipes on purpose: dropout, which outputs of one source would have to share.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from math import cos, pi
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from rrm.backbone.classifier import load_classifier
from rrm.backbone.load import precision_name
from rrm.core.errors import InputError
from rrm.core.ids import content_id, generator, seed_for
from rrm.core.place import Place
from rrm.core.values import Rated
from rrm.feedback.judgements import Judgements, tabulate
from rrm.feedback.likelihood import log_likelihood
from rrm.feedback.scales import Scales
from rrm.files import durable, sync_folder
from rrm.reward.batches import Batch, Block, Sizes, Table, updates
from rrm.reward.calibrate import IDENTITY, Calibration, HeldLogits, calibrate
from rrm.reward.joint import JointModel, JointNet, Reading, read_facts

STATE, LOG = "state", "log.jsonl"
SLOPE_SD = 3.0
"""Of the slope's logarithm a priori: rewards of a training that was stopped early may be many times too small."""


@dataclass(frozen=True)
class TrainConfig:
    """How a joint reward model is trained.

    `tune` says what learns beside the head: all weights, or low-rank adapters of `lora_rank` that
    are merged in the end. `members` heads weigh sources by a Bayesian bootstrap (one head: none).
    `learning_rate` (None: 5e-5 for all weights, 2e-4 for adapters) rises over the first `warmup`
    share of the updates and falls as a cosine to zero; the head's is `head_rate` times as large. An
    update reads at least `rows_per_update` rows of feedback. `validation` is the share of sources that are
    held back to stop early after `patience` epochs without gain, and to fit the temperature.
    `save_every` counts updates between states from which a killed training goes on; 0 keeps none.
    """

    tune: Literal["lora", "full"] = "full"
    members: int = 24
    epochs: int = 3
    learning_rate: float | None = None
    head_rate: float = 10.0
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0
    rows_per_update: int = 32
    sizes: Sizes = field(default_factory=Sizes)
    validation: float = 0.1
    patience: int = 2
    lora_rank: int = 16
    reliability: bool = True
    checkpointing: bool = False
    save_every: int = 50

    def __post_init__(self) -> None:
        if self.tune not in ("lora", "full"):
            raise InputError(f"a joint model tunes lora or full, got {self.tune!r}")
        if min(self.members, self.epochs, self.rows_per_update, self.patience, self.lora_rank) < 1:
            raise InputError("members, epochs, rows_per_update, patience and lora_rank are at least 1")
        if not 0 <= self.validation < 1 or not 0 <= self.warmup < 1 or self.save_every < 0:
            raise InputError("validation and warmup lie from 0 up to, not including, 1; save_every is 0 or more")
        if self.learning_rate is not None and not 0 < self.learning_rate < float("inf"):
            raise InputError(f"the learning rate is a number above 0, got {self.learning_rate}")

    @property
    def rate(self) -> float:
        return self.learning_rate or (5e-5 if self.tune == "full" else 2e-4)


class Held(NamedTuple):
    """What the validation rows say of a model: mean loss of a judgement in nats, and share of pairs predicted."""

    loss: float
    accuracy: float | None


@dataclass(frozen=True)
class Events:
    """Whom to tell: of each update done, of how many; and of each line of the log, as plain values."""

    progress: Callable[[int, int], None] = lambda done, total: None
    log: Callable[[Mapping[str, Any]], None] = lambda line: None


class Trained(NamedTuple):
    """A model and its digest, what the validation rows say (None: nothing was held back), its log.

    `judged` counts the rows of feedback that said something about rewards.
    """

    model: JointModel
    digest: str
    judged: int
    held: Held | None
    log: list[dict[str, Any]]


class Read(NamedTuple):
    """What one pass says: the weighted sum of negative log-likelihoods, and that of the prior, in nats; rewards
    [members, items], log-likelihoods [members, rows], and the anchor [members].
    """

    loss: Tensor
    prior: Tensor
    rewards: Tensor
    likelihood: Tensor
    anchor: Tensor


class Objective(nn.Module):
    """Net and scales together, so that whoever shards or replicates them sees every use of a weight."""

    def __init__(self, net: JointNet, scales: Scales) -> None:
        super().__init__()
        self.net, self.scales = net, scales
        self._no_split_modules = getattr(net.model, "_no_split_modules", None)  # by which accelerate shards layers

    def forward(self, found: Batch) -> Read:
        rewards = self.net(found.inputs)[:, found.place]
        likelihood = log_likelihood(rewards, found.judgements, self.scales)
        loss = -(found.weights * likelihood).sum()
        return Read(loss, -self.scales.log_prior().mean(), rewards, likelihood, self.scales.anchor())


def train(
    rated: Sequence[Rated],
    name: str,
    folder: str | Path,
    config: TrainConfig,
    seed: int,
    reading: Reading | None = None,
    place: Place | None = None,
    device: str = "auto",
    dtype: str = "auto",
    events: Events | None = None,
) -> Trained:
    """Train on feedback, starting from a backbone or an earlier model, and save to `folder`.

    `name` is `minilm`, a folder or a Hugging Face name. A training that was killed goes on from its last
    state when it is called again with equal arguments, and loses the same as one never killed. Under
    `accelerate launch` the work is shared among processes. Raises InputError where there is nothing to learn
    from, LimitError for texts that are too long, and InputError if `folder` holds the state of another training,
    or of this one in another precision.
    """
    events = events or Events()
    judgements = tabulate(rated)
    _check(judgements)
    accelerator = _accelerator(device)
    model = _start(name, config, seed, reading or Reading(), place or Place(), str(accelerator.device), dtype)
    table = _table(judgements, model, config, seed, accelerator.device)
    unmerge = _prepare(model.net, config)
    learn, hold = split(judgements, config.validation, seed)
    scales = Scales(judgements, config.members, config.reliability, dtype=torch.float32).to(accelerator.device)
    objective = Objective(model.net, scales)
    optimiser = torch.optim.AdamW(_rates(objective, config), weight_decay=config.weight_decay)
    objective, optimiser = accelerator.prepare(objective, optimiser)
    about = content_id("train", asdict(config), seed, name, asdict(model.reading), _digest(rated))
    state = _State(Path(folder), about, precision_name(model.net.autocast), accelerator)
    at = _descend(objective, optimiser, accelerator, table, learn, hold, config, seed, state, events)
    held = _held(objective, table, hold)
    calibration = _calibration(objective, table, hold)
    objective, unmerge = _whole(accelerator.unwrap_model(objective), unmerge, judgements, name, config)
    unmerge()
    model = replace(model, net=objective.net, classifier=replace(model.classifier, model=objective.net.model))
    final = _finished(model, objective.scales, judgements, len(learn), calibration)
    final = replace(final, settings={**final.settings, **asdict(config)} | {"seed": seed, "backbone": name})
    digest = ""
    if accelerator.is_main_process:
        digest = final.save(folder)
        state.finish(at)
    accelerator.wait_for_everyone()
    return Trained(final, digest, judgements.rows, held, at.log)


def _descend(
    objective: Any,
    optimiser: Any,
    accelerator: Any,
    table: Table,
    learn: np.ndarray,
    hold: np.ndarray,
    config: TrainConfig,
    seed: int,
    state: "_State",
    events: Events,
) -> "_At":
    """Go down the loss, from where the state says, until the plan ends or patience does; leave the best weights."""
    epochs = [
        updates(table.blocks(learn, seed_for(seed, epoch)), config.rows_per_update) for epoch in range(config.epochs)
    ]
    ends = np.cumsum([len(epoch) for epoch in epochs])
    every = [update for epoch in epochs for update in epoch]
    at = state.load(objective, optimiser, accelerator)
    for step, update in islice(enumerate(every), at.step, None):
        objective.train()
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * _schedule(step, len(every), config.warmup)
        loss = _update(objective, optimiser, accelerator, table, update, len(learn), config.clip)
        rows = sum(map(len, update))
        line = {"step": step + 1, "loss": loss / rows, "rows": rows, "learning_rate": optimiser.param_groups[0]["lr"]}
        if step + 1 in ends:
            held = _held(objective, table, hold)
            line |= {"epoch": int((ends <= step + 1).sum())}
            line |= {"held_loss": held.loss, "held_accuracy": held.accuracy} if held else {}
            state.compare(at, held, objective)
        at.step = step + 1
        state.write(at, line)
        done = at.waited >= config.patience
        if config.save_every and (done or at.step % config.save_every == 0):
            state.save(at, objective, optimiser, accelerator)
        events.log(line)
        events.progress(at.step, len(every))
        if done:
            break
    state.restore_best(objective)
    return at


def _start(
    name: str, config: TrainConfig, seed: int, reading: Reading, place: Place, device: str, dtype: str
) -> JointModel:
    """Return the model to train: a backbone with new heads, or an earlier model, whose sources stay seen."""
    before = read_facts(Path(name)) if Path(name).is_dir() else None
    classifier = load_classifier(name, config.members, device, dtype, seed=seed)
    if (reading.max_length or 0) > classifier.positions:
        raise InputError(
            f"max_length is {reading.max_length}, but {name!r} reads at most {classifier.positions} tokens"
        )
    return JointModel(JointNet(classifier), classifier, reading, place, seen=tuple(before["seen"]) if before else ())


def _table(judgements: Judgements, model: JointModel, config: TrainConfig, seed: int, device: torch.device) -> Table:
    tokens = model.tokens([(item.view, item.text) for item in judgements.items])
    weights = member_weights(judgements.sources, config.members, seed)
    return Table(judgements, tokens, weights, model.classifier, config.sizes, device)


def _finished(
    model: JointModel, scales: Scales, judgements: Judgements, learned: int, calibration: Calibration
) -> JointModel:
    """Return the model with its heads calibrated, and with all that is known of it."""
    with torch.no_grad():
        for each in model.net.head.parameters():
            each.mul_(calibration.slope)
        anchor = (
            calibration.slope * float(scales.anchor().mean()) + calibration.intercept if judgements.anchors else 0.0
        )
    return replace(
        model,
        anchor=anchor,
        anchored=judgements.anchors,
        seen=tuple(sorted({*model.seen, *(judgements.sources[place] for place in judgements.row_source)})),
        ratings=learned,
        settings={"slope": calibration.slope, "raters": [each._asdict() for each in scales.raters()]},
    )


# ---- what to learn from, and in which order ----


def split(judgements: Judgements, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to learn from and those held back: a share of the sources, in a seeded order.

    At least one source is held back where there are two, none with a share of 0 or a single source.
    """
    named = sorted({judgements.sources[place] for place in judgements.row_source})
    count = min(len(named) - 1, max(1, round(share * len(named)))) if share else 0
    order = sorted(named, key=lambda source: (seed_for(seed, "held back", source), source))
    held = np.isin(judgements.row_source, [judgements.sources.index(source) for source in order[:count]])
    return np.flatnonzero(~held), np.flatnonzero(held)


def member_weights(sources: Sequence[str], members: int, seed: int) -> np.ndarray:
    """Return how much each member weighs each source, [members, sources]: exponential variates, or 1 for one member."""
    if members == 1:
        return np.ones((1, len(sources)))
    return np.stack([generator(seed, "bootstrap", source).exponential(size=members) for source in sources], axis=1)


def _shares(update: Sequence[Block], table: Table, accelerator: Any) -> list[tuple[Block, bool]]:
    """Return this process's share of an update; False marks a repeat that counts nothing.

    All processes read equally often, as sharded weights are gathered for every reading.
    """
    micro = table.micro_batches(update)
    each = -(-len(micro) // accelerator.num_processes)
    padded = [(block, True) for block in micro] + [(micro[0], False)] * (each * accelerator.num_processes - len(micro))
    return padded[accelerator.process_index :: accelerator.num_processes]


def _update(
    objective: Any, optimiser: Any, accelerator: Any, table: Table, update: Sequence[Block], learning: int, clip: float
) -> float:
    """Take one step down the mean loss of an update's judgements; return the sum of their losses."""
    shares, rows = _shares(update, table, accelerator), sum(map(len, update))
    total = torch.zeros((), device=accelerator.device)
    for place, (block, real) in enumerate(shares):
        last = place + 1 == len(shares)
        with nullcontext() if last else accelerator.no_sync(objective):
            loss, prior, *_ = objective(table.batch(block))
            total += loss.detach() * float(real)
            share = float(last) / learning  # of the prior: all updates of an epoch together count it once
            accelerator.backward(loss * (float(real) * accelerator.num_processes / rows) + prior * share)
    accelerator.clip_grad_norm_(objective.parameters(), clip)
    optimiser.step()
    optimiser.zero_grad()
    return float(accelerator.reduce(total))


def _schedule(step: int, total: int, warmup: float) -> float:
    """Return the share of the learning rate: a line up, then half a cosine down to zero."""
    rising = warmup * total
    if step < rising:
        return (step + 1) / (rising + 1)
    return 0.5 * (1 + cos(pi * (step - rising) / max(total - rising, 1)))


# ---- what is held back ----


def _held(objective: Any, table: Table, rows: np.ndarray) -> Held | None:
    """Return the mean loss of the rows held back, and how many of their decided pairs are predicted; None without."""
    total = right = pairs = 0.0
    for judgements, read in _read(objective, table, rows):
        total -= float(read.likelihood.mean(dim=0).sum())
        first, second, outcome = _pairs(judgements)
        margin = (read.rewards[:, first] - read.rewards[:, second]).mean(dim=0).cpu().numpy() * (2 * outcome - 1)
        right += float((margin[outcome != 0.5] > 0).sum() + 0.5 * (margin[outcome != 0.5] == 0).sum())
        pairs += float((outcome != 0.5).sum())
    return Held(total / len(rows), right / pairs if pairs else None) if len(rows) else None


def _calibration(objective: Any, table: Table, rows: np.ndarray) -> Calibration:
    """Return slope and intercept that calibrate rewards on the rows held back; the identity without any."""
    logits, outcome, anchor = [], [], []
    for judgements, read in _read(objective, table, rows):
        first, second, came = _pairs(judgements)
        valued = list(judgements.valued()) if judgements.anchors else []
        logits.append(read.rewards[:, first] - read.rewards[:, second])
        logits.append(read.rewards[:, [item for item, _, _ in valued]] + read.anchor[:, None].to(read.rewards.dtype))
        outcome += [*came, *(good for _, good, _ in valued)]
        anchor += [0.0] * len(came) + [1.0] * len(valued)
    if not outcome:
        return IDENTITY
    none = np.zeros(len(outcome), dtype=np.int64)
    every = torch.cat(logits, dim=1).T.double().cpu().numpy()
    held = HeldLogits(every, np.array(outcome), np.array(anchor), none, none, none, none)
    return calibrate(held, np.ones_like(every, dtype=bool), slope_sd=SLOPE_SD)


def _read(objective: Any, table: Table, rows: np.ndarray) -> Iterator[tuple[Judgements, Read]]:
    """Yield what the model says of held-back rows, a batch at a time; every process reads all of them."""
    objective.eval()
    with torch.no_grad():
        for block in table.micro_batches(table.blocks(rows, 0)) if len(rows) else ():
            found = table.batch(block)
            yield found.judgements, objective(found)


def _pairs(judgements: Judgements) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return first and second items, int64 [pairs], and the outcome: 1 the first is better, 0 the second, 0.5 a tie."""
    table = np.array([each[:3] for each in judgements.pairs()], dtype=np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], np.array([1.0, 0.0, 0.5])[table[:, 2]]


# ---- parameters, devices, states ----


def _check(judgements: Judgements) -> None:
    if not judgements.rows:
        raise InputError("there is no feedback to learn from: every row was unused")
    if not judgements.anchors and all(choice == 2 for _, _, choice, _ in judgements.pairs()):
        raise InputError("every comparison is a tie, which says nothing about which output is better")


def _accelerator(device: str) -> Any:
    from accelerate import Accelerator

    return Accelerator(cpu=device.startswith("cpu") or not torch.cuda.is_available())


def _prepare(net: JointNet, config: TrainConfig) -> Callable[[], None]:
    """Say which weights learn; return what merges adapters, if there are any, into them."""
    if config.checkpointing:
        net.model.gradient_checkpointing_enable({"use_reentrant": False})
    if config.tune == "full":
        return lambda: None
    try:
        from peft import LoraConfig, inject_adapter_in_model
        from peft.tuners.tuners_utils import BaseTunerLayer
    except ImportError as error:
        raise InputError("low-rank adapters need peft: run `pip install 'rrm[lora]'`, or tune full") from error
    net.model.requires_grad_(False)
    adapters = LoraConfig(r=config.lora_rank, lora_alpha=2 * config.lora_rank, target_modules="all-linear")
    inject_adapter_in_model(adapters, net.model.base_model)
    net.head.requires_grad_(True)

    def merge() -> None:
        for path, module in list(net.model.named_modules()):
            if isinstance(module, BaseTunerLayer):
                module.merge()
                net.model.set_submodule(path, module.get_base_layer())

    return merge


def _whole(
    objective: Objective, unmerge: Callable[[], None], judgements: Judgements, name: str, config: TrainConfig
) -> tuple[Objective, Callable[[], None]]:
    """Return an objective whose weights are whole in the main process, where training had sharded them (FSDP)."""
    if not any(isinstance(each, DTensor) for each in objective.parameters()):
        return objective, unmerge
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    weights = get_model_state_dict(objective, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    net = JointNet(load_classifier(name, config.members, "cpu", "float32"))
    unmerge = _prepare(net, config)
    gathered = Objective(net, Scales(judgements, config.members, config.reliability, dtype=torch.float32))
    if weights:  # the main process alone is given them, and it alone saves
        gathered.load_state_dict(weights)
    return gathered, unmerge


def _rates(objective: Objective, config: TrainConfig) -> list[dict[str, Any]]:
    """Return parameter groups: the trunk, the head, and the scales, which start far from where they belong."""
    head = {id(each) for each in objective.net.head.parameters()}
    trunk = [each for each in objective.net.parameters() if each.requires_grad and id(each) not in head]
    groups = [
        {"params": trunk, "base": config.rate},
        {"params": list(objective.net.head.parameters()), "base": config.head_rate * config.rate},
        {"params": list(objective.scales.parameters()), "base": max(100 * config.rate, 1e-2), "weight_decay": 0.0},
    ]
    return [{**group, "lr": group["base"]} for group in groups if group["params"]]


def _digest(rated: Sequence[Rated]) -> str:
    return content_id("rated", [[each.request.id, each.feedback.id, each.feedback.confidence] for each in rated])


@dataclass
class _At:
    """How far a training is."""

    step: int = 0
    best: float | None = None
    waited: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)


class _State:
    """The state of a training on disk: what learns, its optimiser, the best so far. Every process keeps its part."""

    def __init__(self, folder: Path, digest: str, precision: str, accelerator: Any) -> None:
        self._folder, self._digest, self._rank = folder, digest, accelerator.process_index
        self._precision = precision
        folder.mkdir(parents=True, exist_ok=True)
        self._best: dict[str, Tensor] | None = None

    def load(self, objective: nn.Module, optimiser: Any, accelerator: Any) -> _At:
        """Return where to go on, the weights put there; raise InputError for another training's state."""
        from safetensors.torch import load_file

        place = self._folder / STATE
        if not (place / "state.json").is_file():
            return _At()
        facts = json.loads((place / "state.json").read_text("utf-8"))
        if facts["digest"] != self._digest or facts["processes"] != accelerator.num_processes:
            raise InputError(
                f"{place} is the state of a training with other data, settings or processes:"
                " name another folder, or delete it"
            )
        if facts["precision"] != self._precision:
            raise InputError(
                f"{place} is the state of this training in {facts['precision']}, and here it would go on in"
                f" {self._precision}: ask for the dtype {facts['precision']}, or delete the state"
            )
        held = load_file(str(place / f"step-{facts['step']}" / f"{self._rank}.safetensors"))
        with torch.no_grad():
            for name, each in _learning(objective):
                _local(each).copy_(held[f"weight.{name}"])
        _put_moments(objective, optimiser, held)
        self._best = {
            name.removeprefix("best."): each for name, each in held.items() if name.startswith("best.")
        } or None
        return _At(facts["step"], facts["best"], facts["waited"], facts["log"])

    def save(self, at: _At, objective: nn.Module, optimiser: Any, accelerator: Any) -> None:
        """Write a state beside the last one, name it in `state.json`, and remove the last one."""
        from safetensors.torch import save_file

        place = self._folder / STATE
        fresh = place / f"step-{at.step}"
        fresh.mkdir(parents=True, exist_ok=True)
        held = {f"weight.{name}": _local(each).detach().cpu().contiguous() for name, each in _learning(objective)}
        held |= _moments(objective, optimiser)
        held |= {f"best.{name}": each for name, each in (self._best or {}).items()}
        save_file(held, str(fresh / f"{self._rank}.safetensors"))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            facts = {"digest": self._digest, "processes": accelerator.num_processes, "precision": self._precision}
            facts |= asdict(at)
            sync_folder(fresh)
            durable(place / "state.json", json.dumps(facts).encode())
            for old in place.glob("step-*"):
                if old != fresh:
                    shutil.rmtree(old, ignore_errors=True)

    def compare(self, at: _At, held: Held | None, objective: nn.Module) -> None:
        """Keep the weights if they are the best so far, else count how long that was not so."""
        if held is None:
            return
        if at.best is None or held.loss < at.best:
            at.best, at.waited = held.loss, 0
            self._best = {name: _local(each).detach().cpu().clone() for name, each in _learning(objective)}
        else:
            at.waited += 1

    def restore_best(self, objective: nn.Module) -> None:
        with torch.no_grad():
            for name, each in _learning(objective) if self._best else ():
                _local(each).copy_(self._best[name])  # type: ignore[index]

    def write(self, at: _At, line: dict[str, Any]) -> None:
        """Add a line to the log, and to its file, for those who watch."""
        at.log.append(line)
        if self._rank == 0:
            with (self._folder / LOG).open("w" if len(at.log) == 1 else "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def finish(self, at: _At) -> None:
        """Write the whole log once more, without what a killed training wrote twice, and forget the state."""
        lines = "".join(json.dumps(line) + "\n" for line in at.log)
        durable(self._folder / LOG, lines.encode())
        shutil.rmtree(self._folder / STATE, ignore_errors=True)


def _learning(objective: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, each) for name, each in objective.named_parameters() if each.requires_grad]


def _local(tensor: Any) -> Tensor:
    """Return this process's part of a sharded tensor, or the tensor."""
    found: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return found


def _moments(objective: nn.Module, optimiser: Any) -> dict[str, Tensor]:
    """Return the optimiser's state as tensors by name."""
    states = optimiser.optimizer.state if hasattr(optimiser, "optimizer") else optimiser.state
    return {
        f"moment.{kind}.{name}": _local(torch.as_tensor(value)).detach().cpu().clone().contiguous()
        for name, each in _learning(objective)
        for kind, value in states.get(each, {}).items()
    }


def _put_moments(objective: nn.Module, optimiser: Any, held: Mapping[str, Tensor]) -> None:
    inner = optimiser.optimizer if hasattr(optimiser, "optimizer") else optimiser
    for name, each in _learning(objective):
        kinds = {key.split(".")[1] for key in held if key.startswith("moment.") and key.split(".", 2)[2] == name}
        for kind in sorted(kinds):
            value = held[f"moment.{kind}.{name}"]
            if kind != "step" and isinstance(each, DTensor):
                inner.state[each][kind] = DTensor.from_local(
                    value.to(_local(each).device), each.device_mesh, each.placements
                )
            else:
                inner.state[each][kind] = value if kind == "step" else value.to(each.device)
