"""A decomposer that learns: which of two trees is better, said 600 times, teaches a segmenter where to cut."""

from decomposers.chunks import Chunks
from decomposers.learn_cuts import Preferred, learn_from_comparisons
from decomposers.segmenter import Segmenter
from rrm.core.graph import TaskGraph
from rrm.core.ids import generator
from rrm.core.protocols import Decomposer
from tasks.planted_cuts import PlantedCuts, PlantedText

RATER_ERRS = 0.1  # of all comparisons


def worth(text: PlantedText, tree: TaskGraph) -> float:
    """Return what a tree's leaves are worth, as a share of the best cut's worth."""
    return text.value_of([span for leaf in tree.leaves if (span := tree.task(leaf).span)]) / text.optimum


def compare(segmenter: Segmenter, texts: tuple[PlantedText, ...], pairs: int) -> list[Preferred]:
    """Draw pairs of trees of every text, and have a rater who sometimes errs say which is better."""
    random, found = generator("rater", pairs), []
    for text in texts:
        trees = segmenter.draw(text.source, 2 * pairs, seed=0)
        for first, second in zip(trees[::2], trees[1::2], strict=True):
            if worth(text, first) != worth(text, second):
                prefers_first = (worth(text, first) > worth(text, second)) != (random.random() < RATER_ERRS)
                found.append(Preferred(text.source, *((first, second) if prefers_first else (second, first))))
    return found


def main() -> None:
    rated, others = (PlantedCuts(30, sign="speech", seed=seed).texts for seed in (1, 2))
    start = Segmenter(leaf_tokens=126)
    comparisons = compare(start, rated, pairs=20)
    learned = learn_from_comparisons(start, comparisons, kl_budget=20.0)
    print(f"{len(comparisons)} comparisons; {learned.kl:.1f} nats a cut from where it began")
    decomposers: dict[str, Decomposer] = {"even chunks": Chunks(126), "before": start, "after": learned.segmenter}
    for name, decomposer in decomposers.items():
        share = sum(worth(text, decomposer.decompose(text.source, 0)) for text in others) / len(others)
        print(f"{name}: {share:.0%} of what the best cuts of other texts are worth")


if __name__ == "__main__":
    main()
