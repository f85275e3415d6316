"""Raters: simulated panels, recorded preferences and assistants that turn requests into feedback."""
