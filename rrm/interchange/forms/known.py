"""All forms that a row of judgements can have, told apart by the columns that say something in it.

    prompt, chosen, rejected                     preference (TRL)        -> Comparison, several of lists
    prompt, completion_a, completion_b, vote     vote                    -> Comparison, ties too
    context, completions [{rank, completion}]    ranked (NeMo-RL)        -> Ranking or Comparisons
    prompt, completions [], labels []            stepwise (TRL)          -> one Label a step
    prompt, completion, label                    unpaired (TRL)          -> Label
    source | prompt, candidate | completion | summary, scores {} | score -> Rating
    request, feedback                            our own record          -> as it was

Each reader takes a row of texts and the legend, and returns what the row says of the texts; whose texts and
about what is the same in every form, and read elsewhere.
"""

from functools import lru_cache

from rrm.core.errors import InputError
from rrm.interchange.forms.form import Reader
from rrm.interchange.forms.preference import preference
from rrm.interchange.forms.ranked import ranked
from rrm.interchange.forms.rating import rating
from rrm.interchange.forms.stepwise import stepwise
from rrm.interchange.forms.unpaired import unpaired
from rrm.interchange.forms.vote import vote
from rrm.interchange.near import misspelt
from rrm.interchange.pairs import JUDGED, sides, verdicts
from rrm.interchange.rows import Row

RECORD = "record"

READERS: dict[str, Reader] = {
    reader.__name__: reader for reader in (preference, vote, ranked, stepwise, unpaired, rating)
}

CALLED = {
    "preference": "preference pairs",
    "vote": "votes between two texts",
    "ranked": "ranked groups",
    "stepwise": "labelled steps",
    "unpaired": "single texts with a label",
    "rating": "ratings",
    RECORD: "rrm's own records",
}
"""What rows of each form are, in words."""


def form_of(row: Row) -> str:
    """Return the form that a row's columns tell, a key of `READERS` or `RECORD`; raise InputError for none.

    The row has no null columns: `rows.present`.
    """
    return _form_of(tuple(row))


@lru_cache(maxsize=1024)
def _form_of(columns: tuple[str, ...]) -> str:
    row = dict.fromkeys(columns)
    if "request" in row and "feedback" in row:
        return RECORD
    judged = any(column in row for column in JUDGED)
    pair = sides(row)
    if pair is not None and (verdicts(row) or not judged):
        return "vote"
    if "vote" in row and not judged:
        return "vote"
    if judged:
        return "preference"
    if "completions" in row:
        return "stepwise" if "labels" in row else "ranked"
    if "label" in row:
        return "unpaired"
    if "scores" in row or "score" in row:
        return "rating"
    meant = [f"{column!r} {ours!r}" for column, ours in misspelt(row).items()]
    raise InputError(
        f"columns {', '.join(row) or '(none)'} are no form that is known; there are prompt/chosen/rejected,"
        " prompt/completion_a/completion_b/vote, context/completions, prompt/completions/labels,"
        f" prompt/completion/label and source/candidate/scores{'; did you mean to call ' if meant else ''}"
        f"{', '.join(meant)}{'?' if meant else ''}"
    )
