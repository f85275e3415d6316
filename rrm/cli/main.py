"""The command line: thin commands over `rrm.api.runs`; every error is one sentence and an exit code."""

import io
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from rrm import __version__
from rrm.cli.rewards import (
    Device,
    Dtype,
    JoinFile,
    JoinKey,
    JoinText,
    Long,
    Output,
    PromptColumn,
    SourceColumn,
    Strict,
    TextColumn,
    columns_of,
    rewards,
    score_rows,
)
from rrm.cli.station import station
from rrm.core.errors import ConfigError, ContractError, InputError, Interrupted, RrmError, Terminated, Waiting

EXIT_CODES = """
Exit codes: 0 done · 1 unexpected · 2 bad input · 3 waiting for people · 4 the record cannot be read or written ·
5 a model call or the budget failed · 130 interrupted, 143 terminated by SIGTERM or SIGUSR1 (the same command resumes).
"""

app = typer.Typer(
    name="rrm",
    help="Recursive reward modelling: split a big task, have the pieces rated, learn, compose, score the whole.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on the last line.")]
Out = Annotated[Path | None, typer.Option("--out", help="The run's folder; the same folder resumes.")]
OutFile = Annotated[Path | None, typer.Option("--out", help="The file to write to.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Change the run file: key=value, keys dotted.")]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A run's folder.")]
Wait = Annotated[bool, typer.Option("--wait", help="Keep waiting for people's ratings instead of exiting with 3.")]
Engine = Annotated[str | None, typer.Option(help="Who does the work: local, ray, dask, or package.module:Engine.")]
Retry = Annotated[bool, typer.Option("--retry-failed", help="Try what is recorded as failed again.")]

StrictSources = Annotated[
    bool, typer.Option("--strict", help="End with an error for every note on what was left out of the sources.")
]


class Shape(StrEnum):
    """How a tree is shown."""

    text = "text"
    json = "json"
    svg = "svg"


class Rows(StrEnum):
    """In which form ratings leave."""

    trl = "trl"
    jsonl = "jsonl"
    parquet = "parquet"
    csv = "csv"


class Scored(StrEnum):
    """By what an output is scored when a policy is optimised."""

    level = "level"
    composed = "composed"


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
]


