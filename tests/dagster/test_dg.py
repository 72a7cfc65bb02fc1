"""The component under `dg`: listed, scaffolded, checked and launched, by processes as a person starts them."""

import shutil
from pathlib import Path

import pytest
from tests.dagster.dg import dg, new_project
from tests.docs.pages import ROOT

import gristmill
from gristmill.settings import Settings

COMPONENT = "dagster_gristmill.BatchInferenceComponent"


@pytest.fixture
def project(settings: Settings, tmp_path: Path) -> Path:
    """A project with nothing in it; its jobs have a home of the test's own."""
    return new_project(tmp_path / "mill")


def test_the_component_is_listed_and_described(project: Path) -> None:
    listed = dg(project, "list", "components")
    assert COMPONENT in listed
    described = dg(project, "utils", "inspect-component", COMPONENT)
    assert "Batch inference as assets: a model over a dataset, one job for each partition." in described
    assert "Where job records live" in described


def test_what_is_scaffolded_passes_the_checks_and_is_launched(project: Path) -> None:
    dg(project, "scaffold", "defs", COMPONENT, "scores")
    assert "All definitions loaded successfully" in dg(project, "check", "defs")
    dg(project, "launch", "--assets", "scores")
    assert gristmill.read_output(project / "output/scores")["id"].to_pylist() == [0, 1, 2]


def test_the_checks_name_the_wrong_field_and_its_line(project: Path) -> None:
    options = ("--model", "echo:", "--input-location", "lake/{partition}", "--partitions", "eu,us")
    dg(project, "scaffold", "defs", COMPONENT, "scores", *options)
    file = project / "src/mill/defs/scores/defs.yaml"
    given = file.read_text()
    file.write_text(given.replace("mode: overwrite", "mdoe: overwrite"))
    said = dg(project, "check", "yaml", fails=True)
    assert f"{file}:12" in said
    assert "assets.0.output_spec.mdoe" in said
    file.write_text(given.replace("lake/{partition}", "lake/{day}"))
    said = dg(project, "check", "defs", fails=True)
    assert f"{file}:7" in said
    assert "has the field {day}, which nothing fills" in said


def test_the_example_project_loads_and_runs_as_it_stands(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRISTMILL_EXAMPLES", str(tmp_path))
    example = tmp_path / "project"
    shutil.copytree(ROOT / "example_dags/dagster_project", example)
    assert "All definitions loaded successfully" in dg(example, "check", "defs")
    dg(example, "launch", "--assets", "orders,gross,totals", "--partition", "2026-01-02")
    output = gristmill.read_output(tmp_path / "dagster/shop/gross/2026-01-02")
    assert output["gross"].to_pylist() == [row / 4 * 1.2 for row in range(500)]
