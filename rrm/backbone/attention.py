"""Attention over packed rows: exact, with no work on what a token may not attend to.

Three ways, equal but for rounding: `dense` builds the whole mask, and is the reference; `blocks`
runs the CPU's flash kernel on what is allowed and nothing else; `flex` is FlexAttention, for GPUs.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from rrm.backbone.layout import Branches, Layout
from rrm.core.errors import InputError

NAME = "rrm_shared_source"

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def register() -> None:
    """Make the attention known to transformers under `NAME`; a second time changes nothing."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, shared_source_attention)


def shared_source_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    *,
    layout: Layout | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attend within a layout: what transformers calls in every layer.

    `query` is [1, heads, tokens, head size], `key` and `value` [1, key heads, tokens, head size];
    returns [1, tokens, heads, head size]. In a layer whose module says `reads_last_only`, only the
    outputs' last tokens are asked and all other rows are zero, unless other tokens' states are averaged. No dropout is
    applied: the outputs of a group would share one mask on their source and no other way of reading them would.
    """
    if layout is None or s_aux is not None:
        raise InputError("this backbone's attention cannot share a source (sinks, or no layout): train it with frozen")
    query, key = query.to(value.dtype), key.to(value.dtype)  # under autocast, rotary positions leave them in float32
    layer = int(getattr(module, "layer_idx", 0))
    if layout.cache is not None and layout.fills_cache:
        layout.cache.put(layer, key, value)
    elif layout.cache is not None:
        key, value = layout.cache.before(layer, key, value)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    window = sliding_window if sliding_window is not None and layout.longest > sliding_window else None
    last_only = bool(getattr(module, "reads_last_only", False)) and layout.mean is None
    way = _way(query, window, softcap)
    return way(query, key, value, layout, scale, window, softcap, last_only).transpose(1, 2), None


def _way(query: Tensor, window: int | None, softcap: float | None) -> Callable[..., Tensor]:
    if query.device.type == "cuda":
        return flex
    return blocks if query.device.type == "cpu" and window is None and softcap is None else dense


def dense(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: Layout,
    scale: float,
    window: int | None = None,
    softcap: float | None = None,
    last_only: bool = False,
) -> Tensor:
    """Attend under a mask of all queries by all keys, [1, heads, tokens, head size]."""
    asked = layout.last if last_only else torch.arange(query.shape[2], device=query.device)
    every = torch.arange(key.shape[2], device=query.device)
    mask = layout.allowed(layout.cached + asked[:, None], every[None, :], window)
    part, key, value = query[:, :, asked], _repeated(key, query), _repeated(value, query)
    if softcap is None:
        found = scaled_dot_product_attention(part, key, value, attn_mask=mask, scale=scale)
    else:
        logits = softcap * torch.tanh((part @ key.transpose(-1, -2)) * (scale / softcap))
        weights = logits.masked_fill(~mask, -torch.inf).softmax(
            dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32)
        )
        found = weights.to(value.dtype) @ value
    return _placed(found, asked, query) if last_only else found


def flex(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: Layout,
    scale: float,
    window: int | None = None,
    softcap: float | None = None,
    last_only: bool = False,
) -> Tensor:
    """Attend with FlexAttention under a block mask, [1, heads, tokens, head size]; compiled on GPUs."""
    from torch.nn.attention.flex_attention import create_block_mask

    asked = layout.last if last_only else torch.arange(query.shape[2], device=query.device)
    if not len(asked):
        return torch.zeros_like(query)

    def mask_mod(batch: Tensor, head: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return layout.allowed(layout.cached + asked[q], k, window)

    def score_mod(score: Tensor, batch: Tensor, head: Tensor, q: Tensor, k: Tensor) -> Tensor:
        assert softcap is not None
        return softcap * torch.tanh(score / softcap)

    known = (last_only, window)
    if known not in layout.known:
        layout.known[known] = create_block_mask(mask_mod, None, None, len(asked), key.shape[2], device=query.device)
    attend = _compiled() if query.device.type == "cuda" else _plain()
    found: Tensor = attend(
        query[:, :, asked] if last_only else query,
        key,
        value,
        score_mod=None if softcap is None else score_mod,
        block_mask=layout.known[known],
        scale=scale,
        enable_gqa=key.shape[1] != query.shape[1],
    )
    return _placed(found, asked, query) if last_only else found


@cache
def _compiled() -> Callable[..., Tensor]:
    compiled: Callable[..., Tensor] = torch.compile(_plain(), dynamic=True)
    return compiled


def _plain() -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    return flex_attention


def blocks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: Layout,
    scale: float,
    window: int | None = None,
    softcap: float | None = None,
    last_only: bool = False,
) -> Tensor:
    """Attend block by block with the CPU's flash kernel, [1, heads, tokens, head size].

    A source attends to itself; all outputs together to their source, without a mask; each output
    to itself. An output's two parts are merged by their log-sum-exp. The backward pass gives the
    kernel the merged output and log-sum-exp, with which each part's gradients are exact, as in
    ring attention (Liu et al., 2023, arXiv:2310.01889).
    """
    found: Tensor = _Blocks.apply(query, key, value, layout, scale, last_only)  # type: ignore[no-untyped-call]
    return found


class _Blocks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, layout: Layout, scale: float, last_only: bool
    ) -> Tensor:
        out = torch.zeros_like(query)
        sums = query.new_zeros(query.shape[:3], dtype=torch.promote_types(query.dtype, torch.float32))
        for each in layout.branches:
            source = slice(each.start, each.start + each.source)
            if each.source and not last_only:
                found, total = _flash(query[:, :, source], *_pair(key, value, source, query), 0.0, True, scale=scale)
                out[:, :, source], sums[:, :, source] = found, total
            if each.outputs:
                _read_outputs(query, key, value, layout, each, scale, last_only, out, sums)
        ctx.save_for_backward(query, key, value, out, sums)
        ctx.layout, ctx.scale, ctx.last_only = layout, scale, last_only
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, sums = ctx.saved_tensors
        layout, scale, last_only = ctx.layout, ctx.scale, ctx.last_only
        grads = torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for each in layout.branches:
            source = slice(each.start, each.start + each.source)
            if each.source and not last_only:
                keys, values = _pair(key, value, source, query)
                parts = _flash_backward(
                    grad[:, :, source].contiguous(), query[:, :, source], keys, values, out[:, :, source],
                    sums[:, :, source].contiguous(), 0.0, True, scale=scale,
                )  # fmt: skip
                grads[0][:, :, source] += parts[0]
                for into, part in zip(grads[1:], parts[1:], strict=True):
                    into[:, :, source] += _summed(part, key)
            if each.outputs:
                _send_back(grad, query, key, value, layout, each, scale, last_only, out, sums, grads)
        return (*grads, None, None, None)


def _read_outputs(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: Layout,
    each: Branches,
    scale: float,
    last_only: bool,
    out: Tensor,
    sums: Tensor,
) -> None:
    """Fill in the rows of one group's outputs: attention to their source merged with that to themselves."""
    asked, own, mask, valid = _places(layout, each, last_only)
    found, total = _flash(
        _batched(query, asked), *_own_pair(key, value, layout.cached + own, query), 0.0, not last_only,
        attn_mask=None if mask is None else mask.to(query.dtype), scale=scale,
    )  # fmt: skip
    places = asked[valid]
    found, total = found.transpose(1, 2)[valid], total.transpose(1, 2)[valid]  # [outputs' tokens, heads, ...]
    found, total = found.transpose(0, 1)[None], total.transpose(0, 1)[None]
    source = _source(layout, each)
    if source.stop > source.start:
        folded = _folded(query[:, :, places], key)
        above, over = _flash(folded, key[:, :, source], value[:, :, source], 0.0, False, scale=scale)
        above, over = above.reshape(found.shape), over.reshape(total.shape)
        both = torch.logaddexp(over, total)
        found = above * (over - both).exp()[..., None].to(above.dtype) + found * (total - both).exp()[..., None].to(
            found.dtype
        )
        total = both
    out[:, :, places], sums[:, :, places] = found, total


