"""What a run has to say for itself, as plain values; `to_json` gives the summary that the CLI prints.

None stands for "undefined here" everywhere: no gold, too few rows, not estimable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import fsum, sqrt
from typing import Any, Literal, NamedTuple

from rrm.core.asking import Writer
from rrm.core.claims import Chain
from rrm.core.notebook import html_of, text_of
from rrm.core.place import level_name


class Interval(NamedTuple):
    """Lower and upper end."""

    low: float
    high: float


class Bin(NamedTuple):
    """One bin of a reliability diagram: mean predicted probability, observed share, rows."""

    predicted: float
    observed: float
    rows: int


@dataclass(frozen=True)
class Figures:
    """How well probabilities of comparisons met their outcomes, all figures over the same `n` rows.

    Ties are left out of accuracy, its ceiling and its baselines, and counted in `ties`. Intervals are
    95 %, clustered by source; that of accuracy is never narrower than the binomial one of the same rows, and None below
    three `sources`, which counts those of the untied rows. `ece` is over folded rows; `reliability` are its bins.

    `noise_ceiling` is the best accuracy where it is known: raters are simulations, or answers were checked. Of people
    it is not: `agreement` is how often one agrees with the majority of the others, which lies below the best possible
    accuracy, and `best_possible` is an estimate of that. `longer_wins`, `bag_of_words` and `verbatim` are baselines.
    """

    n: int
    ties: int = 0
    accuracy: float | None = None
    interval: Interval | None = None
    nll: float | None = None
    ece: float | None = None
    ece_interval: Interval | None = None
    reliability: tuple[Bin, ...] = ()
    noise_ceiling: float | None = None
    agreement: float | None = None
    best_possible: float | None = None
    longer_wins: float | None = None
    bag_of_words: float | None = None
    verbatim: float | None = None
    sources: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the object that `rrm eval-reward --json` ends with."""
        return {
            "n": self.n,
            "accuracy": self.accuracy,
            "ties": self.ties,
            "interval": list(self.interval) if self.interval else None,
            "nll": self.nll,
            "ece": self.ece,
            "noise_ceiling": self.noise_ceiling,
            "agreement": self.agreement,
            "best_possible": self.best_possible,
            "longer_wins": self.longer_wins,
            "bag_of_words": self.bag_of_words,
            "verbatim": self.verbatim,
        }


class Short(NamedTuple):
    """The figures of a part of the rows: how many, the share predicted rightly, nats a row."""

    n: int
    accuracy: float | None
    nll: float | None


@dataclass(frozen=True)
class RewardReport:
    """A reward model on comparisons that it was not fitted on: in all, by level, by rater with enough rows."""

    figures: Figures
    by_level: dict[int, Short] = field(default_factory=dict)
    by_rater: dict[str, Short] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the figures of all rows, the object that `rrm eval-reward --json` ends with."""
        return self.figures.to_json()


@dataclass(frozen=True)
class SplitsReport:
    """How well a reward model of decompositions predicts comparisons of outlines of sources that it was not fitted on.

    `n_train` counts the ratings that it was fitted on. `more_even_wins` and `fewer_parts_win` are baselines over the
    rows of `figures`: how often the decomposition with parts of more even sizes, or with fewer parts, was preferred.
    """

    n_train: int
    figures: Figures
    more_even_wins: float | None = None
    fewer_parts_win: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what stands under `splits` in the summary object of a run."""
        names = ("n", "accuracy", "ties", "interval", "nll", "ece", "noise_ceiling", "agreement", "best_possible")
        told = self.figures.to_json()
        rules = {"more_even_wins": self.more_even_wins, "fewer_parts_win": self.fewer_parts_win}
        return {"n_train": self.n_train, **{name: told[name] for name in names}, **rules}


@dataclass(frozen=True)
class HeldOutShare:
    """The `share` of `rows` that a model told right, with its 95 % interval over sources, None below three."""

    rows: int
    share: float | None = None
    interval: Interval | None = None


@dataclass(frozen=True)
class CriterionAccuracy:
    """How well a level's model tells the answers by one `criterion`, on sources that it was never fitted on.

    `pairs` are comparisons and what rankings decide, ties left out; `judged` are labels and ratings, told right where
    they lie on the predicted side of the middle.
    """

    criterion: str
    pairs: HeldOutShare
    judged: HeldOutShare


