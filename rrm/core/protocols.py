"""What the parts of a run ask of each other; anything with these methods can take the part's place."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from rrm.core.calls import Call
from rrm.core.claims import Claims, SeenText
from rrm.core.graph import Node, Proposal, TaskGraph
from rrm.core.place import Place
from rrm.core.roles import R, Ratings, Scorer, Train
from rrm.core.task import Source, Span, Task
from rrm.core.values import Consequence, Feedback, Group, Output, Prediction, Rated, Request, Score, View


@runtime_checkable
class Tokenizer(Protocol):
    """Counts tokens and says where each ends."""

    @property
    def name(self) -> str: ...

    def count(self, text: str) -> int:
        """Return the number of tokens of a text."""
        ...

    def ends(self, text: str) -> np.ndarray:
        """Return the character offset, int64 [tokens], at which each token ends, ascending."""
        ...


@runtime_checkable
class Encoder(Protocol):
    """Turns texts into vectors."""

    @property
    def name(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return one vector per text, float32 [texts, dimensions], of length one."""
        ...


@runtime_checkable
class Decomposer(Protocol):
    """Splits a source's task into a closed graph; `name` covers every setting that matters."""

    @property
    def name(self) -> str: ...

    def decompose(self, source: Source, seed: int) -> TaskGraph:
        """Return the closed graph of one tree; another seed may give another."""
        ...


@runtime_checkable
class AsyncDecomposer(Protocol):
    """A decomposer that waits for somebody, such as a language model."""

    @property
    def name(self) -> str: ...

    async def decompose_async(self, source: Source, seed: int) -> TaskGraph:
        """Return the closed graph of one tree, refusals on record."""
        ...


@runtime_checkable
class GrowingDecomposer(Protocol):
    """Splits a node, waits for its parts' answers, and splits it again; `name` covers every setting that matters."""

    @property
    def name(self) -> str: ...

    def start(self, source: Source, seed: int) -> TaskGraph:
        """Return the graph to grow, usually `TaskGraph.start(task, self.name, seed)`: one open node."""
        ...

    def split(
        self, source: Source, graph: TaskGraph, node: Node, answers: Mapping[str, Output], n: int, seed: int
    ) -> Sequence[Proposal]:
        """Return up to n alternative proposals for an open node, the best first; at least one.

        `answers` holds, by id, the outputs chosen for the node's answered parts (`graph.children`) and
        for what it reads (`graph.reads`); one that failed for good is missing. `graph.refused(node.id)`
        tells why earlier proposals were refused. Equal seeds give equal proposals.
        """
        ...


@runtime_checkable
class AsyncGrowingDecomposer(Protocol):
    """A growing decomposer that waits for somebody, such as a language model."""

    @property
    def name(self) -> str: ...

    def start(self, source: Source, seed: int) -> TaskGraph:
        """Return the graph to grow, usually `TaskGraph.start(task, self.name, seed)`: one open node."""
        ...

    async def split_async(
        self, source: Source, graph: TaskGraph, node: Node, answers: Mapping[str, Output], n: int, seed: int
    ) -> Sequence[Proposal]:
        """Return what `GrowingDecomposer.split` does, or raise AssistantError."""
        ...


@runtime_checkable
class SplitSampler(Decomposer, Protocol):
    """A decomposer that is a distribution over a source's trees."""

    def draw(self, source: Source, n: int, seed: int) -> list[TaskGraph]:
        """Return n independent samples of a source's tree; equal seeds give equal trees."""
        ...

    def log_prob(self, source: Source, graph: TaskGraph) -> float:
        """Return the log-probability, in nats, with which a tree is drawn; -inf for what never is."""
        ...


@runtime_checkable
class RecordedRatings(Protocol):
    """Ratings made elsewhere, which a run learns from; the questions are part of each row."""

    def rated(self) -> list[Rated]: ...


class RecordedStep(NamedTuple):
    """One step of a decomposition on record; `reads` are earlier steps' numbers, from 0, `#1` in the text the first."""

    text: str
    reads: tuple[int, ...] = ()


