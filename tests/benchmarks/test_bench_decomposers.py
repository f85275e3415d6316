"""What the figures of the segmenter are made by: boundaries found, rows, and texts cut in known ways."""

import gzip
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from nltk.tokenize.texttiling import TextTilingTokenizer

from benchmarks import chapters
from benchmarks.chapters import Novel, evenly, read_novel
from benchmarks.decomposers import Row, _book_run, exact, main, planted, single
from rrm.api.runfile import run_file
from rrm.backbone.generate import load_writer


def novel_in(folder: Path) -> Path:
    """Four chapters of four paragraphs of three sentences, with headings that stand as paragraphs too."""
    rows = [
        {
            "chapter": f"CHAPTER {number}",
            "paragraphs": [
                f"Chapter {number}.",
                *(f"Anna saw {number}{at}. It rained. The dog ran." for at in range(4)),
            ],
        }
        for number in range(4)
    ]
    path = folder / "tale.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    return path


@pytest.fixture
def novel(tmp_path: Path) -> Novel:
    return read_novel(novel_in(tmp_path))


def test_headings_are_removed_and_chapters_kept(novel: Novel) -> None:
    assert "hapter" not in novel.text.source.text.lower()
    assert novel.text.source.breaks == ()
    assert (len(novel.text), novel.sentences, novel.chapters) == (16, 48, (4, 8, 12, 16))
    assert novel.first.tolist() == list(range(0, 48, 3))


def test_boundaries_are_found_within_two_sentences(novel: Novel) -> None:
    assert novel.scores((4, 8, 12, 16)) == (1.0, 0.0, 0.0)
    one_off = novel.scores((5, 8, 12, 16))  # three sentences away
    assert one_off.f1 == pytest.approx(2 / 3)
    assert one_off.pk > 0 and one_off.windowdiff > 0
    assert chapters._f1([10, 20], [12, 23]) == 0.5
    assert chapters._f1([10], [9, 11]) == pytest.approx(2 / 3)  # a boundary is found once
    assert evenly(novel) == (4, 8, 12, 16)
    assert len(chapters.by_texttiling(novel)) == 4
    assert len(chapters.by_chance(novel, 0)) == 4


def test_scores_come_in_the_order_of_the_novels(novel: Novel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a language model's are compared with those of other novels."""
    others = [replace(novel, chapters=ends) for ends in ((3, 16), (2, 9, 12, 16), (8, 13, 16))]
    monkeypatch.setattr(chapters, "taught", lambda novels, most_steps: None)
    monkeypatch.setattr(chapters, "by_segmenter", lambda weights: evenly)
    found = chapters.compare([novel, *others], folds=2, most_steps=1)
    assert found["segmenter"] == found["even spacing"] == [each.scores(evenly(each)) for each in (novel, *others)]
    assert len(set(found["segmenter"])) == 4


def test_texttiling_gives_the_scores_of_nltks_own() -> None:
    words = np.random.default_rng(0).choice(["oak", "bell", "rain", "mill", "road", "lamp", "door"], (30, 40))
    text = "\n\n".join(" ".join(paragraph) + "." for paragraph in words)
    settings = {"w": 12, "k": 4, "stopwords": ["road"], "demo_mode": True}
    ours, theirs = (kind(**settings).tokenize(text) for kind in (chapters.Tiling, TextTilingTokenizer))
    assert len(ours[0]) > 50
    assert ours[0] == pytest.approx(theirs[0], abs=1e-12)
    assert ours[2] == pytest.approx(theirs[2], abs=1e-12)


def test_a_language_model_reads_on_and_says_before_which_paragraphs_a_heading_would_stand(
    novel: Novel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Window by window it finds what it finds token by token, where windows show it as much of the text."""
    monkeypatch.setattr(chapters, "_READ", 60)
    monkeypatch.setattr(chapters, "_OVERLAP", 20)
    monkeypatch.setattr(chapters, "_BEGINNING", 5)
    writer = load_writer("tiny", "cpu", "float32")

    def ids(text: str) -> list[int]:
        found: list[int] = writer.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def log_prob(token: int, before: list[int]) -> float:
        with torch.inference_mode():
            logits = writer.model(input_ids=torch.tensor([before])).logits[0, -1]
        return float(logits.double().log_softmax(0)[token])

    text = [
        ids(novel.text.source.text[a:b].strip() + "\n\n")
        for a, b in zip(novel.text.starts, novel.text.ends, strict=True)
    ]
    running, heading = [token for each in text for token in each], ids("CHAPTER II\n\n")
    wanted, start = [], 0
    for each in text:
        begins, terms = each[:5], []
        for at, token in enumerate(begins, start=start):
            first = 0 if at < 60 else 40 * ((at - 20) // 40)
            terms.append(-log_prob(token, running[first:at]) if at else 0.0)
            terms.append(log_prob(token, [*heading, *begins[: at - start]]))
            terms.append(log_prob(heading[0], running[first:at]) if at == start > 0 else 0.0)
        wanted.append(sum(terms))
        start += len(each)
    assert chapters._heading_before(writer, novel) == pytest.approx(wanted[1:], abs=1e-3)


def test_a_row_keeps_its_line_or_not() -> None:
    row = Row.of("part", "name", [0.9, 1.0, 1.1], ">= 0.95")
    assert (row.value, row.n, row.passed) == (pytest.approx(1.0), 3, True)
    assert row.low is not None and row.high is not None and row.low < 1.0 < row.high
    assert Row.of("part", "name", [0.9, 1.0, 1.1], "> 0.95", at_low=True).passed is False
    assert single("part", "name", 0.5, "<= 0.6").passed is True
    assert single("part", "name", 0.5).passed is None


def test_exactness_holds_on_a_few_units() -> None:
    rows = exact([5], quick=True)
    assert len(rows) == 6
    assert all(row.passed for row in rows)


def test_runs_on_books_differ_in_the_decomposer_and_how_it_learns_alone() -> None:
    names = ("from outlines", "from outcomes", "fixed chunks")
    outlines, outcomes, chunks = (run_file(_book_run(name, 11, 20, 500.0)) for name in names)
    assert outlines.rater == outcomes.rater == chunks.rater
    assert outlines.target == outcomes.target == chunks.target
    assert (outlines.rounds, outcomes.rounds, chunks.rounds) == (2, 2, 2)
    assert outlines.splits is not None and outlines.splits.rater is not None
    assert outcomes.splits is not None and outcomes.splits.rater is None
    assert chunks.splits is None and chunks.decomposer.plugin == "decomposers.chunks:Chunks"


def test_rows_are_written_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rows.jsonl"
    monkeypatch.setattr(sys, "argv", ["decomposers", "--quick", "--parts", "exact", "--seeds", "5", "--json", str(out)])
    main()
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(rows[0]) == sorted(["part", "name", "value", "low", "high", "n", "pass_line", "passed"])
    assert "largest error of log Z" in capsys.readouterr().out


@pytest.mark.slow
def test_planted_cuts_are_learned() -> None:
    rows = {row.name: row for row in planted([5], quick=True)}
    assert rows["speech: share of the optimum"].value > 0.9
    assert rows["speech: over the fixed chunker"].value > 0.15
