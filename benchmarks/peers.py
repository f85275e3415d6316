"""Ways of training and scoring one reward model on the same groups: TRL's, each output once, and ours.

Every way of training is a function `train(model, groups, settings, size) -> Trained`, every way of scoring a function
`score(model, source, outputs, size, settings) -> rewards`; `size` is the way's own unit of micro-batch, which is tuned.
To add a way, add a function and a line to WAYS or SCORERS.
"""

import gc
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from rrm.backbone.decoder import OUTPUTS_A_ROW, output_states, read_group, share_source
from rrm.backbone.layout import pack
from rrm.backbone.load import quiet
from rrm.core.place import Place
from rrm.core.values import Comparison, Feedback, Passage, Rated, Request, Shown, View
from rrm.reward.joint_model import Reading

PAD, END = 0, 1
CLIP = 1.0
STEEP = 1.5  # a token's frequency is its rank to the power of minus this
SIZES = (1, 2, 3, 4, 6, 8, 16)


@dataclass(frozen=True)
class Body:
    """The shape of a Hugging Face decoder; its weights are random."""

    family: str
    hidden: int
    layers: int
    heads: int
    key_heads: int
    head: int
    mlp: int
    vocabulary: int
    positions: int = 16_384


SMALL = Body("qwen3", 256, 4, 4, 2, 64, 768, 8192)


@dataclass(frozen=True)
class Shape:
    """Tokens of a prompt, tokens of an output, outputs of a prompt: P, C, k."""

    prompt: int
    output: int
    outputs: int


@dataclass(frozen=True)
class Settings:
    """What all ways of training have in common."""

    prompts: int = 4  # an update
    epochs: int = 1
    learning_rate: float = 3e-4
    autocast: bool = False
    device: str = "cpu"
    trace: bool = False  # whether TRL logs the loss of every update; the others always return it

    def precision(self) -> AbstractContextManager[Any]:
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.autocast)


class Group(NamedTuple):
    """A prompt [P] and its outputs [k, C], best first; token ids."""

    prompt: Tensor
    outputs: Tensor


class Trained(NamedTuple):
    """Seconds of training from the first batch to the last update, tokens forwarded, the loss of every update."""

    seconds: float
    tokens: int
    losses: tuple[float, ...]


Known = dict[tuple[str, Shape], list[int]]
Train = Callable[[Any, Sequence[Group], Settings, int], Trained]
Score = Callable[[Any, Tensor, Tensor, int, Settings], Tensor]


class Way(NamedTuple):
    """A way of training; `units(k)` says how many of its units of micro-batch one prompt is."""

    title: str
    train: Train
    units: Callable[[int], int]

    def fits(self, size: int, outputs: int, prompts: int) -> bool:
        """Whether whole micro-batches of this size make up an update, so that its prompts are everybody's."""
        return prompts * self.units(outputs) % size == 0