@runtime_checkable
class PlanRecord(Protocol):
    """Decompositions of questions that somebody wrote down, such as people."""

    @property
    def name(self) -> str: ...

    def steps(self, question: str) -> Sequence[RecordedStep]:
        """Return the steps to a question's answer; raise InputError where there is no record of it."""
        ...


@runtime_checkable
class SplitScorer(Protocol):
    """Tells better splits of a node from worse ones, such as a reward model of decompositions."""

    @property
    def name(self) -> str: ...

    def score_splits(self, source: Source, node: str, graphs: Sequence[TaskGraph]) -> Sequence[float]:
        """Return how good each graph's split of a node is, higher is better; the graphs differ in nothing else."""
        ...


class Ranks(Protocol):
    """The process group that shares trainings: this process's, the first of `count` ranks, and those of other workers.

    They meet at `host`, an address of this machine, and each of them knows the `token`.
    """

    count: int
    host: str
    token: str

    def begin(self, folder: Path, port: int) -> None:
        """Have the other ranks begin the training that a folder holds; return once each has reached the port."""
        ...

    def check(self) -> None:
        """Raise LostRankError once another rank is lost, or nobody waits for the training any more."""
        ...


@dataclass(frozen=True)
class Workspace:
    """Where a part works: a folder that survives a kill, whom to tell how far it is, and the run's cache.

    The folder is the same when the same work is begun again. `progress` is told what is done and what there
    is in all (0: nobody knows), and `say` in a few words how it goes, such as a training's loss. A training may be
    shared with the other `ranks`, where there are any.
    """

    folder: Path
    progress: Callable[[int, int], None] = lambda done, total: None
    cache: "Cache | None" = None
    say: Callable[[str], None] = lambda words: None
    ranks: Ranks | None = None


# ---- proposing and improving ----


@dataclass(frozen=True)
class PromptContext:
    """What a policy's outputs are conditioned on: a node's task, and the view that a rater would see.

    `inputs` and `context` are the ids of the outputs that a policy reads: of the node's parts as passages,
    and of earlier nodes as previous context. `earlier` are the texts of the latter where raters are not shown them.
    """

    node: str
    task: Task
    view: View
    inputs: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    place: Place = field(default_factory=Place)
    earlier: str = ""

    @cached_property
    def read(self) -> View:
        """What a policy reads: the view, with the previous context that raters are not shown."""
        return replace(self.view, context=self.earlier) if self.earlier else self.view


@dataclass(frozen=True)
class ProposeJob:
    """A request for n outputs at a node; equal seeds give equal outputs."""

    prompt_context: PromptContext
    n: int
    seed: int


@runtime_checkable
class Policy(Protocol):
    """Proposes outputs; `name` covers every setting that can change one."""

    @property
    def name(self) -> str: ...

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        """Return for each job its n candidate outputs, within the task's limit; a job's do not hang on the others."""
        ...


@runtime_checkable
class AsyncPolicy(Protocol):
    """A policy that waits for somebody, such as a language model; many nodes are asked about at the same time."""

    @property
    def name(self) -> str: ...

    async def propose_async(self, job: ProposeJob) -> list[Output]:
        """Return n candidate outputs, or raise AssistantError."""
        ...


@runtime_checkable
class Density(Protocol):
    """A policy that knows how probable its outputs are."""

    def log_prob(self, prompt_context: PromptContext, texts: Sequence[str]) -> np.ndarray:
        """Return the log-probability, in nats, of each text, float64 [texts]; -inf for what it never proposes.

        Raises InputError where it is not known.
        """
        ...


@runtime_checkable
class Listable(Protocol):
    """A policy that can list all that it may propose at a node, where that is not too much."""

    def listed(self, prompt_context: PromptContext, most: int) -> Mapping[str, float] | None:
        """Return the log-probability, in nats, of every text it may propose; None where there are more than `most`."""
        ...


