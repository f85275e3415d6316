"""Text stays text: nothing in templates, scripts or Python makes markup of what somebody wrote."""

import ast
import re
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "rrm" / "web"
TEMPLATES = sorted((WEB / "templates").rglob("*.html"))
SCRIPTS = sorted((WEB / "static").rglob("*.js"))
MODULES = sorted(WEB.rglob("*.py"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_escape_everything_and_hold_no_script_or_style_of_their_own(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"\|\s*safe\b|autoescape|Markup|\|\s*tojson\b", text)
    assert not re.search(r"<script(?![^>]*\bsrc=)", text), "the policy forbids inline scripts"
    assert not re.search(r"<style|\sstyle\s*=|\son[a-z]+\s*=|javascript:", text, re.IGNORECASE)
    assert not re.search(r"""(?:src|href|action)=["']?(?:https?:)?//""", text), "nothing comes from elsewhere"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_make_no_markup_or_code_of_text_and_ask_nobody_else(path: Path) -> None:
    text = path.read_text("utf-8").replace('"http://www.w3.org/2000/svg"', "")  # a name, not an address
    forbidden = (
        r"\b(?:innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|createContextualFragment)\b|new Function"
    )
    assert not re.search(forbidden, text)
    assert not re.search(r"""["'`](?:https?:)?//[a-z0-9]""", text), "nothing comes from elsewhere"


def test_one_module_alone_makes_markup_of_text() -> None:
    makers = {
        path.name
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Name | ast.Attribute)
        and (getattr(node, "id", "") or getattr(node, "attr", "")) == "Markup"
    }
    assert makers == {"guidelines.py"}
