"""Groups of raters: which questions are theirs, and how many of them answer each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from rrm.core.annotation import DeskSettings, Item
from rrm.core.errors import InputError

NAME_LENGTH = 40
_KEYS = ("sources", "levels", "overlap")


def group_name(name: Any) -> str:
    """Return a group's name ("" for none); raise InputError for what cannot be one."""
    plain = isinstance(name, str) and len(name) <= NAME_LENGTH and all(each.isalnum() or each in "-_." for each in name)
    if not plain:
        raise InputError(
            f"a group's name has up to {NAME_LENGTH} letters, digits, dots, dashes and underlines, got {name!r:.60}"
        )
    return str(name)


def checked_groups(value: Any) -> dict[str, dict[str, Any]]:
    """Return the rules of groups, `{name: {sources, levels, overlap}}`; raise InputError for what is no such table."""
    if not isinstance(value, Mapping) or not all(isinstance(rule, Mapping) for rule in value.values()):
        raise InputError(f"must be a table of groups, each with {', '.join(_KEYS)}, got {value!r:.60}")
    return {_named(name): _checked_rule(name, rule) for name, rule in value.items()}


def in_groups(items: Sequence[Item], settings: DeskSettings) -> list[Item]:
    """Give items the first group whose rule they meet, and as many answers as its rule wants.

    An item that has a group already keeps it. A rule is met by what it names: one of its `sources` (a pattern such as
    `de-*`, compared with the source's id) and one of its `levels`; what it does not name is free.
    """
    if not settings.groups:
        return list(items)
    return [item if item.group else _grouped(item, settings.groups) for item in items]


def _grouped(item: Item, groups: Mapping[str, Mapping[str, Any]]) -> Item:
    request = item.request
    for name, rule in groups.items():
        sources, levels = rule.get("sources"), rule.get("levels")
        here = sources is None or any(fnmatchcase(request.source, pattern) for pattern in sources)
        if here and (levels is None or request.place.level in levels):
            return replace(item, group=name, wanted=rule.get("overlap", item.wanted))
    return item


def _named(name: Any) -> str:
    if not group_name(name):
        raise InputError("must name every group: one has no name")
    return str(name)


def _checked_rule(name: str, rule: Mapping[str, Any]) -> dict[str, Any]:
    for key in rule:
        if key not in _KEYS:
            raise InputError(f"knows no {key!r:.40} of the group {name}; there are {', '.join(_KEYS)}")
    checked: dict[str, Any] = {}
    if (sources := rule.get("sources")) is not None:
        if not (_is_list(sources) and sources and all(isinstance(each, str) and each for each in sources)):
            raise InputError(
                f"takes as sources of the group {name} a list of patterns such as 'de-*', got {sources!r:.60}"
            )
        checked["sources"] = list(sources)
    if (levels := rule.get("levels")) is not None:
        if not (_is_list(levels) and levels and all(is_whole(each) and each >= 0 for each in levels)):
            raise InputError(f"takes as levels of the group {name} a list of whole numbers from 0, got {levels!r:.60}")
        checked["levels"] = list(levels)
    if (overlap := rule.get("overlap")) is not None:
        if not (is_whole(overlap) and 1 <= overlap <= 100):
            raise InputError(f"takes as overlap of the group {name} a whole number from 1 to 100, got {overlap!r:.60}")
        checked["overlap"] = overlap
    return checked


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def is_whole(value: object) -> bool:
    """Whether a setting is a whole number, which true and false are not."""
    return isinstance(value, int) and not isinstance(value, bool)
