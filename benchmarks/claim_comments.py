"""What a reviewer's comment on a piece of a summary says, told from its words: fault of content or form, or praise."""

import re
from typing import Literal

Said = Literal["fault", "form", "praise", "unknown"]
"""Not as the source says / not well written / good / cannot be told from the words."""

_PRAISE = re.compile(
    r"\b(?:good(?! opportunity)|great|excellent|(?<!too )strong|nice(?:ly)?|well[- ]written|solid|interesting detail"
    r"|insight|love|perfect|accurate(?:ly)?|correct(?:ly)?|true|right)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:not|n't|never|no|none|hardly|barely|isn't|doesn't|didn't|wasn't|aren't|don't)\b[^.;!]{0,40}$", re.IGNORECASE
)
_FAULT = re.compile(
    r"\b(?:incorrect(?:ly)?|inaccura\w+|untrue|false|wrong|misattribut\w+|made[- ]up|opposite|backwards|flipped"
    r"|contradict\w*|nonsensical|not justified|no evidence|no indication|nowhere|where (?:did|does) this come"
    r"|(?:different|wrong|another|other) stor(?:y|ies)|not (?:\w+ ){0,3}(?:true|correct|accurate|mentioned|in the"
    r"|in this|happen\w*|what happen\w*|from this|quite|necessarily|actually|exactly)|(?:n't|none of this|never)"
    r" (?:\w+ ){0,6}(?:true|correct|accurate\w*|happen\w*|mention\w*|reflect\w*|recall)|semi-correct|unsure where"
    r"|not sure (?:where|this is|that this is|this is correct)|makes? no sense|doesn't make sense)\b",
    re.IGNORECASE,
)
_FORM = re.compile(
    r"\b(?:commas?|hyphen\w*|spell\w*|misspel\w*|typos?|punctuation|gramma\w*|tenses|verb tense|repeat\w*|repet\w*"
    r"|redundant|fragment|sentence|clause|plural|singular|capital\w*|caps|awkward|wording|phras\w*|word choice"
    r"|two words|one word|space|quotation|apostrophe|pronouns?|agreement|transition|syntax|conjunction|needed|unclear"
    r"|confus\w*|vague|describe|more detail|opportunity|could (?:be|have|specify|mention|name))\b",
    re.IGNORECASE,
)
_CONTENT = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|\w+n't|actually|instead|rather than|more than|should (?:be|say)"
    r"|story|text|is the|is a|was|were|did|has|have)\b",
    re.IGNORECASE,
)
_FEW = 3  # words of a comment that puts something in the place of what was said, such as a name


def said(comment: str) -> Said:
    """Return what a comment says.

    Words that call it false come first, then form and what could be added, then praise that is not denied. What is left
    is a fault of content if it denies something or says how things are in the story, or if it has three words or fewer
    and no question mark; else it cannot be told.
    """
    text = comment.replace("’", "'").strip()
    if not re.search(r"\w", text):
        return "unknown"
    if _FAULT.search(text):
        return "fault"
    if _FORM.search(text) and not _praised(text):
        return "form"
    if _praised(text):
        return "praise"
    short = len(text.split()) <= _FEW and "?" not in text and len(text) > _FEW
    return "fault" if short or _CONTENT.search(text) else "unknown"


def _praised(text: str) -> bool:
    return any(not _DENIED.search(text[: match.start()]) for match in _PRAISE.finditer(text))
