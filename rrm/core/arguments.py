"""Arguments of plug-ins: whether each is of the plain kind that its annotation names."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from rrm.core.errors import ConfigError

T = TypeVar("T")

_KINDS: Mapping[type, tuple[str, Callable[[Any], bool]]] = {
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    float: ("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
    str: ("a text", lambda value: isinstance(value, str)),
}


_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def misfits(plugin: Callable[..., Any], arguments: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each argument that is not of the plain kind that its annotation names.

    Texts, whole numbers, numbers, true or false, and several of these are looked at, and None, where neither the
    annotation nor the default allows it; parts and all else are the plug-in's own to refuse, and so is everything
    where its annotations cannot be read.
    """
    try:
        hints = get_type_hints(plugin.__init__ if isinstance(plugin, type) else plugin)  # type: ignore[misc]
    except (NameError, TypeError, AttributeError):  # annotations for a type checker alone, or none
        return
    optional = {name for name, each in inspect.signature(plugin).parameters.items() if each.default is None}
    for name, value in arguments.items():
        hint = hints.get(name)
        kinds = [each for each in (get_args(hint) or (hint,)) if each is not type(None)]
        plain = get_origin(hint) in (None, Union, UnionType) and all(each in _KINDS for each in kinds)
        missing = value is None and name not in optional and _refuses_none(hint)
        if plain and (missing or (value is not None and not any(_KINDS[each][1](value) for each in kinds))):
            told = " or ".join(_KINDS[each][0] for each in kinds)
            yield f"{name} is {told}, got {value!r}"
        elif missing:
            yield f"{name} cannot be None"


def _refuses_none(hint: Any) -> bool:
    """Say whether an annotation that is known leaves None out."""
    anything = hint in (None, type(None), object, Any) or isinstance(hint, TypeVar)
    return not anything and not {None, type(None)} & set(get_args(hint))


def plain_arguments(plugin: type[T]) -> type[T]:
    """Have a class refuse arguments of other kinds when it is made in Python, too, by ConfigError.

    What it takes under any name (`**settings`) is its own to refuse.
    """
    make = plugin.__init__
    signature = inspect.signature(make)
    named_alone = {name for name, each in signature.parameters.items() if each.kind not in _VARIABLE}

    @wraps(make)
    def checked(self: T, *given: Any, **named: Any) -> None:
        try:
            bound = signature.bind(self, *given, **named).arguments
            arguments = {name: value for name, value in bound.items() if name in named_alone}
        except TypeError:  # what is missing or too much, which Python says itself
            arguments = {}
        for sentence in misfits(make, arguments):
            raise ConfigError(f"{plugin.__name__}: {sentence}")
        make(self, *given, **named)

    plugin.__init__ = checked  # type: ignore[assignment, method-assign]
    return plugin