@dataclass(frozen=True)
class LevelReport:
    """How well one level's model predicts comparisons on sources that it was never fitted on.

    `n_train` counts the ratings fitted on, `n_test` the comparisons evaluated (ties left out of accuracy and counted in
    `ties`), `sources` the sources that accuracy is over. `shared_head` says that the level had no ratings, and is
    judged by the model below; `own`, from 0 to 1, how much of what its model says comes from its own ratings, the rest
    being drawn towards the model below: None where there is none below, or where the model does not say. `coverage`
    is the share of the targets' outputs whose true probability of acceptance lies in the 90 % interval, where the
    rater is a simulation that knows it; `coverage_n` counts those outputs, `coverage_interval` is 95 %. `subject` says
    what was judged: answers at nodes, or whole outputs for the flat baseline. `criteria` tells the same model's answers
    criterion by criterion where raters judged by several. All else is as in `Figures`.
    """

    level: int
    n_train: int
    n_test: int
    ties: int = 0
    accuracy: float | None = None
    interval: Interval | None = None
    noise_ceiling: float | None = None
    agreement: float | None = None
    best_possible: float | None = None
    longer_wins: float | None = None
    bag_of_words: float | None = None
    verbatim: float | None = None
    nll: float | None = None
    ece: float | None = None
    ece_interval: Interval | None = None
    reliability: tuple[Bin, ...] = ()
    coverage: float | None = None
    shared_head: bool = False
    own: float | None = None
    subject: str = "answer"
    sources: int = 0
    coverage_n: int = 0
    coverage_interval: Interval | None = None
    criteria: tuple[CriterionAccuracy, ...] = ()

    def name(self, top: int) -> str:
        """Return what the level is called where the roots' is `top`."""
        return "flat baseline" if self.subject == "whole" else level_name(self.level, top)


@dataclass(frozen=True)
class Choosing:
    """By how much more is accepted of what is made of chosen outputs than of what is made of others.

    `effect` is a difference of mean acceptances, with its 95 % interval over sources; `others` counts the training
    nodes that read an output drawn at random, and not the chosen one, of some part, among `nodes` with parts.
    """

    effect: float
    interval: Interval | None
    others: int
    nodes: int


@dataclass(frozen=True)
class Candidate:
    """An output with its scores: its own, and composed with what lies below; 90 % intervals."""

    id: str
    text: str
    own: float | None = None
    own_interval: Interval | None = None
    composed: float | None = None
    composed_interval: Interval | None = None
    chosen: bool = False
    gold: float | None = None
    times: int = 1  # how often the policy proposed this text


class Nats(NamedTuple):
    """An amount of optimisation pressure in nats, and how it is known: exact, estimated or a bound."""

    nats: float
    how: str


@dataclass(frozen=True)
class FromOutputs:
    """What a figure that is not exact rests on: `outputs` at `nodes` nodes, and its standard error (None at one node).

    `whole` is the share of these outputs that ended by themselves. What was cut off is known as far as it goes, so
    where that is below 1 the figure is a lower bound, `how` "at least", and else "estimated".
    """

    how: Literal["estimated", "at least"]
    outputs: int
    nodes: int
    error: float | None
    whole: float

    @property
    def sign(self) -> str:
        return "\N{ALMOST EQUAL TO}" if self.how == "estimated" else "\N{GREATER-THAN OR EQUAL TO}"


def _estimated_json(estimated: Mapping[str, FromOutputs]) -> dict[str, Any]:
    return {name: asdict(each) for name, each in estimated.items()}


def added(parts: Sequence[Nats | None]) -> Nats | None:
    """Return the sum, None where a part is unknown.

    It is exact if all its parts are, an estimate if one of them is an estimate, and else a bound. Parts of zero nats
    leave what is known as it is.
    """
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    hows = {part.how for part in known if part.nats}
    how = "estimated" if "estimated" in hows else "bound" if "bound" in hows else "exact"
    return Nats(fsum(part.nats for part in known), how)


@dataclass(frozen=True)
class NodeReport:
    """One node of a target's tree, its candidates best first, or the failure that befell it.

    `pressure` is what optimising came to here in the last round: see `LedgerLevel`.
    """

    id: str
    level: int
    depth: int
    title: str
    children: tuple[str, ...]
    source_text: str
    candidates: tuple[Candidate, ...]
    failure: str | None = None
    blame: float | None = None  # how much the root's score would rise if this node's own were as good as can be, or,
    # where claims were followed, if no claim had been changed here
    subtree_blame: float | None = None  # and if all below it were, too
    pressure: Nats | None = None

    @property
    def chosen(self) -> Candidate | None:
        """The candidate that was chosen here, or else the best: equal texts stand here once, and under one id."""
        return next((each for each in self.candidates if each.chosen), self.candidates[0] if self.candidates else None)


