"""Prompts and replies however they are published: apart, in one piece, repeated; as texts and as messages."""

import json
from typing import Any

import pytest

from rrm.core.errors import InputError
from rrm.interchange.dialogue import dialogue
from rrm.interchange.messages import Message, messages_of, plain
from rrm.interchange.preferences import read_feedback
from rrm.interchange.rows import Row
from rrm.interchange.scoring import unscored

ASKED = "Where is the key?"


def user(text: Any) -> Message:
    return {"role": "user", "content": text}


def system(text: Any) -> Message:
    return {"role": "system", "content": text}


def reply(text: Any, **more: Any) -> Message:
    return {"role": "assistant", "content": text, **more}


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}


APART = {"prompt": [user(ASKED)], "chosen": [reply("Under the mat.")], "rejected": [reply("No idea.")]}


def render(messages: list[Message]) -> str:
    """A template that, as some do, ends turns by a mark of its own and asks for a reply."""
    turns = [f"[{each['role']}] {each['content'].strip()}[stop]\n" for each in messages]
    return "".join(turns) + ("" if messages[-1]["role"] == "assistant" else "[assistant] ")


def read(row: Row, **options: Any) -> tuple[str, str, str]:
    """Return what is read before the outputs, the chosen one and the rejected one."""
    (rated,) = read_feedback([row], **options).rated
    texts = [each.text for each in rated.request.shown]
    better = rated.feedback.answer.better  # type: ignore[union-attr]
    return rated.request.view.prompt, texts[better], texts[1 - better]


# ---- one row in all its forms ----

WHOLE = {"chosen": [user(ASKED), reply("Under the mat.")], "rejected": [user(ASKED), reply("No idea.")]}


