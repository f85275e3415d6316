"""What training a language model costs in our own loops, beside the same done plainly with transformers.

Both work on the same tokens. A step is sampling, the anchor's forward for the KL, and forward and backward for the
update. Weights are random, so figures are of speed and tokens only. Ways take turns; a ratio is the median of the
turns' own ratios. Tokens are counted in the model: what its embedding was given.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.loop import Plan, Texts, backbone, counted, seconds_of
from rrm.backbone.generate import Ask, Chat, Writer, load_writer
from rrm.backbone.tune import Row, Tuning, fit, learner
from rrm.core.place import Place
from rrm.core.protocols import PromptContext, ProposeJob, Seen, Workspace
from rrm.core.roles import Train
from rrm.core.task import Span, Task
from rrm.core.values import Group, Passage, Prediction, View
from rrm.policy.best_of_n import BestOfN
from rrm.policy.local import LocalPolicy, chat_of


@dataclass(frozen=True)
class Size:
    """Hidden size and layers, prompts, tokens of each and of a reply, replies a prompt, turns."""

    hidden: int = 256
    layers: int = 4
    prompts: int = 4
    prompt: int = 256
    reply: int = 48
    replies: int = 4
    times: int = 7


FULL, QUICK = Size(), Size(128, 2, 2, 128, 24, 4, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    size = QUICK if parser.parse_args().quick else FULL
    with tempfile.TemporaryDirectory() as work:
        plan = Plan(size.hidden, size.layers, 0, 0, size.prompt, size.reply, size.times)
        folder = backbone(plan, Path(work) / "model")
        writer = load_writer(folder, "cpu", "float32")
        texts = Texts(folder, 5)
        chats = [Chat("", texts.of(size.prompt)) for _ in range(size.prompts)]
        print(f"{size.prompts} prompts of {size.prompt} tokens, {size.replies} replies of {size.reply} each\n")
        print("| what | ours, s | plainly, s | ratio | tokens read, ours | plainly |")
        print("|---|---|---|---|---|---|")
        rows = [
            Row(writer.prompt_ids(chat), _reply(texts, writer, size)) for chat in chats for _ in range(size.replies)
        ]
        replies = [row.reply for row in rows]
        ours = {
            "sampling": lambda: sample(writer, chats, size),
            "the anchor's forward": lambda: anchor(writer, chats, replies, size),
            "forward and backward": lambda: update(writer, rows),
        }
        plain = {
            "sampling": lambda: plain_sample(writer, chats, size),
            "the anchor's forward": lambda: plain_anchor(writer, rows),
            "forward and backward": lambda: plain_update(writer, rows),
        }
        compare({**ours, "a whole step": together(ours)}, {**plain, "a whole step": together(plain)}, size.times)
        best_of_64(folder, texts, size)


def together(parts: dict[str, Callable[[], object]]) -> Callable[[], object]:
    """Return what does all parts, one after the other."""
    return lambda: [part() for part in list(parts.values())]


def compare(ours: dict[str, Callable[[], object]], plain: dict[str, Callable[[], object]], times: int) -> None:
    """Print a row for each kind of work, both ways taking turns; the first turn is not counted."""
    for name in ours:
        taken: list[tuple[float, float]] = []
        for turn in range(times + 1):
            pair = [ours[name], plain[name]] if turn % 2 else [plain[name], ours[name]]
            seconds = [seconds_of(work) for work in pair]
            taken.append((seconds[0], seconds[1]) if turn % 2 else (seconds[1], seconds[0]))
        read = []
        for work in (ours[name], plain[name]):
            with counted() as counts:
                work()
            read.append(counts.trained + counts.scored)
        mine, theirs = (median(each[at] for each in taken[1:]) for at in (0, 1))
        ratios = sorted(a / b for a, b in taken[1:])
        spread = f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"| {name} | {mine:.2f} | {theirs:.2f} | {spread} | {read[0]:,} | {read[1]:,} |", flush=True)


# ---- ours ----


def sample(writer: Writer, chats: Sequence[Chat], size: Size) -> object:
    return writer.sample([Ask(chat, range(size.replies), size.reply) for chat in chats])


def anchor(writer: Writer, chats: Sequence[Chat], replies: Sequence[list[int]], size: Size) -> object:
    starts = range(0, len(replies), size.replies)
    return [
        writer.next_log_probs(chat, replies[at : at + size.replies]) for at, chat in zip(starts, chats, strict=True)
    ]


def update(writer: Writer, rows: Sequence[Row]) -> object:
    tuning = Tuning("full", steps=1, batch=len(rows))
    return fit(_learner(writer), rows, tuning, pad=writer.pad, temperature=1.0, seed=0)


# ---- plainly ----


def plain_sample(writer: Writer, chats: Sequence[Chat], size: Size) -> object:
    prompts = [writer.prompt_ids(chat) for chat in chats]
    width = max(map(len, prompts))
    ids = torch.tensor([[writer.pad] * (width - len(each)) + each for each in prompts])
    mask = torch.tensor([[0] * (width - len(each)) + [1] * len(each) for each in prompts])
    with torch.inference_mode():
        return writer.model.generate(
            input_ids=ids, attention_mask=mask, do_sample=True, num_return_sequences=size.replies,
            max_new_tokens=size.reply, min_new_tokens=size.reply, pad_token_id=writer.pad,
        )  # fmt: skip


def plain_anchor(writer: Writer, rows: Sequence[Row]) -> object:
    ids, _ = _side_by_side(rows, writer.pad)
    with torch.inference_mode():
        return writer.model(input_ids=ids).logits.float().log_softmax(-1)


def plain_update(writer: Writer, rows: Sequence[Row]) -> object:
    model = _learner(writer)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.0)
    ids, labels = _side_by_side(rows, writer.pad)
    loss = model(input_ids=ids, labels=labels).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return loss


def _side_by_side(rows: Sequence[Row], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(row.prompt) + len(row.reply) for row in rows)
    ids, labels = torch.full((len(rows), width), pad), torch.full((len(rows), width), -100)
    for at, row in enumerate(rows):
        first, last = len(row.prompt), len(row.prompt) + len(row.reply)
        ids[at, :last] = torch.tensor([*row.prompt, *row.reply])
        labels[at, first:last] = torch.tensor(row.reply)
    return ids, labels


_MODELS: dict[int, Any] = {}


def _learner(writer: Writer) -> Any:
    """Return one model that learns, for both ways: making it is no part of a step."""
    if id(writer) not in _MODELS:
        _MODELS[id(writer)] = learner(writer, Tuning("full"), 0)
    return _MODELS[id(writer)]


def _reply(texts: Texts, writer: Writer, size: Size) -> list[int]:
    return writer.reply(texts.of(size.reply))[: size.reply]


# ---- best of 64 ----


class ByLength:
    """Scores outputs by their length, for nothing."""

    name = "by length"
    role = Train

    def score(self, groups: Sequence[Group]) -> list[Prediction]:
        lengths = [np.array([[len(text) / 1e4 for text in group.outputs]]) for group in groups]
        return [Prediction.overall(each, each) for each in lengths]


def best_of_64(folder: str, texts: Texts, size: Size) -> None:
    """Say how often the best of 64 reads its prompt."""
    policy = LocalPolicy(folder, dtype="float32", device="cpu")
    text = texts.of(size.prompt)
    task, view = Task("Tell.", "source", Span(0, len(text)), size.reply), View("Tell.", (Passage(text),), size.reply)
    given = PromptContext("node", task, view, place=Place())
    with tempfile.TemporaryDirectory() as work:
        seen = [Seen("source", given, ())]
        best = BestOfN(n=64).improve(policy, policy, seen, ByLength(), 4.0, 0, Workspace(Path(work))).sampler
    with counted() as counts:
        best.propose([ProposeJob(given, 1, 0)])
    prompt = len(policy.writer.prompt_ids(chat_of(given)))
    written = 64 * size.reply
    print(
        f"\nbest of 64 at a node: {counts.scored:,} tokens read; the prompt's {prompt:,} once and 64 replies of"
        f" {size.reply} are {prompt - 1 + written:,}, the prompt each time would be {64 * (prompt + size.reply):,}"
    )


if __name__ == "__main__":
    main()
