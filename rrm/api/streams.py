"""Where commands write rows: a file, or standard output where the file is called "-"."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STDOUT = Path("-")
"""What standard output is called on the command line."""


@contextmanager
def written(out: Path | None) -> Iterator[Path | None]:
    """Give the path to write to; what is for standard output goes there once it is whole.

    So a file that fails half way through never looks like one that is done, and Parquet, whose end stands
    first, can be piped.
    """
    if out != STDOUT:
        yield out
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows"
        yield path
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
