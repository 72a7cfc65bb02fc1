"""A mend of vLLM 0.32 on CPUs: sound at another rate than the model's, where torchaudio is not installed."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from gristmill.errors import ModelError

__all__ = ["mend_sound", "way_to_resample"]

_OTHERS = {"soxr": "soxr", "scipy": "scipy_signal", "pyav": "av"}
"""vLLM's other ways to change a rate, the best first, and the modules that it does them with."""


def mend_sound(renderer: Any) -> None:
    """Have vLLM change the rates of sounds with what is installed, where it would with torchaudio, which is not.

    Args:
        renderer: of an engine; it is what reads sounds, in this process in both ways of running.

    Raises:
        ModelError: the model hears, and nothing is installed that changes rates.
    """
    processor = renderer.mm_processor
    if processor is None or not processor.info.allowed_mm_limits.get("audio"):
        return
    from vllm.multimodal import audio

    if isinstance(audio.torchaudio, ModuleType):
        return
    # vLLM puts something else in the place of a module that cannot be imported
    way = way_to_resample({way: isinstance(getattr(audio, name), ModuleType) for way, name in _OTHERS.items()})
    for parser in (processor.data_parser, processor.info.data_parser):
        if parser.audio_resampler.method == "torchaudio":
            parser.audio_resampler.method = way


def way_to_resample(installed: Mapping[str, bool]) -> str:
    """The best of vLLM's ways that is installed.

    Raises:
        ModelError: none is.

    Example:
        >>> way_to_resample({"soxr": False, "scipy": True, "pyav": True})
        'scipy'
    """
    found = [way for way, is_there in installed.items() if is_there]
    if not found:
        raise ModelError(
            "the model hears sounds, and nothing is installed that changes their rates to its own: pip install soxr "
            "(or leave sounds out, with --limit-mm-per-prompt.audio=0 in engine_args_override)"
        )
    return found[0]
