"""Language models that learn by TRL: what each method makes of one of two words, its anchor, its rows, its refusals."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rrm.core.errors import InputError
from rrm.core.protocols import Improved, Optimiser, Seen, Workspace
from rrm.policy.local import LocalPolicy, chat_of
from rrm.policy.quantilizer import Quantilizer
from rrm.policy.tuned import STATE
from tests.policy.saying import likes_yes, nodes, policy, said, says

pytest.importorskip("trl")
from rrm.policy.dpo import DPO
from rrm.policy.rloo import RLOO
from rrm.policy.sft import SFT

FAST: dict[str, Any] = {"tune": "full", "learning_rate": 2e-3, "steps": 15, "kl_nodes": 3, "kl_samples": 8}
METHODS: dict[str, Any] = {
    "SFT": lambda **more: SFT(of=Quantilizer(q=0.5), **{**FAST, **more}),
    "DPO": lambda **more: DPO(**{**FAST, **more}),
    "RLOO": lambda **more: RLOO(**{**FAST, "batch": 12, "learning_rate": 4e-3, **more}),
}


def improved(
    optimiser: Optimiser, folder: Path, scorer: Any = None, budget: float = 5.0, start: LocalPolicy | None = None
) -> Improved:
    anchor = policy()
    return optimiser.improve(start or anchor, anchor, nodes(), scorer or likes_yes(), budget, 0, Workspace(folder))


@pytest.mark.parametrize("method", METHODS)
def test_what_is_liked_is_said_more_and_no_budget_is_exceeded(method: str, tmp_path: Path) -> None:
    before = says(policy(), nodes()).mean()
    free = improved(METHODS[method](), tmp_path / "free")
    assert says(free.sampler, nodes()).mean() > before + 0.15 and free.how == "estimated" and free.kl > 0.02
    held = improved(METHODS[method](), tmp_path / "held", budget=0.02)
    state = json.loads((tmp_path / "held" / STATE).read_text())
    assert held.kl + state["error"] <= 0.02 and state["share"] < 1
    assert before < says(held.sampler, nodes()).mean() < says(free.sampler, nodes()).mean()
    assert METHODS[method]().load(tmp_path / "held", policy(), likes_yes()).name == held.sampler.name


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_adapters_learn_as_well(method: str, tmp_path: Path) -> None:
    found = improved(METHODS[method](tune="lora", learning_rate=1e-2, rank=8), tmp_path)
    before, after = (np.array([said(each, n.prompt_context) for n in nodes()]) for each in (policy(), found.sampler))
    assert (after[:, 0] / after.sum(axis=1) > before[:, 0] / before.sum(axis=1) + 0.1).all()


def test_no_library_is_heard_of_names_that_another_will_change(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    improved(METHODS["RLOO"](tune="lora", steps=1), tmp_path)
    assert [str(each.message) for each in recwarn if issubclass(each.category, FutureWarning)] == []


@pytest.mark.parametrize("tune", ["full", "lora"])
@pytest.mark.parametrize("method", ["DPO", "RLOO"])
def test_the_anchor_is_the_one_that_was_given_and_not_where_the_sampler_lies(
    method: str, tune: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainers: list[Any] = []

    def nothing(trainer: Any, *_: Any) -> int:
        trainers.append(trainer)
        return 0

    monkeypatch.setattr(f"rrm.policy.{method.lower()}.trained", nothing)
    improved(METHODS[method](tune=tune), tmp_path, start=policy(0.8))
    [trainer] = trainers
    anchors = dict(trainer.ref_model.named_parameters())
    for name, weight in policy().writer.model.named_parameters():
        assert torch.equal(anchors[name], weight)
    assert any(not torch.equal(anchors[name], w) for name, w in policy(0.8).writer.model.named_parameters())


def test_trl_is_given_the_tokens_that_the_policy_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainers: list[Any] = []
    for method in ("sft", "dpo", "rloo"):
        monkeypatch.setattr(f"rrm.policy.{method}.trained", lambda trainer, *_: trainers.append(trainer) or 0)
    for method in METHODS:
        improved(METHODS[method](), tmp_path / method)
    sft, dpo, rloo = trainers
    writer = policy().writer
    prompts = {tuple(writer.prompt_ids(chat_of(each.prompt_context))) for each in nodes()}
    yes, no = tuple(writer.reply("yes")), tuple(writer.reply("no"))
    for row in sft.train_dataset:
        cut = len(row["labels"]) - sum(label != -100 for label in row["labels"])
        assert tuple(row["input_ids"][:cut]) in prompts and tuple(row["labels"][cut:]) == yes
    for row in dpo.train_dataset:
        assert tuple(row["prompt_ids"]) in prompts and tuple(row["chosen_ids"]) == yes
    assert no in {tuple(row["rejected_ids"]) for row in dpo.train_dataset}
    assert {tuple(rloo._tokenize_prompts([row["prompt"]])[0][0]) for row in rloo.train_dataset} == prompts


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_is_read_in_parts_that_fit(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainers: list[Any] = []
    monkeypatch.setattr(f"rrm.policy.{method.lower()}.trained", lambda trainer, *_: trainers.append(trainer) or 0)
    longest = max(len(policy().writer.prompt_ids(chat_of(each.prompt_context))) for each in nodes()) + 20
    for tokens, size in ((10**6, 12), (3 * longest, 1 if method == "DPO" else 3), (1, 1)):
        improved(METHODS[method](batch=12, batch_tokens=tokens), tmp_path / str(tokens))
        args = trainers[-1].args
        assert (args.per_device_train_batch_size, args.gradient_accumulation_steps) == (size, 12 // size)


def test_a_reward_that_becomes_infinite_ends_the_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="would reach every weight: take the reward acceptance"):
        improved(METHODS["RLOO"](reward="log_acceptance"), tmp_path, likes_yes(1.0, 0.0))
    assert not (tmp_path / STATE).exists()


@pytest.mark.parametrize("method", METHODS)
def test_what_cannot_be_learned_from_is_said_in_one_sentence(method: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="score as the others of their node do"):
        improved(METHODS[method](), tmp_path, likes_yes(0.5, 0.5))
    with pytest.raises(InputError, match="must be finite"):
        improved(METHODS[method](), tmp_path, likes_yes(float("nan")))


def test_rows_that_trl_drops_stop_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rrm.policy.sft.dataset", lambda rows: _dataset(rows[1:]))
    with pytest.raises(InputError, match="TRL kept 11 of 12 rows, and dropped the others without a word"):
        improved(METHODS["SFT"](), tmp_path)


def _dataset(rows: Any) -> Any:
    from rrm.policy.trl_trainers import dataset

    return dataset(rows)


def test_a_temperature_at_which_trl_does_not_learn_is_refused(tmp_path: Path) -> None:
    warm = LocalPolicy(policy().model, dtype="float32", device="cpu", temperature=0.5)
    seen: list[Seen] = nodes()
    for method in ("SFT", "DPO"):
        with pytest.raises(InputError, match=f"{method} learns at temperature 1, and the policy writes at 0.5"):
            METHODS[method]().improve(warm, warm, seen, likes_yes(), 1.0, 0, Workspace(tmp_path))


@pytest.mark.parametrize("method", METHODS)
def test_without_trl_it_says_what_to_install(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rrm.policy.trl_trainers.find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"{method} trains by TRL: run `pip install 'rrm\[trl\]'`, or take another"):
        METHODS[method]()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SFT(kept=0), "fine-tuning needs samples >= 2, kept >= 1 and target_kl > 0"),
        (lambda: DPO(beta=0.0), "DPO needs samples >= 2 and a beta above 0, got 8 and 0.0"),
        (lambda: RLOO(generations=1), "RLOO needs generations >= 2"),
        (lambda: RLOO(batch=6), "a batch of 6 outputs is no multiple of 4 generations"),
        (lambda: RLOO(reward="love"), "the reward is one of acceptance, log_acceptance, got 'love'"),
    ],
)
def test_settings_that_cannot_be_are_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        make()
    assert message in str(error.value)
