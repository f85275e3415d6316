"""Assistance games from a file: what a person and an agent come to together, apart, and mistaken for each other."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from rrm.ask.assistance import Game, Mistaken, Solved, Unforeseen, apart, deferring, mistaken, together, unforeseen
from rrm.core.errors import InputError
from rrm.files.faults import fault_in, sentence
from rrm.files.texts import decoded

Payoffs = dict[str, tuple[float, float]]


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class Switch:
    """An agent that may leave it to a person whether it acts: its belief of what acting is worth, and who decides."""

    mean: float
    sd: float
    rationality: float | None = None


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class GameFile:
    """A game as its file says it: what acts are worth at theta = 0 and 1; `rationality` of one who errs.

    `taste` is how much more than theta says a person likes acts, which no agent thinks of; acts left out have none.
    """

    person: Annotated[Payoffs, Field(min_length=1)]
    agent: Annotated[Payoffs, Field(min_length=1)]
    name: str = "game"
    rationality: float = 1.0
    switch: Switch | None = None
    taste: dict[str, float] = field(default_factory=dict)


class Plan(NamedTuple):
    """What is done where: the act of the person from one theta to another, and the agent's reply to it."""

    act: str
    begin: float
    end: float
    reply: str


@dataclass(frozen=True)
class SolvedGame:
    """What comes of a game: values and plans, of both together and of a person who acts as if alone.

    `mistaken` are the values where the person errs with `rationality`; `deferring` is what an agent gains by leaving
    the switch to a person, and `unforeseen` what comes of a person of a taste, None where the file has none.
    """

    name: str
    together: float
    apart: float
    plan_together: tuple[Plan, ...]
    plan_apart: tuple[Plan, ...]
    rationality: float
    mistaken: Mistaken
    deferring: float | None = None
    unforeseen: Unforeseen | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the object that `rrm assist-game FILE --json` ends with."""
        plans = {"together": self.plan_together, "apart": self.plan_apart}
        return {
            "name": self.name,
            "together": self.together,
            "apart": self.apart,
            "plans": {name: [each._asdict() for each in plan] for name, plan in plans.items()},
            "rationality": self.rationality,
            "mistaken": self.mistaken._asdict(),
            "deferring": self.deferring,
            "unforeseen": self.unforeseen._asdict() if self.unforeseen else None,
        }


def read_game(path: Path) -> GameFile:
    """Read a game's TOML file; raise InputError, naming the key, for what is none."""
    try:
        table = tomllib.loads(decoded(path.read_bytes()))
    except OSError as error:
        raise InputError(f"the game {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"the game {path} is not TOML in UTF-8: {error}") from error
    try:
        return TypeAdapter(GameFile).validate_python(table)
    except ValidationError as error:
        raise InputError(f"{path}: {sentence(fault_in(error))}") from error


def solved(game: GameFile) -> SolvedGame:
    """Solve a game exactly; raise InputError for one that is too large, or numbers that are not finite or positive."""
    lines = Game(np.array(list(game.person.values())), np.array(list(game.agent.values())))
    both, alone = together(lines), apart(lines)
    names = list(game.person), list(game.agent)
    switch = game.switch
    return SolvedGame(
        name=game.name,
        together=both.value,
        apart=alone.value,
        plan_together=_plan(both, *names),
        plan_apart=_plan(alone, *names),
        rationality=game.rationality,
        mistaken=mistaken(lines, game.rationality),
        deferring=None if switch is None else deferring(switch.mean, switch.sd, switch.rationality),
        unforeseen=unforeseen(lines, game.rationality, _taste(game)) if game.taste else None,
    )


def _taste(game: GameFile) -> np.ndarray:
    """Return how much more than theta says each act is liked; raise InputError for one of an act that there is not."""
    if unknown := [act for act in game.taste if act not in game.person]:
        raise InputError(f"taste: the person has no act {unknown[0]!r:.60}; there are {', '.join(game.person)}")
    return np.array([game.taste.get(act, 0.0) for act in game.person])


def _plan(found: Solved, acts: list[str], replies: list[str]) -> tuple[Plan, ...]:
    return tuple(Plan(acts[at], begin, end, replies[found.replies[at]]) for at, begin, end in found.person)
