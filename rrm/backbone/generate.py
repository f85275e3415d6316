"""Causal language models that write: batches of samples with their exact log-probabilities, by seeds of their own.

Each token is drawn by inverting the cumulative distribution at one uniform number, of which a sample has its own
sequence by its seed, so a sample does not hang on how many others are drawn. A prompt is read once for all samples
that go on from it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rrm.backbone.alone import alone
from rrm.backbone.chat import takes_system
from rrm.backbone.load import (
    Checkpoint,
    find_checkpoint,
    first_line,
    fitting,
    is_decoder,
    precision_name,
    quiet,
    resolve,
    whole,
)
from rrm.backbone.memory import in_memory
from rrm.backbone.tokens import valid
from rrm.core.errors import InputError, LimitError
from rrm.core.ids import generator
from rrm.core.protocols import Along
from rrm.core.thoughts import is_mark

OnText = Callable[[int, str], None]
"""Called with the number of a sample and a piece of its text, while it is written."""

FOUR_BIT = "4bit-"
"""Stands before the precision of what is not in four bits: norms and embeddings tell models apart, too."""


class Chat(NamedTuple):
    """A system text, which may be empty, and what the user says."""

    system: str
    user: str


class Ask(NamedTuple):
    """A chat to go on from: one sample for each seed, of at most `max_tokens` tokens."""

    chat: Chat
    seeds: Sequence[int]
    max_tokens: int


class Sample(NamedTuple):
    """What a model wrote: its text, its tokens, how probable they are in nats, and whether it ended by itself.

    `log_prob` is of all `ids`, the one that ends the text among them, under the temperature.
    """

    text: str
    ids: tuple[int, ...]
    log_prob: float
    ended: bool
    prompt_tokens: int


class _Part(NamedTuple):
    """What is asked, its prompt's tokens, and the number of its first sample."""

    first: int
    ask: Ask
    prompt: list[int]


def _in_two(part: _Part) -> list[_Part]:
    """Return halves of the samples of one prompt; a single sample is left as it is."""
    half = len(part.ask.seeds) // 2
    seeds = [part.ask.seeds[:half], part.ask.seeds[half:]]
    firsts = part.first, part.first + half
    return (
        [
            part._replace(first=first, ask=part.ask._replace(seeds=each))
            for first, each in zip(firsts, seeds, strict=True)
        ]
        if half
        else [part]
    )


