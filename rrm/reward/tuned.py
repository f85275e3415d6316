"""Fine-tunes a language model at a place: what `rrm.reward.joint` cross-fits, calibrates and disperses."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rrm.backbone.classifier import load_classifier, outline, positions
from rrm.backbone.load import Checkpoint, find_checkpoint, precision_name, resolve
from rrm.core.arguments import plain_arguments
from rrm.core.errors import ConfigError, InputError
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.protocols import RewardModel, Start, Workspace
from rrm.core.roles import R, Ratings, for_fitting
from rrm.core.values import Group, Passage, View
from rrm.feedback.table import tabulate
from rrm.files import read_json, write_json
from rrm.reward.adapted import FACTS as ADAPTED
from rrm.reward.adapted import AdaptedModel, Trunk
from rrm.reward.adapters import check_adaptable
from rrm.reward.joint_model import JointModel, Pooling, Reading, check_length
from rrm.reward.launch import check_processes, processes_here, train_in_processes
from rrm.reward.train import Trained, rated_id, teaches, train
from rrm.reward.train_config import TrainConfig
from rrm.reward.train_log import DONE, Events
from rrm.reward.windows import Long
from rrm.reward.wrap import shared

_START = "start"
_IN_A_RUN: dict[str, Any] = {
    "tune": "lora", "members": 8, "epochs": 2, "validation": 0.0, "rows_per_update": 16, "head_rate": 50.0,
}  # fmt: skip
_BETWEEN = "\n\n"
"""What parts a decoder's output from the instruction before it, so that no token is of both."""
_log = logging.getLogger(__name__)

Fine = AdaptedModel | JointModel
"""What is fitted: adapters on the learner's trunk, or a model with all weights of its own."""


