"""What a fit of several workers goes on from: copied only when it is whole, kept by digest, for as many ranks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rrm.api import fit_states, folder_parts
from rrm.api.folder_parts import Content, content_of
from rrm.api.kept_states import KeptStates
from rrm.core.errors import InputError
from rrm.engines.crossing import read_message
from rrm.files import write_json


def checkpoint(training: Path, step: int, named: int) -> None:
    """Write the files of a step, and name one."""
    (training / "state" / f"step-{step}").mkdir(parents=True, exist_ok=True)
    (training / "state" / f"step-{step}" / "0.safetensors").write_bytes(f"weights {step}".encode() * 20)
    write_json(training / "state" / "state.json", {"step": named})


def brought(states: KeptStates, folder: Path, content: Content) -> None:
    for file, (size, digest) in states.lacking(content).items():
        for at in folder_parts.parts_of(size):
            states.keep(digest, at, (folder / file).read_bytes()[at : at + folder_parts.PART_BYTES])


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(folder_parts, "PART_BYTES", 16)
    yield


def test_a_copy_has_models_that_are_whole_and_the_checkpoint_that_is_named(tmp_path: Path) -> None:
    work, copy = tmp_path / "work", tmp_path / "copy"
    assert fit_states.copied(work, copy) is None
    for name in ("fold-0", "fold-1"):
        checkpoint(work / name, 1, 1)
        (work / name / "rows.jsonl.gz").write_bytes(b"given")
        (work / name / "model.safetensors").write_bytes(b"a model")
    write_json(work / "fold-0" / "done.json", {})
    (work / "fold-0" / "state" / "state.json").unlink()
    (work / "fold-0" / "state" / "step-1" / "0.safetensors").unlink()
    content = fit_states.copied(work, copy)
    whole = {"fold-0/done.json", "fold-0/model.safetensors"}
    assert content is not None and content.keys() == whole | {
        "fold-1/state/state.json",
        "fold-1/state/step-1/0.safetensors",
    }
    before = fit_states.marks(work)
    checkpoint(work / "fold-1", 2, 2)
    assert fit_states.marks(work) != before
    assert content_of(copy) == content, "what was copied does not change with the training"
    checkpoint(work / "fold-1", 2, 3)
    assert fit_states.copied(work, copy) is None, "what is named is not there"


def test_states_are_kept_by_digest_and_go_on_with_as_many_ranks(tmp_path: Path) -> None:
    work, copy, states = tmp_path / "work", tmp_path / "copy", KeptStates(tmp_path / "kept")
    checkpoint(work, 1, 1)
    (work / "state" / "step-1" / "1.safetensors").write_bytes((work / "state/step-1/0.safetensors").read_bytes())
    first = fit_states.copied(work, copy)
    assert first is not None and len(first) == 3 and states.last(2) is None
    assert len(states.lacking(first)) == 2, "of equal files one is brought"
    brought(states, copy, first)
    states.name(first, 2)
    assert states.last(2) == first and states.lacking(first) == {}
    sent: dict[str, bytes] = {}
    for asked in states.sent("ranks/fit"):
        head, part = read_message(asked)
        assert head["keep"] == "ranks/fit" and head["at"] == len(sent.get(head["file"], b""))
        sent[head["file"]] = sent.get(head["file"], b"") + part
    assert sent == {file: (copy / file).read_bytes() for file in first}
    checkpoint(work, 2, 2)
    second = fit_states.copied(work, copy)
    assert second is not None
    brought(states, copy, second)
    states.name(second, 2)
    names = {digest for _, digest in second.values()} | {"state.json"}
    assert {each.name for each in (tmp_path / "kept").iterdir()} == names, "what is not named any more is removed"
    assert states.last(3) is None and states.last(2) is None, "another number of ranks begins anew"


def test_what_did_not_arrive_whole_is_never_named(tmp_path: Path) -> None:
    work, copy, states = tmp_path / "work", tmp_path / "copy", KeptStates(tmp_path / "kept")
    checkpoint(work, 1, 1)
    content = fit_states.copied(work, copy)
    assert content is not None
    damaged = "state/step-1/0.safetensors"
    (copy / damaged).write_bytes((copy / damaged).read_bytes()[::-1])
    brought(states, copy, content)
    with pytest.raises(InputError, match=f"{damaged} of what a fit goes on from did not arrive whole"):
        states.name(content, 2)
    assert states.last(2) is None
