"""Proposing and improving outputs: given a node's material, candidate answers and where they came from."""
