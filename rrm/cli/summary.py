"""A finished run on the terminal: levels and rounds as tables, the targets in sentences."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from rrm.core.place import level_name, node_level
from rrm.core.report import Interval, LevelReport, Nats, Report, RoundLevel, TargetReport, Use

if TYPE_CHECKING:
    from rrm.api.library import Applied

LONELY = "needs two or more training sources"


def print_summary(report: Report, directory: Path, console: Console | None = None) -> None:
    """Print the results of a run, and where to look further; 80 columns where that is no terminal."""
    console = console or Console(highlight=False, markup=False, emoji=False)
    nodes = ", ".join(f"{count:,} at level {level}" for level, count in enumerate(report.nodes_per_level))
    console.print(f"{_several(report.train_sources, 'training source')}, {_several(report.target_sources, 'target')}")
    console.print(f"nodes: {nodes}")
    select = f" and {report.select_ratings:,} of the judge of role select" if report.select_ratings else ""
    console.print(f"{report.outputs:,} outputs, {report.ratings:,} ratings{select}, {report.seconds:.0f} s")
    if report.levels:
        console.print(_levels(report))
    if report.train_sources == 1:
        console.print(f"accuracy on held-out sources {LONELY}: there is one")
    if len(report.rounds) > 1:
        console.print(_rounds(report))
    targets = (each for target in report.targets for each in _target(target))
    for line in (
        *_ledger(report),
        *_choices(report),
        *_splits(report),
        *_raters(report),
        *_asking(report),
        *_peeks(report),
        *_hindsight(report),
        *_marks(report),
        *targets,
    ):
        console.print(line)
    for line in (*report.notes, *report.warnings, *report.failures[:5]):
        console.print(f"! {line}")
    console.print(f"report: {directory / 'report.html'}", soft_wrap=True)


def _levels(report: Report) -> Table:
    heads = ("ratings", "own", "tested", "acc.", "95 %", "limit", "longer", "words", "copied", "NLL", "ECE")
    rows = [(level.name(report.top), *_level(level)) for level in report.levels]
    return _table(("level", *heads), [*rows, *([("flat", *_level(report.flat))] if report.flat else [])])


def _level(level: LevelReport) -> list[str]:
    interval = f"{level.interval.low:.2f}-{level.interval.high:.2f}" if level.interval else "-"
    most = level.best_possible if level.noise_ceiling is None else level.noise_ceiling
    numbers = (most, level.longer_wins, level.bag_of_words, level.verbatim, level.nll, level.ece)
    own = "-" if level.own is None else f"{level.own:.0%}"
    return [f"{level.n_train:,}", own, f"{level.n_test:,}", _number(level.accuracy), interval, *map(_number, numbers)]


def _rounds(report: Report) -> Table:
    rows = [
        (str(each.round + 1) if not at else "", level_name(level.level, report.top), *_round(level))
        for each in report.rounds
        for at, level in enumerate(each.levels)
    ]
    return _table(("round", "level", "gold", "acceptance", "KL", "spent", "of budget", "entropy", "moved"), rows)


def _round(level: RoundLevel) -> list[str]:
    signs = {name: basis.sign for name, basis in level.estimated.items()}
    kl, entropy = (signs.get(name, "") + _number(getattr(level, name)) for name in ("kl", "entropy"))
    spent = f"{level.spent.nats:.2f} {level.spent.how}" if level.spent else "-"
    budget = f"{_share(level.of_budget)} of {level.kl_budget:.2f}" if level.spent and level.kl_budget else "-"
    return [_number(level.gold_mean), _number(level.proxy_mean), kl, spent, budget, entropy, _share(level.moved)]


def _ledger(report: Report) -> Iterator[str]:
    """Say what optimising came to in every round, in nats over a whole tree, level by level."""
    for each in report.rounds:
        if each.ledger and each.ledger.tree and each.ledger.tree.nats:
            levels = ", ".join(
                f"{level_name(level.level, report.top)} {_nats(level.node)} a node" for level in each.ledger.levels
            )
            yield f"round {each.round + 1}: optimised by {_nats(each.ledger.tree)} nats a tree ({levels})"


def _nats(nats: Nats | None) -> str:
    if nats is None:
        return "unknown"
    return f"{'at most ' if nats.how == 'bound' else ''}{nats.nats:.2f}{' est.' if nats.how == 'estimated' else ''}"


def _choices(report: Report) -> Iterator[str]:
    """Say of every policy that the judge of role select was asked about whether it was kept, and how surely."""
    for each in report.rounds:
        for choice in each.choices:
            at = "" if choice.level is None else f", {level_name(choice.level, report.top)}"
            low, high = choice.interval or (None, None)
            sure = "no interval" if low is None else f"95 % {low:+.3f} to {high:+.3f}"
            asked = f"{_several(choice.nodes, 'node')} of {_several(choice.sources, 'source')}"
            done = "kept" if choice.kept else "not kept"
            yield f"round {each.round + 1}{at}: new policy {done}, gain {choice.gain:+.3f} ({sure}; {asked})"


def _splits(report: Report) -> Iterator[str]:
    """Say how well the reward model of decompositions does on sources held out, and two plain rules."""
    if report.splits is not None:
        splits, found = report.splits, report.splits.figures
        sure = f" (95 % {found.interval.low:.2f}-{found.interval.high:.2f})" if found.interval else ""
        rules = f"more even wins {_number(splits.more_even_wins)}, fewer parts win {_number(splits.fewer_parts_win)}"
        yield f"decompositions: accuracy {_number(found.accuracy)}{sure}, {rules}, on {found.n:,} held-out comparisons"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    for head in heads:
        table.add_column(head, justify="left" if head == "level" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _raters(report: Report) -> Iterator[str]:
    """Say what raters' time it took, and what judges were used for."""
    if report.cost.ratings:
        flat = f", and {report.cost.flat.minutes:,.0f} for the flat baseline" if report.cost.flat else ""
        select = f", and {report.cost.select.minutes:,.0f} of the judge of role select" if report.cost.select else ""
        splits = f", {report.cost.splits.minutes:,.0f} of them for decompositions" if report.cost.splits else ""
        yield f"minutes of raters: {report.cost.minutes:,.0f}{splits}{select}{flat}"
    if report.uses:
        roles = dict.fromkeys(use.role for use in report.uses)
        yield f"judges: {'; '.join(_uses(role, report.uses) for role in roles)}"