def _send_back(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: Layout,
    each: Branches,
    scale: float,
    last_only: bool,
    out: Tensor,
    sums: Tensor,
    grads: tuple[Tensor, Tensor, Tensor],
) -> None:
    """Add one group's gradients through its outputs' rows to those of query, key and value."""
    asked, own, mask, valid = _places(layout, each, last_only)
    incoming = _batched(grad, asked) * valid[:, None, :, None]
    total = sums[0][:, asked].transpose(0, 1).contiguous()
    keys, values = _own_pair(key, value, layout.cached + own, query)
    parts = _flash_backward(
        incoming, _batched(query, asked), keys, values, _batched(out, asked), total, 0.0, not last_only,
        attn_mask=None if mask is None else mask.to(query.dtype), scale=scale,
    )  # fmt: skip
    places = asked[valid]
    to_query = parts[0].transpose(1, 2)[valid].transpose(0, 1)[None]
    source = _source(layout, each)
    if source.stop > source.start:
        folded = [_folded(tensor[:, :, places], key) for tensor in (grad, query, out)]
        merged = sums[:, :, places].reshape(1, key.shape[1], -1).contiguous()
        above = _flash_backward(
            folded[0], folded[1], key[:, :, source], value[:, :, source], folded[2], merged, 0.0, False, scale=scale
        )
        to_query = to_query + above[0].reshape(to_query.shape)
        grads[1][:, :, source] += above[1]
        grads[2][:, :, source] += above[2]
    grads[0][:, :, places] += to_query
    real = ~layout.own(each)[1]
    for into, part in zip(grads[1:], parts[1:], strict=True):
        summed = part.reshape(len(own), key.shape[1], -1, *part.shape[2:]).sum(2)  # over the heads that share a key
        into[:, :, layout.cached + own[real]] += summed.transpose(1, 2)[real].transpose(0, 1)[None]


