"""The bare script: vLLM's own `LLM`, loaded here, given all rows in one call of `chat`, and one Parquet file.

Not in a process of its own, which is the fastest way on CPUs, unless it is told so.
"""

import os
from pathlib import Path

from benchmarks.harness.steady import mark_call
from benchmarks.harness.told import Told
from benchmarks.workloads.chats import ChatWorkload
from benchmarks.workloads.workload import Dataset

__all__ = ["run"]


def run(
    workload: ChatWorkload, dataset: Dataset, output: Path, *, own_process: bool = False, is_sorted: bool = False
) -> None:
    """Load, chat, write.

    Args:
        workload: the model, and what everybody gives vLLM.
        dataset: the rows; those with their media in them are taken instead.
        output: the folder to make.
        own_process: whether vLLM's engine gets a process of its own, as it does where nobody says otherwise.
        is_sorted: whether rows are sorted by their messages first.
    """
    told = Told()
    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    os.environ["VLLM_LOGGING_LEVEL"] = "WARNING"
    if not own_process:
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq
    from vllm import LLM, SamplingParams

    told.phase("import")
    backend = {} if own_process else {"distributed_executor_backend": "uni"}
    llm = LLM(workload.reference, disable_log_stats=True, **backend, **workload.engine_args)
    told.phase("load")
    table = pq.read_table(workload.ready(dataset.rows).inputs)
    if is_sorted:
        table = table.sort_by("messages")
    conversations = [json.loads(text) for text in table["messages"].to_pylist()]
    params = SamplingParams(temperature=0.0, max_tokens=workload.output_tokens, ignore_eos=True)
    told.phase("read")
    mark_call()
    answers = llm.chat(conversations, params, use_tqdm=False)
    told.phase("rows")
    rate = len(answers) / (told.ends["rows"] - told.ends["read"])
    prompts = [len(answer.prompt_token_ids) for answer in answers]
    cached = [answer.num_cached_tokens or 0 for answer in answers]
    made = [len(answer.outputs[0].token_ids) for answer in answers]
    told.numbers |= {
        "rate": rate,
        "tokens_per_second": rate * sum(made) / len(made),
        "prompt_tokens": sum(prompts) / len(prompts),
        "cached": sum(cached) / sum(prompts),
    }
    columns = {
        "response": [answer.outputs[0].text for answer in answers],
        "prompt_tokens": prompts,
        "cached_tokens": cached,
        "completion_tokens": made,
    }
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    output.mkdir(parents=True)
    pq.write_table(table, output / "part-0.parquet")
    told.phase("write")
    told.write()
