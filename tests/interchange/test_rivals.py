"""What rows hold beside what is read: second verdicts, names that are nearly ours, thoughts, texts spelled twice."""

from typing import Any

import pytest

from rrm.core.errors import InputError
from rrm.core.thoughts import holds_thoughts
from rrm.interchange.preferences import read_feedback
from rrm.interchange.scoring import unscored
from rrm.interchange.survey import survey

SIDES = {"prompt": "Who came?", "response_a": "A miller came.", "response_b": "Nobody came."}
OTHER = {"prompt": "Who left?", "response_a": "A miller left.", "response_b": "Nobody left.", "winner": "b"}
PAIR = {"prompt": "Who came?", "chosen": "A miller came.", "rejected": "Nobody came."}
LABEL = {"prompt": "Who came?", "completion": "A miller came.", "label": True}
BAD = {"prompt": "Who came?", "completion": "Nobody came.", "label": False}
RATED = {"prompt": "Who came?", "completion": "A miller came.", "score": 1}
RANKED = {"prompt": "Who came?", "completions": [
    {"rank": 0, "completion": "A miller came."}, {"rank": 1, "completion": "Nobody came."}
]}  # fmt: skip


def ranked(*rewards: float) -> dict[str, Any]:
    completions = [{**each, "reward": reward} for each, reward in zip(RANKED["completions"], rewards, strict=True)]
    return {**RANKED, "completions": completions}


OTHERWISE = "`{}` says otherwise than `{}`, which is read: in 1 of {} rows"
UNREAD = "`{}` judges, too, and is not read beside `{}`: in 1 of {} rows"


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        ([{**SIDES, "winner": "a", "vote": "tie"}, OTHER], OTHERWISE.format("winner", "vote", 2)),
        ([{**SIDES, "vote": "a", "winner": "the miller"}, OTHER], UNREAD.format("winner", "vote", 2)),
        ([{**SIDES, "winner": "a", "chosen": "Nobody came."}, OTHER], OTHERWISE.format("chosen", "winner", 2)),
        ([{**SIDES, "winner": "a", "rejected": "A miller came."}, OTHER], OTHERWISE.format("rejected", "winner", 2)),
        ([{**SIDES, "winner": "tie", "chosen": "A miller came."}, OTHER], OTHERWISE.format("chosen", "winner", 2)),
        ([{**SIDES, "winner": "a", "chosen": "It rained."}, OTHER], UNREAD.format("chosen", "winner", 2)),
        ([{**PAIR, "winner": "b"}], UNREAD.format("winner", "chosen", 1)),
        ([{**PAIR, "label": 0}], UNREAD.format("label", "chosen", 1)),
        ([{**LABEL, "is_good": 0}, BAD], OTHERWISE.format("is_good", "label", 2)),
        ([{**LABEL, "score": 0.1}, BAD], UNREAD.format("score", "label", 2)),
        ([{**RATED, "scores": {"overall": 3}}, {**RATED, "score": 2}], OTHERWISE.format("score", "scores.overall", 2)),
        ([{**RATED, "rating": 5}, {**RATED, "score": 2}], OTHERWISE.format("rating", "score", 2)),
        ([{"prompt": "What is 2 + 3?", "completions": ["5.", "So 6."], "labels": [True, False], "label": False}],
         UNREAD.format("label", "labels", 1)),
        ([ranked(0.1, 0.9)], OTHERWISE.format("reward", "rank", 1)),
    ],
)  # fmt: skip
def test_a_second_verdict_that_is_not_read_is_said(rows: list[dict[str, Any]], note: str) -> None:
    assert note in read_feedback(rows).guesses


@pytest.mark.parametrize(
    "rows",
    [
        [{**SIDES, "winner": "a", "vote": "a", "chosen": "A miller came.", "rejected": "Nobody came."}, OTHER],
        [{**PAIR, "label": "history"}],
        [{**LABEL, "good": 1}, BAD],
        [ranked(0.9, 0.1)],
        [ranked(0.5, 0.5)],
        [{**RATED, "scores": {"overall": 1}}, {**RATED, "score": 2}],
    ],
)  # fmt: skip
def test_verdicts_that_agree_and_labels_of_topics_are_read_without_a_word(rows: list[dict[str, Any]]) -> None:
    assert not [note for note in read_feedback(rows).guesses if "says otherwise" in note or "judges, too" in note]


