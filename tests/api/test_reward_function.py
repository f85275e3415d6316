"""A run's scores as a reward function: what a completion is worth, what travels as columns, and what is refused."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rrm
from rrm.core.errors import InputError, RoleError
from rrm.core.protocols import Seen
from rrm.core.roles import Select
from rrm.core.values import Group, Prediction
from rrm.policy.reward_function import RewardFunction
from tests.policy.policy_scenes import Known, prompt_context
from tests.scenarios import SMALL
from tests.toys import TOYS, LengthModel


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("rewards") / "run"
    rrm.run(rrm.run_file({**TOYS, "compose": {"plugin": "rrm.compose.composers:Informed"}}), place, quiet=True)
    return place


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with heads on a frozen backbone, whose members leave sources out, and the default composer."""
    place = tmp_path_factory.mktemp("rewards") / "small"
    rrm.run(rrm.run_file(SMALL), place, quiet=True)
    return place


def called(reward: RewardFunction, rows: list[dict[str, Any]], said: list[Any], **more: Any) -> list[float]:
    """Call a reward function as TRL does: a row for each completion, its columns as lists."""
    columns = {name: [row[name] for row in rows] for name in rows[0] if name != "prompt"}
    return reward([row["prompt"] for row in rows], said, **columns, completion_ids=[[1]] * len(said), **more)


def test_a_place_scores_by_its_own_model_and_rows_are_of_its_level(folder: Path) -> None:
    reward = rrm.reward_function(folder, "0/answer/1")
    rows = reward.rows()
    assert len(rows) == 6 and {row["place"] for row in rows} == {"0/answer/1"}  # three nodes of each training text
    assert len({row["source"] for row in rows}) == 2
    assert all(row["prompt"][0]["role"] == "user" and "Tell." in row["prompt"][0]["content"] for row in rows)
    # two members: words / 10, and .02 more
    found = called(reward, rows[:2], [" two words\n", [{"role": "assistant", "content": "now there are five words"}]])
    assert found == pytest.approx([0.21, 0.51])
    assert called(reward, rows[:1], ["<think>let me see</think>\n\ntwo words"]) == pytest.approx([0.21])


def test_without_a_place_completions_are_worth_what_the_record_says_of_the_nodes_own_outputs(small: Path) -> None:
    reward = rrm.reward_function(small)
    rows = reward.rows(conversational=False)
    run = rrm.load(small)
    assert {row["place"] for row in rows} == {f"0/answer/{level}" for level in range(run.trees.height + 1)}
    told = run.scores[(run.scores.scale == "composed") & (run.scores.criterion == "overall")]
    told = told.merge(run.outputs[["output", "node", "text"]], on=["output"], suffixes=("", "_"))
    by_node = dict(iter(told.groupby("node")))
    checked = 0
    for row in rows:
        own = by_node[row["node"]].drop_duplicates("text")
        found = called(reward, [row] * len(own), list(own.text))
        np.testing.assert_allclose(found, own["mean"], atol=1e-6)
        checked += len(own)
    assert checked > 3 * len(run.trees.trees)


