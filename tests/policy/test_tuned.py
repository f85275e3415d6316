"""Language models that learn, by our own loops: closed forms that they come to, budgets that they keep, refusals."""

import json
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rrm.backbone.generate import FOUR_BIT, Chat
from rrm.backbone.tune import Row, Tuning, bare, between, fit, fresh, learner, merged, reply_log_probs
from rrm.core.errors import InputError, RoleError
from rrm.core.ids import seed_for
from rrm.core.protocols import Along, Improved, Optimiser, Workspace
from rrm.core.roles import Select
from rrm.policy.careless import Careless
from rrm.policy.conditioning import Conditioning
from rrm.policy.kl_anchored import KLAnchored
from rrm.policy.likelihood import Likelihood
from rrm.policy.local import LocalPolicy, chat_of
from rrm.policy.matching import Matching
from rrm.policy.quantilizer import Quantilizer
from rrm.policy.rating_tokens import RatingTokens
from rrm.policy.tuned import MODEL, STATE, Lesson
from tests.policy.policy_scenes import proposed
from tests.policy.saying import likes_yes, nodes, policy, said, says

FAST: dict[str, Any] = {"tune": "full", "learning_rate": 2e-3, "steps": 30, "kl_nodes": 3, "kl_samples": 8}

RATED_LOW = " (Rating: 1 of 2.)"
RATED: dict[str, Any] = {**FAST, "learning_rate": 4e-3, "steps": 80, "batch": 16}


def improved(
    optimiser: Optimiser, folder: Path, scorer: Any = None, budget: float = 5.0, start: LocalPolicy | None = None
) -> Improved:
    anchor = policy()
    return optimiser.improve(start or anchor, anchor, nodes(), scorer or likes_yes(), budget, 0, Workspace(folder))


