"""Training a joint reward model: one flat loop over updates planned beforehand, resumable at any of them.

Likelihoods of all kinds of feedback multiply, as everywhere (`rrm.feedback.likelihood`). Every update reads
some blocks: the outputs of a view, each once, behind their source, which decoders read once for all.
Left out of the usual recipes on purpose: dropout, which outputs of one source would have to share.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from rrm.backbone.classifier import load_classifier
from rrm.backbone.load import precision_name
from rrm.core.errors import InputError
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.values import Rated
from rrm.feedback.judgements import Judgements, tabulate
from rrm.feedback.scales import Scales
from rrm.reward.adapters import make_trainable
from rrm.reward.batches import Table
from rrm.reward.calibrate import Calibration
from rrm.reward.checkpoint import TrainCheckpoints
from rrm.reward.joint import JointModel, JointNet, Reading, read_facts
from rrm.reward.objective import Objective, parameter_groups
from rrm.reward.processes import Accelerator, gathered, make_accelerator, share_of
from rrm.reward.schedule import Update, member_weights, schedule, split
from rrm.reward.train_config import TrainConfig
from rrm.reward.train_log import Events, TrainLog, epoch_line, update_line
from rrm.reward.validation import Validation, temperature, validate


class Trained(NamedTuple):
    """A model and its digest, what the validation rows say (None: nothing was held back), its log.

    `judged` counts the rows of feedback that said something about rewards.
    """

    model: JointModel
    digest: str
    judged: int
    held: Validation | None
    log: list[dict[str, Any]]


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
    checkpoint when it is called again with equal arguments, and has the losses of one never killed. Under
    `accelerate launch` the work is shared among processes. Raises InputError where there is nothing to learn
    from, LimitError for texts that are too long, and InputError if `folder` holds the state of another training,
    or of this one in another precision.
    """
    events = events or Events()
    judgements = tabulate(rated)
    _check(judgements)
    accelerator = make_accelerator(device)

    # the model, its objective, and what is learned from
    model = _initial(name, config, seed, reading or Reading(), place or Place(), str(accelerator.device), dtype)
    table = _table(judgements, model, config, seed, accelerator.device)
    merge = make_trainable(model.net, config)
    scales = Scales(judgements, config.members, config.reliability, dtype=torch.float32).to(accelerator.device)
    whole = Objective(model.net, scales)
    groups = parameter_groups(whole, config)
    objective, optimiser = accelerator.prepare(whole, AdamW(groups, weight_decay=config.weight_decay))
    learn, hold = split(judgements, config.validation, seed)
    plan = schedule(table, learn, config.rows_per_update, config.epochs, config.warmup, seed)

    # where an earlier call was cut off
    about = content_id("train", asdict(config), seed, name, asdict(model.reading), _digest(rated))
    checkpoints = TrainCheckpoints(Path(folder), about, precision_name(model.net.autocast), accelerator)
    state = checkpoints.resume(objective, optimiser)
    log = TrainLog(Path(folder), state.log, accelerator.is_main_process)

    for update in plan.after(state.step):
        objective.train()
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * update.rate
        loss = _step(objective, optimiser, accelerator, table, update, len(learn), config.clip)
        line = update_line(update, loss, optimiser.param_groups[0]["lr"])
        if update.epoch is not None:
            validation = validate(objective, table, hold)
            state.keep_best(validation, objective)
            line |= epoch_line(update.epoch, validation)
        state.step = update.step
        log.write(line)
        stop = state.waited >= config.patience
        if config.save_every and (stop or update.step % config.save_every == 0):
            checkpoints.save(state, objective, optimiser)
        events.log(line)
        events.progress(update.step, plan.total)
        if stop:
            break

    # the best weights, calibrated, whole and merged
    state.restore_best(objective)
    held = validate(objective, table, hold)
    calibration = temperature(objective, table, hold)
    whole, merge = gathered(accelerator.unwrap_model(objective), merge, judgements, name, config)
    merge()
    model = replace(model, net=whole.net, classifier=replace(model.classifier, model=whole.net.model))
    model = _finished(model, whole.scales, judgements, len(learn), calibration)
    model = replace(model, settings={**model.settings, **asdict(config), "seed": seed, "backbone": name})
    digest = ""
    if accelerator.is_main_process:
        digest = model.save(folder)
        log.finish()
        checkpoints.remove()
    accelerator.wait_for_everyone()
    return Trained(model, digest, judgements.rows, held, log.lines)


def _step(
    objective: nn.Module,
    optimiser: Optimizer,
    accelerator: Accelerator,
    table: Table,
    update: Update,
    learning_rows: int,
    clip: float,
) -> float:
    """Take one step down the mean loss of an update's judgements; return the sum of their losses in nats."""
    shares = share_of(table.micro_batches(update.blocks), accelerator)
    total = torch.zeros((), device=accelerator.device)
    for place, (block, counts) in enumerate(shares, 1):
        last = place == len(shares)
        with nullcontext() if last else accelerator.no_sync(objective):
            loss, prior, *_ = objective(table.batch(block))
            total += loss.detach() * float(counts)
            prior_share = float(last) / learning_rows  # all updates of an epoch together count the prior once
            scale = float(counts) * accelerator.num_processes / update.rows  # processes' gradients are averaged
            accelerator.backward(loss * scale + prior * prior_share)
    accelerator.clip_grad_norm_(objective.parameters(), clip)
    optimiser.step()
    optimiser.zero_grad()
    return float(accelerator.reduce(total))


# ---- before and after the loop ----


def _check(judgements: Judgements) -> None:
    if not judgements.rows:
        raise InputError("there is no feedback to learn from: every row was unused")
    if not judgements.anchors and all(choice == 2 for _, _, choice, _ in judgements.pairs()):
        raise InputError("every comparison is a tie, which says nothing about which output is better")


def _initial(
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
        for parameter in model.net.head.parameters():
            parameter.mul_(calibration.slope)
        anchor = (
            calibration.slope * float(scales.anchor().mean()) + calibration.intercept if judgements.anchors else 0.0
        )
    return replace(
        model,
        anchor=anchor,
        anchored=judgements.anchors,
        seen=tuple(sorted({*model.seen, *(judgements.sources[place] for place in judgements.row_source)})),
        ratings=learned,
        settings={"slope": calibration.slope, "raters": [rater._asdict() for rater in scales.raters()]},
    )


def _digest(rated: Sequence[Rated]) -> str:
    return content_id("rated", [[row.request.id, row.feedback.id, row.feedback.confidence] for row in rated])
