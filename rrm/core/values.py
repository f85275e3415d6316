"""What passes between the steps of a run: outputs, views, requests, feedback and scores.

Answers are such values too, and are imported from here; each kind of them is a file in `rrm/core/kinds/`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite

import numpy as np

from rrm.core.claims import Citation
from rrm.core.errors import InputError, ShapeError
from rrm.core.ids import content_id, exact_id
from rrm.core.kinds import KINDS as KINDS
from rrm.core.kinds import Answer as Answer
from rrm.core.kinds import ClaimMarks as ClaimMarks
from rrm.core.kinds import Comparison as Comparison
from rrm.core.kinds import Correction as Correction
from rrm.core.kinds import Critique as Critique
from rrm.core.kinds import Demonstration as Demonstration
from rrm.core.kinds import Hindsight as Hindsight
from rrm.core.kinds import Label as Label
from rrm.core.kinds import Ranking as Ranking
from rrm.core.kinds import Rating as Rating
from rrm.core.kinds import Reject as Reject
from rrm.core.place import Place

OVERALL = "overall"
"""The criterion of a judgement of an output as a whole."""


@dataclass(frozen=True)
class Output:
    """One candidate answer at a node, and where it came from.

    `inputs` are the ids of the outputs that it was made from (the children's, in order);
    `context` those of earlier siblings. `log_prob` is in nats, None where the policy does not
    know it. An empty text is a legal answer. `truncated` says that the policy's text was cut to
    the task's limit. `citations` are what its author says that it rests on, where it says so.
    """

    node: str
    text: str
    policy: str
    seed: int
    inputs: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    log_prob: float | None = None
    truncated: bool = False
    citations: tuple[Citation, ...] = ()

    @cached_property
    def id(self) -> str:
        cited = [self.citations] if self.citations else []
        return exact_id("output", self.node, self.text, self.policy, self.seed, self.inputs, self.context, *cited)


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

    @property
    def shown_score(self) -> float | None:
        """The score as a page shows it, to the hundredth that a run rounds its own to; None where it has none."""
        return round(self.score, 2) if self.score is not None and isfinite(self.score) else None

    @property
    def is_part(self) -> bool:
        """Whether a page calls it a part and not the source: a child's output, or one of a file, with a score alone."""
        return self.output is not None or self.shown_score is not None


@dataclass(frozen=True)
class View:
    """Exactly what is shown with the outputs when they are judged, by people and models alike."""

    instruction: str
    passages: tuple[Passage, ...]
    max_tokens: int
    context: str = ""

    @cached_property
    def id(self) -> str:
        named = content_id if any(each.score is not None for each in self.passages) else exact_id
        return named("view", self)

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
    place: Place
    view: View
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Consequence:
    """What came of an output, as a rollout has it: `text` is what a rater reads, `worth` how well it went, 0 to 1.

    A rollout may be wrong: it was `wrong` in so many of `checked` cases in which it is known what is right.
    """

    text: str
    worth: float
    checked: int = 0
    wrong: int = 0

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise InputError("what came of an output is told in words, got an empty text")
        if not 0 <= self.worth <= 1:
            raise InputError(f"what came of an output is worth something from 0 to 1, got {self.worth!r}")
        if not 0 <= self.wrong <= self.checked:
            raise InputError(f"a rollout was wrong in some of the cases checked, got {self.wrong} of {self.checked}")

    @property
    def known(self) -> list[object]:
        """All of it, as ids cover it."""
        return [self.text, self.worth, self.checked, self.wrong]


@dataclass(frozen=True)
class Shown:
    """An output as a request shows it; `support` are probabilities that its claims are supported, in their order.

    Where nothing is known of them it is empty. `consequence` is what came of it, where raters are shown that, and
    `critique` what a critic wrote about it, where they are shown that.
    """

    output: str
    text: str
    support: tuple[float, ...] = ()
    consequence: Consequence | None = None
    critique: str = ""

    @property
    def known(self) -> list[object]:
        """All that is shown, as ids cover it."""
        support = [self.support] if self.support else []
        critique = [{"critique": self.critique}] if self.critique else []
        return [self.output, self.text, *support, *([self.consequence.known] if self.consequence else []), *critique]

    @property
    def read(self) -> str:
        """All that is read of it: the output, what came of it, and what a critic wrote."""
        came = self.consequence.text if self.consequence else ""
        return "\n".join(part for part in (self.text, came, self.critique) if part)


@dataclass(frozen=True)
class Request:
    """One question to one rater: `kind` of feedback on `shown`, in this order, beside `view`, by a `criterion`.

    `copy` numbers independent askings of the same question. The id covers all that is shown, so
    an answer to another view is an answer to another request; it does not cover the place, so a
    question asked in two rounds is one question.
    """

    node: str
    source: str
    place: Place
    kind: str
    view: View
    shown: tuple[Shown, ...]
    guideline: str = "v1"
    copy: int = 0
    criterion: str = OVERALL

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"no kind of feedback called {self.kind!r}; there are {', '.join(KINDS)}")

    @cached_property
    def id(self) -> str:
        shown = [each.known for each in self.shown]
        named = content_id if any(each.support or each.consequence for each in self.shown) else exact_id
        return named("request", self.node, self.kind, self.view.id, shown, self.guideline, self.copy, self.criterion)

    @cached_property
    def question(self) -> str:
        """Names what is asked, in whatever order outputs are shown and under whatever version of the guidelines."""
        shown = sorted(each.known for each in self.shown)
        return content_id("question", self.node, self.kind, self.view.id, shown, self.copy, self.criterion)

    @property
    def in_hindsight(self) -> bool:
        """Whether it shows what came of an output, so that nothing to be judged without may stand beside it."""
        return any(each.consequence is not None for each in self.shown)

    @property
    def aids(self) -> tuple[bool, bool]:
        """Whether it shows what came of outputs, and whether it shows the support of their claims or critiques.

        Questions of one sheet show the same: there an output stands once, and nothing else is to be judged by it.
        """
        return self.in_hindsight, any(each.support or each.critique for each in self.shown)

    @property
    def group(self) -> Group:
        """The same question as a reward model reads it."""
        return Group(self.source, self.place, self.view, tuple(each.text for each in self.shown))


