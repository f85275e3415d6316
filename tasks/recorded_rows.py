"""Questions as they stand in files of JSON lines: their answers, the facts beside them, and how people split them.

Rows of StrategyQA, EntailmentBank, GSM8K and Break are told apart by their columns (see `read_questions`).
"""

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rrm.core.errors import InputError
from rrm.core.protocols import RecordedStep
from rrm.files.folders import Folders
from tasks.arithmetic_steps import calculations, final_number

Kind = Literal["yes or no", "number", "words", "none"]
"""What an answer is: yes or no, a number, words of any kind, or not known."""


@dataclass(frozen=True)
class Question:
    """A question, its answer where it is known, the facts that are given with it, and people's steps to the answer."""

    text: str
    kind: Kind
    answer: str = ""
    facts: tuple[str, ...] = ()
    steps: tuple[RecordedStep, ...] = ()

    @property
    def source_text(self) -> str:
        """The question and, after a blank line, the facts, one a line."""
        return "\n\n".join(part for part in (self.text, "\n".join(self.facts)) if part)


def read_questions(paths: Sequence[str], folders: Folders | None = None) -> list[Question]:
    """Return the questions of files of JSON lines, plain or gzipped, each text once.

    A row has a `question` and the columns of one of these sets: StrategyQA (`answer` true or false, `facts`, `steps`
    with `text` and `deps`), EntailmentBank (`answer`, `hypothesis`, `leaves`, `steps` with `premises` and
    `conclusion`), GSM8K (`answer`, `solution`, maybe `subquestions`), Break (`steps`, no `answer`). Raises InputError,
    naming file and line, for any other row.
    """
    found: dict[str, Question] = {}
    for path in paths:
        for number, row in enumerate(json_rows((folders or Folders()).find(path)), start=1):
            try:
                question = _question(row)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise InputError(f"{path}, row {number}: no question of a known set: {error!r}") from error
            found.setdefault(question.text, question)
    return list(found.values())


def json_rows(path: Path) -> list[Mapping[str, Any]]:
    """Return the rows of a file of JSON lines, plain or gzipped; raise InputError where it is none."""
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).decode("utf-8")
        return [json.loads(line) for line in text.split("\n") if line.strip()]  # U+2028 in a text ends no line
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise InputError(f"{path}: not JSON lines in UTF-8, plain or gzipped: {error}") from error


def _question(row: Mapping[str, Any]) -> Question:
    text = " ".join(row["question"].split())
    if not text:
        raise ValueError("the question is empty")
    if "hypothesis" in row:
        return Question(text, "words", _told(row), tuple(row["leaves"].values()), _proof(row))
    if "solution" in row:
        if final_number(_told(row)) is None:
            raise ValueError(f"the answer {row['answer']!r} holds no number")
        return Question(text, "number", row["answer"], (), _asked(row))
    steps = tuple(RecordedStep(step["text"].strip(), tuple(step["deps"])) for step in row["steps"])
    if isinstance(row.get("answer"), bool):
        if not isinstance(row["facts"], list):
            raise TypeError(f"`facts` must be a list of texts, got {row['facts']!r}")
        return Question(text, "yes or no", "yes" if row["answer"] else "no", tuple(row["facts"]), steps)
    if "answer" in row:
        raise ValueError(f"the answer {row['answer']!r} is neither true nor false, and there is no `solution`")
    return Question(text, "none", "", (), steps)


def _told(row: Mapping[str, Any]) -> str:
    """Return a row's answer; raise TypeError where it is no text."""
    if not isinstance(row["answer"], str):
        raise TypeError(f"`answer` must be a text, got {row['answer']!r}")
    return row["answer"]


def _proof(row: Mapping[str, Any]) -> tuple[RecordedStep, ...]:
    """Return a proof's steps: what follows from these premises, of which those concluded earlier by their number."""
    made: dict[str, int] = {}
    steps = []
    for number, step in enumerate(row["steps"]):
        reads = tuple(made[each] for each in step["premises"] if each in made)
        said = [f"#{made[each] + 1}" if each in made else row["leaves"][each] for each in step["premises"]]
        steps.append(RecordedStep("What follows from these statements: " + "; ".join(said) + "?", reads))
        made[step["conclusion"]] = number
    return tuple(steps)


def _asked(row: Mapping[str, Any]) -> tuple[RecordedStep, ...]:
    """Return a word problem's subquestions; each reads those whose results stand in its calculation."""
    asked = row.get("subquestions") or []
    made = [calculations(each["step"]) for each in asked]
    steps = []
    for number, each in enumerate(asked):
        used = {operand for step in made[number] for operand in step.operands}
        reads = (earlier for earlier in range(number) if used & {step.value for step in made[earlier]})
        steps.append(RecordedStep(each["subquestion"].strip(), tuple(reads)))
    return tuple(steps)