def _places(layout: Layout, each: Branches, last_only: bool) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Return the places asked [outputs, asked], those of the outputs' own keys, a mask of keys, and who really asks.

    Where all tokens of an output are asked, causality hides the padding behind it. Where only the
    last is, a mask does, if there is any padding.
    """
    own, padding = layout.own(each)
    if not last_only:
        return own, own, None, ~padding
    first = sum(len(other.outputs) for other in layout.branches[: layout.branches.index(each)])
    asked = layout.last[first : first + len(each.outputs)][:, None]
    mask = None
    if padding.any():
        mask = torch.zeros(padding.shape, device=padding.device).masked_fill(padding, -torch.inf)[:, None, None, :]
    return asked, own, mask, torch.ones_like(asked, dtype=torch.bool)


def _source(layout: Layout, each: Branches) -> slice:
    return slice(0, layout.cached) if layout.cached else slice(each.start, each.start + each.source)


def _batched(tensor: Tensor, places: Tensor) -> Tensor:
    """Return the rows [1, heads, tokens, size] at places [outputs, n] as [outputs, heads, n, size]."""
    return tensor[0][:, places].transpose(0, 1)


def _pair(key: Tensor, value: Tensor, at: slice, query: Tensor) -> tuple[Tensor, Tensor]:
    return _repeated(key[:, :, at], query), _repeated(value[:, :, at], query)


def _own_pair(key: Tensor, value: Tensor, own: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
    return _repeated(_batched(key, own), query), _repeated(_batched(value, own), query)


def _repeated(tensor: Tensor, query: Tensor) -> Tensor:
    """Give every query head its key head: [..., key heads, n, size] to [..., heads, n, size]."""
    times = query.shape[1] // tensor.shape[1]
    return tensor if times == 1 else tensor.repeat_interleave(times, dim=1)


def _summed(tensor: Tensor, key: Tensor) -> Tensor:
    """Sum gradients over the query heads that share a key head."""
    batch, heads, tokens, size = tensor.shape
    return tensor.reshape(batch, key.shape[1], heads // key.shape[1], tokens, size).sum(2)


def _folded(tensor: Tensor, key: Tensor) -> Tensor:
    """Lay the query heads that share a key head end to end: without a mask they are just more queries."""
    return tensor.reshape(1, key.shape[1], -1, tensor.shape[-1])


def _placed(found: Tensor, at: Tensor, query: Tensor) -> Tensor:
    return torch.zeros_like(query).index_copy(2, at, found)
