"""Are composed step rewards better than a reward of outcomes? GSM8K's recorded model solutions, pair by pair.

    python -m benchmarks.decomposers --parts solutions

Four systems' solutions of 661 problems; a pair is a solution with the right final answer beside one with a wrong one.
A step model says how probable it is that a marked calculation's value is a result in the human solution (a heuristic
label, `tasks.arithmetic_steps.label`); its probabilities are composed by product, by minimum, or by a model learned on
the training problems. The outcome-only model is trained on the same rows, with the same features summed up, from
whether the final answer is right. Folds are of problems, and no model is shown a human solution. Intervals are 95 %
bootstrap intervals over problems.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from rrm.core.ids import generator
from rrm.core.text import words
from tasks.arithmetic_steps import Calculation, calculations, final_number, known_operands, numbers, reads
from tasks.recorded_rows import json_rows
from tasks.word_problems import labelled

STEP_FEATURES = 20
RIDGE = 1.0
"""Precision of the normal prior of each standardised weight."""


@dataclass(frozen=True, eq=False)
class Solution:
    """A written solution: `steps` [steps, features] and `whole` [features] are read off question and solution alone."""

    problem: str
    text: str
    correct: bool
    steps: np.ndarray
    right: np.ndarray
    whole: np.ndarray


class Figure(NamedTuple):
    """A mean over `n` rows with its interval."""

    name: str
    value: float
    low: float
    high: float
    n: int


def step_features(question: str, solution: str, steps: Sequence[Calculation]) -> np.ndarray:
    """Return the features of a solution's steps, float64 [steps, STEP_FEATURES]; a step sees those before it."""
    asked = {abs(each) for each in numbers(question)}
    question_words = {word.lower() for word in words(question)}
    lines = [line for line in solution.splitlines() for _ in calculations(line)]
    rows = []
    known, built_on = known_operands(question, steps), reads(steps)
    used: set[Fraction] = set()
    for at, step in enumerate(steps):
        value = step.value
        said = [word.lower() for word in words(re.sub(r"<<[^>]*>>", "", lines[at]))] if at < len(lines) else []
        fresh = step.operands & (asked - used)
        used |= step.operands & asked
        signs = [float(step.expression.count(sign)) for sign in "+-*/"]
        rows.append(
            [
                float(step.holds is True),
                known[at],
                float(len(step.operands)),
                sum(operand in asked for operand in step.operands) / max(1, len(step.operands)),
                float(len(built_on[at])),
                float(value is not None and abs(value) in asked),
                float(value is not None and value.denominator == 1),
                float(value is not None and value < 0),
                float(np.log1p(abs(float(value)))) if value is not None else 0.0,
                float(any(value == earlier.value for earlier in steps[:at])),
                at / max(1, len(steps) - 1),
                *signs,
                sum(word in question_words for word in said) / max(1, len(said)),
                float(len(fresh)),
                len(used) / max(1, len(asked)),
                float(at),
                float(len(step.operands & {Fraction(2), Fraction(100), Fraction(1, 100)})),
            ]
        )
    return np.array(rows, dtype=np.float64).reshape(len(steps), STEP_FEATURES)


def whole_features(question: str, solution: str, steps: Sequence[Calculation], of_steps: np.ndarray) -> np.ndarray:
    """Return the features of a solution as a whole: its steps' summed up, how many there are, and how it ends."""
    summed = (
        [of_steps.mean(axis=0), of_steps.min(axis=0), of_steps.sum(axis=0)]
        if len(steps)
        else [np.zeros(3 * STEP_FEATURES)]
    )
    final, asked = final_number(solution), {abs(each) for each in numbers(question)}
    used = set(chain.from_iterable(step.operands for step in steps))
    ends = [
        float(bool(steps) and steps[-1].value == final),
        float(final is not None and final.denominator == 1),
        float(final is not None and final < 0),
        float(final is not None and final in asked),
        len(asked & used) / max(1, len(asked)),
        float(len(steps)),
        len(solution) / 100,
    ]
    return np.concatenate([*summed, ends])


def read_solutions(folder: Path) -> list[Solution]:
    """Return the recorded solutions; human ones are read for the steps' labels alone."""
    human = {row["question"]: row["solution"] for row in json_rows(folder / "problems_validation.jsonl.gz")}
    found = []
    for row in json_rows(folder / "model_solutions_validation.jsonl.gz"):
        question, text = row["question"], row["solution"]
        steps = calculations(text)
        features = step_features(question, text, steps)
        right = np.array([row.right for row in labelled(question, text, human[question])], dtype=bool)
        whole = whole_features(question, text, steps, features)
        found.append(Solution(question, text, bool(row["is_correct"]), features, right, whole))
    return found


# ---- models ----


@dataclass(frozen=True, eq=False)
class Logistic:
    """A logistic regression on standardised features, with a normal prior on its weights."""

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, good: np.ndarray) -> "Logistic":
        """Return the model of features [n, k] and outcomes bool [n] that is most probable a posteriori."""
        mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-9
        rows = np.column_stack([np.ones(len(features)), (features - mean) / scale])
        signs = np.where(good, 1.0, -1.0)

        def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
            margins = signs * (rows @ weights)
            slope = -rows.T @ (signs * expit(-margins)) + RIDGE * np.concatenate([[0.0], weights[1:]])
            return float(-log_expit(margins).sum() + RIDGE * weights[1:] @ weights[1:] / 2), slope

        found = minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B")
        return cls(mean, scale, found.x)

    def logits(self, features: np.ndarray) -> np.ndarray:
        return self.weights[0] + ((features - self.mean) / self.scale) @ self.weights[1:]


