"""How far a run is, on the terminal: what was done at each level, round by round."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rrm.core.place import Place

_SPENT = {"seconds": "s of work", "calls": "model calls", "tokens": "tokens", "money": "in money"}


def print_status(found: Mapping[str, Any], directory: Path, console: Console | None = None) -> None:
    """Print what `rrm.api.look.status` returned."""
    console = console or Console(highlight=False, markup=False, emoji=False)
    end = "finished" if found["finished"] else "not finished"
    console.print(f"{found['name']}: {end}")
    if found["steps"]:
        console.print(_steps(found["steps"]))
    console.print(_ratings(found))
    if found["under_way"]:
        console.print(found["under_way"])
    if found["workers"]:
        console.print(_workers(found["workers"]))
    if found["waiting_for"]:
        owed = ", ".join(f"{count:,} answers about {place}" for place, count in found["waiting_for"].items())
        console.print(f"waiting for {owed}")
    if found["spent"]:
        spent = (f"{amount:,.0f} {_SPENT.get(kind, kind)}" for kind, amount in found["spent"].items())
        console.print(f"spent: {', '.join(spent)}")
    for asker, calls in found["calls"].items():
        endings = ", ".join(f"{count:,} {ending}" for ending, count in calls["endings"].items())
        console.print(f"calls of the {asker}: {endings}")
    for line in (*found["notes"], *found["failures"]):
        console.print(f"! {line}")
    if found["finished"]:
        console.print(f"report: {directory / 'report.html'}", soft_wrap=True)


def _workers(workers: Sequence[Mapping[str, Any]]) -> Table:
    """Return a row for each worker elsewhere that is at work."""
    table = Table(box=None, pad_edge=False)
    for title in ("worker", "machine", "does", "since", "how it goes"):
        table.add_column(title)
    for each in workers:
        since = datetime.fromisoformat(each["since"])
        table.add_row(
            each["worker"], each["host"], f"{each['step']} {each['actions']:,}", f"{since:%H:%M:%S}", each["how"]
        )
    return table


def _steps(steps: Sequence[Mapping[str, Any]]) -> Table:
    """Return a row for each place, with what was done there and how often."""
    table = Table(box=None, pad_edge=False)
    several = any(step["round"] for step in steps)
    for title in (*(["round"] if several else []), "where", "done"):
        table.add_column(title)
    done: dict[Place, list[str]] = {}
    for step in steps:
        place = Place(step["round"], step["subject"], step["level"])
        failed = f" ({step['failed']:,} failed)" if step["failed"] else ""
        done.setdefault(place, []).append(f"{step['step']} {step['done']:,}{failed}")
    last = None
    for place in sorted(done, key=lambda each: (each.round, each.subject == "whole", each.subject != "split", each)):
        number = str(place.round + 1) if place.round != last else ""
        table.add_row(*([number] if several else []), _where(place), " · ".join(done[place]))
        last = place.round
    return table


def _where(place: Place) -> str:
    return "splits" if place.subject == "split" and not place.level else place.words(several=False)


def _ratings(found: Mapping[str, Any]) -> str:
    others = {"flat_ratings": "for the flat baseline", "select_ratings": "of the judge of role select"}
    told = [f"{found['ratings']:,} ratings"]
    return ", ".join([*told, *(f"{found[key]:,} {what}" for key, what in others.items() if found[key])])
