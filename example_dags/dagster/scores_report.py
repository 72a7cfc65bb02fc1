"""An asset that builds on the output of a job, in a code location of its own.

`GristmillIOManager` finds the day's `scores` by their latest materialization, and loads the columns that are asked for
as a `pyarrow.Table`, or as what an annotation says. A day without finished scores is refused. With the sensor
`default_automation_condition_sensor` switched on (under *Automation*), the report follows the day's scores by itself.

    dagster dev -f example_dags/dagster/nightly_scores.py -f example_dags/dagster/scores_report.py

Materialize a day of `scores`, then the same day of `scores_report`.

Needs `pip install 'gristmill[dagster]' dagster-webserver`. GRISTMILL_EXAMPLES: as in `nightly_scores.py`.
"""

import dagster as dg

from dagster_gristmill import GristmillIOManager, GristmillResource

DAYS = dg.DailyPartitionsDefinition("2026-01-01")


@dg.asset(
    partitions_def=DAYS,
    ins={"scores": dg.AssetIn(input_manager_key="outputs", metadata={"columns": ["output_feature_1"]})},
    automation_condition=dg.AutomationCondition.eager(),
)
def scores_report(scores) -> dg.MaterializeResult:
    """How many orders of the day are likely to be late."""
    late = sum(share > 0.5 for share in scores.column(0).to_pylist())
    return dg.MaterializeResult(metadata={"orders": scores.num_rows, "late": late})


defs = dg.Definitions(
    assets=[dg.AssetSpec("scores", partitions_def=DAYS), scores_report],
    resources={"outputs": GristmillIOManager(gristmill=GristmillResource())},
)
