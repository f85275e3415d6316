"""Debate (row 21), ratings in hindsight (row 26), and raters who cannot see (row 27)."""

import numpy as np

from rrm.ask.debate import Argument, Claim
from rrm.ask.unseen import Sight, shown_after
from rrm.verify.oracles.methods import Methods
from rrm.verify.oracles.oracle import Oracle, equal, require

# ---- row 21: debate ----

_HOLDS, _FAILS = Claim(True), Claim(False)


def _tree(random: np.random.Generator, holds: bool, depth: int) -> Claim:
    """Return a claim with two ways to argue for it, one honest where it holds; the rest rest on something false."""
    if depth == 0:
        return Claim(holds)
    truths: list[list[bool]] = [
        [True, True] if holds and way == 0 else [bool(random.integers(2)), False] for way in range(2)
    ]
    for truth in truths:
        random.shuffle(truth)
    random.shuffle(truths)
    return Claim(holds, tuple(tuple(_tree(random, each, depth - 1) for each in truth) for truth in truths))


def _honest_wins(of: Methods) -> None:
    random = np.random.default_rng(21)
    for at in range(8):
        holds = at % 2 == 0
        equal(of.debated(_tree(random, holds, 3), 0.0), float(holds), 0.0, "how probably a claim stands in debate")
    dishonest = Claim(True, ((_HOLDS, _FAILS),))
    equal(of.debated(dishonest, 0.1), 0.1, 1e-15, "how probably what is true stands on a false argument")
    equal(of.debated(Claim(True, ((_HOLDS, _HOLDS),)), 0.1), 0.9, 1e-15, "with a judge who errs at the leaf alone")


def _obfuscated(of: Methods) -> None:
    flawed, sound = Argument.obfuscated(20), Argument(np.ones((1, 20)), np.ones(1))
    equal(of.attacked(flawed), 0.95, 1e-15, "how probably an obfuscated argument of 20 parts stands")
    require(not of.estimated(flawed, 40.0).accepted, "prover and estimator must not accept what is flawed for certain")
    equal(of.estimated(flawed, 40.0).cost, 0.0, 1e-15, "what it costs an estimator to reject that")
    require(of.estimated(sound, 41.0).accepted, "prover and estimator must accept what is sound at 41 of 2 x 20")
    require(not of.estimated(sound, 39.0).accepted, "a stake of 39 must be too low for 20 parts")
    for seed in range(4):
        random = np.random.default_rng([21, seed])
        argument = Argument(random.random((6, 3)) < 0.7, random.dirichlet(np.ones(6)))
        grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 101)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        off = 5.0 * np.abs(grid - argument.parts).max(axis=1)
        yes, no = grid.min(axis=1) >= 0.5 - 1e-9, (1 - grid).sum(axis=1) >= 0.5 - 1e-9
        least = min(1 + off[yes].min(), off[no].min())
        equal(of.estimated(argument, 5.0).cost, least, 0.05, "the least cost over all that an estimator can say")


# ---- row 27: raters who cannot see ----

_BELIEF = np.array([[0.9, 0.1, 0.0], [0.0, 0.0, 1.0]])
"""Shown a clean log or an error; done, hidden fault, plain fault are the case."""
_REWARDS = np.array([1.0, -1.0, 0.0])
_HONEST, _INFLATING = np.array([0.7, 0.0, 0.3]), np.array([0.5, 0.5, 0.0])


def _all_pairs(count: int) -> np.ndarray:
    return np.array([[first, second] for first in range(count) for second in range(first)])


def _by_expectation(of: Methods) -> None:
    found = of.first_better(Sight(_BELIEF), _REWARDS, np.array([[0, 1], [1, 0]]), 2.0)
    equal(found, [1 / (1 + np.exp(-1.6)), 1 / (1 + np.exp(1.6))], 1e-12, "who is preferred, by expected rewards")


