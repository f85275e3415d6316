"""Reading models' answers: one JSON object of a given schema out of a reply, or a refusal that says why."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import isfinite
from typing import Any

from rrm.core.errors import InputError, MalformedAnswerError
from rrm.core.protocols import Prompt, Reply
from rrm.core.replies import read

MAX_CHARS = 1_000_000
MAX_DEPTH = 32
_MAX_STARTS = 64  # how many opening braces are tried, so that a reply full of them costs little
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
}
_CHECKED = frozenset(
    (
        "type",
        "enum",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "uniqueItems",
        "items",
        "properties",
        "required",
        "additionalProperties",
    )
)
_REMARKS = frozenset(("title", "description", "$schema"))


def checked(reply: Reply, prompt: Prompt, max_chars: int = MAX_CHARS) -> Reply:
    """Return a reply whose text is the answer as its prompt asked for it: with a schema, JSON of it and nothing else.

    Thoughts are left out, and an answer that was cut off is `truncated` (see `rrm.core.replies.read`). Raises
    NoAnswerError where there is no answer, MalformedAnswerError for what is no JSON of the schema, and for more than
    `max_chars` characters.
    """
    if len(reply.text) > max_chars:
        raise MalformedAnswerError(f"the answer has {len(reply.text)} characters, more than {max_chars}")
    answer = read(reply, prompt.schema is not None)
    if prompt.schema is None:
        return answer
    return replace(answer, text=json.dumps(parse_json(answer.text, prompt.schema, max_chars), ensure_ascii=False))


def asked_for_json(prompt: Prompt) -> str:
    """Return the prompt's system text, with its schema, where it has one, put into words for a model."""
    if prompt.schema is None:
        return prompt.system
    schema = json.dumps(prompt.schema, ensure_ascii=False)
    asked = f"Answer with one JSON object and nothing else. It must meet this JSON schema:\n{schema}"
    return f"{prompt.system}\n\n{asked}".strip()


def parse_json(text: str, schema: Mapping[str, Any], max_chars: int = MAX_CHARS) -> dict[str, Any]:
    """Return the one JSON object in a reply that meets the schema, fenced, bare or with words around it.

    Raises MalformedAnswerError, in one sentence, if there is none; if there are several that
    differ, so that an object quoted from the material cannot pass for the answer; for anything
    larger than `max_chars` or nested deeper than 32; for NaN, infinities, doubled keys and half
    characters. Raises InputError for a schema with keywords that this reader does not check.
    """
    _know(schema)
    if len(text) > max_chars:
        raise MalformedAnswerError(f"the answer has {len(text)} characters, more than {max_chars}")
    if not text.strip():
        raise MalformedAnswerError("the answer is empty where a JSON object was asked for")
    met: list[dict[str, Any]] = []
    faults: list[str] = []
    for found in _objects(text):
        fault = found if isinstance(found, str) else _fault(found, schema, "the answer")
        if fault is not None:
            faults.append(fault)
        elif found not in met and isinstance(found, dict):
            met.append(found)
    if len(met) > 1:
        raise MalformedAnswerError(f"the answer holds {len(met)} different JSON objects where one was asked for")
    if not met:
        raise MalformedAnswerError(faults[-1] if faults else f"the answer is not JSON: {_opening(text)}")
    return met[0]