@runtime_checkable
class Divergence(Protocol):
    """A policy whose distance from another and whose entropy are known exactly, in nats, at a node."""

    def kl(self, prompt_context: PromptContext, other: Policy) -> float:
        """Return KL(self || other) of the outputs at a node; raise InputError where it is not known."""
        ...

    def entropy(self, prompt_context: PromptContext) -> float:
        """Return the entropy of the outputs at a node; raise InputError where it is not known."""
        ...


class Along(NamedTuple):
    """What a policy's own output tells of it, summed over the output's steps, in nats: a sample of each mean.

    `kl` is the divergence from another policy of what comes next, `entropy` that of what comes next, and `log_ratio` is
    log p(output) - log q(output). Where the output was cut off (`Output.truncated`), divergence and entropy are at most
    what they would have come to, and the log-ratio is that of beginning so.
    """

    kl: float
    entropy: float
    log_ratio: float


@runtime_checkable
class DivergenceAlong(Protocol):
    """A policy that can read its outputs again, without writing any, for what they tell of its distances."""

    def along(self, prompt_context: PromptContext, other: Policy, outputs: Sequence[Output]) -> list[Along]:
        """Return what each of its own outputs at a node tells of it beside another policy.

        Raises InputError where that is not known.
        """
        ...


@runtime_checkable
class SampledDivergence(Protocol):
    """A policy whose distance from another can be estimated without bias from its own outputs at a node."""

    def sampled_kl(self, prompt_context: PromptContext, other: Policy, seeds: Sequence[int]) -> np.ndarray:
        """Return for each seed an independent estimate of KL(self || other), in nats, float64 [seeds].

        Raises InputError where it is not known.
        """
        ...


@dataclass(frozen=True)
class Seen:
    """A node's outputs that were proposed and scored, with their log-probabilities where they are known."""

    source: str
    prompt_context: PromptContext
    outputs: tuple[Output, ...]

    @property
    def group(self) -> Group:
        """The outputs as a reward model reads them, equal texts once."""
        texts = tuple(dict.fromkeys(output.text for output in self.outputs))
        return Group(self.source, self.prompt_context.place, self.prompt_context.view, texts)


@dataclass(frozen=True)
class Improved:
    """A policy that an optimiser made, and how far it lies from the anchor, in nats a node."""

    sampler: Policy
    kl: float
    how: Literal["exact", "estimated", "bound"]


@runtime_checkable
class Optimiser(Protocol):
    """Improves a policy against scores of the role train; `name` covers every setting that matters."""

    @property
    def name(self) -> str: ...

    def improve(
        self,
        sampler: Policy,
        anchor: Policy,
        seen: Sequence[Seen],
        score: Scorer[Train],
        kl_budget: float,
        seed: int,
        workspace: Workspace,
    ) -> Improved:
        """Return a better policy within `kl_budget` nats a node of the anchor, saved in the workspace's folder.

        Work that was killed is resumed from the folder, to the same result.
        """
        ...

    def load(self, folder: Path, anchor: Policy, score: Scorer[Train]) -> Policy:
        """Return the policy that `improve` saved in a folder; `anchor` and `score` are those it was made with."""
        ...


# ---- improving decomposers ----


class TreeOutcome(NamedTuple):
    """What came of a tree that a run went through, by its judges of role train.

    `root` is the composed acceptance, from 0 to 1, of its best root output; `agreement` how often one rater of its
    leaves agrees with the others about a pair, None where no two answered about the same; `minutes` what a leaf takes
    raters, None where none was rated.
    """

    source: Source
    graph: TaskGraph
    root: float
    agreement: float | None = None
    minutes: float | None = None


@dataclass(frozen=True)
class ImprovedSplits:
    """A decomposer that an optimiser made, and how far it lies from the anchor, in nats a cut."""

    sampler: SplitSampler
    kl: float
    how: Literal["exact", "estimated", "bound"]


