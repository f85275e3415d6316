"""Questions from files: forms told apart, gold of whole answers alone, people's steps, an answer key."""

import json
import os
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from rrm.core.errors import InputError
from rrm.core.place import Place
from rrm.core.protocols import GoldSet, PlanRecord, Rater
from rrm.core.task import Span
from rrm.core.values import Request, Shown, View
from tasks.arithmetic_steps import calculations, checked, final_number, known_operands, label, numbers, reads
from tasks.questions import AnswerKey, Questions, RecordedPlans, yes_or_no
from tasks.recorded_rows import json_rows
from tasks.word_problems import labelled, solved

ROOT = Path(__file__).parents[2]
OWN = ROOT / "examples" / "recorded"
DATA = Path(os.environ.get("RRM_DATA", ROOT.parent / "shared" / "data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"REAL DATA ABSENT: no folder {DATA}; set RRM_DATA")

STRATEGY = {"question": "Is a  fox larger than a cat?", "answer": True, "facts": ["A fox is large."],
            "steps": [{"text": "How large is a fox?", "deps": []}, {"text": "Is #1 much?", "deps": [0]}]}  # fmt: skip
PROOF = {"question": "Why?", "answer": "The sun rises.", "hypothesis": "h", "leaves": {"s1": "a is b", "s2": "b is c"},
         "steps": [{"premises": ["s1"], "conclusion": "i1"},
                   {"premises": ["i1", "s2"], "conclusion": "hypothesis"}]}  # fmt: skip
SUM = {"question": "How many?", "answer": "1,200", "solution": "6*2 = <<6*2=12>>12\n12*100 = <<12*100=1200>>1200",
       "subquestions": [{"subquestion": "How many pairs?", "step": "6*2 = <<6*2=12>>12"},
                        {"subquestion": "And in all?", "step": "12*100 = <<12*100=1200>>1200"}]}  # fmt: skip
BREAK = {"question": "flights to x", "steps": [{"text": "flights", "deps": []}, {"text": "#2 to x", "deps": [1]}]}


@pytest.fixture
def rows(tmp_path: Path) -> str:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in (STRATEGY, PROOF, SUM, BREAK, STRATEGY)))
    return str(path)


def test_four_forms_are_told_apart_and_each_question_stands_once(rows: str) -> None:
    found = Questions((rows,))
    assert isinstance(found, GoldSet) and isinstance(RecordedPlans((rows,)), PlanRecord)
    assert [(each.kind, each.answer) for each in found.questions] == [
        ("yes or no", "yes"), ("words", "The sun rises."), ("number", "1,200"), ("none", "")
    ]  # fmt: skip
    assert found.sources()[0].text == "Is a fox larger than a cat?\n\nA fox is large."
    assert Questions((rows,), facts=False).sources()[0].text == "Is a fox larger than a cat?"


def test_people_s_steps_refer_to_earlier_ones(rows: str) -> None:
    plans = RecordedPlans((rows,))
    assert plans.steps("Is a fox larger than a cat?")[1] == ("Is #1 much?", (0,))
    assert plans.steps("Why?") == (
        ("What follows from these statements: a is b?", ()),
        ("What follows from these statements: #1; b is c?", (0,)),
    )
    assert plans.steps("How many?") == (("How many pairs?", ()), ("And in all?", (0,)))
    with pytest.raises(InputError, match=r"no question in .* reads 'Who\?'"):
        plans.steps("Who?")


@pytest.mark.parametrize(
    ("number", "text", "gold"),
    [
        (0, "Yes, it is.", 1.0),
        (0, "It is true.", 1.0),
        (0, "No.", 0.0),
        (0, "A fox.", 0.0),
        (1, "the sun RISES", 1.0),
        (1, "The sun sets.", 2 / 3),  # two of three words each way
        (2, "So it is 1200.", 1.0),
        (2, "A: $1,200", 1.0),
        (2, "1200, and then 3", 0.0),
        (3, "anything", None),
    ],
)
def test_gold_is_of_whole_answers_alone(rows: str, number: int, text: str, gold: float | None) -> None:
    found = Questions((rows,))
    source = found.sources()[number].id
    assert found.gold(source, None, text) == (None if gold is None else pytest.approx(gold))
    assert found.gold(source, Span(0, 1), text) is None
    with pytest.raises(InputError, match="no source"):
        found.gold("source-x", None, text)


