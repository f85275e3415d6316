"""Where a request, feedback, a model or a score belongs: the round, what is judged, and the level."""

from dataclasses import dataclass
from typing import Literal, get_args

from rrm.core.errors import InputError

Subject = Literal["answer", "whole", "split", "claims"]
"""What is judged: an output of a node / an output beside its whole source (the flat baseline) / a decomposition / an
output claim by claim, by a model of all levels."""

SUBJECTS: tuple[Subject, ...] = get_args(Subject)


@dataclass(frozen=True, order=True)
class Place:
    """Round (from 0), subject and level (the height at which a node is judged; all roots share the highest).

    `str` gives its text, such as "0/answer/2", of which `parse` makes the same place. Raises InputError
    for a negative round or level.
    """

    round: int = 0
    subject: Subject = "answer"
    level: int = 0

    def __post_init__(self) -> None:
        if self.round < 0 or self.level < 0 or self.subject not in SUBJECTS:
            raise InputError(f"no place: round {self.round}, subject {self.subject!r}, level {self.level}")

    def __str__(self) -> str:
        return f"{self.round}/{self.subject}/{self.level}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Return the place of a text; raise InputError for one that names none."""
        round_, _, rest = text.partition("/")
        subject, _, level = rest.partition("/")
        if not (round_.isdecimal() and level.isdecimal() and subject in SUBJECTS):
            raise InputError(f"{text!r} names no place: write round/subject/level, such as 0/answer/2")
        return cls(int(round_), subject, int(level))

    @property
    def title(self) -> str:
        """In words; rounds count from 1 for people."""
        return self.words(several=True)

    def words(self, several: bool) -> str:
        """In words, without the round while there are not `several`."""
        about = {
            "answer": f"level {self.level}",
            "whole": "whole outputs",
            "split": f"splits at level {self.level}",
            "claims": "claims",
        }
        return f"round {self.round + 1}, {about[self.subject]}" if several else about[self.subject]


def node_level(level: int, top: int) -> str:
    """Return what a node of a level is called where the roots' is `top`: leaf, root, or its level's number between."""
    return "leaf" if level == 0 else level_name(level, top)


def level_name(level: int, top: int) -> str:
    """Return what a level is called where the roots' is `top`: leaves, root, or its number between."""
    return "leaves" if level == 0 else "root" if level == top else f"level {level}"
