"""The types of the pages' scripts say of the server's JSON what the server sends: same names, same routes."""

import re
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from rrm.agreement.hours import Worked
from rrm.core import annotation, values
from rrm.core.place import SUBJECTS, Place
from rrm.viewer.outline import State
from rrm.web import figures, kinds
from tests.web.routes_table import ROUTES

PACKAGE = Path(__file__).parents[2] / "rrm"
TYPES = "\n".join(path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.d.ts")))
_NESTED = re.compile(r"\{[^{}]*\}")  # the shape of a member


def members(name: str) -> set[str]:
    """Return the names of an interface's members, those of what it extends among them."""
    head = re.search(rf"\binterface {name}(?: extends (\w+))? \{{", TYPES)
    assert head is not None, f"there is no interface {name}"
    body, depth, at = "", 1, head.end()
    while depth:
        depth += {"{": 1, "}": -1}.get(TYPES[at], 0)
        body, at = body + TYPES[at], at + 1
    own = set(re.findall(r"(?:^|;)\s*(\w+)\??:", _NESTED.sub("", body[:-1]), re.MULTILINE))
    return own | (members(head[1]) if head[1] else set())


def choices(name: str) -> set[str]:
    """Return the texts that a type is one of."""
    found = re.search(rf"\btype {name} = ([^;]*);", TYPES)
    assert found is not None, f"there is no type {name}"
    return set(re.findall(r'"([^"]*)"', found[1]))


def held(of: type, *more: str) -> set[str]:
    """Return the fields of a dataclass or a request body, and what a route adds to them."""
    own = of.model_fields if issubclass(of, BaseModel) else (each.name for each in fields(of))
    return {*own, *more}


PLACED = {"place", "where", *(each.name for each in fields(Place))}
"""What the pages are told of a place."""


@pytest.mark.parametrize(
    ("interface", "expected"),
    [
        ("Comparison", held(kinds.ComparisonBody)),
        ("Comparison", held(kinds.HindsightBody)),
        ("Ranking", held(kinds.RankingBody)),
        ("Rating", held(kinds.RatingBody)),
        ("Label", held(kinds.LabelBody)),
        ("Correction", held(kinds.CorrectionBody)),
        ("Demonstration", held(kinds.DemonstrationBody)),
        ("Critique", held(kinds.CritiqueBody)),
        ("Claims", held(kinds.ClaimsBody)),
        ("Reject", held(kinds.RejectBody)),
        ("Progress", held(annotation.OwnProgress)),
        ("Place", {"place", *held(Place)}),
        ("PlaceProgress", {*PLACED, *held(annotation.PlaceProgress)}),
        ("ItemRow", {*PLACED, *held(annotation.ItemRow)}),
        ("AtWork", held(annotation.AtWork, "name")),
        ("Valuation", held(annotation.Valuation, "behind")),
        ("NextItem", held(annotation.NextItem) | PLACED),
        ("Flag", held(annotation.Flag, "name")),
        ("Guideline", held(annotation.Guideline, "name", "html")),
        ("AuditEntry", held(annotation.AuditEntry, "name", "subject_name")),
        ("Message", held(annotation.Message)),
        ("Worked", held(Worked, "active_hours", "wall_hours")),
        ("Panel", held(annotation.Panel)),
        ("Exit", held(annotation.Exit)),
        ("Ending", held(annotation.Ending)),
        ("Settings", held(annotation.DeskSettings)),
        ("Person", held(annotation.Person) - {"has_password"}),
        ("Computed", held(figures.Computed) - {"value"}),
    ],
)
def test_an_interface_has_the_members_that_the_server_sends(interface: str, expected: set[str]) -> None:
    assert members(interface) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Kind", values.KINDS),
        ("Subject", SUBJECTS),
        ("Role", annotation.ROLES),
        ("PersonState", get_args(annotation.PersonState)),
        ("Purpose", get_args(annotation.Purpose)),
        ("ItemState", get_args(annotation.ItemState)),
        ("AnswerState", get_args(annotation.AnswerState)),
        ("State", get_args(State)),
    ],
)
def test_a_type_has_the_values_that_the_server_sends(name: str, expected: Iterable[str]) -> None:
    assert choices(name) == set(expected)


def test_every_route_that_the_types_name_is_one_of_the_server() -> None:
    known = {(method, re.sub(r"\{\w+\}", "*", path)) for method, path in ROUTES}
    named = set()
    for method, interface in (("GET", "Gets"), ("POST", "Posts"), ("PUT", "Puts")):
        for body in re.findall(rf"interface {interface} \{{(.*?)\n  \}}", TYPES, re.DOTALL):
            paths = re.findall(r'["`](/api/[^"`]*)["`]\]?:', body)
            named |= {(method, re.sub(r"\$\{\w+\}", "*", path.partition("?")[0])) for path in paths}
    assert len(named) > 30
    assert named <= known, sorted(named - known)
