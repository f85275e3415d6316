"""Assistance games (row 18), and what a question is worth (row 19)."""

from itertools import permutations, product

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit, logsumexp, softmax
from scipy.stats import norm

from rrm.ask.assistance import Game
from rrm.ask.gaussian import Gaussian, choice_moments
from rrm.ask.lookahead import Prospects
from rrm.ask.value import Pool, Roots
from rrm.core.place import Place
from rrm.core.values import Comparison, Feedback, Rated, Request, Shown, View
from rrm.feedback.table import tabulate
from rrm.policy.finite import Finite
from rrm.verify.oracles.methods import Methods
from rrm.verify.oracles.oracle import Oracle, equal, require

# ---- row 18: assistance games ----

_PAPERCLIPS = Game(np.array([[0, 2.0], [1, 1], [2, 0]]), np.array([[0, 90.0], [50, 50], [90, 0]]))


def _pair(of: Methods) -> None:
    equal(of.together(_PAPERCLIPS).value, 69.27173913, 1e-8, "what the pair makes of paperclips and staples")
    middle = next(each for each in of.together(_PAPERCLIPS).person if each.line == 1)
    equal([middle.begin, middle.end], [41 / 92, 51 / 92], 1e-12, "where the person makes one of each")


def _demonstrator(of: Methods) -> None:
    equal(of.apart(_PAPERCLIPS).value, 69.0, 1e-12, "what a demonstrator and a Bayesian agent make of them")


def _off_switch(of: Methods) -> None:
    rational = [of.deferring(mean, 1.0, None) for mean in (0.0, 0.5, 1.0, -1.0)]
    equal(rational, [0.39894228, 0.19779656, 0.08331547, 0.08331547], 1e-8, "what deferring to a rational person gains")
    errs = [of.deferring(1.0, 1.0, beta) for beta in (1.0, 0.5)]
    equal(errs, [-0.12532195, -0.27206055], 1e-8, "what deferring to a person who errs loses")
    equal(of.deferring(2.0, 3.0, 1e4), of.deferring(2.0, 3.0, None), 2e-2, "who hardly errs")


def _looked_ahead(of: Methods) -> None:
    """Games of one act, as what can be left to a person, and as a question whose answer is the person's act."""
    points, mass = np.polynomial.hermite_e.hermegauss(151)
    acting, belief = 0.3 + points, Finite.weighted(np.log(mass))
    person = np.stack([expit(4 * acting), expit(-4 * acting)])
    worth = np.stack([acting, np.zeros(len(points))])
    left = Prospects(worth, np.empty((0, 2, len(points))), np.empty(0), person, 0.1)
    expected = 0.3 + of.deferring(0.3, 1.0, 4.0)
    plan = of.look_ahead(belief, left, 0.5)
    equal([plan.value, plan.minutes], [expected, 0.1], 1e-9, "what is left to a person who errs, and its minutes")
    require(of.look_ahead(belief, left, 5.0).act.kind == "deliver", "a person whose time is too dear must not be asked")
    theta = (np.arange(4600) + 0.5) / 4600  # the person's acts change at 1/2, and no other place
    rises = _PAPERCLIPS.agent[:, 1] - _PAPERCLIPS.agent[:, 0]
    with np.errstate(divide="ignore"):
        acts = np.log(np.stack([theta > 0.5, theta < 0.5]).astype(np.float64))
    asked = Prospects(_PAPERCLIPS.agent[:, :1] + rises[:, None] * theta, acts[None], np.zeros(1))
    plan = of.look_ahead(Finite.uniform(len(theta)), asked, 0.0)
    equal(plan.value, of.apart(_PAPERCLIPS).value - 1.5, 1e-8, "what an agent makes of a demonstrator's act")


# ---- row 19: the value of a question ----


def _finite(seed: int) -> tuple[Finite, np.ndarray, np.ndarray]:
    random = np.random.default_rng([19, seed])
    answers = np.log(random.dirichlet(np.ones(3), size=12).T)
    return Finite.weighted(random.normal(size=12)), answers, random.normal(size=(4, 12))


def _bald(of: Methods) -> None:
    """The mean KL of the posterior from the prior, by the very likelihood that models are fitted with."""
    random = np.random.default_rng(7)
    view = View("Which is better?", (), 10)
    request = Request("node", "source", Place(), "comparison", view, (Shown("a", "one"), Shown("b", "other")))
    rewards, prior = torch.tensor(random.normal(size=(16, 2))), Finite.weighted(random.normal(size=16))
    log_prior = torch.tensor(prior.log_probs)
    tables = [tabulate([Rated(request, Feedback(request.id, "rater", Comparison(at)))]) for at in (0, 1)]
    after = [Finite(of.posterior(rewards, table, log_prior=log_prior).numpy()) for table in tables]
    first = (rewards[:, 0] - rewards[:, 1]).numpy()
    answers = np.stack([-np.logaddexp(0, -first), -np.logaddexp(0, first)])
    likely = np.exp(answers) @ prior.probs
    expected = sum(p * each.kl(prior) for p, each in zip(likely, after, strict=True))
    equal(of.information(prior, answers), expected, 1e-12, "what a comparison tells, in nats")


