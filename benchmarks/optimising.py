"""Optimising without being fooled: a tree's budget allotted, the peak forecast, a holdout used again, and the frontier.

`--only allotment,forecast,holdout,frontier` names parts; `--quick` takes fewer worlds, pairs, seeds and books, whose
figures are for trying out. Rows have an interval where they are means, and the line that they must keep.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from math import log
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import expit, logit

from benchmarks.rows import Row, single
from decomposers.chunks import Chunks
from rrm.api.frontier import METHODS
from rrm.api.plugins import make
from rrm.core.ids import generator
from rrm.core.place import Place
from rrm.core.protocols import Listable, Optimiser, Policy, PromptContext, ProposeJob, Seen, Workspace
from rrm.core.roles import Role, Train
from rrm.core.values import Group, Prediction
from rrm.evaluate.holdout import Thresholdout
from rrm.evaluate.overoptimisation import choose_law
from rrm.evaluate.stopping import EARLY, FEWEST, FURTHEST, Rated, stop
from rrm.pipeline.forest import Forest, State, Tree, prompt_context_at
from rrm.policy.best_of_n import best_of, expected_best, largest_n
from rrm.policy.careless import Careless
from rrm.policy.extractive import Extractive
from rrm.policy.finite import Finite
from rrm.policy.kl_anchored import tilted
from rrm.policy.ledger import best_of_each, expected_greatest, worth
from tasks.synthetic_book import SyntheticBooks, perceived_quality

# ---- allotment ----

PILOT = 16
"""Candidates of each node that are scored before the budget is allotted."""


class World(NamedTuple):
    """Nodes of a tree: level, weight in the root's quality, spread of scores, their correlation with gold, [nodes]."""

    level: np.ndarray
    weight: np.ndarray
    spread: np.ndarray
    correlation: np.ndarray

    @classmethod
    def drawn(cls, seed: int, differ: float) -> "World":
        """Return a tree of 25 leaves, 5 above and a root, whose nodes' weights and spreads `differ` (s.d. of logs)."""
        random = generator("world", seed)
        level = np.repeat([0, 1, 2], [25, 5, 1])
        correlation = np.array([random.uniform(0.6, 0.95), random.uniform(0.4, 0.8), random.uniform(0.3, 0.6)])[level]
        weight, spread = (np.exp(differ * random.normal(size=len(level))) for _ in range(2))
        return cls(level, weight / weight.sum(), 0.2 * spread, correlation)

    def gain(self, ns: Sequence[int]) -> float:
        """Return the exact expected gold that the best of so many at each node gains."""
        rise = np.array([expected_greatest(n) for n in ns])
        return float((self.weight * self.spread * self.correlation * rise).sum())

    def worth(self, seed: int) -> list[float]:
        """Return what a standard deviation of a node's scores seems worth, from a pilot and ratings of role select."""
        random = generator("pilot", seed)
        z, other, noise = (random.normal(size=(len(self.level), PILOT)) for _ in range(3))
        scores = self.spread[:, None] * z
        gold = self.spread[:, None] * (
            self.correlation[:, None] * z + np.sqrt(1 - self.correlation[:, None] ** 2) * other
        )
        rated = gold + 0.2 * noise
        return worth(self.level, self.weight, scores, rated)


def allotment(quick: bool, seeds: int) -> list[Row]:
    rows = []
    worlds = 10 if quick else 50
    for differ, lines in ((0.5, (">= 0.10", ">= -0.01")), (0.0, (None, ">= -0.01"))):
        for uniform in (4,) if quick else (2, 4, 8):
            gains = []
            for seed in range(seeds, seeds + worlds):
                world = World.drawn(seed, differ)
                plain = world.gain([uniform] * len(world.level))
                gains.append(world.gain(best_of_each(world.worth(seed), uniform)) / plain - 1)
            what = f"n={uniform}, nodes differ by {differ:g}: gain over uniform"
            rows.append(Row.of("allotment", what, gains, lines[0]))
            rows.append(single("allotment", f"{what}, the least", min(gains), lines[1], len(gains)))
    return rows + _book_allotment(2 if quick else 10, seeds)


class BookNode(NamedTuple):
    """A node's candidates of a generated book: level, scores and gold, [candidates], the pilot's in front."""

    level: int
    scores: np.ndarray
    gold: np.ndarray


