"""Throughput over a job's time, as a small picture in Markdown."""

import base64
import math
from typing import TYPE_CHECKING

from gristmill.runner.pace import Stretch, stretches
from gristmill.wording.text import brief, duration

if TYPE_CHECKING:
    from gristmill.jobs.record import Progress

__all__ = ["throughput_plot"]

_WIDTH, _HEIGHT = 640, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 26, 28
_INK = "#8b93a1"  # a gray that reads on white and on black
_LINE = "#5b7fff"
_STEPS = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
_UNITS = ((1.0, "s"), (60.0, "min"), (3600.0, "h"))
_SLOWEST = 0.5
"""Below so many rows per second the axis counts by the minute, and so on."""

_SHORTEST_LOADING = 0.02
"""The share of the time from which on the time before the first worker was ready is marked."""


def throughput_plot(progress: "Progress") -> str | None:
    """Rows per second over the time of a job's newest run, as Markdown with a picture in it.

    The picture is an SVG of a few kilobytes, without a background of its own. None where the record tells no pace.
    """
    found = stretches(progress.pace)
    if not found:
        return None
    scale, unit = _unit_of(max(stretch.rate for stretch in found))
    svg = _svg(found, scale=scale, unit=unit, ready=progress.ready)
    alt = f"rows/{unit} over {duration(found[-1].stop)}, at most {_amount(scale * max(s.rate for s in found))}"
    return f"![{alt}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _unit_of(peak: float) -> tuple[float, str]:
    for scale, unit in _UNITS:
        if peak * scale >= _SLOWEST:
            return scale, unit
    return _UNITS[0] if peak == 0 else _UNITS[-1]


def _ceiling(value: float) -> float:
    """The next number above that reads well on an axis with a half."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in _STEPS if step * power >= value * (1 - 1e-9))


def _amount(value: float) -> str:
    return brief(value) if value >= 100 or value == 0 else f"{value:.3g}"


def _svg(found: list[Stretch], *, scale: float, unit: str, ready: float | None) -> str:
    top, end = _ceiling(scale * max(stretch.rate for stretch in found)), found[-1].stop
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def x(seconds: float) -> float:
        return _LEFT + (right - _LEFT) * seconds / end

    def y(rate: float) -> float:
        return bottom - (bottom - _TOP) * rate * scale / top

    steps = "".join(f"V{y(stretch.rate):.1f}H{x(stretch.stop):.1f}" for stretch in found)
    line = f"M{x(found[0].start):.1f} {y(found[0].rate):.1f}{steps}"
    area = f"{line}V{bottom}H{x(found[0].start):.1f}Z"
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    font = f'font-family="system-ui,sans-serif" font-size="12" fill="{_INK}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>', _text(_LEFT, 14, f"rows/{unit}")]
    for share in (0.0, 0.5, 1.0):
        height = bottom - (bottom - _TOP) * share
        parts.append(
            f'<path d="M{_LEFT} {height:.1f}H{right}" stroke="{_INK}" stroke-opacity="{0.3 if share else 0.8}"/>'
            + _text(_LEFT - 8, height + 4, _amount(top * share), anchor="end")
        )
        place = ("start", "middle", "end")[round(2 * share)]
        parts.append(_text(x(end * share), _HEIGHT - 8, duration(end * share) if share else "0", anchor=place))
    parts.append(f'<path d="{area}" fill="{_LINE}" fill-opacity="0.2"/>')
    parts.append(f'<path d="{line}" fill="none" stroke="{_LINE}" stroke-width="1.5"/>')
    if ready is not None and ready / end >= _SHORTEST_LOADING:
        at = x(min(ready, end))
        parts.append(f'<path d="M{at:.1f} {_TOP}V{bottom}" stroke="{_INK}" stroke-dasharray="3 3"/>')
        parts.append(_text(right, 14, f"first worker ready after {duration(ready)}", anchor="end"))
    return "".join([*parts, "</svg>"])


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
