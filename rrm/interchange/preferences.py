"""People's recorded judgements as feedback that models can be fitted on; `forms.py` tells the forms of row."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple
from unicodedata import normalize

from rrm.core.errors import ConfigError, InputError
from rrm.core.ids import content_id, exact_id
from rrm.core.kinds.parts import number
from rrm.core.place import Place
from rrm.core.text import visible
from rrm.core.values import Answer, Feedback, Output, Passage, Rated, Request, Shown, View
from rrm.files.folders import Folders
from rrm.interchange.collecting import without_collecting
from rrm.interchange.columns import criterion, name, place_of_others, says_level, text
from rrm.interchange.dialogue import How, Thoughts, dialogue
from rrm.interchange.export import record
from rrm.interchange.forms.form import EqualTexts, Judged, Legend
from rrm.interchange.forms.known import CALLED, READERS, RECORD, form_of
from rrm.interchange.joins import PROMPT, SOURCE, Columns
from rrm.interchange.messages import Render
from rrm.interchange.near import missing
from rrm.interchange.notes import (
    PlacedAnswer,
    judgement_notes,
    nothing_to_learn,
    on_plain_calls,
    on_prompts,
    on_thoughts,
)
from rrm.interchange.rows import Given, Row, located, name_of, present, read_rows
from rrm.interchange.survey import Survey, survey

MOST_POINTS = 1000
"""A rating scale with more points than this is refused: it is no scale that people rate on."""

_log = logging.getLogger("rrm.interchange")

POLICY = "recorded"
STRAY = 0.01
"""Rows that prefer a text to itself are left out, and counted, where they are a smaller share than this."""


class Reading(NamedTuple):
    """What a file holds, and what its reader should know of it: one sentence each.

    `read` says how many rows were read as what. `guesses` are those of the `notes` that say what was taken
    for something that the file does not tell, or left out.
    """

    rated: list[Rated]
    notes: list[str]
    read: str = ""
    guesses: tuple[str, ...] = ()


def read_feedback(given: Given, level: int | None = None, **options: Any) -> Reading:
    """Read judgements in any form (`forms/known.py`) from a file or a data set in memory, with what is odd in `notes`.

    `options` are the fields of `RecordedPreferences`. Without `level` every row is of the level
    that it tells in a column `level`, a whole number, and of level 0 if it tells none; `round`,
    `subject` and `criterion` likewise. Raises InputError for rows that cannot be used, and where there is
    nothing to learn.
    """
    reading = RecordedPreferences(str(given) if isinstance(given, Path) else given, level, **options).reading()
    if problem := nothing_to_learn(reading.rated):
        notes = "".join(f"; {note}" for note in reading.notes) if not reading.rated else ""
        raise InputError(f"{name_of(given)}: {problem}{notes}")
    return reading


@dataclass(frozen=True)
class RecordedPreferences:
    """Recorded judgements about outputs of one level: a file that `read_rows` reads, or rows in memory.

    What the rater saw becomes the request's view. A row's `prompt` is the passage and `instruction`
    the instruction. Where the source has a text of its own, in the row's column `source`, in `text_column` or in a
    join, that is the passage, and the prompt is the instruction (after `instruction`, if any).
    Files with relative paths are looked up in `folders`: a run's, or the current one.
    `join_file`, one or several, has columns `join_key` and `join_text`, and rows name their text by `join_key`.
    Ratings that have neither prompt nor source stand beside their `reference`. `render` makes one
    text of chat messages, of a prompt with its reply.

    `source_column` says which source a row belongs to; by default that is `source_id`, else the
    join's key, else the source's text, else the prompt. Rows of another level than `level` by
    their own column `level`, if that is a whole number, are left out; without `level` each row's
    own is taken. Columns `round` (from 0), `subject` and `criterion` say where a row belongs and what
    it judges by; without them it is the first round, an answer, `overall`. `where` keeps only rows
    whose columns have a value, or one of several.

    `margin_scale` is the margin that counts as "far better" (default: the file's largest). `aspect`
    names one of the `scores` of rating rows (default: the only one, else `overall`, else the mean
    of all), `scale` is the lowest and the highest score (default: as seen in the file). `votes` =
    "each" reads counted votes (`votes_for`, `votes_against`, `votes_equal`) one by one, not as
    their consensus. `confidence`, in (0, 1], is kept. `reason` is read past: it says the choice
    again, and would count twice. `max_tokens` is the length that outputs were allowed. Outputs are
    shown in an order drawn from their content. Our own records come back as they were.

    With `faulty="skip"` rows that cannot be used are left out and named in `problems`; otherwise
    the first raises InputError naming file, row and column. Only a few rows (`STRAY`) that prefer
    a text to itself are left out and counted either way: large files of people's work have some.
    """

    file: Given
    level: int | None
    source_column: str | None = None
    join_file: str | tuple[str, ...] | None = None
    join_key: str | None = None
    join_text: str | None = None
    prompt_column: str = PROMPT
    text_column: str | None = None
    annotator_column: str = "annotator"
    instruction: str = ""
    where: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None
    max_tokens: int = 128
    margin_scale: float | None = None
    aspect: str | None = None
    scale: tuple[int, int] | None = None
    votes: Literal["consensus", "each"] = "consensus"
    faulty: Literal["refuse", "skip"] = "refuse"
    render: Render | None = field(default=None, repr=False, compare=False)
    folders: Folders = field(default=Folders(), repr=False, compare=False)
    problems: list[str] = field(default_factory=list, init=False, repr=False, compare=False)
    columns: Columns = field(init=False, repr=False, compare=False)
    name: str = field(init=False)

    def __post_init__(self) -> None:
        where = name_of(self.file)
        try:
            told = (self.source_column, self.join_file, self.join_key, self.join_text, self.prompt_column)
            columns = Columns(*told, self.text_column)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
        joined = tuple(str(self.folders.find(file)) for file in columns.join_files)
        object.__setattr__(self, "columns", replace(columns, join_file=joined or None))
        if self.faulty not in ("refuse", "skip"):
            raise ConfigError(f'{where}: faulty is "refuse" or "skip", got {self.faulty!r}')
        if self.votes not in ("consensus", "each"):
            raise ConfigError(f'{where}: votes is "consensus" or "each", got {self.votes!r}')
        if (self.level or 0) < 0 or (self.limit is not None and self.limit < 1) or self.max_tokens < 1:
            raise ConfigError(f"{where}: level is 0 or more, limit and max_tokens 1 or more")
        if self.scale is not None and not (len(self.scale) == 2 and self.scale[0] < self.scale[1]):
            raise ConfigError(f"{where}: scale is the lowest and the highest score, got {self.scale}")
        if self.margin_scale is not None and not self.margin_scale > 0:
            raise ConfigError(f"{where}: margin_scale must be above 0, got {self.margin_scale}")
        if isinstance(self.file, Iterator):
            object.__setattr__(self, "file", list(self.file))  # rows are looked at twice
        object.__setattr__(self, "name", f"recorded:{self._called}:{self._settings()[-8:]}")

    @cached_property
    def _given(self) -> Given:
        """The rows in memory, or the file, where it was found."""
        return self.folders.find(self.file) if isinstance(self.file, str | Path) else self.file

    @property
    def _called(self) -> str:
        return Path(self.file).name if isinstance(self.file, str | Path) else "memory"

    def rated(self) -> list[Rated]:
        """Return the rows as requests with their feedback, in the file's order; what was guessed goes to the log."""
        reading = self.reading()
        _log.info("%s: %s", name_of(self._given), reading.read)
        for guess in reading.guesses:
            _log.warning("%s: %s", name_of(self._given), guess)
        return reading.rated

    def reading(self) -> Reading:
        """Return the rows as requests with their feedback, in the file's order, and what to know of them."""
        with without_collecting():
            return self._reading()

    def _reading(self) -> Reading:
        self.problems.clear()
        where = name_of(self._given)
        known = survey((row for _, row in self._rows()), self.columns, self.aspect)
        legend, guesses = self._legend(known)
        seen = _Seen(self.render is not None)
        for line, row in self._rows(again=True):
            if self.limit is not None and seen.rows >= self.limit:
                break
            try:
                seen.add(self._read(row, legend, known, seen))
            except EqualTexts as error:
                seen.equal.append(located(f"{where}, row {line}", error))
            except InputError as error:
                self._refuse(located(f"{where}, row {line}", error), error)
        if len(seen.equal) >= STRAY * known.rows:
            for problem in seen.equal:
                self._refuse(problem, None)
        elif seen.equal:
            guesses.append(f"rows left out: {len(seen.equal):,} of {known.rows:,}, which prefer a text to itself")
        guesses += [*known.guesses(), *seen.guesses(), *seen.on_raters(known.raters, self.annotator_column)]
        guesses += [*known.on_verdicts(), *(known.on_votes() if self.votes == "consensus" else [])]
        guesses += [*(known.on_levels() if self.level is None else [])]
        notes = [*guesses, *seen.notes(), *judgement_notes(seen.rated, seen.places)]
        read = f"read {known.rows:,} row{'' if known.rows == 1 else 's'} as {CALLED[seen.form or RECORD]}"
        return Reading(seen.rated, notes, read, tuple(guesses))

    def _refuse(self, problem: str, cause: InputError | None) -> None:
        if self.faulty == "refuse":
            raise InputError(problem) from cause
        self.problems.append(problem)

    def _rows(self, again: bool = False) -> Iterator[tuple[int, Row]]:
        for line, row in read_rows(self._given, again=again):
            if all(_kept(row.get(column), wanted) for column, wanted in self.where.items()):
                yield line, row

    def _legend(self, known: Survey) -> tuple[Legend, list[str]]:
        """Return how to read the columns, where need be from what all rows hold, and what was guessed of that."""
        scale, guesses = self.scale, []
        if known.scored and self.aspect is None and not known.scored.endswith(("score", "overall")):
            guesses.append(f"no aspect was named: the ratings are {known.scored}")
        if known.scale is not None and scale is None:
            scale = known.scale
            guesses.append(f"no scale was given: scores are read on the scale seen, {scale[0]} to {scale[1]}")
        scale = scale or (0, 1)
        if scale[1] - scale[0] >= MOST_POINTS:
            raise InputError(
                f"{name_of(self._given)}: ratings on a scale of {MOST_POINTS:,} points or more cannot be read, got"
                f" {scale[0]} to {scale[1]}: divide them into fewer points"
            )
        return Legend(self.margin_scale or known.margin, self.aspect, scale, self.votes), guesses

    def _read(self, row: Row, legend: Legend, known: Survey, seen: "_Seen") -> "_Row":
        form = form_of(present(row))
        seen.check_form(form)
        if form == RECORD:
            rated = record(row)
            if self.level not in (None, rated.request.place.level):
                return _Row([])
            return _Row([rated], PlacedAnswer(rated.feedback.rater, rated.feedback.answer))
        row = known.read(row)
        where = place_of_others(row)
        if self.level is not None:
            if says_level(row) and where.level != self.level:
                return _Row([])
            where = replace(where, level=self.level)
        said = dialogue(row, known.texts_repeat_prompts)
        row = said.texts(row, self.render)
        judged = READERS[form](row, legend)
        view, source, decided = self._view(row, form)
        made = [self._rated(each, row, view, source, where) for each in judged]
        seen_at = PlacedAnswer(made[0].feedback.rater, judged[0].answer) if made and form == "vote" else None
        plain_calls = self.render is None and said.calls_tools
        return _Row(made, seen_at, decided, not judged, said.how, plain_calls, said.thoughts, said.ends_asking)

    def _rated(self, judged: Judged, row: Row, view: View, source: str, where: Place) -> Rated:
        if judged.context:
            view = View(view.instruction, view.passages, view.max_tokens, judged.context)
        node = exact_id("node", POLICY, source, where.level, view.id)
        shown = _shown(node, tuple(sorted(judged.texts)))
        answer = _turned(judged, [each.text for each in shown])
        by = criterion(row)
        request = Request(node, source, where, answer.kind, view, shown, copy=judged.copy, criterion=by)
        annotator = name(row, self.annotator_column) if self._has_annotator(row) else POLICY
        return Rated(request, Feedback(request.id, judged.rater or annotator, answer, None, _confidence(row), by))

    def _has_annotator(self, row: Row) -> bool:
        return row.get(self.annotator_column) not in (None, "")

    def _view(self, row: Row, form: str) -> tuple[View, str, str | None]:
        """Return what the rater saw, the source's id, and which text decided it, if no name did."""
        prompt, passage = self._prompt(row, form), text(row, SOURCE) if SOURCE in row else None
        parts = (self.instruction, prompt if passage is not None else None)
        instruction = "\n\n".join(part for part in parts if part)
        view = _beside(instruction, passage if passage is not None else prompt or "", self.max_tokens)
        if "source_id" in row:
            return view, name(row, "source_id"), None
        return view, exact_id("source", view.text), PROMPT if passage is None else SOURCE

    def _prompt(self, row: Row, form: str) -> str | None:
        """Return the row's prompt; ratings may have only a source, or if not that a reference, beside the text."""
        if PROMPT not in row and form == "rating" and SOURCE in row:
            return None
        if PROMPT not in row and form == "rating" and "reference" in row:
            return text(row, "reference")
        if PROMPT not in row:
            raise InputError(
                f"{missing(PROMPT, row)}; or name another with --prompt-column, or give messages that all begin with"
                " the same prompt"
            )
        return text(row, PROMPT)

    def _settings(self) -> str:
        return content_id(
            "recorded",
            [self._called, self.level, self.source_column],
            [[Path(each).name for each in self.columns.join_files], self.join_key, self.join_text],
            [
                self.prompt_column,
                self.text_column,
                self.annotator_column,
                self.instruction,
                dict(self.where),
                self.limit,
            ],
            [self.max_tokens, self.margin_scale, self.aspect, self.scale, self.votes, self.faulty],
        )


class _Row(NamedTuple):
    """A row as read: its judgements, what tells that the rater saw them so, and the text that decided its source."""

    rated: list[Rated]
    place: PlacedAnswer | None = None
    decided: str | None = None
    tie: bool = False
    how: How = "apart"
    plain_calls: bool = False
    thoughts: Thoughts | None = None
    asking: bool = False


@dataclass
class _Seen:
    """What has been read so far; `template` says that messages are rendered by one."""

    template: bool
    rated: list[Rated] = field(default_factory=list)
    places: list[PlacedAnswer] = field(default_factory=list)
    equal: list[str] = field(default_factory=list)
    decided: Counter[str] = field(default_factory=Counter)
    how: Counter[How] = field(default_factory=Counter)
    form: str | None = None
    rows: int = 0
    ties: int = 0
    others: int = 0
    plain_calls: int = 0
    asking: int = 0
    thoughts: Counter[Thoughts] = field(default_factory=Counter)
    spelled: dict[int, str] = field(default_factory=dict)
    alike: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))

    def check_form(self, form: str) -> None:
        self.form = self.form or form
        if form != self.form:
            raise InputError(f"a row of form {form} in a file that began with {self.form}: give each form its own file")

    def add(self, row: _Row) -> None:
        self.rows += bool(row.rated)
        self.ties += row.tie
        self.others += not row.rated and not row.tie
        if row.decided:
            self.decided[row.decided] += 1
        self.how[row.how] += 1
        self.plain_calls += row.plain_calls
        self.asking += row.asking
        if row.thoughts:
            self.thoughts[row.thoughts] += 1
        if row.decided and row.rated:
            self._add_spelling(row.rated[0].request)
        self.rated.extend(row.rated)
        self.places.extend([row.place] if row.place else [])

    def guesses(self) -> list[str]:
        """Return what was taken for something that the file does not tell, or left out."""
        guesses = [*on_prompts(self.how), *on_plain_calls(self.plain_calls)]
        guesses += [*on_thoughts(self.thoughts, self.template), *self._on_spellings()]
        if self.asking:
            guesses.append(
                f"rows whose replies end with a turn of the user: {self.asking:,}; read as part of the reply"
            )
        if self.ties:
            guesses.append(f"rows left out: {self.ties:,}, as ties between equal texts, which say nothing")
        return guesses

    def _add_spelling(self, request: Request) -> None:
        text = hash(_usual_spelling(request.view.text))
        if (first := self.spelled.setdefault(text, request.source)) != request.source:
            self.alike[text] |= {first, request.source}

    def _on_spellings(self) -> list[str]:
        """Say which sources are told apart by nothing but how their text is spelled."""
        if not self.alike:
            return []
        return [
            "sources whose texts differ in capitals, white space or forms of letters alone:"
            f" {sum(map(len, self.alike.values())):,}, of {len(self.alike):,} texts; each is a source of its own, so"
            " that splits may part them: spell them alike, or name sources in source_id"
        ]

    def on_raters(self, told: Iterable[str], annotator_column: str) -> list[str]:
        """Say where somebody is named who judged, by a column that is not read."""
        if any(each.feedback.rater != POLICY for each in self.rated):
            return []
        unread = [column for column in told if column != annotator_column]
        return [
            f"`{column}` may name who judged, but is not read: call it `annotator`, or name it as annotator_column"
            for column in unread[:1]
        ]

    def notes(self) -> list[str]:
        notes = []
        sources = len({each.request.source for each in self.rated})
        for column in (SOURCE, PROMPT):
            if count := self.decided[column]:
                notes.append(
                    f"rows without source_id: {count:,}; their {column} decides splits, which tells"
                    f" {sources:,} sources apart"
                )
        if self.others:
            notes.append(f"rows left out: {self.others:,}, of another level")
        return notes