@app.callback()
def top(version: Version = False) -> None:
    """Declare the options that stand before any command."""


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Makes the books and all that is random.")] = 0,
    reward: Annotated[
        str, typer.Option(help="frozen: heads on vectors; joint: a fine-tuned model a level; blend: both.")
    ] = "frozen",
    backbone: Annotated[
        str | None, typer.Option(help="What it reads with: minilm, smollm, tiny, a folder, a name.")
    ] = None,
    books: Annotated[
        int | None, typer.Option(help="How many books are learned from: 10 with frozen models, 4 with others.")
    ] = None,
    engine: Engine = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Run the main job on generated books whose true quality is known: no key, no network.

    Frozen models take about a minute, fine-tuned ones several, of fewer and shorter books.
    """
    from rrm.api import front as runs

    directory = out or Path(f"runs/demo-{seed}")
    chosen = "" if reward == "frozen" else f" --reward {reward}"
    chosen += f" --backbone {backbone}" if backbone else ""
    chosen += "" if books is None else f" --books {books}"
    chosen += f" --engine {engine}" if engine else ""
    again = f"rrm demo --seed {seed}{chosen} --out {directory}"
    if reward in ("joint", "blend"):
        size = runs.SMALLER_DEMO
        count = size["count"] if books is None else books
        told = (
            f"{count} books of {size['words']:,} words, for fine-tuned models take long; --books N changes their number"
        )
        typer.echo(f"rrm: a smaller demo, of {told}", err=True)
    settings = runs.demo_file(seed, reward, backbone, books, engine)
    _tell(runs.run(settings, directory, again=again), directory, as_json)


@app.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="RUN.toml", help="The run file; see docs/run-files.md.")],
    changes: Set = None,
    out: Out = None,
    wait: Wait = False,
    store: Annotated[str | None, typer.Option(help="PostgreSQL URL of a new run's record, instead of SQLite.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and spend nothing.")] = False,
    retry_failed: Retry = False,
    strict: StrictSources = False,
    device: Annotated[str | None, typer.Option(help="Where the backbone runs: auto, cpu, cuda, cuda:1.")] = None,
    dtype: Annotated[str | None, typer.Option(help="Its precision: auto, float32, bfloat16.")] = None,
    engine: Engine = None,
    as_json: Json = False,
) -> None:
    """Run a run file, or go on with it where it stopped."""
    from rrm.api.runfile import read_run_file, with_engine

    changes = list(changes or ())
    changes += [f"reward.{key}={value}" for key, value in (("device", device), ("dtype", dtype)) if value]
    settings = with_engine(read_run_file(file, tuple(changes)), engine)
    if dry_run:
        from rrm.api.forecast import forecast
        from rrm.cli.forecast import print_forecast

        expected = forecast(settings, strict=strict)
        if as_json:
            _print(expected, as_json)
        else:
            print_forecast(expected)
        return
    from rrm.api import front as runs

    directory = out or Path("runs") / settings.name
    again = f"rrm run {file}" + "".join(f" --set {each}" for each in changes) + f" --out {directory}"
    again += (" --strict" if strict else "") + (f" --engine {engine}" if engine else "")
    with _waiting_told(directory, again, as_json):
        report = runs.run(
            settings, directory, again=again, wait=wait, retry_failed=retry_failed, store=store, strict=strict
        )
    _tell(report, directory, as_json)


@app.command()
def resume(
    directory: Directory,
    wait: Wait = False,
    retry_failed: Retry = False,
    engine: Engine = None,
    as_json: Json = False,
) -> None:
    """Go on with the run in a folder, as its record says it was begun."""
    from rrm.api import front as runs

    again = f"rrm resume {directory}" + (f" --engine {engine}" if engine else "")
    with _waiting_told(directory, again, as_json):
        report = runs.resume(directory, again=again, wait=wait, retry_failed=retry_failed, engine=engine)
    _tell(report, directory, as_json)


@app.command()
def apply(
    directory: Directory,
    source: Annotated[
        list[Path], typer.Option("--source", help="A book, or a folder of books; may be given several times.")
    ],
    out: Out = None,
    strict: StrictSources = False,
    engine: Engine = None,
    as_json: Json = False,
) -> None:
    """Propose, score, choose and compose on new sources with a finished run's models and policies.

    Several sources are done one after another, each in a folder of its own, and a row of each is told as it ends.
    """
    names = (path.expanduser().resolve().name.partition(".")[0] for path in source)
    folder = out or directory / "applied" / "-".join(names)[:80]
    again = f"rrm apply {directory} " + " ".join(f"--source {path}" for path in source) + f" --out {folder}"
    again += (" --strict" if strict else "") + (f" --engine {engine}" if engine else "")
    how: dict[str, Any] = {"again": again, "strict": strict, "engine": engine}
    if len(source) > 1 or source[0].is_dir():
        _apply_each(directory, source, folder, how, as_json)
        return
    from rrm.api import front as runs

    _tell(runs.apply(directory, source, folder, **how), folder, as_json)


def _apply_each(directory: Path, sources: list[Path], folder: Path, how: dict[str, Any], as_json: bool) -> None:
    """Apply a run to a library: a line of each source as it ends, and at the end how many there were and failed."""
    from rrm.api.library import ROWS, apply_each
    from rrm.cli.summary import tell_row

    done = failed = 0
    for row in apply_each(directory, sources, folder, **how):
        done, failed = done + 1, failed + (row.failure is not None)
        if as_json:
            typer.echo(json.dumps(row.to_json()))
        else:
            tell_row(row)
    _print({"results": str(folder / ROWS), "sources": done, "failed": failed}, as_json)
    if failed:
        again = how["again"]
        raise InputError(f"{failed} of {done} sources failed, and their rows say why; try them again with: {again}")


@app.command()
def status(directory: Directory, as_json: Json = False) -> None:
    """Say what is on record, what failed, what is waited for and what it cost."""
    from rrm.api import look
    from rrm.cli.status import print_status

    found = look.status(directory)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        print_status(found, directory)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="DIR", help="A finished run's folder.")],
    second: Annotated[Path, typer.Argument(metavar="DIR", help="Another one.")],
    as_json: Json = False,
) -> None:
    """Put two finished runs side by side."""
    from rrm.api import look
    from rrm.report.compare import compare_json, compare_text

    a, b = look.finished(first), look.finished(second)
    typer.echo(json.dumps(compare_json(a, b)) if as_json else compare_text(a, b))


@app.command()
def report(directory: Directory, out: OutFile = None, as_json: Json = False) -> None:
    """Write the run's report: one HTML page with the tree, the scores, the plots and the cost."""
    from rrm.api import look
    from rrm.report.html import write_report

    path = out or directory / look.PAGE
    write_report(look.finished(directory), path)
    _print({"report": str(path)}, as_json)