def _book_allotment(count: int, seeds: int) -> list[Row]:
    """Share the nats among all nodes of a book, of equal weight; the judge of role select rates the pilot by gold."""
    gains = []
    for at in range(count):
        nodes = list(_candidates(9000 + seeds + at, 64))
        level = np.array([node.level for node in nodes])
        scores, gold = (
            np.stack([each[:PILOT] for each in side]) for side in zip(*(node[1:] for node in nodes), strict=True)
        )
        chosen = best_of_each(worth(level, np.ones(len(nodes)), scores, gold), 4)
        curves = [node.gold[PILOT:][np.argsort(node.scores[PILOT:], kind="stable")] for node in nodes]
        plain = sum(expected_best(curve, 4) - curve.mean() for curve in curves)
        allotted = sum(expected_best(curve, n) - curve.mean() for curve, n in zip(curves, chosen, strict=True))
        gains.append(float(allotted / plain - 1))
    what = "n=4, all nodes of generated books: gain over uniform"
    return [Row.of("allotment", what, gains), single("allotment", f"{what}, the least", min(gains), n=len(gains))]


def _candidates(seed: int, count: int) -> Iterator[BookNode]:
    """Yield the nodes of a generated book from the leaves up; each reads its parts' first outputs."""
    books = SyntheticBooks(1, 1000, seed)
    [source] = books.sources()
    graph = Chunks(leaf_tokens=120, fan_in=(4,), max_tokens=(48, 72)).decompose(source, seed)
    tree, state, policy = Tree(source.id, 0, graph), State(), Careless()
    forest = Forest.of([source], [], [tree])
    for level in range(forest.height + 1):
        for _, node in forest.level(level):
            shown = replace(prompt_context_at(forest, tree, node, state), place=Place(level=level))
            [outputs] = policy.propose([ProposeJob(shown, PILOT + count, seed)])
            texts = [output.text for output in outputs]
            scores = noisy(seed, perceived_quality(shown.view, texts), texts)
            span = None if node == graph.root else graph.task(node).span
            yield BookNode(level, scores, np.array([books.gold(source.id, span, text) for text in texts]))
            said = Prediction.overall(np.stack([logit(scores)] * 2), np.stack([scores] * 2))
            state = state.proposed({node: shown}, {node: tuple(outputs)})
            state = replace(state, predictions={**state.predictions, node: said}, read={**state.read, node: 0})


def noisy(seed: int, quality: np.ndarray, texts: Sequence[str]) -> np.ndarray:
    """Return acceptances: the quality with a logit of normal noise, fixed for each text."""
    noise = np.array([generator("noise", seed, text).normal() for text in texts])
    return np.asarray(expit(logit(np.clip(quality, 0.02, 0.98)) + noise))


# ---- forecast ----

OUTPUTS = 2**15
FEATURES = 8
RATINGS = 1000
"""Ratings of role select at each checkpoint."""
RATED_N = (2, 4, 8, 16, 32, *range(50, 65))
"""Of how many the best are rated: what is to be forecast is how good rare scores are, and near the last n most are."""
WIDTHS, ROWS = (4, 16, 64), (300, 1000, 4000, 16_000)


class Pair(NamedTuple):
    """A proxy and gold of the same outputs, [outputs], each with mean 0 and variance 1 over them."""

    proxy: np.ndarray
    gold: np.ndarray


def pair(seed: int, width: int, rows: int, flipped: float) -> Pair:
    """Return gold by a hidden network, lost where outputs are extreme, and a network fitted to comparisons by it.

    `rows` comparisons, of which a share is `flipped`; outputs are normal in `FEATURES` dimensions.
    """
    random = np.random.default_rng([seed, 1])
    hidden, out = random.normal(size=(FEATURES, 24)) * 1.5 / FEATURES**0.5, random.normal(size=24) / 24**0.5

    def truth(x: np.ndarray) -> np.ndarray:
        extreme = np.maximum(0, np.linalg.norm(x, axis=-1) - FEATURES**0.5)
        return np.asarray(np.tanh(x @ hidden) @ out - 0.3 * extreme**2)

    x = random.normal(size=(OUTPUTS, FEATURES))
    gold = truth(x)
    shown = random.normal(size=(rows, 2, FEATURES))
    margin = 2 * (truth(shown[:, 0]) - truth(shown[:, 1])) / gold.std()
    chosen = (random.random(rows) < expit(margin)) ^ (random.random(rows) < flipped)
    proxy = _fitted(seed, width, shown, chosen)(x)
    return Pair(*((each - each.mean()) / each.std() for each in (proxy, gold)))


