"""What texts of rows show of their way here: placeholders of what is gone, cells cut short, letters read wrongly."""

import re
from collections.abc import Iterable, Iterator, Sequence

from rrm.core.text import misread, spaced_words
from rrm.core.thoughts import is_blank

NOTHINGS = frozenset((
    "nan", "NaN", "None", "null", "NULL", "<NA>", "undefined", "N/A", "n/a", "#N/A", "nil", "[deleted]", "[removed]",
    "(empty)", "<empty>", "$ERROR$", "#REF!", "#NAME?", "#VALUE!",
))  # fmt: skip
"""What programs and collections write in the place of a text that is missing."""

_LIST_MARK = re.compile(r"\s*(?:\(?(?:\d{1,3}|[a-z]|[ivx]{1,4})[.)]|[-*•–—#]+)\s*")


def says_nothing(text: str) -> bool:
    """Whether a text stands in the place of a missing one, is the mark of a list alone (`2.`), or none one sees."""
    return text.strip() in NOTHINGS or _LIST_MARK.fullmatch(text) is not None or is_blank(text)


def may_be_a_name(text: str) -> bool:
    """Whether a text may be what a text or a model is called: `A`, `1`, `gpt-4`, `response_1`."""
    return len(text) <= _LONGEST_NAME and _CALLED.fullmatch(text) is not None


def spaces_tell_apart(texts: Sequence[str]) -> bool:
    """Whether two texts differ in white space alone."""
    if len(texts) != 2 or texts[0] == texts[1] or texts[0].lstrip()[:2] != texts[1].lstrip()[:2]:
        return False  # long texts are not looked through
    return texts[0].split() == texts[1].split()


LONGEST_CELL = 32_767
"""Letters that a cell of a spreadsheet holds: what is longer is cut there."""

_BROKEN_WORD = re.compile(r"[^\W\d_]{2,}-\n[^\W\d_A-ZÀ-ÞА-ЯΑ-Ω]\w*")
_CALLED = re.compile(r"[A-Z]|\d|(?=.*\d)(?=.*[-_/])[\w./-]{3,}")
_LONGEST_NAME = 40
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{2,5}|#x[\da-f]{2,5});", re.IGNORECASE)
_TURN_MARK = re.compile(
    r"<\|(?:im_start|im_end|eot_id|end_of_text|endoftext|start_header_id|begin_of_text|user|assistant|end|eos)\|>"
    r"|</?s>|\[/?INST\]|<(?:start|end)_of_turn>|<[｜|](?:User|Assistant|end▁of▁sentence)[｜|]>|<eos>|\[EOS\]"
)
_LINE_ENDS = re.compile(r"\\n(?![a-z])")  # not \nabla


def damage(values: Iterable[object]) -> Iterator[tuple[str, str]]:
    """Yield what texts among values show, each kind with an example; how it is read is said in `READ_AS`."""
    for told in values:
        if not isinstance(told, str) or len(told) < 2:
            continue
        if "-\n" in told and (found := _BROKEN_WORD.search(told)) is not None:
            yield "broken words", found.group()
        if ("<" in told or "[" in told) and (found := _TURN_MARK.search(told)) is not None:
            yield "marks of turns", found.group()
        if "&" in told and (found := _ENTITY.search(told)) is not None:
            yield "entities", found.group()
        if len(told) == LONGEST_CELL:
            yield "cut", told[-20:]
        if "\\n" in told and "\n" not in told and len(_LINE_ENDS.findall(told)) > 1:
            yield "line ends", told[:40]
        if apart := spaced_words(told):
            yield "spaced", apart[0]
        if letters := misread(told):
            yield "misread", letters[0]


READ_AS = {
    "broken words": "texts with words broken at line ends, such as {}, in {}: read as they stand, each half as a word",
    "marks of turns": "texts with marks of chat templates, such as {}, in {}: read as they stand",
    "entities": "texts with characters written as HTML writes them, such as {}, in {}: read as they stand",
    "cut": "texts as long as a spreadsheet's cell may be, ending in {}, in {}: perhaps cut, and read as they stand",
    "line ends": "texts with line ends written as \\n, such as {}, in {}: read as two letters each",
    "spaced": "texts with words whose letters stand apart, such as {}, in {}: each letter is read as a word",
    "misread": "texts with letters that were lost or read in a wrong encoding, such as {}, in {}: read as they stand",
}
"""Of each kind of damage how such texts are read, with an example and in how many rows."""
