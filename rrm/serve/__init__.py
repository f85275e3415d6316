"""Reward scores over HTTP."""
