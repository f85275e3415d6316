"""docs/claims.md: the example of citations runs, and gives what the page says of it."""

import re
from pathlib import Path
from typing import Any

from rrm.core.claims import Origin
from rrm.core.task import Span

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "claims.md").read_text("utf-8")


def test_the_example_of_citations_finds_one_right_and_the_other_wrong() -> None:
    [example] = [each for each in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "Citation(" in each]
    names: dict[str, Any] = {}
    exec(example, names)  # the page's own code
    first, second = names["first"], names["second"]
    assert (first.cited, first.origins) == (True, (Origin("part 1", Span(0, 23), 1.0),))
    assert names["text"][slice(*first.span)] == names["passages"][1]
    assert not second.cited and [each.output for each in second.origins] == ["part 0"]
    _, told = names["cited"]
    assert names["text"][slice(*told.said)] == "Rain fell on Ben."
