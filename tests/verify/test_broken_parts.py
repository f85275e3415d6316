"""For each contract, parts that break it: what breaks is found, and said in a sentence."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decomposers.questions import NestedQuestions
from rrm.ask import Value
from rrm.compose.align import Aligner
from rrm.compose.composers import Mean
from rrm.compose.learned import LearnedJoin
from rrm.core import graph as graph_module
from rrm.core.asking import AT_RANDOM, BY_VALUE, Asked, Asking, Belief, Chosen
from rrm.core.errors import ContractError, InputError, PluginError
from rrm.core.graph import Node, Part, Proposal, TaskGraph
from rrm.core.ids import generator
from rrm.core.place import Place
from rrm.core.protocols import (
    ClaimBeside,
    DrawnNode,
    Improved,
    ImprovedSplits,
    Policy,
    PromptContext,
    ProposeJob,
    Seen,
    SplitSampler,
    Start,
    Workspace,
)
from rrm.core.roles import R, Ratings, Scorer, Train, for_fitting
from rrm.core.task import Source, Span, Task
from rrm.core.values import OVERALL, Comparison, Feedback, Group, Label, Output, Prediction, Request, Score
from rrm.feedback.sample import UniformNodes
from rrm.files import digest_of, read_json, write_json
from rrm.raters.simulated import SimulatedRaters
from rrm.reward.frozen import Frozen
from rrm.reward.verifier import ClaimVerifier, Verified
from rrm.verify import made_up
from rrm.verify.contracts import (
    check_composer,
    check_composer_learner,
    check_decomposer,
    check_growing_decomposer,
    check_learner,
    check_optimiser,
    check_outcome_optimiser,
    check_policy,
    check_question_sampler,
    check_rater,
    check_sampler,
    check_source_set,
    check_split_optimiser,
    check_split_sampler,
    check_verifier_learner,
    contracts_of,
)
from tests.verify.tilted import OneSentence, Steeper

_TICKS = count()


# ---- policies ----


def test_a_density_and_divergence_and_its_optimiser_keep_their_contracts() -> None:
    held = check_policy(OneSentence(0.2), others=[OneSentence(), OneSentence(-0.3)])
    assert {"has log-probabilities that sum to one", "is no distance from itself"} <= set(held.promises)
    assert {"is at a distance of 0 or more", "lies as far as its probabilities say"} <= set(held.promises)
    assert "says its exact distance" in check_optimiser(Steeper(), OneSentence()).promises


class Forgetful(OneSentence):
    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        return super().propose([replace(job, seed=next(_TICKS)) for job in jobs])


class Crowded(OneSentence):
    """Lets the number of jobs decide."""

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        return super().propose([replace(job, seed=job.seed + len(jobs)) for job in jobs])


class Stingy(OneSentence):
    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        return [made[:-1] for made in super().propose(jobs)]


class Elsewhere(OneSentence):
    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        return [[replace(output, node="another") for output in made] for made in super().propose(jobs)]


class Wordy(OneSentence):
    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        return [[replace(output, text="word " * 40) for output in made] for made in super().propose(jobs)]


class Overconfident(OneSentence):
    def log_prob(self, prompt_context: PromptContext, texts: Sequence[str]) -> np.ndarray:
        return super().log_prob(prompt_context, texts) / 2


class Underconfident(OneSentence):
    def log_prob(self, prompt_context: PromptContext, texts: Sequence[str]) -> np.ndarray:
        return super().log_prob(prompt_context, texts) - 1


class Adrift(OneSentence):
    def kl(self, prompt_context: PromptContext, other: Policy) -> float:
        return super().kl(prompt_context, other) + 0.01


class Negative(OneSentence):
    def kl(self, prompt_context: PromptContext, other: Policy) -> float:
        return -super().kl(prompt_context, other)


class Backwards(OneSentence):
    """Tells the KL of the other policy from itself."""

    def kl(self, prompt_context: PromptContext, other: Policy) -> float:
        assert isinstance(other, OneSentence)
        return OneSentence(other.slope).kl(prompt_context, OneSentence(self.slope))


class Raising(OneSentence):
    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        raise KeyError("my table")


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (Forgetful(), "gave other outputs the second time"),
        (Crowded(), "hang on the jobs beside it"),
        (Stingy(), "asked for 3 outputs, it gave 2"),
        (Elsewhere(), "must carry its node"),
        (Wordy(), "40 tokens where the task allows 24"),
        (Overconfident(), "probabilities that sum to 1.73"),
        (Underconfident(), "probabilities that sum to 0.36"),
        (Adrift(), "KL from itself must be 0, got 0.01"),
        (Negative(), "must not be negative"),
        (Raising(), "raised KeyError where nothing is wrong: 'my table'"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Policy) else "",
)
def test_a_broken_policy_is_found(part: Policy, sentence: str) -> None:
    with pytest.raises(ContractError) as error:
        check_policy(part, others=[OneSentence(0.4)])
    assert sentence in str(error.value)
    assert "\n" not in str(error.value) and "has a name" in error.value.kept


def test_a_kl_the_wrong_way_round_is_found() -> None:
    with pytest.raises(ContractError, match="probabilities say at least"):
        check_policy(Backwards(), others=[OneSentence(1.0)])


# ---- optimisers ----


class Spender(Steeper):
    def within(self, anchor: Policy, seen: Sequence[Seen], kl_budget: float) -> OneSentence:
        return OneSentence(2.0)


class Liar(Steeper):
    """Says that it stays near, and does not."""

    def within(self, anchor: Policy, seen: Sequence[Seen], kl_budget: float) -> OneSentence:
        return OneSentence(2.0)

    def distance(self, policy: OneSentence, anchor: Policy, seen: Sequence[Seen]) -> float:
        return 0.1


class Unmeasured:
    """A policy that knows how probable its outputs are, and not how far it lies from others."""

    def __init__(self, slope: float) -> None:
        self._inner = OneSentence(slope)
        self.name, self.propose, self.log_prob = self._inner.name, self._inner.propose, self._inner.log_prob


class Understating(Steeper):
    """Tells less than it spent, of a policy that does not know its own distance."""

    def improve(self, *given: Any) -> Improved:
        found = super().improve(*given)
        return Improved(Unmeasured(found.sampler.slope), found.kl / 100, "estimated")  # type: ignore[attr-defined]


class Overspending(Understating):
    """Spends more than the budget, and nobody but samples can tell."""

    def within(self, anchor: Policy, seen: Sequence[Seen], kl_budget: float) -> OneSentence:
        return OneSentence(20.0)


class Restless(Steeper):
    def within(self, anchor: Policy, seen: Sequence[Seen], kl_budget: float) -> OneSentence:
        return OneSentence(0.01 + 0.001 * next(_TICKS))


class Absent(Steeper):
    def load(self, folder: Path, anchor: Policy, score: Scorer[Train]) -> OneSentence:
        return OneSentence(0.0)


class Mute(Steeper):
    def improve(self, *given: Any) -> Improved:
        return None  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (Spender(), "where 0.5 are allowed"),
        (Liar(), "nats a node from its anchor"),
        (Understating(), "it says 0.00.* nats, and lies .* as samples tell"),
        (Overspending(), "as samples tell, where 0.5 are allowed"),
        (Restless(), "gave another policy"),
        (Absent(), "is not the one that was saved"),
        (Mute(), "improve must return Improved"),
    ],
)
def test_a_broken_optimiser_is_found(part: Steeper, sentence: str) -> None:
    with pytest.raises(ContractError, match=sentence):
        check_optimiser(part, OneSentence())


# ---- decomposers ----


@dataclass
class Halves:
    """Splits once in the middle, or as it is told to."""

    name: str = "halves"
    more: bool = False

    def decompose(self, source: Source, seed: int) -> TaskGraph:
        graph = TaskGraph.start(Task("Tell.", source.id, Span(0, len(source.text))), self.name, seed)
        return graph if self.more else graph.grow_all(lambda graph, node: self.cut(source, graph, node))

    def cut(self, source: Source, graph: TaskGraph, node: Node) -> Proposal:
        middle, end = len(source.text) // 2, len(source.text)
        if node.id != graph.root:
            return Proposal()
        return Proposal(tuple(Task("Tell.", source.id, Span(*each)) for each in ((0, middle), (middle, end))))


class Random(Halves):
    def cut(self, source: Source, graph: TaskGraph, node: Node) -> Proposal:
        if node.id != graph.root:
            return Proposal()
        at, end = 10 + next(_TICKS), len(source.text)
        return Proposal(tuple(Task("Tell.", source.id, Span(*each)) for each in ((0, at), (at, end))))


class AroundTheGate(Halves):
    """Makes a graph without the gate, from JSON, with a part that does not shrink or a hole in the text."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key

    def decompose(self, source: Source, seed: int) -> TaskGraph:
        data = super().decompose(source, seed).to_json()
        root, first, _ = data["nodes"]
        if self.key == "rank":
            first["task"]["rank"] = root["task"]["rank"]
        else:
            first["task"]["span"] = [0, 5]
        rows = graph_module._mirrored({row["id"]: graph_module._from_json(row, False) for row in data["nodes"]})
        return TaskGraph(data["root"], frozenset(), (), rows)


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (Halves(more=True), "1 nodes are left open"),
        (Random(), "gave another graph the second time"),
        (AroundTheGate("rank"), "not below its parent's"),
        (AroundTheGate("span"), "is covered by no part"),
    ],
)
def test_a_broken_decomposer_is_found(part: Halves, sentence: str) -> None:
    assert check_decomposer(Halves()).promises
    with pytest.raises(ContractError, match=sentence):
        check_decomposer(part)