@dataclass(frozen=True)
class Feedback:
    """A rater's answer to a request, by a criterion; `seconds` is the rater's time where it is known.

    `confidence`, above 0 and up to 1, is how probably the rater takes the answer to mean anything:
    with the rest it is as good as drawn blindly. None is full confidence.
    """

    request: str
    rater: str
    answer: Answer
    seconds: float | None = None
    confidence: float | None = None
    criterion: str = OVERALL

    def __post_init__(self) -> None:
        if self.confidence is not None and not 0 < self.confidence <= 1:
            raise InputError(f"a confidence lies above 0 and up to 1, got {self.confidence!r}")

    @cached_property
    def id(self) -> str:
        return content_id("feedback", self.request, self.rater, self.answer, self.criterion)


@dataclass(frozen=True)
class Rated:
    """A request with the feedback that it got: one row to fit on.

    `weight`, above 0 and up to 1, multiplies its log-likelihood: below 1 where what was shown has changed since.
    """

    request: Request
    feedback: Feedback
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.weight <= 1:
            raise InputError(f"a rating's weight lies above 0 and up to 1, got {self.weight!r}")

    @cached_property
    def id(self) -> str:
        return content_id("rated", self.request.id, self.feedback.id)


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


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of a group's k outputs, by criterion, one row a member.

    `rewards` are in logits, float64 [members, k]; `acceptance` are the calibrated probabilities, [members, k],
    that a rater accepts each output. Raises ShapeError where they do not fit together, InputError for what is
    not finite or no probability.
    """

    rewards: Mapping[str, np.ndarray] = field(repr=False)
    acceptance: Mapping[str, np.ndarray] = field(repr=False)

    def __post_init__(self) -> None:
        if self.rewards.keys() != self.acceptance.keys() or not self.rewards:
            raise ShapeError("a prediction has rewards and acceptance by the same criteria, at least one")
        for criterion, rewards in self.rewards.items():
            accepted = self.acceptance[criterion]
            if rewards.ndim != 2 or accepted.shape != rewards.shape or not rewards.shape[0]:
                raise ShapeError(
                    f"rewards and acceptance by {criterion} are [members, k], got {rewards.shape}, {accepted.shape}"
                )
            if not (np.isfinite(rewards).all() and np.isfinite(accepted).all()):
                raise InputError(f"a model's rewards and acceptance by {criterion} must be finite")
            if ((accepted < 0) | (accepted > 1)).any():
                raise InputError(f"a model's acceptance by {criterion} must lie in [0, 1]")

    @classmethod
    def overall(cls, rewards: np.ndarray, acceptance: np.ndarray) -> "Prediction":
        """Return a prediction by the one criterion `overall`."""
        return cls({OVERALL: rewards}, {OVERALL: acceptance})

    def at(self, places: Sequence[int]) -> "Prediction":
        """Return what it says of the outputs at some places, in that order."""
        return Prediction(
            {name: rewards[:, places] for name, rewards in self.rewards.items()},
            {name: accepted[:, places] for name, accepted in self.acceptance.items()},
        )

    @property
    def k(self) -> int:
        """How many outputs it is about."""
        return int(next(iter(self.rewards.values())).shape[1])


@dataclass(frozen=True)
class Scored:
    """An output's scores under one fitted model, by a criterion: rewards in logits and acceptance, one per member."""

    output: str
    model: str
    rewards: tuple[float, ...]
    acceptance: tuple[float, ...]
    criterion: str = OVERALL

    @cached_property
    def id(self) -> str:
        return content_id("scored", self.output, self.model, self.criterion)


