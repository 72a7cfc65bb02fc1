"""The first rows as Markdown: readable, bounded, never obeyed, and never a reason to fail."""

import base64
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.dagster.finished import finished

from dagster_gristmill.preview import preview
from dagster_gristmill.thumbnail import image_type, thumbnail
from gristmill import InputSpec, JobSpec
from gristmill.settings import Settings
from gristmill.storage.storage import Storage

URI = re.compile(r"!\[([^\]]*)\]\(data:(image/[a-z]+);base64,([A-Za-z0-9+/=]+)\)")
FILES = {"input_format": "full_stage_path", "convert_to": "raw_bytes"}


def picture(side: int, kind: str = "PNG", *, noise: bool = False) -> bytes:
    from PIL import Image

    sink = io.BytesIO()
    image = Image.effect_noise((side, side), 100).convert("RGB") if noise else Image.new("RGB", (side, side), "teal")
    image.save(sink, kind)
    return sink.getvalue()


def shown(settings: Settings, rows: pa.Table, location: Path, model: str = "echo:", **arguments: Any) -> str:
    job, manifest = finished(settings, rows, str(location), model, **arguments)
    return preview(job, manifest)


def test_the_first_rows_are_shown_and_how_many_there_are(settings: Settings, tmp_path: Path) -> None:
    rows = pa.table({"x": range(20)})
    text = shown(settings, rows, tmp_path / "out", inference_engine_options={"column": "x", "output_type": "string"})
    lines = text.splitlines()
    assert lines[:3] == ["| x | echo |", "| ---: | --- |", "| 0 | 0 |"]
    assert len([line for line in lines if line.startswith("| ")]) == 2 + 5
    assert lines[-1] == "5 of 20 rows"


def test_what_data_says_is_shown_and_not_obeyed(settings: Settings, tmp_path: Path) -> None:
    nasty = ["a|b", "`x`\n\n# y", "<script>alert(1)</script>", "![](https://tracker/x.png)", "[x](javascript:y) **z**"]
    text = shown(settings, pa.table({"te|xt": nasty}), tmp_path / "out", inference_engine_options={"column": "te|xt"})
    assert text.splitlines()[:7] == [
        "| te&#124;xt | echo |",
        "| --- | --- |",
        "| a&#124;b | a&#124;b |",
        r"| \`x\` # y | \`x\` # y |",
        "| &lt;script&gt;alert(1)&lt;/script&gt; | &lt;script&gt;alert(1)&lt;/script&gt; |",
        r"| \!\[\](https://tracker/x.png) | \!\[\](https://tracker/x.png) |",
        r"| \[x\](javascript:y) \*\*z\*\* | \[x\](javascript:y) \*\*z\*\* |",
    ]


def test_wide_tables_and_long_texts_are_bounded(settings: Settings, tmp_path: Path) -> None:
    rows = pa.table({f"column{number}": ["<" * 50_000] * 5 for number in range(40)})
    text = shown(settings, rows, tmp_path / "out", inference_engine_options={"column": "column0"})
    assert len(text) < 40_000
    assert "29 columns not shown: column6, column7" in text
    assert text.splitlines()[0].startswith("| column0 |")
    assert text.splitlines()[0].endswith("| echo |")


def test_chats_are_shown_as_text(settings: Settings, tmp_path: Path) -> None:
    rows = pa.table({"id": [7], "messages": [[{"role": "user", "content": "How are you?"}]]})
    text = shown(settings, rows, tmp_path / "out", "echo:chat", inference_engine_options={"output_prefix": "chat_"})
    assert text.splitlines()[0] == "| id | messages | response |"
    assert text.splitlines()[2] == "| 7 | user: How are you? | How are you? |"


def test_failed_rows_say_why(settings: Settings, tmp_path: Path) -> None:
    text = shown(
        settings,
        pa.table({"x": [1, 2]}),
        tmp_path / "out",
        job_spec=JobSpec(on_error="record"),
        inference_engine_options={"column": "x", "fail_on": "2"},
    )
    first, second = text.splitlines()[2:4]
    assert first.endswith("| 1 |  |")
    assert "ValueError: " in second


