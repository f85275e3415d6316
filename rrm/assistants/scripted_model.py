"""A chat model that needs no key: it answers rrm's own prompts by simple rules, so that examples run anywhere."""

import json
import re
from itertools import pairwise
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from rrm.assistants.answers import least
from rrm.core.ids import generator
from rrm.core.text import sentence_texts, words

_BLOCK = re.compile(
    r"^<<<(?P<name>[^<>\n]*) (?P<mark>[0-9a-f]{16})>>>\n(?P<text>.*?)\n?^<<<end (?P=mark)>>>$", re.M | re.S
)
_UNIT = re.compile(r'^\{"unit": \d+, "characters"', re.M)
_LIMIT = re.compile(r"at most (\d+) words")
_SCHEMA = re.compile(r"JSON schema:\n(\{.*\})", re.S)


class ScriptedChatModel(BaseChatModel):
    """Summarises by taking first sentences, and judges by shared words.

    As a solver it takes the sentences of the material in order up to the limit of words that the
    prompt states, leaving each out with probability `vary` (by the seed), so that samples differ;
    if that leaves none, the first words.
    As a rater it prefers the option with the larger share of the material's longer words. As a planner it cuts
    the numbered units of a text into three even runs of units, each a part or a subtask of its own, and calls a
    task without units small enough. For any other schema it gives the least answer that meets it.
    """

    vary: float = 0.5
    seed: int = 0

    @property
    def _llm_type(self) -> str:
        return "rrm-scripted"

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        system = "\n".join(str(each.content) for each in messages if each.type == "system")
        user = "\n".join(str(each.content) for each in messages if each.type != "system")
        blocks = [(found["name"], found["text"]) for found in _BLOCK.finditer(user)]
        schema = _SCHEMA.search(system)
        if schema is None:
            text = self._summary(blocks, system, int(kwargs.get("seed", self.seed)))
        elif units := len(_UNIT.findall(user)):
            text = json.dumps(_planned(json.loads(schema[1]), units))
        else:
            text = json.dumps(_judged(json.loads(schema[1]), blocks))
        read, written = len(words(system)) + len(words(user)), len(words(text))
        usage: Any = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text, usage_metadata=usage))])

    def _summary(self, blocks: list[tuple[str, str]], system: str, seed: int) -> str:
        limit = _LIMIT.search(system)
        left = int(limit[1]) if limit else 60
        text = "\n\n".join(text for name, text in blocks if name == "material")
        random = generator("scripted summary", seed, text)
        taken: list[str] = []
        for sentence in sentence_texts(text):
            size = len(words(sentence))
            if size <= left and not (self.vary and random.random() < self.vary):
                taken.append(sentence)
                left -= size
        return " ".join(taken) or " ".join(text.split()[:left])


def _planned(schema: dict[str, Any], units: int) -> dict[str, Any]:
    """Return three even runs of units as the parts that a schema asks for, fewer where there are fewer units."""
    answer: dict[str, Any] = least(schema)
    cuts = sorted({round(at * units / 3) for at in range(4)})
    if "parts" in schema.get("properties", {}) and len(cuts) > 2:
        item = least(schema["properties"]["parts"]["items"])
        runs = [{"first": first + 1, "last": last} for first, last in pairwise(cuts)]
        asked = {"instruction": "Tell what this part says, in one sentence of its own."} if "reads" in item else {}
        answer |= {"parts": [{**item, **run, **asked} for run in runs]}
        answer |= {"too_big": True} if "too_big" in answer else {}
    return answer


def _judged(schema: dict[str, Any], blocks: list[tuple[str, str]]) -> dict[str, Any]:
    material = _long_words("\n".join(text for name, text in blocks if name.startswith(("text", "part"))))
    options = {name.removeprefix("option "): text for name, text in blocks if name.startswith("option ")}
    overlap = {name: len(_long_words(text) & material) / (len(material) or 1) for name, text in options.items()}
    best = sorted(overlap, key=lambda name: (-overlap[name], name))
    answer: dict[str, Any] = least(schema)
    asked = schema.get("properties", {})
    if "better" in asked and len(best) == 2:
        answer["better"] = "tie" if overlap[best[0]] == overlap[best[1]] else best[0]
    if "best_first" in asked:
        answer["best_first"] = best
    if best and "value" in asked:
        points = int(asked["value"]["maximum"])
        answer["value"] = min(points, 1 + int(overlap[best[0]] * 2 * points))
    if best and "good" in asked:
        answer["good"] = overlap[best[0]] > 0.1
    if best and "text" in asked:
        answer["text"] = f"It uses {overlap[best[0]]:.0%} of the longer words of the text."
    return answer


def _long_words(text: str) -> set[str]:
    return {word.lower() for word in words(text) if len(word) > 4}
