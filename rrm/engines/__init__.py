"""Who does the work of a run: `Local` in this process."""
