"""Optimisers that train a causal language model: what they share, from the candidates to the policy within its budget.

Each trains a copy of the sampler's model and leaves it, whole, as a checkpoint in the workspace. Its KL is measured on
what it writes itself: the full divergence of the next token at each sampled prefix, summed over the reply, whose mean
is exact by the chain rule (`Writer.kl`). Where it is above the budget, the weights go back on the line to
the anchor's until it is not.
"""

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import nan, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rrm.backbone.generate import Ask, Writer
from rrm.backbone.load import quiet
from rrm.backbone.tune import Tune, Tuning, bare, between, fresh, merged
from rrm.core.errors import InputError
from rrm.core.ids import content_id, seed_for
from rrm.core.protocols import Improved, Policy, ProposeJob, Seen, Workspace
from rrm.core.roles import Scorer, Train, for_improving
from rrm.files import read_json, write_json
from rrm.policy.kl_estimates import Estimate
from rrm.policy.local import LocalPolicy, chat_of
from rrm.policy.scoring import check, group, scores

STATE, MODEL = "tuned.json", "model"
"""The files in the workspace: what was made and how far it went, and the checkpoint."""


class Candidates(NamedTuple):
    """What a policy wrote at a node, and its mean acceptance, float64 [texts]."""

    seen: Seen
    texts: tuple[str, ...]
    scores: np.ndarray


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a training is given: where it starts, what its KL counts from, nodes, scores, and the budget.

    `note` is what stands behind the task for the policy that is trained: a rating, or nothing.
    """

    start: LocalPolicy
    anchor: LocalPolicy
    seen: Sequence[Seen]
    scorer: Scorer[Train]
    kl_budget: float
    seed: int
    workspace: Workspace
    kl_nodes: int
    kl_samples: int

    def candidates(self, n: int) -> list[Candidates]:
        """Return n fresh outputs of the anchor at each node, scored."""
        made = self.anchor.propose(self._jobs(n, 0))
        return self._scored([tuple(output.text for output in outputs) for outputs in made])

    def written(self, writer: Writer, note: str, n: int, round_: int) -> list[Candidates]:
        """Return n fresh outputs of a writer in training at each node, behind a note, scored."""
        made = []
        for job in self._jobs(n, round_):
            given = job.prompt_context
            seeds = [seed_for(job.seed, at) for at in range(n)]
            [samples] = writer.sample([Ask(chat_of(given, note), seeds, given.task.max_tokens)])
            made.append(tuple(output.text for output in self.start.outputs(job, samples)))
        return self._scored(made)

    def _jobs(self, n: int, round_: int) -> list[ProposeJob]:
        contexts = [each.prompt_context for each in self.seen]
        return [ProposeJob(each, n, seed_for(self.seed, "candidates", each.node, round_)) for each in contexts]

    def _scored(self, made: Sequence[tuple[str, ...]]) -> list[Candidates]:
        groups = [group(each.prompt_context, each.source, texts) for each, texts in zip(self.seen, made, strict=True)]
        got = scores(self.scorer, groups)
        return [Candidates(*each) for each in zip(self.seen, made, got, strict=True)]

    def prompt(self, seen: Seen, note: str = "") -> list[int]:
        """Return the tokens that a reply at a node stands behind."""
        return self.start.writer.prompt_ids(chat_of(seen.prompt_context, note))

    def kl(self, writer: Writer, note: str = "", nodes: int | None = None) -> Estimate:
        """Return the KL of a writer from the anchor, in nats a node, with its standard error.

        That is over nodes; where there is one, over its replies. Of one reply nobody knows it: NaN.
        """
        few = self._spread(self.kl_nodes if nodes is None else nodes)
        found = [self._kl_at(each, writer, note) for each in few]
        drawn = found[0] if len(found) == 1 else np.array([each.mean() for each in found])
        error = float(np.std(drawn, ddof=1) / sqrt(len(drawn))) if len(drawn) > 1 else nan
        return Estimate(float(drawn.mean()), error)

    def stopper(self, writer: Writer, every: int, total: int) -> Callable[[int], bool]:
        """Return who is asked after each step whether a training ends, because its writer has used up the budget.

        It is looked at every so many steps, at half of the nodes.
        """

        def stop(step: int) -> bool:
            self.workspace.progress(step, total)
            due = step % every == 0 and step < total
            return due and self.kl(writer, "", max(2, self.kl_nodes // 2)).mean > self.kl_budget

        return stop

    def progress(self, total: int) -> Callable[[int], bool]:
        """Return who is told of each step, and ends nothing."""

        def tell(step: int) -> bool:
            self.workspace.progress(step, total)
            return False

        return tell

    def _spread(self, count: int) -> list[Seen]:
        order = sorted(self.seen, key=lambda each: seed_for(self.seed, "measured at", each.prompt_context.node))
        return order[:count]

    def _kl_at(self, seen: Seen, writer: Writer, note: str) -> np.ndarray:
        given = seen.prompt_context
        seeds = [seed_for(self.seed, "kl", given.node, at) for at in range(self.kl_samples)]
        ask = Ask(chat_of(given, note), seeds, given.task.max_tokens)
        return writer.kl(ask, self.anchor.writer, chat_of(given, self.anchor.note))


class Learned(NamedTuple):
    """What a training came to: a model of transformers or peft, the notes it may be used with, best first, steps."""

    model: Any
    notes: tuple[str, ...]
    steps: int


class _Fitting(NamedTuple):
    """A model within the budget: its note, the share of the way from the anchor's weights, and its KL."""

    note: str
    share: float
    kl: Estimate
    state: dict[str, Any]


