"""Rows whose texts are to be scored, judged or not: which texts a row has, and beside what they stand.

    chosen, rejected | completion_a, completion_b and the like     a pair             -> an object by column
    chosen [text], rejected [text]                                 lists side by side -> an object of lists
    completions [text | {completion}]                              a list             -> a list
    completions [text], labels []                                  steps, in turn     -> a list
    candidate | completion | summary | response | output           one text           -> a number
    request, feedback                                              our own record     -> a list

Nulls at the end of a list, with which tables pad it, are absent. Texts stand beside the `source`, with the
`prompt` as its instruction, or beside the `prompt` (or `context`) alone, just as `preferences.py` reads judgements
about them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rrm.core.errors import InputError
from rrm.core.ids import content_id
from rrm.core.values import Group, Passage, View
from rrm.interchange.columns import name, place_of_others, text
from rrm.interchange.dialogue import How, Thoughts, dialogue
from rrm.interchange.export import record
from rrm.interchange.joins import PROMPT, SOURCE
from rrm.interchange.messages import Render, present_in
from rrm.interchange.near import misspelt
from rrm.interchange.pairs import output_columns
from rrm.interchange.rows import Row, located, present
from rrm.interchange.survey import Survey

MAX_TOKENS = 128
"""The length that outputs are taken to have been allowed, here as in files of judgements."""

Shaped = float | list[float] | dict[str, float | list[float]]


@dataclass(frozen=True)
class Unscored:
    """A row's texts, in one group or, if each stands beside another view, in several.

    `columns` name the texts of a pair, or the lists of texts, with how many there are; they are None for a list and
    for a `single` text. `how` says where the prompt was; with `plain_calls` calls of tools are written as
    words; `thoughts` says where replies have those of a reasoning model.
    """

    groups: tuple[Group, ...]
    columns: tuple[tuple[str, int | None], ...] | None = None
    single: bool = False
    how: How = "apart"
    plain_calls: bool = False
    thoughts: Thoughts | None = None

    def shaped(self, values: Sequence[float]) -> Shaped:
        """Return values, one a text, in the shape of the row: an object by column, a number, or a list."""
        if self.columns is None:
            return values[0] if self.single else list(values)
        left = iter(values)
        return {
            column: next(left) if count is None else [next(left) for _ in range(count)]
            for column, count in self.columns
        }


def unscored(row: Row, where: str, render: Render | None = None, known: Survey | None = None) -> Unscored:
    """Return what a row asks to be scored; `where` names file and row in errors, `known` is what its file holds.

    The row's source is its `source_id`, else what its text or prompt says, as in files of judgements,
    so that a model knows the sources that it was fitted on. A prompt may be missing: then texts stand
    alone. Raises InputError for rows without a text, and for empty ones.
    """
    try:
        if "request" in row and "feedback" in row:
            return Unscored((record(row).request.group,))
        row = known.read(row) if known else present(row)
        _refuse_gaps(row)
        said = dialogue(row, known.texts_repeat_prompts if known else False)
        told = said.texts(row, render)
        if "completions" in told:
            groups = _steps(told) if "labels" in told else (_group(told, _view(told), _listed(told["completions"])),)
            found = Unscored(groups, how=said.how)
        else:
            found = _by_column(told, said.how)
        return replace(found, plain_calls=render is None and said.calls_tools, thoughts=said.thoughts)
    except InputError as error:
        raise InputError(located(where, error)) from error


def _refuse_gaps(row: Row) -> None:
    """Refuse a list with a null before a text: scores go back by places. Nulls at its end are absent."""
    for column in (*output_columns(row), "completions"):
        told = row.get(column)
        if isinstance(told, list) and None in told and any(each is not None for each in told[told.index(None) :]):
            raise InputError(
                f"column {column!r} has a null before a text: leave it out, so that scores keep their places"
            )


def _by_column(row: Row, how: How) -> Unscored:
    columns = output_columns(row)
    if not columns:
        hint = "".join(f"; did you mean to call {each!r} {ours!r}?" for each, ours in misspelt(row).items())
        raise InputError(f"columns {', '.join(row) or '(none)'} have no text to score: name it completion{hint}")
    texts, counts = [], []
    for column in columns:
        told = row.get(column)
        listed = {f"{column}[{place}]": each for place, each in enumerate(told)} if isinstance(told, list) else None
        if listed is not None and not any(each is not None for each in listed.values()):
            raise InputError(f"column {column!r} is a list without a text")
        texts += [text(row, column)] if listed is None else [text(listed, each) for each in listed]
        counts.append(None if listed is None else len(listed))
    group = _group(row, _view(row), texts)
    if len(columns) == 1 and counts == [None]:
        return Unscored((group,), single=True, how=how)
    return Unscored((group,), tuple(zip(columns, counts, strict=True)), how=how)


def _steps(row: Row) -> tuple[Group, ...]:
    """Read each step beside those before it, as it was labelled."""
    view, steps = _view(row), _listed(row["completions"])
    before = ["\n".join(steps[:place]) for place in range(len(steps))]
    views = [View(view.instruction, view.passages, view.max_tokens, context) for context in before]
    return tuple(_group(row, each, [step], view) for each, step in zip(views, steps, strict=True))


def _listed(completions: object) -> list[str]:
    if not isinstance(completions, list) or not present_in(completions):
        raise InputError("completions must be a list of one text or more")
    named = [
        each if isinstance(each, Mapping) and "completion" in each else {"completion": each}
        for each in present_in(completions)
    ]
    return [text(each, "completion") for each in named]


def _view(row: Row) -> View:
    prompt = text(row, PROMPT) if PROMPT in row else ""
    if SOURCE in row:
        return View(prompt, (Passage(text(row, SOURCE)),), MAX_TOKENS)
    if PROMPT not in row and "reference" in row:
        prompt = text(row, "reference")
    return View("", (Passage(prompt),), MAX_TOKENS)


def _group(row: Row, view: View, texts: Sequence[str], whole: View | None = None) -> Group:
    source = name(row, "source_id") if "source_id" in row else content_id("source", (whole or view).text)
    return Group(source, place_of_others(row), view, tuple(texts))
