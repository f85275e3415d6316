"""Recorded judgements read from files: every form of row, real data, and what faulty rows are told."""

import gzip
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from rrm.core.errors import ConfigError, InputError, LimitError
from rrm.core.place import Place
from rrm.core.values import Comparison, Label, Ranking, Rated, Rating
from rrm.interchange.preferences import RecordedPreferences
from rrm.interchange.rows import read_rows

DATA = Path(os.environ.get("RRM_DATA", Path(__file__).parents[3] / "shared" / "data"))
GOOD = {"prompt": "An article.", "chosen": "Fine.", "rejected": "Poor.", "annotator": "ann"}

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"REAL DATA ABSENT: no folder {DATA}; set RRM_DATA")


def written(path: Path, *rows) -> str:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def chosen_text(rated: Rated) -> str:
    return rated.request.shown[rated.feedback.answer.better].text


def test_a_preference_becomes_a_comparison_beside_its_passage(tmp_path):
    file = written(tmp_path / "p.jsonl", GOOD)
    (rated,) = RecordedPreferences(file, 2, instruction="Summarise.", max_tokens=64).rated()
    request, feedback = rated.request, rated.feedback
    assert (request.kind, request.place, request.view.max_tokens) == ("comparison", Place(level=2), 64)
    assert (request.view.instruction, request.view.text) == ("Summarise.", "An article.")
    assert sorted(each.text for each in request.shown) == ["Fine.", "Poor."]
    assert chosen_text(rated) == "Fine."
    assert (feedback.rater, feedback.request) == ("ann", request.id)


def test_the_better_text_is_shown_first_about_half_the_time_and_always_in_the_same_place(tmp_path):
    rows = [{**GOOD, "prompt": f"Article {number}."} for number in range(200)]
    file = written(tmp_path / "p.jsonl", *rows)
    first = RecordedPreferences(file, 0).rated()
    assert first == RecordedPreferences(file, 0).rated()
    sides = Counter(each.feedback.answer.better for each in first)
    assert 70 <= sides[0] <= 130  # a fair coin's 99.99 % range
    swapped = written(tmp_path / "q.jsonl", *({**r, "chosen": r["rejected"], "rejected": r["chosen"]} for r in rows))
    for one, other in zip(first, RecordedPreferences(swapped, 0).rated(), strict=True):
        assert one.request == other.request
        assert one.feedback.answer.better == 1 - other.feedback.answer.better


def test_two_annotators_of_one_pair_answer_the_same_request(tmp_path):
    file = written(tmp_path / "p.jsonl", GOOD, {**GOOD, "annotator": 7}, {**GOOD, "annotator": None})
    rated = RecordedPreferences(file, 0).rated()
    assert len({each.request.id for each in rated}) == 1
    assert [each.feedback.rater for each in rated] == ["ann", "7", "recorded"]


def test_a_join_gives_the_passage_and_makes_the_prompt_the_instruction(tmp_path):
    stories = written(tmp_path / "s.jsonl", {"story": 1, "text": "Once."}, {"story": 2, "text": "Twice."})
    file = written(tmp_path / "p.jsonl", {**GOOD, "prompt": "Who?", "story": 2})
    join = {"join_file": stories, "join_key": "story", "join_text": "text"}
    (rated,) = RecordedPreferences(file, 3, **join).rated()
    assert (rated.request.view.instruction, rated.request.view.text) == ("Who?", "Twice.")
    assert rated.request.source == "2"
    (led,) = RecordedPreferences(file, 3, instruction="Answer about the story.", **join).rated()
    assert led.request.view.instruction == "Answer about the story.\n\nWho?"


def test_a_key_that_the_join_lacks_is_named(tmp_path):
    stories = written(tmp_path / "s.jsonl", {"story": 1, "text": "Once."})
    file = written(tmp_path / "p.jsonl", {**GOOD, "story": 9})
    with pytest.raises(InputError, match=r"row 1: story is '9', which is not in .*s\.jsonl$"):
        RecordedPreferences(file, 0, join_file=stories, join_key="story", join_text="text").rated()


