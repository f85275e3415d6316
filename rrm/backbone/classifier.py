"""Checkpoints for sequence classification with one label: loaded safely, given heads, saved as others open them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from rrm.backbone.alone import alone
from rrm.backbone.chat import TemplateMarks, template_marks
from rrm.backbone.decoder import check_shareable, share_source, without_dropout
from rrm.backbone.layout import AVERAGED, Tokens
from rrm.backbone.load import Checkpoint, find_checkpoint, first_line, fitting, is_decoder, quiet, resolve, whole
from rrm.backbone.tokens import valid
from rrm.core.errors import InputError

PAD = "<|pad|>"
_HEADS = ("score", "classifier", "out_proj", "dense")
_Batch = TypeVar("_Batch")


class Head(nn.Linear):
    """One reward per member, in float32 whatever the trunk computes in."""

    def forward(self, states: Tensor) -> Tensor:
        wide = torch.promote_types(self.weight.dtype, torch.float32)
        with torch.autocast(states.device.type, enabled=False):
            return linear(states.to(wide), self.weight.to(wide), None if self.bias is None else self.bias.to(wide))


@dataclass(frozen=True, eq=False)
class Classifier:
    """A model for sequence classification and its tokenizer.

    `model.rrm_head` names its head, a `Head` with one output per member. `causal` says that it
    reads packed rows. `positions` is the most tokens that it reads at once. `drawn` names the parameters beside the
    head that the checkpoint lacks, such as RoBERTa's dense layer before the head, so that they were drawn at random.
    """

    model: Any
    tokenizer: Any
    causal: bool
    autocast: bool
    positions: int
    drawn: tuple[str, ...] = ()

    def encode(
        self,
        texts: Sequence[tuple[str, str]],
        separator: str,
        letters: Sequence[int] | None = None,
        average: bool = False,
    ) -> tuple[list[Tokens], list[tuple[int, int]]]:
        """Return the ids of each prompt with its output, and which of them, first to end, are the prompt's own.

        A decoder reads prompt, separator and output as one text, and the end-of-sequence token
        behind it, unless its chat template made the whole, which brings the marks of its own; an encoder
        reads a pair of texts. With `letters` only the tokens within so many first letters of each prompt count as
        its own. With `average` a decoder's tokens behind the prompt and separator are marked by `AVERAGED`.
        """
        if not texts:
            return [], []
        if self.causal:
            wholes = [valid(prompt + separator + output) for prompt, output in texts]
            made = self._begun_once(wholes)
            end = [self.tokenizer.eos_token_id] if self.tokenizer.eos_token_id is not None else []
            ids = [
                each.ids if each.ids[-1:] == end or self.marks.made(whole) else each.ids + end
                for each, whole in zip(made, wholes, strict=True)
            ]
        else:
            prompts, outputs = [valid(prompt) for prompt, _ in texts], [valid(output) for _, output in texts]
            made = self.tokenizer(prompts, outputs).encodings
            ids = [each.ids for each in made]
        begin = self.tokenizer.bos_token_id
        letters = [len(prompt) for prompt, _ in texts] if letters is None else letters
        spans = [_span(each, count, begin) for each, count in zip(made, letters, strict=True)]
        tokens = [np.asarray(each, dtype=np.int32) for each in ids]
        if average and self.causal:
            for each, encoding, (prompt, _) in zip(tokens, made, texts, strict=True):
                each[min(_behind(encoding, len(prompt + separator)), len(each) - 1) :] |= AVERAGED
        return tokens, spans

    @cached_property
    def marks(self) -> TemplateMarks:
        """How the tokenizer's chat template begins and ends what it makes."""
        return template_marks(self.tokenizer)

    def _begun_once(self, texts: Sequence[str]) -> list[Any]:
        """Return each text's encoding; one that brings its token to begin with, or is a template's, gets no other."""
        begin = self.tokenizer.bos_token
        brings = [self.marks.made(each) or (begin is not None and each.startswith(begin)) for each in texts]
        found: dict[int, Any] = {}
        for begun in (False, True):
            rows = [row for row, each in enumerate(brings) if each is begun]
            if rows:
                made = self.tokenizer([texts[row] for row in rows], add_special_tokens=not begun)
                found.update(zip(rows, made.encodings, strict=True))
        return [found[row] for row in range(len(texts))]

    def padded(self, tokens: Sequence[Tokens], make: Callable[[dict[str, Tensor]], _Batch], device: Any) -> _Batch:
        """Return an encoder's batch, padded to its longest text, on a device."""
        width = max(map(len, tokens))
        ids = np.full((len(tokens), width), self.tokenizer.pad_token_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, each in enumerate(tokens):
            ids[row, : len(each)] = each
            mask[row, : len(each)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in self.tokenizer.model_input_names and self.tokenizer.sep_token_id is not None:
            after = np.cumsum(ids == self.tokenizer.sep_token_id, axis=1) - (ids == self.tokenizer.sep_token_id)
            inputs["token_type_ids"] = np.where(mask == 1, np.minimum(after, 1), 0)
        return make({name: torch.from_numpy(each).to(device) for name, each in inputs.items()})

    def save(self, folder: Path) -> None:
        """Write config, weights and tokenizer as a one-label checkpoint whose head is the members' mean."""
        state = {name: value.detach().cpu().contiguous() for name, value in self.model.state_dict().items()}
        for name in (f"{self.model.rrm_head}.weight", f"{self.model.rrm_head}.bias"):
            if name in state:
                state[name] = state[name].double().mean(dim=0, keepdim=True).to(state[name].dtype)
        ours, self.model.config._attn_implementation_internal = self.model.config._attn_implementation_internal, None
        try:
            with quiet():
                self.model.save_pretrained(str(folder), state_dict=state, max_shard_size="1000GB")
        finally:
            self.model.config._attn_implementation_internal = ours
        self.tokenizer.save_pretrained(str(folder))


@alone
def load_classifier(
    name: str, members: int = 1, device: str = "auto", dtype: str = "auto", trained: bool = False, seed: int = 0
) -> Classifier:
    """Load `minilm`, a folder or a Hugging Face name as a one-label classifier with a head of `members`.

    With `trained` the checkpoint must bring its head; without, a head that is missing is drawn, by
    `seed`, and so are missing layers between trunk and head (`Classifier.drawn`). Raises InputError for a checkpoint
    with several labels, custom code, pad = eos, no fast tokenizer, or an architecture that cannot be read.
    """
    place, autocast = resolve(device, dtype)
    checkpoint, tokenizer = _opened(name)
    torch.manual_seed(seed)  # what is new, such as the head; the generator is nobody else's concern
    model, missing = _read(checkpoint)
    head = _head(name, model)
    if trained and missing:
        raise InputError(f"{name!r} is no trained reward model: it has no {', '.join(missing[:3])}")
    _set_pad(model, tokenizer)
    causal = is_decoder(checkpoint)
    if causal:
        share_source(model.base_model)
    without_dropout(model)
    _widen(model, head, members, drawn=f"{head}.weight" in missing, seed=seed)
    drawn = tuple(name for name in missing if name.rpartition(".")[0] != head)
    model = model.to(place)
    return Classifier(model, tokenizer, causal, autocast, positions(model), drawn)


def outline(name: str) -> Any:
    """Return a checkpoint as a classifier without weights, which is made at once: its modules, on no device.

    Of the weights the names and shapes are read, and no more. Raises InputError as `load_classifier` does, but for
    what a large decoder alone tells (`rrm.backbone.decoder.check_shareable`).
    """
    checkpoint, _ = _opened(name)
    model, _ = _read(checkpoint, device_map="meta")
    _head(name, model)
    if is_decoder(checkpoint):
        check_shareable(model)
    return model


@alone
def _read(checkpoint: Checkpoint, **options: Any) -> tuple[Any, list[str]]:
    """Return a checkpoint as a one-label classifier, and which weights it lacks that are drawn, such as its head's.

    Raises InputError for what cannot be read, and for weights that the config does not fit or that the trunk lacks.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder = str(checkpoint.folder)
    with quiet():
        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False, num_labels=1)
            model, found = AutoModelForSequenceClassification.from_pretrained(
                folder, config=config, trust_remote_code=False, use_safetensors=True, dtype=torch.float32,
                output_loading_info=True, ignore_mismatched_sizes=True, **options,
            )  # fmt: skip
        except Exception as error:  # a damaged file fails in as many ways as there are libraries below
            raise InputError(
                f"{checkpoint.name!r} cannot be read as a one-label classifier: {first_line(error)}"
            ) from error
    fitting(checkpoint.name, found["mismatched_keys"])
    missing = sorted(key for key in found["missing_keys"] if not key.startswith("base_model"))
    whole(checkpoint.name, [key for key in missing if key.startswith(f"{model.base_model_prefix}.")])
    return model, missing


def _opened(name: str) -> tuple[Checkpoint, Any]:
    """Return a checkpoint and its tokenizer; raise InputError where they cannot be a reward model's."""
    checkpoint = find_checkpoint(name)
    _one_label(name, checkpoint.folder)
    tokenizer = _tokenizer(name, str(checkpoint.folder))
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id == tokenizer.eos_token_id:
        raise InputError(
            f"{name!r} pads with its end-of-sequence token {tokenizer.eos_token!r}, so other programs, which read the"
            " last token that is not padding, read another than is trained: give its tokenizer a pad_token of its own"
        )
    return checkpoint, tokenizer


def positions(model: Any) -> int:
    """Return the most tokens that a model reads at once, whatever stands in the same row or batch.

    RoBERTa's positions begin behind that of its padding. LongRoPE turns all texts of a batch faster
    or slower by its longest one, so only what is short for it has one reading.
    """
    config = model.config
    most = int(getattr(config, "max_position_embeddings", None) or 512)
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            most = min(most, module.num_embeddings - module.padding_idx - 1)
    rotary = getattr(config, "rope_parameters", None) or {}
    if rotary.get("rope_type") == "longrope":
        most = min(most, int(rotary.get("original_max_position_embeddings") or most))
    return most


def _widen(model: Any, name: str, members: int, drawn: bool, seed: int) -> None:
    """Put a `Head` of `members` in the place of the head: each starts from it, or is drawn, as widely, if it was."""
    old: nn.Linear = model.get_submodule(name)
    head = Head(old.in_features, members, bias=old.bias is not None)
    with torch.no_grad():
        head.weight.copy_(old.weight.expand_as(head.weight))
        if drawn:
            random = torch.Generator().manual_seed(seed)
            head.weight[1:].copy_(
                torch.randn(members - 1, old.in_features, generator=random) * old.weight.square().mean().sqrt()
            )
        if old.bias is not None:
            head.bias.copy_(old.bias.expand_as(head.bias))
    model.set_submodule(name, head)
    model.rrm_head = name


def _head(name: str, model: Any) -> str:
    heads = [
        path
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == 1 and path.rpartition(".")[2] in _HEADS
    ]
    if len(heads) != 1:
        raise InputError(
            f"{name!r} ({type(model).__name__}) has no single linear head with one label: use --tune frozen"
        )
    return str(heads[0])


def _one_label(name: str, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    classifies = any("SequenceClassification" in each for each in config.get("architectures") or ())
    labels = len(config["id2label"]) if isinstance(config.get("id2label"), dict) else config.get("num_labels", 2)
    if classifies and labels != 1:
        raise InputError(
            f"{name!r} classifies into {labels} labels; a reward model has one: train it with num_labels=1"
        )


@alone
def _tokenizer(name: str, folder: str) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:
        raise InputError(f"{name!r} has no tokenizer that can be read: save it with a tokenizer.json") from error
    if not tokenizer.is_fast:
        raise InputError(f"{name!r} has only a slow tokenizer: save it with a tokenizer.json")
    tokenizer.truncation_side, tokenizer.padding_side = "left", "right"
    tokenizer.model_max_length = int(1e30)  # lengths are ours to check
    return tokenizer


def _set_pad(model: Any, tokenizer: Any) -> None:
    """Give a tokenizer without a padding token one."""
    if tokenizer.pad_token_id is None:
        tokenizer.add_special_tokens({"pad_token": PAD})
        if len(tokenizer) > model.get_input_embeddings().num_embeddings:
            with quiet():
                model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.config.pad_token_id = tokenizer.pad_token_id


def _span(encoding: Any, prompt: int, begin: int | None) -> tuple[int, int]:
    """Return the first token of the prompt behind the special ones and `begin`, and the end of those whole in it."""
    inside = [
        place
        for place, (sequence, (start, end)) in enumerate(zip(encoding.sequence_ids, encoding.offsets, strict=True))
        if sequence == 0 and start < end <= prompt
    ]
    ids = encoding.ids  # made anew each time that it is asked for
    own = [place for place in inside if ids[place] != begin]
    return (own[0], inside[-1] + 1) if own else (0, 0)


def _behind(encoding: Any, letters: int) -> int:
    """Return the first token from which on none is of the first so many letters alone."""
    offsets = encoding.offsets  # made anew each time that it is asked for
    first = len(offsets)
    while first and (offsets[first - 1][1] > letters or offsets[first - 1][0] == offsets[first - 1][1]):
        first -= 1
    return first