def test_an_output_without_rows_says_so(settings: Settings, tmp_path: Path) -> None:
    assert shown(settings, pa.table({"x": pa.array([], pa.int64())}), tmp_path / "out") == "The output has no rows."


def test_images_in_cells_and_in_files_are_thumbnails(settings: Settings, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "big.jpg").write_bytes(picture(2_000, "JPEG", noise=True))
    (files / "small.webp").write_bytes(picture(8, "WEBP"))
    (files / "plain.txt").write_text("no image")
    rows = pa.table(
        {
            "file": [*(str(files / name) for name in ("big.jpg", "small.webp", "plain.txt")), None],
            "raw": [picture(300), picture(8, "GIF"), b"<svg xmlns='http://www.w3.org/2000/svg'/>", None],
            "id": range(4),
        }
    )
    text = shown(
        settings,
        rows,
        tmp_path / "out",
        input_spec=InputSpec(column_handling={"file": FILES}, allowed_locations=(str(files),)),
        inference_engine_options={"column": "id"},
    )
    found = URI.findall(text)
    assert [(alt, kind) for alt, kind, _ in found] == [
        ("big.jpg", "image/jpeg"), ("raw", "image/jpeg"), ("small.webp", "image/webp"), ("raw", "image/gif"),
    ]  # fmt: skip
    from PIL import Image

    for _, _, data in found:
        assert max(Image.open(io.BytesIO(base64.b64decode(data))).size) <= 96
    assert text.splitlines()[4].startswith(f"| {files}/plain.txt | &lt;41 B&gt; |")
    assert "svg" not in text
    assert len(text) < 40_000


def test_files_are_opened_only_where_the_job_may(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture(8))
    text = shown(
        settings,
        pa.table({"file": [str(tmp_path / "secret.png"), "@nowhere/x.png"], "id": [1, 2]}),
        tmp_path / "out",
        input_spec=InputSpec(column_handling={"file": FILES}),
        job_spec=JobSpec(on_error="record"),
        inference_engine_options={"column": "id"},
    )
    assert "not opened: AccessError" in text
    assert "not opened: LocationError" in text
    assert not URI.search(text)


def test_many_images_stay_within_what_an_event_may_hold(settings: Settings, tmp_path: Path) -> None:
    from PIL import Image

    sink = io.BytesIO()
    Image.merge("RGBA", [Image.effect_noise((96, 96), 200) for _ in range(4)]).save(sink, "PNG")
    rows = pa.table({"id": range(5)} | {f"raw{number}": [sink.getvalue()] * 5 for number in range(8)})
    text = shown(settings, rows, tmp_path / "out", inference_engine_options={"column": "id"})
    assert len(text) < 200_000
    assert "PNG image, " in text


@pytest.mark.parametrize("damage", [slice(0, 40), slice(0, 0), slice(60, None)])
def test_damaged_images_are_named_or_shown_as_bytes(settings: Settings, tmp_path: Path, damage: slice) -> None:
    rows = pa.table({"raw": [picture(300)[damage]], "id": [1]})
    text = shown(settings, rows, tmp_path / "out", inference_engine_options={"column": "id"})
    assert not URI.search(text)
    assert "PNG image, " in text or "B&gt;" in text


def test_an_image_of_very_many_pixels_is_not_decoded() -> None:
    from PIL import Image

    sink = io.BytesIO()
    Image.new("1", (9_000, 9_000)).save(sink, "PNG")
    assert image_type(sink.getvalue()) == "image/png"
    assert thumbnail(sink.getvalue(), "image/png", most=100_000) is None


def test_without_pillow_small_images_are_shown_and_larger_ones_are_not() -> None:
    code = """
import sys
sys.modules["PIL"] = None
from dagster_gristmill.thumbnail import thumbnail
content = bytes(1_000)
assert thumbnail(content, "image/png", most=2_000).startswith("data:image/png;base64,AAAA")
assert thumbnail(content, "image/png", most=1_000) is None
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_output_that_is_gone_is_told_and_nothing_is_raised(settings: Settings, tmp_path: Path) -> None:
    job, manifest = finished(settings, pa.table({"x": [1]}), str(tmp_path / "out"))
    Storage(settings).delete_tree(str(tmp_path / "out"))
    assert re.match(r"The first rows cannot be shown: OutputError: .* is missing", preview(job, manifest))
