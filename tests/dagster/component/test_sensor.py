"""Sensors of a `defs.yaml`."""

from pathlib import Path

import dagster as dg
import pytest
from tests.dagster.projects import project, refused

import gristmill

SENSOR = """
gristmill: {}
assets:
  - key: gross
    model: "echo:"
    input_location: LAKE/orders/{partition}
    output_spec: {location: "LAKE/gross/{partition}", mode: overwrite}
    partitions_def: {type: daily, start_date: 2026-01-01}
sensors:
  - name: orders_are_there
    location: LAKE/landed/{day}
    target: gross
    partitions_def: {type: daily, start_date: 2026-01-01}
    min_rows: 1
    default_status: running
"""


def test_a_sensor_asks_for_the_partition_whose_output_has_landed(lake: Path, instance: dg.DagsterInstance) -> None:
    gristmill.run_batch(
        "echo:", input_location=lake / "orders/2026-01-02", output_spec={"location": lake / "landed/2026-01-02"}
    ).wait()
    with project(SENSOR.replace("LAKE", str(lake))) as defs:
        (sensor,) = defs.sensors or ()
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
        with dg.build_sensor_context(instance, resources=dict(defs.resources or {}), definitions=defs) as context:
            (asked,) = sensor.evaluate_tick(context).run_requests
    assert asked.partition_key == "2026-01-02"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{name: landed, location: lake}", "landed"),
        ("{name: landed, location: lake, target: gross, max_error_rate: 2}", "max_error_rate"),
        ("{name: landed, location: lake, target: gross, min_row: 2}", "sensors.0.min_row"),
        ("{name: landed, location: lake, target: gross, minimum_interval_seconds: -5}", "minimum_interval_seconds"),
        ("{name: landed, location: lake, asset_key: ''}", "asset_key: is no asset's key"),
    ],
)
def test_a_sensor_that_can_do_nothing_is_refused_with_its_line(given: str, said: str) -> None:
    told = refused(f"gristmill: {{}}\nsensors:\n  - {given}")
    assert said in told
    assert "defs.yaml:5" in told
