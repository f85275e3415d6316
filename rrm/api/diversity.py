"""Calibration and diversity of a run's policies, before and after they were improved, for its report."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rrm.api.ledger import Proposers
from rrm.api.worker import RunWorker
from rrm.core.errors import InputError
from rrm.core.ids import seed_for
from rrm.core.protocols import Divergence, Policy, PromptContext, ProposeJob
from rrm.core.report import DiversityLevel, NearestTilt, RoundReport
from rrm.core.values import OVERALL, Group, Improvement, Output
from rrm.evaluate.diversity import as_predictor, calibration_error, self_bleu
from rrm.pipeline.reporting import known_of
from rrm.pipeline.steps import Outcome, RoundOutcome
from rrm.policy.distance import log_ratio
from rrm.policy.finite import Finite
from rrm.policy.matching import nearest_tilt

TILTED = (4, 48)
"""Nodes of a level, and outputs of the first policy at each, on which the nearest tilt is looked for."""


def with_diversity(
    outcome: Outcome, rounds: Sequence[RoundReport], proposers: Proposers, worker: RunWorker
) -> tuple[RoundReport, ...]:
    """Return the rounds' reports, each with the calibration and diversity of what proposed in it."""
    found = []
    for told, current in zip(rounds, outcome.run.rounds, strict=True):
        levels = (_level(outcome, current, level, proposers, worker) for level in range(current.forest.height + 1))
        found.append(replace(told, diversity=tuple(level for level in levels if level is not None)))
    return tuple(found)


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
    first = proposers.first
    shown = [state.prompt_contexts[node] for _, node in nodes]
    outputs = [state.outputs[node] for _, node in nodes]
    rows = [_predicted(each, outcome.gold) for each in outputs]
    known = [row for row in rows if row is not None]
    spoken = [self_bleu([output.text for output in each]) for each in outputs]
    tilt = (
        _tilt(worker, found[0], policy, first, nodes, shown, outcome.run.plan.seed)
        if (found and isinstance(policy, Policy) and isinstance(first, Policy))
        else None
    )
    return DiversityLevel(
        level=level,
        nodes=len(nodes),
        calibration_error=_calibration_error(known),
        entropy=mean_entropy(policy, shown, outputs),
        distinct=float(np.mean([len({output.text for output in each}) / len(each) for each in outputs])),
        self_bleu=_mean([each for each in spoken if each is not None]),
        kl=0.0 if found is None else _kl(policy, first, shown),
        reverse_kl=0.0 if found is None else _kl(first, policy, shown),
        tilt=tilt,
    )


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


def mean_entropy(policy: object, shown: Sequence[PromptContext], outputs: Sequence[Sequence[Output]]) -> float | None:
    """Return the mean entropy in nats: exact where the policy knows it, else minus the mean log-probability."""
    exact = known_of(policy.entropy, shown) if isinstance(policy, Divergence) else []
    if exact:
        return _mean(exact)
    drawn = [output.log_prob for each in outputs for output in each]
    known = [log for log in drawn if log is not None]
    return -float(np.mean(known)) if known and len(known) == len(drawn) else None


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