def test_a_join_may_lie_in_several_files_and_a_column_that_names_the_source_goes_first(tmp_path):
    first = written(tmp_path / "s1.jsonl", {"story": 1, "text": "Once."})
    second = written(tmp_path / "s2.jsonl", {"story": 2, "text": "Twice."})
    rows = [{**GOOD, "story": story, "book": f"b{story}", "asked": "Who?"} for story in (1, 2)]
    file = written(tmp_path / "p.jsonl", *rows)
    join = {"join_file": (first, second), "join_key": "story", "join_text": "text"}
    read = RecordedPreferences(file, 0, source_column="book", prompt_column="asked", **join).rated()
    told = [(each.request.source, each.request.view.instruction, each.request.view.text) for each in read]
    assert told == [("b1", "Who?", "Once."), ("b2", "Who?", "Twice.")]
    with pytest.raises(InputError, match=r"row 1: story is '1', which is not in .*s2\.jsonl or .*s2\.jsonl$"):
        RecordedPreferences(file, 0, **{**join, "join_file": (second, second)}).rated()
    with pytest.raises(InputError, match="row 1: column 'question' is missing; there are prompt, chosen, "):
        RecordedPreferences(file, 0, prompt_column="question").rated()


def test_rows_are_chosen_by_column_and_limited(tmp_path):
    rows = [{**GOOD, "prompt": f"{number}", "level": level} for number, level in enumerate("aabcab")]
    file = written(tmp_path / "p.jsonl", *rows)
    assert len(RecordedPreferences(file, 0, where={"level": "a"}).rated()) == 3
    assert len(RecordedPreferences(file, 0, where={"level": ["a", "c"]}).rated()) == 4
    limited = RecordedPreferences(file, 0, where={"level": ("a", "c")}, limit=2).rated()
    assert [each.request.view.text for each in limited] == ["0", "1"]
    assert RecordedPreferences(file, 0, where={"level": "z"}).rated() == []


def test_sources_are_named_by_column_and_otherwise_by_the_prompt(tmp_path):
    file = written(
        tmp_path / "p.jsonl", {**GOOD, "doc": "d1"}, {**GOOD, "doc": 2, "prompt": "Other."}, {**GOOD, "doc": 3}
    )
    assert [each.request.source for each in RecordedPreferences(file, 0, source_column="doc").rated()] == [
        "d1",
        "2",
        "3",
    ]
    sources = [each.request.source for each in RecordedPreferences(file, 0).rated()]
    assert sources[0] == sources[2] != sources[1]


def test_a_margin_gives_a_strength_against_the_largest_or_a_stated_scale(tmp_path):
    file = written(tmp_path / "p.jsonl", {**GOOD, "margin": 10}, {**GOOD, "margin": None}, GOOD, {**GOOD, "margin": 4})
    assert [each.feedback.answer.strength for each in RecordedPreferences(file, 0).rated()] == [1.0, None, None, 0.4]
    scaled = RecordedPreferences(file, 0, margin_scale=40.0).rated()
    assert [each.feedback.answer.strength for each in scaled] == [0.25, None, None, 0.1]
    nothing = written(tmp_path / "q.jsonl", {**GOOD, "margin": 0})
    assert [each.feedback.answer.strength for each in RecordedPreferences(nothing, 0).rated()] == [None]
    with pytest.raises(InputError, match="raise margin_scale"):
        RecordedPreferences(file, 0, margin_scale=9.0).rated()


def group(*ranked):
    completions = [{"rank": rank, "completion": [{"role": "assistant", "content": text}]} for rank, text in ranked]
    return {"context": [{"role": "user", "content": "Say."}], "completions": completions}


def test_ranked_groups_become_rankings_and_pairs_comparisons(tmp_path):
    file = written(
        tmp_path / "n.jsonl",
        group((1, "middle"), (0, "best"), (2, "worst")),
        group((1, "worse"), (0, "better")),
        group((0, "one"), (0, "other")),
    )
    three, two, tie = RecordedPreferences(file, 0).rated()
    assert isinstance(three.feedback.answer, Ranking)
    texts = [three.request.shown[position].text for position in three.feedback.answer.best_first]
    assert texts == ["best", "middle", "worst"]
    assert chosen_text(two) == "better" and two.request.view.text == "Say."
    assert tie.feedback.answer == Comparison(None)


