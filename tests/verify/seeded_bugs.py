"""Bugs that were made, or nearly made, in methods like ours: each a method of `Methods` with one thing wrong."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import log

import numpy as np
import torch
from torch import Tensor

from rrm.ask.assistance import Game, Solved
from rrm.ask.debate import Argument, Claim, Estimated
from rrm.ask.finite import posteriors
from rrm.ask.gaussian import Gaussian
from rrm.ask.lookahead import Plan, Prospects
from rrm.ask.propagation import SiteOf, Told
from rrm.ask.unseen import Sight
from rrm.ask.value import Pool, Roots
from rrm.core.graph import Proposal, TaskGraph
from rrm.core.task import Task
from rrm.evaluate.overoptimisation import Form, Law, fit_law
from rrm.feedback.choice import log_probs
from rrm.feedback.posterior import log_posterior
from rrm.feedback.table import FeedbackTable
from rrm.policy.best_of_n import best_of, kl_bound, soft_best_of
from rrm.policy.conditioning import conditional
from rrm.policy.finite import Finite
from rrm.policy.kl_anchored import beta_within, objective, tilted
from rrm.policy.kl_estimates import Estimate, token_kl
from rrm.policy.ledger import Allotment, NodeTable, expected_kls
from rrm.policy.matching import Moments, Nearest, matched, nearest_tilt
from rrm.policy.quantilizer import quantilized
from rrm.policy.sequences import Loss, anchored_loss
from rrm.verify.oracles.methods import Methods

OURS = Methods()


def dpo_of_the_wrong_sign(anchor: Tensor, rewards: Tensor, beta: float) -> Loss:
    return OURS.dpo_loss(anchor, -rewards, beta)


def dpo_without_its_anchor(anchor: Tensor, rewards: Tensor, beta: float) -> Loss:
    return OURS.dpo_loss(torch.full_like(anchor, -log(len(anchor))), rewards, beta)


def leave_all_in(log_probs_: Tensor, rewards: Tensor) -> Tensor:
    return -((rewards - rewards.mean()).detach() * log_probs_).mean()


def baseline_from_itself(log_probs_: Tensor, rewards: Tensor) -> Tensor:
    return -((rewards - rewards.max()).detach() * log_probs_).mean()


def k3_on_sequences(policy: np.ndarray, anchor: np.ndarray) -> Estimate:
    ratios = (policy - anchor).sum(axis=1)
    values = np.exp(-ratios) - 1 + ratios
    return Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))


def mean_a_token(policy: np.ndarray, anchor: np.ndarray) -> Estimate:
    values = (policy - anchor).mean(axis=1)
    return Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))


def full_of_the_anchor(policy: np.ndarray, anchor: np.ndarray) -> Estimate:
    values = (np.exp(anchor) * (anchor - policy)).sum(axis=2).sum(axis=1)
    return Estimate(float(values.mean()), 0.0)


def ratio_the_wrong_way(policy: np.ndarray, anchor: np.ndarray) -> Estimate:
    return token_kl(anchor, policy)


def rank_through_ties(base: Finite, scores: np.ndarray, n: int) -> Finite:
    order = np.argsort(scores, kind="stable")
    upto = np.cumsum(base.probs[order])
    kept = np.diff(upto**n, prepend=0.0)
    found = np.empty(len(base))
    found[order] = kept
    return Finite.weighted(np.log(np.maximum(found, 1e-300)))


def ties_shared_evenly(base: Finite, scores: np.ndarray, n: int) -> Finite:
    right = best_of(base, scores, n).probs
    even = np.array([right[scores == score].mean() for score in scores])
    return Finite.weighted(np.log(np.maximum(even, 1e-300)))


def unsplit(base: Finite, scores: np.ndarray, q: float) -> Finite:
    order = np.argsort(-scores, kind="stable")
    inside = np.cumsum(base.probs[order]) <= q
    inside[0] = True
    kept = np.full(len(base), -np.inf)
    kept[order[inside]] = base.log_probs[order[inside]]
    return Finite.weighted(kept)


def uniform_above(base: Finite, scores: np.ndarray, q: float) -> Finite:
    above = quantilized(base, scores, q).probs > 0
    return Finite.weighted(np.where(above, 0.0, -np.inf))


def bins_by_rank(base: Finite, scores: np.ndarray, count: int) -> np.ndarray:
    ranks = np.argsort(np.argsort(scores, kind="stable"), kind="stable")
    return np.asarray(ranks * count // len(scores))


def bins_by_value(base: Finite, scores: np.ndarray, count: int) -> np.ndarray:
    share = (scores - scores.min()) / max(float(np.ptp(scores)), 1e-12)
    return np.asarray(np.minimum((share**3 * count).astype(int), count - 1))


def newton_undamped(base: Finite, features: np.ndarray, targets: np.ndarray) -> Moments:
    steepness = np.zeros(len(targets))
    for _ in range(3):
        found = Finite.weighted(base.log_probs + features @ steepness)
        gradient = found.probs @ features - targets
        spread = (features - found.probs @ features).T @ (found.probs[:, None] * features)
        steepness = steepness - np.linalg.lstsq(spread, gradient, rcond=None)[0]
    return Moments(Finite.weighted(base.log_probs + features @ steepness), steepness)


def moments_under_the_base(base: Finite, features: np.ndarray, targets: np.ndarray) -> Moments:
    found = matched(base, features, targets)
    return Moments(matched(Finite.uniform(len(base)), features, targets).distribution, found.steepness)


def law_in_kl(kl: Sequence[float], gold: Sequence[float], form: Form) -> Law:
    return fit_law([each**2 for each in kl], gold, form)


def law_with_log_ten(kl: Sequence[float], gold: Sequence[float], form: Form) -> Law:
    found = fit_law(kl, gold, form)
    return replace(found, beta=found.beta * log(10)) if form == "rl" else found


def law_of_one_form(kl: Sequence[float], gold: Sequence[float]) -> Law:
    return fit_law(kl, gold, "best_of_n")


def law_that_likes_misfit(kl: Sequence[float], gold: Sequence[float]) -> Law:
    return max((fit_law(kl, gold, form) for form in ("best_of_n", "rl")), key=lambda law: law.bic)


def expected_with_replacement(gold: np.ndarray, n: int) -> float:
    upto = np.arange(len(gold) + 1) / len(gold)
    return float(np.diff(upto**n) @ gold)


def expected_of_the_first(gold: np.ndarray, n: int) -> float:
    return float(gold[-n:].mean())


def soft_of_the_sum(base: Finite, scores: np.ndarray, n: int, beta: float) -> Finite:
    return Finite.weighted(base.log_probs + (1 - 1 / n) * scores / beta)


def lax_gate(graph: TaskGraph, node: str, proposal: Proposal) -> None:
    tasks = [part for part in proposal.parts if isinstance(part, Task)]
    if any(task.rank > graph.task(node).rank for task in tasks):
        graph.check(node, proposal)


def blind_gate(graph: TaskGraph, node: str, proposal: Proposal) -> None:
    parts = tuple(getattr(part, "task", part) for part in proposal.parts)
    graph.check(node, replace(proposal, parts=parts))


def closed_gate(graph: TaskGraph, node: str, proposal: Proposal) -> None:
    graph.check(node, replace(proposal, unusable="never"))


def ungrounded(rewards: Tensor, grounding: Tensor | None = None, *rest: object) -> Tensor:
    found = log_probs(rewards, None, *rest)  # type: ignore[arg-type]
    return found if grounding is None else (grounding @ found.exp()).log()


def summed_meaning(rewards: Tensor, grounding: Tensor | None = None, *rest: object) -> Tensor:
    if grounding is None:
        return log_probs(rewards, None, *rest)  # type: ignore[arg-type]
    return log_probs((grounding > 0).to(rewards.dtype) @ rewards, None, *rest)  # type: ignore[arg-type]


def cold(rewards: Tensor, *rest: object) -> Tensor:
    return log_probs(2 * rewards, *rest)  # type: ignore[arg-type]


def unnormalised(rewards: Tensor, grounding: Tensor | None = None, *rest: object) -> Tensor:
    return log_probs(rewards, grounding, *rest) + 0.01  # type: ignore[arg-type]


Maybe = Tensor | None


def without_prior(
    grid: Tensor, feedback: FeedbackTable, scales: None = None, prior: Maybe = None, beta: float = 1.0
) -> Tensor:
    return log_posterior(grid, feedback, scales, None, beta)


def twice_told(
    grid: Tensor, feedback: FeedbackTable, scales: None = None, prior: Maybe = None, beta: float = 1.0
) -> Tensor:
    return log_posterior(grid, feedback, scales, prior, 2 * beta)


def last_answer_lost(
    grid: Tensor, feedback: FeedbackTable, scales: None = None, prior: Maybe = None, beta: float = 1.0
) -> Tensor:
    fewer, _ = feedback.take(np.arange(feedback.rows - 1))
    places = [list(feedback.items).index(item) for item in fewer.items]
    return log_posterior(grid[:, places], fewer, scales, prior, beta)


def under_the_anchor(tables: Sequence[NodeTable]) -> np.ndarray:
    swapped = [NodeTable(table.reads, table.anchor, table.policy) for table in tables]
    return expected_kls(swapped)


def unweighed(tables: Sequence[NodeTable]) -> np.ndarray:
    kls = [(table.policy * np.log(table.policy.clip(1e-300) / table.anchor)).sum(axis=-1).mean() for table in tables]
    return np.array(kls)


def roots_alone(tables: Sequence[NodeTable]) -> np.ndarray:
    found = expected_kls(tables)
    found[:-1] = 0
    return found


def spendthrift(costs: Sequence[np.ndarray], gains: Sequence[np.ndarray], budget: float) -> Allotment:
    options = tuple(int(np.argmax(gain)) for gain in gains)
    return _allotment(costs, gains, options)


def same_n_everywhere(costs: Sequence[np.ndarray], gains: Sequence[np.ndarray], budget: float) -> Allotment:
    fits = [n for n in range(len(costs[0])) if sum(float(cost[n]) for cost in costs) <= budget / 2]
    return _allotment(costs, gains, tuple([max(fits)] * len(costs)))


def boastful(costs: Sequence[np.ndarray], gains: Sequence[np.ndarray], budget: float) -> Allotment:
    found = OURS.allot(costs, gains, budget)
    return found._replace(nats=found.nats / 2)


def _allotment(costs: Sequence[np.ndarray], gains: Sequence[np.ndarray], options: tuple[int, ...]) -> Allotment:
    nats, gain = (float(sum(each[o] for each, o in zip(of, options, strict=True))) for of in (costs, gains))
    return Allotment(options, nats, gain)


class Averaged:
    """The mean in the place of the product."""

    def join(self, own: np.ndarray, parts: np.ndarray, shares: np.ndarray) -> np.ndarray:
        return np.asarray((own + parts.mean(axis=0)) / 2)


class PartsAlone:
    """The product that forgets the node's own score."""

    def join(self, own: np.ndarray, parts: np.ndarray, shares: np.ndarray) -> np.ndarray:
        return np.asarray(parts.prod(axis=0))


