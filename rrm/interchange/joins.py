"""What rows are about, where their columns have other names than ours or a source's text lies in another file."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from rrm.core.errors import ConfigError, InputError
from rrm.interchange.columns import name, text
from rrm.interchange.near import missing
from rrm.interchange.rows import Row, located, read_rows

PROMPT = "prompt"
SOURCE = "source"


@dataclass(frozen=True)
class Columns:
    """Where rows say what they are about; by default in `source_id`, `source` and `prompt`.

    `source_column` names a row's source; `text_column` has the source's text. `join_file`, one file or several,
    has a text `join_text` for every `join_key`, by which rows name it: that text is the source's, and the key
    its name where no column has one. `prompt_column` has the prompt. Raises ConfigError for half a join, and for a
    join beside a `text_column`.
    """

    source_column: str | None = None
    join_file: str | tuple[str, ...] | None = None
    join_key: str | None = None
    join_text: str | None = None
    prompt_column: str = PROMPT
    text_column: str | None = None

    def __post_init__(self) -> None:
        given = [each not in (None, ()) for each in (self.join_file, self.join_key, self.join_text)]
        if any(given) and not all(given):
            raise ConfigError("join_file, join_key and join_text go together")
        if any(given) and self.text_column is not None:
            raise ConfigError("a join and text_column both give the sources' texts: leave one out")

    @property
    def join_files(self) -> tuple[str, ...]:
        return (self.join_file,) if isinstance(self.join_file, str) else self.join_file or ()

    def usual(self, row: Row) -> Row:
        """Return a row with all this under the usual names.

        Raises InputError where a column that was named is missing or no name, or a key is in no file of the join.
        """
        if self == _USUAL:
            return row
        known = dict(row)
        if self.prompt_column != PROMPT:
            known[PROMPT] = self._named(row, self.prompt_column)
        if self.join_key is not None:
            key = name(row, self.join_key)
            if key not in self._joined:
                raise InputError(f"{self.join_key} is {key!r}, which is not in {' or '.join(self.join_files)}")
            known[SOURCE] = self._joined[key]
            if row.get("source_id") is None:
                known["source_id"] = key
        elif self.text_column is not None:
            known[SOURCE] = self._named(row, self.text_column)
        if self.source_column is not None:
            known["source_id"] = name(row, self.source_column)
        return known

    def _named(self, row: Row, column: str) -> object:
        if column not in row:
            raise InputError(missing(column, row))
        return row[column]

    @cached_property
    def _joined(self) -> Mapping[str, str]:
        joined: dict[str, str] = {}
        for file in self.join_files:
            for line, row in read_rows(file):
                try:
                    joined[name(row, str(self.join_key))] = text(row, str(self.join_text))
                except InputError as error:
                    raise InputError(located(f"{file}, row {line}", error)) from error
        return joined


_USUAL = Columns()
