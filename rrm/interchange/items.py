"""Items to be rated, and ratings made elsewhere, from files of rows; every fault names file, row and column.

An item's row has `instruction`, `kind` and `outputs` (texts or {text, support, consequence, critique}), and may have
`source` (a text) or `passages` (texts or {text, score}), `context`, `max_tokens`, `round`, `subject`, `level`,
`criterion`, `node`, `source_id`, and `purpose`, `wanted`, `value`, `expected` (an answer, places in the row's own
order), `explanation`, and the name of the `sheet` that it is on, together with
other rows about the same view.
In the place of what is shown it may have a `request`, as rrm's own records do.

An answer is an object, whose `kind` may be left out where it is the item's. Places count from 0, in the order of the
item's outputs.

    {"kind": "comparison", "better": 0, "strength": 0.5}       better 0, 1 or null, a tie; strength 0 to 1, or none
    {"kind": "comparison", "both_bad": true}                   neither will do
    {"kind": "hindsight", "better": 0}                         as a comparison, of outputs with a consequence each
    {"kind": "ranking", "best_first": [2, 0, 1], "tied": [1]}  tied: each that is level with the one before it
    {"kind": "rating", "value": 4, "points": 5}                value from 1 to points, which are 7 unless told
    {"kind": "label", "good": true}
    {"kind": "correction", "text": "A mill burned."}           so is a demonstration
    {"kind": "critique", "text": "Who?", "spans": [[0, 2]], "consistent": [0]}   characters; outputs it is for
    {"kind": "claims", "unsupported": [[0, 4]], "wrong": [], "missing": ["The donkey."]}   characters of the output
    {"kind": "reject", "reason": "It is cut off."}
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple, get_args

from rrm.core.annotation import BOTH_BAD, MOST_WANTED, Item, Purpose
from rrm.core.claims import claim_spans
from rrm.core.errors import InputError
from rrm.core.ids import content_id
from rrm.core.kinds import check_answer
from rrm.core.kinds.parts import brief, is_share, number
from rrm.core.kinds.parts import whole as exactly_whole
from rrm.core.thoughts import holds_thoughts
from rrm.core.values import (
    KINDS,
    Answer,
    ClaimMarks,
    Consequence,
    Feedback,
    Hindsight,
    Output,
    Passage,
    Rated,
    Reject,
    Request,
    Shown,
    View,
)
from rrm.interchange.annotations import Requests
from rrm.interchange.columns import criterion, name, place, text, truth, whole
from rrm.interchange.damage import READ_AS, damage, says_nothing, spaces_tell_apart
from rrm.interchange.export import record, request_of
from rrm.interchange.near import missing
from rrm.interchange.rows import Given, Row, located, name_of, present, read_rows

POLICY = "imported"
MAX_TOKENS = 128
_NAME = re.compile(r"[!-~]{2,80}")  # one word of ASCII: a file, an address, a collection
_HALF = re.compile(r"[\ud800-\udfff]")
_WHOLE_PARTS = ("better", "best_first", "tied", "points", "value", "spans", "unsupported", "wrong")
_AT_ONCE = 500  # rows whose requests are looked up together
_ITEM = ("purpose", "wanted", "value", "expected", "explanation", "sheet", "group")
_WHERE = ("round", "subject", "level", "criterion", "node", "source_id")
_ASKED = ("instruction", "source", "passages", "context", "outputs", "kind", "max_tokens", *_WHERE)


def items_from(file: Given, wanted: int = 1, purpose: Purpose | None = None) -> Iterator[Item]:
    """Yield the items of a file that `read_rows` reads, or of rows in memory.

    `wanted` is for rows that do not say; `purpose` is what all are for, whatever the rows say.
    """
    for line, row in read_rows(file):
        try:
            known = present(row)
            _check_letters(known)
            yield _item(known if purpose is None else {**known, "purpose": purpose}, wanted)
        except InputError as error:
            raise InputError(located(f"{name_of(file)}, row {line}", error)) from error


def item_notes(items: Iterable[Item]) -> list[str]:
    """Return what is to be known of a file's items before they are laid before raters, one sentence each."""
    items = list(items)
    asked = Counter(item.request.id for item in items)
    twice = sum(count - 1 for count in asked.values())
    notes = [f"rows that ask what another row asks: {twice:,}; together they are one item each"] if twice else []
    turned = len(asked) - len({_question(item.request) for item in items})
    if turned:
        notes.append(
            f"rows that ask what another row asks, with the outputs in another order: {turned:,}; an item each"
        )
    thinking = sum(any(holds_thoughts(each.text) for each in item.request.shown) for item in items)
    if thinking:
        notes.append(
            f"rows whose outputs hold thoughts, before </think> or a mark like it: {thinking:,}; raters are shown them"
            " as they stand: take them out if they are no part of what is judged"
        )
    return [*notes, *_on_texts(items)]


