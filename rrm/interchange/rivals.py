"""Columns that judge a row beside the one that is read: whether they say something else."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import pairwise

from rrm.core.errors import InputError
from rrm.core.kinds.parts import number
from rrm.interchange.columns import truth
from rrm.interchange.forms.rating import score_of
from rrm.interchange.forms.vote import verdict_by
from rrm.interchange.pairs import FLAGS, JUDGED, SIDES, VERDICTS, sides, verdicts
from rrm.interchange.rows import Row

LABELS = (
    "good", "is_good", "correct", "is_correct", "accepted", "is_accepted", "acceptable", "desirable", "is_desirable",
    "preferred", "is_preferred", "is_chosen", "labels",
)  # fmt: skip
"""Columns beside `label` that say whether a text is accepted."""

NUMBERS = ("score", "rating", "reward", "overall", "overall_score")
"""Columns that say how good a text is, other than those of pairs."""

TIES = ("tie", "is_tie", "equal")
"""Columns that say that neither of two texts is better."""

VERDICT = re.compile(
    r"(?!(?:preference|vote|choice)_?id$)(?:\w+_)?(?:preferences?|preferred|winner|choice|verdict|vote|safer|better|best)"
    r"(?:_\w+)?"
)
"""What columns are called that say which of two texts is better, by whatever criterion."""

_BESIDE: Mapping[str, frozenset[str]] = {
    "preference": frozenset((*VERDICTS, FLAGS[0], "label", *TIES)),
    "vote": frozenset((*VERDICTS, FLAGS[0], *JUDGED)),
    "unpaired": frozenset((*LABELS, *NUMBERS, "scores")),
    "rating": frozenset(NUMBERS),
    "stepwise": frozenset(("label", *NUMBERS)),
    "ranked": frozenset(("completions",)),
}


def rivals(row: Row, form: str, aspect: str | None) -> Iterator[str]:
    """Yield, one sentence each, how columns of a row judge otherwise than the one that its form is read by.

    A column that agrees is passed over; one that cannot be compared is said not to be read.
    """
    if form in ("preference", "vote"):
        read = "chosen" if form == "preference" else next(iter(verdicts(row)), "")
        yield from (_unread(column, read) for column in _verdicts_unknown(tuple(row)) if _says_which(row[column]))
    if not _BESIDE.get(form, frozenset()) & row.keys():
        return
    if form == "vote":
        yield from _beside_vote(row)
    elif form == "unpaired":
        yield from _beside_label(row)
    elif form == "rating":
        yield from _beside_score(row, aspect)
    elif form == "ranked":
        yield from _beside_ranks(row)
    else:
        read = "chosen" if form == "preference" else "labels"
        yield from (_otherwise(column, read) for column in TIES if truth(row.get(column)))
        yield from (
            _unread(column, read) for column in sorted(_BESIDE[form] & row.keys() - set(TIES)) if _judges(column, row)
        )


@lru_cache(maxsize=1024)
def _verdicts_unknown(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns that by their names say which of two texts is better, and that no form reads or compares."""
    known = {*VERDICTS, *FLAGS, *JUDGED, *(side for pair in SIDES for side in pair)}
    return tuple(each for each in columns if each not in known and VERDICT.fullmatch(each.lower()))


def _says_which(value: object) -> bool:
    """Whether a value may name one of two texts, or say so of several raters or criteria; a sentence does not."""
    return len(value.split()) in (1, 2) if isinstance(value, str) else isinstance(value, bool | int | list | Mapping)


def _beside_vote(row: Row) -> Iterator[str]:
    """Compare the verdicts with the first of them, and the chosen text with the one that it prefers."""
    pair, columns = sides(row), verdicts(row)
    if pair is None or not columns:
        return
    try:
        better = verdict_by(columns[0], row, pair).better
    except InputError:
        return  # refused in its turn
    for column in columns[1:]:
        try:
            other = verdict_by(column, row, pair).better
        except InputError:
            yield _unread(column, columns[0])
        else:
            if (better is None) != (other is None):  # one side against the other is refused
                yield _otherwise(column, columns[0])
    for column, place in zip(JUDGED, (0, 1), strict=True):
        texts = [row[side] for side in pair]
        if column not in row or texts[0] == texts[1]:
            continue
        if row[column] not in texts:
            yield _unread(column, columns[0])
        elif better is None or texts.index(row[column]) != (better, 1 - better)[place]:
            yield _otherwise(column, columns[0])


def _beside_label(row: Row) -> Iterator[str]:
    label = truth(row["label"])
    for column in LABELS:
        if column in row and (said := truth(row[column])) is not None and label is not None and said != label:
            yield _otherwise(column, "label")
    yield from (_unread(column, "label") for column in (*NUMBERS, "scores") if _judges(column, row))


def _beside_score(row: Row, aspect: str | None) -> Iterator[str]:
    read = "scores" if "scores" in row else "score"
    with suppress(InputError):
        named, score = score_of(row, aspect)
        for column in NUMBERS:
            if column != read and (other := number(row.get(column))) is not None and other != score:
                yield _otherwise(column, named)


def _beside_ranks(row: Row) -> Iterator[str]:
    completions = row["completions"]
    told = [each for each in completions if isinstance(each, Mapping)] if isinstance(completions, list) else []
    for column in ("reward", "score"):
        both = [(number(each.get("rank")), number(each.get(column))) for each in told]
        known = [(rank, reward) for rank, reward in both if rank is not None and reward is not None]
        known.sort(key=lambda each: (each[0], -each[1]))
        if any(one[0] < other[0] and one[1] < other[1] for one, other in pairwise(known)):
            yield _otherwise(column, "rank")


def _judges(column: str, row: Row) -> bool:
    """Whether what a column holds may be a verdict; a `label` that is a word may as well name a topic."""
    value = row.get(column)
    return truth(value) is not None if column == "label" else isinstance(value, str | int | float | Mapping)


def _otherwise(column: str, read: str) -> str:
    return f"`{column}` says otherwise than `{read}`, which is read"


def _unread(column: str, read: str) -> str:
    return f"`{column}` judges, too, and is not read beside `{read}`"
