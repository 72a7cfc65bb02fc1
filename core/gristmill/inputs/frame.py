"""`Frame`: a small table that becomes whatever its user works with."""

import os
import sys
from typing import Any

import pyarrow as pa

__all__ = ["Frame"]

_WIDEST = 10_000
"""Characters of a line that no terminal bounds."""


class Frame:
    """Rows that a function of Gristmill returns.

    Example:
        >>> Frame(pa.table({"name": ["a", "b"]})).collect()
        [{'name': 'a'}, {'name': 'b'}]
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} rows: {', '.join(self._table.column_names)})"

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)

    @property
    def columns(self) -> list[str]:
        """The columns' names."""
        return list(self._table.column_names)

    def to_arrow(self) -> pa.Table:
        """As a pyarrow table."""
        return self._table

    def to_pandas(self) -> Any:
        """As a pandas frame."""
        return self._table.to_pandas()

    def to_polars(self) -> Any:
        """As a Polars frame."""
        import polars as pl

        return pl.from_arrow(self._table)

    def collect(self) -> list[dict[str, Any]]:
        """As dictionaries, one for each row."""
        return list(self._table.to_pylist())

    def show(self, n: int = 10) -> None:
        """Print the first `n` rows.

        Nothing is cut: in a terminal what does not fit goes on in the next line, elsewhere lines are long.
        """
        from rich.console import Console
        from rich.table import Column, Table

        table = Table(*(Column(name, overflow="fold") for name in self._table.column_names))
        for row in self._table.slice(0, n).to_pylist():
            table.add_row(*("" if value is None else str(value) for value in row.values()))
        is_bounded = sys.stdout.isatty() or "COLUMNS" in os.environ
        Console(file=sys.stdout, width=None if is_bounded else _WIDEST).print(table)
