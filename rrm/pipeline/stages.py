"""The stages of a run as plain values: which actions there are, and what each one needs to know.

A stage's actions are carried out elsewhere (see `rrm.pipeline.driver`). The id of an action covers
everything that can change its result, so a recorded result is never asked for again.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, isfinite
from typing import Any, NamedTuple

from rrm.core.asking import Asked, Asking, Outlook, Peeking
from rrm.core.claims import Claims
from rrm.core.errors import InputError
from rrm.core.graph import GrowthBudget, Proposal, TaskGraph
from rrm.core.growth import split_seed
from rrm.core.ids import content_id, exact_id, seed_for
from rrm.core.kinds.answer import Written
from rrm.core.place import Place
from rrm.core.protocols import PromptContext, ProposeJob, Seen
from rrm.core.roles import Role, Train
from rrm.core.task import Source, Span
from rrm.core.values import (
    Choice,
    Composed,
    Criticised,
    Feedback,
    Fitted,
    FittedComposer,
    Gold,
    Group,
    Improvement,
    Output,
    Rated,
    Request,
    RolledOut,
    Scored,
    Supported,
    View,
)
from rrm.evaluate.holdout import Thresholdout
from rrm.pipeline.forest import NONE_EARLIER, EarlierOutputs, Forest, State, Tree, prompt_context_at
from rrm.pipeline.plan import Action, Done, Stage


@dataclass(frozen=True, eq=False)
class DecomposeJob:
    """Split a source's task: into a closed graph, or into the first node of one that grows.

    With the run's decomposer, or what was made of it. A `drawn` tree is a sample of the decomposer's distribution.
    """

    source: Source
    seed: int
    decomposer: Improvement | None = None
    drawn: bool = False


@dataclass(frozen=True, eq=False)
class SplitJob:
    """Propose what becomes of an open node of a source's graph, with the answers that it may see."""

    source: str
    graph: TaskGraph
    node: str
    answers: Mapping[str, Output]
    budget: GrowthBudget
    seed: int


@dataclass(frozen=True, eq=False)
class OutputsJob:
    """Propose outputs at a node, with the run's policy or what was made of it.

    `earlier` are the first outputs of earlier nodes, oldest first, as many as may be read
    anywhere in the level; the node's own prompt context holds those that fit its task.
    """

    ask: ProposeJob
    policy: Improvement | None = None
    earlier: EarlierOutputs = field(default=NONE_EARLIER, repr=False)


@dataclass(frozen=True, eq=False)
class WriteJob:
    """Make an output of what a person wrote in answer to a request."""

    rated: Rated


@dataclass(frozen=True, eq=False)
class RateJob:
    """Put a question to the rater of a role: by itself, or on a `sheet` that is answered as a whole, and its seed."""

    request: Request
    role: type[Role]
    seed: int
    sheet: tuple[Request, ...] = ()


@dataclass(frozen=True, eq=False)
class GroundJob:
    """Say which of the outputs shown a critique by a rater of a role speaks for."""

    rated: Rated
    role: type[Role]
    seed: int


@dataclass(frozen=True, eq=False)
class AskJob:
    """Choose what is asked next: by all that is believed, for the choice among the root outputs of `trees`.

    `believed` are the models of levels, lowest first, with the ratings to believe; `asking` has all but the targets,
    which `state`, composed with the run's composer or the one that was `learned`, decides between. `views` are those of
    nodes that were composed with beside another view than raters saw; `weights` those of targets, by source, 1 where
    none is named; `left`, by source, are the texts that persons were left to choose among, first those taken.
    """

    asking: Asking
    believed: tuple[tuple[Fitted, tuple[Rated, ...]], ...]
    trees: tuple[Tree, ...]
    state: State
    anchored: bool
    learned: FittedComposer | None = None
    views: Mapping[str, View] = field(default_factory=dict, repr=False)
    weights: Mapping[str, float] = field(default_factory=dict)
    left: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class FitJob:
    """Fit the model of a place on ratings of one role; it may start from those below and before.

    `at_random` are the rated questions that were drawn beside the chosen ones.
    """

    place: Place
    root: bool
    role: type[Role]
    rated: tuple[Rated, ...]
    seed: int
    below: Fitted | None = None
    before: Fitted | None = None
    others: tuple[Rated, ...] = ()
    at_random: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """The place in words, with the role where it is not train."""
        return self.place.title if self.role is Train else f"{self.place.title}, role {self.role.name}"


