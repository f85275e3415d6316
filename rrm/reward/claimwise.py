"""A reward model that judges claim by claim: how well each is supported, and how much of what matters they hold.

One law for all levels. A claim is supported with the logistic of a bias less non-negative weights times its deficits
(`rrm.reward.claim_reading.DEFICITS`). Over an output's claims,

- accuracy is the mean support;
- coverage is the worth of the units that its claims rest on, each as often as supported, as a share of the most that
  a text of its length could hold of all that was to be told: as many units as it has claims, or, where these are
  longer than units of the source, as many of those as have its words. A unit's worth is positive and learned from its
  vector and form; what is not known of it scatters log-normally, and the scatter is learned, too: of many units the
  best few are worth more than the average few;
- coherence is the longest run of units in the order of the view, as a share.

The reward, in logits, is a + b accuracy^p coverage^q (1 - d (1 - coherence)), with b, p, q > 0 and d between 0 and 1.
Scores of passages lower support and worth. Ratings of all levels fit it together, so it can be asked about
outputs of the root beside the whole source, of which nobody rated any.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from math import lcm
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor
from torch.nn.functional import softplus

from rrm.backbone.encoder import CachedEncoder, FrozenEncoder
from rrm.core.errors import InputError
from rrm.core.ids import generator
from rrm.core.place import Place
from rrm.core.protocols import Cache, ClaimScores, Encoder, RewardModel, Start, Tokenizer, Workspace
from rrm.core.roles import R, Ratings, for_fitting
from rrm.core.values import OVERALL, Comparison, Group, Prediction, Rated, Score, View
from rrm.feedback.table import FeedbackTable, tabulate
from rrm.files import digest_of, durable
from rrm.reward.calibrate import HeldLogits
from rrm.reward.claim_config import FORMAT, claimwise_name
from rrm.reward.claim_config import ClaimwiseConfig as ClaimwiseConfig
from rrm.reward.claim_reading import DEFICITS, Beside, form, read_claims
from rrm.reward.disperse import PRIOR, Dispersion, disperse, effects, spread
from rrm.reward.fit import balanced_folds
from rrm.reward.model import SEEN_BY_ALL, nothing_to_fit, preferred

LAPSE = 0.05
"""The share of answers that are taken for drawn blindly."""
FEWEST = 4
"""Coverage is measured against so many units at least, however short an output is."""
DRAWS = 8
"""So many draws of what is not known of units' worth."""
_TENSORS, FACTS = "claimwise.safetensors", "claimwise.json"
_LEAST = 1e-3
_SCALARS = {
    # name: mean and standard deviation of the prior
    "worth": (0.0, 1.0),
    "scatter": (-0.7, 0.7),
    "distrust": (0.0, 1.5),
    "intercept": (-3.0, 1.5),
    "slope": (2.3, 1.0),
    "accuracy": (0.0, 0.5),
    "coverage": (0.0, 0.5),
    "disorder": (-1.0, 1.0),
}
_BIAS, _UNGROUNDED = 3.0, 4.0
STACK, STACK_SD = (0.0, 0.7, 0.3), 0.3
"""What the root's logit is made of beforehand: an intercept, and weights of this model's and of the level's."""


class Claimwise:
    """Learns `ClaimModel`s; implements `rrm.core.protocols.RewardLearner`.

    `backbone` is "minilm", or the name or folder of a Hugging Face encoder; vectors are kept in `cache`.
    """

    def __init__(
        self,
        backbone: str = "minilm",
        device: str = "auto",
        dtype: str = "auto",
        cache: Cache | None = None,
        config: ClaimwiseConfig | None = None,
    ) -> None:
        self.config = config or ClaimwiseConfig()
        self.backbone, self.device, self.dtype = backbone, device, dtype
        self._cache = cache

    @cached_property
    def encoder(self) -> CachedEncoder:
        return CachedEncoder(FrozenEncoder(self.backbone, device=self.device, dtype=self.dtype), self._cache)

    @property
    def name(self) -> str:
        """Covers the encoder, with the precision of its vectors, and every setting of the fit."""
        return claimwise_name(self.encoder.name, self.config)

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> "ClaimModel":
        """Return the model fitted to comparisons and labels, those of other levels among them.

        At a place of claims `start.below` is the model of the level that it is joined with. Without any rating the
        model of claims below serves there too; raises InputError where there is none.
        """
        rows, below = [*for_fitting(ratings).rows, *start.others], start.below
        if not rows and isinstance(below, ClaimModel):
            return replace(below, place=place)
        beside = below if place.subject == "claims" else None
        return fit(_evenly(rows, self.config.ratings, seed), self.encoder, self.config, seed, place, beside)

    def load(self, folder: Path) -> "ClaimModel":
        """Return a saved model; raise InputError if files are missing, changed, or of another encoder."""
        return ClaimModel.load(folder, self.encoder)


