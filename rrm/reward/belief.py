"""What linear heads of all levels leave open, as one Gaussian: which outputs differ, and how surely.

The members of an ensemble are fitted without some sources, to report; what to ask is decided on all ratings together.
Heads of neighbouring levels are drawn to each other, so an answer about leaves tells of roots, too.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve

from rrm.core.asking import Chooser
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.values import Group, Rated
from rrm.feedback.likelihood import log_likelihood
from rrm.feedback.scales import Scales
from rrm.feedback.table import FeedbackTable, tabulate
from rrm.reward.calibrate import Calibration
from rrm.reward.disperse import Dispersion, standing_in, steepness, upward
from rrm.reward.evidence import evidence
from rrm.reward.fit import ANCHOR_SD
from rrm.reward.heads import Heads, fit_heads

_STEPS = 3  # of Newton's method from the heads' mode; the third moves no reward by a hundredth

ViewAt = tuple[int, str]
"""A level, and the id of a view."""


@dataclass(frozen=True, eq=False)
class Layer:
    """What a level's head weighs, and what is believed of its weights before any rating.

    `read` gives the columns [k, columns] of each group's outputs. Weights are drawn to the head of the level below
    where they `follow` it, or else to `centre` [columns], with this `precision` (None: as strong as ratings say).
    The acceptance is what the head says where ratings `anchored` the model, but for an intercept of standard deviation
    `anchor_sd` (None: wide open). `calibration` turns that into logits, and `dispersion` is what columns do not tell.
    """

    level: int
    read: Callable[[Sequence[Group]], list[np.ndarray]]
    centre: np.ndarray
    follows: bool
    precision: float | None
    anchored: bool
    anchor_sd: float | None
    calibration: Calibration
    dispersion: Dispersion


@dataclass(frozen=True, eq=False)
class HeadsBelief:
    """A belief over the heads [fitted levels x columns] and over what they do not tell of rated outputs and views.

    Implements `rrm.core.asking.RatersBelief`. Given the heads, the effects of outputs and of views are normal, with the
    variances that the level's model found held-out ratings to show (`Dispersion`). A level without ratings is believed
    to be as the one below that has some, but for these variances (`rrm.reward.disperse.upward`).
    """

    heads: tuple["_Fitted", ...] = field(repr=False)
    mean: np.ndarray = field(repr=False)
    covariance_of_heads: np.ndarray = field(repr=False)
    told: Mapping[ViewAt, "_Told"] = field(repr=False)

    def means(self, groups: Sequence[Group]) -> np.ndarray:
        return np.concatenate([np.empty(0), *(each.mean for each in self._outputs(groups))])

    def covariance(self, groups: Sequence[Group], others: Sequence[Group]) -> np.ndarray:
        ours = list(self._outputs(groups))
        theirs = ours if others is groups else list(self._outputs(others))
        width = len(self.mean)
        left, right = (np.concatenate([np.empty((0, width)), *(o.along for o in each)]) for each in (ours, theirs))
        found = left @ self.covariance_of_heads @ right.T
        beside: dict[ViewAt, list[tuple[int, _Outputs]]] = defaultdict(list)
        for start, each in _starts(theirs):
            beside[each.view].append((start, each))
        for row, mine in _starts(ours):
            for column, other in beside.get(mine.view, ()):
                place = slice(row, row + len(mine.mean)), slice(column, column + len(other.mean))
                found[place] += mine.shared(other, self.told.get(mine.view))
        return np.asarray(found)

    @property
    def raters(self) -> tuple[Chooser, ...]:
        """How raters of the highest level choose, as the fit of its head found them; one as usual where all are alike.

        A choice between two outputs goes by the difference of their rewards over a rater's temperature.
        """
        highest = self.heads[-1].mode.scales
        if not highest.reliability:
            return ()
        return tuple(Chooser(each.temperature, each.lapse) for each in highest.raters())

    def _outputs(self, groups: Sequence[Group]) -> Iterator["_Outputs"]:
        numbers = [self._number_of(group.place.level) for group in groups]
        for group, number, columns in zip(groups, numbers, self._columns(groups, numbers), strict=True):
            level = group.place.level
            head = self.heads[number].at(level)
            along = np.zeros((len(columns), len(self.mean)))
            start = number * columns.shape[1]
            along[:, start : start + columns.shape[1]] = columns
            view = (level, group.view.id)
            known = self.told.get(view)
            constant: np.ndarray | float = 0.0
            if known is not None:
                gain = known.gain(group.outputs, head.effects)
                along = along - gain @ known.hessian @ known.along
                constant = gain @ known.pull
            mean = head.unit * (along @ self.mean + constant + head.anchor) + head.shift
            yield _Outputs(view, head, group.outputs, np.asarray(mean), head.unit * along)

    def _number_of(self, level: int) -> int:
        """Return the number of the head that a level is judged by."""
        levels = [each.layer.level for each in self.heads]
        return levels.index(standing_in(levels, level))

    def _columns(self, groups: Sequence[Group], numbers: Sequence[int]) -> list[np.ndarray]:
        """Return the columns of groups, read by the heads of these numbers, each head's in one call."""
        found: dict[int, np.ndarray] = {}
        for number in sorted(set(numbers)):
            places = [at for at, other in enumerate(numbers) if other == number]
            found |= zip(places, self.heads[number].layer.read([groups[at] for at in places]), strict=True)
        return [found[at] for at in range(len(groups))]


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Heads of one level: what they weigh, the mode of one head on all ratings, and their units.

    `unit` turns a raw reward into logits of the very output, `shift` is added to that; `effects` are variances of what
    features do not tell, in raw units.
    """

    layer: Layer
    columns: np.ndarray
    feedback: FeedbackTable
    mode: Heads
    precision: float
    below: int | None
    anchor: float
    unit: float
    shift: float
    effects: Dispersion

    def at(self, level: int) -> "_Fitted":
        """Return the heads as they serve at a level, of which there may be no ratings."""
        if level == self.layer.level:
            return self
        units = _units(self.layer, upward(self.layer.dispersion, level - self.layer.level))
        return replace(self, unit=units.unit, shift=units.shift, effects=units.effects)


class _Units(NamedTuple):
    """What turns raw rewards into logits of very outputs that are dispersed so, as `_Fitted` has it."""

    unit: float
    shift: float
    effects: Dispersion


class _Outputs(NamedTuple):
    """Outputs beside one view: means [k], and `along` [k, heads], by how much each moves with the heads."""

    view: ViewAt
    head: _Fitted
    texts: tuple[str, ...]
    mean: np.ndarray
    along: np.ndarray

    def shared(self, other: "_Outputs", known: "_Told | None") -> np.ndarray:
        """Return the covariance [k, others] of what the heads do not tell, of outputs beside the same view."""
        head = self.head
        effects = _effects(self.texts, other.texts, head.effects)
        if known is not None:
            told = _effects(known.texts, other.texts, head.effects)
            effects = effects - known.gain(self.texts, head.effects) @ known.hessian @ told
        return np.asarray(head.unit**2 * effects)


@dataclass(frozen=True, eq=False)
class _Told:
    """What ratings say of the m texts judged beside one view: exp(pull f - f hessian f / 2) of their raw rewards f.

    `along` [m, heads] are the texts' columns in their place among all heads.
    """

    texts: tuple[str, ...]
    along: np.ndarray
    pull: np.ndarray
    hessian: np.ndarray

    def gain(self, texts: Sequence[str], effects: Dispersion) -> np.ndarray:
        """Return what effects of `texts` are expected to be for a unit more of pull, [texts, m]."""
        own = _effects(self.texts, self.texts, effects)
        across = _effects(texts, self.texts, effects)
        return np.asarray(np.linalg.solve(np.eye(len(own)) + own @ self.hessian, across.T).T)


def believe(layers: Sequence[Layer], rated: Sequence[Sequence[Rated]], reliability: bool = False) -> HeadsBelief:
    """Return the belief that last layers of levels, lowest first, and all ratings of each lead to.

    One head a level is fitted to all its ratings, under the layer's prior, with raters' `reliability`, if it is asked
    for, as it is most probable with the head integrated out (`rrm.reward.evidence`); around these the posterior of all
    heads together, with the effects of outputs and views, is taken as Gaussian (Laplace). The other parameters of the
    likelihood, such as thresholds, are held where that fit put them. Raises InputError without a usable rating, and for
    layers of several widths.
    """
    heads: list[_Fitted] = []
    for layer, rows in zip(layers, rated, strict=True):
        feedback = tabulate(rows)
        if feedback.rows:
            heads.append(_fitted(layer, feedback, reliability, heads))
    if not heads:
        raise InputError("nothing is believed yet: no rating says anything about rewards")
    width = len(heads[0].layer.centre)
    if any(len(each.layer.centre) != width for each in heads):
        raise InputError("levels whose heads weigh different columns have no common belief")
    prior = _prior_precision(heads, width)
    centre = prior @ np.concatenate([each.layer.centre for each in heads])
    mean = np.concatenate([each.mode.heads[0] for each in heads])
    rewards = [each.columns @ each.mode.heads[0] for each in heads]
    for _ in range(_STEPS):
        told = {
            (each.layer.level, view): found
            for number, each in enumerate(heads)
            for view, found in _told(each, number, rewards[number], len(mean)).items()
        }
        effects = {each.layer.level: each.effects for each in heads}
        information, pull = prior.copy(), centre.copy()
        for (level, _), each in told.items():
            own = _effects(each.texts, each.texts, effects[level])
            seen = np.linalg.solve(np.eye(len(own)) + each.hessian @ own, np.column_stack([each.hessian, each.pull]))
            information += each.along.T @ seen[:, :-1] @ each.along
            pull += each.along.T @ seen[:, -1]
        factor = cho_factor((information + information.T) / 2)
        mean = cho_solve(factor, pull)
        rewards = [_rewards(each, told, mean) for each in heads]
    covariance = cho_solve(factor, np.eye(len(mean)))
    return HeadsBelief(tuple(heads), mean, (covariance + covariance.T) / 2, told)


def _fitted(layer: Layer, feedback: FeedbackTable, reliability: bool, lower: Sequence[_Fitted]) -> _Fitted:
    columns = _item_columns(layer, feedback)
    everything = np.ones((1, len(feedback.sources)))
    below = len(lower) - 1 if lower and layer.follows else None
    prior, anchor_prior, anchor_sd = layer.centre[None, :], np.zeros(1), layer.anchor_sd
    if below is not None:
        prior, anchor_prior = lower[below].mode.heads, lower[below].mode.anchor
        anchor_sd = ANCHOR_SD if lower[below].layer.anchored else layer.anchor_sd
    precision, raters = layer.precision, None
    if precision is None or reliability:
        found = evidence(columns, feedback, everything, prior, anchor_prior, reliability, anchor_sd, precision)
        precision, raters = found.shrinkages[0].precision, found.raters
    mode = fit_heads(columns, feedback, everything, prior, anchor_prior, precision, reliability, anchor_sd, raters)
    units = _units(layer, layer.dispersion)
    return _Fitted(
        layer=layer,
        columns=columns,
        feedback=feedback,
        mode=mode,
        precision=precision,
        below=below,
        anchor=float(mode.anchor[0]) if layer.anchored else 0.0,
        unit=units.unit,
        shift=units.shift,
        effects=units.effects,
    )


def _units(layer: Layer, dispersion: Dispersion) -> _Units:
    steep = steepness(dispersion.total)
    unit = steep * layer.calibration.slope
    shift = steep * layer.calibration.intercept if layer.anchored else 0.0
    return _Units(unit, shift, Dispersion(dispersion.output / unit**2, dispersion.view / unit**2))


def item_groups(feedback: FeedbackTable) -> list[tuple[Group, list[int]]]:
    """Return a table's items as groups of one source and view each, with the items' places in the table."""
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, item in enumerate(feedback.items):
        places[feedback.sources[feedback.item_source[at]], item.view.id].append(at)
    return [
        (Group(source, Place(), feedback.items[at[0]].view, tuple(feedback.items[each].text for each in at)), at)
        for (source, _), at in places.items()
    ]


def _item_columns(layer: Layer, feedback: FeedbackTable) -> np.ndarray:
    """Return the columns of a table's items, [items, columns]."""
    groups = item_groups(feedback)
    found = np.empty((len(feedback.items), len(layer.centre)))
    for (_, places), columns in zip(groups, layer.read([group for group, _ in groups]), strict=True):
        found[places] = columns
    return found


