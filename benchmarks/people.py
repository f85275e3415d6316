"""How well reward models predict real people, on sources never fitted: accuracy beside baselines and ceilings.

Fits on the train files of the folder of real data (RRM_DATA, by default ../shared/data), evaluates on
the validation files, and prints a table. `--only NAME` takes the sets with that in their names.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from rrm.backbone.encoder import CachedEncoder, FrozenEncoder
from rrm.core.report import RewardReport
from rrm.core.values import Rated
from rrm.evaluate.baselines import BagOfWords
from rrm.evaluate.figures import figures
from rrm.evaluate.rewards import pairwise, reward_report
from rrm.interchange.preferences import RecordedPreferences
from rrm.interchange.rows import read_rows, write_rows
from rrm.reward.fit import FitConfig, balanced_folds, fit

DATA = Path(os.environ.get("RRM_DATA", "../shared/data"))
Rows = list[Rated]


@dataclass(frozen=True)
class Set:
    """A set of people's judgements: what to fit on and what to evaluate, by split."""

    name: str
    read: Callable[[str], Rows]
    checked: bool = False
    folds: int = 0  # evaluate by so many folds of sources inside the validation file
    config: FitConfig = field(default_factory=FitConfig)


def recorded(file: str, **options: Any) -> Rows:
    """Read a file of the data folder."""
    return RecordedPreferences(str(DATA / file), 0, **options).rated()


def squality(split: str) -> Rows:
    """Preferences about answers to questions on stories, with the stories."""
    return recorded(
        f"squality/preferences_{split}.jsonl.gz",
        join_file=str(DATA / f"squality/stories_{split}.jsonl.gz"),
        join_key="story_id", join_text="text", source_column="story_id", max_tokens=512,
    )  # fmt: skip


def squality_machines(split: str) -> Rows:
    """The same between two machines: the people's answers are easy to tell from theirs."""
    people = {
        row["chosen"] if row["chosen_system"] == "human" else row["rejected"]
        for _, row in read_rows(DATA / f"squality/preferences_{split}.jsonl.gz")
        if "human" in (row["chosen_system"], row["rejected_system"])
    }
    return [row for row in squality(split) if not people & {shown.text for shown in row.request.shown}]


def argument_votes(split: str) -> Rows:
    """Single crowd workers' votes between two arguments, with the workers' names."""
    texts = {row["arg_id"]: row for _, row in read_rows(DATA / f"ukpconvarg/arguments_{split}.jsonl.gz")}

    def joined() -> Iterator[Mapping[str, Any]]:
        for _, row in read_rows(DATA / f"ukpconvarg/votes_{split}.jsonl.gz"):
            first, second = (texts[each] for each in row["pair"].split("_"))
            if first["text"] != second["text"]:
                yield {
                    "prompt": f"{row['topic']} ({row['side']})", "completion_a": first["text"],
                    "completion_b": second["text"], "vote": row["vote"], "annotator": row["annotator"],
                    "source_id": f"{row['topic']}/{row['side']}",
                }  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "votes.jsonl.gz"
        write_rows(joined(), file)
        return RecordedPreferences(str(file), 0).rated()


MANY_VOTES = FitConfig(members=4, folds=2)  # few members: what counts here is the difference that raters make
SETS = (
    Set("UKPConvArg, consensus", lambda split: recorded(f"ukpconvarg/preferences_{split}.jsonl.gz")),
    Set("UKPConvArg, each vote", argument_votes, config=MANY_VOTES),
    Set("– raters' reliability fitted", argument_votes, config=replace(MANY_VOTES, reliability=True)),
    Set("SQuALITY, with stories", squality),
    Set("SQuALITY, machines only", squality_machines),
    Set(
        "SummEval, with articles", lambda split: recorded(f"summeval/preferences_{split}.jsonl.gz", source_column="doc")
    ),
    Set("Tulu, human", lambda split: recorded(f"tulu_human/preferences_{split}.jsonl.gz")),
    Set("GSM8K solutions, 5 folds", lambda split: recorded("gsm8k/solution_pairs_validation.jsonl.gz"), True, 5),
)


def predict(train: Rows, test: Rows, encoder: CachedEncoder, config: FitConfig) -> np.ndarray:
    """Return the probabilities, [test], that the first output shown is better, by a model fitted on `train`."""
    model = fit(train, encoder, config, seed=0)
    assert not {row.request.source for row in test} & set(model.seen)
    return np.array(
        [float(expit(r[:, 0] - r[:, 1]).mean()) for r in model.rewards([row.request.group for row in test])]
    )


def report(each: Set, encoder: CachedEncoder) -> RewardReport:
    """Return the report of one set on sources that were not fitted."""
    if not each.folds:
        train, test = each.read("train"), pairwise(each.read("validation"))
        words = BagOfWords.fit(train)
        return reward_report(predict(train, test, encoder, each.config), test, words, checked=each.checked)
    rows = pairwise(each.read("validation"))
    fold = balanced_folds([row.request.source for row in rows], 0, each.folds)
    probability = np.zeros(len(rows))
    words = np.zeros(len(rows))
    for number in range(each.folds):
        inside = [row for row in rows if fold[row.request.source] != number]
        here = [place for place, row in enumerate(rows) if fold[row.request.source] == number]
        test = [rows[place] for place in here]
        probability[here] = predict(inside, test, encoder, each.config)
        bag = BagOfWords.fit(inside)
        assert bag is not None
        words[here] = bag.probability([row.request for row in test])
    return RewardReport(figures(probability, rows, words, checked=each.checked))


def number(value: float | None) -> str:
    """Return two or three digits, or a dash."""
    return "–" if value is None else f"{value:.3f}".lstrip("0")


def line(name: str, found: RewardReport, seconds: float) -> str:
    """Return a row of the table."""
    head = found.figures
    low, high = head.interval or (None, None)
    cells = [name, str(head.n - head.ties), number(head.accuracy), f"{number(low)} to {number(high)}"]
    most = (head.agreement, head.best_possible) if head.noise_ceiling is None else (head.noise_ceiling,) * 2
    cells += [number(each) for each in (head.longer_wins, head.bag_of_words, *most, head.nll, head.ece)]
    return "| " + " | ".join([*cells, f"{seconds:.0f} s"]) + " |"


HEADS = (
    *("set", "n", "accuracy", "95 % interval", "longer wins", "bag of words", "raters agree", "best possible"),
    *("NLL", "ECE", "time"),
)


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--only", default="")
    asked.add_argument("--quick", action="store_true")
    options = asked.parse_args()
    if not DATA.is_dir():
        print(f"no real data in {DATA}: set RRM_DATA to the folder that has it")
        return
    encoder = CachedEncoder(FrozenEncoder(device="cpu"))
    print("| " + " | ".join(HEADS) + " |")
    print("|---" * len(HEADS) + "|")
    for each in SETS:
        if options.only.lower() not in each.name.lower() or (options.quick and each.config == MANY_VOTES):
            continue
        began = time.perf_counter()
        found = report(each, encoder)
        print(line(each.name, found, time.perf_counter() - began), flush=True)


if __name__ == "__main__":
    main()
