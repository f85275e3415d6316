"""Arithmetic as people write it, evaluated exactly and within limits; nothing that is evaluated is ever executed.

An expression is rewritten into plain signs, parsed by Python's own parser, and its syntax tree is walked: whatever is
no number, sign, `+ - * /`, power or parenthesis is refused. Values are fractions, so `0.1 + 0.2` is `0.3`.

    >>> evaluate("1,000 × ½ − 20% * 50")
    Fraction(490, 1)
    >>> evaluate("2^3")
    Fraction(8, 1)
"""

import ast
import re
import unicodedata
from fractions import Fraction

from rrm.core.errors import InputError

MOST_CHARACTERS = 2000
MOST_NESTED = 50
"""Parentheses that may stand in one another."""
MOST_EXPONENT = 64
_MOST_BITS = 8192  # of a numerator or denominator

_SIGNS = str.maketrans({"×": "*", "·": "*", "⋅": "*", "∙": "*", "−": "-", "–": "-", "÷": "/", "∕": "/", "⁄": "/"})
_BRACKETS = str.maketrans("[]{}", "()()")
_THOUSANDS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")  # 0,500 is a half to some: no thousands
_TIMES = re.compile(r"(?<=[\d)%])(?<!\b0)\s*[xX]\s*(?=[\d(.])")  # 0x10 is no product
# The look-behinds let a run of digits be tried once, not from each of its digits.
_VULGAR = re.compile(r"(?:(?<!\d)(\d++)\s*+)?([¼-¾⅐-⅞])")
_PERCENT = re.compile(r"(?<!\d)(\d++(?:\.\d*+)?|\.\d++)\s*+%(?!\s*[\d(.])")
_PERCENT_OF_ALL = re.compile(r"\)\s*%(?!\s*[\d(.])")
_CURRENCY = re.compile(r"[$€£](?=\s*[\d.(-])")
_ZEROS = re.compile(r"(?<![\d.])0+(?=\d)")
_FOREIGN = re.compile(r"[^\d\s.+\-*/()]")
_LITERAL = re.compile(r"\d+(?:\.\d*)?|\.\d+")


def evaluate(expression: str) -> Fraction:
    """Return the exact value of an expression.

    `×`, `÷`, `−`, `^`, `x` between numbers, vulgar fractions, thousands separators, `%` behind a number, currency signs
    and square or curly brackets mean what they mean on paper. Raises InputError, in one sentence, for anything
    else: a division by zero, more than 2,000 characters, 50 nested parentheses, exponents that are not whole or larger
    than 64, values of more than 8,192 bits.
    """
    if len(expression) > MOST_CHARACTERS:
        raise InputError(f"an expression has at most {MOST_CHARACTERS:,} characters, this one has {len(expression):,}")
    plain = _plain(expression)
    depth = _depth(plain)
    if depth > MOST_NESTED:
        raise InputError(f"at most {MOST_NESTED} parentheses may stand in one another, here {depth} do")
    try:
        tree = ast.parse(plain, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise InputError(f"{_quoted(expression)} is no arithmetic expression") from error
    return _walk(tree.body, plain, expression)


def _plain(expression: str) -> str:
    """Return an expression in digits, dots, `+ - * / ** ( )` alone; raise InputError for what is no such thing."""
    text = expression.translate(_SIGNS).translate(_BRACKETS)
    text = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    text = _VULGAR.sub(_vulgar, text)
    text = _CURRENCY.sub("", text)
    text = _percent_of_all(_PERCENT.sub(r"(\1/100)", text))
    text = _TIMES.sub("*", text).replace("^", "**")
    text = " ".join(_ZEROS.sub("", text).split())
    if not text:
        raise InputError("there is no expression: the text is empty")
    if foreign := _FOREIGN.search(text):
        raise InputError(f"{_quoted(expression)} is no arithmetic expression: it holds {foreign[0]!r}")
    return text


def _vulgar(match: re.Match[str]) -> str:
    part = Fraction(unicodedata.numeric(match[2])).limit_denominator(10)
    return f"({match[1] or 0}+{part.numerator}/{part.denominator})"


def _percent_of_all(text: str) -> str:
    """Return a text in which what stands in parentheses before a `%` is divided by 100 before all else is done."""
    while found := _PERCENT_OF_ALL.search(text):
        at, still_open = found.start(), 1
        while at > 0 and still_open:
            at -= 1
            still_open += (text[at] == ")") - (text[at] == "(")
        text = f"{text[:at]}({text[at : found.start() + 1]}/100){text[found.end() :]}"
    return text


def _depth(text: str) -> int:
    depth = deepest = 0
    for sign in text:
        depth += (sign == "(") - (sign == ")")
        deepest = max(deepest, depth)
    return deepest


def _walk(root: ast.expr, plain: str, expression: str) -> Fraction:
    """Return the value of a syntax tree, from its leaves up and without recursion, so that long sums are no matter."""
    values: dict[ast.expr, Fraction] = {}
    stack: list[tuple[ast.expr, bool]] = [(root, False)]
    while stack:
        node, ready = stack.pop()
        inner = _operands(node)
        if inner and not ready:
            stack.append((node, True))
            stack.extend((each, False) for each in inner)
            continue
        values[node] = _value(node, [values[each] for each in inner], plain, expression)
    return values[root]


def _operands(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    return [node.operand] if isinstance(node, ast.UnaryOp) else []


def _value(node: ast.expr, operands: list[Fraction], plain: str, expression: str) -> Fraction:
    if isinstance(node, ast.Constant):
        written = plain[node.col_offset : node.end_col_offset]
        if _LITERAL.fullmatch(written):
            return Fraction(written.rstrip("."))  # as it is written, where Python's own value is a rounded float
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        return operands[0] if isinstance(node.op, ast.UAdd) else -operands[0]
    if isinstance(node, ast.BinOp):
        return _small(_joined(node.op, operands[0], operands[1], expression))
    raise InputError(f"{_quoted(expression)} is no arithmetic expression: it holds something but numbers and signs")


def _joined(sign: ast.operator, left: Fraction, right: Fraction, expression: str) -> Fraction:
    if isinstance(sign, ast.Add):
        return left + right
    if isinstance(sign, ast.Sub):
        return left - right
    if isinstance(sign, ast.Mult):
        return left * right
    if isinstance(sign, ast.Div):
        if not right:
            raise InputError(f"{_quoted(expression)} divides by zero")
        return left / right
    if isinstance(sign, ast.Pow):
        return _power(left, right, expression)
    raise InputError(f"{_quoted(expression)} is no arithmetic expression: it has a sign that is none of + - * / ^")


def _power(base: Fraction, exponent: Fraction, expression: str) -> Fraction:
    if exponent.denominator != 1 or abs(exponent) > MOST_EXPONENT:
        raise InputError(f"exponents are whole numbers up to {MOST_EXPONENT}, {_quoted(expression)} has another")
    if not base and exponent < 0:
        raise InputError(f"{_quoted(expression)} divides by zero")
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits * abs(int(exponent)) > _MOST_BITS:
        raise InputError(f"a value may have {_MOST_BITS:,} bits, that of {_quoted(expression)} would have more")
    return base ** int(exponent)


def _small(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MOST_BITS:
        raise InputError(f"a value may have {_MOST_BITS:,} bits, this one would have more")
    return value


def _quoted(expression: str) -> str:
    line = " ".join(expression.split())
    return repr(line if len(line) <= 60 else line[:57] + "...")
