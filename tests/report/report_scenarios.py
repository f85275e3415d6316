"""A report as a run on two sources might leave it: one with gold and four trees, one real book with failures."""

import numpy as np

from rrm.core.report import (
    Bin,
    Candidate,
    Correlation,
    Cost,
    Interval,
    LevelReport,
    NodeReport,
    PolicyChoice,
    Report,
    RoundLevel,
    RoundReport,
    Spent,
    StageCost,
    TargetReport,
    TreeReport,
    Use,
)

EVENTS = (
    "Mr. Hale hides the deed of the mill behind the clock in the parlour.",
    "Ruth Amberley finds the harbour gate broken and accuses her cousin of the theft.",
    "The storm drives the Curlew onto the rocks, and only the boy is saved.",
    "Because the letter was never posted, Captain Vane sails without his brother.",
    "At the inquest nobody believes what the ferryman saw from the bridge.",
    "Old Mrs. Penrose leaves the orchard to the doctor, who had never asked for it.",
    "Tom confesses that it was he, not Ruth, who broke the gate.",
    "The brothers meet on the ice and are reconciled before the thaw.",
)
PARAGRAPH = (
    "It was one of those mornings when the whole valley lay under mist and the chapel bell sounded as if it were"
    " rung under water. {event} The kettle had boiled dry by the time anybody thought of breakfast, and the talk"
    " turned, as it always did in that house, to the price of barley and the obstinacy of the new curate."
)


def _interval(mean: float, width: float) -> Interval:
    return Interval(max(0.0, mean - width), min(1.0, mean + width))


def _summary(random: np.random.Generator, sentences: int) -> str:
    return " ".join(EVENTS[int(each)] for each in sorted(random.choice(len(EVENTS), sentences, replace=False)))


def _candidates(random: np.random.Generator, node: str, n: int, sentences: int, gold: bool) -> tuple[Candidate, ...]:
    found = []
    for number in range(n):
        quality = float(random.beta(5, 3))
        own = float(np.clip(quality + random.normal(0, 0.14), 0.02, 0.98))
        composed = float(np.clip(quality + random.normal(0, 0.07), 0.02, 0.98))
        found.append(
            Candidate(
                id=f"output-{node}-{number}",
                text=_summary(random, sentences),
                own=own,
                own_interval=_interval(own, 0.12),
                composed=composed,
                composed_interval=_interval(composed, 0.07),
                gold=quality if gold else None,
            )
        )
    found.sort(key=lambda each: -(each.composed or 0))
    return tuple(
        Candidate(**{**vars(each), "chosen": place == 0}) if place == 0 else each for place, each in enumerate(found)
    )


def make_tree(seed: int, fan_in: tuple[int, ...], gold: bool, roots: int = 8, others: int = 4) -> TreeReport:
    """Make a tree with this many parts at each depth; all leaves are equally deep."""
    random = np.random.default_rng(seed)
    nodes: list[NodeReport] = []
    row = [f"t{seed}"]
    for depth, parts in enumerate((*fan_in, 0)):
        below = [f"{node}.{part}" for node in row for part in range(parts)]
        for place, node in enumerate(row):
            event = EVENTS[(place * 3 + depth) % len(EVENTS)]
            source = "" if parts else "\n\n".join(PARAGRAPH.format(event=each) for each in (event, *EVENTS[:4]))
            nodes.append(
                NodeReport(
                    id=node,
                    level=len(fan_in) - depth,
                    depth=depth,
                    title="The Mill at Penrose" if depth == 0 else f"It was one of those mornings when {event.lower()}",
                    children=tuple(f"{node}.{part}" for part in range(parts)),
                    source_text=source,
                    candidates=_candidates(
                        random, node, others if depth else roots, 2 if not parts else 3 + depth, gold and not depth
                    ),
                    blame=None if parts else float(random.exponential(0.006)),
                )
            )
        row = below
    return TreeReport(seed, f"t{seed}", tuple(nodes))


def make_target(title: str, trees: tuple[TreeReport, ...], gold: bool) -> TargetReport:
    """Choose the best root over the trees, and fill in what gold says."""
    roots = [(number, each) for number, tree in enumerate(trees) for each in tree.nodes[0].candidates]
    tree, chosen = max(roots, key=lambda each: each[1].composed or 0)
    if not gold:
        return TargetReport(title.lower(), title, trees, chosen, tree)
    truth = [each.gold or 0.0 for _, each in roots]
    return TargetReport(
        title.lower(),
        title,
        trees,
        chosen,
        tree,
        chosen.gold,
        float(np.mean(truth)),
        max(truth),
        Correlation(0.87, Interval(0.74, 0.94), len(roots)),
        Correlation(0.71, Interval(0.45, 0.86), len(roots)),
        Correlation(0.34, Interval(-0.02, 0.63), len(roots)),
    )