@dataclass(frozen=True, eq=False)
class Writer:
    """A causal language model with its tokenizer and its chat template, which writes at a temperature > 0."""

    checkpoint: Checkpoint
    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    precision: str
    temperature: float = 1.0

    @property
    def name(self) -> str:
        """Covers the weights, wherever they lie, the precision, and the temperature."""
        name = Path(self.checkpoint.name).name
        return f"{name}#{self.checkpoint.digest[:8]}:{self.precision}:{self.temperature:g}"

    @property
    def positions(self) -> int:
        """The most tokens that a prompt and what follows it may have."""
        return int(getattr(self.model.config, "max_position_embeddings", None) or 2**31)

    def prompt(self, chat: Chat) -> str:
        """Return a chat as the model was taught to read it.

        Where its template refuses a system turn or leaves it out, the system text stands at the head of the user's; a
        model without a template reads both as paragraphs. What the texts hold of the template's own marks is taken
        apart, so that no text can end its turn.
        """
        system, user = self._plain(chat.system), self._plain(chat.user)
        joined = "\n\n".join(filter(None, (system, user)))
        if not self.tokenizer.chat_template:
            return f"{joined}\n\n"
        if system and self._takes_system:
            turns = [{"role": "system", "content": system}, {"role": "user", "content": user}]
            return self._templated(turns)
        return self._templated([{"role": "user", "content": joined}])

    def sample(self, asks: Sequence[Ask], on_text: OnText | None = None) -> list[list[Sample]]:
        """Return for each chat its samples, in one batch, or in several where memory does not suffice.

        Raises LimitError for what the model is too short for, or memory for a single sample.
        `on_text` is told of every piece as it is written; samples are numbered through all chats.
        """
        if not asks:
            return []
        parts, first = [], 0
        for ask in asks:
            parts.append(_Part(first, ask, self.check(ask)))
            first += len(ask.seeds)
        asked = [part for part in parts if part.ask.seeds]

        def write(part: Sequence[_Part]) -> list[Sample]:
            first = part[0].first
            later = on_text and (lambda number, text: on_text(first + number, text))
            made = self._sampled([each.ask for each in part], [each.prompt for each in part], later)
            return [sample for samples in made for sample in samples]

        written = in_memory([asked] if asked else [], write, _in_two, "prompts", self._too_large)
        found = iter([sample for _, samples in written for sample in samples])
        return [[next(found) for _ in ask.seeds] for ask in asks]

    def _too_large(self, part: "_Part") -> str:
        return (
            f"there is not enough memory for {self.checkpoint.name} to write {part.ask.max_tokens} tokens after a"
            f" prompt of {len(part.prompt)}: make the subtasks smaller, or take a smaller model or another device"
        )

    def check(self, ask: Ask) -> list[int]:
        """Return the tokens of a prompt; raise LimitError where it leaves no room for what is asked.

        Raises InputError for no tokens to write, and for a prompt of none to go on from.
        """
        if ask.max_tokens < 1:
            raise InputError(f"{self.checkpoint.name} is asked for 1 token or more, got max_tokens = {ask.max_tokens}")
        ids = self.prompt_ids(ask.chat)
        if len(ids) + ask.max_tokens > self.positions:
            raise LimitError(
                f"{self.checkpoint.name} reads {self.positions} tokens at once, and a prompt of {len(ids)} tokens"
                f" leaves no room for {ask.max_tokens} more: ask for shorter replies (max_tokens, reply_tokens), make"
                " the subtasks smaller, or take another model"
            )
        return ids

    def _sampled(self, asks: Sequence[Ask], prompts: Sequence[list[int]], on_text: OnText | None) -> list[list[Sample]]:
        rows = [at for at, ask in enumerate(asks) for _ in ask.seeds]
        uniform = [generator("sample", seed).random(ask.max_tokens) for ask in asks for seed in ask.seeds]
        draw = _Draw(uniform, self.temperature, self._ends)
        stream = None if on_text is None else _Streamed(self.tokenizer, len(rows), on_text)
        written = self._written(prompts, rows, draw, stream)
        samples = iter(
            self._sample(tokens, log_probs, len(prompts[at]))
            for tokens, log_probs, at in zip(written, draw.log_probs, rows, strict=True)
        )
        return [[next(samples) for _ in ask.seeds] for ask in asks]

    def log_prob(self, chat: Chat, texts: Sequence[str]) -> np.ndarray:
        """Return how probable each text is as a whole reply, in nats, float64 [texts]: its tokens, then an end."""
        if not texts:
            return np.zeros(0)
        replies = [self.reply(text) for text in texts]
        found = self.next_log_probs(chat, replies)
        chosen = found.gather(2, self._side_by_side(replies)[:, :, None])[:, :, 0].double().cpu()
        return np.array([float(row[: len(reply)].sum()) for row, reply in zip(chosen, replies, strict=True)])

    def next_log_probs(self, chat: Chat, replies: Sequence[Sequence[int]]) -> Tensor:
        """Return the log-probabilities of each token of each reply's place, float32 [replies, tokens, vocabulary].

        They are in nats, under the temperature. The prompt is read once for all. What stands behind the end of a
        shorter reply means nothing. Raises LimitError where prompt and reply are too long for the model.
        """
        prompt, ids = self.prompt_ids(chat), self._side_by_side(replies)
        if len(prompt) + ids.shape[1] > self.positions:
            raise LimitError(
                f"{self.checkpoint.name} reads {self.positions} tokens at once, not {len(prompt) + ids.shape[1]}"
            )
        with torch.inference_mode():
            cache = self._read([prompt[:-1]], [0] * len(replies)) if len(prompt) > 1 else None
            last = torch.full((len(replies), 1), prompt[-1], device=ids.device)
            logits = self.model(input_ids=torch.cat([last, ids[:, :-1]], dim=1), **{self._cache: cache}).logits
            return _log_softmax(logits, self.temperature)

    def kl(self, ask: Ask, other: "Writer", chat: Chat) -> np.ndarray:
        """Return for each seed the divergence of the next token from another writer's, along a fresh reply, [seeds].

        It is summed over the reply's tokens, in nats; the mean is KL(self || other) of whole replies, by the chain
        rule, and has less variance than their log-ratios. The other is asked `chat`. Raises InputError where the two
        do not have the same tokens.
        """
        [samples] = self.sample([ask])
        return np.array([each.kl for each in self.along(ask.chat, [sample.ids for sample in samples], other, chat)])

    def along(self, chat: Chat, replies: Sequence[Sequence[int]], other: "Writer", other_chat: Chat) -> list[Along]:
        """Return what replies of a token or more each tell of this writer beside another one, read and not written.

        The other is asked `other_chat`. Raises InputError where the two do not have the same tokens.
        """
        found = []
        for reply in replies:  # one after the other: logits of whole vocabularies are large
            ours = self.next_log_probs(chat, [reply])[0].double()
            same = other is self and other_chat == chat
            theirs = ours if same else other.next_log_probs(other_chat, [reply])[0].double().to(ours.device)
            if ours.shape != theirs.shape:
                raise InputError(f"{self.name} and {other.name} do not have the same tokens")
            p, chosen = ours.exp(), torch.tensor([list(reply)], device=ours.device).T
            ratio = (ours - theirs).gather(1, chosen).sum()
            found.append(Along(*map(float, ((p * (ours - theirs)).sum(), -(p * ours).sum(), ratio))))
        return found

    def _side_by_side(self, replies: Sequence[Sequence[int]]) -> Tensor:
        ids = torch.full((len(replies), max(map(len, replies))), self.pad, dtype=torch.long)
        for row, reply in enumerate(replies):
            ids[row, : len(reply)] = torch.tensor(list(reply))
        return ids.to(self.model.device)

    def reply(self, text: str) -> list[int]:
        """Return the usual tokens of a text as a whole reply: its own, then an end; marks in it are taken apart."""
        return [*self.tokenizer(self._plain(text), add_special_tokens=False)["input_ids"], self._ends[0]]

    # ---- texts and tokens ----

    @cached_property
    def thinks(self) -> bool:
        """Whether the model has marks for thoughts, so that a text may not be all that was written."""
        return any(is_mark(str(mark)) for mark in self.tokenizer.get_vocab())

    @cached_property
    def _takes_system(self) -> bool:
        """Whether the template has a system turn: some refuse one, others leave it out without a word."""
        return takes_system(self.tokenizer)

    def _plain(self, text: str) -> str:
        text = valid(text)
        for mark in sorted(self._specials.values(), key=len, reverse=True):
            text = text.replace(mark, f"{mark[:1]} {mark[1:]}") if len(mark) > 1 else text
        return text

    def _templated(self, turns: list[dict[str, str]]) -> str:
        try:
            return str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        except Exception as error:  # templates are programs, which fail in ways of their own
            raise InputError(
                f"the chat template of {self.checkpoint.name!r} cannot render a user's turn: {first_line(error)}; give"
                " its tokenizer a template that can, or none"
            ) from error

    def prompt_ids(self, chat: Chat) -> list[int]:
        """Return the tokens of a chat as the model was taught to read it; raise InputError where there are none."""
        bare = not self.tokenizer.chat_template  # a template brings its own tokens to begin with
        ids = list(self.tokenizer(self.prompt(chat), add_special_tokens=bare)["input_ids"])
        if not ids:
            raise InputError(
                f"{self.checkpoint.name} cannot go on from an empty prompt: its tokenizer has no token that begins a"
                " text"
            )
        return ids

    def _sample(self, tokens: list[int], log_probs: list[float], prompt_tokens: int) -> Sample:
        ended = bool(tokens) and tokens[-1] in self._ends
        said = [token for token in tokens if token not in self._unsaid]
        text = self.tokenizer.decode(said, skip_special_tokens=False).replace("\0", "")
        return Sample(text, tuple(tokens), float(np.sum(log_probs)), ended, prompt_tokens)

    @cached_property
    def _unsaid(self) -> frozenset[int]:
        """The special tokens that are no part of a text: all but the marks of thoughts, by which those are told."""
        return frozenset(id_ for id_, mark in self._specials.items() if not is_mark(mark))

    @cached_property
    def _specials(self) -> dict[int, str]:
        """All special tokens by their ids: those that have a part, such as an end, and those that were only added."""
        named = dict(zip(self.tokenizer.all_special_ids, self.tokenizer.all_special_tokens, strict=True))
        added = {id_: each.content for id_, each in self.tokenizer.added_tokens_decoder.items() if each.special}
        return {id_: str(mark) for id_, mark in (named | added).items()}

    @cached_property
    def _ends(self) -> list[int]:
        """The tokens that end a text; the first is the one that it is expected to end with."""
        ends = self.model.generation_config.eos_token_id
        known = [self.tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])]
        found = list(dict.fromkeys(each for each in known if each is not None))
        if not found:
            raise InputError(f"{self.checkpoint.name!r} has no token that ends a text: set its tokenizer's eos_token")
        return found

    @property
    def pad(self) -> int:
        """The token that fills up what is shorter than others."""
        return int(self._ends[0] if self.tokenizer.pad_token_id is None else self.tokenizer.pad_token_id)

    # ---- reading and writing ----

    def _read(self, prompts: Sequence[list[int]], rows: Sequence[int]) -> Any:
        """Read prompts once, padded on the left, and return the cache with a row for each of `rows`."""
        from transformers import DynamicCache

        ids, mask = _padded(prompts, self.pad, self.model.device)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        cache = DynamicCache(config=self.model.config)
        self.model(input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=1, **{self._cache: cache})
        cache.batch_select_indices(torch.tensor(rows, device=ids.device))
        return cache

    @cached_property
    def _cache(self) -> str:
        """What this version of transformers calls the cache of a prompt."""
        return "cache" if "cache" in signature(type(self.model).forward).parameters else "past_key_values"

    def _written(
        self, prompts: Sequence[list[int]], rows: Sequence[int], draw: "_Draw", stream: "_Streamed | None"
    ) -> list[list[int]]:
        """Return the tokens of each row's sample, the end among them."""
        from transformers import LogitsProcessorList

        ids, mask = _padded(prompts, self.pad, self.model.device)
        width = ids.shape[1]
        with torch.inference_mode(), quiet():
            cache = self._read([each[:-1] for each in prompts], rows) if min(map(len, prompts)) > 1 else None
            found = self.model.generate(
                input_ids=ids[rows], attention_mask=mask[rows], do_sample=False,
                max_new_tokens=draw.longest, logits_processor=LogitsProcessorList([draw]),
                pad_token_id=self.pad, eos_token_id=self._ends, streamer=stream, **{self._cache: cache},
            )  # fmt: skip
        return [row[width:][: len(log_probs)].tolist() for row, log_probs in zip(found, draw.log_probs, strict=True)]


