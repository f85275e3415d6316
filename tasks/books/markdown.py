"""Books in Markdown: headings of the first three ranks begin chapters.

An example: `# The Mill`, a blank line, `## The donkey`, a blank line, and paragraphs.
"""

import re

from tasks.books.encodings import decode
from tasks.books.text import Line, Text, lined, lines

_FENCE = re.compile(r"\s{0,3}(```|~~~)")


def read_markdown(data: bytes, where: str, _: int) -> Text:
    text = lined(decode(data, where))
    breaks, title, fenced, before = [], "", False, Line(0, "")
    for line in lines(text):
        fenced ^= _FENCE.match(line.text) is not None
        underlined = before.text and len(set(line.text)) == 1 and line.text[:1] in "=-" and len(line.text) > 2
        heading = line if re.match(r"#{1,3}\s+\S", line.text) else before if underlined else None
        if heading and not fenced:
            title = title or (heading.text[2:].strip(" #") if heading.text.startswith("# ") else "")
            if heading.start:
                breaks.append(heading.start)
        before = line
    return Text(text, tuple(breaks), title)
