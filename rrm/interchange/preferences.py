"""People's recorded preferences and ratings as feedback that models can be fitted on.

The form of a row is told by its columns:

    prompt, chosen, rejected                   preference (TRL)        -> Comparison
    context, completions [{rank, completion}]  ranked group (NeMo-RL)  -> Comparison or Ranking
    prompt, completion, label                  unpaired (TRL)          -> Label
    source | prompt, candidate | completion | summary, scores {}       -> Rating of one aspect

Texts are strings or lists of chat messages (`role`, `content`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rrm.core.errors import ConfigError, InputError
from rrm.core.ids import content_id, generator
from rrm.core.values import (
    Answer,
    Comparison,
    Feedback,
    Label,
    Output,
    Passage,
    Ranking,
    Rated,
    Rating,
    Request,
    Shown,
    View,
)
from rrm.interchange.rows import Row, read_rows

POLICY = "recorded"


class _Reading(NamedTuple):
    """A row as read: the question's prompt, the texts answering it, and the judgement by position among them."""

    prompt: str
    texts: tuple[str, ...]
    answer: Answer


@dataclass(frozen=True)
class RecordedPreferences:
    """A file of recorded judgements about outputs of one level.

    What the rater saw becomes the request's view. Without a join, a row's prompt is the passage and
    `instruction` the instruction. With one, the row's prompt is the instruction (after
    `instruction`, if any) and the passage is the text that the join file has for the row's key:
    `join_file` has columns `join_key` and `join_text`, and rows name their text by `join_key`.

    `source_column` says which source a row belongs to (default: the join key, else the prompt).
    `where` keeps only rows whose columns have a value, or one of several. `aspect` and `scale`
    (lowest and highest whole score) read rating rows. `margin_scale` is the margin that counts as
    "far better"; without it margins are checked but give no strength. `max_tokens` is the length
    that outputs were allowed. Outputs are shown in an order drawn from their content.

    With `faulty="skip"` rows that cannot be used are left out and named in `problems`; otherwise
    the first raises InputError naming file, row and column.
    """

    file: str
    level: int
    source_column: str | None = None
    join_file: str | None = None
    join_key: str | None = None
    join_text: str | None = None
    prompt_column: str = "prompt"
    annotator_column: str = "annotator"
    instruction: str = ""
    where: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None
    max_tokens: int = 128
    margin_scale: float | None = None
    aspect: str | None = None
    scale: tuple[int, int] | None = None
    faulty: Literal["refuse", "skip"] = "refuse"
    problems: list[str] = field(default_factory=list, init=False, repr=False, compare=False)
    name: str = field(init=False)

    def __post_init__(self) -> None:
        joins = [each is not None for each in (self.join_file, self.join_key, self.join_text)]
        if any(joins) and not all(joins):
            raise ConfigError(f"{self.file}: join_file, join_key and join_text go together")
        if self.faulty not in ("refuse", "skip"):
            raise ConfigError(f'{self.file}: faulty is "refuse" or "skip", got {self.faulty!r}')
        if self.level < 0 or (self.limit is not None and self.limit < 1) or self.max_tokens < 1:
            raise ConfigError(f"{self.file}: level is 0 or more, limit and max_tokens 1 or more")
        if self.scale is not None and not (len(self.scale) == 2 and self.scale[0] < self.scale[1]):
            raise ConfigError(f"{self.file}: scale is the lowest and the highest score, got {self.scale}")
        if self.margin_scale is not None and not self.margin_scale > 0:
            raise ConfigError(f"{self.file}: margin_scale must be above 0, got {self.margin_scale}")
        object.__setattr__(self, "name", f"recorded:{Path(self.file).name}:{self._settings()[-8:]}")

    def rated(self) -> list[Rated]:
        """Return the rows as requests with their feedback, in the file's order."""
        self.problems.clear()
        return list(self._each())

    def _each(self) -> Iterator[Rated]:
        count = 0
        for number, row in read_rows(self.file):
            if not all(_kept(row.get(column), wanted) for column, wanted in self.where.items()):
                continue
            if self.limit is not None and count >= self.limit:
                return
            try:
                rated = self._rated(row)
            except InputError as error:
                problem = f"{self.file}, row {number}: {error}"
                if self.faulty == "refuse":
                    raise InputError(problem) from error
                self.problems.append(problem)
                continue
            count += 1
            yield rated

    def _rated(self, row: Row) -> Rated:
        reading = self._reading(row)
        view, source = self._view(row, reading.prompt)
        node = content_id("node", POLICY, source, self.level, view.id)
        order, answer = _shuffled(reading, node)
        shown = tuple(Shown(Output(node, text, POLICY, 0).id, text) for text in order)
        request = Request(node, source, self.level, answer.kind, view, shown)
        annotator = row.get(self.annotator_column)
        rater = "recorded" if annotator is None or str(annotator).strip() == "" else str(annotator)
        return Rated(request, Feedback(request.id, rater, answer))

    def _view(self, row: Row, prompt: str) -> tuple[View, str]:
        """Return what the rater saw, and the source's id."""
        if self.join_key is None:
            passage, instruction, source = prompt, self.instruction, content_id("source", prompt)
        else:
            key = _name(row, self.join_key)
            if key not in self._joined:
                raise InputError(f"{self.join_key} is {key!r}, which {self.join_file} does not have")
            passage, source = self._joined[key], key
            instruction = "\n\n".join(part for part in (self.instruction, prompt) if part)
        if self.source_column is not None:
            source = _name(row, self.source_column)
        return View(instruction, (Passage(passage),), self.max_tokens), source

    def _reading(self, row: Row) -> _Reading:
        if "chosen" in row or "rejected" in row:
            return self._preference(row)
        if "completions" in row:
            return self._ranked(row)
        if "scores" in row:
            return self._rating(row)
        if "label" in row:
            good = row["label"]
            if not isinstance(good, bool):
                raise InputError(f"label must be true or false, got {_brief(good)}")
            return _Reading(_text(row, self.prompt_column), (_text(row, "completion"),), Label(good))
        raise InputError(
            f"columns {', '.join(row) or '(none)'} are no form that is known;"
            " there are prompt/chosen/rejected, context/completions, prompt/completion/label, source/candidate/scores"
        )

    def _preference(self, row: Row) -> _Reading:
        chosen, rejected = _text(row, "chosen"), _text(row, "rejected")
        if chosen == rejected:
            raise InputError("chosen and rejected are the same text")
        return _Reading(
            _text(row, self.prompt_column), (chosen, rejected), Comparison(0, _strength(row, self.margin_scale))
        )

    def _ranked(self, row: Row) -> _Reading:
        completions = row["completions"]
        if not isinstance(completions, Sequence) or not all(isinstance(each, Mapping) for each in completions):
            raise InputError("completions must be a list of objects with rank and completion")
        texts = tuple(_text(each, "completion") for each in completions)
        ranks = [each.get("rank") for each in completions]
        if not all(isinstance(rank, int) and not isinstance(rank, bool) for rank in ranks):
            raise InputError(f"completions must have whole ranks, got {_brief(ranks)}")
        if len(texts) < 2 or len(set(texts)) < len(texts):
            raise InputError("completions must be two or more different texts")
        prompt = _text(row, "context" if "context" in row else self.prompt_column)
        by_rank = sorted(range(len(texts)), key=lambda position: ranks[position])
        if len(texts) == 2:
            return _Reading(prompt, texts, Comparison(None if ranks[0] == ranks[1] else by_rank[0]))
        if len(set(ranks)) < len(ranks):
            raise InputError(f"completions share a rank, which only a pair can: {_brief(ranks)}")
        return _Reading(prompt, texts, Ranking(tuple(by_rank)))

    def _rating(self, row: Row) -> _Reading:
        scores = row["scores"]
        if self.aspect is None or self.scale is None:
            raise InputError("rating rows need aspect (which of the scores) and scale (lowest, highest)")
        if not isinstance(scores, Mapping) or self.aspect not in scores:
            raise InputError(f"scores has no {self.aspect!r}, got {_brief(scores)}")
        score, (lowest, highest) = scores[self.aspect], self.scale
        whole = isinstance(score, int | float) and not isinstance(score, bool) and score == round(score, 0)
        if not whole or not lowest <= score <= highest:
            raise InputError(
                f"scores.{self.aspect} must be a whole number from {lowest} to {highest}, got {_brief(score)}"
            )
        text = _text(row, next((name for name in ("candidate", "completion", "summary") if name in row), "candidate"))
        prompt = _text(row, "source" if "source" in row and self.prompt_column not in row else self.prompt_column)
        return _Reading(prompt, (text,), Rating(int(score) - lowest + 1, highest - lowest + 1))

    @cached_property
    def _joined(self) -> dict[str, str]:
        joined: dict[str, str] = {}
        key, text = str(self.join_key), str(self.join_text)
        for number, row in read_rows(str(self.join_file)):
            try:
                joined[_name(row, key)] = _text(row, text)
            except InputError as error:
                raise InputError(f"{self.join_file}, row {number}: {error}") from error
        return joined

    def _settings(self) -> str:
        return content_id(
            "recorded",
            [Path(self.file).name, self.level, self.source_column],
            [Path(self.join_file or "").name, self.join_key, self.join_text],
            [self.prompt_column, self.annotator_column, self.instruction, dict(self.where), self.limit],
            [self.max_tokens, self.margin_scale, self.aspect, self.scale, self.faulty],
        )


