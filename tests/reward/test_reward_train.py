"""Training joint models: learns from every kind, the same whether killed or not, alone or in two processes."""

import json
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rrm.backbone import load
from rrm.core.errors import InputError, LimitError
from rrm.core.values import Comparison, Critique, Feedback, Rated, Shown
from rrm.feedback.table import tabulate
from rrm.reward.batches import Batch, Sizes, Table, updates
from rrm.reward.joint_model import JointModel, Reading
from rrm.reward.objective import ForwardPass, Objective
from rrm.reward.schedule import split
from rrm.reward.train import refuse_ties, train
from rrm.reward.train_config import TrainConfig
from rrm.reward.train_log import Events
from tests.reward.joint_problems import EXACT, judged, save_decoder, save_encoder

QUICK = TrainConfig(members=2, epochs=3, learning_rate=3e-3, head_rate=1.0, rows_per_update=24, save_every=0)


@pytest.fixture(scope="session")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_decoder(tmp_path_factory.mktemp("decoder"))


def right(model: JointModel, rows: list[Rated]) -> float:
    """The share of comparisons whose better output has the higher mean reward."""
    found = model.rewards([row.request.group for row in rows])
    better = [row.feedback.answer.better for row in rows if isinstance(row.feedback.answer, Comparison)]
    return float(np.mean([each.mean(axis=0).argmax() == at for each, at in zip(found, better, strict=True)]))


