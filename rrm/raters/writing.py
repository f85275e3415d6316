"""What a simulated rater might write: drafts made of the view's sentences, and edits of an output by one sentence.

The law is stated here and was measured of nobody. Which of its drafts a rater hands in is the rater's choice.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from rrm.core.errors import InputError
from rrm.core.text import WORDS_PER_TOKEN, sentence_texts, words
from rrm.core.values import Correction, Request


def drafts(request: Request, count: int, rng: np.random.Generator) -> list[str]:
    """Return texts that might be written, [1 to count], all different: for a correction first the output as it is.

    A demonstration's drafts are sentences of the view in their order, drawn until no more fit; those of a correction
    differ from the output by one sentence that is left out, replaced by one of the view, or added behind it. Raises
    InputError where a view to write about has no sentence.
    """
    known = sentence_texts(request.view.text)
    limit = int(WORDS_PER_TOKEN * request.view.max_tokens)
    if request.kind == Correction.kind:
        [shown] = request.shown
        made = [shown.text, *(_edited(sentence_texts(shown.text), known, limit, rng) for _ in range(count - 1))]
    elif not known:
        raise InputError("a simulated rater writes sentences of the view, and this one has none")
    else:
        made = [_written(known, limit, rng) for _ in range(count)]
    return list(dict.fromkeys(made))


def new_words(request: Request, text: str) -> int:
    """Return how many words of a text had to be written: those that the output which was edited does not have."""
    before = Counter(words(request.shown[0].text)) if request.kind == Correction.kind else Counter[str]()
    return (Counter(words(text)) - before).total()


def _written(known: Sequence[str], limit: int, rng: np.random.Generator) -> str:
    chosen: list[int] = []
    left = limit
    for at in rng.permutation(len(known)).tolist():
        size = len(words(known[at]))
        if size <= left or not chosen:
            chosen.append(at)
            left -= size
    return " ".join(known[at] for at in sorted(chosen))


def _edited(own: Sequence[str], known: Sequence[str], limit: int, rng: np.random.Generator) -> str:
    """Return an output's sentences with one changed; as they are where the change would leave none, or too many."""
    at, what = int(rng.integers(max(1, len(own)))), rng.choice(["left out", "replaced", "added"])
    new = [] if what == "left out" or not known else [known[int(rng.integers(len(known)))]]
    sentences = [*own, *new] if what == "added" else [*own[:at], *new, *own[at + 1 :]]
    text, before = " ".join(sentences), " ".join(own)
    return text if sentences and len(words(text)) <= max(limit, len(words(before))) else before