def test_equal_ranks_in_a_larger_group_are_level(tmp_path):
    rows = [group((1, "one"), (0, "best"), (1, "other")), group((0, "x"), (0, "y"), (0, "z"))]
    ranking, *level = RecordedPreferences(written(tmp_path / "n.jsonl", *rows), 0).rated()
    texts = [shown.text for shown in ranking.request.shown]
    named = [[texts[place] for place in group] for group in ranking.feedback.answer.groups]
    assert [sorted(group) for group in named] == [["best"], ["one", "other"]]
    assert [each.feedback.answer for each in level] == [Comparison(None)] * 3  # where all are level nothing is ranked


def test_groups_without_ranks_are_ranked_by_their_rewards(tmp_path):
    rewards = [{"completion": text, "reward": reward} for text, reward in (("b", 0.5), ("a", 2), ("c", -1.0))]
    file = written(tmp_path / "n.jsonl", {"prompt": "Say.", "completions": rewards})
    (rated,) = RecordedPreferences(file, 0).rated()
    assert [rated.request.shown[place].text for place in rated.feedback.answer.best_first] == ["a", "b", "c"]


def test_several_messages_are_one_text_with_who_spoke(tmp_path):
    said = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Yes?"}]
    file = written(tmp_path / "p.jsonl", {**GOOD, "prompt": said})
    assert RecordedPreferences(file, 0).rated()[0].request.view.text == "user: Hi.\n\nassistant: Yes?"


def test_unpaired_rows_become_labels(tmp_path):
    row = {"prompt": "Say.", "completion": "Yes.", "label": True}
    file = written(tmp_path / "u.jsonl", row, {**row, "label": False})
    rated = RecordedPreferences(file, 0).rated()
    assert [each.feedback.answer for each in rated] == [Label(True), Label(False)]


def test_whole_scores_on_a_declared_scale_become_ratings(tmp_path):
    rows = [{"source": "S.", "candidate": "C.", "scores": {"overall": score}, "annotator": 4} for score in (-1, 0, 1.0)]
    file = written(tmp_path / "r.jsonl", *rows)
    rated = RecordedPreferences(file, 0, aspect="overall", scale=(-1, 1)).rated()
    assert [each.feedback.answer for each in rated] == [Rating(1, 3), Rating(2, 3), Rating(3, 3)]
    assert rated[0].request.view.text == "S." and rated[0].request.shown[0].text == "C."


UNPAIRED = {"prompt": "Say.", "completion": "Yes.", "label": True}
RATING = {"source": "S.", "candidate": "C.", "scores": {"overall": 3, "other": 2}}
RANKED = group((0, "a"), (1, "b"))
VOTE = {"prompt": "Say.", "completion_a": "One.", "completion_b": "Two.", "vote": "a"}
STEPS = {"prompt": "Sum.", "completions": ["First.", "Then."], "labels": [True, False]}


def without(row, column):
    return {name: value for name, value in row.items() if name != column}


