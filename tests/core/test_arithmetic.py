"""Arithmetic as people write it: exact values by hand, and refusals of all that is none or would never end."""

import operator
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrm.core.arithmetic import evaluate
from rrm.core.errors import InputError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16-3-4", 9),
        ("0.1 + 0.2", Fraction(3, 10)),
        ("1,000*3", 3000),
        ("1,234,567.5", Fraction(2469135, 2)),
        ("3 × 4 ÷ 2", 6),
        ("5 − 7", -2),
        ("½", Fraction(1, 2)),
        ("2½ + ¾", Fraction(13, 4)),
        ("20%", Fraction(1, 5)),
        ("20% * 50", 10),
        ("(10+10)% * 50", 10),
        ("(1+1)*50%", 1),
        ("(100)/20%", 500),
        ("100/(10+10)%", 500),
        ("½ + 6/50%", Fraction(25, 2)),
        ("((1+1)%*(25+25))%", Fraction(1, 100)),
        ("2^3", 8),
        ("2**-2", Fraction(1, 4)),
        ("2^3^2", 512),
        ("-2^2", -4),
        ("$5 + €2", 7),
        ("$2½ + $½", 3),
        ("3 x 4", 12),
        ("[2+{1}]*3", 9),
        ("007", 7),
        (".5 + 5.", Fraction(11, 2)),
        ("1/3*3", 1),
        ("--1", 1),
        ("+".join(["1"] * 900), 900),
    ],
)
def test_an_expression_has_the_value_that_it_has_on_paper(text: str, value: Fraction | int) -> None:
    assert evaluate(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the text is empty"),
        ("1/0", "divides by zero"),
        ("5/(3-3)", "divides by zero"),
        ("0**-1", "divides by zero"),
        ("9**9**9", "exponents are whole numbers up to 64"),
        ("2^0.5", "exponents are whole numbers"),
        ("(10^64)^64", "a value may have 8,192 bits"),
        ("+".join(["1"] * 3001), "at most 2,000 characters"),
        ("(" * 60 + "1" + ")" * 60, "at most 50 parentheses"),
        ("(" * 900 + "1" + ")" * 900, "at most 50 parentheses"),
        ("1,00", "it holds ','"),
        ("(1,2)", "it holds ','"),
        ("0,500", "it holds ','"),
        ("1+1)%", "is no arithmetic expression"),
        ("5 % 3", "it holds '%'"),
        ("7//2", "a sign that is none of"),
        ("2(3)", "something but numbers and signs"),
        ("1e400", "it holds 'e'"),
        ("0x10", "it holds 'x'"),
        ("__import__('os')", "it holds '_'"),
        ("x+1", "it holds 'x'"),
        ("1 2", "is no arithmetic expression"),
        ("2+", "is no arithmetic expression"),
        ("1\n+1 if 1 else 2", "it holds 'i'"),
        ("٣+1", "no arithmetic expression"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=r".") as raised:
        evaluate(text)
    assert reason in str(raised.value) and len(str(raised.value)) < 200


Written = tuple[str, Fraction]
SIGNS = {"+": operator.add, "-": operator.sub, "*": operator.mul}


def joined(row: tuple[Written, str, Written]) -> Written:
    (left, value), sign, (right, other) = row
    return f"({left}{sign}{right})", SIGNS[sign](value, other)


FRACTIONS = st.fractions(min_value=0, max_value=1000, max_denominator=8).map(lambda each: (f"({each})", each))
SUMS = st.recursive(FRACTIONS, lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(joined), max_leaves=12)


@given(SUMS)
def test_any_sum_and_product_of_fractions_is_exact(pair: tuple[str, Fraction]) -> None:
    assert evaluate(pair[0]) == pair[1]


@given(st.text(alphabet="0123456789.,+-*/()^%×½$x ", max_size=40))
def test_any_text_of_such_signs_has_a_value_or_is_refused(text: str) -> None:
    try:
        assert isinstance(evaluate(text), Fraction)
    except InputError as refusal:
        assert str(refusal)
