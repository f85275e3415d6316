"""Causal language models whose weights learn, all or low-rank adapters, and the loop that fits them to replies.

The loop makes the weighted negative log-likelihood of whole replies small, under the temperature at which the model
writes. Supervised, filtered, conditional and distribution-matching training differ in their rows and weights alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import inf, isfinite
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rrm.backbone.generate import FOUR_BIT, Writer
from rrm.backbone.load import quiet
from rrm.core.arguments import plain_arguments
from rrm.core.errors import InputError
from rrm.core.ids import generator

Tune = Literal["lora", "full"]
_RATES: Mapping[str, float] = {"lora": 5e-4, "full": 2e-5}


@plain_arguments
@dataclass(frozen=True)
class Tuning:
    """How a language model learns: what of it, how fast, how long.

    `lora` learns adapters of rank `rank` on all linear layers but the head (Hu et al. 2021, arXiv:2106.09685), `full`
    all weights. A step learns from `batch` replies, of which as many are read at once as `batch_tokens` hold with their
    prompts: that decides how much memory is held, and changes nothing else. `learning_rate` is 5e-4 for adapters and
    2e-5 for all weights unless it is given. Weights, their gradients and Adam's moments are float32.
    """

    tune: Tune = "lora"
    rank: int = 16
    learning_rate: float | None = None
    steps: int = 60
    batch: int = 8
    batch_tokens: int = 2048

    def __post_init__(self) -> None:
        if self.tune not in _RATES:
            raise InputError(f"tune is one of {', '.join(_RATES)}, got {self.tune!r}")
        if min(self.rank, self.steps, self.batch, self.batch_tokens) < 1:
            known = f"{self.rank}, {self.steps}, {self.batch} and {self.batch_tokens}"
            raise InputError(f"rank, steps, batch and batch_tokens are 1 or more, got {known}")
        if not 0 < self.rate < inf:
            raise InputError(f"the learning rate is a positive number, got {self.rate}")

    @property
    def rate(self) -> float:
        return _RATES[self.tune] if self.learning_rate is None else self.learning_rate


class Row(NamedTuple):
    """A prompt, the reply to learn behind it, both as tokens, and how much it counts."""

    prompt: list[int]
    reply: list[int]
    weight: float = 1.0


def learner(writer: Writer, tuning: Tuning, seed: int) -> Any:
    """Return a copy of a writer's model that learns, float32, on the writer's device, without dropout.

    Raises InputError for adapters without peft, and for a model in four bits, whose weights cannot be read back.
    """
    if writer.precision.startswith(FOUR_BIT):
        raise InputError(f"{writer.checkpoint.name} is read in four bits and cannot learn so: leave out four_bit")
    model = fresh(writer)
    if tuning.tune == "full":
        return model.requires_grad_(True)
    if find_spec("peft") is None:
        raise InputError("tune = lora needs peft: run `pip install 'rrm[lora]'`, or set tune = full")
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=tuning.rank, lora_alpha=2 * tuning.rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed % 2**63)
        return get_peft_model(model, config).eval()


def fresh(writer: Writer) -> Any:
    """Return a writer's model once more, float32, as its checkpoint has it, in evaluation mode, on its device."""
    from transformers import AutoModelForCausalLM

    with quiet():
        model = AutoModelForCausalLM.from_pretrained(
            str(writer.checkpoint.folder), trust_remote_code=False, use_safetensors=True, dtype=torch.float32
        )
    return model.to(writer.model.device).eval().requires_grad_(False)


def bare(model: Any) -> Any:
    """Return the model of transformers within, with adapters in place where there are any."""
    return model.get_base_model() if hasattr(model, "peft_config") else model


def merged(model: Any) -> dict[str, Tensor]:
    """Return the weights that a model has learned, float32, adapters added to what they adapt; the model is used up."""
    plain = model.merge_and_unload() if hasattr(model, "peft_config") else model
    return {name: weight.detach().float() for name, weight in plain.state_dict().items()}


