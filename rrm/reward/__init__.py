"""Reward models: features, heads, ensembles, fitting, calibration, checkpoints; compose and blame."""