def _enumerated(of: Methods) -> None:
    for seed in range(5):
        belief, answers, values = _finite(seed)
        joint = np.exp(answers) * belief.probs
        expected = (values @ joint.T).max(axis=0).sum() - (values @ belief.probs).max()
        equal(of.decision_gain(belief, answers, values), expected, 1e-12, "the gain of a decision by enumeration")
    nothing = np.log(np.full((2, 12), 0.5))
    require(of.decision_gain(belief, nothing, values) >= -1e-12, "a question that tells nothing must not lose anything")
    equal(of.decision_gain(belief, nothing, values), 0.0, 1e-12, "the gain of a question that tells nothing")


def _expected_again(of: Methods) -> None:
    """Whatever is asked, what is expected to be believed after the answer is what was believed before."""
    for seed in range(5):
        belief, answers, values = _finite(seed)
        likely, after = of.posteriors(belief, answers)
        equal(likely, np.exp(answers) @ belief.probs, 1e-12, "how probable each answer is")
        means = sum(p * (values @ each.probs) for p, each in zip(likely, after, strict=True))
        equal(means, values @ belief.probs, 1e-12, "the mean of the means after the answer")


def _best_kind(of: Methods) -> None:
    """Of three kinds of questions about the same outputs, each with its price, by all that may be and may be said."""
    worlds = np.array(list(product((-1.0, 0.2, 1.3), repeat=3)))
    firsts = np.array(list(permutations(range(3))))
    left = worlds[:, firsts[:, :2]]  # the first of an order is chosen of all, the second of those that are left
    chosen = np.log(softmax(worlds, axis=1))[:, firsts[:, 0]]
    ranking = chosen + left[..., 1] - np.logaddexp(left[..., 1], worlds[:, firsts[:, 2]])
    comparison, label = (
        np.stack([-np.logaddexp(0, -x), -np.logaddexp(0, x)]) for x in (worlds @ [1, -1, 0], worlds.T[0])
    )
    kinds, minutes = [comparison, label, ranking.T], np.array([0.8, 0.3, 1.6])
    random, best = np.random.default_rng(23), set()
    for values in (worlds.T, expit(3 * worlds.T), random.normal(size=(4, len(worlds)))):
        belief = Finite.weighted(random.normal(size=len(worlds)))
        summed = []
        for table in kinds:
            joint = [[v * p for v, p in zip(row, belief.probs, strict=True)] for row in values]
            said = [
                max(sum(j * np.exp(a) for j, a in zip(row, answer, strict=True)) for row in joint) for answer in table
            ]
            summed.append(sum(said) - max(map(sum, joint)))
        gains = np.array([of.decision_gain(belief, table, values) for table in kinds])
        equal(gains, summed, 1e-12, "the gain of each kind of question")
        rates = [gain / price for gain, price in zip(summed, minutes.tolist(), strict=True)]
        require(of.next_question(gains, minutes) == rates.index(max(rates)), "the best kind a minute must be asked")
        best.add((rates.index(max(rates)), summed.index(max(summed))))
    require(any(a != b for a, b in best), "a kind that gains most must not always gain most a minute")


def _kind_chosen(of: Methods) -> None:
    """A rater who may compare two outputs or write a third chose to compare: that, too, is a choice by rewards.

    Meta-choice, Jeon, Milli and Dragan (2020), arXiv:2002.04833, section 3: a kind means what may come of it.
    """
    worlds = np.array(list(product((-1.5, 0.0, 1.5), repeat=3)))
    rewards = torch.from_numpy(worlds)
    kinds = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    said = of.choice(rewards[:, :2])[:, 0].numpy()
    both = said + of.choice(rewards, kinds)[:, 0].numpy()
    a, b, c = worlds.T
    by_hand = expit(a - b) * expit((a + b) / 2 - c)
    known, ignored = (Finite.weighted(log).probs for log in (both, said))
    equal(known, by_hand / by_hand.sum(), 1e-9, "what is believed of whom who chose to compare")
    equal(ignored @ c, 0.0, 1e-12, "what is believed of the third output where the choice of the kind is ignored")
    require(known @ c < -0.5, f"who would rather compare than write thinks less of the third, got {known @ c:.3g}")


def _root_variance(of: Methods) -> None:
    belief = Gaussian(np.zeros(3), np.array([[1, 0, 0], [0, 1, 0.9], [0, 0.9, 1]]))
    pool = Pool(np.eye(3), np.full(3, 0.5), np.zeros(3, dtype=bool), np.ones(3))
    roots = Roots(np.array([[[0.0, 0, 0], [1, 0.8, 0.8]]]))
    found = of.variance_removed(belief, pool, roots)
    equal(found, [0.8, 1.84832, 1.84832], 1e-12, "the root's variance that each node removes")


