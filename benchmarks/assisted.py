"""Do marks and critiques help raters? The same raters with and without them, on what a run showed its own.

A run from `examples/assisted.toml`, in which sentences of summaries are mistaken with a known probability, shows those
who mark claims how probably each is supported, by the run's model of claims, and what a critic wrote about the output.
What was shown is on record. The same simulated raters are asked about the same outputs again, with all of it, with
either and with neither: they read the same sentences, overlook the same flaws and slip at the same claims
(`rrm.raters.marking`). Beside them stand raters who do not read at all: who mark every claim, every doubtful one, or
every one that the critic quotes.

What a simulated rater does is stated there and nowhere measured: it says what help can do for raters who act so.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

import rrm
from rrm.api.runfile import read_run_file
from rrm.core.claims import DOUBTFUL, Grounds, claim_spans, quotes
from rrm.core.text import words
from rrm.core.values import ClaimMarks, Request
from rrm.evaluate.metrics import cluster_interval
from rrm.raters.marking import Marked, Marker, mark
from rrm.raters.simulated import MINUTES_A_DECISION, WORDS_A_MINUTE
from rrm.store.record import open_store
from tasks.synthetic_book import claim_grounds

EXAMPLE = Path(__file__).parent.parent / "examples" / "assisted.toml"
WORLDS = {"copied": None, "reframed": "tasks.synthetic_book.rewording:reframe"}
READ = (0.3, 0.6, 0.9)
"""Shares of a view that raters take in."""
COPIES = 4
"""Raters of each output."""


class Case(NamedTuple):
    """What a rater was shown, and what the view says of each claim of the output."""

    request: Request
    grounds: Sequence[Grounds]

    def with_help(self, support: bool, critique: bool) -> Request:
        [shown] = self.request.shown
        kept = replace(shown, support=shown.support if support else (), critique=shown.critique if critique else "")
        return replace(self.request, shown=(kept,))


class Outcome(NamedTuple):
    """One rating: flaws there were and were found, true claims there were and were marked, minutes."""

    flaws: int
    found: int
    right: int
    alarms: int
    minutes: float


Rating = Callable[[Case, int, float], Marked]
"""(case, number of the rater, share of the view that is read) -> what is marked."""


def helped(support: bool, critique: bool, doubtful: float = DOUBTFUL) -> Rating:
    """Return how a rater marks who is shown support, a critique, both or neither."""

    def rating(case: Case, rater: int, read: float) -> Marked:
        request, marker = case.with_help(support, critique), Marker(read, doubtful=doubtful)
        return mark(request, case.grounds, marker, rater, case.request.view.id, case.request.shown[0].text)

    return rating


def unread(marked: Callable[[Case], Sequence[bool]], critique: bool = False) -> Rating:
    """Return how somebody marks who reads the output, and the critique, and nothing else."""

    def rating(case: Case, rater: int, read: float) -> Marked:
        [shown] = case.with_help(support=True, critique=critique).shown
        return Marked(tuple(marked(case)), len(words(shown.read)))

    return rating


def quoted(case: Case) -> list[bool]:
    """Return which claims the critique quotes."""
    [shown] = case.request.shown
    return [quotes(shown.critique, shown.text[start:end]) for start, end in claim_spans(shown.text)]


READERS: Mapping[str, Rating] = {
    "nothing": helped(False, False),
    "marks": helped(True, False),
    "marks below .5": helped(True, False, 0.5),
    "marks below .9": helped(True, False, 0.9),
    "critiques": helped(False, True),
    "marks and critiques": helped(True, True),
}
BLIND: Mapping[str, Rating] = {
    "marks all, unread": unread(lambda case: [True] * len(case.grounds)),
    "marks all below .8, unread": unread(lambda case: [each < DOUBTFUL for each in case.request.shown[0].support]),
    "marks all below .5, unread": unread(lambda case: [each < 0.5 for each in case.request.shown[0].support]),
    "marks all that the critic quotes, unread": unread(quoted, critique=True),
}


@dataclass(frozen=True)
class Result:
    """What ratings of one kind come to, of all raters and outputs of a world.

    `found` are flaws a rating, `more` how many more than with nothing shown, `told_apart` the share of flaws that is
    marked less that of true claims, which is 0 for whoever marks all or none. Intervals are of 95 %, over books.
    """

    world: str
    read: float | None
    shown: str
    ratings: int
    books: int
    found: float
    found_low: float
    found_high: float
    more: float
    more_low: float
    more_high: float
    share_found: float
    share_alarms: float
    told_apart: float
    told_apart_low: float
    told_apart_high: float
    accuracy: float
    minutes: float


def cases_of(folder: Path) -> list[Case]:
    """Return what raters of a run were shown with support and critique, each output beside its view once."""
    with open_store(folder, "read") as record:
        requests = [each for each in record.load(Request) if each.kind == ClaimMarks.kind]
    full = {
        (each.view.id, each.shown[0].text): each
        for each in requests
        if each.shown[0].support and each.shown[0].critique
    }
    return [Case(each, claim_grounds(each.view, each.shown[0].text)) for each in full.values()]


def outcome(case: Case, marked: Marked) -> Outcome:
    """Return what one rating found."""
    flaws = [mark for ground, mark in zip(case.grounds, marked.marks, strict=True) if ground.false]
    right = [mark for ground, mark in zip(case.grounds, marked.marks, strict=True) if not ground.false]
    return Outcome(len(flaws), sum(flaws), len(right), sum(right), marked.words / WORDS_A_MINUTE + MINUTES_A_DECISION)


def measured(world: str, cases: Sequence[Case], shares: Sequence[float]) -> Iterator[Result]:
    """Yield what each kind of rater finds, those who read at every share."""
    sources = [case.request.source for case in cases for _ in range(COPIES)]

    def table(rating: Rating, read: float) -> np.ndarray:
        told = [outcome(case, rating(case, rater, read)) for case in cases for rater in range(COPIES)]
        return np.array(told, dtype=float)

    for read in shares:
        plain = table(READERS["nothing"], read)
        for shown, rating in READERS.items():
            yield _result(world, read, shown, table(rating, read), plain, sources)
    plain = table(READERS["nothing"], shares[0])
    for shown, rating in BLIND.items():
        yield _result(world, None, shown, table(rating, 0.0), plain, sources)


def _result(
    world: str, read: float | None, shown: str, rows: np.ndarray, plain: np.ndarray, sources: Sequence[str]
) -> Result:
    flaws, found, right, alarms, minutes = rows.sum(axis=0)
    more = rows[:, 1] - plain[:, 1]
    n = len(rows)
    return Result(
        world, read, shown, n, len(set(sources)),
        found / n, *_ends(rows[:, 1], sources, _mean),
        float(more.mean()), *_ends(more, sources, _mean),
        found / flaws, alarms / right, _told_apart(rows), *_ends(rows, sources, _told_apart),
        (found + right - alarms) / (flaws + right), minutes / n,
    )  # fmt: skip


def _mean(rows: np.ndarray) -> float:
    return float(rows.mean())


def _told_apart(rows: np.ndarray) -> float:
    flaws, found, right, alarms, _ = rows.sum(axis=0)
    return float(found / flaws - alarms / right)


def _ends(rows: np.ndarray, sources: Sequence[str], statistic: Callable[[np.ndarray], float]) -> tuple[float, float]:
    found = cluster_interval(rows, sources, statistic)
    return (found.low, found.high) if found else (float("nan"), float("nan"))


HEADS = (
    *("world", "read", "shown", "flaws found a rating", "more than with nothing", "of all flaws"),
    *("of true claims marked", "told apart", "right of all claims", "minutes a rating"),
)


def line(each: Result) -> str:
    """Return a row of the table; who reads nothing is compared with nobody."""
    read = "–" if each.read is None else f"{each.read:.0%}"
    more = f"{each.more:+.2f} ({each.more_low:+.2f} to {each.more_high:+.2f})"
    apart = f"{each.told_apart:.2f} ({each.told_apart_low:.2f} to {each.told_apart_high:.2f})"
    cells = [each.world, read, each.shown, f"{each.found:.2f} ({each.found_low:.2f} to {each.found_high:.2f})"]
    cells += ["–" if each.read is None or each.shown == "nothing" else more, f"{each.share_found:.2f}"]
    cells += [f"{each.share_alarms:.2f}", apart, f"{each.accuracy:.2f}", f"{each.minutes:.2f}"]
    return "| " + " | ".join(cells) + " |"


def ran(world: str, folder: Path, seed: int, books: int) -> list[Case]:
    """Carry out the example's run in a world, from its file, and return what its raters were shown."""
    changes = [f"seed={seed}", f"train.arguments.seed={2 * seed}", f"target.arguments.seed={2 * seed + 1}"]
    changes += [f"train.arguments.count={books}"]
    changes += [f'policy.arguments.reword="{WORLDS[world]}"'] if WORLDS[world] else []
    rrm.run(read_run_file(EXAMPLE, tuple(changes)), folder, quiet=True)
    return cases_of(folder)


def main(arguments: Sequence[str] | None = None) -> None:
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("--quick", action="store_true", help="four books, one share read")
    asked.add_argument("--seed", type=int, default=901)
    asked.add_argument("--worlds", nargs="+", choices=list(WORLDS), default=list(WORLDS))
    asked.add_argument("--out", type=Path, help="a folder for the runs, which are taken up again there")
    asked.add_argument("--json", type=Path, help="a file for the rows")
    options = asked.parse_args(arguments)
    shares, books = ((0.6,), 4) if options.quick else (READ, 6)
    print("| " + " | ".join(HEADS) + " |")
    print("|---" * len(HEADS) + "|")
    rows = []
    with tempfile.TemporaryDirectory() as aside:
        for world in options.worlds:
            cases = ran(world, (options.out or Path(aside)) / f"{world}-{options.seed}", options.seed, books)
            for each in measured(world, cases, shares):
                print(line(each), flush=True)
                rows.append(asdict(each))
    if options.json:
        options.json.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


if __name__ == "__main__":
    main()
