"""What a run would take, before anything is spent: nodes, calls, tokens, ratings, minutes."""

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from rrm.api.runfile import RunFile
from rrm.api.wiring import Parts
from rrm.core.errors import InputError
from rrm.core.graph import TaskGraph
from rrm.core.ids import seed_for
from rrm.core.task import Source
from rrm.core.text import sentence_texts

READING_WORDS_A_MINUTE = 250
MINUTES_A_DECISION = 0.2
_SAMPLE = 64  # sentences encoded to see how fast this machine is


def forecast(settings: RunFile) -> dict[str, Any]:
    """Split the sources as the run would and count; nothing is recorded, no model is asked.

    Outputs are counted at their limit of tokens, so tokens are an upper estimate. People's minutes
    are for reading each node once at 250 words a minute and 0.2 minutes a decision; the machine's
    are for encoding, at the speed just measured here. Raises InputError for a decomposer that waits.
    """
    parts = Parts(settings)
    if not hasattr(parts.decomposer, "decompose"):
        raise InputError("a dry run cannot split with a language model, for that would cost calls")
    count = parts.tokenizer.count
    train = _planted(parts, parts.train, settings.train.trees if settings.train else 0)
    target = _planted(parts, parts.target, settings.target.trees)
    policy, rater = settings.policy, settings.rater
    outputs = sum(_outputs(graph, policy.outputs, policy.root_outputs) for _, graph in (*train, *target))
    per_node = sum(rater.per_node.values()) if rater else 0
    per_root = sum((rater.per_root or rater.per_node).values()) if rater else 0
    ratings = sum(_outputs(graph, per_node, per_root) for _, graph in train)
    shown = sum(_tokens_shown(source, graph, count) for source, graph in train)
    read = sum(_tokens_shown(source, graph, count) for source, graph in (*train, *target))
    written = sum(_tokens_written(graph, policy.outputs, policy.root_outputs) for _, graph in (*train, *target))
    asks_model = [hasattr(parts.policy, "propose_async"), rater is not None and hasattr(parts.rater, "rate_async")]
    flat = ratings if settings.flat and train else 0
    sources = [source for source, _ in {source.id: (source, 0) for source, _ in (*train, *target)}.values()]
    encoded = sum(count(source.text) for source in sources) + written
    speed = _tokens_a_second(parts, sources, count)
    return {
        "sources": {"train": len(parts.train), "target": len(parts.target)},
        "nodes_per_level": _levels([graph for _, graph in (*train, *target)]),
        "outputs": outputs,
        "ratings": ratings,
        "flat_ratings": flat,
        "model_calls": outputs * asks_model[0] + (ratings + flat) * asks_model[1],
        "model_tokens": (read * policy.outputs + written) * asks_model[0] + (shown + written) * asks_model[1],
        "people_minutes": round(0.75 * shown / READING_WORDS_A_MINUTE + (ratings + flat) * MINUTES_A_DECISION),
        "encoder_tokens": encoded,
        "machine_minutes": round(encoded / speed / 60, 1),
    }


def _planted(parts: Parts, sources: Sequence[Source], trees: int) -> list[tuple[Source, TaskGraph]]:
    seed = parts.run.seed
    return [
        (source, parts.decomposer.decompose(source, seed_for(seed, source.id, number)))
        for source in sources
        for number in range(trees)
    ]


def _outputs(graph: TaskGraph, per_node: int, per_root: int) -> int:
    return (len(graph) - 1) * per_node + per_root


def _tokens_shown(source: Source, graph: TaskGraph, count: Callable[[str], int]) -> int:
    """Tokens that stand beside the outputs over all nodes: the text at leaves, full-length parts above."""
    text = sum(count(source.read(span)) for leaf in graph.leaves if (span := graph.task(leaf).span))
    parts = sum(graph.task(child).max_tokens for node in graph for child in graph.children(node))
    return text + parts


def _tokens_written(graph: TaskGraph, per_node: int, per_root: int) -> int:
    each = {node: graph.task(node).max_tokens for node in graph}
    return sum(each.values()) * per_node + each[graph.root] * (per_root - per_node)


def _levels(graphs: Sequence[TaskGraph]) -> list[int]:
    height = max((len(graph.levels) for graph in graphs), default=0)
    return [sum(len(graph.levels[level]) for graph in graphs if level < len(graph.levels)) for level in range(height)]


def _tokens_a_second(parts: Parts, sources: Sequence[Source], count: Callable[[str], int]) -> float:
    from rrm.backbone.encoder import FrozenEncoder

    reward = parts.run.reward
    encoder = FrozenEncoder(reward.backbone, device=reward.device, dtype=reward.dtype)
    some = list(islice((text for source in sources for text in sentence_texts(source.text)), _SAMPLE))
    encoder.encode(some[:4])  # the first call loads the model
    began = time.perf_counter()
    encoder.encode(some)
    return sum(map(count, some)) / max(time.perf_counter() - began, 1e-6)
