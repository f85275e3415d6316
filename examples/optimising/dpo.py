"""Direct preference optimisation by TRL: of two outputs of a node the better is preferred."""

from world import IsBrief, language_model, show

from rrm.policy.dpo import DPO

if __name__ == "__main__":
    show(DPO(beta=0.1, learning_rate=3e-3, steps=20), language_model(), IsBrief())