class OverlappingParts:
    """Two parts about the first and the second two thirds of a text, below a root that reads all of it itself."""

    name = "overlapping-parts"

    def decompose(self, source: Source, seed: int) -> TaskGraph:
        whole, third = len(source.text), len(source.text) // 3
        graph = TaskGraph.start(Task("Sum up.", source.id, Span(0, whole), sees_source=True), self.name, seed)
        parts = [Task("Sum up the part.", source.id, Span(*at)) for at in ((0, 2 * third), (third, whole))]
        graph = graph.grow(graph.root, Proposal(tuple(parts)))
        return graph.grow_each({node: Proposal() for node in graph.open})


def test_parts_of_a_node_that_reads_its_text_itself_may_be_about_any_of_it() -> None:
    assert check_decomposer(OverlappingParts()).promises


@dataclass
class Pointed(Halves):
    """Cuts once between two words, drawn with a probability that says how early: p, p(1 - p), ... to the last."""

    early: float = 0.4

    def decompose(self, source: Source, seed: int) -> TaskGraph:
        return self.draw(source, 1, seed)[0]

    def draw(self, source: Source, n: int, seed: int) -> list[TaskGraph]:
        places, shares = self.shares(source)
        drawn = generator("pointed", source.id, seed).choice(places, n, p=shares)
        return [self.at(source, int(place), seed) for place in drawn]

    def log_prob(self, source: Source, graph: TaskGraph) -> float:
        places, shares = self.shares(source)
        span = graph.task(graph.leaves[0]).span
        assert span is not None
        return float(np.log(shares[places.index(span.end)]))

    def shares(self, source: Source) -> tuple[list[int], np.ndarray]:
        places = [at for at, letter in enumerate(source.text) if letter == " "]
        shares = self.early * (1 - self.early) ** np.arange(len(places))
        return places, shares / shares.sum()

    def at(self, source: Source, place: int, seed: int) -> TaskGraph:
        ends = pairwise((0, place, len(source.text)))
        tasks = tuple(Task("Tell.", source.id, Span(*each)) for each in ends)
        whole = Task("Tell.", source.id, Span(0, len(source.text)))
        graph = TaskGraph.start(whole, self.name, seed)
        return graph.grow_all(lambda graph, node: Proposal(tasks if node.id == graph.root else ()))


