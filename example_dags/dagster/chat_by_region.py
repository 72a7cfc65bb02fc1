"""A day's questions answered by a chat model, one job for each region and day, and one more over all answers.

The partitions have two dimensions, whose names are fields of the locations: `{region}`, `{day}`. `chat_summary` is an
asset of one's own, with a partition for each day: it loads the texts of all regions' answers, and runs a model over a
frame with `gristmill.run(...)`, as one job.

    dagster dev -f example_dags/dagster/chat_by_region.py

Materialize a day of `questions` and `answers` for all regions, then that day of `chat_summary`.

The model is `echo:chat`, which repeats what it is told and needs nothing. The variable GRISTMILL_EXAMPLES_CHAT names
another one, where its extra is installed: `hf:Qwen/Qwen2.5-0.5B-Instruct` (`vllm`), or `openai:gpt-4o-mini` (`openai`,
and a key in OPENAI_API_KEY).

Needs `pip install 'gristmill[dagster]' dagster-webserver`. GRISTMILL_EXAMPLES: as in `nightly_scores.py`.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_gristmill import GristmillIOManager, GristmillResource, batch_inference_asset

BASE = os.environ.get("GRISTMILL_EXAMPLES") or str(Path.home() / "gristmill-examples")
CHATS = f"{BASE}/dagster/chats"
MODEL = os.environ.get("GRISTMILL_EXAMPLES_CHAT", "echo:chat")
QUESTIONS = {
    "apac": ["Where is my parcel?", "Can I change the address?"],
    "emea": ["The cup came broken.", "When do you open?", "Do you ship to Malta?"],
    "amer": ["I was charged twice."],
}
DAYS = dg.DailyPartitionsDefinition("2026-01-01")
REGIONS_AND_DAYS = dg.MultiPartitionsDefinition({"region": dg.StaticPartitionsDefinition(list(QUESTIONS)), "day": DAYS})


@dg.asset(partitions_def=REGIONS_AND_DAYS)
def questions(context: dg.AssetExecutionContext) -> None:
    """The day's questions of a region."""
    import json

    import fsspec

    part = context.partition_key.keys_by_dimension
    region, day = part["region"], part["day"]
    with fsspec.open(f"{CHATS}/questions/{day}/{region}/0.jsonl", "wt", auto_mkdir=True) as file:
        file.writelines(json.dumps({"region": region, "prompt": text}) + "\n" for text in QUESTIONS[region])


answers = batch_inference_asset(
    "answers",
    model=MODEL,
    input_location=CHATS + "/questions/{day}/{region}",
    output_spec={"location": CHATS + "/answers/{day}/{region}", "mode": "overwrite"},
    input_spec={"params": {"temperature": 0.0, "max_completion_tokens": 100}},
    job_spec={"on_error": "record"},
    partitions_def=REGIONS_AND_DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    partitions_at_once=2,
    deps=[questions],
)


@dg.asset(partitions_def=DAYS, ins={"answers": dg.AssetIn(input_manager_key="outputs", metadata={"text": True})})
def chat_summary(context: dg.AssetExecutionContext, gristmill: GristmillResource, answers) -> Iterator[Any]:
    """One row: all answers of the day, in one message."""
    import pyarrow as pa

    told = "\n".join(f"- {text}" for text in answers["response"].to_pylist())
    prompt = f"Sum up in one sentence what customers were told today:\n{told}"
    yield from gristmill.run(
        context,
        model=MODEL,
        X=pa.table({"prompt": [prompt]}),
        input_spec={"params": {"temperature": 0.0, "max_completion_tokens": 200}},
        output_spec={"location": CHATS + "/summary/{partition}", "mode": "overwrite"},
    )


resource = GristmillResource()
defs = dg.Definitions(
    assets=[questions, answers, chat_summary],
    resources={"gristmill": resource, "outputs": GristmillIOManager(gristmill=resource)},
)