@pytest.mark.parametrize("row", ["7", "{}", '{"question": ""}', '{"question": "a", "answer": "b"}', "{"])
def test_a_row_of_no_known_form_is_refused_by_file_and_row(tmp_path: Path, row: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(row)
    with pytest.raises(InputError, match=r"bad\.jsonl"):
        _ = Questions((str(path),)).questions


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({**SUM, "answer": 1200}, "`answer` must be a text, got 1200"),
        ({**SUM, "answer": "a dozen"}, "the answer 'a dozen' holds no number"),
        ({**PROOF, "answer": None}, "`answer` must be a text, got None"),
        ({**STRATEGY, "facts": "A fox is large."}, "`facts` must be a list of texts"),
    ],
)
def test_an_answer_or_facts_of_another_type_are_refused_by_file_and_row(
    tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(BREAK) + "\n" + json.dumps(row))
    with pytest.raises(InputError, match=rf"bad\.jsonl, row 2: .*{reason}"):
        _ = Questions((str(path),)).questions


def test_a_line_separator_within_a_text_ends_no_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = {**BREAK, "question": "Balls.\u2028How many\x85are red?"}
    path.write_text(json.dumps(row, ensure_ascii=False) + "\r\n" + json.dumps(BREAK), encoding="utf-8", newline="")
    assert [each.text for each in Questions((str(path),)).questions] == ["Balls. How many are red?", "flights to x"]


def test_a_percentage_is_right_where_its_number_is_on_record(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    share = {"question": "What percentage?", "answer": "60", "solution": "<<3/5*100=60>>60"}
    path.write_text("\n".join(json.dumps(each) for each in (share, {**share, "question": "Part?", "answer": "60%"})))
    found = Questions((str(path),))
    number, percent = (source.id for source in found.sources())
    assert [found.gold(number, None, text) for text in ("60", "60%", "0.6", "6%")] == [1, 1, 0, 0]
    assert [found.gold(percent, None, text) for text in ("60%", "0.6", "60")] == [1, 1, 0]


def test_questions_are_drawn_from_the_seed(rows: str) -> None:
    one, other = Questions((rows,), count=2, seed=1), Questions((rows,), count=2, seed=1)
    assert one.sources() == other.sources() and one.name == other.name and len(one.sources()) == 2
    with pytest.raises(InputError, match="between 1 and 4"):
        _ = Questions((rows,), count=5).questions


def asked(kind: str, instruction: str, *texts: str) -> Request:
    shown = tuple(Shown(f"output-{at}", text) for at, text in enumerate(texts))
    return Request("node", "source", Place(), kind, View(instruction, (), 9), shown)


def test_an_answer_key_rates_whole_answers_and_with_arithmetic_steps_by_the_formal_check(rows: str) -> None:
    key = AnswerKey((rows,))
    assert isinstance(key, Rater)
    assert key.rate(asked("label", "How many?", "1200"), 0).answer.good is True  # type: ignore[union-attr]
    assert key.rate(asked("comparison", "How many?", "12", "1200"), 0).answer.better == 1  # type: ignore[union-attr]
    assert key.rate(asked("comparison", "How many?", "12", "13"), 0).answer.better is None  # type: ignore[union-attr]
    with pytest.raises(InputError, match="is not known"):
        key.rate(asked("label", "How many pairs?", "12"), 0)
    with pytest.raises(InputError, match="no ranking"):
        key.rate(asked("ranking", "How many?", "12"), 0)
    checks = AnswerKey((rows,), arithmetic=True)
    for text, good in (("<<6*2=12>>", True), ("<<6*2=13>>", False), ("twelve", False), ("<<6*x=12>>", False)):
        assert checks.rate(asked("label", "How many pairs?", text), 0).answer.good is good  # type: ignore[union-attr]


# ---- steps of arithmetic ----


@pytest.mark.parametrize(
    ("expression", "result", "holds"),
    [
        ("16-3-4", "9", True),
        ("5/3", "1.67", True),
        ("5/3", "1.66", False),
        ("1/3*5", "1.6666666666666665", True),
        ("10*(2/3)", "8", False),
        ("5/2", "2", False),
        ("1,000*3", "$3,000", True),
        ("20%*50", "10", True),
        ("1/3", "33.3%", True),
        ("1/3", "36.3%", False),
        ("1/3", "33%", False),
        ("3*x", "12", None),
        ("5*2/5", "2.0=2.0", None),
        ("1/0", "0", None),
    ],
)
def test_a_calculation_holds_as_exactly_as_its_result_is_written(
    expression: str, result: str, holds: bool | None
) -> None:
    assert checked(expression, result).holds is holds


@pytest.mark.parametrize(
    "expression",
    ["1/0", "5/(3-3)", "9**9**9", "10^10000", "+".join(["1"] * 3001), "(" * 3000 + "1" + ")" * 3000, "1,00*2", "5 % 3"],
)
def test_a_calculation_that_has_no_value_or_would_not_end_is_no_good_step_and_no_error(
    expression: str, rows: str
) -> None:
    [step] = calculations(f"<<{expression}=1>>")
    assert (step.holds, step.value) == (None, 1)
    key = AnswerKey((rows,), arithmetic=True)
    answer = key.rate(asked("label", "How many pairs?", f"<<2+2=4>> <<{expression}=1>>"), 0).answer
    assert answer.good is False  # type: ignore[union-attr]
    [good] = calculations("<<1,000 × ½ − 20% * 50=490>>")
    assert good.holds


def test_numbers_are_read_as_written_and_the_last_one_is_the_answer() -> None:
    assert numbers("She has $1,000 and .5 of 20%, -3 less") == [1000, Fraction(1, 2), Fraction(1, 5), -3]
    assert final_number("So 12.50 dollars, or 12.") == 12
    assert final_number("none") is None
    assert numbers("½ of 2½ cups at $½") == [Fraction(1, 2), Fraction(5, 2), Fraction(1, 2)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,000", 1000),
        ("3 × 4 = 12", 12),
        ("it fell by −5", -5),
        ("½", Fraction(1, 2)),
        ("2 bags, so 2½", Fraction(5, 2)),
        ("20%", Fraction(1, 5)),
        ("7 of 8 is 7/8", Fraction(7, 8)),
        ("so he has 3 1/2 hours left", Fraction(7, 2)),
        ("from 3 to −2 1/2", Fraction(-5, 2)),
        ("between 3 and 1/2", Fraction(1, 2)),
        ("they get $467 000.", 467000),
        ("12\u202f345\u00a0678", 12345678),
        ("in 2020 300 people", 300),
        ("7 bags, so 3,4", None),
        ("7 bags, so 1.000.000", None),
        ("1/0", None),
    ],
)
def test_a_last_number_with_two_readings_is_no_answer_and_no_earlier_one_stands_in(
    text: str, value: Fraction | int | None
) -> None:
    assert final_number(text) == value
    assert (yes_or_no("Well, NO way"), yes_or_no("nothing")) == ("no", None)
    assert (yes_or_no("I have no idea."), yes_or_no("No information, so: yes")) == (None, "yes")


