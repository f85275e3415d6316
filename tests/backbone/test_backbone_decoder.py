"""Decoders that read a shared source once: the same states and gradients as one text at a time, for less work."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rrm.backbone.decoder import output_states, read_group, share_source
from rrm.backbone.layout import AVERAGED, pack, packed_tokens
from rrm.core.errors import InputError
from tests.backbone.backbone_decoders import FAMILIES, Groups, decoder, flat, group, ragged, read_alone


def _shared(family: str, checkpointing: bool = False, dtype: torch.dtype = torch.float32, **changes: Any) -> Any:
    model = decoder(family, dtype=dtype, **changes)
    share_source(model)
    if checkpointing:
        _checkpoint(model)
        model.train()  # checkpointing is for training only; dropout stays off
    return model


def _checkpoint(model: Any) -> None:
    enable = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)  # the newer name
    enable({"use_reentrant": False})


def _gradients(model: Any, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: each.grad.clone() for name, each in model.named_parameters() if each.grad is not None}


def _worst(found: dict[str, Tensor], expected: dict[str, Tensor], relative: bool = False) -> float:
    """Return the largest difference of any gradient; `relative` to the largest entry of the same parameter."""
    assert found.keys() == expected.keys()
    gaps = [
        (found[name] - each).abs().max() / (each.abs().max().clamp(min=1e-9) if relative else 1)
        for name, each in expected.items()
    ]
    return float(torch.stack(gaps).max())


# ---- float64: exactly equal ----


def _norm64(module: Any, states: Tensor) -> Tensor:
    return module.weight * states / (states.square().mean(-1, keepdim=True) + module.variance_epsilon).sqrt()


def _rotary64(module: Any, states: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
    config = module.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    turns = config.rope_parameters["rope_theta"] ** -(torch.arange(0, size, 2, dtype=torch.float64) / size)
    angles = (position_ids[..., None] * turns).repeat(1, 1, 2)
    return angles.cos(), angles.sin()


@pytest.fixture(params=["llama", "qwen3"])
def exact(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A family whose norm and rotary positions, which stock transformers computes in float32, are in float64."""
    from transformers.models.llama import modeling_llama
    from transformers.models.qwen3 import modeling_qwen3

    for room, name in ((modeling_llama, "Llama"), (modeling_qwen3, "Qwen3")):
        monkeypatch.setattr(getattr(room, f"{name}RMSNorm"), "forward", _norm64)
        monkeypatch.setattr(getattr(room, f"{name}RotaryEmbedding"), "forward", _rotary64)
    return str(request.param)


def _many(seed: int) -> Groups:
    """Groups of one to eight outputs, ragged in every length, one of them without a shared source."""
    random = np.random.default_rng(seed)
    groups = [group(random, 3 + 2 * k, random.integers(1, 9, k)) for k in range(1, 9)]
    return [*groups, group(random, 0, (4, 1, 6)), group(random, 0, (1,))]


def _head(model: Any) -> Tensor:
    draw = torch.Generator().manual_seed(4)
    return torch.randn(model.config.hidden_size, generator=draw, dtype=torch.float64, requires_grad=True)


def _preferred(rewards: Tensor, groups: Groups) -> Tensor:
    """Return a loss that reads every reward of a group against every other, as training does."""
    parts = rewards.split([len(each) for each in groups])
    losses = [nn.functional.softplus(part[:, None] - part[None, :] + 0.3).tril().sum() for part in parts]
    return torch.stack(losses).sum()


@pytest.mark.parametrize("checkpointing", [False, True])
def test_rewards_and_gradients_are_those_of_separate_reading_to_1e_9(exact: str, checkpointing: bool) -> None:
    groups = _many(seed=2)
    alone = decoder(exact, dtype=torch.float64)
    head = _head(alone)
    expected = read_alone(alone, flat(groups)) @ head
    wanted = _gradients(alone, _preferred(expected, groups))
    assert head.grad is not None
    wanted["head"], head.grad = head.grad, None

    model = _shared(exact, checkpointing, torch.float64)
    found = output_states(model, pack(groups)) @ head
    got = _gradients(model, _preferred(found, groups))
    got["head"] = head.grad
    assert expected.abs().mean() > 0.1 and max(each.abs().max() for each in wanted.values()) > 0.1
    assert float((found - expected).detach().abs().max()) <= 1e-9
    assert _worst(got, wanted) <= 1e-9


