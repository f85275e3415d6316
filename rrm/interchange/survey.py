"""What a file holds as a whole, which no single row tells: what its `source` is, its scale, how it repeats prompts."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil, floor

from rrm.core.errors import InputError
from rrm.core.kinds.parts import brief, number
from rrm.interchange.columns import says_level
from rrm.interchange.dialogue import dialogue, prompt_column, repeats_prompt
from rrm.interchange.forms.known import RECORD, form_of
from rrm.interchange.forms.rating import score_of
from rrm.interchange.joins import PROMPT, SOURCE, Columns
from rrm.interchange.near import bare, misspelt
from rrm.interchange.pairs import output_columns
from rrm.interchange.rivals import rivals
from rrm.interchange.rows import Row, present

LONGEST_LABEL = 80
"""Letters: what is longer in a column `source` is a text, and no label."""

BESIDE = (
    "context", "system", "system_prompt", "instruction", "input", "question", "history", "passage", "document",
    "article", "background", "post",
)  # fmt: skip
"""Columns in which collections keep what a rater saw beside the prompt; a name or a number in them is no text."""

PICTURES = ("images", "image", "videos", "audios")
RATERS = (
    "annotator", "rater", "rater_id", "annotator_id", "worker", "worker_id", "judge", "labeler", "evaluator",
)  # fmt: skip
"""Columns in which others name who judged, however they spell them; `annotator` itself is read."""

NOTHINGS = frozenset(("nan", "NaN", "None", "null", "NULL", "<NA>", "undefined"))
"""What programs write in the place of a text that is missing."""

SCORED = tuple(
    pair
    for word in ("score", "rating", "reward")
    for pair in ((f"{word}_chosen", f"{word}_rejected"), (f"chosen_{word}", f"rejected_{word}"))
)
"""Columns in which collections keep how good the two texts of a pair are."""

_TELLING = frozenset((*PICTURES, *(column for pair in SCORED for column in pair)))

_RATERS = frozenset(map(bare, RATERS))
_BROKEN_WORD = re.compile(r"[^\W\d_]{2,}-\n[^\W\d_A-ZÀ-ÞА-ЯΑ-Ω]\w*")
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
    broken: int = 0
    broken_word: str = ""
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
        if _TELLING & row.keys():
            self._add_telling(row)
        self._add_names(row)
        self._add_broken_words(row)
        self._add_nothings(row)
        for column in self._unread(row):
            if _is_text(row[column]):
                self.unread[column] += 1
        if (margin := number(row.get("margin"))) is not None:
            self.margin = max(margin, self.margin or 0.0)
        if SOURCE in row:
            self._add_source(row)
        repeats = repeats_prompt(row)
        self.repeating += repeats is True
        self.apart += repeats is False
        if ("scores" in row or "score" in row) and _form(row) == "rating":
            self._add_score(*score_of(row, self.aspect))

    def _unread(self, row: Row) -> Iterator[str]:
        """Yield the columns beside the prompt that a row has and nobody reads."""
        if _form(row) == RECORD:
            return
        read = {self.columns.prompt_column, self.columns.text_column, self.columns.source_column, prompt_column(row)}
        yield from (column for column in BESIDE if column in row and column not in read)

    def _add_names(self, row: Row) -> None:
        """Take into account columns whose names are nearly ours, and those that judge beside the one that is read."""
        columns = tuple(row)
        for each in _misspelt(columns):
            self.misspelt[each] += 1
        for column in _who(columns):
            if isinstance(row[column], str | int | float):
                self.raters[column] += 1
        for said in rivals(row, _form(row), self.aspect):
            self.rivals[said] += 1

    def _add_nothings(self, row: Row) -> None:
        """Count the rows with an output that says that it is missing."""
        said = {column for column, told in row.items() if isinstance(told, str) and told in NOTHINGS}
        self.nothings += bool(said) and not said.isdisjoint(output_columns(row))

    def _add_broken_words(self, row: Row) -> None:
        """Count the rows with a text whose words are broken at line ends, as those of scans are."""
        for told in row.values():
            if isinstance(told, str) and "-\n" in told and (found := _BROKEN_WORD.search(told)) is not None:
                self.broken += 1
                self.broken_word = self.broken_word or found.group()
                return

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
        for better, worse in SCORED:
            chosen, rejected = number(row.get(better)), number(row.get(worse))
            if chosen is not None and rejected is not None and chosen < rejected:
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
        rows = f"{self.broken:,} row{'s' if self.broken > 1 else ''}"
        broken = [
            f"texts with words broken at line ends, such as {brief(self.broken_word)}, in {rows}: read as they stand,"
            " each half as a word"
        ]
        pictures = [
            f"`{column}` holds media in {n:,} row{'s' if n > 1 else ''}: not shown to the model"
            for column, n in self.pictures.items()
        ]
        contradicted = [
            f"{said} in {n:,} of {self.rows:,} rows: chosen is taken for the better all the same"
            for said, n in self.contradicted.items()
        ]
        nothings = [f'texts that say "nan", "None" or the like: in {self.nothings:,} rows; read as words']
        tools += pictures + contradicted + (nothings if self.nothings else [])
        tools += [
            f"`{column}` is not read in {n:,} row{'s' if n > 1 else ''}: rename it `{ours}` if it is that, or remove it"
            for (column, ours), n in self.misspelt.items()
        ]
        return [*self._on_source(), *self._on_prompts(), *tools, *unread, *(broken if self.broken else [])]

    def on_levels(self) -> list[str]:
        """Say which levels are words, and so say no level."""
        if not self.level_words:
            return []
        some = ", ".join(map(brief, sorted(self.level_words)[:3]))
        return [f"`level` holds words ({some}), which say no level: rows are taken for level 0; --level settles it"]

    def on_verdicts(self) -> list[str]:
        """Say which columns judge rows beside the one that is read, and whether they say something else."""
        return [f"{said}: in {n:,} of {self.rows:,} rows" for said, n in self.rivals.items()]

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


def _prompt(row: Row) -> str:
    """Return what tells a row's prompt from others, about as long: messages are not cleaned for it."""
    if (asked := row.get(PROMPT)) is None:
        asked = dialogue(row).prompt
    return asked if isinstance(asked, str) else "" if asked is None else repr(asked)


def _form(row: Row) -> str:
    """Return a row's form, nothing where it judges nothing: it may be there to be scored."""
    try:
        return form_of(row)
    except InputError:
        return ""


@lru_cache(maxsize=1024)
def _who(columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(each for each in columns if each != RATERS[0] and bare(each) in _RATERS)


@lru_cache(maxsize=1024)
def _misspelt(columns: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple(misspelt(columns).items())


def _is_text(value: object) -> bool:
    """Whether a value is words or messages, and no name."""
    return len(value.split()) > 1 if isinstance(value, str) else isinstance(value, list) and bool(value)


def _is_sentence(text: str) -> bool:
    wide = any(ord(letter) > 0x2E80 for letter in text)  # scripts that put no space between words
    return text.endswith(_SENTENCE_ENDS) and (wide or len(text.split()) > 1)