def least(schema: Mapping[str, Any]) -> Any:
    """Return the least value that meets a schema: no optional keys, first choices, lower limits."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        properties = schema.get("properties", {})
        return {key: least(properties.get(key, {"type": "string"})) for key in schema.get("required", ())}
    if kind == "array":
        items = schema.get("items", {"type": "string"})
        count = int(schema.get("minItems", 0))
        return [items["enum"][number] if "enum" in items else least(items) for number in range(count)]
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    if kind == "boolean":
        return False
    return None if kind == "null" else "." * int(schema.get("minLength", 0))


def longest(schema: Mapping[str, Any], string: int = 4000, items: int = 20) -> int:
    """Return how many characters an answer of a schema may have, with all optional keys, as JSON.

    `string` is the most characters that any text has, `items` the most items of a list, where the schema
    allows more or says nothing.
    """
    if "enum" in schema:
        return max(len(json.dumps(each)) for each in schema["enum"])
    kind = schema.get("type", "object")
    if kind == "object":
        properties = schema.get("properties", {})
        return 2 + sum(len(key) + 6 + longest(each, string, items) for key, each in properties.items())
    if kind == "array":
        count = min(items, int(schema.get("maxItems", items)))
        return 2 + count * (2 + longest(schema.get("items", {"type": "string"}), string, items))
    if kind == "string":
        return 2 + min(string, int(schema.get("maxLength", string)))
    return 24 if kind == "number" else 20 if kind == "integer" else 5


def _objects(text: str) -> Iterator[dict[str, Any] | str]:
    """Yield the outermost JSON objects of a text, or what is wrong with what looks like one.

    After a fault the search goes on where the reader stopped, never inside what it had read, so
    that an object within a broken or truncated one does not pass for the answer.
    """
    at = text.find("{")
    for _ in range(_MAX_STARTS):
        if at < 0:
            return
        try:
            value, end = _DECODER.raw_decode(text, at)
            yield value if _depth(value) <= MAX_DEPTH else f"the answer is nested deeper than {MAX_DEPTH}"
        except RecursionError:
            yield f"the answer is nested deeper than {MAX_DEPTH}"
            return
        except json.JSONDecodeError as error:
            yield f"the answer is not whole JSON: {error.msg.lower()}, in {_opening(text[at:])}"
            if error.msg.startswith("Unterminated"):
                return
            end = max(error.pos, at + 1)
        except (MalformedAnswerError, ValueError) as error:
            yield str(error)
            return
        at = text.find("{", end)


def _opening(text: str) -> str:
    return repr(re.sub(r"\s+", " ", text[:200].strip())[:60])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise MalformedAnswerError(f"the answer has a key twice: {Counter(keys).most_common(1)[0][0]!r}")
    return dict(pairs)


def _finite(number: str) -> float:
    if not isfinite(float(number)):
        raise MalformedAnswerError(f"the answer has a number that is not finite: {number[:20]}")
    return float(number)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_finite)


def _depth(value: Any) -> int:
    depth, layer = 0, [value]
    while layer:
        depth += 1
        inner = [each for each in layer if isinstance(each, dict | list)]
        layer = [child for each in inner for child in (each.values() if isinstance(each, dict) else each)]
    return depth - 1


def _know(schema: Mapping[str, Any]) -> None:
    if unknown := set(schema) - _CHECKED - _REMARKS:
        raise InputError(f"schemas are checked for {', '.join(sorted(_CHECKED))}, not for {', '.join(sorted(unknown))}")
    for inner in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
        _know(inner)


def _fault(value: Any, schema: Mapping[str, Any], where: str) -> str | None:
    """Return what is wrong with a value, in one sentence, or None."""
    if "type" in schema and not _is(value, schema["type"]):
        return f"{where} must be of type {schema['type']}, got {_opening(json.dumps(value))}"
    if "enum" in schema and not any(value == each and type(value) is type(each) for each in schema["enum"]):
        return f"{where} must be one of {', '.join(map(str, schema['enum']))}, got {_opening(json.dumps(value))}"
    if isinstance(value, dict):
        return _fault_in_object(value, schema, where)
    if isinstance(value, list):
        return _fault_in_array(value, schema, where)
    if isinstance(value, str):
        if not _whole(value):
            return f"{where} holds half a character or a NUL"
        return _fault_in_size(len(value), schema, "Length", f"{where}'s length")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _fault_in_size(value, schema, "imum", where)
    return None


def _fault_in_object(value: dict[str, Any], schema: Mapping[str, Any], where: str) -> str | None:
    properties = schema.get("properties", {})
    for key in schema.get("required", ()):
        if key not in value:
            return f"{where} lacks {key!r}"
    if not schema.get("additionalProperties", True) and (extra := set(value) - set(properties)):
        return f"{where} has keys that were not asked for: {_opening(', '.join(sorted(extra)))}"
    faults = (_fault(each, properties.get(key, {}), f"{where}'s {_opening(key)}") for key, each in value.items())
    return next((fault for fault in faults if fault), None)


def _fault_in_array(value: list[Any], schema: Mapping[str, Any], where: str) -> str | None:
    if fault := _fault_in_size(len(value), schema, "Items", f"{where}'s length"):
        return fault
    if schema.get("uniqueItems") and len({json.dumps(each, sort_keys=True) for each in value}) < len(value):
        return f"{where} names something twice"
    inner = schema.get("items", {})
    faults = (_fault(each, inner, f"{where}[{number}]") for number, each in enumerate(value))
    return next((fault for fault in faults if fault), None)


def _fault_in_size(size: float, schema: Mapping[str, Any], suffix: str, where: str) -> str | None:
    low, high = schema.get(f"min{suffix}"), schema.get(f"max{suffix}")
    if (low is not None and size < low) or (high is not None and size > high):
        return f"{where} must lie between {low} and {high}, got {size}"
    return None


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])


def _whole(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