@pytest.mark.parametrize("checkpointing", [False, True])
def test_two_rows_read_before_one_backward_pass_keep_their_own_layouts(exact: str, checkpointing: bool) -> None:
    first, second = ragged(1), _many(seed=6)[2:5]
    model = _shared(exact, checkpointing, torch.float64)
    head = _head(model).detach()
    losses = [_preferred(output_states(model, pack(each)) @ head, each) for each in (first, second)]
    found = _gradients(model, losses[0] + losses[1])

    alone = decoder(exact, dtype=torch.float64)
    expected = [_preferred(read_alone(alone, flat(each)) @ head, each) for each in (first, second)]
    gaps = [abs(one.item() - other.item()) for one, other in zip(losses, expected, strict=True)]
    assert max(gaps) <= 1e-9
    assert _worst(found, _gradients(alone, expected[0] + expected[1])) <= 1e-9


def test_outputs_behind_a_cached_source_score_as_alone_to_1e_9(exact: str) -> None:
    sequences = group(np.random.default_rng(7), 40, [1 + at % 5 for at in range(20)])
    with torch.no_grad():
        found = read_group(_shared(exact, dtype=torch.float64), sequences)
        expected = read_alone(decoder(exact, dtype=torch.float64), sequences)
    assert float((found - expected).abs().max()) <= 1e-9


# ---- every family, at the precision people train in ----


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_reads_a_packed_row_as_separate_texts_in_float32(family: str, checkpointing: bool) -> None:
    groups = ragged()
    alone, model = decoder(family, "eager"), _shared(family, checkpointing)
    expected, found = read_alone(alone, flat(groups)), output_states(model, pack(groups))
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(8))
    wanted, got = (_gradients(each, (states * weights).sum()) for each, states in ((alone, expected), (model, found)))
    assert float((found - expected).detach().abs().max()) <= 1e-5
    assert _worst(got, wanted, relative=True) <= 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_reads_many_outputs_behind_one_cached_source(family: str) -> None:
    sequences = group(np.random.default_rng(3), 11, (4, 7, 3, 5, 5, 6, 7, 8, 9, 2, 3))
    with torch.no_grad():
        found, expected = read_group(_shared(family), sequences), read_alone(decoder(family, "eager"), sequences)
    assert float((found - expected).abs().max()) <= 1e-5


BFLOAT16 = 0.02
"""Of the states' root mean square: bfloat16 keeps 8 bits, and three layers were seen to err by 0.007 to 0.017."""


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_weights_err_no_more_in_a_packed_row_than_alone(family: str) -> None:
    groups = ragged()
    with torch.no_grad():
        exact = read_alone(decoder(family, "eager"), flat(groups))
        alone = read_alone(decoder(family, "eager", torch.bfloat16), flat(groups)).float()
        found = output_states(_shared(family).bfloat16(), pack(groups)).float()
    size = exact.square().mean().sqrt()
    error, usual = (float((each - exact).square().mean().sqrt() / size) for each in (found, alone))
    assert error <= 1.25 * usual and error <= BFLOAT16


@pytest.mark.parametrize("family", FAMILIES)
def test_autocast_to_bfloat16_reads_and_sends_gradients_back(family: str) -> None:
    groups = ragged()
    model = _shared(family)
    with torch.no_grad():
        exact = output_states(model, pack(groups))
    with torch.autocast("cpu", torch.bfloat16):
        found = output_states(model, pack(groups)).float()
        with torch.no_grad():
            cached = read_group(model, groups[0] * 4).float()
    size = exact.square().mean().sqrt()
    assert float((found.detach() - exact).square().mean().sqrt() / size) <= BFLOAT16
    assert float((cached.reshape(4, 3, -1) - exact[:3]).square().mean().sqrt() / size) <= BFLOAT16
    gradients = _gradients(model, found.square().sum())
    assert all(bool(each.isfinite().all()) for each in gradients.values())


# ---- what must not matter ----


@pytest.mark.parametrize("family", ["llama", "mistral", "gpt2"])
def test_changing_one_output_changes_no_other_state_by_a_bit(family: str) -> None:
    groups = ragged()
    model = _shared(family)
    with torch.no_grad():
        before = output_states(model, pack(groups))
        groups[0][1] = np.concatenate([groups[0][1][:11], groups[0][1][11:] % 90 + 5]).astype(np.int32)
        after = output_states(model, pack(groups))
    assert np.array_equal(np.delete(after.numpy(), 1, axis=0), np.delete(before.numpy(), 1, axis=0))
    assert float((after[1] - before[1]).abs().max()) > 0.01


