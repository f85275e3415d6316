"""The commands end to end on one small run: what they print, what they write, how they end."""

import html
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import rrm
from rrm.api import front, look
from rrm.cli.main import app, main
from rrm.core.errors import ConfigError, InputError, Waiting
from rrm.core.values import Choice, Feedback, Fitted, Improvement, Label, Output, Request, Scored
from rrm.store.record import open_store
from tests.scenarios import OTHER_RATER, SMALL
from tests.toys import TOYS


def toml(table: dict[str, Any]) -> str:
    """Write plain values as TOML: JSON strings, numbers and lists are TOML already."""

    def inline(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key} = {inline(each)}" for key, each in value.items()) + "}"
        return json.dumps(value)

    return "\n".join(f"{key} = {inline(value)}" for key, value in table.items())


def command(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=True)


@pytest.fixture(scope="module")
def folder(run_toml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished small run, made in a process of its own with one thread, never killed."""
    place = tmp_path_factory.mktemp("commands") / "run"
    done = cli("run", str(run_toml), "--out", str(place), "--json")
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture(scope="module")
def run_toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runfile") / "small.toml"
    path.write_text(toml(SMALL))
    return path


def test_the_version_is_printed_without_a_command() -> None:
    done = command("--version")
    assert (done.exit_code, done.output) == (0, f"{rrm.__version__}\n")


def test_a_finished_run_started_again_does_nothing_and_prints_the_summary_object(folder: Path, run_toml: Path) -> None:
    before = sqlite3.connect(folder / "record.db").execute("select count(*) from action").fetchone()
    done = command("run", str(run_toml), "--out", str(folder), "--json")
    assert done.exit_code == 0, done.output
    assert sqlite3.connect(folder / "record.db").execute("select count(*) from action").fetchone() == before
    summary = json.loads(done.stdout.splitlines()[-1])
    assert list(summary) == [
        *("sources", "nodes_per_level", "outputs", "ratings", "levels", "flat", "splits", "root", "seconds", "rounds"),
        *("calls", "notes"),
    ]
    assert summary["sources"] == {"train": 3, "target": 1}
    assert list(summary["levels"][0]) == [
        *("level", "n_train", "n_test", "accuracy", "interval", "noise_ceiling", "agreement", "best_possible"),
        *("longer_wins", "bag_of_words", "verbatim", "nll", "ece"),
    ]
    assert list(summary["root"]) == [
        *("score", "low", "high", "text", "gold_by", "gold_of_chosen", "gold_mean", "gold_best", "rank_correlation")
    ]
    [only] = summary["rounds"]
    assert only["round"] == 0 and [level["level"] for level in only["levels"]] == [0, 1, 2]
    assert list(only["levels"][0]) == [
        "level",
        "gold_mean",
        "proxy_mean",
        "kl",
        "kl_budget",
        "entropy",
        "proxy_interval",
        "spent",
        "estimated",
    ]
    # over all root outputs, as the report's own mean is
    assert only["levels"][2]["gold_mean"] == pytest.approx(summary["root"]["gold_mean"])
    assert (only["levels"][0]["kl"], only["levels"][0]["kl_budget"]) == (0, None)
    root = summary["root"]
    assert root["low"] <= root["score"] <= root["high"]
    assert 0 <= root["gold_mean"] <= root["gold_best"] <= 1
    assert summary["outputs"] == sum(summary["nodes_per_level"]) * 3 + 5 * 1  # five trees, roots have one more


def test_the_levels_of_a_run_are_evaluated_on_comparisons_of_held_out_sources(folder: Path) -> None:
    report = look.finished(folder)
    for level in report.levels:
        assert 0 < level.n_test < level.n_train
        assert level.noise_ceiling is not None and 0.5 < level.noise_ceiling < 1
        assert level.longer_wins is not None and level.bag_of_words is not None
        # leaves have nothing below them; above, what a model says is partly its own and partly of the level below
        assert level.own is None if not level.level else level.own is not None and 0 < level.own < 1
    assert report.flat is not None and 0 < report.flat.n_train < report.ratings  # each shows a whole source


def test_status_says_what_is_on_record_and_what_it_took(folder: Path) -> None:
    said = json.loads(command("status", str(folder), "--json").stdout)
    assert said["finished"] is True
    assert said["failures"] == [] and said["waiting_for"] == {}
    fitted = [step for step in said["steps"] if step["step"] == "fit" and step["subject"] == "answer"]
    report = look.finished(folder)
    assert [(step["level"], step["done"], step["failed"]) for step in fitted] == [
        (level.level, 1, 0) for level in report.levels
    ]
    assert report.flat is not None
    assert (said["ratings"], said["flat_ratings"]) == (report.ratings, report.flat.n_train)
    assert said["spent"]["seconds"] > 0


def test_the_report_is_one_page_that_shows_the_chosen_text(folder: Path, tmp_path: Path) -> None:
    done = command("report", str(folder), "--out", str(tmp_path / "page.html"))
    assert done.exit_code == 0, done.output
    page = (tmp_path / "page.html").read_text()
    chosen = look.finished(folder).targets[0].chosen
    assert chosen is not None
    assert " ".join(chosen.text.split()[:5]) in page
    assert "http://" not in page.replace("http://www.w3.org", "") and "<script src" not in page


def test_a_run_compared_with_itself_differs_in_nothing(folder: Path) -> None:
    done = command("compare", str(folder), str(folder))
    assert done.exit_code == 0, done.output
    assert json.loads(command("compare", str(folder), str(folder), "--json").stdout)


def test_somebodys_own_text_is_scored_over_the_recorded_parts(folder: Path, tmp_path: Path) -> None:
    chosen = look.finished(folder).targets[0].chosen
    assert chosen is not None and chosen.composed is not None
    (tmp_path / "own.txt").write_text(chosen.text)
    said = json.loads(command("score", str(folder), "--text", str(tmp_path / "own.txt"), "--json").stdout)
    assert said["own"]["score"] == pytest.approx(chosen.own, abs=1e-6)
    assert said["composed"]["score"] == pytest.approx(chosen.composed, abs=1e-6)
    (tmp_path / "other.txt").write_text("Nothing of the sort happened any-\nwhere.")
    other = json.loads(command("score", str(folder), "--text", str(tmp_path / "other.txt"), "--json").stdout)
    assert other["composed"]["score"] < said["composed"]["score"]
    assert said["notes"] == [] and other["notes"][0].startswith("other.txt: texts with words broken at line ends")


def test_what_may_be_no_part_of_somebodys_own_text_is_told(tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_text("<think>So?</think>\nNothing of the sort &amp; no more.")
    entity = "own.txt: texts with characters written as HTML writes them, such as '&amp;', in it: read as they stand"
    thoughts = "own.txt: thoughts before </think> or a mark like it: read as they stand"
    assert command("score", str(tmp_path), "--text", str(own)).stderr.splitlines() == [f"! {entity}", f"! {thoughts}"]
    strict = command("score", str(tmp_path), "--text", str(own), "--strict")
    assert str(strict.exception) == f"with --strict every note is an error: {entity}; {thoughts}"
    own.write_bytes(b"%PDF-1.4")
    pdf = command("score", str(tmp_path), "--text", str(own))
    assert "own.txt cannot be read as UTF-8 text: it is a PDF: save its words" in str(pdf.exception)


@pytest.mark.parametrize(
    "encoding", ["cp1252", *(pytest.param(each, marks=pytest.mark.slow) for each in ("cp437", "latin-1"))]
)
def test_what_a_terminal_cannot_show_is_replaced(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "mill.txt").write_text("Ночь в городе.\n", encoding="utf-8")
    done = cli("decompose", "mill.txt", cwd=tmp_path, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert "???? ? ??????." in done.stdout
    drawn = cli("decompose", "mill.txt", "--format", "svg", cwd=tmp_path, PYTHONIOENCODING=encoding)
    assert drawn.returncode == 0
    assert "≤ 128 tokens" in html.unescape(drawn.stdout)  # a drawing is the same everywhere


@pytest.mark.parametrize("form", ["trl", "jsonl", "parquet"])
def test_ratings_leave_in_forms_that_others_read(folder: Path, tmp_path: Path, form: str) -> None:
    path = tmp_path / f"rows.{form}"
    said = json.loads(command("export", str(folder), "--format", form, "--out", str(path), "--json").stdout)
    report = look.finished(folder)
    assert report.flat is not None
    assert said["ratings"] == report.ratings + report.flat.n_train
    if form == "trl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert len(rows) == said["rows"]
        assert {"prompt", "chosen", "rejected", "source_id"} <= set(rows[0])
    if form == "parquet":
        import pyarrow.parquet

        assert pyarrow.parquet.read_table(path).num_rows == said["rows"]


def test_a_finished_runs_models_score_a_new_book_without_rating_anything(folder: Path, tmp_path: Path) -> None:
    from tasks.synthetic_book import SyntheticBooks

    book = tmp_path / "new.txt"
    book.write_text(SyntheticBooks(1, 600, seed=99).sources()[0].text)
    out = tmp_path / "applied"
    done = command("apply", str(folder), "--source", str(book), "--out", str(out), "--json")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["ratings"] == 0 and summary["root"]["gold_of_chosen"] is None
    assert 0 < summary["root"]["score"] < 1
    with open_store(out, "read") as store:
        assert store.load(Feedback) == []
        assert not [count for count in store.counts() if count.step in ("rate", "fit")]
    (tmp_path / "library").mkdir()
    book.rename(tmp_path / "library" / "new.txt")
    (tmp_path / "library" / "empty.txt").write_text("")
    done = command(
        "apply", str(folder), "--source", str(tmp_path / "library"), "--out", str(tmp_path / "rows"), "--json"
    )
    assert isinstance(done.exception, InputError)
    assert str(done.exception).startswith(
        "1 of 2 sources failed, and their rows say why; try them again with: rrm apply"
    )
    empty, new, last = map(json.loads, done.stdout.splitlines())
    assert empty["failure"] == "empty.txt: the file is empty"
    assert (new["score"], new["text"]) == (summary["root"]["score"], summary["root"]["text"])
    assert last == {"results": str(tmp_path / "rows" / "results.jsonl"), "sources": 2, "failed": 1}
    said = command("apply", str(folder), "--source", str(tmp_path / "library"), "--out", str(tmp_path / "rows")).stdout
    assert "empty.txt: failed: empty.txt: the file is empty" in said
    assert f"new.txt: {new['score']:.3f} (90 % interval {new['low']:.3f} to {new['high']:.3f})" in said
    own = tmp_path / "own.txt"
    own.write_text(summary["root"]["text"])
    said = json.loads(command("score", str(out), "--text", str(own), "--json").stdout)
    assert said["composed"]["score"] == pytest.approx(summary["root"]["score"], abs=1e-6)


def test_a_tree_is_shown_as_text_json_and_a_drawing(tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("\n\n".join(f"In chapter {n} the river rose by {n} feet and fell again." for n in range(40)))
    arguments = ("decompose", str(book), "--set", "leaf_tokens=100")
    assert "level" in command(*arguments).stdout
    graph = rrm.TaskGraph.from_json(json.loads(command(*arguments, "--json").stdout))
    assert len(graph.leaves) > 3
    command(*arguments, "--format", "svg", "--out", str(tmp_path / "tree.svg"))
    assert (tmp_path / "tree.svg").read_text().lstrip().startswith("<svg")
    tree = tmp_path / "new" / "tree.json"
    done = command(*arguments, "--json", "--out", str(tree))
    assert json.loads(done.stdout) == json.loads(tree.read_text())
    assert command(*arguments, "--out", str(tree)).stdout == "" and tree.read_text().startswith("level")


DECOMPOSERS = """
from rrm.core.graph import TaskGraph
from rrm.core.task import Span, Task

class Nothing:
    def decompose(self, source, seed):
        return None

class Fails:
    def decompose(self, source, seed):
        return source["text"]

class Open:
    def decompose(self, source, seed):
        return TaskGraph.start(Task("Sum up.", source.id, Span(0, len(source.text))), "open", 0)
"""


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Nothing", "rrm: tests_slips:Nothing returned None from `decompose`, where a TaskGraph belongs"),
        ("Fails", "rrm: tests_slips:Fails failed: TypeError: "),
        ("Open", "rrm: tests_slips:Open returned a graph with 1 open, "),
    ],
)
def test_a_decomposer_that_goes_wrong_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, says: str
) -> None:
    (tmp_path / "tests_slips.py").write_text(DECOMPOSERS)
    (tmp_path / "book.txt").write_text("The ferry left. It sank.")
    monkeypatch.syspath_prepend(tmp_path)
    arguments = ["decompose", str(tmp_path / "book.txt"), "--decomposer", f"tests_slips:{name}"]
    monkeypatch.setattr(sys, "argv", ["rrm", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "") and said.err.startswith(says) and said.err.count("\n") == 1


def test_what_was_left_out_of_a_book_is_said_and_with_strict_an_error(tmp_path: Path) -> None:
    book = tmp_path / "ferry.txt"
    book.write_text("Terms.\n\n*** START OF THIS PROJECT GUTENBERG EBOOK ***\n\nThe ferry left. It sank.\n")
    note = "ferry.txt: licence of 9 words skipped at the start"
    done = command("decompose", str(book))
    assert (done.exit_code, done.stderr) == (0, f"! {note}\n")
    assert json.loads(command("decompose", str(book), "--json").stdout)["notes"] == [note]
    done = command("decompose", str(book), "--strict")
    assert isinstance(done.exception, InputError) and note in str(done.exception)
    book.write_text("The ferry left. It sank.\n")
    assert command("decompose", str(book), "--strict").exit_code == 0


def test_a_dry_run_counts_what_the_run_then_takes_and_records_nothing(
    folder: Path, run_toml: Path, tmp_path: Path
) -> None:
    out = tmp_path / "dry"
    done = command("run", str(run_toml), "--dry-run", "--json", "--out", str(out))
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    report = look.finished(folder)
    assert not out.exists()
    assert said["nodes_per_level"] == list(report.nodes_per_level)
    assert said["outputs"] == report.outputs
    assert report.ratings <= said["ratings"] <= 1.2 * report.ratings  # equal outputs are not compared
    assert said["model_calls"] == 0 and said["machine_minutes"] >= 0


def test_another_run_in_the_same_folder_is_refused(folder: Path, run_toml: Path) -> None:
    done = command("run", str(run_toml), "--set", "policy.outputs=7", "--out", str(folder))
    assert isinstance(done.exception, InputError)
    assert "another policy.outputs: use a new directory" in str(done.exception)


def test_a_device_that_is_not_there_is_refused(run_toml: Path, tmp_path: Path) -> None:
    done = command("run", str(run_toml), "--device", "abacus", "--out", str(tmp_path / "run"))
    assert isinstance(done.exception, InputError)
    assert "abacus" in str(done.exception)


def test_a_run_that_waits_for_people_says_so_and_goes_on_when_they_have_answered(tmp_path: Path) -> None:
    settings = deepcopy(SMALL) | {"rater": {"plugin": "people", "per_node": {"label": 1}}, "flat": False}
    settings["train"]["arguments"] |= {"count": 2}
    out = tmp_path / "people"
    for _ in range(6):
        try:
            report = rrm.run(rrm.run_file(settings), out, again="rrm run people.toml", quiet=True)
            break
        except Waiting as waiting:
            assert "waiting for" in str(waiting) and "rrm run people.toml" in str(waiting)
            assert waiting.exit_code == 3
        with open_store(out, "append") as store:
            answered = {feedback.request for feedback in store.load(Feedback)}
            asked = [request for request in store.load(Request) if request.id not in answered]
            assert asked
            goods = [len(request.shown[0].text) % 2 == 0 for request in asked]
            store.append(
                [Feedback(r.id, "anna", Label(good), seconds=4.0) for r, good in zip(asked, goods, strict=True)]
            )
    assert report.ratings == len(answered) + len(asked)
    assert report.levels[0].n_train > 0


def test_every_node_of_the_report_names_the_one_candidate_that_was_chosen(folder: Path) -> None:
    for target in look.finished(folder).targets:
        for tree in target.trees:
            for node in tree.nodes:
                assert [each.chosen for each in node.candidates].count(True) == 1


# ---- how it fails ----


def cli(*arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(
        [sys.executable, "-m", "rrm", *arguments],
        capture_output=True,
        encoding=variables.get("PYTHONIOENCODING", "utf-8"),
        check=False,
        env=environment,
        cwd=cwd,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("run", "nowhere.toml"), 2, "cannot be read"),
        (("status", "nowhere"), 4, "holds no run"),
        (("report", "nowhere"), 2, "no finished run"),
        (("decompose", "nowhere.txt"), 2, "nowhere.txt"),
        (("decompose", "empty.txt"), 2, "empty"),
        (("decompose", "binary.txt"), 2, "binary.txt"),
        (("decompose", "book.txt", "--decomposer", "no.such:Thing"), 2, "cannot be imported"),
        (("decompose", "book.txt", "--set", "leaf_size=3"), 2, "leaf_size"),
        (("run", "plugin.toml"), 2, "no.such"),
        (("run", "key.toml"), 2, "unknown key 'polciy'"),
        (("apply", "nowhere", "--source", "book.txt"), 4, "holds no run"),
        (("verify", "no_such:One:"), 2, "'no_such:One:' cannot be imported"),  # which would be drawn as a keycap
    ],
)
def test_bad_input_is_one_sentence_and_an_exit_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)) * 10)
    (tmp_path / "book.txt").write_text("One day. Another day.")
    (tmp_path / "plugin.toml").write_text(toml({**SMALL, "decomposer": {"plugin": "no.such:Thing"}}))
    (tmp_path / "key.toml").write_text(toml({**SMALL, "polciy": {}}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rrm", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == code, said
    assert sentence in said
    assert len(said.strip().splitlines()) == 1


def test_the_program_ends_with_the_code_and_the_sentence_alone(tmp_path: Path) -> None:
    done = cli("run", "nowhere.toml", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_mistake_in_a_run_file_is_told_before_torch_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from rrm.cli.main import app\n"
        "print(CliRunner().invoke(app, ['run', 'nowhere.toml']).exception, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "cannot be read" in done.stdout and done.stdout.strip().endswith("False")


def test_debug_shows_where_it_happened(tmp_path: Path) -> None:
    done = cli("run", "nowhere.toml", "--debug", cwd=tmp_path)
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_two_runs_in_one_folder_the_second_says_who_holds_it(tmp_path: Path) -> None:
    with open_store(tmp_path / "run"), pytest.raises(Exception, match=f"process {os.getpid()}") as held:
        rrm.run(rrm.run_file(SMALL), tmp_path / "run", quiet=True)
    assert held.value.exit_code == 4  # type: ignore[attr-defined]


# ---- killed and resumed ----

GRADIENT = {"plugin": "rrm.policy.gradient:PolicyGradient", "arguments": {"steps": 2, "nodes": 20}}
ROUNDS: dict[str, Any] = SMALL | {
    "train": {**SMALL["train"], "arguments": {"count": 3, "words": 500, "seed": 31}},
    "target": {**SMALL["target"], "arguments": {"count": 1, "words": 500, "seed": 32}, "trees": 1},
    "reward": {"plugin": "rrm.reward.frozen:Frozen", "arguments": {"members": 4, "folds": 2, "components": 8}},
    "compose": {"plugin": "rrm.compose.composers:Mean"},
    "flat": False,
    "rounds": 2,
    "improve": GRADIENT,
}
"""Two rounds with an improvement between them, on books so small that it takes a few seconds."""

SELECTING = ROUNDS | {"improve": {**GRADIENT, "per_level": True}, "select": {**OTHER_RATER, "share": 0.3}}
"""The same with a judge of role select and a policy for each level."""


def choices(folder: Path) -> dict[str, Any]:
    """Return the ids of all outputs, the models and the policies of a run, and its scores and figures to six digits."""
    with open_store(folder, "read") as store:
        found = {
            "outputs": {output.id for output in store.load(Output)},
            "scores": {(s.output, s.model, tuple(round(p, 6) for p in s.acceptance)) for s in store.load(Scored)},
            "models": {(str(fitted.place), fitted.role, fitted.digest) for fitted in store.load(Fitted)},
            "policies": {(each.level, each.policy, each.anchor, each.kl) for each in store.load(Improvement)},
            "chosen": {(each.policy, each.before, each.chosen) for each in store.load(Choice)},
            "answers": {feedback.id for feedback in store.load(Feedback)},
        }
    report = look.finished(folder)
    best = report.targets[0].chosen
    return {**found, "best": best and best.id, "rounds": to_six_digits([asdict(each) for each in report.rounds])}


def to_six_digits(value: Any) -> Any:
    """Return a value with all its numbers rounded: scores of other batches are equal within a millionth."""
    if isinstance(value, dict):
        return {name: to_six_digits(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_six_digits(each) for each in value]
    return round(value, 6) if isinstance(value, float) else value


def killed_and_resumed(run_toml: Path, out: Path, moments: list[float]) -> None:
    """Start the run and kill it after so many seconds, again and again; then let it end."""
    command = [sys.executable, "-m", "rrm", "run", str(run_toml), "--out", str(out), "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for moment in moments:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr


DYING = """
import os, signal, sys
import torch, transformers.models.bert.modeling_bert
import rrm.api.front, rrm.api.reports, rrm.api.worker, rrm.reward.frozen
from rrm.cli.main import main
from rrm.store.record import SqlStore

complete = SqlStore.complete

def die_at(step, round, commits):
    left = int(commits)

    def complete_or_die(store, results):
        nonlocal left
        left -= any(action.step == step and action.place.round == int(round) for action, _ in results)
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        complete(store, results)

    SqlStore.complete = complete_or_die

moments = sys.argv.pop(1).split(",")
for moment in [*moments, ""]:  # all is imported already, so that the next program is there at once
    program = os.fork()
    if program == 0:
        if moment:
            die_at(*moment.split("/"))
        main()
        os._exit(0)
    _, status = os.waitpid(program, 0)
    if status != (signal.SIGKILL if moment else 0):
        sys.exit(f"the program that was to end at {moment or 'its end'} ended with {status}")
    print("ended", moment, flush=True)
"""
"""One program after another, each killed when so many batches of a step of a round are on record and the next is about
to be; the last goes on to its end."""


def killed_at(moments: Sequence[str], run_toml: Path, out: Path) -> None:
    """Start the run and kill it at each of these moments, "step/round/batches" as above; then let it end."""
    arguments = [",".join(moments), "run", str(run_toml), "--out", str(out), "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", DYING, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("ended")] == [
        f"ended {moment}" for moment in [*moments, ""]
    ]


def test_a_run_killed_twice_and_resumed_ends_with_the_same_ids_and_choices(
    run_toml: Path, folder: Path, tmp_path: Path
) -> None:
    killed_at(["propose/0/3", "score/0/1"], run_toml, tmp_path / "run")
    assert choices(tmp_path / "run") == choices(folder)


@pytest.mark.parametrize(
    ("table", "moments"),
    [
        pytest.param(ROUNDS, ["improve/0/0", "fit/1/1"], marks=pytest.mark.slow),
        pytest.param(SELECTING, ["rate-select/0/0", "choose/0/0"], marks=pytest.mark.slow),
    ],
    ids=["improved", "selected"],
)
def test_a_run_of_two_rounds_killed_twice_and_resumed_ends_with_the_same_policies(
    table: dict[str, Any], moments: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "rounds.toml"
    file.write_text(toml(table))
    whole = cli("run", str(file), "--out", str(tmp_path / "whole"), "--json")
    assert whole.returncode == 0, whole.stderr
    expected = choices(tmp_path / "whole")
    assert len(expected["rounds"]) == 2 and expected["policies"]
    assert bool(expected["chosen"]) == ("select" in table)
    killed_at(moments, file, tmp_path / "run")
    assert choices(tmp_path / "run") == expected


@pytest.mark.slow
@pytest.mark.parametrize("table", [SMALL, ROUNDS], ids=["one-round", "two-rounds"])
def test_a_run_killed_at_ten_random_moments_ends_with_the_same_ids_and_choices(
    table: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "run.toml"
    file.write_text(toml(table))
    began = time.monotonic()
    whole = cli("run", str(file), "--out", str(tmp_path / "whole"), "--json")
    assert whole.returncode == 0, whole.stderr
    took = time.monotonic() - began
    moments = [random.uniform(took / 3, took) for _ in range(10)]
    killed_and_resumed(file, tmp_path / "run", moments)
    assert choices(tmp_path / "run") == choices(tmp_path / "whole"), moments


def test_a_run_that_waits_prints_json_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def waits(*_: Any, **__: Any) -> None:
        raise Waiting("the run waits for people")

    monkeypatch.setattr(front, "resume", waits)
    done = command("resume", "runs/people", "--json")
    assert isinstance(done.exception, Waiting)
    told = {"why": "the run waits for people", "directory": "runs/people", "resume": "rrm resume runs/people"}
    assert json.loads(done.stdout) == {"state": "waiting", **told}
    assert command("resume", "runs/people").stdout == ""


def test_the_frontier_of_a_run_is_printed_with_gold_and_drawn(folder: Path) -> None:
    asked = ("--method", "quantilizer", "--method", "policy gradient", "--budgets", "0.1,0.2,0.4,0.8", "--nodes", "6")
    done = command("frontier", str(folder), *asked)
    assert done.exit_code == 0, done.output
    assert "sources learned from 1, measured on 2 others (6 nodes, 8 outputs each)" in done.output
    rows = [line.split() for line in done.output.splitlines() if line.startswith(("anchor", "quantilizer", "policy"))]
    assert len([row for row in rows if not row[0].endswith(":") and row[1] != "gradient:"]) == 9
    told = json.loads((folder / "frontier" / "frontier.json").read_text())
    assert all(0 <= point["gold"] <= 1 and point["gold_interval"] for point in told["points"])
    assert set(told["laws"]) == {"quantilizer", "policy gradient"}
    refused = command("frontier", str(folder), "--budgets", "little").exception
    assert isinstance(refused, ConfigError) and "takes numbers with commas between" in str(refused)


def test_one_way_of_optimising_is_printed_kept_and_told_as_json(folder: Path, tmp_path: Path) -> None:
    asked = ("optimize", str(folder), "--method", "quantilizer", "--kl-budget", "0.7", "--nodes", "4", "--outputs", "4")
    done = command(*asked, "--set", "q=0.6", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert [line.split()[0] for line in done.output.splitlines()[2:5]] == ["method", "anchor", "quantilizer"]
    told = json.loads(command(*asked, "--set", "q=0.6", "--out", str(tmp_path), "--json").stdout.splitlines()[-1])
    assert told == json.loads((tmp_path / "optimized.json").read_text())
    assert told["how"] in ("exact", "bound") and 0 < told["kl"] <= 0.51083 and told["score"] == "level"
    refused = command(*asked, "--set", "q=0.4").exception
    assert isinstance(refused, InputError) and "set q to at least 0.4966" in str(refused)
    assert command("optimize", str(folder), "--kl-budget", "1").exit_code == 2


_MULTIPLYING = """
import sys

import torch

from rrm.cli.main import main
from rrm.pipeline import driver
from tests.toys import Lengths

def multiply(*_: object) -> None:
    print("fitting", flush=True)
    matrix = torch.eye(200)
    while True:
        matrix = matrix @ matrix

driver.DRAIN_SECONDS = 0.2
Lengths.fit = multiply
sys.argv = ["rrm", "run", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 143), (signal.SIGINT, 130)])
def test_a_signal_during_a_fit_ends_the_command_with_how_to_go_on(tmp_path: Path, number: int, code: int) -> None:
    arguments = [str(tmp_path / "run.toml"), "--out", str(tmp_path / "run")]
    (tmp_path / "run.toml").write_text(toml({**TOYS, "reward": {"plugin": "tests.toys:Lengths"}}))
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", _MULTIPLYING, *arguments], stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "fitting\n"
        process.send_signal(number)
        said = process.stderr.read()
    assert process.returncode == code, said
    assert said.splitlines()[-1].endswith(f"nothing recorded is lost, resume with: rrm run {' '.join(arguments)}")
