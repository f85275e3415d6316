"""Proposing and improving outputs: given a node's prompt context, candidate answers and where they came from."""
