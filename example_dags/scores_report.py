"""A DAG that waits for what another one publishes: a sensor for `_SUCCESS`, then a task that reads the output.

`newer_than` takes scores that were finished after the day was over, and no earlier ones. The sensor is deferrable: it
waits in the triggerer and holds no worker's slot.

Run `gristmill_nightly_scores` and this one for the same day, in any order:

    airflow backfill create --dag-id gristmill_scores_report --from-date 2026-01-01 --to-date 2026-01-01

A run by hand without a logical date has no day: its sensor fails.

Needs `pip install 'gristmill[airflow]'`. GRISTMILL_EXAMPLES: as in `nightly_scores.py`.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import CronDataIntervalTimetable, dag, task

from airflow_gristmill import SentinelSensor

BASE = os.environ.get("GRISTMILL_EXAMPLES") or str(Path.home() / "gristmill-examples")


@dag(
    dag_id="gristmill_scores_report",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
)
def scores_report():
    """Wait for the day's scores, then read them."""
    wait = SentinelSensor(
        task_id="wait",
        location=BASE + "/sales/scores/{{ data_interval_start | ds }}",
        newer_than="{{ data_interval_end }}",
        min_rows=1,
        deferrable=True,
        poke_interval=10,
        timeout=6 * 60 * 60,
    )

    @task
    def report(summary: dict) -> dict:
        """How many orders are likely to be late."""
        from gristmill import read_output

        scores = read_output(summary["location"], columns=["output_feature_1"]).column(0).to_pylist()
        return {"orders": len(scores), "late": sum(share > 0.5 for share in scores)}

    report(wait.output)


scores_report()
