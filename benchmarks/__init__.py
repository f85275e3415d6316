"""How fast and how good: each module prints a table; `python -m benchmarks` runs them all."""
