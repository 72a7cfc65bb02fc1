"""What `dg scaffold defs dagster_gristmill.BatchInferenceComponent <name>` writes: a file that loads, and runs."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import dagster as dg
from dagster.components.component_scaffolding import scaffold_component
from dagster_shared.check import CheckError
from pydantic import Field, field_validator, model_validator

__all__ = ["BatchInferenceScaffolder", "ScaffoldParams"]

_WINDOWS: dict[str, Callable[..., dg.PartitionsDefinition[Any]]] = {
    "hourly": dg.HourlyPartitionsDefinition,
    "daily": dg.DailyPartitionsDefinition,
    "weekly": dg.WeeklyPartitionsDefinition,
    "monthly": dg.MonthlyPartitionsDefinition,
}
_DAY = "%Y-%m-%d"
_HOUR = "%Y-%m-%d-%H:%M"
_KEY = re.compile(r"[\w.-]+(/[\w.-]+)*", re.ASCII)
_RENDERED = re.compile(r"\{\{.*?\}\}")
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

    @field_validator("key")
    @classmethod
    def _is_key(cls, given: str | None) -> str | None:
        if given is not None and not _KEY.fullmatch(given):
            raise ValueError("is no asset's key; write it as sales/scores, of letters, digits, '_', '-' and '.'")
        return given

    @model_validator(mode="after")
    def _loads(self) -> Self:
        """Refuse what would be written, and not load."""
        if self.partitions is not None:
            _check_partitions(self.partitions)
        if self.start_date is not None and self.partitions not in _WINDOWS:
            raise ValueError(f"start_date: only windows of time have one; give partitions, too: {', '.join(_WINDOWS)}")
        if self.start_date is not None and _moment(self.start_date, hours=self.partitions == "hourly") is None:
            raise ValueError(
                f"start_date: {self.start_date!r} is no date; write it as 2026-01-31, for hourly partitions also as "
                "2026-01-31-06:00"
            )
        _check_asset(self, "asset" if self.key is None else self.key, rows="rows", output="output")
        return self


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
        key = _key(params, folder)
        _check_asset(
            params, key, rows=str(folder / _ROWS), output=str((request.project_root or folder) / "output" / key)
        )
        if params.input_location is None:
            (folder / _ROWS).write_text("".join(f'{{"id": {row}}}\n' for row in range(3)), encoding="utf-8")
        text = _defs_yaml(request.type_name, folder, request.project_root, params)
        with (request.target_path if request.append else folder / "defs.yaml").open("a", encoding="utf-8") as file:
            file.write(f"---\n{text}" if request.append else text)


def _defs_yaml(type_name: str, folder: Path, root: Path | None, params: ScaffoldParams) -> str:
    key = _key(params, folder)
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
    start = None if start_date is None else _moment(start_date, hours=given == "hourly")
    if start is None:
        start = (datetime.now(UTC) - timedelta(days=7)).replace(hour=0, minute=0)
    return {"type": given, "start_date": start.strftime(_HOUR if given == "hourly" else _DAY)}


def _moment(given: str, *, hours: bool) -> datetime | None:
    for form in (_DAY, _HOUR) if hours else (_DAY,):
        try:
            return datetime.strptime(given, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def _check_partitions(given: str) -> None:
    if given in _WINDOWS:
        return
    keys = _partitions(given, None)["partition_keys"]
    if not keys or len(set(keys)) < len(keys):
        raise ValueError(
            f"partitions: {given!r} {'repeats a key' if keys else 'holds no key'}; "
            f"give {', '.join(_WINDOWS)}, or keys such as eu,us"
        )


def _key(params: ScaffoldParams, folder: Path) -> str:
    """The asset's key; a folder's name may hold what no key may."""
    return re.sub(r"[^\w.-]", "_", folder.name, flags=re.ASCII) if params.key is None else params.key


def _check_asset(params: ScaffoldParams, key: str, *, rows: str, output: str) -> None:
    """Refuse what makes no asset; what the file's loading renders is not known here, and any text."""
    from dagster_gristmill.asset import batch_inference_asset

    partitions = None if params.partitions is None else _partitions(params.partitions, params.start_date)
    if params.input_location is not None:
        rows = _RENDERED.sub("x", params.input_location)
    if params.output_location is not None:
        output = _RENDERED.sub("x", params.output_location)
    try:
        batch_inference_asset(
            dg.AssetKey.from_user_string(key),
            model=params.model,
            input_location=rows,
            output_spec={"location": output if partitions is None else _for_each(output)},
            partitions_def=None if partitions is None else _definition(partitions),
        )
    except (ValueError, CheckError, dg.DagsterError) as error:
        raise ValueError(str(error)) from None


def _definition(fields: dict[str, Any]) -> dg.PartitionsDefinition[Any]:
    if fields["type"] == "static":
        return dg.StaticPartitionsDefinition(fields["partition_keys"])
    return _WINDOWS[fields["type"]](start_date=fields["start_date"])


def _quoted(text: str) -> str:
    """A text as YAML; JSON is YAML."""
    return json.dumps(text, ensure_ascii=False)


def _flow(fields: dict[str, Any]) -> str:
    return "{ " + ", ".join(f"{name}: {json.dumps(value)}" for name, value in fields.items()) + " }"
