"""The built wheel: exactly our three packages, and they import from another folder."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"rrm", "decomposers", "tasks"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_our_three_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == PACKAGES
    assert not [name for name in names if name.endswith((".pyc", ".gz", ".sqlite", ".safetensors", ".d.ts"))]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_holds_every_file_that_the_code_reads_beside_itself(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    kinds = {".py", ".toml", ".html", ".js", ".css", ".mako", ".ini", ".json", ".typed"}
    beside = (
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in kinds
    )
    assert [path for path in beside if path not in names] == []
    assert {f"{package}/py.typed" for package in PACKAGES} <= names  # so that others' type checkers read our types


def test_the_unpacked_wheel_imports_in_another_folder_not_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(wheel).extractall(unpacked)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    modules = ["rrm", "rrm.core.graph", "decomposers.chunks", "tasks.books"]
    code = (
        f"import sys; sys.path.insert(0, {str(unpacked)!r})\n"
        f"import {', '.join(modules)}\n"
        f"print([sys.modules[name].__file__ for name in {modules}])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=elsewhere, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    files = [Path(file) for file in eval(done.stdout)]
    assert len(files) == len(modules)
    assert all(unpacked.resolve() in file.resolve().parents for file in files), files