@dataclass(frozen=True)
class Composed:
    """An output's score joined with those of the parts below its node, by a criterion: acceptance, one per member.

    `basis` names the scores that it was made from (the composer and the tree's scores), so that another
    round's composed scores stand beside it.
    """

    output: str
    basis: str
    acceptance: tuple[float, ...]
    criterion: str = OVERALL

    @cached_property
    def id(self) -> str:
        return content_id("composed", self.output, self.basis, self.criterion)


@dataclass(frozen=True)
class Supported:
    """How probably each claim of an output is supported by what its author saw; `model` is the id of who says so."""

    output: str
    model: str
    support: tuple[float, ...]

    @cached_property
    def id(self) -> str:
        return content_id("supported", self.output, self.model)


@dataclass(frozen=True)
class RolledOut:
    """What came of an output, as a rater in hindsight is shown it; `rollout` names who says so."""

    output: str
    rollout: str
    consequence: Consequence

    @cached_property
    def id(self) -> str:
        return content_id("rolledout", self.output, self.rollout, self.consequence.known)


@dataclass(frozen=True)
class Criticised:
    """What a critic wrote about an output, as a rater who marks its claims is shown it; `critic` names who did."""

    output: str
    critic: str
    text: str

    @cached_property
    def id(self) -> str:
        return content_id("criticised", self.output, self.critic, self.text)


@dataclass(frozen=True)
class Fitted:
    """A reward model that was fitted and saved: its place, where (relative to the run), and its digest.

    `role` is the judge role of the ratings that it was fitted to. `root` says that it was fitted to outputs
    of roots, and so judges roots whatever their height. `ratings` counts the rows fitted on, and `anchored` says
    whether labels or ratings anchor its acceptance.
    """

    place: Place
    path: str
    digest: str
    ratings: int
    root: bool = False
    role: str = "train"
    anchored: bool = True

    @cached_property
    def id(self) -> str:
        return content_id("fitted", str(self.place), self.digest, self.root, self.role)


@dataclass(frozen=True)
class FittedComposer:
    """A composer that was learned: its place, where its files lie (relative to the run), and its name."""

    place: Place
    path: str
    composer: str

    @cached_property
    def id(self) -> str:
        return content_id("composer", str(self.place), self.path, self.composer)


@dataclass(frozen=True)
class Improvement:
    """A policy that an optimiser made in a round: where its files lie (relative to the run), and how far it went.

    `kl` is in nats a node from the `anchor`, within `kl_budget`; `how` says whether it is exact, estimated or a
    bound. `level` is the one that it proposes at, None for all. `before` names the policy that it started from.
    """

    place: Place
    path: str
    policy: str
    before: str
    anchor: str
    kl: float
    kl_budget: float
    how: str
    level: int | None = None

    @cached_property
    def id(self) -> str:
        return content_id("improvement", str(self.place), self.policy, self.before, self.anchor, self.kl, self.level)


@dataclass(frozen=True)
class Choice:
    """What a judge of role select said of two policies.

    `gain` is the mean acceptance of outputs of `policy` less that of `before`, `nodes` is how many nodes both
    proposed at, and `chosen` says whether the next round proposes with `policy`. `by_node` holds each node's source
    and gain, from which the spread over sources can be told; it is empty where the models of role train answered in
    the judge's place, because both agreed (`rrm.evaluate.holdout`): then `gain` is by these.
    """

    place: Place
    policy: str
    before: str
    gain: float
    nodes: int
    chosen: bool
    by_node: tuple[tuple[str, float], ...] = ()

    @property
    def by_select(self) -> bool:
        """Whether the judge of role select said it, and not the models of role train in its place."""
        return bool(self.by_node)

    @cached_property
    def id(self) -> str:
        return content_id("choice", str(self.place), self.policy, self.before, self.gain)


@dataclass(frozen=True)
class Gold:
    """The true quality, in [0, 1], of an output, which a generator knows and only reports are told."""

    output: str
    value: float

    @cached_property
    def id(self) -> str:
        return content_id("gold", self.output, self.value)
