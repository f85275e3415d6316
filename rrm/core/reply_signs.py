"""Signs in an answer's words that some of it may be no part of it: noticed, and the answer is read as it stands."""

import json
import re

from rrm.core.thoughts import LABELLED

MORE_IN_WORDS = "further turns in words"
"""An answer goes on as a talk, such as with `User:`."""
LIKE_REFUSAL = "words of a refusal"
"""An answer begins as refusals do."""
LOOPS = "the same words over and over"
"""An answer ends in a loop."""
PREFACED = "words before the answer"
"""An answer begins with a label or a line that only says that it comes: `Summary:`, `Sure! Here is the summary:`."""
THINKS_ALOUD = "words of thinking aloud"
"""An answer begins as the thoughts of a reasoning model do, without marks around them."""
AS_JSON = "JSON in the place of a text"
"""An answer is an object or a list in JSON where a text was asked for."""
QUOTED = "quotation marks around the answer"
"""An answer stands whole in one pair of quotation marks."""

_TURN = re.compile(r"^(?:Human|User|USER|### (?:Instruction|Human|User|Input)):", re.MULTILINE)
_REFUSES = re.compile(
    r"\s*(?:(?:I['’]m|I am) (?:very |so |really )?sorry|Sorry|Unfortunately|I apologi[sz]e|As an AI\b)?.{0,60}?"
    r"\bI(?:['’]m| am)? (?:cannot|can['’]t|can not|unable to|not able to|won['’]t|will not)"
    r" (?:be able to )?(?:assist|help|provide|fulfil|comply|create|write|generate|summari[sz]e|answer|engage|do that)",
    re.IGNORECASE,
)
_PREFACE = re.compile(
    r"\s*(?:(?:sure|certainly|of course|absolutely|okay|ok|great|here(?:['’]s| is| are| it is| you go)|below is"
    r"|the following is|voici|hier ist|aqu[íi] (?:está|tienes)|ecco|вот|好的|以下是|こちら)[^\n]{0,200}[:：]\**[ \t]*\n"
    r"|[#*_ ]*(?:(?:final )?(?:answer|summary|response|output)|assistant|ai|antwort|zusammenfassung|résumé|resumen"
    r"|摘要)[*_]*[:：])",
    re.IGNORECASE,
)
_THINKS = re.compile(
    r"\s*(?:(?:okay|ok|alright|all right|hmm+|well|so|first)[,.…]* (?:so,? |then,? )?)?"
    r"(?:let me (?:think|see|look|read|start|break|analy[sz]e|re-?read|try)|let['’]s (?:think|see|look|break)"
    r"|(?:i|we) (?:need|have|should) (?:to )?(?:summari[sz]e|write|figure|analy[sz]e|produce|output)"
    r"|(?:the )?user (?:wants|is asking|asks|asked|has given))\b",
    re.IGNORECASE,
)
_QUOTES = (('"', '"'), ("“", "”"), ("«", "»"), ("„", "“"))


def signs_in(text: str) -> list[str]:
    """Return what is to be noticed of the words of an answer, which are read as they stand."""
    signs = (
        (MORE_IN_WORDS, _TURN.search(text)),
        (LIKE_REFUSAL, _REFUSES.match(text)),
        (LOOPS, _ends_in_a_loop(text)),
        (PREFACED, _PREFACE.match(text)),
        (THINKS_ALOUD, _THINKS.match(text) or LABELLED.match(text)),
        (AS_JSON, _is_json(text)),
        (QUOTED, _is_quoted(text)),
    )
    return [what for what, found in signs if found]


def _is_json(text: str) -> bool:
    text = text.removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    if text[:1] + text[-1:] not in ("{}", "[]"):
        return False
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _is_quoted(text: str) -> bool:
    return any(
        len(text) > 2 and text.startswith(one) and text.endswith(other) and not {one, other} & {*text[1:-1]}
        for one, other in _QUOTES
    )


def _ends_in_a_loop(text: str) -> bool:
    """Whether a text ends in words that are said four times or more one behind the other, the last time maybe in part.

    Such an end equals what stands a word, a sentence or more before it, wherever the text was cut off. A loop that
    counts as it goes, or that the model left by itself, is not found.
    """
    told = " ".join(text[-4 * _LONGEST_LOOP :].split())
    before = told.rfind(told[-_SHORTEST_LOOP:], 0, len(told) - 1)
    period = len(told) - _SHORTEST_LOOP - before
    length = max(3 * period - 1, _SHORTEST_LOOP)  # the last time without the space behind it
    again = before >= 0 and told[-length:] == told[-length - period : -period]
    return again and any(map(str.isalpha, told[-period:]))


_LONGEST_LOOP = 1_000  # characters
_SHORTEST_LOOP = 60  # characters that are said again: "ha ha ha" is no loop
