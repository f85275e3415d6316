"""rrm: recursive reward modelling and task decomposition.

Names are imported when they are first used, so that `import rrm` is quick and loads no torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "rrm.api.runs": ("apply", "run", "run_file"),
    "rrm.core.graph": ("Node", "Proposal", "TaskGraph"),
    "rrm.core.report": ("Report",),
    "rrm.core.task": ("Source", "Span", "Task"),
    "rrm.core.values": (
        "Comparison",
        "Correction",
        "Critique",
        "Demonstration",
        "Failure",
        "Feedback",
        "Group",
        "Label",
        "Output",
        "Passage",
        "Ranking",
        "Rated",
        "Rating",
        "Reject",
        "Request",
        "Score",
        "Shown",
        "View",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rrm' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