def _prior_precision(heads: Sequence[_Fitted], width: int) -> np.ndarray:
    """Return the prior precision of all heads: each is drawn to the one below, or else to its layer's `centre`."""
    found = np.zeros((len(heads) * width, len(heads) * width))
    for number, each in enumerate(heads):
        here = slice(number * width, (number + 1) * width)
        found[here, here] += each.precision * np.eye(width)
        if each.below is not None:
            there = slice(each.below * width, (each.below + 1) * width)
            found[there, there] += each.precision * np.eye(width)
            found[here, there] -= each.precision * np.eye(width)
            found[there, here] -= each.precision * np.eye(width)
    return found


def _told(head: _Fitted, number: int, rewards: np.ndarray, width: int) -> dict[str, _Told]:
    """Return what the level's ratings say of the texts beside each view, around these raw rewards [items]."""
    places: dict[str, list[int]] = defaultdict(list)
    for at, item in enumerate(head.feedback.items):
        places[item.view.id].append(at)
    views = list(places.values())
    slope, hessians = _curvature(rewards, head.feedback, head.mode.scales, views)
    start = number * head.columns.shape[1]
    found = {}
    for (view, rows), hessian in zip(places.items(), hessians, strict=True):
        along = np.zeros((len(rows), width))
        along[:, start : start + head.columns.shape[1]] = head.columns[rows]
        texts = tuple(head.feedback.items[each].text for each in rows)
        found[view] = _Told(texts, along, hessian @ rewards[rows] - slope[rows], hessian)
    return found


