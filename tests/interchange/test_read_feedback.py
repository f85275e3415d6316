"""Any form of row read through one door: what each says, whose it is, what is noted and what is refused."""

import gzip
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.values import Comparison, Feedback, Label, Passage, Ranking, Rated, Rating, Request, Shown, View
from rrm.interchange.export import to_jsonl, to_parquet, to_records, to_trl
from rrm.interchange.forms.known import READERS, RECORD, form_of
from rrm.interchange.preferences import RecordedPreferences, read_feedback

DATA = Path(os.environ.get("RRM_DATA", Path(__file__).parents[3] / "shared" / "data"))
GOOD = {"prompt": "An article.", "chosen": "Fine.", "rejected": "Poor.", "annotator": "ann", "source_id": "s"}
VOTE = {"prompt": "Say.", "completion_a": "One.", "completion_b": "Two.", "vote": "a", "annotator": "ann"}

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"REAL DATA ABSENT: no folder {DATA}; set RRM_DATA")


def written(path: Path, *rows) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path, *rows, **options):
    return read_feedback(written(path / "rows.jsonl", *rows), **options)


def chosen_text(rated: Rated) -> str | None:
    better = rated.feedback.answer.better
    return None if better is None else rated.request.shown[better].text


def recorded(better: int | None, first: str, second: str, rater: str = "ann", level: int = 0) -> Rated:
    shown = (Shown("a", first), Shown("b", second))
    request = Request("n", "book", Place(level=level), "comparison", View("Summarise.", (Passage("Once."),), 50), shown)
    return Rated(request, Feedback(request.id, rater, Comparison(better)))


# ---- what the forms say ----

EXAMPLES = {
    "preference": GOOD,
    "vote": VOTE,
    "ranked": {"context": "x", "completions": [{"rank": 0, "completion": "a"}, {"rank": 1, "completion": "b"}]},
    "stepwise": {"prompt": "x", "completions": ["a", "b"], "labels": [True, False]},
    "unpaired": {"prompt": "x", "completion": "a", "label": True},
    "rating": {"source": "x", "candidate": "a", "scores": {"overall": 1}},
    RECORD: next(to_records([recorded(0, "x", "y")])),
}


def test_every_form_has_an_example_and_is_told_by_its_columns():
    assert EXAMPLES.keys() == {*READERS, RECORD}
    assert {form_of(row) for row in EXAMPLES.values()} == EXAMPLES.keys()


def test_scores_that_a_model_adds_do_not_change_a_rows_form():
    for form, row in EXAMPLES.items():
        assert form_of({**row, "score": 0.5, "score_std": 0.1}) == form


def test_votes_in_every_spelling(tmp_path):
    said = {"a": "One.", "A2": "Two.", "a1": "One.", "b": "Two.", "tie": None, "equal": None}
    rated = read(tmp_path, *({**VOTE, "vote": vote} for vote in said)).rated
    assert [chosen_text(each) for each in rated] == list(said.values())
    assert {each.feedback.answer.strength for each in rated} == {None}
    graded = ["a-is-slightly-better", "a is better", "b_is_much_better", "Tie"]
    rows = [{**{name: VOTE[name] for name in VOTE if name != "vote"}, "preference": each} for each in graded]
    rated = read(tmp_path, *rows).rated
    assert [chosen_text(each) for each in rated] == ["One.", "One.", "Two.", None]
    strengths = [each.feedback.answer.strength for each in rated]
    assert strengths[0] < strengths[1] < strengths[2] and strengths[3] is None


def test_counted_votes_are_a_consensus_or_votes_by_raters_nobody_knows(tmp_path):
    row = {**GOOD, "votes_for": 3, "votes_against": 1, "votes_equal": 1}
    (consensus,) = read(tmp_path, row).rated
    assert (chosen_text(consensus), consensus.feedback.rater) == ("Fine.", "ann")
    votes = read(tmp_path, row, votes="each").rated
    assert Counter(map(chosen_text, votes)) == {"Fine.": 3, "Poor.": 1, None: 1}
    assert len({each.feedback.rater for each in votes}) == 5 == len({each.request.id for each in votes})
    assert {each.request.copy for each in votes} == {0, 1, 2, 3, 4}
    assert {each.request.node for each in votes} == {consensus.request.node}
    for wrong in ({**row, "votes_for": 1.5}, {**row, "votes_for": -1}, GOOD):
        with pytest.raises(InputError, match="row 1: votes = 'each' needs votes_for"):
            read(tmp_path, wrong, votes="each")


