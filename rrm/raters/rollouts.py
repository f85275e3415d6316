"""What comes of an output: a reader who has nothing but it is asked about the text, and what is right is known.

A rater in hindsight is shown what such a reader gets right and wrong (`rrm.core.protocols.Rollout`).
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from rrm.core.errors import ConfigError
from rrm.core.ids import content_id, generator
from rrm.core.text import sentence_texts, words
from rrm.core.values import Consequence
from rrm.raters.names import names_in, names_within

_BLANK = "____"
_ALIKE = 0.5
"""The share of a sentence's words that another has which is about the same."""

_SHORT = 3
"""Words of so many letters or fewer tell no sentence from another."""


@dataclass(frozen=True)
class Cloze:
    """Asks a reader of an output alone for names and numbers in the text: implements `rrm.core.protocols.Rollout`.

    Up to `questions` sentences of the text that any of the outputs speaks of have a name or a number taken out, those
    first of which outputs say different things; a reader who has an output alone fills the gap from the sentence of it
    that has most words in common, or says that it does not tell. All outputs of a node are asked the same. An output is
    worth the share that is filled in rightly.

    How often such a reader is wrong is found by giving it the text itself, which has all that is asked. With
    probability `errs` it errs beside that, whatever it reads: a world model that is as wrong as that.

    Raises ConfigError unless a question is asked and `errs` is a share.
    """

    questions: int = 4
    errs: float = 0.0
    name: str = field(init=False)

    def __post_init__(self) -> None:
        if self.questions < 1 or not 0 <= self.errs <= 1:
            raise ConfigError(
                "[rater] hindsight: questions are 1 or more and errs a share from 0 to 1,"
                f" got {self.questions} and {self.errs}"
            )
        object.__setattr__(self, "name", content_id("cloze", self.questions, self.errs))

    def roll_out(self, text: str, outputs: Sequence[str], seed: int) -> list[Consequence | None]:
        """Return what comes of each output, None for all where none speaks of a sentence with a name or a number."""
        known = names_within([text, *outputs])
        sentences = [_Sentence.of(each, known) for each in sentence_texts(text)]
        readers = [[_Sentence.of(each, known) for each in sentence_texts(output)] for output in outputs]
        gaps = _gaps(sentences, readers)[: self.questions]
        if not gaps:
            return [None] * len(outputs)
        others = sorted({name for each in sentences for name in each.names})
        chance = generator("cloze", seed, text, list(outputs))
        wrong = sum(said != gap.name for gap, said in self._read(gaps, sentences, others, chance))
        return [_told(self._read(gaps, reader, others, chance), len(gaps), wrong) for reader in readers]

    def _read(
        self, gaps: Sequence["_Gap"], reader: Sequence["_Sentence"], others: Sequence[str], chance: np.random.Generator
    ) -> list[tuple["_Gap", str | None]]:
        """Return what a reader fills into each gap; None where what it read does not tell."""
        return [
            (gap, gap.misread(said, others, chance) if chance.random() < self.errs else said)
            for gap in gaps
            for said in [gap.filled(reader)]
        ]


class _Sentence(NamedTuple):
    """A sentence, the names and numbers in it, and the words by which it is told from others."""

    text: str
    names: tuple[str, ...]
    words: frozenset[str]

    @classmethod
    def of(cls, text: str, known: Collection[str]) -> "_Sentence":
        """Read a sentence, whose first word is a name only where it is `known` for one."""
        return cls(text, names_in(text, known), _telling(text))


class _Gap(NamedTuple):
    """A sentence of the text with a name or a number taken out."""

    sentence: _Sentence
    name: str

    @property
    def question(self) -> str:
        return _alone(self.name).sub(_BLANK, self.sentence.text)

    @property
    def words(self) -> frozenset[str]:
        return self.sentence.words - _telling(self.name)

    def filled(self, reader: Iterable[_Sentence]) -> str | None:
        """Return what the sentence that has most of the words says in the gap's place, None where none does."""
        best = max(reader, key=lambda each: len(self.words & each.words), default=None)
        if best is None or not _alike(self.words, best.words):
            return None
        if _alone(self.name).search(best.text):
            return self.name
        return next((name for name in best.names if name not in self.sentence.names), None)

    def misread(self, said: str | None, others: Sequence[str], chance: np.random.Generator) -> str | None:
        """Return another answer than was read: one that is wrong where it was right, and right where it was wrong."""
        wrong = [each for each in others if each != self.name]
        if said != self.name:
            return self.name
        return wrong[int(chance.integers(len(wrong)))] if wrong else None


def _gaps(sentences: Sequence[_Sentence], readers: Sequence[Sequence[_Sentence]]) -> list[_Gap]:
    """Return gaps in the sentences of which outputs speak, one each: first where they say different things."""
    spoken: dict[int, list[_Sentence]] = {}
    often = Counter(word for each in sentences for word in each.words)
    for reader in readers:
        for said in reader:
            shared = [sum(1 / often[word] for word in sorted(said.words & each.words)) for each in sentences]
            at = int(np.argmax(shared)) if shared else 0
            if shared and sentences[at].names and _alike(sentences[at].words, said.words):
                spoken.setdefault(at, []).append(said)
    found = []
    for at, told in spoken.items():
        named = {name: _alone(name) for name in sentences[at].names}
        missing = Counter({name: sum(not alone.search(said.text) for said in told) for name, alone in named.items()})
        name, otherwise = missing.most_common(1)[0]
        found.append(((-min(otherwise, len(told) - otherwise, 1), -len(told), at), _Gap(sentences[at], name)))
    return [gap for _, gap in sorted(found, key=lambda each: each[0])]


def _told(answers: Sequence[tuple[_Gap, str | None]], checked: int, wrong: int) -> Consequence:
    """Return in words what a reader answered, and how much of it was right."""
    right = sum(said == gap.name for gap, said in answers)
    lines = [f"Who reads this alone answers {right} of {len(answers)} questions about the text rightly."]
    for gap, said in answers:
        if said == gap.name:
            lines.append(f"Right: {gap.question} – {said}.")
        elif said is None:
            lines.append(f"Not told: {gap.question} – the text says {gap.name}.")
        else:
            lines.append(f"Wrong: {gap.question} – {said}; the text says {gap.name}.")
    return Consequence("\n".join(lines), round(right / len(answers), 2), checked, wrong)


def _alone(name: str) -> re.Pattern[str]:
    """Return what finds a name or a number, and none that is within a longer word or number."""
    return re.compile(rf"(?<!\w)(?<!\d[.,:]){re.escape(name)}(?!\w)(?![.,:]\d)")


def _alike(asked: frozenset[str], said: frozenset[str]) -> bool:
    return bool(asked and said) and len(asked & said) >= max(2, _ALIKE * min(len(asked), len(said)))


def _telling(text: str) -> frozenset[str]:
    return frozenset(each.lower() for each in words(text) if len(each) > _SHORT or each[0].isdigit())
