"""The frontier of a finished run: several ways of optimising its policy, at several budgets, measured by gold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from rrm.api.diversity import entropy_of, mean_self_bleu
from rrm.api.loaded import Loaded, load
from rrm.api.plugins import make, named
from rrm.api.recorded import seen_in_training
from rrm.api.scorers import By, composed_scorer, level_scorer, select_scorer
from rrm.api.terminal import bar
from rrm.core.errors import InputError, PluginError, RrmError
from rrm.core.ids import seed_for
from rrm.core.place import level_name
from rrm.core.protocols import GoldSet, Improved, Optimiser, Policy, ProposeJob, Seen, Workspace
from rrm.core.roles import Scorer, Select, Train, reporting
from rrm.core.values import OVERALL, Group, Output
from rrm.evaluate.metrics import cluster_interval
from rrm.evaluate.overoptimisation import choose_law
from rrm.evaluate.stopping import EARLY, Rated, judged, stop
from rrm.policy.distance import covered
from rrm.report.frontier import FittedLaw, Frontier, Optimised, Stopping, write_frontier

_ANCHORED: Mapping[str, Any] = {"optimiser": {"plugin": "rrm.policy.kl_anchored:KLAnchored"}}
METHODS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "best of n": ("rrm.policy.best_of_n:BestOfN", {}),
    "quantilizer": ("rrm.policy.quantilizer:Quantilizer", {}),
    "KL-anchored": ("rrm.policy.kl_anchored:KLAnchored", {}),
    "conditioning": ("rrm.policy.conditioning:Conditioning", {}),
    "interpolation": ("rrm.policy.interpolation:Interpolation", _ANCHORED),
    "conservative": ("rrm.policy.conservative:Conservative", _ANCHORED),
    "policy gradient": ("rrm.policy.gradient:PolicyGradient", {}),
    "filtered imitation": ("rrm.policy.imitation:Imitation", {}),
}
"""The ways of optimising that are tried unless others are named, by what they are called in the figure."""
TUNED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "likelihood": ("rrm.policy.likelihood:Likelihood", {}),
    "rating tokens": ("rrm.policy.rating_tokens:RatingTokens", {}),
    "SFT": ("rrm.policy.sft:SFT", {}),
    "DPO": ("rrm.policy.dpo:DPO", {}),
    "RLOO": ("rrm.policy.rloo:RLOO", {}),
}
"""Those that train a language model of `rrm.policy.local`, each at each budget: they are tried where they are named."""
BUDGETS = (0.1, 0.3, 0.7, 1.5)
"""Nats a node."""


def frontier(
    directory: str | Path,
    methods: Sequence[str] = (),
    budgets: Sequence[float] = BUDGETS,
    level: int = 0,
    outputs: int = 8,
    most_nodes: int = 40,
    seed: int = 0,
) -> Frontier:
    """Optimise a finished run's policy against its own reward models, and say what gold came of it.

    `methods` are names of `METHODS` or `TUNED`, or import strings of optimisers; `budgets` are nats a node. Half of the
    training sources are learned from; policies are measured on up to `most_nodes` nodes of the other half, with
    `outputs` each. Scores of a source are those of models that were not fitted on it. Gold is only reported. A method
    that cannot improve this policy is named with its reason. The page and the JSON are written into the run's folder,
    under `frontier`. Raises InputError where `Setting.of` does.
    """
    asked = _methods(methods)
    if not budgets or any(not 0 < budget < float("inf") for budget in budgets):
        raise InputError(f"budgets are nats above 0, got {', '.join(map(str, budgets)) or 'none'}")
    folder = Path(directory)
    with load(folder) as run:
        setting = Setting.of(run, level, outputs, most_nodes, seed)
        points: list[Measured] = []
        failed: dict[str, str] = {}
        with bar("optimising") as tell:
            for at, (name, (path, arguments)) in enumerate(asked.items()):
                found, refused = _points(setting, name, path, arguments, sorted(budgets))
                points += found
                failed |= refused
                tell(at + 1, len(asked))
        whole = setting.frontier(points, failed)
    write_frontier(whole, folder / "frontier")
    return whole


def _points(
    setting: "Setting", name: str, path: str, arguments: Mapping[str, Any], budgets: Sequence[float]
) -> tuple[list["Measured"], dict[str, str]]:
    """Return a method's points, and why there is none: at all, or at some budget."""
    points: list[Measured] = []
    failed: dict[str, str] = {}
    try:
        optimiser = optimiser_of(path, arguments)
    except RrmError as error:
        return [], {name: str(error)}
    for budget in budgets:
        try:
            points.append(setting.point(name, optimiser, budget))
        except RrmError as error:
            failed[f"{name} at {budget:g} nats"] = str(error)
    return (points, failed) if points else ([], {name: next(iter(failed.values()))})


