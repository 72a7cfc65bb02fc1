"""A plugin for dbt-duckdb: models of dbt call models.

In the profile::

    shop:
      target: dev
      outputs:
        dev:
          type: duckdb
          path: shop.duckdb
          plugins:
            - module: gristmill.sql.dbt
              config:
                models: [churn]     # none of these: the default versions of all registered models

The keys of `config` are those of `gristmill.sql.register`: `models` and `registry`. Other settings are those in force,
from `gristmill.toml` in the working folder, or the file that GRISTMILL_CONFIG names.
"""

from typing import Any

from gristmill.errors import MissingExtraError, SpecError
from gristmill.sql.connection import Prepared, prepared
from gristmill.sql.functions import is_in_memory

__all__ = ["Plugin"]

_KEYS = frozenset({"models", "registry"})
Plugin: Any
"""The class that dbt-duckdb makes an object of; made when it is asked for, since it is dbt's."""


def __getattr__(name: str) -> Any:
    if name != "Plugin":
        raise AttributeError(f"module 'gristmill.sql.dbt' has no attribute {name!r}")
    found = globals()["Plugin"] = _plugin()
    return found


def _plugin() -> Any:
    try:
        from dbt.adapters.duckdb.plugins import BasePlugin
    except ImportError as error:
        raise MissingExtraError(
            "the plugin of dbt needs the package 'dbt-duckdb' in dbt's own environment: pip install dbt-duckdb"
        ) from error

    class Plugin(BasePlugin):  # type: ignore[misc]
        """Registers models on every connection of dbt; they are looked up once for each run of dbt."""

        def initialize(self, plugin_config: dict[str, Any]) -> None:
            """Take the plugin's `config`; dbt adds the connection's own settings to it."""
            own = self.creds.settings if self.creds is not None and self.creds.settings else {}
            unknown = sorted(set(plugin_config) - _KEYS - set(own))
            if unknown:
                known = ", ".join(sorted(_KEYS))
                raise SpecError(f"plugins, gristmill.sql.dbt: config has no key {unknown[0]!r}; it knows: {known}")
            self._config = {name: value for name, value in plugin_config.items() if name in _KEYS}
            self._prepared: Prepared | None = None

        def configure_connection(self, conn: Any) -> None:
            """Let models be called on the connection that the others are made from."""
            self._prepared = prepared(**self._config)
            self._prepared.put_on(conn)

        def configure_cursor(self, cursor: Any) -> None:
            """Let models be called on one of dbt's threads; those of a database in memory are there already."""
            if self._prepared is not None and not is_in_memory(cursor):
                self._prepared.put_on(cursor)

    return Plugin
