"""What `dg scaffold defs dagster_gristmill.BatchInferenceComponent <name>` writes: a file that loads, and runs."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from dagster.components.component_scaffolding import scaffold_component
from pydantic import Field

__all__ = ["BatchInferenceScaffolder", "ScaffoldParams"]

_WINDOWS = ("hourly", "daily", "weekly", "monthly")
_ROWS = "rows.jsonl"
_GIVES_RESOURCE = re.compile(r"^\s+gristmill:", re.MULTILINE)


class ScaffoldParams(dg.Model):
    """What the new file is to say; all of it can be changed there."""

    key: str | None = Field(None, description="The asset's key; the folder's name where it is left out")
    model: str = Field("echo:", description="The model's reference, such as python:shop:Prices")
    input_location: str | None = Field(None, description="Where the rows stand; three rows are written otherwise")
    output_location: str | None = Field(None, description="Where the results go")
    partitions: str | None = Field(None, description="hourly, daily, weekly, monthly, or keys such as eu,us")
    start_date: str | None = Field(None, description="The first partition's date; a week ago where it is left out")


class BatchInferenceScaffolder(dg.Scaffolder[ScaffoldParams]):
    """Writes a `defs.yaml` with one asset, and rows for it unless it is told where some are."""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParams]:
        """The options of the command."""
        return ScaffoldParams

    def scaffold(self, request: dg.ScaffoldRequest[ScaffoldParams]) -> None:
        """Write the file."""
        if request.scaffold_format != "yaml":
            scaffold_component(request)
            return
        folder = request.target_path.parent if request.append else request.target_path
        params = request.params
        if params.input_location is None:
            (folder / _ROWS).write_text("".join(f'{{"id": {row}}}\n' for row in range(3)), encoding="utf-8")
        text = _defs_yaml(request.type_name, folder, request.project_root, params)
        with (request.target_path if request.append else folder / "defs.yaml").open("a", encoding="utf-8") as file:
            file.write(f"---\n{text}" if request.append else text)


def _defs_yaml(type_name: str, folder: Path, root: Path | None, params: ScaffoldParams) -> str:
    key = params.key or folder.name
    output = params.output_location or _within(root, (root or folder) / "output" / key)
    lines = [f"type: {type_name}", "", "attributes:"]
    if not _resource_is_given(folder, root):
        lines += ["  # where jobs live and run: home, stages, pools; secrets as {env: NAME}", "  gristmill: {}"]
    lines += [
        "  assets:",
        f"    - key: {_quoted(key)}",
        f"      model: {_quoted(params.model)}",
        f"      input_location: {_quoted(params.input_location or _within(root, folder / _ROWS))}",
        "      output_spec:",
        f"        location: {_quoted(output if params.partitions is None else _for_each(output))}",
        "        mode: overwrite",
    ]
    if params.partitions is not None:
        lines.append(f"      partitions_def: {_flow(_partitions(params.partitions, params.start_date))}")
    return "\n".join(lines) + "\n"


def _for_each(location: str) -> str:
    """A location of each partition's own."""
    return location if "{partition}" in location or "{start" in location else f"{location.rstrip('/')}/{{partition}}"


def _resource_is_given(folder: Path, root: Path | None) -> bool:
    """Whether another component of the project gives it; two with one key must say the same."""
    files = [] if root is None else sorted(root.glob("**/defs/**/defs.y*ml"))
    texts = (file.read_text(encoding="utf-8") for file in files if file.parent != folder)
    return any("BatchInferenceComponent" in text and _GIVES_RESOURCE.search(text) for text in texts)


def _within(root: Path | None, path: Path) -> str:
    if root is None or not path.is_relative_to(root):
        return str(path)
    return f"{{{{ context.project_root }}}}/{path.relative_to(root).as_posix()}"


def _partitions(given: str, start_date: str | None) -> dict[str, Any]:
    if given not in _WINDOWS:
        return {"type": "static", "partition_keys": [key.strip() for key in given.split(",") if key.strip()]}
    start = start_date or str((datetime.now(UTC) - timedelta(days=7)).date())
    return {"type": given, "start_date": f"{start}-00:00" if given == "hourly" and start_date is None else start}


def _quoted(text: str) -> str:
    """A text as YAML; JSON is YAML."""
    return json.dumps(text, ensure_ascii=False)


def _flow(fields: dict[str, Any]) -> str:
    return "{ " + ", ".join(f"{name}: {json.dumps(value)}" for name, value in fields.items()) + " }"
