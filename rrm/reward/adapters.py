"""Which weights of a net learn: all of them, or low-rank adapters (Hu et al. 2021, arXiv:2106.09685) and the head."""

from collections.abc import Callable

from rrm.core.errors import InputError
from rrm.reward.joint import JointNet
from rrm.reward.train_config import TrainConfig


def make_trainable(net: JointNet, config: TrainConfig) -> Callable[[], None]:
    """Say which weights learn; return what merges adapters, if there are any, into them.

    Raises InputError for adapters without peft.
    """
    if config.checkpointing:
        net.model.gradient_checkpointing_enable({"use_reentrant": False})
    if config.tune == "full":
        return lambda: None
    try:
        from peft import LoraConfig, inject_adapter_in_model
        from peft.tuners.tuners_utils import BaseTunerLayer
    except ImportError as error:
        raise InputError("low-rank adapters need peft: run `pip install 'rrm[lora]'`, or tune full") from error
    net.model.requires_grad_(False)
    adapters = LoraConfig(r=config.lora_rank, lora_alpha=2 * config.lora_rank, target_modules="all-linear")
    inject_adapter_in_model(adapters, net.model.base_model)
    net.head.requires_grad_(True)

    def merge() -> None:
        for path, module in list(net.model.named_modules()):
            if isinstance(module, BaseTunerLayer):
                module.merge()
                net.model.set_submodule(path, module.get_base_layer())

    return merge