@dataclass(frozen=True)
class Tuned(ABC):
    """An optimiser that trains a `LocalPolicy`'s model; the first six settings are those of `Tuning`.

    The KL of the result is the mean over `kl_nodes` nodes of `kl_samples` replies each. While it learns it is looked
    at every `check_every` steps, and training ends early once the budget is used up. `how` is "estimated": the mean
    with one standard error above it is within the budget.
    """

    tune: Tune = field(default="lora", kw_only=True)
    rank: int = field(default=16, kw_only=True)
    learning_rate: float | None = field(default=None, kw_only=True)
    steps: int = field(default=60, kw_only=True)
    batch: int = field(default=8, kw_only=True)
    batch_tokens: int = field(default=2048, kw_only=True)
    kl_nodes: int = field(default=16, kw_only=True)
    kl_samples: int = field(default=4, kw_only=True)
    check_every: int = field(default=20, kw_only=True)

    def __post_init__(self) -> None:
        if min(self.kl_nodes, self.kl_samples, self.check_every) < 1:
            raise InputError("kl_nodes, kl_samples and check_every are 1 or more")
        _ = self.tuning  # which refuses what cannot be

    @property
    def tuning(self) -> Tuning:
        """How the model learns."""
        return Tuning(self.tune, self.rank, self.learning_rate, self.steps, self.batch, self.batch_tokens)

    @property
    def name(self) -> str:
        return content_id("tuned", self)

    @abstractmethod
    def train(self, lesson: Lesson) -> Learned:
        """Return a model that has learned; raise InputError where there is nothing to learn from."""

    def improve(
        self,
        sampler: Policy,
        anchor: Policy,
        seen: Sequence[Seen],
        score: Scorer[Train],
        kl_budget: float,
        seed: int,
        workspace: Workspace,
    ) -> Improved:
        """Return the sampler's model trained; see `Optimiser`. What was killed begins again, to the same result.

        Raises InputError for policies that are no `LocalPolicy` of the same settings, where the KL would be measured on
        a single reply, and where even a little of what was learned would take more than the budget.
        """
        check(seen, kl_budget)
        if min(self.kl_nodes, len(seen)) * self.kl_samples == 1:
            raise InputError(
                "the KL of one reply at one node has no standard error, so nobody knows whether it is within the"
                " budget: set kl_samples = 2 or more"
            )
        start, origin = _local(sampler), _local(anchor)
        if _settings(start) != _settings(origin):
            raise InputError(
                "a language model is trained from a sampler of the anchor's settings: temperature, tokenizer, nodes, "
                f"device and dtype, got {_settings(start)} and {_settings(origin)}"
            )
        lesson = Lesson(
            start, origin, seen, for_improving(score), kl_budget, seed, workspace, self.kl_nodes, self.kl_samples
        )
        asked = self._asked(lesson)
        if (workspace.folder / STATE).is_file():
            return self._again(workspace.folder, origin, asked)
        learned = self.train(lesson)
        found = _fitting(lesson, learned)
        save_checkpoint(found.state, origin.writer, workspace.folder / MODEL)
        state = {
            "optimiser": self.name, "asked": asked, "note": found.note, "kl": found.kl.mean,
            "error": found.kl.error, "share": found.share, "steps": learned.steps,
        }  # fmt: skip
        write_json(workspace.folder / STATE, state)
        return self._again(workspace.folder, origin, asked)

    def load(self, folder: Path, anchor: Policy, score: Scorer[Train]) -> LocalPolicy:
        """Return the policy whose checkpoint was left in a folder; see `Optimiser`."""
        state = read_json(folder / STATE)
        if state.get("optimiser") != self.name:
            raise InputError(f"{folder / STATE} was not written by this optimiser with these settings")
        return replace(_local(anchor), model=str(folder / MODEL), note=str(state["note"]))

    def _asked(self, lesson: Lesson) -> str:
        seen = [[each.prompt_context.node, each.prompt_context.read.id] for each in lesson.seen]
        names = lesson.start.name, lesson.anchor.name, lesson.scorer.name
        return content_id("asked", self.name, names, seen, lesson.kl_budget, lesson.seed)

    def _again(self, folder: Path, anchor: LocalPolicy, asked: str) -> Improved:
        state = read_json(folder / STATE)
        if state.get("asked") != asked:
            raise InputError(f"{folder} holds another improvement: give this one a folder of its own")
        policy = replace(anchor, model=str(folder / MODEL), note=str(state["note"]))
        return Improved(policy, float(state["kl"]), "estimated")


