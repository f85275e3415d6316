"""Which judges a plug-in could reach by an import: a look at its source, for what no guard at run time can see."""

import ast
import inspect
import sys
from collections.abc import Iterator

from rrm.core.protocols import GoldSet


def reaches_gold(part: object) -> list[str]:
    """Return the names under which the module of a plug-in imports a set that knows the truth.

    The whole module is read, imports within functions too; modules that it imports are not followed. What has no
    source, such as an object made at a prompt, tells nothing.
    """
    module = sys.modules.get(type(part).__module__)
    if module is None:
        return []
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError):
        return []
    named = dict.fromkeys(_names(tree, module.__name__))
    return [f"{place}.{name}" for place, name in named if _knows_the_truth(place, name)]


def _names(tree: ast.Module, module: str) -> Iterator[tuple[str, str]]:
    """Yield every name that a module imports from another, with that one's name."""
    package = module.rpartition(".")[0].split(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            place = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((place, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, name) for alias in node.names for name in _classes_of(alias.name))


def _classes_of(module: str) -> list[str]:
    known = vars(sys.modules[module]) if module in sys.modules else {}
    return [name for name, value in known.items() if isinstance(value, type)]


def _knows_the_truth(place: str, name: str) -> bool:
    found = vars(sys.modules[place]).get(name) if place in sys.modules else None
    if found is None or found is GoldSet:
        return False
    if not isinstance(found, type):
        return isinstance(found, GoldSet)
    return all(callable(vars(found).get(method)) for method in ("gold", "sources"))