def test_the_order_of_groups_and_of_outputs_does_not_matter() -> None:
    groups = ragged()
    model = _shared("qwen3")
    with torch.no_grad():
        there = output_states(model, pack(groups))
        back = output_states(model, pack([each[::-1] for each in groups[::-1]]))
    torch.testing.assert_close(back.flip(0), there, atol=1e-5, rtol=0)


def test_dropout_stays_off_in_training() -> None:
    model = decoder("gpt2", attn_pdrop=0.5, resid_pdrop=0.5, embd_pdrop=0.5)
    share_source(model)
    model.train()
    with torch.no_grad():
        one, other = output_states(model, pack(ragged())), output_states(model, pack(ragged()))
        expected = read_alone(decoder("gpt2", "eager"), flat(ragged()))
    assert torch.equal(one, other)
    torch.testing.assert_close(one, expected, atol=1e-5, rtol=0)


# ---- reading one group ----


@pytest.mark.parametrize("family", ["llama", "mistral", "gpt2"])
@pytest.mark.parametrize(("source", "outputs"), [(300, 19), (1, 9), (0, 10), (40, 8), (40, 1)])
def test_a_group_of_any_size_reads_as_its_texts_do(family: str, source: int, outputs: int) -> None:
    random = np.random.default_rng(source)
    sequences = group(random, source, random.integers(1, 30, outputs))
    with torch.no_grad():
        found, expected = read_group(_shared(family), sequences), read_alone(decoder(family, "eager"), sequences)
    assert found.shape == (outputs, 32)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_equal_outputs_and_outputs_that_begin_another_are_read_right() -> None:
    long = group(np.random.default_rng(1), 12, [20])[0]
    sequences = [long, long[:15], long, *(long[: 13 + at] for at in range(7))]
    with torch.no_grad():
        found, expected = read_group(_shared("llama"), sequences), read_alone(decoder("llama"), sequences)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


# ---- the savings, counted in rows ----


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[nn.Module], list[int]]]:
    """Watch a module: the list that is returned grows by the rows it computes at each call."""

    def watch(module: nn.Module) -> list[int]:
        seen: list[int] = []
        original = module.forward

        def counted(states: Tensor, *rest: Any, **named: Any) -> Any:
            seen.append(states.shape[:-1].numel())
            return original(states, *rest, **named)

        monkeypatch.setattr(module, "forward", counted)
        return seen

    yield watch


def test_a_source_is_computed_once_and_its_last_layer_not_at_all(rows: Callable[[nn.Module], list[int]]) -> None:
    random = np.random.default_rng(0)
    groups = [group(random, 50, [10] * 4), group(random, 20, [5] * 3)]
    model = _shared("llama")
    *early, last = model.layers
    every = [rows(part) for layer in early for part in (layer.self_attn.q_proj, layer.self_attn.o_proj, layer.mlp)]
    keys = [rows(layer.self_attn.k_proj) for layer in model.layers]
    spared = [rows(part) for part in (last.self_attn.q_proj, last.self_attn.o_proj, last.mlp, last.mlp.down_proj)]
    output_states(model, pack(groups)).sum().backward()
    tokens = (50 + 4 * 10) + (20 + 3 * 5)
    assert tokens == sum(map(packed_tokens, groups)) < sum(map(len, flat(groups))) == 4 * 60 + 3 * 25
    assert every == [[tokens]] * 6 and keys == [[tokens]] * 3
    assert spared == [[7]] * 4  # one row for each output


def test_checkpointing_computes_twice_what_is_kept_and_no_more(rows: Callable[[nn.Module], list[int]]) -> None:
    first, second = ragged(0)[:2], ragged(1)[:1]
    model = _shared("llama", checkpointing=True)
    seen = rows(model.layers[-1].mlp)
    states = torch.cat([output_states(model, pack(first)), output_states(model, pack(second))])
    states.sum().backward()
    assert seen[:2] == [4, 3] and sorted(seen[2:]) == [3, 4]


def test_many_outputs_behind_one_source_compute_it_once(rows: Callable[[nn.Module], list[int]]) -> None:
    sequences = group(np.random.default_rng(0), 100, [10] * 20)
    model = _shared("llama")
    first, last = rows(model.layers[0].mlp), rows(model.layers[-1].mlp)
    with torch.no_grad():
        read_group(model, sequences)
    assert sum(first) == 100 + 20 * 10 and sum(last) == 20


@pytest.mark.parametrize("family", ["gpt2", "neox", "phi", "gemma2", "olmo2"])
def test_other_families_spare_their_last_feed_forward_layer_too(
    family: str, rows: Callable[[nn.Module], list[int]]
) -> None:
    model = _shared(family)
    layers = getattr(model, "layers", None) or model.h
    first, last = rows(layers[0].mlp), rows(layers[-1].mlp)
    with torch.no_grad():
        row = pack(ragged())
        output_states(model, row)
    assert first == [row.tokens] and last == [8]


