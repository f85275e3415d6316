"""Problems that several tests share."""

from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from rrm.core.calls import Call
from rrm.core.protocols import Entry

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

MEAN: dict[str, Any] = {"plugin": "rrm.compose.composers:Mean"}
"""A composer that fits no model of claims, which takes longer than all the rest of a run as small as these."""

OTHER_RATER: dict[str, Any] = {**SMALL["rater"], "arguments": {**SMALL["rater"]["arguments"], "seed": 1000}}
"""A rater with other errors, such as a judge of role select has to be."""


def assisted(model: type, **arguments: Any) -> dict[str, Any]:
    """A run file's table of a small run in which one chat model of a test writes and rates."""
    table = deepcopy(SMALL)
    table["train"]["arguments"] |= {"count": 2, "words": 500}
    table["target"] |= {"trees": 1}
    table["policy"] = {
        "plugin": "rrm.policy.language_model:LanguageModelPolicy",
        "outputs": 2,
        "root_outputs": 2,
    }
    table["rater"] = {
        "plugin": "rrm.raters.assistant:AssistantRater",
        "per_node": {"comparison": 1, "rating": 1},
    }
    named = f"{model.__module__}:{model.__name__}"
    return table | {
        "compose": MEAN,
        "assistants": {"model": {"model": named, "arguments": {"vary": 0.3, **arguments}}},
    }


class CallMemory:
    """A record of model calls that lasts as long as the test."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.replies: dict[str, bytes] = {}

    def get_many(self, table: str, keys: Sequence[str]) -> dict[str, bytes]:
        return {key: self.replies[key] for key in keys if key in self.replies}

    def enter(self, entries: Sequence[Entry]) -> None:
        self.entries += entries
        for entry in entries:
            self.replies.update(entry.replies)

    @property
    def calls(self) -> list[Call]:
        """The calls on record, in order."""
        return [call for entry in self.entries for call in entry.calls]

    @property
    def spent(self) -> Counter[str]:
        """What is booked, by kind."""
        booked: Counter[str] = Counter()
        for entry in self.entries:
            booked.update(entry.amounts)
        return booked
