"""Opening a saved reward model, whatever kind it is."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from rrm.backbone.encoder import FrozenEncoder
from rrm.core.errors import InputError
from rrm.files import read_json
from rrm.reward.adapted import FACTS as ADAPTED_FACTS
from rrm.reward.committee import MEMBERS, Committee
from rrm.reward.features import FeatureReader
from rrm.reward.joint_model import FACTS as JOINT_FACTS
from rrm.reward.joint_model import JointModel
from rrm.reward.model import FACTS, LevelModel

Model = LevelModel | JointModel | Committee
Kind = Literal["frozen", "independent", "joint", "adapted", "foreign"]
"""A frozen backbone's heads; models trained apart; one joint model; adapters; a checkpoint that rrm did not write."""


def kind_of(folder: str | Path) -> Kind | None:
    """Return what kind of model a folder holds, None if it holds none."""
    place = Path(folder)
    marks: list[tuple[str, Kind]] = [
        (FACTS, "frozen"), (MEMBERS, "independent"), (JOINT_FACTS, "joint"), (ADAPTED_FACTS, "adapted"),
        ("config.json", "foreign"),
    ]  # fmt: skip
    return next((kind for file, kind in marks if (place / file).is_file()), None)


def open_model(folder: str | Path, device: str = "auto", dtype: str = "auto") -> Model:
    """Open a model of one level, a joint model or any one-label checkpoint, or a committee of them.

    Raises InputError if the folder holds none of these, or one that was damaged, and for a `dtype`
    other than that of the encoder whose vectors a frozen model was fitted on.
    """
    place = Path(folder)
    kind = kind_of(place)
    if kind is None:
        raise InputError(f"no reward model in {place}: name a folder that `rrm train-reward` or transformers wrote")
    if kind == "adapted":
        raise InputError(
            f"{place} holds adapters of a run's model, not a whole one: `rrm score` takes the run's folder"
        )
    if kind == "frozen":
        return _open_frozen(place, device, dtype)
    return Committee.load(place, device, dtype) if kind == "independent" else JointModel.load(place, device, dtype)


def encoder_of(place: Path) -> tuple[str, str]:
    """Return the name of a frozen model's encoder, as `find_checkpoint` takes it, and its precision."""
    encoder = read_json(place / FACTS).get("encoder")
    name, _, rest = str(encoder).rpartition("#")
    precision = rest.rpartition(":")[2]
    if not name or not precision:
        raise InputError(f"{place / FACTS} does not name an encoder, but {encoder!r}")
    return name, precision


def forgetting(model: Model) -> Model:
    """Return the same model without what it remembers of texts, which grows with all that it reads."""
    if not isinstance(model, LevelModel):
        return model
    return replace(model, reader=FeatureReader(model.reader.encoder.inner))


def _open_frozen(place: Path, device: str, dtype: str) -> LevelModel:
    name, precision = encoder_of(place)
    if dtype not in ("auto", precision):
        raise InputError(f"{place} was fitted on vectors in {precision}, so it cannot score in {dtype}: leave it auto")
    return LevelModel.load(place, FrozenEncoder(name, device, precision))
