"""The command line: thin commands over `rrm.api`."""
