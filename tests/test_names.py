"""The public names of every module."""

import importlib
import pkgutil

import pytest

import gristmill
from gristmill.errors import MissingExtraError

MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(gristmill.__path__, "gristmill.")
    if not info.ispkg and not info.name.endswith("__main__")
)


def _order(name: str) -> tuple[bool, bool, str]:
    """Constants, then classes, then functions, as the linter sorts them."""
    return (not name.isupper(), not name[0].isupper(), name)


@pytest.mark.parametrize("name", MODULES)
def test_public_names_are_sorted_and_there(name: str) -> None:
    module = importlib.import_module(name)
    assert list(module.__all__) == sorted(module.__all__, key=_order)
    if name == "gristmill.sql.dbt":  # its class is made of dbt's own, which has an environment of its own
        with pytest.raises(MissingExtraError, match="pip install dbt-duckdb"):
            module.Plugin  # noqa: B018 - looked up
    else:
        assert all(hasattr(module, public) for public in module.__all__)
