"""A world that does the jobs of a run so simply that every result can be worked out by hand."""

from collections.abc import Generator, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from rrm.compose.align import Aligner
from rrm.compose.composers import Mean, Product
from rrm.compose.provenance import traced
from rrm.compose.tree import compose
from rrm.core.asking import AT_RANDOM, BY_VALUE, LEFT, Asked, Outlook
from rrm.core.graph import Node, Proposal, TaskGraph
from rrm.core.ids import content_id
from rrm.core.protocols import Composer
from rrm.core.task import Source, Span, Task
from rrm.core.values import (
    Answer,
    Choice,
    Comparison,
    Composed,
    Correction,
    Demonstration,
    Failure,
    Feedback,
    Fitted,
    FittedComposer,
    Gold,
    Improvement,
    Label,
    Output,
    Ranking,
    Rated,
    Request,
    Scored,
)
from rrm.pipeline import stages
from rrm.pipeline.forest import compose_unanchored
from rrm.pipeline.plan import AnyAction, AnyResults, AnyStage, Plan, Values
from rrm.pipeline.steps import Recursion

T = TypeVar("T")

TRAIN = Source("train", "one. two. three. four. five. six. seven. eight. nine.")
OTHER = Source("other", "alpha. beta. gamma. delta. epsilon. zeta. eta. theta. iota.")
APART = Source("apart", "un. deux. trois. quatre. cinq. sept. huit. neuf. dix.")
TARGET = Source("target", "red. green. blue. cyan. pink. grey. black. white. brown.")


