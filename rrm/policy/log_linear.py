"""Proposes by selecting sentences with learned preferences: the extractive policy, moved by named features."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import isfinite, log1p, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rrm.backbone.tokens import HuggingFaceTokenizer
from rrm.core.errors import InputError
from rrm.core.ids import content_id
from rrm.core.protocols import PromptContext
from rrm.core.text import sentence_texts, words
from rrm.core.values import View
from rrm.files import read_json, write_json
from rrm.policy.extractive import Extractive, Sentences, salience
from rrm.policy.selection import SentencePolicy, Walk

FILE = "log_linear.json"
"""The file of a saved policy in its folder."""
LEVELS = ("leaf", "above")
"""Leaves, which read the source, and all levels above, which read their children's outputs, have own weights."""

CLOSE = 0.98
"""The share of a budget from which on it counts as used up."""
_ORDINARY = log1p(10)  # words in a sentence
_CAUSE = re.compile(r"\b(?:because|since|so that|after|therefore)\b|, for ", re.IGNORECASE)
_SPEECH = re.compile('["“”„«»「」]')
_CLAUSES = re.compile("[;:—；：]")
_COMMAS = re.compile("[,，、]")
_ENDS = re.compile(r"[.!?…。！？][\"'”’»)\]」』]*$")


class _Reading(NamedTuple):
    """A sentence with what the features ask about it, and about the prompt context around it."""

    text: str
    words: list[str]
    content: set[str]  # its words of more than three letters, in small letters
    names: list[str]
    counts: Counter[str]  # in how many of the prompt context's sentences a content word stands
    before: set[str]  # the words of the previous context


_OF_TEXT: dict[str, Callable[[_Reading], float]] = {
    "length": lambda read: log1p(len(read.words)),
    "odd_length": lambda read: (log1p(len(read.words)) - _ORDINARY) ** 2,
    "names": lambda read: len(set(read.names)),
    "two_names": lambda read: len(set(read.names)) >= 2,
    "name_share": lambda read: len(read.names) / max(1, len(read.words)),
    "begins_with_name": lambda read: bool(read.words) and read.words[0] in read.names,
    "ends_with_name": lambda read: bool(read.words) and read.words[-1] in read.names,
    "digits": lambda read: any(letter.isdigit() for letter in read.text),
    "speech": lambda read: bool(_SPEECH.search(read.text)),
    "clauses": lambda read: len(_CLAUSES.findall(read.text)),
    "commas": lambda read: len(_COMMAS.findall(read.text)),
    "cause": lambda read: bool(_CAUSE.search(read.text)),
    "heading": lambda read: not _ENDS.search(read.text),
    "word_length": lambda read: sum(map(len, read.words)) / (5 * max(1, len(read.words))),
    "said_once": lambda read: _share(read.content, lambda word: read.counts[word] <= 1),
    "echo": lambda read: _share(read.content, read.before.__contains__),
}
FEATURES = ("take", "place", "opening", "salience", "score", *_OF_TEXT, "left")
"""What a decision is described by.

`take` is 1: how readily anything is taken. The others are less their mean over the prompt context's
sentences: `place` from 0 to 1 in the text, whether it opens its passage, standardised `salience`, the
passage's `score` (a child's acceptance; the mean of the others where there is none), the logarithm of
the length in words and the square of its distance from ten words', names by number, share and place,
digits, direct speech, clauses, commas, a stated cause, no stop at the end, mean length of words over 5,
and of the words of more than three letters the share that no other sentence has and that the previous
context had. `left` is the share of the budget left, less 1/2.
"""


class Leash(NamedTuple):
    """How far a policy may go from the one with the weights of its anchor, at any one prompt context, in nats."""

    anchor: tuple[float, ...]
    nats: float


