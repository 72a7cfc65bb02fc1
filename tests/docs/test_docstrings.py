"""Every example in a docstring runs as it stands, with the names that a reader has at hand."""

import doctest
import importlib
import pkgutil

import pyarrow as pa
import pytest

import gristmill
from gristmill.settings import Settings
from gristmill.storage.access import AccessPolicy
from gristmill.storage.storage import Storage

MODULES = sorted(
    info.name for info in pkgutil.walk_packages(gristmill.__path__, "gristmill.") if not info.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str, storage: Storage) -> None:
    at_hand = {
        "gristmill": gristmill,
        "pa": pa,
        "Settings": Settings,
        "Storage": Storage,
        "AccessPolicy": AccessPolicy,
        "storage": storage,
    }
    found = doctest.testmod(importlib.import_module(name), extraglobs=at_hand)
    assert found.failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    count = sum(bool(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name)))
    assert count >= 50
