"""Thoughts of reasoning models that stand in the text of a reply, told from the answer that follows them.

The rules, by which text and structured replies are read alike:

- What stands before the last closing mark (`</think>` and its kin) is no part of the answer, whether there is an
  opening mark or not: templates and servers often swallow that one. Where nothing follows the last closing mark, the
  thoughts that it closes are left out, and what stands before them is read by the same rules.
- What stands behind an opening mark that is never closed is no part of it either. Such a mark counts only where it
  begins a line, or in a reply that was cut off: elsewhere prose may be about it.
  Behind thoughts it counts wherever it is the mark that opened them: such a reply does think.
- A mark in quotation marks or backticks, directly before and behind it, is a mention and stays. So do an opening mark
  and, behind it, a closing one within one block of code, one span of code or one quotation: an example of such marks.
- Within a sentence, between a word and a comma, a stop or a word in small letters, a mark is a mention, too, unless it
  closes what a mark before it opened: "a tag such as </think> ends them". Models end their thoughts as sentences end.
- Of a reply in the channels of the harmony format only the last `final` one is the answer.
- A turn's end mark, such as `<|im_end|>`, ends the answer, but not within code that shows how a turn begins before it.
- Marks around an answer that came with thoughts (`<answer> ... </answer>`, `Final answer:`) are left out. Such marks
  with nothing between them are no answer, whether thoughts came with them or not.
- In a reply that is to be JSON, marks within a whole object are text.

A text without such marks comes back as it is, and reading a second time changes nothing.
"""

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

_NAME = (
    "(?:(?:[a-z]+_)*think(?:_[a-z]\\w*)?|(?:ant|[a-z]+_)?thinking(?:_process)?|(?:[a-z]+_)?thoughts?(?:_process)?"
    "|(?:[a-z]+_)?reasoning(?:_process|_content|_steps)?|rationale|reflection|deliberation|scratch_?pad|analysis"
    "|(?:inner_|internal_)?monologue|chain_of_thought|cot)"
)
_PIPED = "(?:think|thinking|thoughts?|reasoning)"
_ESCAPED = tuple(  # as pages, JSON and Markdown write < and >, and as East Asian keyboards do
    rf"(?:{wide}|\\+{sign}|\\u00{code}|&(?:amp;)*(?:{name}|#0*{number}|#x0*{code});)"
    for sign, wide, name, number, code in (("<", "＜", "lt", 60, "3c"), (">", "＞", "gt", 62, "3e"))
)
_OPENING = re.compile(
    rf"<\s*(?:\w+:)?{_NAME}(?:\s[^<>/]{{0,200}})?>"  # <think>, <seed:think>, <thinking budget="low">
    rf"|{_ESCAPED[0]}{_NAME}{_ESCAPED[1]}"
    rf"|<\|(?:(?:begin|start)_?(?:of)?_?)?{_PIPED}(?:_start|_begin)?\|>"  # <|START_THINKING|>
    r"|\[(?-i:(?:BEGIN_|START_)?(?:THINK|THINKING|REASONING))\]"
    r"|◁think▷"
    r"|<\|inner_prefix\|>"
    rf"|<\|channel>\s*{_PIPED}\b"
    rf"|<unused94>\s*{_PIPED}\b"
    r"|<details\b[^<>]*\btype=[\"']reasoning[\"'][^<>]*>",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    rf"<\s*/\s*(?:\w+:)?{_NAME}\s*>|<\s*(?:\w+:)?{_NAME}\s*/\s*>|{_ESCAPED[0]}\\?[/／]{_NAME}{_ESCAPED[1]}"
    rf"|<\|(?:/|end_?(?:of)?_?){_PIPED}\|>|<\|{_PIPED}_end\|>"
    r"|\[(?:/|(?-i:END_))(?-i:THINK|THINKING|REASONING)\]"
    r"|◁/think▷"
    r"|<\|inner_suffix\|>"
    r"|<channel\|>"
    r"|<unused95>"
    r"|(?m:^)[^\S\n]*\.\.\.done thinking\.(?=\s)",  # as Ollama's command line shows it
    re.IGNORECASE,
)
_DETAILS = re.compile(
    r"<details\b[^<>]*(?:\btype=[\"']reasoning[\"'][^<>]*>"
    r"|>\s*<summary>[^<>]{0,20}\b(?:thinking|thoughts?|reasoning)\b[^<>]{0,60}</summary>)",
    re.IGNORECASE,
)

