"""A report's figures as SVG to stand inside an HTML page.

Colours and letters come from the page: every colour is a CSS variable with a value to fall back on,
so the figures follow a light or dark page. Nothing here reads or sets matplotlib's global state for
longer than one drawing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import cycle, pairwise
from math import floor
from typing import Any, NamedTuple, Protocol

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rrm.core.place import level_name
from rrm.core.report import (
    AskingReport,
    Bin,
    Candidate,
    Correlation,
    Figures,
    Interval,
    LevelReport,
    NodeReport,
    RoundReport,
    TargetReport,
    TreeReport,
)
from rrm.report.inert import inert

# Okabe and Ito's palette, https://jfly.uni-koeln.de/color: apart for the colour-blind, and in grey.
INK, LINE, BLUE, ORANGE, GREEN, PINK = "#1c2126", "#c9ced4", "#0072b2", "#d55e00", "#009e73", "#cc79a7"
_VARIABLES = {INK: "ink", LINE: "line", BLUE: "blue", ORANGE: "orange", GREEN: "green", PINK: "pink"}
_LEAST_SPAN = 0.2  # of scores, from the bottom of a panel to its top
_WIDTH = 6.25  # inches; 600 CSS pixels at 96 a inch

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "auto",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "text.parse_math": False,
    "path.simplify": False,
}


def accuracy_plot(levels: Sequence[LevelReport], top: int, name: str = "accuracy") -> Markup | None:
    """Draw each level's held-out accuracy with its interval, beside its ceiling and its two baselines.

    None where no level has an accuracy.
    """
    shown = [level for level in levels if level.accuracy is not None]
    if not shown:
        return None
    with rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(_WIDTH, 0.95 + 0.62 * len(shown)), layout="constrained")
        axes = figure.subplots()
        for place, level in enumerate(shown):
            _accuracy_row(axes, place, level)
        axes.set_yticks(range(len(shown)), [f"{each.name(top)}\n{each.n_test:,} pairs" for each in shown])
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(min(0.4, *(_lowest(each) - 0.03 for each in shown)), 1.01)
        axes.axvline(0.5, color=INK, linewidth=0.8, linestyle=(0, (2, 3)), zorder=0)
        axes.grid(axis="x", zorder=0)
        axes.set_axisbelow(True)
        axes.set_xlabel("share of held-out comparisons predicted rightly (dotted: chance)")
        handles, labels = axes.get_legend_handles_labels()
        first = dict(zip(labels, handles, strict=True))
        figure.legend(first.values(), first.keys(), loc="outside upper center", ncols=3, handletextpad=0.3)
        return _svg(figure, name, "Accuracy by level with 95 % intervals, noise ceiling and baselines")


def _accuracy_row(axes: Axes, place: int, level: LevelReport) -> None:
    assert level.accuracy is not None
    if level.interval:
        axes.plot(level.interval, (place, place), color=BLUE, linewidth=2.2, solid_capstyle="round", zorder=2)
    axes.plot(level.accuracy, place, "o", color=BLUE, markersize=8, label="reward model, 95 %", linestyle="", zorder=4)
    others = (
        (level.noise_ceiling, "|", INK, 17, "noise ceiling", 0.0),
        (level.best_possible, "|", INK, 17, "best possible, estimated", 0.0),
        (level.longer_wins, "^", ORANGE, 6.5, "longer wins", -0.17),
        (level.bag_of_words, "s", GREEN, 5.5, "bag of words", -0.29),
        (level.verbatim, "x", ORANGE, 6.0, "more verbatim wins", -0.41),
    )
    for value, marker, colour, size, label, below in others:
        if value is not None:
            axes.plot(
                value,
                place + below,
                marker,
                color=colour,
                markersize=size,
                markeredgewidth=2 if marker in ("|", "x") else 0,  # marks without an inside
                label=label,
                linestyle="",
                zorder=3,
            )


def _lowest(level: LevelReport) -> float:
    baselines = (level.longer_wins, level.bag_of_words, level.verbatim)
    numbers = (level.accuracy, *baselines, level.interval.low if level.interval else None)
    return min(each for each in numbers if each is not None)


def reliability_plot(levels: Sequence[LevelReport], top: int, name: str = "reliability") -> Markup | None:
    """Draw a reliability diagram a level, dots sized by their share of the rows; None without any bins."""
    return _reliability([(level.name(top), level) for level in levels], name)


def reliability_figure(figures: Figures, title: str, name: str = "reliability") -> Markup | None:
    """Draw one model's reliability diagram, as `reliability_plot` does; a file of its own is this text, in UTF-8.

    Its colours are plain ones: few programs but browsers read a page's variables.
    """
    drawn = _reliability([(title, figures)], name)
    return None if drawn is None else Markup(re.sub(r"var\(--\w+, (#\w+)\)", r"\1", drawn))  # noqa: S704


def _reliability(titled: Sequence[tuple[str, LevelReport | Figures]], name: str) -> Markup | None:
    shown = [(title, figures) for title, figures in titled if figures.reliability]
    if not shown:
        return None
    across = 2 if len(shown) == 4 else min(3, len(shown))
    down = -(-len(shown) // across)
    low = _floor(min(min(each.predicted, each.observed) for _, figures in shown for each in figures.reliability))
    with rc_context({**_STYLE, "svg.hashsalt": name}):
        width = {1: 3.2, 2: 5.2, 3: _WIDTH}[across]
        figure = Figure(figsize=(width, (2.55 if across == 3 else 2.9) * down + 0.3), layout="constrained")
        grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
        panels = list(grid.flat)
        for axes, (title, figures) in zip(panels, shown, strict=False):
            _reliability_panel(axes, figures, title, low)
        for axes in panels[len(shown) :]:
            axes.set_visible(False)
        figure.supxlabel("predicted probability of the output held better", fontsize=9.5)
        figure.supylabel("share in which it was", fontsize=9.5)
        return _svg(figure, name, "Predicted probability against observed share")


def _reliability_panel(axes: Axes, figures: LevelReport | Figures, title: str, low: float) -> None:
    axes.plot((low, 1), (low, 1), color=INK, linewidth=0.8, linestyle=(0, (2, 3)), zorder=1)
    rows = sum(each.rows for each in figures.reliability)
    predicted, observed = [[getattr(each, side) for each in figures.reliability] for side in Bin._fields[:2]]
    axes.plot(predicted, observed, color=BLUE, linewidth=1, alpha=0.5, zorder=2)
    axes.scatter(
        predicted, observed, s=[12 + 260 * each.rows / rows for each in figures.reliability], color=BLUE, zorder=3
    )
    axes.set_xlim(low - 0.02, 1.02)
    axes.set_ylim(low - 0.02, 1.02)
    axes.set_aspect("equal")
    axes.tick_params(labelbottom=True)
    axes.grid()
    error = "" if figures.ece is None else f"ECE {figures.ece:.3f}"
    if figures.ece_interval:
        error += f" ({figures.ece_interval.low:.3f}–{figures.ece_interval.high:.3f})"
    axes.set_title(f"{title}\n{error}")


def _floor(lowest: float) -> float:
    return max(0.0, min(0.5, floor(lowest * 10) / 10))


def rounds_plot(rounds: Sequence[RoundReport], top: int, name: str = "rounds") -> Markup | None:
    """Draw, a panel a level, mean gold and mean acceptance by round; None where there are not two rounds of either."""
    levels = sorted({level.level for each in rounds for level in each.levels})
    lines = {level: _lines(rounds, level) for level in levels}
    shown = [level for level in levels if any(len(points) > 1 for points in lines[level].values())]
    if not shown:
        return None
    across = 2 if len(shown) == 4 else min(3, len(shown))
    down = -(-len(shown) // across)
    with rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=({1: 3.6, 2: 5.2, 3: _WIDTH}[across], 2.1 * down + 0.4), layout="constrained")
        panels = list(figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).flat)
        for axes, level in zip(panels, shown, strict=False):
            _rounds_panel(axes, lines[level])
            axes.set_title(level_name(level, top))
        low, high = panels[0].get_ylim()
        if high - low < _LEAST_SPAN:  # else a change in the fourth digit fills the panel
            panels[0].set_ylim((low + high - _LEAST_SPAN) / 2, (low + high + _LEAST_SPAN) / 2)
        for axes in panels[len(shown) :]:
            axes.set_visible(False)
        figure.supxlabel("round", fontsize=9.5)
        drawn = dict(each for axes in panels for each in zip(*axes.get_legend_handles_labels()[::-1], strict=True))
        figure.legend(drawn.values(), drawn.keys(), loc="outside upper center", ncols=2, handletextpad=0.4)
        return _svg(figure, name, "Mean gold and mean acceptance by round")


def _lines(rounds: Sequence[RoundReport], level: int) -> dict[str, list[tuple[int, float]]]:
    """Return the points (round from 1, value) of what is known of a level."""
    here = [(each.round + 1, found) for each in rounds for found in each.levels if found.level == level]
    return {
        "acceptance (proxy; each round by its own models)": [
            (at, each.proxy_mean) for at, each in here if each.proxy_mean is not None
        ],
        "gold": [(at, each.gold_mean) for at, each in here if each.gold_mean is not None],
    }


def _rounds_panel(axes: Axes, lines: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    for (label, points), colour, marker in zip(lines.items(), (BLUE, ORANGE), "os", strict=True):
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, marker=marker, color=colour, markersize=5, linewidth=1.6, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.12, y=0.15)
    axes.grid()
    axes.set_axisbelow(True)
    axes.tick_params(labelbottom=True)


def asking_plot(asking: AskingReport | None, name: str = "asking") -> Markup | None:
    """Draw what was to be had at the root against raters' minutes; None where questions were not chosen."""
    if asking is None or len(asking.waves) < 2:
        return None
    minutes = [wave.minutes for wave in asking.waves]
    with rc_context({**_STYLE, "svg.hashsalt": name}):
        known = [(wave.minutes, wave.gold) for wave in asking.waves if wave.gold is not None]
        figure = Figure(figsize=(5.6 if known else 3.6, 2.6), layout="constrained")
        believed, *others = figure.subplots(1, 2 if known else 1, squeeze=False, sharex=True)[0]
        believed.plot(minutes, [each.expected for each in asking.waves], "o-", color=BLUE)
        believed.set_title("acceptance, as believed")
        for axes in others:  # in a unit of its own: it need not be a probability that a rater accepts
            axes.plot(*zip(*known, strict=True), "s-", color=ORANGE)
            axes.set_title("gold")
        rounds = [after.minutes for before, after in pairwise(asking.waves) if after.round != before.round]
        for axes in (believed, *others):
            for at in rounds:
                axes.axvline(at, color="grey", linestyle=":", linewidth=1)
            axes.set_xlabel("minutes of raters")
            axes.grid()
        believed.set_ylabel("of what would be chosen")
        return _svg(figure, name, "What would be chosen at the root, by minutes of raters")


