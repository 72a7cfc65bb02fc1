"""A day's questions answered by a chat model, one job for each region, and one more over all answers.

`RunBatchOperator.partial(...).expand_kwargs(...)` makes a task, and a job, of each region. `@task.batch_inference`
makes a task of a function that returns its input: here a table of one row, which asks the model to sum up the day.

The model is `echo:chat`, which repeats what it is told and needs nothing. Another one, where its extra is installed:
`airflow dags trigger gristmill_chat_by_region --conf '{"model": "hf:Qwen/Qwen2.5-0.5B-Instruct"}'` (`vllm`), or
`openai:gpt-4o-mini` (`openai`, and a key in OPENAI_API_KEY).

Needs `pip install 'gristmill[airflow]'`.

Everything stands under `gristmill-examples` in your home folder, or where the variable GRISTMILL_EXAMPLES of the
environment says: a folder that all of Airflow's machines share, or a URL such as `s3://lake/examples` (with the extra
`s3`).
"""

import os
from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import CronDataIntervalTimetable, Param, dag, get_current_context, task

from airflow_gristmill import RunBatchOperator
from airflow_gristmill.partition import partition_of, path_of

BASE = os.environ.get("GRISTMILL_EXAMPLES") or str(Path.home() / "gristmill-examples")
CHATS = f"{BASE}/chats"
QUESTIONS = {
    "apac": ["Where is my parcel?", "Can I change the address?"],
    "emea": ["The cup came broken.", "When do you open?", "Do you ship to Malta?"],
    "amer": ["I was charged twice."],
}


@dag(
    dag_id="gristmill_chat_by_region",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    params={"model": Param("echo:chat", type="string", title="Chat model")},
)
def chat_by_region():
    """Questions, answers of each region, a summary."""

    @task
    def questions() -> list[dict]:
        """Write the day's questions of each region; returns what differs between their jobs."""
        import json

        import fsspec

        day = path_of(partition_of(get_current_context()))
        for region, texts in QUESTIONS.items():
            with fsspec.open(f"{CHATS}/questions/{day}/{region}/0.jsonl", "wt", auto_mkdir=True) as file:
                file.writelines(json.dumps({"region": region, "prompt": text}) + "\n" for text in texts)
        return [
            {
                "input_location": f"{CHATS}/questions/{day}/{region}",
                "output_spec": {"location": f"{CHATS}/answers/{day}/{region}", "mode": "overwrite"},
            }
            for region in QUESTIONS
        ]

    answer = RunBatchOperator.partial(
        task_id="answer",
        model="{{ params.model }}",
        input_spec={"params": {"temperature": 0.0, "max_completion_tokens": 100}},
        job_spec={"on_error": "record"},
        max_active_tis_per_dagrun=2,
    ).expand_kwargs(questions())

    @task.batch_inference(
        model="{{ params.model }}",
        input_spec={"params": {"temperature": 0.0, "max_completion_tokens": 200}},
        output_spec={"location": CHATS + "/summary/{{ partition }}", "mode": "overwrite"},
    )
    def summarize(answers: list[dict]):
        """One row: all answers of the day, in one message."""
        import pyarrow as pa

        from gristmill import read_output

        texts = [text for one in answers for text in read_output(one["location"], text=True)["response"].to_pylist()]
        asked = "Sum up in one sentence what customers were told today:\n" + "\n".join(f"- {text}" for text in texts)
        return pa.table({"prompt": [asked]})

    summarize(answer.output)


chat_by_region()
