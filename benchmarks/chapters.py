"""Chapters hidden from novels and found again: a segmenter that never saw a novel, beside chance and other methods.

Headings are removed, paragraphs stay; every method is told how many chapters there are. Novels lie in a folder of
`*.jsonl.gz` files, a row a chapter, with `chapter` (its heading) and `paragraphs`.
"""

import gzip
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from nltk.metrics.segmentation import pk, windowdiff
from nltk.tokenize.texttiling import TextTilingTokenizer
from scipy.sparse import csr_array

from decomposers.cut_features import NAMES, CutText, Limits, PartFeatures, read_units
from decomposers.learn_cuts import Example, most_probable
from decomposers.semi_markov import Ends
from rrm.backbone.generate import Writer
from rrm.backbone.tokens import load_tokenizer
from rrm.core.task import Source

NEAR = 2  # sentences that a boundary may lie off
_LARGEST = 3.2  # times the mean chapter; a novel with a larger one teaches nothing, but is cut like the others
_DRAWS = 20
_HEADING = "CHAPTER II\n\n"
_BEGINNING = 32  # tokens of a paragraph, one sentence or two
_SIDE_BY_SIDE = 32  # beginnings that it reads at once
_READ, _OVERLAP = 512, 128  # tokens that a language model reads at once, and how many of them it has read before
_STOPS = {".", "!", "?", '"', "”", "’", "'", "…", ":", ";", ",", ")", "—"}


class Scores(NamedTuple):
    """How well boundaries were found: F1 within two sentences (higher is better), Pk and WindowDiff (lower is)."""

    f1: float
    pk: float
    windowdiff: float


@dataclass(frozen=True, eq=False)
class Novel:
    """A novel's paragraphs as units, `first` [paragraphs] the first sentence of each, and where its chapters end."""

    name: str
    text: CutText
    first: np.ndarray
    sentences: int
    chapters: Ends

    def features(self) -> PartFeatures:
        even = float(self.text.sizes.sum()) / len(self.chapters) * (1 + 1e-6)
        return PartFeatures.of(self.text, Limits(even, _LARGEST * even))

    def scores(self, cut: Ends) -> Scores:
        """Return how well a cut into paragraphs finds the chapters, in sentences."""
        true, found = ([int(self.first[at]) for at in ends[:-1]] for ends in (self.chapters, cut))
        marks = ["".join("1" if at + 1 in set(ends) else "0" for at in range(self.sentences)) for ends in (true, found)]
        window = max(2, round(self.sentences / len(self.chapters) / 2))
        return Scores(_f1(true, found), pk(*marks, k=window), windowdiff(*marks, k=window))


Cutter = Callable[[Novel], Ends]


def read_novel(path: Path) -> Novel:
    """Return a novel without its headings."""
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    paragraphs: list[str] = []
    begins: list[int] = []
    for row in rows:
        told = [" ".join(each.split()) for each in row["paragraphs"] if each.strip()]
        while told and _is_heading(told[0], row["chapter"] or ""):
            told = told[1:]
        if told:
            begins.append(len(paragraphs))
            paragraphs += told
    source = Source(path.name.removesuffix(".jsonl.gz"), "\n\n".join(paragraphs))
    units = read_units(source, load_tokenizer("minilm"), None)
    offsets = np.cumsum([0, *(len(each) + 2 for each in paragraphs)])[:-1]
    first = np.searchsorted(units.starts, offsets)
    grouped = units.grouped([*first[1:].tolist(), len(units)])
    sizes = np.add.reduceat(units.sizes, first)
    text = CutText(source, grouped.starts, grouped.ends, sizes, grouped.fixed, grouped.places)
    return Novel(source.title, text, first, len(units), (*begins[1:], len(paragraphs)))


def _is_heading(paragraph: str, chapter: str) -> bool:
    same = paragraph.lower().strip(" .") == chapter.lower().strip(" .")
    return same or (len(paragraph) < 60 and paragraph[-1] not in _STOPS)


def taught(novels: Sequence[Novel], most_steps: int) -> torch.Tensor:
    """Return the weights under which these novels' chapters are most probable, their number left free."""
    start = torch.zeros(len(NAMES), dtype=torch.float64)
    start[NAMES.index("size squared")] = -1.0
    examples = [Example(novel.features(), novel.chapters) for novel in novels]
    usable = [each for each in examples if bool(each.features.cuts(start).log_prob([each.ends]).isfinite())]
    return most_probable(usable, start, 1.0, most_steps)


