"""The table of rooms in docs/architecture.md, held against the imports that the code really has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).resolve().parents[1]

FREE = frozenset({"rrm", "rrm.__main__"})  # the package's own front doors
PLUGINS = frozenset({"decomposers", "tasks"})
_ROW = re.compile(r"^\| (?P<rooms>`[^|]*`) \| [^|]* \| (?P<others>[^|]*) \|$", re.MULTILINE)


def rooms_table(text: str) -> dict[str, frozenset[str]]:
    """What each room may import, as the table of rooms in docs/architecture.md says."""
    named = [(_names(row["rooms"])[0], row["others"].strip()) for row in _ROW.finditer(text)]
    table: dict[str, frozenset[str]] = {}
    for here, others in named:
        if but := re.fullmatch(r"all but (.*)", others):
            rooms = {room for room, _ in named if room not in PLUGINS} - {here, *_names(but[1])}
        else:
            rooms = set() if others == "–" else set(_names(others))
        table[here] = frozenset(rooms)
    return table


def _names(listed: str) -> list[str]:
    bare = [each.strip(" `").rstrip("/").replace("/", ".") for each in listed.split(",")]
    return [each if each.startswith("rrm.") or each in PLUGINS else f"rrm.{each}" for each in bare]


_TABLE = rooms_table((ROOT / "docs" / "architecture.md").read_text("utf-8"))
MAY_IMPORT = {here: others for here, others in _TABLE.items() if here.count(".") < 2}
INNER = {here: others for here, others in _TABLE.items() if here.count(".") == 2}
"""Rooms within a room, and what they may import of it."""


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    for package in ("rrm", "decomposers", "tasks"):
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def room(module: str) -> str | None:
    """The room of a module of ours, None for anyone else's."""
    top, _, rest = module.partition(".")
    if top in PLUGINS:
        return top
    if top != "rrm":
        return None
    return f"rrm.{rest.partition('.')[0]}" if rest else "rrm"


def imported(module: str, path: Path, known: frozenset[str]) -> Iterator[str]:
    """Every module that a file imports, at its top or inside a function, relative imports resolved."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in known else base


def edges(root: Path) -> dict[tuple[str, str], list[str]]:
    """The rooms that import one another, with the modules that do so."""
    known = frozenset(name for name, _ in modules(root))
    found: dict[tuple[str, str], list[str]] = {}
    for module, path in modules(root):
        here = room(module)
        assert here is not None
        for target in imported(module, path, known):
            there = room(target)
            if there is not None and there != here:
                found.setdefault((here, there), []).append(f"{module} imports {target}")
    return found


def faults(root: Path) -> list[str]:
    wrong = []
    for (here, there), where in edges(root).items():
        if here in FREE:
            allowed = there not in PLUGINS
        elif here in MAY_IMPORT:
            allowed = there in MAY_IMPORT[here] or (here, there) == ("rrm.cli", "rrm")  # for its version
        else:
            allowed = False
        if not allowed:
            wrong.extend(where)
    return wrong


def test_no_room_imports_one_that_the_table_does_not_give_it() -> None:
    assert faults(ROOT) == []


def test_every_room_is_in_the_table() -> None:
    rooms = {room(module) for module, _ in modules(ROOT)}
    assert rooms <= MAY_IMPORT.keys() | FREE
    assert MAY_IMPORT.keys() <= rooms, "the table names a room that is not there"
    assert "rrm.core" in rooms


def test_the_rooms_import_each_other_in_no_circle() -> None:
    inner = [edge for edge in edges(ROOT) if "rrm" not in edge]
    assert list(nx.simple_cycles(nx.DiGraph(inner))) == []


def inner_room(module: str) -> str:
    """The room within a room of a module, else the room that it stands in itself."""
    return next((each for each in INNER if module == each or module.startswith(f"{each}.")), room(module) or "")


def inner_faults(root: Path) -> list[str]:
    """Imports between a room's own rooms that the table does not give; its `app` alone may import them all."""
    known = frozenset(name for name, _ in modules(root))
    return [
        f"{module} imports {target}"
        for module, path in modules(root)
        for target in imported(module, path, known)
        if room(module) == room(target) in {room(each) for each in INNER}
        and (here := inner_room(module)) != (there := inner_room(target))
        and there not in INNER.get(here, frozenset())
        and module != f"{room(module)}.app"
    ]


def test_rooms_within_a_room_import_only_what_stands_beside_them() -> None:
    assert INNER
    assert {inner_room(module) for module, _ in modules(ROOT)} >= INNER.keys()
    assert inner_faults(ROOT) == []


@pytest.mark.parametrize(
    ("module", "line", "faulty"),
    [
        ("rrm/web/rater/own.py", "from rrm.web.admin import raters", True),
        ("rrm/web/access.py", "from rrm.web.rater import own", True),
        ("rrm/web/rater/own.py", "from rrm.web.access import allow", False),
        ("rrm/web/app.py", "from rrm.web import admin, rater", False),
    ],
)
def test_an_import_across_the_rooms_of_a_room_is_found(tmp_path: Path, module: str, line: str, faulty: bool) -> None:
    for path in ("rrm/web/admin/__init__.py", "rrm/web/admin/raters.py", "rrm/web/rater/__init__.py", module):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / module).write_text(line)
    assert bool(inner_faults(tmp_path)) is faulty


def test_the_table_itself_has_no_circle() -> None:
    table = nx.DiGraph((here, there) for here, others in MAY_IMPORT.items() for there in others)
    assert nx.is_directed_acyclic_graph(table)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("rrm/core/graph.py", "from rrm.store import open_store"),
        ("rrm/report/page.py", "def late():\n    import rrm.reward.fit"),
        ("rrm/web/app.py", "from ..pipeline import driver"),
        ("rrm/cli/main.py", "from rrm.store import open_store"),
        ("rrm/api/runs.py", "import tasks.books"),
        ("tasks/sums.py", "from decomposers import chunks"),
        ("decomposers/halves.py", "from rrm import policy"),
        ("rrm/attic/old.py", "import rrm.core"),
    ],
)
def test_an_import_that_goes_the_wrong_way_is_found(tmp_path: Path, module: str, line: str) -> None:
    for path in (
        "rrm/__init__.py",
        "rrm/policy/__init__.py",
        "rrm/pipeline/__init__.py",
        "decomposers/chunks.py",
        module,
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / module).write_text(line)
    assert len(faults(tmp_path)) == 1


def test_plugins_and_the_command_line_may_import_what_the_table_gives_them(tmp_path: Path) -> None:
    for path, line in {
        "rrm/api/runs.py": "from rrm.store import x\nfrom rrm.web import y",
        "rrm/cli/main.py": "from rrm.api import runs\nfrom rrm.core import errors",
        "decomposers/halves.py": "from rrm.core.task import Task\nimport torch",
        "tasks/sums.py": "from rrm.core import errors",
        "rrm/__init__.py": "def __getattr__(name):\n    import rrm.pipeline.recursion",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(line)
    assert faults(tmp_path) == []
