"""How often the sentence that a claim was made from is found again, in passages of generated books.

Each sentence of two books that tells an event is written as the worlds of `benchmarks.carry` write it (copied, with a
mistake, reframed, retold) and aligned with its passage, by words alone and with vectors. How often a claim of another
book finds an origin there, too, stands beside it. `--seeds 1,2` takes other books than ours, `--quick` shorter ones.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from rrm.compose.align import Aligner
from rrm.core.claims import SeenText
from rrm.core.ids import generator
from rrm.core.task import Span
from rrm.core.text import sentences
from rrm.core.values import Output
from rrm.reward.frozen import Frozen
from tasks.synthetic_book import SyntheticBooks, recognise
from tasks.synthetic_book.mistakes import mistake
from tasks.synthetic_book.rewording import reframe, retell

SEEDS = (71,)
WORDS, QUICK_WORDS, PASSAGE = 4000, 1000, 60
WAYS: dict[str, Callable[[str, str], Sequence[str]]] = {
    "copied": lambda sentence, read: (sentence,),
    "copied, with a mistake": mistake,
    "reframed": reframe,
    "retold": retell,
}


class Written(NamedTuple):
    """A claim, how it was written, what its author read, and which characters of that it was made from."""

    way: str
    text: str
    read: str
    span: Span


class Found(NamedTuple):
    """Whether the first origin is the true one, and whether there is any."""

    right: bool
    any: bool


def written(seed: int, words: int = WORDS) -> Iterator[Written]:
    """Yield every sentence of two books that tells an event, in each way that there is, by chance among equals."""
    for book in SyntheticBooks(count=2, words=words, seed=seed).sources():
        told = sentences(book.text)
        for spans in (told[at : at + PASSAGE] for at in range(0, len(told), PASSAGE)):
            start, read = spans[0].start, book.read(Span(spans[0].start, spans[-1].end))
            for span in spans:
                sentence = book.read(span)
                if not recognise(sentence):
                    continue
                random = generator("alignment", seed, span.start)
                for way, ways in WAYS.items():
                    if texts := ways(sentence, read):
                        text = texts[int(random.integers(len(texts)))]
                        yield Written(way, text, read, Span(span.start - start, span.end - start))


def measured(claims: Sequence[Written], aligner: Aligner) -> dict[str, list[Found]]:
    """Return by the way of writing what was found for each claim; those of the next passages count as of elsewhere."""
    found: dict[str, list[Found]] = defaultdict(list)
    passages = list(dict.fromkeys(claim.read for claim in claims))
    for at, read in enumerate(passages):
        here = [claim for claim in claims if claim.read == read]
        other = passages[(at + len(passages) // 2) % len(passages)]
        strangers = [claim for claim in claims if claim.read == other and claim.way == "retold"]
        for claim, origins in zip(here, _origins(here, read, aligner), strict=True):
            found[claim.way].append(Found(bool(origins) and origins[0] == claim.span, bool(origins)))
        found["retold, of another book"] += [Found(False, bool(each)) for each in _origins(strangers, read, aligner)]
    return found


def _origins(claims: Sequence[Written], read: str, aligner: Aligner) -> list[list[Span]]:
    outputs = [Output("node", claim.text, "by hand", at) for at, claim in enumerate(claims)]
    aligned = aligner.align(outputs, [SeenText(read)])
    return [[origin.span for claim in each.claims for origin in claim.origins] for each in aligned]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=lambda text: tuple(map(int, text.split(","))), default=SEEDS)
    parser.add_argument("--quick", action="store_true", help="books of 1,000 words")
    options = parser.parse_args()
    words = QUICK_WORDS if options.quick else WORDS
    claims = [each for seed in options.seeds for each in written(seed, words)]
    encoder = Frozen().reader.encoder
    aligners = {
        "by words alone": Aligner(),
        "with vectors": Aligner(encoder),
        "origins from .35": Aligner(encoder, least=0.35),
        "vectors weigh .85": Aligner(encoder, meaning=0.85),
        "vectors alone": Aligner(encoder, meaning=1.0),
    }
    columns = {name: measured(claims, aligner) for name, aligner in aligners.items()}
    print("| a claim is | n | " + " | ".join(columns) + " |")
    print("|---|---|" + "---|" * len(columns))
    for way, rows in next(iter(columns.values())).items():
        cells = (_told(way in WAYS, by_way[way]) for by_way in columns.values())
        print(f"| {way} | {len(rows)} | {' | '.join(cells)} |")


def _told(known: bool, rows: Sequence[Found]) -> str:
    right, some = (sum(getattr(row, name) for row in rows) / len(rows) for name in Found._fields)
    return f"{right:.2f}{f' ({1 - some:.2f} rest on nothing)' * (some < 1)}" if known else f"{some:.2f} find one"


if __name__ == "__main__":
    main()