class Wavering(Pointed):
    def draw(self, source: Source, n: int, seed: int) -> list[TaskGraph]:
        return super().draw(source, n, seed + next(_TICKS))


class Boastful(Pointed):
    def log_prob(self, source: Source, graph: TaskGraph) -> float:
        return super().log_prob(source, graph) / 2


class Skewed(Pointed):
    """Draws as if it were another, whose probabilities sum to one, too."""

    def log_prob(self, source: Source, graph: TaskGraph) -> float:
        return Pointed(early=0.7).log_prob(source, graph)


class Certain(Pointed):
    def log_prob(self, source: Source, graph: TaskGraph) -> float:
        return 0.5


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (Wavering(), "gave other trees the second time"),
        (Boastful(), "sum to"),
        (Skewed(), "a tree was drawn"),
        (Certain(), "log-probability of 0 or less"),
    ],
)
def test_a_broken_sampler_of_trees_is_found(part: Pointed, sentence: str) -> None:
    assert "has probabilities that sum to one" in check_split_sampler(Pointed()).promises
    with pytest.raises(ContractError, match=sentence):
        check_split_sampler(part)


@dataclass
class Earlier:
    """Cuts earlier, which is as far from its anchor as it says; learns from scores and from outcomes alike."""

    name: str = "earlier"
    to: float = 0.5
    says: float = 0.1
    saved: float | None = None

    def improve_splits(self, sampler: Pointed, *given: Any) -> ImprovedSplits:
        return self._improved(given[-1])

    def improve_by_outcomes(self, sampler: Pointed, *given: Any) -> ImprovedSplits:
        return self._improved(given[-1])

    def load_splits(self, folder: Path, anchor: SplitSampler) -> Pointed:
        early = read_json(folder / "early.json")["early"]
        return Pointed(f"pointed:{early}", early=early)

    def _improved(self, workspace: Workspace) -> ImprovedSplits:
        write_json(workspace.folder / "early.json", {"early": self.saved or self.to})
        return ImprovedSplits(Pointed(f"pointed:{self.to}", early=self.to), self.says, "bound")