def test_log_probabilities_that_carry_a_gradient_are_those_of_the_writer() -> None:
    local = LocalPolicy("tiny", dtype="float32", device="cpu")
    chats = [Chat("", "Tell."), Chat("", "Tell me more of the mill."), Chat("Tell tales.", "Go on.")]
    texts = ["Yes.", "Anna walked to the mill with Peter.", ""]
    rows = [(local.writer.prompt_ids(chat), local.writer.reply(text)) for chat, text in zip(chats, texts, strict=True)]
    found = reply_log_probs(local.writer.model, rows, local.writer.pad).sum(dim=1).detach().numpy()
    expected = [local.writer.log_prob(chat, [text])[0] for chat, text in zip(chats, texts, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    warm = replace(local.writer, temperature=0.7)
    found = reply_log_probs(local.writer.model, rows, local.writer.pad, 0.7).sum(dim=1).detach().numpy()
    np.testing.assert_allclose(found, [warm.log_prob(c, [t])[0] for c, t in zip(chats, texts, strict=True)], atol=1e-3)


def test_a_note_stands_behind_the_task_and_is_no_part_of_the_output() -> None:
    plain, rated = policy(), replace(policy(), note=" (Rating: 5 of 5.)")
    [seen] = nodes(1)
    given = seen.prompt_context
    assert chat_of(given, rated.note).user == chat_of(given).user + " (Rating: 5 of 5.)"
    assert rated.name != plain.name and not any("Rating" in each.text for each in proposed(rated, given, 8, 0))
    assert not np.allclose(said(rated, given), said(plain, given))


@pytest.mark.parametrize("tune", ["lora", "full"])
def test_weights_between_an_anchor_and_what_was_learned(tune: Any) -> None:
    writer = policy().writer
    rows = [Row(writer.prompt_ids(Chat("", "Tell.")), writer.reply("yes"))]
    tuning = Tuning(tune, rank=4, learning_rate=1e-2, steps=5)
    model = learner(writer, tuning, 0)
    before = reply_log_probs(model, [rows[0][:2]], writer.pad).sum().item()
    assert before == pytest.approx(float(writer.log_prob(Chat("", "Tell."), ["yes"])[0]), abs=1e-3)
    assert fit(model, rows, tuning, pad=writer.pad, temperature=1.0, seed=0) == 5
    after = reply_log_probs(model, [rows[0][:2]], writer.pad).sum().item()
    assert after > before + 0.1
    learned, origin = merged(model), fresh(writer).state_dict()
    for share, expected in ((0.0, before), (1.0, after)):
        again = fresh(writer)
        again.load_state_dict(between(origin, learned, share))
        assert reply_log_probs(again, [rows[0][:2]], writer.pad).sum().item() == pytest.approx(expected, abs=1e-3)


def test_the_weighted_likelihood_makes_replies_as_probable_as_they_weigh() -> None:
    writer = policy().writer
    prompt = writer.prompt_ids(Chat("", "Which?"))
    shares = {"yes": 0.6, "no": 0.3, "mill": 0.1}
    rows = [Row(prompt, writer.reply(text), share) for text, share in shares.items()]
    tuning = Tuning("full", learning_rate=2e-3, steps=150, batch=3)
    model = learner(writer, tuning, 0)
    fit(model, rows, tuning, pad=writer.pad, temperature=0.8, seed=0)
    found = reply_log_probs(model, [row[:2] for row in rows], writer.pad, 0.8).sum(dim=1).exp().tolist()
    assert found == pytest.approx(list(shares.values()), abs=0.02)


def test_how_many_tokens_are_read_at_once_changes_nothing() -> None:
    writer = policy().writer
    texts = ("yes", "no", "Anna walked to the mill.")
    rows = [Row(writer.prompt_ids(Chat("", text * 3)), writer.reply(text), 0.5 + at) for at, text in enumerate(texts)]
    learned = []
    for tokens in (10_000, 60, 1):
        model = learner(writer, Tuning("full"), 0)
        tuning = Tuning("full", learning_rate=1e-3, steps=3, batch=3, batch_tokens=tokens)
        fit(model, rows, tuning, pad=writer.pad, temperature=1.0, seed=0)
        learned.append(reply_log_probs(model, [row[:2] for row in rows], writer.pad).sum(dim=1).tolist())
    assert learned[1] == pytest.approx(learned[0], abs=0.02) and learned[2] == pytest.approx(learned[0], abs=0.02)


def test_rows_that_are_equal_are_one_row_of_their_weights_sum() -> None:
    writer = policy().writer
    prompt, tuning = writer.prompt_ids(Chat("", "Which?")), Tuning("full", learning_rate=1e-3, steps=4, batch=2)
    yes, no = (Row(prompt, writer.reply(text)) for text in ("yes", "no"))
    learned = []
    for rows in ([yes, yes._replace(weight=2.0), no], [yes._replace(weight=3.0), no]):
        model = learner(writer, tuning, 0)
        fit(model, rows, tuning, pad=writer.pad, temperature=1.0, seed=0)
        learned.append(reply_log_probs(model, [yes[:2], no[:2]], writer.pad).tolist())
    assert learned[0] == learned[1]


def test_the_kl_is_exact_where_a_reply_is_one_token() -> None:
    anchor, other = policy(0.5), policy(0.8)
    seen = nodes(3, limit=1)
    lesson = Lesson(anchor, anchor, seen, likes_yes(), 1.0, 0, Workspace(Path()), kl_nodes=3, kl_samples=2)
    by_hand = []
    for each in seen:
        ids = torch.tensor([anchor.writer.prompt_ids(chat_of(each.prompt_context))])
        with torch.no_grad():
            p, q = (m.writer.model(ids).logits[0, -1].double().log_softmax(0) for m in (other, anchor))
        by_hand.append(float((p.exp() * (p - q)).sum()))
    assert lesson.kl(other.writer).mean == pytest.approx(np.mean(by_hand), rel=1e-4)
    assert lesson.kl(anchor.writer).mean == pytest.approx(0.0, abs=1e-6)
    own = [other.sampled_kl(each.prompt_context, anchor, [1, 2]) for each in seen]
    np.testing.assert_allclose(np.array(own).mean(axis=1), by_hand, rtol=1e-4)
    with pytest.raises(InputError, match=r"the KL from .* is not known: it is no language model in this process"):
        other.sampled_kl(seen[0].prompt_context, Careless(), [1])


def test_outputs_read_again_tell_the_kl_and_the_entropy_that_their_samples_told() -> None:
    anchor, other, [seen] = policy(0.5), policy(0.8), nodes(1, limit=4)
    given, count = seen.prompt_context, 24
    outputs = proposed(other, given, count, 5)
    sampled = other.sampled_kl(given, anchor, [seed_for(5, at) for at in range(count)])
    read = other.along(given, anchor, outputs)
    whole = [at for at, output in enumerate(outputs) if output.log_prob is not None]
    assert len(whole) > 5
    for at in whole:
        assert read[at].kl == pytest.approx(sampled[at], rel=1e-4)
        [theirs] = anchor.log_prob(given, [outputs[at].text])
        assert read[at].log_ratio == pytest.approx(outputs[at].log_prob - theirs, abs=1e-4)
    # what was cut off has come as far as it has come
    assert all(each.kl <= told * 1.0001 for each, told in zip(read, sampled, strict=True))
    prompt, reply = other.writer.prompt_ids(chat_of(given)), other.writer.reply(outputs[whole[0]].text)
    with torch.no_grad():
        logits = other.writer.model(torch.tensor([[*prompt, *reply]])).logits[0, len(prompt) - 1 : -2]
    logs = logits.double().log_softmax(1)
    by_hand = -float((logs.exp() * logs).sum())
    [short] = other.along(given, other, [replace(outputs[whole[0]], truncated=True)])
    assert short.kl == short.log_ratio == 0 and short.entropy == pytest.approx(by_hand, rel=1e-4)
    assert other.along(given, anchor, [replace(outputs[0], text="", truncated=True)]) == [Along(0.0, 0.0, 0.0)]
    with pytest.raises(InputError, match="it is no language model in this process"):
        other.along(given, Careless(), outputs)


def test_outputs_of_a_model_that_thinks_first_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    local, [seen] = policy(0.5), nodes(1)
    known = local.writer.tokenizer.get_vocab()
    monkeypatch.setattr(type(local.writer.tokenizer), "get_vocab", lambda self: {**known, "<think>": 9})
    with pytest.raises(InputError, match="thoughts are left out of them"):
        local.along(seen.prompt_context, local, proposed(local, seen.prompt_context, 1, 0))


def test_at_one_node_the_error_of_the_kl_is_that_of_its_replies() -> None:
    anchor, other, [seen] = policy(0.5), policy(0.8), nodes(1)
    lesson = Lesson(anchor, anchor, [seen], likes_yes(), 1.0, 7, Workspace(Path()), kl_nodes=3, kl_samples=8)
    seeds = [seed_for(7, "kl", seen.prompt_context.node, at) for at in range(8)]
    drawn = other.sampled_kl(seen.prompt_context, anchor, seeds)
    found = lesson.kl(other.writer)
    assert np.ptp(drawn) > 0
    assert found.mean == pytest.approx(np.mean(drawn), rel=1e-4)
    assert found.error == pytest.approx(np.std(drawn, ddof=1) / np.sqrt(8), rel=1e-4)


def test_a_kl_without_a_standard_error_is_not_taken_for_one_within_the_budget(tmp_path: Path) -> None:
    optimiser, anchor = Likelihood(**{**FAST, "kl_samples": 1}), policy()
    with pytest.raises(InputError, match=r"one reply at one node has no standard error.*kl_samples = 2 or"):
        optimiser.improve(anchor, anchor, nodes(1), likes_yes(), 1.0, 0, Workspace(tmp_path))
    assert not (tmp_path / STATE).exists()


def test_the_best_half_is_learned_and_its_kl_is_what_conditioning_costs(tmp_path: Path) -> None:
    found = improved(Likelihood(of=Quantilizer(q=0.5), **FAST), tmp_path)
    before, after = says(policy(), nodes()), says(found.sampler, nodes())
    assert (before < 0.55).all() and (after > 0.9).all()
    # what was learned is the anchor's conditional on one of its outputs: -log of that one's probability
    assert found.kl == pytest.approx(-log(before.mean()), abs=0.15) and found.how == "estimated"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Matching(targets={"acceptance": 0.8}), 0.8),
        (KLAnchored(beta=1.0), 1 / (1 + np.exp(-1.0))),
        (Conditioning(), 1.0),
    ],
    ids=["matching", "anchored", "conditioning"],
)
def test_any_rule_is_imitated_by_forward_kl(rule: Any, expected: float, tmp_path: Path) -> None:
    found = improved(Likelihood(of=rule, samples=32, **{**FAST, "steps": 60, "batch": 16}), tmp_path)
    assert says(found.sampler, nodes()).mean() == pytest.approx(expected, abs=0.1)


