"""What the reader of a file of rows should know before trusting them, and the refusal of what is guessed."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import comb
from typing import NamedTuple

import networkx as nx

from rrm.core.errors import InputError
from rrm.core.kinds.parts import brief
from rrm.core.values import Answer, Comparison, Label, Ranking, Rated, Rating
from rrm.interchange.dialogue import How, Thoughts

ANONYMOUS = "anonymous"
"""How the names of raters begin who were made up, because only counts of votes are known."""

UNLIKELY = 0.05
"""A rater's favourite place is noted if chance explains it with less than this, over all raters."""

_MOST = 3


def refuse_guesses(where: str, guesses: Sequence[str], strict: bool) -> None:
    """Raise InputError with the first guess where everything has to be as it is said to be: `--strict`."""
    if strict and guesses:
        more = f" (and {len(guesses) - 1} more)" if len(guesses) > 1 else ""
        raise InputError(f"{where}: {guesses[0]}{more}; refused by --strict")


def on_prompts(how: Mapping[How, int]) -> list[str]:
    """Say of how many rows the prompt was taken from their replies, or taken off them."""
    notes = []
    if count := how.get("implicit", 0):
        notes.append(f"rows without a prompt: {count:,}; the beginning that their replies share is read as the prompt")
    if count := how.get("repeated", 0):
        notes.append(f"rows that repeat the prompt in their replies: {count:,}; there it is taken off")
    return notes


def on_plain_calls(rows: int) -> list[str]:
    """Say in how many rows calls of tools are words, because there is no chat template to show them."""
    if not rows:
        return []
    return [f"rows with calls of tools: {rows:,}; the model has no chat template, so they are written as words"]


def on_thoughts(where: Mapping[Thoughts, int], template: bool) -> list[str]:
    """Say in how many rows replies have the thoughts of a reasoning model; `template` renders their messages."""
    notes = []
    if count := where.get("within", 0):
        notes.append(
            f"rows whose replies hold thoughts, before </think> or a mark like it: {count:,}; read as they stand, as"
            " words of the reply: take them out if nobody who judged was shown them"
        )
    if count := where.get("apart", 0):
        shown = "shown as the model's chat template shows them" if template else "not read"
        notes.append(f"rows whose messages have thoughts in a field of their own: {count:,}; {shown}")
    return notes


class PlacedAnswer(NamedTuple):
    """A rater's answer about outputs in the order that the rater saw, where that is known."""

    rater: str
    answer: Answer


def nothing_to_learn(rated: Sequence[Rated]) -> str | None:
    """Return why nothing can be learned from these judgements, None if something can."""
    answers = [each.feedback.answer for each in rated]
    if not answers:
        return "it holds no rows to learn from"
    if any(not isinstance(each, Comparison | Rating | Label) for each in answers):
        return None
    decided = [each for each in answers if isinstance(each, Comparison) and each.better is not None]
    if decided or any(len({each for each in answers if isinstance(each, kind)}) > 1 for kind in (Rating, Label)):
        return None
    said = "ties" if isinstance(answers[0], Comparison) else f"the same {answers[0].kind}"
    return f"all {len(answers):,} judgements are {said}, so there is nothing to learn: give rows that tell texts apart"


def judgement_notes(rated: Sequence[Rated], places: Sequence[PlacedAnswer]) -> list[str]:
    """Return notes on raters: only one, in a circle, or with a favourite place (where the order shown is known)."""
    raters = {each.feedback.rater for each in rated}
    notes = []
    if len(raters) == 1 and len(rated) > 1:
        notes.append(
            f"all {len(rated):,} judgements are by one rater, {brief(min(raters))}:"
            " neither raters' reliability nor their agreement can be estimated"
        )
    return [*notes, *_repeats(rated), *_circles(rated), *_favourites(places)]