@dataclass(frozen=True)
class TreeReport:
    """One tree of a target source: nodes by id, the root first."""

    seed: int
    root: str
    nodes: tuple[NodeReport, ...]

    @property
    def root_candidates(self) -> tuple[Candidate, ...]:
        return next((node.candidates for node in self.nodes if node.id == self.root), ())


class Spent(NamedTuple):
    """How far the optimiser says that a policy went: nats a node, over what it was improved on, from its anchor.

    `how` says whether they are exact, estimated or a bound. `anchor` is "first", the policy that the run began with,
    or "last", the one that proposed before.
    """

    nats: float
    how: str
    anchor: str


@dataclass(frozen=True)
class RoundLevel:
    """One level in one round, over the outputs proposed for targets: mean gold, mean acceptance, and the policy.

    `kl` and `entropy` are in nats a node, exact where the policy knows them, else as `estimated` says, and None where
    nothing is known; `kl` is from the policy that the run began with. `proxy_interval` is a 95 % bootstrap interval
    over these nodes, which takes the round's models as given; other rounds are judged by other models, fitted anew.
    `spent` is the optimiser's own figure, which `kl_budget` limits, None for a policy that was not improved. `moved` is
    the share of all nodes, training ones too, whose view is another than in the round before.
    """

    level: int
    gold_mean: float | None = None
    proxy_mean: float | None = None
    kl: float | None = None
    kl_budget: float | None = None
    entropy: float | None = None
    moved: float | None = None
    spent: Spent | None = None
    proxy_interval: Interval | None = None
    estimated: Mapping[str, FromOutputs] = field(default_factory=dict)

    @property
    def of_budget(self) -> float | None:
        """The share of the budget that the optimiser spent."""
        return self.spent.nats / self.kl_budget if self.spent and self.kl_budget else None

    def to_json(self) -> dict[str, Any]:
        names = ("level", "gold_mean", "proxy_mean", "kl", "kl_budget", "entropy")
        row = {name: getattr(self, name) for name in names}
        row["proxy_interval"] = list(self.proxy_interval) if self.proxy_interval else None
        row["spent"] = self.spent._asdict() if self.spent else None
        return row | {"estimated": _estimated_json(self.estimated)}


@dataclass(frozen=True)
class LedgerLevel:
    """What optimising came to at one level in one round, over the targets' nodes, and what was gained by it.

    `policy` is how far the policy that proposed lies from the run's first, and `choice` what choosing among each node's
    candidates adds, both in nats a node; `policy` is None where that is not known. With more than one candidate
    `policy` is measured on the outputs that were chosen, where their probabilities are known: by the chain rule, the
    sum is then that of what was chosen from what the first policy writes. `chosen_proxy` and `chosen_gold` say by how
    much the chosen outputs' acceptance and gold exceed those of all candidates, and `gold_since` by how much the
    candidates' mean gold exceeds that in the round before. `gap` is the acceptance of the chosen outputs less their
    gold, and `gap_all` that of all candidates.
    """

    level: int
    nodes: int
    candidates: float
    policy: Nats | None
    choice: Nats
    chosen_proxy: float | None = None
    chosen_gold: float | None = None
    gold_since: float | None = None
    gap: float | None = None
    gap_all: float | None = None

    @property
    def node(self) -> Nats | None:
        """Both together, in nats a node."""
        return added((self.policy, self.choice))

    @property
    def total(self) -> Nats | None:
        """Both together, in nats over all nodes of the level."""
        return Nats(self.nodes * self.node.nats, self.node.how) if self.node else None


@dataclass(frozen=True)
class Ledger:
    """What optimising came to in a round: level by level, leaves first, and for the targets' `trees`.

    `among_trees` is what choosing a target's output among the roots of several trees may add, in nats a target.
    """

    levels: tuple[LedgerLevel, ...]
    trees: int
    among_trees: Nats | None = None

    @property
    def tree(self) -> Nats | None:
        """The nats of one tree in the mean: by the chain rule, the sum over its nodes."""
        total = added([level.total for level in self.levels])
        return Nats(total.nats / self.trees, total.how) if total and self.trees else None

    def to_json(self) -> dict[str, Any]:
        return {
            "levels": [_ledger_json(level) for level in self.levels],
            "trees": self.trees,
            "tree": self.tree._asdict() if self.tree else None,
            "among_trees": self.among_trees._asdict() if self.among_trees else None,
        }


