"""Held-out accuracy beside its ceiling and its baselines, calibration, and gold against composed scores."""
