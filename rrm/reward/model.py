"""The reward model of one level: an ensemble of heads on the shared trunk, calibrated; saved as two plain files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.protocols import Encoder
from rrm.core.values import OVERALL, Group, Prediction
from rrm.files import digest_of, durable
from rrm.reward.disperse import Dispersion, effects, spread, upward
from rrm.reward.evidence import Shrinkage
from rrm.reward.features import NAMES, FeatureReader
from rrm.reward.trunk import Trunk

FORMAT = 1
SEEN_BY_ALL = -1
_ARRAYS = ("heads", "anchor", "pair_heads", "pair_anchor", "calibration", "dispersion")
_TENSORS, FACTS = "model.safetensors", "model.json"


@dataclass(frozen=True, eq=False)
class LevelModel:
    """Scores groups at one level; implements `rrm.core.protocols.RewardModel`.

    Member m was fitted without the sources of fold `m % folds`. So a source that was trained on is
    scored by the members / folds members that never saw it, and any other source by all. `seen`
    maps every source that this level or one below was fitted on to its fold, or to SEEN_BY_ALL
    where nothing could be held out. Rewards are calibrated logits: the logistic of a difference is
    the probability of being preferred, and, where the model is `anchored` by labels or ratings,
    the logistic of a reward is the probability of acceptance.

    `heads` [members, columns], `anchor` [members], `calibration` [folds + 1, 2] (slope and
    intercept; row f for sources of fold f, fitted without them; the last row for new sources),
    `dispersion` [folds + 1, 2], rows likewise: how outputs vary around what their features tell.
    `pair_heads` and `pair_anchor` belong to heads that left out two folds each: they calibrate,
    here and at the level above, and score nothing.
    `shrinkage` says how strongly the heads were drawn to those of the level below: None without one below.
    `shared_head` says that the level had no ratings, and is judged by the model below.
    `ratings` counts the rows fitted on, `unused` those of kinds that say nothing about rewards.
    """

    place: Place
    reader: FeatureReader = field(repr=False)
    encoder: str
    trunk: Trunk = field(repr=False)
    heads: np.ndarray = field(repr=False)
    anchor: np.ndarray = field(repr=False)
    pair_heads: np.ndarray = field(repr=False)
    pair_anchor: np.ndarray = field(repr=False)
    calibration: np.ndarray = field(repr=False)
    dispersion: np.ndarray = field(repr=False)
    folds: int
    seen: Mapping[str, int] = field(repr=False)
    anchored: bool = False
    shared_head: bool = False
    shrinkage: Shrinkage | None = None
    ratings: int = 0
    unused: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def shared(cls, init: "LevelModel", place: Place) -> "LevelModel":
        """Return the model of the level below, to serve at a level that has no ratings, whose outputs differ less."""
        levels = place.level - init.place.level
        dispersion = np.array([upward(Dispersion(*row), levels) for row in init.dispersion])
        return replace(init, place=place, dispersion=dispersion, shared_head=True, shrinkage=None, ratings=0, unused=0)

    @property
    def members(self) -> int:
        return len(self.heads)

    def members_for(self, source: str) -> np.ndarray:
        """Return the members that were not fitted on a source; all, if there are none such."""
        fold = self.seen.get(source, SEEN_BY_ALL)
        every = np.arange(self.members)
        return every if fold == SEEN_BY_ALL else every[every % self.folds == fold]

    def fold(self, source: str) -> int | None:
        """Return a source's fold, or SEEN_BY_ALL, if this level or one below was fitted on it; None if not."""
        return self.seen.get(source)

    def holds_out(self, source: str) -> bool:
        """Say whether predictions about a source come from members not fitted on it."""
        return self.seen.get(source) != SEEN_BY_ALL

    def raw(self, groups: Sequence[Group]) -> list[np.ndarray]:
        """Return uncalibrated rewards by every member, float64 [members, k] for each group."""
        # not a product of matrices, whose last bit may depend on a row's place: equal texts get equal rewards
        read = self.reader.read(groups)
        return [np.einsum("mc,kc->mk", self.heads, self.trunk(features)) for features in read]

    def rewards(self, groups: Sequence[Group]) -> list[np.ndarray]:
        """Return for each group its calibrated rewards, float64 [members not fitted on its source, k]."""
        return [self._calibrated(group, raw) for group, raw in zip(groups, self.raw(groups), strict=True)]

    def _calibrated(self, group: Group, raw: np.ndarray) -> np.ndarray:
        used = self.members_for(group.source)
        slope, intercept = self.calibration[self.seen.get(group.source, SEEN_BY_ALL)]  # -1 is the last row
        if not self.anchored:
            return np.asarray(slope * raw[used])
        return np.asarray(slope * (raw[used] + self.anchor[used, None]) + intercept)

    def acceptance(self, groups: Sequence[Group]) -> list[np.ndarray]:
        """Return for each group, as `rewards` does, the probabilities that a rater accepts each output.

        Where the model is not anchored these are the probabilities of being preferred to the
        group's other outputs, averaged over them: 0.5 for an output alone, and no common currency.
        The mean over the members is the calibrated probability. Their spread says where that of
        this very output may lie: members differ in their heads and, by the `dispersion`, in what
        of the output the features do not tell.
        """
        return [each.acceptance[OVERALL] for each in self.predict(groups)]

    def predict(self, groups: Sequence[Group]) -> list[Prediction]:
        """Return rewards and acceptance of each group in one pass, as `rewards` and `acceptance` say."""
        return [
            Prediction.overall(rewards, self._accepted(group, rewards))
            for group, rewards in zip(groups, finite(self.rewards(groups)), strict=True)
        ]

    def _accepted(self, group: Group, rewards: np.ndarray) -> np.ndarray:
        dispersion = Dispersion(*self.dispersion[self.seen.get(group.source, SEEN_BY_ALL)])
        noise = effects(group.view.id, group.outputs, len(rewards))
        if self.anchored:
            return spread(rewards, np.sqrt(dispersion.total) * noise, dispersion.total)
        return preferred(rewards, np.sqrt(dispersion.output) * noise, 2 * dispersion.output)

    # ---- files ----

    def _arrays(self) -> dict[str, np.ndarray]:
        trunk = {f"trunk.{name}": value for name, value in vars(self.trunk).items()}
        arrays = {name: getattr(self, name) for name in _ARRAYS} | trunk
        return {name: np.ascontiguousarray(array, dtype=np.float64) for name, array in sorted(arrays.items())}

    def _facts(self) -> dict[str, Any]:
        plain = ("encoder", "folds", "anchored", "shared_head", "ratings", "unused")
        facts: dict[str, Any] = {name: getattr(self, name) for name in plain}
        facts |= {"place": str(self.place), "format": FORMAT, "features": list(NAMES)}
        facts |= {"seen": dict(self.seen), "settings": dict(self.settings)}
        facts["shrinkage"] = None if self.shrinkage is None else self.shrinkage._asdict()
        facts["tensors"] = blake2b(self._tensor_bytes(), digest_size=16).hexdigest()
        return facts

    def _tensor_bytes(self) -> bytes:
        from safetensors.numpy import save

        return bytes(save(self._arrays()))

    @property
    def digest(self) -> str:
        """The digest of all that is saved, 32 hexadecimal digits: equal models have equal digests."""
        return digest_of(self._facts())

    def save(self, folder: str | Path) -> str:
        """Write `model.safetensors` and `model.json` whole or not at all; return the digest.

        Each is written under a temporary name, synced and renamed, the JSON last.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        facts = self._facts()
        digest = digest_of(facts)
        text = json.dumps({**facts, "digest": digest}, indent=1, sort_keys=True, ensure_ascii=False)
        durable(place / _TENSORS, self._tensor_bytes())
        durable(place / FACTS, text.encode())
        return digest

    @classmethod
    def load(cls, folder: str | Path, encoder: Encoder | FeatureReader) -> "LevelModel":
        """Read a saved model, to be used with the encoder (or reader) that it was fitted with.

        Raises InputError if files are missing, changed since they were written, of another
        format or feature set, or if the encoder is another one.
        """
        from safetensors.numpy import load

        place = Path(folder)
        try:
            facts = json.loads((place / FACTS).read_text("utf-8"))
            tensors = (place / _TENSORS).read_bytes()
        except (OSError, ValueError) as error:
            raise InputError(f"no reward model can be read from {place}: {error}") from error
        if not isinstance(facts, dict) or facts.get("format") != FORMAT or facts.get("features") != list(NAMES):
            raise InputError(f"the reward model in {place} was written by another version of rrm: fit it again")
        if digest_of({name: value for name, value in facts.items() if name != "digest"}) != facts.get("digest"):
            raise InputError(f"{place / FACTS} was changed after it was written: its digest does not match")
        if blake2b(tensors, digest_size=16).hexdigest() != facts["tensors"]:
            raise InputError(f"{place / _TENSORS} was changed after it was written: its digest does not match")
        reader = encoder if isinstance(encoder, FeatureReader) else FeatureReader(encoder)
        if reader.encoder.name != facts["encoder"]:
            raise InputError(f"{place} needs the encoder {facts['encoder']}, not {reader.encoder.name}")
        arrays = load(tensors)
        parts = {name.removeprefix("trunk."): arrays[name] for name in arrays if name.startswith("trunk.")}
        names = ("encoder", "folds", "seen", "anchored", "shared_head", "ratings", "unused", "settings")
        return cls(
            place=Place.parse(facts["place"]),
            reader=reader,
            trunk=Trunk(**parts),
            shrinkage=None if facts["shrinkage"] is None else Shrinkage(**facts["shrinkage"]),
            **{name: arrays[name] for name in _ARRAYS},
            **{name: facts[name] for name in names},
        )


def nothing_to_fit(place: Place) -> InputError:
    """Return the error for a place without usable ratings and without a model below."""
    return InputError(
        f"{place.title} has no ratings to fit on, and no model below it: raters were asked about none of its nodes"
        " (trees of a single node have none but the root), or nothing they said tells outputs apart"
    )


def finite(rewards: list[np.ndarray]) -> list[np.ndarray]:
    """Return rewards, or raise InputError if some are not finite, as those of a diverged training."""
    if not all(np.isfinite(each).all() for each in rewards):
        raise InputError("the model gives rewards that are not finite: its weights diverged in training or are damaged")
    return rewards


def preferred(rewards: np.ndarray, noise: np.ndarray, variance: float) -> np.ndarray:
    """Return how probably each output is preferred to the others on average, [members, k]; 0.5 for one alone.

    `rewards` and `noise` are [members, k], and the noise has the variance of a difference, `variance`.
    """
    k = rewards.shape[1]
    if k < 2:
        return np.full(rewards.shape, 0.5)
    wins = spread(_differences(rewards), _differences(noise), variance).sum(axis=2) - 0.5  # without itself
    return np.asarray(wins / (k - 1))


def _differences(values: np.ndarray) -> np.ndarray:
    return np.asarray(values[:, :, None] - values[:, None, :])


def settings_of(config: Any, seed: int) -> dict[str, Any]:
    """Return a config and its seed as plain values for the record."""
    return {**asdict(config), "seed": seed}
