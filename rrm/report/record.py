"""Reports as JSON, there and back, so that they can be shown and compared long after the run."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from rrm.core.errors import InputError, NewerStoreError
from rrm.core.report import Report

FORMAT = "rrm report"
VERSION = 1


def report_to_json(report: Report) -> dict[str, Any]:
    """Return plain JSON values from which `report_from_json` makes an equal report."""
    return {"format": FORMAT, "version": VERSION, "report": _plain(asdict(report))}


def report_from_json(data: Mapping[str, Any]) -> Report:
    """Return the report; raise InputError where the values are not one, NewerStoreError if a newer rrm's."""
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise InputError(f'not a report: a report is a JSON object whose "format" is "{FORMAT}"')
    version = data.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise NewerStoreError(f"the report has version {version!r}, this rrm reads up to {VERSION}: use a newer rrm")
    report: Report = _read(Report, data.get("report"), "report")
    return report


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _read(kind: Any, value: Any, where: str) -> Any:
    """Return the value as this type: a dataclass, named tuple, tuple, union with None, or plain value."""
    if kind is Any:
        return value
    if get_origin(kind) in (Union, UnionType):
        inner = next(each for each in get_args(kind) if each is not NoneType)
        return None if value is None else _read(inner, value, where)
    if get_origin(kind) is tuple:
        items = _checked(value, list, where)
        return tuple(_read(get_args(kind)[0], each, f"{where}[{n}]") for n, each in enumerate(items))
    if is_dataclass(kind):
        return _dataclass(kind, _checked(value, dict, where), where)
    if hasattr(kind, "_fields"):
        return _named_tuple(kind, _checked(value, list, where), where)
    return _checked(value, get_origin(kind) or kind, where)


def _dataclass(kind: Any, values: Mapping[str, Any], where: str) -> Any:
    known = {each.name: each for each in fields(kind)}
    hints = get_type_hints(kind)
    unknown = sorted(values.keys() - known.keys())
    needed = {name for name, each in known.items() if each.default is MISSING and each.default_factory is MISSING}
    missing = sorted(needed - values.keys())
    if unknown or missing:
        told = f"{unknown[0]!r} is unknown" if unknown else f"{missing[0]!r} is missing"
        raise InputError(f"{where}: {told}; the report file was changed or made by another version of rrm")
    return kind(**{name: _read(hints[name], each, f"{where}.{name}") for name, each in values.items()})


def _named_tuple(kind: Any, values: list[Any], where: str) -> Any:
    if len(values) != len(kind._fields):
        raise InputError(f"{where}: expected {len(kind._fields)} values, got {len(values)}")
    hints = get_type_hints(kind)
    read = (_read(hints[name], each, f"{where}.{name}") for name, each in zip(kind._fields, values, strict=True))
    return kind(*read)


def _checked(value: Any, kind: type, where: str) -> Any:
    number = kind is float and isinstance(value, int)
    if not (isinstance(value, kind) or number) or (isinstance(value, bool) and kind is not bool):
        raise InputError(f"{where}: expected {kind.__name__}, got {type(value).__name__}")
    return float(value) if number else value
