"""Seconds and encoded tokens of `rrm demo`, in fresh folders and processes; then again on a finished folder."""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def demo(seed: int, out: Path) -> tuple[float, dict[str, object]]:
    """Run the demo in a process of its own; return wall seconds and its summary."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "rrm", "demo", "--seed", str(seed), "--out", str(out), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    times = 1 if "--quick" in sys.argv else 3
    first, again = [], []
    for number in range(times):
        folder = Path(tempfile.mkdtemp())
        seconds, summary = demo(900 + number, folder / "run")
        first.append(seconds)
        again.append(demo(900 + number, folder / "run")[0])
        accuracies = [round(level["accuracy"], 3) for level in summary["levels"]]  # type: ignore[index, attr-defined]
        print(f"seed {900 + number}: {seconds:5.1f} s, nodes {summary['nodes_per_level']}, accuracy {accuracies}")
        shutil.rmtree(folder)
    print(f"median of {times}: {statistics.median(first):.1f} s; on a finished folder {statistics.median(again):.1f} s")


if __name__ == "__main__":
    main()