@app.command()
def decompose(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A book: txt, md, html, epub, jsonl or jsonl.gz.")],
    decomposer: Annotated[str, typer.Option(help="As package.module:Name.")] = "decomposers.chunks:Chunks",
    changes: Annotated[list[str] | None, typer.Option("--set", help="An argument of the decomposer.")] = None,
    assistant: Annotated[
        str, typer.Option(help="Who is asked: a chat model or an assistant, as package.module:Name.")
    ] = "rrm.assistants.scripted_model:ScriptedChatModel",
    assistant_changes: Annotated[
        list[str] | None, typer.Option("--assistant-set", help="An argument of the assistant: key=value.")
    ] = None,
    answers: Annotated[
        str, typer.Option(help="The policy that answers what a growing decomposer waits for, as package.module:Name.")
    ] = "rrm.policy.extractive:Extractive",
    seed: Annotated[int, typer.Option(help="Another seed may give another tree.")] = 0,
    shape: Annotated[Shape, typer.Option("--format", help="Text, JSON or a drawing.")] = Shape.text,
    strict: StrictSources = False,
    out: OutFile = None,
    as_json: Json = False,
) -> None:
    """Split a book, or a question in a file, into its tree of subtasks and show it."""
    from rrm.api import look, splitting
    from rrm.report.html import write_whole

    drawn, notes, refusals = splitting.decompose(
        source,
        decomposer,
        tuple(changes or ()),
        seed,
        "json" if as_json else shape.value,
        assistant=assistant,
        assistant_changes=tuple(assistant_changes or ()),
        answers=answers,
    )
    if strict:
        look.refuse_notes(notes)
    for note in (*notes, *refusals):
        typer.echo(f"! {note}", err=True)
    if out is not None:
        write_whole(out, drawn)
    if as_json or out is None:  # a drawing is the same, whatever the terminal's encoding
        typer.echo(drawn.encode("ascii", "xmlcharrefreplace").decode() if shape is Shape.svg else drawn)


@app.command()
def frontier(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A finished run's folder.")],
    methods: Annotated[
        list[str] | None,
        typer.Option("--method", help="A way of optimising, or package.module:Optimiser; all by default."),
    ] = None,
    budgets: Annotated[str, typer.Option(help="Budgets of KL, in nats a node.")] = "0.1,0.3,0.7,1.5",
    level: Annotated[int, typer.Option(help="At which level; 0 is the leaves.")] = 0,
    outputs: Annotated[int, typer.Option(help="Outputs a node that are measured.")] = 8,
    nodes: Annotated[int, typer.Option(help="Nodes that are measured at, at most.")] = 40,
    as_json: Json = False,
) -> None:
    """Optimise a run's policy in several ways and budgets; draw gold against KL, as a page in the run's folder."""
    from rrm.api.frontier import frontier as tried
    from rrm.report.frontier import frontier_text

    try:
        nats = [float(each) for each in budgets.split(",")]
    except ValueError:
        raise ConfigError(f"--budgets takes numbers with commas between, such as 0.1,0.3, got {budgets!r}") from None
    found = tried(directory, tuple(methods or ()), nats, level, outputs, nodes)
    typer.echo(json.dumps(found.to_json()) if as_json else frontier_text(found))
    typer.echo(f"the figure is in {directory / 'frontier' / 'frontier.html'}", err=True)


@app.command()
def adversary(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A finished run's folder.")],
    level: Annotated[int, typer.Option(min=0, help="At which level; 0 is the leaves.")] = 0,
    candidates: Annotated[int, typer.Option(min=2, help="Outputs a node that are looked through.")] = 64,
    most: Annotated[int, typer.Option(min=1, help="Suspects, at most.")] = 20,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes that are looked at, at most.")] = 40,
    seed: Annotated[int, typer.Option(help="Makes all that is random.")] = 0,
    items: Annotated[Path | None, typer.Option(help="Write questions about them, for `rrm items add`.")] = None,
    as_json: Json = False,
) -> None:
    """Look for outputs that a run's models score high and differ about, to put them to raters."""
    from rrm.api.adversary import adversary as searched
    from rrm.api.adversary import adversary_text

    found = searched(directory, level, candidates, most, nodes, seed, items)
    typer.echo(json.dumps(found.to_json()) if as_json else adversary_text(found))


