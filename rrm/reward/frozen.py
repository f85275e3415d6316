"""Reward models on a frozen encoder: linear heads on features of sentence vectors, seconds a level on a laptop."""

import time
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import asdict, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rrm.backbone.encoder import CachedEncoder, FrozenEncoder, Progress
from rrm.backbone.load import find_checkpoint, is_decoder
from rrm.core.arguments import plain_arguments
from rrm.core.errors import ConfigError, InputError
from rrm.core.ids import content_id
from rrm.core.machine import MachineTime, ReadingLoad
from rrm.core.place import Place
from rrm.core.protocols import Cache, RewardModel, Start, Workspace
from rrm.core.roles import R, Ratings, for_fitting
from rrm.reward.calibrate import Calibration
from rrm.reward.disperse import Dispersion
from rrm.reward.features import FeatureReader
from rrm.reward.fit import FitConfig, fit
from rrm.reward.model import LevelModel

if TYPE_CHECKING:
    from rrm.reward.belief import HeadsBelief, Layer


@plain_arguments
class Frozen:
    """Learns heads on the vectors of a frozen sentence encoder; implements `rrm.core.protocols.RewardLearner`.

    `backbone` is "minilm", or the name or folder of a Hugging Face encoder. Raises InputError for a causal
    language model and for the folder of a trained reward model, whose heads would be dropped. `settings` are
    those of `rrm.reward.fit.FitConfig`. The vectors of texts are kept in `cache`, once for all levels and rounds.
    """

    def __init__(
        self,
        backbone: str = "minilm",
        device: str = "auto",
        dtype: str = "auto",
        cache: Cache | None = None,
        **settings: float,
    ) -> None:
        _refuse_unfit(backbone)
        self.config = _config(settings)
        self.backbone, self.device, self.dtype = backbone, device, dtype
        self._cache = cache

    @cached_property
    def reader(self) -> FeatureReader:
        """The features of groups; it remembers the vectors of the texts that it has read."""
        return FeatureReader(CachedEncoder(self._encoder, self._cache))

    @cached_property
    def _encoder(self) -> FrozenEncoder:
        return FrozenEncoder(self.backbone, device=self.device, dtype=self.dtype, progress=_tell)

    @property
    def name(self) -> str:
        """Covers the encoder, with the precision of its vectors, and every setting of the fit."""
        return content_id("frozen", self.reader.encoder.name, asdict(self.config))

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> LevelModel:
        """Fit the heads of a place, all ratings at once; without ratings the model below serves there too.

        How the heads were fitted in the round before does not matter, since their mode is found anew.

        Raises InputError where there is neither a usable rating nor a model below.
        """
        rows = for_fitting(ratings).rows
        lower = _own(start.below)
        progress = _PROGRESS.set(workspace.progress)
        try:
            if lower is not None and not rows:
                return LevelModel.shared(lower, place)
            return fit(rows, self.reader, self.config, seed, init=lower, place=place)
        finally:
            _PROGRESS.reset(progress)

    def believe(self, models: Sequence[RewardModel], ratings: Sequence[Ratings[R]]) -> "HeadsBelief":
        """Return the belief of `rrm.reward.belief.believe`: implements `rrm.core.asking.BelievingLearner`."""
        from rrm.reward.belief import believe  # with torch, whose import takes seconds

        layers = [self._layer(each) for each in map(_own, models) if each is not None]
        return believe(layers, [for_fitting(each).rows for each in ratings], self.config.reliability)

    @property
    def reliability(self) -> bool:
        """Whether raters' reliability is fitted with the heads."""
        return self.config.reliability

    @property
    def no_belief(self) -> str | None:
        if self.config.separate:
            return "its levels are fitted apart, each with a trunk of its own: leave out `separate`"
        return None

    def _layer(self, model: LevelModel) -> "Layer":
        from rrm.reward.belief import Layer

        drawn = model.shrinkage
        return Layer(
            level=model.place.level,
            read=lambda groups: [model.trunk(each) for each in self.reader.read(groups)],
            centre=np.zeros(model.trunk.columns),
            follows=drawn is not None,
            precision=self.config.l2 if drawn is None else drawn.precision,
            anchored=model.anchored,
            anchor_sd=None,
            calibration=Calibration(*model.calibration[-1]),
            dispersion=Dispersion(*model.dispersion[-1]),
        )

    def load(self, folder: Path) -> LevelModel:
        """Return a saved model; raise InputError if files are missing, changed, or of another encoder."""
        return LevelModel.load(folder, self.reader)

    def machine_time(self, load: ReadingLoad) -> MachineTime:
        """Return what it takes to encode every text of a run once; fitting heads takes seconds beside it."""
        encoder = FrozenEncoder(self.backbone, device=self.device, dtype=self.dtype)
        encoder.encode(list(load.sample[:4]))  # the first call loads the model
        began = time.perf_counter()
        encoder.encode(list(load.sample))
        seconds = (time.perf_counter() - began) / max(load.sample_tokens, 1)
        return MachineTime(load.texts, load.texts * seconds, min(load.fitted, load.texts) * seconds)

    def prefetch(self, passages: Sequence[str]) -> None:
        """Begin to encode the sentences of passages; implements `rrm.core.protocols.Prefetching`."""
        self.reader.prefetch(passages, self._encoder.batch_tokens)

    def stop_prefetch(self) -> None:
        self.reader.encoder.stop_prefetch()


def _config(settings: dict[str, float]) -> FitConfig:
    try:
        return FitConfig(**settings)  # type: ignore[arg-type]  # a wrong name or type is refused in words
    except TypeError as error:
        known = ", ".join(each.name for each in fields(FitConfig))
        raise ConfigError(f"[reward] arguments: {error}; beside backbone there are {known}") from error


def _refuse_unfit(backbone: str) -> None:
    """Raise InputError for what is no sentence encoder."""
    if (folder := Path(backbone).expanduser()).is_dir():
        _refuse_trained(backbone, folder)
    if is_decoder(find_checkpoint(backbone)):
        raise InputError(
            f"[reward] backbone {backbone!r} is a causal language model, which makes poor sentence vectors: name an"
            " encoder such as minilm; the plugin rrm.reward.joint:Joint fine-tunes a causal one"
        )


def _refuse_trained(backbone: str, folder: Path) -> None:
    from rrm.reward.open import kind_of  # with all kinds of models and torch, whose import takes seconds

    if kind_of(folder) in ("frozen", "joint", "independent", "adapted"):
        raise InputError(
            f"[reward] backbone {backbone!r} is a trained reward model, whose heads would be dropped: name the encoder"
            " that it was made from; `rrm score --model` uses the trained model itself"
        )


def _own(model: RewardModel | None) -> LevelModel | None:
    if model is None or isinstance(model, LevelModel):
        return model
    raise InputError(f"heads on a frozen encoder start from their own kind, not from a {type(model).__name__}")


def _nobody(done: int, total: int) -> None:
    """Nobody watches."""


_PROGRESS: ContextVar[Progress] = ContextVar("progress", default=_nobody)
"""Who follows the fit of this thread; nobody follows what is encoded ahead beside it."""


def _tell(done: int, total: int) -> None:
    _PROGRESS.get()(done, total)
