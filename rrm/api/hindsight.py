"""What a report says of comparisons in hindsight: how many turned round once raters saw what came of outputs."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from math import fsum

from rrm.agreement.estimates import jeffreys
from rrm.core.report import HindsightReport, Interval
from rrm.core.roles import Train
from rrm.core.values import Comparison, Consequence, Hindsight, Rated
from rrm.feedback.minutes import Currency, minutes_of_raters
from rrm.pipeline.steps import Run


def hindsight_report(run: Run) -> HindsightReport | None:
    """Return what comparisons in hindsight changed, by all raters of role train; None where there are none."""
    levels = [rows for (role, _), rows in run.answered.items() if role == Train.name]
    answers = [row for row in chain.from_iterable(levels) if isinstance(row.feedback.answer, Comparison)]
    after = [row for row in answers if isinstance(row.feedback.answer, Hindsight)]
    if not after:
        return None
    before = [row for row in answers if not isinstance(row.feedback.answer, Hindsight)]
    then, now = _preferred(before), _preferred(after)
    decided = [(_majority(said), _majority(now[pair])) for pair, said in then.items() if pair in now]
    pairs = [(one, other) for one, other in decided if one is not None and other is not None]
    turned = sum(one != other for one, other in pairs)
    twice = [said[:2] for said in then.values() if len(said) > 1]
    known = _consequences(after)
    rollouts = {shown.output: shown.consequence for row in after for shown in row.request.shown}
    foresaw, foresights = _with_outcome(before, known)
    saw, hindsights = _with_outcome(after, known)
    return HindsightReport(
        answers=len(after),
        minutes=_minutes_of(levels, run.plan.rates),
        pairs=len(pairs),
        turned=turned,
        interval=Interval(*jeffreys(turned, len(pairs), 0.9)) if pairs else None,
        twice=len(twice),
        otherwise=sum(first != second for first, second in twice),
        foresights=foresights,
        foresaw=foresaw,
        hindsights=hindsights,
        saw=saw,
        checked=sum(each.checked for each in rollouts.values() if each),
        wrong=sum(each.wrong for each in rollouts.values() if each),
    )


_Pair = tuple[str, str, frozenset[str]]


def _pair(row: Rated) -> _Pair:
    return row.request.view.id, row.request.criterion, frozenset(each.text for each in row.request.shown)


def _preferred(rows: Iterable[Rated]) -> dict[_Pair, list[str]]:
    """Return by pair of outputs the texts that its raters preferred, ties left out."""
    found: dict[_Pair, list[str]] = defaultdict(list)
    for row in rows:
        if (text := _better(row)) is not None:
            found[_pair(row)].append(text)
    return found


def _better(row: Rated) -> str | None:
    answer = row.feedback.answer
    if not isinstance(answer, Comparison) or answer.better is None:
        return None
    return row.request.shown[answer.better].text


def _majority(texts: Sequence[str]) -> str | None:
    """Return what most preferred, None where as many preferred the other."""
    first = max(sorted(set(texts)), key=texts.count)
    return first if 2 * texts.count(first) > len(texts) else None


def _consequences(rows: Iterable[Rated]) -> dict[tuple[str, str], Consequence]:
    """Return what came of outputs, by view and text."""
    return {
        (row.request.view.id, shown.text): shown.consequence
        for row in rows
        for shown in row.request.shown
        if shown.consequence is not None
    }


def _with_outcome(rows: Iterable[Rated], known: dict[tuple[str, str], Consequence]) -> tuple[int, int]:
    """Return how many answers preferred the output of which more came, and how many could: where one was worth more."""
    better = could = 0
    for row in rows:
        preferred, view = _better(row), row.request.view.id
        worth = {each.text: known[view, each.text].worth for each in row.request.shown if (view, each.text) in known}
        if preferred is not None and len(set(worth.values())) == 2:
            could += 1
            better += worth[preferred] == max(worth.values())
    return better, could


def _minutes_of(levels: Iterable[Sequence[Rated]], rates: Currency) -> float:
    """Return by how much less raters would have taken without what they said in hindsight."""
    return fsum(
        minutes_of_raters(rows, rates) - minutes_of_raters([row for row in rows if not row.request.in_hindsight], rates)
        for rows in levels
    )