@runtime_checkable
class SplitOptimiser(Protocol):
    """Improves a decomposer against scores, of the role train, of its trees' outlines (`rrm.core.splits`)."""

    @property
    def name(self) -> str: ...

    def improve_splits(
        self,
        sampler: SplitSampler,
        anchor: SplitSampler,
        sources: Sequence[Source],
        score: Scorer[Train],
        place: Place,
        kl_budget: float,
        seed: int,
        workspace: Workspace,
    ) -> ImprovedSplits:
        """Return a better decomposer within `kl_budget` nats a cut of the anchor, saved in the workspace's folder."""
        ...

    def load_splits(self, folder: Path, anchor: SplitSampler) -> SplitSampler:
        """Return the decomposer that `improve_splits` saved in a folder; `anchor` is the one it counted from."""
        ...


@runtime_checkable
class OutcomeOptimiser(Protocol):
    """Improves a decomposer by what came of trees that it drew; nobody rates decompositions for it."""

    @property
    def name(self) -> str: ...

    def improve_by_outcomes(
        self,
        sampler: SplitSampler,
        anchor: SplitSampler,
        outcomes: Sequence[TreeOutcome],
        kl_budget: float,
        seed: int,
        workspace: Workspace,
    ) -> ImprovedSplits:
        """Return a better decomposer within `kl_budget` nats a cut of the anchor, saved in the workspace's folder.

        Every source has two outcomes or more, of trees that `sampler` drew.
        """
        ...

    def load_splits(self, folder: Path, anchor: SplitSampler) -> SplitSampler:
        """Return the decomposer that was saved in a folder; `anchor` is the one it counted from."""
        ...


# ---- rating ----


@runtime_checkable
class Rater(Protocol):
    """Turns a request into feedback at once; `name` stands in the record."""

    @property
    def name(self) -> str: ...

    def rate(self, request: Request, seed: int) -> Feedback:
        """Return this rater's answer; equal seeds give equal answers."""
        ...


@runtime_checkable
class AsyncRater(Protocol):
    """A rater that has to be waited for, such as a language model."""

    @property
    def name(self) -> str: ...

    async def rate_async(self, request: Request, seed: int) -> Feedback:
        """Return this rater's answer, or raise AssistantError."""
        ...


@runtime_checkable
class Grounder(Protocol):
    """Says which of the outputs shown a critique speaks for; `name` covers every setting."""

    @property
    def name(self) -> str: ...

    def ground(self, rated: Rated) -> Rated:
        """Return a critique with the outputs that it speaks for, of one alone a label; as it was if it cannot tell."""
        ...


@runtime_checkable
class AsyncGrounder(Protocol):
    """A grounder that has to be waited for, such as a language model."""

    @property
    def name(self) -> str: ...

    async def ground_async(self, rated: Rated, seed: int) -> Rated:
        """Return a critique with the outputs that it speaks for, of a single one a label, or raise AssistantError."""
        ...


@runtime_checkable
class Rollout(Protocol):
    """Says what comes of outputs, for raters in hindsight; `name` covers every setting."""

    @property
    def name(self) -> str: ...

    def roll_out(self, text: str, outputs: Sequence[str], seed: int) -> Sequence[Consequence | None]:
        """Return what comes of each of a node's outputs, of which no two are equal; None where nothing is known to.

        `text` is what they are about: the source's, where the node is about some of it. Equal arguments give equal
        consequences.
        """
        ...


@runtime_checkable
class AsyncRollout(Protocol):
    """A rollout that has to be waited for, such as a language model's."""

    @property
    def name(self) -> str: ...

    async def roll_out_async(self, text: str, outputs: Sequence[str], seed: int) -> Sequence[Consequence | None]:
        """Return what `Rollout.roll_out` does, or raise AssistantError."""
        ...


@runtime_checkable
class AsyncSheetRater(AsyncRater, Protocol):
    """A rater that is asked all questions about one view at once, as a language model by one call."""

    async def rate_sheet_async(self, requests: Sequence[Request], seed: int) -> list[Feedback]:
        """Return this rater's answer to each request, in their order, or raise AssistantError."""
        ...


class DrawnNode(NamedTuple):
    """A node that a sampler drew, and which of the trees it stands in, counted from 0."""

    tree: int
    node: str


