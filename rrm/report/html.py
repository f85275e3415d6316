"""A report as one HTML page that needs nothing else: no script, no font, no picture from anywhere."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from rrm.core.place import level_name, node_level
from rrm.core.report import Interval, Report, TargetReport, TreeReport
from rrm.report.inert import inert
from rrm.report.outline import (
    DEEPEST,
    MARKED,
    NOTICED,
    ClaimRow,
    Limits,
    Losses,
    RootRow,
    Row,
    anchored,
    blamed,
    claim_rows,
    fitting,
    losing,
    losses,
    outline,
    root_rows,
    shown_tree,
)
from rrm.report.plots import (
    Overview,
    Scale,
    accuracy_plot,
    asking_plot,
    gold_plot,
    interval_svg,
    node_score,
    reliability_plot,
    rounds_plot,
    shade,
    tree_plot,
)

_SECRET = re.compile(r"(?:api_?key|secret|password|passwd|token)$", re.IGNORECASE)
_MOST_LINES = 50  # warnings, failures
PURPOSES = {
    "fit": "fit reward models",
    "improve": "improve policies",
    "choose": "choose between policies",
    "report": "report",
}


class _Target(NamedTuple):
    """What the template shows of one target."""

    number: int
    report: TargetReport
    roots: list[RootRow]
    different: int
    roots_in_all: int
    tree: TreeReport | None
    rows: list[Row]
    anchors: dict[str, str]
    overview: Overview | None
    losses: Losses | None
    gold: Markup | None
    claims: list[ClaimRow]
    least: list[ClaimRow]

    @property
    def by_claim(self) -> bool:
        """Whether blame was found claim by claim."""
        return blamed(self.report.claims)

    @property
    def least_told(self) -> bool:
        """Whether blame was found of the output with the least score."""
        return self.report.least is not None and blamed(self.report.least.claims)


def report_html(report: Report, limits: Limits | None = None) -> str:
    """Return the whole page; every text in it is shown as text, whatever it says.

    Trees and texts beyond the limits are left out, and the page says so.
    """
    limits = fitting(report.targets, limits or Limits())
    top = len(report.nodes_per_level) - 1
    levels = [*report.levels, *([report.flat] if report.flat else [])]
    page: str = (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            top=top,
            levels=levels,
            roots=report.levels[-1] if report.levels else None,
            targets=[_target(number, target, limits, top) for number, target in enumerate(report.targets)],
            accuracy=accuracy_plot(levels, top),
            reliability=reliability_plot(levels, top),
            rounds=rounds_plot(report.rounds, top),
            asking=asking_plot(report.asking),
            settings=list(_settings(report.settings)),
            limits=limits,
            most_lines=_MOST_LINES,
            deepest=DEEPEST,
            noticed=NOTICED,
            marked=MARKED,
        )
    )
    return page


def write_report(report: Report, path: Path) -> None:
    """Write the page, whole or not at all; the folder is made if need be."""
    write_whole(Path(path), report_html(report))


def write_whole(path: Path, text: str) -> None:
    """Write a text file under a temporary name, have it on the disk, and only then give it its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _target(number: int, target: TargetReport, limits: Limits, top: int) -> _Target:
    tree = shown_tree(target)
    anchors = anchored(tree, f"node-{number}", limits) if tree else {}
    return _Target(
        number,
        target,
        root_rows(target, limits),
        sum(len(tree.root_candidates) for tree in target.trees),
        sum(each.times for tree in target.trees for each in tree.root_candidates),
        tree,
        outline(tree, anchors, limits) if tree else [],
        anchors,
        tree_plot(tree, anchors) if tree else None,
        losses(tree, limits.worst) if tree else None,
        gold_plot(target, f"gold-{number}"),
        claim_rows(target.claims, tree, anchors, limits, top),
        claim_rows(target.least.claims, target.trees[target.least.tree], anchors, limits, top) if target.least else [],
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=_number, small=_small, interval=_interval, count=_count, duration=_duration, percent=_percent, line=_line
    )
    environment.globals.update(
        purposes=PURPOSES,
        level_name=level_name,
        node_level=node_level,
        interval_svg=interval_svg,
        losing=losing,
        node_score=node_score,
        shade=shade,
        Scale=Scale,
    )
    return environment


def _finalize(value: Any) -> Any:
    """Strip from every text that enters the page what could steer a browser or a terminal."""
    return inert(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _number(value: float | None, digits: int = 2, undefined: str = "–", signed: bool = False) -> str:
    if value is None:
        return undefined
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")


def _interval(value: Interval | None, digits: int = 2, undefined: str = "") -> str:
    return undefined if value is None else f"{_number(value.low, digits)} to {_number(value.high, digits)}"


def _small(value: float) -> str:
    """Return a gain with two digits that say something, however small it is."""
    return f"{value:+.3f}" if abs(value) >= 0.1 else f"{value:+.2g}"


def _count(value: int) -> str:
    return f"{value:,}"


def _percent(value: float | None, undefined: str = "–") -> str:
    return undefined if value is None else f"{100 * value:.0f} %"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _line(text: str, limit: int = 90) -> str:
    """Return a text's beginning on one line."""
    squeezed = " ".join(inert(text[: 4 * limit]).split())
    return squeezed if len(squeezed) <= limit and len(text) <= 4 * limit else squeezed[:limit].rstrip() + "…"


def _settings(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Return the settings a line each, keys dotted; what is named like a secret is not told."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _settings(value, f"{prefix}{key}.")
        elif isinstance(value, str) and value and _SECRET.search(str(key)):
            yield f"{prefix}{key} = (not shown)"
        else:
            yield f"{prefix}{key} = {json.dumps(value, ensure_ascii=False, default=str)}"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
