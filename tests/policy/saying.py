"""A tiny language model that was taught to answer with one of two words, half of the time each; and who likes which."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from rrm.backbone.generate import load_writer
from rrm.backbone.tune import Row, Tuning, fit, learner, merged
from rrm.core.protocols import PromptContext, Seen
from rrm.policy.local import LocalPolicy, chat_of
from rrm.policy.tuned import save_checkpoint
from tests.policy.policy_scenes import Known, prompt_context

WORDS = ("yes", "no")
"""Outputs of the model: the first is what scorers here like."""


def nodes(count: int = 3, limit: int = 4) -> list[Seen]:
    """Nodes with short prompts, each about a source of its own."""
    told = ("It rained.", "Anna slept.", "Nobody spoke.", "The mill burned.")
    shown = [prompt_context(text, limit, node=f"node-{at}") for at, text in enumerate(told[:count])]
    return [Seen(f"source-{at}", each, ()) for at, each in enumerate(shown)]


def likes_yes(value: float = 1.0, other: float = 0.0) -> Known:
    """Accepts the first word with one probability, and all else with another."""
    return Known(lambda group, text: value if text == WORDS[0] else other, name=f"yes {value} {other}")


@cache
def speaker(share: float = 0.5) -> Path:
    """Return the folder of the model; it says the first word with about this probability at each of `nodes`."""
    writer = load_writer("tiny", "cpu", "float32")
    model = learner(writer, Tuning("full", learning_rate=3e-3, steps=60, batch=8), 0)
    rows = [
        Row(writer.prompt_ids(chat_of(seen.prompt_context)), writer.reply(word), weight)
        for seen in nodes(4)
        for word, weight in zip(WORDS, (share, 1 - share), strict=True)
    ]
    fit(model, rows, Tuning("full", learning_rate=3e-3, steps=60, batch=8), pad=writer.pad, temperature=1.0, seed=0)
    folder = Path(mkdtemp(prefix="speaker-")) / "model"
    save_checkpoint(merged(model), writer, folder)
    return folder


def policy(share: float = 0.5) -> LocalPolicy:
    return LocalPolicy(str(speaker(share)), dtype="float32", device="cpu")


def says(policy: LocalPolicy, seen: Sequence[Seen]) -> np.ndarray:
    """The probability that a policy says the first word, [nodes]."""
    return np.array([said(policy, each.prompt_context)[0] for each in seen])


def said(policy: LocalPolicy, given: PromptContext) -> np.ndarray:
    """The probabilities of the two words."""
    return np.exp(policy.log_prob(given, WORDS))
