"""The book procedure's golden tests (SYSTEMS section 3), natural boundaries, skipped spans and odd texts."""

import gzip
import json
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decomposers.chunks import Chunks, _even_cuts
from rrm.core.errors import ConfigError, InputError
from rrm.core.graph import TaskGraph
from rrm.core.protocols import Decomposer
from rrm.core.task import Source, Span

WORDS = ("cat", "sat", "mat", "saw", "no", "dog", "in", "all", "that", "rain", "while", "time", "went", "by")
NOVELS = Path(os.environ.get("RRM_DATA", "../shared/data")) / "novels"


def prose(words: int, seed: int = 0, paragraph: int = 5) -> str:
    """Sentences of 5 to 14 common words, each one token, a blank line after every `paragraph` sentences."""
    random = np.random.default_rng(seed)
    text, count, number = [], 0, 0
    while count < words:
        length = int(random.integers(5, 15))
        sentence = " ".join(random.choice(WORDS, length)).capitalize() + "."
        number += 1
        text.append(sentence + ("\n\n" if number % paragraph == 0 else " "))
        count += length + 1  # the full stop is a token too
    return "".join(text)


def leaf_texts(graph: TaskGraph, source: Source) -> list[str]:
    return [source.read(span) for span in leaf_spans(graph)]


def leaf_spans(graph: TaskGraph) -> list[Span]:
    return [span for leaf in graph.leaves if (span := graph.task(leaf).span) is not None]


def tokens(text: str) -> int:
    """Count prose's tokens by hand: words and full stops."""
    return len(text.replace(".", " .").split())


@pytest.fixture(scope="module")
def book() -> Source:
    return Source("a book of 120,000 tokens", prose(120_000))


@pytest.fixture(scope="module")
def tree(book: Source) -> TaskGraph:
    return Chunks().decompose(book, 0)


def test_it_is_a_decomposer() -> None:
    assert isinstance(Chunks(), Decomposer)


def test_the_leaves_together_are_the_book(book: Source, tree: TaskGraph) -> None:
    assert "".join(leaf_texts(tree, book)) == book.text


def test_120_000_tokens_at_600_give_200_leaves_20_nodes_above_them_and_height_3(tree: TaskGraph) -> None:
    counts = [len(level) for level in tree.levels]
    assert 195 <= counts[0] <= 206
    assert 17 <= counts[1] <= 21
    assert 2 <= counts[2] <= 3
    assert counts[3:] == [1]


def test_leaf_sizes_lie_within_a_quarter_of_each_other(book: Source, tree: TaskGraph) -> None:
    sizes = [tokens(text) for text in leaf_texts(tree, book)]
    assert max(sizes) <= 1.25 * min(sizes) + 1
    assert 0.8 * 600 <= min(sizes) <= max(sizes) <= 1.2 * 600


def test_every_cut_lies_within_a_fifth_of_a_leaf_from_the_even_cut(book: Source, tree: TaskGraph) -> None:
    sizes = [tokens(text) for text in leaf_texts(tree, book)]
    even = sum(sizes) / len(sizes)
    drift = np.abs(np.cumsum(sizes) - even * np.arange(1, len(sizes) + 1))
    assert drift.max() <= 0.2 * even + 1


def test_all_leaves_are_equally_deep_and_fan_in_is_kept(tree: TaskGraph) -> None:
    assert {tree.depth(leaf) for leaf in tree.leaves} == {3}
    for height, most in ((1, 10), (2, 8), (3, 8)):
        assert all(2 <= len(tree.children(node)) <= most for node in tree.levels[height])


def test_the_same_seed_gives_the_same_tree_and_another_seed_another(book: Source, tree: TaskGraph) -> None:
    assert Chunks().decompose(book, 0).to_json() == tree.to_json()
    here, other = leaf_spans(tree), leaf_spans(Chunks().decompose(book, 1))
    assert sum(a != b for a, b in zip(here, other, strict=True)) > len(here) / 2


def test_limits_and_room_for_context_go_by_height(book: Source, tree: TaskGraph) -> None:
    leaf, above, higher, root = (tree.task(level[0]) for level in tree.levels)
    assert [task.max_tokens for task in (leaf, above, higher, root)] == [128, 192, 384, 384]
    first = leaf_texts(tree, book)[0]
    assert leaf.context_tokens == 2048 - tokens(first) - 128
    assert above.context_tokens == 2048 - 128 * len(tree.children(tree.levels[1][0])) - 192
    assert higher.context_tokens == 2048 - 192 * len(tree.children(tree.levels[2][0])) - 384
    assert leaf.instruction != above.instruction == root.instruction


