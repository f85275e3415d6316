"""Training a joint reward model: one flat loop over updates planned beforehand, resumable at any of them.

Likelihoods of all kinds of feedback multiply, as everywhere (`rrm.feedback.likelihood`). Every update reads
some blocks: the outputs of a view, each once, behind their source, which decoders read once for all.
Left out of the usual recipes on purpose: dropout, which outputs of one source would have to share.

No step is taken whose loss or gradient is not finite. Both depend on the weights and the data alone, so the weights
before it are of no use at any learning rate: a checkpoint is written when the update behind it has proved it good.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from math import ceil, isfinite
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from rrm.backbone.classifier import load_classifier
from rrm.backbone.load import find_checkpoint, precision_name
from rrm.backbone.memory import is_out_of_memory, release
from rrm.core.errors import InputError, LimitError
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.values import Rated
from rrm.feedback.scales import Scales
from rrm.feedback.table import FeedbackTable, tabulate
from rrm.reward.adapted import AdaptedModel, Trunk
from rrm.reward.adapters import LowRank, make_trainable
from rrm.reward.batches import Sizes, Table
from rrm.reward.calibrate import Calibration
from rrm.reward.checkpoint import TrainCheckpoints
from rrm.reward.joint_model import JointModel, JointNet, Reading, check_length, read_facts, read_heads
from rrm.reward.level_heads import HEAD, OTHERS, LevelHeads, head_tensors, put_heads
from rrm.reward.objective import Objective, learning, parameter_groups
from rrm.reward.processes import Accelerator, gathered, local, make_accelerator, number, share_of
from rrm.reward.schedule import Update, member_weights, schedule, split
from rrm.reward.train_config import PACE, TrainConfig
from rrm.reward.train_log import Events, TrainLog, epoch_line, update_line
from rrm.reward.validation import Validation, temperature, validate

_log = logging.getLogger(__name__)


class Trained(NamedTuple):
    """A model and its digest, what the validation rows say (None: nothing was held back), its log.

    `judged` counts the rows of feedback that said something about rewards.
    """

    model: JointModel | AdaptedModel
    digest: str
    judged: int
    held: Validation | None
    log: list[dict[str, Any]]


class Adapters(Protocol):
    """Adapters and heads that a training begins with, and the sources that they were fitted on."""

    @property
    def digest(self) -> str: ...

    @property
    def seen(self) -> tuple[str, ...]: ...

    @property
    def tensors(self) -> Mapping[str, Tensor]: ...


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
    start: Adapters | None = None,
    others: Sequence[Rated] = (),
) -> Trained:
    """Train on feedback, starting from a backbone or an earlier model, and save to `folder`.

    `name` is `minilm`, a folder or a Hugging Face name; `start` has adapters and heads for it to begin with. `others`
    is feedback of other levels, which teaches the trunk, too, each level by a head of its own. A training that was
    killed goes on from its last checkpoint when it is called again with equal arguments, and has the losses of one
    never killed. Under `accelerate launch` the work is shared among processes. Raises InputError
    where there is nothing to learn from, LimitError for texts that are too long, and InputError if `folder` holds the
    state of another training, or of this one in another precision.
    """
    events = events or Events()
    place = place or Place()
    feedback, heads = tabulate([*rated, *others]), LevelHeads.of(place.level, rated, others)
    if not feedback.rows:
        raise InputError("there is no feedback to learn from: every row was unused")
    accelerator = make_accelerator(device)

    # the model, its objective, and what is learned from
    model = _initial(name, config, heads, seed, reading or Reading(), place, str(accelerator.device), dtype)
    table = _table(feedback, heads, model, config, seed, accelerator.device)
    adapters = make_trainable(model.net, config)
    if start is not None:
        _begin_from(start, model.net, adapters, heads, config.members)
    scales = Scales(feedback, config.members, config.reliability, dtype=torch.float32).to(accelerator.device)
    whole = Objective(model.net, scales)
    groups = parameter_groups(whole, config)
    objective, optimiser = accelerator.prepare(whole, AdamW(groups, weight_decay=config.weight_decay))
    learn, hold = split(feedback, config.validation, seed)
    plan = schedule(table, learn, config.rows_per_update, config.epochs, config.warmup, seed)

    # where an earlier call was cut off
    begun = start.digest if start else None
    backbone = find_checkpoint(name).digest if Path(name).is_dir() else name  # a folder may be moved, or written anew
    learned_from = (rated_id(rated), rated_id(others))
    asked = asdict(replace(config, batch_tokens=table.sizes.batch_tokens))
    pace = {each: asked.pop(each) for each in PACE}
    about = content_id("train", asked, seed, backbone, begun, asdict(model.reading), *learned_from)
    checkpoints = TrainCheckpoints(Path(folder), about, pace, precision_name(model.net.autocast), accelerator)
    state = checkpoints.resume(objective, optimiser)
    log = TrainLog(Path(folder), state.log, accelerator.is_main_process)

    every = min(config.save_every, ceil(plan.total / 4))  # a short training keeps states, too
    for update in plan.after(state.step):
        if state.waited >= config.patience:
            break
        objective.train()
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * update.rate
        loss, table = _gradients(objective, optimiser, accelerator, table, update, len(learn))
        norm = accelerator.clip_grad_norm_(objective.parameters(), config.clip)
        due = bool(every and state.step and state.step % every == 0)
        wrong = _not_finite(loss, norm, objective if due else None, accelerator)
        _refuse_diverged(wrong, update.step, plan.total, checkpoints)
        if due:
            checkpoints.save(state, objective, optimiser)
        optimiser.step()
        optimiser.zero_grad()
        line = update_line(update, loss, optimiser.param_groups[0]["lr"])
        if update.epoch is not None:
            validation = validate(objective, table, hold)
            state.keep_best(validation, objective)
            line |= epoch_line(update.epoch, validation)
        state.step = update.step
        log.write(line)
        events.log(line)
        events.progress(update.step, plan.total)

    # the best weights, proved good as if a further update came; calibrated, whole and merged
    state.restore_best(objective)
    further = Update(plan.total + 1, table.micro_batches(plan.epochs[-1][-1])[:1], 0.0, None)
    loss, table = _gradients(objective, optimiser, accelerator, table, further, len(learn))
    norm = accelerator.clip_grad_norm_(objective.parameters(), config.clip)
    _refuse_diverged(_not_finite(loss, norm, objective, accelerator), further.step, plan.total, checkpoints)
    optimiser.zero_grad()
    held = validate(objective, table, hold)
    calibration = temperature(objective, table, hold)
    whole, adapters = gathered(accelerator.unwrap_model(objective), adapters, feedback, name, config, len(heads.levels))
    model = replace(model, net=whole.net, classifier=replace(model.classifier, model=whole.net.model))
    own = tabulate(rated)
    model = _finished(model, whole.scales, feedback, own.anchors, min(own.rows, len(learn)), calibration)
    seen = tuple(sorted({*model.seen, *(start.seen if start else ())}))
    settings = {**model.settings, **asdict(config), "seed": seed, "backbone": backbone, "rated": list(learned_from)}
    made = _made(replace(model, seen=seen, settings=settings), adapters, name, config.merge, heads)
    digest = ""
    if accelerator.is_main_process:
        digest = made.save(folder)
        log.finish()
        checkpoints.remove()
    accelerator.wait_for_everyone()
    return Trained(made, digest, feedback.rows, held, log.lines)


def _gradients(
    objective: nn.Module,
    optimiser: Optimizer,
    accelerator: Accelerator,
    table: Table,
    update: Update,
    learning_rows: int,
) -> tuple[float, Table]:
    """Find the gradients of an update's mean loss; return the sum of its rows' losses in nats, and the table.

    Where memory does not suffice, the update is begun again in smaller micro-batches, in which the table returned
    reads what follows, too.
    """
    while True:
        try:
            loss = _add_gradients(objective, accelerator, table, update, learning_rows)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            table = _smaller(table, update, accelerator, error)
        else:
            return loss, table
        optimiser.zero_grad()
        release()  # here, where no traceback holds what was allocated


def _add_gradients(
    objective: nn.Module, accelerator: Accelerator, table: Table, update: Update, learning_rows: int
) -> float:
    """Add up the gradients of an update's mean loss; return the sum of its losses."""
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
    return float(accelerator.reduce(total))


