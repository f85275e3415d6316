"""What the calls of assistants came to, by the part that made them: counts, and a sentence for whatever is odd."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from rrm.core.calls import ANSWER, TRUNCATED, CallCount
from rrm.core.replies import (
    LACKS,
    MARKS_AS_WORDS,
    MORE_TURNS,
    THOUGHTS,
    UNKNOWN_STOP,
    WRAPPED,
)
from rrm.core.reply_signs import AS_JSON, LIKE_REFUSAL, LOOPS, MORE_IN_WORDS, PREFACED, QUOTED, THINKS_ALOUD
from rrm.core.report import CallsReport

_REPLIED = frozenset({ANSWER, TRUNCATED, "malformed", *LACKS})
_BLOCK = "block "
_READ_AS = {
    THOUGHTS: "held thoughts before </think> or a mark like it, which were left out",
    MORE_TURNS: "went on behind <|im_end|> or a mark like it, which ends a turn: that was left out",
    WRAPPED: "stood in <answer> or marks like it, in a fence, or below a role: that was left out",
    MARKS_AS_WORDS: "have </think> or a mark like it within a sentence: read as a word of the answer",
    MORE_IN_WORDS: "go on as a talk, with User: or a word like it: read as part of the answer",
    LOOPS: "end in the same words over and over: read as they stand",
    LIKE_REFUSAL: "begin as refusals do: read as answers all the same",
    PREFACED: "begin with a label or a line that says that the answer comes: read as part of it",
    THINKS_ALOUD: "begin as a model thinks aloud: read as part of the answer",
    AS_JSON: "are JSON in the place of a text: read as they stand",
    QUOTED: "stand whole in quotation marks: read with them",
}
"""What was noticed of replies, in words."""


def calls_reports(counts: Iterable[CallCount]) -> tuple[CallsReport, ...]:
    """Return what came of each part's calls, the most frequent first; replies from the cache count where they came."""
    endings: dict[str, Counter[str]] = {}
    noticed: dict[str, Counter[str]] = {}
    for count in counts:
        endings.setdefault(count.asker, Counter())[count.ending] += count.calls
        for each in filter(None, count.noticed.split(", ")):
            noticed.setdefault(count.asker, Counter())[each] += count.calls
    return tuple(
        CallsReport(asker, dict(found.most_common()), dict(noticed.get(asker, Counter()).most_common()))
        for asker, found in endings.items()
    )


def call_notes(reports: Sequence[CallsReport]) -> Iterator[str]:
    """Say what was left out of replies, what was cut off, and what held no answer."""
    for report in reports:
        replies = sum(n for ending, n in report.endings.items() if ending in _REPLIED)
        of = f"of {_several(replies, 'reply', 'replies')} to the {report.asker or 'run'}"
        for what, n in report.noticed.items():
            if what in _READ_AS:
                yield f"{n:,} {of} {_READ_AS[what]}"
            elif what.startswith(UNKNOWN_STOP):
                yield f"{n:,} {of} ended for a reason that is not known, {what}: taken for whole answers"
            elif what.startswith(_BLOCK):
                yield f"{n:,} {of} held blocks of the type {what.removeprefix(_BLOCK)}, which were left out"
        if cut_off := report.endings.get(TRUNCATED):
            kept = "their outputs keep whole sentences, or words, and are marked truncated"
            yield f"{cut_off:,} {of} were cut off at a limit: {kept}"
        if lost := report.endings.get("lost"):
            told = "they count as spent, may have been paid for, and were made again unless worker after worker ended"
            yield f"{lost:,} calls of the {report.asker or 'run'} were under way at workers that were lost: {told}"
        lacks = {ending: n for ending, n in report.endings.items() if ending in LACKS}
        if lacks:
            told = ", ".join(f"{n:,} {_LACKING.get(ending, ending)}" for ending, n in lacks.items())
            yield f"{sum(lacks.values()):,} {of} held no answer ({told}): failed calls, and no outputs"


_LACKING = {
    "cut off": "cut off before the answer",
    "filtered": "stopped by a filter",
    "tool call": "called a tool",
    "broken": "broken off by a fault",
}


def _several(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"
