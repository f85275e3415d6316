"""Committees: joint models trained apart, from their own draws of heads, order and sources; their members together."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rrm.core.errors import InputError
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.values import OVERALL, Group, Prediction
from rrm.files import durable, read_json
from rrm.reward.joint_model import JointModel, Progress
from rrm.reward.windows import Long
from rrm.reward.wrap import together

MEMBERS = "members.json"


@dataclass(frozen=True, eq=False)
class Committee:
    """Independently trained models, each in its own folder; implements `rrm.core.protocols.RewardModel`.

    They differ in all that training draws, not in their heads alone, so they disagree more where
    the data say little (Coste et al., 2023, arXiv:2310.02743); they cost as many passes as members.
    """

    models: tuple[JointModel, ...]

    @property
    def place(self) -> Place:
        return self.models[0].place

    @property
    def members(self) -> int:
        return sum(each.members for each in self.models)

    @property
    def anchored(self) -> bool:
        """Whether every member's acceptance is a probability that a rater accepts."""
        return all(each.anchored for each in self.models)

    @property
    def digest(self) -> str:
        """Names every member, in order."""
        return content_id("committee", [each.digest for each in self.models])

    @property
    def seen(self) -> tuple[str, ...]:
        """The sources that any member was fitted on."""
        return tuple(sorted({source for each in self.models for source in each.seen}))

    def rewards(self, groups: Sequence[Group], progress: Progress | None = None) -> list[np.ndarray]:
        """Return for each group the rewards by all members of all models, float64 [members, k].

        `progress` is told of the outputs that all models together have read.
        """
        found = [each.rewards(groups, self._part(at, progress)) for at, each in enumerate(self.models)]
        return [np.concatenate(parts) for parts in zip(*found, strict=True)]

    def _part(self, place: int, progress: Progress | None) -> Progress | None:
        """Return what tells, of one model's progress, that of all."""
        if progress is None:
            return None
        return lambda done, total: progress(place * total + done, len(self.models) * total)

    def predict(self, groups: Sequence[Group], progress: Progress | None = None) -> list[Prediction]:
        """Return for each group what all members say, in one pass of each model."""
        found = [each.predict(groups, self._part(at, progress)) for at, each in enumerate(self.models)]
        return [together(parts) for parts in zip(*found, strict=True)]

    def acceptance(self, groups: Sequence[Group]) -> list[np.ndarray]:
        """Return for each group the probabilities of acceptance by all members, float64 [members, k]."""
        return [each.acceptance[OVERALL] for each in self.predict(groups)]

    def fold(self, source: str) -> int | None:
        """Return -1 for a source that was fitted on, None for any other: nothing is held out within."""
        return -1 if source in self.seen else None

    def holds_out(self, source: str) -> bool:
        """Say whether a source is new to the model."""
        return source not in self.seen

    def reading_long(self, how: Long) -> "Committee":
        """Return the same committee that reads sources which are too long in another way."""
        return replace(self, models=tuple(each.reading_long(how) for each in self.models))

    def save(self, folder: str | Path) -> str:
        """Write every member to a folder of its own, and last how many there are; return the digest."""
        place = Path(folder)
        for member, model in enumerate(self.models):
            model.save(self.folder(place, member))
        self.found(place, len(self.models))
        return self.digest

    @staticmethod
    def folder(place: Path, member: int) -> Path:
        """Return where a member is kept."""
        return place / f"member-{member:02d}"

    @classmethod
    def found(cls, place: Path, count: int) -> None:
        """Write that the folder holds a committee of so many, once all of them are there."""
        durable(place / MEMBERS, json.dumps({"members": count}).encode())

    @classmethod
    def load(cls, folder: str | Path, device: str = "auto", dtype: str = "auto") -> "Committee":
        """Open all members; raise InputError if one is missing or damaged."""
        place = Path(folder)
        count = read_json(place / MEMBERS).get("members")
        if not isinstance(count, int) or count < 1:
            raise InputError(f"{place / MEMBERS} does not say how many members there are")
        return cls(tuple(JointModel.load(cls.folder(place, each), device, dtype) for each in range(count)))