def _ledger_json(level: LedgerLevel) -> dict[str, Any]:
    names = ("level", "nodes", "candidates", "chosen_proxy", "chosen_gold", "gold_since", "gap", "gap_all")
    row = {name: getattr(level, name) for name in names}
    booked = {"policy": level.policy, "choice": level.choice, "node": level.node}
    return row | {name: nats and nats._asdict() for name, nats in booked.items()}


class NearestTilt(NamedTuple):
    """The member of the first policy's exponential tilts, by acceptance, that is nearest to an improved policy.

    `residual` are the nats from the policy to that tilt, in the mean over `nodes`: what was done that is no tilt, where
    `moved` nats were done in all, over the same outputs of the first policy.
    """

    steepness: float
    residual: float
    moved: float
    nodes: int


@dataclass(frozen=True)
class DiversityLevel:
    """How various a level's outputs for targets are in a round, and whether the policy's probabilities mean something.

    `calibration_error` is of the policy as a predictor of which of a node's different outputs is the best by gold; None
    where gold is not known. `entropy`, `kl` from the run's first policy and `reverse_kl` (the first policy's from this
    one) are in nats a node. `distinct` is the share of a node's outputs that differ, and `self_bleu` how much they
    repeat each other, in [0, 1]. `tilt` says how far the policy is a conditional of the first one: None for that one.
    `estimated` says by name which of entropy and KLs are not exact, and what they rest on.
    """

    level: int
    nodes: int
    calibration_error: float | None
    entropy: float | None
    distinct: float
    self_bleu: float | None
    kl: float | None
    reverse_kl: float | None
    tilt: NearestTilt | None = None
    estimated: Mapping[str, FromOutputs] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        names = ("level", "nodes", "calibration_error", "entropy", "distinct", "self_bleu", "kl", "reverse_kl")
        row = {name: getattr(self, name) for name in names} | {"tilt": self.tilt and self.tilt._asdict()}
        return row | {"estimated": _estimated_json(self.estimated)}


@dataclass(frozen=True)
class PolicyChoice:
    """What the judge of role select said of a policy that a round had made.

    `gain` is the mean acceptance, by models fitted to that judge's ratings, of the new policy's outputs less that of
    the old one's, at `nodes` nodes of `sources` sources held apart; `interval` is its 95 % bootstrap interval over
    those sources, None with fewer than two. `kept` says that the next round proposes with the new policy, which is so
    where the gain is above 0. `level` is the one that the policy proposes at, None for all. `by_select` is False where
    looks at that judge are limited, and the models of role train answered, with which it agreed: `gain` is then theirs.
    """

    policy: str
    level: int | None
    gain: float
    interval: Interval | None
    nodes: int
    sources: int
    kept: bool
    by_select: bool = True

    def to_json(self) -> dict[str, Any]:
        names = ("level", "gain", "nodes", "sources", "kept", "by_select")
        row = {name: getattr(self, name) for name in names}
        return row | {"interval": list(self.interval) if self.interval else None}


@dataclass(frozen=True)
class RoundReport:
    """One round, level by level, leaves first, what was said of the policies made at its end, and what optimising cost.

    Rounds count from 0.
    """

    round: int
    levels: tuple[RoundLevel, ...]
    choices: tuple[PolicyChoice, ...] = ()
    ledger: Ledger | None = None
    diversity: tuple[DiversityLevel, ...] = ()

    def to_json(self) -> dict[str, Any]:
        levels, choices = ([each.to_json() for each in rows] for rows in (self.levels, self.choices))
        ledger = self.ledger.to_json() if self.ledger else None
        diversity = [each.to_json() for each in self.diversity]
        return {
            "round": self.round,
            "levels": levels,
            "choices": choices,
            "ledger": ledger,
            "diversity": diversity,
        }


@dataclass(frozen=True)
class Use:
    """How often judges of a role were put to a purpose, in outputs judged: fit, improve, choose, report."""

    role: str
    purpose: str
    outputs: int


class Correlation(NamedTuple):
    """Spearman's rank correlation over `n` root candidates, with a bootstrap interval."""

    value: float | None
    interval: Interval | None
    n: int


