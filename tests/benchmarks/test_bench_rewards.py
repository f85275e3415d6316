"""The benchmark compares like with like: the same losses, tokens as counted by hand, tables that divide right."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import flops
from benchmarks.peers import SCORERS, WAYS, Body, Settings, Shape, build, held_out, make_groups, pair_loss
from benchmarks.rewards import QUICK, TWO, Case, report

BODY = Body("qwen3", 32, 2, 2, 1, 16, 64, 128)
SHAPE = Shape(24, 8, 4)


def test_loss_of_two_groups_is_that_of_their_pairs():
    rewards = torch.tensor([[1.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
    # log(1 + e^-1) = .313262 twice and log(1 + e^-2) = .126928; three times log 2 = .693147
    assert float(pair_loss(rewards)) == pytest.approx((2 * 0.313262 + 0.126928 + 3 * 0.693147) / 6, abs=1e-6)


def test_outputs_are_spans_spoiled_by_rank_and_the_same_for_the_same_seed():
    first, again = (make_groups(Shape(60, 20, 4), 3, 7, 512) for _ in range(2))
    for group, other in zip(first, again, strict=True):
        assert torch.equal(group.prompt, other.prompt) and torch.equal(group.outputs, other.outputs)
        spans, ends = group.outputs[:, :-1], group.outputs[:, -1]
        assert ends.tolist() == [1] * 4 and min(int(group.prompt.min()), int(spans.min())) > 1  # 0 and 1: padding, end
        windows = group.prompt.unfold(0, 19, 1)
        kept = [int((windows == span).sum(1).max()) for span in spans]
        assert kept[0] >= 10 and kept[0] >= kept[-1]


def steps(ways: tuple[tuple[str, int], ...]) -> tuple[list[tuple[float, ...]], list[float]]:
    """The losses of six updates and the loss held out, from the same weights, by each way and micro-batch."""
    settings = Settings(prompts=2, epochs=2, learning_rate=3e-3, trace=True)
    groups = make_groups(SHAPE, 6, 0, BODY.vocabulary)
    unseen = make_groups(SHAPE, 4, 2, BODY.vocabulary)
    losses, reached = [], []
    for way, size in ways:
        model = build(BODY)
        losses.append(WAYS[way].train(model, groups, settings, size).losses)
        reached.append(held_out(model, BODY, unseen, settings)[0])
    assert len(losses[0]) == 6
    assert losses[0][0] > losses[0][3]  # the second epoch begins lower, so there is something to agree on
    return losses, reached


def test_shared_source_takes_the_steps_of_each_output_once():
    losses, reached = steps((("once", 4), ("once", 8), ("rrm", 1), ("rrm", 2)))
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], abs=5e-5)
    assert reached == pytest.approx([reached[0]] * 4, abs=5e-5)


def test_our_trainer_learns_what_each_output_once_does_but_for_its_schedule_and_ties():
    settings = Settings(prompts=2, epochs=8, learning_rate=1e-2)
    groups = make_groups(SHAPE, 6, 0, BODY.vocabulary)
    before = held_out(build(BODY), BODY, groups, settings)[0]
    losses = []
    for way in ("once", "whole"):
        model = build(BODY)
        trained = WAYS[way].train(model, groups, settings, 2)
        assert len(trained.losses) == 24
        losses.append(held_out(model, BODY, groups, settings)[0])
    assert max(losses) < 0.8 * before


@pytest.mark.slow
def test_trl_takes_the_steps_of_each_output_once():
    pytest.importorskip("trl", reason="the peer is a dependency of the benchmark alone")
    losses, reached = steps((("trl", 3), ("trl", 1), ("once", 4)))
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], abs=5e-5)
    assert reached == pytest.approx([reached[0]] * 3, abs=5e-5)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("way", "tokens"),
    [
        pytest.param("trl", 6 * 2 * 32, marks=SLOW),
        pytest.param("adjacent", 3 * 2 * 32, marks=SLOW),
        ("once", 4 * 32),
        ("rrm", 24 + 4 * 8),
    ],
)
def test_tokens_are_those_counted_by_hand(way: str, tokens: int):
    if way in ("trl", "adjacent"):
        pytest.importorskip("trl", reason="the peer is a dependency of the benchmark alone")
    groups = make_groups(SHAPE, 2, 0, BODY.vocabulary)
    trained = WAYS[way].train(build(BODY), groups, Settings(prompts=2), 1)
    assert 2 * tokens - 2 * 4 <= trained.tokens <= 2 * tokens  # an output may begin as another does


def test_ways_of_scoring_agree():
    (group,) = make_groups(Shape(24, 8, 20), 1, 0, BODY.vocabulary)
    rewards = []
    for scorer in SCORERS.values():
        model = build(BODY).eval()
        scorer.prepare(model)
        rewards.append(scorer.score(model, *group, 8, Settings()))
    assert rewards[0].shape == (20,)
    assert torch.allclose(rewards[0], rewards[1], atol=1e-6)


def test_flops_are_those_of_a_model_small_enough_to_count():
    body = Body("llama", 2, 1, 1, 1, 2, 3, 10)  # weights: 4 each for q, k, v and o, 18 for the MLP
    # k = 2, rows of 3 + 1 tokens: 4 tokens x 34 weights x 6, and 10 attended pairs x 2 channels x 12
    assert flops(body, Shape(3, 1, 2), "once") == 2 * (4 * 34 * 6 + 10 * 2 * 12)
    assert flops(body, Shape(3, 1, 2), "trl") == flops(body, Shape(3, 1, 2), "once")
    # the only layer is the last: keys and values of 5 tokens; the rest for 2, each attending to 4
    assert flops(body, Shape(3, 1, 2), "rrm") == 5 * 8 * 6 + 2 * 26 * 6 + 2 * 4 * 2 * 12
    two = replace(body, layers=2)
    # one full layer more: 5 tokens x 34 weights; 6 pairs in the prompt and 4 for each output
    more = flops(two, Shape(3, 1, 2), "rrm") - flops(body, Shape(3, 1, 2), "rrm")
    assert more == 5 * 34 * 6 + (6 + 2 * 4) * 2 * 12


def test_tables_show_ratios_of_medians_beside_their_limits():
    plan = replace(QUICK, cases=(Case(1024, 96, 2, 1, TWO, memory=True),))
    rows = [("trl", [9.0, 8.0, 70.0], 2240), ("once", [6.0, 6.0, 6.0], 2240), ("rrm", [5.0, 6.0, 4.0], 1216)]
    found = [
        {"part": "training", "case": 0, "way": way, "title": way, "size": 1, "seconds": seconds, "tokens": tokens}
        for way, seconds, tokens in rows
    ]
    machine = {"part": "machine", "processor": "p", "threads": 1, "autocast": False, "parameters": 1, "held_mb": 1}
    peak = {"part": "memory", "case": 0, "way": "rrm", "peak_mb": 640.2}
    results = [{**machine, "versions": {}}, *({**row, "held_out": 0.5} for row in found), peak]
    ours = next(line for line in report(plan, results) if "| rrm |" in line)
    # 9 / 5 = 1.8 of 2240 / 1216 = 1.842; 6 / 5 over each output once
    assert ours == (
        "| P=1024, C=96, k=2 | rrm | 1 | 5.00 (4.00 to 6.00) | 1,216 | 1.80 | 1.84 | 98% | 1.20 | 640 | 0.5000 |"
    )


def test_without_a_gpu_the_gpu_benchmark_says_so_and_ends_well(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    gpu.main()
    assert capsys.readouterr().out == "No GPU was at hand: nothing was measured.\n"


@pytest.mark.slow
def test_quick_benchmark_prints_all_its_tables(tmp_path):
    pytest.importorskip("trl", reason="the peer is a dependency of the benchmark alone")
    kept = tmp_path / "results.jsonl"
    command = [sys.executable, "-m", "benchmarks.rewards", "--quick", "--dtype", "float32", "--json", str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    assert {line["part"] for line in lines} == {"machine", "training", "memory", "scoring", "quality"}
    assert done.stdout.count("### ") == 3 and " threads, float32;" in done.stdout