# The channels of the harmony format, as they are and with their special tokens dropped by a tokenizer.
_CHANNEL = re.compile(r"<\|channel\|>\s*(?:analysis|commentary|final)\b")
_FINAL = re.compile(r"<\|channel\|>\s*final\b[^<>]*(?:<\|constrain\|>[^<>]*)?<\|message\|>")
_FINAL_BARE = re.compile(r"assistantfinal(?:json(?=\s*[{\[]))?")
_ANALYSIS_BARE = re.compile(r"\s*(?:analysis|commentary)(?![a-z])")
_ANALYSIS_CUT = re.compile(r"\s*analysis(?=[A-Z])")

_HEADER = re.compile(
    r"\s*(?:<\|im_start\|>\s*assistant\b|<\|start_header_id\|>\s*assistant\s*<\|end_header_id\|>|<start_of_turn>\s*model\b"
    r"|<\|START_OF_TURN_TOKEN\|><\|CHATBOT_TOKEN\|>|<\|start\|>assistant\b|<｜Assistant｜>|<\|assistant\|>"
    r"|<\|header_start\|>\s*assistant\s*<\|header_end\|>|<\|begin_of_(?:text|box|solution)\|>|<bos>"
    r"|<s>(?![\s\S]*</s>))\s*"
)
_TURN_ENDS = re.compile(
    r"<\|(?:im_end|im_start|eot_id|eom_id|eot|eom|EOT|eos|end_of_text|endoftext|endofassistant|end_of_turn|end_of_role"
    r"|end_of_box|end|return|call|start|channel|header_start|user|END_OF_TURN_TOKEN|START_OF_TURN_TOKEN)\|>"
    r"|<(?:end_of_turn|start_of_turn|end_of_utterance)>|<turn\|>|<｜(?:end▁of▁sentence|User|Assistant)｜>"
    r"|(?:</s>|<(?:\w+:)?eos>|\[EOS\]|(?:data: *)?\[DONE\])\s*\Z"
)
_WRAPPER = "(?:answer|final|final_answer|final_response|response|output|solution|summary|result|conclusion)"
_PIPED_WRAPPER = "(?:start_|end_|begin_of_|end_of_)(?:response|solution|answer|box)"
_WRAPPED_BEFORE = re.compile(
    rf"<{_WRAPPER}>|<\|{_PIPED_WRAPPER}\|>|-{{3,}}[^\S\n]*\n\s*"
    r"|(?:#{1,6}[^\S\n]*)?\**final answer\**(?::\**\s*|[^\S\n]*\n\s*)",
    re.IGNORECASE,
)
_WRAPPED_BEHIND = re.compile(
    rf"(?:</{_WRAPPER}>|<\|{_PIPED_WRAPPER}\|>|\[END FINAL RESPONSE\](?:\s*<\|end\|>)?)\Z", re.IGNORECASE
)
_COMES = (  # in front of a fence: other lines may say what it is that it shows
    r"(?:(?:sure|certainly|of course|absolutely|okay|ok|great)\b[^\n\w]{1,4})?"
    r"(?:here(?:['’]s| is| are| it is| you go)|below is|the following is)\b[^\n`~]{0,200}:\**"
)
_WHOLE = re.compile(
    rf"(?:[^\n<>]{{1,200}}:\s*\n\s*)?<(?P<name>{_WRAPPER}|assistant)(?:\s[^<>/]{{0,200}})?>"
    r"(?P<marked>(?:(?!</?(?P=name)>)[\s\S])*)</(?P=name)>"
    rf"|(?:{_COMES}\s*\n\s*)?(?P<fence>```|~~~)"
    r"(?:text|txt|plaintext|plain|markdown|md|answer|output|response|summary)?[ \t]*\n"
    r"(?P<fenced>(?:(?!(?P=fence))[\s\S])*)\n(?P=fence)",
    re.IGNORECASE,
)
_HALF = re.compile(rf"<(?P<opened>{_WRAPPER})>|</(?P<closed>{_WRAPPER})>", re.IGNORECASE)
_NOTHING = re.compile(
    rf"(?:\s|</?{_WRAPPER}\s*/?>|<\|{_PIPED_WRAPPER}\|>|\[(?:BEGIN|END) FINAL RESPONSE\]|`{{3,}}+\w*"
    r"|\**+final answer:?\**+:?)*",
    re.IGNORECASE,
)
"""What may stand around an answer, with no answer in it."""
_QUOTES = frozenset("`'\"“”‘’«»‹›")
_BEHIND_WORDS = frozenset(",.;:!?)")
_FENCE = re.compile(r"^[ \t]{0,3}(`{3,}|~{3,})([^\n`]*)$", re.MULTILINE)
_THINKING_FENCE = re.compile(rf"\s*```[ \t]*{_PIPED}[ \t]*\n", re.IGNORECASE)
_LABEL = r"(?:(?:my |the )?(?:thoughts?|thinking|reasoning)(?: process| steps)?|chain[- ]of[- ]thought|scratchpad)"
LABELLED = re.compile(rf"\s*(?:[#*_ ]*{_LABEL}[*_]*:|(?:#{{1,4}} +|\*\*){_LABEL}\**[ \t]*\n)", re.IGNORECASE)
"""How a text begins that calls itself thoughts: `Reasoning:`, `## Thinking process`."""