def test_experts_see_all_rows_since_their_routes_are_counted(rows: Callable[[nn.Module], list[int]]) -> None:
    from transformers import MixtralConfig, MixtralModel

    sizes = FAMILIES["llama"][1]
    torch.manual_seed(0)
    model = MixtralModel(MixtralConfig(**sizes, num_local_experts=4)).eval()
    expected = read_alone(model, flat(ragged())).detach()
    share_source(model)
    seen = rows(model.layers[-1].mlp)
    with torch.no_grad():
        row = pack(ragged())
        found = output_states(model, row)
    assert seen == [row.tokens]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


# ---- refusals ----


def test_broken_weights_are_not_taken_for_an_attention_that_differs() -> None:
    from transformers import LlamaConfig, LlamaModel

    size = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaModel(LlamaConfig(vocab_size=100, **size))
    model.embed_tokens.weight.data[:] = float("nan")
    with pytest.raises(InputError, match="LlamaModel reads a text as what is not finite: its weights are broken"):
        share_source(model)


def test_an_attention_of_its_own_is_refused_in_one_sentence() -> None:
    from transformers import BloomConfig, BloomModel

    model = BloomModel(BloomConfig(vocab_size=100, hidden_size=32, n_layer=2, n_head=4))
    with pytest.raises(InputError, match=r"BloomModel brings an attention of its own.*--tune frozen") as caught:
        share_source(model)
    assert "\n" not in str(caught.value)


def test_a_layer_that_mixes_tokens_beside_the_attention_is_refused() -> None:
    model = decoder("llama")
    model.layers[0].register_forward_hook(lambda module, arguments, found: found + found.mean(1, keepdim=True))
    with pytest.raises(InputError, match="LlamaModel reads differently behind a shared source"):
        share_source(model)


def test_an_attention_that_ignores_its_layout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.nn.functional import scaled_dot_product_attention

    class Toy(nn.Module):
        """Plain causal attention over the whole row, whatever it is given besides."""

        def __init__(self, size: int) -> None:
            super().__init__()
            self.mix = nn.Linear(size, 3 * size)

        def forward(self, hidden_states: Tensor, **_: Any) -> tuple[Tensor, None]:
            query, key, value = self.mix(hidden_states).chunk(3, dim=-1)
            return scaled_dot_product_attention(query, key, value, is_causal=True), None

    model = decoder("llama")
    model.layers[1].self_attn = Toy(32)
    with pytest.raises(InputError, match="reads differently behind a shared source"):
        share_source(model)


def test_a_decoder_that_fails_on_a_packed_row_is_refused_in_one_sentence() -> None:
    from transformers import DeepseekV3Config, DeepseekV3Model

    sizes = FAMILIES["llama"][1] | {"num_key_value_heads": 4}
    model = DeepseekV3Model(
        DeepseekV3Config(
            **sizes, n_routed_experts=4, num_experts_per_tok=2, n_group=2, topk_group=1, moe_intermediate_size=16,
            q_lora_rank=8, kv_lora_rank=8, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=12,
        )
    )  # fmt: skip
    with pytest.raises(InputError, match=r"DeepseekV3Model cannot be read behind a shared source.*--tune frozen") as it:
        share_source(model)  # its values are narrower than its queries
    assert "\n" not in str(it.value)


def test_queries_made_in_two_steps_are_no_obstacle() -> None:
    from transformers import DeepseekV3Config, DeepseekV3Model

    sizes = FAMILIES["llama"][1] | {"num_key_value_heads": 4}
    torch.manual_seed(0)
    model = DeepseekV3Model(
        DeepseekV3Config(
            **sizes, n_routed_experts=4, num_experts_per_tok=2, n_group=2, topk_group=1, moe_intermediate_size=16,
            q_lora_rank=8, kv_lora_rank=8, qk_nope_head_dim=4, qk_rope_head_dim=4, v_head_dim=8,
        )
    ).eval()  # fmt: skip
    expected = read_alone(model, flat(ragged())).detach()
    share_source(model)
    with torch.no_grad():
        found = output_states(model, pack(ragged()))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_attention_sinks_are_refused() -> None:
    from transformers import GptOssConfig, GptOssModel

    sizes = FAMILIES["llama"][1] | {"num_key_value_heads": 2}
    model = GptOssModel(GptOssConfig(**sizes, head_dim=8, num_local_experts=4, rope_parameters=None))
    with pytest.raises(InputError, match="cannot share a source"):
        share_source(model)


