"""What other processes have used, as Linux tells it."""

import os
from pathlib import Path


def processor_seconds(process: int) -> float:
    """Return the seconds of processor time that a process has used so far, its own and the system's for it."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
