"""Features of an output beside its view: what it says, where that came from, what it leaves out, how it reads.

The source is never read together with an output, so a short encoder is enough for long sources:
both are cut into units (`rrm.backbone.units`), each unit is encoded once, and an output is
described by how its units match those of the view. Two kinds of match are kept apart, because
they fail differently: cosine similarity finds paraphrases but hardly notices a swapped name;
shared words, weighted by their rarity in the view, notice just that.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import fsum
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from rrm.backbone.encoder import CachedEncoder
from rrm.backbone.units import units
from rrm.core.protocols import Encoder, Tokenizer
from rrm.core.text import words
from rrm.core.values import Group, View

NAMES = (
    # meaning: similarity of output units and view units
    "support_mean",
    "support_min",
    "support_spread",
    "coverage_mean",
    "coverage_min_passage",
    "coverage_central",
    "coverage_low",
    "about_view",
    "centrality",
    "about_instruction",
    "about_instruction_max",
    "repeats_context",
    "redundancy",
    # words: what can be found in the view, and in the best-matching unit of it
    "words_in_view",
    "bigrams_in_view",
    "trigrams_in_view",
    "view_words_covered",
    "view_frequent_covered",
    "match_mean",
    "match_min",
    "exact_units",
    "near_copies_changed",
    "names_not_in_match",
    "names_not_in_match_max",
    "names_not_nearby",
    "names_not_in_view",
    "numbers_not_in_match",
    "name_rate",
    "view_numbers_covered",
    "numbers_not_in_view",
    "number_variety",
    "last_number_in_view",
    # order
    "in_order",
    "position_mean",
    "position_spread",
    "thirds_touched",
    # evidence from below
    "scores_of_used_mean",
    "scores_of_used_min",
    "scores_of_view_mean",
    "scores_of_view_min",
    "passages_used",
    # form
    "log_words",
    "log_words_squared",
    "log_distinct_words",
    "share_of_limit",
    "units",
    "words_per_unit",
    "longest_unit",
    "empty",
    "word_variety",
    "repeated_trigrams",
    "word_length",
    "short_words",
    "capital_starts",
    "ends_stopped",
    "punctuation",
    "digits",
    "quotes",
)
INDEX = {name: column for column, name in enumerate(NAMES)}
LENGTH = "log_distinct_words"
"""The length by which people are best predicted: the second time that an output says a word adds little."""
_NUMERAL = re.compile(r"\d+(?:[.,]\d+)*")
_DIGITS = 9  # features are rounded: equal inputs have equal features, in whatever company they are read


class Features(NamedTuple):
    """`numbers` float64 [rows, NAMES], in fixed natural units; `contents` float32 [rows, dimensions]."""

    numbers: np.ndarray
    contents: np.ndarray


@dataclass(frozen=True)
class Unit:
    """A parsed unit: its words in small letters, and which of them are names and numbers."""

    text: str
    words: tuple[str, ...]
    inner_capitals: frozenset[str]
    first_capital: str | None
    smalls: frozenset[str]
    numbers: frozenset[str]


@lru_cache(maxsize=100_000)
def parse(text: str) -> Unit:
    """Parse one unit; remembered by text."""
    written = words(text)
    low = tuple(word.lower() for word in written)
    capital = [word[0].isupper() for word in written]
    inner = frozenset(low[i] for i in range(1, len(low)) if capital[i] and low[i] not in ("i", "i'm", "i’m"))
    first = low[0] if written and capital[0] else None
    smalls = frozenset(low[i] for i in range(len(low)) if not capital[i])
    numbers = frozenset(word for word in low if any(letter.isdigit() for letter in word))
    return Unit(text, low, inner, first, smalls, numbers)


class FeatureReader:
    """Reads features of groups with one encoder; a (view, text) pair is read once per process."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder if isinstance(encoder, CachedEncoder) else CachedEncoder(encoder)
        inner = self.encoder.inner
        self._tokenizer: Tokenizer | None = getattr(inner, "tokenizer", None)
        self._units_of: dict[str, tuple[str, ...]] = {}
        self._rows: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}

    def read(self, groups: Sequence[Group]) -> list[Features]:
        """Return each group's features, one row per output. Equal texts of a view get equal rows."""
        fresh: dict[str, tuple[View, list[str]]] = {}
        for group in groups:
            todo = [text for text in dict.fromkeys(group.outputs) if (group.view.id, text) not in self._rows]
            if todo:
                known = fresh.setdefault(group.view.id, (group.view, []))[1]
                known.extend(text for text in todo if text not in known)
        self._encode(list(fresh.values()))
        for view_id, (view, texts) in fresh.items():
            features = self._read(view, texts)
            for row, text in enumerate(texts):
                self._rows[view_id, text] = (features.numbers[row], features.contents[row])
        return [self._gather(group) for group in groups]

    def prefetch(self, passages: Sequence[str], portion: int) -> None:
        """Begin to encode the units of passages that views are going to show, as `CachedEncoder.prefetch` does."""
        self.encoder.prefetch((unit for text in passages for unit in self._units(text)), portion)

    def _gather(self, group: Group) -> Features:
        rows = [self._rows[group.view.id, text] for text in group.outputs]
        if not rows:
            return Features(np.zeros((0, len(NAMES))), np.zeros((0, self.encoder.dimensions), np.float32))
        return Features(np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows]))

    def _units(self, text: str) -> tuple[str, ...]:
        if text not in self._units_of:
            self._units_of[text] = tuple(units(text, self._tokenizer))
        return self._units_of[text]

    def _context_units(self, view: View) -> list[str]:
        """Return the units of the previous context, cut output by output: neighbours share most."""
        return [unit for block in view.context.split("\n\n") for unit in self._units(block)]

    def _encode(self, fresh: list[tuple[View, list[str]]]) -> None:
        """Encode everything new in one call, so that batches do not depend on the order of groups."""
        texts: set[str] = set()
        for view, outputs in fresh:
            texts.update(self._context_units(view))
            for text in (view.instruction, *(p.text for p in view.passages), *outputs):
                texts.update(self._units(text))
        if texts:
            self.encoder.encode(sorted(texts))

    def _vectors(self, texts: Sequence[str]) -> np.ndarray:
        return self.encoder.encode(texts)

    def _read(self, view: View, texts: list[str]) -> Features:
        source = _Side.of([self._units(passage.text) for passage in view.passages], self._vectors)
        output = _Side.of([self._units(text) for text in texts], self._vectors)
        numbers = np.zeros((len(texts), len(NAMES)))
        table = _Table(numbers)
        similarity = _cosines(output.vectors, source.vectors)
        lexical = _Lexical.of(source, output)
        _meaning(table, source, output, similarity)
        _asides(table, output, self._vectors(self._units(view.instruction)), self._vectors(self._context_units(view)))
        _words(table, source, output, lexical)
        _order(table, source, output, lexical, similarity)
        _evidence(table, view, source, output, lexical, similarity)
        _form(table, view, texts, output)
        return Features(np.round(np.nan_to_num(numbers), _DIGITS), _content(view, source, output))


