"""Filtered imitation: weights fitted to the best quarter of fresh outputs."""

from world import NamesNobody, extractive, show

from rrm.policy.imitation import Imitation
from rrm.policy.quantilizer import Quantilizer

if __name__ == "__main__":
    show(Imitation(of=Quantilizer(q=0.25)), extractive(), NamesNobody())