def _question(request: Request) -> object:
    """Return what questions about the same outputs have in common, in whatever order these stand."""
    outputs = frozenset(each.text for each in request.shown)
    return request.kind, request.view.id, request.place, request.criterion, request.copy, outputs


def _on_texts(items: Sequence[Item]) -> Iterator[str]:
    """Say of the texts that raters are shown what shows that they are none, or were damaged on their way."""
    names = [item.request.view.text for item in items if _NAME.fullmatch(item.request.view.text)]
    if names:
        yield (
            f"rows whose source is a name and no text, such as {brief(names[0])}: {len(names):,}; raters are shown it:"
            " give the text itself"
        )
    nothings = sum(any(says_nothing(each.text) for each in item.request.shown) for item in items)
    if nothings:
        yield f'rows whose outputs say "nan", "[deleted]", "2." or the like: {nothings:,}; raters are shown them'
    if spaced := sum(spaces_tell_apart([each.text for each in item.request.shown]) for item in items):
        yield f"rows whose outputs white space alone tells apart: {spaced:,}; raters are shown both"
    counts, examples = Counter[str](), dict[str, str]()
    for item in items:
        shown = (item.request.view.text, *(each.text for each in item.request.shown))
        for kind, example in dict(damage(shown)).items():
            counts[kind] += 1
            examples.setdefault(kind, example)
    for kind, count in counts.items():
        yield READ_AS[kind].format(brief(examples[kind]), _rows(count))


def items_read(items: Sequence[Item]) -> str:
    """Return what a file's rows were read as, in one line."""
    kinds = _counted(item.request.kind for item in items)
    return f"read {_rows(len(items))} as items: {kinds}; for {_counted(item.purpose for item in items)}"


class RatingsRead(NamedTuple):
    """The ratings of a file, what its rows were read as in one line, and notes on them, one sentence each."""

    rated: list[Rated]
    read: str
    notes: list[str]


def read_ratings(file: Given, requests: Requests) -> RatingsRead:
    """Return the ratings of a file as `ratings_from` reads them, with what is to be known of them."""
    each_row = list(_each_rated(file, requests))
    rated = [one for row in each_row for one in row]
    over = sum(not row for row in each_row)
    notes = [f"rows passed over: {over:,}, of answers that do not count or are to known answers"] if over else []
    notes += _on_raters(rated)
    kinds = _counted(one.feedback.answer.kind for one in rated) or "none"
    return RatingsRead(rated, f"read {_rows(len(each_row))} as ratings: {kinds}", notes)


