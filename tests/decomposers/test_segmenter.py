import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from decomposers.chunks import Chunks
from decomposers.cut_features import NAMES, PLACE, CutText, Limits, PartFeatures, read_units
from decomposers.segmenter import Segmenter
from rrm.backbone.tokens import load_tokenizer
from rrm.core.errors import ConfigError, InputError
from rrm.core.protocols import Decomposer
from rrm.core.task import Source, Span

TOPICS = (
    "The ship sailed over the sea. A sailor climbed the mast. The waves rose over the deck. The captain shouted.",
    "The baker kneaded the dough. The oven was hot. Loaves of bread lay on the table. The baker sold every loaf.",
    "A judge entered the court. The jury heard the thief. The judge read the law. The thief went to prison.",
)


def story(paragraphs: int = 12) -> Source:
    """Paragraphs of four sentences, every third of the same topic."""
    texts = [TOPICS[number % 3] for number in range(paragraphs)]
    text = "\n\n".join(texts)
    return Source("a story", text, (text.index(texts[2]),))


class Topics:
    """An encoder whose vectors are exactly the topics."""

    name, dimensions = "topics", 3

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.array([[float(text in topic) for topic in TOPICS] for text in texts], dtype=np.float32)


def small(**changes: object) -> Segmenter:
    settings: dict[str, object] = {"leaf_tokens": 45, "fan_in": (3, 2), **changes}
    return Segmenter(**settings)  # type: ignore[arg-type]


def test_it_is_a_decomposer_whose_tree_covers_the_text_within_its_limits() -> None:
    source = story(40)
    segmenter = small()
    assert isinstance(segmenter, Decomposer)
    graph = segmenter.decompose(source, 0)
    leaves = [graph.task(leaf).span for leaf in graph.leaves]
    assert "".join(source.read(span) for span in leaves if span) == source.text
    count = load_tokenizer("minilm").count
    assert max(count(source.read(span)) for span in leaves if span) <= 1.5 * 45
    assert all(2 <= len(graph.children(node)) <= 3 for level in graph.levels[1:] for node in level)
    assert len({graph.depth(leaf) for leaf in graph.leaves}) == 1
    assert segmenter.decompose(source, 0).to_json() == graph.to_json()
    sentence_starts = set(read_units(source, load_tokenizer("minilm"), None).starts.tolist())
    assert {span.start for span in leaves if span} <= sentence_starts


def test_a_tree_has_the_log_probability_with_which_it_is_drawn() -> None:
    source, segmenter = story(3), small(leaf_tokens=40, weights=({"size squared": -1.0},))
    drawn = segmenter.draw(source, 400, seed=1)
    trees = {tuple(cut.ends for cut in segmenter.cuts_of(source, tree) or ()): tree for tree in drawn}
    times = Counter(tuple(cut.ends for cut in segmenter.cuts_of(source, tree) or ()) for tree in drawn)
    for cuts, count in times.most_common(4):
        probability = np.exp(segmenter.log_prob(source, trees[cuts]))
        assert abs(count - 400 * probability) < 4 * np.sqrt(400 * probability * (1 - probability)) + 1
    assert [tree.to_json() for tree in segmenter.draw(source, 3, seed=1)] == [
        tree.to_json() for tree in segmenter.draw(source, 3, seed=1)
    ]
    inside = Chunks(leaf_tokens=3, fan_in=(3, 2)).decompose(source, 0)
    assert segmenter.log_prob(source, inside) == float("-inf")


def test_a_weight_on_a_mark_puts_cuts_there() -> None:
    source = story()
    graph = small(weights=({"paragraph": 8.0, "size squared": -1.0},)).decompose(source, 0)
    starts = {span.start for leaf in graph.leaves if (span := graph.task(leaf).span)}
    assert starts <= {0, *(at + 2 for at in range(len(source.text)) if source.text.startswith("\n\n", at))}


def test_features_say_where_topics_names_and_marks_change() -> None:
    text = (
        TOPICS[0]
        + "\n\n* * *\n\n"
        + "The next morning, as Anna told Peter, it was cold. He slept. “Who is there?” asked Peter."
        " But nobody answered Anna.\n\nCHAPTER TWO\n\n" + TOPICS[1]
    )
    source = Source("marks", text, (text.index("CHAPTER TWO"),))
    units = read_units(source, load_tokenizer("minilm"), Topics())
    said = [source.text[a:b].strip() for a, b in zip(units.starts, units.ends, strict=True)]
    table = {name: units.places[:, at] for at, name in enumerate(PLACE)}

    def where(name: str) -> list[str]:
        return [said[at][:12] for at in np.flatnonzero(table[name] == 1)]

    assert where("break") == ["CHAPTER TWO"]
    assert where("paragraph") == ["The ship sai", "* * *", "The next mor", "CHAPTER TWO", "The baker kn"]
    assert where("rule") == ["* * *", "The next mor"]
    assert where("heading") == ["CHAPTER TWO"]
    assert where("anew") == ["The next mor"]
    assert where("back") == ["He slept.", "But nobody a"]
    assert where("speech") == ["“Who is ther"]
    assert where("after speech") == []
    assert said[int(table["words apart 6"].argmax())] in (
        "* * *",
        "CHAPTER TWO",
        "The next morning, as Anna told Peter, it was cold.",
    )
    assert np.isfinite(units.places).all()
    assert "".join(source.text[a:b] for a, b in zip(units.starts, units.ends, strict=True)) == text


