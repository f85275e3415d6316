"""Which items are put to raters together: those about one view, which is then read once for all of them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from rrm.core.annotation import Item
from rrm.core.kinds import KINDS


def in_sheets(items: Sequence[Item], most: int) -> list[Item]:
    """Join items about one node and view into sheets of up to `most` questions each, as even as can be.

    Those that have a sheet keep it, and with `most` 1 all others stay alone. A sheet holds items for work, for one
    kind of check, or for practice, and no two copies of a question. All of its questions show what came of outputs, or
    support and critiques of them, or none does, for whoever has seen that cannot judge without. What shows several
    outputs comes first, then what is about one, output by output, and what is written last; else the order stays.
    """
    if most <= 1:
        return list(items)
    together: dict[tuple[object, ...], list[Item]] = defaultdict(list)
    for item in items:
        if not item.sheet:
            request = item.request
            about = (request.node, request.view.id, request.place, item.purpose, request.copy, request.aids)
            together[about].append(item)
    named: dict[str, Item] = {}
    for found in together.values():
        if len(found) == 1:
            continue
        ordered = _ordered(found)
        size = ceil(len(ordered) / ceil(len(ordered) / most))
        for start in range(0, len(ordered), size):
            some = ordered[start : start + size]
            named |= {item.request.id: replace(item, sheet=some[0].request.id) for item in some}
    whole = [named.get(item.request.id, item) for item in items]
    rank = {id_: place for place, id_ in enumerate(named)}  # those of a sheet in its order, where its first one stands
    return sorted(whole, key=lambda item: rank.get(item.request.id, -1)) if named else whole


def _ordered(items: Sequence[Item]) -> list[Item]:
    first: dict[str, int] = {}
    for item in items:
        for shown in item.request.shown:
            first.setdefault(shown.text, len(first))

    def key(item: Item) -> tuple[int, int]:
        request = item.request
        if not KINDS[request.kind].metrics or not request.shown:
            return 2, 0
        return (0, 0) if len(request.shown) > 1 else (1, first[request.shown[0].text])

    return sorted(items, key=key)
