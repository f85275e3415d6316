"""`rrm assist-game`: the example, as text and as JSON, and files that are no games."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rrm.api.game import read_game, solved
from rrm.cli.main import app
from rrm.core.errors import InputError

EXAMPLE = Path(__file__).parents[2] / "examples" / "assistance.toml"


def test_the_example_is_solved_as_published() -> None:
    found = solved(read_game(EXAMPLE))
    assert (round(found.together, 5), round(found.apart, 5)) == (69.27174, 69.0)
    middle = found.plan_together[1]
    assert (middle.act, middle.reply) == ("one of each", "50 of each")
    assert (middle.begin, middle.end) == pytest.approx((41 / 92, 51 / 92))
    assert found.deferring == pytest.approx(0.19780, abs=5e-6)
    assert found.mistaken.pedagogic_pedagogic > found.mistaken.literal_literal


def test_the_command_prints_a_game_and_ends_with_an_object() -> None:
    shown = CliRunner().invoke(app, ["assist-game", str(EXAMPLE)])
    assert shown.exit_code == 0
    assert "paperclips and staples: together 69.27174, apart 69.00000; a gain of 0.27174" in shown.output
    assert "theta 0.4457 to 0.5543: one of each, answered by 50 of each" in shown.output
    assert "literal, of a taste: 55.34413; unforeseen by the agent 54.95106, -0.39307" in shown.output
    told = json.loads(CliRunner().invoke(app, ["assist-game", str(EXAMPLE), "--json"]).output.splitlines()[-1])
    assert told["together"] == pytest.approx(69.27174, abs=1e-5) and len(told["plans"]["apart"]) == 2
    assert told["unforeseen"] == pytest.approx({"known": 55.34413, "unknown": 54.95106}, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[person]\n", "person"),
        ("[person]\na = [0, 1]\n", "agent"),
        ("[person]\na = [0]\n[agent]\nb = [0, 1]\n", "person.a"),
        ("[person]\na = [0, 1]\n[agent]\nb = [0, 1]\nrationalty = 2\n", "rationalty"),
        ("[person]\na = [0, nan]\n[agent]\nb = [0, 1]\n", "finite"),
        ("rationality = 0.0\n[person]\na = [0, 1]\n[agent]\nb = [0, 1]\n", "positive"),
        ("[person]\na = [0, 1]\n[agent]\nb = [0, 1]\n[switch]\nmean = 0.0\nsd = 0.0\n", "positive"),
        (
            "[person]\na = [0, 1]\n[agent]\nb = [0, 1]\n[taste]\nc = 1\n",
            "taste: the person has no act 'c'; there are a",
        ),
        ("[person]\na = [0, 1]\n[agent]\nb = [0, 1]\n[taste]\na = inf\n", "taste is a finite number"),
        ("person = ", "not TOML"),
    ],
)
def test_a_file_that_is_no_game_is_refused_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "game.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        solved(read_game(file))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_game(tmp_path / "none.toml")