@pytest.mark.parametrize(
    ("row", "how"),
    [
        (APART, "apart"),
        ({**APART, "prompt": ASKED}, "apart"),
        ({**APART, "chosen": "Under the mat.", "rejected": "No idea."}, "apart"),
        ({**APART, "chosen": reply("Under the mat."), "rejected": reply("No idea.")}, "apart"),
        ({"conversations": [{"from": "human", "value": ASKED}], "chosen": {"from": "gpt", "value": "Under the mat."},
          "rejected": {"from": "gpt", "value": "No idea."}}, "apart"),
        (WHOLE, "implicit"),
        ({**WHOLE, "prompt": ASKED}, "repeated"),
        ({**WHOLE, "prompt": f" {ASKED}\n"}, "repeated"),
        ({**WHOLE, "prompt": [user(ASKED)]}, "repeated"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("template", [None, render])
def test_a_row_reads_the_same_in_every_form(row: Row, how: str, template: Any) -> None:
    assert dialogue(row).how == how
    assert read(row, render=template) == read(APART, render=template)


def test_what_is_read_is_what_the_template_makes_of_the_whole() -> None:
    prompt, chosen, rejected = read(APART, render=render)
    assert prompt + chosen == render([user(ASKED), reply("Under the mat.")])
    assert prompt + rejected == render([user(ASKED), reply("No idea.")])
    assert prompt == render([user(ASKED)])


def test_a_system_turn_before_the_repeated_prompt_belongs_to_it() -> None:
    row = {"prompt": ASKED, **{k: [system("Be brief."), *v] for k, v in WHOLE.items()}}
    prompt, chosen, _ = read(row, render=render)
    assert prompt == render([system("Be brief."), user(ASKED)]) and chosen == "Under the mat.[stop]\n"


def test_replies_may_have_several_turns_and_are_rendered_with_their_prompt() -> None:
    more = [user("Sure?"), reply("Yes.")]
    row = {**APART, "chosen": [reply("Under the mat."), *more], "rejected": [reply("No idea."), *more]}

    def alternating(messages: list[Message]) -> str:
        if any(each["role"] != ("user", "assistant")[place % 2] for place, each in enumerate(messages)):
            raise InputError("roles must alternate")
        return render(messages)

    prompt, chosen, _ = read(row, render=alternating)
    assert prompt + chosen == render([user(ASKED), reply("Under the mat."), *more])
    with pytest.raises(InputError, match="row 1: roles must alternate"):
        read({**APART, "prompt": [user(ASKED), user("Please.")]}, render=alternating)


def test_a_template_that_shows_no_prompt_alone_or_another_one_still_shows_the_whole() -> None:
    def only_whole(messages: list[Message]) -> str:
        if messages[-1]["role"] != "assistant":
            raise InputError("a reply is needed")
        return render(messages)

    def thinking(messages: list[Message]) -> str:
        return render(messages) + ("" if messages[-1]["role"] == "assistant" else "<think>\n")

    for template in (only_whole, thinking):
        prompt, chosen, rejected = read(APART, render=template)
        assert prompt + chosen == render([user(ASKED), reply("Under the mat.")])
        assert prompt + rejected == render([user(ASKED), reply("No idea.")])


def test_the_beginning_that_replies_share_ends_before_the_shortest_reply() -> None:
    row = {"chosen": [*WHOLE["chosen"], user("Sure?"), reply("Yes.")], "rejected": WHOLE["chosen"]}
    assert dialogue(row).prompt == [user(ASKED)]
    assert [len(each) for each in dialogue(row).replies.values()] == [3, 1]


def test_talks_in_one_text_are_divided_where_the_last_common_reply_begins() -> None:
    begun = "\n\nHuman: Hello.\n\nAssistant: Yes?\n\nHuman: Where?\n\nAssistant:"
    row = {"chosen": f"{begun} Under the mat.", "rejected": f"{begun} Under a stone."}
    assert read(row) == (begun, " Under the mat.", " Under a stone.")
    marked = "<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\n"
    row = {"chosen": f"{marked}Under it.<|im_end|>", "rejected": f"{marked}No.<|im_end|>"}
    assert read(row)[0] == marked
    with pytest.raises(InputError, match=r"column 'prompt' is missing; .*--prompt-column"):
        read({"chosen": "The key is here.", "rejected": "The key is there."})


def test_texts_that_all_begin_with_their_prompt_lose_it_and_a_few_that_do_keep_it() -> None:
    rows = [{"prompt": f"Say {n}.", "chosen": f"Say {n}. Well, {n}.", "rejected": f"Say {n}. No."} for n in range(4)]
    found = read_feedback(rows)
    assert {each.text for each in found.rated[0].request.shown} == {" Well, 0.", " No."}
    assert "rows that repeat the prompt in their replies: 4; there it is taken off" in found.guesses
    found = read_feedback([*rows, {"prompt": "Say 9.", "chosen": "Nine.", "rejected": "No."}])
    assert {each.text for each in found.rated[0].request.shown} == {"Say 0. Well, 0.", "Say 0. No."}
    assert any(note.startswith("4 of 5 rows begin all replies with the prompt's text") for note in found.guesses)


@pytest.mark.parametrize(
    ("prompt", "chosen", "rejected", "taken"),
    [
        ("I", "It rains.", "It snows.", False),
        ("W", "Wet.", "Wood.", False),
        ("7", "70", "71", False),
        ("I", "I think so.", "I do not.", True),
        ("Say it.", "Say it.Well.", "Say it.No.", True),
        ("请概括。", "请概括。好。", "请概括。不。", True),
        ("Tell of the mill at the ri", "Tell of the mill at the river.", "Tell of the mill at the rise.", True),
    ],
)
def test_a_prompt_that_begins_a_replys_word_is_not_taken_off(
    prompt: str, chosen: str, rejected: str, taken: bool
) -> None:
    found = read_feedback([{"prompt": prompt, "chosen": chosen, "rejected": rejected}])
    cut = len(prompt) if taken else 0
    assert {each.text for each in found.rated[0].request.shown} == {chosen[cut:], rejected[cut:]}
    assert any("repeat the prompt" in note for note in found.guesses) == taken


def test_another_talk_than_the_prompt_is_refused() -> None:
    with pytest.raises(
        InputError, match="row 1: column 'chosen' begins with a turn of the user that is not the prompt"
    ):
        read({**WHOLE, "prompt": "What is blue?"})


def test_a_single_reply_with_its_talk_is_divided_too() -> None:
    rows = [{"completion": each, "label": place == 0} for place, each in enumerate(WHOLE.values())]
    found = read_feedback(rows, render=render).rated
    assert {each.request.view.prompt for each in found} == {render([user(ASKED)])}


@pytest.mark.parametrize("as_text", [False, True])
def test_turns_in_lists_are_talks_with_each_model(as_text: bool) -> None:
    told: dict[str, Any] = {
        "prompt": ["Hi.", "Where?"],
        "response_a": ["Hello.", "Here."],
        "response_b": ["Yes?", "No."],
    }
    row = {column: json.dumps(value) for column, value in told.items()} if as_text else told
    prompt, better, worse = read({**row, "winner": "model_a"}, render=render)
    assert prompt + better == render([user("Hi."), reply("Hello."), user("Where?"), reply("Here.")])
    assert prompt + worse == render([user("Hi."), reply("Yes?"), user("Where?"), reply("No.")])
    assert prompt.startswith(render([user("Hi.")])) and dialogue(row).how == "apart"
    plain_lists = {"prompt": "[1, 2]?", "response_a": '["a"]', "response_b": '["b"]', "winner": "model_a"}
    assert read(plain_lists) == ("[1, 2]?", '["a"]', '["b"]')


# ---- parts of messages ----


def test_calls_of_tools_null_content_and_parts_are_read() -> None:
    asked = [user(ASKED), reply(None, tool_calls=[call("look", place="mat")]), {"role": "tool", "content": "a key"}]
    prompt, chosen, _ = read({**APART, "prompt": asked})
    assert (
        prompt == f'user: {ASKED}\n\nassistant: look({{"place": "mat"}})\n\ntool: a key' and chosen == "Under the mat."
    )
    parts = [{"type": "text", "text": "Under"}, {"type": "text", "text": "the mat."}]
    assert read({**APART, "chosen": [reply(parts)]})[1] == "Under\nthe mat."
    beside = {side: [reply("I look.", tool_calls=[call(side, path="/")])] for side in ("chosen", "rejected")}
    assert read({**APART, **beside})[1:] == ('I look.\nchosen({"path": "/"})', 'I look.\nrejected({"path": "/"})')


def test_calls_of_tools_that_no_template_shows_are_noted() -> None:
    called = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "look", "arguments": "{}"}}]}
    asked = [{"role": "user", "content": "Is it wet?"}]
    rows = [
        {"prompt": [*asked, called, {"role": "tool", "content": "rain"}], "chosen": "Yes.", "rejected": "No."},
        {"prompt": asked, "chosen": [called], "rejected": "No."},
        {"prompt": asked, "chosen": "Yes.", "rejected": "No."},
    ]
    note = "rows with calls of tools: 2; the model has no chat template, so they are written as words"
    assert note in read_feedback(rows).guesses
    assert not any("calls of tools" in guess for guess in read_feedback(rows, render=render).guesses)
    assert [unscored(row, "rows").plain_calls for row in rows] == [True, True, False]
    assert not unscored(rows[0], "rows", render).plain_calls


