"""A run rehearsed: the recursion itself, driven with stand-ins for outputs, answers and models.

Sources, splits and the order of questions are as they will be. Outputs are not known yet, so texts of their size
stand for them: at their limits for an upper bound, at a usual length for an expectation.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from math import ceil
from typing import TypeVar

from rrm.core.asking import BY_VALUE, LEFT, Asked, Outlook
from rrm.core.graph import TaskGraph
from rrm.core.growth import checked_graph
from rrm.core.ids import content_id, seed_for
from rrm.core.protocols import Decomposer, SplitSampler
from rrm.core.splits import split_output
from rrm.core.values import (
    Answer,
    Choice,
    ClaimMarks,
    Comparison,
    Composed,
    Consequence,
    Correction,
    Criticised,
    Critique,
    Demonstration,
    Feedback,
    Fitted,
    FittedComposer,
    Gold,
    Hindsight,
    Improvement,
    Label,
    Output,
    Ranking,
    Rated,
    Rating,
    Reject,
    Request,
    RolledOut,
    Scored,
)
from rrm.pipeline.plan import AnyAction, AnyResults, AnyStage, Plan, Values
from rrm.pipeline.splits import DrawJob, ImproveSplitsJob
from rrm.pipeline.stages import (
    AskJob,
    ChooseJob,
    ComposeJob,
    CriticiseJob,
    DecomposeJob,
    FitJob,
    GoldJob,
    GroundJob,
    ImproveJob,
    LearnComposerJob,
    OutputsJob,
    RateJob,
    RollOutJob,
    ScoreJob,
    SupportJob,
    TraceJob,
    WriteJob,
    written_output,
)
from rrm.pipeline.steps import Outcome, Recursion

T = TypeVar("T")

_WORDS = (
    "river", "house", "stone", "water", "light", "night", "table", "green",
    "black", "white", "paper", "music", "horse", "plant", "field", "world",
)  # fmt: skip
"""Five letters and one token each for ordinary tokenizers."""


@dataclass(frozen=True)
class StandIn:
    """Texts in the place of outputs: `share` of the limit of tokens, `words_in_four` words in four tokens."""

    share: float
    words_in_four: int

    def text(self, limit: int, number: int = 0) -> str:
        """Return a text of that share of `limit` tokens; numbers differ in its words, the lowest digits first."""
        fours, rest = divmod(ceil(self.share * limit), 4)
        size = self.words_in_four
        words = list(islice(_digits(number), fours * size + rest))
        clauses = [" ".join(words[size * at : size * (at + 1)]) + "." * (4 - size) for at in range(fours)]
        return " ".join([*clauses, *words[fours * size :]])


def _digits(number: int) -> Iterator[str]:
    """Yield words that spell a number, its lowest digit first, and then the first word for ever."""
    while True:
        number, digit = divmod(number, len(_WORDS))
        yield _WORDS[digit]


FULL = StandIn(1.0, 4)
"""Every output at its limit and every token a word: an upper bound of tokens, words and characters."""

USUAL = StandIn(0.75, 3)
"""Three quarters of the limit, in prose: demonstrations were to have half to all of it (arXiv:2109.10862)."""

CONSEQUENCE_WORDS = 100
_CONSEQUENCE = " ".join(islice(_digits(0), CONSEQUENCE_WORDS))
"""Stands for what comes of an output, of which nothing is known but that it is some lines."""


def rehearsed(
    process: Generator[AnyStage, AnyResults, T], answer: Callable[[AnyAction], Values]
) -> tuple[T, list[AnyAction]]:
    """Drive a process with answers that come at once; return what it returns, and the actions that it takes.

    As in a run, an action that was done before is not done again.
    """
    known: dict[str, Values] = {}
    done: list[AnyAction] = []
    results: AnyResults | None = None
    while True:
        try:
            stage = process.send(results)  # type: ignore[arg-type]  # the first is None, as for any generator
        except StopIteration as end:
            returned: T = end.value
            return returned, done
        plan = Plan(stage, known)
        while ready := plan.ready():
            for action in ready:
                known[action.id] = answer(action)
                done.append(action)
                plan.done(action, known[action.id])
        results = plan.results


@dataclass(frozen=True, eq=False)
class StandIns:
    """Answers every action of a run at once: splits for real, all else with something that could be so.

    Every new model gives its outputs other scores than the last one, so that in each round all views above the
    leaves change, and every improved policy is chosen: no run can do more. Each question is answered by one of so
    many `raters`.
    """

    plan: Recursion
    decomposer: Decomposer
    stand_in: StandIn
    raters: int = 1
    _trees: dict[tuple[str, int], TaskGraph] = field(default_factory=dict, repr=False)

    def __call__(self, action: AnyAction) -> Values:
        """Return the action's values."""
        job = action.job
        match job:
            case DecomposeJob():
                return (self._decompose(job),)
            case OutputsJob():
                return self._outputs(job)
            case AskJob():
                return _all_asked(job)
            case RateJob():
                return (
                    Rated(job.request, Feedback(job.request.id, self.rater(job.request), self._answer(job.request))),
                )
            case WriteJob():
                return (written_output(job.rated),)
            case GroundJob():
                return (replace(job.rated.feedback, answer=Label(True)),)
            case FitJob():
                digest = content_id("stand-in", action.id)
                return (Fitted(job.place, digest, digest, len(job.rated), job.root, job.role.name),)
            case ScoreJob():
                return tuple(_scored(job))
            case RollOutJob():
                return tuple(
                    RolledOut(each, str(self.plan.rollout), Consequence(_CONSEQUENCE, 0.5))
                    for ids in job.ids
                    for each in ids
                )
            case CriticiseJob():
                return (Criticised(job.request.shown[0].output, str(self.plan.critic), self._written(job.request)),)
            case SupportJob() | TraceJob():
                return ()
            case LearnComposerJob():
                return (FittedComposer(job.place, action.id, self.plan.composer),)
            case ComposeJob():
                return tuple(_composed(job))
            case ImproveJob():
                return (self._improved(action.id, job),)
            case DrawJob():
                return self._drawn(job)
            case ImproveSplitsJob():
                names = action.id, self.plan.decomposer, self.plan.decomposer
                return (Improvement(job.place, action.id, *names, job.kl_budget, job.kl_budget, "bound"),)
            case ChooseJob():
                by_node = tuple((source, 1.0) for source, _ in job.asks)
                return (Choice(job.place, job.policy.policy, job.policy.before, 1.0, len(by_node), True, by_node),)
            case GoldJob():
                return tuple(Gold(output.id, 0.5) for output, _ in job.outputs)
        raise AssertionError(f"nothing stands in for the step {action.step}")

    def rater(self, request: Request) -> str:
        """Return who answers a question."""
        return f"stand-in-{seed_for('stand-in', request.id) % self.raters}"

    def _decompose(self, job: DecomposeJob) -> TaskGraph:
        """Split for real, once for all rounds: equal seeds give equal trees."""
        key = job.source.id, job.seed
        if key not in self._trees:
            self._trees[key] = checked_graph(self.decomposer.name, self._split(job))
        return self._trees[key]

    def _split(self, job: DecomposeJob) -> TaskGraph:
        if not job.drawn:
            return self.decomposer.decompose(job.source, job.seed)
        assert isinstance(self.decomposer, SplitSampler)
        [tree] = self.decomposer.draw(job.source, 1, job.seed)
        return tree

    def _drawn(self, job: DrawJob) -> tuple[Output, ...]:
        """Draw trees for real, with the run's own decomposer."""
        assert isinstance(self.decomposer, SplitSampler)
        trees = self.decomposer.draw(job.source, job.n, job.seed)
        return tuple(split_output(job.source, tree, self.plan.decomposer, at) for at, tree in enumerate(trees))

    def _outputs(self, job: OutputsJob) -> tuple[Output, ...]:
        prompt_context, name = job.ask.prompt_context, job.policy.policy if job.policy else self.plan.policy
        writer = seed_for("stand-in", name, prompt_context.node) % 4096
        return tuple(
            Output(
                prompt_context.node,
                self.stand_in.text(prompt_context.task.max_tokens, 256 * writer + number),
                name,
                seed_for(job.ask.seed, number),
                prompt_context.inputs,
                prompt_context.context,
            )
            for number in range(job.ask.n)
        )

    def _written(self, request: Request) -> str:
        return self.stand_in.text(request.view.max_tokens)

    def _answer(self, request: Request) -> Answer:
        """Return an answer of the kind that is asked for."""
        written = self._written(request)
        answers: dict[str, Answer] = {
            "comparison": Comparison(0),
            "hindsight": Hindsight(0),
            "ranking": Ranking(tuple(range(len(request.shown)))),
            "rating": Rating(4),
            "label": Label(True),
            "correction": Correction(written),
            "demonstration": Demonstration(written),
            "critique": Critique(written),
            "claims": ClaimMarks(),
            "reject": Reject(written),
        }
        return answers[request.kind]

    def _improved(self, id_: str, job: ImproveJob) -> Improvement:
        before, anchor = (each.policy if each else self.plan.policy for each in (job.start, job.anchor))
        return Improvement(job.place, id_, id_, before, anchor, job.kl_budget, job.kl_budget, "bound", job.level)


