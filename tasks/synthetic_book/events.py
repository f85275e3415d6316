"""An event, as a sentence tells it."""

from typing import NamedTuple

from tasks.synthetic_book.actions import ACTIONS, REVEALED

Core = tuple[str, str, str, str]
"""What happened, without where and why: action, agent, other person, thing."""


class Event(NamedTuple):
    """One event as a sentence tells it; an empty string or None is what it does not say.

    `instead_of` names who was first believed to have done it, where the sentence sets that right. `denied` says that
    the sentence takes back what was told before: it never happened.
    """

    action: str
    agent: str
    other: str = ""
    thing: str = ""
    place: str = ""
    cause: Core | None = None
    instead_of: str = ""
    denied: bool = False

    @property
    def core(self) -> Core:
        return (f"never {self.action}", *self[1:4]) if self.denied else self[:4]

    @property
    def importance(self) -> int:
        """From 1, trivial, to 10, which turns the plot."""
        return REVEALED if self.takes_back else ACTIONS[self.action].importance

    @property
    def takes_back(self) -> Core | None:
        """The core that this event corrects or takes back, None where it does neither."""
        if self.denied:
            return self[:4]
        return (self.action, self.instead_of, self.other, self.thing) if self.instead_of else None
