"""From a job's options to the arguments of vLLM: what the user says, and what this job decides."""

import json
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

from gristmill.engines.vllm.memory import available_memory
from gristmill.errors import SpecError
from gristmill.spec.engine import check_engine_args

__all__ = ["FIELD", "engine_arguments", "gpus_asked", "logprobs_asked", "split_arguments", "spreads"]

FIELD = "inference_engine_options.engine_args_override"

_OWNED = {
    "model": "the model is the job's",
    "config": "a file could hold arguments that are not checked; write them out",
    "enable-lora": "adapters are given in inference_engine_options, {'adapters': {alias: folder}}",
    "data-parallel-size": "JobSpec.replicas says how many engines there are",
    "task": "vLLM has no such argument any more: use --runner=pooling with --convert=embed or classify",
}
_VALID_JSON = {"backend": "guidance", "disable_any_whitespace": True}
"""Of vLLM's backends the one whose answers are valid each time."""
_CPU_CACHE_BYTES = 4 * 1024**3
_CPU_CACHE_SHARE = 8
_CACHE_SIZES = frozenset({"kv-cache-memory-bytes", "num-gpu-blocks-override"})
"""Not --gpu-memory-utilization: on CPUs vLLM would take that share of all memory, and write to all of it."""
_PARALLEL = frozenset({"tensor-parallel-size", "pipeline-parallel-size"})
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
_MOST_LOADED = 8
_LOGPROBS = 20
_ALL = "-1"


def split_arguments(given: Iterable[str]) -> list[str]:
    """Each argument as `--name=value` or `--name`, however it was written.

    Example:
        >>> split_arguments(["--max-model-len 4096", "--enforce_eager"])
        ['--max-model-len=4096', '--enforce-eager']
    """
    written = []
    for argument in check_engine_args(given):
        name, equals, value = argument.partition("=")
        if " " in name or "\t" in name:
            name, value = argument.split(None, 1)
            equals = "="
        head, dot, rest = name.partition(".")  # --json-arg.key_of_the_users
        written.append(f"{head.replace('_', '-')}{dot}{rest}{equals}{value}")
    return written


def engine_arguments(
    model: str,
    options: Mapping[str, Any],
    *,
    gpus: float,
    workers: int = 1,
    on_cpu: bool,
    ranks: Iterable[int] = (),
) -> list[str]:
    """The arguments for vLLM's own parser.

    Args:
        model: the name or folder of the model.
        options: the job's engine options.
        gpus: GPUs of the replica; tensor parallelism follows them.
        workers: engines on this machine, which share its memory where it runs on CPUs.
        on_cpu: whether vLLM runs on CPUs.
        ranks: of the LoRA adapters, one for each.

    Raises:
        SpecError: an argument may not be given, or not beside the others.

    Example:
        >>> engine_arguments("org/name", {"engine_args_override": ["--dtype=half"]}, gpus=2, on_cpu=False)[:3]
        ['--model=org/name', '--dtype=half', '--tensor-parallel-size=2']
    """
    given = split_arguments(options.get("engine_args_override") or ())
    names = {_name(argument) for argument in given}
    for name in sorted(names):
        if name in _OWNED:
            raise SpecError(f"{FIELD}: --{name} cannot be set: {_OWNED[name]}")
    _check_trust(names, options)
    arguments = [f"--model={model}", *given]
    if options.get("trust_remote_code"):
        arguments.append("--trust-remote-code")
    if gpus >= 2 and gpus_asked(options) is None:
        arguments.append(f"--tensor-parallel-size={math.floor(gpus)}")
    if "structured-outputs-config" not in names:
        arguments.append(f"--structured-outputs-config={json.dumps(_VALID_JSON)}")
    if on_cpu and not names & _CACHE_SIZES and not os.environ.get("VLLM_CPU_KVCACHE_SPACE"):
        arguments.append(f"--kv-cache-memory-bytes={_cpu_cache_bytes(workers)}")
    ranks = list(ranks)
    if ranks:
        arguments.append("--enable-lora")
        if "max-lora-rank" not in names:
            arguments.append(f"--max-lora-rank={next((rank for rank in _RANKS if rank >= max(ranks)), max(ranks))}")
        arguments += _places(given, adapters=len(ranks), on_cpu=on_cpu)
    return arguments


