"""Groups of raters: their items go to them alone, those for all to everybody."""

from dataclasses import replace

import pytest

from rrm.core.annotation import Item, PanelRules
from rrm.core.errors import ConfigError, InputError
from rrm.core.place import Place
from rrm.queue import SqlDesk
from rrm.queue.groups import in_groups
from tests.queue.desk_problems import claimed, known, request, submit, work
from tests.queue.test_desk_allot import claim_at_once


def of(group: str, items: list[Item]) -> list[Item]:
    return [replace(item, group=group) for item in items]


def person(desk: SqlDesk, name: str, group: str = "") -> str:
    return desk.add_person(name, group=group, by="test").id


def all_of(desk: SqlDesk, who: str) -> set[str]:
    """Answer all that somebody gets; return the nodes asked about."""
    nodes = set()
    while (lease := desk.claim(who)) is not None:
        nodes.add(lease.first.request.node)
        submit(desk, lease)
    return nodes


def test_each_gets_the_items_of_the_own_group_and_those_for_all(desk: SqlDesk) -> None:
    desk.add_items([*work(1, wanted=3), *of("de", work(2, 3, wanted=3)), *of("fr", work(4, wanted=3))])
    anna, remi, zoe = person(desk, "Anna", "de"), person(desk, "Rémi", "fr"), person(desk, "Zoe")
    assert [desk.own_progress(each).left for each in (anna, remi, zoe)] == [3, 2, 1]
    assert all_of(desk, anna) == {"node-1", "node-2", "node-3"}
    assert all_of(desk, remi) == {"node-1", "node-4"}
    assert all_of(desk, zoe) == {"node-1"}


def test_so_it_is_where_several_ask_at_once(desk: SqlDesk) -> None:
    desk.add_items([*of("de", work(*range(30))), *of("fr", work(40)), *work(50)])
    people = [person(desk, "Anna", "de"), person(desk, "Rémi", "fr"), person(desk, "Zoe"), person(desk, "Ida")]
    leases = claim_at_once(desk, people)
    groups = [lease and desk.item(lease.first.request.id).group for lease in leases]
    assert groups[0] in ("de", "") and groups[1] in ("fr", "")
    assert set(groups[2:]) <= {"", None} and groups.count("") == 1  # there is one for all


def test_practice_and_known_answers_are_of_groups_too(desk: SqlDesk) -> None:
    desk.change_settings({"gold_every": 2, "attention_every": 0, "practice_items": 5}, "test")
    desk.add_items([*of("de", known("practice", 1)), *of("de", known("gold", 2, 3)), *work(*range(10, 30), wanted=2)])
    desk.add_items(of("de", work(*range(30, 50))))  # known answers of a group are hidden in the work of the group
    anna, zoe = person(desk, "Anna", "de"), person(desk, "Zoe")
    assert desk.person(anna).state == "practising" and desk.person(zoe).state == "active"
    assert {each.id: each.state for each in desk.persons()} == {anna: "practising", zoe: "active"}
    lease = claimed(desk, anna)
    assert lease.first.purpose == "practice"
    submit(desk, lease)
    assert desk.person(anna).state == "active"
    assert {"node-2", "node-3"} <= all_of(desk, anna)
    assert all_of(desk, zoe) == {f"node-{number}" for number in range(10, 30)}


def test_who_changes_the_group_gets_other_items_and_the_audit_says_so(desk: SqlDesk) -> None:
    desk.add_items([*of("de", work(1)), *of("fr", work(2))])
    anna = person(desk, "Anna")
    assert desk.claim(anna) is None
    desk.set_group(anna, "fr", "p-admin")
    assert desk.person(anna).group == "fr"
    assert claimed(desk, anna).first.request.node == "node-2"
    entry = desk.audit()[0] if desk.audit()[0].what == "change group" else desk.audit()[1]
    assert (entry.what, entry.subject, entry.old, entry.new) == ("change group", anna, "", "fr")


def test_a_panels_participants_are_of_its_group(desk: SqlDesk) -> None:
    token = desk.open_panel("Study", 2, "test", rules=PanelRules(group="de"))
    session = desk.join(token, "5f00aa11bb22cc33dd44ee55")
    assert desk.who(session).group == "de"
    assert [panel.group for panel in desk.panels()] == ["de"]


def test_questions_go_to_the_first_group_whose_rule_they_meet(desk: SqlDesk) -> None:
    rules = {"de": {"sources": ["source-*"], "levels": [0], "overlap": 4}, "experts": {"levels": [1, 2]}}
    settings = desk.change_settings({"groups": rules}, "test")
    assert settings.groups == rules
    items = [Item(request(1)), Item(request(2, level=2)), Item(request(3, level=3)), Item(request(4), group="own")]
    far = replace(request(5), source="novel", place=Place())
    found = in_groups([*items, Item(far)], settings)
    assert [(item.group, item.wanted) for item in found] == [("de", 4), ("experts", 1), ("", 1), ("own", 1), ("", 1)]


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([], "must be a table of groups"),
        ({"de": 3}, "must be a table of groups"),
        ({"d e": {}}, "a group's name has up to 40 letters"),
        ({"": {}}, "one has no name"),
        ({"de": {"level": [1]}}, "knows no 'level' of the group de; there are sources, levels, overlap"),
        ({"de": {"levels": [-1]}}, "whole numbers from 0"),
        ({"de": {"sources": "de-*"}}, "a list of patterns"),
        ({"de": {"overlap": 0}}, "from 1 to 100"),
    ],
)
def test_rules_that_cannot_be_are_refused_in_one_sentence(desk: SqlDesk, rules: object, says: str) -> None:
    with pytest.raises(ConfigError, match=f"^setting groups .*{says}|{says}"):
        desk.change_settings({"groups": rules}, "test")


def test_a_sheet_is_for_one_group(desk: SqlDesk) -> None:
    items = [Item(request(1), sheet="s", group="de"), Item(request(2), sheet="s")]
    with pytest.raises(InputError, match="for several groups of raters"):
        desk.add_items(items)
