"""A language model in the process as a policy: seeds, limits, probabilities, and optimisers that can use it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rrm.backbone.generate import Sample
from rrm.core.errors import InputError, LimitError, NoAnswerError
from rrm.core.protocols import Density, Optimiser, Policy, ProposeJob, Seen, Workspace
from rrm.core.values import Output
from rrm.policy.best_of_n import BestOfN
from rrm.policy.local import LocalPolicy
from rrm.policy.quantilizer import Quantilizer
from rrm.verify.contracts import check_policy
from tests.policy.policy_scenes import Known, prompt_context, proposed


def local(**changes: int) -> LocalPolicy:
    return LocalPolicy("tiny", dtype="float32", **changes)


def spelling() -> LocalPolicy:
    """The tiny model with a mind for letters and for ending."""
    policy = local()
    head = torch.nn.Linear(64, policy.writer.model.config.vocab_size)
    with torch.no_grad():
        head.bias[policy.writer.reply("abcdefg")] += 5
    policy.writer.model.lm_head = head
    return policy


def test_it_keeps_the_contract_of_a_policy() -> None:
    for policy in (local(), spelling()):
        assert isinstance(policy, Policy) and isinstance(policy, Density)
        check_policy(policy)


def test_outputs_are_samples_within_the_limit() -> None:
    policy = local()
    given = prompt_context(limit=12)
    outputs = proposed(policy, given, 4, 5)
    assert len({output.text for output in outputs}) == 4
    for output in outputs:
        assert output.node == given.node and output.policy == policy.name
        assert output.text == output.text.strip()
        assert policy._tokens.count(output.text) <= 12
        assert output.truncated and output.log_prob is None


def test_a_sample_that_ends_is_as_probable_as_its_text() -> None:
    policy = spelling()
    given = prompt_context(limit=30)
    outputs = proposed(policy, given, 60, 3)
    ended = [output for output in outputs if output.log_prob is not None]
    assert len(ended) > 8 and len({output.text for output in ended}) > 5
    found = policy.log_prob(given, [output.text for output in ended])
    np.testing.assert_allclose(found, [output.log_prob for output in ended], atol=1e-4)


def test_several_nodes_at_once_give_the_same() -> None:
    jobs = [ProposeJob(prompt_context(node=f"n{at}", limit=6 + at), 2, at) for at in range(5)]
    one, three = local().propose(jobs), local(nodes=3).propose(jobs)
    assert [[each.text for each in outputs] for outputs in one] == [
        [each.text for each in outputs] for outputs in three
    ]


def test_thoughts_are_left_out_and_thoughts_alone_are_no_output(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, given = local(), prompt_context(limit=30)

    def saying(text: str, ended: bool) -> list[Output]:
        sample = Sample(text, (1, 2), -1.0, ended, 9)
        monkeypatch.setattr(type(policy.writer), "sample", lambda self, asks: [[sample]])
        return proposed(policy, given, 1, 0)

    for text, ended in (("hm</think>\n\nOne.", True), ("<think>hm</think>One. Tw", False)):
        (output,) = saying(text, ended)
        assert (output.text.partition(" ")[0], output.log_prob, output.truncated) == ("One.", None, not ended)
    for text, ended, lack in (("<think>hm", False, "cut off"), ("<think>hm</think>", True, "empty")):
        with pytest.raises(NoAnswerError) as none:
            saying(text, ended)
        assert none.value.lack == lack


@pytest.mark.parametrize("optimiser", [BestOfN(n=4), Quantilizer(q=0.25, samples=8)], ids=["best of n", "quantilizer"])
def test_what_is_chosen_among_its_samples_is_better_within_the_budget(optimiser: Optimiser, tmp_path: Path) -> None:
    policy = local()
    given = prompt_context(limit=8)
    seen = [Seen("source", given, tuple(proposed(policy, given, 2, 0)))]
    better = Known(lambda group, text: float(sum(map(str.isalpha, text))) / 400)
    found = optimiser.improve(policy, policy, seen, better, 2.0, 0, Workspace(tmp_path))
    mean = np.mean([better.of(seen[0].group, each.text) for each in proposed(policy, given, 16, 1)])
    best = np.mean([better.of(seen[0].group, each.text) for each in proposed(found.sampler, given, 16, 1)])
    assert best > mean and 0 < found.kl <= 2.0


def test_bad_settings_are_refused() -> None:
    with pytest.raises(InputError, match="reads 1 node or more at once, got 0"):
        local(nodes=0)
    with pytest.raises(InputError, match="temperature must be above 0"):
        LocalPolicy("tiny", temperature=0.0)
    with pytest.raises(LimitError, match="leaves no room for 33000 more"):
        proposed(local(), prompt_context(limit=33_000), 1, 0)
