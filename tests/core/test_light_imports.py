"""Importing the light rooms loads no torch and no transformers."""

import importlib.util
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "langchain_core")


@pytest.mark.parametrize("room", ["rrm", "rrm.core", "rrm.agreement", "rrm.store", "rrm.web"])
def test_a_light_room_loads_nothing_heavy(room: str) -> None:
    if importlib.util.find_spec(room) is None:
        pytest.skip(f"{room} is not built yet")
    modules = [room]
    if room == "rrm.core":
        modules += [
            f"rrm.core.{name}" for name in ("errors", "graph", "ids", "protocols", "report", "task", "text", "values")
        ]
    code = f"import sys, {', '.join(modules)}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