def _shuffled(reading: _Reading, node: str) -> tuple[list[str], Answer]:
    """Return the texts in an order drawn from what they are, and the answer about that order.

    The draw does not depend on the order in the file, where the better text often comes first.
    """
    texts, answer = reading.texts, reading.answer
    order = sorted(texts)
    generator("shown", node, order).shuffle(order)
    if isinstance(answer, Comparison) and answer.better is not None:
        return order, Comparison(order.index(texts[answer.better]), answer.strength)
    if isinstance(answer, Ranking):
        return order, Ranking(tuple(order.index(texts[position]) for position in answer.best_first))
    return order, answer


def _text(row: Row, column: str) -> str:
    """Return a column's text, which may be written as chat messages; raise InputError naming the column."""
    if column not in row:
        raise InputError(f"column {column!r} is missing; there are {', '.join(row)}")
    value = row[column]
    if isinstance(value, list) and value and all(_is_message(each) for each in value):
        said = [(each["role"], each["content"]) for each in value]
        value = said[0][1] if len(said) == 1 else "\n\n".join(f"{role}: {content}" for role, content in said)
    if not isinstance(value, str):
        draw = "; null may stand for a draw, which cannot be read as a preference" if value is None else ""
        raise InputError(f"column {column!r} must be a text, got {_brief(value)}{draw}")
    if not value.strip():
        raise InputError(f"column {column!r} is empty")
    return value


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("role"), str) and isinstance(value.get("content"), str)


def _name(row: Row, column: str) -> str:
    value = row.get(column)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise InputError(f"column {column!r} must be a name or a number, got {_brief(value)}")
    return str(value)


def _strength(row: Row, scale: float | None) -> float | None:
    margin = row.get("margin")
    if margin is None:
        return None
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not isfinite(margin) or margin < 0:
        raise InputError(f"column 'margin' must be a number from 0 up, got {_brief(margin)}")
    if scale is None:
        return None
    if margin > scale:
        raise InputError(f"column 'margin' is {margin}, above margin_scale = {scale}: raise margin_scale")
    return float(margin) / scale


def _kept(value: Any, wanted: Any) -> bool:
    return value in wanted if isinstance(wanted, list | tuple) else bool(value == wanted)


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