def _evenly(rows: Sequence[Rated], most: int, seed: int) -> list[Rated]:
    """Return at most so many ratings of each level, drawn evenly, in their order."""
    kept: list[Rated] = []
    for level in sorted({row.request.place.level for row in rows}):
        here = [row for row in rows if row.request.place.level == level]
        drawn = generator("claimwise rows", seed, level).permutation(len(here))[:most]
        kept += [here[at] for at in sorted(drawn)]
    return kept


# ---- tables ----


class Basis(NamedTuple):
    """What units are told by: `centre` [dimensions], `directions` [dimensions, components] and one `spread` of vectors.

    `words` is how many words a unit of the source has, in the mean.
    """

    centre: np.ndarray
    directions: np.ndarray
    spread: np.ndarray
    words: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray, components: int, words: float) -> "Basis":
        centre = vectors.mean(axis=0)
        _, _, rows = np.linalg.svd(vectors - centre, full_matrices=False)
        directions = np.ascontiguousarray(rows[:components].T)  # as when it is loaded: layout decides the last bits
        along = (vectors - centre) @ directions
        spread = along.std(axis=0).max(initial=0.0)
        return cls(centre, directions, np.array(max(float(spread), 1e-6)), np.array(words))


class Table(NamedTuple):
    """Outputs beside views, padded: claims [outputs, claims, ...], units [views, units, ...], float64.

    `view` [outputs] is each output's view; `first` marks the first claim of an output that rests on a unit; `room`
    [outputs] is how many units an output of its length could hold.
    """

    deficits: Tensor
    claims: Tensor
    places: Tensor
    first: Tensor
    coherence: Tensor
    room: Tensor
    view: Tensor
    contents: Tensor
    units: Tensor
    trust: Tensor
    scatter: Tensor

    @classmethod
    def of(cls, read: Sequence[Beside], basis: Basis) -> "Table":
        told = [output for each in read for output in each.outputs]
        view = torch.tensor([at for at, each in enumerate(read) for _ in each.outputs], dtype=torch.long)
        most = max((len(each.places) for each in told), default=0) or 1
        wide = max((len(each.units) for each in read), default=0) or 1
        deficits = np.zeros((len(told), most, len(DEFICITS)))
        claims, first = np.zeros((len(told), most)), np.zeros((len(told), most))
        places, coherence = np.zeros((len(told), most), dtype=np.int64), np.ones(len(told))
        room = np.array([max(FEWEST, len(each.places), int(each.words / basis.words.item())) for each in told])
        for row, output in enumerate(told):
            count = len(output.places)
            deficits[row, :count], claims[row, :count] = output.deficits, 1.0
            grounded = np.flatnonzero(output.places >= 0)
            places[row, grounded] = output.places[grounded]
            order = output.places[grounded]
            first[row, grounded[np.unique(order, return_index=True)[1]]] = 1.0
            coherence[row] = _longest_rise(order) / len(order) if len(order) else 1.0
        contents = np.zeros((len(read), wide, basis.directions.shape[1] + 2))
        units, trust = np.zeros((len(read), wide)), np.ones((len(read), wide))
        for row, each in enumerate(read):
            count = len(each.units)
            if count:
                along = (each.vectors - basis.centre) @ basis.directions / basis.spread
                contents[row, :count] = np.concatenate([along, [form(unit) for unit in each.units]], axis=1)
                units[row, :count], trust[row, :count] = 1.0, each.trust
        scatter = generator("scatter of worth").normal(size=(1, wide, DRAWS))
        before = [torch.from_numpy(each) for each in (deficits, claims, places, first, coherence, room)]
        after = [torch.from_numpy(each) for each in (contents, units, trust, scatter)]
        return cls._make([*before, view, *after])