def _answer_label(name: str) -> re.Pattern[str]:
    """Return the pattern of a line, or its beginning, that says that the answer follows."""
    return re.compile(
        rf"^(?:[#*_ ]*{name}[*_]*:[*_]*|(?:#{{1,4}} +|\*\*){name}\**[ \t]*$)\s*", re.MULTILINE | re.IGNORECASE
    )


_IN_WORDS = (  # IBM's and ServiceNow's models say in words where thoughts and answers begin
    (re.compile(r"\s*Here(?:'s| is) my thought process:"), re.compile(r"^Here(?:'s| is) my response:", re.MULTILINE)),
    (re.compile(r"\s*Here are my reasoning steps:"), re.compile(r"^\[BEGIN FINAL RESPONSE\]", re.MULTILINE)),
    # "Thought: ... Final Answer: ...", as agents are asked for, and "**Reasoning:** ... **Answer:** ..."
    (LABELLED, _answer_label("final (?:answer|response|summary|output)")),
    (LABELLED, _answer_label("answer")),  # but a text may well have a part "Reasoning" and a part "Summary"
)
_CODE = re.compile(r"(?<!`)`[^`\n]+`(?!`)|(?<!`)``(?!`)[^\n]+?``(?!`)")
_QUOTATION = re.compile(r"\"[^\"\n]*\"|“[^“”\n]*”|«[^«»\n]*»|„[^„“”\n]*[“”]")
_TURN_BEGINS = re.compile(
    r"<\|(?:im_start|start|start_header_id|begin_of_text|START_OF_TURN_TOKEN|start_of_role|turn)\|>|<start_of_turn>|<s>"
    r"|<bos>|<｜(?:User|begin▁of▁sentence)｜>|\[INST\]"
)
_MOST_STARTS = 64  # closing marks behind which a structured answer is looked for, so that many cost little

Mark = re.Match[str]
"""Where a mark stands in a text."""


class Heard(NamedTuple):
    """What a reply says without its thoughts, and whether it held any."""

    text: str
    thoughts: bool


def without_thoughts(text: str, cut_off: bool = False) -> Heard:
    """Return the answer in a reply, "" where it has none, by the rules above; `cut_off` says that it did not end."""
    answer, thoughts, _ = _without_marks(text, cut_off)
    if thoughts and (unwrapped := _unwrapped(answer)) != answer:
        answer, *_ = _without_marks(unwrapped, cut_off)
    if answer.strip() and _NOTHING.fullmatch(answer):
        answer = ""
    return Heard(text if answer == text else answer.strip(), thoughts)


