"""The benchmark of asking on books: its ways of asking, its rows and tables, and cells of a few hundred words."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import ask_books
from benchmarks.ask_books import Plan, main, summary, table
from benchmarks.ask_books_assist import ALLOWED
from benchmarks.ask_books_cell import WAYS, Evenly, Information, Size
from rrm.ask.gaussian import choices
from rrm.core.asking import AT_RANDOM, QuestionSampler
from tests.ask.test_sampler import asking, question, target, world


def row(part: str, way: str, source: str, gold: float, **more: Any) -> dict[str, Any]:
    shared = {"world": "copied", "seed": 1, "plan": "full", "commit": "abc"}
    return {"part": part, "way": way, "source": source, "gold": gold, **shared, **more}


ROWS = [
    row("asking", way, source, 0.2 + 0.1 * (way == "value") + 0.1 * (source == "b"), minutes=minutes)
    for way in WAYS
    for source in ("a", "b")
    for minutes in (500.0, 1000.0)
]
ROWS += [row("bounds", "best candidate", source, 0.5) for source in ("a", "b")]
ROWS += [
    row(
        "assistance",
        way,
        source,
        gold + 0.1 * (source == "b"),
        minutes=500.0,
        allowed=allowed,
        spent=400.0,
        acts={"ask": 3},
    )
    for way in ("random", "value")
    for source in ("a", "b")
    for allowed, gold in zip(ALLOWED, (0.05, 0.31, 0.2), strict=True)
]
BELIEVED = {"spread": 1.5, "true_spread": 0.5, "deliver": 0.6, "true_deliver": 0.3, "left": 0.7, "true_left": 0.4}
ROWS += [{k: v for k, v in row("belief", "", "a", 0.0, minutes=30.0, **BELIEVED).items() if k != "gold"}]


def test_rows_hold_values_and_differences_by_target_to_their_lines() -> None:
    found = {(each.part, each.name): each for each in summary(ROWS)}
    ours = found["asking", "copied, value, 500 minutes, less random"]
    assert (ours.value, ours.low, ours.high, ours.n) == (pytest.approx(0.1),) * 3 + (2,)
    assert ours.pass_line == ">= -0.01" and ours.passed
    assert found["asking", "both, value at 500 less random at 1000 minutes"].passed
    assert found["asking", "copied, value, 500 minutes"].value == pytest.approx(0.35)
    assert found["asking", "copied, depths, 500 minutes, less random"].pass_line is None
    less = [found["assistance", f"copied, value, {each}, 500 minutes, less RLHF with value"] for each in ALLOWED]
    assert [each.value for each in less] == pytest.approx([-0.25, 0.01, -0.1]) and [each.passed for each in less] == [
        False,
        True,
        False,
    ]
    assert not any(name.startswith("reframed") for _, name in found)


def test_tables_are_made_of_the_rows() -> None:
    told = list(table(ROWS))
    assert told[0] == "Measured at abc; 2 targets."
    assert "| copied | 500 | .250 | .250 | .250 | .350 | +.100 (+.100 to +.100) | yes |" in told
    assert "best candidate .500; value at 500 minutes less random at 1,000 +.100 (+.100 to +.100)." in told
    helped = ".100 | -.250 (-.250 to -.250) | .360 | +.010 (+.010 to +.010) | .250 | -.100 (-.100 to -.100)"
    assert f"| 500 | value | .350 | {helped} |" in told
    assert "| asking and leaving | 500 | value | 400 | 0.0 | 3.0 | 0.0 |" in told
    assert told[-1] == "| 30 | 1.50 | 0.50 | 0.60 | 0.30 | 0.70 | 0.40 |"


def test_questions_are_drawn_evenly_over_questions_or_over_depths() -> None:
    belief, _, root = world()
    low = [question("label", at, at=at, level=0) for at in range(2, 62)]
    high = [question("label", at, at=at, level=1) for at in range(62, 82)]
    where = {each.request.id: each.request.place.level for each in (*low, *high)}
    drawn = {False: Counter[int](), True: Counter[int]()}
    for depths, counts in drawn.items():
        for seed in range(40):
            chosen = Evenly(depths=depths).choose(belief, asking([*low, *high], root, seed=seed))
            assert {each.stream for each in chosen.asked} == {AT_RANDOM} and len(chosen.asked) == 13  # 20 minutes
            counts.update(where[each.request] for each in chosen.asked)
    assert drawn[False][0] / drawn[False].total() == pytest.approx(3 / 4, abs=0.05)
    assert drawn[True][0] / drawn[True].total() == pytest.approx(1 / 2, abs=0.06)


def test_information_is_asked_for_by_what_it_tells_a_minute_whatever_it_is_worth() -> None:
    belief, both, root = world()
    asked = [each for each in both if each.request.kind == "comparison"]
    sampler = Information(random=0.01, most_random=0.02, least_random=0)
    chosen = [each.request for each in sampler.choose(belief, asking(asked, root)).asked]
    assert chosen == [each.request for each in sampler.choose(belief, asking(asked, target(4, 5, 6))).asked]
    at = {each.request.id: [int(shown.text) for shown in each.request.shown] for each in asked}
    cov = belief.spread
    spread = {key: cov[one, one] + cov[two, two] - 2 * cov[one, two] for key, (one, two) in at.items()}
    told = {key: float(choices(np.zeros(1), np.array([each]), np.ones(1)).told[0]) for key, each in spread.items()}
    assert chosen[0] == max(told, key=lambda key: told[key])


@pytest.mark.parametrize("way", WAYS)
def test_every_way_is_a_sampler(way: str) -> None:
    module, _, name = WAYS[way].plugin.partition(":")
    made = getattr(__import__(module, fromlist=[name]), name)(**WAYS[way].arguments)
    assert isinstance(made, QuestionSampler)


@pytest.mark.slow
def test_a_cell_gives_all_ways_the_same_candidates_and_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    size = Size(words=500, train=2, targets=2, minutes=(45.0, 60.0), root_outputs=4)
    monkeypatch.setattr(ask_books, "QUICK", Plan("quick", size, (1,)))
    monkeypatch.setattr("benchmarks.ask_books_assist.MINUTES", (60.0,))
    results, rows = tmp_path / "rows.jsonl", tmp_path / "summary.jsonl"
    arguments = ["--quick", "--worlds", "reframed", "--results", str(results), "--json", str(rows)]
    main(arguments)
    found = [json.loads(line) for line in results.read_text().splitlines()]
    asked = [each for each in found if each["part"] == "asking"]
    assert len(asked) == len(WAYS) * 2 * 2 and all(each["spent"] <= each["minutes"] for each in asked)
    helped = [each for each in found if each["part"] == "assistance"]
    assert len(helped) == 12 and all(each["spent"] <= 75 for each in helped)
    bounds = {(each["way"], each["source"]): each["gold"] for each in found if each["part"] == "bounds"}
    assert all(each["gold"] <= bounds["best candidate", each["source"]] for each in (*asked, *helped))
    first = capsys.readouterr().out
    monkeypatch.setattr(ask_books, "measured", None)
    main(arguments)
    assert capsys.readouterr().out == first
    keys = {"part", "name", "value", "low", "high", "pass_line", "passed"}
    assert all(keys <= json.loads(line).keys() for line in rows.read_text().splitlines())
