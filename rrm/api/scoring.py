"""Trained reward models at work on rows: score them, evaluate on them, serve them; from options to plain results."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from scipy.special import expit

from rrm.api.chat import ChatTemplate, chat_template, on_calls
from rrm.api.terminal import Notes, bar
from rrm.backbone.load import find_checkpoint
from rrm.core.errors import ConfigError, InputError
from rrm.core.report import RewardReport
from rrm.core.values import Group, Rated
from rrm.evaluate.baselines import BagOfWords
from rrm.evaluate.rewards import pairwise, reward_report
from rrm.files import durable, read_json
from rrm.interchange.dialogue import How, Thoughts
from rrm.interchange.joins import Columns as Columns
from rrm.interchange.notes import on_plain_calls, on_prompts, on_thoughts, refuse_guesses
from rrm.interchange.preferences import Reading, read_feedback
from rrm.interchange.rows import Given, Row, name_of, read_rows, write_rows
from rrm.interchange.scoring import Unscored, unscored
from rrm.interchange.survey import Survey, survey
from rrm.report.plots import reliability_figure
from rrm.reward.committee import Committee
from rrm.reward.joint_model import Progress
from rrm.reward.model import LevelModel, finite
from rrm.reward.open import Model, encoder_of, forgetting, kind_of, open_model
from rrm.reward.windows import Long

WORDS, RELIABILITY = "bag_of_words.json", "reliability.svg"
_ROWS_AT_ONCE, _LETTERS_AT_ONCE = 512, 8_000_000
_Any = TypeVar("_Any")


@dataclass(frozen=True)
class Opening:
    """Which model is opened, where and how exactly it computes, and how it reads long sources (None: as trained)."""

    folder: Path
    device: str = "auto"
    dtype: str = "auto"
    long_sources: Long | None = None

    def model(self) -> Model:
        """Open it; raise InputError where that cannot be, or `long_sources` would do nothing."""
        if self.long_sources and kind_of(self.folder) == "frozen":
            raise ConfigError(
                "--long-sources would do nothing: a frozen backbone reads sources of any length in windows"
            )
        model = open_model(self.folder, self.device, self.dtype)
        if self.long_sources is None or isinstance(model, LevelModel):
            return model
        return model.reading_long(self.long_sources)


# ---- score ----


def score(
    opening: Opening,
    data: Given,
    output: Path | None,
    show: Notes,
    tell: Notes,
    columns: Columns | None = None,
    strict: bool = False,
) -> dict[str, Any]:
    """Score the texts of a file's rows; write the rows, with `score` and `score_std`, or show them.

    The file is read twice, in portions, and `output` appears whole or not at all. `columns` say what rows are about;
    with `strict` what would be guessed of them is refused.
    """
    if output is not None and output.suffix == ".parquet":
        raise ConfigError(f"--output {output}: scored rows are written as .jsonl or .jsonl.gz")
    data = list(data) if isinstance(data, Iterator) else data
    known = survey((row for _, row in read_rows(data)), columns)
    template = chat_template(tokenizer_folder(opening.folder))
    scored = _Scored(opening.model(), data, template, known, strict)
    for note in scored.before():
        tell(f"{name_of(data)}: {note}")
    if output is not None:
        count = write_rows(scored.rows(), output)
    else:
        count = sum(1 for _ in map(show, map(_line, scored.rows())))
    for note in scored.after():
        tell(f"{name_of(data)}: {note}")
    notes = [*scored.before(), *scored.after()]
    return {"n": count, "output": str(output) if output else None, "members": scored.model.members, "notes": notes}


@dataclass
class _Scored:
    """The rows of a file as they are scored, in their order."""

    model: Model
    data: Given
    render: ChatTemplate | None
    known: Survey
    strict: bool
    how: Counter[How] = field(default_factory=Counter)
    plain_calls: int = 0
    thoughts: Counter[Thoughts] = field(default_factory=Counter)
    own: tuple[str, ...] = ()

    def before(self) -> list[str]:
        """Return notes on the file as a whole; raise InputError for a guess where none is to be made."""
        guesses = self.known.guesses()
        refuse_guesses(name_of(self.data), guesses, self.strict)
        return guesses

    def after(self) -> list[str]:
        """Return notes on the rows that were read."""
        taken = [f"its own column {' and '.join(self.own)} gives way to the model's"] if self.own else []
        return [*taken, *self._guesses(self.how, self.plain_calls, self.thoughts), *on_calls(self.render)]

    def _guesses(self, how: Mapping[How, int], plain_calls: int, thoughts: Mapping[Thoughts, int]) -> list[str]:
        told = on_thoughts(thoughts, self.render is not None)
        return [*on_prompts(how), *on_plain_calls(plain_calls), *told]

    def rows(self) -> Iterator[Row]:
        done = 0
        with bar("scoring", "rows") as progress:
            for portion in _portions(self._asked(), lambda each: _letters(each[1].groups)):
                groups = [group for _, asked in portion for group in asked.groups]
                found = iter(_rewards(self.model, groups, _share(progress, done, len(portion))))
                for row, asked in portion:
                    yield {**row, **_columns(asked, list(islice(found, len(asked.groups))))}
                done += len(portion)
                progress(done, 0)
                self.model = forgetting(self.model)
        if not done:
            raise InputError(f"{name_of(self.data)}: it holds no rows to score")

    def _asked(self) -> Iterator[tuple[Row, Unscored]]:
        for number, row in read_rows(self.data, again=True):
            where = f"{name_of(self.data)}, row {number}"
            _check_plain(row, where)
            if number == 1:
                self.own = tuple(sorted({"score", "score_std"} & row.keys()))
            asked = unscored(row, where, self.render, self.known)
            self.how[asked.how] += 1
            self.plain_calls += asked.plain_calls
            thoughts: Counter[Thoughts] = Counter([asked.thoughts] if asked.thoughts else [])
            self.thoughts += thoughts
            guesses = self._guesses({asked.how: 1}, int(asked.plain_calls), thoughts)
            refuse_guesses(where, [*guesses, *on_calls(self.render)], self.strict)
            _check_prompt(self.model, asked, where)
            yield row, asked


def _line(row: Row) -> str:
    """Return a row as JSON; half characters, which no terminal can show, as escapes."""
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def _check_plain(row: Row, where: str) -> None:
    """Refuse, before anything is scored, a row that could not be written again."""
    try:
        json.dumps(row, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: it cannot be written as JSON again ({error}): mend or remove the column") from error


def _check_prompt(model: Model, asked: Unscored, where: str) -> None:
    if isinstance(model, LevelModel) and not all(group.view.prompt for group in asked.groups):
        raise InputError(
            f"{where}: it has neither prompt nor source, and a model on a frozen backbone compares texts with them"
        )


def _columns(asked: Unscored, rewards: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return the mean over members and their standard deviation: a number, a list, or an object by column."""
    mean = [float(value) for each in rewards for value in each.mean(axis=0)]
    spread = [float(value) for each in rewards for value in each.std(axis=0)]
    return {"score": asked.shaped(mean), "score_std": asked.shaped(spread)}