@dataclass(frozen=True, eq=False)
class ScoreJob:
    """Score a node's distinct outputs; `outputs` holds for each text the ids of the outputs that say it."""

    group: Group
    outputs: tuple[tuple[str, ...], ...]
    model: Fitted


@dataclass(frozen=True, eq=False)
class SupportJob:
    """Say how probably the claims of a node's outputs are supported by what is shown there.

    `outputs` holds for each text the ids of the outputs that say it, `model` is one of claims.
    """

    group: Group
    outputs: tuple[tuple[str, ...], ...]
    model: Fitted


@dataclass(frozen=True, eq=False)
class RollOutJob:
    """Say what comes of a node's distinct outputs, which are about `text`; `ids` are those of who says each text."""

    text: str
    outputs: tuple[str, ...]
    ids: tuple[tuple[str, ...], ...]
    seed: int


@dataclass(frozen=True, eq=False)
class CriticiseJob:
    """Write a critique of an output, as the request asks for one."""

    request: Request
    seed: int


@dataclass(frozen=True, eq=False)
class TraceJob:
    """Find the claims of all that the root outputs of a source's trees were made from, and what they rest on."""

    trees: tuple[Tree, ...]
    state: State


class ReadBack(NamedTuple):
    """A node that is scored anew: its view read back to the source, and the models of its level and of claims.

    `whole` is the source's text that the node is about, of which the view shows a part; `claims` is None where no
    model judges claim by claim.
    """

    view: View
    model: Fitted
    claims: Fitted | None
    whole: str


@dataclass(frozen=True, eq=False)
class ComposeJob:
    """Join the scores of all trees of a source, with the run's composer or the one that was learned.

    `informed` holds the nodes that are scored anew, beside another view than raters saw.
    """

    trees: tuple[Tree, ...]
    state: State
    anchored: bool
    basis: str
    learned: FittedComposer | None = None
    informed: Mapping[str, ReadBack] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class LearnComposerJob:
    """Learn a composer from what raters said above the leaves."""

    place: Place
    trees: tuple[Tree, ...]
    state: State
    rated: tuple[Rated, ...]
    seed: int


@dataclass(frozen=True, eq=False)
class ComposedBy:
    """Who makes composed scores: `name` of the composer, the one that was learned, and the model of claims it asks.

    The latter two are None in a run without them.
    """

    name: str
    learned: FittedComposer | None
    claims: Fitted | None


@dataclass(frozen=True, eq=False)
class TreeBudget:
    """A budget of KL for whole trees, of which each level's policy gets a share: training trees, as they were judged.

    `height` is the level of all roots; `by` composes, and so says what a node's score is worth at the root.
    """

    trees: tuple[Tree, ...]
    state: State = field(repr=False)
    height: int
    by: ComposedBy


@dataclass(frozen=True, eq=False)
class ImproveJob:
    """Improve a policy against the models of role train; `level` is the one it proposes at, None for all.

    With `composed`, against what is composed of the models' scores. `kl_budget` is in nats a node, or with `tree` in
    nats a tree, of which the level gets a share.
    """

    place: Place
    level: int | None
    seen: tuple[Seen, ...]
    models: tuple[Fitted, ...]
    start: Improvement | None
    anchor: Improvement | None
    kl_budget: float
    seed: int
    composed: ComposedBy | None = None
    tree: TreeBudget | None = None


@dataclass(frozen=True, eq=False)
class Look:
    """A look at the judge of role select that may be answered without it: its number, and what was used up before.

    `proxies` are the models of role train, whose answer is given where both agree.
    """

    reuse: Thresholdout
    number: int
    used: int
    proxies: tuple[Fitted, ...]


@dataclass(frozen=True, eq=False)
class ChooseJob:
    """Compare two policies at nodes held apart, by the models of role select."""

    place: Place
    asks: tuple[tuple[str, ProposeJob], ...]  # with each node's source
    models: tuple[Fitted, ...]
    policy: Improvement
    before: Improvement | None
    look: Look | None = None  # None: by the judge itself, every time


