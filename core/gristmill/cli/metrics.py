"""What models count, and what they are busy with, as people read it. Pure functions."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gristmill.cli.text import brief, count, one_line

if TYPE_CHECKING:
    from gristmill.jobs.record import Progress

__all__ = ["amounts", "busy", "token_speed"]


def amounts(metrics: Mapping[str, float], means: Mapping[str, float]) -> list[tuple[str, str]]:
    """Names and sums, with their means per second where there are any.

    Example:
        >>> amounts({"output_tokens": 1_234_567}, {"output_tokens": 480.2})
        [('output tokens', '1,234,567 (480/s)')]
    """
    return [
        (
            one_line(name.replace("_", " ")),
            (count(value) if float(value).is_integer() else f"{value:,.6g}")
            + (f" ({_rate(means[name])}/s)" if means.get(name) else ""),
        )
        for name, value in metrics.items()
    ]


def token_speed(progress: "Progress") -> str:
    """Tokens written and read per second, lately; empty where none are counted."""
    written, read = progress.rates.get("output_tokens", 0), progress.rates.get("prompt_tokens", 0)
    if written and read:
        return f"{_rate(written)} output + {_rate(read)} prompt tokens/s"
    return f"{_rate(written or read)} tokens/s" if written or read else ""


def busy(progress: "Progress") -> str:
    """How many rows are with the model, and how many wait for it; empty where that is not told."""
    if "rows_in_flight" not in progress.gauges:
        return ""
    flying, waiting = progress.gauges["rows_in_flight"], progress.gauges.get("rows_waiting", 0)
    return f"{count(flying)} in flight" + (f", {count(waiting)} waiting" if waiting else "")


def _rate(value: float) -> str:
    return brief(value) if value >= 10 else f"{value:.1f}"
