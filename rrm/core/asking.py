"""What is believed of outputs' rewards, and what is asked next because of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from rrm.core.draws import LEAST, LEAST_SHARE
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.protocols import RewardLearner, RewardModel
from rrm.core.roles import R, Ratings
from rrm.core.values import Group, Request


@runtime_checkable
class Belief(Protocol):
    """What is believed of the rewards of any outputs at any level, all ratings that it was made of included.

    Rewards are in logits and those of these very outputs, what features do not tell of them included: the logistic of
    one is the probability that a rater accepts that output, the logistic of a difference that it is preferred.
    Outputs are those of the groups one after another.
    """

    def means(self, groups: Sequence[Group]) -> np.ndarray:
        """Return the expected reward of every output, float64 [n]."""
        ...

    def covariance(self, groups: Sequence[Group], others: Sequence[Group]) -> np.ndarray:
        """Return the covariance of every output's reward with every other's, float64 [n, m]."""
        ...


class Chooser(NamedTuple):
    """How a rater chooses: by rewards over a `temperature`, which of raters in general is 1, and now and then blindly.

    That is done with probability `lapse`.
    """

    temperature: float = 1.0
    lapse: float = 0.0


USUAL_LAPSE, LAPSE_SD = 0.02, 1.0
"""The usual share of blind answers, and the standard deviation over raters of its logit, before they said anything."""

USUAL_CHOOSER = Chooser(1.0, USUAL_LAPSE)
"""A rater of whom nothing is known."""


class Writer(NamedTuple):
    """What was found of a rater who wrote so many `texts`: their mean, as `Quality` has it, and how unsure that is."""

    rater: str
    mean: float
    sd: float
    texts: int


class Quality(NamedTuple):
    """How many logits more probably a text that people write is accepted than what it stands beside: normal.

    Demonstrations beside the mean of the node's outputs, corrections beside the output that was edited. It was learned
    from so many `texts` of these `writers`, and is that of the next text, whoever writes it.
    """

    mean: float
    sd: float
    texts: int = 0
    writers: tuple[Writer, ...] = ()


@runtime_checkable
class RatersBelief(Belief, Protocol):
    """A belief that has learned how noisy raters are."""

    @property
    def raters(self) -> tuple[Chooser, ...]:
        """Return what was found of every rater of the highest level; of none where all are taken for alike."""
        ...


@runtime_checkable
class BelievingLearner(RewardLearner, Protocol):
    """A learner that says what is believed once its models are fitted."""

    @property
    def no_belief(self) -> str | None:
        """Why nothing could be believed of its models as it is set, with what to change; None where it can."""
        ...

    def believe(self, models: Sequence[RewardModel], ratings: Sequence[Ratings[R]]) -> Belief:
        """Return the belief over all levels, from each level's model, lowest first, and the ratings to believe.

        Raises InputError where no rating says anything.
        """
        ...


@dataclass(frozen=True, eq=False)
class Alternatives:
    """What is decided of one target: one of its k root `outputs` (ids) is chosen, by `scores` [k] of acceptance.

    `slopes` [k, n] say by how much each score rises per logit of reward of the outputs of `groups`, root candidates
    and what they were made of, all that the composer joins. `weight`, from 0 up, is how much the target counts. Where
    a person was left to choose, `left` are the places of what they chose among, first of what they took, which is had
    whatever the scores are.
    """

    outputs: tuple[str, ...]
    scores: np.ndarray = field(repr=False)
    groups: tuple[Group, ...] = field(repr=False)
    slopes: np.ndarray = field(repr=False)
    weight: float = 1.0
    left: tuple[int, ...] = ()


class Question(NamedTuple):
    """A question that can be put, with the minutes of all who answer it: reading its view, and all else.

    One `of_target` is about an output of a target, and is never drawn at random. One that `leaves` a target's choice
    asks a person to choose among its root outputs beside the whole source, and what they choose is had. `others` are,
    of a question that has a text written, all outputs that stand beside its view.
    """

    request: Request
    reading: float
    deciding: float
    of_target: bool = False
    leaves: bool = False
    others: tuple[str, ...] = ()

    @property
    def apart(self) -> bool:
        """Whether it is put by itself, and not in a bundle: a choice that is left, or a text that is written."""
        return self.leaves or bool(self.others)

    @property
    def texts(self) -> tuple[str, ...]:
        """The outputs that its answer tells of."""
        return self.others or tuple(shown.text for shown in self.request.shown)


@dataclass(frozen=True, eq=False)
class Asking:
    """What may be asked now, and for which decision.

    `questions` may take so many `minutes` and be so `many` (None: no limit). A view is read once per
    `decisions_a_reading` of them, and `overlap` raters answer each. `levels` says how often the targets' trees have
    nodes of each level, `drawn` how many questions were drawn at random before, and `expected` how many will be put in
    all. Texts that are written at targets' roots become candidates there, of which `qualities` are expected, by kind;
    without them they do not.
    """

    questions: tuple[Question, ...] = field(repr=False)
    targets: tuple[Alternatives, ...] = field(repr=False)
    levels: Mapping[int, float]
    place: Place = field(default_factory=Place)
    wave: int = 0
    minutes: float = inf
    many: int | None = None
    decisions_a_reading: int = 3
    overlap: int = 1
    drawn: int = 0
    expected: int = 0
    seed: int = 0
    qualities: Mapping[str, Quality] = field(default_factory=dict)

    @cached_property
    def pool(self) -> str:
        """Names the questions that can be put, whatever their order."""
        return content_id("pool", sorted(each.request.id for each in self.questions))


BY_VALUE, AT_RANDOM, LEFT = "value", "random", "left"
"""The streams of questions: chosen by value, drawn at random beside these, and choices that are left to a person."""


@dataclass(frozen=True)
class Asked:
    """Why a question was put: which `stream` it is of, out of which `pool`, with which `propensity`.

    `minutes` are those that it was expected to take all who answer it, its share of the reading included.

    Of the streams `value` and `left` it was in the bundle (numbered from 0) of the greatest `value`, in acceptance
    probability a minute, and nothing was left to chance. Of the stream `random` the propensity is the probability with
    which it was drawn next; its answer never picks another question.
    """

    request: str
    stream: str
    pool: str
    propensity: float
    value: float = 0.0
    bundle: int = 0
    minutes: float = 0.0

    @cached_property
    def id(self) -> str:
        said = (self.stream, self.pool, self.propensity, self.value, self.bundle, self.minutes)
        return content_id("asked", self.request, *said)


@dataclass(frozen=True)
class Outlook:
    """How it stands before a wave of questions, by what is believed then.

    `best` are the root outputs (ids) that would be had now, and `expected` their mean acceptance, each counting by its
    share of `weights`, which sum to one: one a target where one is chosen, all that an improved policy would propose
    otherwise;
    `hour` is by how much the next hour of the best questions would raise it, `gain` what the best bundle would, a
    minute of it. `stopped` says that this is less than a minute is worth. `questions` could be put, `drawn` were drawn
    at random so far. A belief that is made of `draws` (0: it is not) counts as so many `effective` ones.
    """

    place: Place
    wave: int
    pool: str
    questions: int
    drawn: int
    expected: float
    gain: float
    hour: float
    stopped: bool = False
    best: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    draws: int = 0
    effective: float = 0.0

    @property
    def told(self) -> bool:
        """Whether gains are known: of too few draws they are not, and nothing stops for want of them."""
        return not self.draws or self.effective >= LEAST

    @property
    def refit(self) -> bool:
        """Whether so few draws count by now that models are to be fitted anew."""
        return self.effective < LEAST_SHARE * self.draws

    @cached_property
    def id(self) -> str:
        figures = (self.expected, self.gain, self.hour, self.draws, self.effective)  # draws: a wave may be fitted anew
        return content_id("outlook", str(self.place), self.wave, self.pool, *figures)


class Claimed(NamedTuple):
    """A claim that can be looked at: its question, with the minutes of all who answer it, and where it stands.

    It is of the output at place `output` of the decision `root`, and is supported with probability `support`; the
    output's score rises by `slope` from a claim that is not supported to one that is.
    """

    request: Request
    minutes: float
    root: int
    output: int
    support: float
    slope: float


@dataclass(frozen=True, eq=False)
class Peeking:
    """Which claims may be looked at in so many `minutes`, and for which decisions: among outputs of these scores [k].

    A share `random` of the minutes is drawn, whatever is believed.
    """

    claims: tuple[Claimed, ...] = field(repr=False)
    scores: tuple[np.ndarray, ...] = field(repr=False)
    minutes: float
    random: float
    place: Place = field(default_factory=Place)
    seed: int = 0

    @cached_property
    def pool(self) -> str:
        """Names the claims that can be looked at, whatever their order."""
        return content_id("pool", sorted(each.request.id for each in self.claims))


class Chosen(NamedTuple):
    """The questions to put, first those to put first, and how it stands before they are."""

    asked: tuple[Asked, ...]
    outlook: Outlook


@runtime_checkable
class QuestionSampler(Protocol):
    """Says which questions are put to raters, of all that a round can put; `name` covers every setting."""

    @property
    def name(self) -> str: ...

    @property
    def waves(self) -> int:
        """In how many waves a round's questions are chosen, each by the answers to those before."""
        ...

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of feedback that it can choose."""
        ...

    @property
    def targets(self) -> bool:
        """Whether questions about targets' own outputs may be put, too."""
        ...

    @property
    def leaves(self) -> bool:
        """Whether a target's choice may be left to a person."""
        ...

    def choose(self, belief: Belief, asking: Asking) -> Chosen:
        """Return questions of the pool within what it may take; equal arguments give equal choices."""
        ...


@runtime_checkable
class KeepingSampler(QuestionSampler, Protocol):
    """A sampler whose questions are ordered anew while people answer them."""

    def keep(self, belief: Belief, asking: Asking, asked: Sequence[Asked]) -> Mapping[str, np.ndarray]:
        """Return what it takes to order these questions as answers come in, as `rrm.ask.standing.Standing` reads it."""
        ...
