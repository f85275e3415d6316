"""Every kind of feedback as the pages send it and are sent it, with places as shown."""

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher
from math import isfinite
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from rrm.core.annotation import BOTH_BAD, Lease
from rrm.core.errors import InputError
from rrm.core.values import (
    Answer,
    Comparison,
    Correction,
    Critique,
    Demonstration,
    Label,
    Passage,
    Ranking,
    Rating,
    Reject,
    Request,
)

DETAILS = frozenset({"both_bad", "diff", "source_spans"})
"""What is kept beside an answer because of what it says."""

MOST_LETTERS, MOST_SPANS, MOST_RANKED, MOST_REASON = 20_000, 100, 100, 2_000
_LONGEST_COMPARED = 4_000
"""Words of a correction that are compared one by one; a longer change is kept as one piece."""

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")

Text = Annotated[str, Field(max_length=MOST_LETTERS)]
Offset = Annotated[int, Field(ge=0, le=10_000_000)]


class Body(BaseModel):
    """A request body: exactly these fields, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ComparisonBody(Body):
    kind: Literal["comparison"]
    better: Annotated[int, Field(ge=0, le=1)] | None
    strength: Annotated[float, Field(ge=0, le=1)] | None = None
    both_bad: bool = False


class RankingBody(Body):
    kind: Literal["ranking"]
    best_first: Annotated[list[Annotated[int, Field(ge=0, lt=MOST_RANKED)]], Field(max_length=MOST_RANKED)]


class RatingBody(Body):
    kind: Literal["rating"]
    value: Annotated[int, Field(ge=1, le=1_000)]


class LabelBody(Body):
    kind: Literal["label"]
    good: bool


class CorrectionBody(Body):
    kind: Literal["correction"]
    text: Text


class DemonstrationBody(Body):
    kind: Literal["demonstration"]
    text: Text


class CritiqueBody(Body):
    """`spans` are [start, end] in characters of the output, `source_spans` [passage, start, end] of the passages."""

    kind: Literal["critique"]
    text: Text
    spans: Annotated[list[Annotated[list[Offset], Field(min_length=2, max_length=2)]], Field(max_length=MOST_SPANS)] = (
        Field(default_factory=list)
    )
    source_spans: Annotated[
        list[Annotated[list[Offset], Field(min_length=3, max_length=3)]], Field(max_length=MOST_SPANS)
    ] = Field(default_factory=list)


class RejectBody(Body):
    kind: Literal["reject"]
    reason: Annotated[str, Field(max_length=MOST_REASON)]


AnswerBody = Annotated[
    ComparisonBody
    | RankingBody
    | RatingBody
    | LabelBody
    | CorrectionBody
    | DemonstrationBody
    | CritiqueBody
    | RejectBody,
    Field(discriminator="kind"),
]


class Made(NamedTuple):
    """An answer, and what is kept beside it: spans on the source, the diff of a correction, both called bad."""

    answer: Answer
    detail: dict[str, Any]


def allowed_answers(kind: str) -> tuple[str, ...]:
    """Return the kinds of answers that a request of this kind takes: its own, or its rejection."""
    return ("reject", "label") if kind == "reject" else (kind, "reject")


def to_answer(
    body: AnswerBody,
    request: Request,
    texts: Sequence[str],
    points: int,
    count: Callable[[str], int] | None = None,
) -> Made:
    """Return what was sent as an answer to this request, whose outputs' `texts` were shown in this order.

    `points` is the length of the rating scale, `count` counts tokens. Raises InputError for an answer
    of another kind, places that were not shown, empty or unchanged texts and those beyond the budget.
    """
    if body.kind not in allowed_answers(request.kind):
        raise InputError(f"this item takes {' or '.join(allowed_answers(request.kind))}, not {body.kind}")
    match body:
        case ComparisonBody():
            return _comparison(body, texts)
        case RankingBody():
            return _ranking(body, texts)
        case RatingBody():
            return Made(Rating(body.value, points), {})
        case LabelBody():
            if request.kind == "reject" and not body.good:
                raise InputError("an item that is not fine as it is needs the reason: reject it")
            return Made(Label(body.good), {})
        case CorrectionBody():
            return _correction(body, request, texts, count)
        case DemonstrationBody():
            return Made(Demonstration(_written(body.text, request, count)), {})
        case CritiqueBody():
            return _critique(body, request, texts)
        case RejectBody():
            return Made(Reject(_filled(body.reason, "say in a few words why the item is rejected")), {})


def unchecked_answer(body: AnswerBody, points: int) -> Made:
    """Return what was sent as an answer to an item that is no longer at hand: too late, or sent twice."""
    match body:
        case ComparisonBody(both_bad=True):
            return Made(Reject(BOTH_BAD), {"both_bad": True})
        case ComparisonBody():
            return Made(Comparison(body.better, body.strength), {})
        case RankingBody():
            return Made(Ranking(tuple(body.best_first)), {})
        case RatingBody():
            return Made(Rating(body.value, points), {})
        case LabelBody():
            return Made(Label(body.good), {})
        case CorrectionBody():
            return Made(Correction(body.text), {})
        case DemonstrationBody():
            return Made(Demonstration(body.text), {})
        case CritiqueBody():
            return Made(Critique(body.text, _pairs(body.spans)), {"source_spans": body.source_spans})
        case RejectBody():
            return Made(Reject(body.reason), {})


def answer_json(answer: Answer, order: Sequence[int], detail: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return an answer on record, whose places are the request's, as a page sends it: places as shown in `order`."""
    place = {original: shown for shown, original in enumerate(order)}
    kept = detail or {}
    match answer:
        case Comparison():
            better = None if answer.better is None else place[answer.better]
            return {"kind": "comparison", "better": better, "strength": answer.strength, "both_bad": False}
        case Ranking():
            return {"kind": "ranking", "best_first": [place[each] for each in answer.best_first]}
        case Rating():
            return {"kind": "rating", "value": answer.value}
        case Label():
            return {"kind": "label", "good": answer.good}
        case Correction() | Demonstration():
            return {"kind": answer.kind, "text": answer.text}
        case Critique():
            spans = [list(each) for each in answer.spans]
            return {
                "kind": "critique",
                "text": answer.text,
                "spans": spans,
                "source_spans": list(kept.get("source_spans", ())),
            }
        case Reject():
            if kept.get("both_bad") or answer.reason == BOTH_BAD:
                return {"kind": "comparison", "better": None, "strength": None, "both_bad": True}
            return {"kind": "reject", "reason": answer.reason}


