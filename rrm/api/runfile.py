"""Run files: TOML in, frozen settings out; every key is known, typed and documented in docs/run-files.md."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, get_args, get_type_hints

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
    model_validator,
    with_config,
)
from pydantic_core import PydanticCustomError

from rrm.api.plugins import expand, named, path_of
from rrm.assistants.secrets import without_secret_arguments
from rrm.core.errors import ConfigError, InputError, RrmError
from rrm.core.ids import content_id
from rrm.core.kinds import KINDS, ClaimMarks, Hindsight
from rrm.core.task import Source
from rrm.files.faults import SHOULD, UNKNOWN, dotted, fault_in, sentence
from rrm.files.texts import decoded

PEOPLE = "people"
"""The rater plug-in that stands for people, who answer through the record."""


def _level(level: object) -> object:
    if level == "root" or (isinstance(level, int) and not isinstance(level, bool) and level >= 0):
        return level
    raise PydanticCustomError("level", SHOULD + 'a number from 0 up or "root"')


def _rounds(data: object) -> object:
    if data in ("round", "all") or (isinstance(data, int) and not isinstance(data, bool) and data >= 1):
        return data
    raise PydanticCustomError("rounds", SHOULD + '"round", "all" or a number of rounds from 1 up')


def _questions(count: object) -> object:
    counts = count.values() if isinstance(count, dict) else [count]
    if all(isinstance(each, int) and not isinstance(each, bool) and each >= 0 for each in counts):
        return count
    raise PydanticCustomError("questions", SHOULD + "a valid integer from 0 up, or one for each criterion")


def _by_kind(table: object) -> object:
    unknown = next((key for key in table if key not in KINDS), None) if isinstance(table, dict) else None
    if unknown is None:
        return table
    told = f"there is no kind of feedback {unknown!r:.60}; there are {', '.join(KINDS)}"
    raise PydanticCustomError("kind", "{told}", {"told": told})


def _no_key(value: object) -> NoReturn:
    """Refuse what stands in the settings and is no key of a run file."""
    raise PydanticCustomError(UNKNOWN[0], "Unknown key")


Count = Annotated[StrictInt, Field(ge=1, le=100_000)]
"""A number of outputs, trees or rounds; of more, no run would see its end."""

Amount = Annotated[StrictInt, Field(ge=0)]
Positive = Annotated[StrictInt, Field(ge=1)]
Share = Annotated[StrictFloat, Field(gt=0, lt=1)]
PerNode = Annotated[
    dict[str, Annotated[StrictInt | dict[str, StrictInt], BeforeValidator(_questions)]], BeforeValidator(_by_kind)
]
PerSource = Annotated[dict[str, Count], BeforeValidator(_by_kind)]
Level = Annotated[int | Literal["root"], BeforeValidator(_level)]
"""A number from 0 (leaves) up, or "root": that of all roots, whatever their height."""

Rounds = Annotated[int | Literal["round", "all"], BeforeValidator(_rounds)]
"""This round, all rounds so far, or the last so many, this one with them."""


@dataclass(frozen=True)
class Part:
    """A plug-in and its arguments.

    `made` is the part itself where it was given as an object; `plugin` then names its class and `object` is its
    name, and only a call that is given the object again can go on with the run.
    """

    plugin: StrictStr
    arguments: dict[str, Any] = field(default_factory=dict)
    object: Annotated[StrictStr | None, Field(exclude_if=lambda name: name is None)] = None
    made: Annotated[Any, Field(exclude=True)] = field(default=None, repr=False, compare=False)

    @model_validator(mode="before")
    @classmethod
    def _table(cls, given: Any) -> Any:
        """Return a part's table, where the part itself, its import string or a list of sources was given instead."""
        plugin = given.get("plugin") if isinstance(given, Mapping) else given
        if (
            issubclass(cls, Sources)
            and isinstance(plugin, list | tuple)
            and all(isinstance(each, Source) for each in plugin)
        ):
            plugin = SourceList(tuple(plugin))
        if isinstance(plugin, str) and not isinstance(given, Mapping):
            return {"plugin": plugin}
        if plugin is None or isinstance(plugin, str | int | float | list | tuple):
            return given
        if isinstance(plugin, type):
            raise ValueError(
                f"it is the class {plugin.__name__}, where an object belongs: write {plugin.__name__}(...)"
            )
        table = given if isinstance(given, Mapping) else {}
        return {**table, "plugin": path_of(plugin), "object": named(plugin, path_of(plugin), {}).name, "made": plugin}


