"""Folders that cross between a run's process and its workers: in parts of files, and whole or not at all at the end."""

import os
from collections.abc import Iterator, Mapping
from hashlib import blake2b, file_digest
from pathlib import Path
from shutil import rmtree
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from rrm.core.errors import InputError
from rrm.engines.crossing import message
from rrm.files import sync_folder
from rrm.files.faults import fault_in, sentence

PART_BYTES = 8 * 2**20
"""Files cross in parts of at most so many bytes, so that no store of messages must hold a model whole."""

RANKS, STATES = "ranks", "states"
"""Where fits of several workers work, and where what they go on from is copied, among a worker's own files."""

MOST_FILES, MOST_BYTES = 10_000, 2**40
"""No folder that crosses has more files, or more bytes in all of them."""

Content = Mapping[str, tuple[int, str]]
"""What a folder holds: each file's bytes and digest, by its name relative to the folder."""

_Told = dict[str, tuple[Annotated[int, Field(ge=0)], Annotated[str, Field(pattern="^[0-9a-f]{32}$")]]]
_CONTENT: TypeAdapter[_Told] = TypeAdapter(Annotated[_Told, Field(min_length=1, max_length=MOST_FILES)])


def content_of(folder: Path) -> Content:
    """Return what a folder holds; raise InputError for one that is not there or holds no file."""
    if not (content := _held(folder)):
        raise InputError(f"{folder} holds no file: what was saved there is gone")
    return content


def read_content(told: object) -> Content:
    """Return what a folder is said to hold; raise InputError for anything else, and for more than a folder may."""
    try:
        content = _CONTENT.validate_python(told)
    except ValidationError as error:
        raise InputError(f"this does not say what a folder holds: {sentence(fault_in(error))}") from error
    if both := content.keys() & {str(parent) for name in content for parent in Path(name).parents}:
        raise InputError(f"this does not say what a folder holds: {min(both)!r} is a file and a folder")
    if (total := sum(size for size, _ in content.values())) > MOST_BYTES:
        raise InputError(f"a folder is said to hold {total} bytes, more than {MOST_BYTES}")
    return content


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
    """Write a part of a file into a folder that is not whole yet.

    Raises InputError where a part before it is missing, and for one of more bytes than a part has.
    """
    name = f"{folder.parent.name}/{folder.name}/{file}"
    if len(part) > PART_BYTES:
        raise InputError(f"a part of {name} has {len(part)} bytes, and {PART_BYTES} at most are asked for")
    kept = inside(folder, file)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("r+b" if at else "wb") as opened:
        if opened.seek(0, os.SEEK_END) < at:
            raise InputError(f"what stands in {name} before its byte {at} did not arrive")
        opened.seek(at)
        opened.write(part)


def finish(folder: Path, whole: Path, content: Content) -> None:
    """Have a folder appear in its place, durably.

    Where another of this content was first, that one is as good; one of any other is what a process left that was
    killed, and is replaced. Raises InputError, naming the files, for a folder that is not what was sent.
    """
    if _held(whole) != content:
        if wrong := sorted({file for file, _ in content.items() ^ _held(folder).items()}):
            raise InputError(f"{whole.parent.name}/{whole.name} did not arrive whole: {', '.join(wrong)}")
        _sync(folder)
        _put(folder, whole, content)
    rmtree(folder, ignore_errors=True)


def _sync(folder: Path) -> None:
    for each in folder.rglob("*"):
        if each.is_file():
            with each.open("rb") as opened:
                os.fsync(opened.fileno())
        elif each.is_dir():
            sync_folder(each)
    sync_folder(folder)


def _put(folder: Path, whole: Path, content: Content) -> None:
    whole.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.rename(whole)
    except OSError:
        if not whole.is_dir():
            raise
        if _held(whole) != content:  # not what another has put there this moment
            broken = folder.with_name(f"{folder.name}.broken")
            whole.rename(broken)
            folder.rename(whole)
            rmtree(broken, ignore_errors=True)
    sync_folder(whole.parent)


def inside(folder: Path, name: str) -> Path:
    """Return a path in a folder; raise InputError for one that leads out of it, or that no file can have."""
    try:
        path = (folder / name).resolve()
    except ValueError as error:
        raise InputError(f"no file can be called {name!r}") from error
    if folder.resolve() not in path.parents:
        raise InputError(f"{name!r} leads out of the folder of a worker")
    return path


def alone(name: str) -> str:
    """Return the name of a folder; raise InputError for one that leads anywhere else than right below another."""
    if name in ("", ".", "..") or "/" in name:
        raise InputError(f"{name!r} is not the name of one folder")
    return name


def _held(folder: Path) -> Content:
    """Return what a folder holds, nothing where it is not there."""
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    return {str(file.relative_to(folder)): _facts(file) for file in files}


def _facts(file: Path) -> tuple[int, str]:
    with file.open("rb") as opened:
        return file.stat().st_size, file_digest(opened, lambda: blake2b(digest_size=16)).hexdigest()