def test_each_node_may_read_the_one_before_it_at_its_depth_unless_context_is_off(book: Source, tree: TaskGraph) -> None:
    assert [tree.before(leaf) for leaf in tree.leaves] == [None, *tree.leaves[:-1]]
    assert tree.before(tree.levels[1][1]) == tree.levels[1][0]
    alone = Chunks(context=False).decompose(book, 0)
    assert all(alone.before(node) is None for node in alone)
    assert {alone.task(node).context_tokens for node in alone} == {0}


def test_cuts_prefer_paragraphs_and_never_cut_a_sentence_where_paragraphs_are_short(
    book: Source, tree: TaskGraph
) -> None:
    texts = leaf_texts(tree, book)[:-1]
    assert all(text.rstrip().endswith(".") for text in texts)
    assert sum(text.endswith("\n\n") for text in texts) > 0.9 * len(texts)


def test_a_chapter_break_near_an_even_cut_is_where_the_text_is_cut() -> None:
    text = prose(5_900, paragraph=3)  # ten leaves
    sentence_ends = [at + 2 for at in range(len(text)) if text.startswith(". ", at)]
    breaks = tuple(min(sentence_ends, key=lambda at, aim=aim: abs(at - aim * len(text))) for aim in (0.205, 0.5, 0.795))
    source = Source("chapters", text, breaks)
    for seed in range(5):
        starts = {span.start for span in leaf_spans(Chunks().decompose(source, seed))}
        assert starts.issuperset(breaks)


def test_a_text_under_the_limit_is_one_leaf() -> None:
    source = Source("short", prose(500))
    graph = Chunks().decompose(source, 0)
    assert len(graph) == 1
    assert graph.task(graph.root).span == (0, len(source.text))


def test_one_word_is_a_book() -> None:
    assert len(Chunks().decompose(Source("word", "Alas"), 0)) == 1


@pytest.mark.parametrize("text", ["", "   \n\n \t"])
def test_an_empty_book_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="nothing: there is no text"):
        Chunks().decompose(Source("nothing", text), 0)


ODD_TEXTS = {
    "endless": "a" * 20_000,
    "chinese": "中文" * 5_000,
    "stops": "。" * 5_000,
    "dots": "." * 20_000,
    "one line": "word " * 5_000,
    "short lines": "x\n" * 5_000,
    "emoji": "\U0001f600" * 5_000,
    "long words": " ".join(["z" * 500] * 40),
    "lone surrogates": "\ud800 and words " * 2_000,
    "control signs": "\x01" * 5_000,
    "much blank": "a" + " " * 50_000 + "b " * 3_000,
}


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_texts_without_spaces_sentences_or_lines_are_covered_exactly(text: str) -> None:
    source = Source("odd", text)
    graph = Chunks(leaf_tokens=50, fan_in=(3,)).decompose(source, 0)
    assert "".join(leaf_texts(graph, source)) == text
    assert all(leaf.strip() for leaf in leaf_texts(graph, source))
    assert len({graph.depth(leaf) for leaf in graph.leaves}) == 1


def test_a_word_without_end_counts_by_its_length_not_as_one_token() -> None:
    assert len(Chunks(leaf_tokens=100).decompose(Source("endless", "a" * 40_000), 0).leaves) == 100


def test_skipped_spans_at_the_ends_and_inside_are_declared_and_in_no_leaf() -> None:
    text = "PREAMBLE " + prose(900) + "ADVERTISEMENT " + prose(700, seed=1) + "POSTAMBLE"
    advert = text.index("ADVERTISEMENT")
    gaps = (Span(0, 9), Span(advert, advert + 14), Span(len(text) - 9, len(text)))
    source = Source("with extras", text, skipped=gaps)
    graph = Chunks(leaf_tokens=100, fan_in=(3,)).decompose(source, 0)
    told = sorted(span for node in graph for span in graph.skipped(node))
    assert told == list(gaps)
    assert "".join(leaf_texts(graph, source)) == text[9:advert] + text[advert + 14 : -9]
    inside = next(node for node in graph if gaps[1] in graph.skipped(node))
    edges = {at for child in graph.children(inside) for at in graph.task(child).span or ()}
    assert edges.issuperset(gaps[1])


def test_a_one_leaf_text_loses_its_preamble_by_a_shorter_root() -> None:
    source = Source("short", "PREAMBLE a short tale END", skipped=(Span(0, 9), Span(21, 25)))
    graph = Chunks().decompose(source, 0)
    assert leaf_texts(graph, source) == ["a short tale"]


def test_skipped_spans_that_touch_or_overlap_are_one_gap() -> None:
    source = Source("gap", "one two three four", skipped=(Span(4, 8), Span(6, 14), Span(14, 16)))
    graph = Chunks().decompose(source, 0)
    assert leaf_texts(graph, source) == ["one ", "ur"]
    assert graph.skipped(graph.root) == (Span(4, 16),)


