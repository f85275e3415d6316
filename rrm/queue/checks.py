"""Known-answer items in the shape of the work among which they come, so that nothing but their texts could tell them.

A shape is what a page shows of a sheet besides the texts. A known answer to one question takes the shape of a sheet
of several by having the sheet's other questions asked about its own outputs, too, to which no answer is known.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from rrm.core.annotation import Item
from rrm.core.kinds import KINDS, ClaimMarks
from rrm.core.values import Request, Shown


class AskedOf(NamedTuple):
    """One question of a shape: `outputs` number those that it is about, as they first come on the sheet.

    `budget` is the tokens that a written answer may have, which its page tells; 0 where none is written.
    """

    kind: str
    criterion: str
    outputs: tuple[int, ...]
    budget: int


class Around(NamedTuple):
    """What else a page shows: of each passage whether it is a part and has a score, and whether there is a context.

    And whose items they are: what is for a `group` of raters may be in its language.
    """

    passages: tuple[tuple[bool, bool], ...]
    context: bool
    group: str


class Shape(NamedTuple):
    """What a page shows of a sheet.

    `assisted` says of each output, if claims are asked about, whether their support is known, and whether a critic
    wrote about it.
    """

    asked: tuple[AskedOf, ...]
    around: Around
    assisted: tuple[tuple[bool, bool], ...]


def shape_of(requests: Sequence[Request], group: str = "") -> Shape:
    """Return the shape of a sheet of these questions, or of one that is alone, for a group of raters."""
    numbers: dict[Shown, int] = {}
    asked = tuple(
        AskedOf(
            request.kind,
            request.criterion,
            tuple(numbers.setdefault(each, len(numbers)) for each in request.shown),
            0 if KINDS[request.kind].metrics else request.view.max_tokens,
        )
        for request in requests
    )
    return Shape(asked, _around(requests[0], group), _assisted(asked, numbers))


def in_shape(known: Item, shape: Shape, copy: int) -> list[Item] | None:
    """Return items with the known answer of one that together have a shape, as copies of this number.

    None where no question of the shape is the item's own, about all outputs of the shape, or where other things
    stand around it.
    """
    request = known.request
    if _around(request, known.group) != shape.around:
        return None
    outputs = {number for each in shape.asked for number in each.outputs}
    own = next(
        (at for at, each in enumerate(shape.asked) if _asks(each, request) and set(each.outputs) == outputs), None
    )
    if own is None or len(set(request.shown)) < len(request.shown):
        return None
    shown = dict(zip(shape.asked[own].outputs, request.shown, strict=True))
    if _assisted(shape.asked, [shown[number] for number in range(len(shown))]) != shape.assisted:
        return None
    budget = max(each.budget for each in shape.asked)
    view = replace(request.view, max_tokens=budget) if budget else request.view
    asked = [
        replace(
            request,
            view=view,
            kind=each.kind,
            criterion=each.criterion,
            shown=tuple(shown[number] for number in each.outputs),
            copy=copy,
        )
        for each in shape.asked
    ]
    return [
        replace(
            known,
            request=each,
            expected=known.expected if at == own else None,
            sheet=asked[0].id if len(asked) > 1 else "",
        )
        for at, each in enumerate(asked)
    ]


def _asks(asked: AskedOf, request: Request) -> bool:
    mine = (request.kind, request.criterion, len(request.shown))
    return (asked.kind, asked.criterion, len(asked.outputs)) == mine


def _around(request: Request, group: str) -> Around:
    passages = tuple((each.is_part, each.shown_score is not None) for each in request.view.passages)
    return Around(passages, bool(request.view.context), group)


def _assisted(asked: Sequence[AskedOf], outputs: Iterable[Shown]) -> tuple[tuple[bool, bool], ...]:
    claim_by_claim = any(each.kind == ClaimMarks.kind for each in asked)
    return tuple((bool(each.support), bool(each.critique)) for each in outputs) if claim_by_claim else ()
