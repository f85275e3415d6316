"""Other words for the same events, mistakes about them, and the truth about every sentence of an output."""

import doctest
import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

import tasks.synthetic_book.mistakes
import tasks.synthetic_book.rewording
from decomposers.chunks import Chunks
from rrm.core.errors import InputError
from rrm.core.graph import TaskGraph
from rrm.core.place import Place
from rrm.core.protocols import PromptContext, ProposeJob
from rrm.core.text import sentence_texts
from rrm.core.values import Output, Passage, View
from rrm.policy.careless import Careless
from rrm.policy.extractive import Extractive
from tasks.synthetic_book import SyntheticBooks, recognise, unrecognised_share
from tasks.synthetic_book.mistakes import mistake
from tasks.synthetic_book.rewording import Ways, reframe, retell
from tasks.synthetic_book.truth import Truths

WORLDS = {
    "copied": Careless([0.3, 0.15], mistake=mistake, disorder=0.1),
    "reframed": Careless([0.3, 0.15], Extractive(fill=0.8), mistake, reframe, 0.1),
    "retold": Careless([0.3, 0.15], Extractive(fill=0.8), mistake, retell, 0.1),
}


@pytest.fixture(scope="module")
def books() -> SyntheticBooks:
    return SyntheticBooks(count=2, words=2000, seed=21)


@pytest.mark.parametrize("module", [tasks.synthetic_book.rewording, tasks.synthetic_book.mistakes])
def test_the_docstring_examples_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


# ---- other words ----


@pytest.mark.parametrize("reword", [reframe, retell])
def test_a_sentence_in_other_words_tells_the_same_event(
    books: SyntheticBooks, reword: Callable[[str], Sequence[str]]
) -> None:
    rng, same, n = random.Random(0), 0, 0
    for sentence in (each for source in books.sources() for each in sentence_texts(source.text)):
        ways = reword(sentence)
        assert bool(ways) != sentence.startswith("Chapter ")
        for at in (rng.randrange(len(ways)) for _ in range(6 if ways else 0)):
            assert recognise(ways[at]) == recognise(sentence), ways[at]
            assert unrecognised_share(ways[at]) == 0 and sentence_texts(ways[at]) == [ways[at]]
            same, n = same + (ways[at] == sentence), n + 1
    assert n > 2000 and same < 0.02 * n


def test_a_retold_event_has_another_form_and_a_reframed_one_its_own_clause() -> None:
    told = "Near Ash Inn, Maron died in agony at the hands of Anna before dawn."
    assert all("Maron died in agony at the hands of Anna" in way for way in reframe(told))
    assert not any("at the hands of" in way for way in retell(told))
    caused = "Clara dismissed Marin from the firm because Marin robbed Clara of the brass key."
    ways = reframe(caused)
    assert all(
        "Marin robbed Clara of the brass key" in ways[at].replace("Because M", "M") for at in range(0, len(ways), 7)
    )


def test_all_ways_are_different_and_can_be_looked_at_one_by_one() -> None:
    ways = reframe("Clara dismissed Marin from the firm at Ash Inn because Anna hid the brass key.")
    assert len(ways) == len(set(ways)) > 5000
    assert ways[3:5] == [ways[3], ways[4]]
    with pytest.raises(IndexError, match="there are"):
        ways[len(ways)]
    assert list(Ways((("a", "b"), ("c", "d")), lambda *chosen: "".join(chosen))) == ["ac", "ad", "bc", "bd"]


@pytest.mark.parametrize("reword", [reframe, retell, mistake])
def test_what_is_not_of_this_grammar_has_no_other_words(reword: Callable[[str, str], Sequence[str]]) -> None:
    assert not reword("Nothing that this book would say.", "Anna left.") and not reword("", "")


# ---- mistakes ----


def test_every_mistake_makes_another_event(books: SyntheticBooks) -> None:
    read = books.sources()[0].text[:4000]
    made = 0
    for sentence in sentence_texts(read):
        for wrong in mistake(sentence, read):
            assert wrong != sentence and unrecognised_share(wrong) == 0
            if recognise(sentence):
                made += 1
                assert recognise(wrong) and recognise(wrong) != recognise(sentence), wrong
    assert made > 100


def test_names_are_taken_for_those_that_look_like_them() -> None:
    read = "Anna stabbed Maron through the heart. Walter accused Beatrix of lying. Marin robbed Clara of the brass key."
    told = mistake("Clara dismissed Maron from the firm.", f"{read} Clara dismissed Maron from the firm.")
    assert "Clara dismissed Marin from the firm." in told
    assert "Maron dismissed Clara from the firm." in told  # exchanged roles
    assert any("because" in each for each in told)  # a cause made up


# ---- the truth ----