def test_a_model_that_learned_of_ratings_writes_what_is_rated_so(tmp_path: Path) -> None:
    optimiser = RatingTokens(quantiles=2, samples=16, drop=0.2, **RATED)
    found = improved(optimiser, tmp_path)
    assert isinstance(found.sampler, LocalPolicy) and found.sampler.note == " (Rating: 2 of 2.)"
    high, low, none = (replace(found.sampler, note=each) for each in (" (Rating: 2 of 2.)", " (Rating: 1 of 2.)", ""))
    assert says(high, nodes()).mean() > 0.9 and says(low, nodes()).mean() < 0.1
    # without a rating it is the anchor again, as far as 16 outputs at a node tell of it
    assert says(none, nodes()).mean() == pytest.approx(says(policy(), nodes()).mean(), abs=0.1)
    p, base = says(high, nodes()).mean(), says(policy(), nodes()).mean()
    assert found.kl > p * log(p / base) + (1 - p) * log((1 - p) / (1 - base)) - 0.1  # of the two words alone


@pytest.mark.slow
def test_the_rating_may_be_learned_with_the_reply_and_asked_for_low(tmp_path: Path) -> None:
    settings = {**RATED, "steps": 200}
    found = improved(RatingTokens(quantiles=2, loss="all", rating=0.0, samples=16, **settings), tmp_path)
    assert isinstance(found.sampler, LocalPolicy) and found.sampler.note == RATED_LOW
    assert says(found.sampler, nodes()).mean() < 0.1
    [seen] = nodes(1)
    plain, rated = (found.sampler.writer.prompt_ids(chat_of(seen.prompt_context, note)) for note in ("", RATED_LOW))
    shared = next(at for at, (a, b) in enumerate(zip(plain, rated, strict=False)) if a != b)
    rows = [(rated[:shared], rated[shared:])]
    learned, before = (
        float(reply_log_probs(each.writer.model, rows, each.writer.pad).sum()) for each in (found.sampler, policy())
    )
    assert learned > before + 2  # it says ratings by itself


