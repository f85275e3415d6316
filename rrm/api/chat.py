"""A model's own chat template at work on messages as people publish them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rrm.core.errors import InputError
from rrm.files import read_json
from rrm.interchange.messages import CALLS, Message, calls, words


def chat_template(folder: Path) -> "ChatTemplate | None":
    """Return a tokenizer's chat template as a function of messages, None where it has none."""
    if not _has_template(folder):
        return None
    from transformers import AutoTokenizer

    try:
        return ChatTemplate(AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False))
    except Exception:
        return None  # loading the model reports what is wrong with it


@dataclass
class ChatTemplate:
    """A tokenizer's chat template: whole messages in, one text out; raises InputError for what it cannot show.

    Calls of tools that it passes over are written into the message's words, and `unshown` counts such texts.
    """

    tokenizer: Any
    unshown: int = 0

    def __call__(self, messages: list[Message]) -> str:
        shown = self._render(messages)
        if not any(map(calls, messages)) or self._render([*map(_without_calls, messages)]) != shown:
            return shown
        self.unshown += 1
        return self._render([_without_calls(each) | {"content": words(each)} for each in messages])

    def _render(self, messages: list[Message]) -> str:
        from jinja2.exceptions import TemplateError

        asks = messages[-1]["role"] != "assistant"
        try:
            return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=asks))
        except (AttributeError, KeyError, TemplateError, TypeError, ValueError) as error:
            raise InputError(f"the model's chat template cannot show these messages: {error}") from error


def _without_calls(message: Message) -> Message:
    return {name: value for name, value in message.items() if name not in CALLS}


def on_calls(template: ChatTemplate | None) -> list[str]:
    """Say in how many texts calls of tools had to be written as words."""
    if template is None or not template.unshown:
        return []
    return [
        f"the model's chat template shows no calls of tools: in {template.unshown:,} texts they are written as words"
    ]


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file():
        return True
    config = folder / "tokenizer_config.json"
    return config.is_file() and bool(read_json(config).get("chat_template"))
