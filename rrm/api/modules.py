"""Finding the modules that a run file names: one look-up for all callers, however many modules there are.

First come the folder of the run file, then the current folder, then what is installed. Under the names of rrm's own
packages, its own modules come first, and a user's are found for what those lack: a folder that happens
to hold a `tasks.py` breaks nothing.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from rrm.core.errors import PluginError

PLUGINS = frozenset({"decomposers", "tasks"})
"""rrm's packages of plug-ins, whose names others use, too."""

_HOME = Path(__file__).resolve().parents[2]


def find_module(name: str, folder: Path | None = None) -> ModuleType:
    """Import the module of this dotted name; `folder` is the run file's.

    Raises what the import raises, and PluginError where another module of that name is loaded already: one
    process can have one only.
    """
    places = list(dict.fromkeys(place.resolve() for place in (folder, Path.cwd()) if place is not None))
    ahead = [str(place) for place in places]
    sys.path[:] = [*ahead, *(path for path in sys.path if path not in ahead)]
    importlib.invalidate_caches()
    top = name.partition(".")[0]
    if top in PLUGINS:
        _put_ours_first(top, places)
        _refuse_another(name, PathFinder.find_spec(name, list(sys.modules[top].__path__)) if "." in name else None)
    elif top not in ("rrm", "__main__"):
        _refuse_another(top, PathFinder.find_spec(top, ahead))
    return importlib.import_module(name)


def beside(name: str, folder: Path | None = None) -> ModuleType | None:
    """Return the user's module with the name of one of rrm's packages of plug-ins, None if there is none.

    It is known to Python by another name, for there can be one of each name only.
    """
    if name not in PLUGINS:
        return None
    places = [str(place.resolve()) for place in (folder, Path.cwd()) if place is not None]
    spec = PathFinder.find_spec(name, places)
    if spec is None or spec.origin is None or _same(spec.origin, _HOME / name / "__init__.py"):
        return None
    alias = f"users_{name}"
    made = spec_from_file_location(alias, spec.origin, submodule_search_locations=spec.submodule_search_locations)
    _refuse_another(alias, made)
    return sys.modules[alias] if alias in sys.modules else _load(made)


def _put_ours_first(top: str, places: Sequence[Path]) -> None:
    """Have rrm's own package of this name look among its own modules first, and then in the users' folders."""
    ours = _HOME / top
    package = sys.modules.get(top) or _load(
        spec_from_file_location(top, ours / "__init__.py", submodule_search_locations=[str(ours)])
    )
    users = [str(place / top) for place in places if (place / top).is_dir()]
    # a user's own module of that name may be loaded already: then it is the one that learns where ours are
    package.__path__ = list(dict.fromkeys([str(ours), *getattr(package, "__path__", ()), *users]))


def _load(spec: ModuleSpec | None) -> ModuleType:
    assert spec is not None  # the file is there
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _refuse_another(name: str, found: ModuleSpec | None) -> None:
    """Raise PluginError if a module of this name is loaded, and from elsewhere than it was found."""
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded is None or found is None or found.origin is None or _same(loaded, Path(found.origin)):
        return
    raise PluginError(
        f"the module {name!r} is loaded from {loaded} already, and {found.origin} cannot be loaded beside it in one"
        " process: rename one of them"
    )


def _same(one: str, other: Path) -> bool:
    return Path(one).resolve() == other.resolve()
