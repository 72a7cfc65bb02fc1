"""Ray Data's own vLLM processor, as it is fastest on CPUs here: two stages less, eight batches beside each other."""

import logging
from pathlib import Path
from typing import Any

from benchmarks.harness.told import Told
from benchmarks.workloads.chats import ChatWorkload
from benchmarks.workloads.workload import Dataset

__all__ = ["run"]

_CPUS = 8
"""That Ray is told there are: its readers, writers and actors must not wait for each other's share."""


def run(workload: ChatWorkload, dataset: Dataset, output: Path) -> None:
    """Read, template, generate, write; Ray is started and stopped.

    vLLM's engine tokenizes and detokenizes by itself, in processes that are there anyway, so those stages are left out.
    """
    told = Told()
    import os

    import ray
    import ray.data
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    threads = str(len(os.sched_getaffinity(0)))  # Ray would give each actor one
    environment = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING", "OMP_NUM_THREADS": threads}
    told.phase("import")
    ray.init(
        num_cpus=_CPUS,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": environment},
    )
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    told.phase("init")
    config = vLLMEngineProcessorConfig(
        model_source=workload.reference,
        engine_kwargs={"disable_log_stats": True, **workload.engine_args},
        batch_size=64,
        max_concurrent_batches=8,
        concurrency=1,
        chat_template_stage={"enabled": True, "num_cpus": 0.5},
        tokenize_stage={"enabled": False},
        detokenize_stage={"enabled": False},
        placement_group_config={"bundles": [{"CPU": 1}] if workload.gpus is None else [{"CPU": 1, "GPU": 1}]},
        log_engine_metrics=False,
    )
    sampling = {"temperature": 0.0, "max_tokens": workload.output_tokens, "ignore_eos": True}

    def before(row: dict[str, Any]) -> dict[str, Any]:
        import json

        return {
            "id": row["id"],
            "text": row["messages"],
            "messages": json.loads(row["messages"]),
            "sampling_params": sampling,
        }

    def after(row: dict[str, Any]) -> dict[str, Any]:
        return {"id": row["id"], "messages": row["text"], "response": row["generated_text"]}

    processor = build_processor(config, preprocess=before, postprocess=after)
    processor(ray.data.read_parquet(str(workload.ready(dataset.rows).inputs))).write_parquet(str(output))
    told.phase("rows")
    ray.shutdown()
    told.write()
