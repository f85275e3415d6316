"""Gold against KL for several ways of optimising: the frontier, as a figure, a page, JSON and text."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from markupsafe import Markup

from rrm.core.report import FromOutputs, Interval
from rrm.files import write_json
from rrm.report.html import write_whole
from rrm.report.plots import frontier_plot


@dataclass(frozen=True)
class Optimised:
    """What one optimiser made of the anchor with a budget of KL, measured on sources that it did not learn from.

    `kl` is what it says it spent, in nats a node, and `how` it knows; `gold` and `proxy` are means over outputs, with
    95 % intervals over sources; `distinct` is the share of a node's outputs that differ. `entropy` is in nats, and
    `covered` the share of the anchor's outputs that the policy writes at least a tenth as probably as the anchor does;
    either is None where the policy does not know, and `entropy_from` says what an entropy that is not exact rests on.
    `select` is mean acceptance by the judge of role select, None in a run without one; `self_bleu` is how much a node's
    outputs repeat each other, in [0, 1], None where there is one.
    """

    method: str
    budget: float
    kl: float
    how: str
    gold: float | None
    gold_interval: Interval | None
    proxy: float
    proxy_interval: Interval | None
    distinct: float
    entropy: float | None
    covered: float | None
    select: float | None = None
    self_bleu: float | None = None
    entropy_from: FromOutputs | None = None


@dataclass(frozen=True)
class Stopping:
    """Where role select, which is not optimised against, forecasts the peak, in nats, and whether it was passed.

    `kl` is None where the peak is out of sight.
    """

    kl: float | None
    passed: bool


@dataclass(frozen=True)
class FittedLaw:
    """A law of over-optimisation fitted to one method's gold, and the KL, in nats, at which its gold is greatest.

    `peak` is None where the law never falls.
    """

    form: str
    alpha: float
    alpha_interval: Interval
    beta: float
    beta_interval: Interval
    peak: float | None


@dataclass(frozen=True)
class Frontier:
    """All that was tried at one level of a run; `anchor` is the policy that the KL counts from, at 0 nats."""

    run: str
    level: str
    anchor: Optimised
    points: tuple[Optimised, ...]
    laws: Mapping[str, FittedLaw]
    learned_on: int
    measured_on: int
    nodes: int
    outputs: int
    failed: Mapping[str, str] = field(default_factory=dict)
    stops: Mapping[str, Stopping] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the object that `rrm frontier DIR --json` ends with."""
        return asdict(self)

    @property
    def methods(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(point.method for point in self.points))

    def of(self, method: str) -> list[Optimised]:
        """Return a method's points, by what they spent."""
        return sorted((point for point in self.points if point.method == method), key=lambda point: point.kl)


def write_frontier(frontier: Frontier, folder: Path) -> None:
    """Write frontier.json and frontier.html into a folder, each whole or not at all."""
    write_json(folder / "frontier.json", frontier.to_json())
    write_whole(folder / "frontier.html", frontier_html(frontier))


def frontier_text(frontier: Frontier) -> str:
    """Return the table as plain text, with what was learned and measured on in front."""
    rows: list[tuple[str, ...]] = [
        ("method", "budget", "KL", "gold", "proxy", "select", "entropy", "covered", "distinct", "self-BLEU")
    ]
    for point in (frontier.anchor, *frontier.points):
        spent = "0" if point is frontier.anchor else f"{point.kl:.3f} {point.how}"
        budget = "" if point is frontier.anchor else f"{point.budget:g}"
        gold, proxy = _with(point.gold, point.gold_interval), _with(point.proxy, point.proxy_interval)
        rows.append((point.method, budget, spent, gold, proxy, *_plain(point)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([_headline(frontier), "", *lines, *_said(frontier)])


def frontier_html(frontier: Frontier) -> str:
    """Return one page that stands by itself: the figure, the table, the laws."""
    figure = frontier_plot(frontier) or Markup("")
    rows = "".join(
        f"<tr><td>{escape(point.method)}</td><td>{'' if point is frontier.anchor else f'{point.budget:g}'}</td>"
        f"<td>{point.kl:.3f}</td><td>{escape(point.how)}</td><td>{_with(point.gold, point.gold_interval)}</td>"
        f"<td>{_with(point.proxy, point.proxy_interval)}</td>"
        f"{''.join(f'<td>{each}</td>' for each in _plain(point))}</tr>"
        for point in (frontier.anchor, *frontier.points)
    )
    laws = "".join(f"<li>{escape(line)}</li>" for line in _said(frontier) if line)
    return _PAGE.format(
        title=escape(f"Frontier of {frontier.run}"),
        head=escape(_headline(frontier)),
        figure=figure,
        rows=rows,
        laws=laws,
    )


def _headline(frontier: Frontier) -> str:
    return (
        f"{frontier.run}, {frontier.level}: sources learned from {frontier.learned_on}, measured on "
        f"{frontier.measured_on} others ({frontier.nodes} nodes, {frontier.outputs} outputs each)"
    )


def _said(frontier: Frontier) -> Sequence[str]:
    lines = [""]
    for method, law in frontier.laws.items():
        shape = "d (alpha - beta d)" if law.form == "best_of_n" else "d (alpha - beta ln d)"
        falls = law.peak is not None and law.peak < 100
        low, high = law.beta_interval
        peak = f"gold peaks at {law.peak:.2f} nats" if falls else "gold does not fall within 100 nats"
        if low <= 0 < law.beta:
            peak = (
                f"beta may be 0 (95 % interval {low:.3f} to {high:.3f}), so that where gold peaks, or whether, is open"
            )
        lines.append(
            f"{method}: gold gained = {shape}, d = sqrt(KL), alpha {law.alpha:.3f}, beta {law.beta:.3f}: {peak}"
        )
    for method, found in frontier.stops.items():
        told = "has been passed" if found.passed else "lies further than was tried"
        peak = "no peak is in sight" if found.kl is None else f"the peak is at {found.kl:.2f} nats, and {told}"
        lines.append(f"{method}: by the judge of role select alone, {peak}")
    lines += [f"{method}: {why}" for method, why in frontier.failed.items()]
    return lines if len(lines) > 1 else []


def _plain(point: Optimised) -> tuple[str, ...]:
    """Return the cells of what has no interval."""
    sign = point.entropy_from.sign if point.entropy_from else ""
    entropy = "–" if point.entropy is None else f"{sign}{point.entropy:.2f}"
    others = (point.covered, point.distinct, point.self_bleu)
    return _with(point.select, None), entropy, *("–" if each is None else f"{each:.2f}" for each in others)


def _with(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" + (f" ({interval.low:.3f} to {interval.high:.3f})" if interval else "")


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light dark; --ink: #1c2126; --line: #c9ced4; --paper: #fff }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6e8ea; --line: #4a5058; --paper: #16191c }} }}
body {{ font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 68rem; padding: 0 1rem }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100% }}
div.wide {{ overflow-x: auto }}
td, th {{ text-align: left; padding: .2rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap }}
</style></head><body>
<h1>{title}</h1>
<p>{head}. Gold reports; nothing was optimised against it or chosen by it. Intervals are over sources.</p>
{figure}
<div class="wide"><table><thead><tr><th>method</th><th>budget, nats</th><th>KL spent</th><th>known how</th><th>gold</th>
<th>proxy</th><th>select</th><th>entropy, nats</th><th>covered</th><th>distinct</th><th>self-BLEU</th></tr></thead>
<tbody>{rows}</tbody></table></div><ul>{laws}</ul></body></html>
"""