def test_a_text_that_is_skipped_altogether_is_refused() -> None:
    with pytest.raises(InputError, match="outside the skipped spans"):
        Chunks().decompose(Source("gone", "all of it ", skipped=(Span(0, 9),)), 0)


@pytest.mark.parametrize(
    "settings",
    [
        {"leaf_tokens": 0},
        {"fan_in": ()},
        {"fan_in": (10, 1)},
        {"max_tokens": ()},
        {"max_tokens": (0,)},
        {"tolerance": 0.5},
        {"tolerance": -0.1},
    ],
)
def test_settings_that_make_no_tree_are_refused_by_name(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Chunks(**settings)  # type: ignore[arg-type]


def test_the_name_covers_the_settings() -> None:
    assert Chunks().name == Chunks().name
    assert (
        len({Chunks().name, Chunks(leaf_tokens=500).name, Chunks(fan_in=(10,)).name, Chunks(context=False).name}) == 4
    )


@settings(max_examples=40, deadline=None)
@given(
    text=st.text(alphabet="ab .\n中", min_size=1, max_size=400).filter(str.strip),
    leaf_tokens=st.integers(1, 30),
    fan_in=st.lists(st.integers(2, 5), min_size=1, max_size=3),
    seed=st.integers(0, 5),
    data=st.data(),
)
def test_any_text_is_cut_into_a_level_tree_that_covers_it(
    text: str, leaf_tokens: int, fan_in: list[int], seed: int, data: st.DataObject
) -> None:
    edges = st.integers(0, len(text))
    pairs = data.draw(st.lists(st.tuples(edges, edges).filter(lambda pair: pair[0] < pair[1]), max_size=3))
    skipped = tuple(Span(*pair) for pair in sorted(pairs))
    breaks = tuple(sorted(data.draw(st.sets(st.integers(1, len(text) - 1), max_size=4)))) if len(text) > 1 else ()
    source = Source("any", text, breaks, skipped)
    kept = "".join(sign for at, sign in enumerate(text) if not any(a <= at < b for a, b in skipped))
    if not kept.strip():
        return
    graph = Chunks(leaf_tokens=leaf_tokens, fan_in=tuple(fan_in)).decompose(source, seed)
    assert "".join("".join(leaf_texts(graph, source)).split()) == "".join(kept.split())
    assert len({graph.depth(leaf) for leaf in graph.leaves}) == 1
    assert all(len(graph.children(node)) != 1 for node in graph)


@settings(max_examples=100, deadline=None)
@given(n=st.integers(1, 60), parts=st.integers(1, 12), data=st.data())
def test_cuts_are_the_cheapest_among_all_that_keep_the_limits(n: int, parts: int, data: st.DataObject) -> None:
    parts = min(parts, n)
    cost = np.array(data.draw(st.lists(st.integers(0, 9), min_size=n + 1, max_size=n + 1)), dtype=float)
    cuts = _even_cuts(cost, parts, 0.2)
    mean = n / parts
    small = min(int(mean), int(np.ceil(mean * 8 / 9)))
    large = max(int(np.ceil(mean)), int(mean * 10 / 9))
    cheapest = {0: 0.0}  # the cheapest way to each position, by plain search
    for number in range(1, parts):
        near = [at for at in range(n) if abs(at - number * mean) <= max(1.0, 0.2 * mean) + 1e-9]
        cheapest = {
            at: cost[at] + min(ways)
            for at in near
            if (ways := [c for p, c in cheapest.items() if small <= at - p <= large])
        }
    best = min(c for p, c in cheapest.items() if small <= n - p <= large)
    assert sum(cost[at] for at in cuts) == pytest.approx(best)
    assert all(small <= b - a <= large for a, b in pairwise([0, *cuts, n]))


@pytest.mark.skipif(not NOVELS.is_dir(), reason=f"the real novels are not in {NOVELS}: set RRM_DATA")
def test_a_real_novel_is_cut_evenly_and_mostly_between_paragraphs() -> None:
    with gzip.open(NOVELS / "ENG18652_Carroll.jsonl.gz", "rt", encoding="utf-8") as file:
        chapters = ["\n\n".join(json.loads(line)["paragraphs"]) for line in file]
    breaks = tuple(int(at) for at in np.cumsum([len(chapter) + 2 for chapter in chapters])[:-1])
    source = Source("Alice", "\n\n".join(chapters), breaks)
    graph = Chunks().decompose(source, 0)
    spans = leaf_spans(graph)
    assert "".join(leaf_texts(graph, source)) == source.text
    words = [len(text.split()) for text in leaf_texts(graph, source)]
    assert max(words) < 1.6 * min(words)  # even in tokens, so nearly even in words
    assert sum(source.text[: span.start].endswith("\n\n") for span in spans[1:]) > 0.8 * len(spans)
    assert sum(span.start in breaks for span in spans) >= 3