def build(body: Body, seed: int = 0, device: str = "cpu") -> Any:
    """Make a sequence classifier with one label and random weights in float32; same seed, same weights."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = AutoConfig.for_model(
        body.family,
        hidden_size=body.hidden,
        num_hidden_layers=body.layers,
        num_attention_heads=body.heads,
        num_key_value_heads=body.key_heads,
        head_dim=body.head,
        intermediate_size=body.mlp,
        vocab_size=body.vocabulary,
        max_position_embeddings=body.positions,
        num_labels=1,
        pad_token_id=PAD,
        bos_token_id=None,
        eos_token_id=END,
    )
    torch.manual_seed(seed)
    with torch.device(device):
        return AutoModelForSequenceClassification.from_config(config)


def make_groups(shape: Shape, count: int, seed: int, vocabulary: int, device: str = "cpu") -> list[Group]:
    """Make prompts that are streams of tokens with habits, and outputs that are spoiled spans of them.

    A stream's tokens have frequencies that fall with their rank, and every other token is the one that always
    follows its predecessor. Each output is a span of the prompt of whose tokens some, at most half, are replaced
    by tokens drawn evenly: the fewer the better, and no two outputs of a prompt have equally many (if C / 2 allows).
    An output's last token is the end, from which rewards are read, as TRL does with texts by default. Frequencies
    and habits are the same for every seed.
    """
    habits = torch.Generator().manual_seed(0)
    words = vocabulary - END - 1
    frequency = torch.arange(1, words + 1, dtype=torch.float64) ** -STEEP
    follower = torch.multinomial(frequency, words, replacement=True, generator=habits)
    random = torch.Generator().manual_seed(seed)
    draws = torch.multinomial(frequency, count * shape.prompt, replacement=True, generator=random)
    streams = draws.reshape(count, shape.prompt)
    for at in range(1, shape.prompt):
        habit = torch.rand(count, generator=random) < 0.5
        streams[habit, at] = follower[streams[habit, at - 1]]
    return [_group(stream, shape, words, random, device) for stream in streams]


def _group(stream: Tensor, shape: Shape, words: int, random: torch.Generator, device: str) -> Group:
    k, length = shape.outputs, shape.output - 1
    most = length // 2
    counts = torch.multinomial(torch.ones(most + 1), k, replacement=k > most + 1, generator=random).sort().values
    starts = torch.randint(0, shape.prompt - length + 1, (k,), generator=random)
    spans = torch.stack([stream[start : start + length] for start in starts.tolist()])
    spoiled = torch.rand(k, length, generator=random).argsort(1).argsort(1) < counts[:, None]
    noise = torch.randint(0, words, (k, length), generator=random)
    outputs = torch.where(spoiled, noise, spans) + END + 1
    return Group((stream + END + 1).to(device), torch.cat([outputs, torch.full((k, 1), END)], 1).to(device))


def pair_loss(rewards: Tensor) -> Tensor:
    """Mean Bradley-Terry loss, in nats, over all pairs of each group; rewards [groups, k], best first."""
    better, worse = torch.triu_indices(rewards.shape[1], rewards.shape[1], 1, device=rewards.device)
    return -logsigmoid(rewards[:, better] - rewards[:, worse]).mean()


def all_pairs(outputs: int) -> list[tuple[int, int]]:
    return [(better, worse) for better in range(outputs) for worse in range(better + 1, outputs)]


def adjacent_pairs(outputs: int) -> list[tuple[int, int]]:
    return [(better, better + 1) for better in range(outputs - 1)]


def train_trl(model: Any, groups: Sequence[Group], settings: Settings, size: int) -> Trained:
    """TRL's RewardTrainer over all pairs, `size` pairs a micro-batch; timed is `train()` alone."""
    return _train_trl(model, groups, all_pairs, settings, size)


def train_trl_adjacent(model: Any, groups: Sequence[Group], settings: Settings, size: int) -> Trained:
    """TRL's RewardTrainer over the k - 1 pairs of neighbours in rank: fewer tokens, and another loss."""
    return _train_trl(model, groups, adjacent_pairs, settings, size)