def holds_thoughts(text: str) -> bool:
    """Whether thoughts stand in a text, by the rules above."""
    signs = (  # one is in each of the marks; many texts are looked at
        "<" in text or "[" in text or "Here" in text or "```" in text or "&" in text or "\\u003" in text
        or "◁" in text or "＜" in text or "assistantfinal" in text or "done thinking." in text
        or LABELLED.match(text) is not None
    )  # fmt: skip
    return signs and without_thoughts(text).thoughts


def unwrapped(text: str) -> str:
    """Return an answer without a pair of marks, or a fence for text, that holds the whole of it.

    A line before them that only says what comes is left out, too, and so is a mark of a pair whose other is missing.
    """
    while (found := _WHOLE.fullmatch(text.strip())) is not None:
        text = (found["marked"] or found["fenced"] or "").strip()
    halves = list(_HALF.finditer(text))
    if len(halves) == 1:
        before, behind = text[: halves[0].start()].strip(), text[halves[0].end() :].strip()
        if not (before if halves[0]["opened"] else behind):
            return unwrapped(before + behind)
    return text


def speaks_of_marks(text: str) -> bool:
    """Whether marks stand in an answer that were taken for words of a sentence."""
    examples = _examples(text, _OPENING, _CLOSING)
    return any(_real(marks, text, examples) for marks in (_OPENING, _CLOSING))


def goes_on(text: str, cut_off: bool = False) -> bool:
    """Say whether words stand behind the mark that ends the turn with the answer: they are left out of it."""
    return _TURN_ENDS.search(text) is not None and _without_marks(text, cut_off).turns


def structured_without_thoughts(text: str, cut_off: bool = False) -> Heard:
    """Return the part of a reply in which its JSON object is looked for.

    A reply that is one object and nothing else has no thoughts, whatever its texts hold; nor has what stands
    behind a closing mark and is one object to its end. With prose around them, marks within whole objects are text.
    """
    if _is_object(text):
        return Heard(text, False)
    for _, mark in zip(range(_MOST_STARTS), _CLOSING.finditer(text), strict=False):
        if _is_object(behind := text[mark.end() :]):
            return Heard(behind.strip(), True)
    masked, objects = _without_objects(text)
    answer, thoughts = without_thoughts(masked, cut_off)
    if answer == masked:
        return Heard(text, False)
    again = structured_without_thoughts(_OBJECT.sub(lambda match: objects[int(match[1])], answer), cut_off)
    return Heard(again.text, thoughts or again.thoughts)


_OBJECT = re.compile("\ue100(\\d+)\ue101")
"""What stands in the place of a whole JSON object while marks are looked for around it."""


def _without_objects(text: str) -> tuple[str, list[str]]:
    """Return a text whose outermost whole JSON objects give way to signs, and these objects by their numbers."""
    parts: list[str] = []
    objects: list[str] = []
    at, brace = 0, text.find("{") if "\ue100" not in text else -1
    for _ in range(_MOST_STARTS):
        if brace < 0:
            break
        try:
            found, end = _JSON.raw_decode(text, brace)
        except (ValueError, RecursionError):
            brace = text.find("{", brace + 1)
            continue
        if isinstance(found, dict):
            parts += [text[at:brace], f"\ue100{len(objects)}\ue101"]
            objects.append(text[brace:end])
            at = end
        brace = text.find("{", end)
    return "".join([*parts, text[at:]]), objects


_JSON = json.JSONDecoder()


def is_mark(text: str) -> bool:
    """Whether a text is a mark, or a piece of one, that tells thoughts from an answer, and nothing else."""
    pieces = ("<|channel|>", "<|message|>", "<|channel>")
    return text in pieces or any(marks.fullmatch(text) for marks in (_OPENING, _CLOSING))


