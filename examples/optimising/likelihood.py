"""A language model fitted to what a quantilizer keeps of its outputs: filtered imitation, by forward KL."""

from world import IsBrief, language_model, show

from rrm.policy.likelihood import Likelihood
from rrm.policy.quantilizer import Quantilizer

if __name__ == "__main__":
    show(
        Likelihood(of=Quantilizer(q=0.25), learning_rate=3e-3, steps=20),
        language_model(),
        IsBrief(),
    )
