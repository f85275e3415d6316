"""Soft best of n: one of n candidates is kept, in proportion to exp(acceptance / beta)."""

from world import NamesNobody, extractive, show

from rrm.policy.best_of_n import BestOfN

if __name__ == "__main__":
    show(BestOfN(n=4, beta=0.2), extractive(), NamesNobody())
