"""Proposes by a causal language model in this process, which knows how probable its outputs are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from rrm.backbone.tokens import load_tokenizer
from rrm.core.arguments import plain_arguments
from rrm.core.errors import InputError, NoAnswerError
from rrm.core.ids import content_id, seed_for
from rrm.core.protocols import Along, Policy, PromptContext, ProposeJob, Tokenizer
from rrm.core.text import WORDS_PER_TOKEN, whole_sentences
from rrm.core.thoughts import without_thoughts
from rrm.core.values import Output
from rrm.policy.language_model import cut

if TYPE_CHECKING:
    from rrm.backbone.generate import Ask, Chat, Sample, Writer

_RULE = "\n\n====\n\n"
_BEFORE = "Earlier parts were answered with:\n\n{context}\n\nGo on from there."
_ASKED = "{instruction} Answer in at most {words} words, with the answer alone."
_WORDING = content_id("prompt", _RULE, _BEFORE, _ASKED, WORDS_PER_TOKEN)


@plain_arguments
@dataclass(frozen=True, eq=False)
class LocalPolicy:
    """Samples outputs of a causal language model; is a `Density`, a `SampledDivergence`
    and a `DivergenceAlong`.

    It is shown the previous context, the passages' texts and then the task, in the user's turn and without the
    marks by which `LanguageModelPolicy` tells material from instructions: small models repeat those. `model` is
    "smollm", or the name or folder of a Hugging Face causal model. Up to the task's `max_tokens` tokens are sampled,
    by a seed of each output's own; a text that does not end by then is cut at its last whole sentence, where it has
    one, and `Output.truncated` says so. Thoughts in it are left out (see `rrm.core.thoughts`), and thoughts alone are
    no output, but NoAnswerError; a model that ends at once writes an empty output, as probable as any other.
    `Output.log_prob`, in nats, is that of the text: None where it is not what was sampled to its end, token by token.

    A `note` stands behind the task, at the end of the user's turn: the rating that the output is to have, for a model
    that learned of ratings (`rrm.policy.rating_tokens`).

    The prompt of a node is read once for all its outputs. `nodes` are read at once: with more than one a GPU is
    busier, but sums are rounded otherwise, which once in a hundred thousand tokens draws another token.
    """

    model: str = "smollm"
    temperature: float = 1.0
    tokenizer: Tokenizer | str = "minilm"
    nodes: int = 1
    device: str = "auto"
    dtype: str = "auto"
    four_bit: bool = False
    note: str = ""
    name: str = field(init=False)
    _tokens: Tokenizer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.nodes < 1:
            raise InputError(f"a local policy reads 1 node or more at once, got {self.nodes}")
        tokens = load_tokenizer(self.tokenizer) if isinstance(self.tokenizer, str) else self.tokenizer
        object.__setattr__(self, "_tokens", tokens)
        wording = content_id("policy", _WORDING, tokens.name, self.note)[-8:]
        object.__setattr__(self, "name", f"local:{self.writer.name}:{wording}")

    @cached_property
    def writer(self) -> "Writer":
        """The language model."""
        from rrm.backbone.generate import load_writer

        return load_writer(self.model, self.device, self.dtype, self.temperature, self.four_bit)

    def propose(self, jobs: Sequence[ProposeJob]) -> list[list[Output]]:
        """Return each job's outputs; raise LimitError for a node whose prompt is too long for the model."""
        found = []
        for first in range(0, len(jobs), self.nodes):
            together = jobs[first : first + self.nodes]
            sampled = self.writer.sample([self._ask(job) for job in together])
            found += [self.outputs(job, samples) for job, samples in zip(together, sampled, strict=True)]
        return found

    def log_prob(self, prompt_context: PromptContext, texts: Sequence[str]) -> np.ndarray:
        """Return the log-probability, in nats, of each text as a whole reply that ends by itself, float64 [texts].

        It is that of the tokens that the tokenizer makes of it; the same characters can be sampled as others, rarely.
        """
        return self.writer.log_prob(chat_of(prompt_context, self.note), texts)

    def sampled_kl(self, prompt_context: PromptContext, other: Policy, seeds: Sequence[int]) -> np.ndarray:
        """Return for each seed the divergence from another local policy along a fresh reply, in nats, float64 [seeds].

        Replies are counted as sequences of tokens, as far as the task's limit; see `SampledDivergence`.
        """
        from rrm.backbone.generate import Ask

        if not isinstance(other, LocalPolicy):
            raise InputError(f"the KL from {other.name} is not known: it is no language model in this process")
        ask = Ask(chat_of(prompt_context, self.note), seeds, prompt_context.task.max_tokens)
        return self.writer.kl(ask, other.writer, chat_of(prompt_context, other.note))

    def along(self, prompt_context: PromptContext, other: Policy, outputs: Sequence[Output]) -> list[Along]:
        """Return what its outputs at a node tell of it beside another local policy; see `DivergenceAlong`.

        Each is read as the usual tokens of its text and, where it was not cut off, the end: nothing is sampled. Raises
        InputError for a model that thinks before it writes.
        """
        if not isinstance(other, LocalPolicy):
            raise InputError(f"the KL from {other.name} is not known: it is no language model in this process")
        if self.writer.thinks:
            raise InputError(f"how {self.name} came to its outputs is not known: thoughts are left out of them")
        replies = [self.writer.reply(output.text)[: -1 if output.truncated else None] for output in outputs]
        chats = chat_of(prompt_context, self.note), chat_of(prompt_context, other.note)
        read = iter(self.writer.along(chats[0], [reply for reply in replies if reply], other.writer, chats[1]))
        return [next(read) if reply else Along(0.0, 0.0, 0.0) for reply in replies]

    def _ask(self, job: ProposeJob) -> "Ask":
        from rrm.backbone.generate import Ask

        return Ask(chat_of(job.prompt_context, self.note), _seeds(job), job.prompt_context.task.max_tokens)

    def outputs(self, job: ProposeJob, samples: Sequence["Sample"]) -> list[Output]:
        """Return what a job's samples come to as outputs."""
        return [
            self._output(job.prompt_context, seed, sample) for seed, sample in zip(_seeds(job), samples, strict=True)
        ]

    def _output(self, prompt_context: PromptContext, seed: int, sample: "Sample") -> Output:
        heard = without_thoughts(sample.text, not sample.ended)
        answer = heard.text.strip()
        if heard.thoughts and not answer:
            raise NoAnswerError(
                f"{self.model} wrote thoughts alone: raise the task's max_tokens, or take a model that does not think",
                "empty" if sample.ended else "cut off",
            )
        text = answer if sample.ended else whole_sentences(answer)
        text = cut(text, prompt_context.task.max_tokens, self._tokens)
        as_sampled = sample.ended and self.writer.reply(text) == list(sample.ids)
        known = sample.log_prob if as_sampled else None
        truncated = text != answer or not sample.ended
        inputs, context = prompt_context.inputs, prompt_context.context
        return Output(prompt_context.node, text, self.name, seed, inputs, context, known, truncated=truncated)


def _seeds(job: ProposeJob) -> list[int]:
    return [seed_for(job.seed, index) for index in range(job.n)]


def chat_of(prompt_context: PromptContext, note: str = "") -> "Chat":
    """Return what the language model is asked at a node, with a note behind it."""
    from rrm.backbone.generate import Chat

    view = prompt_context.read
    words = max(1, int(prompt_context.task.max_tokens * WORDS_PER_TOKEN))
    before = [_BEFORE.format(context=view.context)] if view.context else []
    asked = _ASKED.format(instruction=view.instruction, words=words)
    return Chat("", _RULE.join([*before, view.text, asked + note]))
