"""What a page shows of an item that is handed out."""

from math import isfinite
from typing import Any

from rrm.core.annotation import Lease
from rrm.core.kinds import KINDS
from rrm.core.values import Passage


def lease_json(lease: Lease, now: float, wider: bool) -> dict[str, Any]:
    """Return what a page shows of a lease; which items are checks is not in it, nor what would tell.

    So the place stays out, and the budget where no text is written: checks have places and budgets of their own.
    """
    request = lease.request
    judged = KINDS[request.kind].metrics  # by known answers, as those of checks are
    return {
        "id": lease.id,
        "item": request.id,
        "kind": request.kind,
        "practice": lease.purpose == "practice",
        "criterion": request.criterion,
        "instruction": request.view.instruction,
        "context": request.view.context,
        "passages": [_passage(each) for each in request.view.passages],
        "outputs": [{"text": text} for text in shown_texts(lease)],
        "max_tokens": 0 if judged else request.view.max_tokens,
        "points": lease.points,
        "guideline": lease.guideline,
        "shown": lease.shown,
        "expires_in": max(0.0, lease.expires - now),
        "draft": dict(lease.draft) if lease.draft is not None else None,
        "wider": wider,
        "answers": list(KINDS[request.kind].takes()),
    }


def shown_texts(lease: Lease) -> list[str]:
    """Return the outputs' texts in the order in which the page shows them."""
    return [lease.request.shown[place].text for place in lease.order]


def _passage(passage: Passage) -> dict[str, Any]:
    score = passage.score if passage.score is not None and isfinite(passage.score) else None
    part = passage.output is not None or score is not None  # a file's parts have scores alone
    return {"text": passage.text, "label": "part" if part else "source", "score": score}
