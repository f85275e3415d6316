"""A row's prompt and replies as texts, however they are published: as texts, as messages, in one piece or apart.

    prompt [user], chosen [assistant], rejected [assistant]      apart
    chosen [user, assistant], rejected [user, assistant]         an implicit prompt: the beginning that all share
    prompt "...", chosen [user, assistant], ...                  the prompt repeated: taken off the replies
    prompt ["...", "..."], response_a ["...", "..."], ...        turn by turn, as a table of an arena has it
    prompt '[{"role": "user", ...}]', chosen '[{"role": ...}]'    messages that a table keeps as texts
    chosen "\\n\\nHuman: ... \\n\\nAssistant: ...", rejected ...      an implicit prompt in one text

Replies are rendered with their prompt, so that prompt and reply joined are what the model's chat template
makes of the whole. Without a template a single message is its words.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from rrm.core.errors import InputError
from rrm.core.kinds.parts import brief
from rrm.core.thoughts import holds_thoughts
from rrm.interchange.messages import Message, Render, calls, messages_of, plain, present_in, same, shared, words
from rrm.interchange.pairs import output_columns
from rrm.interchange.rows import Row
from rrm.interchange.tables import chat_in

Chat = list[Message]
Told = str | Chat
How = Literal["apart", "implicit", "repeated"]
"""How a row has its prompt: in a column of its own, as the beginning of its replies, or both."""

Thoughts = Literal["within", "apart"]
"""Where a reply has the thoughts of a reasoning model: in its words, or in a field of its message."""

_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "thoughts")
PROMPT = "prompt"
_PROMPTS = (PROMPT, "context", "conversations")
_REPLY_NAMES = ("completion", "response", "answer", "output", "text")
_REPLY_BEGINS = re.compile(
    r"(?:^|\n)(?:### )?(?:Assistant|ASSISTANT|Response|A):|<\|assistant\|>\n?|<\|im_start\|>assistant\n"
    r"|<\|start_header_id\|>assistant<\|end_header_id\|>\n\n|<start_of_turn>model\n|\[/INST\]|<｜Assistant｜>"
)


@dataclass(frozen=True)
class Dialogue:
    """What was asked, None if nothing says, and the replies by the place where they stand in the row."""

    prompt: Told | None
    replies: Mapping[tuple[str, int | None], Told]
    how: How = "apart"

    def texts(self, row: Row, render: Render | None) -> Row:
        """Return the row with its prompt and replies as texts, rendered as a whole by a chat template.

        Raises InputError for a reply that says nothing, and for messages that the template cannot show.
        """
        for (column, place), told in self.replies.items():
            if not (told.strip() if isinstance(told, str) else any(words(each).strip() for each in told)):
                raise InputError(f"column {_named(column, place)!r} is empty")
        prompt, replies = self._rendered(render) if self._has_chat else (self.prompt, list(self.replies.values()))
        return _filled(row, prompt, dict(zip(self.replies, replies, strict=True)))

    @property
    def calls_tools(self) -> bool:
        """Whether a message calls a tool."""
        chats = (told for told in (self.prompt, *self.replies.values()) if isinstance(told, list))
        return any(calls(each) for chat in chats for each in chat)

    @property
    def ends_asking(self) -> bool:
        """Whether a reply ends with a turn of the user."""
        return any(isinstance(told, list) and told[-1]["role"] == "user" for told in self.replies.values())

    @property
    def thoughts(self) -> Thoughts | None:
        """Where a reply has thoughts of a reasoning model, None without any."""
        apart = False
        for told in self.replies.values():
            for turn in [{"content": told}] if isinstance(told, str) else told:
                if holds_thoughts(turn["content"]):
                    return "within"
                apart = apart or (len(turn) > 2 and any(turn.get(name) for name in _THOUGHTS))
        return "apart" if apart else None

    @property
    def _has_chat(self) -> bool:
        return isinstance(self.prompt, list) or any(isinstance(each, list) for each in self.replies.values())

    def _rendered(self, render: Render | None) -> tuple[str | None, list[str]]:
        if render is None:
            prompt = plain(self.prompt) if isinstance(self.prompt, list) else self.prompt
            return prompt, [each if isinstance(each, str) else plain(each) for each in self.replies.values()]
        asked = [] if self.prompt is None else _chat(self.prompt, "user")
        if not self.replies:
            return render(asked), []
        wholes = [render([*asked, *_chat(each, "assistant")]) for each in self.replies.values()]
        if not asked:
            return None, wholes
        begun = _common([_asked(asked, render, wholes), *wholes])
        return begun, [each[len(begun) :] for each in wholes]


def prompt_column(row: Row) -> str | None:
    """Return the column that says what a row asks, None if it has none."""
    return next((each for each in _PROMPTS if each in row), None)


def dialogue(row: Row, repeats: bool = False) -> Dialogue:
    """Return what a row asks and replies; `repeats` says that in this file texts repeat their prompt's text.

    Raises InputError naming the column for messages that cannot be read, and for replies that begin with
    a turn of the user that is not the prompt.
    """
    if (talk := _turn_by_turn(row)) is not None:
        return replace(dialogue(talk), how="apart")
    replies = _replies(row)
    column = prompt_column(row)
    prompt = None if column is None else _told(row[column], column)
    talks = [each for each in replies.values() if not isinstance(each, str)]
    if talks and len(talks) == len(replies):
        begun, how = _begun(prompt, talks, next(iter(replies))[0])
        if begun is not None:
            rest = {key: chat[len(begun) :] for key, chat in zip(replies, talks, strict=True)}
            return Dialogue(begun, rest, how)
    elif replies and not talks:
        texts = [str(each) for each in replies.values()]
        start, how = _text_begun(prompt, texts, repeats)
        if start is not None:
            return Dialogue(start, {key: text[len(start) :] for key, text in zip(replies, texts, strict=True)}, how)
    return Dialogue(prompt, replies)


def repeats_prompt(row: Row) -> bool | None:
    """Whether all replies of a row of texts begin with its prompt and go on behind it; None if it has no such texts."""
    prompt = row.get(PROMPT)
    if not isinstance(prompt, str) or not prompt.strip():
        return None
    replies = [row.get(column) for column in output_columns(row)]
    texts = [each for each in replies if isinstance(each, str)]
    if not texts or len(texts) < len(replies):
        return None
    return all(_begins_with(each, prompt) for each in texts)


_LONG_PROMPT = 20  # letters: so many are not by chance the beginning of a reply's word


def _begins_with(text: str, prompt: str) -> bool:
    """Say whether a text is a prompt with a reply behind it, and not a word that begins as the prompt ends."""
    rest = text[len(prompt) :]
    if not text.startswith(prompt) or not rest.strip():
        return False
    return len(prompt) >= _LONG_PROMPT or not (prompt[-1].isalnum() and rest[0].isalnum())


# ---- where the prompt ends ----


def _begun(prompt: Told | None, chats: Sequence[Chat], column: str) -> tuple[Chat | None, How]:
    """Return the messages that all replies begin with and that are their prompt; None if they do not repeat it."""
    asked = prompt if isinstance(prompt, list) else []
    goes_on = not any(chat[0]["role"] in ("user", "system") for chat in chats)
    if prompt is not None and goes_on and not (asked and same(asked[0], chats[0][0])):
        return None, "apart"
    common = min(shared(chats), min(map(len, chats)) - 1)
    if prompt is None:
        count = common if len(chats) > 1 else _before_reply(chats[0])
        return (chats[0][:count], "implicit") if count > 0 else (None, "apart")
    if asked and len(asked) <= common and all(map(same, asked, chats[0])):
        return chats[0][: len(asked)], "repeated"
    if goes_on or (asked and asked[-1]["role"] == "assistant"):
        return None, "apart"
    last = asked[-1] if asked else {"role": "user", "content": str(prompt)}
    for place in range(common):
        if same(chats[0][place], last):
            return chats[0][: place + 1], "repeated"
    raise InputError(
        f"column {column!r} begins with a turn of the {chats[0][0]['role']} that is not the prompt's: leave the prompt"
        " out, name its column with --prompt-column, or give replies alone"
    )


def _before_reply(chat: Chat) -> int:
    return len(chat) - 1 if chat[-1]["role"] == "assistant" else 0


def _text_begun(prompt: Told | None, texts: Sequence[str], repeats: bool) -> tuple[str | None, How]:
    if isinstance(prompt, str):
        goes_on = repeats and all(each.startswith(prompt) for each in texts)
        return (prompt, "repeated") if goes_on else (None, "apart")
    if prompt is not None or len(texts) < 2:
        return None, "apart"
    common = _common(texts)
    ends = [found.end() for found in _REPLY_BEGINS.finditer(common)]
    ends = [end for end in ends if all(each[end:].strip() for each in texts)]
    return (common[: ends[-1]], "implicit") if ends else (None, "apart")


def _asked(asked: Chat, render: Render, wholes: Sequence[str]) -> str:
    """Return the prompt as the template shows it; where it cannot without a reply, what all wholes share."""
    try:
        return render(asked)
    except InputError:
        return _common(wholes) if len(wholes) > 1 else ""


def _common(texts: Sequence[str]) -> str:
    """Return the longest beginning of all texts: where the least and the greatest of them part."""
    least, greatest = min(texts), max(texts)
    if greatest.startswith(least):
        return least
    pairs = enumerate(zip(least, greatest, strict=False))
    return least[: next((place for place, (one, other) in pairs if one != other), len(least))]


def _chat(told: Told, role: str) -> Chat:
    return [{"role": role, "content": told}] if isinstance(told, str) else told


# ---- the columns of a row ----


def _replies(row: Row) -> dict[tuple[str, int | None], Told]:
    """Return what a row replies; steps and what is no reply at all are left to their readers."""
    columns = output_columns(row)
    if not columns and "completions" in row:
        return {} if "labels" in row else _listed(row["completions"])
    found: dict[tuple[str, int | None], Told] = {}
    for column in columns:
        value = row.get(column)
        if isinstance(value, str):
            value = chat_in(value, column)
        chat = None if isinstance(value, str) else messages_of(value, column)
        if chat is not None:
            found[column, None] = chat
        elif isinstance(value, list) and value:
            found |= {(column, place): _told(each, _named(column, place)) for place, each in _placed(value)}
        elif value is not None:
            found[column, None] = _told(value, column)
    return found


def _turn_by_turn(row: Row) -> Row | None:
    """Return a row that lists the user's turns and, side by side, those of two models, with a talk for each model.

    The lists, of one length, may be JSON texts, as in tables. None where a row is not of this form.
    """
    if (asked := _list_of_texts(row.get(PROMPT))) is None:
        return None
    columns = output_columns(row)
    replied = [_list_of_texts(row.get(column)) for column in columns]
    if len(columns) != 2 or any(each is None or len(each) != len(asked) for each in replied):
        return None
    talks = {
        column: [
            {"role": role, "content": text}
            for turns in zip(asked, each or (), strict=True)
            for role, text in zip(("user", "assistant"), turns, strict=True)
        ]
        for column, each in zip(columns, replied, strict=True)
    }
    return {column: value for column, value in row.items() if column not in _PROMPTS} | talks


def _list_of_texts(told: Any) -> list[str] | None:
    if isinstance(told, str) and told.startswith("["):
        try:
            told = json.loads(told)
        except (ValueError, RecursionError):
            return None
    if not isinstance(told, list) or not told or not all(each is None or isinstance(each, str) for each in told):
        return None
    return [each or "" for each in told]


def _listed(completions: Any) -> dict[tuple[str, int | None], Told]:
    if not isinstance(completions, list):
        return {}
    told = {("completions", place): _reply_of(each) for place, each in _placed(completions)}
    return {key: _told(value, _named(*key)) for key, value in told.items()}


def _placed(told: Sequence[Any]) -> list[tuple[int, Any]]:
    """Return what a list holds with its places, without the nulls that pad it."""
    return [(place, each) for place, each in enumerate(told) if each is not None]


def _reply_of(told: Any) -> Any:
    """Return the reply in one of several completions, which may be an object that says more of it."""
    if not isinstance(told, Mapping) or "role" in told or "from" in told:
        return told
    return next((told[name] for name in _REPLY_NAMES if name in told), told)


def _told(value: Any, column: str) -> Told:
    if isinstance(value, str) and isinstance(value := chat_in(value, column), str):
        return value
    chat = messages_of(value, column)
    if chat is None:
        raise InputError(f"column {column!r} must be a text or chat messages, got {brief(value)}")
    return chat


def _named(column: str, place: int | None) -> str:
    return column if place is None else f"{column}[{place}]"


def _filled(row: Row, prompt: Told | None, replies: Mapping[tuple[str, int | None], Told]) -> Row:
    """Return the row with texts in the place of what was there, and the prompt in its usual column."""
    known: dict[str, Any] = {column: value for column, value in row.items() if column not in _PROMPTS}
    if prompt is not None:
        known[PROMPT] = prompt
    listed: dict[str, list[Any]] = {}
    for (column, place), text in replies.items():
        if place is None:
            known[column] = text
        else:
            listed.setdefault(column, []).append(text)
    for column, texts in listed.items():
        known[column] = [_refilled(each, text) for each, text in zip(present_in(row[column]), texts, strict=True)]
    return known


def _refilled(told: Any, text: str) -> Any:
    return {**told, "completion": text} if isinstance(told, Mapping) and "role" not in told else text
