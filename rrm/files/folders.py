"""Where the files that a run names are looked for: beside its run file, where it was begun, in the current folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rrm.core.errors import InputError

HERE = "the current folder"


@dataclass(frozen=True)
class Folders:
    """The folders in which a relative path is looked up, in this order, each with what it is in words.

    A part of a run that takes an argument `folders` is given the run's; without one there is the current folder alone.
    """

    places: tuple[tuple[str, Path], ...] = ()

    def find(self, path: str | Path) -> Path:
        """Return the first file or folder of this name that there is; raise InputError, which says where it looked."""
        found = self.matching(path)
        if not found:
            raise InputError(f"{path}: no such file{self.looked(path)}")
        return found[0]

    def matching(self, path: str | Path) -> Sequence[Path]:
        """Return what a path names in the first folder that has any; `*` and `?` in its last part are any characters.

        A file of exactly this name comes before a pattern's. Patterns give their files by alphabet.
        """
        asked = Path(path).expanduser()
        for folder in [Path()] if asked.is_absolute() else self._folders():
            place = folder / asked
            if place.exists():
                return [place]
            if any(sign in asked.name for sign in "*?") and (found := sorted(place.parent.glob(place.name))):
                return found
        return []

    def looked(self, path: str | Path) -> str:
        """Return, to be put at the end of a sentence, where a relative path was looked for; nothing for another."""
        if Path(path).expanduser().is_absolute():
            return ""
        places: dict[Path, str] = {}
        for name, folder in self.places or ((HERE, Path()),):
            places.setdefault(folder.resolve(), name)
        return "; looked in " + " and in ".join(f"{folder} ({name})" for folder, name in places.items())

    def _folders(self) -> list[Path]:
        current = Path().resolve()
        folders = [folder for _, folder in self.places] or [Path()]
        return [Path() if folder.resolve() == current else folder for folder in folders]  # short names for messages
