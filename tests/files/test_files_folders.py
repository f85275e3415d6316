"""Where the files that a run names are found, and what is said of those that are not."""

from pathlib import Path

import pytest

from rrm.core.errors import InputError
from rrm.files.folders import HERE, Folders


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    for name in ("study", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return Folders((("beside the run file", tmp_path / "study"), (HERE, Path())))


def test_the_first_folder_that_has_a_file_gives_it(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "here" / "mill.txt").write_text("here")
    assert folders.find("mill.txt").read_text() == "here"
    (tmp_path / "study" / "mill.txt").write_text("beside")
    assert folders.find("mill.txt").read_text() == "beside"
    assert folders.find(tmp_path / "here" / "mill.txt").read_text() == "here"  # a whole path is itself


def test_a_pattern_is_looked_up_in_one_folder_and_a_name_with_its_signs_is_a_name(
    folders: Folders, tmp_path: Path
) -> None:
    for name in ("b.txt", "a.txt"):
        (tmp_path / "study" / name).write_text("")
    (tmp_path / "here" / "c.txt").write_text("")
    assert [path.name for path in folders.matching("*.txt")] == ["a.txt", "b.txt"]
    (tmp_path / "study" / "[a] b?.txt").write_text("")
    assert [path.name for path in folders.matching("[a] b?.txt")] == ["[a] b?.txt"]


def test_what_is_nowhere_is_said_with_where_it_was_looked_for(folders: Folders, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        folders.find("gone.txt")
    study, here = (tmp_path / "study").resolve(), (tmp_path / "here").resolve()
    assert str(caught.value) == (
        f"gone.txt: no such file; looked in {study} (beside the run file) and in {here} (the current folder)"
    )
    with pytest.raises(InputError, match=r"gone\.txt: no such file$"):
        folders.find(tmp_path / "gone.txt")


def test_two_names_of_one_folder_are_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    looked = Folders((("beside the run file", tmp_path), (HERE, Path()))).looked("mill.txt")
    assert looked == f"; looked in {tmp_path.resolve()} (beside the run file)"
