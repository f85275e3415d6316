"""Questions over tables of facts: the answer to each is a chain of facts, so its parts can only be asked in turn.

A source is a question, a blank line, and facts in random order, one a line. Each relation is one to
one, and no name stands twice on a chain. So the fact that shares most words with the question is its
first step and never its answer, and a guess among the names of the right kind is right once in `entities`.

    >>> chain = FactChains(count=1, seed=1).chains[0]
    >>> print(chain.question)
    What is the mayor of the birthplace of Dario Wren?
    >>> [step.answer for step in chain.steps]
    ['Kenel', 'Clara Holt']
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from random import Random
from typing import NamedTuple

import numpy as np

from rrm.core.errors import InputError
from rrm.core.ids import generator, seed_for
from rrm.core.task import Source, Span
from rrm.core.values import View

NAMES: dict[str, tuple[str, ...]] = {
    "book": tuple(
        f"The {which} {what}"
        for which, what in product(
            ("Paper", "Hollow", "Silver", "Distant", "Broken"), ("Meadow", "Lantern", "Staircase", "Orchard")
        )
    ),
    "person": tuple(
        f"{first} {last}"
        for first, last in product(("Ada", "Bruno", "Clara", "Dario", "Edda"), ("Wren", "Holt", "Marsh", "Quill"))
    ),
    "city": tuple(map("".join, product(("Ost", "Lim", "Var", "Ken", "Bel"), ("el", "ora", "burg", "mouth")))),
    "river": tuple(map("".join, product(("Am", "Is", "Tol", "Rh", "Sen"), ("mer", "awa", "une", "ik")))),
    "peak": tuple(f"Mount {start}{end}" for start, end in product(("Gra", "Hel", "Kor", "Sul", "Zin"), "aeio")),
}
"""Twenty names of each kind."""

RELATIONS: dict[str, tuple[str, str]] = {
    "author": ("book", "person"),
    "printer": ("book", "person"),
    "teacher": ("person", "person"),
    "birthplace": ("person", "city"),
    "mayor": ("city", "person"),
    "river": ("city", "river"),
    "source": ("river", "peak"),
}
"""Which kind of name each relation leads from, and to which."""

_QUESTION = re.compile(r"What is ((?:the [a-z]+ of )+)([^?]+)\?")
_FACT = re.compile(r"\bthe ([a-z]+) of ([^.\n]+?) is ([^.\n]+)", re.IGNORECASE)


class Step(NamedTuple):
    """One question of a chain, which one fact answers, and where in the source that fact stands."""

    question: str
    answer: str
    fact: Span


@dataclass(frozen=True)
class FactChain:
    """A source, the question about it, and the steps to its answer."""

    source: Source
    question: str
    steps: tuple[Step, ...]

    @property
    def answer(self) -> str:
        return self.steps[-1].answer


class FactChains:
    """`count` questions of `hops` relations each, over facts about `entities` names of each kind.

    Question number i of a seed is the same whatever `count` is. Raises InputError unless count is 1
    or more, hops 1 to 8, and entities from hops + 2 to 20.
    """

    def __init__(self, count: int, hops: int = 2, entities: int = 8, seed: int = 0) -> None:
        if count < 1 or not 1 <= hops <= 8 or not hops + 2 <= entities <= 20:
            limits = "a count of 1 or more, 1 to 8 hops and hops + 2 to 20 entities"
            raise InputError(f"fact chains need {limits}, got {count}, {hops} and {entities}")
        self.count, self.hops, self.entities, self.seed = count, hops, entities, seed
        self.name = f"fact-chains(count={count}, hops={hops}, entities={entities}, seed={seed})"

    @cached_property
    def chains(self) -> list[FactChain]:
        """The questions with the steps to their answers."""
        settings = ("fact-chains", self.hops, self.entities, self.seed)
        return [write_chain(Random(seed_for(*settings, i)), self.hops, self.entities) for i in range(self.count)]

    @cached_property
    def _by_id(self) -> dict[str, FactChain]:
        return {chain.source.id: chain for chain in self.chains}

    def sources(self) -> list[Source]:
        return [chain.source for chain in self.chains]

    def gold(self, source: str, span: Span | None, text: str) -> float:
        """Return how exactly a text answers the question about a source (None), or a step of it (a span).

        That is 1 / n if the text gives the right name among n of its kind, else 0. What a text gives
        are the names at the ends of its facts ("The author of X is NAME"), or if it has no such fact,
        all that it mentions. A span does not tell which step is asked about: of the steps whose facts
        lie inside, the one that the text answers best counts, and where there is none, the right
        answer is to say nothing. Raises InputError for an unknown source.
        """
        if source not in self._by_id:
            raise InputError(f"{self.name} has no source with the id {source!r}")
        steps = self._by_id[source].steps
        if span is None:
            return _credit(text, steps[-1].answer)
        inside = [step for step in steps if span.start <= step.fact.start and step.fact.end <= span.end]
        return max((_credit(text, step.answer) for step in inside), default=float(not text.strip()))


def write_chain(random: Random, hops: int, entities: int) -> FactChain:
    """Draw the facts, and a chain of them whose names all differ."""
    names = {kind: random.sample(every, entities) for kind, every in NAMES.items()}
    facts = {relation: _one_to_one(random, names, relation) for relation in RELATIONS}
    relations, chain = _drawn(random, facts, hops)
    lines = [_fact(relation, *pair) for relation, pairs in facts.items() for pair in pairs.items()]
    random.shuffle(lines)
    question = f"What is {''.join(f'the {relation} of ' for relation in reversed(relations))}{chain[0]}?"
    text = "\n".join([question, "", *lines])
    steps = []
    for relation, name, answer in zip(relations, chain, chain[1:], strict=False):
        at = text.index(fact := _fact(relation, name, answer))
        steps.append(Step(f"What is the {relation} of {name}?", answer, Span(at, at + len(fact))))
    return FactChain(Source(question, text), question, tuple(steps))


def perceived_quality(view: View, texts: Sequence[str], read: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return the quality, float64 [k], that a reader sees in each text who knows only the view.

    The reader follows the instruction's question through the facts in the passages, takes in each of
    them with probability `read` (seeded, equal for all texts), and holds a text against the answer as
    `FactChains.gold` does. Passages without facts are answers to the question's steps: there the last
    one is held to be right. Who finds no answer gives every text 0.5.
    """
    told = [
        (match[1].lower(), match[2], match[3]) for passage in view.passages for match in _FACT.finditer(passage.text)
    ]
    kept = np.ones(len(told)) if read >= 1 else generator("reading", view.id, read, seed).random(len(told)) < read
    answer = _followed(view.instruction, {fact[:2]: fact[2] for fact, seen in zip(told, kept, strict=True) if seen})
    if not told and view.passages:
        answer = view.passages[-1].text.strip().rstrip(".")
    return np.asarray([0.5 if answer is None else _credit(text, answer) for text in texts], dtype=np.float64)


