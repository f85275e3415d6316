"""The frontier of a finished run: several ways of optimising its policy, at several budgets, measured by gold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from rrm.api.look import settings_of
from rrm.api.plugins import make, named
from rrm.api.recorded import recorded_trees, seen_in_training
from rrm.api.terminal import bar
from rrm.api.wiring import Parts
from rrm.api.worker import ModelScorer, RunWorker
from rrm.core.errors import InputError, PluginError, RrmError
from rrm.core.ids import seed_for
from rrm.core.place import level_name
from rrm.core.protocols import GoldSet, Optimiser, Policy, ProposeJob, Seen, Workspace
from rrm.core.roles import Scorer, Train
from rrm.core.values import OVERALL, Fitted, Group, Output
from rrm.evaluate.metrics import cluster_interval
from rrm.evaluate.overoptimisation import choose_law
from rrm.report.frontier import FittedLaw, Frontier, Optimised, write_frontier
from rrm.store.record import SqlStore, open_store

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

    `methods` are names of `METHODS` or import strings of optimisers; `budgets` are nats a node. Half of the training
    sources are learned from; policies are measured on up to `most_nodes` nodes of the other half, with `outputs` each.
    Scores of a source are those of models that were not fitted on it. Gold is only reported. A method that cannot
    improve this policy is named with its reason. The page and the JSON are written into the run's folder, under
    `frontier`. Raises InputError for a run without models of role train, or with fewer than two training sources.
    """
    asked = _methods(methods)
    if not budgets or any(not 0 < budget < float("inf") for budget in budgets):
        raise InputError(f"budgets are nats above 0, got {', '.join(map(str, budgets)) or 'none'}")
    folder = Path(directory)
    with open_store(folder, "read") as record:
        setting = _Setting.of(record, folder, level, outputs, most_nodes, seed)
        points, failed = [], {}
        with bar("optimising") as tell:
            for at, (name, (path, arguments)) in enumerate(asked.items()):
                try:
                    optimiser = _optimiser(path, arguments)
                    for budget in sorted(budgets):
                        points.append(setting.point(name, optimiser, budget))
                except RrmError as error:
                    failed[name] = str(error)
                tell(at + 1, len(asked))
        found = setting.frontier(points, failed)
    write_frontier(found, folder / "frontier")
    return found