def by_segmenter(weights: torch.Tensor) -> Cutter:
    return lambda novel: novel.features().cuts(weights, parts=len(novel.chapters)).best()[0]


def evenly(novel: Novel) -> Ends:
    """Cut at the paragraphs nearest to chapters of equal size."""
    until, count = np.cumsum(novel.text.sizes), len(novel.chapters)
    inner = np.searchsorted(until, np.arange(1, count) * until[-1] / count) + 1
    return (*sorted({int(at) for at in inner if at < len(until)}), len(until))


def by_texttiling(novel: Novel) -> Ends:
    """Cut at the paragraphs next to the deepest valleys of lexical cohesion that nltk's TextTiling finds."""
    tiling = Tiling(stopwords=_stopwords(), demo_mode=True)
    _, _, depths, _ = tiling.tokenize(novel.text.source.text)
    words = np.cumsum(
        [len(novel.text.source.text[a:b].split()) for a, b in zip(novel.text.starts, novel.text.ends, strict=True)]
    )
    found: set[int] = set()
    for gap in np.argsort(-np.asarray(depths), kind="stable"):
        at = int(np.abs(words[:-1] - (gap + 1) * tiling.w).argmin()) + 1
        found.add(at)
        if len(found) == len(novel.chapters) - 1:
            break
    return (*sorted(found), len(words))


class Tiling(TextTilingTokenizer):  # type: ignore[misc]  # nltk has no types
    """nltk's TextTiling with its block comparison by sparse matrices: equal scores, novels in seconds.

    nltk refuses texts of over a million letters, as its own comparison would take hours for them.
    """

    MAX_TEXT_LEN = sys.maxsize

    def _block_comparison(self, tokseqs: Sequence[Any], token_table: Mapping[str, Any]) -> list[float]:
        """Return the cosine of the words in the `k` sequences before and after each gap, fewer at the ends."""
        row = {sequence.index: at for at, sequence in enumerate(tokseqs)}
        counts = [
            (row[index], word, count)
            for word, entry in enumerate(token_table.values())
            for index, count in entry.ts_occurences
            if index in row
        ]
        rows, words, values = zip(*counts, strict=True)
        table = csr_array((np.array(values, dtype=float), (rows, words)), shape=(len(tokseqs), len(token_table)))
        gaps = np.arange(len(tokseqs) - 1)
        # nltk's windows: k sequences, and as many as there are where a text begins and (one gap early) where it ends
        sizes = np.where(gaps < self.k - 1, gaps + 1, np.where(gaps > len(gaps) - self.k, len(gaps) - gaps, self.k))
        before, after = (_banded(starts, sizes, len(tokseqs)) @ table for starts in (gaps - sizes + 1, gaps + 1))
        along = [
            left.multiply(right).sum(axis=1) for left, right in ((before, after), (before, before), (after, after))
        ]
        dot, norms = along[0], np.sqrt(along[1] * along[2])
        return list(np.divide(dot, norms, out=np.zeros(len(gaps)), where=norms > 0))


def _banded(starts: np.ndarray, sizes: np.ndarray, columns: int) -> csr_array:
    """Return a 0/1 matrix [gaps, columns] whose row has `sizes` ones from `starts` on."""
    ends = np.minimum(starts + sizes, columns)
    inside = [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]
    rows = np.repeat(np.arange(len(starts)), [len(each) for each in inside])
    ones = np.ones(len(rows))
    return csr_array((ones, (rows, np.concatenate(inside))), shape=(len(starts), columns))


def _stopwords() -> list[str]:
    from decomposers.cut_features import STOP_WORDS

    return sorted(STOP_WORDS)


def by_language_model(writer: Writer) -> Cutter:
    """Cut where a causal language model that reads on finds it most probable that a chapter's heading stands."""

    def cut(novel: Novel) -> Ends:
        best = np.argsort(-_heading_before(writer, novel), kind="stable")[: len(novel.chapters) - 1] + 1
        return (*sorted(best.tolist()), len(novel.text))

    return cut


