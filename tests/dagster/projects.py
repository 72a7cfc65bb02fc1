"""Projects with the component, written down and loaded in this process."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest
from dagster.components.testing import create_defs_folder_sandbox

__all__ = ["DAYS", "MINIMAL", "REGIONS", "TYPE", "asset", "materialized", "project", "refused", "spec_of"]

TYPE = "dagster_gristmill.BatchInferenceComponent"
DAYS = dg.DailyPartitionsDefinition("2026-01-01")
REGIONS = dg.StaticPartitionsDefinition(["eu", "us"])
MINIMAL = """
gristmill: {}
assets:
  - key: gross
    model: "echo:"
    input_location: lake/orders/{partition}
    output_spec: {location: "lake/gross/{partition}", mode: overwrite}
    partitions_def: PARTITIONS
"""


@contextmanager
def project(*texts: str, files: dict[str, str] | None = None) -> Iterator[dg.Definitions]:
    """The definitions of a project in which each text is the `attributes` of a `defs.yaml`."""
    with create_defs_folder_sandbox() as sandbox:
        for number, text in enumerate(texts):
            folder = sandbox.defs_folder_path / f"one{number}"
            folder.mkdir()
            for name, content in (files or {}).items():
                (folder / name).write_text(content)
            (folder / "defs.yaml").write_text(f"type: {TYPE}\nattributes:\n" + _indented(text))
        with sandbox.build_all_defs() as defs:
            yield defs


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in inspect.cleandoc(text).splitlines())


def asset(text: str, **named: Any) -> dg.AssetsDefinition:
    """The one asset of a component."""
    with project(text, **named) as defs:
        (found,) = defs.assets or ()
    assert isinstance(found, dg.AssetsDefinition)
    return found


def spec_of(found: dg.AssetsDefinition) -> dg.AssetSpec:
    (spec,) = found.specs
    return spec


def refused(*texts: str) -> str:
    """What is said of a project that does not load: the errors, from the last to the first."""
    with pytest.raises(Exception) as caught, project(*texts):  # noqa: PT011 - Dagster's own kinds
        pass
    said, error = [], caught.value
    while error is not None:
        said.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(said)


def materialized(
    defs: dg.Definitions, instance: dg.DagsterInstance | None = None, **how: Any
) -> dg.AssetMaterialization:
    """What was recorded of the one asset that was made."""
    result = dg.materialize(list(defs.assets or ()), resources=dict(defs.resources or {}), instance=instance, **how)
    (event,) = result.get_asset_materialization_events()
    return event.materialization
