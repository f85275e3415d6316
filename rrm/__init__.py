"""rrm: recursive reward modelling and task decomposition."""

__version__ = "0.1.0"
