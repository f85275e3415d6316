"""What passes between the steps of a run: outputs, views, requests, feedback and scores."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from rrm.core.errors import InputError, ShapeError
from rrm.core.ids import content_id

JudgeRole = Literal["train", "select", "final"]
"""May be optimised against / may pick checkpoints / only reports."""


@dataclass(frozen=True)
class Output:
    """One candidate answer at a node, and where it came from.

    `inputs` are the ids of the outputs that it was made from (the children's, in order);
    `context` those of earlier siblings. `log_prob` is in nats, None where the policy does not
    know it. An empty text is a legal answer. `truncated` says that the policy's text was cut to
    the task's limit.
    """

    node: str
    text: str
    policy: str
    seed: int
    inputs: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    log_prob: float | None = None
    truncated: bool = False

    @cached_property
    def id(self) -> str:
        return content_id("output", self.node, self.text, self.policy, self.seed, self.inputs, self.context)


@dataclass(frozen=True)
class Failure:
    """A subtask that failed for good: recorded with its cause, never scored zero, never hidden."""

    subject: str  # the id of the node or request that failed
    step: str  # decompose, propose, rate
    error: str  # the name of the exception
    cause: str  # one sentence

    @cached_property
    def id(self) -> str:
        return content_id("failure", self.subject, self.step, self.error, self.cause)


@dataclass(frozen=True)
class Passage:
    """One piece of what a rater reads: the source itself, or a child's output with its score.

    `score` is the probability that a rater one level down accepts the child's output.
    """

    text: str
    node: str | None = None
    output: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class View:
    """Exactly what stands beside the outputs when they are judged, by people and models alike."""

    instruction: str
    passages: tuple[Passage, ...]
    max_tokens: int
    context: str = ""

    @cached_property
    def id(self) -> str:
        return content_id("view", self)

    @cached_property
    def text(self) -> str:
        """The passages' texts, joined by blank lines."""
        return "\n\n".join(passage.text for passage in self.passages if passage.text)

    @property
    def prompt(self) -> str:
        """All that stands before an output when both are read as one text: context, passages, instruction.

        The instruction comes last, next to the output, so that questions about one source share their
        beginning, and a text that is too long loses the oldest end of the source and no instruction.
        """
        return "\n\n".join(part for part in (self.context, self.text, self.instruction) if part)


@dataclass(frozen=True)
class Group:
    """One view and the k outputs that are scored beside it; the unit that a reward model reads.

    `source` decides splits: nothing is evaluated on a source that it was fitted on.
    """

    source: str
    level: int
    view: View
    outputs: tuple[str, ...]


# The kinds of feedback. Each is a choice from a set, and `kind` is its name in records.


@dataclass(frozen=True)
class Comparison:
    """Which of two outputs is better: 0 or 1 in the order shown, None for a tie.

    `strength` runs from 0 (barely) to 1 (far better).
    """

    kind: ClassVar[str] = "comparison"
    better: int | None
    strength: float | None = None

    def __post_init__(self) -> None:
        if self.better not in (0, 1, None):
            raise InputError(f"a comparison's `better` is 0, 1 or None, got {self.better!r}")


@dataclass(frozen=True)
class Ranking:
    """Positions as shown, best first; a partial ranking names only the best ones."""

    kind: ClassVar[str] = "ranking"
    best_first: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(set(self.best_first)) != len(self.best_first) or min(self.best_first, default=0) < 0:
            raise InputError(f"a ranking names different positions from 0 up, got {self.best_first}")


@dataclass(frozen=True)
class Rating:
    """A point on an ordered scale, 1 to `points`; between two points it is a mean, as of several raters."""

    kind: ClassVar[str] = "rating"
    value: float
    points: int = 7

    def __post_init__(self) -> None:
        if self.points < 2:
            raise InputError(f"a rating's scale has 2 points or more, got {self.points}")
        if isinstance(self.value, bool) or not 1 <= self.value <= self.points:
            raise InputError(f"a rating lies between 1 and {self.points}, got {self.value!r}")
        if self.value == int(self.value):  # so that 4.0 and 4 have one id
            object.__setattr__(self, "value", int(self.value))


@dataclass(frozen=True)
class Label:
    """Whether the rater accepts the output."""

    kind: ClassVar[str] = "label"
    good: bool


@dataclass(frozen=True)
class Correction:
    """The output as the rater would have it."""

    kind: ClassVar[str] = "correction"
    text: str


@dataclass(frozen=True)
class Demonstration:
    """An output that the rater wrote from nothing."""

    kind: ClassVar[str] = "demonstration"
    text: str


@dataclass(frozen=True)
class Critique:
    """What is wrong or right, in words; `spans` are (start, end) characters of the output.

    `consistent` names the positions, as shown, of the outputs that the critique speaks for; None
    means that nobody has said yet, and then it tells nothing about rewards.
    """

    kind: ClassVar[str] = "critique"
    text: str
    spans: tuple[tuple[int, int], ...] = ()
    consistent: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        named = self.consistent or ()
        if len(set(named)) != len(named) or min(named, default=0) < 0:
            raise InputError(f"a critique speaks for different positions from 0 up, got {named}")


@dataclass(frozen=True)
class Reject:
    """The rater refuses the item as it is, and says why."""

    kind: ClassVar[str] = "reject"
    reason: str


Answer = Comparison | Ranking | Rating | Label | Correction | Demonstration | Critique | Reject
KINDS: dict[str, type[Answer]] = {
    answer.kind: answer for answer in (Comparison, Ranking, Rating, Label, Correction, Demonstration, Critique, Reject)
}


@dataclass(frozen=True)
class Shown:
    """An output as a request shows it."""

    output: str
    text: str


@dataclass(frozen=True)
class Request:
    """One question to one rater: `kind` of feedback on `shown`, in this order, beside `view`.

    `copy` numbers independent askings of the same question. The id covers all that is shown, so
    an answer to another view is an answer to another request.
    """

    node: str
    source: str
    level: int
    kind: str
    view: View
    shown: tuple[Shown, ...]
    guideline: str = "v1"
    copy: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"no kind of feedback called {self.kind!r}; there are {', '.join(KINDS)}")

    @cached_property
    def id(self) -> str:
        shown = [[each.output, each.text] for each in self.shown]
        return content_id("request", self.node, self.kind, self.view.id, shown, self.guideline, self.copy)

    @property
    def group(self) -> Group:
        """The same question as a reward model reads it."""
        return Group(self.source, self.level, self.view, tuple(each.text for each in self.shown))


