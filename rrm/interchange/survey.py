"""What a file holds as a whole, which no single row tells: what its `source` is, its scale, how it repeats prompts."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil, floor
from typing import NamedTuple

from rrm.core.errors import InputError
from rrm.core.kinds.parts import brief, number
from rrm.interchange.columns import says_level, truth
from rrm.interchange.damage import READ_AS, damage, may_be_a_name, says_nothing, spaces_tell_apart
from rrm.interchange.dialogue import dialogue, prompt_column, repeats_prompt
from rrm.interchange.forms.known import RECORD, form_of
from rrm.interchange.forms.rating import score_of
from rrm.interchange.joins import PROMPT, SOURCE, Columns
from rrm.interchange.near import OURS, bare, misspelt
from rrm.interchange.pairs import output_columns
from rrm.interchange.rivals import rivals
from rrm.interchange.rows import Row, present

LONGEST_LABEL = 80
"""Letters: what is longer in a column `source` is a text, and no label."""

BESIDE = (
    "context", "system", "system_prompt", "instruction", "input", "question", "history", "passage", "document",
    "article", "background", "post", "reference",
)  # fmt: skip
"""Columns in which collections keep what a rater saw beside the prompt; a name or a number in them is no text."""

PICTURES = ("images", "image", "videos", "video", "audios", "audio")
RATERS = (
    "annotator", "rater", "rater_id", "annotator_id", "worker", "worker_id", "judge", "labeler", "evaluator",
)  # fmt: skip
"""Columns in which others name who judged, however they spell them; `annotator` itself is read."""

SPLITS = ("split", "fold", "partition", "subset")
"""Columns that say which rows are for training."""

WEIGHTS = ("weight", "sample_weight", "importance")

STRENGTHS = ("margin", "strength")
"""Columns that say how much better a text is; `margin` is read beside chosen and rejected."""

TURNED = frozenset(
    f"{before}{word}{after}"
    for word in ("swap", "swapped", "flip", "flipped", "reverse", "reversed", "invert", "inverted")
    for before in ("", "is", "was", "order", "label", "labels", "position", "positions", "ab")
    for after in ("", "order", "label", "labels", "position", "positions")
)
"""Columns, by their letters alone, that say that a row's two texts or its verdict are turned round."""

COMPARED = ("preference", "vote", "ranked")
"""Forms whose rows say which text is better."""

MOST_LOOKED_INTO = 1_000
"""Rows in whose messages signs of damage are looked for, as in all texts: what damages one mostly damages all."""

NAMES = ("source_id", "annotator", "criterion")
"""Columns whose names tell rows apart."""

SCORED = tuple(
    pair
    for word in ("score", "rating", "reward")
    for pair in ((f"{word}_chosen", f"{word}_rejected"), (f"chosen_{word}", f"rejected_{word}"))
)
"""Columns in which collections keep how good the two texts of a pair are."""

VOTED = ("votes_for", "votes_against")
"""Columns that count who was for the chosen text, and who for the rejected."""

_TELLING = frozenset((*PICTURES, *VOTED, *(column for pair in SCORED for column in pair)))

_RATERS = frozenset(map(bare, RATERS))
_OUTPUT = re.compile(
    r"(?:completion|response|answer|output|conversation|candidate|summary|generation|text)_?(?:[a-h]|\d)?"
)
_TELLS = re.compile(
    r"chosen|rejected|reason|rationale|explanation|critique|comment|justification|feedback|note|url|meta"
)
_NAME = re.compile(r"[!-~]+")  # one word of ASCII: a name, a number, a file or an address
_SENTENCE_ENDS = tuple(".!?…。！？\"'”’»)")


