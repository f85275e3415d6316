"""The ledger of a run: what optimising came to in nats, by node, level and round, whatever the optimiser.

A tree's KL from what the run's first policy would write is, by the chain rule, the sum over its nodes of each node's
expected KL given what it reads (see `rrm.policy.ledger`). At a node two things move what is written: the policy was
improved, and of its candidates one was chosen.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rrm.api.worker import RunWorker
from rrm.core.ids import seed_for
from rrm.core.protocols import AsyncPolicy, Divergence, Policy
from rrm.core.report import Ledger, LedgerLevel, Nats, RoundReport, added
from rrm.core.values import OVERALL, Improvement, Output
from rrm.pipeline.forest import State, Tree
from rrm.pipeline.leaving import taken_by_persons
from rrm.pipeline.reporting import known_of, told_of
from rrm.pipeline.stages import WRITTEN_BY
from rrm.pipeline.steps import Outcome, RoundOutcome, learned_from
from rrm.policy.best_of_n import kl_bound, kl_estimate
from rrm.policy.distance import log_ratio, measured, understated


@dataclass(frozen=True)
class NodePressure:
    """What optimising came to at one node: nats for the policy (None: not known) and for choosing among `candidates`.

    `proxy` and `gold` are the acceptance and the truth of each candidate, [candidates]; `gold` is None where that of
    any is not known, and `proxy` where the node was not scored.
    """

    node: str
    candidates: int
    chosen: int | None
    policy: Nats | None
    choice: Nats
    proxy: np.ndarray | None
    gold: np.ndarray | None


@dataclass(frozen=True)
class Proposers:
    """The policies of a run that proposed: its first, and those that were improved, by name."""

    first: Policy | AsyncPolicy
    improved: Mapping[str, tuple[Improvement, Policy]]

    def of(self, outputs: Sequence[Output], now: Improvement | None) -> tuple[Improvement, Policy] | None:
        """Return who proposed outputs, None for the first policy; `now` proposes at their level in this round.

        Outputs name their policy, which may be that of an earlier round; where they name nobody known, it is `now`.
        """
        name = outputs[0].policy
        if name == self.first.name:
            return None
        return self.improved.get(name) or (self.improved[now.policy] if now else None)


def pressures(outcome: Outcome, current: RoundOutcome, level: int, proposers: Proposers) -> list[NodePressure]:
    """Return what optimising came to at every target node of a level that has outputs at a round's end."""
    now = current.policies.get(level, current.policies.get(None))
    state = current.state
    taken = taken_by_persons(outcome.run)
    found = []
    for tree, node in current.forest.level(level):
        if current.forest.is_target(tree) and node in state.outputs:
            told = _told(outcome, state, tree, node, taken)
            found.append(_pressure(outcome, state, node, proposers, now, told))
    return found


def _pressure(
    outcome: Outcome, state: State, node: str, proposers: Proposers, now: Improvement | None, told: int | None
) -> NodePressure:
    outputs = state.outputs[node]
    chosen = _chosen(state, node) if told is None else told
    truth = [outcome.gold[output.id] for output in outputs if output.id in outcome.gold]
    return NodePressure(
        node,
        len(outputs),
        chosen,
        _of_policy(proposers, state, node, chosen, now),
        _of_choice(outputs, chosen),
        state.acceptance(node) if node in state.predictions else None,
        np.array(truth) if len(truth) == len(outputs) else None,
    )


def _told(outcome: Outcome, state: State, tree: Tree, node: str, taken: Mapping[str, Sequence[str]]) -> int | None:
    """Return the place of the output that a person took or answers about targets chose here at the end, if any did."""
    if node != tree.graph.root or state is not outcome.run.rounds[-1].state:
        return None
    texts = [output.text for output in state.outputs[node]]
    told = told_of(outcome, [tree], taken)
    return texts.index(told) if told in texts else None


def _chosen(state: State, node: str) -> int | None:
    """Return the place of the output that is handed on: the best by the composed score where there is one."""
    if node in state.composed:
        return int(np.argmax(state.composed[node].acceptance[OVERALL].mean(axis=0)))
    return state.chosen.get(node)


def _of_choice(outputs: Sequence[Output], chosen: int | None) -> Nats:
    """Return what choosing one of n candidates adds: estimated from its probability, else the bound."""
    if chosen is None or len(outputs) < 2:
        return Nats(0.0, "exact")
    known = outputs[chosen].log_prob
    if known is None:
        return Nats(kl_bound(len(outputs)), "bound")
    return Nats(kl_estimate(np.array([min(known, 0.0)]), len(outputs)), "estimated")


