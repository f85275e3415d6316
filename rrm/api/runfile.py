"""Run files: TOML in, frozen settings out; every key is known, typed and documented in docs/run-files.md."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from rrm.api.plugins import expand, named, path_of
from rrm.assistants.secrets import without_secret_arguments
from rrm.core.errors import ConfigError, InputError
from rrm.core.ids import content_id
from rrm.core.task import Source

PEOPLE = "people"
"""The rater plug-in that stands for people, who answer through the record."""


@dataclass(frozen=True)
class Part:
    """A plug-in and its arguments.

    `made` is the part itself where it was given as an object; `plugin` then names its class and `object` is its
    name, and only a call that is given the object again can go on with the run.
    """

    plugin: str
    arguments: dict[str, Any] = field(default_factory=dict)
    object: str | None = None
    made: Any = field(default=None, repr=False, compare=False, metadata={"key": False})


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
    """Who rates, and how many questions of each kind a training node gets at a visit; a root may get others.

    `budget` is what raters may be asked in all: `{ minutes = 600 }`, `{ questions = 2000 }` or `{ by_level = ... }`.
    """

    per_node: dict[str, int] = field(default_factory=lambda: {"comparison": 3, "label": 2})
    per_root: dict[str, int] | None = None
    random_share: float = 0.1
    budget: dict[str, Any] | None = None


@dataclass(frozen=True)
class RoundPart:
    """Rounds of the schedule: which levels and nodes each visits, and how many `times`."""

    levels: tuple[Any, ...] | None = None
    nodes: Part | None = None
    targets: bool | None = None  # None: where all levels are visited
    improve: bool = True
    times: int = 1


@dataclass(frozen=True)
class SelectPart(Part):
    """The judge of role select: a rater, the share of training sources that it alone rates, and its questions."""

    share: float = 0.25
    per_node: dict[str, int] = field(default_factory=lambda: {"comparison": 3, "label": 2})


@dataclass(frozen=True)
class ImprovePart(Part):
    """The optimiser that improves policies after a round, within `kl_budget` nats a node of the anchor."""

    kl_budget: float = 1.0
    per_level: bool = False
    start: str = "last"
    anchor: str = "first"


@dataclass(frozen=True)
class GrowthPart:
    """How far a decomposer that grows its trees may go, source by source."""

    max_depth: int = 16
    max_nodes: int = 10_000
    max_splits: int = 16
    max_refusals: int = 2


@dataclass(frozen=True)
class Recorded(Part):
    """Ratings made elsewhere; `level` is a number from 0 (leaves) up, or "root"."""

    level: int | str = 0


@dataclass(frozen=True)
class RewardPart(Part):
    """The learner of reward models, where it runs, and which ratings it learns from.

    `data` says whether a round learns from the ratings of "all" rounds or of this "round" alone; those whose
    view has changed since count `stale_weight`.
    """

    plugin: str = "rrm.reward.frozen:Frozen"
    device: str = "auto"
    dtype: str = "auto"
    data: str = "all"
    stale_weight: float = 0.5


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
    """A run, as its file says it; `folder` is where that file lies, None where there is none."""

    target: Sources
    decomposer: Part
    policy: PolicyPart
    name: str = "run"
    seed: int = 0
    train: Sources | None = None
    rater: RaterPart | None = None
    recorded: tuple[Recorded, ...] = ()
    reward: RewardPart = field(default_factory=RewardPart)
    compose: Part = field(default_factory=lambda: Part("rrm.compose.composers:Mean"))
    rounds: int = 1
    schedule: tuple[RoundPart, ...] = ()
    select: SelectPart | None = None
    improve: ImprovePart | None = None
    growth: GrowthPart = field(default_factory=GrowthPart)
    flat: bool | None = None  # None: only where raters cost neither money nor people's time
    assistants: dict[str, AssistantPart] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    folder: Path | None = field(default=None, compare=False, metadata={"key": False})

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values from which `run_file` makes the same settings.

        Parts given as objects stand by name, and secrets of assistants are left out.
        """
        table = _plain(replace(self, folder=None))
        del table["folder"]
        plain: dict[str, Any] = json.loads(json.dumps(table))
        for assistant in plain["assistants"].values():
            assistant["arguments"] = without_secret_arguments(assistant["arguments"])
        return plain


