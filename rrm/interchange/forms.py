"""The forms that a row of judgements can have, told apart by its columns, and what each says.

    prompt, chosen, rejected                     preference (TRL)        -> Comparison
    prompt, completion_a, completion_b, vote     vote                    -> Comparison, ties too
    context, completions [{rank, completion}]    ranked (NeMo-RL)        -> Ranking or Comparisons
    prompt, completions [], labels []            stepwise (TRL)          -> one Label a step
    prompt, completion, label                    unpaired (TRL)          -> Label
    source | prompt, candidate | completion | summary, scores {} | score -> Rating
    request, feedback                            our own record          -> as it was

Each reader takes a row and the legend, and returns what the row says of texts; whose texts and
about what is the same in every form, and read elsewhere.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, NamedTuple

from rrm.core.errors import InputError
from rrm.core.ids import generator
from rrm.core.kinds.parts import brief, number, whole
from rrm.core.values import Answer, Comparison, Label, Ranking, Rating
from rrm.interchange.columns import Render, reply
from rrm.interchange.rows import Row

RECORD = "record"
MOST_POINTS = 1000
"""A rating scale with more points than this is refused: it is no scale that people rate on."""

_VOTE = re.compile(r"(?:a|a1)(?P<a>-.*)?|(?:b|a2)(?P<b>-.*)?|tie|equal|draw")
_STRENGTHS = {  # the middles of three grades
    "": None,
    "-is-slightly-better": 1 / 6,
    "-is-better": 1 / 2,
    **{f"-is-{word}-better": 5 / 6 for word in ("clearly", "far", "much", "significantly")},
}


class EqualTexts(InputError):
    """A row that prefers a text to itself."""


@dataclass(frozen=True)
class Legend:
    """How columns are to be read; `RecordedPreferences` says what each means."""

    margin_scale: float | None = None
    aspect: str | None = None
    scale: tuple[int, int] | None = None
    votes: Literal["consensus", "each"] = "consensus"
    render: Render | None = None


class Judged(NamedTuple):
    """What was said of some texts, by their positions in the row.

    `context` is what stands before the texts, `copy` numbers independent askings, `rater` is a
    rater whom the form itself tells apart.
    """

    texts: tuple[str, ...]
    answer: Answer
    context: str = ""
    copy: int = 0
    rater: str | None = None


Reader = Callable[[Row, Legend], list[Judged]]


def form_of(row: Row) -> str:
    """Return the form that a row's columns tell, a key of `READERS` or `RECORD`; raise InputError for none."""
    if "request" in row and "feedback" in row:
        return RECORD
    if "vote" in row or ("preference" in row and "completion_a" in row):
        return "vote"
    if "chosen" in row or "rejected" in row:
        return "preference"
    if "completions" in row:
        return "stepwise" if "labels" in row else "ranked"
    if "label" in row:
        return "unpaired"
    if "scores" in row or "score" in row:
        return "rating"
    raise InputError(
        f"columns {', '.join(row) or '(none)'} are no form that is known; there are prompt/chosen/rejected,"
        " prompt/completion_a/completion_b/vote, context/completions, prompt/completions/labels,"
        " prompt/completion/label and source/candidate/scores"
    )


def preference(row: Row, legend: Legend) -> list[Judged]:
    """Read chosen over rejected, with the margin's strength; or each vote, where votes are counted and wanted."""
    texts = (reply(row, "chosen", legend.render), reply(row, "rejected", legend.render))
    if texts[0] == texts[1]:
        raise EqualTexts("chosen and rejected are the same text: mend or remove the row")
    if legend.votes == "each":
        return _each_vote(row, texts)
    return [Judged(texts, Comparison(0, _strength(row, legend.margin_scale)))]


def vote(row: Row, legend: Legend) -> list[Judged]:
    """Read one vote between completion_a and completion_b; a tie between equal texts says nothing."""
    texts = (reply(row, "completion_a", legend.render), reply(row, "completion_b", legend.render))
    answer = _vote("vote" if "vote" in row else "preference", row)
    if texts[0] != texts[1]:
        return [Judged(texts, answer)]
    if answer.better is None:
        return []
    raise EqualTexts("completion_a and completion_b are the same text, but one is preferred: mend or remove the row")


