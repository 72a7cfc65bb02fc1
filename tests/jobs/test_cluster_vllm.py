"""A client without vLLM submits chats to a cluster whose machines have it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import gristmill
from gristmill import Settings
from tests.cluster import Cluster
from tests.tiny.models import model_folder

CLIENT = """
import sys
sys.modules.update(dict.fromkeys(["vllm", "torch", "transformers", "ray"]))  # as if none were installed

import gristmill
from gristmill import InputSpec, OutputSpec, PoolSettings, Settings

model, address, folder = sys.argv[1:]
settings = Settings.load(
    home=folder + "/home",
    pools={
        "far": PoolSettings(
            kind="ray",
            address=address,
            runtime_env={"env_vars": {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}},
        ),
    },
)

def submit(pool):
    return gristmill.run_batch(
        "hf:" + model,
        input_location=folder + "/chats.parquet",
        output_spec=OutputSpec(location=folder + "/out"),
        input_spec=InputSpec(params={"temperature": 0, "max_completion_tokens": 4}),
        inference_engine_options={
            "engine": "vllm", "response_column": "text", "engine_args_override": ["--enforce-eager"]
        },
        compute_pool=pool,
        settings=settings,
    )

try:
    submit("inline")
except gristmill.errors.MissingExtraError as error:
    print(error)
job = submit("far")
print(job.wait(240).value, job.message)
"""


def test_a_client_without_vllm_runs_chats_on_a_cluster_that_has_it(
    cluster: Cluster, settings: Settings, tmp_path: Path
) -> None:
    chats = [json.dumps([{"role": "user", "content": f"number {number}"}]) for number in range(20)]
    pq.write_table(pa.table({"messages": chats}), tmp_path / "chats.parquet")
    client = subprocess.run(
        [sys.executable, "-c", CLIENT, str(model_folder("llama")), cluster.address, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "RAY_AUTH_TOKEN": cluster.token},
    )
    inline, far = client.stdout.splitlines() or [client.stderr, ""]
    assert "needs vLLM: pip install 'gristmill[vllm]'" in inline
    assert far == "DONE 20 rows", client.stdout
    rows = gristmill.read_output(tmp_path / "out", settings=settings).to_pylist()
    assert [row["messages"] for row in rows] == chats
    assert {row["usage"]["completion_tokens"] for row in rows} <= {1, 2, 3, 4}
    assert all(isinstance(row["text"], str) for row in rows)
