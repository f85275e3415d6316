"""What a fit of several workers goes on from, in the run's folder: each file by its digest, and one that names them."""

import os
from collections.abc import Iterator
from hashlib import blake2b, file_digest
from pathlib import Path
from shutil import rmtree

from rrm.api import folder_parts
from rrm.api.folder_parts import Content
from rrm.core.errors import InputError
from rrm.engines.crossing import message
from rrm.files import read_json, write_json

_NAMED, _PART = "state.json", ".part"


class KeptStates:
    """The last state of a fit, which as many ranks go on from as made it. A file of the same content is kept once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def last(self, ranks: int) -> Content | None:
        """Return what so many ranks go on from, None for nothing; what another number of them made is removed."""
        named = self._folder / _NAMED
        if not named.is_file():
            return None
        told = read_json(named)
        if told.get("ranks") != ranks:
            self.remove()
            return None
        return folder_parts.read_content(told.get("content"))

    def lacking(self, content: Content) -> dict[str, tuple[int, str]]:
        """Return the files to be brought, one of each content that is not here."""
        by_digest = {digest: (file, size) for file, (size, digest) in content.items()}
        missing = {digest: each for digest, each in by_digest.items() if not (self._folder / digest).is_file()}
        return {file: (size, digest) for digest, (file, size) in missing.items()}

    def keep(self, digest: str, at: int, part: bytes) -> None:
        """Write a part of the file of this digest."""
        folder_parts.keep(self._folder, f"{digest}{_PART}", at, part)

    def name(self, content: Content, ranks: int) -> None:
        """Have what has arrived be the last state, durably; raise InputError for a file that is not whole."""
        for file, (_, digest) in self.lacking(content).items():
            with (self._folder / f"{digest}{_PART}").open("rb") as arrived:
                if file_digest(arrived, lambda: blake2b(digest_size=16)).hexdigest() != digest:
                    raise InputError(f"{file} of what a fit goes on from did not arrive whole")
                os.fsync(arrived.fileno())
            (self._folder / f"{digest}{_PART}").rename(self._folder / digest)
        write_json(self._folder / _NAMED, {"ranks": ranks, "content": {each: list(content[each]) for each in content}})
        named = {digest for _, digest in content.values()} | {_NAMED}
        for old in self._folder.iterdir():
            if old.name not in named:
                old.unlink()

    def sent(self, name: str) -> Iterator[bytes]:
        """Yield the messages with all files of the last state, for a folder of this name."""
        content = folder_parts.read_content(read_json(self._folder / _NAMED).get("content"))
        for file, (size, digest) in content.items():
            for at in folder_parts.parts_of(size):
                with (self._folder / digest).open("rb") as opened:
                    opened.seek(at)
                    yield message({"keep": name, "file": file, "at": at}, opened.read(folder_parts.PART_BYTES))

    def remove(self) -> None:
        rmtree(self._folder, ignore_errors=True)