def test_a_made_up_raters_number_says_nothing_of_the_vote(tmp_path):
    rows = [
        {**GOOD, "prompt": f"{n}", "chosen": f"x{n}", "votes_for": 3, "votes_against": 1, "votes_equal": 1}
        for n in range(200)
    ]
    votes = read(tmp_path, *rows, votes="each").rated
    for rater in {each.feedback.rater for each in votes}:
        own = [chosen_text(each) for each in votes if each.feedback.rater == rater]
        assert len(own) == 200
        assert 0.48 < sum((text or "").startswith("x") for text in own) / 200 < 0.72  # 0.6, within 3.5 standard errors


def test_steps_are_labels_with_the_steps_before_as_context(tmp_path):
    steps = {"prompt": "Sum.", "completions": ["First.", "Then.", "So."], "labels": [True, True, False]}
    rated = read(tmp_path, steps).rated
    assert [each.feedback.answer for each in rated] == [Label(True), Label(True), Label(False)]
    assert [each.request.view.context for each in rated] == ["", "First.", "First.\nThen."]
    assert [each.request.shown[0].text for each in rated] == ["First.", "Then.", "So."]
    assert len({each.request.source for each in rated}) == 1 and len({each.request.node for each in rated}) == 3


def rating(scores, **more):
    return {"prompt": "P.", "completion": f"C{scores}.", "source_id": "s", "annotator": "q", "scores": scores, **more}


def test_the_aspect_is_the_only_one_or_overall_or_the_mean(tmp_path):
    def values(scores, **options):
        return [
            each.feedback.answer.value for each in read(tmp_path, *map(rating, scores), scale=(1, 5), **options).rated
        ]

    assert values([{"a": 2}, {"a": 3.5}]) == [2, 3.5]
    assert values([{"a": 1, "overall": 4}, {"a": 1, "overall": 2}]) == [4, 2]
    assert values([{"a": 1, "b": 4}, {"a": 1, "b": 1}]) == [2.5, 1]
    assert values([{"a": 1, "b": 4}, {"a": 1, "b": 1}], aspect="b") == [4, 1]
    rows = ({"prompt": "P.", "completion": f"{score}", "score": score} for score in (2, 5))
    assert [each.feedback.answer for each in read(tmp_path, *rows, scale=(0, 5)).rated] == [Rating(3, 6), Rating(6, 6)]


def test_without_a_scale_the_one_seen_is_used_and_noted(tmp_path):
    found = read(tmp_path, rating({"a": -0.5, "b": 0}), rating({"a": 2.75, "b": 2.75}))
    assert [each.feedback.answer for each in found.rated] == [Rating(1.75, 5), Rating(4.75, 5)]  # -1 to 3
    assert "no scale was given: scores are read on the scale seen, -1 to 3" in found.notes
    assert "no aspect was named: the ratings are the mean of a, b" in found.notes
    with pytest.raises(InputError, match="1,000 points or more"):
        read(tmp_path, rating({"a": 0}), rating({"a": 1e6}))


def test_a_source_of_its_own_is_the_passage_and_the_prompt_the_instruction(tmp_path):
    row = {"prompt": "Who?", "source": "Once upon a time.", "chosen": "Fine.", "rejected": "Poor."}
    rated = read(tmp_path, row, {**row, "prompt": "Where?"}).rated
    assert [each.request.view.instruction for each in rated] == ["Who?", "Where?"]
    assert {each.request.view.text for each in rated} == {"Once upon a time."}
    assert len({each.request.source for each in rated}) == 1
    assert rated[0].request.view.prompt == "Once upon a time.\n\nWho?"


def test_confidence_is_kept(tmp_path):
    rated = read(tmp_path, {**GOOD, "confidence": 0.25}, {**GOOD, "confidence": 1}, GOOD).rated
    assert [each.feedback.confidence for each in rated] == [0.25, 1.0, None]


