"""A belief over heads written out: Newton's method on every head and every effect as a parameter of its own."""

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

from rrm.core.values import Comparison, Group
from rrm.reward.belief import HeadsBelief


def written_out(belief: HeadsBelief, groups: Sequence[Group]) -> tuple[np.ndarray, np.ndarray]:
    """Return means and covariance of the groups' outputs by two levels, the upper one drawn to the lower."""
    width = len(belief.heads[0].layer.centre)
    names: dict[object, int] = {}
    items: dict[tuple[int, str, str], np.ndarray] = {}
    for level, head in enumerate(belief.heads):
        for item, columns in zip(head.feedback.items, head.columns, strict=True):
            items[level, item.view.id, item.text] = columns
    for group in groups:
        level = group.place.level
        [found] = belief.heads[level].layer.read([group])
        for text, columns in zip(group.outputs, found, strict=True):
            items[level, group.view.id, text] = columns
    for level, seen, text in items:
        names.setdefault((level, seen), len(names))
        names.setdefault((level, seen, text), len(names))
    heads = 2 * width
    precision = np.zeros((heads + len(names), heads + len(names)))
    eye = np.eye(width)
    lower, upper = (each.precision for each in belief.heads)
    precision[:width, :width] = (lower + upper) * eye
    precision[width:heads, width:heads] = upper * eye
    precision[:width, width:heads] = precision[width:heads, :width] = -upper * eye
    centre = np.zeros(len(precision))
    centre[:heads] = np.tile(belief.heads[0].layer.centre, 2)
    for name, at in names.items():
        assert isinstance(name, tuple)
        effects = belief.heads[name[0]].effects
        precision[heads + at, heads + at] = 1 / (effects.view if len(name) == 2 else effects.output)

    def along(level: int, seen: str, text: str) -> np.ndarray:
        row = np.zeros(len(precision))
        row[level * width : (level + 1) * width] = items[level, seen, text]
        row[heads + names[level, seen]] = row[heads + names[level, seen, text]] = 1
        return row

    told, first, offset = [], [], []
    for level, head in enumerate(belief.heads):
        for answer, shown in zip(head.feedback.answers, head.feedback.row_items, strict=True):
            rows = [along(level, head.feedback.items[at].view.id, head.feedback.items[at].text) for at in shown]
            told.append(rows[0] - rows[1] if isinstance(answer, Comparison) else rows[0])
            offset.append(0.0 if isinstance(answer, Comparison) else head.anchor)
            first.append(answer.better == 0 if isinstance(answer, Comparison) else bool(answer.accepted))
    design, won, shift = np.array(told), np.array(first, dtype=float), np.array(offset)
    mode = centre.copy()
    for _ in range(50):
        p = expit(design @ mode + shift)
        hessian = precision + (design * (p * (1 - p))[:, None]).T @ design
        mode = mode + np.linalg.solve(hessian, design.T @ (won - p) - precision @ (mode - centre))
    wanted = np.array([along(g.place.level, g.view.id, text) for g in groups for text in g.outputs])
    unit = np.array([belief.heads[g.place.level].unit for g in groups for _ in g.outputs])
    other = np.array([belief.heads[g.place.level].shift for g in groups for _ in g.outputs])
    anchor = np.array([belief.heads[g.place.level].anchor for g in groups for _ in g.outputs])
    spread = wanted @ np.linalg.solve(hessian, wanted.T)
    return unit * (wanted @ mode + anchor) + other, spread * np.outer(unit, unit)
