"""A task graph as text for a terminal and as a drawing in SVG."""

from collections.abc import Mapping
from html import escape
from statistics import fmean

from rrm.core.errors import InputError
from rrm.core.graph import TaskGraph
from rrm.core.task import Source, Span

_LEVEL_HEIGHT, _MARGIN, _LEGEND = 90, 48, 44  # pixels
_LABEL_WIDTH = 78  # pixels for the names of the levels
_WIDEST, _NARROWEST, _PAGE = 72.0, 4.0, 1180  # pixels between leaves, and for all of them if they fit
_LOW, _MIDDLE, _HIGH = (178, 70, 36), (244, 240, 232), (33, 102, 172)  # apart for the colour-blind too
_UNSCORED = "#ffffff"


def tree_text(graph: TaskGraph, source: Source | None = None, width: int = 100) -> str:
    """Return the tree as lines of at most `width` characters: level, id, size, and with a source its first words.

    A node that several parents share is written out once and referred to after that.
    """
    lines: list[str] = []
    seen: set[str] = set()
    waiting = [(graph.root, "", "")]
    while waiting:
        node, stem, branch = waiting.pop()
        again = node in seen
        lines.append(_clip(f"{stem}{branch}{_described(graph, node, source, width)}{' (see above)' * again}", width))
        children = () if again else graph.children(node)
        seen.add(node)
        below = stem + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
        for child in reversed(children):
            waiting.append((child, below, "└─ " if child == children[-1] else "├─ "))
    return "\n".join(lines) + "\n"


def tree_svg(
    graph: TaskGraph, colour: Mapping[str, float] | None = None, labels: Mapping[str, str] | None = None
) -> str:
    """Return a self-contained drawing: one row a level, leaves left to right, context edges dashed.

    `colour` gives nodes a score in [0, 1]; nodes without one stay white. `labels` replaces what a
    node's tooltip says. Every text is escaped, and nothing outside the file is referred to. Each
    node carries its id as `data-node`. Raises InputError for a score outside [0, 1].
    """
    colour, labels = colour or {}, labels or {}
    for node, score in colour.items():
        if not 0 <= score <= 1:
            raise InputError(f"{node}: a colour is a score between 0 and 1, got {score}")
    places, step = _places(graph)
    width = int(max(x for x, _ in places.values()) + _MARGIN)
    height = int(max(y for _, y in places.values()) + _MARGIN + (_LEGEND if colour else 0))
    body = [
        *_level_names(graph, places),
        *_edges(graph, places),
        *(_circle(graph, node, *places[node], _radius(graph, node, step), colour, labels) for node in graph.in_order()),
        *(_legend(height) if colour else ()),
    ]
    what = f"a task graph of {len(graph)} nodes on {len(graph.levels)} levels"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img" aria-label="{what}" font-family="system-ui, sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _described(graph: TaskGraph, node: str, source: Source | None, width: int) -> str:
    task, children, about = graph.task(node), graph.children(node), []
    if node in graph.open:
        about.append("open")
    if children:
        about.append(f"{len(children)} parts")
    if task.span is not None:
        about.append(f"{task.span.end - task.span.start:,} characters")
    about.append(f"≤ {task.max_tokens:,} tokens")
    start = _first_kept(graph, node, task.span) if task.span else 0
    text = source.text[start : start + 2 * width] if source and task.span else ""
    words = f"  “{_printable(text)}”" if text.strip() else ""
    if source and (task.span is None or _has_instruction_of_its_own(graph, node)):
        words = f"  {_printable(task.instruction)}"
    return f"level {graph.height(node)}  {_short(node)}  {', '.join(about)}{words}"


def _has_instruction_of_its_own(graph: TaskGraph, node: str) -> bool:
    """Whether a node and its siblings, or the root's parts, are asked for different things."""
    parents = graph.parents(node)
    among = graph.children(parents[0] if parents else node)
    return len({graph.task(each).instruction for each in among}) > 1


def _first_kept(graph: TaskGraph, node: str, span: Span) -> int:
    """Return where the text begins that a node is about: after a licence, say, which it skips."""
    start = span.start
    for skipped in sorted(graph.skipped(node)):
        start = skipped.end if skipped.start == start else start
    return start


def _short(node: str) -> str:
    return node.removeprefix("node-")[:8]