# ---- evaluate ----


class Evaluated(NamedTuple):
    """How a model did on rows, and what is to be known of the rows."""

    report: RewardReport
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return both as JSON values: the report's, and `notes`."""
        return {**self.report.to_json(), "notes": self.notes}


def evaluate(
    opening: Opening, data: Given, tell: Notes, columns: Columns | None = None, strict: bool = False
) -> Evaluated:
    """Return the report of a saved model on feedback about sources that it has not seen."""
    reading = read(data, chat_template(tokenizer_folder(opening.folder)), tell, None, columns, strict)
    model = opening.model()
    refuse_seen(data, reading.rated, set(model.seen))
    return Evaluated(report_on(model, opening.folder, comparisons(data, reading.rated), tell), reading.notes)


def read(
    data: Given,
    render: ChatTemplate | None,
    tell: Notes,
    level: int | None = None,
    columns: Columns | None = None,
    strict: bool = False,
) -> Reading:
    """Read feedback, tell what was read as what and its notes, and add the first of these to them.

    With `strict` raises InputError for what was guessed.
    """
    found = read_feedback(data, level, render=render, **asdict(columns or Columns()))
    guesses = [*found.guesses, *on_calls(render)]
    refuse_guesses(name_of(data), guesses, strict)
    notes = [*guesses, *found.notes[len(found.guesses) :]]
    for note in ("; ".join([found.read, *guesses]), *notes[len(guesses) :]):
        tell(f"{name_of(data)}: {note}")
    return Reading(found.rated, [found.read, *notes], found.read, tuple(guesses))


