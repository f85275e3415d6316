"""Sources, raters with known rewards, and an encoder of words that needs no weights."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from rrm.core.place import Place
from rrm.core.values import Answer, Comparison, Feedback, Label, Passage, Rated, Request, Shown, View

WORDS = ("river", "stone", "candle", "market", "winter", "letter", "garden", "soldier", "mirror", "engine", "violin")


class WordEncoder:
    """Adds up a random direction for every word."""

    name = "words"
    dimensions = 24

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = [sum((self._word(word) for word in text.lower().split()), np.zeros(24)) for text in texts]
        vectors = np.array(rows, dtype=np.float32).reshape(len(texts), 24)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)

    def _word(self, word: str) -> np.ndarray:
        seed = int.from_bytes(blake2b(word.strip(".,").encode("utf-8", "replace"), digest_size=4).digest(), "big")
        return np.random.default_rng(seed).normal(size=24)


def view(source: str, score: float | None = None) -> View:
    rng = np.random.default_rng(abs(hash_of(source)))
    sentences = [" ".join(["Anna", *rng.choice(WORDS, 6)]) + "." for _ in range(6)]
    return View("Say what happens.", (Passage(" ".join(sentences), score=score),), 64)


def hash_of(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big")


def output(source: str, good: int, rng: np.random.Generator) -> str:
    """Four sentences, `good` of them copied from the source's view and the others invented."""
    copied = view(source).passages[0].text.split(". ")
    invented = [" ".join(["Zelda", *rng.choice(["foo", "bar", "baz", "qux"], 6)]) for _ in range(4)]
    kept = [copied[at].rstrip(".") for at in sorted(rng.choice(6, good, replace=False))]
    return " ".join(f"{sentence}." for sentence in [*kept, *invented[: 4 - good]])


def request(source: str, kind: str, texts: Sequence[str], copy: int = 0, level: int = 0) -> Request:
    shown = tuple(Shown(f"o{at}", text) for at, text in enumerate(texts))
    return Request(f"n-{source}", source, Place(level=level), kind, view(source), shown, copy=copy)


def rated(source: str, answer: Answer, texts: Sequence[str], copy: int = 0) -> Rated:
    asked = request(source, answer.kind, texts, copy)
    return Rated(asked, Feedback(asked.id, "r", answer))


def wordy(distinct: int, repeated: int, rng: np.random.Generator) -> str:
    """So many different words of a vocabulary of 400, then some of them once more."""
    said = [f"w{each}" for each in rng.choice(400, distinct, replace=False)]
    return " ".join([*said, *rng.choice(said, repeated)]) + "." if said else ""


def rate_length(sources: int, comparisons: int, seed: int, worth: float = 3.0) -> list[Rated]:
    """Ratings of raters whose reward is `worth` times the logarithm of an output's number of different words."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(sources):
        for copy in range(comparisons):
            sizes = rng.choice(np.arange(8, 40), 2, replace=False)
            texts = [wordy(int(size), int(rng.integers(40)), rng) for size in sizes]
            first = rng.random() < 1 / (1 + (sizes[1] / sizes[0]) ** worth)
            rows.append(rated(f"s{seed}-{number}", Comparison(0 if first else 1), texts, copy))
    return rows


def rate_padded(sources: int, comparisons: int, seed: int, worth: float = 0.5) -> list[Rated]:
    """Ratings as by `rate`, of outputs to which up to 29 words were added that change nothing."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(sources):
        source = f"s{seed}-{number}"
        for copy in range(comparisons):
            good = rng.choice(5, 2, replace=False)
            texts = [f"{output(source, int(each), rng)} {wordy(int(rng.integers(30)), 0, rng)}" for each in good]
            first = rng.random() < 1 / (1 + np.exp(-worth * float(good[0] - good[1])))
            rows.append(rated(source, Comparison(0 if first else 1), texts, copy))
    return rows


def items(count: int) -> list[str]:
    return [f"item {number}" for number in range(count)]


def told(answer: Answer, *texts: str, rater: str = "r") -> Rated:
    """An answer about texts beside one view."""
    shown = tuple(Shown(text, text) for text in texts)
    asked = Request("n", "s", Place(), answer.kind, View("Which?", (), 9), shown)
    return Rated(asked, Feedback(asked.id, rater, answer))


def rate(
    sources: int = 8, comparisons: int = 20, labels: int = 0, seed: int = 0, worth: float = 1.5, flip: str = ""
) -> list[Rated]:
    """Ratings of raters whose reward is `worth` for each copied sentence, who accept from two up; `flip` lies."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(sources):
        source = f"s{number}"
        sign = -1 if source == flip else 1
        for copy in range(comparisons):
            good = rng.choice(5, 2, replace=False)
            texts = [output(source, int(each), rng) for each in good]
            first = rng.random() < 1 / (1 + np.exp(-sign * worth * float(good[0] - good[1])))
            rows.append(rated(source, Comparison(0 if first else 1), texts, copy))
        for copy in range(labels):
            good_ones = int(rng.integers(5))
            accepts = rng.random() < 1 / (1 + np.exp(-sign * worth * (good_ones - 2)))
            rows.append(rated(source, Label(bool(accepts)), [output(source, good_ones, rng)], copy))
    return rows
