"""Pictures in a folder, classified by a model of scikit-learn.

The first task writes 1,797 handwritten digits as PNG files and trains a model on half of them, unless they are there.
The job runs over the folder's listing, one row for each picture. The last task says how many of the pictures that the
model has not seen were read rightly.

`partition="digits"` makes all runs of this DAG one job: run it again and nothing is computed. With `force` it is.

Run it by hand: `airflow dags trigger gristmill_classify_images`, perhaps with `--conf '{"force": true}'`.

Needs `pip install 'gristmill[airflow,sklearn]' pillow`.

Everything stands under `gristmill-examples` in your home folder, or where the variable GRISTMILL_EXAMPLES of the
environment says: a folder that all of Airflow's machines share, or a URL such as `s3://lake/examples` (with the extra
`s3`).
"""

import os
from pathlib import Path

from airflow.sdk import Asset, Param, dag, task

from airflow_gristmill import RunBatchOperator

BASE = os.environ.get("GRISTMILL_EXAMPLES") or str(Path.home() / "gristmill-examples")
DIGITS = f"{BASE}/digits"


@dag(
    dag_id="gristmill_classify_images",
    schedule=None,
    max_active_runs=1,
    params={"force": Param(default=False, type="boolean")},
)
def classify_images():
    """Prepare, classify, report."""

    @task
    def prepare() -> None:
        """Write the pictures and the model, unless they are there."""
        import tempfile

        import fsspec

        from gristmill.demo.digits import prepare

        files, folder = fsspec.core.url_to_fs(DIGITS)
        if files.exists(f"{folder}/model/digits.joblib"):
            return
        with tempfile.TemporaryDirectory() as made:
            prepare(Path(made))
            for part in ("images", "model"):  # the model last: where it is, all is
                files.put(f"{made}/{part}/", f"{folder}/{part}/", recursive=True)

    classify = RunBatchOperator(
        task_id="classify",
        model=f"pickle:{DIGITS}/model/digits.joblib",
        input_files={"location": f"{DIGITS}/images", "pattern": r".*\.png", "column_name": "image"},
        input_spec={"column_handling": {"image": {"input_format": "full_stage_path", "convert_to": "raw_bytes"}}},
        output_spec={"location": f"{DIGITS}/read", "mode": "overwrite"},
        job_spec={"num_workers": 2, "on_error": "record"},
        fail_on_errors=0.01,
        partition="digits",
        force_rerun="{{ params.force }}",
        outlets=[Asset("gristmill_digits")],
    )

    @task
    def report(summary: dict) -> float:
        """The share of unseen pictures that were read rightly."""
        from gristmill import read_output
        from gristmill.demo.digits import load_digits

        digits = load_digits()
        read = read_output(summary["location"], columns=["image", "digit"]).to_pylist()
        by_name = {row["image"].rpartition("/")[2]: row["digit"] for row in read}
        right = [by_name[f"digit-{place:04d}.png"] == digits.labels[place] for place in digits.unseen]
        share = sum(map(bool, right)) / len(right)
        print(f"{share:.1%} of {len(right)} unseen digits read rightly")  # noqa: T201 - it stands in the task's log
        return share

    prepare() >> classify
    report(classify.output)


classify_images()
