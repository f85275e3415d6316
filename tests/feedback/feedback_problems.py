"""Feedback about named texts beside one view, and raters whose parameters are known."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rrm.core.place import Place
from rrm.core.values import Answer, Comparison, Feedback, Label, Rated, Request, Shown, View

VIEW = View("Which is better?", (), 9)


def told(
    answer: Answer, texts: Sequence[str], rater: str = "Ann", confidence: float | None = None, source: str = "s"
) -> Rated:
    shown = tuple(Shown(text, text) for text in texts)
    asked = Request("node", source, Place(), answer.kind, VIEW, shown)
    return Rated(asked, Feedback(asked.id, rater, answer, confidence=confidence))


class Person(NamedTuple):
    """A rater with known parameters; `sign` -1 prefers the worse."""

    temperature: float = 1.0
    bias: float = 0.0
    lapse: float = 0.0
    severity: float = 0.0
    sign: int = 1


def sigmoid(logit: float | np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.asarray(logit))))


def compared(rewards: np.ndarray, people: Mapping[str, Person], each: int, seed: int) -> list[Rated]:
    """Every person compares so many random pairs."""
    rng = np.random.default_rng(seed)
    rows = []
    for name, person in people.items():
        for _ in range(each):
            a, b = (int(at) for at in rng.choice(len(rewards), 2, replace=False))
            first = sigmoid(person.sign * (rewards[a] - rewards[b]) / person.temperature + person.bias)
            blind = rng.random() < person.lapse
            choice = int(rng.random() >= (0.5 if blind else first))
            rows.append(told(Comparison(choice), [f"item {a}", f"item {b}"], name))
    return rows


def labelled(rewards: np.ndarray, people: Mapping[str, Person], seed: int) -> list[Rated]:
    """Every person labels every item."""
    rng = np.random.default_rng(seed)
    rows = []
    for name, person in people.items():
        for at, reward in enumerate(rewards):
            blind = rng.random() < person.lapse
            good = sigmoid(person.sign * (reward - person.severity) / person.temperature)
            rows.append(told(Label(bool(rng.random() < (0.5 if blind else good))), [f"item {at}"], name))
    return rows


def item_numbers(texts: Sequence[str]) -> np.ndarray:
    return np.array([int(text.split()[1]) for text in texts])
