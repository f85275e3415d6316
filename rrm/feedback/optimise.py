"""Finding the mode of a smooth posterior."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


def minimise(loss: Callable[[], Tensor], parameters: Iterable[Tensor], max_steps: int = 500) -> None:
    """Move the parameters, in place, to where the loss is least: L-BFGS over all of them at once.

    For losses that are smooth and, but for a little, convex, in float64.
    """
    optimiser = torch.optim.LBFGS(
        list(parameters),
        max_iter=max_steps,
        max_eval=2 * max_steps,
        history_size=20,
        tolerance_grad=1e-9,
        tolerance_change=1e-13,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]
