"""`gristmill output`: what a finished job left, from its manifest and its first rows."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gristmill.cli import console
from gristmill.cli.exits import handled
from gristmill.wording.text import count, cut, duration, one_line, printable, size

if TYPE_CHECKING:
    from gristmill.outputs.manifest import Manifest

__all__ = ["output"]


def output(
    location: Annotated[
        str,
        typer.Argument(metavar="LOCATION", help="Where a job wrote: a path, a URL or a stage.", show_default=False),
    ],
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="ROWS", min=0, help="How many rows to show.")] = 10,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print the manifest and the rows as one JSON object.")
    ] = False,
) -> None:
    """A finished output: its manifest and its first rows.

    A location without _SUCCESS is refused: what stands there is not whole.
    """
    with handled(as_json=as_json):
        from gristmill.cli.grid import grid
        from gristmill.outputs.head import head
        from gristmill.outputs.manifest import read_manifest
        from gristmill.settings import Settings
        from gristmill.storage.storage import Storage

        storage = Storage(Settings.load())
        where = storage.resolve(location)
        manifest = read_manifest(storage, where)
        rows = head(storage, where, manifest, rows=limit).to_pylist() if limit else []
        if as_json:
            console.print_json({"manifest": manifest.model_dump(mode="json", by_alias=True), "rows": rows})
            return
        console.out().print(console.facts(_summary(manifest)))
        if rows:
            console.out().print()
            console.out().print(grid(rows, width=console.out().width))
        if 0 < len(rows) < manifest.rows:
            console.out().print(f"… {count(manifest.rows - len(rows), 'row')} more", style="dim")


def _summary(manifest: "Manifest") -> list[tuple[str, Any]]:
    total = sum(file.bytes for file in manifest.files)
    took = (manifest.finished - manifest.started).total_seconds()
    columns = ", ".join(f"{one_line(column.name)}: {cut(one_line(column.type), 40)}" for column in manifest.columns)
    return [
        ("rows", count(manifest.rows)),
        ("partitions", count(manifest.partitions) if manifest.partitions else ""),
        ("errors", count(manifest.errors) if manifest.errors else ""),
        ("files", f"{count(len(manifest.files))}, {size(total)}"),
        ("columns", cut(columns, 400)),
        *((f"{one_line(kind)} tokens", f"{number:,.0f}") for kind, number in manifest.tokens.items()),
        ("model", printable(manifest.model) + (f"  {printable(manifest.function)}" if manifest.function else "")),
        ("job", manifest.job),
        ("finished", f"{manifest.finished:%Y-%m-%d %H:%M:%S %Z}, after {duration(took)}"),
    ]