def test_the_template_gets_whole_messages_and_no_nulls() -> None:
    seen: list[Message] = []

    def keep(messages: list[Message]) -> str:
        seen.extend(messages)
        return render(messages)

    told = {"role": "assistant", "content": None, "tool_calls": [call("look")], "name": None, "reasoning": "Hm."}
    read({**APART, "prompt": [user(ASKED), told, user("So?")]}, render=keep)
    assert seen[1] == {"role": "assistant", "content": "", "tool_calls": [call("look")], "reasoning": "Hm."}


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (reply([{"type": "image_url", "image_url": {"url": "x"}}]), "only parts of text can be read, got 'image_url'"),
        (reply(5), "a message's content must be a text, got 5"),
        ({"role": None, "content": "x"}, "a message's role must be a name, got None"),
        (reply(None), r"column 'chosen' is empty"),
        (reply(" \n"), r"column 'chosen' is empty"),
    ],
)
def test_a_message_that_cannot_be_read_is_named(message: Message, says: str) -> None:
    with pytest.raises(InputError, match=f"row 1: column 'chosen.*{says}|row 1: {says}"):
        read({**APART, "chosen": [message]})


def test_messages_are_told_from_other_lists_and_in_words() -> None:
    assert messages_of(["a", "b"], "x") is None and messages_of([], "x") is None and messages_of("a", "x") is None
    assert messages_of([{"rank": 1, "completion": "a"}], "x") is None
    told = messages_of([reply(None, function_call={"name": "f", "arguments": "{}"})], "x")
    assert told is not None and plain(told) == "f({})"
