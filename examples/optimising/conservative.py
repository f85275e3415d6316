"""Conservative: against the least that an ensemble's members say, so that what one of them over-scores draws nobody."""

from world import NamesNobody, extractive, show

from rrm.policy.conservative import Conservative
from rrm.policy.kl_anchored import KLAnchored

if __name__ == "__main__":
    show(Conservative(KLAnchored()), extractive(), NamesNobody())
