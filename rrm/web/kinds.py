"""Every kind of feedback as the pages send it and are sent it, with places as shown."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import Field

from rrm.core.annotation import BOTH_BAD
from rrm.core.errors import InputError
from rrm.core.kinds import inverse
from rrm.core.values import (
    KINDS,
    Answer,
    ClaimMarks,
    Comparison,
    Correction,
    Critique,
    Demonstration,
    Hindsight,
    Label,
    Ranking,
    Rating,
    Reject,
    Request,
)
from rrm.web.differences import differences
from rrm.web.fields import DETAILS, Body

MOST_LETTERS, MOST_SPANS, MOST_RANKED, MOST_REASON = 20_000, 100, 100, 2_000

Text = Annotated[str, Field(max_length=MOST_LETTERS)]
Offset = Annotated[int, Field(ge=0, le=10_000_000)]
Spans = Annotated[list[Annotated[list[Offset], Field(min_length=2, max_length=2)]], Field(max_length=MOST_SPANS)]
Places = Annotated[list[Annotated[int, Field(ge=0, lt=MOST_RANKED)]], Field(max_length=MOST_RANKED)]
SourceSpans = Annotated[list[Annotated[list[Offset], Field(min_length=3, max_length=3)]], Field(max_length=MOST_SPANS)]


class Made(NamedTuple):
    """An answer, and what is kept beside it: spans on the source, the diff of a correction, both called bad."""

    answer: Answer
    detail: dict[str, Any]


class Question(NamedTuple):
    """What an answer is checked against: a request, and its outputs' texts in the order shown.

    `points` is the length of the rating scale, `tokens` counts a text's. A `partial` ranking may name the best alone.
    """

    request: Request
    texts: Sequence[str]
    points: int
    tokens: Callable[[str], int] | None = None
    partial: bool = False


class AnswerForm(Body):
    """An answer of one kind as a page sends it, with places as shown."""

    kind: str

    @abstractmethod
    def made(self, points: int) -> Made:
        """Return the answer as it stands, on a scale of so many points."""

    def answer(self, question: Question) -> Made:
        """Return the answer to a question; raise InputError where it does not fit."""
        return self.made(question.points)


class ComparisonBody(AnswerForm):
    kind: Literal["comparison"]
    better: Annotated[int, Field(ge=0, le=1)] | None
    strength: Annotated[float, Field(ge=0, le=1)] | None = None
    both_bad: bool = False

    def made(self, points: int) -> Made:
        if self.both_bad:
            return Made(Reject(BOTH_BAD), {"both_bad": True})
        return Made(Comparison(self.better, self.strength), {})

    def answer(self, question: Question) -> Made:
        if len(question.texts) != 2:
            raise InputError(f"a comparison is of two outputs, this item has {len(question.texts)}")
        if self.both_bad and self.better is not None:
            raise InputError("an answer says either that one output is better or that both are bad")
        if self.better is None and self.strength is not None and not self.both_bad:
            raise InputError("a tie has no strength")
        return self.made(question.points)


class HindsightBody(ComparisonBody):
    kind: Literal["hindsight"]  # type: ignore[assignment]  # another value of what tells the forms apart

    def made(self, points: int) -> Made:
        made = super().made(points)
        if not isinstance(made.answer, Comparison):
            return made
        return made._replace(answer=Hindsight(made.answer.better, made.answer.strength))


class RankingBody(AnswerForm):
    """`tied` are level with the one that stands before them in `best_first`."""

    kind: Literal["ranking"]
    best_first: Places
    tied: Places = Field(default_factory=list)

    def made(self, points: int) -> Made:
        return Made(Ranking(tuple(self.best_first), tuple(self.tied)), {})

    def answer(self, question: Question) -> Made:
        if not question.partial and sorted(self.best_first) != list(range(len(question.texts))):
            raise InputError(f"a ranking names each of the {len(question.texts)} outputs once, by places from 0 up")
        return self.made(question.points)


class RatingBody(AnswerForm):
    kind: Literal["rating"]
    value: Annotated[int, Field(ge=1, le=1_000)]

    def made(self, points: int) -> Made:
        return Made(Rating(self.value, points), {})


class LabelBody(AnswerForm):
    kind: Literal["label"]
    good: bool

    def made(self, points: int) -> Made:
        return Made(Label(self.good), {})

    def answer(self, question: Question) -> Made:
        if question.request.kind == "reject" and not self.good:
            raise InputError("an item that is not fine as it is needs the reason: reject it")
        return self.made(question.points)


class CorrectionBody(AnswerForm):
    kind: Literal["correction"]
    text: Text

    def made(self, points: int) -> Made:
        return Made(Correction(self.text), {})

    def answer(self, question: Question) -> Made:
        original = question.texts[0] if question.texts else ""
        _check_written(self.text, question)
        if self.text == original:
            raise InputError("nothing was changed: call it good or edit it")
        return Made(Correction(self.text), {"diff": differences(original, self.text)})


class DemonstrationBody(AnswerForm):
    kind: Literal["demonstration"]
    text: Text

    def made(self, points: int) -> Made:
        return Made(Demonstration(self.text), {})

    def answer(self, question: Question) -> Made:
        _check_written(self.text, question)
        return self.made(question.points)


class CritiqueBody(AnswerForm):
    """`spans` are [start, end] in characters of the output, `source_spans` [passage, start, end] of the passages."""

    kind: Literal["critique"]
    text: Text
    spans: Spans = Field(default_factory=list)
    source_spans: SourceSpans = Field(default_factory=list)

    def made(self, points: int) -> Made:
        return Made(Critique(self.text, _pairs(self.spans)), _beside(self.source_spans))

    def answer(self, question: Question) -> Made:
        _check_filled(self.text, "the critique is empty: say in words what is wrong or right")
        if self.spans and len(question.texts) != 1:
            raise InputError("spans are marked where one output is shown, not several")
        for start, end in self.spans:
            _check_span(start, end, question.texts[0], "the output")
        _check_source_spans(self.source_spans, question)
        return self.made(question.points)


class ClaimsBody(AnswerForm):
    """`unsupported` and `wrong` are [start, end] in characters of the output; `missing` are quotes of passages.

    Where these stand say `source_spans`, [passage, start, end].
    """

    kind: Literal["claims"]
    unsupported: Spans = Field(default_factory=list)
    wrong: Spans = Field(default_factory=list)
    missing: Annotated[list[Text], Field(max_length=MOST_SPANS)] = Field(default_factory=list)
    source_spans: SourceSpans = Field(default_factory=list)

    def made(self, points: int) -> Made:
        marks = ClaimMarks(_pairs(self.unsupported), _pairs(self.wrong), tuple(self.missing))
        return Made(marks, _beside(self.source_spans))

    def answer(self, question: Question) -> Made:
        if len(question.texts) != 1:
            raise InputError(f"claims are marked in one output, this item has {len(question.texts)}")
        for start, end in (*self.unsupported, *self.wrong):
            _check_span(start, end, question.texts[0], "the output")
        for piece in self.missing:
            _check_filled(piece, "what is missing is empty: mark it in the source")
        _check_source_spans(self.source_spans, question)
        return self.made(question.points)


class RejectBody(AnswerForm):
    kind: Literal["reject"]
    reason: Annotated[str, Field(max_length=MOST_REASON)]

    def made(self, points: int) -> Made:
        return Made(Reject(self.reason), {})

    def answer(self, question: Question) -> Made:
        _check_filled(self.reason, "say in a few words why the item is rejected")
        return self.made(question.points)


AnswerBody = Annotated[
    ComparisonBody
    | HindsightBody
    | RankingBody
    | RatingBody
    | LabelBody
    | CorrectionBody
    | DemonstrationBody
    | CritiqueBody
    | ClaimsBody
    | RejectBody,
    Field(discriminator="kind"),
]

FORMS: dict[str, type[AnswerForm]] = {
    get_args(form.model_fields["kind"].annotation)[0]: form for form in get_args(get_args(AnswerBody)[0])
}
"""The form of every kind."""


def to_answer(body: AnswerForm, question: Question) -> Made:
    """Return what was sent as an answer to a question.

    Raises InputError for an answer of another kind, places that were not shown, empty or unchanged texts and
    those beyond the budget.
    """
    takes = KINDS[question.request.kind].takes()
    if body.kind not in takes:
        raise InputError(f"this item takes {' or '.join(takes)}, not {body.kind}")
    return body.answer(question)


def answer_json(answer: Answer, order: Sequence[int], detail: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return an answer on record, whose places are the request's, as a page sends it: places as shown in `order`."""
    kept = {name: value for name, value in (detail or {}).items() if name in DETAILS}
    if isinstance(answer, Reject) and (kept.get("both_bad") or answer.reason == BOTH_BAD):
        return ComparisonBody(kind="comparison", better=None, both_bad=True).model_dump()
    known = {**kept, **vars(answer.permuted(inverse(order))), "kind": answer.kind}
    return {
        name: _lists(known[name]) if name in known else field.get_default(call_default_factory=True)
        for name, field in FORMS[answer.kind].model_fields.items()
    }