def _on_raters(rated: Sequence[Rated]) -> Iterator[str]:
    """Say which raters may be one, and how many ratings are by a rater who has rated the same item before."""
    first: dict[tuple[str, str], Answer] = {}
    again = [
        first.setdefault((one.feedback.request, one.feedback.rater), one.feedback.answer) == one.feedback.answer
        for one in rated
    ]
    alike: dict[str, list[str]] = {}
    for rater in dict.fromkeys(one.feedback.rater for one in rated):
        alike.setdefault(" ".join(rater.casefold().split()), []).append(rater)
    if several := next((raters for raters in alike.values() if len(raters) > 1), None):
        one, other = map(brief, several[:2])
        yield (
            f"raters whom capitals or white space alone tell apart, such as {one} and {other}: read as two; spell them"
            " alike"
        )
    repeated, others = len(rated) - len(first), again.count(False)
    if repeated:
        unlike = f", {others:,} of them another answer" if others else ""
        yield f"ratings of an item that its rater has rated before: {repeated:,}{unlike}; the first is taken"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _counted(names: Iterable[str]) -> str:
    counts = sorted(Counter(names).items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{name} {count:,}" for name, count in counts)


def ratings_from(file: Given, requests: Requests) -> Iterator[Rated]:
    """Yield the ratings of a file that `read_rows` reads: rrm's own records, or {item, rater, answer} rows.

    The latter may have `seconds` and `confidence`, and `requests` looks their items up. Exported
    answers (`annotations.rows`) are such rows: those that do not count, by their columns `state` and
    `purpose`, are passed over. An answer to a comparison whose `both_bad` is true becomes a Reject.
    """
    for each_row in _each_rated(file, requests):
        yield from each_row


def _each_rated(file: Given, requests: Requests) -> Iterator[list[Rated]]:
    """Yield what each row of ratings says: nothing where its answer is passed over."""
    numbered = read_rows(file)
    while some := list(islice(numbered, _AT_ONCE)):
        simple = [row["item"] for _, row in some if isinstance(row.get("item"), str) and "request" not in row]
        known = requests(list(dict.fromkeys(simple))) if simple else {}
        for line, row in some:
            try:
                row = present(row)
                _check_letters(row)
                yield _rated(row, known)
            except InputError as error:
                raise InputError(located(f"{name_of(file)}, row {line}", error)) from error


def read_answer(told: Any, request: Request) -> Answer:
    """Return the answer to a request that a JSON object tells; raise InputError for one that does not fit it.

    The object may be JSON text, as exports to Parquet have it. Its kind is the request's if it names none.
    """
    if isinstance(told, str):
        told = _from_json(told)
    if not isinstance(told, Mapping):
        raise InputError(f"an answer must be an object with its kind, got {brief(told)}")
    known = {**told}
    kind = known.pop("kind", request.kind)
    if kind not in KINDS:
        raise InputError(f"an answer's kind is one of {', '.join(KINDS)}, got {brief(kind)}")
    known.pop("source_spans", None)  # stand in the detail of an answer on record, and in no answer itself
    if known.pop("both_bad", False) is True:
        return Reject(BOTH_BAD)
    return _checked(KINDS[kind].read({part: _usual(part, value) for part, value in known.items()}), request)


def _usual(part: str, value: Any) -> Any:
    """Return a part of an answer with whole numbers and truth values in the place of floats and of 1 and 0."""
    if part == "good" and (good := truth(value)) is not None:
        return good
    return _wholes(value) if part in _WHOLE_PARTS else value


def _wholes(value: Any) -> Any:
    if isinstance(value, list):
        return [_wholes(each) for each in value]
    number = whole(value)
    return value if number is None else number


# ---- one row ----


def _item(row: Row, wanted: int) -> Item:
    if "request" in row:
        request = _recorded(row["request"])
    else:
        if unknown := set(row) - {*_ASKED, *_ITEM}:
            raise InputError(f"there is no column {sorted(unknown)[0]!r} in an item's row: rename or remove it")
        request = _asked(row)
    low, high = KINDS[request.kind].shows
    if not low <= len(request.shown) <= high:
        several = f"{low} outputs" if low == high else f"{low} to {high} outputs"
        raise InputError(f"column 'outputs': a {request.kind} shows {several}, got {len(request.shown)}")
    _check_apart(request)
    _check_consequences(request)
    _check_critiques(request)
    purpose = _choice(row, "purpose", get_args(Purpose), "work")
    return Item(
        request,
        purpose,  # type: ignore[arg-type]  # one of its values, as was checked
        _count(row, "wanted", wanted, 1, MOST_WANTED),
        _finite(row, "value"),
        _expected(row, request, purpose),
        str(_text(row, "explanation")),
        str(_text(row, "sheet")),
        str(_text(row, "group")),
    )


def _asked(row: Row) -> Request:
    """Return the question that the row's own columns put."""
    kind = _choice(row, "kind", tuple(KINDS), None)
    passages = _passages(row)
    tokens = _count(row, "max_tokens", MAX_TOKENS, 1, 10**9)
    view = _same_view(View(text(row, "instruction"), passages, tokens, _text(row, "context")))
    source = name(row, "source_id") if "source_id" in row else content_id("source", view.text or view.instruction)
    where = place(row)
    node = name(row, "node") if "node" in row else content_id("node", POLICY, source, where.level, view.id)
    shown = tuple(Shown(Output(node, each.text, POLICY, 0).id, *each) for each in _outputs(row))
    return Request(node, source, where, kind, view, shown, criterion=criterion(row))


def _recorded(told: Any) -> Request:
    try:
        request = request_of(told)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"column 'request' is none of rrm's records ({type(error).__name__}: {error})") from error
    texts = (
        request.node,
        request.source,
        request.guideline,
        request.criterion,
        request.view.instruction,
        request.view.context,
    )
    shown = [part for each in request.shown for part in (each.output, each.text)]
    read = [passage.text for passage in request.view.passages]
    numbers = (request.copy, request.view.max_tokens)
    right = all(isinstance(each, str) for each in (*texts, *shown, *read))
    if not (right and all(exactly_whole(each) is not None and each >= 0 for each in numbers)):
        raise InputError("column 'request' is none of rrm's records: a text or a whole number in it is neither")
    return request


