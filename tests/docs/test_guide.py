import shlex
import tomllib
from pathlib import Path

import pytest

import gristmill
from gristmill.settings import Settings
from tests.docs.pages import ROOT, blocks, commands, python, write_files

GUIDE = ROOT / "docs" / "guide.md"


def test_the_guides_examples_run_in_an_empty_folder(settings: Settings) -> None:
    names = write_files(GUIDE, Path.cwd())
    assert names == ["setup.py", "shop.py", "first.py", "files.py", "totals.py", "nightly.py"]
    python("setup.py")
    assert "DONE 1,000 rows" in python("first.py")
    python("files.py")
    assert gristmill.read_output("out/files")["size"].to_pylist() == [3, 3]
    assert "3 rows from 1,000 rows in 3 partitions [{'shop': 0, 'orders': 334, 'total':" in python("totals.py")
    for command in commands(GUIDE):
        python("-m", "gristmill.cli", *shlex.split(command)[1:])
    assert gristmill.read_manifest("out/second").rows == 1000


def test_the_nightly_job_run_twice_is_one_job(settings: Settings) -> None:
    write_files(GUIDE, Path.cwd())
    python("setup.py")
    assert python("nightly.py", "2026-01-01") == python("nightly.py", "2026-01-01")
    assert len(gristmill.list_jobs()) == 1


@pytest.mark.parametrize("page", ["README.md", "docs/settings.md"])
def test_the_settings_that_are_shown_are_settings(page: str, settings: Settings) -> None:
    (shown,) = [text for language, text in blocks(ROOT / page) if language == "toml"]
    Path("gristmill.toml").write_text(shown, encoding="utf-8")
    wanted = tomllib.loads(shown)
    loaded = Settings.load()
    assert loaded.stages == wanted["stages"]
    assert set(loaded.pools) == set(wanted["pools"])
    assert loaded.pool("gpu").address == wanted["pools"]["gpu"]["address"]
