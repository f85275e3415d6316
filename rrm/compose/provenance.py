"""Where the outputs of a tree come from: the claims of all that the root's outputs were made from, step by step."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rrm.compose.align import Aligner
from rrm.core.claims import Claims, SeenText, chains
from rrm.core.protocols import PromptContext
from rrm.core.values import Output, View


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
            for claims in aligner.align(here, seen, [output.citations for output in here]):
                found[claims.output] = claims
            read |= {each.output: known[each.output] for each in seen if each.output and each.output in known}
        waiting = [output for id_, output in read.items() if id_ not in found]
    return found


def seen_at(prompt_context: PromptContext, known: Mapping[str, Output]) -> list[SeenText]:
    """Return the texts that an author saw at a node: passages, then the outputs told before it, oldest first.

    A passage without an output is the node's piece of the source. Of an output that is not `known` nothing was seen;
    its text is empty, so that numbers in citations hold.
    """
    span = prompt_context.task.span
    start = span.start if span is not None else 0
    passages = [
        SeenText(passage.text, passage.output, 0 if passage.output else start)
        if passage.output is None or passage.output in known
        else SeenText("", passage.output)
        for passage in prompt_context.view.passages
    ]
    before = [SeenText(known[id_].text if id_ in known else "", id_) for id_ in prompt_context.context]
    return [*passages, *before]


def read_back(view: View, claims: Mapping[str, Claims], outputs: Mapping[str, Output], source: str) -> View | None:
    """Return a view with the source's own words in the place of what outputs say: what an informed rater would read.

    Each output shown gives way to the pieces of the source that its claims come to rest on, in their order; a claim
    that leads nowhere is struck, and so is all of an output whose claims are not known. The pieces have no score: what
    was said of an output tells nothing of the words that stand in its place. Returns None where nothing leads to the
    source.
    """
    passages = []
    for passage in view.passages:
        if passage.output is None:
            passages.append(passage)
        elif passage.output in claims and passage.output in outputs:
            found = chains(passage.output, claims, outputs, source)
            quotes = sorted({quote for chain in found for quote in chain.reaches()})
            text = " ".join(dict.fromkeys(" ".join(quote.text.split()) for quote in quotes))
            passages += [replace(passage, text=text, score=None)] if text else []
    return replace(view, passages=tuple(passages)) if any(each.output for each in passages) else None