def residual_turned(policy: Finite, base: Finite, features: np.ndarray) -> Nearest:
    found = nearest_tilt(policy, base, features)
    return found._replace(residual=0.0)


def nearest_of_the_reverse(policy: Finite, base: Finite, features: np.ndarray) -> Nearest:
    found = nearest_tilt(policy, base, features)
    return found._replace(tilt=base, residual=policy.kl(base), steepness=np.zeros(features.shape[1]))


def outside_unseen(policy: Finite, base: Finite, features: np.ndarray) -> Nearest:
    return nearest_tilt(policy, base, features)._replace(outside=0.0)


def entropy_of_the_answer(belief: Finite, answers: np.ndarray) -> float:
    likely = np.exp(answers) @ belief.probs
    return float(-(likely * np.log(likely)).sum())


def prior_from_posterior(belief: Finite, answers: np.ndarray) -> float:
    likely, after = posteriors(belief, answers)
    return float(sum(p * belief.kl(each) for p, each in zip(likely, after, strict=True)))


def gain_of_the_mode(belief: Finite, answers: np.ndarray, values: np.ndarray) -> float:
    likely, after = posteriors(belief, answers)
    return float((values @ after[int(np.argmax(likely))].probs).max() - (values @ belief.probs).max())


def after_a_step(belief: Finite, answers: np.ndarray) -> tuple[np.ndarray, list[Finite]]:
    """Half of Bayes' rule, as who damps an update has it."""
    likely, _ = posteriors(belief, answers)
    return likely, [Finite.weighted(belief.log_probs + answer / 2) for answer in answers]