def is_blank(text: str) -> bool:
    """Whether a text has nothing that can be seen: white space, control characters, characters of no width."""
    return not any(letter.isprintable() and not letter.isspace() for letter in text)


def ends_whole(text: str) -> bool:
    """Whether a text is one JSON object to its end, maybe fenced: such an answer is whole even if its reply is not."""
    return _is_object(text)


class _Unmarked(NamedTuple):
    """A text without what its marks tell to leave out: whether that was thoughts, and whether words behind a turn."""

    text: str
    thoughts: bool
    turns: bool


def _without_marks(text: str, cut_off: bool) -> _Unmarked:
    """Leave out what the marks tell to leave out, until there is nothing more."""
    thoughts = turns = False
    while True:
        answer = _behind_the_last_mark(_final_channel(text, cut_off), cut_off)
        thoughts = thoughts or answer != text
        answer, behind = _turn(answer)
        turns = turns or not is_blank(behind)
        if answer == text:
            return _Unmarked(text, thoughts, turns)
        text = answer


def _turn(text: str) -> tuple[str, str]:
    """Return what stands in the first turn of a reply, and what stands behind the marks at its end."""
    text = text[_end_of(_HEADER, text) :]
    end = _turn_end(text)
    return (text, "") if end is None else (text[: end.start()], _TURN_ENDS.sub("", text[end.end() :]))


def _unwrapped(text: str) -> str:
    text = text.strip()
    return _WRAPPED_BEHIND.sub("", text[_end_of(_WRAPPED_BEFORE, text) :], count=1)


def _final_channel(text: str, cut_off: bool) -> str:
    """Return the last final channel of a reply in harmony's format."""
    examples = _examples(text, _CHANNEL, _FINAL)
    if channels := _real(_CHANNEL, text, examples):
        finals = _real(_FINAL, text, examples)
        if finals:
            answer = text[finals[-1].end() :]
            end = _turn_end(answer)
            return answer if end is None else answer[: end.start()]
        return text[: channels[0].start()]
    if _ANALYSIS_BARE.match(text):
        finals = list(_FINAL_BARE.finditer(text))
        if finals:
            return text[finals[-1].end() :]
        if cut_off and _ANALYSIS_CUT.match(text):
            return ""
    return text


def _behind_the_last_mark(text: str, cut_off: bool) -> str:
    text = _without_details(text)
    examples = _examples(text, _OPENING, _CLOSING)
    closings = _real(_CLOSING, text, examples)
    openings = _real(_OPENING, text, examples) if closings else []
    closings = _no_words(text, openings, closings)
    starts = [mark.start() for mark in openings]
    begin, end = 0, len(text)
    while closings:
        begin = closings[-1].end()
        if not is_blank(text[begin:end]):
            break
        opened = bisect_left(starts, closings[-1].start())
        if opened == 0:
            return ""
        begin, end = 0, starts[opened - 1]
        while closings and closings[-1].start() >= end:
            closings.pop()
    answer = text[begin:end]
    opened_by = {mark.group().casefold() for mark in openings if mark.start() < begin}
    for mark in _real(_OPENING, answer, _examples(answer, _OPENING, _CLOSING)):
        again = mark.group().casefold() in opened_by and not _is_in_a_sentence(answer, mark)
        if cut_off or again or not answer[: mark.start()].rpartition("\n")[2].strip():
            return answer[: mark.start()]
    return answer


def _no_words(text: str, openings: Sequence[Mark], closings: Sequence[Mark]) -> list[Mark]:
    """Return the closing marks that are no words of a sentence, or close what one before them opened."""
    found: list[Mark] = []
    opened = 0
    left = [mark.start() for mark in reversed(openings) if not _is_in_a_sentence(text, mark)]
    for mark in closings:
        while left and left[-1] < mark.start():
            left.pop()
            opened += 1
        if opened or not _is_in_a_sentence(text, mark):
            found.append(mark)
            opened = max(0, opened - 1)
    return found