def writing(writer: Writer, model: Any) -> Writer:
    """Return a writer over a model that learns."""
    return replace(writer, model=bare(model))


def _fitting(lesson: Lesson, learned: Learned) -> _Fitting:
    """Return the learned weights with the best note within the budget, or as much of them as it allows."""
    steps_back = 6
    weights = merged(learned.model)
    anchor = fresh(lesson.anchor.writer)
    origin = {name: weight.clone() for name, weight in anchor.state_dict().items()}
    model = anchor.to(lesson.anchor.writer.model.dtype)
    writer = replace(lesson.anchor.writer, model=model)

    def at(share: float, note: str) -> _Fitting:
        state = between(origin, weights, share)
        bare(model).load_state_dict(state)
        return _Fitting(note, share, lesson.kl(writer, note), state)

    def fits(found: _Fitting) -> bool:
        return found.kl.mean + found.kl.error <= lesson.kl_budget

    tried = []
    for note in learned.notes:
        tried.append(at(1.0, note))
        if fits(tried[-1]):
            return tried[-1]
    note, last = learned.notes[0], tried[0]
    low, high, best = 0.0, 1.0, None
    for _ in range(steps_back):
        # a KL grows about as the square of the way, so the root of its share is the first guess
        guess = high * sqrt(0.9 * lesson.kl_budget / last.kl.mean) if last.kl.mean > lesson.kl_budget else high
        share = min(max(guess, low + 0.1 * (high - low)), low + 0.9 * (high - low))
        last = at(share, note)
        low, high, best = (share, high, last) if fits(last) else (low, share, best)
        if best is not None and best.kl.mean > 0.7 * lesson.kl_budget:
            break
    if best is None:
        raise InputError(
            f"even a share of {high:.3g} of what was learned takes {last.kl.mean:.3g} nats of {lesson.kl_budget:g}: "
            "raise kl_budget, or take fewer steps or a lower learning rate"
        )
    return best


def save_checkpoint(state: dict[str, Any], writer: Writer, folder: Path) -> None:
    """Write a checkpoint with its tokenizer, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=".model-", dir=folder.parent))
    model = fresh(writer)
    model.load_state_dict(state)
    with quiet():
        model.save_pretrained(str(temporary))
        writer.tokenizer.save_pretrained(str(temporary))
    temporary.rename(folder)


def _local(policy: Policy) -> LocalPolicy:
    if not isinstance(policy, LocalPolicy):
        raise InputError(
            f"a language model is trained for rrm.policy.local:LocalPolicy, not {type(policy).__name__}; "
            "best of n improves any policy"
        )
    return policy


def _settings(policy: LocalPolicy) -> tuple[object, ...]:
    return (policy.temperature, str(policy.tokenizer), policy.nodes, policy.device, policy.dtype, policy.four_bit)