def refuse_seen(file: Given, rated: Sequence[Rated], seen: set[str]) -> None:
    """Raise InputError if some rows are about sources that a model was trained on."""
    shared = sorted({row.request.source for row in rated} & seen)
    if shared:
        raise InputError(
            f"{name_of(file)}: {len(shared)} of its sources were trained on (for example {shared[0]!r}), so figures"
            " would say nothing of new ones: evaluate on other sources, or name each row's own in a column source_id,"
            " or another with --source-column"
        )


def comparisons(file: Given, rated: Sequence[Rated]) -> list[Rated]:
    """Return what rows say of two outputs each; raise InputError if that is nothing."""
    rows = pairwise(rated)
    if not rows:
        raise InputError(
            f"{name_of(file)}: nothing in it compares two outputs of one source, so no accuracy can be told"
        )
    return rows


def report_on(model: Model, folder: Path, rows: Sequence[Rated], tell: Notes) -> RewardReport:
    """Return a model's report on comparisons of new sources, and draw its reliability beside the model."""
    groups = [row.request.group for row in rows]
    found: list[np.ndarray] = []
    with bar("scoring") as progress:
        for portion in _portions(groups, lambda each: _letters([each])):
            inner = _share(progress, len(found), len(portion), len(groups))
            found += [_preferred(each) for each in _rewards(model, portion, inner)]
            progress(len(found), len(groups))
    report = reward_report(np.array(found), rows, _words(folder))
    _draw(report, folder, tell)
    return report


def _preferred(rewards: np.ndarray) -> np.ndarray:
    return np.asarray(expit(rewards[:, 0] - rewards[:, 1]).mean())


def _draw(report: RewardReport, folder: Path, tell: Notes) -> None:
    figure = reliability_figure(report.figures, f"{report.figures.n:,} comparisons")
    if figure is None:
        return
    try:
        durable(folder / RELIABILITY, str(figure).encode())
    except OSError as error:
        tell(f"{folder / RELIABILITY} could not be written: {error.strerror or error}")


def _words(folder: Path) -> BagOfWords | None:
    """Return the bag of words that was fitted beside the model; None for models made elsewhere."""
    file = folder / WORDS
    return BagOfWords.from_json(read_json(file)) if file.is_file() and file.read_bytes().strip() != b"null" else None


# ---- serve ----


def serve(opening: Opening, host: str, port: int, tell: Notes) -> None:
    """Serve a model until stopped; port 0 takes a free one. Raises InputError where nothing can listen."""
    import socket

    import uvicorn

    from rrm.reward.served import ServedModel
    from rrm.serve.scores import application

    model = ServedModel(opening.model())
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise InputError(f"cannot listen on {host}, port {port}: {error.strerror or error}") from error
    place = f"{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
    if host not in ("127.0.0.1", "::1", "localhost"):
        tell(f"anyone who can reach {place} can use this model: there is no password")
    tell(f"serving {opening.folder} at http://{place}/get_reward; stop with Ctrl-C")
    config = uvicorn.Config(application(model, opening.folder.resolve().name), log_level="warning")
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        tell("stopped")


# ---- what all of them need ----


def _rewards(model: Model, groups: Sequence[Group], progress: Progress) -> list[np.ndarray]:
    """Return for each group its rewards [members, k]; joint models say how far they are."""
    return finite(model.rewards(groups) if isinstance(model, LevelModel) else model.rewards(groups, progress))


def _share(progress: Progress, before: int, rows: int, total: int = 0) -> Progress:
    """Return what tells, of the progress through a portion of rows, that through all."""
    return lambda done, every: progress(before + rows * done // every, total)


def _portions(items: Iterator[_Any] | Sequence[_Any], letters: Callable[[_Any], int]) -> Iterator[list[_Any]]:
    """Cut items into portions that fit in memory however long their texts are."""
    portion: list[_Any] = []
    size = 0
    for item in items:
        portion.append(item)
        size += letters(item)
        if len(portion) >= _ROWS_AT_ONCE or size >= _LETTERS_AT_ONCE:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _letters(groups: Sequence[Group]) -> int:
    return sum(len(group.view.prompt) + sum(map(len, group.outputs)) for group in groups)


def tokenizer_folder(folder: Path) -> Path:
    """Return where the tokenizer of a saved model lies."""
    kind = kind_of(folder)
    if kind == "frozen":
        return find_checkpoint(encoder_of(folder)[0]).folder
    return Committee.folder(folder, 0) if kind == "independent" else folder
