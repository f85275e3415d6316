"""Encoders: texts to unit vectors by a frozen backbone, each distinct text once."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from functools import cached_property
from hashlib import blake2b
from itertools import repeat
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import NamedTuple

import numpy as np

from rrm.backbone.load import PRECISIONS, Backbone, find_checkpoint, load_backbone, precision_name, resolve
from rrm.backbone.tokens import HuggingFaceTokenizer
from rrm.core.errors import InputError
from rrm.core.protocols import Cache, Encoder

_STEP = 4  # a twentieth of padding; batches of exactly one length were 1.3 to 2.6 times slower for 20 to 200 sentences
Progress = Callable[[int, int], None]
"""Called with the tokens encoded so far and in all."""


class FrozenEncoder:
    """A Hugging Face backbone whose last hidden states are averaged over a text's tokens.

    Weights load on first use, and where `dtype` names a precision a `device` that is not there is found out then, too:
    torch takes seconds to import. A text is padded to a length that follows from its own alone (the
    next multiple of four) and batched with texts of that length: a masked place adds nothing to an
    attention's sum, but how many there are decides how the sum is blocked, and so its last bit. So
    a text's vector does not depend on what else is encoded with it, and a resumed run reads what
    an uninterrupted one does. A text longer than the backbone's positions is read in
    windows and averaged over all its tokens. Mean pooling and unit length: Reimers and Gurevych
    (2019), arXiv:1908.10084. `precision` is float32 or bfloat16, whichever `dtype` came to here;
    `tokens_encoded` counts tokens, special ones included.
    """

    def __init__(
        self,
        name: str = "minilm",
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        if batch_tokens is not None and batch_tokens < 1:
            raise InputError(f"batch_tokens is at least 1, got {batch_tokens}")
        self._checkpoint = find_checkpoint(name)
        self._asked_device, self._dtype = device, dtype
        self._asked_tokens = batch_tokens
        self._progress = progress
        self._loaded: Backbone | None = None
        self._turn = Lock()
        self.precision = dtype if dtype in PRECISIONS else precision_name(self._resolved[1])
        self.name = f"{name}#{self._checkpoint.digest}:{self.precision}"
        self.dimensions = self._checkpoint.dimensions
        self.tokens_encoded = 0

    @property
    def backbone(self) -> Backbone:
        """The loaded model."""
        with self._turn:
            if self._loaded is None:
                self._loaded = load_backbone(self._checkpoint, self._device, self._dtype)
            return self._loaded

    @property
    def batch_tokens(self) -> int:
        """About as many tokens are encoded at once."""
        # Small batches stay in a CPU's cache: 1,024 tokens were a tenth faster than 4,096 or more.
        return self._asked_tokens or (1024 if self._device.startswith("cpu") else 32_768)

    @cached_property
    def _resolved(self) -> tuple[str, bool]:
        """The device, and whether it computes in bfloat16: not looked for at once, which takes torch's import."""
        return resolve(self._asked_device, self._dtype)

    @property
    def _device(self) -> str:
        return self._resolved[0]

    @property
    def tokenizer(self) -> HuggingFaceTokenizer:
        """The backbone's tokenizer; needs no weights."""
        return self._checkpoint.tokenizer

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return one vector per text, float32 [texts, dimensions], of length one; zeros for no tokens."""
        distinct = sorted(set(texts))
        at = {text: row for row, text in enumerate(distinct)}
        ids = self.tokenizer.encode_batch(distinct)
        pieces = [(row, piece) for row in range(len(distinct)) for piece in self._pieces(ids[row])]
        sums = np.zeros((len(distinct), self.dimensions), dtype=np.float64)
        total = sum(len(piece) for _, piece in pieces)
        done = 0
        for batch in self._batches(pieces):
            _require_wanted()
            rows = [row for row, _ in batch]
            np.add.at(sums, rows, self._token_sums([piece for _, piece in batch]))
            done += sum(len(piece) for _, piece in batch)
            if self._progress is not None:
                self._progress(done, total)
        with self._turn:
            self.tokens_encoded += total
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        vectors: np.ndarray = (sums / np.maximum(lengths, 1e-12)).astype(np.float32)
        return vectors[np.array([at[text] for text in texts], dtype=np.int64)]

    def _pieces(self, ids: list[int]) -> list[list[int]]:
        limit = self.backbone.positions
        return [ids[start : start + limit] for start in range(0, len(ids), limit)]

    def _padded(self, tokens: int) -> int:
        """Return the length that a piece of so many tokens is padded to."""
        return min(-(-tokens // _STEP) * _STEP, self.backbone.positions)

    def _batches(self, pieces: list[tuple[int, list[int]]]) -> Iterator[list[tuple[int, list[int]]]]:
        """Cut (row, tokens) pieces into batches of one padded length each, the short ones first."""
        of_length = defaultdict(list)
        for piece in pieces:
            of_length[self._padded(len(piece[1]))].append(piece)
        for length, alike in sorted(of_length.items()):
            size = max(1, self.batch_tokens // length)
            yield from (alike[start : start + size] for start in range(0, len(alike), size))

    def _token_sums(self, batch: list[list[int]]) -> np.ndarray:
        """Return the sum of each piece's last hidden states, float64 [batch, dimensions]."""
        import torch

        ids = torch.zeros(len(batch), self._padded(len(batch[0])), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, piece in enumerate(batch):
            ids[row, : len(piece)] = torch.tensor(piece)
            mask[row, : len(piece)] = 1
        backbone = self.backbone
        ids, mask = ids.to(self._device), mask.to(self._device)
        kind = torch.device(self._device).type
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=backbone.autocast):
            states = backbone.model(input_ids=ids, attention_mask=mask).last_hidden_state
        pooled = (states.float() * mask.unsqueeze(-1)).sum(dim=1)
        return np.asarray(pooled.cpu().numpy(), dtype=np.float64)


