"""Attention over packed rows: three ways, one answer, and the answer of every text by itself."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from rrm.backbone.attention import blocks, dense, flex, shared_source_attention
from rrm.backbone.layout import Layout, pack, pack_outputs, pack_source
from rrm.core.errors import InputError
from tests.backbone.backbone_decoders import group

HEADS, SIZE, SCALE = 4, 8, 0.7
WAYS = {"blocks": blocks, "dense": dense, "flex": flex}
SHAPES = [[(11, (4, 7, 3)), (5, (6,)), (9, (4, 4)), (0, (3, 5))], [(0, (1,))], [(6, (2, 2))], [(3, (1, 9, 1, 4, 2))]]

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")


def _layout(shape: list[tuple[int, tuple[int, ...]]]) -> Layout:
    random = np.random.default_rng(3)
    return pack([group(random, source, outputs) for source, outputs in shape]).layout


def _tensors(layout: Layout, key_heads: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    tokens = sum(each.tokens for each in layout.branches)
    draw = torch.Generator().manual_seed(tokens)
    sizes = [(HEADS, tokens), (key_heads, layout.cached + tokens), (key_heads, layout.cached + tokens)]
    made = [torch.randn(1, heads, n, SIZE, generator=draw, dtype=torch.float64) for heads, n in sizes]
    query, key, value = (each.to(dtype).requires_grad_() for each in made)
    return query, key, value


def _alone(
    query: Tensor, key: Tensor, value: Tensor, layout: Layout, window: int | None = None, softcap: float | None = None
) -> Tensor:
    """Attend text by text: each source, and each output behind its source, by the textbook formula."""
    out, before = torch.zeros_like(query), layout.cached
    for each in layout.branches:
        source = [*range(before), *range(before + each.start, before + each.start + each.source)]
        ends = np.cumsum([before + each.start + each.source, *each.outputs])
        texts = [source, *([*source, *range(first, end)] for first, end in pairwise(ends))]
        for text in texts:
            asked = [place - before for place in text if place >= before]
            if asked:
                rows = _textbook(query[0][:, asked], key[0][:, text], value[0][:, text], window, softcap)
                out = out.index_copy(2, torch.tensor(asked), rows[None])
    return out


def _textbook(query: Tensor, key: Tensor, value: Tensor, window: int | None, softcap: float | None) -> Tensor:
    """Causal attention [heads, asked, size] of a text's last rows; head h reads key head h // (heads / key heads)."""
    rows = []
    for head in range(len(query)):
        its = head * len(key) // len(query)
        logits = query[head] @ key[its].T * SCALE
        logits = logits if softcap is None else softcap * torch.tanh(logits / softcap)
        distance = torch.arange(logits.shape[1]) - torch.arange(logits.shape[1])[-logits.shape[0] :, None]
        seen = (distance <= 0) & (distance > -(window or 10**6))
        rows.append(torch.where(seen, logits, -torch.inf).softmax(1) @ value[its])
    return torch.stack(rows)


@pytest.mark.parametrize("key_heads", [4, 2])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_equals_each_text_read_by_itself(
    way: str, shape: list[tuple[int, tuple[int, ...]]], key_heads: int
) -> None:
    layout = _layout(shape)
    query, key, value = (each.detach() for each in _tensors(layout, key_heads))
    expected = _alone(query, key, value, layout)
    torch.testing.assert_close(WAYS[way](query, key, value, layout, SCALE), expected, atol=1e-12, rtol=0)
    last = WAYS[way](query, key, value, layout, SCALE, last_only=True)
    torch.testing.assert_close(last[:, :, layout.last], expected[:, :, layout.last], atol=1e-12, rtol=0)
    others = np.setdiff1d(np.arange(query.shape[2]), layout.last.numpy())
    assert not last[:, :, others].any()


