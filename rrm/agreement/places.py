"""How far raters agree with each other at every place and kind of item."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from rrm.agreement.alpha import alpha
from rrm.agreement.answer_table import NOTHING, AnswerTable, tabulate_answers
from rrm.agreement.codings import Codings, coded
from rrm.agreement.estimates import NO_PAIRS, Estimate, Share, undefined, wilson
from rrm.agreement.kappa import cohen_kappa, fleiss_kappa
from rrm.core.annotation import Annotation
from rrm.core.kinds.answer import Metric
from rrm.core.kinds.reject import BOTH_BAD, REJECTED
from rrm.core.place import Place
from rrm.core.values import KINDS, OVERALL

TEXTS = "undefined: texts are not compared"


@dataclass(frozen=True)
class PlaceAgreement:
    """Agreement on a place's work items of one kind, by one criterion: `answers` by `raters` to `items`.

    `alpha` is Krippendorff's, by metric: nominal, but ordinal and interval for ratings. `kappa` is
    "Cohen's kappa" or "Fleiss' kappa", as `kappa_name` says, and takes every answer for as different from
    every other. `unanimous` counts the items with two answers or more that all say the same. `note` says
    what was left out.
    """

    place: Place
    kind: str
    items: int
    answers: int
    raters: int
    alpha: Mapping[Metric, Estimate]
    kappa: Estimate
    kappa_name: str
    unanimous: Share
    note: str = ""
    criterion: str = OVERALL


def place_agreement(answers: Iterable[Annotation] | AnswerTable, seed: int = 0) -> list[PlaceAgreement]:
    """Return agreement by place, kind and criterion, of work items' answers that are live or were adjudicated.

    Adjudicated answers count because disputed items are the ones that get adjudicated: without them agreement
    would rise with every decision. Of a ranking the first place is compared; of a rating that is a
    rejection nothing is. Intervals are a bootstrap over nodes, as answers about one node depend on each
    other. `answers` may be a stream; it is read once.
    """
    table = tabulate_answers(answers)
    kept = table.stands & table.of("work")
    found = sorted((table.groups[at], at) for at in np.unique(table.group[kept]))
    return [
        replace(_agreement(table, kept & (table.group == at), place, kind, seed), criterion=criterion)
        for (place, kind, criterion), at in found
    ]


def _agreement(table: AnswerTable, rows: np.ndarray, place: Place, kind: str, seed: int) -> PlaceAgreement:
    metrics = KINDS[kind].metrics
    items, raters = len(np.unique(table.item[rows])), len(np.unique(table.person[rows]))
    counts = place, kind, items, int(rows.sum()), raters
    if not metrics:
        kappa = undefined(TEXTS)
        return PlaceAgreement(*counts, {"nominal": kappa}, kappa, "kappa", wilson(0, 0), "texts are not compared")
    said = rows & (table.meaning != NOTHING)
    note = ""
    if "nominal" not in metrics:
        said &= np.array([each not in (REJECTED, BOTH_BAD) for each in table.meanings])[table.meaning]
        aside = int(rows.sum() - said.sum())
        note = f"{aside} rejections are no points on the scale and were left out" if aside else ""
    codings = coded(table.item[said], table.person[said], table.meaning[said], table.meanings, table.node[said])
    name, kappa = _kappa(codings, seed)
    return PlaceAgreement(
        *counts,
        {metric: alpha(codings, metric, seed=seed) for metric in metrics},
        kappa,
        name,
        wilson(codings.unanimous, int(codings.pairable.sum())),
        note,
    )


def _kappa(codings: Codings, seed: int) -> tuple[str, Estimate]:
    raters = codings.pairing_raters
    if not raters:
        return "kappa", undefined(NO_PAIRS)
    if raters == 2:
        return "Cohen's kappa", cohen_kappa(codings, seed=seed)
    return "Fleiss' kappa", fleiss_kappa(codings, seed=seed)
