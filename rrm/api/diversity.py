"""Calibration and diversity of a run's policies, before and after they were improved, for its report."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt
from typing import NamedTuple

import numpy as np

from rrm.api.ledger import Proposers
from rrm.api.worker import RunWorker
from rrm.core.errors import InputError
from rrm.core.ids import seed_for
from rrm.core.protocols import AsyncPolicy, Divergence, Policy, PromptContext, ProposeJob
from rrm.core.report import DiversityLevel, FromOutputs, NearestTilt, RoundLevel, RoundReport
from rrm.core.values import OVERALL, Group, Improvement, Output
from rrm.evaluate.diversity import as_predictor, calibration_error, self_bleu
from rrm.pipeline.reporting import known_of
from rrm.pipeline.steps import Outcome, RoundOutcome
from rrm.policy.distance import log_ratio, reread
from rrm.policy.finite import Finite
from rrm.policy.matching import nearest_tilt

TILTED = (4, 48)
"""Nodes of a level, and outputs of the first policy at each, on which the nearest tilt is looked for."""


def with_diversity(
    outcome: Outcome, rounds: Sequence[RoundReport], proposers: Proposers, worker: RunWorker
) -> tuple[RoundReport, ...]:
    """Return the rounds' reports, each with the calibration and diversity of what proposed in it.

    What a level's policy does not know exactly of its entropy and KL is told as far as its outputs tell it.
    """
    found = []
    for told, current in zip(rounds, outcome.run.rounds, strict=True):
        every = (_level(outcome, current, level, proposers, worker) for level in range(current.forest.height + 1))
        diversity = tuple(level for level in every if level is not None)
        by_level = {each.level: each for each in diversity}
        levels = tuple(_estimated(level, by_level.get(level.level)) for level in told.levels)
        found.append(replace(told, levels=levels, diversity=diversity))
    return tuple(found)


def _estimated(level: RoundLevel, various: DiversityLevel | None) -> RoundLevel:
    """Return a round's level with the entropy and KL that are estimated where it knows none exactly."""
    if various is None:
        return level
    lacking = {
        name: basis
        for name, basis in various.estimated.items()
        if name in ("kl", "entropy") and getattr(level, name) is None
    }
    return replace(level, estimated=lacking, **{name: getattr(various, name) for name in lacking})


def _level(
    outcome: Outcome, current: RoundOutcome, level: int, proposers: Proposers, worker: RunWorker
) -> DiversityLevel | None:
    state = current.state
    nodes = [
        (tree.source, node)
        for tree, node in current.forest.level(level)
        if current.forest.is_target(tree) and node in state.outputs
    ]
    if not nodes:
        return None
    now = current.policies.get(level, current.policies.get(None))
    found = proposers.of(state.outputs[nodes[0][1]], now)
    policy = found[1] if found else proposers.first
    first, seed = proposers.first, outcome.run.plan.seed
    shown = [state.prompt_contexts[node] for _, node in nodes]
    outputs = [state.outputs[node] for _, node in nodes]
    rows = [_predicted(each, outcome.gold) for each in outputs]
    known = [row for row in rows if row is not None]
    tilt = (
        _tilt(worker, found[0], policy, first, nodes, shown, seed)
        if (found and isinstance(policy, Policy) and isinstance(first, Policy))
        else None
    )
    if found is None:
        figures = {"entropy": entropy_of(policy, policy, list(zip(shown, outputs, strict=True)), seed)}
        figures |= {"kl": Known(0.0), "reverse_kl": Known(0.0)}
    else:
        figures = _beside(policy, first, list(zip(shown, outputs, strict=True)), _written(outcome, nodes, first), seed)
    return DiversityLevel(
        level=level,
        nodes=len(nodes),
        calibration_error=_calibration_error(known),
        entropy=figures["entropy"].value,
        distinct=float(np.mean([len({output.text for output in each}) / len(each) for each in outputs])),
        self_bleu=mean_self_bleu(outputs),
        kl=figures["kl"].value,
        reverse_kl=figures["reverse_kl"].value,
        tilt=tilt,
        estimated={name: each.basis for name, each in figures.items() if each.basis is not None},
    )


class Known(NamedTuple):
    """A figure in nats, None where it is unknown, and what it rests on where it is not exact."""

    value: float | None = None
    basis: FromOutputs | None = None

    @classmethod
    def over(cls, at_nodes: np.ndarray, outputs: int, whole: float = 1.0) -> "Known":
        """Return the mean over nodes, [nodes], of `outputs` outputs in all."""
        count = len(at_nodes)
        error = float(at_nodes.std(ddof=1)) / sqrt(count) if count > 1 else None
        return cls(
            float(at_nodes.mean()), FromOutputs("estimated" if whole == 1 else "at least", outputs, count, error, whole)
        )


Proposed = Sequence[tuple[PromptContext, Sequence[Output]]]
"""What was shown at nodes, and what was proposed there."""


def entropy_of(policy: object, other: object, proposed: Proposed, seed: int = 0) -> Known:
    """Return the mean entropy over nodes, from what a policy proposed there where it does not know it exactly.

    That is minus the mean log-probability, or where some outputs were cut off what reading them again tells (`other` is
    any policy that they can be read beside).
    """
    found = _known_entropy(policy, proposed)
    if found.value is not None:
        return found
    read = reread(policy, other, proposed, seed)
    return Known() if read is None else Known.over(read.entropy, read.outputs, read.whole)


