from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from decomposers.chunks import Chunks
from decomposers.cut_features import NAMES
from decomposers.learn_cuts import (
    Distil,
    FromOutcomes,
    FromScores,
    LearnedCuts,
    Preferred,
    accepted,
    along,
    imitate,
    kl_by_level,
    learn_from_comparisons,
    learn_from_scores,
    preferred,
)
from decomposers.questions import NestedQuestions
from decomposers.segmenter import Segmenter
from rrm.core.errors import ConfigError, InputError
from rrm.core.graph import Proposal, TaskGraph
from rrm.core.place import Place
from rrm.core.protocols import OutcomeOptimiser, SplitOptimiser, TreeOutcome, Workspace
from rrm.core.roles import Train
from rrm.core.splits import leaves_of, outline, read_outline, split_node, split_view
from rrm.core.task import Source, Span, Task
from rrm.core.values import Comparison, Feedback, Group, Prediction, Rated, Request, Shown
from tasks.planted_cuts import PlantedCuts, PlantedText

TEXTS = PlantedCuts(12, sign="speech", events=8, seed=5).texts
OTHERS = PlantedCuts(12, sign="speech", events=8, seed=6).texts
START = Segmenter(leaf_tokens=126, fan_in=(4, 3))


def value(text: PlantedText, graph: TaskGraph) -> float:
    return text.value_of([span for leaf in graph.leaves if (span := graph.task(leaf).span)]) / text.optimum


def worth(segmenter: Segmenter, texts: tuple[PlantedText, ...]) -> float:
    return float(np.mean([value(text, segmenter.decompose(text.source, 0)) for text in texts]))


def compared(segmenter: Segmenter, pairs: int) -> list[Preferred]:
    found = []
    for text in TEXTS:
        trees = segmenter.draw(text.source, 2 * pairs, seed=0)
        for pair in zip(trees[::2], trees[1::2], strict=True):
            better, worse = sorted(pair, key=lambda graph: -value(text, graph))
            if value(text, better) > value(text, worse):
                found.append(Preferred(text.source, better, worse))
    return found


@pytest.fixture(scope="module")
def comparisons() -> list[Preferred]:
    return compared(START, 12)


@pytest.fixture(scope="module")
def learned(comparisons: list[Preferred]) -> LearnedCuts:
    return learn_from_comparisons(START, comparisons, kl_budget=8.0)


def test_a_segmenter_learns_from_comparisons_within_its_budget(learned: LearnedCuts) -> None:
    assert worth(learned.segmenter, OTHERS) > worth(START, OTHERS) + 0.1
    assert worth(learned.segmenter, OTHERS) > worth(Chunks(leaf_tokens=126), OTHERS) + 0.1  # type: ignore[arg-type]
    assert 7.9 < learned.kl <= 8.0
    sources = [text.source for text in TEXTS]
    assert max(kl_by_level(learned.segmenter, START, sources)) == pytest.approx(learned.kl, rel=1e-3)
    [table] = {table["speech"] for table in learned.segmenter.tables[:1]}
    assert table > START.tables[0].get("speech", 0) + 1


def test_learning_ends_where_reward_less_kl_is_largest(comparisons: list[Preferred], learned: LearnedCuts) -> None:
    """Any other way to spend as much KL wins less reward: the optimum of a linear reward lies along the reward."""
    ours = np.array([[learned.segmenter.tables[0].get(name, 0) - START.tables[0].get(name, 0) for name in NAMES]])
    sources = [text.source for text in TEXTS[:3]]
    reward = ours[0] / np.abs(ours).max()
    at = NAMES.index("speech")

    def expected(direction: np.ndarray) -> float:
        moved = along(START, START, direction, sources, 2.0).segmenter
        total = 0.0
        for source in sources:
            features = moved.features(moved.read(source), 0)
            weights = moved.weights_at(0).requires_grad_()
            [sums] = np.array([_gradient(features, weights)])
            total += float(sums @ reward)
        return total

    best = expected(ours)
    for change in (-0.5, 0.5):
        other = ours.copy()
        other[0, at] *= 1 + change
        assert expected(other) < best + 1e-6


def _gradient(features: object, weights: object) -> np.ndarray:
    cuts = features.cuts(weights)  # type: ignore[attr-defined]
    cuts.log_partition().sum().backward()
    return np.asarray(weights.grad.numpy())  # type: ignore[attr-defined]


def test_imitation_finds_the_weights_that_drew_the_trees() -> None:
    drawn_by = START.with_weights(({"size squared": -8.0, "speech": 2.0, "paragraph": -1.0},))
    trees = [(text.source, tree) for text in TEXTS for tree in drawn_by.draw(text.source, 12, seed=3)]
    found = imitate(START.with_weights(({"size squared": -1.0},)), trees, strength=0.5).tables[0]
    assert found["speech"] == pytest.approx(2.0, abs=0.5)
    assert found["paragraph"] == pytest.approx(-1.0, abs=0.5)
    assert abs(found.get("after speech", 0.0)) < 0.7


