"""Cutting a text into the units that are encoded: its sentences, the long ones in overlapping windows.

Sentences are what MiniLM was trained on, they let an output be aligned with the piece of the source
that it came from, and equal sentences, such as those an extractive policy copies, are encoded once.
Fixed windows of 256 tokens do none of this; here the window is only the longest a unit may be.
"""

from rrm.core.errors import InputError
from rrm.core.protocols import Tokenizer
from rrm.core.text import sentence_texts

WINDOW = 256


def units(text: str, tokenizer: Tokenizer | None, window: int = WINDOW, overlap: int | None = None) -> list[str]:
    """Return the units of a text in order, none empty, each of at most `window` tokens.

    A longer sentence is cut where tokens end, each window starting `overlap` tokens (by default a
    quarter of the window) before the last one ended. Nothing is dropped: the units cover every
    sentence. Without a tokenizer only the sentences' own limit of 2,000 characters holds.
    """
    shared = window // 4 if overlap is None else overlap
    if not 0 <= shared < window:
        raise InputError(f"windows need 0 <= overlap < window, got {shared} and {window}")
    return [piece for sentence in sentence_texts(text) for piece in _windows(sentence, tokenizer, window, shared)]


def _windows(sentence: str, tokenizer: Tokenizer | None, window: int, overlap: int) -> list[str]:
    if tokenizer is None:
        return [sentence]
    # No tokenizer here makes more tokens than there are bytes, so most sentences need no count.
    if len(sentence) * 4 <= window or len(sentence.encode("utf-8", "replace")) <= window:
        return [sentence]
    ends = tokenizer.ends(sentence)
    if len(ends) <= window:
        return [sentence]
    pieces = []
    for first in range(0, len(ends) - overlap, window - overlap):
        last = min(first + window, len(ends))
        start = int(ends[first - 1]) if first else 0
        end = len(sentence) if last == len(ends) else int(ends[last - 1])
        pieces.append(sentence[start:end].strip())
    return [piece for piece in pieces if piece]