def between(anchor: Mapping[str, Tensor], learned: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return the weights on the line from an anchor's (share 0) to those that were learned (share 1)."""
    return {name: torch.lerp(anchor[name].float(), weight, share) for name, weight in learned.items()}


def reply_log_probs(
    model: Any, rows: Sequence[tuple[list[int], list[int]]], pad: int, temperature: float = 1.0
) -> Tensor:
    """Return the log-probability of each reply's tokens behind its prompt, float32 [rows, tokens], 0 behind its end.

    Prompts are padded on the left and replies on the right, so that replies stand side by side and logits are
    computed of them alone. It carries the gradient.
    """
    before, after = max(len(prompt) for prompt, _ in rows), max(len(reply) for _, reply in rows)
    ids, mask = torch.full((len(rows), before + after), pad), torch.zeros(len(rows), before + after, dtype=torch.long)
    present = torch.zeros(len(rows), after, dtype=torch.bool)
    for at, (prompt, reply) in enumerate(rows):
        first, last = before - len(prompt), before + len(reply)
        ids[at, first:last] = torch.tensor([*prompt, *reply])
        mask[at, first:last] = 1
        present[at, : len(reply)] = True
    ids, mask, present = (each.to(model.device) for each in (ids, mask, present))
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    logits = model(
        input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=after + 1, use_cache=False
    ).logits[:, :-1]
    scaled = logits.float() / temperature
    chosen = scaled.gather(2, ids[:, before:, None])[:, :, 0]
    return torch.where(present, chosen - scaled.logsumexp(dim=2), 0.0)


def fit(
    model: Any,
    rows: Sequence[Row],
    tuning: Tuning,
    *,
    pad: int,
    temperature: float,
    seed: int,
    stop: Callable[[int], bool] = lambda step: False,
) -> int:
    """Make the weighted negative log-likelihood of rows small by AdamW; return how many steps were taken.

    Rows are read in random order, all of them before any again; those that are equal are one row of their weights' sum.
    `stop` is asked after each step, and ends it. Raises InputError without a row of positive weight, and where the loss
    is no number.
    """
    rows = [row for row in _distinct(rows) if row.weight > 0]
    if not rows:
        raise InputError("there is nothing to learn: no reply has a weight above 0")
    weights = np.array([row.weight for row in rows])
    weights = weights / weights.mean()
    learning = [each for each in model.parameters() if each.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=tuning.rate, weight_decay=0.0)
    order = _orders(len(rows), tuning.batch, seed)
    for step in range(1, tuning.steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = tuning.rate * min(1.0, step / max(1, tuning.steps // 10))
        chosen, whole = next(order), 0.0
        optimiser.zero_grad(set_to_none=True)
        for part in _parts(chosen, rows, tuning.batch_tokens):
            log_probs = reply_log_probs(model, [rows[at][:2] for at in part], pad, temperature).sum(dim=1)
            loss = -(log_probs * torch.from_numpy(weights[part]).to(log_probs)).sum() / len(chosen)
            loss.backward()  # type: ignore[no-untyped-call]
            whole += loss.item()
        if not isfinite(whole):
            raise InputError(f"the loss of step {step} is {whole}: take a lower learning rate than {tuning.rate:g}")
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimiser.step()
        if stop(step):
            return step
    return tuning.steps


def _distinct(rows: Sequence[Row]) -> list[Row]:
    """Return each prompt and reply once, with the sum of its weights."""
    weights: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}
    for prompt, reply, weight in rows:
        key = tuple(prompt), tuple(reply)
        weights[key] = weights.get(key, 0.0) + weight
    return [Row(list(prompt), list(reply), weight) for (prompt, reply), weight in weights.items()]


def _parts(chosen: np.ndarray, rows: Sequence[Row], tokens: int) -> Iterator[np.ndarray]:
    """Cut the numbers of a step's rows into parts that, padded, hold at most so many tokens, or are one row."""
    longest = max(len(rows[at].prompt) for at in chosen) + max(len(rows[at].reply) for at in chosen)
    size = max(1, tokens // longest)
    for first in range(0, len(chosen), size):
        yield chosen[first : first + size]


def _orders(rows: int, batch: int, seed: int) -> Any:
    """Yield the numbers of the rows of each step, int64 [at most batch]."""
    random = generator("order of rows", seed)
    while True:
        order = random.permutation(rows)
        for first in range(0, rows, batch):
            yield order[first : first + batch]