def fit_steps(solutions: Sequence[Solution]) -> Logistic:
    return Logistic.fit(
        np.concatenate([each.steps for each in solutions]), np.concatenate([s.right for s in solutions])
    )


def composed(log_p: np.ndarray) -> np.ndarray:
    """Return what is composed of steps' log-probabilities: their sum, the least, the mean, and how many they are."""
    if not len(log_p):
        return np.array([0.0, 0.0, 0.0, 0.0])
    return np.array([log_p.sum(), log_p.min(), log_p.mean(), float(len(log_p))])


def scored(solutions: Sequence[Solution], folds: int, seed: int) -> dict[str, np.ndarray]:
    """Return each method's score of every solution, by models fitted on the other folds' problems."""
    fold = folds_of([each.problem for each in solutions], folds, seed)
    names = ("product", "minimum", "learned", "outcome", "both", "steps")
    found: dict[str, np.ndarray] = {name: np.zeros(len(solutions)) for name in names}
    for held in range(folds):
        train = [each for each, at in zip(solutions, fold, strict=True) if at != held]
        steps, outcome = fit_steps(train), Logistic.fit(np.array([s.whole for s in train]), _correct(train))
        inner = _held_out_parts(train, folds, seed + 1)
        learned = Logistic.fit(inner, _correct(train))
        both = Logistic.fit(np.column_stack([inner, np.array([s.whole for s in train])]), _correct(train))
        for at in np.flatnonzero(fold == held):
            each = solutions[at]
            parts = composed(log_expit(steps.logits(each.steps)))
            found["product"][at], found["minimum"][at] = parts[0], parts[1]
            found["learned"][at] = learned.logits(parts[None])[0]
            found["outcome"][at] = outcome.logits(each.whole[None])[0]
            found["both"][at] = both.logits(np.concatenate([parts, each.whole])[None])[0]
            found["steps"][at] = float(np.mean((steps.logits(each.steps) > 0) == each.right)) if len(each.right) else 1
    return found


def _held_out_parts(train: Sequence[Solution], folds: int, seed: int) -> np.ndarray:
    """Return what is composed of training solutions' steps [n, 4], scored by models that did not see their problems."""
    inner = folds_of([each.problem for each in train], folds, seed)
    parts = np.zeros((len(train), 4))
    for held in range(folds):
        steps = fit_steps([each for each, at in zip(train, inner, strict=True) if at != held])
        for at in np.flatnonzero(inner == held):
            parts[at] = composed(log_expit(steps.logits(train[at].steps)))
    return parts


def _correct(solutions: Sequence[Solution]) -> np.ndarray:
    return np.array([each.correct for each in solutions])


def folds_of(problems: Sequence[str], folds: int, seed: int) -> np.ndarray:
    """Return the fold of each row, one a problem."""
    names = sorted(set(problems))
    order = generator("solutions", seed).permutation(len(names))
    place = {names[at]: number % folds for number, at in enumerate(order)}
    return np.array([place[problem] for problem in problems])


# ---- figures ----


def figures(folder: Path, folds: int, seed: int) -> list[Figure]:
    """Return the figures: accuracy on pairs by method, and how far the composed lie above outcome-only."""
    solutions = read_solutions(folder)
    scores = scored(solutions, folds, seed)
    at = {(each.problem, each.text): number for number, each in enumerate(solutions)}
    pairs = [
        (row["prompt"], at[row["prompt"], row["chosen"]], at[row["prompt"], row["rejected"]])
        for row in json_rows(folder / "solution_pairs_validation.jsonl.gz")
    ]
    clusters = [problem for problem, _, _ in pairs]
    holds = np.array([float(np.all(each.steps[:, 0] == 1)) if len(each.steps) else 1.0 for each in solutions])
    methods: Mapping[str, np.ndarray] = {
        "steps composed by product": scores["product"],
        "steps composed by minimum": scores["minimum"],
        "steps composed by a learned rule": scores["learned"],
        "outcome only": scores["outcome"],
        "steps and outcome together": scores["both"],
        "all calculations hold": holds,
        "longer wins": np.array([float(len(each.text)) for each in solutions]),
    }
    won = {
        name: np.array([np.sign(score[good] - score[bad]) / 2 + 0.5 for _, good, bad in pairs])
        for name, score in methods.items()
    }
    rows = [_figure(name, values, clusters, seed) for name, values in won.items()]
    base = won["outcome only"]
    rows += [
        _figure(f"{name}, less outcome only", values - base, clusters, seed)
        for name, values in won.items()
        if name.startswith("steps")
    ]
    with_steps = [number for number, each in enumerate(solutions) if len(each.right)]
    steps = scores["steps"][with_steps]
    return [*rows, _figure("steps labelled right", steps, [solutions[number].problem for number in with_steps], seed)]


def _figure(name: str, values: np.ndarray, clusters: Sequence[str], seed: int) -> Figure:
    return Figure(name, float(values.mean()), *interval(values, clusters, seed), len(values))


def interval(values: np.ndarray, clusters: Sequence[str], seed: int, resamples: int = 2000) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean over rows, resampling whole problems."""
    names, member = np.unique(np.asarray(clusters), return_inverse=True)
    sums, counts = np.bincount(member, values), np.bincount(member)
    drawn = generator("interval", seed).integers(len(names), size=(resamples, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
