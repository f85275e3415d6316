"""The door of rows under anything that may come: a reading or one sentence, and what is read leaves and comes back."""

import csv
import io
import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rrm.core.errors import InputError
from rrm.core.thoughts import is_blank
from rrm.interchange.dialogue import dialogue
from rrm.interchange.export import to_records, to_trl
from rrm.interchange.items import items_from, ratings_from
from rrm.interchange.messages import Message
from rrm.interchange.pairs import FLAGS, JUDGED, SIDES, SINGLE, VERDICTS
from rrm.interchange.preferences import read_feedback
from rrm.interchange.rows import read_rows
from rrm.interchange.scoring import unscored
from rrm.interchange.survey import survey
from rrm.interchange.tables import csv_rows

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

letters = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
words = st.sampled_from(["Where is it?", "Here.", "There.", "No.", " ", "", "\n\nHuman: a\n\nAssistant: b", "a", "b"])
texts = st.one_of(words, letters, st.text(max_size=4))
scalars = st.one_of(st.none(), st.booleans(), st.integers(-4, 4), st.floats(), texts, st.just(2**70))
calls = st.lists(
    st.fixed_dictionaries({"function": st.fixed_dictionaries({"name": texts, "arguments": scalars})}), max_size=2
)
contents = st.one_of(st.none(), texts, st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": texts})))
messages = st.one_of(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool"]), "content": contents},
        optional={"tool_calls": st.one_of(st.none(), calls), "name": scalars},
    ),
    st.fixed_dictionaries({"from": st.sampled_from(["human", "gpt"]), "value": contents}),
)
chats = st.lists(messages, max_size=4)
anything = st.recursive(
    st.one_of(scalars, messages, chats),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner),
    max_leaves=6,
)
COLUMNS = sorted({
    *JUDGED, *SINGLE, *VERDICTS, *FLAGS, *SIDES[0], *SIDES[5], *SIDES[8], "prompt", "context", "conversations",
    "source", "reference", "completions", "labels", "label", "score", "scores", "margin", "confidence", "annotator",
    "source_id", "level", "round", "criterion", "request", "feedback", "model_a", "model_b", "instruction", "kind",
    "outputs", "item", "rater", "answer", "passages", "wanted", "purpose",
})  # fmt: skip
rows = st.lists(st.dictionaries(st.sampled_from(COLUMNS), anything, max_size=7), max_size=4)


def render(told: list[Message]) -> str:
    return "".join(f"<{each['role']}>{each['content']}</>" for each in told)


@QUICK
@given(rows)
def test_any_rows_are_read_or_refused_in_one_sentence(told: list[dict[str, Any]]) -> None:
    for template in (None, render):
        try:
            read_feedback(told, render=template)
        except InputError as error:
            assert "\n" not in str(error)
    known = survey(told)
    for row in told:
        try:
            unscored(row, "rows, row 1", render, known)
        except InputError as error:
            assert str(error).startswith("rows, row 1: ")
    for reader in (items_from, lambda given: ratings_from(given, lambda ids: {})):
        try:
            list(reader(told))
        except InputError as error:
            assert str(error).startswith("the data set given, row ")


said = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20).filter(
    lambda text: not is_blank(text)
)


