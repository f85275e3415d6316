"""Chapters hidden from novels and found again: a segmenter that never saw a novel, beside chance and other methods.

Headings are removed, paragraphs stay; every method is told how many chapters there are. Novels lie in a folder of
`*.jsonl.gz` files, a row a chapter, with `chapter` (its heading) and `paragraphs`.
"""

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from nltk.metrics.segmentation import pk, windowdiff
from nltk.tokenize.texttiling import TextTilingTokenizer

from decomposers.cut_features import NAMES, CutText, Limits, PartFeatures, read_units
from decomposers.learn_cuts import Example, most_probable
from decomposers.semi_markov import Ends
from rrm.backbone.generate import Writer
from rrm.backbone.tokens import load_tokenizer
from rrm.core.task import Source

NEAR = 2  # sentences that a boundary may lie off
_LARGEST = 3.2  # times the mean chapter; a novel with a larger one teaches nothing, but is cut like the others
_DRAWS = 20
_HEADINGS = ("CHAPTER", "Chapter")
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
    tiling = TextTilingTokenizer(stopwords=_stopwords(), demo_mode=True)
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


def _stopwords() -> list[str]:
    from decomposers.cut_features import STOP_WORDS

    return sorted(STOP_WORDS)


def by_language_model(writer: Writer) -> Cutter:
    """Cut where a causal language model that reads on finds it most probable that a chapter's heading comes next."""

    def cut(novel: Novel) -> Ends:
        best = np.argsort(-_heading_next(writer, novel), kind="stable")[: len(novel.chapters) - 1] + 1
        return (*sorted(best.tolist()), len(novel.text))

    return cut


def _heading_next(writer: Writer, novel: Novel) -> np.ndarray:
    """Return log P(the next token begins a heading | text before), in nats, after each paragraph but the last."""
    text = novel.text
    paragraphs = [text.source.text[a:b].strip() + "\n\n" for a, b in zip(text.starts, text.ends, strict=True)]
    tokens: list[list[int]] = writer.tokenizer(paragraphs, add_special_tokens=False)["input_ids"]
    begins = sorted({ids[0] for ids in writer.tokenizer(list(_HEADINGS), add_special_tokens=False)["input_ids"]})
    running = [token for each in tokens for token in each]
    last = np.cumsum([len(each) for each in tokens])[:-1] - 1  # whose next token is the next paragraph's first
    found = np.zeros(len(last))
    for first in range(0, int(last[-1]) + 1, _READ - _OVERLAP):
        until, new = first + _READ, first + (_OVERLAP if first else 0)
        asked = np.flatnonzero((last >= new) & (last < until))
        if len(asked):
            ids = torch.tensor([running[first:until]], device=writer.model.device)
            with torch.inference_mode():
                hidden = writer.model.model(input_ids=ids, use_cache=False).last_hidden_state[0, last[asked] - first]
                log_probs = writer.model.lm_head(hidden).float().log_softmax(-1)
            found[asked] = log_probs[:, begins].logsumexp(-1).double().cpu().numpy()
    return found


def by_chance(novel: Novel, seed: int) -> Ends:
    random = np.random.default_rng(seed)
    inner = random.choice(np.arange(1, len(novel.text)), len(novel.chapters) - 1, replace=False)
    return (*sorted(inner.tolist()), len(novel.text))


def compare(novels: Sequence[Novel], folds: int, most_steps: int) -> dict[str, list[Scores]]:
    """Return every method's scores of every novel; each is cut by a segmenter taught on the novels of other folds."""
    found: dict[str, list[Scores]] = {}
    for fold in range(folds):
        weights = taught([each for at, each in enumerate(novels) if at % folds != fold], most_steps)
        for novel in novels[fold::folds]:
            methods: dict[str, Cutter] = {
                "segmenter": by_segmenter(weights),
                "even spacing": evenly,
                "TextTiling": by_texttiling,
            }
            for name, cutter in methods.items():
                found.setdefault(name, []).append(novel.scores(cutter(novel)))
            chance = np.mean([novel.scores(by_chance(novel, seed)) for seed in range(_DRAWS)], axis=0)
            found.setdefault("chance", []).append(Scores(*map(float, chance)))
    return found


def _f1(true: Sequence[int], found: Sequence[int]) -> float:
    """Return F1 of boundaries within `NEAR` sentences; each true one is found once, by the nearest in order."""
    left, hits = sorted(true), 0
    for at in sorted(found):
        near = [each for each in left if abs(each - at) <= NEAR]
        if near:
            left.remove(min(near, key=lambda each: abs(each - at)))
            hits += 1
    return 2 * hits / (len(true) + len(found)) if true or found else 1.0
