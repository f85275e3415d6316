"""Files that appear whole or not at all: a temporary name, fsync, rename."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rrm.core.errors import InputError


def durable(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, sync it, and rename it into its place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


@contextmanager
def renamed(folder: Path) -> Iterator[Path]:
    """Give a temporary folder inside `folder`; on success its files take their places, `rrm.json` last."""
    temporary = folder / f".new.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        files = sorted(temporary.iterdir(), key=lambda each: (each.name == "rrm.json", each.name))
        for file in files:
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
        for file in files:
            file.replace(folder / file.name)
        sync_folder(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def digest_of(facts: Mapping[str, Any]) -> str:
    """Return the digest of plain values, 32 hexadecimal digits, whatever the order of their names."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return blake2b(text.encode(), digest_size=16).hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file; raise InputError for a file without one."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} holds no JSON object")
    return found


def write_json(path: Path, facts: Mapping[str, Any]) -> None:
    """Write plain values as the JSON object of a file, whole or not at all; its folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    durable(path, json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False).encode())
