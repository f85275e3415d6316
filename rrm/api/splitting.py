"""Splitting one source by any decomposer, outside a run: what `rrm decompose` draws."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import anyio

from rrm.api.plugins import load, make, named
from rrm.api.runfile import with_changes
from rrm.core.errors import PluginError, RrmError
from rrm.core.graph import GrowthBudget, Node, TaskGraph
from rrm.core.growth import checked_graph, grow
from rrm.core.protocols import (
    Assistant,
    AsyncDecomposer,
    AsyncGrowingDecomposer,
    AsyncPolicy,
    Decomposer,
    GrowingDecomposer,
    Policy,
    ProposeJob,
)
from rrm.core.task import Source
from rrm.core.values import Output
from rrm.pipeline.forest import Forest, State, Tree, prompt_context_at
from rrm.verify.decomposers import Waited

SCRIPTED = "rrm.assistants.scripted_model:ScriptedChatModel"
EXTRACTIVE = "rrm.policy.extractive:Extractive"


class Drawn(NamedTuple):
    """A tree as text, JSON or SVG, what was said of the source as it was read, and which proposals were refused."""

    text: str
    notes: tuple[str, ...]
    refusals: tuple[str, ...] = ()


def decompose(
    path: Path,
    plugin: str,
    changes: Sequence[str] = (),
    seed: int = 0,
    shape: str = "text",
    *,
    assistant: str = SCRIPTED,
    assistant_changes: Sequence[str] = (),
    answers: str = EXTRACTIVE,
) -> Drawn:
    """Return a source's tree as text, JSON or SVG, the notes on the source, and the proposals that were refused.

    A decomposer or policy that takes an `assistant` is given the one that `assistant` names, a chat model or an
    assistant; `assistant_changes` are arguments of it, as `changes` are of the decomposer. What a growing decomposer
    waits for is answered by the policy `answers`, one output a node.
    """
    from rrm.report.tree import tree_svg, tree_text

    source: Source = make("tasks.books:read_book", {"path": path}, {}, "source")
    offered = {"assistant": _assistant(assistant, _arguments(assistant_changes))}
    arguments = _arguments(changes)
    decomposer = named(make(plugin, arguments, offered, "decomposer"), plugin, arguments)
    policy = named(make(answers, {}, offered, "answers"), answers, {})
    try:
        graph = _split(decomposer, plugin, source, seed, policy)
    except (RrmError, MemoryError):
        raise
    except Exception as error:
        raise PluginError(f"{plugin} failed: {type(error).__name__}: {error}") from error
    refused = tuple(f"refused at {each.node}: {each.reason.removeprefix(f'{each.node}: ')}" for each in graph.refusals)
    if shape == "json":
        return Drawn(json.dumps(graph.to_json() | {"notes": list(source.notes)}), source.notes, refused)
    return Drawn(tree_svg(graph) if shape == "svg" else tree_text(graph, source), source.notes, refused)


def _arguments(changes: Sequence[str]) -> dict[str, Any]:
    """Return arguments that were given as key=value."""
    arguments: dict[str, Any] = with_changes({"arguments": {}}, [f"arguments.{change}" for change in changes])
    return dict(arguments["arguments"])


def _assistant(path: str, arguments: Mapping[str, Any]) -> Assistant:
    """Return the assistant of an import string, or LangChain's chat model of one as an assistant, with a cache."""
    from rrm.assistants.langchain import LangChainAssistant, make_chat_model
    from rrm.assistants.stack import stacked

    kind = load(path)
    if isinstance(kind, type) and hasattr(kind, "ask"):
        return stacked(make(path, arguments, {}, "assistant"))
    return stacked(LangChainAssistant(make_chat_model(kind, path, arguments)))


def _split(decomposer: object, plugin: str, source: Source, seed: int, policy: object) -> TaskGraph:
    if isinstance(decomposer, Decomposer):
        return checked_graph(plugin, decomposer.decompose(source, seed))
    if isinstance(decomposer, AsyncDecomposer):
        return checked_graph(plugin, anyio.run(decomposer.decompose_async, source, seed))
    if not isinstance(policy, Policy | AsyncPolicy):
        raise PluginError(f"{type(policy).__qualname__} cannot answer what the decomposer waits for: it is no policy")
    if isinstance(decomposer, GrowingDecomposer | AsyncGrowingDecomposer):
        waited = decomposer if isinstance(decomposer, GrowingDecomposer) else Waited(decomposer)
        return grow(waited, source, seed, Answering(policy, source, seed), GrowthBudget()).graph
    raise PluginError(f"{plugin} is no decomposer: it has neither `decompose` nor `split`")


@dataclass(frozen=True)
class Answering:
    """Answers nodes with a policy's first output, as a run does while its trees grow."""

    policy: Policy | AsyncPolicy
    source: Source
    seed: int

    def __call__(self, graph: TaskGraph, node: Node, answers: Mapping[str, Output]) -> Output:
        tree = Tree(self.source.id, 0, graph)
        forest = Forest({self.source.id: self.source}, (tree,), frozenset())
        job = ProposeJob(prompt_context_at(forest, tree, node.id, State(answers=answers)), 1, self.seed)
        if isinstance(self.policy, Policy):
            [[output]] = self.policy.propose([job])
            return output
        outputs: list[Output] = anyio.run(self.policy.propose_async, job)
        return outputs[0]