@pytest.mark.parametrize("key_heads", [4, 2, 1])
@pytest.mark.parametrize("last_only", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", ["blocks", "dense"])
def test_gradients_equal_those_of_each_text_read_by_itself(
    way: str, shape: list[tuple[int, tuple[int, ...]]], last_only: bool, key_heads: int
) -> None:
    layout = _layout(shape)
    inputs = _tensors(layout, key_heads)
    weights = torch.randn(inputs[0].shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    if last_only:
        weights = torch.zeros_like(weights).index_copy(2, layout.last, weights[:, :, layout.last])
    expected = torch.autograd.grad((_alone(*inputs, layout) * weights).sum(), inputs)
    found = torch.autograd.grad((WAYS[way](*inputs, layout, SCALE, last_only=last_only) * weights).sum(), inputs)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=0)


@pytest.mark.parametrize("window", [1, 3, 6, 100, None])
@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("way", ["dense", "flex"])
def test_windows_and_soft_caps_are_those_of_each_text(way: str, softcap: float | None, window: int | None) -> None:
    layout = _layout(SHAPES[0])
    query, key, value = (each.detach() for each in _tensors(layout, 2))
    expected = _alone(query, key, value, layout, window, softcap)
    for last_only, places in ((False, torch.arange(query.shape[2])), (True, layout.last)):
        found = WAYS[way](query, key, value, layout, SCALE, window, softcap, last_only)
        torch.testing.assert_close(found[:, :, places], expected[:, :, places], atol=1e-12, rtol=0)


def test_layers_with_and_without_a_window_share_a_row() -> None:
    layout = _layout(SHAPES[0])
    query, key, value = (each.detach() for each in _tensors(layout, 2))
    for window in (None, 3, None, 6):
        found = flex(query, key, value, layout, SCALE, window)
        torch.testing.assert_close(found, _alone(query, key, value, layout, window), atol=1e-12, rtol=0)


@pytest.mark.parametrize("last_only", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_outputs_behind_cached_keys_see_them_as_their_source(way: str, last_only: bool) -> None:
    random = np.random.default_rng(5)
    _, cache = pack_source(random.integers(3, 100, 7).astype(np.int32))
    layout = pack_outputs([random.integers(3, 100, size).astype(np.int32) for size in (2, 5, 1)], cache).layout
    query, key, value = (each.detach() for each in _tensors(layout, 2))
    expected = _alone(query, key, value, layout)
    found = WAYS[way](query, key, value, layout, SCALE, last_only=last_only)
    places = layout.last if last_only else torch.arange(8)
    torch.testing.assert_close(found[:, :, places], expected[:, :, places], atol=1e-12, rtol=0)


@pytest.mark.parametrize("way", ["dense", "flex"])
def test_a_window_may_end_within_the_cached_source(way: str) -> None:
    _, cache = pack_source(np.arange(7, dtype=np.int32))
    layout = pack_outputs([np.arange(2, dtype=np.int32), np.arange(5, dtype=np.int32)], cache).layout
    query, key, value = (each.detach() for each in _tensors(layout, 2))
    expected = _alone(query, key, value, layout, window=4)
    torch.testing.assert_close(WAYS[way](query, key, value, layout, SCALE, 4), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.03)])
@pytest.mark.parametrize("way", WAYS)
def test_lower_precision_stays_within_its_rounding(way: str, dtype: torch.dtype, tolerance: float) -> None:
    layout = _layout(SHAPES[0])
    query, key, value = (each.detach().to(dtype) for each in _tensors(layout, 2))
    expected = _alone(query.double(), key.double(), value.double(), layout)
    found = WAYS[way](query, key, value, layout, SCALE)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, atol=tolerance, rtol=0)


def test_logits_that_would_overflow_give_the_one_value_that_wins() -> None:
    layout = _layout([(2, (1, 1))])
    query = torch.full((1, 1, 4, SIZE), 100.0)
    key = torch.stack([torch.full((SIZE,), size) for size in (1.0, 1000.0, -1000.0, 1e5)])[None, None]
    value = torch.eye(4, SIZE)[None, None]
    for way in WAYS.values():
        found = way(query, key, value, layout, SCALE)
        assert found[0, 0].argmax(1).tolist() == [0, 1, 1, 3]  # the first output's own key is far below its source's
        torch.testing.assert_close(found.sum(-1), torch.ones(1, 1, 4))


def test_keys_that_nobody_may_read_get_no_gradient() -> None:
    layout = _layout([(6, (3, 2))])
    query, key, value = _tensors(layout, 2)
    blocks(query, key, value, layout, SCALE)[:, :, 6:9].sum().backward()  # the first output alone
    assert key.grad is not None and value.grad is not None and query.grad is not None
    assert not key.grad[:, :, 9:].any() and not value.grad[:, :, 9:].any() and not query.grad[:, :, 9:].any()
    assert value.grad[:, :, :9].abs().min() > 0


def test_what_transformers_calls_applies_windows_only_where_they_matter() -> None:
    layout = _layout(SHAPES[0])
    query, key, value = (each.detach() for each in _tensors(layout, 2))
    module = torch.nn.Module()
    for window in (4, layout.longest - 1, layout.longest, None):  # the longest has 18 tokens
        found, weights = shared_source_attention(
            module, query, key, value, layout=layout, scaling=SCALE, sliding_window=window
        )
        assert weights is None
        expected = _alone(query, key, value, layout, window).transpose(1, 2)
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_the_usual_scale_is_one_over_the_root_of_the_head_size() -> None:
    layout = _layout(SHAPES[2])
    query, key, value = (each.detach() for each in _tensors(layout, 4))
    found, _ = shared_source_attention(torch.nn.Module(), query * (SCALE * SIZE**0.5), key, value, layout=layout)
    torch.testing.assert_close(found, _alone(query, key, value, layout).transpose(1, 2), atol=1e-12, rtol=0)


