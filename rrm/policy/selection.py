"""Selections of sentences as a walk: one decision a sentence, and everything exact that follows from it."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, islice
from math import inf
from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_expit

from rrm.backbone.tokens import HuggingFaceTokenizer
from rrm.core.claims import Citation
from rrm.core.errors import InputError
from rrm.core.ids import generator, seed_for
from rrm.core.protocols import Policy, PromptContext, ProposeJob
from rrm.core.task import Span
from rrm.core.text import sentence_texts, sentences
from rrm.core.tracing import Piece
from rrm.core.values import Output, View


class Draw(NamedTuple):
    """One sampled selection: indices in order, and the log-probability, in nats, of its decisions."""

    chosen: tuple[int, ...]
    log_prob: float


class Sample(NamedTuple):
    """An output with the selection that it was written from."""

    output: Output
    chosen: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Walk:
    """A distribution over selections: sentences are taken or left in order while tokens are left.

    `logits` [sentences, budget + 1] holds, in its row i and column L, the log-odds of taking sentence
    i with L tokens left: -inf where it cannot be taken, inf where it has to be. Taking it costs
    `tokens[i]`. Nothing else is remembered, so sums over all selections are sums over (sentence, tokens
    left), and decisions and selections are one to one. `texts` are what each sentence adds to the
    output, and `truncated` says that they are beginnings of sentences.
    """

    texts: tuple[str, ...]
    tokens: np.ndarray = field(repr=False)
    logits: np.ndarray = field(repr=False)
    truncated: bool = False

    @property
    def budget(self) -> int:
        return int(self.logits.shape[1] - 1)

    @cached_property
    def take(self) -> np.ndarray:
        """The probability of taking each sentence, [sentences, budget + 1]."""
        return np.asarray(expit(self.logits))

    @cached_property
    def visits(self) -> np.ndarray:
        """The probability of coming to each sentence with L tokens left, [sentences, budget + 1]."""
        visits = np.zeros_like(self.logits)
        here = np.zeros(self.budget + 1)
        here[-1] = 1.0
        for index, cost in enumerate(self._costs):
            visits[index] = here
            taken = here * self.take[index]
            here = here - taken
            here[: len(here) - cost] += taken[cost:]
        return visits

    def draw(self, random: np.random.Generator) -> Draw:
        """Sample one selection.

        Each sentence has a random number of its own, so that from equal generators walks of almost equal
        logits draw almost always the same.
        """
        chosen: list[int] = []
        left, log_prob = self.budget, 0.0
        chances = random.random(len(self.texts))
        for index, cost in enumerate(self._costs):
            logit = self.logits[index, left]
            take = bool(chances[index] < self.take[index, left])
            log_prob += float(log_expit(logit if take else -logit))
            if take:
                chosen.append(index)
                left -= cost
        return Draw(tuple(chosen), log_prob)

    def path(self, chosen: Sequence[int]) -> np.ndarray:
        """Return the tokens left, int64 [sentences], before each decision of a selection."""
        costs = np.zeros(len(self.texts), dtype=np.int64)
        costs[list(chosen)] = self.tokens[list(chosen)]
        return self.budget - np.cumsum(costs) + costs

    def write(self, chosen: Sequence[int]) -> str:
        """Return the text of a selection."""
        return " ".join(self.texts[index] for index in chosen)

    def log_prob_of(self, chosen: Sequence[int]) -> float:
        """Return the log-probability, in nats, of a selection's decisions."""
        rows, path = np.arange(len(self.texts)), self.path(chosen)
        taken = np.zeros(len(self.texts), dtype=bool)
        taken[list(chosen)] = True
        return float(np.where(taken, self._log_take[rows, path], self._log_leave[rows, path]).sum())

    def log_prob(self, text: str) -> float:
        """Return the log-probability, in nats, that a selection reads so; -inf if none can.

        Several selections may read alike, where one sentence is another and a third joined: their
        probabilities are added. Positions in the text and tokens left are walked through together.
        """
        ways: dict[tuple[int, int], float] = {(0, self.budget): 0.0}
        for index, (piece, cost) in enumerate(zip(self.texts, self._costs, strict=True)):
            after: dict[tuple[int, int], float] = defaultdict(lambda: -inf)
            for (place, left), so_far in ways.items():
                logit = self.logits[index, left]
                spoken = piece if place == 0 else f" {piece}"
                if logit > -inf and text.startswith(spoken, place):
                    taken = (place + len(spoken), left - cost)
                    after[taken] = np.logaddexp(after[taken], so_far + log_expit(logit))
                if logit < inf:
                    after[place, left] = np.logaddexp(after[place, left], so_far + log_expit(-logit))
            ways = after
        ends = [so_far for (place, _), so_far in ways.items() if place == len(text)]
        return float(np.logaddexp.reduce(ends)) if ends else -inf

    def entropy(self) -> float:
        """Return the entropy, in nats, of the distribution over selections."""
        return -float((self.visits * self._mean(self._log_take, self._log_leave)).sum())

    def kl(self, other: "Walk") -> float:
        """Return KL(self || other), in nats, between the distributions over selections; inf if other lacks one.

        By the chain rule it is the sum over all states of the probability of coming there times the
        divergence of the decision made there. Raises InputError if the two walk through different
        sentences, or with a different budget.
        """
        divergence = self._divergence(other)
        return float((self.visits * divergence)[self.visits > 0].sum())

    def kl_gradient(self, other: "Walk") -> np.ndarray:
        """Return the gradient of `kl` with respect to the finite logits, [sentences, budget + 1]; 0 elsewhere."""
        divergence = self._divergence(other)
        apart = np.where(self._open, self.logits, 0.0) - np.where(self._open, other.logits, 0.0)
        return self._gradient(divergence, apart)

    def expected_sum(self, values: np.ndarray) -> float:
        """Return the expected sum of the values, [sentences], of the sentences that are taken."""
        return float((self.visits * self.take).sum(axis=1) @ values)

    def expected_sum_gradient(self, values: np.ndarray) -> np.ndarray:
        """Return the gradient of `expected_sum` with respect to the logits, [sentences, budget + 1]."""
        return self._gradient(self.take * values[:, None], np.broadcast_to(values[:, None], self.logits.shape))

    def score(self, chosen: Sequence[int]) -> np.ndarray:
        """Return the gradient of a selection's log-probability by the logits it came by, [sentences]."""
        path = self.path(chosen)
        rows = np.arange(len(self.texts))
        taken = np.zeros(len(self.texts))
        taken[list(chosen)] = 1.0
        return np.asarray(taken - self.take[rows, path])

    def information(self) -> np.ndarray:
        """Return the Fisher information of each logit, [sentences, budget + 1]; decisions are uncorrelated."""
        return np.asarray(self.visits * self.take * (1 - self.take))

    def selections(self) -> Iterator[Draw]:
        """Yield every selection of positive probability; their number may be exponential in the sentences."""
        ways: list[tuple[int, int, tuple[int, ...], float]] = [(0, self.budget, (), 0.0)]
        while ways:
            index, left, chosen, log_prob = ways.pop()
            if index == len(self.texts):
                yield Draw(chosen, log_prob)
                continue
            logit = self.logits[index, left]
            if logit > -inf:
                rest = left - self._costs[index]
                ways.append((index + 1, rest, (*chosen, index), log_prob + float(log_expit(logit))))
            if logit < inf:
                ways.append((index + 1, left, chosen, log_prob + float(log_expit(-logit))))

    @cached_property
    def _costs(self) -> list[int]:
        return [min(int(tokens), self.budget + 1) for tokens in self.tokens]

    @cached_property
    def _open(self) -> np.ndarray:
        return np.asarray(np.isfinite(self.logits))

    @cached_property
    def _log_take(self) -> np.ndarray:
        return np.asarray(log_expit(self.logits))

    @cached_property
    def _log_leave(self) -> np.ndarray:
        return np.asarray(log_expit(-self.logits))

    def _divergence(self, other: "Walk") -> np.ndarray:
        """Return KL(self || other) of each decision, [sentences, budget + 1]."""
        if self.texts != other.texts or self.logits.shape != other.logits.shape:
            raise InputError(
                "the KL between two policies needs the same sentences and the same budget of tokens: "
                "give both the same tokenizer and the same fill"
            )
        with np.errstate(invalid="ignore"):  # what both never do: -inf - -inf, which `_mean` leaves out
            return self._mean(self._log_take - other._log_take, self._log_leave - other._log_leave)

    def _mean(self, taking: np.ndarray, leaving: np.ndarray) -> np.ndarray:
        """Return the mean of what taking and what leaving gives at each decision; what never happens counts nothing."""
        take, leave = self.take, np.exp(self._log_leave)
        return np.asarray(take * np.where(take > 0, taking, 0) + leave * np.where(leave > 0, leaving, 0))

    def _gradient(self, reward: np.ndarray, contrast: np.ndarray) -> np.ndarray:
        """Return the gradient by the logits of the expected sum of `reward` [sentences, budget + 1] over a walk.

        `contrast` is what taking a sentence gives at once beyond leaving it, as the reward's derivative
        by the probability of taking it; what comes later is found backwards from the last sentence.
        """
        later = np.zeros(self.budget + 1)
        gain = np.zeros_like(self.logits)
        for index in range(len(self.texts) - 1, -1, -1):
            cost = self._costs[index]
            step = -later
            step[cost:] += later[: len(later) - cost]
            gain[index] = step
            later = later + reward[index] + self.take[index] * step
        return np.asarray(self.visits * self.take * (1 - self.take) * (contrast + gain))


