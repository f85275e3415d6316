"""Run files: TOML in, frozen settings out; every key is known, typed and documented in docs/run-files.md."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from rrm.api.plugins import expand
from rrm.core.errors import ConfigError

PEOPLE = "people"
"""The rater plug-in that stands for people, who answer through the record."""


@dataclass(frozen=True)
class Part:
    """A plug-in and its arguments."""

    plugin: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sources(Part):
    """Where sources come from, and how many trees each gets."""

    trees: int = 1


@dataclass(frozen=True)
class PolicyPart(Part):
    """Who proposes, and how many outputs a node and a root get."""

    outputs: int = 4
    root_outputs: int = 8


@dataclass(frozen=True)
class RaterPart(Part):
    """Who rates, and how many questions of each kind a training node gets; a root may get others."""

    per_node: dict[str, int] = field(default_factory=lambda: {"comparison": 3, "label": 2})
    per_root: dict[str, int] | None = None
    random_share: float = 0.1


@dataclass(frozen=True)
class Recorded(Part):
    """Ratings made elsewhere; `level` is a number from 0 (leaves) up, or "root"."""

    level: int | str = 0


@dataclass(frozen=True)
class Reward:
    """The reward models: backbone, where it runs, and the settings of the fit."""

    backbone: str = "minilm"
    device: str = "auto"
    dtype: str = "auto"
    fit: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AssistantPart:
    """A LangChain chat model by import string, how many calls may run at once, how often one is retried."""

    model: str
    arguments: dict[str, Any] = field(default_factory=dict)
    concurrency: int = 8
    attempts: int = 4


@dataclass(frozen=True)
class Limits:
    """What the run may spend in all; None is no limit."""

    max_calls: int | None = None
    max_tokens: int | None = None


@dataclass(frozen=True)
class RunFile:
    """A run, as its file says it."""

    target: Sources
    decomposer: Part
    policy: PolicyPart
    name: str = "run"
    seed: int = 0
    train: Sources | None = None
    rater: RaterPart | None = None
    recorded: tuple[Recorded, ...] = ()
    reward: Reward = field(default_factory=Reward)
    compose: Part = field(default_factory=lambda: Part("rrm.compose.composers:Mean"))
    flat: bool = True
    assistants: dict[str, AssistantPart] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values from which `run_file` makes the same settings."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


def read_run_file(path: Path, changes: tuple[str, ...] = ()) -> RunFile:
    """Read a run file and apply `key=value` changes, keys dotted and values in TOML.

    Raises ConfigError naming the key for anything unknown, mistyped or missing.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the run file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the run file {path} is not TOML: {error}") from error
    return run_file(table, changes)


def run_file(table: Mapping[str, Any], changes: tuple[str, ...] = (), *, learns: bool = True) -> RunFile:
    """Make the settings of a run from plain values, as `read_run_file` does from a file.

    A run that `learns` must have something to learn from.
    """
    table = expand(with_changes(table, changes))
    run: RunFile = _build(RunFile, table, "")
    if "flat" not in table and run.rater is not None and run.rater.plugin == PEOPLE:
        run = replace(run, flat=False)  # nobody is asked to read whole books unless the file says so
    if learns and run.train is None and not run.recorded:
        raise ConfigError("a run learns from [train] sources that are rated or [[recorded]] ratings; it has neither")
    return _checked(run)


def with_changes(table: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Return plain values with `key=value` changes carried out, keys dotted and values in TOML."""
    changed = dict(table)
    for change in changes:
        changed = _changed(changed, change)
    return changed


def _checked(run: RunFile) -> RunFile:
    if run.train is not None and run.rater is None:
        raise ConfigError("a run with [train] sources needs a [rater]")
    positive = {
        "policy.outputs": run.policy.outputs,
        "policy.root_outputs": run.policy.root_outputs,
        "target.trees": run.target.trees,
        "train.trees": run.train.trees if run.train else 1,
    }
    for key, value in positive.items():
        if value < 1:
            raise ConfigError(f"{key} must be 1 or more, got {value}")
    for recorded in run.recorded:
        if recorded.level != "root" and not (isinstance(recorded.level, int) and recorded.level >= 0):
            raise ConfigError(f'[[recorded]] level must be a number from 0 up or "root", got {recorded.level!r}')
    return run


def _changed(table: dict[str, Any], change: str) -> dict[str, Any]:
    key, separator, text = change.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"--set takes key=value, got {change!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string
    *path, last = key.strip().split(".")
    changed = dict(table)
    at = changed
    for name in path:
        inner = at.get(name, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {change}: {name!r} is not a table")
        at[name] = dict(inner)
        at = at[name]
    at[last] = value
    return changed


def _build(kind: type, table: Any, where: str) -> Any:
    if not isinstance(table, Mapping):
        raise ConfigError(f"[{where}] must be a table, got {table!r}")
    hints = get_type_hints(kind)
    known = {each.name: each for each in fields(kind)}
    for key in table:
        if key not in known:
            place = f"in [{where}]" if where else "at the top of the run file"
            raise ConfigError(f"unknown key {key!r} {place}; there are {', '.join(known)}")
    for name, each in known.items():
        if name not in table and each.default is MISSING and each.default_factory is MISSING:
            raise ConfigError(f"{_dotted(where, name)} is missing from the run file")
    return kind(**{key: _value(hints[key], value, _dotted(where, key)) for key, value in table.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if isinstance(hint, UnionType):
        kinds = [each for each in inner if each is not type(None)]
        if len(kinds) == 1:
            return None if value is None else _value(kinds[0], value, where)
        if not any(_fits(each, value) for each in kinds):
            raise _mistyped(where, " or ".join(each.__name__ for each in kinds), value)
        return value
    if is_dataclass(hint) and isinstance(hint, type):
        return _build(hint, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise _mistyped(where, "a list of tables ([[...]])", value)
        return tuple(_value(inner[0], each, f"{where}[{number}]") for number, each in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise _mistyped(where, "a table", value)
        return {
            key: each if inner[1] is Any else _value(inner[1], each, _dotted(where, key)) for key, each in value.items()
        }
    if not _fits(hint, value):
        raise _mistyped(where, hint.__name__, value)
    return float(value) if hint is float else value


def _fits(hint: Any, value: Any) -> bool:
    if hint is Any:
        return True
    if isinstance(value, bool) or hint is bool:
        return isinstance(value, bool) and hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


def _mistyped(where: str, wanted: str, value: Any) -> ConfigError:
    return ConfigError(f"{where} must be {wanted}, got {value!r}")


def _dotted(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
