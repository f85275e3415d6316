"""Causal backbones over packed rows: any Hugging Face decoder, made to read a shared source once."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rrm.backbone.attention import NAME, register
from rrm.backbone.layout import Layout, Row, Tokens, pack, pack_outputs, pack_source, shared_length
from rrm.backbone.load import first_line, quiet
from rrm.core.errors import InputError

_ATTENTION = ("self_attn", "attn", "attention")
_QUERIES = ("q_proj",)
_OUTWARD = ("o_proj", "c_proj", "out_proj", "dense")
_TOLERANCE = 1e-4  # of the states' mean size, in float32; other programs differ by about 1e-6
_TRIED_WEIGHTS = 500_000_000  # 2 GB while it is tried; two layers of a model of 8 billion are fewer
_MEND = "use another, or heads on an encoder (--tune frozen, in a run rrm.reward.frozen:Frozen)"
OUTPUTS_A_ROW = 8
"""Outputs behind a cached source that are read at once: small rows stay in a CPU's cache."""


def share_source(model: Any) -> None:
    """Prepare a decoder (no head), in place, to be called with packed rows by `output_states`.

    Its attention becomes ours, dropout is switched off, and in its last layer what nobody reads is
    not computed: only an output's last token needs a query there, and what follows it. Raises
    InputError for a backbone that then reads differently from one text at a time.
    """
    register()
    model.eval()
    without_dropout(model)
    sample = _sample(model.config.vocab_size)
    with torch.inference_mode():
        alone = torch.stack([_read_alone(model, each) for each in sample])
        if not alone.isfinite().all():
            raise InputError(f"{type(model).__name__} reads a text as what is not finite: its weights are broken")
        model.set_attn_implementation(NAME)
        if model.config._attn_implementation != NAME:
            raise InputError(
                f"{type(model).__name__} brings an attention of its own and cannot share a source: {_MEND}"
            )
        _spare_last_layer(model)
        try:
            together = output_states(model, pack([sample[:3], sample[3:]], alone.device))
        except InputError:
            raise
        except Exception as error:  # foreign code, asked for what it was not written for
            raise InputError(
                f"{type(model).__name__} cannot be read behind a shared source ({first_line(error)}): {_MEND}"
            ) from error
    worst = float((together - alone).abs().max() / alone.abs().mean().clamp(min=1e-6))
    if not worst < _TOLERANCE:
        raise InputError(f"{type(model).__name__} reads differently behind a shared source (by {worst:.1e}): {_MEND}")


def check_shareable(model: Any) -> None:
    """Raise InputError as `share_source` does, for a classifier of a decoder without weights, by its config alone.

    It is tried on a small one of the same kind with random weights: a few tokens, and as many layers as there are
    kinds of them. One of more than `_TRIED_WEIGHTS` weights even so is let pass, and tried when it is loaded.
    """
    config = deepcopy(model.config)
    kinds = list(getattr(config, "layer_types", None) or ())
    layers = max([2, *(kinds.index(kind) + 1 for kind in set(kinds))])
    config.vocab_size, config.num_hidden_layers = min(config.vocab_size, 64), min(config.num_hidden_layers, layers)
    config.pad_token_id = None
    if kinds:
        config.layer_types = kinds[:layers]
    try:
        with quiet(), torch.device("meta"):
            small = type(model)(config).base_model
    except Exception:  # a config that cannot be made smaller: the whole model is tried when it is loaded
        return
    if sum(each.numel() for each in small.parameters()) <= _TRIED_WEIGHTS:
        with quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            share_source(type(model)(config).base_model)