def _expected(row: Row, request: Request, purpose: str) -> Answer | None:
    if row.get("expected") is None:
        checked = purpose in ("gold", "attention") or (purpose == "practice" and KINDS[request.kind].metrics)
        if checked and "sheet" not in row:  # on a sheet the others say who is right
            raise InputError(f"column 'expected' is missing: an item for {purpose} needs the answer that is right")
        return None
    if purpose == "work":
        raise InputError("column 'expected' is for gold, attention and practice items: set purpose, or remove it")
    if not KINDS[request.kind].metrics and purpose != "practice":
        raise InputError(f"column 'kind': no answer to a {request.kind} is right or wrong, so it is none for {purpose}")
    try:
        return read_answer(row["expected"], request)
    except InputError as error:
        raise InputError(f"column 'expected': {error}") from error


def _rated(row: Row, known: Mapping[str, Request]) -> list[Rated]:
    if "request" in row:
        rated = record(row)
        _checked(rated.feedback.answer, rated.request)
        return [rated]
    if row.get("state", "live") != "live" or row.get("purpose", "work") != "work":
        return []
    item, rater = text(row, "item"), name(row, "rater")
    if item not in known:
        raise InputError(f"column 'item': no item {item!r:.60} is on record")
    if "answer" not in row:
        raise InputError(missing("answer", row))
    request = known[item]
    try:
        answer = read_answer(row["answer"], request)
    except InputError as error:
        raise InputError(f"column 'answer': {error}") from error
    return [Rated(request, Feedback(item, rater, answer, _seconds(row), _confidence(row), request.criterion))]


# ---- answers ----


def _from_json(told: str) -> Any:
    try:
        return json.loads(told)
    except (ValueError, RecursionError) as error:
        raise InputError(f"an answer must be an object with its kind, got the text {brief(told)}") from error


def _checked(answer: Answer, request: Request) -> Answer:
    """Return the answer; refuse one of another kind, or that names what the request does not show."""
    check_answer(answer, request.kind, [each.text for each in request.shown])
    return answer


# ---- one column ----


def _check_letters(told: Any, column: str = "") -> None:
    """Refuse, by its column, a text that no record can hold: with half a character, or with a null character."""
    if isinstance(told, str):
        if not told.isascii() and (half := _HALF.search(told)):
            raise InputError(
                f"column {column!r} holds half a character ({half[0]!a} at letter {half.start() + 1}): mend the text"
                " where it was cut"
            )
        if "\0" in told:
            raise InputError(
                f"column {column!r} holds a null character (at letter {told.index(chr(0)) + 1}): remove it"
            )
    elif isinstance(told, Mapping):
        for name_, value in told.items():
            _check_letters(value, f"{column}.{name_}" if column else str(name_))
    elif isinstance(told, list):
        for place_, value in enumerate(told):
            _check_letters(value, f"{column}[{place_}]")


def _passages(row: Row) -> tuple[Passage, ...]:
    if "passages" not in row:
        return (Passage(text(row, "source")),) if "source" in row else ()
    if "source" in row:
        raise InputError("columns 'source' and 'passages' are both there: keep one")
    if not isinstance(row["passages"], list):
        raise InputError(f"column 'passages' must be a list, got {brief(row['passages'])}")
    return tuple(_passage(each, f"passages[{place}]") for place, each in enumerate(row["passages"]))


def _passage(told: Any, column: str) -> Passage:
    if not isinstance(told, Mapping):
        return Passage(text({column: told}, column))
    if set(told) - {"text", "score", "node", "output"}:
        raise InputError(f"column {column!r} has text, score, node and output, got {', '.join(told)}")
    score = told.get("score")
    if score is not None and ((known := number(score)) is None or not 0 <= known <= 1):
        raise InputError(f"column {column!r}: a score is a probability from 0 to 1, got {brief(score)}")
    node, output = (None if told.get(part) is None else name(told, part) for part in ("node", "output"))
    return Passage(text({column: told.get("text")}, column), node, output, score)


class _Told(NamedTuple):
    """An output as a row tells it."""

    text: str
    support: tuple[float, ...] = ()
    consequence: Consequence | None = None
    critique: str = ""


def _outputs(row: Row) -> list[_Told]:
    if not isinstance(row.get("outputs", []), list):
        raise InputError(f"column 'outputs' must be a list of texts, got {brief(row['outputs'])}")
    return [_output(each, f"outputs[{place}]") for place, each in enumerate(row.get("outputs", []))]


