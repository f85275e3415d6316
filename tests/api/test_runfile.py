"""Run files: known keys, right types, changes from the command line; every fault named in one sentence."""

import json
import re
import tomllib
import traceback
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rrm
from rrm.api.runfile import (
    AssistantPart,
    GrowthPart,
    ImprovePart,
    Limits,
    PolicyPart,
    RaterPart,
    Recorded,
    RewardPart,
    RoundPart,
    RunFile,
    SelectPart,
    read_run_file,
    run_file,
)
from rrm.core.errors import ConfigError, RrmError
from rrm.core.values import Rated
from rrm.store.record import open_store
from tests.cli.test_commands import toml
from tests.toys import TOYS

LEAST = {
    "train": {"plugin": "a:B", "arguments": {"count": 2}},
    "target": {"plugin": "a:B"},
    "decomposer": {"plugin": "c:D"},
    "policy": {"plugin": "e:F"},
    "rater": {"plugin": "g:H"},
}


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(["x:Y", "root"])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["plugin", "arguments", "level", "trees", "outputs", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*(each.name for each in fields(RunFile)), "x"]), VALUES, max_size=6))
def test_any_table_is_settings_that_come_back_or_is_refused_in_one_sentence(table: dict[str, Any]) -> None:
    try:
        found = run_file({**LEAST, **table})
    except RrmError as error:
        assert "\n" not in str(error)
    else:
        assert run_file(found.to_json()) == found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40) | st.text(alphabet="[]=\"'\n a.b#{}1,“\\\\", max_size=40).map(str.encode))
def test_any_bytes_are_a_run_file_or_refused_in_one_sentence(tmp_path: Path, held: bytes) -> None:
    (tmp_path / "run.toml").write_bytes(held)
    with pytest.raises(RrmError) as refusal:
        read_run_file(tmp_path / "run.toml")
    assert "\n" not in str(refusal.value)


def test_what_is_left_out_has_its_default() -> None:
    run = run_file(LEAST)
    assert run.policy.outputs == 4
    assert run.reward == RewardPart()
    assert run.train is not None and run.train.arguments == {"count": 2}