def _of_policy(
    proposers: Proposers, state: State, node: str, chosen: int | None, now: Improvement | None
) -> Nats | None:
    """Return how far the policy lies from the first one here, in what was chosen where something was.

    What a person wrote is no output of a policy, and tells nothing of it.
    """
    outputs, first = state.outputs[node], proposers.first
    found = proposers.of(outputs, now)
    if found is None or not isinstance(first, Policy):
        return Nats(0.0, "exact")
    improved, policy = found
    context = state.prompt_contexts[node]
    chooses = chosen is not None and len(outputs) > 1 and not outputs[chosen].policy.startswith(WRITTEN_BY)
    ratio = log_ratio(policy, first, context, outputs[chosen]) if chooses and chosen is not None else None
    if ratio is not None:
        return Nats(ratio, "estimated")
    exact = known_of(lambda at: policy.kl(at, first), [context]) if isinstance(policy, Divergence) else []
    if exact:
        return Nats(exact[0], "estimated" if chooses else "exact")
    if improved.anchor != first.name:
        return None
    return Nats(improved.kl, "estimated" if chooses else improved.how)


def with_ledger(outcome: Outcome, rounds: Sequence[RoundReport], proposers: Proposers) -> tuple[RoundReport, ...]:
    """Return the rounds' reports, each with its ledger."""
    found: list[RoundReport] = []
    before: dict[int, float] = {}
    for told, current in zip(rounds, outcome.run.rounds, strict=True):
        levels, now = [], {}
        for level in range(current.forest.height + 1):
            nodes = pressures(outcome, current, level, proposers)
            if nodes:
                levels.append(_level(level, nodes, before.get(level)))
                golds = [each.gold for each in nodes if each.gold is not None]
                if golds:
                    now[level] = float(np.concatenate(golds).mean())
        trees = [tree for tree in current.forest.trees if current.forest.is_target(tree)]
        most = max((sum(tree.source == other.source for other in trees) for tree in trees), default=0)
        among = Nats(kl_bound(most), "bound") if most > 1 else None
        found.append(replace(told, ledger=Ledger(tuple(levels), len(trees), among)))
        before = now
    return tuple(found)


def _level(level: int, nodes: Sequence[NodePressure], before: float | None) -> LedgerLevel:
    golds = [each.gold for each in nodes if each.gold is not None]
    gold = float(np.concatenate(golds).mean()) if golds else None
    choosing = [(each, each.chosen) for each in nodes if each.chosen is not None]
    proxy = [float(each.proxy[at] - each.proxy.mean()) for each, at in choosing if each.proxy is not None]
    truth = [float(each.gold[at] - each.gold.mean()) for each, at in choosing if each.gold is not None]
    both = [(each.proxy - each.gold, at) for each, at in choosing if each.proxy is not None and each.gold is not None]
    policy = added([each.policy for each in nodes])
    choice = added([each.choice for each in nodes])
    assert choice is not None
    return LedgerLevel(
        level=level,
        nodes=len(nodes),
        candidates=float(np.mean([each.candidates for each in nodes])),
        policy=policy and _mean_nats(policy, len(nodes)),
        choice=_mean_nats(choice, len(nodes)),
        chosen_proxy=_mean(proxy),
        chosen_gold=_mean(truth),
        gold_since=gold - before if gold is not None and before is not None else None,
        gap=_mean([float(gap[at]) for gap, at in both]),
        gap_all=_mean([float(gap.mean()) for gap, _ in both]),
    )


def _mean_nats(nats: Nats, n: int) -> Nats:
    return Nats(nats.nats / n, nats.how)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def by_node(outcome: Outcome, proposers: Proposers) -> dict[str, Nats]:
    """Return what optimising came to at each target node in the last round, in nats, where it is known."""
    if not outcome.run.rounds:
        return {}
    last = outcome.run.rounds[-1]
    found = {}
    for level in range(last.forest.height + 1):
        for each in pressures(outcome, last, level, proposers):
            total = added((each.policy, each.choice))
            if total is not None:
                found[each.node] = total
    return found


def understatements(outcome: Outcome, worker: RunWorker) -> Iterator[str]:
    """Name every optimiser's report of a KL that is less than what was measured of its policy."""
    run = outcome.run
    if run.plan.improve is None:
        return
    for each in run.improvements:
        number = each.place.round
        seen = learned_from(run.plan.improve, run.plan.rounds[number], run.rounds[: number + 1])
        policy, anchor = worker.policy(each), worker.policy(worker.improvement(each.anchor))
        truth = measured(policy, anchor, seen[each.level], seed_for(run.plan.seed, "distance", each.policy))
        if truth is not None and understated(each.kl, truth):
            level = "" if each.level is None else f", level {each.level}"
            yield (
                f"round {number + 1}{level}: the optimiser says that it spent {each.kl:.3f} nats a node, and "
                f"its policy lies {truth.nats:.3f} from its anchor ({truth.how}): the ledger counts what was measured"
            )
