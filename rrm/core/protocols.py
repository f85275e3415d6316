"""What the parts of a run ask of each other; anything with these methods can take the part's place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from rrm.core.graph import TaskGraph
from rrm.core.task import Source, Task
from rrm.core.values import Feedback, Group, Output, Request, View


@runtime_checkable
class Tokenizer(Protocol):
    """Counts tokens and says where each ends."""

    @property
    def name(self) -> str: ...

    def count(self, text: str) -> int:
        """Return the number of tokens of a text."""
        ...

    def ends(self, text: str) -> np.ndarray:
        """Return the character offset, int64 [tokens], at which each token ends, ascending."""
        ...


@runtime_checkable
class Encoder(Protocol):
    """Turns texts into vectors."""

    @property
    def name(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return one vector per text, float32 [texts, dimensions], of length one."""
        ...


@runtime_checkable
class Decomposer(Protocol):
    """Splits a source's task into a closed graph; `name` covers every setting that matters."""

    @property
    def name(self) -> str: ...

    def decompose(self, source: Source, seed: int) -> TaskGraph:
        """Return the closed graph of one tree; another seed may give another."""
        ...


@runtime_checkable
class AsyncDecomposer(Protocol):
    """A decomposer that waits for somebody, such as a language model."""

    @property
    def name(self) -> str: ...

    async def decompose_async(self, source: Source, seed: int) -> TaskGraph:
        """Return the closed graph of one tree, refusals on record."""
        ...


@dataclass(frozen=True)
class Material:
    """What a policy works on: a node's task, what a rater would see beside it, and the inputs' ids."""

    node: str
    task: Task
    view: View
    inputs: tuple[str, ...] = ()
    context: tuple[str, ...] = ()


@runtime_checkable
class Policy(Protocol):
    """Proposes outputs; `name` covers every setting that can change one."""

    @property
    def name(self) -> str: ...

    def propose(self, material: Material, n: int, seed: int) -> list[Output]:
        """Return n candidate outputs; equal seeds give equal outputs. Limits are kept."""
        ...


@runtime_checkable
class AsyncPolicy(Protocol):
    """A policy that waits for somebody, such as a language model."""

    @property
    def name(self) -> str: ...

    async def propose_async(self, material: Material, n: int, seed: int) -> list[Output]:
        """Return n candidate outputs, or raise AssistantError."""
        ...


@runtime_checkable
class Rater(Protocol):
    """Turns a request into feedback at once; `name` stands in the record."""

    @property
    def name(self) -> str: ...

    def rate(self, request: Request, seed: int) -> Feedback:
        """Return this rater's answer; equal seeds give equal answers."""
        ...


@runtime_checkable
class AsyncRater(Protocol):
    """A rater that has to be waited for, such as a language model."""

    @property
    def name(self) -> str: ...

    async def rate_async(self, request: Request, seed: int) -> Feedback:
        """Return this rater's answer, or raise AssistantError."""
        ...


@runtime_checkable
class RewardModel(Protocol):
    """Scores groups: rewards in logits and the probability that a rater accepts an output."""

    def rewards(self, groups: Sequence[Group]) -> list[np.ndarray]:
        """Return for each group its rewards, float64 [members, k], in logits."""
        ...

    def acceptance(self, groups: Sequence[Group]) -> list[np.ndarray]:
        """Return for each group the calibrated probabilities, float64 [members, k], of acceptance."""
        ...


@runtime_checkable
class Composer(Protocol):
    """Joins a node's own score with its children's, sample by sample."""

    @property
    def name(self) -> str: ...

    def join(self, own: np.ndarray, children: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the composed probabilities [members].

        `own` is [members], `children` [children, members] (composed already), `weights` the
        share of the source that each child covers, [children], summing to one.
        """
        ...


@dataclass(frozen=True)
class Prompt:
    """What an assistant is asked: a system text, a user text, and maybe the JSON schema of its answer.

    `sample` tells apart independent askings of the same prompt.
    """

    system: str
    user: str
    schema: Mapping[str, Any] | None = field(default=None, hash=False)
    sample: int = 0
    max_tokens: int | None = None


@dataclass(frozen=True)
class Reply:
    """An assistant's answer, with the tokens it took where the model says so."""

    text: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached: bool = False


@runtime_checkable
class Assistant(Protocol):
    """A language model that one can ask: remote, local, cached or scripted."""

    @property
    def name(self) -> str: ...

    async def ask(self, prompt: Prompt) -> Reply:
        """Return the reply, or raise AssistantError."""
        ...


@runtime_checkable
class Cache(Protocol):
    """Values by key, such as paid model calls or embeddings; what was put is durable on return."""

    def get_many(self, table: str, keys: Sequence[str]) -> dict[str, bytes]: ...

    def put_many(self, table: str, items: Mapping[str, bytes]) -> None: ...


@runtime_checkable
class Store(Protocol):
    """The append-only record of a run. Appending a value that is there already changes nothing."""

    def append(self, values: Sequence[Any]) -> None:
        """Record values of `rrm.core`, all or none, durable on return."""
        ...

    def load(self, kind: type) -> list[Any]:
        """Return all recorded values of a kind, in the order of recording."""
        ...


@runtime_checkable
class SourceSet(Protocol):
    """Where a run's sources come from.

    A set that knows the truth about its sources also has a method
    `gold(source: str, span: Span | None, text: str) -> float`, the quality in [0, 1] of `text` as an
    output for that span (None: the whole source). Only `rrm.evaluate` is ever handed it.
    """

    @property
    def name(self) -> str: ...

    def sources(self) -> list[Source]:
        """Return the sources, in a fixed order."""
        ...