@dataclass
class Survey:
    """What all rows of a file were seen to hold."""

    columns: Columns = field(default_factory=Columns)
    aspect: str | None = None
    rows: int = 0
    margin: float | None = None
    scores: tuple[float, float] | None = None
    scored: str = ""
    short: set[str] = field(default_factory=set)
    texts: int = 0
    prompts: set[int] = field(default_factory=set)
    prompt_letters: int = 0
    repeating: int = 0
    apart: int = 0
    level_words: set[str] = field(default_factory=set)
    tools: int = 0
    pictures: Counter[str] = field(default_factory=Counter)
    contradicted: Counter[str] = field(default_factory=Counter)
    nothings: int = 0
    raters: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    misspelt: Counter[tuple[str, str]] = field(default_factory=Counter)
    rivals: Counter[str] = field(default_factory=Counter)
    damaged: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    values: dict[str, set[str]] = field(default_factory=dict)
    weights: Counter[str] = field(default_factory=Counter)
    strengths: Counter[str] = field(default_factory=Counter)
    spelled: dict[tuple[str, str], str] = field(default_factory=dict)
    alike: dict[str, tuple[str, str]] = field(default_factory=dict)
    spaced: int = 0
    turned: Counter[str] = field(default_factory=Counter)
    outvoted: int = 0
    called: int = 0
    name: str = ""
    drops_source: bool = False

    def add(self, row: Row) -> None:
        """Take a row into account; one that cannot be read is refused in its turn, not here."""
        self.rows += 1
        try:
            self._add(present(self.columns.usual(row)))
        except InputError:
            return

    def _add(self, row: Row) -> None:
        if isinstance(level := row.get("level"), str) and not says_level(row):
            self.level_words.add(level)
        self.tools += bool(row.get("tools"))
        form, watched = _form(row), _watched(tuple(row))
        if watched.telling:
            self._add_telling(row)
        self._add_names(row, form, watched)
        self._add_texts(row)
        if form != RECORD:
            self._add_unread(row, form, watched)
        if (margin := number(row.get("margin"))) is not None:
            self.margin = max(margin, self.margin or 0.0)
        if SOURCE in row:
            self._add_source(row)
        repeats = repeats_prompt(row)
        self.repeating += repeats is True
        self.apart += repeats is False
        if form == "rating":
            self._add_score(*score_of(row, self.aspect))

    def _add_unread(self, row: Row, form: str, watched: "_Watched") -> None:
        """Take into account the columns that a row has, that may hold what was judged or how, and nobody reads."""
        for column in watched.beside:
            if _may_be_judged(column, row[column]) and column not in self._read_of(row, form):
                self.unread[column] += 1
        for column in watched.weights:
            if row[column] != 1:
                self.weights[column] += 1
        for column in watched.strengths if form in COMPARED else ():
            if (column, form) != ("margin", "preference") and number(row[column]) is not None:
                self.strengths[column] += 1
        for column in watched.parts:
            if isinstance(row[column], str):
                self.values.setdefault(column, set()).add(row[column])

    def _read_of(self, row: Row, form: str) -> set[str | None]:
        """Return the columns of a row that say what its outputs are about."""
        about = self.columns
        reference = "reference" if form in ("rating", "") and PROMPT not in row and SOURCE not in row else None
        return {about.prompt_column, about.text_column, about.source_column, prompt_column(row), reference}

    def _add_names(self, row: Row, form: str, watched: "_Watched") -> None:
        """Take into account columns whose names are nearly ours, and those that judge beside the one that is read."""
        for each in watched.misspelt:
            self.misspelt[each] += 1
        for column in watched.who:
            if isinstance(row[column], str | int | float):
                self.raters[column] += 1
        self.turned.update(column for column in watched.turned if truth(row[column]))
        for said in rivals(row, form, self.aspect):
            self.rivals[said] += 1
        for column in watched.names:
            if isinstance(name := row[column], str):
                first = self.spelled.setdefault((column, " ".join(name.casefold().split())), name)
                if first != name:
                    self.alike.setdefault(column, (first, name))

    def _add_texts(self, row: Row) -> None:
        """Count the rows with an output that says that it is missing, with two that spaces tell apart, with damage."""
        outputs = [told for column in output_columns(row) if isinstance(told := row.get(column), str)]
        self.nothings += any(map(says_nothing, outputs))
        if len(outputs) > 1 and all(map(may_be_a_name, outputs)):
            self.called, self.name = self.called + 1, self.name or outputs[0]
        self.spaced += spaces_tell_apart(outputs)
        told = list(row.values())
        if self.rows <= MOST_LOOKED_INTO:
            messages = [each for value in told if isinstance(value, list) for each in value if isinstance(each, dict)]
            told += [each.get("content") for each in messages]
        for kind, example in dict(damage(told)).items():
            self.damaged[kind] += 1
            self.examples.setdefault(kind, example)

    def _add_source(self, row: Row) -> None:
        source = row[SOURCE]
        if not isinstance(source, str) or not 0 < len(source.strip()) <= LONGEST_LABEL or "\n" in source.strip():
            self.texts += 1
            return
        self.short.add(source.strip())
        if not self.texts and (prompt := _prompt(row)):  # beside texts nothing is a label
            before = len(self.prompts)
            self.prompts.add(hash(prompt))
            self.prompt_letters += len(prompt) * (len(self.prompts) > before)

    def _add_telling(self, row: Row) -> None:
        """Take into account what columns say against the reading that follows."""
        self.pictures.update(column for column in PICTURES if row.get(column))
        self._add_contradictions(row)

    def _add_contradictions(self, row: Row) -> None:
        """Count the rows in which the chosen text has the lower score, by the columns that say so."""
        if "chosen" not in row:
            return
        self.outvoted += _is_below(row, *VOTED)
        for better, worse in SCORED:
            if _is_below(row, better, worse):
                self.contradicted[f"`{better}` is below `{worse}`"] += 1

    def _add_score(self, named: str, score: float) -> None:
        self.scored = self.scored or named
        low, high = self.scores or (score, score)
        self.scores = (min(low, score), max(high, score))

    # ---- what that means ----

    @property
    def source_is_label(self) -> bool:
        """Whether `source` says where rows come from, and is not the text that they are about.

        So it is where all are short and prompts say what is asked, and they are names of one word, or
        several prompts share them, or they are far shorter than prompts, unless most are sentences.
        """
        if self.columns.join_key is not None or self.columns.text_column is not None:
            return False
        if not self.short or self.texts or not self.prompts:
            return False
        if self.columns.source_column == SOURCE or all(_NAME.fullmatch(each) for each in self.short):
            return True
        if 2 * sum(map(_is_sentence, self.short)) >= len(self.short):
            return False
        mean = sum(map(len, self.short)) / len(self.short)
        return len(self.prompts) > len(self.short) or 3 * mean <= self.prompt_letters / len(self.prompts)

    @property
    def texts_repeat_prompts(self) -> bool:
        """Whether all rows whose prompt and replies are texts repeat the prompt in every reply."""
        return self.repeating > 0 and not self.apart

    @property
    def scale(self) -> tuple[int, int] | None:
        """The whole numbers between which all scores lie, None without scores."""
        if self.scores is None:
            return None
        lowest, highest = self.scores
        return floor(lowest), max(ceil(highest), floor(lowest) + 1)

    def read(self, row: Row) -> Row:
        """Return a row as it is to be read: under the usual names, without null columns, its label aside."""
        known = present(self.columns.usual(row))
        if self.drops_source:
            return {column: value for column, value in known.items() if column != SOURCE}
        return known

    def guesses(self) -> list[str]:
        """Return, one sentence each, what was taken for something that the file does not say."""
        tools = [f"`tools` describes tools in {self.tools:,} rows: not shown to the model"] if self.tools else []
        unread = [
            f"`{column}` holds texts in {rows:,} row{'s' if rows > 1 else ''}, which are not read: --text-column or"
            " --prompt-column names one column that is"
            for column, rows in self.unread.items()
        ]
        damaged = [
            READ_AS[kind].format(brief(self.examples[kind]), _rows(count)) for kind, count in self.damaged.items()
        ]
        pictures = [
            f"`{column}` holds media in {n:,} row{'s' if n > 1 else ''}: not shown to the model"
            for column, n in self.pictures.items()
        ]
        contradicted = [
            f"{said} in {n:,} of {self.rows:,} rows: chosen is taken for the better all the same"
            for said, n in self.contradicted.items()
        ]
        nothings = [f'texts that say "nan", "[deleted]", "2." or the like: in {_rows(self.nothings)}; read as words']
        tools += pictures + contradicted + (nothings if self.nothings else [])
        tools += [
            f"`{column}` is not read in {n:,} row{'s' if n > 1 else ''}: rename it `{ours}` if it is that, or remove it"
            for (column, ours), n in self.misspelt.items()
        ]
        return [*self._on_source(), *self._on_prompts(), *tools, *unread, *damaged]

    def on_votes(self) -> list[str]:
        """Say in how many rows most votes were for the rejected text, where votes are not read one by one."""
        if not self.outvoted:
            return []
        return [
            f"`votes_for` is below `votes_against` in {self.outvoted:,} of {self.rows:,} rows: chosen is taken for the"
            " better all the same"
        ]

    def on_levels(self) -> list[str]:
        """Say which levels are words, and so say no level."""
        if not self.level_words:
            return []
        some = ", ".join(map(brief, sorted(self.level_words)[:3]))
        return [f"`level` holds words ({some}), which say no level: rows are taken for level 0; --level settles it"]

    def on_verdicts(self) -> list[str]:
        """Say which columns judge rows beside the one that is read, and whether they say something else."""
        said = [f"{said}: in {n:,} of {self.rows:,} rows" for said, n in self.rivals.items()]
        said += [
            f"`{column}` weighs {_rows(count)}, and is not read: each counts as one"
            for column, count in self.weights.items()
        ]
        said += [
            f"`{column}` may say how much better a text is in {_rows(count)}, and is not read: `margin` beside chosen"
            " and rejected is"
            for column, count in self.strengths.items()
        ]
        for column, parts in self.values.items():
            if len(parts) > 1:
                some = ", ".join(map(brief, sorted(parts)[:3]))
                said.append(f"`{column}` names {len(parts):,} parts ({some}), and is not read: rows of all are one set")
        for column, (one, other) in self.alike.items():
            said.append(
                f"`{column}` has names that capitals or white space alone tell apart, such as {brief(one)} and"
                f" {brief(other)}: read as two; spell them alike"
            )
        said += [
            f"`{column}` is set in {_rows(count)}, and is not read: what was judged is taken as it stands; turn it"
            " round there, or remove the column"
            for column, count in self.turned.items()
        ]
        if 0 < self.called == self.rows:
            said.append(
                f"all replies are letters, numbers or names, such as {brief(self.name)}: read as the texts themselves,"
                " not as the names of texts or models"
            )
        if self.spaced:
            said.append(f"pairs of texts that white space alone tells apart: {self.spaced:,}; read as two outputs")
        return said

    def _on_source(self) -> list[str]:
        if self.columns.source_column is not None or self.columns.text_column is not None or not self.short:
            return []
        labels = f"{len(self.short):,} short label{'s' if len(self.short) > 1 else ''}"
        if self.source_is_label:
            return [
                f"`source` holds {labels} over {len(self.prompts):,} prompts: taken for a label, not for the text that"
                " prompts are about; --source-column or --text-column settles it"
            ]
        some = brief(min(self.short))
        if self.texts:
            return [
                f"`source` holds texts and also {labels}, such as {some}: all read as texts; --text-column settles it"
            ]
        if not all(map(_is_sentence, self.short)):
            return [
                f"`source` holds short texts, such as {some}: read as what prompts are about; --source-column or"
                " --text-column settles it"
            ]
        return []

    def _on_prompts(self) -> list[str]:
        if self.repeating and self.apart:
            return [
                f"{self.repeating:,} of {self.repeating + self.apart:,} rows begin all replies with the prompt's text:"
                " left as they are, because the others do not"
            ]
        return []


