"""Estimates of the KL between two policies from sampled sequences, by the log-probabilities of their tokens.

With log ratios l = log policy - log anchor of what the policy sampled, k1 = l and k3 = exp(-l) - 1 + l have both the KL
as their mean (Schulman 2020, Approximating KL divergence). k3 of one token is small and never negative, but of a whole
sequence its ratio makes its variance explode: so sequences are summed from k1, or, where logits are at hand, from the
full divergence at each sampled prefix, whose mean is exact by the chain rule.
"""

from typing import NamedTuple

import numpy as np

from rrm.core.errors import InputError, ShapeError


class Estimate(NamedTuple):
    """A mean over sequences, in nats a sequence, and its standard error (nan for a single one)."""

    mean: float
    error: float


def sequence_kl(policy: np.ndarray, anchor: np.ndarray, present: np.ndarray | None = None) -> Estimate:
    """Return the k1 estimate: `policy`, `anchor` are log-probabilities [sequences, tokens] of the sampled tokens.

    `present` is bool [sequences, tokens], False behind a sequence's end.
    """
    ratios = _ratios(policy, anchor, present)
    return _mean(ratios.sum(axis=1))


def token_kl(policy: np.ndarray, anchor: np.ndarray, present: np.ndarray | None = None) -> Estimate:
    """Return the sum over tokens of their k3, each of its own prefix: for small steps, where its variance is least."""
    ratios = _ratios(policy, anchor, present)
    return _mean((np.exp(-ratios) - 1 + ratios).sum(axis=1))


def full_kl(policy: np.ndarray, anchor: np.ndarray, present: np.ndarray | None = None) -> Estimate:
    """Return the sum over sampled prefixes of the whole divergence of the next token.

    `policy`, `anchor` are log-probabilities [sequences, tokens, vocabulary] at the policy's own prefixes.
    """
    policy, anchor = np.asarray(policy, dtype=np.float64), np.asarray(anchor, dtype=np.float64)
    if policy.shape != anchor.shape or policy.ndim != 3:
        raise ShapeError(f"both are [sequences, tokens, vocabulary], got {policy.shape} and {anchor.shape}")
    with np.errstate(invalid="ignore"):
        terms = np.where(np.isfinite(policy), np.exp(policy) * (policy - anchor), 0.0).sum(axis=2)
    return _mean(_masked(terms, present).sum(axis=1))


def _ratios(policy: np.ndarray, anchor: np.ndarray, present: np.ndarray | None) -> np.ndarray:
    policy, anchor = np.asarray(policy, dtype=np.float64), np.asarray(anchor, dtype=np.float64)
    if policy.shape != anchor.shape or policy.ndim != 2:
        raise ShapeError(f"log-probabilities are [sequences, tokens] both, got {policy.shape} and {anchor.shape}")
    ratios = _masked(policy - anchor, present)
    if np.isnan(ratios).any() or (ratios == -np.inf).any():
        raise InputError("what was sampled has a probability above zero, in policy and anchor, and is a number")
    return ratios


def _masked(terms: np.ndarray, present: np.ndarray | None) -> np.ndarray:
    return terms if present is None else np.where(present, terms, 0.0)


def _mean(values: np.ndarray) -> Estimate:
    if not values.size:
        raise InputError("a KL is estimated from one sequence or more")
    error = float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else float("nan")
    return Estimate(float(values.mean()), error)
