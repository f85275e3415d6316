"""Feedback as rows that other trainers read, and as our own records, which keep everything.

Each `to_...` turns rated requests into rows, one at a time; `to_jsonl` and `to_parquet` write rows.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from rrm.core.asking import Asked
from rrm.core.claims import claim_spans
from rrm.core.errors import InputError
from rrm.core.kinds.parts import brief, is_share, number
from rrm.core.values import (
    KINDS,
    OVERALL,
    Answer,
    Comparison,
    Consequence,
    Feedback,
    Label,
    Passage,
    Ranking,
    Rated,
    Request,
    Shown,
    View,
)
from rrm.interchange.columns import place
from rrm.interchange.rows import Row, pyarrow, read_rows, replacing, write_rows

ORIGIN = ("annotator", "source_id", "round", "subject", "level", "criterion")
"""The columns, in all rows for other trainers, that say who judged which source, where, and by what."""

ASKED = ("stream", "propensity", "value", "pool")
"""The columns, where questions were chosen, that say of each why it was put: see `rrm.core.asking.Asked`."""

_BATCH = 5_000

Why = Mapping[str, Asked]
"""Why questions were put, by their ids; those that were drawn evenly are not in it."""


def to_trl(rated: Iterable[Rated], margins: bool = True, why: Why | None = None) -> Iterator[dict[str, Any]]:
    """Yield TRL preference rows: prompt, chosen, rejected, then `ORIGIN`.

    The prompt is `View.prompt`, so a model trained elsewhere on these rows reads what ours reads.
    A comparison gives one row; a ranking one for every pair that it orders, the outputs it names
    before all that it does not. Ties and other kinds of feedback give none. A comparison with a
    strength gives its row a `margin`, in [0, 1]; TRL wants margins in all rows or in none, so leave
    them out with `margins=False` where only some are known. With `why` rows end with the columns `ASKED`.
    """
    for each in rated:
        for better, worse, strength in _pairs(each.feedback.answer, len(each.request.shown)):
            shown = each.request.shown
            row = {"prompt": each.request.view.prompt, "chosen": shown[better].text, "rejected": shown[worse].text}
            known = {"margin": strength} if margins and strength is not None else {}
            yield {**row, **known, **_origin(each), **_asked(each, why)}


def to_trl_unpaired(rated: Iterable[Rated]) -> Iterator[dict[str, Any]]:
    """Yield TRL unpaired preference rows, prompt, completion, label, then `ORIGIN`, one for every label."""
    for each in rated:
        answer = each.feedback.answer
        if isinstance(answer, Label):
            text = each.request.shown[0].text
            row = {"prompt": each.request.view.prompt, "completion": text, "label": answer.good}
            yield {**row, **_origin(each)}


def to_nemo(rated: Iterable[Rated]) -> Iterator[dict[str, Any]]:
    """Yield NeMo-RL preference rows: context and completions, ranked from 0, both as chat messages.

    One row for every comparison and for every ranking of all outputs; those that are level have equal ranks.
    """
    for each in rated:
        ranks = _ranks(each.feedback.answer)
        if len(ranks) != len(each.request.shown):
            continue
        completions = [
            {"rank": rank, "completion": [{"role": "assistant", "content": each.request.shown[position].text}]}
            for position, rank in sorted(ranks.items(), key=lambda item: item[1])
        ]
        context = [{"role": "user", "content": each.request.view.prompt}]
        yield {"context": context, "completions": completions, **_origin(each)}


def to_records(rated: Iterable[Rated], why: Why | None = None) -> Iterator[dict[str, Any]]:
    """Yield our own records, which `from_records` reads back into equal values, ids included.

    Those whose questions were chosen, as `why` knows, say so under `asked`.
    """
    for each in rated:
        answer = {"kind": each.feedback.answer.kind, **asdict(each.feedback.answer)}
        feedback = {**asdict(each.feedback), "answer": answer}
        del feedback["request"]
        chosen = (why or {}).get(each.request.id)
        known = {} if chosen is None else {"asked": asdict(chosen)}
        yield {"request": asdict(each.request), "feedback": feedback, "weight": each.weight, **known}


def from_records(file: Path | str) -> Iterator[Rated]:
    """Yield what `to_records` wrote to a file; raise InputError naming the row for anything else."""
    for at, row in read_rows(file):
        try:
            yield record(row)
        except InputError as error:
            raise InputError(f"{file}, row {at}: {error}") from error


def record(row: Row) -> Rated:
    """Return what one row of `to_records` says; raise InputError for anything else, and for answers that do not fit."""
    try:
        request, feedback = request_of(row["request"]), row["feedback"]
        answer = answer_of(dict(feedback["answer"]))
        known = {name: feedback.get(name) for name in ("seconds", "confidence")}
        by = feedback.get("criterion", request.criterion)
        rated = Rated(request, Feedback(request.id, feedback["rater"], answer, **known, criterion=by), _weight(row))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"not one of rrm's records ({type(error).__name__}: {error})") from error
    answer.check([each.text for each in request.shown])
    return rated


def request_of(row: Mapping[str, Any]) -> Request:
    """Return the request that a record tells, at `Place()` if it tells none.

    Raises KeyError, TypeError or ValueError for anything else.
    """
    view = row["view"]
    passages = tuple(Passage(**passage) for passage in view["passages"])
    shown = tuple(_shown(each) for each in row["shown"])
    known = {"place": place(row.get("place", {})), "criterion": row.get("criterion", OVERALL)}
    return Request(**{**row, **known, "view": View(**{**view, "passages": passages}), "shown": shown})


def _shown(told: Mapping[str, Any]) -> Shown:
    support, critique = tuple(told.get("support", ())), told.get("critique", "")
    if not all(map(is_share, support)):
        raise ValueError(f"support is a list of probabilities from 0 to 1, got {brief(support)}")
    if support and len(support) != len(claim_spans(told["text"])):
        raise ValueError(f"support of {len(support)} claims, and the output has {len(claim_spans(told['text']))}")
    if not isinstance(critique, str):
        raise TypeError(f"a critique is a text, got {critique!r:.40}")
    return Shown(
        told["output"], told["text"], tuple(map(float, support)), _consequence(told.get("consequence")), critique
    )


def _consequence(told: Mapping[str, Any] | None) -> Consequence | None:
    return None if told is None else Consequence(**told)


def answer_of(row: dict[str, Any]) -> Answer:
    """Return the answer that a record tells; raise KeyError, TypeError or ValueError for anything else."""
    return KINDS[row.pop("kind")].of_json(row)


def to_jsonl(rows: Iterable[Row], file: Path | str) -> int:
    """Write rows as JSON lines, gzipped if the name ends in .gz, and return how many; whole or not at all."""
    return write_rows(rows, file)


def to_parquet(rows: Iterable[Row], file: Path | str) -> int:
    """Write preference rows (`to_trl`, `to_trl_unpaired`) as Parquet and return how many; whole or not at all.

    Raises InputError where pyarrow is missing, and for columns that such rows do not have.
    """
    arrow = pyarrow()
    types = {name: arrow.float64() for name in ("margin", "propensity", "value")}
    types |= {"label": arrow.bool_(), "level": arrow.int64(), "round": arrow.int64()}
    left = iter(rows)
    batch = list(islice(left, _BATCH))
    form = ("prompt", "completion", "label") if batch and "completion" in batch[0] else ("prompt", "chosen", "rejected")
    chosen = ASKED if batch and "stream" in batch[0] else ()
    columns = (*form, *(("margin",) if "chosen" in form else ()), *ORIGIN, *chosen)
    schema = arrow.schema([(name, types.get(name, arrow.string())) for name in columns])
    count = 0
    with replacing(Path(file)) as raw, arrow.parquet.ParquetWriter(raw, schema) as writer:
        while batch:
            if unknown := {name for row in batch for name in row} - set(columns):
                raise InputError(f"only preference rows can be written as Parquet, not {', '.join(sorted(unknown))}")
            writer.write_table(arrow.Table.from_pylist([dict(row) for row in batch], schema=schema))
            count += len(batch)
            batch = list(islice(left, _BATCH))
    return count


def _origin(rated: Rated) -> dict[str, Any]:
    where = rated.request.place
    who = (rated.feedback.rater, rated.request.source)
    return dict(zip(ORIGIN, (*who, where.round, where.subject, where.level, rated.request.criterion), strict=True))


def _asked(rated: Rated, why: Why | None) -> dict[str, Any]:
    if why is None:
        return {}
    chosen = why.get(rated.request.id)
    return {name: None if chosen is None else getattr(chosen, name) for name in ASKED}


def _weight(row: Row) -> float:
    weight = number(row.get("weight", 1.0))
    if weight is None:
        raise InputError(f"column 'weight' must be a number above 0 and up to 1, got {brief(row['weight'])}")
    return weight


def _pairs(answer: Answer, count: int) -> list[tuple[int, int, float | None]]:
    """Return the (better, worse) positions that an answer tells, with the strength where it is known."""
    if isinstance(answer, Comparison) and answer.better is not None:
        return [(answer.better, 1 - answer.better, answer.strength)]
    if isinstance(answer, Ranking):
        return [(better, worse, None) for better, worse in answer.all_pairs(count)]
    return []


def _ranks(answer: Answer) -> dict[int, int]:
    if isinstance(answer, Comparison):
        return {0: 0, 1: 0} if answer.better is None else {answer.better: 0, 1 - answer.better: 1}
    if isinstance(answer, Ranking):
        return answer.ranks
    return {}
