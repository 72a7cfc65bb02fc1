"""Inputs of each kind: files, SQL in a file, a listing, and what functions return."""

import pyarrow as pa
from airflow.sdk import DAG, Asset, AssetAlias, task

import gristmill
from airflow_gristmill import RunBatchOperator

BASE = "{{ params.base }}"
OUTPUT = {"location": BASE + "/out/{{ ti.task_id }}/{{ partition }}", "mode": "overwrite"}


def shout(rows: pa.RecordBatch) -> dict:
    return {"loud": [str(value).upper() for value in rows.column(0).to_pylist()]}


def folder(name: str, **more: object) -> DAG:
    return DAG(name, schedule=None, params={"base": ""}, template_searchpath="/", catchup=False, **more)


with folder("input_kinds"):
    RunBatchOperator(
        task_id="query",
        model="echo:",
        query="SELECT id FROM '{{ params.base }}/input/*.parquet' WHERE id < 3 ORDER BY id",
        inference_engine_options={"column": "id"},
        output_spec=gristmill.OutputSpec(**OUTPUT),
    )
    RunBatchOperator(
        task_id="files",
        model="python:tests.contract.models:Sizes",
        input_files={"location": BASE + "/files", "pattern": r".*\.bin", "column_name": "image"},
        input_spec=gristmill.InputSpec(
            column_handling={"image": {"input_format": "full_stage_path", "convert_to": "raw_bytes"}}
        ),
        job_spec=gristmill.JobSpec(job_name_prefix="sizes", block=True),
        output_spec=OUTPUT,
    )
    RunBatchOperator(task_id="function_here", model=shout, input_location=BASE + "/input", output_spec=OUTPUT)

    @task.batch_inference(model="echo:", output_spec=OUTPUT, inference_engine_options={"column": "id"})
    def location(params: dict) -> str:
        return f"{params['base']}/input"

    @task.batch_inference(model="echo:", output_spec=OUTPUT, inference_engine_options={"column": "word"})
    def frame(words: list):
        return pa.table({"word": words})

    @task.batch_inference(model="echo:", output_spec=OUTPUT, inference_engine_options={"column": "id"})
    def sql(params: dict) -> dict:
        return {"query": f"SELECT id FROM '{params['base']}/input/*.parquet' WHERE id = 5"}

    @task.batch_inference(model="echo:", output_spec=OUTPUT, inference_engine_options={"column": "FILE_PATH"})
    def listing(params: dict):
        return gristmill.list_files(params["base"] + "/files")

    location()
    frame(["a", "b"])
    sql()
    listing()

with folder("input_none"):

    @task.batch_inference(model="echo:", output_spec=OUTPUT, retries=3)
    def nothing():
        return None

    nothing()

with folder("mapped"):
    RunBatchOperator.partial(
        task_id="score",
        model="echo:",
        output_spec={"base_location": BASE + "/out"},
        inference_engine_options={"column": "id"},
        outlets=[Asset("scores"), AssetAlias("each-score")],
    ).expand(input_location=[BASE + "/input/a.parquet", BASE + "/input/b.parquet"])

    @task.batch_inference(
        model="echo:", output_spec={"base_location": BASE + "/each"}, inference_engine_options={"column": "id"}
    )
    def part(name: str, params: dict) -> str:
        return f"{params['base']}/input/{name}.parquet"

    part.expand(name=["a", "b"])
