"""What a page shows of a sheet that is handed out: one view, and the questions about it."""

from collections.abc import Collection
from typing import Any

from rrm.core.annotation import Lease
from rrm.core.claims import claim_spans
from rrm.core.desk import ValueBoard
from rrm.core.kinds import KINDS, ClaimMarks
from rrm.core.values import Passage, Ranking, Request, Shown, View


def lease_json(lease: Lease, now: float, wider: bool, partial: Collection[str] = ()) -> dict[str, Any]:
    """Return what a page shows of a lease; which items are checks is not in it, nor what would tell.

    So the place stays out, and the budget where no text is written: checks have places and budgets of their own.
    `partial` are the items whose ranking may name the best outputs alone.
    """
    request = lease.first.request
    return {
        "id": lease.id,
        "item": request.id,
        "practice": lease.first.purpose == "practice",
        **view_json(request.view),
        "outputs": [
            output_json(each, any(asked.request.kind == ClaimMarks.kind for asked in lease.questions))
            for each in lease.outputs
        ],
        "questions": [
            {
                "item": each.request.id,
                **question_json(each.request, each.request.id in partial),
                "outputs": list(range(len(lease.outputs)))
                if len(lease.questions) == 1
                else [lease.outputs.index(shown) for shown in each.outputs],
                "shown": each.shown,
            }
            for each in lease.questions
        ],
        "points": lease.points,
        "guideline": lease.guideline,
        "expires_in": max(0.0, lease.expires - now),
        "draft": dict(lease.draft) if lease.draft is not None else None,
        "wider": wider,
    }


def view_json(view: View) -> dict[str, Any]:
    """Return what stands beside the outputs."""
    return {
        "instruction": view.instruction,
        "context": view.context,
        "passages": [_passage(each) for each in view.passages],
    }


def output_json(shown: Shown, claim_by_claim: bool) -> dict[str, Any]:
    """Return an output, claim by claim where its claims are asked about, with what is known of their support.

    Where it is shown, with what came of it and how often that is wrong, or with what a critic wrote.
    """
    if shown.consequence is not None:
        came = shown.consequence
        return {"text": shown.text, "came": {"text": came.text, "checked": came.checked, "wrong": came.wrong}}
    if not claim_by_claim:
        return {"text": shown.text}
    support = shown.support or None
    claims = [
        {"span": list(span), "support": support and support[at]} for at, span in enumerate(claim_spans(shown.text))
    ]
    critique = {"critique": shown.critique} if shown.critique else {}
    return {"text": shown.text, "claims": claims, **critique}


def is_partial(desk: ValueBoard, request: Request) -> bool:
    """Whether an answer to a request may be a ranking of the best outputs alone: a choice that is left to a person."""
    return request.kind == Ranking.kind and desk.is_left(request.id)


def question_json(request: Request, partial: bool) -> dict[str, Any]:
    """Return what is asked, which kinds of answers it takes, and whether a ranking may name only the best ones."""
    judged = KINDS[request.kind].metrics  # by known answers, as those of checks are
    return {
        "kind": request.kind,
        "criterion": request.criterion,
        "max_tokens": 0 if judged else request.view.max_tokens,
        "answers": list(KINDS[request.kind].takes()),
        "partial": partial,
    }


def _passage(passage: Passage) -> dict[str, Any]:
    label = "part" if passage.is_part else "source"
    return {"text": passage.text, "label": label, "score": passage.shown_score}