@dataclass(frozen=True, eq=False)
class GoldJob:
    """Look up the true quality of a target's outputs; the span is None for the whole source."""

    source: str
    outputs: tuple[tuple[Output, Span | None], ...]


def decompose(
    round_: int,
    sources: Sequence[tuple[Source, int]],
    decomposer: str,
    seed: int,
    improved: Improvement | None = None,
    drawn: Collection[str] = (),
) -> Stage[DecomposeJob, TaskGraph]:
    """Split each source as many times as asked, each tree from a seed of its own; `decomposer` names who splits.

    Trees of the sources in `drawn`, by id, are samples of the decomposer's distribution.
    """
    jobs = {
        f"{source.id}/{number}": DecomposeJob(source, tree_seed(seed, source.id, number), improved, source.id in drawn)
        for source, trees in sources
        for number in range(trees)
    }
    place = Place(round_, "split")

    def make(slot: str, _: Mapping[str, Done[DecomposeJob, TaskGraph]]) -> Action[DecomposeJob]:
        job = jobs[slot]
        about = (job.source.id, job.seed, decomposer, *(["drawn"] if job.drawn else []))
        return _action("decompose", _level(place), slot, job, *about, at=place)

    return Stage("decompose", place, tuple(jobs), make)


def tree_seed(seed: int, source: str, number: int) -> int:
    """Return the seed from which a tree of a source is grown, the same in every round."""
    return seed_for(seed, source, number)


def split(
    round_: int,
    trees: Sequence[Tree],
    answers: Mapping[str, Output],
    met: Collection[str],
    decomposer: str,
    budget: GrowthBudget,
    seed: int,
) -> Stage[SplitJob, Proposal]:
    """Ask what becomes of every open node of these trees that has what it waits for.

    `met` are the nodes that were answered, with `answers`, or failed for good.
    """
    place = Place(round_, "split")
    jobs = {
        node: SplitJob(
            tree.source,
            tree.graph,
            node,
            {each: answers[each] for each in tree.graph.needs(node) if each in answers},
            budget,
            split_seed(tree.graph, node, tree_seed(seed, tree.source, tree.number)),
        )
        for tree in trees
        for node in tree.graph.ready(met)
    }

    def make(slot: str, _: Mapping[str, Done[SplitJob, Proposal]]) -> Action[SplitJob]:
        job = jobs[slot]
        read = {node: output.id for node, output in job.answers.items()}
        refused = job.graph.refused(slot)
        about = (job.graph.splits(slot), read, refused, decomposer, budget, job.seed)
        return _action("split", _level(place), slot, job, *about, at=place)

    return Stage("split", place, tuple(jobs), make)


def propose(
    place: Place,
    nodes: Sequence[tuple[Tree, str]],
    forest: Forest,
    state: State,
    policy: tuple[str, Improvement | None],
    n: Callable[[Tree, str], int],
    seed: int,
    count: Callable[[str], int],
    shown: bool = False,
) -> Stage[OutputsJob, Output]:
    """Propose outputs at nodes of a level; `n` says how many, `count` counts tokens.

    A policy reads, as previous context, the first outputs of the nodes before its own, as many as fit its
    task's `context_tokens`, the oldest dropped first; `shown` says whether raters read them, too.
    """
    name, improved = policy
    trees = {node: tree for tree, node in nodes}
    before = {node: tree.graph.before(node) for node, tree in trees.items()}
    longest = max((tree.graph.task(node).context_tokens for tree, node in nodes), default=0)

    def make(node: str, done: Mapping[str, Done[OutputsJob, Output]]) -> Action[OutputsJob]:
        tree = trees[node]
        earlier = _earlier(next(iter(done.values()), None), longest, count)
        own = earlier.latest(tree.graph.task(node).context_tokens)
        prompt_context = prompt_context_at(forest, tree, node, state, own, place, shown)
        ask = ProposeJob(prompt_context, n(tree, node), seed_for(seed, node))
        about = (name, prompt_context.view.id, prompt_context.inputs, prompt_context.context, ask.n, ask.seed)
        job = OutputsJob(ask, improved, earlier)
        return _action("propose", _level(place), node, job, *about, at=place, name=exact_id)

    after = {node: (earlier,) for node, earlier in before.items() if earlier in trees}
    return Stage("propose", place, tuple(trees), make, after)


