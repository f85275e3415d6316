"""The adversary of a finished run: outputs that its models score high and may be wrong about, put to raters."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rrm.api.frontier import Setting
from rrm.api.loaded import load
from rrm.core.protocols import Seen
from rrm.core.roles import reporting
from rrm.files.whole import durable
from rrm.policy.adversary import Suspect, questions, search


@dataclass(frozen=True)
class Adversary:
    """What was found at one level of a run, the most suspicious first, and what gold says of it where it is known.

    `excess` is by how much the suspects' scores exceed their gold in the mean, `excess_of_plain` the same for the
    plain best outputs of the same nodes.
    """

    run: str
    level: str
    nodes: int
    suspects: Sequence[Suspect]
    excess: float | None
    gold: float | None
    gold_of_plain: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the object that `rrm adversary DIR --json` ends with."""
        names = ("run", "level", "nodes", "excess", "gold", "gold_of_plain")
        rows = [
            {
                "source": each.seen.source,
                "node": each.context.node,
                "text": each.output.text,
                "score": each.score,
                "spread": each.spread,
                "plain": each.plain.text,
                "gold": each.gold,
                "gold_of_plain": each.gold_of_plain,
            }
            for each in self.suspects
        ]
        return {name: getattr(self, name) for name in names} | {"suspects": rows}


def adversary(
    directory: str | Path,
    level: int = 0,
    candidates: int = 64,
    most: int = 20,
    most_nodes: int = 40,
    seed: int = 0,
    items: str | Path | None = None,
) -> Adversary:
    """Look for outputs of a finished run's policy that its models score high and differ about.

    With `items`, a file of questions about them is written that `rrm items add` lays before raters. Gold, where it is
    known, is told and has no part in what is found: what is learned from the answers is not learned from it. Raises
    InputError where `Setting.of` and `search` do.
    """
    with load(Path(directory)) as run:
        setting = Setting.of(run, level, candidates, most_nodes, seed)
        nodes = [*setting.measuring]
        suspects = [
            _with_gold(setting, each)
            for each in search(setting.anchor, nodes, setting.scorer, seed, candidates, most=most)
        ]
    if items is not None:
        lines = [json.dumps({"request": asdict(asked)}) + "\n" for asked in questions(suspects)]
        durable(Path(items), "".join(lines).encode())
    known = [each for each in suspects if each.gold is not None and each.gold_of_plain is not None]
    return Adversary(
        run=setting.run,
        level=setting.level,
        nodes=len(nodes),
        suspects=suspects,
        excess=_mean([each.excess for each in known]),
        gold=_mean([each.gold for each in known]),
        gold_of_plain=_mean([each.gold_of_plain for each in known]),
    )


def adversary_text(found: Adversary) -> str:
    """Return what was found as plain text, a suspect a paragraph."""
    lines = [f"{found.run}, {found.level}: {len(found.suspects)} suspects at {found.nodes} nodes"]
    if found.excess is not None:
        lines.append(
            f"gold of the suspects {found.gold:.3f}, of the plain best outputs {found.gold_of_plain:.3f}; "
            f"the suspects' scores exceed their gold by {found.excess:+.3f}"
        )
    for each in found.suspects:
        gold = "" if each.gold is None else f", gold {each.gold:.3f}"
        lines += ["", f"score {each.score:.3f}, members differ by {each.spread:.3f}{gold}", each.output.text]
    return "\n".join(lines)


def _with_gold(setting: Setting, suspect: Suspect) -> Suspect:
    if setting.gold is None:
        return suspect
    with reporting():
        gold, plain = (_gold(setting, suspect.seen, text) for text in (suspect.output.text, suspect.plain.text))
    return Suspect(suspect.seen, suspect.output, suspect.score, suspect.spread, suspect.plain, gold, plain)


def _gold(setting: Setting, seen: Seen, text: str) -> float | None:
    assert setting.gold is not None
    return setting.gold.gold(seen.source, seen.prompt_context.task.span, text)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
