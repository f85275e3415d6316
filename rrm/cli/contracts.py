"""What was found of a part's contracts, promise by promise, and of oracles, on the terminal."""

import json
from collections.abc import Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from rrm.api import verify


def part(plugin: str, changes: tuple[str, ...], policy: str, decomposer: str, as_json: bool) -> bool:
    """Print what a part promises and keeps; return whether something is broken."""
    found = verify.verify(plugin, changes, policy, decomposer)
    if as_json:
        typer.echo(json.dumps({"contracts": found}))
    else:
        _print_contracts(found)
    return any(each["broken"] for each in found)


def oracles(as_json: bool, path: str | None = None, method: str = "") -> bool:
    """Print what each oracle found as it comes, or all as one line of JSON; return whether something is broken.

    They are asked about what is shipped, or about the function of an import string in place of a method.
    """
    console, found = Console(highlight=False, markup=False, emoji=False), []
    for answer in verify.oracles(path, method):
        found.append(answer)
        if not as_json:
            holds, row = "yes" if answer.broken is None else "NO", f"row {answer.row}" if answer.row else "ledger"
            console.print(f"{holds:3} {answer.seconds:6.2f} s  {row:6}  {answer.name}")
            if answer.broken is not None:
                console.print(f"    {answer.broken}")
    wrong, seconds = sum(answer.broken is not None for answer in found), sum(answer.seconds for answer in found)
    if as_json:
        rows = [
            {"row": each.row, "name": each.name, "passed": each.broken is None, "seconds": round(each.seconds, 4)}
            | ({"broken": each.broken} if each.broken else {})
            for each in found
        ]
        typer.echo(json.dumps({"oracles": rows, "seconds": round(seconds, 3)}))
    else:
        console.print(f"{len(found) - wrong} of {len(found)} oracles hold, in {seconds:.1f} s")
    return wrong > 0


def _print_contracts(found: Sequence[dict[str, Any]]) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    table = Table(box=None, pad_edge=False)
    for title in ("contract", "holds", "promise"):
        table.add_column(title)
    for each in found:
        for promise in each["promises"]:
            table.add_row(each["contract"], "yes", promise)
        if each["broken"]:
            table.add_row(each["contract"], "NO", each["broken"])
    console.print(table)