class Measured(NamedTuple):
    """A point of the frontier, and what its outputs were told: scores and role select's acceptance, [nodes, outputs].

    There is no acceptance without that judge.
    """

    point: Optimised
    scores: np.ndarray
    accepted: np.ndarray | None


@dataclass(frozen=True)
class Setting:
    """What methods are tried on: the run's first policy, its models, and nodes to learn from and to measure at."""

    run: str
    level: str
    anchor: Policy
    scorer: Scorer[Train]
    judge: Scorer[Select] | None
    gold: GoldSet | None
    learning: Sequence[Seen]
    measuring: Sequence[Seen]
    outputs: int
    seed: int

    @classmethod
    def of(cls, run: Loaded, level: int, outputs: int, most: int, seed: int, by: By = "level") -> "Setting":
        """Return a run's setting at a level; scores are those of the level's models, or composed.

        Raises InputError for a run without models of role train, with a policy that waits for somebody, or with fewer
        than two training sources.
        """
        seen = seen_in_training(run.record, run.trees, level)
        sources = sorted({each.source for each in seen})
        if len(sources) < 2:
            raise InputError(
                f"{run.directory} has questions at level {level} about {len(sources)} training sources: two are "
                "needed, one to learn from and one to measure on"
            )
        half = set(sources[: len(sources) // 2])
        random = np.random.default_rng(seed)
        held = [each for each in seen if each.source not in half]
        kept = sorted(random.permutation(len(held))[:most])
        parts = run.worker.parts
        known, anchor = parts.train_set, parts.policy
        if not isinstance(anchor, Policy):
            raise InputError(
                f"{run.directory}: its policy waits for somebody, and would be asked and paid for every output"
            )
        return cls(
            run=parts.run.name,
            level=level_name(level, run.trees.height),
            anchor=anchor,
            scorer=composed_scorer(run)[0] if by == "composed" else level_scorer(run),
            judge=select_scorer(run),
            gold=known if isinstance(known, GoldSet) else None,
            learning=[each for each in seen if each.source in half],
            measuring=[held[at] for at in kept],
            outputs=outputs,
            seed=seed,
        )

    def point(self, name: str, optimiser: Optimiser, budget: float) -> Measured:
        """Return what an optimiser makes of the anchor with a budget, measured."""
        with TemporaryDirectory() as work:
            return self.measured(name, self.improved(name, optimiser, budget, Path(work)), budget)

    def improved(self, name: str, optimiser: Optimiser, budget: float, folder: Path) -> Improved:
        """Return what an optimiser makes of the anchor with a budget, saved in a folder."""
        seed = seed_for(self.seed, name, budget)
        return optimiser.improve(self.anchor, self.anchor, self.learning, self.scorer, budget, seed, Workspace(folder))

    def frontier(self, measured: Sequence[Measured], failed: Mapping[str, str]) -> Frontier:
        """Return everything together, the anchor measured in the same way, and a law for each method where it fits."""
        start = self.measured("anchor", Improved(self.anchor, 0.0, "exact"), 0.0)
        anchor, points = start.point, [each.point for each in measured]
        laws = {name: _law(name, points, anchor) for name in dict.fromkeys(point.method for point in points)}
        return Frontier(
            run=self.run,
            level=self.level,
            anchor=anchor,
            points=tuple(points),
            laws={name: law for name, law in laws.items() if law is not None},
            stops={name: at for name in laws if (at := _stop(name, measured, start)) is not None},
            learned_on=len({each.source for each in self.learning}),
            measured_on=len({each.source for each in self.measuring}),
            nodes=len(self.measuring),
            outputs=self.outputs,
            failed=failed,
        )

    def measured(self, name: str, found: Improved, budget: float) -> Measured:
        """Return gold, proxy, entropy and coverage of a policy at the nodes that are measured at."""
        made = self._anchors if found.sampler is self.anchor else found.sampler.propose(self._jobs)
        groups = [
            Group(each.source, each.prompt_context.place, each.prompt_context.view, tuple(o.text for o in outputs))
            for each, outputs in zip(self.measuring, made, strict=True)
        ]
        sources = [each.source for each in self.measuring]
        scores = np.stack([said.acceptance[OVERALL].mean(axis=0) for said in self.scorer.score(groups)])
        accepted = None if self.judge is None else np.stack(judged(self.judge, groups))
        proxy = scores.mean(axis=1)
        gold = self._gold(made)
        distinct = float(np.mean([len({output.text for output in outputs}) / len(outputs) for outputs in made]))
        shown = [each.prompt_context for each in self.measuring]
        entropy = entropy_of(found.sampler, self.anchor, list(zip(shown, made, strict=True)), self.seed)
        point = Optimised(
            name,
            budget,
            float(found.kl),
            found.how,
            None if gold is None else float(gold.mean()),
            None if gold is None else cluster_interval(gold, sources, lambda rows: float(rows.mean()), seed=self.seed),
            float(proxy.mean()),
            cluster_interval(proxy, sources, lambda rows: float(rows.mean()), seed=self.seed),
            distinct,
            entropy.value,
            self._covered(found.sampler),
            None if accepted is None else float(accepted.mean()),
            mean_self_bleu(made),
            entropy.basis,
        )
        return Measured(point, scores, accepted)

    @property
    def _jobs(self) -> list[ProposeJob]:
        return [
            ProposeJob(each.prompt_context, self.outputs, seed_for(self.seed, "measure", each.prompt_context.node))
            for each in self.measuring
        ]

    @cached_property
    def _anchors(self) -> Sequence[Sequence[Output]]:
        """The anchor's outputs at each node that is measured at."""
        return self.anchor.propose(self._jobs)

    def _covered(self, policy: Policy) -> float | None:
        """Return the share of the anchor's outputs that a policy covers; None where that is unknown at a node."""
        at_nodes = [
            covered(policy, self.anchor, each.prompt_context, outputs)
            for each, outputs in zip(self.measuring, self._anchors, strict=True)
        ]
        known = [share for share in at_nodes if share is not None]
        return float(np.mean(known)) if known and len(known) == len(at_nodes) else None

    def _gold(self, made: Sequence[Sequence[Output]]) -> np.ndarray | None:
        """Return the mean gold of each node's outputs, [nodes]; None where that of any output is not known."""
        if self.gold is None:
            return None
        found = []
        for seen, outputs in zip(self.measuring, made, strict=True):
            with reporting():
                known = [self.gold.gold(seen.source, seen.prompt_context.task.span, output.text) for output in outputs]
            told = [value for value in known if value is not None]
            if len(told) < len(known):
                return None
            found.append(float(np.mean(told)))
        return np.array(found)


def _methods(asked: Sequence[str]) -> dict[str, tuple[str, Mapping[str, Any]]]:
    return dict(method(name) for name in asked or METHODS)


def method(name: str) -> tuple[str, tuple[str, Mapping[str, Any]]]:
    """Return a way of optimising by its name in `METHODS` or `TUNED`, or by import string.

    Hyphens and capitals do not matter. With it come its import string and its arguments. Raises InputError for any
    other name.
    """
    if ":" in name:
        return name.partition(":")[2], (name, {})
    ways = {**METHODS, **TUNED}
    known = {_plain(each): each for each in ways}
    if _plain(name) not in known:
        raise InputError(f"there is no method {name!r}: name one of {', '.join(ways)}, or package.module:Optimiser")
    return known[_plain(name)], ways[known[_plain(name)]]


def _plain(name: str) -> str:
    return name.casefold().replace("-", " ")


def optimiser_of(path: str, arguments: Mapping[str, Any]) -> Optimiser:
    """Return the optimiser that an import string names; raise PluginError where it names none."""
    made = named(make(path, arguments, {}, "improve"), path, arguments)
    if not isinstance(made, Optimiser):
        raise PluginError(f"{path} is no optimiser: it needs `improve` and `load`")
    return made


def _stop(method: str, measured: Sequence[Measured], anchor: Measured) -> Stopping | None:
    """Return where to stop by what role select says alone, of outputs against the mean of the anchor's at their node.

    None without that judge, with fewer than two points, or where no score rose.
    """
    own = [each for each in measured if each.point.method == method and 0 < each.point.kl <= EARLY]
    rated = [told for each in (anchor, *own) if (told := _rated(each, anchor)) is not None]
    scores = anchor.scores - anchor.scores.mean(axis=1, keepdims=True)
    try:
        found = stop(scores.ravel(), rated, "best of n" if method == "best of n" else "tilt")
    except InputError:
        return None
    return Stopping(found.kl if found.forecast.peak < inf else None, found.passed)


def _rated(each: Measured, anchor: Measured) -> Rated | None:
    if each.accepted is None or anchor.accepted is None:
        return None
    scores = each.scores - anchor.scores.mean(axis=1, keepdims=True)
    accepted = each.accepted - anchor.accepted.mean(axis=1, keepdims=True)
    return Rated(each.point.kl, scores.ravel(), accepted.ravel())


def _law(method: str, points: Sequence[Optimised], anchor: Optimised) -> FittedLaw | None:
    """Return the law of a method's gold above the anchor's; None where there are too few points, or no gold."""
    if anchor.gold is None:
        return None
    own = [
        (point.kl, point.gold - anchor.gold)
        for point in points
        if point.method == method and point.gold is not None and point.kl > 0
    ]
    if len({kl for kl, _ in own}) < 4:
        return None
    law = choose_law([kl for kl, _ in own], [gain for _, gain in own])
    peak = law.peak if law.peak < inf else None
    return FittedLaw(law.form, law.alpha, law.alpha_interval, law.beta, law.beta_interval, peak)