def _cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return all cosines, [first, second], rounded so that they do not hang on what else is in the product.

    The vectors come from half precision, so in double precision a sum hardly depends on its order.
    """
    return np.asarray(np.round(first.astype(np.float64) @ second.T.astype(np.float64), _DIGITS))


@dataclass(frozen=True)
class _Side:
    """Units of several texts in one list: `owner` [units] says whose each is, `starts` where each text begins."""

    units: tuple[Unit, ...]
    vectors: np.ndarray
    owner: np.ndarray
    texts: int

    @classmethod
    def of(cls, texts: Sequence[Sequence[str]], encode: Callable[[Sequence[str]], np.ndarray]) -> "_Side":
        flat = [unit for text in texts for unit in text]
        owner = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
        return cls(tuple(map(parse, flat)), encode(flat), owner, len(texts))

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Average a value per unit over each text's units, 0 for a text without units, [texts]."""
        counts = np.bincount(self.owner, minlength=self.texts)
        return np.bincount(self.owner, weights=values, minlength=self.texts) / np.maximum(counts, 1)

    def lowest(self, values: np.ndarray) -> np.ndarray:
        result = np.full(self.texts, np.inf)
        np.minimum.at(result, self.owner, values)
        return np.where(np.isinf(result), 0.0, result)

    def highest(self, values: np.ndarray) -> np.ndarray:
        return -self.lowest(-values)

    def means(self) -> np.ndarray:
        """Return each text's mean unit vector, float32 [texts, dimensions]."""
        total = np.zeros((self.texts, self.vectors.shape[1]), dtype=np.float32)
        np.add.at(total, self.owner, self.vectors)
        counts = np.bincount(self.owner, minlength=self.texts)
        return total / np.maximum(counts, 1)[:, None].astype(np.float32)


class _Table:
    def __init__(self, numbers: np.ndarray) -> None:
        self._numbers = numbers

    def __setitem__(self, name: str, values: np.ndarray | float) -> None:
        self._numbers[:, INDEX[name]] = values


