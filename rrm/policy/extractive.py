"""Proposes by selecting sentences: stochastic, seeded, with exact log-probabilities."""

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from math import log, sqrt
from typing import NamedTuple

import numpy as np

from rrm.backbone.tokens import HuggingFaceTokenizer, load_tokenizer
from rrm.core.errors import InputError
from rrm.core.ids import content_id, generator, seed_for
from rrm.core.protocols import Material
from rrm.core.text import sentence_texts, words
from rrm.core.values import Output


class Sentences(NamedTuple):
    """What there is to choose from: texts, token counts [n] and selection weights [n]."""

    texts: list[str]
    tokens: np.ndarray
    weights: np.ndarray


class Draw(NamedTuple):
    """One sampled selection: indices in order, and the log-probability, in nats, of its decisions."""

    chosen: list[int]
    log_prob: float


@dataclass(frozen=True)
class Extractive:
    """Walks through the sentences once and takes or leaves each until the limit is reached.

    A sentence of weight w and t tokens is taken with probability B * w / sum(w' * t') over the
    sentences still to come, kept within [0.02, 0.98], where B is the budget left; never if it does
    not fit or was told before. Weights are exp(salience / temperature): sentences about what the
    text keeps returning to weigh more (see `salience`). Decisions and selections are one to one, so
    the log-probability is exact.

    `fill` is the share of the task's limit that is aimed at.
    """

    temperature: float = 0.5
    fill: float = 1.0
    tokenizer: str = "minilm"
    name: str = field(init=False)

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and 0 < self.fill <= 1):
            raise InputError("the extractive policy needs temperature > 0 and 0 < fill <= 1")
        name = content_id("extractive", self.temperature, self.fill, self.tokens.name)
        object.__setattr__(self, "name", name)

    @cached_property
    def tokens(self) -> HuggingFaceTokenizer:
        return load_tokenizer(self.tokenizer)

    def propose(self, material: Material, n: int, seed: int) -> list[Output]:
        """Return n selections, each kept within the task's limit of tokens."""
        sentences = self.sentences(material)
        return [self._output(material, sentences, seed_for(seed, index)) for index in range(n)]

    def sentences(self, material: Material) -> Sentences:
        """Return the sentences of what the material shows, with their weights."""
        texts = [text for passage in material.view.passages for text in sentence_texts(passage.text)]
        told = set(sentence_texts(material.view.context))
        tokens = np.array([_count(self.tokens, text) for text in texts], dtype=np.int64)
        weights = np.exp(salience(texts) / self.temperature)
        weights[[text in told for text in texts]] = 0.0
        return Sentences(texts, tokens, weights)

    def draw(self, sentences: Sentences, budget: int, random: np.random.Generator) -> Draw:
        """Sample one selection of at most `budget` tokens."""
        cost = sentences.weights * sentences.tokens
        ahead = np.cumsum(cost[::-1])[::-1]
        left, log_prob = float(budget), 0.0
        chosen: list[int] = []
        taken: set[str] = set()
        for index, text in enumerate(sentences.texts):
            if sentences.weights[index] == 0 or sentences.tokens[index] > left or text in taken:
                continue
            take = min(0.98, max(0.02, left * sentences.weights[index] / ahead[index]))
            if random.random() < take:
                chosen.append(index)
                taken.add(text)
                left -= int(sentences.tokens[index])
                log_prob += log(take)
            else:
                log_prob += log(1 - take)
        return Draw(chosen, log_prob)

    def _output(self, material: Material, sentences: Sentences, seed: int) -> Output:
        limit = material.task.max_tokens
        random = generator(self.name, material.node, seed)
        made = Output(material.node, "", self.name, seed, material.inputs, material.context)
        if sentences.texts and int(sentences.tokens.min()) > limit:  # nothing fits: cut one sentence short
            share = sentences.weights / sentences.weights.sum() if sentences.weights.any() else None
            index = int(random.choice(len(sentences.texts), p=share))
            chance = 1 / len(sentences.texts) if share is None else float(share[index])
            text = self.tokens.cut(sentences.texts[index], limit)
            return replace(made, text=text, log_prob=log(chance), truncated=True)
        drawn = self.draw(sentences, max(1, int(limit * self.fill)), random)
        text = " ".join(sentences.texts[index] for index in drawn.chosen)
        return replace(made, text=text, log_prob=drawn.log_prob)


def salience(texts: list[str]) -> np.ndarray:
    """Return one number per sentence, [n], standardised: how much it speaks of the text's main words.

    A word counts log(1 + occurrences), words of three letters or fewer count nothing, and the sum
    over a sentence's words is divided by the square root of their number, so that a long sentence
    is worth more than a short one, but not in proportion.
    """
    if not texts:
        return np.zeros(0)
    spoken = [[word.lower() for word in words(text) if len(word) > 3] for text in texts]
    counts = Counter(word for each in spoken for word in set(each))
    raw = np.array([sum(log(1 + counts[word]) for word in each) / sqrt(len(each)) if each else 0.0 for each in spoken])
    spread = float(raw.std())
    return (raw - raw.mean()) / spread if spread > 1e-9 else np.zeros(len(texts))


@lru_cache(maxsize=200_000)
def _count(tokenizer: HuggingFaceTokenizer, text: str) -> int:
    return tokenizer.count(text)