def rate(
    place: Place,
    requests: Sequence[Request],
    role: type[Role],
    rater: str,
    seed: int,
    about: str = "",
    most: int = 1,
) -> Stage[RateJob, Rated]:
    """Put every request to the rater of a role, those about decompositions to theirs, `most` on one sheet."""
    step = "rate-splits" if place.subject == "split" else "rate" if role is Train else f"rate-{role.name}"
    asked = {request.id: request for request in requests}
    sheets = {request.id: sheet for sheet in sheets_of(requests, most) if len(sheet) > 1 for request in sheet}

    def make(slot: str, _: Mapping[str, Done[RateJob, Rated]]) -> Action[RateJob]:
        sheet = sheets.get(slot, ())
        ids = [request.id for request in sheet]
        job = RateJob(asked[slot], role, seed_for(seed, ids or slot), sheet)
        return _action(step, _level(place), slot, job, rater, job.seed, *([ids] if ids else []), at=place)

    return Stage(step, place, tuple(asked), make, about=about)


def sheets_of(requests: Sequence[Request], most: int) -> list[tuple[Request, ...]]:
    """Return questions by sheets of up to `most` about one view, as even as can be; no sheet has two copies of one.

    What shows what came of outputs is on sheets of its own, and so is what shows support or critiques of them.
    """
    together: dict[tuple[object, ...], list[Request]] = {}
    for request in requests:
        about = (request.node, request.view.id, request.place, request.copy, request.aids)
        together.setdefault(about, []).append(request)
    sheets = []
    for some in together.values():
        size = ceil(len(some) / ceil(len(some) / most))
        sheets += [tuple(some[start : start + size]) for start in range(0, len(some), size)]
    return sheets


WRITTEN_BY = "written by "
"""What the policy of an output that a person wrote begins with; then comes the rater's name."""


def write(place: Place, rows: Sequence[Rated]) -> Stage[WriteJob, Output]:
    """Make outputs of what people wrote."""
    by_id = {each.feedback.id: each for each in rows}

    def make(slot: str, _: Mapping[str, Done[WriteJob, Output]]) -> Action[WriteJob]:
        return _action("write", _level(place), slot, WriteJob(by_id[slot]), at=place)

    return Stage("write", place, tuple(by_id), make)


def written_output(rated: Rated) -> Output:
    """Return what a person wrote as an output of its node, made from what they were shown of other outputs.

    Raises InputError for an answer without a text.
    """
    request, answer = rated.request, rated.feedback.answer
    if not isinstance(answer, Written) or not answer.text.strip():
        raise InputError(f"there is no output in a {answer.kind} of {rated.feedback.rater}")
    inputs = tuple(passage.output for passage in request.view.passages if passage.output is not None)
    return Output(request.node, answer.text, f"{WRITTEN_BY}{rated.feedback.rater}", 0, inputs)


def ground(
    place: Place, critiques: Sequence[Rated], role: type[Role], grounder: str, seed: int
) -> Stage[GroundJob, Feedback]:
    """Find out which outputs critiques speak for; `grounder` names who says so."""
    by_id = {each.feedback.id: each for each in critiques}

    def make(slot: str, _: Mapping[str, Done[GroundJob, Feedback]]) -> Action[GroundJob]:
        job = GroundJob(by_id[slot], role, seed_for(seed, slot))
        return _action("ground", _level(place), slot, job, grounder, job.seed, at=place)

    return Stage("ground", place, tuple(by_id), make)