def thirds(source: Source, seed: int) -> TaskGraph:
    """Nine sentences, three to a part: heights 0, 1 and 2. Of fewer than three sentences, a leaf."""
    ends = [at + 1 for at, letter in enumerate(source.text) if letter == "."]

    def third(graph: TaskGraph, node: Node) -> Proposal:
        assert node.task.span is not None
        inside = [end for end in ends if node.task.span.start < end <= node.task.span.end]
        if len(inside) < 3:
            return Proposal()
        cuts = [node.task.span.start, *inside[len(inside) // 3 - 1 :: len(inside) // 3]]
        spans = [Span(a, b) for a, b in pairwise(cuts)]
        return Proposal(tuple(Task("Tell.", source.id, span, max_tokens=5, context_tokens=3) for span in spans))

    root = Task("Tell.", source.id, Span(0, len(source.text)), max_tokens=5)
    return TaskGraph.start(root, "thirds", seed).grow_all(third).with_context()


@dataclass
class World:
    """Does actions, and remembers which. Output number i says the first word of the view i + 1 times.

    Raters prefer the longer of two outputs and accept what has two words or more. Two members of a model accept n
    words, of more than nine as of nine, with probability n / 10, and n / 10 + .02. An improved policy writes in
    capitals at the levels that `moves` names, and elsewhere is the policy that it started from. `broken` words make
    a proposal fail. Where it `stops`, no question is worth its minutes.
    """

    broken: tuple[str, ...] = ()
    anchored: bool = True
    moves: tuple[int | None, ...] = (None, 0, 1, 2)
    prefers_new: bool = True
    stops: bool = False
    composer: Composer = field(default_factory=Mean)
    done: list[AnyAction] = field(default_factory=list)

    def do(self, action: AnyAction) -> Values:
        self.done.append(action)
        verbs = {
            "decompose": self.decompose,
            "propose": self.propose,
            "ask": self.ask,
            "write": self.write,
            "rate": self.rate,
            "rate-select": self.rate,
            "fit": self.fit,
            "score": self.score,
            "trace": self.trace,
            "learn-composer": self.learn_composer,
            "compose": self.compose,
            "improve": self.improve,
            "choose": self.choose,
            "gold": self.gold,
        }
        return tuple(verbs[action.step](action))

    # ---- what was done ----

    def actions(self, step: str, round_: int | None = None) -> list[AnyAction]:
        return [each for each in self.done if each.step == step and round_ in (None, each.place.round)]

    def asked(self, round_: int | None = None, step: str = "rate") -> list[Request]:
        return [each.job.request for each in self.actions(step, round_)]

    def fits(self, role: str = "train", round_: int | None = None) -> list[stages.FitJob]:
        return [each.job for each in self.actions("fit", round_) if each.job.role.name == role]

    # ---- doing ----

    def decompose(self, action: AnyAction) -> Sequence[Any]:
        job: stages.DecomposeJob = action.job
        return [thirds(job.source, job.seed)]

    def propose(self, action: AnyAction) -> Sequence[Any]:
        job: stages.OutputsJob = action.job
        prompt_context = job.ask.prompt_context
        first = prompt_context.view.text.split()[0].strip(".")
        if first in self.broken:
            return [Failure(action.slot, "propose", "AssistantError", "the model is gone")]
        word, name = (first.upper(), job.policy.policy) if job.policy else (first, "words")
        made = (prompt_context.inputs, prompt_context.context)
        return [Output(action.slot, " ".join([word] * (at + 1)), name, at, *made) for at in range(job.ask.n)]

    def ask(self, action: AnyAction) -> Sequence[Any]:
        """Choose every third label's question, of each level, and every third of these as if it were drawn.

        None about a target is drawn. Before these, every choice that can be left is left to a person, and one text of
        each kind is asked for, at a root, of a target where that may be.
        """
        asking = action.job.asking
        open_ = [] if asking.minutes == 0 or asking.many == 0 or self.stops else asking.questions
        labels = [each for each in open_ if each.request.kind == "label"][::3]
        streams = [AT_RANDOM if at % 3 == 2 and not each.of_target else BY_VALUE for at, each in enumerate(labels)]
        outlook = Outlook(asking.place, asking.wave, asking.pool, len(asking.questions), asking.drawn, 0.5, 0.0, 0.0)
        asked = [Asked(each.request.id, LEFT, asking.pool, 1.0) for each in open_ if each.leaves]
        writings = [each for each in open_ if each.others]
        texts = {q.request.kind: q for q in sorted(writings, key=lambda q: (q.request.place.level, q.of_target))}
        asked += [Asked(each.request.id, BY_VALUE, asking.pool, 1.0) for each in texts.values()]
        asked += [
            Asked(each.request.id, stream, asking.pool, 1.0) for each, stream in zip(labels, streams, strict=True)
        ]
        return [*asked, replace(outlook, stopped=self.stops)]

    def rate(self, action: AnyAction) -> Sequence[Any]:
        job: stages.RateJob = action.job
        lengths = [len(shown.text.split()) for shown in job.request.shown]
        answers: dict[str, Answer] = {
            "comparison": Comparison(int(np.argmax(lengths))),
            "ranking": Ranking(tuple(np.argsort(lengths)[::-1].tolist())),
            "demonstration": Demonstration("written by hand"),
            "correction": Correction(" ".join([*(shown.text for shown in job.request.shown), "mended"])),
        }
        answer = answers.get(job.request.kind, Label(lengths[0] > 1))
        return [Rated(job.request, Feedback(job.request.id, f"counter-{job.role.name}", answer))]

    def write(self, action: AnyAction) -> Sequence[Any]:
        return [stages.written_output(action.job.rated)]

    def fit(self, action: AnyAction) -> Sequence[Any]:
        job: stages.FitJob = action.job
        rows = [[row.id, row.weight] for row in job.rated]
        digest = content_id("model", job.role.name, job.place.level, rows)
        return [Fitted(job.place, digest, digest, len(rows), job.root, job.role.name, self.anchored)]

    def score(self, action: AnyAction) -> Sequence[Any]:
        job: stages.ScoreJob = action.job
        likely = [min(9, len(text.split())) / 10 for text in job.group.outputs]
        return [
            Scored(output, job.model.id, (p, p), (p, p + 0.02))
            for p, outputs in zip(likely, job.outputs, strict=True)
            for output in outputs
        ]

    def trace(self, action: AnyAction) -> Sequence[Any]:
        job: stages.TraceJob = action.job
        known = {output.id: output for outputs in job.state.outputs.values() for output in outputs}
        roots = [output for tree in job.trees for output in job.state.outputs[tree.graph.root]]
        return list(traced(roots, known, job.state.prompt_contexts, Aligner()).values())

    def learn_composer(self, action: AnyAction) -> Sequence[Any]:
        return [FittedComposer(action.place, "composer", "learned")]

    def compose(self, action: AnyAction) -> Sequence[Any]:
        job: stages.ComposeJob = action.job
        composer = Product() if job.learned else self.composer  # as if that had been learned
        state = job.state if job.anchored else compose_unanchored(job.state, job.trees)
        return [
            Composed(output.id, job.basis, tuple(samples[:, at].tolist()), criterion)
            for tree in job.trees
            for node, found in compose(tree.graph, state.judged(tree.graph), composer).items()
            for criterion, samples in found.acceptance.items()
            for at, output in enumerate(state.outputs[node])
        ]

    def improve(self, action: AnyAction) -> Sequence[Any]:
        job: stages.ImproveJob = action.job
        start, anchor = (each.policy if each else "words" for each in (job.start, job.anchor))
        name = f"{start}+{job.place.round + 1}" if job.level in self.moves else start
        return [Improvement(job.place, action.slot, name, start, anchor, 0.5, job.kl_budget, "exact", job.level)]

    def choose(self, action: AnyAction) -> Sequence[Any]:
        job: stages.ChooseJob = action.job
        gain, before = (0.1 if self.prefers_new else -0.1), job.before.policy if job.before else "words"
        by_node = tuple((source, gain) for source, _ in job.asks)
        return [Choice(job.place, job.policy.policy, before, gain, len(by_node), self.prefers_new, by_node)]

    def gold(self, action: AnyAction) -> Sequence[Any]:
        job: stages.GoldJob = action.job
        return [Gold(output.id, len(output.text.split()) / 20) for output, _ in job.outputs]


def go(
    process: Generator[AnyStage, AnyResults, T], world: World, record: MutableMapping[str, Values] | None = None
) -> T:
    """Drive a process to its end; what stands on `record`, by action id, is not done again."""
    known = {} if record is None else record
    results: Any = None
    try:
        while True:
            results = carry_out(process.send(results), world, known)
    except StopIteration as end:
        returned: T = end.value
        return returned


def carry_out(stage: AnyStage, world: World, record: MutableMapping[str, Values]) -> AnyResults:
    """Do what is not on record of a stage, and put it there."""
    plan = Plan(stage, record)
    while ready := plan.ready():
        for action in ready:
            record[action.id] = world.do(action)
            plan.done(action, record[action.id])
    return plan.results


def count_words(text: str) -> int:
    return len(text.split())


RUN = Recursion(
    train=((TRAIN, 1), (OTHER, 1)),
    target=((TARGET, 1),),
    decomposer="thirds",
    policy="words",
    rater="counter",
    learner="lengths",
    composer="mean(own_weight=0.5)",
    aligner="words",
    count=count_words,
    outputs=3,
    root_outputs=4,
    ratings={"comparison": 2, "label": 1},
    random_share=0.0,
)
"""Two training sources and a target, of 9, 3 and 1 nodes each; three questions about each node at a visit."""