def survey(rows: Iterable[Row], columns: Columns | None = None, aspect: str | None = None) -> Survey:
    """Return what rows hold as a whole; `aspect` names one of their scores."""
    found = Survey(columns or Columns(), aspect)
    for row in rows:
        found.add(row)
    found.drops_source = found.source_is_label
    return found


def _is_below(row: Row, better: str, worse: str) -> bool:
    one, other = number(row.get(better)), number(row.get(worse))
    return one is not None and other is not None and one < other


def _prompt(row: Row) -> str:
    """Return what tells a row's prompt from others, about as long: messages are not cleaned for it."""
    if (asked := row.get(PROMPT)) is None:
        asked = dialogue(row).prompt
    return asked if isinstance(asked, str) else "" if asked is None else repr(asked)


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


class _Watched(NamedTuple):
    """Which columns of a row are looked at, and what for; `beside` are those that may hold what was judged."""

    misspelt: tuple[tuple[str, str], ...]
    who: tuple[str, ...]
    names: tuple[str, ...]
    turned: tuple[str, ...]
    beside: tuple[str, ...]
    weights: tuple[str, ...]
    strengths: tuple[str, ...]
    parts: tuple[str, ...]
    telling: bool


@lru_cache(maxsize=1024)
def _watched(columns: tuple[str, ...]) -> _Watched:
    names, weights, strengths, parts = (
        tuple(each for each in some if each in columns) for some in (NAMES, WEIGHTS, STRENGTHS, SPLITS)
    )
    who = tuple(each for each in columns if each != RATERS[0] and bare(each) in _RATERS)
    nearly = tuple(misspelt(columns).items())
    turned = tuple(each for each in columns if bare(each) in TURNED)
    return _Watched(
        nearly, who, names, turned, _beside(columns), weights, strengths, parts, not _TELLING.isdisjoint(columns)
    )