@dataclass(frozen=True)
class _Lexical:
    """Shared words of output and view units: `best` [units] is the view unit that holds most of an output unit."""

    best: np.ndarray
    match: np.ndarray
    rarity: dict[str, float]
    names: frozenset[str]
    vocabulary: frozenset[str]

    @classmethod
    def of(cls, source: _Side, output: _Side) -> "_Lexical":
        frequency = Counter(word for unit in source.units for word in dict.fromkeys(unit.words))
        count = len(source.units)
        rarity = {word: np.log((count + 1) / (n + 0.5)) + 0.1 for word, n in frequency.items()}
        unknown = np.log(2 * (count + 1)) + 0.1
        column: dict[str, int] = {}
        for unit in (*source.units, *output.units):
            for word in unit.words:
                column.setdefault(word, len(column))
        weight = np.array([rarity.get(word, unknown) for word in column])
        seen = incidence(source.units, column)
        said = incidence(output.units, column).multiply(weight[None, :]).tocsr() if column else None
        if said is None or not source.units or not output.units:
            best = np.zeros(len(output.units), dtype=np.int64)
            match = np.zeros(len(output.units))
        else:
            overlap = np.asarray((said @ seen.T).todense())
            size = np.asarray(seen.sum(axis=1)).ravel()
            total = np.maximum(np.asarray(said.sum(axis=1)).ravel(), 1e-9)
            # of equals, the shortest
            ranked = np.round(overlap / total[:, None] - 1e-4 * np.log1p(size)[None, :], _DIGITS)
            best = ranked.argmax(axis=1)
            match = overlap[np.arange(len(best)), best] / total
        inner = frozenset().union(*(unit.inner_capitals for unit in source.units))
        smalls = frozenset().union(*(unit.smalls for unit in source.units))
        return cls(best, match, rarity, inner - smalls, frozenset(frequency))


def incidence(units: Sequence[Unit], column: dict[str, int]) -> csr_matrix:
    sets = [sorted({column[word] for word in unit.words}) for unit in units]
    starts = np.cumsum([0, *map(len, sets)])
    places = np.fromiter((at for each in sets for at in each), dtype=np.int64, count=int(starts[-1]))
    return csr_matrix((np.ones(len(places)), places, starts), shape=(len(units), max(len(column), 1)))


def _content(view: View, source: _Side, output: _Side) -> np.ndarray:
    """Return how each output's content departs from its view's, float32 [texts, dimensions].

    The mean unit of the output less the mean unit of the view says what sort of unit was chosen. A
    head's weights on it are the worth of a unit (an event, or filler?), and the worth of a whole
    output grows with its units, though less than in proportion: hence the root of their number,
    relative to the units of 16 tokens that the limit has room for. On held-out people's ratings the
    root did better than the mean and the sum.
    """
    centre = source.vectors.mean(axis=0) if source.units else np.zeros(output.vectors.shape[1], dtype=np.float32)
    counts = np.bincount(output.owner, minlength=output.texts)[:, None]
    size = np.sqrt(counts / max(view.max_tokens / 16, 1.0)).astype(np.float32)
    return np.asarray((output.means() - centre) * size)


def _meaning(table: _Table, source: _Side, output: _Side, similarity: np.ndarray) -> None:
    if not source.units or not output.units:
        return
    support = similarity.max(axis=1)
    table["support_mean"] = output.mean(support)
    table["support_min"] = output.lowest(support)
    table["support_spread"] = output.highest(support) - output.lowest(support)
    covered = np.stack([similarity[output.owner == text].max(axis=0, initial=-0.2) for text in range(output.texts)])
    centre = source.vectors.mean(axis=0)
    centre /= max(float(np.linalg.norm(centre)), 1e-9)
    central = source.vectors @ centre
    weights = np.exp(5 * (central - central.max()))
    table["coverage_mean"] = covered.mean(axis=1)
    table["coverage_low"] = np.quantile(covered, 0.1, axis=1)
    table["coverage_central"] = covered @ weights / weights.sum()
    per_passage = [covered[:, source.owner == p].mean(axis=1) for p in np.unique(source.owner)]
    table["coverage_min_passage"] = np.min(per_passage, axis=0)
    means = output.means()
    lengths = np.maximum(np.linalg.norm(means.astype(np.float64), axis=1), 1e-9)
    table["about_view"] = means.astype(np.float64) @ centre.astype(np.float64) / lengths
    table["centrality"] = output.mean(central[similarity.argmax(axis=1)])