def _without_habits(config: Any) -> Any:
    """Return which tokens begin, end and fill up texts, and nothing else that a checkpoint would have done to samples.

    Its own habits (suppressed or forced tokens, penalties, guidance) would make another distribution than the one
    whose density is known.
    """
    from transformers import GenerationConfig

    tokens = {name: getattr(config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return GenerationConfig(**tokens, use_cache=True)


@alone
def load_writer(
    name: str, device: str = "auto", dtype: str = "auto", temperature: float = 1.0, four_bit: bool = False
) -> Writer:
    """Load `smollm`, a folder or a Hugging Face name as a language model that writes.

    Raises InputError for an encoder, a temperature that is not above 0, and for `four_bit` without bitsandbytes.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not 0 < temperature < float("inf"):
        raise InputError(f"temperature must be above 0, got {temperature:g}: with 0 all samples would be equal")
    checkpoint = find_checkpoint(name)
    if not is_decoder(checkpoint):
        raise InputError(f"{name!r} is an encoder, which writes nothing: name a causal language model, such as smollm")
    place, half = resolve(device, dtype)
    settings: dict[str, Any] = {"dtype": torch.bfloat16 if half else torch.float32}
    if four_bit:
        settings |= {"quantization_config": _four_bit(), "device_map": place}
    with quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(checkpoint.folder), trust_remote_code=False)
            model, found = AutoModelForCausalLM.from_pretrained(
                str(checkpoint.folder), trust_remote_code=False, use_safetensors=True, output_loading_info=True,
                ignore_mismatched_sizes=True, **settings,
            )  # fmt: skip
        except Exception as error:  # a damaged file fails in as many ways as there are libraries below
            raise InputError(f"{name!r} cannot be read as a language model: {first_line(error)}") from error
    fitting(name, found["mismatched_keys"])
    whole(name, found["missing_keys"])
    model.generation_config = _without_habits(model.generation_config)
    model = (model if four_bit else model.to(place)).eval().requires_grad_(False)
    precision = f"{FOUR_BIT if four_bit else ''}{precision_name(half)}"
    return Writer(checkpoint, model, tokenizer, precision, temperature)


def _four_bit() -> Any:
    if find_spec("bitsandbytes") is None:
        raise InputError("four_bit needs bitsandbytes: run `pip install bitsandbytes`, or leave it out")
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16, bnb_4bit_quant_type="nf4")


class _Draw:
    """Draws each row's next token by its own uniform numbers, and keeps how probable it was.

    A `transformers.LogitsProcessor`: it leaves the token that was drawn as the only one possible. A row has as many
    tokens as it has uniform numbers, at most.
    """

    def __init__(self, uniform: Sequence[np.ndarray], temperature: float, ends: Sequence[int]) -> None:
        self.longest = max(map(len, uniform))
        self._uniform = np.stack([np.pad(row, (0, self.longest - len(row))) for row in uniform])
        self._limits = [len(row) for row in uniform]
        self._temperature, self._ends = temperature, ends
        self.log_probs: list[list[float]] = [[] for _ in uniform]
        self._open = [True] * len(uniform)
        self._step = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        log_probs = _log_softmax(scores, self._temperature)
        if not torch.isfinite(log_probs).any(dim=1).all() or torch.isnan(log_probs).any():
            raise InputError("the model gives no probabilities of a next token, but NaN: its weights are broken")
        below = log_probs.double().exp().cumsum(dim=1)
        at = torch.from_numpy(self._uniform[:, self._step : self._step + 1]).to(scores.device) * below[:, -1:]
        drawn = torch.searchsorted(below, at, right=True).clamp(max=scores.shape[1] - 1)
        chosen, known = drawn[:, 0].tolist(), log_probs.gather(1, drawn)[:, 0].tolist()
        for row, (token, log_prob) in enumerate(zip(chosen, known, strict=True)):
            if not self._open[row]:
                continue
            self.log_probs[row].append(log_prob)
            self._open[row] = token not in self._ends and len(self.log_probs[row]) < self._limits[row]
        self._step += 1
        only = torch.full_like(scores, -torch.inf)
        only.scatter_(1, drawn, 0.0)
        return only


class _Streamed:
    """Passes on what each row wrote, piece by piece; a `transformers` streamer."""

    def __init__(self, tokenizer: Any, rows: int, on_text: OnText) -> None:
        self._tokenizer, self._on_text = tokenizer, on_text
        self._tokens: list[list[int]] = [[] for _ in range(rows)]
        self._told = [""] * rows
        self._begun = False

    def put(self, value: Tensor) -> None:
        if not self._begun:  # the prompts come first
            self._begun = True
            return
        for row, token in enumerate(value.reshape(-1).tolist()):
            self._tokens[row].append(token)
            text = self._tokenizer.decode(self._tokens[row], skip_special_tokens=True)
            if text != self._told[row] and not text.endswith("\ufffd"):
                self._on_text(row, text.removeprefix(self._told[row]))
                self._told[row] = text

    def end(self) -> None:
        """Everything was told."""


def _log_softmax(logits: Tensor, temperature: float) -> Tensor:
    return torch.log_softmax(logits.float() / temperature, dim=-1)


def _padded(prompts: Sequence[list[int]], pad: int, device: Any) -> tuple[Tensor, Tensor]:
    """Return token ids and their mask, int64 [prompts, tokens], padded on the left."""
    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(each)) + each for each in prompts])
    mask = torch.tensor([[0] * (width - len(each)) + [1] * len(each) for each in prompts])
    return ids.to(device), mask.to(device)
