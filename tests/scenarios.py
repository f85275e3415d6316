"""Problems that several tests share."""

from typing import Any

SMALL: dict[str, Any] = {
    "name": "small",
    "seed": 5,
    "train": {
        "plugin": "tasks.synthetic_book:SyntheticBooks",
        "arguments": {"count": 3, "words": 600, "seed": 31},
    },
    "target": {
        "plugin": "tasks.synthetic_book:SyntheticBooks",
        "arguments": {"count": 1, "words": 600, "seed": 32},
        "trees": 2,
    },
    "decomposer": {
        "plugin": "decomposers.chunks:Chunks",
        "arguments": {"leaf_tokens": 120, "fan_in": [4], "max_tokens": [48, 72]},
    },
    "policy": {"plugin": "rrm.policy.careless:Careless", "outputs": 3, "root_outputs": 4},
    "rater": {
        "plugin": "rrm.raters.simulated:SimulatedRaters",
        "arguments": {"quality": "tasks.synthetic_book:perceived_quality"},
    },
}
"""A run of three small training books and one target with two trees; a few seconds."""