class Aimless(Earlier):
    def _improved(self, workspace: Workspace) -> ImprovedSplits:
        return replace(self, to=0.5 + 0.001 * next(_TICKS))._keep(workspace)

    def _keep(self, workspace: Workspace) -> ImprovedSplits:
        return Earlier._improved(self, workspace)


class Nameless(Earlier):
    def _improved(self, workspace: Workspace) -> ImprovedSplits:
        found = super()._improved(workspace)
        return replace(found, sampler=Pointed(early=self.to))


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (Earlier(says=0.7), "where 0.5 are allowed"),
        (Earlier(saved=0.9), "is not the one that was saved"),
        (Aimless(), "gave another decomposer"),
        (Nameless(), "under the name of the one before"),
    ],
)
def test_a_broken_optimiser_of_decomposers_is_found(part: Earlier, sentence: str) -> None:
    for check in (check_split_optimiser, check_outcome_optimiser):
        assert "keeps its budget of KL" in check(Earlier(), Pointed()).promises  # type: ignore[operator]
        with pytest.raises(ContractError, match=sentence):
            check(part, Pointed())  # type: ignore[operator]


class Endless(NestedQuestions):
    """Asks one more question for ever."""

    def split(
        self, source: Source, graph: TaskGraph, node: Node, answers: Mapping[str, Output], n: int, seed: int
    ) -> Sequence[Proposal]:
        if node.id != graph.root:
            return [Proposal()]
        return [Proposal((Part(Task(f"What is {len(graph)}?", rank=1)),), more=True)]


