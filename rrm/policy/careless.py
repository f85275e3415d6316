"""A hasty writer: selects sentences like the extractive policy, then mistakes, rewords and misplaces some of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from math import log
from typing import NamedTuple

import numpy as np

from rrm.core.errors import InputError, PluginError
from rrm.core.ids import content_id, generator, seed_for
from rrm.core.protocols import Policy, PromptContext, ProposeJob
from rrm.core.tracing import Piece
from rrm.core.values import Output, View
from rrm.policy.extractive import Extractive
from rrm.policy.selection import Sample, SentencePolicy, Walk, places_of, spans_of

Rewriting = Callable[[str, str], Sequence[str]]
"""(sentence, text that the writer has read) -> other ways to write the sentence, all equally likely; maybe none."""


class _Sentence(NamedTuple):
    """A sentence as it was written, the one that it was made from, and whether a mistake was made in it."""

    text: str
    original: str
    mistaken: bool


class _Told(NamedTuple):
    """Sentences in the order of writing, and the log-probability, in nats, of what was decided about them."""

    sentences: tuple[_Sentence, ...]
    log_prob: float
    whole: bool


@dataclass(frozen=True)
class Careless:
    """Makes a mistake in a sentence with probability `rate`, where the sentence offers one.

    `rate` may be one for each level from the leaves up, the last of them for all above.
    A mistake is one of those that `mistake` lists for a sentence and the text read; by default a name, a place
    ("in the ...") or a cause ("because ...") is replaced by another of the same sort. With `reword` every sentence is
    written in one of the ways that it lists, mistaken or not, where there are any. With probability `disorder` a
    sentence is put before one of the earlier ones, all places equally likely, and not behind the last: the repeated
    insertion model of Doignon, Pekeč and Regenwetter (2004), doi:10.1007/BF02295838. `mistake` and `reword` are
    functions (`Rewriting`) or import strings "package.module:name". So accuracy, wording and order are
    something to be judged. An output's `log_prob` is that of all decisions, the selection's included; sentences at the
    end that do not fit into the task's limit any more are left out.

    `writer` selects the sentences. What happens to them afterwards depends on the selection and on
    what is read, not on who selected: two careless policies of equal settings share it. So the KL between
    them over pairs of selection and what was made of it is, by the chain rule, that between their writers, and
    `kl` is exact. Over texts alone it is at most that.
    """

    rate: float | Sequence[float] = 0.15
    writer: SentencePolicy = field(default_factory=Extractive)
    mistake: Rewriting | str = "rrm.policy.mistakes:exchanged"
    reword: Rewriting | str | None = None
    disorder: float = 0.0
    name: str = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.rate, float | int):
            object.__setattr__(self, "rate", tuple(self.rate))
        if not self.rates or not all(0 <= rate < 1 for rate in self.rates):
            raise InputError(f"the careless policy's rate of mistakes lies in [0, 1), got {self.rate}")
        if not 0 <= self.disorder < 1:
            raise InputError(f"the careless policy's disorder lies in [0, 1), got {self.disorder}")
        object.__setattr__(self, "name", content_id("careless", *self._settings, self.writer.name))

    def with_writer(self, writer: SentencePolicy) -> "Careless":
        """Return the policy that makes the same of what another writer selects."""
        return replace(self, writer=writer)

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        """Return n selections a job with what was made of them, each within the task's limit of tokens."""
        return [[sample.output for sample in self.sample(job.prompt_context, job.n, job.seed)] for job in jobs]

    def sample(self, prompt_context: PromptContext, n: int, seed: int) -> list[Sample]:
        """Return n outputs with the selections that they were made from; equal seeds give equal ones."""
        walk = self.writer.walk(prompt_context)
        samples = [self.writer.write(prompt_context, walk, seed_for(seed, index)) for index in range(n)]
        return [Sample(self._written(each, walk, prompt_context), each.chosen) for each in samples]

    def trace(self, prompt_context: PromptContext, output: Output) -> tuple[Piece, ...]:
        """Return what an output of this policy was made from, piece by piece, and where it made mistakes; see `Piece`.

        Raises InputError for an output that the policy does not write at this prompt context.
        """
        walk = self.writer.walk(prompt_context)
        selected = self.writer.write(prompt_context, walk, output.seed)
        if self._written(selected, walk, prompt_context).id != output.id:
            raise InputError(f"the output {output.id} was not written by {self.name} at this prompt context")
        told = self._told(selected, walk, prompt_context).sentences
        places = places_of([each.original for each in told], prompt_context.view, walk.truncated)
        spans = spans_of([each.text for each in told])
        return tuple(map(Piece, spans, places, [each.mistaken for each in told]))

    def kl(self, prompt_context: PromptContext, other: Policy) -> float:
        """Return KL(self || other), in nats, over selections and what is made of them, exactly.

        Raises InputError unless the other is careless, too, with the same settings.
        """
        if not isinstance(other, Careless):
            raise InputError(f"the KL from {type(other).__name__} is not known: it makes other mistakes")
        if not self.alike(other):
            raise InputError(
                "the KL between careless policies needs equal rates of mistakes and other settings,"
                f" got {self._settings} and {other._settings}"
            )
        return self.writer.kl(prompt_context, other.writer)

    def log_ratio(self, prompt_context: PromptContext, output: Output, other: "Careless") -> float:
        """Return how much likelier an output of this policy was selected here than by another, in nats.

        What is made of a selection is as probable under both. Raises InputError unless the other has the same settings.
        """
        if not self.alike(other):
            raise InputError("the log-ratio of careless policies needs equal rates of mistakes and other settings")
        walk = self.writer.walk(prompt_context)
        chosen = self.writer.write(prompt_context, walk, output.seed).chosen
        return walk.log_prob_of(chosen) - other.writer.walk(prompt_context).log_prob_of(chosen)

    def alike(self, other: "Careless") -> bool:
        """Say whether both make the same of a selection."""
        return self._settings == other._settings

    def entropy(self, prompt_context: PromptContext) -> float:
        """Return the entropy, in nats, of the writer's selection, what is made of it not counted."""
        return self.writer.entropy(prompt_context)

    @cached_property
    def rates(self) -> tuple[float, ...]:
        """The probability of a mistake at each level from the leaves up."""
        return (float(self.rate),) if isinstance(self.rate, float | int) else tuple(map(float, self.rate))

    @cached_property
    def _settings(self) -> tuple[tuple[float, ...], str, str, float]:
        return (self.rates, _name(self.mistake), _name(self.reword), self.disorder)

    @cached_property
    def _mistakes(self) -> Rewriting:
        return _load(self.mistake)

    @cached_property
    def _wordings(self) -> Rewriting:
        return _load(self.reword) if self.reword is not None else lambda sentence, read: ()

    def _written(self, selected: Sample, walk: Walk, prompt_context: PromptContext) -> Output:
        told, output = self._told(selected, walk, prompt_context), selected.output
        text = " ".join(each.text for each in told.sentences)
        log_prob = (output.log_prob or 0.0) + told.log_prob
        truncated = output.truncated or not told.whole
        return replace(output, text=text, policy=self.name, log_prob=log_prob, truncated=truncated)

    def _told(self, selected: Sample, walk: Walk, prompt_context: PromptContext) -> _Told:
        random = generator("careless", *self._settings, selected.output.node, selected.output.seed)
        told: list[_Sentence] = []
        log_prob = 0.0
        rate = self.rates[min(prompt_context.place.level, len(self.rates) - 1)]
        for sentence in (walk.texts[index] for index in selected.chosen):
            written, here = self._tell(sentence, prompt_context.read, rate, random)
            log_prob += here + self._put(told, written, random)
        fitting = self._fitting(told, prompt_context.task.max_tokens)
        return _Told(tuple(fitting), log_prob, len(fitting) == len(told) and fitting[-1:] == told[-1:])

    def _tell(self, sentence: str, view: View, rate: float, random: np.random.Generator) -> tuple[_Sentence, float]:
        """Return a sentence as it is told, and the log-probability of the decisions."""
        told, log_prob = sentence, 0.0
        mistakes = self._mistakes(sentence, view.text) if rate else ()
        wrong = bool(mistakes) and random.random() < rate
        if mistakes:
            log_prob += log(rate / len(mistakes)) if wrong else log(1 - rate)
        if wrong:
            told = mistakes[int(random.integers(len(mistakes)))]
        if wordings := self._wordings(told, view.text):
            told = wordings[int(random.integers(len(wordings)))]
            log_prob -= log(len(wordings))
        return _Sentence(told, sentence, wrong), log_prob

    def _put(self, told: list[_Sentence], written: _Sentence, random: np.random.Generator) -> float:
        """Put a sentence where it goes among those told, and return the log-probability of that."""
        if not told or not self.disorder:
            told.append(written)
            return 0.0
        if random.random() >= self.disorder:
            told.append(written)
            return log(1 - self.disorder)
        told.insert(int(random.integers(len(told))), written)
        return log(self.disorder / (len(told) - 1))

    def _fitting(self, told: Sequence[_Sentence], limit: int) -> list[_Sentence]:
        """Return the sentences that fit into a limit of tokens, in order; the first cut short if not even that does."""
        tokens = self.writer.tokens
        kept = list(told)
        while len(kept) > 1 and tokens.count(" ".join(each.text for each in kept)) > limit:
            kept.pop()
        if len(kept) == 1 and tokens.count(kept[0].text) > limit:
            kept = [kept[0]._replace(text=tokens.cut(kept[0].text, limit))]
        return kept


def _name(rewriting: Rewriting | str | None) -> str:
    if rewriting is None or isinstance(rewriting, str):
        return rewriting or ""
    return f"{rewriting.__module__}:{rewriting.__qualname__}"


def _load(rewriting: Rewriting | str) -> Rewriting:
    if not isinstance(rewriting, str):
        return rewriting
    module, colon, name = rewriting.partition(":")
    try:
        found = getattr(import_module(module), name) if colon and module and name else None
    except (ImportError, AttributeError) as error:
        raise PluginError(f"the rewriting {rewriting!r} cannot be imported: {error}") from error
    if not callable(found):
        raise PluginError(f"the rewriting {rewriting!r} must lead to a function, as in 'package.module:name'")
    loaded: Rewriting = found
    return loaded