@dataclass(frozen=True)
class _Setting:
    """What methods are tried on: the run's first policy, its models, and nodes to learn from and to measure at."""

    run: str
    level: str
    anchor: Policy
    scorer: Scorer[Train]
    gold: GoldSet | None
    learning: Sequence[Seen]
    measuring: Sequence[Seen]
    outputs: int
    seed: int

    @classmethod
    def of(cls, record: SqlStore, folder: Path, level: int, outputs: int, most: int, seed: int) -> "_Setting":
        settings, trees = settings_of(record, folder), recorded_trees(record)
        parts = Parts(settings, record, looking=True)
        worker = RunWorker(parts, folder)
        seen = seen_in_training(record, trees, level)
        sources = sorted({each.source for each in seen})
        if len(sources) < 2:
            raise InputError(
                f"{folder} has questions at level {level} about {len(sources)} training sources: two are needed, "
                "one to learn from and one to measure on"
            )
        half = set(sources[: len(sources) // 2])
        random = np.random.default_rng(seed)
        held = [each for each in seen if each.source not in half]
        kept = sorted(random.permutation(len(held))[:most])
        fitted: list[Fitted] = [each for each in record.load(Fitted) if each.role == Train.name]
        last = {each.place.level: each for each in fitted if each.place.subject == "answer"}
        if not last:
            raise InputError(f"{folder} has no reward model of role train yet: wait until its first level is fitted")
        known, anchor = parts.train_set, parts.policy
        if not isinstance(anchor, Policy):
            raise InputError(f"{folder}: its policy waits for somebody, and would be asked and paid for every output")
        return cls(
            run=settings.name,
            level=level_name(level, trees.height),
            anchor=anchor,
            scorer=ModelScorer[Train](tuple(last.values()), worker.models),
            gold=known if isinstance(known, GoldSet) else None,
            learning=[each for each in seen if each.source in half],
            measuring=[held[at] for at in kept],
            outputs=outputs,
            seed=seed,
        )

    def point(self, name: str, optimiser: Optimiser, budget: float) -> Optimised:
        """Return what an optimiser makes of the anchor with a budget."""
        with TemporaryDirectory() as work:
            seed, place = seed_for(self.seed, name, budget), Workspace(Path(work))
            found = optimiser.improve(self.anchor, self.anchor, self.learning, self.scorer, budget, seed, place)
            return self._measured(name, found.sampler, budget, found.kl, found.how)

    def frontier(self, points: Sequence[Optimised], failed: Mapping[str, str]) -> Frontier:
        """Return everything together, the anchor measured in the same way, and a law for each method where it fits."""
        anchor = self._measured("anchor", self.anchor, 0.0, 0.0, "exact")
        laws = {name: _law(name, points, anchor) for name in dict.fromkeys(point.method for point in points)}
        return Frontier(
            run=self.run,
            level=self.level,
            anchor=anchor,
            points=tuple(points),
            laws={name: law for name, law in laws.items() if law is not None},
            learned_on=len({each.source for each in self.learning}),
            measured_on=len({each.source for each in self.measuring}),
            nodes=len(self.measuring),
            outputs=self.outputs,
            failed=failed,
        )

    def _measured(self, name: str, policy: Policy, budget: float, kl: float, how: str) -> Optimised:
        jobs = [
            ProposeJob(each.prompt_context, self.outputs, seed_for(self.seed, "measure", each.prompt_context.node))
            for each in self.measuring
        ]
        made = policy.propose(jobs)
        groups = [
            Group(each.source, each.prompt_context.place, each.prompt_context.view, tuple(o.text for o in outputs))
            for each, outputs in zip(self.measuring, made, strict=True)
        ]
        sources = [each.source for each in self.measuring]
        proxy = np.array([float(said.acceptance[OVERALL].mean()) for said in self.scorer.score(groups)])
        gold = self._gold(made)
        distinct = float(np.mean([len({output.text for output in outputs}) / len(outputs) for outputs in made]))
        return Optimised(
            name,
            budget,
            float(kl),
            how,
            None if gold is None else float(gold.mean()),
            None if gold is None else cluster_interval(gold, sources, lambda rows: float(rows.mean()), seed=self.seed),
            float(proxy.mean()),
            cluster_interval(proxy, sources, lambda rows: float(rows.mean()), seed=self.seed),
            distinct,
        )

    def _gold(self, made: Sequence[Sequence[Output]]) -> np.ndarray | None:
        """Return the mean gold of each node's outputs, [nodes]; None where that of any output is not known."""
        if self.gold is None:
            return None
        found = []
        for seen, outputs in zip(self.measuring, made, strict=True):
            known = [self.gold.gold(seen.source, seen.prompt_context.task.span, output.text) for output in outputs]
            told = [value for value in known if value is not None]
            if len(told) < len(known):
                return None
            found.append(float(np.mean(told)))
        return np.array(found)


def _methods(asked: Sequence[str]) -> dict[str, tuple[str, Mapping[str, Any]]]:
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for name in asked or METHODS:
        if name in METHODS:
            found[name] = METHODS[name]
        elif ":" in name:
            found[name.partition(":")[2]] = (name, {})
        else:
            raise InputError(
                f"there is no method {name!r}: name one of {', '.join(METHODS)}, or package.module:Optimiser"
            )
    return found


def _optimiser(path: str, arguments: Mapping[str, Any]) -> Optimiser:
    made = named(make(path, arguments, {}, "improve"), path, arguments)
    if not isinstance(made, Optimiser):
        raise PluginError(f"{path} is no optimiser: it needs `improve` and `load`")
    return made


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
    return FittedLaw(law.form, law.alpha, law.alpha_interval, law.beta, law.beta_interval, law.peak)