@app.command()
def optimize(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A finished run's folder.")],
    method: Annotated[str, typer.Option(help="A way of optimising, such as best-of-n, or package.module:Optimiser.")],
    kl_budget: Annotated[float, typer.Option(help="The most KL from the run's policy, in nats a node.")],
    score: Annotated[Scored, typer.Option(help="By the level's model, or composed with what was read below.")] = (
        Scored.level
    ),
    level: Annotated[int, typer.Option(min=0, help="At which level; 0 is the leaves.")] = 0,
    changes: Annotated[list[str] | None, typer.Option("--set", help="An argument of the method: key=value.")] = None,
    outputs: Annotated[int, typer.Option(min=1, help="Outputs a node that are measured.")] = 8,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes that are measured at, at most.")] = 40,
    seed: Annotated[int, typer.Option(help="Makes all that is random.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Where the policy goes; the same folder resumes.")] = None,
    as_json: Json = False,
) -> None:
    """Optimise a run's policy within a budget of KL, keep it, and measure it on sources that it did not learn from."""
    from rrm.api.optimizing import optimize as optimized
    from rrm.report.frontier import frontier_text

    found = optimized(
        directory, method, kl_budget, by=score.value, level=level, changes=tuple(changes or ()),
        outputs=outputs, most_nodes=nodes, seed=seed, out=out,
    )  # fmt: skip
    typer.echo(json.dumps(found.to_json()) if as_json else frontier_text(found.measured))
    typer.echo(f"the policy is in {found.folder}", err=True)


