"""Thoughts in the text of replies: by whatever marks they are told from the answer, they are no part of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrm.core.thoughts import is_blank, speaks_of_marks, structured_without_thoughts, without_thoughts

MARKED = [
    "<think>\nA draft.\n</think>\n\nThe mill burns.",
    "A draft, its opening mark swallowed by the template.\n</think>\n\nThe mill burns.",
    "<thinking budget='low'>hm</thinking>The mill burns.",
    "<THOUGHT>hm</THOUGHT>\nThe mill burns.",
    "<reasoning>one</reasoning><reasoning>two</reasoning>\nThe mill burns.",
    "<scratchpad>\nhm\n</scratchpad>\nThe mill burns.",
    "<seed:think>hm<seed:cot_budget_reflect>9 left</seed:cot_budget_reflect></seed:think>The mill burns.",
    "[THINK]hm[/THINK]The mill burns.",
    "◁think▷hm◁/think▷The mill burns.",
    "<|begin_of_thought|>hm<|end_of_thought|>\n<|begin_of_solution|>The mill burns.<|end_of_solution|>",
    "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>The mill burns.<|END_RESPONSE|>",
    "<|inner_prefix|>hm<|inner_suffix|>The mill burns.",
    "<|channel>thought\nhm<channel|>The mill burns.",
    "<think></think>\n\nThe mill burns.",
    "<think/>The mill burns.",
    "Thinking...\nhm\n...done thinking.\n\nThe mill burns.",
    "<think>hm</think><answer>The mill burns.</answer>",
    "<think>it may say </think> inside</think>The mill burns.",
    "<think>hm</think>The mill burns.<think>was that right? yes</think>",
    "<think>hm</think>The mill burns.\n<think>was that right?",
    "Sure, a moment. <think>hm</think> The mill burns.",
    "<think>hm</think>The mill burns.<|im_end|>",
    '<details type="reasoning" done="true"><summary>Thought for 3 s</summary>\n> hm\n</details>\nThe mill burns.',
    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>The mill burns.<|return|>",
    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>"
    "The mill burns.",
    "analysisThe user wants a summary.assistantfinalThe mill burns.",
    "<longcat_think>hm</longcat_think>The mill burns.",
    "<think_fast>hm</think_fast>The mill burns.",
    "<internal_thoughts>hm</internal_thoughts>The mill burns.",
    "<REASONING>hm</REASONING>\n<CONCLUSION>The mill burns.</CONCLUSION>",
    "<|begin_thought|>hm<|end_thought|>The mill burns.",
    "```thinking\nhm\n```\n\nThe mill burns.",
    "Here is my thought process:\nhm\nHere is my response:\nThe mill burns.",
    "Thought: hm\nAnswer: or so?\nFinal Answer: The mill burns.",
    "**Thinking:**\nhm\n\n**Answer:**\nThe mill burns.",
    "Reasoning: hm\n\nSummary: hm\n\nFinal summary: The mill burns.",
    "<details><summary>💭 Thinking</summary>hm</details>\n\nThe mill burns.",
    "## Thinking process\n\nhm\n\n## Final answer\n\nThe mill burns.",
    "Here are my reasoning steps:\nhm\n[BEGIN FINAL RESPONSE]\nThe mill burns.\n[END FINAL RESPONSE]",
    "<think>The example is `<think>a</think>` and\n```\n<think>b</think>\n```\nso.</think>The mill burns.",
    "<think>```\nan open block\n</think>The mill burns.",
    "<antThinking>hm</antThinking>The mill burns.",
    "<model_thinking>hm</model_thinking>The mill burns.",
    "<deliberation>hm</deliberation>\nThe mill burns.",
    "<think_never_used_51bc>hm</think_never_used_51bc>The mill burns.",
    "&lt;think&gt;hm&lt;/think&gt;\nThe mill burns.",
    "&amp;lt;think&amp;gt;hm&amp;lt;/think&amp;gt;\nThe mill burns.",
    "&#60;think&#x3E;hm&#060;/think&#62;\nThe mill burns.",
    "＜think＞hm＜/think＞The mill burns.",
    "hm\n＜／think＞\nThe mill burns.",
    "\\<think\\>hm\\<\\/think\\>The mill burns.",
    "\\u003cthink\\u003Ehm\\u003c/think\\u003e The mill burns.",
    "[BEGIN_THINKING]hm[END_THINKING]The mill burns.",
    "<|startofthink|>hm<|endofthink|>The mill burns.",
    "<think>hm</think>\n\n---\n\nThe mill burns.",
    "<think>hm</think>**Final answer:** The mill burns.",
    "<think>hm</think>\n\n**Final Answer**\nThe mill burns.",
    "<think>hm</think>\n\n## Final answer\n\nThe mill burns.",
    "<analysis>hm</analysis>\n<summary>\nThe mill burns.\n</summary>",
    "<think>hm</think><|begin_of_box|>The mill burns.<|end_of_box|>",
]


@pytest.mark.parametrize("reply", MARKED)
def test_the_answer_stands_behind_the_thoughts(reply):
    assert without_thoughts(reply) == ("The mill burns.", True)


@pytest.mark.parametrize(
    ("reply", "cut_off"),
    [
        ("<think>It never comes to an end", False),
        ("<think>It never comes to an end", True),
        ("Okay. <think>It never", True),
        ("<think>hm</think>", False),
        ("only thoughts</think>\n\n", False),
        ("<|channel|>analysis<|message|>We need", True),
        ("analysisWe need", True),
        ("[THINK]hm", True),
    ],
)
def test_thoughts_alone_are_no_answer(reply, cut_off):
    text, thoughts = without_thoughts(reply, cut_off)
    assert thoughts and (not text or text == "Okay.")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  The mill burns.\n",
        "I think the mill burns < before > dawn.",
        "The tag `<think>` opens and `</think>` closes what such a model thinks.",
        'It ends with "</think>" and goes on.',
        "A <think> mark in the middle of a line, never closed, is what this text is about.",
        "analysis of the mill: it burns.",
        "<answer>The mill burns.</answer>",
        "<s>struck</s>",
        "She thought: the mill burns.",
        "Ask for it so:\n```xml\n<think>a plan</think>\nThe mill burns.\n```\nThat is all.",
        "~~~\n<think>\na plan\n</think>\n~~~\nis how it looks.",
        "Write `<think>a plan</think>` before the answer.",
        'It said "first <think>a plan</think> and then the answer" at the end.',
        "Er schrieb „<think>ein Plan</think> und mehr“ dazu.",
        "A talk looks so:\n```\n<|im_start|>user\nHello.<|im_end|>\n```\nThat is all.",
        "A turn is `<|start_header_id|>user<|end_header_id|>Hello.<|eot_id|>` there.",
        "Here is my thought process: the mill burns.",
        "Reasoning: Darwin argues by analogy.\nSummary: the book ends there.",
        "# Reasoning\n\nDarwin argues by analogy.\n\n## Summary\n\nThe book ends there.",
    ],
)
def test_a_text_without_marks_is_unchanged(text):
    assert without_thoughts(text) == (text, False)


@pytest.mark.parametrize(
    "text",
    [
        "Behind </think> stands the answer.",
        "Of the marks <think> and </think>, one is often swallowed.",
        "Templates (those with </think>) differ. So do models.",
        "Whoever writes </think> ends them.\n\nThat is all.",
        "The last word is </think>.",
        "用 </think> 标签结束。",
    ],
)
def test_a_mark_within_a_sentence_is_a_word_of_it(text):
    assert without_thoughts(text) == (text, False) and speaks_of_marks(text)
    thought = f"<think>\nhm\n</think>\n\n{text}"
    assert without_thoughts(thought) == (text, True) and without_thoughts(thought, True).thoughts


@pytest.mark.parametrize(
    "reply",
    [
        "It is all in the text </think> The mill burns.",  # a new sentence begins behind it
        "It is all in the text. </think> the mill burns.",
        "It is all in the text\n</think> the mill burns.",
        "It is all in the text</think> the mill burns.",
        "<think> it is all </think> the mill burns.",  # it was opened
        "The tag </think> is a word here.\n</think>\nthe mill burns.",
    ],
)
def test_a_mark_that_ends_a_sentence_or_what_was_opened_ends_thoughts(reply):
    text, thoughts = without_thoughts(reply)
    assert (text.lower(), thoughts) == ("the mill burns.", True) and not speaks_of_marks(text)


@pytest.mark.parametrize("again", ["<think>was that", "<think> Was that", " <think>was that right? yes", "\n<think>so"])
def test_thoughts_that_begin_again_behind_the_answer_are_none_of_it(again):
    assert without_thoughts(f"<think>hm</think>The mill burns.{again}") == ("The mill burns.", True)


def test_another_mark_behind_thoughts_is_left_where_it_begins_no_line():
    assert without_thoughts("<think>hm</think>Use List<Thought> here.").text == "Use List<Thought> here."
    assert without_thoughts("<think>hm</think>It opens with <think> in a line.").text.endswith("<think> in a line.")


@pytest.mark.parametrize("cut_off", [False, True])
@pytest.mark.parametrize(
    "reply",
    [
        *("<output>", "<output></output>", "<answer>\n\n</answer>", "</summary>", "<output/>", "**Final answer:**"),
        *("```\n```", "<|begin_of_box|><|end_of_box|>", "<think>hm</think><answer></answer>", "```json\n"),
    ],
)
def test_what_stands_around_an_answer_is_none(reply, cut_off):
    assert without_thoughts(reply, cut_off).text == ""


@pytest.mark.parametrize(
    "end",
    [
        *("<|im_end|>", "<|eot_id|>", "</s>", "<end_of_turn>\n", "<|im_end|>\n<|im_start|>user\nWhy?"),
        *("<|eot|>", "<|EOT|>", "<|eom|>", "<eos>", "[EOS]", "<end_of_utterance>", "<|user|>\nWhy?"),
    ],
)
def test_what_stands_behind_the_end_of_a_turn_is_no_part_of_it(end):
    assert without_thoughts(f"The mill burns.{end}") == ("The mill burns.", False)


@pytest.mark.parametrize(
    "begin", ["<bos>", "<s>", "<|begin_of_text|>", "<|assistant|>\n", "<|header_start|>assistant<|header_end|>\n\n"]
)
def test_the_mark_that_begins_a_turn_is_no_part_of_it(begin):
    assert without_thoughts(f"{begin}The mill burns.") == ("The mill burns.", False)


ANSWER = '{"reason": "it names </think> and <think>", "better": "A"}'


@pytest.mark.parametrize(
    ("reply", "thoughts"),
    [
        (ANSWER, False),
        (f"```json\n{ANSWER}\n```", False),
        (f'<think>{{"better": "B"}}, no</think>\n{ANSWER}', True),
        (f'{{"better": "B"}}, no, wait.\n</think>{ANSWER}', True),
    ],
)
def test_marks_inside_the_texts_of_a_structured_answer_are_text(reply, thoughts):
    text, found = structured_without_thoughts(reply)
    assert (text.removeprefix("```json\n").removesuffix("\n```"), found) == (ANSWER, thoughts)


@pytest.mark.parametrize(
    ("reply", "thoughts"),
    [
        (f"Here is my answer: {ANSWER} That is all.", False),
        (f"<think>{{}} hm</think>Here it is: {ANSWER} Done.", True),
        (f"No opening mark</think>\n\nSure:\n```json\n{ANSWER}\n```\nDone.", True),
        (f"Sure:\n{ANSWER}\n<|im_end|>", False),
    ],
)
def test_marks_inside_an_object_with_prose_around_it_are_text(reply, thoughts):
    text, found = structured_without_thoughts(reply)
    assert found == thoughts and ANSWER in text and "hm" not in text and "opening" not in text
    assert structured_without_thoughts(text) == (text, False)


def test_an_object_quoted_among_the_thoughts_is_not_taken_for_the_answer():
    reply = 'The option says </think>{"better": "A"}, which is no answer of mine.</think>{"better": "B"}'
    assert structured_without_thoughts(reply).text == '{"better": "B"}'


FRAGMENTS = [
    *(
        "...done thinking.",
        "<think>",
        "</think>",
        "<thinking>",
        "</thinking>",
        "[THINK]",
        "[/THINK]",
        "◁think▷",
        "◁/think▷",
    ),
    *("<|channel|>analysis<|message|>", "<|channel|>final<|message|>", "<|end|>", "<|start|>assistant", "<|return|>"),
    *("analysis", "assistantfinal", "<answer>", "</answer>", "<|im_end|>", "<|im_start|>assistant", "</s>", "<s>"),
    *(
        "<|START_THINKING|>",
        "<|END_THINKING|>",
        "<|START_RESPONSE|>",
        "<|END_RESPONSE|>",
        "<channel|>",
        "<|channel>thought",
    ),
    *(
        '<details type="reasoning">',
        "</details>",
        "`",
        '"',
        "\n",
        " ",
        "{",
        "}",
        '{"a": 1}',
        '{"a": "</think>"}',
        "```",
        "```\n",
        "~~~\n",
        "The mill burns.",
        "W",
        "word ",
        " word",
        ", ",
        "<output>",
        "</output>",
    ),
]
REPLIES = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), max_size=14).map("".join)


@given(REPLIES, st.booleans())
@settings(max_examples=400, deadline=None)
def test_reading_twice_is_reading_once(reply, cut_off):
    for read in (without_thoughts, structured_without_thoughts):
        once = read(reply, cut_off)
        assert read(once.text, cut_off) == (once.text, False)
        assert once.text in reply or "details" in reply
        assert once.thoughts or len(once.text) <= len(reply)


@given(
    st.text(alphabet=st.characters(exclude_characters="<[◁`"), max_size=60).filter(lambda text: "analysis" not in text)
)
@settings(deadline=None)
def test_prose_is_never_changed(text):
    assert without_thoughts(text) == (text, False)


@pytest.mark.parametrize(
    "piece",
    [
        *("<think>", "</think>", "<think></think>", "<details type='reasoning'>", "</answer>", "<", "< "),
        *("assistantfinal", "«", "„", "“", '"', "`", "``a`", "```\n", "{", '{"a": 1}</think>'),
    ],
)
def test_long_rows_of_marks_are_read_at_once(piece):
    """A reading that is quadratic in the number of marks would not end within this test's patience."""
    reply = "<think></think>" + piece * (200_000 // len(piece))
    for read in (without_thoughts, structured_without_thoughts):
        assert len(read(reply, True).text) <= 200_000


@pytest.mark.parametrize(("text", "blank"), [("", True), (" \n\u200b\ufeff", True), (".", False), ("😀", False)])
def test_what_cannot_be_seen_is_blank(text, blank):
    assert is_blank(text) == blank
