"""An engine that does not start: what happened, and what to do about it."""

from gristmill.errors import ModelError

__all__ = ["start_failure"]

_MEMORY = (
    "out of memory", "available memory", "cache blocks", "kv cache", "outofmemory", "cannot allocate", "max seq len",
    "max_model_len", "memory utilization",
)  # fmt: skip
_ADVICE = (
    "lower --max-model-len or --max-num-seqs in engine_args_override, change --gpu-memory-utilization "
    "(higher where only the cache does not fit, lower where something else uses the memory), "
    "use a quantized or smaller model, or give each replica more GPUs with job_spec.gpu_requests"
)
_CHILD = "engine core initialization failed"


def start_failure(error: BaseException, *, model: str, reason: str | None = None) -> ModelError:
    """The error for an engine that did not start.

    Args:
        error: what was raised here.
        model: its reference.
        reason: what the engine's own process printed last of errors, where it has one.

    Example:
        >>> str(start_failure(RuntimeError("CUDA out of memory"), model="hf:m")).partition(";")[0]
        "model 'hf:m': vLLM ran out of memory when it started: RuntimeError: CUDA out of memory"
    """
    said = f"{type(error).__name__}: {error}"
    if _CHILD in said.lower() and reason is not None:
        said = f"{reason} (more of it in the job's log, job.get_logs())"
    if any(word in said.lower() for word in _MEMORY):
        return ModelError(f"model {model!r}: vLLM ran out of memory when it started: {said}; {_ADVICE}")
    if _CHILD in said.lower():
        return ModelError(
            f"model {model!r}: vLLM's engine process did not start; the job's log has the reason (job.get_logs()); "
            f"if it is memory: {_ADVICE}"
        )
    return ModelError(f"model {model!r}: vLLM did not start: {said}")
