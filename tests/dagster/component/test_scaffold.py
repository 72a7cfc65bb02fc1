"""What is scaffolded loads, and runs, as it is."""

import re

import dagster as dg
import pytest
import yaml
from dagster.components.testing import create_defs_folder_sandbox
from tests.dagster.projects import DAYS, REGIONS, materialized, spec_of

import gristmill
from dagster_gristmill import BatchInferenceComponent


def test_what_is_scaffolded_loads_and_runs_as_it_is() -> None:
    with create_defs_folder_sandbox() as sandbox:
        sandbox.scaffold_component(component_cls=BatchInferenceComponent, defs_path="scores")
        with sandbox.build_all_defs() as defs:
            made = materialized(defs)
        assert made.asset_key == dg.AssetKey("scores")
        assert made.metadata["location"].value == str(sandbox.project_root / "output/scores")
        assert gristmill.read_manifest(sandbox.project_root / "output/scores").rows == 3


def test_scaffolding_takes_what_it_is_told_and_leaves_the_resource_to_the_first() -> None:
    told = {
        "key": "shop/gross",
        "model": "python:shop:Prices",
        "input_location": "lake/orders/{partition}",
        "output_location": "lake/gross",
        "partitions": "daily",
        "start_date": "2026-01-01",
    }
    with create_defs_folder_sandbox() as sandbox:
        first = sandbox.scaffold_component(component_cls=BatchInferenceComponent, scaffold_params=told)
        given = yaml.load((first / "defs.yaml").read_text(), yaml.BaseLoader)["attributes"]
        assert given["assets"] == [
            {
                "key": "shop/gross",
                "model": "python:shop:Prices",
                "input_location": "lake/orders/{partition}",
                "output_spec": {"location": "lake/gross/{partition}", "mode": "overwrite"},
                "partitions_def": {"type": "daily", "start_date": "2026-01-01"},
            }
        ]
        sandbox.scaffold_component(component_cls=BatchInferenceComponent, scaffold_params={"partitions": "eu, us"})
        with sandbox.build_all_defs() as defs:
            assert set(defs.resources or {}) == {"gristmill"}
            parts = {spec.partitions_def for one in defs.assets or () for spec in one.specs}
            assert parts == {DAYS, REGIONS}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"partitions": "daily", "start_date": "tomorrow"}, "'tomorrow' is no date"),
        ({"partitions": "daily", "start_date": "2026-01-01-06:00"}, "is no date"),
        ({"start_date": "2026-01-01"}, "start_date: only windows of time have one"),
        ({"partitions": "eu,eu"}, "'eu,eu' repeats a key"),
        ({"partitions": ","}, "',' holds no key"),
        ({"partitions": "a...b"}, "partition key"),
        ({"key": "a b"}, "is no asset's key"),
        ({"key": "a//b"}, "is no asset's key"),
        ({"key": "input"}, "reserved"),
        ({"model": " "}, "model: is empty"),
        ({"input_location": ""}, "input_location"),
        ({"input_location": "lake/{partition}"}, "{partition}, which nothing fills"),
        ({"output_location": "lake/{region}", "partitions": "eu,us"}, "{region}, which nothing fills"),
    ],
)
def test_what_would_not_load_is_refused_before_anything_is_written(told: dict[str, str], said: str) -> None:
    with create_defs_folder_sandbox() as sandbox:
        with pytest.raises(ValueError, match=re.escape(said)):
            sandbox.scaffold_component(component_cls=BatchInferenceComponent, defs_path="scores", scaffold_params=told)
        assert not (sandbox.defs_folder_path / "scores").exists()


def test_a_folder_whose_name_is_no_key_gives_one_that_is() -> None:
    with create_defs_folder_sandbox() as sandbox:
        told = {"input_location": "lake/orders"}
        sandbox.scaffold_component(component_cls=BatchInferenceComponent, defs_path="my scores", scaffold_params=told)
        with sandbox.build_all_defs() as defs:
            (found,) = defs.assets or ()
            assert spec_of(found).key == dg.AssetKey("my_scores")


def test_nothing_is_written_into_a_folder_whose_name_dagster_reserves() -> None:
    with create_defs_folder_sandbox() as sandbox:
        with pytest.raises(ValueError, match="reserved"):
            sandbox.scaffold_component(component_cls=BatchInferenceComponent, defs_path="input")
        assert not list((sandbox.defs_folder_path / "input").iterdir())


def test_hours_begin_at_the_day_or_hour_that_is_told_and_templates_are_left_as_they_are() -> None:
    for start in ("2026-01-01", "2026-01-01-06:00"):
        told = {
            "partitions": "hourly",
            "start_date": start,
            "input_location": "{{ context.project_root }}/lake/{partition}",
        }
        with create_defs_folder_sandbox() as sandbox:
            path = sandbox.scaffold_component(component_cls=BatchInferenceComponent, scaffold_params=told)
            assert told["input_location"] in (path / "defs.yaml").read_text()
            with sandbox.build_all_defs() as defs:
                (found,) = defs.assets or ()
        wanted = start if len(start) > 10 else f"{start}-00:00"
        assert spec_of(found).partitions_def == dg.HourlyPartitionsDefinition(wanted)


@pytest.mark.parametrize(
    ("partitions", "kind"),
    [
        ("hourly", dg.HourlyPartitionsDefinition),
        ("daily", dg.DailyPartitionsDefinition),
        ("weekly", dg.WeeklyPartitionsDefinition),
        ("monthly", dg.MonthlyPartitionsDefinition),
    ],
)
def test_scaffolded_windows_of_time_have_a_first_day_of_their_own(partitions: str, kind: type) -> None:
    with create_defs_folder_sandbox() as sandbox:
        params = {"partitions": partitions}
        sandbox.scaffold_component(component_cls=BatchInferenceComponent, scaffold_params=params)
        with sandbox.build_all_defs() as defs:
            (found,) = defs.assets or ()
            assert isinstance(spec_of(found).partitions_def, kind)


def test_a_python_file_is_scaffolded_where_it_is_asked_for() -> None:
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(component_cls=BatchInferenceComponent, scaffold_format="python")
        text = (path / "component.py").read_text()
    assert "import BatchInferenceComponent" in text
    assert not (path / "defs.yaml").exists()
