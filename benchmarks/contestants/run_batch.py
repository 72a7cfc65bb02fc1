"""vLLM's own `run-batch`: a file of requests becomes a file of responses, and both become Parquet."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.contestants.arguments import engine_arguments
from benchmarks.harness.told import Told
from benchmarks.workloads.chats import ChatWorkload
from benchmarks.workloads.workload import Dataset

__all__ = ["run"]


def run(workload: ChatWorkload, dataset: Dataset, output: Path) -> None:
    """Write requests, run them, and put the answers beside the rows."""
    told = Told()
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(workload.ready(dataset.rows).inputs)
    output.mkdir(parents=True)
    requests, responses = output.parent / "requests.jsonl", output.parent / "responses.jsonl"
    body = {
        "model": workload.reference,
        "temperature": 0.0,
        "max_completion_tokens": workload.output_tokens,
        "ignore_eos": True,
    }
    with requests.open("w") as file:
        for row in table.to_pylist():
            request = {
                "custom_id": str(row["id"]),
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {**body, "messages": json.loads(row["messages"])},
            }
            file.write(json.dumps(request) + "\n")
    told.phase("write requests")
    subprocess.run(
        [
            sys.executable, "-m", "vllm.entrypoints.openai.run_batch", "-i", str(requests), "-o", str(responses),
            "--model", workload.reference, *engine_arguments(workload.engine_args),
        ],
        check=True,
    )  # fmt: skip
    told.phase("run-batch")
    answers = {}
    with responses.open() as file:
        for line in file:
            answer = json.loads(line)
            answers[int(answer["custom_id"])] = answer["response"]["body"]["choices"][0]["message"]["content"]
    column = pa.array([answers[number] for number in table["id"].to_pylist()], pa.string())
    pq.write_table(table.append_column("response", column), output / "part-0.parquet")
    told.phase("write")
    told.write()