def _places(given: Iterable[str], *, adapters: int, on_cpu: bool) -> list[str]:
    """Where adapters are held: as many at a time as the user says, and those that wait for their turn in memory."""
    asked: dict[str, int] = {}
    for argument in given:
        value = argument.partition("=")[2]
        if _name(argument) in ("max-loras", "max-cpu-loras") and value.isdecimal():
            asked[_name(argument)] = int(value)
    if on_cpu:
        # vLLM 0.32 puts rows without an adapter through the last place for one there, which therefore stays empty:
        # fewer places than this are not enough, whatever the user says; of two arguments the last one holds.
        most = max(adapters + 1, asked.get("max-loras", 0))
        return [f"--max-loras={most}", f"--max-cpu-loras={max(most, asked.get('max-cpu-loras', 0))}"]
    in_memory = asked.get("max-cpu-loras", adapters)
    most = asked.get("max-loras", min(adapters, _MOST_LOADED, in_memory))
    added = {"max-loras": most, "max-cpu-loras": max(most, in_memory)}
    return [f"--{name}={value}" for name, value in added.items() if name not in asked]


def _name(argument: str) -> str:
    return argument.lstrip("-").partition("=")[0].partition(".")[0].removeprefix("no-")


def _check_trust(names: set[str], options: Mapping[str, Any]) -> None:
    option = options.get("trust_remote_code")
    if option is not None and not isinstance(option, bool):
        raise SpecError(f"inference_engine_options.trust_remote_code: must be True or False (given: {option!r})")
    if "trust-remote-code" in names:
        raise SpecError(
            f"{FIELD}: --trust-remote-code lets a model's files run code on the workers; if you know them, "
            "say so in inference_engine_options, {'trust_remote_code': True}, and leave the argument out"
        )


def gpus_asked(options: Mapping[str, Any]) -> int | None:
    """The GPUs that a job's own arguments cut a model over; None where they leave it open.

    Raises:
        SpecError: a size is no number.

    Example:
        >>> gpus_asked({"engine_args_override": ["--tensor-parallel-size=2", "--pipeline-parallel-size 3"]})
        6
    """
    sizes = []
    for argument in split_arguments(options.get("engine_args_override") or ()):
        name, _, value = argument.lstrip("-").partition("=")
        if name in _PARALLEL:
            if not value.isdecimal() or int(value) < 1:
                raise SpecError(f"{FIELD}: --{name} must be a number of GPUs of at least 1 (given: {value!r})")
            sizes.append(int(value))
    return math.prod(sizes) if sizes else None


def logprobs_asked(options: Mapping[str, Any]) -> int | None:
    """The most of the likeliest tokens that a row may ask for at each place; None for all.

    Example:
        >>> logprobs_asked({}), logprobs_asked({"engine_args_override": ["--max-logprobs 50"]})
        (20, 50)
    """
    most: int | None = _LOGPROBS
    for argument in split_arguments(options.get("engine_args_override") or ()):
        value = argument.partition("=")[2]
        if _name(argument) == "max-logprobs" and value.removeprefix("-").isdecimal():
            most = None if value == _ALL else int(value)
    return most


def spreads(options: Mapping[str, Any]) -> bool:
    """Whether a job's own arguments have Ray place each copy of the model, on as many nodes as it takes.

    Example:
        >>> spreads({"engine_args_override": ["--distributed-executor-backend ray"]})
        True
    """
    return "--distributed-executor-backend=ray" in split_arguments(options.get("engine_args_override") or ())


def _cpu_cache_bytes(workers: int) -> int:
    """Room for keys and values in this machine's memory: vLLM would take nearly all of it."""
    available = available_memory()
    return max(256 * 1024**2, min(_CPU_CACHE_BYTES, available // _CPU_CACHE_SHARE) // max(workers, 1))