@pytest.mark.parametrize(
    ("row", "meant"),
    [
        ({"Prompt": "Who?", "CHOSEN": "A", "Rejected": "B"}, "mean to call 'Prompt' 'prompt', 'CHOSEN' 'chosen', 'Rej"),
        ({"Prompt": "Who?", "chosen": "A", "rejected": "B"}, "column 'prompt' is missing.* did you mean 'Prompt'"),
        ({"prompt": "Who?", "chosen": "A", "Rejected ": "B"}, "'rejected' is missing.* did you mean 'Rejected '"),
        ({"prompt": "Who?", "Completion": "A", "label": True}, "'completion' is missing.* did you mean 'Completion'"),
        ({"prompt": "Who?", "completion_a": "A", "Completion-B": "B", "vote": "a"}, "did you mean 'Completion-B'"),
    ],
)  # fmt: skip
def test_a_column_that_is_missed_is_looked_for_under_other_spellings(row: dict[str, Any], meant: str) -> None:
    with pytest.raises(InputError, match=meant):
        read_feedback([row])


def test_a_text_to_be_scored_is_looked_for_under_other_spellings() -> None:
    with pytest.raises(InputError, match="name it completion; did you mean to call 'Completion' 'completion'"):
        unscored({"prompt": "Who?", "Completion": "A"}, "rows, row 1")


def test_columns_that_are_nearly_ours_are_said_to_be_unread() -> None:
    rows = [{**PAIR, "Source ID": "s1", "Margin": 2}]
    assert read_feedback(rows).guesses == (
        "`Source ID` is not read in 1 row: rename it `source_id` if it is that, or remove it",
        "`Margin` is not read in 1 row: rename it `margin` if it is that, or remove it",
    )
    named = [{"Prompt": "Who came?", "chosen": "A miller came.", "rejected": "Nobody.", "Annotator": "ann"}]
    assert read_feedback(named, prompt_column="Prompt", annotator_column="Annotator").guesses == ()
    assert read_feedback(named, prompt_column="Prompt").guesses[0].startswith("`Annotator` may name who judged")


THOUGHTS = "rows whose replies hold thoughts, before </think> or a mark like it: 1"


@pytest.mark.parametrize(
    "reply", ["<think>Who?</think>A miller.", "Who was it?\n</think>\n\nA miller.", "[THINK]a[/THINK]b"]
)
def test_thoughts_within_replies_are_said_and_left_as_they_stand(reply: str) -> None:
    for told in (reply, [{"role": "assistant", "content": reply}]):
        found = read_feedback([{**PAIR, "rejected": told}, {**PAIR, "prompt": "And who left?"}])
        assert [note[: len(THOUGHTS)] for note in found.guesses] == [THOUGHTS]
        assert reply in {each.text for each in found.rated[0].request.shown}
        assert unscored({**PAIR, "rejected": told}, "rows").thoughts == "within"


def test_thoughts_in_a_field_of_a_message_are_said() -> None:
    told = [{"role": "assistant", "content": "Nobody.", "reasoning_content": "Who was it?"}]
    note = "rows whose messages have thoughts in a field of their own: 1; "
    asked = [{"role": "user", "content": "Who came?"}]
    row = {"prompt": asked, "chosen": [{"role": "assistant", "content": "A miller."}], "rejected": told}
    assert read_feedback([row]).guesses == (f"{note}not read",)
    shown = read_feedback([row], render=lambda chat: "".join(each["content"] for each in chat)).guesses
    assert shown == (f"{note}shown as the model's chat template shows them",)
    assert unscored(row, "rows").thoughts == "apart"


@pytest.mark.parametrize(
    "reply", ["A <b>miller</b>.", "`<think>` opens thoughts.", "I think a miller came.", "a[0] < b"]
)
def test_replies_without_thoughts_are_read_without_a_word(reply: str) -> None:
    assert read_feedback([{**PAIR, "rejected": reply}]).guesses == ()
    assert not holds_thoughts(reply)


def test_sources_that_only_spelling_tells_apart_are_said() -> None:
    spelled = ["Who came?", "who came?", "Who  came?\n", "Ｗho came?", "Who left?"]
    found = read_feedback([{**PAIR, "prompt": each} for each in spelled])
    assert len({each.request.source for each in found.rated}) == 5
    (note,) = found.guesses
    assert note.startswith(
        "sources whose texts differ in capitals, white space or forms of letters alone: 4, of 1 texts"
    )
    assert read_feedback([{**PAIR, "prompt": each, "source_id": "s"} for each in spelled]).guesses == ()
    assert read_feedback([{**PAIR, "prompt": each} for each in ("Who came?", "Who came?", "Who left?")]).guesses == ()


