"""The methods that oracles look at, by name: ours, or with one of them replaced by somebody else's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from rrm.ask.assistance import Game, Solved, apart, deferring, together
from rrm.ask.debate import Argument, Claim, Estimated, attacked, debated, estimated
from rrm.ask.envelope import envelope_gain
from rrm.ask.finite import decision_gain, information, posteriors
from rrm.ask.gaussian import Gaussian
from rrm.ask.lookahead import Plan, Prospects, look_ahead
from rrm.ask.propagation import SiteOf, Told, propagated
from rrm.ask.tilt import best_mean
from rrm.ask.unseen import Sight, between, first_better, left_open, rewards_from
from rrm.ask.value import Pool, Roots, next_question, variance_removed
from rrm.compose.composers import Join, Minimum, Product
from rrm.core.graph import Proposal, TaskGraph
from rrm.evaluate.overoptimisation import Form, Law, choose_law, fit_law
from rrm.feedback.choice import log_probs
from rrm.feedback.posterior import log_posterior
from rrm.policy.best_of_n import best_of, expected_best, kl_bound, kl_estimate, soft_best_of
from rrm.policy.conditioning import bins, conditional
from rrm.policy.conservative import uncertain, worst
from rrm.policy.finite import Finite
from rrm.policy.kl_anchored import REWARDS, beta_within, objective, optimum, tilted
from rrm.policy.kl_estimates import Estimate, full_kl, sequence_kl, token_kl
from rrm.policy.ledger import Allotment, NodeTable, allot, expected_kls
from rrm.policy.matching import Moments, Nearest, matched, nearest_tilt
from rrm.policy.quantilizer import quantilized
from rrm.policy.sequences import Loss, anchored_loss, dpo_loss, leave_one_out_loss, likelihood_loss

PRODUCT, MINIMUM = Product(), Minimum()


@dataclass(frozen=True)
class Methods:
    """One function a method; what each takes and returns is said where it is defined."""

    kl: Callable[[Finite, Finite], float] = Finite.kl
    tilted: Callable[[Finite, np.ndarray, float], Finite] = tilted
    objective: Callable[[Finite, Finite, np.ndarray, float], float] = objective
    optimum: Callable[[Finite, np.ndarray, float], float] = optimum
    beta_within: Callable[[Finite, np.ndarray, float], float] = beta_within
    log_reward: Callable[[np.ndarray], np.ndarray] = REWARDS["log_acceptance"]
    anchored_loss: Callable[[Tensor, Tensor, float], Loss] = anchored_loss
    dpo_loss: Callable[[Tensor, Tensor, float], Loss] = dpo_loss
    likelihood_loss: Callable[[Tensor], Loss] = likelihood_loss
    leave_one_out_loss: Callable[[Tensor, Tensor], Tensor] = leave_one_out_loss
    sequence_kl: Callable[[np.ndarray, np.ndarray], Estimate] = sequence_kl
    token_kl: Callable[[np.ndarray, np.ndarray], Estimate] = token_kl
    full_kl: Callable[[np.ndarray, np.ndarray], Estimate] = full_kl
    matched: Callable[[Finite, np.ndarray, np.ndarray], Moments] = matched
    nearest_tilt: Callable[[Finite, Finite, np.ndarray], Nearest] = nearest_tilt
    fit_law: Callable[[Sequence[float], Sequence[float], Form], Law] = fit_law
    choose_law: Callable[[Sequence[float], Sequence[float]], Law] = choose_law
    best_of: Callable[[Finite, np.ndarray, int], Finite] = best_of
    soft_best_of: Callable[[Finite, np.ndarray, int, float], Finite] = soft_best_of
    best_of_kl_bound: Callable[[int], float] = kl_bound
    best_of_kl_estimate: Callable[[np.ndarray, int], float] = kl_estimate
    expected_best: Callable[[np.ndarray, int], float] = expected_best
    quantilized: Callable[[Finite, np.ndarray, float], Finite] = quantilized
    conditional: Callable[[Finite, np.ndarray], Finite] = conditional
    bins: Callable[[Finite, np.ndarray, int], np.ndarray] = bins
    gate: Callable[[TaskGraph, str, Proposal], None] = TaskGraph.check
    choice: Callable[..., Tensor] = log_probs
    posterior: Callable[..., Tensor] = log_posterior
    worst: Callable[[np.ndarray], np.ndarray] = worst
    uncertain: Callable[[np.ndarray, float], np.ndarray] = uncertain
    product: Join = PRODUCT
    minimum: Join = MINIMUM
    expected_kls: Callable[[Sequence[NodeTable]], np.ndarray] = expected_kls
    allot: Callable[[Sequence[np.ndarray], Sequence[np.ndarray], float], Allotment] = allot
    information: Callable[[Finite, np.ndarray], float] = information
    decision_gain: Callable[[Finite, np.ndarray, np.ndarray], float] = decision_gain
    posteriors: Callable[[Finite, np.ndarray], tuple[np.ndarray, list[Finite]]] = posteriors
    next_question: Callable[[np.ndarray, np.ndarray], int] = next_question
    variance_removed: Callable[[Gaussian, Pool, Roots], np.ndarray] = variance_removed
    envelope_gain: Callable[[np.ndarray, np.ndarray], np.ndarray] = envelope_gain
    best_within: Callable[[np.ndarray, np.ndarray, float], np.ndarray] = best_mean
    propagated: Callable[[np.ndarray, np.ndarray, SiteOf], Told] = propagated
    together: Callable[[Game], Solved] = together
    apart: Callable[[Game], Solved] = apart
    deferring: Callable[[float, float, float | None], float] = deferring
    look_ahead: Callable[[Finite, Prospects, float], Plan] = look_ahead
    debated: Callable[[Claim, float], float] = debated
    attacked: Callable[[Argument], float] = attacked
    estimated: Callable[[Argument, float], Estimated] = estimated
    first_better: Callable[[Sight, np.ndarray, np.ndarray, float], np.ndarray] = first_better
    rewards_from: Callable[[Sight, np.ndarray, np.ndarray, float, float], np.ndarray] = rewards_from
    left_open: Callable[[Sight], np.ndarray] = left_open
    between: Callable[[Sight, np.ndarray, np.ndarray, float, float], tuple[float, float]] = between
    hindsight: Callable[[Sight, np.ndarray], Sight] = Sight.after
