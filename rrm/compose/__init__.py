"""Scores joined along the task graph: composers, and which leaf is to blame."""
