"""`rrm optimize`: one way of optimising a finished run's policy, kept in a folder and measured on other sources."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rrm.api.frontier import Setting, method, optimiser_of
from rrm.api.loaded import load
from rrm.api.runfile import with_changes
from rrm.api.scorers import By
from rrm.core.errors import InputError
from rrm.core.protocols import Improved, Policy
from rrm.files import write_json
from rrm.report.frontier import Frontier

REPORT = "optimized.json"


@dataclass(frozen=True)
class Optimized:
    """A policy that was made of a run's own, where it lies, and how both do on sources that were not learned from."""

    policy: Policy = field(repr=False)
    folder: Path
    by: By
    measured: Frontier

    def to_json(self) -> dict[str, Any]:
        """Return the object that `rrm optimize DIR --json` ends with."""
        told, [point] = self.measured, self.measured.points
        counts = {name: getattr(told, name) for name in ("learned_on", "measured_on", "nodes", "outputs")}
        facts = {"run": told.run, "level": told.level, "method": point.method, "score": self.by}
        spent = {"kl_budget": point.budget, "kl": point.kl, "how": point.how}
        figures = {"anchor": _figures(asdict(told.anchor)), "optimized": _figures(asdict(point))}
        return {**facts, **spent, **figures, **counts, "policy": self.policy.name, "folder": str(self.folder)}


def optimize(
    directory: str | Path,
    method_name: str,
    kl_budget: float,
    *,
    by: By = "level",
    level: int = 0,
    arguments: Mapping[str, Any] | None = None,
    changes: Sequence[str] = (),
    outputs: int = 8,
    most_nodes: int = 40,
    seed: int = 0,
    out: str | Path | None = None,
    **parts: Any,
) -> Optimized:
    """Optimise a finished run's policy against its models of role train, within `kl_budget` nats a node.

    `method_name` is one of `METHODS` or `TUNED` of `rrm.api.frontier`, or an import string of an optimiser; `arguments`
    are its own, and `changes` the same as key=value. Scores are those of the level's model, or composed (`by`). Half of
    the training sources are learned from, the other half is measured on: `outputs` at up to `most_nodes` nodes, of the
    run's policy and the new one alike. The policy is left in `out` (by default DIR/optimized/METHOD), where the same
    call resumes; gold is only reported. `parts` are objects that the run was given. Raises InputError for a method or
    budget that this policy does not allow.
    """
    if not 0 < kl_budget < float("inf"):
        raise InputError(f"the KL budget is a positive number of nats, got {kl_budget:g}")
    name, (path, known) = method(method_name)
    optimiser = optimiser_of(path, with_changes({**known, **(arguments or {})}, changes))
    folder = Path(out) if out is not None else Path(directory) / "optimized" / name.replace(" ", "-")
    with load(directory, **parts) as run:
        setting = Setting.of(run, level, outputs, most_nodes, seed, by)
        folder.mkdir(parents=True, exist_ok=True)
        found: Improved = setting.improved(name, optimiser, kl_budget, folder)
        measured = setting.frontier([setting.measured(name, found, kl_budget)], {})
    made = Optimized(found.sampler, folder, by, measured)
    write_json(folder / REPORT, made.to_json())
    return made


_FIGURES = (
    *("gold", "gold_interval", "proxy", "proxy_interval"),
    *("entropy", "entropy_from", "covered", "distinct", "self_bleu"),
)


def _figures(point: Mapping[str, Any]) -> dict[str, Any]:
    return {name: point[name] for name in _FIGURES}
