"""Best of n: draw n candidates and keep the best; `beta` above 0 keeps softly one of the better ones."""

from world import NamesNobody, extractive, show

from rrm.policy.best_of_n import BestOfN

if __name__ == "__main__":
    show(BestOfN(n=4), extractive(), NamesNobody())