def test_the_source_column_of_rows_without_a_verdict_is_surveyed() -> None:
    rows = [{"source": "forum_mix", "prompt": f"Who came at {hour}?", "completion": "A miller."} for hour in range(6)]
    assert survey(rows).source_is_label
    assert unscored(rows[0], "rows", known=survey(rows)).groups[0].view.text == "Who came at 0?"


LONG = "A mill stood by the river, and whoever came there heard it all night long, and in winter, too."


@pytest.mark.parametrize(
    ("row", "note"),
    [
        ({"rejected": "A miller came. "}, "pairs of texts that white space alone tells apart: 1; read as two outputs"),
        ({"split": "test"}, "`split` names 2 parts ('test', 'train'), and is not read: rows of all are one set"),
        ({"weight": 0.5}, "`weight` weighs 1 row, and is not read: each counts as one"),
        ({"annotator": "ann "}, "`annotator` has names that capitals or white space alone tell apart, such as 'ann '"),
        ({"criterion": "Overall"}, "`criterion` has names that capitals or white space alone tell apart"),
        ({"source_id": "S"}, "`source_id` has names that capitals or white space alone tell apart, such as 'S'"),
        ({"tie": True}, "`tie` says otherwise than `chosen`, which is read: in 1 of 2 rows"),
        ({"is_flipped": 1}, "`is_flipped` is set in 1 row, and is not read: what was judged is taken as it stands"),
        ({"Labels swapped": "true"}, "`Labels swapped` is set in 1 row, and is not read"),
        ({"safer_response_id": 1}, "`safer_response_id` judges, too, and is not read beside `chosen`: in 1 of 2 rows"),
        ({"rater_preferences": [1, 0]}, "`rater_preferences` judges, too, and is not read beside `chosen`"),
        ({"audio": "a.wav"}, "`audio` holds media in 1 row: not shown to the model"),
        ({"rejected": "A dog &amp; a miller."}, "texts with characters written as HTML writes them, such as"),
        ({"rejected": "Nobody came.</s>"}, "texts with marks of chat templates, such as"),
        ({"prompt": "<|im_start|>user\nWho?"}, "texts with marks of chat templates"),
        ({"reference": "A miller came."}, "`reference` holds texts in 1 row, which are not read"),
        ({"response": "It rained."}, "`response` holds texts in 1 row, which are not read"),
        ({"tale": LONG}, "`tale` holds texts in 1 row, which are not read"),
        ({"rejected": "[deleted]"}, "texts that say \"nan\", \"[deleted]\", \"2.\" or the like: in 1 row; read"),
        ({"rejected": "2."}, "texts that say \"nan\", \"[deleted]\", \"2.\" or the like: in 1 row; read"),
        ({"rejected": "\u200b"}, "texts that say \"nan\", \"[deleted]\", \"2.\" or the like: in 1 row; read"),
        ({"rejected": " (b) "}, "texts that say \"nan\", \"[deleted]\", \"2.\" or the like: in 1 row; read"),
        ({"rejected": "Some n e v e r ending rain."}, "texts with words whose letters stand apart, such as 'n e v"),
        (
            {"rejected": [{"role": "assistant", "content": "ZoÃ« came."}]},
            "texts with letters that were lost or read in a wrong encoding, such as 'Ã«', in 1 row",
        ),
        ({"rejected": "x" * 32_767}, "texts as long as a spreadsheet's cell may be, ending in 'xxxx"),
        ({"rejected": "ZoÃ« came."}, "texts with letters that were lost or read in a wrong encoding, such as 'Ã«'"),
        ({"rejected": "Zo\ufffd came."}, "texts with letters that were lost or read in a wrong encoding"),
        ({"rejected": "Nobody.\\n\\nIt rained.\\nNobody."}, "texts with line ends written as \\n, such as"),
        ({"rejected": "A fer-\nryman came."}, "texts with words broken at line ends, such as 'fer-\\nryman', in 1 row"),
    ],
)  # fmt: skip
def test_what_is_not_read_or_may_be_damaged_is_said(row: dict[str, Any], note: str) -> None:
    usual = {"annotator": "ann", "criterion": "overall", "source_id": "s", "split": "train", "weight": 1}
    other = {**PAIR, "prompt": "Who left?", **usual}
    (said,) = read_feedback([{**PAIR, **usual, **row}, other]).guesses
    assert said.startswith(note)


