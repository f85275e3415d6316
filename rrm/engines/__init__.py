"""Who does the work of a run: `Local` in this process; `Remote`, of which `Ray` and `Dask` are, a cluster's workers."""