def test_a_shared_source_backbone_called_without_a_row_says_so() -> None:
    with pytest.raises(InputError, match="layout"):
        _shared("llama")(input_ids=torch.tensor([[1, 2]]))


# ---- on a GPU ----


@pytest.mark.gpu
@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2", "mistral", "gpt2"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-3), (torch.bfloat16, 0.03)])
def test_the_gpu_reads_and_sends_back_what_the_cpu_does(family: str, dtype: torch.dtype, tolerance: float) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    sizes = {"n_embd": 64} if family == "gpt2" else {"hidden_size": 64, "head_dim": 16}
    random = np.random.default_rng(0)
    groups = [group(random, 200, (40, 70, 30)), group(random, 50, (60,)), group(random, 0, (30, 5))]
    here, there = _shared(family, **sizes), _shared(family, **sizes).cuda()
    expected = output_states(here, pack(groups))
    with torch.autocast("cuda", torch.bfloat16, enabled=dtype == torch.bfloat16):
        found = output_states(there, pack(groups, "cuda")).float()
    wanted, got = _gradients(here, expected.square().sum()), _gradients(there, found.square().sum())
    size = expected.detach().square().mean().sqrt()
    assert float((found.detach().cpu() - expected.detach()).square().mean().sqrt() / size) <= tolerance
    for name, each in wanted.items():
        assert float((got[name].float().cpu() - each).norm() / each.norm().clamp(min=1e-6)) <= 5 * tolerance, name
    with torch.no_grad():
        many = group(random, 100, [10] * 20)
        cached = read_group(there, many, "cuda").float().cpu()
        torch.testing.assert_close(cached, read_group(here, many), atol=5e-3, rtol=5e-3)


# ---- the mean over an output's tokens ----


def _marked(sequence: np.ndarray, own: int) -> np.ndarray:
    """Return a sequence whose last tokens are marked, as many as are its output's own."""
    return np.concatenate([sequence[:-own], sequence[-own:] | AVERAGED]).astype(np.int32)


def _means_alone(model: Any, sequences: Sequence[np.ndarray]) -> Tensor:
    """Return the mean state of the marked tokens of each sequence, read by itself as transformers does."""
    found = []
    for each in sequences:
        ids = torch.from_numpy((each & ~AVERAGED).astype(np.int64))[None]
        states = model(input_ids=ids, use_cache=False).last_hidden_state[0]
        found.append(states[torch.from_numpy((each & AVERAGED) > 0)].mean(dim=0))
    return torch.stack(found)


def _three_and_two() -> list[list[np.ndarray]]:
    """Two groups; outputs of the first begin alike, so that a part of what is averaged is read once for all."""
    random = np.random.default_rng(3)
    source, alike = random.integers(0, 32, 9), random.integers(0, 32, 2)
    ends = [random.integers(0, 32, size) for size in (1, 4, 3)]
    first = [_marked(np.concatenate([source, alike, end]), 2 + len(end)) for end in ends]
    other = [
        _marked(np.concatenate([source[:5], [own], end]), 1 + len(end)) for own, end in ((3, ends[1]), (4, ends[2]))
    ]
    return [first, other]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_mean_over_an_output_s_tokens_is_that_of_reading_it_alone(family: str) -> None:
    groups = _three_and_two()
    with torch.inference_mode():
        found = output_states(_shared(family), pack(groups))
        torch.testing.assert_close(found, _means_alone(decoder(family, "eager"), flat(groups)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("alike", [0, 3])
def test_the_mean_is_the_same_behind_a_cached_source(alike: int) -> None:
    random = np.random.default_rng(5)
    begin = random.integers(0, 32, 7 + alike)
    sequences = [_marked(np.concatenate([begin, [at, at]]), alike + 2) for at in range(11)]
    with torch.inference_mode():
        found = read_group(_shared("llama"), sequences)
        torch.testing.assert_close(found, _means_alone(decoder("llama"), sequences), atol=1e-5, rtol=1e-4)


def test_gradients_of_means_are_those_of_reading_alone() -> None:
    groups, model, alone = _three_and_two(), _shared("llama"), decoder("llama")
    weights = torch.linspace(-1.0, 1.0, 5)[:, None]
    found = _gradients(model, (weights * output_states(model, pack(groups))).sum())
    expected = _gradients(alone, (weights * _means_alone(alone, flat(groups))).sum())
    assert _worst(found, expected, relative=True) < 1e-4
