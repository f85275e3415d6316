"""Joint models as adapters on one backbone, which all of them share: what is saved and held for each is small."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from threading import RLock

import numpy as np
import torch
from torch import Tensor, nn

from rrm.backbone.classifier import Classifier
from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.values import Group, Prediction
from rrm.files import digest_of, durable, read_json, write_json
from rrm.reward.adapters import DRAWN, layers_of, put_drawn, scaled_product
from rrm.reward.joint_model import JointModel, JointNet, Known, Progress, Reading
from rrm.reward.level_heads import HEAD, OTHERS

FACTS, TENSORS = "adapted.json", "adapted.safetensors"
MOST_KNOWN = 100_000
"""Outputs whose rewards a model remembers at most: a few dozen megabytes."""
MOST_NUMBERS = 20_000_000
"""Of states that a model remembers at most, beside those of one call: 160 megabytes."""
_KEPT = ("backbone", "reading", "place", "anchor", "anchored", "seen", "ratings", "settings", "digest")


class Trunk:
    """A backbone in memory, whose weights are now those of one model's adapters and now those of another's.

    Weights are made from the backbone's own each time, so they do not drift.
    """

    def __init__(self, classifier: Classifier, backbone: str) -> None:
        self.net, self.classifier, self.backbone = JointNet(classifier), classifier, backbone
        self._own: dict[str, Tensor] = {}
        self._worn: str | None = None
        self._turn = RLock()

    @contextmanager
    def wearing(self, model: "AdaptedModel") -> Iterator[None]:
        """Have a model's weights for a while; other threads wait."""
        with self._turn, torch.no_grad():
            if self._worn != model.digest:
                self._worn = None
                self._put_on(model.tensors)
                self._worn = model.digest
            yield

    def _put_on(self, tensors: Mapping[str, Tensor]) -> None:
        adapters = {name: each for name, each in tensors.items() if not name.startswith((HEAD, OTHERS, DRAWN))}
        layers = layers_of(self.net.model, adapters)
        for path, own in self._own.items():
            self.net.model.get_submodule(path).weight.copy_(own)
        for path, layer in layers.items():
            own = self._own.setdefault(path, layer.weight.detach().clone())
            added = scaled_product(tensors[f"{path}.A"].to(own), tensors[f"{path}.B"].to(own))
            layer.weight.copy_(own + (added if isinstance(layer, nn.Linear) else added.T))  # GPT-2 keeps [in, out]
        put_drawn(self.net, tensors)
        for name, parameter in self.net.head.named_parameters():
            parameter.copy_(tensors[HEAD + name])


@dataclass(frozen=True, eq=False)
class AdaptedModel:
    """A joint model that is adapters and heads on a trunk; implements `rrm.core.protocols.RewardModel`.

    `joint` holds everything else that is known of it, and reads texts when the trunk wears `tensors`: `<layer>.A`,
    `<layer>.B`, and the head's `head.weight` [members, size] and maybe `head.bias` [members]. Where other levels'
    ratings taught the trunk, too, what was their head beside it is `heads.<level>.weight`. Parameters that the
    backbone's checkpoint lacks are `drawn.<parameter>`.
    """

    joint: JointModel = field(repr=False)
    trunk: Trunk = field(repr=False)
    tensors: Mapping[str, Tensor] = field(repr=False)
    _digest: str = field(init=False, repr=False)
    _known: Known = field(init=False, repr=False, default_factory=dict)
    _states: Known = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        weights = blake2b(digest_size=16)
        for name, value in sorted(self.tensors.items()):
            weights.update(f"{name} {tuple(value.shape)}".encode())
            weights.update(value.contiguous().numpy().tobytes())
        facts = {**self.joint.facts(), "backbone": self.trunk.backbone, "weights": weights.hexdigest()}
        object.__setattr__(self, "_digest", digest_of(facts))

    @property
    def anchored(self) -> bool:
        return self.joint.anchored

    @property
    def ratings(self) -> int:
        """How many rows of feedback it was fitted to."""
        return self.joint.ratings

    @property
    def seen(self) -> tuple[str, ...]:
        """The sources that it was fitted on."""
        return self.joint.seen

    @property
    def digest(self) -> str:
        """Names the backbone, the settings and every weight, 32 hexadecimal digits."""
        return self._digest

    def predict(self, groups: Sequence[Group], progress: Progress | None = None) -> list[Prediction]:
        """Return rewards and acceptance of each group in one pass.

        What was read before is not read again: a fit is calibrated on what the run then scores.
        """
        with self.trunk.wearing(self):
            if len(self._known) > MOST_KNOWN:
                self._known.clear()
            return self.joint.predict(groups, progress, self._known)

    def states(self, groups: Sequence[Group]) -> list[np.ndarray]:
        """Return for each group what the heads read of its outputs, float64 [k, size]; nothing is read again."""
        with self.trunk.wearing(self):
            if len(self._states) * self.joint.net.head.in_features > MOST_NUMBERS:
                self._states.clear()
            found = self.joint.states(groups, self._states)
            for name in self._states.keys() - self._known.keys():
                self._known[name] = self._states[name][: self.joint.members].copy()  # a view would keep the state
            return found

    def fold(self, source: str) -> int | None:
        """Return -1 for a source that was fitted on, None for any other: nothing is held out within."""
        return self.joint.fold(source)

    def holds_out(self, source: str) -> bool:
        return self.joint.holds_out(source)

    def on(self, trunk: Trunk) -> "AdaptedModel":
        """Return the same model on another copy of its trunk."""
        joint = replace(self.joint, net=trunk.net, classifier=trunk.classifier)
        return AdaptedModel(joint, trunk, self.tensors)

    def save(self, folder: str | Path) -> str:
        """Write the adapters and the heads as safetensors, and what else is known last; return the digest."""
        from safetensors.torch import save

        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        durable(place / TENSORS, save(dict(self.tensors)))
        write_json(place / FACTS, {**self.joint.facts(), "backbone": self.trunk.backbone, "digest": self.digest})
        return self.digest

    @classmethod
    def load(cls, folder: str | Path, trunk: Trunk) -> "AdaptedModel":
        """Read a saved model; raise InputError if files are missing or changed, or for a trunk of another backbone."""
        from safetensors.torch import load

        place = Path(folder)
        facts = read_json(place / FACTS)
        if missing := [name for name in _KEPT if name not in facts]:
            raise InputError(f"{place / FACTS} does not say {', '.join(missing)}: it is no such model")
        if facts.get("backbone") != trunk.backbone:
            raise InputError(f"{place} is for the backbone {facts.get('backbone')}, not for {trunk.backbone}")
        try:
            tensors = load((place / TENSORS).read_bytes())
        except Exception as error:  # a damaged file fails in several ways
            raise InputError(f"{place / TENSORS} cannot be read: {error}") from error
        kept = {name: facts[name] for name in ("anchor", "anchored", "ratings", "settings")}
        joint = JointModel(
            trunk.net, trunk.classifier, Reading(**facts["reading"]), Place.parse(facts["place"]),
            seen=tuple(facts["seen"]), **kept,
        )  # fmt: skip
        model = cls(joint, trunk, tensors)
        if model.digest != facts["digest"]:
            raise InputError(f"{place} was changed after it was written: its digest does not match")
        return model
