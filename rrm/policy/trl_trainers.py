"""What the optimisers that train by TRL share: its settings, its rows counted, its anchor, and a stop at a KL."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rrm.backbone.generate import Chat, Writer
from rrm.backbone.load import quiet
from rrm.backbone.tune import Tuning
from rrm.core.errors import InputError
from rrm.policy.reward_function import require_rows
from rrm.policy.tuned import Lesson, writing


def require_trl(method: str) -> None:
    """Raise InputError unless TRL is installed."""
    if find_spec("trl") is None or find_spec("datasets") is None:
        raise InputError(f"{method} trains by TRL: run `pip install 'rrm[trl]'`, or take another method")


def require_plain(method: str, writer: Writer) -> None:
    """Raise InputError unless a model writes at temperature 1, the only one at which TRL learns of texts and pairs."""
    if writer.temperature != 1:
        raise InputError(
            f"{method} learns at temperature 1, and the policy writes at {writer.temperature:g}: set the policy's "
            "temperature to 1, or take rrm.policy.likelihood:Likelihood"
        )


def arguments(tuning: Tuning, lesson: Lesson, writer: Writer, longest: int) -> dict[str, Any]:
    """Return what all of TRL's configurations are given; `longest` is how many tokens one of a batch has at most.

    A batch is read in parts that hold at most `batch_tokens`, or are one of it.
    """
    sizes = [size for size in range(1, tuning.batch + 1) if tuning.batch % size == 0]
    at_once = max((size for size in sizes if size * longest <= tuning.batch_tokens), default=1)
    return {
        "output_dir": str(lesson.workspace.folder / "trl"),
        "max_steps": tuning.steps,
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": tuning.batch // at_once,
        "learning_rate": tuning.rate,
        "weight_decay": 0.0,
        "warmup_steps": max(1, tuning.steps // 10),
        "lr_scheduler_type": "constant_with_warmup",
        "max_grad_norm": 1.0,
        "seed": lesson.seed % 2**32,
        "use_cpu": str(writer.model.device) == "cpu",
        "bf16": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "gradient_checkpointing": False,
    }


def dataset(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return rows as a data set of Hugging Face's."""
    from datasets import Dataset

    return Dataset.from_list([dict(row) for row in rows])


def trained(trainer: Any, given: int, lesson: Lesson, every: int, total: int, writer: Writer) -> int:
    """Train until all steps are done or the budget is used up; return how many steps there were.

    Raises InputError where the trainer dropped rows, and where a weight is no number at the end.
    """
    from transformers import PrinterCallback, TrainerCallback

    stop = lesson.stopper(writing(writer, trainer.model), every, total)

    class Budget(TrainerCallback):  # type: ignore[misc]
        """Ends the training where the budget of KL is used up."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            was = trainer.model.training
            trainer.model.eval()
            control.should_training_stop = control.should_training_stop or stop(int(state.global_step))
            trainer.model.train(was)

    require_rows(trainer, given)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Budget())
    trainer.train()
    trainer.model.eval()
    if not all(bool(weight.isfinite().all()) for weight in trainer.model.parameters() if weight.requires_grad):
        raise InputError("a weight is no number after the training: take a lower learning rate")
    return int(trainer.state.global_step)


@contextmanager
def quietly() -> Iterator[None]:
    """Keep TRL and datasets from drawing bars and giving notices."""
    import datasets

    drawn, before = not datasets.are_progress_bars_disabled(), os.environ.get("TRL_EXPERIMENTAL_SILENCE")
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    datasets.disable_progress_bars()
    try:
        with quiet():
            yield
    finally:
        if drawn:
            datasets.enable_progress_bars()
        if before is None:
            del os.environ["TRL_EXPERIMENTAL_SILENCE"]


def prompt_text(writer: Writer, chat: Chat) -> str:
    """Return a prompt as a text that a trainer reads as the very tokens behind which the writer writes.

    Raises InputError where there is none.
    """
    text, ids, begin = writer.prompt(chat), writer.prompt_ids(chat), writer.tokenizer.bos_token or ""
    for each in (text, text.removeprefix(begin)):
        if list(writer.tokenizer(each)["input_ids"]) == ids:
            return each
    raise InputError(
        f"TRL would read {writer.checkpoint.name}'s prompts as other tokens than it writes behind: its tokenizer adds "
        "tokens of its own to a text that its chat template has begun"
    )


def anchored_to(model: Any, folder: Path) -> None:
    """Have TRL load the anchor of a model's KL from a folder: it takes the path in the model's own config."""
    model.config._name_or_path = str(folder)