class Refused(NestedQuestions):
    def split(
        self, source: Source, graph: TaskGraph, node: Node, answers: Mapping[str, Output], n: int, seed: int
    ) -> Sequence[Proposal]:
        return [Proposal((Task("Larger.", rank=99),))]


class Nothing(NestedQuestions):
    def split(
        self, source: Source, graph: TaskGraph, node: Node, answers: Mapping[str, Output], n: int, seed: int
    ) -> Sequence[Proposal]:
        return []


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (Endless(), "closed by a limit"),
        (Refused(), "a proposal was refused"),
        (Nothing(), "raised PluginError"),
    ],
)
def test_a_broken_growing_decomposer_is_found(part: NestedQuestions, sentence: str) -> None:
    with pytest.raises(ContractError, match=sentence):
        check_growing_decomposer(part)


class Waiting:
    """Nested questions that are waited for."""

    def __init__(self, decomposer: NestedQuestions) -> None:
        self.decomposer, self.name = decomposer, "waiting"

    def start(self, source: Source, seed: int) -> TaskGraph:
        return self.decomposer.start(source, seed)

    async def split_async(
        self, source: Source, graph: TaskGraph, node: Node, answers: Mapping[str, Output], n: int, seed: int
    ) -> Sequence[Proposal]:
        return self.decomposer.split(source, graph, node, answers, n, seed)


def test_a_growing_decomposer_that_waits_is_checked_too() -> None:
    assert list(contracts_of(Waiting(NestedQuestions()))) == ["growing decomposer"]
    assert "closes within its budget" in check_growing_decomposer(Waiting(NestedQuestions())).promises
    with pytest.raises(ContractError, match="a proposal was refused"):
        check_growing_decomposer(Waiting(Refused()))


# ---- raters ----


@dataclass
class Longer:
    """Prefers the longer output, or as `twist` has it."""

    twist: Callable[[Request, Feedback], Feedback] = lambda request, feedback: feedback
    name: str = "longer"

    def rate(self, request: Request, seed: int) -> Feedback:
        if request.kind != "comparison":
            raise InputError("comparisons only")
        lengths = [len(shown.text) for shown in request.shown]
        return self.twist(request, Feedback(request.id, self.name, Comparison(int(lengths[1] > lengths[0]))))


class Unsure(SimulatedRaters):
    def probability(self, request: Request) -> np.ndarray:
        return super().probability(request) * 0.9


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (Longer(lambda request, feedback: replace(feedback, request="another")), "it answered another"),
        (Longer(lambda request, feedback: replace(feedback, answer=Label(True))), "it gave a label"),
        (Longer(lambda request, feedback: replace(feedback, criterion="wit")), "it judged by wit"),
        (
            Longer(lambda request, feedback: replace(feedback, answer=Comparison(next(_TICKS) % 2))),
            "answered otherwise the second time",
        ),
        (Longer(lambda request, feedback: None), "Feedback belongs here"),  # type: ignore[arg-type, return-value]
        (Unsure("tasks.synthetic_book:perceived_quality"), "of a comparison sum to 1"),
    ],
)
def test_a_broken_rater_is_found(part: Longer, sentence: str) -> None:
    assert "gives some kind of feedback" in check_rater(Longer()).promises
    with pytest.raises(ContractError, match=sentence):
        check_rater(part)


def test_a_rater_must_give_some_kind() -> None:
    with pytest.raises(ContractError, match="it gives none of label"):
        check_rater(Longer(), [made_up.request("label", shown=(0,))])


# ---- learners and models ----