def _alike(read: Sequence[Beside]) -> list[list[int]]:
    """Return the places of views by how many units they have, within a factor of two: little is padded so."""
    widths = [len(each.units).bit_length() for each in read]
    return [[at for at, each in enumerate(widths) if each == width] for width in sorted(set(widths))]


def _longest_rise(places: np.ndarray) -> int:
    """Return the length of the longest strictly ascending subsequence (patience sorting)."""
    tops: list[int] = []
    for place in map(int, places):
        at = int(np.searchsorted(tops, place))
        tops[at : at + 1] = [place]
    return len(tops)


# ---- the law ----

Parameters = Mapping[str, Tensor]


def support(parameters: Parameters, table: Table) -> Tensor:
    """Return how probably each claim is supported, [outputs, claims]; 0 where there is no claim."""
    weights = -softplus(parameters["deficits"])
    return torch.sigmoid(parameters["bias"] + table.deficits @ weights) * table.claims


class OutputParts(NamedTuple):
    """What the reward of outputs is made of, each [outputs]; see the module."""

    accuracy: Tensor
    coverage: Tensor


def output_parts(parameters: Parameters, table: Table) -> OutputParts:
    """Return the accuracy and the coverage of each output."""
    trust = 1 - torch.sigmoid(parameters["distrust"]) * (1 - table.trust)
    supported = support(parameters, table)
    counts = table.claims.sum(1)
    trusted = (supported * trust[table.view].gather(1, table.places)).sum(1) / counts.clamp(min=1)
    accuracy = torch.where(counts > 0, trusted, torch.ones_like(trusted))
    worth = softplus(table.contents @ parameters["contents"] + parameters["worth"]) * table.units * trust
    scatter = _exp(parameters["scatter"])
    drawn = worth[..., None] * torch.exp(scatter * table.scatter[:, : worth.shape[1]] - scatter**2 / 2)
    room = torch.minimum(table.room, table.units.sum(1)[table.view]).clamp(min=1).long() - 1
    best = drawn.topk(int(room.max()) + 1, dim=1).values.cumsum(1).mean(2)
    held = (worth[table.view].gather(1, table.places) * supported * table.first).sum(1)
    return OutputParts(accuracy, held / best[table.view, room].clamp(min=1e-9))


def rewards(parameters: Parameters, table: Table) -> Tensor:
    """Return the reward of each output in logits, [outputs]; see the module."""
    accuracy, coverage = output_parts(parameters, table)
    order = 1 - torch.sigmoid(parameters["disorder"]) * (1 - table.coherence)
    power = accuracy.clamp(min=_LEAST) ** _exp(parameters["accuracy"])
    power = power * coverage.clamp(min=_LEAST) ** _exp(parameters["coverage"])
    return parameters["intercept"] + _exp(parameters["slope"], 6.0) * power * order


def _exp(parameter: Tensor, most: float = 2.0) -> Tensor:
    """Return the exponential of a parameter, which counts as `most` where a search tries more: it stays finite."""
    return parameter.clamp(max=most).exp()


def _prior(columns: int) -> dict[str, tuple[Tensor, float]]:
    """Return where each parameter's Gaussian prior is centred; its standard deviation where it is a scalar."""
    deficits = torch.zeros(len(DEFICITS), dtype=torch.float64)
    deficits[DEFICITS.index("ungrounded")] = _UNGROUNDED
    centre = {name: (torch.tensor(mean, dtype=torch.float64), sd) for name, (mean, sd) in _SCALARS.items()}
    bias = torch.tensor(_BIAS, dtype=torch.float64)
    return {
        **centre, "bias": (bias, 0.0), "deficits": (deficits, 0.0),
        "contents": (torch.zeros(columns, dtype=torch.float64), 0.0),
    }  # fmt: skip