def _asides(table: _Table, output: _Side, instruction: np.ndarray, context: np.ndarray) -> None:
    if not output.units:
        return
    if len(instruction):
        about = _cosines(output.vectors, instruction).max(axis=1)
        table["about_instruction"] = output.mean(about)
        table["about_instruction_max"] = output.highest(about)
    if len(context):
        table["repeats_context"] = output.mean(_cosines(output.vectors, context).max(axis=1))
    inner = _cosines(output.vectors, output.vectors)
    same = output.owner[:, None] == output.owner[None, :]
    earlier = np.tril(same, -1)
    table["redundancy"] = output.mean(np.where(earlier, inner, 0.0).max(axis=1, initial=0.0))


def _words(table: _Table, source: _Side, output: _Side, lexical: _Lexical) -> None:
    bigrams = {pair for unit in source.units for pair in _grams(unit.words, 2)}
    trigrams = {triple for unit in source.units for triple in _grams(unit.words, 3)}
    exact = {unit.words for unit in source.units}
    frequent = Counter(word for unit in source.units for word in unit.words if len(word) > 3)
    top = {word for word, _ in sorted(frequent.items(), key=lambda each: (-each[1], each[0]))[:30]}
    vocabulary_weight = fsum(lexical.rarity.values())
    known, pairs, triples, covered, covered_top = (np.zeros(output.texts) for _ in range(5))
    for text in range(output.texts):
        units = [output.units[i] for i in np.flatnonzero(output.owner == text)]
        said = {word for unit in units for word in unit.words}
        known[text] = _share(word in lexical.vocabulary for unit in units for word in unit.words)
        pairs[text] = _share(gram in bigrams for unit in units for gram in _grams(unit.words, 2))
        triples[text] = _share(gram in trigrams for unit in units for gram in _grams(unit.words, 3))
        covered[text] = fsum(lexical.rarity.get(word, 0.0) for word in said) / max(vocabulary_weight, 1e-9)
        covered_top[text] = len(said & top) / max(len(top), 1)
    table["words_in_view"], table["bigrams_in_view"], table["trigrams_in_view"] = known, pairs, triples
    table["view_words_covered"], table["view_frequent_covered"] = covered, covered_top
    table["match_mean"], table["match_min"] = output.mean(lexical.match), output.lowest(lexical.match)
    table["exact_units"] = output.mean(np.array([unit.words in exact for unit in output.units], dtype=float))
    changed = (lexical.match > 0.5) & (lexical.match < 0.999)
    table["near_copies_changed"] = output.mean(changed.astype(float))
    _names(table, source, output, lexical)
    _numbers(table, source, output)


def _numbers(table: _Table, source: _Side, output: _Side) -> None:
    """Say how the output's numerals relate to the view's; in a worked solution the last one is the answer."""
    given = {numeral for unit in source.units for numeral in _NUMERAL.findall(unit.text)}
    covered, new, variety, last = (np.zeros(output.texts) for _ in range(4))
    for text in range(output.texts):
        said = [each for at in np.flatnonzero(output.owner == text) for each in _NUMERAL.findall(output.units[at].text)]
        covered[text] = len(given & set(said)) / max(len(given), 1)
        new[text] = len(set(said) - given) / max(len(set(said)), 1)
        variety[text] = np.log1p(len(set(said)))
        last[text] = float(bool(said) and said[-1] in given)
    table["view_numbers_covered"], table["numbers_not_in_view"] = covered, new
    table["number_variety"], table["last_number_in_view"] = variety, last


def _names(table: _Table, source: _Side, output: _Side, lexical: _Lexical) -> None:
    names, lost, away, unknown, rate, numbers = (np.zeros(len(output.units)) for _ in range(6))
    for at, unit in enumerate(output.units):
        own = set(unit.inner_capitals) - unit.smalls
        own |= {word for word in unit.words if word in lexical.names}
        if unit.first_capital is not None and unit.first_capital not in lexical.vocabulary:
            own.add(unit.first_capital)
        names[at] = len(own)
        rate[at] = len(own) / max(len(unit.words), 1)
        best = int(lexical.best[at])
        match = set(source.units[best].words) if source.units else set()
        near = {word for each in source.units[max(best - 2, 0) : best + 3] for word in each.words}
        lost[at] = len(own - match) / max(len(own), 1)
        away[at] = len(own - near) / max(len(own), 1)
        unknown[at] = len(own - lexical.vocabulary) / max(len(own), 1)
        numbers[at] = len(unit.numbers - match) / max(len(unit.numbers), 1)
    table["names_not_in_match"], table["names_not_in_match_max"] = output.mean(lost), output.highest(lost)
    table["names_not_nearby"], table["names_not_in_view"] = output.mean(away), output.mean(unknown)
    table["numbers_not_in_match"], table["name_rate"] = output.mean(numbers), output.mean(rate)


