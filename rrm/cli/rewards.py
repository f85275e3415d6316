"""The commands about reward models on rows of feedback; the work is in `rrm.api.training` and `rrm.api.scoring`."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rrm.core.errors import ConfigError

if TYPE_CHECKING:
    from rrm.api.scoring import Columns, Opening

rewards = typer.Typer()

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on the last line.")]
Device = Annotated[str, typer.Option(help="Where the backbone runs: auto, cpu, cuda, cuda:1.")]
Dtype = Annotated[str, typer.Option(help="Its precision: auto, float32, bfloat16; head and loss stay in float32.")]
Model = Annotated[Path, typer.Option("--model", help="A trained model's folder, made here or by transformers.")]
Data = Annotated[Path, typer.Option("--data", help="Rows: .jsonl, .json, .csv or .parquet; see docs/reward-models.md.")]
Output = Annotated[Path | None, typer.Option("--output", help="Where the rows go; standard output without it.")]
SourceColumn = Annotated[str | None, typer.Option(help="The column that says which source a row is about.")]
TextColumn = Annotated[str | None, typer.Option(help="The column that has the text that prompts are about.")]
PromptColumn = Annotated[str, typer.Option(help="The column that has the prompt.")]
JoinFile = Annotated[list[Path] | None, typer.Option(help="Rows with the sources' texts; may be given several times.")]
JoinKey = Annotated[str | None, typer.Option(help="The column by which rows name their text in --join-file.")]
JoinText = Annotated[str | None, typer.Option(help="The column of --join-file that has the text.")]


Strict = Annotated[bool, typer.Option("--strict", help="Refuse rows of which something would have to be guessed.")]


class Tuned(StrEnum):
    """What learns."""

    frozen = "frozen"
    lora = "lora"
    full = "full"


class LongSources(StrEnum):
    """What is done with sources that are longer than the backbone reads."""

    refuse = "refuse"
    truncate = "truncate"
    windows = "windows"


Long = Annotated[
    LongSources | None,
    typer.Option("--long-sources", help="Sources that are too long: refuse, truncate, or read in windows."),
]


@rewards.command("train-reward")
def train_reward(
    data: Data,
    model: Annotated[str, typer.Option(help="minilm, a folder, or a Hugging Face name.")],
    output: Annotated[Path, typer.Option(help="The folder for the model; the same one resumes.")],
    eval_data: Annotated[Path | None, typer.Option(help="Rows about other sources, to evaluate on at the end.")] = None,
    tune: Annotated[
        Tuned | None,
        typer.Option(help="What learns beside the heads; default: frozen for encoders, full for decoders."),
    ] = None,
    level: Annotated[
        int | None, typer.Option(min=0, help="The level that the rows are about (default: as they say).")
    ] = None,
    init: Annotated[Path | None, typer.Option(help="Start from this model, such as that of the level below.")] = None,
    ensemble: Annotated[
        int | None, typer.Option(min=1, help="How many members; default: as --init, or 24, or 5 with --independent.")
    ] = None,
    independent: Annotated[
        bool | None, typer.Option("--independent", help="Train every member apart: as many times the work.")
    ] = None,
    max_length: Annotated[int | None, typer.Option(min=8, help="Most tokens of a source with an output.")] = None,
    long_sources: Long = None,
    batch_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens learned from at once; default 8192, on a CPU 2048.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the rows; default 3, or fewer by validation.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Default 5e-5 for all weights, 2e-4 for lora.")] = None,
    seed: Annotated[int, typer.Option(help="Makes all that is random.")] = 0,
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
    """Train a reward model on any kind of feedback; killed, the same command resumes."""
    from rrm.api import training
    from rrm.api.terminal import is_main
    from rrm.cli.tables import training_table

    options = training.TrainOptions(
        data, model, output, eval_data, tune.value if tune else None, level, init, ensemble, independent, max_length,
        long_sources.value if long_sources else None, batch_tokens, epochs, learning_rate, seed, device, dtype,
        columns_of(source_column, text_column, prompt_column, join_file, join_key, join_text), strict,
    )  # fmt: skip
    done = training.train_reward(options, _tell)
    if is_main():
        typer.echo(json.dumps(done.found) if as_json else training_table(done.found, done.report))


@rewards.command("eval-reward")
def eval_reward(
    model: Model,
    data: Data,
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
    """Say how well a model predicts judgements about sources that it has not seen; ends with one line of JSON."""
    from rrm.api import scoring
    from rrm.cli.tables import reward_table

    columns = columns_of(source_column, text_column, prompt_column, join_file, join_key, join_text)
    found = scoring.evaluate(opening_of(model, device, dtype, long_sources), data, _tell, columns, strict)
    if not as_json:
        typer.echo(reward_table(found.report))
    typer.echo(json.dumps(found.to_json()))


@rewards.command("serve-reward")
def serve_reward(
    model: Model,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one and says which.")] = 8000,
    long_sources: Long = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Score texts over HTTP: POST /get_reward, as OpenRLHF's remote reward models."""
    from rrm.api import scoring

    scoring.serve(opening_of(model, device, dtype, long_sources), host, port, _tell)


def score_rows(
    model: Path | None,
    data: Path | None,
    output: Path | None,
    long_sources: LongSources | None,
    device: str,
    dtype: str,
    columns: "Columns",
    strict: bool,
    as_json: bool,
) -> None:
    """Score the rows of a file: the half of `rrm score` that is about rows."""
    from rrm.api import scoring
    from rrm.cli.tables import lines

    if model is None or data is None:
        raise ConfigError(
            "give --model DIR and --data FILE to score rows, or DIR and --text FILE to score a run's text"
        )
    opening = opening_of(model, device, dtype, long_sources)
    found: dict[str, Any] = scoring.score(opening, data, output, typer.echo, _tell, columns, strict)
    if as_json:
        typer.echo(json.dumps(found))
    elif output is not None:
        typer.echo(lines(found))


def opening_of(model: Path, device: str, dtype: str, long_sources: LongSources | None) -> "Opening":
    """Return what the options say of the model."""
    from rrm.api.scoring import Opening

    return Opening(model, device, dtype, long_sources.value if long_sources else None)


def columns_of(
    source_column: str | None,
    text_column: str | None,
    prompt_column: str,
    join_file: list[Path] | None,
    join_key: str | None,
    join_text: str | None,
) -> "Columns":
    """Return what the options say rows are about; raise ConfigError for half a join."""
    from rrm.api.scoring import Columns

    files = tuple(map(str, join_file or ()))
    return Columns(source_column, files, join_key, join_text, prompt_column, text_column)


def _tell(note: str) -> None:
    from rrm.api.terminal import is_main

    if is_main():
        typer.echo(f"rrm: {note}", err=True)