def make_level(level: int, rows: int, accuracy: float, **known: object) -> LevelReport:
    values: dict[str, object] = {
        "n_train": rows * 2,
        "n_test": rows,
        "ties": rows // 20,
        "accuracy": accuracy,
        "interval": Interval(accuracy - 0.8 / rows**0.5, min(1.0, accuracy + 0.8 / rows**0.5)),
        "noise_ceiling": 0.88,
        "longer_wins": 0.56 - 0.03 * level,
        "bag_of_words": 0.61,
        "verbatim": 0.58,
        "nll": 0.52,
        "ece": 0.041,
        "ece_interval": Interval(0.018, 0.071),
        "reliability": tuple(
            Bin(p, min(1.0, max(0.0, p + e)), rows // 8)
            for p, e in zip(
                np.linspace(0.53, 0.97, 8).tolist(), (0.02, -0.03, 0.01, 0.04, -0.02, -0.05, 0.0, -0.03), strict=True
            )
        ),
        "coverage": 0.86,
        "coverage_n": 200,
        "coverage_interval": Interval(0.79, 0.92),
        "sources": 12,
    }
    return LevelReport(level, **{**values, **known})  # type: ignore[arg-type]


def make_report() -> Report:
    """Make the whole report: a mill town whose truth is known, and a novel with a failed leaf."""
    trees = tuple(make_tree(seed, (4, 6), gold=True) for seed in range(4))
    book = make_tree(11, (5, 4), gold=False)
    nodes = list(book.nodes)
    nodes[8] = NodeReport(
        nodes[8].id, 0, 2, nodes[8].title, (), nodes[8].source_text, (), "AssistantError: the model answered nothing"
    )
    book = TreeReport(book.seed, book.root, tuple(nodes))
    return Report(
        name="two books, three levels",
        train_sources=12,
        target_sources=2,
        nodes_per_level=(416, 69, 17),
        outputs=2118,
        ratings=1640,
        composer="mean",
        levels=(
            make_level(0, 480, 0.79),
            make_level(1, 160, 0.74, noise_ceiling=None, coverage=None, own=0.61),
            make_level(2, 44, 0.68, shared_head=True, own=0.0, bag_of_words=0.5),
        ),
        flat=make_level(2, 44, 0.61, subject="whole", noise_ceiling=None, coverage=None, ece=0.09),
        targets=(make_target("The Mill at Penrose", trees, True), make_target("Sylvie and Bruno", (book,), False)),
        cost=Cost(
            calls=132,
            tokens=450_200,
            levels=(
                StageCost(0, 1300, 905_000, 800.5, 2010.0),
                StageCost(1, 260, 214_000, 190.25, 460.0),
                StageCost(2, 80, 85_000, 70.0, 151.5),
            ),
            flat=StageCost(2, 1640, 19_870_000, 20_400.0, 29_300.0),
            select=StageCost(2, 120, 60_000, 50.0, 99.0),
        ),
        seconds=1312.4,
        rounds=tuple(
            RoundReport(
                number,
                tuple(
                    RoundLevel(
                        level,
                        gold_mean=round(0.41 + 0.05 * number - 0.02 * number * level, 3) if level else None,
                        proxy_mean=round(0.5 + 0.09 * number + 0.03 * level, 3),
                        proxy_interval=Interval(0.4, 0.9) if level == 1 else None,
                        kl=0.31 * number,
                        kl_budget=1.0,
                        entropy=2.4 - 0.35 * number,
                        moved=0.25 * level if number else None,
                        spent=Spent(0.3 * number, "bound", "first") if number else None,
                    )
                    for level in range(3)
                ),
                (PolicyChoice("p", None, 0.031, Interval(-0.012, 0.07), 96, 3, True),) if number == 0 else (),
            )
            for number in range(3)
        ),
        uses=(
            Use("train", "fit", 1640),
            Use("train", "improve", 9210),
            Use("select", "choose", 288),
            Use("final", "report", 417),
        ),
        failures=("propose node-1f3a: the model answered nothing",),
        warnings=("level 2 has 88 ratings of its own, too few for a head of its own: it uses that of the level below",),
        settings={
            "name": "two books, three levels",
            "policy": {"plugin": "rrm.policy.extractive:Extractive", "outputs": 4, "api_key": "sk-not-for-print"},
            "levels": [0, 1, 2],
        },
    )
