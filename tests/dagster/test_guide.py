"""The page `docs/dagster.md`: its files and its commands, as they stand, from an empty folder on."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster.components.testing import create_defs_folder_sandbox
from tests.dagster.dg import dg as type_in_project
from tests.dagster.dg import new_project
from tests.docs.pages import ROOT, blocks, write_files

import gristmill
from dagster_gristmill import GristmillResource
from gristmill.settings import Settings

PAGE = ROOT / "docs" / "dagster.md"
PYTHON = (
    *("setup.py", "shop.py", "definitions.py", "large_orders.py", "by_region.py"),
    *("settings.py", "checked.py", "report.py", "landed.py"),
)
COMPONENT = "defs/gross/defs.yaml"
TOTAL = 2 * sum(row / 4 for row in range(500)) * 1.2


def shown(*beginnings: str) -> list[list[str]]:
    """The page's commands that begin so, as words."""
    text = "".join(text for language, text in blocks(PAGE) if language == "bash").replace("\\\n", "")
    found = [shlex.split(line) for line in text.splitlines() if line.startswith(beginnings)]
    assert found, f"the page has no command that begins with {beginnings}"
    return found


@pytest.fixture
def page(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which the page's files stand, with its data; its modules can be imported."""
    folder = Path.cwd()
    assert write_files(PAGE, folder) == [*PYTHON, COMPONENT]
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "yes")
    run(folder, "python", "setup.py")
    yield folder
    sys.modules.pop("shop", None)


