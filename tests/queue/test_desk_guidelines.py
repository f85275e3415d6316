"""Guidelines gain versions and lose none; settings are checked before any is changed."""

from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from threading import Thread

import pytest

from rrm.core.annotation import DeskSettings, Guideline
from rrm.core.errors import ConfigError, InputError, MissingError
from tests.queue.desk_house import Clock, House, open_house


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[House]:
    clock = Clock()
    clock.now = 50.0
    made = open_house(tmp_path, clock)
    yield made
    made.close()


def test_version_0_of_the_guidelines_is_empty_and_always_there(desk: House) -> None:
    assert desk.guideline() == desk.guideline(0) == Guideline(0, "", 0.0, "system")
    desk.set_guideline("One.", "p-1")
    assert desk.guideline(0).text == ""


def test_a_change_of_the_guidelines_makes_a_new_version_and_keeps_the_old_ones(desk: House) -> None:
    assert desk.set_guideline("# One\n\n漢字 🦊", "p-1") == Guideline(1, "# One\n\n漢字 🦊", 50.0, "p-1")
    assert desk.set_guideline("Two.", "p-2").version == 2
    assert desk.guideline() == Guideline(2, "Two.", 50.0, "p-2")
    assert desk.guideline(1).text == "# One\n\n漢字 🦊"


@pytest.mark.parametrize("version", [3, -1])
def test_a_version_that_was_never_written_is_missing(desk: House, version: int) -> None:
    desk.set_guideline("One.", "p-1")
    with pytest.raises(MissingError, match=f"no version {version} "):
        desk.guideline(version)


@pytest.mark.parametrize("text", [None, 3, "a\0b", "half \ud800", "x" * 100_001])
def test_guidelines_that_could_not_be_kept_or_read_are_refused(desk: House, text: str) -> None:
    with pytest.raises(InputError, match="the guidelines m"):
        desk.set_guideline(text, "p-1")
    assert desk.guideline().version == 0


def test_versions_written_at_once_are_all_there(either: House) -> None:
    threads = [Thread(target=either.set_guideline, args=(f"text {number}", "p-1")) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {either.guideline(version).text for version in range(1, 21)} == {f"text {number}" for number in range(20)}


def test_settings_are_as_by_default_until_somebody_changes_them(either: House) -> None:
    assert either.settings() == DeskSettings()
    changed = either.change_settings({"overlap": 3, "consent": "Do you agree?", "practice_pass": 1}, "p-1")
    assert changed == DeskSettings(overlap=3, consent="Do you agree?", practice_pass=1.0)
    assert either.change_settings({"overlap": 2}, "p-1") == DeskSettings(2, consent="Do you agree?", practice_pass=1.0)


def test_settings_outlive_the_desk(tmp_path: Path, url: str | None) -> None:
    first = open_house(tmp_path, Clock(), url=url)
    first.change_settings({"overlap": 3, "completion_code": '{"C": 1}', "auto_freeze": False}, "p-1")
    first.close()
    second = open_house(tmp_path, Clock())
    assert second.settings() == DeskSettings(overlap=3, completion_code='{"C": 1}', auto_freeze=False)
    second.close()


def test_an_unknown_setting_is_refused_with_the_known_ones(desk: House) -> None:
    with pytest.raises(ConfigError) as refused:
        desk.change_settings({"overlaps": 2}, "p-1")
    assert "no setting 'overlaps'" in str(refused.value)
    assert all(each.name in str(refused.value) for each in fields(DeskSettings))


def test_one_setting_that_does_not_fit_keeps_all_as_they_were(desk: House) -> None:
    with pytest.raises(ConfigError, match="undo_limit"):
        desk.change_settings({"overlap": 2, "undo_limit": -1}, "p-1")
    assert desk.settings() == DeskSettings()
    assert desk.audit() == []


def test_every_setting_takes_its_own_default(desk: House) -> None:
    assert desk.change_settings(asdict(DeskSettings()), "p-1") == DeskSettings()


FALSE = {
    "overlap": [0, 101, 1.0, True, "1", None],
    "sheet": [0, -1, 1.5, True, "2", None],
    "strategy": ["random", 1, None, ["valuable"]],
    "lease_seconds": [0, -1, float("nan"), float("inf"), "900", True],
    "gold_every": [1, -1, 2.5, False],
    "attention_every": [1, -1, "0"],
    "practice_items": [-1, 1_001, 1.5],
    "practice_pass": [-0.1, 1.1, float("nan"), True],
    "practice_tries": [0, 101, None],
    "undo_limit": [-1, 101, "10"],
    "rater_share": [0, 1.5, -0.1, "0.5", None, float("nan")],
    "grace_seconds": [-1, 1e309, None],
    "auto_freeze": [0, 1, "yes", None],
    "rating_points": [1, 11, 7.0],
    "markdown": [0, "false", None],
    "groups": [None, [], {"de": 1}, {"de": {"x": 1}}, {"d e": {}}],
    "consent": [None, 1, "x" * 20_001, "a\0b"],
    "completion_code": ["two\nlines", "x" * 101, 5, "\u202e"],
    "participant_parameter": ["", "1st", "a-b", "a b", "é", "x" * 65, None],
}


def test_every_setting_is_tried_with_false_values() -> None:
    assert set(FALSE) == {each.name for each in fields(DeskSettings)}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in FALSE.items() for value in values])
def test_a_false_value_is_refused_in_one_sentence_that_names_the_setting(desk: House, name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^setting {name} [^\n]+$"):
        desk.change_settings({name: value}, "p-1")
