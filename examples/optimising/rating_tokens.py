"""Ratings in front: a language model learns outputs behind their ratings, and is asked for a high one."""

from world import IsBrief, language_model, show

from rrm.policy.rating_tokens import RatingTokens

if __name__ == "__main__":
    show(
        RatingTokens(quantiles=3, learning_rate=3e-3, steps=20),
        language_model(),
        IsBrief(),
        kl_budget=2.0,
    )