def _repeats(rated: Iterable[Rated]) -> list[str]:
    """Note judgements that say once more what their rater said of the same texts, or something else of them."""
    several = _by_one_rater((each, each.request.id) for each in rated)
    if not several:
        return []
    again = sum(len(given) - len({each.feedback.answer for each in given}) for given in several)
    notes = (
        [f"judgements that repeat another, of the same rater on the same texts: {again:,}; each counts"]
        if again
        else []
    )
    unlike = [given for given in several if len(set(map(_verdict, given))) > 1]
    if unlike:
        first = unlike[0][0]
        notes.append(
            f"texts that one rater judged more than once and differently: {len(unlike):,}, for example rater"
            f" {brief(first.feedback.rater)} on {brief(first.request.view.prompt)}"
        )
    return notes


def _by_one_rater(asked: Iterable[tuple[Rated, str]]) -> list[list[Rated]]:
    """Return the judgements that one rater, whom we know, gave about one thing, where they are several."""
    first: dict[tuple[str, str], Rated] = {}
    several: dict[tuple[str, str], list[Rated]] = {}
    for rated, about in asked:
        if rated.feedback.rater.startswith(ANONYMOUS):
            continue
        before = first.setdefault(key := (rated.feedback.rater, about), rated)
        if before is not rated:
            several.setdefault(key, [before]).append(rated)
    return list(several.values())


def _verdict(rated: Rated) -> object:
    """Return what an answer says apart from how strongly; preferences one against the other are said as circles."""
    answer = rated.feedback.answer
    if isinstance(answer, Comparison):
        return "tie" if answer.better is None else "preference"
    return Ranking if isinstance(answer, Ranking) else answer


def _circles(rated: Iterable[Rated]) -> list[str]:
    """Note how often one rater's preferences on one prompt contradict each other or go round in a circle."""
    several = _by_one_rater((each, each.request.view.id) for each in rated)
    circles = [
        (given[0], circle) for given in several if (circle := _circle(chain.from_iterable(map(_preferred, given))))
    ]
    if not circles:
        return []
    first, circle = circles[0]
    way = " over ".join([brief(text) for text in circle[:_MOST]] + (["..."] if len(circle) > _MOST else []))
    return [
        f"contradictions or circles in one rater's preferences on one prompt: {len(circles):,},"
        f" for example rater {brief(first.feedback.rater)} on {brief(first.request.view.prompt)}: {way}"
    ]


def _preferred(rated: Rated) -> list[tuple[str, str]]:
    answer, texts = rated.feedback.answer, [shown.text for shown in rated.request.shown]
    if isinstance(answer, Comparison) and answer.better is not None:
        return [(texts[answer.better], texts[1 - answer.better])]
    return [(texts[a], texts[b]) for a, b in answer.all_pairs(0)] if isinstance(answer, Ranking) else []


def _circle(preferred: Iterable[tuple[str, str]]) -> list[str]:
    try:
        edges = nx.find_cycle(nx.DiGraph(list(preferred)))
    except nx.NetworkXNoCycle:
        return []
    return [edges[0][0], *(edge[1] for edge in edges)]


def _favourites(places: Sequence[PlacedAnswer]) -> list[str]:
    """Note raters who chose one place so often that chance does not explain it (binomial, two-sided)."""
    chosen: dict[str, Counter[int]] = defaultdict(Counter)
    for rater, answer in places:
        if isinstance(answer, Comparison) and answer.better is not None:
            chosen[rater][answer.better] += 1
    found = []
    for rater, counts in sorted(chosen.items()):
        n, most = counts.total(), max(counts.values())
        chance = min(1.0, 2 * sum(comb(n, k) for k in range(most, n + 1)) / 2**n)
        if chance < UNLIKELY / len(chosen):
            place = "first" if counts[0] == most else "second"
            found.append(
                f"rater {brief(rater)} chose the {place} output shown in {most} of {n} comparisons (p = {chance:.1g})"
            )
    more = [f"{len(found) - _MOST} more raters favour one place"] if len(found) > _MOST else []
    return found[:_MOST] + more
