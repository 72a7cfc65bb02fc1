from pathlib import Path

import pytest

from gristmill.mlflow.digest import folder_digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "m" / "deep").mkdir(parents=True)
    (tmp_path / "m" / "MLmodel").write_text("flavors: {}")
    (tmp_path / "m" / "deep" / "größe.bin").write_bytes(b"\0" * 3)
    return tmp_path / "m"


def test_the_same_content_elsewhere_has_the_same_digest(folder: Path, tmp_path: Path) -> None:
    before = folder_digest(folder)
    (folder / "empty").mkdir()
    (folder / "registered_model_meta").write_text("left by a load in place")
    assert folder_digest(folder.rename(tmp_path / "moved")) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "deep" / "größe.bin").write_bytes(b"\0\0\1"),
        lambda folder: (folder / "deep" / "größe.bin").rename(folder / "größe.bin"),
        lambda folder: (folder / "MLmodel").unlink(),
        lambda folder: (folder / "more").write_text(""),
    ],
)
def test_any_change_changes_it(folder: Path, change: object) -> None:
    before = folder_digest(folder)
    change(folder)  # type: ignore[operator]
    assert folder_digest(folder) != before
