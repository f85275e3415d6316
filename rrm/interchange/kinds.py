"""What a file is by its first bytes, and what to do with those that hold no rows that are read here."""

import re

from rrm.core.errors import InputError

_PACKED = "unpack it, or pack it with gzip"
_BEGINNINGS = (
    (rb"PK\x03\x04", "an archive or a spreadsheet", "unpack it, or save its sheet as CSV"),
    (rb"\xd0\xcf\x11\xe0", "an old spreadsheet", "save its sheet as CSV"),
    (rb"\x28\xb5\x2f\xfd", "packed with zstd", _PACKED),
    (rb"\xfd7zXZ\x00", "packed with xz", _PACKED),
    (rb"BZh\d", "packed with bzip2", _PACKED),
    (rb"SQLite format 3\x00", "a database", "export its table as CSV or JSON lines"),
    (rb"ARROW1|FEA1|\xff{4}", "an Arrow or Feather file", "save it as Parquet"),
    (rb"\x80[\x02-\x05].{0,12}[\x8c\x95c]", "a pickle", "save it as JSON lines or Parquet"),
    (rb"version https://git-lfs", "a pointer to a file in Git LFS", "fetch the file itself (`git lfs pull`)"),
    (rb"(?i:<!doctype html|<html)", "a web page", "download the file itself, not the page that shows it"),
)
_KINDS = tuple((re.compile(start, re.DOTALL), what, remedy) for start, what, remedy in _BEGINNINGS)


def refuse_other_kinds(begins: bytes, where: str) -> None:
    """Raise InputError, with what to do, for bytes that begin as a file of another kind does, whatever its name."""
    for start, what, remedy in _KINDS:
        if start.match(begins):
            raise InputError(f"{where}: this is {what}; {remedy}")