def ranked(row: Row, legend: Legend) -> list[Judged]:
    """Read a group, best rank lowest; a group with equal ranks becomes comparisons of all its pairs."""
    completions = row["completions"]
    if not _is_list(completions) or not all(isinstance(each, Mapping) for each in completions):
        raise InputError("completions must be a list of objects with rank and completion")
    texts = tuple(reply(each, "completion", legend.render) for each in completions)
    if len(texts) < 2 or len(set(texts)) < len(texts):
        raise InputError(f"completions must be two or more different texts, got {len(set(texts))} in {len(texts)}")
    ranks = _ranks(completions)
    if len(texts) > 2 and len(set(ranks)) == len(ranks):
        return [Judged(texts, Ranking(tuple(sorted(range(len(texts)), key=lambda position: ranks[position]))))]
    return [_pair((texts[a], texts[b]), ranks[a], ranks[b]) for a, b in combinations(range(len(texts)), 2)]


def stepwise(row: Row, legend: Legend) -> list[Judged]:
    """Read a label for every step; the steps before it, one a line, are its context."""
    steps, labels = row["completions"], row["labels"]
    if not _is_list(steps) or not _is_list(labels) or len(steps) != len(labels) or not len(steps):
        raise InputError("completions and labels must be lists of one length, a label for every step")
    texts = [reply({f"completions[{place}]": step}, f"completions[{place}]") for place, step in enumerate(steps)]
    return [
        Judged((each,), _label(labels[place], f"labels[{place}]"), "\n".join(texts[:place]))
        for place, each in enumerate(texts)
    ]


def unpaired(row: Row, legend: Legend) -> list[Judged]:
    """Read whether the completion is accepted."""
    return [Judged((reply(row, "completion", legend.render),), _label(row["label"], "label"))]


def rating(row: Row, legend: Legend) -> list[Judged]:
    """Read a score as a point on the legend's scale, 1 for its lowest; values between points stay."""
    column, score = score_of(row, legend.aspect)
    assert legend.scale is not None
    lowest, highest = legend.scale
    if not lowest <= score <= highest:
        raise InputError(f"{column} must be a number from {lowest} to {highest}, got {brief(score)}")
    text = next((each for each in ("candidate", "completion", "summary") if each in row), "candidate")
    value = score - lowest + 1
    points = highest - lowest + 1
    return [Judged((reply(row, text, legend.render),), Rating(int(value) if value == int(value) else value, points))]


READERS: dict[str, Reader] = {
    reader.__name__: reader for reader in (preference, vote, ranked, stepwise, unpaired, rating)
}


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


def _vote(column: str, row: Row) -> Comparison:
    said = row[column]
    found = _VOTE.fullmatch(re.sub(r"[\s_]+", "-", said.strip().lower())) if isinstance(said, str) else None
    how = next((found[side] for side in "ab" if found[side]), "") if found else None
    if found is None or how not in _STRENGTHS:
        raise InputError(f"{column} must be a, b or tie (or a-is-slightly-better and the like), got {brief(said)}")
    if found[0] in ("tie", "equal", "draw"):
        return Comparison(None)
    return Comparison(0 if found[0].split("-")[0] in ("a", "a1") else 1, _STRENGTHS[how])


def _ranks(completions: Sequence[Row]) -> list[float]:
    """Return each completion's rank; without ranks, from its reward or score, the highest first."""
    ranks = [whole(each.get("rank")) for each in completions]
    if all(rank is not None for rank in ranks):
        return [float(rank) for rank in ranks if rank is not None]
    for column in ("reward", "score"):
        rewards = [number(each.get(column)) for each in completions]
        if not any("rank" in each for each in completions) and all(reward is not None for reward in rewards):
            return [-reward for reward in rewards if reward is not None]
    raise InputError(f"completions must have whole ranks, got {brief([each.get('rank') for each in completions])}")


def _pair(texts: tuple[str, str], first: float, second: float) -> Judged:
    return Judged(texts, Comparison(None if first == second else int(second < first)))


def _label(value: Any, column: str) -> Label:
    if not isinstance(value, bool):
        raise InputError(f"{column} must be true or false, got {brief(value)}")
    return Label(value)


def _strength(row: Row, scale: float | None) -> float | None:
    value = row.get("margin")
    if value is None:
        return None
    margin = number(value)
    if margin is None or margin < 0:
        raise InputError(f"column 'margin' must be a finite number from 0 up, got {brief(value)}")
    if not scale:
        return None
    if margin > scale:
        raise InputError(f"column 'margin' is {value}, above margin_scale = {scale}: raise margin_scale")
    return margin / scale


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
