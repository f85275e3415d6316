"""KL-anchored RL by TRL: REINFORCE with a leave-one-out baseline on fresh outputs."""

from world import IsBrief, language_model, show

from rrm.policy.rloo import RLOO

if __name__ == "__main__":
    show(RLOO(beta=0.05, generations=8, learning_rate=5e-3, steps=30, batch=16), language_model(), IsBrief())