def _printable(text: str) -> str:
    """Return a text on one line, without characters that move a terminal's cursor or that XML forbids."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _clip(line: str, width: int) -> str:
    return line if len(line) <= width else line[: max(0, width - 1)] + "…"


# ---- the drawing ----


def _places(graph: TaskGraph) -> tuple[dict[str, tuple[float, float]], float]:
    """Return where each node stands, (x, y) in pixels, and the distance between leaves.

    Leaves stand evenly; a node stands over the middle of its parts, pushed right where another
    is in its way.
    """
    leaves = graph.leaves
    step = max(_NARROWEST, min(_WIDEST, (_PAGE - _LABEL_WIDTH - 2 * _MARGIN) / max(1, len(leaves) - 1)))
    left, top = _LABEL_WIDTH + _MARGIN, len(graph.levels) - 1
    places: dict[str, tuple[float, float]] = {}
    for level, nodes in enumerate(graph.levels):
        y = _MARGIN + (top - level) * _LEVEL_HEIGHT
        wanted = {node: fmean(places[child][0] for child in graph.children(node)) for node in nodes} if level else {}
        x = left - step
        for number, node in enumerate(sorted(nodes, key=wanted.__getitem__) if level else nodes):
            x = max(x + step, wanted[node]) if level else left + number * step
            places[node] = (x, float(y))
    return places, step


def _radius(graph: TaskGraph, node: str, step: float) -> float:
    return max(1.6, min(11.0, 0.38 * step + 2 * graph.height(node)))


def _level_names(graph: TaskGraph, places: Mapping[str, tuple[float, float]]) -> list[str]:
    rows = []
    for level, nodes in enumerate(graph.levels):
        y = places[nodes[0]][1]
        name = "leaves" if level == 0 else f"level {level}"
        rows.append(f'<text x="14" y="{y:.0f}" fill="#333333">{name}</text>')
        rows.append(f'<text x="14" y="{y + 15:.0f}" fill="#777777" font-size="11">{len(nodes)}</text>')
    return rows


def _edges(graph: TaskGraph, places: Mapping[str, tuple[float, float]]) -> list[str]:
    parts: list[str] = []
    context: list[str] = []
    for earlier, later, edge in graph.networkx.edges(data=True):
        (x, y), (to_x, to_y) = places[earlier], places[later]
        if edge["kind"] == "part":
            middle = (y + to_y) / 2
            parts.append(f"M{x:.1f} {y:.1f}C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}")
        else:
            sag = y + min(26.0, 6 + 0.3 * abs(to_x - x))
            context.append(f"M{x:.1f} {y:.1f}Q{(x + to_x) / 2:.1f} {sag:.1f} {to_x:.1f} {to_y:.1f}")
    rows = []
    if parts:
        rows.append(f'<path class="part" d="{"".join(parts)}" fill="none" stroke="#9aa3ad" stroke-width="1"/>')
    if context:
        dashed = 'stroke="#c58b2a" stroke-width="1" stroke-dasharray="3 2"'
        rows.append(f'<path class="context" d="{"".join(context)}" fill="none" {dashed}/>')
    return rows


def _circle(
    graph: TaskGraph,
    node: str,
    x: float,
    y: float,
    radius: float,
    colour: Mapping[str, float],
    labels: Mapping[str, str],
) -> str:
    score = colour.get(node)
    said = labels.get(node) or _described(graph, node, None, 0)
    title = _printable(said) + ("" if score is None else f"  score {score:.2f}")
    fill = _UNSCORED if score is None else _shade(score)
    shape = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{fill}"'
    line = f'stroke="#3a4149" stroke-width="{min(1.0, radius / 4):.1f}"'
    return f'<circle data-node="{escape(node)}" {shape} {line}><title>{escape(title)}</title></circle>'


def _shade(score: float) -> str:
    start, end, share = (_LOW, _MIDDLE, 2 * score) if score < 0.5 else (_MIDDLE, _HIGH, 2 * score - 1)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(start, end, strict=True))


def _legend(height: int) -> list[str]:
    y, wide = height - 34, 16
    steps = [
        f'<rect x="{14 + wide * tenth}" y="{y}" width="{wide}" height="10" fill="{_shade(tenth / 10)}"/>'
        for tenth in range(11)
    ]
    marks = ((14, y + 24, "0"), (14 + 10 * wide, y + 24, "1"), (14 + 12 * wide, y + 10, "score"))
    return [*steps, *(f'<text x="{x}" y="{at}" fill="#555555">{text}</text>' for x, at, text in marks)]
