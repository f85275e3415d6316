"""Who does the work of a run: `Here` in this process, `Remote` by workers that `Local`, `Ray` or `Dask` have."""