class CriterionScore(NamedTuple):
    """What is said of the chosen output by one criterion of raters, or as one part of the composed score.

    `own` is the root model's score by that criterion, None for a part, which the model of claims tells.
    """

    name: str
    composed: float
    interval: Interval
    own: float | None = None


@dataclass(frozen=True)
class PassedOver:
    """A root output that was not chosen, `candidate` of the tree numbered `tree`, and its claims with their blame."""

    candidate: Candidate
    tree: int
    claims: tuple[Chain, ...] = ()


@dataclass(frozen=True)
class TargetReport:
    """What came out for one target source.

    `chosen` is the root output with the best composed score over all trees; the `gold_*` fields
    exist where a set of sources knows the truth, or an estimate of it: `gold_by` is its name. `claims` are the chosen
    output's, each with all that it rests on, `criteria` its scores by every criterion but the overall one, and `parts`
    its accuracy, coverage and coherence where a model of claims has a say. `beside_source` says that the composed score
    was told beside the source's own words, and `no_blame` why no blame was found where a composer that reads back
    should have. `least` is the root output with the least composed score, where the chosen one has a higher one.
    """

    source: str
    title: str
    trees: tuple[TreeReport, ...]
    chosen: Candidate | None
    chosen_tree: int | None = None
    gold_of_chosen: float | None = None
    gold_mean: float | None = None
    gold_best: float | None = None
    composed_correlation: Correlation | None = None
    own_correlation: Correlation | None = None
    flat_correlation: Correlation | None = None
    gold_by: str | None = None
    claims: tuple[Chain, ...] = ()
    criteria: tuple[CriterionScore, ...] = ()
    parts: tuple[CriterionScore, ...] = ()
    beside_source: bool = False
    no_blame: str = ""
    least: PassedOver | None = None

    @property
    def claims_of(self) -> dict[str, tuple[Chain, ...]]:
        """The claims of the outputs that are told of, by the output's id: those of the chosen one and of the least."""
        least = {self.least.candidate.id: self.least.claims} if self.least else {}
        return {**least, **({self.chosen.id: self.claims} if self.chosen else {})}


@dataclass(frozen=True)
class StageCost:
    """What raters were shown and asked at one level, or for the flat baseline.

    `tokens_shown` counts, in the run's tokenizer, what is shown with the outputs (passages and context) and
    the outputs, each time that they were shown. `minutes` are raters' by `rrm.feedback.minutes`, where a
    reading is shared by three decisions of one rater about one view, and `published_minutes` the same by
    the published times. Where raters are no people they say what people would take.
    """

    level: int
    ratings: int = 0
    tokens_shown: int = 0
    minutes: float = 0.0
    published_minutes: float = 0.0


@dataclass(frozen=True)
class CallsReport:
    """What the calls of assistants came to that one part of the run made, the `asker`: how many ended how.

    `endings` are those of `rrm.core.calls.Call`: "answer", "truncated", why a reply held no answer, kinds of faults.
    `noticed` counts what was left out of replies or not known of them, such as "thoughts". Every attempt counts.
    """

    asker: str
    endings: dict[str, int]
    noticed: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """What was spent: model calls and the tokens they took, and what raters were shown, level by level.

    All are over every restart of the run; what came from the call cache costs nothing. The properties
    are sums over the levels, `splits`, which is what was rated of decompositions, `peeks`, and `targets`, the answers
    about targets' own outputs, without the flat baseline and without `select`, which is all that the judge of role
    select rated, at any level. `by_asker` says what the calls came to, by the part of the run that made them.
    """

    calls: int = 0
    tokens: int = 0
    levels: tuple[StageCost, ...] = ()
    flat: StageCost | None = None
    select: StageCost | None = None
    splits: StageCost | None = None
    peeks: StageCost | None = None
    targets: StageCost | None = None
    by_asker: tuple[CallsReport, ...] = ()

    @property
    def ratings(self) -> int:
        return sum(stage.ratings for stage in self._learned_from)

    @property
    def tokens_shown(self) -> int:
        return sum(stage.tokens_shown for stage in self._learned_from)

    @property
    def minutes(self) -> float:
        return fsum(stage.minutes for stage in self._learned_from)

    @property
    def published_minutes(self) -> float:
        return fsum(stage.published_minutes for stage in self._learned_from)

    @property
    def _learned_from(self) -> tuple[StageCost, ...]:
        return (*self.levels, *(each for each in (self.splits, self.peeks, self.targets) if each is not None))