class Grown:
    """A tree whose nodes' outputs a policy wrote; every parent reads its parts' first ones."""

    def __init__(self, books: SyntheticBooks, policy: Careless, seed: int = 0, tolerance: float = 0.2) -> None:
        source = books.sources()[0]
        chunks = Chunks(leaf_tokens=120, fan_in=(5, 5), max_tokens=(72, 140, 240), tolerance=tolerance)
        self.graph: TaskGraph = chunks.decompose(source, seed)
        self.contexts: dict[str, PromptContext] = {}
        self.outputs: dict[str, Sequence[Output]] = {}
        walk = self.graph.walk()
        while ready := walk.ready():
            for node in ready:
                task, parts = self.graph.task(node), [self.outputs[part][0] for part in self.graph.children(node)]
                passages = tuple(Passage(part.text, part.node, part.id, 0.5) for part in parts)
                if not parts and task.span is not None:
                    passages = (Passage(source.read(task.span)),)
                view, place = View(task.instruction, passages, task.max_tokens), Place(level=self.graph.height(node))
                self.contexts[node] = PromptContext(node, task, view, tuple(part.id for part in parts), place=place)
                [self.outputs[node]] = policy.propose([ProposeJob(self.contexts[node], 4, seed)])
                walk.done(node)
        self.truths = Truths(books, source.id, self.graph, self.contexts, self.outputs, policy)


@pytest.fixture(scope="module", params=WORLDS)
def grown(request: pytest.FixtureRequest, books: SyntheticBooks) -> Grown:
    return Grown(books, WORLDS[request.param])


def test_the_truth_of_the_sentences_is_the_accuracy_of_the_whole(grown: Grown, books: SyntheticBooks) -> None:
    source = books.sources()[0]
    for node, outputs in grown.outputs.items():
        span = None if node == grown.graph.root else grown.graph.task(node).span
        for output in outputs:
            told = [claim.true for claim in grown.truths.of(node, output) if claim.true is not None]
            accuracy = books.quality(source.id, span, output.text).accuracy
            assert accuracy == pytest.approx(np.mean(told) if told else 1.0)


def test_every_sentence_goes_back_to_the_sentences_of_the_book_that_tell_it(
    grown: Grown, books: SyntheticBooks
) -> None:
    source, traced = books.sources()[0], 0
    for output in grown.outputs[grown.graph.root]:
        for claim in grown.truths.of(grown.graph.root, output):
            assert claim.origins and claim.spans
            assert output.text[claim.span.start : claim.span.end] == claim.text
            if claim.true:
                traced += 1
                told = [event for span in claim.spans for event in recognise(source.read(span))]
                assert recognise(claim.text)[0].core in {event.core for event in told}
    assert traced > 5


def test_a_false_sentence_became_false_where_no_origin_was(grown: Grown) -> None:
    found = 0
    for node, outputs in grown.outputs.items():
        for output in outputs:
            for claim in grown.truths.of(node, output):
                assert (claim.false_since is not None) == (claim.true is False)
                below = [
                    grown.truths.of(origin.node, next(o for o in grown.outputs[origin.node] if o.id == origin.output))[
                        origin.number
                    ]
                    for origin in claim.origins
                    if origin.node is not None
                ]
                if claim.true is False:
                    found += 1
                    guilty = {each.false_since for each in below if each.true is False}
                    assert claim.false_since in (guilty or {node})
    assert found > 5


def test_without_mistakes_only_what_the_book_takes_back_is_false(books: SyntheticBooks) -> None:
    grown = Grown(books, Careless(0.0, mistake=mistake, reword=retell))
    for node, outputs in grown.outputs.items():
        for output in outputs:
            for claim in grown.truths.of(node, output):
                assert claim.true is not False or claim.taken_back


def test_what_is_false_because_a_leaf_ends_within_a_sentence_is_nobodys_mistake(books: SyntheticBooks) -> None:
    grown = Grown(books, Careless(0.0, mistake=mistake), tolerance=0.0)  # cut evenly, wherever that is
    false = {
        node: [claim for output in outputs for claim in grown.truths.of(node, output) if claim.true is False]
        for node, outputs in grown.outputs.items()
    }
    assert all(claim.cut or claim.taken_back for claims in false.values() for claim in claims)
    leaves = [node for node in false if not grown.graph.children(node)]
    assert sum(claim.cut for node in leaves for claim in false[node]) > 1
    above = [claim for node in false if node not in leaves for claim in false[node]]
    assert any(claim.cut and claim.false_since in leaves for claim in above)


def test_the_truth_of_another_policys_output_is_not_known(grown: Grown, books: SyntheticBooks) -> None:
    truths = Truths(books, books.sources()[0].id, grown.graph, grown.contexts, grown.outputs, Careless(0.5))
    with pytest.raises(InputError, match="was not written by"):
        truths.of(grown.graph.root, grown.outputs[grown.graph.root][0])