def test_coherence_is_what_parts_explain_of_the_vectors_variance() -> None:
    source = story(6)
    units = read_units(source, load_tokenizer("minilm"), Topics())
    features = PartFeatures.of(units, Limits(1000, 1000))
    vectors = Topics().encode([source.text[a:b].strip() for a, b in zip(units.starts, units.ends, strict=True)])
    vectors = vectors.astype(float) - vectors.astype(float).mean(0)
    coherence = features.parts[-1][0]
    for start, size in [(0, 1), (0, 4), (3, 5), (20, 4), (0, 24)]:
        by_hand = np.sum(vectors[start : start + size].sum(0) ** 2) / size
        assert coherence[start, size - 1].item() == pytest.approx(by_hand, abs=1e-9)
    assert coherence[0, 3] > coherence[1, 3]  # four sentences of one topic explain more than of two


def test_sums_of_features_times_weights_are_a_cuts_score() -> None:
    units = read_units(story(), load_tokenizer("minilm"), Topics())
    features = PartFeatures.of(units, Limits(45, 70))
    weights = torch.linspace(-1, 1, len(NAMES), dtype=torch.float64)
    cuts = features.cuts(weights)
    [ends] = cuts.best()
    torch.testing.assert_close(cuts.score([ends])[0], features.total(ends) @ weights, rtol=0, atol=1e-9)
    batch = PartFeatures.batch([features, PartFeatures.of(units, Limits(30, 40))])
    torch.testing.assert_close(batch.cuts(weights).log_partition()[:1], cuts.log_partition(), rtol=0, atol=1e-9)


def test_skipped_text_ends_a_leaf_and_one_sentence_is_a_root() -> None:
    text = f"{TOPICS[0]} A licence that nobody reads. {TOPICS[1]}"
    at = text.index("A licence")
    source = Source("skipping", text, skipped=(Span(at, at + 29),))
    graph = small(leaf_tokens=400).decompose(source, 0)
    spans = [graph.task(leaf).span for leaf in graph.leaves]
    assert spans == [Span(0, at), Span(at + 29, len(text))]
    one = Source("one", "A single sentence without an end")
    assert len(small().decompose(one, 0)) == 1
    assert small().log_prob(one, small().decompose(one, 0)) == 0
    with pytest.raises(InputError, match="there is no text"):
        small().decompose(Source("none", " \n "), 0)


@pytest.mark.slow
def test_a_hundred_thousand_sentences_are_cut() -> None:
    source = Source("long", "They went on and on until the evening came. " * 100_000)
    graph = Segmenter(leaf_tokens=500, max_tokens=(64,)).decompose(source, 0)
    assert 1_800 < len(graph.leaves) < 3_000


def test_bad_settings_and_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leaf_tokens"):
        Segmenter(leaf_tokens=0)
    with pytest.raises(ConfigError, match="fan_in"):
        Segmenter(fan_in=(1,))
    with pytest.raises(ConfigError, match="temperature"):
        Segmenter(temperature=-1)
    with pytest.raises(InputError, match="no feature of cuts is called 'chapter'"):
        Segmenter(weights=({"chapter": 1.0},))
    with pytest.raises(InputError, match="must be a finite number, got nan"):
        Segmenter(weights=({"size": float("nan")},))
    with pytest.raises(ConfigError, match="set vectors = true"):
        Segmenter(weights=({"coherence": 1.0},))
    file = tmp_path / "weights.json"
    file.write_text("[1]")
    with pytest.raises(InputError, match="holds no weights of a segmenter"):
        Segmenter(weights=str(file))
    file.write_text(json.dumps({"levels": [{"size": 1}, {"part": -1.0}]}))
    assert Segmenter(weights=str(file)).tables == ({"size": 1.0}, {"part": -1.0})
    assert Segmenter(weights=str(file)).name != Segmenter().name


def test_vectors_that_are_not_finite_are_refused_by_sentence() -> None:
    class Broken(Topics):
        def encode(self, texts: list[str]) -> np.ndarray:
            vectors = super().encode(texts)
            vectors[5] = float("nan")
            return vectors

    with pytest.raises(InputError, match="topics gives sentence 6 a vector that is not finite"):
        read_units(story(), load_tokenizer("minilm"), Broken())


def test_a_limit_that_cannot_be_met_is_told_with_the_texts_title() -> None:
    units = read_units(story(), load_tokenizer("minilm"), None)
    twos = PartFeatures.of(units, Limits(10, 10, least=40))
    with pytest.raises(InputError, match="no way to cut"):
        twos.cuts(torch.zeros(len(NAMES), dtype=torch.float64))
    assert isinstance(units, CutText)