def _heading_before(writer: Writer, novel: Novel) -> np.ndarray:
    """Return the log-odds, in nats and up to a constant, that a heading stands before each paragraph but the first.

    By Bayes' rule: log P(heading | text before) + log P(beginning | heading) - log P(beginning | text before), where a
    heading is given by its first token and hides the text before it. The first term alone is worth nothing: that a
    heading comes next is so rare that its probability hangs on the punctuation before.
    """
    text = novel.text
    paragraphs = [text.source.text[a:b].strip() + "\n\n" for a, b in zip(text.starts, text.ends, strict=True)]
    tokens: list[list[int]] = writer.tokenizer(paragraphs, add_special_tokens=False)["input_ids"]
    heading: list[int] = writer.tokenizer(_HEADING, add_special_tokens=False)["input_ids"]
    own, headed = _log_probs(writer, [token for each in tokens for token in each], heading[0])
    after = _after_heading(writer, heading, [each[:_BEGINNING] for each in tokens])
    starts = np.cumsum([0, *(len(each) for each in tokens[:-1])])
    lengths = [min(len(each), _BEGINNING) for each in tokens]
    before = [own[start : start + length].sum() for start, length in zip(starts, lengths, strict=True)]
    return np.asarray((headed[starts] + after - before)[1:])


def _after_heading(writer: Writer, heading: Sequence[int], beginnings: Sequence[Sequence[int]]) -> np.ndarray:
    """Return log P(beginning | heading) of each, in nats; those of one length are read side by side."""
    found, by_length = np.zeros(len(beginnings)), defaultdict(list)
    for at, each in enumerate(beginnings):
        by_length[len(each)].append(at)
    for those in by_length.values():
        for some in (those[first : first + _SIDE_BY_SIDE] for first in range(0, len(those), _SIDE_BY_SIDE)):
            ids = torch.tensor([[*heading, *beginnings[at]] for at in some], device=writer.model.device)
            with torch.inference_mode():
                logits = writer.model(input_ids=ids).logits[:, len(heading) - 1 : -1]
            found[some] = _chosen(logits, ids[:, len(heading) :]).sum(-1)
    return found


def _chosen(logits: torch.Tensor, ids: torch.Tensor) -> np.ndarray:
    """Return log P of `ids` [...] under `logits` [..., vocabulary], in nats."""
    logits = logits.float()
    found = logits.gather(-1, ids[..., None]).squeeze(-1) - logits.logsumexp(-1)
    return np.asarray(found.double().cpu().numpy())


def _log_probs(writer: Writer, tokens: Sequence[int], other: int) -> tuple[np.ndarray, np.ndarray]:
    """Return log P(each token | those before) and log P(`other` in its place | the same), in nats; 0 at the first."""
    own, others = np.zeros(len(tokens)), np.zeros(len(tokens))
    for first in range(0, len(tokens), _READ - _OVERLAP):
        ids, new = list(tokens[first : first + _READ]), _OVERLAP if first else 1
        if len(ids) <= new:
            break
        read = torch.tensor(ids, device=writer.model.device)
        with torch.inference_mode():
            logits = writer.model(input_ids=read[None]).logits[0, new - 1 : -1]
        inside = slice(first + new, first + len(ids))
        own[inside], others[inside] = _chosen(logits, read[new:]), _chosen(logits, torch.full_like(read[new:], other))
    return own, others


def by_chance(novel: Novel, seed: int) -> Ends:
    random = np.random.default_rng(seed)
    inner = random.choice(np.arange(1, len(novel.text)), len(novel.chapters) - 1, replace=False)
    return (*sorted(inner.tolist()), len(novel.text))


def compare(novels: Sequence[Novel], folds: int, most_steps: int) -> dict[str, list[Scores]]:
    """Return every method's scores of the novels, in their order.

    Each is cut by a segmenter that was taught on the novels of other folds.
    """
    learned = [
        by_segmenter(taught([each for at, each in enumerate(novels) if at % folds != fold], most_steps))
        for fold in range(folds)
    ]
    return {
        "segmenter": [novel.scores(learned[at % folds](novel)) for at, novel in enumerate(novels)],
        "even spacing": [novel.scores(evenly(novel)) for novel in novels],
        "TextTiling": [novel.scores(by_texttiling(novel)) for novel in novels],
        "chance": [_of_chance(novel) for novel in novels],
    }


def _of_chance(novel: Novel) -> Scores:
    mean = np.mean([novel.scores(by_chance(novel, seed)) for seed in range(_DRAWS)], axis=0)
    return Scores(*map(float, mean))


def _f1(true: Sequence[int], found: Sequence[int]) -> float:
    """Return F1 of boundaries within `NEAR` sentences; each true one is found once, by the nearest in order."""
    left, hits = sorted(true), 0
    for at in sorted(found):
        near = [each for each in left if abs(each - at) <= NEAR]
        if near:
            left.remove(min(near, key=lambda each: abs(each - at)))
            hits += 1
    return 2 * hits / (len(true) + len(found)) if true or found else 1.0
