"""What a column `source` holds is told by the whole file: a label, or the text that prompts are about."""

from typing import Any

import pytest

from rrm.core.errors import InputError
from rrm.interchange.joins import Columns
from rrm.interchange.notes import refuse_guesses
from rrm.interchange.preferences import Reading, read_feedback
from rrm.interchange.scoring import unscored
from rrm.interchange.survey import LONGEST_LABEL, survey

STORY = "The ferry left at dawn, and nobody on the pier saw that the old pilot was missing. " * 3


def rows(sources: list[str], prompts: int = 6, **more: Any) -> list[dict[str, Any]]:
    return [
        {"source": sources[n % len(sources)], "prompt": f"What is said of number {n} here?", "chosen": f"It is {n}.",
         "rejected": "Nothing.", **more}
        for n in range(prompts)
    ]  # fmt: skip


def source_notes(reading: Reading) -> list[str]:
    return [note for note in reading.guesses if note.startswith("`source`")]


@pytest.mark.parametrize(
    "sources",
    [
        ["forum_mix", "school_mix"],
        ["forum_mix"],
        ["Anthropic/hh-rlhf", "https://example.org/a"],
        ["human written questions", "machine written questions"],  # shared by more prompts than there are
        [f"collection-{n}.jsonl" for n in range(6)],  # a name each, and no prompt shares one
        ["a b", "c d", "e f", "g h", "i j", "k l"],  # far shorter than the prompts
    ],
)
def test_short_names_that_prompts_share_are_a_label_and_not_the_text(sources: list[str]) -> None:
    found = read_feedback(rows(sources))
    assert [each.request.view.text for each in found.rated] == [each["prompt"] for each in rows(sources)]
    assert len({each.request.source for each in found.rated}) == 6
    (note,) = source_notes(found)
    labels = f"{len(sources)} short label{'s' if len(sources) > 1 else ''}"
    assert note.startswith(f"`source` holds {labels} over 6 prompts: taken for a label")
    assert found.read == "read 6 rows as preference pairs"


@pytest.mark.parametrize(
    "sources",
    [
        [STORY],
        [STORY, f"{STORY} And then."],
        ["The ferry left at dawn.", "The pilot was missing."],  # short, and sentences
        ["从前有座山。"],
        ["x" * (LONGEST_LABEL + 1)],
        ["Of the ferry,\nand of its pilot"],
    ],
)
def test_texts_stay_texts_without_a_word(sources: list[str]) -> None:
    found = read_feedback(rows(sources))
    assert {each.request.view.text for each in found.rated} == set(sources)
    assert found.rated[0].request.view.instruction == "What is said of number 0 here?"
    assert source_notes(found) == []


def test_what_may_be_either_is_noted() -> None:
    asked = [{**row, "prompt": row["prompt"][:8]} for row in rows([f"Berlin, {n} million" for n in range(6)])]
    asked = [{**row, "prompt": f"{n} big?"} for n, row in enumerate(asked)]
    found = read_feedback(asked)
    assert found.rated[0].request.view.text == "Berlin, 0 million"
    assert source_notes(found)[0].startswith("`source` holds short texts, such as 'Berlin, 0 million': read as what")
    for sources in (["forum_mix", STORY], [STORY, "forum_mix"]):
        found = read_feedback(rows(sources))
        assert {each.request.view.text for each in found.rated} == {"forum_mix", STORY}
        assert source_notes(found)[0].startswith("`source` holds texts and also 1 short label, such as 'forum_mix'")


def test_settings_settle_what_source_holds() -> None:
    labelled = rows(["forum_mix", "school_mix"])
    by_label = read_feedback(labelled, source_column="source")
    assert {each.request.source for each in by_label.rated} == {"forum_mix", "school_mix"}
    assert by_label.rated[0].request.view.text == labelled[0]["prompt"] and not source_notes(by_label)
    as_text = read_feedback(labelled, text_column="source")
    assert as_text.rated[0].request.view.text == "forum_mix" and not source_notes(as_text)
    elsewhere = read_feedback([{**row, "story": STORY} for row in labelled], text_column="story")
    assert {each.request.view.text for each in elsewhere.rated} == {STORY} and not source_notes(elsewhere)
    by_text = read_feedback(rows([STORY]), source_column="source")
    assert {each.request.view.text for each in by_text.rated} == {STORY}


