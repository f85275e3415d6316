"""Proposes by selecting sentences: stochastic, seeded, with exact log-probabilities."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import log, sqrt
from typing import NamedTuple

import numpy as np
from scipy.special import logit

from rrm.backbone.tokens import HuggingFaceTokenizer, load_tokenizer
from rrm.core.errors import InputError
from rrm.core.ids import content_id
from rrm.core.protocols import PromptContext
from rrm.core.text import sentence_texts, words
from rrm.core.values import View
from rrm.policy.selection import SentencePolicy, Walk

LEAST, MOST = 0.02, 0.98
"""Between these lies the probability of taking a sentence that can be taken."""


class Sentences(NamedTuple):
    """What there is to choose from: different texts, token counts [n] and positive selection weights [n].

    `places` [n] are the sentences' numbers among all that the prompt context shows, and `passages` [n] those of
    the passages that they stand in.
    """

    texts: list[str]
    tokens: np.ndarray
    weights: np.ndarray
    places: np.ndarray
    passages: np.ndarray


@dataclass(frozen=True)
class Extractive(SentencePolicy):
    """Walks through the sentences once and takes or leaves each until the limit is reached.

    A sentence of weight w and t tokens is taken with probability B * w / sum(w' * t') over the
    sentences still to come, kept within [0.02, 0.98], where B is the budget left; never if it does
    not fit. Weights are exp(salience / temperature): sentences about what the text keeps returning to
    weigh more (see `salience`). A sentence that was told before, in the previous context, is left out,
    and so is every repetition of a sentence, whether its first occurrence is taken or not. So a
    decision depends on nothing but the sentence and the tokens left (see `Walk`).

    `fill` is the share of the task's limit that is aimed at. Where no sentence fits, one is chosen in
    proportion to the weights and cut to the limit.
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

    def sentences(self, view: View) -> Sentences:
        """Return the sentences that can be taken: the first occurrence of each that was not told before."""
        shown = [
            (text, number) for number, passage in enumerate(view.passages) for text in sentence_texts(passage.text)
        ]
        weights = np.exp(salience([text for text, _ in shown]) / self.temperature)
        told = set(sentence_texts(view.context))
        first: dict[str, int] = {}
        for place, (text, _) in enumerate(shown):
            if text not in told:
                first.setdefault(text, place)
        places = np.array(list(first.values()), dtype=np.int64)
        tokens = np.array([_count(self.tokens, text) for text in first], dtype=np.int64)
        passages = np.array([shown[place][1] for place in places], dtype=np.int64)
        return Sentences(list(first), tokens, weights[places], places, passages)

    def walk(self, prompt_context: PromptContext) -> Walk:
        """Return the distribution over selections for a prompt context."""
        return self.walk_through(self.sentences(prompt_context.read), prompt_context.task.max_tokens)

    def walk_through(self, sentences: Sentences, limit: int) -> Walk:
        """Return the distribution over selections of these sentences within a limit of tokens."""
        budget = max(1, int(limit * self.fill))
        tokens, weights = sentences.tokens, sentences.weights
        if len(tokens) and int(tokens.min()) > budget:
            return self._cut_short(sentences, limit)
        cost = weights * np.maximum(tokens, 1)
        ahead = np.cumsum(cost[::-1])[::-1]
        left = np.arange(budget + 1)
        take = np.clip(left * (weights / ahead)[:, None], LEAST, MOST)
        logits = np.where(tokens[:, None] <= left, logit(take), -np.inf)
        return Walk(tuple(sentences.texts), tokens, logits)

    def _cut_short(self, sentences: Sentences, limit: int) -> Walk:
        """Return a walk that takes exactly one sentence, cut short: each costs the one unit that there is."""
        weights = sentences.weights
        ahead = np.cumsum(weights[::-1])[::-1]
        take = weights / ahead
        take[-1] = 1.0
        never = np.full(len(take), -np.inf)
        texts = tuple(self.tokens.cut(text, limit) for text in sentences.texts)
        truncated = texts != tuple(sentences.texts)
        return Walk(texts, np.ones(len(take), dtype=np.int64), np.stack([never, logit(take)], axis=1), truncated)


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