@pytest.mark.slow
def test_fresh_outputs_are_rated_and_added_round_by_round(tmp_path: Path) -> None:
    scorer = likes_yes()
    found = improved(RatingTokens(quantiles=2, samples=12, rounds=2, **RATED), tmp_path, scorer)
    assert scorer.calls == 2 and json.loads((tmp_path / STATE).read_text())["steps"] == 160
    assert says(found.sampler, nodes()).mean() > 0.9


def test_ratings_that_tie_share_a_quantile_and_one_never_seen_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a rating of 0\.9 was never seen, the highest was 0\.700: ask for less, or"):
        improved(RatingTokens(rating=0.9, **FAST), tmp_path, likes_yes(0.7, 0.1))
    found = improved(RatingTokens(rating=0.9, beyond=True, quantiles=5, **FAST), tmp_path / "b", likes_yes(0.7, 0.1))
    # two values and five quantiles: all outputs of one value stand in one, and others stay empty
    assert isinstance(found.sampler, LocalPolicy) and found.sampler.note == " (Rating: 4 of 5.)"


def test_no_budget_is_exceeded_and_the_weights_go_back_as_far_as_they_must(tmp_path: Path) -> None:
    found = improved(Likelihood(of=Quantilizer(q=0.5), **FAST), tmp_path, budget=0.2)
    state = json.loads((tmp_path / STATE).read_text())
    assert found.kl > 0.05 and found.kl + state["error"] <= 0.2 and 0 < state["share"] < 1
    assert says(policy(), nodes()).mean() + 0.1 < says(found.sampler, nodes()).mean() < 0.9
    early = Likelihood(of=Quantilizer(q=0.5), **{**FAST, "check_every": 5, "steps": 60})
    improved(early, tmp_path / "early", budget=0.2)
    assert json.loads((tmp_path / "early" / STATE).read_text())["steps"] < 60


