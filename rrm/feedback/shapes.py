"""Checks that the likelihoods of all kinds share."""

from torch import Tensor, float32, promote_types

from rrm.core.errors import ShapeError


def same_shape(**tensors: Tensor) -> None:
    """Raise ShapeError, naming the tensors, unless all have one shape."""
    if len({tuple(tensor.shape) for tensor in tensors.values()}) > 1:
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        raise ShapeError(f"shapes differ: {shapes}")


def at_least_float32(rewards: Tensor) -> Tensor:
    """Return the rewards in their own floating type, or in float32 if that is a lesser one."""
    if not rewards.is_floating_point():
        raise ShapeError(f"rewards are floating numbers, got {rewards.dtype}")
    return rewards.to(promote_types(rewards.dtype, float32))
