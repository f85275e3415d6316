"""What `import rrm` offers: every protocol and error, each from one home, and the same to programs that check types."""

import ast
import inspect
from pathlib import Path
from types import ModuleType

import pytest

import rrm
from rrm.core import errors, protocols


def classes(module: ModuleType) -> set[str]:
    return {
        name
        for name, found in vars(module).items()
        if inspect.isclass(found) and found.__module__ == module.__name__ and not name.startswith("_")
    }


@pytest.mark.parametrize("module", [errors, protocols], ids=lambda module: module.__name__)
def test_everything_that_a_part_may_be_or_raise_is_exported(module: ModuleType) -> None:
    assert classes(module) - set(rrm.__all__) == set()
    assert all(getattr(rrm, name) is getattr(module, name) for name in classes(module))


def test_every_exported_name_is_there_and_has_one_home() -> None:
    assert len(rrm.__all__) == len(set(rrm.__all__))
    for name in rrm.__all__:
        found = getattr(rrm, name)
        assert name == "__version__" or found.__module__ == rrm._HOME[name]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = rrm.nothing


def test_programs_that_check_types_see_the_same_names_from_the_same_homes() -> None:
    assert rrm.__file__ is not None
    tree = ast.parse(Path(rrm.__file__).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == rrm._HOME