def _followed(question: str, facts: dict[tuple[str, str], str]) -> str | None:
    match = _QUESTION.search(question)
    if match is None:
        return None
    name: str | None = match[2]
    for relation in reversed(match[1].split()[1::3]):
        name = None if name is None else facts.get((relation, name))
    return name


def _credit(text: str, answer: str) -> float:
    """Return 1 / n if `answer` is among the n names of its kind that a text gives, else 0."""
    same_kind = next((names for names in NAMES.values() if answer in names), (answer,))
    ends = [match[3] for match in _FACT.finditer(text)]
    given = {name for name in same_kind if re.search(rf"\b{re.escape(name)}\b", "\n".join(ends) if ends else text)}
    return 1 / len(given) if answer in given else 0.0


def _one_to_one(random: Random, names: dict[str, list[str]], relation: str) -> dict[str, str]:
    """Draw which name a relation leads to from each; within a kind, following it leads round through all names."""
    start, end = RELATIONS[relation]
    order = random.sample(names[end], len(names[end]))
    if start == end:
        return dict(zip(order, [*order[1:], order[0]], strict=True))
    return dict(zip(names[start], order, strict=True))


def _drawn(random: Random, facts: dict[str, dict[str, str]], hops: int) -> tuple[tuple[str, ...], list[str]]:
    """Draw relations that can follow one another, and the names along them, all different."""
    paths: list[tuple[str, ...]] = [(relation,) for relation in RELATIONS]
    for _ in range(hops - 1):
        paths = [
            (*path, after) for path in paths for after in RELATIONS if RELATIONS[path[-1]][1] == RELATIONS[after][0]
        ]
    random.shuffle(paths)
    for path in paths:
        chains = list(_chains(facts, path))
        if chains:
            return path, random.choice(chains)
    raise AssertionError("a chain of teachers never comes back within as many hops as there are entities")


def _chains(facts: dict[str, dict[str, str]], path: Sequence[str]) -> Iterator[list[str]]:
    """Return the names along a path of relations, from each where all differ."""
    for start in facts[path[0]]:
        chain = [start]
        for relation in path:
            chain.append(facts[relation][chain[-1]])
        if len(set(chain)) == len(chain):
            yield chain


def _fact(relation: str, name: str, answer: str) -> str:
    return f"The {relation} of {name} is {answer}."
