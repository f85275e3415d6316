"""Which weights of a net learn: all of them, or low-rank adapters (Hu et al. 2021, arXiv:2106.09685) and the head.

With adapters, layers that the checkpoint lacks (`Classifier.drawn`) learn as a whole and are kept beside them: drawn
again they would be others, for which the adapters were not made.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from rrm.core.errors import InputError
from rrm.reward.joint_model import JointNet
from rrm.reward.train_config import TrainConfig

DRAWN = "drawn."
"""What the name of a parameter that the checkpoint lacks begins with, where it is kept beside adapters."""
_NAME = "default"  # peft's, of the one adapter that a layer has


@dataclass(frozen=True, eq=False)
class LowRank:
    """The adapters of a net's linear layers: to each weight W they add scale B A, with A [rank, in], B [out, rank].

    Layers that the net's checkpoint lacks have none, and learn themselves.
    """

    net: JointNet

    def tensors(self) -> dict[str, Tensor]:
        """Return what was learned, float32 on the CPU: `<layer>.A`, `<layer>.B`, `drawn.<parameter>`."""
        learned = {
            f"{path}.{side}": weight
            for path, layer in self._layers()
            for side, weight in (("A", layer.lora_A[_NAME].weight), ("B", layer.lora_B[_NAME].weight))
        }
        learned |= {DRAWN + name: self.net.model.get_parameter(name) for name in self.net.drawn}
        return {name: weight.detach().float().cpu().clone().contiguous() for name, weight in learned.items()}

    def start_from(self, tensors: Mapping[str, Tensor]) -> None:
        """Begin where other adapters of the same net and rank ended."""
        with torch.no_grad():
            for path, layer in self._layers():
                layer.lora_A[_NAME].weight.copy_(tensors[f"{path}.A"])
                layer.lora_B[_NAME].weight.copy_(tensors[f"{path}.B"])
            put_drawn(self.net, tensors)

    def merge(self) -> None:
        """Add the adapters to the weights, and leave an ordinary net behind."""
        for _, layer in list(self._layers()):
            layer.merge()
        self.remove()

    def remove(self) -> None:
        """Leave the net behind as it was without adapters, or, if they were merged, with its new weights."""
        for path, layer in list(self._layers()):
            self.net.model.set_submodule(path, layer.get_base_layer())

    def spare_drawn(self) -> None:
        """Let layers that the checkpoint lacks learn themselves, without adapters."""
        for path, layer in list(self._layers()):
            if f"{path}.weight" in self.net.drawn:
                self.net.model.set_submodule(path, layer.get_base_layer())
        for name in self.net.drawn:
            self.net.model.get_parameter(name).requires_grad_(True)

    def _layers(self) -> Iterator[tuple[str, Any]]:
        from peft.tuners.tuners_utils import BaseTunerLayer

        return ((path, each) for path, each in self.net.model.named_modules() if isinstance(each, BaseTunerLayer))


def make_trainable(net: JointNet, config: TrainConfig) -> LowRank | None:
    """Say which weights learn; return the adapters, if it is they.

    Raises InputError for adapters without peft, and for a net that has no linear layers to adapt.
    """
    if config.checkpointing:
        renamed = hasattr(net.model, "activation_checkpointing_enable")  # by transformers 5; the old name warns
        enable = net.model.activation_checkpointing_enable if renamed else net.model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    if config.tune == "full":
        return None
    check_adaptable(net.model, config.lora_modules)
    from peft import LoraConfig, inject_adapter_in_model

    net.model.requires_grad_(False)
    rank = config.lora_rank
    adapters = LoraConfig(
        r=rank, lora_alpha=LORA_SCALE * rank, target_modules=list(config.lora_modules) or "all-linear"
    )
    try:
        inject_adapter_in_model(adapters, net.model.base_model)
    except ValueError as error:  # such as modules of a kind that peft has no adapters for
        raise InputError(f"a {type(net.model).__name__} cannot be adapted: {error}; tune full") from error
    made = LowRank(net)
    made.spare_drawn()
    net.head.requires_grad_(True)
    return made


def check_adaptable(model: Any, names: Sequence[str]) -> None:
    """Raise InputError without peft, and for modules to adapt that a model does not have or that are not linear."""
    if find_spec("peft") is None:
        raise InputError("low-rank adapters need peft: run `pip install 'rrm[lora]'`, or tune full")
    from transformers.pytorch_utils import Conv1D

    modules = [(f".{path}", each) for path, each in model.base_model.named_modules()]
    kind = type(model).__name__
    for name in names:
        found = [each for path, each in modules if path.endswith(f".{name}")] if name else []
        if not found:
            raise InputError(
                f"there are no modules {name or repr(name)} to adapt in a {kind}: name others, or tune full"
            )
        if others := sorted({type(each).__name__ for each in found if not isinstance(each, (nn.Linear, Conv1D))}):
            raise InputError(
                f"{name} of a {kind} is a module {others[0]}, and adapters are for linear layers: name those, or tune"
                " full"
            )


LORA_SCALE = 2
"""What the product of an adapter's factors is multiplied with."""


def scaled_product(a: Tensor, b: Tensor) -> Tensor:
    """Return what an adapter of factors A [rank, in] and B [out, rank] adds to a weight, [out, in]."""
    return LORA_SCALE * (b @ a)


def put_drawn(net: JointNet, tensors: Mapping[str, Tensor]) -> None:
    """Give a net the layers that its checkpoint lacks, as they are kept beside adapters."""
    with torch.no_grad():
        for name in net.drawn:
            net.model.get_parameter(name).copy_(tensors[DRAWN + name])


def layers_of(net: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the layers that adapters are for, by path; raise InputError if the net has not all of them."""
    modules = dict(net.named_modules())
    paths = sorted({name.rpartition(".")[0] for name in tensors})
    if missing := [path for path in paths if path not in modules]:
        raise InputError(f"the adapters are for another backbone: it has no {missing[0]}")
    return {path: modules[path] for path in paths}
