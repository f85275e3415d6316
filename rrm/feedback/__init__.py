"""Likelihoods: for each kind of feedback, how probable an answer is given the rewards."""