def _smaller(table: Table, update: Update, accelerator: Accelerator, error: BaseException) -> Table:
    """Return a table of smaller micro-batches; raise LimitError where there are none.

    Nor are there any among several processes, which would have to agree on them.
    """
    smaller = table.smaller(update.blocks) if accelerator.num_processes == 1 else None
    if smaller is None:
        tokens = max(map(table.tokens, table.micro_batches(update.blocks)))
        raise LimitError(
            f"there is not enough memory to learn from {tokens} tokens at once, in update {update.step}: take"
            f" checkpointing, fewer batch_tokens (now {table.sizes.batch_tokens}), a lower max_length, a smaller"
            " backbone, or another device"
        ) from error
    now, then = table.sizes.batch_tokens, smaller.sizes.batch_tokens
    _log.warning("out of memory in update %d with batch_tokens = %d: going on with %d", update.step, now, then)
    return smaller


# ---- before and after the loop ----


def teaches(feedback: FeedbackTable) -> bool:
    """Say whether any row tells a better output from a worse one: ties alone do not."""
    return bool(feedback.rows) and (feedback.anchors or any(choice != 2 for _, _, choice, _ in feedback.pairs()))


def refuse_ties(rated: Sequence[Rated], whose: str) -> None:
    """Raise InputError, naming whose feedback it is, for rows that are ties alone."""
    feedback = tabulate(rated)
    if feedback.rows and not teaches(feedback):
        raise InputError(
            f"{whose}: every comparison is a tie, which says nothing about which output is better: have more outputs"
            " compared"
        )