def answers_alike(belief: Finite, answers: np.ndarray) -> tuple[np.ndarray, list[Finite]]:
    likely, after = posteriors(belief, answers)
    return np.full_like(likely, 1 / len(likely)), after


def perfect_information(belief: Finite, answers: np.ndarray, values: np.ndarray) -> float:
    return float(values.max(axis=0) @ belief.probs - (values @ belief.probs).max())


def variance_of_the_diagonal(belief: Gaussian, pool: Pool, roots: Roots) -> np.ndarray:
    return OURS.variance_removed(replace(belief, covariance=np.diag(np.diag(belief.covariance))), pool, roots)


def envelope_in_fifteen_points(intercepts: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    points, mass = np.polynomial.hermite_e.hermegauss(15)
    highest = (intercepts[..., None] + slopes[..., None] * points).max(axis=-2)
    return np.asarray(highest @ (mass / mass.sum()) - intercepts.max(axis=-1))


def gain_of_the_steepest(intercepts: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    kept = [int(intercepts.argmax()), int(slopes.argmax())]
    return OURS.envelope_gain(intercepts[kept], slopes[kept])


def one_after_another(mean: np.ndarray, covariance: np.ndarray, site_of: SiteOf) -> Told:
    mean, covariance, found = mean.copy(), covariance.copy(), []
    for at in range(len(mean)):
        precision, pull = site_of(at, float(mean[at]), float(covariance[at, at]))
        row, whole = covariance[at].copy(), 1 + precision * covariance[at, at]
        mean += (pull - precision * mean[at]) / whole * row
        covariance -= precision / whole * np.outer(row, row)
        found.append((precision, pull))
    return Told(*np.array(found).T)


def attacked_at_random(claim: Claim, errs: float) -> float:
    if not claim.ways:
        return OURS.debated(claim, errs)
    return max(float(np.mean([attacked_at_random(part, errs) for part in way])) for way in claim.ways)


def argued_in_one_way(claim: Claim, errs: float) -> float:
    if not claim.ways:
        return OURS.debated(claim, errs)
    return min(argued_in_one_way(part, errs) for part in claim.ways[0])


def right_at_every_leaf(claim: Claim, errs: float) -> float:
    return OURS.debated(claim, 0.0)


def who_knows_the_flaw(argument: Argument) -> float:
    return argument.sound


def product_of_parts(argument: Argument) -> float:
    return float(argument.parts.prod())


def by_the_least_part(argument: Argument, stake: float) -> Estimated:
    return Estimated(bool(argument.parts.min() >= 0.5), argument.parts, 0.0)


def by_the_truth(argument: Argument, stake: float) -> Estimated:
    return OURS.estimated(argument, stake)._replace(accepted=argument.sound >= 0.5)


def off_in_sum(argument: Argument, stake: float) -> Estimated:
    return OURS.estimated(argument, stake * len(argument.parts))


def most_probable_world(sight: Sight) -> Sight:
    return Sight(np.eye(sight.belief.shape[1])[sight.belief.argmax(axis=1)])


def shown_for_the_case(
    sight: Sight, pairs: np.ndarray, first: np.ndarray, rationality: float, prior_sd: float
) -> np.ndarray:
    return OURS.rewards_from(most_probable_world(sight), pairs, first, rationality, prior_sd)


def kernel_of_the_belief(sight: Sight) -> np.ndarray:
    _, values, vectors = np.linalg.svd(sight.belief)
    return np.asarray(vectors[int((values > 1e-9).sum()) :])


def kernel_with_the_constant(sight: Sight) -> np.ndarray:
    constant = np.full((1, sight.belief.shape[1]), sight.belief.shape[1] ** -0.5)
    return np.vstack([OURS.left_open(sight), constant])


def between_free_rewards(
    sight: Sight, rewards: np.ndarray, difference: np.ndarray, low: float, high: float
) -> tuple[float, float]:
    return OURS.between(Sight(sight.belief[:1]), rewards, difference, low, high)


def between_as_fitted(
    sight: Sight, rewards: np.ndarray, difference: np.ndarray, low: float, high: float
) -> tuple[float, float]:
    return float(difference @ rewards), float(difference @ rewards)


def ignorant(game: Game) -> Solved:
    return OURS.apart(Game(game.person, game.agent.mean(axis=0, keepdims=True)))


def heard_and_not_heeded(belief: Finite, prospects: Prospects, price: float) -> Plan:
    """Delivers what was best before the answer."""
    return OURS.look_ahead(belief, replace(prospects, answers=np.zeros((1, 1, len(belief)))), price)


def taken_for_rational(belief: Finite, prospects: Prospects, price: float) -> Plan:
    person = prospects.person
    if person is not None:
        person = (prospects.worth == prospects.worth.max(axis=0)).astype(np.float64)
    return OURS.look_ahead(belief, replace(prospects, person=person), price)


BUGS: dict[str, Callable[[], Methods]] = {
    "forward for reverse KL": lambda: replace(OURS, kl=lambda p, q: q.kl(p)),
    "KL in bits": lambda: replace(OURS, kl=lambda p, q: p.kl(q) / log(2)),
    "KL without absolute continuity": lambda: replace(OURS, kl=lambda p, q: p.kl(Finite.mixture((0.99, 0.01), (q, p)))),
    "tilt of the wrong sign": lambda: replace(OURS, tilted=lambda b, r, beta: tilted(b, -r, beta)),
    "tilt by r times beta": lambda: replace(OURS, tilted=lambda b, r, beta: tilted(b, r, 1 / beta if beta else 0.0)),
    "tilt that forgets its anchor": lambda: replace(
        OURS, tilted=lambda b, r, beta: tilted(Finite.uniform(len(b)), r, beta)
    ),
    "best outcome alone at beta 0": lambda: replace(
        OURS,
        tilted=lambda b, r, beta: tilted(b, r + 1e-9 * np.arange(len(r)), beta) if not beta else tilted(b, r, beta),
    ),
    "J with the penalty added": lambda: replace(OURS, objective=lambda p, b, r, beta: objective(p, b, r, -beta)),
    "J with the forward KL": lambda: replace(OURS, objective=lambda p, b, r, beta: p.mean(r) - beta * b.kl(p)),
    "log Z without beta": lambda: replace(OURS, optimum=lambda b, r, beta: OURS.optimum(b, r, beta) / beta),
    "budget overspent by a hundredth": lambda: replace(OURS, beta_within=lambda b, r, kl: beta_within(b, r, 1.01 * kl)),
    "budget half spent": lambda: replace(OURS, beta_within=lambda b, r, kl: beta_within(b, r, kl / 2)),
    "reward: log of the odds": lambda: replace(OURS, log_reward=lambda p: np.log(np.maximum(p, 1e-9) / (1 - p))),
    "reward: acceptance for its log": lambda: replace(OURS, log_reward=lambda p: p),
    "reward: log of what is clipped": lambda: replace(OURS, log_reward=lambda p: np.log(np.maximum(p, 0.05))),
    "RL without its penalty's sign": lambda: replace(OURS, anchored_loss=lambda a, r, beta: anchored_loss(a, r, -beta)),
    "RL towards the uniform policy": lambda: replace(
        OURS, anchored_loss=lambda a, r, beta: anchored_loss(torch.full_like(a, -log(len(a))), r, beta)
    ),
    "RL with twice the penalty": lambda: replace(OURS, anchored_loss=lambda a, r, beta: anchored_loss(a, r, 2 * beta)),
    "DPO of the wrong sign": lambda: replace(OURS, dpo_loss=dpo_of_the_wrong_sign),
    "DPO without its anchor": lambda: replace(OURS, dpo_loss=dpo_without_its_anchor),
    "DPO without beta": lambda: replace(OURS, dpo_loss=lambda a, r, beta: OURS.dpo_loss(a, r, 1.0)),
    "baseline with the sample itself": lambda: replace(OURS, leave_one_out_loss=leave_all_in),
    "baseline that looks at the best": lambda: replace(OURS, leave_one_out_loss=baseline_from_itself),
    "REINFORCE uphill for downhill": lambda: replace(
        OURS, leave_one_out_loss=lambda p, r: -OURS.leave_one_out_loss(p, r)
    ),
    "k3 on sequences": lambda: replace(OURS, sequence_kl=k3_on_sequences),
    "KL as mean over tokens": lambda: replace(OURS, sequence_kl=mean_a_token),
    "sign of the log ratio": lambda: replace(OURS, sequence_kl=lambda p, a: OURS.sequence_kl(a, p)),
    "k3 the wrong way": lambda: replace(OURS, token_kl=ratio_the_wrong_way),
    "k1 for k3 in small steps": lambda: replace(OURS, token_kl=lambda p, a: OURS.sequence_kl(p, a)),
    "full divergence from the anchor": lambda: replace(OURS, full_kl=full_of_the_anchor),
    "Newton without damping": lambda: replace(OURS, matched=newton_undamped),
    "moments matched from the uniform": lambda: replace(OURS, matched=moments_under_the_base),
    "lambda of the wrong sign": lambda: replace(
        OURS, matched=lambda b, f, t: matched(b, f, t)._replace(steepness=-matched(b, f, t).steepness)
    ),
    "law fitted to KL for its root": lambda: replace(OURS, fit_law=law_in_kl),
    "law with the decimal logarithm": lambda: replace(OURS, fit_law=law_with_log_ten),
    "law of one form for all": lambda: replace(OURS, choose_law=law_of_one_form),
    "BIC the wrong way": lambda: replace(OURS, choose_law=law_that_likes_misfit),
    "best of n cut by rank through ties": lambda: replace(OURS, best_of=rank_through_ties),
    "best of n with ties shared evenly": lambda: replace(OURS, best_of=ties_shared_evenly),
    "best of n + 1": lambda: replace(OURS, best_of=lambda b, s, n: best_of(b, s, n + 1)),
    "worst of n": lambda: replace(OURS, best_of=lambda b, s, n: best_of(b, -s, n)),
    "log n as the bound": lambda: replace(OURS, best_of_kl_bound=log),
    "bound for an equality": lambda: replace(OURS, best_of_kl_estimate=lambda logs, n: kl_bound(n)),
    "estimate with replacement": lambda: replace(OURS, expected_best=expected_with_replacement),
    "mean of the best n": lambda: replace(OURS, expected_best=expected_of_the_first),
    "soft best of n as a tilt": lambda: replace(OURS, soft_best_of=soft_of_the_sum),
    "soft best of one less": lambda: replace(OURS, soft_best_of=lambda b, s, n, beta: soft_best_of(b, s, n - 1, beta)),
    "softness inverted": lambda: replace(OURS, soft_best_of=lambda b, s, n, beta: soft_best_of(b, s, n, 1 / beta)),
    "unsplit quantile atom": lambda: replace(OURS, quantilized=unsplit),
    "uniform above the threshold": lambda: replace(OURS, quantilized=uniform_above),
    "quantile from below": lambda: replace(OURS, quantilized=lambda b, s, q: quantilized(b, -s, q)),
    "quantile of q squared": lambda: replace(OURS, quantilized=lambda b, s, q: quantilized(b, s, q * q)),
    "conditional without its base": lambda: replace(
        OURS, conditional=lambda b, event: conditional(Finite.uniform(len(b)), event)
    ),
    "conditional that leaks": lambda: replace(
        OURS, conditional=lambda b, event: conditional(b, np.maximum(event, 0.01))
    ),
    "bins cut by rank through ties": lambda: replace(OURS, bins=bins_by_rank),
    "bins by value for quantiles": lambda: replace(OURS, bins=bins_by_value),
    "bins counted from the top": lambda: replace(OURS, bins=lambda b, s, k: k - 1 - OURS.bins(b, s, k)),
    "cross-entropy the wrong way": lambda: replace(
        OURS, likelihood_loss=lambda target: lambda log_p: -(log_p.exp() * (target + 1e-12).log()).sum()
    ),
    "likelihood of the square": lambda: replace(OURS, likelihood_loss=lambda target: OURS.likelihood_loss(target**2)),
    "rank may stay equal": lambda: replace(OURS, gate=lax_gate),
    "references not looked at": lambda: replace(OURS, gate=blind_gate),
    "gate that admits nothing": lambda: replace(OURS, gate=closed_gate),
    "grounding by mixing choices": lambda: replace(OURS, choice=ungrounded),
    "grounding by the sum": lambda: replace(OURS, choice=summed_meaning),
    "temperature halved": lambda: replace(OURS, choice=cold),
    "choices not normalised": lambda: replace(OURS, choice=unnormalised),
    "posterior without its prior": lambda: replace(OURS, posterior=without_prior),
    "posterior of answers counted twice": lambda: replace(OURS, posterior=twice_told),
    "last answer lost": lambda: replace(OURS, posterior=last_answer_lost),
    "mean for the worst": lambda: replace(OURS, worst=lambda members: members.mean(axis=0)),
    "best for the worst": lambda: replace(OURS, worst=lambda members: members.max(axis=0)),
    "variance added": lambda: replace(OURS, uncertain=lambda m, w: m.mean(axis=0) + w * m.var(axis=0)),
    "deviation for the variance": lambda: replace(
        OURS, uncertain=lambda m, w: np.maximum(m.mean(axis=0) - w * m.std(axis=0), 0)
    ),
    "mean for the product": lambda: replace(OURS, product=Averaged()),
    "product without the own score": lambda: replace(OURS, product=PartsAlone()),
    "product for the minimum": lambda: replace(OURS, minimum=OURS.product),
    "residual left out": lambda: replace(OURS, nearest_tilt=residual_turned),
    "nearest is the base": lambda: replace(OURS, nearest_tilt=nearest_of_the_reverse),
    "mass outside not looked for": lambda: replace(OURS, nearest_tilt=outside_unseen),
    "ledger of the anchor's KL": lambda: replace(OURS, expected_kls=under_the_anchor),
    "node KLs not weighed by what is read": lambda: replace(OURS, expected_kls=unweighed),
    "ledger of the root alone": lambda: replace(OURS, expected_kls=roots_alone),
    "allotment beyond the budget": lambda: replace(OURS, allot=spendthrift),
    "the same n everywhere": lambda: replace(OURS, allot=same_n_everywhere),
    "less KL told than spent": lambda: replace(OURS, allot=boastful),
    "entropy of the mean answer for information": lambda: replace(OURS, information=entropy_of_the_answer),
    "information in bits": lambda: replace(OURS, information=lambda b, a: OURS.information(b, a) / log(2)),
    "KL of prior from posterior": lambda: replace(OURS, information=prior_from_posterior),
    "gain of the most probable answer": lambda: replace(OURS, decision_gain=gain_of_the_mode),
    "perfect information for an answer": lambda: replace(OURS, decision_gain=perfect_information),
    "half an update": lambda: replace(OURS, posteriors=after_a_step),
    "answers equally probable": lambda: replace(OURS, posteriors=answers_alike),
    "the question that gains most, whatever it costs": lambda: replace(
        OURS, next_question=lambda worth, minutes: int(np.argmax(worth))
    ),
    "the cheapest question": lambda: replace(OURS, next_question=lambda worth, minutes: int(np.argmin(minutes))),
    "gain less the decision's spread": lambda: replace(
        OURS, decision_gain=lambda b, a, v: OURS.decision_gain(b, a, v) - 1e-6
    ),
    "root weights without their covariance": lambda: replace(OURS, variance_removed=variance_of_the_diagonal),
    "answers without noise": lambda: replace(
        OURS, variance_removed=lambda b, p, r: OURS.variance_removed(b, replace(p, noise=p.noise * 1e-6), r)
    ),
    "envelope in 15 points": lambda: replace(OURS, envelope_gain=envelope_in_fifteen_points),
    "gain of the largest slope alone": lambda: replace(OURS, envelope_gain=gain_of_the_steepest),
    "the best, whatever the nats": lambda: replace(OURS, best_within=lambda s, p, n: OURS.best_within(s, p, np.inf)),
    "candidates that are not there counted": lambda: replace(
        OURS, best_within=lambda s, p, n: OURS.best_within(np.where(p, s, s.min()), np.ones_like(p), n)
    ),
    "answers one after another": lambda: replace(OURS, propagated=one_after_another),
    "readings taken for independent": lambda: replace(
        OURS, propagated=lambda m, c, s: OURS.propagated(m, np.diag(np.diag(c)), s)
    ),
    "outcomes that tell nothing": lambda: replace(
        OURS, hindsight=lambda s, o: Sight(np.repeat(s.belief, o.shape[1], axis=0))
    ),
    "hindsight that forgets what was shown": lambda: replace(
        OURS, hindsight=lambda s, o: OURS.hindsight(Sight(np.full(s.belief.shape, 1 / s.belief.shape[1])), o)
    ),
    "a pair that acts as if alone": lambda: replace(OURS, together=OURS.apart),
    "an agent that knows nothing": lambda: replace(OURS, apart=ignorant),
    "a person who never errs": lambda: replace(OURS, deferring=lambda m, s, b: OURS.deferring(m, s, None)),
    "deferring against acting alone": lambda: replace(
        OURS, deferring=lambda m, s, b: OURS.deferring(m, s, b) + max(m, 0.0) - m
    ),
    "an answer that changes nothing": lambda: replace(OURS, look_ahead=heard_and_not_heeded),
    "a choice left to who never errs": lambda: replace(OURS, look_ahead=taken_for_rational),
    "minutes for nothing": lambda: replace(OURS, look_ahead=lambda b, p, price: OURS.look_ahead(b, p, 0.0)),
    "erring twice as often": lambda: replace(OURS, deferring=lambda m, s, b: OURS.deferring(m, s, b / 2 if b else b)),
    "an attacker who picks at random": lambda: replace(OURS, debated=attacked_at_random),
    "the first way to argue alone": lambda: replace(OURS, debated=argued_in_one_way),
    "a judge who never errs": lambda: replace(OURS, debated=right_at_every_leaf),
    "an attacker who knows where the flaw is": lambda: replace(OURS, attacked=who_knows_the_flaw),
    "parts taken for independent": lambda: replace(OURS, attacked=product_of_parts),
    "accepted by the least part": lambda: replace(OURS, estimated=by_the_least_part),
    "accepted by what nobody knows": lambda: replace(OURS, estimated=by_the_truth),
    "off in sum, not at most": lambda: replace(OURS, estimated=off_in_sum),
    "raters who take the likeliest world for the case": lambda: replace(
        OURS, first_better=lambda s, r, p, b: OURS.first_better(most_probable_world(s), r, p, b)
    ),
    "rationality forgotten": lambda: replace(OURS, first_better=lambda s, r, p, b: OURS.first_better(s, r, p, 1.0)),
    "what is shown taken for the case": lambda: replace(OURS, rewards_from=shown_for_the_case),
    "second for first": lambda: replace(
        OURS, rewards_from=lambda s, p, f, b, sd: OURS.rewards_from(s, p[:, ::-1], f, b, sd)
    ),
    "kernel of beliefs, not of their contrasts": lambda: replace(OURS, left_open=kernel_of_the_belief),
    "the constant told as left open": lambda: replace(OURS, left_open=kernel_with_the_constant),
    "what raters said forgotten": lambda: replace(OURS, between=between_free_rewards),
    "what is left open not told": lambda: replace(OURS, between=between_as_fitted),
}
"""By name, what makes the methods with the bug."""