def test_settings_survive_json() -> None:
    rounds = [{"levels": [0, "root"], "times": 2, "targets": False, "nodes": {"plugin": "s:T"}}, {}]
    run = run_file(
        {
            **LEAST,
            "recorded": [{"plugin": "x:Y", "level": "root"}],
            "limits": {"max_calls": 3},
            "schedule": rounds,
            "rater": {"plugin": "g:H", "budget": {"by_level": {"0": {"minutes": 60}, "root": {"questions": 9}}}},
            "select": {"plugin": "i:J", "share": 0.5},
            "improve": {"plugin": "k:L", "per_level": True},
            "growth": {"max_depth": 4},
        }
    )
    assert run_file(json.loads(json.dumps(run.to_json()))) == run


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"polcy": {}}, "unknown key 'polcy' at the top of the run file; did you mean 'policy'. there are target, "),
        ({"policy": {"plugn": "e:F"}}, r"unknown key 'plugn' in \[policy\]; did you mean 'plugin'"),
        ({"folder": "/tmp"}, "unknown key 'folder' at the top .*, engine$"),
        ({"policy": {"plugin": "e:F", "output": 3}}, r"unknown key 'output' in \[policy\]"),
        ({"policy": {"plugin": "e:F", "outputs": "many"}}, "policy.outputs must be a valid integer, got 'many'"),
        ({"policy": {"plugin": "e:F", "outputs": True}}, "policy.outputs must be a valid integer, got True"),
        ({"policy": {"plugin": "e:F", "outputs": 0}}, "policy.outputs must be greater than or equal to 1, got 0"),
        ({"policy": {}}, "policy.plugin is missing"),
        ({"policy": 3}, r"\[policy\] must be a table"),
        ({"policy": ["e:F"]}, r"\[policy\] must be a table"),
        ({"policy": {"plugin": 3}}, "policy.plugin must be a valid string, got 3"),
        ({"seed": 1.5}, "seed must be a valid integer, got 1.5"),
        ({"recorded": {"plugin": "x:Y"}}, "recorded must be a list of tables"),
        (
            {"recorded": [{"plugin": "x:Y", "level": "leaf"}]},
            "recorded.0..level must be a number from 0 up or .root., got 'leaf'",
        ),
        (
            {"rater": {"plugin": "g:H", "per_node": {"label": "two"}}},
            "rater.per_node.label must be a valid integer",
        ),
        (
            {"rater": {"plugin": "g:H", "per_node": {"label": -1}}},
            "rater.per_node.label must be a valid integer from 0",
        ),
        ({"rater": {"plugin": "g:H", "per_node": {"lable": 1}}}, "per_node: there is no kind of feedback 'lable'"),
        ({"rater": {"plugin": "g:H", "per_node": {"label": 0}}}, "per_node and per_root ask no question"),
        ({"rater": {"plugin": "g:H", "per_node": {}, "per_root": {"label": {"overall": 0}}}}, "ask no question"),
        ({"rater": {"plugin": "g:H", "random_share": 1.5}}, "random_share must be less than or equal to 1, got 1.5"),
        ({"rater": {"plugin": "g:H", "random_share": float("nan")}}, "rater.random_share must be a finite number"),
        ({"policy": {"plugin": "e:F", "arguments": {"a": [1.0, float("inf")]}}}, r"a\[1\] must be a finite number"),
        ({"limits": {"max_calls": -5}}, "limits.max_calls must be greater than or equal to 0, got -5"),
        ({"growth": {"subtree_share": 3.0}}, "growth.subtree_share must be less than or equal to 1, got 3"),
        ({"assistants": {"a": {"model": "x:Y", "attempts": 0}}}, "attempts must be greater than or equal to 1"),
        ({"policy": {"plugin": "e:F", "outputs": 10**8}}, "policy.outputs must be less than or equal to 100000"),
        ({"limits": {"max_calls": "few"}}, "limits.max_calls must be a valid integer, got 'few'"),
        ({"rounds": 0}, "rounds must be greater than or equal to 1, got 0"),
        ({"schedule": [{}, {"times": 0}]}, r"schedule\[1\]\.times must be greater than or equal to 1, got 0"),
        (
            {"improve": {"plugin": "i:J"}},
            r"\[improve\] would do nothing: .* after every round but the last, and this run has 1",
        ),
        (
            {"splits": {"plugin": "i:J"}},
            r"\[splits\] would do nothing: the decomposer learns .* this run has 1; give the run",
        ),
        ({"improve": {"plugin": "i:J"}, "schedule": [{}]}, r"\[improve\] would do nothing"),
        ({"improve": {"plugin": "i:J"}, "schedule": [{"improve": False}, {}]}, "none of these has improve = true"),
        ({"rounds": 2, "schedule": [{}]}, r"by number .* or as a \[\[schedule\]\], not both"),
        ({"schedule": {"levels": [0]}}, "schedule must be a list of tables"),
        ({"schedule": [{"levels": "0"}]}, r"schedule\[0\]\.levels must be a list, got '0'"),
        ({"schedule": [{"nodes": {"plugin": "s:T", "plugn": 1}}]}, r"unknown key 'plugn' in \[schedule\[0\]\.nodes\]"),
        ({"assistants": {"model": {"modle": "x:Y"}}}, r"'modle' in \[assistants\.model\]; did you mean 'model'"),
        ({"assistants": {"a": {"model": "x:Y", "arguments": 3}}}, r"\[assistants\.a\.arguments\] must be a table"),
        ({"schedule": [{"level": [0]}]}, r"unknown key 'level' in \[schedule\[0\]\]"),
        ({"reward": {"data": "some"}}, "reward.data must be 'all' or 'round', got 'some'"),
        ({"reward": {"stale_weight": 0}}, "reward.stale_weight must be greater than 0, got 0"),
        ({"improve": {"plugin": "k:L", "kl_budget": 0}}, "improve.kl_budget must be greater than 0, got 0"),
        ({"improve": {"plugin": "k:L", "anchor": "second"}}, "improve.anchor must be 'first' or 'last', got 'second'"),
        *(
            (
                {"improve": {"plugin": "k:L", "data": data}},
                f'improve.data must be "round", "all" or a number of rounds from 1 up, got {data!r}',
            )
            for data in ("last", 0, -2, 1.5, True)
        ),
        ({"improve": {}}, "improve.plugin is missing"),
        ({"select": {"plugin": "i:J", "share": 1}}, "select.share must be less than 1, got 1"),
        ({"growth": {"max_nodes": 0}}, "growth.max_nodes must be greater than or equal to 1, got 0"),
        ({"growth": {"max_calls": 0}}, "growth.max_calls must be greater than or equal to 1, got 0"),
        ({"growth": {"max_depth": -1}}, "growth.max_depth must be greater than or equal to 0, got -1"),
        ({"splits": {"plugin": "m:N", "per_source": {}}}, r"\[splits\] per_source asks no question"),
        ({"splits": {"plugin": "m:N", "per_source": {"comparison": 0}}}, "must be greater than or equal to 1, got 0"),
        ({"growth": {"max_height": 3}}, r"unknown key 'max_height' in \[growth\]"),
    ],
)
def test_a_fault_is_named_with_its_key(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run_file({**LEAST, **change})


def test_arguments_that_no_record_can_hold_are_refused() -> None:
    run = run_file({**LEAST, "policy": {"plugin": "e:F", "arguments": {"at": (1, 2)}}})
    assert run.to_json()["policy"]["arguments"] == {"at": [1, 2]}
    run = run_file({**LEAST, "policy": {"plugin": "e:F", "arguments": {"at": Path("here")}}})
    with pytest.raises(ConfigError, match=r"are JSON values, so that it can be resumed: .*Path is not JSON"):
        run.to_json()


def test_no_value_but_the_faulty_one_is_shown_with_a_fault() -> None:
    table = {"model": 3, "arguments": {"api_key": "hidden"}}
    with pytest.raises(ConfigError, match=r"assistants\.a\.model must be a valid string, got 3") as ended:
        run_file({**LEAST, "assistants": {"a": table}})
    assert "hidden" not in "".join(traceback.format_exception(ended.value))


def test_whole_numbers_may_stand_for_reals() -> None:
    run = run_file({**LEAST, "rounds": 2, "improve": {"plugin": "k:L", "kl_budget": 2}})
    assert run.improve is not None and isinstance(run.improve.kl_budget, float) and run.improve.kl_budget == 2.0


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


def test_without_the_folder_of_real_data_its_variable_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    target = {"target": {"plugin": "a:B", "arguments": {"paths": ["${RRM_DATA}/one.txt"]}}}
    monkeypatch.setenv("RRM_DATA", str(tmp_path))
    assert run_file({**LEAST, **target}).target.arguments == {"paths": [f"{tmp_path}/one.txt"]}
    monkeypatch.setenv("RRM_DATA", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"there is no folder .*none; set RRM_DATA .*README\.md"):
        run_file({**LEAST, **target})


def test_a_file_that_is_missing_or_not_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_run_file(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[policy\n")
    with pytest.raises(ConfigError, match="not TOML"):
        read_run_file(tmp_path / "bad.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="save it as UTF-8"):
        read_run_file(tmp_path / "binary.toml")


# ---- docs/run-files.md ----

PAGE = (Path(__file__).parents[2] / "docs" / "run-files.md").read_text("utf-8")
TABLES = {
    "policy": PolicyPart,
    "rater": RaterPart,
    "recorded": Recorded,
    "reward": RewardPart,
    "schedule": RoundPart,
    "select": SelectPart,
    "improve": ImprovePart,
    "growth": GrowthPart,
    "assistants.NAME": AssistantPart,
    "limits": Limits,
}


def test_every_key_stands_in_the_table_of_the_page() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    for key in fields(RunFile):
        assert key.name == "folder" or any(re.match(rf"\| `\[*{key.name}\b", row) for row in rows), key.name
    for table, kind in TABLES.items():
        own = "\n".join(row for row in rows if re.match(rf"\| `\[*{table}\b", row))
        for key in fields(kind):
            if key.name not in ("plugin", "arguments", "object", "made"):
                assert re.search(rf"`(?:{table})?\.?{key.name}`", own), f"{table}.{key.name}"


def test_the_published_phases_of_the_page_ask_about_leaves_then_a_subtree_then_whole_trees(tmp_path: Path) -> None:
    [phases] = [each for each in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) if "schedule" in each]
    rrm.run(run_file({**TOYS, **tomllib.loads(phases)}), tmp_path / "run", quiet=True)
    with open_store(tmp_path / "run", "read") as record:
        asked = {(row.request.place.round, row.request.place.level) for row in record.load(Rated)}
        nodes = {row.request.node for row in record.load(Rated) if row.request.place.round == 0}
    assert [sorted({level for at, level in asked if at == number}) for number in range(3)] == [[0], [0, 1], [0, 1, 2]]
    assert len(nodes) == 2 * 3  # the leaves of the first node above them, in two trees


# ---- as editors save them ----


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_run_file_is_read_with_and_without_a_byte_order_mark(tmp_path: Path, encoding: str, newline: str) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(toml({"name": "Mühle", **LEAST}).replace("\n", newline).encode(encoding))
    assert read_run_file(path).name == "Mühle"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "Mühle"'.encode("latin-1"), r"not UTF-8 \(line 1\): save it as UTF-8"),
        (b'seed = 1\nname = "C:\\Users\\me"', "line 2.*write paths with / or in single quotes"),
        ("name = “small”".encode(), "quotation marks are typographic"),
    ],
)
def test_what_a_run_file_is_refused_for_comes_with_its_remedy(tmp_path: Path, text: bytes, said: str) -> None:
    (tmp_path / "run.toml").write_bytes(text)
    with pytest.raises(ConfigError, match=said):
        read_run_file(tmp_path / "run.toml")


def test_a_run_file_that_nests_too_deeply_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("a = " + "[" * 5_000 + "]" * 5_000)
    with pytest.raises(ConfigError, match=r"run\.toml nests too deeply"):
        read_run_file(tmp_path / "run.toml")
