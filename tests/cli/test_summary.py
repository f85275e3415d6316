"""What the terminal is told of runs, finished and not, where it is 80 columns wide and no terminal."""

import json
import os
from dataclasses import replace
from datetime import datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

import rrm
from rrm.api import look
from rrm.cli.main import app
from rrm.cli.summary import LONELY, print_summary
from rrm.core.claims import Chain
from rrm.core.errors import PluginError
from rrm.core.report import (
    Candidate,
    Cost,
    Interval,
    LevelReport,
    NodeReport,
    PassedOver,
    PolicyChoice,
    Report,
    RoundLevel,
    RoundReport,
    Spent,
    StageCost,
    TargetReport,
    TreeReport,
    Use,
)
from rrm.core.values import Feedback, Output, Request
from rrm.engines.seats import Doing
from rrm.files import write_json
from rrm.reward.train_log import TrainLog
from rrm.store.lock import RunLock
from rrm.store.record import open_store
from tests.toys import Longer, Texts, toys

LONG = "the miller's daughter who had never seen the sea and spoke of nothing else all winter " * 3


def report(**changes: object) -> Report:
    level = LevelReport(
        *(2, 12_000, 3_400, 3, 0.81, Interval(0.75, 0.86), 0.9),
        longer_wins=0.5,
        bag_of_words=0.61,
        verbatim=0.55,
        nll=0.43,
        ece=0.052,
        own=0.612,
    )
    leaves = tuple(
        NodeReport(f"n{at}", 0, 1, f"leaf {at} {LONG}", (), "", (), blame=0.2 if at == 3 else 0.01) for at in range(6)
    )
    root = NodeReport("r", 2, 0, "root", tuple(leaf.id for leaf in leaves), "", (), blame=0.02)
    chosen = Candidate("o", LONG, own=0.7, composed=0.625, composed_interval=Interval(0.5, 0.75), chosen=True)
    target = TargetReport("a", LONG, (TreeReport(0, "r", (root, *leaves)),), chosen, 0)
    spent = Spent(0.2, "estimated", "last")
    rounds = tuple(
        RoundReport(number, (RoundLevel(0, 0.4, 0.5, 0.25 * number, 1.0, 2.5, 0.5, spent), RoundLevel(2, None, 0.75)))
        for number in range(2)
    )
    known = Report(
        name="mills",
        train_sources=12,
        target_sources=1,
        nodes_per_level=(10_000, 2_000, 12),
        outputs=48_000,
        ratings=24_000,
        composer="mean",
        levels=(replace(level, level=0), level),
        flat=replace(level, subject="whole"),
        targets=(target,),
        cost=Cost(levels=(StageCost(0, 12_000, 9, 3_000.4), StageCost(2, 10, 9, 60.0))),
        seconds=7000.0,
        warnings=(LONG,),
        rounds=rounds,
        uses=(Use("train", "fit", 24_000), Use("final", "report", 30)),
    )
    return replace(known, **changes)  # type: ignore[arg-type]


def said(found: Report, directory: Path = Path("runs/mills")) -> str:
    file = StringIO()
    print_summary(found, directory, Console(file=file, highlight=False, markup=False))
    return file.getvalue()


def test_nothing_is_cut_and_no_line_is_longer_than_80_columns() -> None:
    text = said(report())
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert " ".join(text.split()).count(LONG.strip()) >= 2  # the title and the warning, wrapped


def test_the_path_of_the_report_is_never_broken() -> None:
    folder = Path("/".join(["a folder of mine"] * 8))
    assert f"report: {folder / 'report.html'}" in said(report(), folder).splitlines()


def test_every_choice_between_policies_is_told_with_how_sure_it_is() -> None:
    sure = PolicyChoice("p", None, 0.0312, Interval(-0.004, 0.07), 96, 3, True)
    unsure = PolicyChoice("q", 2, -0.02, None, 1, 1, False)
    first, second = report().rounds
    text = said(report(rounds=(replace(first, choices=(sure, unsure)), second)))
    assert max(map(len, text.splitlines())) <= 80
    text = " ".join(text.split())
    assert "round 1: new policy kept, gain +0.031 (95 % -0.004 to +0.070; 96 nodes of 3 sources)" in text
    assert "round 1, root: new policy not kept, gain -0.020 (no interval; 1 node of 1 source)" in text


def test_rounds_raters_minutes_judges_and_blame_are_told() -> None:
    text = " ".join(said(report()).split())
    assert "leaves 12,000 61% 3,400 0.81 0.75-0.86 0.90 0.50 0.61 0.55 0.43 0.05" in text
    assert "1 leaves 0.40 0.50 0.00 0.20 estimated 20 % of 1.00 2.50 50 % root - 0.75" in text
    assert "2 leaves 0.40 0.50 0.25 0.20 estimated 20 % of 1.00 2.50 50 % root - 0.75" in text
    assert "minutes of raters: 3,060" in text
    assert "judges: train to fit 24,000; final to report 30" in text
    assert "loses score (+0.2 if it were perfect): leaf, leaf 3" in text