@dataclass(frozen=True)
class Feedback:
    """A rater's answer to a request; `seconds` is the rater's time where it is known.

    `confidence`, above 0 and up to 1, is how probably the rater takes the answer to mean anything:
    with the rest it is as good as drawn blindly. None is full confidence.
    """

    request: str
    rater: str
    answer: Answer
    seconds: float | None = None
    confidence: float | None = None

    def __post_init__(self) -> None:
        if self.confidence is not None and not 0 < self.confidence <= 1:
            raise InputError(f"a confidence lies above 0 and up to 1, got {self.confidence!r}")

    @cached_property
    def id(self) -> str:
        return content_id("feedback", self.request, self.rater, self.answer)


@dataclass(frozen=True)
class Rated:
    """A request with the feedback that it got: one row to fit on."""

    request: Request
    feedback: Feedback


@dataclass(frozen=True, eq=False)
class Score:
    """A distribution: the score's value under every member of an ensemble, [members]."""

    samples: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples, dtype=np.float64)
        if samples.ndim != 1 or samples.size == 0:
            raise ShapeError(f"a score holds one sample per member, got an array of shape {samples.shape}")
        if not np.isfinite(samples).all():
            raise InputError("a score must be finite in every member")
        object.__setattr__(self, "samples", samples)

    @property
    def mean(self) -> float:
        return float(self.samples.mean())

    @property
    def std(self) -> float:
        return float(self.samples.std())

    def interval(self, mass: float = 0.9) -> tuple[float, float]:
        """Return the central interval that holds this share of the members."""
        low, high = np.quantile(self.samples, [(1 - mass) / 2, (1 + mass) / 2])
        return float(low), float(high)

    def worst_case(self) -> float:
        """Return the least of the members' scores: what is safe to optimise against where they disagree.

        Coste et al. (2023), arXiv:2310.02743: worst-case optimisation.
        """
        return float(self.samples.min())

    def less_variance(self, weight: float) -> float:
        """Return the mean less `weight` times the members' variance; the mean itself at weight 0.

        Coste et al. (2023), arXiv:2310.02743: uncertainty-weighted optimisation. Raises InputError for
        a weight that is negative or not finite.
        """
        if not 0 <= weight < float("inf"):
            raise InputError(f"the weight of the variance is a number from 0 up, got {weight}")
        return self.mean - weight * float(self.samples.var()) if weight else self.mean

    def __repr__(self) -> str:
        low, high = self.interval()
        return f"Score({self.mean:.3f}, 90% {low:.3f} to {high:.3f})"


@dataclass(frozen=True)
class Scored:
    """An output's scores under one fitted model: rewards in logits and acceptance, one per member."""

    output: str
    model: str
    rewards: tuple[float, ...]
    acceptance: tuple[float, ...]

    @cached_property
    def id(self) -> str:
        return content_id("scored", self.output, self.model)


@dataclass(frozen=True)
class Fitted:
    """A reward model that was fitted and saved: where (relative to the run), and its files' digest."""

    level: int
    path: str
    digest: str
    ratings: int

    @cached_property
    def id(self) -> str:
        return content_id("fitted", self.level, self.digest)
