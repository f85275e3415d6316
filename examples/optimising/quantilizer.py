"""Quantilizer: as the anchor writes, among the best share q of what it writes."""

from world import NamesNobody, extractive, show

from rrm.policy.quantilizer import Quantilizer

if __name__ == "__main__":
    show(Quantilizer(q=0.5), extractive(), NamesNobody())
