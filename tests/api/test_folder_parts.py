"""Folders that cross appear whole, or not at all, whatever stands in their place."""

from pathlib import Path
from typing import Any

import pytest

from rrm.api import folder_parts
from rrm.api.folder_parts import content_of, finish, inside, keep, read_content
from rrm.core.errors import InputError

DIGEST = "0123456789abcdef" * 2


@pytest.fixture
def arrived(tmp_path: Path) -> Path:
    folder = tmp_path / "arriving" / "model"
    keep(folder, "inner/heads.bin", 0, b"heads")
    keep(folder, "model.json", 0, b"{}")
    return folder


@pytest.mark.parametrize("left", [{}, {"inner/heads.bin": b"he"}, {"model.json": b"{}", "old.bin": b"old"}])
def test_what_a_killed_process_left_in_the_place_is_replaced(
    arrived: Path, tmp_path: Path, left: dict[str, bytes]
) -> None:
    whole, content = tmp_path / "models" / "model", content_of(arrived)
    for name, written in left.items():
        keep(whole, name, 0, written)
    finish(arrived, whole, content)
    assert content_of(whole) == content
    assert [each.name for each in (tmp_path / "arriving").iterdir()] == []
    finish(arrived, whole, content)  # a message may come twice
    assert content_of(whole) == content


def test_what_did_not_arrive_as_it_was_sent_is_refused_and_leaves_what_is_there(arrived: Path, tmp_path: Path) -> None:
    whole, content = tmp_path / "models" / "model", content_of(arrived)
    keep(whole, "model.json", 0, b"before")
    keep(arrived, "model.json", 0, b"[]")
    keep(arrived, "more.bin", 0, b"")
    with pytest.raises(InputError, match=r"^models/model did not arrive whole: model\.json, more\.bin$"):
        finish(arrived, whole, content)
    assert (whole / "model.json").read_bytes() == b"before"


def test_a_folder_that_is_not_there_or_empty_has_no_content(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="holds no file: what was saved there is gone"):
            content_of(folder)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (None, "valid dictionary"),
        ({}, "at least 1 item"),
        ({"a": [1, DIGEST, 2]}, "at most 2 items"),
        ({"a": [-1, DIGEST]}, "greater than or equal to 0"),
        ({"a": [1, "../work"]}, "should match pattern"),
        ({"a": [1, DIGEST], "a/b": [1, DIGEST]}, "'a' is a file and a folder"),
        ({"a": [2**40, DIGEST], "b": [1, DIGEST]}, "1099511627777 bytes, more than 1099511627776"),
        ({str(number): [1, DIGEST] for number in range(10_001)}, "at most 10000 items"),
    ],
)
def test_what_does_not_say_what_a_folder_holds_is_refused(told: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_content(told)
    assert read_content({"a": [1, DIGEST]}) == {"a": (1, DIGEST)}


def test_a_part_is_refused_that_is_too_long_or_no_file_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_parts, "PART_BYTES", 4)
    with pytest.raises(InputError, match=r"a part of \S+/heads\.bin has 5 bytes, and 4 at most are asked for"):
        keep(tmp_path / "model", "heads.bin", 0, b"heads")
    for name in ("../out", ".", "", "nul\0", "half\ud800"):
        with pytest.raises(InputError, match=r"leads out of|no file can be called"):
            inside(tmp_path, name)