def _fitted(seed: int, width: int, shown: np.ndarray, chosen: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    torch.manual_seed(seed)
    random = np.random.default_rng([seed, 2])
    layers = [torch.nn.Linear(FEATURES, width), torch.nn.Linear(width, width), torch.nn.Linear(width, 1)]
    net = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
    rates = torch.optim.Adam(net.parameters(), 1e-2, weight_decay=1e-4)
    x, y = torch.tensor(shown, dtype=torch.float32), torch.tensor(chosen.astype(np.float32))
    for _ in range(150):
        rows = torch.tensor(random.integers(0, len(x), size=min(len(x), 256)))
        margin = (net(x[rows, 0]) - net(x[rows, 1]))[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(margin, y[rows])
        rates.zero_grad()
        loss.backward()
        rates.step()

    def score(outputs: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(net(torch.tensor(outputs, dtype=torch.float32))[:, 0].numpy(), dtype=np.float64)

    return score


def rated(found: Pair, policies: Sequence[Finite], base: Finite, mistaken: float, seed: int) -> list[Rated]:
    """Rate outputs of each policy by gold with unit noise; a share of ratings is of another output, mistaken for it."""
    random = generator("ratings", seed)
    made = []
    for policy in policies:
        outputs = policy.draw(random, RATINGS)
        taken = np.where(random.random(RATINGS) < mistaken, random.integers(0, OUTPUTS, RATINGS), outputs)
        made.append(Rated(policy.kl(base), found.proxy[outputs], found.gold[taken] + random.normal(size=RATINGS)))
    return made


def tilts(found: Pair, base: Finite, kls: Sequence[float]) -> list[Finite]:
    """Return the KL-anchored optima at KLs, in nats, as far as the outputs allow."""
    policies = []
    for kl in kls:
        if tilted(base, found.proxy, 0.02).kl(base) > kl:
            beta = brentq(lambda beta, kl=kl: tilted(base, found.proxy, beta).kl(base) - kl, 0.02, 50.0, xtol=1e-6)
            policies.append(tilted(base, found.proxy, float(beta)))
    return policies


def forecasting(quick: bool, seeds: int) -> list[Row]:
    cells = [(width, rows, flipped) for width in WIDTHS for rows in ROWS for flipped in (0.0, 0.25)]
    right: dict[str, list[tuple[bool, bool]]] = {}
    for at in range(12 if quick else 200):
        width, rows, flipped = cells[at % len(cells)]
        seed = seeds + 1000 + at
        found, base = pair(seed, width, rows, flipped), Finite.uniform(OUTPUTS)
        noise = "labels flipped" if flipped else "no label noise"
        whole = tilts(found, base, [kl for kl in np.linspace(0.2, 9.8, 33).tolist() if kl <= log(OUTPUTS / FEWEST)])
        truth = [(0.0, 0.0), *((each.kl(base), each.mean(found.gold)) for each in whole)]
        told = rated(found, [each for each in whole if each.kl(base) <= EARLY + 1e-6], base, flipped, seed)
        _mark(right, f"KL-anchored to {EARLY:g} nats, {noise}", truth, stop(found.proxy, told).kl)
        _mark(right, f"other: a cubic through means, KL-anchored, {noise}", truth, _cubic(told))
        _mark(right, f"other: published laws, KL-anchored, {noise}", truth, _published(told))
        every = [best_of(base, found.proxy, n) for n in _powers(2**13)]
        truth = [(0.0, 0.0), *((each.kl(base), each.mean(found.gold)) for each in every)]
        told = rated(found, [best_of(base, found.proxy, n) for n in RATED_N], base, flipped, seed)
        _mark(right, f"best of n, n to 64, {noise}", truth, stop(found.proxy, told, "best of n").kl)
        _mark(right, f"other: a cubic through means, n to 64, {noise}", truth, _cubic(told))
        _mark(right, f"other: published laws, n to 64, {noise}", truth, _published(told))
        told = rated(found, every[: len(_powers(64))], base, flipped, seed)
        _mark(right, f"other: rated evenly, n to 64, {noise}", truth, stop(found.proxy, told, "best of n").kl)
    rows_ = []
    for name, marks in right.items():
        line = None if name.startswith("other") else ">= 0.90"
        rows_.append(Row.of("forecast", f"{name}: peak within 25 %", [float(peak) for peak, _ in marks], line))
        rows_.append(
            Row.of("forecast", f"{name}: regret of the stop <= 5 %", [float(stop_) for _, stop_ in marks], line)
        )
    return rows_


def _powers(most: int) -> list[int]:
    return sorted({round(2 ** (half / 2)) for half in range(2, 2 * most.bit_length() - 1)})


def _means(told: Sequence[Rated]) -> tuple[np.ndarray, np.ndarray]:
    """Return the KLs of policies and the means of their ratings, [policies]: the anchor's is known to be 0."""
    return np.array([each.kl for each in told]), np.array([each.judged.mean() for each in told])


def _published(told: Sequence[Rated]) -> float:
    return min(choose_law(*_means(told)).peak, FURTHEST)


def _cubic(told: Sequence[Rated]) -> float:
    """Return the peak of d (alpha - beta d - gamma d^2), d = sqrt(KL), by least squares: the law of best of n, bent."""
    kls, means = _means(told)
    coefficients = np.linalg.lstsq(np.sqrt(kls)[:, None] ** np.arange(1, 4), means, rcond=None)[0]
    d = np.linspace(0, FURTHEST**0.5, 2000)
    return float(d[(d[:, None] ** np.arange(1, 4) @ coefficients).argmax()] ** 2)


def _mark(
    right: dict[str, list[tuple[bool, bool]]], name: str, truth: Sequence[tuple[float, float]], at: float
) -> None:
    """Note whether a forecast peak and the stop at it are right; a peak at the end of what is known lies beyond it."""
    kls, gold = (np.array(each) for each in zip(*truth, strict=True))
    best = int(gold.argmax())
    near = abs(at / kls[best] - 1) <= 0.25 if best < len(kls) - 1 else at >= 0.75 * kls[-1]
    reached = float(np.interp(min(at, kls[-1]), kls, gold))
    right.setdefault(name, []).append((bool(near), reached >= 0.95 * gold[best]))


# ---- a holdout used again ----


def holdout(quick: bool, seeds: int) -> list[Row]:
    """Keep rules of chance by what a holdout says, 1,000 times, and ask about their majority: it is right by half."""
    size, queries = (10_000, 1000)
    rule = Thresholdout(3 / size**0.5, 0.1 / size**0.5, 100)
    naive, reused, worst, spent = [], [], [], []
    for seed in range(seeds, seeds + (2 if quick else 20)):
        random = generator("holdout", seed)
        train, held = (random.integers(0, 2, (size, queries), dtype=np.int8) for _ in range(2))
        plain = [float(held[:, at].mean()) for at in range(queries)]
        naive.append(_majority(held, plain) - 0.5)
        told, used = [], 0
        for at, seen in enumerate(plain):
            answer = replace(rule, seed=seed).look(at, used, float(train[:, at].mean()), seen)
            told.append(answer.value)
            used += answer.by_holdout
        final = replace(rule, seed=seed).look(queries, used, _majority(train, told), _majority(held, told))
        reused.append(abs(final.value - 0.5))
        worst.append(max(abs(each - 0.5) for each in told))
        spent.append(used + final.by_holdout)
    return [
        Row.of("holdout", "naive reuse: drift of the last answer after 1,000 looks", naive, ">= 0.05"),
        single(
            "holdout", "Thresholdout: error of the last answer, the worst seed", max(reused), "<= 0.02", len(reused)
        ),
        Row.of("holdout", "Thresholdout: greatest error of 1,000 answers", worst),
        Row.of("holdout", "Thresholdout: answers of the holdout used up", [float(each) for each in spent]),
    ]


def _majority(right: np.ndarray, told: Sequence[float]) -> float:
    """Return how often a vote of all rules is right, each turned the way that it is told to be better."""
    signs = np.where(np.array(told) >= 0.5, 1, -1)
    votes = np.zeros(len(right))
    for at, sign in enumerate(signs):
        votes += sign * (2.0 * right[:, at] - 1)
    return float((votes > 0).mean())


# ---- the frontier ----

BUDGETS = (0.1, 0.3, 0.7, 1.2, 1.8)
MEMBERS = 4
MOST = 600
"""Texts at a node, all of which are listed: every figure of the frontier is exact but for the choice of books."""


@dataclass
class Perceived:
    """A scorer of role train: acceptances by what a reader of the view perceives, with noise fixed for each text.

    Its four members have a logit of noise in common, and half a logit each of their own.
    """

    seed: int
    name: str = "perceived"
    role: type[Role] = Train

    def __post_init__(self) -> None:
        self._known: dict[tuple[str, str], np.ndarray] = {}

    def score(self, groups: Sequence[Group]) -> list[Prediction]:
        return [self._said(group) for group in groups]

    def _said(self, group: Group) -> Prediction:
        missing = [text for text in dict.fromkeys(group.outputs) if (group.view.id, text) not in self._known]
        if missing:
            found = noisy(self.seed, perceived_quality(group.view, missing), missing)
            for text, p in zip(missing, found, strict=True):
                own = generator("member", self.seed, group.view.id, text).normal(size=MEMBERS)
                self._known[group.view.id, text] = logit(p) + 0.5 * own
        rewards = np.stack([self._known[group.view.id, text] for text in group.outputs], axis=1)
        return Prediction.overall(rewards, expit(rewards))


class Leaf(NamedTuple):
    """A leaf of a book with its source's set, which knows gold."""

    books: SyntheticBooks
    source: str
    shown: PromptContext

    @property
    def seen(self) -> Seen:
        [outputs] = Extractive().propose([ProposeJob(self.shown, 4, 0)])
        return Seen(self.source, self.shown, tuple(outputs))


def leaves(seed: int) -> list[Leaf]:
    """Return those leaves of a generated book whose outputs can all be listed."""
    books = SyntheticBooks(1, 1000, seed)
    [source] = books.sources()
    tree = Tree(source.id, 0, Chunks(leaf_tokens=120, fan_in=(4,), max_tokens=(48, 72)).decompose(source, seed))
    forest = Forest.of([source], [], [tree])
    shown = [replace(prompt_context_at(forest, tree, node, State()), place=Place()) for _, node in forest.level(0)]
    return [Leaf(books, source.id, each) for each in shown if Extractive().listed(each, MOST) is not None]


class Measured(NamedTuple):
    """What a policy is at a book's leaves, in the mean: gold, proxy, KL from the anchor and entropy, all exact."""

    gold: float
    proxy: float
    kl: float
    entropy: float


class Known(NamedTuple):
    """All that the anchor may write at a leaf: each text's place, and by place how probable, its gold and score."""

    places: Mapping[str, int]
    base: Finite
    gold: np.ndarray
    proxy: np.ndarray


class Book:
    """A book's leaves with gold and scores of every text that the anchor may write."""

    def __init__(self, seed: int, scorer: Perceived) -> None:
        self.leaves, self.scorer = leaves(seed), scorer

    @cached_property
    def _known(self) -> list[Known]:
        found = []
        for leaf in self.leaves:
            listed = Extractive().listed(leaf.shown, MOST)
            assert listed is not None
            texts = list(listed)
            said = self.scorer.score([Group(leaf.source, Place(), leaf.shown.view, tuple(texts))])[0]
            gold = np.array([leaf.books.gold(leaf.source, leaf.shown.task.span, text) for text in texts])
            base = Finite(np.array(list(listed.values())))
            proxy = said.acceptance["overall"].mean(axis=0)
            found.append(Known({text: at for at, text in enumerate(texts)}, base, gold, proxy))
        return found

    def measured(self, policy: Policy) -> Measured:
        """Measure a policy that can list what it may write at every leaf."""

        def listed(leaf: Leaf, node: Known) -> Finite:
            found = policy.listed(leaf.shown, MOST) if isinstance(policy, Listable) else None
            assert found is not None
            logs = np.full(len(node.places), -np.inf)
            for text, known in found.items():
                logs[node.places[text]] = known
            return Finite(logs)

        return self._mean(listed)

    def best_of(self, n: int) -> Measured:
        """Measure the best of n, which draws its candidates and lists nothing."""
        return self._mean(lambda leaf, node: best_of(node.base, node.proxy, n))

    def _mean(self, written: Callable[[Leaf, Known], Finite]) -> Measured:
        rows = []
        for leaf, node in zip(self.leaves, self._known, strict=True):
            here = written(leaf, node)
            rows.append((here.mean(node.gold), here.mean(node.proxy), here.kl(node.base), here.entropy()))
        return Measured(*np.mean(rows, axis=0))


def frontier(quick: bool, seeds: int) -> list[Row]:
    """Improve the extractive policy on four books by every optimiser, and measure it on twenty others."""
    scorer = Perceived(seeds)
    seen = [leaf.seen for at in range(2 if quick else 4) for leaf in leaves(7000 + seeds + at)]
    books = [Book(7100 + seeds + at, scorer) for at in range(4 if quick else 20)]
    anchor = Extractive()
    rows = [Row.of("frontier", "anchor: gold", [book.measured(anchor).gold for book in books])]
    rows.append(Row.of("frontier", "anchor: entropy", [book.measured(anchor).entropy for book in books]))
    found: dict[str, list[list[Measured]]] = {}
    for name, (path, arguments) in METHODS.items():
        for budget in BUDGETS:
            if name == "best of n":
                measured = [book.best_of(largest_n(budget)) for book in books]
            else:
                policy = _improved(path, arguments, anchor, seen, scorer, budget)
                measured = [book.measured(policy) for book in books]
            found.setdefault(name, []).append(measured)
            for field in ("kl", "gold", "proxy", "entropy"):
                values = [getattr(each, field) for each in measured]
                rows.append(Row.of("frontier", f"{name}, {budget:g} nats: {field}", values))
    return (
        rows
        + _entropy_at_equal_gold(found["conditioning"], found["KL-anchored"], "KL-anchored")
        + (_entropy_at_equal_gold(found["conditioning"], found["policy gradient"], "policy gradient"))
    )


def _improved(
    path: str, arguments: Mapping[str, object], anchor: Policy, seen: Sequence[Seen], scorer: Perceived, budget: float
) -> Policy:
    made = make(path, _listing(path, arguments), {}, "improve")
    assert isinstance(made, Optimiser)
    with tempfile.TemporaryDirectory() as folder:
        return made.improve(anchor, anchor, seen, scorer, budget, 0, Workspace(Path(folder))).sampler


def _listing(path: str, arguments: Mapping[str, object]) -> dict[str, object]:
    """Return an optimiser's arguments so that it lists all texts at a node, where it is one that lists any."""
    inner = arguments.get("optimiser")
    if isinstance(inner, Mapping):
        return {**arguments, "optimiser": {**inner, "arguments": _listing(str(inner["plugin"]), {})}}
    return (
        {**arguments, "most": MOST}
        if path.endswith((":Quantilizer", ":KLAnchored", ":Conditioning"))
        else dict(arguments)
    )


def _entropy_at_equal_gold(
    first: Sequence[Sequence[Measured]], second: Sequence[Sequence[Measured]], other: str
) -> list[Row]:
    """Return how many times the entropy of another way conditioning keeps where both have the same gold.

    Both are followed over their budgets, in the mean over books; golds that only one of them comes to are left out. The
    interval is a bootstrap over books.
    """
    random, count = np.random.default_rng(0), len(first[0])
    ratio = _ratio(first, second, np.arange(count))
    drawn = [_ratio(first, second, random.integers(0, count, count)) for _ in range(1000)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    name = f"conditioning's entropy over that of {other}, at equal gold"
    return [Row("frontier", name, ratio, float(low), float(high), count, ">= 1.2", ratio >= 1.2)]


def _ratio(first: Sequence[Sequence[Measured]], second: Sequence[Sequence[Measured]], books: np.ndarray) -> float:
    curves = []
    for way in (first, second):
        gold = np.array([np.mean([row[at].gold for at in books]) for row in way])
        entropy = np.array([np.mean([row[at].entropy for at in books]) for row in way])
        curves.append((gold, entropy))
    (gold, entropy), (theirs, their_entropy) = curves
    shared = (gold >= theirs.min()) & (gold <= theirs.max())
    if not shared.any():
        return float("nan")
    order = np.argsort(theirs)
    return float(np.mean(entropy[shared] / np.interp(gold[shared], theirs[order], their_entropy[order])))


# ---- the command ----

PARTS: Mapping[str, Callable[[bool, int], list[Row]]] = {
    "allotment": allotment,
    "forecast": forecasting,
    "holdout": holdout,
    "frontier": frontier,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, joined by commas")
    parser.add_argument("--quick", action="store_true", help="fewer worlds, pairs, seeds and books")
    parser.add_argument("--seeds", type=int, default=0, help="added to every seed")
    parser.add_argument("--json", type=Path, help="write the rows to this file, one a line")
    given = parser.parse_args()
    if unknown := set(given.only.split(",")) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}: name some of {', '.join(PARTS)}")
    torch.set_num_threads(1)
    rows: list[Row] = []
    for part in given.only.split(","):
        made = PARTS[part](given.quick, given.seeds)
        print("\n".join(map(str, made)), flush=True)
        rows += made
    if given.json is not None:
        given.json.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