class Spent(Protocol):
    """A point of a frontier."""

    @property
    def kl(self) -> float: ...
    @property
    def gold(self) -> float | None: ...
    @property
    def proxy(self) -> float: ...


class Tried(Protocol):
    """Ways of optimising that were tried, with the points of each."""

    @property
    def anchor(self) -> Spent: ...
    @property
    def methods(self) -> Sequence[str]: ...
    def of(self, method: str) -> Sequence[Spent]: ...


def frontier_plot(tried: Tried, name: str = "frontier") -> Markup | None:
    """Draw gold (filled) and proxy (hollow, dashed) against the KL spent, a line a method; None without points."""
    if not tried.methods:
        return None
    with rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(_WIDTH, 4.2), layout="constrained")
        axes = figure.subplots()
        for at, method in enumerate(tried.methods):
            colour, marker = (BLUE, ORANGE, GREEN, PINK)[at % 4], "osD^vPX*"[at % 8]
            style = ("-", (0, (5, 1)))[at // 4 % 2]
            points = [tried.anchor, *tried.of(method)]
            gold = [(point.kl, point.gold) for point in points if point.gold is not None]
            if gold:
                axes.plot(*zip(*gold, strict=True), marker=marker, color=colour, ls=style, markersize=5, label=method)
            proxy = [(point.kl, point.proxy) for point in points]
            label = None if gold else method
            axes.plot(
                *zip(*proxy, strict=True),
                marker=marker,
                color=colour,
                ls=":",
                mfc="none",
                markersize=4,
                lw=1,
                label=label,
            )
        axes.set_xlabel("KL from the anchor, nats a node")
        axes.set_ylabel("gold (filled); proxy (hollow, dotted)")
        axes.grid()
        axes.set_axisbelow(True)
        figure.legend(loc="outside upper center", ncols=2, handletextpad=0.4)
        return _svg(figure, name, "Gold and proxy against the KL from the anchor, by method")


class _Point(NamedTuple):
    tree: int
    candidate: Candidate
    gold: float


def gold_plot(target: TargetReport, name: str = "gold") -> Markup | None:
    """Draw the root candidates' gold against their composed score, and against their own; the chosen one ringed.

    None where fewer than two candidates have both.
    """
    points = [
        _Point(number, candidate, candidate.gold)
        for number, tree in enumerate(target.trees)
        for candidate in tree.root_candidates
        if candidate.gold is not None
    ]
    if sum(each.candidate.composed is not None for each in points) < 2:
        return None
    with rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(_WIDTH, 3.35), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.1})
        chosen = target.chosen.id if target.chosen else None
        _gold_panel(left, points, "composed", chosen, target.composed_correlation)
        _gold_panel(right, points, "own", chosen, target.own_correlation)
        left.set_ylabel("gold: true quality")
        handles, labels = left.get_legend_handles_labels()
        if len(handles) > 1:
            figure.legend(handles, labels, loc="outside lower center", ncols=5, handletextpad=0.2, columnspacing=1.2)
        return _svg(figure, name, "True quality of root candidates against their composed and own scores")