def _beside(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return which of a row's columns no form reads, without those that only tell of texts."""
    outputs = output_columns(dict.fromkeys(columns))
    return tuple(
        each
        for each in columns
        if each in BESIDE
        or (_OUTPUT.fullmatch(each) and each not in outputs)
        or not (each in OURS or each in _TELLING or each in NAMES or _TELLS.match(each))
    )


def _may_be_judged(column: str, value: object) -> bool:
    """Whether a column may hold what raters saw or judged: by its name, or by its length."""
    if column in BESIDE:
        return _is_text(value)
    if _OUTPUT.fullmatch(column):
        return isinstance(value, str | list) and bool(value)
    return isinstance(value, str) and len(value) > LONGEST_LABEL


def _form(row: Row) -> str:
    """Return a row's form, nothing where it judges nothing: it may be there to be scored."""
    try:
        return form_of(row)
    except InputError:
        return ""


def _is_text(value: object) -> bool:
    """Whether a value is words or messages, and no name."""
    return len(value.split()) > 1 if isinstance(value, str) else isinstance(value, list) and bool(value)


def _is_sentence(text: str) -> bool:
    wide = any(ord(letter) > 0x2E80 for letter in text)  # scripts that put no space between words
    return text.endswith(_SENTENCE_ENDS) and (wide or len(text.split()) > 1)