def test_tools_that_the_model_is_not_shown_are_noted() -> None:
    assert read_feedback(rows([STORY], tools=[{"name": "look"}])).guesses == (
        "`tools` describes tools in 6 rows: not shown to the model",
    )
    assert read_feedback(rows([STORY], tools=[])).guesses == ()


def test_ratings_with_a_source_alone_are_about_it() -> None:
    rated = [{"source": f"doc{n}", "candidate": f"It is {n}.", "score": n} for n in range(3)]
    assert [each.request.view.text for each in read_feedback(rated).rated] == ["doc0", "doc1", "doc2"]


def test_scoring_reads_source_as_training_does() -> None:
    labelled = rows(["forum_mix", "school_mix"])
    judged = [each.request.group for each in read_feedback(labelled).rated]
    known = survey(labelled)
    for row, group in zip(labelled, judged, strict=True):
        asked = unscored(row, "rows", known=known).groups[0]
        assert (asked.source, asked.view) == (group.source, group.view)
    assert unscored(labelled[0], "rows", known=survey(labelled, Columns(text_column="source"))).groups[0].view.text


def test_a_guess_is_refused_where_none_is_to_be_made() -> None:
    guesses = source_notes(read_feedback(rows(["forum_mix"])))
    refuse_guesses("rows.jsonl", guesses, False)
    refuse_guesses("rows.jsonl", [], True)
    with pytest.raises(InputError, match=r"^rows\.jsonl: `source` holds 1 short label .*; refused by --strict$"):
        refuse_guesses("rows.jsonl", guesses, True)
    with pytest.raises(InputError, match=r"x \(and 1 more\); refused by --strict"):
        refuse_guesses("rows.jsonl", ["x", "y"], True)


def test_levels_that_are_words_are_noted_unless_a_level_is_given() -> None:
    told = rows([STORY], level="root")
    assert read_feedback(told).guesses == (
        "`level` holds words ('root'), which say no level: rows are taken for level 0; --level settles it",
    )
    assert read_feedback(told, level=2).guesses == ()
    assert {each.request.place.level for each in read_feedback(rows([STORY], level="2")).rated} == {2}


@pytest.mark.parametrize("column", ["context", "system", "question", "input", "history"])
def test_what_raters_saw_beside_the_prompt_and_nobody_reads_is_told(column: str) -> None:
    pair = {"prompt": "Sum up.", "chosen": "It burned.", "rejected": "A mill."}
    rows = [{**pair, column: f"The mill burned in the year {year}."} for year in range(3)]
    says = (
        f"`{column}` holds texts in 3 rows, which are not read: --text-column or --prompt-column names one column"
        " that is"
    )
    assert says in read_feedback(rows).guesses
    assert says not in read_feedback(rows, text_column=column).guesses
    assert says not in read_feedback(rows, prompt_column=column).guesses
    assert read_feedback([{**pair, column: "t5-large"}]).guesses == ()  # a name, as of a system, is no text


def test_words_broken_at_line_ends_are_noted() -> None:
    broken = {"prompt": "Sum up.", "source": "Wil-\nhelmina left.", "chosen": "She left.", "rejected": "No."}
    whole = {**broken, "source": "A list:\n-\nWilhelmina left. Anglo-\nSaxon."}
    note = (
        "texts with words broken at line ends, such as 'Wil-\\nhelmina', in 1 row: read as they stand, each half as a"
        " word"
    )
    assert note in read_feedback([broken, whole]).guesses
    assert not any("broken" in guess for guess in read_feedback([whole]).guesses)


def test_a_context_that_is_the_prompt_is_read() -> None:
    completions = [{"rank": 0, "completion": "It burned."}, {"rank": 1, "completion": "A mill."}]
    assert read_feedback([{"context": "Sum up the story.", "completions": completions}]).guesses == ()