def with_wordless_roots(outcome: Outcome) -> Outcome:
    """Return where a run ends with root outputs that take no time to read, all different.

    With them the flat baseline can ask as many questions as it ever can in its minutes.
    """
    run = outcome.run
    outputs = dict(run.state.outputs)
    for at, tree in enumerate(run.forest.trees):
        root, found = tree.graph.root, outputs.get(tree.graph.root, ())
        outputs[root] = tuple(
            replace(output, text="." * (1 + number + at * len(found))) for number, output in enumerate(found)
        )
    return replace(outcome, run=replace(run, state=replace(run.state, outputs=outputs)))


def _all_asked(job: AskJob) -> Values:
    """Return every question that can be put, in the order in which they come, as many as may be."""
    asking = job.asking
    some = asking.questions[: asking.many]
    asked = [Asked(each.request.id, LEFT if each.leaves else BY_VALUE, asking.pool, 1.0) for each in some]
    standing = Outlook(asking.place, asking.wave, asking.pool, len(asking.questions), asking.drawn, 0.5, 0.0, 0.0)
    return (*asked, standing)


def _scored(job: ScoreJob) -> list[Scored]:
    """Return scores that are another number, at the two digits that people see, in each round."""
    accepted = (1 + job.group.place.round % 98) / 100
    return [Scored(output, job.model.id, (0.0,), (accepted,)) for outputs in job.outputs for output in outputs]


def _composed(job: ComposeJob) -> list[Composed]:
    state = job.state
    nodes = [node for tree in job.trees for node in tree.graph if node in state.read]
    return [Composed(output.id, job.basis, (0.5,)) for node in nodes for output in state.outputs[node]]