def test_a_chunkers_trees_can_be_imitated_though_it_cuts_inside_sentences() -> None:
    sources = [text.source for text in TEXTS]
    chunks = Chunks(leaf_tokens=60, fan_in=(4, 3))
    like = imitate(
        Segmenter(leaf_tokens=60, fan_in=(4, 3), weights=({"size squared": -1.0},)),
        [(source, chunks.decompose(source, 0)) for source in sources],
        strength=0.1,
    )
    ours, theirs = ([len(each.decompose(source, 1).leaves) for source in sources] for each in (like, chunks))
    assert np.abs(np.subtract(ours, theirs)).max() <= 1


def test_scores_alone_improve_a_segmenter_within_its_budget() -> None:
    by_id = {text.source.id: text for text in TEXTS}

    def score(source: Source, trees: object) -> list[float]:
        return [value(by_id[source.id], tree) for tree in trees]  # type: ignore[attr-defined]

    sources = [text.source for text in TEXTS]
    found = learn_from_scores(START, START, sources, score, 6.0, seed=0, draws=12, steps=2)
    assert worth(found.segmenter, OTHERS) > worth(START, OTHERS) + 0.05
    assert 0 < found.kl <= 6.0
    again = learn_from_scores(START, START, sources, score, 6.0, seed=0, draws=12, steps=2)
    assert again.segmenter.tables == found.segmenter.tables


def test_what_teaches_nothing_is_refused(comparisons: list[Preferred]) -> None:
    source = TEXTS[0].source
    tree = START.decompose(source, 0)
    with pytest.raises(InputError, match="no comparisons"):
        learn_from_comparisons(START, [], 1.0)
    with pytest.raises(InputError, match="two equal decompositions were compared"):
        learn_from_comparisons(START, [Preferred(source, tree, START.decompose(source, 1))], 1.0)
    inside = Chunks(leaf_tokens=7, fan_in=(4, 3)).decompose(source, 0)
    with pytest.raises(InputError, match="cut between sentences"):
        learn_from_comparisons(START, [Preferred(source, tree, inside)], 1.0)
    with pytest.raises(InputError, match="budget of KL is a number of nats above 0"):
        learn_from_comparisons(START, comparisons[:2], 0.0)
    with pytest.raises(InputError, match="need as many finite scores"):
        learn_from_scores(START, START, [source], lambda _, trees: [float("nan")] * len(trees), 1.0, 0)
    with pytest.raises(InputError, match="two draws"):
        learn_from_scores(START, START, [source], lambda _, trees: [0.0] * len(trees), 1.0, 0, draws=1)
    with pytest.raises(InputError, match="limits rule out"):
        imitate(Segmenter(leaf_tokens=20), [(source, Chunks(leaf_tokens=300).decompose(source, 0))])


class Judge:
    """A scorer of role train that accepts an outline by its share of parts that begin with speech."""

    name, role = "judge", Train

    def score(self, groups: Sequence[Group]) -> list[Prediction]:
        found = []
        for group in groups:
            leaves = [leaves_of(read_outline(text)) for text in group.outputs]
            shares = [[np.mean([part.first[0] == "“" for part in each])] for each in leaves]
            found.append(Prediction.overall(np.array(shares).T, np.array(shares).T))
        return found


@pytest.mark.parametrize(
    "optimiser",
    [
        FromScores(draws=8, steps=2),
        Distil(of=8),
        Distil(of=4, teacher=START.with_weights(({"speech": 6.0, "size squared": -5.0},))),
    ],
)
def test_an_optimiser_of_decomposers_improves_within_its_budget_and_is_found_again(
    optimiser: FromScores | Distil, tmp_path: Path
) -> None:
    assert isinstance(optimiser, SplitOptimiser)
    sources = [text.source for text in TEXTS[:6]]
    place, judge = Place(0, "split", 2), Judge()
    found = optimiser.improve_splits(START, START, sources, judge, place, 4.0, 0, Workspace(tmp_path))
    assert 0 < found.kl <= 4.0 and found.how == "exact"
    score = accepted(judge, place)
    before, after = (
        np.mean([score(source, each.draw(source, 12, seed=4)) for source in sources]) for each in (START, found.sampler)
    )
    assert after > before
    again = optimiser.load_splits(tmp_path, START)
    assert again.name == found.sampler.name
    with pytest.raises(InputError, match="segmenter:Segmenter, not of Chunks"):
        optimiser.load_splits(tmp_path, Chunks())  # type: ignore[arg-type]


class Uneven:
    """Waits for somebody, and cuts the first third off, then the rest in halves: leaves of two depths."""

    name = "uneven"

    def __init__(self) -> None:
        self.seeds: list[int] = []

    async def decompose_async(self, source: Source, seed: int) -> TaskGraph:
        self.seeds.append(seed)
        end = len(source.text)
        first, second = round(end * 0.3), round(end * 0.65)

        def task(start: int, stop: int) -> Task:
            return Task("Tell.", source.id, Span(start, stop))

        graph = TaskGraph.start(task(0, end), self.name, seed)
        graph = graph.grow(graph.root, Proposal((task(0, first), task(first, end))))
        leaf, rest = graph.children(graph.root)
        graph = graph.grow_each({leaf: Proposal(), rest: Proposal((task(first, second), task(second, end)))})
        return graph.grow_each({node: Proposal() for node in graph.children(rest)})