def _order(table: _Table, source: _Side, output: _Side, lexical: _Lexical, similarity: np.ndarray) -> None:
    if not source.units or not output.units:
        return
    place = _matched(lexical, similarity) / max(len(source.units) - 1, 1)
    follows = output.owner[1:] == output.owner[:-1]
    steps = np.where(place[1:] >= place[:-1], 1.0, 0.0)[follows]
    counts = np.bincount(output.owner[1:][follows], minlength=output.texts)
    rising = np.bincount(output.owner[1:][follows], weights=steps, minlength=output.texts)
    table["in_order"] = np.where(counts > 0, rising / np.maximum(counts, 1), 1.0)
    table["position_mean"] = output.mean(place)
    table["position_spread"] = output.highest(place) - output.lowest(place)
    thirds = np.minimum((place * 3).astype(int), 2)
    touched = [len(set(thirds[output.owner == text])) / 3 for text in range(output.texts)]
    table["thirds_touched"] = np.array(touched)


def _matched(lexical: _Lexical, similarity: np.ndarray) -> np.ndarray:
    """Return the view unit of each output unit: the one that shares its words, else the most similar."""
    return np.where(lexical.match > 0.6, lexical.best, similarity.argmax(axis=1))


def _evidence(
    table: _Table, view: View, source: _Side, output: _Side, lexical: _Lexical, similarity: np.ndarray
) -> None:
    if not source.units or not output.units:
        return
    passage = source.owner[_matched(lexical, similarity)]
    used = np.array([len(set(passage[output.owner == text])) for text in range(output.texts)])
    table["passages_used"] = used / max(len(view.passages), 1)
    scores = [passage.score for passage in view.passages if passage.score is not None]
    if not scores:
        return
    # Four times the distance from one half: about one standard deviation is one.
    by_passage = np.array([0.0 if p.score is None else 4 * (p.score - 0.5) for p in view.passages])
    known = 4 * (np.array(scores) - 0.5)
    table["scores_of_used_mean"] = output.mean(by_passage[passage])
    table["scores_of_used_min"] = output.lowest(by_passage[passage])
    table["scores_of_view_mean"], table["scores_of_view_min"] = known.mean(), known.min()


def _form(table: _Table, view: View, texts: list[str], output: _Side) -> None:
    for row, text in enumerate(texts):
        units = [output.units[i] for i in np.flatnonzero(output.owner == row)]
        said = [word for unit in units for word in unit.words]
        count, distinct, letters = len(said), len(set(said)), max(len(text), 1)
        grams = [gram for unit in units for gram in _grams(unit.words, 3)]
        values = {
            "log_words": np.log1p(count) - 4,
            "log_words_squared": (np.log1p(count) - 4) ** 2,
            LENGTH: np.log1p(distinct) - 4,
            "share_of_limit": min(1.4 * count / max(view.max_tokens, 1), 2.0),
            "units": np.log1p(len(units)),
            "words_per_unit": np.log1p(count / max(len(units), 1)),
            "longest_unit": np.log1p(max((len(unit.words) for unit in units), default=0)),
            "empty": float(count == 0),
            "word_variety": distinct / max(count, 1) ** 0.9,
            "repeated_trigrams": 1 - len(set(grams)) / max(len(grams), 1) if grams else 0.0,
            "word_length": min(sum(map(len, said)) / max(count, 1), 15.0) - 4.5,
            "short_words": _share(len(word) <= 3 for word in said),
            "capital_starts": _share(unit.first_capital is not None for unit in units),
            "ends_stopped": float(text.rstrip().endswith((".", "!", "?", "。", '"', "”"))),
            "punctuation": min(10 * sum(not (c.isalnum() or c.isspace()) for c in text) / letters, 3.0),
            "digits": min(10 * sum(map(str.isdigit, text)) / letters, 3.0),
            "quotes": min(10 * sum(c in "\"“”'‘’«»`" for c in text) / letters, 3.0),
        }
        for name, value in values.items():
            table._numbers[row, INDEX[name]] = value


def _grams(sequence: tuple[str, ...], size: int) -> list[tuple[str, ...]]:
    return [sequence[i : i + size] for i in range(len(sequence) - size + 1)]


def _share(found: Iterable[bool]) -> float:
    marks = [bool(each) for each in found]
    return sum(marks) / len(marks) if marks else 0.0
