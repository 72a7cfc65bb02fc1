r"""A DAG that runs when something is published, by whatever published it: Airflow, the command line, another team.

The triggerer looks at a location for a new `_SUCCESS`. Each is one event of the asset, and the file stays where it is.
Events that come while the DAG is busy are handed to one run together, so the task goes through all of them.

It watches the output of `gristmill_classify_images`. Run that one, with `force` the second time, or publish there from
a shell, in the folder of the examples:

    gristmill run digits/model/digits.joblib digits/images digits/read --files '.*\.png' --column image=raw_bytes \
        --mode overwrite

Needs `pip install 'gristmill[airflow]'`. GRISTMILL_EXAMPLES: as in `classify_images.py`. A watcher belongs to no run,
so its location is no template; it is fixed where Airflow's DAG processor runs.
"""

import os
from pathlib import Path

from airflow.sdk import Asset, AssetWatcher, dag, task

from airflow_gristmill import SentinelTrigger

BASE = os.environ.get("GRISTMILL_EXAMPLES") or str(Path.home() / "gristmill-examples")

published = Asset(
    "gristmill_digits_published",
    watchers=[AssetWatcher(name="sentinel", trigger=SentinelTrigger(f"{BASE}/digits/read", poke_interval=10))],
)


@dag(dag_id="gristmill_on_publication", schedule=[published])
def on_publication():
    """Take note of each publication."""

    @task
    def note(triggering_asset_events=None) -> list[dict]:
        """What was published: a run that was started by hand has no event."""
        seen = []
        for event in triggering_asset_events.get(published, ()):
            summary = event.extra["payload"]
            # another tool's _SUCCESS tells its location only
            seen.append({name: summary[name] for name in ("location", "job", "rows", "errors") if name in summary})
        print(f"{len(seen)} published:", *seen)  # noqa: T201 - it stands in the task's log
        return seen

    note()


on_publication()