def without_dropout(model: nn.Module) -> None:
    """Switch dropout off for good: outputs of one source would have to share it."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def _sample(vocabulary: int) -> list[Tokens]:
    """Return two small groups of token sequences, of three and of two."""
    random = np.random.default_rng(0)
    sources = [random.integers(0, vocabulary, size) for size in (6, 4)]
    own = [random.integers(0, vocabulary, size) for size in (3, 1, 4, 2, 2)]
    behind = (0, 0, 0, 1, 1)
    return [np.concatenate([sources[at], each]).astype(np.int32) for at, each in zip(behind, own, strict=True)]


def _read_alone(model: Any, tokens: Tokens) -> Tensor:
    ids = torch.from_numpy(tokens.astype(np.int64))[None].to(next(model.parameters()).device)
    found: Tensor = model(input_ids=ids, use_cache=False).last_hidden_state[0, -1]
    return found


def output_states(model: Any, row: Row) -> Tensor:
    """Return the hidden state of every output, [outputs, size], outputs in the row's order.

    It is that of its last token, or the mean over its tokens that are marked by `rrm.backbone.layout.AVERAGED`.
    """
    sums, counts = _sums(model, row)
    return sums if counts is None else sums / counts[:, None]


def _sums(model: Any, row: Row) -> tuple[Tensor, Tensor | None]:
    """Return each output's last state, or the sum of those that are averaged [outputs, size] and how many they are."""
    made = model(input_ids=row.ids, position_ids=row.positions, use_cache=False, layout=row.layout)
    states, mean = made.last_hidden_state[0], row.layout.mean
    if mean is None:
        return states[row.layout.last], None
    wide = states[mean.places].to(torch.promote_types(states.dtype, torch.float32))
    return wide.new_zeros(len(mean.counts), wide.shape[1]).index_add(0, mean.output, wide), mean.counts


def read_group(model: Any, sequences: Sequence[Tokens], device: torch.device | str = "cpu") -> Tensor:
    """Return the states [outputs, size] of one group's outputs without gradients, reading its source once.

    Many outputs are read a few at a time behind the source's cached keys and values.
    """
    if len(sequences) <= OUTPUTS_A_ROW:
        return output_states(model, pack([sequences], device))
    shared = shared_length(sequences)
    if not shared:
        rows = [sequences[at : at + OUTPUTS_A_ROW] for at in range(0, len(sequences), OUTPUTS_A_ROW)]
        return torch.cat([output_states(model, pack([[each] for each in part], device)) for part in rows])
    row, cache = pack_source(sequences[0][:shared], device)
    before, count = _sums(model, row)  # of what all outputs have in common and is averaged, too
    own = [each[shared:] for each in sequences]
    parts = [own[at : at + OUTPUTS_A_ROW] for at in range(0, len(own), OUTPUTS_A_ROW)]
    found = [_sums(model, pack_outputs(part, cache, device)) for part in parts]
    return torch.cat(
        [
            sums if counts is None else (sums + before.sum(dim=0)) / (counts + (0 if count is None else count))[:, None]
            for sums, counts in found
        ]
    )


def _spare_last_layer(model: nn.Module) -> None:
    """Let the last layer compute queries, attention's way out and MLP only where an output ends.

    Its keys and values are needed everywhere; all else is read at `Layout.last` alone, unless states are averaged.
    The rows in between hold zeros that nobody reads, so the results, gradients included, are the same.
    """
    layer = _last_layer(model)
    attention = next((getattr(layer, name) for name in _ATTENTION if hasattr(layer, name)), None) if layer else None
    if layer is None or attention is None or not hasattr(attention, "layer_idx"):
        return
    now: dict[str, Layout] = {}

    def remember(module: nn.Module, arguments: Any, named: dict[str, Any]) -> None:
        now["layout"] = named["layout"]  # set inside the layer, so also when a checkpointed layer runs again

    attention.register_forward_pre_hook(remember, with_kwargs=True)
    attention.reads_last_only = True
    parts = [getattr(attention, name, None) for name in (*_QUERIES, *_OUTWARD)]
    named = [part for part in parts if part is not None]
    feedforward = getattr(layer, "mlp", None)
    if feedforward is not None and not any(
        "expert" in name or "router" in name for name, _ in feedforward.named_modules()
    ):
        named.append(feedforward)
    for module in named:
        _only_last(module, now)


def _only_last(module: nn.Module, now: dict[str, Layout]) -> None:
    def select(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if now["layout"].mean is not None:
            return arguments
        return (arguments[0].index_select(1, now["layout"].last), *arguments[1:])

    def spread(_: nn.Module, arguments: tuple[Tensor, ...], found: Tensor) -> Tensor:
        layout = now["layout"]
        if layout.mean is not None:
            return found
        tokens = sum(each.tokens for each in layout.branches)
        return found.new_zeros(1, tokens, found.shape[-1]).index_copy(1, layout.last, found)

    module.register_forward_pre_hook(select)
    module.register_forward_hook(spread)


def _last_layer(model: nn.Module) -> nn.Module | None:
    for name in ("layers", "h", "blocks"):
        found = getattr(model, name, None)
        if isinstance(found, nn.ModuleList) and len(found):
            return found[-1]
    return None
