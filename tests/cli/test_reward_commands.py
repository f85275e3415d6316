"""The commands about reward models, through the command line: what they print, write, refuse and go on with."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rrm.api import scoring, training
from rrm.backbone import load
from rrm.cli import main
from rrm.interchange.rows import read_rows
from rrm.reward import train_config
from tests.reward.joint_problems import judged, save_decoder, save_encoder

DATA = Path(os.environ.get("RRM_DATA", Path(__file__).parents[3] / "shared" / "data"))
FIGURES = ["n", "accuracy", "ties", "interval", "nll", "ece", "noise_ceiling", "agreement", "best_possible"]
FIGURES += ["longer_wins", "bag_of_words", "verbatim"]
FOUND = [
    *("output", "tune", "level", "members", "n_train", "unused", "sources", "updates", "held", "digest", "exports"),
    *("notes", "eval", "seconds"),
]
EXACT = ("--device", "cpu", "--dtype", "float32")
FAST = ("--epochs", "1", "--ensemble", "2", *EXACT)
STORIES = (
    *("--join-file", DATA / "squality" / "stories_train.jsonl.gz"),
    *("--join-file", DATA / "squality" / "stories_validation.jsonl.gz"),
    *("--join-key", "story_id", "--join-text", "text"),
)
Row = dict[str, Any]

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"REAL DATA ABSENT: no folder {DATA}; set RRM_DATA")


class Ended(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> Any:
        return json.loads(self.out.splitlines()[-1])


def rrm(*arguments: object) -> Ended:
    """Run the command line as the shell does, in this process."""
    out, err, before, code = StringIO(), StringIO(), sys.argv, 0
    sys.argv = ["rrm", *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.argv = before
    return Ended(code, out.getvalue(), err.getvalue())


def done(*arguments: object) -> Ended:
    ended = rrm(*arguments)
    assert ended.code == 0, ended.err
    return ended


def refused(*arguments: object) -> str:
    """Run a command that must end with exit code 2 and one sentence, and return the sentence."""
    ended = rrm(*arguments)
    assert ended.code == 2, (ended.code, ended.err)
    said = [line for line in ended.err.splitlines() if line.strip()]
    assert said[-1].startswith("rrm: "), ended.err
    assert "Traceback" not in ended.err and "unexpected" not in ended.err
    return said[-1]


def write(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def preferences(sources: int, seed: int, **more: Any) -> list[Row]:
    """Preference rows that make no mistakes about tiny texts."""
    rows: list[Row] = []
    for each in judged(sources, seed, outputs=3):
        texts = [f" {shown.text}" for shown in each.request.shown]
        better = each.feedback.answer.better  # type: ignore[union-attr]
        rows.append(
            {
                "prompt": each.request.view.text,
                "chosen": texts[better],
                "rejected": texts[1 - better],
                "source_id": each.request.source,
                "annotator": f"ann{len(rows) % 2}",
                **more,
            }
        )
    return rows


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of judgements, about different sources in each, and a tiny decoder."""
    folder = tmp_path_factory.mktemp("rewards")
    save_decoder(folder / "decoder", positions=64)
    write(folder / "train.jsonl", preferences(8, 1))
    write(folder / "eval.jsonl", preferences(6, 2))
    return folder


@pytest.fixture(scope="module")
def joint(place: Path) -> Ended:
    """The training of `place / joint`, with the evaluation at its end."""
    return done(
        "train-reward", "--data", place / "train.jsonl", "--eval-data", place / "eval.jsonl", "--model",
        place / "decoder", "--output", place / "joint", *FAST, "--learning-rate", "1e-3", "--json",
    )  # fmt: skip


@pytest.fixture(scope="module")
def frozen(place: Path) -> Ended:
    """The training of `place / frozen`, on MiniLM."""
    return done(
        "train-reward", "--data", place / "train.jsonl", "--eval-data", place / "eval.jsonl", "--model", "minilm",
        "--output", place / "frozen", "--ensemble", "4", *EXACT, "--json",
    )  # fmt: skip


# ---- train ----


def test_a_decoder_learns_with_all_weights_by_default_and_says_so_in_one_last_line(place: Path, joint: Ended) -> None:
    found = joint.last
    assert list(found) == FOUND
    assert (found["tune"], found["level"], found["members"], found["sources"]) == ("full", 0, 2, 8)
    assert found["exports"] == found["output"] == str(place / "joint")
    assert 0 < found["n_train"] < len(preferences(8, 1))  # a source is held back
    assert found["held"]["loss"] > 0
    assert list(found["eval"]) == FIGURES


