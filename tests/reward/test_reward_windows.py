"""Sources longer than the backbone: windows of them, what is pooled, and what truncation cannot know."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rrm.core.errors import LimitError
from rrm.core.place import Place
from rrm.core.values import OVERALL, Comparison, Feedback, Group, Passage, Rated, Request, Shown, View
from rrm.feedback.table import tabulate
from rrm.reward.batches import Sizes, Table
from rrm.reward.joint_model import JointModel, Reading
from rrm.reward.train import train
from rrm.reward.train_config import TrainConfig
from rrm.reward.windows import Long, pooled, windows_of_view
from tests.reward.joint_problems import EXACT, WORDS, judged, save_decoder, save_encoder

WINDOWS, CUT = Reading(max_length=24, long_sources="windows"), Reading(max_length=24, long_sources="truncate")
QUICK = TrainConfig(members=2, epochs=1, learning_rate=1e-3, save_every=0, validation=0.0)


@pytest.fixture(scope="module", params=["decoder", "encoder"])
def model(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> JointModel:
    folder = tmp_path_factory.mktemp(request.param)
    base = save_decoder(folder / "base") if request.param == "decoder" else save_encoder(folder / "base")
    train(judged(8, 1), str(base), folder / "model", QUICK, seed=0, **EXACT)
    return JointModel.load(folder / "model", **EXACT)


def group(source: Sequence[str], outputs: Sequence[str], instruction: str = "") -> Group:
    return Group("s", Place(), View(instruction, (Passage(" ".join(source)),), 64), tuple(outputs))


OUTPUTS = (" w1 w2 w3", " w4 w5", " w6")


def long_source(seed: int = 0, size: int = 50) -> list[str]:
    return [str(word) for word in np.random.default_rng(seed).choice(WORDS, size)]


def test_windows_are_equal_overlapping_and_hold_all_of_the_source() -> None:
    ids = [np.array([1, *range(100, 110), 7, *own], dtype=np.int32) for own in ([8, 9], [8])]
    (first, second) = windows_of_view(ids, [(1, 11), (1, 11)], limit=8, least=1)
    # one token to begin with, the instruction 7, and two of the longest output leave room for four of the source
    starts = (100, 103, 106)
    assert [each[1:5].tolist() for each in first] == [list(range(at, at + 4)) for at in starts]
    assert all(each[[0, 5, 6, 7]].tolist() == [1, 7, 8, 9] for each in first)
    assert [each[:5].tolist() for each in second] == [each[:5].tolist() for each in first]
    assert [len(each) for each in windows_of_view(ids, [(1, 11), (1, 11)], limit=14, least=1)] == [1, 1]
    with pytest.raises(LimitError, match="leaves no room for its source"):
        windows_of_view(ids, [(1, 11), (1, 11)], limit=8, least=5)


def test_worths_are_averaged_over_the_windows_that_there_are() -> None:
    rewards = torch.tensor([[1.0, 5.0, 3.0, 8.0]]).log()  # so that the worths are 1, 5, 3 and 8
    place = torch.tensor([[0, 2, -1], [1, -1, -1], [3, 0, 1]])
    assert pooled(rewards, place).exp().tolist() == [pytest.approx([2.0, 5.0, 14 / 3], rel=1e-6)]
    assert pooled(rewards, torch.tensor([[3], [0]])).exp().tolist() == [pytest.approx([8.0, 1.0], rel=1e-6)]
    far = torch.tensor([[2000.0, -2000.0]], requires_grad=True)
    pooled(far, torch.tensor([[0, 1, -1]])).sum().backward()
    assert far.grad is not None and far.grad.tolist() == [[1.0, 0.0]]  # nothing overflows, nor what is missing


def test_what_fits_is_read_as_it_is_without_windows(model: JointModel) -> None:
    groups = [group(long_source(size=12), OUTPUTS), group(long_source(1, 9), OUTPUTS, "w9 w8")]
    for one, other in zip(model.reading_long("windows").rewards(groups), model.rewards(groups), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_reward_pools_those_beside_each_part_of_the_source(model: JointModel) -> None:
    source, instruction = long_source(), "w9 w8"
    windowed = replace(model, reading=WINDOWS)
    items = [(group(source, [text], instruction).view, text) for text in OUTPUTS]
    parts = [len(each) for each in windowed.windows(items)]
    assert len(set(parts)) == 1 and parts[0] > 1
    assert max(len(tokens) for each in windowed.windows(items) for tokens in each) == 24
    room = 24 - (len(model.windows(items[:1])[0][0]) - len(source))  # beside the longest output
    starts = np.linspace(0, len(source) - room, parts[0]).round().astype(int)
    assert starts[0] == 0 and np.diff(starts).max() <= room
    alone = [model.rewards([group(source[at : at + room], OUTPUTS, instruction)])[0] for at in starts]
    (found,) = windowed.rewards([group(source, OUTPUTS, instruction)])
    np.testing.assert_allclose(np.exp(found), np.mean(np.exp(alone), axis=0), rtol=1e-5)


def test_a_fact_at_the_source_s_start_changes_the_pooled_reward_and_not_the_truncated_one(model: JointModel) -> None:
    source = long_source()
    told, silent = (group([word, *source], OUTPUTS) for word in ("w3", "w77"))
    for reading, differs in ((WINDOWS, True), (CUT, False)):
        one, other = replace(model, reading=reading).rewards([told, silent])
        assert (np.abs(one - other).max() > 1e-6) == differs


def test_views_of_all_lengths_are_scored_together_as_alone(model: JointModel) -> None:
    windowed = replace(model, reading=WINDOWS)
    many = tuple(f" w{at} w{at + 1}" for at in range(12))
    groups = [group(long_source(at, size), many if at == 1 else OUTPUTS) for at, size in enumerate((9, 33, 50, 21))]
    told: list[tuple[int, int]] = []
    together = windowed.rewards(groups, lambda done, total: told.append((done, total)))
    for each, found in zip(groups, together, strict=True):
        np.testing.assert_allclose(windowed.rewards([each])[0], found, atol=1e-5)
    assert told[-1] == (21, 21)


def test_training_reads_the_same_rewards_as_scoring(model: JointModel) -> None:
    rows = [*judged(3, 1), *_facts(3, 2)]
    windowed = replace(model, reading=WINDOWS)
    feedback = tabulate(rows)
    windows = windowed.windows([(item.view, item.text) for item in feedback.items])
    assert len({len(each) for each in windows}) > 1
    weights, heads = np.ones((model.members, len(feedback.sources))), np.zeros(len(feedback.items), dtype=np.int64)
    table = Table(feedback, windows, weights, heads, model.classifier, Sizes(8192), torch.device("cpu"))
    beside: dict[str, list[str]] = {}  # windows make room for the longest output of a view
    for item in feedback.items:
        beside.setdefault(item.view.id, []).append(item.text)
    for block in table.blocks(range(feedback.rows), seed=0):
        batch = table.batch(block)
        with torch.no_grad():
            found = pooled(model.net(batch.inputs), batch.place).numpy()
        for column, item in zip(found.T, batch.feedback.items, strict=True):
            texts = beside[item.view.id]
            (expected,) = windowed.rewards([Group("", Place(), item.view, tuple(texts))])
            np.testing.assert_allclose(column, expected[:, texts.index(item.text)], atol=1e-5)


def test_an_output_that_leaves_hardly_any_room_is_refused_by_name(model: JointModel) -> None:
    windowed = replace(model, reading=WINDOWS)
    with pytest.raises(LimitError, match=r"an output of \d+ tokens \(' w3 w3 .* leaves no room for its source"):
        windowed.rewards([group(long_source(), [" w3" * 21])])


@pytest.mark.parametrize("how", ["truncate", "windows"])
def test_only_a_max_length_that_can_be_raised_is_said_to_be(model: JointModel, how: Long) -> None:
    long = [group(long_source(), [" w3" * (model.classifier.positions + 10)])]
    whole = rf"leaves no room for its source within the {model.classifier.positions} tokens that the backbone reads: "
    for most, message in ((None, f"{whole}shorten the output"), (24, r"max_length = 24 tokens: raise it or shorten")):
        reading = Reading(max_length=most, long_sources=how)
        with pytest.raises(LimitError, match=message):
            replace(model, reading=reading).rewards(long)


def test_what_only_the_source_s_start_says_is_learned_through_windows_and_not_from_its_end(tmp_path: Path) -> None:
    base = save_decoder(tmp_path / "base")
    config = replace(QUICK, epochs=12, learning_rate=3e-3, head_rate=1.0, rows_per_update=16)
    rows, new = _facts(160, 1), _facts(60, 2)
    right = {}
    for reading in (WINDOWS, CUT):
        made = train(rows, str(base), tmp_path / reading.long_sources, config, 0, reading, **EXACT).model
        better = [row.feedback.answer.better for row in new if isinstance(row.feedback.answer, Comparison)]
        found = made.predict([row.request.group for row in new])
        right[reading] = np.mean([
            each.rewards[OVERALL].mean(axis=0).argmax() == at for each, at in zip(found, better, strict=True)
        ])  # fmt: skip
    assert right[WINDOWS] > 0.9 and right[CUT] < 0.7


def _facts(count: int, seed: int, size: int = 40) -> list[Rated]:
    """Comparisons that only the first word of a long source decides: which of two outputs it goes with."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        truth = int(random.integers(2))
        filler = [str(word) for word in random.choice(WORDS[60:], size)]
        view = View("", (Passage(" ".join([("w20", "w21")[truth], *filler])),), 64)
        texts = (" w30", " w31") if random.random() < 0.5 else (" w31", " w30")
        shown = tuple(Shown(f"o{at}", text) for at, text in enumerate(texts))
        request = Request(f"n{seed}-{number}", f"s{seed}-{number}", Place(), "comparison", view, shown)
        better = texts.index((" w30", " w31")[truth])
        rows.append(Rated(request, Feedback(request.id, "r", Comparison(better))))
    return rows
