"""From a run file to working parts: loads plug-ins, stacks assistants, hands the driver its executors."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rrm.api.plugins import make
from rrm.api.runfile import PEOPLE, Part, RunFile
from rrm.assistants.budget import Budget, Spent
from rrm.backbone.tokens import HuggingFaceTokenizer, load_tokenizer
from rrm.core.errors import ConfigError
from rrm.core.protocols import Assistant, SourceSet
from rrm.core.task import Source
from rrm.core.values import Rated
from rrm.store.record import SqlStore

LEARNED = "learned"
"""The composer plug-in that stands for one fitted on the run's own ratings above the leaves."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The working parts of a run, each made when it is first asked for."""

    run: RunFile
    store: SqlStore | None = None

    @cached_property
    def budget(self) -> Budget:
        """What the run may still spend, with what it spent before it was last stopped."""
        before = self.store.spent() if self.store else {}
        spent = Spent(int(before.get("calls", 0)), int(before.get("tokens", 0)))
        return Budget(self.run.limits.max_calls, self.run.limits.max_tokens, spent)

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Record the model calls and tokens that are used meanwhile, however it ends."""
        before = self.budget.spent
        try:
            yield
        finally:
            after = self.budget.spent
            if self.store is not None:
                self.store.spend({"calls": after.calls - before.calls, "tokens": after.tokens - before.tokens})

    @cached_property
    def assistants(self) -> dict[str, Assistant]:
        from rrm.assistants.langchain import LangChainAssistant, load_chat_model
        from rrm.assistants.limit import Pace
        from rrm.assistants.stack import stacked

        return {
            name: stacked(
                LangChainAssistant(load_chat_model(part.model, part.arguments)),
                cache=self.store,
                budget=self.budget,
                pace=Pace(highest=part.concurrency),
                attempts=part.attempts,
            )
            for name, part in self.run.assistants.items()
        }

    @cached_property
    def tokenizer(self) -> HuggingFaceTokenizer:
        name = self.run.policy.arguments.get("tokenizer", "minilm")
        return load_tokenizer(name if isinstance(name, str) else "minilm")

    @cached_property
    def decomposer(self) -> Any:
        return self.make(self.run.decomposer, "decomposer")

    @cached_property
    def policy(self) -> Any:
        return self.make(self.run.policy, "policy")

    @cached_property
    def rater(self) -> Any:
        """Who rates; None for people and where nobody is asked."""
        return self.make(self.run.rater, "rater") if self.run.rater and self.run.rater.plugin != PEOPLE else None

    @property
    def rater_name(self) -> str:
        return PEOPLE if self.rater is None else str(self.rater.name)

    @cached_property
    def composer(self) -> Any:
        return self.make(self.run.compose, "compose")

    @cached_property
    def train_set(self) -> SourceSet | None:
        return self.make(self.run.train, "train") if self.run.train else None

    @cached_property
    def target_set(self) -> SourceSet:
        found: SourceSet = self.make(self.run.target, "target")
        return found

    @cached_property
    def train(self) -> list[Source]:
        return list(self.train_set.sources()) if self.train_set else []

    @cached_property
    def target(self) -> list[Source]:
        return list(self.target_set.sources())

    @cached_property
    def given(self) -> list[tuple[int | str, list[Rated]]]:
        """The ratings made elsewhere, each table with the level that it is about."""
        found = []
        for number, table in enumerate(self.run.recorded):
            level = 0 if isinstance(table.level, str) else table.level  # "root" is a number once there are trees
            found.append((table.level, list(self.make(table, f"recorded.{number}", level=level).rated())))
        return found

    def make(self, part: Part, where: str, **offered: Any) -> Any:
        """Make a plug-in with its arguments, and with those offered parts that it takes."""
        arguments = dict(part.arguments)
        if isinstance(arguments.get("assistant"), str):
            offered["assistant"] = self._assistant(arguments.pop("assistant"), where)
        elif len(self.run.assistants) == 1:
            offered["assistant"] = self._assistant(next(iter(self.run.assistants)), where)
        return make(part.plugin, arguments, offered, where)

    def _assistant(self, name: str, where: str) -> Assistant:
        if name not in self.assistants:
            known = ", ".join(self.assistants) or "none"
            raise ConfigError(f"[{where}] there is no [assistants.{name}] in the run file; there are: {known}")
        return self.assistants[name]
