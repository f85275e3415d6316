"""Importing the light rooms loads no torch and no transformers, and nothing is drawn or asked before it must be."""

import importlib.util
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "langchain_core", "matplotlib", "pandas")


def loads(*modules: str, among: tuple[str, ...] = HEAVY) -> list[str]:
    """Return which of some packages, by default the heavy ones, a process has loaded once it has imported modules."""
    code = f"import sys, {', '.join(modules)}; print(*[name for name in {among} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("room", ["rrm", "rrm.core", "rrm.agreement", "rrm.store", "rrm.web"])
def test_a_light_room_loads_nothing_heavy(room: str) -> None:
    if importlib.util.find_spec(room) is None:
        pytest.skip(f"{room} is not built yet")
    modules = [room]
    if room == "rrm.core":
        modules += [
            f"rrm.core.{name}"
            for name in ("errors", "graph", "growth", "ids", "protocols", "report", "task", "text", "values")
        ]
    assert loads(*modules) == []


@pytest.mark.parametrize("room", ["rrm", "rrm.core.values", "rrm.core.report"])
def test_the_package_and_its_values_load_no_pydantic_which_the_rooms_that_read_and_write_use(room: str) -> None:
    assert loads(room, among=("pydantic", "sqlmodel")) == []


def test_what_looks_at_runs_and_what_starts_them_loads_nothing_heavy_by_itself() -> None:
    assert loads("rrm.api.front", "rrm.api.loaded", "rrm.api.look", "rrm.cli.main", "rrm.cli.summary") == []
