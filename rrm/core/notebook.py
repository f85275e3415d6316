"""A report in a few lines, as text and as a fragment of HTML: what a console and a notebook show of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from rrm.core.place import level_name

if TYPE_CHECKING:
    from rrm.core.report import Interval, LevelReport, Report, RoundReport, TargetReport

_LONELY = "needs two or more training sources"
_MOST_TARGETS, _MOST_CHARACTERS = 3, 2000


def text_of(report: Report) -> str:
    """Return a few lines: what was run, how well each level's model predicts, and what was chosen."""
    lines = [f"{report.name}: {_sources(report)}"]
    known = [level for level in _levels(report) if level.accuracy is not None]
    if known:
        accuracies = (
            f"{level.name(report.top)} {level.accuracy:.2f}{_between(level.interval, ', 95 % ')}" for level in known
        )
        lines.append(f"accuracy on held-out sources: {'; '.join(accuracies)}")
    elif report.train_sources == 1:
        lines.append(f"accuracy {_LONELY}")
    lines += [_line(target) for target in report.targets[:_MOST_TARGETS]]
    if len(report.targets) > _MOST_TARGETS:
        lines.append(f"and {len(report.targets) - _MOST_TARGETS} more targets")
    return "<rrm report " + "\n  ".join(lines) + ">"


def html_of(report: Report) -> str:
    """Return a fragment that needs nothing else: tables of levels and rounds, and the first target's chosen text."""
    parts = [f"<p><b>{_text(report.name)}</b>: {_text(_sources(report))}</p>"]
    if report.levels:
        parts.append(_levels_table(report))
    if report.levels and report.train_sources == 1:
        parts.append(f"<p>accuracy on held-out sources {_LONELY}</p>")
    if len(report.rounds) > 1:
        parts.append(_rounds_table(report, report.rounds))
    parts += [_target(target) for target in report.targets[:1]]
    if len(report.targets) > 1:
        parts.append(f"<p>{len(report.targets) - 1} more in <code>report.targets</code></p>")
    return f"<div>{''.join(parts)}</div>"


def _levels_table(report: Report) -> str:
    rows = [
        (
            level.name(report.top),
            f"{level.n_train:,}",
            f"{level.n_test:,}",
            _number(level.accuracy),
            _between(level.interval),
            _number(level.best_possible if level.noise_ceiling is None else level.noise_ceiling),
            _number(level.longer_wins),
            _number(level.bag_of_words),
            _number(level.verbatim),
        )
        for level in _levels(report)
    ]
    heads = ("level", "ratings", "tested", "accuracy", "95 %", "ceiling", "longer wins", "bag of words", "verbatim")
    return _table(heads, rows)


def _rounds_table(report: Report, rounds: Sequence[RoundReport]) -> str:
    rows = [
        (
            str(each.round + 1),
            level_name(level.level, report.top),
            _number(level.gold_mean),
            _number(level.proxy_mean),
            _number(level.kl),
            f"{_number(level.spent.nats)} ({level.spent.how})" if level.spent else "–",
            _number(level.entropy),
        )
        for each in rounds
        for level in each.levels
    ]
    return _table(("round", "level", "gold", "acceptance", "KL (nats)", "spent", "entropy (nats)"), rows)


def _target(target: TargetReport) -> str:
    chosen = target.chosen
    if chosen is None:
        return f"<p><b>{_text(target.title)}</b>: no root output</p>"
    score = f"<p><b>{_text(target.title)}</b>: {_number(chosen.composed)}"
    score += f"{_between(chosen.composed_interval, ', 90 % interval ')}</p>"
    more = len(chosen.text) - _MOST_CHARACTERS
    cut = f" … {more:,} more characters" if more > 0 else ""
    return f"{score}<blockquote><bdi>{_text(chosen.text[:_MOST_CHARACTERS])}</bdi>{cut}</blockquote>"


def _line(target: TargetReport) -> str:
    chosen = target.chosen
    if chosen is None or chosen.composed is None:
        return f"{target.title}: {'no score' if chosen else 'no root output'}"
    return f"{target.title}: {chosen.composed:.3f}{_between(chosen.composed_interval, ', 90 % interval ')}"


def _sources(report: Report) -> str:
    def several(count: int, what: str) -> str:
        return f"{count:,} {what}{'' if count == 1 else 's'}"

    counts = [several(report.train_sources, "training source"), several(report.target_sources, "target")]
    counts += [several(report.outputs, "output"), several(report.ratings, "rating")]
    if len(report.rounds) > 1:
        counts.append(several(len(report.rounds), "round"))
    return ", ".join([*counts, f"{report.seconds:.0f} s"])


def _levels(report: Report) -> Iterable[LevelReport]:
    return (*report.levels, *([report.flat] if report.flat else []))


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(each)}</th>" for each in heads)
    body = "".join(f"<tr>{''.join(f'<td>{_text(each)}</td>' for each in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(text: str) -> str:
    """Return text as HTML, without what could steer the page or its reader: controls and overrides of direction."""
    plain = "".join(each for each in text if each.isprintable() or each in "\n\t")
    return escape(plain)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _between(interval: Interval | None, before: str = "") -> str:
    return "" if interval is None else f"{before}{interval.low:.2f} to {interval.high:.2f}"