@st.composite
def talks(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a row of a talk with two replies that differ, in one of the ways in which such rows are published."""
    asked = [
        {"role": ("user", "assistant")[n % 2], "content": draw(said)} for n in range(draw(st.sampled_from([1, 3])))
    ]
    asked = ([{"role": "system", "content": draw(said)}] if draw(st.booleans()) else []) + asked
    first, second = draw(st.lists(said, min_size=2, max_size=2, unique_by=lambda text: tuple(text.split())))
    replies = [[{"role": "assistant", "content": each}] for each in (first, second)]
    whole = [[*asked, *each] for each in replies]
    pair = draw(st.sampled_from([*JUDGED[:1], *(side[0] for side in SIDES)]))
    names = JUDGED if pair == "chosen" else next(side for side in SIDES if side[0] == pair)
    row = draw(
        st.sampled_from([
            {"prompt": asked, names[0]: replies[0], names[1]: replies[1]},
            {"context": asked, names[0]: first, names[1]: second},
            {names[0]: whole[0], names[1]: whole[1]},
            {"prompt": asked, names[0]: whole[0], names[1]: whole[1]},
        ])
    )  # fmt: skip
    return row if names == JUDGED else {**row, "winner": draw(st.sampled_from(["a", "b", "tie"]))}


@QUICK
@given(talks(), st.sampled_from([None, render]))
def test_a_talk_that_is_read_comes_back_from_our_export(row: dict[str, Any], template: Any) -> None:
    other = {**dict.fromkeys(row), "prompt": "x", "completion_a": "1", "completion_b": "2", "vote": "a"}
    told = [row] if "winner" not in row else [row, other]
    rated = read_feedback(told, render=template).rated
    assert read_feedback(list(to_records(rated))).rated == rated
    back = read_feedback(list(to_trl(rated))).rated
    decided = [each for each in rated if each.feedback.answer.better is not None]  # type: ignore[union-attr]
    assert len(back) == len(decided)
    for one, two in zip(decided, back, strict=True):
        assert one.request.view.prompt == two.request.view.prompt
        assert {each.text for each in one.request.shown} == {each.text for each in two.request.shown}
        assert (
            one.request.shown[one.feedback.answer.better].text == two.request.shown[two.feedback.answer.better].text  # type: ignore
        )


@QUICK
@given(talks())
def test_prompt_and_reply_are_what_the_template_makes_of_the_whole(row: dict[str, Any]) -> None:
    talk = dialogue(row)
    told = talk.texts(row, render)
    asked = talk.prompt if isinstance(talk.prompt, list) else [{"role": "user", "content": talk.prompt}]
    for (column, _), reply in talk.replies.items():
        chat = reply if isinstance(reply, list) else [{"role": "assistant", "content": reply}]
        assert told["prompt"] + told[column] == render([*asked, *chat])  # type: ignore[arg-type]


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@QUICK
@given(
    st.lists(st.tuples(cells, cells, cells), max_size=5),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\r\n", "\n", "\r"]),
    st.booleans(),
    st.booleans(),
)
def test_any_csv_is_read_cell_by_cell(
    told: list[tuple[str, str, str]], delimiter: str, end: str, quotes: bool, index: bool
) -> None:
    if not quotes:  # Python's writer leaves a break of lines that is not its own without quotes
        told = [tuple(re.sub(r"[\r\n]", end, cell) for cell in row) for row in told]  # type: ignore[misc]
    out = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if quotes else csv.QUOTE_MINIMAL
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow([*([""] if index else []), "prompt", "chosen", "rejected"])
    writer.writerows([[*([str(n)] if index else []), *row] for n, row in enumerate(told)])
    found = [tuple(row.values()) for _, row in csv_rows(out.getvalue(), "x.csv", 1000)]
    assert found == [tuple(each or None for each in row) for row in told]


@QUICK
@given(st.text(max_size=60))
def test_any_text_is_a_table_or_refused(text: str) -> None:
    try:
        list(csv_rows(text, "x.csv", 1000))
    except InputError as error:
        assert str(error).startswith("x.csv") and "\n" not in str(error)


@QUICK
@given(st.binary(max_size=60), st.sampled_from(["x.jsonl", "x.json", "x.csv", "x.parquet"]))
def test_any_bytes_are_rows_or_refused(tmp_path_factory: pytest.TempPathFactory, held: bytes, name: str) -> None:
    file = tmp_path_factory.getbasetemp() / name
    file.write_bytes(held)
    try:
        for _, row in read_rows(file):
            assert isinstance(json.dumps(row), str)
    except InputError as error:
        assert str(error).startswith(str(file)) and "\n" not in str(error)