@dataclass
class Constant:
    """A model whose reward is a text's length, with two members; what it was fitted on is in `folds`."""

    folds: dict[str, int]
    anchored: bool = True
    salt: int = 0

    @property
    def digest(self) -> str:
        return digest_of({"folds": self.folds, "salt": self.salt})

    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        rewards = [np.array([[len(text) / 100 for text in group.outputs]] * 2) for group in groups]
        return [Prediction.overall(each, 1 / (1 + np.exp(-each))) for each in rewards]

    def fold(self, source: str) -> int | None:
        return self.folds.get(source)

    def holds_out(self, source: str) -> bool:
        return self.folds.get(source) != -1

    def save(self, folder: Path) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "model.json", {"folds": self.folds, "salt": self.salt})
        return self.digest


@dataclass
class Lengths:
    """Learns nothing but which sources there were."""

    name: str = "lengths"
    model: type[Constant] = Constant
    refuses: bool = True

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> Constant:
        rows = for_fitting(ratings).rows if self.refuses else ratings.rows
        sources = sorted({row.request.source for row in rows})
        if not rows and isinstance(start.below, Constant):
            return start.below
        return self.model({source: at % 2 for at, source in enumerate(sources)})

    def load(self, folder: Path) -> Constant:
        facts = read_json(folder / "model.json")
        return self.model(facts["folds"], salt=facts["salt"])


class Short(Constant):
    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        return super().predict([replace(group, outputs=group.outputs[:-1]) for group in groups])


class Neighbourly(Constant):
    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        return [
            Prediction(each.rewards, {OVERALL: each.acceptance[OVERALL] / len(groups)})
            for each in super().predict(groups)
        ]


class Amnesic(Constant):
    def fold(self, source: str) -> int | None:
        return None


class Everywhere(Constant):
    def fold(self, source: str) -> int | None:
        return 0


class Unfounded(Constant):
    def holds_out(self, source: str) -> bool:
        return False


class Fresh(Constant):
    @property
    def digest(self) -> str:
        return str(next(_TICKS))


class Nan(Constant):
    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        return [
            Prediction.overall(np.full((2, len(g.outputs)), np.nan), np.full((2, len(g.outputs)), 0.5)) for g in groups
        ]


class Careful(Lengths):
    def load(self, folder: Path) -> Constant:
        return Constant({}, salt=1)


class Dice(Lengths):
    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> Constant:
        return replace(super().fit(ratings, start, place, seed, workspace), salt=next(_TICKS))


class Dealt(Lengths):
    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> Constant:
        made = super().fit(ratings, start, place, seed, workspace)
        return self.model({source: 1 - fold for source, fold in made.folds.items()}) if start.before else made


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (Lengths(model=Short), r"given \[3, 3"),
        (Lengths(model=Neighbourly), "hang on the groups beside it"),
        (Lengths(model=Amnesic), "it says nothing of the source"),
        (Lengths(model=Everywhere), "about which there were no ratings"),
        (Lengths(model=Unfounded), "holds_out says False"),
        (Lengths(model=Nan), "must be finite"),
        (Lengths(model=Fresh), "digest is another"),
        (Careful(), "digest is another"),
        (Dice(), "gave another model"),
        (Dealt(), "that model has seen them"),
        (Lengths(refuses=False), "fits ratings of role final"),
    ],
)
def test_a_broken_learner_is_found(part: Lengths, sentence: str) -> None:
    assert check_learner(Lengths()).promises
    with pytest.raises(ContractError, match=sentence):
        check_learner(part)


# ---- composers ----


@dataclass
class Twisted(Mean):
    """The mean, then `twist`."""

    def __init__(self, twist: Callable[[Prediction], Prediction], always: bool = False) -> None:
        super().__init__()
        self.twist, self.always = twist, always

    def compose(self, node: Node, candidates: Sequence[Output], scores: Prediction, parts: Sequence[Any]) -> Prediction:
        found = super().compose(node, candidates, scores, parts)
        return self.twist(found) if parts or self.always else found


def first_only(said: Prediction) -> Prediction:
    return Prediction.overall(said.rewards[OVERALL][:, :1], said.acceptance[OVERALL][:, :1])


