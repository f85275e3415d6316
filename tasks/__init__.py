"""Plug-ins that bring tasks: where sources come from, and gold where a generator knows it."""
