"""Rows whose texts are to be scored, judged or not: which texts a row has, and beside what they stand.

    chosen, rejected | completion_a, completion_b                  a pair             -> an object by column
    completions [text | {completion}]                              a list             -> a list
    completions [text], labels []                                  steps, in turn     -> a list
    candidate | completion | summary | response | output           one text           -> a number
    request, feedback                                              our own record     -> a list

Texts stand beside the `source`, with the `prompt` as its instruction, or beside the `prompt` (or
`context`) alone, just as `forms.py` and `preferences.py` read judgements about them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rrm.core.errors import InputError
from rrm.core.ids import content_id
from rrm.core.values import Group, Passage, View
from rrm.interchange.columns import Render, name, place_of_others, reply, text
from rrm.interchange.export import record
from rrm.interchange.joins import Columns
from rrm.interchange.rows import Row

MAX_TOKENS = 128
"""The length that outputs are taken to have been allowed, here as in files of judgements."""

_PAIRS = (("chosen", "rejected"), ("completion_a", "completion_b"))
_SINGLE = ("candidate", "completion", "summary", "response", "output")


@dataclass(frozen=True)
class Unscored:
    """A row's texts, in one group or, if each stands beside another view, in several.

    `columns` name the texts of a pair; they are None for a list and for a `single` text.
    """

    groups: tuple[Group, ...]
    columns: tuple[str, ...] | None = None
    single: bool = False

    def shaped(self, values: Sequence[float]) -> float | list[float] | dict[str, float]:
        """Return values, one a text, in the shape of the row: an object by column, a number, or a list."""
        if self.columns is not None:
            return dict(zip(self.columns, values, strict=True))
        return values[0] if self.single else list(values)


def unscored(row: Row, where: str, render: Render | None = None, columns: Columns | None = None) -> Unscored:
    """Return what a row asks to be scored; `where` names file and row in errors, `columns` what it is about.

    The row's source is its `source_id`, else what its text or prompt says, as in files of judgements,
    so that a model knows the sources that it was fitted on. A prompt may be missing: then texts stand
    alone. Raises InputError for rows without a text, and for empty ones.
    """
    try:
        if "request" in row and "feedback" in row:
            return Unscored((record(row).request.group,))
        row = columns.usual(row) if columns else row
        return _steps(row, render) if "completions" in row and "labels" in row else _side_by_side(row, render)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _side_by_side(row: Row, render: Render | None) -> Unscored:
    view = _view(row, render)
    for pair in _PAIRS:
        if any(row.get(column) is not None for column in pair):
            return Unscored((_group(row, view, [reply(row, column, render) for column in pair]),), pair)
    if "completions" in row:
        return Unscored((_group(row, view, _listed(row["completions"], render)),))
    for column in _SINGLE:
        if column in row:
            return Unscored((_group(row, view, [reply(row, column, render)]),), single=True)
    raise InputError(f"columns {', '.join(row) or '(none)'} have no text to score: name it completion")


def _steps(row: Row, render: Render | None) -> Unscored:
    """Read each step beside those before it, as it was labelled."""
    view, steps = _view(row, render), _listed(row["completions"], render)
    before = ["\n".join(steps[:place]) for place in range(len(steps))]
    views = [View(view.instruction, view.passages, view.max_tokens, context) for context in before]
    return Unscored(tuple(_group(row, each, [step], view) for each, step in zip(views, steps, strict=True)))


def _listed(completions: Any, render: Render | None) -> list[str]:
    if not isinstance(completions, list) or not completions:
        raise InputError("completions must be a list of one text or more")
    named = [each if isinstance(each, Mapping) else {"completion": each} for each in completions]
    return [reply(each, "completion", render) for each in named]


def _view(row: Row, render: Render | None) -> View:
    column = next((each for each in ("prompt", "context") if each in row), None)
    prompt = text(row, column, render) if column else ""
    if row.get("source") is not None:
        return View(prompt, (Passage(text(row, "source", render)),), MAX_TOKENS)
    if column is None and "reference" in row:
        prompt = text(row, "reference", render)
    return View("", (Passage(prompt),), MAX_TOKENS)


def _group(row: Row, view: View, texts: Sequence[str], whole: View | None = None) -> Group:
    known = row.get("source_id") is not None
    source = name(row, "source_id") if known else content_id("source", (whole or view).text)
    return Group(source, place_of_others(row), view, tuple(texts))
