"""A hasty writer: selects sentences like the extractive policy, then mistakes some names, places and causes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import log

from rrm.core.errors import InputError
from rrm.core.ids import content_id, generator
from rrm.core.protocols import Policy, PromptContext, ProposeJob
from rrm.core.text import sentence_texts, words
from rrm.core.values import Output
from rrm.policy.extractive import Extractive
from rrm.policy.selection import Sample, SentencePolicy

_NAME = re.compile(r"(?<=[\w,;’'] )[A-Z][a-z]+(?:[-’'][A-Z]?[a-z]+)?")
_PLACE = re.compile(r"\b(?:in|at|near|behind|beside|by|outside|inside|under) the [a-z]+(?: [a-z]+)?(?=[,.;]|$)")
_CAUSE = re.compile(r"\b(?:because|since|so that|after) [^.;]+")


@dataclass(frozen=True)
class Careless:
    """Makes a mistake in a sentence with probability `rate`, where the sentence offers one.

    A mistake replaces a name, a place ("in the ...") or a cause ("because ...") by another of the
    same sort from what the writer has read; all are equally likely. It is there so that accuracy is
    something to be judged. An output's `log_prob` is that of all decisions, the selection's included.

    `writer` selects the sentences. What happens to them afterwards depends on the selection and on
    what is read, not on who selected: two careless policies of one rate share it. So the KL between
    them over pairs of selection and mistakes is, by the chain rule, that between their writers, and
    `kl` is exact. Over texts alone it is at most that.
    """

    rate: float = 0.15
    writer: SentencePolicy = field(default_factory=Extractive)
    name: str = field(init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise InputError(f"the careless policy's rate of mistakes lies in [0, 1), got {self.rate}")
        object.__setattr__(self, "name", content_id("careless", self.rate, self.writer.name))

    def with_writer(self, writer: SentencePolicy) -> "Careless":
        """Return the policy that makes the same mistakes in what another writer selects."""
        return replace(self, writer=writer)

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        """Return n selections a job with their mistakes, each still within the task's limit of tokens."""
        return [[sample.output for sample in self.sample(job.prompt_context, job.n, job.seed)] for job in jobs]

    def sample(self, prompt_context: PromptContext, n: int, seed: int) -> list[Sample]:
        """Return n outputs with the selections that the mistakes were made in; equal seeds give equal ones."""
        sorts, limit = _sorts(prompt_context.view.text), prompt_context.task.max_tokens
        samples = self.writer.sample(prompt_context, n, seed)
        return [Sample(self._spoil(output, sorts, limit), chosen) for output, chosen in samples]

    def kl(self, prompt_context: PromptContext, other: Policy) -> float:
        """Return KL(self || other), in nats, over selections and mistakes, exactly.

        Raises InputError unless the other is careless, too, at the same rate.
        """
        if not isinstance(other, Careless):
            raise InputError(f"the KL from {type(other).__name__} is not known: it makes other mistakes")
        if self.rate != other.rate:
            raise InputError(
                f"the KL between careless policies needs equal rates of mistakes, got {self.rate} and {other.rate}"
            )
        return self.writer.kl(prompt_context, other.writer)

    def entropy(self, prompt_context: PromptContext) -> float:
        """Return the entropy, in nats, of the writer's selection, mistakes not counted."""
        return self.writer.entropy(prompt_context)

    def _spoil(self, output: Output, sorts: dict[re.Pattern[str], list[str]], limit: int) -> Output:
        random = generator("careless", self.rate, output.node, output.seed)
        log_prob = output.log_prob or 0.0
        told: list[str] = []
        for sentence in sentence_texts(output.text):
            mistakes = list(_mistakes(sentence, sorts))
            wrong = bool(mistakes) and random.random() < self.rate
            if mistakes:
                log_prob += log(self.rate / len(mistakes)) if wrong else log(1 - self.rate)
            told.append(mistakes[int(random.integers(len(mistakes)))] if wrong else sentence)
        cut = self.writer.tokens.cut(" ".join(told), limit)
        truncated = output.truncated or len(cut) < len(" ".join(told))
        return replace(output, text=cut, policy=self.name, log_prob=log_prob, truncated=truncated)


@lru_cache(maxsize=512)
def _sorts(read: str) -> dict[re.Pattern[str], list[str]]:
    return {pattern: _phrases(pattern, read) for pattern in (_NAME, _PLACE, _CAUSE)}


def _phrases(pattern: re.Pattern[str], text: str) -> list[str]:
    """Return the different phrases of a sort, in the order of reading; a name never occurs in small letters."""
    small = {word for word in words(text) if word.islower()} if pattern is _NAME else set()
    return [phrase for phrase in dict.fromkeys(pattern.findall(text)) if phrase.lower() not in small]


def _mistakes(sentence: str, sorts: dict[re.Pattern[str], list[str]]) -> Sequence[str]:
    """Return the sentence with each single replacement that can be made in it."""
    made: list[str] = []
    for pattern, phrases in sorts.items():
        known = set(phrases)
        for match in pattern.finditer(sentence):
            if match.group() in known:
                others = [phrase for phrase in phrases if phrase != match.group()]
                made.extend(sentence[: match.start()] + other + sentence[match.end() :] for other in others[:50])
    return sorted(set(made))