def lost(*blames: float, subtree: float = 0.01, inner: float = 0.01) -> str:
    """What is told of where score is lost: leaves of these blames, and five nodes above, one of a whole `subtree`."""
    leaves = tuple(NodeReport(f"n{at}", 0, 2, f"leaf {at}", (), "", (), blame=own) for at, own in enumerate(blames))
    parts = tuple(
        NodeReport(f"m{at}", 1, 1, f"part {at}", (f"n{at}",), "", (), blame=inner, subtree_blame=whole)
        for at, whole in enumerate([0.01, 0.01, 0.01, 0.01, subtree])
    )
    root = NodeReport("r", 2, 0, "root", tuple(each.id for each in parts), "", (), blame=0.02)
    target = replace(report().targets[0], trees=(TreeReport(0, "r", (root, *parts, *leaves)),))
    return " ".join(said(report(targets=(target,))).split())


def test_the_summary_says_where_score_is_lost_or_that_nothing_stands_out() -> None:
    usual = (0.0002,) * 5
    nothing = lost(*usual)
    assert "below the root nothing stands out as losing score: +0.01 at most" in nothing
    assert "loses score" not in nothing
    least = lost(*(0.0002,) * 5, inner=0.0002)
    assert "below the root no output loses as much as 0.001 of the score" in least
    assert "loses score (+0.2 if it were perfect): leaf, leaf 5" in lost(*usual, 0.2)
    assert "loses score (+0.3 if it were perfect): level 1 and all below, part 4" in lost(*usual, subtree=0.3)


def test_the_summary_tells_where_the_least_output_lost() -> None:
    [target] = report().targets
    chosen = target.chosen
    assert chosen is not None
    root = target.trees[0].root
    least = PassedOver(replace(chosen, composed=0.125), 0, (Chain("Ada fled.", root, "o", 0, 0.9, blame=0.25),))
    told = " ".join(said(report(targets=(replace(target, least=least),))).split())
    assert "the root output with the least score, o, has 0.125 it loses +0.25 at root: Ada fled." in told
    unblamed = replace(least, claims=(replace(least.claims[0], blame=None),))
    told = " ".join(said(report(targets=(replace(target, least=unblamed),))).split())
    assert "least score, o, has 0.125" in told and "it loses" not in told


def test_one_training_source_says_what_is_missing() -> None:
    level = LevelReport(0, 12, 0)
    assert "needs two or more training sources" in said(report(train_sources=1, levels=(level,)))
    assert "needs two or more training sources" not in said(report())


def test_a_run_on_one_training_source_warns_that_nothing_is_held_out(tmp_path: Path) -> None:
    found = rrm.run(out=tmp_path / "run", quiet=True, **toys(train={"plugin": Texts(["first"])}))
    [warning] = found.warnings
    assert warning.startswith("there is one training source: ") and warning.endswith(LONELY)