FAULTY = [
    (GOOD, without(GOOD, "chosen"), "column 'chosen' is missing"),
    (GOOD, without(GOOD, "rejected"), "column 'rejected' is missing"),
    (GOOD, without(GOOD, "prompt"), "column 'prompt' is missing; there are chosen, rejected, annotator"),
    (GOOD, {**GOOD, "rejected": "Fine."}, "chosen and rejected are the same text: mend or remove the row"),
    (GOOD, {**GOOD, "chosen": ""}, "column 'chosen' is empty"),
    (GOOD, {**GOOD, "rejected": " "}, "column 'rejected' is empty"),
    (GOOD, {**GOOD, "prompt": " \n"}, "column 'prompt' is empty"),
    (GOOD, {**GOOD, "source": ""}, "column 'source' is empty"),
    (GOOD, {**GOOD, "chosen": 5}, "column 'chosen' must be a text or chat messages, got 5"),
    (GOOD, {**GOOD, "chosen": None}, "null may stand for a draw: give completion_a, completion_b and vote"),
    (GOOD, {**GOOD, "rejected": []}, "column 'rejected' must be a text or chat messages, got []"),
    (GOOD, {**GOOD, "rejected": ["x", 5]}, "column 'rejected[1]' must be a text or chat messages, got 5"),
    (GOOD, {**GOOD, "margin": float("inf")}, "column 'margin' must be a finite number"),
    (GOOD, {**GOOD, "margin": -1}, "column 'margin'"),
    (GOOD, {**GOOD, "margin": "big"}, "column 'margin'"),
    (GOOD, {**GOOD, "margin": True}, "column 'margin'"),
    (GOOD, {**GOOD, "confidence": 0}, "column 'confidence' must be a number above 0 and at most 1, got 0"),
    (GOOD, {**GOOD, "annotator": ["ann"]}, "column 'annotator' must be a name or a number, got ['ann']"),
    (GOOD, {**GOOD, "level": 1.5}, "column 'level' must be a whole number from 0 to 1,000,000, got 1.5"),
    (GOOD, {**GOOD, "source_id": 1.5}, "column 'source_id' must be a name or a number"),
    (GOOD, {"prompt": "x"}, "no form that is known"),
    (GOOD, {}, "no form that is known"),
    (GOOD, "[1, 2]", "one JSON object, got a list"),
    (GOOD, "{not json", "not JSON"),
    (GOOD, "[" * 100_000, "not JSON"),
    (GOOD, UNPAIRED, "a row of form unpaired in a file that began with preference: give each form its own file"),
    (UNPAIRED, GOOD, "a row of form preference in a file that began with unpaired"),
    (UNPAIRED, {**UNPAIRED, "label": 2}, "label must be true or false, got 2"),
    (UNPAIRED, {**UNPAIRED, "completion": ""}, "column 'completion' is empty"),
    (VOTE, without(VOTE, "completion_a"), "column 'completion_a' is missing"),
    (VOTE, {**VOTE, "vote": "c"}, "vote must be a, b or tie (or a-is-slightly-better and the like), got 'c'"),
    (VOTE, {**VOTE, "vote": "a-is-rather-better"}, "vote must be a, b or tie"),
    (VOTE, {**VOTE, "vote": None}, "completion_a and completion_b are there, but no vote"),
    (VOTE, {**VOTE, "completion_b": "One."}, "completion_a and completion_b are the same text"),
    (VOTE, {**VOTE, "completion_b": ""}, "column 'completion_b' is empty"),
    (STEPS, {**STEPS, "labels": [True]}, "lists of one length"),
    (STEPS, {**STEPS, "labels": [True, "no"]}, "labels[1] must be true or false, got 'no'"),
    (STEPS, {**STEPS, "completions": ["First.", ""]}, "column 'completions[1]' is empty"),
    (STEPS, {**STEPS, "completions": [], "labels": []}, "a label for every step"),
    (RATING, {**RATING, "scores": {}}, "scores must be an object that has 'a score'"),
    (RATING, {**RATING, "scores": {"overall": float("nan")}}, "scores.overall must be a number, got nan"),
    (RATING, {**RATING, "scores": {"overall": None}}, "scores.overall must be a number, got None"),
    (RATING, {**RATING, "candidate": ""}, "column 'candidate' is empty"),
    (RATING, without(RATING, "candidate"), "column 'candidate' is missing"),
    (RATING, without(RATING, "source"), "column 'prompt' is missing"),
    (RANKED, group((0, "only")), "two or more different texts, got 1"),
    (RANKED, group((0, "a"), (1, "a"), (2, "b")), "two or more different texts, got 2 in 3"),
    (RANKED, group((0, "a"), (1, "")), "column 'completions[1]' is empty"),
    (RANKED, {"context": "x", "completions": [{"completion": "a"}, {"completion": "b"}]}, "whole ranks"),
    (RANKED, {"context": "x", "completions": "ab"}, "list of objects"),
]


@pytest.mark.parametrize(("good", "row", "complaint"), FAULTY)
def test_a_faulty_row_is_named_by_file_row_and_column(tmp_path, good, row, complaint):
    file = written(tmp_path / "p.jsonl", good, "", row)
    with pytest.raises(InputError) as refusal:
        RecordedPreferences(file, 0).rated()
    assert str(refusal.value).startswith(f"{file}, row 3: ") and complaint in str(refusal.value)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < len(file) + 300
    assert len(RecordedPreferences(written(tmp_path / "q.jsonl", good), 0).rated()) >= 1


def test_faulty_rows_may_be_left_out_but_are_named(tmp_path):
    file = written(tmp_path / "p.jsonl", GOOD, {**GOOD, "chosen": None}, {**GOOD, "chosen": "Poor."}, GOOD)
    recorded = RecordedPreferences(file, 0, faulty="skip")
    for _ in range(2):
        assert len(recorded.rated()) == 2
        assert [problem.split(": ")[0] for problem in recorded.problems] == [f"{file}, row 2", f"{file}, row 3"]