def test_steps_are_labelled_by_the_human_solution_and_their_operands_by_the_question() -> None:
    human = "<<16-3-4=9>> <<9*2=18>>"
    steps = calculations("<<3+4=7>> <<16-7=9>> <<9*5=45>>")
    assert label(steps, calculations(human)) == [False, True, False]
    assert known_operands("16 eggs, 3 eaten, 4 baked, $2 each", steps) == [1.0, 1.0, 0.5]
    assert reads(steps) == [(), (0,), (1,)]
    assert [row.right for row in labelled("16, 3, 4", "<<3+4=7>>", human)] == [False]


def test_a_solution_is_a_graph_whose_leaves_are_checked() -> None:
    made = solved("How much?", "3+4 = <<3+4=7>>7\n16-7 = <<16-7=8>>8\nA: 8", "by hand")
    first, second = made.graph.children(made.graph.root)
    assert made.graph.reads(second) == (first,)
    assert made.holds == {first: True, second: False}
    assert made.outputs[second].text == "16-7 = 8" and not made.graph.open


@needs_data
def test_the_counts_of_the_model_solutions_are_reproduced() -> None:
    human = {row["question"]: row["solution"] for row in json_rows(DATA / "gsm8k" / "problems_validation.jsonl.gz")}
    written = json_rows(DATA / "gsm8k" / "model_solutions_validation.jsonl.gz")
    steps = [(row, calculations(row["solution"])) for row in written]
    holds = Counter(step.holds for _, made in steps for step in made)
    assert (sum(holds.values()), holds[False], holds[None]) == (8290, 30, 24)
    right = Counter(
        bool(row["is_correct"]) for row, made in steps if all(label(made, calculations(human[row["question"]])))
    )
    assert (right[True], right[False]) == (738, 101)  # a solution without marked steps has none that is wrong


@needs_data
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("strategyqa/validation.jsonl.gz", "yes or no"),
        ("entailment_bank/validation.jsonl.gz", "words"),
        ("gsm8k/problems_validation.jsonl.gz", "number"),
        ("break_qdmr/train.jsonl.gz", "none"),
    ],
)
def test_the_real_sets_are_read(path: str, kind: str) -> None:
    found: Any = Questions((str(DATA / path),))
    assert {each.kind for each in found.questions} == {kind}
    source = found.sources()[0]
    if kind != "none":
        assert found.gold(source.id, None, found.questions[0].answer) == 1.0