@pytest.mark.asyncio
async def test_a_teacher_that_waits_for_somebody_is_imitated_as_far_as_the_limits_allow(tmp_path: Path) -> None:
    """The third text is so long that two of its leaves are beyond the limits."""
    sources, place, teacher = [text.source for text in TEXTS[:3]], Place(0, "split", 2), Uneven()
    found = Distil(of=2, teacher=teacher).improve_splits(
        START, START, sources, Judge(), place, 40.0, 0, Workspace(tmp_path)
    )
    assert len(teacher.seeds) == len(set(teacher.seeds)) == 6
    trees = [(source, await teacher.decompose_async(source, 0)) for source in sources[:2]]
    cuts = [START.cuts_of(source, tree, nearest=True) for source, tree in trees]
    before, after = (
        sum(float(each.distribution(cut[0].text, 0).log_prob([cut[0].ends])) for cut in cuts if cut)
        for each in (START, found.sampler)
    )
    assert after > before + 3


def test_a_teacher_that_cannot_be_imitated_and_settings_that_teach_nothing_are_refused(tmp_path: Path) -> None:
    whole = Distil(of=1, teacher=Chunks(leaf_tokens=10_000))
    small, source = Segmenter(leaf_tokens=20), TEXTS[0].source
    with pytest.raises(InputError, match="none of the teacher's 1 trees of each source has leaves that"):
        whole.improve_splits(small, small, [source], Judge(), Place(0, "split", 2), 4.0, 0, Workspace(tmp_path))
    with pytest.raises(ConfigError, match="is 1 or more: 0"):
        Distil(of=0)
    with pytest.raises(ConfigError, match="the teacher of cuts is a decomposer that splits a source at once"):
        Distil(teacher=NestedQuestions())  # type: ignore[arg-type]


def outcomes(values: float, agreement: float, minutes: float) -> list[TreeOutcome]:
    """Six trees of each text: what one is worth is in its root's score, its agreement or its minutes, times these."""
    found = []
    for text in TEXTS:
        for tree in START.draw(text.source, 6, seed=11):
            worth_ = value(text, tree)
            root = 0.5 + values * worth_ / 10
            found.append(TreeOutcome(text.source, tree, root, 0.5 + agreement * worth_ / 10, 3 - minutes * worth_))
    return found


@pytest.mark.parametrize(
    ("optimiser", "given"),
    [
        (FromOutcomes(), outcomes(1, 0, 0)),
        (FromOutcomes(root=0.0, agreement=2.0), outcomes(0, 1, 0)),
        (FromOutcomes(root=0.0, minutes=0.5), outcomes(0, 0, 1)),
    ],
)
def test_what_came_of_trees_improves_a_segmenter_within_its_budget(
    optimiser: FromOutcomes, given: list[TreeOutcome], tmp_path: Path
) -> None:
    assert isinstance(optimiser, OutcomeOptimiser)
    found = optimiser.improve_by_outcomes(START, START, given, 4.0, 0, Workspace(tmp_path))
    assert 0 < found.kl <= 4.0 and found.how == "exact"
    assert optimiser.load_splits(tmp_path, START).name == found.sampler.name
    assert isinstance(found.sampler, Segmenter)
    assert worth(found.sampler, OTHERS) > worth(START, OTHERS) + 0.05


def test_outcomes_that_nothing_tells_apart_change_nothing(tmp_path: Path) -> None:
    equal = [each._replace(root=0.4, agreement=None, minutes=None) for each in outcomes(1, 0, 0)]
    every = FromOutcomes(1.0, 1.0, 1.0)
    assert every.improve_by_outcomes(START, START, equal, 4.0, 0, Workspace(tmp_path)).kl == 0
    with pytest.raises(InputError, match="no outcomes"):
        every.improve_by_outcomes(START, START, [], 4.0, 0, Workspace(tmp_path))
    with pytest.raises(InputError, match="there is one alone"):
        every.improve_by_outcomes(START, START, equal[:1], 4.0, 0, Workspace(tmp_path))
    for weights in ({"root": -1.0}, {"root": 0.0}, {"ridge": 0.0}):
        with pytest.raises(ConfigError):
            FromOutcomes(**weights)


def test_ratings_of_outlines_are_read_as_what_they_say_of_trees() -> None:
    source = TEXTS[0].source
    first, second = START.draw(source, 2, seed=9)
    shown = tuple(Shown(f"o{at}", outline(tree, source)) for at, tree in enumerate((first, second)))
    asked = Request(split_node(source), source.id, Place(0, "split", 2), "comparison", split_view(source), shown)

    def said(better: int | None) -> Rated:
        return Rated(asked, Feedback(asked.id, "anna", Comparison(better)))

    found = preferred([said(1), said(None), said(0)], [(source, first), (source, second)])
    assert [(each.better, each.worse) for each in found] == [(second, first), (first, second)]
    with pytest.raises(InputError, match="no tree that was drawn has the outline"):
        preferred([said(0)], [(source, first)])