def test_rows_that_hold_no_more_than_is_read_are_read_without_a_word() -> None:
    more = {
        "tie": False,
        "split": "train",
        "weight": 1,
        "model": "m",
        "url": LONG,
        "reason": LONG,
        "chosen_model": LONG,
        "swapped": False,
        "best_of": "a sentence about what is best",
        "preference_id": 7,
    }
    texts = {
        "chosen": "§ 3 à la carte: \\nabla f, \\nu and \\neq; Zoë’s café — “so”.",
        "rejected": "42",
        "prompt": "Who? a b c d, THE  E N D, A C B D or «IRMÃ»",
    }
    assert read_feedback([PAIR | more, {**more, **texts}]).guesses == ()
    rated = [{"reference": "A mill burned.", "summary": "It burned.", "score": n} for n in range(2)]
    assert read_feedback(rated, scale=(0, 1)).guesses == ()


@pytest.mark.parametrize(("one", "other"), [("A", "B"), ("1", "2"), ("gpt-4", "claude-3")])
def test_replies_that_may_be_names_of_texts_are_said_where_all_are(one: str, other: str) -> None:
    named = [{"prompt": f"Who came at {n}?", "chosen": one, "rejected": other} for n in range(2)]
    (said,) = read_feedback(named).guesses
    assert said.startswith(f"all replies are letters, numbers or names, such as {one!r}: read as the texts themselves")
    assert read_feedback([*named, PAIR]).guesses == ()


@pytest.mark.parametrize("chosen", ["A", "response_a", "first", "tie"])
def test_a_chosen_text_that_names_an_output_beside_it_is_refused(chosen: str) -> None:
    with pytest.raises(InputError, match=f"row 1: column 'chosen' is '{chosen}', which names (response_a|neither) and"):
        read_feedback([{**SIDES, "chosen": chosen, "rejected": "B"}])
    assert read_feedback([{**SIDES, "chosen": "A miller came.", "rejected": "It rained."}]).rated


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({**PAIR, "strength": 0.5}, "strength"),
        ({**SIDES, "winner": "a", "strength": 1}, "strength"),
        ({**SIDES, "winner": "a", "margin": 2.0}, "margin"),
        ({**RANKED, "margin": 2}, "margin"),
    ],
)
def test_how_much_better_a_text_is_where_that_is_not_read_is_said(row: dict[str, Any], column: str) -> None:
    assert read_feedback([row]).guesses == (
        f"`{column}` may say how much better a text is in 1 row, and is not read: `margin` beside chosen and rejected"
        " is",
    )


def test_how_much_better_a_text_is_where_that_is_read_is_no_guess() -> None:
    assert read_feedback([{**PAIR, "margin": 2}, {**PAIR, "prompt": "Who left?", "strength": "strong"}]).guesses == ()


def test_a_chosen_text_that_most_voted_against_is_said_unless_votes_are_read_one_by_one() -> None:
    rows = [{**PAIR, "votes_for": 1, "votes_against": 4, "votes_equal": 0}]
    (said,) = read_feedback(rows).guesses
    assert said.startswith("`votes_for` is below `votes_against` in 1 of 1 rows: chosen is taken for the better")
    assert read_feedback(rows, votes="each").guesses == ()
    assert read_feedback([{**rows[0], "votes_against": 1}]).guesses == ()


def test_replies_that_end_with_a_turn_of_the_user_are_said() -> None:
    asked = [{"role": "user", "content": "Who came?"}]
    talks = [[{"role": "assistant", "content": text}, {"role": "user", "content": "So?"}] for text in ("A", "Nobody.")]
    row = {"prompt": asked, "chosen": talks[0], "rejected": talks[1][:1]}
    assert read_feedback([row]).guesses == (
        "rows whose replies end with a turn of the user: 1; read as part of the reply",
    )
    assert read_feedback([{**row, "chosen": talks[0][:1]}]).guesses == ()


def test_sources_told_apart_by_signs_that_nobody_sees_are_said() -> None:
    for other in ("Who\u200b came?", "Who came?\ufeff", "Who\u00a0came?"):
        assert len(read_feedback([PAIR, {**PAIR, "prompt": other}]).guesses) == 1
    straight, curly = ({**PAIR, "prompt": f"Who{sign}s there?"} for sign in "'’")
    assert len(read_feedback([straight, curly]).guesses) == 1