@runtime_checkable
class NodeSampler(Protocol):
    """Says at which nodes questions are put, and in which order; `name` covers every setting."""

    @property
    def name(self) -> str: ...

    def order(
        self, trees: Sequence[TaskGraph], targets: Sequence[TaskGraph], seed: int, draws: int | None = None
    ) -> list[DrawnNode]:
        """Return nodes of the training trees, first those to ask about first; equal seeds give equal orders.

        Each occurrence of a node stands for one more round of questions about it. `draws` is how many
        occurrences are returned: by default as many as there are nodes that can be drawn at all.
        """
        ...


@runtime_checkable
class KnownRater(Protocol):
    """A simulated rater, whose probabilities are known: ceilings and coverage are measured with them."""

    def probability(self, request: Request) -> np.ndarray:
        """Return how probable each answer is: of a comparison that the first is better, of a label that it is good."""
        ...


# ---- reward models ----


@runtime_checkable
class RewardModel(Protocol):
    """Scores outputs at one place. A score is a distribution over an ensemble's members."""

    @property
    def anchored(self) -> bool:
        """Whether acceptance is a probability that a rater accepts, and not of being preferred to others."""
        ...

    @property
    def digest(self) -> str:
        """Names all that is saved: equal models have equal digests."""
        ...

    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        """Return what the members that were not fitted on a group's source say of its outputs; one pass for all."""
        ...

    def fold(self, source: str) -> int | None:
        """Return the fold of a source that was fitted on (-1: every member saw it), None for any other source."""
        ...

    def holds_out(self, source: str) -> bool:
        """Say whether predictions about a source come from members that were not fitted on it."""
        ...

    def save(self, folder: Path) -> str:
        """Write the model as safetensors and JSON, whole or not at all; return its digest."""
        ...


@dataclass(frozen=True)
class Start:
    """What the fit of a place may start from, and need not: models of the same role, and ratings.

    `below` is the model of the level below; `before` that of the same level in the round before, fitted to the
    ratings that there were then; `others` are the ratings of all other levels so far. `at_random` are the questions
    (`Request.question`) that were drawn beside the chosen ones: ratings of these are fitted on, and never believed.
    """

    below: RewardModel | None = None
    before: RewardModel | None = None
    others: tuple[Rated, ...] = field(default=(), repr=False)
    at_random: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(frozen=True)
class ClaimScores:
    """What a model of claims says of an output: how probably each of its claims is supported, and its parts.

    `accuracy` is the mean support, less where claims rest on passages of low score, `coverage` what its claims hold of
    all that was to be told, as a share of the most that a text of their length, in words, could hold, and `coherence`
    the share of claims in the order of the text.
    """

    support: tuple[float, ...]
    accuracy: Score
    coverage: Score
    coherence: float


@runtime_checkable
class ClaimReader(RewardModel, Protocol):
    """Scores outputs claim by claim, and joins that with what the model of their level says."""

    def as_usual(self, view: View, level: int) -> View:
        """Return a view that was read back, its passages with the score that parts usually had at that level.

        The source's own words have none, but models are fitted beside parts that had.
        """
        ...

    def joined(self, groups: Sequence[Group], wholes: Sequence[str], level: Sequence[Prediction]) -> list[Prediction]:
        """Return what is made of its own scores of each group and of those of the level's model beside the same views.

        Claims are held against the view, and what they cover against `wholes`, the text that each is about.
        """
        ...

    def claim_scores(self, group: Group, whole: str) -> list[ClaimScores]:
        """Return what it says of each output's claims (`rrm.core.claims.claim_spans`), held against the same."""
        ...


@runtime_checkable
class RewardLearner(Protocol):
    """Fits reward models; `name` covers every setting that matters, the backbone's precision among them."""

    @property
    def name(self) -> str: ...

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> RewardModel:
        """Return a model of a place, fitted to ratings of one role, all that there are so far.

        Without ratings it is the model of the level below, at this place, whose outputs are expected to differ less.
        Raises InputError where there is nothing to fit.
        """
        ...

    def load(self, folder: Path) -> RewardModel:
        """Return a saved model; raise InputError if its files are missing or changed."""
        ...


