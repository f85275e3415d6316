"""Run files: known keys, right types, changes from the command line; every fault named in one sentence."""

import json
from pathlib import Path

import pytest

from rrm.api.runfile import Reward, read_run_file, run_file
from rrm.core.errors import ConfigError

LEAST = {
    "train": {"plugin": "a:B", "arguments": {"count": 2}},
    "target": {"plugin": "a:B"},
    "decomposer": {"plugin": "c:D"},
    "policy": {"plugin": "e:F"},
    "rater": {"plugin": "g:H"},
}


def test_what_is_left_out_has_its_default() -> None:
    run = run_file(LEAST)
    assert run.policy.outputs == 4
    assert run.reward == Reward()
    assert run.train is not None and run.train.arguments == {"count": 2}


def test_settings_survive_json() -> None:
    run = run_file({**LEAST, "recorded": [{"plugin": "x:Y", "level": "root"}], "limits": {"max_calls": 3}})
    assert run_file(json.loads(json.dumps(run.to_json()))) == run


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"polcy": {}}, "unknown key 'polcy' at the top"),
        ({"policy": {"plugin": "e:F", "output": 3}}, r"unknown key 'output' in \[policy\]"),
        ({"policy": {"plugin": "e:F", "outputs": "many"}}, "policy.outputs must be int, got 'many'"),
        ({"policy": {"plugin": "e:F", "outputs": True}}, "policy.outputs must be int, got True"),
        ({"policy": {"plugin": "e:F", "outputs": 0}}, "policy.outputs must be 1 or more"),
        ({"policy": {}}, "policy.plugin is missing"),
        ({"policy": 3}, r"\[policy\] must be a table"),
        ({"seed": 1.5}, "seed must be int, got 1.5"),
        ({"recorded": {"plugin": "x:Y"}}, "recorded must be a list of tables"),
        ({"recorded": [{"plugin": "x:Y", "level": "leaf"}]}, "level must be a number from 0 up or"),
        ({"rater": {"plugin": "g:H", "per_node": {"label": "two"}}}, "rater.per_node.label must be int"),
        ({"limits": {"max_calls": "few"}}, "limits.max_calls must be int"),
    ],
)
def test_a_fault_is_named_with_its_key(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run_file({**LEAST, **change})


def test_a_run_that_could_learn_from_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither"):
        run_file({key: LEAST[key] for key in ("target", "decomposer", "policy")})
    with pytest.raises(ConfigError, match=r"needs a \[rater\]"):
        run_file({key: value for key, value in LEAST.items() if key != "rater"})


def test_changes_reach_deep_and_keep_their_type() -> None:
    run = run_file(LEAST, ("policy.outputs=7", "reward.device=cpu", "train.arguments.count=3", "name=other"))
    assert (run.policy.outputs, run.reward.device, run.name) == (7, "cpu", "other")
    assert run.train is not None and run.train.arguments["count"] == 3
    assert LEAST["train"] == {"plugin": "a:B", "arguments": {"count": 2}}


@pytest.mark.parametrize("change", ["policy.outputs", "=3", "name.deep.er=3"])
def test_a_change_that_makes_no_sense_is_refused(change: str) -> None:
    with pytest.raises(ConfigError):
        run_file({**LEAST, "name": "n"}, (change,))


def test_environment_variables_are_filled_in_and_unknown_ones_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOKS", "/shelf")
    run = run_file({**LEAST, "target": {"plugin": "a:B", "arguments": {"paths": ["${BOOKS}/one.txt"]}}})
    assert run.target.arguments == {"paths": ["/shelf/one.txt"]}
    with pytest.raises(ConfigError, match="NO_SUCH_THING"):
        run_file({**LEAST, "name": "${NO_SUCH_THING}"})


def test_a_file_that_is_missing_or_not_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_run_file(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[policy\n")
    with pytest.raises(ConfigError, match="not TOML"):
        read_run_file(tmp_path / "bad.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not TOML"):
        read_run_file(tmp_path / "binary.toml")
