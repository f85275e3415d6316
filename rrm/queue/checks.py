"""Known-answer items in the shape of the work among which they come, so that nothing but their texts could tell them.

A shape is what a page shows of a sheet besides the texts. A known answer to one question takes the shape of a sheet
of several by having the sheet's other questions asked about its own outputs, too, to which no answer is known.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from rrm.core.annotation import Item
from rrm.core.kinds import KINDS
from rrm.core.values import Request, Shown


class AskedOf(NamedTuple):
    """One question of a shape: `outputs` number those that it is about, as they first come on the sheet.

    `budget` is the tokens that a written answer may have, which its page tells; 0 where none is written.
    """

    kind: str
    criterion: str
    outputs: tuple[int, ...]
    budget: int


Shape = tuple[AskedOf, ...]


def shape_of(requests: Sequence[Request]) -> Shape:
    """Return the shape of a sheet of these questions, or of one that is alone."""
    numbers: dict[Shown, int] = {}
    return tuple(
        AskedOf(
            request.kind,
            request.criterion,
            tuple(numbers.setdefault(each, len(numbers)) for each in request.shown),
            0 if KINDS[request.kind].metrics else request.view.max_tokens,
        )
        for request in requests
    )


def in_shape(known: Item, shape: Shape, copy: int) -> list[Item] | None:
    """Return items with the known answer of one that together have a shape, as copies of this number.

    None where no question of the shape is the item's own, about all outputs of the shape.
    """
    request = known.request
    outputs = {number for asked in shape for number in asked.outputs}
    own = next((at for at, asked in enumerate(shape) if _asks(asked, request) and set(asked.outputs) == outputs), None)
    if own is None or len(set(request.shown)) < len(request.shown):
        return None
    budget = max(asked.budget for asked in shape)
    view = replace(request.view, max_tokens=budget) if budget else request.view
    shown = dict(zip(shape[own].outputs, request.shown, strict=True))
    asked = [
        replace(
            request,
            view=view,
            kind=each.kind,
            criterion=each.criterion,
            shown=tuple(shown[number] for number in each.outputs),
            copy=copy,
        )
        for each in shape
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
