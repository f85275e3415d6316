"""A dry run on the terminal: what each level takes, round by round, and who is asked for how much."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def print_forecast(forecast: Mapping[str, Any]) -> None:
    """Print what `rrm.api.forecast.forecast` returned; of two numbers the first is expected, the other the most."""
    console = Console(highlight=False, markup=False, emoji=False)
    sources = forecast["sources"]
    counted = [f"{sources['train']} training sources", f"{sources['target']} targets"]
    console.print(", ".join(each.removesuffix("s") if each.startswith("1 ") else each for each in counted))
    if forecast["nodes_per_level"] is None:
        console.print(f"{forecast['source_tokens']:,} tokens of text")
    else:
        console.print(_stages(forecast))
        for line in _sums(forecast):
            console.print(line)
    if forecast["engine"] is not None:
        for line in _engine(forecast["engine"]):
            console.print(line)
    for note in forecast["notes"]:
        console.print(f"! {note}")


def _stages(forecast: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("round", "level", "nodes", "outputs", "ratings", "tokens", "minutes", "published"):
        table.add_column(title, justify="right", no_wrap=True)
    several = len(forecast["rounds"]) > 1
    for each in forecast["rounds"] if several else ():
        for level in each["levels"]:
            table.add_row(str(each["round"] + 1), str(level["level"]), *_row(level))
    for level in forecast["levels"]:
        table.add_row("all" if several else "1", str(level["level"]), *_row(level))
    if forecast["splits"] is not None:
        table.add_row("all", "splits", *_row(forecast["splits"]))
    if forecast["select"] is not None:
        table.add_row("all", "select", *_row(forecast["select"]))
    if forecast["flat"] is not None:
        table.add_row("", "flat" if forecast["flat"]["included"] else "(flat)", *_row(forecast["flat"]))
    return table


def _row(stage: Mapping[str, Any]) -> list[str]:
    ratings = {"expected": stage["expected_ratings"], "at_most": stage["ratings"]}
    measures = [ratings, *(stage[name] for name in ("tokens_shown", "minutes", "published_minutes"))]
    return [str(stage.get("nodes", "")), str(stage["outputs"] or ""), *map(_between, measures)]


def _sums(forecast: Mapping[str, Any]) -> list[str]:
    minutes, of_people = forecast["rater_minutes"], forecast["people_minutes"]
    whose = "people" if of_people == minutes else "raters"
    some = f", {_between(of_people)} of them of people" if of_people and of_people != minutes else ""
    lines = [f"{forecast['outputs']} outputs at most, {_between(minutes)} minutes of {whose}{some}"]
    if forecast["machine_minutes"] is not None:
        tokens, took = forecast["machine_tokens"], forecast["machine_minutes"]
        lines.append(
            f"{tokens:,} tokens for reward models to read, about {took} minutes on this machine; what policies and"
            " raters compute comes on top"
        )
    if forecast["flat"] is not None and not forecast["flat"]["included"]:
        lines.append("(flat) is what the flat baseline would take; this run leaves it out")
    for name, by_part in forecast["assistants"].items():
        for part, load in by_part.items():
            lines.append(f"{name}, asked by the {part}: {load['calls']} calls, {_between(load['tokens'])} tokens")
    return lines


def _engine(engine: Mapping[str, Any]) -> list[str]:
    """Say who would work elsewhere, at what, and whether it pays."""
    who = "as many workers as the cluster has"
    if engine["workers"] is not None:
        gpus = f" and {engine['gpus']:g} GPUs" if engine["gpus"] else ""
        memory = engine["memory_bytes"] / 1e9
        who = f"{engine['workers']} workers, {engine['threads']} threads{gpus}, from {memory:.1f} GB of memory up"
    lines = [f"{engine['name']}: {who}; they do {', '.join(engine['steps']) or 'nothing'}"]
    if engine["steps_here"]:
        lines.append(f"{', '.join(engine['steps_here'])}: here")
    if engine["bytes"] is not None:
        lines.append(f"{engine['bytes'] / 1e6:.1f} MB of actions cross, once each, and each model once to each machine")
    return [*lines, engine["why"]]


def _between(bounds: Mapping[str, float]) -> str:
    low, high = _short(bounds["expected"]), _short(bounds["at_most"])
    return low if low == high else f"{low}-{high}"


def _short(value: float) -> str:
    """Return a number in a few characters: thousands from 10,000 up, and millions, by their letter."""
    if value >= 10_000_000:
        return f"{value / 1_000_000:.0f}M"
    return f"{value / 1000:.0f}k" if value >= 10_000 else f"{value:.0f}"
