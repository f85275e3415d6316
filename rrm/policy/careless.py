"""A hasty writer: selects sentences like the extractive policy, then mistakes some names, places and causes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import log

from rrm.core.errors import InputError
from rrm.core.ids import content_id, generator
from rrm.core.protocols import Material
from rrm.core.text import sentence_texts, words
from rrm.core.values import Output
from rrm.policy.extractive import Extractive

_NAME = re.compile(r"(?<=[\w,;’'] )[A-Z][a-z]+(?:[-’'][A-Z]?[a-z]+)?")
_PLACE = re.compile(r"\b(?:in|at|near|behind|beside|by|outside|inside|under) the [a-z]+(?: [a-z]+)?(?=[,.;]|$)")
_CAUSE = re.compile(r"\b(?:because|since|so that|after) [^.;]+")


@dataclass(frozen=True)
class Careless:
    """Makes a mistake in a sentence with probability `rate`, where the sentence offers one.

    A mistake replaces a name, a place ("in the ...") or a cause ("because ...") by another of the
    same sort from what the writer has read; all are equally likely. It is there so that accuracy is
    something to be judged. `log_prob` is that of all decisions, the selection's included.
    """

    rate: float = 0.15
    temperature: float = 0.5
    fill: float = 1.0
    tokenizer: str = "minilm"
    name: str = field(init=False)
    writer: Extractive = field(init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise InputError(f"the careless policy's rate of mistakes lies in [0, 1), got {self.rate}")
        writer = Extractive(self.temperature, self.fill, self.tokenizer)
        object.__setattr__(self, "writer", writer)
        object.__setattr__(self, "name", content_id("careless", self.rate, writer.name))

    def propose(self, material: Material, n: int, seed: int) -> list[Output]:
        """Return n selections with their mistakes, each still within the task's limit of tokens."""
        read = material.view.text
        sorts = {pattern: _phrases(pattern, read) for pattern in (_NAME, _PLACE, _CAUSE)}
        return [
            self._spoil(output, sorts, material.task.max_tokens) for output in self.writer.propose(material, n, seed)
        ]

    def _spoil(self, output: Output, sorts: dict[re.Pattern[str], list[str]], limit: int) -> Output:
        random = generator(self.name, output.node, output.seed)
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
