"""The collector of cycles rests while rows are read, and no longer."""

import gc
from pathlib import Path

import pytest

from rrm.core.errors import InputError
from rrm.interchange.collecting import without_collecting
from rrm.interchange.preferences import read_feedback


@pytest.fixture(autouse=True)
def nothing_is_frozen() -> None:
    gc.unfreeze()  # a server that ran in this process froze what it had


def test_the_collector_rests_within_and_works_again_behind() -> None:
    assert gc.isenabled()
    with without_collecting():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_rests_already_stays_so() -> None:
    gc.disable()
    try:
        with without_collecting():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_it_works_again_where_rows_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"prompt": "Say.", "chosen": 1, "rejected": "Plum."}\n')
    with pytest.raises(InputError, match="chosen"):
        read_feedback(tmp_path / "rows.jsonl")
    assert gc.isenabled()


def test_what_was_made_within_is_old_behind_and_is_not_looked_through_at_once() -> None:
    with without_collecting():
        made = [[] for _ in range(1000)]
    young = {id(each) for generation in (0, 1) for each in gc.get_objects(generation)}
    assert not young & {id(each) for each in made}


def test_what_somebody_froze_stays_frozen() -> None:
    gc.freeze()
    try:
        before = gc.get_freeze_count()
        with without_collecting():
            pass
        assert gc.get_freeze_count() > before / 2 > 0  # a frozen object may still end when nothing refers to it
    finally:
        gc.unfreeze()
