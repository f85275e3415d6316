"""A whole recursive run on small generated books, whose true quality is known at every node."""

import sys
import tempfile

import rrm

SETTINGS = {
    "name": "small",
    "train": {
        "plugin": "tasks.synthetic_book:SyntheticBooks",
        "arguments": {"count": 4, "words": 1000, "seed": 10},
    },
    "target": {
        "plugin": "tasks.synthetic_book:SyntheticBooks",
        "arguments": {"count": 1, "words": 1000, "seed": 11},
        "trees": 2,
    },
    "decomposer": {
        "plugin": "decomposers.chunks:Chunks",
        "arguments": {"leaf_tokens": 120, "fan_in": [4], "max_tokens": [48, 72, 96]},
    },
    "policy": {"plugin": "rrm.policy.careless:Careless"},
    "rater": {
        "plugin": "rrm.raters.simulated:SimulatedRaters",
        "arguments": {"quality": "tasks.synthetic_book:perceived_quality"},
    },
}


def main(out: str | None = None) -> None:
    report = rrm.run(rrm.run_file(SETTINGS), out or tempfile.mkdtemp())
    for level in report.levels:
        print(f"level {level.level}: {level.n_train} ratings, held-out accuracy {level.accuracy}")
    target = report.targets[0]
    print(f"{target.title}: chosen {target.gold_of_chosen:.3f}, mean {target.gold_mean:.3f} (true quality)")


if __name__ == "__main__":
    main(*sys.argv[1:2])