def beyond(said: Prediction) -> Prediction:
    return Prediction.overall(said.rewards[OVERALL], said.acceptance[OVERALL] + 1)


def halved(said: Prediction) -> Prediction:
    return Prediction.overall(said.rewards[OVERALL], said.acceptance[OVERALL] / 2)


def by_the_clock(said: Prediction) -> Prediction:
    return Prediction.overall(said.rewards[OVERALL], said.acceptance[OVERALL] / (2 + next(_TICKS)))


class Spoiling(Mean):
    def compose(self, node: Node, candidates: Sequence[Output], scores: Prediction, parts: Sequence[Any]) -> Prediction:
        found = super().compose(node, candidates, scores, parts)
        if parts:
            parts[0].acceptance[OVERALL][:] = 0.1
        return found


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (Twisted(first_only), r"\(6, 3\) came out as \(6, 1\)"),
        (Twisted(beyond), r"must lie in \[0, 1\]"),
        (Twisted(halved, always=True), "must keep its own scores"),
        (Twisted(by_the_clock), "otherwise the second time"),
        (Spoiling(), "otherwise the second time|changed the scores"),
    ],
)
def test_a_broken_composer_is_found(part: Mean, sentence: str) -> None:
    with pytest.raises(ContractError, match=sentence):
        check_composer(part)


class Forgetting(LearnedJoin):
    def load(self, folder: Path) -> Any:
        return Mean()


class Unruly(LearnedJoin):
    def fit(self, *given: Any) -> Any:
        return Mean(own_weight=float(generator("unruly", next(_TICKS)).random()))


class Content(LearnedJoin):
    def fit(self, ratings: Sequence[Any], *given: Any) -> Any:
        return super().fit(ratings or made_up.joined_ratings(), *given)


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (Forgetting(), "is not the one that was saved"),
        (Unruly(), "gave another composer"),
        (Content(), "must raise InputError without ratings"),
    ],
)
def test_a_broken_composer_learner_is_found(part: LearnedJoin, sentence: str) -> None:
    with pytest.raises(ContractError, match=sentence):
        check_composer_learner(part)


class Sure(Verified):
    """Says of every claim that it is more than certain."""

    def fit_claims(self, *given: Any) -> Any:
        return Certain(super().fit_claims(*given).model)


class Certain(ClaimVerifier):
    def support(self, claims: Sequence[ClaimBeside]) -> list[Score]:
        return [Score(np.full(4, 1.5)) for _ in claims]


class Undiscerning(Verified):
    """Takes anything for marks."""

    def fit_claims(self, ratings: Any, *given: Any) -> Any:
        return super().fit_claims(ratings if ratings.rows else made_up.marked(Train), *given)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [(Sure, "a probability from 0 to 1 by every member"), (Undiscerning, "it must raise InputError without ratings")],
)
def test_a_broken_learner_of_verifiers_is_found(kind: type[Verified], sentence: str) -> None:
    with pytest.raises(ContractError, match=sentence):
        check_verifier_learner(kind(Frozen(), Aligner(least=0.0)))


# ---- samplers and sources ----


@dataclass(frozen=True)
class Drifting(UniformNodes):
    how: str = "seed"

    def order(
        self, trees: Sequence[TaskGraph], targets: Sequence[TaskGraph], seed: int, draws: int | None = None
    ) -> list[DrawnNode]:
        if self.how == "targets":
            return [DrawnNode(0, node) for node in targets[0]]
        if self.how == "all":
            return super().order(trees, targets, seed)
        return super().order(trees, targets, next(_TICKS), draws)


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (Drifting(), "a seed gave two orders"),
        (Drifting("targets"), "no node of the training tree"),
        (Drifting("all"), "asked for 0 draws"),
    ],
)
def test_a_broken_sampler_is_found(part: Drifting, sentence: str) -> None:
    with pytest.raises(ContractError, match=sentence):
        check_sampler(part)


