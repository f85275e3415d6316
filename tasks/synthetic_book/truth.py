"""The truth about every sentence of an output: is it so, where does it come from, and in which step did it go wrong.

It follows what a policy knows of its own outputs (`trace`) from a root down to the sentences of the book. Nobody who
rates or learns is shown any of it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from rrm.core.graph import TaskGraph
from rrm.core.protocols import PromptContext
from rrm.core.task import Span
from rrm.core.text import sentences
from rrm.core.tracing import Piece
from rrm.core.values import Output
from tasks.synthetic_book.sources import SyntheticBooks


class Tracing(Protocol):
    """A policy that knows what its outputs were made from."""

    def trace(self, prompt_context: PromptContext, output: Output) -> tuple[Piece, ...]:
        """Return what an output was made from, piece by piece."""
        ...


class Origin(NamedTuple):
    """Sentence `number`, counted from 0, of a part's output (its node and id), or of the node's own text (None)."""

    node: str | None
    output: str | None
    number: int


class ClaimTruth(NamedTuple):
    """The truth about one sentence of an output.

    `true` says whether it is true of the source as told up to the end of the node's span, as
    `SyntheticBooks.quality` counts it; None where it tells no event. `false_since` is the node in whose step it
    became false: where no origin was false already. That may be because the book took back by
    then what the origins say (`taken_back`). Of a sentence of the source that was `cut` in two, where a leaf ends, a
    half may tell what is not so: nobody's mistake. `origins` are the sentences of the view that it was made from, and
    `spans` the sentences of the source that these go back to, in order, without repetitions.
    """

    span: Span
    text: str
    true: bool | None
    false_since: str | None
    taken_back: bool
    cut: bool
    origins: tuple[Origin, ...]
    spans: tuple[Span, ...]


class Truths:
    """The truth by claim of the outputs that stand in one tree of a source.

    `prompt_contexts` are what the nodes' outputs were made from, `outputs` those that stand there, and `policy` wrote
    them all. Sentences are those of `rrm.core.text.sentences`.
    """

    def __init__(
        self,
        books: SyntheticBooks,
        source: str,
        graph: TaskGraph,
        prompt_contexts: Mapping[str, PromptContext],
        outputs: Mapping[str, Sequence[Output]],
        policy: Tracing,
    ) -> None:
        self._books, self._source, self._graph = books, source, graph
        self._prompt_contexts, self._outputs, self._policy = prompt_contexts, outputs, policy
        self._known: dict[str, tuple[ClaimTruth, ...]] = {}
        self._whole = set(sentences(books.book(source).source.text))

    def of(self, node: str, output: Output) -> tuple[ClaimTruth, ...]:
        """Return the truth about each sentence of an output at a node, in order.

        Raises InputError if the policy did not write it, KeyError for one that rests on outputs not given.
        """
        if output.id not in self._known:
            self._known[output.id] = tuple(self._claims(node, output))
        return self._known[output.id]

    def _claims(self, node: str, output: Output) -> list[ClaimTruth]:
        prompt_context = self._prompt_contexts[node]
        shown = self._shown(node, prompt_context)
        pieces = self._policy.trace(prompt_context, output)
        claims = []
        for span in sentences(output.text):
            made_from = [piece for piece in pieces if piece.span.start < span.end and span.start < piece.span.end]
            places = dict.fromkeys(place for piece in made_from for place in piece.places)
            claims.append(
                self._claim(node, output.text[span.start : span.end], span, [shown[place] for place in places])
            )
        return claims

    def _claim(self, node: str, text: str, span: Span, shown: Sequence[tuple[Origin, Span | ClaimTruth]]) -> ClaimTruth:
        task = self._graph.task(node)
        end = None if node == self._graph.root or task.span is None else task.span.end
        fact = self._books.fact(self._source, text, end)
        below = [made for _, made in shown if isinstance(made, ClaimTruth)]
        spans = [at for _, made in shown for at in (made.spans if isinstance(made, ClaimTruth) else (made,))]
        since = next((each.false_since for each in below if each.true is False), node) if fact.true is False else None
        taken_back = any(each.taken_back for each in below if each.false_since == since) or (
            since == node and fact.taken_back
        )
        cut = not self._whole.issuperset(spans)
        origins = tuple(origin for origin, _ in shown)
        return ClaimTruth(
            span,
            text,
            fact.true,
            since,
            fact.true is False and taken_back,
            cut,
            origins,
            tuple(dict.fromkeys(spans)),
        )

    def _shown(self, node: str, prompt_context: PromptContext) -> list[tuple[Origin, Span | ClaimTruth]]:
        """Return every sentence of a node's passages: where it stands, and its span in the source or its truth."""
        shown: list[tuple[Origin, Span | ClaimTruth]] = []
        for passage in prompt_context.view.passages:
            if passage.node is None or passage.output is None:
                start = self._graph.task(node).span
                assert start is not None  # the passage is the node's own piece of the source
                shown += [
                    (Origin(None, None, number), Span(start.start + each.start, start.start + each.end))
                    for number, each in enumerate(sentences(passage.text))
                ]
            else:
                made = next(each for each in self._outputs[passage.node] if each.id == passage.output)
                shown += [
                    (Origin(passage.node, passage.output, number), claim)
                    for number, claim in enumerate(self.of(passage.node, made))
                ]
        return shown
