"""Scores as the reward function of a TRL trainer: node, source, place and view travel as columns of its rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
from pydantic import TypeAdapter, ValidationError

from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.protocols import Seen
from rrm.core.roles import Scorer, Train, for_improving
from rrm.core.thoughts import without_thoughts
from rrm.core.values import Group, View
from rrm.policy.kl_anchored import REWARDS, Reward
from rrm.policy.local import chat_of
from rrm.policy.scoring import scores

Said = str | Sequence[Mapping[str, Any]]
"""A prompt or a completion as TRL passes it on: a text, or messages with a role and a content."""
_VIEW: TypeAdapter[View] = TypeAdapter(View)


class HasRows(Protocol):
    """A TRL trainer, as far as its rows go."""

    @property
    def train_dataset(self) -> Any: ...


class RewardFunction:
    """A scorer of role train as a reward function for `GRPOTrainer`, `RLOOTrainer` and their kin.

    The rows that the trainer learns from have, beside the `prompt`, the columns `node`, `source`, `place` and `view`,
    as `rows` makes them. The reward of a completion is the mean probability over the scorer's members that a rater
    accepts it, or with `reward = "log_acceptance"` its logarithm. Completions of one view are scored side by side.
    Thoughts are left out of them, and the white space around them, as a policy of rrm does.

    Raises RoleError for a scorer of another role. Called, it raises InputError for a reward that is not finite: TRL
    takes NaN for "not applicable", and infinity would reach every weight.
    """

    def __init__(self, scorer: Scorer[Train], seen: Sequence[Seen] = (), reward: Reward = "acceptance") -> None:
        if reward not in REWARDS:
            raise InputError(f"the reward is one of {', '.join(REWARDS)}, got {reward!r}")
        self._scorer, self._seen, self._reward = for_improving(scorer), tuple(seen), reward
        self.__name__ = f"rrm_{reward}"  # TRL names its metrics by it

    def __repr__(self) -> str:
        return f"<reward function {self.__name__} of {self._scorer.name}, {len(self._seen)} rows>"

    def rows(self, conversational: bool = True) -> list[dict[str, Any]]:
        """Return a row for each node: `prompt` (one message of the user, or a text), `node`, `source`, `place`, `view`.

        `datasets.Dataset.from_list` makes of them what a trainer takes. The prompt is what
        `rrm.policy.local:LocalPolicy` asks its model at the node.
        """
        return [_row(seen, conversational) for seen in self._seen]

    def require_rows(self, trainer: HasRows, given: int | None = None) -> None:
        """Raise InputError unless a trainer kept all rows: TRL drops those longer than its `max_length` silently.

        `given` is how many it was given (None: as many as `rows` makes).
        """
        require_rows(trainer, len(self._seen) if given is None else given)

    def __call__(
        self,
        prompts: Sequence[Said],
        completions: Sequence[Said],
        *,
        source: Sequence[str] | None = None,
        view: Sequence[str] | None = None,
        place: Sequence[str] | None = None,
        node: Sequence[str] | None = None,
        **others: Any,
    ) -> list[float]:
        """Return the reward of each completion; TRL passes the rows' columns by name, and others that are not used."""
        if source is None or view is None or place is None:
            raise InputError(
                "the rows have no columns source, place and view, by which completions are scored: make them by "
                "rows(), and keep their columns (remove_unused_columns=False)"
            )
        columns = list(zip(source, place, view, strict=True))
        if len(columns) != len(completions):
            raise InputError(f"{len(completions)} completions came with {len(columns)} rows of columns")
        texts = [_text(said) for said in completions]
        beside: dict[tuple[str, str, str], dict[str, int]] = {}
        for at, text in zip(columns, texts, strict=True):
            numbers = beside.setdefault(at, {})
            numbers.setdefault(text, len(numbers))
        groups = [_group(at, tuple(numbers)) for at, numbers in beside.items()]
        known = {at: self._rewards(got) for at, got in zip(beside, scores(self._scorer, groups), strict=True)}
        found = [float(known[at][beside[at][text]]) for at, text in zip(columns, texts, strict=True)]
        self._check(found, node or source)
        return found

    def _rewards(self, acceptance: np.ndarray) -> np.ndarray:
        return REWARDS[self._reward](acceptance)

    def _check(self, found: Sequence[float], nodes: Sequence[str]) -> None:
        wrong = [(value, at) for value, at in zip(found, nodes, strict=True) if not np.isfinite(value)]
        if wrong:
            remedy = ": take the reward acceptance, which is bounded" if self._reward == "log_acceptance" else ""
            raise InputError(
                f"the reward of a completion at {wrong[0][1]} is {wrong[0][0]}, and would reach every weight{remedy}"
            )


def require_rows(trainer: HasRows, given: int) -> None:
    """Raise InputError unless a trainer has as many rows as it was given."""
    kept = len(trainer.train_dataset)
    if kept != given:
        raise InputError(
            f"TRL kept {kept} of {given} rows, and dropped the others without a word: set max_length=None, or make the "
            "prompts shorter"
        )


def _row(seen: Seen, conversational: bool) -> dict[str, Any]:
    given = seen.prompt_context
    said = chat_of(given).user
    return {
        "prompt": [{"role": "user", "content": said}] if conversational else said,
        "node": given.node,
        "source": seen.source,
        "place": str(given.place),
        "view": json.dumps(asdict(given.view), ensure_ascii=False),  # as a table its missing fields would be filled in
    }


def _group(at: tuple[str, str, str], outputs: tuple[str, ...]) -> Group:
    source, place, view = at
    try:
        return Group(source, Place.parse(place), _VIEW.validate_json(view), outputs)
    except ValidationError as error:
        raise InputError(f"a view in the column `view` cannot be read, make rows by rows(): {view[:60]!r}") from error


def _text(said: Said) -> str:
    text = said if isinstance(said, str) else "".join(str(turn.get("content") or "") for turn in said)
    return without_thoughts(text, cut_off=False).text.strip()