def _asking(report: Report) -> Iterator[str]:
    """Say what was asked by value, and what an hour more would bring."""
    if report.asking is not None:
        asking, last = report.asking, report.asking.waves[-1]
        power = "" if asking.power is None else f" (accuracy to ±{asking.power:.1f} points)"
        drawn = f"{asking.at_random} at random, {asking.evenly} evenly{power}"
        yield f"questions: {asking.by_value} by value, {drawn}; the next hour would add {last.hour:+.2g} acceptance"
        if asking.targets is not None:
            about, changed, targets = asking.targets.questions, asking.targets.changed, asking.targets.targets
            what = f"changed what is chosen for {changed} of {targets}" if targets else "chose no output"
            yield f"of them {about} about targets, which {what}"
        if asking.left is not None:
            taken, changed = sum(each.taken for each in asking.left), sum(each.changed for each in asking.left)
            yield f"choices left to a person: {len(asking.left)}, taken {taken}, another output for {changed}"


def _peeks(report: Report) -> Iterator[str]:
    """Say how much of what raters could not see was found wrong."""
    if report.peeks is not None:
        answers, wrong = (sum(row[at] for row in report.peeks.claims) for at in (3, 4))
        expected, low, high = report.peeks.wrong_chosen
        chosen = sum(row.chosen for row in report.peeks.claims)
        yield (
            f"peeks: {wrong} of {answers} answers found a claim wrong; of {chosen} claims of the chosen outputs"
            f" {expected:.1f} are expected to be ({low:.1f} to {high:.1f})"
        )


def _hindsight(report: Report) -> Iterator[str]:
    """Say how many preferences turned round once raters saw what came of outputs."""
    if (told := report.hindsight) is not None:
        share = "" if told.interval is None else f" (90 %: {told.interval.low:.0%} to {told.interval.high:.0%})"
        yield f"hindsight: {told.turned} of {told.pairs} preferences turned round{share}"


