"""Folders that cross between a run's process and its workers: in parts of files, and whole or not at all at the end."""

import os
from collections.abc import Iterator, Mapping
from hashlib import blake2b, file_digest
from pathlib import Path
from shutil import rmtree

from rrm.core.errors import InputError
from rrm.engines.crossing import message
from rrm.files import sync_folder

PART_BYTES = 8 * 2**20
"""Files cross in parts of at most so many bytes, so that no store of messages must hold a model whole."""

Content = Mapping[str, tuple[int, str]]
"""What a folder holds: each file's bytes and digest, by its name relative to the folder."""


def content_of(folder: Path) -> Content:
    """Return what a folder holds."""
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    return {str(file.relative_to(folder)): _facts(file) for file in files}


def part_of(folder: Path, name: str, file: str, at: int) -> bytes:
    """Return the message with a part of a file of a folder, which is called `name` where it goes."""
    with inside(folder, file).open("rb") as opened:
        opened.seek(at)
        return message({"keep": name, "file": file, "at": at}, opened.read(PART_BYTES))


def parts_of(size: int) -> Iterator[int]:
    """Yield where the parts of a file of so many bytes begin; an empty one has a part, too."""
    yield from range(0, max(1, size), PART_BYTES)


def sent(folder: Path, name: str) -> Iterator[bytes]:
    """Yield the messages with all that a folder holds, and last that it is whole."""
    content = content_of(folder)
    for file, (size, _) in content.items():
        for at in parts_of(size):
            yield part_of(folder, name, file, at)
    yield message({"whole": name, "content": content})


def keep(folder: Path, file: str, at: int, part: bytes) -> None:
    """Write a part of a file into a folder that is not whole yet; raise InputError where one before it is missing."""
    kept = inside(folder, file)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("r+b" if at else "wb") as opened:
        if opened.seek(0, os.SEEK_END) < at:
            raise InputError(
                f"what stands in {folder.parent.name}/{folder.name}/{file} before its byte {at} did not arrive"
            )
        opened.seek(at)
        opened.write(part)


def finish(folder: Path, whole: Path, content: Content) -> None:
    """Have a folder appear in its place, durably; where another of this content was first, that one is as good.

    Raises InputError, naming the files, for one that is not what was sent.
    """
    if not whole.is_dir():
        files = {file: inside(folder, file) for file in content}
        lacking = [name for name, file in files.items() if not file.is_file() or _facts(file) != tuple(content[name])]
        if lacking:
            raise InputError(f"{whole.parent.name}/{whole.name} did not arrive whole: {', '.join(lacking)}")
        for file in files.values():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
    appear(folder, whole)


def appear(folder: Path, whole: Path) -> None:
    """Give a folder that is whole its place, unless another is there."""
    whole.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.rename(whole)
    except OSError:
        if not whole.is_dir():
            raise
        rmtree(folder, ignore_errors=True)
    sync_folder(whole.parent)


def inside(folder: Path, name: str) -> Path:
    """Return a path in a folder; raise InputError for one that leads out of it."""
    path = (folder / name).resolve()
    if folder.resolve() not in path.parents:
        raise InputError(f"{name!r} leads out of the folder of a worker")
    return path


def _facts(file: Path) -> tuple[int, str]:
    with file.open("rb") as opened:
        return file.stat().st_size, file_digest(opened, lambda: blake2b(digest_size=16)).hexdigest()