def _curvature(
    rewards: np.ndarray, feedback: FeedbackTable, scales: Scales, views: Sequence[Sequence[int]]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return gradient [items] and Hessians, one a view, of the negative log-likelihood over raw rewards [items].

    Rows are about texts beside one view, so views do not meet, and one pass gives a row of each view's Hessian. What
    is not convex there (answers that may be lapses) counts as flat.
    """
    at = torch.from_numpy(rewards[None, :].copy()).requires_grad_()
    weight = torch.from_numpy(feedback.weight)
    [slope] = torch.autograd.grad(-(weight * log_likelihood(at, feedback, scales)).sum(), at, create_graph=True)
    hessians = [np.zeros((len(view), len(view))) for view in views]
    for row in range(max(map(len, views))):
        items = torch.tensor([view[row] for view in views if len(view) > row])
        [found] = torch.autograd.grad(slope[0, items].sum(), at, retain_graph=True)
        for hessian, view in zip(hessians, views, strict=True):
            if len(view) > row:
                hessian[row] = found[0, list(view)].numpy()
    return slope[0].detach().numpy(), [_convex(each) for each in hessians]


def _convex(hessian: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)


def _rewards(head: _Fitted, told: Mapping[ViewAt, _Told], mean: np.ndarray) -> np.ndarray:
    """Return the expected raw rewards of a level's rated items, their effects included."""
    places = {(item.view.id, item.text): at for at, item in enumerate(head.feedback.items)}
    found = np.empty(len(places))
    for (at, view), each in told.items():
        if at == head.layer.level:
            own = each.along @ mean
            effects = each.gain(each.texts, head.effects) @ (each.pull - each.hessian @ own)
            found[[places[view, text] for text in each.texts]] = own + effects
    return found


def _effects(texts: Sequence[str], others: Sequence[str], effects: Dispersion) -> np.ndarray:
    """Return the prior covariance [texts, others] of effects beside one view: equal texts share their own."""
    same = np.array([[text == other for other in others] for text in texts], dtype=np.float64)
    return np.asarray(effects.output * same.reshape(len(texts), len(others)) + effects.view)


def _starts(found: Sequence[_Outputs]) -> Iterator[tuple[int, _Outputs]]:
    at = 0
    for each in found:
        yield at, each
        at += len(each.mean)
