"""Oracles: what methods must give where the truth is known exactly, and each a bug that it would see."""
