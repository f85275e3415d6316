"""docs/python.md: its snippets are Python, and what they take from rrm is there."""

import ast
import re
from pathlib import Path

import pytest

import rrm
from rrm.api.frames import NODES, OUTPUTS, RATINGS, SCORES, WHERE
from rrm.api.loaded import Loaded

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "python.md").read_text("utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_snippet_uses_what_there_is(snippet: str) -> None:
    for node in ast.walk(ast.parse(snippet)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "rrm":
                assert node.attr in rrm.__all__
            if node.value.id == "run":
                assert hasattr(Loaded, node.attr)


def test_every_name_that_the_page_tells_is_exported() -> None:
    told = set(re.findall(r"`rrm\.([A-Z]\w+)", PAGE))
    assert len(told) > 20 and told <= set(rrm.__all__)


@pytest.mark.parametrize(
    ("table", "columns"), [("nodes", NODES), ("outputs", OUTPUTS), ("ratings", RATINGS), ("scores", SCORES)]
)
def test_every_column_of_a_table_is_told(table: str, columns: tuple[str, ...]) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{table}` |"))
    places = next(line for line in PAGE.split("\n\n") if line.startswith("Place and node:"))
    for column in columns:
        assert re.search(rf"\b{column}\b", places if column in WHERE and f"`{column}`" in places else row), column