def test_what_was_made_is_found_again_and_a_folder_holds_one_improvement(tmp_path: Path) -> None:
    optimiser = Likelihood(**{**FAST, "steps": 5})
    scorer = likes_yes()
    found = improved(optimiser, tmp_path, scorer)
    again = improved(optimiser, tmp_path, scorer)
    assert scorer.calls == 1 and (again.sampler.name, again.kl) == (found.sampler.name, found.kl)
    assert optimiser.load(tmp_path, policy(), likes_yes()).name == found.sampler.name
    twice = improved(optimiser, tmp_path / "twice", likes_yes())
    assert twice.sampler.name == found.sampler.name  # the same weights, wherever they lie
    with pytest.raises(InputError, match="holds another improvement: give this one a folder of its own"):
        improved(optimiser, tmp_path, budget=4.0)
    with pytest.raises(InputError, match="was not written by this optimiser with these settings"):
        Likelihood(**{**FAST, "steps": 6}).load(tmp_path, policy(), likes_yes())
    assert (tmp_path / MODEL / "model.safetensors").is_file() and not list(tmp_path.glob(".model-*"))


def test_a_later_round_starts_from_the_sampler_and_counts_from_the_anchor(tmp_path: Path) -> None:
    first = improved(Likelihood(of=Quantilizer(q=0.5), **FAST), tmp_path / "1", budget=0.1)
    assert isinstance(first.sampler, LocalPolicy)
    second = improved(Likelihood(of=Quantilizer(q=0.5), **FAST), tmp_path / "2", budget=0.5, start=first.sampler)
    assert first.kl <= 0.1 < second.kl <= 0.5
    lesson = Lesson(policy(), policy(), nodes(), likes_yes(), 1.0, 9, Workspace(Path()), kl_nodes=3, kl_samples=64)
    assert lesson.kl(second.sampler.writer).mean == pytest.approx(second.kl, abs=0.12)  # type: ignore[attr-defined]


def test_what_cannot_be_learned_from_is_said_in_one_sentence(tmp_path: Path) -> None:
    fast = Likelihood(**FAST)
    with pytest.raises(InputError, match="all 48 candidates score as the others of their node do"):
        improved(fast, tmp_path, likes_yes(0.5, 0.5))
    with pytest.raises(InputError, match="rewards and acceptance by overall must be finite"):
        improved(fast, tmp_path, likes_yes(float("nan")))
    with pytest.raises(InputError, match="rewards and acceptance by overall must be finite"):
        improved(fast, tmp_path, likes_yes(float("inf")))
    for budget in (0.0, float("nan")):
        with pytest.raises(InputError, match="the KL budget is a positive number of nats"):
            improved(fast, tmp_path, budget=budget)
    with pytest.raises(RoleError, match="an optimiser may use scores of role train, not of role select"):
        improved(fast, tmp_path, replace(likes_yes(), role=Select))
    with pytest.raises(InputError, match=r"is trained for rrm\.policy\.local:LocalPolicy, not Careless"):
        fast.improve(Careless(), Careless(), nodes(), likes_yes(), 1.0, 0, Workspace(tmp_path))
    with pytest.raises(InputError, match="from a sampler of the anchor's settings: temperature, tokenizer"):
        improved(fast, tmp_path, start=replace(policy(), temperature=0.5))
    assert not (tmp_path / STATE).exists()