def summary(answer: Answer, order: Sequence[int]) -> str:
    """Return an answer in a few words, with letters for the outputs as they were shown."""
    place = {original: chr(ord("A") + shown) for shown, original in enumerate(order)}
    match answer:
        case Comparison():
            return "tie" if answer.better is None else f"{place[answer.better]} is better"
        case Ranking():
            return " > ".join(place[each] for each in answer.best_first)
        case Rating():
            return f"{answer.value:g} of {answer.points}"
        case Label():
            return "good" if answer.good else "bad"
        case Correction() | Demonstration() | Critique():
            return _beginning(answer.text)
        case Reject():
            return _beginning(answer.reason)


def lease_json(lease: Lease, now: float, wider: bool) -> dict[str, Any]:
    """Return what a page shows of a lease; which items are checks is not in it."""
    request = lease.request
    return {
        "id": lease.id,
        "item": request.id,
        "kind": request.kind,
        "practice": lease.purpose == "practice",
        "level": request.level,
        "instruction": request.view.instruction,
        "context": request.view.context,
        "passages": [_passage(each) for each in request.view.passages],
        "outputs": [{"text": text} for text in shown_texts(lease)],
        "max_tokens": request.view.max_tokens,
        "points": lease.points,
        "guideline": lease.guideline,
        "shown": lease.shown,
        "expires_in": max(0.0, lease.expires - now),
        "draft": dict(lease.draft) if lease.draft is not None else None,
        "wider": wider,
        "answers": list(allowed_answers(request.kind)),
    }


def shown_texts(lease: Lease) -> list[str]:
    """Return the outputs' texts in the order in which the page shows them."""
    return [lease.request.shown[place].text for place in lease.order]