def test_queries_and_keys_wider_than_the_values_are_read_in_the_values_dtype() -> None:
    layout = _layout(SHAPES[0])  # as under autocast, where rotary positions leave queries and keys in float32
    query, key, value = (each.detach().float() for each in _tensors(layout, 2))
    half = [each.bfloat16() for each in (query, key, value)]
    found, _ = shared_source_attention(torch.nn.Module(), query, key, half[2], layout=layout)
    expected, _ = shared_source_attention(torch.nn.Module(), *half, layout=layout)
    assert torch.equal(found, expected)


def test_attention_with_sinks_or_without_a_layout_is_refused() -> None:
    layout = _layout(SHAPES[1])
    query, key, value = (each.detach() for each in _tensors(layout, 4))
    for arguments in ({"layout": layout, "s_aux": torch.zeros(4)}, {}):
        with pytest.raises(InputError, match="cannot share a source"):
            shared_source_attention(torch.nn.Module(), query, key, value, **arguments)


def test_keys_of_several_layers_lie_in_one_cache_by_layer() -> None:
    row, cache = pack_source(np.arange(5, dtype=np.int32))
    inputs = [
        tuple(each.detach() for each in _tensors(row.layout, 2)),
        tuple(torch.randn(1, 4, 5, SIZE) for _ in "qkv"),
    ]
    for layer, each in enumerate(inputs):
        module = torch.nn.Module()
        module.layer_idx = layer  # type: ignore[assignment]
        shared_source_attention(module, *each, layout=row.layout)
    key, value = cache.before(0, inputs[0][1][:, :, :1], inputs[0][2][:, :, :1])
    assert torch.equal(key[:, :, :5], inputs[0][1]) and torch.equal(value[:, :, :5], inputs[0][2])
    assert key.shape[2] == 6


@pytest.mark.slow
def test_a_new_row_does_not_compile_the_kernel_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.testing import CompileCounterWithBackend
    from torch.nn.attention.flex_attention import flex_attention

    counter = CompileCounterWithBackend("aot_eager")  # traced as for a GPU, without its code
    compiled = torch.compile(flex_attention, dynamic=True, backend=counter, fullgraph=True)
    monkeypatch.setattr("rrm.backbone.attention._plain", lambda: compiled)
    shapes = [
        [(200, (40, 30)), (100, (20, 20, 20))],
        [(190, (41, 30)), (100, (20, 25)), (50, (9, 8))],
        [(300, (40,) * 4)],
    ]
    compilations = []
    for shape in shapes:
        layout = _layout(shape)
        query, key, value = (each.detach().float() for each in _tensors(layout, 2))
        for last_only in (False, True):
            expected = dense(query, key, value, layout, SCALE, last_only=last_only)
            found = flex(query, key, value, layout, SCALE, last_only=last_only)
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        compilations.append(counter.frame_count)
    assert compilations[0] == compilations[1] == compilations[2] > 0


@pytest.mark.gpu
@pytest.mark.parametrize("last_only", [False, True])
@pytest.mark.parametrize(("window", "softcap"), [(None, None), (6, None), (None, 2.0)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-3), (torch.bfloat16, 2e-2)])
def test_the_gpu_gives_what_the_cpu_gives(
    dtype: torch.dtype, tolerance: float, window: int | None, softcap: float | None, last_only: bool
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    random = np.random.default_rng(3)
    groups = [group(random, source, outputs) for source, outputs in [(300, (40, 70, 30)), (50, (60,)), (0, (30, 5))]]
    here, there = pack(groups).layout, pack(groups, "cuda").layout
    draw = torch.Generator().manual_seed(0)
    made = [torch.randn(1, heads, 655, 64, generator=draw).to(dtype) for heads in (4, 2, 2)]
    weights = torch.randn(made[0].shape, generator=draw, dtype=torch.float64)
    near = [each.double().requires_grad_() for each in made]
    far = [each.cuda().requires_grad_() for each in made]
    expected = dense(*near, here, SCALE / 8, window, softcap, last_only)
    found = flex(*far, there, SCALE / 8, window, softcap, last_only)
    torch.testing.assert_close(found.double().cpu(), expected, atol=tolerance, rtol=tolerance)
    (expected * weights).sum().backward()
    (found * weights.to(found)).sum().backward()
    for one, other in zip(far, near, strict=True):
        assert one.grad is not None and other.grad is not None
        gap = (one.grad.double().cpu() - other.grad).norm() / other.grad.norm()
        assert gap < tolerance