@dataclass(frozen=True)
class Asks(Value):
    """Asks by value, but for one thing that is wrong."""

    how: str = ""

    def choose(self, belief: Belief, asking: Asking) -> Chosen:
        found = super().choose(belief, asking)
        asked = found.asked
        if self.how == "twice":
            asked = (*asked, asked[0])
        elif self.how == "strange":
            asked = (replace(asked[0], request="request-strange"), *asked[1:])
        elif self.how == "greedy":
            asked = tuple(each for each in asked if each.stream == BY_VALUE)
        elif self.how == "sure":
            asked = tuple(replace(each, propensity=0.0) for each in asked)
        elif self.how == "judging":
            of_targets = {each.request.id for each in asking.questions if each.of_target}
            asked = tuple(replace(each, stream=AT_RANDOM) if each.request in of_targets else each for each in asked)
        elif self.how == "peeking" and belief.means(asking.targets[0].groups)[0] > 0.25:
            asked = tuple(each for each in asked if each.stream == BY_VALUE or each.request[-1] in "02468ace")
        elif self.how == "changing":
            asked = asked[next(_TICKS) % 2 :]
        elif self.how == "spending":
            asked = super().choose(belief, replace(asking, minutes=999.0)).asked
        elif self.how == "free":
            asked = super().choose(belief, replace(asking, minutes=asking.minutes or 5.0)).asked
        elif self.how == "counting":
            asked = super().choose(belief, replace(asking, many=None, minutes=min(40.0, asking.minutes))).asked
        return found._replace(asked=asked)

    def keep(self, belief: Belief, asking: Asking, asked: Sequence[Asked]) -> Mapping[str, np.ndarray]:
        return super().keep(belief, asking, asked[1:] if self.how == "forgetting" else asked)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("twice", "it chose a question twice"),
        ("strange", "not in its pool"),
        ("greedy", "draws no question at random"),
        ("sure", "a propensity lies above 0 up to 1, got 0.0"),
        ("judging", "draws questions about targets at random"),
        ("peeking", "changes with what is believed"),
        ("changing", "equal arguments gave two choices"),
        ("spending", "it may take 40 minutes and chose for"),
        ("free", "without a minute it puts"),
        ("counting", "of 3 questions that it may put it chose"),
        ("forgetting", "is not what it chose"),
    ],
)
def test_a_broken_sampler_of_questions_is_found(how: str, sentence: str) -> None:
    with pytest.raises(ContractError, match=sentence):
        check_question_sampler(Asks(how=how))


def test_a_sampler_of_questions_with_nothing_wrong_keeps_its_contract() -> None:
    assert check_question_sampler(Asks()).promises


@dataclass
class Shelf:
    """Two made-up sources, or as it is told to."""

    name: str = "shelf"
    order: str = "fixed"
    best: float = 1.0

    def sources(self) -> list[Source]:
        found = [made_up.source(0), made_up.source(0 if self.order == "twice" else 1)]
        return found[:: 1 if self.order != "turning" or next(_TICKS) % 2 else -1]

    def gold(self, source: str, span: Span | None, text: str) -> float:
        return self.best if text else 0.0


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (Shelf(order="turning"), "in another order"),
        (Shelf(order="twice"), "stands twice"),
        (Shelf(best=1.5), r"must lie in \[0, 1\], got 1.5"),
    ],
)
def test_a_broken_source_set_is_found(part: Shelf, sentence: str) -> None:
    assert "knows gold in [0, 1]" in check_source_set(Shelf()).promises
    with pytest.raises(ContractError, match=sentence):
        check_source_set(part)


# ---- which contract ----


def test_a_part_that_can_do_nothing_keeps_no_contract() -> None:
    with pytest.raises(PluginError, match="keeps no contract"):
        contracts_of(object())


def test_learners_of_models_and_of_composers_are_told_apart() -> None:
    assert list(contracts_of(Lengths())) == ["learner"]
    assert list(contracts_of(LearnedJoin())) == ["composer learner"]
