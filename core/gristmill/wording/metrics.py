"""What models count, and what they are busy with, as people read it. Pure functions."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gristmill.wording.text import brief, count, duration, one_line

if TYPE_CHECKING:
    from gristmill.jobs.record import Progress

__all__ = ["amounts", "busy", "details", "speed", "token_speed"]


def amounts(metrics: Mapping[str, float], means: Mapping[str, float]) -> list[tuple[str, str]]:
    """Names and sums, with their means per second where there are any; of cached tokens the share of all prompts.

    Example:
        >>> amounts({"output_tokens": 1_234_567}, {"output_tokens": 480.2})
        [('output tokens', '1,234,567 (480/s)')]
    """
    return [(one_line(name.replace("_", " ")), _amount(name, metrics, means)) for name in metrics]


def _amount(name: str, metrics: Mapping[str, float], means: Mapping[str, float]) -> str:
    value = metrics[name]
    text = count(value) if float(value).is_integer() else f"{value:,.6g}"
    if name == "cached_tokens" and metrics.get("prompt_tokens"):
        return f"{text} ({100 * value / metrics['prompt_tokens']:.0f} % of prompt tokens)"
    return f"{text} ({_rate(means[name])}/s)" if means.get(name) else text


def token_speed(progress: "Progress", *, is_short: bool = False) -> str:
    """Tokens written and read per second, lately, or only those written; empty where none are counted."""
    written, read = progress.rates.get("output_tokens", 0), progress.rates.get("prompt_tokens", 0)
    if written and read and not is_short:
        return f"{_rate(written)} output + {_rate(read)} prompt tokens/s"
    return f"{_rate(written or read)} tokens/s" if written or read else ""


def busy(progress: "Progress") -> str:
    """How many rows are with the model, and how many wait for it; empty where that is not told."""
    if "rows_in_flight" not in progress.gauges:
        return ""
    flying, waiting = progress.gauges["rows_in_flight"], progress.gauges.get("rows_waiting", 0)
    return f"{count(flying)} in flight" + (f", {count(waiting)} waiting" if waiting else "")


def details(progress: "Progress") -> list[str]:
    """What a model reads, writes and holds, in parts; none where it tells nothing."""
    return [part for part in (token_speed(progress), busy(progress)) if part]


def speed(progress: "Progress") -> list[str]:
    """Rows per second, lately, and the time left, in parts; those that are known."""
    parts = []
    if progress.rate:
        parts.append(f"{_rate(progress.rate)} rows/s")
    if progress.eta is not None:
        parts.append(f"{duration(progress.eta)} left")
    return parts


def _rate(value: float) -> str:
    return brief(value) if value >= 10 else f"{value:.1f}"
