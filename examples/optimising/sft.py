"""Supervised fine-tuning by TRL on the best quarter of a language model's own outputs."""

from world import IsBrief, language_model, show

from rrm.policy.sft import SFT

if __name__ == "__main__":
    show(SFT(learning_rate=3e-3, steps=20), language_model(), IsBrief())