def _known_entropy(policy: object, proposed: Proposed) -> Known:
    exact = known_of(policy.entropy, [context for context, _ in proposed]) if isinstance(policy, Divergence) else []
    if exact:
        return Known(_mean(exact))
    logs = [[output.log_prob for output in outputs] for _, outputs in proposed if outputs]
    known = [[log for log in at_node if log is not None] for at_node in logs]
    if not known or known != logs:
        return Known()
    return Known.over(np.array([-np.mean(each) for each in known]), sum(map(len, known)))


def _beside(policy: object, first: object, proposed: Proposed, before: Proposed, seed: int) -> dict[str, Known]:
    """Return an improved policy's entropy, its KL from the run's first one, and that one's from it.

    Exact where they know it, else from the outputs that each wrote; `before` are the first one's.
    """
    shown = [context for context, _ in proposed]
    found = {
        "entropy": _known_entropy(policy, proposed),
        "kl": Known(_kl(policy, first, shown)),
        "reverse_kl": Known(_kl(first, policy, shown)),
    }
    if found["entropy"].value is None or found["kl"].value is None:
        read = reread(policy, first, proposed, seed)
        if read is not None:
            estimated = {"entropy": read.entropy, "kl": read.kl}
            for name in (name for name in estimated if found[name].value is None):
                found[name] = Known.over(estimated[name], read.outputs, read.whole)
    if found["reverse_kl"].value is None:
        read = reread(first, policy, before, seed)
        found["reverse_kl"] = Known() if read is None else Known.over(read.kl, read.outputs, read.whole)
    return found


def _written(outcome: Outcome, nodes: Sequence[tuple[str, str]], policy: Policy | AsyncPolicy) -> Proposed:
    """Return what a policy wrote at nodes in the earliest round in which it did, with what it was shown."""
    found: dict[str, tuple[PromptContext, Sequence[Output]]] = {}
    for each in outcome.run.rounds:
        for _, node in nodes:
            own = [output for output in each.state.outputs.get(node, ()) if output.policy == policy.name]
            if own and node not in found:
                found[node] = each.state.prompt_contexts[node], own
    return list(found.values())


def _predicted(outputs: Sequence[Output], gold: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return how probable a node's different outputs are, and which is best; None without gold or with one alone."""
    by_text: dict[str, list[Output]] = {}
    for output in outputs:
        by_text.setdefault(output.text, []).append(output)
    if len(by_text) < 2 or any(output.id not in gold for output in outputs):
        return None
    logs = [each[0].log_prob for each in by_text.values()]
    known = np.array([log for log in logs if log is not None])
    times = np.array([len(each) for each in by_text.values()], dtype=np.float64)
    weights = np.exp(known - known.max()) if len(known) == len(logs) else times
    return as_predictor(weights, np.array([gold[each[0].id] for each in by_text.values()]))


def _calibration_error(rows: Sequence[tuple[np.ndarray, np.ndarray]]) -> float | None:
    if not rows:
        return None
    predicted, best = (np.concatenate([row[side] for row in rows]) for side in (0, 1))
    return calibration_error(predicted, best)


def mean_self_bleu(outputs: Sequence[Sequence[Output]]) -> float | None:
    """Return the mean over nodes of how much a node's outputs repeat each other, None where no node has two."""
    spoken = [self_bleu([output.text for output in each]) for each in outputs]
    return _mean([each for each in spoken if each is not None])


def _kl(policy: object, other: object, shown: Sequence[PromptContext]) -> float | None:
    if not isinstance(policy, Divergence) or not isinstance(other, Policy):
        return None
    return _mean(known_of(lambda at: policy.kl(at, other), shown))


def _tilt(
    worker: RunWorker,
    improved: Improvement,
    policy: Policy,
    first: Policy,
    nodes: Sequence[tuple[str, str]],
    shown: Sequence[PromptContext],
    seed: int,
) -> NearestTilt | None:
    """Return how near the policy is to a tilt of the first one by the acceptance that it was improved against.

    Over outputs of the first policy, weighed by how much likelier they are under the other; None where that is unknown.
    """
    some, count = TILTED
    places = sorted(range(len(nodes)), key=lambda at: seed_for(seed, "tilt", nodes[at][1]))[:some]
    jobs = [ProposeJob(shown[at], count, seed_for(seed, "tilt", nodes[at][1])) for at in places]
    found = []
    for at, job, outputs in zip(places, jobs, first.propose(jobs), strict=True):
        ratios = [log_ratio(first, policy, job.prompt_context, output) for output in outputs]
        known = [-ratio for ratio in ratios if ratio is not None]
        if len(known) < len(outputs):
            return None
        base = Finite.uniform(count)
        moved = Finite.weighted(np.array(known))
        group = Group(nodes[at][0], shown[at].place, shown[at].view, tuple(output.text for output in outputs))
        [said] = worker.scorer(improved).score([group])
        try:
            near = nearest_tilt(moved, base, said.acceptance[OVERALL].mean(axis=0)[:, None])
        except InputError:  # all of these outputs score alike, or the policy keeps the best alone
            continue
        found.append((float(near.steepness[0]), near.residual, moved.kl(base)))
    if not found:
        return None
    steepness, residual, moved_by = map(float, np.mean(found, axis=0))
    return NearestTilt(steepness, residual, moved_by, len(found))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
