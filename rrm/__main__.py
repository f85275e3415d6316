"""`python -m rrm` is the command `rrm`."""

from rrm.cli.main import main

main()
