"""Interpolation: a mixture of the anchor, an imitation of people, and what RL makes of it."""

from world import NamesNobody, extractive, show

from rrm.policy.interpolation import Interpolation
from rrm.policy.kl_anchored import KLAnchored

if __name__ == "__main__":
    show(Interpolation(KLAnchored()), extractive(), NamesNobody())
