"""Scores of single outputs, on the legend's scale, by one aspect or several.

{"source": "The mill stood by the river. ...", "candidate": "It burned.", "scores": {"overall": 4, "fluency": 5}}
{"prompt": "Sum up.", "completion": "It burned.", "score": 4}
"""

from collections.abc import Mapping
from typing import Any

from rrm.core.errors import InputError
from rrm.core.kinds.parts import brief, number
from rrm.core.values import Rating
from rrm.interchange.columns import text
from rrm.interchange.forms.form import Judged, Legend
from rrm.interchange.pairs import SINGLE
from rrm.interchange.rows import Row


def rating(row: Row, legend: Legend) -> list[Judged]:
    """Read a score as a point on the legend's scale, 1 for its lowest; values between points stay."""
    column, score = score_of(row, legend.aspect)
    assert legend.scale is not None
    lowest, highest = legend.scale
    if not lowest <= score <= highest:
        raise InputError(f"{column} must be a number from {lowest} to {highest}, got {brief(score)}")
    rated = next((each for each in SINGLE if each in row), "candidate")
    value = score - lowest + 1
    points = highest - lowest + 1
    return [Judged((text(row, rated),), Rating(int(value) if value == int(value) else value, points))]


def score_of(row: Row, aspect: str | None) -> tuple[str, float]:
    """Return what a rating row's score is called, and the score.

    That is `score`, or of `scores` the aspect; where none is named the only one, else `overall`,
    else the mean of all. Raises InputError for a score that is missing or not finite.
    """
    if "scores" not in row:
        return "score", _score(row.get("score"), "score")
    scores = row["scores"]
    if not isinstance(scores, Mapping) or not scores or (aspect is not None and aspect not in scores):
        raise InputError(f"scores must be an object that has {aspect or 'a score'!r}, got {brief(scores)}")
    named = aspect or (next(iter(scores)) if len(scores) == 1 else "overall")
    if named in scores:
        return f"scores.{named}", _score(scores[named], f"scores.{named}")
    every = [_score(value, f"scores.{each}") for each, value in scores.items()]
    return f"the mean of {', '.join(scores)}", sum(every) / len(every)


def _score(value: Any, column: str) -> float:
    score = number(value)
    if score is None:
        raise InputError(f"{column} must be a number, got {brief(value)}")
    return score
