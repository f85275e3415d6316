"""A whole novel through a finished run's models: seconds by stage, peak memory; needs the folder of real data."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DATA = Path(os.environ.get("RRM_DATA", "../shared/data"))
LONGEST, SHORT = "ENG18911_Gissing.jsonl.gz", "ENG18652_Carroll.jsonl.gz"


def rrm(*arguments: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Run a command of rrm in a process of its own; return wall seconds and what it printed."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "rrm", *arguments], capture_output=True, text=True, check=True)
    return time.perf_counter() - began, done


def main() -> None:
    novel = DATA / "novels" / (SHORT if "--quick" in sys.argv else LONGEST)
    if not novel.exists():
        print(f"skipped: there is no {novel}; name the folder of real data with RRM_DATA")
        return
    folder = Path(tempfile.mkdtemp())
    seconds, done = rrm("decompose", str(novel), "--format", "json")
    print(f"decompose, whole process: {seconds:.1f} s, {len(json.loads(done.stdout)['nodes'])} nodes")
    people = Path(__file__).parents[1] / "examples" / "real_people.toml"
    changes = [f"target.arguments.paths=['{DATA / 'novels' / SHORT}']", "target.trees=1"]
    seconds, _ = rrm("run", str(people), *(f"--set={each}" for each in changes), "--out", str(folder / "people"))
    print(f"level models from recorded people, and a short novel: {seconds:.1f} s")
    out = str(folder / "applied")
    seconds, done = rrm("apply", str(folder / "people"), "--source", str(novel), "--out", out, "--json")
    summary = json.loads(done.stdout.splitlines()[-1])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(done.stderr.strip())
    print(
        f"apply: {seconds:.1f} s, nodes {summary['nodes_per_level']}, {summary['outputs']} outputs, peak {peak:.2f} GiB"
    )


if __name__ == "__main__":
    main()