def test_chat_messages_are_rendered_by_whoever_knows_the_template(tmp_path):
    said = [
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Go."},
    ]
    row = {"prompt": said, "chosen": [{"role": "assistant", "content": "Fine."}], "rejected": "Poor."}

    def render(messages):
        return "".join(f"<{each['role']}>{each['content']}" for each in messages)

    (plain,), (rendered,) = (read(tmp_path, row, render=each).rated for each in (None, render))
    assert plain.request.view.text == "user: Hi.\n\nassistant: Yes?\n\nuser: Go."
    assert (chosen_text(plain), {each.text for each in plain.request.shown}) == ("Fine.", {"Fine.", "Poor."})
    assert rendered.request.view.text == "<user>Hi.<assistant>Yes?<user>Go."
    assert chosen_text(rendered) == "<assistant>Fine."
    assert {each.text for each in rendered.request.shown} == {"<assistant>Fine.", "<assistant>Poor."}
    single = {**row, "prompt": said[:1]}
    assert read(tmp_path, single).rated[0].request.view.text == "Hi."
    assert read(tmp_path, single, render=render).rated[0].request.view.text == "<user>Hi."


def test_a_row_knows_its_level_and_only_one_level_can_be_asked_for(tmp_path):
    rows = [{**GOOD, "prompt": f"{n}", "level": level} for n, level in enumerate((0, 2, "root", None, 2))]
    assert [each.request.place.level for each in read(tmp_path, *rows).rated] == [0, 2, 0, 0, 2]
    found = read(tmp_path, *rows, level=2)
    assert [each.request.place.level for each in found.rated] == [2, 2, 2, 2]
    assert "rows left out: 1, of another level" in found.notes
    with pytest.raises(InputError, match="no rows to learn from; rows left out: 1, of another level"):
        read(tmp_path, rows[0], level=1)


def test_a_row_knows_its_round_what_was_judged_and_by_which_criterion(tmp_path):
    told = {"round": 1, "subject": "split", "level": 2, "criterion": "faithful"}
    plain, all_told, empty = read(tmp_path, GOOD, {**GOOD, **told}, {**GOOD, **dict.fromkeys(told)}).rated
    assert (all_told.request.place, all_told.request.criterion) == (Place(1, "split", 2), "faithful")
    assert all_told.feedback.criterion == "faithful"
    for each in (plain, empty):
        assert (each.request.place, each.request.criterion, each.feedback.criterion) == (Place(), "overall", "overall")
    with pytest.raises(InputError, match="row 1: column 'round' must be a whole number from 0 to 1,000,000, got -1"):
        read(tmp_path, {**GOOD, "round": -1})


def test_our_own_records_come_back_as_they_were(tmp_path):
    rows = [recorded(0, "x", "y"), recorded(1, "x", "z", "bob", level=1), recorded(None, "y", "z")]
    to_jsonl(to_records(rows), tmp_path / "r.jsonl.gz")
    assert read_feedback(tmp_path / "r.jsonl.gz").rated == rows
    assert read_feedback(tmp_path / "r.jsonl.gz", level=1).rated == rows[1:2]


def test_what_we_write_as_preferences_is_read_from_every_kind_of_file(tmp_path):
    rows = [recorded(n % 2, f"x{n}", f"y{n}") for n in range(10)]
    for name in ("p.jsonl", "p.jsonl.gz", "p.parquet"):
        (to_parquet if name.endswith("parquet") else to_jsonl)(to_trl(rows, margins=False), tmp_path / name)
        found = read_feedback(tmp_path / name).rated
        assert [chosen_text(each) for each in found] == [chosen_text(each) for each in rows]
        assert {each.request.view.prompt for each in found} == {"Once.\n\nSummarise."}


def test_equal_prompts_are_one_node(tmp_path):
    rated = read(tmp_path, GOOD, {**GOOD, "chosen": "Best."}, {**GOOD, "prompt": "Another."}).rated
    nodes = [each.request.node for each in rated]
    assert nodes[0] == nodes[1] != nodes[2]


# ---- what is noted ----