def test_a_model_is_asked_once_about_all_completions_of_its_level(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reward = rrm.reward_function(folder)
    rows = reward.rows()
    asked: list[int] = []
    predict = LengthModel.predict
    monkeypatch.setattr(
        LengthModel, "predict", lambda self, groups: (asked.append(len(groups)), predict(self, groups))[1]
    )
    found = called(reward, rows, ["two words"] * len(rows))
    views = [sum(row["place"] == f"0/answer/{level}" for row in rows) for level in range(3)]
    assert sorted(asked) == sorted(n if level == 0 else 2 * n for level, n in enumerate(views))  # read back, too
    alone = [called(reward, [row], ["two words"])[0] for row in rows]
    assert found == pytest.approx(alone)


def test_the_logarithm_of_the_acceptance_can_be_the_reward_and_infinity_never_is(folder: Path) -> None:
    reward = rrm.reward_function(folder, "0/answer/0", reward="log_acceptance")
    assert called(reward, reward.rows()[:1], ["two words"]) == pytest.approx([np.log(0.21)])
    never = RewardFunction(Known(lambda group, text: 0.0), _seen(), "log_acceptance")
    with pytest.raises(InputError, match="at node is -inf, and would reach every weight: take the reward acceptance"):
        called(never, never.rows(), ["anything"])
    with pytest.raises(InputError, match="the reward is one of acceptance, log_acceptance, got 'love'"):
        rrm.reward_function(folder, "0/answer/0", reward="love")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_scorer_that_is_not_finite_is_stopped_before_a_weight_is_touched(value: float) -> None:
    broken = RewardFunction(Known(lambda group, text: value), _seen())
    with pytest.raises(InputError, match="rewards and acceptance by overall must be finite"):
        called(broken, broken.rows(), ["anything"])

    class Unchecked(Prediction):
        """A prediction that nobody checked."""

        def __post_init__(self) -> None:
            """Accept anything."""

    class Careless(Known):
        def score(self, groups: list[Group]) -> list[Prediction]:  # type: ignore[override]
            return [Unchecked.overall(np.full((1, 1), value), np.full((1, 1), value)) for _ in groups]

    with pytest.raises(InputError, match=r"the reward of a completion at node is (nan|inf)"):
        called(RewardFunction(Careless(lambda group, text: 0.0), _seen()), broken.rows(), ["anything"])


def test_completions_of_one_view_are_scored_side_by_side_and_equal_ones_once() -> None:
    asked: list[Group] = []
    scorer = Known(lambda group, text: (asked.append(group), len(text) / 10)[1])
    reward = RewardFunction(scorer, _seen())
    rows = reward.rows() * 3
    assert called(reward, rows, ["ab", "abc", "ab"]) == pytest.approx([0.2, 0.3, 0.2])
    assert scorer.calls == 1 and asked[0].outputs == ("ab", "abc")
    assert asked[0].view == _seen()[0].prompt_context.view


def test_what_is_missing_or_strange_is_said_in_one_sentence(folder: Path) -> None:
    reward = rrm.reward_function(folder)
    row = reward.rows()[0]
    with pytest.raises(InputError, match="the rows have no columns source, place and view"):
        reward([row["prompt"]], ["text"], completion_ids=[[1]])
    with pytest.raises(InputError, match="2 completions came with 1 rows of columns"):
        called(reward, [row], ["one", "two"])
    with pytest.raises(InputError, match="a view in the column `view` cannot be read"):
        called(reward, [{**row, "view": "{}"}], ["text"])
    other = json.dumps(asdict(prompt_context().view))
    with pytest.raises(InputError, match=f"no node of the source {row['source']} is shown this view"):
        called(reward, [{**row, "view": other}], ["text"])
    with pytest.raises(InputError, match="has no model of role train at 0/answer/9; there are: 0/answer/0"):
        rrm.reward_function(folder, "0/answer/9")
    with pytest.raises(RoleError, match="an optimiser may use scores of role train, not of role select"):
        RewardFunction(Known(lambda group, text: 0.5, role=Select), _seen())


class _Trainer:
    def __init__(self, rows: int) -> None:
        self.train_dataset = range(rows)


def test_rows_that_a_trainer_dropped_are_counted(folder: Path) -> None:
    reward = rrm.reward_function(folder, "0/answer/0")
    given = len(reward.rows())
    reward.require_rows(_Trainer(given))
    with pytest.raises(InputError, match=f"TRL kept 3 of {given} rows, and dropped the others without a word"):
        reward.require_rows(_Trainer(3))


def _seen() -> list[Seen]:
    return [Seen("source", prompt_context(), ())]


def test_a_trainer_of_trl_learns_from_it_on_a_tiny_model(folder: Path, tmp_path: Path) -> None:
    datasets, trl = pytest.importorskip("datasets"), pytest.importorskip("trl")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from rrm.backbone.offline import tiny_path

    reward = rrm.reward_function(folder)
    model = AutoModelForCausalLM.from_pretrained(tiny_path())
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    trainer = trl.GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=trl.GRPOConfig(
            output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none", max_steps=2, num_generations=4,
            per_device_train_batch_size=4, max_completion_length=12, learning_rate=1e-2, logging_steps=1, beta=0.0,
            gradient_checkpointing=False, disable_tqdm=True, save_strategy="no",
        ),
        train_dataset=datasets.Dataset.from_list(reward.rows()),
        processing_class=AutoTokenizer.from_pretrained(tiny_path()),
    )  # fmt: skip
    reward.require_rows(trainer)
    trainer.train()
    logged = [each for each in trainer.state.log_history if "rewards/rrm_acceptance/mean" in each]
    assert len(logged) == 2 and all(0 < each["rewards/rrm_acceptance/mean"] <= 1 for each in logged)
    moved = [name for name, weight in model.named_parameters() if not weight.equal(before[name])]
    assert moved and all(bool(weight.isfinite().all()) for weight in model.parameters())