@dataclass(frozen=True)
class LogLinear(SentencePolicy):
    """`Extractive`, with the log-odds of taking a sentence moved by w . x; at w = 0 it is `Extractive`.

    x are the `FEATURES` of the sentence and of the share of the budget left, so that a decision still
    depends on nothing but the sentence and the tokens left, and all sums are exact (see `Walk`). Leaves
    and the levels above have weights of their own: `weights` holds those of the leaves, then those
    above, each in the order of `FEATURES`; () is all zero. Random numbers are those of `base`, so that equal
    seeds tell what other weights change. What `Extractive` cannot take, or has to,
    is not moved. With a `leash`, where the KL to its anchor would be more nats than that, the weights are those on
    the line to the anchor's at which it is not. Raises InputError for weights of another number or that are not finite.
    """

    base: Extractive = field(default_factory=Extractive)
    weights: tuple[float, ...] = field(default=(), repr=False)
    leash: Leash | None = field(default=None, repr=False)
    name: str = field(init=False)

    def __post_init__(self) -> None:
        size = len(LEVELS) * len(FEATURES)
        weights = tuple(map(float, self.weights)) or (0.0,) * size
        if len(weights) != size or not all(map(isfinite, weights)):
            raise InputError(f"a log-linear policy has {size} finite weights, or none, got {self.weights}")
        object.__setattr__(self, "weights", weights)
        named = dict(zip(names(), weights, strict=True))
        object.__setattr__(self, "name", content_id("log-linear", self.base.name, named, self.leash))

    @property
    def stream(self) -> str:
        return self.base.stream

    @property
    def tokens(self) -> HuggingFaceTokenizer:
        return self.base.tokens

    def with_weights(self, weights: np.ndarray) -> "LogLinear":
        """Return the policy with other weights, [2 * features]."""
        return replace(self, weights=tuple(weights.tolist()))

    def walk(self, prompt_context: PromptContext) -> Walk:
        """Return the distribution over selections for a prompt context."""
        situation = self.situation(prompt_context)
        return situation.walk(self.weights_at(situation))

    def weights_at(self, situation: "Situation") -> np.ndarray:
        """Return the weights, [2 * features], or those nearer to the anchor that the leash allows here."""
        weights = np.array(self.weights)
        if self.leash is None:
            return weights
        anchor = np.array(self.leash.anchor)
        origin = situation.walk(anchor)
        share = furthest(lambda part: situation.walk(anchor + part * (weights - anchor)).kl(origin), self.leash.nats)
        return np.asarray(anchor + share * (weights - anchor))

    def situation(self, prompt_context: PromptContext) -> "Situation":
        """Return what there is to decide for a prompt context, whatever the weights."""
        sentences, features = _described(self.base, prompt_context.read)
        walk = self.base.walk_through(sentences, prompt_context.task.max_tokens)
        return Situation(walk, features, min(prompt_context.place.level, 1))

    def save(self, folder: Path) -> None:
        """Write the policy to a folder, as JSON; the file appears whole or not at all."""
        settings = {"temperature": self.base.temperature, "fill": self.base.fill, "tokenizer": self.base.tokenizer}
        weights = dict(zip(names(), self.weights, strict=True))
        leash = self.leash and self.leash._asdict()
        write_json(folder / FILE, {"kind": "log-linear", "writer": settings, "weights": weights, "leash": leash})

    @classmethod
    def load(cls, folder: Path) -> "LogLinear":
        """Read a policy that `save` wrote; raise InputError if there is none, or one of other features."""
        saved = read_json(folder / FILE)
        writer = saved.get("writer")
        match writer:
            case {
                "temperature": int() | float() as temperature,
                "fill": int() | float() as fill,
                "tokenizer": str(tokens),
            }:
                base = Extractive(temperature, fill, tokens)
            case _:
                raise InputError(
                    f"{folder / FILE}: `writer` needs a temperature, a fill and a tokenizer, got {writer!r}"
                )
        leash = saved.get("leash")
        return cls(base, weights_in(saved, folder / FILE), leash and Leash(tuple(leash["anchor"]), leash["nats"]))


@dataclass(frozen=True, eq=False)
class Situation:
    """A prompt context's decisions as a function of the weights: log-odds = base + features . weights.

    `features` is [sentences, features - 1]; the last feature, `left`, belongs to the tokens left.
    `level` is 0 for a leaf, 1 above.
    """

    base: Walk
    features: np.ndarray = field(repr=False)
    level: int

    def walk(self, weights: np.ndarray) -> Walk:
        """Return the distribution over selections under weights [2 * features]."""
        own = weights[self._own]
        moved = (self.features @ own[:-1])[:, None] + own[-1] * self._left
        return replace(self.base, logits=self.base.logits + moved)

    def by_weights(self, gradient: np.ndarray) -> np.ndarray:
        """Return a gradient by the logits, [sentences, budget + 1], as one by the weights, [2 * features]."""
        own = np.append(gradient.sum(axis=1) @ self.features, gradient.sum(axis=0) @ self._left)
        return self._all(own)

    def score(self, walk: Walk, chosen: Sequence[int]) -> np.ndarray:
        """Return the gradient of a selection's log-probability by the weights, [2 * features]."""
        score = walk.score(chosen)
        return self._all(np.append(score @ self.features, score @ self._left[walk.path(chosen)]))

    def fisher(self, walk: Walk) -> np.ndarray:
        """Return the Fisher information of the weights, [2 * features, 2 * features], exactly.

        Given the state a decision comes from, scores of different decisions are uncorrelated, so it
        is the sum over states of their probability times take (1 - take) x x'.
        """
        information = walk.information()
        by_sentence, by_left = information.sum(axis=1), information.sum(axis=0)
        mixed = self.features.T @ (information @ self._left)
        size = len(FEATURES)
        own = np.empty((size, size))
        own[:-1, :-1] = self.features.T @ (by_sentence[:, None] * self.features)
        own[:-1, -1] = own[-1, :-1] = mixed
        own[-1, -1] = by_left @ self._left**2
        full = np.zeros((len(LEVELS) * size, len(LEVELS) * size))
        full[self._own, self._own] = own
        return full

    @property
    def _own(self) -> slice:
        return slice(self.level * len(FEATURES), (self.level + 1) * len(FEATURES))

    @property
    def _left(self) -> np.ndarray:
        return np.arange(self.base.budget + 1) / self.base.budget - 0.5

    def _all(self, own: np.ndarray) -> np.ndarray:
        full = np.zeros(len(LEVELS) * len(FEATURES))
        full[self._own] = own
        return full