def test_source_ids_decide_splits_and_without_them_the_prompt_does_with_a_note(tmp_path):
    found = read(tmp_path, {**GOOD, "source_id": "x"}, {**GOOD, "prompt": "Other.", "source_id": "x"})
    assert {each.request.source for each in found.rated} == {"x"}
    assert not any("source_id" in note for note in found.notes)
    bare = [{name: row[name] for name in row if name != "source_id"} for row in (GOOD, {**GOOD, "prompt": "Other."})]
    found = read(tmp_path, *bare)
    assert len({each.request.source for each in found.rated}) == 2
    assert "rows without source_id: 2; their prompt decides splits, which tells 2 sources apart" in found.notes
    named = read(tmp_path, *({**row, "doc": 7} for row in bare), source_column="doc")
    assert {each.request.source for each in named.rated} == {"7"}
    assert not any("source_id" in note for note in named.notes)


def test_one_rater_only_is_noted(tmp_path):
    notes = read(tmp_path, GOOD, {**GOOD, "prompt": "Other."}).notes
    assert any(note.startswith("all 2 judgements are by one rater, 'ann'") for note in notes)
    assert read(tmp_path, GOOD, {**GOOD, "annotator": "bob"}).notes == []


def prefers(better, worse, rater="ann"):
    return {**GOOD, "chosen": better, "rejected": worse, "annotator": rater}


def test_circles_and_contradictions_of_one_rater_are_noted_with_an_example(tmp_path):
    circle = [prefers("a", "b"), prefers("b", "c"), prefers("c", "a"), prefers("a", "d", "bob")]
    (note,) = read(tmp_path, *circle).notes
    assert note.startswith("contradictions or circles in one rater's preferences on one prompt: 1, for example")
    assert "rater 'ann' on 'An article.'" in note and note.count(" over ") == 3
    (note,) = read(tmp_path, prefers("a", "b"), prefers("b", "a"), prefers("a", "b", "bob")).notes
    assert "'ann'" in note
    assert read(tmp_path, prefers("a", "b"), prefers("b", "a", "bob")).notes == []
    assert read(tmp_path, prefers("a", "b"), prefers("b", "c"), prefers("a", "c"), prefers("a", "b", "bob")).notes == []


def test_judgements_that_a_rater_gives_again_are_counted(tmp_path):
    again = "judgements that repeat another, of the same rater on the same texts: 2; each counts"
    assert read(tmp_path, *[prefers("a", "b")] * 3, prefers("a", "b", "bob")).notes == [again]
    assert read(tmp_path, prefers("a", "b"), prefers("a", "c"), prefers("a", "b", "bob")).notes == []


@pytest.mark.parametrize(
    ("first", "second", "unlike"),
    [
        ({"completion": "a", "label": True}, {"completion": "a", "label": False}, True),
        ({"completion": "a", "label": True}, {"completion": "b", "label": False}, False),
        ({"completion": "a", "score": 1}, {"completion": "a", "score": 4}, True),
        (
            {"completion_a": "a", "completion_b": "b", "vote": "a"},
            {"completion_a": "b", "completion_b": "a", "vote": "tie"},
            True,
        ),
        (
            {"completion_a": "a", "completion_b": "b", "vote": "a"},
            {"completion_a": "b", "completion_b": "a", "vote": "b-is-much-better"},
            False,
        ),
    ],
)
def test_a_rater_who_says_different_things_of_one_text_is_noted(tmp_path, first, second, unlike):
    both = {"prompt": "An article.", "annotator": "ann"}
    other = {**both, **first, "annotator": "bob", "prompt": "Another."}
    notes = read(tmp_path, both | first, both | second, other).notes
    note = "texts that one rater judged more than once and differently: 1, for example rater 'ann' on 'An article.'"
    assert (note in notes) == unlike