def by_people(rater: Part | None) -> bool:
    """Whether a rater's part is people."""
    return rater is not None and rater.plugin == PEOPLE


@dataclass(frozen=True)
class Sources(Part):
    """Where sources come from, and how many trees each gets."""

    trees: Count = 1


@dataclass(frozen=True)
class Targets(Sources):
    """Sources that are decided on; `weights` say by title how much each counts where questions are chosen, 1 else."""

    weights: dict[StrictStr, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = field(default_factory=dict)


@dataclass(frozen=True)
class PolicyPart(Part):
    """Who proposes, and how many outputs a node and a root get."""

    outputs: Count = 4
    root_outputs: Count = 8


@dataclass(frozen=True)
class RaterPart(Part):
    """Who rates, and how many questions of each kind a training node gets at a visit; a root may get others.

    An entry is a number, `rating = 2`, or numbers by criterion, `rating = { overall = 2, accuracy = 2 }`.

    `budget` is what raters may be asked in all: `{ minutes = 600 }`, `{ questions = 2000 }` or `{ by_level = ... }`.
    From the second round on a `sampler` chooses the questions of all levels, of the kinds that a node gets.
    A language model is asked up to `sheet` questions about one view by one call. `peeks` is the share of raters'
    minutes, beside the budget, that goes to looks at what outputs of roots claim in the source, `peeks_random` the
    share of these that is drawn and not chosen.
    `critiques` says which outputs what raters write about them speaks for; without it critiques teach nothing.
    `hindsight` says what comes of outputs, for questions of that kind. `critic`, who answers questions of the kind
    critique, writes what those who mark claims are shown about the output.
    """

    per_node: PerNode = field(default_factory=lambda: {"comparison": 3, "label": 2})
    per_root: PerNode | None = None
    random_share: Annotated[StrictFloat, Field(ge=0, le=1)] = 0.1
    budget: dict[str, Any] | None = None
    sampler: Part | None = None
    sheet: Count = 1
    critiques: Part | None = None
    hindsight: Part | None = None
    critic: Part | None = None
    peeks: Annotated[StrictFloat, Field(ge=0, lt=1)] = 0.0
    peeks_random: Annotated[StrictFloat, Field(gt=0, le=1)] = 1.0


@dataclass(frozen=True)
class RoundPart:
    """Rounds of the schedule: which levels and nodes each visits, and how many `times`."""

    levels: tuple[Level, ...] | None = None
    nodes: Part | None = None
    targets: StrictBool | None = None  # None: where all levels are visited
    improve: StrictBool = True
    times: Count = 1


@dataclass(frozen=True)
class ReusePart:
    """How looks at the judge of role select are answered so that it can be asked often: see `Thresholdout`."""

    answers: Count
    threshold: Annotated[StrictFloat, Field(ge=0)] = 0.05
    noise: Annotated[StrictFloat, Field(ge=0)] = 0.005


@dataclass(frozen=True)
class SelectPart(Part):
    """The judge of role select: a rater, the share of training sources that it alone rates, and its questions.

    With `reuse` a look at it is answered by the models of role train while both agree, and by it a few times at most.
    """

    share: Share = 0.25
    per_node: PerNode = field(default_factory=lambda: {"comparison": 3, "label": 2})
    reuse: ReusePart | None = None


@dataclass(frozen=True)
class ImprovePart(Part):
    """The optimiser that improves policies after a round, within `kl_budget` nats a node of the anchor.

    `score` says against what: an output's score by its level's model, or composed with what was read below it.
    With `budget_of` "tree", which needs `per_level`, `kl_budget` is in nats a tree. `data` says whose outputs it may
    learn from: this "round"'s, those of "all" rounds so far, or of the last so many, this one with them.
    """

    kl_budget: Annotated[StrictFloat, Field(gt=0)] = 1.0
    per_level: StrictBool = False
    start: Literal["last", "first"] = "last"
    anchor: Literal["first", "last"] = "first"
    data: Rounds = "round"
    score: Literal["level", "composed"] = "level"
    budget_of: Literal["node", "tree"] = "node"


@dataclass(frozen=True)
class SplitsPart(Part):
    """The optimiser of the decomposer: after each round but the last it learns which trees raters prefer.

    `rater` compares `candidates` trees of each training source, by `per_source` questions of each kind a round
    (without one, the run's rater does); `reward` learns the model of trees. `kl_budget` is in nats a cut.
    """

    candidates: Annotated[StrictInt, Field(ge=2)] = 4
    per_source: PerSource = field(default_factory=lambda: {"comparison": 4})
    kl_budget: Annotated[StrictFloat, Field(gt=0)] = 5.0
    rater: Part | None = None
    reward: Part = field(default_factory=lambda: Part("rrm.reward.splits:SplitRewards"))


@dataclass(frozen=True)
class GrowthPart:
    """How far a decomposer that grows its trees may go, source by source: see `rrm.core.graph.GrowthBudget`."""

    max_depth: Amount = 16
    max_nodes: Positive = 10_000
    max_splits: Amount = 16
    max_refusals: Amount = 2
    max_calls: Positive | None = None
    max_tokens: Positive | None = None
    subtree_share: Annotated[StrictFloat, Field(gt=0, le=1)] = 1.0


@dataclass(frozen=True)
class Recorded(Part):
    """Ratings made elsewhere, and the level that they are about."""

    level: Level = 0


@dataclass(frozen=True)
class RewardPart(Part):
    """The learner of reward models, where it runs, and which ratings it learns from.

    `data` says whether a round learns from the ratings of "all" rounds or of this "round" alone; those whose
    view has changed since count `stale_weight`.
    """

    plugin: StrictStr = "rrm.reward.frozen:Frozen"
    device: StrictStr = "auto"
    dtype: StrictStr = "auto"
    data: Literal["all", "round"] = "all"
    stale_weight: Annotated[StrictFloat, Field(gt=0, le=1)] = 0.5


@dataclass(frozen=True)
class AssistantPart:
    """A LangChain chat model by import string, how many calls may run at once, how often one is retried."""

    model: StrictStr
    arguments: dict[str, Any] = field(default_factory=dict)
    concurrency: Count = 8
    attempts: Count = 4


ENGINES = {"local": "rrm.engines.local:Local", "ray": "rrm.engines.ray:Ray", "dask": "rrm.engines.dask:Dask"}
"""The engines that have a short name."""


@dataclass(frozen=True)
class EnginePart(Part):
    """Who does the run's work: an import string, or the short name of one of `ENGINES`. It changes no result."""

    plugin: Annotated[StrictStr, AfterValidator(lambda name: ENGINES.get(name, name))] = ENGINES["local"]


@dataclass(frozen=True)
class Limits:
    """What the run may spend in all; None is no limit."""

    max_calls: Amount | None = None
    max_tokens: Amount | None = None


@with_config(extra="forbid")
@dataclass(frozen=True)
class RunFile:
    """A run, as its file says it; `folder` is where that file lies, None where there is none.

    `previous_context` says who reads what was said of earlier parts: the policy alone, or raters and models, too.
    """

    target: Targets
    decomposer: Part
    policy: PolicyPart
    name: StrictStr = "run"
    seed: StrictInt = 0
    previous_context: Literal["policy", "all"] = "policy"
    train: Sources | None = None
    rater: RaterPart | None = None
    recorded: tuple[Recorded, ...] = ()
    reward: RewardPart = field(default_factory=RewardPart)
    compose: Part = field(default_factory=lambda: Part("rrm.compose.composers:Informed"))
    rounds: Count = 1
    schedule: tuple[RoundPart, ...] = ()
    select: SelectPart | None = None
    improve: ImprovePart | None = None
    splits: SplitsPart | None = None
    growth: GrowthPart = field(default_factory=GrowthPart)
    flat: StrictBool | None = None  # None: only where raters cost neither money nor people's time
    assistants: dict[str, AssistantPart] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    engine: EnginePart = field(default_factory=EnginePart)
    folder: Annotated[Path | None, BeforeValidator(_no_key), Field(exclude=True)] = field(default=None, compare=False)

    @property
    def split_rater(self) -> Part | None:
        """Who compares decompositions: a rater of their own, or the run's; None where nobody does."""
        return None if self.splits is None else self.splits.rater or self.rater

    @property
    def people(self) -> Part | None:
        """The part whose arguments people's desk has, None where no people rate."""
        return next((part for part in (self.rater, self.split_rater) if by_people(part)), None)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values from which `run_file` makes the same settings.

        Parts given as objects stand by name, and secrets of assistants are left out. Raises
        ConfigError for arguments that JSON cannot hold.
        """
        try:
            plain: dict[str, Any] = json.loads(json.dumps(_adapter().dump_python(self)))
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"the arguments of a run's parts are JSON values, so that it can be resumed: {error}"
            ) from error
        for assistant in plain["assistants"].values():
            assistant["arguments"] = without_secret_arguments(assistant["arguments"])
        return plain


def read_run_file(path: Path, changes: tuple[str, ...] = ()) -> RunFile:
    """Read a run file and apply `key=value` changes, keys dotted and values in TOML.

    Raises ConfigError naming the key for anything unknown, mistyped or missing.
    """
    try:
        text = decoded(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"the run file {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"the run file {path} cannot be read: {error}") from error
    try:
        table = tomllib.loads(text.replace("\r\n", "\n"))
    except RecursionError as error:
        raise ConfigError(f"the run file {path} nests too deeply") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the run file {path} is not TOML: {error}{_remedy(text, error)}") from error
    return replace(run_file(table, changes), folder=path.parent.resolve())


def _remedy(text: str, error: tomllib.TOMLDecodeError) -> str:
    """Return what to do about a line that is no TOML for one of the usual reasons, to be put after the error."""
    place = re.search(r"\(at line (\d+)", str(error))
    line = text.splitlines()[int(place[1]) - 1] if place else ""
    if re.search("[“”„«»‘’]", line):
        return "; its quotation marks are typographic ones: write \" or '"
    if "\\" in line:
        return "; a backslash begins an escape: write paths with / or in single quotes"
    return ""


def run_file(table: Mapping[str, Any], changes: tuple[str, ...] = (), *, learns: bool = True) -> RunFile:
    """Make the settings of a run from plain values, as `read_run_file` does from a file.

    A run that `learns` must have something to learn from.
    """
    changed = _expanded(with_changes(table, changes))
    for where in _not_finite(changed):
        raise ConfigError(f"{where} must be a finite number")
    run = _read(changed)
    if learns and run.train is None and not run.recorded:
        raise ConfigError("a run learns from [train] sources that are rated or [[recorded]] ratings; it has neither")
    if run.train is not None and run.rater is None:
        raise ConfigError("a run with [train] sources needs a [rater]")
    if learns and run.rater is not None and not (_asks(run.rater.per_node) or _asks(run.rater.per_root or {})):
        raise ConfigError("[rater] per_node and per_root ask no question: give a kind of feedback a number above 0")
    if run.splits is not None and not run.splits.per_source:
        raise ConfigError("[splits] per_source asks no question: give a kind of feedback a number above 0")
    _check_hindsight(run)
    _check_critic(run)
    if run.rater is not None and run.rater.peeks_random < 1 and not run.rater.peeks:
        raise ConfigError("[rater] peeks_random is a share of peeks, and there are none: set peeks, or leave it out")
    if run.rater is not None and run.rater.sheet > 1 and by_people(run.rater):
        raise ConfigError("[rater] sheet is for language models: people's sheets are a setting, rater.arguments.sheet")
    desks = [part.arguments for part in (run.rater, run.split_rater) if part is not None and by_people(part)]
    if len(desks) == 2 and desks[1] not in ({}, desks[0]):
        raise ConfigError("[splits.rater] arguments: people have one desk, whose settings stand under [rater]")
    if run.rounds > 1 and run.schedule:
        raise ConfigError("a run says its rounds by number (rounds = 2) or as a [[schedule]], not both")
    if learns:
        _check_learns_between(run)
    return run


def _check_hindsight(run: RunFile) -> None:
    """Raise ConfigError for questions in hindsight without somebody who says what comes of outputs, or the reverse."""
    kind = Hindsight.kind
    if run.splits is not None and kind in run.splits.per_source:
        raise ConfigError(f"[splits] per_source: nothing comes of a decomposition to be shown: leave {kind} out")
    tables = {"[rater] per_node": run.rater.per_node, "[rater] per_root": run.rater.per_root} if run.rater else {}
    tables |= {"[select] per_node": run.select.per_node} if run.select else {}
    asking = [where for where, table in tables.items() if table and _asks({kind: table.get(kind, 0)})]
    told = run.rater is not None and run.rater.hindsight is not None
    if asking and not told:
        raise ConfigError(
            f"{asking[0]} asks for {kind}, and nobody says what comes of outputs: set [rater] hindsight ="
            ' { plugin = "rrm.raters.rollouts:Cloze" }, or leave the kind out'
        )
    if told and not asking:
        raise ConfigError(
            f"[rater] hindsight says what comes of outputs, and nobody is shown it: ask for the kind, per_node ="
            f" {{ comparison = 3, {kind} = 2 }}, or leave it out"
        )


def _check_critic(run: RunFile) -> None:
    """Raise ConfigError for a critic whose critiques nobody is shown."""
    if run.rater is None or run.rater.critic is None:
        return
    tables = (run.rater.per_node, run.rater.per_root or {})
    if not any(_asks({ClaimMarks.kind: table.get(ClaimMarks.kind, 0)}) for table in tables):
        raise ConfigError(
            "[rater] critic writes about outputs, and nobody is shown it: it is for those who mark claims, so ask for"
            f" the kind, per_node = {{ label = 2, {ClaimMarks.kind} = 1 }}, or leave it out"
        )
    if by_people(run.rater.critic):
        raise ConfigError(
            "[rater] critic: people cannot write what others are shown while a level is open: take a language model,"
            ' { plugin = "rrm.raters.assistant:AssistantRater" }, or a rater of your own that writes critiques'
        )


def _check_learns_between(run: RunFile) -> None:
    """Raise ConfigError for an [improve] or [splits] that no round of the run would come to."""
    improving = [part.improve for part in run.schedule for _ in range(part.times)] or [True] * run.rounds
    for name, part, whose, after in (
        ("improve", run.improve, "policies are improved", improving[:-1]),
        ("splits", run.splits, "the decomposer learns", [True] * (len(improving) - 1)),
    ):
        if part is not None and not any(after):
            has = "none of these has improve = true" if after else f"this run has {len(improving)}"
            raise ConfigError(
                f"[{name}] would do nothing: {whose} after every round but the last, and {has}; "
                f"give the run more rounds (rounds = 2) or leave [{name}] out"
            )


def _asks(questions: Mapping[str, int | Mapping[str, int]]) -> bool:
    return any(any(each.values()) if isinstance(each, Mapping) else each for each in questions.values())


def _not_finite(value: object, where: tuple[str | int, ...] = ()) -> Iterator[str]:
    """Yield where numbers stand that are infinite or none, which no record can hold."""
    if isinstance(value, float) and not isfinite(value):
        yield dotted(where)
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, each in inner:
        yield from _not_finite(each, (*where, key if isinstance(key, int) else str(key)))


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


def with_engine(run: RunFile, name: str | None) -> RunFile:
    """Return settings with another engine, by its short name or import string; the same one keeps its arguments.

    Only the local one does not: who names it wants the run's process alone, without workers.
    """
    plugin = None if name is None else ENGINES.get(name, name)
    if plugin is None or (plugin == run.engine.plugin and plugin != ENGINES["local"]):
        return run
    return replace(run, engine=EnginePart(plugin))


def with_changes(table: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Return plain values with `key=value` changes carried out, keys dotted and values in TOML."""
    changed = dict(table)
    for change in changes:
        changed = _changed(changed, change)
    return changed


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


# ---- from a table to settings ----


@cache
def _adapter() -> TypeAdapter[RunFile]:
    return TypeAdapter(RunFile)


def _read(table: Mapping[str, Any]) -> RunFile:
    """Make settings of a table; raise ConfigError for its first fault, without the values of other keys."""
    try:
        return _adapter().validate_python(dict(table))
    except ValidationError as error:
        fault = fault_in(error)
    cause = fault.get("ctx", {}).get("error")
    if isinstance(cause, RrmError):  # of a part that was given as an object
        raise cause
    *tables, key = fault["loc"]
    if fault["type"] in UNKNOWN:
        raise ConfigError(_unknown(str(key), tables))
    if fault["type"] == "missing":
        raise ConfigError(f"{sentence(fault)} from the run file")
    if fault["type"] in ("dataclass_type", "dict_type"):
        raise ConfigError(f"[{dotted(fault['loc'])}] must be a table, got {fault['input']!r}")
    if fault["type"] == "tuple_type":
        wanted = "a list" if tables else f"a list of tables ([[{key}]])"
        raise ConfigError(f"{dotted(fault['loc'])} must be {wanted}, got {fault['input']!r}")
    raise ConfigError(sentence(fault))


def _unknown(key: str, tables: Sequence[str | int]) -> str:
    """Say that a table has no such key, which comes nearest, and what there is."""
    kind: Any = RunFile
    for step in tables:  # numbers in lists and names of assistants lead to no other kind of table
        hint = get_type_hints(kind).get(str(step))
        kind = next((each for each in (hint, *get_args(hint)) if is_dataclass(each)), kind)
    keys = [each.name for each in fields(kind) if each.name not in ("object", "made", "folder")]
    place = f"in [{dotted(tables)}]" if tables else "at the top of the run file"
    nearest = "".join(f"did you mean {near!r}? " for near in get_close_matches(key, keys, 1))
    return f"unknown key {key!r} {place}; {nearest}there are {', '.join(keys)}"