@pytest.mark.parametrize("tune", ["full", "lora"])
def test_a_decoder_learns_what_raters_prefer_and_loads_back_equal(decoder: Path, tmp_path: Path, tune: Any) -> None:
    pytest.importorskip("peft")
    settings = replace(QUICK, tune=tune, epochs=3 if tune == "full" else 8, patience=8)
    trained = train(judged(50, 1), str(decoder), tmp_path, settings, seed=0, **EXACT)
    unseen = judged(20, 2)
    assert right(trained.model, unseen) > 0.85
    assert trained.held is not None
    groups = [row.request.group for row in unseen[:20]]
    again = JointModel.load(tmp_path, **EXACT)
    for mine, theirs in zip(trained.model.rewards(groups), again.rewards(groups), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    assert not set(trained.model.seen) & {row.request.source for row in unseen}
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("kind", ["ranking", "rating", "label"])
def test_every_kind_of_feedback_teaches(decoder: Path, tmp_path: Path, kind: str) -> None:
    config = replace(QUICK, epochs=6, patience=6)
    trained = train(judged(60, 1, kind=kind), str(decoder), tmp_path, config, seed=0, **EXACT)
    assert right(trained.model, judged(20, 2)) > (0.75 if kind == "label" else 0.8)
    assert trained.model.anchored == (kind != "ranking")


def test_an_anchored_model_says_how_likely_acceptance_is(decoder: Path, tmp_path: Path) -> None:
    config = replace(QUICK, epochs=6)
    trained = train(judged(60, 1, kind="label"), str(decoder), tmp_path, config, seed=0, **EXACT)
    rows = judged(20, 2, kind="label")
    accepted = np.concatenate([each.mean(axis=0) for each in trained.model.acceptance([r.request.group for r in rows])])
    good = np.array([row.feedback.answer.good for row in rows])  # type: ignore[union-attr]
    assert accepted[good].mean() > 0.6 > 0.4 > accepted[~good].mean()


def test_an_encoder_learns_from_pairs_of_texts(tmp_path: Path) -> None:
    encoder = save_encoder(tmp_path / "encoder")
    config = TrainConfig(members=2, epochs=6, learning_rate=3e-3, head_rate=1.0, rows_per_update=24, save_every=0)
    trained = train(judged(60, 1), str(encoder), tmp_path / "out", config, seed=0, **EXACT)
    assert right(trained.model, judged(20, 2)) > 0.75


def test_a_killed_training_goes_on_to_the_same_losses_and_weights(decoder: Path, tmp_path: Path) -> None:
    rows = judged(24, 1)
    config = TrainConfig(members=2, epochs=3, learning_rate=1e-3, rows_per_update=24, save_every=2)
    whole = train(rows, str(decoder), tmp_path / "whole", config, seed=0, **EXACT)

    def stop(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(rows, str(decoder), tmp_path / "cut", config, seed=0, **EXACT, events=Events(progress=stop))
    assert (tmp_path / "cut" / "state" / "state.json").is_file()
    resumed: list[Any] = []
    events = Events(log=resumed.append)
    cut = train(rows, str(decoder), tmp_path / "cut", config, seed=0, **EXACT, events=events)
    assert resumed[0]["step"] == 5
    np.testing.assert_allclose([line["loss"] for line in cut.log], [line["loss"] for line in whole.log], atol=1e-6)
    assert cut.digest == whole.digest


@pytest.mark.slow
def test_a_training_killed_at_any_step_ends_with_the_same_weights(decoder: Path, tmp_path: Path) -> None:
    rows = judged(16, 1)
    config = TrainConfig(members=2, epochs=2, learning_rate=1e-3, rows_per_update=24, save_every=1)
    whole = train(rows, str(decoder), tmp_path / "whole", config, seed=0, **EXACT)
    for step in range(1, len(whole.log) + 1):

        def stop(done: int, total: int, last: int = step) -> None:
            if done == last:
                raise KeyboardInterrupt

        cut = tmp_path / f"cut-{step}"
        with pytest.raises(KeyboardInterrupt):
            train(rows, str(decoder), cut, config, seed=0, **EXACT, events=Events(progress=stop))
        assert train(rows, str(decoder), cut, config, seed=0, **EXACT).digest == whole.digest


def test_another_training_s_state_is_refused(decoder: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    config = TrainConfig(members=1, epochs=1, save_every=1, rows_per_update=8)
    with pytest.raises(KeyboardInterrupt):
        train(judged(8, 1), str(decoder), tmp_path, config, seed=0, **EXACT, events=Events(progress=stop))
    with pytest.raises(InputError, match="state of a training with other data"):
        train(judged(8, 2), str(decoder), tmp_path, config, seed=0, **EXACT)
    with pytest.raises(InputError, match="state of a training with other data, settings"):
        train(judged(8, 1), str(decoder), tmp_path, replace(config, learning_rate=1e-6), seed=0, **EXACT)


def test_a_training_does_not_go_on_in_another_precision(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    rows, config = judged(8, 1), TrainConfig(members=1, epochs=1, save_every=1, rows_per_update=8)
    monkeypatch.setattr(load, "cpu_has_bfloat16", lambda: True)
    with pytest.raises(KeyboardInterrupt):
        train(rows, str(decoder), tmp_path, config, seed=0, device="cpu", events=Events(progress=stop))
    monkeypatch.setattr(load, "cpu_has_bfloat16", lambda: False)
    with pytest.raises(
        InputError, match=r"in bfloat16, and here it would go on in float32: ask for the dtype bfloat16"
    ):
        train(rows, str(decoder), tmp_path, config, seed=0, device="cpu")
    train(rows, str(decoder), tmp_path, config, seed=0, device="cpu", dtype="bfloat16")


@pytest.mark.parametrize("tune", ["full", "lora"])
def test_bfloat16_learns_nearly_as_well(decoder: Path, tmp_path: Path, tune: Any) -> None:
    pytest.importorskip("peft")
    settings = replace(QUICK, tune=tune, epochs=6, patience=6)
    trained = train(judged(50, 1), str(decoder), tmp_path, settings, seed=0, device="cpu", dtype="bfloat16")
    assert right(trained.model, judged(20, 2)) > 0.7
    assert {each.dtype for each in trained.model.net.parameters()} == {torch.float32}


def test_early_stopping_keeps_the_best_weights(decoder: Path, tmp_path: Path) -> None:
    config = TrainConfig(members=1, epochs=12, learning_rate=3e-2, patience=1, save_every=0, validation=0.3)
    trained = train(judged(16, 1), str(decoder), tmp_path, config, seed=0, **EXACT)
    losses = [line["held_loss"] for line in trained.log if "held_loss" in line]
    assert len(losses) < 12
    assert trained.held is not None
    assert trained.held.loss == pytest.approx(min(losses), abs=1e-5)


def test_rewards_that_came_out_too_small_are_calibrated(decoder: Path, tmp_path: Path) -> None:
    config = replace(QUICK, epochs=1, learning_rate=5e-4, validation=0.3)
    trained = train(judged(60, 1), str(decoder), tmp_path, config, seed=0, **EXACT)
    rows = judged(20, 2)
    assert right(trained.model, rows) > 0.6
    assert trained.model.settings["slope"] > 3
    sure = [np.abs(each[:, 0] - each[:, 1]).mean() for each in trained.model.rewards([r.request.group for r in rows])]
    assert np.mean(sure) > 0.3


def test_nothing_is_held_back_of_a_single_source(decoder: Path, tmp_path: Path) -> None:
    rows = judged(1, 1, outputs=8)
    trained = train(rows, str(decoder), tmp_path, TrainConfig(members=1, epochs=1), seed=0, **EXACT)
    assert trained.held is None
    assert trained.model.settings["slope"] == 1.0


def test_sources_are_split_whole() -> None:
    feedback = tabulate(judged(20, 1))
    learn, hold = split(feedback, 0.1, seed=0)
    assert sorted([*learn, *hold]) == list(range(feedback.rows))
    assert not set(feedback.row_source[learn]) & set(feedback.row_source[hold])
    assert len(set(feedback.row_source[hold])) == 2


def test_blocks_hold_every_judgement_once_within_their_limits() -> None:
    feedback = tabulate(judged(3, 1, outputs=30))
    tokens = [[np.arange(20, dtype=np.int32)] for _ in feedback.items]
    sizes = Sizes(batch_tokens=150, outputs=8)
    member_weights, heads = np.ones((1, len(feedback.sources))), np.zeros(len(feedback.items), dtype=np.int64)
    table = Table(feedback, tokens, member_weights, heads, None, sizes, torch.device("cpu"))  # type: ignore[arg-type]
    found = table.blocks(range(feedback.rows), seed=0)
    assert sorted(row for block in found for row in block) == list(range(feedback.rows))
    for block in found:
        assert len({item for row in block for item in feedback.row_items[row]}) <= 8
        assert len({feedback.row_source[row] for row in block}) == 1
    assert found == table.blocks(range(feedback.rows), seed=0)
    assert found != table.blocks(range(feedback.rows), seed=1)
    assert all(sum(map(len, update)) >= 32 for update in updates(found, 32)[:-1])


def test_what_does_not_fit_in_memory_is_learned_from_in_smaller_micro_batches(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows = judged(12, 1, outputs=6)
    config = replace(QUICK, validation=0.0, epochs=2)
    expected = train(rows, str(decoder), tmp_path / "whole", config, seed=0, **EXACT)
    forward, read = Objective.forward, []

    def small(self: Objective, batch: Batch) -> ForwardPass:
        read.append(len(batch.feedback.items))
        if read[-1] > 4 and len(read) > 3:  # not the first time: gradients of some texts are there by then
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return forward(self, batch)

    monkeypatch.setattr(Objective, "forward", small)
    found = train(rows, str(decoder), tmp_path / "small", config, seed=0, **EXACT)
    assert max(read[:3]) > 4
    assert read[-1] <= 4
    np.testing.assert_allclose([line["loss"] for line in found.log], [line["loss"] for line in expected.log], rtol=1e-4)
    said = [record.message for record in caplog.records]
    assert any("out of memory in update" in line and "going on with" in line for line in said)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_judgement_that_no_memory_suffices_for_is_refused_in_a_sentence(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Objective, "forward", fail)
    with pytest.raises(
        LimitError, match=r"not enough memory to learn from \d+ tokens at once, in update 1: take check"
    ):
        train(judged(4, 1), str(decoder), tmp_path, QUICK, seed=0, **EXACT)


def test_what_is_read_at_once_is_as_asked_or_as_the_device_has_room() -> None:
    assert [Sizes.on(torch.device(kind)).batch_tokens for kind in ("cpu", "cuda")] == [2048, 8192]
    assert Sizes.on(torch.device("cpu"), 100).batch_tokens == 100


def test_nothing_to_learn_is_said_before_anything_is_trained(decoder: Path, tmp_path: Path) -> None:
    ties = [Rated(r.request, Feedback(r.request.id, "r", Comparison(None))) for r in judged(3, 1)]
    with pytest.raises(InputError, match="rows: every comparison is a tie"):
        refuse_ties(ties, "rows")
    words = [Rated(r.request, Feedback(r.request.id, "r", Critique("too long"))) for r in judged(3, 1)]
    with pytest.raises(InputError, match="no feedback to learn from"):
        train(words, str(decoder), tmp_path, QUICK, seed=0, **EXACT)


def test_texts_that_are_too_long_are_counted_and_cut_only_on_request(decoder: Path, tmp_path: Path) -> None:
    rows = judged(6, 1)
    with pytest.raises(LimitError, match=r"\d+ of \d+ outputs .* max_length = 16 .*truncation"):
        train(rows, str(decoder), tmp_path, QUICK, seed=0, reading=Reading(max_length=16), **EXACT)
    short = Reading(max_length=16, long_sources="truncate")
    cut = train(rows, str(decoder), tmp_path, QUICK, seed=0, reading=short, **EXACT)
    items = [(row.request.view, row.request.shown[0].text) for row in rows]
    whole = JointModel(cut.model.net, cut.model.classifier, Reading())
    for (end,), (long,) in zip(cut.model.windows(items), whole.windows(items), strict=True):
        assert len(end) <= 16
        assert list(end) == list(long[-len(end) :])  # the newest end stays
    with pytest.raises(InputError, match="reads at most 128 tokens"):
        train(rows, str(decoder), tmp_path, QUICK, seed=0, reading=Reading(max_length=4096), **EXACT)


def test_an_output_that_leaves_its_source_no_room_is_named(decoder: Path, tmp_path: Path) -> None:
    (short, *_) = judged(1, 1)
    long = " ".join(["w3"] * 40)
    request = replace(short.request, shown=(Shown("a", "w1 w2"), Shown("b", long)))
    rows = [Rated(request, Feedback(request.id, "r", Comparison(1)))]
    with pytest.raises(LimitError, match=r"an output of \d+ tokens \('w3 w3 .* leaves no room for its source"):
        train(rows, str(decoder), tmp_path, QUICK, 0, Reading(max_length=20, long_sources="truncate"), **EXACT)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": 0}, "at least 1"),
        ({"validation": 1.0}, "validation"),
        ({"learning_rate": float("nan")}, "numbers above 0, but learning_rate is nan"),
        ({"tune": "frozen"}, "lora or full"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainConfig(**changes)


_SHARED = """
import sys
from rrm.reward.train import train
from rrm.reward.train_config import TrainConfig
from tests.reward.joint_problems import judged
config = TrainConfig(members=2, epochs=1, learning_rate=1e-3, rows_per_update=24, save_every=1)
"""

_TOGETHER = """
from rrm.reward.processes import make_accelerator
assert make_accelerator("cpu").num_processes == 2
"""

_SHARDED = """
from contextlib import nullcontext
import torch
from accelerate import Accelerator
from torch.distributed.fsdp import fully_shard
import rrm.reward.train
from rrm.reward.objective import parameter_groups

class Sharding(Accelerator):  # accelerate shards on accelerators alone; this does the same on a CPU
    def prepare(self, objective, optimiser):
        for layer in objective.net.model.base_model.layers:
            fully_shard(layer)
        fully_shard(objective)
        return objective, torch.optim.AdamW(parameter_groups(objective, config), weight_decay=0.01)

    def backward(self, loss):
        loss.backward()

    def unwrap_model(self, model):
        return model

    def no_sync(self, model):
        return nullcontext()

    def clip_grad_norm_(self, parameters, most):
        return torch.nn.utils.clip_grad_norm_(list(parameters), most)

rrm.reward.train.make_accelerator = lambda device: Sharding(cpu=True)
"""

_TRAIN = """
train(judged(12, 1), sys.argv[1], sys.argv[2], config, seed=0, device="cpu", dtype="float32")
"""


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.slow
@pytest.mark.parametrize("sharded", ["", _SHARDED], ids=["replicated", "sharded"])
def test_two_processes_learn_what_one_does(decoder: Path, tmp_path: Path, sharded: str) -> None:
    root = Path(__file__).resolve().parents[2]
    environment = {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "PATH": str(Path(sys.executable).parent)}
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(_free_port())]
    found = []
    for name, start, how in (("one", [], ""), ("two", launch, _TOGETHER + sharded)):
        (tmp_path / f"{name}.py").write_text(_SHARED + how + _TRAIN)
        command = [sys.executable, *start, str(tmp_path / f"{name}.py"), str(decoder), str(tmp_path / name)]
        subprocess.run(command, check=True, env=environment, cwd=root, timeout=240)
        losses = [json.loads(line)["loss"] for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        groups = [row.request.group for row in judged(3, 2)]
        found.append((losses, np.concatenate(JointModel.load(tmp_path / name, **EXACT).rewards(groups), axis=1)))
    np.testing.assert_allclose(found[1][0], found[0][0], atol=1e-5)
    np.testing.assert_allclose(found[1][1], found[0][1], atol=1e-3)