class AskedWave(NamedTuple):
    """How it stood before a wave of chosen questions, after so many `minutes` of raters in all.

    `expected` is the acceptance of the root outputs that would have been chosen then, by what was believed, and `gold`
    their true quality where it is known, means over targets. An hour more was to raise `expected` by `hour`, the best
    questions about one view by `gain` a minute of theirs.
    """

    round: int
    minutes: float
    expected: float
    gain: float
    hour: float
    gold: float | None = None


class AskedMinutes(NamedTuple):
    """Minutes of raters for chosen questions of a kind and level, where every answer was timed.

    `predicted` when they were chosen, `counted` as budgets count them, and `paid`; of all that were put, `skipped`
    questions got no answer.
    """

    kind: str
    level: int
    questions: int
    predicted: float
    counted: float
    paid: float
    skipped: int


class AskedStream(NamedTuple):
    """How questions of a `stream` fared, chosen by value or drawn: what is true of raters in general the drawn tell.

    Of `questions` that were put `skipped` got no answer, and `again` ask what another one of the stream asks. Of those
    that two raters answered, in words that can be alike, `paired`, their first two answers were `alike`. `minutes` are
    as budgets count them, of `answers`; `paid` those that they took, None unless all were timed. Both shares have their
    95 % intervals (Wilson).
    """

    stream: str
    questions: int
    skipped: int
    again: int
    paired: int
    alike: int
    answers: int
    minutes: float
    paid: float | None
    skipped_interval: Interval
    alike_interval: Interval | None


class AskedSlope(NamedTuple):
    """How steeply `n` answers follow what held-out models predicted of them, with its 95 % interval.

    1 where predictions are as sure as they are right, below 1 where they are surer than that.
    """

    n: int
    slope: float
    interval: Interval


class UnweightedFits(NamedTuple):
    """Whether fits may take chosen questions as they are: the slopes of both streams, and their `difference`.

    Zero where models are right about whatever the choice went by. The `interval` is at 95 %; a difference of `seen`
    would be told from none in four of five runs.
    """

    chosen: AskedSlope
    drawn: AskedSlope
    difference: float
    interval: Interval
    seen: float

    @property
    def misleads(self) -> bool:
        """Whether models are wrong in a way that follows the choice, as one in twenty sound runs has it by chance."""
        return self.interval.low > 0 or self.interval.high < 0


class AskedRater(NamedTuple):
    """What is true of a rater in general, by `drawn` answers, to questions that were drawn; `chosen` ones tell nothing.

    `slope` is how steeply the drawn ones follow what models predict, None of too few. Of those that another rater
    answered, too, `paired`, both were `alike`. An answer took `paid` minutes, None unless all were timed.
    """

    rater: str
    drawn: int
    chosen: int
    slope: AskedSlope | None
    paired: int
    alike: int
    alike_interval: Interval | None
    paid: float | None


class AskedChoice(NamedTuple):
    """What would be chosen of the targets' root outputs `by` some answers, means over targets as they count.

    `expected` is its acceptance as believed by these, None of what unlimited answers would choose. Where it is known,
    `accepted` is how probably raters accept it, composed as the run's scores are, and `gold` its true quality.
    """

    by: Literal["without", "with", "unlimited"]
    expected: float | None
    accepted: float | None
    gold: float | None


class AskedTargets(NamedTuple):
    """What came of so many `questions` about targets' own outputs, where these were allowed, and `answers` to them.

    Because of them another output was chosen of `changed` of so many `targets`, where nobody was left to choose.
    `choices` are without these answers, with them, and, where raters are simulations, with unlimited answers to the
    questions that were allowed.
    """

    questions: int
    answers: int
    targets: int
    changed: int
    choices: tuple[AskedChoice, ...]


class AskedLeft(NamedTuple):
    """A target whose choice was left to a person, called `title`, and what came of it.

    `gain` is by how much they were expected to raise the acceptance of what is had, and `minutes` what that was
    expected to take, as it was believed when the choice was left. `taken` is whether somebody took an output, and
    `changed` whether it is another than what would stand had nobody been left to choose. Where it is known, `accepted`
    is how probably raters accept what was taken, composed as the run's scores are, and `gold` its true quality, both
    with what they are of the other one.
    """

    title: str
    gain: float
    minutes: float
    taken: bool
    changed: bool = False
    accepted: tuple[float, float] | None = None
    gold: tuple[float, float] | None = None


