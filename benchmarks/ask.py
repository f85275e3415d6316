"""What to ask next: minutes and regret of questions chosen by their value, by information, by variance, and at random.

    python -m benchmarks.ask --seeds 100 --json rows.jsonl

Worlds of linear rewards at three levels with 16 features each, weights partly shared between levels (correlation .2).
At every step there are 200 fresh questions, graded comparisons and ratings, that cost .8, 1.2, 3.0 and .5, .8, 2.0
minutes by level, with noise of 1.0 and 1.6. The decision is one of 12 root candidates in each of 6 trees, whose value
mixes the levels' rewards by .5, .3 and .2. Raters are as noisy as believed. Every tenth question of every way is drawn
at random, as an honest sample; its minutes count. `raters`: what is found of raters who are noisier or less noisy than
believed. `--quick` plays few seeds. Seeds are those of no test.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from benchmarks.ask_queue import seconds_to_choose, seconds_to_reorder
from rrm.ask.gaussian import Gaussian, choices
from rrm.ask.value import Pool, Roots, decision_gain, information, next_question, value, variance_removed
from rrm.core.ids import seed_for
from rrm.core.place import Place
from rrm.core.values import Comparison, Feedback, Rated, Request, Shown, View
from rrm.feedback.table import tabulate
from rrm.reward.evidence import evidence
from rrm.reward.heads import fit_heads

LEVELS, FEATURES = 3, 16
MIX = np.array([0.5, 0.3, 0.2])
SHARED = 0.2
MINUTES = {"comparison": (0.8, 1.2, 3.0), "rating": (0.5, 0.8, 2.0)}
NOISE = {"comparison": 1.0, "rating": 1.6}
TREES, CANDIDATES = 6, 12
FRESH, FINITE = 200, 400
AUDIT = 10
"""Every so many questions one is drawn at random."""
HORIZON, MOST = 110.0, 2000.0
ENOUGH = 0.95
RATERS = (0.6, 1.0, 1 / 0.6)
"""How much noisier than believed each of three raters is."""
RATED = 900
"""So many answers raters are known by."""
_ROUGHLY = {"xatol": 0.01, "fatol": 0.01, "maxfev": 80, "initial_simplex": np.r_[np.zeros((1, 3)), 0.5 * np.eye(3)]}

Way = Callable[[Gaussian, Pool, Roots], Sequence[np.ndarray]]
"""Returns what a way asks by, [q], and what it falls back on where that is nothing."""

WAYS: Mapping[str, Way | None] = {
    "random": None,
    "information": lambda belief, pool, roots: [information(belief, pool)],
    "variance": lambda belief, pool, roots: [variance_removed(belief, pool, roots)],
    "gain": lambda belief, pool, roots: [decision_gain(belief, pool, roots), variance_removed(belief, pool, roots)],
    "value": lambda belief, pool, roots: [value(belief, pool, roots)],
}


@dataclass(frozen=True)
class Row:
    """A figure with its interval; `pass_line` says what it must be, None where it is only told."""

    part: str
    name: str
    value: float
    low: float | None = None
    high: float | None = None
    pass_line: str | None = None
    passed: bool | None = None


@dataclass(frozen=True, eq=False)
class World:
    """True weights [d], the belief before any answer, the decision, and where questions come from."""

    truth: np.ndarray
    prior: Gaussian
    roots: Roots
    questions: Callable[[np.random.Generator], Pool]
    finite: bool = False
    most: float = MOST


class Curve(NamedTuple):
    """The gain of the decision after so many minutes, as a share of what an oracle gains."""

    minutes: np.ndarray
    share: np.ndarray
    oracle: float
    covered: float

    def regret_minutes(self) -> float:
        """Return the integral of the regret over the first 110 minutes, in units of value x minutes."""
        times = np.append(np.minimum(self.minutes, HORIZON), HORIZON)
        return float((np.diff(times) * (1 - self.share)).sum() * self.oracle)

    def until_enough(self) -> float:
        """Return the minutes to 95 % of the oracle's gain, the most played where they do not suffice."""
        reached = np.flatnonzero(self.share >= ENOUGH)
        return float(self.minutes[reached[0]]) if len(reached) else MOST