@plain_arguments
class Tuned:
    """Fine-tunes one model on all ratings of a place; implements `rrm.core.protocols.RewardLearner`.

    With `trunk = "shared"` all levels teach one trunk, on which each has a head: a model is trained on the ratings of
    all levels that there are so far, from that of the level below, or else its own of the round before. Otherwise each
    level has a trunk of its own. It starts from the level's model of the round before, or else from that of the level
    below, or from `backbone`: "smollm", or the name or folder of a Hugging Face model. `settings` are those of
    `rrm.reward.train_config.TrainConfig`, with adapters (`tune = "lora"`), 8 members, 2 epochs, heads that learn 50
    times as fast as the trunk, and nothing held back by default. Of rows of more than `max_length` tokens
    `long_sources` says what is done (`rrm.reward.joint_model.Reading`): "refuse", "truncate" or "windows". A decoder's
    heads read the "mean" of an output's states, or with `pooling = "last"` that of its last token, as other programs
    would. A training is shared by `processes` (None: one for each GPU, one on a CPU), which are started for it. Raises
    InputError for a backbone that cannot be tuned so.
    """

    def __init__(
        self,
        backbone: str = "smollm",
        trunk: str = "own",
        max_length: int | None = None,
        long_sources: Long = "refuse",
        pooling: Pooling = "mean",
        processes: int | None = None,
        device: str = "auto",
        dtype: str = "auto",
        **settings: Any,
    ) -> None:
        if trunk not in ("own", "shared"):
            raise ConfigError(f"[reward] trunk is own (a model a level) or shared (a head a level), got {trunk!r}")
        self.shared = trunk == "shared"
        self.config = _config(settings)
        self.reading = Reading(_BETWEEN, max_length, long_sources, pooling)
        self.backbone, self.device, self.dtype = backbone, device, dtype
        self.processes = check_processes(processes, device)
        self._refuse_unfit()

    @cached_property
    def checkpoint(self) -> Checkpoint:
        return find_checkpoint(self.backbone)

    @cached_property
    def trunk(self) -> Trunk:
        """The backbone that the models of all places share, loaded when it is first needed."""
        classifier = load_classifier(self.backbone, self.config.members, self.device, self.dtype)
        return Trunk(classifier, self.checkpoint.digest)

    @property
    def name(self) -> str:
        """Covers the backbone's weights, the precision, and every setting of the training."""
        precision = precision_name(resolve(self.device, self.dtype)[1])
        settings = (self.shared, asdict(self.config), asdict(self.reading))
        return content_id("tuned", self.checkpoint.digest, precision, *settings)

    def fit(self, ratings: Ratings[R], start: Start, place: Place, seed: int, workspace: Workspace) -> RewardModel:
        """Train, starting from this level's model of the round before, or else from the one below.

        Without new ratings the model of the round before stays; without any, or ties alone, the one below serves here,
        too, as may happen in a fold of a level with few ratings. With nothing below, ties are learned from: that
        outputs are alike.

        What was killed goes on from the workspace's folder. Raises InputError where there is nothing to learn from,
        LimitError for texts that are too long.
        """
        rows = for_fitting(ratings).rows
        if not rows:
            return shared(start.below, place)
        earlier, feedback = start.before or start.below, tabulate(rows)
        if not teaches(feedback) and earlier is not None:
            _log.warning(
                "%s: %d ratings tell no output from another, so an earlier model serves", place.title, len(rows)
            )
            return earlier
        if feedback.rows and not teaches(feedback):
            _log.warning(
                "%s: all %d ratings that a model learns from are ties, so it tells no output from another: rate more",
                place.title, len(rows),
            )  # fmt: skip
        others = start.others if self.shared else ()
        first = self._own((start.below or start.before) if self.shared else (start.before or start.below))
        rated = [rated_id(rows), rated_id(others)]
        if first is not None and first is start.before and list(_facts(first)["rated"]) == rated:
            return first
        asked = content_id("asked", self.name, first and first.digest, str(place), seed, rated)
        if _done(workspace.folder) == asked:
            return self.load(workspace.folder)
        name = self._start(first, workspace.folder)
        adapters = first if isinstance(first, AdaptedModel) else None
        events = Events(workspace.progress, lambda line: _tell(place, line, workspace))
        what: dict[str, Any] = {
            "rated": rows, "name": name, "folder": workspace.folder, "config": self.config, "seed": seed,
            "reading": self.reading, "place": place, "device": self.device, "dtype": self.dtype, "events": events,
            "start": adapters, "others": others,
        }  # fmt: skip
        count = workspace.ranks.count if workspace.ranks else self.processes or processes_here(self.device)
        if count > 1:
            train_in_processes(count, **what, ranks=workspace.ranks)
        model = self._at_home(train(**what)) if count == 1 else self.load(workspace.folder)
        write_json(workspace.folder / DONE, {"asked": asked})
        return model

    def seconds_to_read(self, texts: Sequence[str]) -> float:
        """Return how long the backbone reads texts once: of every twelve, eight as a source, four as outputs."""
        reading = replace(self.reading, long_sources="windows")
        model = JointModel(self.trunk.net, self.trunk.classifier, reading)
        parts = [texts[at : at + 12] for at in range(0, len(texts), 12)]
        groups = [
            Group("", Place(), View("", (Passage(" ".join(part[:-4])),), 1), tuple(part[-4:])) for part in parts if part
        ]
        model.rewards(groups[:1])  # the first time takes longer
        began = time.perf_counter()
        model.rewards(groups)
        return time.perf_counter() - began

    def load(self, folder: Path) -> Fine:
        """Return a saved model; raise InputError if files are missing, changed, or of another backbone."""
        if (folder / ADAPTED).is_file():
            return AdaptedModel.load(folder, self.trunk)
        return JointModel.load(folder, self.device, self.dtype)

    def _refuse_unfit(self) -> None:
        """Raise InputError for a backbone that cannot be tuned so: here, before anybody rates, and not at the fit."""
        resolve(self.device, self.dtype)
        model = outline(self.backbone)
        check_length(self.reading, positions(model), self.backbone)
        if self.config.tune == "lora":
            check_adaptable(model, self.config.lora_modules)

    def _own(self, start: RewardModel | None) -> Fine | None:
        if start is None or isinstance(start, Fine):
            return start
        raise InputError(f"a fine-tuned model starts from its own kind, not from a {type(start).__name__}")

    def _start(self, first: Fine | None, folder: Path) -> str:
        """Return what the training loads: the backbone, or a whole model to start from, put where it can be loaded."""
        if not isinstance(first, JointModel):
            return self.backbone
        first.save(folder / _START)
        return str(folder / _START)

    def _at_home(self, trained: Trained) -> Fine:
        model = trained.model
        return model.on(self.trunk) if isinstance(model, AdaptedModel) else model


def _config(settings: Mapping[str, Any]) -> TrainConfig:
    known = sorted({field.name for field in fields(TrainConfig)} - {"merge"})
    if unknown := sorted(settings.keys() - set(known)):
        raise ConfigError(
            f"[reward] arguments: there is no {unknown[0]!r}; beside those that the plug-in names itself there are"
            f" {', '.join(known)}"
        )
    config: dict[str, Any] = {**_IN_A_RUN, **settings}
    try:
        return TrainConfig(**config, merge=config["tune"] != "lora")
    except TypeError as error:
        raise ConfigError(f"[reward] arguments: {error}") from error


def _facts(model: Fine) -> Mapping[str, Any]:
    return (model.joint if isinstance(model, AdaptedModel) else model).settings


def _done(folder: Path) -> object:
    """Return what a finished training in this folder was asked, None where there is none."""
    return read_json(folder / DONE).get("asked") if (folder / DONE).is_file() else None


def _tell(place: Place, line: Mapping[str, Any], workspace: Workspace) -> None:
    """Pass on a line of a training's log: the loss to who follows the run, all of it to `logging`."""
    workspace.say(f"loss {line['loss']:.3f}")
    told = (f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in line.items())
    _log.info("%s: %s", place.title, ", ".join(told))
