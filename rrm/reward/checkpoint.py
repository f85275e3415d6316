"""Checkpoints of a training, from which a killed one goes on: safetensors, and JSON that names the newest."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from rrm.core.errors import InputError
from rrm.files import durable, read_json, sync_folder
from rrm.reward.objective import learning
from rrm.reward.processes import Accelerator, local
from rrm.reward.validation import Validation

STATE = "state"


@dataclass
class TrainState:
    """How far a training is: updates done, the best validation loss, epochs since without gain, and its log."""

    step: int = 0
    best: float | None = None
    waited: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)
    best_weights: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def keep_best(self, validation: Validation | None, objective: nn.Module) -> None:
        """Keep the weights if they are the best so far, else count how long that was not so."""
        if validation is None:
            return
        if isfinite(validation.loss) and (self.best is None or validation.loss < self.best):
            self.best, self.waited = validation.loss, 0
            self.best_weights = {name: local(each).detach().cpu().clone() for name, each in learning(objective)}
        else:
            self.waited += 1

    def restore_best(self, objective: nn.Module) -> None:
        """Put the best weights back, where any were kept."""
        with torch.no_grad():
            for name, parameter in learning(objective) if self.best_weights else ():
                local(parameter).copy_(self.best_weights[name])


class TrainCheckpoints:
    """The checkpoints in a folder: what learns, its optimiser, the best so far. Every process keeps its part.

    `about` names all that the training depends on but how large its steps are (`pace`), `precision` is what it
    computes in. Where the training diverged behind the last checkpoint, it may go on from there at another pace.
    """

    def __init__(
        self, folder: Path, about: str, pace: Mapping[str, float | None], precision: str, accelerator: Accelerator
    ) -> None:
        self.place, self._accelerator = folder / STATE, accelerator
        self._about, self._pace, self._precision = about, dict(pace), precision
        folder.mkdir(parents=True, exist_ok=True)

    def resume(self, objective: nn.Module, optimiser: Optimizer) -> TrainState:
        """Return where to go on, weights and moments put there; raise InputError for another training's state."""
        from safetensors.torch import load_file

        if not (self.place / "state.json").is_file():
            return TrainState()
        facts = json.loads((self.place / "state.json").read_text("utf-8"))
        self._check(facts)
        tensors = load_file(str(self._file(facts["step"])))
        with torch.no_grad():
            for name, parameter in learning(objective):
                local(parameter).copy_(tensors[f"weight.{name}"])
        _load_moments(objective, optimiser, tensors)
        best = {name.removeprefix("best."): each for name, each in tensors.items() if name.startswith("best.")}
        return TrainState(facts["step"], facts["best"], facts["waited"], facts["log"], best)

    def save(self, state: TrainState, objective: nn.Module, optimiser: Optimizer) -> None:
        """Write a checkpoint beside the last one, name it in `state.json`, and remove the last one."""
        from safetensors.torch import save_file

        file = self._file(state.step)
        file.parent.mkdir(parents=True, exist_ok=True)
        tensors = {f"weight.{name}": local(each).detach().cpu().contiguous() for name, each in learning(objective)}
        tensors |= _moments(objective, optimiser)
        tensors |= {f"best.{name}": weight for name, weight in state.best_weights.items()}
        save_file(tensors, str(file))
        self._accelerator.wait_for_everyone()
        if self._accelerator.is_local_main_process:  # each machine has a folder of its own, or all share one
            facts = {"digest": self._about, "processes": self._accelerator.num_processes, "precision": self._precision}
            facts |= {"step": state.step, "best": state.best, "waited": state.waited, "log": state.log}
            sync_folder(file.parent)
            self._write({**facts, "pace": self._pace, "diverged": False})
            for old in self.place.glob("step-*"):
                if old != file.parent:
                    shutil.rmtree(old, ignore_errors=True)

    def diverged(self) -> int | None:
        """Write that the training diverged behind the last checkpoint; return its step, None where there is none."""
        if not (self.place / "state.json").is_file():
            return None
        facts = read_json(self.place / "state.json")
        self._accelerator.wait_for_everyone()
        if self._accelerator.is_local_main_process:
            self._write({**facts, "diverged": True})
        return int(facts["step"])

    def remove(self) -> None:
        """Remove all checkpoints, once the model is saved."""
        shutil.rmtree(self.place, ignore_errors=True)

    def _write(self, facts: Mapping[str, Any]) -> None:
        durable(self.place / "state.json", json.dumps(facts).encode())

    def _file(self, step: int) -> Path:
        return self.place / f"step-{step}" / f"{self._accelerator.process_index}.safetensors"

    def _check(self, facts: Mapping[str, Any]) -> None:
        other_pace = facts["pace"] != self._pace and not facts["diverged"]
        if facts["digest"] != self._about or other_pace or facts["processes"] != self._accelerator.num_processes:
            raise InputError(
                f"{self.place} is the state of a training with other data, settings or processes:"
                " name another folder, or delete it"
            )
        if facts["precision"] != self._precision:
            raise InputError(
                f"{self.place} is the state of this training in {facts['precision']}, and here it would go on in"
                f" {self._precision}: ask for the dtype {facts['precision']}, or delete the state"
            )


def _moments(objective: nn.Module, optimiser: Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's state as tensors by name."""
    return {
        f"moment.{kind}.{name}": local(torch.as_tensor(value)).detach().cpu().clone().contiguous()
        for name, parameter in learning(objective)
        for kind, value in optimiser.state.get(parameter, {}).items()
    }


def _load_moments(objective: nn.Module, optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put the optimiser's state back, each process its part; step counts stay on the CPU."""
    parameters = dict(learning(objective))
    for key, value in sorted(tensors.items()):
        if not key.startswith("moment."):
            continue
        _, kind, name = key.split(".", 2)
        parameter = parameters[name]
        if kind == "step":
            optimiser.state[parameter][kind] = value
        elif isinstance(parameter, DTensor):
            part = value.to(local(parameter).device)
            optimiser.state[parameter][kind] = DTensor.from_local(part, parameter.device_mesh, parameter.placements)
        else:
            optimiser.state[parameter][kind] = value.to(parameter.device)