def test_status_is_a_table_whose_counts_are_the_reports(tmp_path: Path) -> None:
    found = rrm.run(out=tmp_path / "run", quiet=True, **toys(rounds=2, flat=True))
    told = look.status(tmp_path / "run")
    assert (told["ratings"], told["finished"], told["waiting_for"]) == (found.ratings, True, {})
    assert found.flat is not None and told["flat_ratings"] == found.flat.n_train
    with open_store(tmp_path / "run", "read") as record:
        assert found.outputs == len(record.load(Output))
    done = CliRunner().invoke(app, ["status", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert f"{found.ratings} ratings, {found.flat.n_train} for the flat baseline" in text
    # three trees with 9, 3 and 1 nodes; of two sources three ratings a node in each round
    assert "1 splits decompose 3 level 0 propose 27 · rate 54 · fit 1 · score 27" in text
    assert not {"{", "}"} & set(done.output) and "level -1" not in text


def test_status_tells_how_far_a_training_is_until_it_has_ended(tmp_path: Path) -> None:
    rrm.run(out=tmp_path / "run", quiet=True, **toys())
    assert look.status(tmp_path / "run")["under_way"] is None
    for fold, losses in enumerate(([0.7, 0.65], [0.693, 0.5124])):
        folder = tmp_path / "run" / "work" / "fit" / f"fold-{fold}"
        folder.mkdir(parents=True)
        log = TrainLog(folder, [], main=True)
        for step, loss in enumerate(losses, 1):
            log.write({"step": step, "loss": loss})
        os.utime(folder / "log.jsonl", (fold, fold))
    done = CliRunner().invoke(app, ["status", str(tmp_path / "run")])
    assert "a training is under way: update 2, loss 0.512, at " in done.output
    (folder / "done.json").write_text("{}")
    assert look.status(tmp_path / "run")["under_way"] is None


def test_status_says_what_workers_elsewhere_do_while_the_run_goes_on(tmp_path: Path) -> None:
    rrm.run(out=tmp_path / "run", quiet=True, **toys())
    since = datetime(2026, 11, 30, 14, 5, 9).timestamp()
    row = Doing("worker 3", "node-b", "fit", 1, since, "40%, loss 0.512")
    write_json(tmp_path / "run" / "work" / "workers.json", {"workers": [row._asdict()]})
    assert look.status(tmp_path / "run")["workers"] == [], "the run has ended or was killed"
    with RunLock(tmp_path / "run"):
        [found] = look.status(tmp_path / "run")["workers"]
        done = CliRunner().invoke(app, ["status", str(tmp_path / "run")])
    assert datetime.fromisoformat(found.pop("since")).timestamp() == since
    assert found == {"worker": "worker 3", "host": "node-b", "step": "fit", "actions": 1, "how": "40%, loss 0.512"}
    assert "worker 3 node-b fit 1 14:05:09 40%, loss 0.512" in " ".join(done.output.split())


def test_what_workers_of_a_killed_run_did_is_forgotten_when_it_goes_on_without_them(tmp_path: Path) -> None:
    seen: list[object] = []

    class Looking(Longer):
        def rate(self, request: Request, seed: int) -> Feedback:
            if not seen:
                seen.append(look.status(tmp_path / "run")["workers"])
            return super().rate(request, seed)

    row = Doing("worker 3", "node-b", "fit", 1, 0.0, "")
    (tmp_path / "run" / "work").mkdir(parents=True)
    write_json(tmp_path / "run" / "work" / "workers.json", {"workers": [row._asdict()]})
    rrm.run(out=tmp_path / "run", quiet=True, **toys(rater={"plugin": Looking(), "per_node": {"comparison": 2}}))
    assert seen == [[]]


def test_status_of_a_run_whose_rater_fails_now_and_then(tmp_path: Path) -> None:
    class Choosy(Longer):
        def rate(self, request: Request, seed: int) -> Feedback:
            if request.kind == "label" and request.place.level == 0:
                raise PluginError("no labels here")
            return super().rate(request, seed)

    parts = toys(rater={"plugin": Choosy(), "per_node": {"comparison": 2, "label": 1}})
    found = rrm.run(out=tmp_path / "run", quiet=True, **parts)
    told = look.status(tmp_path / "run")
    rated = next(step for step in told["steps"] if (step["step"], step["level"]) == ("rate", 0))
    assert (rated["done"], rated["failed"]) == (36, 18)
    assert told["ratings"] == found.ratings
    assert "rate 36 (18 failed)" in CliRunner().invoke(app, ["status", str(tmp_path / "run")]).output


def test_status_tells_ratings_of_the_judge_of_role_select_apart(tmp_path: Path) -> None:
    select = {"plugin": Longer("judge"), "share": 0.5, "per_node": {"label": 1}}
    found = rrm.run(out=tmp_path / "run", quiet=True, **toys(select=select))
    told = look.status(tmp_path / "run")
    # of two trees of 13 nodes one is rated by each: three ratings a node, and one
    assert (told["ratings"], told["select_ratings"], found.ratings) == (39, 13, 39)
    assert found.select_ratings == 13 and found.cost.select is not None and found.cost.select.minutes > 0
    assert found.cost.ratings == 39
    text = " ".join(said(found).split())
    assert "39 ratings and 13 of the judge of role select" in text
    assert f"{found.cost.minutes:,.0f}, and {found.cost.select.minutes:,.0f} of the judge of role select" in text
    printed = " ".join(CliRunner().invoke(app, ["status", str(tmp_path / "run")]).output.split())
    assert "39 ratings, 13 of the judge of role select" in printed


def test_status_counts_ratings_that_were_made_elsewhere_too(tmp_path: Path) -> None:
    row = {"prompt": "Tell.", "source": "nil.", "source_id": "nil", "rejected": "nil"}
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row | {"chosen": "nil" + " nil" * more}) + "\n" for more in range(1, 6)))
    recorded = {"plugin": "rrm.interchange.preferences:RecordedPreferences", "arguments": {"file": str(rows)}}
    found = rrm.run(out=tmp_path / "run", quiet=True, **toys(recorded=[{**recorded, "level": 1}], rounds=2))
    # 13 nodes in each of two trees, three ratings a node and round, and the five rows in both rounds
    assert look.status(tmp_path / "run")["ratings"] == found.ratings == 2 * 2 * 39 + 5


@pytest.mark.parametrize("command", ["status"])
def test_a_command_about_no_run_says_so(tmp_path: Path, command: str) -> None:
    assert "holds no run" in str(CliRunner().invoke(app, [command, str(tmp_path)]).exception)
