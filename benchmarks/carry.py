"""Does it carry to the root? Root outputs of books ranked by composed scores, beside every baseline, at equal minutes.

Worlds (copied, reframed, retold) x lengths x seeds are cells; each is a process that can be resumed; its rows are
appended to the results file, budget by budget, with the commit that they were measured at. What is on file is not
measured again.
The tables are made from that file alone (`--table`). Gold is exact and is known to the evaluation alone.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.carry_cell import WORLDS, Size
from benchmarks.carry_plot import draw
from benchmarks.carry_table import Row, lines, summaries, table

RESULTS = Path(__file__).with_suffix(".jsonl")
SEEDS = (501, 502, 503)


@dataclass(frozen=True)
class Plan:
    """Which cells there are: lengths with the size of a cell, and budgets in rater minutes (None: all questions)."""

    sizes: Mapping[int, Size]
    budgets: tuple[float | None, ...]
    seeds: tuple[int, ...]
    name: str


FULL = Plan({2000: Size(), 8000: Size(), 24_000: Size(targets=4)}, (250.0, 1000.0, 4000.0, None), SEEDS, "full")
QUICK = Plan({2000: Size(train=4, train_trees=1, targets=2, trees=2)}, (250.0, None), SEEDS[:1], "quick")


# ---- cells ----


def measure(
    world: str, words: int, seed: int, plan: Plan, budgets: Sequence[float | None], work: Path
) -> Iterator[list[Row]]:
    """Yield the rows of a cell, budget by budget.

    It is measured in a process of its own, which goes on where one that was killed stopped; raises CalledProcessError
    where it fails.
    """
    folder = work / f"{plan.name}-{world}-{words}-{seed}"
    job = {
        "world": world, "words": words, "seed": seed, "size": asdict(plan.sizes[words]),
        "budgets": budgets, "folder": str(folder),
    }  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.carry_cell", json.dumps(job)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield from map(json.loads, process.stdout)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def commit() -> str:
    """Return the commit that is checked out, with a plus where files differ from it."""
    named = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
    changed = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    return named.strip() + "+" * bool(changed.strip())


def on_file(path: Path, plan: Plan) -> list[Row]:
    """Return the rows of a plan that a results file holds."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [row for row in map(json.loads, lines) if row["plan"] == plan.name]


def _budgets(text: str) -> tuple[float | None, ...]:
    return tuple(None if each == "all" else float(each) for each in text.split(","))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small cells of 2,000 words; minutes, not hours")
    parser.add_argument("--seeds", type=lambda text: tuple(map(int, text.split(","))), help="other seeds: 1,2,3")
    parser.add_argument("--worlds", type=lambda text: tuple(text.split(",")), default=tuple(WORLDS))
    parser.add_argument("--words", type=lambda text: tuple(map(int, text.split(","))), help="only these lengths")
    parser.add_argument("--minutes", type=_budgets, help="only these budgets: 250,all")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where finished cells are kept")
    parser.add_argument("--work", type=Path, help="where cells are resumed from (default: a folder for this call)")
    parser.add_argument("--json", type=Path, help="write a row for every world, size, budget and column")
    parser.add_argument("--plot", type=Path, help="draw rank correlations against minutes (.png, .svg)")
    parser.add_argument(
        "--table", action="store_true", help="measure nothing: print what is on file, and the lines it keeps"
    )
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    if unknown := set(options.worlds) - WORLDS.keys():
        parser.error(f"no world called {', '.join(sorted(unknown))}: there are {', '.join(WORLDS)}")
    if unknown_sizes := set(options.words or ()) - plan.sizes.keys():
        named, known_sizes = (", ".join(map(str, sorted(each))) for each in (unknown_sizes, plan.sizes))
        parser.error(f"no cells of {named} words: there are {known_sizes}")
    seeds, sizes = options.seeds or plan.seeds, options.words or tuple(plan.sizes)
    rows = on_file(options.results, plan)
    with tempfile.TemporaryDirectory() as temporary:
        for words, seed, world in ((a, b, c) for a in sizes for b in seeds for c in options.worlds):
            known = {
                row["minutes"] for row in rows if (row["world"], row["words"], row["seed"]) == (world, words, seed)
            }
            budgets = [each for each in options.minutes or plan.budgets if each not in known]
            if options.table or not budgets:
                continue
            made = commit()
            for measured in measure(world, words, seed, plan, budgets, options.work or Path(temporary)):
                new = [{**row, "plan": plan.name, "commit": made} for row in measured]
                with options.results.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(row) + "\n" for row in new)
                rows += new
    wanted = [row for row in rows if row["words"] in sizes and row["seed"] in seeds and row["world"] in options.worlds]
    if options.json:
        options.json.write_text("".join(json.dumps(row) + "\n" for row in summaries(wanted)), "utf-8")
    if options.plot and wanted:
        draw(summaries(wanted), options.plot)
    if not wanted:
        print("nothing is on file for these cells yet")
        return
    print("\n".join([*table(wanted), "", *lines(wanted)]))


if __name__ == "__main__":
    main()
