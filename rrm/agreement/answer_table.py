"""Answers as columns: what agreement and raters' statistics need of them, read once from a stream of any length."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np

from rrm.core.annotation import Annotation, Purpose
from rrm.core.place import Place

NOTHING = -1


def meaning(annotation: Annotation) -> Hashable | None:
    """Return what an answer says, such that two raters agree if it is equal; None for a text (see `Answer.coding`)."""
    return annotation.answer.coding(annotation.detail)


def pick(annotation: Annotation) -> Hashable | None:
    """Return what the rater picked as the page showed it: the place of the better or first output, or the answer.

    None where the order is not known: of ratings made elsewhere, which bring no hash of what was shown.
    """
    chosen = annotation.answer.first
    if chosen is None:
        return meaning(annotation)
    return annotation.order.index(chosen) if annotation.shown and chosen in annotation.order else None


@dataclass(frozen=True, eq=False)
class AnswerTable:
    """Answers in columns [rows]; of practice, undone answers and adjudicators' decisions there are no rows.

    `person`, `item`, `node` and `group` are places in `persons`, `items`, `nodes` and `groups` (place, kind
    and criterion); `meaning` and `pick` are places in `meanings`, or NOTHING. `stands` says that an answer is live
    or was adjudicated: the adjudicator's decision takes its place in training, but it is still what this rater
    said, and without it only what nobody disputed would be left to agree on. `right` is NaN where no
    answer is known.
    """

    persons: tuple[str, ...]
    items: tuple[str, ...]
    nodes: tuple[str, ...]
    groups: tuple[tuple[Place, str, str], ...]
    meanings: tuple[Hashable, ...]
    person: np.ndarray
    item: np.ndarray
    node: np.ndarray
    group: np.ndarray
    meaning: np.ndarray
    pick: np.ndarray
    purpose: np.ndarray
    stands: np.ndarray
    right: np.ndarray
    seconds: np.ndarray
    at: np.ndarray

    @property
    def rows(self) -> int:
        return len(self.person)

    def of(self, *purposes: Purpose) -> np.ndarray:
        """Return which rows have one of these purposes, boolean [rows]."""
        return np.isin(self.purpose, [_PURPOSES.index(each) for each in purposes])


_PURPOSES: tuple[Purpose, ...] = ("work", "gold", "attention")


def tabulate_answers(answers: Iterable[Annotation] | AnswerTable) -> AnswerTable:
    """Read answers, in any order and each once, into columns; a table is returned as it is."""
    if isinstance(answers, AnswerTable):
        return answers
    persons: dict[str, int] = {}
    items: dict[str, int] = {}
    nodes: dict[str, int] = {}
    groups: dict[tuple[Place, str, str], int] = {}
    meanings: dict[Hashable, int] = {}
    places: list[tuple[int, ...]] = []
    numbers: list[tuple[float | None, ...]] = []
    for annotation in answers:
        if annotation.adjudication or annotation.state == "undone" or annotation.purpose == "practice":
            continue
        said, picked = meaning(annotation), pick(annotation)
        places.append(
            (
                persons.setdefault(annotation.person, len(persons)),
                items.setdefault(annotation.item, len(items)),
                nodes.setdefault(annotation.node, len(nodes)),
                groups.setdefault((annotation.place, annotation.kind, annotation.criterion), len(groups)),
                NOTHING if said is None else meanings.setdefault(said, len(meanings)),
                NOTHING if picked is None else meanings.setdefault(picked, len(meanings)),
                _PURPOSES.index(annotation.purpose),
                annotation.state != "requeued",
            )
        )
        numbers.append((annotation.right, annotation.seconds, annotation.at))
    person, item, node, group, says, picks, purpose, stands = np.array(places, dtype=np.int64).reshape(-1, 8).T
    right, seconds, at = np.array(numbers, dtype=np.float64).reshape(-1, 3).T
    return AnswerTable(
        persons=tuple(persons),
        items=tuple(items),
        nodes=tuple(nodes),
        groups=tuple(groups),
        meanings=tuple(meanings),
        person=person,
        item=item,
        node=node,
        group=group,
        meaning=says,
        pick=picks,
        purpose=purpose,
        stands=stands == 1,
        right=right,
        seconds=seconds,
        at=at,
    )