def ask(job: AskJob, sampler: str, composer: str) -> Stage[AskJob, Asked | Outlook]:
    """Choose the questions of a wave; the names cover every setting."""
    asking = job.asking
    answers = [[fitted.digest, [[row.feedback.id, row.weight] for row in rows]] for fitted, rows in job.believed]
    limits = [asking.minutes if isfinite(asking.minutes) else None, asking.many, asking.drawn, asking.expected]
    prices = [[each.reading, each.deciding] for each in asking.questions]
    views = [[node, job.views[node].id] for tree in job.trees for node in tree.graph if node in job.views]

    def make(slot: str, _: Mapping[str, Done[AskJob, Asked | Outlook]]) -> Action[AskJob]:
        known = (
            asking.pool,
            prices,
            asking.wave,
            limits,
            asking.overlap,
            asking.seed,
            answers,
            views,
            sampler,
            composer,
            sorted(job.weights.items()),
            sorted(job.left.items()),
            sorted(asking.qualities.items()),
        )
        return _action("ask", asking.place, slot, job, *known, _standing(job.trees, job.state), at=asking.place)

    what = f"wave {asking.wave + 1}" if asking.questions else "what is chosen"
    return Stage("ask", asking.place, ("questions",), make, about=f"round {asking.place.round + 1}, {what}")


def choose_looks(peeking: Peeking) -> Stage[Peeking, Asked]:
    """Choose the claims that raters look at."""

    def make(slot: str, _: Mapping[str, Done[Peeking, Asked]]) -> Action[Peeking]:
        claims = [
            [each.minutes, each.root, each.output, each.support, each.slope]
            for each in sorted(peeking.claims, key=lambda one: one.request.id)
        ]
        scores = [each.tolist() for each in peeking.scores]
        known = (peeking.pool, claims, scores, peeking.minutes, peeking.random, peeking.seed)
        return _action("choose-looks", peeking.place, slot, peeking, *known, at=peeking.place)

    return Stage("choose-looks", peeking.place, ("looks",), make)


def fit(job: FitJob, learner: str) -> Stage[FitJob, Fitted]:
    """Fit a place's reward model; `learner` names every setting of the fit."""
    answers, others = ([[each.feedback.id, each.weight] for each in rated] for rated in (job.rated, job.others))
    starts = [each and each.digest for each in (job.below, job.before)]
    place, role = job.place, job.role

    def make(slot: str, _: Mapping[str, Done[FitJob, Fitted]]) -> Action[FitJob]:
        about = [answers, others, starts, learner, role.name, job.root, job.seed]
        about += [sorted(job.at_random)] if job.at_random else []
        return _action("fit", _level(place), slot, job, *about, at=place)

    return Stage("fit", place, (f"{role.name}/{place.level}",), make, about=job.title)


def score(
    place: Place,
    nodes: Mapping[str, str],
    groups: Mapping[str, tuple[PromptContext, tuple[Output, ...]]],
    model: Fitted,
) -> Stage[ScoreJob, Scored]:
    """Score the outputs of nodes, each different text once; `nodes` gives each one's source."""

    def make(node: str, _: Mapping[str, Done[ScoreJob, Scored]]) -> Action[ScoreJob]:
        job = ScoreJob(*_by_text(nodes[node], place, *groups[node]), model)
        return _action("score", _level(place), node, job, *_asked_of(job), at=place, name=exact_id)

    return Stage("score", place, tuple(nodes), make)


def support(
    place: Place,
    nodes: Mapping[str, str],
    groups: Mapping[str, tuple[PromptContext, tuple[Output, ...]]],
    model: Fitted,
) -> Stage[SupportJob, Supported]:
    """Say how probably the claims of nodes' outputs are supported, each different text once; as `score`."""

    def make(node: str, _: Mapping[str, Done[SupportJob, Supported]]) -> Action[SupportJob]:
        job = SupportJob(*_by_text(nodes[node], place, *groups[node]), model)
        return _action("support", _level(place), node, job, *_asked_of(job), at=place, name=exact_id)

    return Stage("support", place, tuple(nodes), make)


def roll_out(
    place: Place, texts: Mapping[str, str], outputs: Mapping[str, Sequence[Output]], rollout: str, seed: int
) -> Stage[RollOutJob, RolledOut]:
    """Say what comes of the outputs of nodes, each different text once; `texts` are what the nodes are about.

    The slots are not the nodes themselves: one whose rollout failed has not failed.
    """
    nodes = {f"hindsight/{node}": node for node in texts}

    def make(slot: str, _: Mapping[str, Done[RollOutJob, RolledOut]]) -> Action[RollOutJob]:
        node = nodes[slot]
        ids_by_text = _ids_by_text(outputs[node])
        ids = tuple(map(tuple, ids_by_text.values()))
        job = RollOutJob(texts[node], tuple(ids_by_text), ids, seed_for(seed, "roll-out", node))
        about = (rollout, content_id("text", job.text), list(ids_by_text), [list(each) for each in ids], job.seed)
        return _action("roll-out", _level(place), slot, job, *about, at=place)

    return Stage("roll-out", place, tuple(nodes), make)