def summary(answer: Answer, order: Sequence[int]) -> str:
    """Return an answer in a few words, with letters for the outputs as they were shown."""
    return answer.brief(lambda place: chr(ord("A") + order.index(place)))


def _check_written(text: str, question: Question) -> None:
    """Refuse a text that is empty or beyond the request's budget."""
    _check_filled(text, "the text is empty: write it first")
    most = question.request.view.max_tokens
    tokens = question.tokens(text) if question.tokens is not None else 0
    if tokens > most:
        raise InputError(f"the text has {tokens} tokens, and at most {most} are allowed: shorten it")


def _check_span(start: int, end: int, text: str, where: str) -> None:
    if not start < end <= len(text):
        raise InputError(f"no span runs from {start} to {end}: {where} has {len(text)} characters")


def _check_source_spans(spans: SourceSpans, question: Question) -> None:
    passages = question.request.view.passages
    for passage, start, end in spans:
        if passage >= len(passages):
            raise InputError(f"there is no passage {passage}: this item has {len(passages)}, counted from 0")
        _check_span(start, end, passages[passage].text, f"passage {passage}")


def _pairs(spans: Spans) -> tuple[tuple[int, int], ...]:
    return tuple((start, end) for start, end in spans)


def _beside(source_spans: SourceSpans) -> dict[str, Any]:
    return {"source_spans": source_spans} if source_spans else {}


def _check_filled(text: str, otherwise: str) -> None:
    if not text.strip():
        raise InputError(otherwise)


def _lists(value: Any) -> Any:
    return list(map(_lists, value)) if isinstance(value, list | tuple) else value
