"""What decomposers promise that are distributions over trees, and the optimisers that improve them."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from math import exp, fsum, isfinite, sqrt
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from rrm.core.graph import TaskGraph
from rrm.core.place import Place
from rrm.core.protocols import ImprovedSplits, OutcomeOptimiser, SplitOptimiser, SplitSampler, TreeOutcome, Workspace
from rrm.core.roles import Train
from rrm.core.splits import leaves_of, read_outline
from rrm.core.task import Source
from rrm.core.values import Group, Prediction
from rrm.verify import made_up
from rrm.verify.decomposers import check_graph
from rrm.verify.held import Checks, Held, checking

_DRAWS = 400
"""Trees drawn of the small text to see which ones there are."""

Tree = str
"""A tree's spans by depth, as JSON: two trees that say the same are equal, whatever seeds they name."""


def check_split_sampler(sampler: SplitSampler, source: Source | None = None) -> Held:
    """Check that a sampler draws closed trees by its seed alone, and knows how probable each one is.

    `source` is a text with few trees, by default one of six sentences. Raises ContractError.
    """
    text = source or Source("Six sentences", " ".join(f"{name} rowed home." for name in "ABCDEF"))
    with checking("split sampler", sampler) as checks:
        drawn = sampler.draw(text, _DRAWS, 5)
        checks.require(
            len(drawn) == _DRAWS and all(isinstance(tree, TaskGraph) for tree in drawn),
            "draws n trees",
            f"asked for {_DRAWS} trees, it drew {len(drawn)}",
        )
        times = Counter(map(_tree, drawn))
        different = {_tree(graph): graph for graph in drawn}
        for graph in different.values():
            check_graph(checks, graph, text)
        checks.require(
            [*map(_tree, sampler.draw(text, 20, 5))] == [*map(_tree, sampler.draw(text, 20, 5))],
            "draws equal trees for equal seeds",
            "the same source and seed gave other trees the second time",
        )
        log_probs = {tree: sampler.log_prob(text, graph) for tree, graph in different.items()}
        wrong = [value for value in log_probs.values() if not (isfinite(value) and value <= 1e-9)]
        checks.require(
            not wrong,
            "knows the log-probability of what it draws",
            f"a tree that it drew must have a log-probability of 0 or less, got {wrong[:1]}",
        )
        _check_sum(checks, times, log_probs)
    return checks.held


def _check_sum(checks: Checks, times: Counter[Tree], log_probs: dict[Tree, float]) -> None:
    total, once = fsum(map(exp, log_probs.values())), sum(count == 1 for count in times.values())
    # what was never drawn has about the probability of what was drawn once: Good (1953), doi:10.2307/2333344
    unseen = (once + 4 * sqrt(once) + 4) / _DRAWS
    checks.require(
        1 - unseen <= total <= 1 + 1e-6,
        "has probabilities that sum to one",
        f"the {len(log_probs)} trees drawn of a small text have probabilities that sum to {total:.6f}, not to 1",
    )
    for tree, count in times.items():
        expected = exp(log_probs[tree]) * _DRAWS
        checks.require(
            abs(count - expected) <= 5 * sqrt(expected) + 5,  # a fair sampler fails once in millions
            "draws trees as often as it says",
            f"a tree was drawn {count} times of {_DRAWS}, where its probability foretells {expected:.1f}",
        )


def check_split_optimiser(
    optimiser: SplitOptimiser, sampler: SplitSampler, sources: Sequence[Source] | None = None, kl_budget: float = 0.5
) -> Held:
    """Check that an optimiser of decomposers keeps its budget of KL, is deterministic, and loads what it saved.

    `sampler` is the decomposer that it improves, and its anchor. Scores prefer fewer parts. Raises ContractError.
    """
    given, place = _sources(sources), Place(0, "split", 2)

    def improve(folder: Path) -> ImprovedSplits:
        return optimiser.improve_splits(sampler, sampler, given, _Fewer(), place, kl_budget, 7, Workspace(folder))

    return _checked("split optimiser", optimiser, sampler, given, improve, kl_budget)


