"""Run every benchmark and print its table; `--quick` takes smaller sizes."""

import subprocess
import sys

NAMES = (
    "imports",
    "demo",
    "driver",
    "scale",
    "fleet",
    "engines",
    "novel",
    "doors",
    "targets",
    "rounds",
    "people",
    "reader",
    "alignment",
    "carry",
    "context",
    "claims",
    "assisted",
    "rewards",
    "loop",
    "optimise_lm",
    "leases",
    "annotators",
    "tree",
    "decomposers",
    "optimising",
    "ask",
    "fuzz",
    "gpu",
)

for name in NAMES:
    print(f"\n== {name}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]], check=True)