def test_a_budget_below_what_a_little_costs_is_refused(tmp_path: Path) -> None:
    # the note alone moves the anchor by more than this
    with pytest.raises(InputError, match=r"takes .* nats of 1e-06: raise kl_budget, or take fewer steps"):
        improved(RatingTokens(quantiles=2, **{**FAST, "steps": 2}), tmp_path, budget=1e-6)


def test_settings_that_cannot_be_are_refused() -> None:
    refused: list[tuple[Any, dict[str, Any], str]] = [
        (Likelihood, {"tune": "half"}, "tune is one of lora, full, got 'half'"),
        (Likelihood, {"steps": 0}, "rank, steps, batch and batch_tokens are 1 or more"),
        (Likelihood, {"learning_rate": -1.0}, "the learning rate is a positive number"),
        (Likelihood, {"kl_samples": 0}, "kl_nodes, kl_samples and check_every are 1 or more"),
        (Likelihood, {"samples": 1}, "a fit needs samples >= 2 and target_kl > 0"),
        (RatingTokens, {"rating": 1.2}, "is a mean acceptance in [0, 1], got 1.2"),
        (RatingTokens, {"quantiles": 1}, "ratings need quantiles >= 2"),
        (RatingTokens, {"drop": 1.0}, "a drop in [0, 1)"),
        (RatingTokens, {"loss": "none"}, "the loss is one of reply, all, got 'none'"),
    ]
    for kind, settings, message in refused:
        with pytest.raises(InputError) as error:
            kind(**settings)
        assert message in str(error.value)


def test_without_peft_adapters_are_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rrm.backbone.tune.find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"tune = lora needs peft: run `pip install 'rrm\[lora\]'`, or set tune = full"
    ):
        learner(policy().writer, Tuning(), 0)
    assert bare(learner(policy().writer, Tuning("full"), 0)) is not None
    four = replace(policy().writer, precision=f"{FOUR_BIT}float32")
    with pytest.raises(InputError, match="is read in four bits and cannot learn so: leave out four_bit"):
        learner(four, Tuning("full"), 0)


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    writer = policy().writer
    model = learner(writer, Tuning("full"), 0)
    with torch.no_grad():
        next(model.parameters())[:] = float("nan")
    rows = [Row(writer.prompt_ids(Chat("", "Tell.")), writer.reply("yes"))]
    with pytest.raises(InputError, match="the loss of step 1 is nan: take a lower learning rate than 2e-05"):
        fit(model, rows, Tuning("full"), pad=writer.pad, temperature=1.0, seed=0)
    with pytest.raises(InputError, match="there is nothing to learn: no reply has a weight above 0"):
        fit(model, [rows[0]._replace(weight=0.0)], Tuning("full"), pad=writer.pad, temperature=1.0, seed=0)


def test_best_of_many_reads_its_prompt_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from rrm.policy.best_of_n import BestOfN

    anchor, seen = policy(), nodes(1, limit=3)
    found = BestOfN(n=64).improve(anchor, anchor, seen, likes_yes(), 4.0, 0, Workspace(tmp_path))
    read: list[int] = []
    embed = anchor.writer.model.get_input_embeddings()
    handle = embed.register_forward_hook(lambda module, given, out: read.append(given[0].numel()))
    try:
        [output] = proposed(found.sampler, seen[0].prompt_context, 1, 0)
    finally:
        handle.remove()
    prompt = len(anchor.writer.prompt_ids(chat_of(seen[0].prompt_context)))
    assert output.text == "yes" and sum(read) <= prompt - 1 + 64 * 3  # each token of the prompt once, then 64 samples