class _Answers(NamedTuple):
    """Answers about rows of a table: `first` was put above `second`, or, where that is -1, accepted, with `share`."""

    first: Tensor
    second: Tensor
    share: Tensor
    weight: Tensor
    source: tuple[str, ...]


def _mode(
    tables: Sequence[Table],
    answers: _Answers,
    weights: Tensor,
    config: ClaimwiseConfig,
    start: Parameters | None,
    steps: int,
) -> dict[str, Tensor]:
    """Return the most probable parameters, from where another fit ended if there is one.

    Rows of answers count through all tables.
    """
    prior = _prior(tables[0].contents.shape[2])
    sds = {
        name: sd or (config.worth_sd if name == "contents" else config.deficit_sd) for name, (_, sd) in prior.items()
    }
    begin = start or {name: mean for name, (mean, _) in prior.items()}
    free = {name: value.detach().clone().requires_grad_() for name, value in begin.items()}
    optimiser = torch.optim.LBFGS(
        list(free.values()), max_iter=steps, history_size=20, line_search_fn="strong_wolfe", tolerance_change=1e-7
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        said = torch.cat([rewards(free, table) for table in tables])
        alone = answers.second < 0
        logits = said[answers.first] - torch.where(alone, 0.0, said[answers.second.clamp(min=0)])
        probability = torch.sigmoid(logits) * (1 - LAPSE) + LAPSE / 2
        told = answers.share * probability.log() + (1 - answers.share) * torch.log1p(-probability)
        off = sum((((free[name] - mean) / sds[name]) ** 2).sum() / 2 for name, (mean, _) in prior.items())
        total = off - (weights * told).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return torch.as_tensor(total)

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return {name: value.detach() for name, value in free.items()}


def fit(
    rated: Sequence[Rated],
    encoder: Encoder,
    config: ClaimwiseConfig,
    seed: int,
    place: Place,
    below: RewardModel | None = None,
) -> "ClaimModel":
    """Fit all members: each on a Bayesian bootstrap of the sources that leaves out the sources of its fold.

    How much the model `below`, that of the place's level, has a say beside it is fitted to the ratings of that level.

    Where no view holds any text (questions without a source), nothing is covered and all claims rest on nothing.

    Raises InputError without an answer that tells outputs apart.
    """
    told = tabulate([row for row in rated if row.feedback.criterion == OVERALL])
    asked = list(_asked(told))
    if not asked:
        raise nothing_to_fit(place)
    reader = _Reader(encoder)
    views = _by_view(told)
    texts = list(views.values())
    read = [reader(view, [told.items[at].text for at in places]) for view, places in texts]
    vectors = [each.vectors for each in read if len(each.vectors)]
    words = _unit_words(rated, dict(zip(views, read, strict=True)))
    basis = Basis.of(np.concatenate(vectors or [np.zeros((1, encoder.dimensions))]), config.components, words)
    blocks = _alike(read)
    tables = [Table.of([read[at] for at in block], basis) for block in blocks]
    row_of = {item: row for row, item in enumerate(item for block in blocks for at in block for item in texts[at][1])}
    answers = _Answers(
        torch.tensor([row_of[each.first] for each in asked]),
        torch.tensor([-1 if each.second < 0 else row_of[each.second] for each in asked]),
        torch.tensor([each.share for each in asked], dtype=torch.float64),
        torch.tensor([each.weight for each in asked], dtype=torch.float64),
        tuple(told.sources[each.source] for each in asked),
    )
    dealt = balanced_folds(answers.source, seed, config.folds)
    folds = max(dealt.values()) + 1
    seen = dealt if folds > 1 else dict.fromkeys(dealt, SEEN_BY_ALL)
    first = _mode(tables, answers, answers.weight, config, None, 60)
    members = [
        _mode(tables, answers, answers.weight * _weights(answers.source, seen, member, folds, seed), config, first, 12)
        for member in range(config.members)
    ]
    parameters = {name: torch.stack([each[name] for each in members]) for name in first}
    anchored = bool((answers.second < 0).any())
    usual = _usual_scores(rated)
    alone = ClaimModel(place, encoder, basis, parameters, folds, seen, anchored, usual, len(asked), asdict(config))
    return _stacked(alone, rated, below)


def _usual_scores(rated: Sequence[Rated]) -> dict[int, float]:
    """Return the mean score that parts had in the views of each level, of the levels whose views showed any."""
    views = {(row.request.place.level, row.request.view.id): row.request.view for row in rated}
    shown: dict[int, list[float]] = defaultdict(list)
    for (level, _), view in sorted(views.items()):
        shown[level] += [passage.score for passage in view.passages if passage.score is not None]
    return {level: float(np.mean(scores)) for level, scores in shown.items() if scores}


def _unit_words(rated: Sequence[Rated], read: Mapping[str, Beside]) -> float:
    """Return how many words a unit has in the mean, in the views (ids) of the lowest level, which show the source.

    That is the lowest level of which there are ratings: where leaves have none, the units are those of passages. Where
    no view of it has any unit it is 1, so that the words of a text count as units.
    """
    lowest = min(row.request.place.level for row in rated)
    shown = {row.request.view.id for row in rated if row.request.place.level == lowest} & read.keys()
    counts = [len(unit.words) for view in sorted(shown) for unit in read[view].units]
    return float(np.mean(counts)) if counts else 1.0


class _Asked(NamedTuple):
    """An answer: item `first` was put above `second`, or, where that is -1, accepted, with `share`."""

    first: int
    second: int
    share: float
    weight: float
    source: int


def _asked(told: FeedbackTable) -> Iterator[_Asked]:
    """Yield what the rows of a table say of items one or two at a time."""
    rows = zip(told.answers, told.row_items, told.weight.tolist(), told.row_source.tolist(), strict=True)
    for answer, items, weight, source in rows:
        if isinstance(answer, Comparison):
            share = 0.5 if answer.better is None else float(answer.better == 0)
            yield _Asked(items[0], items[1], share, weight, source)
        else:
            for better, worse in answer.pairs(len(items)):
                yield _Asked(items[better], items[worse], 1.0, weight, source)
        if (good := answer.accepted) is not None:
            yield _Asked(items[0], -1, float(good), weight, source)


def _by_view(told: FeedbackTable) -> dict[str, tuple[View, list[int]]]:
    """Return the items of a table by their views' ids."""
    found: dict[str, tuple[View, list[int]]] = {}
    for at, item in enumerate(told.items):
        found.setdefault(item.view.id, (item.view, []))[1].append(at)
    return found


class _Weighed(NamedTuple):
    """Held-out answers of a level beside what the joined logits say of them: their `weights`, and `probability`."""

    weights: np.ndarray
    held: HeldLogits
    probability: np.ndarray


def _stacked(model: "ClaimModel", rated: Sequence[Rated], level: RewardModel | None) -> "ClaimModel":
    """Return the model with the weight of its level's model beside it, and with the dispersion of outputs.

    The weights are fitted to the ratings of the place's level, by members that were not fitted on their sources. As
    the law is one for all levels, so is the dispersion: the ratings of each level count beside what is told of them.
    """
    heard = [row for row in rated if row.feedback.criterion == OVERALL and model.holds_out(row.request.source)]
    levels = sorted({row.request.place.level for row in heard})
    found = {
        each: _weighed(
            model,
            tabulate([row for row in heard if row.request.place.level == each]),
            level if each == model.place.level else None,
        )
        for each in levels
    }
    told = [each for each in found.values() if each is not None]
    if not told:
        return model
    dispersion = disperse(_together([each.held for each in told]), np.concatenate([each.probability for each in told]))
    here = found.get(model.place.level)
    if here is None:
        return replace(model, dispersion=dispersion)
    intercept, own, other = map(float, here.weights)
    return replace(model, stack=(intercept, own, other), dispersion=dispersion)


def _weighed(model: "ClaimModel", told: FeedbackTable, level: RewardModel | None) -> _Weighed | None:
    """Weigh a model's logits, and those of its level's model if there is one, as answers say; None without any.

    The prior of the weights is centred on `STACK`.
    """
    asked = list(_asked(told))
    if not asked:
        return None
    logits, views = _said(model, told, level)
    first, second = (np.array([each[at] for each in asked]) for at in (0, 1))
    alone = second < 0
    margin = logits[first] - np.where(alone[:, None], 0.0, logits[second])
    design = np.concatenate([alone[:, None].astype(np.float64), margin], axis=1)
    outcome, weight = (np.array([each[at] for each in asked]) for at in (2, 3))
    centre = np.array(STACK if level is not None else (0.0, 1.0, 0.0))

    def loss(weights: np.ndarray) -> float:
        reward = design @ weights
        missed = outcome * np.logaddexp(0, -reward) + (1 - outcome) * np.logaddexp(0, reward)
        return float((weight * missed).sum() + (((weights - centre) / STACK_SD) ** 2).sum() / 2)

    most = 4.0 if level is not None else 0.0
    weights = minimize(loss, centre, method="L-BFGS-B", bounds=[(-4, 4), (0, 4), (0, most)]).x
    none = np.zeros(len(asked))
    held = HeldLogits(none[:, None], outcome, design[:, 0], none, first, second, views[first])
    return _Weighed(weights, held, expit(design @ weights))


def _said(model: "ClaimModel", told: FeedbackTable, level: RewardModel | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the logits of a table's items by the model and by its level's, [items, 2], and each item's view."""
    texts = _by_view(told)
    groups = [
        Group(told.sources[told.item_source[at[0]]], model.place, view, tuple(told.items[each].text for each in at))
        for view, at in texts.values()
    ]
    logits, views = np.zeros((len(told.items), 2)), np.zeros(len(told.items), dtype=np.int64)
    for number, ((_, at), group) in enumerate(zip(texts.values(), groups, strict=True)):
        logits[at, 0], views[at] = model.logits(group).mean(axis=0), number
    if level is not None:
        for (_, at), said in zip(texts.values(), level.predict(groups), strict=True):
            logits[at, 1] = said.rewards[OVERALL].mean(axis=0)
    return logits, views


def _together(tables: Sequence[HeldLogits]) -> HeldLogits:
    """Return tables that share no output and no view as one."""
    numbered: list[HeldLogits] = []
    outputs = views = 0
    for each in tables:
        second = np.where(each.second < 0, -1, each.second + outputs)
        numbered.append(each._replace(first=each.first + outputs, second=second, view=each.view + views))
        outputs = 1 + int(max(numbered[-1].first.max(), second.max()))
        views = 1 + int(numbered[-1].view.max())
    return HeldLogits(*map(np.concatenate, zip(*numbered, strict=True)))


def _weights(sources: Sequence[str], seen: Mapping[str, int], member: int, folds: int, seed: int) -> Tensor:
    """Return how much a member weighs each answer: 0 for those about sources of its fold."""
    drawn = {
        source: 0.0
        if fold == member % folds
        else float(generator(seed, "claimwise bootstrap", source).exponential(size=member + 1)[member])
        for source, fold in seen.items()
    }
    return torch.tensor([drawn[source] for source in sources], dtype=torch.float64)


def _repeated(samples: Mapping[str, np.ndarray], members: int) -> dict[str, np.ndarray]:
    """Return samples [members, ...] by criterion, each repeated until there are so many."""
    return {name: np.tile(each, (members // len(each), 1)) for name, each in samples.items()}


class _Reader:
    """Reads claims with one encoder."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder if isinstance(encoder, CachedEncoder) else CachedEncoder(encoder)
        inner = self._encoder.inner
        self._tokenizer: Tokenizer | None = inner.tokenizer if isinstance(inner, FrozenEncoder) else None

    def __call__(self, view: View, texts: Sequence[str], whole: str = "") -> Beside:
        return read_claims(view, texts, self._encoder.encode, self._tokenizer, whole)


@dataclass(frozen=True, eq=False)
class ClaimModel:
    """Scores groups claim by claim; implements `rrm.core.protocols.RewardModel`.

    `parameters` are [members, ...]. A source that was fitted on is scored by the members that left its fold out.
    `stack` holds an intercept and the weights of its own logits and of those of the level's model; `usual` the mean
    score that parts had in the views of each level.
    """

    place: Place
    encoder: Encoder = field(repr=False)
    basis: Basis = field(repr=False)
    parameters: Parameters = field(repr=False)
    folds: int
    seen: Mapping[str, int] = field(repr=False)
    anchored: bool
    usual: Mapping[int, float] = field(repr=False)
    ratings: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    stack: tuple[float, float, float] = (0.0, 1.0, 0.0)
    dispersion: Dispersion = PRIOR

    @property
    def members(self) -> int:
        return len(self.parameters["bias"])

    def fold(self, source: str) -> int | None:
        return self.seen.get(source)

    def holds_out(self, source: str) -> bool:
        return self.seen.get(source) != SEEN_BY_ALL

    def members_for(self, source: str) -> list[int]:
        """Return the members that were not fitted on a source; all, if there are none such."""
        fold = self.seen.get(source, SEEN_BY_ALL)
        return [each for each in range(self.members) if fold == SEEN_BY_ALL or each % self.folds == fold]

    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        """Return what the members say of outputs beside what is shown."""
        return [self._prediction(group, self.logits(group)) for group in groups]

    def joined(self, groups: Sequence[Group], wholes: Sequence[str], level: Sequence[Prediction]) -> list[Prediction]:
        """Return its own logits and those of the level's model, weighed as the ratings of the root's level say.

        Claims are held against the views alone, and what they cover against the wholes.
        """
        return [self._joined(*each) for each in zip(groups, wholes, level, strict=True)]

    def _joined(self, group: Group, whole: str, level: Prediction) -> Prediction:
        """Join the overall scores; by other criteria they are the level's.

        Where there are other criteria, members are repeated until both have as many.
        """
        own = self._stacked(self.logits(group, whole), level.rewards[OVERALL])
        said = self._prediction(group, own, group.source)
        others = {name: samples for name, samples in level.rewards.items() if name != OVERALL}
        if not others:
            return said
        members = lcm(len(own), *map(len, others.values()))
        rewards = {**{name: level.rewards[name] for name in others}, **said.rewards}
        acceptance = {**{name: level.acceptance[name] for name in others}, **said.acceptance}
        return Prediction(_repeated(rewards, members), _repeated(acceptance, members))

    def as_usual(self, view: View, level: int) -> View:
        """Return a view whose passages from outputs have the score that these usually had; none where they had none."""
        usual = self.usual.get(level)
        passages = (each if each.output is None else replace(each, score=usual) for each in view.passages)
        return replace(view, passages=tuple(passages))

    def logits(self, group: Group, whole: str = "") -> np.ndarray:
        """Return the rewards of a group by the members that were not fitted on its source, [members, k]."""
        table = Table.of([self._read(group.view, group.outputs, whole)], self.basis)
        with torch.no_grad():
            said = [rewards(self._member(each), table) for each in self.members_for(group.source)]
        return np.asarray(torch.stack(said).numpy())

    def _stacked(self, own: np.ndarray, level: np.ndarray) -> np.ndarray:
        intercept, weight, other = self.stack
        beside = level if len(level) == len(own) else level.mean(axis=0)
        return np.asarray(intercept + weight * own + other * beside)

    def _prediction(self, group: Group, logits: np.ndarray, shared: str = "") -> Prediction:
        """Return the prediction of logits, spread by what is not told: of outputs, and of what they stand beside.

        All outputs beside what is `shared`, by name, lie off together; without a name each output by itself, as far.
        """
        noise = effects(group.view.id, group.outputs, len(logits))
        own, beside = self.dispersion
        if not self.anchored:
            return Prediction.overall(logits, preferred(logits, np.sqrt(own) * noise, 2 * own))
        total = self.dispersion.total
        off = np.sqrt(total) * noise
        if shared:
            off = np.sqrt(own) * noise + np.sqrt(beside) * effects(shared, ("",), len(logits))
        return Prediction.overall(logits, spread(logits, off, total))

    def claim_scores(self, group: Group, whole: str) -> list[ClaimScores]:
        """Return each output's support, in the mean over members that were not fitted on its source, and its parts."""
        read = self._read(group.view, group.outputs, whole)
        table = Table.of([read], self.basis)
        members = [self._member(each) for each in self.members_for(group.source)]
        with torch.no_grad():
            mean = torch.stack([support(each, table) for each in members]).mean(0).numpy()
            parts = [output_parts(each, table) for each in members]
            accuracy, coverage = (torch.stack([each[at] for each in parts]).numpy() for at in (0, 1))
        return [
            ClaimScores(
                tuple(map(float, mean[row, : len(told.places)])),
                Score(accuracy[:, row]),
                Score(coverage[:, row]),
                float(table.coherence[row]),
            )
            for row, told in enumerate(read.outputs)
        ]

    @cached_property
    def _read(self) -> Callable[[View, Sequence[str], str], Beside]:
        return _Reader(self.encoder)

    def _member(self, at: int) -> Parameters:
        return {name: value[at] for name, value in self.parameters.items()}

    # ---- files ----

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {name: value.numpy() for name, value in self.parameters.items()}
        arrays |= {f"basis.{name}": value for name, value in self.basis._asdict().items()}
        return {name: np.ascontiguousarray(array, dtype=np.float64) for name, array in sorted(arrays.items())}

    def _bytes(self) -> bytes:
        from safetensors.numpy import save

        return bytes(save(self._arrays()))

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"format": FORMAT, "place": str(self.place), "encoder": self.encoder.name}
        facts |= {"deficits": list(DEFICITS), "folds": self.folds, "seen": dict(sorted(self.seen.items()))}
        facts |= {"anchored": self.anchored, "ratings": self.ratings, "settings": dict(self.settings)}
        facts |= {"usual": {str(level): score for level, score in sorted(self.usual.items())}}
        facts |= {"stack": list(self.stack), "dispersion": list(self.dispersion)}
        facts["tensors"] = blake2b(self._bytes(), digest_size=16).hexdigest()
        return facts

    @property
    def digest(self) -> str:
        """The digest of all that is saved."""
        return digest_of(self._facts())

    def save(self, folder: str | Path) -> str:
        """Write two files, whole or not at all, the JSON last; return the digest."""
        place, facts = Path(folder), self._facts()
        place.mkdir(parents=True, exist_ok=True)
        digest = digest_of(facts)
        durable(place / _TENSORS, self._bytes())
        text = json.dumps({**facts, "digest": digest}, indent=1, sort_keys=True, ensure_ascii=False)
        durable(place / FACTS, text.encode())
        return digest

    @classmethod
    def load(cls, folder: str | Path, encoder: Encoder) -> "ClaimModel":
        """Read a saved model; raise InputError if files are missing, changed, or of another encoder or format."""
        from safetensors.numpy import load

        place = Path(folder)
        try:
            facts, tensors = json.loads((place / FACTS).read_text("utf-8")), (place / _TENSORS).read_bytes()
        except (OSError, ValueError) as error:
            raise InputError(f"no model of claims can be read from {place}: {error}") from error
        if not isinstance(facts, dict) or facts.get("format") != FORMAT or facts.get("deficits") != list(DEFICITS):
            raise InputError(f"the model of claims in {place} was written by another version of rrm: fit it again")
        if digest_of({name: value for name, value in facts.items() if name != "digest"}) != facts.get("digest"):
            raise InputError(f"{place / FACTS} was changed after it was written: its digest does not match")
        if blake2b(tensors, digest_size=16).hexdigest() != facts["tensors"]:
            raise InputError(f"{place / _TENSORS} was changed after it was written: its digest does not match")
        if encoder.name != facts["encoder"]:
            raise InputError(f"{place} needs the encoder {facts['encoder']}, not {encoder.name}")
        arrays = load(tensors)
        basis = Basis(*(arrays[f"basis.{name}"] for name in Basis._fields))
        parameters = {name: torch.from_numpy(value) for name, value in arrays.items() if not name.startswith("basis.")}
        plain = {name: facts[name] for name in ("folds", "seen", "anchored", "ratings", "settings")}
        plain["usual"] = {int(level): score for level, score in facts["usual"].items()}
        stack, dispersion = tuple(facts["stack"]), Dispersion(*facts["dispersion"])
        return cls(Place.parse(facts["place"]), encoder, basis, parameters, stack=stack, dispersion=dispersion, **plain)