def _output(told: Any, column: str) -> _Told:
    if not isinstance(told, Mapping):
        return _Told(text({column: told}, column))
    if set(told) - {"text", "support", "consequence", "critique"}:
        raise InputError(f"column {column!r} has text, support, consequence and critique, got {', '.join(told)}")
    said, support = text({column: told.get("text")}, column), told.get("support") or []
    if not isinstance(support, list) or not all(map(is_share, support)):
        raise InputError(f"column {column!r}: support is a list of probabilities from 0 to 1, got {brief(support)}")
    if support and len(support) != (claims := len(claim_spans(said))):
        raise InputError(
            f"column {column!r}: support is a number for each of its {claims} claims (`rrm.core.claims.claim_spans`),"
            f" got {len(support)}"
        )
    written = "" if told.get("critique") in (None, "") else text({column: told["critique"]}, column)
    return _Told(said, tuple(map(float, support)), _consequence(told.get("consequence"), column), written)


def _consequence(told: Any, column: str) -> Consequence | None:
    """Return what came of an output: a text, what it is worth, and how often such outcomes were found wrong."""
    if told is None:
        return None
    where = f"column {column!r}: a consequence"
    if not isinstance(told, Mapping) or not {"text", "worth"} <= set(told) <= {"text", "worth", "checked", "wrong"}:
        raise InputError(f"{where} has text and worth, and may have checked and wrong, got {brief(told)}")
    worth = number(told["worth"])
    counts = [whole(told.get(name_, 0)) for name_ in ("checked", "wrong")]
    if worth is None or None in counts:
        raise InputError(f"{where} has a number from 0 to 1 for worth, and whole numbers for checked and wrong")
    said = text({column: told["text"]}, column)
    try:
        return Consequence(said, worth, *(each for each in counts if each is not None))
    except InputError as error:
        raise InputError(f"column {column!r}: {error}") from error


def _check_consequences(request: Request) -> None:
    """Refuse a comparison in hindsight that does not say what came of both, and any other that does of one."""
    told = [each.consequence is not None for each in request.shown]
    if request.kind == Hindsight.kind and not all(told):
        raise InputError("column 'outputs': in hindsight each output has a consequence: {text, consequence}")
    if request.kind != Hindsight.kind and any(told):
        raise InputError(
            f"column 'outputs': what came of outputs is shown in hindsight alone, not for a {request.kind}:"
            " set kind to hindsight, or leave the consequence out"
        )


def _check_critiques(request: Request) -> None:
    if request.kind != ClaimMarks.kind and any(each.critique for each in request.shown):
        raise InputError(
            "column 'outputs': what a critic wrote is shown to those who mark claims alone, not for a"
            f" {request.kind}: set kind to claims, or leave the critique out"
        )


def _check_apart(request: Request) -> None:
    texts = [each.text for each in request.shown]
    if len(set(texts)) < len(texts):
        double = next(place for place, each in enumerate(texts) if each in texts[:place])
        first = texts.index(texts[double])
        raise InputError(f"column 'outputs': the texts at {first} and {double} are the same: remove one")


def _choice(row: Row, column: str, choices: tuple[str, ...], default: str | None) -> str:
    value = row.get(column, default)
    if value not in choices:
        raise InputError(f"column {column!r} must be one of {', '.join(choices)}, got {brief(value)}")
    return str(value)


def _count(row: Row, column: str, default: int, low: int, high: int) -> int:
    value = whole(row.get(column, default))
    if value is None or not low <= value <= high:
        raise InputError(f"column {column!r} must be a whole number from {low} to {high:,}, got {brief(row[column])}")
    return value


def _finite(row: Row, column: str) -> float:
    value = number(row.get(column, 0.0))
    if value is None:
        raise InputError(f"column {column!r} must be a finite number, got {brief(row[column])}")
    return value


def _text(row: Row, column: str) -> str:
    value = row.get(column, "")
    if not isinstance(value, str):
        raise InputError(f"column {column!r} must be a text, got {brief(value)}")
    return value


def _seconds(row: Row) -> float | None:
    if "seconds" not in row:
        return None
    seconds = number(row["seconds"])
    if seconds is None or seconds < 0:
        raise InputError(f"column 'seconds' must be a number from 0 up, got {brief(row['seconds'])}")
    return seconds


def _confidence(row: Row) -> float | None:
    if "confidence" not in row:
        return None
    confidence = number(row["confidence"])
    if confidence is None or not 0 < confidence <= 1:
        raise InputError(f"column 'confidence' must be a number above 0 and at most 1, got {brief(row['confidence'])}")
    return confidence


@lru_cache(maxsize=64)
def _same_view(view: View) -> View:
    """Return equal views as one value, whose id is computed once."""
    return view
