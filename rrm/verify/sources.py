"""What node samplers and sets of sources promise."""

from collections.abc import Sequence

from rrm.core.graph import TaskGraph
from rrm.core.protocols import GoldSet, NodeSampler, SourceSet
from rrm.core.task import Source, Span
from rrm.verify import made_up
from rrm.verify.held import Checks, Held, checking


def check_sampler(
    sampler: NodeSampler, trees: Sequence[TaskGraph] | None = None, targets: Sequence[TaskGraph] | None = None
) -> Held:
    """Check that a node sampler draws nodes of training trees alone, in an order that the seed decides.

    Raises ContractError.
    """
    train = list(trees) if trees is not None else [made_up.tree(made_up.source(number)) for number in range(3)]
    others = list(targets) if targets is not None else [made_up.tree(made_up.source(3))]
    with checking("node sampler", sampler) as checks:
        order = sampler.order(train, others, 5)
        checks.require(bool(order), "draws nodes", "it draws nothing of three trees")
        wrong = [drawn for drawn in order if not 0 <= drawn.tree < len(train) or drawn.node not in train[drawn.tree]]
        checks.require(not wrong, "draws training nodes only", f"{wrong[:1]} is no node of the training tree it names")
        checks.require(
            sampler.order(train, others, 5) == order, "draws equally with equal seeds", "a seed gave two orders"
        )
        for draws in (0, 1, len(order) + 4):
            count = len(sampler.order(train, others, 5, draws))
            checks.require(count == draws, "draws as many as asked", f"asked for {draws} draws, it gave {count}")
        checks.require(sampler.order([], others, 5) == [], "draws nothing of no trees", "without trees it draws nodes")
    return checks.held


def check_source_set(sources: SourceSet, most: int = 3) -> Held:
    """Check that a set gives its sources in a fixed order, and gold in [0, 1] where it knows it.

    Gold is looked up for the first `most` sources. Raises ContractError.
    """
    with checking("source set", sources) as checks:
        found = sources.sources()
        checks.require(
            bool(found) and all(isinstance(each, Source) for each in found),
            "gives sources",
            f"a list of Sources belongs here, got {found!r:.60}",
        )
        ids = [source.id for source in found]
        checks.require(len(set(ids)) == len(ids), "gives each source once", "the same text stands twice in the set")
        same = [source.id for source in sources.sources()] == ids
        checks.require(same, "keeps the order", "its sources are others, or in another order, the second time")
        if isinstance(sources, GoldSet):
            for source in found[:most]:
                _check_gold(checks, sources, source)
    return checks.held


def _check_gold(checks: Checks, sources: GoldSet, source: Source) -> None:
    half = Span(0, max(1, len(source.text) // 2))
    for span in (None, half):
        for text in ("", "Nothing of the kind.", source.text[:400]):
            value = sources.gold(source.id, span, text)
            checks.require(
                value is None or (isinstance(value, int | float) and 0 <= value <= 1),
                "knows gold in [0, 1]",
                f"the gold of {text[:30]!r} in {source.title} must lie in [0, 1], got {value!r}",
            )
            again = sources.gold(source.id, span, text)
            checks.require(again == value, "knows one gold", f"the gold of {text[:30]!r} was {value}, then {again}")