@pytest.mark.parametrize("score", [0.9, 0, 6, float("nan"), float("inf"), True, "5", None])
def test_scores_off_the_scale_are_refused(tmp_path, score):
    file = written(tmp_path / "r.jsonl", {"source": "S.", "candidate": "C.", "scores": {"overall": score}})
    with pytest.raises(InputError, match=r"row 1: scores.overall must be a number( from 1 to 5)?, got"):
        RecordedPreferences(file, 0, aspect="overall", scale=(1, 5)).rated()


def test_names_differ_by_settings_and_not_by_folder(tmp_path):
    (tmp_path / "other").mkdir()
    one, two = written(tmp_path / "p.jsonl", GOOD), written(tmp_path / "other" / "p.jsonl", GOOD)
    assert RecordedPreferences(one, 0).name == RecordedPreferences(two, 0).name
    names = {
        RecordedPreferences(one, 0).name,
        RecordedPreferences(one, 1).name,
        RecordedPreferences(one, 0, limit=3).name,
    }
    assert len(names) == 3


@pytest.mark.parametrize(
    "settings",
    [
        {"join_file": "x"},
        {"level": -1},
        {"limit": 0},
        {"max_tokens": 0},
        {"scale": (5, 1)},
        {"margin_scale": 0.0},
        {"faulty": "ignore"},
        {"votes": "some"},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ConfigError):
        RecordedPreferences(**{"file": "p.jsonl", "level": 0, **settings})


# ---- files ----


def test_gzip_is_known_by_its_content_and_blank_lines_are_counted(tmp_path):
    (tmp_path / "p.data").write_bytes(gzip.compress(b'{"a": 1}\n\n{"a": 2}'))
    assert list(read_rows(tmp_path / "p.data")) == [(1, {"a": 1}), (3, {"a": 2})]


def test_a_byte_order_mark_is_no_fault(tmp_path):
    (tmp_path / "p.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}\r\n')
    assert [row for _, row in read_rows(tmp_path / "p.jsonl")] == [{"a": 1}, {"a": 2}]


def test_files_that_cannot_be_read_are_named(tmp_path):
    whole = gzip.compress(b"\xff" + os.urandom(5000) + b"\n" + b"{}\n")  # whatever the rest is, it is not UTF-8
    faults = {
        "missing.jsonl": (None, "cannot be read"),
        "cut.jsonl.gz": (whole[:-20], "not a whole gzip file|not UTF-8"),
        "spoilt.jsonl.gz": (whole[:3000] + b"\0\0\0\0" + whole[3004:], "not a whole gzip file|not UTF-8|not JSON"),
        "latin.jsonl": ('{"a": "é"}'.encode("latin-1"), "row 1: not UTF-8"),
        "binary.jsonl": (b"\x00\x01\x02\xff", "row 1: not"),
    }
    for name, (content, complaint) in faults.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=complaint) as refusal:
            list(read_rows(tmp_path / name))
        assert name in str(refusal.value)
    with pytest.raises(InputError, match="cannot be read"):
        list(read_rows(tmp_path))


def test_a_gzip_file_that_ends_early_is_said_to(tmp_path):
    rows = b"".join(b'{"a": %d}\n' % number for number in range(5000))
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(rows)[:-100])
    with pytest.raises(InputError, match=r"not a whole gzip file \(after row \d+\)"):
        list(read_rows(tmp_path / "cut.jsonl.gz"))


