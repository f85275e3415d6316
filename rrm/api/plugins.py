"""Plug-ins by import string: `package.module:Name`, made with the arguments of the run file."""

import importlib
import inspect
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rrm.core.errors import ConfigError, PluginError, RrmError


def load(path: str) -> Any:
    """Return what an import string names; raise PluginError, saying which file shadows which, if it cannot.

    The current folder comes before installed packages, as with `python -m`, so that a run file can
    name a module that lies beside it.
    """
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise PluginError(f"{path!r} is no import string: write package.module:Name")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise PluginError(f"{path!r} cannot be imported: {error}{_shadow(module_name)}") from error
    except Exception as error:
        raise PluginError(f"{path!r} fails while it is imported: {type(error).__name__}: {error}") from error
    found = getattr(module, attribute, None)
    if found is None:
        raise PluginError(f"{module.__file__} has no {attribute!r}{_shadow(module_name)}")
    return found


def make(path: str, arguments: Mapping[str, Any], offered: Mapping[str, Any], where: str) -> Any:
    """Call what an import string names with its arguments, and with those offered parts that it asks for.

    `where` names the run file's table in messages. Raises ConfigError for arguments that do not fit.
    """
    plugin = load(path)
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
    try:
        return plugin(*bound.args, **bound.kwargs)
    except RrmError:
        raise
    except Exception as error:
        raise ConfigError(f"[{where}] {path} refused its arguments: {type(error).__name__}: {error}") from error


def expand(value: Any) -> Any:
    """Replace `${NAME}` in every string by the environment's value; RRM_DATA is ../shared/data unless set."""
    if isinstance(value, str) and "${" in value:
        known = {"RRM_DATA": "../shared/data", **os.environ}
        for name in {part.split("}")[0] for part in value.split("${")[1:]}:
            if name not in known:
                raise ConfigError(f"{value!r} needs the environment variable {name}, which is not set")
            value = value.replace(f"${{{name}}}", known[name])
    if isinstance(value, Mapping):
        return {key: expand(each) for key, each in value.items()}
    return [expand(each) for each in value] if isinstance(value, list) else value


def _tuples(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}


def _shadow(module_name: str) -> str:
    """Say which file a general name such as `tasks` was found in, where that is likely the mistake."""
    top = module_name.partition(".")[0]
    found = sys.modules.get(top)
    file = getattr(found, "__file__", None) or next(iter(getattr(found, "__path__", [])), None)
    if file is None:
        return ""
    ours = Path(__file__).resolve().parents[2] / top
    if ours.is_dir() and Path(file).resolve() not in (ours / "__init__.py", ours):
        return f"; the module {top!r} was found in {file}, which shadows rrm's own in {ours}"
    return f" (the module {top!r} was found in {file})"
