"""A process with vLLM imported, in whose forks engines run: once for all tests that ask for it.

An engine starts in about two seconds in a fork, and in twenty in a new process.
"""

from collections.abc import Iterator

import pytest

from tests.preloaded import Preloaded

__all__ = ["ENVIRONMENT", "MODULES", "vllm_process"]

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
}
MODULES = (
    "compressed_tensors",
    "gristmill.api",
    "gristmill.engines.vllm.engine",
    "gristmill.registry.registry",
    "gristmill.runner.execute",
    "gristmill.submission.submit",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.tracking",
    "pyarrow.dataset",
    "vllm.entrypoints.launchers.cli_args",
    "vllm.entrypoints.llm",
    "vllm.entrypoints.openai.chat_completion.protocol",
    "vllm.lora.worker_manager",
    "vllm.model_executor.model_loader",
    "vllm.model_executor.models.llama",
    "vllm.v1.engine.core",
    "vllm.v1.engine.llm_engine",
    "vllm.v1.executor.uniproc_executor",
    "vllm.v1.worker.cpu_worker",
)
"""What takes vLLM long to import on its way to an engine on the CPU, and what it takes to look a model up."""


@pytest.fixture(scope="session")
def vllm_process() -> Iterator[Preloaded]:
    """A process with vLLM imported; `vllm_process.call(function, ...)` runs a function in a fork of it."""
    with Preloaded(MODULES, environment=ENVIRONMENT) as process:
        yield process
