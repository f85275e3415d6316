"""KL-anchored RL in closed form: anchor exp(reward / beta) / Z, with the beta that the budget allows."""

from world import NamesNobody, extractive, show

from rrm.policy.kl_anchored import KLAnchored

if __name__ == "__main__":
    show(KLAnchored(reward="log_acceptance"), extractive(), NamesNobody())