def test_limits_are_on_what_is_unpacked_and_are_named(tmp_path):
    (tmp_path / "bomb.jsonl.gz").write_bytes(gzip.compress(b'"' + b"a" * 5_000_000 + b'"'))
    with pytest.raises(LimitError, match="row 1: longer than max_row_bytes = 1000000"):
        list(read_rows(tmp_path / "bomb.jsonl.gz", max_row_bytes=1_000_000))
    (tmp_path / "long.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n' * 10_000))
    with pytest.raises(LimitError, match="max_file_bytes = 50000"):
        list(read_rows(tmp_path / "long.jsonl.gz", max_file_bytes=50_000))


# ---- real data ----


@needs_data
def test_summeval_preferences_are_read_with_their_articles():
    file = str(DATA / "summeval" / "preferences_train.jsonl.gz")
    recorded = RecordedPreferences(file, 0, source_column="doc", instruction="Summarise the article.", margin_scale=4.0)
    rated = recorded.rated()
    assert len(rated) == 1220  # as the data's README says
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    for row, each in zip(rows, rated, strict=True):
        assert chosen_text(each) == row["chosen"]
        assert each.request.shown[1 - each.feedback.answer.better].text == row["rejected"]
        assert each.request.view.text == row["prompt"] and each.request.source == row["doc"]
        assert each.feedback.answer.strength == pytest.approx(row["margin"] / 4.0)
    first = sum(each.feedback.answer.better == 0 for each in rated) / len(rated)
    assert 0.44 < first < 0.56


@needs_data
def test_squality_preferences_are_read_with_their_stories_joined_in():
    folder = DATA / "squality"
    recorded = RecordedPreferences(
        str(folder / "preferences_train.jsonl.gz"),
        3,
        join_file=str(folder / "stories_train.jsonl.gz"),
        join_key="story_id",
        join_text="text",
        where={"level": "root"},
    )
    rated = recorded.rated()
    with gzip.open(folder / "preferences_train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["level"] == "root"]
    assert len(rated) == len(rows) > 50
    for row, each in zip(rows, rated, strict=True):
        assert each.request.view.instruction == row["prompt"] and each.request.source == row["story_id"]
        assert len(each.request.view.text) > 10_000
        assert (chosen_text(each), each.feedback.rater) == (row["chosen"], row["annotator"])


@needs_data
def test_squality_ratings_are_read_per_annotator():
    folder = DATA / "squality"
    recorded = RecordedPreferences(
        str(folder / "human_ratings_train.jsonl.gz"),
        3,
        join_file=str(folder / "stories_train.jsonl.gz"),
        join_key="story_id",
        join_text="text",
        prompt_column="question",
        aspect="overall",
        scale=(0, 100),
    )
    rated = recorded.rated()
    assert len(rated) == 405  # as the data's README says
    assert all(isinstance(each.feedback.answer, Rating) and each.feedback.answer.points == 101 for each in rated)


ASKED = [{"role": "user", "content": "Say."}]


def said(*parts: str | None) -> list[dict[str, object] | None]:
    return [{"role": "assistant", "content": [part and {"type": "text", "text": part} for part in parts]}, None]


RANKS = [{"rank": 0, "completion": "One."}, {"rank": 1, "completion": "Two."}]


@pytest.mark.parametrize(
    ("row", "texts"),
    [
        ({"chosen": ["One."], "rejected": ["Two.", "Three.", None]}, [{"One.", "Two."}, {"One.", "Three."}]),
        ({"chosen": [None, "One."], "rejected": [None, None, "Two."]}, [{"One.", "Two."}]),
        ({"prompt": [*ASKED, None], "chosen": said("One.", None), "rejected": said("Two.")}, [{"One.", "Two."}]),
        ({"completions": [*RANKS, None]}, [{"One.", "Two."}]),
        ({"completions": ["One.", "Two.", None], "labels": [True, False, None]}, [{"One."}, {"Two."}]),
    ],
)
def test_nulls_that_pad_lists_are_absent(row, texts):
    rated = RecordedPreferences([{"prompt": "Say.", **row}], 0).rated()
    assert [{shown.text for shown in each.request.shown} for each in rated] == texts


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"prompt": "q", "completions": [None, "a", "b"], "labels": [None, True, "perhaps"]}, r"labels\[2\]"),
        ({"prompt": "q", "chosen": [None, {"role": 7, "content": "a"}], "rejected": "b"}, r"chosen\[1\]"),
    ],
)
def test_an_error_names_the_place_that_the_row_has(row, column):
    with pytest.raises(InputError, match=column):
        RecordedPreferences([row], 0).rated()


def test_a_list_of_nulls_alone_is_no_list_of_texts():
    with pytest.raises(InputError, match="'rejected' is a list without a text"):
        RecordedPreferences([{"prompt": "Say.", "chosen": ["One."], "rejected": [None, None]}], 0).rated()
    with pytest.raises(InputError, match="a label for every step"):
        RecordedPreferences([{"prompt": "Say.", "completions": [None], "labels": [None]}], 0).rated()
