"""From a finished run to its report: the levels evaluated, the targets composed, gold where it is known."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rrm.api.executors import Models
from rrm.api.wiring import LEARNED, Parts
from rrm.core.errors import InputError
from rrm.core.report import Cost, Interval, LevelReport, Report, TargetReport
from rrm.core.values import Fitted, Group, Label, Rated, Request, Score
from rrm.evaluate.levels import Estimated, HeldOut, level_report
from rrm.evaluate.roots import with_gold
from rrm.pipeline.flat import Flat
from rrm.pipeline.forest import Tree
from rrm.pipeline.recursion import Outcome
from rrm.pipeline.reporting import Composing, learned_composer, target_reports
from rrm.report.html import write_report
from rrm.report.record import report_to_json
from rrm.reward.model import LevelModel, held_out

MOST_INTERVALS = 200
"""Outputs per level on which the coverage of intervals is measured, where the truth is known."""


@dataclass(frozen=True, eq=False)
class Run:
    """A run that has ended, with the parts that can say more about it."""

    parts: Parts
    models: Models
    outcome: Outcome
    flat: Flat | None
    seconds: float


def build_report(run: Run) -> Report:
    """Evaluate and compose a finished run."""
    forest, standing = run.outcome.forest, run.outcome.standing
    levels = tuple(_level(run, level.level, level.rated, level.model) for level in run.outcome.levels)
    flat = _level(run, -1, run.flat.rated, run.flat.model) if run.flat else None
    composing = _composing(run)
    return Report(
        name=run.parts.run.name,
        train_sources=len(run.parts.train)
        or len({r.request.source for level in run.outcome.levels for r in level.rated}),
        target_sources=len(run.parts.target),
        nodes_per_level=tuple(len(forest.level(level)) for level in range(forest.height + 1)),
        outputs=sum(map(len, standing.outputs.values())),
        ratings=sum(len(level.rated) for level in run.outcome.levels),
        composer=composing.composer.name,
        levels=levels,
        flat=flat,
        targets=tuple(_with_gold(run, target) for target in target_reports(run.outcome, composing)),
        cost=_cost(run),
        seconds=run.seconds,
        anchored=composing.anchored,
        failures=tuple(f"{each.step} {each.subject}: {each.cause}" for each in standing.failures),
        warnings=tuple(_warnings(levels, composing)),
        settings=run.parts.run.to_json(),
    )


def save_report(report: Report, directory: Path) -> None:
    """Write report.json and report.html, each whole or not at all."""
    import json

    from rrm.report.html import write_whole

    write_whole(directory / "report.json", json.dumps(report_to_json(report)))
    write_report(report, directory / "report.html")


def _level(run: Run, level: int, rated: Sequence[Rated], fitted: Fitted) -> LevelReport:
    model = run.models.load(fitted)
    rows = (
        [HeldOut(row.probability, row.rated) for row in held_out(rated, model) if row.kind == "comparison"]
        if rated
        else []
    )
    truth = getattr(run.parts.rater, "probability", None)
    return level_report(
        level,
        rows,
        len(rated) or fitted.ratings,
        rated,
        dict(model.seen),
        (lambda request: float(truth(request)[0])) if truth else None,
        run.parts.run.seed,
        estimated=_estimated(model, rated, truth) if truth and model.anchored else (),
        shared_head=model.shared_head,
    )


def _estimated(model: LevelModel, rated: Sequence[Rated], truth: Callable[[Request], Any]) -> list[Estimated]:
    """Return the intervals of held-out outputs beside the probability with which the simulation accepts them."""
    asked = {row.request.id: row.request for row in rated if isinstance(row.feedback.answer, Label)}
    requests = [each for each in asked.values() if model.holds_out(each.source)][:MOST_INTERVALS]
    found = model.acceptance([request.group for request in requests])
    intervals = [Interval(*Score(samples[:, 0]).interval()) for samples in found]
    return [Estimated(each, float(truth(request)[0])) for each, request in zip(intervals, requests, strict=True)]


def _with_gold(run: Run, target: TargetReport) -> TargetReport:
    gold = getattr(run.parts.target_set, "gold", None)
    if gold is None:
        return target
    flat = (
        {output: float(sum(s.acceptance) / len(s.acceptance)) for output, s in run.flat.scores.items()}
        if run.flat
        else {}
    )
    return with_gold(target, partial(gold, target.source, None), flat, run.parts.run.seed)


def _cost(run: Run) -> Cost:
    spent = run.parts.budget.spent
    levels = [each for level in run.outcome.levels for each in level.rated]
    flat = run.flat.rated if run.flat else ()
    return Cost(
        calls=spent.calls,
        tokens=spent.tokens,
        ratings=len(levels),
        tokens_read=_tokens_read(levels, run.parts.tokenizer.count),
        flat_ratings=len(flat),
        flat_tokens_read=_tokens_read(flat, run.parts.tokenizer.count),
    )


def _tokens_read(rated: Iterable[Rated], count: Callable[[str], int]) -> int:
    """Tokens shown to raters: each view once for all that was asked about it, outputs each time they were shown."""
    views = {row.request.view.id: row.request.view for row in rated}
    texts = [shown.text for row in rated for shown in row.request.shown]
    known = {text: count(text) for text in set(texts)}
    return sum(count(view.text) for view in views.values()) + sum(known[text] for text in texts)


def _composing(run: Run) -> Composing:
    anchored = all(run.models.load(level.model).anchored for level in run.outcome.levels)
    if run.parts.run.compose.plugin == LEARNED:
        return Composing(learned_composer(run.outcome, anchored), anchored)
    return Composing(run.parts.composer, anchored)


def _warnings(levels: Sequence[LevelReport], composing: Composing) -> Iterable[str]:
    for level in levels:
        if level.shared_head:
            told = f"level {level.level} has {level.n_train} ratings of its own"
            yield f"{told}, too few for a head of its own: it uses that of the level below"
    if levels and not composing.anchored:
        yield "no labels or ratings anchor the rewards: scores compare an output with others for the same task"


def score_text(run: Run, target: TargetReport, said: str) -> dict[str, Any]:
    """Score a text as the root output of the tree that was chosen for a target: own and composed."""
    composing, standing = _composing(run), run.outcome.standing
    tree = _chosen_tree(run, target)
    root = tree.graph.root
    level = tree.graph.height(root)
    fitted = run.outcome.levels[level].model
    others = () if composing.anchored else tuple(dict.fromkeys(output.text for output in standing.outputs[root]))
    texts = (said, *(text for text in others if text != said))
    own = run.models.load(fitted).acceptance([Group(tree.source, level, standing.views[root], texts)])[0][:, 0]
    whole = composing.candidate(tree, root, own, composing.tree(tree, standing, standing.acceptance))
    return {"own": _distribution(Score(own)), "composed": _distribution(Score(whole))}


def _chosen_tree(run: Run, target: TargetReport) -> Tree:
    trees = [tree for tree in run.outcome.forest.trees if tree.source == target.source]
    if not trees or target.chosen_tree is None:
        raise InputError(f"{target.title} has no chosen root output: nothing to score against")
    return trees[target.chosen_tree]


def _distribution(score: Score) -> dict[str, float]:
    low, high = score.interval()
    return {"score": score.mean, "low": low, "high": high}