MOST_BYTES = 256 * 2**20
"""As much as vectors in memory take that are in a cache, too: of MiniLM's those of 350,000 sentences."""
STOP_SECONDS = 10.0
"""So long it is waited for the batch that a thread encodes ahead when that is no longer wanted."""


_WANTED: "ContextVar[Callable[[], bool]]" = ContextVar("wanted", default=lambda: True)
"""Whether what this thread encodes is wanted; what is encoded ahead no longer is, once that is stopped."""


class _Unwanted(Exception):
    """What was being encoded ahead is no longer wanted."""


def _require_wanted() -> None:
    if not _WANTED.get()():
        raise _Unwanted


class _Portion(NamedTuple):
    """Texts that somebody encodes or is going to; `ended` tells that nobody does any more, and what went wrong."""

    texts: list[str]
    ended: "Future[None]"


class CachedEncoder:
    """An encoder that encodes each distinct text once: per process, and for good where there is a cache.

    Vectors are kept in half precision and handed out as kept, so a cached vector equals a fresh
    one bit for bit. All the new vectors of one call go to the cache together: a process killed in
    between leaves none of them, and the next one encodes the same batches again. Where there is a cache, those in
    memory are let go once they take `most_bytes`, and what is asked for again is read from it.

    Any thread may ask, and none encodes what another one is at. What will be asked for can be encoded ahead: which
    texts are encoded together follows from what was asked for, and not from who came first.
    """

    def __init__(
        self,
        encoder: Encoder,
        cache: Cache | None = None,
        table: str = "embeddings",
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._encoder = encoder
        self._cache = cache
        self._table = table
        self._most_bytes = most_bytes
        self._coming: dict[str, _Portion] = {}  # by text, those that somebody encodes
        self._ahead: _Ahead | None = None
        self.name = encoder.name
        self.dimensions = encoder.dimensions
        self._turn = Lock()
        self._let_go()

    @property
    def inner(self) -> Encoder:
        """The encoder that does the work."""
        return self._encoder

    @property
    def tokens_encoded(self) -> int:
        """Tokens that the encoder has read, where it counts them; cached texts cost none."""
        return int(getattr(self._encoder, "tokens_encoded", 0))

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return one vector per text, float32 [texts, dimensions], of length one within half precision."""
        self._trim()
        while (found := self._found(texts)) is None:  # again where another thread had vectors let go meanwhile
            self._provide(texts)
        return found

    def prefetch(self, texts: Iterable[str], portion: int = 1024) -> None:
        """Begin to encode texts in a thread, so many at a time in this order; who asks for one waits for its portion.

        An error is raised where a text of the portion that it met is asked for, until `stop_prefetch`.
        """
        with self._turn:
            wanted = [text for text in dict.fromkeys(texts) if text not in self._rows and text not in self._coming]
            if wanted:
                self._ahead = self._ahead or _Ahead(self._make_ahead)
                for start in range(0, len(wanted), portion):
                    self._ahead.add(self._announce(wanted[start : start + portion]))

    def stop_prefetch(self) -> None:
        """Encode nothing more ahead, and keep nothing of the portion that is at hand; waits for its end, within limits.

        Who waits for texts that were to come encodes them.
        """
        with self._turn:
            ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.stop()
            for portion in ahead.portions:
                self._end(portion)

    def _announce(self, texts: list[str]) -> _Portion:
        portion = _Portion(texts, Future())
        self._coming.update(dict.fromkeys(texts, portion))
        return portion

    def _end(self, portion: _Portion) -> None:
        """Have nobody wait for a portion any more."""
        with self._turn:
            for text in portion.texts:
                if self._coming.get(text) is portion:
                    del self._coming[text]
            if not portion.ended.done():
                portion.ended.set_result(None)

    def _provide(self, texts: Sequence[str]) -> None:
        """Take vectors into memory that nobody else encodes, and wait for the others."""
        with self._turn:
            wanted = set(texts) - self._rows.keys()
            others = {id(each): each for text in wanted if (each := self._coming.get(text)) is not None}
            own = self._announce(sorted(wanted - self._coming.keys()))
        try:
            if own.texts:
                self._make(own.texts)
        finally:
            self._end(own)
        for portion in others.values():
            portion.ended.result()

    def _trim(self) -> None:
        with self._turn:
            taken = len(self._rows) * self._vectors.itemsize * self.dimensions
            if self._cache is not None and taken > self._most_bytes:
                self._let_go()

    def _let_go(self) -> None:
        self._rows: dict[str, int] = {}  # of `_vectors`, by text
        self._vectors = np.zeros((0, self.dimensions), dtype=np.float16)

    def _found(self, texts: Sequence[str]) -> np.ndarray | None:
        """Return the vectors of texts, None where any is not in memory."""
        with self._turn:
            rows = np.fromiter(map(self._rows.get, texts, repeat(-1)), dtype=np.int64, count=len(texts))
            return self._vectors[rows].astype(np.float32) if (rows >= 0).all() else None

    def _make_ahead(self, portion: _Portion) -> None:
        """Encode a portion, and tell those who wait for it; where that failed it stays announced."""
        try:
            self._trim()
            self._make(portion.texts)
        except _Unwanted:
            self._end(portion)
        except BaseException as error:
            portion.ended.set_exception(error)
        else:
            self._end(portion)

    def _make(self, texts: list[str]) -> None:
        """Take vectors into memory, those that are in no cache encoded."""
        recalled = self._recall(texts)
        fresh = [text for text in texts if text not in recalled]  # in memory or not: another thread may let them go
        if fresh:
            halves = np.asarray(self._encoder.encode(fresh), dtype=np.float16)
            _require_wanted()
            if self._cache is not None:
                self._cache.put_many(
                    self._table, {self._key(text): half.tobytes() for text, half in zip(fresh, halves, strict=True)}
                )
            self._keep(fresh, halves)

    def _recall(self, texts: list[str]) -> set[str]:
        """Take the vectors that are in the cache into memory, and return their texts."""
        if self._cache is None:
            return set()
        keys = {self._key(text): text for text in texts}
        found = self._cache.get_many(self._table, list(keys))
        if found:
            halves = np.frombuffer(b"".join(found.values()), dtype=np.float16).reshape(len(found), self.dimensions)
            self._keep([keys[key] for key in found], halves)
        return {keys[key] for key in found}

    def _keep(self, texts: Sequence[str], halves: np.ndarray) -> None:
        """Take vectors into the one matrix, which doubles where it is full; what is there stays."""
        with self._turn:
            new = [at for at, text in enumerate(texts) if text not in self._rows]
            first, many = len(self._rows), len(self._rows) + len(new)
            if many > len(self._vectors):
                larger = np.zeros((max(many, 2 * len(self._vectors)), self.dimensions), dtype=np.float16)
                larger[:first] = self._vectors[:first]
                self._vectors = larger
            self._vectors[first:many] = halves[new]
            self._rows.update((texts[at], first + row) for row, at in enumerate(new))

    def _key(self, text: str) -> str:
        digest = blake2b(self.name.encode() + b"\0" + text.encode("utf-8", "surrogatepass"), digest_size=16)
        return digest.hexdigest()


class _Ahead:
    """A thread that encodes portions one after another until it is stopped: a daemon, for which no process waits."""

    def __init__(self, make: Callable[[_Portion], None]) -> None:
        self._make = make
        self.portions: list[_Portion] = []
        self._waiting: SimpleQueue[_Portion | None] = SimpleQueue()
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="rrm prefetch", daemon=True)
        self._thread.start()

    def add(self, portion: _Portion) -> None:
        self.portions.append(portion)
        self._waiting.put(portion)

    def stop(self) -> None:
        self._stopped.set()
        self._waiting.put(None)
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        _WANTED.set(self._wanted)
        while (portion := self._waiting.get()) is not None and self._wanted():
            self._make(portion)

    def _wanted(self) -> bool:
        return not self._stopped.is_set()