def train_once(model: Any, groups: Sequence[Group], settings: Settings, size: int) -> Trained:
    """Each prompt with each of its outputs encoded once, `size` such rows a forward, a backward per group or more."""

    def rewards(part: Sequence[Group]) -> Tensor:
        rows = torch.cat([_rows(group) for group in part])
        logits = [model(input_ids=some, use_cache=False).logits for some in rows.split(size)]
        return torch.cat(logits).reshape(len(part), -1)

    outputs = groups[0].outputs.shape[0]
    return _train_plainly(model, groups, settings, rewards, max(1, size // outputs))


def train_shared(model: Any, groups: Sequence[Group], settings: Settings, size: int) -> Trained:
    """Ours: each prompt encoded once for all its outputs, `size` groups packed into a forward."""
    share_source(model.model)
    sequences = {id(group): list(_rows(group).cpu().numpy()) for group in groups}

    def rewards(part: Sequence[Group]) -> Tensor:
        row = pack([sequences[id(group)] for group in part], settings.device)
        return model.score(output_states(model.model, row)).reshape(len(part), -1)

    return _train_plainly(model, groups, settings, rewards, size)


def train_whole(model: Any, groups: Sequence[Group], settings: Settings, size: int) -> Trained:
    """Ours as people call it, from texts: timed is the whole of `rrm.reward.train`, from loading to saving.

    Its likelihood has a chance of ties to learn, its rate falls as a cosine, its order of groups is its own.
    """
    from safetensors.torch import load_file

    from rrm.reward.train import train
    from rrm.reward.train_config import TrainConfig

    shape = Shape(len(groups[0].prompt), groups[0].outputs.shape[1], groups[0].outputs.shape[0])
    row = shape.prompt + shape.outputs * shape.output
    config = TrainConfig(
        members=1,
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        head_rate=1.0,
        warmup=0.0,
        weight_decay=0.0,
        clip=CLIP,
        rows_per_update=settings.prompts * len(all_pairs(shape.outputs)),
        batch_tokens=size * row,
        validation=0.0,
        reliability=False,
        save_every=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        start, end = f"{folder}/start", f"{folder}/end"
        with quiet():
            model.save_pretrained(start)
        _tokenizer(model.config.vocab_size).save_pretrained(start)
        rated, reading = _as_rated(groups), Reading(separator=" ")
        dtype = "bfloat16" if settings.autocast else "float32"
        began = time.perf_counter()
        trained = train(rated, start, end, config, seed=0, reading=reading, device=settings.device, dtype=dtype)
        synchronize(settings.device)
        seconds = time.perf_counter() - began
        model.load_state_dict(load_file(f"{end}/model.safetensors"))
    tokens = settings.epochs * len(groups) * row
    return Trained(seconds, tokens, tuple(line["loss"] for line in trained.log))


WAYS: dict[str, Way] = {
    "trl": Way("TRL, all pairs", train_trl, lambda k: k * (k - 1) // 2),
    "adjacent": Way("TRL, adjacent pairs", train_trl_adjacent, lambda k: k - 1),
    "once": Way("each output once", train_once, lambda k: k),
    "rrm": Way("rrm, shared source", train_shared, lambda k: 1),
    "whole": Way("rrm, its trainer from loading to saving", train_whole, lambda k: 1),
}


def score_naively(model: Any, source: Tensor, outputs: Tensor, size: int, settings: Settings) -> Tensor:
    """Score [n] outputs [n, C] of a source [P]: the source before each of them, `size` rows a forward."""
    with torch.inference_mode(), settings.precision():
        rows = _rows(Group(source, outputs))
        return torch.cat([model(input_ids=some, use_cache=False).logits for some in rows.split(size)]).flatten()


def score_shared(model: Any, source: Tensor, outputs: Tensor, size: int, settings: Settings) -> Tensor:
    """Ours: score [n] outputs [n, C] of a source [P] that is read once; rows of a size of our own choice."""
    with torch.inference_mode(), settings.precision():
        sequences = list(_rows(Group(source, outputs)).cpu().numpy())
        return model.score(read_group(model.model, sequences, settings.device)).flatten()


class Scorer(NamedTuple):
    """A way of scoring; `prepare` is called once with the model, `sizes` are the batches to choose from."""

    title: str
    prepare: Callable[[Any], object]
    score: Score
    sizes: tuple[int, ...]


SCORERS: dict[str, Scorer] = {
    "naive": Scorer("naive batches", lambda model: None, score_naively, (2, 4, 8, 16, 64)),
    "rrm": Scorer("rrm, source read once", lambda model: share_source(model.model), score_shared, (OUTPUTS_A_ROW,)),
}


def held_out(model: Any, body: Body, groups: Sequence[Group], settings: Settings) -> tuple[float, float, float]:
    """Return the loss over groups of their own, its standard error by group, and the share of pairs in order.

    The trained weights are copied into a fresh model and read one text at a time, whichever library trained them.
    """
    weights = model.state_dict()
    model = build(body, device=settings.device).eval()
    model.load_state_dict(weights)
    rewards = torch.stack([score_naively(model, *group, 4, settings).float() for group in groups])
    losses = torch.stack([pair_loss(each[None]) for each in rewards])
    ordered = [float(each[i] > each[j]) for each in rewards for i, j in all_pairs(len(each))]
    error = float(losses.std() / math.sqrt(len(losses))) if len(losses) > 1 else math.nan
    return float(losses.mean()), error, sum(ordered) / len(ordered)


def choose_size(name: str, shape: Shape, body: Body, settings: Settings, known: Known, times: int) -> int | None:
    """Return the fastest micro-batch that makes whole updates; None if every one runs out of memory.

    A pair or a row costs the same at any k, so theirs are tried on one prompt at k = 4; `known` keeps what was tried.
    """
    tried = {"adjacent": "trl", "whole": "rrm"}.get(name, name)
    small = (shape, settings) if tried == "rrm" else (replace(shape, outputs=4), replace(settings, prompts=1))
    if (tried, small[0]) not in known:
        known[tried, small[0]] = best_sizes(WAYS[tried], small[0], body, small[1], times)
    fitting = (size for size in known[tried, small[0]] if WAYS[name].fits(size, shape.outputs, settings.prompts))
    return next(fitting, None)


def best_sizes(way: Way, shape: Shape, body: Body, settings: Settings, times: int = 2) -> list[int]:
    """Return the sizes of micro-batch that make whole updates, fastest first: the least seconds of short epochs.

    Sizes that run out of an accelerator's memory are left out, and so are those above.
    """
    groups = make_groups(shape, settings.prompts, 1, body.vocabulary, settings.device)
    fitting = [size for size in SIZES if way.fits(size, shape.outputs, settings.prompts)]
    took: dict[int, float] = {}
    for _ in range(times):
        for size in fitting:
            seconds = attempt(way, body, groups, settings, size)
            if seconds is None:
                fitting = [each for each in fitting if each < size]
                break
            took[size] = min(seconds, took.get(size, math.inf))
    return sorted(fitting, key=took.__getitem__)


def attempt(way: Way, body: Body, groups: Sequence[Group], settings: Settings, size: int) -> float | None:
    """Train a fresh model once and return the seconds; None if the accelerator's memory did not suffice."""
    try:
        return way.train(build(body, device=settings.device), groups, settings, size).seconds
    except torch.OutOfMemoryError:
        return None
    finally:
        tidy(settings.device)


def tidy(device: str) -> None:
    """Let go of the last model before the next is measured."""
    gc.collect()
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()


def require_trl() -> None:
    """Leave with one sentence where the peer is not installed; keep it from calling home where it is."""
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false")
    try:
        from trl import RewardTrainer  # noqa: F401  # the class itself: trl loads what it holds only when asked
    except ImportError as error:
        raise SystemExit(f"this benchmark compares with TRL: pip install 'rrm[bench]' ({error})") from error


@contextmanager
def counted(model: Any) -> Iterator[list[int]]:
    """Count every token that the model embeds, in every call; read the sum afterwards."""
    counts: list[int] = []
    hook = model.get_input_embeddings().register_forward_hook(lambda _, given, __: counts.append(given[0].numel()))
    try:
        yield counts
    finally:
        hook.remove()


def synchronize(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def _train_plainly(
    model: Any,
    groups: Sequence[Group],
    settings: Settings,
    rewards: Callable[[Sequence[Group]], Tensor],
    size: int,
) -> Trained:
    """The flat loop of every way but TRL's: AdamW as transformers sets it, constant rate, clipped gradients."""
    model.train()
    losses = []
    with counted(model) as counts:
        began = time.perf_counter()
        optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.0, fused=True)
        for _ in range(settings.epochs):
            for update in _parts(groups, settings.prompts):
                total = torch.zeros((), device=settings.device)
                for part in _parts(update, size):
                    with settings.precision():
                        scored = rewards(part)
                    loss = pair_loss(scored.float()) * (len(part) / len(update))
                    loss.backward()
                    total += loss.detach()
                torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
                optimizer.step()
                optimizer.zero_grad()
                losses.append(total)
        synchronize(settings.device)
        seconds = time.perf_counter() - began
    return Trained(seconds, sum(counts), tuple(float(loss) for loss in losses))


def _train_trl(
    model: Any,
    groups: Sequence[Group],
    pairs: Callable[[int], list[tuple[int, int]]],
    settings: Settings,
    size: int,
) -> Trained:
    require_trl()
    from datasets import Dataset
    from transformers.trainer_callback import PrinterCallback
    from trl import RewardConfig, RewardTrainer

    chosen = pairs(groups[0].outputs.shape[0])
    texts = [_rows(group).tolist() for group in groups]
    rows = [{"chosen_ids": text[i], "rejected_ids": text[j]} for text in texts for i, j in chosen]
    with tempfile.TemporaryDirectory() as folder:
        arguments = RewardConfig(
            folder,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=settings.prompts * len(chosen) // size,
            num_train_epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="constant",
            optim="adamw_torch_fused",
            weight_decay=0.0,
            max_grad_norm=CLIP,
            max_length=None,  # its default leaves out, without a word, every pair over 1,024 tokens
            gradient_checkpointing=False,  # its default costs a quarter more time
            bf16=settings.autocast,
            use_cpu=settings.device == "cpu",
            train_sampling_strategy="sequential",
            dataloader_pin_memory=settings.device != "cpu",
            logging_strategy="steps" if settings.trace else "no",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = RewardTrainer(model, arguments, train_dataset=Dataset.from_list(rows), processing_class=_tokenizer())
        trainer.remove_callback(PrinterCallback)
        with counted(model) as counts:
            synchronize(settings.device)
            began = time.perf_counter()
            trainer.train()
            synchronize(settings.device)
            seconds = time.perf_counter() - began
    losses = tuple(float(line["loss"]) for line in trainer.state.log_history if "loss" in line)
    return Trained(seconds, sum(counts), losses)


def _tokenizer(vocabulary: int = END + 1) -> Any:
    """A tokenizer whose words are the ids' names; TRL's trainer asks it only for the ids of padding and end."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = {"<pad>": PAD, "<end>": END} | {f"w{each}": each for each in range(END + 1, vocabulary)}
    words = Tokenizer(models.WordLevel(names, "<pad>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<end>")


def _as_rated(groups: Sequence[Group]) -> list[Rated]:
    """Return every pair of every group as a comparison of texts, the better shown first."""
    rated = []
    for number, group in enumerate(groups):
        source = f"source {number}"
        prompt, *texts = (
            " ".join(f"w{each}" for each in row) for row in [group.prompt.tolist(), *group.outputs[:, :-1].tolist()]
        )
        view = View("", (Passage(prompt),), group.outputs.shape[1])
        for pair in all_pairs(len(texts)):
            shown = tuple(Shown(f"{source}, output {place}", texts[place]) for place in pair)
            request = Request(source, source, Place(), "comparison", view, shown)
            rated.append(Rated(request, Feedback(request.id, "rank", Comparison(0))))
    return rated


def _rows(group: Group) -> Tensor:
    """[k, P + C]: the prompt before each of its outputs."""
    return torch.cat([group.prompt.expand(len(group.outputs), -1), group.outputs], 1)


def _parts(values: Sequence[Group], size: int) -> Iterator[Sequence[Group]]:
    return (values[at : at + size] for at in range(0, len(values), size))
