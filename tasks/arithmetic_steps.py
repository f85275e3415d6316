"""Solutions of word problems as steps of arithmetic: each a calculation that can be checked, and what it builds on.

A solution marks its calculations as `<<16-3-4=9>>`. Whether a calculation *holds* is a formal check, which almost every
written step passes; whether it is a step to the right answer is told by a heuristic, `label`.
"""

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from rrm.core.arithmetic import evaluate
from rrm.core.errors import InputError

_MARK = re.compile(r"<<([^<>=]*)=([^<>]*)>>")
_DIGITS = r"(?:\d(?:[\d,.]*\d)?(?:\s?[¼-¾⅐-⅞])?|\.\d+|[¼-¾⅐-⅞])%?"  # 3,4 too, which `evaluate` refuses
_NUMBER = re.compile(rf"(?<![\w.])[-−]?[$€£]?{_DIGITS}")
_FINAL = re.compile(rf"{_NUMBER.pattern}(?:[/⁄]{_DIGITS}|(?P<part> \d+[/⁄]\d+))?")
_SPACED = re.compile(r"(?<![\w.,])[1-9]\d{0,2}(?:[ \u00a0\u2009\u202f]\d{3})+(?![\d/⁄,.]*\d|[\w/⁄])")
_LITERAL = re.compile(_DIGITS)
_CLOSE = Fraction(1, 10**9)


class Calculation(NamedTuple):
    """One marked calculation: as it is written, its result's value (None: no number), and whether it holds.

    `holds` is None where either side is no arithmetic, such as `3*x`; `operands` are the numbers in the expression.
    """

    expression: str
    result: str
    value: Fraction | None
    holds: bool | None
    operands: frozenset[Fraction] = frozenset()


def calculations(solution: str) -> list[Calculation]:
    """Return the calculations that a solution marks, in order."""
    return [checked(expression, result) for expression, result in _MARK.findall(solution)]


def checked(expression: str, result: str) -> Calculation:
    """Return a calculation with its formal check: the result is the value, as exactly as it is written.

    `1.67` and `166.7%` stand for 5/3 (half a unit of the last digit), `1.6666666666666665` too (a relative error of
    1e-9).
    """
    value, exact = _value(result), _value(expression)
    holds = None
    if value is not None and exact is not None:
        digits = len(re.sub(r"[^\d.]", "", result).partition(".")[2])
        digits += 2 * (digits > 0 and "%" in result)
        holds = abs(exact - value) <= max(
            Fraction(int(digits > 0), 2 * 10**digits), _CLOSE * max(Fraction(1), abs(exact))
        )
    return Calculation(expression.strip(), result.strip(), value, holds, frozenset(numbers(expression, signs=False)))


def numbers(text: str, signs: bool = True) -> list[Fraction]:
    """Return the numbers in a text, in order, with their signs unless told not to.

    `$1,000`, `.5`, `2½` and `20%` (a fifth) are numbers; `3,4` and `1.000.000` have two readings and are left out.
    """
    found = (_value(match[0]) for match in (_NUMBER if signs else _LITERAL).finditer(text))
    return [value for value in found if value is not None]


def final_number(text: str) -> Fraction | None:
    """Return the last number in a text, which an answer to a word problem gives, `1/2`, `3 1/2` and `5 000` among them.

    None where there is none, and where the last one has two readings, such as `3,4`: no earlier one stands in for it.
    """
    found = list(_FINAL.finditer(_SPACED.sub(lambda match: re.sub(r"\s", "", match[0]), text)))
    if not found:
        return None
    number, part = found[-1][0], found[-1]["part"]
    if part is None:
        return _value(number)
    whole = number.removesuffix(part)
    return _value(f"{whole}-({part})" if whole[0] in "-−" else f"{whole}+({part})")


def percent_last(text: str) -> bool:
    """Return whether the last number in a text is written as a percentage."""
    found = _NUMBER.findall(text)
    return bool(found) and found[-1].endswith("%")


def label(steps: Sequence[Calculation], human: Sequence[Calculation]) -> list[bool]:
    """Return for each step whether its value occurs as a result in the human solution.

    A heuristic: a right step that the human solution does otherwise gets False, a coincidence of numbers True.
    """
    values = {step.value for step in human if step.value is not None}
    return [step.value in values for step in steps]


def known_operands(question: str, steps: Sequence[Calculation]) -> list[float]:
    """Return for each step the share of its operands that stand in the question or are results of earlier steps."""
    known = {abs(each) for each in numbers(question)}
    shares = []
    for step in steps:
        seen = [_among(operand, known) for operand in step.operands]
        shares.append(sum(seen) / len(seen) if seen else 1.0)
        if step.value is not None:
            known.add(abs(step.value))
    return shares


def reads(steps: Sequence[Calculation]) -> list[tuple[int, ...]]:
    """Return for each step the earlier ones whose results are operands of it, by value."""
    return [
        tuple(earlier for earlier in range(at) if _among(steps[earlier].value, step.operands))
        for at, step in enumerate(steps)
    ]


def _among(value: Fraction | None, values: Iterable[Fraction]) -> bool:
    return value is not None and any(
        abs(value - each) <= Fraction(1, 10**6) * max(Fraction(1), abs(each)) for each in values
    )


def _value(text: str) -> Fraction | None:
    try:
        return evaluate(text)
    except InputError:
        return None
