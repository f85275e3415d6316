"""Plug-ins by import string: `package.module:Name`, made with the arguments of the run file."""

import inspect
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rrm.api.modules import beside, find_module
from rrm.core.arguments import misfits
from rrm.core.errors import ConfigError, PluginError, RrmError, in_one_line
from rrm.core.ids import content_id
from rrm.core.protocols import (
    AsyncDecomposer,
    AsyncGrounder,
    AsyncGrowingDecomposer,
    AsyncPolicy,
    AsyncRater,
    AsyncRollout,
)

DATA = "../shared/data"
"""Where real data lie unless the environment variable RRM_DATA says so."""


def load(path: str, folder: Path | None = None) -> Any:
    """Return what an import string names, looked up as `rrm.api.modules` says; `folder` is the run file's.

    Raises PluginError, in one sentence, if it cannot be had.
    """
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise PluginError(f"{path!r} is no import string: write package.module:Name")
    try:
        with stays_alive(repr(path)):
            module = find_module(module_name, folder)
        found = getattr(module, attribute, None)
        if found is None and (users := beside(module_name, folder)) is not None:
            module, found = users, getattr(users, attribute, None)
    except ModuleNotFoundError as error:
        raise PluginError(f"{path!r} cannot be imported: {error}; {_looked(folder)}") from error
    except ImportError as error:
        raise PluginError(f"{path!r} cannot be imported: {error}") from error
    except PluginError:
        raise
    except Exception as error:
        cause = f"{type(error).__name__}: {in_one_line(error)}"
        raise PluginError(f"{path!r} fails while it is imported: {cause}") from error
    if found is None:
        raise PluginError(f"{getattr(module, '__file__', None) or module_name} has no {attribute!r}")
    return found


def make(
    path: str, arguments: Mapping[str, Any], offered: Mapping[str, Any], where: str, folder: Path | None = None
) -> Any:
    """Call what an import string names with its arguments, and with those offered parts that it asks for.

    An argument `learner` that is an import string, and any argument that is a table with a `plugin` and its
    `arguments`, is a part itself, and is made first in the same way; so is each in a list of these, as `learners` is
    one. `where` names the run file's table in messages, `folder` is the run file's. Raises ConfigError for arguments
    that do not fit.
    """
    plugin = load(path, folder)
    arguments = {key: _inner(key, value, offered, where, folder) for key, value in arguments.items()}
    try:
        parameters = inspect.signature(plugin).parameters
    except (TypeError, ValueError) as error:
        raise PluginError(f"[{where}] {path!r} is not something that can be called") from error
    given = {name: part for name, part in offered.items() if name in parameters and name not in arguments}
    try:
        bound = inspect.signature(plugin).bind(**given, **_tuples(arguments))
    except TypeError as error:
        known = ", ".join(parameters) or "none"
        raise ConfigError(f"[{where}] the arguments do not fit {path}: {error}; it takes {known}") from error
    for sentence in misfits(plugin, arguments):
        raise ConfigError(f"[{where}] arguments.{sentence}")
    try:
        with stays_alive(f"[{where}] {path}"):
            return plugin(*bound.args, **bound.kwargs)
    except RrmError:
        raise
    except Exception as error:
        cause = f"{type(error).__name__}: {in_one_line(error)}"
        raise ConfigError(f"[{where}] {path} refused its arguments: {cause}") from error


def _inner(key: str, value: Any, offered: Mapping[str, Any], where: str, folder: Path | None) -> Any:
    """Return an argument, or the part that it names, or the parts in a list of them."""
    if isinstance(value, list):
        return [_inner(key, each, offered, where, folder) for each in value]
    table: Any = {"plugin": value} if key in ("learner", "learners") and isinstance(value, str) else value
    if not isinstance(table, Mapping) or not isinstance(table.get("plugin"), str):
        return value
    if unknown := table.keys() - {"plugin", "arguments"}:
        raise ConfigError(f"[{where}] arguments.{key} has a plugin and arguments, and no {', '.join(sorted(unknown))}")
    arguments = table.get("arguments", {})
    return named(make(table["plugin"], arguments, offered, where, folder), table["plugin"], arguments)


def waits(part: object) -> bool:
    """Say whether a part waits for somebody, such as a language model, and is asked about many things at once."""
    return isinstance(
        part,
        AsyncDecomposer | AsyncGrounder | AsyncGrowingDecomposer | AsyncPolicy | AsyncRater | AsyncRollout,
    )


def named(part: object, path: str, arguments: Mapping[str, Any]) -> Any:
    """Return a part that has a name: its own, or one derived from its import string and its arguments.

    That is the one rule of names: what changes what a part does must change its name. A part whose results hang on
    more than its arguments, such as a file, needs a `name` of its own that covers it. Raises PluginError
    for a part without a name that cannot be given one.
    """
    own = getattr(part, "name", None)
    if own is not None and not (isinstance(own, str) and own.strip()):
        raise PluginError(f"the `name` of {path} must be a text that covers every setting of it, got {own!r:.60}")
    if own is not None:
        if own != getattr(part, "name", None):
            raise PluginError(f"the `name` of {path} is another each time: it must be the same for the same settings")
        return part
    settings = vars(part) if hasattr(part, "__dict__") and not arguments else arguments
    try:
        object.__setattr__(part, "name", f"{path}#{content_id('part', dict(settings))[-12:]}")
    except (AttributeError, TypeError, ValueError) as error:
        raise PluginError(f"{path} needs a `name` that covers every setting of it: {error}") from error
    return part


@contextmanager
def stays_alive(part: str = "it") -> Iterator[None]:
    """Turn what a part raises to end more than itself into PluginError, which names the `part`.

    That is `sys.exit()`, or a GeneratorExit, which would close the generator that runs the part instead of failing it.
    """
    try:
        yield
    except (SystemExit, GeneratorExit) as error:
        why = f": {error}" if str(error) else ""
        ended = f"{part} ends the program ({type(error).__name__}{why})"
        raise PluginError(f"{ended}, which no part may: raise an error instead") from error


def path_of(part: object) -> str:
    """Return the import string of a part's class."""
    return f"{type(part).__module__}:{type(part).__qualname__}"


def takes(path: str, argument: str, folder: Path | None = None) -> bool:
    """Whether what an import string names takes an argument of this name."""
    try:
        return argument in inspect.signature(load(path, folder)).parameters
    except (TypeError, ValueError):  # nothing that can be called, which `make` says in words
        return False


def expand(value: Any) -> Any:
    """Replace `${NAME}` in every string by the environment's value; RRM_DATA is ../shared/data unless set.

    Raises ConfigError for a variable that is not set, and where RRM_DATA leads to no folder.
    """
    if isinstance(value, str) and "${" in value:
        known = {"RRM_DATA": DATA, **os.environ}
        for name in {part.split("}")[0] for part in value.split("${")[1:]}:
            if name not in known:
                raise ConfigError(f"{value!r} needs the environment variable {name}, which is not set")
            if name == "RRM_DATA" and not Path(known[name]).is_dir():
                raise ConfigError(
                    f"{value!r}: there is no folder {known[name]}; set RRM_DATA to the folder of real data"
                    " (README.md says where they come from)"
                )
            value = value.replace(f"${{{name}}}", known[name])
    if isinstance(value, Mapping):
        return {key: expand(each) for key, each in value.items()}
    return [expand(each) for each in value] if isinstance(value, list) else value


def _tuples(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}


def _looked(folder: Path | None) -> str:
    places = dict.fromkeys(str(place.resolve()) for place in (folder, Path.cwd()) if place is not None)
    return f"looked in {', '.join(places)} and among installed packages: put it there or install its package"
