"""Pictures in a folder, classified by a model of scikit-learn; the asset's page shows some of them with their classes.

`digits` writes 1,797 handwritten digits as PNG files and trains a model on half of them. `digits_read` is a job over
the folder's listing, one row for each picture. `accuracy` says how many of the pictures that the model has not seen
were read rightly, and its asset check wants nine out of ten.

    dagster dev -f example_dags/dagster/classify_images.py

Materialize all, then `digits_read` again: nothing is computed. With the tag `gristmill/force_rerun: "true"` on the run
(in the launchpad, under *Edit tags*) it is.

Needs `pip install 'gristmill[dagster,sklearn]' dagster-webserver pillow`.

Everything stands under `gristmill-examples` in your home folder, or where the variable GRISTMILL_EXAMPLES of the
environment says: a folder that all of Dagster's machines share, or a URL such as `s3://lake/examples` (with the extra
`s3`).
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_gristmill import GristmillIOManager, GristmillResource, batch_inference_asset

BASE = os.environ.get("GRISTMILL_EXAMPLES") or str(Path.home() / "gristmill-examples")
DIGITS = f"{BASE}/dagster/digits"


@dg.asset
def digits() -> dg.MaterializeResult:
    """The pictures and the model, unless they are there."""
    import tempfile

    import fsspec

    from gristmill.demo.digits import prepare

    files, folder = fsspec.core.url_to_fs(DIGITS)
    if not files.exists(f"{folder}/model/digits.joblib"):
        with tempfile.TemporaryDirectory() as made:
            prepare(Path(made))
            for part in ("images", "model"):  # the model last: where it is, all is
                files.put(f"{made}/{part}/", f"{folder}/{part}/", recursive=True)
    return dg.MaterializeResult(metadata={"location": f"{DIGITS}/images"})


digits_read = batch_inference_asset(
    "digits_read",
    model=f"pickle:{DIGITS}/model/digits.joblib",
    input_files={"location": f"{DIGITS}/images", "pattern": r".*\.png", "column_name": "image"},
    input_spec={"column_handling": {"image": {"input_format": "full_stage_path", "convert_to": "raw_bytes"}}},
    output_spec={"location": f"{DIGITS}/read", "mode": "overwrite"},
    job_spec={"num_workers": 2, "on_error": "record"},
    fail_on_errors=0.01,
    deps=[digits],
    kinds={"sklearn"},
)


@dg.asset(
    ins={"read": dg.AssetIn("digits_read", input_manager_key="outputs", metadata={"columns": ["image", "digit"]})},
    check_specs=[dg.AssetCheckSpec("reads_well", asset="accuracy")],
)
def accuracy(read) -> Iterator[Any]:
    """The share of unseen pictures that were read rightly."""
    from gristmill.demo.digits import load_digits

    known = load_digits()
    by_name = {row["image"].rpartition("/")[2]: row["digit"] for row in read.to_pylist()}
    right = [bool(by_name[f"digit-{place:04d}.png"] == known.labels[place]) for place in known.unseen]
    share = sum(right) / len(right)
    yield dg.MaterializeResult(metadata={"share": share, "pictures": len(right)})
    yield dg.AssetCheckResult(check_name="reads_well", passed=share > 0.9)


gristmill = GristmillResource()
defs = dg.Definitions(
    assets=[digits, digits_read, accuracy],
    resources={"gristmill": gristmill, "outputs": GristmillIOManager(gristmill=gristmill)},
)
