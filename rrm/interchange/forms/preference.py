"""Preferences, as TRL has them: a chosen text over a rejected one, or over several.

{"prompt": "Sum up.", "chosen": "It burned.", "rejected": "A mill.", "margin": 2}
{"prompt": "Sum up.", "chosen": ["It burned."], "rejected": ["A mill.", "Mills."]}
{"chosen": [user, assistant], "rejected": [user, assistant]}                           an implicit prompt
"""

from itertools import product

from rrm.core.errors import InputError
from rrm.core.ids import generator
from rrm.core.kinds.parts import brief, number
from rrm.core.values import Comparison
from rrm.interchange.columns import text, whole
from rrm.interchange.forms.form import EqualTexts, Judged, Legend
from rrm.interchange.forms.vote import verdict_by
from rrm.interchange.messages import present_in
from rrm.interchange.near import missing
from rrm.interchange.pairs import sides
from rrm.interchange.rows import Row


def preference(row: Row, legend: Legend) -> list[Judged]:
    """Read chosen over rejected, with the margin's strength; or each vote, where votes are counted and wanted.

    Of several chosen or rejected texts each chosen one is preferred to each rejected one.
    """
    _refuse_names(row)
    pairs = list(product(_texts(row, "chosen"), _texts(row, "rejected")))
    equal = [chosen for chosen, rejected in pairs if chosen == rejected]
    if equal:
        raise EqualTexts("chosen and rejected are the same text: mend or remove the row")
    if legend.votes == "each":
        return [judged for pair in pairs for judged in _each_vote(row, pair)]
    strength = _strength(row, legend.margin_scale)
    return [Judged(pair, Comparison(0, strength)) for pair in pairs]


def _refuse_names(row: Row) -> None:
    """Refuse a chosen text that is the name of an output beside it: `A`, `response_a`."""
    pair = sides(row)
    if pair is None or row.get("chosen") in (row[pair[0]], row[pair[1]]):
        return
    try:
        better = verdict_by("chosen", row, pair).better
    except InputError:
        return  # a text
    named = "neither" if better is None else pair[better]
    raise InputError(
        f"column 'chosen' is {brief(row['chosen'])}, which names {named} and is no text: call it winner, and remove"
        " rejected"
    )


def _texts(row: Row, column: str) -> list[str]:
    if column not in row:
        raise InputError(
            f"{missing(column, row)}, or null; null may stand for a draw: give completion_a, completion_b and vote"
            " instead"
        )
    value = row[column]
    if not isinstance(value, list):
        return [text(row, column)]
    if not present_in(value):
        raise InputError(f"column {column!r} is a list without a text")
    named = {f"{column}[{place}]": each for place, each in enumerate(value)}
    return list(dict.fromkeys(text(named, each) for each in named))


def _each_vote(row: Row, texts: tuple[str, str]) -> list[Judged]:
    """Return the counted votes one by one, by raters who are numbered in an order drawn by chance.

    So a number stands for nobody: each has its share of every kind of vote.
    """
    counted = [whole(row.get(column)) for column in ("votes_for", "votes_against", "votes_equal")]
    if any(count is None or count < 0 for count in counted) or not any(counted):
        raise InputError("votes = 'each' needs votes_for, votes_against and votes_equal, whole and not all 0")
    choices = [choice for choice, count in zip((0, 1, None), counted, strict=True) for _ in range(count or 0)]
    generator("votes", sorted(texts)).shuffle(choices)
    return [
        Judged(texts, Comparison(choice), copy=place, rater=f"anonymous {place + 1}")
        for place, choice in enumerate(choices)
    ]


def _strength(row: Row, scale: float | None) -> float | None:
    if "margin" not in row:
        return None
    margin = number(row["margin"])
    if margin is None or margin < 0:
        raise InputError(f"column 'margin' must be a finite number from 0 up, got {brief(row['margin'])}")
    if not scale:
        return None
    if margin > scale:
        raise InputError(f"column 'margin' is {row['margin']}, above margin_scale = {scale}: raise margin_scale")
    return margin / scale
