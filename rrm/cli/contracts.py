"""What was found of a part's contracts, on the terminal: promise by promise."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def print_contracts(found: Sequence[dict[str, Any]]) -> None:
    """Print what `rrm.api.verify.verify` returned."""
    console = Console(highlight=False, markup=False)
    table = Table(box=None, pad_edge=False)
    for title in ("contract", "holds", "promise"):
        table.add_column(title)
    for each in found:
        for promise in each["promises"]:
            table.add_row(each["contract"], "yes", promise)
        if each["broken"]:
            table.add_row(each["contract"], "NO", each["broken"])
    console.print(table)