def check_outcome_optimiser(
    optimiser: OutcomeOptimiser, sampler: SplitSampler, sources: Sequence[Source] | None = None, kl_budget: float = 0.5
) -> Held:
    """Check the same of an optimiser that learns from outcomes; trees of fewer parts come out better."""
    given = _sources(sources)
    outcomes = [
        TreeOutcome(source, tree, 1 / len(tree.leaves), 0.5, 1.0)
        for source in given
        for tree in sampler.draw(source, 6, 3)
    ]

    def improve(folder: Path) -> ImprovedSplits:
        return optimiser.improve_by_outcomes(sampler, sampler, outcomes, kl_budget, 7, Workspace(folder))

    return _checked("outcome optimiser", optimiser, sampler, given, improve, kl_budget)


def _sources(sources: Sequence[Source] | None) -> list[Source]:
    return list(sources or made_up.SOURCES[:4])


def _checked(
    contract: str,
    optimiser: SplitOptimiser | OutcomeOptimiser,
    sampler: SplitSampler,
    sources: Sequence[Source],
    improve: Callable[[Path], ImprovedSplits],
    kl_budget: float,
) -> Held:
    with checking(contract, optimiser) as checks, TemporaryDirectory() as place:
        before, folder = _trees(sampler, sources), Path(place) / "one"
        elsewhere = Path(place) / "two"
        for each in (folder, elsewhere):
            each.mkdir()
        found, again, resumed = improve(folder), improve(elsewhere), improve(folder)
        checks.require(
            isinstance(found, ImprovedSplits) and isinstance(found.sampler, SplitSampler),
            "returns an improved decomposer",
            f"it must return ImprovedSplits with a SplitSampler, got {type(found).__name__}",
        )
        checks.require(
            isfinite(found.kl) and -1e-9 <= found.kl <= kl_budget + 1e-9,
            "keeps its budget of KL",
            f"it went {found.kl} nats a cut where {kl_budget} are allowed",
        )
        made = _trees(found.sampler, sources)
        for other, sentence in ((again, "another folder"), (resumed, "the same folder, begun again")):
            checks.require(
                other.sampler.name == found.sampler.name and _trees(other.sampler, sources) == made,
                "improves equally with equal seeds",
                f"the same work in {sentence} gave another decomposer",
            )
        checks.require(
            found.sampler.name != sampler.name or made == before,
            "names what it changed",
            "the improved decomposer draws other trees under the name of the one before",
        )
        loaded = optimiser.load_splits(folder, sampler)
        checks.require(
            loaded.name == found.sampler.name and _trees(loaded, sources) == made,
            "loads what it saved",
            "the decomposer that is loaded is not the one that was saved",
        )
        checks.require(
            _trees(sampler, sources) == before,
            "leaves the decomposer before as it was",
            "the decomposer that it started from was changed",
        )
    return checks.held


class _Fewer:
    """Scores outlines by how few lowest parts they have; implements `rrm.core.roles.Scorer`."""

    name = "fewer"
    role = Train

    def score(self, groups: Sequence[Group]) -> list[Prediction]:
        counts = [[len(leaves_of(read_outline(text))) for text in group.outputs] for group in groups]
        rewards = [np.array([[1 - count / 4 for count in each]] * 4) for each in counts]
        return [Prediction.overall(each, 1 / (1 + np.exp(-each))) for each in rewards]


def _trees(sampler: SplitSampler, sources: Sequence[Source]) -> list[Tree]:
    return [_tree(graph) for source in sources for graph in sampler.draw(source, 6, 11)]


def _tree(graph: TaskGraph) -> Tree:
    return json.dumps(sorted([graph.depth(node), *(graph.task(node).span or ())] for node in graph))
