"""Blame by claim: the step at which a sentence went wrong is found, and what a node lost adds up."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from rrm.compose.align import Aligner
from rrm.compose.blame import node_blame, subtree_blame, with_blame
from rrm.compose.composers import Informed
from rrm.compose.provenance import read_back, traced
from rrm.core.claims import Chain, Claim, Claims, Origin, Quote, chains
from rrm.core.graph import Proposal, TaskGraph
from rrm.core.place import Place
from rrm.core.protocols import PromptContext
from rrm.core.task import Source, Span, Task
from rrm.core.text import sentences
from rrm.core.values import Output, Passage, Request, Shown, View
from rrm.policy.mistakes import exchanged
from rrm.raters.simulated import SimulatedRaters
from tasks.synthetic_book import SyntheticBooks

FAN = 10


class Told:
    """A book's tree of 200 leaves in which one leaf exchanged a name; every node says what stands below it."""

    def __init__(self, seed: int) -> None:
        [book] = SyntheticBooks(count=1, words=9000, seed=seed).sources()
        spans = sentences(book.text)[: 200 * 3]
        self.source = Source("Book", book.text[: spans[-1].end])
        graph = TaskGraph.start(Task("Tell all.", self.source.id, Span(0, len(self.source.text))), "test", 0)
        starts = [*(span.start for span in spans[::3]), len(self.source.text)]
        starts[0] = 0
        leaves = [Span(a, b) for a, b in pairwise(starts)]
        parts = [Span(leaves[at].start, leaves[at + FAN - 1].end) for at in range(0, 200, FAN)]
        graph = graph.grow(graph.root, Proposal(tuple(Task("Tell.", self.source.id, span) for span in parts)))
        for at, part in enumerate(graph.children(graph.root)):
            here = leaves[at * FAN : (at + 1) * FAN]
            graph = graph.grow(part, Proposal(tuple(Task("Say.", self.source.id, span) for span in here)))
            for leaf in graph.children(part):
                graph = graph.grow(leaf, Proposal())
        self.graph = graph
        self.contexts: dict[str, PromptContext] = {}
        self.outputs: dict[str, Output] = {}
        tellers = graph.children(graph.root)
        random = np.random.default_rng(seed)
        self.guilty = ""
        self.said: dict[str, Output] = {}
        for part in tellers:
            chosen = graph.children(part)[int(random.integers(FAN))]
            for leaf in graph.children(part):
                text = self.source.read(graph.task(leaf).span or Span(0, 0))
                told = " ".join(text[start:end] for start, end in sentences(text)[:2])
                if leaf == chosen and not self.guilty:
                    first = sentences(text)[0]
                    wrong = exchanged(text[first.start : first.end], self.source.text)
                    if len(wrong):
                        told, self.guilty = str(wrong[int(random.integers(len(wrong)))]), leaf
                self._say(leaf, told, (Passage(text),))
            below = tuple(self._passage(leaf) for leaf in graph.children(part))
            self._say(part, sentences_of(self.said[chosen].text)[0], below)
        root = " ".join(self.said[part].text for part in tellers)
        self._say(graph.root, root, tuple(self._passage(part) for part in tellers))

    def _passage(self, node: str) -> Passage:
        return Passage(self.said[node].text, node, self.said[node].id, 0.5)

    def _say(self, node: str, text: str, passages: tuple[Passage, ...]) -> None:
        view = View("Tell.", passages, 400)
        inputs = tuple(passage.output for passage in passages if passage.output)
        self.contexts[node] = PromptContext(node, self.graph.task(node), view, inputs)
        self.said[node] = Output(node, text, "p", 0, inputs)
        self.outputs[self.said[node].id] = self.said[node]