def _marks(report: Report) -> Iterator[str]:
    """Say which claims raters marked, by what they were shown beside them."""
    if (told := report.marks) is not None:
        beside = (f"{marked:,} of {claims:,} {_BESIDE[each]}" for each, claims, marked in told.shown)
        yield f"claims marked: {', '.join(beside)}"


_BESIDE = {
    "nothing": "with nothing beside them",
    "supported": "shown as supported",
    "doubtful": "shown as doubtful",
    "not quoted": "that the critic did not quote",
    "quoted": "that the critic quoted",
}


def _uses(role: str, uses: Sequence[Use]) -> str:
    return f"{role} to {', '.join(f'{use.purpose} {use.outputs:,}' for use in uses if use.role == role)}"


def tell_row(row: "Applied") -> None:
    """Print what came of one source of a library, in a line or two; what would steer a terminal is left out."""
    console = Console(highlight=False, markup=False, emoji=False)
    name = Path(row.source).name
    if row.failure is not None:
        console.print(f"{name}: failed: {row.failure}", soft_wrap=True)
        return
    failed = f", {_several(row.failed_parts, 'part')} failed" if row.failed_parts else ""
    between = f" (90 % interval {row.low:.3f} to {row.high:.3f})" if row.low is not None else ""
    console.print(f"{name}: {row.score:.3f}{between}{failed}", soft_wrap=True)
    for line in (shorten(row.text or "", 160), *(f"note: {note}" for note in row.notes)):
        console.print(f"  {line}", soft_wrap=True)


def _target(target: TargetReport) -> Iterator[str]:
    if target.chosen is None or target.chosen.composed is None:
        yield f"{target.title}: no root output; see the failures in the report"
        return
    low, high = target.chosen.composed_interval or Interval(target.chosen.composed, target.chosen.composed)
    yield f"{target.title}: {target.chosen.composed:.3f} (90 % interval {low:.3f} to {high:.3f})"
    if target.gold_of_chosen is not None and target.gold_mean is not None and target.gold_best is not None:
        told = f"{target.gold_of_chosen:.3f}; mean of all {target.gold_mean:.3f}, best {target.gold_best:.3f}"
        yield f"  gold of the chosen output {told}{f', from {target.gold_by}' if target.gold_by else ''}"
    yield from _blame(target)
    yield from _passed_over(target)
    yield "  " + shorten(target.chosen.text, 400)


def _blame(target: TargetReport) -> Iterator[str]:
    """Say what stands out in the tree of the chosen output, or that nothing does."""
    from rrm.report.outline import NOTICED, losses, shown_tree

    if target.no_blame:
        yield f"  where score is lost is not told, because {target.no_blame}"
    tree = shown_tree(target)
    found = losses(tree, 1) if tree else None
    if found is None or found.usual is None:
        return
    if not found.standouts and (found.largest or 0.0) < NOTICED:
        yield f"  below the root no output loses as much as {NOTICED:g} of the score"
    elif not found.standouts:
        yield f"  below the root nothing stands out as losing score: {found.largest:+.2g} at most"
    by_claim = any(each.blame is not None for claim in target.claims for each in claim.walk())
    mended = "it had changed nothing" if by_claim else "it were perfect"
    for each in found.standouts:
        what = f"level {each.node.level} and all below" if each.whole else node_level(each.node.level, -1)
        yield f"  loses score ({each.blame:+.2g} if {mended}): {what}, {shorten(each.node.title, 60)}"


def _passed_over(target: TargetReport) -> Iterator[str]:
    """Say which root output has the least score, and where it loses most, if that is told."""
    from rrm.report.outline import Limits, claim_rows, losing

    if target.least is None:
        return
    top = target.trees[target.least.tree].nodes[0].level
    rows = claim_rows(target.least.claims, target.trees[target.least.tree], {}, Limits(), top)
    least = target.least.candidate
    yield f"  the root output with the least score, {least.id}, has {least.composed or 0.0:.3f}"
    for worst, row in losing(rows)[:1]:
        yield f"    it loses {worst.blame:+.2g} {worst.where}: {shorten(row.chain.text, 100)}"


def _several(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:.2f}"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"
