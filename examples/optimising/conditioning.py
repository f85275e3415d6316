"""Conditioning: what the anchor writes, given that its acceptance is at least so much."""

from world import NamesNobody, extractive, show

from rrm.policy.conditioning import Conditioning

if __name__ == "__main__":
    show(Conditioning(rating=0.55), extractive(), NamesNobody())
