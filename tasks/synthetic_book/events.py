"""An event, as a sentence tells it."""

from typing import NamedTuple

from tasks.synthetic_book.actions import ACTIONS, REVEALED

Core = tuple[str, str, str, str]
"""What happened, without where and why: action, agent, other person, thing."""


class Event(NamedTuple):
    """One event as a sentence tells it; an empty string or None is what it does not say.

    `instead_of` names who was first believed to have done it, where the sentence sets that right.
    """

    action: str
    agent: str
    other: str = ""
    thing: str = ""
    place: str = ""
    cause: Core | None = None
    instead_of: str = ""

    @property
    def core(self) -> Core:
        return self[:4]

    @property
    def importance(self) -> int:
        """From 1, trivial, to 10, which turns the plot."""
        return REVEALED if self.instead_of else ACTIONS[self.action].importance

    def as_first_told(self) -> Core:
        """Return the core that this event corrects."""
        return (self.action, self.instead_of, self.other, self.thing)