def linear(seed: int, choice: bool = False, finite: bool = False) -> World:
    """Make the world of the module's docstring; `choice`: comparisons only say which is better."""
    random = np.random.default_rng([seed, 1])
    shared, own = random.normal(size=FEATURES), random.normal(size=(LEVELS, FEATURES))
    truth = (np.sqrt(SHARED) * shared + np.sqrt(1 - SHARED) * own).ravel()
    across = SHARED * np.ones((LEVELS, LEVELS)) + (1 - SHARED) * np.eye(LEVELS)
    prior = Gaussian(np.zeros(LEVELS * FEATURES), np.kron(across, np.eye(FEATURES)))
    candidates = _items(random, (TREES, CANDIDATES, LEVELS)) * MIX[:, None]
    roots = Roots(candidates.reshape(TREES, CANDIDATES, LEVELS * FEATURES))

    def questions(drawn: np.random.Generator) -> Pool:
        count = FINITE if finite else FRESH
        level, compares = drawn.integers(LEVELS, size=count), drawn.random(count) < 0.5
        items = _items(drawn, (2, count))
        directions = np.zeros((count, LEVELS, FEATURES))
        directions[np.arange(count), level] = items[0] - np.where(compares, 1.0, 0.0)[:, None] * items[1]
        noise = np.where(compares, NOISE["comparison"], NOISE["rating"])
        minutes = np.where(compares, *(np.array(MINUTES[kind])[level] for kind in ("comparison", "rating")))
        return Pool(directions.reshape(count, -1), noise, compares & choice, minutes)

    return World(truth, prior, roots, questions, finite)


def exchangeable(seed: int) -> World:
    """Make a world where no question is better than another beforehand: each measures one candidate, all at a price."""
    random = np.random.default_rng([seed, 2])
    count = TREES * CANDIDATES
    roots = Roots(np.eye(count).reshape(TREES, CANDIDATES, count))
    pool = Pool(np.eye(count), np.full(count, 1.0), np.zeros(count, dtype=bool), np.ones(count))
    return World(
        random.normal(size=count), Gaussian(np.zeros(count), np.eye(count)), roots, lambda _: pool, most=HORIZON
    )