def _is_in_a_sentence(text: str, mark: Mark) -> bool:
    """Whether a mark stands as a word does: behind a word, and before a comma, a stop or a word in small letters."""
    before, behind = text[max(0, mark.start() - 2) : mark.start()], text[mark.end() : mark.end() + 2]
    if len(before) < 2 or before[1] != " " or not (before[0].isalnum() or before[0] in ",;:("):
        return False
    if behind[:1] in _BEHIND_WORDS:
        return not behind[1:].strip()
    return behind[:1] == " " and behind[1:].isalpha() and not behind[1:].isupper()


def _without_details(text: str) -> str:
    """Leave out the blocks, foldable or of code, in which some web interfaces and models show thoughts."""
    if fence := _THINKING_FENCE.match(text):
        closing = text.find("\n```", fence.end() - 1)
        text = text[closing + 4 :] if closing >= 0 else text
    for begins, ends in _IN_WORDS:
        if begins.match(text) and (closing_words := ends.search(text)):
            text = text[closing_words.end() :]
    parts, at = [], 0
    for opening in _DETAILS.finditer(text):
        if opening.start() < at:
            continue
        if (closing := text.find("</details>", opening.end())) < 0:
            break
        parts.append(text[at : opening.start()])
        at = closing + len("</details>")
    return "".join([*parts, text[at:]])


Stretch = tuple[int, int]
"""Where a stretch of a text begins and ends."""


def _real(marks: re.Pattern[str], text: str, examples: Sequence[Stretch]) -> list[Mark]:
    """Return the marks that are neither mentions nor parts of examples."""
    return [mark for mark in marks.finditer(text) if not (_is_mention(text, mark) or _is_within(mark, examples))]


def _examples(text: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> list[Stretch]:
    """Return the stretches of code or quotation, in order, with an opening mark and a closing one behind it."""
    if opening.search(text) is None:
        return []
    found: list[Stretch] = []
    for start, end in sorted([*_code(text), *(each.span() for each in _QUOTATION.finditer(text))]):
        if found and start < found[-1][1]:
            continue
        begun = opening.search(text, start, end)
        if begun is not None and closing.search(text, begun.end(), end) is not None:
            found.append((start, end))
    return found


def _code(text: str) -> list[Stretch]:
    """Return the blocks of code that are closed, and the spans of code within lines."""
    if "`" not in text and "~~~" not in text:
        return []
    found: list[Stretch] = []
    begun: Mark | None = None
    for fence in _FENCE.finditer(text):
        if begun is None:
            begun = fence
        elif fence[1].startswith(begun[1]) and not fence[2].strip():
            found.append((begun.start(), fence.end()))
            begun = None
    return [*found, *(each.span() for each in _CODE.finditer(text))]


def _turn_end(text: str) -> Mark | None:
    """Return the mark that ends a reply's turn: the first that is no mention and stands in no example of turns."""
    ends = _TURN_ENDS.finditer(text)
    first = next(ends, None)
    if first is None:
        return None
    examples: list[Stretch] = []
    for start, end in sorted(_code(text)):
        begun, mark = _TURN_BEGINS.search(text, start, end), _TURN_ENDS.search(text, start, end)
        if begun is not None and mark is not None and begun.start() <= mark.start():
            examples.append((start, end))
    real = (mark for mark in (first, *ends) if not (_is_mention(text, mark) or _is_within(mark, examples)))
    return next((mark for mark in real if mark.group().strip() != "</s>" or "<s>" not in text), None)


def _is_within(mark: Mark, stretches: Sequence[Stretch]) -> bool:
    place = bisect_right(stretches, (mark.start(), len(mark.string) + 1)) - 1
    return place >= 0 and mark.end() <= stretches[place][1]


def _is_mention(text: str, mark: Mark) -> bool:
    return text[max(0, mark.start() - 1) : mark.start()] in _QUOTES and text[mark.end() : mark.end() + 1] in _QUOTES


def _end_of(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.match(text)
    return found.end() if found else 0


def _is_object(text: str) -> bool:
    text = text.strip()
    if text.startswith("```") and text.endswith("```") and len(text) > 6:
        text = text[3:-3].removeprefix("json").strip()
    if not (text.startswith("{") and text.endswith("}")):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
