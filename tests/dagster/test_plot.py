"""The plot of throughput: a picture that is small and whole, of any run."""

import base64
import xml.etree.ElementTree as ET
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dagster.finished import finished

from dagster_gristmill.plot import throughput_plot
from gristmill.jobs.record import Progress
from gristmill.runner.pace import Pace
from gristmill.settings import Settings

SVG = "{http://www.w3.org/2000/svg}"


def picture(markdown: str | None) -> ET.Element:
    assert markdown is not None
    head, _, data = markdown.removesuffix(")").partition("(data:image/svg+xml;base64,")
    assert head.startswith("![rows/")
    return ET.fromstring(base64.b64decode(data))


def texts(markdown: str | None) -> list[str]:
    return [text.text or "" for text in picture(markdown).iter(f"{SVG}text")]


def test_a_real_job_has_a_plot(settings: Settings, tmp_path: Path) -> None:
    job, _ = finished(settings, pa.table({"x": range(10)}), str(tmp_path / "out"))
    progress = job.progress()
    assert progress is not None
    assert "rows/s" in texts(throughput_plot(progress))


def test_a_run_without_pace_has_none() -> None:
    assert throughput_plot(Progress(time=0)) is None
    assert throughput_plot(Progress(time=0, pace=[(0.0, 0)])) is None


def test_axes_are_labelled_with_the_rate_the_length_and_when_the_first_worker_was_ready() -> None:
    pace = [(0.0, 0), (60.0, 0), (120.0, 6_000)]
    plot = throughput_plot(Progress(time=0, pace=pace, ready=60.0))
    assert texts(plot) == [
        "rows/s", "0", "0", "50", "1 min 00 s", "100", "2 min 00 s", "first worker ready after 1 min 00 s",
    ]  # fmt: skip
    assert plot is not None
    assert plot.startswith("![rows/s over 2 min 00 s, at most 100]")


@pytest.mark.parametrize(
    ("rows", "unit", "top"), [(36_000, "rows/s", "10"), (360, "rows/min", "6"), (5, "rows/h", "5"), (0, "rows/s", "1")]
)
def test_slow_runs_are_counted_by_the_minute_or_the_hour(rows: int, unit: str, top: str) -> None:
    shown = texts(throughput_plot(Progress(time=0, pace=[(0.0, 0), (3_600.0, rows)])))
    assert shown[0] == unit
    assert top in shown


@given(st.lists(st.tuples(st.floats(0.01, 10_000), st.integers(0, 10**9)), min_size=1, max_size=300))
def test_any_run_gives_a_small_picture_whose_line_stays_within_it(gaps: list[tuple[float, int]]) -> None:
    pace, seconds, rows = Pace(), 0.0, 0
    for gap, more in [(0.0, 0), *gaps]:
        seconds, rows = seconds + gap, rows + more
        pace.add(seconds, rows)
    plot = throughput_plot(Progress(time=0, pace=pace.points, ready=seconds / 2))
    assert plot is not None
    assert len(plot) < 10_000
    assert "nan" not in plot
    svg = picture(plot)
    width, height = float(svg.attrib["width"]), float(svg.attrib["height"])
    line = [path.attrib["d"] for path in svg.iter(f"{SVG}path")][-2 if seconds / 2 >= 0.02 * seconds else -1]
    for step in line.removeprefix("M").replace("H", " H").replace("V", " V").split()[2:]:
        assert 0 <= float(step[1:]) <= (width if step[0] == "H" else height)
