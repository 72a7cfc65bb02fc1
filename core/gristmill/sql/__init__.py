"""Models in SQL: functions that DuckDB calls, a plugin for dbt, and `ai_complete`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gristmill.sql.ai import estimate
    from gristmill.sql.connection import connect, register
    from gristmill.sql.counting import Estimate
    from gristmill.sql.models import register_model

__all__ = ["Estimate", "connect", "estimate", "register", "register_model"]

_HOMES = {
    "Estimate": "gristmill.sql.counting",
    "connect": "gristmill.sql.connection",
    "estimate": "gristmill.sql.ai",
    "register": "gristmill.sql.connection",
    "register_model": "gristmill.sql.models",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gristmill.sql' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