def _inflation(of: Methods) -> None:
    pairs = np.array([[0, 1]])
    said = of.first_better(Sight(_BELIEF), _REWARDS, pairs, 1.0)
    naive = of.rewards_from(Sight(np.eye(2)), pairs, said, 1.0, 1e3)
    shown = np.array([[0.7, 0.3], [1.0, 0.0]]) @ naive
    require(shown[1] > shown[0], "who takes what is shown for the case must pick the policy that hides its faults")
    looked = Sight(np.vstack([_BELIEF, np.eye(3)[:2]]))
    pairs = _all_pairs(4)
    found = of.rewards_from(looked, pairs, of.first_better(looked, _REWARDS, pairs, 1.0), 1.0, 1e3)
    equal(found - found.mean(), _REWARDS, 1e-4, "rewards of worlds, told by raters some of whom looked")
    require(found @ _HONEST > found @ _INFLATING, "who knows what raters believe must pick the honest policy")


def _kernel(of: Methods) -> None:
    random = np.random.default_rng(27)
    for shown, worlds in ((2, 3), (3, 6), (5, 4)):
        sight = Sight(random.dirichlet(np.ones(worlds), size=shown))
        open_ = of.left_open(sight)
        require(len(open_) == max(0, worlds - shown), f"{shown} things shown leave {worlds} - {shown} directions open")
        rewards, pairs = random.normal(size=worlds), _all_pairs(shown)
        for direction in open_:
            equal(direction.sum(), 0.0, 1e-9, "the constant in a direction that is left open")
            moved = of.first_better(sight, rewards + 3 * direction, pairs, 1.0)
            equal(moved, of.first_better(sight, rewards, pairs, 1.0), 1e-9, "what raters say along such a direction")


def _bounds(of: Methods) -> None:
    """By hand: with done in [-1, 1], hidden in [-1, 1] and plain = .9 done + .1 hidden - .8."""
    least, most = of.between(Sight(_BELIEF), _REWARDS, _HONEST - _INFLATING, -1.0, 1.0)
    equal([least, most], [-0.47 * 4 / 3 - 0.24, 0.7], 1e-9, "by how much the honest policy may be better")
    every = Sight(np.vstack([_BELIEF, np.eye(3)]))
    told = of.between(every, _REWARDS, _HONEST - _INFLATING, -1.0, 1.0)
    equal(told, [0.7, 0.7], 1e-9, "the same where raters see everything")


# ---- row 26: ratings in hindsight ----


def _hindsight(of: Methods) -> None:
    """Who is shown the claim alone prefers the seller who promises too much; who is shown what came does not."""
    rewards, shown = np.array([1.0, 0.0, -1.0]), np.array([[1.0, 0], [0, 1], [1, 0]])  # has it, says no, only claims
    sight, came = Sight(np.array([[0.8, 0.0, 0.2], [0.0, 1.0, 0.0]])), np.array([[1.0, 0], [0, 1], [0, 1]])
    honest, inflating = np.array([0.5, 0.5, 0.0]), np.array([0.5, 0.0, 0.5])
    before = shown @ sight.expected(rewards)
    require(inflating @ before > honest @ before, "raters who see claims alone must prefer who promises too much")
    after = shown_after(shown, came) @ of.hindsight(sight, came).expected(rewards)
    equal(after, rewards, 1e-12, "what raters say in hindsight, where what comes tells everything")
    random = np.random.default_rng(26)
    sight, outcomes = Sight(random.dirichlet(np.ones(4), size=3)), random.dirichlet(np.ones(2), size=4)
    joint = sight.belief[:, :, None] * outcomes[None]
    told = np.stack([joint[o, :, z] / joint[o, :, z].sum() for o in range(3) for z in range(2)])
    equal(of.hindsight(sight, outcomes).belief, told, 1e-12, "what is believed once an outcome is shown, too")


SEEING = (
    Oracle(21, "debate by minimax: what holds stands where it is argued for honestly", _honest_wins),
    Oracle(21, "an obfuscated argument: an attacker fails, prover and estimator do not", _obfuscated),
    Oracle(26, "in hindsight raters do not prefer who promises too much", _hindsight),
    Oracle(27, "comparisons of what is shown go by expected rewards", _by_expectation),
    Oracle(27, "deceptive inflation: the naive learner picks it, who knows the belief does not", _inflation),
    Oracle(27, "what no comparison of what is shown can tell", _kernel),
    Oracle(27, "between which differences of policies raters leave it open", _bounds),
)