class AskedWritten(NamedTuple):
    """Texts of a `kind` that people wrote, where those at targets' roots become candidates.

    By `texts` whose view still stands, models accept the next one so many logits more than what it stands beside
    (`mean`, `sd`), and `writers` says it of each who wrote. Of targets' root outputs `candidates` were written so, and
    `chosen` of these stand as chosen; `gold` is the mean truth of them, and that of all other root outputs there, where
    it is known.
    """

    kind: str
    texts: int
    mean: float
    sd: float
    candidates: int
    chosen: int
    gold: tuple[float, float] | None = None
    writers: tuple[Writer, ...] = ()


class PeekedClaims(NamedTuple):
    """Claims of training roots' outputs whose way to the source is as sure as `low` to `high`, and what peeks found.

    Of `claims` in all, `peeked` answers said that so many were `wrong`. `share` is the share that is wrong, by the mean
    and the central 90 % of a beta distribution, (1/2, 1/2) before any peek. `chosen` counts such claims in the outputs
    chosen for targets.
    """

    low: float
    high: float
    claims: int
    peeked: int
    wrong: int
    share: float
    share_low: float
    share_high: float
    chosen: int


@dataclass(frozen=True)
class PeeksReport:
    """What looks at the source told of claims that raters above the leaves cannot check, by how sure their ways are.

    `unseen` claims of training roots lead to no words of the source, and `unseen_chosen` of outputs chosen for targets:
    no peek tells anything of these. `by_value` answers are of claims that were chosen by what a look is worth, of which
    `by_value_wrong` found them wrong: these tell no share.
    """

    claims: tuple[PeekedClaims, ...]
    unseen: int
    unseen_chosen: int
    minutes: float
    by_value: int = 0
    by_value_wrong: int = 0

    @property
    def wrong_chosen(self) -> tuple[float, float, float]:
        """How many claims of the chosen outputs are expected to be wrong, with what the shares' limits come to."""
        shares = ((each.share, each.share_low, each.share_high) for each in self.claims)
        ways = zip(shares, (each.chosen for each in self.claims), strict=True)
        expected, low, high = (fsum(each) for each in zip(*([s * n for s in share] for share, n in ways), strict=True))
        return expected, low, high


BesideClaims = Literal["nothing", "supported", "doubtful", "not quoted", "quoted"]
"""What raters were shown beside a claim.

Neither support nor a critique / its support, `rrm.core.claims.DOUBTFUL` or more, or below it / a critique of the output
that does not quote it, or that does.
"""


@dataclass(frozen=True)
class MarksReport:
    """Which claims raters marked, by what they were shown beside them.

    There are so many `answers`, which took so many `minutes`, those of reading critiques (`critiques_minutes`) among
    them. `shown` has for each thing that was shown how many claims it stood beside and how many of these were marked,
    each counted once an answer; a claim with support and a critique stands under both.
    """

    answers: int
    minutes: float
    critiques_minutes: float
    shown: tuple[tuple[BesideClaims, int, int], ...]


@dataclass(frozen=True)
class HindsightReport:
    """What comparisons by raters who saw what came of outputs changed.

    There are so many `answers`, without which raters would have taken so many `minutes` less. Of `pairs` that were
    decided either way `turned` were decided the other way in hindsight (a share with its 90 % `interval`, None where
    there are none). Beside that, of pairs that were judged `twice` without hindsight `otherwise` were decided otherwise
    the second time. `foresaw` of `foresights` answers preferred the output that more came of, and `saw` of `hindsights`
    in hindsight. Rollouts were `wrong` in so many of `checked` cases, as the outcome of
    each output says.
    """

    answers: int
    minutes: float
    pairs: int
    turned: int
    interval: Interval | None
    twice: int
    otherwise: int
    foresights: int
    foresaw: int
    hindsights: int
    saw: int
    checked: int
    wrong: int