def _items(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return random.normal(size=(*shape, FEATURES)) / np.sqrt(FEATURES)


def play(world: World, way: Way | None, seed: int) -> Curve:
    """Ask for 110 minutes, and until the decision is good enough where that takes longer."""
    drawn, told = (np.random.default_rng([seed, part]) for part in (3, 4))
    truth = world.roots.candidates @ world.truth
    first = world.roots.best(world.prior)
    start, most = _value(truth, first), float(truth.max(axis=1).mean())
    belief, spent, asked = world.prior, 0.0, 0
    left = world.questions(drawn)
    minutes, share, inside = [0.0], [0.0], []
    while spent < world.most and (spent < HORIZON or max(share) < ENOUGH) and len(left):
        pool = left if world.finite or not asked else world.questions(drawn)
        at_random = way is None or asked % AUDIT == AUDIT - 1
        worth = [np.zeros(len(pool))] if at_random else list(way(belief, pool, world.roots))  # type: ignore[misc]
        at = next_question(worth[0], pool.minutes, worth[1:], seed_for(seed, asked))
        direction, noise = pool.directions[at], float(pool.noise[at])
        along = float(direction @ world.truth)
        if pool.choice[at]:
            belief = belief.after_choice(direction, bool(told.random() < 1 / (1 + np.exp(-along / noise))), noise)
        else:
            belief = belief.after_quantity(direction, along + noise * told.normal(), noise)
        if world.finite:
            left = pool.take(np.arange(len(pool)) != at)
        spent, asked = spent + float(pool.minutes[at]), asked + 1
        minutes.append(spent)
        share.append((_value(truth, world.roots.best(belief)) - start) / (most - start))
        if asked % 20 == 0:
            inside.append(_covered(belief, world))
    return Curve(np.array(minutes), np.array(share), most - start, float(np.mean(inside)) if inside else np.nan)


def _value(truth: np.ndarray, chosen: np.ndarray) -> float:
    return float(truth[np.arange(len(truth)), chosen].mean())


def _covered(belief: Gaussian, world: World) -> float:
    """Return the share of candidates whose lead over their tree's first lies in its 90 % interval."""
    leads = world.roots.candidates[:, 1:] - world.roots.candidates[:, :1]
    off = np.abs(leads @ world.truth - belief.means(leads))
    return float((off <= 1.6448536 * np.sqrt(belief.variances(leads))).mean())


WORLDS: Mapping[str, Callable[[int], World]] = {
    "linear": linear,
    "choices": lambda seed: linear(seed, choice=True),
    "finite_pool": lambda seed: linear(seed, finite=True),
    "exchangeable": exchangeable,
}


def figures(part: str, curves: Mapping[str, Sequence[Curve]]) -> list[Row]:
    """Return the figures of a world: minutes to 95 %, regret-minutes against information and random, coverage."""
    regret = {way: np.array([curve.regret_minutes() for curve in found]) for way, found in curves.items()}
    rows = [
        _ratio(part, f"regret-minutes, {way} by random", found, regret["random"], None)
        for way, found in regret.items()
        if way not in ("random", "value")
    ]
    by_random = 1.05 if part == "exchangeable" else None
    rows.append(_ratio(part, "regret-minutes, value by random", regret["value"], regret["random"], by_random))
    if part == "exchangeable":  # played for the first minutes alone
        return rows
    minutes = {way: np.array([curve.until_enough() for curve in found]) for way, found in curves.items()}
    for way, found in minutes.items():
        low, high = np.quantile(found, [0.25, 0.75])
        rows.append(Row(part, f"minutes to 95 %, {way}: median (quartiles)", float(np.median(found)), low, high))
    rows.append(_ratio(part, "regret-minutes, value by information", regret["value"], regret["information"], 0.85))
    for other, line in (("information", 0.8), ("random", 1 / 3)):
        ratio = float(np.median(minutes["value"]) / np.median(minutes[other]))
        told = f"at most {line:.3f}"
        rows.append(Row(part, f"median minutes, value by {other}", ratio, pass_line=told, passed=ratio <= line))
    covered = np.array([curve.covered for curve in curves["value"]])
    spread = 1.96 * covered.std(ddof=1) / np.sqrt(len(covered)) if len(covered) > 1 else np.nan
    mean = float(covered.mean())
    return [
        *rows,
        Row(part, "coverage of 90 % intervals, value", mean, mean - spread, mean + spread, ".88 to .92",
            0.88 <= mean <= 0.92),
    ]  # fmt: skip


def _ratio(part: str, name: str, one: np.ndarray, other: np.ndarray, most: float | None) -> Row:
    """Return the ratio of means with its paired bootstrap interval; its upper end must be at most `most`."""
    random = np.random.default_rng(0)
    drawn = random.integers(len(one), size=(2000, len(one)))
    low, high = (
        float(each) for each in np.quantile(one[drawn].mean(axis=1) / other[drawn].mean(axis=1), [0.025, 0.975])
    )
    told = None if most is None else f"upper end at most {most}"
    return Row(part, name, float(one.mean() / other.mean()), low, high, told, None if most is None else high <= most)


def raters(seeds: Sequence[int]) -> list[Row]:
    """Return how far off each rater's noise is found, from chosen questions and from random ones.

    Three raters answer in turn, each noisier than is believed by one of `RATERS`. What is found is the most probable
    with the weights integrated out; and, of choices, what a run finds, and what is most probable beside one head's most
    probable weights.
    """
    rows = []
    for name, choice, found_by in (
        ("quantities", False, _noises),
        ("choices", True, _slopes),
        ("choices, in a run", True, partial(_temperatures, integrated=True)),
        ("choices, beside the weights", True, _temperatures),
    ):
        for way in ("value", "random"):
            logs = np.log([found_by(linear(seed, choice=choice), way, seed) for seed in seeds]) - np.log(RATERS)
            off = 1.96 * logs.std(axis=0, ddof=1) / np.sqrt(len(seeds)) if len(seeds) > 1 else np.full(3, np.nan)
            for rater, ends in enumerate(np.exp(logs.mean(axis=0) + off * [[0], [-1], [1]]).T.tolist()):
                judged = way == "value" and name != "choices, beside the weights"
                line, passed = (".9 to 1.1", 0.9 <= ends[0] <= 1.1) if judged else (None, None)
                told = f"{name}, {way}: noise found by true, rater of {RATERS[rater]:.2f}"
                rows.append(Row("raters", told, *ends, line, passed))
    return rows


class _Told(NamedTuple):
    """What was asked along [q, d], what was said [q], with which believed noise [q], by which rater [q]."""

    directions: np.ndarray
    said: np.ndarray
    noise: np.ndarray
    rater: np.ndarray


def _told(world: World, way: str, seed: int, choice: bool) -> _Told:
    drawn, told = (np.random.default_rng([seed, part]) for part in (3, 4))
    belief, found, ask = world.prior, [], WAYS[way]
    for number in range(RATED):
        pool = world.questions(drawn)
        pool = pool.take(pool.choice == choice)
        at_random = ask is None or number % AUDIT == AUDIT - 1
        worth = [np.zeros(len(pool))] if at_random else list(ask(belief, pool, world.roots))  # type: ignore[misc]
        at = next_question(worth[0], pool.minutes, worth[1:], seed_for(seed, number))
        direction, believed, rater = pool.directions[at], float(pool.noise[at]), number % len(RATERS)
        noise, along = believed * RATERS[rater], float(direction @ world.truth)
        if choice:
            first = bool(told.random() < 1 / (1 + np.exp(-along / noise)))
            belief, said = belief.after_choice(direction, first, believed), float(first)
        else:
            said = along + noise * told.normal()
            belief = belief.after_quantity(direction, said, believed)
        found.append((direction, said, believed, rater))
    return _Told(*(np.array(each) for each in zip(*found, strict=True)))


def _noises(world: World, way: str, seed: int) -> np.ndarray:
    """Return by how much each rater is noisier than believed, the most probable under all that was said, [raters]."""
    told = _told(world, way, seed, choice=False)
    weighed = told.directions @ world.prior.factor  # along weights that are standard normal

    def loss(logs: np.ndarray) -> float:
        noise = told.noise * np.exp(logs[told.rater])
        along, said = weighed / noise[:, None], told.said / noise
        known = np.eye(along.shape[1]) + along.T @ along
        pull = along.T @ said
        return float(
            np.log(noise).sum()
            + np.linalg.slogdet(known)[1] / 2
            + (said @ said - pull @ np.linalg.solve(known, pull)) / 2
        )

    return np.asarray(np.exp(minimize(loss, np.zeros(len(RATERS)), method="L-BFGS-B").x))


def _slopes(world: World, way: str, seed: int) -> np.ndarray:
    """Return the same of choices, by how probable each was before it was learned from, [raters]."""
    told = _told(world, way, seed, choice=True)

    def loss(logs: np.ndarray) -> float:
        belief, found = world.prior, 0.0
        for direction, first, noise in zip(
            told.directions, told.said, told.noise * np.exp(logs[told.rater]), strict=True
        ):
            p = choices(belief.means(direction), belief.variances(direction), np.array(noise)).first
            found -= float(np.log(p if first else 1 - p))
            belief = belief.after_choice(direction, bool(first), float(noise))
        return found

    return np.asarray(np.exp(minimize(loss, np.zeros(len(RATERS)), method="Nelder-Mead", options=_ROUGHLY).x))


def _temperatures(world: World, way: str, seed: int, integrated: bool = False) -> np.ndarray:
    """Return the raters' temperatures, of geometric mean 1, [raters], with their usual prior.

    As they are most probable beside a head, or, as a run has them, with the head `integrated` out.
    """
    told = _told(world, way, seed, choice=True)
    shown = (Shown("a", "a"), Shown("b", "b"))
    requests = [Request(str(at), str(at), Place(), "comparison", View(str(at), (), 9), shown) for at in range(RATED)]
    rated = [
        Rated(request, Feedback(request.id, str(rater), Comparison(0 if first else 1)))
        for request, rater, first in zip(requests, told.rater, told.said, strict=True)
    ]
    feedback = tabulate(rated)
    whitened = (told.directions / told.noise[:, None]) @ world.prior.factor
    columns = np.zeros((2 * RATED, whitened.shape[1]))
    columns[::2] = whitened  # of every pair the second is zero
    everything, centre = np.ones((1, len(feedback.sources))), np.zeros((1, whitened.shape[1]))
    about = columns, feedback, everything, centre, np.zeros(1)
    raters = evidence(*about, reliability=True, fixed=1.0).raters if integrated else None
    found = fit_heads(*about, 1.0, reliability=True, raters=raters).raters
    return np.array([each.temperature for each in found])


def speed() -> list[Row]:
    """Time questions against 1,000 root candidates, an update, and an order, in processor seconds of one thread."""
    random = np.random.default_rng(5)
    d, count = LEVELS * FEATURES, 10_000
    spread = random.normal(size=(d, d)) / np.sqrt(d)
    belief = Gaussian(random.normal(size=d), spread @ spread.T)
    pool = Pool(random.normal(size=(count, d)), np.ones(count), random.random(count) < 0.5, np.ones(count))
    roots = Roots(random.normal(size=(100, 10, d)))
    took = min(_seconds(lambda: value(belief, pool, roots)) for _ in range(3))
    update = min(_seconds(lambda: belief.after_quantity(pool.directions[0], 0.0, 1.0)) for _ in range(3))
    queue, (valued, chosen) = seconds_to_reorder(), seconds_to_choose()
    return [
        Row("speed", "the same by a run's sampler: seconds", valued, pass_line="at most 1", passed=valued <= 1),
        Row("speed", "until its first bundle of 1,250 views stands: seconds", chosen),
        Row("speed", "10,000 open questions ordered anew: seconds", queue, pass_line="at most 2", passed=queue <= 2),
        Row("speed", "10,000 questions, 1,000 candidates: seconds", took, pass_line="at most 1", passed=took <= 1),
        Row("speed", "one update: seconds", update, pass_line="at most .05", passed=update <= 0.05),
    ]


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.ask", description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--quick", action="store_true", help="ten seeds")
    parser.add_argument("--seeds", default="100", help="how many, or which ones, with commas")
    parser.add_argument("--only", choices=[*WORLDS, "raters", "speed"], action="append", help="these parts alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every row as a line of JSON too")
    options = parser.parse_args()
    named = [int(each) for each in options.seeds.split(",")]
    seeds = named if len(named) > 1 else [7000 + at for at in range(10 if options.quick else named[0])]
    rows: list[Row] = []
    for part in options.only or [*WORLDS, "raters", "speed"]:
        if part == "speed":
            rows += speed()
            continue
        if part == "raters":
            rows += raters(seeds)
            continue
        curves = {way: [play(WORLDS[part](seed), ask, seed) for seed in seeds] for way, ask in WAYS.items()}
        rows += figures(part, curves)
        print(f"{part}: {len(seeds)} worlds", flush=True)
    print("\n| part | figure | value | 95 % interval or quartiles | must be | passed |\n|---|---|---|---|---|---|")
    for row in rows:
        between = "" if row.low is None else f"{row.low:.3f} to {row.high:.3f}"
        passed = "" if row.passed is None else ("yes" if row.passed else "**no**")
        print(f"| {row.part} | {row.name} | {row.value:.3f} | {between} | {row.pass_line or ''} | {passed} |")
    if options.json:
        options.json.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