@runtime_checkable
class Prefetching(Protocol):
    """A reward learner that can begin to read what its models will be asked about, while others still work."""

    def prefetch(self, passages: Sequence[str]) -> None:
        """Begin to read passages that views are going to show, in a thread; changes nothing of what models say.

        An error met on the way is raised where a model is asked about what could not be read.
        """
        ...

    def stop_prefetch(self) -> None:
        """Read nothing more ahead; on return the thread has ended, unless that takes long."""
        ...


# ---- claims ----


@runtime_checkable
class ClaimAligner(Protocol):
    """Says what claims rest on; `name` covers every setting."""

    @property
    def name(self) -> str: ...

    def align(self, outputs: Sequence[Output], seen: Sequence[SeenText]) -> list[Claims]:
        """Return the claims of outputs of authors who saw the same texts, each with its origins among these."""
        ...


@dataclass(frozen=True)
class ClaimBeside:
    """A claim's text and the texts that it rests on, none where it rests on nothing; `source` decides splits."""

    source: str
    text: str
    origins: tuple[str, ...]


@runtime_checkable
class Verifier(Protocol):
    """Tells how probable it is that claims are supported by what they rest on."""

    @property
    def digest(self) -> str:
        """Names all that can change what it says."""
        ...

    def support(self, claims: Sequence[ClaimBeside]) -> list[Score]:
        """Return each claim's calibrated probability of support, by members that were not fitted on its source."""
        ...

    def save(self, folder: Path) -> str:
        """Write the verifier as safetensors and JSON, whole or not at all; return its model's digest."""
        ...


@runtime_checkable
class VerifierLearner(Protocol):
    """Fits verifiers to what raters said of outputs and of their claims."""

    @property
    def name(self) -> str: ...

    def fit_claims(self, ratings: Ratings[R], place: Place, seed: int, workspace: Workspace) -> Verifier:
        """Return a verifier, fitted to marks on claims, labels, comparisons and all other kinds together.

        Raises InputError where nothing says which claims are supported and which are not.
        """
        ...

    def load(self, folder: Path) -> Verifier:
        """Return a saved verifier; raise InputError if its files are missing or changed."""
        ...


# ---- composing ----


@dataclass(frozen=True, eq=False)
class ScoredPart:
    """A part below a node: the output that the node's outputs were made from, with its composed scores.

    `share` is the share of the parts' source text that it covers; `acceptance`, by criterion, is [members].
    """

    node: str
    output: Output
    share: float
    acceptance: Mapping[str, np.ndarray] = field(repr=False)


@runtime_checkable
class Composer(Protocol):
    """Joins the scores of a node's outputs with those of its parts, member by member.

    One that `needs_anchor` joins probabilities of acceptance, and is refused where nothing anchors them. One that
    `reads_back` is handed, in the place of a node's own scores, what the level's model says of the outputs beside the
    source's words that their view comes to rest on; one that `checks_claims`, too, that joined with what a model of
    claims says.
    """

    @property
    def name(self) -> str: ...

    @property
    def needs_anchor(self) -> bool: ...

    @property
    def reads_back(self) -> bool: ...

    @property
    def checks_claims(self) -> bool: ...

    def compose(
        self, node: Node, candidates: Sequence[Output], scores: Prediction, parts: Sequence[ScoredPart]
    ) -> Prediction:
        """Return the composed scores of the node's k outputs; `scores` are their own. Without parts: their own."""
        ...


@dataclass(frozen=True, eq=False)
class JoinedRating:
    """What a rater said about outputs above the leaves, with all that a composer is handed about them."""

    node: Node
    rated: Rated
    candidates: tuple[Output, ...]
    scores: Prediction = field(repr=False)
    parts: tuple[ScoredPart, ...] = field(repr=False)


