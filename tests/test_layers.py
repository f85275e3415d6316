"""The rooms table of DESIGN.md, held against the imports that the code really has."""

import ast
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).resolve().parents[1]

MAY_IMPORT: dict[str, frozenset[str]] = {
    room: frozenset(others.split())
    for room, others in {
        "rrm.core": "",
        "rrm.agreement": "rrm.core",
        "rrm.assistants": "rrm.core",
        "rrm.backbone": "rrm.core",
        "rrm.feedback": "rrm.core rrm.agreement",
        "rrm.raters": "rrm.core rrm.feedback",
        "rrm.reward": "rrm.core rrm.backbone rrm.feedback",
        "rrm.policy": "rrm.core rrm.backbone",
        "rrm.evaluate": "rrm.core rrm.agreement rrm.feedback",
        "rrm.interchange": "rrm.core",
        "rrm.pipeline": "rrm.core rrm.feedback rrm.reward rrm.policy rrm.evaluate",
        "rrm.store": "rrm.core",
        "rrm.report": "rrm.core",
        "rrm.web": "rrm.core rrm.agreement rrm.report rrm.interchange",
        "rrm.verify": "rrm.core rrm.feedback rrm.reward rrm.policy rrm.evaluate",
        "decomposers": "rrm.core rrm.backbone rrm.feedback",
        "tasks": "rrm.core",
    }.items()
}
FREE = frozenset({"rrm", "rrm.__main__", "rrm.cli"})  # the package's own front doors, and the composition root
PLUGINS = frozenset({"decomposers", "tasks"})


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
            allowed = there in MAY_IMPORT[here]
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
    assert "rrm.core" in rooms


def test_the_rooms_import_each_other_in_no_circle() -> None:
    inner = [edge for edge in edges(ROOT) if "rrm" not in edge]
    assert list(nx.simple_cycles(nx.DiGraph(inner))) == []


def test_the_table_itself_has_no_circle() -> None:
    table = nx.DiGraph((here, there) for here, others in MAY_IMPORT.items() for there in others)
    assert nx.is_directed_acyclic_graph(table)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("rrm/core/graph.py", "from rrm.store import open_store"),
        ("rrm/report/page.py", "def late():\n    import rrm.reward.fit"),
        ("rrm/web/app.py", "from ..pipeline import driver"),
        ("rrm/cli/main.py", "import tasks.books"),
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
        "rrm/cli/main.py": "from rrm.store import x\nfrom rrm.web import y",
        "decomposers/halves.py": "from rrm.core.task import Task\nimport torch",
        "tasks/sums.py": "from rrm.core import errors",
        "rrm/__init__.py": "def __getattr__(name):\n    import rrm.pipeline.recursion",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(line)
    assert faults(tmp_path) == []
