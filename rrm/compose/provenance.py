"""Where the outputs of a tree come from: the claims of all that the root's outputs were made from, step by step."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from rrm.compose.align import Aligner
from rrm.core.claims import Claims, SeenText
from rrm.core.protocols import PromptContext
from rrm.core.values import Output


def traced(
    outputs: Sequence[Output],
    known: Mapping[str, Output],
    prompt_contexts: Mapping[str, PromptContext],
    aligner: Aligner,
) -> dict[str, Claims]:
    """Return the claims of outputs and of all that they were made from, by output id, those above first.

    `known` are the outputs that may have been read, by id, and `prompt_contexts` what was shown at each node. What is
    not known, or was made from another view than its node's, has no claims: ways to the source end there.
    """
    found: dict[str, Claims] = {}
    waiting = list(outputs)
    while waiting:
        by_node: dict[str, list[Output]] = defaultdict(list)
        for output in waiting:
            shown = prompt_contexts.get(output.node)
            if shown is not None and (output.inputs, output.context) == (shown.inputs, shown.context):
                by_node[output.node].append(output)
        read: dict[str, Output] = {}
        for node, here in by_node.items():
            seen = seen_at(prompt_contexts[node], known)
            for claims in aligner.align(here, seen):
                found[claims.output] = claims
            read |= {each.output: known[each.output] for each in seen if each.output is not None}
        waiting = [output for id_, output in read.items() if id_ not in found]
    return found


def seen_at(prompt_context: PromptContext, known: Mapping[str, Output]) -> list[SeenText]:
    """Return the texts that an author saw at a node: passages, then the outputs told before it, oldest first.

    A passage without an output is the node's piece of the source. An output that is not `known` is left out.
    """
    span = prompt_context.task.span
    start = span.start if span is not None else 0
    passages = [
        SeenText(passage.text, passage.output, 0 if passage.output else start)
        for passage in prompt_context.view.passages
        if passage.output is None or passage.output in known
    ]
    before = [SeenText(known[id_].text, id_) for id_ in prompt_context.context if id_ in known]
    return [*passages, *before]
