"""What to ask next: beliefs about rewards, what a question is worth to the decision at the root, assistance games."""

from rrm.ask.sampler import Value

__all__ = ["Value"]
