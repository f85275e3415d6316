"""How each rater works: speed, known answers, agreement with the rest, favourite places, and alerts."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from rrm.agreement.answer_table import AnswerTable, tabulate_answers
from rrm.agreement.bias import SideBias, side_bias
from rrm.agreement.estimates import Share, wilson
from rrm.agreement.tallies import NO_TALLY, Agreeing, Tally, tally_raters
from rrm.core.annotation import Annotation, Person, Skipped


@dataclass(frozen=True)
class Alerts:
    """When to look at a rater. None of these is a proof; several raters are looked at, so some are found by chance.

    "too fast": `least_answers` timed answers or more, and their median below `floor_seconds`, or at a
    rank below `fast_share` among others' answers to items of the same place and kind.
    "straight-lining": the same position or answer more than `longest_run` times in a row, which chance
    explains with less than `run_p` (see `rrm.agreement.tallies.run_probability`).
    "side bias": `least_sides` decided comparisons or more, and p below `side_p`.
    "fails checks": `failed_attention` failed attention checks, or an interval of the accuracy on known
    answers that lies wholly below `least_accuracy`.
    """

    least_answers: int = 10
    floor_seconds: float = 1.5
    fast_share: float = 0.05
    longest_run: int = 10
    run_p: float = 0.001
    least_sides: int = 20
    side_p: float = 0.01
    failed_attention: int = 2
    least_accuracy: float = 0.6


class Alert(NamedTuple):
    """What to look at, and the figures that say so."""

    name: Literal["too fast", "straight-lining", "side bias", "fails checks"]
    why: str


@dataclass(frozen=True)
class RaterStats:
    """What one rater did. `done` answers stand (practice apart), `skipped` items were passed on.

    All else is about how the rater works, so answers that an admin took back count too. `accuracy` is on
    known answers, of silent gold items and attention checks; `attention` counts the checks passed. `skip_rate`
    is the share of all that was decided on that was skipped, None of nothing.
    """

    person: Person
    done: int
    skipped: int
    skip_rate: float | None
    median_seconds: float | None
    accuracy: Share
    attention: Share
    agreement: Agreeing
    side: SideBias
    alerts: tuple[Alert, ...]


def rater_stats(
    persons: Sequence[Person],
    answers: Iterable[Annotation] | AnswerTable,
    skips: Iterable[Skipped],
    alerts: Alerts = Alerts(),
) -> list[RaterStats]:
    """Return how each annotator stands, and each other person who answered or skipped, in the order of `persons`.

    `answers` may be a stream; it is read once. Practice is left out. Answers by nobody in `persons`
    count as others' answers. Assistants' seconds are no pace for people, and are not judged.
    """
    skipped = Counter(skip.person for skip in skips)
    tallies = tally_raters(tabulate_answers(answers), {person.id for person in persons if person.kind == "assistant"})
    return [
        _stats(person, skipped[person.id], tallies.get(person.id), alerts)
        for person in persons
        if person.role == "annotator" or person.id in tallies or skipped[person.id]
    ]


def gold_reliability(answers: Iterable[Annotation]) -> dict[str, tuple[int, int]]:
    """Return how many known answers each rater gave rightly, and of how many, for raters who were asked any.

    Of silent gold items and attention checks; not of practice, where the answer is told, nor answers
    that the rater took back.
    """
    found: dict[str, tuple[int, int]] = {}
    for annotation in answers:
        if (
            annotation.purpose in ("gold", "attention")
            and annotation.right is not None
            and annotation.state != "undone"
        ):
            right, total = found.get(annotation.person, (0, 0))
            found[annotation.person] = right + annotation.right, total + 1
    return found


def _stats(person: Person, skipped: int, tally: Tally | None, alerts: Alerts) -> RaterStats:
    tally = tally or NO_TALLY
    decisions = tally.answers + skipped
    stats = RaterStats(
        person=person,
        done=tally.done,
        skipped=skipped,
        skip_rate=skipped / decisions if decisions else None,
        median_seconds=tally.median_seconds,
        accuracy=wilson(tally.known_right, tally.known),
        attention=wilson(tally.checks_right, tally.checks),
        agreement=tally.agreeing,
        side=side_bias(tally.first, tally.decided),
        alerts=(),
    )
    return replace(stats, alerts=tuple(_alerts(stats, tally, alerts)))


def _alerts(stats: RaterStats, tally: Tally, limits: Alerts) -> Iterator[Alert]:
    median, position = stats.median_seconds, tally.median_position
    if stats.person.kind != "assistant" and median is not None and tally.timed >= limits.least_answers:
        if median < limits.floor_seconds:
            yield Alert("too fast", f"half of {tally.timed} answers took less than {median:.1f} s")
        elif position is not None and position < limits.fast_share:
            yield Alert("too fast", f"the median of {median:.1f} s is below {1 - position:.0%} of others' answers")
    run = tally.run
    if run and run.length > limits.longest_run and run.p < limits.run_p:
        yield Alert("straight-lining", f"{run.length} times the same in a row, {_chance(run.p)}")
    side = stats.side
    if side.p is not None and side.decided >= limits.least_sides and side.p < limits.side_p:
        yield Alert("side bias", f"chose the first shown in {side.first} of {side.decided}, {_chance(side.p)}")
    failed = stats.attention.total - stats.attention.count
    known = stats.accuracy
    if failed >= limits.failed_attention:
        yield Alert("fails checks", f"failed {failed} of {stats.attention.total} attention checks")
    elif known.high is not None and known.high < limits.least_accuracy:
        yield Alert("fails checks", f"right in {known.count} of {known.total} items whose answer is known")


def _chance(p: float) -> str:
    return f"p = {p:.1g}"
