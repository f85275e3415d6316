"""Who does the work of a run: `Local` in this process; `Remote`, of which `Ray` is one, a cluster's workers."""