@dataclass(frozen=True)
class AskingReport:
    """What asking by value did: its waves, and how many questions were put by value, at random beside, and evenly.

    `honest` comparisons, none of which was chosen by value, are those that accuracy is told of. `stopped` says that at
    the end no question was worth its minutes. `minutes` are those predicted beside those paid, by kind and level, and
    `streams` how questions that were chosen fared beside those that were drawn. `targets` is what came of questions
    about targets themselves, None where these were not allowed, and `left` which targets' choices were left to a
    person, None where none could be. `written` says of texts that people wrote how good they are, where they become
    candidates. `fits` says whether fits may take chosen questions as they are, None where too few answers tell, and
    `raters` what raters are like, those of most drawn answers first.
    """

    waves: tuple[AskedWave, ...]
    by_value: int
    at_random: int
    evenly: int
    honest: int
    stopped: bool = False
    minutes: tuple[AskedMinutes, ...] = ()
    streams: tuple[AskedStream, ...] = ()
    targets: AskedTargets | None = None
    left: tuple[AskedLeft, ...] | None = None
    written: tuple[AskedWritten, ...] = ()
    fits: UnweightedFits | None = None
    raters: tuple[AskedRater, ...] = ()

    @property
    def power(self) -> float | None:
        """To how many percentage points, up or down, an accuracy about three quarters is told by the honest rows."""
        return 196 * sqrt(0.75 * 0.25 / self.honest) if self.honest else None


@dataclass(frozen=True)
class Report:
    """A finished run. Scores are probabilities of acceptance only if ratings have `anchored` the rewards.

    `outputs` and `ratings` are over all rounds; `ratings` are those that the levels' models learned from, so not those
    of the judge of role select (`select_ratings`), nor the flat baseline's. `notes` say what was left out of the
    sources, or taken for something else.
    """

    name: str
    train_sources: int
    target_sources: int
    nodes_per_level: tuple[int, ...]
    outputs: int
    ratings: int
    composer: str
    levels: tuple[LevelReport, ...]
    flat: LevelReport | None
    targets: tuple[TargetReport, ...]
    cost: Cost
    seconds: float
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    anchored: bool = True
    rounds: tuple[RoundReport, ...] = ()
    uses: tuple[Use, ...] = ()
    notes: tuple[str, ...] = ()
    choosing: Choosing | None = None
    asking: AskingReport | None = None
    peeks: PeeksReport | None = None
    hindsight: HindsightReport | None = None
    marks: MarksReport | None = None
    splits: SplitsReport | None = None

    @property
    def select_ratings(self) -> int:
        """The ratings of the judge of role select."""
        return self.cost.select.ratings if self.cost.select else 0

    @property
    def top(self) -> int:
        """The level of the roots."""
        return len(self.nodes_per_level) - 1

    def __repr__(self) -> str:
        return text_of(self)

    def _repr_html_(self) -> str:
        """What a notebook shows at the end of a cell."""
        return html_of(self)

    def to_json(self) -> dict[str, Any]:
        """Return the summary object that `rrm demo --json` and `rrm run --json` end with.

        `root` is about the first target.
        """
        first = self.targets[0] if self.targets else None
        chosen = first.chosen if first else None
        return {
            "sources": {"train": self.train_sources, "target": self.target_sources},
            "nodes_per_level": list(self.nodes_per_level),
            "outputs": self.outputs,
            "ratings": self.ratings,
            "levels": [_level_json(level) for level in self.levels],
            "flat": {"accuracy": self.flat.accuracy if self.flat else None},
            "splits": self.splits.to_json() if self.splits else None,
            "root": {
                "score": chosen.composed if chosen else None,
                "low": chosen.composed_interval.low if chosen and chosen.composed_interval else None,
                "high": chosen.composed_interval.high if chosen and chosen.composed_interval else None,
                "text": chosen.text if chosen else None,
                "gold_by": first.gold_by if first else None,
                "gold_of_chosen": first.gold_of_chosen if first else None,
                "gold_mean": first.gold_mean if first else None,
                "gold_best": first.gold_best if first else None,
                "rank_correlation": first.composed_correlation.value if first and first.composed_correlation else None,
            },
            "seconds": round(self.seconds, 2),
            "rounds": [each.to_json() for each in self.rounds],
            "calls": {each.asker: {"endings": each.endings, "noticed": each.noticed} for each in self.cost.by_asker},
            "notes": [*self.notes, *self.warnings],
        }


def _level_json(level: LevelReport) -> dict[str, Any]:
    names = ("level", "n_train", "n_test", "accuracy", "interval", "noise_ceiling", "agreement", "best_possible")
    row = {name: getattr(level, name) for name in (*names, "longer_wins", "bag_of_words", "verbatim", "nll", "ece")}
    row["interval"] = list(level.interval) if level.interval else None
    return row
