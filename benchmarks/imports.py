"""Seconds that `import rrm` takes in a fresh interpreter, the interpreter's own start taken off."""

import statistics
import subprocess
import sys
import time


def seconds(code: str, times: int = 7) -> float:
    """Return the median seconds of running some code in a new interpreter."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def main() -> None:
    empty = seconds("pass")
    for code in ("import rrm", "import rrm; rrm.TaskGraph; rrm.Request", "import rrm.cli.main"):
        print(f"{code:45} {seconds(code) - empty:6.3f} s")


if __name__ == "__main__":
    main()
