"""A table scored each night, one job for each day.

The first tasks write 1,000 orders of the day and, once, train a model on others; in real life both are there. The
output of each day stands in a folder of its own, named by `{{ partition }}`. `gristmill_scores_report` waits for it.

Run it for a day, or for twenty:

    airflow backfill create --dag-id gristmill_nightly_scores --from-date 2026-01-01 --to-date 2026-01-20 \
        --max-active-runs 2

Clear a task `score`, and nothing is computed again, since the request is the same. A run by hand without a logical date
is about no day: it scores orders under its run id.

Needs `pip install 'gristmill[airflow,sklearn]'`.

Everything stands under `gristmill-examples` in your home folder, or where the variable GRISTMILL_EXAMPLES of the
environment says: a folder that all of Airflow's machines share, or a URL such as `s3://lake/examples` (with the extra
`s3`).
"""

import os
from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import Asset, CronDataIntervalTimetable, dag, get_current_context, task

from airflow_gristmill import RunBatchOperator
from airflow_gristmill.partition import partition_of, path_of

BASE = os.environ.get("GRISTMILL_EXAMPLES") or str(Path.home() / "gristmill-examples")
SALES = f"{BASE}/sales"
MODEL = f"{SALES}/models/late.joblib"


@dag(
    dag_id="gristmill_nightly_scores",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=2,
)
def nightly_scores():
    """Orders and a model, then scores."""

    @task(max_active_tis_per_dag=1)  # of two days at once, one trains and the other finds it done
    def train() -> None:
        """A model that tells which orders will be late, unless there is one."""
        import fsspec
        import joblib
        import numpy as np
        import pandas as pd
        from sklearn.linear_model import LogisticRegression

        files, path = fsspec.core.url_to_fs(MODEL)
        if files.exists(path):
            return
        draw = np.random.default_rng(0)
        past = pd.DataFrame({"items": draw.integers(1, 20, 2_000), "distance": draw.uniform(0, 800, 2_000)})
        late = 0.2 * past["items"] + 0.01 * past["distance"] + draw.normal(0, 1, 2_000) > 6
        with fsspec.open(MODEL, "wb", auto_mkdir=True) as file:
            joblib.dump(LogisticRegression().fit(past, late), file)

    @task
    def orders() -> None:
        """The day's orders, unless they are there; the same whenever they are made."""
        import zlib

        import fsspec
        import numpy as np
        import pandas as pd

        day = partition_of(get_current_context())
        where = f"{SALES}/orders/{path_of(day)}/orders.parquet"
        files, path = fsspec.core.url_to_fs(where)
        if files.exists(path):
            return
        draw = np.random.default_rng(zlib.crc32(day.encode()))
        rows = pd.DataFrame(
            {
                "order": [f"{day}/{number}" for number in range(1_000)],
                "items": draw.integers(1, 20, 1_000),
                "distance": draw.uniform(0, 800, 1_000),
            }
        )
        with fsspec.open(where, "wb", auto_mkdir=True) as file:
            rows.to_parquet(file)

    score = RunBatchOperator(
        task_id="score",
        model=f"pickle:{MODEL}",
        input_location=SALES + "/orders/{{ partition }}",
        output_spec={"location": SALES + "/scores/{{ partition }}", "mode": "overwrite"},
        job_spec={"function_name": "predict_proba"},
        outlets=[Asset("gristmill_scores")],
        retries=2,
    )
    [train(), orders()] >> score


nightly_scores()
