"""Policy gradient: KL-anchored RL with exact KL, on the weights of a policy that selects sentences."""

from world import NamesNobody, extractive, show

from rrm.policy.gradient import PolicyGradient

if __name__ == "__main__":
    show(PolicyGradient(), extractive(), NamesNobody())
