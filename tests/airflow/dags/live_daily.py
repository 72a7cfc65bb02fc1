"""A job for each day, whose folder is the backfill's configuration: one DAG for each test, since runs are a DAG's."""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, CronPartitionTimetable, Param

from airflow_gristmill import RunBatchOperator

PARAMS = {
    "folder": Param("", type="string"),
    "delay": Param(0, type="number"),
    "force": Param("", type="string"),
}


INTERVALS = CronDataIntervalTimetable("0 0 * * *", timezone="UTC")
PARTITIONS = CronPartitionTimetable("0 0 * * *", timezone="UTC", key_format="%Y-%m-%d")


def daily(
    name: str, timetable: CronDataIntervalTimetable | CronPartitionTimetable = INTERVALS, **arguments: Any
) -> None:
    with DAG(
        f"live_{name}",
        schedule=timetable,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        end_date=datetime(2026, 1, 31, tzinfo=UTC),  # long gone: there are no runs but those of the tests
        catchup=False,
        params=PARAMS,
        render_template_as_native_obj=True,
    ):
        RunBatchOperator(
            **{
                "task_id": "score",
                "model": "echo:",
                "input_location": "{{ params.folder }}/in/{{ partition }}",
                "output_spec": {"location": "{{ params.folder }}/out/{{ partition }}", "mode": "overwrite"},
                "inference_engine_options": {
                    "column": "id",
                    "delay": "{{ params.delay }}",
                    "log": "{{ params.folder }}/calls",
                },
                "force_rerun": "{{ params.force }}",
                "deferrable": False,
                "poll_interval": 1.0,
                "retry_delay": timedelta(0),
                **arguments,
            }
        )


daily("daily")
daily("daily_killed")
daily("daily_pooled", pool="live_one_at_a_time")
daily("daily_pooled_deferred", pool="live_one_with_deferred", deferrable=True)
daily("partitioned", PARTITIONS)