def _gold_panel(
    axes: Axes, points: Sequence[_Point], score: str, chosen: str | None, correlation: Correlation | None
) -> None:
    colours, markers = cycle((BLUE, ORANGE, GREEN, PINK)), cycle("osD^v")
    for tree in sorted({each.tree for each in points}):
        colour, marker = next(colours), next(markers)
        known = [each for each in points if each.tree == tree and getattr(each.candidate, score) is not None]
        x, y = [getattr(each.candidate, score) for each in known], [each.gold for each in known]
        axes.plot(x, y, marker, color=colour, markersize=5.5, alpha=0.8, linestyle="", label=f"tree {tree}", zorder=3)
    best = next((each for each in points if each.candidate.id == chosen), None)
    if best is not None and getattr(best.candidate, score) is not None:
        axes.plot(
            getattr(best.candidate, score),
            best.gold,
            "o",
            markersize=13,
            markerfacecolor="none",
            markeredgecolor=INK,
            markeredgewidth=1.6,
            linestyle="",
            label="chosen",
            zorder=4,
        )
    axes.grid()
    axes.set_axisbelow(True)
    axes.locator_params(axis="x", nbins=3)  # scores that lie close together have long labels
    axes.set_xlabel(f"{score} score (probability)")
    told = "undefined" if correlation is None or correlation.value is None else f"{correlation.value:+.2f}"
    if correlation and correlation.interval:
        told += f" ({correlation.interval.low:+.2f} to {correlation.interval.high:+.2f})"
    axes.set_title(f"{score}: rank correlation\n{told}")