def criticise(place: Place, asked: Sequence[Request], critic: str, seed: int) -> Stage[CriticiseJob, Criticised]:
    """Have critiques written of the outputs that requests show, one each; `critic` names who does."""
    by_id = {f"critique/{request.id}": request for request in asked}

    def make(slot: str, _: Mapping[str, Done[CriticiseJob, Criticised]]) -> Action[CriticiseJob]:
        job = CriticiseJob(by_id[slot], seed_for(seed, slot))
        return _action("criticise", _level(place), slot, job, critic, job.seed, at=place)

    return Stage("criticise", place, tuple(by_id), make)


def _ids_by_text(outputs: Iterable[Output]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for output in outputs:
        found.setdefault(output.text, []).append(output.id)
    return found


def _by_text(
    source: str, place: Place, prompt_context: PromptContext, outputs: Sequence[Output]
) -> tuple[Group, tuple[tuple[str, ...], ...]]:
    """Return a node's different texts beside its view, and for each the ids of the outputs that say it."""
    ids_by_text = _ids_by_text(outputs)
    group = Group(source, place, prompt_context.view, tuple(ids_by_text))
    return group, tuple(map(tuple, ids_by_text.values()))


def _asked_of(job: ScoreJob | SupportJob) -> list[object]:
    """Return what determines what a model says of a node's outputs."""
    said = [[text, list(ids)] for text, ids in zip(job.group.outputs, job.outputs, strict=True)]
    return [job.group.view.id, said, job.model.digest]


def learn_composer(
    place: Place, trees: Sequence[Tree], state: State, rated: Sequence[Rated], learner: str, scores: str, seed: int
) -> Stage[LearnComposerJob, FittedComposer]:
    """Learn a composer from what raters said above the leaves."""
    job = LearnComposerJob(place, tuple(trees), state, tuple(rated), seed)
    answers = [each.feedback.id for each in rated]

    def make(slot: str, _: Mapping[str, Done[LearnComposerJob, FittedComposer]]) -> Action[LearnComposerJob]:
        about = (answers, learner, scores, seed, _standing(trees, state))
        return _action("learn-composer", _level(place), slot, job, *about, at=place)

    return Stage("learn-composer", place, ("composer",), make)


def trace(place: Place, trees: Mapping[str, Sequence[Tree]], state: State, aligner: str) -> Stage[TraceJob, Claims]:
    """Find out what the outputs of every source's trees rest on; `aligner` names every setting."""

    def make(source: str, _: Mapping[str, Done[TraceJob, Claims]]) -> Action[TraceJob]:
        job = TraceJob(tuple(trees[source]), state)
        about = _standing(trees[source], state), aligner
        return _action("trace", _level(place), source, job, *about, at=place, name=exact_id)

    return Stage("trace", place, tuple(trees), make)


def compose(
    place: Place,
    trees: Mapping[str, Sequence[Tree]],
    state: State,
    composer: str,
    learned: FittedComposer | None,
    anchored: bool,
    scores: str,
    informed: Mapping[str, ReadBack],
) -> Stage[ComposeJob, Composed]:
    """Join the scores of every source's trees; `scores` names all scores of the run as they stand.

    `informed` holds the nodes that are scored anew.
    """

    def make(source: str, _: Mapping[str, Done[ComposeJob, Composed]]) -> Action[ComposeJob]:
        here = {node: informed[node] for tree in trees[source] for node in tree.graph if node in informed}
        views = [[node, each.view.id, each.claims and each.claims.digest] for node, each in here.items()]
        basis = exact_id("basis", _standing(trees[source], state), composer, anchored, scores, views)
        job = ComposeJob(tuple(trees[source]), state, anchored, basis, learned, here)
        return _action("compose", _level(place), source, job, basis, at=place)

    return Stage("compose", place, tuple(trees), make)


def improve(
    jobs: Mapping[str, ImproveJob], place: Place, optimiser: str, names: Mapping[str, tuple[str, str]]
) -> Stage[ImproveJob, Improvement]:
    """Improve policies; `names` are those that each starts from and is anchored to."""

    def make(slot: str, _: Mapping[str, Done[ImproveJob, Improvement]]) -> Action[ImproveJob]:
        job = jobs[slot]
        seen = [[each.prompt_context.view.id, [output.id for output in each.outputs]] for each in job.seen]
        models = [model.digest for model in job.models]
        about = (seen, models, optimiser, names[slot], job.kl_budget, job.seed)
        more: list[object] = []
        if job.composed is not None:
            more += ["composed", job.composed.name, job.composed.claims and job.composed.claims.digest]
        if job.tree is not None:
            more += ["tree", job.tree.by.name, _standing(job.tree.trees, job.tree.state)]
        return _action("improve", place, slot, job, *about, *more, at=place)

    return Stage("improve", place, tuple(jobs), make)


def choose(jobs: Mapping[str, ChooseJob], place: Place) -> Stage[ChooseJob, Choice]:
    """Have new policies compared with those before them, by the judge of role select."""

    def make(slot: str, _: Mapping[str, Done[ChooseJob, Choice]]) -> Action[ChooseJob]:
        job = jobs[slot]
        given = [(source, ask.prompt_context, ask) for source, ask in job.asks]
        asked = [[source, read.view.id, read.context, ask.n, ask.seed] for source, read, ask in given]
        models = [model.digest for model in job.models]
        before = job.before.policy if job.before else None
        about: tuple[object, ...] = (asked, models, job.policy.policy, before)
        if job.look is not None:
            proxies = [model.digest for model in job.look.proxies]
            about = (*about, job.look.reuse, job.look.number, job.look.used, proxies)
        return _action("choose", place, slot, job, *about, at=place)

    return Stage("choose", place, tuple(jobs), make)


def gold(place: Place, jobs: Mapping[str, GoldJob], judge: str) -> Stage[GoldJob, Gold]:
    """Look up the truth about outputs of targets, for the report alone."""

    def make(slot: str, _: Mapping[str, Done[GoldJob, Gold]]) -> Action[GoldJob]:
        job = jobs[slot]
        outputs = [output.id for output, _ in job.outputs]
        return _action("gold", place, slot, job, judge, outputs, at=place, name=exact_id)

    return Stage("gold", place, tuple(jobs), make)


def with_weights(rated: Iterable[Rated], current: Mapping[str, str], weight: float) -> list[Rated]:
    """Return ratings, those whose view is no longer the node's (by id) weighted down."""
    return [
        replace(each, weight=weight)
        if current.get(each.request.node, each.request.view.id) != each.request.view.id
        else each
        for each in rated
    ]


def _standing(trees: Sequence[Tree], state: State) -> list[tuple[list[str], int]]:
    """Return what stands at every judged node of these trees: the ids of its outputs, and which one is read."""
    return [
        ([output.id for output in state.outputs[node]], state.read[node])
        for tree in trees
        for node in tree.graph
        if node in state.read
    ]


def _earlier(before: Done[OutputsJob, Output] | None, limit: int, count: Callable[[str], int]) -> EarlierOutputs:
    """Return first outputs up to and with the node before, oldest first, as many of the latest as fit in `limit`."""
    if before is None or limit <= 0:
        return NONE_EARLIER
    earlier, output = before.job.earlier, next(iter(before.values), None)
    if output is not None and output.text:
        earlier = earlier.followed_by(output, count(output.text))
    return earlier.latest(limit)


def _level(place: Place) -> str:
    """Return the place without its round: what does not change from one round to the next is not done again."""
    return f"0/{place.subject}/{place.level}"


def _action(
    step: str,
    named: Place | str,
    slot: str,
    job: Any,
    *determined_by: Any,
    at: Place,
    name: Callable[..., str] = content_id,
) -> Action[Any]:
    """Return an action whose id covers step, slot, the place `named`, and all that determines its result.

    Where that holds no float, `exact_id` may `name` it.
    """
    return Action(name("action", step, str(named), slot, *determined_by), step, slot, at, job)