class SentencePolicy(ABC):
    """A policy that selects sentences by a walk; what is exact about walks is exact about it.

    An output's `log_prob` is that of its decisions, so at most that of its text (see `log_prob`).
    """

    name: str

    @property
    def stream(self) -> str:
        """What names the policy's random numbers: policies that share it draw alike where they are alike."""
        return self.name

    @property
    @abstractmethod
    def tokens(self) -> HuggingFaceTokenizer:
        """What counts the tokens."""

    @abstractmethod
    def walk(self, prompt_context: PromptContext) -> Walk:
        """Return the distribution over selections for a prompt context."""

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        """Return n selections a job, each kept within the task's limit of tokens."""
        return [[sample.output for sample in self.sample(job.prompt_context, job.n, job.seed)] for job in jobs]

    def sample(self, prompt_context: PromptContext, n: int, seed: int) -> list[Sample]:
        """Return n outputs with their selections; equal seeds give equal ones."""
        walk = self.walk(prompt_context)
        return [self._cited(prompt_context, walk, seed_for(seed, index)) for index in range(n)]

    def trace(self, prompt_context: PromptContext, output: Output) -> tuple[Piece, ...]:
        """Return what an output of this policy was made from, piece by piece; see `Piece`.

        Raises InputError for an output that the policy does not write at this prompt context.
        """
        walk = self.walk(prompt_context)
        written, chosen = self._cited(prompt_context, walk, output.seed)
        if written.id != output.id:
            raise InputError(f"the output {output.id} was not written by {self.name} at this prompt context")
        places = places_of([walk.texts[index] for index in chosen], prompt_context.view, walk.truncated)
        return tuple(map(Piece, spans_of([walk.texts[index] for index in chosen]), places))

    def log_prob(self, prompt_context: PromptContext, texts: Sequence[str]) -> np.ndarray:
        """Return the exact log-probability of each text, in nats, float64 [texts]; -inf where it is no selection.

        Where more than one selection reads alike their probabilities are added, so that the
        probabilities of different texts sum to one (see `Walk.log_prob`).
        """
        walk = self.walk(prompt_context)
        return np.array([walk.log_prob(text) for text in texts], dtype=np.float64)

    def listed(self, prompt_context: PromptContext, most: int) -> Mapping[str, float] | None:
        """Return the log-probability of every text that a selection reads, None where there are more than `most`.

        Selections that read alike are one text; up to four times as many selections are looked at.
        """
        walk = self.walk(prompt_context)
        drawn = list(islice(walk.selections(), 4 * most + 1))
        if len(drawn) > 4 * most:
            return None
        texts: dict[str, float] = {}
        for each in drawn:
            text = walk.write(each.chosen)
            texts[text] = float(np.logaddexp(texts.get(text, -inf), each.log_prob))
        return texts if len(texts) <= most else None

    def kl(self, prompt_context: PromptContext, other: Policy) -> float:
        """Return KL(self || other), in nats, over selections for one prompt context, exactly; see `Walk.kl`.

        Raises InputError for a policy that does not select sentences.
        """
        if not isinstance(other, SentencePolicy):
            raise InputError(f"the KL from {type(other).__name__} is not known: it does not select sentences")
        return self.walk(prompt_context).kl(other.walk(prompt_context))

    def entropy(self, prompt_context: PromptContext) -> float:
        """Return the entropy, in nats, of the selection for one prompt context, exactly."""
        return self.walk(prompt_context).entropy()

    def write(self, prompt_context: PromptContext, walk: Walk, seed: int) -> Sample:
        """Return the output of one seed, by the policy's walk at a prompt context, with its selection."""
        drawn = walk.draw(generator(self.stream, prompt_context.node, seed))
        text = walk.write(drawn.chosen)
        truncated = walk.truncated and bool(drawn.chosen)
        made = (prompt_context.node, text, self.name, seed, prompt_context.inputs, prompt_context.context)
        return Sample(Output(*made, log_prob=drawn.log_prob, truncated=truncated), drawn.chosen)

    def _cited(self, prompt_context: PromptContext, walk: Walk, seed: int) -> Sample:
        """Return the output of one seed with what it copies: each sentence cites the first place that reads so."""
        output, chosen = self.write(prompt_context, walk, seed)
        texts = [walk.texts[index] for index in chosen]
        return Sample(replace(output, citations=copied(texts, prompt_context.view, walk.truncated)), chosen)


