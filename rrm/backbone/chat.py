"""What a chat template puts before and behind a dialogue, so that a text it made is known again."""

from dataclasses import dataclass
from typing import Any

_SAID, _REPLIED = "zq0said0zq", "zq0replied0zq"  # words that no template changes, and that no text holds


@dataclass(frozen=True)
class TemplateMarks:
    """How a tokenizer's chat template begins and ends a dialogue; both are empty without a template.

    `begins` are what stands before the first message's words, for each role that the template lets begin.
    `end` is what stands behind the words of a last reply: whatever mark ends a turn.
    """

    begins: tuple[str, ...] = ()
    end: str = ""

    def made(self, text: str) -> bool:
        """Whether the template made this text, as a whole: then it brings all special tokens that it is to have."""
        return text.startswith(self.begins) and self.ends(text)

    def ends(self, text: str) -> bool:
        """Whether a text ends as the template ends a reply; an end of white space alone tells nothing."""
        return text.rstrip().endswith(self.end.rstrip())


def template_marks(tokenizer: Any) -> TemplateMarks:
    """Return how a tokenizer's chat template begins and ends dialogues."""
    if not tokenizer.chat_template:
        return TemplateMarks()
    asked = {"role": "user", "content": _SAID}
    dialogues = [
        [asked, {"role": "assistant", "content": _REPLIED}],
        [{"role": "system", "content": _SAID}, {"role": "user", "content": _REPLIED}],
        [{"role": "assistant", "content": _SAID}],
    ]
    shown = [_shown(tokenizer, each) for each in dialogues]
    begins = {each.partition(_SAID)[0] for each in shown if _SAID in each}
    end = shown[0].partition(_REPLIED)[2] if _REPLIED in shown[0] else ""
    return TemplateMarks(tuple(sorted(each for each in begins if each.strip())), end)


def takes_system(tokenizer: Any) -> bool:
    """Say whether a tokenizer's chat template shows what a system turn says, ahead of the user's turn."""
    shown = _shown(tokenizer, [{"role": "system", "content": _SAID}, {"role": "user", "content": _REPLIED}])
    return _SAID in shown and _REPLIED in shown.partition(_SAID)[2]


def _shown(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False))
    except Exception:  # templates refuse roles in ways of their own
        return ""