@lru_cache(maxsize=64)
def _beside(instruction: str, passage: str, max_tokens: int) -> View:
    """Return a view; equal ones are one value, whose id is computed once."""
    return View(instruction, (Passage(passage),), max_tokens)


@lru_cache(maxsize=64)
def _shown(node: str, texts: tuple[str, ...]) -> tuple[Shown, ...]:
    """Return the texts in the order of their ids, which is as good as drawn by chance.

    It does not depend on the order in the file, where the better text often comes first.
    """
    return tuple(
        sorted((Shown(Output(node, each, POLICY, 0).id, each) for each in texts), key=lambda each: each.output)
    )


def _usual_spelling(text: str) -> str:
    """Return what spellings of one text share: letters and signs in their usual forms, all small, single spaces."""
    plain = text if text.isascii() else normalize("NFKC", visible(text)).translate(_STRAIGHT)
    return " ".join(plain.casefold().split())


_STRAIGHT = str.maketrans("‘’‚‛“”„‟–—−", "''''\"\"\"\"---")


def _turned(judged: Judged, order: list[str]) -> Answer:
    """Return the answer about the texts in this order."""
    places = [order.index(text) for text in judged.texts]
    return judged.answer if places == sorted(places) else judged.answer.permuted(places)


def _confidence(row: Row) -> float | None:
    value = row.get("confidence")
    if value is None:
        return None
    confidence = number(value)
    if confidence is None or not 0 < confidence <= 1:
        raise InputError(f"column 'confidence' must be a number above 0 and at most 1, got {value!r}")
    return confidence


def _kept(value: Any, wanted: Any) -> bool:
    return value in wanted if isinstance(wanted, list | tuple) else bool(value == wanted)