def differences(old: str, new: str) -> list[dict[str, Any]]:
    """Return what was changed, word by word: difflib's opcodes but "equal", on characters, with the texts."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    head = _shared(before, after)
    tail = _shared(before[head:][::-1], after[head:][::-1])
    middle = before[head : len(before) - tail], after[head : len(after) - tail]
    start = len("".join(before[:head]))
    if max(map(len, middle)) > _LONGEST_COMPARED:
        return [_change("replace", "".join(middle[0]), "".join(middle[1]), start, start)]
    from_starts, to_starts = _starts(middle[0], start), _starts(middle[1], start)
    return [
        _change(tag, "".join(middle[0][i:j]), "".join(middle[1][k:m]), from_starts[i], to_starts[k])
        for tag, i, j, k, m in SequenceMatcher(None, *middle).get_opcodes()
        if tag != "equal"
    ]


def _comparison(body: ComparisonBody, texts: Sequence[str]) -> Made:
    if len(texts) != 2:
        raise InputError(f"a comparison is of two outputs, this item has {len(texts)}")
    if body.both_bad:
        if body.better is not None:
            raise InputError("an answer says either that one output is better or that both are bad")
        return Made(Reject(BOTH_BAD), {"both_bad": True})
    if body.better is None and body.strength is not None:
        raise InputError("a tie has no strength")
    return Made(Comparison(body.better, body.strength), {})


def _ranking(body: RankingBody, texts: Sequence[str]) -> Made:
    if sorted(body.best_first) != list(range(len(texts))):
        raise InputError(f"a ranking names each of the {len(texts)} outputs once, by places from 0 up")
    return Made(Ranking(tuple(body.best_first)), {})


def _correction(
    body: CorrectionBody, request: Request, texts: Sequence[str], count: Callable[[str], int] | None
) -> Made:
    text = _written(body.text, request, count)
    original = texts[0] if texts else ""
    if text == original:
        raise InputError("nothing was changed: call it good or edit it")
    return Made(Correction(text), {"diff": differences(original, text)})


def _written(text: str, request: Request, count: Callable[[str], int] | None) -> str:
    """Return a text that somebody wrote, if it is not empty and within the request's budget."""
    _filled(text, "the text is empty: write it first")
    most = request.view.max_tokens
    tokens = count(text) if count is not None else 0
    if tokens > most:
        raise InputError(f"the text has {tokens} tokens, and at most {most} are allowed: shorten it")
    return text


def _critique(body: CritiqueBody, request: Request, texts: Sequence[str]) -> Made:
    _filled(body.text, "the critique is empty: say in words what is wrong or right")
    if body.spans and len(texts) != 1:
        raise InputError("spans are marked where one output is shown, not several")
    for start, end in body.spans:
        _check_span(start, end, texts[0], "the output")
    passages = request.view.passages
    for passage, start, end in body.source_spans:
        if passage >= len(passages):
            raise InputError(f"there is no passage {passage}: this item has {len(passages)}, counted from 0")
        _check_span(start, end, passages[passage].text, f"passage {passage}")
    detail = {"source_spans": body.source_spans} if body.source_spans else {}
    return Made(Critique(body.text, _pairs(body.spans)), detail)


def _check_span(start: int, end: int, text: str, where: str) -> None:
    if not start < end <= len(text):
        raise InputError(f"no span runs from {start} to {end}: {where} has {len(text)} characters")


def _filled(text: str, otherwise: str) -> str:
    if not text.strip():
        raise InputError(otherwise)
    return text


def _pairs(spans: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((start, end) for start, end in spans)


def _passage(passage: Passage) -> dict[str, Any]:
    score = passage.score if passage.score is not None and isfinite(passage.score) else None
    return {"text": passage.text, "label": "source" if passage.output is None else "part", "score": score}


def _beginning(text: str, most: int = 80) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _shared(left: Sequence[str], right: Sequence[str]) -> int:
    """Return how many words two texts share at their beginning."""
    return next(
        (place for place, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right))
    )


def _starts(words: Sequence[str], start: int) -> list[int]:
    found = [start]
    for word in words:
        found.append(found[-1] + len(word))
    return found


def _change(tag: str, old: str, new: str, at_old: int, at_new: int) -> dict[str, Any]:
    return {"tag": tag, "from": [at_old, at_old + len(old)], "to": [at_new, at_new + len(new)], "old": old, "new": new}