def spans_of(texts: Sequence[str]) -> list[Span]:
    """Return where each text stands when they are joined by single spaces."""
    ends = list(accumulate(len(text) + 1 for text in texts))
    return [Span(end - len(text) - 1, end - 1) for text, end in zip(texts, ends, strict=True)]


def places_of(texts: Sequence[str], view: View, cut: bool = False) -> list[tuple[int, ...]]:
    """Return for each text the numbers of the view's sentences that read so, or begin so where it was `cut`."""
    shown = [text for passage in view.passages for text in sentence_texts(passage.text)]
    return [
        tuple(place for place, each in enumerate(shown) if each == text or (cut and each.startswith(text)))
        for text in texts
    ]


def copied(texts: Sequence[str], view: View, cut: bool = False) -> tuple[Citation, ...]:
    """Return a citation for each text, as they stand joined by single spaces, of the first sentence that reads so.

    Where they were `cut`, of the first that begins so. What no sentence of the view reads is not cited.
    """
    places = [
        (text, number, span)
        for number, passage in enumerate(view.passages)
        for text, span in zip(sentence_texts(passage.text), sentences(passage.text), strict=True)
    ]
    first = {text: (number, span) for text, number, span in reversed(places)}
    found = (
        next(((number, span) for each, number, span in places if each.startswith(text)), None)
        if cut
        else first.get(text)
        for text in texts
    )
    return tuple(Citation(said, *read) for said, read in zip(spans_of(texts), found, strict=True) if read is not None)