@app.command()
def verify(
    plugin: Annotated[
        str | None, typer.Argument(metavar="[PLUGIN]", help="A part of yours, as package.module:Name.")
    ] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", help="An argument of the part.")] = None,
    policy: Annotated[
        str, typer.Option(help="What an optimiser improves, as package.module:Name.")
    ] = "rrm.policy.extractive:Extractive",
    decomposer: Annotated[
        str, typer.Option(help="What an optimiser of decomposers improves, as package.module:Name.")
    ] = "decomposers.segmenter:Segmenter",
    method: Annotated[
        str | None, typer.Option("--as", metavar="METHOD", help="Ask the oracles about PLUGIN, a function, as METHOD.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check what is shipped against exact oracles; or a part of yours against what its protocol promises."""
    from rrm.cli import contracts

    if plugin is None and method is not None:
        raise InputError("--as goes with a function of yours: rrm verify package.module:function --as METHOD")
    if plugin is None or method is not None:
        broken = contracts.oracles(as_json, plugin, method or "")
    else:
        broken = contracts.part(plugin, tuple(changes or ()), policy, decomposer, as_json)
    if broken:
        raise typer.Exit(ContractError.exit_code)


@app.command()
def score(
    directory: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="A run's folder.")] = None,
    text: Annotated[Path | None, typer.Option("--text", help="Somebody's own root output, as a text file.")] = None,
    target: Annotated[int, typer.Option(help="Which target source, counted from 0.")] = 0,
    model: Annotated[Path | None, typer.Option("--model", help="A reward model's folder, to score rows with.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="The rows: .jsonl, .json, .csv or .parquet.")] = None,
    output: Output = None,
    long_sources: Long = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    source_column: SourceColumn = None,
    text_column: TextColumn = None,
    prompt_column: PromptColumn = "prompt",
    join_file: JoinFile = None,
    join_key: JoinKey = None,
    join_text: JoinText = None,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Score a file's rows with a reward model, or somebody's own output for the whole task of a run (DIR --text)."""
    if (directory or text) and (model or data):
        raise ConfigError("score rows with --model and --data, or a run's text with DIR and --text, not both at once")
    if directory is None or text is None:
        columns = columns_of(source_column, text_column, prompt_column, join_file, join_key, join_text)
        score_rows(model, data, output, long_sources, device, dtype, columns, strict, as_json)
        return
    from rrm.api.loaded import load
    from rrm.api.look import own_text, refuse_notes

    said, notes = own_text(text)
    if strict:
        refuse_notes(notes)
    for note in notes:
        typer.echo(f"! {note}", err=True)
    with load(directory) as run:
        scored = run.score(said, target).to_json()
    _print({**scored, "notes": notes} if as_json else scored, as_json)


@app.command()
def claims(
    directory: Directory,
    target: Annotated[int, typer.Option(help="Which target source, counted from 0.")] = 0,
    output: Annotated[str | None, typer.Option(help="Another output than the chosen one, by its id.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Whole texts, not 160 characters of each.")] = False,
    as_json: Json = False,
) -> None:
    """Show what each sentence of a target's chosen output rests on, step by step, down to the source."""
    from rrm.api.loaded import load
    from rrm.cli.claims import claims_json, print_claims

    with load(directory) as run:
        found = run.claims(output, target)
        no_blame = run.report.targets[target].no_blame if output is None else ""
        if as_json:
            typer.echo(json.dumps(claims_json(found, run.named, no_blame)))
        else:
            print_claims(found, run.named, full, no_blame)


@app.command(name="assist-game")
def assist_game(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The game, in TOML: see examples/assistance.toml.")],
    as_json: Json = False,
) -> None:
    """Solve a small assistance game: what a person and an agent come to together, apart, and mistaken."""
    from rrm.api.game import read_game, solved
    from rrm.cli.game import print_game

    found = solved(read_game(file))
    if as_json:
        typer.echo(json.dumps(found.to_json()))
    else:
        print_game(found)


@app.command()
def export(
    directory: Directory,
    form: Annotated[Rows, typer.Option("--format", help="TRL rows, JSON lines, Parquet; CSV of answers.")] = Rows.jsonl,
    answers: Annotated[
        bool, typer.Option("--answers", help="People's answers with times, order and state, as they stand now.")
    ] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Also answers that were taken back or adjudicated, as on the admin's page.")
    ] = False,
    dictionary: Annotated[
        bool, typer.Option("--dictionary", help="Say what each column of exported answers means, as CSV.")
    ] = False,
    names: Annotated[bool, typer.Option("--names", help="Add the raters' names to their answers.")] = False,
    out: OutFile = None,
    as_json: Json = False,
) -> None:
    """Write the recorded ratings in a form that other tools read."""
    from rrm.api import look
    from rrm.api.streams import STDOUT, written

    if dictionary:
        look.export_dictionary(out or STDOUT)
        return
    if not (answers or form is Rows.csv) and (names or every):
        raise ConfigError("names and answers of every state belong to --answers: give it as well")
    with written(out) as path:
        if answers or form is Rows.csv:
            told = look.export_answers(directory, form.value, path, names, every)
        else:
            told = look.export(directory, form.value, path)
    if out == STDOUT:
        for note in told.get("notes", ()):
            typer.echo(f"rrm: {note}", err=True)
    else:
        _print(told, as_json)


app.add_typer(rewards)
app.add_typer(station)


def main() -> None:
    """Run the command line; `--debug` anywhere shows tracebacks."""
    signal.signal(signal.SIGUSR1, _terminated)  # until a run listens for it
    debug = "--debug" in sys.argv
    sys.argv = [each for each in sys.argv if each != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # what a terminal cannot show becomes "?", and ends no command
    if debug:
        app()
    else:
        _quietly(app)


def _terminated(number: int, frame: object) -> NoReturn:
    sys.exit(Terminated.exit_code)


def _quietly(command: Callable[[], Any]) -> None:
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    try:
        command()
    except RrmError as error:
        console.print(f"rrm: {error}", soft_wrap=True)
        if isinstance(error, Interrupted):
            _end(error.exit_code)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        console.print("rrm: interrupted", soft_wrap=True)
        _end(130)
    except MemoryError:
        console.print("rrm: the machine has too little memory for this; try a shorter source or smaller limits")
        sys.exit(1)
    except OSError as error:
        console.print(f"rrm: {error.filename or 'the file system'}: {error.strerror or error}", soft_wrap=True)
        sys.exit(4)
    except Exception as error:
        name = f"{type(error).__module__}.{type(error).__qualname__}"
        console.print(f"rrm: unexpected {name}: {error}; run again with --debug to see where", soft_wrap=True)
        sys.exit(1)


def _end(code: int) -> NoReturn:
    """Exit after an interruption; where a thread is still at work, at once, without what Python does at its end.

    It would end such a thread in the midst of C++ code, such as torch's, which then aborts the whole process.
    """
    if any(each.daemon and each.name.startswith("rrm ") for each in threading.enumerate()):
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _print(values: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(values))
        return
    for key, value in values.items():
        typer.echo(f"{key.replace('_', ' ')}: {value if isinstance(value, str) else json.dumps(value)}")


@contextmanager
def _waiting_told(directory: Path, again: str, as_json: bool) -> Iterator[None]:
    """Where a run waits for people and JSON was asked for, print that; the exit code says it, too."""
    try:
        yield
    except Waiting as error:
        if as_json:
            told = {"state": "waiting", "why": str(error), "directory": str(directory), "resume": again}
            typer.echo(json.dumps(told))
        raise


def _tell(report: Any, directory: Path, as_json: bool) -> None:
    from rrm.cli.summary import print_summary

    if as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        print_summary(report, directory)