@runtime_checkable
class ComposerLearner(Protocol):
    """Fits a composer to what raters said above the leaves."""

    @property
    def name(self) -> str: ...

    def fit(self, ratings: Sequence[JoinedRating], place: Place, seed: int, workspace: Workspace) -> Composer:
        """Return the composer, saved in the workspace's folder; raise InputError where nothing can be learned."""
        ...

    def load(self, folder: Path) -> Composer:
        """Return the composer that `fit` saved in a folder."""
        ...


# ---- asking language models ----


@dataclass(frozen=True)
class Prompt:
    """What an assistant is asked: a system text, a user text, and maybe the JSON schema of its answer.

    `sample` tells apart independent askings of the same prompt. `about`, the id of the node or request that
    it is asked for, and `attempt`, which counts from 1, stand on record with the call and are no part of
    the question: prompts that differ in nothing else are equal, and get the same reply.
    """

    system: str
    user: str
    schema: Mapping[str, Any] | None = field(default=None, hash=False)
    sample: int = 0
    max_tokens: int | None = None
    about: str = field(default="", compare=False)
    attempt: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Reply:
    """What an assistant said, with the tokens it took and what it cost, where the model says so.

    A model's own words are `text`, `stop`, why it stopped ("" where it does not say), and `refusal`, what it says in
    refusing where that is told apart from its text. Once `rrm.core.replies.read` has read a reply, its text is the
    answer alone, `truncated` says that the answer was cut off, and `noticed` what else was found and left out.
    """

    text: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached: bool = False
    cost: float | None = None
    stop: str = ""
    refusal: str = ""
    truncated: bool = False
    noticed: tuple[str, ...] = ()


@runtime_checkable
class Assistant(Protocol):
    """A language model that one can ask: remote, local, cached or scripted."""

    @property
    def name(self) -> str: ...

    async def ask(self, prompt: Prompt) -> Reply:
        """Return the reply, or raise AssistantError; what it comes to is found out by `rrm.core.replies.read`."""
        ...


@runtime_checkable
class Cache(Protocol):
    """Values by key, such as paid model calls or embeddings; what was put is durable on return."""

    def get_many(self, table: str, keys: Sequence[str]) -> dict[str, bytes]: ...

    def put_many(self, table: str, items: Mapping[str, bytes]) -> None: ...


REPLIES = "calls"
"""The table of the cache that holds replies of model calls."""


@dataclass(frozen=True)
class Entry:
    """What is recorded of model calls at one time.

    Amounts used by kind (less than 0: given back), how a call went, replies to keep by key.
    """

    amounts: Mapping[str, float] = field(default_factory=dict)
    calls: tuple[Call, ...] = ()
    replies: Mapping[str, bytes] = field(default_factory=dict)


@runtime_checkable
class CallRecord(Protocol):
    """Where model calls stand on record: how each went, what it used, and replies by key."""

    def get_many(self, table: str, keys: Sequence[str]) -> dict[str, bytes]: ...

    def enter(self, entries: Sequence[Entry]) -> None:
        """Record entries, all or none, durable on return."""
        ...


@runtime_checkable
class Store(Protocol):
    """The append-only record of a run. Appending a value that is there already changes nothing."""

    def append(self, values: Sequence[Any]) -> None:
        """Record values of `rrm.core`, all or none, durable on return."""
        ...

    def load(self, kind: type) -> list[Any]:
        """Return all recorded values of a kind, in the order of recording."""
        ...


@runtime_checkable
class SourceSet(Protocol):
    """Where a run's sources come from."""

    @property
    def name(self) -> str: ...

    def sources(self) -> list[Source]:
        """Return the sources, in a fixed order."""
        ...


@runtime_checkable
class GoldSet(SourceSet, Protocol):
    """A set that knows the truth about its sources. Only `rrm.evaluate` is ever handed it."""

    def gold(self, source: str, span: Span | None, text: str) -> float | None:
        """Return the true quality, in [0, 1], of a text as an output for a span of a source (None: all of it).

        None where the truth is not known, such as of parts where only whole answers are.
        """
        ...
