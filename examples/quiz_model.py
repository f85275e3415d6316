"""A scripted assistant for the questions and word problems beside it: it plans, looks facts up and works out steps.

It reads what any model would be sent, and is wrong now and then, by the seed of what it is asked.
"""

import json
import re

from rrm.core.ids import generator
from rrm.core.protocols import Prompt, Reply

_MORE = re.compile(r"Is the ([a-z ]+?) (heavier|taller|older) than the ([a-z ]+)\?")
_WHAT = {"heavier": "weight", "taller": "height", "older": "age"}
_FACT = re.compile(r"What is the ([a-z]+) of the ([a-z ]+)\?")
_NUMBER = re.compile(r"\d+")


class QuizModel:
    """Answers by rules, wrongly with probability `errs`; implements `rrm.core.protocols.Assistant`."""

    def __init__(self, errs: float = 0.25) -> None:
        self.errs = errs
        self.name = f"quiz-model:{errs}"

    async def ask(self, prompt: Prompt) -> Reply:
        """Return a plan where a schema asks for one, else an answer."""
        if prompt.schema is not None:
            return Reply(json.dumps(_plan(prompt.user)))
        wrong = generator("quiz", prompt.system, prompt.user, prompt.sample).random() < self.errs
        return Reply(_answer(prompt.system.partition("\n\n")[0], prompt.user, wrong))


def _plan(user: str) -> dict[str, object]:
    asked = _MORE.search(user.partition("<<<end")[0])
    if asked is None:
        return {"too_big": False, "why": "one thing is asked", "parts": []}
    units = user.count('{"unit"')
    about = {"first": 1, "last": units} if units else {}
    none = {"first": 0, "last": 0} if units else {}
    kind = _WHAT[asked[2]]
    parts = [
        *({"instruction": f"What is the {kind} of the {name}?", "reads": [], **about} for name in (asked[1], asked[3])),
        {"instruction": "Is the first of these numbers more than the second?", "reads": [0, 1], **none},
    ]
    return {"too_big": True, "why": "two things are compared", "parts": parts}


def _answer(instruction: str, user: str, wrong: bool) -> str:
    material = "\n".join(line for line in user.splitlines() if not line.startswith("<<<"))
    if fact := _FACT.search(instruction):
        found = re.search(rf"The {fact[1]} of the {fact[2]} is (\d+ \w+)", material)
        return _spoilt(found[1], wrong) if found else "I do not know."
    if "more than" in instruction:
        first, second, *_ = [*map(int, _NUMBER.findall(instruction) or _NUMBER.findall(material)), 0, 0]
        return "Yes." if (first > second) is not wrong else "No."
    if "are in" in instruction:
        boxes, each, *_ = map(int, _NUMBER.findall(instruction))
        return _step(boxes, "*", each, boxes * each + wrong)
    if "are left when" in instruction:
        there, less, *_ = [*map(int, _NUMBER.findall(instruction)), 0]
        return _step(there, "-", less, there - less - wrong)
    if _MORE.search(instruction):  # the whole question, after its parts
        verdicts = re.findall(r"\b(?:Yes|No)\b", material)
        said = bool(verdicts) and verdicts[-1] == "Yes"
        return "Yes." if said is not wrong else "No."
    numbers = _NUMBER.findall(material)
    return f"A: {int(numbers[-1]) + wrong}" if numbers else "I do not know."


def _step(left: int, sign: str, right: int, result: int) -> str:
    return f"{left} {sign} {right} = <<{left}{sign}{right}={result}>>{result}"


def _spoilt(text: str, wrong: bool) -> str:
    number, _, unit = text.partition(" ")
    return f"{int(number) + 1000 * wrong} {unit}"