def test_a_training_leaves_logs_and_the_bag_of_words_beside_the_model(place: Path, joint: Ended) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = [json.loads(line) for line in (place / "joint" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [*range(1, joint.last["updates"] + 1)]
    events = EventAccumulator(str(place / "joint" / "tensorboard"))
    events.Reload()
    losses = [(event.step, event.value) for event in events.Scalars("loss")]
    assert losses == [(line["step"], pytest.approx(line["loss"], rel=1e-6)) for line in log]
    assert json.loads((place / "joint" / "bag_of_words.json").read_text())["weights"]
    assert (place / "joint" / "reliability.svg").read_text().lstrip().startswith("<svg")


def test_a_frozen_encoder_is_the_default_for_encoders_and_exports_nothing(place: Path, frozen: Ended) -> None:
    found = frozen.last
    assert list(found) == FOUND
    assert (found["tune"], found["members"], found["updates"], found["held"]) == ("frozen", 4, None, None)
    assert found["exports"] is None
    assert found["n_train"] == len(preferences(8, 1))
    assert list(found["eval"]) == FIGURES
    assert json.loads((place / "frozen" / "bag_of_words.json").read_text())["weights"]


def test_for_people_a_training_says_plainly_that_it_exports_nothing(place: Path, frozen: Ended) -> None:
    from rrm.cli.tables import training_table

    shown = training_table(frozen.last, None).splitlines()
    assert next(line for line in shown if line.startswith("exports: ")).startswith("exports: none, ")
    assert not [line for line in shown if line.endswith("null")]


def test_adapters_are_merged_into_an_ordinary_checkpoint(place: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    ended = done(
        "train-reward", "--data", place / "train.jsonl", "--model", place / "decoder", "--output", tmp_path / "lora",
        "--tune", "lora", *FAST,
    )  # fmt: skip
    assert "tune: lora" in ended.out.splitlines()
    assert f"exports: {tmp_path / 'lora'}" in ended.out.splitlines()
    assert not list((tmp_path / "lora").glob("adapter*"))
    assert in_transformers(tmp_path / "lora", ["w1 w2 w3"]) == pytest.approx(
        scores(tmp_path / "lora", tmp_path, [{"completion": "w1 w2 w3"}]), abs=1e-5
    )


def test_an_exported_checkpoint_gives_the_numbers_of_rrm_score_in_transformers(
    place: Path, joint: Ended, tmp_path: Path
) -> None:
    rows = [{"prompt": row["prompt"], "completion": row["chosen"]} for row in preferences(5, 3)]
    theirs = in_transformers(place / "joint", [row["prompt"] + row["completion"] for row in rows])
    assert scores(place / "joint", tmp_path, rows) == pytest.approx(theirs, abs=1e-5)


def in_transformers(folder: Path, texts: list[str]) -> np.ndarray:
    """The logits that plain transformers gives texts, with the end of sequence behind each."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(str(folder), num_labels=1).eval()
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    batch = tokenizer([text + tokenizer.eos_token for text in texts], return_tensors="pt", padding=True)
    with torch.no_grad():
        return np.asarray(model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, 0].double())


def scores(model: Path, folder: Path, rows: list[Row]) -> list[Any]:
    """What `rrm score` adds to rows."""
    written = folder / "scored.jsonl"
    data = write(folder / "rows.jsonl", rows)
    done("score", "--model", model, "--data", data, "--output", written, *EXACT)
    return [row["score"] for _, row in read_rows(written)]


def test_one_member_has_no_spread(place: Path, tmp_path: Path) -> None:
    options = ["--ensemble", "1", *FAST[:2], *FAST[4:]]
    ended = done(
        "train-reward", "--data", place / "train.jsonl", "--model", place / "decoder", "--output", tmp_path / "one",
        *options, "--json",
    )  # fmt: skip
    assert ended.last["members"] == 1
    shown = done("score", "--model", tmp_path / "one", "--data", place / "eval.jsonl", *EXACT)
    assert {json.loads(line)["score_std"]["chosen"] for line in shown.out.splitlines()} == {0.0}


def test_members_trained_apart_are_kept_apart_and_finished_ones_are_not_trained_again(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (
        "train-reward", "--data", place / "train.jsonl", "--model", place / "decoder", "--output", tmp_path / "apart",
        "--independent", *FAST, "--json",
    )  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setattr(training, "bar", interrupting("training member 2 of 2", 1))
        assert rrm(*command).code == 130
    assert "no reward model" in refused("score", "--model", tmp_path / "apart", "--data", place / "eval.jsonl")
    first = (tmp_path / "apart" / "member-00" / "model.safetensors").stat().st_mtime_ns
    found = done(*command).last
    assert (tmp_path / "apart" / "member-00" / "model.safetensors").stat().st_mtime_ns == first
    assert (found["members"], len(found["held"])) == (2, 2)
    assert found["exports"] == str(tmp_path / "apart" / "member-*")
    heads = [in_transformers(tmp_path / "apart" / f"member-0{member}", [" w1 w2"]) for member in range(2)]
    both = scores(tmp_path / "apart", tmp_path, [{"completion": " w1 w2"}])
    assert both == pytest.approx([np.mean(heads)], abs=1e-5)
    assert heads[0] != heads[1]
    assert "holds members that were trained apart" in refused(*(each for each in command if each != "--independent"))


def interrupting(what: str, at: int) -> Callable[..., Any]:
    """A progress bar that behaves as if somebody pressed Ctrl-C at an update."""

    @contextmanager
    def bar(title: str, unit: str = "") -> Iterator[Callable[[int, int], None]]:
        def tell(step: int, total: int) -> None:
            if title == what and step == at:
                raise KeyboardInterrupt

        yield tell

    return bar


def test_an_interrupted_training_goes_on_where_it_was_and_ends_the_same(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = write(tmp_path / "rows.jsonl", [{**row, "source_id": "one"} for row in preferences(3, 4)])
    monkeypatch.setattr(train_config, "TrainConfig", partial(train_config.TrainConfig, save_every=5))

    def command(folder: str) -> tuple[object, ...]:
        options = ("--epochs", "9", "--ensemble", "2", *EXACT, "--json")
        return "train-reward", "--data", rows, "--model", place / "decoder", "--output", tmp_path / folder, *options

    whole = done(*command("whole")).last
    assert whole["updates"] == 9  # with a single source nothing is held back to stop early
    with monkeypatch.context() as patched:
        patched.setattr(training, "bar", interrupting("training", 7))
        ended = rrm(*command("cut"))
    assert ended.code == 130
    assert json.loads((tmp_path / "cut" / "state" / "state.json").read_text())["step"] == 6
    seen: list[int] = []

    @contextmanager
    def watched(title: str, unit: str = "") -> Iterator[Callable[[int, int], None]]:
        yield lambda step, total: seen.append(step)

    monkeypatch.setattr(training, "bar", watched)
    cut = done(*command("cut")).last
    assert seen == [7, 8, 9]
    assert cut["digest"] == whole["digest"]
    assert not (tmp_path / "cut" / "state").exists()


def test_a_joint_model_starts_from_an_earlier_one_and_remembers_its_sources(
    place: Path, joint: Ended, tmp_path: Path
) -> None:
    more = write(tmp_path / "more.jsonl", preferences(4, 7))
    command = (
        "train-reward", "--data", more, "--model", place / "decoder", "--init", place / "joint", "--output",
        tmp_path / "next", "--epochs", "1", *EXACT, "--json",
    )  # fmt: skip
    assert "were trained on" in refused(*command, "--eval-data", place / "train.jsonl")
    found = done(*command, "--level", "1", "--eval-data", place / "eval.jsonl").last
    assert (found["level"], found["members"]) == (1, 2)  # as many members as the model that it began with
    said = refused("eval-reward", "--model", tmp_path / "next", "--data", place / "train.jsonl", *EXACT)
    assert "of its sources were trained on" in said


def test_a_frozen_model_starts_from_the_level_below_in_its_precision(
    place: Path, frozen: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "cpu_has_bfloat16", lambda: True)  # where the level below was fitted, there were none
    above = write(tmp_path / "above.jsonl", preferences(2, 8, level=1))
    ended = done(
        "train-reward", "--data", above, "--model", "minilm", "--init", place / "frozen", "--output",
        tmp_path / "above", "--device", "cpu", "--json",
    )  # fmt: skip
    assert (ended.last["level"], ended.last["members"]) == (1, 4)
    assert json.loads((tmp_path / "above" / "model.json").read_text())["encoder"].endswith(":float32")
    assert f"% learned from 5 judgements, the rest drawn to {place / 'frozen'}" in ended.err


def test_kinds_of_model_do_not_start_from_each_other_nor_take_each_other_s_place(
    place: Path, joint: Ended, frozen: Ended, tmp_path: Path
) -> None:
    to_joint = ("train-reward", "--data", place / "train.jsonl", "--model", place / "decoder", *FAST)
    to_frozen = ("train-reward", "--data", place / "train.jsonl", "--model", "minilm")
    assert "holds a model on a frozen backbone" in refused(*to_joint, "--output", place / "frozen")
    assert "holds a joint model" in refused(*to_frozen, "--output", place / "joint")
    assert "cannot start from it" in refused(*to_joint, "--init", place / "frozen", "--output", tmp_path / "x")
    assert "cannot start from it" in refused(*to_frozen, "--init", place / "joint", "--output", tmp_path / "x")
    assert "no reward model in it" in refused(*to_frozen, "--init", tmp_path, "--output", tmp_path / "x")
    assert "starts from" in refused(*to_joint, "--output", place / "decoder")
    assert "is a file" in refused(*to_joint, "--output", place / "train.jsonl")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "option",
    [
        ("--epochs", "2"), ("--learning-rate", "1e-3"), ("--max-length", "64"), ("--long-sources", "windows"),
        ("--independent",),
    ],
)  # fmt: skip
def test_options_that_a_frozen_backbone_does_not_heed_are_refused(
    place: Path, tmp_path: Path, option: tuple[str, ...]
) -> None:
    said = refused(
        "train-reward", "--data", place / "train.jsonl", "--model", "minilm", "--output", tmp_path / "x", *option
    )
    assert f"{option[0]} would do nothing with a frozen backbone" in said


def test_heads_on_a_frozen_language_model_are_refused(place: Path, tmp_path: Path) -> None:
    command = ("train-reward", "--data", place / "train.jsonl", "--model", place / "decoder", "--tune", "frozen")
    said = refused(*command, "--output", tmp_path / "x")
    assert "is a causal language model, which makes poor sentence vectors: name an encoder such as minilm" in said
    assert not (tmp_path / "x").exists()


def test_a_level_is_taken_from_the_rows_or_from_the_option(place: Path, tmp_path: Path) -> None:
    both = write(tmp_path / "both.jsonl", preferences(3, 5, level=0) + preferences(3, 6, level=2))
    command = ("train-reward", "--data", both, "--model", place / "decoder", *FAST, "--json", "--output")
    every = done(*command, tmp_path / "every")
    assert every.last["level"] == 2
    assert "about levels 0, 2" in every.err
    assert any("about levels 0, 2" in note for note in every.last["notes"])
    assert "about levels 0, 2" in refused(*command, tmp_path / "strict", "--strict")
    one = done(*command, tmp_path / "one", "--level", "0").last
    assert (one["level"], one["sources"]) == (0, 3)
    assert "holds no rows to learn from" in refused(*command, tmp_path / "none", "--level", "1")


def test_texts_that_are_too_long_are_refused_and_cut_only_when_asked(place: Path, tmp_path: Path) -> None:
    long = [{**row, "prompt": " ".join([row["prompt"]] * 6)} for row in preferences(3, 5)]
    rows = write(tmp_path / "long.jsonl", long)
    command = ("train-reward", "--data", rows, "--model", place / "decoder", *FAST, "--output")
    said = refused(*command, tmp_path / "x")
    assert "of 9 outputs with their sources have more than the 64 tokens that the backbone reads" in said
    assert "ask for windows or truncation" in said
    assert "but" in refused(*command, tmp_path / "x", "--max-length", "65")  # the decoder reads 64
    assert "max_length = 40" in refused(*command, tmp_path / "x", "--max-length", "40")
    done(*command, tmp_path / "cut", "--max-length", "40", "--long-sources", "truncate")
    assert json.loads((tmp_path / "cut" / "rrm.json").read_text())["reading"]["long_sources"] == "truncate"
    done(*command, tmp_path / "cut64", "--long-sources", "truncate")


def test_long_rows_are_scored_and_evaluated_only_where_cutting_is_asked_for(
    place: Path, joint: Ended, frozen: Ended, tmp_path: Path
) -> None:
    rows = write(tmp_path / "long.jsonl", [{**row, "prompt": row["prompt"] * 6} for row in preferences(3, 9)])
    for name in ("score", "eval-reward"):
        command = (name, "--model", place / "joint", "--data", rows, *EXACT)
        assert "the 64 tokens that the backbone reads" in refused(*command)
        done(*command, "--long-sources", "truncate")
        said = refused(name, "--model", place / "frozen", "--data", rows, "--long-sources", "truncate")
        assert "--long-sources would do nothing" in said


# ---- what rows are about ----


def test_rows_that_share_a_prompt_name_their_source_and_find_its_text_in_another_file(
    place: Path, tmp_path: Path
) -> None:
    made: dict[str, dict[str, list[Row]]] = {}
    for split, seed in (("train", 1), ("eval", 2)):
        plain = preferences(6, seed)
        texts = {row["source_id"]: row["prompt"] for row in plain}
        apart = [{k: v for k, v in row.items() if k != "source_id"} for row in plain]
        made[split] = {
            "whole": [{**row, "source": row["prompt"], "prompt": "w1"} for row in plain],
            "apart": [{**a, "prompt": None, "asked": "w1", "story": p["source_id"]}
                      for a, p in zip(apart, plain, strict=True)],
            "texts": [{"story": story, "text": text} for story, text in texts.items()],
        }  # fmt: skip
    files = {(split, kind): write(tmp_path / f"{split}-{kind}.jsonl", rows)
             for split, kinds in made.items() for kind, rows in kinds.items()}  # fmt: skip
    joined = [*("--prompt-column", "asked", "--join-key", "story", "--join-text", "text")]
    joined += [part for split in made for part in ("--join-file", str(files[split, "texts"]))]
    found = {}
    for kind, options in (("whole", []), ("apart", joined)):
        model, rows = tmp_path / kind, (files["train", kind], files["eval", kind])
        trained = done(
            "train-reward", "--data", rows[0], "--eval-data", rows[1], "--model", place / "decoder", "--output",
            model, *FAST, *options, "--json",
        ).last  # fmt: skip
        said = done("eval-reward", "--model", model, "--data", rows[1], *EXACT, *options, "--json").last
        shown = done("score", "--model", model, "--data", rows[1], *EXACT, *options).out
        scores = [json.loads(line) for line in shown.splitlines()]
        found[kind] = (trained["sources"], trained["digest"], said, [row["score"] for row in scores])
        assert [{k: v for k, v in row.items() if not k.startswith("score")} for row in scores] == made["eval"][kind]
    assert found["apart"] == found["whole"]
    assert found["whole"][0] == 6


def test_a_prompt_that_stands_in_many_sources_needs_a_column_that_tells_them_apart(place: Path, tmp_path: Path) -> None:
    for split, seed in (("train", 1), ("eval", 2)):
        rows = [{**row, "prompt": "w1", "story": row["source_id"]} for row in preferences(6, seed)]
        write(tmp_path / f"{split}.jsonl", [{k: v for k, v in row.items() if k != "source_id"} for row in rows])
    command = ("train-reward", "--data", tmp_path / "train.jsonl", "--eval-data", tmp_path / "eval.jsonl", "--model",
               place / "decoder", "--output", tmp_path / "x", *FAST)  # fmt: skip
    said = refused(*command)
    assert "1 of its sources were trained on" in said and "--source-column" in said
    assert done(*command, "--source-column", "story", "--json").last["sources"] == 6
    assert "join_file, join_key and join_text go together" in refused(*command, "--join-key", "story")


# ---- evaluate ----


def test_an_evaluation_says_the_same_as_the_one_at_the_end_of_training(
    place: Path, joint: Ended, frozen: Ended
) -> None:
    for name, before in (("joint", joint), ("frozen", frozen)):
        ended = done("eval-reward", "--model", place / name, "--data", place / "eval.jsonl", *EXACT)
        assert list(ended.last) == [*FIGURES, "notes"]
        assert ended.last["bag_of_words"] is not None
        for figure in ("n", "ties", "accuracy", "longer_wins", "bag_of_words"):
            assert ended.last[figure] == before.last["eval"][figure]
        assert ended.last["nll"] == pytest.approx(before.last["eval"]["nll"], abs=1e-5)
        assert ended.out.startswith("rows ")
        quiet = done("eval-reward", "--model", place / name, "--data", place / "eval.jsonl", *EXACT, "--json")
        assert len(quiet.out.splitlines()) == 1


def test_rows_about_sources_seen_in_training_are_no_evaluation(place: Path, joint: Ended, tmp_path: Path) -> None:
    for command in (
        ("eval-reward", "--model", place / "joint", "--data", place / "train.jsonl", *EXACT),
        ("train-reward", "--data", place / "train.jsonl", "--eval-data", place / "train.jsonl", "--model",
         place / "decoder", "--output", tmp_path / "x"),
    ):  # fmt: skip
        assert "8 of its sources were trained on" in refused(*command)
    assert not (tmp_path / "x").exists()


def test_a_checkpoint_made_elsewhere_is_evaluated_without_a_bag_of_words(place: Path, tmp_path: Path) -> None:
    model = foreign(place, tmp_path / "foreign")
    found = done("eval-reward", "--model", model, "--data", place / "eval.jsonl", *EXACT).last
    assert found["bag_of_words"] is None
    assert found["n"] == len(preferences(6, 2))


def foreign(place: Path, folder: Path, **changes: Any) -> Path:
    """A checkpoint for classification as transformers writes it."""
    from transformers import AutoModelForSequenceClassification

    shutil.copytree(place / "decoder", folder)
    options = {"num_labels": 1, **changes}
    AutoModelForSequenceClassification.from_pretrained(str(place / "decoder"), **options).save_pretrained(str(folder))
    return folder


def test_a_figure_that_cannot_be_written_is_told_and_nothing_else(
    place: Path, joint: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(scoring, "durable", full)
    ended = done("eval-reward", "--model", place / "joint", "--data", place / "eval.jsonl", *EXACT)
    assert "reliability.svg could not be written: Read-only file system" in ended.err


def test_rows_that_compare_nothing_give_no_accuracy(place: Path, joint: Ended, tmp_path: Path) -> None:
    rows = [{"prompt": f"w{at}", "completion": " w1", "label": bool(at % 2)} for at in range(4)]
    data = write(tmp_path / "labels.jsonl", rows)
    said = refused("eval-reward", "--model", place / "joint", "--data", data, *EXACT)
    assert "nothing in it compares two outputs" in said


def test_an_evaluation_in_portions_equals_one_at_once(
    place: Path, joint: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "_ROWS_AT_ONCE", 3)
    found = done("eval-reward", "--model", place / "joint", "--data", place / "eval.jsonl", *EXACT).last
    assert found["nll"] == pytest.approx(joint.last["eval"]["nll"], abs=1e-6)


# ---- score ----


def test_each_shape_of_row_gets_scores_of_its_shape_in_order_with_all_its_columns(
    place: Path, joint: Ended, tmp_path: Path
) -> None:
    rows: list[Row] = [
        {"id": 1, "prompt": "w1 w2", "completion": " w3"},
        {"id": 2, "prompt": "w1 w2", "chosen": " w3", "rejected": " w4"},
        {"id": 3, "prompt": "w1 w2", "completions": [" w4", {"completion": " w3", "rank": 1}]},
        {"id": 4, "source": "w1 w2", "candidate": " w3", "scores": {"overall": 2}},
        {"id": 5, "completion": "w1 w2 w3", "other": {"kept": [1, None, "ü"]}},
    ]
    data = write(tmp_path / "rows.jsonl", rows)
    shown = done("score", "--model", place / "joint", "--data", data, *EXACT).out
    found = [json.loads(line) for line in shown.splitlines()]
    assert [{key: each[key] for key in row} for row, each in zip(rows, found, strict=True)] == rows
    assert all(list(each)[-2:] == ["score", "score_std"] for each in found)
    single, pair, several, rated, alone = (each["score"] for each in found)
    assert single == pytest.approx(pair["chosen"], abs=1e-5) == pytest.approx(several[1], abs=1e-5)
    assert pair["rejected"] == pytest.approx(several[0], abs=1e-5)
    assert rated == pytest.approx(single, abs=1e-5)
    assert alone == pytest.approx(single, abs=1e-5)  # the same text, but for where its prompt ends
    assert list(pair) == ["chosen", "rejected"] and len(several) == 2
    assert found[1]["score_std"]["chosen"] == pytest.approx(found[0]["score_std"], abs=1e-5) and single != 0


def test_scored_rows_appear_whole_or_not_at_all(place: Path, joint: Ended, tmp_path: Path) -> None:
    good = {"prompt": "w1", "completion": " w2"}
    output = tmp_path / "scored.jsonl.gz"
    command = ("score", "--model", place / "joint", *EXACT, "--output", output, "--data")
    ended = done(*command, write(tmp_path / "good.jsonl", [good] * 3), "--json")
    assert ended.last == {"n": 3, "output": str(output), "members": 2, "notes": []}
    with gzip.open(output, "rt") as file:
        assert len(file.readlines()) == 3
    before = output.read_bytes()
    said = refused(*command, write(tmp_path / "bad.jsonl", [good, good, {"prompt": "w1"}]))
    assert "bad.jsonl, row 3: columns prompt have no text to score" in said
    assert output.read_bytes() == before
    assert "holds no rows to score" in refused(*command, write(tmp_path / "none.jsonl", []))
    assert output.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        *("bad.jsonl", "good.jsonl", "none.jsonl", "scored.jsonl.gz")
    ]


def test_scoring_in_portions_equals_scoring_at_once(
    place: Path, joint: Ended, frozen: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [dict(row) for row in preferences(3, 11)]
    for name in ("joint", "frozen"):
        whole = scores(place / name, tmp_path, rows)
        with monkeypatch.context() as patched:
            patched.setattr(scoring, "_ROWS_AT_ONCE", 2)
            parts = scores(place / name, tmp_path, rows)
        for one, other in zip(whole, parts, strict=True):
            assert one == pytest.approx(other, abs=1e-6)


def test_a_source_s_own_rows_are_scored_by_members_that_did_not_see_it(
    place: Path, frozen: Ended, tmp_path: Path
) -> None:
    from rrm.backbone.encoder import FrozenEncoder
    from rrm.core.values import Group, Passage, View
    from rrm.reward.model import LevelModel

    row = preferences(8, 1)[0]
    model = LevelModel.load(place / "frozen", FrozenEncoder("minilm", "cpu", "float32"))
    group = Group(row["source_id"], 0, View("", (Passage(row["prompt"]),), 128), (row["chosen"], row["rejected"]))
    rewards = model.rewards([group])[0]
    assert len(rewards) == 1  # of four members in four folds
    assert [*scores(place / "frozen", tmp_path, [row])[0].values()] == pytest.approx(rewards[0], abs=1e-6)


def test_what_cannot_be_scored_is_refused_in_a_sentence(
    place: Path, joint: Ended, frozen: Ended, tmp_path: Path
) -> None:
    data = write(tmp_path / "rows.jsonl", [{"completion": "w1"}])
    command = ("score", "--data", data, *EXACT)
    assert "neither prompt nor source" in refused(*command, "--model", place / "frozen")
    assert "no reward model in" in refused(*command, "--model", tmp_path)
    assert "give --model DIR and --data FILE" in refused(*command)
    assert "not both at once" in refused(*command, "--model", place / "joint", place)
    assert "are written as .jsonl" in refused(*command, "--model", place / "joint", "--output", "x.parquet")
    said = refused(*command, "--model", place / "frozen", "--dtype", "bfloat16")
    assert "fitted on vectors in float32" in said
    command = ("score", "--model", place / "joint", *EXACT, "--data")
    assert "rows.jsonl, row 1" in refused(*command, write(tmp_path / "rows.jsonl", [{"completion": ""}]))
    assert "is empty" in refused(*command, write(tmp_path / "rows.jsonl", [{"prompt": "w1", "completion": " "}]))
    assert "column 'rejected' is missing" in refused(*command, write(tmp_path / "rows.jsonl", [{"chosen": "w1"}]))
    (tmp_path / "rows.jsonl").write_text('{"completion": "w1", "margin": NaN}\n')
    assert "row 1: it cannot be written as JSON again" in refused(*command, tmp_path / "rows.jsonl")


def test_a_column_called_score_gives_way_with_a_note(place: Path, joint: Ended, tmp_path: Path) -> None:
    data = write(tmp_path / "rows.jsonl", [{"prompt": "w1", "candidate": " w2", "score": 77}])
    ended = done("score", "--model", place / "joint", "--data", data, *EXACT)
    assert ended.last["score"] != 77
    assert "its own column score gives way to the model's" in ended.err


# ---- what bad input gets ----

GOOD = {"prompt": "w1 w2", "chosen": " w3", "rejected": " w4"}
RATED = {"source": "w1 w2", "candidate": " w3", "scores": {"overall": 3}}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"prompt": "w1", "chosen": " w2"}], "row 1: column 'rejected' is missing"),
        ([{"question": "w1", "answer": "w2"}], "row 1: columns question, answer are no form that is known"),
        ([GOOD, {**GOOD, "chosen": " w4"}], "row 2: chosen and rejected are the same text"),
        ([{**GOOD, "margin": float("inf")}], "row 1: column 'margin' must be a finite number"),
        ([RATED, {**RATED, "scores": {"overall": float("nan")}}], "row 2: scores.overall must be a number"),
        ([RATED, {**RATED, "scores": {"overall": float("-inf")}}], "row 2: scores.overall must be a number"),
        ([{**RATED, "scores": {"overall": -5}}, {**RATED, "scores": {"overall": 9_999}}], "on a scale of 1,000 points"),
        ([{**GOOD, "rejected": "  "}], "row 1: column 'rejected' is empty"),
        ([{"context": "w1", "completions": [{"rank": 0, "completion": " w2"}]}], "two or more different texts, got 1"),
        ([{"prompt": "w1", "completion_a": " w2", "completion_b": " w3", "vote": "tie"}] * 3, "judgements are ties"),
        ([RATED, {**RATED, "candidate": " w5"}], "the same rating"),
        ([], "holds no rows to learn from"),
        ([GOOD, RATED], "row 2: a row of form rating in a file that began with preference"),
    ],
)  # fmt: skip
def test_bad_rows_end_training_and_evaluation_with_one_sentence(
    place: Path, joint: Ended, tmp_path: Path, rows: list[Row], says: str
) -> None:
    data = write(tmp_path / "bad.jsonl", rows)
    said = refused("train-reward", "--data", data, "--model", place / "decoder", "--output", tmp_path / "x", *FAST)
    assert says in said and "bad.jsonl" in said
    assert not (tmp_path / "x").exists()
    assert says in refused("eval-reward", "--model", place / "joint", "--data", data, *EXACT)


def test_a_file_that_is_missing_or_no_gzip_is_named(place: Path, tmp_path: Path) -> None:
    command = ("train-reward", "--model", place / "decoder", "--output", tmp_path / "x", "--data")
    assert "none.jsonl: no such file" in refused(*command, tmp_path / "none.jsonl")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"prompt": "w1"}\n' * 50)[:-9])
    assert "not a whole gzip file" in refused(*command, tmp_path / "cut.jsonl.gz")


def test_bad_options_are_refused(place: Path, tmp_path: Path) -> None:
    command = ("train-reward", "--data", place / "train.jsonl", "--output", tmp_path / "x", "--model")
    assert "above 0, but learning_rate is -1.0" in refused(*command, place / "decoder", "--learning-rate", "-1")
    assert "above 0, but learning_rate is nan" in refused(*command, place / "decoder", "--learning-rate", "nan")
    assert "dtype is one of" in refused(*command, place / "decoder", "--dtype", "float16")
    assert "no folder" in refused(*command, tmp_path / "nowhere")
    for option in (
        ("--epochs", "0"),
        ("--ensemble", "0"),
        ("--max-length", "1"),
        ("--level", "-1"),
        ("--tune", "some"),
    ):
        assert rrm(*command, place / "decoder", *option).code == 2


def test_notes_are_told_and_nothing_is_refused(place: Path, tmp_path: Path) -> None:
    def vote(first: str, second: str, rater: str = "a") -> Row:
        return {"prompt": "w1", "completion_a": first, "completion_b": second, "vote": "a", "annotator": rater}

    circle = [vote(" w2", " w3"), vote(" w3", " w4"), vote(" w4", " w2")]
    always = [vote(f" w{at}", f" w{at + 50}", "always-a") for at in range(12)]
    data = write(tmp_path / "odd.jsonl", circle + always)
    command = ("train-reward", "--model", place / "decoder", *FAST, "--json", "--output", tmp_path / "x", "--data")
    ended = done(*command, data)
    assert "contradictions or circles in one rater's preferences" in ended.err
    assert "rater 'always-a' chose the first output shown in 12 of 12" in ended.err
    assert all(f"{data}: {note}" in ended.err for note in ended.last["notes"]) and len(ended.last["notes"]) >= 2
    alone = done(*command, write(tmp_path / "one.jsonl", circle))
    assert "all 3 judgements are by one rater, 'a'" in alone.err


def test_broken_and_dangerous_checkpoints_are_refused(place: Path, joint: Ended, tmp_path: Path) -> None:
    def opened(folder: Path) -> str:
        return refused("score", "--model", folder, "--data", place / "eval.jsonl", *EXACT)

    def began(folder: Path) -> str:
        return refused(
            "train-reward", "--data", place / "train.jsonl", "--model", folder, "--output", tmp_path / "x", *FAST
        )

    two = foreign(place, tmp_path / "two", num_labels=2)
    assert "classifies into 2 labels" in opened(two)
    assert "classifies into 2 labels" in began(two)
    code = foreign(place, tmp_path / "code")
    config = json.loads((code / "config.json").read_text())
    (code / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "theirs.Theirs"}}))
    assert "asks to run code (auto_map): refused" in opened(code)
    assert "asks to run code (auto_map): refused" in began(code)
    for file, change in (("heads.safetensors", 1), ("model.safetensors", 1), ("rrm.json", 0)):
        copy = tmp_path / f"tampered-{file}"
        shutil.copytree(place / "joint", copy)
        content = (copy / file).read_bytes()
        moved = content.replace(b'"0/answer/0"', b'"0/answer/1"')
        new = content[:-1] + bytes([content[-1] ^ 1]) if change else moved
        assert new != content
        (copy / file).write_bytes(new)
        assert "was changed after it was written" in opened(copy)
    diverged = foreign(place, tmp_path / "diverged")
    weights = load_file(diverged / "model.safetensors")
    save_file({**weights, "score.weight": weights["score.weight"] * float("nan")}, diverged / "model.safetensors")
    assert "rewards that are not finite" in opened(diverged)
    headless = tmp_path / "headless"
    shutil.copytree(place / "decoder", headless)
    assert "no trained reward model" in opened(headless)


def test_a_tampered_frozen_model_is_refused(place: Path, frozen: Ended, tmp_path: Path) -> None:
    copy = tmp_path / "tampered"
    shutil.copytree(place / "frozen", copy)
    content = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    said = refused("score", "--model", copy, "--data", place / "eval.jsonl", *EXACT)
    assert "was changed after it was written" in said


def test_chat_messages_are_read_with_the_model_s_template_in_training_and_scoring(place: Path, tmp_path: Path) -> None:
    chatty = tmp_path / "chatty"
    shutil.copytree(place / "decoder", chatty)
    template = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    (chatty / "chat_template.jinja").write_text(template + "w7 {{ m.content }} {% endfor %}")
    rows = [
        {**row, "prompt": [{"role": "user", "content": row["prompt"]}],
         "chosen": [{"role": "assistant", "content": row["chosen"]}],
         "rejected": [{"role": "assistant", "content": row["rejected"]}]}
        for row in preferences(4, 1)
    ]  # fmt: skip
    command = ("train-reward", "--model", chatty, *FAST, "--output", tmp_path / "model", "--data")
    done(*command, write(tmp_path / "rows.jsonl", rows))
    chat = {"prompt": [{"role": "user", "content": "w1 w2"}], "completion": [{"role": "assistant", "content": "w3"}]}
    plain = {"prompt": "w7 w1 w2 ", "completion": "w7 w3 "}  # the whole as the template has it
    one, other = scores(tmp_path / "model", tmp_path, [chat, plain])
    assert one == pytest.approx(other, abs=1e-6)
    system = [{**row, "prompt": [{"role": "system", "content": "w1"}, *row["prompt"]]} for row in rows]
    said = refused(*command, write(tmp_path / "rows.jsonl", system))
    assert "row 1: the model's chat template cannot show these messages: no system" in said


# ---- longer: other processes, real people ----


@pytest.mark.slow
def test_a_training_that_was_killed_goes_on_in_another_process(place: Path, tmp_path: Path) -> None:
    rows = write(tmp_path / "rows.jsonl", [{**row, "source_id": "one"} for row in preferences(30, 4)])

    def command(folder: str) -> list[str]:
        return [
            sys.executable, "-m", "rrm", "train-reward", "--data", str(rows), "--model", str(place / "decoder"),
            "--output", str(tmp_path / folder), "--epochs", "60", "--ensemble", "2", *EXACT,
            "--dtype", "float32", "--json",
        ]  # fmt: skip

    killed = subprocess.Popen(command("killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    state = tmp_path / "killed" / "state" / "state.json"
    until = time.monotonic() + 240
    while not state.is_file() and time.monotonic() < until:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert state.is_file(), "no state was written before the training ended"
    again, whole = (
        json.loads(subprocess.run(command(name), capture_output=True, check=True).stdout.splitlines()[-1])
        for name in ("killed", "whole")
    )
    assert again["digest"] == whole["digest"]


@pytest.mark.slow
def test_a_small_encoder_learns_with_all_weights_when_asked(place: Path, tmp_path: Path) -> None:
    encoder = save_encoder(tmp_path / "encoder")
    found = done(
        "train-reward", "--data", place / "train.jsonl", "--model", encoder, "--output", tmp_path / "model",
        "--tune", "full", *FAST, "--json",
    ).last  # fmt: skip
    assert (found["tune"], found["exports"]) == ("full", str(tmp_path / "model"))


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("tulu_human/preferences_{}.jsonl.gz", ()),
        ("summeval/ratings_{}.jsonl.gz", ()),
        ("squality/preferences_{}.jsonl.gz", STORIES),
        ("squality/human_ratings_{}.jsonl.gz", (*STORIES, "--prompt-column", "question")),
    ],
)
def test_real_people_s_rows_train_a_frozen_model_and_evaluate_it(
    file: str, options: tuple[object, ...], tmp_path: Path
) -> None:
    for split in ("train", "validation"):
        rows = [dict(row) for _, row in islice(read_rows(DATA / file.format(split)), 60)]
        write(tmp_path / f"{split}.jsonl", rows)
    found = done(
        "train-reward", "--data", tmp_path / "train.jsonl", "--eval-data", tmp_path / "validation.jsonl", "--model",
        "minilm", "--output", tmp_path / "model", *EXACT, *options, "--json",
    ).last  # fmt: skip
    assert found["n_train"] > 40
    assert found["eval"]["n"] > 10
    assert 0 <= found["eval"]["accuracy"] <= 1
    assert found["eval"]["bag_of_words"] is not None
    shown = done("score", "--model", tmp_path / "model", "--data", tmp_path / "validation.jsonl", *EXACT, *options)
    assert len(shown.out.splitlines()) == 60


def test_what_is_guessed_of_rows_is_told_carried_and_refused_when_nothing_is_to_be_guessed(
    place: Path, joint: Ended, tmp_path: Path
) -> None:
    rows = [{**row, "source": "mix", "source_id": None} for row in preferences(5, 21)]
    labelled = write(tmp_path / "rows.jsonl", rows)
    taken = "`source` holds 1 short label over 5 prompts: taken for a label"
    train = ("train-reward", "--model", place / "decoder", "--output", tmp_path / "model", *FAST, "--data", labelled)
    ended = done(*train, "--json")
    assert f"rows.jsonl: read {len(rows)} rows as preference pairs; {taken}" in ended.err
    assert ended.last["notes"][0] == f"read {len(rows)} rows as preference pairs"
    assert ended.last["notes"][1].startswith(taken) and ended.last["sources"] == 5
    evaluate = ("eval-reward", "--model", place / "joint", *EXACT, "--data", labelled)
    assert any(note.startswith(taken) for note in done(*evaluate).last["notes"])
    score = ("score", "--model", place / "joint", *EXACT, "--data", labelled)
    assert done(*score, "--json").last["notes"][0].startswith(taken)
    for command in (train, evaluate, score):
        said = refused(*command, "--strict")
        assert f"rows.jsonl: {taken}" in said and said.endswith("refused by --strict")
    plain = write(tmp_path / "plain.jsonl", preferences(5, 21))
    for command in (("eval-reward", "--model", place / "joint"), ("score", "--model", place / "joint")):
        done(*command, *EXACT, "--data", plain, "--strict")
    assert done(*score, "--strict", "--source-column", "source", "--json").last["notes"] == []


def test_tables_and_arrays_train_as_their_rows_do(place: Path, tmp_path: Path) -> None:
    rows = preferences(5, 22)
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    header = list(rows[0])
    lines = [";".join(f'"{row[name]}"' for name in header) for row in rows]
    (tmp_path / "rows.csv").write_text("\n".join([";".join(header), *lines]))
    digests = []
    for name in ("rows.jsonl", "rows.json", "rows.csv"):
        data = write(tmp_path / name, rows) if name == "rows.jsonl" else tmp_path / name
        command = ("train-reward", "--model", place / "decoder", *FAST, "--data", data, "--json")
        digests.append(done(*command, "--output", tmp_path / f"model-{name}").last["digest"])
    assert len(set(digests)) == 1