def _not_finite(loss: float, norm: Tensor, objective: nn.Module | None, accelerator: Accelerator) -> str | None:
    """Say what is not finite of an update's loss, the norm of its gradient, and the weights of an objective."""
    if not isfinite(loss):
        return "loss"
    if not isfinite(number(norm)):
        return "gradient"
    if objective is not None:
        wrong = [(~local(each.detach()).isfinite()).any() for _, each in learning(objective)]
        if float(accelerator.reduce(torch.stack(wrong).sum())):
            return "weights"
    return None


def _refuse_diverged(wrong: str | None, step: int, total: int, checkpoints: TrainCheckpoints) -> None:
    """Raise InputError, with what is kept and what to do, where something is not finite at an update."""
    if wrong is None:
        return
    if step == 1:
        raise InputError(
            f"the {wrong} of update 1 is not finite, before anything is learned: take another backbone, or the dtype"
            " float32"
        )
    place = f"of update {step}" if step <= total else "after the last update"
    kept = checkpoints.diverged()
    raise InputError(
        f"the {wrong} {place} {'are' if wrong == 'weights' else 'is'} not finite, so the training has diverged: take a"
        " lower learning_rate or head_rate, or another backbone; "
        + (
            f"the state after update {kept} is kept in {checkpoints.place}, from where it goes on at a lower rate"
            if kept
            else "no state from before is kept, so it begins anew"
        )
    )


def _initial(
    name: str,
    config: TrainConfig,
    heads: LevelHeads,
    seed: int,
    reading: Reading,
    place: Place,
    device: str,
    dtype: str,
) -> JointModel:
    """Return the model to train: a backbone with new heads, or an earlier model, whose sources stay seen.

    Each member goes on from its own head; of a checkpoint made elsewhere, which has one, all members start alike.
    """
    before = read_facts(Path(name)) if Path(name).is_dir() else None
    classifier = load_classifier(name, len(heads.levels) * config.members, device, dtype, seed=seed)
    check_length(reading, classifier.positions, name)
    net = JointNet(classifier)
    if before:
        put_heads(net.head, read_heads(Path(name)), heads.levels, config.members)
    return JointModel(net, classifier, reading, place, seen=tuple(before["seen"]) if before else ())


def _begin_from(start: Adapters, net: JointNet, adapters: LowRank | None, heads: LevelHeads, members: int) -> None:
    """Put adapters and heads that were learned earlier on a net; raise InputError where they do not fit."""
    if adapters is None or len(start.tensors[f"{HEAD}weight"]) != members:
        raise InputError("a training starts from adapters of its own kind: as many members, and low-rank adapters")
    adapters.start_from(start.tensors)
    put_heads(net.head, start.tensors, heads.levels, members)


def _made(
    model: JointModel, adapters: LowRank | None, name: str, merge: bool, heads: LevelHeads
) -> JointModel | AdaptedModel:
    """Return the model judging by its own heads; adapters are merged into it, or kept apart from their backbone.

    Heads of other levels are kept beside, for what goes on from it.
    """
    members = model.members // len(heads.levels)
    tensors = head_tensors(model.net.head, heads.levels)
    model.net.keep_head(members)
    if adapters is None or merge:
        if adapters is not None:
            adapters.merge()
        return replace(model, other_heads={name: each for name, each in tensors.items() if name.startswith(OTHERS)})
    tensors = {**adapters.tensors(), **tensors}
    adapters.remove()
    return AdaptedModel(model, Trunk(model.classifier, find_checkpoint(name).digest), tensors)


def _table(
    feedback: FeedbackTable, heads: LevelHeads, model: JointModel, config: TrainConfig, seed: int, device: torch.device
) -> Table:
    windows = model.windows([(item.view, item.text) for item in feedback.items])
    weights = member_weights(feedback.sources, config.members, seed)
    sizes = Sizes.on(device, config.batch_tokens)
    return Table(feedback, windows, weights, heads.of_items(feedback.items), model.classifier, sizes, device)


def _finished(
    model: JointModel,
    scales: Scales,
    feedback: FeedbackTable,
    anchored: bool,
    learned: int,
    calibration: Calibration,
) -> JointModel:
    """Return the model with its heads calibrated, and with all that is known of it."""
    with torch.no_grad():
        for parameter in model.net.head.parameters():
            parameter.mul_(calibration.slope)
        anchor = calibration.slope * float(scales.anchor().mean()) + calibration.intercept if anchored else 0.0
    return replace(
        model,
        anchor=anchor,
        anchored=anchored,
        seen=tuple(sorted({*model.seen, *(feedback.sources[place] for place in feedback.row_source)})),
        ratings=learned,
        settings={"slope": calibration.slope, "raters": [rater._asdict() for rater in scales.raters()]},
    )


def rated_id(rated: Sequence[Rated]) -> str:
    """Name what a training learned from."""
    told = [[row.request.id, row.feedback.id, row.feedback.confidence, row.weight] for row in rated]
    return content_id("rated", told)