def _plain(value: Any) -> Any:
    """Return settings as plain values, without the objects that parts were given as (which nothing may copy)."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if not is_dataclass(value):
        return value
    table = {each.name: _plain(getattr(value, each.name)) for each in fields(value) if each.name != "made"}
    return {key: each for key, each in table.items() if key != "object" or each is not None}


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
    return replace(run_file(table, changes), folder=path.parent.resolve())


def run_file(table: Mapping[str, Any], changes: tuple[str, ...] = (), *, learns: bool = True) -> RunFile:
    """Make the settings of a run from plain values, as `read_run_file` does from a file.

    A run that `learns` must have something to learn from.
    """
    table = _expanded(with_changes(table, changes))
    run: RunFile = _build(RunFile, table, "")
    if learns and run.train is None and not run.recorded:
        raise ConfigError("a run learns from [train] sources that are rated or [[recorded]] ratings; it has neither")
    return _checked(run)


def run_of(parts: Mapping[str, Any]) -> RunFile:
    """Make the settings of a run from parts given as objects, and all other keys of a run file.

    A key such as `policy` takes an object, an import string, or a table whose `plugin` is one of these;
    `train` and `target` take a list of sources, too.
    """
    return run_file({key: value for key, value in parts.items() if value is not None})


def _expanded(table: Mapping[str, Any]) -> dict[str, Any]:
    """Expand `${NAME}` everywhere but in the arguments of assistants, which may be secrets: see `rrm.api.wiring`."""
    assistants = table.get("assistants")
    plain: dict[str, Any] = expand({key: value for key, value in table.items() if key != "assistants"})
    if not isinstance(assistants, Mapping):
        return plain if assistants is None else {**plain, "assistants": assistants}
    return {**plain, "assistants": {name: _expanded_assistant(part) for name, part in assistants.items()}}


def _expanded_assistant(part: Any) -> Any:
    if not isinstance(part, Mapping):
        return part
    return {key: value if key == "arguments" else expand(value) for key, value in part.items()}


def with_objects(run: RunFile, parts: Mapping[str, Any]) -> RunFile:
    """Return settings with the parts that a run was given as objects; raise InputError for others than it had."""
    given: dict[str, Any] = {}
    for key, made in parts.items():
        part = getattr(run, key, None)
        if not isinstance(part, Part) or part.object is None:
            raise InputError(f"the run was given no {key} as an object, so none is needed now")
        name = named(made, path_of(made), {}).name
        if name != part.object:
            raise InputError(f"the run's {key} is {part.object}, and this one is {name}")
        given[key] = replace(part, made=made)
    return replace(run, **given)


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
    one_of = {
        "reward.data": (run.reward.data, ("all", "round")),
        "improve.start": (run.improve.start if run.improve else "last", ("last", "first")),
        "improve.anchor": (run.improve.anchor if run.improve else "first", ("first", "last")),
    }
    for key, (choice, allowed) in one_of.items():
        if choice not in allowed:
            raise ConfigError(f"{key} is one of {', '.join(allowed)}, got {choice!r}")
    if run.rounds < 1 or any(each.times < 1 for each in run.schedule):
        raise ConfigError("rounds and schedule.times must be 1 or more")
    if run.rounds > 1 and run.schedule:
        raise ConfigError("a run says its rounds by number (rounds = 2) or as a [[schedule]], not both")
    if not 0 < run.reward.stale_weight <= 1:
        raise ConfigError(f"reward.stale_weight lies above 0 and up to 1, got {run.reward.stale_weight}")
    if run.improve is not None and not run.improve.kl_budget > 0:
        raise ConfigError(f"improve.kl_budget is above 0 nats a node, got {run.improve.kl_budget}")
    if run.select is not None and not 0 < run.select.share < 1:
        raise ConfigError(f"select.share lies between 0 and 1, got {run.select.share}")
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


@dataclass(frozen=True)
class SourceList:
    """Sources given as a list."""

    given: tuple[Source, ...]

    @property
    def name(self) -> str:
        return content_id("sources", [source.id for source in self.given])

    def sources(self) -> list[Source]:
        return list(self.given)


def _part_table(kind: type, table: Any) -> Any:
    """Return a part's table, where the part itself, its import string or a list of sources was given instead."""
    if not issubclass(kind, Part):
        return table
    plugin = table.get("plugin") if isinstance(table, Mapping) else table
    if kind is Sources and isinstance(plugin, list | tuple) and all(isinstance(each, Source) for each in plugin):
        plugin = SourceList(tuple(plugin))
    if isinstance(plugin, str) and not isinstance(table, Mapping):
        return {"plugin": plugin}
    if plugin is None or isinstance(plugin, str | int | float | list | tuple):
        return table
    table = table if isinstance(table, Mapping) else {}
    return {**table, "plugin": path_of(plugin), "object": named(plugin, path_of(plugin), {}).name, "made": plugin}


def _build(kind: type, table: Any, where: str) -> Any:
    table = _part_table(kind, table)
    if not isinstance(table, Mapping):
        raise ConfigError(f"[{where}] must be a table, got {table!r}")
    hints = get_type_hints(kind)
    known = {each.name: each for each in fields(kind) if each.metadata.get("key", True)}
    made = {"made": table["made"]} if issubclass(kind, Part) and "made" in table else {}
    table = {key: value for key, value in table.items() if key not in made}
    for key in table:
        if key not in known:
            place = f"in [{where}]" if where else "at the top of the run file"
            told = ", ".join(name for name in known if name != "object")  # which the record alone has
            raise ConfigError(f"unknown key {key!r} {place}; there are {told}")
    for name, each in known.items():
        if name not in table and each.default is MISSING and each.default_factory is MISSING:
            raise ConfigError(f"{_dotted(where, name)} is missing from the run file")
    return kind(**made, **{key: _value(hints[key], value, _dotted(where, key)) for key, value in table.items()})


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