def furthest(kl: Callable[[float], float], budget: float) -> float:
    """Return the share of a way, 1 or less, up to which the KL from its beginning stays within the budget.

    The root of the KL is almost linear along a line of weights, so the chord is followed; the result's KL is at most
    the budget and, unless rounding forbids it, at least 98% of it.
    """
    most = kl(1.0)
    if most <= budget:
        return 1.0
    (low, least), (high, most) = (0.0, 0.0), (1.0, sqrt(most))
    goal, enough = sqrt(budget * (1 + CLOSE) / 2), sqrt(budget * CLOSE)
    for turn in range(40):
        share = 0.5 if turn % 3 == 2 else (goal - least) / (most - least)  # a halving in between never stalls
        between = low + share * (high - low)
        root = sqrt(max(0.0, kl(between)))
        if root * root <= budget:
            low, least = between, min(root, goal * (1 - 1e-9))
            if root >= enough:
                break
        else:
            high, most = between, root
    return low


def names() -> tuple[str, ...]:
    """Return the names of a policy's weights, in their order: `leaf.take`, ..., `above.left`."""
    return tuple(f"{level}.{feature}" for level in LEVELS for feature in FEATURES)


def described(view: View, sentences: Sentences) -> np.ndarray:
    """Return the features of sentences, float64 [sentences, features - 1]; all but the last of `FEATURES`."""
    shown = [text for passage in view.passages for text in sentence_texts(passage.text)]
    readings = _readings(shown, view.context)
    features = np.zeros((len(shown), len(FEATURES) - 1))
    features[:, 1] = np.linspace(0, 1, len(shown)) if len(shown) > 1 else 0.0
    features[:, 3] = salience(shown)
    for column, ask in enumerate(_OF_TEXT.values(), start=5):
        features[:, column] = [ask(reading) for reading in readings]
    features = features[sentences.places]
    features[:, 2] = np.diff(sentences.passages, prepend=-1) != 0
    features[:, 4] = _scores(view)[sentences.passages]
    if len(features):
        features -= features.mean(axis=0)
    features[:, 0] = 1.0
    return np.asarray(features)


def weights_in(saved: Mapping[str, Any], path: Path) -> tuple[float, ...]:
    """Return the weights that a JSON object holds by name, in order; raise InputError if it has others."""
    weights = saved.get("weights")
    if not isinstance(weights, dict) or set(weights) != set(names()):
        raise InputError(f"{path}: the weights are not those of this version's features; train the policy again")
    for name, value in weights.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise InputError(f"{path}: the weight {name!r} must be a finite number, got {value!r}")
    return tuple(float(weights[name]) for name in names())


@lru_cache(maxsize=4096)
def _described(base: Extractive, view: View) -> tuple[Sentences, np.ndarray]:
    sentences = base.sentences(view)
    return sentences, described(view, sentences)


def _readings(shown: list[str], context: str) -> list[_Reading]:
    spoken = [words(text) for text in shown]
    small = {word for each in spoken for word in each if word.islower()}
    capital = {word for each in spoken for word in each[1:] if word[:1].isupper() and word.lower() not in small}
    content = [{word.lower() for word in each if len(word) > 3} for each in spoken]
    counts = Counter(word for each in content for word in each)
    before = {word.lower() for word in words(context)}
    return [
        _Reading(text, each, own, [word for word in each if word in capital], counts, before)
        for text, each, own in zip(shown, spoken, content, strict=True)
    ]


def _scores(view: View) -> np.ndarray:
    """Return each passage's score, [passages]; where there is none, the mean of the others, or 0."""
    known = [passage.score for passage in view.passages if passage.score is not None]
    mean = sum(known) / len(known) if known else 0.0
    return np.array([mean if passage.score is None else passage.score for passage in view.passages])


def _share(content: set[str], holds: Callable[[str], bool]) -> float:
    return sum(map(holds, content)) / len(content) if content else 0.0