def test_a_rater_who_always_picks_the_first_shown_is_noted_where_the_order_is_known(tmp_path):
    rows = [recorded(0, f"x{n}", f"y{n}", "ann") for n in range(12)]
    rows += [recorded(n % 2, f"x{n}", f"y{n}", "bob") for n in range(12)]
    to_jsonl(to_records(rows), tmp_path / "r.jsonl")
    (note,) = read_feedback(tmp_path / "r.jsonl").notes
    assert note == "rater 'ann' chose the first output shown in 12 of 12 comparisons (p = 0.0005)"  # 2 / 2**12
    votes = [{**VOTE, "prompt": f"{n}", "source_id": n, "vote": "b"} for n in range(12)]
    votes.append({**VOTE, "source_id": 0, "annotator": "bob"})
    assert read(tmp_path, *votes).notes == [
        "rater 'ann' chose the second output shown in 12 of 12 comparisons (p = 0.0005)"
    ]
    chosen_first = [{**GOOD, "prompt": f"{n}"} for n in range(12)] + [{**GOOD, "annotator": "bob"}]
    assert read(tmp_path, *chosen_first).notes == []


def test_a_few_rows_that_prefer_a_text_to_itself_are_left_out_and_counted(tmp_path):
    rows = [{**GOOD, "prompt": f"{n}", "annotator": f"{n % 2}"} for n in range(300)]
    rows[7] = rows[7] | {"chosen": "Poor."}
    found = read(tmp_path, *rows)
    assert len(found.rated) == 299
    assert found.notes == ["rows left out: 1 of 300, which prefer a text to itself"]
    with pytest.raises(InputError, match="row 8: chosen and rejected are the same text"):
        read(tmp_path, *rows[:50])


def test_a_tie_of_equal_texts_says_nothing(tmp_path):
    found = read(tmp_path, VOTE, {**VOTE, "completion_b": "One.", "vote": "tie"})
    assert len(found.rated) == 1
    assert "rows left out: 1, as ties between equal texts, which say nothing" in found.notes


# ---- what is refused as a whole ----


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([], "it holds no rows to learn from"),
        ([{**VOTE, "vote": "tie"}] * 3, "all 3 judgements are ties, so there is nothing to learn"),
        ([rating({"a": 2}), rating({"a": 2})], "all 2 judgements are the same rating"),
        ([{"prompt": "x", "completion": each, "label": True} for each in "ab"], "all 2 judgements are the same label"),
        (
            [{"context": "x", "completions": [{"rank": 0, "completion": each} for each in "abc"]}],
            "all 3 judgements are ties",
        ),
    ],
)
def test_a_file_of_which_nothing_can_be_learned_is_refused(tmp_path, rows, complaint):
    with pytest.raises(InputError, match=complaint) as refusal:
        read(tmp_path, *rows)
    assert str(refusal.value).startswith(str(tmp_path / "rows.jsonl")) and "\n" not in str(refusal.value)


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.jsonl: no such file"):
        read_feedback(tmp_path / "none.jsonl")


# ---- real data ----

REAL = [  # file, rows as the data's README says, rows of it that say nothing
    ("squality/preferences_train", 398, 0),
    ("squality/preferences_validation", 131, 0),
    ("summeval/preferences_train", 1220, 0),
    ("summeval/preferences_validation", 336, 0),
    ("summeval/ratings_train", 816, 0),
    ("summeval/ratings_validation", 224, 0),
    ("ukpconvarg/preferences_train", 9039, 2),
    ("ukpconvarg/preferences_validation", 2081, 0),
    ("tulu_human/preferences_train", 638, 19),
    ("tulu_human/preferences_validation", 176, 2),
    ("gsm8k/solution_pairs_validation", 1183, 0),
    ("lqual/ratings_train", 2960, 0),
    ("lqual/ratings_validation", 684, 0),
]


@needs_data
@pytest.mark.parametrize(("name", "rows", "silent"), REAL)
def test_real_files_are_read_directly(name, rows, silent):
    found = read_feedback(DATA / f"{name}.jsonl.gz")
    assert len(found.rated) == rows - silent
    assert all("\n" not in note for note in found.notes)


@needs_data
def test_tulu_votes_keep_their_ties_and_strengths():
    file = DATA / "tulu_human" / "preferences_validation.jsonl.gz"
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["completion_a"] != row["completion_b"]]
    found = read_feedback(file).rated
    for row, each in zip(rows, found, strict=True):
        assert (chosen_text(each), each.feedback.rater) == (row["chosen"], row["annotator"])
        strength = {True: 1 / 6, False: 1 / 2}["slightly" in row["preference"]] if row["chosen"] else None
        assert each.feedback.answer.strength == strength