def _lines(of: Methods) -> None:
    """Of two lines the gain is r f(-gap / r), also where the gap is seven deviations, which quadrature cannot see."""
    for gap in (0.0, 0.5, 3.0, 7.0):
        expected = 2.0 * (norm.pdf(gap / 2) - gap / 2 * norm.sf(gap / 2))
        equal(of.envelope_gain(np.array([gap, 0.0]), np.array([1.0, 3.0])), expected, 1e-15, "the gain of two lines")
    far = 1.0 * (norm.pdf(7) - 7 * norm.sf(7))
    found = float(of.envelope_gain(np.array([7.0, 0.0]), np.array([0.0, 1.0])))
    require(
        abs(found / far - 1) < 1e-6, f"the gain of a line seven deviations behind must be {far:.6g}, got {found:.6g}"
    )
    random = np.random.default_rng(11)
    a, b, z = random.normal(size=6), random.normal(size=6), np.linspace(-12, 12, 200_001)
    summed = ((a[:, None] + b[:, None] * z).max(axis=0) * norm.pdf(z)).sum() * (z[1] - z[0]) - a.max()
    equal(of.envelope_gain(a, b), summed, 1e-8, "the gain of six lines")


def _improved(of: Methods) -> None:
    """The best mean within so many nats is the least over l of (nats + log mean exp(l s)) / l (Donsker, Varadhan)."""
    for seed in range(4):
        random = np.random.default_rng([20, seed])
        scores, nats = random.uniform(size=7), float(random.uniform(0.05, 1.0))
        there = np.arange(7) != seed

        def dual(log: float, s: np.ndarray = scores[there], nats: float = nats) -> float:
            return float((nats + logsumexp(np.exp(log) * s) - np.log(len(s))) / np.exp(log))

        least = minimize_scalar(dual, bounds=(-5, 8), method="bounded", options={"xatol": 1e-10}).fun
        equal(of.best_within(scores, there, nats), least, 1e-8, "the best mean within so many nats")
        equal(of.best_within(scores, there, 50.0), scores[there].max(), 1e-9, "the best mean that nothing limits")


def _together(of: Methods) -> None:
    """Quantities by Bayes' rule; choices in both orders alike, and near their mean on a grid."""
    random = np.random.default_rng(22)
    factor = random.normal(size=(3, 3))
    mean, covariance, told, noise = random.normal(size=3), factor @ factor.T, random.normal(size=3), 0.7
    found = of.propagated(mean, covariance, lambda at, m, v: (1 / noise**2, float(told[at]) / noise**2))
    equal(found.precision, np.full(3, 1 / noise**2), 1e-9, "how precisely quantities tell")
    equal(found.pull, told / noise**2, 1e-9, "what quantities tell")
    first = np.array([True, False, True])

    def choices_of(order: list[int]) -> np.ndarray:
        def site_of(at: int, m: float, v: float) -> tuple[float, float]:
            step, left = choice_moments(m, v, bool(first[order[at]]))
            return 1 / left - 1 / v, (m + step) / left - m / v

        sites = of.propagated(mean[order], covariance[np.ix_(order, order)], site_of)
        precision, pull = (each[np.argsort(order)] for each in sites)
        return np.asarray(
            np.linalg.solve(np.linalg.inv(covariance) + np.diag(precision), np.linalg.solve(covariance, mean) + pull)
        )

    forward = choices_of([0, 1, 2])
    equal(choices_of([2, 1, 0]), forward, 1e-7, "what choices tell together, in another order")
    grid = np.linspace(-5, 5, 41)
    standard = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), axis=-1).reshape(-1, 3)
    points = mean + standard @ factor.T
    log = -0.5 * np.square(standard).sum(axis=1) - np.logaddexp(0, np.where(first, -points, points)).sum(axis=1)
    equal(forward, softmax(log) @ points, 5e-3, "the mean after choices, by a grid")


ASKING = (
    Oracle(18, "paperclips: the pair's value, and where one of each is made", _pair),
    Oracle(18, "paperclips: a demonstrator and a Bayesian agent", _demonstrator),
    Oracle(18, "off-switch: deferring to who is rational, and to who errs", _off_switch),
    Oracle(18, "looking an answer ahead: who errs, and a demonstrator's act", _looked_ahead),
    Oracle(19, "BALD is the mean KL of posterior from prior", _bald),
    Oracle(19, "EVOI by enumeration, never negative", _enumerated),
    Oracle(19, "the prior mean is the predictive mean of posterior means", _expected_again),
    Oracle(19, "the best kind a minute is that of enumeration", _best_kind),
    Oracle(19, "that a rater chose the kind is an answer, too", _kind_chosen),
    Oracle(19, "linear-Gaussian root: variance removed by node", _root_variance),
    Oracle(19, "EVOI of quantities: the upper envelope of lines", _lines),
    Oracle(19, "what improving within a KL budget would give, by the dual", _improved),
    Oracle(19, "answers taken in together: exact for quantities, in whatever order for choices", _together),
)