def run(folder: Path, *words: str) -> str:
    """A command in the page's shell, which must succeed; returns what it printed."""
    environment = os.environ | {
        "DAGSTER_HOME": str(folder),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def definitions(folder: Path, name: str) -> Any:
    """A file of the page, as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"page_{name}", folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if hasattr(module, "defs"):
        dg.Definitions.validate_loadable(module.defs)
    return module


def make(
    defs: dg.Definitions, instance: dg.DagsterInstance, name: str, **how: Any
) -> tuple[dict[str, Any], dict[str, bool]]:
    """Materialize an asset in this process; returns its metadata and what its checks said."""
    resources = dict(defs.resources)
    result = dg.materialize(defs.assets, resources=resources, selection=[dg.AssetKey(name)], instance=instance, **how)
    (event,) = result.get_asset_materialization_events()
    checks = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    return {name: value.value for name, value in event.materialization.metadata.items()}, checks


@pytest.fixture
def _inline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRISTMILL_DEFAULT_POOL", "inline")


def test_the_page_is_followed_from_an_empty_folder_to_a_backfill(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, every = shown("dg launch")
    run(page, *one)
    output, listing = shown("gristmill output", "gristmill jobs")
    assert "1,000" in run(page, *output)
    first = gristmill.read_manifest(page / "lake/gross/2026-01-01")
    monkeypatch.setenv("GRISTMILL_DEFAULT_POOL", "inline")  # only to have twenty days sooner
    monkeypatch.setenv("PYTHONPATH", str(page))
    run(page, *every)
    days = sorted((page / "lake/gross").iterdir())
    assert len(days) == 20
    assert {gristmill.read_manifest(day).rows for day in days} == {1000}
    assert gristmill.read_manifest(days[0]) == first
    assert len(re.findall(r"gross-2026-01-\d\d", run(page, *listing))) == 20


@pytest.mark.usefixtures("_inline")
def test_an_asset_of_ones_own_runs_a_job_over_a_frame(page: Path, instance: dg.DagsterInstance) -> None:
    defs = definitions(page, "large_orders").defs
    metadata, checks = make(defs, instance, "large_orders", partition_key="2026-01-02")
    assert metadata["location"] == str(page / "lake/large/2026-01-02")
    assert metadata["rows"] == 200
    assert checks == {"complete": True, "error_rate": True, "no_nulls": True}


@pytest.mark.usefixtures("_inline")
def test_dimensions_and_moments_are_filled_in(page: Path, instance: dg.DagsterInstance) -> None:
    defs = definitions(page, "by_region").defs
    key = dg.MultiPartitionKey({"day": "2026-01-02", "region": "eu"})
    metadata, _ = make(defs, instance, "gross_by_region", partition_key=key)
    assert metadata["location"] == str(page / "lake/by_region/2026/01/02/eu")
    assert metadata["rows"] == 459


def test_the_resource_that_is_shown_is_one(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_TOKEN", "S3_KEY", "S3_SECRET", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, f"hush-{name}")
    resource = definitions(page, "settings").gristmill
    assert "hush" not in repr(resource)
    settings = resource.process_config_and_initialize().settings()
    assert settings.pool("gpu").token.get_secret_value() == "hush-RAY_TOKEN"
    assert settings.storage_options["s3"]["secret"] == "hush-S3_SECRET"
    assert settings.endpoints["openai"].requests_per_minute == 600


@pytest.mark.usefixtures("_inline")
def test_the_metadata_that_is_listed_is_there(page: Path, instance: dg.DagsterInstance) -> None:
    defs = definitions(page, "definitions").defs
    metadata, checks = make(defs, instance, "gross", partition_key="2026-01-01")
    (table,) = re.findall(r"\| metadata \| \|\n\| --- \| --- \|\n(.*?)\n\n", PAGE.read_text(), re.DOTALL)
    listed = {name for line in table.splitlines() for name in re.findall(r"`([^`]+)`", line.split("|")[1])}
    assert listed - set(metadata) == {"input tokens", "output tokens", "GPU hours"}  # this model has none
    assert set(checks) == {"complete", "error_rate", "no_nulls"}


@pytest.mark.usefixtures("_inline")
def test_the_checks_that_are_shown_pass(page: Path, instance: dg.DagsterInstance) -> None:
    _, checks = make(definitions(page, "checked").defs, instance, "checked")
    assert checks == dict.fromkeys(("complete", "error_rate", "no_nulls", "fresh"), True)


@pytest.mark.usefixtures("_inline")
def test_what_builds_on_an_output_loads_it(page: Path, instance: dg.DagsterInstance) -> None:
    gross = definitions(page, "definitions").defs
    defs = definitions(page, "report").defs
    for day in ("2026-01-01", "2026-01-03"):
        make(gross, instance, "gross", partition_key=day)
    metadata, _ = make(defs, instance, "total", partition_key="2026-01-03")
    assert metadata["total"] == pytest.approx(TOTAL)
    metadata, _ = make(defs, instance, "largest")
    assert metadata["largest"] == pytest.approx(499 / 4 * 1.2)
    with pytest.raises(Exception, match="never materialized"):
        make(defs, instance, "total", partition_key="2026-01-02")


def test_the_sensor_tells_once_of_what_has_landed(
    page: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRISTMILL_DEFAULT_POOL", "inline")
    defs = definitions(page, "landed").defs
    (sensor,) = defs.sensors
    (publish,) = shown("gristmill run")
    run(page, *publish)
    cursor, asked = None, []
    for _ in range(2):
        with dg.build_sensor_context(
            instance, resources=dict(defs.resources), definitions=defs, cursor=cursor
        ) as context:
            tick = sensor.evaluate_tick(context)
        cursor = tick.cursor
        asked += [
            (one.partition_key, event.partition)
            for one, event in zip(tick.run_requests, tick.asset_events, strict=True)
        ]
    assert asked == [("2026-01-05", "2026-01-05")]


def test_the_file_of_the_component_loads(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_HOME", "memory://shop")
    with create_defs_folder_sandbox() as sandbox:
        folder = sandbox.defs_folder_path / "gross"
        folder.mkdir()
        (folder / "defs.yaml").write_text((page / COMPONENT).read_text())
        (folder / "large.sql").write_text("SELECT * FROM '@lake/orders/{day}/{region}/*.parquet' WHERE price > 100")
        with sandbox.build_all_defs() as defs:
            dg.Definitions.validate_loadable(defs)
            assert {key for one in defs.assets for key in one.keys} == {
                dg.AssetKey(["shop", "gross"]),
                dg.AssetKey(["shop", "large"]),
            }
            assert set(defs.resources) == {"gristmill", "outputs"}
            assert isinstance(defs.resources["gristmill"], GristmillResource)
            assert [one.name for one in defs.sensors] == ["orders_landed"]


def test_the_commands_of_dg_are_followed_in_a_project(settings: Settings, tmp_path: Path) -> None:
    project = new_project(tmp_path / "shop")
    for _, *words in shown("dg list", "dg scaffold", "dg check"):
        type_in_project(project, *words)
    assert "{partition}" in (project / "src/mill/defs/scores/defs.yaml").read_text()


def test_the_asset_that_the_readme_shows_is_one() -> None:
    (text,) = [text for language, text in blocks(ROOT / "README.md") if language == "python" and "dagster" in text]
    names: dict[str, Any] = {}
    exec(compile(text, "README.md", "exec"), names)
    dg.Definitions.validate_loadable(names["defs"])
    assert names["totals"].key == dg.AssetKey("totals")