@needs_data
def test_ukp_votes_can_be_read_one_by_one():
    file = DATA / "ukpconvarg" / "preferences_validation.jsonl.gz"
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = list(map(json.loads, lines))
    found = read_feedback(file, votes="each", source_column="topic").rated
    assert len(found) == sum(row["votes_for"] + row["votes_against"] + row["votes_equal"] for row in rows)
    assert {each.request.source for each in found} == {row["topic"] for row in rows}


@needs_data
def test_summeval_means_are_ratings_between_the_points():
    found = read_feedback(DATA / "summeval" / "ratings_validation.jsonl.gz", aspect="relevance", scale=(1, 5)).rated
    with gzip.open(DATA / "summeval" / "ratings_validation.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = list(map(json.loads, lines))
    assert [each.feedback.answer.value for each in found] == pytest.approx([row["scores"]["relevance"] for row in rows])
    assert {each.request.view.text for each in found} == {row["source"] for row in rows}


@needs_data
def test_summaries_without_their_source_stand_beside_their_reference():
    found = read_feedback(DATA / "lqual" / "ratings_validation.jsonl.gz", scale=(-1, 1)).rated
    assert {each.feedback.answer.points for each in found} == {3}
    assert all(each.request.view.text.strip() for each in found)


def test_run_files_and_commands_read_alike(tmp_path):
    file = written(tmp_path / "rows.jsonl", GOOD, {**GOOD, "prompt": "Other.", "annotator": "bob"})
    assert read_feedback(file, 3).rated == RecordedPreferences(str(file), 3).rated()
    assert isinstance(read_feedback(file, 3).rated[0].feedback.answer, Comparison | Ranking)


ASKED, FINE, POOR = (
    [{"role": role, "content": text}]
    for role, text in (("user", "Say."), ("assistant", "Fine."), ("assistant", "Poor."))
)


@pytest.mark.parametrize("kept_as", [json.dumps, repr])
def test_messages_that_a_table_keeps_as_texts_are_messages(tmp_path, kept_as):
    apart = read(tmp_path, {"prompt": ASKED, "chosen": FINE, "rejected": POOR})
    texts = read(tmp_path, {"prompt": kept_as(ASKED), "chosen": kept_as(FINE), "rejected": kept_as(POOR)})
    assert texts.rated == apart.rated


def test_a_text_that_only_looks_like_messages_stays_a_text(tmp_path):
    row = {"prompt": "Say.", "chosen": '[{"a": 1}]', "rejected": '{"role": 1'}
    assert chosen_text(read(tmp_path, row).rated[0]) == '[{"a": 1}]'


def test_roles_in_capitals_are_the_same_roles(tmp_path):
    whole = [[{**turn, "role": turn["role"].title()} for turn in (*ASKED, *reply)] for reply in (FINE, POOR)]
    reading = read(tmp_path, {"chosen": whole[0], "rejected": whole[1]})
    assert reading.rated[0].request.view.prompt == "Say."


@pytest.mark.parametrize(
    ("more", "note"),
    [
        ({"score_chosen": 1, "score_rejected": 2.5}, "`score_chosen` is below `score_rejected` in 1 of 1 rows"),
        ({"images": ["a.png"]}, "`images` holds media in 1 row: not shown"),
        ({"rejected": "nan"}, 'texts that say "nan", "[deleted]", "2." or the like: in 1 row'),
        ({"rater": "r7"}, "`rater` may name who judged, but is not read"),
    ],
)
def test_what_a_column_says_against_the_reading_is_guessed_aloud(tmp_path, more, note):
    reading = read(tmp_path, {"prompt": "Say.", "chosen": "Fine.", "rejected": "Poor.", **more})
    assert [each for each in reading.guesses if each.startswith(note)]


@pytest.mark.parametrize(
    "more", [{"score_chosen": 2.5, "score_rejected": 1}, {"images": []}, {"rater": "r7", "annotator": "ann"}]
)
def test_columns_that_say_nothing_against_the_reading_are_not_noted(tmp_path, more):
    assert not read(tmp_path, {"prompt": "Say.", "chosen": "Fine.", "rejected": "Poor.", **more}).guesses