def _svg(figure: Figure, name: str, label: str) -> Markup:
    """Return the figure as one SVG element whose ids no other figure of the page has."""
    buffer = StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text[text.index("<svg") :], flags=re.DOTALL)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    text = re.sub(r' id="([^"]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)
    for colour, variable in _VARIABLES.items():
        text = re.sub(rf": {colour}\b", f": var(--{variable}, {colour})", text)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", text)
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', text)[1]) * 4 / 3  # type: ignore[index]
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    size = f"width:100%;max-width:{width:.0f}px;min-width:{0.72 * width:.0f}px"
    head = f'<svg role="img" aria-label="{label}" class="plot" style="{size}"'
    return Markup(re.sub(r"\n\s*\n+", "\n", text.replace("<svg", head, 1)))  # noqa: S704


# ---- drawings of our own: an interval, and a tree's scores ----


def interval_svg(value: float, interval: Interval | None) -> Markup:
    """Draw a probability on a line from 0 to 1 with its interval as a band."""
    low, high = (_clipped(each) for each in (interval or (value, value)))
    ticks = Markup("").join(
        Markup('<line x1="{x}" x2="{x}" y1="15" y2="21"/><text x="{x}" y="37">{tick}</text>').format(
            x=10 + 380 * tick, tick=f"{tick:g}"
        )
        for tick in (0, 0.25, 0.5, 0.75, 1)
    )
    return Markup(
        '<svg class="interval" viewBox="0 0 400 40" role="img" aria-label="{label}">'
        '<line class="track" x1="10" x2="390" y1="18" y2="18"/>{ticks}'
        '<rect class="band" x="{x:.1f}" y="9" width="{width:.1f}" height="18" rx="4"/>'
        '<line class="mean" x1="{mean:.1f}" x2="{mean:.1f}" y1="6" y2="29"/></svg>'
    ).format(
        label=f"{value:.2f}, 90 % interval {low:.2f} to {high:.2f}",
        ticks=ticks,
        x=10 + 380 * low,
        width=max(1.0, 380 * (high - low)),
        mean=10 + 380 * _clipped(value),
    )


class Scale(NamedTuple):
    """The scores that the ends of the colours stand for."""

    low: float
    high: float


@dataclass(frozen=True)
class Overview:
    """A tree drawn as boxes under boxes, and what its colours mean."""

    svg: Markup
    scale: Scale


_LOW, _MIDDLE, _HIGH = (204, 85, 10), (247, 240, 214), (0, 98, 170)
_ROW, _FULL, _THINNEST = 40, 1000.0, 2.0


def node_score(node: NodeReport) -> float | None:
    """Return the composed score of what was chosen at a node, or else its own."""
    best = node.chosen
    return None if best is None else best.composed if best.composed is not None else best.own


def tree_plot(tree: TreeReport, anchors: Mapping[str, str]) -> Overview | None:
    """Draw a tree: the root across the top, under each node its parts, as wide as their share of the leaves.

    Colours run from the lowest to the highest score in the tree, rounded outwards to tenths.
    `anchors` leads from nodes to the ids in the page at which they are described. A part that
    several parents share stands under the first. Where nodes are thinner than 1/500 of the
    width, neighbours are drawn as one with their mean score. None without a single score.
    """
    nodes = {node.id: node for node in tree.nodes}
    scores = {each.id: score for each in tree.nodes if (score := node_score(each)) is not None}
    if not scores or tree.root not in nodes:
        return None
    scale = Scale(floor(min(scores.values()) * 10) / 10, -floor(-max(scores.values()) * 10) / 10)
    boxes = _boxes(nodes, tree.root)
    rows = 1 + max(box.row for box in boxes)
    height = min(_ROW, max(4.0, 400 / rows))
    body = Markup("").join(
        _box(nodes[box.nodes[0]], box, scores, scale, anchors, height)
        if len(box.nodes) == 1
        else _merged(box, scores, scale, height)
        for box in _joined(boxes)
    )
    label = f"the tree of {len(nodes)} nodes, coloured by composed score"
    svg = Markup('<svg class="tree" viewBox="0 0 {w:.0f} {h:.1f}" role="img" aria-label="{label}">{body}</svg>').format(
        w=_FULL, h=rows * height, label=label, body=body
    )
    return Overview(svg, scale)


class _Box(NamedTuple):
    nodes: tuple[str, ...]
    row: int
    x: float
    width: float


def _boxes(nodes: Mapping[str, NodeReport], root: str) -> list[_Box]:
    """Return a box a node; each node stands once, under the first parent met from the left."""
    parts = _first_visits(nodes, root)
    leaves = {node: 1 for node, under in parts.items() if not under}
    for node in reversed(parts):
        leaves[node] = leaves.get(node) or sum(leaves[part] for part in parts[node])
    boxes = [_Box((root,), 0, 0.0, _FULL)]
    for box in boxes:
        x, unit = box.x, box.width / leaves[box.nodes[0]]
        for part in parts[box.nodes[0]]:
            boxes.append(_Box((part,), box.row + 1, x, unit * leaves[part]))
            x += unit * leaves[part]
    return boxes


def _first_visits(nodes: Mapping[str, NodeReport], root: str) -> dict[str, list[str]]:
    """Return the parts that stand under each node, every parent before its parts."""
    parts: dict[str, list[str]] = {}
    seen, waiting = {root}, [root]
    for node in waiting:
        fresh = [part for part in dict.fromkeys(nodes[node].children) if part in nodes and part not in seen]
        parts[node] = fresh
        seen.update(fresh)
        waiting.extend(fresh)
    return parts


def _joined(boxes: Sequence[_Box]) -> list[_Box]:
    """Join neighbours that are too thin to be seen."""
    joined: list[_Box] = []
    for box in boxes:
        last = joined[-1] if joined else None
        thin = last is not None and box.width < _THINNEST and last.row == box.row and last.width < _THINNEST
        if last is not None and thin:
            joined[-1] = _Box((*last.nodes, *box.nodes), box.row, last.x, box.x + box.width - last.x)
        else:
            joined.append(box)
    return joined


def _box(
    node: NodeReport,
    box: _Box,
    scores: Mapping[str, float],
    scale: Scale,
    anchors: Mapping[str, str],
    height: float,
) -> Markup:
    score = scores.get(node.id)
    told = "failed" if node.failure else "no score" if score is None else f"score {score:.2f}"
    said = "" if score is None or box.width < 60 or height < 20 else f"{score:.2f}"
    drawn = Markup(
        '<rect x="{x:.2f}" y="{y:.1f}" width="{w:.2f}" height="{h:.1f}" {fill}><title>{title}</title></rect>{text}'
    ).format(
        x=box.x + 0.5 * (box.width > 4),
        y=box.row * height + 1,
        w=max(0.6, box.width - (1.5 if box.width > 4 else 0.0)),
        h=height - 2,
        fill=_fill(score, scale, bool(node.failure)),
        title=f"level {node.level}: {told}: {inert(node.title[:80])}",
        text=_text(said, box, height, score, scale),
    )
    anchor = anchors.get(node.id)
    return Markup('<a href="#{anchor}">{drawn}</a>').format(anchor=anchor, drawn=drawn) if anchor else drawn


def _merged(box: _Box, scores: Mapping[str, float], scale: Scale, height: float) -> Markup:
    known = [scores[node] for node in box.nodes if node in scores]
    score = sum(known) / len(known) if known else None
    told = "" if score is None else f", mean score {score:.2f}"
    return Markup(
        '<rect x="{x:.2f}" y="{y:.1f}" width="{w:.2f}" height="{h:.1f}" {fill}><title>{title}</title></rect>'
    ).format(
        x=box.x,
        y=box.row * height + 1,
        w=box.width,
        h=height - 2,
        fill=_fill(score, scale, False),
        title=f"{len(box.nodes)} nodes{told}",
    )


def _text(said: str, box: _Box, height: float, score: float | None, scale: Scale) -> Markup:
    if not said:
        return Markup("")
    place = Markup('<text x="{x:.1f}" y="{y:.1f}" fill="{fill}">{said}</text>')
    dark = score is not None and abs(_share(score, scale) - 0.5) > 0.3
    fill = "#ffffff" if dark else "#1c2126"
    return place.format(x=box.x + box.width / 2, y=(box.row + 0.5) * height + 6, fill=fill, said=said)


def _fill(score: float | None, scale: Scale, failed: bool) -> Markup:
    if failed:
        return Markup('class="failed"')
    return Markup('class="unscored"') if score is None else Markup('fill="{}"').format(shade(score, scale))


def shade(score: float, scale: Scale) -> str:
    """Return the colour of a score: orange at the lower end, pale in the middle, blue at the upper end."""
    share = _share(score, scale)
    start, end, part = (_LOW, _MIDDLE, 2 * share) if share < 0.5 else (_MIDDLE, _HIGH, 2 * share - 1)
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in zip(start, end, strict=True))


def _share(score: float, scale: Scale) -> float:
    return _clipped((score - scale.low) / (scale.high - scale.low)) if scale.high > scale.low else 0.5


def _clipped(number: float) -> float:
    return min(1.0, max(0.0, number))
