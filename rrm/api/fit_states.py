"""What a fit goes on from, copied out of the folder that it works in while it goes on.

Of each training that is the model, once it is whole, or else the last checkpoint.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

from rrm.api.folder_parts import Content, content_of
from rrm.core.errors import InputError
from rrm.files import read_json
from rrm.reward.checkpoint import STATE
from rrm.reward.launch import ASKED, OTHERS, ROWS
from rrm.reward.launch import LOG as SAID
from rrm.reward.train_log import DONE, LOG

_FACTS = "state.json"
_AGAIN = frozenset({ASKED, ROWS, OTHERS, SAID, LOG})
"""What a training is given and says, which is there again when it is begun again."""


def copied(work: Path, copy: Path) -> Content | None:
    """Return what was copied, by links; None where there is nothing yet, or where it changed meanwhile."""
    rmtree(copy, ignore_errors=True)
    try:
        for file in _lasting(work):
            linked = copy / file.relative_to(work)
            linked.parent.mkdir(parents=True, exist_ok=True)
            os.link(file, linked)
        return content_of(copy) if all(map(_has_step, copy.rglob(f"{STATE}/{_FACTS}"))) else None
    except (FileNotFoundError, InputError):
        return None


def marks(work: Path) -> tuple[tuple[str, int], ...]:
    """Return what differs once there is more to go on from."""
    found = [*work.rglob(DONE), *work.rglob(f"{STATE}/{_FACTS}")]
    return tuple(sorted((str(file), file.stat().st_mtime_ns) for file in found))


def _has_step(facts: Path) -> bool:
    """Say whether the checkpoint that is named is there: not where another was written meanwhile."""
    return _step(facts).is_dir()


def _step(facts: Path) -> Path:
    return facts.parent / f"step-{read_json(facts)['step']}"


def _lasting(work: Path) -> Iterator[Path]:
    """Yield the files that are whole: those of models that are, and of the checkpoints that were named last."""
    whole = {file.parent for file in work.rglob(DONE)}
    for folder in whole:
        yield from (file for file in folder.rglob("*") if file.is_file() and file.name not in _AGAIN)
    for facts in work.rglob(f"{STATE}/{_FACTS}"):
        if facts.parent.parent not in whole:
            yield facts
            yield from sorted(_step(facts).iterdir())