def sentences_of(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_eight_checks_find_an_error_planted_in_one_of_200_leaves(seed: int) -> None:
    told = Told(seed)
    root = told.said[told.graph.root]
    claims = traced([root], told.outputs, told.contexts, Aligner())
    view = read_back(told.contexts[root.node].view, claims, told.outputs, told.source.text)
    assert view is not None
    raters = SimulatedRaters("tasks.synthetic_book:perceived_quality", read=0.95, temperature=0.2, lapse=0.02)

    def scores(texts: Sequence[str]) -> np.ndarray:
        requests = [Request("n", "s", Place(), "label", view, (Shown(text, text),)) for text in texts]
        return np.array([raters.probability(request)[0] for request in requests])

    found = with_blame(root.text, chains(root.id, claims, told.outputs, told.source.text), scores)
    blame = node_blame(found, told.graph)
    suspects = sorted((node for node in told.graph if not told.graph.children(node)), key=lambda node: -blame[node])
    assert suspects.index(told.guilty) < 8
    assert subtree_blame(blame, told.graph)[told.graph.root] == pytest.approx(sum(blame.values()))


def chain(*texts: str) -> Chain:
    """A claim of the root over one of a part and one of a leaf, over a quotation."""
    *nodes, quote = texts
    made = Chain(nodes[-1], f"n{len(nodes) - 1}", f"output {nodes[-1]}", 0, 1.0, quotes=(Quote(Span(0, 9), quote),))
    for depth in reversed(range(len(nodes) - 1)):
        made = Chain(nodes[depth], f"n{depth}", f"output {depth} {nodes[depth]}", 0, 1.0, below=(made,))
    return made


def by_name(texts: Sequence[str]) -> np.ndarray:
    """Anna is right, and a text loses half for everybody else."""
    return np.array([0.5 ** sum(text.count(name) for name in ("Ben", "Clara")) for text in texts])


def test_the_step_that_changed_a_claim_is_to_blame_and_no_other() -> None:
    good, bad = (
        chain("Anna sang.", "Anna sang.", "Anna sang.", "Anna sang."),
        chain("Ben ran.", "Ben ran.", "Anna ran.", "Anna ran."),
    )
    found = with_blame("Anna sang. Ben ran.", (good, bad), by_name)
    assert [[each.blame for each in claim.walk()] for claim in found] == [[0, 0, 0], [0, 0.5, 0]]


def test_a_claim_changed_twice_is_blamed_on_both_steps() -> None:
    [found] = with_blame(
        "Ben ran to Clara.",
        (chain("Ben ran to Clara.", "Anna ran to Clara.", "Anna ran to her.", "Anna ran."),),
        by_name,
    )
    assert [each.blame for each in found.walk()] == [0.25, 0.5, 0]


def test_a_claim_that_leads_nowhere_has_no_blame_and_many_joined_share_it() -> None:
    lost = Chain("Ben ran.", "n0", "o0", 0, 0.0)
    joined = Chain(
        "Ben and Clara ran.", "r", "r", 0, 1.0, below=(chain("Ben ran.", "Anna ran."), chain("Clara ran.", "Anna ran."))
    )
    [nothing] = with_blame("Ben ran.", (lost,), by_name)
    assert nothing.blame is None
    [found] = with_blame("Ben and Clara ran.", (joined,), by_name)
    assert [each.blame for each in found.walk()] == [0, 0.375, 0.375]
    assert with_blame("", (), by_name) == ()


def everything(said: str, *source: str) -> Chain:
    """A claim of the root over a part and over leaves, all of whose authors cite all that they saw."""
    leaves = tuple(
        Chain(text, f"n{at}", f"leaf {at}", 0, 1.0, True, quotes=(Quote(Span(0, 99), " ".join(source)),))
        for at, text in enumerate(source)
    )
    part = tuple(Chain(text, "part", "part", at, 1.0, True, leaves) for at, text in enumerate([said, *source[1:]]))
    return Chain(said, "root", "root", 0, 1.0, True, part)


def by_length(texts: Sequence[str]) -> np.ndarray:
    """The longer a text is, the more it covers; whatever is said of Ben is false."""
    return np.array([len(text) / 1000 - 0.5 * text.count("Ben") for text in texts])


def test_what_is_copied_word_for_word_loses_nothing_whatever_its_author_cites() -> None:
    told = ("Anna ran to the mill.", "Clara slept.", "A long night fell on all the houses of the town.")
    [found] = with_blame(told[0], (everything(*told[:1], *told),), by_length)
    assert {each.blame for each in found.walk() if each.blame} == set() and found.blame == 0
    assert found.weakest() == ()


def test_the_clause_of_a_longer_sentence_that_is_copied_loses_nothing() -> None:
    whole = "Clara slept, but Anna ran to the mill, and a long night fell on all the houses of the town."
    made = Chain("but Anna ran to the mill,", "n", "o", 0, 1.0, quotes=(Quote(Span(0, 99), whole),))
    [found] = with_blame(made.text, (made,), by_length)
    assert found.blame == 0


def test_the_step_that_exchanged_a_name_is_found_though_all_authors_cite_everything() -> None:
    told = ("Anna ran to the mill.", "Clara slept.", "A long night fell on all the houses of the town.")
    [found] = with_blame("Ben ran to the mill.", (everything("Ben ran to the mill.", *told),), by_length)
    [worst] = found.weakest()
    assert (worst.node, worst.text, worst.blame) == ("part", "Ben ran to the mill.", pytest.approx(0.501))


def test_a_way_of_two_thousand_steps_is_blamed_where_it_was_changed() -> None:
    [found] = with_blame("Ben ran.", (chain(*["Ben ran."] * 1000, *["Anna ran."] * 1000),), by_name)
    assert [(each.node, each.blame) for each in found.weakest()] == [("n999", 0.5)]


def test_steps_that_lose_as_much_are_all_told() -> None:
    joined = Chain(
        "Ben and Clara ran.", "r", "r", 0, 1.0, below=(chain("Ben ran.", "Anna ran."), chain("Clara ran.", "Anna ran."))
    )
    [found] = with_blame("Ben and Clara ran.", (joined,), by_name)
    assert [each.text for each in found.weakest()] == ["Ben ran.", "Clara ran."]


def test_a_view_read_back_has_the_sources_words_and_strikes_what_leads_nowhere() -> None:
    told = Told(1)
    part = told.graph.parents(told.guilty)[0]
    claims = traced([told.said[part]], told.outputs, told.contexts, Aligner())
    shown = told.contexts[part].view
    scored = replace(shown, passages=tuple(replace(each, score=0.3) for each in shown.passages))
    view = read_back(scored, claims, told.outputs, told.source.text)
    assert view is not None and {passage.score for passage in view.passages} == {None}
    assert view.text.count(told.said[told.guilty].text) == 0
    assert all(sentence in " ".join(told.source.text.split()) for sentence in sentences_of(view.text))
    assert read_back(shown, {}, told.outputs, told.source.text) is None
    leaf = told.contexts[told.guilty].view
    assert read_back(leaf, {}, {}, told.source.text) is None  # it shows the source itself


def test_the_informed_composer_takes_the_scores_that_it_is_handed() -> None:
    assert Informed().reads_back and not Informed().needs_anchor


def test_a_root_all_of_whose_parts_failed_leads_nowhere() -> None:
    assert read_back(View("Tell.", (), 20), {}, {}, "Anna slept.") is None


def test_ways_that_end_in_a_stretch_without_words_are_struck() -> None:
    leaf = Output("leaf", "Anna slept.", "p", 0)
    claims = Claims(leaf.id, (Claim(Span(0, 11), (Origin(None, Span(11, 14), 1.0),)),))  # spaces that no leaf covers
    view = View("Tell.", (Passage(leaf.text, "leaf", leaf.id),), 20)
    assert read_back(view, {leaf.id: claims}, {leaf.id: leaf}, "Anna slept.   Ben woke.") is None


def test_what_was_mended_or_left_out_on_the_way_is_nobodys_blame() -> None:
    source = Source("Book", "Ada fed Ben.")
    quote = Quote(Span(0, 12), source.text)
    leaf = Chain(quote.text, "leaf", "c", 0, 1.0, quotes=(quote,))
    part = Chain("Ada fed Cy.", "part", "b", 0, 1.0, below=(leaf,))
    root = Chain("Ada fed.", "root", "a", 0, 1.0, below=(part,))

    def blamed(root_score: float, part_score: float) -> list[float | None]:
        known = {root.text: root_score, part.text: part_score, leaf.text: 0.8}
        [found] = with_blame(root.text, (root,), lambda texts: np.array([known[text] for text in texts]))
        return [each.blame for each in found.walk()]

    assert blamed(0.8, 0.2) == [0, 0, 0]  # what the part made up is not in the root's output
    assert blamed(0.5, 0.2) == pytest.approx([0, 0.3, 0])  # some of it is
    assert blamed(0.2, 0.2) == pytest.approx([0, 0.6, 0])
    assert blamed(0.2, 0.7) == pytest.approx([0.5, 0.1, 0])
