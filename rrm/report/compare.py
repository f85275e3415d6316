"""Two runs side by side: levels, roots, gold and cost, with the differences."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from rrm.core.report import Cost, Interval, LevelReport, Report, TargetReport
from rrm.report.inert import inert

LEVEL_FIGURES = (
    "n_train",
    "n_test",
    "accuracy",
    "noise_ceiling",
    "agreement",
    "best_possible",
    "longer_wins",
    "bag_of_words",
    "verbatim",
    "nll",
    "ece",
    "coverage",
)
STAGE_FIGURES = ("ratings", "tokens_shown", "minutes", "published_minutes")
RUN_FIGURES = ("train_sources", "target_sources", "outputs", "ratings", "seconds")


class Pair(NamedTuple):
    """One figure of both runs; None where it is undefined, and then there is no difference."""

    first: float | None
    second: float | None

    @property
    def difference(self) -> float | None:
        return None if self.first is None or self.second is None else self.second - self.first


Figures = Mapping[str, Pair]


class Sides(NamedTuple):
    """What is compared about two runs, by section; targets are matched by source, levels by number."""

    names: tuple[str, str]
    run: Figures
    levels: Mapping[str, Figures]
    intervals: Mapping[str, tuple[Interval | None, Interval | None]]
    targets: Mapping[str, Figures]
    titles: Mapping[str, str]
    cost: Figures


def sides(first: Report, second: Report) -> Sides:
    """Return everything that both reports say, paired."""
    levels_first, levels_second = (_levels(report) for report in (first, second))
    names = _union(levels_first, levels_second)
    targets_first, targets_second = ({target.source: target for target in r.targets} for r in (first, second))
    sources = _union(targets_first, targets_second)
    return Sides(
        names=(first.name, second.name),
        run={name: Pair(getattr(first, name), getattr(second, name)) for name in RUN_FIGURES},
        levels={name: _paired(levels_first.get(name), levels_second.get(name), _level_figures) for name in names},
        intervals={name: (_interval(levels_first.get(name)), _interval(levels_second.get(name))) for name in names},
        targets={each: _paired(targets_first.get(each), targets_second.get(each), _target_figures) for each in sources},
        titles={each: (targets_first.get(each) or targets_second[each]).title for each in sources},
        cost=_paired(first.cost, second.cost, _cost_figures),
    )


def compare_json(first: Report, second: Report) -> dict[str, Any]:
    """Return the comparison as JSON values: every figure as `{"first", "second", "difference"}`."""
    found = sides(first, second)
    return {
        "first": found.names[0],
        "second": found.names[1],
        "run": _figures_json(found.run),
        "levels": [{"level": name, **_figures_json(figures)} for name, figures in found.levels.items()],
        "targets": [
            {"source": source, "title": found.titles[source], **_figures_json(figures)}
            for source, figures in found.targets.items()
        ],
        "cost": _figures_json(found.cost),
    }


def compare_text(first: Report, second: Report) -> str:
    """Return the comparison as plain text; figures that neither run has are left out."""
    found = sides(first, second)
    lines = [f"first:  {inert(found.names[0])}", f"second: {inert(found.names[1])}", "", *_table("run", found.run)]
    for name, figures in found.levels.items():
        lines += _table(
            "flat baseline" if name == "flat" else f"level {name}", figures, _overlap(found.intervals[name])
        )
    for source, figures in found.targets.items():
        lines += _table(" ".join(inert(found.titles[source]).split())[:60] or source, figures)
    return "\n".join([*lines, *_table("cost", found.cost)]).rstrip()


def _levels(report: Report) -> dict[str, LevelReport]:
    return {str(each.level): each for each in report.levels} | ({"flat": report.flat} if report.flat else {})


def _level_figures(level: LevelReport) -> dict[str, float | None]:
    return {name: getattr(level, name) for name in LEVEL_FIGURES}


def _target_figures(target: TargetReport) -> dict[str, float | None]:
    chosen = target.chosen
    interval = chosen.composed_interval if chosen else None
    return {
        "score": chosen.composed if chosen else None,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "own_score": chosen.own if chosen else None,
        "gold_of_chosen": target.gold_of_chosen,
        "gold_mean": target.gold_mean,
        "gold_best": target.gold_best,
        "rank_correlation": target.composed_correlation.value if target.composed_correlation else None,
        "own_rank_correlation": target.own_correlation.value if target.own_correlation else None,
        "flat_rank_correlation": target.flat_correlation.value if target.flat_correlation else None,
    }


def _cost_figures(cost: Cost) -> dict[str, float | None]:
    figures: dict[str, float | None] = {name: getattr(cost, name) for name in ("calls", "tokens", *STAGE_FIGURES)}
    return figures | {f"flat_{name}": getattr(cost.flat, name) if cost.flat else None for name in STAGE_FIGURES}


def _paired(first: Any, second: Any, figures: Callable[[Any], dict[str, float | None]]) -> Figures:
    of_first, of_second = (figures(each) if each is not None else {} for each in (first, second))
    return {name: Pair(of_first.get(name), of_second.get(name)) for name in _union(of_first, of_second)}


def _union(first: Iterable[str], second: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*first, *second]))


def _interval(level: LevelReport | None) -> Interval | None:
    return level.interval if level else None


def _figures_json(figures: Figures) -> dict[str, Any]:
    return {
        name: {"first": pair.first, "second": pair.second, "difference": pair.difference}
        for name, pair in figures.items()
    }


def _overlap(intervals: tuple[Interval | None, Interval | None]) -> str:
    first, second = intervals
    if first is None or second is None:
        return ""
    apart = first.low > second.high or second.low > first.high
    told = "do not overlap" if apart else "overlap"
    ends = f"{first.low:.3f} to {first.high:.3f} and {second.low:.3f} to {second.high:.3f}"
    return f"  95 % intervals of accuracy {told}: {ends}"


def _table(title: str, figures: Figures, note: str = "") -> list[str]:
    rows = [(name, pair) for name, pair in figures.items() if pair.first is not None or pair.second is not None]
    if not rows:
        return []
    lines = [f"{title:<28}{'first':>14}{'second':>14}{'difference':>14}"]
    for name, pair in rows:
        cells = f"{_shown(pair.first):>14}{_shown(pair.second):>14}{_shown(pair.difference, signed=True):>14}"
        lines.append(f"  {name.replace('_', ' '):<26}{cells}")
    return [*lines, *([note] if note else []), ""]


def _shown(number: float | None, signed: bool = False) -> str:
    if number is None:
        return "-"
    sign = "+" if signed and number else ""
    return f"{number:{sign},d}" if isinstance(number, int) else f"{number:{sign},.3f}"
